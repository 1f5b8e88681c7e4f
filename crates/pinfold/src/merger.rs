//! Finding equal pages in address spaces that ask for it (Linux: ksmd; facts 7.1).
//!
//! Protocol: a merger has a sleeping lock, above all locks of the manager. Under it a *pass* goes
//! through the address spaces that were added, in order, and through their pages from the lowest
//! on. What it has seen of a page it keeps until the next pass: the checksum of its contents.
//! - A page whose contents a merged page has is merged into that.
//! - A page whose checksum is not the one of the last pass is left alone until the next.
//! - Otherwise, if a page that was met earlier in this pass has the same contents, that becomes a
//!   merged page, and this one is merged into it. If none has, this one waits for the next.
//!
//! A checksum finds a page; its contents, compared in full, decide. Both may change while the
//! merger looks: what counts is the comparison under [`crate::merge`]'s protocol. The merger has no
//! reference on a merged page that it remembers, only its number: it takes one, and looks at the
//! number again; so the page is freed with its last entry, and its frame may have another life.
//!
//! Each address space's lock is taken for one page at a time, for reading, never two at once.
//!
//! Invariants:
//! - INV-KSM-1: nothing that one page needs of the heap is taken after it was looked at: where the
//!   heap is exhausted, that page is the next one again.
//! - INV-KSM-2: what is remembered of a pass names places, never pages that might be gone: a place
//!   is looked at again before anything is done there.

mod index;

use alloc::vec::Vec;
use core::fmt;

use crate::addr::{Pfn, Vpn};
use crate::address_space::AddressSpace;
use crate::error::{NoMemory, SpaceError};
use crate::memory::{Memory, ZeroPages};
use crate::merge::{Becomes, Kept};
use crate::platform::Words;
use crate::space::Space;
use crate::sync::{self, CellName, RwSem, Shared};

use index::Index;

/// Merges equal pages of private memory: of the address spaces that were added to it, where advice
/// asks for it ([`crate::Advice::Merge`]). It has no thread: the caller drives it.
///
/// What was merged is copied again when somebody writes to it, when a device pins it (by rules that
/// know the exclusive mark), and for [`crate::Advice::Unmerge`]. A merged page is not moved, and
/// not swapped out: who asks for that is told that it stays, as of a page in use.
///
/// There may be several, for address spaces that are to have nothing in common: one of them does
/// not merge what another has merged.
///
/// ```
/// # use pinfold::{mock::Host, *};
/// # let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: 64 };
/// # // SAFETY: the host has these frames, and nobody else uses it.
/// # let memory = unsafe {
/// #     Memory::new(Host::<X86_64>::new(64), &[span], Rules::default(), Tuning::default())?
/// # };
/// let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>())?;
/// let range = space.map(Place::Anywhere, 4, Prot::READ_WRITE, Sharing::Private)?;
/// space.populate(range, Access::Write).map_err(|error| error.error)?;
/// space.advise(range, Advice::Merge)?;
///
/// let merger = Merger::new(&memory);
/// merger.add(&space)?;
/// // One pass to learn what the pages hold, one to merge what still holds it.
/// for _ in 0..2 {
///     while merger.scan(100)?.passes == 0 {}
/// }
/// let stats = merger.stats();
/// assert_eq!((stats.pages_shared, stats.pages_sharing), (1, 3));
///
/// space.advise(range, Advice::Unmerge)?;
/// assert_eq!(merger.stats().pages_shared, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Merger<P: Words> {
    mem: Shared<Memory<P>>,
    work: RwSem<Work<P>>,
}

/// What a scan has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Scanned {
    /// Pages that were looked at.
    pub pages: u64,
    /// Those among them that were merged: their frames are free, or another's.
    pub merged: u64,
    /// Passes that ended: one at most.
    pub passes: u64,
}

/// How many pages are merged, and what the last scans have seen, with the names of
/// /sys/kernel/mm/ksm: exact when nothing runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct MergerStats {
    /// Merged pages that passes know: not those that are left, where the advice was undone, in
    /// children of a fork that were not added.
    pub pages_shared: u64,
    /// Entries that map those, beyond one for each: the pages that are saved. Those that a fork has
    /// made count.
    pub pages_sharing: u64,
    /// Pages that hold what they held before, and no other was met that holds the same.
    pub pages_unshared: u64,
    /// Pages that have changed since the last pass, or could not be merged.
    pub pages_volatile: u64,
    /// Passes that ended.
    pub full_scans: u64,
    /// Places where the zero page took the place of a page ([`ZeroPages::On`]).
    pub ksm_zero_pages: u64,
}

impl MergerStats {
    /// Names and values, in the spelling of /sys/kernel/mm/ksm.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        [
            ("pages_shared", self.pages_shared),
            ("pages_sharing", self.pages_sharing),
            ("pages_unshared", self.pages_unshared),
            ("pages_volatile", self.pages_volatile),
            ("full_scans", self.full_scans),
            ("ksm_zero_pages", self.ksm_zero_pages),
        ]
        .into_iter()
    }
}

/// What a pass made of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    Volatile,
    Unshared,
    /// It is a merged page.
    Merged,
    /// The zero page took its place.
    Zero,
}

/// What is known of a page.
#[derive(Clone, Copy)]
struct Item {
    page: Vpn,
    /// The checksum of its contents.
    sum: u64,
    seen: Seen,
}

/// An address space.
struct Member<P: Words> {
    space: Shared<Space<P>>,
    /// Where the pass goes on.
    next: Vpn,
    /// What this pass has seen, by ascending page.
    items: Vec<Item>,
    /// What the last one has seen, and how many of it lie before `next`.
    before: Vec<Item>,
    passed: usize,
    /// Where the zero page took the place of a page, ascending: no pass looks there again.
    zeros: Vec<Vpn>,
}

impl<P: Words> Member<P> {
    /// What the last pass has seen of a page, past those that were asked for before.
    fn last_seen(&mut self, page: Vpn) -> Option<Item> {
        let left = &self.before[self.passed..];
        self.passed += left.iter().take_while(|item| item.page < page).count();
        let item = self.before.get(self.passed).filter(|item| item.page == page)?;
        self.passed += 1;
        Some(*item)
    }

    fn end_pass(&mut self) {
        core::mem::swap(&mut self.items, &mut self.before);
        self.items.clear();
        (self.next, self.passed) = (Vpn(0), 0);
        let Self { space, zeros, .. } = self;
        zeros.retain(|page| space.shows_zeros(*page));
    }

    /// Notes that the zero page is there; there is room for it.
    fn note_zero(&mut self, page: Vpn) {
        if let Err(at) = self.zeros.binary_search(&page) {
            self.zeros.insert(at, page);
        }
    }

    /// What is known of its pages.
    fn known(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().chain(&self.before[self.passed..])
    }
}

/// A merged page: its number tells if the frame is still that.
#[derive(Clone, Copy)]
struct Stable {
    pfn: Pfn,
    number: u64,
}

/// A page that was met in this pass: of a member, and the place of its item.
#[derive(Clone, Copy)]
struct Met {
    member: usize,
    page: Vpn,
    item: usize,
}

struct Work<P: Words> {
    members: Vec<Member<P>>,
    /// Which of them the pass has come to.
    at: usize,
    /// The merged pages. Linux: the stable tree.
    stable: Index<Stable>,
    /// What this pass has met. Linux: the unstable tree.
    met: Index<Met>,
    full_scans: u64,
}

/// Whether a pass goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pass {
    GoesOn,
    Ended,
}

impl<P: Words> Merger<P> {
    /// A merger for address spaces of this machine; none was added yet.
    pub fn new(memory: &Shared<Memory<P>>) -> Self {
        let (stable, met) = (Index::new(), Index::new());
        let work = Work { members: Vec::new(), at: 0, stable, met, full_scans: 0 };
        Self { mem: memory.clone(), work: RwSem::new(work) }
    }

    /// Names the merger's words in an explorer's traces, once it is in its final place.
    pub fn label(&self) {
        sync::label(&raw const self.work, size_of_val(&self.work), |offset| {
            let cell = RwSem::<Work<P>>::name(offset, "lock", "lock's gate");
            CellName::Object { object: "merger", index: 0, cell }
        });
    }

    /// Has passes go through an address space, too; nothing, if they do. A child of a fork is one
    /// of its own. A pass that finds nothing there that asks for merging takes it out: after an
    /// exit, for instance.
    ///
    /// # Errors
    /// When the heap is exhausted.
    ///
    /// # Panics
    /// When the address space is another machine's.
    pub fn add(&self, space: &AddressSpace<P>) -> Result<(), NoMemory> {
        assert!(space.memory().same(&self.mem), "the address space is another machine's");
        let mut work = self.work.write(self.mem.platform());
        if work.members.iter().any(|member| member.space.id() == space.id()) {
            return Ok(());
        }
        work.members.try_reserve(1).map_err(|_| NoMemory)?;
        work.members.push(Member {
            space: space.shared(),
            next: Vpn(0),
            items: Vec::new(),
            before: Vec::new(),
            passed: 0,
            zeros: Vec::new(),
        });
        Ok(())
    }

    /// Looks at so many pages, and merges those that can be; ends at the end of a pass in any case.
    /// The caller is inside no call of the manager.
    ///
    /// # Errors
    /// When the heap is exhausted: what was merged before is, and the next call goes on there.
    pub fn scan(&self, pages: u64) -> Result<Scanned, NoMemory> {
        let mem = &self.mem;
        let mut work = self.work.write(mem.platform());
        let mut done = Scanned::default();
        if work.begins() {
            // A batch has references, which keep a page from being merged.
            mem.lru_add_drain_all();
        }
        while done.pages < pages && done.passes == 0 {
            match work.scan_page(mem, &mut done)? {
                Pass::GoesOn => done.pages += 1,
                Pass::Ended => done.passes = 1,
            }
        }
        Ok(done)
    }

    /// Undoes what was merged in the address spaces that were added, and forgets what passes have
    /// seen; where advice asks for it the next ones merge again. Linux: 2 to `run`.
    ///
    /// # Errors
    /// When a page cannot be copied: what was undone before is.
    pub fn unmerge(&self) -> Result<(), SpaceError> {
        let mut work = self.work.write(self.mem.platform());
        let undo = |space: &Space<P>| self.mem.relieved(|| space.unmerge_all());
        work.members.iter().try_for_each(|member| undo(&member.space))?;
        work.forget();
        Ok(())
    }

    /// What is merged now. Looks at all that passes have seen.
    pub fn stats(&self) -> MergerStats {
        let work = self.work.read(self.mem.platform());
        let mut stats = MergerStats { full_scans: work.full_scans, ..MergerStats::default() };
        for stable in work.stable.values() {
            let Some(kept) = self.mem.keep_merged(stable.pfn, stable.number) else { continue };
            let maps = u64::from(self.mem.frames().counts(kept.pfn).maps());
            stats.pages_shared += u64::from(maps > 0);
            stats.pages_sharing += maps.saturating_sub(1);
        }
        for member in &work.members {
            for item in member.known() {
                match item.seen {
                    Seen::Volatile => stats.pages_volatile += 1,
                    Seen::Unshared => stats.pages_unshared += 1,
                    Seen::Zero | Seen::Merged => {}
                }
            }
            let zeros = member.zeros.iter().filter(|page| member.space.shows_zeros(**page));
            stats.ksm_zero_pages += zeros.count() as u64;
        }
        stats
    }
}

impl<P: Words> Work<P> {
    /// Whether a pass is about to begin.
    fn begins(&self) -> bool {
        self.at == 0 && self.members.first().is_some_and(|member| member.next == Vpn(0))
    }

    fn forget(&mut self) {
        for member in &mut self.members {
            member.end_pass();
            member.before.clear();
        }
        self.at = 0;
        self.stable.clear();
        self.met.clear();
    }

    /// Looks at the next page, unless the pass has come to its end.
    fn scan_page(&mut self, mem: &Memory<P>, done: &mut Scanned) -> Result<Pass, NoMemory> {
        loop {
            // INV-KSM-1.
            self.stable.reserve()?;
            self.met.reserve()?;
            let Some(member) = self.members.get_mut(self.at) else {
                self.end_pass(mem);
                return Ok(Pass::Ended);
            };
            member.items.try_reserve(1).map_err(|_| NoMemory)?;
            member.zeros.try_reserve(1).map_err(|_| NoMemory)?;
            let space = member.space.clone();
            let Some((page, kept)) = space.next_to_merge(member.next) else {
                self.at += 1;
                continue;
            };
            member.next = page + 1;
            let last = member.last_seen(page);
            let was = mem.merged(kept.pfn).is_some();
            let item = self.examine(mem, (&space, page), kept, last);
            let gone = matches!(item.seen, Seen::Merged | Seen::Zero);
            done.merged += u64::from(gone && !was);
            let member = &mut self.members[self.at];
            member.items.push(item);
            if item.seen == Seen::Zero {
                member.note_zero(page);
            }
            return Ok(Pass::GoesOn);
        }
    }

    fn end_pass(&mut self, mem: &Memory<P>) {
        // A merged page goes with its last entry, and tells nobody.
        self.stable.retain(|stable| mem.merged(stable.pfn) == Some(stable.number));
        // What is not advised so any more needs nobody.
        self.members.retain(|member| member.space.may_merge());
        self.members.iter_mut().for_each(Member::end_pass);
        self.met.clear();
        self.full_scans += 1;
        self.at = 0;
    }

    /// Looks at a page that is mapped at a place of the member that the pass has come to.
    fn examine(
        &mut self,
        mem: &Memory<P>,
        (space, page): (&Space<P>, Vpn),
        kept: Kept<'_, P>,
        last: Option<Item>,
    ) -> Item {
        let (pfn, platform) = (kept.pfn, mem.platform());
        let sum = platform.checksum(pfn);
        let item = |seen| Item { page, sum, seen };
        if mem.merged(pfn).is_some() {
            return item(Seen::Merged);
        }
        if let Some((to, number)) = self.standing(mem, sum)
            && platform.is_same(pfn, to.pfn)
        {
            let merged = space.merge_page(page, kept, Becomes::Page(to.pfn, number));
            return item(if merged.is_ok() { Seen::Merged } else { Seen::Volatile });
        }
        if last.is_none_or(|last| last.sum != sum) {
            return item(Seen::Volatile);
        }
        let zero = mem.zero_page();
        if mem.tuning().use_zero_pages == ZeroPages::On && platform.is_same(pfn, zero) {
            let merged = space.merge_page(page, kept, Becomes::Zero);
            return item(if merged.is_ok() { Seen::Zero } else { Seen::Volatile });
        }
        item(self.pair_up(mem, (space, page), kept, sum))
    }

    /// The merged page of a checksum, with a reference.
    fn standing<'m>(&mut self, mem: &'m Memory<P>, sum: u64) -> Option<(Kept<'m, P>, u64)> {
        let Stable { pfn, number } = self.stable.find(sum)?;
        match mem.keep_merged(pfn, number) {
            Some(kept) => Some((kept, number)),
            None => {
                self.stable.remove(sum);
                None
            }
        }
    }

    /// Looks for a page of equal contents among those that this pass has met, and merges both.
    fn pair_up(
        &mut self,
        mem: &Memory<P>,
        (space, page): (&Space<P>, Vpn),
        kept: Kept<'_, P>,
        sum: u64,
    ) -> Seen {
        let here = Met { member: self.at, page, item: self.members[self.at].items.len() };
        let Some(other) = self.met.find(sum) else {
            self.met.set(sum, here);
            return Seen::Unshared;
        };
        let there = self.members[other.member].space.clone();
        let Some(twin) = there.page_to_merge(other.page) else {
            self.met.set(sum, here);
            return Seen::Unshared;
        };
        let pfn = twin.pfn;
        // Forks share a page as it is.
        if pfn == kept.pfn || !mem.platform().is_same(kept.pfn, pfn) {
            return Seen::Unshared;
        }
        let number = mem.next_object();
        if there.merge_page(other.page, twin, Becomes::Merged(number)).is_err() {
            // Others may be merged with this one, if that one stays as it is.
            self.met.set(sum, here);
            return Seen::Unshared;
        }
        self.met.remove(sum);
        self.members[other.member].items[other.item].seen = Seen::Merged;
        // What it holds from now on: it may have been written to just before.
        let Some(merged) = mem.keep_merged(pfn, number) else { return Seen::Unshared };
        self.stable.set(mem.platform().checksum(pfn), Stable { pfn, number });
        match space.merge_page(page, kept, Becomes::Page(merged.pfn, number)) {
            Ok(()) => Seen::Merged,
            Err(_) => {
                drop(merged);
                // A merged page that stands for itself alone could not be moved or swapped out for
                // nothing. Without a frame for the copy it stays one.
                let _ = there.unmerge(other.page.alone());
                Seen::Volatile
            }
        }
    }
}

/// Takes no lock.
impl<P: Words> fmt::Debug for Merger<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merger").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
