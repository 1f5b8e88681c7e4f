//! One execution: lanes announce their next access, the search picks one, and it is executed.
//!
//! INV-ENGINE-1: a lane executes an access only right after it was picked; between the pick and the
//! execution no other lane runs.
//! INV-ENGINE-2: the engine is never borrowed across a switch of coroutines (`hook::with`).
//! INV-ENGINE-3: nothing is decided while a lane is unborn: whoever starts lanes goes on to its own
//! next access, then they go to their first, and only then is the next step picked. What they do
//! until then belongs to the step that started them.

use crate::{
    explore::Model,
    hook::Mode,
    lane::{MAX_LANES, NewLane},
    lock::Locks,
    memory::{Behind, Memory, Race, Reach},
    object::{Kind, Object, Objects},
    op::{Done, Op},
    replay::Recorder,
    report::FailureKind,
    schedule::Choice,
    search::{Effect, LaneSet, Moment, Pick, Strategy, Touch},
};
use corosensei::Yielder;
use std::collections::VecDeque;

/// Who goes on after an announcement.
pub(crate) enum Turn {
    /// The lane that announced.
    Mine,
    /// Another lane, or nobody: suspend.
    Other(*const Yielder<(), ()>),
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All lanes returned.
    Finished,
    /// A failure that the engine saw itself.
    Failed { kind: FailureKind, lane: usize, message: String },
    /// Other executions cover all that could follow.
    Redundant,
    /// The step limit was reached.
    Truncated,
}

/// One exploration's engine; `begin` starts the next execution.
pub(crate) struct Engine {
    pub(crate) strategy: Box<dyn Strategy>,
    pub(crate) recorder: Option<Recorder>,
    max_steps: u32,
    objects: Objects,
    memory: Memory,
    locks: Locks,
    pending: Vec<Option<Op>>,
    touches: Vec<Option<Touch>>,
    /// What the real cell held when each lane announced its access.
    contents: Vec<u64>,
    yielders: Vec<*const Yielder<(), ()>>,
    names: Vec<String>,
    /// Lanes that were started and have not run yet, in order, with their numbers.
    unborn: VecDeque<(usize, NewLane)>,
    ready: Ready,
    current: usize,
    last: Option<usize>,
    schedule: Vec<Choice>,
    end: Option<End>,
    options: Vec<u32>,
}

/// Whether all lanes have run to their first access (INV-ENGINE-3).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ready {
    NotAll,
    All,
}

impl Engine {
    pub(crate) fn new(strategy: Box<dyn Strategy>, model: Model, max_steps: u32) -> Self {
        Self {
            strategy,
            recorder: None,
            max_steps,
            objects: Objects::default(),
            memory: Memory::new(model),
            locks: Locks::default(),
            pending: Vec::new(),
            touches: Vec::new(),
            contents: Vec::new(),
            yielders: Vec::new(),
            names: Vec::new(),
            unborn: VecDeque::new(),
            ready: Ready::NotAll,
            current: 0,
            last: None,
            schedule: Vec::new(),
            end: None,
            options: Vec::new(),
        }
    }

    /// Prepares for an execution, before the subject builds.
    pub(crate) fn begin(&mut self) {
        self.objects.clear();
        self.memory.begin();
        self.locks.clear();
        self.pending.clear();
        self.touches.clear();
        self.contents.clear();
        self.yielders.clear();
        self.names.clear();
        self.unborn.clear();
        self.ready = Ready::NotAll;
        self.current = 0;
        self.last = None;
        self.schedule.clear();
        self.end = None;
        if let Some(recorder) = &mut self.recorder {
            recorder.clear();
        }
    }

    /// The subject has built: these are the lanes.
    pub(crate) fn lanes(&mut self, names: Vec<String>) {
        self.pending.resize_with(names.len(), || None);
        self.touches.resize(names.len(), None);
        self.contents.resize(names.len(), 0);
        self.yielders.resize(names.len(), std::ptr::null());
        self.memory.lanes(names.len());
        self.strategy.begin(names.len());
        self.names = names;
    }

    /// The running lane starts another, whose number is returned. It runs once this one is at its
    /// next access.
    pub(crate) fn spawn(&mut self, new: NewLane) -> usize {
        let lane = self.names.len();
        if lane == MAX_LANES {
            self.unsupported(format!("{} lanes; at most {MAX_LANES} are possible", lane + 1));
            return lane;
        }
        self.names.push(new.name.clone());
        self.pending.push(None);
        self.touches.push(None);
        self.contents.push(0);
        self.yielders.push(std::ptr::null());
        self.memory.spawn(self.current, lane);
        self.strategy.spawned(lane);
        self.unborn.push_back((lane, new));
        self.ready = Ready::NotAll;
        lane
    }

    /// The next lane to be born.
    pub(crate) fn birth(&mut self) -> Option<(usize, NewLane)> {
        self.unborn.pop_front()
    }

    /// The names of the lanes that there are.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The coroutine of a lane starts and can be suspended through `yielder`.
    pub(crate) fn enter(&mut self, lane: usize, yielder: *const Yielder<(), ()>) {
        self.yielders[lane] = yielder;
    }

    /// The lane is about to be resumed. False if the execution is over, so that it must not be.
    pub(crate) fn enter_turn(&mut self, lane: usize) -> bool {
        self.current = lane;
        self.end.is_none()
    }

    pub(crate) fn current(&self) -> usize {
        self.current
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

    pub(crate) fn cell(&mut self, addr: usize, now: u64) -> Object {
        let known = self.objects.count();
        let cell = self.objects.number(Kind::Cell, addr);
        if self.objects.count() > known {
            self.memory.find(cell, addr);
        }
        self.memory.meet(cell, now);
        self.contents[self.current] = now;
        cell
    }

    pub(crate) fn lock(&mut self, id: usize) -> Object {
        self.objects.number(Kind::Lock, id)
    }

    /// The running lane says what it wants to do next.
    pub(crate) fn announce(&mut self, op: Op) -> Turn {
        let lane = self.current;
        self.touches[lane] = Some(self.touch(lane, &op));
        self.pending[lane] = Some(op);
        if self.ready == Ready::All && self.decide() == Some(lane) {
            Turn::Mine
        } else {
            Turn::Other(self.yielders[lane])
        }
    }

    /// What the access may touch, before its result is known. An attempt at a lock that the lane
    /// holds already has a result that nobody else has a part in.
    fn touch(&self, lane: usize, op: &Op) -> Touch {
        match *op {
            Op::Load { cell, .. } => Touch::Read(cell),
            Op::Store { cell, .. } | Op::Rmw { cell, .. } => Touch::Write(cell),
            Op::Wait { cell, .. } => Touch::Wait(cell),
            Op::Fence { .. } | Op::Choose { .. } => Touch::Local,
            Op::Join { lane } => Touch::Join(lane),
            Op::Lock { lock, .. } | Op::TryLock { lock, .. }
                if self.locks.is_held_by(lock, lane) =>
            {
                Touch::Local
            }
            Op::Lock { lock, mode } => Touch::Lock(lock, mode),
            Op::TryLock { lock, mode } => Touch::TryLock(lock, mode),
        }
    }

    /// The running lane has ended.
    pub(crate) fn leave(&mut self) {
        if self.ready == Ready::All {
            self.decide();
        }
    }

    /// The lane that is to be resumed, unless the execution is over. No lane is unborn.
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
        self.strategy.stepped();
        let mut enabled = LaneSet::default();
        let mut live = LaneSet::default();
        for lane in 0..self.pending.len() {
            if self.pending[lane].is_some() {
                live.insert(lane);
                if self.is_enabled(lane) {
                    enabled.insert(lane);
                }
            }
        }
        if live.is_empty() {
            let as_before = self.strategy.has_caught_up();
            self.end = Some(if as_before { End::Finished } else { self.nondeterministic() });
            return None;
        }
        if self.schedule.len() >= self.max_steps as usize {
            self.end = Some(End::Truncated);
            return None;
        }
        let moment = Moment { enabled, last: self.last, pending: &self.touches };
        let picked = self.strategy.pick(&moment);
        if enabled.is_empty() {
            let end = if self.is_held_back(live) { End::Redundant } else { self.deadlock(live) };
            self.end = Some(end);
            return None;
        }
        match picked {
            Pick::Lane(lane) if enabled.contains(lane) => {
                self.current = lane;
                return Some(lane);
            }
            Pick::Lane(_) => self.end = Some(self.nondeterministic()),
            Pick::Redundant => self.end = Some(End::Redundant),
        }
        None
    }

    fn is_enabled(&mut self, lane: usize) -> bool {
        match &self.pending[lane] {
            None => false,
            Some(Op::Lock { lock, mode }) => self.locks.is_free(*lock, *mode),
            Some(Op::Join { lane }) => self.pending[*lane].is_none(),
            Some(op @ Op::Wait { cell, .. }) => {
                let behind = || self.strategy.behind(lane, *cell);
                self.memory.meet(*cell, self.contents[lane]);
                self.memory.options(lane, op, behind, &mut self.options);
                !self.options.is_empty()
            }
            Some(_) => true,
        }
    }

    /// Whether a lane waits only because the search withholds options: then its value is read in
    /// another execution.
    fn is_held_back(&mut self, live: LaneSet) -> bool {
        live.iter().any(|lane| match &self.pending[lane] {
            Some(op @ Op::Wait { .. }) => {
                self.memory.options(lane, op, || Behind::Offered, &mut self.options);
                !self.options.is_empty()
            }
            _ => false,
        })
    }

    /// Executes the announced access of the running lane, which was picked.
    pub(crate) fn execute(&mut self) -> Done {
        let lane = self.current;
        let Some(op) = self.pending[lane].take() else { return Done::default() };
        // Another lane may have begun a new life of the cell since this one announced the access.
        if let Some(cell) = op.cell() {
            self.memory.meet(cell, self.contents[lane]);
            let race = self.memory.reach(lane, cell, Reach::Atomic, self.steps());
            self.check(race, |engine| engine.place(cell));
        }
        let mut touch = self.touches[lane].take().unwrap_or(Touch::Local);
        let (choice, done) = match &op {
            Op::Choose { n } => {
                self.options.clear();
                self.options.extend(0..u32::try_from(*n).unwrap_or(u32::MAX));
                let choice = self.strategy.option(&self.options);
                (choice, Done { old: u64::from(choice), new: u64::from(choice), ..Done::default() })
            }
            Op::Lock { lock, mode } => (0, self.take(*lock, *mode)),
            Op::TryLock { lock, mode } => match self.locks.is_free(*lock, *mode) {
                true => (0, self.take(*lock, *mode)),
                false => (0, Done::default()),
            },
            Op::Fence { order } => {
                self.memory.fence(lane, *order);
                (0, Done::default())
            }
            Op::Join { lane: other } => {
                self.memory.join(lane, *other);
                (0, Done::default())
            }
            op => {
                let strategy = &self.strategy;
                let behind =
                    || op.cell().map_or(Behind::Offered, |cell| strategy.behind(lane, cell));
                self.memory.options(lane, op, behind, &mut self.options);
                let choice = match self.options[..] {
                    [] => 0,
                    [only] => only,
                    _ => self.strategy.option(&self.options),
                };
                (choice, self.memory.execute(lane, op, choice))
            }
        };
        if let (Touch::Write(cell), Op::Rmw { .. }, false) = (touch, &op, done.done) {
            touch = Touch::Read(cell);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.record(lane, choice, &op, done, &self.objects, &self.names);
        }
        self.schedule.push(Choice { lane, choice });
        self.last = Some(lane);
        self.strategy.executed(lane, touch);
        done
    }

    fn take(&mut self, lock: Object, mode: Mode) -> Done {
        self.locks.take(lock, self.current, mode);
        self.memory.acquire(self.current, lock, mode);
        Done { done: true, ..Done::default() }
    }

    pub(crate) fn unlock(&mut self, id: usize, mode: Mode) {
        let lock = self.lock(id);
        self.locks.release(lock, self.current, mode);
        self.memory.release(self.current, lock, mode);
        if !self.locks.is_held_by(lock, self.current) {
            self.strategy.attached(Effect::Unlock(lock, mode));
        }
    }

    pub(crate) fn hand_over(&mut self, id: usize) {
        let id = self.lock(id);
        self.memory.release(self.current, id, Mode::Exclusive);
    }

    pub(crate) fn take_over(&mut self, id: usize) {
        let id = self.lock(id);
        self.memory.acquire(self.current, id, Mode::Exclusive);
    }

    /// The cells and the plain memory in `[addr, addr + len)` end, or begin a new life.
    pub(crate) fn renew(&mut self, addr: usize, len: usize, reach: Reach) {
        let (lane, step) = (self.current, self.steps());
        let cells: Vec<Object> = self.objects.cells_in(addr, len).collect();
        for cell in cells {
            let race = self.memory.reach(lane, cell, reach, step);
            let race = race.or_else(|| self.announced(lane, cell, reach));
            self.check(race, |engine| engine.place(cell));
            self.memory.forget(cell);
            self.strategy.attached(Effect::Forget(cell));
        }
        if reach == Reach::End {
            let race = self.memory.end(lane, (addr, len), step);
            self.check(race, |engine| engine.plain_place(addr));
        } else {
            self.memory.renew(lane, (addr, len), step);
        }
    }

    /// The race with a lane that has announced an access to the cell, if one has: it does nothing
    /// before that access that could order it after what the running lane does to the cell.
    fn announced(&self, lane: usize, cell: Object, reach: Reach) -> Option<Race> {
        let accesses = |other: &usize| {
            *other != lane && self.pending[*other].as_ref().and_then(Op::cell) == Some(cell)
        };
        let other = (0..self.pending.len()).find(accesses)?;
        Some(Race::with_announced(other, self.steps(), reach))
    }

    /// The running lane touches plain memory.
    pub(crate) fn touch_plain(&mut self, addr: usize, reach: Reach) {
        let race = self.memory.reach_plain(self.current, addr, reach, self.steps());
        self.check(race, |engine| engine.plain_place(addr));
    }

    /// A race ends the execution, as soon as the running lane is at its next access.
    fn check(&mut self, race: Option<Race>, place: impl FnOnce(&Self) -> String) {
        if let Some(race) = race {
            let (lane, other) = (&self.names[self.current], &self.names[race.other]);
            let message = race.tell(lane, other, &place(self));
            self.end_failed(FailureKind::DataRace, message);
        }
    }

    /// The name of a cell or lock.
    fn place(&self, object: Object) -> String {
        match &self.recorder {
            Some(recorder) => recorder.name(&self.objects, object),
            None => Recorder::anonymous(&self.objects, object),
        }
    }

    /// The name of plain memory. Without a label there is none that is the same each time.
    fn plain_place(&self, addr: usize) -> String {
        let name = self.recorder.as_ref().and_then(|recorder| recorder.name_at(addr));
        name.unwrap_or_else(|| "plain memory".to_owned())
    }

    /// The running lane has failed.
    pub(crate) fn fail(&mut self, message: String) {
        self.end_failed(FailureKind::Failed, message);
    }

    /// The running lane has panicked, unless it did so because it failed before.
    pub(crate) fn panicked(&mut self, message: String) {
        self.end_failed(FailureKind::Panicked, message);
    }

    /// There is no room for what the subject asks for.
    pub(crate) fn unsupported(&mut self, message: String) {
        self.end_failed(FailureKind::Unsupported, message);
    }

    fn end_failed(&mut self, kind: FailureKind, message: String) {
        let lane = self.current;
        self.end.get_or_insert(End::Failed { kind, lane, message });
    }

    fn deadlock(&self, live: LaneSet) -> End {
        let waits = live.iter().filter_map(|lane| {
            let (verb, what) = match *self.pending[lane].as_ref()? {
                Op::Lock { lock, mode: Mode::Exclusive } => ("waits for", self.place(lock)),
                Op::Lock { lock, mode: Mode::Shared } => ("waits to share", self.place(lock)),
                Op::Wait { cell, .. } => ("waits for a value of", self.place(cell)),
                Op::Join { lane } => ("waits for the end of", self.names[lane].clone()),
                _ => return None,
            };
            Some(format!("{} {verb} {what}", self.names[lane]))
        });
        let waits: Vec<_> = waits.collect();
        End::Failed {
            kind: FailureKind::Deadlock,
            lane: live.iter().next().unwrap_or(0),
            message: waits.join("; "),
        }
    }

    fn nondeterministic(&self) -> End {
        let step = self.schedule.len() + 1;
        End::Failed {
            kind: FailureKind::Nondeterministic,
            lane: self.current,
            message: format!(
                "step {step} is not what it was when this schedule ran before; the subject \
                 depends on something besides the schedule (addresses, hash order, time, statics)"
            ),
        }
    }
}
