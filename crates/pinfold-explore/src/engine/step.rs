//! The execution of one announced access.

use super::Engine;
use crate::{
    memory::Reach,
    object::Object,
    op::{Behind, Done, Op},
    order::Mode,
    schedule::Choice,
    search::Touch,
};

impl Engine {
    /// What the access may touch, before its result is known. Whoever asks for a lock, or gives it
    /// back, and holds it before and after, does what nobody else has a part in.
    pub(super) fn touch(&self, place: usize, op: &Op) -> Touch {
        match *op {
            Op::Load { cell, .. } => Touch::Read(cell),
            Op::Store { cell, .. } | Op::Rmw { cell, .. } => Touch::Write(cell),
            Op::Wait { cell, .. } => Touch::Wait(cell),
            Op::Fence { .. } | Op::Choose { .. } => Touch::Local,
            Op::Join { lane } => Touch::Join(lane),
            Op::Lock { lock, .. } | Op::TryLock { lock, .. }
                if self.locks.is_held_by(lock, place) =>
            {
                Touch::Local
            }
            Op::Unlock { lock, mode } if !self.locks.is_last_hold(lock, place, mode) => {
                Touch::Local
            }
            Op::Lock { lock, mode } => Touch::Lock(lock, mode),
            Op::TryLock { lock, mode } => Touch::Try(lock, mode),
            Op::Unlock { lock, mode } => Touch::Unlock(lock, mode),
            Op::SeeUnlocked { lock } => Touch::SeeUnlocked(lock),
        }
    }

    /// Executes the announced access of the running lane, which was picked.
    pub(crate) fn execute(&mut self) -> Done {
        let place = self.current;
        let berth = &mut self.roster.berths[place];
        let Some(op) = berth.pending.take() else { return Done::default() };
        let contents = berth.contents;
        let touch = self.roster.touches[place].take().unwrap_or(Touch::Local);
        // Another lane may have begun a new life of the cell since this one announced the access.
        if let Some(cell) = op.cell() {
            self.memory.meet(cell, contents);
        }
        if let Some(object) = op.object() {
            let race = self.memory.reach(self.actor(), object, Reach::Atomic);
            self.check(race, |engine| engine.place(object));
        }
        let (choice, done) = match &op {
            Op::Choose { n } => {
                self.options.clear();
                self.options.extend(0..u32::try_from(*n).unwrap_or(u32::MAX));
                let choice = self.strategy.option(&self.options);
                (choice, Done { old: u64::from(choice), new: u64::from(choice), ..Done::default() })
            }
            Op::Lock { lock, mode } => (0, self.take(touch, *lock, *mode)),
            Op::TryLock { lock, mode } => self.attempt(touch, *lock, *mode),
            Op::Unlock { lock, mode } => {
                self.locks.release(*lock, place, *mode);
                if touch != Touch::Local {
                    self.memory.give_back(place, *lock, *mode);
                }
                (0, Done::default())
            }
            Op::SeeUnlocked { lock } => {
                let free = self.locks.is_free(*lock, Mode::Shared);
                let behind = || self.strategy.behind(place, touch);
                self.memory.unlocked(place, *lock, free, behind, &mut self.options);
                let choice = self.choose();
                self.memory.see_unlocked(place, *lock, choice);
                (choice, Done::default())
            }
            Op::Fence { order } => {
                self.memory.fence(place, *order);
                (0, Done::default())
            }
            Op::Join { lane } => {
                self.memory.join(place, *lane);
                (0, Done::default())
            }
            op => {
                let strategy = &self.strategy;
                self.memory.options(place, op, || strategy.behind(place, touch), &mut self.options);
                let choice = self.choose();
                (choice, self.memory.execute(place, op, choice))
            }
        };
        let touch = match (touch, &op) {
            (Touch::Write(cell), Op::Rmw { .. }) if !done.done => Touch::Read(cell),
            (Touch::Try(lock, mode), _) if done.done => Touch::Took(lock, mode),
            (Touch::Try(lock, mode), _) => Touch::Failed(lock, mode),
            (touch, _) => touch,
        };
        if self.recorder.is_some() {
            self.record(choice, &op, done);
        }
        self.schedule.push(Choice { lane: place, choice });
        self.last = Some(place);
        self.strategy.executed(place, touch);
        done
    }

    /// Lets the strategy choose among the options, if there are several.
    fn choose(&mut self) -> u32 {
        match self.options[..] {
            [] => 0,
            [only] => only,
            _ => self.strategy.option(&self.options),
        }
    }

    fn record(&mut self, choice: u32, op: &Op, done: Done) {
        let Self { recorder: Some(recorder), objects, roster, .. } = self else { return };
        let lane = roster.berths[self.current].number;
        let other = match *op {
            Op::Join { lane } => roster.name(lane),
            _ => "",
        };
        recorder.record(lane, choice, op, done, objects, other);
    }

    fn take(&mut self, touch: Touch, lock: Object, mode: Mode) -> Done {
        self.locks.take(lock, self.current, mode);
        match touch {
            Touch::Local => self.memory.ask_again(self.current),
            _ => self.memory.take(self.current, lock, mode),
        }
        Done { done: true, ..Done::default() }
    }

    fn attempt(&mut self, touch: Touch, lock: Object, mode: Mode) -> (u32, Done) {
        let (place, free) = (self.current, self.locks.is_free(lock, mode));
        if touch == Touch::Local {
            if free {
                return (0, self.take(touch, lock, mode));
            }
            self.memory.ask_again(place);
            return (0, Done::default());
        }
        let strategy = &self.strategy;
        let behind = || -> Behind { strategy.behind(place, touch) };
        self.memory.attempts(place, lock, mode, behind, &mut self.options);
        let choice = self.choose();
        if free && choice == 0 {
            return (0, self.take(touch, lock, mode));
        }
        self.memory.fail(place, lock, mode, choice);
        (choice, Done::default())
    }
}
