//! A store for files, which remembers what was written and fails when it is told to.

use std::boxed::Box;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::vec::Vec;

use pinfold::{File, Format, Pfn, Place, Prot, Store, StoreError, VirtAddr, VirtRange};

use super::{Mem, Rig, Space, word, write_word};

/// What a disk has, by the number of the page: the word of each page that was written.
#[derive(Default)]
struct Contents {
    pages: BTreeMap<u64, u64>,
    /// Pages for which room was made, if room is short.
    room: Option<usize>,
    reserved: Vec<u64>,
    written: Vec<u64>,
    fails: Option<StoreError>,
    meanwhile: Option<Meanwhile>,
}

/// What happens while a page is written, once.
type Meanwhile = Box<dyn FnOnce() + Send>;

/// A disk with one file.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Contents>>);

impl Disk {
    /// What it has of a page.
    pub(crate) fn page(&self, index: u64) -> u64 {
        self.0.lock().unwrap().pages.get(&index).copied().unwrap_or(0)
    }

    /// The pages that were written since the last call.
    pub(crate) fn written(&self) -> Vec<u64> {
        std::mem::take(&mut self.0.lock().unwrap().written)
    }

    /// Whether reads and writes fail from now on.
    pub(crate) fn fail(&self, with: Option<StoreError>) {
        self.0.lock().unwrap().fails = with;
    }

    /// Runs this while the next page is written, once the page was read.
    #[allow(dead_code, reason = "not every test has swap")]
    pub(crate) fn while_writing(&self, run: impl FnOnce() + Send + 'static) {
        self.0.lock().unwrap().meanwhile = Some(Box::new(run));
    }

    /// There is room for so many pages.
    pub(crate) fn limit(&self, pages: usize) {
        self.0.lock().unwrap().room = Some(pages);
    }

    /// A file of so many pages on it.
    pub(crate) fn file<F: Format>(&self, mem: &Mem<F>, pages: u64) -> File<Rig<F>> {
        File::new(mem, pages, Box::new(self.clone())).unwrap()
    }
}

impl<F: Format> Store<Rig<F>> for Disk {
    fn read(&self, platform: &Rig<F>, index: u64, frame: Pfn) -> Result<(), StoreError> {
        let contents = self.0.lock().unwrap();
        if let Some(error) = contents.fails {
            return Err(error);
        }
        write_word(platform, frame, contents.pages.get(&index).copied().unwrap_or(0));
        Ok(())
    }

    fn write(&self, platform: &Rig<F>, index: u64, frame: Pfn) -> Result<(), StoreError> {
        let mut contents = self.0.lock().unwrap();
        if let Some(error) = contents.fails {
            return Err(error);
        }
        contents.pages.insert(index, word(platform, frame));
        contents.written.push(index);
        let meanwhile = contents.meanwhile.take();
        drop(contents);
        meanwhile.into_iter().for_each(|run| run());
        Ok(())
    }

    fn reserve(&self, _: &Rig<F>, index: u64) -> Result<(), StoreError> {
        let mut contents = self.0.lock().unwrap();
        if contents.reserved.contains(&index) {
            return Ok(());
        }
        if contents.room.is_some_and(|room| contents.reserved.len() >= room) {
            return Err(StoreError::NoSpace);
        }
        contents.reserved.push(index);
        Ok(())
    }

    fn discard(&self, _: &Rig<F>, pages: Range<u64>) {
        let mut contents = self.0.lock().unwrap();
        contents.pages.retain(|index, _| !pages.contains(index));
        contents.reserved.retain(|index| !pages.contains(index));
    }
}

/// Maps pages of a file at page number `first`.
pub(crate) fn map_file<F: Format>(
    space: &Space<F>,
    first: u64,
    run: pinfold::FileRun<'_, Rig<F>>,
    sharing: pinfold::FileSharing,
) -> VirtRange {
    let place = Place::At(VirtAddr::of_page(first));
    space.map_file(place, Prot::READ_WRITE, run, sharing).unwrap()
}
