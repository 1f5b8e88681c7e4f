//! What this thread is doing for an exploration, and the engine of that exploration.

use crate::engine::Engine;
use std::{cell::Cell, marker::PhantomData, ptr};

/// What this thread is doing for an exploration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing.
    Idle,
    /// The subject builds or judges, or an execution is being torn down.
    Alone,
    /// A lane runs.
    Lanes,
}

thread_local! {
    static PHASE: Cell<Phase> = const { Cell::new(Phase::Idle) };
    /// The engine of the exploration on this thread. Null while there is none and while it is
    /// borrowed.
    static ENGINE: Cell<*mut Engine> = const { Cell::new(ptr::null_mut()) };
}

/// What this thread is doing.
#[inline]
pub(crate) fn phase() -> Phase {
    PHASE.get()
}

/// Sets what the thread does from now on.
pub(crate) fn set_phase(phase: Phase) {
    PHASE.set(phase);
}

/// Lends the engine to the hooks of this thread for as long as the guard lives.
pub(crate) struct Installed<'a>(PhantomData<&'a mut Engine>);

impl<'a> Installed<'a> {
    /// Nothing may touch the engine except through [`with`] until the guard is dropped.
    pub(crate) fn new(engine: &'a mut Engine) -> Self {
        ENGINE.set(engine);
        set_phase(Phase::Alone);
        Self(PhantomData)
    }
}

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        ENGINE.set(ptr::null_mut());
        set_phase(Phase::Idle);
    }
}

/// Runs `action` on the engine of this thread. `None` when there is none, or when it is already
/// borrowed: a closure that the engine calls may not call back into it. `action` must not switch
/// coroutines.
#[inline]
pub(crate) fn with<R>(action: impl FnOnce(&mut Engine) -> R) -> Option<R> {
    /// Puts the engine back, even when `action` unwinds.
    struct Return(*mut Engine);
    impl Drop for Return {
        #[inline]
        fn drop(&mut self) {
            ENGINE.set(self.0);
        }
    }
    let engine = Return(ENGINE.replace(ptr::null_mut()));
    if engine.0.is_null() {
        return None;
    }
    // SAFETY: the pointer comes from the exclusive borrow that a live `Installed` holds, and it is
    // taken out of the cell while `action` runs, so that this is the only reference.
    Some(action(unsafe { &mut *engine.0 }))
}
