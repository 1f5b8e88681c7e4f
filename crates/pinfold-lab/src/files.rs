//! Files of the machine and what keeps their pages: a disk for each, in words.
//!
//! Protocol: the memory manager counts whole pages. How many words a file has, which may end inside
//! its last page, is kept here: that number changes while the page list is closed
//! ([`pinfold::File::layout`]), and is asked while a page of the list is shown, so that both are of
//! one length. What lies past the end in the last page, in memory and on the disk, is zeroed when
//! the file is cut there, and again before it grows: a mapping may store there meanwhile, as on
//! Linux.
//!
//! Invariants:
//! - INV-DISK-1: the words of a page on a disk change under the page's lock, or while the list is
//!   closed and the page is not in it, or by direct I/O, which keeps the file's length as it is
//!   (`step/direct.rs`); an exploration sees each of them.

use std::ops::Range;
use std::sync::Arc;

use pinfold::sync::AtomicU64;
use pinfold::{File, FileError, Pfn, Store, StoreError, lab};
use pinfold_explore::hook;

use crate::machine::Machine;

/// Pages of a file that the language has names for, and one for a part of a page.
pub(crate) const MOST_PAGES: u32 = 16;

/// The words of one file that are kept when memory is not.
pub(crate) struct Disk {
    words: usize,
    cells: Box<[AtomicU64]>,
}

impl Disk {
    /// Zeros, for a file of this name.
    pub(crate) fn new(file: &str, words: usize) -> Arc<Self> {
        let cells: Box<[AtomicU64]> =
            (0..MOST_PAGES as usize * words).map(|_| AtomicU64::new(0)).collect();
        let name = file.to_owned();
        let (start, len) = (cells.as_ptr() as usize, size_of_val(&*cells));
        hook::label(start, len, move |offset| {
            let at = offset / size_of::<AtomicU64>();
            format!("stored {name}[{}] word {}", at / words, at % words)
        });
        Arc::new(Self { words, cells })
    }

    /// A word of a page.
    pub(crate) fn word(&self, page: u64, word: usize) -> Option<&AtomicU64> {
        self.page(page).get(word)
    }

    /// The words of a page; none of one that no file has.
    fn page(&self, page: u64) -> &[AtomicU64] {
        let start = usize::try_from(page).ok().and_then(|page| page.checked_mul(self.words));
        start.and_then(|start| self.cells.get(start..start + self.words)).unwrap_or_default()
    }

    fn zero(&self, page: u64, from: usize) {
        self.page(page).iter().skip(from).for_each(|cell| cell.write_once(0));
    }
}

/// A disk as the memory manager knows it.
struct Kept(Arc<Disk>);

impl Store<Machine> for Kept {
    fn read(&self, machine: &Machine, index: u64, frame: Pfn) -> Result<(), StoreError> {
        machine.label_data(frame);
        for (word, cell) in self.0.page(index).iter().enumerate() {
            machine.word(frame, word).write_once(cell.read_once());
        }
        Ok(())
    }

    fn write(&self, machine: &Machine, index: u64, frame: Pfn) -> Result<(), StoreError> {
        for (word, cell) in self.0.page(index).iter().enumerate() {
            cell.write_once(machine.word(frame, word).read_once());
        }
        Ok(())
    }

    fn discard(&self, _: &Machine, pages: Range<u64>) {
        (pages.start..pages.end.min(u64::from(MOST_PAGES))).for_each(|page| self.0.zero(page, 0));
    }
}

/// Gives a disk to the memory manager.
pub(crate) fn store(disk: &Arc<Disk>) -> Box<dyn Store<Machine>> {
    Box::new(Kept(Arc::clone(disk)))
}

/// A file that the scenario names.
pub(crate) struct NamedFile {
    pub(crate) name: String,
    pub(crate) file: File<Machine>,
    /// What is behind it, if something is.
    pub(crate) disk: Option<Arc<Disk>>,
    /// The words of a page.
    words: usize,
    /// How many words the file has.
    end: AtomicU64,
}

impl NamedFile {
    /// A file of so many pages, with this in place of them when memory is not.
    pub(crate) fn new(
        name: &str,
        (file, pages): (File<Machine>, u32),
        words: usize,
        disk: Option<Arc<Disk>>,
    ) -> Self {
        let end = AtomicU64::new(u64::from(pages) * words as u64);
        Self { name: name.to_owned(), file, disk, words, end }
    }

    /// Names what changes in a trace.
    pub(crate) fn label(&self) {
        let name = self.name.clone();
        let at = &raw const self.end as usize;
        hook::label(at, size_of_val(&self.end), move |_| format!("length of {name}"));
    }

    /// The place of a word in the file.
    fn place(&self, page: u64, word: usize) -> u64 {
        page.saturating_mul(self.words as u64).saturating_add(word as u64)
    }

    /// Those of the pages of which the file has this word. Its lock must be held.
    pub(crate) fn within(&self, pages: Range<u64>, word: usize) -> Range<u64> {
        let words = self.end.read_once().saturating_sub(word as u64);
        let end = words.div_ceil(self.words as u64);
        pages.start.min(end)..pages.end.min(end)
    }

    /// Whether the file has these words of all of the pages. Its lock must be held.
    ///
    /// # Errors
    /// With the first page of which it has not all of them.
    pub(crate) fn whole(&self, pages: Range<u64>, words: Range<usize>) -> Result<(), FileError> {
        let Some(last) = words.end.checked_sub(1) else { return Ok(()) };
        let there = self.within(pages.clone(), last);
        match there.end == pages.end {
            true => Ok(()),
            false => Err(FileError::PastEnd { page: there.end.max(pages.start) }),
        }
    }

    /// Whether the file has the word. When nothing runs.
    pub(crate) fn has(&self, page: u64, word: usize) -> bool {
        self.place(page, word) < self.end.peek()
    }

    /// Runs `look` on the frame of a page, as read(2) does.
    ///
    /// # Errors
    /// When the file has no such word, and when the page cannot be had.
    pub(crate) fn read<R>(
        &self,
        (page, word): (u64, usize),
        look: impl FnOnce(Pfn) -> R,
    ) -> Result<R, FileError> {
        let place = self.place(page, word);
        let seen =
            self.file.read(page, |frame| (place < self.end.read_once()).then(|| look(frame)))?;
        seen.ok_or(FileError::PastEnd { page })
    }

    /// Runs `change` on the frame of a page, as write(2) does, which makes no file longer here.
    ///
    /// # Errors
    /// As [`NamedFile::read`].
    pub(crate) fn write(
        &self,
        (page, word): (u64, usize),
        change: impl FnOnce(Pfn),
    ) -> Result<(), FileError> {
        let place = self.place(page, word);
        let done =
            self.file.write(page, |frame| (place < self.end.read_once()).then(|| change(frame)))?;
        done.ok_or(FileError::PastEnd { page })
    }

    /// Gives the file so many pages, and so many words of the next one.
    ///
    /// # Errors
    /// When no file can be so long.
    pub(crate) fn truncate(
        &self,
        machine: &Machine,
        (pages, part): (u32, u32),
    ) -> Result<(), FileError> {
        let end = self.place(u64::from(pages), part as usize);
        if self.words > 1 {
            // What a mapping has stored past an end inside a page.
            let inside = |old: u64| old < end && !old.is_multiple_of(self.words as u64);
            self.cut(machine, |old| inside(old).then_some(old))?;
        }
        self.cut(machine, |_| Some(end))
    }

    /// Makes so many words the whole file: as many as `end` says of the present number.
    fn cut(
        &self,
        machine: &Machine,
        end: impl FnOnce(u64) -> Option<u64>,
    ) -> Result<(), FileError> {
        let layout = self.file.layout();
        let Some(end) = end(self.end.read_once()) else { return Ok(()) };
        self.end.write_once(end);
        let words = self.words as u64;
        let (last, from) = (end / words, (end % words) as usize);
        let zero_stored = || {
            if let Some(disk) = self.disk.as_ref().filter(|_| from > 0) {
                disk.zero(last, from);
            }
        };
        zero_stored();
        layout.truncate_within(end.div_ceil(words), |frame| {
            // The page may have been written back until its lock was had.
            zero_stored();
            (from..self.words).filter(|_| from > 0).for_each(|word| {
                machine.word(frame, word).write_once(0);
            });
        })
    }

    /// The word in memory, or what would be read there; none past the end. When nothing runs.
    pub(crate) fn word(&self, machine: &Machine, (page, word): (u64, usize)) -> Option<u64> {
        if !self.has(page, word) {
            return None;
        }
        match self.frame(page) {
            Some(frame) => Some(machine.word(frame, word).peek()),
            None if self.is_swapped(page) => {
                self.file.read(page, |frame| machine.word(frame, word).peek()).ok()
            }
            None => Some(self.stored((page, word)).unwrap_or(0)),
        }
    }

    /// Whether a page is on the swap device. When nothing runs.
    fn is_swapped(&self, page: u64) -> bool {
        let mut is = false;
        lab::file_slots(&self.file, |slot| is |= slot.index == page);
        is
    }

    /// The word on the disk; none past the end, and where there is no disk. When nothing runs.
    pub(crate) fn stored(&self, (page, word): (u64, usize)) -> Option<u64> {
        let disk = self.disk.as_ref().filter(|_| self.has(page, word))?;
        disk.word(page, word).map(AtomicU64::peek)
    }

    /// The frame of a page that is in memory. When nothing runs.
    pub(crate) fn frame(&self, page: u64) -> Option<Pfn> {
        lab::file_page(&self.file, page)
    }
}
