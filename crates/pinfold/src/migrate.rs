//! Moving a page, or a large folio as a whole: every entry that maps it becomes a migration entry,
//! it is copied if nobody else refers to it, and the entries come back for the new frames, or for
//! the old ones (facts 4.5).
//!
//! Protocol, per pass: locks of both folios (tried; later passes of a caller that can wait sleep
//! for the old one's, with no lock held: [`MigrateMode`]; a new page is made with its lock held,
//! for passes that try), walk of the family with each table's
//! lock in turn to take the entries out, flush (with each entry, or once: rule `migrate-flush`),
//! comparison of the references, copy, walk to restore (`vacate` has both walks), unlock. A fault
//! that meets a migration entry waits for the old folio's lock. The caller has isolated the folio,
//! which takes one reference, and holds no lock that a page lock is below.
//!
//! The new folio is as large, on the wanted node; what maps the old one as one huge entry maps the
//! new one so. Where no such run of frames is free, a caller that can wait has the folio split and
//! its pages moved one by one. So it is, too, by the rules `tail-refs` of up to 4.4, under which a
//! reference does not keep a folio whole: those releases split before they moved. (Those from 4.5
//! to 4.13 did, too, as far as one entry mapped the folio; here it moves as later.)
//!
//! A page of an object, a file or shared memory, moves for all who map that; what is different
//! about it is in `cached`.
//!
//! A page that is in the swap cache, mapped or not, moves there, too: its slot is held while its
//! entries are out, and from the comparison of its references on, which is one step with that, the
//! slot has the new page. Whoever finds that by a swap entry waits for its lock, and so for its
//! contents. A page that a device reads is not isolated, as reclaim has it.
//!
//! Invariants:
//! - INV-MIG-1: a folio moves only if the isolation holds its only reference: no pin, no get, no
//!   mapping; of a page in the swap cache, that and the cache hold the only ones.
//! - INV-MIG-2: no migration entry for its pages is left after an attempt.
//! - INV-MIG-3: since 5.19 a pinned exclusive page keeps its entry and its mark: the attempt ends
//!   when, with the entry out, the pin is seen.
//! - INV-MIG-4: the new page is locked from before its first entry until after its last: a fault
//!   that finds it mapped once, while other entries are still to be restored, does not take it for
//!   its own.
//! - INV-MIG-5: a folio that is mapped in part where it has moved to waits to be split, as before.
//! - INV-MIG-6: swap entries find the old page or the new one, at any time: a page that was in the
//!   swap cache is, and no other comes to be.

mod alone;
mod cached;
mod fresh;
mod mode;
mod range;
mod request;
mod status;

use core::fmt;
use core::ops::{AddAssign, Range};

use crate::addr::{NodeId, Pfn, VirtAddr};
use crate::event::EventKind;
use crate::frame::{Flags, Isolation, List, Placement, Sizes, Zone};
use crate::memory::Memory;
use crate::object::{List as PageList, Listed};
use crate::page::PageLock;
use crate::platform::Platform;
use crate::plural::Counted;
use crate::rmap::Hold;
use crate::swap::Slot;
use crate::tlb::DeferredFlush;
use crate::vacate::{Contents, HugeEntries, Pinned};

pub use mode::MigrateMode;
pub use status::{MoveScope, PageStatus, Strict};

use fresh::Fresh;
use mode::{Locking, TRIED};

/// What became of the pages of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// Pages that now lie on the wanted node and did not before: all of a large folio, also where
    /// the range has a part of it.
    pub moved: u64,
    /// Pages that could not be moved: referenced, pinned, busy, or without a frame to move to.
    pub failed: u64,
}

impl AddAssign for Moved {
    fn add_assign(&mut self, more: Self) {
        self.moved += more.moved;
        self.failed += more.failed;
    }
}

/// Not all pages of a range are where they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NotMoved {
    /// There is no such node, and nothing was touched (EINVAL).
    NoNode(NodeId),
    /// The range has a hole there, and nothing was touched (EFAULT).
    NotMapped(VirtAddr),
    /// Some pages stay; those that could move have moved (EIO): how many of either.
    Stays(Moved),
}

impl fmt::Display for NotMoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNode(node) => write!(f, "there is no {node}: choose one of the machine's"),
            Self::NotMapped(at) => write!(f, "nothing is mapped at {at}: name what is mapped"),
            Self::Stays(Moved { moved, failed }) => write!(
                f,
                "{}, {}: release what refers to {}, or free frames of that node",
                Counted::new(*failed, "page stays where it is", "pages stay where they are"),
                Counted::new(*moved, "has moved", "have moved"),
                if *failed == 1 { "it" } else { "them" }
            ),
        }
    }
}

impl core::error::Error for NotMoved {}

/// A folio isolated for migration, or for reclaim: holds one reference, and nobody else isolates
/// it.
#[must_use]
pub(crate) struct Isolated<'m, P: Platform> {
    mem: &'m Memory<P>,
    /// Its first page.
    head: Pfn,
    pages: u64,
    contents: Contents,
    back: Back,
}

/// Where a folio goes whose isolation ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Back {
    /// To its list as a new one does, by way of a batch.
    AsNew,
    /// To this list.
    To(List),
    /// To the end of this list that leaves next.
    LastOf(List),
    /// To none.
    Nowhere,
}

impl<P: Platform> Isolated<'_, P> {
    /// How many pages move, and whose they are.
    fn what_moves(&self) -> (u64, Contents) {
        (self.pages, self.contents)
    }

    /// Its first page.
    pub(crate) fn head(&self) -> Pfn {
        self.head
    }

    /// Whether it is a page of an object.
    pub(crate) fn is_of_object(&self) -> bool {
        self.contents == Contents::Listed
    }

    /// Whether it is a page of a file that has a store.
    pub(crate) fn is_of_file(&self) -> bool {
        self.is_of_object() && self.mem.frames().flags(self.head).contains(Flags::FILE)
    }

    /// How many it has.
    pub(crate) fn pages(&self) -> u64 {
        self.pages
    }

    /// All of them.
    pub(crate) fn all(&self) -> Range<Pfn> {
        self.head..Pfn(self.head.0 + self.pages)
    }

    /// Ends the isolation: the folio goes to this list.
    pub(crate) fn put_back_to(mut self, list: List) {
        self.back = Back::To(list);
    }

    /// As [`Isolated::put_back_to`], to the end that leaves next.
    pub(crate) fn put_back_last(mut self, list: List) {
        self.back = Back::LastOf(list);
    }

    /// Ends the isolation: the folio is on no list from now on.
    pub(crate) fn leave_lists(mut self) {
        self.back = Back::Nowhere;
    }

    /// The folio was split: the isolation is one of its first page now.
    pub(crate) fn is_split(&mut self) {
        self.pages = 1;
    }

    /// The folio, whose references were taken away, is free: nothing is left to be given back.
    pub(crate) fn end(self) {
        self.mem.isolation_ended();
        core::mem::forget(self);
    }
}

impl<P: Platform> Drop for Isolated<'_, P> {
    fn drop(&mut self) {
        // One that has moved, nearly always: nobody else refers to it, and its next life begins
        // without the mark.
        if self.pages == 1 && self.mem.put_alone(self.head) {
            return self.mem.isolation_ended();
        }
        self.mem.frames().page(self.head).end_isolation();
        match self.back {
            Back::AsNew => self.mem.lru_put_back(self.head),
            Back::To(list) => self.mem.lru_put_back_to(self.head, list),
            Back::LastOf(list) => self.mem.lru_put_back_last(self.head, list),
            Back::Nowhere => {}
        }
        self.mem.put(self.head, 1);
        self.mem.isolation_ended();
    }
}

/// Where pages move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    pub(crate) placement: Placement,
    pub(crate) zone: Zone,
}

impl Target {
    /// In the frame table's words.
    fn place(self) -> (Placement, Zone) {
        (self.placement, self.zone)
    }

    /// To this node or nowhere.
    pub(crate) fn node(node: NodeId) -> Self {
        Self { placement: Placement::Only(node), zone: Zone::Movable }
    }

    /// Near `node` if possible.
    pub(crate) fn anywhere(node: NodeId) -> Self {
        Self { placement: Placement::Prefer(node), zone: Zone::Movable }
    }

    /// Out of memory that is set apart for what can move: near `node` if possible.
    pub(crate) fn fixed(node: NodeId) -> Self {
        Self { placement: Placement::Prefer(node), zone: Zone::Any }
    }
}

/// On whose behalf the pages of a range move, and so which of them are passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mover {
    /// Hotplug, CMA: by frames. Every page is tried, also one that only the swap cache has.
    Request,
    /// mbind: by entries, and so not those that were swapped out (facts 7.3). Every page of the
    /// scope is tried, and counts as failed outside.
    Policy(MoveScope),
    /// Compaction, whose isolation passes over an anonymous page that has more references than
    /// mappings before it touches an entry (facts 12.7a), unless it is in the swap cache
    /// (facts 7.3).
    Compaction,
}

impl Mover {
    /// Whether it finds pages that only the swap cache has.
    pub(crate) fn follows_swap(self) -> bool {
        match self {
            Self::Request | Self::Compaction => true,
            Self::Policy(_) => false,
        }
    }
}

/// Why a folio did not move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stays {
    /// Somebody refers to it, or has locked it.
    Busy,
    /// There is no run of frames for it where it should move.
    NoFrame,
}

/// The outcome of a pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pass {
    Moved,
    Again,
}

/// Whether a folio waited to be split before it was touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Queued {
    Before,
    Not,
}

/// How the entries of a folio on the move are found.
enum MappedBy<'m> {
    Family(Option<Hold<'m>>),
    Object(Listed),
}

/// A folio on the move, locked, whose entries are out, and the one that it is to become.
#[must_use]
struct TakenOut<'m, P: Platform> {
    from: Pfn,
    to: Pfn,
    pages: u64,
    queued: Queued,
    mapped: MappedBy<'m>,
    /// The slot of a page in the swap cache, with a hold.
    slot: Option<Slot>,
    vacated: Result<(), Pinned>,
    _locks: (PageLock<'m, P>, PageLock<'m, P>),
}

impl<P: Platform> Memory<P> {
    /// Isolates the folio of an anonymous page, or a page of an object, for migration. The caller
    /// holds something that keeps the page alive; for a large folio, what keeps that whole
    /// (INV-LARGE-3).
    pub(crate) fn isolate(&self, pfn: Pfn, sizes: Sizes) -> Option<Isolated<'_, P>> {
        let (head, isolation) = match self.frames().page(pfn).isolate(sizes) {
            Isolation::Tail => {
                let head = self.frames().head_of(pfn);
                (head, self.frames().page(head).isolate(sizes))
            }
            isolation => (pfn, isolation),
        };
        match isolation {
            Isolation::Refused | Isolation::Tail => None,
            _ if !self.lru_isolate(head) => self.not_isolated(head),
            Isolation::Listed => Some(self.isolated(head, 1, Contents::Listed)),
            Isolation::Taken(pages) => Some(self.isolated(head, pages, Contents::Private)),
        }
    }

    #[inline(always)]
    fn isolated(&self, head: Pfn, pages: u64, contents: Contents) -> Isolated<'_, P> {
        self.get(head, 1);
        Isolated { mem: self, head, pages, contents, back: Back::AsNew }
    }

    /// A folio with the mark is not on its list.
    fn not_isolated(&self, head: Pfn) -> Option<Isolated<'_, P>> {
        self.frames().page(head).end_isolation();
        // Who has seen the mark waits for its end.
        self.isolation_ended();
        None
    }

    /// A folio that was taken off a list, with a reference; if it cannot be isolated, it goes back
    /// there.
    pub(crate) fn adopt_listed(&self, head: Pfn, list: List) -> Option<Isolated<'_, P>> {
        match self.frames().page(head).isolate(Sizes::Any) {
            Isolation::Taken(pages) => {
                let (contents, back) = (Contents::Private, Back::To(list));
                Some(Isolated { mem: self, head, pages, contents, back })
            }
            Isolation::Listed => {
                let (contents, back) = (Contents::Listed, Back::To(list));
                Some(Isolated { mem: self, head, pages: 1, contents, back })
            }
            // One that has left its file, too, and lives by a reference.
            Isolation::Refused | Isolation::Tail => {
                self.lru_put_back_to(head, list);
                self.put(head, 1);
                None
            }
        }
    }

    /// Tries to move a folio, in as many passes as the tuning says; for a caller that can wait,
    /// page by page if it finds no place as a whole.
    pub(crate) fn migrate(
        &self,
        page: Isolated<'_, P>,
        target: Target,
        mode: MigrateMode,
    ) -> Moved {
        self.migrate_telling(page, target, mode).0
    }

    /// As [`Memory::migrate`]; also says why not all of the folio moved.
    pub(crate) fn migrate_telling(
        &self,
        page: Isolated<'_, P>,
        target: Target,
        mode: MigrateMode,
    ) -> (Moved, Result<(), Stays>) {
        let result = self.migrate_whole(&page, target, mode);
        match (result, mode) {
            (Err(Stays::NoFrame), mode) if mode.splits() && self.has_parts(&page, target) => {
                let moved = self.migrate_parts(page, target, mode);
                (moved, if moved.failed == 0 { Ok(()) } else { result })
            }
            (Ok(()), _) => (self.count_moved(&page, Pass::Moved), result),
            (Err(_), _) => (self.count_moved(&page, Pass::Again), result),
        }
    }

    fn migrate_whole(
        &self,
        page: &Isolated<'_, P>,
        target: Target,
        mode: MigrateMode,
    ) -> Result<(), Stays> {
        let passes = mode.passes(self.tuning());
        let fresh = self.place_for(page.what_moves(), target.place()).ok_or(Stays::NoFrame)?;
        let mut results =
            (0..passes.max(1)).map(|pass| self.migrate_pass(page, &fresh, mode.locking(pass)));
        let moved = results.any(|pass| pass == Pass::Moved);
        if moved { Ok(()) } else { Err(Stays::Busy) }
    }

    /// Whether a folio that finds no place as a whole may find some in parts: not on a node that
    /// there is not.
    fn has_parts(&self, page: &Isolated<'_, P>, target: Target) -> bool {
        let exists = match target.placement {
            Placement::Only(node) => self.frames().has_node(node),
            Placement::Prefer(_) => true,
        };
        page.pages > 1 && exists
    }

    /// Counts the pages of a folio that has moved, or not.
    fn count_moved(&self, page: &Isolated<'_, P>, pass: Pass) -> Moved {
        let moved = self.count_folio(page, pass);
        self.count_pages(moved)
    }

    /// The pages of a folio that has moved, or not; a large one is counted.
    fn count_folio(&self, page: &Isolated<'_, P>, pass: Pass) -> Moved {
        let (stats, pages) = (self.counters(), page.pages);
        if pages > 1 {
            match pass {
                Pass::Moved => stats.thp_migration_success.add(1),
                Pass::Again => stats.thp_migration_fail.add(1),
            }
        }
        match pass {
            Pass::Moved => Moved { moved: pages, failed: 0 },
            Pass::Again => Moved { moved: 0, failed: pages },
        }
    }

    /// Counts pages that have moved, and that have not.
    fn count_pages(&self, moved: Moved) -> Moved {
        self.counters().pgmigrate_success.add(moved.moved);
        self.counters().pgmigrate_fail.add(moved.failed);
        moved
    }

    /// Splits a large folio and moves its pages one by one, those that are mapped.
    fn migrate_parts(
        &self,
        mut folio: Isolated<'_, P>,
        target: Target,
        mode: MigrateMode,
    ) -> Moved {
        let head = folio.head;
        let mut moved = Moved::default();
        let mut move_one = |page: Option<Isolated<'_, P>>| {
            moved += match page {
                Some(page) => self.migrate(page, target, mode),
                None => Moved { moved: 0, failed: 1 },
            };
        };
        let split = self.split_into(head, |pfn| {
            let mapped = self.frames().folio(pfn).is_mapped();
            let page = if mapped { self.isolate(pfn, Sizes::Small) } else { None };
            self.put(pfn, 1);
            if mapped {
                move_one(page);
            }
        });
        if split.is_err() {
            return self.count_moved(&folio, Pass::Again);
        }
        self.counters().thp_migration_split.add(1);
        if self.frames().folio(head).is_mapped() {
            folio.is_split();
            move_one(Some(folio));
        }
        moved
    }

    fn migrate_pass<'m>(
        &'m self,
        page: &Isolated<'m, P>,
        to: &Fresh<'m, P>,
        locking: Locking,
    ) -> Pass {
        if locking != Locking::Try {
            // Nobody sleeps for one page with another's lock.
            drop(to.take_lock());
            if page.contents == Contents::Listed {
                return self.migrate_pass_closed(page, to, locking);
            }
        }
        let mut deferred = DeferredFlush::new();
        let taken = self.take_out((page, to), locking, &mut deferred, None);
        deferred.finish(self);
        taken.map_or(Pass::Again, |taken| self.bring_back(&taken, None))
    }

    /// Locks both folios and takes the entries of the old one out; what `deferred` has recorded is
    /// to be flushed before [`Memory::bring_back`]. `last` is the family of a folio that is brought
    /// back before this one.
    fn take_out<'m>(
        &'m self,
        (page, fresh): (&Isolated<'m, P>, &Fresh<'m, P>),
        locking: Locking,
        deferred: &mut DeferredFlush,
        last: Option<&mut Hold<'m>>,
    ) -> Option<TakenOut<'m, P>> {
        let (from, to, pages) = (page.head, fresh.pfn(), page.pages);
        let locked_from = self.lock_as(from, locking)?;
        let locked_to = fresh.take_lock().or_else(|| self.try_lock_page(to))?;
        let _locks = (locked_to, locked_from);
        if page.contents == Contents::Listed {
            // One that was taken out of its object is of no use to anybody.
            let at = self.listed_at(from)?;
            let vacated = self.vacate_listed(from, &at, deferred);
            let (mapped, queued, slot) = (MappedBy::Object(at), Queued::Not, None);
            return Some(TakenOut { from, to, pages, queued, mapped, slot, vacated, _locks });
        }
        // The folio's lock keeps its home as it is.
        let (home, index) = self.frames().place(from);
        self.frames().page(to).set_rmap(home, index);
        let large = if pages > 1 { self.frames().large(from) } else { None };
        let waits = large.is_some_and(|folio| self.frames().is_queued(folio));
        let queued = if waits { Queued::Before } else { Queued::Not };
        let family = self.hold_family_after(from, last);
        let slot = self.hold_slot_of(from).map(|(slot, _)| slot);
        let vacated = self.vacate(family.as_ref(), (from, pages), HugeEntries::Kept, deferred);
        let mapped = MappedBy::Family(family);
        Some(TakenOut { from, to, pages, queued, mapped, slot, vacated, _locks })
    }

    /// Copies the folio if nobody else refers to it, and puts the entries back for the one or the
    /// other. `list` is that of the object whose page it is, if the caller holds it.
    fn bring_back(&self, taken: &TakenOut<'_, P>, list: Option<&mut PageList>) -> Pass {
        let TakenOut { from, to, pages, slot, .. } = *taken;
        let moves = taken.vacated.is_ok()
            && match &taken.mapped {
                MappedBy::Object(at) => self.replace_listed((from, to), at, list),
                MappedBy::Family(_) => self.replace_private((from, to), pages, slot),
            };
        let (page, result) = if moves { (to, Pass::Moved) } else { (from, Pass::Again) };
        if moves {
            self.frames().hand_on_last_fault(from, to);
        }
        match &taken.mapped {
            MappedBy::Object(at) => self.reoccupy_listed(at, (from, page)),
            MappedBy::Family(family) => {
                self.reoccupy(family.as_ref(), (from, pages), page, HugeEntries::Kept);
            }
        }
        // INV-MIG-5. One that waited where it still is goes on waiting.
        let requeued = pages > 1 && (moves || taken.queued == Queued::Not);
        if requeued && let Some(folio) = self.frames().large(page) {
            self.requeue(folio);
        }
        if moves {
            self.lru_add_for(to, from);
            self.tell_frame(EventKind::Migrated { from, to });
        }
        if let Some(slot) = slot {
            self.drop_slot_hold(slot);
        }
        result
    }

    /// Copies a folio whose entries are out, if nobody refers to it; whether that is so. If it is
    /// in the swap cache, the new one is there from then on.
    fn replace_private(&self, (from, to): (Pfn, Pfn), pages: u64, slot: Option<Slot>) -> bool {
        // The isolation's reference, and the swap cache's.
        let (busy, expected) = match slot {
            None => {
                // What those did who had a reference comes before the copy.
                let counts = self.frames().counts_acquire(from);
                (Some(counts).filter(|counts| counts.refs() != 1), 1)
            }
            Some(slot) => (self.replace_swapped((from, to), slot).err(), 2),
        };
        if let Some(counts) = busy {
            let refs = counts.refs();
            self.tell_frame(EventKind::MigrationBusy { pfn: from, refs, expected });
            return false;
        }
        self.copy_frames(from, to, pages);
        self.inherit_charges(from, to, pages);
        true
    }
}

#[cfg(test)]
mod tests;
