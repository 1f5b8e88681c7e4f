//! The frame numbers of a hold, of few pages without heap: transfers of one page are the most
//! frequent ones.

use alloc::vec::Vec;

use crate::addr::Pfn;
use crate::error::NoMemory;

/// So many need no heap.
const FEW: usize = 4;

/// Frame numbers, in the order of the pages.
pub(super) enum Pages {
    /// Without heap, so many of them.
    Few([Pfn; FEW], u32),
    /// More than there is place for, or once there were.
    Many(Vec<Pfn>),
}

impl Pages {
    /// One or none.
    #[inline]
    pub(super) fn of(first: Option<Pfn>) -> Self {
        let mut few = [Pfn(0); FEW];
        few[0] = first.unwrap_or(Pfn(0));
        Self::Few(few, u32::from(first.is_some()))
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[Pfn] {
        match self {
            Self::Few(few, len) => few.get(..*len as usize).unwrap_or(few),
            Self::Many(many) => many,
        }
    }

    /// Makes room for `pages` more, or, where there is none yet, for `ahead`, if the heap allows
    /// it.
    ///
    /// # Errors
    /// When the heap is exhausted.
    #[inline]
    pub(super) fn reserve(&mut self, pages: u64, ahead: u64) -> Result<(), NoMemory> {
        match self {
            Self::Few(_, len) if u64::from(*len).saturating_add(ahead) <= FEW as u64 => Ok(()),
            _ => self.reserve_heap(pages, ahead),
        }
    }

    #[inline(never)]
    fn reserve_heap(&mut self, pages: u64, ahead: u64) -> Result<(), NoMemory> {
        let size = |pages| usize::try_from(pages).map_err(|_| NoMemory);
        let (pages, ahead) = (size(pages)?, size(ahead)?);
        match self {
            Self::Few(..) => {
                let few = self.as_slice();
                let room = |more| few.len().saturating_add(more);
                let mut many = Vec::new();
                many.try_reserve_exact(room(ahead))
                    .or_else(|_| many.try_reserve_exact(room(pages)))
                    .map_err(|_| NoMemory)?;
                many.extend_from_slice(few);
                *self = Self::Many(many);
                Ok(())
            }
            Self::Many(many) if many.capacity() - many.len() >= pages => Ok(()),
            // Doubles the room, so that a long run is not moved again and again.
            Self::Many(many) => {
                let more = many.try_reserve(ahead);
                more.or_else(|_| many.try_reserve_exact(pages)).map_err(|_| NoMemory)
            }
        }
    }

    /// Adds a number; room was reserved.
    #[inline]
    pub(super) fn push(&mut self, pfn: Pfn) {
        match self {
            Self::Few(few, len) => {
                few[*len as usize] = pfn;
                *len += 1;
            }
            // The compiler does not know that there is room, and would make some.
            Self::Many(many) if many.len() < many.capacity() => many.push(pfn),
            Self::Many(_) => no_room(),
        }
    }

    /// Adds so many numbers from `first` on; room was reserved.
    #[inline]
    pub(super) fn push_run(&mut self, (first, pages): (Pfn, u64)) {
        let run = (first.0..first.0 + pages).map(Pfn);
        match self {
            Self::Few(..) => run.for_each(|pfn| self.push(pfn)),
            Self::Many(many) if many.capacity() - many.len() >= pages as usize => many.extend(run),
            Self::Many(_) => no_room(),
        }
    }

    /// Takes out all but the first `kept`, in order. Each is out before it is given away.
    #[inline]
    pub(super) fn drain_from(&mut self, kept: usize, give: impl FnMut(Pfn)) {
        match self {
            Self::Few(few, len) => {
                let (few, out) = (*few, *len as usize);
                *len = (*len).min(kept as u32);
                few.iter().take(out).skip(kept).copied().for_each(give);
            }
            Self::Many(many) => many.drain(kept..).for_each(give),
        }
    }

    /// Forgets the first `count`.
    pub(super) fn forget_first(&mut self, count: usize) {
        match self {
            Self::Few(few, len) => {
                few.copy_within(count..*len as usize, 0);
                *len -= count as u32;
            }
            Self::Many(many) => drop(many.drain(..count)),
        }
    }
}

#[cold]
fn no_room() -> ! {
    unreachable!("room is reserved before a page is taken")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of few pages and of many, with room for all of them at once or not.
    #[test]
    fn numbers_come_out_as_they_went_in_wherever_they_lie() {
        for (count, part) in [(1, 1), (4, 4), (4, 1), (5, 5), (9, 2), (300, 7)] {
            let mut pages = Pages::of(None);
            for n in 0..count {
                let left = count - n;
                pages.reserve(left.min(part), left.min(part)).expect("the heap has room");
                pages.push(Pfn(n));
            }
            let all: Vec<Pfn> = (0..count).map(Pfn).collect();
            assert_eq!(pages.as_slice(), all);
            pages.forget_first(count as usize / 3);
            let rest = &all[count as usize / 3..];
            assert_eq!(pages.as_slice(), rest);
            let (kept, mut out) = (rest.len() / 2, Vec::new());
            pages.drain_from(kept, |pfn| out.push(pfn));
            assert_eq!((pages.as_slice(), &*out), rest.split_at(kept));
            pages.drain_from(0, |_| ());
            assert_eq!(pages.as_slice(), []);
        }
    }

    #[test]
    fn a_run_goes_behind_what_is_there() {
        for (before, run) in [(0, 3), (1, 3), (1, 16), (5, 2)] {
            let mut pages = Pages::of(None);
            pages.reserve(before + run, before + run).expect("the heap has room");
            (0..before).for_each(|n| pages.push(Pfn(n)));
            pages.push_run((Pfn(before), run));
            assert!((0..before + run).map(Pfn).eq(pages.as_slice().iter().copied()));
        }
    }

    #[test]
    fn few_take_no_heap() {
        let mut pages = Pages::of(None);
        pages.reserve(FEW as u64, FEW as u64).expect("there is room");
        (0..FEW as u64).for_each(|n| pages.push(Pfn(n)));
        assert!(matches!(pages, Pages::Few(_, 4)));
    }
}
