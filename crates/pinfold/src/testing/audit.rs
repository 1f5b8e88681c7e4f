//! The oracle that adds up every count.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::vec::Vec;

use pinfold::lab::{self, FolioView, Holder, ListedSlot};
use pinfold::rules::large::{Tally, counted_maps, counts_each_page, counts_owners, tally};
use pinfold::{Entry, File, Flags, Format, Group, PIN_BIAS, Pfn, Pte, SpaceId, VirtAddr};

use super::{Mem, Rig, Space, followed};

/// So many pages, from address 0 on, are asked about that tests of one space use.
const LOOKED_AT: u64 = 64;

/// The conservation oracle: every reference and mapping of every frame must have a reason, and
/// every frame without one must be free.
pub(crate) struct Audit<'m, F: Format> {
    mem: &'m Mem<F>,
    refs: BTreeMap<Pfn, u64>,
    maps: BTreeMap<Pfn, u64>,
    locks: BTreeMap<Pfn, u32>,
    objects: BTreeSet<(usize, Pfn)>,
    writable: BTreeSet<Pfn>,
    /// The first pages of folios that huge entries map.
    huge: BTreeSet<Pfn>,
    pinned: BTreeMap<Pfn, u32>,
    /// References of holds, by page.
    taken: BTreeMap<Pfn, u32>,
    spaces: BTreeSet<(Pfn, SpaceId)>,
    /// Pages of shared memory on swap devices.
    listed: BTreeSet<ListedSlot>,
    /// Swap entries and those pages, by device and slot.
    swapped: BTreeMap<(u8, u64), u64>,
}

impl<'m, F: Format> Audit<'m, F> {
    pub(crate) fn of(mem: &'m Mem<F>) -> Self {
        let mut audit = Self {
            mem,
            refs: BTreeMap::new(),
            maps: BTreeMap::new(),
            locks: BTreeMap::new(),
            objects: BTreeSet::new(),
            writable: BTreeSet::new(),
            huge: BTreeSet::new(),
            pinned: BTreeMap::new(),
            taken: BTreeMap::new(),
            spaces: BTreeSet::new(),
            listed: BTreeSet::new(),
            swapped: BTreeMap::new(),
        };
        audit.owe(mem.zero_page(), 1);
        audit
    }

    fn owe(&mut self, pfn: Pfn, refs: u64) {
        *self.refs.entry(pfn).or_default() += refs;
    }

    /// Everything that a live address space holds.
    pub(crate) fn space(mut self, space: &Space<F>) -> Self {
        lab::account(space, |pfn, holder| match holder {
            Holder::Table => self.owe(pfn, 1),
            Holder::Mapping | Holder::LockedMapping => {
                if holder == Holder::LockedMapping {
                    *self.locks.entry(pfn).or_default() += 1;
                }
                self.owe(pfn, 1);
                self.mapped_by(pfn, space.id());
                *self.maps.entry(pfn).or_default() += 1;
                self.spaces.insert((pfn, space.id()));
            }
            Holder::Object(id) => {
                if self.objects.insert((id, pfn)) {
                    self.owe(pfn, 1);
                }
            }
        });
        lab::listed_slots(space, |slot| self.note_listed(slot));
        self.note_writable(space.root(), F::LEVELS - 1);
        self.check_soft_dirty(space);
        for (page, frame, writable) in followed(space) {
            let entry = space.walk(page.start());
            assert!(entry.is_present() && entry.pfn() == frame, "a device follows {page:?}");
            assert!(entry.is_writable() || !writable, "a device may write {page:?}");
        }
        self
    }

    /// A page of shared memory on a swap device.
    fn note_listed(&mut self, slot: ListedSlot) {
        if self.listed.insert(slot) {
            *self.swapped.entry((slot.device, slot.slot)).or_default() += 1;
        }
    }

    /// INV-SOFT-1.
    fn check_soft_dirty(&self, space: &Space<F>) {
        let pages = 0..F::USER_PAGES.min(LOOKED_AT);
        for at in pages.map(VirtAddr::of_page) {
            let entry = space.walk(at);
            let writable = entry.is_mapped() && entry.is_writable();
            assert!(!writable || space.is_soft_dirty(at) == Ok(true), "{at}: {entry}");
        }
    }

    /// Everything that a file holds.
    pub(crate) fn file(mut self, file: &File<Rig<F>>) -> Self {
        lab::account_file(file, |pfn, holder| {
            if let Holder::Object(id) = holder
                && self.objects.insert((id, pfn))
            {
                self.owe(pfn, 1);
            }
        });
        lab::file_slots(file, |slot| self.note_listed(slot));
        self
    }

    /// INV-CHARGE-1 and INV-CHARGE-2: what a group counts is what its pages add up to.
    pub(crate) fn group(self, group: &Group<Rig<F>>) -> Self {
        let counted = (group.charged(), group.stats());
        assert_eq!(counted, lab::recount(self.mem, group), "counted and added up");
        self
    }

    /// INV-RMAP-1: a walk from an anonymous page asks everybody who maps it.
    fn mapped_by(&self, pfn: Pfn, space: SpaceId) {
        let flags = lab::flags(self.mem.frames(), pfn);
        // No reverse map leads to the entries of a merged page.
        if !flags.contains(Flags::ANON) || lab::is_merged(flags) {
            return;
        }
        let mut asked = Vec::new();
        lab::may_map(self.mem, pfn, |asks| asked.push(asks));
        assert!(asked.contains(&space), "space {} maps {pfn}, asked are {asked:?}", space.0);
    }

    fn note_writable(&mut self, table: Pfn, level: u32) {
        for index in 0..F::ENTRIES {
            let bits = self.mem.platform().host.word(table, index).load(Ordering::Relaxed);
            let pte = Pte::<F>::from_bits(bits);
            if level > 0 && pte.is_table() {
                self.note_writable(pte.pfn(), level - 1);
                continue;
            }
            let pages = if level == 0 { 1 } else { F::ENTRIES as u64 };
            let pte = if level == 0 { pte } else { Pte::from_huge(bits) };
            if level > 0 && pte.is_mapped() {
                self.huge.insert(pte.pfn());
            }
            if level == 0
                && let Entry::Swap(entry) = pte.decode()
            {
                *self.swapped.entry((entry.device, entry.slot)).or_default() += 1;
            }
            if pte.is_mapped() && pte.is_writable() {
                self.writable.extend((pte.pfn().0..pte.pfn().0 + pages).map(Pfn));
            }
        }
    }

    pub(crate) fn pins(mut self, pages: &[Pfn]) -> Self {
        let free = !pinfold::rules::pin::counts_zero_page(self.mem.rule());
        for pfn in pages.iter().filter(|pfn| !(free && **pfn == self.mem.zero_page())) {
            let large = lab::large_folio(self.mem.frames(), *pfn).is_some();
            if large && tally(self.mem.rule()) == Tally::Head {
                self.owe(*pfn, 1);
                *self.pinned.entry(*pfn).or_default() += 1;
            } else {
                self.owe(*pfn, u64::from(PIN_BIAS));
                *self.taken.entry(*pfn).or_default() += PIN_BIAS;
            }
        }
        self
    }

    pub(crate) fn gets(mut self, pages: &[Pfn]) -> Self {
        for pfn in pages {
            self.owe(*pfn, 1);
            *self.taken.entry(*pfn).or_default() += 1;
        }
        self
    }

    /// Compares with what a page of a large folio and its folio say.
    fn check_large(&self, folio: &FolioView, pfn: Pfn) {
        let frames = self.mem.frames();
        let all = || (folio.head.0..folio.head.0 + folio.pages).map(Pfn);
        let maps = |pfn: Pfn| self.maps.get(&pfn).copied().unwrap_or(0);
        let (counts, flags) = (lab::counts(frames, pfn), lab::flags(frames, pfn));
        assert!(!counts.is_exclusive() || maps(pfn) <= 1, "{pfn} shared and exclusive");
        let marks = pinfold::rules::cow::sets_exclusive(self.mem.rule());
        // INV-HUGE-3.
        let huge = self.huge.contains(&folio.head);
        assert!(!huge || pfn == folio.head || !counts.is_exclusive(), "{pfn} is a tail: {folio:?}");
        let exclusive = if huge { lab::counts(frames, folio.head) } else { counts }.is_exclusive();
        let marked = !marks || exclusive;
        assert!(!self.writable.contains(&pfn) || (maps(pfn) == 1 && marked), "{pfn} writable");
        let tally = tally(self.mem.rule());
        let rule = counted_maps(self.mem.rule(), self.mem.rule());
        let each = counts_each_page(rule);
        let own = folio.page_maps[(pfn.0 - folio.head.0) as usize];
        let taken = self.taken.get(&pfn).copied().unwrap_or(0);
        let (refs, place) = match tally {
            Tally::HeadAndMapcount if pfn != folio.head => (0, u64::from(taken)),
            Tally::HeadAndTail if each => (taken, maps(pfn)),
            Tally::HeadAndTail => (taken, 0),
            Tally::Head | Tally::HeadAndMapcount => (0, if each { maps(pfn) } else { 0 }),
        };
        assert_eq!(u64::from(own), place, "entries that map {pfn}, or references: {folio:?}");
        if pfn != folio.head {
            assert_eq!(counts.refs(), refs, "references of the tail {pfn}: {folio:?}");
            return assert!(flags.contains(Flags::TAIL), "{pfn}: {flags:?}");
        }
        let refs: u64 = all().filter_map(|pfn| self.refs.get(&pfn)).sum();
        let mapped: u64 = all().map(maps).sum();
        assert_eq!(u64::from(counts.refs()), refs, "references of the folio at {pfn}: {folio:?}");
        assert_eq!(u64::from(counts.maps()), mapped, "mappings of the folio at {pfn}: {folio:?}");
        let pins: u32 = all().filter_map(|pfn| self.pinned.get(&pfn)).sum();
        assert_eq!(folio.pins, pins, "pins of the folio at {pfn}");
        let locks: u32 = all().filter_map(|pfn| self.locks.get(&pfn)).sum();
        assert_eq!(lab::locked_mappings(frames, pfn), locks, "locked entries of {pfn}");
        assert!(
            !flags.contains(Flags::LOCKED) && !folio.owners_locked && !folio.tails_locked,
            "{pfn}: {flags:?}"
        );
        let mut spaces: Vec<_> = self
            .spaces
            .iter()
            .filter(|(pfn, _)| all().any(|of| of == *pfn))
            .map(|(_, id)| id)
            .collect();
        spaces.sort_unstable();
        spaces.dedup();
        assert!(spaces.len() <= 1 || !counts_owners(rule) || folio.may_be_shared, "{folio:?}");
        let partly =
            mapped > 0 && if each { all().any(|pfn| maps(pfn) == 0) } else { mapped < folio.pages };
        assert!(!partly || folio.queued, "{pfn} is mapped in part and does not wait: {folio:?}");
    }

    /// INV-SWAP-1, INV-SWAP-2, INV-SWAP-5 and INV-SHARED-2: the users of each slot are the entries
    /// or the place that name it, and its page has the flag and a reference for it.
    fn check_swap(&mut self) {
        let (mut cached, mut slots) = (BTreeSet::new(), Vec::new());
        lab::swap_slots(self.mem, |slot| slots.push(slot));
        for slot in slots {
            let users = self.swapped.remove(&(slot.device, slot.slot)).unwrap_or(0);
            assert_eq!((slot.users, slot.holds), (users, 0), "users and holds: {slot:?}");
            let place =
                |listed: &ListedSlot| (listed.device, listed.slot) == (slot.device, slot.slot);
            assert!(users == 1 || !self.listed.iter().any(place), "INV-SHARED-2: {slot:?}");
            if let Some(pfn) = slot.page {
                self.owe(pfn, 1);
                assert!(cached.insert(pfn), "{pfn} has two slots");
                let exclusive = lab::counts(self.mem.frames(), pfn).is_exclusive();
                assert!(users == 0 || !exclusive, "{pfn} is exclusive: {slot:?}");
                let wanted = users > 0 || self.maps.contains_key(&pfn);
                assert!(wanted, "{pfn} is left over in the swap cache: {slot:?}");
            }
        }
        assert_eq!(self.swapped, BTreeMap::new(), "swap entries that name free slots");
        for pfn in self.mem.frames().all() {
            let flags = lab::flags(self.mem.frames(), pfn);
            assert_eq!(flags.contains(Flags::SWAP_CACHE), cached.contains(&pfn), "{pfn}");
        }
    }

    /// Compares with what the frames say.
    pub(crate) fn check(mut self) {
        self.check_swap();
        lab::batched(self.mem, |pfn| self.owe(pfn, 1));
        assert_eq!(lab::wrong_with_lists(self.mem), None, "lists that reclaim chooses from");
        let frames = self.mem.frames();
        let (free, pooled, used) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let count = |cell: &Cell<u64>, when: bool| cell.set(cell.get() + u64::from(when));
        for pfn in frames.all().filter(|pfn| !self.mem.is_huge_zero(*pfn)) {
            let (counts, flags) = (lab::counts(frames, pfn), lab::flags(frames, pfn));
            if let Some(folio) = lab::large_folio(frames, pfn) {
                self.check_large(&folio, pfn);
                count(&used, flags.contains(Flags::HUGETLB));
                continue;
            }
            let refs = self.refs.get(&pfn).copied().unwrap_or(0);
            let maps = self.maps.get(&pfn).copied().unwrap_or(0);
            assert_eq!(u64::from(counts.refs()), refs, "references of {pfn} {flags:?}: {counts}");
            assert_eq!(u64::from(counts.maps()), maps, "mappings of {pfn} {flags:?}: {counts}");
            let locks = self.locks.get(&pfn).copied().unwrap_or(0);
            assert_eq!(lab::locked_mappings(frames, pfn), locks, "locked entries of {pfn}");
            if refs == 0 {
                // INV-FRAME-2; or it is out of the machine.
                let set_aside = flags == Flags::HUGETLB;
                count(&pooled, set_aside);
                count(&free, !set_aside && !flags.contains(Flags::RESERVED));
                let bare = set_aside || flags.is_empty() || flags == Flags::RESERVED;
                assert!(bare && !counts.is_exclusive(), "{pfn} is free: {flags:?}");
                continue;
            }
            assert!(!flags.intersects(Flags::LOCKED | Flags::ISOLATED), "{pfn}: {flags:?}");
            if lab::is_merged(flags) {
                // INV-MERGE-1.
                assert!(!counts.is_exclusive(), "{pfn} is merged and exclusive");
                assert!(!self.writable.contains(&pfn), "{pfn} is merged and writable");
            }
            if flags.contains(Flags::ANON) {
                assert!(!counts.is_exclusive() || maps <= 1, "{pfn} shared and exclusive");
                assert!(!self.writable.contains(&pfn) || maps == 1, "{pfn} shared and writable");
                let marks = pinfold::rules::cow::sets_exclusive(self.mem.rule());
                let marked = !marks || counts.is_exclusive();
                assert!(!self.writable.contains(&pfn) || marked, "{pfn} writable without the mark");
            }
        }
        assert_eq!(frames.total_free(), free.get(), "free and used frames are all there are");
        // INV-POOL-1 and INV-POOL-2.
        let pool = self.mem.hugetlb();
        assert_eq!(pool.free << F::INDEX_BITS, pooled.get(), "{pool:?}");
        assert_eq!(pool.total, pool.free + used.get(), "{pool:?}");
        assert!(pool.reserved <= pool.free, "{pool:?}");
        assert_eq!(self.mem.platform().bugs(), []);
        assert_eq!(self.mem.platform().devices.under_way(), 0, "every change ended");
    }
}
