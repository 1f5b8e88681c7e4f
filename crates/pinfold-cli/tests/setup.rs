//! The commands that help to begin, as people meet them: `new`, `completions`, `man`.

use snapbox::cmd::{Command, cargo_bin};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn pinfold(directory: &Path, arguments: &[&str]) -> Command {
    Command::new(cargo_bin!("pinfold")).args(arguments).current_dir(directory)
}

/// A directory of a test's own.
fn empty_directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("setup").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn printed(command: Command) -> String {
    let output = command.assert().success().get_output().stdout.clone();
    String::from_utf8(output).unwrap()
}

/// The commands that `pinfold --help` lists.
fn listed() -> BTreeSet<String> {
    let help = printed(pinfold(Path::new("."), &["--help"]));
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let named = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = named.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| name != "help").collect()
}

#[test]
fn a_new_scenario_is_in_form_and_has_an_answer_under_every_rule() {
    let here = empty_directory("new");
    let told = printed(pinfold(&here, &["new", "my-first.pf"]));
    assert!(told.starts_with("my-first.pf\npinfold check my-first.pf"), "{told}");
    let text = fs::read_to_string(here.join("my-first.pf")).unwrap();
    assert!(text.contains("\nscenario my-first\n"), "{text}");
    pinfold(&here, &["fmt", "--check", "my-first.pf"]).assert().success();
    pinfold(&here, &["check", "my-first.pf", "--rules", "5.8", "--no-save"]).assert().code(1);
    pinfold(&here, &["check", "my-first.pf", "--rules", "latest"]).assert().success();
}

#[test]
fn what_is_there_already_is_left_alone() {
    let here = empty_directory("there");
    fs::write(here.join("mine.pf"), "precious").unwrap();
    let refused = pinfold(&here, &["new", "mine.pf"]).assert().code(2);
    let said = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(said.contains("cannot write mine.pf") && said.contains("help: "), "{said}");
    assert_eq!(fs::read_to_string(here.join("mine.pf")).unwrap(), "precious");
    pinfold(&here, &["new", "no/such/mine.pf"]).assert().code(2);
    pinfold(&here, &["new"]).assert().code(2);
}

#[test]
fn a_file_whose_name_is_none_for_a_scenario_has_one_all_the_same() {
    let here = empty_directory("named");
    for file in ["Great Bug.pf", "1.pf", "x"] {
        printed(pinfold(&here, &["new", file]));
        pinfold(&here, &["run", file, "--rules", "latest"]).assert().success();
    }
}

#[test]
fn every_shell_is_told_of_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(pinfold(Path::new("."), &["completions", shell]));
        for name in listed() {
            assert!(script.contains(&name), "{shell} is not told of {name}");
        }
        assert!(script.contains("preemptions"), "{shell} is told of options");
    }
    pinfold(Path::new("."), &["completions", "cmd.exe"]).assert().code(2);
}

#[test]
fn every_command_has_a_manual_page() {
    let here = empty_directory("man");
    printed(pinfold(&here, &["man", "pages"]));
    let files = fs::read_dir(here.join("pages")).unwrap();
    let pages: BTreeSet<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let mut wanted: BTreeSet<String> =
        listed().into_iter().map(|name| format!("pinfold-{name}.1")).collect();
    wanted.insert("pinfold.1".to_owned());
    // What a page names as another is there, whatever it is the page of.
    for page in &pages {
        let text = fs::read_to_string(here.join("pages").join(page)).unwrap();
        let named = text.split("pinfold\\-").skip(1).filter_map(|rest| rest.split_once("(1)"));
        let below = named.map(|(name, _)| format!("pinfold-{}.1", name.replace('\\', "")));
        wanted.extend(below.filter(|name| !name.contains(char::is_whitespace)));
    }
    assert!(wanted.contains("pinfold-import-strace.1"), "{wanted:?}");
    assert_eq!(pages, wanted);
    let check = fs::read_to_string(here.join("pages/pinfold-check.1")).unwrap();
    assert!(check.contains(".SH OPTIONS") && check.contains("executions"), "{check}");
    let own = printed(pinfold(&here, &["man"]));
    assert_eq!(own, fs::read_to_string(here.join("pages/pinfold.1")).unwrap());
    fs::write(here.join("file"), "").unwrap();
    pinfold(&here, &["man", "file"]).assert().code(2);
}
