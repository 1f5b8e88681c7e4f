//! Moving the pages of a range: one by one, or since 6.3 in batches whose flushes are one
//! (facts 6.7). A large folio is one step, and moves whole, also where the range has a part of it.
//! A page that was swapped out and is still in memory moves like one that is mapped, for those
//! movers that go by frames: hotplug, CMA and compaction. (move_pages and mbind go by entries, and
//! pass over it.) A page of a file or of shared memory moves for every mover.
//!
//! Protocol: the address space's lock is held only to find and isolate the folios. In a batch the
//! entries of all folios are taken out before the flush, and all stay locked until each has its
//! entries back; locks are tried, so no batch waits for another. What has not moved after as many
//! passes as only try locks goes on alone, when no new frame of the batch is locked any more.

use alloc::vec::Vec;
use core::ops::Range;

use super::{
    DeferredFlush, Fresh, Isolated, Locking, MappedBy, MigrateMode, MoveScope, Moved, Mover, Pass,
    TRIED, TakenOut, Target,
};
use crate::addr::{NodeId, Pfn, VirtRange, Vpn};
use crate::frame::{Counts, Sizes};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::pte::{Entry, Pte};
use crate::rmap::Hold;
use crate::rules::Lru;
use crate::rules::migrate::batches_flushes;
use crate::space::{Looked, Space};

/// The most pages that move together, but for those of one folio. Linux: as many as a large page
/// has.
const BATCH: usize = 512;

const NONE: Range<Pfn> = Pfn(0)..Pfn(0);

/// A folio of a batch.
struct Move<'m, P: Platform> {
    // Dropped in this order: locks before the pages that they are of.
    taken: Option<TakenOut<'m, P>>,
    fresh: Fresh<'m, P>,
    page: Isolated<'m, P>,
    pass: Pass,
}

impl<'m, P: Platform> Move<'m, P> {
    /// The family of a folio whose entries are out, if it has one.
    fn family(&mut self) -> Option<&mut Hold<'m>> {
        match self.taken.as_mut().map(|taken| &mut taken.mapped) {
            Some(MappedBy::Family(family)) => family.as_mut(),
            Some(MappedBy::Object(_)) | None => None,
        }
    }
}

/// A search for folios to be moved.
struct Search<'m, P: Platform> {
    to: (NodeId, Mover),
    /// Those that were isolated: of a batch, or one alone.
    found: Vec<Isolated<'m, P>>,
    one: Option<Isolated<'m, P>>,
    /// How many pages they have, and how many are enough.
    pages: usize,
    most: usize,
    /// The large folio that was met last: its other pages are not looked at by themselves, also
    /// once it is split.
    last: Range<Pfn>,
    moved: Moved,
}

impl<'m, P: Platform> Search<'m, P> {
    fn seen(&self) -> Looked {
        if self.pages >= self.most { Looked::Enough } else { Looked::GoOn }
    }

    /// Looks at an entry whose table is locked, and isolates the folio that it maps, or the page in
    /// the swap cache that it names.
    fn look(&mut self, mem: &'m Memory<P>, pte: Pte<P::Format>) {
        match pte.counted() {
            Some(pfn) => self.look_mapped(mem, pfn),
            None => {
                if self.to.1.follows_swap()
                    && let Entry::Swap(entry) = pte.decode()
                    && let Some(pfn) = mem.cached_page(entry)
                {
                    self.look_mapped(mem, pfn);
                    mem.put(pfn, 1);
                }
            }
        }
    }

    fn look_mapped(&mut self, mem: &'m Memory<P>, pfn: Pfn) {
        if self.last.contains(&pfn) || !mem.is_wanted(pfn, self.to) {
            return;
        }
        let head = mem.frames().mapped_head(pfn);
        let pages = head.map_or(1, |head| 1 << mem.frames().order(head));
        if let Some(head) = head {
            self.last = head..Pfn(head.0 + pages);
        }
        // That a page is left to those who share it is no failure, also where one is asked for
        // (facts 7.3).
        if self.to.1 == Mover::Policy(MoveScope::Own) && mem.may_be_shared(pfn) {
            return;
        }
        match mem.isolate(pfn, Sizes::Any) {
            Some(page) if head.is_some() && self.passes_over(mem, &page) => {}
            Some(page) => {
                self.pages += page.pages as usize;
                match self.most {
                    1 => self.one = Some(page),
                    _ => self.found.push(page),
                }
            }
            None if self.to.1 == Mover::Compaction
                && mem.lru_of(head.unwrap_or(pfn)) == Lru::Off => {}
            None => self.moved.failed += pages,
        }
    }

    /// Whether compaction passes over a large folio, which has references beside those of its
    /// mappings and of the isolation.
    fn passes_over(&self, mem: &Memory<P>, folio: &Isolated<'m, P>) -> bool {
        let referenced = |counts: Counts| counts.refs() > counts.maps() + 1;
        self.to.1 == Mover::Compaction && mem.frames().counts_as(folio.head, referenced)
    }
}

impl<P: Platform> Space<P> {
    /// Moves the pages of a range.
    pub(crate) fn migrate_range(
        &self,
        range: VirtRange,
        node: NodeId,
        (mover, mode): (Mover, MigrateMode),
    ) -> Moved {
        match mover {
            // The batches' references would refuse the migration of what waits there.
            Mover::Request | Mover::Policy(_) => self.mem().lru_add_drain_all(),
            Mover::Compaction => {}
        }
        let (mut page, end) = (range.first_page(), range.end_page().min(self.end_page()));
        let room = BATCH.min(usize::try_from(range.pages()).unwrap_or(BATCH));
        let mut found = Vec::new();
        let batched = batches_flushes(self.mem().rule()) && found.try_reserve_exact(room).is_ok();
        let most = if batched { room } else { 1 };
        let (to, moved) = ((node, mover), Moved::default());
        let mut search = Search { to, found, one: None, pages: 0, most, last: NONE, moved };
        while page < end {
            page = self.find_elsewhere(page..end, &mut search);
            search.pages = 0;
            let moved = match search.one.take() {
                Some(one) => self.mem().migrate(one, Target::node(node), mode),
                None => self.mem().migrate_batch(&mut search.found, Target::node(node), mode),
            };
            if moved.failed == 0 {
                // What has moved is where it is wanted.
                search.last = NONE;
            }
            search.moved += moved;
        }
        search.moved
    }

    /// Isolates folios that lie on another node than the wanted one until there are enough. Returns
    /// the first page that was not looked at.
    fn find_elsewhere<'s>(&'s self, pages: Range<Vpn>, search: &mut Search<'s, P>) -> Vpn {
        let mem = self.mem();
        self.look_at(pages, |pte| {
            search.look(mem, pte);
            search.seen()
        })
    }
}

impl<P: Platform> Memory<P> {
    /// Whether what an entry maps or names is to be isolated: it lies elsewhere, and its mover does
    /// not pass over it. A tail may say nothing of that: its folio is looked at when it is
    /// isolated.
    fn is_wanted(&self, pfn: Pfn, (node, mover): (NodeId, Mover)) -> bool {
        let unreferenced = || self.frames().counts_as(pfn, |counts| counts.refs() <= counts.maps());
        self.frames().node(pfn) != node
            && match mover {
                Mover::Request | Mover::Policy(_) => true,
                Mover::Compaction => {
                    unreferenced() || self.is_swap_cached(pfn) || self.is_listed(pfn)
                }
            }
    }

    fn is_listed(&self, pfn: Pfn) -> bool {
        self.frames().flags(pfn).is_cached()
    }

    /// Moves folios together, in as many passes as the tuning says; those that find no place in
    /// the batch move alone, and large ones that have nowhere to move page by page.
    fn migrate_batch<'m>(
        &'m self,
        pages: &mut Vec<Isolated<'m, P>>,
        target: Target,
        mode: MigrateMode,
    ) -> Moved {
        let (mut batch, mut moved) = (Vec::new(), Moved::default());
        if batch.try_reserve_exact(pages.len()).is_err() {
            pages.drain(..).for_each(|page| moved += self.migrate(page, target, mode));
            return moved;
        }
        for page in pages.drain(..) {
            match (self.place_for(page.what_moves(), target.place()), mode) {
                (Some(fresh), _) => {
                    batch.push(Move { taken: None, fresh, page, pass: Pass::Again });
                }
                (None, mode) if mode.splits() && self.has_parts(&page, target) => {
                    // Its pages may be slept for.
                    batch.iter().for_each(|other| drop(other.fresh.take_lock()));
                    moved += self.migrate_parts(page, target, mode);
                }
                (None, _) => moved += self.count_moved(&page, Pass::Again),
            }
        }
        self.batch_passes(&mut batch, mode);
        let mut in_batch = Moved::default();
        batch.iter().for_each(|page| in_batch += self.count_folio(&page.page, page.pass));
        moved += self.count_pages(in_batch);
        moved
    }

    /// Passes over folios: those that try the locks over all that are left, those that sleep over
    /// one by one, since a sleeper holds no lock.
    fn batch_passes<'m>(&'m self, batch: &mut [Move<'m, P>], mode: MigrateMode) {
        let passes = mode.passes(self.tuning());
        let together = match mode {
            MigrateMode::Sync | MigrateMode::SyncLight => TRIED.min(passes),
            MigrateMode::Async => passes,
        };
        if (0..together.max(1)).any(|_| self.batch_pass(batch) == Pass::Moved) {
            return;
        }
        // A folio whose own lock no pass got has that of its new frame still.
        batch.iter().for_each(|left| drop(left.fresh.take_lock()));
        for left in batch.iter_mut().filter(|page| page.pass == Pass::Again) {
            let mut alone = (together..passes)
                .map(|pass| self.migrate_pass(&left.page, &left.fresh, mode.locking(pass)));
            if alone.any(|pass| pass == Pass::Moved) {
                left.pass = Pass::Moved;
            }
        }
    }

    /// One pass over the folios that have not moved yet; whether none is left.
    fn batch_pass<'m>(&'m self, batch: &mut [Move<'m, P>]) -> Pass {
        let mut deferred = DeferredFlush::new();
        let mut last: Option<&mut Hold<'m>> = None;
        for page in batch.iter_mut().filter(|page| page.pass == Pass::Again) {
            let what = (&page.page, &page.fresh);
            page.taken = self.take_out(what, Locking::Try, &mut deferred, last.as_deref_mut());
            last = page.family().or(last);
        }
        deferred.finish(self);
        let mut result = Pass::Moved;
        for page in batch.iter_mut().filter(|page| page.pass == Pass::Again) {
            // Taken out of the batch: what is read of it between locked operations is at hand then,
            // which is worth 50 ns a page.
            if let Some(taken) = page.taken.take() {
                page.pass = self.bring_back(&taken, None);
            }
            if page.pass == Pass::Again {
                result = Pass::Again;
            }
        }
        result
    }
}
