//! Command lines and files that mean harm, or only bad luck: full disks, pipes and devices, files
//! without an end, thousands of errors, names that are no text, and threads that cannot be had.
//! Nothing here depends on the time.
#![cfg(unix)]

use serde_json::{Value, json};
use snapbox::cmd::cargo_bin;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A scenario of a few executions, not in canonical form.
const SMALL: &str = "\
scenario small
machine
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
   process P
  P: map A 2 private rw
lane one: P on cpu0
  write A[0] \"1\"
lane two: P on cpu1
  write A[0] \"2\"
always
  P:A[0] never sees \"0\"
";

/// A directory of a test's own with the small scenario.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("small.pf"), SMALL).unwrap();
    path
}

fn pinfold(directory: &Path, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(cargo_bin!("pinfold"));
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    command
}

/// Runs the command; its exit status is as wanted.
#[track_caller]
fn output(directory: &Path, arguments: &[impl AsRef<OsStr>], code: i32) -> Output {
    let output = pinfold(directory, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Standard output as one JSON document.
#[track_caller]
fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A part of the small scenario's search.
const PART: [&str; 6] = ["check", "small.pf", "--shard", "1/2", "--no-save", "--out"];

#[test]
fn a_full_disk_leaves_the_scenario_as_it_was() {
    let directory = directory("full");
    let limited = "trap '' XFSZ; ulimit -f 0; exec \"$0\" fmt small.pf";
    let mut fmt = Command::new("sh");
    fmt.args(["-c", limited]).arg(cargo_bin!("pinfold")).current_dir(&directory);
    let fmt = fmt.output().unwrap();
    assert_eq!(fmt.status.code(), Some(2), "{}", text(&fmt.stdout));
    assert!(fmt.stdout.is_empty() && text(&fmt.stderr).contains("cannot write small.pf"));
    assert_eq!(fs::read_to_string(directory.join("small.pf")).unwrap(), SMALL);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_full_standard_output_is_an_error() {
    let directory = directory("dev-full");
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for arguments in [&["rules"][..], &["--help"], &["check", "small.pf", "--no-save"]] {
        let told = pinfold(&directory, arguments).stdout(full()).output().unwrap();
        assert_eq!(told.status.code(), Some(2), "{arguments:?}");
        assert!(text(&told.stderr).contains("cannot write the result to standard output"));
    }
}

#[test]
fn pipes_and_links_stay_what_they_are() {
    let directory = directory("special");
    let pipe = directory.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = Command::new("cat").arg(&pipe).stdout(Stdio::piped()).spawn().unwrap();
    output(&directory, &[&PART[..], &["pipe"]].concat(), 3);
    let through = reader.wait_with_output().unwrap().stdout;
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());

    fs::write(directory.join("real"), "old").unwrap();
    symlink("real", directory.join("link")).unwrap();
    output(&directory, &[&PART[..], &["link"]].concat(), 3);
    assert!(fs::symlink_metadata(directory.join("link")).unwrap().is_symlink());
    let real = fs::read(directory.join("real")).unwrap();
    let part =
        |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap()["part"]["finished"].clone();
    assert_eq!(part(&real), part(&through));
    // The part is written to standard output, before the report.
    let both = output(&directory, &[&PART[..], &["/dev/stdout"]].concat(), 3);
    assert!(text(&both.stdout).starts_with("{\n\"pinfold\": "), "{}", text(&both.stdout));
}

#[test]
fn a_file_without_an_end_is_refused() {
    let directory = directory("endless");
    let told = |arguments: &[&str]| {
        let refused = output(&directory, arguments, 2);
        let told = text(&refused.stderr);
        assert!(told.contains("/dev/zero is larger than"), "{arguments:?}: {told}");
    };
    told(&["check", "/dev/zero"]);
    told(&["run", "/dev/zero"]);
    told(&["fmt", "/dev/zero"]);
    told(&["merge", "/dev/zero"]);
    told(&["check", "small.pf", "--resume", "/dev/zero"]);
    told(&["matrix", "small.pf", "--rules", "5.8", "--expect", "/dev/zero"]);
}

#[test]
fn standard_input_is_a_file_like_others() {
    let directory = directory("stdin");
    let run = |given: &[u8]| {
        let mut run = pinfold(&directory, &["run", "/dev/stdin"]);
        run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = run.spawn().unwrap();
        // It may have seen enough before the end.
        let _ = child.stdin.take().unwrap().write_all(given);
        child.wait_with_output().unwrap()
    };
    assert_eq!(run(SMALL.as_bytes()).status.code(), Some(0));
    let large = run(&vec![b'#'; 2 << 20]);
    assert_eq!(large.status.code(), Some(2));
    assert!(text(&large.stderr).contains("/dev/stdin is larger than 1048576 bytes"));
}

#[test]
fn thousands_of_errors_are_twenty_and_a_count() {
    let directory = directory("many");
    let many = format!("scenario x\nsetup\n  process P\n{}", "  P: bogus A\n".repeat(60_000));
    fs::write(directory.join("many.pf"), many).unwrap();
    let refused = output(&directory, &["check", "many.pf"], 2);
    let told = text(&refused.stderr);
    assert_eq!(told.matches("error[PF0106]").count(), 20);
    assert!(told.ends_with("and 59980 more errors\n"), "{}", &told[told.len() - 200..]);
    assert!(told.contains("many.pf:23:"), "{told}");
    let refused = document(&output(&directory, &["check", "many.pf", "--format", "json"], 2));
    let error = &refused["error"];
    assert_eq!((error["errors"].as_array().unwrap().len(), &error["more"]), (20, &json!(59_980)));
}

#[test]
fn what_is_quoted_is_clipped_and_moves_no_cursor() {
    let directory = directory("quoted");
    let long = "x".repeat(500_000);
    let texts = [
        format!("scenario s\nsetup\n  process P\n  P: {long}\n"),
        format!("scenario s\nsetup\n  process P\n  P: map A 1 private {long}\n"),
        format!("scenario s\ntitle \"{long}\n"),
        "scenario s\nsetup\n  process P\n  P: \x1b[2J\x07 A\n".to_owned(),
        "scenario \x1b]0;gone\x07\n".to_owned(),
    ];
    for hostile in texts {
        fs::write(directory.join("s.pf"), hostile).unwrap();
        let told = text(&output(&directory, &["check", "s.pf"], 2).stderr);
        assert!(told.len() < 20_000, "{} bytes", told.len());
        assert!(!told.contains(|c: char| c.is_control() && c != '\n'), "{}", told.escape_debug());
    }
    for word in ["\x1b[2J", "a\nb", &long[..100_000]] {
        for arguments in [["run", word], ["merge", word], ["replay", word], ["rules", word]] {
            let told = text(&output(&directory, &arguments, 2).stderr);
            assert!(told.len() < 2_000 && !told.contains('\x1b'), "{}", told.escape_debug());
        }
    }
}

#[test]
fn a_depth_beyond_the_steps_is_refused() {
    let directory = directory("depth");
    let pct = ["check", "small.pf", "--no-save", "--runs", "10", "--pct"];
    let told = text(&output(&directory, &[&pct[..], &["4294967295"]].concat(), 2).stderr);
    assert!(told.contains("more changes of priority than the 10000 steps"), "{told}");
    output(&directory, &[&pct[..], &["10001"]].concat(), 3);
    output(&directory, &[&pct[..], &["101", "--max-steps", "99"]].concat(), 2);
}

#[test]
fn names_that_are_no_text_are_names() {
    let directory = directory("names");
    let name = |bytes: &'static [u8]| OsStr::from_bytes(bytes);
    let (file, part) = (name(b"sm\xffall.pf"), name(b"part\xfe.json"));
    fs::rename(directory.join("small.pf"), directory.join(file)).unwrap();
    let run = |arguments: &[&OsStr], code| output(&directory, arguments, code);
    let word = |word: &'static str| OsStr::new(word);
    let found = run(&[word("run"), file, word("--format=json")], 0);
    assert_eq!(document(&found)["scenario"]["path"], r"$'sm\xffall.pf'");
    let check = [word("check"), file, word("--no-save")];
    run(&[&check[..], &[word("--shard"), word("1/2"), word("--out"), part]].concat(), 3);
    run(&[&check[..], &[word("--resume"), part]].concat(), 3);
    run(&[word("merge"), part], 3);
    run(&[word("fmt"), word("--check"), file], 1);
    fs::write(directory.join(name(b"\xff.txt")), "scenario 5.8\nsmall ok\n").unwrap();
    let expect = [word("--rules"), word("5.8"), word("--expect"), name(b"\xff.txt")];
    run(&[&[word("matrix"), file][..], &expect].concat(), 0);
    let missing = run(&[word("run"), name(b"lost\x1b\xff")], 2);
    assert!(text(&missing.stderr).contains(r"no scenario `$'lost\x1b\xff'`"));
    // A directory of scenarios with such a name in it.
    fs::create_dir(directory.join("scenarios")).unwrap();
    fs::copy(directory.join(file), directory.join("scenarios").join(file)).unwrap();
    let table = run(&[word("matrix"), word("--rules"), word("5.8")], 0);
    assert!(text(&table.stdout).contains("small"), "{}", text(&table.stdout));
}

#[test]
fn an_error_is_one_json_document_too() {
    let directory = directory("json");
    fs::write(directory.join("bad.pf"), SMALL.replace("write A", "wirte A")).unwrap();
    fs::write(directory.join("part.json"), "{}").unwrap();
    fs::write(directory.join("table.txt"), "scenario 5.9\nother ok\n").unwrap();
    let asked: [&[&str]; 12] = [
        &["run", "lost.pf"],
        &["run", "bad.pf"],
        &["check", "small.pf", "bad.pf"],
        &["check", "small.pf", "--rules", "5.99"],
        &["check", "small.pf", "--pct", "99999"],
        &["check", "small.pf", "--time", "never"],
        &["check"],
        &["check", "small.pf", "--resume", "part.json"],
        &["merge", "part.json"],
        &["replay", "lost"],
        &["matrix", "small.pf", "--rules", "5.9", "--expect", "table.txt"],
        &["matrix", "small.pf", "--rules", "5.9", "--expect", "lost.txt"],
    ];
    for arguments in asked {
        let refused = output(&directory, &[arguments, &["--format", "json"]].concat(), 2);
        let told = document(&refused);
        assert!(told["pinfold"].is_u64() && told["verdict"] == "error", "{told}");
        assert!(!told["error"]["message"].as_str().unwrap().is_empty(), "{told}");
        assert!(!refused.stderr.is_empty(), "people are told, too: {arguments:?}");
    }
    let errors = document(&output(&directory, &["run", "bad.pf", "--format=json"], 2));
    let first = &errors["error"]["errors"][0];
    let place = json!(["PF0106", "bad.pf", 9, 3]);
    assert_eq!(json!([first["code"], first["file"], first["line"], first["column"]]), place);
}

/// The small scenario's checkpoint after its first execution, and the file's text.
fn checkpoint(directory: &Path) -> String {
    let begun =
        ["check", "small.pf", "--no-save", "--max-executions", "2", "--checkpoint", "c.json"];
    output(directory, &begun, 3);
    fs::read_to_string(directory.join("c.json")).unwrap()
}

#[test]
fn a_checkpoint_that_was_changed_is_refused_by_name() {
    let directory = directory("changed");
    let kept = checkpoint(&directory);
    let mut content: Value = serde_json::from_str(&kept).unwrap();
    let part = &mut content["part"];
    let jobs = part["question"]["jobs"].as_u64().unwrap();
    for job in 0..jobs {
        part["finished"][job.to_string()] = 1.into();
    }
    part["unfinished"] = json!({});
    part["report"]["verdict"] = "pass".into();
    let texts = [content.to_string(), kept.replacen("weak", "week", 1), kept[..99].to_owned()];
    for changed in texts {
        fs::write(directory.join("u.json"), changed).unwrap();
        for resumed in
            [&["check", "small.pf", "--no-save", "--resume", "u.json"][..], &["merge", "u.json"]]
        {
            let told = text(&output(&directory, resumed, 2).stderr);
            assert!(told.contains("u.json: it is no result"), "{told}");
        }
    }
    output(&directory, &["check", "small.pf", "--no-save", "--resume", "c.json"], 0);
}

#[test]
fn a_search_in_pieces_ends_as_the_whole_does() {
    let directory = directory("pieces");
    checkpoint(&directory);
    let resumed = ["check", "small.pf", "--no-save", "--resume", "c.json", "--format", "json"];
    let whole = ["check", "small.pf", "--no-save", "--jobs", "2", "--format", "json"];
    let timeless = |arguments: &[&str]| {
        let mut report = document(&output(&directory, arguments, 0));
        report["search"]["seconds"] = Value::Null;
        report
    };
    assert_eq!(timeless(&resumed), timeless(&whole));
}
