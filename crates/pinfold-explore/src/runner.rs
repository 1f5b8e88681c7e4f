//! The lanes of one execution: coroutines on pooled stacks, resumed one at a time.
//!
//! INV-LANE-1: a lane that is left suspended when its execution ends is unwound with all hooks
//! inactive, before the subject judges, so that its destructors run and nothing leaks.
//! INV-LANE-2: a lane that another starts is resumed from here like any other, never from within
//! its parent.
//! INV-LANE-3: a stack returns to the pool only when nothing lives on it.

use crate::{
    current::{self, Phase},
    lane::NewLane,
};
use corosensei::{Coroutine, CoroutineResult, stack::DefaultStack};
use std::{
    any::Any,
    cell::RefCell,
    io,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

/// Enough for deep call chains of unoptimised code; untouched pages cost nothing.
const STACK_BYTES: usize = 512 * 1024;

type Fiber = Coroutine<(), (), ()>;

/// Runs executions, and keeps their stacks for later ones.
#[derive(Default)]
pub(crate) struct Runner {
    stacks: Vec<DefaultStack>,
    fibers: Vec<Fiber>,
}

impl Runner {
    /// Runs `lanes` until the engine says that the execution is over. The engine knows how it
    /// ended.
    ///
    /// # Errors
    /// If there is no memory for a stack; no lane has run then.
    pub(crate) fn run(&mut self, lanes: &mut Vec<NewLane>) -> io::Result<()> {
        while self.stacks.len() < lanes.len() {
            self.stacks.push(DefaultStack::new(STACK_BYTES)?);
        }
        for (index, lane) in lanes.drain(..).enumerate() {
            self.prepare(index, lane)?;
        }
        current::set_phase(Phase::Lanes);
        for index in 0..self.fibers.len() {
            self.resume(index);
        }
        self.deliver();
        let mut ran = None;
        while let Some(lane) = current::with(|engine| engine.next()).flatten() {
            observe(ran);
            ran = current::with(|engine| engine.number_at(lane));
            self.resume(lane);
            self.deliver();
        }
        observe(ran);
        current::set_phase(Phase::Alone);
        while current::with(|engine| engine.birth()).flatten().is_some() {}
        for mut fiber in self.fibers.drain(..) {
            if !fiber.done() {
                fiber.force_unwind();
            }
            self.stacks.push(fiber.into_stack());
        }
        Ok(())
    }

    /// Puts a lane on a stack. A lane that was at its place before has ended.
    fn prepare(&mut self, place: usize, lane: NewLane) -> io::Result<()> {
        let stack = match self.stacks.pop() {
            Some(stack) => stack,
            None => DefaultStack::new(STACK_BYTES)?,
        };
        let fiber = Coroutine::with_stack(stack, move |yielder, ()| {
            current::with(|engine| engine.enter(place, yielder));
            (lane.body)();
        });
        if place == self.fibers.len() {
            self.fibers.push(fiber);
        } else {
            let ended = std::mem::replace(&mut self.fibers[place], fiber);
            self.stacks.push(ended.into_stack());
        }
        Ok(())
    }

    /// Lets newly started lanes, and those that they start, run to their first access.
    fn deliver(&mut self) {
        while let Some((place, lane)) = current::with(|engine| engine.birth()).flatten() {
            match self.prepare(place, lane) {
                Ok(()) => self.resume(place),
                Err(error) => {
                    let message = format!("no memory for the stack of a lane: {error}");
                    current::with(|engine| engine.unsupported(message));
                }
            }
        }
    }

    /// Lets a lane run until it suspends or ends.
    fn resume(&mut self, lane: usize) {
        if current::with(|engine| engine.enter_turn(lane)).is_none_or(|goes| !goes) {
            return;
        }
        let fiber = &mut self.fibers[lane];
        match panic::catch_unwind(AssertUnwindSafe(|| fiber.resume(()))) {
            Ok(CoroutineResult::Yield(())) => {}
            Ok(CoroutineResult::Return(())) => {
                current::with(|engine| engine.leave());
            }
            Err(payload) => {
                let message = describe_panic(&*payload);
                current::with(|engine| engine.panicked(message));
            }
        }
    }
}

/// Lets the observer of a recorded execution look at what the lane with the number `ran` has made.
fn observe(ran: Option<usize>) {
    let observer = current::with(|engine| engine.recorder.as_ref()?.observer.clone()).flatten();
    if let Some(observer) = observer {
        observer(ran);
    }
}

thread_local! {
    /// Where the last panic under an exploration on this thread happened.
    static PANIC_PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Makes panics under an exploration silent; they are reported as failures. Panics elsewhere are
/// reported as before.
pub(crate) fn quiet_panics() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if current::phase() == Phase::Idle {
                previous(info);
            } else {
                let place = info.location().map(ToString::to_string);
                PANIC_PLACE.with_borrow_mut(|slot| *slot = place);
            }
        }));
    });
}

/// The message of a panic that was caught, with its place.
pub(crate) fn describe_panic(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    match PANIC_PLACE.take() {
        Some(place) => format!("{text} (at {place})"),
        None => text.to_owned(),
    }
}
