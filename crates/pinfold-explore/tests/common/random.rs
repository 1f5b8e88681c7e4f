//! Random programs for the comparison of searches.

use super::program::{Ins, Program, Rng};
use pinfold_explore::hook::{Mode, Order};

const MODES: [Mode; 2] = [Mode::Exclusive, Mode::Shared];

const ORDERS: [Order; 5] =
    [Order::Relaxed, Order::Acquire, Order::Release, Order::AcqRel, Order::Full];

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
