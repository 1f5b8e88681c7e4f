//! The lock-free path: GUP-fast (facts 3.5). It sees entries, not areas; what depends on the area is left to the slow path.

use super::{Access, Ask, Held, Hold, Path};
use crate::addr::VirtRange;
use crate::event::{EventKind, FastStop};
use crate::frame::Grab;
use crate::platform::Platform;
use crate::rules::pin::{Request, Walk, entry_access, must_unshare};
use crate::rules::{FastRecheck, ForkRace};
use crate::space::Space;
use crate::sync::smp_rmb;
use crate::table::{Leaf, Pte, table_end};

/// Ends the section in which no table is freed.
struct Section<'p, P: Platform>(&'p P);

impl<'p, P: Platform> Section<'p, P> {
    fn open(platform: &'p P) -> Self {
        platform.walk_begin();
        Self(platform)
    }
}

impl<P: Platform> Drop for Section<'_, P> {
    fn drop(&mut self) {
        self.0.walk_end();
    }
}

/// What a walk asks of each entry; fixed for the whole walk.
struct Wish {
    hold: Hold,
    entry: Access,
    request: Request,
    walk: Walk,
    recheck: FastRecheck,
}

impl<P: Platform> Space<P> {
    /// Takes pages from the start of the range until one needs the slow path.
    pub(super) fn hold_fast(&self, range: VirtRange, ask: Ask, held: &mut Held<P>) {
        let rules = self.mem().rules();
        let counts_forks = held.hold() == Hold::Pin
            && matches!(rules.fork_race, ForkRace::SeqCount | ForkRace::SeqCountFull);
        let seq = if counts_forks {
            let Some(seq) = self.protect_seq.read() else {
                return self.stopped(range.first_page(), FastStop::ForkRunning);
            };
            Some(seq)
        } else {
            None
        };
        let walk = if ask.path == Path::FastOnly { Walk::FastOnly } else { Walk::Fast };
        let wish = Wish {
            hold: held.hold(),
            entry: entry_access(rules.read_gup, ask.access, walk),
            request: Request { hold: held.hold(), access: ask.access, term: ask.term },
            walk,
            recheck: rules.fast_recheck,
        };
        let section = Section::open(self.mem().platform());
        self.walk_fast(range, &wish, held);
        drop(section);
        if seq.is_some_and(|seq| self.protect_seq.changed_since(seq)) {
            held.release_all();
            self.stopped(range.first_page(), FastStop::ForkRan);
        }
    }

    fn stopped(&self, page: u64, why: FastStop) {
        self.mem().tell(self.id(), page, EventKind::FastStop(why));
    }

    fn walk_fast(&self, range: VirtRange, wish: &Wish, held: &mut Held<P>) {
        let mut page = range.first_page();
        while page < range.end_page() {
            let Some(leaf) = self.tables().leaf(page) else {
                return self.stopped(page, FastStop::Absent);
            };
            let end = table_end::<P::Format>(page).min(range.end_page());
            while page < end {
                if let Err(why) = self.take_fast(leaf, page, wish, held) {
                    return self.stopped(page, why);
                }
                page += 1;
            }
        }
    }

    #[inline]
    fn take_fast(
        &self,
        leaf: Leaf<'_, P>,
        page: u64,
        wish: &Wish,
        held: &mut Held<P>,
    ) -> Result<(), FastStop> {
        let mem = self.mem();
        let pte = leaf.read(page);
        if !pte.is_present() {
            let stop = if pte.is_protnone() { FastStop::ProtNone } else { FastStop::Absent };
            return Err(stop);
        }
        if wish.entry == Access::Write && !pte.is_writable() {
            return Err(FastStop::ReadOnly);
        }
        if pte.is_special() {
            return Err(FastStop::Special);
        }
        let pfn = pte.pfn();
        mem.tell(self.id(), page, EventKind::FastLook(pfn));
        match mem.frames().try_grab(pfn, wish.hold, 1) {
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
    #[inline]
    fn still_good(
        &self,
        leaf: Leaf<'_, P>,
        page: u64,
        pte: Pte<P::Format>,
        wish: &Wish,
    ) -> Result<(), FastStop> {
        if wish.recheck == FastRecheck::On && (leaf.read(page) != pte || !leaf.still_linked()) {
            return Err(FastStop::EntryChanged);
        }
        if !pte.is_writable() && wish.request.access == Access::Read {
            smp_rmb();
            let state = self.mem().page_state(pte.pfn());
            let rule = self.mem().rules().read_gup;
            if must_unshare(rule, wish.request, wish.walk, &state).is_yes() {
                return Err(FastStop::MustUnshare);
            }
        }
        Ok(())
    }
}
