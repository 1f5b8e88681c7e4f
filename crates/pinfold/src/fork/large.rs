//! Fork of the pages of large folios that entries map: a run of them at a time.
//!
//! Protocol: as in the module above, both tables are locked. The pages of a folio differ for the
//! rule by their marks alone, which the lock protects, so it is asked twice for a run: about a page
//! with the mark, and about one without. The references and mappings of a run are counted in one
//! step, before the child has the first entry.
//!
//! An entry loses write permission by one atomic change, as the hardware may be setting bits in it;
//! where it has none left to set, by a store ([`Slot::revoke_write_seen`]). The flush orders either
//! before what CPUs find afterwards, as [`Platform`] asks of it.

use core::ops::Range;

use crate::addr::{Pfn, SpaceId, Vpn, each_page};
use crate::event::EventKind;
use crate::frame::Large;
use crate::platform::Platform;
use crate::pte::Pte;
use crate::rules::fork::{ForkVerdict, PinHistory, WriteProtect, fork_page, race_guard};
use crate::rules::{Exclusive, ForkPin, PageKind, PageState, Why};
use crate::space::Space;
use crate::table::{Cursor, Slot};

/// A table of the parent's and the child's for the same pages, both locked.
pub(super) struct Sharing<'c, 'm, P: Platform> {
    pub(super) parent: &'c Space<P>,
    pub(super) child: SpaceId,
    pub(super) from: &'c Cursor<'m, P>,
    pub(super) to: &'c Cursor<'m, P>,
    pub(super) history: PinHistory,
}

/// What was shared.
pub(super) struct SharedRun {
    /// How many pages.
    pub(super) pages: u64,
    /// Whether an entry of the parent lost write permission.
    pub(super) protected: bool,
}

/// What the rule says of the pages of a folio.
#[derive(Clone, Copy)]
struct Verdicts {
    marked: ForkVerdict,
    unmarked: ForkVerdict,
}

impl Verdicts {
    #[inline]
    fn of(rule: ForkPin, history: PinHistory, state: &PageState) -> Self {
        let of =
            |mark| fork_page(rule, history, &PageState { kind: PageKind::Anon(mark), ..*state });
        Self { marked: of(Exclusive::Marked), unmarked: of(Exclusive::Unmarked) }
    }

    #[inline]
    fn about(self, mark: Exclusive) -> ForkVerdict {
        match mark {
            Exclusive::Marked => self.marked,
            Exclusive::Unmarked => self.unmarked,
        }
    }

    /// Whether a page is shared, and why.
    #[inline]
    fn shares(self, mark: Exclusive) -> (bool, Why) {
        match self.about(mark) {
            ForkVerdict::Share(why) => (true, why),
            ForkVerdict::CopyForChild(why) => (false, why),
        }
    }
}

impl<P: Platform> Sharing<'_, '_, P> {
    /// Shares a run of the pages of a large folio, up to one that another entry follows, or that
    /// fork does not share. The first one's entry is `pte`.
    ///
    /// # Errors
    /// Why fork does not share the first one.
    #[inline(never)]
    pub(super) fn run(&self, pages: Range<Vpn>, pte: Pte<P::Format>) -> Result<SharedRun, Why> {
        let (mem, first) = (self.parent.mem(), pte.pfn());
        let folio = mem.frames().large_with(first);
        let state = mem.large_state(first, folio);
        let verdicts = Verdicts::of(mem.rule(), self.history, &state);
        let mark = state.kind.mark();
        let (shared, why) = verdicts.shares(mark);
        if !shared {
            return Err(why);
        }
        let run = self.length(pages.clone(), folio, first, verdicts);
        let heads = if first == folio.head() { mark } else { Exclusive::Unmarked };
        mem.get_maps(folio, (first, run as u32), heads, self.child);
        let marks = folio.take_marks((first, run as u32), heads, mem.large_maps(), mem.rule());
        let protected = self.share(pages.start..pages.start + run, pte, marks, verdicts);
        Ok(SharedRun { pages: run, protected })
    }

    /// How many pages of the folio, from `first` on, may be shared with it.
    #[inline]
    fn length(&self, pages: Range<Vpn>, folio: Large<'_>, first: Pfn, verdicts: Verdicts) -> u64 {
        // 5.9 takes write permission from each page before it looks at it.
        if race_guard(self.parent.mem().rule()).protect == WriteProtect::BeforeCheck {
            return 1;
        }
        let left = folio.head().0 + folio.pages() - first.0;
        let end = pages.end.min(pages.start + left);
        // Marks decide nothing where no page can be pinned.
        let alike = verdicts.shares(Exclusive::Marked).0 && verdicts.shares(Exclusive::Unmarked).0;
        let follows = |(slot, pfn): &(Slot<'_, P::Format>, Pfn)| {
            slot.get().maps_counted(*pfn) && (alike || verdicts.shares(folio.mark(*pfn)).0)
        };
        let rest = self.from.slots(pages.start + 1..end).zip((first.0 + 1..).map(Pfn));
        1 + rest.take_while(follows).count() as u64
    }

    /// Takes write permission from a run, of whose pages the marks are taken off, and gives the
    /// child entries like the parent's; whether one lost write permission. The first entry is
    /// `pte`.
    #[inline]
    fn share(
        &self,
        run: Range<Vpn>,
        pte: Pte<P::Format>,
        marks: impl Iterator<Item = (Pfn, Exclusive)>,
        verdicts: Verdicts,
    ) -> bool {
        let mem = self.parent.mem();
        let (mut first, mut protected) = (Some(pte), false);
        let slots = self.from.slots(run.clone()).zip(self.to.slots(run.clone()));
        for ((page, (pfn, mark)), (from, to)) in each_page(run).zip(marks).zip(slots) {
            let pte = first.take().unwrap_or_else(|| from.get());
            let (_, why) = verdicts.shares(mark);
            mem.tell(self.parent.id(), page, EventKind::ForkShared { pfn, why });
            if pte.is_writable() {
                protected = true;
                from.revoke_write_seen(pte);
                mem.tell(self.parent.id(), page, EventKind::ForkProtected(pfn));
            }
            to.set(pte.read_only().old().unlocked());
        }
        protected
    }
}

#[cfg(test)]
mod tests;
