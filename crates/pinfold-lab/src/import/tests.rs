//! What a recording becomes, and that no text is without an answer.

use super::line::{Body, line, result, unfinished};
use super::value::{Value, arguments, number};
use super::{Gap, ImportError, Imported, Recording, Source, Takes, Way};

mod followed;
mod gaps;
mod raced;
mod stores;

/// A recording with all that the reader knows: threads, calls put together, strings, structs.
const RECORDED: &str = r#"10 1.000001 execve("./p", ["./p"], 0x7ffc /* 3 vars */) = 0
10 1.000002 brk(NULL) = 0x4b0000
10 1.000003 brk(0x4b2000) = 0x4b2000
10 1.000004 uname({sysname="Linux", nodename="h", release="5.10.0", version="v"}) = 0
10 1.000005 openat(AT_FDCWD, "d\"a\x41", O_RDONLY|O_DIRECT) = 3</d>
10 1.000006 mmap(NULL, 16384, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000
10 1.000007 io_uring_setup(4, {flags=0, sq_off={head=0}}) = 4
10 1.000008 io_uring_register(4, IORING_REGISTER_BUFFERS, [{iov_base=0x7f0000000000, iov_len=8192}], 1) = 0
10 1.000009 clone3({flags=CLONE_VM|CLONE_FILES|CLONE_THREAD, child_tid=0x7f10, stack=0x1}, 88 <unfinished ...>
11 1.000010 pread64(3</d>, 0x7f0000002200, 512, 0 <unfinished ...>
10 1.000011 <... clone3 resumed> => {parent_tid=[11]}, 88) = 11
10 1.000012 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD) = 12
11 1.000013 <... pread64 resumed>) = 512
12 1.000014 exit_group(0) = ?
12 1.000015 +++ exited with 0 +++
10 1.000016 wait4(12, NULL, 0, NULL) = 12
10 1.000017 --- SIGCHLD {si_signo=SIGCHLD, si_pid=12} ---
10 1.000018 madvise(0x7f0000000000, 4096, MADV_DONTNEED) = 0
10 1.000019 munmap(0x7f0000001000, 4096) = -1 ENOMEM (Cannot allocate memory)
10 1.000020 futex(0x7f10, FUTEX_WAIT_BITSET, 11, NULL, FUTEX_BITSET_MATCH_ANY) = 0
10 1.000021 io_uring_register(4, IORING_UNREGISTER_BUFFERS, NULL, 0) = 0
10 1.000022 exit_group(0) = ?
"#;

fn read(text: &str) -> Result<Recording, ImportError> {
    let source = Source { name: "r".to_owned(), pid: None, text: Box::new(text.as_bytes()) };
    Recording::read(vec![source])
}

fn made(text: &str) -> Imported {
    let recording = read(text).unwrap_or_else(|why| panic!("{why}"));
    recording.scenario("r", &|_| Takes::Pin(Way::FastFirst)).unwrap_or_else(|why| panic!("{why}"))
}

fn error(text: &str) -> String {
    let made = read(text).and_then(|it| it.scenario("r", &|_| Takes::Pin(Way::FastFirst)));
    made.expect_err("an error").to_string()
}

/// The steps of a scenario, without comments.
fn steps(made: &Imported) -> Vec<&str> {
    made.text.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn lines_are_taken_apart_whatever_stands_in_front() {
    for (text, pid, time) in [
        ("close(3) = 0", None, None),
        ("12 close(3) = 0", Some(12), None),
        ("[pid    12] close(3) = 0", Some(12), None),
        ("12 00:00:01.000002 close(3) = 0", Some(12), Some(1_000_002)),
        ("12 1795914254.485716 close(3) = 0", Some(12), Some(1_795_914_254_485_716)),
        ("00:00:01 (+     0.000123) close(3) = 0", None, None),
        ("12      0.000123 close(3) = 0", Some(12), None),
        ("12 [00007ff0] close(3) = 0", Some(12), None),
    ] {
        let found = line(text);
        assert_eq!((found.pid, found.time), (pid, time), "{text}");
        assert_eq!(found.body, Body::Call("close", "3) = 0"), "{text}");
    }
    assert_eq!(line("+++ killed by SIGKILL +++").body, Body::Gone);
    assert_eq!(line("--- SIGINT {si_signo=SIGINT} ---").body, Body::Aside);
    assert_eq!(line("hello, world").body, Body::Unknown);
    assert_eq!(
        line("<... read resumed>\"a\", 1) = 1").body,
        Body::Resumed("read", "\"a\", 1) = 1")
    );
    assert_eq!(unfinished("3,  <unfinished ...>"), Some("3,"));
}

#[test]
fn values_are_read_as_strace_writes_them() {
    let (found, rest) = arguments(
        "3<a>b->c>, \"x\\\"\\101\\x42\"..., {a=1, b=[2, NULL], c=f(1, 2)}, A|0x10 => 7) = 0",
    )
    .expect("arguments");
    assert_eq!(rest, " = 0");
    assert_eq!(found.len(), 4);
    assert_eq!(found[0].number(), Some(3));
    assert_eq!(found[1], Value::Text(b"x\"AB".to_vec(), true));
    assert_eq!(found[2].field("b").map(|list| list.items().len()), Some(2));
    assert!(found[3].has("A", 0) && !found[3].has("B", 0));
    assert_eq!(number("8192*1024"), Some(8_388_608));
    assert_eq!(number("-1"), Some(u64::MAX));
    assert_eq!(number("0600"), Some(384));
    assert_eq!(result(" = -1 ENOMEM (Cannot)"), Ok(None));
    assert_eq!(result(" = ?"), Ok(Some(0)));
    assert_eq!(result(" = 3</dev/null> <0.000012>"), Ok(Some(3)));
    assert!(arguments("\"never").is_err());
    assert!(arguments(&"{".repeat(100_000)).is_err());
}

#[test]
fn a_recording_becomes_lanes_with_what_is_certain() {
    let made = made(RECORDED);
    let steps = steps(&made);
    for wanted in [
        "P: pin A[0..2] write longterm as h0",
        "fork C",
        "advise A[0] dontneed",
        "direct-read A[2].0 from F[0].0",
        "words 3",
        "write A[1].2 \"w6\"",
        "P:A[1].2 sees \"w6\"",
    ] {
        assert!(steps.contains(&wanted), "`{wanted}` in\n{}", made.text);
    }
    // What is dropped is not there at the end.
    assert!(!made.text.contains("P:A[0].2 sees"), "{}", made.text);
    // A call that failed has done nothing.
    assert!(!made.text.contains("unmap"), "{}", made.text);
    assert_eq!(read(RECORDED).expect("a recording").kernel(), Some("5.10.0"));
}

#[test]
fn advice_stands_where_it_was_given_though_the_buffer_is_used_later() {
    let made = made(
        "10 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7000\n\
         10 openat(AT_FDCWD, \"d\", O_RDONLY|O_DIRECT) = 3\n\
         10 madvise(0x7000, 4096, MADV_DONTFORK) = 0\n\
         10 clone3({flags=CLONE_VM|CLONE_FILES|CLONE_THREAD}, 88) = 11\n\
         10 fork() = 12\n\
         11 pread64(3, 0x7000, 512, 0) = 512\n",
    );
    let steps = steps(&made);
    let at = |wanted: &str| steps.iter().position(|step| step.ends_with(wanted));
    assert!(at("advise A[0] dontfork") < at("fork C"), "{}", made.text);
    assert!(at("fork C").is_some() && at("direct-read A[0].0 from F[0].0").is_some());
}

#[test]
fn what_a_release_lacks_is_told_and_left_out() {
    let recording = read(RECORDED).expect("a recording");
    let made = recording.scenario("r", &|_| Takes::Absent).expect("a scenario");
    assert_eq!(made.absent.len(), 2);
    let get = recording.scenario("r", &|_| Takes::Get(Way::FastFirst)).expect("a scenario");
    assert!(get.text.contains("get A[0..2] write as h0"), "{}", get.text);
}

#[test]
fn errors_name_the_line_and_the_remedy() {
    assert!(error("a\nb\n").contains("r has no line of strace\nhelp: "));
    let broken = error("10 mmap(NULL, 4096 = 0x7f\n");
    assert!(broken.starts_with("r:1: `mmap` is not written as strace writes it"), "{broken}");
    assert!(error("10 getpid() = 10\n").contains("nothing in the recording takes pages"));
    let source = |pid| Source {
        name: format!("r.{pid}"),
        pid: Some(pid),
        text: Box::new(&b"close(3) = 0\n"[..]),
    };
    let untimed = Recording::read(vec![source(1), source(2)]).expect_err("no times").to_string();
    assert!(untimed.contains("record with -ttt"), "{untimed}");
}

#[test]
fn files_of_several_threads_are_put_in_the_order_of_their_times() {
    let of = |pid: u32| -> String {
        let own = RECORDED.lines().filter(|line| line.starts_with(&pid.to_string()));
        let timed = |rest: &str| rest.replacen("1.0", "1795914254.0", 1);
        own.map(|line| {
            format!("{}\n", line.split_once(' ').map_or("".into(), |(_, rest)| timed(rest)))
        })
        .collect()
    };
    let texts = [10, 11, 12].map(|pid| (pid, of(pid)));
    let sources = texts.iter().map(|(pid, text)| Source {
        name: format!("r.{pid}"),
        pid: Some(*pid),
        text: Box::new(text.as_bytes()),
    });
    let several = Recording::read(sources.collect()).expect("a recording");
    let several = several.scenario("r", &|_| Takes::Pin(Way::FastFirst)).expect("a scenario");
    assert_eq!(several.text, made(RECORDED).text);
}

/// INV-TRACK-1: a long recording takes no more memory than a short one.
#[test]
fn inv_track_1_what_is_kept_is_bounded() {
    let mut text = RECORDED.to_owned();
    for number in 0..3_000_u64 {
        let at = 0x7f00_0000_0000 + number % 9_000 * 4096;
        text.push_str(&format!("10 2.0 pread64(3, {at:#x}, 4096, 0) = 4096\n"));
        text.push_str(&format!("10 2.0 madvise({at:#x}, 4096, MADV_DONTNEED) = 0\n"));
    }
    let text = text.replace("exit_group(0) = ?", "getpid() = 10");
    let recording = read(&text).expect("a recording");
    assert!(recording.log.seeds.len() <= 64 && recording.log.ops.len() <= 4096);
    assert!(recording.scenario("r", &|_| Takes::Pin(Way::FastFirst)).is_ok());
}

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most.max(1) as u64).unwrap_or(0)
    }
}

/// Cuts, doubles, swaps and overwrites parts of a recording.
fn mangled(random: &mut Random) -> String {
    let mut lines: Vec<Vec<u8>> = RECORDED.lines().map(|line| line.as_bytes().to_vec()).collect();
    for _ in 0..=random.below(6) {
        let (at, other) = (random.below(lines.len()), random.below(lines.len()));
        match random.below(6) {
            0 => lines.swap(at, other),
            1 => lines[at] = lines[other].clone(),
            2 => {
                let end = random.below(lines[at].len());
                lines[at].truncate(end);
            }
            3 => {
                let place = random.below(lines[at].len());
                let byte = b"0123456789abcdef,()[]{}<>=\"\\| x-?"[random.below(33)];
                lines[at].get_mut(place).into_iter().for_each(|old| *old = byte);
            }
            4 => {
                let more = lines[other].clone();
                lines[at].extend(more);
            }
            _ => {
                lines.remove(at);
                lines.push(b"12 3.0 munmap(0x7f0000000000, 16384) = 0".to_vec());
            }
        }
    }
    String::from_utf8_lossy(&lines.join(&b'\n')).into_owned()
}

/// INV-WRITE-1: a mangled recording has an error, or is a scenario in canonical form.
#[test]
fn inv_write_1_every_text_has_an_answer() {
    let (mut whole, mut refused, mut wrong) = (0, 0, Vec::new());
    for seed in 1..1_500_u64 {
        let text = mangled(&mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let made = read(&text).and_then(|it| it.scenario("r", &|_| Takes::Get(Way::FastFirst)));
        match made {
            Ok(made) => {
                whole += 1;
                let parsed = crate::scenario::parse(&made.text).expect("a scenario");
                assert_eq!(crate::scenario::format(&parsed), made.text);
            }
            Err(why @ ImportError::Unwritable { .. }) => wrong.push(format!("{why}\n{text}")),
            Err(_) => refused += 1,
        }
    }
    assert!(wrong.is_empty(), "{} are no scenarios:\n{}", wrong.len(), wrong.join("\n"));
    assert!(whole > 300 && refused > 30, "{whole} scenarios, {refused} errors");
}
