//! Shared memory, with the kernel's names and one documented meaning each.
//!
//! The core touches shared memory only through these types. Built without the feature `explore`
//! they are `core::sync::atomic` and nothing else, instruction for instruction
//! (`tests/invisible/check.sh`). With it, each access first asks whether an explorer runs on this
//! thread and, if so, lets the explorer decide what it reads and when it happens. The code that is
//! explored is therefore the code that ships.
//!
//! Orderings:
//!
//! | operation | C11 meaning |
//! | --- | --- |
//! | `read_once`, `write_once` | relaxed |
//! | `load_acquire`, `store_release` | acquire, release |
//! | `xchg`, `cmpxchg` on success, `add`, `or`, `and`, `fetch_*`, `add_return`, `sub_return`, `try_update` on success | full: a sequentially consistent fence before and after |
//! | `fetch_or_relaxed`, `fetch_and_relaxed` | relaxed read-modify-write: the kernel's non-returning bit operations |
//! | `smp_mb`, `smp_rmb`, `smp_wmb` | fences: sequentially consistent, acquire, release |
//! | `smp_mb_after_atomic` | as `smp_mb`, but free where a locked instruction came just before |
//!
//! What the kernel orders by an address dependency is ordered here by `load_acquire`.
//!
//! `add`, `or` and `and` give their caller nothing, and operations whose name ends in `_as` no more
//! than a class of the value that they found (`class`): as the kernel's `atomic_add`,
//! `atomic_dec_and_test` and `atomic_add_unless` do.
//!
//! In an exploration, locks are objects of the explorer: nobody spins, and taking or releasing one
//! is a single step, unless the exploration asks for the locks' own code (`LockForm::Code`).
//! INV-SYNC-1: the objects promise no more than the code keeps. `tests/locks.rs` explores the code
//! by itself.
//!
//! Two operations are for a sole owner only and are not steps of an exploration:
//! [`AtomicU64::init`] sets a cell that nobody else can reach yet, [`AtomicU64::peek`] reads it
//! when nothing else runs.

mod atomic;
pub(crate) mod bit;
mod class;
pub(crate) mod delegated;
mod eventcount;
mod grant;
pub(crate) mod lease;
pub mod mask;
mod name;
mod once;
mod park;
mod percpu;
mod plain;
pub(crate) mod rwsem;
pub(crate) mod seqcount;
mod shared;
pub(crate) mod spin;
pub(crate) mod spread;
mod stable;

pub use atomic::{AtomicU32, AtomicU64, Counter, smp_mb, smp_mb_after_atomic, smp_rmb, smp_wmb};
pub(crate) use atomic::{Latch, Marks};
pub(crate) use bit::{BitGuard, BitLock, SpinBit, SpinBitGuard};
pub(crate) use class::{Class, saw};
pub(crate) use delegated::{Delegated, DelegatedGuard};
pub(crate) use eventcount::{EventCount, Waited};
pub(crate) use mask::Inside;
pub use mask::Masks;
pub use name::{CellName, FrameWord};
pub(crate) use once::Once;
pub use park::Park;
pub(crate) use percpu::{Apart, PerCpu, Sparse};
pub(crate) use plain::Plain;
pub(crate) use rwsem::{ReadGuard, RwSem, WriteGuard};
pub(crate) use seqcount::{Begin, SeqCount};
pub(crate) use shared::Lease;
pub use shared::Shared;
pub(crate) use spin::{RawSpinLock, SpinGuard, SpinLock, SpinLocked};
pub(crate) use spread::{Spread, SpreadGuard};
pub(crate) use stable::Stable;

/// Names the cells of `[at, at + bytes)` in an explorer's traces. Does nothing outside an
/// exploration.
#[inline]
pub(crate) fn label<T>(at: *const T, bytes: usize, describe: impl Fn(usize) -> CellName + 'static) {
    #[cfg(feature = "explore")]
    pinfold_explore::hook::label(at as usize, bytes, move |offset| {
        alloc::string::ToString::to_string(&describe(offset))
    });
    #[cfg(not(feature = "explore"))]
    let _ = (at, bytes, describe);
}

/// Says that the caller alone has the cells of `[at, at + bytes)` and that they start a new life:
/// what others did to them happens before this, and what others will do happens after it. An
/// exploration checks that.
#[inline]
pub(crate) fn renew<T>(at: *const T, bytes: usize) {
    #[cfg(feature = "explore")]
    pinfold_explore::hook::renew(at as usize, bytes);
    #[cfg(not(feature = "explore"))]
    let _ = (at, bytes);
}
