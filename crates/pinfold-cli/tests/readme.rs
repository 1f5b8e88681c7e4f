//! What the pages for users say of commands and dependencies holds: each command line is one that
//! the programs here accept, and each path and version is that of the repository.

use snapbox::cmd::{Command, cargo_bin};
use std::fs;
use std::path::{Path, PathBuf};

const PAGES: [&str; 3] = ["README.md", "crates/pinfold/README.md", "crates/pinfold-cli/README.md"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    fs::read_to_string(workspace().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What stands between each `open` and the `close` that follows it.
fn between<'t>(text: &'t str, open: &'t str, close: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split_once(close).map(|(part, _)| part))
}

/// Every command line of a page, in `sh` blocks and in running text, without its comment.
fn commands(page: &str) -> Vec<String> {
    let blocks = between(page, "```sh\n", "\n```").flat_map(str::lines);
    let prose: Vec<_> = page.split("```").step_by(2).collect();
    let spans = prose.iter().flat_map(|part| part.split('`').skip(1).step_by(2));
    let lines = blocks.chain(spans).map(|line| line.split(" #").next().unwrap_or(line));
    let lines = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let command = |line: &String| line.starts_with("cargo ") || line.starts_with("pinfold ");
    // A dependency is written in the same way.
    lines.filter(|line| command(line) && !line.contains(" = ")).collect()
}

/// The word behind `flag`.
fn value<'c>(words: &[&'c str], flag: &str) -> Option<&'c str> {
    let at = words.iter().position(|word| *word == flag)?;
    words.get(at + 1).copied()
}

/// What is written where a page says `FILE`.
const MADE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/readme-made");

/// The commands that do not end with 0, their status, and the words of their page that say so.
const ENDS: [(&str, i32, &str, &str); 5] = [
    (
        "README.md",
        1,
        "check bug-215616 --rules linux-5.9 -v",
        "WHAT  pin-coherence: h0 names f3, P names f4",
    ),
    ("README.md", 1, "soak --rules 5.9 --seconds 60", "as it was met: found within seconds"),
    ("README.md", 1, "explain bug-215616 --rules 5.16", "a failure told from the beginning"),
    ("crates/pinfold-cli/README.md", 1, "check bug-215616 --rules linux-5.9 -v", "the failing one"),
    ("crates/pinfold-cli/README.md", 1, "soak --rules 5.9", "bug 215616 as it was met"),
];

/// The status with which a page says that a command ends.
fn stated_on(page: &str, arguments: &str) -> i32 {
    let of = ENDS.iter().find(|(on, _, command, _)| *on == page && *command == arguments);
    of.map_or(0, |(_, code, ..)| *code)
}

/// What the command `pinfold` ends with: it runs, on one incident where it would run all.
fn ended(arguments: &[&str]) -> Option<i32> {
    let filled = arguments.iter().map(|&word| if word == "FILE" { MADE } else { word });
    let mut run = Command::new(cargo_bin!("pinfold")).current_dir(workspace()).args(filled);
    if arguments.first() == Some(&"matrix") {
        run = run.arg("rdma-fork");
    }
    let saves = arguments.first() == Some(&"check") && !arguments.contains(&"--help");
    if saves {
        run = run.arg("--no-save");
    }
    run.assert().get_output().status.code()
}

/// Whether a command of cargo names packages and examples that there are.
fn names_what_there_is(words: &[&str]) -> bool {
    let package = value(words, "-p");
    let known = |name: &str| workspace().join("crates").join(name).join("Cargo.toml").is_file();
    let example = value(words, "--example").is_none_or(|example| {
        let file = format!("crates/{}/examples/{example}.rs", package.unwrap_or_default());
        workspace().join(file).is_file()
    });
    let path = value(words, "--path")
        .is_none_or(|path| workspace().join(path).join("src/main.rs").is_file());
    package.is_none_or(known) && example && path
}

#[test]
fn every_command_on_a_page_for_users_ends_as_it_says() {
    let mut seen = 0;
    let mut failing = 0;
    for page in PAGES {
        for command in commands(&read(page)) {
            seen += 1;
            let words: Vec<_> = command.split(' ').collect();
            let cargo = words[0] == "cargo";
            assert!(!cargo || names_what_there_is(&words), "{page}: {command}");
            let behind = words.iter().position(|word| *word == "--").map(|at| &words[at + 1..]);
            let arguments = if cargo { behind } else { Some(&words[1..]) };
            if let Some(arguments) = arguments {
                let code = stated_on(page, &arguments.join(" "));
                failing += usize::from(code != 0);
                assert_eq!(ended(arguments), Some(code), "{page}: {command}");
            }
        }
    }
    assert!(seen >= 10, "only {seen} commands were found");
    assert_eq!(failing, ENDS.len(), "each of the table is on its page, once");
    for (page, code, command, words) in ENDS {
        assert!(read(page).contains(words), "{page} does not say that {command} ends with {code}");
    }
}

/// The exit status that the cookbook states behind a command, and the command's words.
fn stated(line: &str) -> (i32, Vec<&str>) {
    let (command, verdict) = line.split_once('#').unwrap_or((line, ""));
    let code = match verdict.trim() {
        "" | "PASS" => 0,
        "FAIL" => 1,
        other => panic!("`{other}` is no verdict: {line}"),
    };
    (code, command.split_whitespace().skip(1).collect())
}

/// Every command of the cookbook ends as it says, and each question is answered by one.
#[test]
fn every_command_of_the_cookbook_ends_as_it_says() {
    let page = read("docs/cookbook.md");
    let mut seen = 0;
    for question in page.split("\n## ").skip(1) {
        let title = question.lines().next().unwrap_or_default();
        assert!(title.ends_with('?'), "{title}");
        let lines: Vec<_> = between(question, "```sh\n", "\n```").flat_map(str::lines).collect();
        assert!(!lines.is_empty(), "{title}: no command");
        for line in lines {
            assert!(line.starts_with("pinfold "), "{title}: {line}");
            seen += 1;
            let (code, words) = stated(line);
            let run =
                Command::new(cargo_bin!("pinfold")).current_dir(workspace()).args(words).assert();
            assert_eq!(run.get_output().status.code(), Some(code), "{title}: {line}");
        }
    }
    assert!(seen >= 30, "only {seen} commands were found");
}

/// What the readers above must be able to refuse.
#[test]
fn a_wrong_command_is_not_accepted() {
    let page = "`cargo run -p pinfold --example none` or\n```sh\npinfold chek x # why\n```\n`x`";
    let found = commands(page);
    assert_eq!(found, ["pinfold chek x", "cargo run -p pinfold --example none"]);
    assert_eq!(ended(&["chek", "x"]), Some(2));
    assert_eq!(ended(&["matrix", "--no-such-flag"]), Some(2));
    for wrong in [&found[1], "cargo test -p pinfolt", "cargo install --path crates/pinfold-lab"] {
        assert!(!names_what_there_is(&wrong.split(' ').collect::<Vec<_>>()), "{wrong}");
    }
}

#[test]
fn the_toolchain_and_the_paths_on_a_page_are_those_of_the_repository() {
    let toolchain = read("rust-toolchain.toml");
    let channel = between(&toolchain, "channel = \"", "\"").next().expect("a channel").to_owned();
    let readme = read("README.md");
    assert!(readme.contains(&format!("Rust {channel}")), "README.md names {channel}");
    let manifest = read("Cargo.toml");
    let oldest = between(&manifest, "rust-version = \"", "\"").next().expect("a version");
    for page in &PAGES[1..] {
        assert!(read(page).contains(&format!("Needs Rust {oldest}")), "{page} names {oldest}");
    }
    let mut seen = 0;
    for page in &PAGES[..2] {
        for path in between(&read(page), "path = \"../pinfold/", "\"") {
            seen += 1;
            assert!(workspace().join(path).join("Cargo.toml").is_file(), "{page}: {path}");
        }
    }
    assert!(seen >= 3, "only {seen} paths were found");
}
