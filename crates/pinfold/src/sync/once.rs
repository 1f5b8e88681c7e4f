//! A value that is made once, when it is first needed, and lives as long as its holder: whoever
//! does not need it pays one load.
//!
//! An exploration does not interleave on the making: it is done before the lanes run, or by one of
//! them for the others to find sooner or later.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::error::NoMemory;

/// A value that is not there at first.
pub(crate) struct Once<T> {
    value: AtomicPtr<T>,
    owns: PhantomData<T>,
}

impl<T: Send + Sync> Once<T> {
    /// Without a value.
    pub(crate) const fn new() -> Self {
        Self { value: AtomicPtr::new(ptr::null_mut()), owns: PhantomData }
    }

    /// The value, if it was made.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: a value that is published stays where it is until `self` is dropped.
        unsafe { self.value.load(Ordering::Acquire).as_ref() }
    }

    /// The value; the first one who asks makes it. Of two who ask at once both may make one, and
    /// the second is dropped.
    ///
    /// # Errors
    /// Those of `make`, and when the heap is exhausted.
    pub(crate) fn get_or_make(
        &self,
        make: impl FnOnce() -> Result<T, NoMemory>,
    ) -> Result<&T, NoMemory> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let mut place = Vec::new();
        place.try_reserve_exact(1).map_err(|_| NoMemory)?;
        place.push(make()?);
        let made = Box::into_raw(place.into_boxed_slice()).cast::<T>();
        let (null, order) = (ptr::null_mut(), Ordering::AcqRel);
        match self.value.compare_exchange(null, made, order, Ordering::Acquire) {
            // SAFETY: as in `get`.
            Ok(_) => Ok(unsafe { &*made }),
            Err(first) => {
                // SAFETY: it was made above, and nobody has seen it.
                unsafe { free(made) };
                // SAFETY: as in `get`.
                Ok(unsafe { &*first })
            }
        }
    }
}

/// # Safety
/// `get_or_make` made the value, and nobody uses it any more.
unsafe fn free<T>(value: *mut T) {
    // SAFETY: it came from a box of one element.
    drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(value, 1)) });
}

impl<T> Drop for Once<T> {
    fn drop(&mut self) {
        let value = *self.value.get_mut();
        if !value.is_null() {
            // SAFETY: nobody can reach it any more.
            unsafe { free(value) };
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use super::*;

    #[test]
    fn the_first_value_stays_and_is_dropped_once() {
        let life = Arc::new(());
        let once = Once::new();
        assert!(once.get().is_none());
        assert_eq!(once.get_or_make(|| Err(NoMemory)).err(), Some(NoMemory));
        let first = ptr::from_ref(once.get_or_make(|| Ok(life.clone())).unwrap());
        let again = once.get_or_make(|| panic!("there is one already")).unwrap();
        assert!(ptr::eq(first, again) && once.get().is_some_and(|value| ptr::eq(first, value)));
        assert_eq!(Arc::strong_count(&life), 2);
        drop(once);
        assert_eq!(Arc::strong_count(&life), 1);
    }

    #[test]
    fn a_second_value_that_was_made_meanwhile_is_dropped() {
        let (life, once) = (Arc::new(()), Once::new());
        let late = once.get_or_make(|| {
            once.get_or_make(|| Ok(life.clone()))?;
            Ok(life.clone())
        });
        assert!(late.is_ok());
        assert_eq!(Arc::strong_count(&life), 2);
    }
}
