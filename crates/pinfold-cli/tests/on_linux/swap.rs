//! Pages that go to swap on this kernel. What makes a swap device is ignored, since it is for who
//! owns the machine, and nobody else swaps there: `cargo test -p pinfold-cli --test on_linux swap
//! -- --ignored`, as root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::cells::{OPERATIONS, SWAPPED, cell};
use super::{PINFOLD, pinfold, text, whole_machine};

/// Steps, each with its only outcome.
const STEPS: &[(&str, &str)] = &[
    ("pageout A", "P:A[0] sees \"a\" and P:A[1] sees \"b\" and P:A[0] is not P:A[0]"),
    ("pageout A\n  read A[0] expect \"a\"", "P:A[0] is P:A[0] and P:A[1] is not P:A[1]"),
    ("pageout A\n  write A[0] \"x\"", "P:A[0] sees \"x\" and P:A[1] sees \"b\""),
    ("pin A[0] write longterm as h0\n  pageout A", "h0 is P:A[0] and P:A[1] is not P:A[1]"),
    ("get A[0] read as h0\n  pageout A\n  write A[0] \"x\"", "h0 is P:A[0] and h0 sees \"x\""),
    ("mlock A[1]\n  pageout A", "P:A[0] is not P:A[0] and P:A[1] is P:A[1]"),
    ("protect A ro\n  pageout A\n  write A[0] \"x\" fails no-access", "P:A[0] sees \"a\""),
    ("pageout A\n  advise A dontneed", "P:A[0] sees \"0\" and P:A[1] sees \"0\""),
    ("pageout A\n  fork C\n  write A[0] \"x\"", "C:A[0] sees \"a\" and P:A[0] sees \"x\""),
    // The child may map the pages, too: they stay.
    ("fork C\n  pageout A", "C:A[0] is P:A[0] and C:A[1] is P:A[1]"),
    ("pageout A\n  remap A at 0x4000\n  read A[0] expect \"a\"", "P:A[1] sees \"b\""),
    ("pageout A\n  swapoff", "P:A[0] is P:A[0] and P:A[1] sees \"b\""),
    ("swapoff\n  pageout A", "P:A[0] is P:A[0] and P:A[1] is P:A[1]"),
    ("pageout A\n  pin A write longterm as h0\n  write h0[0] \"d\"", "P:A[0] sees \"d\""),
    ("pageout A\n  unmap A[0]\n  pageout A\n  read A[0] fails no-access", "P:A[1] sees \"b\""),
    // MADV_FREE, then MADV_PAGEOUT.
    ("advise A free\n  pageout A", "P:A[0] sees \"0\" and P:A[1] sees \"0\""),
    ("advise A free\n  read A[0] expect \"a\"", "P:A[0] sees \"a\" and P:A[1] sees \"b\""),
    ("advise A free\n  write A[0] \"x\"\n  pageout A", "P:A[0] sees \"x\" and P:A[1] sees \"0\""),
    (
        "advise A free\n  get A[0] read as h0\n  pageout A",
        "h0 is P:A[0] and P:A[0] sees \"a\" and P:A[1] sees \"0\"",
    ),
    ("advise A free\n  fork C\n  pageout A", "P:A[0] sees \"a\" and C:A[0] is P:A[0]"),
    ("pageout A\n  advise A free", "P:A[0] sees \"0\" and P:A[1] sees \"0\""),
    (
        "pageout A\n  read A[0]\n  advise A free\n  pageout A",
        "P:A[0] sees \"0\" and P:A[1] sees \"0\"",
    ),
    ("advise A cold\n  pageout A", "P:A[0] sees \"a\" and P:A[1] sees \"b\""),
];

/// Two of whose three pages find a slot.
const SHORT: &str = "scenario short
machine
  swap 2
setup
  process P
  P: map A 3 private rw
lane l: P
  write A[0] \"a\"
  write A[1] \"b\"
  write A[2] \"c\"
  pageout A
outcome as-said when P:A[2] is P:A[2] and P:A[1] is not P:A[1]
outcome other otherwise
";

/// A pin, a reference, or a fork against a pageout, and swapoff against a write.
const RACES: &[(&str, &str, &str)] = &[
    ("", "pin A[0] write longterm as h0", "write A[0] \"x\""),
    ("P: get A[0] read as h0", "read A[0]\n  write A[0] \"x\"", "read A[0]"),
    ("P: pageout A", "fork C", "write A[0] \"x\""),
    ("P: pageout A", "write A[0] \"x\"\n  write A[0] \"y\"", "read A[1]"),
];

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("swap");
    fs::create_dir_all(&folder).expect("a directory");
    folder
}

/// Writes scenarios, carries them out, and returns the line of each.
pub(super) fn lines(scenarios: &[(String, String)], trials: &str) -> Vec<String> {
    let mut command = vec!["check".to_owned()];
    for (name, text) in scenarios {
        let file = folder().join(format!("{name}.pf"));
        fs::write(&file, text).expect("a file");
        command.push(file.to_str().expect("a path in UTF-8").to_owned());
    }
    let rest = ["--on", "linux", "--i-own-this-machine", "--trials", trials, "--no-save"];
    command.extend(rest.map(str::to_owned));
    let ran = pinfold(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let told = text(&ran.stdout);
    let line = |(name, _): &(String, String)| {
        let line = told.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
        line.unwrap_or_else(|| panic!("{name}: {told}{}", text(&ran.stderr))).to_owned()
    };
    scenarios.iter().map(line).collect()
}

#[test]
#[ignore = "makes a swap device: see above"]
fn swap_does_what_the_language_says() {
    let _machine = whole_machine();
    let mut scenarios = vec![("short".to_owned(), SHORT.to_owned())];
    for (at, (steps, outcome)) in STEPS.iter().enumerate() {
        let name = format!("swap-{at}");
        let text = format!(
            "scenario {name}\nmachine\n  swap 4\nsetup\n  process P\n  P: map A 2 private rw\n  \
             P: write A[0] \"a\"\n  P: write A[1] \"b\"\nlane l: P\n  {steps}\n\
             outcome as-said when {outcome}\noutcome other otherwise\n"
        );
        scenarios.push((name, text));
    }
    for line in lines(&scenarios, "3") {
        assert!(line.starts_with("AGREE") && line.contains("as-said"), "{line}");
    }
}

#[test]
#[ignore = "makes a swap device: see above"]
fn races_with_swap_end_as_the_model_allows() {
    let _machine = whole_machine();
    let race = |(at, (setup, one, after)): (usize, &(&str, &str, &str))| {
        let name = format!("swap-race-{at}");
        let text = format!(
            "scenario {name}\nmachine\n  swap 4\nsetup\n  process P\n  P: map A 2 private rw\n  \
             P: write A[0] \"a\"\n  P: write A[1] \"b\"\n  {setup}\nlane one: P\n  {one}\n\
             lane out: P\n  pageout A\nafter\n  P: {after}\nalways\n  P:A[1] sees \"b\"\n\
             outcome done otherwise\n"
        );
        (name, text)
    };
    let scenarios: Vec<_> = RACES.iter().enumerate().map(race).collect();
    for line in lines(&scenarios, "300") {
        assert!(line.starts_with("AGREE") || line.starts_with("WITHIN"), "{line}");
    }
}

/// Why a cell of the kernel's own test of copy-on-write cannot be carried out from outside.
fn refused(operation: &str, region: &str) -> Option<&'static str> {
    match (operation, region) {
        (_, "r4" | "r6-pmd" | "r8-pmd") => Some("beside huge pages nothing goes to swap"),
        ("o9" | "o10" | "o11" | "o12" | "o13" | "o14", _) => Some("no system call"),
        _ => None,
    }
}

#[test]
#[ignore = "makes a swap device: see above"]
fn the_kernels_cells_on_regions_that_are_swapped_out_end_as_the_model_says() {
    let _machine = whole_machine();
    let (mut cells, mut reasons) = (Vec::new(), Vec::new());
    for operation in &OPERATIONS {
        for region in &SWAPPED {
            let (name, text) = cell(operation, region, region.pages.start);
            cells.push((name, text + "outcome done otherwise\n"));
            reasons.push(refused(operation.name, region.name));
        }
    }
    let mut agree = 0;
    for (line, refused) in lines(&cells, "20").iter().zip(reasons) {
        match refused {
            Some(reason) => assert!(line.starts_with("SKIP") && line.contains(reason), "{line}"),
            None => assert!(line.starts_with("AGREE"), "{line}"),
        }
        agree += usize::from(refused.is_none());
    }
    assert_eq!((agree, cells.len()), (8 * 3, 14 * 6));
}

/// What swap devices there are, but for the line that says what is told of them.
fn devices() -> Vec<String> {
    let all = fs::read_to_string("/proc/swaps").expect("a kernel with swap");
    let path = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    all.lines().skip(1).map(path).collect()
}

/// Waits until there is no swap device.
fn await_none() {
    let begun = Instant::now();
    while !devices().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", devices());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A command, which does not outlive the test.
struct Running(Child);

impl Running {
    fn kill(mut self) {
        self.0.kill().expect("the command");
        self.0.wait().expect("its end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

/// A command that carries trials out for longer than the test takes.
fn long() -> Running {
    let file = folder().join("long.pf");
    let text = "scenario long\nmachine\n  swap 4\nsetup\n  process P\n  P: map A 1 private rw\n\
                lane one: P\n  write A \"x\"\n  pageout A\nlane two: P\n  read A\n\
                outcome done otherwise\n";
    fs::write(&file, text).expect("a file");
    let mut command = Command::new(PINFOLD);
    command.arg("check").arg(file).args(["--on", "linux", "--i-own-this-machine"]);
    command.args(["--trials", "100000", "--max-executions", "100", "--no-save"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running(command.spawn().expect("the command"));
    await_trials();
    running
}

/// Waits until there is a device that is not the one of the first look at what there can be.
fn await_trials() {
    let begun = Instant::now();
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_millis(300) {
        if devices().is_empty() {
            since = Instant::now();
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "no trials");
    }
}

/// The agent that the command `own` has started, and all that came of the agent: its keeper, and
/// trials. Those of other tests are not among them.
fn agents_of(own: i32) -> (i32, Vec<i32>) {
    let all = agents();
    let (agent, _) = *all.iter().find(|(_, parent)| *parent == own).expect("an agent");
    let mut family = vec![agent];
    let mut at = 0;
    while let Some(&one) = family.get(at) {
        family.extend(all.iter().filter(|(_, parent)| *parent == one).map(|(number, _)| number));
        at += 1;
    }
    family.remove(0);
    (agent, family)
}

/// The agents of all commands, by their numbers, with that of the parent.
fn agents() -> Vec<(i32, i32)> {
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let agent = |number: i32| {
        let line = fs::read(format!("/proc/{number}/cmdline")).ok()?;
        let ours = text(&line).starts_with(PINFOLD) && text(&line).contains("linux-agent");
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        ours.then_some((number, parent))
    };
    numbers.filter_map(agent).collect()
}

fn kill(process: i32) {
    send("-KILL", process);
}

fn send(signal: &str, process: i32) {
    // It may have ended just before, with another.
    let mut command = Command::new("kill");
    command.args([signal, &process.to_string()]).stderr(Stdio::null());
    command.status().expect("a command");
}

#[test]
#[ignore = "makes a swap device: see above"]
fn a_device_is_taken_away_whoever_is_killed() {
    let _machine = whole_machine();
    assert_eq!(devices(), Vec::<String>::new(), "somebody swaps here");
    // The command.
    long().kill();
    await_none();
    // The agent, at which the command ends, too.
    let mut command = long();
    let (agent, others) = agents_of(command.0.id() as i32);
    // What ends a process that does not care ends no keeper.
    let signals = ["-TERM", "-USR1", "-ALRM", "-PIPE", "-SEGV", "-32", "-40"];
    for signal in signals {
        others.iter().for_each(|number| send(signal, *number));
    }
    kill(agent);
    command.0.wait().expect("its end");
    await_none();
    // All of them, the keeper first: the next command takes away what is left.
    let command = long();
    let (agent, others) = agents_of(command.0.id() as i32);
    others.into_iter().chain([agent]).for_each(kill);
    command.kill();
    assert_eq!(devices().len(), 1);
    let scenario = [("short".to_owned(), SHORT.to_owned())];
    assert!(lines(&scenario, "3")[0].starts_with("AGREE"));
    await_none();
}

#[test]
fn nobody_swaps_on_a_machine_that_is_not_given_for_it() {
    let file = folder().join("not-given.pf");
    fs::write(&file, SHORT).expect("a file");
    let path = file.to_str().expect("a path in UTF-8");
    let ran = pinfold(&["check", path, "--on", "linux", "--no-save"]);
    let told = text(&ran.stdout);
    assert_eq!(ran.status.code(), Some(4), "{told}{}", text(&ran.stderr));
    assert!(told.contains("a swap device is of the whole machine"), "{told}");
    // Without a device every page stays, which takes none.
    let stays = SHORT.replace("machine\n  swap 2\n", "").replace("is not P:A[1]", "is P:A[1]");
    fs::write(&file, stays).expect("a file");
    let ran = pinfold(&["check", path, "--on", "linux", "--no-save"]);
    let told = text(&ran.stdout);
    let word = told.split_whitespace().next().unwrap_or_default();
    let swaps = told.contains("this machine swaps to");
    assert!(matches!(word, "AGREE" | "WITHIN") || word == "SKIP" && swaps, "{told}");
}
