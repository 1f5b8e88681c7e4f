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
use std::rc::Rc;
use std::sync::Arc;

use pinfold::{Access, DirectIo, FaultError, Flags, PIN_BIAS, Pfn, PinError, VirtRange, lab};
use pinfold_explore::hook::{self, Mode};

use super::{Done, Fault};
use crate::about::{About, Spot as Looked};
use crate::carried::{Brought, Spot};
use crate::cpu::{Operation, Target};
use crate::files::{Disk, NamedFile};
use crate::journal::{Held, Touch, What};
use crate::machine::Machine;
use crate::oracle::foreign;
use crate::report::Oracle;
use crate::scenario::{Failure, Part, Verb};
use crate::spaces::Inhabited;
use crate::world::World;

/// The memory of one transfer, and whose it is.
struct Buffer<'a> {
    process: &'a str,
    /// What its hold is called in a trace.
    name: String,
    space: Rc<Inhabited>,
    range: VirtRange,
    /// The word of the only page, if it is no more than that.
    word: Option<u32>,
    /// Whether it is the process's own.
    private: bool,
}

impl Buffer<'_> {
    fn page(&self, index: usize) -> u64 {
        self.range.first_page().0 + index as u64
    }

    /// The word that goes with a word of the file.
    fn word(&self, word: usize) -> usize {
        self.word.map_or(word, |own| own as usize)
    }

    /// As many of its first pages.
    fn start(&self, pages: u64) -> Result<VirtRange, Fault> {
        VirtRange::new(self.range.start(), pages).map_err(|error| Fault::other(error.to_string()))
    }
}

/// Words of pages: of a file or of memory.
#[derive(Clone)]
struct Span {
    pages: Range<u64>,
    words: Range<usize>,
}

impl World {
    fn buffer<'a>(&self, verb: Verb, process: &'a str, part: &Part) -> Result<Buffer<'a>, Fault> {
        let area = self.area(process, &part.name().value)?;
        let (first, count) = part.resolve(area.range.pages() as u32);
        let start = (area.range.first_page() + u64::from(first)).start();
        let range = VirtRange::new(start, u64::from(count))
            .map_err(|error| Fault::of(Failure::Invalid, error))?;
        Ok(Buffer {
            process,
            name: format!("{verb} of {process}:{part}"),
            space: self.live(process)?,
            range,
            word: part.word(),
            private: area.sharing.is_private(),
        })
    }

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
                let transfer = self.take(&buffer, there.end - there.start, Access::Write)?;
                for (index, frame) in transfer.pages().iter().enumerate() {
                    for word in words.clone() {
                        let stored = disk.word(there.start + index as u64, word);
                        let value = stored.map_or(0, |cell| cell.read_once());
                        let (page, word) = (buffer.page(index), buffer.word(word));
                        self.arrives(&buffer, value);
                        self.move_word(&buffer, (*frame, word), Operation::Store(value));
                        if buffer.private {
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
            let transfer = self.take(&buffer, pages.end - pages.start, Access::Read)?;
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

    /// Takes the first pages of a buffer for a device that does this to them.
    fn take(
        &self,
        buffer: &Buffer<'_>,
        pages: u64,
        access: Access,
    ) -> Result<DirectIo<Machine>, Fault> {
        let pages = buffer.start(pages)?;
        let transfer = self.until_resolved(&buffer.space, || {
            let transfer = buffer.space.direct_io(pages, access)?;
            match transfer.shortfall() {
                // A monitor gives what is missing, and the walk goes on.
                Some(error @ PinError::Fault(FaultError::Userfault { .. })) => Err(error.into()),
                _ => Ok(transfer),
            }
        })?;
        let (refs, pin) = match transfer {
            DirectIo::Refs(_) => (1, false),
            DirectIo::Pins(_) => (PIN_BIAS, true),
        };
        let lane = self.machine().lane();
        self.machine().record().note(lane, || {
            What::Holds(Held {
                name: buffer.name.clone(),
                frames: transfer.pages().to_vec(),
                process: buffer.process.to_owned(),
                space: buffer.space.id(),
                pages,
                refs,
                pin,
            })
        });
        Ok(transfer)
    }

    /// Ends a transfer. What kept pages from being taken is told now that the others are done.
    fn let_go(
        &self,
        buffer: &Buffer<'_>,
        transfer: DirectIo<Machine>,
        access: Access,
    ) -> Result<(), Fault> {
        let shortfall = transfer.shortfall();
        match access {
            Access::Write => transfer.end_dirty(),
            Access::Read => drop(transfer),
        }
        let lane = self.machine().lane();
        self.machine().record().note(lane, || What::Releases(buffer.name.clone()));
        shortfall.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The device moves one word. Returns what is in memory then.
    fn move_word(
        &self,
        buffer: &Buffer<'_>,
        (frame, word): (Pfn, usize),
        operation: Operation,
    ) -> u64 {
        self.machine().must_live(&self.memory, frame);
        let cell = self.machine().word(frame, word);
        let (value, what): (u64, fn(Touch) -> What) = match operation {
            Operation::Load => (cell.load_acquire(), What::Loads),
            Operation::Store(value) => {
                cell.store_release(value);
                (value, What::Stores)
            }
        };
        let handle = Some(buffer.name.clone());
        self.machine().touched(Touch { frame, word, value, handle }, what);
        value
    }

    /// A word comes from a file.
    fn arrives(&self, buffer: &Buffer<'_>, value: u64) {
        let mut state = self.state.borrow_mut();
        state.carried.carry(value);
        if !buffer.private {
            state.open.insert(value);
        }
    }

    /// A word goes to a file, from a frame if a device reads it. It must not be one that another
    /// process stored for itself.
    fn leaves(&self, buffer: &Buffer<'_>, frame: Option<Pfn>, word: usize, value: u64) {
        let is_foreign = {
            let state = self.state.borrow();
            let flags = frame.map(|frame| lab::flags(self.memory.frames(), frame));
            let anonymous = flags.is_some_and(|flags| flags.contains(Flags::ANON));
            let open = !anonymous && state.open.contains(&value);
            foreign(&state, buffer.space.id(), value) && !open
        };
        if is_foreign {
            if let Some(frame) = frame {
                let spot = Looked::Handle(buffer.name.clone(), frame);
                let about = About::Word { spot, word, wanted: None, found: Some(value) };
                self.machine().record().about.get_or_insert(about);
            }
            let (who, text) = (buffer.process, self.words.text(value));
            let what =
                format!("{who} writes \"{text}\" to a file, stored elsewhere after the fork");
            self.machine().broken(Oracle::Isolation, what);
        }
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
