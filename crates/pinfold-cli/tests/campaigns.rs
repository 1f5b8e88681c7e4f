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
    let (report, ended) = reported(arguments);
    assert_eq!(ended, Some(code), "{report}");
    report
}

/// A report, and the status with which the command ends.
fn reported(arguments: &[&str]) -> (Value, Option<i32>) {
    let run = Checked::new(cargo_bin!("pinfold")).current_dir(root()).args(arguments);
    let output = run.args(["--format", "json"]).output().unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code())
}

/// What the shards of a directory have found together.
fn merged(directory: &Path, shards: usize, code: i32) -> Value {
    let files = files(directory, shards);
    let mut arguments = vec!["merge"];
    arguments.extend(files.iter().map(String::as_str));
    report(&arguments, code)
}

/// What the shards of a directory are written to.
fn files(directory: &Path, shards: usize) -> Vec<String> {
    let file = |shard: usize| directory.join(format!("{shard}.json")).display().to_string();
    (1..=shards).map(file).collect()
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

/// What the job of `campaigns/kubernetes.yaml` says of its one container, as a kubelet reads it.
struct Container {
    completions: usize,
    env: Vec<(String, String)>,
    command: Vec<String>,
    mount: String,
}

/// Reads the file: its few forms of YAML, and no others.
fn container(job: &str) -> Container {
    let plain = |text: &str| text.trim().trim_matches('"').to_owned();
    let one = |key: &str| -> String {
        let mut found = job.lines().filter_map(|line| {
            line.trim().trim_start_matches("- ").strip_prefix(key)?.strip_prefix(':')
        });
        let value = found.next().unwrap_or_else(|| panic!("no `{key}`"));
        assert!(found.next().is_none() || key == "name", "`{key}` stands there twice");
        plain(value)
    };
    assert_eq!((one("kind"), one("completionMode")), ("Job".to_owned(), "Indexed".to_owned()));
    // Env: a name and a value in two lines each.
    let lines: Vec<&str> = job.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter_map(|two| {
        let (name, value) = (two[0].strip_prefix("- name:")?, two[1].strip_prefix("value:")?);
        Some((plain(name), plain(value)))
    });
    let command = one("command");
    let words = command.trim_matches(['[', ']']).split(',').map(plain);
    // The one argument: an item below its key, in several lines.
    let args = lines.iter().skip_while(|line| **line != "args:").skip(1);
    let args: Vec<&str> = args.copied().take_while(|line| !line.ends_with(':')).collect();
    let argument = args.join(" ").strip_prefix("- ").expect("an item").to_owned();
    let mount = lines.iter().find_map(|line| line.split_once("mountPath: "));
    Container {
        completions: one("completions").parse().unwrap(),
        env: pairs.collect(),
        command: words.chain([argument]).collect(),
        mount: mount.unwrap().1.trim_matches('}').to_owned(),
    }
}

/// Each index runs the very command with the very environment of the container, in a directory of
/// its own; only the two places of the image and the volume are those of this machine.
#[test]
fn indices_of_an_indexed_job_are_shards() {
    let here = directory("kubernetes");
    let job = fs::read_to_string(root().join("campaigns/kubernetes.yaml")).unwrap();
    let Container { completions, env, command, mount } = container(&job);
    let value = |name: &str| {
        let found = env.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no {name}")).1.as_str()
    };
    assert_eq!(value("SHARDS"), completions.to_string(), "a shard for each index");
    let image = format!("{}/", root().join("campaigns").display());
    let [program, words @ ..] = command.as_slice() else { panic!("{command:?}") };
    let place = |word: &String| {
        let word = word.replace("/campaigns/", &image);
        word.replace(&format!(" {mount} "), &format!(" {} ", here.display()))
    };
    for index in 0..completions {
        let own = here.join(format!("pod-{index}"));
        fs::create_dir(&own).unwrap();
        let mut pod = Command::new(program);
        pod.args(words.iter().map(place)).current_dir(&own).envs(env.iter().cloned());
        // The kubelet sets the index; the image has the command.
        pod.env("JOB_COMPLETION_INDEX", index.to_string()).env("PINFOLD", cargo_bin!("pinfold"));
        succeeds(pod);
    }
    let mut check = vec!["check", value("SCENARIO"), "--no-save"];
    check.extend(value("OPTIONS").split_whitespace());
    let files = files(&here, completions);
    let mut merge = vec!["merge"];
    merge.extend(files.iter().map(String::as_str));
    // A shard that finds a failure ends there, as the search in one piece does; which one it finds
    // first is each one's own.
    let ((whole, code), (parts, ended)) = (reported(&check), reported(&merge));
    assert_eq!((&parts["verdict"], ended), (&whole["verdict"], code));
    assert_eq!(parts["broken"]["oracle"], whole["broken"]["oracle"]);
    assert!(matches!(code, Some(0 | 1)), "the job's search is decided: {code:?}");
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

/// A machine that is taken away ends what runs on it by a signal. What was found by then is kept,
/// but a scheduler must not take the shard for one that was searched.
#[cfg(unix)]
#[test]
fn a_shard_that_a_signal_ends_is_not_done() {
    let here = directory("signal");
    let place = here.to_str().unwrap();
    // The command, telling who it is.
    let known = here.join("known");
    let text = format!("echo $$ >{place}/pid; exec '{}' \"$@\"", cargo_bin!("pinfold").display());
    fs::write(&known, format!("#!/bin/sh\n{text}\n")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&known, mode).unwrap();
    let mut long = script(&["campaigns/shard.sh", "1", "2", place, "exit-races-pin"]);
    long.args(["--rules", "latest", "--random", "100000000"]).env("PINFOLD", known);
    let mut shard = long.spawn().unwrap();
    // It tells how far it is after half a second.
    while !fs::read_to_string(here.join("1.txt")).is_ok_and(|told| told.contains(" runs, ")) {
        assert_eq!(shard.try_wait().unwrap(), None, "only the signal ends it");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let search = fs::read_to_string(here.join("pid")).unwrap();
    assert!(Command::new("kill").args(["-TERM", search.trim()]).status().unwrap().success());
    assert_eq!(shard.wait().unwrap().code(), Some(143));
    // What was found is there, and `merge` says that it is not all.
    let merged = merged(&here, 1, 3);
    let why = merged["search"]["incomplete"].as_str().unwrap();
    assert!(why.starts_with("missing shards 1/2 (not done), 2/2"), "{why}");
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
