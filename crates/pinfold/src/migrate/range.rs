//! Moving the pages of a range: one by one, or since 6.3 in batches whose flushes are one
//! (facts 6.7).
//!
//! Protocol: the address space's lock is held only to find and isolate the pages. In a batch the
//! entries of all pages are taken out before the flush, and all pages stay locked until each has
//! its entries back; locks are tried, so no batch waits for another.

use alloc::vec::Vec;
use core::ops::Range;

use super::{DeferredFlush, Isolated, Mode, Moved, Mover, Pass, TakenOut};
use crate::addr::{NodeId, VirtRange, Vpn, each_page};
use crate::frame::{Flags, NewFrame, Placement, Start};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::pte::Pte;
use crate::rules::migrate::batches_flushes;
use crate::space::Space;
use crate::table::{Next, Part};

/// The most pages that move together. Linux: as many as a large page has.
const BATCH: usize = 512;

/// A page of a batch.
struct Move<'m, P: Platform> {
    // Dropped in this order: locks before the pages that they are of.
    taken: Option<TakenOut<'m, P>>,
    fresh: NewFrame<'m>,
    page: Isolated<'m, P>,
    pass: Pass,
}

impl<P: Platform> Space<P> {
    /// Moves the anonymous pages of a range.
    pub(crate) fn migrate_range(&self, range: VirtRange, node: NodeId, mover: Mover) -> Moved {
        let mut moved = Moved::default();
        let (mut page, end) = (range.first_page(), range.end_page().min(self.end_page()));
        let mut found = Vec::new();
        let room = BATCH.min(usize::try_from(range.pages()).unwrap_or(BATCH));
        if batches_flushes(self.mem().rule()) && found.try_reserve_exact(room).is_ok() {
            while page < end {
                page = self.find_elsewhere(page..end, (node, mover), &mut found, &mut moved);
                self.mem().migrate_batch(&mut found, node, &mut moved);
            }
            return moved;
        }
        while let Some((at, isolated)) = self.next_elsewhere(page..end, (node, mover)) {
            page = at + 1;
            match isolated.and_then(|isolated| self.mem().migrate(isolated, node, Mode::Sync)) {
                Some(_) => moved.moved += 1,
                None => moved.failed += 1,
            }
        }
        moved
    }

    /// Isolates pages that lie on another node than `node` until `found` is full. Returns the first
    /// page that was not looked at.
    fn find_elsewhere<'s>(
        &'s self,
        pages: Range<Vpn>,
        to: (NodeId, Mover),
        found: &mut Vec<Isolated<'s, P>>,
        moved: &mut Moved,
    ) -> Vpn {
        let (mem, end) = (self.mem(), pages.end);
        let _map = self.read_map();
        let search = self.tables().for_each_part(pages, |part, pages| {
            let Part::Table(leaf) = part else { return Ok(Next::On) };
            let cursor = leaf.lock();
            for page in each_page(pages) {
                let pte = cursor.get(page);
                if !mem.is_wanted(pte, to) {
                    continue;
                }
                if found.len() == found.capacity() {
                    return Err(page);
                }
                match mem.isolate(pte.pfn()) {
                    Some(isolated) => found.push(isolated),
                    None => moved.failed += 1,
                }
            }
            Ok(Next::On)
        });
        search.err().unwrap_or(end)
    }

    /// The first of `pages` that lies on another node than `node`, isolated for migration if it can
    /// be.
    fn next_elsewhere(
        &self,
        pages: Range<Vpn>,
        to: (NodeId, Mover),
    ) -> Option<(Vpn, Option<Isolated<'_, P>>)> {
        let mem = self.mem();
        let _map = self.read_map();
        let search = self.tables().for_each_part(pages, |part, pages| {
            let Part::Table(leaf) = part else { return Ok(Next::On) };
            let cursor = leaf.lock();
            for page in each_page(pages) {
                let pte = cursor.get(page);
                if mem.is_wanted(pte, to) {
                    return Err((page, mem.isolate(pte.pfn())));
                }
            }
            Ok(Next::On)
        });
        search.err()
    }
}

impl<P: Platform> Memory<P> {
    /// Whether a page is to be isolated: it lies elsewhere, and its mover does not pass over it.
    fn is_wanted(&self, pte: Pte<P::Format>, (node, mover): (NodeId, Mover)) -> bool {
        let counted = pte.is_mapped() && !pte.is_special();
        if !counted || self.frames().node(pte.pfn()) == node {
            return false;
        }
        match mover {
            Mover::Request => true,
            Mover::Compaction => {
                self.frames().counts_as(pte.pfn(), |counts| counts.refs() <= counts.maps())
            }
        }
    }

    /// Moves pages together, in as many passes as the tuning says; a page that finds no place in
    /// the batch moves alone.
    fn migrate_batch<'m>(
        &'m self,
        pages: &mut Vec<Isolated<'m, P>>,
        node: NodeId,
        moved: &mut Moved,
    ) {
        let mut batch = Vec::new();
        if batch.try_reserve_exact(pages.len()).is_err() {
            for page in pages.drain(..) {
                match self.migrate(page, node, Mode::Sync) {
                    Some(_) => moved.moved += 1,
                    None => moved.failed += 1,
                }
            }
            return;
        }
        let wanted = pages.len() as u64;
        for page in pages.drain(..) {
            let fresh = self.frames().alloc(Placement::Only(node), Flags::ANON, Start::Held);
            if let Ok(fresh) = fresh {
                batch.push(Move { taken: None, fresh, page, pass: Pass::Again });
            }
        }
        for _ in 0..self.tuning().migrate_passes.max(1) {
            if self.batch_pass(&mut batch) == Pass::Moved {
                break;
            }
        }
        let done = batch.iter().filter(|page| page.pass == Pass::Moved).count() as u64;
        self.counters().pgmigrate_success.add(done);
        self.counters().pgmigrate_fail.add(wanted - done);
        moved.moved += done;
        moved.failed += wanted - done;
    }

    /// One pass over the pages that have not moved yet; whether none is left.
    fn batch_pass<'m>(&'m self, batch: &mut [Move<'m, P>]) -> Pass {
        let mut deferred = DeferredFlush::new();
        for page in batch.iter_mut().filter(|page| page.pass == Pass::Again) {
            page.taken = self.take_out(page.page.pfn, page.fresh.pfn(), &mut deferred);
        }
        deferred.finish(self);
        let mut result = Pass::Moved;
        for page in batch.iter_mut().filter(|page| page.pass == Pass::Again) {
            if let Some(taken) = page.taken.take() {
                page.pass = self.bring_back(taken);
            }
            if page.pass == Pass::Again {
                result = Pass::Again;
            }
        }
        result
    }
}
