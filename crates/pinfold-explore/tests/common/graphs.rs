//! All graphs of a program under the axioms of RC11: instructions are added one after the other, in
//! every order and with every store that they might read, and the whole is judged at the end.

use super::{
    axioms::{Access, Graph, Node, Type},
    machine::Known,
    program::{Code, PLAIN, Program, Thread, outcome},
};
use pinfold_explore::hook::{Mode, Order};
use std::collections::HashSet;

/// A graph under construction.
#[derive(Clone)]
struct Partial {
    nodes: Vec<Node>,
    threads: Vec<Thread>,
    started: Vec<bool>,
    /// Which lane holds which lock, each as often as it was taken.
    held: Vec<(usize, usize, Mode)>,
}

/// A program, and what its graphs have in common.
struct Search {
    code: Vec<Vec<Code>>,
    vars: usize,
    known: Known,
}

/// Everything that the program does under RC11, if that takes no more than `most` graphs.
pub fn run(program: &Program, most: usize) -> Known {
    let lanes = program.lanes.len();
    let init = |location: usize| event(usize::MAX, Type::Init, 1 << location, Order::Relaxed);
    let start = Partial {
        nodes: (0..program.vars + PLAIN).map(init).collect::<Vec<_>>(),
        threads: vec![Thread::default(); lanes],
        started: (0..lanes).map(|lane| !program.is_spawned(lane)).collect(),
        held: Vec::new(),
    };
    let mut search = Search { code: program.flat(), vars: program.vars, known: Known::default() };
    let mut start = start;
    for lock in 0..program.locks() {
        let word = search.writers(lock);
        start.nodes.push(event(usize::MAX, Type::Init, word, Order::Relaxed));
    }
    let mut seen = HashSet::new();
    let mut todo = vec![start];
    while let Some(mut partial) = todo.pop() {
        if seen.len() > most {
            search.known.cut = true;
            break;
        }
        let mut ended = 0;
        // Whether a lane that does not wait for a value can continue.
        let mut goes_on = false;
        for lane in 0..lanes {
            let Some((_, code)) = partial.threads[lane].next(&search.code[lane]) else {
                ended += usize::from(partial.started[lane]);
                continue;
            };
            if partial.started[lane] {
                let next = search.advance(&mut partial, lane, code);
                goes_on |= match code {
                    Code::Wait(..) => false,
                    // Whether the newest state is free.
                    Code::See(lock) => partial.is_free(lock, Mode::Shared),
                    _ => !next.is_empty(),
                };
                todo.extend(next.into_iter().filter(|next| seen.insert(next.canonical())));
            }
        }
        if !goes_on {
            search.complete(&mut partial, ended == lanes);
        }
    }
    search.known
}

fn event(lane: usize, kind: Type, words: u32, order: Order) -> Node {
    let (wrote, read, rf, epoch, access) = (0, 0, usize::MAX, 0, Access::Atomic);
    Node { lane, kind, words, order, wrote, read, rf, epoch, access }
}

fn excludes(held: Mode, wanted: Mode) -> bool {
    held == Mode::Exclusive || wanted == Mode::Exclusive
}

type Name = (Type, u32, usize, usize, usize);

impl Partial {
    /// What each lane did and read from, without the order in which the events were added.
    fn canonical(&self) -> (Vec<Thread>, Vec<Vec<Name>>) {
        let place = |e: usize| {
            let lane = self.nodes[e].lane;
            self.nodes[..e].iter().filter(|other| other.lane == lane).count()
        };
        let name = |node: &Node| {
            let (from, at) = match self.nodes.get(node.rf) {
                None => (0, usize::MAX),
                Some(read) if read.kind == Type::Init => (usize::MAX, node.rf),
                Some(read) => (read.lane, place(node.rf)),
            };
            (node.kind, node.words, from, at, node.epoch)
        };
        let of_lane =
            |lane| self.nodes.iter().filter(move |node| node.lane == lane).map(name).collect();
        (self.threads.clone(), (0..self.threads.len()).map(of_lane).collect())
    }

    /// Adds an event. One that is fully ordered has a fence before it and one after it.
    fn add(&mut self, node: Node) {
        if node.order != Order::Full {
            return self.nodes.push(node);
        }
        let fence = event(node.lane, Type::Fence, 0, Order::SeqCst);
        if node.kind == Type::Fence {
            return self.nodes.push(fence);
        }
        self.nodes.push(fence.clone());
        self.nodes.push(Node { order: Order::Relaxed, ..node });
        self.nodes.push(fence);
    }

    /// As it is after an event of the lane that reads nothing.
    fn with(&self, node: Node) -> Self {
        let mut next = self.clone();
        next.threads[node.lane].done();
        next.add(node);
        next
    }

    /// As it is after an event of the lane that reads what it says.
    fn with_read(&self, node: Node) -> Self {
        let mut next = self.clone();
        next.threads[node.lane].read(node.read);
        next.add(node);
        next
    }

    /// The writes to a cell, with their values.
    fn sources(&self, words: u32) -> impl Iterator<Item = (usize, u64)> + '_ {
        let writes = move |node: &(usize, &Node)| node.1.words == words && node.1.writes();
        self.nodes.iter().enumerate().filter(writes).map(|(e, node)| (e, node.wrote))
    }

    fn is_free(&self, lock: usize, mode: Mode) -> bool {
        !self.held.iter().any(|&(_, held, how)| held == lock && excludes(how, mode))
    }

    fn holds(&self, lane: usize, lock: usize) -> bool {
        self.held.iter().any(|&(holder, held, _)| (holder, held) == (lane, lock))
    }
}

impl Search {
    fn lanes(&self) -> usize {
        self.code.len()
    }

    /// The word for exclusive acquisitions of a lock.
    fn writers(&self, lock: usize) -> u32 {
        1 << (self.vars + PLAIN + lock * (1 + self.lanes()))
    }

    /// The word of a lane that shares a lock.
    fn reader(&self, lock: usize, lane: usize) -> u32 {
        self.writers(lock) << (1 + lane)
    }

    /// The words that are taken and released.
    fn words(&self, lock: usize, lane: usize, mode: Mode) -> u32 {
        let readers = (0..self.lanes()).fold(0, |all, lane| all | self.reader(lock, lane));
        match mode {
            Mode::Exclusive => self.writers(lock) | readers,
            Mode::Shared => self.reader(lock, lane),
        }
    }

    /// How often the lock was taken exclusively.
    fn epoch(&self, partial: &Partial, lock: usize) -> usize {
        let word = self.writers(lock);
        let taken =
            |node: &&Node| node.kind == Type::Take(Mode::Exclusive) && node.words & word != 0;
        partial.nodes.iter().filter(taken).count()
    }

    /// Everything that the next instruction of a lane may do.
    fn advance(&self, partial: &mut Partial, lane: usize, code: Code) -> Vec<Partial> {
        let on = |var: usize, kind, order| event(lane, kind, 1 << var, order);
        let read = |var, order, rf, value| Node { read: value, rf, ..on(var, Type::Read, order) };
        let update = |var, order, rf, value, wrote| Node {
            kind: Type::Update,
            wrote,
            ..read(var, order, rf, value)
        };
        let from = |var: usize, node: &dyn Fn(usize, u64) -> Node| {
            let sources = partial.sources(1 << var);
            sources.map(|(rf, value)| partial.with_read(node(rf, value))).collect()
        };
        match code {
            Code::Load(var, order) => from(var, &|rf, value| read(var, order, rf, value)),
            Code::Wait(var, until, order) => {
                let fitting = partial.sources(1 << var).filter(|&(_, value)| until.holds(value));
                fitting.map(|(rf, value)| partial.with_read(read(var, order, rf, value))).collect()
            }
            Code::Store(var, value, order) => {
                let wrote = partial.threads[lane].value(value);
                vec![partial.with(Node { wrote, ..on(var, Type::Write, order) })]
            }
            Code::Add(var, by, order) => {
                from(var, &|rf, value| update(var, order, rf, value, value + by))
            }
            Code::AddBelow(var, bound, order) => from(var, &|rf, value| match value < bound {
                true => update(var, order, rf, value, value + 1),
                false => read(var, Order::Relaxed, rf, value),
            }),
            Code::Cas(var, old, new, success, failure) => {
                from(var, &|rf, value| match value == old {
                    true => update(var, success, rf, value, new),
                    false => read(var, failure, rf, value),
                })
            }
            Code::Fence(order) => vec![partial.with(event(lane, Type::Fence, 0, order))],
            Code::Choose(n) => {
                let chosen = |value| {
                    let mut next = partial.clone();
                    next.threads[lane].read(value);
                    next
                };
                (0..n as u64).map(chosen).collect()
            }
            Code::PlainLoad(at) => from(self.vars + at, &|rf, value| Node {
                access: Access::Plain,
                ..read(self.vars + at, Order::Relaxed, rf, value)
            }),
            Code::PlainStore(at, wrote) => {
                let store = on(self.vars + at, Type::Write, Order::Relaxed);
                vec![partial.with(Node { wrote, access: Access::Plain, ..store })]
            }
            Code::Renew(var, wrote) => {
                let store = on(var, Type::Write, Order::Relaxed);
                vec![partial.with(Node { wrote, access: Access::Renew, ..store })]
            }
            Code::Lock(lock, mode) => {
                self.taken(partial, lane, lock, mode).map_or_else(Vec::new, |mut next| {
                    next.threads[lane].done();
                    vec![next]
                })
            }
            Code::Attempt(lock, mode) => self.attempts(partial, lane, lock, mode),
            Code::Unlock(lock, mode) => vec![self.given(partial, lane, lock, mode)],
            Code::See(lock) => {
                let word = self.writers(lock);
                let free = |node: &Node| match node.kind {
                    Type::Init => node.words == word,
                    Type::Give(Mode::Exclusive) => node.words & word != 0,
                    _ => false,
                };
                let see = |rf| Node { rf, ..event(lane, Type::See, word, Order::Relaxed) };
                let seen = (0..partial.nodes.len()).filter(|&e| free(&partial.nodes[e]));
                seen.map(|rf| partial.with(see(rf))).collect()
            }
            Code::Spawn(child) => {
                let mut next = partial.with(event(lane, Type::Point, 0, Order::Relaxed));
                let rf = next.nodes.len() - 1;
                next.nodes.push(Node { rf, ..event(child, Type::Point, 0, Order::Relaxed) });
                next.started[child] = true;
                vec![next]
            }
            Code::Join(child) => {
                let ended = partial.threads[child].next(&self.code[child]).is_none();
                if !partial.started[child] || !ended {
                    return Vec::new();
                }
                let mut next = partial.clone();
                next.nodes.push(event(child, Type::Point, 0, Order::Relaxed));
                let rf = next.nodes.len() - 1;
                next.threads[lane].done();
                next.nodes.push(Node { rf, ..event(lane, Type::Point, 0, Order::Relaxed) });
                vec![next]
            }
            Code::Local(_) => unreachable!("a thread keeps these to itself"),
        }
    }

    /// As it is after the lane took the lock, if it can. Taking a lock that it already holds
    /// concerns no other lane.
    fn taken(&self, partial: &Partial, lane: usize, lock: usize, mode: Mode) -> Option<Partial> {
        if !partial.is_free(lock, mode) {
            return None;
        }
        let mut next = partial.clone();
        if !partial.holds(lane, lock) {
            let words = self.words(lock, lane, mode);
            let epoch = self.epoch(partial, lock);
            next.nodes.push(Node { epoch, ..event(lane, Type::Take(mode), words, Order::Relaxed) });
        }
        next.held.push((lane, lock, mode));
        Some(next)
    }

    fn given(&self, partial: &Partial, lane: usize, lock: usize, mode: Mode) -> Partial {
        let mut next = partial.clone();
        next.threads[lane].done();
        let Some(at) = next.held.iter().position(|held| *held == (lane, lock, mode)) else {
            return next;
        };
        next.held.remove(at);
        if !next.holds(lane, lock) {
            let words = self.words(lock, lane, mode);
            let own = usize::from(mode == Mode::Exclusive);
            let epoch = self.epoch(partial, lock) - own;
            next.nodes.push(Node { epoch, ..event(lane, Type::Give(mode), words, Order::Relaxed) });
        }
        next
    }

    /// An attempt takes the lock if it can, and fails if it can see a lane that holds, or held, it.
    fn attempts(&self, partial: &Partial, lane: usize, lock: usize, mode: Mode) -> Vec<Partial> {
        let mut all = Vec::new();
        if let Some(mut next) = self.taken(partial, lane, lock, mode) {
            next.threads[lane].read(1);
            all.push(next);
        }
        if partial.holds(lane, lock) {
            if all.is_empty() {
                let mut next = partial.clone();
                next.threads[lane].read(0);
                all.push(next);
            }
            return all;
        }
        for (rf, taking) in partial.nodes.iter().enumerate() {
            let Type::Take(held) = taking.kind else { continue };
            let word = match held {
                Mode::Exclusive => self.writers(lock),
                Mode::Shared => self.reader(lock, taking.lane),
            };
            if taking.words & word != 0 && excludes(held, mode) {
                let fail = event(lane, Type::Fail, word, Order::Relaxed);
                all.push(partial.with_read(Node { rf, ..fail }));
            }
        }
        all
    }

    /// Tries all modification orders of a graph.
    fn complete(&mut self, partial: &mut Partial, ended: bool) {
        let nodes = &partial.nodes;
        let writes_of = |var: usize| {
            let writes = |e: &usize| nodes[*e].words == 1 << var && nodes[*e].writes();
            (0..nodes.len()).filter(writes).collect::<Vec<_>>()
        };
        let vars: Vec<_> = (0..self.vars + PLAIN).map(writes_of).collect();
        let mut waits = Vec::new();
        for (lane, thread) in partial.threads.iter_mut().enumerate() {
            if let Some((_, Code::Wait(var, until, _))) = thread.next(&self.code[lane])
                && partial.started[lane]
            {
                waits.push((var, until));
            }
        }
        let logs: Vec<_> = partial.threads.iter().map(|thread| thread.log.clone()).collect();
        let last = |mo: &[usize], var: usize| {
            let last = vars[var].iter().max_by_key(|&&write| mo[write]);
            last.map_or(0, |&write| nodes[write].wrote)
        };
        let known = &mut self.known;
        let graph = Graph::new(nodes);
        let racy = graph.is_racy();
        place(&vars, &mut vec![0; nodes.len()], &mut |mo| {
            if !graph.is_consistent(mo) {
                return;
            }
            known.races |= racy;
            if ended {
                let finals: Vec<_> = (0..vars.len() - PLAIN).map(|var| last(mo, var)).collect();
                known.outcomes.insert(outcome(&logs, &finals));
            } else {
                known.hangs |= !waits.iter().any(|&(var, until)| until.holds(last(mo, var)));
            }
        });
    }
}

/// Goes through all orders of the writes of each location; the first, the initial one, stays first.
fn place(vars: &[Vec<usize>], mo: &mut Vec<usize>, accept: &mut dyn FnMut(&[usize])) {
    let Some((writes, rest)) = vars.split_first() else { return accept(mo) };
    let mut order = writes.clone();
    permute(&mut order, 1, &mut |order| {
        for (place, &write) in order.iter().enumerate() {
            mo[write] = place;
        }
        place(rest, mo, accept);
    });
}

fn permute(items: &mut Vec<usize>, from: usize, visit: &mut dyn FnMut(&[usize])) {
    if from >= items.len() {
        return visit(items);
    }
    for index in from..items.len() {
        items.swap(from, index);
        permute(items, from + 1, visit);
        items.swap(from, index);
    }
}
