//! Recordings of real programs: the scenario that each becomes, and its verdict by release. The
//! programs are in `import/programs`, `import/record.sh` records them.

use snapbox::cmd::{Command, cargo_bin};
use snapbox::{Data, assert_data_eq};
use std::fs;
use std::path::{Path, PathBuf};

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

fn pinfold(arguments: &[&str]) -> (Option<i32>, String, String) {
    pinfold_in(&here(), arguments)
}

/// The verdict of each recording, oldest release first, and why it is right.
const VERDICTS: &[(&str, &[&str])] = &[
    // A get up to 5.5, of which no fork knows; a pin from 5.6, for which forks look from 5.9 (facts
    // 2.2). Before 5.1 there is no io_uring.
    ("register-fork", &["3.1 to 5.0 n/a", "5.1 to 5.8 NOT safe", "5.9 on safe"]),
    // As that: up to 6.9 a registration takes the lock that keeps forks out, and what later ones
    // take without it no fork misses (facts 2.5).
    ("register-beside-fork", &["3.1 to 5.0 n/a", "5.1 to 5.8 NOT safe", "5.9 on safe"]),
    // The advice comes after the fork that matters, so it is as if there were none (facts 2.1).
    ("dontfork-late", &["3.1 to 5.0 n/a", "5.1 to 5.8 NOT safe", "5.9 on safe"]),
    // The child has no such page: nobody shares it (facts 2.1).
    ("dontfork-in-time", &["3.1 to 5.0 n/a", "5.1 on safe"]),
    // The registration keeps the old pages, whatever the release: the program's error (facts 7.7).
    ("unmapped-reused", &["3.1 to 5.0 n/a", "5.1 on NOT safe"]),
    // A move takes the pages along (facts 6.1): ring and program see the same.
    ("moved", &["3.1 to 5.0 n/a", "5.1 on safe"]),
    // A child by vfork borrows the address space: nothing is shared by pages (facts 2.1).
    ("vfork-exec", &["3.1 to 5.0 n/a", "5.1 on safe"]),
    // The read is over when the fork begins.
    ("direct-then-fork", &["3.1 on safe"]),
    // Direct I/O gets up to 6.4 and pins since 6.5 (facts 12.9); other bytes of the page are
    // written while the device fills its part.
    ("direct-beside-fork", &["3.1 to 6.4 NOT safe", "6.5 on safe"]),
    // What was read before the thread came changes nothing.
    ("direct-warm", &["3.1 to 6.4 NOT safe", "6.5 on safe"]),
    // The same without addresses.
    ("direct-beside-fork-text", &["3.1 to 6.4 NOT safe", "6.5 on safe"]),
    // Nothing else lies in the pages, so nobody writes them while the device does, and nobody
    // copies them (facts 1.1): what the device brings stays the parent's.
    ("direct-pages-beside-fork", &["3.1 on safe"]),
    // The pipe has the page itself: a later store is seen there (facts 1.3), whatever the release.
    ("vmsplice-write", &["3.1 on NOT safe"]),
    ("vmsplice-read-first", &["3.1 on safe"]),
    // The same, where the memory is the child's own: its parent's copies have no part in it.
    ("vmsplice-in-child", &["3.1 on NOT safe"]),
    // CVE-2020-29374: the parent is the only one that maps the page, and writes to it in place
    // (facts 1.1, T3; from 5.8 on it copies).
    ("vmsplice-child", &["3.1 to 5.7 NOT safe", "5.8 on safe"]),
    // As vmsplice-write; MSG_ZEROCOPY came with 4.14.
    ("zerocopy-write", &["3.1 to 4.13 n/a", "4.14 on NOT safe"]),
    // A get up to 5.5 and a pin that forks look for from 5.9 (facts 3.14). Before 3.2 there is no
    // such call.
    ("process-vm", &["3.1 n/a", "3.2 to 5.8 NOT safe", "5.9 on safe"]),
    // As direct-beside-fork: the request of io_submit is under way when the program forks.
    ("aio-beside-fork", &["3.1 to 6.4 NOT safe", "6.5 on safe"]),
    // The first is over, the second is as that.
    ("aio-again", &["3.1 to 6.4 NOT safe", "6.5 on safe"]),
    // The requests were told to be over before.
    ("aio-then-fork", &["3.1 on safe"]),
    // As direct-beside-fork: what is read from came with a message.
    ("passed-beside-fork", &["3.1 to 6.4 NOT safe", "6.5 on safe"]),
    // Shared memory stays in step with a ring, whatever takes it (facts 2.1).
    ("shm-register", &["3.1 to 5.0 n/a", "5.1 on safe"]),
    // Nobody shares the page, but from 5.9 to 5.18 a store to an entry that was read-only takes
    // the pin for a sharer (facts 7.5, T10).
    (
        "protect-flip",
        &["3.1 to 5.0 n/a", "5.1 to 5.8 safe", "5.9 to 5.18 NOT safe", "5.19 on safe"],
    ),
    // The same by clear_refs, which leaves pinned pages alone from 5.11 on (facts 7.6, T9).
    ("clear-refs", &["3.1 to 5.0 n/a", "5.1 to 5.8 safe", "5.9 to 5.10 NOT safe", "5.11 on safe"]),
    (
        "clear-refs-text",
        &["3.1 to 5.0 n/a", "5.1 to 5.8 safe", "5.9 to 5.10 NOT safe", "5.11 on safe"],
    ),
    // MADV_PAGEOUT came with 5.4. A page that is held comes back as what it is, or stays (facts
    // 7.2); but up to 5.10 it is read-only if it is read first, and a store then counts references
    // from 5.9 on (facts 1.3).
    ("pageout", &["3.1 to 5.3 n/a", "5.4 to 5.8 safe", "5.9 to 5.10 NOT safe", "5.11 on safe"]),
    // The child finds other pages: nobody shares these (facts 2.1).
    ("wipeonfork-first", &["3.1 to 5.0 n/a", "5.1 on safe"]),
];

/// What stands behind `safe` where a recording does not tell all that matters, and the recordings
/// of which that is so: vectors and texts have no addresses.
const SHOWN: &str = "safe, as far as the recording shows";
const UNTOLD: &[&str] =
    &["direct-beside-fork-text", "vmsplice-read-first", "vmsplice-child", "clear-refs"];

#[test]
fn every_recording_has_its_verdicts() {
    let recorded = fs::read_dir(here().join("recordings")).expect("recordings").count();
    assert_eq!(recorded, VERDICTS.len());
    for (name, expected) in VERDICTS {
        let file = format!("recordings/{name}.strace");
        let (code, out, _) = pinfold(&["import", "strace", &file, "--check", "--no-save"]);
        let shown = out.contains(SHOWN);
        let eras: Vec<String> = (out.lines())
            .filter(|line| line.starts_with(|first: char| first.is_ascii_digit()))
            .map(|line| line.split([':', ',']).next().unwrap_or(line))
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(eras, *expected, "{name}:\n{out}");
        // Under the kernel that is recorded, 6.18.
        let safe = expected.last().is_some_and(|last| last.ends_with(" on safe"));
        assert_eq!(code, Some(i32::from(!safe)), "{name}");
        assert_eq!(shown, UNTOLD.contains(name), "{name}:\n{out}");
        assert_eq!(shown && safe, out.contains("\nleft out: "), "{name}:\n{out}");
    }
}

/// What the last lines say beside the table, of whom an upgrade meets and of what was not asked.
#[test]
fn the_answer_names_what_an_upgrade_meets() {
    let said = |name: &str, more: &[&str]| {
        let file = format!("recordings/{name}.strace");
        let asked = [&["import", "strace", &file, "--check", "--no-save"], more].concat();
        pinfold(&asked).1
    };
    let flip = said("protect-flip", &["--rules", "5.4"]);
    assert!(flip.contains("\nsafe under 5.4, NOT safe from 5.9 to 5.18\n"), "{flip}");
    assert!(flip.contains("\nnot asked: what the kernel does by itself"), "{flip}");
    assert!(flip.contains("pinfold matrix bug-215616"), "{flip}");
    let over = said("direct-then-fork", &[]);
    assert!(!over.contains("not asked: "), "nothing is held: {over}");
}

/// A request takes its pages before io_submit returns: no order of memory lets a fork come first.
#[test]
fn a_request_meets_no_fork_of_who_submitted_it() {
    let file = "recordings/aio-beside-fork.strace";
    let asked = ["import", "strace", file, "--check", "--no-save", "--model", "weak"];
    for rules in ["6.6", "6.12"] {
        let (code, out, _) = pinfold(&[&asked[..], &["--rules", rules]].concat());
        assert_eq!(code, Some(0), "{rules}: {out}");
    }
}

#[test]
fn every_recording_becomes_its_scenario() {
    for (name, _) in VERDICTS {
        let file = format!("recordings/{name}.strace");
        let (code, out, _) = pinfold(&["import", "strace", &file]);
        assert_eq!(code, Some(0), "{name}");
        let snapshot = here().join(format!("scenarios/{name}.pf"));
        assert_data_eq!(out, Data::read_from(&snapshot, None).raw());
        let shown = snapshot.display().to_string();
        assert_eq!(pinfold(&["fmt", "--check", &shown]).0, Some(0), "{name}");
    }
}

#[test]
fn what_it_says_beside_names_the_rules_and_what_is_left_out() {
    let (_, _, said) = pinfold(&["import", "strace", "recordings/unmapped-reused.strace"]);
    assert!(said.contains("the recording says 6.18"), "{said}");
    assert!(said.contains("left out: io_uring_enter"), "{said}");
    let file = "recordings/register-fork.strace";
    let (_, out, said) = pinfold(&["import", "strace", file, "--rules", "5.4"]);
    assert!(
        said.contains("(as given)") && out.contains("P: get A[0] write slow-only as h0"),
        "{said}{out}"
    );
    let (code, _, said) = pinfold(&["import", "strace", "record.sh"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("no line of strace") || said.contains("takes pages"), "{said}");
}

#[test]
fn a_call_that_was_dropped_makes_the_answer_partial() {
    let kept = fs::read_to_string(here().join("recordings/direct-then-fork.strace")).unwrap();
    let pid = kept.split(' ').next().unwrap_or_default();
    let more = format!("{pid} 1795999999.0 shmat(1, NULL, 0) = 0x7f0000000000\n");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dropped.strace");
    // Behind an end nobody calls: before it.
    let at = kept.find(&format!("{pid} 1")).unwrap_or(0);
    let first = kept[at..].find('\n').map_or(0, |end| at + end + 1);
    fs::write(&file, format!("{}{more}{}", &kept[..first], &kept[first..])).unwrap();
    let file = file.display().to_string();
    let (code, out, _) = pinfold(&["import", "strace", &file, "--check"]);
    assert_eq!(code, Some(3), "{out}");
    assert!(out.contains(SHOWN) && out.contains("left out: shmat"), "{out}");
    let (code, out, _) = pinfold(&["import", "strace", &file, "--check", "--format", "json"]);
    assert_eq!(code, Some(3), "{out}");
    for part in
        ["\"answer\": \"partial\"", "\"left_out\": [", "\"releases\": [", "\"from\": \"3.1\""]
    {
        assert!(out.contains(part), "{part} in {out}");
    }
}

/// A recording that is like one of those here, of another kernel, in a directory of its own.
fn on(kernel: &str) -> (PathBuf, String) {
    let kept = fs::read_to_string(here().join("recordings/register-fork.strace")).unwrap();
    let at = kept.find("release=\"").unwrap() + "release=\"".len();
    let end = at + kept[at..].find('"').unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("on-{kernel}"));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("p.strace"), format!("{}{kernel}{}", &kept[..at], &kept[end..]))
        .unwrap();
    (directory, "p.strace".to_owned())
}

fn pinfold_in(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let asked = Command::new(cargo_bin!("pinfold")).current_dir(directory).args(arguments).assert();
    let output = asked.get_output();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_commands_under_next_run() {
    let (directory, file) = on("5.4.0-42-generic");
    for more in [&[][..], &["-o", "made.pf"], &["--save", "kept"], &["-o", "b.pf", "--no-save"]] {
        let asked = [&["import", "strace", &file, "--check"], more].concat();
        let (code, out, said) = pinfold_in(&directory, &asked);
        assert_eq!(code, Some(1), "{said}{out}");
        let next: Vec<&str> = (out.lines())
            .filter_map(|line| line.trim_start_matches("NEXT").trim().strip_prefix("pinfold "))
            .filter_map(|line| line.split("  ").next())
            .collect();
        assert!(next.len() >= 3, "{out}");
        // The scenario has what 5.4 takes: under other rules it is another program.
        assert!(!next.iter().any(|line| line.contains("--rules all")), "{out}");
        for more in ["calls io-uring-buffers", "cure "] {
            assert!(next.iter().any(|line| line.starts_with(more)), "{out}");
        }
        for line in next {
            let words: Vec<&str> = line.split(' ').collect();
            let (code, out, said) = pinfold_in(&directory, &words);
            assert!(matches!(code, Some(0 | 1)), "pinfold {line}: {said}{out}");
        }
    }
    assert!(directory.join("target/pinfold/p.pf").is_file());
    assert!(directory.join("kept/p.pf").is_file());
    // Without a file there is no command.
    let (code, out, _) =
        pinfold_in(&directory, &["import", "strace", &file, "--check", "--no-save"]);
    assert!(code == Some(1) && !out.contains("NEXT"), "{out}");
}

#[test]
fn a_scenario_of_another_recording_is_not_replaced() {
    let (directory, file) = on("5.4.0-43-generic");
    let ask = |more: &[&str]| {
        let asked = [&["import", "strace", &file, "--check"], more].concat();
        pinfold_in(&directory, &asked).2
    };
    fs::create_dir_all(directory.join("target/pinfold/p-2.pf")).unwrap();
    fs::write(directory.join("target/pinfold/p.pf"), "another").unwrap();
    let said = ask(&[]);
    assert!(said.contains("target/pinfold/p-3.pf: its name is another one's already"), "{said}");
    assert_eq!(fs::read_to_string(directory.join("target/pinfold/p.pf")).unwrap(), "another");
    // The same text is in one file, however often it is asked for.
    assert!(ask(&[]).contains("p-3.pf"));
    assert!(!directory.join("target/pinfold/p-4.pf").exists());
    assert!(!ask(&["--save", "kept"]).contains("another one's"));
}

#[test]
fn a_kernel_without_the_calls_is_no_pass() {
    let (directory, file) = on("4.18.0-553.el8_10.x86_64");
    let (code, out, _) = pinfold_in(&directory, &["import", "strace", &file, "--check"]);
    assert_eq!(code, Some(4), "{out}");
    assert!(out.starts_with("SKIP ") && !out.contains("PASS"), "{out}");
    assert!(out.contains("because: these rules have no io-uring-buffers"), "{out}");
    assert!(out.contains("does not have the calls of the recording"), "{out}");
    // What was not asked is in no doubt.
    assert!(!out.contains("DOUBT"), "{out}");
    let asked = ["import", "strace", &file, "--check", "--format", "json"];
    assert!(!pinfold_in(&directory, &asked).1.contains("\"guesses\""));
}

#[test]
fn a_kernel_that_is_not_modelled_is_not_replaced_by_another() {
    for kernel in ["2.6.32-754.el6.x86_64", "7.9.1"] {
        let (directory, file) = on(kernel);
        for more in [&["--check"][..], &[]] {
            let asked = [&["import", "strace", &file], more].concat();
            let (code, out, said) = pinfold_in(&directory, &asked);
            assert_eq!((code, out.as_str()), (Some(2), ""), "{said}");
            let told = format!("the recording says {kernel}, which is not modelled");
            assert!(said.contains(&told) && said.contains("--rules"), "{said}");
        }
        let asked = ["import", "strace", &file, "--check", "--rules", "5.4"];
        assert_eq!(pinfold_in(&directory, &asked).0, Some(1));
    }
    let (directory, file) = on("6.5.0-rc3");
    let (_, _, said) = pinfold_in(&directory, &["import", "strace", &file]);
    let told = "the recording says 6.5.0-rc3, taken as 6.5, from which a candidate may differ";
    assert!(said.contains(told), "{said}");
}
