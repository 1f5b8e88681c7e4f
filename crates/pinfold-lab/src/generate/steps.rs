//! The steps of random programs, and how they are written.

use std::fmt;

/// A step, and the process that does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub(super) process: &'static str,
    pub(super) act: Act,
    pub(super) may_fail: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Map {
        area: &'static str,
        pages: u32,
        shows: Shows,
        rights: &'static str,
        at: Option<u64>,
    },
    /// One page at this address, in place of what is there.
    Replace {
        area: &'static str,
        at: u64,
    },
    /// A stack of one page that may come to have so many.
    Stack(u32),
    /// The program break, so that so many pages lie below it.
    Break(u32),
    Populate(Page, &'static str),
    Mlock(Page),
    Munlock(Page),
    Clone(&'static str),
    Vfork(&'static str),
    Exec,
    Unmap(Page),
    /// A whole area.
    UnmapAll(&'static str),
    /// An area as a whole, to a place where nothing is.
    Remap(&'static str, u64),
    Protect(Page, &'static str),
    /// A whole area.
    ProtectAll(&'static str, &'static str),
    Advise(Page, &'static str),
    /// A whole area.
    AdviseAll(&'static str, &'static str),
    Split(Page),
    SplitDeferred,
    Pageout(Page),
    Swapoff,
    /// The batch of a CPU, or those of all.
    Drain(&'static str),
    /// At most so many pages of a node leave.
    Reclaim {
        node: u32,
        goal: u32,
    },
    ClearRefs,
    /// The pages of this one's table.
    Collapse(Page),
    /// The frame of a page, by the number of the note.
    Note(Page, u32),
    /// A reference by a note, and its end.
    TryGet(u32, u32),
    /// A reference on a page, one more through it, and the ends of both: the first goes first.
    Again {
        page: Page,
        first: u32,
        second: u32,
    },
    Write(Page, u32),
    Read(Page),
    Take {
        verb: &'static str,
        page: Page,
        options: &'static str,
        handle: u32,
    },
    Drop {
        verb: &'static str,
        handle: u32,
    },
    DeviceWrite(u32, u32),
    /// What a device brings, from the pin to its end, in three steps: without the last of them
    /// nobody need learn that the page was written.
    Transfer {
        page: Page,
        options: &'static str,
        handle: u32,
        word: u32,
    },
    Fork(&'static str),
    Exit,
    Scan,
    Migrate(Page, u32),
    Writeback(Page),
    /// By the file's name, past all page tables.
    FileWrite(FilePage, u32),
    FileRead(FilePage),
    Truncate(&'static str, u32),
    Punch(FilePage),
    Sync(&'static str),
    Join(&'static str),
    /// A word of a page of another process, which is read unless one is written.
    Remote {
        verb: &'static str,
        of: &'static str,
        page: Page,
        word: Option<u32>,
    },
    MoveCharge(Page, &'static str, &'static str),
}

/// Where an area lies that is placed.
pub(super) const PLACE: u64 = 0x4000;
/// Where an area of this name may be moved to: between what is placed and what is not.
pub(super) const MOVED: [(&str, u64); 2] = [("A", 0x7000), ("B", 0x9000)];
/// The area that is a stack, and what lies below the program break: the lowest pages, below
/// [`PLACE`].
pub(super) const STACK: (&str, u32) = ("S", 3);
pub(super) const HEAP: (&str, u32) = ("H", 2);

/// A file of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: &'static str,
    pub(super) pages: u32,
    /// Whether something is behind it that writes must get to.
    pub(super) stored: bool,
}

/// The files that programs may have.
pub(super) const FILES: [File; 2] =
    [File { name: "X", pages: 2, stored: true }, File { name: "Y", pages: 2, stored: false }];
/// The groups of memory that they may have.
pub(super) const GROUPS: [&str; 2] = ["G", "K"];

/// What an area shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shows {
    /// Memory of the process's own.
    Private,
    /// The same, in huge pages of the pool.
    Pooled,
    /// Memory that its children share.
    Shared,
    /// A file without a name.
    Nameless,
    /// A file's pages from this one on, for all who show it.
    File(File, u32),
    /// The same, until the process writes to one.
    FileCopied(File, u32),
}

impl Shows {
    /// Whether what is written there must get to a store.
    pub(super) fn is_stored(self) -> bool {
        match self {
            Self::Private | Self::Pooled | Self::Shared | Self::FileCopied(..) => false,
            Self::Nameless => true,
            Self::File(file, _) => file.stored,
        }
    }

    /// The file with a name.
    fn file(self) -> Option<(File, u32)> {
        match self {
            Self::Private | Self::Pooled | Self::Shared | Self::Nameless => None,
            Self::File(file, from) | Self::FileCopied(file, from) => Some((file, from)),
        }
    }

    fn sharing(self) -> &'static str {
        match self {
            Self::Private | Self::FileCopied(..) => "private",
            Self::Pooled => "hugetlb",
            Self::Shared | Self::File(..) => "shared",
            Self::Nameless => "file",
        }
    }
}

/// A page of an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) area: &'static str,
    pub(super) page: u32,
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.area, self.page)
    }
}

/// A page of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FilePage {
    pub(super) file: &'static str,
    pub(super) page: u32,
}

impl fmt::Display for FilePage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.file, self.page)
    }
}

impl Step {
    /// The step as it is written outside lanes.
    pub(super) fn alone(&self) -> String {
        match self.act {
            Act::Drop { .. } | Act::DeviceWrite(..) | Act::TryGet(..) => self.to_string(),
            _ => format!("{}: {self}", self.process),
        }
    }

    /// Whether it needs a swap device.
    pub(super) fn swaps(&self) -> bool {
        matches!(self.act, Act::Pageout(_) | Act::Swapoff)
    }

    /// Whether it is about batches, or the lists that reclaim chooses from.
    pub(super) fn needs_lists(&self) -> bool {
        matches!(self.act, Act::Drain(_) | Act::Reclaim { .. })
    }

    /// Whether it changes where a page is on such a list, if there are any.
    pub(super) fn orders_lists(&self) -> bool {
        matches!(self.act, Act::Advise(_, "cold"))
    }

    /// Whether it locks pages in memory.
    pub(super) fn locks(&self) -> bool {
        matches!(self.act, Act::Mlock(_))
    }

    /// The file that it names.
    pub(super) fn file(&self) -> Option<&'static str> {
        match &self.act {
            Act::Map { shows, .. } => shows.file().map(|(file, _)| file.name),
            Act::FileWrite(place, _) | Act::FileRead(place) | Act::Punch(place) => Some(place.file),
            Act::Truncate(file, _) | Act::Sync(file) => Some(file),
            _ => None,
        }
    }

    /// Whether it names this group.
    pub(super) fn names_group(&self, name: &str) -> bool {
        match &self.act {
            Act::Join(group) => *group == name,
            Act::MoveCharge(_, from, to) => [from, to].into_iter().any(|group| *group == name),
            _ => false,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.act {
            Act::Map { area, pages, shows, rights, at } => {
                write!(f, "map {area} {pages} {} {rights}", shows.sharing())?;
                if let Some((file, from)) = shows.file() {
                    write!(f, " of {}", file.name)?;
                    if from > 0 {
                        write!(f, " from {from}")?;
                    }
                }
                at.map_or(Ok(()), |at| write!(f, " at {at:#x}"))
            }
            Act::Replace { area, at } => write!(f, "map {area} 1 private rw at {at:#x} replace"),
            Act::Stack(most) => write!(f, "map {} 1 stack rw up to {most}", STACK.0),
            Act::Break(pages) => write!(f, "break {} {pages}", HEAP.0),
            Act::Populate(page, access) => write!(f, "populate {page} {access}"),
            Act::Mlock(page) => write!(f, "mlock {page}"),
            Act::Munlock(page) => write!(f, "munlock {page}"),
            Act::Clone(child) => write!(f, "clone {child}"),
            Act::Vfork(child) => write!(f, "vfork {child}"),
            Act::Exec => f.write_str("exec"),
            Act::Unmap(page) => write!(f, "unmap {page}"),
            Act::UnmapAll(area) => write!(f, "unmap {area}"),
            Act::Remap(area, at) => write!(f, "remap {area} at {at:#x}"),
            Act::Protect(page, rights) => write!(f, "protect {page} {rights}"),
            Act::ProtectAll(area, rights) => write!(f, "protect {area} {rights}"),
            Act::Advise(page, advice) => write!(f, "advise {page} {advice}"),
            Act::AdviseAll(area, advice) => write!(f, "advise {area} {advice}"),
            Act::Split(page) => write!(f, "split-folio {page}"),
            Act::SplitDeferred => f.write_str("split-deferred"),
            Act::Pageout(page) => write!(f, "pageout {page}"),
            Act::Swapoff => f.write_str("swapoff"),
            Act::Drain(whose) => f.write_str(whose),
            Act::Reclaim { node, goal } => write!(f, "reclaim node {node} goal {goal}"),
            Act::ClearRefs => f.write_str("clear-refs"),
            Act::Collapse(page) => write!(f, "collapse {page}"),
            Act::Note(page, note) => write!(f, "note {page} as n{note}"),
            Act::TryGet(note, handle) => write!(f, "try-get n{note} as h{handle}"),
            Act::Again { page, first, .. } => write!(f, "get {page} read as h{first}"),
            Act::Write(page, word) => write!(f, "write {page} \"w{word}\""),
            Act::Read(page) => write!(f, "read {page}"),
            Act::Take { verb, page, options, handle } => {
                write!(f, "{verb} {page} {options} as h{handle}")
            }
            Act::Drop { verb, handle } => write!(f, "{verb} h{handle}"),
            Act::DeviceWrite(handle, word) => write!(f, "write h{handle} \"w{word}\""),
            Act::Transfer { page, options, handle, .. } => {
                write!(f, "pin {page} {options} as h{handle}")
            }
            Act::Fork(child) => write!(f, "fork {child}"),
            Act::Exit => f.write_str("exit"),
            Act::Scan => f.write_str("numa-scan"),
            Act::Migrate(page, node) => write!(f, "migrate {page} to node {node}"),
            Act::Writeback(page) => write!(f, "writeback {page}"),
            Act::FileWrite(page, word) => write!(f, "write {page} \"w{word}\""),
            Act::FileRead(page) => write!(f, "read {page}"),
            Act::Truncate(file, pages) => write!(f, "truncate {file} {pages}"),
            Act::Punch(page) => write!(f, "punch {page}"),
            Act::Sync(file) => write!(f, "sync {file}"),
            Act::Join(group) => write!(f, "join {group}"),
            Act::Remote { verb, of, page, word } => {
                write!(f, "{verb} {of}:{page}")?;
                word.map_or(Ok(()), |word| write!(f, " \"w{word}\""))
            }
            Act::MoveCharge(page, from, to) => write!(f, "move-charge {page} from {from} to {to}"),
        }?;
        self.may_fail.map_or(Ok(()), |how| write!(f, " may fail {how}"))?;
        match &self.act {
            Act::TryGet(_, handle) => write!(f, "\n  put h{handle}"),
            Act::Again { first, second, .. } => {
                write!(f, "\n  get-page h{first} as h{second}\n  put h{first}\n  put h{second}")
            }
            Act::Transfer { handle, word, .. } => {
                write!(f, "\n  write h{handle} \"w{word}\"\n  unpin h{handle} dirty")
            }
            _ => Ok(()),
        }
    }
}
