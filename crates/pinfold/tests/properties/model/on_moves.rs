//! Pages that move, and memory that goes and comes back.

use super::World;
use crate::ops::{Move, Run};
use pinfold::{Format, Memory, NodeId, NodeSpan, PageStatus, Pfn, Strict, VirtAddr};

impl<F: Format> World<F> {
    /// Moves pages; what a status says of where a page is holds.
    pub(super) fn migrate(&mut self, who: usize, run: Run, (node, how): (NodeId, Move)) {
        let range = self.range(run);
        let Some(process) = self.pick(who) else { return };
        let space = &process.space;
        match how {
            Move::Range(mode) => drop(space.migrate_as(range, node, mode)),
            Move::Compact => drop(space.compact(range, node)),
            Move::Strict(scope) => drop(space.move_range(range, node, scope, Strict::Strict)),
            Move::Pages(scope) => {
                let pages: Vec<_> = range.iter().map(|page| (page.start(), node)).collect();
                let mut told = Vec::new();
                space.move_pages(&pages, scope, |status| told.push(status));
                let lies = |at: VirtAddr| space.memory().frames().node(space.entry(at).pfn());
                for ((at, _), status) in pages.iter().zip(told) {
                    let now = space.page_status(*at);
                    match status {
                        PageStatus::On(on) => {
                            assert_eq!((on, now, lies(*at)), (node, status, node), "{at}");
                        }
                        PageStatus::NotMapped | PageStatus::Absent => assert_eq!(now, status),
                        PageStatus::NoNode => assert!(!space.memory().frames().has_node(node)),
                        // Of a folio that moves in parts, this one may have moved.
                        _ => assert!(matches!(now, PageStatus::On(_)), "{at}: {status}"),
                    }
                }
            }
        }
    }

    /// Takes frames out, if they go, and brings them back: nobody has any of them in between, and
    /// none comes free, but for pages of a folio that nothing maps, if it was split to be moved.
    pub(super) fn take_out_and_back(&mut self, first: u64, count: u64) {
        let (frames, first) = (self.mem.frames(), Pfn(first));
        if !frames.contains(first) {
            return;
        }
        let span = NodeSpan { node: frames.node(first), first, frames: count };
        // Some may have pages that nobody else has any more.
        self.mem.lru_add_drain_all();
        let splits = || self.mem.stats().thp_migration_split;
        let (free, before) = (frames.total_free(), splits());
        let leaves = |left: u64| {
            let now = self.mem.frames().total_free();
            assert!(now == left || now > left && splits() > before, "{span:?}: {now}, not {left}");
        };
        if Memory::offline(&self.mem, &span, |_, _| ()).is_err() {
            return leaves(free);
        }
        let refs = |pfn| self.mem.frames().counts(Pfn(pfn)).refs();
        assert!((first.0..first.0 + count).all(|pfn| refs(pfn) == 0), "{span:?}");
        leaves(free - count);
        // SAFETY: they are out, and nobody has used them meanwhile.
        unsafe { self.mem.online(&span) }.unwrap();
    }
}
