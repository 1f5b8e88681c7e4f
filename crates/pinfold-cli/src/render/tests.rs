//! Drawings of made-up reports against stored ones. To store what is drawn now, run the tests with
//! `SNAPSHOTS=overwrite`, and read the difference.

use super::matrix::{Cell, CellBounds, EndedBy, Matrix, Row as MatrixRow, Skipped};
use super::text::{cut, fold, seconds, thousands, width};
use super::*;
use crate::saved::Place;
use pinfold_lab::report::*;
use pinfold_lab::{LockForm, Model};
use snapbox::{assert_data_eq, file};

mod incidents;
mod story;

fn look(width: usize) -> Look {
    Look {
        width,
        height: SCREEN,
        charset: Charset::Unicode,
        colour: Colour::Off,
        detail: Detail::Screen,
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn row(step: u32, lane: usize, text: &str, state: &str) -> Row {
    let state = (!state.is_empty()).then(|| state.to_owned());
    let (step, kind) = if step == 0 { (None, RowKind::Note) } else { (Some(step), RowKind::Step) };
    Row { step, lane: Some(lane), kind, text: text.to_owned(), state, cited: false }
}

fn switch() -> Row {
    Row { kind: RowKind::Switch, step: None, lane: None, ..row(0, 0, "", "") }
}

fn trace() -> Trace {
    let lane = |name: &str, place: &str| LaneHead { name: name.into(), place: place.into() };
    Trace {
        lanes: vec![lane("T0", "cpu0 node0"), lane("numad", "cpu1 node1"), lane("gaudi", "dma")],
        rows: vec![
            row(1, 0, "write A \"v1\"", ""),
            row(0, 0, "fault: alloc f7", "f7 rw  ref 1 map 1"),
            row(2, 0, "pin A longterm as h0", "f7 rw  ref 2 pin 1"),
            switch(),
            Row { cited: true, ..row(3, 1, "numa-protect A", "f7 --  (was rw)") },
            row(4, 1, "hint fault: restore", "f7 r-  write bit lost"),
            switch(),
            row(5, 0, "write A \"v2\"", ""),
            row(0, 0, "wp fault: copy", "f9 rw  ref 1 map 1\nf7 --  ref 1 pin 1"),
            row(6, 2, "read h0 = \"v1\"", "wanted \"v2\""),
        ],
        cut_off: false,
    }
}

fn passed() -> Report {
    let outcome = |label: &str, count| Outcome { label: label.into(), count };
    let reached = |what: &str, count| Reached { what: what.into(), count };
    Report {
        pinfold: FORMAT,
        id: "k7m2qxa".into(),
        verdict: Verdict::Pass,
        mode: Mode::Check,
        scenario: ScenarioHead {
            name: "bug-215616".into(),
            title: Some("NUMA hinting parts a pinned page from its owner".into()),
            path: "scenarios/bug-215616.pf".into(),
        },
        rules: "linux-6.12".into(),
        search: Search {
            locks: LockForm::Object,
            model: Model::Sc,
            strategy: Chosen::Search(Way::Exhaustive),
            executions: 18_204,
            blocked: 311,
            pruned: 0,
            states: 0,
            truncated: 0,
            steps_max: 41,
            seconds: 1.84,
            incomplete: None,
            elsewhere: None,
        },
        broken: None,
        trace: None,
        accesses: Vec::new(),
        about: Vec::new(),
        explained: Vec::new(),
        decisions: Vec::new(),
        outcomes: vec![outcome("in-step", 18_204), outcome("parted", 0)],
        reached: vec![
            reached("numa-scan", 7_330),
            reached("write-protect fault on a pinned page", 2_112),
        ],
        ends: Vec::new(),
        bounds: strings(&["2 lanes", "4 frames a node", "preemptions unlimited"]),
        not_covered: strings(&["weak memory", "huge pages", "swap"]),
        costs: Vec::new(),
    }
}

fn failed() -> Report {
    let decision = |rule: &str, text: &str, in_force: &str, told: bool| Decision {
        rule: rule.into(),
        text: text.into(),
        in_force: format!("{rule}={in_force}"),
        told,
    };
    let mut report = passed();
    report.verdict = Verdict::Fail;
    report.rules = "linux-5.16".into();
    report.search.executions = 212;
    report.broken = Some(Broken {
        oracle: Oracle::PinCoherence,
        code: None,
        also: Vec::new(),
        what: strings(&[
            "a long-term pin and its owner's page table must name the same frame",
            "cpu view     A  -> f9 \"v2\"  rw  node 1",
            "device view  h0 -> f7 \"v1\"      node 0    stale since step 5",
        ]),
        why: strings(&[
            "Step 5 copied a pinned page: the write fault saw refcount 2, and rule pte-cow takes \
             any extra reference for a sharer.",
        ]),
        schedule: "1,1,2,2,1".into(),
        steps: 6,
        switches: 2,
        from_steps: Some(31),
        from_switches: Some(9),
    });
    report.trace = Some(trace());
    report.decisions = vec![
        decision("numa-skip", "f7 was not skipped", "map-count, since 4.16", false),
        decision("pte-cow", "f7 was copied, as refcount 2 != 1", "ref-count, since 5.9", true),
    ];
    report
}

fn unfinished() -> Report {
    let mut report = passed();
    report.verdict = Verdict::Partial;
    report.search.incomplete = Some("the time of 60 s was over".into());
    report.reached.truncate(1);
    report.reached[0].count = 0;
    report
}

fn ran() -> Report {
    let end = |what: &str, value: &str, expect: &str| EndLine {
        what: what.into(),
        value: value.into(),
        expect: Some(expect.into()),
        ok: value.contains(expect),
    };
    let cost = |name: &str, value| Cost { name: name.into(), value };
    let mut report = failed();
    report.mode = Mode::Run;
    report.search.strategy = Chosen::AsWritten;
    report.search.executions = 1;
    report.ends = vec![
        end("A at T0", "f9 \"v2\" node 1", "\"v2\""),
        end("h0 at gaudi", "f7 \"v1\" node 0", "\"v2\""),
        end("leaks", "none", "none"),
    ];
    report.costs = vec![cost("faults", 2), cost("migrations", 0), cost("copies", 1)];
    report
}

fn matrix() -> Matrix {
    let cell = |verdict, outcome: Option<&str>| Cell {
        verdict,
        outcome: outcome.map(str::to_owned),
        ended: None,
        skipped: None,
        wanted: None,
        expected: false,
        doubted: false,
    };
    let part = |ended| Cell { ended: Some(ended), ..cell(Verdict::Partial, None) };
    let mut fork = vec![cell(Verdict::Fail, None), cell(Verdict::Pass, None)];
    fork.push(Cell { wanted: Some("ok".into()), ..part(EndedBy::Executions) });
    let unpin = vec![part(EndedBy::Executions), part(EndedBy::Time), part(EndedBy::Other)];
    let many = vec![
        cell(Verdict::Pass, Some("share")),
        cell(Verdict::Pass, Some("copy")),
        cell(Verdict::Pass, Some("share")),
    ];
    Matrix {
        locks: "",
        rules: strings(&["5.8", "5.9", "latest,fork-pin=share"]),
        rows: vec![
            MatrixRow { name: "rdma-fork".into(), cells: fork },
            MatrixRow { name: "unmap-races-pin".into(), cells: unpin },
            MatrixRow { name: "many-references".into(), cells: many },
        ],
        model: "sc",
        bounds: CellBounds { executions: Some(100_000), seconds: Some(60.0) },
        seconds: 8.8,
        compared: true,
    }
}

#[test]
fn a_failure() {
    assert_data_eq!(report::draw(&failed(), &look(100)), file!["tests/fail.txt"].raw());
}

#[test]
fn a_failure_that_was_saved() {
    let place = Place { id: "k7m2qxa".into(), directory: "target/pinfold".into() };
    let drawn = report::draw_saved(&failed(), Some(&place), &look(100));
    assert_data_eq!(drawn, file!["tests/fail-saved.txt"].raw());
}

#[test]
fn a_failure_in_ascii() {
    let ascii = Look { charset: Charset::Ascii, ..look(100) };
    let drawn = report::draw(&failed(), &ascii);
    assert!(drawn.is_ascii());
    assert_data_eq!(drawn, file!["tests/fail-ascii.txt"].raw());
}

#[test]
fn a_failure_on_a_narrow_terminal() {
    assert_data_eq!(report::draw(&failed(), &look(72)), file!["tests/fail-narrow.txt"].raw());
}

#[test]
fn a_pass() {
    assert_data_eq!(report::draw(&passed(), &look(100)), file!["tests/pass.txt"].raw());
}

#[test]
fn a_search_without_end() {
    assert_data_eq!(report::draw(&unfinished(), &look(100)), file!["tests/partial.txt"].raw());
}

#[test]
fn a_run() {
    assert_data_eq!(report::draw(&ran(), &look(100)), file!["tests/run.txt"].raw());
}

#[test]
fn a_table() {
    assert_data_eq!(matrix::draw(&matrix(), &look(100)), file!["tests/matrix.txt"].raw());
}

#[test]
fn a_table_wider_than_the_terminal_goes_on_below() {
    assert_data_eq!(matrix::draw(&matrix(), &look(40)), file!["tests/matrix-narrow.txt"].raw());
}

/// Many releases, of which the first lack what two of the scenarios need.
fn releases() -> Matrix {
    let cell = |word: &str| Cell {
        verdict: match word {
            "n/a" => Verdict::Skip,
            "BAD" => Verdict::Fail,
            _ => Verdict::Pass,
        },
        outcome: (!["n/a", "BAD", "ok"].contains(&word)).then(|| word.to_owned()),
        ended: None,
        skipped: (word == "n/a").then_some(Skipped::Absent),
        wanted: None,
        expected: false,
        doubted: false,
    };
    let row = |name: &str, cells: &str| MatrixRow {
        name: name.into(),
        cells: cells.split(' ').map(cell).collect(),
    };
    Matrix {
        rules: strings(&["3.1", "3.2", "4.4", "4.5", "5.7", "5.8", "5.9", "5.10", "latest"]),
        rows: vec![
            row("rdma-fork", "n/a n/a n/a n/a BAD BAD ok ok ok"),
            row("many-references", "n/a n/a n/a n/a share share copy copy copy"),
            row("fork-exec-get", "ok ok ok ok ok ok BAD BAD BAD"),
            row("rdma-fork-get", "BAD BAD BAD BAD BAD BAD BAD BAD BAD"),
            row("uffd-fork", "n/a n/a BAD BAD BAD BAD BAD BAD BAD"),
        ],
        bounds: CellBounds::default(),
        compared: false,
        ..matrix()
    }
}

#[test]
fn a_table_of_releases_that_lack_something() {
    assert_data_eq!(matrix::draw(&releases(), &look(100)), file!["tests/matrix-absent.txt"].raw());
}

/// Whose fault it is that a scenario breaks can be told only if the newest rules were asked, too.
#[test]
fn a_table_without_the_newest_rules_does_not_say_whose_fault_it_is() {
    let mut old = releases();
    let drawn = matrix::draw(&old, &look(100));
    assert!(drawn.contains("no release has mended"), "{drawn}");
    old.rules.pop();
    old.rows.iter_mut().for_each(|row| drop(row.cells.pop()));
    let drawn = matrix::draw(&old, &look(100));
    assert!(
        drawn.lines().any(|line| line == "rdma-fork-get  BAD under every rule set here"),
        "{drawn}"
    );
    assert!(!drawn.contains("no release has mended"), "{drawn}");
}

/// What does not fit shows neighbours that are the same as one, and only then goes on below.
#[test]
fn a_table_that_is_too_wide_shows_neighbours_that_are_the_same_as_one() {
    assert_data_eq!(matrix::draw(&releases(), &look(52)), file!["tests/matrix-folded.txt"].raw());
}

#[test]
fn several_reports() {
    let look = look(80);
    let reports = [passed(), failed(), unfinished()];
    let names = reports.iter().map(|report| report.scenario.name.as_str());
    let rules = reports.iter().map(|report| report.rules.as_str());
    let columns = summary::Columns::new(names, rules, &look);
    let mut drawn: String = reports.iter().map(|report| columns.line(report, &look)).collect();
    drawn += &summary::total(&reports, 4, &look);
    assert_data_eq!(drawn, file!["tests/summary.txt"].raw());
}

#[test]
fn colour_changes_no_text() {
    let coloured = Look { colour: Colour::On, ..look(100) };
    for report in [passed(), failed(), unfinished(), ran()] {
        let drawn = report::draw(&report, &coloured);
        let plain = report::draw(&report, &look(100));
        assert_ne!(drawn, plain);
        assert_eq!(anstream::adapter::strip_str(&drawn).to_string(), plain);
    }
}

/// A report with far too much of everything.
fn long() -> Report {
    let mut report = ran();
    let words = "many words that go on and on ".repeat(12);
    if let Some(trace) = &mut report.trace {
        // Rows that an explanation cites are shown whatever their number.
        let rows = trace.rows.iter().cycle().take(400).cloned();
        trace.rows = rows.map(|row| Row { cited: false, ..row }).collect();
        trace.rows.push(Row { lane: Some(99), ..row(7, 0, &words, &words) });
    }
    if let Some(broken) = &mut report.broken {
        broken.what = vec![words.clone(); 20];
        broken.why = vec![words.clone(); 20];
    }
    let decision = Decision {
        rule: "pte-cow".into(),
        text: words.clone(),
        in_force: words.clone(),
        told: false,
    };
    report.decisions = vec![decision; 20];
    report.ends = report.ends.iter().cycle().take(60).cloned().collect();
    report.outcomes = vec![Outcome { label: words.clone(), count: u64::MAX / 64 }; 20];
    report.reached = vec![Reached { what: words.clone(), count: 0 }; 20];
    report.bounds = vec![words; 20];
    report
}

#[test]
fn a_drawing_fits_on_a_screen_unless_everything_is_wanted() {
    for mode in [Mode::Run, Mode::Check] {
        for columns in [100, 80] {
            let report = Report { mode, ..long() };
            let drawn = report::draw(&report, &look(columns));
            assert!(drawn.lines().count() <= SCREEN, "{}\n{drawn}", drawn.lines().count());
            assert!(drawn.contains("-v shows all"));
            let all = Look { detail: Detail::All, ..look(columns) };
            assert!(report::draw(&report, &all).lines().count() > 400);
        }
    }
}

#[test]
fn no_line_is_wider_than_asked() {
    for columns in [40, 60, 79, 80, 100, 140] {
        for report in [passed(), failed(), unfinished(), ran(), long()] {
            for line in report::draw(&report, &look(columns)).lines() {
                // Commands are never broken, for they are there to be copied.
                let command = line.contains("pinfold ");
                assert!(command || width(line) <= columns, "{columns}: {line}");
            }
        }
        for line in matrix::draw(&matrix(), &look(columns)).lines() {
            assert!(width(line) <= columns, "{columns}: {line}");
        }
    }
}

#[test]
fn control_characters_are_shown_by_number() {
    let mut report = failed();
    report.scenario.title = Some("a\u{1b}[31mb\u{202e}c".into());
    let drawn = report::draw(&report, &look(100));
    assert!(drawn.contains("a\\u{1b}[31mb\\u{202e}c"), "{drawn}");
}

#[test]
fn json_of_one_report_reads_back() {
    let report = failed();
    let text = json::reports(std::slice::from_ref(&report), 1).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    assert!(json::reports(&[report.clone(), report], 2).unwrap().contains("\"reports\""));
}

#[test]
fn text_folds_at_blanks_and_inside_long_words() {
    assert_eq!(fold("", 10, 2), [""]);
    assert_eq!(fold("one two three", 8, 2), ["one two", "  three"]);
    assert_eq!(fold("abcdefghij", 4, 0), ["abcd", "efgh", "ij"]);
    assert_eq!(fold("    indented text", 13, 6), ["    indented", "      text"]);
    assert_eq!(cut("abcdefgh", 6), "abc...");
}

#[test]
fn numbers_read_easily() {
    assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!([0.0, 0.05, 61.26].map(seconds), ["<1 ms", "50 ms", "61.3 s"]);
}
