//! What each thread does now, since when, and what it has done: for who watches it from outside.
//!
//! Protocol: a thread writes at its own desk, in one word what it does now, so that who reads it
//! sees an operation with its own beginning. Counts are under a lock that is free but while
//! somebody looks.

use super::board::locked;
use serde::Serialize;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What a thread can do.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Kind {
            $($(#[$doc])* $variant,)*
        }

        impl Kind {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As people read it.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// A CPU reads what its thread wrote last.
    Load = "load",
    Store = "store",
    /// The same in a child that nobody else knows.
    ChildLoad = "load of a child",
    ChildStore = "store of a child",
    /// A device transfers both ways, and is done.
    ShortPin = "short pin",
    /// A device begins, and keeps the pages.
    LongPin = "long pin",
    /// It ends.
    Unpin = "release of a long pin",
    Fork = "fork",
    ChildExit = "exit of a child",
    /// A process forks and exits, and the child has its place.
    HandOver = "fork and exit of the parent",
    /// A process exits, and another begins.
    Exit = "exit",
    DontNeed = "DONTNEED of 16 pages",
    Migrate = "migration of 16 pages",
    Scan = "NUMA scan of 64 pages",
    /// A device that reaches no further than 4 GiB gets memory, and gives it back.
    TakeLow = "run below 4 GiB taken",
    GiveLow = "run below 4 GiB given back",
    /// The background thread.
    Reclaim = "background reclaim",
    /// What was written is looked at once more, at the end of a process or of all.
    Verify = "last look at a page",
    /// Of the file that all processes have mapped: through the mapping, and by read and write.
    FileLoad = "load of a file",
    FileStore = "store to a file",
    FileRead = "read of a file",
    FileWrite = "write of a file",
    Sync = "writeback of a file",
    /// Of the shared memory that all processes have mapped: the same, and what its device writes.
    SharedLoad = "load of shared memory",
    SharedStore = "store to shared memory",
    SharedRead = "read of shared memory",
    SharedWrite = "write of shared memory",
    SharedPin = "short pin of shared memory",
    /// What `soak` does beside these: a process writes commands for its device.
    Commands = "commands written",
    /// The device reads them.
    DeviceRead = "commands read by a device",
    /// A process works on its own data.
    Data = "access to data",
    ScanAll = "NUMA scan of a process",
    Compact = "compaction",
    /// Somebody asks for a buffer to be on another node.
    MoveBuffer = "move_pages of a buffer",
    PageOut = "pageout",
    Merge = "pass of same-page merging",
}

/// Why an operation came to nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// No frames, although reclaim was tried.
    Frames,
    /// The swap device could not give a page: a process would get SIGBUS.
    Device,
    /// There was nothing that it could be done to: it counts as not asked for.
    Nothing,
    /// What nothing here explains.
    Other(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames => f.write_str("there are no frames"),
            Self::Device => f.write_str("the swap device fails"),
            Self::Nothing => f.write_str("there is nothing to do"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

/// How often a thread did something, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Row {
    pub(crate) done: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) longest: Duration,
}

impl Row {
    pub(crate) fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.refused += other.refused;
        self.failed += other.failed;
        self.longest = self.longest.max(other.longest);
    }
}

/// What one thread has counted.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    rows: [Row; Kind::ALL.len()],
    /// Words that were held against what their writer wrote.
    pub(crate) checked: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self { rows: [Row::default(); Kind::ALL.len()], checked: 0 }
    }
}

impl Tally {
    pub(crate) fn row(&self, kind: Kind) -> &Row {
        &self.rows[kind as usize]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.rows.iter_mut().zip(&other.rows).for_each(|(row, other)| row.add(other));
        self.checked += other.checked;
    }

    /// All operations that came to an end.
    pub(crate) fn ended(&self) -> u64 {
        self.rows.iter().map(|row| row.done + row.refused + row.failed).sum()
    }
}

/// An operation that takes longer than any may.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hung {
    /// The thread.
    pub thread: String,
    /// What it does.
    pub operation: &'static str,
    /// For how long.
    pub seconds: f64,
}

/// Bits for the number of an operation; those above are when it began.
const KIND_BITS: u32 = 8;

/// What a thread does until this is dropped, by a panic, too: who has panicked does not hang.
struct Doing<'d>(&'d AtomicU64);

impl Drop for Doing<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// A thread's place.
pub(crate) struct Desk {
    name: String,
    clock: Instant,
    /// Milliseconds of the clock, and the operation; 0 between two.
    doing: AtomicU64,
    tally: Mutex<Tally>,
}

impl Desk {
    pub(crate) fn new(name: String, clock: Instant) -> Self {
        Self { name, clock, doing: AtomicU64::new(0), tally: Mutex::default() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Does something, and counts what came of it.
    pub(crate) fn carry_out<T>(
        &self,
        kind: Kind,
        run: impl FnOnce() -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let began = self.clock.elapsed();
        let number = kind as u64 + 1;
        self.doing.store((began.as_millis() as u64) << KIND_BITS | number, Ordering::Relaxed);
        let doing = Doing(&self.doing);
        let ended = run();
        drop(doing);
        if let Err(Trouble::Nothing) = ended {
            return ended;
        }
        let mut tally = locked(&self.tally);
        let row = &mut tally.rows[kind as usize];
        match &ended {
            Ok(_) => row.done += 1,
            Err(Trouble::Frames) => row.refused += 1,
            Err(Trouble::Device) => row.failed += 1,
            Err(Trouble::Nothing | Trouble::Other(_)) => {}
        }
        row.longest = row.longest.max(self.clock.elapsed() - began);
        ended
    }

    /// Words were compared.
    pub(crate) fn checked(&self, words: u64) {
        locked(&self.tally).checked += words;
    }

    pub(crate) fn tally(&self) -> Tally {
        locked(&self.tally).clone()
    }

    /// What has taken longer than that, if something has.
    pub(crate) fn hung(&self, patience: Duration) -> Option<Hung> {
        let doing = self.doing.load(Ordering::Relaxed);
        let number = (doing & ((1 << KIND_BITS) - 1)) as usize;
        let kind = Kind::ALL.get(number.checked_sub(1)?)?;
        let since = Duration::from_millis(doing >> KIND_BITS);
        let taken = self.clock.elapsed().saturating_sub(since);
        let seconds = taken.as_secs_f64();
        let hung = || Hung { thread: self.name.clone(), operation: kind.name(), seconds };
        (taken > patience).then(hung)
    }
}
