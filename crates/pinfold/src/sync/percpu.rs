//! One value for each CPU, so that CPUs that do the same at the same time write different cache
//! lines.
//!
//! A number that is too large shares the place of a smaller one, and a thread may move to another
//! CPU between asking for its number and using the place: so a place is an atomic or has a lock,
//! and its number is a hint that costs time when wrong and nothing else.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Deref;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::error::NoMemory;

/// The most places of one value; machines with more CPUs share them.
const MOST: usize = 1024;

/// How many places there are for so many CPUs: a power of two.
fn places_for(cpus: usize) -> usize {
    cpus.clamp(1, MOST).next_power_of_two()
}

/// A value on cache lines of its own. Two lines: CPUs that fetch lines in pairs must not make
/// neighbours collide.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

impl<T> Deref for Apart<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

/// See the module. The number of places is a power of two.
#[derive(Debug)]
pub(crate) struct PerCpu<T> {
    places: Box<[Apart<T>]>,
}

impl<T: Default> PerCpu<T> {
    /// A value for each of `cpus` CPUs, at least for one.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn new(cpus: usize) -> Result<Self, NoMemory> {
        let count = places_for(cpus);
        let mut places = Vec::new();
        places.try_reserve_exact(count).map_err(|_| NoMemory)?;
        places.resize_with(count, Apart::default);
        Ok(Self { places: places.into_boxed_slice() })
    }
}

impl<T> PerCpu<T> {
    /// The place of the CPU with this number.
    #[inline]
    pub(crate) fn of(&self, cpu: usize) -> &T {
        // SAFETY: the number of places is at least one and never changes, so that what is masked
        // with one less is below it.
        &unsafe { self.places.get_unchecked(cpu & (self.places.len() - 1)) }.0
    }

    /// All places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().map(|place| &place.0)
    }
}

/// One value for each CPU that has asked for it, which then stays: for what takes more memory than
/// CPUs that do not need it should cost.
///
/// An exploration does not interleave on who asks first: there each CPU has its value from the
/// beginning.
#[derive(Debug)]
pub(crate) struct Sparse<T> {
    places: Vec<AtomicPtr<Apart<T>>>,
}

// SAFETY: it owns its values, which threads share and the last one drops.
unsafe impl<T: Send> Send for Sparse<T> {}
// SAFETY: as above; who makes a value gives it to the others, so it must be `Send`, too.
unsafe impl<T: Send + Sync> Sync for Sparse<T> {}

impl<T: Default> Sparse<T> {
    /// No values yet, for `cpus` CPUs, at least for one.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn new(cpus: usize) -> Result<Self, NoMemory> {
        let count = places_for(cpus);
        let mut places = Vec::new();
        places.try_reserve_exact(count).map_err(|_| NoMemory)?;
        places.resize_with(count, AtomicPtr::default);
        let all = Self { places };
        if cfg!(feature = "explore") {
            (0..count).try_for_each(|cpu| all.make(cpu).map(drop))?;
        }
        Ok(all)
    }

    /// The value of the CPU with this number, made now if it has none.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn make(&self, cpu: usize) -> Result<&T, NoMemory> {
        if let Some(made) = self.of(cpu) {
            return Ok(made);
        }
        let mut one = Vec::new();
        one.try_reserve_exact(1).map_err(|_| NoMemory)?;
        one.push(Apart(T::default()));
        let new = Box::into_raw(one.into_boxed_slice()).cast::<Apart<T>>();
        let place = &self.places[self.place(cpu)];
        let made =
            match place.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => new,
                Err(other) => {
                    // SAFETY: nobody else has seen it.
                    drop(unsafe { boxed(new) });
                    other
                }
            };
        // SAFETY: a value that is in a place stays until the table goes.
        Ok(unsafe { &(*made).0 })
    }
}

/// The box of a value that [`Sparse::make`] made.
///
/// # Safety
/// It was made there, and nobody uses it any more.
unsafe fn boxed<T>(made: *mut Apart<T>) -> Box<[Apart<T>]> {
    // SAFETY: the caller's promise; it was made as a slice of one element.
    unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(made, 1)) }
}

impl<T> Sparse<T> {
    /// The value of the CPU with this number, if it has asked for it.
    #[inline]
    pub(crate) fn of(&self, cpu: usize) -> Option<&T> {
        self.at(self.place(cpu))
    }

    #[inline]
    fn at(&self, place: usize) -> Option<&T> {
        let made = self.places[place].load(Ordering::Acquire);
        // SAFETY: null, or a value that stays until the table goes.
        unsafe { made.as_ref() }.map(|made| &made.0)
    }

    /// The number of the place of the CPU with this number.
    #[inline]
    pub(crate) fn place(&self, cpu: usize) -> usize {
        cpu & (self.places.len() - 1)
    }

    /// The values there are, each with the number of its place.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        (0..self.places.len()).filter_map(|place| Some((place, self.at(place)?)))
    }
}

impl<T> Drop for Sparse<T> {
    fn drop(&mut self) {
        for place in &mut self.places {
            let made = *place.get_mut();
            if !made.is_null() {
                // SAFETY: the table goes, so nobody uses its values any more.
                drop(unsafe { boxed(made) });
            }
        }
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

    #[test]
    fn who_has_asked_has_a_value_that_stays() {
        let sparse = Sparse::<AtomicU64>::new(4).expect("the heap has room");
        assert_eq!(sparse.of(1).is_some(), cfg!(feature = "explore"));
        let made = sparse.make(1).expect("the heap has room");
        made.fetch_add(1, Ordering::Relaxed);
        for again in [sparse.make(1).ok(), sparse.of(1), sparse.of(5)] {
            assert!(again.is_some_and(|again| core::ptr::eq(again, made)));
        }
        let all = sparse.iter().map(|(place, value)| (place, value.load(Ordering::Relaxed)));
        assert!(all.filter(|(_, value)| *value > 0).eq([(1, 1)]));
    }
}
