//! The closed vocabularies of the language: each enum is a list of the words that may appear in one
//! place, written once.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Defines an enum of keywords with its spelling, its list and its serde form.
macro_rules! vocabulary {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[doc = $doc])+ #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every word, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word as it is written in a scenario.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// What the word means, in a sentence.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// The meaning of a written word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Vocabulary for $name {
            fn spelled(word: &str) -> Option<Self> {
                Self::from_word(word)
            }

            fn spellings() -> Vec<&'static str> {
                Self::ALL.iter().map(|word| word.as_str()).collect()
            }
        }
    };
}

/// A list of words of which one must appear at some place; what the parser needs of it.
pub(super) trait Vocabulary: Sized {
    /// The member with this spelling.
    fn spelled(word: &str) -> Option<Self>;
    /// All spellings, for messages.
    fn spellings() -> Vec<&'static str>;
}

vocabulary! {
    /// How a folio as large as a page table is mapped.
    pub enum Thp {
        /// By an entry for each page.
        Entries = "entries",
        /// By one entry of the table above.
        Pmd = "pmd",
    }
}

vocabulary! {
    /// What the swap device is like.
    pub enum SwapKind {
        /// It finds any page as fast as any other.
        Solid = "solid",
        /// It answers at once.
        Synchronous = "synchronous",
    }
}

vocabulary! {
    /// What the swap device bears of a page while it writes it.
    pub enum SwapChanges {
        /// The page may change.
        Any = "any",
        /// It must stay as it is.
        Stable = "stable",
    }
}

vocabulary! {
    /// What a hinting fault on another node does with a page.
    pub enum Numa {
        /// It moves it there.
        AtOnce = "at-once",
        /// It moves it there if the fault before says so (rule `numa-filter`).
        Filter = "filter",
    }
}

vocabulary! {
    /// What a step does.
    pub enum Verb {
        /// Makes an area.
        Map = "map",
        /// Removes pages of an area.
        Unmap = "unmap",
        /// Moves an area.
        Remap = "remap",
        /// Moves the program break.
        Break = "break",
        /// Changes what the process may do with pages.
        Protect = "protect",
        /// Gives advice on pages.
        Advise = "advise",
        /// Stores a word.
        Write = "write",
        /// Loads a word.
        Read = "read",
        /// Takes pinned references for a device.
        Pin = "pin",
        /// Takes ordinary references.
        Get = "get",
        /// Ends a pin.
        Unpin = "unpin",
        /// Drops ordinary references.
        Put = "put",
        /// Lets a device follow pages in place of holding them.
        Follow = "follow",
        /// Ends that.
        Unfollow = "unfollow",
        /// Makes a child process.
        Fork = "fork",
        /// Ends the process.
        Exit = "exit",
        /// Makes entries inaccessible as NUMA balancing does.
        NumaScan = "numa-scan",
        /// One tick of what scans a process for NUMA balancing, at a time of its clock.
        NumaTick = "numa-tick",
        /// Moves pages to another node as memory hotplug and CMA do.
        Migrate = "migrate",
        /// Moves pages to another node as move_pages does, and says what became of each.
        MovePages = "move-pages",
        /// Moves pages to another node as mbind does.
        Mbind = "mbind",
        /// Moves pages to another node as compaction does.
        Compact = "compact",
        /// Takes the memory of a node out while it is in use.
        Offline = "offline",
        /// Brings it back.
        Online = "online",
        /// Forgets which pages of the process were stored to.
        ClearRefs = "clear-refs",
        /// Takes pages of private memory to the swap device.
        Pageout = "pageout",
        /// Brings the pages of all processes back from there.
        Swapoff = "swapoff",
        /// Takes pages of private memory, whoever has them, out of a node.
        Reclaim = "reclaim",
        /// Has the pages in a CPU's batch go to the lists of their nodes.
        LruDrain = "lru-drain",
        /// Looks for equal pages, and merges them.
        Ksm = "ksm",
        /// Writes the dirty pages of a file back to what stores it.
        Writeback = "writeback",
        /// Lets lanes that await this go on.
        Signal = "signal",
        /// Waits for a signal of another lane.
        Await = "await",
        /// Makes pages accessible as if each were accessed.
        Populate = "populate",
        /// Makes a process in the same address space.
        Clone = "clone",
        /// Makes one, and waits until it has left that address space.
        Vfork = "vfork",
        /// Gives the process a new, empty address space.
        Exec = "exec",
        /// Keeps pages in memory, all of them from now on.
        Mlock = "mlock",
        /// Ends that.
        Munlock = "munlock",
        /// Gives a file another length.
        Truncate = "truncate",
        /// Takes pages out of a file, which keeps its length.
        Punch = "punch",
        /// Writes a file's dirty pages back to what stores it.
        Sync = "sync",
        /// Makes the process one of a group of memory.
        Join = "join",
        /// Moves the charges of pages from one group to another.
        MoveCharge = "move-charge",
        /// Reads pages of a file into memory past its pages in memory.
        DirectRead = "direct-read",
        /// Writes memory to pages of a file past its pages in memory.
        DirectWrite = "direct-write",
        /// Reads a word of another process by process_vm_readv.
        VmRead = "vm-read",
        /// Writes words of another process by process_vm_writev.
        VmWrite = "vm-write",
        /// Reads a word of another process as a debugger does.
        PtraceRead = "ptrace-read",
        /// Writes words of another process as a debugger does.
        PtraceWrite = "ptrace-write",
        /// Registers pages with a userfaultfd.
        UffdRegister = "uffd-register",
        /// Ends that.
        UffdUnregister = "uffd-unregister",
        /// Gives a missing page, with a word in it.
        UffdCopy = "uffd-copy",
        /// Gives a page of zeros.
        UffdZero = "uffd-zero",
        /// Maps a page that is there.
        UffdContinue = "uffd-continue",
        /// Protects pages from writes, of which the monitor is told.
        UffdProtect = "uffd-protect",
        /// Takes that back.
        UffdUnprotect = "uffd-unprotect",
        /// Waits until the monitor was told of an access.
        UffdWait = "uffd-wait",
        /// Splits the large folio that a page is part of.
        SplitFolio = "split-folio",
        /// Splits large folios that are mapped in part.
        SplitDeferred = "split-deferred",
        /// Makes one large folio of the pages of a table.
        Collapse = "collapse",
        /// Remembers which frames pages have, and holds nothing.
        Note = "note",
        /// Takes a reference by a frame's number alone.
        TryGet = "try-get",
        /// Takes one more reference through one that is held.
        GetPage = "get-page",
    }
}

vocabulary! {
    /// What the monitor of a userfaultfd is told of, and how.
    pub enum UffdWord {
        /// Accesses where there is no page.
        Missing = "missing",
        /// Writes to protected pages.
        Wp = "wp",
        /// Accesses to pages that are there and not mapped.
        Minor = "minor",
        /// Protection reaches pages that nobody has touched.
        Unpopulated = "unpopulated",
        /// Children are registered, too.
        EventFork = "event-fork",
        /// An area that is moved stays registered.
        EventRemap = "event-remap",
    }
}

vocabulary! {
    /// Why the monitor of a userfaultfd is told of an access.
    pub enum UffdReason {
        /// There is no page.
        Missing = "missing",
        /// The page is protected.
        Wp = "wp",
        /// The page is there and not mapped.
        Minor = "minor",
    }
}

impl Verb {
    /// Whether the name after `as` is that of a handle.
    pub(super) fn makes_handle(self) -> bool {
        match self {
            Self::Pin | Self::Get | Self::Follow | Self::Note | Self::TryGet | Self::GetPage => {
                true
            }
            Self::Map
            | Self::Unmap
            | Self::Remap
            | Self::Break
            | Self::Protect
            | Self::Advise
            | Self::Write
            | Self::Read
            | Self::Unpin
            | Self::Put
            | Self::Unfollow
            | Self::Fork
            | Self::Exit
            | Self::NumaScan
            | Self::NumaTick
            | Self::Migrate
            | Self::MovePages
            | Self::Mbind
            | Self::Compact
            | Self::Offline
            | Self::Online
            | Self::ClearRefs
            | Self::Pageout
            | Self::Swapoff
            | Self::Reclaim
            | Self::LruDrain
            | Self::Ksm
            | Self::Writeback
            | Self::Signal
            | Self::Await
            | Self::Populate
            | Self::Clone
            | Self::Vfork
            | Self::Exec
            | Self::Mlock
            | Self::Munlock
            | Self::Truncate
            | Self::Punch
            | Self::Sync
            | Self::Join
            | Self::MoveCharge
            | Self::DirectRead
            | Self::DirectWrite
            | Self::VmRead
            | Self::VmWrite
            | Self::PtraceRead
            | Self::PtraceWrite
            | Self::UffdRegister
            | Self::UffdUnregister
            | Self::UffdCopy
            | Self::UffdZero
            | Self::UffdContinue
            | Self::UffdProtect
            | Self::UffdUnprotect
            | Self::UffdWait
            | Self::SplitFolio
            | Self::SplitDeferred
            | Self::Collapse => false,
        }
    }
}

vocabulary! {
    /// What the lanes of an execution cost, as the memory manager counts it.
    pub enum Spent {
        /// Pages that a write, unsharing or a fork copied (`cow_copy` and `fork_copy`).
        Copies = "copies",
        /// Faults that were resolved (`pgfault`).
        Faults = "faults",
        /// Flushes of translations on all CPUs that may have them (`nr_tlb_remote_flush`).
        Flushes = "flushes",
        /// Pages that were moved to other frames (`pgmigrate_success`).
        Moves = "moves",
        /// Pages that were read from the swap device (`pswpin`).
        SwapIns = "swap-ins",
        /// Pages that were written to the swap device (`pswpout`).
        SwapOuts = "swap-outs",
    }
}

impl Spent {
    /// The word for one of them.
    pub const fn one(self) -> &'static str {
        match self {
            Self::Copies => "copy",
            Self::Faults => "fault",
            Self::Flushes => "flush",
            Self::Moves => "move",
            Self::SwapIns => "swap-in",
            Self::SwapOuts => "swap-out",
        }
    }

    /// The word after a number, as the formatter writes it.
    pub const fn after(self, count: u64) -> &'static str {
        match count {
            1 => self.one(),
            _ => self.as_str(),
        }
    }
}

vocabulary! {
    /// Whether writes to an area stay with the process.
    pub enum Sharing {
        /// Copy-on-write.
        Private = "private",
        /// Seen by every process that inherited the area.
        Shared = "shared",
        /// As shared, with a file of its own behind it that a write can be lost to.
        File = "file",
        /// As private, and it grows down when the process accesses what lies below it.
        Stack = "stack",
        /// As private, of huge pages of the pool.
        Hugetlb = "hugetlb",
    }
}

impl Sharing {
    /// Whether writes to the area stay with the process.
    pub fn is_private(self) -> bool {
        match self {
            Self::Private | Self::Stack | Self::Hugetlb => true,
            Self::Shared | Self::File => false,
        }
    }
}

vocabulary! {
    /// What a process is allowed to do with pages.
    pub enum Protection {
        /// Nothing.
        None = "none",
        /// Read.
        ReadOnly = "ro",
        /// Read and write.
        ReadWrite = "rw",
        /// Read and execute.
        ReadExecute = "rx",
        /// Read, write and execute.
        ReadWriteExecute = "rwx",
    }
}

vocabulary! {
    /// Advice on pages.
    pub enum Advice {
        /// Drop them: the next access starts from zero.
        DontNeed = "dontneed",
        /// Drop them when memory is short, unless they are stored to again.
        Free = "free",
        /// They leave before others when memory is short.
        Cold = "cold",
        /// Leave them out of children.
        DontFork = "dontfork",
        /// Undo `dontfork`.
        DoFork = "dofork",
        /// Children find them zeroed.
        WipeOnFork = "wipeonfork",
        /// Undo `wipeonfork`.
        KeepOnFork = "keeponfork",
        /// First touches take large folios.
        HugePage = "hugepage",
        /// They take small pages.
        NoHugePage = "nohugepage",
        /// They may be merged with equal ones.
        Merge = "merge",
        /// Undo `merge`, and what was merged.
        Unmerge = "unmerge",
    }
}

vocabulary! {
    /// What a tick of NUMA balancing leads to.
    pub enum Ticked {
        /// A scan was due, and was made.
        Scan = "scan",
        /// None was due, or another task is making it.
        Rest = "rest",
    }
}

vocabulary! {
    /// What the holder of a reference is going to do.
    pub enum Access {
        /// Only read.
        Read = "read",
        /// Write, or both.
        Write = "write",
    }
}

vocabulary! {
    /// How long who moves pages waits for what is in the way.
    pub enum Waits {
        /// For nothing.
        Async = "async",
        /// For the locks of pages, but not for one that is being written back.
        Light = "light",
        /// For both.
        Sync = "sync",
    }
}

vocabulary! {
    /// Where a page is that was asked to move, or why it is not there.
    pub enum Status {
        /// On the wanted node: it has moved, or lay there.
        There = "there",
        /// Nothing is mapped there, or nothing but the zero page (EFAULT).
        NotMapped = "not-mapped",
        /// No page is there at present (ENOENT).
        Absent = "absent",
        /// Others map it, too (EACCES).
        Shared = "shared",
        /// Somebody refers to it, or handles it (EBUSY).
        Busy = "busy",
        /// The node has no frame for it (ENOMEM).
        NoFrame = "no-frame",
        /// It is of a kind that does not move.
        Fixed = "fixed",
    }
}

vocabulary! {
    /// How a step may be expected to fail.
    pub enum Failure {
        /// No free frame was left.
        OutOfFrames = "out-of-frames",
        /// The process may not do this to that page, or nothing is mapped there.
        NoAccess = "no-access",
        /// The range has a hole in it.
        NotMapped = "not-mapped",
        /// Something is already mapped there.
        Occupied = "occupied",
        /// The request makes no sense for this kind of area.
        Invalid = "invalid",
        /// The page is in use in a way that forbids it, or the lock-free path alone was not enough.
        Busy = "busy",
        /// A counter would have overflowed.
        TooManyReferences = "too-many-references",
        /// The process would have had more areas than it may have.
        TooManyAreas = "too-many-areas",
        /// The process has exited: another of its lanes has ended it.
        Exited = "exited",
        /// The file ends before that page, or has come to end there.
        PastEnd = "past-end",
        /// The group of the process may not be charged for another page.
        OverLimit = "over-limit",
        /// The pool of huge pages has none for it, or the page was taken by its owner.
        NoHugePage = "no-huge-page",
        /// A device has failed.
        IoError = "io-error",
    }
}

/// What another lane must be in the middle of for [`Reach`](super::Reach) to count an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Activity {
    /// Any step with this verb.
    Step(Verb),
    /// `fast-pin`: the lock-free part of a `pin` step.
    FastPin,
    /// `fast-get`: the lock-free part of a `get` step.
    FastGet,
}

impl Activity {
    const FAST_PIN: &'static str = "fast-pin";
    const FAST_GET: &'static str = "fast-get";

    /// The word as it is written in a scenario.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Step(verb) => verb.as_str(),
            Self::FastPin => Self::FAST_PIN,
            Self::FastGet => Self::FAST_GET,
        }
    }

    /// The meaning of a written word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            Self::FAST_PIN => Some(Self::FastPin),
            Self::FAST_GET => Some(Self::FastGet),
            verb => Verb::from_word(verb).map(Self::Step),
        }
    }
}

impl From<Activity> for String {
    fn from(activity: Activity) -> Self {
        activity.as_str().to_owned()
    }
}

impl TryFrom<String> for Activity {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        Self::from_word(&word).ok_or_else(|| format!("`{word}` is no step and no part of one"))
    }
}

impl Vocabulary for Activity {
    fn spelled(word: &str) -> Option<Self> {
        Self::from_word(word)
    }

    fn spellings() -> Vec<&'static str> {
        let mut words = Verb::spellings();
        words.extend([Self::FAST_PIN, Self::FAST_GET]);
        words
    }
}

/// The words that start a section or a statement outside sections.
pub(super) const SECTIONS: [&str; 12] = [
    "scenario", "title", "about", "facts", "source", "machine", "setup", "lane", "after", "always",
    "outcome", "reach",
];

/// Words that cannot be declared as names, since a line could then be read in two ways; the words
/// that start a section cannot be declared either.
pub const RESERVED: [&str; 11] =
    ["process", "device", "never", "and", "is", "not", "sees", "stores", "when", "fails", "may"];
