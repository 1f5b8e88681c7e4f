//! Real failures as they are told: the explanation of every shipped incident that breaks, and the
//! drawing of one at four widths.

use super::*;
use pinfold::Rules;
use pinfold_lab::scenario::parse;
use pinfold_lab::{CheckOptions, Config, SCENARIOS, check};

/// A shipped scenario, the rules under which it breaks, and the model.
type Case = (&'static str, &'static str, Model);

const CASES: [Case; 22] = [
    ("bug-215616", "5.9", Model::Tso),
    ("bug-215616-move-pages", "5.17", Model::Tso),
    ("bug-215616-thp-pmd", "5.18", Model::Tso),
    ("cow-published-early", "pinfold,cow-publish=before-flush", Model::Tso),
    ("dirty-cow", "pinfold,force-write=drop-write", Model::Tso),
    ("fast-pin-reused-frame", "pinfold,fast-recheck=off", Model::Tso),
    ("fork-meets-migration", "5.9", Model::Tso),
    ("fork-races-fast-pin", "5.9", Model::Weak),
    ("fork-races-fast-pin", "5.10", Model::Tso),
    ("fork-races-fast-pin", "5.11", Model::Weak),
    ("mprotect-flip", "5.9", Model::Tso),
    ("mprotect-pin-fork", "5.9", Model::Tso),
    ("o-direct-fork", "6.4", Model::Tso),
    ("o-direct-write-fork", "5.8,read-gup=as-is", Model::Tso),
    ("rdma-fork", "5.8", Model::Tso),
    ("rdma-fork-get", "pinfold", Model::Tso),
    ("read-pin-then-write", "5.9", Model::Tso),
    ("read-pin-zero-page", "5.9", Model::Tso),
    ("torn-fork", "pinfold", Model::Tso),
    ("unmap-races-pin", "pinfold,table-free=at-once", Model::Tso),
    ("vmsplice-leak", "5.8,read-gup=as-is", Model::Tso),
    ("wrprotect-restore-loses-dirty", "5.9", Model::Tso),
];

fn report((name, rules, model): Case) -> Report {
    let shipped = SCENARIOS.iter().find(|shipped| shipped.name == name).expect("shipped");
    let scenario = parse(shipped.text).expect("shipped scenarios parse");
    let rules = Rules::parse(rules).expect("rules");
    let options = CheckOptions::of(Config { model, ..Config::default() });
    let path = format!("scenarios/{name}.pf");
    let mut report = check(&scenario, &path, &rules, &options, &mut |_| {});
    report.search.seconds = 0.0;
    report
}

#[test]
fn every_shipped_incident_that_breaks_is_explained() {
    let mut told = String::new();
    for case in CASES {
        let report = report(case);
        let broken = report.broken.as_ref().unwrap_or_else(|| panic!("{case:?} does not break"));
        assert!(!broken.why.is_empty(), "{case:?} has no WHY");
        told += &format!("{} under {}, {}\n", case.0, case.1, case.2);
        told += &format!("  {}: {}\n", broken.oracle, broken.what[0]);
        for sentence in &broken.why {
            told += &format!("  - {sentence}\n");
        }
        told.push('\n');
    }
    assert_data_eq!(told, snapbox::file!["whys.txt"].raw());
}

#[test]
fn a_story_at_four_widths() {
    let report = report(("fork-races-fast-pin", "5.11", Model::Weak));
    for columns in [140, 100, 80, 60] {
        let drawn = report::draw(&report, &look(columns));
        let expected =
            std::path::Path::new("src/render/tests").join(format!("story-{columns}.txt"));
        assert_data_eq!(drawn, snapbox::Data::read_from(&expected, None).raw());
    }
}

/// The words of a text, whatever lines they stand in.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn no_width_loses_any_of_the_verdict() {
    for case in CASES {
        let report = report(case);
        let broken = report.broken.as_ref().expect("it breaks");
        for columns in [140, 100, 80, 60, 40] {
            let all = Look { detail: Detail::All, ..look(columns) };
            let drawn = words(&report::draw(&report, &all));
            for sentence in broken.what.iter().chain(&broken.why) {
                // A word that is longer than a line is broken, and only such a word.
                if sentence.split(' ').all(|word| width(word) < columns / 2) {
                    assert!(drawn.contains(&words(sentence)), "{columns}: {sentence}\n{drawn}");
                }
            }
        }
    }
}

#[test]
fn the_picture_keeps_what_the_explanation_cites() {
    for case in CASES {
        let report = report(case);
        let trace = report.trace.as_ref().expect("a trace");
        let drawn = report::draw(&report, &look(100));
        let flat = words(&drawn);
        let steps = trace.rows.iter().filter(|row| row.cited).filter_map(|row| row.step);
        for step in steps {
            assert!(flat.contains(&format!(" {step} ")), "{case:?}: step {step}\n{drawn}");
        }
    }
}
