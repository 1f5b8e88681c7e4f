//! Which address spaces map a large folio: how many of its mappings are of each of two of them
//! (facts 5.5).
//!
//! The two are told apart from all others by the number of the address space. A third has no place:
//! from then on the folio may be shared, until one of the two has all mappings that are left. So
//! "shared" may be untrue after more than two, "not shared" never.

use crate::addr::SpaceId;

/// Of the first word: several may map the folio.
const SHARED: u64 = 1 << 63;
const COUNT_BITS: u32 = 16;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// Larger numbers of address spaces have no place.
const LAST_ID: u64 = (SHARED >> COUNT_BITS) - 1;

/// The place of one address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    /// Zero: free.
    id: u64,
    maps: u32,
}

/// What a large folio knows of those who map it, as its two words hold it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Owners {
    places: [Place; 2],
    shared: bool,
}

impl Place {
    const FREE: Self = Self { id: 0, maps: 0 };

    const fn of_bits(bits: u64) -> Self {
        Self { id: (bits & !SHARED) >> COUNT_BITS, maps: (bits & COUNT_MASK) as u32 }
    }

    const fn bits(self) -> u64 {
        self.id << COUNT_BITS | self.maps as u64
    }

    /// `maps` mappings of an address space, if it can have a place.
    fn new(space: SpaceId, maps: u32) -> Option<Self> {
        (1..=LAST_ID).contains(&space.0).then_some(Self { id: space.0, maps })
    }
}

impl Owners {
    /// Those of a folio that `space` alone maps, by so many entries.
    pub(super) fn sole(space: SpaceId, maps: u32) -> Self {
        let mut owners = Self { places: [Place::FREE; 2], shared: false };
        owners.add(space, maps, 0);
        owners
    }

    pub(super) const fn from_words(words: [u64; 2]) -> Self {
        let [first, second] = words;
        let places = [Place::of_bits(first), Place::of_bits(second)];
        Self { places, shared: first & SHARED != 0 }
    }

    pub(super) const fn words(self) -> [u64; 2] {
        let shared = if self.shared { SHARED } else { 0 };
        [self.places[0].bits() | shared, self.places[1].bits()]
    }

    /// Whether the first word says that several may map the folio.
    pub(super) const fn is_shared(first: u64) -> bool {
        first & SHARED != 0
    }

    fn place_of(&mut self, space: SpaceId) -> Option<&mut Place> {
        self.places.iter_mut().find(|place| place.id != 0 && place.id == space.0)
    }

    /// So many mappings more of an address space; `others` are there.
    pub(super) fn add(&mut self, space: SpaceId, maps: u32, others: u32) {
        if let Some(place) = self.place_of(space) {
            place.maps += maps;
            return;
        }
        if others > 0 {
            self.shared = true;
        }
        let free = self.places.iter_mut().find(|place| place.id == 0);
        match (free, Place::new(space, maps)) {
            (Some(free), Some(place)) => *free = place,
            _ => self.shared = true,
        }
    }

    /// So many mappings less of an address space; `left` are there.
    pub(super) fn sub(&mut self, space: SpaceId, maps: u32, left: u32) {
        if let Some(place) = self.place_of(space) {
            place.maps = place.maps.saturating_sub(maps);
            if place.maps == 0 {
                *place = Place::FREE;
            }
        }
        if left == 0 || self.places.iter().any(|place| place.maps == left) {
            self.shared = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(owners: Owners) -> bool {
        assert_eq!(Owners::from_words(owners.words()), owners);
        Owners::is_shared(owners.words()[0])
    }

    #[test]
    fn two_are_counted_exactly() {
        let mut owners = Owners::sole(SpaceId(7), 4);
        assert!(!shared(owners));
        owners.add(SpaceId(9), 4, 4);
        assert!(shared(owners));
        owners.sub(SpaceId(7), 3, 5);
        assert!(shared(owners));
        owners.sub(SpaceId(7), 1, 4);
        assert!(!shared(owners));
        owners.sub(SpaceId(9), 4, 0);
        assert_eq!(owners, Owners { places: [Place::FREE; 2], shared: false });
    }

    #[test]
    fn a_third_makes_it_shared_until_one_of_the_counted_has_all() {
        let mut owners = Owners::sole(SpaceId(1), 2);
        owners.add(SpaceId(2), 2, 2);
        owners.add(SpaceId(3), 2, 4);
        owners.sub(SpaceId(2), 2, 4);
        assert!(shared(owners), "the third is not counted");
        owners.sub(SpaceId(3), 2, 2);
        assert!(!shared(owners));
    }

    #[test]
    fn what_an_uncounted_one_keeps_alone_stays_shared() {
        let mut owners = Owners::sole(SpaceId(1), 2);
        owners.add(SpaceId(2), 2, 2);
        owners.add(SpaceId(3), 2, 4);
        owners.sub(SpaceId(1), 2, 4);
        owners.sub(SpaceId(2), 2, 2);
        assert!(shared(owners));
        owners.sub(SpaceId(3), 2, 0);
        assert!(!shared(owners));
    }

    #[test]
    fn a_number_that_does_not_fit_has_no_place() {
        let last = SpaceId(LAST_ID);
        assert!(!shared(Owners::sole(last, 1)));
        assert!(shared(Owners::sole(SpaceId(LAST_ID + 1), 1)));
        let mut owners = Owners::sole(SpaceId(1), 1);
        owners.add(SpaceId(LAST_ID + 1), 1, 1);
        assert!(shared(owners));
    }
}
