//! The command as people meet it: exit codes, errors, and the way through pipes.

use pinfold_lab::{SCENARIOS, Shipped, scenario};
use snapbox::cmd::{Command, cargo_bin};
use snapbox::str;
use std::fs;
use std::path::{Path, PathBuf};

/// The workspace, where `./scenarios` is.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn pinfold(arguments: &[&str]) -> Command {
    Command::new(cargo_bin!("pinfold")).args(arguments).current_dir(workspace())
}

/// A directory of a test's own, without any scenario.
fn empty_directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A scenario that is not in canonical form.
const UGLY: &str = "\
scenario s
setup
   process P
  P: map A 1 private rw
lane l: P
  read A
always
  P:A sees \"0\"
";

#[test]
fn a_run_that_breaks_a_claim_fails() {
    pinfold(&["run", "rdma-fork", "--rules", "5.8"]).assert().code(1);
}

#[test]
fn a_run_that_breaks_nothing_succeeds() {
    pinfold(&["run", "rdma-fork", "--rules", "latest"]).assert().success();
}

#[test]
fn a_check_tells_its_verdict_by_its_exit_code() {
    pinfold(&["check", "rdma-fork", "--rules", "5.8", "--no-save"]).assert().code(1);
    pinfold(&["check", "rdma-fork", "--rules", "latest"]).assert().success();
}

#[test]
fn an_unfinished_check_is_no_success_unless_allowed() {
    let partial = ["check", "fork-races-fast-pin", "--rules", "5.17", "--max-executions", "1"];
    pinfold(&partial).assert().code(3);
    pinfold(&partial).arg("--allow-partial").assert().success();
}

#[test]
fn several_checks_take_the_worst_verdict() {
    pinfold(&["check", "rdma-fork", "rdma-dontfork", "--rules", "5.9,5.8"]).assert().code(1);
}

/// What a release has no interface for is refused by the name of the release that brought it, and
/// is no answer about the others.
#[test]
fn what_a_release_lacks_is_skipped_by_name() {
    let why = "PF0302: pin: pin_user_pages exists since 5.6, and not under linux-4.8";
    for ask in [
        &["check", "rdma-fork", "--rules", "4.8"][..],
        &["run", "rdma-fork", "--rules", "4.8"],
        &["replay", "rdma-fork", "--rules", "4.8", "--schedule", "1"],
        &["check", "rdma-fork", "--rules", "4.8", "--jobs", "2"],
    ] {
        let told = pinfold(ask).assert().code(4).get_output().stdout.clone();
        let told = String::from_utf8(told).unwrap();
        assert!(told.starts_with("SKIP") && told.contains(why), "{ask:?}: {told}");
        assert!(told.lines().all(|line| line.chars().count() <= 100), "{told}");
    }
    pinfold(&["check", "rdma-fork", "--rules", "4.8,5.9"]).assert().success();
    pinfold(&["check", "rdma-fork", "--rules", "4.8,5.7"]).assert().code(1);
    pinfold(&["check", "rdma-fork", "--rules", "3.1,4.8"]).assert().code(4);
    let anyway = ["check", "rdma-fork", "--no-save", "--rules"];
    pinfold(&anyway).arg("4.8,interfaces=pin-user-pages").assert().code(1);

    let directory = empty_directory("absent");
    let table = directory.join("table.txt");
    fs::write(&table, "scenario 4.8 5.9\nrdma-fork n/a ok\n").unwrap();
    let matrix = ["matrix", "rdma-fork", "--rules", "4.8,5.9", "--expect"];
    pinfold(&matrix).arg(&table).assert().success();
    fs::write(&table, "scenario 4.8 5.9\nrdma-fork ok ok\n").unwrap();
    pinfold(&matrix).arg(&table).assert().code(1);
}

/// All presets in one table, of the usual width.
#[test]
fn a_table_of_every_preset_fits_the_usual_width() {
    let table = ["matrix", "rdma-fork", "uffd-minor", "wrprotect-restore-loses-dirty"];
    let table = pinfold(&table).assert().success().get_output().stdout.clone();
    let table = String::from_utf8(table).unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    let head = table.lines().next().unwrap();
    assert!(head.contains(" 3.1..4.8 ") && head.ends_with("pinfold"), "{head}");
}

#[test]
fn a_found_schedule_replays_to_the_same_failure() {
    let found = pinfold(&["check", "rdma-fork", "--rules", "5.8", "--no-save", "--format", "json"]);
    let found = found.output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    let schedule = found["broken"]["schedule"].as_str().unwrap();
    let replay = ["replay", "rdma-fork", "--rules", "5.8", "--schedule", schedule];
    let again = pinfold(&replay).args(["--format", "json"]).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    let again: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["broken"]["oracle"], found["broken"]["oracle"]);
    assert_eq!(again["broken"]["what"], found["broken"]["what"]);
}

#[test]
fn a_text_that_is_no_schedule_is_an_error() {
    pinfold(&["replay", "rdma-fork", "--schedule", "nonsense"]).assert().code(2);
}

#[test]
fn a_table_compares_nothing_by_itself() {
    pinfold(&["matrix", "rdma-fork", "--rules", "5.8,5.9"]).assert().success();
}

fn printed(arguments: &[&str]) -> String {
    let output = pinfold(arguments).assert().success().get_output().stdout.clone();
    String::from_utf8(output).unwrap()
}

#[test]
fn a_history_names_the_release_and_the_change_that_made_it() {
    let told = printed(&["when", "rdma-fork"]);
    for line in [
        "3.1 to 5.5     n/a   PF0302: pin: pin_user_pages exists since 5.6, and not under linux-3.1",
        "5.6 to 5.8     BAD   pin-coherence: h0 names f3, P names f6",
        "  from 5.6 on there is pin_user_pages",
        "5.9 to 7.3     ok",
        "  fork-pin=copy  since 5.9, in place of share",
    ] {
        assert!(told.lines().any(|known| known == line), "{line}\n{told}");
    }
    assert!(told.lines().all(|line| line.chars().count() <= 100), "{told}");
    // That there is something to ask about decides nothing.
    assert!(!told.contains("interfaces="), "{told}");
    let json = printed(&["when", "rdma-fork", "--format", "json"]);
    assert!(json.contains("\"came\": [\n        \"pin_user_pages\""), "{json}");
    assert!(
        json.contains("\"switch\": \"fork-pin\"") && json.contains("\"last\": \"7.3\""),
        "{json}"
    );
    pinfold(&["when", "no-such-scenario"]).assert().code(2);
}

/// What is suggested for a file names the file, and a document says under which model what broke.
#[test]
fn a_history_of_a_file_names_its_path() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("history.pf");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios/rdma-fork.pf");
    fs::copy(shipped, &path).expect("it can be copied");
    let path = path.to_str().expect("the path is UTF-8");
    let told = printed(&["when", path]);
    let words: Vec<_> = told.split_whitespace().collect();
    let suggested = words.windows(5).filter(|words| words[0] == "`pinfold" && words[2] == path);
    let suggested: Vec<_> = suggested.map(|words| (words[1], words[3], words[4])).collect();
    assert_eq!(suggested, [("check", "--rules", "5.6`"), ("cure", "--rules", "5.6`")], "{told}");
    let json = printed(&["when", path, "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&json).expect("one document");
    assert_eq!(document["model"], "tso");
    assert_eq!(document["eras"][0]["broken"]["code"], "PF0302");
    assert_eq!(document["eras"][1]["broken"]["oracle"], "pin-coherence");
    assert!(document["eras"][2]["broken"].is_null(), "{json}");
}

/// Where nothing breaks because not all was searched, or nothing could be, there is no pass.
#[test]
fn what_was_not_searched_to_the_end_is_told_as_that() {
    let told = |arguments: &str, code: i32| {
        let arguments: Vec<_> = arguments.split(' ').collect();
        let ran = pinfold(&arguments).assert().code(code);
        String::from_utf8_lossy(&ran.get_output().stdout).into_owned()
    };
    let when = told("when bug-215616 --max-executions 1", 3);
    assert!(when.contains("not every release was searched to the end"), "{when}");
    let cure = told("cure bug-215616 --rules 5.14 --max-executions 1", 3);
    assert!(cure.contains("under linux-5.14: ") && !cure.contains("nothing to cure"), "{cure}");
    let absent = told("cure rdma-fork --rules 5.5", 4);
    assert!(absent.contains("n/a under linux-5.5: PF0302: pin: "), "{absent}");
    let json = told("cure rdma-fork --rules 5.5 --format json", 4);
    let document: serde_json::Value = serde_json::from_str(&json).expect("one document");
    assert_eq!((&document["model"], &document["verdict"]), (&"tso".into(), &"skip".into()));
    assert_eq!(document["broken"]["code"], "PF0302");
}

#[test]
fn a_cure_is_told_with_what_it_replaces() {
    let told = printed(&["cure", "rdma-fork", "--rules", "5.8", "--switches", "1"]);
    let line = "  fork-pin=copy  since 5.9, in place of share";
    assert!(told.lines().any(|known| known == line), "{told}");
    let json = ["cure", "rdma-fork", "--rules", "5.8", "--switches", "1", "--format", "json"];
    assert!(printed(&json).contains("\"released\": true"));
    assert!(printed(&["cure", "rdma-fork"]).contains("nothing to cure"));
    // A program that unmaps under its device is lost under any rules.
    pinfold(&["cure", "unmap-then-map", "--switches", "1", "--rules", "5.10"]).assert().code(1);
    pinfold(&["cure", "rdma-fork", "--rules", "5.8", "--switches", "9"]).assert().code(2);
}

#[test]
fn a_table_is_compared_with_what_is_expected() {
    let directory = empty_directory("expect");
    let table = directory.join("table.txt");
    let table = table.to_str().unwrap();
    let matrix = ["matrix", "rdma-fork", "--rules", "5.8,5.9", "--expect", table];
    fs::write(table, "scenario 5.8 5.9\nrdma-fork BAD ok\n").unwrap();
    pinfold(&matrix).assert().success();
    fs::write(table, "scenario 5.8 5.9\nrdma-fork ok ok\n").unwrap();
    pinfold(&matrix).assert().code(1);
    fs::write(table, "scenario 5.10\nrdma-fork ok\n").unwrap();
    pinfold(&matrix).assert().code(2);
}

#[test]
fn a_scenario_in_json_is_checked_run_compared_and_formatted_like_its_text() {
    let directory = empty_directory("json");
    let shipped = Shipped::find(SCENARIOS, "rdma-fork").unwrap();
    let scenario = scenario::parse(shipped.text).unwrap();
    let document = scenario::json::write(&scenario).unwrap() + "\n";
    let file = directory.join("other.json");
    fs::write(&file, &document).unwrap();
    let file = file.to_str().unwrap();
    let id = |what: &str| {
        let check = ["check", what, "--rules", "5.8", "--no-save", "--format", "json"];
        let found = pinfold(&check).output().unwrap();
        assert_eq!(found.status.code(), Some(1), "{what}");
        let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(id(file), id("rdma-fork"));
    pinfold(&["check", file, "--rules", "5.9", "--no-save"]).assert().success();
    pinfold(&["run", file, "--rules", "5.9"]).assert().success();
    pinfold(&["matrix", file, "--rules", "5.8,5.9"]).assert().success();
    pinfold(&["fmt", "--check", file]).assert().success();
    fs::write(file, document.replace("  ", "")).unwrap();
    pinfold(&["fmt", "--check", file]).assert().code(1);
    pinfold(&["fmt", file]).assert().success();
    assert_eq!(fs::read_to_string(file).unwrap(), document);
    fs::write(file, document.replace("\"A\"", "\"A b\"")).unwrap();
    pinfold(&["check", file]).assert().code(2);
    fs::write(file, document.replace("\"pinfold\": 1", "\"pinfold\": 9")).unwrap();
    pinfold(&["check", file]).assert().code(2);
}

#[test]
fn a_missing_scenario_names_the_nearest() {
    pinfold(&["check", "rmda-fork"]).assert().code(2).stdout_eq(str![]).stderr_eq(str![[r#"
error: no scenario `rmda-fork`: there is no such file, nor a scenario of that name
help: did you mean `rdma-fork`?

"#]]);
}

#[test]
fn unknown_rules_are_an_error() {
    let stderr = pinfold(&["run", "rdma-fork", "--rules", "5.99"]).assert().code(2);
    stderr.stdout_eq(str![]).stderr_eq(str![[r#"
error: in rules `5.99`: [..]
help: `pinfold rules` lists them all

"#]]);
}

#[test]
fn errors_of_a_scenario_are_drawn() {
    let directory = empty_directory("broken");
    fs::write(directory.join("s.pf"), UGLY.replace("read A", "read B")).unwrap();
    let run = pinfold(&["run", "s.pf"]).current_dir(&directory).assert().code(2);
    run.stdout_eq(str![]).stderr_eq(str![[r#"
error[PF0120]: [..]
 --> s.pf:6:8
...
"#]]);
}

#[test]
fn a_directory_is_no_scenario() {
    pinfold(&["run", "scenarios"]).assert().code(2);
}

#[test]
fn built_in_scenarios_need_no_files() {
    let directory = empty_directory("bare");
    pinfold(&["run", "rdma-dontfork"]).current_dir(&directory).assert().success();
    pinfold(&["fmt", "rdma-dontfork"]).current_dir(&directory).assert().code(2);
}

#[test]
fn built_in_verdicts_need_no_files() {
    let directory = empty_directory("bare-verdicts");
    let expect = |table| {
        pinfold(&["matrix", "rdma-dontfork", "--rules", "5.8", "--expect", table])
            .current_dir(&directory)
            .assert()
    };
    expect("verdicts").success();
    expect("verdicts-strong").code(2);
    fs::write(directory.join("verdicts"), "scenario 5.8\nrdma-dontfork BAD\n").unwrap();
    expect("verdicts").code(1);
}

#[test]
fn fmt_names_and_rewrites_what_is_not_canonical() {
    let directory = empty_directory("fmt");
    let file = directory.join("s.pf");
    fs::write(&file, UGLY).unwrap();
    let fmt = |arguments: &[&str]| pinfold(arguments).current_dir(&directory).assert();
    fmt(&["fmt", "--check", "s.pf"]).code(1).stdout_eq("s.pf\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), UGLY);
    fmt(&["fmt", "s.pf"]).success();
    assert_ne!(fs::read_to_string(&file).unwrap(), UGLY);
    fmt(&["fmt", "--check", "s.pf"]).success().stdout_eq(str![]);
}

#[test]
fn rules_are_listed_shown_and_compared() {
    pinfold(&["rules"]).assert().success();
    pinfold(&["rules", "5.9"]).assert().success();
    pinfold(&["rules", "pte-cow"]).assert().success();
    let same = pinfold(&["rules", "5.9", "linux-5.9"]).assert().success();
    same.stdout_eq("linux-5.9 and linux-5.9 do not differ\n");
    pinfold(&["rules", "5.9", "pte-cow"]).assert().code(2);
}

/// What kernels are called: each answer is one screen that names the base and says what is a guess.
#[test]
fn a_kernel_by_its_name_is_explained_on_one_screen() {
    let table = [
        ("5.15.133", "5.15"),
        ("el8", "4.18"),
        ("el9", "5.14"),
        ("bullseye", "5.10"),
        ("bookworm", "6.1"),
        ("trixie", "6.12"),
        ("focal", "5.4"),
        ("jammy", "5.15"),
        ("noble", "6.8"),
        ("6.6.y", "6.6"),
        ("3.10.0-1160.el7.x86_64", "3.10"),
        ("5.10.0-28-amd64", "5.10"),
        ("6.1.0-18-amd64", "6.1"),
        ("5.10.3", "5.10"),
        ("5.15.0-1051-aws", "5.15"),
        ("5.15.0-91-generic", "5.15"),
        ("6.8.0-31-generic", "6.8"),
        ("5.14.0-427.el9.x86_64", "5.14"),
        ("4.18.0-553.el8_10.x86_64", "4.18"),
    ];
    for (name, base) in table {
        let told = printed(&["rules", name]);
        let lines = told.lines().count();
        assert!((15..=40).contains(&lines), "{name}: {lines} lines\n{told}");
        assert!(told.lines().all(|line| line.chars().count() <= 100), "{name}:\n{told}");
        assert!(told.contains(&format!("Linux {base};")), "{name}:\n{told}");
        assert!(told.contains("\nguesses: "), "{name}:\n{told}");
    }
}

#[test]
fn every_command_with_rules_takes_a_kernel_by_its_name() {
    for (command, code) in [
        ("run rdma-fork --rules bookworm", 0),
        ("check rdma-fork --no-save --rules 5.10.0-28-amd64,6.1.76", 0),
        ("matrix rdma-fork --rules el8,5.15.133", 0),
        // The schedule is one for another execution; the rules are understood before it is.
        ("replay rdma-fork --schedule 1 --rules 6.1.0-18-amd64", 2),
        ("cure vfork-exec --rules 5.15.y", 0),
    ] {
        let words: Vec<_> = command.split(' ').collect();
        let output = pinfold(&words).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{command}: {told}");
        assert!(!told.contains("in rules"), "{command}: {told}");
    }
    let overridden = printed(&["rules", "5.15.133,numa-skip=map-count"]);
    assert!(overridden.starts_with("rules linux-5.15,"), "{overridden}");
    assert!(!overridden.contains("kernel  "), "{overridden}");
    let unknown = ["replay", "rdma-fork", "--schedule", "1", "--rules", "bookwurm"];
    pinfold(&unknown).assert().code(2).stderr_eq("error: in rules `bookwurm`[..]\n...\n");
    // The backport decides: 80d47f5de5e3 came to 5.10 with 102.
    let parted = ["check", "bug-215616", "--no-save", "--rules"];
    pinfold(&[&parted[..], &["5.10.101"]].concat()).assert().code(1);
    pinfold(&[&parted[..], &["5.10.102"]].concat()).assert().success();
}

#[test]
fn a_kernel_that_is_not_known_is_an_error_with_a_remedy() {
    for (name, remedy) in [
        ("5.15.9999", "use 5.15.y"),
        ("3.0", "use 3.1 to 7.3"),
        ("7.9", "use latest"),
        ("7.4.0-rc2", "use latest"),
        ("5.15.2O", "what `uname -r` prints"),
        ("banana", "what `uname -r` prints"),
        ("bookwurm", "did you mean `bookworm`?"),
    ] {
        let failed = pinfold(&["rules", name]).assert().code(2);
        let told = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
        assert!(told.contains(remedy), "{name}: {told}");
    }
}

#[test]
fn colour_is_for_those_who_ask() {
    let run = || pinfold(&["run", "rdma-fork"]);
    let escape = |command: Command| command.output().unwrap().stdout.contains(&0x1b);
    assert!(!escape(run()));
    assert!(escape(run().args(["--color", "always"])));
    assert!(!escape(run().args(["--color", "auto"]).env("NO_COLOR", "1")));
}

#[test]
fn ascii_is_ascii() {
    let run = pinfold(&["run", "rdma-fork", "--ascii", "-v"]).output().unwrap();
    assert!(run.stdout.is_ascii());
}

#[test]
fn every_shipped_incident_does_what_its_history_says() {
    as_expected("scenarios/verdicts.txt", &[]);
    // What is different there.
    let weak = fs::read_to_string(workspace().join("scenarios/verdicts-weak.txt")).unwrap();
    let rows = weak.lines().skip_while(|line| !line.starts_with("scenario")).skip(1);
    let different: Vec<&str> = rows.filter_map(|row| row.split_whitespace().next()).collect();
    assert!(different.len() > 4, "{different:?}");
    as_expected("scenarios/verdicts-weak.txt", &different);
}

#[test]
#[ignore = "2,541 searches under the weak model: six minutes on two cores that others use"]
fn every_incident_does_the_same_on_a_weakly_ordered_machine() {
    as_expected("scenarios/verdicts-weak.txt", &[]);
}

fn as_expected(table: &str, scenarios: &[&str]) {
    // No machine is so slow that it needs as long.
    let expect = ["matrix", "--expect", table, "--time", "1000000"];
    pinfold(&[&expect[..], scenarios].concat()).assert().success();
}

/// What stands in a page's `text` blocks.
fn text_blocks(page: &str) -> Vec<String> {
    let page = fs::read_to_string(workspace().join(page)).unwrap();
    let blocks = page.split("```text\n").skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_runs_that_the_documentation_shows_are_real() {
    let shown = |arguments: &[&str]| {
        let output = pinfold(arguments).assert().code(1).get_output().stdout.clone();
        String::from_utf8(output).unwrap()
    };
    let now = shown(&["check", "bug-215616", "--rules", "linux-5.9", "-v", "--no-save"]);
    for page in ["README.md", "docs/bug-215616.md"] {
        let blocks = text_blocks(page);
        assert!(!blocks.is_empty(), "{page} shows no run");
        for block in blocks {
            assert!(now.contains(&block), "{page} shows\n{block}\nbut the command prints\n{now}");
        }
    }
}

/// The arguments of a check that is divided.
const DIVIDED: [&str; 4] = ["check", "fork-races-fast-pin", "--rules", "pinfold"];

#[test]
fn jobs_do_not_change_the_verdict() {
    pinfold(&[&DIVIDED[..], &["--jobs", "2"]].concat()).assert().success();
    pinfold(&["check", "rdma-fork", "--rules", "5.8", "--jobs", "2"]).assert().code(1);
    for search in [["--random", "10"], ["--pct", "2"]] {
        let random = ["--jobs", "2", "--max-executions", "40"];
        pinfold(&[&DIVIDED[..], &search, &random].concat()).assert().code(3);
    }
}

#[test]
fn a_search_by_bounds_is_not_shared_out_but_kept() {
    let directory = empty_directory("bounded");
    let file = directory.join("c.json").display().to_string();
    let one_job =
        str!["...\n[..]is one job[..]leave out --preemptions, or --shard and --jobs\n..."];
    for division in [&["--jobs", "2"][..], &["--shard", "1/2", "--out", &file]] {
        let shared = [&DIVIDED[..], &["--preemptions", "1"], division].concat();
        pinfold(&shared).assert().code(2).stderr_eq(one_job.clone());
    }
    let bounded = [&DIVIDED[..], &["--preemptions", "1"]].concat();
    let begun = ["--max-executions", "5", "--checkpoint", &file];
    pinfold(&[&bounded[..], &begun].concat()).assert().code(3);
    let resumed = [&bounded[..], &["--resume", &file]].concat();
    let whole = str![
        "...\n[..]at most 1 preemptions were tried, and [..] switches beyond them were not\n..."
    ];
    pinfold(&resumed).assert().code(3).stdout_eq(whole);
    let other = [&DIVIDED[..], &["--preemptions", "2", "--resume", &file]].concat();
    let refused = str!["...\n[..]its strategy is preemptions <= 1, not preemptions <= 2[..]\n..."];
    pinfold(&other).assert().code(2).stderr_eq(refused);
}

#[test]
fn shards_of_a_random_search_do_all_of_its_runs() {
    let directory = empty_directory("random-shards");
    let random = [&DIVIDED[..], &["--random", "100", "--seed", "7"]].concat();
    let files = ["1/2", "2/2"].map(|shard| {
        let file = directory.join(format!("{}.json", &shard[..1])).display().to_string();
        let shard = ["--shard", shard, "--out", &file];
        pinfold(&[&random[..], &shard].concat()).assert().code(3);
        file
    });
    let counts = |arguments: &[&str]| {
        let output = pinfold(arguments).args(["--format", "json"]).assert().code(3);
        let mut report: serde_json::Value =
            serde_json::from_slice(&output.get_output().stdout).unwrap();
        report["search"]["seconds"] = serde_json::Value::Null;
        report
    };
    let [first, second] = &files;
    let merged = counts(&["merge", first, second]);
    assert_eq!(merged["search"]["incomplete"], "100 random executions");
    assert_eq!(merged, counts(&random));
    let other = directory.join("other.json").display().to_string();
    let seed = ["--random", "100", "--seed", "8", "--shard", "2/2", "--out", &other];
    pinfold(&[&DIVIDED[..], &seed].concat()).assert().code(3);
    let mixed = str!["...\n[..]its strategy is random seed 8, not random seed 7[..]\n..."];
    pinfold(&["merge", first, &other]).assert().code(2).stderr_eq(mixed);
}

#[test]
fn shards_are_partial_and_pass_together() {
    let directory = empty_directory("shards");
    let files = ["1/2", "2/2"].map(|shard| {
        let file = directory.join(format!("{}.json", &shard[..1])).display().to_string();
        let shard = ["--shard", shard, "--out", &file];
        pinfold(&[&DIVIDED[..], &shard].concat()).assert().code(3);
        file
    });
    let [first, second] = &files;
    pinfold(&["merge", first, second]).assert().success();
    let missing = str!["...\n[..]missing shards 2/2[..]\n..."];
    pinfold(&["merge", first]).assert().code(3).stdout_eq(missing);
    let twice = str!["...\n[..]in an earlier file[..]\n..."];
    pinfold(&["merge", first, first]).assert().code(2).stderr_eq(twice);
    let other = directory.join("other.json").display().to_string();
    let shard = ["--model", "sc", "--shard", "2/2", "--out", &other];
    pinfold(&[&DIVIDED[..], &shard].concat()).assert().code(3);
    let mixed = str!["...\n[..]its model is sc, not weak[..]\n..."];
    pinfold(&["merge", first, &other]).assert().code(2).stderr_eq(mixed);
}

#[test]
fn a_checkpoint_goes_on_and_fits_nothing_else() {
    let directory = empty_directory("checkpoint");
    let file = directory.join("checkpoint.json").display().to_string();
    for jobs in ["1", "2"] {
        let begun = ["--jobs", jobs, "--max-executions", "5", "--checkpoint", &file];
        let begun = pinfold(&[&DIVIDED[..], &begun, &["--format", "json"]].concat());
        let begun = begun.assert().code(3).get_output().stdout.clone();
        let search = &serde_json::from_slice::<serde_json::Value>(&begun).unwrap()["search"];
        let count = |name: &str| search[name].as_u64().unwrap();
        assert_eq!(count("executions") + count("blocked") + count("truncated"), 5, "{search}");
        pinfold(&[&DIVIDED[..], &["--resume", &file]].concat()).assert().success();
    }
    let other = ["check", "fork-races-fast-pin", "--rules", "5.17", "--resume", &file];
    let refused = str!["...\n[..]its rules is[..]\n..."];
    pinfold(&other).assert().code(2).stderr_eq(refused);
    fs::write(&file, "{}").unwrap();
    pinfold(&[&DIVIDED[..], &["--resume", &file]].concat()).assert().code(2);
    pinfold(&["check", "rdma-fork", "vmsplice-leak", "--resume", &file]).assert().code(2);
}

#[test]
fn a_result_that_could_not_be_kept_is_refused_before_the_search() {
    let directory = empty_directory("unwritable");
    let file = directory.join("missing/checkpoint.json").display().to_string();
    for keep in [&["--checkpoint", &file][..], &["--shard", "1/2", "--out", &file]] {
        let told = str!["error: cannot write [..]checkpoint.json: [..]\n..."];
        let refused = pinfold(&[&DIVIDED[..], keep].concat()).assert().code(2);
        refused.stdout_eq(str![]).stderr_eq(told);
    }
}

#[test]
fn a_setup_that_fails_is_shown_at_its_step() {
    let directory = empty_directory("setup");
    let file = directory.join("full.pf");
    let text = "scenario full\nmachine\n  frames 4\nsetup\n  process P\n  P: map A 2 private rw\n  \
                P: write A[0] \"a\"\n  P: write A[1] \"b\"\nlane l: P\n  read A[0]\n\
                always\n  P:A[0] sees \"a\"\n";
    fs::write(&file, text).unwrap();
    let output = Command::new(cargo_bin!("pinfold"))
        .args(["check", "full.pf", "--no-save"])
        .current_dir(&directory)
        .assert()
        .code(2)
        .stdout_eq(str![]);
    let told = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(told.contains("out of frames") && told.contains("full.pf:8"), "{told}");
}
