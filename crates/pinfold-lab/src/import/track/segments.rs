//! Shared memory by number (shmget), and memory that is mapped a second time.
//!
//! INV-SEGMENT-1: a segment is one mapping, wherever and however often it is attached: its pages
//! are the same.

use super::super::gap::Gap;
use super::super::pending::Segment;
use super::super::space::{Kind, Piece, pages};
use super::{Call, MOST_OPS, Tracker};

impl Tracker {
    /// shmget: a segment's number and length.
    pub(super) fn segment(&mut self, call: &Call<'_>) {
        let Some(bytes) = call.number(1) else { return };
        if self.segments.len() >= MOST_OPS || self.segments.contains_key(&call.result) {
            return;
        }
        self.mappings = self.mappings.saturating_add(1);
        let segment = Segment { bytes, mapping: self.mappings, first: None };
        self.segments.insert(call.result, segment);
    }

    /// shmat: the segment's pages are mapped there.
    pub(super) fn attach(&mut self, thread: usize, call: &Call<'_>) {
        let known = call.number(0).and_then(|number| self.segments.get_mut(&number));
        let area = known.as_ref().and_then(|known| pages(call.result, known.bytes));
        let (Some(known), Some(area)) = (known, area) else {
            self.leave("shmat of a segment that the recording does not make", Gap::Dropped);
            return;
        };
        let first = *known.first.get_or_insert(area.0);
        let piece = Piece::new(known.mapping, Kind::Shared).moved(first, area.0);
        let mapping = known.mapping;
        self.mapped(thread, call.line, area, (piece, mapping));
    }

    /// shmdt: what was attached there is gone.
    pub(super) fn detach(&mut self, thread: usize, call: &Call<'_>) {
        let space = self.living[&thread].space;
        let Some(at) = call.number(0).and_then(|at| pages(at, 1)) else { return };
        let found = self.spaces.get(&space).and_then(|space| space.find(at).pop());
        let mapping = found.map(|(range, _)| range.mapping);
        let segment = self.segments.values().find(|one| Some(one.mapping) == mapping).copied();
        let area = segment.and_then(|segment| pages(call.number(0)?, segment.bytes));
        match area {
            Some(area) => self.unmap(thread, call.line, area),
            None => self.leave("shmdt of what was not seen to be attached", Gap::Dropped),
        }
    }
}
