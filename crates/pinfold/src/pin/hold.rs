//! A request, part by part: first the lock-free walk, then the slow path for what it left.

use super::ask::{Ask, Path};
use super::guard::{Held, Pins, Refs};
use super::settle::pin_settled;
use crate::addr::{Pfn, VirtRange};
use crate::error::{FaultError, PinError};
use crate::frame::Holds;
use crate::platform::Platform;
use crate::rules::pin::{Hold, Request, Term};
use crate::space::Space;
use crate::sync::Shared;

/// Pins what it can of `range`, each pin of a page charged if the term is long.
#[inline]
pub(crate) fn pin_with<P: Platform>(
    space: &Shared<Space<P>>,
    range: VirtRange,
    ask: Ask,
) -> Result<Pins<P>, PinError> {
    let charge = match ask.term {
        Term::Short => 0,
        Term::Long => range.pages().saturating_mul(u64::from(ask.times.get())),
    };
    let limit = space.limits().locked;
    if charge > 0 && !space.locked.add_within(charge, limit) {
        return Err(PinError::TooManyLocked { limit });
    }
    let holds = Holds::of(Hold::Pin, ask.times.get());
    if let Some(first) = space.hold_at_once(range, ask, holds) {
        let held = Held::new(space, holds, charge, Some(first));
        held.counters().nr_foll_pin_acquired.add(u64::from(holds.times()));
        return Ok(Pins::of(held));
    }
    let request = Request { hold: Hold::Pin, access: ask.access, term: ask.term };
    if space.mem().settles(request) {
        let pin = || pin_more(space, range, ask, (holds, charge));
        return pin_settled(space, charge, pin).map(Pins::of);
    }
    pin_more(space, range, ask, (holds, charge)).map(Pins::of)
}

/// Pins what cannot be had at once.
fn pin_more<P: Platform>(
    space: &Shared<Space<P>>,
    range: VirtRange,
    ask: Ask,
    (holds, charged): (Holds, u64),
) -> Result<Held<P>, PinError> {
    let held = hold_more(space, range, ask, holds, charged)?;
    held.counters().nr_foll_pin_acquired.add(held.count());
    Ok(held)
}

/// Takes ordinary references on what it can of `range`.
pub(crate) fn get_with<P: Platform>(
    space: &Shared<Space<P>>,
    range: VirtRange,
    ask: Ask,
) -> Result<Refs<P>, PinError> {
    let holds = Holds::of(Hold::Get, ask.times.get());
    match space.hold_at_once(range, ask, holds) {
        Some(first) => Ok(Refs::of(Held::new(space, holds, 0, Some(first)))),
        None => hold_more(space, range, ask, holds, 0).map(Refs::of),
    }
}

/// Takes what cannot be had at once.
#[inline(never)]
fn hold_more<P: Platform>(
    space: &Shared<Space<P>>,
    range: VirtRange,
    ask: Ask,
    holds: Holds,
    charged: u64,
) -> Result<Held<P>, PinError> {
    let mut held = Held::new(space, holds, charged, None);
    let allowed = space.allowed(range);
    let range = allowed.map_err(|_| FaultError::NotMapped(range.start()))?;
    space.note_pins(holds);
    if range.pages() == 1 {
        // The lock-free walk has had its turn, or must have none.
        space.hold_rest(range, ask, &mut held)?;
    } else {
        space.hold_parts(range, ask, &mut held)?;
    }
    Ok(held)
}

/// Pages of one walk section.
const PART: u64 = 512;
/// Pages for which room is made at a time: the cost of a request does not grow with pages that it
/// asks for in vain.
const AHEAD: u64 = 8 * PART;

impl<P: Platform> Space<P> {
    /// The page of a range of one, if the lock-free walk may take it, and can: what most requests
    /// ask for.
    #[inline]
    fn hold_at_once(&self, range: VirtRange, ask: Ask, holds: Holds) -> Option<Pfn> {
        if range.pages() != 1 || ask.path == Path::SlowOnly || self.allowed(range).is_err() {
            return None;
        }
        self.note_pins(holds);
        self.hold_fast_page(range.first_page(), ask, holds)
    }

    /// From now on fork looks for pins.
    #[inline]
    fn note_pins(&self, holds: Holds) {
        if holds.kind() == Hold::Pin && self.has_pinned.read_once() == 0 {
            self.has_pinned.write_once(1);
        }
    }

    fn hold_parts(&self, range: VirtRange, ask: Ask, held: &mut Held<P>) -> Result<(), PinError> {
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
        self.hold_rest(VirtRange::of_pages(first, part.end_page()), ask, held)
    }

    /// Takes what the lock-free walk left.
    fn hold_rest(&self, rest: VirtRange, ask: Ask, held: &mut Held<P>) -> Result<(), PinError> {
        if ask.path == Path::FastOnly {
            return Err(PinError::WouldBlock(rest.start()));
        }
        self.hold_slow(rest, ask, held)
    }
}
