//! What is done to files, and what must hold of them after each step.

use std::ops::Range;
use std::rc::Rc;

use super::World;
use crate::files::Modelled;
use crate::ops::{FILE_PAGES, Run};
use crate::process::Shown;
use crate::testing::{device_read, device_write};
use pinfold::{FileError, FileSharing, Flags, Format, Place, Prot, StoreError, VirtAddr, lab};

impl<F: Format> World<F> {
    pub(super) fn map_file(
        &mut self,
        who: usize,
        run: Run,
        prot: Prot,
        (file, from, sharing): (usize, u64, FileSharing),
    ) {
        let range = self.range(run);
        let modelled = &self.files[file];
        let count = self.processes.len();
        let process = &mut self.processes[who % count];
        let pages = modelled.file.run(from..from + run.pages);
        let place = Place::Replace(range.start());
        assert_eq!(process.space.map_file(place, prot, pages, sharing), Ok(range));
        let first = Shown { of: modelled.holds.clone(), page: from, sharing, own: None };
        process.map_file(run, prot, &first);
        let owner = process.id;
        self.part(owner, run, |_| true);
    }

    /// Whether an operation on a file failed for want of frames, or of a store that works.
    pub(super) fn is_excused(&self, error: FileError) -> bool {
        matches!(error, FileError::OutOfFrames)
            || self.fails && matches!(error, FileError::Store { error: StoreError::Io, .. })
    }

    pub(super) fn file_read(&mut self, file: usize, page: u64) {
        let Modelled { file, holds, .. } = &self.files[file];
        match file.read(page, |pfn| device_read(&self.mem, pfn)) {
            Ok(value) => assert!(holds.has(page) && value == holds.get(page), "page {page}"),
            Err(FileError::PastEnd { .. }) => assert!(!holds.has(page)),
            Err(error) => assert!(self.is_excused(error), "{error}"),
        }
    }

    pub(super) fn file_write(&mut self, file: usize, page: u64) {
        let value = self.fresh_value();
        let Modelled { file, holds, .. } = &self.files[file];
        match file.write(page, |pfn| device_write(&self.mem, pfn, value)) {
            Ok(()) => holds.set(page, value),
            Err(FileError::PastEnd { .. }) => assert!(!holds.has(page)),
            Err(error) => assert!(self.is_excused(error), "{error}"),
        }
    }

    /// Pins of the pages of the file that `goes` names part from their owners, and so do, if it
    /// says so, those of private copies.
    fn part_from(&mut self, file: usize, goes: impl Fn(u64, bool) -> bool) {
        let gone: Vec<(u64, u64)> = self
            .processes
            .iter_mut()
            .flat_map(|process| {
                let owner = process.id;
                process
                    .slots
                    .iter_mut()
                    .filter_map(move |(page, slot)| Some((owner, *page, slot.shown_mut()?)))
            })
            .filter(|(_, _, shown)| {
                shown.of.file == Some(file) && goes(shown.page, shown.own.is_some())
            })
            .map(|(owner, page, shown)| {
                shown.own = None;
                (owner, page)
            })
            .collect();
        for (owner, first) in gone {
            self.part(owner, Run { first, pages: 1 }, |_| true);
        }
    }

    pub(super) fn truncate(&mut self, file: usize, pages: u64) {
        self.files[file].file.truncate(pages).unwrap();
        self.files[file].holds.truncate(pages);
        self.part_from(file, |page, _| page >= pages);
    }

    pub(super) fn punch(&mut self, file: usize, pages: Range<u64>) {
        self.files[file].file.punch(pages.clone());
        let holds = self.files[file].holds.clone();
        for page in pages.clone().filter(|page| holds.has(*page)) {
            holds.set(page, 0);
        }
        self.part_from(file, |page, copied| pages.contains(&page) && !copied);
    }

    /// What is reported as written is in the store, unless a device may still write.
    pub(super) fn sync_file(&mut self, file: usize) {
        let file = &self.files[file];
        match file.file.sync() {
            Ok(_) if self.holds.is_empty() => file.check_store(),
            Ok(_) => {}
            Err(_) => assert!(self.fails),
        }
    }

    pub(super) fn fail(&mut self, fails: bool) {
        self.fails = fails;
        self.files[0].disk.fail(fails.then_some(StoreError::Io));
        self.swap.fail(fails.then_some(StoreError::Io));
    }

    /// Writeback finds no page a second time, whatever else is in the run.
    pub(super) fn write_back(&mut self, who: usize, run: Run) {
        let range = self.range(run);
        let Some(process) = self.pick(who) else { return };
        if process.space.sync(range).is_ok() {
            assert_eq!(process.space.sync(range), Ok(0));
        }
    }

    /// Pages of private mappings of files that are the process's own by now: their contents no
    /// longer follow the file's.
    pub(super) fn note_copies(&mut self) {
        let frames = self.mem.frames();
        for process in &mut self.processes {
            for (page, slot) in process.slots.iter_mut().filter(|(_, slot)| slot.is_files()) {
                let pte = process.space.walk(VirtAddr::of_page(self.base + page));
                if slot.is_private()
                    && pte.is_mapped()
                    && lab::flags(frames, pte.pfn()).contains(Flags::ANON)
                {
                    let value = slot.get();
                    slot.set(value);
                }
            }
        }
    }

    /// INV-MAPPERS-1: a file knows who shows which of its pages, and nothing else.
    pub(super) fn check_mappers(&self, file: &Modelled<F>) {
        for index in 0..FILE_PAGES {
            let mut known = Vec::new();
            lab::file_mappers(&file.file, index, |space, at| known.push((space, at)));
            let mut shown: Vec<_> = self
                .processes
                .iter()
                .flat_map(|process| {
                    let id = process.space.id();
                    process
                        .slots
                        .iter()
                        .filter_map(move |(page, slot)| Some((id, page, slot.shown()?)))
                })
                .filter(|(.., shown)| shown.page == index && Rc::ptr_eq(&shown.of, &file.holds))
                .map(|(id, page, _)| (id, VirtAddr::of_page(self.base + page)))
                .collect();
            known.sort_unstable();
            shown.sort_unstable();
            assert_eq!(known, shown, "page {index} of the file");
        }
    }
}
