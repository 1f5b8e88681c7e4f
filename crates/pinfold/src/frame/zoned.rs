//! How the zones of the nodes stand, and what they are to keep: the protocol of `zones`.

use super::frames::Frames;
use super::source::Zone;
use super::zones::{
    LowmemReserve, Wanted, Watermarks, Wmark, ZONES, ZoneInfo, ZoneKind, zones_for,
};
use crate::addr::NodeId;

impl Frames {
    /// How a zone of a node stands; nothing, if the node has no such memory, or the free frames
    /// have an outside owner, who alone knows.
    pub fn zone_info(&self, node: NodeId, zone: ZoneKind) -> Option<ZoneInfo> {
        let lock = self.store.nodes().get(usize::from(node.0))?;
        let locked = lock.lock();
        let (managed, free, share) = locked.zone(zone.at());
        if managed == 0 || self.outside.is_some() {
            return None;
        }
        let held = self.stocks.as_ref().map_or(0, |stocks| stocks.held(&locked, node, zone.at()));
        Some(ZoneInfo {
            node,
            zone,
            managed,
            free: free + held,
            min: share.min,
            low: share.low,
            high: share.high,
            reserve_any: share.reserve_any,
            reserve_movable: share.reserve_movable,
        })
    }

    /// How all zones of a node stand that have memory, the lowest first: [`Frames::zone_info`].
    pub fn zones(&self, node: NodeId) -> impl Iterator<Item = ZoneInfo> + '_ {
        ZoneKind::ALL.into_iter().filter_map(move |zone| self.zone_info(node, zone))
    }

    /// Whether a request for one frame of a node finds a zone there that keeps its share of
    /// [`Watermarks::min`], beyond its reserve, when it is served: one that has nothing does not,
    /// whatever its share.
    pub(crate) fn has_min(&self, node: NodeId, zone: Zone) -> bool {
        let Some(lock) = self.store.nodes().get(usize::from(node.0)) else { return false };
        let locked = lock.lock();
        let held = |at| self.stocks.as_ref().map_or(0, |stocks| stocks.held(&locked, node, at));
        (0..ZONES as u32).filter(|at| zones_for(zone) >> at & 1 != 0).any(|at| {
            let (managed, free, share) = locked.zone(at);
            let floor = share.floor(zone, Wmark::Min);
            // Mostly without a look at each CPU's stock.
            managed > 0 && (free > floor || free + held(at) > floor)
        })
    }

    /// Has all nodes keep so many frames free, and their zones such reserves.
    pub(crate) fn keep_free(&mut self, marks: Watermarks, reserve: LowmemReserve) {
        self.wanted = Wanted { marks, reserve };
        self.is_bounded = self.wanted != Wanted::default();
        for id in 0..self.store.nodes().len() {
            self.share_out(NodeId(id as u8));
        }
    }

    /// Shares out what a node is to have, whose memory has become more or less. Its stocks may be
    /// of a zone that keeps more from those whom they serve than before: INV-ZONE-1.
    pub(super) fn share_out(&self, id: NodeId) {
        if self.is_bounded {
            let mut node = self.store.nodes()[usize::from(id.0)].lock();
            self.recall(&mut node, id);
            node.share_out(&self.wanted);
        }
    }
}

#[cfg(test)]
mod tests;
