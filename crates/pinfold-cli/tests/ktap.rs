//! `--format ktap` as a runner of the kernel's tests meets it: read by a parser that knows the
//! format's description alone, with the exit statuses of kselftest.

use snapbox::cmd::{Command, cargo_bin};
use std::fs;
use std::path::{Path, PathBuf};

/// A result line, with the level below it if there is one.
#[derive(Debug, PartialEq)]
struct Parsed {
    ok: bool,
    name: String,
    directive: Option<(String, String)>,
    notes: Vec<String>,
    parts: Vec<Parsed>,
}

/// The results of a level whose lines are indented by `depth` times two blanks; what follows is of
/// the level above.
fn level(lines: &mut &[&str], depth: usize) -> Vec<Parsed> {
    let indent = "  ".repeat(depth);
    let own = |lines: &mut &[&str]| -> String {
        let (first, rest) = lines.split_first().expect("a line is missing");
        *lines = rest;
        first
            .strip_prefix(&indent)
            .unwrap_or_else(|| panic!("not on level {depth}: {first}"))
            .into()
    };
    assert_eq!(own(lines), "KTAP version 1");
    let mut planned = None;
    let mut results = Vec::new();
    let mut notes = Vec::new();
    let mut parts = Vec::new();
    while planned.is_none_or(|planned| results.len() < planned) {
        let below = format!("{indent}  KTAP version 1");
        if lines.first() == Some(&below.as_str()) {
            assert!(parts.is_empty(), "two levels below one result");
            parts = level(lines, depth + 1);
            continue;
        }
        let line = own(lines);
        if let Some(note) = line.strip_prefix("# ") {
            notes.push(note.to_owned());
        } else if let Some(plan) = line.strip_prefix("1..") {
            assert!(planned.is_none(), "two plans");
            planned = Some(plan.parse().expect("a number"));
        } else {
            let (ok, rest) = match line.strip_prefix("not ") {
                Some(rest) => (false, rest),
                None => (true, line.as_str()),
            };
            let rest = rest.strip_prefix("ok ").unwrap_or_else(|| panic!("no result: {line}"));
            let (number, rest) = rest.split_once(' ').expect("a name");
            assert_eq!(number.parse(), Ok(results.len() + 1), "{line}");
            let (name, directive) = match rest.split_once(" # ") {
                Some((name, directive)) => {
                    let (word, why) = directive.split_once(' ').unwrap_or((directive, ""));
                    (name, Some((word.to_owned(), why.to_owned())))
                }
                None => (rest, None),
            };
            let (notes, parts) = (std::mem::take(&mut notes), std::mem::take(&mut parts));
            results.push(Parsed { ok, name: name.to_owned(), directive, notes, parts });
        }
    }
    results
}

fn parse(text: &str) -> Vec<Parsed> {
    let lines: Vec<&str> = text.lines().collect();
    let mut rest = lines.as_slice();
    let results = level(&mut rest, 0);
    let [totals] = rest else { panic!("more than the totals is left: {rest:?}") };
    let count = |is: fn(&Parsed) -> bool| results.iter().filter(|one| is(one)).count();
    let skipped = |one: &Parsed| one.directive.as_ref().is_some_and(|(word, _)| word == "SKIP");
    let told = |word: &str| {
        let counts = totals.strip_prefix("# Totals: ").expect("the totals").split(' ');
        let mut counts = counts.filter_map(|count| count.split_once(':'));
        counts.find(|(name, _)| *name == word).expect(word).1.parse::<usize>().expect("a number")
    };
    assert_eq!(told("skip"), count(skipped));
    assert_eq!(told("fail") + told("error"), count(|one| !one.ok));
    results
}

fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ktap").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// What the command prints with these arguments and this exit status.
fn printed(directory: &Path, line: &str, code: i32) -> String {
    let mut run = Command::new(cargo_bin!("pinfold")).current_dir(directory);
    run = run.args(line.split(' ')).args(["--format", "ktap"]);
    let output = run.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{line}: {:?}", output.stdout);
    String::from_utf8(output.stdout).unwrap()
}

fn names(results: &[Parsed]) -> Vec<(&str, bool)> {
    results.iter().map(|one| (one.name.as_str(), one.ok)).collect()
}

fn word(one: &Parsed) -> Option<&str> {
    one.directive.as_ref().map(|(word, _)| word.as_str())
}

#[test]
fn one_check_is_one_test() {
    let here = directory("one");
    let passes = parse(&printed(&here, "check rdma-fork --rules latest", 0));
    assert_eq!(names(&passes), [("rdma-fork", true)]);
    assert!(passes[0].notes[0].contains("1 execution"), "{passes:?}");
    let breaks = parse(&printed(&here, "check rdma-fork --rules 5.8", 1));
    assert_eq!((names(&breaks), word(&breaks[0])), (vec![("rdma-fork", false)], None));
    assert!(breaks[0].notes.iter().any(|note| note.starts_with("id ")), "{breaks:?}");
    let absent = parse(&printed(&here, "check bug-215616 --rules 4.8", 4));
    assert_eq!((absent[0].ok, word(&absent[0])), (true, Some("SKIP")));
    assert!(!absent[0].directive.as_ref().unwrap().1.is_empty(), "a reason");
}

#[test]
fn a_search_that_was_not_done_is_no_pass_unless_that_is_allowed() {
    let here = directory("partial");
    let check = "check fork-races-fast-pin --rules latest --max-executions 1";
    let partial = parse(&printed(&here, check, 1));
    assert_eq!((partial[0].ok, word(&partial[0])), (false, Some("TIMEOUT")));
    let allowed = parse(&printed(&here, &format!("{check} --allow-partial"), 0));
    assert!(allowed[0].ok && allowed[0].directive.is_none());
}

#[test]
fn rule_sets_are_parts_of_a_scenario() {
    let here = directory("parts");
    let check = "check rdma-fork rdma-fork-get --rules 4.8,5.8,latest";
    let results = parse(&printed(&here, check, 1));
    assert_eq!(names(&results), [("rdma-fork", false), ("rdma-fork-get", false)]);
    let parts = names(&results[0].parts);
    assert_eq!(parts, [("linux-4.8", true), ("linux-5.8", false), ("linux-7.3", true)]);
    assert_eq!(word(&results[0].parts[0]), Some("SKIP"));
    assert_eq!(word(&results[0]), None, "not all of it was skipped");
}

#[test]
fn a_table_fails_where_something_breaks_that_was_not_expected_to() {
    let here = directory("matrix");
    let matrix = "matrix rdma-fork torn-fork --rules 5.8,latest";
    let bare = parse(&printed(&here, matrix, 1));
    assert_eq!(names(&bare), [("rdma-fork", false), ("torn-fork", false)]);
    let met = parse(&printed(&here, &format!("{matrix} --expect verdicts"), 0));
    assert_eq!(names(&met), [("rdma-fork", true), ("torn-fork", true)]);
    assert_eq!(met[0].parts.iter().map(word).collect::<Vec<_>>(), [Some("XFAIL"), None]);
    fs::write(here.join("t"), "scenario 5.8 latest\nrdma-fork ok ok\ntorn-fork BAD BAD\n").unwrap();
    let not_met = parse(&printed(&here, &format!("{matrix} --expect t"), 1));
    assert_eq!(names(&not_met), [("rdma-fork", false), ("torn-fork", true)]);
    assert_eq!(names(&not_met[0].parts), [("5.8", false), ("latest", true)]);
    assert_eq!(not_met[0].parts[0].notes.last().unwrap(), "BAD, expected ok");
}

#[test]
fn a_run_is_a_test() {
    let here = directory("run");
    let text = "scenario s\n\nsetup\n  process P\n  P: map A 1 private rw\n  P: write A \"#\"\n\n\
                lane l: P\n  read A\n\nalways\n  P:A sees \"not ok 1\"\n";
    fs::write(here.join("s.pf"), text).unwrap();
    let results = parse(&printed(&here, "run s.pf", 1));
    assert_eq!(names(&results), [("s", false)]);
    assert_eq!(names(&parse(&printed(&here, "run rdma-fork", 0))), [("rdma-fork", true)]);
}

#[test]
fn what_cannot_be_asked_bails_out() {
    let here = directory("bail");
    for (line, told) in [
        ("check nobody", "nobody"),
        ("check rdma-fork --rules banana", "banana"),
        ("run rdma-fork --no-such-flag", "--no-such-flag"),
    ] {
        let said = printed(&here, line, 1);
        assert!(said.starts_with("Bail out! ") && said.lines().count() == 1, "{said}");
        assert!(said.contains(told), "{said}");
    }
    let refused = ["explain", "rdma-fork", "--rules", "5.8", "--format", "ktap"];
    let run = Command::new(cargo_bin!("pinfold")).args(refused).output().unwrap();
    assert!(!run.status.success());
}

/// Whatever the kernel of this machine can do: what it cannot is skipped, with the reason.
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
#[test]
fn a_scenario_on_a_real_kernel_is_a_test() {
    let here = directory("kernel");
    let on = |line: &str| {
        let line = format!("check {line} --on linux --trials 3 --format ktap");
        let run = Command::new(cargo_bin!("pinfold")).current_dir(&here).args(line.split(' '));
        let output = run.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        (parse(&printed), output.status.code().unwrap())
    };
    let (results, code) = on("rdma-fork zero-page-overflow");
    assert_eq!(names(&results), [("rdma-fork", true), ("zero-page-overflow", true)]);
    assert!(results.iter().all(|one| one.notes[0].starts_with("kernel ")), "{results:?}");
    let skipped = |one: &Parsed| word(one) == Some("SKIP");
    assert!(skipped(&results[1]), "no call pins for reading, so many times: {results:?}");
    assert!(!results[1].directive.as_ref().unwrap().1.is_empty(), "a reason");
    assert_eq!(code, if skipped(&results[0]) { 4 } else { 0 });

    // No kernel that can be asked has these rules: fork copies pinned pages since 5.9.
    let (results, code) = on("rdma-fork --rules 5.8");
    let [one] = results.as_slice() else { panic!("{results:?}") };
    if skipped(one) {
        assert_eq!(code, 4);
        return;
    }
    assert_eq!((one.ok, code), (false, 1), "{one:?}");
    assert!(one.notes[0].ends_with("compared with linux-5.8: BEYOND"), "{one:?}");
    let told = |start: &str| one.notes.iter().any(|note| note.starts_with(start));
    assert!(told("parted") && told("whole steps") && told("h0 is P:A"), "{one:?}");
    assert!(told("saved target/pinfold/"), "{one:?}");
}

/// What the parser must be able to refuse.
#[test]
fn the_parser_refuses_what_is_not_ktap() {
    let refuses = |text: &'static str| {
        std::panic::catch_unwind(|| parse(text)).expect_err(text);
    };
    let totals = "# Totals: pass:0 fail:1 xfail:0 xpass:0 skip:0 error:0\n";
    let all =
        |body: &str| -> &'static str { Box::leak((body.to_owned() + totals).into_boxed_str()) };
    parse(all("KTAP version 1\n1..1\nnot ok 1 a\n"));
    refuses(all("1..1\nnot ok 1 a\n"));
    refuses(all("KTAP version 1\n1..2\nnot ok 1 a\n"));
    refuses(all("KTAP version 1\n1..1\nnot ok 2 a\n"));
    refuses(all("KTAP version 1\n1..1\n  KTAP version 1\n  1..1\nok 1 b\nnot ok 1 a\n"));
    refuses(all("KTAP version 1\n1..1\nok 1 a\n"));
}
