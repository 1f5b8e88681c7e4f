//! Entries that are taken out in order to be replaced by others that are absent, for a page whose
//! lock is held: what migration, splits and reclaim have in common (facts 3.5, 4.5, 7.2).
//!
//! Protocol: under the lock of its table an entry is withdrawn, and flushed at once or noted for a
//! flush that a batch has in common. Then the mark of its page is taken, unless the page may be
//! pinned and something is to remember the mark: then the entry goes back as it was.

use crate::addr::{Mm, Pfn, Vpn};
use crate::frame::Counts;
use crate::memory::Memory;
use crate::platform::{Invalidate, Platform};
use crate::pte::{Format, Pte};
use crate::rules::Exclusive;
use crate::rules::migrate::brings_barriers;
use crate::sync::smp_mb_after_atomic;
use crate::table::{Cursor, Flushed, Next, Part, Withdrawn};
use crate::tlb::DeferredFlush;

/// When an entry that is taken out is flushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flush {
    /// At once.
    Now,
    /// Later, for a batch.
    Deferred,
}

/// An entry that was taken out.
pub(crate) enum Gone<F: Format> {
    /// Every CPU has forgotten it.
    Flushed(Flushed<F>),
    /// The flush comes later, for a batch.
    Cached(Withdrawn<F>),
}

impl<F: Format> Gone<F> {
    /// The entry.
    pub(crate) fn pte(&self) -> Pte<F> {
        match self {
            Self::Flushed(flushed) => flushed.pte(),
            Self::Cached(old) => old.pte(),
        }
    }

    /// Puts it back as it was.
    pub(crate) fn put_back<P: Platform<Format = F>>(self, cursor: &Cursor<'_, P>) {
        match self {
            Self::Flushed(flushed) => cursor.put_back(flushed),
            Self::Cached(old) => cursor.reinstate(old),
        }
    }
}

/// Whether what replaces an entry remembers the mark of its page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Remembers {
    /// It does.
    Mark,
    /// It does not.
    Nothing,
}

impl Remembers {
    /// As a rule says.
    pub(crate) const fn by(remembers: bool) -> Self {
        if remembers { Self::Mark } else { Self::Nothing }
    }
}

/// What has become of the mark of a page whose entry is out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mark {
    /// It was set and is cleared; what replaces the entry remembers it.
    Remembered,
    /// It is not set, and nothing remembers it.
    None,
    /// The page may be pinned, and keeps it.
    Kept,
}

impl<P: Platform> Memory<P> {
    /// Shows `take` each entry of a small page, whose lock is held, under its table's lock, up to
    /// one that it refuses; but for those that count as locked, which are about to keep the page
    /// here.
    pub(crate) fn take_entries<E>(
        &self,
        pfn: Pfn,
        mut take: impl FnMut((Mm, Vpn), &Cursor<'_, P>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.walk_folio((pfn, 1), |mm, run, part| {
            let Part::Table(leaf) = part else { return Ok(Next::On) };
            let page = run.pages.start;
            let _changing = self.changing(mm.id, page.alone(), Invalidate::Clear);
            let cursor = leaf.lock();
            let pte = cursor.get(page);
            if pte.maps_counted(pfn) && !pte.is_locked() {
                take((mm, page), &cursor)?;
            }
            Ok(Next::On)
        })
    }

    /// Takes an entry out.
    pub(crate) fn take_entry(
        &self,
        (mm, page): (Mm, Vpn),
        cursor: &Cursor<'_, P>,
        flush: Flush,
    ) -> Gone<P::Format> {
        match flush {
            Flush::Deferred => Gone::Cached(cursor.withdraw(page)),
            Flush::Now => Gone::Flushed(self.flush_withdrawn(mm.id, cursor.withdraw(page))),
        }
    }

    /// Puts `pte`, which is absent, in the place of an entry that was taken out.
    pub(crate) fn replace_gone(
        &self,
        gone: Gone<P::Format>,
        (mm, page): (Mm, Vpn),
        cursor: &Cursor<'_, P>,
        pte: Pte<P::Format>,
        deferred: &mut DeferredFlush,
    ) {
        match gone {
            Gone::Flushed(flushed) => cursor.publish(flushed, pte),
            Gone::Cached(old) => {
                deferred.note(self, mm, page);
                cursor.hold_place(old, pte);
            }
        }
    }

    /// Clears the mark of a page whose entry is out, if it has one; not, where something is to
    /// remember it, if the page may be pinned.
    #[inline]
    pub(crate) fn take_mark(&self, pfn: Pfn, remembers: Remembers) -> Mark {
        self.take_mark_by(pfn, remembers, |mark| {
            if mark == Exclusive::Marked {
                self.frames().page(pfn).clear_exclusive();
            }
        })
    }

    /// As [`Memory::take_mark`]; `clear` clears the mark, with what goes in the same step. It runs
    /// if the page has none, too, and not if the page keeps it.
    #[inline]
    pub(crate) fn take_mark_by(
        &self,
        pfn: Pfn,
        remembers: Remembers,
        clear: impl FnOnce(Exclusive),
    ) -> Mark {
        let marked = self.frames().counts_as(pfn, Counts::is_exclusive);
        match (marked, remembers) {
            (true, Remembers::Mark) => self.try_share(pfn, || clear(Exclusive::Marked)),
            (true, Remembers::Nothing) => {
                clear(Exclusive::Marked);
                Mark::None
            }
            (false, _) => {
                clear(Exclusive::Unmarked);
                Mark::None
            }
        }
    }

    /// Clears the exclusive mark of a page whose entry is out, unless it may be pinned (facts 3.5,
    /// A1 to A3). The entry was taken out by a full exchange, and for
    /// [`ShareOrder::Flush`](crate::rules::ShareOrder::Flush) the flush that followed is the only
    /// other thing that orders. Both barriers stand behind a read-modify-write: the exchange, and
    /// the one that clears the mark.
    fn try_share(&self, pfn: Pfn, clear: impl FnOnce()) -> Mark {
        let barriers = brings_barriers(self.rule());
        if barriers {
            smp_mb_after_atomic();
        }
        if self.maybe_pinned(pfn) {
            return Mark::Kept;
        }
        clear();
        if barriers {
            smp_mb_after_atomic();
        }
        Mark::Remembered
    }
}
