//! Groups of address spaces, and the move of charges from one group to another: what
//! memory.move_charge_at_immigrate did (facts 6.6).
//!
//! Protocol: who belongs to which group changes under the address space's lock, held for writing
//! and with all areas recalled, so that whoever makes a page has a group that lives as long as he
//! needs it.
//!
//! A move first makes room in the group that is to get the charges, for all pages that the range
//! would bring there now: past its limit nothing moves. Then it goes through the entries, each
//! table under its lock, and through the objects that are shown there, for pages that no entry of
//! the range maps. It has the page's lock in either case, which keeps migration and truncation
//! away, and moves the page under the lock of its charge.
//!
//! Where those who add and remove mappings do not take that lock, the page's map count must stand
//! still at zero or not at zero (rule `memcg-lock`). An entry under the lock of its table does
//! that: it is a mapping that nobody takes off. A page that is found in an object has none in the
//! range; there the object's list is held for writing, so that nobody can map the page, and one
//! that is mapped elsewhere stays where it is. That it is mapped nowhere does not mean that the
//! last mapping has been counted off: that happens after it is gone, under the lock of the table in
//! which it was. So the mover takes each of those locks once; releases did not, and an exploration
//! finds the wrong count.
//!
//! A page whose lock is taken is waited for, without the table's lock; pages that are on the move
//! have no entry and stay charged as they are.

use core::convert::Infallible;
use core::ops::Range;

use crate::addr::{Pfn, VirtRange, Vpn, each_page};
use crate::area::View;
use crate::charge::{GroupId, Room, Table};
use crate::error::SpaceError;
use crate::event::EventKind;
use crate::frame::Flags;
use crate::memory::Memory;
use crate::platform::Platform;
use crate::rmap::Walk;
use crate::rmap_walk::OfObject;
use crate::rules::charge::{Unseen, locks_charge, unseen};
use crate::space::Space;
use crate::table::Leaf;

/// What a move of charges came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Recharged {
    /// Pages that are charged to the other group now.
    pub moved: u64,
    /// Pages that stayed: they are mapped only elsewhere (rule `memcg-lock`), or came while others
    /// filled the group up to its limit.
    pub stayed: u64,
}

/// Which locks of the page the mover takes, besides that of its charge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Care {
    /// The page's, and the table's or the list's.
    Locked,
    /// None: the never-released variant.
    Unlocked,
}

/// What became of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum One {
    Moved,
    /// It was charged to another group meanwhile.
    Others,
    /// The group that it is to move to is full.
    NoRoom,
}

/// A move under way.
struct Moving<'m, P: Platform> {
    mem: &'m Memory<P>,
    charges: &'m Table,
    from: GroupId,
    room: Room<'m>,
    care: Care,
    done: Recharged,
}

impl<P: Platform> Space<P> {
    /// Belongs to the group from now on: what it makes is charged there.
    pub(crate) fn join_group(&self, id: Option<GroupId>) {
        let Some(charges) = self.mem().charges() else { return };
        let mut map = self.write_map();
        self.recall(&mut map, self.everything());
        if let Some(id) = id {
            charges.join(id);
        }
        let old = self.group.xchg(GroupId::bits(id));
        if let Some(old) = GroupId::from_bits(old) {
            charges.leave(old);
        }
    }

    /// As [`Space::join_group`], for the child of a fork, whose parent's lock is held.
    pub(crate) fn join_group_of(&self, parent: &Self) {
        if let Some(charges) = self.mem().charges()
            && let Some(id) = parent.payer()
        {
            charges.join(id);
            self.group.write_once(GroupId::bits(Some(id)));
        }
    }

    /// As [`Space::join_group`], with the group of another address space.
    pub(crate) fn join_as(&self, other: &Self) {
        let Some(charges) = self.mem().charges() else { return };
        let theirs = {
            let _map = other.read_map();
            // It lives until it is joined.
            other.payer().inspect(|id| charges.join(*id))
        };
        self.join_group(theirs);
        if let Some(id) = theirs {
            charges.leave(id);
        }
    }

    /// The group that is charged for what this address space makes. The caller holds its lock, or
    /// an area that is delegated.
    #[inline]
    pub(crate) fn payer(&self) -> Option<GroupId> {
        self.mem().charges()?;
        GroupId::from_bits(self.group.read_once())
    }

    fn everything(&self) -> VirtRange {
        VirtRange::of_pages(Vpn(0), self.end_page())
    }

    /// Moves the charges of the pages of a range.
    pub(crate) fn move_charge(
        &self,
        range: VirtRange,
        from: GroupId,
        to: GroupId,
    ) -> Result<Recharged, SpaceError> {
        let range = self.allowed(range)?;
        let Some(charges) = self.mem().charges().filter(|_| from != to) else {
            return Ok(Recharged::default());
        };
        let mem = self.mem();
        let care = if locks_charge(mem.rule()) { Care::Locked } else { Care::Unlocked };
        let map = self.read_map();
        let parts = || {
            map.overlapping(range).map(|area| {
                let first = area.range.first_page().max(range.first_page());
                (first..area.range.end_page().min(range.end_page()), area.backing.view())
            })
        };
        let charged = |pfn| charges.group_of(pfn) == Some(from);
        let wanted = parts().map(|(pages, view)| {
            let shown = |view: &View<P>| {
                view.object
                    .count_with(view.indices(VirtRange::of_pages(pages.start, pages.end)), |pfn| {
                        charged(pfn)
                    })
            };
            self.count_private(pages.clone(), charged) + view.map_or(0, shown)
        });
        let room = charges.reserve(to, wanted.sum())?;
        let done = Recharged::default();
        let mut moving = Moving { mem, charges, from, room, care, done };
        for (pages, view) in parts() {
            let walked: Result<(), Infallible> =
                self.tables().for_each_leaf(pages.clone(), |leaf, pages| {
                    moving.table(leaf, pages);
                    Ok(())
                });
            let Ok(()) = walked;
            if let Some(view) = view {
                moving.list(view, view.indices(VirtRange::of_pages(pages.start, pages.end)));
            }
        }
        Ok(moving.done)
    }

    /// How many pages that are in no object's list are mapped in a range and `charged`.
    fn count_private(&self, pages: Range<Vpn>, charged: impl Fn(Pfn) -> bool) -> u64 {
        let mut count = 0;
        let is_private = |pfn| self.mem().frames().flags(pfn).contains(Flags::ANON);
        let walked: Result<(), Infallible> = self.tables().for_each_leaf(pages, |leaf, pages| {
            let cursor = leaf.lock();
            let found = each_page(pages).filter_map(|page| cursor.get(page).counted());
            let private = |pfn: &Pfn| is_private(*pfn) && charged(*pfn);
            count += found.filter(private).count() as u64;
            Ok(())
        });
        let Ok(()) = walked;
        count
    }
}

impl<P: Platform> Moving<'_, P> {
    /// The pages that entries of a table map.
    fn table(&mut self, leaf: Leaf<'_, P>, mut pages: Range<Vpn>) {
        while pages.start < pages.end {
            pages.start = match self.care {
                Care::Locked => self.run(leaf, pages.clone()),
                Care::Unlocked => self.one_unlocked(leaf, pages.start),
            }
        }
    }

    /// Entries under one hold of the table's lock. Returns the first page that is left: its lock
    /// was taken, and has been waited for.
    fn run(&mut self, leaf: Leaf<'_, P>, pages: Range<Vpn>) -> Vpn {
        let (mem, end) = (self.mem, pages.end);
        let cursor = leaf.lock();
        for page in each_page(pages) {
            let Some(pfn) = cursor.get(page).counted().filter(|pfn| self.is_charged(*pfn)) else {
                continue;
            };
            // Entries map single pages of it, so it stays, as in the kernel.
            if mem.frames().is_large(pfn) {
                self.done.stayed += 1;
                continue;
            }
            let Some(_locked) = mem.try_lock_page(pfn) else {
                mem.wait_page_without(pfn, cursor);
                return page;
            };
            self.mapped(pfn);
        }
        end
    }

    /// The page of one entry, with a reference and no lock at all.
    fn one_unlocked(&mut self, leaf: Leaf<'_, P>, page: Vpn) -> Vpn {
        let found = {
            let cursor = leaf.lock();
            let small = |pfn: &Pfn| !self.mem.frames().is_large(*pfn);
            let found = cursor.get(page).counted().filter(small);
            found.inspect(|pfn| self.mem.get(*pfn, 1))
        };
        if let Some(pfn) = found {
            self.mapped(pfn);
            self.mem.put(pfn, 1);
        }
        page + 1
    }

    /// The pages that an object has in its list and that are not mapped in the range.
    fn list(&mut self, view: &View<P>, pages: Range<u64>) {
        let unseen = unseen(self.mem.rule());
        if unseen == Unseen::Always {
            return self.list_of_any(view, pages);
        }
        let closed = view.object.close();
        let mut from = pages.start;
        while let Some((index, pfn)) = closed.find_in(from..pages.end, |pfn| self.is_charged(pfn)) {
            from = index + 1;
            let _locked = self.mem.lock_page(pfn);
            if self.mem.frames().folio(pfn).is_mapped() {
                self.done.stayed += 1;
                continue;
            }
            if unseen == Unseen::AfterTables {
                self.settle(view, index);
            }
            let one = self.page(pfn);
            self.last(one);
        }
    }

    /// Waits until whoever took a mapping off the page has left the table in which it was. He
    /// counts it off before, and nobody maps the page now. One who has left the object's mappers,
    /// too, has left his tables before that.
    fn settle(&self, view: &View<P>, index: u64) {
        let who = OfObject { mappers: view.object.mappers(), index };
        self.mem.visit_entries(&who, |_, _, leaf| {
            drop(leaf.lock());
            Walk::On
        });
    }

    /// As [`Moving::list`], wherever a page is mapped: the lock of its charge is all that holds it.
    fn list_of_any(&mut self, view: &View<P>, pages: Range<u64>) {
        let (mem, mut from) = (self.mem, pages.start);
        while let Some((index, pfn)) =
            view.object.next_that(from..pages.end, |pfn| self.is_charged(pfn))
        {
            from = index + 1;
            let locked = match self.care {
                Care::Locked => Some(mem.lock_page(pfn)),
                Care::Unlocked => None,
            };
            let one = self.page(pfn);
            self.last(one);
            drop(locked);
            mem.put(pfn, 1);
        }
    }

    fn is_charged(&self, pfn: Pfn) -> bool {
        self.charges.group_of(pfn) == Some(self.from)
    }

    /// Moves one page, if it is still charged to the group and there is room.
    fn page(&mut self, pfn: Pfn) -> One {
        let held = self.mem.hold_charge(self.charges, pfn);
        if !self.is_charged(pfn) {
            return One::Others;
        }
        if !self.room.has_one() {
            return One::NoRoom;
        }
        let tally = self.mem.frames().tally(pfn);
        self.charges.shift(pfn, self.from, &mut self.room, tally);
        drop(held);
        self.done.moved += 1;
        self.mem.tell_frame(EventKind::ChargeMoved(pfn));
        One::Moved
    }

    /// A page that is in no other pass.
    fn last(&mut self, one: One) {
        match one {
            One::Moved | One::Others => {}
            One::NoRoom => self.done.stayed += 1,
        }
    }

    /// A page that an entry maps. One that an object has in its list is met again there.
    fn mapped(&mut self, pfn: Pfn) {
        let one = self.page(pfn);
        if self.mem.frames().flags(pfn).contains(Flags::ANON) {
            self.last(one);
        }
    }
}

#[cfg(test)]
mod tests;
