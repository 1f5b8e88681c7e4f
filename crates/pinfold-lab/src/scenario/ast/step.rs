//! Steps: what processes and devices do, one a line.

use super::super::span::{Name, Position, Spanned, Text};
use super::super::words::{
    Access, Advice, Failure, Protection, Sharing, UffdReason, UffdWord, Verb,
};
use super::parts::{Dirty, Duration, Grab, Occupied, Pages, Part, Place, Shown, UffdWp};
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
    /// `map AREA N private|shared|file|stack PROTECTION [of FILE [from K]] [up to M]
    /// [at ADDRESS [replace]]`
    Map {
        /// The new area.
        area: Name,
        /// Its length in pages, at least 1; of a stack, its length until it grows.
        pages: Spanned<u32>,
        /// Whether writes stay with the process.
        sharing: Spanned<Sharing>,
        /// What the process is allowed to do.
        protection: Spanned<Protection>,
        /// The file that it shows; nobody else's memory unless written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<Shown>,
        /// The pages of a stack that have names, of which the last are mapped from the beginning;
        /// as many as those unless written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        up_to: Option<Spanned<u32>>,
        /// Where page 0 must lie, a multiple of the page size; anywhere unless written, and a stack
        /// at the lowest address.
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
    /// `break AREA N`: moves the program break.
    Break {
        /// The memory between the lowest address and the break.
        area: Name,
        /// How many pages it has from then on.
        pages: Spanned<u32>,
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
    /// `clone CHILD`: a process in the same address space.
    Clone {
        /// The new process.
        child: Name,
    },
    /// `vfork CHILD`: as `clone`; the lane goes on when the child has executed or ended.
    Vfork {
        /// The new process.
        child: Name,
    },
    /// `exec`: the process goes on in a new, empty address space.
    Exec,
    /// `mlock PAGES`
    Mlock {
        /// What stays in memory.
        pages: Pages,
    },
    /// `munlock PAGES`
    Munlock {
        /// What need not stay there.
        pages: Pages,
    },
    /// `write FILE[N] "word"`: write(2).
    FileWrite {
        /// Where; the name is a file.
        to: Place,
        /// What is stored.
        word: Text,
    },
    /// `read FILE[N] [expect "word"] [as REGISTER]`: read(2).
    FileRead {
        /// Where; the name is a file.
        from: Place,
        /// What must be found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<Text>,
        /// The register that keeps what was found.
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        register: Option<Name>,
    },
    /// `truncate FILE N [words W]`: gives a file another length.
    Truncate {
        /// The file.
        file: Name,
        /// Its whole pages from then on.
        pages: Spanned<u32>,
        /// How many words of the page after those it has, too; none unless written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<Spanned<u32>>,
    },
    /// `punch FILE[I..J]`: the pages are zeros from then on, and the file keeps its length.
    Punch {
        /// Which pages of the file.
        pages: Pages,
    },
    /// `sync FILE`: writes its dirty pages back.
    Sync {
        /// The file.
        file: Name,
    },
    /// `join GROUP`: what the process makes is charged to the group from then on.
    Join {
        /// The group.
        group: Name,
    },
    /// `move-charge PAGES from GROUP to GROUP`
    MoveCharge {
        /// Whose charges move.
        pages: Pages,
        /// The group that they are charged to.
        from: Name,
        /// The group that they are charged to from then on.
        to: Name,
    },
    /// `direct-read PART from PART`: read(2) of a file that is open with O_DIRECT.
    DirectRead {
        /// The memory that is filled.
        to: Part,
        /// As much of a file.
        from: Part,
    },
    /// `direct-write PART to PART`: write(2) of a file that is open with O_DIRECT.
    DirectWrite {
        /// The memory that is read.
        from: Part,
        /// As much of a file.
        to: Part,
    },
    /// `uffd-register PAGES missing|wp|minor|unpopulated|event-fork|event-remap ...`
    UffdRegister {
        /// What is watched.
        pages: Pages,
        /// What the monitor is told of, and how; at least one.
        modes: Vec<Spanned<UffdWord>>,
    },
    /// `uffd-unregister PAGES`
    UffdUnregister {
        /// What is not watched any more.
        pages: Pages,
    },
    /// `uffd-copy PAGE "word" [wp]`: gives a missing page, with zeros in all other words.
    UffdCopy {
        /// Where, in the address space of the process.
        to: Place,
        /// What the page holds there.
        word: Text,
        /// Whether it is protected from writes.
        #[serde(default, skip_serializing_if = "UffdWp::is_default")]
        wp: UffdWp,
    },
    /// `uffd-zero PAGE`: gives a page of zeros.
    UffdZero {
        /// Where, in the address space of the process.
        at: Place,
    },
    /// `uffd-continue PAGE [wp]`: maps the page that is there.
    UffdContinue {
        /// Where, in the address space of the process.
        at: Place,
        /// Whether it is protected from writes.
        #[serde(default, skip_serializing_if = "UffdWp::is_default")]
        wp: UffdWp,
    },
    /// `uffd-protect PAGES`: the monitor is told of writes from then on.
    UffdProtect {
        /// What is protected.
        pages: Pages,
    },
    /// `uffd-unprotect PAGES`
    UffdUnprotect {
        /// What is not protected any more.
        pages: Pages,
    },
    /// `uffd-wait PAGE missing|wp|minor`: waits until the monitor was told of such an access there.
    UffdWait {
        /// Where, in the address space of the process.
        at: Place,
        /// Why it is told.
        reason: Spanned<UffdReason>,
    },
}

impl Action {
    /// The word that the step starts with.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Map { .. } => Verb::Map,
            Self::Unmap { .. } => Verb::Unmap,
            Self::Remap { .. } => Verb::Remap,
            Self::Break { .. } => Verb::Break,
            Self::Protect { .. } => Verb::Protect,
            Self::Advise { .. } => Verb::Advise,
            Self::Write { .. } | Self::DeviceWrite { .. } | Self::FileWrite { .. } => Verb::Write,
            Self::Read { .. } | Self::DeviceRead { .. } | Self::FileRead { .. } => Verb::Read,
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
            Self::Clone { .. } => Verb::Clone,
            Self::Vfork { .. } => Verb::Vfork,
            Self::Exec => Verb::Exec,
            Self::Mlock { .. } => Verb::Mlock,
            Self::Munlock { .. } => Verb::Munlock,
            Self::Truncate { .. } => Verb::Truncate,
            Self::Punch { .. } => Verb::Punch,
            Self::Join { .. } => Verb::Join,
            Self::MoveCharge { .. } => Verb::MoveCharge,
            Self::Sync { .. } => Verb::Sync,
            Self::DirectRead { .. } => Verb::DirectRead,
            Self::DirectWrite { .. } => Verb::DirectWrite,
            Self::UffdRegister { .. } => Verb::UffdRegister,
            Self::UffdUnregister { .. } => Verb::UffdUnregister,
            Self::UffdCopy { .. } => Verb::UffdCopy,
            Self::UffdZero { .. } => Verb::UffdZero,
            Self::UffdContinue { .. } => Verb::UffdContinue,
            Self::UffdProtect { .. } => Verb::UffdProtect,
            Self::UffdUnprotect { .. } => Verb::UffdUnprotect,
            Self::UffdWait { .. } => Verb::UffdWait,
        }
    }

    /// What other steps and the checks must know of the step: the one place that a new word has to
    /// fill in.
    fn traits(&self) -> Traits<'_> {
        let none = Traits::default();
        match self {
            Self::Map { area, .. } => Traits { makes: Some(Made::Area(area)), ..none },
            Self::Fork { child } => Traits { makes: Some(Made::Process(child)), ..none },
            Self::Clone { child } | Self::Vfork { child } => {
                Traits { makes: Some(Made::Process(child)), shares_with: Some(child), ..none }
            }
            Self::Exit | Self::Exec => Traits { leaves_space: true, ..none },
            Self::Pin { grab, .. } | Self::Get { grab, .. } => {
                Traits { makes: Some(Made::Handle(&grab.handle)), ..none }
            }
            Self::Follow { pages, handle, .. } => {
                Traits { makes: Some(Made::Handle(handle)), follows: Some(pages), ..none }
            }
            Self::Unpin { handle, .. } | Self::Put { handle } | Self::Unfollow { handle } => {
                Traits { handle: Some(handle), ..none }
            }
            Self::Read { register, .. } | Self::FileRead { register, .. } => {
                Traits { makes: register.as_ref().map(Made::Register), ..none }
            }
            Self::DeviceRead { from, register, .. } => Traits {
                makes: register.as_ref().map(Made::Register),
                handle: Some(&from.name),
                suits_device: true,
                ..none
            },
            Self::DeviceWrite { to, .. } => {
                Traits { handle: Some(&to.name), suits_device: true, ..none }
            }
            Self::Signal { signal } | Self::Await { signal } => {
                Traits { signal: Some(signal), suits_device: true, ..none }
            }
            Self::Unmap { .. }
            | Self::Remap { .. }
            | Self::Break { .. }
            | Self::Protect { .. }
            | Self::Advise { .. }
            | Self::Write { .. }
            | Self::NumaScan { .. }
            | Self::Migrate { .. }
            | Self::Compact { .. }
            | Self::Writeback { .. }
            | Self::Populate { .. }
            | Self::Mlock { .. }
            | Self::Munlock { .. }
            | Self::FileWrite { .. }
            | Self::Truncate { .. }
            | Self::Punch { .. }
            | Self::Sync { .. }
            | Self::Join { .. }
            | Self::MoveCharge { .. }
            | Self::DirectRead { .. }
            | Self::DirectWrite { .. }
            | Self::UffdRegister { .. }
            | Self::UffdUnregister { .. }
            | Self::UffdCopy { .. }
            | Self::UffdZero { .. }
            | Self::UffdContinue { .. }
            | Self::UffdProtect { .. }
            | Self::UffdUnprotect { .. }
            | Self::UffdWait { .. } => none,
        }
    }

    /// What the step makes when it succeeds, under the name that the step gives it.
    pub fn makes(&self) -> Option<Made<'_>> {
        self.traits().makes
    }

    /// The handle that the step works on, which another step made.
    pub fn uses_handle(&self) -> Option<&Name> {
        self.traits().handle
    }

    /// The pages that a device follows from this step on.
    pub fn follows(&self) -> Option<&Pages> {
        self.traits().follows
    }

    /// The signal that the step gives or awaits.
    pub fn signal(&self) -> Option<&Name> {
        self.traits().signal
    }

    /// The process that the step makes in the address space of its own.
    pub fn shares_space_with(&self) -> Option<&Name> {
        self.traits().shares_with
    }

    /// Whether the process leaves the address space in which it is.
    pub fn leaves_space(&self) -> bool {
        self.traits().leaves_space
    }

    /// The file whose store the step reads or writes past its pages in memory.
    pub fn direct_file(&self) -> Option<&Name> {
        match self {
            Self::DirectRead { from: file, .. } | Self::DirectWrite { to: file, .. } => {
                Some(file.name())
            }
            _ => None,
        }
    }

    /// Whether the step is meaningless without a process. Steps on handles and signals need none.
    pub fn needs_process(&self) -> bool {
        self.uses_handle().is_none() && self.signal().is_none()
    }

    /// Whether a device can do it.
    pub fn suits_device(&self) -> bool {
        self.traits().suits_device
    }

    /// Why the step cannot be one that may fail, if it cannot: later steps must know that it
    /// succeeded, or it cannot fail.
    pub fn must_be_sure(&self) -> Option<Sure> {
        if self.signal().is_some() {
            return Some(Sure::CannotFail);
        }
        if let Self::Exec = self {
            // Which areas the process has depends on it.
            return Some(Sure::UsedElsewhere);
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

/// See [`Action::traits`]. Most steps have few of these.
#[derive(Clone, Copy, Default)]
struct Traits<'a> {
    makes: Option<Made<'a>>,
    /// The handle that the step works on.
    handle: Option<&'a Name>,
    follows: Option<&'a Pages>,
    signal: Option<&'a Name>,
    /// The process that the step makes in the address space of its own.
    shares_with: Option<&'a Name>,
    leaves_space: bool,
    suits_device: bool,
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
