//! One value for each CPU, so that CPUs that do the same at the same time write different cache
//! lines.
//!
//! A number that is too large shares the place of a smaller one, and a thread may move to another
//! CPU between asking for its number and using the place: so a place is an atomic or has a lock,
//! and its number is a hint that costs time when wrong and nothing else.

use alloc::vec::Vec;

use crate::error::NoMemory;

/// The most places of one value; machines with more CPUs share them.
const MOST: usize = 1024;

/// Two lines: CPUs that fetch lines in pairs must not make neighbours collide.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// See the module. The number of places is a power of two.
#[derive(Debug)]
pub(crate) struct PerCpu<T> {
    places: Vec<Apart<T>>,
}

impl<T: Default> PerCpu<T> {
    /// A value for each of `cpus` CPUs, at least for one.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn new(cpus: usize) -> Result<Self, NoMemory> {
        let count = cpus.clamp(1, MOST).next_power_of_two();
        let mut places = Vec::new();
        places.try_reserve_exact(count).map_err(|_| NoMemory)?;
        places.resize_with(count, Apart::default);
        Ok(Self { places })
    }
}

impl<T> PerCpu<T> {
    /// The place of the CPU with this number.
    #[inline]
    pub(crate) fn of(&self, cpu: usize) -> &T {
        &self.places[cpu & (self.places.len() - 1)].0
    }

    /// All places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().map(|place| &place.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn any_number_has_a_place_and_near_ones_have_different_ones() {
        for (cpus, places) in [(0, 1), (1, 1), (2, 2), (3, 4), (1000, 1024), (usize::MAX, 1024)] {
            let of = PerCpu::<AtomicU64>::new(cpus).expect("the heap has room");
            assert_eq!(of.iter().count(), places);
            for cpu in [0, 1, 2, 63, usize::MAX] {
                of.of(cpu).fetch_add(1, Ordering::Relaxed);
            }
            assert_eq!(of.iter().map(|place| place.load(Ordering::Relaxed)).sum::<u64>(), 5);
            assert!(cpus < 2 || !core::ptr::eq(of.of(0), of.of(1)));
        }
    }
}
