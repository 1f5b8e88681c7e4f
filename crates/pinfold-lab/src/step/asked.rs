//! The words of a step in the terms of the memory manager.

use std::num::NonZero;

use pinfold::pin::{Ask, Force as PinForce, Path as PinPath};
use pinfold::{
    Access as PinAccess, Advice as SpaceAdvice, PAGE_SIZE, Place, Prot, RangeError, Term, VirtAddr,
    VirtRange,
};

use crate::scenario::{
    Access, Advice, Force, Grab, Occupied, Path, Protection, Sharing, Shown, Spanned,
};

/// The number behind `times`.
pub(super) type Times = Option<Spanned<u32>>;

/// What a new area shows.
pub(super) struct Shows<'a> {
    pub(super) sharing: Sharing,
    /// Pages of a file that has a name.
    pub(super) of: Option<&'a Shown>,
}

/// How long an area is.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    /// The pages that are mapped.
    pub(super) pages: u32,
    /// The pages that have names: of a stack, those that it may come to have.
    pub(super) room: u32,
}

impl Extent {
    /// How many pages below those that are mapped have names.
    fn below(self) -> u64 {
        u64::from(self.room.saturating_sub(self.pages))
    }

    /// Where the mapped part of a stack starts whose page 0 lies at this address, or at the lowest
    /// one.
    pub(super) fn start(self, at: Option<u64>) -> u64 {
        let first = at.unwrap_or(PAGE_SIZE);
        first.saturating_add(self.below() * PAGE_SIZE)
    }

    /// The pages that have names, where this is mapped.
    ///
    /// # Errors
    /// When they leave the addresses.
    pub(super) fn around(self, mapped: VirtRange) -> Result<VirtRange, RangeError> {
        let first = mapped.first_page().0.saturating_sub(self.below());
        VirtRange::new(VirtAddr::of_page(first), u64::from(self.room))
    }
}

pub(super) fn ask(grab: &Grab, times: Times, term: Term) -> Ask {
    Ask {
        access: access_of(grab.access.value),
        term,
        force: match grab.force {
            Force::Respect => PinForce::Ordinary,
            Force::Override => PinForce::Forced,
        },
        path: match grab.path {
            Path::FastThenSlow => PinPath::Any,
            Path::FastOnly => PinPath::FastOnly,
            Path::SlowOnly => PinPath::SlowOnly,
        },
        times: times.and_then(|times| NonZero::new(times.value)).unwrap_or(NonZero::<u32>::MIN),
    }
}

pub(super) fn access_of(access: Access) -> PinAccess {
    match access {
        Access::Read => PinAccess::Read,
        Access::Write => PinAccess::Write,
    }
}

/// Where a `map` goes.
pub(super) fn place(at: Option<u64>, occupied: Occupied) -> Place {
    match (at.map(VirtAddr), occupied) {
        (None, _) => Place::Anywhere,
        (Some(at), Occupied::Refuse) => Place::At(at),
        (Some(at), Occupied::Replace) => Place::Replace(at),
    }
}

pub(super) fn prot(protection: Protection) -> Prot {
    match protection {
        Protection::None => Prot::empty(),
        Protection::ReadOnly => Prot::READ,
        Protection::ReadWrite => Prot::READ_WRITE,
        Protection::ReadExecute => Prot::READ | Prot::EXEC,
        Protection::ReadWriteExecute => Prot::READ_WRITE | Prot::EXEC,
    }
}

pub(super) fn advice_of(advice: Advice) -> SpaceAdvice {
    match advice {
        Advice::DontNeed => SpaceAdvice::DontNeed,
        Advice::Cold => SpaceAdvice::Cold,
        Advice::DontFork => SpaceAdvice::DontFork,
        Advice::DoFork => SpaceAdvice::DoFork,
        Advice::WipeOnFork => SpaceAdvice::WipeOnFork,
        Advice::KeepOnFork => SpaceAdvice::KeepOnFork,
        Advice::HugePage => SpaceAdvice::HugePage,
        Advice::Free => SpaceAdvice::Free,
        Advice::NoHugePage => SpaceAdvice::NoHugePage,
        Advice::Merge => SpaceAdvice::Merge,
        Advice::Unmerge => SpaceAdvice::Unmerge,
    }
}
