//! Direct I/O: pages that a device reads or writes for one transfer, as O_DIRECT takes them (facts
//! 12.9). Whether that is a reference or a pin is the rule `direct-io`; so it decides what a fork
//! meanwhile does to the transfer.

use super::ask::Ask;
use super::guard::{Pins, Refs};
use super::hold::{get_with, pin_with};
use crate::addr::{Pfn, VirtRange};
use crate::error::PinError;
use crate::platform::Platform;
use crate::rules::pin::{Access, Hold, Term, direct_io};
use crate::space::Space;
use crate::sync::Shared;

/// The pages of one transfer, released on drop.
#[must_use = "dropping the guard ends the transfer"]
#[derive(Debug)]
pub enum DirectIo<P: Platform> {
    /// Ordinary references: the owner may continue with other pages after a fork.
    Refs(Refs<P>),
    /// Short pins: the pages stay the owner's.
    Pins(Pins<P>),
}

impl<P: Platform> DirectIo<P> {
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

    /// Ends a transfer in which the device has written the memory: the pages are marked dirty
    /// first.
    pub fn end_dirty(self) {
        match self {
            Self::Refs(refs) => refs.put_dirty(),
            Self::Pins(pins) => pins.unpin_dirty(),
        }
    }
}

/// Takes the pages of `range` for a transfer. `access` is the device's: to the memory.
pub(crate) fn direct<P: Platform>(
    space: &Shared<Space<P>>,
    range: VirtRange,
    access: Access,
) -> Result<DirectIo<P>, PinError> {
    let ask = Ask::new(access, Term::Short);
    match direct_io(space.mem().rule()) {
        Hold::Get => get_with(space, range, ask).map(DirectIo::Refs),
        Hold::Pin => pin_with(space, range, ask).map(DirectIo::Pins),
    }
}
