use std::collections::BTreeSet;

use pinfold::Rules;
use pinfold_explore::{Config, Model};

use crate::report::{Report, RowKind, Scene};
use crate::saved::ReplayFile;
use crate::{CheckOptions, Order, Prepared, SCENARIOS, scenario};

fn prepared(name: &str, rules: &str) -> (Prepared, Rules) {
    let shipped = SCENARIOS.iter().find(|shipped| shipped.name == name).expect("it ships");
    let scenario = scenario::parse(shipped.text).expect("it is right");
    let rules = Rules::parse(rules).expect("there are such rules");
    (Prepared::new(&scenario, name, &rules).expect("it fits"), rules)
}

/// The failing execution of a scenario under some rules, with all there is to say of it.
fn failing(name: &str, rules: &str) -> Report {
    let (prepared, rules) = prepared(name, rules);
    let options = CheckOptions::of(Config { model: Model::Tso, ..Config::default() });
    let found = prepared.check(&options, &mut |_| {});
    assert!(found.explained.is_empty(), "a search says nothing of rows");
    let saved = ReplayFile::record(prepared.scenario(), &rules, &found).expect("it fails");
    saved.replay().expect("it can be run again")
}

/// What must be so in every scene.
fn sound(scene: &Scene, told: &str) {
    let frame = |name: &str| scene.frames.iter().find(|frame| frame.name == name);
    for page in scene.pages.iter().filter(|page| page.readable) {
        let Some(name) = &page.frame else { continue };
        // The zero page counts no mappings, and is shown only where a handle has led to it.
        let counted = frame(name).is_some_and(|frame| frame.refs >= 1 && frame.maps >= 1);
        assert!(counted || page.entry.contains("zero page"), "{told}: {page:?}");
    }
    for handle in &scene.handles {
        for name in &handle.frames {
            let held = frame(name).unwrap_or_else(|| panic!("{told}: {name} is not shown"));
            assert!(held.refs > 0 || !handle.pin, "{told}: {handle:?} holds a free frame");
        }
    }
}

#[test]
fn every_row_of_every_scenario_has_a_sound_scene() {
    let rules = Rules::default();
    let (mut seen, mut stale) = (0, 0);
    for shipped in SCENARIOS {
        let scenario = scenario::parse(shipped.text).expect("it is right");
        let Ok(prepared) = Prepared::new(&scenario, shipped.name, &rules) else { continue };
        let report = prepared.run(Order::AsWritten);
        let trace = report.trace.expect("a run has a trace");
        let mut mapped = BTreeSet::new();
        assert_eq!(report.explained.len(), trace.rows.len(), "{}", shipped.name);
        for (row, told) in trace.rows.iter().zip(&report.explained) {
            assert!(row.kind != RowKind::Step || !told.meaning.is_empty(), "{row:?}");
            sound(&told.scene, &format!("{}, {}", shipped.name, row.text));
            seen += 1;
            mapped.extend(told.scene.pages.iter().map(|page| page.name.as_str()));
            for one in &told.scene.translations {
                let named = mapped.contains(one.page.as_str());
                assert!(named, "{}, {}: {one:?} is of no page yet", shipped.name, row.text);
            }
            // Between the change of an entry and the flush.
            stale += told.scene.translations.iter().filter(|one| one.stale).count();
        }
        let last = report.explained.last().map(|told| &told.scene.translations);
        let left = last.into_iter().flatten().find(|one| one.stale);
        assert!(left.is_none(), "{}: {left:?} at the end", shipped.name);
    }
    assert!(seen > 1_000, "{seen} rows");
    assert!(stale > 0, "a translation that its entry no longer says is told as stale");
}

#[test]
fn the_last_scene_shows_how_a_pin_and_its_owner_parted() {
    let report = failing("bug-215616", "5.16");
    let last = &report.explained.last().expect("it has rows").scene;
    let page = last.pages.iter().find(|page| page.name == "P:A").expect("it is mapped");
    let handle = last.handles.iter().find(|handle| handle.name == "h0").expect("it is held");
    let words = |name: &str| {
        let frame = last.frames.iter().find(|frame| frame.name == name);
        frame.expect("it is shown").words.clone()
    };
    assert_ne!(page.frame.as_deref(), Some(handle.frames[0].as_str()));
    assert_eq!(words(&handle.frames[0]), ["v1"]);
    assert_eq!(words(page.frame.as_ref().expect("it is mapped")), ["v2"]);
    let decided = |rule: &str| {
        let decisions = report.explained.iter().filter_map(|told| told.decision.as_ref());
        decisions.filter(|decision| decision.rule == rule).count()
    };
    assert_eq!((decided("numa-skip"), decided("pte-cow")), (1, 1));
}
