//! Swap: devices with slots for pages, how many swap entries name each slot, and which page in
//! memory has the contents of one (the swap cache; facts 1.8, 7.2).
//!
//! Protocol: a device has a spinning lock, below the page tables' locks, over its slots: of each
//! how many swap entries, and places of shared memory, name it (*users*), how many operations need
//! it to stay (*holds*: a page on its way out, a read or a write under way), and the page in memory
//! that it is for, if there is one, or a shadow of the one that left memory for it
//! ([`crate::workingset`]). A page has the flag `SWAP_CACHE` then and one reference more; where
//! frames have no word to spare, an array beside them, made with the first device, says which slot
//! it has. What keeps the contents is a [`Store`], which sleeps, so no spin lock is held for its
//! calls, and for a slot one runs at a time: whoever calls it has a hold.
//!
//! A page of shared memory is there only while it is read ([`crate::object`]'s `swapped`): it goes
//! out from the list of its object.
//!
//! A page in the swap cache may be mapped, or not. It leaves when
//! - the last of users, holds and mappings goes: whoever takes it away takes the page out;
//! - a fault finds it to be its owner's, or swap is short: then it stays mapped, and its slot is
//!   free;
//! - reclaim has written it and nobody else refers to it: then it is freed, and its slot stays;
//! - it moves: then the new page is there in its place;
//! - it is one of shared memory, and comes to its list.
//!
//! What fills the page, writes it, or takes its entries out holds its lock ([`crate::page`]), but
//! the write itself does not: a page may be mapped again, and be changed, while a device reads it,
//! except where the device wants it unchanged ([`SwapWrites::Stable`]).
//!
//! A slot whose page was all zeros on its way out is marked so, where the rule `swap-zero` says
//! that, and neither written nor read. Only who has the page's lock and a hold changes the mark.
//!
//! Who takes a device away closes it first: no page gets a slot there from then on. Then pages that
//! only the swap cache wants there leave it. What is left is named by swap entries, whose processes
//! have to bring the pages back, or held by operations, such as a migration of a page in the swap
//! cache: for these he waits, a hold at a time, and looks again, until none is left or his caller
//! wants to stop. (Linux goes on until a signal comes; facts 7.2.)
//!
//! The contents of a free slot are not discarded one by one: the next page overwrites them, as on a
//! kernel's swap that was not made with `--discard`. All of them are when the device is taken away.
//!
//! Invariants:
//! - INV-SWAP-1: a page with the flag has one slot, which names it, and the swap cache's reference.
//! - INV-SWAP-2: when nothing runs, the users of a slot are the swap entries that name it, or it
//!   has one, the place of shared memory that does; and none is held.
//! - INV-SWAP-3: a slot is free if and only if it has no user, no hold and no page.
//! - INV-SWAP-4: a page in the swap cache that is not locked has been filled. It has what its slot
//!   has, unless it or an entry that maps it is dirty.
//! - INV-SWAP-5: no swap entry names a slot whose page has the exclusive mark (facts 1.5, I4).
//! - INV-SWAP-6: a page whose entries were taken out and not flushed is locked, and its slot held:
//!   nobody maps or frees it before the flush.
//! - INV-SWAP-7: only a slot whose page left memory, and is not there again, has a shadow: none
//!   that is free, or was taken anew.

mod shadow;
mod slots;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::addr::Pfn;
use crate::error::NoMemory;
use crate::frame::Frames;
use crate::platform::Platform;
use crate::plural::Counted;
use crate::store::Store;
use crate::sync::{
    self, AtomicU64, CellName, EventCount, Inside, Masks, Once, ReadGuard, RwSem, SpinLock,
    SpinLocked,
};

pub(crate) use shadow::Shadow;
pub(crate) use slots::{Asked, Idle, Keeper, Slots, Unused};
pub use slots::{SwapUsage, SwapWrites};

/// How many devices there may be: numbers that a swap entry can hold, without the one that says
/// that a page is lost ([`crate::Pte`]).
pub(crate) const DEVICES: usize = 31;

/// A swap device that is in use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SwapId(u8);

impl SwapId {
    /// The number that swap entries name it by.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The device with this number, if there can be one.
    pub(crate) fn numbered(number: u8) -> Self {
        debug_assert!(usize::from(number) < DEVICES);
        Self(number)
    }
}

impl fmt::Display for SwapId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "swap device {}", self.0)
    }
}

/// Why a swap device could not be taken into use, or out of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SwapError {
    /// There are as many devices as swap entries can name.
    TooMany {
        /// How many that is.
        most: usize,
    },
    /// More slots than a swap entry of the platform's format can name, or none.
    Slots {
        /// How many there may be.
        most: u64,
    },
    /// Swap entries or places of shared memory still name slots of the device:
    /// [`crate::AddressSpace::swap_in`] brings an address space's pages back, and
    /// [`crate::File::swap_in`] those of memory with a name.
    InUse {
        /// How many slots.
        slots: u64,
    },
    /// Another call takes the device out of use.
    Leaving,
    /// It was to stop ([`crate::Memory::swap_off_unless`]), while operations under way needed
    /// slots.
    Interrupted {
        /// How many slots.
        slots: u64,
    },
    /// There is no such device any more.
    Off,
    /// The heap is exhausted.
    NoMemory,
}

impl fmt::Display for SwapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { most } => {
                write!(f, "there are {most} swap devices already: take one out of use first")
            }
            Self::Slots { most } => {
                write!(f, "a swap device has 1 to {most} slots: make it smaller or larger")
            }
            Self::InUse { slots } => {
                let used = Counted::new(*slots, "slot is", "slots are");
                write!(
                    f,
                    "{used} in use: bring the pages of all address spaces, and of memory with a \
                     name, back"
                )
            }
            Self::Leaving => {
                f.write_str("another call takes the swap device out of use: wait for that one")
            }
            Self::Interrupted { slots } => write!(
                f,
                "interrupted while operations needed {}: try again, or let the device take pages \
                 again",
                Counted::new(*slots, "slot", "slots")
            ),
            Self::Off => f.write_str("the swap device was taken out of use"),
            Self::NoMemory => NoMemory.fmt(f),
        }
    }
}

impl core::error::Error for SwapError {}

impl From<NoMemory> for SwapError {
    fn from(NoMemory: NoMemory) -> Self {
        Self::NoMemory
    }
}

/// A slot of a device, in a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SlotWord(u64);

impl SlotWord {
    /// Of this one.
    pub(crate) const fn of(slot: Slot) -> Self {
        Self(slot.bits())
    }

    /// The slot.
    pub(crate) const fn slot(self) -> Slot {
        Slot::from_bits(self.0)
    }
}

/// A slot of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    pub(crate) device: SwapId,
    pub(crate) number: u64,
}

/// The swap devices of a machine, if there have been any.
pub(crate) struct Swaps<P: Platform> {
    table: Once<Table<P>>,
}

/// See [`Swaps`].
pub(crate) struct Table<P: Platform> {
    base: u64,
    /// The slot of each frame that has the flag: under its device's lock.
    places: Vec<AtomicU64>,
    devices: Vec<Device<P>>,
    /// How often a hold has ended, where somebody waits for that.
    ended: EventCount,
}

/// Where a device's pages are; none, while it is not in use.
type Medium<P> = Option<Box<dyn Store<P>>>;

/// A device, or a place for one.
struct Device<P: Platform> {
    slots: SpinLock<Slots>,
    keeper: RwSem<Medium<P>>,
}

/// How many bits of a place are the slot's number.
const NUMBER_BITS: u32 = 56;

impl Slot {
    const fn bits(self) -> u64 {
        (self.device.0 as u64) << NUMBER_BITS | self.number
    }

    const fn from_bits(bits: u64) -> Self {
        let device = SwapId((bits >> NUMBER_BITS) as u8);
        Self { device, number: bits & ((1 << NUMBER_BITS) - 1) }
    }
}

impl<P: Platform> Swaps<P> {
    /// None.
    pub(crate) const fn new() -> Self {
        Self { table: Once::new() }
    }

    /// The devices, if there have been any.
    #[inline]
    pub(crate) fn table(&self) -> Option<&Table<P>> {
        self.table.get()
    }

    /// The same, for a machine with these frames.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn table_for(&self, frames: &Frames) -> Result<&Table<P>, NoMemory> {
        let table = self.table.get_or_make(|| Table::new(frames))?;
        table.label();
        Ok(table)
    }
}

impl<P: Platform> Table<P> {
    fn new(frames: &Frames) -> Result<Self, NoMemory> {
        let extent = frames.extent();
        let count = usize::try_from(extent.frames).map_err(|_| NoMemory)?;
        let (mut places, mut devices) = (Vec::new(), Vec::new());
        places.try_reserve_exact(count).map_err(|_| NoMemory)?;
        places.resize_with(count, || AtomicU64::new(0));
        devices.try_reserve_exact(DEVICES).map_err(|_| NoMemory)?;
        devices.resize_with(DEVICES, || Device {
            slots: SpinLock::hashed(Slots::none()),
            keeper: RwSem::new(None),
        });
        Ok(Self { base: extent.first.0, places, devices, ended: EventCount::new() })
    }

    /// Names the words for a trace.
    fn label(&self) {
        let base = self.base;
        sync::label(self.places.as_ptr(), size_of_val(&*self.places), move |offset| {
            let index = base + (offset / size_of::<AtomicU64>()) as u64;
            CellName::Object { object: "swapped frame", index, cell: "slot" }
        });
        let ended = self.ended.word();
        sync::label(&raw const *ended, size_of_val(ended), |_| CellName::Object {
            object: "swap",
            index: 0,
            cell: "ended holds",
        });
        for (device, index) in self.devices.iter().zip(0..) {
            let (slots, keeper) = (&device.slots, &device.keeper);
            sync::label(&raw const *slots, size_of_val(slots), move |_| CellName::Object {
                object: "swap",
                index,
                cell: "slots",
            });
            sync::label(&raw const *keeper, size_of_val(keeper), move |offset| {
                let cell = RwSem::<Medium<P>>::name(offset, "device", "device's gate");
                CellName::Object { object: "swap", index, cell }
            });
        }
    }

    /// The slots of a device.
    #[inline]
    pub(crate) fn slots(&self, id: SwapId) -> Inside<SpinLocked<'_, Slots>> {
        let device = &self.devices[usize::from(id.0)];
        Inside::lock(Masks::Preemption, || device.slots.lock())
    }

    /// How often a hold has ended that somebody waited for: who waits says so with the slots
    /// ([`Slots::begin_leaving`]), and whoever ends a hold then tells.
    pub(crate) fn ended(&self) -> &EventCount {
        &self.ended
    }

    /// What keeps the pages of a device, for the calls of one who has a hold on a slot.
    pub(crate) fn keeper<'a>(&'a self, id: SwapId, platform: &'a P) -> ReadGuard<'a, Medium<P>, P> {
        self.devices[usize::from(id.0)].keeper.read(platform)
    }

    /// Takes a device into use, if a place for one is left.
    pub(crate) fn install(
        &self,
        platform: &P,
        keeper: Box<dyn Store<P>>,
        slots: Slots,
    ) -> Option<SwapId> {
        let mut places = self.ids().zip(&self.devices).map(|(id, device)| (id, &device.keeper));
        let (id, mut place) = places.find_map(|(id, place)| {
            let place = place.write(platform);
            place.is_none().then_some((id, place))
        })?;
        *place = Some(keeper);
        // What was there has no memory to be freed under the lock.
        *self.slots(id) = slots;
        Some(id)
    }

    /// What kept the pages of a device whose slots are gone.
    pub(crate) fn remove(&self, id: SwapId, platform: &P) -> Medium<P> {
        self.devices[usize::from(id.0)].keeper.write(platform).take()
    }

    /// All devices, in use or not.
    pub(crate) fn ids(&self) -> impl Iterator<Item = SwapId> + use<P> {
        (0..DEVICES as u8).map(SwapId)
    }

    fn place(&self, pfn: Pfn) -> &AtomicU64 {
        &self.places[(pfn.0 - self.base) as usize]
    }

    /// The page is the one of this slot from now on: under the device's lock.
    pub(crate) fn set_slot_of(&self, pfn: Pfn, slot: Slot) {
        self.place(pfn).write_once(slot.bits());
    }

    /// The slot of a page that has the flag, or had it just now: which of the two, its slot says
    /// under the device's lock.
    pub(crate) fn slot_of(&self, pfn: Pfn) -> Slot {
        Slot::from_bits(self.place(pfn).read_once())
    }

    /// As [`Table::slot_of`], while nothing else runs: not a step of an exploration.
    pub(crate) fn peek_slot_of(&self, pfn: Pfn) -> Slot {
        Slot::from_bits(self.place(pfn).peek())
    }
}
