//! Reverse maps of anonymous pages: which address spaces may map a page.
//!
//! A *family* consists of all areas that descend by fork from one area. Its *members* are address
//! spaces, as values that own nothing ([`Mm`]): INV-RMAP-3 says what keeps a member's root table
//! alive. A page names its [`Home`]: the member that touched it first, or made it his own later,
//! and how often that member had forked by then. From the home a walk finds exactly those who may
//! map the page (`tree`): for a page that was not shared since, its owner alone, however many
//! relatives there are. Neither fork nor unmap changes the home of a page.
//!
//! The page's number in the family never changes either. Each member knows how far above it the
//! pages lie in his address space; an area that is moved gets a member of its own, a child of the
//! one that it was part of, so that a walk asks in both places ([`Seat`]).
//!
//! A home names a slot of type-stable memory (`node`), which may begin another life as part of
//! another family. This is what the kernel does with an anon_vma (facts 6.5), and the look-up is
//! its protocol, [`AnonRegistry::lock`]:
//!
//! 1. Read the page's home, once. Not mapped: there is nothing to find.
//! 2. Read in the slot, without a lock, which family it is part of, and *try* the family's lock.
//! 3. Taken: is the page *still mapped*? Then the family is the page's, and stays it while the lock
//!    is held: whoever leaves needs the lock for writing, and has unmapped his pages before.
//! 4. Not taken: take a reference on the family, unless it has none any more. Still mapped? Then
//!    sleep for the lock, and drop the reference; if that was the last one, all members have left.
//!
//! Between 2 and 3 the family may end, and its memory be reused; so *mapped* is asked after each
//! acquisition. A walker that does not ask again (rule `rmap-check`) finds a slot that is free or
//! in another life. Here that harms no memory: the slot says since when it has its life, in the
//! count of forks that homes are made of, and a home of an earlier life is noticed under the lock
//! ([`Lost`]) and reported as a bug.
//!
//! Locks: a family's lock sleeps; it lies below the address spaces' locks and the page lock, above
//! the page-table locks. A walk holds it for reading, joining and leaving for writing. The lists of
//! free slots have spinning locks below it. Migration, which must find the family again when it has
//! taken all entries out, holds a reference ([`AnonRegistry::hold`]); pages that move together hand
//! it on from one to the next of their family.
//!
//! A page changes its home when a write fault finds that it is nobody else's, under the page's lock
//! and the table's. The new home is a descendant of the old one, in the same family: a walker that
//! has read the old one visits more members than it had to, and none too few.
//!
//! Invariants:
//! - INV-RMAP-1: the home of a mapped anonymous page is part of a family, and a walk from there
//!   visits every space that maps the page (facts 6.5).
//! - INV-RMAP-2: a child is listed before its entries are made, and visited after its parent, so a
//!   walk that runs during fork finds the entry in one of the two.
//! - INV-RMAP-3: a listed member's root table is alive. A space leaves the families of all its
//!   areas, each under the family's lock for writing, before exit retires the root, which happens
//!   nowhere else. So a walk, which holds the lock for reading, may follow every root that it finds
//!   there; the tables below are protected by the walk section, since an unmap may free them during
//!   the walk.
//! - INV-RMAP-4: a slot becomes part of no family under the lock of the family that it was part of.
//!   So under that lock, found part of it, it stays part of it.
//! - INV-RMAP-5: the number that a page would have at a member may lie outside his address space,
//!   below its first page (it wraps) or past its end: a part of an area that was moved does not
//!   move what lies beside it. Nothing of his is there, and a walk does not look.

mod home;
mod lookup;
mod node;
mod slots;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use home::{Home, Seat};
pub(crate) use lookup::{Lookup, Lost};
pub(crate) use slots::Reserve;
pub(crate) use tree::Walk;

use crate::addr::Mm;
use crate::error::NoMemory;
use crate::sync::{Park, ReadGuard, smp_rmb};

use home::NONE;
use node::Census;
use slots::Slots;
use tree::{Left, Tree};

/// All families of a machine.
pub(crate) struct AnonRegistry {
    slots: Slots,
}

/// A family that walkers may read, and what is known of a page's home there.
pub(crate) struct Members<'a, W: Park> {
    tree: Tree<'a, ReadGuard<'a, Census, W>>,
}

/// A reference on a family: its lock is the same one as long as this lives.
#[must_use]
pub(crate) struct Hold<'a> {
    slots: &'a Slots,
    root: u32,
    /// The CPU of the one who has it, if he knows.
    cpu: Option<usize>,
    /// It has gone on to a [`Hold`] that is dropped later.
    handed_on: bool,
}

/// Joining and leaving. All of these are given the homes of areas, which keep their members listed.
impl AnonRegistry {
    pub(crate) fn new() -> Self {
        Self { slots: Slots::new() }
    }

    /// Gives each of `cpus` CPUs a stock of the memory of families.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn stock_up(&mut self, cpus: usize) -> Result<(), NoMemory> {
        self.slots.stock_up(cpus)
    }

    /// Names the lock for a trace, once it is in its final place.
    pub(crate) fn label(&self) {
        self.slots.label();
    }

    /// A family with one area of `mm` as its first member: the area's home. `cpu` is the number of
    /// the caller's CPU.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn found(&self, mm: Mm, park: &impl Park, cpu: usize) -> Result<Seat, NoMemory> {
        let root = self.slots.take_on(cpu)?;
        // A walker of the slot's last life may still have the lock.
        let home = Tree::write(&self.slots, root, park).found(mm);
        self.slots.node(root).refs.write_once(1);
        Ok(Seat::new(home))
    }

    /// Memory for the members that a fork of so many areas is going to make.
    pub(crate) fn reserve(&self, areas: usize) -> Reserve<'_> {
        Reserve::new(&self.slots, areas)
    }

    /// A home for pages that any member of an area's family may map: of what comes back from swap,
    /// where a swap entry may have been copied by each fork since the page was swapped out.
    pub(crate) fn common_home(&self, seat: Seat) -> Home {
        let root = self.root_of(seat.home);
        Home::new(root, self.slots.node(root).place().first)
    }

    /// An area of `child`, which the owner of an area with home `parent` is being forked into,
    /// belongs to the family. Returns the homes of the child's area and of the parent's, for what
    /// they touch from now on: the parent's lock has been held for writing since before.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn join(
        &self,
        parent: Seat,
        child: Mm,
        park: &impl Park,
        reserve: &mut Reserve<'_>,
    ) -> Result<(Seat, Seat), NoMemory> {
        let mut tree = Tree::write(&self.slots, self.root_of(parent.home), park);
        let (theirs, ours) = tree.join(parent.home.slot(), child, reserve)?;
        Ok((parent.at(theirs), parent.at(ours)))
    }

    /// An area is about to move by `by` pages, wrapping: the place in its family that it will have.
    /// Walks ask in both places until the area that stays behind has left.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn moved(&self, seat: Seat, by: u64, park: &impl Park) -> Result<Seat, NoMemory> {
        let mut tree = Tree::write(&self.slots, self.root_of(seat.home), park);
        Ok(seat.moved(tree.moved(seat.home.slot(), by)?, by))
    }

    /// Runs `change` while nobody walks the family.
    pub(crate) fn alone<R>(&self, seat: Seat, park: &impl Park, change: impl FnOnce() -> R) -> R {
        let _tree = Tree::write(&self.slots, self.root_of(seat.home), park);
        change()
    }

    /// One more area of a member belongs to the family: it was split.
    pub(crate) fn again(&self, seat: Seat, park: &impl Park) {
        Tree::write(&self.slots, self.root_of(seat.home), park).again(seat.home.slot());
    }

    /// An area with this home has left; nothing maps a page of it any more. The last one of all
    /// ends the family. `cpu` is the number of the caller's CPU.
    pub(crate) fn leave(&self, seat: Seat, park: &impl Park, cpu: usize) {
        let root = self.root_of(seat.home);
        let left = Tree::write(&self.slots, root, park).leave(seat.home.slot());
        match left {
            Left::Some => {}
            Left::None => {
                drop(Hold { slots: &self.slots, root, cpu: Some(cpu), handed_on: false });
            }
        }
    }

    /// The root of the family of an area that has not left.
    #[inline]
    fn root_of(&self, home: Home) -> u32 {
        self.slots.node(home.slot()).place().root
    }
}

/// Look-ups of walkers.
impl AnonRegistry {
    /// The family of a page, locked for reading: the protocol at the head of this module. `None` if
    /// the page is not mapped (any more).
    ///
    /// # Errors
    /// When the page is mapped, or the walker trusts that it still is, and its family is not there.
    pub(crate) fn lock<'a, W: Park, M: Fn() -> bool>(
        &'a self,
        page: &Lookup<M>,
        park: &'a W,
    ) -> Result<Option<Members<'a, W>>, Lost> {
        if !page.begins() {
            return Ok(None);
        }
        let root = self.slots.node(page.home.slot()).place().root;
        if root == NONE {
            return page.lost(Lost::Freed);
        }
        let tree = match Tree::try_read(&self.slots, root, park) {
            Some(tree) => tree,
            None => match self.sleep_for(root, page, park)? {
                Some(tree) => tree,
                None => return Ok(None),
            },
        };
        if !page.still() {
            return Ok(None);
        }
        if !tree.has(page.home) {
            let how = if self.is_free(page.home) { Lost::Freed } else { Lost::Reused };
            return page.lost(how);
        }
        Ok(Some(Members { tree }))
    }

    /// The contended half of [`AnonRegistry::lock`].
    #[cold]
    fn sleep_for<'a, W: Park, M: Fn() -> bool>(
        &'a self,
        root: u32,
        page: &Lookup<M>,
        park: &'a W,
    ) -> Result<Option<Tree<'a, ReadGuard<'a, Census, W>>>, Lost> {
        let Some(hold) = self.hold_root(root) else { return page.lost(Lost::Freed) };
        if !page.still() {
            return Ok(None);
        }
        let tree = Tree::read(&self.slots, root, park);
        drop(hold);
        Ok(Some(tree))
    }

    /// A reference on the family of a page: the kernel's `folio_get_anon_vma`. `None` if the page
    /// is not mapped (any more). For one of several pages, `last` is what was made for the one
    /// before: a reference on the same family is handed on, and no other is taken. So they are to
    /// be dropped in that order.
    ///
    /// # Errors
    /// As [`AnonRegistry::lock`].
    pub(crate) fn hold<'a, M: Fn() -> bool>(
        &'a self,
        page: &Lookup<M>,
        last: Option<&mut Hold<'a>>,
    ) -> Result<Option<Hold<'a>>, Lost> {
        if !page.begins() {
            return Ok(None);
        }
        let place = self.slots.node(page.home.slot()).place();
        if place.root == NONE {
            return page.lost(Lost::Freed);
        }
        let same = last.filter(|last| last.root == place.root && !last.handed_on);
        let own = match &same {
            Some(_) => {
                // As the reference does: the look at the page comes after that at the slot.
                smp_rmb();
                None
            }
            None => match self.hold_root(place.root) {
                Some(hold) => Some(hold),
                None => return page.lost(Lost::Freed),
            },
        };
        if !page.still() {
            return Ok(None);
        }
        if !place.covers(page.home) {
            return page.lost(Lost::Reused);
        }
        Ok(own.or_else(|| same.map(Hold::hand_on)))
    }

    fn is_free(&self, home: Home) -> bool {
        self.slots.node(home.slot()).place().root == NONE
    }

    /// A reference on the family, unless it has ended: then its pages are seen to be unmapped.
    fn hold_root(&self, root: u32) -> Option<Hold<'_>> {
        let more = |refs: u32| if refs == 0 { None } else { refs.checked_add(1) };
        if self.slots.node(root).refs.try_update(more).is_err() {
            smp_rmb();
            return None;
        }
        Some(Hold { slots: &self.slots, root, cpu: None, handed_on: false })
    }
}

impl<'a> Hold<'a> {
    /// The family, locked for reading.
    pub(crate) fn lock<W: Park>(&self, park: &'a W) -> Members<'a, W> {
        Members { tree: Tree::read(self.slots, self.root, park) }
    }

    /// The same reference, for one that is dropped later.
    fn hand_on(&mut self) -> Self {
        self.handed_on = true;
        Hold { handed_on: false, ..*self }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if !self.handed_on && self.slots.node(self.root).refs.fetch_sub(1) == 1 {
            match self.cpu {
                Some(cpu) => self.slots.give_on(self.root, cpu),
                None => self.slots.give(self.root),
            }
        }
    }
}

impl<W: Park> Members<'_, W> {
    /// Calls `visit` for each member that may map a page with this home, with how far the page lies
    /// above its number in the family there, parents before children, as long as `visit` says to
    /// continue. A home that is no longer part of the family has none:
    /// they have all left.
    pub(crate) fn walk(&self, home: Home, visit: impl FnMut(Mm, u64) -> Walk) {
        if self.tree.has(home) {
            self.tree.walk(home, visit);
        }
    }
}
