//! A machine that is exactly as weak as the contract of `pinfold::Platform` allows.
//!
//! Protocol:
//! - Entries mean what they mean to the hardware of the format ([`super::mmu`]), which sets
//!   accessed and dirty itself or faults where they are clear.
//! - No CPU caches a translation. An instruction walks the tables, sets its bits in the entry and
//!   reaches the word under the lock of its CPU, without ordering anything but what follows an
//!   entry behind the entry. A flush takes the lock of each other CPU that runs instructions in
//!   turn: so none straddles it, and nothing else is ordered by it.
//! - Or an emulator runs the instructions ([`Lookup::Public`]): it asks the manager's walk for the
//!   entry, under the same lock, and leaves the marks to the manager.
//! - A walk section is a word of its lane's (or one for all): a relaxed update and a full barrier
//!   open it, a release closes it, the wait acquires.
//! - Sleeping is the futex that the contract describes.
//! - Filling and copying are relaxed. Both say that they have the frame alone, which the
//!   exploration checks.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use pinfold::platform::{FlushScope, Park};
use pinfold::sync::AtomicU64;
use pinfold::{
    AddressSpace, Bug, Cause, FaultError, Format, NodeId, Pfn, Platform, Pte, SpaceId, VirtAddr,
    VirtRange,
};
use pinfold_explore::hook::{self, Mode, Order};

use super::Tables;
use super::futex::{Futex, Word};
use super::mmu::{Hardware, Marks, Mmu};

/// How the format's hardware takes entries.
const MMU: Mmu = <Tables as Hardware>::MMU;

/// Frames of each of the two nodes. What is set up lies on the first, lanes run on the second.
pub(crate) const FRAMES: u64 = 16;

/// How sections are told from each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Walkers {
    /// Each lane has a word of its own.
    Each,
    /// One word counts all, as [`pinfold::mock::Host`] does.
    Counted,
    /// As [`Walkers::Each`], without the barrier behind the opening, which is less than the
    /// contract asks: a control.
    Unfenced,
}

/// Who looks an address up for an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lookup {
    /// The hardware, in the tables themselves.
    Hardware,
    /// An emulator, by [`AddressSpace::walk`].
    Public,
    /// As [`Lookup::Public`], without the lock that a flush takes, which is less than the walk's
    /// documentation asks: a control.
    Careless,
}

/// Which of the machines that the contract allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Form {
    pub(crate) walkers: Walkers,
    pub(crate) marks: Marks,
    pub(crate) lookup: Lookup,
}

/// Where the entry of a page is.
pub(crate) struct Place<'a> {
    pub(crate) slot: &'a AtomicU64,
    /// Of a huge entry, which of its pages it is.
    part: Option<u64>,
}

impl Place<'_> {
    /// What the entry says of the page, while nothing runs.
    pub(crate) fn peek(&self) -> Pte<Tables> {
        let bits = self.slot.peek();
        let Some(part) = self.part else { return Pte::from_bits(bits) };
        Pte::<Tables>::from_huge(bits).further(part)
    }
}

pub(crate) struct Bare {
    /// The words of all frames, [`Format::ENTRIES`] each; the first of a page is its contents.
    cells: Box<[AtomicU64]>,
    form: Form,
    walkers: Vec<Word>,
    /// The lanes that run instructions, each with a place whose address is its lock.
    cpus: Box<[(usize, u8)]>,
    futex: Futex,
    bugs: Mutex<Vec<Bug>>,
}

impl Bare {
    /// A machine for so many lanes, of which `cpus` run instructions.
    pub(crate) fn new(lanes: usize, cpus: impl Iterator<Item = usize>, form: Form) -> Self {
        let words = if form.walkers == Walkers::Counted { 1 } else { lanes };
        Self {
            cells: (0..2 * FRAMES as usize * Tables::ENTRIES).map(|_| AtomicU64::new(0)).collect(),
            form,
            walkers: (0..words).map(|_| Word::default()).collect(),
            cpus: cpus.map(|lane| (lane, 0)).collect(),
            futex: Futex::new(true),
            bugs: Mutex::default(),
        }
    }

    pub(crate) fn bugs(&self) -> Vec<Bug> {
        self.open_bugs().clone()
    }

    fn open_bugs(&self) -> MutexGuard<'_, Vec<Bug>> {
        self.bugs.lock().expect("never poisoned")
    }

    fn frame(&self, frame: Pfn) -> &[AtomicU64] {
        &self.cells[frame.0 as usize * Tables::ENTRIES..][..Tables::ENTRIES]
    }

    /// The contents of a page, as a device or a CPU reaches them.
    pub(crate) fn data(&self, frame: Pfn) -> &AtomicU64 {
        &self.frame(frame)[0]
    }

    fn section(&self) -> &Word {
        &self.walkers[hook::lane() % self.walkers.len()]
    }

    fn lock_of(&self, lane: usize) -> Option<usize> {
        let cpu = self.cpus.iter().find(|(of, _)| *of == lane)?;
        Some(&raw const cpu.1 as usize)
    }

    /// The entry of `page`, if there is a table or a huge entry for it, reading the upper levels by
    /// `read`.
    pub(crate) fn entry(
        &self,
        root: Pfn,
        page: u64,
        read: impl Fn(&AtomicU64) -> u64,
    ) -> Option<Place<'_>> {
        let mut table = root;
        for level in (1..Tables::LEVELS).rev() {
            let slot = &self.frame(table)[index(page, level)];
            let bits = read(slot);
            match (MMU.table)(bits) {
                Some(next) => table = next,
                None if level == 1 && bits != 0 => {
                    return Some(Place { slot, part: Some(index(page, 0) as u64) });
                }
                None => return None,
            }
        }
        Some(Place { slot: &self.frame(table)[index(page, 0)], part: None })
    }

    /// A load, or a store of `value`, by the calling CPU, with the faults that it takes: what was
    /// read or stored.
    pub(crate) fn access(
        &self,
        space: &AddressSpace<Self>,
        page: u64,
        value: Option<u64>,
    ) -> Result<u64, FaultError> {
        const MOST_FAULTS: u32 = 32;
        let cause = if value.is_some() { Cause::Store } else { Cause::Load };
        for _ in 0..MOST_FAULTS {
            let locks = hook::active() && self.form.lookup != Lookup::Careless;
            let lock = locks.then(|| self.lock_of(hook::lane()).expect("it has a CPU"));
            lock.inspect(|lock| hook::lock(*lock, Mode::Exclusive));
            let done = self.instruction(space, page, value);
            lock.inspect(|lock| hook::unlock(*lock, Mode::Exclusive));
            match done {
                Some(value) => return Ok(value),
                None => space.fault(VirtAddr::of_page(page), cause).map(drop)?,
            }
        }
        panic!("an access faults for ever");
    }

    fn instruction(
        &self,
        space: &AddressSpace<Self>,
        page: u64,
        value: Option<u64>,
    ) -> Option<u64> {
        let cause = if value.is_some() { Cause::Store } else { Cause::Load };
        let frame = match self.form.lookup {
            Lookup::Hardware => self.looked_up(space.root(), page, cause)?,
            Lookup::Public | Lookup::Careless => {
                let entry = space.walk(VirtAddr::of_page(page));
                cause.is_allowed_by(entry).then(|| entry.pfn())?
            }
        };
        let frames = space.memory().frames();
        let head = pinfold::lab::large_folio(frames, frame).map_or(frame, |folio| folio.head);
        if pinfold::lab::counts(frames, head).refs() == 0 {
            hook::fail(format!("{frame} is used after it was freed"));
        }
        Some(match value {
            Some(value) => {
                self.data(frame).write_once(value);
                value
            }
            None => self.data(frame).read_once(),
        })
    }

    /// The hardware's walk, which sets the marks.
    fn looked_up(&self, root: Pfn, page: u64, cause: Cause) -> Option<Pfn> {
        let Place { slot, part } = self.entry(root, page, AtomicU64::load_acquire)?;
        let reached = |bits: u64| match part {
            None => (MMU.page)(bits, cause, self.form.marks),
            Some(part) => {
                let (first, left) = (MMU.huge)(bits, cause, self.form.marks)?;
                Some((Pfn(first.0 + part), left))
            }
        };
        let (at, now) = (slot.native().as_ptr() as usize, slot.peek());
        let seen = hook::load(at, now, Order::Acquire);
        let (mut frame, left) = reached(seen)?;
        if left != seen {
            // The bits come in one step with the check, and order nothing.
            let now = slot.peek();
            let done = hook::rmw(at, now, Order::Acquire, Order::Acquire, &mut |bits| {
                reached(bits).map(|(_, left)| left)
            });
            slot.native().store(done.latest, Ordering::Relaxed);
            (frame, _) = reached(done.old)?;
        }
        Some(frame)
    }

    /// The frame starts over: whoever else was there must have left, as far as the caller knows.
    fn alone(&self, frame: Pfn) {
        let data = self.data(frame).native();
        hook::renew(data.as_ptr() as usize, size_of_val(data));
    }
}

/// The index of `page` in its table `level` levels above the last.
fn index(page: u64, level: u32) -> usize {
    (page >> (level * Tables::INDEX_BITS)) as usize & (Tables::ENTRIES - 1)
}

impl Park for Bare {
    fn park(&self, word: &AtomicU32, seen: u32) {
        assert!(hook::active(), "what runs alone has nobody to wait for");
        self.futex.park(word, seen);
    }

    fn unpark(&self, _word: &AtomicU32) {
        self.futex.unpark();
    }
}

// SAFETY: frames are slices of `ENTRIES` words in a box that lives as long as the machine; a flush
// waits for the instruction that each CPU is at, and hands what both did to the other; sections and
// sleeping are as the contract says.
unsafe impl Platform for Bare {
    type Format = Tables;

    fn table(&self, frame: Pfn) -> NonNull<AtomicU64> {
        NonNull::from(self.frame(frame)).cast()
    }

    fn zero_frame(&self, frame: Pfn) {
        self.alone(frame);
        self.data(frame).write_once(0);
    }

    fn copy_frame(&self, from: Pfn, to: Pfn) {
        self.alone(to);
        self.data(to).write_once(self.data(from).read_once());
    }

    fn node(&self) -> NodeId {
        NodeId(u8::from(hook::active()))
    }

    fn flush(&self, _space: SpaceId, _scope: FlushScope) {
        if !hook::active() {
            return;
        }
        for (lane, _) in self.cpus.iter().filter(|(lane, _)| *lane != hook::lane()) {
            let lock = self.lock_of(*lane).expect("it has a CPU");
            hook::lock(lock, Mode::Exclusive);
            hook::unlock(lock, Mode::Exclusive);
        }
    }

    fn flush_local(&self, _space: SpaceId, _page: VirtRange) {}

    fn walk_begin(&self) {
        self.section().update(Order::Relaxed, |open| open + 1);
        if self.form.walkers != Walkers::Unfenced {
            hook::fence(Order::SeqCst);
        }
    }

    fn walk_end(&self) {
        self.section().update(Order::Release, |open| open - 1);
    }

    fn wait_for_walkers(&self) {
        self.walkers.iter().for_each(|open| open.wait(Order::Acquire, |open| open == 0));
    }

    fn bug(&self, bug: Bug) {
        if hook::active() {
            hook::fail(bug.to_string());
        }
        self.open_bugs().push(bug);
    }
}
