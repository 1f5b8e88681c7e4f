//! Memory whose type never changes: a table that only grows, and whose elements live as long as it
//! does.
//!
//! The kernel's name for it is SLAB_TYPESAFE_BY_RCU (facts 6.5), without the RCU: no memory goes
//! back before the table itself does. Whoever has an index may look at the element without a lock
//! and without a reference, and finds an element of the right type: maybe one that has begun
//! another life. What tells the lives apart is the business of those who keep the elements.
//!
//! An exploration does not interleave on the growth: who has an index has it from somebody for whom
//! the element was made.

use alloc::alloc::{alloc, dealloc};
use core::alloc::Layout;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::error::NoMemory;

/// Elements of the first chunk; each further one is twice as large.
const FIRST: u64 = 8;
/// Chunks for all indices that a `u32` has.
const CHUNKS: usize = 29;

/// A table of type-stable elements.
pub(crate) struct Stable<T> {
    chunks: [AtomicPtr<T>; CHUNKS],
    owns: PhantomData<T>,
}

/// The chunk of an index, and the place in it.
#[inline]
const fn place(index: u32) -> (usize, usize) {
    let from_first = index as u64 + FIRST;
    let chunk = from_first.ilog2() - FIRST.ilog2();
    (chunk as usize, (from_first - (FIRST << chunk)) as usize)
}

/// What a chunk takes of the heap.
fn layout<T>(chunk: usize) -> Option<Layout> {
    let elements = usize::try_from(FIRST << chunk).ok()?;
    Layout::array::<T>(elements).ok().filter(|layout| layout.size() > 0)
}

impl<T: Send + Sync> Stable<T> {
    /// A table without elements.
    pub(crate) const fn new() -> Self {
        Self { chunks: [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS], owns: PhantomData }
    }

    /// The element at `index`.
    ///
    /// # Panics
    /// When no call of [`Stable::grow`] has made it.
    #[inline]
    pub(crate) fn at(&self, index: u32) -> &T {
        let (chunk, at) = place(index);
        let first = self.chunks[chunk].load(Ordering::Acquire);
        assert!(!first.is_null(), "no element was made at {index}");
        // SAFETY: a chunk that is published has all its elements, until the table is dropped.
        unsafe { &*first.add(at) }
    }

    /// Makes sure that there is an element at `index`, and its neighbours, each as `make` says.
    ///
    /// # Errors
    /// When the heap is exhausted, or the index is beyond what the table can hold.
    pub(crate) fn grow(&self, index: u32, make: impl Fn() -> T) -> Result<(), NoMemory> {
        let (chunk, _) = place(index);
        let slot = self.chunks.get(chunk).ok_or(NoMemory)?;
        if !slot.load(Ordering::Acquire).is_null() {
            return Ok(());
        }
        let layout = layout::<T>(chunk).ok_or(NoMemory)?;
        // SAFETY: the layout is not empty.
        let first = NonNull::new(unsafe { alloc(layout) }.cast::<T>()).ok_or(NoMemory)?;
        for at in 0..layout.size() / size_of::<T>() {
            // SAFETY: one of the elements of the new chunk.
            unsafe { first.add(at).write(make()) };
        }
        let published = slot.compare_exchange(
            ptr::null_mut(),
            first.as_ptr(),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if published.is_err() {
            // SAFETY: another has published a chunk first, and nobody has seen this one.
            unsafe { free(first, layout) };
        }
        Ok(())
    }
}

/// # Safety
/// A whole chunk of `layout` lies at `first`, and nobody uses it any more.
unsafe fn free<T>(first: NonNull<T>, layout: Layout) {
    let elements = layout.size() / size_of::<T>();
    // SAFETY: the caller's promise; the memory came from the global allocator with this layout.
    unsafe {
        NonNull::slice_from_raw_parts(first, elements).drop_in_place();
        dealloc(first.as_ptr().cast(), layout);
    }
}

impl<T> Drop for Stable<T> {
    fn drop(&mut self) {
        for (chunk, slot) in self.chunks.iter_mut().enumerate() {
            if let (Some(first), Some(layout)) = (NonNull::new(*slot.get_mut()), layout::<T>(chunk))
            {
                // SAFETY: `grow` made the chunk so, and the table is being dropped.
                unsafe { free(first, layout) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_each_other_without_a_gap_up_to_the_last_index() {
        assert_eq!(place(0), (0, 0));
        assert_eq!(place(7), (0, 7));
        assert_eq!(place(8), (1, 0));
        assert_eq!(place(23), (1, 15));
        assert_eq!(place(24), (2, 0));
        let (last, at) = place(u32::MAX);
        assert_eq!((last, at), (CHUNKS, 7), "the last eight indices are beyond the table");
        assert_eq!(place(u32::MAX - 8).0, CHUNKS - 1);
    }

    #[test]
    fn an_element_stays_where_it_is_while_the_table_grows() {
        let table = Stable::new();
        table.grow(3, || 5_u32).unwrap();
        let at = core::ptr::from_ref(table.at(3));
        for index in 0..1000 {
            table.grow(index, || 7).unwrap();
        }
        assert_eq!(core::ptr::from_ref(table.at(3)), at);
        assert_eq!((*table.at(7), *table.at(8)), (5, 7));
        assert_eq!(table.grow(u32::MAX, || 0), Err(NoMemory));
    }
}
