//! Looks at what a trial has left, as the facts of the plan ask.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use pinfold_lab::resolved::{Act, Look, Seen, Spot};

use super::{Answer, Stage, told};
use crate::fit::HUGE;
use crate::inside::act::Role;
use crate::inside::board::{Hold, Question};
use crate::inside::pagemap::{Entry, tells_soft_dirty};
use crate::inside::ring::Device;
use crate::inside::scale::Scale;
use crate::inside::sys::{self, PAGE};
use crate::job::{Did, Found};

/// The word of a page that no scenario uses: see [`Stage::is_same_through`].
const SPARE: u32 = 511;

/// The flag of a frame that is the head of a folio of several pages, in `/proc/kpageflags`.
const HEAD: u64 = 1 << 15;
/// That of each other page of one.
const TAIL: u64 = 1 << 16;

/// The flag of a merged page.
const KSM: u64 = 1 << 21;

/// The frame to which a view leads, as far as that can be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    None,
    Known(u64),
    Unknown,
}

impl Stage {
    pub(super) fn look(&mut self, look: &Look) -> Result<Found, String> {
        let cast = Arc::clone(&self.cast);
        let made = |seen: &Seen| match seen {
            Seen::Handle(spot) => cast.board.was_made(spot.of),
            Seen::Process(process, _) => cast.board.process(*process).is_some(),
            Seen::File(_) => true,
        };
        let unknown = |what: &str| (None, what.to_owned());
        let (made, (is, what)) = match look {
            Look::Dirty(seen) => (made(seen), unknown("not visible")),
            Look::Large(seen) => (made(seen), is_large(self.frame(seen), self.cast.scale)),
            Look::Merged(seen) => (made(seen), is_merged(self.frame(seen))),
            Look::OnNode(seen, node) => (made(seen), self.is_on_node(seen, *node)),
            Look::NodeHolds(..) | Look::Cost(..) => (true, unknown("not visible")),
            Look::Huge(process, spot) => {
                (cast.board.process(*process).is_some(), self.is_huge(*process, *spot))
            }
            Look::SoftDirty(process, spot) => {
                (cast.board.process(*process).is_some(), self.is_soft_dirty(*process, *spot))
            }
            Look::Resident(process, spot) => {
                (cast.board.process(*process).is_some(), self.is_resident(*process, *spot)?)
            }
            Look::Stores(..) | Look::Holds(..) => (true, unknown("not visible")),
            Look::Register(register, word) => {
                let found = cast.board.register(*register);
                (found.is_some(), self.says(found, *word, "unset"))
            }
            Look::Sees(seen, word) => (made(seen), self.sees(seen, *word)?),
            Look::Is(left, right) if made(left) && made(right) => {
                let is = self.is_same(left, right)?;
                let what = match is {
                    Some(true) => "one frame",
                    Some(false) => "two frames, or none",
                    None => "not visible",
                };
                (true, (is, what.to_owned()))
            }
            Look::Is(..) => (false, unknown("not made")),
        };
        Ok(Found { made, is, what })
    }

    fn says(&self, found: Option<u64>, wanted: u64, none: &str) -> (Option<bool>, String) {
        let what = found.map(|found| format!("\"{}\"", self.cast.plan.word(found)));
        (Some(found == Some(wanted)), what.unwrap_or_else(|| none.to_owned()))
    }

    fn sees(&mut self, seen: &Seen, word: u64) -> Result<(Option<bool>, String), String> {
        match *seen {
            Seen::Handle(spot) => match self.cast.board.hold(spot.of) {
                Hold::No | Hold::Missing => Ok((Some(false), "nothing".to_owned())),
                // What became of the page after that is nobody's to see.
                Hold::Released => Ok((None, "not visible".to_owned())),
                Hold::Held => {
                    let found = self.cast.device_load(spot);
                    let found = found.map_err(|why| told("reading through a handle", why))?;
                    Ok(self.says(Some(found), word, "nothing"))
                }
            },
            Seen::Process(process, spot) => {
                let found = self.load(process, spot)?;
                Ok(self.says(found, word, "nothing"))
            }
            Seen::File(spot) => {
                let found = self.cast.file_word(spot).map_err(|why| told("reading a file", why))?;
                Ok(self.says(found, word, "nothing"))
            }
        }
    }

    /// What a process finds there; none if it has ended, has no such area, or is refused.
    fn load(&mut self, process: usize, spot: Spot) -> Result<Option<u64>, String> {
        let Ok(address) = self.cast.address(process, spot) else { return Ok(None) };
        if self.cast.board.process(process).is_none() || self.is_gone(process) {
            return Ok(None);
        }
        if self.ears.is_hidden(self.cast.plan.home(process), address) {
            return Ok(None);
        }
        let role = Role::Process(process);
        match self.ask(role, Question::Look(address))? {
            Answer::Done(Did::Worked(found)) => Ok(Some(found)),
            Answer::Done(Did::Failed(_) | Did::Error(_) | Did::LeftOut) => Ok(None),
            // Nobody gives the page any more. Who looks does not find it, and goes on.
            Answer::Waits { count, access } => {
                self.ears.hide(access).map_err(|why| told("userfaultfd", why))?;
                self.wait(self.cast.executor(role), count, Some(process)).map(|_| None)
            }
        }
    }

    fn is_same(&mut self, left: &Seen, right: &Seen) -> Result<Option<bool>, String> {
        match (*left, *right) {
            (Seen::Handle(pin), other) | (other, Seen::Handle(pin)) if self.holds_pin(pin) => {
                self.is_same_through(pin, &other)
            }
            _ => Ok(compared(self.frame(left), self.frame(right))),
        }
    }

    fn holds_pin(&self, spot: Spot) -> bool {
        let pin = matches!(self.cast.devices[spot.of], Device::Ring(_));
        pin && self.cast.board.hold(spot.of) == Hold::Held
    }

    /// Whether what a pin holds is what the other view leads to: the device leaves a mark in a word
    /// of the page that no scenario uses, and the other side finds it or does not. That needs no
    /// frame to be visible. A page that is absent is not touched to find out, since that would map
    /// one.
    fn is_same_through(&mut self, pin: Spot, other: &Seen) -> Result<Option<bool>, String> {
        if self.frame(other) == Frame::None {
            return Ok(Some(false));
        }
        self.marks += 1;
        let mark = 0x7069_6e00_0000_0000 | self.marks;
        let place = Spot { word: SPARE, ..pin };
        let (Some(address), Device::Ring(ring)) =
            (self.cast.pinned(place), &self.cast.devices[pin.of])
        else {
            return Ok(None);
        };
        ring.store(address, mark).map_err(|why| told("writing through a handle", why))?;
        let found = match *other {
            Seen::Process(process, spot) => self.load(process, Spot { word: SPARE, ..spot })?,
            Seen::Handle(spot) => self.cast.device_load(Spot { word: SPARE, ..spot }).ok(),
            // Of a last page that ends before that word nothing can be read there.
            Seen::File(spot) => self.cast.file_word(Spot { word: SPARE, ..spot }).ok().flatten(),
        };
        match found {
            Some(found) => Ok(Some(found == mark)),
            // The process may not read it, but the frames may be visible.
            None => Ok(compared(self.frame(&Seen::Handle(pin)), self.frame(other))),
        }
    }

    /// The frame to which a view leads, without touching anything.
    fn frame(&self, seen: &Seen) -> Frame {
        match *seen {
            Seen::Handle(spot) => match self.cast.board.frame(spot.of, spot.page) {
                Some(frame) => Frame::Known(frame),
                None => Frame::Unknown,
            },
            Seen::Process(process, spot) => {
                let Ok(address) = self.cast.address(process, spot) else { return Frame::None };
                let Some(id) = self.cast.board.process(process) else { return Frame::None };
                let hidden = self.ears.is_hidden(self.cast.plan.home(process), address);
                if self.is_gone(process) || hidden {
                    return Frame::None;
                }
                let mut entry = [0; 8];
                let path = format!("/proc/{id}/pagemap");
                let read = File::open(path)
                    .and_then(|map| map.read_exact_at(&mut entry, address / PAGE * 8));
                let entry = Entry(u64::from_ne_bytes(entry));
                match (read, entry.frame()) {
                    (Err(_), _) => Frame::Unknown,
                    (Ok(()), Some(frame)) => Frame::Known(frame),
                    // An entry of swap leads to none, whether its page is still in memory or not.
                    (Ok(()), None) if entry.is_away() && self.cast.swap.is_some() => Frame::None,
                    (Ok(()), None) if entry.is_present() || entry.is_away() => Frame::Unknown,
                    // Shared memory has its page whether this process has touched it or not, and a
                    // page of a file may be shown before that, too.
                    (Ok(()), None) if self.shows_more(process, spot.of) => Frame::Unknown,
                    (Ok(()), None) => Frame::None,
                }
            }
            Seen::File(spot) => {
                let Some(file) = self.cast.files.get(spot.of) else { return Frame::None };
                match sys::file::page(file, u64::from(spot.page) * PAGE) {
                    Ok(Some(entry)) => Entry(entry).frame().map_or(Frame::Unknown, Frame::Known),
                    Ok(None) => Frame::None,
                    Err(_) => Frame::Unknown,
                }
            }
        }
    }

    /// Whether a page lies on a memory node: of a process move_pages tells, and where there is only
    /// one node every page does.
    fn is_on_node(&self, seen: &Seen, node: u32) -> (Option<bool>, String) {
        let unknown = || (None, "not visible".to_owned());
        let frame = self.frame(seen);
        if frame == Frame::None {
            return (Some(false), "no page".to_owned());
        }
        let Seen::Process(process, spot) = *seen else {
            let known = crate::nodes() == 1 && matches!(frame, Frame::Known(_));
            return if known { (Some(node == 0), "node 0".to_owned()) } else { unknown() };
        };
        let (Ok(address), Some(id)) =
            (self.cast.address(process, spot), self.cast.board.process(process))
        else {
            return (Some(false), "no page".to_owned());
        };
        match sys::nodes::node_of(id as libc::pid_t, address) {
            Ok(Some(on)) => (Some(on == node), format!("node {on}")),
            Ok(None) | Err(_) => unknown(),
        }
    }

    /// Whether a process has a page by a huge entry, as PAGEMAP_SCAN tells since 6.7.
    fn is_huge(&self, process: usize, spot: Spot) -> (Option<bool>, String) {
        let told = |is, what: &str| (is, what.to_owned());
        let none = (Some(false), "no page".to_owned());
        let (Ok(address), Some(id)) =
            (self.cast.address(process, spot), self.cast.board.process(process))
        else {
            return none;
        };
        if self.is_gone(process) {
            return none;
        }
        let map = File::open(format!("/proc/{id}/pagemap"));
        match map.map(|map| sys::huge::is_huge(&map, address)) {
            Ok(Ok(true)) => told(Some(true), "a huge entry"),
            Ok(Ok(false)) => told(Some(false), "no huge entry"),
            Ok(Err(_)) | Err(_) => told(None, "not visible"),
        }
    }

    /// Whether a page of a process may have been stored to.
    fn is_soft_dirty(&self, process: usize, spot: Spot) -> (Option<bool>, String) {
        let (Ok(address), Some(id)) =
            (self.cast.address(process, spot), self.cast.board.process(process))
        else {
            return (Some(false), "no page".to_owned());
        };
        let mut entry = [0; 8];
        let read = File::open(format!("/proc/{id}/pagemap"))
            .and_then(|map| map.read_exact_at(&mut entry, address / PAGE * 8));
        match (read, Entry(u64::from_ne_bytes(entry)).is_soft_dirty()) {
            (Ok(()), true) => (Some(true), "soft-dirty".to_owned()),
            (Ok(()), false) if tells_soft_dirty() == Ok(true) => {
                (Some(false), "not soft-dirty".to_owned())
            }
            (Ok(()), false) | (Err(_), _) => (None, "not visible".to_owned()),
        }
    }

    /// Whether a page of a process is in memory, as the process is told.
    fn is_resident(
        &mut self,
        process: usize,
        spot: Spot,
    ) -> Result<(Option<bool>, String), String> {
        let Ok(address) = self.cast.address(process, spot) else {
            return Ok((Some(false), "no page".to_owned()));
        };
        if self.cast.board.process(process).is_none() || self.is_gone(process) {
            return Ok((Some(false), "no page".to_owned()));
        }
        let page = address - address % PAGE;
        Ok(match self.ask(Role::Process(process), Question::Resident(page))? {
            Answer::Done(Did::Worked(1)) => (Some(true), "in memory".to_owned()),
            Answer::Done(Did::Worked(_)) => (Some(false), "not in memory".to_owned()),
            Answer::Done(Did::Error(libc::ENOMEM)) => (Some(false), "no page".to_owned()),
            Answer::Done(_) | Answer::Waits { .. } => (None, "not visible".to_owned()),
        })
    }

    /// Whether an area of a process has pages that no entry of its own shows.
    fn shows_more(&self, process: usize, area: usize) -> bool {
        match self.cast.plan.map_of(process, area).map(|step| step.act) {
            Some(Act::Map { of, sharing, .. }) => of.is_some() || !sharing.is_private(),
            _ => false,
        }
    }
}

/// Whether a frame is part of a folio of several pages of the scenario, if that is visible.
fn is_large(frame: Frame, scale: Scale) -> (Option<bool>, String) {
    let frame = match frame {
        Frame::None => return (Some(false), "no page".to_owned()),
        Frame::Unknown => return (None, "not visible".to_owned()),
        Frame::Known(frame) => frame,
    };
    // Folios are aligned to their size. There may be smaller ones, but no larger ones.
    let pages = u64::from(HUGE) * scale.pages();
    let mut flags = vec![0; pages as usize * 8];
    let read = File::open("/proc/kpageflags")
        .and_then(|flagged| flagged.read_exact_at(&mut flags, (frame - frame % pages) * 8));
    let mut flags = flags.as_chunks().0.iter().map(|flags| u64::from_ne_bytes(*flags));
    let head = flags.next().is_some_and(|flags| flags & HEAD != 0);
    match read {
        Ok(()) if head && flags.all(|flags| flags & TAIL != 0) => {
            (Some(true), "part of a folio".to_owned())
        }
        Ok(()) => (Some(false), "a small page".to_owned()),
        Err(_) => (None, "not visible".to_owned()),
    }
}

/// Whether a frame is one that same-page merging has made of several, if that is visible.
fn is_merged(frame: Frame) -> (Option<bool>, String) {
    let frame = match frame {
        Frame::None => return (Some(false), "no page".to_owned()),
        Frame::Unknown => return (None, "not visible".to_owned()),
        Frame::Known(frame) => frame,
    };
    let mut flags = [0; 8];
    let read = File::open("/proc/kpageflags")
        .and_then(|flagged| flagged.read_exact_at(&mut flags, frame * 8));
    match read {
        Ok(()) if u64::from_ne_bytes(flags) & KSM != 0 => (Some(true), "a merged page".to_owned()),
        Ok(()) => (Some(false), "not merged".to_owned()),
        Err(_) => (None, "not visible".to_owned()),
    }
}

/// Whether two frames are one, if that is known.
fn compared(left: Frame, right: Frame) -> Option<bool> {
    match (left, right) {
        (Frame::None, _) | (_, Frame::None) => Some(false),
        (Frame::Known(left), Frame::Known(right)) => Some(left == right),
        (Frame::Unknown, _) | (_, Frame::Unknown) => None,
    }
}
