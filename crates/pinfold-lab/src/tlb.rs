//! The translation cache of a CPU: it keeps a translation until it is flushed, even if the tables
//! change.

use pinfold::platform::FlushScope;
use pinfold::{Pfn, SpaceId, VirtAddr};

/// A cached translation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Translation {
    pub(crate) space: SpaceId,
    pub(crate) page: u64,
    pub(crate) frame: Pfn,
    pub(crate) writable: bool,
    pub(crate) dirty: bool,
}

/// The translation cache of a CPU; protected by the lock around it.
#[derive(Debug, Default)]
pub(crate) struct Tlb {
    entries: Vec<Translation>,
}

impl Tlb {
    /// Drops the translations of `space` within `scope`.
    pub(crate) fn flush(&mut self, space: SpaceId, scope: FlushScope) {
        self.entries.retain(|entry| {
            entry.space != space
                || match scope {
                    FlushScope::All => false,
                    FlushScope::Range(range) => !range.contains(VirtAddr::of_page(entry.page)),
                }
        });
    }

    /// The translation of a page, if it is cached.
    pub(crate) fn find(&self, space: SpaceId, page: u64) -> Option<Translation> {
        self.entries.iter().copied().find(|entry| entry.space == space && entry.page == page)
    }

    /// Caches a translation, replacing the one that its page had.
    pub(crate) fn remember(&mut self, new: Translation) {
        self.entries.retain(|entry| entry.space != new.space || entry.page != new.page);
        self.entries.push(new);
    }
}
