//! `pinfold check --on linux` and its like, from outside, and the agent that they start: what holds
//! on every kernel, and what an agent that hangs, dies or talks nonsense leads to.
#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pinfold_lab::resolved::Resolved;
use pinfold_lab::scenario::parse;
use pinfold_linux::job::{Ask, Conduct, Say};
use pinfold_linux::{Agent, AgentError, Process, Program};

#[path = "../../pinfold-lab/tests/conformance/cells.rs"]
mod cells;
#[path = "on_linux/files.rs"]
mod files;
#[path = "on_linux/huge.rs"]
mod huge;
#[path = "on_linux/merging.rs"]
mod merging;
#[path = "on_linux/monitors.rs"]
mod monitors;
#[path = "on_linux/swap.rs"]
mod swap;

const PINFOLD: &str = env!("CARGO_BIN_EXE_pinfold");

fn pinfold(arguments: &[&str]) -> Output {
    Command::new(PINFOLD).args(arguments).output().expect("the command")
}

/// Whoever sets what is the whole machine's holds this: one test at a time.
static MACHINE: Mutex<()> = Mutex::new(());

fn whole_machine() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The real agent, which waits so many seconds for a step.
fn agent(patience: u32) -> Process {
    let arguments = ["linux-agent", "--patience", &patience.to_string()].map(Into::into).into();
    started(PINFOLD.into(), arguments).expect("an agent")
}

fn started(path: PathBuf, arguments: Vec<std::ffi::OsString>) -> Result<Process, AgentError> {
    let (start, answer) = (Duration::from_secs(20), Duration::from_secs(20));
    Process::start(Program { path, arguments, start, answer, alone: false })
}

fn plan(text: &str) -> Ask {
    let scenario = parse(text).expect("a scenario");
    Ask::Plan(Box::new(Resolved::of(&scenario).expect("a plan")))
}

/// A scenario whose second lane waits for a signal that is never given where the first one fails.
const WAITS: &str = "scenario waits\nsetup\n  process P\n  P: map A 1 private rw\nlane one: P\n  \
                     read A expect \"x\"\n  signal go\nlane two: P\n  await go\n  write A \"x\"\n\
                     outcome done otherwise\n";

const PLAIN: &str = "scenario plain\nsetup\n  process P\n  P: map A 1 private rw\nlane one: P\n  \
                     write A \"x\"\n  fork C\noutcome done when C:A sees \"x\"\n\
                     outcome other otherwise\n";

#[test]
fn a_scenario_agrees_or_says_why_not() {
    let ran = pinfold(&["check", "rdma-fork", "--on", "linux", "--trials", "5", "--no-save"]);
    let told = text(&ran.stdout);
    let word = told.split_whitespace().next().unwrap_or_default();
    let expected = match word {
        "AGREE" | "WITHIN" => 0,
        "SKIP" => 4,
        other => panic!("{other}: {told}{}", text(&ran.stderr)),
    };
    assert_eq!(ran.status.code(), Some(expected), "{told}");
    assert!(told.contains("kernel  ") && told.contains("compared with"), "{told}");
}

/// Asserts that these incidents end as the model allows, or are skipped.
fn agree_or_say_why_not(names: &[&str], trials: &str) {
    let rest = ["--on", "linux", "--trials", trials, "--no-save"];
    let ran = pinfold(&[&["check"], names, &rest[..]].concat());
    let told = text(&ran.stdout);
    for name in names {
        let line = told.lines().find(|line| line.split_whitespace().nth(1) == Some(*name));
        let word = line.expect("a line for each").split_whitespace().next().unwrap_or_default();
        assert!(["AGREE", "WITHIN", "SKIP"].contains(&word), "{told}{}", text(&ran.stderr));
    }
}

/// Each of these changes the process that carries it out: its stack limit, its program break.
#[test]
fn stacks_and_the_program_break_agree_or_say_why_not() {
    let names = ["stack-grows", "pin-below-stack", "break-shrinks"];
    agree_or_say_why_not(&names, "5");
}

/// A pin that is refused, and a device that would have used it.
const REFUSED: &str = "scenario refused
setup
  process P
  P: map A 1 private ro
lane pinner: P
  pin A write longterm as h0 may fail no-access
  signal tried
lane dma: device
  write h0 \"v\"
  read h0 as r0
lane end: P after dma
  await tried
  read A expect \"0\"
after
  unpin h0
always
  r0 \"v\"
";

#[test]
fn what_a_refused_pin_would_serve_is_left_out() {
    let mut agent = agent(20);
    if agent.features().no_pins.is_some() {
        return;
    }
    assert_eq!(agent.ask(&plan(REFUSED)), Ok(Say::Understood));
    let whole = Conduct::Whole(vec![0, 0, 1, 1, 2, 2]);
    for conduct in [whole, Conduct::Free { seed: 1 }, Conduct::Free { seed: 2 }] {
        match agent.ask(&Ask::Trial(conduct)) {
            Ok(Say::Seen(seen)) => {
                assert!(seen.failed.is_empty() && !seen.facts[0].made, "{seen:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn delays_and_samples_follow_from_the_seed() {
    let ran =
        |on: &[&str]| pinfold(&[&["check", "rdma-fork", "--no-save", "--seed", "7"], on].concat());
    assert!(matches!(ran(&["--on", "linux", "--trials", "5"]).status.code(), Some(0 | 4)));
    assert_eq!(ran(&[]).status.code(), Some(2), "nothing is left to chance");
}

#[test]
fn a_machine_with_one_node_is_left_as_it_is() {
    if pinfold_linux::nodes() > 1 {
        return; // Its settings would be changed, and nobody has given it for that.
    }
    let owned = ["check", "bug-215616", "--on", "linux", "--i-own-this-machine", "--no-save"];
    let ran = pinfold(&owned);
    let told = text(&ran.stdout);
    assert_eq!(ran.status.code(), Some(4), "{told}{}", text(&ran.stderr));
    assert!(told.contains("SKIP") && told.contains("2 memory nodes are needed"), "{told}");
}

#[test]
fn a_report_is_one_document() {
    let ran = pinfold(&[
        "check",
        "rdma-fork",
        "vmsplice-leak",
        "--on",
        "linux",
        "--orders",
        "whole",
        "--format",
        "json",
    ]);
    let document: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!(document["on"], "linux");
    assert_eq!(document["reports"].as_array().map(Vec::len), Some(2), "{document}");
}

#[test]
fn random_programs_are_compared() {
    let ran = pinfold(&["fuzz", "--on", "linux", "--programs", "10", "--trials", "5", "--no-save"]);
    let told = text(&ran.stdout);
    assert!(matches!(ran.status.code(), Some(0 | 4)), "{told}{}", text(&ran.stderr));
    assert!(told.contains("10 programs from seed 0") || told.contains("SKIP"), "{told}");
}

#[test]
fn random_programs_are_held_against_the_oracles() {
    let clean = ["fuzz", "--programs", "6", "--max-executions", "200", "--no-save"];
    let ran = pinfold(&clean);
    let told = text(&ran.stdout);
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{told}{}", text(&ran.stderr));
    assert!(told.contains("nothing found"), "{told}");
    assert_eq!(told, text(&pinfold(&clean).stdout), "the same from the same seed");
    assert!(told.contains("| model tso |"), "{told}");
    let allowed = pinfold(&[&clean[..], &["--allow-partial"]].concat());
    assert_eq!(allowed.status.code(), Some(0));
}

#[test]
fn old_rules_are_found_out_and_cut() {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz-old");
    let _ = fs::remove_dir_all(&place);
    let save = place.to_str().expect("a path");
    let ran =
        pinfold(&["fuzz", "--programs", "400", "--lanes", "0", "--rules", "5.8", "--save", save]);
    let told = text(&ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{told}{}", text(&ran.stderr));
    assert!(told.contains("FAIL   random-"), "{told}");
    // What was saved fails by itself.
    let saved = fs::read_dir(&place).expect("a directory").next().expect("a program").expect("one");
    let file = saved.path().join("program.pf");
    let again = pinfold(&["check", file.to_str().expect("a path"), "--rules", "5.8", "--no-save"]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again.stdout));
}

/// Linux leaves fork a hole that a weakly ordered machine falls through; Pinfold closes it.
#[test]
fn the_model_decides_what_random_programs_meet() {
    let met = |rules, model| {
        let one = ["fuzz", "--programs", "2", "--seed", "1162", "--lanes", "2", "--steps", "2"];
        let how = ["--rules", rules, "--model", model, "--allow-partial", "--no-save"];
        let ran = pinfold(&[&one[..], &how].concat());
        (ran.status.code(), text(&ran.stdout).contains("pin-coherence"))
    };
    assert_eq!(met("latest", "weak"), (Some(1), true));
    assert_eq!(met("latest", "tso"), (Some(0), false));
    assert_eq!(met("pinfold", "weak"), (Some(0), false));
}

#[test]
fn wrong_words_are_refused() {
    let nowhere = "linux:/nowhere/vmlinuz";
    let no_kernel = concat!("linux:", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for (arguments, said) in [
        (&["check", "rdma-fork", "--on", "windows"][..], "linux"),
        (&["check", "rdma-fork", "--on", "linux:"], "linux"),
        (&["check", "rdma-fork", "--on", nowhere], "cannot be read"),
        (&["check", "rdma-fork", "--on", no_kernel], "neither a kernel"),
        (&["check", "rdma-fork", "--trials", "5"], "--on"),
        (&["check", "rdma-fork", "--i-own-this-machine"], "--on"),
        (&["check", "rdma-fork", "--on", "linux", "--trials", "x"], "--trials"),
        (&["check", "rdma-fork", "--on", "linux", "--orders", "some"], "--orders"),
        (&["check", "rdma-fork", "--on", "linux", "--rules", "5.9,5.10"], "one rule set"),
        (&["check", "rdma-fork", "--on", "linux", "--all-outcomes"], "--all-outcomes"),
        (&["fuzz", "--programs", "0"], "--programs"),
        (&["fuzz", "--lanes", "9"], "--lanes"),
        (&["fuzz", "--steps", "0"], "--steps"),
        (&["fuzz", "--rules", "3.0"], "3.0"),
        (&["fuzz", "--on", "linux", "--model", "sc"], "--model"),
        (&["fuzz", "--on", "linux", "--allow-partial"], "--allow-partial"),
        (&["fuzz", "--on", "linux", "--rules", "5.9,5.10"], "one rule set"),
        (&["fuzz", "--on", nowhere], "cannot be read"),
        (&["identify"], "--on"),
        (&["identify", "--on", nowhere], "cannot be read"),
        (&["identify", "--on", "linux", "--rules", "3.0"], "3.0"),
        (&["linux-agent", "--patience", "0"], "--patience"),
        (&["linux-guest"], "virtual machine"),
    ] {
        let ran = pinfold(arguments);
        let told = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{arguments:?}: {}{told}", text(&ran.stdout));
        assert!(told.contains(said), "{arguments:?}: {told}");
    }
}

#[test]
fn without_the_emulator_an_image_is_skipped_with_the_remedy() {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-emulator");
    fs::create_dir_all(&place).expect("a directory");
    let image = place.join("vmlinuz");
    let mut bytes = vec![0; 4096];
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    fs::write(&image, bytes).expect("a file");
    let on = format!("linux:{}", image.display());
    for arguments in [
        &["check", "rdma-fork", "--on", &on][..],
        &["fuzz", "--on", &on],
        &["identify", "--on", &on],
    ] {
        let ran = Command::new(PINFOLD).args(arguments).env("PATH", &place).output();
        let ran = ran.expect("the command");
        let told = text(&ran.stdout);
        assert_eq!(ran.status.code(), Some(4), "{told}{}", text(&ran.stderr));
        assert!(told.contains("qemu-system-x86"), "{told}");
    }
}

#[test]
fn an_agent_answers_trials_and_nonsense() {
    let mut agent = agent(20);
    assert!(matches!(agent.ask(&Ask::Trial(Conduct::Whole(vec![0]))), Ok(Say::Trouble(_))));
    assert_eq!(agent.ask(&plan(PLAIN)), Ok(Say::Understood));
    for conduct in [Conduct::Whole(vec![0, 0]), Conduct::Free { seed: 1 }] {
        match agent.ask(&Ask::Trial(conduct)) {
            Ok(Say::Seen(seen)) => {
                assert!(seen.failed.is_empty() && seen.facts[0].is == Some(true), "{seen:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    let unknown = agent.ask(&Ask::Trial(Conduct::Whole(vec![7])));
    assert!(matches!(unknown, Ok(Say::Trouble(_))), "{unknown:?}");
}

#[test]
fn a_lane_that_waits_for_ever_is_trouble_and_no_observation() {
    let mut agent = agent(1);
    assert_eq!(agent.ask(&plan(WAITS)), Ok(Say::Understood));
    for conduct in [Conduct::Free { seed: 3 }, Conduct::Whole(vec![0, 1])] {
        let begun = Instant::now();
        let answer = agent.ask(&Ask::Trial(conduct));
        assert!(matches!(&answer, Ok(Say::Trouble(_))), "{answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(15));
    }
    // It is none the worse for that.
    assert_eq!(agent.ask(&plan(PLAIN)), Ok(Say::Understood));
    assert!(matches!(agent.ask(&Ask::Trial(Conduct::Whole(vec![0, 0]))), Ok(Say::Seen(_))));
    assert!(are_gone(agent.id().expect("its number")));
}

/// The children of a process.
fn children(process: u32) -> Vec<i32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Whether a process has no children: one that has ended is listed for a moment more.
fn are_gone(process: u32) -> bool {
    let begun = Instant::now();
    while !children(process).is_empty() {
        if begun.elapsed() > Duration::from_secs(2) {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

fn kill(process: i32) {
    let killed = Command::new("/bin/sh").args(["-c", &format!("kill -9 {process}")]).status();
    assert!(killed.is_ok_and(|status| status.success()));
}

#[test]
fn a_process_of_a_trial_that_dies_is_trouble() {
    let mut agent = agent(20);
    assert_eq!(agent.ask(&plan(WAITS)), Ok(Say::Understood));
    let own = agent.id().expect("its number");
    if fs::read_to_string(format!("/proc/{own}/task/{own}/children")).is_err() {
        return; // This kernel does not tell whose children there are.
    }
    // The lane waits for ten seconds, so its process is there to be killed.
    let killer = std::thread::spawn(move || {
        loop {
            if let Some(child) = children(own).first() {
                return kill(*child);
            }
            std::thread::yield_now();
        }
    });
    let answer = agent.ask(&Ask::Trial(Conduct::Free { seed: 3 }));
    killer.join().expect("the killer");
    assert!(matches!(&answer, Ok(Say::Trouble(_))), "{answer:?}");
    assert_eq!(agent.ask(&plan(PLAIN)), Ok(Say::Understood));
    assert!(matches!(agent.ask(&Ask::Trial(Conduct::Whole(vec![0, 0]))), Ok(Say::Seen(_))));
}

#[test]
fn an_agent_that_was_killed_is_an_error_once() {
    let mut agent = agent(20);
    assert_eq!(agent.ask(&plan(PLAIN)), Ok(Say::Understood));
    kill(i32::try_from(agent.id().expect("its number")).expect("a number"));
    let trial = Ask::Trial(Conduct::Whole(vec![0, 0]));
    assert!(matches!(agent.ask(&trial), Err(AgentError::Died(_))));
    // The next is told the plan again.
    assert!(matches!(agent.ask(&trial), Ok(Say::Seen(_))));
}

#[test]
fn what_is_no_agent_is_told_apart() {
    let shell = |script: &str| {
        let program = Program {
            path: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            start: Duration::from_millis(500),
            answer: Duration::from_millis(500),
            alone: true,
        };
        Process::start(program).map(|_| ())
    };
    assert!(matches!(shell("exit 3"), Err(AgentError::Died(how)) if how.contains('3')));
    assert_eq!(shell("exec sleep 60"), Err(AgentError::Hangs(0)));
    assert!(matches!(shell("echo hello; exec sleep 60"), Err(AgentError::Garbled(_))));
    assert!(matches!(shell("echo '\"understood\"'; exec sleep 60"), Err(AgentError::Garbled(_))));
    assert!(matches!(started("/nowhere".into(), Vec::new()), Err(AgentError::Start(_))));
}
