//! The frame table: what every physical page is, who refers to it and who maps it.
//!
//! Protocol: all of a [`Frame`] is atomic. The counts change by read-modify-writes of those who may
//! change them: a mapping's holder under the page-table lock, a lock-free walker only by
//! [`Frames::try_grab`]. A free frame has no references, so `try_grab` fails on it; the one that
//! drops the last reference frees the frame, and nobody else does. A large folio is freed whole, by
//! its head.
//!
//! Free frames are kept by the table itself (`buddy`), or by an outside owner ([`FrameSource`]).
//! The lists are part of the table and not a [`FrameSource`] of their own: their links lie in the
//! free frames' metadata, which an outside owner never sees, and the calls of the hot path are
//! direct.
//!
//! Invariants:
//! - INV-FRAME-1: references >= mappings, at every moment (facts 9.9).
//! - INV-FRAME-2: a free frame has all counts zero and no flags but its home, node and zone, which
//!   never change, and if it is of the pool of huge pages, the flag for that (INV-POOL-3).
//! - INV-FRAME-3: the exclusive mark changes under the lock of the page table that maps the frame,
//!   or while nobody maps it.
//! - INV-FRAME-4: references and pins of a large folio are counted on its head; a tail's own
//!   references are zero (facts 5.3), but under a rule of old releases (`tails`). Its mappings are,
//!   too, unless each page's are counted by themselves (`large`). The tail's flag is set after its
//!   head's number, so a reader that sees the flag finds a head, or what a later life wrote there
//!   (`pin`).
//! - INV-FRAME-5: the mark is looked up on the frame that an entry maps, not on the head, unless
//!   the entry is a huge one (facts 9.6, INV-HUGE-3).

mod alloc;
mod buddy;
mod chain;
mod counts;
mod deposit;
mod faulted;
mod flags;
mod folio;
mod frames;
mod large;
mod last;
mod lists;
mod lru;
mod meta;
mod offline;
mod owners;
mod partial;
mod pin;
mod pool;
mod pooled;
mod queue;
mod restock;
mod setup;
mod source;
mod span;
mod stock;
mod store;
mod tails;
mod views;
mod zoned;
mod zones;

pub(crate) use alloc::Start;
pub use alloc::{NewFrame, NewFrames};
pub use buddy::MAX_ORDER;
pub use counts::Counts;
pub use flags::Flags;
pub(crate) use folio::{Marks, NewFolio};
pub use frames::Frames;
pub use large::FolioView;
pub(crate) use large::{Large, MIN_ORDER};
pub(crate) use last::FaultedBy;
pub(crate) use lists::Looked;
pub use lru::MOST_BATCHED;
pub(crate) use lru::{Batched, Entered, Kind, List, Settled, Used};
pub(crate) use meta::{Dropped, Grab, Miss, Put};
pub(crate) use offline::Wanted;
pub use pin::PIN_BIAS;
pub(crate) use pin::{Grip, Holds};
pub use pool::HugePages;
pub(crate) use pooled::Promise;
pub use setup::{FrameSetup, MemoryMapError};
pub use source::{FrameSource, Placement, Request, Zone};
pub use span::{NodeSpan, SpanError};
pub use store::FrameMeta;
pub(crate) use tails::{Parted, Short};
pub(crate) use views::{Folio, Isolation, MapCount, MapsLeft, Page, Sizes};
pub(crate) use zones::Zones;
pub use zones::{LowmemReserve, Watermarks, ZoneInfo, ZoneKind};

#[cfg(test)]
mod tests;
