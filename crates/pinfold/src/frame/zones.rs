//! The zones of a node: how many free frames each is to have, and how many of them it keeps from
//! requests that the zones above it could serve as well (facts 7.17).
//!
//! Protocol: a node's marks are shared out to its zones by their sizes, and so change when memory
//! is added or taken out: under the node's lock, where they lie. A request goes over the zones that
//! serve it, the highest first, once for each *mark*: it takes from a zone only what leaves that
//! mark and the zone's reserve. At first that is `low`, on the near node and then on the others;
//! then `min`, in the same order; at last none, if the request may go so far. (Linux:
//! ALLOC_WMARK_LOW, ALLOC_WMARK_MIN, ALLOC_NO_WATERMARKS.) A machine without marks and reserves
//! knows nothing of this.
//!
//! Below `min` go operations that found as much when they began, or have reclaimed since
//! ([`crate::pressure`]), and whoever cannot wait; who asks for a run and can wait
//! ([`crate::Memory::take_run`]) does not. Nobody takes of a reserve but who it is kept for.
//!
//! Invariants:
//! - INV-ZONE-1: no request takes a frame of a zone, from the lists or through a stock, that leaves
//!   fewer free ones there than the zone's reserve against it. So a stock serves only requests
//!   against which its zone has no reserve.
//! - INV-ZONE-2: `managed` of a zone is the number of its frames that are not reserved: the sum of
//!   those that are free, in use, or with the pool of huge pages.
//! - INV-ZONE-3: the marks of a node's zones are together the node's.

use core::fmt;

use super::source::Zone;
use crate::addr::NodeId;

/// The zones of a node, as their places among a node's free lists.
pub(super) const LOW: u32 = 0;
pub(super) const HIGH: u32 = 1;
pub(super) const MOVABLE: u32 = 2;
pub(crate) const ZONES: usize = 3;

/// How many free frames each node is to have; numbers, not rules. They are shared out to the
/// node's zones by size. All zero: reclaim begins when there are none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Watermarks {
    /// With fewer, who asks for memory reclaims some first.
    pub min: u64,
    /// With fewer, [`crate::Memory::balance`] begins, and requests try other zones and nodes.
    pub low: u64,
    /// With so many, it ends; with as many as `low` if this is less.
    pub high: u64,
}

/// What a zone keeps from requests that a higher zone of its node serves as well: as many free
/// frames as those zones have, divided by this number. Zero: nothing. (Linux:
/// `lowmem_reserve_ratio`; facts 7.17.)
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LowmemReserve {
    /// Of memory below 4 GiB, against [`Zone::Any`] and [`Zone::Movable`].
    pub dma32: u32,
    /// Of the memory above that is not set apart as movable, against [`Zone::Movable`].
    pub normal: u32,
}

impl LowmemReserve {
    /// As Linux has it where nobody has changed it: 256 and 32.
    pub const LINUX: Self = Self { dma32: 256, normal: 32 };
}

/// A zone of a node's memory, as /proc/zoneinfo names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ZoneKind {
    /// Below 4 GiB.
    Dma32,
    /// Above.
    Normal,
    /// Set apart for what can move ([`crate::FrameSetup::movable`]), wherever it lies.
    Movable,
}

impl ZoneKind {
    /// All, the lowest first.
    pub const ALL: [Self; ZONES] = [Self::Dma32, Self::Normal, Self::Movable];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dma32 => "DMA32",
            Self::Normal => "Normal",
            Self::Movable => "Movable",
        }
    }

    pub(super) const fn at(self) -> u32 {
        match self {
            Self::Dma32 => LOW,
            Self::Normal => HIGH,
            Self::Movable => MOVABLE,
        }
    }

    /// The zones that serve a request.
    pub(crate) const fn serving(zone: Zone) -> Zones {
        Zones(zones_for(zone))
    }

    pub(crate) const fn alone(self) -> Zones {
        Zones(1 << self.at())
    }
}

impl fmt::Display for ZoneKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Some zones: bit n for the one at place n.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Zones(pub(super) u32);

/// The zones that a request may use: bit n for the one at place n. The highest comes first.
pub(super) const fn zones_for(zone: Zone) -> u32 {
    match zone {
        Zone::Any => 1 << HIGH | 1 << LOW,
        Zone::Low32 => 1 << LOW,
        Zone::Movable => 1 << MOVABLE | 1 << HIGH | 1 << LOW,
    }
}

/// How a zone of a node stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ZoneInfo {
    /// The node.
    pub node: NodeId,
    /// Which of its zones.
    pub zone: ZoneKind,
    /// Its frames, but for those that are reserved or out.
    pub managed: u64,
    /// Those that are free, in CPUs' stocks as well.
    pub free: u64,
    /// Its share of [`Watermarks::min`].
    pub min: u64,
    /// Its share of [`Watermarks::low`].
    pub low: u64,
    /// Its share of [`Watermarks::high`].
    pub high: u64,
    /// The free frames that requests for [`Zone::Any`] must leave, beyond a mark.
    pub reserve_any: u64,
    /// The same for [`Zone::Movable`].
    pub reserve_movable: u64,
}

/// How deep a request may dig.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wmark {
    /// It leaves `low`.
    Low,
    /// It leaves `min`.
    Min,
    /// It leaves the reserve alone.
    None,
}

impl Wmark {
    const ALL: [Self; 3] = [Self::Low, Self::Min, Self::None];

    /// The marks that a request tries one after the other that may dig so deep.
    pub(super) fn down_to(self) -> impl Iterator<Item = Self> {
        let deepest = Self::ALL.iter().position(|mark| *mark == self).unwrap_or(0);
        Self::ALL.into_iter().take(deepest + 1)
    }
}

/// What all nodes are to have: what a machine's tuning says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Wanted {
    pub(super) marks: Watermarks,
    pub(super) reserve: LowmemReserve,
}

/// A zone's share.
#[derive(Clone, Copy, Hash, Debug, Default)]
pub(super) struct Share {
    pub(super) min: u64,
    pub(super) low: u64,
    pub(super) high: u64,
    pub(super) reserve_any: u64,
    pub(super) reserve_movable: u64,
}

impl Share {
    pub(super) const NONE: Self =
        Self { min: 0, low: 0, high: 0, reserve_any: 0, reserve_movable: 0 };

    /// The free frames that such a request must leave whatever happens.
    pub(super) const fn reserve(&self, zone: Zone) -> u64 {
        match zone {
            Zone::Any => self.reserve_any,
            Zone::Low32 => 0,
            Zone::Movable => self.reserve_movable,
        }
    }

    /// Those that it leaves if it digs no deeper than this mark.
    pub(super) fn floor(&self, zone: Zone, mark: Wmark) -> u64 {
        let mark = match mark {
            Wmark::Low => self.low.max(self.min),
            Wmark::Min => self.min,
            Wmark::None => 0,
        };
        mark.saturating_add(self.reserve(zone))
    }

    /// Whether a batch of so many for a stock may come from a zone with so many free frames.
    pub(super) fn gives(&self, zone: Zone, free: u64, most: u64) -> bool {
        let low = self.low.max(self.min);
        self.reserve(zone) == 0 && (low == 0 || free >= most.saturating_add(low))
    }
}

/// What zones of these sizes have each, which are those of one node.
pub(super) fn shares(sizes: [u64; ZONES], wanted: &Wanted) -> [Share; ZONES] {
    let all: u64 = sizes.iter().sum();
    let mut below = 0;
    core::array::from_fn(|at| {
        let above = |to: u32| -> u64 { sizes[at + 1..=to as usize].iter().sum() };
        let upto = below + sizes[at];
        let part = |mark: u64, of: u64| {
            u64::try_from(u128::from(mark) * u128::from(of) / u128::from(all.max(1)))
                .unwrap_or(u64::MAX)
        };
        // INV-ZONE-3: the parts up to each zone are rounded, not each zone's.
        let share = |mark| part(mark, upto) - part(mark, below);
        let ratio = match at as u32 {
            LOW => wanted.reserve.dma32,
            HIGH => wanted.reserve.normal,
            _ => 0,
        };
        let reserve = |to: u32| match ratio {
            0 => 0,
            _ if sizes[at] == 0 || to <= at as u32 => 0,
            _ => above(to) / u64::from(ratio),
        };
        let Watermarks { min, low, high } = wanted.marks;
        let share = Share {
            min: share(min),
            low: share(low),
            high: share(high),
            reserve_any: reserve(HIGH),
            reserve_movable: reserve(MOVABLE),
        };
        below = upto;
        share
    })
}
