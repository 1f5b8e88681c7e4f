//! What the model knows of files: the value of each page, and how many there are.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::ops::FILE_PAGES;
use crate::testing::{Disk, Mem, Rig};
use pinfold::{File, Format, lab};

/// What a file's pages hold.
#[derive(Debug)]
pub(crate) struct Contents {
    /// The number of the file; none if it is memory without a name.
    pub(crate) file: Option<usize>,
    pages: RefCell<Vec<u64>>,
    count: Cell<u64>,
    /// Whether writes are tracked.
    pub(crate) tracked: bool,
}

impl Contents {
    /// Memory of so many pages without a name.
    pub(crate) fn memory(count: u64) -> Self {
        let pages = RefCell::new(vec![0; count as usize]);
        Self { file: None, pages, count: Cell::new(count), tracked: false }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.get()
    }

    pub(crate) fn has(&self, page: u64) -> bool {
        page < self.count.get()
    }

    pub(crate) fn get(&self, page: u64) -> u64 {
        self.pages.borrow()[page as usize]
    }

    pub(crate) fn set(&self, page: u64, value: u64) {
        self.pages.borrow_mut()[page as usize] = value;
    }

    /// Pages from `count` on are gone, and zeros if they come again.
    pub(crate) fn truncate(&self, count: u64) {
        self.count.set(count);
        self.pages.borrow_mut()[count as usize..].fill(0);
    }
}

/// A file, and what it must hold.
pub(crate) struct Modelled<F: Format> {
    pub(crate) file: File<Rig<F>>,
    pub(crate) disk: Disk,
    pub(crate) holds: Rc<Contents>,
}

impl<F: Format> Modelled<F> {
    /// The file with this number: the first has a store.
    pub(crate) fn new(mem: &Mem<F>, number: usize) -> Self {
        let (disk, count, tracked) = (Disk::default(), FILE_PAGES / 2, number == 0);
        let file =
            if tracked { disk.file(mem, count) } else { File::in_memory(mem, count).unwrap() };
        let pages = RefCell::new(vec![0; FILE_PAGES as usize]);
        let holds = Contents { file: Some(number), pages, count: Cell::new(count), tracked };
        Self { file, disk, holds: Rc::new(holds) }
    }

    /// After a sync that succeeded, if no device can have written without saying so.
    pub(crate) fn check_store(&self) {
        for page in (0..self.holds.count()).filter(|_| self.holds.tracked) {
            assert_eq!(self.disk.page(page), self.holds.get(page), "page {page} was lost");
        }
    }

    /// Nothing past the end is in memory.
    pub(crate) fn check_end(&self) {
        let past = self.holds.count()..FILE_PAGES * 2;
        assert!(past.into_iter().all(|page| lab::file_page(&self.file, page).is_none()));
    }
}
