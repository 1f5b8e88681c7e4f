//! References and pins for devices: get_user_pages and pin_user_pages, lock-free and locked (facts 3).
//!
//! A **pin** ([`Pins`]) is for whoever reads or writes the memory by frame: under today's rules, while it lives, its owner's later writes go to
//! the same frame, and fork, migration, splitting and reclaim leave the frame with its owner. A **get** ([`Refs`]) only keeps the frame from being
//! reused.
//!
//! Protocol: first the lock-free walk (`fast`) inside a walk section, then the slow path (`slow`) for the rest, under the address
//! space's lock. The lock-free walk takes a reference first and then reads the entry again; whoever takes entries away reads the count after taking
//! them out. Of the two, one sees the other (facts 3.5).
//!
//! Invariants:
//! - INV-PIN-1: the lock-free walk keeps a page only if the entry and its table are unchanged after the reference was taken.
//! - INV-PIN-2: since 5.19 an anonymous page is pinned only while it is exclusive, and stays so until the pin is released.
//! - INV-PIN-3: a walk that overlapped fork's copying gives everything back.
//! - INV-PIN-4: what a walk has taken is owned by the guard at every moment, so an error or panic gives it back.

mod driver;
mod fast;
mod guard;
mod slow;

pub use crate::rules::pin::{Access, Force, Hold, Term};
pub use driver::{PinnedBytes, SpaceHandle};
pub(crate) use guard::Held;
pub use guard::{PinnedPage, PinnedPages, Pins, Refs};

use crate::addr::VirtRange;
use crate::address_space::AddressSpace;
use crate::error::PinError;
use crate::platform::Platform;
use crate::space::Space;
use crate::sync::Shared;

/// Which paths a request may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// Lock-free first, then the rest under the lock, with faults.
    Any,
    /// Lock-free only: for callers that must not sleep (FOLL_FAST_ONLY).
    FastOnly,
    /// Under the lock only: for callers that know the entries to be absent.
    SlowOnly,
}

/// A request for the pages of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// Reading, or writing too.
    pub access: Access,
    /// For one transfer, or for as long as its owner likes.
    pub term: Term,
    /// Whether the area's present rights are overridden: a debugger's access (FOLL_FORCE).
    pub force: Force,
    /// The paths allowed.
    pub path: Path,
}

impl Ask {
    /// An ordinary request.
    pub const fn new(access: Access, term: Term) -> Self {
        Self { access, term, force: Force::Ordinary, path: Path::Any }
    }

    /// Overrides the area's rights.
    pub const fn forced(self) -> Self {
        Self { force: Force::Forced, ..self }
    }

    /// Restricts the paths.
    pub const fn path(self, path: Path) -> Self {
        Self { path, ..self }
    }
}

impl<P: Platform> AddressSpace<P> {
    /// Pins the pages of `range`.
    ///
    /// Fewer pages than asked for are a success: [`Pins::shortfall`] says what stopped the walk. [`Term::Long`] counts against the limit on
    /// locked pages.
    ///
    /// # Errors
    /// When no page could be pinned, or the limit forbids it: nothing is held then.
    pub fn pin(&self, range: VirtRange, access: Access, term: Term) -> Result<Pins<P>, PinError> {
        self.pin_with(range, Ask::new(access, term))
    }

    /// As [`AddressSpace::pin`], with every choice.
    ///
    /// # Errors
    /// As [`AddressSpace::pin`].
    pub fn pin_with(&self, range: VirtRange, ask: Ask) -> Result<Pins<P>, PinError> {
        pin_with(self.space(), range, ask)
    }

    /// Takes ordinary references on the pages of `range`.
    ///
    /// # Errors
    /// As [`AddressSpace::pin`].
    pub fn get(&self, range: VirtRange, access: Access) -> Result<Refs<P>, PinError> {
        self.get_with(range, Ask::new(access, Term::Short))
    }

    /// As [`AddressSpace::get`], with every choice; the term does not matter.
    ///
    /// # Errors
    /// As [`AddressSpace::pin`].
    pub fn get_with(&self, range: VirtRange, ask: Ask) -> Result<Refs<P>, PinError> {
        let mut held = Held::new(self.space(), Hold::Get, 0);
        self.space().hold(range, ask, &mut held)?;
        Ok(Refs::of(held))
    }
}

/// Pins what it can of `range`, charged if the term is long.
fn pin_with<P: Platform>(
    space: &Shared<Space<P>>,
    range: VirtRange,
    ask: Ask,
) -> Result<Pins<P>, PinError> {
    let charge = match ask.term {
        Term::Short => 0,
        Term::Long => range.pages(),
    };
    let limit = space.limits().locked;
    if !space.locked.add_within(charge, limit) {
        return Err(PinError::TooManyLocked { limit });
    }
    let mut held = Held::new(space, Hold::Pin, charge);
    space.hold(range, ask, &mut held)?;
    space.mem().stats().nr_foll_pin_acquired.add(held.pages().len() as u64);
    Ok(Pins::of(held))
}

/// Pages of one walk section.
const PART: u64 = 512;
/// Pages for which room is made at a time: what a request costs does not grow with what it asks for in vain.
const AHEAD: u64 = 8 * PART;

impl<P: Platform> Space<P> {
    fn hold(&self, range: VirtRange, ask: Ask, held: &mut Held<P>) -> Result<(), PinError> {
        let allowed = self.allowed(range);
        let range = allowed.map_err(|_| crate::error::FaultError::NotMapped(range.start()))?;
        if held.hold() == Hold::Pin && self.has_pinned.read_once() == 0 {
            self.has_pinned.write_once(1);
        }
        let mut page = range.first_page();
        while page < range.end_page() {
            let part = VirtRange::of_pages(page, range.end_page().min(page + PART));
            let room = held.reserve(part.pages(), (range.end_page() - page).min(AHEAD));
            let taken = room.map_err(PinError::from).and_then(|()| self.hold_part(part, ask, held));
            match taken {
                Ok(()) => page = part.end_page(),
                Err(stopped) if held.pages().is_empty() => return Err(stopped),
                Err(stopped) => {
                    held.fall_short(stopped, range.pages());
                    break;
                }
            }
        }
        Ok(())
    }

    /// Takes the pages of `part` in order, until all are taken or one is refused.
    fn hold_part(&self, part: VirtRange, ask: Ask, held: &mut Held<P>) -> Result<(), PinError> {
        let before = held.pages().len();
        if ask.path != Path::SlowOnly {
            self.hold_fast(part, ask, held);
        }
        let first = part.first_page() + (held.pages().len() - before) as u64;
        if first == part.end_page() {
            return Ok(());
        }
        if ask.path == Path::FastOnly {
            return Err(PinError::WouldBlock(crate::addr::VirtAddr::of_page(first)));
        }
        self.hold_slow(VirtRange::of_pages(first, part.end_page()), ask, held)
    }
}

#[cfg(test)]
mod tests;
