//! Reverse maps of anonymous pages: which address spaces may map a page.
//!
//! A *family* consists of all areas that descend by fork from one area. Its *members* are address
//! spaces, as values that own nothing ([`Mm`]): INV-RMAP-3 says what keeps a member's root table
//! alive. A page names its [`Home`]: the member that touched it first, or made it his own later,
//! and how often that member had forked by then. From the home a walk finds exactly those who may
//! map the page (`tree`): for a page that was not shared since, its owner alone, however many
//! relatives there are. Neither fork nor unmap changes the home of a page. The number of the page
//! is the same in all members.
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
//! the page-table locks. A walk holds it for reading, joining and leaving for writing. The list of
//! free slots has a spinning lock below it. Migration, which must find the family again when it has
//! taken all entries out, holds a reference ([`AnonRegistry::hold`]).
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

mod home;
mod node;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use home::Home;

use crate::addr::Mm;
use crate::error::NoMemory;
use crate::rules::RmapCheck;
use crate::rules::rmap::asks_again;
use crate::sync::{self, CellName, Inside, Masks, Park, ReadGuard, SpinLock, SpinLocked, Stable};

use home::NONE;
use node::{Census, Node};
use tree::{Left, Tree};

/// All families of a machine.
pub(crate) struct AnonRegistry {
    /// The slot with number `n` is at `n - 1`: number 0 is none.
    nodes: Stable<Node>,
    slots: SpinLock<Slots>,
}

/// The slots that are part of no family.
struct Slots {
    /// The first free one; each names the next.
    free: u32,
    /// How many slots have been in use, ever.
    made: u32,
}

/// A family that walkers may read, and what is known of a page's home there.
pub(crate) struct Members<'a, W: Park> {
    tree: Tree<'a, ReadGuard<'a, Census, W>>,
}

/// A reference on a family: its lock is the same one as long as this lives.
#[must_use]
pub(crate) struct Hold<'a> {
    families: &'a AnonRegistry,
    root: u32,
}

/// What a look-up found where the family of a mapped page should be: INV-RMAP-1 is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lost {
    /// Free memory.
    Freed,
    /// A family that the page has never been part of.
    Reused,
}

/// A look-up of a page's family. `mapped` says whether the page is mapped, now.
pub(crate) struct Lookup<M> {
    home: Home,
    check: RmapCheck,
    mapped: M,
}

impl<M: Fn() -> bool> Lookup<M> {
    /// The look-up for a page with this home, by the rule `rmap-check`.
    pub(crate) fn new(home: Home, check: RmapCheck, mapped: M) -> Self {
        Self { home, check, mapped }
    }

    /// Whether there is something to look up.
    fn begins(&self) -> bool {
        self.home.slot() != NONE && (self.mapped)()
    }

    /// Whether the page is still mapped, as far as the walker wants to know.
    fn still(&self) -> bool {
        !asks_again(self.check) || (self.mapped)()
    }

    /// Nothing is wrong with not finding the family of a page that is no longer mapped.
    fn lost<T>(&self, how: Lost) -> Result<Option<T>, Lost> {
        if self.still() { Err(how) } else { Ok(None) }
    }
}

/// Whether a walk continues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Walk {
    On,
    Stop,
}

/// Joining and leaving. All of these are given the homes of areas, which keep their members listed.
impl AnonRegistry {
    pub(crate) fn new() -> Self {
        Self { nodes: Stable::new(), slots: SpinLock::new(Slots { free: NONE, made: 0 }) }
    }

    /// Names the lock for a trace, once it is in its final place.
    pub(crate) fn label(&self) {
        let slots = &self.slots;
        sync::label(slots, size_of_val(slots), |_| CellName::Object {
            object: "families",
            index: 0,
            cell: "",
        });
    }

    /// A family with one area of `mm` as its first member: the area's home.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn found(&self, mm: Mm, park: &impl Park) -> Result<Home, NoMemory> {
        let root = self.take_slot()?;
        // A walker of the slot's last life may still have the lock.
        let home = Tree::write(self, root, park).found(mm);
        self.node(root).refs.write_once(1);
        Ok(home)
    }

    /// An area of `child`, which the owner of an area with home `parent` is being forked into,
    /// belongs to the family. Returns the homes of the child's area and of the parent's, for what
    /// they touch from now on: the parent's lock has been held for writing since before.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn join(
        &self,
        parent: Home,
        child: Mm,
        park: &impl Park,
    ) -> Result<(Home, Home), NoMemory> {
        Tree::write(self, self.root_of(parent), park).join(parent.slot(), child)
    }

    /// One more area of a member belongs to the family: it was split.
    pub(crate) fn again(&self, home: Home, park: &impl Park) {
        Tree::write(self, self.root_of(home), park).again(home.slot());
    }

    /// An area with this home has left; nothing maps a page of it any more. The last one of all
    /// ends the family.
    pub(crate) fn leave(&self, home: Home, park: &impl Park) {
        let root = self.root_of(home);
        let left = Tree::write(self, root, park).leave(home.slot());
        match left {
            Left::Some => {}
            Left::None => drop(Hold { families: self, root }),
        }
    }

    /// The root of the family of an area that has not left.
    fn root_of(&self, home: Home) -> u32 {
        self.node(home.slot()).place().root
    }

    fn node(&self, slot: u32) -> &Node {
        self.nodes.at(slot.wrapping_sub(1))
    }
}

/// The slots.
impl AnonRegistry {
    fn lock_slots(&self) -> Inside<SpinLocked<'_, Slots>> {
        Inside::lock(Masks::Preemption, || self.slots.lock())
    }

    /// A slot that is part of no family.
    fn take_slot(&self) -> Result<u32, NoMemory> {
        let mut slots = self.lock_slots();
        let free = slots.free;
        if free != NONE {
            // SAFETY: a free slot's links are under the lock that is held.
            slots.free = unsafe { self.node(free).links.read() }.younger;
            return Ok(free);
        }
        let made = slots.made;
        self.nodes.grow(made, Node::vacant)?;
        slots.made = made + 1;
        let slot = made + 1;
        self.label_slot(slot);
        Ok(slot)
    }

    fn label_slot(&self, slot: u32) {
        let node = self.node(slot);
        sync::label(node, size_of_val(node), move |offset| CellName::Object {
            object: "family",
            index: u64::from(slot - 1),
            cell: Node::cell(offset),
        });
    }

    /// Ends the life of a slot in a family, whose lock the caller has, and frees it.
    fn retire(&self, slot: u32) {
        self.node(slot).leave_family();
        self.give_slot(slot);
    }

    /// A slot is free from now on. One whose count of forks has come to its end is not used again:
    /// its next life could not be told from this one.
    fn give_slot(&self, slot: u32) {
        let mut slots = self.lock_slots();
        // SAFETY: the slot has left its family, and the caller says that it is free: its links are
        // under the lock that is held.
        let links = unsafe { self.node(slot).links.write() };
        if links.forks == u32::MAX {
            return;
        }
        links.younger = slots.free;
        slots.free = slot;
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
        let root = self.node(page.home.slot()).place().root;
        if root == NONE {
            return page.lost(Lost::Freed);
        }
        let tree = match Tree::try_read(self, root, park) {
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
        let tree = Tree::read(self, root, park);
        drop(hold);
        Ok(Some(tree))
    }

    /// A reference on the family of a page: the kernel's `folio_get_anon_vma`. `None` if the page
    /// is not mapped (any more).
    ///
    /// # Errors
    /// As [`AnonRegistry::lock`].
    pub(crate) fn hold<M: Fn() -> bool>(&self, page: &Lookup<M>) -> Result<Option<Hold<'_>>, Lost> {
        if !page.begins() {
            return Ok(None);
        }
        let place = self.node(page.home.slot()).place();
        if place.root == NONE {
            return page.lost(Lost::Freed);
        }
        let Some(hold) = self.hold_root(place.root) else { return page.lost(Lost::Freed) };
        if !page.still() {
            return Ok(None);
        }
        if !place.covers(page.home) {
            return page.lost(Lost::Reused);
        }
        Ok(Some(hold))
    }

    fn is_free(&self, home: Home) -> bool {
        self.node(home.slot()).place().root == NONE
    }

    /// A reference on the family, unless it has ended.
    fn hold_root(&self, root: u32) -> Option<Hold<'_>> {
        let more = |refs: u32| if refs == 0 { None } else { refs.checked_add(1) };
        self.node(root).refs.try_update(more).ok()?;
        Some(Hold { families: self, root })
    }
}

impl<'a> Hold<'a> {
    /// The family, locked for reading.
    pub(crate) fn lock<W: Park>(&self, park: &'a W) -> Members<'a, W> {
        Members { tree: Tree::read(self.families, self.root, park) }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if self.families.node(self.root).refs.fetch_sub(1) == 1 {
            self.families.give_slot(self.root);
        }
    }
}

impl<W: Park> Members<'_, W> {
    /// Calls `visit` for each member that may map a page with this home, parents before children,
    /// as long as `visit` says to continue. A home that is no longer part of the family has none:
    /// they have all left.
    pub(crate) fn walk(&self, home: Home, visit: impl FnMut(Mm) -> Walk) {
        if self.tree.has(home) {
            self.tree.walk(home, visit);
        }
    }
}
