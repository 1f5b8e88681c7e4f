//! Records what every step of an execution does, with the names that the subject gave.

use crate::{
    object::{Kind, Object, Objects},
    op::{CellOp, Done, LockOp, Op},
    order::{Mode, Order},
};
use std::{fmt, rc::Rc};

/// What kind of access a step was.
///
/// It is kept beside `Op`, the crate's own description of an access, because traces are public and
/// `Op` is not: an `Op` also holds closures and values, and does not say whether an attempt
/// succeeded. One exhaustive match makes it from an `Op` and its result, so that the two cannot
/// drift apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessKind {
    /// A load.
    Load(Order),
    /// A store.
    Store(Order),
    /// A read-modify-write that wrote, with its ordering.
    Rmw(Order),
    /// A read-modify-write that did not write, with its ordering.
    RmwNot(Order),
    /// A load that waited for its value.
    Wait(Order),
    /// A fence.
    Fence(Order),
    /// A lock was taken.
    Lock(Mode),
    /// A lock was taken without waiting.
    TryLock(Mode),
    /// A lock was not taken, because a holder excluded that.
    TryLockNot(Mode),
    /// A lock was released.
    Unlock(Mode),
    /// A lock was seen to be free.
    SeeUnlocked,
    /// A value was chosen.
    Choose,
    /// Another lane was seen to have ended.
    Join,
}

impl AccessKind {
    /// The kind of an access that had this result.
    fn of(op: &Op, Done { done, .. }: Done) -> Self {
        match *op {
            Op::Cell(_, ref access) => match *access {
                CellOp::Load(order) => Self::Load(order),
                CellOp::Store { order, .. } => Self::Store(order),
                CellOp::Rmw { success, .. } if done => Self::Rmw(success),
                CellOp::Rmw { failure, .. } => Self::RmwNot(failure),
                CellOp::Wait { order, .. } => Self::Wait(order),
            },
            Op::Lock(_, access) => match access {
                LockOp::Take(mode) => Self::Lock(mode),
                LockOp::Try(mode) if done => Self::TryLock(mode),
                LockOp::Try(mode) => Self::TryLockNot(mode),
                LockOp::GiveBack(mode) => Self::Unlock(mode),
                LockOp::SeeUnlocked => Self::SeeUnlocked,
            },
            Op::Fence(order) => Self::Fence(order),
            Op::Choose(_) => Self::Choose,
            Op::Join(_) => Self::Join,
        }
    }
}

impl fmt::Display for AccessKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(order) => write!(f, "load {order}"),
            Self::Store(order) => write!(f, "store {order}"),
            Self::Rmw(order) => write!(f, "update {order}"),
            Self::RmwNot(order) => write!(f, "no update {order}"),
            Self::Wait(order) => write!(f, "wait {order}"),
            Self::Fence(order) => write!(f, "fence {order}"),
            Self::Lock(mode) => write!(f, "lock {mode}"),
            Self::TryLock(mode) => write!(f, "trylock {mode}"),
            Self::TryLockNot(mode) => write!(f, "trylock {mode}, busy"),
            Self::Unlock(mode) => write!(f, "unlock {mode}"),
            Self::SeeUnlocked => f.write_str("wait unlocked"),
            Self::Choose => f.write_str("choose"),
            Self::Join => f.write_str("join"),
        }
    }
}

/// One step of a replayed execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The number of the step, from 0.
    pub step: u64,
    /// The lane that made it, from 0.
    pub lane: usize,
    /// What it was.
    pub kind: AccessKind,
    /// The name of the cell, lock or ended lane; empty for fences and choices.
    pub label: String,
    /// The value read; for a store the value that was latest before it.
    pub old: u64,
    /// The value written; equal to `old` for reads.
    pub new: u64,
    /// How many stores back from the latest it read, or before how many it was placed.
    pub behind: u32,
}

struct Label {
    addr: usize,
    len: usize,
    describe: Box<dyn Fn(usize) -> String>,
}

/// Records what the steps of one execution do.
#[derive(Default)]
pub(crate) struct Recorder {
    labels: Vec<Label>,
    trace: Vec<Access>,
    /// Called between a lane and the next.
    pub(crate) observer: Option<Rc<dyn Fn(Option<usize>)>>,
}

impl Recorder {
    /// Forgets everything, for the next execution.
    pub(crate) fn clear(&mut self) {
        self.labels.clear();
        self.trace.clear();
        self.observer = None;
    }

    pub(crate) fn label(
        &mut self,
        addr: usize,
        len: usize,
        describe: Box<dyn Fn(usize) -> String>,
    ) {
        self.labels.push(Label { addr, len, describe });
    }

    /// The name of an object: its label, or its number.
    pub(crate) fn name(&self, objects: &Objects, object: Object) -> String {
        let (_, addr) = objects.place(object);
        let name = addr.and_then(|addr| self.name_at(addr));
        name.unwrap_or_else(|| Self::anonymous(objects, object))
    }

    /// The label of what lies at an address.
    pub(crate) fn name_at(&self, addr: usize) -> Option<String> {
        let covers = |label: &&Label| addr.wrapping_sub(label.addr) < label.len;
        let label = self.labels.iter().rev().find(covers)?;
        Some((label.describe)(addr - label.addr))
    }

    /// The name of an object without a label.
    pub(crate) fn anonymous(objects: &Objects, object: Object) -> String {
        match objects.place(object).0 {
            Kind::Cell => format!("cell #{object}"),
            Kind::Lock => format!("lock #{object}"),
        }
    }

    /// The steps that were recorded.
    pub(crate) fn into_trace(self) -> Vec<Access> {
        self.trace
    }

    /// `other` is the name of the lane whose end the access saw.
    pub(crate) fn record(
        &mut self,
        lane: usize,
        behind: u32,
        op: &Op,
        done: Done,
        objects: &Objects,
        other: &str,
    ) {
        let kind = AccessKind::of(op, done);
        let behind = if kind == AccessKind::Choose { 0 } else { behind };
        let name = |object| self.name(objects, object);
        let label = op.object().map_or_else(|| other.to_owned(), name);
        let Done { old, new, .. } = done;
        let step = self.trace.len() as u64;
        self.trace.push(Access { step, lane, kind, label, old, new, behind });
    }
}
