//! Devices that follow address spaces in place of pinning. Where a machine has them, each address
//! space has one from birth, and the oracle compares what it has filed with the entries.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::vec::Vec;

use pinfold::{
    Cause, FaultError, Format, Invalidation, Mirror, NoMemory, Pfn, SecondStage, SpaceId, VirtAddr,
    VirtRange, Vpn,
};

use super::{Space, device_read, device_write};

/// The device's table.
#[derive(Default)]
pub(crate) struct Iommu {
    filed: BTreeMap<Vpn, (Pfn, bool)>,
}

impl SecondStage for Iommu {
    fn set(&mut self, page: Vpn, frame: Pfn, writable: bool) -> Result<(), NoMemory> {
        self.filed.insert(page, (frame, writable));
        Ok(())
    }

    fn clear(&mut self, range: VirtRange) {
        self.filed.retain(|page, _| !range.contains(page.start()));
    }
}

/// The devices of a machine, by the address space that each follows.
#[derive(Default)]
pub(crate) struct Devices {
    /// Whether new address spaces get one.
    present: AtomicBool,
    mirrors: Mutex<BTreeMap<SpaceId, Arc<Mirror<Iommu>>>>,
    /// How many changes have begun and not ended.
    under_way: Mutex<i64>,
}

impl Devices {
    /// Gives a device to each address space that is made from now on.
    pub(crate) fn plug_in(&self) {
        self.present.store(true, Ordering::Relaxed);
    }

    pub(crate) fn attach(&self, space: SpaceId) {
        if !self.present.load(Ordering::Relaxed) {
            return;
        }
        let mirror = Arc::new(Mirror::new(space, Iommu::default()));
        self.mirrors.lock().unwrap().insert(space, mirror);
    }

    pub(crate) fn detach(&self, space: SpaceId) {
        self.mirrors.lock().unwrap().remove(&space);
    }

    fn of(&self, space: SpaceId) -> Option<Arc<Mirror<Iommu>>> {
        self.mirrors.lock().unwrap().get(&space).cloned()
    }

    pub(crate) fn invalidate_start(&self, what: Invalidation) {
        *self.under_way.lock().unwrap() += 1;
        if let Some(mirror) = self.of(what.space) {
            mirror.invalidate_start(what);
        }
    }

    pub(crate) fn invalidate_end(&self, what: Invalidation) {
        *self.under_way.lock().unwrap() -= 1;
        if let Some(mirror) = self.of(what.space) {
            mirror.invalidate_end(what);
        }
    }

    /// How many changes are under way in the machine.
    pub(crate) fn under_way(&self) -> i64 {
        *self.under_way.lock().unwrap()
    }
}

/// What the device of `space` has filed: page, frame, whether it may write.
pub(crate) fn followed<F: Format>(space: &Space<F>) -> Vec<(Vpn, Pfn, bool)> {
    let Some(mirror) = space.memory().platform().devices.of(space.id()) else { return Vec::new() };
    let filed = mirror.with(|iommu| iommu.filed.clone());
    filed.into_iter().map(|(page, (frame, writable))| (page, frame, writable)).collect()
}

/// An access of the device that follows `space`, with the device's faults on the way. `value` is
/// what it stores, or none for a load. Returns what the word holds afterwards.
pub(crate) fn follow<F: Format>(
    space: &Space<F>,
    page: u64,
    value: Option<u64>,
) -> Result<u64, FaultError> {
    let mem = space.memory();
    let mirror = mem.platform().devices.of(space.id()).unwrap();
    let at = VirtAddr::of_page(page);
    for _ in 0..64 {
        let done = mirror.with(|iommu| match (iommu.filed.get(&at.page()), value) {
            (Some((frame, true)), Some(value)) => {
                device_write(mem, *frame, value);
                Some(value)
            }
            (Some((frame, _)), None) => Some(device_read(mem, *frame)),
            (Some((_, false)), Some(_)) | (None, _) => None,
        });
        if let Some(found) = done {
            return Ok(found);
        }
        let cause = if value.is_some() { Cause::Store } else { Cause::Load };
        mirror.establish(space, at, cause)?;
    }
    panic!("the device at page {page} faults for ever");
}
