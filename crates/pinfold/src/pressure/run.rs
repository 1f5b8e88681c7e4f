//! Runs of frames for the embedder, who can wait until pages have left for them.
//!
//! Protocol: a run is taken above `min` (`frame`'s `zones`), or pages that lie in such memory leave
//! in a turn of [`super`], and it is tried again: INV-PRESSURE-2.

use core::fmt;

use super::{RETRIES, Reach, Search};
use crate::frame::{MAX_ORDER, NewFrames, Placement, Zone};
use crate::memory::Memory;
use crate::platform::Platform;

/// The highest order of a run for which reclaim goes on and on: above, it would have to make too
/// many of single frames. Linux: PAGE_ALLOC_COSTLY_ORDER.
const COSTLY_ORDER: u32 = 3;

/// Why [`Memory::take_run`] has no run of frames: nothing that lies there can leave memory any
/// more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRun {
    /// log2 of the number of frames.
    pub order: u32,
    /// Where they were to lie.
    pub placement: Placement,
    /// In which part of memory.
    pub zone: Zone,
}

impl fmt::Display for NoRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { order, placement, zone } = self;
        if *order > MAX_ORDER {
            return write!(
                f,
                "a run has at most 2^{MAX_ORDER} frames, not 2^{order}: ask for less"
            );
        }
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
        write!(
            f,
            " has no run of 2^{order} frames above its mark and its reserve, and no page there can \
             leave: give some back, or a swap device room"
        )
    }
}

impl core::error::Error for NoRun {}

impl<P: Platform> Memory<P> {
    /// Takes a run of frames for the embedder's own use, as [`Frames::take_run`], for one who can
    /// wait and holds no lock that reclaim may want (INV-PRESSURE-1): where there is none above
    /// `min`, pages that lie in such memory are taken out until there is. Runs of more than 8
    /// frames come of that by chance, and are asked for once more only.
    ///
    /// # Errors
    /// When there is no such run and nothing can leave: names what was asked for.
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
        let most = if order > COSTLY_ORDER { 1 } else { RETRIES };
        let mut tries = 0;
        loop {
            if let Ok(run) = self.frames().take_run_above_min(order, placement, zone) {
                return Ok(run);
            }
            let relieved = self.frames().has_lists()
                && order <= MAX_ORDER
                && tries < most
                && self.stall((self.goal(tries).max(1 << order), &[zone]), search);
            if !relieved {
                return Err(NoRun { order, placement, zone });
            }
            tries += 1;
        }
    }
}
