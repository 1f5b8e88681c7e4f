//! Trials of whole steps, one after another in a given order.
//!
//! INV-WHOLE-1: a step is begun when each step before it is done, or sleeps: until the child of a
//! vfork has left, or until a monitor has resolved its fault.
//! INV-WHOLE-2: an order says nothing of sleep for a monitor, which shows in the trial. What cannot
//! come yet because of it comes as soon as it can, before all that follows in the order.
//! INV-WHOLE-3: after a resolution whoever it has woken is done, or sleeps again, before anything
//! else begins.

use std::sync::Arc;
use std::time::Instant;

use pinfold_lab::resolved::{Act, ResolvedStep, UffdAct};
use pinfold_lab::scenario::Failure;

use super::ears::Access;
use super::{Answer, Stage};
use crate::inside::act::Role;
use crate::inside::board::{Hold, Question};
use crate::inside::sys;
use crate::job::{Did, Failed, fault};
use crate::watch;

/// Where a lane is.
#[derive(Clone, Copy, Default)]
struct Course {
    /// The steps that were begun.
    next: usize,
    /// Whether one did not do what it should, so that no more are begun.
    stopped: bool,
    /// The step that was begun last, if it sleeps.
    asleep: Option<Asleep>,
}

/// A step that sleeps. The answer to the question with this count comes later.
#[derive(Clone, Copy)]
enum Asleep {
    /// Until the child has left.
    Child { count: u64, child: usize },
    /// Until the fault is resolved.
    Fault { count: u64, access: Access },
}

/// What became of a step that was begun.
enum Begun {
    Done(Did),
    Sleeps(Asleep),
}

/// A trial.
struct Trial {
    lanes: Vec<Course>,
    failed: Vec<Failed>,
}

impl Stage {
    /// Whole steps in this order.
    pub(super) fn whole(&mut self, order: &[usize]) -> Result<Vec<Failed>, String> {
        let lanes = self.cast.plan.lanes.len();
        if let Some(lane) = order.iter().find(|lane| **lane >= lanes) {
            return Err(format!("there is no lane {lane}"));
        }
        let mut trial = Trial { lanes: vec![Course::default(); lanes], failed: Vec::new() };
        let mut left = order.to_vec();
        while let Some(at) = left.iter().position(|lane| self.may_come(&trial, *lane)) {
            let lane = left.remove(at);
            self.come(&mut trial, lane)?;
        }
        for lane in 0..lanes {
            if let Some(Asleep::Child { count, .. }) = trial.lanes[lane].asleep {
                self.await_last(&mut trial, lane, count)?;
            }
        }
        if trial.failed.is_empty() {
            trial.failed = self.stuck(&trial, &left)?;
        }
        Ok(trial.failed)
    }

    /// Whether the next step of a lane may come: INV-WHOLE-2. An order keeps the rest.
    fn may_come(&self, trial: &Trial, lane: usize) -> bool {
        let plan = &self.cast.plan;
        let (planned, course) = (&plan.lanes[lane], &trial.lanes[lane]);
        let Some(step) = planned.steps.get(course.next) else { return true };
        if course.stopped || !watch::is_watched(plan) {
            return true;
        }
        let board = &self.cast.board;
        let awake = match course.asleep {
            None => true,
            Some(Asleep::Child { child, .. }) => self.has_left(child),
            Some(Asleep::Fault { .. }) => false,
        };
        let born = planned.process.is_none_or(|process| board.process(process).is_some());
        let follows = planned.after.is_none_or(|other| {
            let (before, steps) = (&trial.lanes[other], plan.lanes[other].steps.len());
            before.stopped || (before.next == steps && before.asleep.is_none())
        });
        let held = step.act.uses_handle().is_none_or(|handle| board.hold(handle) != Hold::No);
        let given = match (step.act, planned.process) {
            (Act::Await(signal), _) => board.is_raised(signal),
            (Act::Uffd(UffdAct::Wait(at, reason)), Some(process)) => {
                board.is_told(plan.home(process), at.of, at.page, reason)
            }
            _ => true,
        };
        awake && born && follows && held && given
    }

    /// Whether a child has left its parent's address space.
    fn has_left(&self, child: usize) -> bool {
        let leaves = |step: &ResolvedStep| {
            matches!(step.act, Act::Exit | Act::Exec) && step.process == Some(child)
        };
        let mut steps = self.cast.plan.steps().enumerate();
        steps.any(|(number, step)| leaves(step) && self.cast.board.step(number).is_some())
    }

    /// The next step of a lane, if there is one to come.
    fn come(&mut self, trial: &mut Trial, lane: usize) -> Result<(), String> {
        let cast = Arc::clone(&self.cast);
        let planned = &cast.plan.lanes[lane];
        let Some(step) = planned.steps.get(trial.lanes[lane].next) else { return Ok(()) };
        let born = planned.process.is_none_or(|process| cast.board.process(process).is_some());
        if trial.lanes[lane].stopped || !born {
            return Ok(());
        }
        if let Some(Asleep::Child { count, .. }) = trial.lanes[lane].asleep {
            self.await_last(trial, lane, count)?;
        }
        let number = cast.first_step(lane) + trial.lanes[lane].next;
        trial.lanes[lane].next += 1;
        sys::nodes::drain();
        let mark = self.ears.mark();
        let gone = planned.process.is_some_and(|process| self.is_gone(process));
        let done = match (gone, step.act.needs_process()) {
            (true, true) => {
                cast.note_missing(step, Did::Failed(Failure::Exited));
                Did::Failed(Failure::Exited)
            }
            // What needs no process goes on without it, and the agent can do it as well.
            (true, false) => cast.carry_out(number),
            (false, _) => match self.begin_step(lane, number)? {
                Begun::Done(done) => done,
                Begun::Sleeps(asleep) => {
                    trial.lanes[lane].asleep = Some(asleep);
                    return self.meet(step);
                }
            },
        };
        self.meet(step)?;
        trial.lanes[lane].stopped = self.told(number, done, &mut trial.failed)?;
        self.settle(trial, (step, done), mark)
    }

    /// Waits for the answer of the step of a lane that was begun last, which sleeps.
    fn await_last(&mut self, trial: &mut Trial, lane: usize, count: u64) -> Result<(), String> {
        let process = self.cast.plan.lanes[lane].process;
        let done = self.wait(self.cast.executor(Role::Lane(lane)), count, process)?;
        trial.lanes[lane].asleep = None;
        let last = self.cast.first_step(lane) + trial.lanes[lane].next - 1;
        self.told(last, done, &mut trial.failed).map(drop)
    }

    /// Waits for all that a step has woken, each until it is done or sleeps again: INV-WHOLE-3. The
    /// mark is from before the step.
    fn settle(
        &mut self,
        trial: &mut Trial,
        (step, done): (&ResolvedStep, Did),
        mark: usize,
    ) -> Result<(), String> {
        let cast = Arc::clone(&self.cast);
        let (Act::Uffd(act), Some(process), Did::Worked(_)) = (step.act, step.process, done) else {
            return Ok(());
        };
        let Some((home, range)) = cast.wakes(process, act) else { return Ok(()) };
        for lane in 0..trial.lanes.len() {
            let Some(Asleep::Fault { count, access }) = trial.lanes[lane].asleep else { continue };
            if access.home != home || !range.contains(access.address) {
                continue;
            }
            let executor = cast.executor(Role::Lane(lane));
            let sleeper = cast.plan.lanes[lane].process;
            match self.wait_or_hear(executor, count, sleeper, mark)? {
                Answer::Waits { access, .. } => {
                    trial.lanes[lane].asleep = Some(Asleep::Fault { count, access });
                }
                Answer::Done(done) => {
                    let number = cast.first_step(lane) + trial.lanes[lane].next - 1;
                    trial.lanes[lane].asleep = None;
                    if let Some(step) = cast.step(number) {
                        self.meet(step)?;
                    }
                    trial.lanes[lane].stopped = self.told(number, done, &mut trial.failed)?;
                }
            }
        }
        Ok(())
    }

    /// The steps that never end, and those that wait for what never comes, once nothing else is
    /// left. What waits for a process that was never made is none of them.
    fn stuck(&self, trial: &Trial, left: &[usize]) -> Result<Vec<Failed>, String> {
        let plan = &self.cast.plan;
        let mut stuck = Vec::new();
        for (lane, (planned, course)) in plan.lanes.iter().zip(&trial.lanes).enumerate() {
            let born = planned.process.is_none_or(|id| self.cast.board.process(id).is_some());
            let at = match course.asleep {
                Some(_) if planned.process.is_some_and(|process| self.is_gone(process)) => {
                    return Err(format!("lane {} was ended inside a step", planned.name));
                }
                Some(_) => course.next.checked_sub(1),
                None => (born && left.contains(&lane)).then_some(course.next),
            };
            let step = at.and_then(|at| planned.steps.get(at));
            let what = "it waits for ever";
            stuck
                .extend(step.map(|step| Failed { step: step.text.clone(), what: what.to_owned() }));
        }
        Ok(stuck)
    }

    /// Notes what a step did; whether it is not what it should have done.
    fn told(&self, number: usize, done: Did, failed: &mut Vec<Failed>) -> Result<bool, String> {
        let Some(step) = self.cast.step(number) else { return Ok(false) };
        let what = fault(&self.cast.plan, step, done)?;
        let wrong = what.is_some();
        failed.extend(what.map(|what| Failed { step: step.text.clone(), what }));
        Ok(wrong)
    }

    /// Has a lane carry out a step, and waits until it is done or sleeps.
    fn begin_step(&mut self, lane: usize, number: usize) -> Result<Begun, String> {
        let cast = Arc::clone(&self.cast);
        let executor = cast.executor(Role::Lane(lane));
        let mark = self.ears.mark();
        let count = cast.board.ask(executor, Question::Step(number));
        let Some(Act::Vfork(child)) = cast.step(number).map(|step| step.act) else {
            let process = cast.plan.lanes[lane].process;
            return Ok(match self.wait_or_hear(executor, count, process, mark)? {
                Answer::Done(done) => Begun::Done(done),
                Answer::Waits { count, access } => Begun::Sleeps(Asleep::Fault { count, access }),
            });
        };
        let begun = Instant::now();
        loop {
            if cast.board.process(child).is_some() {
                return Ok(Begun::Sleeps(Asleep::Child { count, child }));
            }
            if let Some(done) = cast.board.answered(executor, count, 1) {
                return Ok(Begun::Done(done));
            }
            if begun.elapsed() > cast.patience {
                return Err("vfork makes no process".to_owned());
            }
        }
    }
}
