//! When pages come to the lists that reclaim chooses from, and who has them there first. Protocol:
//! `frame/lru.rs`.

use crate::addr::Pfn;
use crate::frame::{Batched, Entered, Flags, Kind, List, Settled, Used};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::rules::Lru;
use crate::swap::Shadow;

impl<P: Platform> Memory<P> {
    /// A private page, which nothing but entries of the caller's knows, or one of shared memory,
    /// whose object's list he has locked, is to come to its list: by way of the CPU's batch, or at
    /// once if it is a large folio.
    #[inline]
    pub(crate) fn lru_add(&self, head: Pfn) {
        if self.frames().has_lists() {
            self.enlist(head);
        }
    }

    /// As [`Memory::lru_add`], of a page of a file that has just been put into its object, whose
    /// list the caller has locked; a page before it has left this there.
    #[inline]
    pub(crate) fn lru_add_file(&self, pfn: Pfn, shadow: Option<Shadow>) {
        if self.frames().has_lists() {
            self.enlist_file(pfn, shadow);
        }
    }

    #[cold]
    #[inline(never)]
    fn enlist_file(&self, pfn: Pfn, shadow: Option<Shadow>) {
        self.frames().begin_as_file(pfn);
        if let Some(shadow) = shadow {
            self.refault(pfn, shadow, Kind::File);
        }
        self.enlist(pfn);
    }

    /// As [`Memory::lru_add`], of a page that takes the place of one that the caller has isolated:
    /// it comes to that one's list.
    pub(crate) fn lru_add_for(&self, head: Pfn, old: Pfn) {
        if self.frames().has_lists() {
            self.frames().inherit_list(old, head);
            if self.frames().flags(head).contains(Flags::FILE) {
                self.frames().begin_as_file(head);
            }
            self.enlist(head);
        }
    }

    /// The contents of a private page may go, without a swap device. One that is on no list just
    /// now stays among the private ones.
    #[inline]
    pub(crate) fn lru_lazy(&self, pfn: Pfn) {
        if self.frames().has_lists() {
            self.frames().turn_to_file(pfn);
        }
    }

    /// They may not any more: of a page that the caller has isolated.
    pub(crate) fn lru_kept(&self, pfn: Pfn) {
        if self.frames().has_lists() {
            self.frames().turn_to_anon(pfn);
        }
    }

    /// A page of an object is accessed by read or write, not by an entry (Linux:
    /// `folio_mark_accessed`): the second time it comes to the list of those in use. The caller
    /// keeps the page in its object.
    #[inline]
    pub(crate) fn mark_accessed(&self, pfn: Pfn) {
        if self.frames().has_lists() {
            self.note_access(pfn);
        }
    }

    #[cold]
    #[inline(never)]
    fn note_access(&self, pfn: Pfn) {
        let frames = self.frames();
        if !frames.mark_accessed(pfn) {
            return;
        }
        if frames.unlist(pfn) {
            frames.clear_referenced(pfn);
            self.counters().pgactivate.add(1);
            self.age_by_use(pfn);
            let entered = frames.list(pfn, List::Active);
            self.count_entered(pfn, entered);
        }
    }

    #[cold]
    #[inline(never)]
    fn enlist(&self, head: Pfn) {
        let cpu = self.platform().cpu();
        if self.frames().is_large(head) {
            self.drain_cpu(cpu);
            let entered = self.frames().list(head, self.frames().list_of(head));
            return self.count_entered(head, entered);
        }
        self.get(head, 1);
        loop {
            match self.frames().add_to_batch(cpu, head) {
                Batched::Waits => return,
                Batched::Last => return self.drain_cpu(cpu),
                Batched::Full => self.drain_cpu(cpu),
            }
        }
    }

    fn drain_cpu(&self, cpu: usize) {
        let drained = self.frames().drain_batch(cpu);
        self.counters().unevictable_pgs_culled.add(drained.culled);
        self.counters().unevictable_pgs_rescued.add(drained.rescued);
        drained.pages().for_each(|pfn| self.put(pfn, 1));
    }

    /// Has the pages in the calling CPU's batch go to their lists: it refers to none any more
    /// (Linux: `lru_add_drain`). Nothing, if there are no lists ([`Tuning::lru_batch`]).
    ///
    /// [`Tuning::lru_batch`]: crate::Tuning::lru_batch
    pub fn lru_add_drain(&self) {
        if self.frames().has_lists() {
            self.drain_cpu(self.platform().cpu());
        }
    }

    /// As [`Memory::lru_add_drain`], of all CPUs (Linux: `lru_add_drain_all`): for who wants the
    /// references of pages to be only those that somebody knows of. Pages may come to batches
    /// meanwhile.
    pub fn lru_add_drain_all(&self) {
        (0..self.frames().batches()).for_each(|cpu| self.drain_cpu(cpu));
    }

    /// Whether a page is on its list, as rules see it: where there are no lists nothing refers to a
    /// page on the way to one, which is what they ask for.
    #[inline]
    pub(crate) fn lru_of(&self, head: Pfn) -> Lru {
        if self.frames().has_lists() { self.listed_as(head) } else { Lru::On }
    }

    #[cold]
    #[inline(never)]
    fn listed_as(&self, head: Pfn) -> Lru {
        if self.frames().is_listed(head) { Lru::On } else { Lru::Off }
    }

    /// Takes a page off its list, of which the caller has a reference and has set the mark that
    /// isolates it; whether it could: not if it waits in a batch.
    #[inline]
    pub(crate) fn lru_isolate(&self, head: Pfn) -> bool {
        !self.frames().has_lists() || self.frames().unlist(head)
    }

    /// A page that was isolated goes back to its list, the way that new ones go, unless nobody but
    /// the caller refers to it.
    pub(crate) fn lru_put_back(&self, head: Pfn) {
        if self.goes_back(head) {
            self.enlist(head);
        }
    }

    /// As [`Memory::lru_put_back`], to this list at once.
    pub(crate) fn lru_put_back_to(&self, head: Pfn, list: List) {
        if self.goes_back(head) {
            let entered = self.frames().list(head, list);
            self.count_entered(head, entered);
        }
    }

    /// As [`Memory::lru_put_back_to`], where it leaves next.
    pub(crate) fn lru_put_back_last(&self, head: Pfn, list: List) {
        if self.goes_back(head) {
            let entered = self.frames().list_last(head, list);
            self.count_entered(head, entered);
        }
    }

    fn goes_back(&self, head: Pfn) -> bool {
        self.frames().has_lists() && self.frames().counts_as(head, |counts| counts.refs() > 1)
    }

    /// The pages that a large folio has become go to the list of those not in use, all but the
    /// first, wherever that was.
    pub(crate) fn lru_add_parts(&self, head: Pfn, pages: u64) {
        if !self.frames().has_lists() {
            return;
        }
        let used = self.frames().used(head);
        for pfn in (head.0 + 1..head.0 + pages).map(Pfn) {
            if used == Used::Before {
                self.frames().mark_used(pfn);
            }
            let entered = self.frames().list(pfn, List::Inactive);
            self.count_entered(pfn, entered);
        }
    }

    fn count_entered(&self, head: Pfn, entered: Entered) {
        match entered {
            Entered::Plain => {}
            Entered::Culled => self.counters().unevictable_pgs_culled.add(self.pages_in(head)),
            Entered::Rescued => self.counters().unevictable_pgs_rescued.add(self.pages_in(head)),
        }
    }

    fn pages_in(&self, head: Pfn) -> u64 {
        1 << self.frames().order(head)
    }

    /// A folio, of which the caller has a reference, counts its first locked entry: it is apart
    /// from now on, or as soon as whoever has it puts it back.
    #[cold]
    pub(crate) fn count_locked(&self, head: Pfn) {
        self.counters().unevictable_pgs_mlocked.add(self.pages_in(head));
        if self.frames().has_lists()
            && let Settled::Right(entered) = self.frames().settle_locks(head)
        {
            self.count_entered(head, entered);
        }
    }

    /// A folio has counted its last locked entry off: it is on its list again, or will be.
    #[cold]
    pub(crate) fn count_unlocked(&self, head: Pfn) {
        let settled = match self.frames().has_lists() {
            true => self.frames().settle_locks(head),
            false => Settled::Right(Entered::Plain),
        };
        let (counters, pages) = (self.counters(), self.pages_in(head));
        match settled {
            Settled::Stranded => counters.unevictable_pgs_stranded.add(pages),
            Settled::Right(entered) => {
                counters.unevictable_pgs_munlocked.add(pages);
                self.count_entered(head, entered);
            }
        }
    }
}
