//! The type-stable memory of members: what may be read without the family's lock, and what may not.

use crate::addr::{Mm, Pfn, SpaceId};
use crate::sync::{AtomicU32, AtomicU64, Plain, RwSem};

use super::home::{Home, NONE};

/// What a slot is at present: part of the family whose root is in slot `root`, since its count of
/// forks was `first`. A free slot is of the family [`NONE`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) root: u32,
    pub(super) first: u32,
}

impl Place {
    pub(super) const FREE: Self = Self { root: NONE, first: 0 };

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self { root: bits as u32, first: (bits >> 32) as u32 }
    }

    pub(super) const fn bits(self) -> u64 {
        (self.first as u64) << 32 | self.root as u64
    }

    /// Whether a page with this home, of the same slot, was homed in the slot's present life.
    pub(super) const fn covers(self, home: Home) -> bool {
        self.root != NONE && self.first <= home.forks()
    }
}

/// How a family is populated; of its root.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Census {
    /// Members with areas.
    pub(super) live: u32,
    /// Members that have gone, but not all of their descendants.
    pub(super) husks: u32,
    /// The first slot of those that pages of this family may still name, and that are no members.
    pub(super) spare: u32,
}

/// A member's place in the tree of its family. Slots name each other; [`NONE`] is nobody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) mm: Mm,
    /// How far above their numbers in the family the pages lie here; wraps.
    pub(super) shift: u64,
    /// How many areas of the space belong to the family. None: the member has gone.
    pub(super) areas: u64,
    pub(super) parent: u32,
    /// The child that was forked last.
    pub(super) youngest: u32,
    /// The next older child of the same parent.
    pub(super) older: u32,
    /// The next younger one. Of a spare or free slot: the next such.
    pub(super) younger: u32,
    pub(super) children: u32,
    /// How many times the parent had forked before.
    pub(super) birth: u32,
    /// How many times the member has forked. Goes on in the slot's next life; stays at the highest
    /// number once it has got there, which makes walks longer and never wrong.
    pub(super) forks: u32,
    /// Pages that were homed here at fewer forks are an earlier member's of the same family, who
    /// has gone: anybody in the family may map them.
    pub(super) base: u32,
}

impl Links {
    /// A member of one area, in a slot whose count of forks has come this far.
    pub(super) const fn member(mm: Mm, forks: u32) -> Self {
        Self {
            mm,
            shift: 0,
            areas: 1,
            parent: NONE,
            youngest: NONE,
            older: NONE,
            younger: NONE,
            children: 0,
            birth: 0,
            forks,
            base: forks,
        }
    }

    const VACANT: Self = Self { areas: 0, ..Self::member(Mm { id: SpaceId(0), root: Pfn(0) }, 0) };
}

/// One slot, on cache lines of its own: neighbours may be roots of families of different address
/// spaces, whose locks are taken at the same time.
#[repr(align(128))]
pub(super) struct Node {
    /// A [`Place`]. Read by anybody; set to a family under its lock, and to none under the same.
    pub(super) place: AtomicU64,
    /// Of a root: one for all members, and one for each walker that holds the family.
    pub(super) refs: AtomicU32,
    /// Of a root: the family's lock. It is never made anew: a walker that comes too late may still
    /// be on its way to it when the slot begins its next life.
    pub(super) lock: RwSem<Census>,
    /// Under the lock of the family that the slot is part of; of a free slot, under that of the
    /// list of free slots.
    pub(super) links: Plain<Links>,
}

// SAFETY: all but `links` is Sync, and `links` is reached under one lock at a time, as said there.
unsafe impl Sync for Node {}

impl Node {
    /// A slot that has had no life yet.
    pub(super) fn vacant() -> Self {
        Self {
            place: AtomicU64::new(Place::FREE.bits()),
            refs: AtomicU32::new(0),
            lock: RwSem::new(Census::default()),
            links: Plain::new(Links::VACANT),
        }
    }

    #[inline]
    pub(super) fn place(&self) -> Place {
        Place::from_bits(self.place.load_acquire())
    }

    /// From now on the slot is part of no family. The caller has the lock of the one that it is
    /// part of, so that a walker that holds the lock, and finds the slot in the family, keeps it
    /// there.
    pub(super) fn leave_family(&self) {
        self.set_place(Place::FREE);
    }

    /// A release: whoever reads the new place sees what was unmapped before.
    #[inline]
    pub(super) fn set_place(&self, place: Place) {
        self.place.store_release(place.bits());
    }

    /// The name of the cell at this offset, for a trace.
    pub(super) fn cell(offset: usize) -> &'static str {
        const REFS: usize = core::mem::offset_of!(Node, refs);
        const LOCK: usize = core::mem::offset_of!(Node, lock);
        const LINKS: usize = core::mem::offset_of!(Node, links);
        if offset == core::mem::offset_of!(Node, place) {
            return "place";
        }
        if offset == REFS {
            return "holders";
        }
        if (LINKS..LINKS + size_of::<Links>()).contains(&offset) {
            return "links";
        }
        RwSem::<Census>::name(offset.wrapping_sub(LOCK), "members", "members' gate")
    }
}
