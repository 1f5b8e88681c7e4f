//! The execution of one announced access.

use super::{Engine, roster::Sight};
use crate::{
    ledger::{Ledger, Name},
    memory::{Reach, Source},
    object::Object,
    op::{Behind, CellOp, Done, LockOp, Op},
    order::Mode,
    schedule::Choice,
    search::{Note, Seat, Touch},
};

impl Engine {
    /// What the access may touch, before its result is known. A lane that takes or releases a lock,
    /// and holds it both before and after, does something that no other lane can notice.
    pub(super) fn touch(&self, place: usize, op: &Op) -> Touch {
        let is_local = match *op {
            Op::Lock(lock, LockOp::Take(_) | LockOp::Try(_)) => self.locks.is_held_by(lock, place),
            Op::Lock(lock, LockOp::GiveBack(mode)) => !self.locks.is_last_hold(lock, place, mode),
            Op::Lock(_, LockOp::SeeUnlocked)
            | Op::Cell(..)
            | Op::Fence(_)
            | Op::Choose(_)
            | Op::Join(_) => false,
        };
        if is_local { Touch::Local } else { Touch::announced(op) }
    }

    /// Executes the announced access of the running lane, which was picked.
    pub(crate) fn execute(&mut self) -> Done {
        let place = self.current;
        let berth = &mut self.roster.berths[place];
        let Some(op) = berth.pending.take() else { return Done::default() };
        let contents = berth.contents;
        let touch = self.roster.touches[place].take().unwrap_or(Touch::Local);
        // Another lane may have begun a new lifetime of the cell since this one announced the
        // access.
        if let Op::Cell(cell, _) = op {
            self.meet(cell, contents);
        }
        if let Some(object) = op.object() {
            self.note_object(object, |name| Note::Reaches(name, Reach::Atomic));
            let race = self.memory.reach(self.actor(), object, Reach::Atomic);
            self.check(race, |engine| engine.place(object));
        }
        let repeated = self.repeated.take();
        let mut seat = Seat::default();
        let (choice, done) = match op {
            Op::Cell(cell, ref access) => {
                let described = self.ledger.is_some() && !self.memory.is_sequential();
                let is_plain = described && self.memory.ends_with_newest(cell);
                let choice = repeated.unwrap_or_else(|| {
                    let behind = || self.strategy.behind(place, touch);
                    self.memory.options(place, cell, access, behind, &mut self.options);
                    self.choose()
                });
                seat = Seat { is_plain, is_last: described && choice == 0 };
                (choice, self.memory.execute(place, cell, access, choice))
            }
            Op::Lock(lock, access) => self.execute_lock(touch, (lock, access), repeated),
            Op::Fence(order) => {
                self.memory.fence(place, order);
                (0, Done::default())
            }
            Op::Choose(n) => {
                let choice = repeated.unwrap_or_else(|| {
                    self.options.clear();
                    self.options.extend(0..u32::try_from(n).unwrap_or(u32::MAX));
                    self.strategy.option(&self.options)
                });
                (choice, Done { old: u64::from(choice), new: u64::from(choice), ..Done::default() })
            }
            Op::Join(lane) => {
                self.memory.join(place, lane);
                (0, Done::default())
            }
        };
        let touch = touch.executed(&op, done);
        if self.recorder.is_some() {
            self.record(choice, &op, done);
        }
        self.schedule.push(Choice { lane: place, choice });
        self.last = Some(place);
        let named = |ledger: &Ledger| op.object().map(|object| ledger.named(object));
        let name = self.ledger.as_ref().and_then(named);
        self.strategy.executed(place, touch, name, seat);
        self.enter_result(&op, touch, done, choice);
        done
    }

    /// Enters what came of an access into the ledger, if there is one.
    fn enter_result(&mut self, op: &Op, touch: Touch, done: Done, choice: u32) {
        let Some(ledger) = &mut self.ledger else { return };
        let place = self.current;
        ledger.makes(place);
        let sight = std::mem::take(&mut self.roster.berths[place].sight);
        let mut sees = |value| {
            if sight == Sight::Whole {
                ledger.observes(place, value);
            }
        };
        match *op {
            Op::Cell(cell, ref access) => {
                match access {
                    CellOp::Load(_) | CellOp::Wait { .. } | CellOp::Rmw { .. } => sees(done.old),
                    CellOp::Store { .. } => {}
                }
                ledger.holds(cell, done.latest);
                let name = ledger.named(cell);
                if self.memory.is_sc_access(access) {
                    self.strategy.truncated();
                }
                match access {
                    CellOp::Store { .. } => self.note(Note::Resets(Source::Cell(name))),
                    CellOp::Load(_) | CellOp::Wait { .. } | CellOp::Rmw { .. } => {
                        if self.memory.learns(access, choice, done.done) {
                            self.note(Note::Learns(Source::Cell(name)));
                        }
                    }
                }
            }
            Op::Lock(lock, access) => {
                if let LockOp::Try(_) = access {
                    sees(u64::from(done.done));
                }
                match access {
                    LockOp::Take(_) | LockOp::Try(_) if done.done => ledger.takes(place, lock),
                    LockOp::GiveBack(_) => ledger.gives_back(place, lock),
                    LockOp::Take(_) | LockOp::Try(_) | LockOp::SeeUnlocked => {}
                }
                let name = ledger.named(lock);
                let mode = match access {
                    LockOp::Take(mode) | LockOp::Try(mode) => done.done.then_some(mode),
                    LockOp::SeeUnlocked => Some(Mode::Shared),
                    LockOp::GiveBack(_) => None,
                };
                if let Some(mode) = mode.filter(|_| touch != Touch::Local) {
                    self.note(Note::Learns(Source::Exclusive(name)));
                    if mode == Mode::Exclusive {
                        self.note(Note::Learns(Source::Shared(name)));
                    }
                }
            }
            Op::Fence(_) => {}
            Op::Choose(_) => sees(done.old),
            Op::Join(number) => {
                self.note(Note::Learns(Source::End(number)));
                self.note(Note::Meets(Ledger::UNMET));
            }
        }
    }

    /// Tells the search what the running lane does, if it remembers states.
    pub(super) fn note(&mut self, note: Note) {
        if self.ledger.is_some() {
            self.strategy.note(self.current, note, self.memory.known(self.current));
        }
    }

    /// The same about an object.
    pub(super) fn note_object(&mut self, object: Object, note: impl FnOnce(Name) -> Note) {
        if let Some(ledger) = &self.ledger {
            let note = note(ledger.named(object));
            self.strategy.note(self.current, note, self.memory.known(self.current));
        }
    }

    /// Executes what the running lane does with a lock; `repeated` is the option, if it is known.
    fn execute_lock(
        &mut self,
        touch: Touch,
        (lock, access): (Object, LockOp),
        repeated: Option<u32>,
    ) -> (u32, Done) {
        let place = self.current;
        match access {
            LockOp::Take(mode) => (0, self.take(touch, lock, mode)),
            LockOp::Try(mode) => self.attempt(touch, (lock, mode), repeated),
            LockOp::GiveBack(mode) => {
                self.locks.release(lock, place, mode);
                if touch != Touch::Local {
                    self.memory.give_back(place, lock, mode);
                }
                (0, Done::default())
            }
            LockOp::SeeUnlocked => {
                let choice = repeated.unwrap_or_else(|| {
                    let free = self.locks.is_free(lock, Mode::Shared);
                    let behind = || self.strategy.behind(place, touch);
                    self.memory.unlocked(place, lock, free, behind, &mut self.options);
                    self.choose()
                });
                self.memory.see_unlocked(place, lock, choice);
                (choice, Done::default())
            }
        }
    }

    /// Lets the strategy choose an option, if there are several.
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
            Op::Join(lane) => roster.name(lane),
            Op::Cell(..) | Op::Lock(..) | Op::Fence(_) | Op::Choose(_) => "",
        };
        recorder.record(lane, choice, op, done, objects, other);
    }

    fn take(&mut self, touch: Touch, lock: Object, mode: Mode) -> Done {
        self.locks.take(lock, self.current, mode);
        if touch == Touch::Local {
            self.memory.ask_again(self.current);
        } else {
            self.memory.take(self.current, lock, mode);
        }
        Done { done: true, ..Done::default() }
    }

    fn attempt(
        &mut self,
        touch: Touch,
        (lock, mode): (Object, Mode),
        repeated: Option<u32>,
    ) -> (u32, Done) {
        let (place, free) = (self.current, self.locks.is_free(lock, mode));
        if touch == Touch::Local {
            if free {
                return (0, self.take(touch, lock, mode));
            }
            self.memory.ask_again(place);
            return (0, Done::default());
        }
        let choice = repeated.unwrap_or_else(|| {
            let behind = || -> Behind { self.strategy.behind(place, touch) };
            self.memory.attempts(place, lock, mode, behind, &mut self.options);
            self.choose()
        });
        if free && choice == 0 {
            return (0, self.take(touch, lock, mode));
        }
        self.memory.fail(place, lock, mode, choice);
        (choice, Done::default())
    }
}
