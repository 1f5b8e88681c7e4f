//! What the machine does with swap slots and the pages in the swap cache, for those who take
//! entries out, put them in, or bring pages back. Protocol: [`crate::swap`].

use alloc::boxed::Box;

use crate::addr::Pfn;
use crate::error::StoreError;
use crate::event::EventKind;
use crate::frame::{Counts, Flags};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::pte::{Format, Swap};
use crate::rules::swap::{ReadsInto, heeds_stable, reads_into};
use crate::rules::{SwapCache, Writeback};
use crate::store::Store;
use crate::swap::{
    Asked, DEVICES, Idle, Keeper, Shadow, Slot, Slots, SwapError, SwapId, SwapUsage, SwapWrites,
    Table,
};

pub(crate) mod listed;
mod off;

/// Where the page of a slot is.
pub(crate) enum Found {
    /// In memory: this page, on which the caller has a reference now. It may not be filled yet, or
    /// not be the slot's any more: its lock says ([`Memory::is_swapped_to`]).
    /// Whether it was read for somebody else's sake, who asks for it the first time.
    Page(Pfn, Asked),
    /// On the device alone. The caller has a hold on the slot.
    Device,
    /// On the device alone, and the caller reads it past the swap cache.
    Past(Past),
    /// On the device alone, and another reads it past the swap cache: the count of the holds that
    /// have ended, to be waited for.
    Claimed(u32),
    /// Nowhere: no swap entry names the slot any more.
    Gone,
}

/// What a slot knew before its page was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Known {
    /// When the page left memory.
    pub(crate) shadow: Option<Shadow>,
    /// What keeps its contents.
    pub(crate) keeper: Keeper,
}

/// A page that is read past the swap cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Past {
    pub(crate) known: Known,
    pub(crate) claim: Claim,
}

/// What keeps a slot for who reads its page past the swap cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Claim {
    /// Nothing: others may read it, and free it.
    None,
    /// He has claimed it, with a hold.
    Slot,
}

/// What is to be done with a slot's page on the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transfer {
    /// It is read into the frame, which is the caller's.
    Read,
    /// The frame is written to it.
    Write,
    /// Room is made for it.
    Reserve,
}

/// Devices.
impl<P: Platform> Memory<P> {
    /// Takes a swap device into use, which has so many slots: page n of the store is slot n. From
    /// now on reclaim ([`crate::AddressSpace::page_out`]) may write pages there. Some memory is
    /// taken for each slot, and with the first device for each frame.
    ///
    /// The store is called without the lock of a page for writes: a process may change the frame
    /// meanwhile, unless `writes` says that it must not. It may keep what a slot holds until that
    /// is written again: nothing is discarded before [`Memory::swap_off`].
    ///
    /// ```
    /// use pinfold::stores::MemoryStore;
    /// # use pinfold::{mock::Host, *};
    /// # let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: 64 };
    /// # // SAFETY: the host has these frames, and nobody else uses it.
    /// # let memory = unsafe {
    /// #     Memory::new(Host::<X86_64>::new(64), &[span], Rules::default(), Tuning::default())?
    /// # };
    /// let swap = memory.swap_on(Box::new(MemoryStore::new(100)?), 100, SwapWrites::Any)?;
    /// let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>())?;
    /// let range = space.map(Place::Anywhere, 3, Prot::READ_WRITE, Sharing::Private)?;
    /// space.populate(range, Access::Write).map_err(|error| error.error)?;
    /// let free = memory.frames().total_free();
    /// assert_eq!(space.page_out(range, Reclaimer::Advice), Reclaimed { freed: 3, kept: 0 });
    /// assert_eq!(memory.frames().total_free(), free + 3);
    /// assert_eq!(memory.swap_off(swap), Err(SwapError::InUse { slots: 3 }));
    /// assert_eq!(space.swap_in(swap)?, 3);
    /// memory.swap_off(swap)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When there are too many devices or slots for swap entries to name, or the heap is exhausted.
    pub fn swap_on(
        &self,
        store: Box<dyn Store<P>>,
        slots: u64,
        writes: SwapWrites,
    ) -> Result<SwapId, SwapError> {
        let most = P::Format::MAX_PFN;
        if slots == 0 || slots > most {
            return Err(SwapError::Slots { most });
        }
        let table = self.swaps().table_for(self.frames())?;
        let slots = Slots::new(slots, writes, store.device())?;
        table.install(self.platform(), store, slots).ok_or(SwapError::TooMany { most: DEVICES })
    }

    /// How much of a device is in use; nothing, if there is no such device any more.
    pub fn swap_usage(&self, id: SwapId) -> Option<SwapUsage> {
        let slots = self.swaps().table()?.slots(id);
        (!slots.is_off()).then(|| slots.usage())
    }
}

impl Slot {
    /// The one that a swap entry names.
    pub(crate) fn of(entry: Swap) -> Self {
        Self { device: SwapId::numbered(entry.device), number: entry.slot }
    }
}

/// Shares of slots.
impl<P: Platform> Memory<P> {
    /// The devices, for one who has a swap entry, or a page with the flag, at hand: there are some.
    fn swap_table(&self) -> &Table<P> {
        match self.swaps().table() {
            Some(table) => table,
            None => unreachable!("what names a slot was made with the first device"),
        }
    }

    /// One more swap entry is like this one, whose table is locked.
    pub(crate) fn share_slot(&self, entry: Swap) {
        let slot = Slot::of(entry);
        self.swap_table().slots(slot.device).add_user(slot.number);
    }

    /// A swap entry that was taken out, or is about to be, under its table's lock, names its slot
    /// no longer.
    pub(crate) fn forget_slot(&self, slot: Slot) {
        self.give_up(slot, |slots| slots.drop_user(slot.number));
    }

    /// An operation needs the slot no longer.
    pub(crate) fn drop_slot_hold(&self, slot: Slot) {
        let awaited = self.give_up(slot, |slots| {
            slots.drop_hold(slot.number);
            slots.is_leaving()
        });
        if awaited {
            self.swap_table().ended().advance(self.platform());
        }
    }

    fn give_up<T>(&self, slot: Slot, share: impl FnOnce(&mut Slots) -> T) -> T {
        let mut slots = self.swap_table().slots(slot.device);
        let given = share(&mut slots);
        let idle = self.idle(&mut slots, slot.number);
        drop(slots);
        self.after_idle(idle);
        given
    }

    /// Frees a slot that nobody needs any more, if its page, if there is one, is not mapped.
    fn idle(&self, slots: &mut Slots, slot: u64) -> Idle {
        let mapped = |pfn| self.frames().folio(pfn).is_mapped();
        if !slots.is_unused(slot) || slots.page(slot).is_some_and(mapped) {
            return Idle::No;
        }
        self.free_slot(slots, slot)
    }

    fn free_slot(&self, slots: &mut Slots, slot: u64) -> Idle {
        let idle = slots.free(slot);
        if let Idle::Page(pfn) = idle {
            self.frames().leave_swap_cache(pfn);
        }
        idle
    }

    /// Drops the swap cache's reference on a page that has left it.
    fn after_idle(&self, idle: Idle) {
        match idle {
            Idle::No | Idle::Free => {}
            Idle::Page(pfn) => {
                self.tell_frame(EventKind::SwapCacheLeft(pfn));
                self.put(pfn, 1);
            }
        }
    }
}

/// Pages in the swap cache.
impl<P: Platform> Memory<P> {
    /// Whether the page is in the swap cache.
    #[inline]
    pub(crate) fn is_swap_cached(&self, pfn: Pfn) -> bool {
        self.frames().flags(pfn).contains(Flags::SWAP_CACHE)
    }

    /// A page in the swap cache has lost a mapping to others than reclaim. What its entry knew of
    /// stores may be gone with it.
    pub(crate) fn unmapped_cached(&self, pfn: Pfn) {
        self.frames().mark_dirty(pfn);
        let slot = self.swap_table().slot_of(pfn);
        let mut slots = self.swap_table().slots(slot.device);
        let idle = match slots.page(slot.number) {
            Some(page) if page == pfn => self.idle(&mut slots, slot.number),
            _ => Idle::No,
        };
        drop(slots);
        self.after_idle(idle);
    }

    /// What the rules look at.
    pub(crate) fn swap_state(&self, pfn: Pfn) -> SwapCache {
        let flags = self.frames().flags(pfn);
        if !flags.contains(Flags::SWAP_CACHE) {
            return SwapCache::Absent;
        }
        let slot = self.swap_table().slot_of(pfn);
        let slots = self.swap_table().slots(slot.device);
        if slots.page(slot.number) != Some(pfn) {
            return SwapCache::Absent;
        }
        let writeback = match flags.contains(Flags::WRITEBACK) {
            false => Writeback::Idle,
            true if slots.is_stable() && heeds_stable(self.rule()) => Writeback::RunningStable,
            true => Writeback::Running,
        };
        let swap_count = u32::try_from(slots.users(slot.number)).unwrap_or(u32::MAX);
        SwapCache::Present { swap_count, writeback }
    }

    /// Takes a page, whose lock is held, out of the swap cache, unless swap entries name its slot
    /// or it is being written (facts 7.2). Its slot is free then.
    pub(crate) fn leave_swap(&self, pfn: Pfn) {
        let flags = self.frames().flags(pfn);
        if !flags.contains(Flags::SWAP_CACHE) || flags.contains(Flags::WRITEBACK) {
            return;
        }
        let slot = self.swap_table().slot_of(pfn);
        let mut slots = self.swap_table().slots(slot.device);
        if slots.page(slot.number) != Some(pfn) || !slots.is_unused(slot.number) {
            return;
        }
        let idle = self.free_slot(&mut slots, slot.number);
        drop(slots);
        self.after_idle(idle);
    }

    /// Takes a page, whose lock is held, out of the swap cache together with the share of a swap
    /// entry that names its slot and whose table is locked: if that is the only one, and the page
    /// is not being written. Whether it did.
    pub(crate) fn leave_swap_by(&self, entry: Swap, pfn: Pfn) -> bool {
        let slot = Slot::of(entry);
        let mut slots = self.swap_table().slots(slot.device);
        if self.frames().flags(pfn).contains(Flags::WRITEBACK)
            || slots.page(slot.number) != Some(pfn)
            || !slots.is_sole_user(slot.number)
        {
            return false;
        }
        slots.drop_user(slot.number);
        let idle = self.free_slot(&mut slots, slot.number);
        drop(slots);
        self.after_idle(idle);
        true
    }

    /// The counts of a folio, whose lock is held, and how many of its references are the swap
    /// cache's.
    pub(crate) fn counts_with_cache(&self, pfn: Pfn) -> (Counts, u32) {
        let folio = self.frames().folio(pfn);
        if !self.is_swap_cached(pfn) {
            return (folio.counts_acquire(), 0);
        }
        let slot = self.swap_table().slot_of(pfn);
        // Who takes the page out of the cache does so under this lock, and drops the reference
        // afterwards.
        let slots = self.swap_table().slots(slot.device);
        let cached = slots.page(slot.number) == Some(pfn);
        (folio.counts_acquire(), u32::from(cached))
    }

    /// The page of the slot that a swap entry names, with a reference, if it is in memory. The
    /// entry of a page that is lost names no device, and may be there without one.
    pub(crate) fn cached_page(&self, entry: Swap) -> Option<Pfn> {
        if usize::from(entry.device) >= DEVICES {
            return None;
        }
        let slot = Slot::of(entry);
        let slots = self.swap_table().slots(slot.device);
        let pfn = slots.page(slot.number)?;
        self.get(pfn, 1);
        Some(pfn)
    }

    /// Whether a device has a slot for a page that has none.
    pub(crate) fn has_swap_room(&self) -> bool {
        let Some(table) = self.swaps().table() else { return false };
        table.ids().any(|device| table.slots(device).has_room())
    }

    /// Whether there is a device, so that private pages can leave.
    pub(crate) fn has_swap(&self) -> bool {
        let Some(table) = self.swaps().table() else { return false };
        table.ids().any(|device| !table.slots(device).is_off())
    }

    /// Whether slots are short on the device of a swap entry, so that pages that are mapped again
    /// leave theirs.
    pub(crate) fn is_swap_short(&self, entry: Swap) -> bool {
        self.swap_table().slots(SwapId::numbered(entry.device)).is_short()
    }
}

/// The way out.
impl<P: Platform> Memory<P> {
    /// A slot for a page that is on its way out, with room on the device, and a hold.
    pub(crate) fn take_slot(&self) -> Option<Slot> {
        let table = self.swaps().table()?;
        table.ids().find_map(|device| {
            let number = table.slots(device).take()?;
            let slot = Slot { device, number };
            match self.transfer(slot, Transfer::Reserve, Pfn(0)) {
                Ok(()) => Some(slot),
                Err(_) => {
                    self.drop_slot_hold(slot);
                    None
                }
            }
        })
    }

    /// Puts a page, which the caller has locked, into the swap cache for a slot that he holds. It
    /// counts as newer than what the device has.
    pub(crate) fn enter_swap(&self, pfn: Pfn, slot: Slot) {
        let table = self.swap_table();
        self.get(pfn, 1);
        let mut slots = table.slots(slot.device);
        slots.enter(slot.number, pfn);
        table.set_slot_of(pfn, slot);
        self.frames().enter_swap_cache(pfn, Flags::DIRTY);
    }

    /// A hold on the slot of a page, whose lock the caller has, if it is in the swap cache: it
    /// stays there until either ends; and what keeps the contents of the slot.
    pub(crate) fn hold_slot_of(&self, pfn: Pfn) -> Option<(Slot, Keeper)> {
        if !self.is_swap_cached(pfn) {
            return None;
        }
        let table = self.swap_table();
        let slot = table.slot_of(pfn);
        let mut slots = table.slots(slot.device);
        if slots.page(slot.number) != Some(pfn) {
            return None;
        }
        slots.hold(slot.number);
        Some((slot, slots.keeper(slot.number)))
    }

    /// This keeps the contents of a slot from now on, of which the caller has a hold, as of its
    /// page the lock.
    pub(crate) fn set_slot_keeper(&self, slot: Slot, keeper: Keeper) {
        self.swap_table().slots(slot.device).set_keeper(slot.number, keeper);
    }

    /// Puts another page, which the caller has locked and fills before he lets go, into the swap
    /// cache in place of one that he has locked, that nothing maps, and whose slot he holds: only
    /// if there is no reference but his own and the swap cache's, which are taken away for that
    /// moment, so that nobody finds the old page and takes another (facts 4.5).
    ///
    /// # Errors
    /// When somebody else refers to the page: its counts. Nothing has changed.
    pub(crate) fn replace_swapped(&self, (from, to): (Pfn, Pfn), slot: Slot) -> Result<(), Counts> {
        let table = self.swap_table();
        let mut slots = table.slots(slot.device);
        let page = self.frames().page(from);
        page.freeze(2)?;
        // After the references: who has changed the page marked it before he dropped his.
        let dirty = page.flags() & Flags::DIRTY;
        self.get(to, 1);
        slots.replace(slot.number, to);
        table.set_slot_of(to, slot);
        self.frames().enter_swap_cache(to, dirty);
        self.frames().leave_swap_cache(from);
        page.thaw(1);
        Ok(())
    }

    /// One more swap entry names a slot that the caller holds.
    pub(crate) fn add_slot_user(&self, slot: Slot) {
        self.swap_table().slots(slot.device).add_user(slot.number);
    }

    /// Takes a page out of memory that nobody maps: only if there is no reference but the caller's
    /// and the swap cache's, which are taken away in one step, and nobody has changed it before
    /// that. It is to be freed then; its slot has its contents, and its shadow. The caller has the
    /// page's lock, and holds the slot.
    pub(crate) fn remove_swapped(&self, pfn: Pfn, slot: Slot) -> bool {
        let mut slots = self.swap_table().slots(slot.device);
        let page = self.frames().page(pfn);
        if slots.page(slot.number) != Some(pfn) || page.freeze(2).is_err() {
            return false;
        }
        // After the references: who has changed the page did so before he dropped his (facts 7.2).
        if page.flags().contains(Flags::DIRTY) {
            page.thaw(2);
            return false;
        }
        slots.leave(slot.number, self.shadow_of(pfn));
        self.frames().leave_swap_cache(pfn);
        true
    }
}

/// The way back.
impl<P: Platform> Memory<P> {
    /// Where the page is that a swap entry names, for one who wants it.
    pub(crate) fn find_swapped(&self, entry: Swap) -> Found {
        let slot = Slot::of(entry);
        let mut slots = self.swap_table().slots(slot.device);
        match slots.page(slot.number) {
            Some(pfn) => {
                self.get(pfn, 1);
                Found::Page(pfn, slots.ask(slot.number))
            }
            None if slots.is_off() || slots.users(slot.number) == 0 => Found::Gone,
            // Of no other is a page read past the swap cache, or claimed.
            None if slots.device().answers_at_once() => self.find_past(&mut slots, slot.number),
            None => {
                slots.hold(slot.number);
                Found::Device
            }
        }
    }

    /// Where the page of a slot is that is on a device alone which answers at once: past the swap
    /// cache for the caller, if he may.
    #[cold]
    #[inline(never)]
    fn find_past(&self, slots: &mut Slots, slot: u64) -> Found {
        // Whoever ends a claim does so under the slots' lock, and then counts.
        if slots.is_claimed(slot) {
            return Found::Claimed(self.swap_table().ended().seen());
        }
        let claim = match reads_into(self.rule(), slots.users(slot)) {
            ReadsInto::OwnPage => Claim::None,
            ReadsInto::OwnPageAlone if slots.claim(slot) => Claim::Slot,
            ReadsInto::OwnPageAlone | ReadsInto::Cache => {
                slots.hold(slot);
                return Found::Device;
            }
        };
        let known = Known { shadow: slots.shadow(slot), keeper: slots.keeper(slot) };
        Found::Past(Past { known, claim })
    }

    /// Whether reads of a swap entry's device wait in a queue, so that more than one is worth it.
    pub(crate) fn is_queued(&self, entry: Swap) -> bool {
        !self.swap_table().slots(SwapId::numbered(entry.device)).device().answers_at_once()
    }

    /// Waits for the claim of a slot to end, which [`Found::Claimed`] told of.
    pub(crate) fn wait_for_claim(&self, seen: u32) {
        self.swap_table().ended().wait(seen, self.platform());
    }

    /// A page that was read past the swap cache is mapped, or given back.
    pub(crate) fn end_past(&self, entry: Swap, past: Past) {
        match past.claim {
            Claim::None => {}
            Claim::Slot => {
                let slot = Slot::of(entry);
                self.give_up(slot, |slots| slots.end_claim(slot.number));
                self.swap_table().ended().advance(self.platform());
            }
        }
    }

    /// Takes a hold on the slot that a swap entry names, or has named, if its page is on the device
    /// alone; whether it did.
    pub(crate) fn hold_unread(&self, entry: Swap) -> bool {
        let slot = Slot::of(entry);
        let mut slots = self.swap_table().slots(slot.device);
        let unread = !slots.is_off()
            && slots.users(slot.number) > 0
            && slots.page(slot.number).is_none()
            && !slots.is_claimed(slot.number);
        if unread {
            slots.hold(slot.number);
        }
        unread
    }

    /// Puts a frame that is yet to be filled, and that the caller has locked, into the swap cache,
    /// if none is there: what its slot knew. Otherwise the page that is, with a reference.
    pub(crate) fn enter_read(&self, pfn: Pfn, slot: Slot, asked: Asked) -> Result<Known, Pfn> {
        let table = self.swap_table();
        let mut slots = table.slots(slot.device);
        if let Some(other) = slots.page(slot.number) {
            self.get(other, 1);
            return Err(other);
        }
        self.get(pfn, 1);
        let shadow = slots.enter(slot.number, pfn);
        let keeper = slots.keeper(slot.number);
        slots.set_asked(slot.number, asked);
        table.set_slot_of(pfn, slot);
        self.frames().enter_swap_cache(pfn, Flags::empty());
        Ok(Known { shadow, keeper })
    }

    /// Fills a frame that [`Memory::enter_read`] has put there; it leaves again if the device
    /// fails.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) fn read_swapped(
        &self,
        pfn: Pfn,
        slot: Slot,
        keeper: Keeper,
    ) -> Result<(), StoreError> {
        match keeper {
            Keeper::Device => {
                self.transfer(slot, Transfer::Read, pfn)?;
                self.counters().pswpin.add(1);
                self.tell_frame(EventKind::SwappedIn(pfn));
            }
            Keeper::Zeros => {
                self.platform().zero_frame(pfn);
                self.counters().swpin_zero.add(1);
                self.tell_frame(EventKind::SwapZeroFilled(pfn));
            }
        }
        Ok(())
    }

    /// Takes a frame that could not be filled out of the swap cache, whose slot has this shadow
    /// again.
    pub(crate) fn unread(&self, pfn: Pfn, slot: Slot, shadow: Option<Shadow>) {
        let mut slots = self.swap_table().slots(slot.device);
        let left = slots.leave(slot.number, shadow);
        self.frames().leave_swap_cache(pfn);
        drop(slots);
        if let Some(pfn) = left {
            self.put(pfn, 1);
        }
    }

    /// The hold that [`Memory::find_swapped`] has taken is not needed any more.
    pub(crate) fn drop_entry_hold(&self, entry: Swap) {
        self.drop_slot_hold(Slot::of(entry));
    }

    /// Whether a page, which the caller has locked, is the one of the slot that a swap entry names.
    pub(crate) fn is_swapped_to(&self, pfn: Pfn, entry: Swap) -> bool {
        let slot = Slot::of(entry);
        self.swap_table().slots(slot.device).page(slot.number) == Some(pfn)
    }

    /// Calls the store for a slot that the caller holds.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn transfer(
        &self,
        slot: Slot,
        what: Transfer,
        frame: Pfn,
    ) -> Result<(), StoreError> {
        let platform = self.platform();
        let keeper = self.swap_table().keeper(slot.device, platform);
        let Some(store) = &*keeper else { return Err(StoreError::Io) };
        match what {
            Transfer::Read => store.read(platform, slot.number, frame),
            Transfer::Write => store.write(platform, slot.number, frame),
            Transfer::Reserve => store.reserve(platform, slot.number),
        }
    }
}
