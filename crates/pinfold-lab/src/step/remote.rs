//! What one process does to the memory of another: process_vm_readv(2) and process_vm_writev(2),
//! and the access of a debugger.
//!
//! Protocol (facts 3.14): the other process is found, or has exited. Its address space is then
//! kept, as if one more process were in it: whatever becomes of the other one, the step finds what
//! is mapped there. Who leaves last takes it down. Of several pages each is an access of its own:
//! an element of the vector, or a word of the debugger. What comes before one that fails is done.

use std::rc::Rc;

use pinfold::{Access, AddressSpace, Pfn, VirtRange};
use pinfold_explore::hook::Mode;

use super::transfer::Buffer;
use super::{Done, Fault};
use crate::carried::Spot;
use crate::cpu::Operation;
use crate::journal::{Held, What};
use crate::scenario::{Failure, Name, Part, Peek, Poke, Verb};
use crate::spaces::Inhabited;
use crate::world::World;

impl World {
    /// `vm-read`
    pub(super) fn vm_read(&self, peek: &Peek) -> Done {
        let mut found = 0;
        self.of_another(Verb::VmRead, &peek.process, &Part::Word(peek.from.clone()), |buffer| {
            let transfer = self.take(buffer, 1, (Access::Read, AddressSpace::process_vm))?;
            transfer.pages().iter().for_each(|frame| found = self.word_of(buffer, *frame));
            self.let_go(buffer, transfer, Access::Read)
        })?;
        self.seen(found, peek.expect.as_ref(), peek.register.as_ref())
    }

    /// `vm-write`
    pub(super) fn vm_write(&self, poke: &Poke) -> Done {
        let value = self.words.value(&poke.word.value);
        self.of_another(Verb::VmWrite, &poke.process, &poke.to, |buffer| {
            let transfer = self.take(buffer, 1, (Access::Write, AddressSpace::process_vm))?;
            for frame in transfer.pages() {
                self.put_word(buffer, *frame, value)?;
            }
            self.let_go(buffer, transfer, Access::Write)
        })?;
        Ok(None)
    }

    /// `ptrace-read`
    pub(super) fn ptrace_read(&self, peek: &Peek) -> Done {
        let mut found = 0;
        self.of_another(
            Verb::PtraceRead,
            &peek.process,
            &Part::Word(peek.from.clone()),
            |buffer| {
                self.by_debugger(buffer, Access::Read, |frame| {
                    found = self.word_of(buffer, frame);
                    Ok(())
                })
            },
        )?;
        self.seen(found, peek.expect.as_ref(), peek.register.as_ref())
    }

    /// `ptrace-write`
    pub(super) fn ptrace_write(&self, poke: &Poke) -> Done {
        let value = self.words.value(&poke.word.value);
        self.of_another(Verb::PtraceWrite, &poke.process, &poke.to, |buffer| {
            self.by_debugger(buffer, Access::Write, |frame| self.put_word(buffer, frame, value))
        })?;
        Ok(None)
    }

    /// Has `access` reach each page of another process's memory in turn.
    fn of_another(
        &self,
        verb: Verb,
        process: &Name,
        part: &Part,
        mut access: impl FnMut(&Buffer<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (space, counted) = self.enter(process)?;
        let mut each = || {
            let area = self.area(process, &part.name().value);
            // It is of an earlier program of the process.
            let area = area.map_err(|fault| Fault::of(Failure::NoAccess, fault.message))?;
            let (first, count) = part.resolve(area.range.pages() as u32);
            for page in first..first + count {
                let start = (area.range.first_page() + u64::from(page)).start();
                let range =
                    VirtRange::new(start, 1).map_err(|error| Fault::of(Failure::Invalid, error))?;
                access(&Buffer {
                    process,
                    name: format!("{verb} of {process}:{}[{page}]", part.name()),
                    space: Rc::clone(&space),
                    range,
                    word: Some(part.word().unwrap_or(0)),
                    area: area.clone(),
                })?;
            }
            Ok(())
        };
        let done = each();
        space.leave(counted);
        done
    }

    /// Keeps the address space of a process, and says if that is counted: if the process may leave
    /// it meanwhile.
    fn enter(&self, process: &str) -> Result<(Rc<Inhabited>, bool), Fault> {
        let lock = self.exit_locks.take(process, Mode::Shared);
        let space = self.live(process)?;
        if lock.is_none() {
            return Ok((space, false));
        }
        self.at_home(process, |home| home.shared = true)?;
        Ok((space.join(), true))
    }

    /// Has `access` reach the frame of a page as a debugger does. It may not wait for a monitor.
    fn by_debugger(
        &self,
        buffer: &Buffer<'_>,
        access: Access,
        mut reach: impl FnMut(Pfn) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (lane, mut reached) = (self.machine().lane(), Ok(()));
        let done = buffer.space.access_remote(buffer.range, access, |_, frame| {
            self.machine().record().note(lane, || {
                What::Holds(Held {
                    name: buffer.name.clone(),
                    frames: vec![frame],
                    process: buffer.process.to_owned(),
                    space: buffer.space.id(),
                    pages: buffer.range,
                    refs: 1,
                    pin: false,
                })
            });
            reached = reach(frame);
            self.machine().record().note(lane, || What::Releases(buffer.name.clone()));
        });
        done.map_err(|stopped| match Fault::from(stopped.error) {
            Fault { told: Some(_), message, .. } => Fault::of(Failure::NoAccess, message),
            fault => fault,
        })?;
        reached
    }

    /// The word that another process finds in a frame.
    fn word_of(&self, buffer: &Buffer<'_>, frame: Pfn) -> u64 {
        let word = buffer.word(0);
        let value = self.move_word(buffer, (frame, word), Operation::Load);
        let does = |text: &str| format!("is found to have \"{text}\"");
        self.must_be_own(buffer, Some(frame), (word, value), does);
        value
    }

    /// Another process stores a word in a frame: it is the word of the process whose memory it is.
    fn put_word(&self, buffer: &Buffer<'_>, frame: Pfn, value: u64) -> Result<(), Fault> {
        let (page, word) = (buffer.page(0), buffer.word(0));
        self.move_word(buffer, (frame, word), Operation::Store(value));
        // Nobody runs between the store and this: a fork that had ended before has no part in it.
        self.storing((&buffer.space, &buffer.area, page), value, || Ok(()))?;
        let at = Spot { space: buffer.space.id(), page, word };
        self.state.borrow_mut().carried.put(at, self.machine().lane());
        Ok(())
    }
}
