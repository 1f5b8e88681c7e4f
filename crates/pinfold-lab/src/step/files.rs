//! Steps on files by system calls: read(2), write(2), ftruncate(2), fallocate(2), fsync(2).
//!
//! They go past all page tables, so nothing of the address space is looked at but whether the
//! process is there.

use pinfold_explore::hook::Mode;

use super::{Done, Fault};
use crate::files::{MOST_PAGES, NamedFile};
use crate::journal::{Touch, What};
use crate::scenario::{Name, Pages, Place};
use crate::world::World;

/// The page and the word that a place in a file means.
fn at(place: &Place) -> (u64, usize) {
    (u64::from(place.page()), place.word() as usize)
}

impl World {
    /// Runs `act` with a file, for a process that is there; under the file's lock, if it has one,
    /// and the step asks for it.
    pub(super) fn on_file<R>(
        &self,
        process: &str,
        name: &Name,
        mode: Option<Mode>,
        act: impl FnOnce(&NamedFile) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        self.live(process)?;
        let _lock = mode.and_then(|mode| self.file_locks.take(&name.value, mode));
        let done = self.with_file(name, act);
        done.unwrap_or_else(|| Err(Fault::other(format!("there is no file {name}"))))
    }

    pub(super) fn write_file(&self, process: &str, to: &Place, word: &str) -> Done {
        let value = self.words.value(word);
        self.state.borrow_mut().open.insert(value);
        self.on_file(process, &to.name, Some(Mode::Exclusive), |file| {
            let (_, word) = at(to);
            Ok(file.write(at(to), |frame| {
                self.machine().word(frame, word).store_release(value);
                let touch = Touch { frame, word, value, handle: None };
                self.machine().touched(touch, What::Stores);
            })?)
        })?;
        Ok(None)
    }

    /// The word that is found there.
    pub(super) fn read_file(&self, process: &str, from: &Place) -> Result<u64, Fault> {
        self.on_file(process, &from.name, None, |file| {
            let (_, word) = at(from);
            Ok(file.read(at(from), |frame| {
                let value = self.machine().word(frame, word).load_acquire();
                let touch = Touch { frame, word, value, handle: None };
                self.machine().touched(touch, What::Loads);
                value
            })?)
        })
    }

    pub(super) fn truncate(&self, process: &str, file: &Name, length: (u32, u32)) -> Done {
        let alone = Some(Mode::Exclusive);
        self.on_file(process, file, alone, |file| Ok(file.truncate(self.machine(), length)?))?;
        Ok(None)
    }

    pub(super) fn punch(&self, process: &str, pages: &Pages) -> Done {
        self.on_file(process, &pages.area, Some(Mode::Exclusive), |file| {
            let (first, count) = pages.extent.resolve(MOST_PAGES);
            let first = u64::from(first);
            file.file.punch(first..first + u64::from(count));
            Ok(())
        })?;
        Ok(None)
    }

    pub(super) fn sync(&self, process: &str, file: &Name) -> Done {
        let written = self.on_file(process, file, None, |file| {
            file.file.sync().map_err(|error| Fault::other(error.to_string()))
        })?;
        Ok(self.written(written))
    }
}
