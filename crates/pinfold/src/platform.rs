//! What the embedder supplies: one trait, small enough to write in an afternoon.
//!
//! [`crate::mock::Host`] is a complete implementation over ordinary heap memory, for tests and first steps.

use core::ptr::NonNull;
use core::sync::atomic::AtomicU32 as NativeU32;

use crate::addr::SpaceId;
use crate::addr::{NodeId, Pfn, VirtRange};
use crate::event::{Bug, Event};
use crate::sync::AtomicU64;
use crate::table::Format;

/// Sleeping on a word, as a futex does.
pub trait Park {
    /// Sleeps until [`Park::unpark`] on the same word; returns at once when the word no longer holds `seen`, and may
    /// return early.
    fn park(&self, word: &NativeU32, seen: u32);

    /// Wakes everyone who sleeps on `word`.
    fn unpark(&self, word: &NativeU32);
}

/// Which translations a flush drops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlushScope {
    /// Those of these pages.
    Range(VirtRange),
    /// All of the address space.
    All,
}

/// The machine under the memory manager.
///
/// # Safety
/// The manager's soundness rests on the implementation:
/// - [`Platform::table`] gives, for a frame that the manager owns, a pointer to [`Format::ENTRIES`] words that stay valid and
///   at the same address while the platform lives, and that nobody but the manager and page-walking hardware writes.
/// - [`Platform::flush`] returns only when no CPU of the machine uses a translation of the scope that was cached before the
///   call, and everything that those CPUs did through it is visible to the caller.
/// - [`Platform::wait_for_walkers`] returns only when every section between [`Platform::walk_begin`] and
///   [`Platform::walk_end`] that was open at the call has ended.
/// - [`Park`] works as documented.
pub unsafe trait Platform: Park + Sized + Send + Sync + 'static {
    /// The page-table format of the machine.
    type Format: Format;

    /// The entries of the page table in `frame`.
    fn table(&self, frame: Pfn) -> NonNull<AtomicU64>;

    /// Fills a frame with zeros.
    fn zero_frame(&self, frame: Pfn);

    /// Copies a frame's contents. Other CPUs may write `from` meanwhile; the copy may then be torn.
    fn copy_frame(&self, from: Pfn, to: Pfn);

    /// The node of the CPU that runs the caller: new pages are placed there, and hinting faults want pages there.
    fn node(&self) -> NodeId {
        NodeId(0)
    }

    /// Makes every CPU forget the translations of `scope` in `space`. Called with page-table locks held at times, so it must not
    /// sleep on anything that waits for one.
    fn flush(&self, space: SpaceId, scope: FlushScope);

    /// Makes the calling CPU forget the translations of one page: after a change that only grants rights or marks the page as used, and after
    /// a fault that found nothing to do.
    fn flush_local(&self, space: SpaceId, page: VirtRange) {
        self.flush(space, FlushScope::Range(page));
    }

    /// Prepares the root table of a new address space, whose entries are all none: the place to link a kernel's half. Only entries for pages at
    /// or behind [`crate::Limits::end_page`] may be written. No lock is held.
    fn prepare_root(&self, space: SpaceId, root: Pfn) {
        let _ = (space, root);
    }

    /// Told that a root table is about to be freed, of an address space in which nothing is mapped any more. Called with the address space's lock
    /// held.
    fn retire_root(&self, space: SpaceId, root: Pfn) {
        let _ = (space, root);
    }

    /// Opens a section in which no page table is freed (interrupts off, or a read-side critical section). It never blocks.
    fn walk_begin(&self);

    /// Closes the section.
    fn walk_end(&self);

    /// Waits until all sections that are open now have closed. Called without spin locks, before page tables are freed.
    fn wait_for_walkers(&self);

    /// Told what happened, in order, by the thread that did it. Does nothing unless overridden.
    #[inline]
    fn event(&self, event: Event) {
        let _ = event;
    }

    /// Told of a broken invariant: something that no use of the guards can cause. A kernel warns; a laboratory stops.
    #[cold]
    fn bug(&self, bug: Bug) {
        let _ = bug;
    }
}

/// A section in which no page table is freed; closed on drop.
#[must_use]
pub(crate) struct WalkSection<'p, P: Platform>(&'p P);

impl<'p, P: Platform> WalkSection<'p, P> {
    pub(crate) fn open(platform: &'p P) -> Self {
        platform.walk_begin();
        Self(platform)
    }
}

impl<P: Platform> Drop for WalkSection<'_, P> {
    fn drop(&mut self) {
        self.0.walk_end();
    }
}
