//! Large folios that address spaces map: what their frames' words hold, and the counts.
//!
//! | word | of the head | of tail 1 | of tail 2 | of tail 3 |
//! | --- | --- | --- | --- | --- |
//! | counts | references, all mappings, the first page's mark | its mappings, its mark, references by an old rule (`tails`) | the same | the same |
//! | spare | exact pins | mappings of the first page | lock of the owners | locked entries |
//! | mapping | home of all pages | one owner | another | place in the queue |
//! | index | number of the first page | the head | the head | the head |
//!
//! Protocol: a mapping is counted under the lock of the table that holds the entry. References,
//! and the mappings of all pages, change with it in one step, for a run of entries at once. Who
//! counts owners ([`counts_owners`]) holds the lock of the owners meanwhile, as two address spaces
//! may be at it. Without the lock the word of the owners is a hint; who gives a page to its owner
//! because nobody else maps the folio looks at it, and at the counts, under that lock.
//!
//! Invariants:
//! - INV-LARGE-1: such a folio has at least [`MIN_ORDER`], so that it has three tails to lend
//!   words, and at most as many pages as a table maps.
//! - INV-LARGE-2: the mappings of all pages are the entries that map any of them. Those of a page
//!   are the entries that map it, where the rule counts them.
//! - INV-LARGE-3: who has the lock of a table that maps one of its pages keeps the folio from being
//!   split: a split needs all entries. Who has a reference does, too, but under the rules that
//!   count on tails, under which it needs no reference; there the folio's lock keeps it whole.

use alloc::vec::Vec;
use core::ops::Range;

use super::counts::{Counts, EXCLUSIVE, MAP, REF};
use super::flags::{Flags, TAILS_LOCK, order_of};
use super::frames::Frames;
use super::meta::Frame;
use super::owners::Owners;
use super::views::Folio;
use crate::addr::{Pfn, SpaceId};
use crate::rules::large::{Tally, counts_each_page, counts_owners, tally};
use crate::rules::{self, Exclusive, LargeMaps, LargeState, TailRefs};
use crate::sync::{AtomicU32, AtomicU64, Inside, Masks, RawSpinLock, SpinGuard};

/// log2 of the pages of the smallest large folio that is mapped.
pub(crate) const MIN_ORDER: u32 = 2;

/// A large folio of anonymous memory. The caller keeps it from being split (INV-LARGE-3).
#[derive(Clone, Copy)]
pub(crate) struct Large<'a> {
    head: Pfn,
    frames: &'a [Frame],
}

/// What taking mappings off has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MapsLeftLarge {
    /// Mappings of all pages.
    pub(crate) maps: u32,
    /// Whether some page may have none while others have.
    pub(crate) partly: bool,
    /// Whether there were fewer than were taken off: nothing changed.
    pub(crate) underflow: bool,
}

/// What a large folio says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FolioView {
    /// Its first frame.
    pub head: Pfn,
    /// How many frames it has.
    pub pages: u64,
    /// Exact pins of any of them.
    pub pins: u32,
    /// How many entries map each of them, where the rule `large-maps` counts that; references on
    /// each tail, where the rule `tail-refs` counts those in that place; otherwise zeros.
    pub page_maps: Vec<u32>,
    /// Whether somebody is changing what it knows of those who map it.
    pub owners_locked: bool,
    /// Whether somebody is taking or dropping a reference on a tail, or splitting it, under the
    /// lock that the rules for that have up to 4.4.
    pub tails_locked: bool,
    /// Whether several address spaces may map it, where the rule counts that; otherwise not.
    pub may_be_shared: bool,
    /// Whether it waits to be split, as it is mapped in part.
    pub queued: bool,
}

impl Frames {
    /// The large folio of anonymous memory that a frame is part of, if it is.
    #[inline]
    pub(crate) fn large(&self, pfn: Pfn) -> Option<Large<'_>> {
        let folio = self.folio(pfn);
        folio.is_large().then(|| self.large_of(folio.head()))
    }

    /// The large folio that a frame is part of. The caller has seen that it is, and keeps it so
    /// (INV-LARGE-3).
    #[inline]
    pub(crate) fn large_with(&self, pfn: Pfn) -> Large<'_> {
        self.large_of(self.folio(pfn).head())
    }

    /// What the words of a large folio of anonymous memory say, while nothing else runs: not a step
    /// of an exploration.
    pub(crate) fn peek_large(&self, pfn: Pfn) -> Option<FolioView> {
        let frame = self.frame(pfn);
        let flags = Flags::from_bits_truncate(frame.flags.peek());
        if !flags.intersects(Flags::LARGE) || !flags.contains(Flags::ANON) {
            return None;
        }
        let tail = flags.contains(Flags::TAIL);
        let head = if tail { Pfn(frame.index.peek()) } else { pfn };
        let folio = self.large_from(head, self.frame(head).flags.peek());
        let [first, second, third] = [1, 2, 3].map(|place| folio.frame(place));
        let maps = |place: usize| match place {
            0 => first.spare.peek(),
            _ => Counts(folio.frame(place).counts.peek()).maps(),
        };
        Some(FolioView {
            head: folio.head,
            pages: folio.pages(),
            pins: folio.frame(0).spare.peek(),
            page_maps: (0..folio.frames.len()).map(maps).collect(),
            owners_locked: second.spare.peek() != 0,
            tails_locked: folio.frame(0).flags.peek() & TAILS_LOCK != 0,
            may_be_shared: Owners::is_shared(first.mapping.peek()),
            queued: third.mapping.peek() != 0,
        })
    }

    /// The large folio with this head.
    #[inline]
    pub(super) fn large_of(&self, head: Pfn) -> Large<'_> {
        self.large_from(head, self.frame(head).flags.read_once())
    }

    /// The same, with the flags that the head was seen to have.
    #[inline]
    fn large_from(&self, head: Pfn, flags: u32) -> Large<'_> {
        let pages = 1 << order_of(flags);
        let first = (head.0 - self.metadata().base()) as usize;
        Large { head, frames: &self.metadata().all()[first..first + pages] }
    }
}

#[inline]
fn mark_of(counts: &AtomicU64) -> Exclusive {
    counts.read_once_as(|counts| match Counts(counts).is_exclusive() {
        true => Exclusive::Marked,
        false => Exclusive::Unmarked,
    })
}

impl<'a> Large<'a> {
    /// Its first frame.
    #[inline]
    pub(crate) fn head(self) -> Pfn {
        self.head
    }

    /// How many frames it has.
    #[inline]
    pub(crate) fn pages(self) -> u64 {
        self.frames.len() as u64
    }

    /// log2 of that.
    pub(crate) fn order(self) -> u32 {
        self.frames.len().ilog2()
    }

    /// All of its frames.
    pub(crate) fn pfns(self) -> impl DoubleEndedIterator<Item = Pfn> + use<> {
        (self.head.0..self.head.0 + self.pages()).map(Pfn)
    }

    #[inline]
    pub(super) fn frame(self, index: usize) -> &'a Frame {
        &self.frames[index]
    }

    #[inline]
    pub(crate) fn folio(self) -> Folio<'a> {
        Folio::of(self.head, self.frame(0))
    }

    /// The places of a run of its frames.
    #[inline]
    fn places(self, first: Pfn, pages: u32) -> Range<usize> {
        let at = (first.0 - self.head.0) as usize;
        at..at + pages as usize
    }

    /// How many locked entries map its pages.
    #[inline]
    pub(super) fn locks(self) -> &'a AtomicU32 {
        &self.frame(3).spare
    }

    fn lock_owners(self) -> Inside<SpinGuard<'a>> {
        let lock = RawSpinLock::from_word(&self.frame(2).spare);
        Inside::lock(Masks::Preemption, || lock.lock())
    }

    fn owners(self) -> Owners {
        Owners::from_words([self.frame(1).mapping.read_once(), self.frame(2).mapping.read_once()])
    }

    fn set_owners(self, owners: Owners) {
        let [first, second] = owners.words();
        self.frame(1).mapping.write_once(first);
        self.frame(2).mapping.write_once(second);
    }

    /// So many entries more map a run of pages, one each, with a reference for each; the head's
    /// mark, which is `marked` if the head is one of them and the caller has seen it, is taken off
    /// in the same step, as that of a small page. The lock of their table is held.
    pub(crate) fn get_maps(
        self,
        (first, pages): (Pfn, u32),
        marked: Exclusive,
        space: SpaceId,
        rule: LargeMaps,
    ) {
        if counts_each_page(rule) {
            for place in self.places(first, pages) {
                match place {
                    0 => self.frame(1).spare.add(1),
                    _ => self.frame(place).counts.add(MAP),
                }
            }
        }
        let mark = match marked {
            Exclusive::Marked => EXCLUSIVE,
            Exclusive::Unmarked => 0,
        };
        let more = (u64::from(pages) * (MAP + REF)).wrapping_sub(mark);
        if !counts_owners(rule) {
            return self.frame(0).counts.add(more);
        }
        let _lock = self.lock_owners();
        let mut owners = self.owners();
        owners.add(space, pages, self.folio().counts().maps());
        self.set_owners(owners);
        self.frame(0).counts.add(more);
    }

    /// So many entries no longer map a run of pages, one each; their references stay with the
    /// caller. The lock of their table is held.
    pub(crate) fn drop_maps(
        self,
        (first, pages): (Pfn, u32),
        space: SpaceId,
        rule: LargeMaps,
    ) -> MapsLeftLarge {
        let unmapped = counts_each_page(rule) && self.drop_page_maps(first, pages);
        let lock = counts_owners(rule).then(|| self.lock_owners());
        let old = self.frame(0).counts.fetch_sub(u64::from(pages) * MAP);
        let Some(maps) = Counts(old).maps().checked_sub(pages) else {
            self.frame(0).counts.add(u64::from(pages) * MAP);
            return MapsLeftLarge { maps: Counts(old).maps(), partly: false, underflow: true };
        };
        if lock.is_some() {
            let mut owners = self.owners();
            owners.sub(space, pages, maps);
            self.set_owners(owners);
        }
        let fewer = if counts_each_page(rule) { unmapped } else { u64::from(maps) < self.pages() };
        MapsLeftLarge { maps, partly: maps > 0 && fewer, underflow: false }
    }

    /// One entry less maps each page of a run, as far as pages are counted by themselves. Whether
    /// some page has none now.
    pub(crate) fn drop_page_maps(self, first: Pfn, pages: u32) -> bool {
        let mut unmapped = false;
        for place in self.places(first, pages) {
            let before = match place {
                0 => self.frame(1).spare.fetch_sub(1),
                _ => Counts(self.frame(place).counts.fetch_sub(MAP)).maps(),
            };
            unmapped |= before == 1;
        }
        unmapped
    }

    /// The mark of a page.
    #[inline]
    pub(crate) fn mark(self, pfn: Pfn) -> Exclusive {
        mark_of(self.word(pfn))
    }

    /// The counts of one of its pages.
    #[inline]
    pub(super) fn word(self, pfn: Pfn) -> &'a AtomicU64 {
        &self.frame((pfn.0 - self.head.0) as usize).counts
    }

    /// Takes the marks off a run of its pages, one after the other as the iterator goes on, and
    /// says which had one; `head`, if that is among them, is what [`Large::get_maps`] has taken
    /// off. The caller has the lock of the table that maps them, so nobody else changes them
    /// (INV-FRAME-3).
    #[inline]
    pub(crate) fn take_marks(
        self,
        (first, pages): (Pfn, u32),
        head: Exclusive,
        rule: LargeMaps,
        tails: TailRefs,
    ) -> impl Iterator<Item = (Pfn, Exclusive)> {
        // Then the word of a tail holds nothing but the mark.
        let bare = !counts_each_page(rule) && tally(tails) == Tally::Head;
        let frames = self.frames[self.places(first, pages)].iter();
        (first.0..).map(Pfn).zip(frames).map(move |(pfn, Frame { counts, .. })| {
            if pfn == self.head {
                return (pfn, head);
            }
            let mark = mark_of(counts);
            match mark {
                Exclusive::Unmarked => {}
                Exclusive::Marked if bare => counts.write_once(0),
                Exclusive::Marked => counts.and(!EXCLUSIVE),
            }
            (pfn, mark)
        })
    }

    /// Sets the marks of all pages behind the first, of a folio that one huge entry alone maps,
    /// under the lock of the table that holds it.
    pub(crate) fn set_marks(self, rule: LargeMaps, tails: TailRefs) {
        let words = self.frames[1..].iter().map(|frame| &frame.counts);
        if counts_each_page(rule) || tally(tails) != Tally::Head {
            words.for_each(|counts| counts.or(EXCLUSIVE));
        } else {
            words.for_each(|counts| counts.write_once(EXCLUSIVE));
        }
    }

    /// How many entries map a page by itself.
    #[inline]
    fn page_maps(self, place: usize) -> u32 {
        match place {
            0 => self.frame(1).spare.read_once(),
            _ => Counts(self.frame(place).counts.read_once()).maps(),
        }
    }

    #[inline]
    fn who_maps(self) -> rules::Owners {
        // The word says at once whether they are several.
        if Owners::is_shared(self.frame(1).mapping.read_once()) {
            rules::Owners::Several
        } else {
            rules::Owners::One
        }
    }

    /// Its counts, and whether several address spaces may map it. `exact`: where that is not so and
    /// nothing but entries refers to the folio, both are true at one moment, as the lock of the
    /// owners says (facts 1.6): neither word alone, nor both one after the other, would tell that
    /// nobody else has a mapping, or had one and kept a reference.
    #[inline]
    pub(crate) fn counted(self, rule: LargeMaps, exact: bool) -> (Counts, rules::Owners) {
        let counts = self.folio().counts();
        if !counts_owners(rule) {
            return (counts, rules::Owners::Uncounted);
        }
        let who = self.who_maps();
        if who == rules::Owners::Several || !exact || counts.refs() != counts.maps() {
            return (counts, who);
        }
        let _lock = self.lock_owners();
        (self.folio().counts(), self.who_maps())
    }

    /// What the rules look at: how many entries map the page, and the folio, of which
    /// [`Large::counted`] has said what it counts. The number of the page that is mapped most is
    /// looked for only where it is `needed`.
    #[inline]
    pub(crate) fn state(
        self,
        pfn: Pfn,
        (counts, owners): (Counts, rules::Owners),
        rule: LargeMaps,
        needed: bool,
    ) -> (u32, LargeState) {
        let by_itself = |place: usize| match owners {
            _ if counts_each_page(rule) => self.page_maps(place),
            rules::Owners::One => 1,
            rules::Owners::Several | rules::Owners::Uncounted => counts.maps(),
        };
        let (own, first) = (by_itself((pfn.0 - self.head.0) as usize), by_itself(0));
        let most = if needed { (0..self.frames.len()).map(by_itself).max() } else { None };
        let folio = LargeState {
            pages: self.frames.len() as u32,
            pins: self.folio().pins(),
            maps: counts.maps(),
            most: most.unwrap_or(own),
            first,
            owners,
        };
        (own, folio)
    }

    /// Whether the folio is mapped, and some page may not be.
    pub(crate) fn is_partly_mapped(self, rule: LargeMaps) -> bool {
        let maps = self.folio().counts().maps();
        maps > 0
            && if counts_each_page(rule) {
                (0..self.frames.len()).any(|place| self.page_maps(place) == 0)
            } else {
                u64::from(maps) < self.pages()
            }
    }

    /// Takes the folio for the caller alone, who has its lock and a reference: only if that is the
    /// last one and nothing maps a page. Nobody gets one until [`Large::break_up`].
    pub(crate) fn freeze(self) -> Result<(), Counts> {
        let alone = |counts: u64| {
            let counts = Counts(counts);
            (counts.refs() == 1 && counts.maps() == 0).then_some(0)
        };
        self.frame(0).counts.try_update(alone).map(|_| ()).map_err(Counts)
    }

    /// Keeps everybody from the folio, of which the caller has the lock and a reference, and whose
    /// only entry he has locked: only if there is no other reference, and no other entry. Nobody
    /// gets one until [`Large::thaw`].
    pub(crate) fn freeze_mapped(self) -> Result<(), Counts> {
        let pages = self.frames.len() as u32;
        let alone = |counts: u64| {
            let own = Counts(counts).refs() == pages + 1 && Counts(counts).maps() == pages;
            own.then(|| counts - u64::from(pages + 1) * REF)
        };
        self.frame(0).counts.try_update(alone).map(|_| ()).map_err(Counts)
    }

    /// Gives back what [`Large::freeze_mapped`] has taken.
    pub(crate) fn thaw(self) {
        self.frame(0).counts.add((self.pages() + 1) * REF);
    }

    /// Makes each frame a page of its own, with one reference each, which are the caller's, and
    /// with the home and the place that it had. The folio is frozen; the caller has the locks of
    /// all frames, and nobody finds the folio in a queue. The head comes last (facts 5.3).
    pub(crate) fn break_up(self) {
        for place in 1..self.frames.len() {
            self.end_tail(place);
            self.frame(place).counts.store_release(REF);
        }
        self.end_head();
        self.frame(0).counts.store_release(REF);
    }

    /// The tail at a place is a page of its own from now on, with the home and the place that it
    /// had, for whoever takes its lock, which the caller has.
    pub(super) fn end_tail(self, place: usize) {
        let (head, tail) = (self.frame(0), self.frame(place));
        let (home, index) = (head.mapping.read_once(), head.index.read_once());
        let kept = Flags::ANON | Flags::DIRTY | Flags::CHARGED;
        let carried = head.flags.read_once() & kept.bits();
        tail.spare.init(0);
        let _ = tail.flags.try_update(|word| Some(word & !Flags::TAIL.bits() | carried));
        // Behind the flag: INV-TAIL-4.
        tail.mapping.write_once(home);
        tail.index.write_once(index.wrapping_add(place as u64));
    }

    /// The head is a small page from now on.
    pub(super) fn end_head(self) {
        let head = self.frame(0);
        let large = Flags::HEAD.bits() | super::flags::order_bits(self.order());
        head.spare.init(0);
        head.flags.fetch_and(!large);
    }
}
