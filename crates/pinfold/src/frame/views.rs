//! A frame by its kind, and what may be done to its words as such.
//!
//! | view | what it is | counts | spare word | mapping and index words |
//! | --- | --- | --- | --- | --- |
//! | [`Page`] | what an entry maps | the exclusive mark | of a small one, locked entries | home and page |
//! | [`Folio`] | a small page, or a large folio's head | references, mappings | pins | |
//! | [`Table`] | a page table | references | its lock | the chain of retired tables |
//!
//! A tail's own counts hold nothing but the mark, and its index word names the head
//! ([`Frame::head`]); the words of a free frame belong to the free lists (`buddy`).

use super::counts::{Counts, EXCLUSIVE, MAP, REF};
use super::flags::{Flags, order_of};
use super::meta::{Frame, Put};
use crate::addr::{Pfn, Vpn};
use crate::rmap::Home;
use crate::rules::Exclusive;
use crate::sync::{AtomicU32, BitGuard, BitLock, Class, Park};

/// No table: the end of a chain.
const NO_TABLE: u64 = u64::MAX;

/// What an entry maps: a page of its own, or any frame of a large folio.
#[derive(Clone, Copy)]
pub(crate) struct Page<'a> {
    frame: &'a Frame,
}

/// Whether a page could be isolated for migration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Isolation {
    /// The caller has the folio, of so many pages.
    Taken(u64),
    /// The caller has it, and it is a page of an object.
    Listed,
    /// Another has it, or it is of a kind that does not move.
    Refused,
    /// The folio is another frame's: the head's.
    Tail,
}

/// What may be isolated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sizes {
    /// Small pages alone.
    Small,
    /// Large folios, too.
    Any,
}

impl<'a> Page<'a> {
    #[inline]
    pub(super) fn of(frame: &'a Frame) -> Self {
        Self { frame }
    }

    /// Its current flags.
    #[inline]
    pub(crate) fn flags(self) -> Flags {
        Flags::from_bits_truncate(self.frame.flags.read_once())
    }

    /// The current counts of this frame: of a tail, nothing but the mark.
    #[inline]
    pub(crate) fn counts(self) -> Counts {
        Counts(self.frame.counts.read_once())
    }

    /// As [`Page::counts`]; the caller learns what `look` makes of them.
    #[inline]
    pub(crate) fn counts_as<C: Class>(self, look: impl Fn(Counts) -> C) -> C {
        self.frame.counts.read_once_as(|bits| look(Counts(bits)))
    }

    /// Sets the exclusive mark; see INV-FRAME-3.
    #[inline]
    pub(crate) fn mark_exclusive(self) {
        self.frame.counts.or(EXCLUSIVE);
    }

    /// Clears the exclusive mark; see INV-FRAME-3.
    #[inline]
    pub(crate) fn clear_exclusive(self) {
        self.frame.counts.and(!EXCLUSIVE);
    }

    /// One more entry maps a page that is not part of a large folio, and one reference goes with
    /// it; whether it is the first one.
    #[inline]
    pub(crate) fn get_map_first(self) -> bool {
        // Subtracting so much adds one of each.
        let both = (REF + MAP).wrapping_neg();
        self.frame.counts.fetch_sub_as(both, |old| Counts(old).maps() == 0)
    }

    /// One more entry maps a page that is not part of a large folio, and one reference goes with
    /// it; the mark, if set, is cleared. All in one step. The caller has read the mark under the
    /// lock that protects it (INV-FRAME-3), so clearing it by subtraction is exact.
    #[inline]
    pub(crate) fn get_map_small(self, mark: Exclusive) {
        let mark = match mark {
            Exclusive::Marked => EXCLUSIVE,
            Exclusive::Unmarked => 0,
        };
        self.frame.counts.add((REF + MAP).wrapping_sub(mark));
    }

    /// One more entry maps a page that is not part of a large folio, with a reference, and the page
    /// has the mark from now on, whether it had it or not. All in one step; see INV-FRAME-3.
    #[inline]
    pub(crate) fn get_map_marked(self) {
        self.frame.counts.add_and_set(REF + MAP, EXCLUSIVE);
    }

    /// Records where the page is mapped, while nobody else knows it: before an entry maps it.
    #[inline]
    pub(crate) fn set_rmap(self, home: Home, page: Vpn) {
        self.frame.mapping.init(home.bits());
        self.frame.index.write_once(page.0);
    }

    /// Gives the page another home, in the same family. The caller has the page's lock and that of
    /// the only table that maps it.
    #[inline]
    pub(crate) fn set_home(self, home: Home) {
        if self.home() != home {
            self.frame.mapping.write_once(home.bits());
        }
    }

    /// Makes it the merged page of this number, which has no home. The caller has the page's lock,
    /// and has isolated it.
    pub(crate) fn merge(self, number: u64) {
        self.frame.mapping.write_once(0);
        self.frame.index.write_once(number);
        self.frame.flags.fetch_or(Flags::KSM.bits());
    }

    /// Its number as a merged page, if it is one: for certain only to who has its lock.
    pub(crate) fn merged(self) -> Option<u64> {
        self.flags().contains(Flags::MERGED).then(|| self.frame.index.read_once())
    }

    /// Makes a merged page an ordinary one, which has a home and a number there. The caller has the
    /// page's lock and that of the only table that maps it.
    pub(crate) fn end_merged(self, home: Home, page: Vpn) {
        self.frame.flags.fetch_and(!Flags::KSM.bits());
        self.frame.mapping.write_once(home.bits());
        self.frame.index.write_once(page.0);
    }

    /// From where those who may map the page are found.
    #[inline]
    pub(crate) fn home(self) -> Home {
        Home::from_bits(self.frame.mapping.read_once())
    }

    /// The number of the page in all address spaces that may map it.
    #[inline]
    pub(crate) fn index(self) -> Vpn {
        Vpn(self.frame.index.read_once())
    }

    /// The lock of the page.
    pub(crate) fn lock(self) -> BitLock<'a> {
        BitLock::new(&self.frame.flags, Flags::LOCKED.bits(), Flags::WAITERS.bits())
    }

    /// What the flags of a new page have in addition that is locked from its first moment on
    /// ([`Page::locked_from_first`]).
    pub(crate) fn first_locked() -> Flags {
        Flags::from_bits_truncate(BitLock::first_held(Flags::LOCKED.bits()))
    }

    /// The lock of a new page that was made so, once.
    pub(crate) fn locked_from_first<W: Park>(self, sleep: &'a W) -> BitGuard<'a, W> {
        self.lock().held_from_first(sleep)
    }

    /// Takes the references of a small page that nothing maps away, if they are exactly so many:
    /// nobody gets one until [`Page::thaw`], or the frame's next life.
    ///
    /// # Errors
    /// The counts, if there are others, or an entry maps the page.
    pub(crate) fn freeze(self, refs: u32) -> Result<(), Counts> {
        let alone = |counts: u64| {
            let own = Counts(counts).refs() == refs && Counts(counts).maps() == 0;
            own.then_some(0)
        };
        self.frame.counts.try_update(alone).map(|_| ()).map_err(Counts)
    }

    /// Takes the reference of a small page away, if it is the only one and nothing maps the page;
    /// whether it is.
    pub(crate) fn put_alone(self) -> bool {
        let alone = |counts: u64| (counts & !EXCLUSIVE == REF).then_some(0);
        self.frame.counts.try_update_as(alone, |taken| taken.is_ok())
    }

    /// Gives back what [`Page::freeze`] has taken.
    pub(crate) fn thaw(self, refs: u32) {
        self.frame.counts.add(u64::from(refs) * REF);
    }

    /// Whether it is part of a large folio, or in the swap cache: a page of which the caller has
    /// the lock of a table that maps it.
    #[inline]
    pub(crate) fn is_large_or_swapped(self) -> bool {
        self.frame.flags.read_once() & Flags::LARGE_OR_SWAPPED.bits() != 0
    }

    /// Isolates the folio of anonymous memory whose first page this is, or the page of an object,
    /// for migration.
    pub(crate) fn isolate(self, sizes: Sizes) -> Isolation {
        let refused = match sizes {
            Sizes::Small => Flags::ISOLATED.union(Flags::LARGE),
            // Pages of the pool stay where they are.
            Sizes::Any => Flags::ISOLATED.union(Flags::TAIL).union(Flags::HUGETLB),
        };
        let taken = self.frame.flags.try_update(|bits| {
            let flags = Flags::from_bits_retain(bits);
            // INV-MERGE-4.
            let moves = flags & Flags::MERGED == Flags::ANON || flags.is_cached();
            (moves && !flags.intersects(refused)).then_some(bits | Flags::ISOLATED.bits())
        });
        match taken {
            Ok(bits) if bits & Flags::ANON.bits() == 0 => Isolation::Listed,
            Ok(bits) => Isolation::Taken(1 << order_of(bits)),
            Err(bits) if bits & Flags::TAIL.bits() != 0 && sizes == Sizes::Any => Isolation::Tail,
            Err(_) => Isolation::Refused,
        }
    }

    /// Ends the isolation: the page may be isolated again.
    pub(crate) fn end_isolation(self) {
        self.frame.flags.fetch_and(!Flags::ISOLATED.bits());
    }
}

/// A folio, by its head: a page of its own, or a large one.
#[derive(Clone, Copy)]
pub(crate) struct Folio<'a> {
    head: Pfn,
    frame: &'a Frame,
}

/// The outcome of dropping a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MapCount {
    /// There was one to drop.
    Dropped,
    /// There was none.
    Underflow,
}

/// What dropping a mapping, or the count of a locked one, has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MapsLeft {
    /// Others.
    Some,
    /// None.
    None,
    /// There was none to drop.
    Underflow,
}

impl Class for MapsLeft {
    fn number(&self) -> u64 {
        match self {
            Self::Some => 0,
            Self::None => 1,
            Self::Underflow => 2,
        }
    }
}

impl<'a> Folio<'a> {
    #[inline]
    pub(super) fn of(head: Pfn, frame: &'a Frame) -> Self {
        Self { head, frame }
    }

    /// The head.
    #[inline]
    pub(crate) fn head(self) -> Pfn {
        self.head
    }

    /// Whether it has more than one frame. It can change while nobody holds a reference.
    #[inline]
    pub(crate) fn is_large(self) -> bool {
        self.frame.is_large()
    }

    /// Its current counts.
    #[inline]
    pub(crate) fn counts(self) -> Counts {
        Counts(self.frame.counts.read_once())
    }

    /// As [`Frames::counts_acquire`](super::Frames::counts_acquire), of the folio.
    #[inline]
    pub(crate) fn counts_acquire(self) -> Counts {
        Counts(self.frame.counts.load_acquire())
    }

    /// As [`Folio::counts`]; the caller learns what `look` makes of them.
    #[inline]
    pub(crate) fn counts_as<C: Class>(self, look: impl Fn(Counts) -> C) -> C {
        self.frame.counts.read_once_as(|bits| look(Counts(bits)))
    }

    /// Adds references to a folio that is known to be alive.
    #[inline]
    pub(crate) fn get(self, refs: u32) {
        self.frame.counts.add(u64::from(refs) * REF);
    }

    /// Drops references. After the last one the caller must release the folio.
    #[inline]
    pub(crate) fn put(self, refs: u32) -> Put {
        self.frame.put(refs)
    }

    /// Whether an entry maps a page of the folio.
    #[inline]
    pub(crate) fn is_mapped(self) -> bool {
        self.counts_as(|counts| counts.maps() != 0)
    }

    /// One entry no longer maps the small page; its reference stays with the caller.
    #[inline]
    pub(crate) fn drop_map(self) -> MapCount {
        let dropped = self.frame.counts.fetch_sub_as(MAP, |old| Counts(old).maps() != 0);
        if dropped { MapCount::Dropped } else { MapCount::Underflow }
    }

    /// One entry no longer maps the small page, whose reference goes with it, and the mark, if it
    /// is set: who holds the lock of the entry's table has read that (INV-FRAME-3). All in one
    /// step. Nothing changes if there was no such mapping or no reference.
    #[inline]
    pub(crate) fn drop_entry(self, mark: Exclusive) -> Put {
        let mark = match mark {
            Exclusive::Marked => EXCLUSIVE,
            Exclusive::Unmarked => 0,
        };
        let less = REF + MAP + mark;
        let put = self.frame.counts.fetch_sub_as(less, |old| {
            match (Counts(old).maps(), Counts(old).refs()) {
                (0, _) | (_, 0) => Put::Underflow,
                (_, 1) => Put::Last,
                _ => Put::Held,
            }
        });
        if put == Put::Underflow {
            self.frame.counts.add(less);
        }
        put
    }

    /// As [`Folio::drop_map`]; what is left.
    #[inline]
    pub(crate) fn drop_map_left(self) -> MapsLeft {
        self.frame.counts.fetch_sub_as(MAP, |old| match Counts(old).maps() {
            0 => MapsLeft::Underflow,
            1 => MapsLeft::None,
            _ => MapsLeft::Some,
        })
    }

    /// Adds exact pins; for a large folio.
    #[inline]
    pub(super) fn pin(self, pins: u32) {
        self.frame.spare.add(pins);
    }

    /// Takes exact pins away; for a large folio.
    #[inline]
    pub(super) fn unpin(self, pins: u32) {
        self.frame.spare.fetch_sub(pins);
    }

    /// The exact pins; for a large folio.
    #[inline]
    pub(crate) fn pins(self) -> u32 {
        self.frame.spare.read_once()
    }
}

/// A page table.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    frame: &'a Frame,
}

impl<'a> Table<'a> {
    #[inline]
    pub(super) fn of(frame: &'a Frame) -> Self {
        Self { frame }
    }

    /// The word of its lock.
    #[inline]
    pub(crate) fn lock_word(self) -> &'a AtomicU32 {
        &self.frame.spare
    }

    /// Takes a reference, so that the table survives being unlinked.
    #[inline]
    pub(crate) fn get(self) {
        self.frame.counts.add(REF);
    }

    /// Drops a reference.
    #[inline]
    pub(crate) fn put(self) -> Put {
        self.frame.put(1)
    }

    /// Of a root: one more entry of the address space was replaced and is not flushed yet. The
    /// caller holds the lock of the entry's table.
    pub(crate) fn note_unflushed(self) {
        let _ = self.frame.mapping.try_update(|word| {
            let noted = (word as u32).wrapping_add(1);
            Some(word >> 32 << 32 | u64::from(noted))
        });
    }

    /// Of a root: what to give to [`Table::note_flushed`] after a flush of the address space, if
    /// some noted entry may not have been flushed.
    #[inline]
    pub(crate) fn unflushed(self) -> Option<u64> {
        let word = self.frame.mapping.read_once();
        (word as u32 != (word >> 32) as u32).then_some(word)
    }

    /// Of a root: a flush that began after [`Table::unflushed`] gave `seen` has ended.
    pub(crate) fn note_flushed(self, seen: u64) {
        let noted = u64::from(seen as u32);
        let _ = self.frame.mapping.cmpxchg(seen, noted << 32 | noted);
    }

    /// Of a root that nobody can find yet: the first page number that is not the address space's.
    pub(crate) fn set_end(self, end: Vpn) {
        self.frame.index.write_once(end.0);
    }

    /// Of a root: what [`Table::set_end`] was given. Whoever asks keeps it from being chained.
    #[inline]
    pub(crate) fn end(self) -> Vpn {
        Vpn(self.frame.index.fixed())
    }

    /// Puts the table, which no walk finds any more, at the head of a chain of such tables.
    pub(crate) fn chain(self, next: Option<Pfn>) {
        self.frame.index.write_once(next.map_or(NO_TABLE, |pfn| pfn.0));
    }

    /// The next table of the chain.
    pub(crate) fn chained(self) -> Option<Pfn> {
        let next = self.frame.index.peek();
        (next != NO_TABLE).then_some(Pfn(next))
    }
}
