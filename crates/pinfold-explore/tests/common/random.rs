//! Random programs for the comparison of searches.

use super::program::{Ins, PLAIN, Program, REGISTERS, Rng};
use pinfold_explore::hook::{Mode, Order};

const MODES: [Mode; 2] = [Mode::Exclusive, Mode::Shared];

const ORDERS: [Order; 5] =
    [Order::Relaxed, Order::Acquire, Order::Release, Order::AcqRel, Order::Full];

const LOADS: [Order; 3] = [Order::Relaxed, Order::Acquire, Order::SeqCst];

/// A few instructions, about `budget` steps.
fn block(rng: &mut Rng, budget: &mut usize, depth: usize, vars: usize) -> Vec<Ins> {
    let mut code = Vec::new();
    for _ in 0..1 + rng.below(3) {
        if *budget == 0 {
            break;
        }
        *budget -= 1;
        let var = rng.below(vars);
        let order = rng.pick(&ORDERS);
        code.push(match rng.below(if depth < 2 { 14 } else { 9 }) {
            0 | 1 => Ins::Load(var, order),
            2 | 3 => Ins::Store(var, 1 + rng.below(2) as u64, order),
            4 => Ins::StoreSum(var, order),
            5 => Ins::Add(var, 1, order),
            6 => Ins::Cas(var, rng.below(2) as u64, 2, order, order),
            7 => Ins::Wait(var, 1, order),
            8 => Ins::Choose(2),
            9 => Ins::If(block(rng, budget, depth + 1, vars)),
            10 | 11 => {
                Ins::Locked(rng.below(2), rng.pick(&MODES), block(rng, budget, depth + 1, vars))
            }
            _ => Ins::Try(rng.below(2), rng.pick(&MODES), block(rng, budget, depth + 1, vars)),
        });
    }
    code
}

/// Lanes with locks, waits and branches.
pub fn mixed(seed: u64) -> Program {
    let mut rng = Rng(seed);
    let lanes = 2 + rng.below(3);
    let vars = 1 + rng.below(3);
    let lanes = (0..lanes)
        .map(|_| {
            let mut budget = [5, 3, 2][lanes - 2];
            let mut code = block(&mut rng, &mut budget, 0, vars);
            code.extend(block(&mut rng, &mut budget, 0, vars));
            code
        })
        .collect();
    Program { vars, lanes }
}

/// Lanes that wait for values which others take away for a while, but always bring back.
pub fn waiting(seed: u64) -> Program {
    let mut rng = Rng(seed);
    let lanes = 2 + rng.below(2);
    let vars = 1 + rng.below(2);
    let lane = |rng: &mut Rng| {
        let mut code = Vec::new();
        for _ in 0..1 + rng.below(3) {
            let (var, order) = (rng.below(vars), rng.pick(&ORDERS));
            match rng.below(6) {
                0 | 1 => code.push(Ins::WaitBelow(var, 1 + rng.below(2) as u64, order)),
                2 => code.push(Ins::Load(var, order)),
                3 => {
                    code.extend([Ins::Add(var, 2, order), Ins::Store(var, 0, Order::Relaxed)]);
                }
                _ => code.extend([Ins::Store(var, 1, order), Ins::Store(var, 0, order)]),
            }
        }
        code
    };
    Program { vars, lanes: (0..lanes).map(|_| lane(&mut rng)).collect() }
}

/// Lets lanes start some of the others, and perhaps wait for their end; perhaps under a lock.
pub fn start_some(program: &mut Program, rng: &mut Rng) {
    for lane in 1..program.lanes.len() {
        if rng.below(3) == 0 {
            continue;
        }
        let code = locked_or_whole(&mut program.lanes[rng.below(lane)], rng);
        let at = rng.below(code.len() + 1);
        code.insert(at, Ins::Spawn(lane));
        if rng.below(2) == 0 {
            let at = at + 1 + rng.below(code.len() - at);
            code.insert(at, Ins::Join(lane));
        }
    }
}

/// The code of a lane, or a part of it that runs under a lock, and in any case.
fn locked_or_whole<'a>(code: &'a mut Vec<Ins>, rng: &mut Rng) -> &'a mut Vec<Ins> {
    let locked = |ins: &Ins| matches!(ins, Ins::Locked(..));
    match code.iter().position(locked) {
        Some(at) if rng.below(2) == 0 => match &mut code[at] {
            Ins::Locked(_, _, inner) => inner,
            _ => unreachable!("that was a lock"),
        },
        _ => code,
    }
}

/// As [`mixed`], with lanes that others start.
pub fn starting(seed: u64) -> Program {
    let mut program = mixed(seed);
    start_some(&mut program, &mut Rng(!seed));
    program
}

/// What a dense program may contain besides locks and atomic cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Atomic,
    /// Waits for values that come and go.
    Waiting,
    /// Plain memory, and cells that are reinitialised.
    Plain,
}

/// A lane of a dense program as it is written.
struct Writer<'a> {
    rng: &'a mut Rng,
    kind: Kind,
    vars: usize,
    locks: usize,
    code: Vec<Ins>,
    /// What it holds: certainly, or if the attempt whose result is in the register took it.
    held: Vec<(usize, Mode, Option<usize>)>,
    registers: usize,
}

impl Writer<'_> {
    fn access(&mut self) {
        let var = self.rng.below(self.vars);
        let order = self.rng.pick(&ORDERS);
        let kinds = if self.kind == Kind::Atomic { 11 } else { 16 };
        self.code.push(match self.rng.below(kinds) {
            0..=3 => Ins::Load(var, order),
            4..=6 => Ins::Store(var, 1 + self.rng.below(2) as u64, order),
            7 => Ins::Add(var, 1, order),
            8 => Ins::Cas(var, self.rng.below(2) as u64, 2, order, self.rng.pick(&LOADS)),
            9 => Ins::AddBelow(var, 1, order),
            10 => Ins::Fence(self.rng.pick(&[Order::Full, Order::Acquire, Order::Release])),
            11 | 12 if self.kind == Kind::Waiting => Ins::Store(var, 1, order),
            _ if self.kind == Kind::Waiting => return self.wait(var, order),
            11 | 12 => Ins::PlainLoad(self.rng.below(PLAIN)),
            13 | 14 => Ins::PlainStore(self.rng.below(PLAIN), 1 + self.rng.below(2) as u64),
            _ => Ins::Renew(var, 3),
        });
    }

    fn wait(&mut self, var: usize, order: Order) {
        let other = self.rng.below(self.vars);
        let wait = match self.rng.below(3) {
            0 => Ins::Wait(var, 1, order),
            1 => Ins::WaitBelow(var, 2, order),
            _ => Ins::WaitFor(var, self.rng.below(3) as u64, order),
        };
        self.code.extend(match self.rng.below(3) {
            0 => vec![Ins::Load(other, Order::Relaxed), Ins::If(vec![wait])],
            _ => vec![wait],
        });
    }

    fn lock(&mut self) {
        let lock = self.rng.below(self.locks);
        let mode = self.rng.pick(&MODES);
        let holds = self.held.iter().any(|held| held.0 == lock);
        let higher = self.held.iter().any(|held| held.0 > lock);
        // Most take locks in one order, so that most end.
        let waits = !holds && (!higher || self.rng.below(6) == 0) && self.rng.below(2) == 0;
        if waits {
            self.code.push(Ins::Lock(lock, mode));
            self.held.push((lock, mode, None));
        } else if self.registers < REGISTERS && (!holds || self.rng.below(4) == 0) {
            let register = self.registers;
            self.registers += 1;
            self.code.extend([Ins::Attempt(lock, mode), Ins::Keep(register)]);
            self.held.push((lock, mode, Some(register)));
        } else if !holds && self.rng.below(2) == 0 {
            self.code.push(Ins::See(lock));
        } else {
            self.unlock();
        }
    }

    /// Releases any of the locks that it holds, in any order.
    fn unlock(&mut self) {
        if self.held.is_empty() {
            return self.access();
        }
        let (lock, mode, register) = self.held.swap_remove(self.rng.below(self.held.len()));
        let var = self.rng.below(self.vars);
        if self.rng.below(3) == 0 {
            self.code.push(Ins::Store(var, 1, Order::Relaxed));
        }
        match register {
            None => self.code.push(Ins::Unlock(lock, mode)),
            Some(register) => {
                self.code.extend([Ins::With(register), Ins::If(vec![Ins::Unlock(lock, mode)])]);
            }
        }
        if self.rng.below(3) == 0 {
            self.code.push(Ins::Load(var, Order::Relaxed));
        }
    }
}

/// Three or four lanes of one to three instructions around one lock and one cell: small enough that
/// many thousands are tried in a second, and every fault known so far shows in some.
pub fn tiny(seed: u64) -> Program {
    let mut rng = Rng(seed);
    let lanes = rng.pick(&[2, 3, 3, 3, 4]);
    let ins = |rng: &mut Rng| {
        let mode = rng.pick(&MODES);
        match rng.below(13) {
            0 => Ins::Fence(rng.pick(&[Order::Full, Order::Acquire])),
            1 | 2 => Ins::Store(0, 1 + rng.below(2) as u64, Order::Relaxed),
            3 | 4 => Ins::Load(0, rng.pick(&LOADS)),
            5 | 6 => Ins::Attempt(0, mode),
            7 => Ins::Try(0, mode, Vec::new()),
            8 => Ins::Try(0, mode, vec![Ins::Load(0, Order::Relaxed)]),
            9 => Ins::Locked(0, mode, Vec::new()),
            10 => Ins::Cas(
                0,
                rng.below(2) as u64,
                1 + rng.below(2) as u64,
                Order::Relaxed,
                Order::Relaxed,
            ),
            11 => Ins::See(0),
            _ => match rng.below(3) {
                0 => Ins::Wait(0, 1, Order::Relaxed),
                1 => Ins::WaitBelow(0, 1, Order::Relaxed),
                _ => Ins::WaitFor(0, 1, Order::Relaxed),
            },
        }
    };
    let most = if lanes == 4 { 2 } else { 3 };
    let lane = |rng: &mut Rng| (0..1 + rng.below(most)).map(|_| ins(rng)).collect();
    Program { vars: 1, lanes: (0..lanes).map(|_| lane(&mut rng)).collect() }
}

/// Compare-exchanges that may fail, or succeed on an older value, by lanes that also look.
pub fn exchanges(seed: u64) -> Program {
    let mut rng = Rng(seed);
    let lanes = rng.pick(&[2, 3, 3, 4]);
    let vars = 1 + rng.below(2);
    let lane = |rng: &mut Rng| {
        let ins = |rng: &mut Rng| {
            let (var, value) = (rng.below(vars), rng.below(3) as u64);
            match rng.below(6) {
                0 => Ins::Load(var, Order::Relaxed),
                1 => Ins::Store(var, value, Order::Relaxed),
                _ => Ins::Cas(var, value, rng.below(3) as u64, rng.pick(&ORDERS), Order::Relaxed),
            }
        };
        (0..1 + rng.below(2)).map(|_| ins(rng)).collect()
    };
    Program { vars, lanes: (0..lanes).map(|_| lane(&mut rng)).collect() }
}

/// Sequentially consistent accesses with fences, locks, starts and joins between them.
pub fn ordered(seed: u64) -> Program {
    const ALL: [Order; 8] = [
        Order::SeqCst,
        Order::SeqCst,
        Order::SeqCst,
        Order::Relaxed,
        Order::Acquire,
        Order::Release,
        Order::AcqRel,
        Order::Full,
    ];
    let mut rng = Rng(seed);
    let lanes = 2 + rng.below(3);
    let vars = 1 + rng.below(3);
    let lane = |rng: &mut Rng| {
        let mut code = Vec::new();
        for _ in 0..1 + rng.below([4, 3, 2][lanes - 2]) {
            let (var, order) = (rng.below(vars), rng.pick(&ALL));
            code.push(match rng.below(8) {
                0..=2 => Ins::Load(var, order),
                3..=5 => Ins::Store(var, 1 + rng.below(2) as u64, order),
                6 => Ins::Fence(rng.pick(&ALL[4..])),
                _ => match rng.below(3) {
                    0 => Ins::Locked(0, rng.pick(&MODES), Vec::new()),
                    1 => Ins::Try(0, rng.pick(&MODES), Vec::new()),
                    _ => Ins::Cas(var, rng.below(2) as u64, 2, order, rng.pick(&LOADS)),
                },
            });
        }
        code
    };
    let mut program = Program { vars, lanes: (0..lanes).map(|_| lane(&mut rng)).collect() };
    if rng.below(2) == 0 {
        start_some(&mut program, &mut rng);
    }
    program
}

/// Programs of which half are locks: shared and exclusive, waited for and attempted, released in
/// any order or not at all, around and between accesses of every kind, by lanes that start each
/// other.
pub fn dense(seed: u64, kind: Kind) -> Program {
    let mut rng = Rng(seed);
    let lanes = rng.pick(&[2, 2, 3, 3, 3, 4]);
    let (vars, locks) = (1 + rng.below(2), 1 + rng.below(2));
    let length = [6, 4, 3][lanes - 2];
    let lane = |rng: &mut Rng| {
        let (code, held, registers) = (Vec::new(), Vec::new(), 0);
        let mut writer = Writer { rng, kind, vars, locks, code, held, registers };
        for _ in 0..1 + writer.rng.below(length) {
            match writer.rng.below(4) {
                0 | 1 => writer.access(),
                2 => writer.lock(),
                _ if writer.rng.below(2) == 0 => writer.unlock(),
                _ => writer.lock(),
            }
        }
        while !writer.held.is_empty() && writer.rng.below(9) > 0 {
            writer.unlock();
        }
        writer.code
    };
    let lanes = (0..lanes).map(|_| lane(&mut rng)).collect();
    let mut program = Program { vars, lanes };
    if rng.below(2) == 0 {
        start_some(&mut program, &mut rng);
    }
    program
}

/// Counts of which lanes look at no more than whether they are zero, or a few, beside locks, plain
/// memory under them, branches on what was seen, and lanes that others start.
pub fn counting(seed: u64) -> Program {
    let mut rng = Rng(seed);
    let lanes = 2 + rng.below(3);
    let vars = 1 + rng.below(2);
    let statement = |rng: &mut Rng| {
        let var = rng.below(vars);
        let plain = rng.below(PLAIN);
        match rng.below(11) {
            0..=4 => vec![Ins::Count(var, rng.below(3) as u64)],
            5 => vec![Ins::Load(var, Order::Full)],
            // Of each word of plain memory one lock is in charge.
            6 => vec![Ins::Locked(plain, Mode::Exclusive, vec![Ins::PlainStore(plain, 1)])],
            7 => {
                let code = vec![Ins::PlainLoad(plain), Ins::PlainStore(plain, 2)];
                vec![Ins::Locked(plain, Mode::Exclusive, code)]
            }
            8 => vec![Ins::Locked(plain, Mode::Shared, vec![Ins::PlainLoad(plain)])],
            9 => {
                let counts = vec![Ins::Count(var, 2)];
                vec![Ins::Count(var, 1), Ins::IfElse(counts, vec![Ins::Load(var, Order::Full)])]
            }
            _ => vec![Ins::Locked(plain, Mode::Exclusive, vec![Ins::Count(var, 1)])],
        }
    };
    let lane = |rng: &mut Rng| {
        (0..1 + rng.below([4, 3, 2][lanes - 2])).flat_map(|_| statement(rng)).collect()
    };
    let mut program = Program { vars, lanes: (0..lanes).map(|_| lane(&mut rng)).collect() };
    if rng.below(3) == 0 {
        start_some(&mut program, &mut Rng(!seed));
    }
    program
}

/// Lanes that store the same, or count and do not look, so that many orders lead to one state, and
/// that look at what was there before: what they have seen decides what they can still see.
pub fn looking(seed: u64) -> Program {
    const STORES: [Order; 3] = [Order::Relaxed, Order::Relaxed, Order::Release];
    const LOADS: [Order; 3] = [Order::Relaxed, Order::Relaxed, Order::Acquire];
    let mut rng = Rng(seed);
    let lanes = rng.pick(&[2, 3, 3, 3, 4]);
    let (vars, counts) = (1 + rng.below(2), 1 + rng.below(2));
    let simple = |rng: &mut Rng| {
        let (var, count) = (rng.below(vars), vars + rng.below(counts));
        match rng.below(12) {
            0..=3 => Ins::Store(var, 1, rng.pick(&STORES)),
            4 => Ins::Store(count, 1, rng.pick(&STORES)),
            5..=7 => Ins::Load(var, rng.pick(&LOADS)),
            8..=10 => Ins::Count(count, 0),
            _ => Ins::Count(var, 0),
        }
    };
    let lane = |rng: &mut Rng| {
        let length = [3, 2, 2][lanes - 2] + rng.below([3, 2, 1][lanes - 2]);
        (0..length).map(|_| simple(rng)).collect()
    };
    Program { vars: vars + counts, lanes: (0..lanes).map(|_| lane(&mut rng)).collect() }
}

/// As [`looking`], with counts of every ordering, so that the order in which lanes have come need
/// not be known to them; some lanes are started by others, which may wait for their end.
pub fn ticking(seed: u64) -> Program {
    const STORES: [Order; 3] = [Order::Relaxed, Order::Relaxed, Order::Release];
    const LOADS: [Order; 3] = [Order::Relaxed, Order::Relaxed, Order::Acquire];
    const COUNTS: [Order; 5] =
        [Order::Relaxed, Order::Relaxed, Order::Release, Order::Acquire, Order::Full];
    let mut rng = Rng(seed);
    let lanes = rng.pick(&[2, 3, 3, 4]);
    let (vars, counts) = (1 + rng.below(2), 1 + rng.below(2));
    let simple = |rng: &mut Rng| {
        let (var, count) = (rng.below(vars), vars + rng.below(counts));
        match rng.below(12) {
            0..=2 => Ins::Store(var, 1, rng.pick(&STORES)),
            3 => Ins::Tick(var, rng.pick(&COUNTS)),
            4..=6 => Ins::Load(var, rng.pick(&LOADS)),
            7 => Ins::Load(count, rng.pick(&LOADS)),
            8 => Ins::Fence(rng.pick(&[Order::Acquire, Order::Release, Order::Full])),
            _ => Ins::Tick(count, rng.pick(&COUNTS)),
        }
    };
    let lane = |rng: &mut Rng| {
        let length = [4, 2, 2][lanes - 2] + rng.below([3, 3, 1][lanes - 2]);
        (0..length).map(|_| simple(rng)).collect()
    };
    let mut program =
        Program { vars: vars + counts, lanes: (0..lanes).map(|_| lane(&mut rng)).collect() };
    if rng.below(4) == 0 {
        start_some(&mut program, &mut rng);
    }
    program
}

/// Two programs of [`ticking`] that lose an outcome where options are withheld too freely, with one
/// to three instructions changed, put in or taken out.
pub fn near(seed: u64) -> Program {
    let mut rng = Rng(seed);
    let mut program = ticking(rng.pick(&[1_048, 3_687]));
    for _ in 0..1 + rng.below(3) {
        // An instruction of another program stands for any.
        let Program { lanes, .. } = ticking(rng.below(1 << 20) as u64);
        let other = &lanes[rng.below(lanes.len())];
        let fits = |ins: &&Ins| match **ins {
            Ins::Load(var, _) | Ins::Store(var, ..) | Ins::Tick(var, _) => var < program.vars,
            _ => matches!(ins, Ins::Fence(_)),
        };
        let Some(new) = other.iter().find(fits).cloned() else { continue };
        let lane = rng.below(program.lanes.len());
        let code = &mut program.lanes[lane];
        let at = rng.below(code.len().max(1));
        match rng.below(3) {
            0 => code.insert(at, new),
            1 if at < code.len() => code[at] = new,
            _ if at < code.len() => drop(code.remove(at)),
            _ => {}
        }
    }
    program
}

/// Counts beside waits for a value that others take away for a while, always bringing it back.
pub fn pausing(seed: u64) -> Program {
    let mut rng = Rng(seed);
    let lanes = 2 + rng.below(2);
    let statement = |rng: &mut Rng| match rng.below(6) {
        0 => vec![Ins::WaitBelow(0, 1, Order::Full)],
        1 => vec![Ins::Store(0, 1, Order::Full), Ins::Store(0, 0, Order::Full)],
        2 | 3 => vec![Ins::Count(1, rng.below(3) as u64)],
        4 => vec![Ins::Locked(0, Mode::Exclusive, vec![Ins::Count(1, 1)])],
        _ => vec![Ins::Locked(0, Mode::Shared, vec![Ins::WaitBelow(0, 1, Order::Full)])],
    };
    let lane = |rng: &mut Rng| {
        (0..1 + rng.below([4, 3][lanes - 2])).flat_map(|_| statement(rng)).collect()
    };
    Program { vars: 2, lanes: (0..lanes).map(|_| lane(&mut rng)).collect() }
}

/// Two lanes take a lock one after the other, and what one of them wrote before is read by the
/// other after another step: a data race in one of the orders, after which the states are the same.
pub fn data_race_behind_a_state() -> Program {
    let locked = || Ins::Locked(0, Mode::Exclusive, Vec::new());
    let writer = vec![Ins::PlainStore(0, 1), locked()];
    let reader = vec![locked(), Ins::Load(0, Order::Full), Ins::PlainLoad(0)];
    Program { vars: 1, lanes: vec![writer, reader] }
}
