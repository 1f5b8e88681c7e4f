//! The lanes of one execution: their places and their numbers.
//!
//! A lane keeps its number for good; numbers follow the order in which lanes start. Sets of lanes
//! and clocks identify lanes by their places, of which there are [`MAX_LANES`].
//!
//! INV-ROSTER-1: a place is given to another lane only by a lane that knows of everything that was
//! done there, so that everything done at a place is ordered as if one lane had done it.

use crate::{lane::MAX_LANES, op::Op, search::Touch};
use corosensei::Yielder;

/// What a lane looks at of the result of its access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sight {
    #[default]
    Whole,
    /// A class that it will tell.
    Class,
}

/// All that is kept about the lane at one place.
pub(super) struct Berth {
    /// The number of the lane that is there, or was there last.
    pub(super) number: usize,
    pub(super) ended: bool,
    /// The access that it has announced and not yet made.
    pub(super) pending: Option<Op>,
    /// What the real cell held when it announced its access.
    pub(super) contents: u64,
    /// What it looks at of the result.
    pub(super) sight: Sight,
    /// Whether the explorer missed something that it did.
    pub(super) unseen: bool,
    pub(super) yielder: *const Yielder<(), ()>,
}

impl Berth {
    fn new(number: usize) -> Self {
        Self {
            number,
            ended: false,
            pending: None,
            contents: 0,
            sight: Sight::Whole,
            unseen: false,
            yielder: std::ptr::null(),
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Roster {
    pub(super) berths: Vec<Berth>,
    /// What the announced accesses touch, by place of the lane.
    pub(super) touches: Vec<Option<Touch>>,
    /// The name and the place of each lane, by number.
    lanes: Vec<(String, usize)>,
}

impl Roster {
    pub(super) fn clear(&mut self) {
        self.berths.clear();
        self.touches.clear();
        self.lanes.clear();
    }

    /// Adds a lane at a place that is free according to `is_over`, or at a new one. Returns the
    /// place, if there is one, and the number.
    pub(super) fn add(
        &mut self,
        name: String,
        is_over: impl Fn(usize) -> bool,
    ) -> (Option<usize>, usize) {
        let number = self.lanes.len();
        let over = |&place: &usize| self.berths[place].ended && is_over(place);
        let place = (0..self.berths.len()).find(over).unwrap_or(self.berths.len());
        self.lanes.push((name, place));
        if place == MAX_LANES {
            return (None, number);
        }
        if place == self.berths.len() {
            self.berths.push(Berth::new(number));
            self.touches.push(None);
        } else {
            self.berths[place] = Berth::new(number);
        }
        (Some(place), number)
    }

    /// How many lanes have existed.
    pub(super) fn count(&self) -> usize {
        self.lanes.len()
    }

    /// The name of the lane with this number.
    pub(super) fn name(&self, number: usize) -> &str {
        &self.lanes[number].0
    }

    /// The names of all lanes, by number.
    pub(super) fn names(&self) -> Vec<String> {
        self.lanes.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The name of the lane at a place.
    pub(super) fn name_at(&self, place: usize) -> &str {
        self.name(self.berths[place].number)
    }

    /// Whether the lane with this number has ended.
    pub(super) fn has_ended(&self, number: usize) -> bool {
        let berth = &self.berths[self.lanes[number].1];
        berth.number != number || berth.ended
    }
}
