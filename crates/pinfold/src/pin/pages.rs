//! The frame numbers of a hold, of few pages without heap: transfers of one page are the most
//! frequent ones.

use alloc::vec::Vec;

use crate::addr::Pfn;
use crate::error::NoMemory;

/// So many need no heap.
const FEW: usize = 4;

/// Frame numbers, in the order of the pages.
pub(super) struct Pages {
    few: [Pfn; FEW],
    /// How many are in `few`.
    len: usize,
    /// All of them, once it has room.
    many: Vec<Pfn>,
}

impl Pages {
    #[inline]
    pub(super) const fn new() -> Self {
        Self { few: [Pfn(0); FEW], len: 0, many: Vec::new() }
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[Pfn] {
        if self.many.capacity() == 0 { &self.few[..self.len] } else { &self.many }
    }

    /// Makes room for `pages` more, or, where there is none yet, for `ahead`, if the heap allows
    /// it.
    ///
    /// # Errors
    /// When the heap is exhausted.
    #[inline]
    pub(super) fn reserve(&mut self, pages: u64, ahead: u64) -> Result<(), NoMemory> {
        if self.many.capacity() == 0 && ahead <= (FEW - self.len) as u64 {
            return Ok(());
        }
        self.reserve_heap(pages, ahead)
    }

    #[inline(never)]
    fn reserve_heap(&mut self, pages: u64, ahead: u64) -> Result<(), NoMemory> {
        let size = |pages| usize::try_from(pages).map_err(|_| NoMemory);
        let (pages, ahead) = (size(pages)?, size(ahead)?);
        if self.many.capacity() == 0 {
            let room = |more| self.len.saturating_add(more);
            self.many
                .try_reserve_exact(room(ahead))
                .or_else(|_| self.many.try_reserve_exact(room(pages)))
                .map_err(|_| NoMemory)?;
            self.many.extend_from_slice(&self.few[..self.len]);
            return Ok(());
        }
        if self.many.capacity() - self.many.len() >= pages {
            return Ok(());
        }
        // Doubles the room, so that a long run is not moved again and again.
        let more = self.many.try_reserve(ahead);
        more.or_else(|_| self.many.try_reserve_exact(pages)).map_err(|_| NoMemory)
    }

    /// Adds a number; room was reserved.
    #[inline]
    pub(super) fn push(&mut self, pfn: Pfn) {
        if self.many.len() < self.many.capacity() {
            self.many.push(pfn);
        } else {
            self.few[self.len] = pfn;
            self.len += 1;
        }
    }

    /// Takes out the last one.
    pub(super) fn pop(&mut self) -> Option<Pfn> {
        if self.many.capacity() != 0 {
            return self.many.pop();
        }
        self.len = self.len.checked_sub(1)?;
        Some(self.few[self.len])
    }

    /// Takes out all but the first `kept`, in order. Each is out before it is given away.
    #[inline]
    pub(super) fn drain_from(&mut self, kept: usize, give: impl FnMut(Pfn)) {
        if self.many.capacity() != 0 {
            return self.many.drain(kept..).for_each(give);
        }
        let (few, len) = (self.few, core::mem::replace(&mut self.len, kept));
        few[kept..len].iter().copied().for_each(give);
    }

    /// Forgets the first `count`.
    pub(super) fn forget_first(&mut self, count: usize) {
        if self.many.capacity() != 0 {
            self.many.drain(..count);
            return;
        }
        self.few.copy_within(count..self.len, 0);
        self.len -= count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of few pages and of many, with room for all of them at once or not.
    #[test]
    fn numbers_come_out_as_they_went_in_wherever_they_lie() {
        for (count, part) in [(1, 1), (4, 4), (4, 1), (5, 5), (9, 2), (300, 7)] {
            let mut pages = Pages::new();
            for n in 0..count {
                let left = count - n;
                pages.reserve(left.min(part), left.min(part)).expect("the heap has room");
                pages.push(Pfn(n));
            }
            let all: Vec<Pfn> = (0..count).map(Pfn).collect();
            assert_eq!(pages.as_slice(), all);
            assert_eq!(pages.pop(), Some(Pfn(count - 1)));
            pages.forget_first(count as usize / 3);
            let rest = &all[count as usize / 3..count as usize - 1];
            assert_eq!(pages.as_slice(), rest);
            let (kept, mut out) = (rest.len() / 2, Vec::new());
            pages.drain_from(kept, |pfn| out.push(pfn));
            assert_eq!((pages.as_slice(), &*out), rest.split_at(kept));
            pages.drain_from(0, |_| ());
            assert_eq!(pages.pop(), None);
        }
    }

    #[test]
    fn few_take_no_heap() {
        let mut pages = Pages::new();
        pages.reserve(FEW as u64, FEW as u64).expect("there is room");
        (0..FEW as u64).for_each(|n| pages.push(Pfn(n)));
        assert_eq!(pages.many.capacity(), 0);
    }
}
