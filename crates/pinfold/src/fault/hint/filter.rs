//! Whether a page follows the CPU that took a hinting fault on it, and what the fault tells the
//! balancer (facts 4.7, 4.8).

use crate::addr::{Pfn, VirtRange};
use crate::frame::FaultedBy;
use crate::hinted::{HintFaults, HintTally};
use crate::platform::Platform;
use crate::rules::numa::{LastFault, LastTask, is_private, may_follow};
use crate::rules::{Locality, NumaFilter};
use crate::space::Space;

/// Whether a page may move to who uses it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Follows {
    Yes,
    /// The fault before was another's.
    NotYet,
}

impl<P: Platform> Space<P> {
    /// Notes a hinting fault on a page, whose table is locked, in an area, where anybody wants to
    /// know, and asks if the page may follow. So many pages have the entry.
    #[inline]
    pub(super) fn judge_hint(
        &self,
        area: VirtRange,
        (pfn, pages): (Pfn, u64),
        locality: Locality,
    ) -> Follows {
        let balanced = self.hint_faults.get();
        if balanced.is_none() && !self.mem().frames().remembers_faults() {
            return Follows::Yes;
        }
        self.judge_noted(area, (pfn, pages), locality, balanced)
    }

    #[cold]
    #[inline(never)]
    fn judge_noted(
        &self,
        area: VirtRange,
        (pfn, pages): (Pfn, u64),
        locality: Locality,
        balanced: Option<&HintFaults>,
    ) -> Follows {
        let (mem, platform) = (self.mem(), self.mem().platform());
        let task = platform.task();
        let by = FaultedBy { node: platform.node(), task: task as u8 };
        let head = mem.frames().mapped_head(pfn).unwrap_or(pfn);
        let last = mem.frames().exchange_last_fault(head, by);
        let last = last.map(|last| LastFault {
            node: if last.node == by.node { Locality::Local } else { Locality::Remote },
            task: if last.task == by.task { LastTask::This } else { LastTask::Another },
        });
        if let Some(faults) = balanced {
            faults.add(tally(last, locality, pages));
            faults.note_task(area.first_page(), task);
        }
        let scans = balanced.map_or(0, HintFaults::scans);
        let asked = mem.frames().remembers_faults() && locality == Locality::Remote;
        if asked && !may_follow(mem.rule::<NumaFilter>(), last, scans) {
            return Follows::NotYet;
        }
        Follows::Yes
    }

    /// Tells the balancer, if there is one, that pages could not follow.
    pub(super) fn note_failed_move(&self, pages: u64) {
        if let Some(faults) = self.hint_faults.get() {
            faults.add(HintTally { failed: pages, ..HintTally::default() });
        }
    }
}

/// What a fault on so many pages tells.
fn tally(last: Option<LastFault>, locality: Locality, pages: u64) -> HintTally {
    let (private, shared) = if is_private(last) { (pages, 0) } else { (0, pages) };
    let (local, remote) = match locality {
        Locality::Local => (pages, 0),
        Locality::Remote => (0, pages),
    };
    HintTally { private, shared, local, remote, failed: 0 }
}
