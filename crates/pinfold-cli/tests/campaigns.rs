//! The scripts of `campaigns/`: each divides a search, and `merge` finds what the search in one
//! piece finds. Schedulers are played by what they set; GNU parallel runs where there is one.

use serde_json::Value;
use snapbox::cmd::{Command as Checked, cargo_bin};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SEARCH: [&str; 4] = ["torn-fork", "--rules", "latest,fork-snapshot=protected", "--model=tso"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("campaigns").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A script of `campaigns/`, which finds the command that is tested.
fn script(words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(words).current_dir(root()).env("PINFOLD", cargo_bin!("pinfold"));
    command
}

fn succeeds(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn report(arguments: &[&str], code: i32) -> Value {
    let run = Checked::new(cargo_bin!("pinfold")).current_dir(root()).args(arguments);
    let run = run.args(["--format", "json"]).assert().code(code);
    serde_json::from_slice(&run.get_output().stdout).unwrap()
}

/// What the shards of a directory have found together.
fn merged(directory: &Path, shards: usize, code: i32) -> Value {
    let files: Vec<String> = (1..=shards)
        .map(|shard| directory.join(format!("{shard}.json")).display().to_string())
        .collect();
    let mut arguments = vec!["merge"];
    arguments.extend(files.iter().map(String::as_str));
    report(&arguments, code)
}

fn agrees_with_one_piece(directory: &Path, shards: usize) {
    let mut check = vec!["check", "--no-save"];
    check.extend(SEARCH);
    let (whole, parts) = (report(&check, 0), merged(directory, shards, 0));
    assert_eq!(parts["verdict"], "pass");
    assert_eq!(parts["outcomes"], whole["outcomes"]);
}

#[test]
fn tasks_of_a_job_array_are_shards() {
    let here = directory("slurm");
    for task in ["1", "2", "3"] {
        let mut array = script(&["campaigns/slurm.sh", "3", here.to_str().unwrap()]);
        array.args(SEARCH).env("SLURM_ARRAY_TASK_ID", task).env("SLURM_ARRAY_TASK_COUNT", "1");
        succeeds(array);
    }
    agrees_with_one_piece(&here, 3);
}

#[test]
fn indices_of_an_indexed_job_are_shards() {
    let here = directory("kubernetes");
    let job = fs::read_to_string(root().join("campaigns/kubernetes.yaml")).unwrap();
    assert!(job.contains("completionMode: Indexed"));
    let command = job.lines().find_map(|line| line.trim().strip_prefix("- exec ")).unwrap();
    let results = here.to_str().unwrap();
    let command = command.replace("/campaigns/", "campaigns/").replace("/results", results);
    let [scenario, options @ ..] = SEARCH;
    for index in ["0", "1"] {
        let mut pod = script(&["-c", &command]);
        pod.env("JOB_COMPLETION_INDEX", index).env("SHARDS", "2");
        pod.env("SCENARIO", scenario).env("OPTIONS", options.join(" "));
        succeeds(pod);
    }
    agrees_with_one_piece(&here, 2);
}

#[test]
fn gnu_parallel_does_all_shards_and_merges_them() {
    let here = directory("parallel");
    let found = Command::new("parallel").arg("--version").stdout(Stdio::piped()).output();
    let is_gnu = |text: Vec<u8>| String::from_utf8_lossy(&text).starts_with("GNU parallel");
    if !found.is_ok_and(|output| is_gnu(output.stdout)) {
        return;
    }
    for _ in 0..2 {
        // The second time everything is there already.
        let mut all = script(&["campaigns/parallel.sh", "3", here.to_str().unwrap()]);
        all.args(SEARCH);
        succeeds(all);
    }
    agrees_with_one_piece(&here, 3);
}

#[test]
fn a_shard_that_breaks_is_done_and_one_that_cannot_be_searched_is_not() {
    let here = directory("shard");
    let place = here.to_str().unwrap();
    succeeds(script(&["campaigns/shard.sh", "1", "1", place, "rdma-fork", "--rules", "5.8"]));
    assert_eq!(merged(&here, 1, 1)["verdict"], "fail");
    let mut wrong = script(&["campaigns/shard.sh", "1", "1", place, "nobody"]);
    let output = wrong.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("nobody"));
}

/// The executions of a search, and how it ended.
fn searched(arguments: &[&str], code: i32) -> (u64, Value) {
    let check = ["check", "fork-races-fast-pin", "--no-save"];
    let found = report(&[&check[..], arguments].concat(), code);
    let count = |name: &str| found["search"][name].as_u64().unwrap();
    (count("executions") + count("blocked") + count("truncated"), found["outcomes"].clone())
}

#[test]
fn a_checkpoint_of_a_search_that_has_ended_says_that_nothing_is_left() {
    let here = directory("ended");
    let file = here.join("c.json").display().to_string();
    let whole = searched(&[], 0);
    searched(&["--checkpoint", &file], 0);
    assert!(!here.join("c.json").exists(), "nothing was left, and no file was there");
    searched(&["--max-executions", "5", "--checkpoint", &file], 3);
    let begun = fs::read_to_string(&file).unwrap();
    let ended = searched(&["--resume", &file, "--checkpoint", &file], 0);
    let kept = fs::read_to_string(&file).unwrap();
    assert_ne!(kept, begun, "it says what was done since");
    // Nothing is done again, and a bound of one execution is none.
    let again = searched(&["--resume", &file, "--max-executions", "1"], 0);
    assert_eq!((&again, &ended.1), (&ended, &whole.1));
    // An older file of the same name does not stay behind a search that has ended.
    fs::write(&file, &begun).unwrap();
    searched(&["--checkpoint", &file], 0);
    assert_ne!(fs::read_to_string(&file).unwrap(), begun);
}
