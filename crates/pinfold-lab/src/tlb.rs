//! Translation caches: they keep a translation until it is flushed, even if the tables change.
//!
//! A CPU keeps the translations of each address space apart, as hardware with address-space tags
//! does: what it does to those of one space has nothing to do with those of another, so each cache
//! has a lock of its own. With one lock for each CPU an exploration would order operations of
//! unrelated spaces that nothing else orders.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use pinfold::lab::locks::SpinLock;
use pinfold::platform::FlushScope;
use pinfold::{Pfn, SpaceId, VirtAddr};
use pinfold_explore::hook;

/// A cached translation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Translation {
    pub(crate) page: u64,
    pub(crate) frame: Pfn,
    pub(crate) writable: bool,
    pub(crate) dirty: bool,
}

impl Translation {
    pub(crate) fn is_within(&self, scope: FlushScope) -> bool {
        match scope {
            FlushScope::All => true,
            FlushScope::Range(range) => range.contains(VirtAddr::of_page(self.page)),
        }
    }
}

/// The translations of one space that a CPU has cached; protected by the lock around them.
#[derive(Default, Hash, Debug)]
pub(crate) struct Tlb {
    entries: Vec<Translation>,
}

impl Tlb {
    /// Whether there is a translation within `scope`.
    fn covers(&self, scope: FlushScope) -> bool {
        self.entries.iter().any(|entry| entry.is_within(scope))
    }

    /// Drops the translations within `scope`.
    pub(crate) fn flush(&mut self, scope: FlushScope) {
        self.entries.retain(|entry| !entry.is_within(scope));
    }

    /// The translation of a page, if it is cached.
    pub(crate) fn find(&self, page: u64) -> Option<Translation> {
        self.entries.iter().copied().find(|entry| entry.page == page)
    }

    /// Caches a translation, replacing the one that its page had.
    pub(crate) fn remember(&mut self, new: Translation) {
        self.entries.retain(|entry| entry.page != new.page);
        self.entries.push(new);
    }
}

/// The cache of a CPU for a space.
type Cache = Arc<SpinLock<Tlb>>;

/// The caches of all CPUs. Making one is not a step: an empty cache that nobody has used does not
/// differ from none.
pub(crate) struct Tlbs {
    cpus: usize,
    /// By CPU and space.
    caches: Mutex<BTreeMap<(usize, u64), Cache>>,
}

impl Tlbs {
    /// Empty caches of this many CPUs.
    pub(crate) fn new(cpus: usize) -> Self {
        Self { cpus, caches: Mutex::default() }
    }

    /// How many CPUs there are.
    pub(crate) fn cpus(&self) -> usize {
        self.cpus
    }

    /// Makes `cpu` forget its translations of `space` within `scope`. A cache that has none there
    /// is looked at and not written: who flushed it last makes no difference. Whether there were
    /// any.
    pub(crate) fn flush(&self, cpu: usize, space: SpaceId, scope: FlushScope) -> bool {
        let cache = self.of(cpu, space);
        let mut cache = cache.lock();
        let covers = cache.covers(scope);
        if covers {
            cache.flush(scope);
        }
        covers
    }

    /// The translations of `space` that `cpu` has cached.
    pub(crate) fn of(&self, cpu: usize, space: SpaceId) -> Cache {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let cache = caches.entry((cpu, space.0)).or_insert_with(|| {
            let cache = Arc::new(SpinLock::hashed(Tlb::default()));
            let name = move |_| format!("translations of CPU {cpu} for space {}", space.0);
            hook::label(Arc::as_ptr(&cache) as usize, size_of_val(&*cache), name);
            cache
        });
        Arc::clone(cache)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_has_a_cache_for_each_space() {
        let tlbs = Tlbs::new(2);
        let here = tlbs.of(0, SpaceId(1));
        assert!(Arc::ptr_eq(&here, &tlbs.of(0, SpaceId(1))));
        for (cpu, space) in [(1, 1), (0, 2)] {
            assert!(!Arc::ptr_eq(&here, &tlbs.of(cpu, SpaceId(space))), "CPU {cpu}, {space}");
        }
    }

    #[test]
    fn a_flush_drops_what_is_within_its_scope() {
        let entry = |page| Translation { page, frame: Pfn(page), writable: true, dirty: true };
        let mut tlb = Tlb::default();
        (1..4).for_each(|page| tlb.remember(entry(page)));
        tlb.flush(FlushScope::Range(pinfold::VirtRange::new(VirtAddr::of_page(2), 1).unwrap()));
        assert!(tlb.find(2).is_none() && tlb.find(1).is_some() && tlb.find(3).is_some());
        tlb.flush(FlushScope::All);
        assert!(tlb.find(1).is_none() && tlb.find(3).is_none());
    }
}
