//! A state on the way to the current one.

use crate::{
    lane::LaneSet,
    ledger::Digest,
    memory::Picture,
    search::{
        Past,
        future::{Bound, Entry, Future, below, raise},
    },
};

/// See the module.
#[derive(Default)]
pub(super) struct Stage {
    /// Its key, if the search remembers states and this one can have a key.
    pub(super) key: Option<Digest>,
    /// The lanes that slept when it was reached.
    pub(super) asleep: LaneSet,
    /// How many steps each lane had made.
    pub(super) steps: Bound,
    /// The time of each lane.
    pub(super) time: Bound,
    pub(super) whole: Whole,
    /// What decides what may follow, under the weaker models.
    pub(super) picture: Option<Picture>,
    /// What waiting lanes wait for, by number.
    pub(super) awaited: Vec<usize>,
    /// What followed it in the executions that were made from here.
    pub(super) future: Future,
    /// What the step that was made here does in its present form, as futures have it.
    pub(super) entries: Vec<Entry>,
}

/// Whether everything that follows a state is known once its node is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Whole {
    #[default]
    No,
    Yes,
}

impl Stage {
    /// Up to what time of each lane what `lane` does later knows, if by then it knows of a later
    /// time of the lanes `after`.
    pub(super) fn known(&self, past: Past<'_>, lane: usize, after: LaneSet) -> Bound {
        let mut known = Bound::default();
        for other in 0..past.ledger.lane_count() {
            if other == lane || after.contains(other) {
                raise(&mut known, &below(past.memory.known(other)));
            }
        }
        for other in after.iter() {
            known[other] = known[other].max(self.time[other].saturating_add(1));
        }
        known
    }
}
