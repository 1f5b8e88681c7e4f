//! `pinfold explain` as people meet it: from an id or a scenario to a text and a page.
//!
//! What a browser makes of the page is in `html/check.sh`.

use serde_json::Value;
use snapbox::cmd::{Command, cargo_bin};
use snapbox::{assert_data_eq, file, str};
use std::fs;
use std::path::{Path, PathBuf};

fn pinfold(directory: &Path, arguments: &[&str]) -> Command {
    Command::new(cargo_bin!("pinfold")).args(arguments).current_dir(directory)
}

/// A directory of a test's own.
fn empty_directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("explain").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn printed(command: Command, code: i32) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bug_215616_is_told_from_its_words_to_its_rules() {
    let here = empty_directory("told");
    let told = printed(pinfold(&here, &["explain", "bug-215616", "--rules", "5.16"]), 1);
    // Accesses are counted in the head, and the id depends on them.
    let (head, rest) = told.split_once("\n\n").unwrap();
    assert!(head.starts_with("FAIL  bug-215616") && head.contains("rules linux-5.16"), "{head}");
    assert_data_eq!(rest, file!["explain/bug-215616.txt"].raw());
}

#[test]
fn a_saved_execution_is_explained_by_its_id_and_as_the_latest() {
    let here = empty_directory("saved");
    let check = ["check", "rdma-fork", "--rules", "5.8", "--format", "json"];
    let found: Value = serde_json::from_str(&printed(pinfold(&here, &check), 1)).unwrap();
    let id = found["id"].as_str().unwrap();
    let latest = printed(pinfold(&here, &["explain"]), 1);
    assert_eq!(printed(pinfold(&here, &["explain", id]), 1), latest);
    assert!(latest.contains(&format!("id {id}")), "{latest}");
    let searched = printed(pinfold(&here, &["explain", "rdma-fork", "--rules", "5.8"]), 1);
    assert_eq!(searched, latest);
}

#[test]
fn the_document_lists_what_saves_the_scenario() {
    let here = empty_directory("mends");
    let told = ["explain", "bug-215616", "--rules", "5.16", "--format", "json"];
    let told: Value = serde_json::from_str(&printed(pinfold(&here, &told), 1)).unwrap();
    let saves = |wanted: bool| -> Vec<String> {
        let mends = told["mends"].as_array().unwrap().iter();
        let mends = mends.filter(|mend| mend["saves"] == wanted);
        mends
            .map(|mend| {
                let word = |field: &str| mend[field].as_str().unwrap();
                assert_eq!(word("verdict") == "pass", wanted);
                format!("{}={}", word("switch"), word("variant"))
            })
            .collect()
    };
    let saving = saves(true);
    assert_eq!((saving[0].as_str(), saving.len()), ("numa-skip=ref-count", 5));
    assert_eq!(saves(false).len(), 3, "{:?}", saves(false));
}

/// What saves a scenario is told as some release has it; what counts are made of, who is there and
/// what becomes of the run is told, too.
#[test]
fn a_split_that_lacks_a_reference_is_told_with_its_sums() {
    let here = empty_directory("split");
    let told = printed(pinfold(&here, &["explain", "thp-tail-get", "--rules", "3.1"]), 1);
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "Saved by tail-mapcount (since 3.2).",
        "tail-mapcount-first (never released): as tail-mapcount, but",
        "the first posting. It saves it, too, in the order nearest to it: step 6",
        "h1 a plain reference: through it a device reaches frames, without page tables; step 5 asks",
        "direct I/O a file is read or written past the page cache",
        "3 = 1 reference (h0) + 1 of step 5 + 1 of the split's caller; with 1 of the split itself",
        "7 = 4 mappings (P:A[0] to P:A[3]) + 1 reference (h0) + 1 reference (h1) + 1 of the split's",
        "expected 5 = 4 mappings + 1 of the split's caller",
        "it does not go on, as the run ends before",
        "The end: what broke is recorded, and the run ends there; a kernel would go on",
        "key migration-w: the page is on the move, and its entry remembers write STEP 1",
        "In the same order, step 6 (split-folio A[1] may fail busy): split: f9 leaves",
        "It saves it, too, in the order nearest to it: step 6 (split-folio A[1] may fail busy)",
        "~ step 5 of direct, which has only begun, is interrupted by step 6 of splitter",
        "STEP 5 * direct: get-page h0 as h1",
        "may fail of a step: the scenario lets it fail in that way",
        "invariant a check. The memory manager finds none of its own invariants broken",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
    for absent in
        [" exclusive ", " alone what ", "can go on", "copy-on-write", "laboratory", " pin "]
    {
        assert!(!told.contains(absent), "{absent}\n{told}");
    }
}

/// What the claims do by themselves is no step's; an order is called the same only if it is.
#[test]
fn a_torn_copy_is_told_without_what_its_claims_did() {
    let here = empty_directory("torn");
    let told = printed(pinfold(&here, &["explain", "torn-fork", "--rules", "7.3"]), 1);
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "C:A has the entry rw f6",
        "STEP 6 * writer: write A.0",
        "The end: all steps are over. Only now the scenario's claims",
        "In the order nearest to it, step 5 (fork C): ",
        "execution, run the scenario, done once",
        "claim a check. Every line of the scenario's `always` holds",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
    for absent in ["for C:A", "excl:", "In the same order"] {
        assert!(!told.contains(absent), "{absent}\n{told}");
    }
}

#[test]
fn an_order_that_breaks_nothing_is_explained_as_written() {
    let here = empty_directory("nothing");
    let told = pinfold(&here, &["explain", "rdma-fork", "--rules", "latest"]);
    let output = told.output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("nothing breaks in any of"), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("order as written") && text.contains("STEP 1  "), "{text}");
    assert!(!text.contains("pinfold cure"), "there is nothing to cure: {text}");
}

#[test]
fn what_a_release_lacks_is_said() {
    let here = empty_directory("lacks");
    let told = printed(pinfold(&here, &["explain", "bug-215616", "--rules", "5.5"]), 4);
    assert!(told.starts_with("SKIP") && !told.contains("STEP"), "{told}");
}

#[test]
fn what_cannot_be_explained_is_refused_with_a_remedy() {
    let here = empty_directory("refused");
    pinfold(&here, &["explain", "nobody"]).assert().code(2).stderr_eq(str![[r#"
error: no saved execution `nobody`: there is no such file, nor that id in target/pinfold
help: `pinfold check FILE` saves what fails; for a scenario give [..]--rules, too

"#]]);
    pinfold(&here, &["explain", "rdma-fork", "--rules", "5.8", "--html", "no/such/page.html"])
        .assert()
        .code(2)
        .stdout_eq("");
    pinfold(&here, &["explain", "--rules", "5.8"]).assert().code(2).stdout_eq("");
    pinfold(&here, &["explain", "rdma-fork", "--rules", "banana"]).assert().code(2).stdout_eq("");
}

#[test]
fn a_picture_of_its_own_is_that_of_the_book() {
    let here = empty_directory("svg");
    let picture = ["explain", "rdma-fork", "--rules", "5.8", "--svg", "made.svg"];
    pinfold(&here, &picture).assert().code(1);
    let made = fs::read_to_string(here.join("made.svg")).unwrap();
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/incidents/rdma-fork.svg");
    assert_eq!(made, fs::read_to_string(book).unwrap());
    pinfold(&here, &["explain", "rdma-fork", "--rules", "5.8", "--svg", "no/such/made.svg"])
        .assert()
        .code(2)
        .stdout_eq("");
}

/// A scenario whose words would end a script and open an element.
const HOSTILE: &str = "\
scenario s
title \"</script><img src=x onerror=alert(1)>\"

setup
  process P
  P: map A 1 private rw
  P: write A \"</script><b>\"

lane l: P
  read A

always
  P:A sees \"&amp;\"
";

#[test]
fn a_page_needs_nothing_else_and_shows_words_as_words() {
    let here = empty_directory("page");
    fs::write(here.join("s.pf"), HOSTILE).unwrap();
    pinfold(&here, &["explain", "s.pf", "--rules", "latest", "--html", "s.html"]).assert().code(1);
    let page = fs::read_to_string(here.join("s.html")).unwrap();
    assert_eq!(page.matches("</script>").count(), 2, "the two that are its own");
    assert!(!page.contains("<img") && !page.contains("<b>"));
    for other in ["src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest"] {
        let own = page.matches(other).count();
        let told = page.matches(&format!("{other}x onerror")).count();
        assert_eq!(own, told, "{other} leads out of the page");
    }
    assert!(page.contains("&lt;/script&gt;&lt;b&gt;"));
}

#[test]
fn a_page_has_a_row_for_each_row_and_its_report() {
    let here = empty_directory("rows");
    let page = ["explain", "bug-215616", "--rules", "5.16", "--html", "b.html", "--format", "json"];
    let report: Value = serde_json::from_str(&printed(pinfold(&here, &page), 1)).unwrap();
    let rows = report["trace"]["rows"].as_array().unwrap().len();
    assert_eq!(report["explained"].as_array().unwrap().len(), rows);
    let page = fs::read_to_string(here.join("b.html")).unwrap();
    assert_eq!(page.matches("<tr id=\"row").count(), rows);
    for told in ["<dd>In the same order, step 4 (numa-scan): f3 was skipped, as ", "Each alone:"] {
        assert!(page.contains(told), "{told}");
    }
    let data = page.split("id=\"report\">").nth(1).unwrap().split("</script>").next().unwrap();
    let mut told = report;
    told.as_object_mut().unwrap().remove("mends");
    assert_eq!(serde_json::from_str::<Value>(data).unwrap(), told);
}

#[test]
fn the_page_of_a_table_has_the_executions_of_its_bad_cells_and_needs_nothing_else() {
    let here = empty_directory("table");
    let matrix = ["matrix", "rdma-fork", "--rules", "5.8,5.9,latest", "--html", "m.html"];
    let run = pinfold(&here, &matrix).output().unwrap();
    assert_eq!(run.status.code(), Some(0));
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(said.contains("note: the page has 1 execution in 0."), "{said}");
    assert!(said.contains("note: which later rule alone saves them took "), "{said}");
    let page = fs::read_to_string(here.join("m.html")).unwrap();
    assert_eq!(page.matches("data-run=").count(), 1);
    assert!(page.contains("data-cell=\"rdma-fork/5.8\""));
    assert!(page.contains("Saved by copy (since 5.9). "), "{page}");
    let contrast =
        "In the same order, step 4 (fork C): fork: begins to copy f3 to f6; here: f3 was";
    assert!(page.contains(contrast), "{page}");
    assert!(page.contains("li>copy-if-exclusive (since 5.19): the child gets a copy "), "{page}");
    assert_eq!(page.matches("<td class=\"good\">ok</td>").count(), 2);
    assert_eq!(page.matches("</script>").count(), 2, "the two that are its own");
    for other in ["src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest"] {
        assert!(!page.contains(other), "{other} leads out of the page");
    }
    pinfold(&here, &["matrix", "rdma-fork", "--html", "no/such/page.html"])
        .assert()
        .code(2)
        .stdout_eq("");
}

#[test]
fn words_of_scenarios_are_words_in_the_page_of_a_table() {
    let here = empty_directory("table-words");
    fs::write(here.join("s.pf"), HOSTILE).unwrap();
    pinfold(&here, &["matrix", "s.pf", "--rules", "latest", "--html", "s.html"]).assert().code(0);
    let page = fs::read_to_string(here.join("s.html")).unwrap();
    assert_eq!(page.matches("data-run=").count(), 1, "it breaks");
    assert_eq!(page.matches("</script>").count(), 2, "the two that are its own");
    assert!(!page.contains("<img"));
}
