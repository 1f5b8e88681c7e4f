//! The words of a step in the terms of the memory manager.

use std::num::NonZero;

use pinfold::pin::{Ask, Force as PinForce, Path as PinPath};
use pinfold::{Access as PinAccess, Advice as SpaceAdvice, Place, Prot, Term, VirtAddr};

use crate::scenario::{Access, Advice, Force, Grab, Occupied, Path, Protection, Spanned};

/// The number behind `times`.
pub(super) type Times = Option<Spanned<u32>>;

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
        Advice::DontFork => SpaceAdvice::DontFork,
        Advice::DoFork => SpaceAdvice::DoFork,
        Advice::WipeOnFork => SpaceAdvice::WipeOnFork,
        Advice::KeepOnFork => SpaceAdvice::KeepOnFork,
    }
}
