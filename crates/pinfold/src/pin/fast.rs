//! The lock-free path: GUP-fast (facts 3.5). It sees entries, not areas; what depends on the area
//! is left to the slow path.

use core::ops::Range;

use super::ask::{Ask, Path};
use super::guard::Held;
use crate::addr::{Pfn, VirtRange, Vpn, each_page};
use crate::event::{EventKind, FastStop};
use crate::frame::{Flags, Grip, Holds, Miss};
use crate::memory::Memory;
use crate::platform::{Platform, WalkSection};
use crate::pte::{Format, Match, Pte};
use crate::rules::fork::{SeqCountUse, race_guard};
use crate::rules::pin::{
    Access, Hold, Request, Walk, entry_access, must_unshare, rechecks_entry, rechecks_table,
    refuses_tracked,
};
use crate::space::Space;
use crate::sync::smp_rmb;
use crate::table::{Leaf, table_end};

/// What a walk requires of each entry; fixed for the whole walk.
pub(super) struct Wish {
    pub(super) grip: Grip,
    /// The access that the entry must allow, and how an entry shows that it does.
    pub(super) entry: Access,
    pub(super) fits: Match,
    request: Request,
    walk: Walk,
    pub(super) rechecks: bool,
    /// Whether the entry is read again, too, by which the table was found.
    rechecks_table: bool,
    /// Whether pages of files whose writes are tracked are refused.
    untracked: bool,
    /// Whether pages are that lie in memory which is set apart for what can move.
    settles: bool,
}

impl<P: Platform> Space<P> {
    /// Takes pages from the start of the range until one needs the slow path.
    pub(super) fn hold_fast(&self, range: VirtRange, ask: Ask, held: &mut Held<P>) {
        let (before, wish) = (held.pages().len(), self.wish(ask, held.holds()));
        if let Err(why) = self.unless_forked(held.holds(), || self.walk_fast(range, &wish, held)) {
            held.release_from(before);
            self.stopped(range.first_page(), why);
        }
    }

    /// A single page, if it does not need the slow path. The most frequent request: what it finds
    /// out stays in registers, and it has no guard. A platform that unwinds out of its section, or
    /// out of an event, loses the hold.
    #[inline(always)]
    pub(super) fn hold_fast_page(&self, page: Vpn, ask: Ask, holds: Holds) -> Option<Pfn> {
        let mut taken = None;
        let walk = || match self.take_fast_page(page, ask, holds) {
            Ok(pfn) => taken = Some(pfn),
            Err(why) => self.stopped(page, why),
        };
        match self.unless_forked(holds, walk) {
            Ok(()) => taken,
            Err(why) => {
                self.take_back(page, taken, holds, why);
                None
            }
        }
    }

    /// A page that fork came across, if the walk had taken it.
    #[cold]
    fn take_back(&self, page: Vpn, taken: Option<Pfn>, holds: Holds, why: FastStop) {
        if let Some(pfn) = taken {
            self.mem().give_back(pfn, holds);
        }
        self.stopped(page, why);
    }

    /// Runs a walk in its section.
    ///
    /// # Errors
    /// When fork runs, or has run meanwhile: the caller gives back what the walk took.
    #[inline]
    fn unless_forked(&self, holds: Holds, walk: impl FnOnce()) -> Result<(), FastStop> {
        let counts_forks = holds.kind() == Hold::Pin
            && race_guard(self.mem().rule()).seqcount != SeqCountUse::Unused;
        let seq = if counts_forks {
            Some(self.protect_seq.read().ok_or(FastStop::ForkRunning)?)
        } else {
            None
        };
        let section = WalkSection::open(self.mem().platform());
        walk();
        drop(section);
        if seq.is_some_and(|seq| self.protect_seq.changed_since(seq)) {
            return Err(FastStop::ForkRan);
        }
        Ok(())
    }

    /// What a request requires of each entry.
    #[inline]
    fn wish(&self, ask: Ask, holds: Holds) -> Wish {
        let walk = if ask.path == Path::FastOnly { Walk::FastOnly } else { Walk::Fast };
        let entry = entry_access(self.mem().rule(), ask.access, walk);
        let request = Request { hold: holds.kind(), access: ask.access, term: ask.term };
        Wish {
            grip: holds.grip(),
            entry,
            fits: match entry {
                Access::Write => P::Format::WRITABLE,
                Access::Read => P::Format::READABLE,
            },
            request,
            walk,
            untracked: refuses_tracked(self.mem().rule(), request),
            settles: self.mem().settles(request),
            rechecks: rechecks_entry(self.mem().rule()),
            rechecks_table: rechecks_table(self.mem().rule()),
        }
    }

    fn stopped(&self, page: Vpn, why: FastStop) {
        self.mem().tell(self.id(), page, EventKind::FastStop(why));
    }

    fn walk_fast(&self, range: VirtRange, wish: &Wish, held: &mut Held<P>) {
        let mut page = range.first_page();
        while page < range.end_page() {
            let Some(leaf) = self.tables().leaf_now(page) else {
                match self.take_huge(page..range.end_page(), wish) {
                    Ok((first, taken)) => {
                        held.push_run((first, taken));
                        page = page + taken;
                        continue;
                    }
                    Err(why) => return self.stopped(page, why),
                }
            };
            let end = table_end::<P::Format>(page).min(range.end_page());
            match self.take_run(leaf, page..end, wish, held) {
                Ok(()) => page = end,
                Err((at, None)) => match self.take_folio(leaf, at..end, wish, held) {
                    Ok(pages) => page = at + pages,
                    Err(why) => return self.stopped(at, why),
                },
                Err((at, Some(why))) => return self.stopped(at, why),
            }
        }
    }

    /// Takes pages of one table, up to one of a large folio. A separate function, as the loop needs
    /// every register.
    #[inline(never)]
    fn take_run(
        &self,
        leaf: Leaf<'_, P>,
        pages: Range<Vpn>,
        wish: &Wish,
        held: &mut Held<P>,
    ) -> Result<(), (Vpn, Short)> {
        let mem = self.mem();
        for page in each_page(pages) {
            let taken = self.take_fast(mem, (leaf, page), wish);
            held.push(taken.map_err(|why| (page, why))?);
        }
        Ok(())
    }

    /// Takes a page that is walked to alone.
    #[inline(always)]
    fn take_fast_page(&self, page: Vpn, ask: Ask, holds: Holds) -> Result<Pfn, FastStop> {
        let Some(leaf) = self.tables().leaf_now(page) else {
            return self.take_huge_alone(page, ask, holds);
        };
        // Nobody else is given the wish: it stays in registers.
        match self.take_fast(self.mem(), (leaf, page), &self.wish(ask, holds)) {
            Ok(pfn) => Ok(pfn),
            Err(Some(why)) => Err(why),
            Err(None) => self.take_folio_alone(page, ask, holds),
        }
    }

    /// Takes one page, if it is not part of a large folio. Part of each of its callers, two as they
    /// are: the loop needs it there.
    #[inline(always)]
    fn take_fast(
        &self,
        mem: &Memory<P>,
        (leaf, page): (Leaf<'_, P>, Vpn),
        wish: &Wish,
    ) -> Result<Pfn, Short> {
        let pte = leaf.read(page);
        if !pte.fits(wish.fits) {
            return Err(Some(unfit(pte, wish.entry)));
        }
        let pfn = pte.present_pfn();
        mem.tell(self.id(), page, EventKind::FastLook(pfn));
        match mem.frames().try_grab_small(pfn, &wish.grip, || mem.rule()) {
            Ok(()) => {}
            Err(Miss::Large) => return Err(None),
            Err(Miss::Gone) => return Err(Some(FastStop::FrameGone)),
            Err(Miss::Overflow) => return Err(Some(FastStop::Overflow)),
        }
        if let Err(why) = still_good(mem, (leaf, page), pte, wish) {
            mem.give_back(pfn, wish.grip.holds);
            return Err(Some(why));
        }
        mem.tell(self.id(), page, EventKind::FastTaken(pfn));
        Ok(pfn)
    }

    #[cold]
    #[inline(never)]
    fn take_huge_alone(&self, page: Vpn, ask: Ask, holds: Holds) -> Result<Pfn, FastStop> {
        self.take_huge(page..page + 1, &self.wish(ask, holds)).map(|(pfn, _)| pfn)
    }

    /// Walks again, so that the first walk need not keep what only this wants.
    #[cold]
    #[inline(never)]
    fn take_folio_alone(&self, page: Vpn, ask: Ask, holds: Holds) -> Result<Pfn, FastStop> {
        let leaf = self.tables().leaf_now(page).ok_or(FastStop::EntryChanged)?;
        self.take_of_folio(leaf, page..page + 1, &self.wish(ask, holds)).map(|(pfn, _)| pfn)
    }

    /// Takes pages of a large folio that entries of a run map, one after another; how many.
    #[cold]
    #[inline(never)]
    fn take_folio(
        &self,
        leaf: Leaf<'_, P>,
        pages: Range<Vpn>,
        wish: &Wish,
        held: &mut Held<P>,
    ) -> Result<u64, FastStop> {
        let (first, taken) = self.take_of_folio(leaf, pages, wish)?;
        held.push_run((first, taken));
        Ok(taken)
    }

    /// Takes holds of as many pages of a large folio as entries map one after another, in one step,
    /// and gives those back whose entries have changed meanwhile (INV-PIN-1): the first page, and
    /// how many.
    #[inline(never)]
    fn take_of_folio(
        &self,
        leaf: Leaf<'_, P>,
        pages: Range<Vpn>,
        wish: &Wish,
    ) -> Result<(Pfn, u64), FastStop> {
        let (mem, holds, page) = (self.mem(), wish.grip.holds, pages.start);
        let pte = leaf.read(page);
        if !pte.fits(wish.fits) {
            return Err(unfit(pte, wish.entry));
        }
        let pfn = pte.present_pfn();
        let most = (pages.end - page).min(mem.frames().left_of_folio(pfn));
        let wanted = 1 + leaf.following(page + 1..page + most, Pfn(pfn.0 + 1), wish.fits);
        let run = (pfn, wanted as u32);
        if let Err(miss) = mem.frames().try_grab_run(run, holds, mem.rule(), mem.rule()) {
            return Err(match miss {
                Miss::Gone | Miss::Large => FastStop::FrameGone,
                Miss::Overflow => FastStop::Overflow,
            });
        }
        let (mut good, mut why) = self.look_again((leaf, page), (pte, pfn), wanted, wish);
        if wish.rechecks_table && !leaf.still_linked() {
            (good, why) = (0, Some(FastStop::EntryChanged));
        }
        if good < wanted {
            mem.give_back_run(run, good as u32, holds);
        }
        for next in 0..good {
            mem.tell(self.id(), page + next, EventKind::FastTaken(Pfn(pfn.0 + next)));
        }
        match why {
            Some(why) if good == 0 => Err(why),
            _ => Ok((pfn, good)),
        }
    }

    /// The second look, after the references, at so many pages of a large folio that entries from
    /// `page` on map, of which the first was read as `pte`: how many of them may be held, and why
    /// no more (INV-PIN-1, INV-PIN-2).
    #[inline]
    fn look_again(
        &self,
        (leaf, page): (Leaf<'_, P>, Vpn),
        (pte, pfn): (Pte<P::Format>, Pfn),
        pages: u64,
        wish: &Wish,
    ) -> (u64, Option<FastStop>) {
        if !wish.untracked && !wish.settles && wish.request.access == Access::Write {
            // Only the entries matter.
            let good = match wish.rechecks {
                true => leaf.following(page..page + pages, pfn, wish.fits),
                false => pages,
            };
            return (good, (good < pages).then_some(FastStop::EntryChanged));
        }
        for next in 0..pages {
            let (now, pfn) = (leaf.read(page + next), Pfn(pfn.0 + next));
            let good = match wish.rechecks {
                true if !now.maps_as(wish.fits, pfn) => Err(FastStop::EntryChanged),
                true => allows(self.mem(), now, pfn, wish),
                false => allows(self.mem(), pte, pfn, wish),
            };
            if let Err(why) = good {
                return (next, Some(why));
            }
        }
        (pages, None)
    }
}

/// Whether the page is one of a file whose writes are tracked. That does not change as long as
/// somebody holds it.
#[cold]
fn is_files<P: Platform>(mem: &Memory<P>, pfn: Pfn) -> bool {
    mem.frames().flags(pfn).contains(Flags::FILE)
}

/// The second look, after the reference: INV-PIN-1, INV-PIN-2.
#[inline(always)]
fn still_good<P: Platform>(
    mem: &Memory<P>,
    (leaf, page): (Leaf<'_, P>, Vpn),
    pte: Pte<P::Format>,
    wish: &Wish,
) -> Result<(), FastStop> {
    let changed = wish.rechecks && leaf.read(page) != pte;
    if changed || wish.rechecks_table && !leaf.still_linked() {
        return Err(FastStop::EntryChanged);
    }
    allows(mem, pte, pte.present_pfn(), wish)
}

/// Whether the page that an entry maps may be held.
#[inline(always)]
pub(super) fn allows<P: Platform>(
    mem: &Memory<P>,
    pte: Pte<P::Format>,
    pfn: Pfn,
    wish: &Wish,
) -> Result<(), FastStop> {
    if wish.untracked && is_files(mem, pfn) {
        return Err(FastStop::Tracked);
    }
    if wish.settles && mem.must_move(pfn) {
        return Err(FastStop::Movable);
    }
    if !pte.is_writable() && wish.request.access == Access::Read {
        smp_rmb();
        let rule = mem.rule();
        let unshare = mem
            .judge_page(pfn, |state| must_unshare(rule, wish.request, wish.walk, state).is_yes());
        if unshare {
            return Err(FastStop::MustUnshare);
        }
    }
    Ok(())
}

/// Why a page was not taken; nothing, if it is part of a large folio.
type Short = Option<FastStop>;

/// Why an entry does not allow an access.
#[cold]
pub(super) fn unfit<F: Format>(pte: Pte<F>, entry: Access) -> FastStop {
    if pte.is_protnone() {
        FastStop::ProtNone
    } else if !pte.is_present() {
        FastStop::Absent
    } else if entry == Access::Write && !pte.is_writable() {
        FastStop::ReadOnly
    } else {
        FastStop::Special
    }
}
