//! Elements by number, in chunks that never move.
//!
//! A chunk is asked of the heap at once and has at most `MOST` elements; the first ones are
//! smaller, so that a few elements cost little. No block grows with what the pool holds but the
//! list of chunks, a word or three for each. Elements that are given back are kept for the next
//! that are taken: memory goes back to the heap when the pool goes.

use alloc::vec::Vec;

use crate::error::NoMemory;

/// No element.
pub(super) const NONE: u32 = u32::MAX;

/// What a pool keeps.
pub(super) trait Pooled {
    /// An element that is not in use, and owns nothing. `next` is another such, or [`NONE`].
    fn vacant(next: u32) -> Self;

    /// Of an element that is not in use: the next such.
    fn next(&self) -> u32;
}

/// Elements in chunks of up to `MOST`, a power of two.
#[derive(Debug)]
pub(super) struct Pool<T, const MOST: usize> {
    chunks: Vec<Vec<T>>,
    /// The first of those that are not in use.
    free: u32,
    /// How many are not in use.
    spare: usize,
    /// How many there are.
    all: usize,
}

impl<T: Pooled, const MOST: usize> Pool<T, MOST> {
    /// As many numbers as chunks of this length have, without [`NONE`].
    const CHUNKS: usize = (NONE as usize) / MOST;

    /// A pool without elements. Takes no memory.
    pub(super) const fn new() -> Self {
        assert!(MOST.is_power_of_two());
        Self { chunks: Vec::new(), free: NONE, spare: 0, all: 0 }
    }

    /// Makes elements until `wanted` of them can be taken.
    ///
    /// # Errors
    /// When the heap cannot hold that many. What was made until then stays, as room.
    #[inline]
    pub(super) fn reserve(&mut self, wanted: usize) -> Result<(), NoMemory> {
        if wanted <= self.spare { Ok(()) } else { self.grow(wanted, self.all) }
    }

    /// As [`Pool::reserve`], for a pool that is not going to grow: no more than that.
    pub(super) fn reserve_exact(&mut self, wanted: usize) -> Result<(), NoMemory> {
        if wanted <= self.spare { Ok(()) } else { self.grow(wanted, 0) }
    }

    /// Adds chunks that have `length` elements if they may, or as many as are missing.
    #[cold]
    fn grow(&mut self, wanted: usize, length: usize) -> Result<(), NoMemory> {
        let missing = wanted - self.spare;
        if missing.div_ceil(MOST) > Self::CHUNKS - self.chunks.len() {
            return Err(NoMemory);
        }
        while self.spare < wanted {
            let least = (wanted - self.spare).min(MOST);
            self.add(length.clamp(least, MOST)).or_else(|_| self.add(least))?;
        }
        Ok(())
    }

    /// Adds a chunk of so many elements.
    fn add(&mut self, length: usize) -> Result<(), NoMemory> {
        self.chunks.try_reserve(1).map_err(|_| NoMemory)?;
        let mut chunk = Vec::new();
        chunk.try_reserve_exact(length).map_err(|_| NoMemory)?;
        let first = self.chunks.len() * MOST;
        for at in first..first + length {
            let next = if at + 1 < first + length { at as u32 + 1 } else { self.free };
            chunk.push(T::vacant(next));
        }
        self.chunks.push(chunk);
        self.free = first as u32;
        self.spare += length;
        self.all += length;
        Ok(())
    }

    /// The element with this number.
    #[inline]
    pub(super) fn get(&self, number: u32) -> &T {
        &self.chunks[number as usize / MOST][number as usize % MOST]
    }

    /// The same, to change it.
    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> &mut T {
        &mut self.chunks[number as usize / MOST][number as usize % MOST]
    }

    /// Takes an element into use, as it is. Room for it was reserved.
    #[inline]
    pub(super) fn begin(&mut self) -> u32 {
        let number = self.free;
        self.free = self.get(number).next();
        self.spare -= 1;
        number
    }

    /// An element is not in use any more.
    #[inline]
    pub(super) fn end(&mut self, number: u32, vacate: impl FnOnce(&mut T, u32)) {
        let next = self.free;
        vacate(self.get_mut(number), next);
        self.free = number;
        self.spare += 1;
    }

    /// Puts `element` where it gets the number that is returned. Room for it was reserved.
    #[inline]
    pub(super) fn put(&mut self, element: T) -> u32 {
        let number = self.free;
        let place = self.get_mut(number);
        let next = place.next();
        // What is not in use owns nothing.
        core::mem::forget(core::mem::replace(place, element));
        self.free = next;
        self.spare -= 1;
        number
    }

    /// Takes the element out; its number is free.
    #[inline]
    pub(super) fn take(&mut self, number: u32) -> T {
        let next = self.free;
        let element = core::mem::replace(self.get_mut(number), T::vacant(next));
        self.free = number;
        self.spare += 1;
        element
    }

    /// How many elements can be taken without memory.
    #[cfg(test)]
    pub(super) fn spare(&self) -> usize {
        self.spare
    }

    /// How many elements are in use.
    pub(super) fn used(&self) -> usize {
        self.all - self.spare
    }

    /// The bytes that it has of the heap.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.chunks.capacity() * size_of::<Vec<T>>() + self.all * size_of::<T>()
    }
}

/// A value's place.
#[derive(Debug)]
pub(super) enum Place<T> {
    /// Free; the next free one.
    Vacant(u32),
    /// In use.
    Taken(T),
}

impl<T> Pooled for Place<T> {
    fn vacant(next: u32) -> Self {
        Self::Vacant(next)
    }

    fn next(&self) -> u32 {
        match self {
            Self::Vacant(next) => *next,
            Self::Taken(_) => NONE,
        }
    }
}

impl<T> Place<T> {
    /// The value, if there is one.
    #[inline]
    pub(super) fn value(&self) -> Option<&T> {
        match self {
            Self::Vacant(_) => None,
            Self::Taken(value) => Some(value),
        }
    }

    /// The value, to change it.
    #[inline]
    pub(super) fn value_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Vacant(_) => None,
            Self::Taken(value) => Some(value),
        }
    }

    /// The value, if there is one.
    #[inline]
    pub(super) fn into_value(self) -> Option<T> {
        match self {
            Self::Vacant(_) => None,
            Self::Taken(value) => Some(value),
        }
    }
}
