//! The members of one family: joining, leaving, and the walk, all under its lock.
//!
//! Members are a tree: a child hangs below the member that it was forked from, after its elder
//! siblings. A page with home `(M, n)` may be mapped by M, by those children of M that were born
//! when M had forked at least `n` times, and by all descendants of these. That is what a walk
//! visits, and nobody else.
//!
//! A member that leaves while it has children stays as a *husk*, as pages may have it for their
//! home. A husk without children goes. A husk with one child stands between that child and its
//! grandparent for nothing but these pages: while there are no more husks than live members it
//! stays; otherwise the child takes its place, and its slot is put aside as a *spare*, whose pages
//! anybody in the family may map. The next member that joins gets the spare slot. So a family has
//! no more slots than twice the members that it had at its most, and one: a line of processes each
//! of which forks and exits does not grow.

use core::ops::{Deref, DerefMut};

use crate::addr::Mm;
use crate::error::NoMemory;
use crate::sync::{Park, ReadGuard, WriteGuard};

use super::home::{Home, NONE};
use super::node::{Census, Links, Place};
use super::slots::{Reserve, Slots};

/// A family under its lock.
pub(super) struct Tree<'a, G> {
    slots: &'a Slots,
    root: u32,
    census: G,
}

/// Whether a walk continues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Walk {
    On,
    Stop,
}

/// What leaving left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Left {
    /// There are members.
    Some,
    /// There are none: the caller gives back the reference that they had on the root.
    None,
}

impl<'a, W: Park> Tree<'a, ReadGuard<'a, Census, W>> {
    /// The family whose root is in slot `root`, once nobody changes it.
    pub(super) fn read(slots: &'a Slots, root: u32, park: &'a W) -> Self {
        Self { slots, root, census: slots.node(root).lock.read(park) }
    }

    /// The same, if nobody changes it or waits to.
    pub(super) fn try_read(slots: &'a Slots, root: u32, park: &'a W) -> Option<Self> {
        let census = slots.node(root).lock.try_read(park)?;
        Some(Self { slots, root, census })
    }
}

impl<'a, W: Park> Tree<'a, WriteGuard<'a, Census, W>> {
    /// The family whose root is in slot `root`, for the caller alone.
    pub(super) fn write(slots: &'a Slots, root: u32, park: &'a W) -> Self {
        Self { slots, root, census: slots.node(root).lock.write(park) }
    }
}

impl<G: Deref<Target = Census>> Tree<'_, G> {
    /// Whether the page with this home was homed in this family, which its slot is part of.
    pub(super) fn has(&self, home: Home) -> bool {
        let place = self.slots.node(home.slot()).place();
        place.root == self.root && place.covers(home)
    }

    fn links(&self, slot: u32) -> &Links {
        // SAFETY: the family's lock is held, which its slots' links are under. The callers get
        // their slots from the root, from links, or from a home that `has` has seen.
        unsafe { self.slots.node(slot).links.read() }
    }

    /// Calls `visit` for each member that may map a page with this home, parents before children,
    /// as long as `visit` says to continue. The family has the home.
    pub(super) fn walk(&self, home: Home, mut visit: impl FnMut(Mm, u64) -> Walk) {
        let slot = home.slot();
        let (top, since) = if home.forks() < self.links(slot).base {
            (self.root, 0)
        } else {
            (slot, home.forks())
        };
        let mut next = Some(top);
        while let Some(slot) = next {
            let links = self.links(slot);
            if links.areas > 0 && visit(links.mm, links.shift) == Walk::Stop {
                return;
            }
            next = self.after(slot, top, since);
        }
    }

    /// The next one below `top`, of whose children those come that were born at `since` or later.
    fn after(&self, slot: u32, top: u32, since: u32) -> Option<u32> {
        let young = |slot: u32| {
            let links = self.links(slot);
            links.parent != top || links.birth >= since
        };
        let mut at = slot;
        let below = self.links(at).youngest;
        if below != NONE && young(below) {
            return Some(below);
        }
        while at != top {
            let links = self.links(at);
            if links.older != NONE && young(links.older) {
                return Some(links.older);
            }
            at = links.parent;
        }
        None
    }
}

impl<G: DerefMut<Target = Census>> Tree<'_, G> {
    fn links_mut(&mut self, slot: u32) -> &mut Links {
        // SAFETY: as for `links`; the lock is held for writing, and no other reference into the
        // tree outlives a use of `self`.
        unsafe { self.slots.node(slot).links.write() }
    }

    /// Begins the family in its root's slot, with one area of `mm` as its first member.
    #[inline]
    pub(super) fn found(&mut self, mm: Mm) -> Home {
        let root = self.root;
        *self.census = Census { live: 1, ..Census::default() };
        let first = self.links(root).forks.saturating_add(1);
        *self.links_mut(root) = Links::member(mm, first);
        self.settle(root, first);
        Home::new(root, first)
    }

    /// From now on the slot is part of this family.
    fn settle(&self, slot: u32, first: u32) {
        self.slots.node(slot).set_place(Place { root: self.root, first });
    }

    /// One more area of a member belongs to the family.
    pub(super) fn again(&mut self, slot: u32) {
        self.links_mut(slot).areas += 1;
    }

    /// An area of the child that `parent` is being forked into. Returns the child's home and the
    /// parent's new one.
    #[inline]
    pub(super) fn join(
        &mut self,
        parent: u32,
        child: Mm,
        reserve: &mut Reserve<'_>,
    ) -> Result<(Home, Home), NoMemory> {
        let Links { youngest, .. } = *self.links(parent);
        let slot = if youngest != NONE && self.links(youngest).mm == child {
            // Another area of the same two spaces has joined already.
            self.again(youngest);
            youngest
        } else {
            self.link_child(parent, child, 0, || reserve.take())?
        };
        let home = |slot| Home::new(slot, self.links(slot).forks);
        Ok((home(slot), home(parent)))
    }

    /// An area of the member moves by so many pages. As if forked into its own address space: the
    /// pages that the member has touched so far may lie in both places. Returns the new home.
    pub(super) fn moved(&mut self, member: u32, by: u64) -> Result<Home, NoMemory> {
        let slots = self.slots;
        let slot = self.link_child(member, self.links(member).mm, by, || slots.take())?;
        Ok(Home::new(slot, self.links(slot).forks))
    }

    /// A new member, the youngest child of `parent`, whose pages lie `by` pages above the parent's:
    /// in a spare slot, or in a free one.
    #[inline]
    fn link_child(
        &mut self,
        parent: u32,
        child: Mm,
        by: u64,
        free: impl FnOnce() -> Result<u32, NoMemory>,
    ) -> Result<u32, NoMemory> {
        let slot = match self.take_spare() {
            Some(spare) => spare,
            None => free()?,
        };
        let Links { youngest, forks: birth, shift, .. } = *self.links(parent);
        let forks = self.links(slot).forks.saturating_add(1);
        *self.links_mut(slot) = Links {
            parent,
            older: youngest,
            birth,
            shift: shift.wrapping_add(by),
            ..Links::member(child, forks)
        };
        if youngest != NONE {
            self.links_mut(youngest).younger = slot;
        }
        let above = self.links_mut(parent);
        above.youngest = slot;
        above.children += 1;
        above.forks = birth.saturating_add(1);
        self.census.live += 1;
        if !self.is_part(slot) {
            self.settle(slot, forks);
        }
        Ok(slot)
    }

    /// Whether the slot is part of the family already: then it is a spare one.
    fn is_part(&self, slot: u32) -> bool {
        self.slots.node(slot).place().root == self.root
    }

    fn take_spare(&mut self) -> Option<u32> {
        let spare = self.census.spare;
        if spare == NONE {
            return None;
        }
        self.census.spare = self.links(spare).younger;
        Some(spare)
    }

    /// An area of the member has left.
    #[inline]
    pub(super) fn leave(&mut self, slot: u32) -> Left {
        let links = self.links_mut(slot);
        links.areas -= 1;
        if links.areas > 0 {
            return Left::Some;
        }
        self.census.live -= 1;
        self.census.husks += 1;
        self.prune(slot);
        if self.census.live > 0 {
            return Left::Some;
        }
        self.end();
        Left::None
    }

    /// Takes out what a member that has gone leaves for nothing: himself, and those above him.
    fn prune(&mut self, slot: u32) {
        let mut at = slot;
        while at != self.root {
            let links = *self.links(at);
            if links.areas > 0 {
                return;
            }
            match links.children {
                0 => self.cut(at),
                1 if self.census.husks > self.census.live && links.forks < u32::MAX => {
                    self.collapse(at);
                    return;
                }
                _ => return,
            }
            at = links.parent;
        }
    }

    /// Takes a husk without children out.
    fn cut(&mut self, slot: u32) {
        let links = *self.links(slot);
        self.replace(slot, links.older, links.younger);
        self.links_mut(links.parent).children -= 1;
        self.census.husks -= 1;
        if links.base == self.slots.node(slot).place().first {
            self.slots.retire(slot);
        } else {
            self.put_aside(slot);
        }
    }

    /// Lets the only child of a husk take its place.
    fn collapse(&mut self, slot: u32) {
        let links = *self.links(slot);
        let child = self.links_mut(links.youngest);
        (child.parent, child.birth) = (links.parent, links.birth);
        (child.older, child.younger) = (links.older, links.younger);
        self.replace(slot, links.youngest, links.youngest);
        self.census.husks -= 1;
        self.put_aside(slot);
    }

    /// Makes the siblings and the parent of `slot` name these in its place.
    fn replace(&mut self, slot: u32, for_younger: u32, for_older: u32) {
        let Links { parent, older, younger, .. } = *self.links(slot);
        if younger == NONE {
            self.links_mut(parent).youngest = for_younger;
        } else {
            self.links_mut(younger).older = for_younger;
        }
        if older != NONE {
            self.links_mut(older).younger = for_older;
        }
    }

    /// Keeps a slot that pages of the family may name for its next member. One whose count of forks
    /// has come to its end is forgotten: there is no telling its next pages from these.
    fn put_aside(&mut self, slot: u32) {
        let spare = self.census.spare;
        let links = self.links_mut(slot);
        let Some(forks) = links.forks.checked_add(1) else { return };
        (links.areas, links.youngest, links.base, links.younger) = (0, NONE, forks, spare);
        self.census.spare = slot;
    }

    /// Ends the family, which has no member left: nobody maps a page that names one of its slots.
    fn end(&mut self) {
        while self.census.spare != NONE {
            let spare = self.census.spare;
            self.census.spare = self.links(spare).younger;
            self.slots.retire(spare);
        }
        self.slots.node(self.root).leave_family();
    }
}
