//! Long-term pins and memory that is set apart for what can move (facts 3.10; rule
//! `longterm-zone`): a page that is pinned for long does not move, so it is moved out first.
//!
//! Protocol: the pages are pinned as for any request; the lock-free walk stops at one that lies
//! there, the slow path does not. Then each is looked at. If some lie there they are isolated, all
//! pins of the request are released, and the isolated pages are moved near their nodes: the
//! request's own pins would keep them. Then everything is pinned anew, as an entry may map another
//! page by now. A page that another has isolated is waited for, with nothing held; one that is in
//! no list is looked for again a few times. No lock is held between these parts.
//!
//! So two requests for one page do not wait for each other for ever: who has isolated it holds no
//! pin and waits for nobody, and who waits has isolated nothing. But the pins that one holds for
//! the look refuse the other's move, and with it his request, as in Linux; and who comes next may
//! be refused by the reference that such an isolation has until its end.
//!
//! Up to 5.12 only memory for contiguous requests is left, and a page that does not move is pinned
//! where it lies.
//!
//! Linux allocates what such a request faults in outside that memory from the beginning; here it
//! lies where private pages do, and moves in the first round.

use alloc::vec::Vec;

use super::guard::Held;
use crate::addr::Pfn;
use crate::error::{FaultError, PinError};
use crate::frame::{Flags, Sizes};
use crate::memory::Memory;
use crate::migrate::{Isolated, MigrateMode, Stays, Target};
use crate::platform::Platform;
use crate::pressure::Tries;
use crate::rules::pin::{
    Hold, Request, Term, keeps_unisolated, keeps_unmoved, leaves_cma, leaves_movable,
};
use crate::space::Space;
use crate::sync::Shared;

/// Rounds in which no page could be isolated, and nobody could be waited for, before a request
/// fails. Linux: no bound.
const VAIN: u32 = 10;

/// Pages of a request that lie where they may not stay.
struct Strays<'m, P: Platform> {
    isolated: Vec<Isolated<'m, P>>,
    /// One that could not be isolated.
    left: Option<(Pfn, Left)>,
}

/// Why a page could not be isolated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Left {
    /// Another has isolated it, and will end that.
    Isolated,
    /// It is in no list that it could be taken from.
    Unlisted,
}

/// Pins in rounds by `pin` until no page lies where it may not stay. The first round's charge was
/// made; each further one's is made here.
#[cold]
#[inline(never)]
pub(super) fn pin_settled<P: Platform>(
    space: &Shared<Space<P>>,
    charge: u64,
    pin: impl Fn() -> Result<Held<P>, PinError>,
) -> Result<Held<P>, PinError> {
    let (mem, limit) = (space.mem(), space.limits().locked);
    let (mut vain, mut tries, mut unmoved) = (0, Tries::default(), false);
    loop {
        let held = pin()?;
        if unmoved {
            return Ok(held);
        }
        let seen = mem.isolations().seen();
        let strays = mem.strays(held.pages())?;
        match (strays.isolated.is_empty(), strays.left) {
            (true, None) => return Ok(held),
            (true, Some(_)) if keeps_unisolated(mem.rule()) => return Ok(held),
            (true, Some((_, Left::Isolated))) => {
                drop(held);
                mem.isolations().wait(seen, mem.platform());
            }
            (true, Some((pfn, Left::Unlisted))) => {
                drop(held);
                vain += 1;
                if vain == VAIN {
                    return Err(PinError::Unmoved(pfn));
                }
            }
            (false, _) => {
                drop(held);
                match mem.move_out(strays.isolated, &mut tries) {
                    Err(_) if keeps_unmoved(mem.rule()) => unmoved = true,
                    done => done?,
                }
            }
        }
        if !space.locked.add_within(charge, limit) {
            return Err(PinError::TooManyLocked { limit });
        }
    }
}

impl<P: Platform> Memory<P> {
    /// Whether a request may not leave pages in memory that is set apart for what can move.
    #[inline]
    pub(super) fn settles(&self, request: Request) -> bool {
        request.term == Term::Long
            && self.frames().has_movable()
            && request.hold == Hold::Pin
            && leaves_cma(self.rule())
    }

    /// Whether a page lies in memory that is set apart for what can move, of those parts that a
    /// long-term pin leaves, and can move.
    #[cold]
    pub(super) fn must_move(&self, pfn: Pfn) -> bool {
        let frames = self.frames();
        let head = frames.head_of(pfn);
        let apart = match leaves_movable(self.rule()) {
            true => frames.is_movable(pfn),
            // A pin keeps the whole folio, which may reach into a region with other pages.
            false => frames.meets_cma(head, 1 << frames.order(head)),
        };
        apart && !frames.flags(head).is_fixed()
    }

    /// Isolates those of some pages, which the caller has pinned, that must move.
    fn strays(&self, pages: &[Pfn]) -> Result<Strays<'_, P>, PinError> {
        let mut strays = Strays { isolated: Vec::new(), left: None };
        let mut last = None;
        for pfn in pages.iter().copied().filter(|pfn| self.must_move(*pfn)) {
            let head = self.frames().head_of(pfn);
            if last.replace(head) == Some(head) {
                continue;
            }
            if strays.isolated.is_empty() && strays.left.is_none() {
                // The batches' references would refuse the move of what waits there.
                self.lru_add_drain_all();
            }
            strays.isolated.try_reserve(1).map_err(|_| PinError::NoMemory)?;
            match self.isolate(pfn, Sizes::Any) {
                Some(page) => strays.isolated.push(page),
                None => {
                    let isolated = self.frames().flags(head).contains(Flags::ISOLATED);
                    strays.left =
                        Some((pfn, if isolated { Left::Isolated } else { Left::Unlisted }));
                }
            }
        }
        Ok(strays)
    }

    /// Moves pages out, all of them if one does not move, too.
    ///
    /// # Errors
    /// For one that stays.
    fn move_out(&self, pages: Vec<Isolated<'_, P>>, tries: &mut Tries) -> Result<(), PinError> {
        let (mut stays, mut short) = (None, false);
        for page in pages {
            let head = page.head();
            let target = Target::fixed(self.frames().node(head));
            match self.migrate_telling(page, target, MigrateMode::Sync).1 {
                Ok(()) => {}
                Err(Stays::Busy) => stays = stays.or(Some(head)),
                Err(Stays::NoFrame) => short = true,
            }
        }
        match stays {
            Some(pfn) => Err(PinError::Unmoved(pfn)),
            None if short && !tries.relieve(self) => Err(FaultError::OutOfFrames.into()),
            None => Ok(()),
        }
    }
}
