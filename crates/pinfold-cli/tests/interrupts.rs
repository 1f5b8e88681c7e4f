//! Long searches that are told to stop, as people and job schedulers do it.
#![cfg(unix)]

use serde_json::Value;
use snapbox::cmd::cargo_bin;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A search that no machine ends.
const LONG: &str = "\
scenario long
machine
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P
  P: map A 4 private rw
lane one: P on cpu0
  write A[0] \"1\"
  write A[1] \"1\"
  write A[2] \"1\"
lane two: P on cpu1
  write A[2] \"2\"
  write A[1] \"2\"
  write A[0] \"2\"
lane three: P on cpu1
  read A[2]
  read A[1]
  read A[0]
lane four: P on cpu0
  write A[1] \"4\"
  write A[2] \"4\"
always
  P:A[0] never sees \"0\"
";

/// A directory of a test's own with the long scenario.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("long.pf"), LONG).unwrap();
    path
}

fn check(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin!("pinfold"));
    command.args(["check", "long.pf", "--no-save", "--format", "json"]).args(arguments);
    command.current_dir(directory).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits until the search tells of its progress, sends the signal, and waits for the end. Returns
/// what came of it, with all of standard error.
fn interrupted(mut child: Child, signal: &str) -> (Output, String) {
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let mut stderr = String::new();
    told.read_line(&mut stderr).unwrap();
    // A long line leaves the name of the rules out.
    assert!(stderr.contains("long under"), "{stderr}");
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    told.read_to_string(&mut stderr).unwrap();
    (child.wait_with_output().unwrap(), stderr)
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// How many executions were begun.
fn begun(report: &Value) -> u64 {
    let count = |name: &str| report["search"][name].as_u64().unwrap();
    count("executions") + count("blocked") + count("truncated")
}

/// Interrupts a search with `signal`, and goes on with it for exactly so many executions.
fn goes_on(name: &str, arguments: &[&str], signal: &str) {
    let directory = directory(name);
    let keep = [arguments, &["--checkpoint", "c.json"]].concat();
    let (first, stderr) = interrupted(check(&directory, &keep).spawn().unwrap(), signal);
    assert_eq!(first.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("--resume c.json goes on"), "{stderr}");
    let first = report(&first);
    assert_eq!(first["verdict"], "partial");
    let why = first["search"]["incomplete"].as_str().unwrap();
    assert!(why.starts_with("stopped on request, "), "{why}");

    let some = [arguments, &["--resume", "c.json", "--max-executions", "50"]].concat();
    let second = check(&directory, &some).output().unwrap();
    assert_eq!(second.status.code(), Some(3));
    assert_eq!(begun(&report(&second)), begun(&first) + 50);
}

#[test]
fn a_search_that_is_told_to_stop_goes_on_where_it_was() {
    goes_on("interrupts", &[], "-TERM");
    goes_on("interrupted-jobs", &["--jobs", "2"], "-INT");
}

#[test]
fn a_random_search_that_is_told_to_stop_goes_on_with_its_runs() {
    goes_on("runs", &["--random", "100000000"], "-INT");
}

#[test]
fn a_search_by_bounds_that_is_told_to_stop_goes_on_with_its_bound() {
    let directory = directory("bounds");
    let keep = ["--preemptions", "4", "--checkpoint", "c.json"];
    let child = check(&directory, &keep).spawn().unwrap();
    let (first, stderr) = interrupted(child, "-INT");
    assert_eq!(first.status.code(), Some(3));
    assert!(stderr.contains("preemptions"), "{stderr}");
    let resume = ["--preemptions", "4", "--resume", "c.json", "--max-executions", "10"];
    let second = check(&directory, &resume).output().unwrap();
    assert_eq!(second.status.code(), Some(3));
    // It makes some again that belong to earlier bounds, and counts those once.
    assert!(begun(&report(&second)) >= begun(&report(&first)));
}

#[test]
fn an_interrupt_leaves_one_document_of_several_searches() {
    let directory = directory("several");
    let child = check(&directory, &["--rules", "5.8,5.9,latest"]).spawn().unwrap();
    let (ended, stderr) = interrupted(child, "-INT");
    assert_eq!(ended.status.code(), Some(3), "{stderr}");
    let told = report(&ended);
    assert_eq!((&told["asked"], told["reports"].as_array().unwrap().len()), (&3.into(), 1));
}
