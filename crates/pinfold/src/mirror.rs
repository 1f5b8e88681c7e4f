//! A revocable mapping: the translations of a device, or of a hypervisor's second stage, that
//! follow an address space in place of pinning its pages (facts 7.10).
//!
//! Protocol: the mirror has a lock of its own, under which the device's accesses run, too.
//! - *Start of a change*: under the lock, one more change is under way, and the translations of the
//!   range are cleared.
//! - *End of a change*: under the lock, the sequence goes on, and one change less is under way.
//! - *Setting up*: wait until no change is under way and note the sequence; walk the tables, fault
//!   where needed; then, under the lock, set the translation only if no change is under way and the
//!   sequence is as noted.
//!
//! So what is set up was found after the last change had ended and is set before the next begins,
//! and no reference is needed in between.
//!
//! Invariants:
//! - INV-MIRROR-1: while a change is under way that covers a page, the mirror has no translation of
//!   it and gets none.
//! - INV-MIRROR-2: a translation grants no more than the entry did from which it was taken.

use core::fmt;

use crate::addr::{Pfn, SpaceId, VirtAddr, VirtRange, Vpn};
use crate::address_space::AddressSpace;
use crate::error::{FaultError, NoMemory};
use crate::fault::Cause;
use crate::platform::{Invalidation, Platform};
use crate::pte::{Format, Pte};
use crate::sync::{self, AtomicU32, CellName, Inside, Masks, SpinLock, SpinLocked};

/// The table of the follower, under its mirror's lock.
pub trait SecondStage {
    /// Sets the translation of `page`, which has none or one that grants less.
    ///
    /// # Errors
    /// When the table cannot hold another translation; nothing has changed then.
    fn set(&mut self, page: Vpn, frame: Pfn, writable: bool) -> Result<(), NoMemory>;

    /// Clears the translations of `range`. When it returns, the device uses none of them any more,
    /// and what it did through them is visible to all CPUs.
    fn clear(&mut self, range: VirtRange);
}

/// The translations of one follower of one address space.
///
/// # Who calls what
/// The platform calls [`Mirror::invalidate_start`] and [`Mirror::invalidate_end`] from its methods
/// of these names, for every change of the mirror's address space, from the time when nothing is
/// mapped in it: a change that is under way when the mirror is made would be missed. The device's
/// fault handler calls [`Mirror::establish`], and what touches memory through the table does so
/// inside [`Mirror::with`].
///
/// ```
/// # use pinfold::{mock::Host, *};
/// # use std::collections::BTreeMap;
/// #[derive(Default)]
/// struct Iommu(BTreeMap<Vpn, (Pfn, bool)>);
///
/// impl SecondStage for Iommu {
///     fn set(&mut self, page: Vpn, frame: Pfn, writable: bool) -> Result<(), NoMemory> {
///         self.0.insert(page, (frame, writable));
///         Ok(())
///     }
///     fn clear(&mut self, range: VirtRange) {
///         self.0.retain(|page, _| !range.contains(page.start()));
///     }
/// }
/// # let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: 16 };
/// # // SAFETY: the host has these frames, and nobody else uses it.
/// # let memory = unsafe {
/// #     Memory::new(Host::<X86_64>::new(16), &[span], Rules::default(), Tuning::default())?
/// # };
/// # let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>())?;
/// # let at = space.map(Place::Anywhere, 1, Prot::READ_WRITE, Sharing::Private)?.start();
/// let mirror = Mirror::new(space.id(), Iommu::default());
/// mirror.establish(&space, at, Cause::Store)?;
/// let (frame, writable) = mirror.with(|iommu| iommu.0[&at.page()]);
/// assert_eq!(frame, space.entry(at).pfn());
/// assert!(writable);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Mirror<S> {
    space: SpaceId,
    /// Changes that have begun and not ended. Written under the lock.
    under_way: AtomicU32,
    state: SpinLock<State<S>>,
}

struct State<S> {
    /// Counts the changes that have ended.
    sequence: u64,
    stage: S,
}

/// Names a moment at which no change was under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Quiet(u64);

/// Whether a translation was set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Set {
    Done,
    /// The entry may have changed since it was read.
    Stale,
}

impl<S: SecondStage> Mirror<S> {
    /// A mirror of the address space of this name, without translations.
    pub fn new(space: SpaceId, stage: S) -> Self {
        Self {
            space,
            under_way: AtomicU32::new(0),
            state: SpinLock::new(State { sequence: 0, stage }),
        }
    }

    /// Names the mirror's words in an explorer's traces, once it is in its final place.
    pub fn label(&self) {
        let name = |cell| CellName::Object { object: "mirror", index: self.space.0, cell };
        let (lock, count) = (name("lock"), name("changes"));
        sync::label(&raw const self.state, size_of_val(&self.state), move |_| lock);
        sync::label(&raw const self.under_way, size_of_val(&self.under_way), move |_| count);
    }

    /// The address space that it follows.
    pub fn space(&self) -> SpaceId {
        self.space
    }

    fn lock(&self) -> Inside<SpinLocked<'_, State<S>>> {
        Inside::lock(Masks::Preemption, || self.state.lock())
    }

    /// A change begins: to be called from [`Platform::invalidate_start`]. Changes of other address
    /// spaces are none of its business.
    pub fn invalidate_start(&self, what: Invalidation) {
        if what.space == self.space {
            let mut state = self.lock();
            self.under_way.fetch_add(1);
            state.stage.clear(what.range);
        }
    }

    /// A change has ended: to be called from [`Platform::invalidate_end`].
    pub fn invalidate_end(&self, what: Invalidation) {
        if what.space == self.space {
            let mut state = self.lock();
            state.sequence += 1;
            self.under_way.fetch_sub(1);
        }
    }

    /// Runs an access of the device: while `access` runs, no translation is cleared.
    pub fn with<R>(&self, access: impl FnOnce(&mut S) -> R) -> R {
        access(&mut self.lock().stage)
    }

    /// Sets up the translation of `at`'s page for an access, faulting the page in where it is not
    /// there yet. Waits while a change of the address space is under way, so the caller holds no
    /// lock of the manager. A translation may be gone again as soon as this returns: the device's
    /// access is repeated, as a CPU's is.
    ///
    /// # Errors
    /// When the access is not allowed, or no frame or heap is left.
    ///
    /// # Panics
    /// In debug builds, when `space` is not the mirror's.
    pub fn establish<P: Platform>(
        &self,
        space: &AddressSpace<P>,
        at: VirtAddr,
        cause: Cause,
    ) -> Result<(), FaultError> {
        debug_assert_eq!(space.id(), self.space, "a mirror follows one address space");
        loop {
            let since = self.quiet();
            let entry = space.walk(at);
            if !cause.is_allowed_by(entry) {
                space.fault(at, cause)?;
            } else if self.set(since, at.page(), entry)? == Set::Done {
                return Ok(());
            }
        }
    }

    /// Waits until no change is under way.
    fn quiet(&self) -> Quiet {
        loop {
            {
                let state = self.lock();
                if self.under_way.read_once() == 0 {
                    return Quiet(state.sequence);
                }
            }
            self.under_way.spin_until(0);
        }
    }

    fn set<F: Format>(&self, since: Quiet, page: Vpn, entry: Pte<F>) -> Result<Set, NoMemory> {
        let mut state = self.lock();
        if self.under_way.read_once() != 0 || state.sequence != since.0 {
            return Ok(Set::Stale);
        }
        // A store through a clean entry must be seen by the entry first: INV-MIRROR-2.
        let writable = entry.is_writable() && entry.is_dirty();
        state.stage.set(page, entry.pfn(), writable)?;
        Ok(Set::Done)
    }
}

impl<S> fmt::Debug for Mirror<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror").field("space", &self.space).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
