//! A machine without and with store buffers: every outcome that a program has under sequential
//! consistency and under TSO, found by going through the machine's states. Written without looking
//! at the explorer.
//!
//! Under TSO each lane has a buffer, first in, first out, of its stores, of the locks that it
//! released and of the lanes that it started; an entry takes effect when it leaves. A lane that
//! takes a lock, tries to, updates a cell (or fails to with a compare-exchange), waits for the end
//! of a lane or passes a full fence has emptied its buffer before.

use super::program::{Code, PLAIN, Program, Thread, outcome};
use pinfold_explore::hook::{Mode, Order};
use std::collections::{BTreeSet, HashSet};

/// What a reference knows of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Every outcome of the executions in which all lanes end.
    pub outcomes: BTreeSet<String>,
    /// Whether there is an execution after which no lane can continue though not all have ended.
    pub hangs: bool,
    /// Whether there is one with a data race.
    pub races: bool,
    /// Whether that is all: false if the reference gave up at its limit of states.
    pub cut: bool,
}

/// Whether stores wait in buffers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Buffers {
    None,
    Fifo,
}

type Clock = Vec<u32>;

fn join(clock: &mut Clock, other: &Clock) {
    for (mine, theirs) in clock.iter_mut().zip(other) {
        *mine = (*mine).max(*theirs);
    }
}

/// What waits in a buffer, with what had happened before it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Entry {
    what: Delayed,
    clock: Clock,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Delayed {
    Store(usize, u64),
    Unlock(usize, Mode),
    Start(usize),
}

#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Lane {
    thread: Thread,
    started: bool,
    buffer: Vec<Entry>,
    /// It must empty its buffer before it continues.
    draining: bool,
    /// What happens before its next instruction. All zero unless races are asked for.
    clock: Clock,
    /// The locks that it has taken and not released.
    holds: Vec<(usize, Mode)>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Cell {
    value: u64,
    clock: Clock,
    /// Which lane reinitialised it, and when.
    renewed: Option<(usize, u32)>,
    /// When each lane last touched it.
    touched: Clock,
}

#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Lock {
    /// Which lanes exclude others, as far as the others can see.
    holders: Vec<(usize, Mode)>,
    exclusive: Clock,
    shared: Clock,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Plain {
    value: u64,
    wrote: Option<(usize, u32)>,
    read: Clock,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    lanes: Vec<Lane>,
    cells: Vec<Cell>,
    plain: Vec<Plain>,
    locks: Vec<Lock>,
    racy: bool,
}

fn excludes(held: Mode, wanted: Mode) -> bool {
    held == Mode::Exclusive || wanted == Mode::Exclusive
}

fn is_strong(order: Order) -> bool {
    matches!(order, Order::SeqCst | Order::Full)
}

/// A program on the machine.
struct Run {
    code: Vec<Vec<Code>>,
    buffers: Buffers,
    /// Whether what happened before what matters: it makes many more states.
    clocks: bool,
}

/// Everything that the program does on the machine, if that takes no more than `most` states.
pub fn run(program: &Program, buffers: Buffers, most: usize) -> Known {
    let code = program.flat();
    let has =
        |code: &Code| matches!(code, Code::PlainLoad(_) | Code::PlainStore(..) | Code::Renew(..));
    let clocks = code.iter().flatten().any(has);
    let zero = vec![0; code.len()];
    let lane = |lane: usize| Lane {
        started: !program.is_spawned(lane),
        clock: zero.clone(),
        ..Lane::default()
    };
    let cell = Cell { value: 0, clock: zero.clone(), renewed: None, touched: zero.clone() };
    let lock = Lock { holders: Vec::new(), exclusive: zero.clone(), shared: zero.clone() };
    let plain = Plain { value: 0, wrote: None, read: zero.clone() };
    let start = State {
        lanes: (0..code.len()).map(lane).collect(),
        cells: vec![cell; program.vars],
        plain: vec![plain; PLAIN],
        locks: vec![lock; program.locks()],
        racy: false,
    };
    let run = Run { code, buffers, clocks };
    let mut known = Known::default();
    let mut seen = HashSet::from([start.clone()]);
    let mut todo = vec![start];
    while let Some(mut state) = todo.pop() {
        if seen.len() > most {
            known.cut = true;
            break;
        }
        let mut next = Vec::new();
        for lane in 0..state.lanes.len() {
            run.flush(&state, lane, &mut next);
            run.advance(&mut state, lane, &mut next);
        }
        if next.is_empty() {
            run.end(&mut state, &mut known);
        }
        for state in next {
            if state.racy {
                known.races = true;
            } else if seen.insert(state.clone()) {
                todo.push(state);
            }
        }
    }
    known
}

impl Run {
    /// Nothing moves from here.
    fn end(&self, state: &mut State, known: &mut Known) {
        let at_end = |(lane, code): (&mut Lane, &Vec<Code>)| {
            lane.started && lane.thread.next(code).is_none()
        };
        if state.lanes.iter_mut().zip(&self.code).all(at_end) {
            let logs: Vec<_> = state.lanes.iter().map(|lane| lane.thread.log.clone()).collect();
            let finals: Vec<_> = state.cells.iter().map(|cell| cell.value).collect();
            known.outcomes.insert(outcome(&logs, &finals));
        } else {
            known.hangs = true;
        }
    }

    /// The oldest entry of a buffer takes effect.
    fn flush(&self, state: &State, lane: usize, next: &mut Vec<State>) {
        if state.lanes[lane].buffer.is_empty() {
            return;
        }
        let mut state = state.clone();
        let entry = state.lanes[lane].buffer.remove(0);
        state.lanes[lane].draining &= !state.lanes[lane].buffer.is_empty();
        state.effect(lane, entry);
        next.push(state);
    }

    /// Something takes effect, at once or when it leaves the buffer.
    fn issue(&self, state: &mut State, lane: usize, what: Delayed) {
        let entry = Entry { what, clock: state.lanes[lane].clock.clone() };
        match self.buffers {
            Buffers::None => state.effect(lane, entry),
            Buffers::Fifo => state.lanes[lane].buffer.push(entry),
        }
    }

    /// Adds every state that the next instruction of a lane leads to.
    fn advance(&self, before: &mut State, lane: usize, next: &mut Vec<State>) {
        let Lane { thread, started, draining, .. } = &mut before.lanes[lane];
        if !*started || *draining {
            return;
        }
        let Some((_, code)) = thread.next(&self.code[lane]) else { return };
        if let Code::Choose(n) = code {
            next.extend((0..n as u64).map(|value| {
                let mut state = before.clone();
                state.lanes[lane].thread.read(value);
                state
            }));
            return;
        }
        let mut state = before.clone();
        if self.clocks {
            state.lanes[lane].clock[lane] += 1;
        }
        if self.execute(&mut state, lane, code) {
            next.push(state);
        }
    }

    /// Executes an instruction. False if it cannot be executed now.
    fn execute(&self, state: &mut State, lane: usize, code: Code) -> bool {
        let empty = state.lanes[lane].buffer.is_empty();
        match code {
            Code::Load(_, Order::Full) | Code::Wait(_, _, Order::Full) if !empty => return false,
            Code::Load(var, _) => state.load(lane, var),
            Code::Wait(var, until, _) => {
                if !until.holds(state.seen(lane, var)) {
                    return false;
                }
                state.load(lane, var);
            }
            Code::Store(var, value, order) => {
                let value = state.lanes[lane].thread.value(value);
                state.touch(lane, var);
                self.issue(state, lane, Delayed::Store(var, value));
                let lane = &mut state.lanes[lane];
                lane.draining = is_strong(order) && !lane.buffer.is_empty();
                lane.thread.done();
            }
            // It looks first, and gives up if there is nothing to do.
            Code::AddBelow(var, bound, _) if state.seen(lane, var) >= bound => {
                state.load(lane, var);
            }
            Code::Add(..) | Code::Cas(..) | Code::AddBelow(..) if !empty => return false,
            Code::Add(var, by, _) => state.update(lane, var, |old| Some(old + by)),
            Code::AddBelow(var, ..) => state.update(lane, var, |old| Some(old + 1)),
            Code::Cas(var, from, to, ..) => {
                state.update(lane, var, |old| (old == from).then_some(to));
            }
            Code::Fence(order) => {
                if is_strong(order) && !empty {
                    return false;
                }
                state.lanes[lane].thread.done();
            }
            Code::Lock(lock, mode) => {
                if !empty || !state.is_free(lock, mode) {
                    return false;
                }
                state.take(lane, lock, mode);
                state.lanes[lane].thread.done();
            }
            Code::Attempt(_, _) if !empty => return false,
            Code::Attempt(lock, mode) => {
                let free = state.is_free(lock, mode);
                if free {
                    state.take(lane, lock, mode);
                }
                state.lanes[lane].thread.read(u64::from(free));
            }
            Code::See(lock) => {
                if !state.sees_unlocked(lane, lock) {
                    return false;
                }
                let clock = state.locks[lock].exclusive.clone();
                join(&mut state.lanes[lane].clock, &clock);
                state.lanes[lane].thread.done();
            }
            Code::Unlock(lock, mode) => {
                let holds = &mut state.lanes[lane].holds;
                if let Some(at) = holds.iter().position(|held| *held == (lock, mode)) {
                    holds.remove(at);
                    self.issue(state, lane, Delayed::Unlock(lock, mode));
                }
                state.lanes[lane].thread.done();
            }
            Code::Spawn(started) => {
                self.issue(state, lane, Delayed::Start(started));
                state.lanes[lane].thread.done();
            }
            Code::Join(ended) => {
                let other = &mut state.lanes[ended];
                let over = other.started && other.thread.next(&self.code[ended]).is_none();
                if !empty || !over || !other.buffer.is_empty() {
                    return false;
                }
                let clock = other.clock.clone();
                join(&mut state.lanes[lane].clock, &clock);
                state.lanes[lane].thread.done();
            }
            Code::PlainLoad(at) => state.plain_load(lane, at),
            Code::PlainStore(at, value) => state.plain_store(lane, at, value),
            Code::Renew(var, value) => state.renew(lane, var, value),
            Code::Choose(_) | Code::Local(_) => unreachable!("not executed here"),
        }
        true
    }
}

impl State {
    fn effect(&mut self, lane: usize, Entry { what, clock }: Entry) {
        match what {
            Delayed::Store(var, value) => {
                let cell = &mut self.cells[var];
                (cell.value, cell.clock) = (value, clock);
            }
            Delayed::Unlock(lock, mode) => {
                let lock = &mut self.locks[lock];
                let at = lock.holders.iter().position(|held| *held == (lane, mode));
                lock.holders.remove(at.expect("it was taken"));
                let known = match mode {
                    Mode::Exclusive => &mut lock.exclusive,
                    Mode::Shared => &mut lock.shared,
                };
                join(known, &clock);
            }
            Delayed::Start(started) => {
                let lane = &mut self.lanes[started];
                (lane.started, lane.clock) = (true, clock);
            }
        }
    }

    /// The newest own store in the buffer, or what is in memory.
    fn seen(&self, lane: usize, var: usize) -> u64 {
        let buffered = self.lanes[lane].buffer.iter().rev().find_map(|entry| match entry.what {
            Delayed::Store(at, value) if at == var => Some(value),
            _ => None,
        });
        buffered.unwrap_or(self.cells[var].value)
    }

    fn load(&mut self, lane: usize, var: usize) {
        self.touch(lane, var);
        let value = self.seen(lane, var);
        let buffered = |entry: &Entry| matches!(entry.what, Delayed::Store(at, _) if at == var);
        if !self.lanes[lane].buffer.iter().any(buffered) {
            join(&mut self.lanes[lane].clock, &self.cells[var].clock);
        }
        self.lanes[lane].thread.read(value);
    }

    fn update(&mut self, lane: usize, var: usize, f: impl Fn(u64) -> Option<u64>) {
        self.touch(lane, var);
        let old = self.cells[var].value;
        join(&mut self.lanes[lane].clock, &self.cells[var].clock);
        if let Some(new) = f(old) {
            self.cells[var].value = new;
            self.cells[var].clock.clone_from(&self.lanes[lane].clock);
        }
        self.lanes[lane].thread.read(old);
    }

    fn is_free(&self, lock: usize, wanted: Mode) -> bool {
        !self.locks[lock].holders.iter().any(|&(_, held)| excludes(held, wanted))
    }

    /// Whether no lane holds the lock exclusively, or the lane itself has just released it.
    fn sees_unlocked(&self, lane: usize, lock: usize) -> bool {
        let alone = |&(_, held): &(usize, Mode)| held == Mode::Exclusive;
        let given = |entry: &Entry| entry.what == Delayed::Unlock(lock, Mode::Exclusive);
        !self.locks[lock].holders.iter().any(alone) || self.lanes[lane].buffer.iter().any(given)
    }

    fn take(&mut self, lane: usize, lock: usize, mode: Mode) {
        let Lock { holders, exclusive, shared } = &mut self.locks[lock];
        holders.push((lane, mode));
        holders.sort_by_key(|&(lane, mode)| (lane, mode == Mode::Shared));
        let taker = &mut self.lanes[lane];
        taker.holds.push((lock, mode));
        join(&mut taker.clock, exclusive);
        if mode == Mode::Exclusive {
            join(&mut taker.clock, shared);
        }
    }

    /// Whether the lane knows what another did at a time.
    fn knows(&self, lane: usize, (other, time): (usize, u32)) -> bool {
        lane == other || self.lanes[lane].clock[other] >= time
    }

    /// Whether the lane knows of all that others did at the times in `marks`.
    fn knows_all(&self, lane: usize, marks: &Clock) -> bool {
        marks.iter().enumerate().all(|(other, &time)| self.knows(lane, (other, time)))
    }

    /// The lane accesses a cell: its reinitialisation must happen before.
    fn touch(&mut self, lane: usize, var: usize) {
        let time = self.lanes[lane].clock[lane];
        self.racy |= self.cells[var].renewed.is_some_and(|mark| !self.knows(lane, mark));
        self.cells[var].touched[lane] = time;
    }

    fn renew(&mut self, lane: usize, var: usize, value: u64) {
        let mark = (lane, self.lanes[lane].clock[lane]);
        let cell = &self.cells[var];
        self.racy |= !self.knows_all(lane, &cell.touched);
        self.racy |= cell.renewed.is_some_and(|mark| !self.knows(lane, mark));
        let stale = |entry: &Entry| matches!(entry.what, Delayed::Store(at, _) if at == var);
        self.lanes[lane].buffer.retain(|entry| !stale(entry));
        let cell = &mut self.cells[var];
        (cell.value, cell.renewed) = (value, Some(mark));
        cell.touched.fill(0);
        cell.clock.fill(0);
        self.lanes[lane].draining &= !self.lanes[lane].buffer.is_empty();
        self.lanes[lane].thread.done();
    }

    fn plain_load(&mut self, lane: usize, at: usize) {
        let time = self.lanes[lane].clock[lane];
        self.racy |= self.plain[at].wrote.is_some_and(|mark| !self.knows(lane, mark));
        self.plain[at].read[lane] = time;
        let value = self.plain[at].value;
        self.lanes[lane].thread.read(value);
    }

    fn plain_store(&mut self, lane: usize, at: usize, value: u64) {
        let mark = (lane, self.lanes[lane].clock[lane]);
        let word = &self.plain[at];
        self.racy |= word.wrote.is_some_and(|mark| !self.knows(lane, mark));
        self.racy |= !self.knows_all(lane, &word.read);
        let word = &mut self.plain[at];
        (word.value, word.wrote) = (value, Some(mark));
        word.read.fill(0);
        self.lanes[lane].thread.done();
    }
}
