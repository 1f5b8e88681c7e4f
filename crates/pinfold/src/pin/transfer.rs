//! The pages of a short transfer whose caller does not say whether it takes references or pins: the
//! release decides. So it decides what a fork meanwhile does to the transfer.
//!
//! - Direct I/O: pages that a device reads or writes, as O_DIRECT takes them (facts 12.9; rule
//!   `direct-io`).
//! - process_vm_readv and process_vm_writev: pages that another process copies (facts 3.14; rule
//!   `process-vm`). It finds them under the address space's lock, as nobody but the owner walks
//!   tables without it, and gives the lock back before it copies.

use core::fmt;

use super::ask::{Ask, Path};
use super::guard::{Pins, Refs};
use super::hold::{get_with, pin_with};
use crate::addr::{Pfn, VirtRange};
use crate::error::PinError;
use crate::platform::Platform;
use crate::rules::pin::{Access, Hold, Term, direct_io, process_vm};
use crate::space::Space;
use crate::sync::Shared;

/// The pages of one transfer, released on drop.
#[must_use = "dropping the guard ends the transfer"]
pub enum Transfer<P: Platform> {
    /// Ordinary references: the owner may continue with other pages after a fork.
    Refs(Refs<P>),
    /// Short pins: the pages stay the owner's.
    Pins(Pins<P>),
}

impl<P: Platform> fmt::Debug for Transfer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refs(refs) => refs.fmt(f),
            Self::Pins(pins) => pins.fmt(f),
        }
    }
}

impl<P: Platform> Transfer<P> {
    /// The frames, in the order of the range.
    pub fn pages(&self) -> &[Pfn] {
        match self {
            Self::Refs(refs) => refs.pages(),
            Self::Pins(pins) => pins.pages(),
        }
    }

    /// What stopped the walk, when there are fewer pages than were asked for.
    pub fn shortfall(&self) -> Option<PinError> {
        match self {
            Self::Refs(refs) => refs.shortfall(),
            Self::Pins(pins) => pins.shortfall(),
        }
    }

    /// Ends a transfer in which the memory was written: the pages are marked dirty first.
    pub fn end_dirty(self) {
        match self {
            Self::Refs(refs) => refs.put_dirty(),
            Self::Pins(pins) => pins.unpin_dirty(),
        }
    }

    fn take(
        space: &Shared<Space<P>>,
        range: VirtRange,
        ask: Ask,
        hold: Hold,
    ) -> Result<Self, PinError> {
        match hold {
            Hold::Get => get_with(space, range, ask).map(Self::Refs),
            Hold::Pin => pin_with(space, range, ask).map(Self::Pins),
        }
    }
}

/// Takes the pages of `range` for a device. `access` is the device's: to the memory.
pub(crate) fn direct<P: Platform>(
    space: &Shared<Space<P>>,
    range: VirtRange,
    access: Access,
) -> Result<Transfer<P>, PinError> {
    let hold = direct_io(space.mem().rule());
    Transfer::take(space, range, Ask::new(access, Term::Short), hold)
}

/// Takes the pages of `range` for another process, which reads or writes them.
pub(crate) fn remote<P: Platform>(
    space: &Shared<Space<P>>,
    range: VirtRange,
    access: Access,
) -> Result<Transfer<P>, PinError> {
    let hold = process_vm(space.mem().rule());
    Transfer::take(space, range, Ask::new(access, Term::Short).path(Path::SlowOnly), hold)
}
