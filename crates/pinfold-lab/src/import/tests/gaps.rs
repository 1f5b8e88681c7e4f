//! What a recording does not show is never called safe, and calls are read as strace writes them.

use super::super::log::{Log, Taker, What};
use super::*;

/// A program with a page, a file open with O_DIRECT, and a ring.
const START: &str = "10 execve(\"./p\", [\"./p\"], 0x7ffc /* 3 vars */) = 0\n\
     10 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000\n\
     10 openat(AT_FDCWD, \"d\", O_RDWR|O_DIRECT) = 3\n\
     10 io_uring_setup(4, {flags=0}) = 4\n";
/// It registers its first page.
const REGISTERED: &str = "10 io_uring_register(4, IORING_REGISTER_BUFFERS, \
     [{iov_base=0x7f0000000000, iov_len=4096}], 1) = 0\n";

fn log(more: &str) -> Log {
    read(&format!("{START}{more}")).expect("a recording").log
}

fn with(more: &str) -> Imported {
    made(&format!("{START}{REGISTERED}{more}"))
}

fn takers(log: &Log) -> Vec<(Taker, u64)> {
    log.seeds.iter().map(|seed| (seed.taker, seed.bytes)).collect()
}

fn count(log: &Log, wanted: fn(&What) -> bool) -> usize {
    log.ops.iter().filter(|op| wanted(&op.what)).count()
}

#[test]
fn what_was_dropped_leaves_a_gap() {
    assert_eq!(with("").gap, Gap::None);
    assert_eq!(with("hello\n").gap, Gap::Untold);
    for dropped in [
        "10 io_uring_enter(4, 1, 1, 0, NULL, 8) = 1\n",
        "10 shmat(1, NULL, 0) = 0x7f0000100000\n",
        "10 process_madvise(5, [{iov_base=0x7f0000000000, iov_len=4096}], 1, MADV_COLD, 0) = 1\n",
        "10 ioctl(5</dev/vfio/vfio>, VFIO_IOMMU_MAP_DMA, 0x7ffc00) = 0\n",
        "10 ioctl(5, DRM_IOCTL_I915_GEM_USERPTR or X, 0x7ffc00) = 0\n",
        "10 splice(5, NULL, 6, NULL, 4096, 0) = 4096\n",
        "10 madvise(0x7f0000000000, 4096, MADV_MERGEABLE) = 0\n",
        "10 clone3(0x7ffc00, 88) = 11\n",
        "77 getpid() = 77\n",
        "10 <... munmap resumed>) = 0\n",
        "10 io_uring_register(4, IORING_REGISTER_BUFFERS, 0x7ffc00, 1) = 0\n",
    ] {
        let made = with(dropped);
        assert_eq!(made.gap, Gap::Dropped, "{dropped}{:?}", made.left);
        assert!(made.text.contains("# left out: "), "{}", made.text);
    }
    assert_eq!(made(REGISTERED).gap, Gap::Untold, "it does not begin with the program");
    // No memory is made up for a driver.
    let driven = log("10 ioctl(5, VFIO_IOMMU_MAP_DMA, 0x7ffc00) = 0\n");
    assert!(driven.seeds.is_empty());
    let guest = log("10 ioctl(5, KVM_SET_USER_MEMORY_REGION, {slot=0, flags=0, \
                     guest_phys_addr=0, memory_size=8192, userspace_addr=0x7f0000000000}) = 0\n");
    assert_eq!(takers(&guest), [(Taker::Kvm, 8192)]);
}

#[test]
fn clones_flags_tell_threads_from_processes() {
    let thread = "10 clone(child_stack=0x7f0000200000, flags=CLONE_VM|CLONE_FS|CLONE_FILES|\
         CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM|CLONE_SETTLS|CLONE_PARENT_SETTID|\
         CLONE_CHILD_CLEARTID, parent_tid=[11], tls=0x7f0000300000, child_tidptr=0x7f0000400000) \
         = 11\n10 futex(0x7f0000400000, FUTEX_WAIT, 11, NULL) = 0\n";
    let found = log(thread);
    assert_eq!(count(&found, |what| matches!(what, What::Thread(_))), 1);
    assert_eq!(count(&found, |what| matches!(what, What::Wait(1))), 1);
    assert_eq!(found.threads[1].process, 0);
    let forked = |call: &str| log(&format!("10 {call} = 11\n")).ops[1].what.clone();
    assert!(matches!(forked("clone(child_stack=NULL, flags=SIGCHLD)"), What::Fork(1)));
    assert!(matches!(forked("clone(0x1200011, 0, 0, 0x7f0000400000, 0)"), What::Fork(1)));
    let spawn = "clone(child_stack=0x7f0000200000, flags=CLONE_VM|CLONE_VFORK|SIGCHLD)";
    assert!(matches!(forked(spawn), What::Vfork(1)));
    assert!(matches!(forked("clone3({flags=CLONE_VM|CLONE_VFORK}, 88)"), What::Vfork(1)));
    // The word of a process that has its own memory is another one.
    let other = log("10 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, \
         child_tidptr=0x7f0000400000) = 11\n10 futex(0x7f0000400000, FUTEX_WAIT, 11, NULL) = 0\n");
    assert_eq!(count(&other, |what| matches!(what, What::Wait(_))), 0);
}

#[test]
fn a_vfork_does_not_stand_for_a_fork() {
    let made = with(
        "10 vfork() = 11\n11 execve(\"./q\", [], 0x0) = 0\n10 fork() = 12\n\
                     10 fork() = 13\n10 fork() = 14\n",
    );
    let steps = steps(&made);
    assert_eq!(steps.iter().filter(|step| step.contains("vfork ")).count(), 1, "{}", made.text);
    assert!(steps.iter().any(|step| step.ends_with("fork C2")), "{}", made.text);
    assert!(made.left.contains(&"forks that find what one before them found (2 times)".into()));
    assert_eq!(made.gap, Gap::None);
    let changed = with("10 fork() = 12\n10 munmap(0x7f0000000000, 4096) = 0\n10 fork() = 13\n");
    assert_eq!(changed.gap, Gap::Dropped, "{:?}", changed.left);
}

#[test]
fn uses_are_alike_only_if_the_same_can_happen_to_them() {
    let shared = "10 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) \
                  = 0x7f0000100000\n10 io_uring_register(4, IORING_REGISTER_BUFFERS, \
                  [{iov_base=0x7f0000100000, iov_len=4096}], 1) = 0\n";
    let both = made(&format!("{START}{shared}{REGISTERED}10 fork() = 11\n"));
    let steps = steps(&both);
    assert!(steps.iter().any(|step| step.contains("map A 1 private")), "{}", both.text);
    assert!(steps.iter().any(|step| step.contains("map B 1 shared")), "{}", both.text);
    assert_eq!(both.gap, Gap::None);
    let kept_out = "10 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) \
                    = 0x7f0000100000\n10 madvise(0x7f0000100000, 4096, MADV_DONTFORK) = 0\n\
                    10 io_uring_register(4, IORING_REGISTER_BUFFERS, \
                    [{iov_base=0x7f0000100000, iov_len=4096}], 1) = 0\n";
    let both = made(&format!("{START}{kept_out}{REGISTERED}10 fork() = 11\n"));
    assert!(both.text.contains("h1"), "{}", both.text);
}

#[test]
fn a_wait_is_an_end_only_if_it_says_so() {
    let waited = |call: &str| {
        let log = log(&format!("10 fork() = 11\n10 {call}\n"));
        count(&log, |what| matches!(what, What::Wait(_)))
    };
    for (call, ends) in [
        ("wait4(11, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 11", 1),
        ("wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}], 0, NULL) = 11", 1),
        ("wait4(11, [{WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP}], WUNTRACED, NULL) = 11", 0),
        ("wait4(11, [{WIFCONTINUED(s)}], WCONTINUED, NULL) = 11", 0),
        ("wait4(11, NULL, 0, NULL) = 11", 1),
        ("wait4(11, NULL, WUNTRACED, NULL) = 11", 0),
        ("wait4(11, NULL, WNOHANG, NULL) = 0", 0),
        (
            "waitid(P_PID, 11, {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=11}, WEXITED, NULL) = 0",
            1,
        ),
        (
            "waitid(P_PID, 11, {si_signo=SIGCHLD, si_code=CLD_STOPPED, si_pid=11}, WSTOPPED, NULL) = 0",
            0,
        ),
    ] {
        assert_eq!(waited(call), ends, "{call}");
    }
}

#[test]
fn a_zero_result_of_a_wait_is_nobody_even_without_numbers() {
    let text = "execve(\"./p\", [], 0x0) = 0\nwait4(-1, NULL, WNOHANG, NULL) = 0\n";
    let found = read(text).expect("a recording").log;
    assert_eq!(count(&found, |what| matches!(what, What::Wait(_))), 0);
}

#[test]
fn stores_that_follow_each_other_are_one_until_something_happens() {
    let store = "10 read(5, 0x7f0000000000, 16) = 16\n";
    let found = log(&format!("{REGISTERED}{store}{store}10 fork() = 11\n{store}{store}"));
    assert_eq!(count(&found, |what| matches!(what, What::Store(_))), 2);
    let many: String = (0..3_000).map(|pid| format!("10 fork() = {}\n", pid + 11)).collect();
    let read = "10 pread64(3, 0x7f0000001000, 512, 0) = 512\n";
    let found = log(&format!("{REGISTERED}{many}{read}"));
    assert_eq!(takers(&found).len(), 2, "forks leave room for what takes memory");
    assert_eq!(found.left.gap(), Gap::Dropped);
}

#[test]
fn calls_that_take_memory_are_read() {
    let submit = |op: &str| {
        format!(
            "10 io_submit(0x7f0000500000, 1, [{{aio_data=0, aio_lio_opcode={op}, aio_fildes=3, \
             aio_buf=0x7f0000000000, aio_nbytes=512, aio_offset=0}}]) = 1\n"
        )
    };
    assert_eq!(takers(&log(&submit("IOCB_CMD_PREAD"))), [(Taker::DirectRead, 512)]);
    assert_eq!(takers(&log(&submit("IOCB_CMD_PWRITE"))), [(Taker::DirectWrite, 512)]);
    assert!(takers(&log(&submit("IOCB_CMD_FSYNC"))).is_empty());
    let several = log("10 sendmmsg(5, [{msg_hdr={msg_name=NULL, msg_iov=[\
         {iov_base=0x7f0000000000, iov_len=4096}], msg_iovlen=1}, msg_len=4096}, {msg_hdr={\
         msg_iov=[{iov_base=0x7f0000001000, iov_len=4096}]}, msg_len=100}], 2, MSG_ZEROCOPY) = 2\n");
    assert_eq!(takers(&several), [(Taker::Zerocopy, 4096), (Taker::Zerocopy, 100)]);
    for call in [
        "0, IORING_REGISTER_USE_REGISTERED_RING|IORING_REGISTER_BUFFERS, \
         [{iov_base=0x7f0000000000, iov_len=4096}], 1",
        "4, IORING_REGISTER_BUFFERS2, {nr=1, flags=0, data=[{iov_base=0x7f0000000000, \
         iov_len=4096}], tags=[0]}, 32",
        "4, 0x80000000, [{iov_base=0x7f0000000000, iov_len=4096}], 1",
    ] {
        let found = log(&format!("10 io_uring_register({call}) = 0\n"));
        assert_eq!(takers(&found), [(Taker::IoUring, 4096)], "{call}");
        assert_eq!(found.left.gap(), Gap::None, "{call}");
    }
    let closed = log(&format!("{REGISTERED}10 close_range(3, 4294967295, 0) = 0\n"));
    assert_eq!(count(&closed, |what| matches!(what, What::Release(_))), 1);
}

#[test]
fn sends_end_when_the_queue_of_errors_tells_of_them() {
    let send = "10 sendto(5, 0x7f0000000000, 0x1000, 0x4000000, 0, 0) = 0x1000\n\
                10 sendto(5, 0x7f0000001000, 0x1000, 0x4000000, 0, 0) = 0x1000\n";
    let told = |from: u32, to: u32| {
        format!(
            "10 recvmsg(5, {{msg_name=NULL, msg_iov=NULL, msg_control=[{{cmsg_len=48, \
             cmsg_level=SOL_IP, cmsg_type=IP_RECVERR, cmsg_data={{ee_errno=0, ee_origin=5, \
             ee_type=0, ee_code=1, ee_info={from}, ee_data={to}, offender={{}}}}}}], \
             msg_flags=MSG_ERRQUEUE}}, MSG_ERRQUEUE) = 0\n"
        )
    };
    let ends = |more: &str| {
        let found = log(&format!("{send}{more}10 close(5) = 0\n10 +++ exited with 0 +++\n"));
        let end = |op: &super::super::log::Op| match op.what {
            What::Release(seed) => Some(seed),
            _ => None,
        };
        found.ops.iter().filter_map(end).collect::<Vec<_>>()
    };
    assert!(ends("").is_empty(), "neither a close nor an end says that they arrived");
    assert_eq!(ends(&told(0, 0)), [0]);
    assert_eq!(ends(&told(1, 1)), [1]);
    assert_eq!(ends(&told(0, 1)), [0, 1]);
    assert!(ends(&told(2, 7)).is_empty());
}

#[test]
fn part_of_a_buffer_counts_as_far_as_the_call_came() {
    let sent = log("10 sendto(5, 0x7f0000000000, 0x2000, 0x4000000, 0, 0) = 0x1000\n");
    assert_eq!(takers(&sent), [(Taker::Zerocopy, 4096)]);
    let spliced = log("10 pipe([5, 6]) = 0\n10 vmsplice(6, [{iov_base=0x7f0000000000, \
                       iov_len=4096}, {iov_base=0x7f0000001000, iov_len=4096}], 2, 0) = 4096\n");
    assert_eq!(takers(&spliced), [(Taker::Vmsplice, 4096)]);
}

#[test]
fn looking_at_pages_does_not_cut_a_mapping() {
    let found = log("10 read(5, 0x7f0000000000, 16) = 16\n\
                     10 pread64(3, 0x7f0000000e00, 4608, 0) = 4608\n");
    let seed = &found.seeds[0];
    assert_eq!(seed.ranges.len(), 1, "{:?}", seed.ranges);
    assert_eq!(seed.ranges[0].to - seed.ranges[0].from, 2);
    // The second of two mappings is used up to its middle.
    let found = log("10 mmap(0x7f0000002000, 8192, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) \
                     = 0x7f0000002000\n10 pread64(3, 0x7f0000001000, 4608, 0) = 4608\n");
    let seed = &found.seeds[0];
    assert_eq!((seed.ranges.len(), &seed.partial[..]), (2, &[seed.ranges[1].from][..]));
}

#[test]
fn pages_of_one_mapping_around_another_have_a_handle_each() {
    let made = made(
        "10 execve(\"./p\", [], 0x0) = 0\n\
         10 mmap(NULL, 12288, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) \
         = 0x7f0000000000\n\
         10 mmap(0x7f0000001000, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) \
         = 0x7f0000001000\n\
         10 io_uring_setup(4, {flags=0}) = 4\n\
         10 io_uring_register(4, IORING_REGISTER_BUFFERS, [{iov_base=0x7f0000000000, \
         iov_len=12288}], 1) = 0\n10 fork() = 11\n",
    );
    assert!(made.text.contains("h2 is P:A[1]"), "{}", made.text);
}

#[test]
fn a_fork_that_fails_lets_other_lines_go_on() {
    let found = log("10 fork( <unfinished ...>\n77 getpid() = 77\n\
                     10 <... fork resumed>) = -1 EAGAIN (Resource temporarily unavailable)\n\
                     77 close(3) = 0\n");
    assert_eq!(found.threads.len(), 2);
    assert_eq!(found.left.told().len(), 1, "{:?}", found.left.told());
}

#[test]
fn a_day_ends_between_and_inside_files() {
    let of = |name: &str, text: &'static str| Source {
        name: name.to_owned(),
        pid: name.parse().ok(),
        text: Box::new(text.as_bytes()),
    };
    let parent = "23:59:59.900000 execve(\"./p\", [], 0x0) = 0\n\
         23:59:59.910000 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) \
         = 0x7f0000000000\n\
         00:00:00.100000 fork() = 11\n00:00:00.900000 munmap(0x7f0000000000, 4096) = 0\n";
    let child = "00:00:00.200000 openat(AT_FDCWD, \"d\", O_RDONLY|O_DIRECT) = 3\n\
                 00:00:00.300000 pread64(3, 0x7f0000000000, 512, 0) = 512\n";
    let log = Recording::read(vec![of("11", child), of("10", parent)]).expect("a recording").log;
    assert_eq!(log.threads.len(), 2);
    assert_eq!((log.threads[1].pid, log.threads[1].parent), (11, Some(0)));
    assert_eq!(log.left.gap(), Gap::None, "{:?}", log.left.told());
    let apart = [of("10", "0.000100 close(3) = 0\n"), of("11", "0.000100 close(3) = 0\n")];
    let refused = Recording::read(apart.into()).expect_err("differences").to_string();
    assert!(refused.contains("-ttt"), "{refused}");
}
