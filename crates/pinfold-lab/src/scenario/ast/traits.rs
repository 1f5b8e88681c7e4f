//! What other steps and the checks must know of a step: what it makes, needs and leaves open.

use super::super::span::Name;
use super::super::words::Verb;
use super::parts::Pages;
use super::step::Action;

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
            Self::NumaTick { .. } => Verb::NumaTick,
            Self::Migrate { .. } => Verb::Migrate,
            Self::MovePages { .. } => Verb::MovePages,
            Self::Mbind { .. } => Verb::Mbind,
            Self::Offline { .. } => Verb::Offline,
            Self::Online { .. } => Verb::Online,
            Self::Compact { .. } => Verb::Compact,
            Self::ClearRefs => Verb::ClearRefs,
            Self::Pageout { .. } => Verb::Pageout,
            Self::Swapoff => Verb::Swapoff,
            Self::Reclaim { .. } => Verb::Reclaim,
            Self::LruDrain { .. } => Verb::LruDrain,
            Self::Ksm { .. } => Verb::Ksm,
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
            Self::VmRead { .. } => Verb::VmRead,
            Self::VmWrite { .. } => Verb::VmWrite,
            Self::PtraceRead { .. } => Verb::PtraceRead,
            Self::PtraceWrite { .. } => Verb::PtraceWrite,
            Self::UffdRegister { .. } => Verb::UffdRegister,
            Self::UffdUnregister { .. } => Verb::UffdUnregister,
            Self::UffdCopy { .. } => Verb::UffdCopy,
            Self::UffdZero { .. } => Verb::UffdZero,
            Self::UffdContinue { .. } => Verb::UffdContinue,
            Self::UffdProtect { .. } => Verb::UffdProtect,
            Self::UffdUnprotect { .. } => Verb::UffdUnprotect,
            Self::UffdWait { .. } => Verb::UffdWait,
            Self::SplitFolio { .. } => Verb::SplitFolio,
            Self::SplitDeferred => Verb::SplitDeferred,
            Self::Collapse { .. } => Verb::Collapse,
            Self::Note { .. } => Verb::Note,
            Self::TryGet { .. } => Verb::TryGet,
            Self::GetPage { .. } => Verb::GetPage,
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
            Self::Note { handle, .. } => Traits { makes: Some(Made::Handle(handle)), ..none },
            Self::TryGet { frame: of, handle } | Self::GetPage { held: of, handle } => {
                Traits { makes: Some(Made::Handle(handle)), handle: Some(&of.name), ..none }
            }
            Self::Unpin { handle, .. } | Self::Put { handle } | Self::Unfollow { handle } => {
                Traits { handle: Some(handle), ..none }
            }
            Self::Read { register, .. }
            | Self::FileRead { register, .. }
            | Self::MovePages { register, .. } => {
                Traits { makes: register.as_ref().map(Made::Register), ..none }
            }
            Self::VmRead { peek } | Self::PtraceRead { peek } => {
                Traits { makes: peek.register.as_ref().map(Made::Register), ..none }
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
            | Self::NumaTick { .. }
            | Self::Migrate { .. }
            | Self::Mbind { .. }
            | Self::Offline { .. }
            | Self::Online { .. }
            | Self::Compact { .. }
            | Self::ClearRefs
            | Self::Pageout { .. }
            | Self::Swapoff
            | Self::Reclaim { .. }
            | Self::LruDrain { .. }
            | Self::Ksm { .. }
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
            | Self::VmWrite { .. }
            | Self::PtraceWrite { .. }
            | Self::UffdRegister { .. }
            | Self::UffdUnregister { .. }
            | Self::UffdCopy { .. }
            | Self::UffdZero { .. }
            | Self::UffdContinue { .. }
            | Self::UffdProtect { .. }
            | Self::UffdUnprotect { .. }
            | Self::UffdWait { .. }
            | Self::SplitFolio { .. }
            | Self::SplitDeferred
            | Self::Collapse { .. } => none,
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

    /// The process whose memory the step reads or writes for another one.
    pub fn accesses(&self) -> Option<&Name> {
        match self {
            Self::VmRead { peek } | Self::PtraceRead { peek } => Some(&peek.process),
            Self::VmWrite { poke } | Self::PtraceWrite { poke } => Some(&poke.process),
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
