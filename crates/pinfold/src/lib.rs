//! Linux's private-memory machinery as a library: address spaces, copy-on-write, fork, and pins for
//! devices that survive them.
//!
//! An embedder implements [`Platform`], gives its frames to [`Memory::new`], and makes an
//! [`AddressSpace`] for each process. [`mock::Host`] is a platform over heap memory, for tests and
//! first steps; `examples/tiny_kernel.rs` is a whole embedder in a hundred lines.
//!
//! ```
//! use pinfold::{mock::Host, *};
//!
//! let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: 64 };
//! // SAFETY: the host has these frames, and nobody else uses it.
//! let memory = unsafe {
//!     Memory::new(Host::<X86_64>::new(64), &[span], Rules::default(), Tuning::default())?
//! };
//! let owner = AddressSpace::new(&memory, Limits::of_format::<X86_64>())?;
//! let buffer = owner.map(Place::Anywhere, 1, Prot::READ_WRITE, Sharing::Private)?;
//!
//! let pins = owner.pin(buffer, Access::Write, Term::Long)?;
//! let child = owner.fork()?;
//! let mapped = owner.entry(buffer.start()).pfn();
//! assert_eq!(mapped, pins.pages()[0], "the pinned frame stays with its owner");
//! assert_ne!(child.entry(buffer.start()).pfn(), pins.pages()[0], "the child got a copy");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Frames
//!
//! The simplest embedder gives its memory map to [`Memory::new`] and is done: the metadata comes
//! from the heap, 32 bytes a frame, and the manager keeps the free frames itself, as blocks of up
//! to `1 << `[`MAX_ORDER`] frames. A kernel can specify more, with a [`FrameSetup`]:
//! - memory for the metadata, so that the table works before there is a heap and can supply it
//!   ([`FrameSetup::metadata`], then [`Memory::over`]);
//! - memory set apart for what can move ([`FrameSetup::movable`]): anonymous pages go there, tables
//!   and the zero page never;
//! - an owner of all frames outside the manager ([`FrameSetup::source`]): a kernel's own global
//!   allocator, as a [`FrameSource`].
//!
//! The embedder takes frames for itself with [`Frames::take`], and contiguous ones with
//! [`Frames::take_run`]: below 4 GiB for a device ([`Zone::Low32`]), or for a large buffer; by
//! [`Memory::take_run`] if it can wait for pages to leave there. Memory comes and goes with
//! [`Frames::add`] and [`Frames::reserve`]; while it is in use it goes with [`Memory::offline`],
//! and comes back with [`Memory::online`].
//!
//! # Who looks an address up
//!
//! Hardware walks the tables by itself: load [`AddressSpace::root`]. An emulator's TLB fill and a
//! debugger call [`AddressSpace::walk`], which takes no lock and says what its answer is worth;
//! [`Cause::is_allowed_by`] tells an access from a fault. `examples/threaded_pins.rs` has such a
//! CPU in thirty lines.
//!
//! # The floors
//!
//! A module may use what lies on its own floor or below, never above, and no file imports itself
//! through others. `tests/floors.rs` checks every import against this table.
//!
//! | floor | rooms | what lives there |
//! | --- | --- | --- |
//! | 0 | `addr`, `plural`, `error`, `event`, `pte`, `sync`, `platform`, `uffd` | words, locks, the embedder's part |
//! | 1 | `charge`, `frame`, `stat`, `rmap`, `store`, `swap`, `memory`, `counted`, `swapped`, `listed`, `workingset`, `hinted` | frames, their counts and who pays for them, the machine as one value |
//! | 2 | `table`, `tlb`, `notify`, `page`, `object`, `rmap_walk` | the walk to an entry and to all entries of a page, flushes, notifiers, locks and snapshots of pages |
//! | 3 | `area`, `space` | what is mapped, and the inside of an address space |
//! | 4 | `protect`, `delegate`, `zap`, `map`, `grow`, `advise`, `migrate`, `fault`, `fork`, `pin`, `walk`, `writeback`, `truncate`, `remap`, `mlock`, `recharge`, `split`, `collapse`, `userfault`, `taken`, `vacate`, `reclaim`, `pressure`, `hugetlb`, `soft_dirty`, `mincore`, `lazyfree`, `merge` | what is done to a space |
//! | 5 | `group`, `file`, `folio`, `offline`, `address_space`, `mirror`, `merger`, `balancer`, `lab`, `mock`, `stores` | the face, those who follow a space, the laboratory's door, a platform for tests, stores of files |
//!
//! The rules ([`rules`]) are a crate of their own below all floors.
//!
//! # Features
//!
//! `explore` routes every shared access through `pinfold-explore` when an exploration runs on the
//! thread. When it is off, as by default, the types of [`sync`] are `core::sync::atomic` and the
//! crate needs no std.
//!
//! `std` adds what a host has: [`stores`] on its files.
//!
//! `spin-hooks` lets a kernel switch off preemption or interrupts around the spin locks
//! ([`sync::mask`]).
#![no_std]
#![warn(missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(test, feature = "explore", feature = "std"))]
extern crate std;
// The test support is shared with the tests in `tests/`, which know the crate by its name.
#[cfg(test)]
extern crate self as pinfold;

mod addr;
mod address_space;
mod advise;
mod area;
mod balancer;
mod charge;
mod collapse;
mod counted;
mod delegate;
mod error;
mod event;
mod fault;
mod file;
mod folio;
mod fork;
mod frame;
mod group;
mod grow;
#[cfg(test)]
#[path = "testing/heap.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod heap;
mod hinted;
mod hugetlb;
pub mod lab;
mod lazyfree;
mod listed;
mod map;
mod memory;
mod merge;
mod merger;
mod migrate;
mod mincore;
mod mirror;
mod mlock;
pub mod mock;
mod notify;
mod object;
mod offline;
mod page;
pub mod pin;
pub mod platform;
mod plural;
mod pressure;
mod protect;
mod pte;
mod recharge;
mod reclaim;
mod remap;
mod rmap;
mod rmap_walk;
mod soft_dirty;
mod space;
mod split;
mod stat;
mod store;
pub mod stores;
mod swap;
mod swapped;
pub mod sync;
mod table;
mod taken;
#[cfg(test)]
mod testing;
mod tlb;
mod truncate;
mod uffd;
mod userfault;
mod vacate;
mod walk;
mod workingset;
mod writeback;
mod zap;

#[doc(inline)]
pub use pinfold_rules as rules;

pub use addr::{
    NodeId, PAGE_SHIFT, PAGE_SIZE, ParseAddrError, Pfn, RangeError, SpaceId, VirtAddr, VirtRange,
    Vpn,
};
pub use address_space::AddressSpace;
pub use area::{ParseProtError, Prot};
pub use balancer::{Balancer, BalancerStats, HintScan, ScanPace};
pub use collapse::CollapseError;
pub use error::{FaultError, FileError, NoMemory, OutOfFrames, PinError, SpaceError, StoreError};
pub use event::{Bug, Decision, Event, EventInfo, EventKind, FastStop, Weight};
pub use fault::{Cause, Fault, Hinted, Unpopulated};
pub use file::{File, FileRun, Layout};
pub use folio::Reference;
pub use frame::{
    Counts, Flags, FrameMeta, FrameSetup, FrameSource, Frames, HugePages, LowmemReserve, MAX_ORDER,
    MOST_BATCHED, MemoryMapError, NewFrame, NewFrames, NodeSpan, PIN_BIAS, Placement, Request,
    SpanError, Watermarks, Zone, ZoneInfo, ZoneKind,
};
pub use group::{Group, GroupStats};
pub use memory::{HintFilter, HugeZero, Memory, MemoryError, PmdMapping, Tuning, ZeroPages};
pub use merger::{Merger, MergerStats, Scanned};
pub use migrate::{MigrateMode, MoveScope, Moved, NotMoved, PageStatus, Strict};
pub use mirror::{Mirror, SecondStage};
pub use mlock::LockError;
pub use offline::{Obstacle, OfflineError};
pub use pin::{
    Access, PinnedBytes, PinnedPage, PinnedPages, Pins, Refs, RemoteError, SpaceHandle, Term,
    Transfer,
};
pub use platform::{Contents, Invalidate, Invalidation, PageBytes, Platform, RetiredTables, Words};
pub use pressure::ListSizes;
pub use pressure::run::{NoRun, NoRunReason};
pub use pte::{
    Aarch64, Armv8, BitChange, Entry, Format, Match, Migration, MigrationKind, Pte, Reach, Riscv64,
    Small, SmallAarch64, SmallRiscv64, SmallRiscv64Rsw, Sv39, Sv39Rsw, Sv48, Sv48Rsw, Swap, X86,
    X86_64, X86_64La57,
};
pub use recharge::Recharged;
pub use reclaim::{Reclaimed, Reclaimer};
pub use remap::Remap;
pub use rules::Rules;
pub use space::{Advice, FileSharing, Limits, Place, Sharing};
pub use split::{SplitError, Splits};
pub use stat::Stats;
pub use store::Store;
pub use swap::{SwapError, SwapId, SwapUsage, SwapWrites};
pub use tlb::CpuSet;
pub use uffd::{UffdId, UffdMode, UffdReason};
pub use userfault::UffdError;
pub use writeback::{SyncError, Unwritten};
