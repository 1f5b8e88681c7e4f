//! What instrumented code calls for each shared access.
//!
//! Protocol: the caller owns the real cell. It passes the cell's present content as `now`, and
//! writes back what the hook hands it, so that the real cell always holds the value that is latest
//! in modification order. A call may run other lanes before it returns; the caller must hold no
//! borrow that another lane could need.
//!
//! Called where no lane runs, every hook acts on `now` alone and returns at once: during `build`
//! and `judge`, while a lane unwinds, and outside any exploration. [`active`] tells. So what a
//! lane's destructors do while it unwinds (a store, a lock given back) is seen by nobody. A panic
//! ends the execution, and then nobody looks; a lane that catches its own panic and goes on
//! afterwards ends the execution as a failure of kind [`crate::FailureKind::Unsupported`].
//!
//! Data races: [`read_plain`] and [`write_plain`] announce accesses to memory that is not atomic.
//! They are no steps. Two of them that nothing orders, and of which one writes, end the execution
//! as a failure of kind [`crate::FailureKind::DataRace`] when the lane reaches its next access; so
//! do accesses to a cell that are not ordered with its [`renew`]al or its end ([`forget`]).

use crate::{
    current::{self, Phase},
    engine::{Engine, Turn},
    lane::NewLane,
    memory::{Life, Plain},
    op::{CellOp, Done, LockOp, Miss, Op, Ready, Update},
};
use std::panic;

pub use crate::order::{Mode, Order};

/// The result of [`rmw`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rmw {
    /// The value that was read.
    pub old: u64,
    /// Whether the update wrote.
    pub done: bool,
    /// What the caller must put into the real cell.
    pub latest: u64,
}

/// Announces `op`, lets others run as the search decides, and executes it. `None` when no lane runs
/// here.
fn perform(op: impl FnOnce(&mut Engine) -> Op) -> Option<Done> {
    if !active() {
        return None;
    }
    let turn = current::with(|engine| {
        let op = op(engine);
        engine.announce(op)
    })?;
    if let Turn::Other(yielder) = turn {
        // SAFETY: the pointer was stored when this coroutine started and stays valid as long as the
        // coroutine runs, and this code runs on it.
        unsafe { (*yielder).suspend(()) };
    }
    current::with(Engine::execute)
}

/// Whether a lane of a running exploration executes on this thread. False while it unwinds: what
/// would have been announced then goes by unseen, so the lane must not go on afterwards.
#[inline]
pub fn active() -> bool {
    current::phase() == Phase::Lanes && !(std::thread::panicking() && goes_by())
}

/// Notes that something goes by unseen.
#[cold]
fn goes_by() -> bool {
    current::with(Engine::goes_by);
    true
}

/// Whether instrumented locks are to run their own code on cells, rather than announce themselves
/// by [`lock`] and its kin: [`crate::Config::locks`].
pub fn locks_are_code() -> bool {
    current::with(|engine| engine.locks_are_code()).unwrap_or(false)
}

/// Reads the cell at `addr`.
pub fn load(addr: usize, now: u64, order: Order) -> u64 {
    perform(|engine| Op::Cell(engine.cell(addr, now), CellOp::Load(order)))
        .map_or(now, |done| done.old)
}

/// Writes `value` to the cell at `addr`. Returns what the caller must put into the real cell.
pub fn store(addr: usize, now: u64, value: u64, order: Order) -> u64 {
    perform(|engine| Op::Cell(engine.cell(addr, now), CellOp::Store { value, order }))
        .map_or(value, |done| done.latest)
}

/// Reads the cell and, if `f` returns a value, writes it, in one step. `f` must be pure: it may be
/// called any number of times. `failure` is the ordering when `f` returns nothing: then it is a
/// load, as in a loop that looks first and leaves it at that.
pub fn rmw(
    addr: usize,
    now: u64,
    success: Order,
    failure: Order,
    f: &mut dyn FnMut(u64) -> Option<u64>,
) -> Rmw {
    update(addr, now, [success, failure], Miss::Load, f)
}

/// Reads the cell and, if it holds `old`, writes `new`, in one step. `failure` is the ordering when
/// it does not. Under [`crate::Model::Tso`] it is a locked instruction, and so a fence, in either
/// case.
pub fn compare_exchange(
    addr: usize,
    now: u64,
    (old, new): (u64, u64),
    success: Order,
    failure: Order,
) -> Rmw {
    let mut f = |seen| (seen == old).then_some(new);
    update(addr, now, [success, failure], Miss::Locked, &mut f)
}

fn update(
    addr: usize,
    now: u64,
    [success, failure]: [Order; 2],
    miss: Miss,
    f: &mut dyn FnMut(u64) -> Option<u64>,
) -> Rmw {
    let update = Update::new(f);
    let rmw = CellOp::Rmw { success, failure, miss, update };
    match perform(|engine| Op::Cell(engine.cell(addr, now), rmw)) {
        Some(done) => Rmw { old: done.old, done: done.done, latest: done.latest },
        None => {
            let new = f(now);
            Rmw { old: now, done: new.is_some(), latest: new.unwrap_or(now) }
        }
    }
}

/// A fence.
pub fn fence(order: Order) {
    let _ = perform(|_| Op::Fence(order));
}

/// Blocks the lane until it can read a value for which `ready` holds, and returns that value.
/// `ready` must be pure.
pub fn wait_until(addr: usize, now: u64, order: Order, ready: &mut dyn FnMut(u64) -> bool) -> u64 {
    let ready = Ready::new(ready);
    perform(|engine| Op::Cell(engine.cell(addr, now), CellOp::Wait { order, ready }))
        .map_or(now, |done| done.old)
}

/// Takes the lock `id`, waiting for it if need be.
pub fn lock(id: usize, mode: Mode) {
    let _ = perform(|engine| Op::Lock(engine.lock(id), LockOp::Take(mode)));
}

/// Takes the lock `id` if nobody is in the way. Returns whether it was taken. An attempt that fails
/// orders nothing; under [`crate::Model::Weak`] it may have seen an older state of the lock, in
/// which somebody was in the way. Under [`crate::Model::Tso`] it empties the store buffer, as a
/// locked instruction does.
pub fn try_lock(id: usize, mode: Mode) -> bool {
    perform(|engine| Op::Lock(engine.lock(id), LockOp::Try(mode))).is_none_or(|done| done.done)
}

/// Waits until nobody has the lock `id` alone, as far as this lane can see, and takes nothing: what
/// the lock protects may be in use again. What those did who gave it back before happens before
/// what follows.
pub fn wait_unlocked(id: usize) {
    let _ = perform(|engine| Op::Lock(engine.lock(id), LockOp::SeeUnlocked));
}

/// Gives the lock `id` back. It must be the lane that took the lock; otherwise nothing happens.
pub fn unlock(id: usize, mode: Mode) {
    let _ = perform(|engine| Op::Lock(engine.lock(id), LockOp::GiveBack(mode)));
}

/// The cells, the locks and the plain memory in `[addr, addr + len)` end here: what lies there
/// later starts from its `now`, and is another. Not a step. No other lane may be at them: an access
/// that comes before the end in some execution, and that nothing orders before it, is a race. One
/// that always comes after it is taken for an access to what lies there then.
pub fn forget(addr: usize, len: usize) {
    if active() {
        current::with(|engine| engine.renew(addr, len, Life::End));
    }
}

/// The cells and locks in `[addr, addr + len)` are initialised anew: the next access to a cell
/// starts from its `now`, and a lock hands nothing over from before. Not a step. The lane must have
/// them alone: whatever others did to them happens before this, and this before whatever they will
/// do.
pub fn renew(addr: usize, len: usize) {
    if active() {
        current::with(|engine| engine.renew(addr, len, Life::Renew));
    }
}

/// The lane reads the plain memory that starts at `addr`. Not a step. A value is known by its
/// address: one that moves must be [`forget`]ten where it was.
pub fn read_plain(addr: usize) {
    if active() {
        current::with(|engine| engine.touch_plain(addr, Plain::Read));
    }
}

/// The lane writes the plain memory that starts at `addr`. Not a step.
pub fn write_plain(addr: usize) {
    if active() {
        current::with(|engine| engine.touch_plain(addr, Plain::Write));
    }
}

/// What this lane did until now happens before whatever follows a later [`take_over`] of the same
/// `id`. Not a step: for what has its order from elsewhere, such as the last of several owners. Who
/// is the last is not varied for its own sake, so it must not matter.
pub fn hand_over(id: usize) {
    if active() {
        current::with(|engine| engine.hand_over(id));
    }
}

/// See [`hand_over`]. Not a step; under [`crate::Model::Tso`] a full fence, as the taking of a lock
/// is.
pub fn take_over(id: usize) {
    if active() {
        current::with(|engine| engine.take_over(id));
    }
}

/// Starts a lane, whose number is returned. Not a step: the new lane runs up to its first access
/// once this one is at its next. All that this lane did happens before all that the new one does.
///
/// Numbers go by the order of starting, which the search does not vary for its own sake: they are
/// good for [`join`] and for nothing else.
///
/// Where no lane runs, `body` runs at once. More than [`crate::MAX_LANES`] lanes at a time end the
/// execution as a failure. A lane that has ended counts until one that starts another knows of its
/// end, by a [`join`] that happened before.
pub fn spawn(name: impl Into<String>, body: impl FnOnce() + 'static) -> usize {
    if !active() {
        body();
        return 0;
    }
    let new = NewLane { name: name.into(), body: Box::new(body) };
    current::with(|engine| engine.spawn(new)).unwrap_or(0)
}

/// Waits until a lane has ended. All that it did happens before what this lane does next. At once
/// where no lane runs.
///
/// # Panics
/// When there is no such lane; the execution is then a failure.
pub fn join(lane: usize) {
    if active() && current::with(|engine| engine.has_lane(lane)) == Some(false) {
        fail(format!("there is no lane {lane} to wait for"));
    }
    let _ = perform(|_| Op::Join(lane));
}

/// Names the objects in `[addr, addr + len)` in traces: `describe` gets the offset. Not a step; may
/// also be called while the subject builds. A later label for the same place wins. Only a replay
/// records names; a search drops them.
pub fn label(addr: usize, len: usize, describe: impl Fn(usize) -> String + 'static) {
    current::with(|engine| {
        if let Some(recorder) = &mut engine.recorder {
            recorder.label(addr, len, Box::new(describe));
        }
    });
}

/// Whether this execution is recorded: that of a replay is, and the one in which a search makes
/// sure of the failure that it reports. A subject may keep what explains such an execution, as long
/// as nothing that lanes do depends on it.
pub fn is_recorded() -> bool {
    current::with(|engine| engine.recorder.is_some()).unwrap_or(false)
}

/// The running lane, counted from 0 in the order in which they were added or started; 0 when no
/// lane runs. See [`spawn`] for what the numbers of started lanes are good for.
pub fn lane() -> usize {
    if active() { current::with(|engine| engine.number()).unwrap_or(0) } else { 0 }
}

/// The number of steps that this execution has made so far.
pub fn step() -> u64 {
    current::with(|engine| engine.steps()).unwrap_or(0)
}

/// Picks a number below `n`, which the search goes through like the orders of accesses. Zero when
/// `n` is less than two, without a step.
pub fn choose(n: usize) -> usize {
    if n < 2 {
        return 0;
    }
    perform(|_| Op::Choose(n)).map_or(0, |done| done.old as usize)
}

/// The payload that unwinds a lane after [`fail`].
struct Abandoned;

/// Ends this execution as a failure.
///
/// # Panics
/// Always: in a lane it unwinds silently, elsewhere it panics with the message.
pub fn fail(message: String) -> ! {
    if active() {
        current::with(|engine| engine.fail(message));
        panic::resume_unwind(Box::new(Abandoned));
    }
    panic!("{message}")
}
