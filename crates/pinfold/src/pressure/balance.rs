//! How much of what leaves is private memory, and how much pages of files (facts 7.2).
//!
//! Protocol: without a swap device only the lists of files are looked at. While many of those are
//! not in use, and none has come back as in use, they leave alone, as long as some do. At last,
//! when all pages are looked at, both kinds give what they have; before, each gives by the inverse
//! of what it has *cost* lately: a page looked at in vain, written, or read again that was in use
//! before, costs its kind, and both costs fade as they come to a quarter of what is on the lists.
//! What both have cost counts for either, so that none is taken to cost more than twice the other.
//! [`Tuning::swappiness`] leans that to one side; at 0 private ones give nothing until the last, or
//! where there are no others. Nothing waits for a right answer: the numbers are read without a
//! lock, and only say where to look first.
//!
//! [`Tuning::swappiness`]: crate::Tuning::swappiness

use crate::addr::NodeId;
use crate::frame::{Kind, List};
use crate::memory::Memory;
use crate::platform::Platform;

/// What `swappiness` has at most, and what both kinds' weights are together.
const MOST: u64 = 200;

/// One kind's part in a reclaim.
pub(super) struct Scan {
    pub(super) kind: Kind,
    /// Whether a page has come back as in use since the last reclaim.
    pub(super) activated: bool,
    /// Whether a look at all that are not in use has found none of the zones.
    pub(super) starved: bool,
    /// Whether those in use are asked whatever the others are, as nothing has left (Linux:
    /// `force_deactivate`).
    pub(super) forced: bool,
}

/// A part of a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Share {
    part: u64,
    whole: u64,
}

impl Share {
    const ALL: Self = Self { part: 1, whole: 1 };
    /// None now.
    const NONE: Self = Self { part: 0, whole: 1 };
    /// None at all: nothing could leave.
    const ENDS: Self = Self { part: 0, whole: 2 };

    /// The part of so many, rounded up.
    pub(super) fn of(self, pages: u64) -> u64 {
        if self.part == self.whole {
            return pages;
        }
        u64::try_from((u128::from(pages) * u128::from(self.part)).div_ceil(self.whole.into()))
            .unwrap_or(pages)
    }

    /// Whether it may be more later.
    pub(super) fn leaves_out(self) -> bool {
        self.part == 0 && self != Self::ENDS
    }
}

impl<P: Platform> Memory<P> {
    /// What is to be looked at of a node, in the order of [`Kind::ALL`].
    pub(super) fn scans(&self, node: NodeId) -> [Scan; 2] {
        Kind::ALL.map(|kind| Scan {
            kind,
            activated: self.frames().has_activated(node, kind),
            starved: false,
            forced: false,
        })
    }

    /// Nothing has left: those in use of each kind are asked from now on; whether there are such,
    /// and they were not asked so yet.
    pub(super) fn force(&self, node: NodeId, scans: &mut [Scan; 2]) -> bool {
        let mut more = false;
        for scan in scans.iter_mut().filter(|scan| !scan.forced && self.may_leave(scan.kind)) {
            scan.forced = true;
            more |= self.frames().listed(node, (scan.kind, List::Active)) > 0;
        }
        more
    }

    /// Whether pages of a kind are looked at at all.
    fn may_leave(&self, kind: Kind) -> bool {
        kind == Kind::File || self.has_swap()
    }

    /// How much each kind gives.
    pub(super) fn shares(
        &self,
        node: NodeId,
        scans: &[Scan; 2],
        (priority, files_alone): (u32, bool),
    ) -> [Share; 2] {
        let of = |kind, list| self.frames().listed(node, (kind, list));
        let sizes = Kind::ALL.map(|kind| (of(kind, List::Active), of(kind, List::Inactive)));
        let [anon, file] = sizes.map(|(active, inactive)| active + inactive);
        if !self.may_leave(Kind::Anon) {
            return [Share::ENDS, Share::ALL];
        }
        if anon == 0 || file == 0 || priority == 0 {
            return [Share::ALL, Share::ALL];
        }
        let [_, (active, inactive)] = sizes;
        let plenty = inactive >> priority > 0 && inactive >= active && !scans[1].activated;
        if plenty && files_alone {
            return [Share::NONE, Share::ALL];
        }
        let swappiness = u64::from(self.tuning().swappiness).min(MOST);
        if swappiness == 0 {
            return [Share::NONE, Share::ALL];
        }
        let costs = self.frames().costs(node, (anon + file) / 4);
        let total = costs[0] + costs[1];
        let weight = |weight: u64, cost: u64| weight * (2 * total + 1) / (total + cost + 1);
        let (anon, file) = (weight(swappiness, costs[0]), weight(MOST - swappiness, costs[1]));
        let whole = (anon + file).max(1);
        [anon, file].map(|part| Share { part, whole })
    }
}
