//! The chapters of docs/: each is in the book's table, and each command on them is one that the
//! programs here take. It is run, in the order of its page, unless it needs what a test has not;
//! then its words are read. The cookbook's verdicts are held by `readme.rs`.

use snapbox::cmd::{Command, cargo_bin};
use std::fs;
use std::path::{Path, PathBuf};

/// What stands for something of the reader's, and what a test takes in its place.
const STANDS_FOR: [(&str, &str); 9] = [
    ("rules NAME", "rules pte-cow"),
    ("NAME", "rdma-fork"),
    ("SET", "5.8"),
    (" R ", " 5.8 "),
    (" M", " tso"),
    ("ID", "0fedmtj"),
    ("FILE...", "rdma-fork"),
    ("FILE", "made.html"),
    ("1000000", "1000"),
];

/// What a command needs that a test has not: a kernel, minutes, or a file of the reader's.
const NOT_HERE: [&str; 10] = [
    "--on linux",
    "pressure",
    "pinfold soak",
    "import strace",
    "pinfold fuzz",
    "x.json",
    "some/where",
    "1,1,2,...",
    // What an interrupted search leaves.
    "--resume c.json",
    // The whole table.
    "matrix --html",
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn chapters() -> Vec<String> {
    let files = fs::read_dir(workspace().join("docs")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".md")).collect();
    names.sort();
    names
}

fn read(chapter: &str) -> String {
    fs::read_to_string(workspace().join("docs").join(chapter)).unwrap()
}

/// The command lines of a page, in `sh` blocks and in running text, without comments, each once.
fn commands(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, part) in page.split("```").enumerate() {
        match (at % 2, part.strip_prefix("sh\n")) {
            (0, _) => lines.extend(part.split('`').skip(1).step_by(2)),
            (_, Some(block)) => lines.extend(block.lines()),
            _ => {}
        }
    }
    let mut found: Vec<String> = Vec::new();
    for line in lines {
        let line = line.split(" #").next().unwrap_or(line);
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_command = line.starts_with("cargo ") || line.starts_with("pinfold ");
        if is_command && !line.contains(" = ") && !found.contains(&line) {
            found.push(line);
        }
    }
    found
}

/// The command with what stands for something of the reader's put in.
fn filled(command: &str) -> String {
    STANDS_FOR.iter().fold(command.to_owned(), |line, (open, with)| line.replace(open, with))
}

/// Whether the command `pinfold` takes these words: it runs in `here`, or is asked for help where
/// it cannot.
fn taken(command: &str, here: &Path) -> bool {
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let run = Command::new(cargo_bin!("pinfold")).current_dir(here);
    // A command by its name alone is one that is spoken of.
    let alone = words.len() == 1 && ["check", "run", "fuzz"].contains(&words[0]);
    if alone
        || words == ["check", "--all-outcomes"]
        || words == ["check", "--locks", "code"]
        || NOT_HERE.iter().any(|needs| command.contains(needs))
    {
        return run.args(words).arg("--help").assert().get_output().status.success();
    }
    // A verdict is no refusal.
    matches!(run.args(words).assert().get_output().status.code(), Some(0 | 1 | 3 | 4))
}

/// Whether a command of cargo names packages, tests and benches that there are.
fn names_what_there_is(command: &str) -> bool {
    let words: Vec<&str> = command.split(' ').collect();
    let own = words.iter().position(|word| *word == "--").unwrap_or(words.len());
    let values = |flag: &str| -> Vec<&str> {
        let pairs = words[..own].windows(2).filter(|pair| pair[0] == flag);
        pairs.map(|pair| pair[1]).collect()
    };
    let packages = values("-p");
    let home = workspace().join("crates").join(packages.first().unwrap_or(&"pinfold-lab"));
    let there = |place: &str, name: &str| {
        home.join(place).join(format!("{name}.rs")).is_file()
            || home.join(place).join(name).join("main.rs").is_file()
    };
    home.is_dir()
        && values("--test").iter().all(|name| there("tests", name))
        && values("--bench").iter().all(|name| there("benches", name))
        && values("--example").iter().all(|name| there("examples", name))
}

#[test]
fn every_command_of_the_book_is_taken() {
    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join("book");
    let _ = fs::remove_dir_all(&here);
    fs::create_dir_all(&here).unwrap();
    // What pages speak of as found before.
    let before = "pinfold check rdma-fork --rules 5.8";
    assert!(taken(before, &here), "{before}");
    let mut seen = 0;
    for chapter in chapters().iter().filter(|name| *name != "cookbook.md") {
        for command in commands(&read(chapter)) {
            seen += 1;
            if command.starts_with("cargo ") {
                assert!(names_what_there_is(&command), "{chapter}: {command}");
            } else {
                assert!(taken(&filled(&command), &here), "{chapter}: {command}");
            }
        }
    }
    assert!(seen >= 80, "only {seen} commands were found");
}

#[test]
fn every_chapter_is_in_the_table_and_every_link_leads_somewhere() {
    let table = read("README.md");
    for chapter in chapters().iter().filter(|name| *name != "README.md") {
        assert!(table.contains(&format!("]({chapter})")), "{chapter} is not in the book's table");
    }
    for link in table.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(workspace().join("docs").join(link).is_file(), "{link}");
    }
}

/// What the readers above must be able to refuse.
#[test]
fn a_wrong_command_is_not_taken() {
    let here = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let page =
        "`pinfold chek x` and\n```sh\npinfold rules   pte-cow # why\n```\n```\npinfold no\n```";
    assert_eq!(commands(page), ["pinfold chek x", "pinfold rules pte-cow"]);
    assert!(taken("pinfold rules pte-cow", here));
    for wrong in ["pinfold chek x", "pinfold check --on linux --no-such", "pinfold rules nothing"] {
        assert!(!taken(wrong, here), "{wrong}");
    }
    assert!(names_what_there_is("cargo test -p pinfold-lab --test documents -- --test none"));
    for wrong in ["cargo test -p pinfolt", "cargo test -p pinfold-lab --test none"] {
        assert!(!names_what_there_is(wrong), "{wrong}");
    }
}
