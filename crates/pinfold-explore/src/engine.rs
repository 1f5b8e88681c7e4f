//! One execution: lanes announce their next access, the search picks one, and it is executed.
//!
//! INV-ENGINE-1: a lane executes an access only right after it was picked; between the pick and the
//! execution no other lane runs.
//! INV-ENGINE-2: the engine is never borrowed across a switch of coroutines (`current::with`).
//! INV-ENGINE-3: nothing is decided while a lane is unborn: a lane that starts others runs on to
//! its own next access, then they run to their first, and only then is the next step picked. What
//! they do until then belongs to the step that started them.
//!
//! A hang: no lane can continue except by seeing, in a wait, a stale value (one that is not the
//! newest). A waiting lane sees the newest value eventually, so all of them may be stuck.

mod plain;
mod roster;
mod step;

use crate::{
    config::LockForm,
    lane::{LaneSet, MAX_LANES, NewLane},
    ledger::Ledger,
    lock::Locks,
    memory::Memory,
    model::Model,
    object::{Kind, Object, Objects},
    op::{CellOp, LockOp, Op},
    order::Mode,
    record::Recorder,
    report::FailureKind,
    schedule::Choice,
    search::{Moment, Past, Pick, Strategy, Touch},
    watch::Watch,
};
use corosensei::Yielder;
use roster::Roster;
use std::collections::VecDeque;

/// Which lane runs after an announcement.
pub(crate) enum Turn {
    /// The lane that announced.
    Mine,
    /// Another lane, or none: suspend.
    Other(*const Yielder<(), ()>),
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All lanes returned.
    Finished,
    /// A failure that the engine itself detected. The lane is given by its number.
    Failed { kind: FailureKind, lane: usize, message: String },
    /// Other executions cover everything that could follow.
    Redundant,
    /// Everything that could follow has followed the same state elsewhere.
    Remembered,
    /// The step limit was reached.
    Truncated,
    /// It was interrupted: [`Watch`].
    Interrupted,
}

/// How often an execution looks at its watch.
const STEPS_BETWEEN_LOOKS: usize = 64;

/// One exploration's engine; `begin` starts the next execution.
pub(crate) struct Engine {
    pub(crate) strategy: Box<dyn Strategy>,
    pub(crate) recorder: Option<Recorder>,
    watch: Watch,
    model: Model,
    max_steps: u32,
    lock_form: LockForm,
    objects: Objects,
    /// Kept if the search remembers states.
    ledger: Option<Ledger>,
    memory: Memory,
    locks: Locks,
    roster: Roster,
    /// Lanes that were started and have not run yet, in order, with their places.
    unborn: VecDeque<(usize, NewLane)>,
    ready: Ready,
    current: usize,
    last: Option<usize>,
    schedule: Vec<Choice>,
    /// The schedule of the last execution.
    former: Vec<Choice>,
    /// The option of the picked step, if it repeats that of the last execution.
    repeated: Option<u32>,
    end: Option<End>,
    /// Two buffers: the options of an access, and the objects whose life ends or begins.
    options: Vec<u32>,
    touched: Vec<Object>,
}

/// Whether all lanes have run to their first access (INV-ENGINE-3).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ready {
    NotAll,
    All,
}

/// Whether a lane can make its step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chance {
    None,
    /// Only by seeing a stale value.
    Stale,
    Fresh,
}

impl Chance {
    /// The chance of a waiting lane that may see these options.
    fn of(options: &[u32]) -> Self {
        match options.first() {
            None => Self::None,
            Some(0) => Self::Fresh,
            Some(_) => Self::Stale,
        }
    }
}

impl Engine {
    pub(crate) fn new(
        strategy: Box<dyn Strategy>,
        model: Model,
        lock_form: LockForm,
        max_steps: u32,
    ) -> Self {
        let ledger = strategy.remembers().then(Ledger::default);
        Self {
            strategy,
            recorder: None,
            watch: Watch::default(),
            model,
            max_steps,
            lock_form,
            objects: Objects::default(),
            memory: Memory::new(model, ledger.is_some()),
            ledger,
            locks: Locks::default(),
            roster: Roster::default(),
            unborn: VecDeque::new(),
            ready: Ready::NotAll,
            current: 0,
            last: None,
            schedule: Vec::new(),
            former: Vec::new(),
            repeated: None,
            end: None,
            options: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// What interrupts executions from now on.
    pub(crate) fn set_watch(&mut self, watch: Watch) {
        self.memory.set_watch(&watch);
        self.watch = watch;
    }

    /// The model of the executions from now on. Returns the one until now.
    pub(crate) fn set_model(&mut self, model: Model) -> Model {
        self.memory = Memory::new(model, self.ledger.is_some());
        self.memory.set_watch(&self.watch);
        std::mem::replace(&mut self.model, model)
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Prepares for an execution, before the subject builds.
    pub(crate) fn begin(&mut self) {
        self.objects.clear();
        self.memory.begin();
        self.ledger.iter_mut().for_each(Ledger::begin);
        self.locks.clear();
        self.roster.clear();
        self.unborn.clear();
        self.ready = Ready::NotAll;
        self.current = 0;
        self.last = None;
        std::mem::swap(&mut self.schedule, &mut self.former);
        self.schedule.clear();
        self.repeated = None;
        self.end = None;
        if let Some(recorder) = &mut self.recorder {
            recorder.clear();
        }
    }

    /// The subject has built: these are the lanes.
    pub(crate) fn lanes(&mut self, names: Vec<String>) {
        self.memory.lanes(names.len());
        self.strategy.begin(names.len());
        self.ledger.iter_mut().for_each(|ledger| ledger.lanes(names.len()));
        for name in names {
            self.roster.add(name, |_| false);
        }
    }

    /// The running lane starts another. Returns the number of the new lane, which runs once its
    /// parent has reached its next access.
    pub(crate) fn spawn(&mut self, new: NewLane) -> usize {
        let (memory, current) = (&self.memory, self.current);
        let (place, number) =
            self.roster.add(new.name.clone(), |place| memory.knows_end(current, place));
        let Some(place) = place else {
            let lanes = MAX_LANES + 1;
            self.unsupported(format!("{lanes} lanes at a time; at most {MAX_LANES} are possible"));
            return number;
        };
        self.memory.spawn(self.current, place);
        if let Some(ledger) = &mut self.ledger {
            ledger.spawn(self.current, place, number);
        }
        self.strategy.spawned(place, number);
        self.unborn.push_back((place, new));
        self.ready = Ready::NotAll;
        number
    }

    /// The next lane to be born.
    pub(crate) fn birth(&mut self) -> Option<(usize, NewLane)> {
        self.unborn.pop_front()
    }

    /// The names of all lanes that have existed, by number.
    pub(crate) fn names(&self) -> Vec<String> {
        self.roster.names()
    }

    /// Whether a lane with this number exists or existed.
    pub(crate) fn has_lane(&self, number: usize) -> bool {
        number < self.roster.count()
    }

    /// The coroutine of a lane starts and can be suspended through `yielder`.
    pub(crate) fn enter(&mut self, place: usize, yielder: *const Yielder<(), ()>) {
        self.roster.berths[place].yielder = yielder;
    }

    /// The lane is about to be resumed. False if the execution is over, so that it must not be.
    pub(crate) fn enter_turn(&mut self, place: usize) -> bool {
        self.current = place;
        self.end.is_none()
    }

    /// The number of the running lane.
    pub(crate) fn number(&self) -> usize {
        self.number_at(self.current)
    }

    /// The number of the lane at a place.
    pub(crate) fn number_at(&self, place: usize) -> usize {
        self.roster.berths[place].number
    }

    pub(crate) fn steps(&self) -> u64 {
        self.schedule.len() as u64
    }

    pub(crate) fn schedule(&self) -> &[Choice] {
        &self.schedule
    }

    pub(crate) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    pub(crate) fn locks_are_code(&self) -> bool {
        self.lock_form == LockForm::Code
    }

    pub(crate) fn cell(&mut self, addr: usize, now: u64) -> Object {
        let cell = self.object(Kind::Cell, addr);
        self.meet(cell, now);
        self.roster.berths[self.current].contents = now;
        cell
    }

    /// The number of a cell or lock, which may be met for the first time.
    fn object(&mut self, kind: Kind, addr: usize) -> Object {
        let known = self.objects.count();
        let object = self.objects.number(kind, addr);
        if self.objects.count() > known {
            self.memory.find(object, addr);
            if let Some(ledger) = &mut self.ledger {
                ledger.meets(self.current, object, kind, addr);
            }
        }
        object
    }

    /// A cell is about to be accessed and holds `now`.
    fn meet(&mut self, cell: Object, now: u64) {
        meet(&mut self.memory, &mut self.ledger, cell, now);
    }

    pub(crate) fn lock(&mut self, id: usize) -> Object {
        self.object(Kind::Lock, id)
    }

    /// The running lane announces what it wants to do next.
    pub(crate) fn announce(&mut self, op: Op) -> Turn {
        let place = self.current;
        self.refuse_if_unseen();
        let touch = self.touch(place, &op);
        self.roster.touches[place] = Some(touch);
        if let Some(ledger) = &mut self.ledger {
            ledger.announces(place, op.kind(), op.object());
        }
        let berth = &mut self.roster.berths[place];
        berth.pending = Some(op);
        let yielder = berth.yielder;
        if self.ready == Ready::All && self.decide() == Some(place) {
            Turn::Mine
        } else {
            Turn::Other(yielder)
        }
    }

    /// A hook of the running lane was called while it unwinds, and did nothing.
    pub(crate) fn note_unseen(&mut self) {
        self.roster.berths[self.current].unseen = true;
    }

    /// The running lane continues, or ends, as if it had not unwound: the execution fails if the
    /// explorer missed something.
    fn refuse_if_unseen(&mut self) {
        if self.roster.berths[self.current].unseen {
            let lane = self.roster.name_at(self.current);
            self.unsupported(format!(
                "{lane} caught its own panic and continued, but the explorer did not see what its \
                 destructors did while it unwound; let the panic end the lane, or make no shared \
                 access while it unwinds"
            ));
        }
    }

    /// The running lane has ended.
    pub(crate) fn leave(&mut self) {
        self.refuse_if_unseen();
        let berth = &mut self.roster.berths[self.current];
        berth.ended = true;
        let number = berth.number;
        self.memory.end_lane(self.current, number);
        if self.ready == Ready::All {
            self.decide();
        }
    }

    /// The place of the lane that is to be resumed, unless the execution is over. No lane is
    /// unborn.
    pub(crate) fn next(&mut self) -> Option<usize> {
        if self.ready == Ready::NotAll {
            self.ready = Ready::All;
            self.decide();
        }
        self.end.is_none().then_some(self.current)
    }

    /// Picks the next lane, or ends the execution.
    fn decide(&mut self) -> Option<usize> {
        if self.end.is_some() {
            return None;
        }
        if self.watch.has_ended() {
            self.end = Some(End::Interrupted);
            return None;
        }
        self.strategy.stepped();
        let made = self.schedule.len();
        if made >= self.max_steps as usize && self.has_pending() {
            self.end = Some(End::Truncated);
            self.strategy.truncated();
            return None;
        }
        let looks = made % STEPS_BETWEEN_LOOKS == STEPS_BETWEEN_LOOKS - 1;
        if looks && self.has_pending() && self.watch.is_over() {
            self.end = Some(End::Interrupted);
            return None;
        }
        if let Some(&former) = self.former.get(made)
            && let Some(place) = self.strategy.repeated()
        {
            return self.repeat(place, former);
        }
        let [mut live, mut enabled, mut fresh] = [LaneSet::default(); 3];
        for place in 0..self.roster.berths.len() {
            if self.roster.berths[place].pending.is_some() {
                live.insert(place);
                match self.chance(place) {
                    Chance::None => continue,
                    Chance::Stale => {}
                    Chance::Fresh => fresh.insert(place),
                }
                enabled.insert(place);
            }
        }
        if live.is_empty() {
            let as_before = self.has_caught_up();
            self.end = Some(if as_before { End::Finished } else { self.nondeterministic() });
            return None;
        }
        if fresh.is_empty() {
            let as_before = self.has_caught_up();
            self.end = Some(if as_before { self.hang(live) } else { self.nondeterministic() });
            return None;
        }
        let past = self.ledger.as_ref().map(|ledger| Past { ledger, memory: &self.memory });
        let pending = &self.roster.touches;
        let moment = Moment { enabled, fresh, last: self.last, pending, past };
        match self.strategy.pick(&moment) {
            Pick::Lane(place) if enabled.contains(place) => {
                self.current = place;
                return Some(place);
            }
            Pick::Lane(_) | Pick::Astray => self.end = Some(self.nondeterministic()),
            Pick::Redundant => self.end = Some(End::Redundant),
            Pick::Remembered => self.end = Some(End::Remembered),
        }
        None
    }

    /// Whether a lane has a step to make.
    fn has_pending(&self) -> bool {
        self.roster.berths.iter().any(|berth| berth.pending.is_some())
    }

    /// The lane makes the same step as in the last execution.
    fn repeat(&mut self, place: usize, former: Choice) -> Option<usize> {
        let known = self.roster.berths.get(place).and_then(|berth| berth.pending.as_ref());
        let possible = match known {
            None => false,
            Some(Op::Lock(lock, LockOp::Take(mode))) => self.locks.is_free(*lock, *mode),
            Some(Op::Join(lane)) => self.roster.has_ended(*lane),
            Some(Op::Cell(..) | Op::Lock(..) | Op::Fence(_) | Op::Choose(_)) => true,
        };
        if !possible || former.lane != place {
            self.end = Some(self.nondeterministic());
            return None;
        }
        self.repeated = Some(former.choice);
        self.current = place;
        Some(place)
    }

    /// Whether the execution has reached the point where the search left off.
    pub(crate) fn has_caught_up(&mut self) -> bool {
        self.strategy.resumable().is_none_or(|search| search.has_caught_up())
    }

    fn chance(&mut self, place: usize) -> Chance {
        let berth = &self.roster.berths[place];
        let possible = match &berth.pending {
            None => false,
            Some(Op::Lock(lock, LockOp::Take(mode))) => self.locks.is_free(*lock, *mode),
            Some(Op::Join(lane)) => self.roster.has_ended(*lane),
            Some(op @ Op::Lock(lock, LockOp::SeeUnlocked)) => {
                let behind = || self.strategy.behind(place, Touch::announced(op));
                let free = self.locks.is_free(*lock, Mode::Shared);
                self.memory.unlocked(place, *lock, free, behind, &mut self.options);
                return Chance::of(&self.options);
            }
            Some(op @ Op::Cell(cell, wait @ CellOp::Wait { .. })) => {
                let behind = || self.strategy.behind(place, Touch::announced(op));
                meet(&mut self.memory, &mut self.ledger, *cell, berth.contents);
                self.memory.options(place, *cell, wait, behind, &mut self.options);
                return Chance::of(&self.options);
            }
            Some(
                Op::Cell(_, CellOp::Load(_) | CellOp::Store { .. } | CellOp::Rmw { .. })
                | Op::Lock(_, LockOp::Try(_) | LockOp::GiveBack(_))
                | Op::Fence(_)
                | Op::Choose(_),
            ) => true,
        };
        if possible { Chance::Fresh } else { Chance::None }
    }

    /// The name of a cell or lock.
    fn place(&self, object: Object) -> String {
        match &self.recorder {
            Some(recorder) => recorder.name(&self.objects, object),
            None => Recorder::anonymous(&self.objects, object),
        }
    }

    /// The running lane has failed.
    pub(crate) fn fail(&mut self, message: String) {
        self.end_failed(FailureKind::Failed, message);
    }

    /// The running lane has panicked, unless it did so because it failed before.
    pub(crate) fn panicked(&mut self, message: String) {
        self.end_failed(FailureKind::Panicked, message);
    }

    /// The subject asks for more than the engine supports.
    pub(crate) fn unsupported(&mut self, message: String) {
        self.end_failed(FailureKind::Unsupported, message);
    }

    fn end_failed(&mut self, kind: FailureKind, message: String) {
        let lane = self.number();
        self.end.get_or_insert(End::Failed { kind, lane, message });
    }

    /// No lane can continue, or only by seeing a value that it will eventually no longer see.
    fn hang(&self, live: LaneSet) -> End {
        let berths = &self.roster.berths;
        let waits = live.iter().filter_map(|place| {
            let (verb, what) = match *berths[place].pending.as_ref()? {
                Op::Lock(lock, LockOp::Take(Mode::Exclusive)) => ("waits for", self.place(lock)),
                Op::Lock(lock, LockOp::Take(Mode::Shared)) => ("waits to share", self.place(lock)),
                Op::Lock(lock, LockOp::SeeUnlocked) => ("waits for the end of", self.place(lock)),
                Op::Cell(cell, CellOp::Wait { .. }) => ("waits for a value of", self.place(cell)),
                Op::Join(lane) => ("waits for the end of", self.roster.name(lane).to_owned()),
                Op::Cell(_, CellOp::Load(_) | CellOp::Store { .. } | CellOp::Rmw { .. })
                | Op::Lock(_, LockOp::Try(_) | LockOp::GiveBack(_))
                | Op::Fence(_)
                | Op::Choose(_) => return None,
            };
            Some(format!("{} {verb} {what}", self.roster.name_at(place)))
        });
        let waits: Vec<_> = waits.collect();
        End::Failed {
            kind: FailureKind::Deadlock,
            lane: live.first().map_or(0, |place| berths[place].number),
            message: waits.join("; "),
        }
    }

    fn nondeterministic(&self) -> End {
        let step = self.schedule.len() + 1;
        End::Failed {
            kind: FailureKind::Nondeterministic,
            lane: self.number(),
            message: format!(
                "step {step} is not what it was when this schedule ran before; the subject \
                 depends on something besides the schedule (addresses, hash order, time, statics)"
            ),
        }
    }
}

/// A cell is about to be accessed and holds `now`.
fn meet(memory: &mut Memory, ledger: &mut Option<Ledger>, cell: Object, now: u64) {
    if memory.meet(cell, now)
        && let Some(ledger) = ledger
    {
        ledger.holds(cell, now);
    }
}
