//! Steps: what processes and devices do, one a line.

use super::super::span::{Name, Position, Spanned, Text};
use super::super::words::{Access, Advice, Failure, Protection, Sharing, Verb};
use serde::{Deserialize, Serialize};

/// One line of `setup`, a lane or `after`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The process before the colon. Always absent in a lane; in `setup` and `after` absent only
    /// where no process is needed (see [`Action::needs_process`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Name>,
    /// What is done.
    #[serde(rename = "do")]
    pub action: Action,
    /// How it must fail; absent when it must succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails: Option<Spanned<Failure>>,
    /// How it may fail, or succeed: which of the two depends on what other lanes do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_fail: Option<Spanned<Failure>>,
    /// The whole step.
    #[serde(skip)]
    pub span: Position,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "verb",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Action {
    /// `map AREA N private|shared|file PROTECTION [at ADDRESS [replace]]`
    Map {
        /// The new area.
        area: Name,
        /// Its length in pages, at least 1.
        pages: Spanned<u32>,
        /// Whether writes stay with the process.
        sharing: Spanned<Sharing>,
        /// What the process is allowed to do.
        protection: Spanned<Protection>,
        /// Where it must start, a multiple of the page size; anywhere unless written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Spanned<u64>>,
        /// What becomes of pages that are mapped at the address.
        #[serde(default, skip_serializing_if = "Occupied::is_default")]
        occupied: Occupied,
    },
    /// `unmap PAGES`
    Unmap {
        /// What is removed.
        pages: Pages,
    },
    /// `remap AREA at ADDRESS`: moves an area with its pages.
    Remap {
        /// What moves.
        area: Name,
        /// Where it starts from then on, a multiple of the page size.
        at: Spanned<u64>,
    },
    /// `protect PAGES PROTECTION`
    Protect {
        /// What is changed.
        pages: Pages,
        /// What the process is allowed to do from now on.
        protection: Spanned<Protection>,
    },
    /// `advise PAGES ADVICE`
    Advise {
        /// What the advice is about.
        pages: Pages,
        /// The advice.
        advice: Spanned<Advice>,
    },
    /// `write PAGE "word"`: a store of the process.
    Write {
        /// Where, in the address space of the process.
        to: Place,
        /// What is stored.
        word: Text,
    },
    /// `read PAGE [expect "word"] [as REGISTER]`: a load of the process.
    Read {
        /// Where, in the address space of the process.
        from: Place,
        /// What the load must find.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<Text>,
        /// The register that keeps what was found.
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        register: Option<Name>,
    },
    /// `write HANDLE "word"`: a store through a handle, past all page tables.
    DeviceWrite {
        /// Where; the name is a handle.
        to: Place,
        /// What is stored.
        word: Text,
    },
    /// `read HANDLE [expect "word"] [as REGISTER]`: a load through a handle.
    DeviceRead {
        /// Where; the name is a handle.
        from: Place,
        /// What the load must find.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<Text>,
        /// The register that keeps what was found.
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        register: Option<Name>,
    },
    /// `pin PAGES read|write [force] [longterm] [fast-only|slow-only] [times N] as HANDLE`
    Pin {
        /// What is pinned and how.
        grab: Grab,
        /// For how long.
        duration: Duration,
        /// How many pins are taken on each page, in one step; one unless written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<Spanned<u32>>,
    },
    /// `get PAGES read|write [force] [fast-only|slow-only] [times N] as HANDLE`
    Get {
        /// What is referenced and how.
        grab: Grab,
        /// How many references are taken on each page, in one step; one unless written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<Spanned<u32>>,
    },
    /// `unpin HANDLE [dirty]`
    Unpin {
        /// The handle of a `pin`.
        handle: Name,
        /// Whether the device wrote.
        dirty: Dirty,
    },
    /// `put HANDLE`: drops every reference that the `get` took.
    Put {
        /// The handle of a `get`.
        handle: Name,
    },
    /// `follow PAGES as HANDLE`: a device sets up translations of its own when it needs them.
    Follow {
        /// Which pages.
        pages: Pages,
        /// The name of the result.
        #[serde(rename = "as")]
        handle: Name,
    },
    /// `unfollow HANDLE`
    Unfollow {
        /// The handle of a `follow`.
        handle: Name,
    },
    /// `fork CHILD`
    Fork {
        /// The new process.
        child: Name,
    },
    /// `exit`
    Exit,
    /// `numa-scan [PAGES]`: every area of the process unless pages are written.
    NumaScan {
        /// What is scanned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pages: Option<Pages>,
    },
    /// `migrate PAGES to node N`
    Migrate {
        /// What is moved.
        pages: Pages,
        /// Where to.
        node: Spanned<u32>,
    },
    /// `writeback PAGES`: for pages of a file.
    Writeback {
        /// What is written back.
        pages: Pages,
    },
    /// `compact PAGES to node N`: as `migrate`, but pages that are in use otherwise are passed
    /// over.
    Compact {
        /// What is moved.
        pages: Pages,
        /// Where to.
        node: Spanned<u32>,
    },
    /// `signal NAME`: whoever awaits it goes on, now or later.
    Signal {
        /// The signal.
        signal: Name,
    },
    /// `await NAME`: waits until some lane has given the signal.
    Await {
        /// The signal.
        signal: Name,
    },
    /// `populate PAGES read|write`
    Populate {
        /// What is made accessible.
        pages: Pages,
        /// For which access.
        access: Spanned<Access>,
    },
}

impl Action {
    /// The word that the step starts with.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Map { .. } => Verb::Map,
            Self::Unmap { .. } => Verb::Unmap,
            Self::Remap { .. } => Verb::Remap,
            Self::Protect { .. } => Verb::Protect,
            Self::Advise { .. } => Verb::Advise,
            Self::Write { .. } | Self::DeviceWrite { .. } => Verb::Write,
            Self::Read { .. } | Self::DeviceRead { .. } => Verb::Read,
            Self::Pin { .. } => Verb::Pin,
            Self::Get { .. } => Verb::Get,
            Self::Unpin { .. } => Verb::Unpin,
            Self::Put { .. } => Verb::Put,
            Self::Follow { .. } => Verb::Follow,
            Self::Unfollow { .. } => Verb::Unfollow,
            Self::Fork { .. } => Verb::Fork,
            Self::Exit => Verb::Exit,
            Self::NumaScan { .. } => Verb::NumaScan,
            Self::Migrate { .. } => Verb::Migrate,
            Self::Compact { .. } => Verb::Compact,
            Self::Writeback { .. } => Verb::Writeback,
            Self::Signal { .. } => Verb::Signal,
            Self::Await { .. } => Verb::Await,
            Self::Populate { .. } => Verb::Populate,
        }
    }

    /// What the step makes when it succeeds, under the name that the step gives it.
    pub fn makes(&self) -> Option<Made<'_>> {
        match self {
            Self::Map { area, .. } => Some(Made::Area(area)),
            Self::Fork { child } => Some(Made::Process(child)),
            Self::Pin { grab, .. } | Self::Get { grab, .. } => Some(Made::Handle(&grab.handle)),
            Self::Follow { handle, .. } => Some(Made::Handle(handle)),
            Self::Read { register, .. } | Self::DeviceRead { register, .. } => {
                register.as_ref().map(Made::Register)
            }
            Self::Unmap { .. }
            | Self::Remap { .. }
            | Self::Protect { .. }
            | Self::Advise { .. }
            | Self::Write { .. }
            | Self::DeviceWrite { .. }
            | Self::Unpin { .. }
            | Self::Put { .. }
            | Self::Unfollow { .. }
            | Self::Exit
            | Self::NumaScan { .. }
            | Self::Migrate { .. }
            | Self::Compact { .. }
            | Self::Writeback { .. }
            | Self::Signal { .. }
            | Self::Await { .. }
            | Self::Populate { .. } => None,
        }
    }

    /// The handle that the step works on, which another step made.
    pub fn uses_handle(&self) -> Option<&Name> {
        match self {
            Self::DeviceRead { from: place, .. } | Self::DeviceWrite { to: place, .. } => {
                Some(&place.name)
            }
            Self::Unpin { handle, .. } | Self::Put { handle } | Self::Unfollow { handle } => {
                Some(handle)
            }
            Self::Map { .. }
            | Self::Unmap { .. }
            | Self::Remap { .. }
            | Self::Protect { .. }
            | Self::Advise { .. }
            | Self::Write { .. }
            | Self::Read { .. }
            | Self::Pin { .. }
            | Self::Get { .. }
            | Self::Follow { .. }
            | Self::Fork { .. }
            | Self::Exit
            | Self::NumaScan { .. }
            | Self::Migrate { .. }
            | Self::Compact { .. }
            | Self::Writeback { .. }
            | Self::Signal { .. }
            | Self::Await { .. }
            | Self::Populate { .. } => None,
        }
    }

    /// The pages that a device follows from this step on.
    pub fn follows(&self) -> Option<&Pages> {
        match self {
            Self::Follow { pages, .. } => Some(pages),
            Self::Map { .. }
            | Self::Unmap { .. }
            | Self::Remap { .. }
            | Self::Protect { .. }
            | Self::Advise { .. }
            | Self::Write { .. }
            | Self::Read { .. }
            | Self::DeviceWrite { .. }
            | Self::DeviceRead { .. }
            | Self::Pin { .. }
            | Self::Get { .. }
            | Self::Unpin { .. }
            | Self::Put { .. }
            | Self::Unfollow { .. }
            | Self::Fork { .. }
            | Self::Exit
            | Self::NumaScan { .. }
            | Self::Migrate { .. }
            | Self::Compact { .. }
            | Self::Writeback { .. }
            | Self::Signal { .. }
            | Self::Await { .. }
            | Self::Populate { .. } => None,
        }
    }

    /// The signal that the step gives or awaits.
    pub fn signal(&self) -> Option<&Name> {
        match self {
            Self::Signal { signal } | Self::Await { signal } => Some(signal),
            Self::Map { .. }
            | Self::Unmap { .. }
            | Self::Remap { .. }
            | Self::Protect { .. }
            | Self::Advise { .. }
            | Self::Write { .. }
            | Self::Read { .. }
            | Self::DeviceWrite { .. }
            | Self::DeviceRead { .. }
            | Self::Pin { .. }
            | Self::Get { .. }
            | Self::Unpin { .. }
            | Self::Put { .. }
            | Self::Follow { .. }
            | Self::Unfollow { .. }
            | Self::Fork { .. }
            | Self::Exit
            | Self::NumaScan { .. }
            | Self::Migrate { .. }
            | Self::Compact { .. }
            | Self::Writeback { .. }
            | Self::Populate { .. } => None,
        }
    }

    /// Whether the step is meaningless without a process. Steps on handles and signals need none.
    pub fn needs_process(&self) -> bool {
        self.uses_handle().is_none() && self.signal().is_none()
    }

    /// Whether a device can do it.
    pub fn suits_device(&self) -> bool {
        match self {
            Self::DeviceRead { .. }
            | Self::DeviceWrite { .. }
            | Self::Signal { .. }
            | Self::Await { .. } => true,
            Self::Map { .. }
            | Self::Unmap { .. }
            | Self::Remap { .. }
            | Self::Protect { .. }
            | Self::Advise { .. }
            | Self::Write { .. }
            | Self::Read { .. }
            | Self::Pin { .. }
            | Self::Get { .. }
            | Self::Unpin { .. }
            | Self::Put { .. }
            | Self::Follow { .. }
            | Self::Unfollow { .. }
            | Self::Fork { .. }
            | Self::Exit
            | Self::NumaScan { .. }
            | Self::Migrate { .. }
            | Self::Compact { .. }
            | Self::Writeback { .. }
            | Self::Populate { .. } => false,
        }
    }

    /// Why the step cannot be one that may fail, if it cannot: later steps must know that it
    /// succeeded, or it cannot fail.
    pub fn must_be_sure(&self) -> Option<Sure> {
        if self.signal().is_some() {
            return Some(Sure::CannotFail);
        }
        match self.makes() {
            Some(Made::Area(_)) => Some(Sure::UsedElsewhere),
            Some(Made::Process(_) | Made::Handle(_) | Made::Register(_)) | None => None,
        }
    }

    /// The handle that the step makes when it succeeds.
    pub fn makes_handle(&self) -> Option<&Name> {
        match self.makes()? {
            Made::Handle(name) => Some(name),
            Made::Area(_) | Made::Process(_) | Made::Register(_) => None,
        }
    }

    /// The process that the step makes when it succeeds.
    pub fn makes_process(&self) -> Option<&Name> {
        match self.makes()? {
            Made::Process(name) => Some(name),
            Made::Area(_) | Made::Handle(_) | Made::Register(_) => None,
        }
    }
}

/// Why a step cannot be one that may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sure {
    /// What it makes must be known to read the rest of the scenario.
    UsedElsewhere,
    /// There is no way in which it fails.
    CannotFail,
}

/// Something that a step makes, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made<'a> {
    /// An area of the process.
    Area(&'a Name),
    /// A process.
    Process(&'a Name),
    /// Pages held by a device.
    Handle(&'a Name),
    /// A word that was read.
    Register(&'a Name),
}

/// What `pin` and `get` have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grab {
    /// Which pages.
    pub pages: Pages,
    /// What their holder is going to do.
    pub access: Spanned<Access>,
    /// Whether missing rights of the process are overridden.
    #[serde(default)]
    pub force: Force,
    /// Which paths are tried.
    #[serde(default)]
    pub path: Path,
    /// The name of the result.
    #[serde(rename = "as")]
    pub handle: Name,
}

/// Whether a request overrides what the process itself may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Force {
    /// The rights of the process decide.
    #[default]
    Respect,
    /// `force`: as a debugger that sets a breakpoint does.
    Override,
}

/// What a `map` at an address does about pages that are mapped there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occupied {
    /// It fails.
    #[default]
    Refuse,
    /// `replace`: they go, in the same step.
    Replace,
}

impl Occupied {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which paths to a page a request tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// The lock-free path, then the one that takes locks and faults pages in.
    #[default]
    FastThenSlow,
    /// `fast-only`: the lock-free path alone; the step fails if this cannot get the pages.
    FastOnly,
    /// `slow-only`: the path that takes locks alone, as `get_user_pages` without `_fast`.
    SlowOnly,
}

impl Path {
    /// The word as it is written in a scenario; none for what needs no word.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::FastThenSlow => None,
            Self::FastOnly => Some("fast-only"),
            Self::SlowOnly => Some("slow-only"),
        }
    }
}

/// How long a pin is meant to live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duration {
    /// One transfer.
    #[default]
    Short,
    /// `longterm`: until a user decides.
    LongTerm,
}

/// What the end of a pin says about the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dirty {
    /// Nothing.
    #[default]
    Leave,
    /// `dirty`: they were written to.
    Mark,
}

/// Pages of an area: `A`, `A[1]` or `A[0..2]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// The area.
    pub area: Name,
    /// Which of its pages.
    #[serde(default, skip_serializing_if = "Extent::is_all")]
    pub extent: Extent,
    /// The whole reference.
    #[serde(skip)]
    pub span: Position,
}

/// Which pages of an area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// `A`
    #[default]
    All,
    /// `A[page]`
    One(Spanned<u32>),
    /// `A[start..end]`, without `end`
    Range {
        /// First page.
        start: Spanned<u32>,
        /// One past the last page.
        end: Spanned<u32>,
    },
}

impl Extent {
    fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    /// First page and number of pages, for an area of `length` pages.
    pub fn resolve(&self, length: u32) -> (u32, u32) {
        match self {
            Self::All => (0, length),
            Self::One(page) => (page.value, 1),
            Self::Range { start, end } => (start.value, end.value.saturating_sub(start.value)),
        }
    }
}

/// One word of one page of an area or a handle: `A`, `A[1]`, `A.1`, `A[1].1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The area or the handle.
    pub name: Name,
    /// The page as written; may be left out only where there is just one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Spanned<u32>>,
    /// The word as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<Spanned<u32>>,
    /// The whole reference.
    #[serde(skip)]
    pub span: Position,
}

impl Place {
    /// Index of the page in the area or handle; 0 unless written.
    pub fn page(&self) -> u32 {
        self.page.map_or(0, |page| page.value)
    }

    /// Index of the word in the page; 0 unless written.
    pub fn word(&self) -> u32 {
        self.word.map_or(0, |word| word.value)
    }
}
