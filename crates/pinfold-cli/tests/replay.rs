//! Failing executions on disk, as people meet them: saved by `check`, run again by `replay`.

use serde_json::Value;
use snapbox::cmd::{Command, cargo_bin};
use snapbox::str;
use std::fs;
use std::path::{Path, PathBuf};

/// A directory of a test's own in which `check` has saved the failure of `rdma-fork`.
struct Saved {
    directory: PathBuf,
    id: String,
}

impl Saved {
    fn new(name: &str) -> Self {
        let directory = empty_directory(name);
        let check = ["check", "rdma-fork", "--rules", "5.8", "--format", "json"];
        let found = pinfold(&directory, &check).output().unwrap();
        assert_eq!(found.status.code(), Some(1));
        let found: Value = serde_json::from_slice(&found.stdout).unwrap();
        Self { directory, id: found["id"].as_str().unwrap().to_owned() }
    }

    fn file(&self) -> PathBuf {
        self.directory.join("target/pinfold").join(&self.id).join("replay.json")
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut content = serde_json::from_slice(&fs::read(self.file()).unwrap()).unwrap();
        change(&mut content);
        fs::write(self.file(), content.to_string()).unwrap();
    }

    fn replay(&self, arguments: &[&str]) -> Command {
        pinfold(&self.directory, &["replay"]).args(arguments)
    }
}

fn pinfold(directory: &Path, arguments: &[&str]) -> Command {
    Command::new(cargo_bin!("pinfold")).args(arguments).current_dir(directory)
}

/// A directory of a test's own.
fn empty_directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replay").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn output(command: Command, code: i32) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_execution_is_found_by_id_by_file_by_directory_and_as_the_latest() {
    let saved = Saved::new("found");
    let latest = output(saved.replay(&[]), 1);
    assert!(latest.contains("events as recorded"), "{latest}");
    assert!(latest.contains(&saved.id), "{latest}");
    let file = saved.file();
    let names = [saved.id.as_str(), file.to_str().unwrap(), "target/pinfold/../pinfold"];
    for name in &names[..2] {
        assert_eq!(output(saved.replay(&[name]), 1), latest);
    }
    let directory = format!("{}/{}", names[2], saved.id);
    assert_eq!(output(saved.replay(&[&directory]), 1), latest);
}

#[test]
fn a_file_needs_neither_the_scenario_nor_the_directory() {
    let saved = Saved::new("alone");
    let elsewhere = empty_directory("elsewhere");
    fs::copy(saved.file(), elsewhere.join("mine.json")).unwrap();
    pinfold(&elsewhere, &["replay", "mine.json"]).assert().code(1);
}

#[test]
fn a_check_names_what_it_saved() {
    let saved = Saved::new("named");
    let shown = output(pinfold(&saved.directory, &["check", "rdma-fork", "--rules", "5.8"]), 1);
    assert!(shown.contains(&format!("pinfold replay {} ", saved.id)), "{shown}");
    assert!(shown.contains(&format!("saved target/pinfold/{}/  replay.json", saved.id)), "{shown}");
    assert!(!shown.contains("--schedule"), "{shown}");
}

#[test]
fn a_check_saves_where_it_is_told_or_not_at_all() {
    let directory = empty_directory("where");
    let check = ["check", "rdma-fork", "--rules", "5.8", "-v"];
    let shown = output(pinfold(&directory, &check).arg("--no-save"), 1);
    assert!(shown.contains("--schedule") && !shown.contains("saved "), "{shown}");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    let shown = output(pinfold(&directory, &check).args(["--save", "here"]), 1);
    assert!(shown.contains("pinfold replay here/"), "{shown}");
    pinfold(&directory, &["replay", "--saved", "here"]).assert().code(1);
    pinfold(&directory, &["check", "rdma-fork", "--save", "x", "--no-save"]).assert().code(2);
}

#[test]
fn neither_a_pass_nor_several_checks_save_anything() {
    let directory = empty_directory("nothing");
    pinfold(&directory, &["check", "rdma-fork"]).assert().success();
    pinfold(&directory, &["check", "rdma-fork", "--rules", "5.8,5.9"]).assert().code(1);
    pinfold(&directory, &["matrix", "rdma-fork", "--rules", "5.8"]).assert().success();
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_saved_is_a_warning() {
    let directory = empty_directory("unsaved");
    fs::write(directory.join("file"), "").unwrap();
    let check = ["check", "rdma-fork", "--rules", "5.8", "--save", "file"];
    pinfold(&directory, &check).assert().code(1).stderr_eq(str![[r#"
warning: the failing execution is not saved in file/[..]: [..]
help: --save DIR saves it elsewhere, --no-save not at all

"#]]);
}

#[test]
fn what_was_never_saved_is_an_error() {
    let directory = empty_directory("missing");
    pinfold(&directory, &["replay"]).assert().code(2).stderr_eq(str![[r#"
error: no execution is saved in target/pinfold
help: `pinfold check FILE` saves what fails; --saved DIR looks elsewhere

"#]]);
    for asked in ["k7m2qxa", "lost.json", "rdma-fork"] {
        pinfold(&directory, &["replay", asked]).assert().code(2);
    }
}

#[test]
fn a_changed_event_is_an_error_that_shows_both_lines() {
    let saved = Saved::new("event");
    saved.change(|file| file["events"][3]["text"] = "write A \"v9\"".into());
    let shown = output(saved.replay(&[]), 2);
    let what: Vec<&str> = shown.lines().skip_while(|line| !line.starts_with("WHAT")).collect();
    let shown = what.iter().take(3).map(|line| format!("{line}\n")).collect::<String>();
    snapbox::assert_data_eq!(
        shown,
        str![[r#"
WHAT  divergence: event 4 of 12 is not the recorded one, in step 3
        recorded  alone: write A "v9"
        now       alone: [..]

"#]]
    );
}

#[test]
fn another_engine_is_refused_unless_it_is_wanted() {
    let saved = Saved::new("engine");
    saved.change(|file| file["engine"] = "0.0.7".into());
    saved.replay(&[]).assert().code(2).stdout_eq(str![]).stderr_eq(str![[r#"
error: cannot replay target/pinfold/[..]/replay.json: engine 0.0.7 made it, and this is engine [..]: the schedule may mean another execution here
help: --any-version runs it all the same

"#]]);
    saved.replay(&["--any-version"]).assert().code(1).stderr_eq(str![[r#"
warning: engine 0.0.7 made target/pinfold/[..]/replay.json, and this is engine [..]: the schedule may mean another execution here

"#]]);
}

#[test]
fn a_truncated_file_is_an_error() {
    let saved = Saved::new("truncated");
    let whole = fs::read_to_string(saved.file()).unwrap();
    fs::write(saved.file(), &whole[..whole.len() / 2]).unwrap();
    saved.replay(&[]).assert().code(2).stdout_eq(str![]).stderr_eq(str![[r#"
error: cannot replay target/pinfold/[..]/replay.json: it is no replay file: [..]
help: `pinfold check FILE` saves it again

"#]]);
}

#[test]
fn options_of_the_two_forms_do_not_mix() {
    let directory = empty_directory("mixed");
    let replay = |arguments: &[&str]| {
        pinfold(&directory, &["replay"]).args(arguments).assert().code(2);
    };
    replay(&["--schedule", "1,1"]);
    replay(&["k7m2qxa", "--rules", "5.8"]);
    replay(&["k7m2qxa", "--model", "sc"]);
    replay(&["rdma-fork", "--schedule", "1", "--any-version"]);
}

#[test]
fn what_the_manual_shows_is_real() {
    let saved = Saved::new("manual");
    let check = ["check", "rdma-fork", "--rules", "5.8"];
    let shown = output(pinfold(&saved.directory, &check), 1);
    let shown = shown + &output(saved.replay(&["--accesses"]), 1);
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/replay.md");
    let manual = fs::read_to_string(manual).unwrap();
    let blocks: Vec<&str> = manual.split("```text\n").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let block = block.split("\n```").next().unwrap_or_default();
        assert!(shown.contains(block), "the manual shows\n{block}\nbut that is\n{shown}");
    }
}

#[test]
fn accesses_are_listed_in_words() {
    let saved = Saved::new("accesses");
    assert!(!output(saved.replay(&["-v"]), 1).lines().any(|line| line == "accesses"));
    let shown = output(saved.replay(&["--accesses"]), 1);
    let listed: Vec<&str> = shown.lines().skip_while(|line| *line != "accesses").collect();
    let excerpt: Vec<&str> = listed
        .iter()
        .copied()
        .filter(|line| line.contains("pte ") || line.contains("counts"))
        .collect();
    snapbox::assert_data_eq!(
        excerpt.join("\n") + "\n",
        snapbox::file!["replay/accesses.txt"].raw()
    );
    let json = output(saved.replay(&["--accesses", "--format", "json"]), 1);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["accesses"].as_array().unwrap().len(), json["search"]["steps-max"]);
}
