use super::*;
use crate::render::matrix::Skipped;
use std::{env, fs, process};

const TABLE: &str = "\
# what is expected
model sc
scenario   5.8  linux-5.9  latest
rdma-fork  BAD  ok         -  # a note

many       share  copy  ok
";

fn cell(verdict: Verdict, outcome: Option<&str>) -> Cell {
    let outcome = outcome.map(str::to_owned);
    Cell {
        verdict,
        outcome,
        ended: None,
        skipped: None,
        wanted: None,
        expected: false,
        doubted: false,
    }
}

fn why(text: &str) -> (usize, String) {
    Expected::parse(text, None).unwrap_err()
}

#[test]
fn cells_are_found_by_scenario_and_rules() {
    let table = Expected::parse(TABLE, Some(ModelArg::Sc)).unwrap();
    let rules = |text: &str| Rules::parse(text).unwrap();
    assert_eq!(table.cell("rdma-fork", &rules("5.8")), Some("BAD"));
    assert_eq!(table.cell("rdma-fork", &rules("5.9")), Some("ok"));
    assert_eq!(table.cell("rdma-fork", &rules("latest")), None);
    assert_eq!(table.cell("rdma-fork", &rules("5.10")), None);
    assert_eq!(table.cell("others", &rules("5.8")), None);
}

#[test]
fn what_has_no_line_is_as_in_the_table_that_is_named() {
    let folder = env::temp_dir().join(format!("pinfold-expect-{}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    put("base.txt", TABLE);
    let path = put("other.txt", "model weak\notherwise base\nscenario 5.8\nmany BAD\n");
    let table = Expected::read(&path, None).unwrap();
    let rules = |text: &str| Rules::parse(text).unwrap();
    assert_eq!(table.model(), Some(ModelArg::Weak));
    assert_eq!(table.cell("many", &rules("5.8")), Some("BAD"));
    // It has a line here, so the other table is not asked.
    assert_eq!(table.cell("many", &rules("5.9")), None);
    assert_eq!(table.cell("rdma-fork", &rules("5.8")), Some("BAD"));
    assert_eq!(table.cell("rdma-fork", &rules("latest")), None);

    let path = put("slip.txt", "otherwise base\nscenario 5.8\nmanny BAD\n");
    let why = Expected::read(&path, None).unwrap_err().to_string();
    assert!(why.contains("slip.txt:1: manny"), "{why}");
    let path = put("twice.txt", "otherwise base\notherwise base\nscenario 5.8\n");
    let why = Expected::read(&path, None).unwrap_err().to_string();
    assert!(why.contains("twice.txt:2: name one table"), "{why}");
    put("base-6.14.txt", TABLE);
    let path = put("dotted.txt", "otherwise base-6.14\nscenario 5.8\n");
    assert!(Expected::read(&path, None).unwrap().others.is_some());

    let path = put("third.txt", "otherwise other\nscenario 5.8\n");
    let why = Expected::read(&path, None).unwrap_err().to_string();
    assert!(why.contains("third.txt") && why.contains("an `otherwise` of its own"), "{why}");
    let path = put("lost.txt", "otherwise nowhere\nscenario 5.8\n");
    let why = Expected::read(&path, None).unwrap_err().to_string();
    assert!(why.contains("lost.txt:1") && why.contains("nowhere.txt"), "{why}");
    fs::remove_dir_all(folder).unwrap();
    assert!(Expected::read(Path::new("verdicts-weak"), None).unwrap().others.is_some());
}

#[test]
fn an_outcome_agrees_with_its_name_and_with_ok() {
    let pass = cell(Verdict::Pass, Some("share"));
    assert!(agrees(&pass, "share") && agrees(&pass, "ok"));
    assert!(!agrees(&pass, "copy") && !agrees(&pass, "BAD"));
    assert!(!agrees(&cell(Verdict::Partial, None), "ok"));
    assert!(agrees(&cell(Verdict::Fail, Some("share")), "BAD"));
}

#[test]
fn what_a_release_lacks_is_neither_ok_nor_a_skip() {
    let absent = Cell { skipped: Some(Skipped::Absent), ..cell(Verdict::Skip, None) };
    assert!(agrees(&absent, "n/a") && !agrees(&absent, "ok") && !agrees(&absent, "skip"));
    let other = Cell { skipped: Some(Skipped::Unexplorable), ..absent };
    assert!(agrees(&other, "skip") && !agrees(&other, "n/a"));
}

#[test]
fn mistakes_are_named_with_their_line() {
    assert_eq!(why("").0, 1);
    assert_eq!(why("rdma-fork ok\n").0, 1);
    assert_eq!(why("scenario 5.8 5.9\n\na ok\n").0, 3);
    assert_eq!(why("scenario 5.8\na ok\na ok\n").0, 3);
    let (line, why) = why("scenario 5.8 5.77\n");
    assert_eq!(line, 1);
    assert!(why.contains("5.77"), "{why}");
}

#[test]
fn a_table_for_another_model_is_refused() {
    let (line, why) = Expected::parse(TABLE, Some(ModelArg::Weak)).unwrap_err();
    assert_eq!(line, 2);
    assert!(why.contains("--model sc"), "{why}");
    assert_eq!(Expected::parse(TABLE, None).unwrap().model(), Some(ModelArg::Sc));
    assert!(Expected::parse("model x86\nscenario 5.8\n", None).is_err());
}
