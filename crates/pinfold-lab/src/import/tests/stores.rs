//! What the program may do at any time, and what was said of memory before something took it.

use super::super::track::ADVICE;
use super::*;

/// A program with two pages, of which the first is registered.
const START: &str = "10 execve(\"./p\", [\"./p\"], 0x7ffc /* 3 vars */) = 0\n\
     10 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000\n\
     10 openat(AT_FDCWD, \"d\", O_RDWR|O_DIRECT) = 3\n\
     10 io_uring_setup(4, {flags=0}) = 4\n";
const REGISTER: &str = "10 io_uring_register(4, IORING_REGISTER_BUFFERS, \
     [{iov_base=0x7f0000000000, iov_len=4096}], 1) = 0\n";

fn advised(name: &str) -> String {
    format!("10 madvise(0x7f0000000000, 4096, {name}) = 0\n")
}

fn protected(to: &str) -> String {
    format!("10 mprotect(0x7f0000000000, 4096, {to}) = 0\n")
}

fn after(more: &str) -> Imported {
    made(&format!("{START}{REGISTER}{more}"))
}

/// The step that follows this one.
fn next<'a>(made: &'a Imported, step: &str) -> Option<&'a str> {
    let steps = steps(made);
    let at = steps.iter().position(|other| other.ends_with(step));
    steps.get(at.unwrap_or_else(|| panic!("`{step}` in\n{}", made.text)) + 1).copied()
}

/// INV-WRITE-1, for each piece of advice, on each kind of memory, before and after.
#[test]
fn all_advice_makes_a_scenario() {
    for (name, number, _) in ADVICE {
        for advice in [(*name).to_owned(), format!("{number:#x}")] {
            for memory in ["MAP_PRIVATE|MAP_ANONYMOUS", "MAP_SHARED|MAP_ANONYMOUS"] {
                let start = START.replace("MAP_PRIVATE|MAP_ANONYMOUS", memory);
                let advised = advised(&advice);
                let first = made(&format!("{start}{advised}{REGISTER}10 fork() = 11\n"));
                assert!(first.text.contains("fork C"), "{}", first.text);
                let last = made(&format!("{start}{REGISTER}{advised}10 fork() = 11\n"));
                let huge = name.ends_with("HUGEPAGE");
                assert_eq!(last.text.contains("# line 6\n"), !huge, "{name}\n{}", last.text);
            }
        }
    }
}

#[test]
fn what_may_change_a_store_is_followed_by_one() {
    let store = Some("write A[0].0 \"w1\"");
    let flipped = after(&(protected("PROT_READ") + &protected("PROT_READ|PROT_WRITE")));
    assert_eq!(next(&flipped, "protect A[0] ro"), Some("protect A[0] rw"));
    assert_eq!(next(&flipped, "protect A[0] rw"), store, "{}", flipped.text);
    for (advice, step) in [
        ("MADV_PAGEOUT", "pageout A[0]"),
        ("MADV_FREE", "advise A[0] free"),
        ("MADV_COLD", "advise A[0] cold"),
        ("MADV_DONTNEED", "advise A[0] dontneed"),
    ] {
        assert_eq!(next(&after(&advised(advice)), step), store, "{advice}");
    }
    assert!(after(&advised("MADV_PAGEOUT")).text.contains("swap 1\n"));
    let beside = "10 munmap(0x7f0000001000, 4096) = 0\n";
    assert!(!after(beside).text.contains("w1"), "nothing has that page");
}

#[test]
fn what_the_program_may_not_write_it_does_not() {
    let barred = after(&(protected("PROT_READ") + "10 fork() = 11\n"));
    assert!(!barred.text.contains("w1"), "{}", barred.text);
    let given = after(&(protected("PROT_NONE") + "10 fork() = 11\n" + &protected("PROT_WRITE")));
    assert_eq!(next(&given, "fork C"), Some("protect A[0] rw"), "{}", given.text);
    // What is written to a file may be memory that nobody writes; what is read into is not.
    let from = |call: &str| {
        let bytes = "3, 0x7f0000000000, 512, 0) = 512\n";
        made(&format!("{START}{}10 {call}({bytes}10 fork() = 11\n", protected("PROT_READ")))
    };
    let written = from("pwrite64");
    assert!(written.text.contains("protect A[0] ro") && !written.text.contains("w1"));
    let read = from("pread64");
    assert!(!read.text.contains("protect") && read.text.contains("write A[0].1 \"w1\""));
}

#[test]
fn what_was_said_before_a_buffer_was_taken_stands_there() {
    let made = |advice: &str, undone: &str| {
        let text = format!("{START}{}{undone}{REGISTER}10 fork() = 11\n", advised(advice));
        self::made(&text)
    };
    let wiped = made("MADV_WIPEONFORK", "");
    assert!(next(&wiped, "advise A[0] wipeonfork").is_some_and(|next| next.contains("pin A[0]")));
    let kept = made("MADV_WIPEONFORK", &advised("MADV_KEEPONFORK"));
    assert!(!kept.text.contains("advise"), "{}", kept.text);
    let huge = made("MADV_HUGEPAGE", "");
    assert_eq!((huge.gap, huge.left.len()), (Gap::Untold, 1));
    assert_eq!(made("MADV_HUGEPAGE", &advised("MADV_NOHUGEPAGE")).gap, Gap::None);
    assert_eq!(made("MADV_MERGEABLE", "").gap, Gap::Dropped);
}

/// Pieces that differ in nothing are one: a right that was given back cuts no mapping.
#[test]
fn a_right_that_was_given_back_cuts_no_mapping() {
    let flip = protected("PROT_READ") + &protected("PROT_READ|PROT_WRITE");
    let both = REGISTER.replace("4096", "8192");
    let made = made(&format!("{START}{flip}{both}10 fork() = 11\n"));
    assert!(made.text.contains("map A 1 private rw"), "{}", made.text);
}

#[test]
fn clear_refs_is_a_step_of_the_process_that_it_is_of() {
    let opened = |path: &str, value: &str| {
        format!(
            "10 openat(AT_FDCWD, \"/proc/{path}/clear_refs\", O_WRONLY) = 7\n\
             10 write(7, {value}, 2) = 2\n"
        )
    };
    for path in ["self", "10"] {
        let made = after(&opened(path, "\"4\\n\""));
        assert_eq!(next(&made, "clear-refs"), Some("write A[0].0 \"w1\""), "{}", made.text);
        assert_eq!(made.gap, Gap::None);
    }
    assert!(!after(&opened("self", "\"1\"")).text.contains("clear-refs"));
    let raw = after(&opened("self", "0x7ffc00"));
    assert_eq!((raw.text.contains("clear-refs"), raw.gap), (true, Gap::Untold));
    assert_eq!(after(&opened("77", "\"4\"")).gap, Gap::Untold);
    // A child that writes to that of its parent does so in a lane of the parent.
    let text = opened("10", "\"4\"").replace("10 ", "11 ");
    let other = after(&format!("10 fork() = 11\n{text}"));
    assert!(other.text.contains("lane lane-1: P on cpu1"), "{}", other.text);
    let twice = after(&(opened("self", "\"4\"") + "10 write(7, \"4\", 1) = 1\n"));
    assert_eq!(twice.text.matches("\n  clear-refs").count(), 1, "{}", twice.text);
}
