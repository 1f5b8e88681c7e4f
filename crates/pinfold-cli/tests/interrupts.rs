//! Long searches that are told to stop, as people and job schedulers do it.
#![cfg(unix)]

use serde_json::Value;
use snapbox::cmd::cargo_bin;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Some seconds of search: 147,224 executions in one piece.
const LONG: &str = "\
scenario long
machine
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P
  P: map A 3 private rw
lane one: P on cpu0
  write A[0] \"1\"
  write A[1] \"1\"
lane two: P on cpu1
  write A[0] \"2\"
lane three: P on cpu1
  read A[2]
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
    assert!(stderr.contains("executions"), "the search ended before it told anything: {stderr}");
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    told.read_to_string(&mut stderr).unwrap();
    (child.wait_with_output().unwrap(), stderr)
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn executions(report: &Value) -> u64 {
    report["search"]["executions"].as_u64().unwrap()
}

#[test]
fn a_search_that_is_told_to_stop_goes_on_to_the_same_end() {
    let directory = directory("interrupts");
    let jobs = ["--jobs", "2"];
    let keep = ["--checkpoint", "c.json"];
    let resume = [&jobs[..], &keep[..], &["--resume", "c.json"]].concat();
    let whole = check(&directory, &jobs).output().unwrap();
    assert_eq!(whole.status.code(), Some(0));

    let child = check(&directory, &keep).spawn().unwrap();
    let (first, stderr) = interrupted(child, "-TERM");
    assert_eq!(first.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("--resume c.json goes on"), "{stderr}");
    let first = report(&first);
    assert_eq!(first["verdict"], "partial");
    let why = first["search"]["incomplete"].as_str().unwrap();
    assert!(why.starts_with("stopped on request, "), "{why}");

    let some = [&resume[..], &["--max-executions", "1000"]].concat();
    let second = check(&directory, &some).output().unwrap();
    assert_eq!(second.status.code(), Some(3));
    let second = report(&second);
    assert!(executions(&second) > executions(&first));

    let last = check(&directory, &resume).output().unwrap();
    assert_eq!(last.status.code(), Some(0));
    let (mut last, mut whole) = (report(&last), report(&whole));
    assert!(executions(&second) < executions(&last));
    for report in [&mut last, &mut whole] {
        report["search"]["seconds"] = Value::Null;
    }
    assert_eq!(last, whole);
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
    assert!(executions(&report(&second)) > executions(&report(&first)));
}
