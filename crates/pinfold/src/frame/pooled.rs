//! The pool of huge pages (hugetlb): folios of one size that were set aside, for address spaces
//! that ask for such pages and get no others.
//!
//! Protocol: the free ones are a list, last in first out, through the index words of their first
//! frames, under the pool's lock, which an interrupt handler may want: the last release of a page
//! brings it back. One that is taken becomes a large folio like any other, with a flag on its head;
//! by that flag its end leads here, and not to its node.
//!
//! Some of the free ones are *promised*: each to a page of a mapping that nobody has touched yet.
//! Only who has such a promise takes the last ones.
//!
//! Invariants:
//! - INV-POOL-1: the free ones and those in use are all that belong to the pool.
//! - INV-POOL-2: no more are promised than are free.
//! - INV-POOL-3: none of its frames is in a node's lists, or with the owner of the frames. A free
//!   one looks like any free frame (INV-FRAME-2), but has the flag: on all its frames.

use super::flags::{Flags, HOME_MASK};
use super::folio::{Marks, NewFolio};
use super::frames::Frames;
use super::pool::{HugePages, List};
use super::source::{Placement, Request, Zone};
use crate::addr::{NodeId, Pfn, SpaceId};
use crate::rules::LargeMaps;

/// For what a page is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Promise {
    /// It was promised.
    Kept,
    /// It was not: one that is promised to others stays.
    None,
}

impl Frames {
    /// What the pool has.
    pub(crate) fn pooled(&self) -> HugePages {
        self.pool.lock().counts()
    }

    /// Whether a folio that the caller holds, or whose entry's table he has locked, is of the pool.
    pub(crate) fn is_pooled(&self, head: Pfn) -> bool {
        self.frame(head).flags.read_once() & Flags::HUGETLB.bits() != 0
    }

    /// Lets the pool have so many pages of this order, as far as there are runs of free frames, or
    /// free pages that are promised to nobody; how many it has then.
    pub(crate) fn resize_pool(&self, pages: u64, order: u32, node: NodeId) -> u64 {
        while self.pooled().total < pages {
            let placement = Placement::Prefer(node);
            let request = Request { order, placement, zone: Zone::Movable };
            let Ok(head) = self.obtain(request) else { break };
            if !self.add_pooled(head, order, pages) {
                self.give_back_pooled(head, order);
                break;
            }
        }
        while let Some(head) = self.remove_pooled(pages) {
            self.give_back_pooled(head, order);
        }
        self.pooled().total
    }

    /// A free run of frames belongs to the pool from now on, unless that has so many already.
    fn add_pooled(&self, head: Pfn, order: u32, most: u64) -> bool {
        for pfn in (head.0..head.0 + (1 << order)).map(Pfn) {
            let frame = self.frame(pfn);
            frame.end(frame.flags.fixed(HOME_MASK) | Flags::HUGETLB.bits());
        }
        let mut list = self.pool.lock();
        let more = list.total < most;
        if more {
            list.total += 1;
            self.push_pooled(&mut list, head);
        }
        more
    }

    /// A free page that nobody was promised, and that belongs to the pool no longer, if that has
    /// more than so many.
    fn remove_pooled(&self, most: u64) -> Option<Pfn> {
        let mut list = self.pool.lock();
        if list.total <= most || list.counts().spare() == 0 {
            return None;
        }
        let head = self.pop_pooled(&mut list)?;
        list.total -= 1;
        Some(head)
    }

    fn give_back_pooled(&self, head: Pfn, order: u32) {
        for pfn in (head.0..head.0 + (1 << order)).map(Pfn) {
            let frame = self.frame(pfn);
            frame.end(frame.flags.fixed(HOME_MASK));
        }
        let frame = self.frame(head);
        self.give_back(frame, head, (order, frame.flags.fixed(HOME_MASK)));
    }

    fn push_pooled(&self, list: &mut List, head: Pfn) {
        self.frame(head).index.write_once(list.first);
        list.first = self.metadata().link(head);
        list.free += 1;
    }

    fn pop_pooled(&self, list: &mut List) -> Option<Pfn> {
        let head = self.metadata().linked(list.first)?;
        list.first = self.frame(head).index.read_once();
        list.free -= 1;
        Some(head)
    }

    /// A page of the pool whose life has ended is free there.
    #[cold]
    pub(super) fn return_pooled(&self, head: Pfn) {
        let mut list = self.pool.lock();
        self.push_pooled(&mut list, head);
    }

    /// Promises so many pages; whether there are as many that nobody was promised.
    pub(crate) fn promise_pooled(&self, pages: u64) -> bool {
        let mut list = self.pool.lock();
        let enough = pages <= list.counts().spare();
        if enough {
            list.reserved += pages;
        }
        enough
    }

    /// So many promises are no longer needed.
    pub(crate) fn release_promises(&self, pages: u64) {
        self.pool.lock().reserved -= pages;
    }

    /// Takes a page of the pool, for `space` to map by one entry; none if there is none left but
    /// what is promised to others.
    pub(crate) fn take_pooled(
        &self,
        promise: Promise,
        order: u32,
        owner: (SpaceId, LargeMaps),
    ) -> Option<NewFolio<'_>> {
        let mut list = self.pool.lock();
        match promise {
            Promise::Kept => list.reserved -= 1,
            Promise::None if list.counts().spare() == 0 => return None,
            Promise::None => {}
        }
        let head = self.pop_pooled(&mut list)?;
        drop(list);
        Some(self.form(head, (order, Marks::First), Flags::HUGETLB, owner))
    }
}
