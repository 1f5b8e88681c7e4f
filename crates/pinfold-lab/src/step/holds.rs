//! Steps that take and release handles, and what devices do through them.

use pinfold::{AddressSpace, Pfn, Term, VirtRange};
use pinfold_explore::hook;

use super::asked::{Times, ask};
use super::{Done, Fault, gone};
use crate::carried::Spot;
use crate::cpu::{Operation, Target};
use crate::journal::{Held, What};
use crate::machine::Machine;
use crate::scenario::{self, Access, Dirty, Duration, Grab};
use crate::waits::Awaited;
use crate::world::{Handle, Hold, World};

impl World {
    /// An access of a device through a handle. Returns the frame that it reached and the word that
    /// is there now.
    pub(super) fn device(
        &self,
        place: &scenario::Place,
        operation: Operation,
    ) -> Result<(Pfn, u64), Fault> {
        let name = &place.name.value;
        self.await_handle(name);
        if let Operation::Store(value) = operation {
            self.state.borrow_mut().notes_through(place, value);
        }
        let follows = {
            let state = self.state.borrow();
            let held = state.handles.get(name).filter(|handle| handle.hold.is_some());
            held.filter(|handle| handle.follows()).map(|handle| {
                let space = state.space(handle.space).cloned();
                hook::saw(u64::from(space.is_some()));
                (space.ok_or_else(|| gone(&handle.process)), handle.page(place.page()))
            })
        };
        if let Some((space, page)) = follows {
            let (space, target) = (space?, Target { page, word: place.word() as usize });
            return self.until_resolved(&space, || {
                Ok(self.machine().follow(&space, target, operation)?)
            });
        }
        let frame = self.device_frame(place)?;
        let cell = self.machine().word(frame, place.word() as usize);
        Ok(match operation {
            Operation::Load => (frame, cell.load_acquire()),
            Operation::Store(value) => {
                cell.store_release(value);
                (frame, value)
            }
        })
    }

    /// A device has stored something through a handle.
    pub(super) fn put_through(&self, place: &scenario::Place) {
        let mut state = self.state.borrow_mut();
        let handle = state.handles.get(&place.name.value);
        let at = handle.map(|handle| Spot {
            space: handle.space,
            page: handle.page(place.page()),
            word: place.word() as usize,
        });
        if let Some(at) = at {
            state.carried.put(at, self.machine().lane());
        }
    }

    /// The frame that a handle holds.
    fn device_frame(&self, place: &scenario::Place) -> Result<Pfn, Fault> {
        let name = &place.name.value;
        let state = self.state.borrow();
        let handle = state.handles.get(name).filter(|handle| handle.hold.is_some());
        let frames = handle.map(|handle| &handle.frames);
        let frame = frames
            .and_then(|frames| frames.get(place.page() as usize).copied())
            .ok_or_else(|| Fault::other(format!("handle {name} holds no such page now")));
        hook::saw(frame.as_ref().map_or(0, |frame| frame.0 + 1));
        let frame = frame?;
        drop(state);
        self.machine().must_live(self.memory.frames(), frame);
        Ok(frame)
    }

    pub(super) fn pin(&self, process: &str, grab: &Grab, duration: Duration, times: Times) -> Done {
        let (space, range) = self.range(process, &grab.pages)?;
        let term = match duration {
            Duration::Short => Term::Short,
            Duration::LongTerm => Term::Long,
        };
        let since = self.machine().record().zaps;
        hook::saw(since);
        let pins = self.until_resolved(&space, || {
            let pins = space.pin_with(range, ask(grab, times, term))?;
            pins.shortfall().map_or(Ok(pins), |error| Err(error.into()))
        })?;
        let coherent = (term == Term::Long).then_some(since);
        let how = (grab.access.value, coherent);
        self.keep(process, &grab.handle.value, Hold::Pins(pins), (&space, range), how)
    }

    pub(super) fn get(&self, process: &str, grab: &Grab, times: Times) -> Done {
        let (space, range) = self.range(process, &grab.pages)?;
        let refs = self.until_resolved(&space, || {
            let refs = space.get_with(range, ask(grab, times, Term::Short))?;
            refs.shortfall().map_or(Ok(refs), |error| Err(error.into()))
        })?;
        let how = (grab.access.value, None);
        self.keep(process, &grab.handle.value, Hold::Refs(refs), (&space, range), how)
    }

    pub(super) fn keep(
        &self,
        process: &str,
        name: &str,
        hold: Hold,
        (space, pages): (&AddressSpace<Machine>, VirtRange),
        (access, coherent): (Access, Option<u64>),
    ) -> Done {
        let frames = hold.pages().to_vec();
        if !frames.is_empty() {
            let lane = self.machine().lane();
            self.machine().record().note(lane, || {
                What::Holds(Held {
                    name: name.to_owned(),
                    frames: frames.clone(),
                    process: process.to_owned(),
                    space: space.id(),
                    pages,
                    refs: hold.refs(),
                    pin: matches!(hold, Hold::Pins(_)),
                })
            });
        }
        let handle = Handle {
            hold: Some(hold),
            frames,
            process: process.to_owned(),
            space: space.id(),
            pages,
            access,
            coherent,
        };
        self.state.borrow_mut().handles.insert(name, handle);
        self.waits.happen(&Awaited::Handle(name.to_owned()));
        Ok(None)
    }

    pub(super) fn release(&self, name: &str) -> Result<Hold, Fault> {
        self.await_handle(name);
        let mut state = self.state.borrow_mut();
        let hold = state.handles.get_mut(name).and_then(|handle| handle.hold.take());
        hook::saw(u64::from(hold.is_some()));
        let lane = self.machine().lane();
        self.machine().record().note(lane, || What::Releases(name.to_owned()));
        hold.ok_or_else(|| Fault::other(format!("handle {name} is not held now")))
    }

    pub(super) fn unpin(&self, name: &str, dirty: Dirty) -> Done {
        match (self.release(name)?, dirty) {
            (Hold::Pins(pins), Dirty::Mark) => pins.unpin_dirty(),
            (hold, _) => drop(hold),
        }
        Ok(None)
    }
}
