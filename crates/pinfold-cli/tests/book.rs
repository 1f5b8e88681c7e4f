//! The chapters of docs/: each is in the book's table, and each command of `pinfold` on them is
//! run, in the order of its page, and ends with the status that its page states. What would take
//! minutes has a bound put in. Of commands that a page only names (`pinfold check`) the words are
//! read, and of those of cargo the names. The cookbook's verdicts are held by `readme.rs`.

use snapbox::cmd::{Command, cargo_bin};
use std::fs;
use std::path::{Path, PathBuf};

/// What stands for something of the reader's, or takes minutes, and what a test takes in its place.
const STANDS_FOR: [(&str, &str); 18] = [
    ("rules NAME", "rules pte-cow"),
    ("import strace FILE", "import strace program.strace"),
    ("matrix --html FILE", "matrix --html made.html rdma-fork"),
    ("FILE... --on linux", "rdma-fork --on linux --max-executions 20"),
    ("identify --on linux", "identify --on linux --programs 20"),
    ("--programs 300", "--programs 3"),
    ("NAME", "rdma-fork"),
    ("SET", "5.8"),
    (" R ", " 5.8 "),
    (" M", " tso"),
    ("ID", "gkw762h"),
    ("FILE", "made.html"),
    ("1000000", "1000"),
    ("--minutes 10", "--seconds 0.5"),
    // So that something is left for what resumes it.
    ("--time 3600", "--max-executions 10"),
    ("--resume c.json", "--resume c.json --max-executions 10"),
    ("replay some/where/replay.json", "replay somewhere/replay.json"),
    ("--schedule 1,1,2,...", "--schedule SCHEDULE"),
];

/// What is put behind a command that would otherwise go on for long, if it has no bound.
const BOUNDS: [(&str, &str); 2] =
    [("pinfold soak", "--seconds 0.5"), ("pinfold fuzz", "--programs 2 --max-executions 300")];

/// The commands that do not end with 0, their status, and the words of their page that say so; of
/// some a page only names them, and what stands there is their meaning.
const ENDS: [(&str, i32, &str, &str); 19] = [
    (
        "bug-215616.md",
        1,
        "check bug-215616 --rules linux-5.9 -v",
        "WHAT  pin-coherence: h0 names f3",
    ),
    // On threads: soon or not within half a second.
    ("bug-215616.md", 1, "soak --rules 5.16", "**1, after"),
    ("campaigns.md", 3, "--shard 1/2 --out 1.json", "A shard by itself is PARTIAL"),
    ("campaigns.md", 3, "--shard 2/2 --out 2.json", "A shard by itself is PARTIAL"),
    ("campaigns.md", 3, "--random 1000000 --shard", "A random search is PARTIAL even when"),
    ("campaigns.md", 3, "--checkpoint c.json", "The report is that of what was done, PARTIAL"),
    ("campaigns.md", 3, "--resume c.json", "It resumes where it stopped"),
    ("evidence.md", 1, "soak --rules 5.9", "bug 215616 on real threads"),
    ("explorer.md", 1, "check torn-fork --rules 5.8", "torn-fork"),
    ("fork-races-fast-pin.md", 1, "check fork-races-fast-pin --rules R", "fork-races-fast-pin"),
    ("incidents.md", 1, "explain NAME --rules R --svg", "explain NAME"),
    ("reading-a-failure.md", 1, "explain", "tells the latest saved failure"),
    ("replay.md", 1, "replay", "The exit status is 1 if the failure is there again"),
    ("rules.md", 1, "check bug-215616 --rules 5.16", "--rules 5.16                      # breaks"),
    ("the-machine.md", 1, "explain rdma-fork --rules 5.8", "explain rdma-fork"),
    ("the-machine.md", 1, "explain bug-215616", "explain bug-215616"),
    // On a real kernel: 4 where there is none that can be asked.
    ("on-linux.md", 4, "check FILE... --on linux", "--on linux"),
    ("on-linux.md", 4, "fuzz --on linux", "--on linux"),
    ("on-linux.md", 4, "identify --on linux", "--on linux"),
];

/// Of these the status depends on the machine: 0, or what [`ENDS`] says.
const EITHER: [&str; 2] = ["--on linux", "soak --rules"];

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

/// The command with what stands for something of the reader's put in, and a bound behind it.
fn filled(command: &str) -> String {
    let line =
        STANDS_FOR.iter().fold(command.to_owned(), |line, (open, with)| line.replace(open, with));
    let bound = BOUNDS.iter().find(|(start, _)| {
        line.starts_with(start) && !line.contains("--seconds") && !line.contains("--programs")
    });
    bound.map_or(line.clone(), |(_, bound)| format!("{line} {bound}"))
}

/// Whether a page speaks of a command by its name, so that only its words are read.
fn is_spoken_of(words: &[&str]) -> bool {
    matches!(
        words,
        ["check" | "run" | "fuzz"] | ["check", "--all-outcomes"] | ["check", "--locks", "code"]
    )
}

/// What the command `pinfold` ends with in `here`; one that is spoken of is asked for help.
fn ended(command: &str, here: &Path) -> Option<i32> {
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let run = Command::new(cargo_bin!("pinfold")).current_dir(here);
    let run = if is_spoken_of(&words) { run.args(words).arg("--help") } else { run.args(words) };
    run.assert().get_output().status.code()
}

/// The statuses that a command of a page may end with.
fn stated(chapter: &str, command: &str) -> Vec<i32> {
    let of =
        ENDS.iter().rev().find(|(page, _, start, _)| *page == chapter && command.contains(start));
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    match of {
        Some((_, code, ..)) if EITHER.iter().any(|part| command.contains(part)) => vec![0, *code],
        // What is under a cure that the page names does not break.
        Some((_, code, ..)) if !is_spoken_of(&words) && !command.contains("ref-count") => {
            vec![*code]
        }
        _ => vec![0],
    }
}

/// A scenario as JSON: one thread writes, and the process sees it. Its quotes are double ones.
const SCENARIO: &str = "{'pinfold': 1, 'scenario': {'name': 'x', 'machine': {}, \
    'setup': {'process': {'name': 'P'}, 'steps': [{'process': 'P', 'do': {'verb': 'map', \
    'area': 'A', 'pages': 1, 'sharing': 'private', 'protection': 'rw'}}]}, \
    'lanes': [{'name': 'one', 'runner': {'process': {'name': 'P'}}, 'steps': [{'do': \
    {'verb': 'write', 'to': {'name': 'A'}, 'word': 'v1'}}]}], \
    'always': [{'mode': 'holds', 'facts': [{'atom': {'sees': {'view': {'process': \
    {'process': 'P', 'place': {'name': 'A'}}}, 'word': 'v1'}}, 'polarity': 'affirmed'}]}]}}";

/// What the commands of the book take for granted: an execution that was saved, also in another
/// place, its schedule, a recording, and a scenario as JSON.
fn prepared(here: &Path) -> String {
    let before = "pinfold check rdma-fork --rules 5.8 --model weak";
    assert_eq!(ended(before, here), Some(1), "{before}");
    let mut saved = Vec::new();
    let mut open = vec![here.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.ends_with("replay.json") {
                saved.push(path);
            }
        }
    }
    let [saved] = saved.as_slice() else { panic!("{saved:?}") };
    fs::create_dir(here.join("somewhere")).unwrap();
    fs::copy(saved, here.join("somewhere/replay.json")).unwrap();
    let file: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(saved).unwrap()).unwrap();
    fs::write(here.join("x.json"), SCENARIO.replace('\'', "\"")).unwrap();
    let recording = workspace().join("crates/pinfold-cli/tests/import/recordings");
    fs::copy(recording.join("register-fork.strace"), here.join("program.strace")).unwrap();
    file["schedule"].as_str().unwrap().to_owned()
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
fn every_command_of_the_book_ends_as_it_says() {
    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join("book");
    let _ = fs::remove_dir_all(&here);
    fs::create_dir_all(&here).unwrap();
    let schedule = prepared(&here);
    let (mut ran, mut spoken_of, mut of_cargo) = (0, 0, 0);
    let mut faults = Vec::new();
    for chapter in chapters().iter().filter(|name| *name != "cookbook.md") {
        let page = read(chapter);
        for (_, _, start, words) in ENDS.iter().filter(|(page, ..)| page == chapter) {
            if !page.contains(start) || !page.contains(words) {
                faults.push(format!("{chapter} does not say `{words}` of `{start}`"));
            }
        }
        for command in commands(&page) {
            if command.starts_with("cargo ") {
                of_cargo += 1;
                assert!(names_what_there_is(&command), "{chapter}: {command}");
                continue;
            }
            let words: Vec<&str> = command.split(' ').skip(1).collect();
            *(if is_spoken_of(&words) { &mut spoken_of } else { &mut ran }) += 1;
            let (mut wanted, line) = (stated(chapter, &command), filled(&command));
            if line.contains("--seconds") {
                // So short a time may be too little for an answer.
                wanted.push(3);
            }
            let code = ended(&line.replace("SCHEDULE", &schedule), &here);
            let right = code.is_some_and(|code| wanted.contains(&code));
            if !right {
                faults.push(format!("{chapter}: `{command}`: {code:?} in place of {wanted:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(ran >= 50, "only {ran} commands were run");
    assert!(spoken_of <= 8, "{spoken_of} commands were only read");
    assert!(of_cargo >= 40, "only {of_cargo} commands of cargo were found");
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
    assert_eq!(ended("pinfold rules pte-cow", here), Some(0));
    for wrong in ["pinfold chek x", "pinfold check --on linux --no-such", "pinfold rules nothing"] {
        assert_eq!(ended(wrong, here), Some(2), "{wrong}");
    }
    // A verdict that is not the page's is no success.
    assert_eq!(stated("rules.md", "pinfold check bug-215616 --rules 5.16"), [1]);
    assert_eq!(
        stated("rules.md", "pinfold check bug-215616 --rules 5.16,numa-skip=ref-count"),
        [0]
    );
    assert!(names_what_there_is("cargo test -p pinfold-lab --test documents -- --test none"));
    for wrong in ["cargo test -p pinfolt", "cargo test -p pinfold-lab --test none"] {
        assert!(!names_what_there_is(wrong), "{wrong}");
    }
}
