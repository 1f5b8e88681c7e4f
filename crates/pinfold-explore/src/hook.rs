//! What instrumented code calls for each shared access.
//!
//! Protocol: the caller owns the real cell. It passes the cell's present content as `now`, and
//! writes back what the hook returns, so that the real cell always holds the latest value in
//! modification order. A call may run other lanes before it returns; the caller must hold no borrow
//! that another lane could need.
//!
//! Called where no lane runs, every hook acts on `now` alone and returns at once: during `build`
//! and `judge`, while a lane unwinds, and outside any exploration. [`active`] says whether that is
//! so. The explorer therefore sees nothing of what a lane's destructors do while it unwinds (a
//! store, the release of a lock). A panic ends the execution, so this does not matter; a lane that
//! catches its own panic and continues ends the execution as a failure of kind
//! [`crate::FailureKind::Unsupported`].
//!
//! Data races: [`read_plain`] and [`write_plain`] announce accesses to memory that is not atomic.
//! They are not steps. Two of them that are unordered, and of which one writes, end the execution
//! as a failure of kind [`crate::FailureKind::DataRace`] when the lane reaches its next access; so
//! do accesses to a cell that are unordered with its [`renew`]al or its end ([`forget`]).

use crate::{
    current::{self, Phase},
    engine::{Engine, Turn},
    lane::NewLane,
    memory::{Life, Plain},
    op::{CellOp, Done, LockOp, Miss, Op, Ready, Update},
};
use std::{panic, rc::Rc};

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

/// Announces `op`, lets other lanes run as the search decides, and executes it. `None` when no lane
/// runs here.
fn perform(op: impl FnOnce(&mut Engine) -> Op) -> Option<Done> {
    if !active() {
        return None;
    }
    let turn = current::with(|engine| {
        let op = op(engine);
        engine.announce(op)
    })?;
    if let Turn::Other(yielder) = turn {
        // SAFETY: the pointer was stored when this coroutine started and stays valid for as long as
        // the coroutine runs, and this code runs on it.
        unsafe { (*yielder).suspend(()) };
    }
    current::with(Engine::execute)
}

/// Whether a lane of a running exploration executes on this thread. False while it unwinds: the
/// explorer misses what would have been announced then, so the lane must not continue afterwards.
#[inline]
pub fn active() -> bool {
    current::phase() == Phase::Lanes && !(std::thread::panicking() && note_unseen())
}

/// Whether a lane of an exploration unwinds on this thread, as the lanes of an abandoned execution
/// do. Nothing runs beside it, so what another lane holds stays held for as long as it waits.
pub fn unwinds() -> bool {
    current::phase() != Phase::Idle && std::thread::panicking()
}

/// Notes that the explorer misses something.
#[cold]
fn note_unseen() -> bool {
    current::with(Engine::note_unseen);
    true
}

/// Whether the search remembers states, so that it has use for [`plain_holds`].
pub fn remembers() -> bool {
    active() && current::with(|engine| engine.remembers()).unwrap_or(false)
}

/// Whether instrumented locks are to run their own code on cells, rather than announce themselves
/// through [`lock`] and its siblings: [`crate::Config::locks`].
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
/// called any number of times. `failure` is the ordering when `f` returns `None`: the access is
/// then a load, as in a loop that reads first and finds nothing to do.
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

/// Reads the cell and writes what `f` makes of its value, in one step: [`rmw`] that always writes.
/// A search that remembers states then knows that it reads the latest update.
pub fn modify(addr: usize, now: u64, order: Order, f: &mut dyn FnMut(u64) -> u64) -> Rmw {
    update(addr, now, [order; 2], Miss::Never, &mut |old| Some(f(old)))
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

/// Takes the lock `id`, waiting for it if necessary.
pub fn lock(id: usize, mode: Mode) {
    let _ = perform(|engine| Op::Lock(engine.lock(id), LockOp::Take(mode)));
}

/// Takes the lock `id` if no holder excludes that. Returns whether it was taken. A failed attempt
/// orders nothing; under [`crate::Model::Weak`] it may have seen an older state of the lock, in
/// which a holder excluded it. Under [`crate::Model::Tso`] it empties the store buffer, as a locked
/// instruction does.
pub fn try_lock(id: usize, mode: Mode) -> bool {
    perform(|engine| Op::Lock(engine.lock(id), LockOp::Try(mode))).is_none_or(|done| done.done)
}

/// Waits until no lane holds the lock `id` exclusively, as far as this lane can see, and takes
/// nothing: what the lock protects may be in use again. What earlier holders did before they
/// released it happens before what follows.
pub fn wait_unlocked(id: usize) {
    let _ = perform(|engine| Op::Lock(engine.lock(id), LockOp::SeeUnlocked));
}

/// Releases the lock `id`. The caller must be the lane that took the lock; otherwise nothing
/// happens.
pub fn unlock(id: usize, mode: Mode) {
    let _ = perform(|engine| Op::Lock(engine.lock(id), LockOp::GiveBack(mode)));
}

/// The cells, the locks and the plain memory in `[addr, addr + len)` end here: what lies there
/// later is a different object, and starts from its `now`. Not a step. No other lane may be using
/// them: an access that comes before the end in some execution, and that nothing orders before it,
/// is a race. An access that always comes after the end is taken for one to what lies there then.
pub fn forget(addr: usize, len: usize) {
    if active() {
        current::with(|engine| engine.renew(addr, len, Life::End));
    }
}

/// The cells and locks in `[addr, addr + len)` are reinitialised: the next access to a cell starts
/// from its `now`, and a lock hands over nothing from before. Not a step. The lane must have
/// exclusive use of them: everything that others did to them must happen before this, and this
/// before everything that they will do.
pub fn renew(addr: usize, len: usize) {
    if active() {
        current::with(|engine| engine.renew(addr, len, Life::Renew));
    }
}

/// Sets a cell that the lane has to itself, and that holds `now`, to `value`: [`renew`], for one
/// cell of `len` bytes whose value is known. The caller writes it into the real cell.
pub fn init(addr: usize, len: usize, now: u64, value: u64) {
    if active() {
        current::with(|engine| engine.init(addr, len, [now, value]));
    }
}

/// The lane reads the plain memory that starts at `addr`. Not a step. A value is identified by its
/// address: one that moves must be [`forget`]ten at the old address.
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

/// The plain memory at `addr` holds what `value` is a hash of: all of it that anything depends on.
/// The lane, if it has written there, writes no more before it has released the lock that protects
/// it. Not a step: a search that remembers states ([`crate::States`]) then need not tell who wrote
/// it.
pub fn plain_holds(addr: usize, value: u64) {
    if active() {
        current::with(|engine| engine.plain_holds(addr, value));
    }
}

/// What this lane did until now happens before everything that follows a later [`take_over`] of the
/// same `id`. Not a step: for operations ordered by other means, such as those of the last of
/// several owners. The search does not vary which owner is the last for its own sake, so it must
/// not matter.
pub fn hand_over(id: usize) {
    if active() {
        current::with(|engine| engine.hand_over(id));
    }
}

/// See [`hand_over`]. Not a step; under [`crate::Model::Tso`] a full fence, as taking a lock is.
pub fn take_over(id: usize) {
    if active() {
        current::with(|engine| engine.take_over(id));
    }
}

/// Starts a lane and returns its number. Not a step: the new lane runs up to its first access once
/// this one has reached its next. Everything that this lane did happens before everything that the
/// new one does.
///
/// Numbers follow the order in which lanes start, which the search does not vary for its own sake:
/// use them for [`join`] and for nothing else.
///
/// Where no lane runs, `body` runs at once. More than [`crate::MAX_LANES`] lanes at a time end the
/// execution as a failure. A lane that has ended still counts until a lane that starts another
/// knows of that end, through a [`join`] that happened before.
pub fn spawn(name: impl Into<String>, body: impl FnOnce() + 'static) -> usize {
    if !active() {
        body();
        return 0;
    }
    let new = NewLane { name: name.into(), body: Box::new(body) };
    current::with(|engine| engine.spawn(new)).unwrap_or(0)
}

/// Waits until a lane has ended. Everything that it did happens before what this lane does next.
/// Returns at once where no lane runs.
///
/// # Panics
/// If there is no such lane; the execution is then a failure.
pub fn join(lane: usize) {
    if active() && current::with(|engine| engine.has_lane(lane)) == Some(false) {
        fail(format!("there is no lane {lane} to wait for"));
    }
    let _ = perform(|_| Op::Join(lane));
}

/// The lane saw `value` in what it shares with others without announcing it, or it follows from
/// that: a number that was handed out, whether something exists. Not a step, and the search does
/// not vary it for its own sake; but a search that remembers states ([`crate::States`]) must not
/// take two states for the same in which a lane saw different things.
pub fn saw(value: u64) {
    if active() {
        current::with(|engine| engine.saw(value));
    }
}

/// Makes one access of which the lane looks at no more than a class: the result of `classify` on
/// what the access gave, which is all that is returned. A search that remembers states may then
/// take two states for the same in which the lane saw different values of one class. `access` must
/// make exactly one access, and `classify` none.
pub fn observed<T, C>(
    access: impl FnOnce() -> T,
    classify: impl FnOnce(T) -> C,
    number: impl FnOnce(&C) -> u64,
) -> C {
    if active() {
        current::with(Engine::looks_at_class);
    }
    let class = classify(access());
    saw(number(&class));
    class
}

/// Names the objects in `[addr, addr + len)` in traces: `describe` is given the offset. Not a step;
/// may also be called while the subject builds. A later label for the same place wins. Only a
/// replay records names; a search drops them.
///
/// It also declares that these objects belong together: a search that remembers states
/// ([`crate::States`]) recognises an object there by which range it was and the offset, whoever
/// meets it first. For this the first label of a place counts until something there ends.
pub fn label(addr: usize, len: usize, describe: impl Fn(usize) -> String + 'static) {
    let alone = current::phase() != Phase::Lanes;
    current::with(|engine| {
        engine.declare(alone, addr, len);
        if let Some(recorder) = &mut engine.recorder {
            recorder.label(addr, len, Box::new(describe));
        }
    });
}

/// Whether this execution is recorded: a replay is, and so is the execution in which a search
/// confirms the failure that it reports. A subject may keep extra data to explain such an
/// execution, as long as nothing that lanes do depends on it.
pub fn is_recorded() -> bool {
    current::with(|engine| engine.recorder.is_some()).unwrap_or(false)
}

/// Calls `observer` in a recorded execution each time that a lane has run and before another does,
/// or the same again. It is told which lane has run, as [`lane`] counts them; none where all have
/// only run up to their first access. It may look at the subject without a step, and must not call
/// hooks that make one; what is new since it looked last, that lane has made. Otherwise it is
/// dropped.
pub fn observe(observer: impl Fn(Option<usize>) + 'static) {
    current::with(|engine| {
        if let Some(recorder) = &mut engine.recorder {
            recorder.observer = Some(Rc::new(observer));
        }
    });
}

/// The running lane, counted from 0 in the order in which they were added or started; 0 when no
/// lane runs. See [`spawn`] for what the numbers of started lanes may be used for.
pub fn lane() -> usize {
    if active() { current::with(|engine| engine.number()).unwrap_or(0) } else { 0 }
}

/// The number of steps that this execution has made so far.
pub fn step() -> u64 {
    current::with(|engine| engine.steps()).unwrap_or(0)
}

/// Picks a number below `n`; the search explores the numbers as it does the orders of accesses.
/// When `n` is less than two, returns zero without a step.
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
