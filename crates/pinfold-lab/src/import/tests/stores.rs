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
        ("MADV_PAGEOUT", "read A[0].0"),
        ("MADV_FREE", "advise A[0] free"),
        ("MADV_COLD", "advise A[0] cold"),
        ("MADV_DONTNEED", "advise A[0] dontneed"),
    ] {
        assert_eq!(next(&after(&advised(advice)), step), store, "{advice}");
    }
    let out = after(&advised("MADV_PAGEOUT"));
    assert!(out.text.contains("swap 1\n"), "{}", out.text);
    assert_eq!(next(&out, "pageout A[0]"), Some("read A[0].0"), "{}", out.text);
    assert_eq!(out.advice, ["MADV_PAGEOUT"]);
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

/// What an older use of some of the pages kept is not all.
#[test]
fn what_was_said_of_pages_that_no_older_use_has_stands_there_too() {
    let start = START.replace("8192", "16384");
    let all = "10 madvise(0x7f0000000000, 16384, MADV_DONTFORK) = 0\n";
    let first = "10 pread64(3, 0x7f0000000000, 512, 0) = 512\n";
    let register = REGISTER.replace("4096", "16384");
    let made = made(&format!("{start}{all}{first}{register}10 fork() = 11\n"));
    let found: Vec<&str> = steps(&made);
    for page in ["P: advise A[0] dontfork", "P: advise A[1] dontfork"] {
        assert_eq!(found.iter().filter(|step| **step == page).count(), 1, "{}", made.text);
    }
    // A guest's memory need not be writable; who only reads it comes later.
    let guest = "10 ioctl(5, KVM_SET_USER_MEMORY_REGION, {slot=0, flags=0, guest_phys_addr=0, \
                 memory_size=4096, userspace_addr=0x7f0000000000}) = 0\n";
    let write = "10 pwrite64(3, 0x7f0000000000, 512, 0) = 512\n";
    let text = format!("{START}{}{guest}{write}10 fork() = 11\n", protected("PROT_READ"));
    let made = self::made(&text);
    assert!(made.text.contains("protect A[0] ro"), "{}", made.text);
    assert!(!made.text.contains("w1"), "{}", made.text);
}

#[test]
fn who_waits_for_a_thread_may_do_what_that_said() {
    let thread = "10 clone3({flags=CLONE_VM|CLONE_FILES|CLONE_THREAD|CLONE_CHILD_CLEARTID, \
                  child_tid=0x7f10}, 88) = 11\n";
    let join = "11 exit(0) = ?\n11 +++ exited with 0 +++\n\
                10 futex(0x7f10, FUTEX_WAIT_BITSET, 11, NULL, FUTEX_BITSET_MATCH_ANY) = 0\n\
                10 fork() = 12\n";
    let by = |thread: &str, to| protected(to).replace("10 ", thread);
    let flip = protected("PROT_READ") + thread + &by("11 ", "PROT_READ|PROT_WRITE") + join;
    let given = after(&flip);
    assert!(given.text.contains("await end-"), "{}", given.text);
    let store = next(&given, "fork C").is_some_and(|next| next.starts_with("write A[0].0"));
    assert!(store, "{}", given.text);
    // What it took away, it took from who waits for it; what its maker may not, it may not.
    let taken = after(&(thread.to_owned() + &by("11 ", "PROT_READ") + join));
    assert!(taken.text.contains("await end-"), "{}", taken.text);
    let store = next(&taken, "fork C").is_some_and(|next| next.starts_with("write"));
    assert!(!store, "{}", taken.text);
    let forks = thread.to_owned() + "11 fork() = 12\n";
    let made = after(&(protected("PROT_READ") + &forks));
    assert!(!made.text.contains("w1"), "{}", made.text);
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

/// A thread that is there while another one changes the memory may store before, in and after that,
/// whatever the times say.
#[test]
fn a_thread_may_store_in_the_middle_of_a_call_of_another_one() {
    let thread = "10 clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_CHILD_CLEARTID, child_tid=0x7f10}, 88) = 11\n";
    let fork = "10 1.5 fork() = 12 <0.000312>\n";
    let forked = after(&format!("{thread}{fork}"));
    let found = steps(&forked);
    let at = found.iter().position(|step| step.starts_with("lane beside: P on cpu1"));
    let at = at.unwrap_or_else(|| panic!("{}", forked.text));
    // A word of its own, so that what is stored there is claimed, too.
    assert_eq!(found[at + 1], "write A[0].1 \"w2\"", "{}", forked.text);
    assert!(found.contains(&"words 2") && found.contains(&"P:A[0].1 sees \"w2\""));
    assert!(forked.text.contains("# assumed: thread 11 may store while line 7 is under way"));
    // Who came later, has ended or is another process is not there.
    let joined = "10 futex(0x7f10, FUTEX_WAIT_BITSET, 11, NULL, FUTEX_BITSET_MATCH_ANY) = 0\n";
    let other = "10 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD) = 11\n";
    for alone in [format!("{fork}{thread}"), format!("{thread}{joined}{fork}")] {
        assert!(!after(&alone).text.contains("lane beside"), "{alone}");
    }
    assert!(!after(&format!("{other}{fork}")).text.contains("lane beside"));
}

/// What a store meets in the middle of each change, and what is the program's own error.
#[test]
fn a_store_in_the_middle_goes_where_it_may() {
    let thread = "10 clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_CHILD_CLEARTID, child_tid=0x7f10}, 88) = 11\n";
    let beside = |more: &str| after(&format!("{thread}{more}"));
    let flipped = beside(&(protected("PROT_READ") + &protected("PROT_READ|PROT_WRITE")));
    let store = "write A[0].1 \"w2\" may fail no-access";
    assert!(steps(&flipped).contains(&store), "{}", flipped.text);
    for (advice, claimed) in [
        ("MADV_PAGEOUT", true),
        ("MADV_COLD", true),
        ("MADV_FREE", false),
        ("MADV_DONTNEED", false),
    ] {
        let made = beside(&advised(advice));
        assert!(steps(&made).contains(&"write A[0].1 \"w2\""), "{advice}\n{}", made.text);
        assert_eq!(made.text.contains("P:A[0].1 sees"), claimed, "{advice}\n{}", made.text);
    }
    for error in ["10 munmap(0x7f0000000000, 4096) = 0\n", &protected("PROT_NONE")] {
        assert!(!beside(error).text.contains("A[0].1"), "{error}");
    }
}

/// Who has calls of its own stores in its own lane, once whoever changes the memory is there.
#[test]
fn a_thread_with_a_lane_stores_there() {
    let thread = "10 clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_CHILD_CLEARTID, child_tid=0x7f10}, 88) = 11\n";
    let made = after(&format!("{thread}11 fork() = 12\n"));
    let store = next(&made, "lane main: P on cpu0");
    assert_eq!(store, Some("write A[0].1 \"w1\""), "{}", made.text);
    assert!(!made.text.contains("lane beside"));
}

/// Where four lanes have calls of their own, the fifth is left out by its name.
#[test]
fn a_lane_too_many_is_named() {
    let mut text = String::new();
    for thread in 11..15 {
        text += "10 clone3({flags=CLONE_VM|CLONE_FILES|CLONE_THREAD, child_tid=0x7f10}, 88) = ";
        text += &format!("{thread}\n{thread} madvise(0x7f0000000000, 4096, MADV_COLD) = 0\n");
    }
    let made = after(&text);
    let left = "thread 14 (line 13): there are four lanes without it";
    assert_eq!(made.left, [left], "{}", made.text);
    assert_eq!((made.text.matches("\nlane ").count(), made.gap), (4, Gap::Dropped));
}
