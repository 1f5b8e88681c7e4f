//! Linux's private-memory machinery as a library: address spaces, copy-on-write, fork, and pins for devices that survive them.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(test, feature = "explore"))]
extern crate std;

mod addr;
mod advise;
mod area;
mod error;
mod event;
mod fault;
mod fork;
mod frame;
mod memory;
mod migrate;
pub mod mock;
mod numa;
mod object;
mod page;
pub mod pin;
pub mod platform;
mod protect;
mod rmap;
pub mod rules;
mod space;
mod stat;
pub mod sync;
mod table;
mod tlb;
mod zap;

pub use addr::{NodeId, PAGE_SHIFT, PAGE_SIZE, Pfn, RangeError, VirtAddr, VirtRange};
pub use area::Prot;
pub use error::{FaultError, NoMemory, NotPinned, OutOfFrames, PinError, SpaceError};
pub use event::{Bug, Event, EventKind, FastStop};
pub use fault::{Cause, Fault};
pub use frame::{Counts, Flags, Frames, NewFrame, NodeSpan, PIN_BIAS, Placement, Start};
pub use memory::{Memory, MemoryError, SpaceId, Tuning};
pub use migrate::Moved;
pub use numa::Hinted;
pub use pin::{Access, Pins, Refs, Term};
pub use platform::Platform;
pub use rules::Rules;
pub use space::{AddressSpace, Advice, Holder, Limits, Place, Sharing};
pub use stat::Stats;
pub use table::{Entry, Format, Migration, MigrationKind, Pte, Reach, Small, Swap, X86, X86_64};
