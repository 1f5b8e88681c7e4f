//! Bounds and sets of which futures are made.

use crate::lane::LaneSet;

/// The most lanes for which states are remembered.
pub(in crate::search) const LANES: usize = 8;
/// The members of a set that are told apart. Others are taken for not being in it.
const MEMBERS: usize = 256;

/// How many steps, or how much time, of each lane is known.
pub(in crate::search) type Bound = [u16; LANES];

/// A bound below a clock.
pub(in crate::search) fn below(clock: &[u32]) -> Bound {
    let mut bound = Bound::default();
    for (low, &known) in bound.iter_mut().zip(clock) {
        *low = u16::try_from(known).unwrap_or(u16::MAX);
    }
    bound
}

/// A set of sources, or of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::search) struct Members([u64; MEMBERS / 64]);

impl Members {
    /// All of them.
    pub(in crate::search) const ALL: Self = Self([u64::MAX; MEMBERS / 64]);

    pub(in crate::search) fn insert(&mut self, member: usize) {
        if let Some(word) = self.0.get_mut(member / 64) {
            *word |= 1 << (member % 64);
        }
    }

    pub(super) fn remove(&mut self, member: usize) {
        if let Some(word) = self.0.get_mut(member / 64) {
            *word &= !(1 << (member % 64));
        }
    }

    pub(super) fn keep(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine &= theirs);
    }

    pub(in crate::search) fn contains(self, member: usize) -> bool {
        self.0.get(member / 64).is_some_and(|word| word & (1 << (member % 64)) != 0)
    }

    /// The members in ascending order.
    pub(in crate::search) fn iter(self) -> impl Iterator<Item = usize> {
        (0..MEMBERS).filter(move |&member| self.contains(member))
    }
}

/// A set of small numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::search) struct Marks(Vec<u64>);

impl Marks {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(in crate::search) fn insert(&mut self, number: usize) {
        if self.0.len() <= number / 64 {
            self.0.resize(number / 64 + 1, 0);
        }
        self.0[number / 64] |= 1 << (number % 64);
    }

    pub(super) fn remove(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word &= !(1 << (number % 64));
        }
        // Two equal sets have as many words.
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    pub(in crate::search) fn join(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    pub(in crate::search) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let within = |word: u64| (0..64).filter(move |bit| word & (1 << bit) != 0);
        self.0
            .iter()
            .enumerate()
            .flat_map(move |(at, &word)| within(word).map(move |bit| 64 * at + bit))
    }
}

/// Makes a bound the least one above both.
pub(in crate::search) fn raise(bound: &mut Bound, other: &Bound) {
    bound.iter_mut().zip(other).for_each(|(mine, &theirs)| *mine = (*mine).max(theirs));
}

/// The lanes of whose steps after a state a bound has at least one.
pub(in crate::search) fn past(bound: &Bound, state: &Bound) -> LaneSet {
    let mut lanes = LaneSet::default();
    for lane in (0..LANES).filter(|&lane| bound[lane] > state[lane]) {
        lanes.insert(lane);
    }
    lanes
}
