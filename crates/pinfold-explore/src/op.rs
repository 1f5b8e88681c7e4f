//! What a lane announces, and what the access then gives.
//!
//! INV-OP-1: an announced closure is called only while the lane that announced it is suspended in,
//! or runs, the hook that borrowed the closure. The announcement is taken out before that hook
//! returns.

use crate::{
    object::Object,
    order::{Mode, Order},
};
use std::ptr::NonNull;

/// A closure `u64 -> Option<u64>` that a suspended hook has borrowed.
pub(crate) struct Update(NonNull<dyn FnMut(u64) -> Option<u64>>);

impl Update {
    pub(crate) fn new(f: &mut dyn FnMut(u64) -> Option<u64>) -> Self {
        // SAFETY: only the lifetime is erased; INV-OP-1 keeps every use within it.
        Self(unsafe {
            std::mem::transmute::<
                NonNull<dyn FnMut(u64) -> Option<u64> + '_>,
                NonNull<dyn FnMut(u64) -> Option<u64> + 'static>,
            >(NonNull::from(f))
        })
    }

    pub(crate) fn call(&self, value: u64) -> Option<u64> {
        // SAFETY: INV-OP-1; the closure's owner waits in the hook, so this is the only use.
        (unsafe { &mut *self.0.as_ptr() })(value)
    }
}

/// A closure `u64 -> bool` that a suspended hook has borrowed.
pub(crate) struct Ready(NonNull<dyn FnMut(u64) -> bool>);

impl Ready {
    pub(crate) fn new(f: &mut dyn FnMut(u64) -> bool) -> Self {
        // SAFETY: only the lifetime is erased; INV-OP-1 keeps every use within it.
        Self(unsafe {
            std::mem::transmute::<
                NonNull<dyn FnMut(u64) -> bool + '_>,
                NonNull<dyn FnMut(u64) -> bool + 'static>,
            >(NonNull::from(f))
        })
    }

    pub(crate) fn call(&self, value: u64) -> bool {
        // SAFETY: INV-OP-1; the closure's owner waits in the hook, so this is the only use.
        (unsafe { &mut *self.0.as_ptr() })(value)
    }
}

/// How the machine treats a read-modify-write that does not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// As a load: the update read the value first, and had nothing to write.
    Load,
    /// As the same locked instruction.
    Locked,
    /// It always writes.
    Never,
}

/// An announced access, with all that is needed to execute it.
///
/// Every other description of an access is made from this one, by a match that names each kind:
/// what a search sees of it ([`crate::search::Touch`]) and what a trace shows of it
/// ([`crate::AccessKind`]).
pub(crate) enum Op {
    Cell(Object, CellOp),
    Lock(Object, LockOp),
    Fence(Order),
    /// Picks a number below this one.
    Choose(usize),
    /// Waits for the end of the lane with this number.
    Join(usize),
}

/// An access to a cell.
pub(crate) enum CellOp {
    Load(Order),
    Store { value: u64, order: Order },
    Rmw { success: Order, failure: Order, miss: Miss, update: Update },
    Wait { order: Order, ready: Ready },
}

/// An operation on a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockOp {
    /// Takes it, waiting if necessary.
    Take(Mode),
    /// Takes it if no holder excludes that.
    Try(Mode),
    GiveBack(Mode),
    /// Waits until no lane holds the lock exclusively, and takes nothing.
    SeeUnlocked,
}

impl Op {
    /// A number for its kind, from which orderings and values are left out.
    pub(crate) fn kind(&self) -> u64 {
        match *self {
            Self::Cell(_, CellOp::Load(_)) => 0,
            Self::Cell(_, CellOp::Store { .. }) => 1,
            Self::Cell(_, CellOp::Rmw { .. }) => 2,
            Self::Cell(_, CellOp::Wait { .. }) => 3,
            Self::Lock(_, LockOp::Take(mode)) => 4 + mode as u64,
            Self::Lock(_, LockOp::Try(mode)) => 6 + mode as u64,
            Self::Lock(_, LockOp::GiveBack(mode)) => 8 + mode as u64,
            Self::Lock(_, LockOp::SeeUnlocked) => 10,
            Self::Fence(_) => 11,
            Self::Choose(_) => 12,
            Self::Join(lane) => 13 + lane as u64,
        }
    }

    /// The cell or lock that it accesses.
    pub(crate) fn object(&self) -> Option<Object> {
        match *self {
            Self::Cell(object, _) | Self::Lock(object, _) => Some(object),
            Self::Fence(_) | Self::Choose(_) | Self::Join(_) => None,
        }
    }
}

impl CellOp {
    /// Whether it can be executed when it reads this value.
    pub(crate) fn accepts(&self, value: u64) -> bool {
        match self {
            Self::Wait { ready, .. } => ready.call(value),
            Self::Load(_) | Self::Store { .. } | Self::Rmw { .. } => true,
        }
    }

    /// The value that it writes when it reads this one, if it writes.
    pub(crate) fn writes(&self, read: u64) -> Option<u64> {
        match self {
            Self::Store { value, .. } => Some(*value),
            Self::Rmw { update, .. } => update.call(read),
            Self::Load(_) | Self::Wait { .. } => None,
        }
    }
}

/// What an executed access gave.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    /// The value read; for a store the value that was latest before.
    pub(crate) old: u64,
    /// The value written; for a read the value read.
    pub(crate) new: u64,
    /// Whether a read-modify-write wrote, or a lock was taken.
    pub(crate) done: bool,
    /// The value that is now latest in modification order.
    pub(crate) latest: u64,
}

/// Whether to offer options that go back past the last change of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    Offered,
    Withheld,
}
