//! Steps that take and release handles, and what devices do through them.

use std::rc::Rc;

use pinfold::{
    FaultError, Format, Memory, Pfn, Reference, Refs, SpaceId, SplitError, Term, VirtAddr,
    VirtRange, Vpn,
};
use pinfold_explore::hook;

use super::asked::{Times, ask};
use super::{Done, Fault, gone};
use crate::carried::Spot;
use crate::cpu::{Operation, Target};
use crate::hardware::Tables;
use crate::journal::{Held, What};
use crate::machine::Machine;
use crate::scenario::{self, Access, Dirty, Duration, Failure, Grab, Pages};
use crate::spaces::Inhabited;
use crate::waits::Awaited;
use crate::world::{Handle, Hold, World};

/// What a handle refers to its pages by, of which several can be had.
enum Through {
    Refs(Rc<Refs<Machine>>, usize),
    One(Rc<Reference<Machine>>),
}

impl Through {
    /// One more reference.
    fn again(&self) -> Option<Reference<Machine>> {
        match self {
            Self::Refs(refs, page) => Reference::through(refs, *page),
            Self::One(reference) => reference.again(),
        }
    }

    /// Whether the handle itself has let go of it.
    fn is_let_go(&self) -> bool {
        match self {
            Self::Refs(refs, _) => Rc::strong_count(refs) == 1,
            Self::One(reference) => Rc::strong_count(reference) == 1,
        }
    }
}

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
        self.machine().must_live(&self.memory, frame);
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
        self.keep(process, &grab.handle.value, Hold::Pins(pins), (space.id(), range), how)
    }

    pub(super) fn get(&self, process: &str, grab: &Grab, times: Times) -> Done {
        let (space, range) = self.range(process, &grab.pages)?;
        let refs = self.until_resolved(&space, || {
            let refs = space.get_with(range, ask(grab, times, Term::Short))?;
            refs.shortfall().map_or(Ok(refs), |error| Err(error.into()))
        })?;
        let how = (grab.access.value, None);
        let hold = Hold::Refs(Rc::new(refs));
        self.keep(process, &grab.handle.value, hold, (space.id(), range), how)
    }

    pub(super) fn keep(
        &self,
        process: &str,
        name: &str,
        hold: Hold,
        (space, pages): (SpaceId, VirtRange),
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
                    space,
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
            space,
            pages,
            access,
            coherent,
        };
        self.made(name, handle);
        Ok(None)
    }

    /// A handle is there: who waits for it goes on.
    fn made(&self, name: &str, handle: Handle) {
        self.state.borrow_mut().handles.insert(name, handle);
        self.waits.happen(&Awaited::Handle(name.to_owned()));
    }

    /// Splits the folio of a page. A page that is small already is as it was to become.
    pub(super) fn split_folio(&self, space: &Inhabited, at: VirtAddr) -> Done {
        match space.split_folio(at) {
            Err(SplitError::NotLarge) if space.is_mapped(at) => {
                Ok(self.tell(|| "no large folio is there".to_owned()))
            }
            done => done.map(|()| None).map_err(Fault::from),
        }
    }

    /// Collapses the pages of a page's table. What one entry maps already is as it was to become.
    pub(super) fn collapse(&self, space: &Inhabited, at: VirtAddr) -> Done {
        let pages = Tables::ENTRIES as u64;
        let first = VirtAddr::of_page(at.page().0 / pages * pages);
        let span =
            VirtRange::new(first, pages).map_err(|error| Fault::of(Failure::Invalid, error))?;
        match space.collapse(span)? {
            0 => Ok(self.tell(|| "one entry maps it already".to_owned())),
            _ => Ok(None),
        }
    }

    /// Remembers the frames that pages have now.
    pub(super) fn note(&self, process: &str, pages: &Pages, name: &str) -> Done {
        let (space, range) = self.range(process, pages)?;
        let frame = |page: Vpn| {
            let entry = space.walk(page.start());
            hook::saw(if entry.is_mapped() { entry.pfn().0 + 1 } else { 0 });
            match entry.is_mapped() {
                true => Ok(entry.pfn()),
                false => Err(Fault::from(FaultError::NotMapped(page.start()))),
            }
        };
        let frames = range.iter().map(frame).collect::<Result<Vec<Pfn>, Fault>>()?;
        let told = self.tell(|| {
            let frames: Vec<String> = frames.iter().map(ToString::to_string).collect();
            format!("{name} = {}", frames.join(" "))
        });
        let (process, space) = (process.to_owned(), space.id());
        let (access, coherent, pages) = (Access::Read, None, range);
        let handle = Handle { hold: None, frames, process, space, pages, access, coherent };
        self.made(name, handle);
        Ok(told)
    }

    /// Takes a reference by the number of a frame that was remembered.
    pub(super) fn try_get(&self, frame: &scenario::Place, name: &str) -> Done {
        self.await_handle(&frame.name.value);
        let noted = {
            let state = self.state.borrow();
            let noted = state.handles.get(&frame.name.value);
            noted.and_then(|noted| {
                let pfn = noted.frames.get(frame.page() as usize).copied()?;
                Some((pfn, noted.process.clone(), noted.space, noted.page(frame.page())))
            })
        };
        let (pfn, process, space, page) =
            noted.ok_or_else(|| Fault::other(format!("{} remembers no such frame", frame.name)))?;
        hook::saw(pfn.0 + 1);
        let reference = Memory::try_reference(&self.memory, pfn).ok_or_else(|| {
            Fault::of(Failure::Busy, format!("{pfn} is no private page now that may be had"))
        })?;
        let page = VirtRange::new(VirtAddr::of_page(page), 1)
            .map_err(|error| Fault::of(Failure::Invalid, error))?;
        let hold = Hold::Number(Rc::new(reference), [pfn]);
        self.keep(&process, name, hold, (space, page), (Access::Read, None))
    }

    /// Takes one more reference on a page through a handle, which must hold it until that is done:
    /// the kernel's caller of get_page() has a reference.
    pub(super) fn get_page(&self, held: &scenario::Place, name: &str) -> Done {
        self.await_handle(&held.name.value);
        let not_held = || Fault::other(format!("handle {} holds no such page now", held.name));
        let (through, by_number, process, space, page, access) = {
            let state = self.state.borrow();
            let handle = state.handles.get(&held.name.value).ok_or_else(not_held)?;
            let at = held.page() as usize;
            let through = match &handle.hold {
                Some(Hold::Refs(refs)) => Some(Through::Refs(Rc::clone(refs), at)),
                Some(Hold::Again(one, _) | Hold::Number(one, _)) => {
                    Some(Through::One(Rc::clone(one)))
                }
                Some(Hold::Pins(_) | Hold::Follows) | None => None,
            };
            hook::saw(u64::from(through.is_some()));
            let by_number = matches!(handle.hold, Some(Hold::Number(..)));
            let page = handle.page(held.page());
            let process = handle.process.clone();
            (through.ok_or_else(not_held)?, by_number, process, handle.space, page, handle.access)
        };
        let reference = through.again();
        let let_go = through.is_let_go();
        hook::saw(u64::from(let_go));
        if let_go {
            return Err(Fault::other(format!(
                "handle {} was released while a reference was taken through it",
                held.name
            )));
        }
        let reference = reference.ok_or_else(|| {
            let what = format!("one more reference than the page of {held} can count");
            Fault::of(Failure::TooManyReferences, what)
        })?;
        let page = VirtRange::new(VirtAddr::of_page(page), 1)
            .map_err(|error| Fault::of(Failure::Invalid, error))?;
        let (pfn, reference) = ([reference.pfn()], Rc::new(reference));
        let hold = match by_number {
            true => Hold::Number(reference, pfn),
            false => Hold::Again(reference, pfn),
        };
        self.keep(&process, name, hold, (space, page), (access, None))
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
