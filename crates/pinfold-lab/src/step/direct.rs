//! Direct I/O: read(2) and write(2) of a file that is open with O_DIRECT.
//!
//! Protocol (facts 7.8, 12.9), for a range of pages of a file:
//!
//! 1. The file's lock is taken shared. Who changes the file's length, makes a hole or writes by
//!    write(2) takes it alone.
//! 2. What is dirty in memory of those pages is written back. Before a write they are also taken
//!    out of memory; if one stays, as it is held or was made dirty again, the write goes by memory
//!    like any other, and is written back at once.
//! 3. The process's pages are taken, by references or by pins.
//! 4. A device moves word after word between the store and those pages, whatever becomes of the
//!    process's entries; other lanes run at any moment.
//! 5. The pages are let go. After a write, what others have read into memory meanwhile is taken out
//!    again; what is held stays, and is out of date.

use std::ops::Range;
use std::sync::Arc;

use pinfold::{Access, AddressSpace, Pfn};
use pinfold_explore::hook::{self, Mode};

use super::transfer::Buffer;
use super::{Done, Fault};
use crate::carried::{Brought, Spot};
use crate::cpu::{Operation, Target};
use crate::files::{Disk, NamedFile};
use crate::journal::{Touch, What};
use crate::scenario::{Part, Verb};
use crate::world::World;

/// Words of pages: of a file or of memory.
#[derive(Clone)]
struct Span {
    pages: Range<u64>,
    words: Range<usize>,
}

impl World {
    /// As much of a file as the buffer has room for.
    fn span(&self, part: &Part, buffer: &Buffer<'_>) -> Span {
        let first = u64::from(part.resolve(0).0);
        let words = match part.word() {
            Some(word) => word as usize..word as usize + 1,
            None => 0..self.machine().words(),
        };
        Span { pages: first..first + buffer.range.pages(), words }
    }

    /// `direct-read`
    pub(super) fn direct_read(&self, process: &str, to: &Part, from: &Part) -> Done {
        let buffer = self.buffer(Verb::DirectRead, process, to)?;
        let zaps = self.machine().record().zaps;
        hook::saw(zaps);
        let lane = self.machine().lane();
        self.on_file(process, from.name(), Some(Mode::Shared), |file| {
            let disk = disk_of(file)?;
            let Span { pages, words } = self.span(from, &buffer);
            let there = file.within(pages.clone(), words.start);
            if !there.is_empty() {
                write_back(file, there.clone())?;
                let transfer = self.take(
                    &buffer,
                    there.end - there.start,
                    (Access::Write, AddressSpace::direct_io),
                )?;
                for (index, frame) in transfer.pages().iter().enumerate() {
                    for word in words.clone() {
                        let stored = disk.word(there.start + index as u64, word);
                        let value = stored.map_or(0, |cell| cell.read_once());
                        let (page, word) = (buffer.page(index), buffer.word(word));
                        self.arrives(&buffer, value);
                        self.move_word(&buffer, (*frame, word), Operation::Store(value));
                        if buffer.is_private() {
                            let at = Spot { space: buffer.space.id(), page, word };
                            let brought = Brought { value, zaps };
                            self.state.borrow_mut().carried.bring(at, lane, brought);
                        }
                    }
                }
                self.let_go(&buffer, transfer, Access::Write)?;
            }
            Ok(file.whole(pages, words)?)
        })?;
        Ok(None)
    }

    /// `direct-write`
    pub(super) fn direct_write(&self, process: &str, from: &Part, to: &Part) -> Done {
        let buffer = self.buffer(Verb::DirectWrite, process, from)?;
        self.on_file(process, to.name(), Some(Mode::Shared), |file| {
            let disk = disk_of(file)?;
            let span = self.span(to, &buffer);
            let Span { pages, words } = span.clone();
            file.whole(pages.clone(), words.clone())?;
            write_back(file, pages.clone())?;
            if file.file.invalidate(pages.clone()).is_err() {
                return self.write_by_memory(&buffer, file, span);
            }
            let transfer = self.take(
                &buffer,
                pages.end - pages.start,
                (Access::Read, AddressSpace::direct_io),
            )?;
            for (index, frame) in transfer.pages().iter().enumerate() {
                for word in words.clone() {
                    let own = buffer.word(word);
                    let value = self.move_word(&buffer, (*frame, own), Operation::Load);
                    self.leaves(&buffer, Some(*frame), own, value);
                    if let Some(cell) = disk.word(pages.start + index as u64, word) {
                        cell.write_once(value);
                    }
                }
            }
            self.let_go(&buffer, transfer, Access::Read)?;
            // What stays in memory is out of date, which is no failure.
            let _ = file.file.invalidate(pages);
            Ok(())
        })?;
        Ok(None)
    }

    /// The write as if the file were open without O_DIRECT, where its pages have to stay in memory.
    fn write_by_memory(
        &self,
        buffer: &Buffer<'_>,
        file: &NamedFile,
        Span { pages, words }: Span,
    ) -> Result<(), Fault> {
        for (index, page) in pages.clone().enumerate() {
            for word in words.clone() {
                let own = buffer.word(word);
                let target = Target { page: buffer.page(index), word: own };
                let value = self.machine().access(&buffer.space, target, Operation::Load)?;
                self.leaves(buffer, None, own, value);
                file.write((page, word), |frame| {
                    self.machine().word(frame, word).store_release(value);
                    let touch = Touch { frame, word, value, handle: None };
                    self.machine().touched(touch, What::Stores);
                })?;
            }
        }
        write_back(file, pages.clone())?;
        let _ = file.file.invalidate(pages);
        Ok(())
    }

    /// A word comes from a file.
    fn arrives(&self, buffer: &Buffer<'_>, value: u64) {
        let mut state = self.state.borrow_mut();
        state.carried.carry(value);
        if !buffer.is_private() {
            state.open.insert(value);
        }
    }

    /// A word goes to a file, from a frame if a device reads it. It must not be one that another
    /// process stored for itself.
    fn leaves(&self, buffer: &Buffer<'_>, frame: Option<Pfn>, word: usize, value: u64) {
        let does = |text: &str| format!("writes \"{text}\" to a file");
        self.must_be_own(buffer, frame, (word, value), does);
        let mut state = self.state.borrow_mut();
        state.carried.carry(value);
        state.open.insert(value);
    }
}

fn disk_of(file: &NamedFile) -> Result<&Arc<Disk>, Fault> {
    file.disk.as_ref().ok_or_else(|| Fault::other(format!("nothing is behind {}", file.name)))
}

fn write_back(file: &NamedFile, pages: Range<u64>) -> Result<(), Fault> {
    let written = file.file.sync_pages(pages);
    written.map(drop).map_err(|error| Fault::other(error.to_string()))
}
