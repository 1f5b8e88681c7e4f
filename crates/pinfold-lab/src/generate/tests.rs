use super::{Aim, Extent, Files, Program, Scans, Shape, Swaps};
use crate::check::{CheckOptions, Ended, Prepared};
use crate::report::Oracle;
use crate::scenario::parse;
use pinfold::Rules;
use pinfold_explore::{Config, Model};

const COMPARE: Shape = Shape {
    aim: Aim::Compare,
    lanes: 0,
    steps: 9,
    nodes: 1,
    scans: Scans::Left,
    extent: Extent::Areas,
    files: Files::Left,
    swaps: Swaps::Left,
    frames: None,
};

const TWO: Shape = Shape { lanes: 2, steps: 3, nodes: 2, scans: Scans::Made, ..COMPARE };

fn shapes() -> Vec<Shape> {
    let oracles = Shape { aim: Aim::Oracles, lanes: 3, swaps: Swaps::Made, ..TWO };
    vec![COMPARE, TWO, oracles, Shape { frames: Some(4), ..oracles }]
}

/// The shapes with files and groups.
fn shapes_with_files() -> Vec<Shape> {
    shapes().into_iter().map(|shape| Shape { files: Files::Made, ..shape }).collect()
}

const FOLIO: Shape = Shape { aim: Aim::Oracles, extent: Extent::Folio, swaps: Swaps::Made, ..TWO };

#[test]
fn programs_about_a_folio_are_scenarios_with_every_step_that_decides_about_one() {
    for shape in [FOLIO, Shape { lanes: 3, frames: Some(8), ..FOLIO }] {
        let texts: Vec<String> =
            (0..300).map(|seed| Program::random(seed, &shape).text("random")).collect();
        for text in &texts {
            assert!(parse(text).is_ok(), "{:?}\n{text}", parse(text).err());
            assert!(text.contains("map A 4 private") && text.contains("A hugepage"), "{text}");
            assert!(!text.contains("unmap A[3]") && !text.contains("A[3] dontneed"), "{text}");
        }
        let has = |word: &str| texts.iter().any(|text| text.contains(word));
        for word in ["split-folio A[3] may fail busy", "split-deferred", "try-get n0", "put h"] {
            assert!(has(word), "{word}");
        }
        for word in ["write A", "fork C", "pin ", "get ", "get-page h", "dontneed", "note A"] {
            assert!(has(word), "{word}");
        }
        let huge = texts.iter().filter(|text| text.contains("thp pmd")).count();
        assert!((150..250).contains(&huge), "{huge}");
        assert_eq!(has("unmap A"), shape.frames.is_none());
        let collapsed: Vec<_> = texts.iter().filter(|text| text.contains("collapse ")).collect();
        assert!((40..100).contains(&collapsed.len()), "{}", collapsed.len());
        let with = |words: &[&str]| {
            collapsed.iter().filter(|text| words.iter().all(|word| text.contains(word))).count()
        };
        assert_eq!(with(&["unmap A"]), 0);
        assert!(with(&["migrate A[3]"]) > 0 && with(&["numa-scan"]) > 0);
        for held in ["pin A", "get A", "try-get n"] {
            assert_eq!(with(&["busy", held]) > 0, shape.frames.is_none(), "{held}");
        }
        let refused = ["collapse A[3] may fail out-of-frames", "collapse A[3] may fail busy"];
        assert_eq!(refused.map(has), [shape.frames.is_some(), shape.frames.is_none()]);
        // Of pages that were never a folio.
        assert!(with(&["write A[3] \"w1\"\n  P: write"]) > 0);
    }
}

#[test]
fn programs_about_a_huge_page_of_the_pool_are_scenarios_that_never_part_it() {
    let pool = Shape { extent: Extent::Pool, aim: Aim::Oracles, lanes: 2, ..TWO };
    for shape in [pool, Shape { lanes: 3, frames: Some(4), ..pool }] {
        let texts: Vec<String> =
            (0..300).map(|seed| Program::random(seed, &shape).text("random")).collect();
        for text in &texts {
            assert!(parse(text).is_ok(), "{:?}\n{text}", parse(text).err());
            assert!(text.contains("map A 4 hugetlb") && text.contains("frames 128"), "{text}");
            for part in ["unmap A[", "protect A[", "advise A["] {
                assert!(!text.contains(part), "{text}");
            }
            for refers in [": get ", "  get ", " read as h", " read longterm as h"] {
                assert!(!text.contains(refers), "{text}");
            }
        }
        let has = |word: &str| texts.iter().any(|text| text.contains(word));
        for word in ["write A", "read A", "fork C", "pin A", "try-get n0", "A dontneed"] {
            assert!(has(word), "{word}");
        }
        let plenty = shape.frames.is_none();
        for word in ["unmap A", "protect A ro", "hugetlb 16", "may fail no-access"] {
            assert_eq!(has(word), plenty, "{word}");
        }
        for word in ["populate A", "hugetlb 1\n", "hugetlb 2\n", "may fail no-huge-page"] {
            assert_eq!(has(word), !plenty, "{word}");
        }
    }
}

#[test]
fn programs_of_private_memory_take_pages_to_swap_where_they_shall() {
    let compared = Shape { swaps: Swaps::Made, ..COMPARE };
    let judged = Shape { aim: Aim::Oracles, lanes: 2, steps: 4, ..compared };
    for shape in [judged, compared] {
        let of = |seed| Program::random(seed, &shape).text("random");
        let texts: Vec<String> = (0..200).map(of).collect();
        let with = |word: &str| texts.iter().filter(|text| text.contains(word)).count();
        assert!(with("pageout ") > 20);
        assert_eq!(with("swapoff") > 5, shape.aim == Aim::Compare, "{}", with("swapoff"));
        for text in &texts {
            let swaps = text.contains("pageout ") || text.contains("swapoff");
            assert_eq!(swaps, text.contains("  swap 3\n"), "{text}");
            assert!(parse(text).is_ok(), "{:?}\n{text}", parse(text).err());
        }
    }
    assert!((0..200).all(|seed| !Program::random(seed, &COMPARE).text("random").contains("swap")));
}

/// Last steps of reclaim, after what the program would be without them.
#[test]
fn some_programs_end_with_steps_of_reclaim() {
    let compared = Shape { swaps: Swaps::Made, ..COMPARE };
    let judged = Shape { aim: Aim::Oracles, lanes: 2, steps: 4, nodes: 2, ..compared };
    for shape in [judged, compared, Shape { frames: Some(5), ..judged }, COMPARE] {
        let of = |seed| Program::random(seed, &shape).text("random");
        let texts: Vec<String> = (0..400).map(of).collect();
        let with = |word: &str| texts.iter().filter(|text| text.contains(word)).count();
        for word in ["] free", "] cold", "reclaim node 0 goal ", "lru-drain", "lru-drain all"] {
            assert!(with(word) > 2, "{word} of {shape:?}: {}", with(word));
        }
        assert_eq!(with("reclaim node 1") > 0, shape.nodes > 1);
        for (seed, text) in texts.iter().enumerate() {
            let about = ["] free", "] cold", "reclaim ", "lru"];
            let reclaims = about.iter().any(|word| text.contains(word));
            assert!(!reclaims || matches!(seed % 8, 2 | 3), "{text}");
            let needs = text.contains("reclaim ") || text.contains("lru-drain");
            let cold = text.contains("] cold") && shape.aim == Aim::Oracles;
            assert_eq!(needs || cold, text.contains("  lru 2\n"), "{text}");
            assert!(!text.contains("mlock") || !text.contains("] free"), "{text}");
            assert!(parse(text).is_ok(), "{:?}\n{text}", parse(text).err());
        }
    }
}

const PAGE: Shape = Shape { extent: Extent::Page, ..COMPARE };

#[test]
fn programs_about_one_page_are_about_nothing_else() {
    let texts: Vec<String> =
        (0..300).map(|seed| Program::random(seed, &PAGE).text("random")).collect();
    for text in &texts {
        assert!(parse(text).is_ok(), "{:?}\n{text}", parse(text).err());
        assert!(text.contains("map A 1 private") && !text.contains("map B"), "{text}");
    }
    let has = |word: &str| texts.iter().any(|text| text.contains(word));
    for word in ["write A", "read A", "fork C", "exit", "protect A[0] ro", "pin ", "get "] {
        assert!(has(word), "{word}");
    }
    assert!(!["unmap", "advise", "migrate A"].into_iter().any(has));
}

/// By each of the four ways, in lanes and alone; what comes before is as it would be without.
#[test]
fn some_programs_reach_for_the_memory_of_another_process() {
    for shape in [COMPARE, Shape { lanes: 0, ..COMPARE }] {
        let programs: Vec<String> =
            (0..2000).map(|seed| Program::random(seed, &shape).text("random")).collect();
        for verb in ["vm-write", "vm-read", "ptrace-write", "ptrace-read"] {
            let with = programs.iter().filter(|text| text.contains(verb)).count();
            assert!((5..200).contains(&with), "{shape:?}: {verb} in {with}");
        }
    }
}

#[test]
fn programs_are_scenarios_and_follow_from_their_seed() {
    for shape in shapes().into_iter().chain(shapes_with_files()) {
        for seed in 0..300 {
            let program = Program::random(seed, &shape);
            let text = program.text("random");
            assert!(parse(&text).is_ok(), "{shape:?} {seed}: {:?}\n{text}", parse(&text).err());
            assert_eq!(program, Program::random(seed, &shape));
        }
    }
    let texts: std::collections::BTreeSet<_> =
        (0..300).map(|seed| Program::random(seed, &COMPARE).text("random")).collect();
    assert!(texts.len() > 290, "{}", texts.len());
}

/// What `pinfold identify` relies on.
#[test]
fn programs_about_one_page_tell_releases_apart() {
    let config = Config { model: Model::Sc, max_executions: Some(100), ..Config::default() };
    let options = CheckOptions::of(config);
    let ends = |seed: u64, rules: &str| -> Vec<Ended> {
        let scenario = parse(&Program::random(seed, &PAGE).text("random")).expect("a scenario");
        let rules = Rules::parse(rules).expect("a preset");
        let prepared = Prepared::new(&scenario, "random", &rules).expect("it can be prepared");
        prepared.ends(&options).met.into_keys().collect()
    };
    for (before, since) in [("5.8", "5.9"), ("5.18", "5.19")] {
        let tells = (0..300).filter(|seed| ends(*seed, before) != ends(*seed, since)).count();
        assert!(tells > 0, "{before} and {since}");
    }
}

#[test]
fn every_kind_of_step_occurs() {
    for shape in shapes() {
        let texts: Vec<String> =
            (0..300).map(|seed| Program::random(seed, &shape).text("random")).collect();
        let has = |word: &str| texts.iter().any(|text| text.contains(word));
        for word in ["write A", "read B", "fork C", "unmap", "protect", "pin ", "get ", "advise"] {
            assert!(has(word), "{word} of {shape:?}");
        }
        for word in ["populate A", "mlock A", "munlock B", " replace", "clone ", "exec"] {
            assert!(has(word), "{word} of {shape:?}");
        }
        for word in ["map S 1 stack", "write S[0]", "break H 0", "break H 2", "write H"] {
            assert_eq!(has(word), shape.frames.is_none(), "{word} of {shape:?}");
        }
        assert_eq!(has("vfork V"), shape.lanes > 0);
        assert_eq!(has("numa-scan"), shape.scans == Scans::Made);
        assert_eq!(has("migrate A"), shape.nodes > 1);
        assert_eq!(has("read longterm"), shape.aim == Aim::Oracles);
        assert_eq!(has("always"), shape.aim == Aim::Compare);
    }
}

#[test]
fn smaller_programs_lack_one_step() {
    let program = Program::random(7, &COMPARE);
    let smaller = program.smaller();
    assert!(!smaller.is_empty());
    assert!(smaller.iter().all(|less| less.steps() + 1 == program.steps()));
    let parsed = smaller.iter().filter(|less| parse(&less.text("less")).is_ok()).count();
    assert!(parsed > 0);
}

/// Of the old kinds, each in as many of the programs with files, by half, as in those without.
#[test]
fn every_kind_of_step_occurs_with_files_and_the_old_ones_stay_common() {
    for (shape, plain) in shapes_with_files().into_iter().zip(shapes()) {
        let texts = |shape: &Shape| -> Vec<String> {
            (0..600).map(|seed| Program::random(seed, shape).text("random")).collect()
        };
        let (texts, without) = (texts(&shape), texts(&plain));
        let of = |texts: &[String], word: &str| {
            texts.iter().flat_map(|text| text.lines()).filter(|line| line.contains(word)).count()
        };
        for word in ["shared rw of X", "private rw of X", " of Y", "1 file rw", "from 1"] {
            assert!(of(&texts, word) > 0, "{word} of {shape:?}");
        }
        for word in ["write X[", "read X[", "write Y[", "sync X", "writeback A", "punch X["] {
            assert!(of(&texts, word) > 0, "{word} of {shape:?}");
        }
        let endless = shape.frames.is_none();
        for word in ["truncate X", "remap A at", "unmap", "protect"] {
            assert_eq!(of(&texts, word) > 0, endless, "{word} of {shape:?}");
        }
        for word in ["join G", "move-charge A", " dirty", "group K limit"] {
            let oracles = shape.aim == Aim::Oracles;
            assert_eq!(of(&texts, word) > 0, oracles, "{word} of {shape:?}");
        }
        for word in ["write A", "read A", "fork C", "pin ", "get ", "populate", "clone "] {
            let (with, without) = (of(&texts, word), of(&without, word));
            assert!(with * 3 > without, "{word} of {shape:?}: {with}, {without} without");
        }
        assert_eq!(of(&without, " of X") + of(&without, "join G"), 0);
    }
}

/// What a program without one of its steps says of itself is right, too (INV-GENERATE-2).
#[test]
fn programs_with_files_fail_in_no_other_way_than_they_say() {
    let config = Config { model: Model::Tso, max_executions: Some(20), ..Config::default() };
    let options = CheckOptions::of(config);
    let rules = Rules::default();
    let (mut all, mut refused, mut short) = (0, 0, 0);
    for shape in shapes_with_files() {
        let programs = (0..60).map(|seed| Program::random(seed, &shape));
        let cut = |program: Program| {
            let at = program.steps() % program.smaller().len();
            [Some(program.clone()), program.smaller().into_iter().nth(at)]
        };
        for text in programs.flat_map(cut).flatten().map(|program| program.text("random")) {
            all += 1;
            // Steps about an area that is not mapped, or a handle that is not taken.
            let Ok(scenario) = parse(&text) else {
                refused += 1;
                continue;
            };
            let broken = match Prepared::new(&scenario, "random", &rules) {
                Ok(prepared) => prepared.check(&options, &mut |_| {}).broken,
                Err(_) if shape.frames.is_some() => {
                    short += 1;
                    continue;
                }
                Err(error) => panic!("{error:?}\n{text}"),
            };
            if let Some(broken) = broken.filter(|broken| broken.oracle != Oracle::Claim) {
                panic!("{}: {:?}\n{text}", broken.oracle, broken.what);
            }
        }
    }
    assert!(refused * 3 < all && short * 20 < all, "{refused} and {short} of {all}");
}
