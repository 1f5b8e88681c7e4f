//! Flushes that a batch of pages on the move has in common (facts 6.7).
//!
//! Protocol: an entry is replaced by a migration entry and recorded here, and its address space is
//! noted in the root's frame, all under the table's lock. One flush for each address space comes
//! before the first page of the batch is copied. Until then a CPU may use the old page through its
//! translation, which nothing else can make wrong as the page is locked and its entry out of the
//! way; but an unmap or a protection that meets the note must not return before that is over: it
//! flushes first ([`crate::space::Space::flush_deferred`]). A flush may come after its address
//! space has ended.

use super::batch::FlushBatch;
use crate::addr::{Mm, SpaceId, Vpn};
use crate::memory::Memory;
use crate::platform::{FlushScope, Platform};
use crate::table::Cursor;

/// Address spaces that are remembered; when there are more, the first ones are flushed early.
const SPACES: usize = 8;

/// Entries that were replaced and not flushed. The owner flushes by [`DeferredFlush::finish`].
#[must_use = "entries were replaced and not flushed"]
#[derive(Debug)]
pub(crate) struct DeferredFlush {
    spaces: [(SpaceId, FlushBatch); SPACES],
    used: usize,
}

impl<P: Platform> Memory<P> {
    /// Flushes what others may have replaced and not flushed in the address space of `mm`, before
    /// entries of the locked table are changed.
    #[inline]
    pub(crate) fn flush_deferred(&self, mm: Mm, _table: &Cursor<'_, P>) {
        if let Some(seen) = self.frames().table(mm.root).unflushed() {
            self.flush(mm.id, FlushScope::All);
            self.frames().table(mm.root).note_flushed(seen);
        }
    }
}

impl DeferredFlush {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self { spaces: [const { (SpaceId(0), FlushBatch::NONE) }; SPACES], used: 0 }
    }

    /// Records the entry of `page` in the address space of `mm`. Its table is locked.
    pub(crate) fn note<P: Platform>(&mut self, mem: &Memory<P>, mm: Mm, page: Vpn) {
        mem.frames().table(mm.root).note_unflushed();
        let known = self.spaces[..self.used].iter_mut().find(|(space, _)| *space == mm.id);
        if let Some((_, changed)) = known {
            return changed.note(page);
        }
        if self.used == SPACES {
            self.flush(mem);
        }
        let (space, changed) = &mut self.spaces[self.used];
        *space = mm.id;
        changed.note(page);
        self.used += 1;
    }

    /// Flushes each address space once.
    pub(crate) fn finish<P: Platform>(mut self, mem: &Memory<P>) {
        self.flush(mem);
    }

    fn flush<P: Platform>(&mut self, mem: &Memory<P>) {
        for (space, changed) in &mut self.spaces[..self.used] {
            changed.flush(mem, *space);
        }
        self.used = 0;
    }
}
