//! What the command says of kernels by name: which of their switches are guesses, and on which of
//! those a verdict depends.

use serde_json::Value;
use snapbox::cmd::{Command, cargo_bin};

fn pinfold(arguments: &[&str]) -> (String, String, Option<i32>) {
    let run = Command::new(cargo_bin!("pinfold")).args(arguments);
    let run = run.current_dir(env!("CARGO_TARGET_TMPDIR")).assert();
    let output = run.get_output();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    // A text without its line breaks, as people read it.
    let flat = text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    (flat, text(&output.stderr), output.status.code())
}

fn json(arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--format", "json"]].concat();
    serde_json::from_str(&pinfold(&arguments).0).unwrap()
}

fn check<'a>(scenario: &'a str, rules: &'a str) -> [&'a str; 5] {
    ["check", scenario, "--rules", rules, "--no-save"]
}

#[test]
fn a_failure_that_rests_on_a_guess_says_on_which_commit_it_depends() {
    let (told, _, code) = pinfold(&check("bug-215616", "el9"));
    assert_eq!(code, Some(1));
    let expected = "DOUBT numa-skip=map-count is a guess for el9: mainline has had ref-count since \
                    5.17; with that it is PASS: depends on whether it has 80d47f5de5e3";
    assert!(told.contains(expected), "{told}");
    let told = json(&check("bug-215616", "el9"));
    assert_eq!(told["rules"], "linux-5.14");
    let kernel = &told["kernel"];
    assert_eq!((&kernel["name"], &kernel["open"]), (&"el9".into(), &0.into()));
    let first = &kernel["depends_on"][0];
    assert_eq!(first["standing"], "guess");
    assert_eq!((&first["commit"], &first["verdict"]), (&"80d47f5de5e3".into(), &"pass".into()));
}

/// One execution, told or run, depends on the same commit as the search; what a table shows of it
/// is marked, and what is mainline's is not.
#[test]
fn run_explain_and_matrix_say_it_too() {
    let depends = "depends on whether it has 80d47f5de5e3";
    let (told, _, code) = pinfold(&["explain", "bug-215616", "--rules", "el9"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("DOUBT numa-skip=map-count is a guess for el9"), "{told}");
    assert!(told.contains(depends), "{told}");
    let told = json(&["explain", "bug-215616", "--rules", "el9"]);
    assert_eq!(told["kernel"]["depends_on"][0]["commit"], "80d47f5de5e3");
    let (told, _, code) =
        pinfold(&["run", "rdma-fork", "--rules", "el8,interfaces=pin-user-pages"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("DOUBT fork-pin=share is a guess for el8"), "{told}");
    assert!(told.contains("depends on whether it has 70e806e4e645"), "{told}");
    let (told, _, _) = pinfold(&["run", "rdma-fork", "--rules", "5.8"]);
    assert!(!told.contains("DOUBT"), "{told}");
    let table = ["matrix", "bug-215616", "--rules", "el9,5.16,latest"];
    let (told, _, code) = pinfold(&table);
    assert_eq!(code, Some(0));
    assert!(told.contains("bug-215616 BAD? BAD ok"), "{told}");
    assert!(told.contains("? with a commit of which it is not known"), "{told}");
    let cells = json(&table);
    let marked = |cell: &Value| cell["doubted"] == Value::Bool(true);
    let marked: Vec<bool> = cells["cells"].as_array().unwrap().iter().map(marked).collect();
    assert_eq!(marked, [true, false, false]);
}

#[test]
fn a_point_that_a_name_leaves_open_is_decided_both_ways() {
    for (kernel, point) in [("5.15.0-1034-azure", "25"), ("5.10.0-12-amd64", "102")] {
        let (told, _, _) = pinfold(&check("bug-215616", kernel));
        let expected = format!(
            "numa-skip=map-count, but the series of {kernel} has ref-count from its point {point} \
             on; with that it is PASS: depends on whether it has 80d47f5de5e3"
        );
        assert!(told.contains(&expected), "{told}");
    }
}

#[test]
fn a_pass_names_the_guess_that_would_break_it() {
    let (told, _, code) = pinfold(&check("bug-215616", "el8,interfaces=pin-user-pages"));
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("DOUBT pte-cow=map-count-unmerged is a guess for el8"), "{told}");
    assert!(
        told.contains("with that it is FAIL: depends on whether it has 09854ba94c6a"),
        "{told}"
    );
}

#[test]
fn a_step_that_a_vendor_may_have_is_skipped_with_that_remedy() {
    let (told, _, code) = pinfold(&check("rdma-fork", "el8"));
    assert_eq!(code, Some(4));
    assert!(told.contains("this kernel has it by now, from memory (facts 0.4)"), "{told}");
    assert!(told.contains("`--rules el8,interfaces=pin-user-pages` asks as if it had"), "{told}");
}

/// Searches that did not end say nothing, whether the first did or not.
#[test]
fn what_was_not_decided_is_not_said_to_change_nothing() {
    let (told, _, code) = pinfold(&check("delay-all-rmap-reuse", "el9"));
    assert_eq!(code, Some(0), "{told}");
    let expected = "none of those whose search ended changes this verdict alone ";
    let open = told.split(expected).nth(1).unwrap_or_default();
    assert!(open.contains(": a bound ended the search, and nothing broke before"), "{told}");
    let (told, _, code) = pinfold(&check("munlock-delayed", "el9"));
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("DOUBT guessed of el9: 43 switches "), "{told}");
    assert!(told.contains(" and 51 more: a bound ended the search"), "{told}");
}

#[test]
fn what_is_known_is_in_no_doubt() {
    for rules in ["5.14", "pinfold", "latest", "5.14,numa-skip=ref-count"] {
        let (told, _, _) = pinfold(&check("bug-215616", rules));
        assert!(!told.contains("DOUBT"), "{rules}: {told}");
        assert!(json(&check("bug-215616", rules)).get("kernel").is_none(), "{rules}");
    }
    // What was given is no guess.
    let (told, _, _) = pinfold(&check("bug-215616", "el9,numa-skip=map-count"));
    assert!(!told.contains("numa-skip=map-count is a guess"), "{told}");
}

#[test]
fn cures_and_tables_say_it_too() {
    let (told, _, _) = pinfold(&["cure", "bug-215616", "--rules", "el9", "--switches", "1"]);
    assert!(told.contains("DOUBT numa-skip=map-count is a guess for el9"), "{told}");
    let told = json(&["cure", "bug-215616", "--rules", "el9", "--switches", "1"]);
    assert_eq!(told["kernel"]["depends_on"][0]["switch"], "numa-skip");
    let (told, _, _) = pinfold(&["matrix", "rdma-fork", "--rules", "el9,5.9"]);
    assert!(told.contains("guessed of el9: "), "{told}");
    assert_eq!(json(&["matrix", "rdma-fork", "--rules", "el9,5.9"])["kernels"][0]["name"], "el9");
    let plain = json(&["matrix", "rdma-fork", "--rules", "5.9"]);
    assert!(plain.get("kernels").is_none());
}

#[test]
fn names_of_vendors_and_titles_are_understood() {
    for (name, expected) in [
        (
            "5.14.21-150500.55.19-default",
            "a kernel of SUSE, which keeps the number 5.14.21: a vendor's",
        ),
        ("5.4.17-2136.el8uek", "a kernel of Oracle, which keeps the number 5.4.17: a vendor's"),
        ("debian12", "of Debian 12 (bookworm)"),
        ("ubuntu22.04", "of Ubuntu 22.04 (jammy)"),
        ("v5.15.133", "5.15.133, a stable release"),
        (
            "5.10.0-12-amd64",
            "that holds 5.10.46 or later and less than 5.10.106: which is not known",
        ),
    ] {
        let (told, _, code) = pinfold(&["rules", name]);
        assert_eq!(code, Some(0));
        assert!(told.contains(expected), "{name}: {told}");
    }
}

#[test]
fn rules_and_calls_are_documents_too() {
    let list = json(&["rules"]);
    assert_eq!(list["switches"][0]["name"], "pte-cow");
    let one = json(&["rules", "el9"]);
    assert_eq!(one["kernel"]["series"], "el9");
    for (name, known) in [
        ("el9", "newest"),
        ("5.15.133", "exact"),
        ("5.14.21-150500.55.19-default", "at-least"),
        ("6.1.0-3-amd64", "between"),
        ("5.15.0-1051-aws", "unknown"),
    ] {
        assert_eq!(json(&["rules", name])["kernel"]["known"], known, "{name}");
    }
    let numa = one["variants"].as_array().unwrap();
    let numa = numa.iter().find(|row| row["switch"] == "numa-skip").unwrap();
    assert_eq!((&numa["standing"], &numa["from"]), (&"guess".into(), &"5.17".into()));
    assert!(json(&["rules", "5.9"])["variants"][0].get("standing").is_none());
    assert_eq!(json(&["rules", "5.8", "5.9"])["differences"][0]["switch"], "pte-cow");
    assert_eq!(json(&["rules", "pte-cow"])["switch"]["variants"][1]["name"], "map-count");
    assert_eq!(json(&["rules", "no-such"])["verdict"], "error");
    let calls = json(&["calls", "RDMA"]);
    assert_eq!(calls["calls"][0]["takes"][1]["hold"], "pin");
    assert!(json(&["calls"])["calls"].as_array().unwrap().len() > 10);
    let (_, told, code) = pinfold(&["calls", "vmsplic"]);
    assert!(code == Some(2) && told.contains("did you mean `vmsplice`?"), "{told}");
}

#[test]
fn help_and_answers_say_under_which_model() {
    for command in [&["when"][..], &["cure"], &["matrix"], &["import", "strace"]] {
        let (told, _, _) = pinfold(&[command, &["--help"]].concat());
        let expected = "for `matrix`, `when`, `cure` and `import` tso";
        assert!(told.contains(expected), "{command:?}: {told}");
    }
    let hint = "a weakly ordered machine may break more: `--model weak`";
    let (told, _, _) = pinfold(&["cure", "rdma-fork", "--rules", "5.8", "--switches", "1"]);
    assert!(told.contains(hint), "{told}");
}
