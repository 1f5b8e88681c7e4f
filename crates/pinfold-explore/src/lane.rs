//! Lanes as values: those that a subject adds, and sets of them.

/// The most lanes that an execution may have at a time, including those that lanes start.
pub const MAX_LANES: usize = 32;

/// Where a subject adds its lanes.
pub struct Lanes<'a> {
    list: &'a mut Vec<NewLane>,
}

/// A lane that has not started.
pub(crate) struct NewLane {
    pub(crate) name: String,
    pub(crate) body: Box<dyn FnOnce()>,
}

impl<'a> Lanes<'a> {
    pub(crate) fn new(list: &'a mut Vec<NewLane>) -> Self {
        Self { list }
    }

    /// Adds a lane that runs `body`. At most [`MAX_LANES`] lanes are possible; more make the
    /// exploration fail.
    pub fn lane(&mut self, name: impl Into<String>, body: impl FnOnce() + 'static) {
        self.list.push(NewLane { name: name.into(), body: Box::new(body) });
    }
}

/// A set of lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LaneSet(u32);

impl LaneSet {
    pub(crate) fn one(lane: usize) -> Self {
        Self(1 << lane)
    }

    /// The lanes as bits; lane 0 is the lowest bit.
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(crate) fn insert(&mut self, lane: usize) {
        self.0 |= 1 << lane;
    }

    pub(crate) fn remove(&mut self, lane: usize) {
        self.0 &= !(1 << lane);
    }

    pub(crate) fn contains(self, lane: usize) -> bool {
        lane < MAX_LANES && self.0 & (1 << lane) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as usize)
    }

    /// The lanes in ascending order.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let lane = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(lane)
        })
    }
}

impl std::ops::BitOr for LaneSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitAnd for LaneSet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}
