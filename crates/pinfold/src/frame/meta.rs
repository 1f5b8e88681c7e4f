//! The metadata of a frame, and the array of that of all frames.
//!
//! What the words mean depends on what the frame is: `views` has a view for each kind.

use core::cmp::Ordering;
use core::mem::offset_of;
use core::ptr::NonNull;
use core::slice;

use super::counts::{Counts, REF};
use super::flags::Flags;
use crate::addr::Pfn;
use crate::sync::{AtomicU32, AtomicU64, Class, FrameWord};

/// What dropping references left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Put {
    /// Others still hold the frame.
    Held,
    /// Nobody holds it any more: the caller has to release it.
    Last,
    /// There were fewer references than were dropped. Nothing changed.
    Underflow,
}

/// What dropping references of a page has left, on the frame that counted them.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Dropped {
    pub(crate) of: (Pfn, Put),
    /// The same of a frame that was the page's head, for one that was taken for the time being
    /// (`tails`).
    pub(crate) meanwhile: Option<(Pfn, Put)>,
}

impl Dropped {
    pub(super) const fn of(pfn: Pfn, put: Put) -> Self {
        Self { of: (pfn, put), meanwhile: None }
    }
}

/// The outcome of an attempt to take a reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Grab {
    /// Taken, on the folio with this head.
    Taken(Pfn),
    /// The frame is free or is changing folios: look again.
    Gone,
    /// One more could overflow the count.
    Overflow,
}

/// Why no reference of a small page was to be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Miss {
    /// The page is part of a large folio.
    Large,
    /// As [`Grab::Gone`].
    Gone,
    /// As [`Grab::Overflow`].
    Overflow,
}

impl Class for Put {
    fn number(&self) -> u64 {
        match self {
            Self::Held => 0,
            Self::Last => 1,
            Self::Underflow => 2,
        }
    }
}

/// What an attempt to add references found.
#[derive(Clone, Copy)]
enum Gain {
    Taken,
    /// No reference is left.
    Dead,
    Full,
}

impl Class for Gain {
    fn number(&self) -> u64 {
        match self {
            Self::Taken => 0,
            Self::Dead => 1,
            Self::Full => 2,
        }
    }
}

/// The metadata of one frame: 32 bytes (Linux: 64).
///
/// Who protects what: `counts` and `flags` are atomic; `spare` is the page-table lock of a table,
/// the exact pin count of a large folio's head, or how many entries of locked areas map a small
/// page; what the words of a large folio's tails are, `large` says; `mapping` and `index` are set
/// before a page is first mapped; `mapping` changes then under the page's lock only, `index` not.
/// When the page is free, the node's lock protects them; `index` may be read all the same by who
/// takes the frame for the tail that it was (INV-TAIL-5).
#[repr(C, align(32))]
pub(super) struct Frame {
    pub(super) counts: AtomicU64,
    pub(super) flags: AtomicU32,
    pub(super) spare: AtomicU32,
    /// The reverse map of an anonymous page: its [`Home`](crate::rmap::Home), or zero. First frame
    /// of a free block: its mark (`buddy`).
    pub(super) mapping: AtomicU64,
    /// Mapped page: its virtual page number. Tail: its head. Free frame: the next free one or
    /// block.
    pub(super) index: AtomicU64,
}

const _: () = assert!(size_of::<Frame>() == 32);

impl Frame {
    /// The word that lies `offset` bytes from the start.
    pub(super) fn word_at(offset: usize) -> FrameWord {
        const FLAGS: usize = offset_of!(Frame, flags);
        const SPARE: usize = offset_of!(Frame, spare);
        const MAPPING: usize = offset_of!(Frame, mapping);
        const INDEX: usize = offset_of!(Frame, index);
        match offset {
            ..FLAGS => FrameWord::Counts,
            FLAGS..SPARE => FrameWord::Flags,
            SPARE..MAPPING => FrameWord::Pins,
            MAPPING..INDEX => FrameWord::Mapping,
            INDEX.. => FrameWord::Index,
        }
    }

    /// Whether the frame is part of a large folio. It can change while nobody holds a reference.
    #[inline]
    pub(super) fn is_large(&self) -> bool {
        self.flags.read_once() & Flags::LARGE.bits() != 0
    }

    /// The head, if this is a tail.
    #[inline]
    pub(super) fn head(&self) -> Option<Pfn> {
        let tail = self.flags.read_once() & Flags::TAIL.bits() != 0;
        tail.then(|| Pfn(self.index.read_once()))
    }

    /// The number of the head, of a frame that was a tail just now, if it is one afterwards: from
    /// before it became one until after it has ceased to be one, nobody writes the word. Otherwise
    /// whatever lies there: who reads what was written afterwards sees that it is no tail.
    #[inline]
    pub(super) fn head_number(&self) -> Pfn {
        Pfn(self.index.load_acquire())
    }

    /// Ends the frame's life: INV-FRAME-2.
    #[inline]
    pub(super) fn end(&self, home: u32) {
        self.flags.write_once(home);
        if self.counts.peek() != 0 {
            self.counts.write_once(0);
        }
        self.mapping.init(0);
    }

    /// Drops `refs` references of a folio's head.
    #[inline]
    pub(super) fn put(&self, refs: u32) -> Put {
        let put = self.counts.fetch_sub_as(u64::from(refs) * REF, |old| {
            match Counts(old).refs().cmp(&refs) {
                Ordering::Greater => Put::Held,
                Ordering::Equal => Put::Last,
                Ordering::Less => Put::Underflow,
            }
        });
        if put == Put::Underflow {
            self.counts.add(u64::from(refs) * REF);
        }
        put
    }

    /// Adds references if the folio is alive and has no more than `room`.
    #[inline]
    pub(super) fn try_gain(&self, refs: u32, room: u32) -> Result<(), Miss> {
        let gain = |counts: u64| {
            Counts(counts).may_gain(room).then(|| counts.wrapping_add(u64::from(refs) * REF))
        };
        let gained = self.counts.try_update_as(gain, |result| match result {
            Ok(_) => Gain::Taken,
            Err(seen) if Counts(seen).refs() == 0 => Gain::Dead,
            Err(_) => Gain::Full,
        });
        match gained {
            Gain::Taken => Ok(()),
            Gain::Dead => Err(Miss::Gone),
            Gain::Full => Err(Miss::Overflow),
        }
    }
}

/// The metadata of all frames from the first one of the machine on.
pub(super) struct Metadata {
    base: u64,
    first: NonNull<Frame>,
    count: usize,
}

impl Metadata {
    /// The metadata of the frames from number `base` on.
    ///
    /// # Safety
    /// `count` initialised elements lie at `first`, for at least as long as this value lives. They
    /// are never moved, and nobody has exclusive access to any of them.
    pub(super) const unsafe fn new(base: u64, first: NonNull<Frame>, count: usize) -> Self {
        Self { base, first, count }
    }

    /// In the order of the frame numbers.
    #[inline]
    pub(super) fn all(&self) -> &[Frame] {
        // SAFETY: the promise of `new`.
        unsafe { slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }

    /// The number of the first frame.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// The number of a frame as a link of a list: counted from the first frame, from one on.
    pub(super) fn link(&self, pfn: Pfn) -> u64 {
        pfn.0 - self.base + 1
    }

    /// What [`Metadata::link`] was given; nothing for zero, the end of a list.
    pub(super) fn linked(&self, link: u64) -> Option<Pfn> {
        Some(Pfn(self.base + link.checked_sub(1)?))
    }

    /// Whether there is such a frame.
    #[inline]
    pub(super) fn contains(&self, pfn: Pfn) -> bool {
        pfn.0.wrapping_sub(self.base) < self.count as u64
    }

    /// The metadata of `pfn`.
    ///
    /// # Panics
    /// When the machine has no such frame: only frames from entries that this crate wrote are
    /// looked up, so that is a broken table.
    #[inline]
    pub(super) fn frame(&self, pfn: Pfn) -> &Frame {
        &self.all()[(pfn.0 - self.base) as usize]
    }
}
