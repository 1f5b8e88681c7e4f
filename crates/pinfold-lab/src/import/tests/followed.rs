//! Requests that go on after their call, memory that is mapped by number or twice, and descriptors
//! that go from process to process.

use super::super::log::{Log, Taker, What};
use super::super::space::Kind;
use super::*;

/// A program with two pages, a file open with O_DIRECT, and a ring.
const START: &str = "10 execve(\"./p\", [\"./p\"], 0x7ffc /* 3 vars */) = 0\n\
     10 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000\n\
     10 openat(AT_FDCWD, \"d\", O_RDWR|O_DIRECT) = 3\n\
     10 io_uring_setup(4, {flags=0}) = 4\n";
const SUBMIT: &str = "10 io_submit(0x7f0000500000, 1, [{aio_data=0, aio_lio_opcode=IOCB_CMD_PREAD, \
     aio_fildes=3, aio_buf=0x7f0000000200, aio_nbytes=512, aio_offset=0}]) = 1\n";
const REAP: &str = "10 io_getevents(0x7f0000500000, 1, 1, [{data=0, obj=0x7ffc00, res=512, \
     res2=0}], NULL) = 1\n";

fn log(more: &str) -> Log {
    read(&format!("{START}{more}")).expect("a recording").log
}

fn count(log: &Log, wanted: fn(&What) -> bool) -> usize {
    log.ops.iter().filter(|op| wanted(&op.what)).count()
}

fn releases(log: &Log) -> usize {
    count(log, |what| matches!(what, What::Release(_)))
}

#[test]
fn a_request_goes_on_until_it_is_told_to_be_over() {
    let beside = log(&format!("{SUBMIT}10 fork() = 11\n{REAP}"));
    let seed = &beside.seeds[0];
    assert_eq!((seed.taker, seed.owner, seed.submitted), (Taker::DirectRead, 0, true));
    assert_eq!((releases(&beside), beside.threads.len()), (1, 2));
    let take = beside.ops.iter().find(|op| matches!(op.what, What::Take(0))).expect("it takes");
    assert_eq!((take.thread, beside.left.gap()), (0, Gap::None));
    // Nothing was between: it is as a read, and the next one is the same again.
    let over = log(&format!("{SUBMIT}{REAP}{SUBMIT}{REAP}10 fork() = 11\n"));
    let seed = &over.seeds[0];
    assert_eq!((over.seeds.len(), seed.times, seed.submitted), (1, 2, false));
    assert_eq!((over.ops.len(), releases(&over)), (3, 0), "{:?}", over.ops);
    // So it is if only others did something, unless they are told of the end.
    let thread = "10 clone3({flags=CLONE_VM|CLONE_FILES|CLONE_THREAD}, 88) = 11\n";
    let forks = format!("{thread}{SUBMIT}11 fork() = 12\n");
    assert!(!log(&format!("{forks}{REAP}")).seeds[0].submitted);
    assert!(log(&format!("{forks}{}", REAP.replace("10 ", "11 "))).seeds[0].submitted);
    // A part of the requests is not all of them; a context that is destroyed waits for all.
    let two = SUBMIT.replace(", 1, [", ", 2, [").replace(
        "]) = 1",
        ", {aio_lio_opcode=IOCB_CMD_PREAD, \
         aio_fildes=3, aio_buf=0x7f0000001000, aio_nbytes=512}]) = 2",
    );
    let fork = "10 fork() = 11\n";
    assert_eq!(releases(&log(&format!("{two}{fork}{REAP}"))), 0);
    assert_eq!(releases(&log(&format!("{two}{fork}{REAP}{REAP}"))), 2);
    assert_eq!(releases(&log(&format!("{two}{fork}10 io_destroy(0x7f0000500000) = 0\n"))), 2);
}

#[test]
fn a_request_comes_after_what_was_done_before_it() {
    let fork = "10 fork() = 11\n";
    let found = log(&format!("{SUBMIT}{fork}{SUBMIT}{REAP}{REAP}"));
    let place = |wanted: fn(&What) -> bool| found.ops.iter().position(|op| wanted(&op.what));
    let forked = place(|what| matches!(what, What::Fork(1)));
    assert!(place(|what| matches!(what, What::Take(0))) < forked, "{:?}", found.ops);
    assert!(forked < place(|what| matches!(what, What::Take(1))), "{:?}", found.ops);
    assert_eq!(releases(&found), 2);
}

/// INV-USE-1: who submits takes the pages itself, so its fork comes after that.
#[test]
fn inv_use_1_a_fork_beside_a_request_comes_after_its_pages() {
    let fork = "10 fork() = 11\n";
    let made = made(&format!("{START}{SUBMIT}{fork}{REAP}"));
    let steps = self::steps(&made);
    let at = |wanted: &str| steps.iter().position(|step| *step == wanted);
    assert!(at("P: pin A[0] write as h0") < at("fork C"), "{}", made.text);
    assert!(at("P: pin A[0] write as h0").is_some(), "{}", made.text);
    assert_eq!(at("lane device-0: device").map(|lane| lane + 1), at("write h0.0 \"disk0\""));
    assert!(made.text.contains("P:A[0].0 sees \"disk0\""), "{}", made.text);
    assert!(made.text.contains("write A[0].1"), "{}", made.text);
    assert_eq!(made.gap, Gap::None, "{:?}", made.left);
    // What follows a request races with its device.
    let cold = "10 madvise(0x7f0000000000, 4096, MADV_COLD) = 0\n";
    let advised = self::made(&format!("{START}{SUBMIT}{cold}{REAP}{fork}"));
    let steps = self::steps(&advised);
    let at = |wanted: &str| steps.iter().position(|step| *step == wanted);
    assert!(at("lane main: P on cpu0") < at("advise A[0] cold"), "{}", advised.text);
    // Who is told of the end waits for the device.
    let more = registered("0x7f0000000000") + "10 munmap(0x7f0000000000, 4096) = 0\n";
    let ends = self::made(&format!("{START}{SUBMIT}{fork}{REAP}{more}"));
    let steps = self::steps(&ends);
    let at = |wanted: &str| steps.iter().position(|step| *step == wanted);
    let waits = at("await done-0");
    assert!(waits.is_some() && at("signal done-0").is_some(), "{}", ends.text);
    assert_eq!(at("unpin h0 dirty"), waits.map(|step| step + 1), "{}", ends.text);
}

/// A buffer of a page at an address.
fn registered(at: &str) -> String {
    format!(
        "10 io_uring_register(4, IORING_REGISTER_BUFFERS, [{{iov_base={at}, iov_len=4096}}], 1) \
         = 0\n"
    )
}

#[test]
fn a_segment_is_one_mapping_wherever_it_is_attached() {
    let made = "10 shmget(IPC_PRIVATE, 8192, IPC_CREAT|0600) = 7\n";
    let attached = |at: &str| format!("10 shmat(7, NULL, 0) = {at}\n");
    let twice = format!("{made}{}{}", attached("0x7f0000100000"), attached("0x7f0000200000"));
    let (one, other) = (registered("0x7f0000101000"), registered("0x7f0000201000"));
    let both = log(&format!("{twice}{one}{other}"));
    assert_eq!(both.seeds[0].ranges, both.seeds[1].ranges);
    assert_eq!((both.seeds[0].kind, both.left.gap()), (Kind::Shared, Gap::None));
    let gone = log(&format!("{twice}{one}10 shmdt(0x7f0000100000) = 0\n"));
    assert_eq!(count(&gone, |what| matches!(what, What::Unmap(_))), 1);
    let other = log(&format!("{twice}{one}10 shmdt(0x7f0000300000) = 0\n"));
    assert_eq!(
        (count(&other, |what| matches!(what, What::Unmap(_))), other.left.gap()),
        (0, Gap::Dropped)
    );
}

#[test]
fn shared_memory_is_mapped_a_second_time_by_a_move_of_nothing() {
    let map = "10 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) \
               = 0x7f0000100000\n";
    let again = "10 mremap(0x7f0000100000, 0, 8192, MREMAP_MAYMOVE) = 0x7f0000200000\n";
    let (one, other) = (registered("0x7f0000101000"), registered("0x7f0000201000"));
    let both = log(&format!("{map}{again}{one}{other}"));
    assert_eq!(both.seeds[0].ranges, both.seeds[1].ranges);
    // Of private memory there is a new mapping.
    let new = "10 mremap(0x7f0000000000, 0, 4096, MREMAP_MAYMOVE) = 0x7f0000200000\n";
    let (one, other) = (registered("0x7f0000000000"), registered("0x7f0000200000"));
    let apart = log(&format!("{new}{one}{other}"));
    assert_ne!(apart.seeds[0].ranges, apart.seeds[1].ranges);
}

#[test]
fn descriptors_lead_where_the_senders_did() {
    let message = |call: &str, fd: u64| {
        format!(
            "{call}, {{msg_name=NULL, msg_namelen=0, msg_iov=[{{iov_base=\"x\", iov_len=1}}], \
             msg_iovlen=1, msg_control=[{{cmsg_len=20, cmsg_level=SOL_SOCKET, \
             cmsg_type=SCM_RIGHTS, cmsg_data=[{fd}]}}], msg_controllen=24, msg_flags=0}}, 0) = 1\n"
        )
    };
    let pair = "10 socketpair(AF_UNIX, SOCK_STREAM, 0, [5, 6]) = 0\n10 fork() = 11\n";
    let read = "11 pread64(9, 0x7f0000000200, 512, 0) = 512\n";
    // The child has no such descriptor but by the message.
    let close = "11 close(3) = 0\n";
    let (sent, came) = (message("10 sendmsg(5", 3), message("11 recvmsg(6", 9));
    let passed = log(&format!("{pair}{close}{sent}{came}{read}"));
    assert_eq!(passed.seeds.iter().map(|seed| seed.taker).collect::<Vec<_>>(), [Taker::DirectRead]);
    assert_eq!(passed.left.gap(), Gap::None);
    // What comes without them makes the next ones uncertain, and is their end if nobody has them.
    let plain = "11 recvmsg(6, {msg_iov=[{iov_base=\"x\", iov_len=1}], msg_controllen=0}, 0) = 1\n";
    let unsure = log(&format!("{pair}{close}{sent}{plain}{sent}{came}{read}"));
    assert_eq!((unsure.seeds.len(), unsure.left.gap()), (1, Gap::Untold));
    let other = message("10 sendmsg(5", 8);
    let stale = log(&format!("{pair}{close}{sent}11 read(6, \"x\", 1) = 1\n{other}{came}{read}"));
    assert_eq!((stale.seeds.len(), stale.left.gap()), (0, Gap::Untold));
    // A ring that only a message leads to ends with that.
    let ring = registered("0x7f0000000000") + &message("10 sendmsg(5", 4) + "10 close(4) = 0\n";
    let ends = |more: &str| {
        let found =
            log(&format!("10 socketpair(AF_UNIX, SOCK_STREAM, 0, [5, 6]) = 0\n{ring}{more}"));
        count(&found, |what| matches!(what, What::Release(0)))
    };
    assert_eq!(ends(""), 0);
    let two = message("10 recvmsg(6", 9).replace("[9]", "[9, 10]");
    for more in [two.as_str(), &plain.replace("11 ", "10 "), "10 close(6) = 0\n"] {
        assert_eq!(ends(more), 1, "{more}");
    }
    let came_here = message("10 recvmsg(6", 9);
    assert_eq!(ends(&came_here), 0);
    // What the new descriptor takes the place of is closed.
    assert_eq!(ends(&format!("{came_here}{}{came_here}", message("10 sendmsg(5", 3))), 1);
    // Of the other end's messages nothing is known.
    let lost = log(&format!("{pair}{close}{came}{read}"));
    assert_eq!((lost.seeds.len(), lost.left.gap()), (0, Gap::Untold));
}

#[test]
fn a_table_that_is_not_shared_any_more_is_changed_by_nobody_else() {
    let thread = "10 clone3({flags=CLONE_VM|CLONE_FILES|CLONE_THREAD}, 88) = 11\n";
    let rest = "10 close(3) = 0\n11 pread64(3, 0x7f0000000200, 512, 0) = 512\n";
    assert_eq!(log(&format!("{thread}{rest}")).seeds.len(), 0);
    let own = log(&format!("{thread}11 unshare(CLONE_FILES) = 0\n{rest}"));
    assert_eq!((own.seeds.len(), own.left.gap()), (1, Gap::None));
    let mounts = log("10 unshare(CLONE_NEWNS|CLONE_NEWUSER) = 0\n");
    assert_eq!(mounts.left.gap(), Gap::None);
    assert_eq!(log("10 unshare(CLONE_NEWPID) = 0\n").left.gap(), Gap::Dropped);
}
