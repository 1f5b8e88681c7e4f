//! What the embedder supplies: one trait, small enough to write in an afternoon.
//!
//! [`crate::mock::Host`] is a complete implementation over ordinary heap memory, for tests and
//! first steps.

use core::ptr::NonNull;

use crate::addr::{NodeId, Pfn, SpaceId, VirtRange};
use crate::event::{Bug, Event};
use crate::pte::Format;
use crate::rules::Switch;
use crate::sync::AtomicU64;

pub use crate::sync::Park;

/// Which translations a flush drops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlushScope {
    /// Those of these pages.
    Range(VirtRange),
    /// All of the address space.
    All,
}

/// What a change of entries does to the translations that others keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invalidate {
    /// The pages go, or other frames take their place: unmapping, copies, migration
    /// (MMU_NOTIFY_CLEAR).
    Clear,
    /// A range loses rights: mprotect, NUMA balancing's scan (MMU_NOTIFY_PROTECTION_VMA).
    ProtectRange,
    /// Pages lose write permission because they are shared or clean from now on: fork, writeback
    /// (MMU_NOTIFY_PROTECTION_PAGE).
    ProtectPage,
}

/// A change of entries, as those hear of it who follow an address space with tables of their own
/// (facts 7.10).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalidation {
    /// The address space.
    pub space: SpaceId,
    /// The pages whose entries may change.
    pub range: VirtRange,
    /// What happens to them.
    pub kind: Invalidate,
}

/// Page tables that no walk finds any more, to be freed when the walks in progress have ended.
/// Given to [`Platform::defer`]; dropping it leaks the tables' frames.
#[must_use = "the tables are lost unless they are freed"]
#[derive(Debug)]
pub struct RetiredTables {
    pub(crate) first: Pfn,
}

/// The machine under the memory manager.
///
/// # Where calls come from
/// A lock of the manager may be held at each call, so no method may call the manager, which would
/// wait for itself. ([`crate::AddressSpace::walk`] waits for nothing; a method that never runs
/// inside a walk section may call it.)
///
/// | call | locks held at times |
/// | --- | --- |
/// | `table`, `node`, `cpu`, `task`, `event`, `bug` | any; `table`, `cpu`, `event` and `bug` inside walk sections, too |
/// | `zero_frame`, `is_zero_frame` | the address space's, and page locks; no spin lock |
/// | `copy_frame` | the address spaces', a file's page list, page locks, and at fork both page tables' |
/// | `flush` | the address space's, a file's page list, page locks, a reverse map's, a page table's |
/// | `flush_local` | the address space's; no spin lock |
/// | `invalidate_start`, `invalidate_end` | the address spaces', a file's page list, page locks, a reverse map's; no spin lock |
/// | `wait_for_walkers` | the address space's, for writing, and a reverse map's, or page locks and a reverse map's; no spin lock |
/// | `defer` | the address space's, for writing; no spin lock |
/// | [`Park::park`] | sleeping locks; no spin lock |
/// | [`Park::unpark`] | any, a page table's included; not inside walk sections |
///
/// The closure of [`crate::lab::account`] runs under the address space's lock and an object's: it
/// may not call the manager either. Heap is allocated and freed under spin locks, too: the global
/// allocator must neither sleep nor call the manager.
///
/// # What the manager asks of its callers
/// - **Interrupts are on** at every call of the manager. A flush under a page table's lock waits
///   for other CPUs, and a CPU that spins for that lock with interrupts off never responds. Inside
///   walk sections the manager takes no lock but the frame allocator's, and, by the rules
///   `tail-refs` up to 4.4, that of a folio's tails, under which nobody waits, so the section
///   itself may disable them.
/// - **Spin locks switch off neither interrupts nor preemption, unless hooks are installed**
///   ([`crate::sync::mask`], feature `spin-hooks`). Without them nothing that an interrupt handler
///   runs may call the manager, and a preemptible kernel must ensure that a preempted holder runs
///   again while others spin: scheduling by priority alone does not do that. With them a handler
///   may do one thing: release a hold, by dropping [`crate::PinnedPage`], [`crate::Pins`] or
///   [`crate::Refs`] whose address space has another owner still, if the global allocator and
///   [`Platform::event`] can be called there, too.
/// - **An address space is dropped when no CPU has its root loaded.** The root's frame goes back to
///   the allocator with it.
/// - **A holder of a sleeping lock for reading must not take it for reading again**: a writer that
///   arrives in between deadlocks with it. Platform methods and closures that call the manager
///   would do just that.
///
/// # Safety
/// The manager's soundness rests on the implementation:
/// - [`Platform::table`] gives, for a frame that the manager owns, a pointer to [`Format::ENTRIES`]
///   words that stay valid and at the same address while the platform lives, and that nobody but
///   the manager and page-walking hardware writes.
/// - [`Platform::flush`] returns only when no CPU of the machine uses a translation of the scope
///   that it read before the call, everything that those CPUs did through it is visible to the
///   caller, and what the caller did before the call, be it by a plain store, is visible to every
///   CPU that walks the tables afterwards. So an implementation that leaves CPUs out looks which
///   they are behind a full barrier, as [`crate::CpuSet`] does. It need not order anything else:
///   nothing against walk sections.
/// - [`Platform::wait_for_walkers`] waits for the sections between [`Platform::walk_begin`] and
///   [`Platform::walk_end`] as those methods document.
/// - What [`Platform::defer`] takes is given to [`crate::Memory::free_tables`] of the same machine
///   only after every section that was open at the call has closed.
/// - [`Park`] works as documented.
pub unsafe trait Platform: Park + Sized + Send + Sync + 'static {
    /// The page-table format of the machine.
    type Format: Format;

    /// The entries of the page table in `frame`.
    fn table(&self, frame: Pfn) -> NonNull<AtomicU64>;

    /// Fills a frame with zeros. The frame is the caller's alone; what is written here becomes
    /// visible with the entry that maps it.
    fn zero_frame(&self, frame: Pfn);

    /// Copies a frame's contents. Other CPUs and devices may write `from` during the copy, which
    /// may then be torn. `to` is the caller's alone.
    fn copy_frame(&self, from: Pfn, to: Pfn);

    /// Whether a frame is all zeros: a page that is need not be written to a swap device. Nothing
    /// maps the frame, every CPU has flushed, and nobody refers to it but the caller: it is not
    /// written meanwhile, but by a device whose reference has ended, where either answer will do.
    /// What was stored before, by whom may, is to be seen.
    ///
    /// `false` is always right, and the answer unless this is overridden: the manager cannot tell
    /// whether [`Platform::table`] leads to what a process finds in the frame.
    #[inline]
    fn is_zero_frame(&self, frame: Pfn) -> bool {
        let _ = frame;
        false
    }

    /// The node of the CPU that runs the caller: new pages are placed there, and hinting faults
    /// want pages there.
    fn node(&self) -> NodeId {
        NodeId(0)
    }

    /// The number of the CPU that runs the caller, below [`Platform::cpus`]. The caller may move to
    /// another CPU at any moment: a wrong answer costs time, and nothing else. What CPUs with
    /// different numbers do at the same time then writes different cache lines, as far as it can.
    #[inline]
    fn cpu(&self) -> usize {
        0
    }

    /// One past the highest number of a CPU. Asked once, when the machine is made; some memory is
    /// taken for each.
    fn cpus(&self) -> usize {
        1
    }

    /// The number of the task (thread) that the caller runs for. Asked at hinting faults and by
    /// scans of NUMA balancing alone, which tell tasks apart by it as far as a few bits do: memory
    /// that one task uses follows it sooner, and areas that it does not use it does not scan. By
    /// default each CPU has one task.
    #[inline]
    fn task(&self) -> u32 {
        self.cpu() as u32
    }

    /// Makes every CPU forget the translations of `scope` in `space`, and waits until it has: no
    /// instruction in flight uses one afterwards. Sometimes called with page tables' locks held, so
    /// it must not wait for anything that needs one of them. CPUs that have not loaded the root
    /// since their last flush may be left out: [`crate::CpuSet`] tells which. May name an address
    /// space that has ended: then there is nothing to do.
    fn flush(&self, space: SpaceId, scope: FlushScope);

    /// Makes the calling CPU forget the translations of these pages: after a change that only
    /// grants rights or marks a page as used, which other CPUs may do without until they fault,
    /// and after a fault that found nothing to do.
    fn flush_local(&self, space: SpaceId, pages: VirtRange) {
        self.flush(space, FlushScope::Range(pages));
    }

    /// Entries of a range are about to lose rights or frames. When it returns, nobody who follows
    /// the address space with tables of their own uses a translation of the range, and until the
    /// [`Platform::invalidate_end`] with the same value nobody sets one up. Several changes may be
    /// under way at a time, of one range, too. [`crate::Mirror`] does what this asks for.
    #[inline]
    fn invalidate_start(&self, what: Invalidation) {
        let _ = what;
    }

    /// The change is over: translations may be set up again, from the entries as they are now.
    #[inline]
    fn invalidate_end(&self, what: Invalidation) {
        let _ = what;
    }

    /// Prepares the root table of a new address space, whose entries are all none: the place to
    /// link a kernel's half. Only entries for pages at or past [`crate::Limits::end_page`] may be
    /// written. No lock is held.
    fn prepare_root(&self, space: SpaceId, root: Pfn) {
        let _ = (space, root);
    }

    /// Called before a root table is freed, that of an address space in which nothing is mapped any
    /// more. Called with the address space's lock held.
    fn retire_root(&self, space: SpaceId, root: Pfn) {
        let _ = (space, root);
    }

    /// Opens a section in which no page table is freed (interrupts off, or a read-side critical
    /// section). It never blocks. Sections do not nest.
    ///
    /// There is a full barrier between the opening and what the caller does inside: of a section
    /// and a wait, one sees the other. Either [`Platform::wait_for_walkers`] waits for the section,
    /// or all that its caller did before a full barrier of its own is seen inside. A count of open
    /// sections needs that barrier *after* the increment, whatever the increment's own ordering.
    ///
    /// A section spans at most 512 pages of a lock-free pin, or a look at each entry of one path of
    /// upper tables.
    fn walk_begin(&self);

    /// Closes the section. A release: what was done inside happens before the end of a wait that
    /// has seen it closed.
    fn walk_end(&self);

    /// Waits until every section that was open at the call has closed. An acquire: what was done
    /// inside these sections happens before the return. It need not wait for sections that open
    /// later.
    ///
    /// The caller has issued a full barrier between unlinking tables, or taking out entries that
    /// map a large folio, and this call. It holds an address space's lock for writing, and for a
    /// collapse a reverse map's, or the locks with which a folio is split (rules `tail-refs` up to
    /// 4.4), for which nobody waits inside a section.
    fn wait_for_walkers(&self);

    /// Takes page tables to be freed later by [`crate::Memory::free_tables`], so that an unmap need
    /// not wait for the walks in progress, as a kernel does with a grace period. `Err` gives them
    /// back, and the manager waits; so does the default.
    ///
    /// # Errors
    /// When the platform does not take them, now or ever.
    fn defer(&self, tables: RetiredTables) -> Result<(), RetiredTables> {
        Err(tables)
    }

    /// Called when a rule is asked for, before the answer decides anything. What the manager does
    /// under a rule set, it does under any other that has the same answers to what was asked. Does
    /// nothing unless overridden.
    #[inline]
    fn asked(&self, switch: Switch) {
        let _ = switch;
    }

    /// Called with what happened, in order, by the thread that did it. Does nothing unless
    /// overridden.
    #[inline]
    fn event(&self, event: Event) {
        let _ = event;
    }

    /// Called with a broken invariant: something that no use of the guards can cause. A kernel
    /// warns; a laboratory stops.
    #[cold]
    fn bug(&self, bug: Bug) {
        let _ = bug;
    }
}

/// The bytes of a page.
pub type PageBytes = [u8; crate::addr::PAGE_SIZE as usize];

/// A platform on which the kernel reaches the bytes of any frame, as the stores in
/// [`crate::stores`] want it. Calls come as [`Platform::copy_frame`] does.
pub trait Contents: Platform {
    /// Copies a frame's contents out. Devices may write the frame during the copy, which may then
    /// be torn.
    fn copy_out(&self, frame: Pfn, to: &mut PageBytes);

    /// Fills a frame, which is the caller's alone.
    fn fill(&self, frame: Pfn, from: &PageBytes);
}

/// A platform on which the kernel reads the words of any frame, as [`crate::Merger`] wants it to
/// find equal pages. Calls come under the merger's lock, and under that of an address space for
/// reading, inside an invalidation of it ([`Platform::invalidate_start`]), and under page locks.
pub trait Words: Platform {
    /// How many words of a frame tell all of its contents.
    fn words(&self) -> usize;

    /// The word at this place of a frame, below [`Words::words`]. CPUs and devices may write the
    /// frame meanwhile.
    fn word(&self, frame: Pfn, at: usize) -> u64;

    /// Whether two frames have the same contents. They may be torn if somebody writes one.
    fn is_same(&self, frame: Pfn, other: Pfn) -> bool {
        (0..self.words()).all(|at| self.word(frame, at) == self.word(other, at))
    }

    /// A number that frames of the same contents have in common, and others most likely not.
    fn checksum(&self, frame: Pfn) -> u64 {
        (0..self.words()).fold(0, |sum, at| {
            let mixed = (sum ^ self.word(frame, at)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed ^ mixed >> 32
        })
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
