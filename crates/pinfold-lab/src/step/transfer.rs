//! Memory of a process that a step takes and moves past its page tables: by a device (direct I/O),
//! or by another process.

use std::rc::Rc;

use pinfold::{
    Access, AddressSpace, FaultError, Flags, PIN_BIAS, Pfn, PinError, Transfer, VirtRange, lab,
};

use super::Fault;
use crate::about::{About, Spot as Looked};
use crate::cpu::Operation;
use crate::journal::{Held, Touch, What};
use crate::machine::Machine;
use crate::oracle::foreign;
use crate::report::Oracle;
use crate::scenario::{Failure, Part, Verb};
use crate::spaces::{Area, Inhabited};
use crate::world::World;

/// How the pages of a range are taken for an access.
type Taking = fn(&AddressSpace<Machine>, VirtRange, Access) -> Result<Transfer<Machine>, PinError>;

/// The memory of one transfer, and whose it is.
pub(super) struct Buffer<'a> {
    pub(super) process: &'a str,
    /// What its hold is called in a trace.
    pub(super) name: String,
    pub(super) space: Rc<Inhabited>,
    pub(super) range: VirtRange,
    /// The word of the only page, if it is no more than that.
    pub(super) word: Option<u32>,
    /// The area that it is part of.
    pub(super) area: Area,
}

impl Buffer<'_> {
    pub(super) fn page(&self, index: usize) -> u64 {
        self.range.first_page().0 + index as u64
    }

    /// The word that goes with a word of the file.
    pub(super) fn word(&self, word: usize) -> usize {
        self.word.map_or(word, |own| own as usize)
    }

    /// Whether it is the process's own.
    pub(super) fn is_private(&self) -> bool {
        self.area.sharing.is_private()
    }

    /// As many of its first pages.
    fn start(&self, pages: u64) -> Result<VirtRange, Fault> {
        VirtRange::new(self.range.start(), pages).map_err(|error| Fault::other(error.to_string()))
    }
}

impl World {
    /// The memory of a process that a step moves.
    pub(super) fn buffer<'a>(
        &self,
        verb: Verb,
        process: &'a str,
        part: &Part,
    ) -> Result<Buffer<'a>, Fault> {
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
            area,
        })
    }

    /// Takes the first pages of a buffer, for this access.
    pub(super) fn take(
        &self,
        buffer: &Buffer<'_>,
        pages: u64,
        (access, by): (Access, Taking),
    ) -> Result<Transfer<Machine>, Fault> {
        let pages = buffer.start(pages)?;
        let transfer = self.until_resolved(&buffer.space, || {
            let transfer = by(&buffer.space, pages, access)?;
            match transfer.shortfall() {
                // A monitor gives what is missing, and the walk goes on.
                Some(error @ PinError::Fault(FaultError::Userfault { .. })) => Err(error.into()),
                _ => Ok(transfer),
            }
        })?;
        let (refs, pin) = match transfer {
            Transfer::Refs(_) => (1, false),
            Transfer::Pins(_) => (PIN_BIAS, true),
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
    pub(super) fn let_go(
        &self,
        buffer: &Buffer<'_>,
        transfer: Transfer<Machine>,
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

    /// Moves one word past the process. Returns what is in memory then.
    pub(super) fn move_word(
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

    /// A word that was found in a process's memory leaves it. It must not be one that another
    /// process stored for itself.
    pub(super) fn must_be_own(
        &self,
        buffer: &Buffer<'_>,
        frame: Option<Pfn>,
        (word, value): (usize, u64),
        does: impl FnOnce(&str) -> String,
    ) {
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
            let (who, does) = (buffer.process, does(&self.words.text(value)));
            let what = format!("{who} {does}, stored elsewhere after the fork");
            self.machine().broken(Oracle::Isolation, what);
        }
    }
}
