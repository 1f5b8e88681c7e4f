//! The lock-free path: GUP-fast (facts 3.5). It sees entries, not areas; what depends on the area
//! is left to the slow path.

use core::ops::Range;

use super::ask::{Ask, Path};
use super::guard::Held;
use crate::addr::{VirtRange, Vpn, each_page};
use crate::event::{EventKind, FastStop};
use crate::frame::{Grab, Holds};
use crate::platform::{Platform, WalkSection};
use crate::pte::{Format, Match, Pte};
use crate::rules::fork::{SeqCountUse, race_guard};
use crate::rules::pin::{Access, Hold, Request, Walk, entry_access, must_unshare, rechecks_entry};
use crate::space::Space;
use crate::sync::smp_rmb;
use crate::table::{Leaf, table_end};

/// What a walk requires of each entry; fixed for the whole walk.
struct Wish {
    holds: Holds,
    /// The access that the entry must allow, and how an entry shows that it does.
    entry: Access,
    fits: Match,
    request: Request,
    walk: Walk,
    rechecks: bool,
}

impl<P: Platform> Space<P> {
    /// Takes pages from the start of the range until one needs the slow path.
    pub(super) fn hold_fast(&self, range: VirtRange, ask: Ask, held: &mut Held<P>) {
        let before = held.pages().len();
        self.unless_forked(range.first_page(), before, held, |held| {
            self.walk_fast(range, &self.wish(ask, held.holds()), held);
        });
    }

    /// As [`Space::hold_fast`], for a single page that `held`, which is empty, has room for.
    #[inline]
    pub(super) fn hold_fast_page(&self, page: Vpn, ask: Ask, held: &mut Held<P>) {
        self.unless_forked(page, 0, held, |held| {
            let Some(leaf) = self.tables().leaf(page) else {
                return self.stopped(page, FastStop::Absent);
            };
            if let Err(why) = self.take_fast(leaf, page, &self.wish(ask, held.holds()), held) {
                self.stopped(page, why);
            }
        });
    }

    /// Runs a walk in its section. What it pinned while fork ran is given back, all but the first
    /// `before` pages.
    #[inline]
    fn unless_forked(
        &self,
        first: Vpn,
        before: usize,
        held: &mut Held<P>,
        walk: impl FnOnce(&mut Held<P>),
    ) {
        let counts_forks = held.holds().kind() == Hold::Pin
            && race_guard(self.mem().rule()).seqcount != SeqCountUse::Unused;
        let seq = if counts_forks {
            let Some(seq) = self.protect_seq.read() else {
                return self.stopped(first, FastStop::ForkRunning);
            };
            Some(seq)
        } else {
            None
        };
        let section = WalkSection::open(self.mem().platform());
        walk(held);
        drop(section);
        if seq.is_some_and(|seq| self.protect_seq.changed_since(seq)) {
            held.release_from(before);
            self.stopped(first, FastStop::ForkRan);
        }
    }

    /// What a request requires of each entry.
    #[inline]
    fn wish(&self, ask: Ask, holds: Holds) -> Wish {
        let walk = if ask.path == Path::FastOnly { Walk::FastOnly } else { Walk::Fast };
        let entry = entry_access(self.mem().rule(), ask.access, walk);
        Wish {
            holds,
            entry,
            fits: match entry {
                Access::Write => P::Format::WRITABLE,
                Access::Read => P::Format::READABLE,
            },
            request: Request { hold: holds.kind(), access: ask.access, term: ask.term },
            walk,
            rechecks: rechecks_entry(self.mem().rule()),
        }
    }

    fn stopped(&self, page: Vpn, why: FastStop) {
        self.mem().tell(self.id(), page, EventKind::FastStop(why));
    }

    fn walk_fast(&self, range: VirtRange, wish: &Wish, held: &mut Held<P>) {
        let mut page = range.first_page();
        while page < range.end_page() {
            let Some(leaf) = self.tables().leaf(page) else {
                return self.stopped(page, FastStop::Absent);
            };
            let end = table_end::<P::Format>(page).min(range.end_page());
            if let Err((at, why)) = self.take_run(leaf, page..end, wish, held) {
                return self.stopped(at, why);
            }
            page = end;
        }
    }

    /// Takes pages of one table. A separate function, as the loop needs every register.
    #[inline(never)]
    fn take_run(
        &self,
        leaf: Leaf<'_, P>,
        pages: Range<Vpn>,
        wish: &Wish,
        held: &mut Held<P>,
    ) -> Result<(), (Vpn, FastStop)> {
        for page in each_page(pages) {
            self.take_fast(leaf, page, wish, held).map_err(|why| (page, why))?;
        }
        Ok(())
    }

    /// Takes one page. Part of each of its callers, two as they are: the loop needs it there.
    #[inline(always)]
    fn take_fast(
        &self,
        leaf: Leaf<'_, P>,
        page: Vpn,
        wish: &Wish,
        held: &mut Held<P>,
    ) -> Result<(), FastStop> {
        let mem = self.mem();
        let pte = leaf.read(page);
        if !pte.fits(wish.fits) {
            return Err(unfit(pte, wish));
        }
        let pfn = pte.present_pfn();
        mem.tell(self.id(), page, EventKind::FastLook(pfn));
        match mem.frames().try_grab(pfn, &wish.holds) {
            Grab::Taken(_) => held.push(pfn),
            Grab::Gone => return Err(FastStop::FrameGone),
            Grab::Overflow => return Err(FastStop::Overflow),
        }
        if let Err(why) = self.still_good(leaf, page, pte, wish) {
            held.release_last();
            return Err(why);
        }
        mem.tell(self.id(), page, EventKind::FastTaken(pfn));
        Ok(())
    }

    /// The second look, after the reference: INV-PIN-1, INV-PIN-2.
    #[inline(always)]
    fn still_good(
        &self,
        leaf: Leaf<'_, P>,
        page: Vpn,
        pte: Pte<P::Format>,
        wish: &Wish,
    ) -> Result<(), FastStop> {
        if wish.rechecks && (leaf.read(page) != pte || !leaf.still_linked()) {
            return Err(FastStop::EntryChanged);
        }
        if !pte.is_writable() && wish.request.access == Access::Read {
            smp_rmb();
            let rule = self.mem().rule();
            let unshare = self.mem().judge_page(pte.present_pfn(), |state| {
                must_unshare(rule, wish.request, wish.walk, state).is_yes()
            });
            if unshare {
                return Err(FastStop::MustUnshare);
            }
        }
        Ok(())
    }
}

/// Why an entry does not match a wish.
#[cold]
fn unfit<F: Format>(pte: Pte<F>, wish: &Wish) -> FastStop {
    if pte.is_protnone() {
        FastStop::ProtNone
    } else if !pte.is_present() {
        FastStop::Absent
    } else if wish.entry == Access::Write && !pte.is_writable() {
        FastStop::ReadOnly
    } else {
        FastStop::Special
    }
}
