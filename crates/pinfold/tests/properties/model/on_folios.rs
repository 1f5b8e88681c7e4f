//! Large folios: which a first touch takes, splits, references by frame number, and what a folio
//! knows of those who map it. No process sees of any of this but what it stored.

use std::collections::BTreeSet;

use super::World;
use crate::ops::{FolioOp, PAGES};
use crate::testing::{Space, store};
use pinfold::rules::large::{Parting, Tally, counts_owners, parting, tally};
use pinfold::{
    Advice, CollapseError, Entry, Flags, Format, Memory, Pfn, PmdMapping, Prot, Pte, Sharing,
    SpaceId, SplitError, VirtAddr, VirtRange, lab,
};

/// The orders of folios that first touches take, as bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folios {
    pub(crate) always: u32,
    pub(crate) advised: u32,
    /// How those are mapped that fill a table.
    pub(crate) by: PmdMapping,
}

impl<F: Format> World<F> {
    pub(super) fn on_folio(&mut self, op: &FolioOp) {
        match *op {
            FolioOp::Make { who, run, touched } => {
                self.replace(who, run, Prot::READ_WRITE, Sharing::Private);
                self.advise(who, run, Advice::HugePage);
                self.store(who, touched, |space, at, new| store(space, at, new).map(drop));
            }
            FolioOp::Split { who, page } => self.split(who, page),
            FolioOp::SplitQueued { most } => {
                let before = self.mem.partly_mapped();
                let splits = self.mem.split_partly_mapped(most);
                assert!(splits.split + splits.failed <= most.min(before), "{splits:?}");
                // None of those that were split waits, and all others do.
                assert_eq!(self.mem.partly_mapped(), before - splits.split, "{splits:?}");
            }
            FolioOp::Collapse { who, page } => self.collapse(who, page),
            FolioOp::Refer { frame } => self.refer(Pfn(frame)),
            FolioOp::Forget { which } => {
                let count = self.references.len();
                if count > 0 {
                    drop(self.references.swap_remove(which % count));
                }
            }
        }
    }

    /// The folio that is mapped at a page.
    fn folio_at(&self, who: usize, page: u64) -> Option<lab::FolioView> {
        let entry = self.processes[who].space.entry(VirtAddr::of_page(self.base + page));
        let mapped = entry.is_mapped() && !entry.is_special();
        mapped.then(|| lab::large_folio(self.mem.frames(), entry.pfn())).flatten()
    }

    /// It succeeds exactly if a folio is there to which nothing but entries refers.
    fn split(&mut self, who: usize, page: u64) {
        let who = who % self.processes.len();
        let folio = self.folio_at(who, page);
        let done = self.processes[who].space.split_folio(VirtAddr::of_page(self.base + page));
        let Some(folio) = folio else { return assert_eq!(done, Err(SplitError::NotLarge)) };
        let all = || (folio.head.0..folio.head.0 + folio.pages).map(Pfn);
        let held = |pfns: &[Pfn]| pfns.iter().filter(|pfn| all().any(|of| of == **pfn)).count();
        let by_holds: usize = self.holds.iter().map(|hold| held(&hold.frames())).sum();
        let by_number = self.references.iter().filter(|of| all().any(|pfn| pfn == of.pfn()));
        let others = by_holds + by_number.count();
        match done {
            Ok(()) => {
                // Up to 4.4 each page goes on with what it has.
                let shared = parting(self.mem.rule()) == Parting::Shared;
                assert!(shared || others == 0, "a folio is split that {others} hold");
                assert!(all().all(|pfn| lab::large_folio(self.mem.frames(), pfn).is_none()));
                assert!(self.folio_at(who, page).is_none());
            }
            Err(SplitError::Busy { refs, expected }) => {
                assert_eq!((refs - expected) as usize, others, "{done:?}");
                assert!(others > 0, "{done:?}");
                assert_eq!(lab::large_folio(self.mem.frames(), folio.head), Some(folio));
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// How many holds and references there are of a page, or of the folio that it is part of.
    fn held(&self, pfn: Pfn) -> usize {
        let frames = lab::large_folio(self.mem.frames(), pfn)
            .map_or(pfn.0..pfn.0 + 1, |folio| folio.head.0..folio.head.0 + folio.pages);
        let of = |pfns: &[Pfn]| pfns.iter().filter(|pfn| frames.contains(&pfn.0)).count();
        let by_number = self.references.iter().filter(|held| frames.contains(&held.pfn().0));
        self.holds.iter().map(|hold| of(&hold.frames())).sum::<usize>() + by_number.count()
    }

    /// What is done has left nobody with a page of the process, and what is refused, nothing
    /// changed.
    fn collapse(&mut self, who: usize, page: u64) {
        let who = who % self.processes.len();
        let (size, page) = (F::ENTRIES as u64, self.base + page);
        let first = page / size * size;
        let space = &self.processes[who].space;
        let entries = || (first..first + size).map(|page| space.entry(VirtAddr::of_page(page)));
        let before: Vec<Pte<F>> = entries().collect();
        let own = before.iter().filter(|pte| pte.is_mapped() && !pte.is_special());
        let held: usize = own.map(|pte| self.held(pte.pfn())).sum();
        let range = VirtRange::new(VirtAddr::of_page(first), size).unwrap();
        match space.collapse(range) {
            Ok(done) => {
                if entries().all(Pte::is_special) {
                    return assert_eq!(done, 0, "one entry maps zeros already");
                }
                let head = entries().next().unwrap().pfn();
                let whole = entries().zip(head.0..).all(|(pte, pfn)| pte.pfn() == Pfn(pfn));
                let folio = lab::large_folio(self.mem.frames(), head).expect("it is large");
                assert!(whole && folio.head == head && folio.pages == size, "{folio:?}");
                assert!(done == 0 || held == 0, "{held} hold pages that were left");
                let mapped = before[0].is_mapped() && before[0].pfn() == head;
                assert!(done > 0 || mapped, "one entry mapped it already");
                // Reclaim that made room may have freed the very frames.
                assert!(done == 0 || !mapped || self.checks.listed > 0, "nothing was to be done");
                assert!(done <= 1, "there is one table");
                return;
            }
            Err(CollapseError::Pinned { pfn, .. } | CollapseError::Busy { pfn, .. }) => {
                assert!(self.held(pfn) > 0, "nobody refers to {pfn}");
            }
            Err(CollapseError::Locked { pfn, .. }) => panic!("nobody has the lock of {pfn}"),
            Err(CollapseError::SwappedOut(at)) => panic!("nobody took what is at {at}"),
            Err(_) => {}
        }
        let swapped = |pte: &Pte<F>| matches!(pte.decode(), Entry::Swap(_));
        // Reclaim has taken pages out, or forgotten that they were used.
        let looked_at = |now: &Pte<F>, was: &Pte<F>| {
            // What comes back for the second attempt lies elsewhere: loads look at its contents.
            swapped(now) || now.is_mapped() && was.is_mapped()
        };
        // It made room for it, and then it was refused all the same.
        let reclaims = self.checks.listed > 0;
        let mut unchanged = entries()
            .zip(&before)
            .map(|(now, was)| now == *was || swapped(was) || reclaims && looked_at(&now, was));
        assert!(unchanged.all(|same| same), "a refusal changes nothing but brings pages back");
    }

    /// A reference is had of private memory, and of nothing else.
    fn refer(&mut self, pfn: Pfn) {
        if !self.mem.frames().contains(pfn) {
            return;
        }
        let flags = lab::flags(self.mem.frames(), pfn);
        let counts = match (flags.contains(Flags::TAIL), tally(self.mem.rule())) {
            (false, _) | (true, Tally::Head) => true,
            // A tail is found by its number alone only where it has references of its own, if it is
            // ever.
            (true, Tally::HeadAndTail) => lab::counts(self.mem.frames(), pfn).refs() > 0,
            (true, Tally::HeadAndMapcount) => false,
        };
        let taken = Memory::try_reference(&self.mem, pfn);
        assert_eq!(taken.is_some(), flags.contains(Flags::ANON) && counts, "{pfn}");
        self.references.extend(taken);
    }

    /// A folio never says that one address space maps it when several do; as long as no third
    /// process was born, it never says the contrary either.
    pub(super) fn check_owners(&self) {
        if !counts_owners(self.mem.rule()) {
            return;
        }
        for pfn in self.mem.frames().all() {
            let Some(folio) = lab::large_folio(self.mem.frames(), pfn) else { continue };
            if folio.head != pfn {
                continue;
            }
            let frames = folio.head.0..folio.head.0 + folio.pages;
            let maps = |space: &Space<F>| {
                // What a remap has moved away lies anywhere.
                let mut found = false;
                lab::account(space, |pfn, holder| {
                    let entry = matches!(holder, lab::Holder::Mapping | lab::Holder::LockedMapping);
                    found |= entry && frames.contains(&pfn.0);
                });
                found
            };
            let spaces = self.processes.iter().map(|process| &process.space);
            let mapping: BTreeSet<SpaceId> =
                spaces.filter(|space| maps(space)).map(|space| space.id()).collect();
            let several = mapping.len() > 1;
            assert!(folio.may_be_shared || !several, "{folio:?} is mapped by {mapping:?}");
            let two = self.born <= 2;
            assert!(!two || folio.may_be_shared == several, "{folio:?} is mapped by {mapping:?}");
        }
    }
}

/// The pages that a sequence works on hold three folios of the small format.
const _: () = assert!(PAGES >= 15);
