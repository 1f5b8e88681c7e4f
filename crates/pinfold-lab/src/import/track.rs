//! Carries out the calls of a recording on descriptors, mappings and threads, and keeps those that
//! concern memory that something else refers to.
//!
//! INV-TRACK-1: what is kept is bounded: [`MOST_SEEDS`] uses of memory, [`MOST_OPS`] calls, and
//! [`MOST_THREADS`] threads, whatever the length of the recording. What is beyond is counted.
//! INV-TRACK-2: a call that failed has done nothing.

mod memory;
mod uses;

use super::files::Files;
use super::log::{Log, Op, Thread, What};
use super::space::{Range, Space};
use super::value::Value;
use std::collections::BTreeMap;

/// The most uses of memory that are told apart.
const MOST_SEEDS: usize = 64;
/// The most calls that are kept.
const MOST_OPS: usize = 4096;
/// The most threads, and the most that may live at the same time with spaces of their own.
const MOST_THREADS: usize = 20_000;

/// A call that is over.
pub(super) struct Call<'a> {
    pub(super) line: u64,
    pub(super) name: &'a str,
    pub(super) args: &'a [Value],
    pub(super) result: u64,
}

impl Call<'_> {
    pub(super) fn arg(&self, index: usize) -> Option<&Value> {
        self.args.get(index)
    }

    pub(super) fn number(&self, index: usize) -> Option<u64> {
        self.arg(index)?.number()
    }

    pub(super) fn has(&self, index: usize, name: &str, bit: u64) -> bool {
        self.arg(index).is_some_and(|value| value.has(name, bit))
    }
}

/// A thread that lives.
#[derive(Clone, Debug)]
struct Living {
    space: usize,
    files: usize,
    root: usize,
}

/// The state while a recording is read.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    pub(super) log: Log,
    living: BTreeMap<usize, Living>,
    /// The newest thread of a number.
    pids: BTreeMap<u32, usize>,
    spaces: BTreeMap<usize, Space>,
    spaces_made: usize,
    roots: usize,
    files: Files,
    mappings: u32,
    /// Where a seed has lost its pages, by address: space, pages, and what was there.
    lost: Vec<(usize, (u64, u64), Range)>,
    /// Buffers whose place the recording does not show, by who has them and their length.
    unseen: BTreeMap<(usize, u64), Range>,
    /// Seeds that hold pages now.
    held: Vec<usize>,
    /// Where the kernel tells of a thread's end.
    ends: BTreeMap<u64, usize>,
}

impl Tracker {
    /// Whether it knows the thread.
    pub(super) fn knows(&self, pid: u32) -> bool {
        self.pids.get(&pid).is_some_and(|thread| self.living.contains_key(thread))
    }

    /// A thread that the recording begins with; none if there are too many.
    pub(super) fn begin(&mut self, pid: u32) -> Option<usize> {
        self.roots += 1;
        let space = self.space(Space::default());
        let living = Living { space, files: self.files.table(None), root: self.roots };
        self.thread(pid, None, living)
    }

    fn space(&mut self, space: Space) -> usize {
        self.spaces_made += 1;
        self.spaces.insert(self.spaces_made, space);
        self.spaces_made
    }

    fn thread(&mut self, pid: u32, of: Option<(usize, bool)>, living: Living) -> Option<usize> {
        let number = self.log.threads.len();
        if number >= MOST_THREADS {
            self.leave("threads and processes beyond the number that is followed");
            return None;
        }
        let process = match of {
            Some((parent, true)) => self.log.threads[parent].process,
            _ => number,
        };
        self.log.threads.push(Thread { pid, parent: of.map(|(parent, _)| parent), process });
        self.living.insert(number, living);
        self.pids.insert(pid, number);
        Some(number)
    }

    /// The thread is gone; others of its space may live on.
    pub(super) fn gone(&mut self, pid: u32, line: u64) {
        let Some(thread) = self.pids.get(&pid).copied() else { return };
        let Some(living) = self.living.remove(&thread) else { return };
        self.op(line, thread, living.root, What::Exit);
        if !self.living.values().any(|other| other.files == living.files) {
            let ended = self.files.close_all(living.files, false);
            self.release(line, thread, living.root, ended);
        }
        self.drop_space(living.space);
    }

    fn drop_space(&mut self, space: usize) {
        if !self.living.values().any(|other| other.space == space) {
            self.spaces.remove(&space);
            self.lost.retain(|(of, ..)| *of != space);
        }
    }

    /// Counts what is left out.
    pub(super) fn leave(&mut self, why: &str) {
        let known = self.log.left.len() < 200 || self.log.left.contains_key(why);
        let why = if known { why } else { "other calls" };
        *self.log.left.entry(why.to_owned()).or_default() += 1;
    }

    fn op(&mut self, line: u64, thread: usize, root: usize, what: What) {
        if self.log.ops.len() >= MOST_OPS {
            return self.leave("calls beyond the number that is kept");
        }
        self.log.ops.push(Op { line, thread, root, what });
    }

    fn release(&mut self, line: u64, thread: usize, root: usize, seeds: Vec<usize>) {
        for seed in seeds {
            self.held.retain(|held| *held != seed);
            self.op(line, thread, root, What::Release(seed));
        }
    }

    /// Whether a call is of any concern: others need not be read.
    pub(super) fn concerns(name: &str) -> bool {
        CONCERNS.contains(&name)
    }

    /// Carries out a call.
    pub(super) fn call(&mut self, pid: u32, call: &Call<'_>) {
        let Some(thread) = self.pids.get(&pid).copied() else { return };
        if !self.living.contains_key(&thread) {
            return;
        }
        match call.name {
            "fork" | "vfork" | "clone" | "clone3" => self.fork(thread, call),
            "execve" | "execveat" => self.exec(thread, call.line),
            "wait4" | "waitid" | "waitpid" => self.wait(thread, call),
            "futex" => self.join(thread, call),
            "uname" => self.uname(call),
            "mmap" | "mmap2" | "munmap" | "mremap" | "mprotect" | "madvise" | "brk" => {
                self.memory(thread, call);
            }
            _ => self.used(thread, call),
        }
    }

    fn fork(&mut self, thread: usize, call: &Call<'_>) {
        let Ok(pid) = u32::try_from(call.result) else { return };
        let Some(parent) = self.living.get(&thread).cloned().filter(|_| pid != 0) else { return };
        let flags: Vec<&Value> = match call.name {
            "clone3" => call.arg(0).and_then(|args| args.field("flags")).into_iter().collect(),
            _ => call.args.iter().collect(),
        };
        let named = |value: &Value, name: &str, bit: u64| match (value, call.name) {
            (Value::Struct(parts), _) => parts.iter().any(|(_, part)| part.has(name, bit)),
            (value, "clone") => flag_part(value, name),
            (value, _) => value.has(name, bit),
        };
        let has = |name, bit| flags.iter().any(|value| named(value, name, bit));
        let vfork = call.name == "vfork" || has("CLONE_VFORK", 0x4000);
        let shares = call.name == "vfork" || has("CLONE_VM", 0x100);
        let is_thread = has("CLONE_THREAD", 0x10000);
        let space = match shares {
            true => parent.space,
            false => {
                let copy = self.spaces.get(&parent.space).map(Space::child).unwrap_or_default();
                self.space(copy)
            }
        };
        let files = if has("CLONE_FILES", 0x400) {
            parent.files
        } else {
            self.files.table(Some(parent.files))
        };
        let living = Living { space, files, root: parent.root };
        let Some(child) = self.thread(pid, Some((thread, is_thread)), living) else { return };
        if has("CLONE_CHILD_CLEARTID", 0x20_0000)
            && let Some(at) = told_at(call)
        {
            self.ends.insert(at, child);
        }
        let what = match (is_thread, vfork, shares) {
            (true, ..) => What::Thread(child),
            (_, true, true) => What::Vfork(child),
            (_, _, true) => What::Share(child),
            _ => What::Fork(child),
        };
        self.op(call.line, thread, parent.root, what);
    }

    fn exec(&mut self, thread: usize, line: u64) {
        let Some(before) = self.living.get(&thread).cloned() else { return };
        self.op(line, thread, before.root, What::Exec);
        let shared = self
            .living
            .iter()
            .any(|(other, living)| *other != thread && living.files == before.files);
        let files = if shared { self.files.table(Some(before.files)) } else { before.files };
        let ended = self.files.close_all(files, true);
        self.release(line, thread, before.root, ended);
        self.roots += 1;
        let space = self.space(Space::default());
        self.living.insert(thread, Living { space, files, root: self.roots });
        self.drop_space(before.space);
    }

    fn wait(&mut self, thread: usize, call: &Call<'_>) {
        let pid = match call.name {
            "waitid" => call.arg(2).and_then(|info| info.field("si_pid")).and_then(Value::number),
            _ => Some(call.result),
        };
        let pid = pid.and_then(|pid| u32::try_from(pid).ok());
        if let Some(child) = pid.and_then(|pid| self.pids.get(&pid).copied()) {
            let root = self.living[&thread].root;
            self.op(call.line, thread, root, What::Wait(child));
        }
    }

    /// A wait for the word that the kernel clears when a thread is gone, as pthread_join makes it.
    fn join(&mut self, thread: usize, call: &Call<'_>) {
        let waits = call.arg(1).is_some_and(|op| match op {
            Value::Word(word) => word.contains("FUTEX_WAIT"),
            _ => false,
        });
        let at = call.number(0);
        if let (true, Some(child)) = (waits, at.and_then(|at| self.ends.get(&at).copied())) {
            let root = self.living[&thread].root;
            self.op(call.line, thread, root, What::Wait(child));
        }
    }

    fn uname(&mut self, call: &Call<'_>) {
        let release = call.arg(0).and_then(|name| name.field("release"));
        if let (Some(Value::Text(bytes, false)), None) = (release, &self.log.kernel) {
            self.log.kernel = String::from_utf8(bytes.clone()).ok();
        }
    }

    /// Whether a seed has one of these pages.
    fn touches(&self, range: &Range) -> bool {
        self.log.seeds.iter().any(|seed| seed.ranges.iter().any(|part| part.meets(range)))
    }

    /// Whether a seed holds one of these pages now.
    fn holds(&self, range: &Range) -> bool {
        let seeds = self.held.iter().filter_map(|seed| self.log.seeds.get(*seed));
        seeds.into_iter().any(|seed| seed.ranges.iter().any(|part| part.meets(range)))
    }
}

/// A flag of clone, which strace writes as `flags=A|B`.
fn flag_part(value: &Value, name: &str) -> bool {
    match value {
        Value::Word(word) => word.split(['|', '=']).any(|flag| flag == name),
        _ => false,
    }
}

/// Where the kernel writes when the thread of clone or clone3 is gone.
fn told_at(call: &Call<'_>) -> Option<u64> {
    call.arg(0)?.field("child_tid")?.number()
}

/// The calls that are carried out.
const CONCERNS: &[&str] = &[
    "accept",
    "accept4",
    "brk",
    "clone",
    "clone3",
    "close",
    "dup",
    "dup2",
    "dup3",
    "execve",
    "execveat",
    "fcntl",
    "fcntl64",
    "fork",
    "futex",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioctl",
    "madvise",
    "mmap",
    "mmap2",
    "mprotect",
    "mremap",
    "munmap",
    "open",
    "openat",
    "openat2",
    "pipe",
    "pipe2",
    "pread64",
    "preadv",
    "preadv2",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readv",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "sendmsg",
    "sendto",
    "splice",
    "tee",
    "uname",
    "vfork",
    "vmsplice",
    "wait4",
    "waitid",
    "waitpid",
    "write",
    "writev",
];
