//! Runs of frames for the embedder, who can wait until pages have left for them.
//!
//! Protocol: a run is taken above `min` (`frame`'s `zones`), or pages that lie in such memory leave
//! in a turn of [`super`], and it is tried again: INV-PRESSURE-2.

use core::fmt;

use super::{RETRIES, Reach, Relief, Search};
use crate::frame::{MAX_ORDER, NewFrames, Placement, Zone};
use crate::memory::Memory;
use crate::platform::Platform;

/// The highest order of a run for which reclaim goes on and on: above, it would have to make too
/// many of single frames. Linux: PAGE_ALLOC_COSTLY_ORDER.
const COSTLY_ORDER: u32 = 3;

/// [`Memory::take_run`] has no run of frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRun {
    /// log2 of the number of frames.
    pub order: u32,
    /// Where they were to lie.
    pub placement: Placement,
    /// In which part of memory.
    pub zone: Zone,
    /// Why there is none.
    pub reason: NoRunReason,
}

/// Why there is no run of frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoRunReason {
    /// No run has so many frames.
    Order,
    /// There is no such node.
    NoNode,
    /// Nothing that lies there can leave memory any more.
    NothingLeaves,
    /// Pages have left, and what is free does not lie together, or is others' already.
    Scattered,
}

impl fmt::Display for NoRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { order, placement, zone, reason } = self;
        let (Placement::Only(node) | Placement::Prefer(node)) = placement;
        let advice = match reason {
            NoRunReason::Order => {
                return write!(
                    f,
                    "a run has at most 2^{MAX_ORDER} frames, not 2^{order}: ask for less"
                );
            }
            NoRunReason::NoNode => {
                return write!(f, "there is no {node}: name one that has memory");
            }
            NoRunReason::NothingLeaves => {
                "no page there can leave: give some back, or a swap device room"
            }
            NoRunReason::Scattered if *order == 0 => {
                "others have what pages there left: try again, or have fewer share it"
            }
            NoRunReason::Scattered => {
                "what is free there does not lie together: ask for smaller runs"
            }
        };
        let part = match zone {
            Zone::Any => "memory that is not set apart as movable",
            Zone::Low32 => "memory below 4 GiB",
            Zone::Movable => "memory",
        };
        write!(f, "{part} of ")?;
        match placement {
            Placement::Only(node) => node.fmt(f)?,
            Placement::Prefer(_) => f.write_str("any node")?,
        }
        write!(f, " has no run of 2^{order} frames above its mark and its reserve, and {advice}")
    }
}

impl core::error::Error for NoRun {}

impl<P: Platform> Memory<P> {
    /// Takes a run of frames for the embedder's own use, as [`Frames::take_run`], for one who can
    /// wait and holds no lock that reclaim may want (INV-PRESSURE-1): where there is none above
    /// `min`, pages that lie in such memory are taken out until there is. Runs of more than 8
    /// frames come of that by chance, and are asked for once more only after a turn of the
    /// caller's own.
    ///
    /// # Errors
    /// When there is no such run: names what was asked for, and why.
    ///
    /// [`Frames::take_run`]: crate::Frames::take_run
    pub fn take_run(
        &self,
        order: u32,
        placement: Placement,
        zone: Zone,
    ) -> Result<NewFrames<'_>, NoRun> {
        let search = match placement {
            Placement::Only(node) => Search { node, reach: Reach::Near },
            Placement::Prefer(node) => Search { node, reach: Reach::Any },
        };
        let none = |reason| Err(NoRun { order, placement, zone, reason });
        if order > MAX_ORDER {
            return none(NoRunReason::Order);
        }
        if search.reach == Reach::Near && !self.frames().has_node(search.node) {
            return none(NoRunReason::NoNode);
        }
        let most = if order > COSTLY_ORDER { 1 } else { RETRIES };
        let mut own = 0;
        for tries in 0..=RETRIES {
            if let Ok(run) = self.frames().take_run_above_min(order, placement, zone) {
                return Ok(run);
            }
            if !self.frames().has_lists() {
                return none(NoRunReason::NothingLeaves);
            }
            if tries == RETRIES || own == most {
                break;
            }
            match self.stall((self.goal(own).max(1 << order), &[zone]), search) {
                Relief::None => return none(NoRunReason::NothingLeaves),
                Relief::Own => own += 1,
                Relief::Anothers => {}
            }
        }
        none(NoRunReason::Scattered)
    }
}
