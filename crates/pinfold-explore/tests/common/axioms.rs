//! Reference semantics, written without looking at the explorer: RC11 by its axioms over all
//! graphs, TSO by a machine with store buffers. Straight-line programs of loads, stores, updates,
//! waits and fences; for RC11 also of plain accesses and of lanes that start and join lanes.

use super::program::{Ins, PLAIN, Program};
use pinfold_explore::hook::Order;
use std::collections::{BTreeSet, HashSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Init,
    Read,
    Write,
    Update,
    Fence,
}

#[derive(Clone, Debug)]
struct Node {
    lane: usize,
    kind: Type,
    var: usize,
    order: Order,
    wrote: u64,
    read: u64,
    /// The event that it reads from.
    rf: usize,
    /// The instruction that it belongs to.
    at: usize,
    access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Atomic,
    Plain,
}

/// What is known of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Inconsistent,
    Consistent,
    /// Consistent, and nothing orders two accesses to plain memory, one of which writes.
    Racy,
}

type Rel = Vec<u64>;

fn relation(n: usize, holds: impl Fn(usize, usize) -> bool) -> Rel {
    (0..n).map(|a| (0..n).filter(|&b| holds(a, b)).fold(0, |row, b| row | 1 << b)).collect()
}

fn union(a: &Rel, b: &Rel) -> Rel {
    a.iter().zip(b).map(|(a, b)| a | b).collect()
}

fn compose(a: &Rel, b: &Rel) -> Rel {
    a.iter()
        .map(|&row| (0..b.len()).filter(|i| row >> i & 1 == 1).fold(0, |acc, i| acc | b[i]))
        .collect()
}

fn closure(r: &Rel) -> Rel {
    let mut all = r.clone();
    for k in 0..all.len() {
        for i in 0..all.len() {
            if all[i] >> k & 1 == 1 {
                all[i] |= all[k];
            }
        }
    }
    all
}

fn reflexive(r: &Rel) -> Rel {
    r.iter().enumerate().map(|(i, row)| row | 1 << i).collect()
}

fn irreflexive(r: &Rel) -> bool {
    r.iter().enumerate().all(|(i, row)| row >> i & 1 == 0)
}

fn acyclic(r: &Rel) -> bool {
    irreflexive(&closure(r))
}

fn acquires(order: Order) -> bool {
    matches!(order, Order::Acquire | Order::AcqRel | Order::SeqCst)
}

fn releases(order: Order) -> bool {
    matches!(order, Order::Release | Order::AcqRel | Order::SeqCst)
}

/// RC11 with C++20 release sequences. `mo[e]` is the place of a write in its variable's
/// modification order.
fn verdict(program: &Program, nodes: &[Node], mo: &[usize]) -> Verdict {
    let n = nodes.len();
    let writes = |e: usize| matches!(nodes[e].kind, Type::Init | Type::Write | Type::Update);
    let reads = |e: usize| matches!(nodes[e].kind, Type::Read | Type::Update);
    let fence = |e: usize| nodes[e].kind == Type::Fence;
    let same = |a: usize, b: usize| !fence(a) && !fence(b) && nodes[a].var == nodes[b].var;
    let sb = relation(n, |a, b| {
        let init = nodes[a].kind == Type::Init && nodes[b].kind != Type::Init;
        init || (nodes[b].kind != Type::Init && nodes[a].lane == nodes[b].lane && a < b)
    });
    let rf = relation(n, |a, b| reads(b) && nodes[b].rf == a);
    let co = relation(n, |a, b| writes(a) && writes(b) && same(a, b) && mo[a] < mo[b]);
    let rb = relation(n, |a, b| {
        a != b && reads(a) && writes(b) && same(a, b) && mo[nodes[a].rf] < mo[b]
    });
    if (0..n).any(|u| nodes[u].kind == Type::Update && mo[u] != mo[nodes[u].rf] + 1) {
        return Verdict::Inconsistent;
    }
    let rf_rmw = relation(n, |a, b| nodes[b].kind == Type::Update && nodes[b].rf == a);
    let sequence = reflexive(&closure(&rf_rmw));
    let heads = relation(n, |a, w| {
        let head = a == w && nodes[w].kind != Type::Init && releases(nodes[a].order);
        let fenced = fence(a) && releases(nodes[a].order) && sb[a] >> w & 1 == 1;
        matches!(nodes[w].kind, Type::Write | Type::Update) && (head || fenced)
    });
    let tails = relation(n, |r, b| {
        let own = r == b && acquires(nodes[b].order);
        let fenced = fence(b) && acquires(nodes[b].order) && sb[r] >> b & 1 == 1;
        reads(r) && (own || fenced)
    });
    let sw = compose(&compose(&compose(&heads, &sequence), &rf), &tails);
    let asw = starts_and_joins(program, nodes);
    let hb = closure(&union(&union(&sb, &sw), &asw));
    let eco = closure(&union(&union(&rf, &co), &rb));
    if !irreflexive(&hb) || !irreflexive(&compose(&hb, &eco)) {
        return Verdict::Inconsistent;
    }
    let elsewhere = relation(n, |a, b| {
        let differs = fence(a) != fence(b) || (!fence(a) && nodes[a].var != nodes[b].var);
        sb[a] >> b & 1 == 1 && differs
    });
    let hb_here = relation(n, |a, b| hb[a] >> b & 1 == 1 && same(a, b));
    let hop = compose(&compose(&elsewhere, &hb), &elsewhere);
    let scb = [&hop, &hb_here, &co, &rb].into_iter().fold(sb.clone(), |all, r| union(&all, r));
    let is_sc = |e: usize| nodes[e].order == Order::SeqCst && nodes[e].kind != Type::Init;
    let maybe_hb = reflexive(&hb);
    let from = relation(n, |a, b| {
        is_sc(a) && ((!fence(a) && a == b) || (fence(a) && maybe_hb[a] >> b & 1 == 1))
    });
    let to = relation(n, |a, b| {
        is_sc(b) && ((!fence(b) && a == b) || (fence(b) && maybe_hb[a] >> b & 1 == 1))
    });
    let base = compose(&compose(&from, &scb), &to);
    let between = union(&hb, &compose(&compose(&hb, &eco), &hb));
    let fences = relation(n, |a, b| {
        fence(a) && fence(b) && is_sc(a) && is_sc(b) && between[a] >> b & 1 == 1
    });
    if !acyclic(&union(&base, &fences)) {
        return Verdict::Inconsistent;
    }
    let plain = |e: usize| nodes[e].access == Access::Plain;
    let racy = relation(n, |a, b| {
        let apart = hb[a] >> b & 1 == 0 && hb[b] >> a & 1 == 0;
        a != b && plain(a) && plain(b) && same(a, b) && (writes(a) || writes(b)) && apart
    });
    if racy.iter().all(|&row| row == 0) { Verdict::Consistent } else { Verdict::Racy }
}

/// What comes before what by the starting and joining of lanes, for events of different lanes.
fn starts_and_joins(program: &Program, nodes: &[Node]) -> Rel {
    // A point for each instruction, one for the start of each lane and one for its end.
    let lanes = program.lanes.iter();
    let points: Vec<(usize, usize)> = lanes
        .enumerate()
        .flat_map(|(lane, code)| (0..code.len() + 2).map(move |at| (lane, at)))
        .collect();
    let ins = |lane: usize, at: usize| program.lanes[lane].get(at.wrapping_sub(1));
    let follows = closure(&relation(points.len(), |a, b| {
        let ((lane, at), (other, there)) = (points[a], points[b]);
        let own = lane == other && at < there;
        let end = program.lanes[lane].len() + 1;
        let starts = matches!(ins(lane, at), Some(Ins::Spawn(started)) if *started == other);
        let joins = matches!(ins(other, there), Some(Ins::Join(ended)) if *ended == lane);
        own || (starts && there == 0) || (joins && at == end)
    }));
    let point = |node: &Node| points.iter().position(|&at| at == (node.lane, node.at + 1));
    relation(nodes.len(), |a, b| match (point(&nodes[a]), point(&nodes[b])) {
        (Some(first), Some(second)) => {
            nodes[a].lane != nodes[b].lane && follows[first] >> second & 1 == 1
        }
        _ => false,
    })
}

/// The next events of a lane, given what it did: for each possible read its event, with the fences
/// of `Full` around it.
fn steps(program: &Program, nodes: &[Node], lane: usize, done: usize) -> Vec<Vec<Node>> {
    let Some(ins) = program.lanes[lane].get(done) else { return Vec::new() };
    let sum = nodes
        .iter()
        .rev()
        .find(|node| node.lane == lane && matches!(node.kind, Type::Read | Type::Update));
    let sum = sum.map_or(0, |node| node.read);
    let event = |kind, var, order| Node {
        lane,
        kind,
        var,
        order,
        wrote: 0,
        read: 0,
        rf: usize::MAX,
        at: done,
        access: Access::Atomic,
    };
    let wrap = |node: Node| {
        if node.order != Order::Full {
            return vec![node];
        }
        let fence = Node { kind: Type::Fence, order: Order::SeqCst, ..node.clone() };
        if node.kind == Type::Fence {
            return vec![fence];
        }
        vec![fence.clone(), Node { order: Order::Relaxed, ..node }, fence]
    };
    let sources = |var: usize| {
        let writes = move |node: &&(usize, &Node)| {
            node.1.var == var && matches!(node.1.kind, Type::Init | Type::Write | Type::Update)
        };
        nodes.iter().enumerate().filter(move |node| writes(&node)).map(|(e, node)| (e, node.wrote))
    };
    let read = |var, order, rf, read| Node { read, rf, ..event(Type::Read, var, order) };
    match *ins {
        Ins::Load(var, order) => {
            sources(var).map(|(rf, value)| wrap(read(var, order, rf, value))).collect()
        }
        Ins::Wait(var, least, order) => sources(var)
            .filter(|&(_, value)| value >= least)
            .map(|(rf, value)| wrap(read(var, order, rf, value)))
            .collect(),
        Ins::Store(var, wrote, order) => {
            vec![wrap(Node { wrote, ..event(Type::Write, var, order) })]
        }
        Ins::StoreSum(var, order) => {
            vec![wrap(Node { wrote: sum + 1, ..event(Type::Write, var, order) })]
        }
        Ins::Add(var, by, order) => sources(var)
            .map(|(rf, value)| {
                wrap(Node { wrote: value + by, read: value, rf, ..event(Type::Update, var, order) })
            })
            .collect(),
        Ins::Cas(var, expected, wrote, success, failure) => sources(var)
            .map(|(rf, value)| match value == expected {
                true => wrap(Node { wrote, read: value, rf, ..event(Type::Update, var, success) }),
                false => wrap(read(var, failure, rf, value)),
            })
            .collect(),
        Ins::Fence(order) => vec![wrap(event(Type::Fence, 0, order))],
        Ins::PlainLoad(at) => sources(program.vars + at)
            .map(|(rf, value)| {
                let read = read(program.vars + at, Order::Relaxed, rf, value);
                vec![Node { access: Access::Plain, ..read }]
            })
            .collect(),
        Ins::PlainStore(at, wrote) => {
            let store = event(Type::Write, program.vars + at, Order::Relaxed);
            vec![vec![Node { wrote, access: Access::Plain, ..store }]]
        }
        Ins::Spawn(_) | Ins::Join(_) => vec![Vec::new()],
        _ => panic!("only straight-line programs have a reference"),
    }
}

fn outcome(logs: &[Vec<u64>], finals: &[u64]) -> String {
    format!("{logs:?} {finals:?}")
}

/// All outcomes of the program under RC11.
pub fn rc11(program: &Program) -> BTreeSet<String> {
    found(program).outcomes
}

/// Whether RC11 knows an execution of the program with a data race.
pub fn is_racy(program: &Program) -> bool {
    found(program).racy > 0
}

/// What the graphs of a program have in common.
#[derive(Default)]
struct Found {
    outcomes: BTreeSet<String>,
    /// How many graphs have a race.
    racy: u64,
}

/// Whether the lane may go on: it was started, and all that it waits for has ended.
fn may_go_on(program: &Program, done: &[usize], lane: usize) -> bool {
    let started = |(starter, code): (usize, &Vec<Ins>)| {
        let starts = |ins: &Ins| matches!(ins, Ins::Spawn(started) if *started == lane);
        code.iter().position(starts).is_none_or(|at| at < done[starter])
    };
    let ended = match program.lanes[lane].get(done[lane]) {
        Some(Ins::Join(ended)) => done[*ended] == program.lanes[*ended].len(),
        _ => true,
    };
    ended && program.lanes.iter().enumerate().all(started)
}

fn found(program: &Program) -> Found {
    let init = |var| Node {
        lane: usize::MAX,
        kind: Type::Init,
        var,
        order: Order::Relaxed,
        wrote: 0,
        read: 0,
        rf: usize::MAX,
        at: 0,
        access: Access::Atomic,
    };
    let mut found = Found::default();
    let mut seen = HashSet::new();
    let start: Vec<Node> = (0..program.vars + PLAIN).map(init).collect();
    let mut todo = vec![(start, vec![0; program.lanes.len()])];
    while let Some((nodes, done)) = todo.pop() {
        let mut finished = true;
        for lane in 0..done.len() {
            finished &= done[lane] == program.lanes[lane].len();
            if !may_go_on(program, &done, lane) {
                continue;
            }
            for events in steps(program, &nodes, lane, done[lane]) {
                let mut nodes = nodes.clone();
                nodes.extend(events);
                let mut done = done.clone();
                done[lane] += 1;
                if seen.insert((canonical(&nodes, done.len()), done.clone())) {
                    todo.push((nodes, done));
                }
            }
        }
        if finished {
            complete(program, &nodes, &mut found);
        }
    }
    found
}

/// What each lane reads from, without the order in which the events were added.
fn canonical(nodes: &[Node], lanes: usize) -> Vec<Vec<(usize, usize)>> {
    let name = |e: usize| {
        let node = &nodes[e];
        if node.kind == Type::Init {
            return (usize::MAX, node.var);
        }
        (node.lane, nodes[..e].iter().filter(|other| other.lane == node.lane).count())
    };
    let of_lane = |lane: usize| {
        let mine = nodes.iter().filter(|node| node.lane == lane);
        mine.map(|node| if node.rf == usize::MAX { (0, usize::MAX) } else { name(node.rf) })
            .collect()
    };
    (0..lanes).map(of_lane).collect()
}

/// Tries all modification orders of a graph.
fn complete(program: &Program, nodes: &[Node], found: &mut Found) {
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
    let writes_of = |var: usize| {
        let writes = |e: &usize| {
            nodes[*e].var == var
                && matches!(nodes[*e].kind, Type::Init | Type::Write | Type::Update)
        };
        (0..nodes.len()).filter(writes).collect::<Vec<_>>()
    };
    let vars: Vec<_> = (0..program.vars + PLAIN).map(writes_of).collect();
    let mut logs = vec![Vec::new(); program.lanes.len()];
    for node in nodes.iter().filter(|node| matches!(node.kind, Type::Read | Type::Update)) {
        logs[node.lane].push(node.read);
    }
    let has_plain = nodes.iter().any(|node| node.access == Access::Plain);
    let mut mo = vec![0; nodes.len()];
    place(&vars, &mut mo, &mut |mo| {
        let last = |writes: &Vec<usize>| {
            writes.iter().max_by_key(|&&write| mo[write]).map_or(0, |&write| nodes[write].wrote)
        };
        let finals = vars[..program.vars].iter().map(last).collect::<Vec<_>>();
        let name = outcome(&logs, &finals);
        if !has_plain && found.outcomes.contains(&name) {
            return;
        }
        match verdict(program, nodes, mo) {
            Verdict::Inconsistent => return,
            Verdict::Consistent => {}
            Verdict::Racy => found.racy += 1,
        }
        found.outcomes.insert(name);
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

#[derive(Clone, PartialEq, Eq, Hash)]
struct Machine {
    memory: Vec<u64>,
    buffers: Vec<Vec<(usize, u64)>>,
    done: Vec<usize>,
    /// Lanes that must empty their buffer before they go on.
    draining: Vec<bool>,
    sums: Vec<u64>,
    logs: Vec<Vec<u64>>,
}

/// All outcomes of the program on a machine with store buffers.
pub fn tso(program: &Program) -> BTreeSet<String> {
    let lanes = program.lanes.len();
    let start = Machine {
        memory: vec![0; program.vars],
        buffers: vec![Vec::new(); lanes],
        done: vec![0; lanes],
        draining: vec![false; lanes],
        sums: vec![0; lanes],
        logs: vec![Vec::new(); lanes],
    };
    let mut found = BTreeSet::new();
    let mut seen = HashSet::from([start.clone()]);
    let mut todo = vec![start];
    while let Some(machine) = todo.pop() {
        let idle = (0..lanes).all(|lane| {
            machine.done[lane] == program.lanes[lane].len() && machine.buffers[lane].is_empty()
        });
        if idle {
            found.insert(outcome(&machine.logs, &machine.memory));
        }
        for lane in 0..lanes {
            for next in
                [flush(&machine, lane), advance(&machine, program, lane)].into_iter().flatten()
            {
                if seen.insert(next.clone()) {
                    todo.push(next);
                }
            }
        }
    }
    found
}

fn flush(machine: &Machine, lane: usize) -> Option<Machine> {
    let &(var, value) = machine.buffers[lane].first()?;
    let mut next = machine.clone();
    next.buffers[lane].remove(0);
    next.memory[var] = value;
    next.draining[lane] &= !next.buffers[lane].is_empty();
    Some(next)
}

fn advance(machine: &Machine, program: &Program, lane: usize) -> Option<Machine> {
    let ins = program.lanes[lane].get(machine.done[lane])?;
    let empty = machine.buffers[lane].is_empty();
    if machine.draining[lane] {
        return None;
    }
    let mut next = machine.clone();
    next.done[lane] += 1;
    let seen = |var: usize| {
        let buffered = machine.buffers[lane].iter().rev().find(|(at, _)| *at == var);
        buffered.map_or(machine.memory[var], |&(_, value)| value)
    };
    let read = |value: u64, next: &mut Machine| {
        next.sums[lane] = value;
        next.logs[lane].push(value);
    };
    let strong = |order: Order| matches!(order, Order::SeqCst | Order::Full);
    match *ins {
        Ins::Load(_, Order::Full) | Ins::Wait(_, _, Order::Full) if !empty => return None,
        Ins::Load(var, _) => read(seen(var), &mut next),
        Ins::Wait(var, least, _) if seen(var) >= least => read(seen(var), &mut next),
        Ins::Wait(..) => return None,
        Ins::Store(var, _, order) | Ins::StoreSum(var, order) => {
            let value = match *ins {
                Ins::Store(_, value, _) => value,
                _ => machine.sums[lane] + 1,
            };
            next.buffers[lane].push((var, value));
            next.draining[lane] = strong(order);
        }
        Ins::Add(..) if !empty => return None,
        Ins::Add(var, by, _) => {
            read(machine.memory[var], &mut next);
            next.memory[var] += by;
        }
        Ins::Cas(var, from, _, _, failure) if seen(var) != from => {
            if failure == Order::Full && !empty {
                return None;
            }
            read(seen(var), &mut next);
        }
        Ins::Cas(..) if !empty => return None,
        Ins::Cas(var, from, to, ..) => {
            read(from, &mut next);
            next.memory[var] = to;
        }
        Ins::Fence(order) if strong(order) && !empty => return None,
        Ins::Fence(_) => {}
        _ => panic!("only straight-line programs have a reference"),
    }
    Some(next)
}
