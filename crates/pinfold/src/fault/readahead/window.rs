//! How many pages beside one that a fault reads are read with it, and on which side: by what became
//! of those that were read before (facts 7.2). Values alone: who keeps them is above.
//!
//! Invariants:
//! - INV-WINDOW-1: a window has the page of its fault, and at most as many pages as it may.

use core::ops::Range;

use crate::addr::Vpn;

/// What is remembered of the last window of an area.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Last {
    /// The page of its fault, or the last that was asked for of those that were read ahead: as many
    /// low bits of the number as there is room for.
    page: u64,
    /// How many pages it had; zero, if there was none.
    window: u64,
    /// How many pages that were read ahead were asked for since.
    hits: u64,
}

/// How many bits of the word say what.
const HIT_BITS: u32 = 8;
const WINDOW_BITS: u32 = 10;

/// The most pages of a window: as many as a last-level table of 4 KiB has.
const MOST: u64 = 1 << (WINDOW_BITS - 1);

/// What an area has that has not read ahead yet: enough for a window of eight (Linux: 4).
const TRUST: u64 = 4;

/// The least that a window has of which one page was asked for.
const LEAST: u64 = 4;

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

const fn low(page: Vpn) -> u64 {
    page.0 & mask(u64::BITS - HIT_BITS - WINDOW_BITS)
}

impl Last {
    /// What a word says; of one that was never written, that there was none.
    pub(super) const fn from_bits(bits: u64) -> Self {
        if bits == 0 {
            return Self { page: 0, window: 0, hits: TRUST };
        }
        let (hits, window) = (bits & mask(HIT_BITS), bits >> HIT_BITS & mask(WINDOW_BITS));
        Self { page: bits >> (HIT_BITS + WINDOW_BITS), window, hits }
    }

    /// The word that says this.
    pub(super) const fn bits(self) -> u64 {
        self.page << (HIT_BITS + WINDOW_BITS) | self.window << HIT_BITS | self.hits
    }

    /// A page that was read ahead is asked for: who goes on from there goes on from it.
    #[must_use]
    pub(super) const fn hit(self, page: Vpn) -> Self {
        let hits = if self.hits < mask(HIT_BITS) { self.hits + 1 } else { self.hits };
        Self { page: low(page), hits, ..self }
    }

    /// The window of a fault that reads a page, of at most 2^`order` pages, and what is remembered
    /// of it.
    pub(super) fn next(self, page: Vpn, order: u32) -> (Range<Vpn>, Self) {
        let most = if order < WINDOW_BITS { (1 << order).min(MOST) } else { MOST };
        let low = low(page);
        let was = self.window > 0;
        let (after, before) = (was && low == self.page + 1, was && low + 1 == self.page);
        let wanted = match self.hits {
            0 if after || before => 2,
            0 => 1,
            hits => (hits + 2).next_power_of_two().max(LEAST),
        };
        // It closes slowly: half of what it was stays open.
        let window = wanted.max(self.window / 2).clamp(1, most);
        let first = match (after, before) {
            (true, _) => page.0,
            (_, true) => (page.0 + 1).saturating_sub(window),
            _ => page.0.saturating_sub((window - 1) / 2),
        };
        (Vpn(first)..Vpn(first + window), Self { page: low, window, hits: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::{Last, MOST};
    use crate::addr::Vpn;

    /// The windows of faults on these pages, of each its first page and how many it has, where so
    /// many pages are asked for after each.
    fn windows(pages: &[u64], hits: u64, order: u32) -> std::vec::Vec<(u64, u64)> {
        let mut last = Last::from_bits(0);
        let window = |page: &u64| {
            let (window, next) = last.next(Vpn(*page), order);
            last = (0..hits).fold(Last::from_bits(next.bits()), |last, _| last.hit(Vpn(*page)));
            (window.start.0, window.end.0 - window.start.0)
        };
        pages.iter().map(window).collect()
    }

    #[test]
    fn what_nobody_asks_for_closes_the_window_by_halves_and_what_is_asked_for_opens_it() {
        let apart = [100, 200, 300, 400, 500];
        assert_eq!(windows(&apart, 0, 3), [(97, 8), (199, 4), (300, 2), (400, 1), (500, 1)]);
        assert_eq!(windows(&apart, 1, 3), [(97, 8), (199, 4), (299, 4), (399, 4), (499, 4)]);
        assert_eq!(windows(&apart, 3, 3), [(97, 8), (197, 8), (297, 8), (397, 8), (497, 8)]);
        assert_eq!(windows(&apart, 9, 5)[1..3], [(193, 16), (293, 16)]);
    }

    #[test]
    fn a_window_lies_before_who_goes_on_and_behind_who_goes_back() {
        assert_eq!(windows(&[100, 101, 102], 0, 3), [(97, 8), (101, 4), (102, 2)]);
        assert_eq!(windows(&[100, 99, 98], 0, 3), [(97, 8), (96, 4), (97, 2)]);
        assert_eq!(windows(&[2, 1, 0], 0, 3), [(0, 8), (0, 4), (0, 2)]);
    }

    /// Each fault of a walk asks for all that was read ahead for it, on the side to which it goes.
    #[test]
    fn the_window_of_a_walk_opens_and_lies_before_it() {
        let walk = |goes_on: bool| {
            let (mut last, mut at, mut seen) = (Last::from_bits(0), 1_000_u64, std::vec![]);
            for _ in 0..4 {
                let (window, next) = last.next(Vpn(at), 5);
                last = Last::from_bits(next.bits());
                seen.push(window.end.0 - window.start.0);
                while window.contains(&Vpn(at)) {
                    at = if goes_on { at + 1 } else { at - 1 };
                    last = if window.contains(&Vpn(at)) { last.hit(Vpn(at)) } else { last };
                }
            }
            seen
        };
        assert_eq!(walk(true), [8, 8, 16, 32]);
        assert_eq!(walk(false), [8, 8, 16, 32]);
    }

    /// INV-WINDOW-1, and that a word says what it was made of.
    #[test]
    fn a_window_has_its_page_and_no_more_than_it_may() {
        for order in [0, 1, 2, 3, 9, 10, 63, 64, u32::MAX] {
            for bits in [0, 1, 0x3ff00, u64::MAX, 7 << 18 | 512 << 8 | 255] {
                for page in [0, 1, 6, 8, (1 << 46) - 1, 1 << 52] {
                    let (window, next) = Last::from_bits(bits).next(Vpn(page), order);
                    let pages = window.end.0 - window.start.0;
                    assert!(window.contains(&Vpn(page)), "{order} {bits:#x} {page}");
                    assert!(pages <= MOST && (order > 9 || pages <= 1 << order), "{pages}");
                    assert_eq!(Last::from_bits(next.bits()), next);
                }
            }
        }
    }
}
