//! The lanes of one execution: their places and their numbers.
//!
//! A number is a lane's for good and goes by the order of starting. Sets of lanes and clocks know
//! lanes by their places, of which there are [`MAX_LANES`].
//!
//! INV-ROSTER-1: a place is given to another lane only by one that knows all that was done there,
//! so that what was done at a place is ordered as if one lane had done it.

use crate::{lane::MAX_LANES, op::Op, search::Touch};
use corosensei::Yielder;

/// What there is to know of the lane at one place.
pub(super) struct Berth {
    /// The number of the lane that is there, or was last.
    pub(super) number: usize,
    pub(super) ended: bool,
    /// What it has announced and not made.
    pub(super) pending: Option<Op>,
    /// What the real cell held when it announced its access.
    pub(super) contents: u64,
    /// Whether something of it went by unseen.
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
            unseen: false,
            yielder: std::ptr::null(),
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Roster {
    pub(super) berths: Vec<Berth>,
    /// What the announced accesses touch, by place.
    pub(super) touches: Vec<Option<Touch>>,
    /// By number: the name, and the place.
    lanes: Vec<(String, usize)>,
}

impl Roster {
    pub(super) fn clear(&mut self) {
        self.berths.clear();
        self.touches.clear();
        self.lanes.clear();
    }

    /// Adds a lane at a place that `is_over` says is free, or at a new one. Returns the place, if
    /// there is one, and the number.
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

    /// How many lanes there have been.
    pub(super) fn count(&self) -> usize {
        self.lanes.len()
    }

    /// The name of the lane of a number.
    pub(super) fn name(&self, number: usize) -> &str {
        &self.lanes[number].0
    }

    /// The names of all lanes, by number.
    pub(super) fn names(&self) -> Vec<String> {
        self.lanes.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The name of the lane that is at a place.
    pub(super) fn name_at(&self, place: usize) -> &str {
        self.name(self.berths[place].number)
    }

    /// Whether the lane of a number has ended.
    pub(super) fn has_ended(&self, number: usize) -> bool {
        let berth = &self.berths[self.lanes[number].1];
        berth.number != number || berth.ended
    }
}
