//! Carries out the calls of a recording on descriptors, mappings and threads, and keeps those that
//! concern memory that something else refers to.
//!
//! INV-TRACK-1: what is kept is bounded: [`MOST_SEEDS`] uses of memory, [`MOST_OPS`] calls, and
//! [`MOST_THREADS`] threads, whatever the length of the recording. What is beyond is counted, and
//! no answer is about all of it. Of stores that follow each other one is kept for each seed and
//! thread.
//! INV-TRACK-2: a call that failed has done nothing.

mod buffers;
mod descriptors;
mod memory;
mod requests;
mod segments;
mod sockets;
mod threads;
mod uses;

#[cfg(test)]
pub(super) use memory::ADVICE;

use super::files::Files;
use super::gap::Gap;
use super::log::{Log, Op, Thread, What};
use super::pending::{Requests, Segment};
use super::space::{Range, Space};
use super::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The most uses of memory that are told apart.
const MOST_SEEDS: usize = 64;
/// The most calls that are kept.
const MOST_OPS: usize = 4096;
/// The most of them that make, end and await threads, so that there is room for others.
const MOST_TURNS: usize = MOST_OPS / 2;
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
    /// Where the kernel tells of a thread's end, by space and address.
    ends: BTreeMap<(usize, u64), usize>,
    /// Who stored to, or filled, which seed since another call was kept.
    stored: BTreeSet<(usize, usize, bool)>,
    /// What threads do to other processes, by the thread and one of the process.
    visits: BTreeMap<(usize, usize), usize>,
    /// Kept calls that make, end and await threads.
    turns: usize,
    /// Requests of io_submit that are under way, by space and context.
    under_way: BTreeMap<(usize, u64), Requests>,
    /// Segments of shared memory, by number.
    segments: BTreeMap<u64, Segment>,
    /// Somebody traces: who is waited for may only have stopped.
    traces: bool,
    /// The first call was seen.
    begun: bool,
}

impl Tracker {
    /// Whether it knows the thread.
    pub(super) fn knows(&self, pid: u32) -> bool {
        self.pids.get(&pid).is_some_and(|thread| self.living.contains_key(thread))
    }

    /// A thread that the recording begins with; none if there are too many.
    pub(super) fn begin(&mut self, pid: u32) -> Option<usize> {
        if !self.has_room() {
            return None;
        }
        if self.roots > 0 {
            self.leave(
                "threads that no call of the recording made: each is taken for a program",
                Gap::Dropped,
            );
        }
        self.roots += 1;
        let space = self.space(Space::default());
        let living = Living { space, files: self.files.table(None), root: self.roots };
        Some(self.thread(pid, None, living))
    }

    fn space(&mut self, space: Space) -> usize {
        self.spaces_made += 1;
        self.spaces.insert(self.spaces_made, space);
        self.spaces_made
    }

    /// Whether there is room for another thread; counts it, if not.
    fn has_room(&mut self) -> bool {
        let room = self.log.threads.len() < MOST_THREADS;
        if !room {
            self.leave("threads and processes beyond the number that is followed", Gap::Dropped);
        }
        room
    }

    fn thread(&mut self, pid: u32, of: Option<(usize, bool)>, living: Living) -> usize {
        let number = self.log.threads.len();
        let process = match of {
            Some((parent, true)) => self.log.threads[parent].process,
            _ => number,
        };
        self.log.threads.push(Thread {
            pid,
            parent: of.map(|(parent, _)| parent),
            process,
            visits: false,
        });
        self.living.insert(number, living);
        self.pids.insert(pid, number);
        number
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
            self.under_way.retain(|(of, _), _| *of != space);
            self.lost.retain(|(of, ..)| *of != space);
        }
    }

    /// Counts what is left out.
    pub(super) fn leave(&mut self, why: &str, gap: Gap) {
        self.log.left.add(why, 1, gap);
    }

    fn op(&mut self, line: u64, thread: usize, root: usize, what: What) {
        let turn = matches!(
            what,
            What::Fork(_)
                | What::Vfork(_)
                | What::Share(_)
                | What::Thread(_)
                | What::Wait(_)
                | What::Exec
                | What::Exit
        );
        if self.log.ops.len() >= MOST_OPS || turn && self.turns >= MOST_TURNS {
            return self.leave("calls beyond the number that is kept", Gap::Dropped);
        }
        self.turns += usize::from(turn);
        if !matches!(what, What::Store(_) | What::Again(_)) {
            self.stored.clear();
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
        CONCERNS.contains(&name) || UNFOLLOWED.contains(&name)
    }

    /// Carries out a call.
    pub(super) fn call(&mut self, pid: u32, call: &Call<'_>) {
        let Some(thread) = self.pids.get(&pid).copied() else { return };
        if !self.living.contains_key(&thread) {
            return;
        }
        if !std::mem::replace(&mut self.begun, true) && call.name != "execve" {
            self.leave("what the program did before its recording begins", Gap::Untold);
        }
        match call.name {
            "fork" | "vfork" | "clone" | "clone3" => self.fork(thread, call),
            "execve" | "execveat" => self.exec(thread, call.line),
            "wait4" | "waitid" | "waitpid" => self.wait(thread, call),
            "futex" => self.join(thread, call),
            "uname" => self.uname(call),
            "mmap" | "mmap2" | "munmap" | "mremap" | "mprotect" | "pkey_mprotect" | "madvise"
            | "brk" => {
                self.memory(thread, call);
                self.check_room(thread);
            }
            "io_submit" => self.submit(thread, call),
            "io_getevents" | "io_pgetevents" | "io_destroy" => self.reap(thread, call),
            "shmget" => self.segment(call),
            "shmat" => self.attach(thread, call),
            "shmdt" => self.detach(thread, call),
            "unshare" => self.unshare(thread, call),
            name if UNFOLLOWED.contains(&name) => {
                self.leave(
                    &format!("{name}: what it does to memory is not followed"),
                    Gap::Dropped,
                );
            }
            _ => self.used(thread, call),
        }
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

    fn uname(&mut self, call: &Call<'_>) {
        let release = call.arg(0).and_then(|name| name.field("release"));
        if let (Some(Value::Text(bytes, false)), None) = (release, &self.log.kernel) {
            self.log.kernel = String::from_utf8(bytes.clone()).ok();
        }
    }

    /// Counts that a space has more pieces than are followed.
    fn check_room(&mut self, thread: usize) {
        let space = self.spaces.get_mut(&self.living[&thread].space);
        if space.is_some_and(|space| std::mem::take(&mut space.full)) {
            self.leave("mappings beyond the number that a process may have", Gap::Dropped);
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

/// Calls that do something to memory, or bring descriptors, and are only counted.
const UNFOLLOWED: &[&str] = &[
    "migrate_pages",
    "move_pages",
    "pidfd_getfd",
    "process_madvise",
    "process_mrelease",
    "remap_file_pages",
    "userfaultfd",
];

/// The calls that are carried out.
const CONCERNS: &[&str] = &[
    "accept",
    "accept4",
    "brk",
    "clone",
    "clone3",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "execve",
    "execveat",
    "fcntl",
    "fcntl64",
    "fork",
    "futex",
    "io_destroy",
    "io_getevents",
    "io_pgetevents",
    "io_submit",
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
    "pkey_mprotect",
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
    "sendmmsg",
    "sendmsg",
    "sendto",
    "shmat",
    "shmdt",
    "shmget",
    "socketpair",
    "splice",
    "tee",
    "uname",
    "unshare",
    "vfork",
    "vmsplice",
    "wait4",
    "waitid",
    "waitpid",
    "write",
    "writev",
];
