//! A store on a file of the host.
//!
//! Protocol: pages are read and written by their offset, without a lock, as two calls for one page
//! never come at a time. What is discarded and could not be taken out of the file is remembered,
//! under a lock, until it is written again.
//!
//! Invariants:
//! - INV-HOLES-1: a page that was discarded reads as zeros until it is written, whether the file
//!   could be changed or not.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use crate::addr::{PAGE_SIZE, Pfn};
use crate::error::StoreError;
use crate::platform::{Contents, PageBytes};
use crate::store::Store;

struct Inner {
    file: File,
    /// Pages that are gone, and that the host's file still has.
    stale: Mutex<Stale>,
}

#[derive(Default)]
struct Stale(Vec<Range<u64>>);

impl Stale {
    fn contains(&self, index: u64) -> bool {
        self.0.iter().any(|pages| pages.contains(&index))
    }

    /// The page was written.
    fn forget(&mut self, index: u64) {
        while let Some(at) = self.0.iter().position(|pages| pages.contains(&index)) {
            let pages = self.0.swap_remove(at);
            let rest = [pages.start..index, index + 1..pages.end];
            self.0.extend(rest.into_iter().filter(|pages| !pages.is_empty()));
        }
    }
}

/// Keeps the pages of a file in a file of the host, page n at byte n times 4096. A clone is another
/// handle of the same store.
///
/// The host's errors are passed on: a full or exhausted quota as [`StoreError::NoSpace`], all
/// others as [`StoreError::Io`]. Room is not set apart beforehand, so a full medium shows when
/// pages are written back, which then stay dirty.
///
/// [`crate::File::sync`] writes to the host's file, whose pages the host may still have in memory;
/// [`FileStore::sync`] after that brings them to the medium.
#[derive(Clone)]
pub struct FileStore(Arc<Inner>);

impl FileStore {
    /// A store on a file that is open for reading and writing; what is in it are its first pages.
    pub fn new(file: File) -> Self {
        Self(Arc::new(Inner { file, stale: Mutex::default() }))
    }

    /// Brings what was written so far to the medium (fdatasync).
    ///
    /// # Errors
    /// When the host says so. What was written since the last call without an error may be lost
    /// then, and the host does not try it again.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.0.file.sync_data().map_err(|error| told(&error))
    }

    fn stale(&self) -> MutexGuard<'_, Stale> {
        self.0.stale.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes pages out of the host's file.
    fn cut(&self, pages: &Range<u64>) -> io::Result<()> {
        let length = self.0.file.metadata()?.len();
        let end = pages.end.min(length.div_ceil(PAGE_SIZE));
        if pages.start >= end {
            return Ok(());
        }
        if pages.end == u64::MAX {
            return self.0.file.set_len(pages.start * PAGE_SIZE);
        }
        // A page behind these may be written meanwhile, so the file keeps its length.
        (pages.start..end).try_for_each(|page| self.0.file.write_all_at(&ZEROS, page * PAGE_SIZE))
    }
}

const ZEROS: PageBytes = [0; PAGE_SIZE as usize];

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileStore").field(&self.0.file).finish()
    }
}

fn told(error: &io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            StoreError::NoSpace
        }
        _ => StoreError::Io,
    }
}

/// Where a page lies in the host's file, if one can be so long.
fn offset(index: u64) -> Result<u64, StoreError> {
    let end = index.checked_add(1).and_then(|pages| pages.checked_mul(PAGE_SIZE));
    let fits = end.is_some_and(|end| i64::try_from(end).is_ok());
    if fits { Ok(index * PAGE_SIZE) } else { Err(StoreError::NoSpace) }
}

impl<P: Contents> Store<P> for FileStore {
    fn read(&self, platform: &P, index: u64, frame: Pfn) -> Result<(), StoreError> {
        let (mut page, start) = (ZEROS, offset(index)?);
        let mut done = if self.stale().contains(index) { page.len() } else { 0 };
        while done < page.len() {
            match self.0.file.read_at(&mut page[done..], start + done as u64) {
                // What lies past the end is zeros.
                Ok(0) => break,
                Ok(more) => done += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(told(&error)),
            }
        }
        platform.fill(frame, &page);
        Ok(())
    }

    fn write(&self, platform: &P, index: u64, frame: Pfn) -> Result<(), StoreError> {
        let (mut page, start) = (ZEROS, offset(index)?);
        platform.copy_out(frame, &mut page);
        self.0.file.write_all_at(&page, start).map_err(|error| told(&error))?;
        self.stale().forget(index);
        Ok(())
    }

    fn discard(&self, _: &P, pages: Range<u64>) {
        if self.cut(&pages).is_err() {
            self.stale().0.push(pages);
        }
    }
}
