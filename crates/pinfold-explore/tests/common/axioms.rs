//! RC11 with the release sequences of C++20, by its axioms over one whole graph of events. Written
//! without looking at the explorer.
//!
//! A lock consists of atomic words: one for exclusive acquisitions, and one for each lane that
//! shares it, which exclusive acquisitions take as well. An acquisition is an acquiring update of
//! those words; an unlock is a releasing store to them (an update for a lane that shared it, which
//! continues release sequences). A failed attempt is a relaxed read of one word in which it saw
//! another lane's acquisition; a wait until no lane holds the lock exclusively is an acquiring read
//! of the word for exclusive acquisitions. The order in which lanes take a lock is fixed by the
//! graph's construction; only what attempts saw of it varies.
//!
//! Starting and joining a lane are events of their own on both sides. Orders of memory (coherence,
//! release sequences) are orders on one word.

use pinfold_explore::hook::{Mode, Order};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    Init,
    Read,
    Write,
    Update,
    Fence,
    /// A start or an end of a lane, on either side.
    Point,
    Take(Mode),
    Give(Mode),
    /// An attempt that failed: `rf` is the acquisition that it saw.
    Fail,
    /// A wait until no lane holds the lock exclusively: `rf` is the unlock that it saw, or the
    /// initial state.
    See,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub lane: usize,
    pub kind: Type,
    /// The locations that it accesses, as bits.
    pub words: u32,
    pub order: Order,
    pub wrote: u64,
    pub read: u64,
    /// The event that it reads from. For a point, the point that comes before it.
    pub rf: usize,
    /// For a lock's events: how many exclusive acquisitions came before.
    pub epoch: usize,
    pub access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Atomic,
    Plain,
    /// Reinitialises an atomic cell: no other lane may be using it.
    Renew,
}

impl Node {
    fn is_fence(&self) -> bool {
        matches!(self.kind, Type::Fence | Type::Point)
    }

    pub fn writes(&self) -> bool {
        matches!(self.kind, Type::Init | Type::Write | Type::Update) || self.is_lock_write()
    }

    pub fn reads(&self) -> bool {
        matches!(self.kind, Type::Read | Type::Update | Type::Fail | Type::See)
    }

    fn is_lock_write(&self) -> bool {
        matches!(self.kind, Type::Take(_) | Type::Give(_))
    }

    /// Whether it is a read-modify-write.
    fn is_update(&self) -> bool {
        matches!(self.kind, Type::Update | Type::Take(_) | Type::Give(Mode::Shared))
    }

    fn acquires(&self) -> bool {
        let order = matches!(self.order, Order::Acquire | Order::AcqRel | Order::SeqCst);
        order || matches!(self.kind, Type::Take(_) | Type::See)
    }

    fn releases(&self) -> bool {
        let order = matches!(self.order, Order::Release | Order::AcqRel | Order::SeqCst);
        (order && self.kind != Type::Init) || matches!(self.kind, Type::Give(_))
    }

    fn is_sc(&self) -> bool {
        let event = !matches!(self.kind, Type::Init | Type::Point);
        self.order == Order::SeqCst && event && !self.is_lock_write()
    }
}

type Rel = Vec<u128>;

fn relation(n: usize, holds: impl Fn(usize, usize) -> bool) -> Rel {
    (0..n).map(|a| (0..n).filter(|&b| holds(a, b)).fold(0, |row, b| row | 1 << b)).collect()
}

fn union(a: &Rel, b: &Rel) -> Rel {
    a.iter().zip(b).map(|(a, b)| a | b).collect()
}

fn compose(a: &Rel, b: &Rel) -> Rel {
    let row = |mut row: u128| {
        let mut all = 0;
        while row != 0 {
            all |= b[row.trailing_zeros() as usize];
            row &= row - 1;
        }
        all
    };
    a.iter().copied().map(row).collect()
}

fn closure(r: &Rel) -> Rel {
    let mut all = r.clone();
    for k in 0..all.len() {
        let row = all[k];
        for from in all.iter_mut().filter(|from| **from >> k & 1 == 1) {
            *from |= row;
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

fn excludes(held: Mode, wanted: Mode) -> bool {
    held == Mode::Exclusive || wanted == Mode::Exclusive
}

/// A graph without the modification order of its cells, and what does not depend on that.
pub struct Graph<'a> {
    nodes: &'a [Node],
    /// Which events access a common location.
    same: Rel,
    sb: Rel,
    rf: Rel,
    /// The order in which locks are taken and released.
    lock_order: Rel,
    hb: Rel,
}

impl<'a> Graph<'a> {
    pub fn new(nodes: &'a [Node]) -> Self {
        let n = nodes.len();
        let same = relation(n, |a, b| nodes[a].words & nodes[b].words != 0);
        let sb = relation(n, |a, b| {
            let init = nodes[a].kind == Type::Init && nodes[b].kind != Type::Init;
            init || (nodes[b].kind != Type::Init && nodes[a].lane == nodes[b].lane && a < b)
        });
        let rf = relation(n, |a, b| nodes[b].reads() && nodes[b].rf == a);
        let lock_order =
            relation(n, |a, b| a != b && same[a] >> b & 1 == 1 && comes_before(nodes, a, b));
        let mut graph = Self { nodes, same, sb, rf, lock_order, hb: Vec::new() };
        graph.hb = graph.happens_before();
        graph
    }

    fn same(&self, a: usize, b: usize) -> bool {
        self.same[a] >> b & 1 == 1
    }

    fn before(&self, a: usize, b: usize) -> bool {
        self.hb[a] >> b & 1 == 1
    }

    /// Whether an acquisition or unlock comes right after another on a word.
    fn follows(&self, a: usize, b: usize, word: u32) -> bool {
        let order = &self.lock_order;
        let between = |c: usize| {
            self.nodes[c].words & word != 0 && order[a] >> c & 1 == 1 && order[c] >> b & 1 == 1
        };
        order[a] >> b & 1 == 1 && !(0..self.nodes.len()).any(between)
    }

    /// Release sequences on one word: for a write, the writes from which a reader of it there
    /// acquires.
    fn sequences(&self, word: u32) -> Rel {
        let n = self.nodes.len();
        let here = |e: usize| self.nodes[e].words & word != 0;
        let read = |a: usize, b: usize| match self.nodes[b].kind {
            Type::Update => self.nodes[b].rf == a,
            _ => here(a) && here(b) && self.nodes[b].is_update() && self.follows(a, b, word),
        };
        reflexive(&closure(&relation(n, read)))
    }

    /// The words whose value some event reads.
    fn words(&self) -> impl Iterator<Item = u32> {
        let readers = self.nodes.iter().filter(|node| node.reads());
        let read = readers.fold(0, |all, node| all | node.words);
        (0..u32::BITS).map(|bit| 1 << bit).filter(move |word| read & word != 0)
    }

    fn happens_before(&self) -> Rel {
        let Self { nodes, sb, rf, lock_order, .. } = self;
        let n = nodes.len();
        let heads = relation(n, |a, w| {
            let fenced = nodes[a].kind == Type::Fence && nodes[a].releases();
            let write = nodes[w].writes() && nodes[w].kind != Type::Init;
            write && ((a == w && nodes[w].releases()) || (fenced && sb[a] >> w & 1 == 1))
        });
        let tails = relation(n, |r, b| {
            let fenced = nodes[b].kind == Type::Fence && nodes[b].acquires();
            nodes[r].reads() && ((r == b && nodes[b].acquires()) || (fenced && sb[r] >> b & 1 == 1))
        });
        let sw = self.words().fold(vec![0; n], |all, word| {
            let read = relation(n, |w, r| rf[w] >> r & 1 == 1 && nodes[r].words & word != 0);
            union(&all, &compose(&compose(&compose(&heads, &self.sequences(word)), &read), &tails))
        });
        // What a lock hands over, and starts and ends of lanes.
        let handed = relation(n, |a, b| match (nodes[a].kind, nodes[b].kind) {
            (Type::Give(held), Type::Take(mode)) => {
                excludes(held, mode) && lock_order[a] >> b & 1 == 1
            }
            (Type::Point, Type::Point) => nodes[b].rf == a,
            _ => false,
        });
        closure(&union(&union(sb, &sw), &handed))
    }

    /// Whether two accesses are unordered although one of them needs exclusive access.
    pub fn is_racy(&self) -> bool {
        let n = self.nodes.len();
        (0..n).any(|a| (0..n).any(|b| self.is_race(a, b)))
    }

    fn is_race(&self, a: usize, b: usize) -> bool {
        let (first, second) = (&self.nodes[a], &self.nodes[b]);
        if first.lane == second.lane || !self.same(a, b) || self.before(a, b) || self.before(b, a) {
            return false;
        }
        match (first.access, second.access) {
            (Access::Renew, _) => true,
            (Access::Plain, Access::Plain) => first.writes() || second.writes(),
            _ => false,
        }
    }

    /// Whether the graph is consistent with a modification order of its cells: `mo[e]` is the place
    /// of a write in that of its cell.
    pub fn is_consistent(&self, mo: &[usize]) -> bool {
        let Self { nodes, rf, hb, .. } = self;
        let n = nodes.len();
        let stray = |u: usize| nodes[u].kind == Type::Update && mo[u] != mo[nodes[u].rf] + 1;
        if !irreflexive(hb) || (0..n).any(stray) {
            return false;
        }
        let cells = relation(n, |a, b| {
            let cell = |e: usize| nodes[e].writes() && !nodes[e].is_lock_write();
            cell(a) && cell(b) && self.same(a, b) && mo[a] < mo[b]
        });
        let co = union(&cells, &self.lock_order);
        let rb = relation(n, |a, b| {
            let reader = &nodes[a];
            a != b && reader.reads() && self.same(a, b) && co[reader.rf] >> b & 1 == 1
        });
        let eco = self.per_word(&union(&union(rf, &co), &rb));
        let coherent = irreflexive(&compose(hb, &eco));
        let sc = nodes.iter().any(Node::is_sc);
        coherent && (!sc || self.partial_sc_is_acyclic(&co, &rb, &eco))
    }

    /// The transitive closure of steps on one word each.
    fn per_word(&self, steps: &Rel) -> Rel {
        let n = self.nodes.len();
        let all = self.nodes.iter().fold(0, |all, node| all | node.words);
        let words = (0..u32::BITS).map(|bit| 1 << bit).filter(|word| all & word != 0);
        words.fold(vec![0; n], |all, word| {
            let here = |a: usize, b: usize| {
                steps[a] >> b & 1 == 1 && self.nodes[a].words & self.nodes[b].words & word != 0
            };
            union(&all, &closure(&relation(n, here)))
        })
    }

    fn partial_sc_is_acyclic(&self, co: &Rel, rb: &Rel, eco: &Rel) -> bool {
        let Self { nodes, sb, hb, .. } = self;
        let n = nodes.len();
        let fence = |e: usize| nodes[e].is_fence();
        let elsewhere = relation(n, |a, b| sb[a] >> b & 1 == 1 && !self.same(a, b));
        let hb_here = relation(n, |a, b| self.before(a, b) && self.same(a, b));
        let hop = compose(&compose(&elsewhere, hb), &elsewhere);
        let scb = [&hop, &hb_here, co, rb].into_iter().fold(sb.clone(), |all, r| union(&all, r));
        let is_sc = |e: usize| nodes[e].is_sc();
        let maybe_hb = reflexive(hb);
        let from = relation(n, |a, b| {
            is_sc(a) && ((!fence(a) && a == b) || (fence(a) && maybe_hb[a] >> b & 1 == 1))
        });
        let to = relation(n, |a, b| {
            is_sc(b) && ((!fence(b) && a == b) || (fence(b) && maybe_hb[a] >> b & 1 == 1))
        });
        let base = compose(&compose(&from, &scb), &to);
        let between = union(hb, &compose(&compose(hb, eco), hb));
        let fences = relation(n, |a, b| {
            fence(a) && fence(b) && is_sc(a) && is_sc(b) && between[a] >> b & 1 == 1
        });
        acyclic(&union(&base, &fences))
    }
}

/// Whether one acquisition or unlock of a common word comes before another.
fn comes_before(nodes: &[Node], a: usize, b: usize) -> bool {
    let (first, second) = (&nodes[a], &nodes[b]);
    if first.kind == Type::Init {
        return second.is_lock_write();
    }
    let (Type::Take(mode) | Type::Give(mode), Type::Take(other) | Type::Give(other)) =
        (first.kind, second.kind)
    else {
        return false;
    };
    match (mode, other) {
        // Shared holders that meet here are the same lane.
        (Mode::Shared, Mode::Shared) => a < b,
        (Mode::Exclusive, Mode::Exclusive) if first.epoch == second.epoch => a < b,
        (Mode::Exclusive, _) => first.epoch < second.epoch,
        (Mode::Shared, Mode::Exclusive) => first.epoch <= second.epoch,
    }
}
