//! Taking a swap device out of use. Protocol: [`crate::swap`].
//!
//! One call is about a device at a time; calls about several run at once, and all learn of each
//! hold that ends. A call ends when the slots are free, when swap entries name some, or when its
//! caller wants to wait no longer: it has no bound of its own, since a hold is an operation's, and
//! ends with that.

use crate::memory::Memory;
use crate::platform::Platform;
use crate::swap::{Idle, Slots, SwapError, SwapId, SwapUsage, Table, Unused};
use crate::sync::{Inside, SpinLocked, Waited};

impl<P: Platform> Memory<P> {
    /// Takes a swap device out of use, whose slots no swap entry names any more
    /// ([`crate::AddressSpace::swap_in`]). Pages that are in the swap cache stay in memory. From
    /// the call on no page goes there, also after an error: [`Memory::swap_again`] undoes that.
    ///
    /// Sleeps while nothing but operations under way needs slots, as a migration does of a page
    /// that is in the swap cache: the caller holds no lock that they may want. Who wants to be able
    /// to stop calls [`Memory::swap_off_unless`].
    ///
    /// # Errors
    /// When there is no such device, when swap entries name slots, those of pages that came there
    /// until the call included, or when another call is about the device.
    pub fn swap_off(&self, id: SwapId) -> Result<(), SwapError> {
        self.swap_off_unless(id, || false)
    }

    /// As [`Memory::swap_off`], until `interrupted` says that it is to stop: Linux's does when a
    /// signal is pending. It is asked before each sleep, with no lock held, and once for it: an
    /// embedder whose [`Park::park`] returns early for a signal needs no more, another calls
    /// [`Memory::interrupt_swap_off`]. It may not call the manager.
    ///
    /// # Errors
    /// The same; and [`SwapError::Interrupted`].
    ///
    /// [`Park::park`]: crate::platform::Park::park
    pub fn swap_off_unless(
        &self,
        id: SwapId,
        mut interrupted: impl FnMut() -> bool,
    ) -> Result<(), SwapError> {
        let table = self.swaps().table().ok_or(SwapError::Off)?;
        let mut slots = table.slots(id);
        if slots.is_off() {
            return Err(SwapError::Off);
        }
        if !slots.begin_leaving() {
            return Err(SwapError::Leaving);
        }
        slots.set_open(false);
        drop(slots);
        let leaving = Leaving { table, id };
        let (mut slots, all) = loop {
            let slots = self.empty_cache(table, id);
            let SwapUsage { slots: all, free, .. } = slots.usage();
            let used = all - free;
            if used == 0 {
                break (slots, all);
            }
            if slots.is_named() {
                return Err(SwapError::InUse { slots: used });
            }
            // Before the question: who interrupts says so first, and then tells. What is left is
            // held, and whoever lets go takes the slots' lock for that.
            let seen = table.ended().seen();
            drop(slots);
            match table.ended().wait_unless(seen, self.platform(), &mut interrupted) {
                Waited::Ended => {}
                Waited::Stopped => return Err(SwapError::Interrupted { slots: used }),
            }
        };
        // The slots go, and with them that somebody is about them.
        core::mem::forget(leaving);
        let gone = core::mem::replace(&mut *slots, Slots::none());
        drop(slots);
        drop(gone);
        if let Some(store) = table.remove(id, self.platform()) {
            store.discard(self.platform(), 0..all);
        }
        Ok(())
    }

    /// Has all calls of [`Memory::swap_off_unless`] that sleep ask whether they are to stop.
    pub fn interrupt_swap_off(&self) {
        if let Some(table) = self.swaps().table() {
            table.ended().advance(self.platform());
        }
    }

    /// Has pages leave the swap cache that only it wants on a device; its slots, locked.
    fn empty_cache<'t>(&self, table: &'t Table<P>, id: SwapId) -> Inside<SpinLocked<'t, Slots>> {
        let (mut slots, mut from) = (table.slots(id), 0);
        loop {
            let left = match slots.next_unused(from) {
                Unused::Slot(slot) => {
                    from = slot;
                    self.free_slot(&mut slots, slot)
                }
                Unused::GoOn(slot) => {
                    from = slot;
                    Idle::No
                }
                Unused::None => return slots,
            };
            drop(slots);
            self.after_idle(left);
            slots = table.slots(id);
        }
    }

    /// Undoes what [`Memory::swap_off`] has begun, if no call is about that now: pages go to the
    /// device again.
    pub fn swap_again(&self, id: SwapId) {
        if let Some(table) = self.swaps().table() {
            let mut slots = table.slots(id);
            let on = !slots.is_off() && !slots.is_leaving();
            slots.set_open(on);
        }
    }
}

/// The caller is about a device until this is dropped, also if he unwinds. The slots are not
/// locked then.
struct Leaving<'t, P: Platform> {
    table: &'t Table<P>,
    id: SwapId,
}

impl<P: Platform> Drop for Leaving<'_, P> {
    fn drop(&mut self) {
        self.table.slots(self.id).end_leaving();
    }
}

#[cfg(test)]
mod tests;
