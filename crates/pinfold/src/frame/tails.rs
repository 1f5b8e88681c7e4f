//! References on the pages of large folios: where they are counted, and what a split makes of them
//! (facts 5.1 to 5.4).
//!
//! | rule `tail-refs` | a reference on a tail | of one who knows its number alone | a split |
//! | --- | --- | --- | --- |
//! | `tail-and-head` | one of the tail, one of the head | on the tail, if it has any | gives it to the page, off the head |
//! | `tail-mapcount-first`, `tail-mapcount` | in place of the tail's mappings, one of the head | refused | the same |
//! | `head-compared` | one of the head | one of the head | fails if it reads one |
//! | `head-frozen` | one of the head | one of the head | fails if there is one |
//!
//! A reference on the head is one of the head, and stays there. So is that of an entry: what counts
//! is that it maps a page of the folio. In the releases that counted on tails an entry mapped the
//! folio as a whole, and splitting that entry and the folio was one; here each entry maps one page
//! and has one reference, which becomes one of the page ([`Large::keep_refs`]) when the entry is
//! taken out, and goes. A pin is as many references as on a small page under the rules that count
//! on tails, which are older than pins: it goes on with its page, as one of a small page.
//!
//! Protocol of the rules that count on tails, under which a reference does not keep a folio from
//! being split. The *lock of tails* is a bit in the head's flags, held with interrupts off, and
//! below all other locks. The split holds it, after it has taken every entry out and has waited for
//! all walk sections that were open then: from a tail's count being moved to the tail being a page.
//! Who takes a reference on a tail
//! - under the lock of a table that maps it, counts without another lock: the split takes that lock
//!   to take the entry out, before;
//! - in a walk section, through an entry, takes the head's first, if it has any, looks if the page
//!   is still its tail, and counts: the split waits for the section;
//! - through one that he has, takes one of the head, if it has any, then the lock, and looks if the
//!   page is still its tail. If not, it is a page of its own.
//!
//! Who drops one does the last. What the older rules leave out of this is said by
//! [`Again`](crate::rules::large::Again).
//!
//! Invariants:
//! - INV-TAIL-1: a head has at least the references that its tails count. Broken by
//!   `tail-and-head`: one who knows a number alone counts on the tail only, and one who takes
//!   another through his own counts on the tail and on the head in two steps.
//! - INV-TAIL-2: a tail's own references are zero, but under `tail-and-head`; so a frame that
//!   becomes a tail is not found by number before the split has made it a page.
//! - INV-TAIL-3: the lock of tails is taken by one who has a reference on its frame: a free frame's
//!   flags are reset. Broken by `tail-mapcount-first`.
//! - INV-TAIL-4: who finds a tail's flag before and after he has read the head's number has read
//!   one that was the head's: the split overwrites it after it has cleared the flag.
//! - INV-TAIL-5: who has no reference may read the head's number while a later life of the frame
//!   writes something else in its place, a link of the free lists first of all, and may even find
//!   the old flag beside that. So every store to a frame's index word is an atomic one, though the
//!   frame's owner alone stores there; the reader takes what he found for a frame's number at most,
//!   and looks again once he holds that frame ([`Frames::try_grab`]). A frame that is a link was
//!   free after this one had ceased to be a tail: who holds it finds that out.

use super::counts::{Counts, EXCLUSIVE, MAP, REF};
use super::flags::{Flags, TAILS_LOCK, order_of};
use super::frames::Frames;
use super::large::Large;
use super::meta::{Dropped, Frame, Grab, Miss, Put};
use super::pin::{Holds, MOST, PIN_BIAS};
use super::views::Folio;
use crate::addr::Pfn;
use crate::rules::large::{Again, Parting, Tally, again, parting, rechecks_head, tally};
use crate::rules::pin::Hold;
use crate::rules::{HeadRecheck, TailRefs};
use crate::sync::{Inside, Masks, SpinBit, SpinBitGuard, smp_mb_after_atomic};

/// Of a frame that is alive there is always room for one that is dropped again.
const ANY: u32 = u32::MAX;

/// What taking one more reference through another came to.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Taken {
    pub(crate) grab: Grab,
    /// As for [`Dropped`].
    pub(crate) meanwhile: Option<(Pfn, Put)>,
    /// The lock of tails was taken in this frame, to which nobody refers: INV-TAIL-3.
    pub(crate) freed: Option<Pfn>,
}

impl Taken {
    const fn of(grab: Grab) -> Self {
        Self { grab, meanwhile: None, freed: None }
    }
}

/// Where references went as a folio was split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parted {
    /// A tail has become a page, with so many that it has counted.
    Tail { tail: Pfn, refs: u32 },
    /// So many were taken off the head, which had that many.
    Head { head: Pfn, refs: u32, had: u32 },
}

/// A head that had too few references for its tails, as a folio was split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Short {
    /// The references of tails that it was to give away.
    pub(crate) refs: u32,
    /// Those that it had, one of them the split's.
    pub(crate) had: u32,
}

/// A reference on a tail, where the tail counts it.
const fn unit(tally: Tally) -> u64 {
    match tally {
        Tally::Head => 0,
        Tally::HeadAndTail => REF,
        Tally::HeadAndMapcount => MAP,
    }
}

/// How many references a tail counts.
const fn counted(tally: Tally, counts: Counts) -> u32 {
    match tally {
        Tally::Head => 0,
        Tally::HeadAndTail => counts.refs(),
        Tally::HeadAndMapcount => counts.maps(),
    }
}

impl Frame {
    fn lock_tails(&self) -> Inside<SpinBitGuard<'_>> {
        let lock = SpinBit::new(&self.flags, TAILS_LOCK);
        Inside::lock(Masks::Interrupts, || lock.lock())
    }

    /// Whether this is still a tail of that head, who cannot be split or freed meanwhile.
    fn is_tail_of(&self, head: Pfn) -> bool {
        let tail = self.flags.load_acquire() & Flags::TAIL.bits() != 0;
        tail && self.index.read_once() == head.0
    }

    /// Takes off what a tail counts; whether there was as much.
    fn take_counted(&self, refs: u32, tally: Tally) -> bool {
        let (unit, many) = (unit(tally), u64::from(refs));
        let enough = counted(tally, Counts(self.counts.fetch_sub(many * unit))) >= refs;
        if !enough {
            self.counts.add(many * unit);
        }
        enough
    }
}

impl Frames {
    /// The head of a tail, if the frame is one now: INV-TAIL-4. Nothing keeps it so.
    pub(super) fn tail_of(&self, pfn: Pfn) -> Option<(Pfn, &Frame)> {
        self.try_folio(pfn).filter(|(head, _)| *head != pfn)
    }

    /// Adds references to a page that an entry maps whose table is locked, or that is not part of
    /// a large folio.
    #[inline]
    pub(crate) fn get(&self, pfn: Pfn, refs: u32, rule: impl FnOnce() -> TailRefs) {
        let frame = self.frame(pfn);
        if frame.is_large() {
            return self.get_large(pfn, refs, rule());
        }
        frame.counts.add(u64::from(refs) * REF);
    }

    #[inline(never)]
    fn get_large(&self, pfn: Pfn, refs: u32, rule: TailRefs) {
        let (frame, refs) = (self.frame(pfn), u64::from(refs));
        match tally(rule) {
            Tally::Head => self.folio(pfn).get(refs as u32),
            Tally::HeadAndTail => {
                frame.counts.add(refs * REF);
                if let Some(head) = frame.head() {
                    self.frame(head).counts.add(refs * REF);
                }
            }
            Tally::HeadAndMapcount => match frame.head() {
                Some(head) => {
                    self.frame(head).counts.add(refs * REF);
                    frame.counts.add(refs * MAP);
                }
                None => frame.counts.add(refs * REF),
            },
        }
    }

    /// Takes holds of a page of a large folio under the lock of a table that maps it.
    #[inline(never)]
    pub(super) fn grab_large(&self, pfn: Pfn, holds: Holds, rule: TailRefs) -> Grab {
        let (folio, tally) = (self.folio(pfn), tally(rule));
        let room = if tally == Tally::Head { holds.room_of_large() } else { holds.room() };
        if !folio.counts_as(|counts| counts.may_gain(room)) {
            return Grab::Overflow;
        }
        match tally {
            Tally::Head => {
                folio.get(holds.times());
                if holds.kind() == Hold::Pin {
                    folio.pin(holds.times());
                }
            }
            Tally::HeadAndTail | Tally::HeadAndMapcount => self.get_large(pfn, holds.refs(), rule),
        }
        Grab::Taken(folio.head())
    }

    /// Takes holds of each page of a run of a large folio without a lock, in a walk section, in one
    /// step on the head. The run may turn out to end past the folio; the caller looks at the
    /// entries again.
    ///
    /// # Errors
    /// Why there are none to be had.
    #[inline(never)]
    pub(crate) fn try_grab_run(
        &self,
        run: (Pfn, u32),
        holds: Holds,
        recheck: HeadRecheck,
        rule: TailRefs,
    ) -> Result<Pfn, Miss> {
        match tally(rule) {
            Tally::Head => self.try_grab_head(run, holds, recheck),
            tally @ (Tally::HeadAndTail | Tally::HeadAndMapcount) => {
                self.try_grab_tails(run, holds, tally)
            }
        }
    }

    /// By the rules that count on the head alone.
    pub(super) fn try_grab_head(
        &self,
        (first, pages): (Pfn, u32),
        holds: Holds,
        rule: HeadRecheck,
    ) -> Result<Pfn, Miss> {
        let (head, frame) = self.try_folio(first).ok_or(Miss::Gone)?;
        let refs = holds.times().saturating_mul(pages);
        frame.try_gain(refs, MOST.saturating_sub(refs - 1))?;
        let again =
            || self.try_folio(first).is_some_and(|(now, _)| now == head) && frame.is_large();
        let rechecks = rechecks_head(rule);
        if rechecks && !again() {
            self.drop_unused(head, refs);
            return Err(Miss::Gone);
        }
        if holds.kind() == Hold::Pin {
            if rechecks || frame.is_large() {
                frame.spare.add(refs);
            } else {
                // Who trusts the first look may have a small page by now, which counts pins among
                // its references.
                frame.counts.add(u64::from(refs) * u64::from(PIN_BIAS - 1));
            }
        }
        smp_mb_after_atomic();
        Ok(head)
    }

    /// By the rules that count on tails, too. A tail's count may be touched while the folio lives
    /// only, so the head is looked at again whatever the rule `head-recheck` says.
    fn try_grab_tails(
        &self,
        (first, pages): (Pfn, u32),
        holds: Holds,
        tally: Tally,
    ) -> Result<Pfn, Miss> {
        let (head, frame) = self.tail_of(first).unwrap_or_else(|| (first, self.frame(first)));
        let refs = holds.refs().saturating_mul(pages);
        frame.try_gain(refs, MOST.saturating_sub(refs - 1))?;
        let now = self.tail_of(first).map_or(first, |(now, _)| now);
        let flags = frame.flags.read_once();
        let whole = now == head && flags & Flags::HEAD.bits() != 0;
        if !whole || first.0 + u64::from(pages) > head.0 + (1 << order_of(flags)) {
            self.drop_unused(head, refs);
            return Err(Miss::Gone);
        }
        let each = u64::from(holds.refs()) * unit(tally);
        let run = (first.0..first.0 + u64::from(pages)).map(Pfn);
        run.filter(|pfn| *pfn != head).for_each(|pfn| self.frame(pfn).counts.add(each));
        smp_mb_after_atomic();
        Ok(head)
    }

    /// Takes a reference on a page by its number alone: by the rules that count on tails the page's
    /// own, whatever it is part of.
    pub(crate) fn try_reference(&self, pfn: Pfn, rule: impl FnOnce() -> TailRefs) -> Grab {
        let (frame, one) = (self.frame(pfn), Holds::of(Hold::Get, 1));
        let again = || HeadRecheck::Again;
        if !frame.is_large() {
            return self.try_grab(pfn, one, again);
        }
        match tally(rule()) {
            Tally::Head => self.try_grab(pfn, one, again),
            Tally::HeadAndTail | Tally::HeadAndMapcount => match frame.try_gain(1, MOST) {
                Ok(()) => Grab::Taken(pfn),
                Err(Miss::Overflow) => Grab::Overflow,
                Err(Miss::Gone | Miss::Large) => Grab::Gone,
            },
        }
    }

    /// Takes one more reference on a page through one that the caller has: the kernel's get_page.
    pub(crate) fn get_again(&self, pfn: Pfn, rule: impl FnOnce() -> TailRefs) -> Taken {
        let frame = self.frame(pfn);
        if !frame.is_large() {
            return self.get_own(pfn);
        }
        let rule = rule();
        match again(rule) {
            Again::OfHead => self.get_own(self.head_of(pfn)),
            Again::InTwoSteps => {
                if !Counts(frame.counts.read_once()).may_gain(MOST) {
                    return Taken::of(Grab::Overflow);
                }
                self.get_large(pfn, 1, rule);
                Taken::of(Grab::Taken(pfn))
            }
            Again::UnderLock => {
                let Some((head, first)) = self.tail_of(pfn) else { return self.get_own(pfn) };
                let locked = first.lock_tails();
                let dead = Counts(first.counts.read_once()).refs() == 0;
                let tail = frame.is_tail_of(head);
                if tail {
                    self.get_large(pfn, 1, rule);
                }
                drop(locked);
                let taken = if tail { Taken::of(Grab::Taken(head)) } else { self.get_own(pfn) };
                Taken { freed: dead.then_some(head), ..taken }
            }
            Again::LiveHeadUnderLock => self.get_tail_again(pfn),
        }
    }

    /// One more reference on a frame that is alive. The step that counts it looks at the count: a
    /// read before may be of when the page had no references of its own, as its folio was not split
    /// yet.
    fn get_own(&self, pfn: Pfn) -> Taken {
        let counts = &self.frame(pfn).counts;
        if Counts(counts.fetch_add(REF)).may_gain(MOST) {
            return Taken::of(Grab::Taken(pfn));
        }
        counts.fetch_sub(REF);
        Taken::of(Grab::Overflow)
    }

    fn get_tail_again(&self, pfn: Pfn) -> Taken {
        let Some((head, first)) = self.tail_of(pfn) else { return self.get_own(pfn) };
        match first.try_gain(1, MOST) {
            Ok(()) => {}
            // Split, and what was its head is free.
            Err(Miss::Gone | Miss::Large) => return self.get_own(pfn),
            Err(Miss::Overflow) => return Taken::of(Grab::Overflow),
        }
        let locked = first.lock_tails();
        if self.frame(pfn).is_tail_of(head) {
            self.frame(pfn).counts.add(MAP);
            drop(locked);
            return Taken::of(Grab::Taken(head));
        }
        drop(locked);
        Taken { meanwhile: Some((head, first.put(1))), ..self.get_own(pfn) }
    }

    /// What counts a reference on a page that somebody drops, by the rules that count on the head
    /// alone. Where a split only compares, one may be under way, reference or not.
    fn counting(&self, pfn: Pfn, rule: TailRefs) -> Folio<'_> {
        match parting(rule) {
            Parting::Compared => match self.try_folio(pfn) {
                Some((head, frame)) => Folio::of(head, frame),
                None => Folio::of(pfn, self.frame(pfn)),
            },
            Parting::Frozen | Parting::Shared => self.folio(pfn),
        }
    }

    /// Drops references on a page of a large folio.
    #[inline(never)]
    pub(crate) fn put_large(&self, pfn: Pfn, refs: u32, rule: TailRefs) -> Dropped {
        match tally(rule) {
            Tally::Head => {
                let folio = self.counting(pfn, rule);
                Dropped::of(folio.head(), folio.put(refs))
            }
            tally @ (Tally::HeadAndTail | Tally::HeadAndMapcount) => {
                self.put_tail(pfn, refs, tally)
            }
        }
    }

    /// Drops holds of a page of a large folio.
    #[inline(never)]
    pub(crate) fn ungrab_large(&self, pfn: Pfn, holds: Holds, rule: TailRefs) -> Dropped {
        match tally(rule) {
            Tally::Head => {
                let (head, put) = self.ungrab_run((pfn, 1), holds, rule);
                Dropped::of(head, put)
            }
            tally @ (Tally::HeadAndTail | Tally::HeadAndMapcount) => {
                self.put_tail(pfn, holds.refs(), tally)
            }
        }
    }

    /// Drops holds of each page of a run of a large folio in one step, by the rules that count on
    /// the head alone.
    #[inline(never)]
    pub(crate) fn ungrab_run(
        &self,
        (first, pages): (Pfn, u32),
        holds: Holds,
        rule: TailRefs,
    ) -> (Pfn, Put) {
        let (folio, refs) = (self.counting(first, rule), holds.times() * pages);
        if holds.kind() == Hold::Pin {
            folio.unpin(refs);
        }
        (folio.head(), folio.put(refs))
    }

    fn put_tail(&self, pfn: Pfn, refs: u32, tally: Tally) -> Dropped {
        let frame = self.frame(pfn);
        let own = || Dropped::of(pfn, frame.put(refs));
        let Some((head, first)) = self.tail_of(pfn) else { return own() };
        if first.try_gain(1, ANY).is_err() {
            return own();
        }
        let locked = first.lock_tails();
        if !frame.is_tail_of(head) {
            drop(locked);
            return Dropped { meanwhile: Some((head, first.put(1))), ..own() };
        }
        // What is dropped keeps the folio, too, so this one is not the last.
        let short = first.put(1) != Put::Held || !frame.take_counted(refs, tally);
        drop(locked);
        Dropped::of(head, if short { Put::Underflow } else { first.put(refs) })
    }
}

impl Large<'_> {
    /// A tail that counts references, of a folio that has none any more.
    pub(crate) fn left_on_tail(self, rule: TailRefs) -> Option<Pfn> {
        let tally = tally(rule);
        if tally == Tally::Head {
            return None;
        }
        let counts = |pfn: Pfn| Counts(self.word(pfn).read_once());
        self.pfns().skip(1).find(|pfn| counted(tally, counts(*pfn)) != 0)
    }

    /// Entries of a run of pages are being taken out, whose table is locked: their references
    /// become references on the pages.
    #[inline]
    pub(crate) fn keep_refs(self, (first, pages): (Pfn, u32), rule: TailRefs) {
        let unit = unit(tally(rule));
        if unit != 0 {
            let run = (first.0..first.0 + u64::from(pages)).map(Pfn);
            run.filter(|pfn| *pfn != self.head()).for_each(|pfn| self.word(pfn).add(unit));
        }
    }

    /// Makes each frame a page of its own, with the references that are counted for it and one
    /// more, the split's, and tells where they go. The caller has the locks of all frames and a
    /// reference, nothing maps a page, and nobody finds the folio in a queue.
    ///
    /// # Errors
    /// What the head was to give, if it had no more than that: then it keeps too many (INV-TAIL-1).
    pub(crate) fn part(self, rule: TailRefs, mut told: impl FnMut(Parted)) -> Result<(), Short> {
        let (tally, head) = (tally(rule), self.frame(0));
        let locked = (tally != Tally::Head).then(|| head.lock_tails());
        let (mut moved, mut enough) = (0, Ok(()));
        for place in (1..self.pages() as usize).rev() {
            let tail = self.frame(place);
            tail.counts.and(!EXCLUSIVE);
            let refs = counted(tally, Counts(tail.counts.read_once()));
            if refs > 0 {
                told(Parted::Tail { tail: Pfn(self.head().0 + place as u64), refs });
            }
            // Added, never set: who knows the number alone may be at it.
            match tally {
                Tally::Head => tail.counts.add(REF),
                Tally::HeadAndTail => {
                    enough = enough.and(self.take_off_head(refs, &mut told));
                    tail.counts.add(REF);
                }
                Tally::HeadAndMapcount => {
                    let own = (u64::from(refs) + 1) * REF;
                    tail.counts.add(own.wrapping_sub(u64::from(refs) * MAP));
                    moved += refs;
                }
            }
            self.end_tail(place);
        }
        enough = enough.and(self.take_off_head(moved, &mut told));
        head.counts.and(!EXCLUSIVE);
        self.end_head();
        drop(locked);
        enough
    }

    /// Takes references off the head, which has at least one more; gives them back if it has not.
    fn take_off_head(self, refs: u32, told: &mut impl FnMut(Parted)) -> Result<(), Short> {
        let counts = &self.frame(0).counts;
        let had = Counts(counts.fetch_sub(u64::from(refs) * REF)).refs();
        if refs > 0 {
            told(Parted::Head { head: self.head(), refs, had });
        }
        if had > refs {
            return Ok(());
        }
        counts.add(u64::from(refs) * REF);
        Err(Short { refs, had })
    }
}
