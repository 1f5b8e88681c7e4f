//! What races with what, which of several uses of a buffer is asked about, and who has memory.

use super::super::gap::Gap;
use super::super::log::Log;
use super::*;

/// A program with two pages and a file open with O_DIRECT.
const START: &str = "10 execve(\"./p\", [\"./p\"], 0x7ffc /* 3 vars */) = 0\n\
     10 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000\n\
     10 openat(AT_FDCWD, \"d\", O_RDWR|O_DIRECT) = 3\n\
     10 io_uring_setup(4, {flags=0}) = 4\n";
const READ: &str = "10 pread64(3, 0x7f0000000200, 512, 0) = 512\n";
const THREAD: &str = "10 clone3({flags=CLONE_VM|CLONE_FILES|CLONE_THREAD}, 88) = 11\n";
const REGISTER: &str = "10 io_uring_register(4, IORING_REGISTER_BUFFERS, \
     [{iov_base=0x7f0000100000, iov_len=4096}], 1) = 0\n";
const MAP: &str = "10 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) \
     = 0x7f0000100000\n";

fn log(more: &str) -> Log {
    read(&format!("{START}{more}")).expect("a recording").log
}

fn with(more: &str) -> Imported {
    made(&format!("{START}{more}"))
}

/// The calls of another thread.
fn by(thread: &str, text: &str) -> String {
    text.replace("10 ", thread)
}

/// Where a step stands among all of them.
fn at(made: &Imported, step: &str) -> Option<usize> {
    steps(made).iter().position(|other| *other == step)
}

#[test]
fn an_earlier_use_of_a_buffer_hides_none_that_a_fork_meets() {
    let warm = with(&format!("{READ}{THREAD}{READ}11 fork() = 12\n"));
    let read = at(&warm, "direct-read A[0].0 from F[0].0");
    assert!(read > at(&warm, "lane main: P on cpu0"), "{}", warm.text);
    assert_eq!(warm.text.matches("direct-read").count(), 1, "{}", warm.text);
    assert_eq!(warm.gap, Gap::None, "{:?}", warm.left);
    let times =
        |more: &str| -> Vec<u64> { log(more).seeds.iter().map(|seed| seed.times).collect() };
    // A fork of its own, or a thread, stands between two; what others did meanwhile races with
    // both, and other uses change nothing.
    assert_eq!(times(&format!("{READ}10 fork() = 12\n{READ}")), [1, 1]);
    assert_eq!(times(&format!("{THREAD}{READ}11 fork() = 12\n{READ}")), [2]);
    let other = READ.replace("000200", "001000");
    assert_eq!(times(&format!("{READ}{other}{READ}{other}")), [2, 2]);
}

/// A program that forks between its reads has as many of them as it likes.
#[test]
fn uses_of_one_buffer_leave_room_for_others() {
    let fork = "10 fork() = 12\n10 wait4(12, NULL, 0, NULL) = 12\n";
    let alone = log(&format!("{READ}{fork}").repeat(80));
    assert_eq!((alone.seeds.len(), alone.left.gap()), (8, Gap::None));
    let beside = log(&format!("{THREAD}{}", format!("{READ}{fork}").repeat(80)));
    assert_eq!((beside.seeds.len(), beside.left.gap()), (8, Gap::Dropped));
}

#[test]
fn only_the_last_word_of_a_page_is_claimed() {
    // A thread reads after its maker has: the first fork's is the one that can meet a fork.
    let both = with(&format!("{READ}{THREAD}{}10 fork() = 12\n", by("11 ", READ)));
    assert!(both.text.contains("P:A[0].0 sees \"disk0\""), "{}", both.text);
    assert!(!both.text.contains("sees \"disk1\""), "{}", both.text);
    assert!(both.text.contains("outcome arrived when P:A[0].0 sees \"disk0\""), "{}", both.text);
    // Of two that race nobody knows which is the last.
    let races = with(&format!("{THREAD}{READ}{}10 fork() = 12\n", by("11 ", READ)));
    assert_eq!(races.text.matches("direct-read").count(), 2, "{}", races.text);
    assert!(!races.text.contains("P:A[0].0 sees"), "{}", races.text);
    // What was read is gone.
    let drop = "10 madvise(0x7f0000000000, 4096, MADV_DONTNEED) = 0\n";
    let gone = with(&format!("{READ}{drop}{THREAD}11 fork() = 12\n"));
    assert!(!gone.text.contains("P:A[0].0 sees"), "{}", gone.text);
}

/// INV-AREA-LANE-1.
#[test]
fn inv_area_lane_1_memory_of_a_child_is_its_own() {
    let child = by("11 ", &format!("{MAP}{REGISTER}"));
    let own = with(&format!("10 fork() = 11\n{child}"));
    assert!(!own.text.contains("P: map") && !own.text.contains("passed on"), "{}", own.text);
    let mapped = at(&own, "map A 1 private rw");
    assert!(mapped > at(&own, "lane lane-1: C on cpu1"), "{}", own.text);
    // Its children share it, those of its parent do not.
    let forks = with(&format!("10 fork() = 11\n{child}10 fork() = 12\n11 fork() = 13\n"));
    assert!(at(&forks, "fork C2").is_some() && at(&forks, "fork C3").is_none(), "{}", forks.text);
    assert!(at(&forks, "fork C2") > at(&forks, "map A 1 private rw"), "{}", forks.text);
    // What was there before the fork both have.
    let shared = with(&format!("{MAP}10 fork() = 11\n{}", by("11 ", REGISTER)));
    assert!(shared.text.contains("P: map A 1 private rw"), "{}", shared.text);
    assert!(shared.text.contains("passed on"), "{}", shared.text);
}

#[test]
fn what_a_program_maps_after_a_fork_its_child_does_not_share() {
    let child = by("11 ", &READ.replace("000200", "000a00"));
    let made = with(&format!("10 fork() = 11\n{child}{MAP}{REGISTER}10 fork() = 12\n"));
    let mapped = at(&made, "map A 1 private rw").or_else(|| at(&made, "map B 1 private rw"));
    assert!(mapped.is_some() && mapped > at(&made, "fork C"), "{}", made.text);
    // The heap, too: what the break gets after a fork is nobody else's.
    let heap = "10 brk(NULL) = 0x4b0000\n10 brk(0x4b1000) = 0x4b1000\n10 fork() = 11\n";
    let buffer = REGISTER.replace("0x7f0000100000", "0x4b1000");
    let grown = format!("{heap}11 brk(0x4b3000) = 0x4b3000\n{}", by("11 ", &buffer));
    let grown = with(&grown);
    assert!(!grown.text.contains("P: map"), "{}", grown.text);
    let old = with(&format!("{heap}{}", by("11 ", &buffer.replace("4b1000", "4b0000"))));
    assert!(old.text.contains("P: map"), "{}", old.text);
}

/// INV-AREA-LANE-1, of threads: who was there before waits.
#[test]
fn a_thread_waits_for_memory_that_another_one_maps() {
    let thread = by("11 ", THREAD).replace("= 11", "= 12");
    let child = format!("{thread}{}{}", by("11 ", MAP), by("12 ", REGISTER));
    let made = with(&format!("10 fork() = 11\n{child}11 fork() = 13\n"));
    let (given, taken) = (at(&made, "signal mapped-A"), at(&made, "await mapped-A"));
    assert!(given.is_some() && taken.is_some(), "{}", made.text);
    assert!(given > at(&made, "map A 1 private rw"), "{}", made.text);
    // Who is made later need not.
    let child = format!("{}{thread}{}", by("11 ", MAP), by("12 ", REGISTER));
    let made = with(&format!("10 fork() = 11\n{child}11 fork() = 13\n"));
    assert!(!made.text.contains("mapped-A"), "{}", made.text);
}

#[test]
fn a_call_that_takes_the_lock_says_so() {
    let recording = read(&format!("{START}{MAP}{REGISTER}")).expect("a recording");
    for (takes, step) in [
        (Takes::Pin(Way::Slow), "pin A[0] write longterm slow-only as h0"),
        (Takes::Pin(Way::FastFirst), "pin A[0] write longterm as h0"),
        (Takes::Get(Way::Slow), "get A[0] write slow-only as h0"),
    ] {
        let made = recording.scenario("r", &|_| takes).expect("a scenario");
        assert!(made.text.contains(step), "{}", made.text);
    }
}
