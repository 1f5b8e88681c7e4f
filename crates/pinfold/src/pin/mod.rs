//! References and pins for devices: get_user_pages and pin_user_pages, lock-free and locked (facts
//! 3).
//!
//! A **pin** ([`Pins`]) is for users that read or write the memory by frame: under today's rules,
//! while it lives, its owner's later writes go to the same frame, and fork, migration, splitting
//! and reclaim leave the frame with its owner. A **get** ([`Refs`]) only keeps the frame from being
//! reused.
//!
//! Protocol: first the lock-free walk (`fast`) inside a walk section, then the slow path (`slow`)
//! for the rest, under the address space's lock. The lock-free walk takes a reference first and
//! then reads the entry again; code that takes entries out reads the count afterwards. One of the
//! two always sees the other (facts 3.5).
//!
//! Invariants:
//! - INV-PIN-1: the lock-free walk keeps a page only if the entry and its table are unchanged after
//!   the reference was taken.
//! - INV-PIN-2: since 5.19 an anonymous page is pinned only while it is exclusive, and stays so
//!   until the pin is released.
//! - INV-PIN-3: a walk that overlapped fork's copying gives everything back.
//! - INV-PIN-4: what a walk has taken is owned by the guard at every moment, so an error or panic
//!   gives it back.
//! - INV-PIN-5: since 5.13 no long-term pin is handed out of a page that could move and lies in
//!   memory that is set apart for that (`settle`); nothing is held while such a page is moved out.

mod ask;
mod driver;
mod fast;
mod guard;
mod hold;
mod huge;
mod pages;
mod remote;
mod settle;
mod slow;
mod transfer;

pub use crate::rules::pin::{Access, Force, Hold, Term};
pub use ask::{Ask, Path};
pub(crate) use driver::pin_bytes;
pub use driver::{PinnedBytes, SpaceHandle};
pub use guard::{PinnedPage, PinnedPages, Pins, Refs};
pub(crate) use hold::{get_with, pin_with};
pub use remote::RemoteError;
pub(crate) use remote::access_remote;
pub use transfer::Transfer;
pub(crate) use transfer::{direct, remote};

#[cfg(test)]
mod tests;
