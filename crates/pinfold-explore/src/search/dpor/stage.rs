//! A state on the way to the current one.

use crate::{
    lane::LaneSet,
    ledger::Digest,
    search::{
        Past,
        future::{Bound, Deed, Event, below, raise},
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
    pub(super) picture: Option<std::rc::Rc<crate::memory::Picture>>,
    /// What waiting lanes wait for.
    pub(super) awaited: Vec<(crate::ledger::Name, u32)>,
}

/// Whether everything that follows a state is known once its node is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Whole {
    #[default]
    No,
    Yes,
}

impl Stage {
    /// A hash of what decides what may follow, if what follows is among these events.
    pub(super) fn scoped(&self, events: &mut dyn Iterator<Item = Event>) -> Digest {
        let Some(picture) = &self.picture else { return Digest::default() };
        let mut scope = self.awaited.clone();
        scope.extend(events.filter_map(|event| match event.deed {
            Deed::Cell(_) | Deed::Lock(_) => Some((event.name, 1 << event.lane)),
            Deed::Reach(_) => None,
        }));
        scope.sort_unstable();
        scope.dedup_by(|next, first| {
            let same = next.0 == first.0;
            if same {
                first.1 |= next.1;
            }
            same
        });
        picture.digest(&scope)
    }

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
