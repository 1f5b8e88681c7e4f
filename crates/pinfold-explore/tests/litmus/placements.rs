//! Each classic test with every fence in every gap between two accesses of a lane, and with every
//! ordering of its accesses.
//!
//! Three judges must agree: the explorer, a rule from the literature, and the references in
//! `common`. The rule speaks of the one outcome that the test is known for; explorer and
//! reference must agree on all outcomes.
//!
//! The rules for the weak model are those of RC11, where a read barrier is an acquire fence and a
//! write barrier a release fence. In the kernel's own model they are weaker (a read barrier orders
//! no later store), so that it allows S with a write and a read barrier.

use super::{ACQ, NEVER, REL, RLX, SC, X, Y, outcomes};
use crate::common::{
    judge::judged,
    program::{Ins, Program},
};
use pinfold_explore::{Model, hook::Order};

/// An access before its ordering is chosen.
#[derive(Clone, Copy)]
enum Access {
    Read(usize),
    Write(usize, u64),
}

use Access::{Read, Write};

/// What is between the two accesses of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    Nothing,
    Rmb,
    Wmb,
    AcqRel,
    Mb,
}

impl Gap {
    const ALL: [Self; 5] = [Self::Nothing, Self::Rmb, Self::Wmb, Self::AcqRel, Self::Mb];

    fn fence(self) -> Option<Ins> {
        let order = match self {
            Self::Nothing => return None,
            Self::Rmb => ACQ,
            Self::Wmb => REL,
            Self::AcqRel => Order::AcqRel,
            Self::Mb => Order::Full,
        };
        Some(Ins::Fence(order))
    }
}

/// How a lane is ordered. A lane of one access has no gap and no second.
#[derive(Clone, Copy, Debug)]
struct Form {
    first: Order,
    gap: Gap,
    second: Order,
}

impl Form {
    /// Whether a lane that acquires from the second access, a store, sees the first.
    fn releases(self) -> bool {
        matches!(self.gap, Gap::Wmb | Gap::AcqRel | Gap::Mb) || matches!(self.second, REL | SC)
    }

    /// Whether what was released to the first access, a load, is seen by the second.
    fn acquires(self) -> bool {
        matches!(self.gap, Gap::Rmb | Gap::AcqRel | Gap::Mb) || matches!(self.first, ACQ | SC)
    }

    /// Whether all lanes agree on the order of the two accesses.
    fn is_full(self) -> bool {
        self.gap == Gap::Mb || (self.first == SC && self.second == SC)
    }

    /// Whether the first access, a store, has left the store buffer before the second: on x86 a
    /// sequentially consistent store is an exchange, and only a full barrier is an instruction.
    fn drains(self) -> bool {
        self.gap == Gap::Mb || self.first == SC
    }
}

/// A classic test.
struct Test {
    name: &'static str,
    lanes: &'static [&'static [Access]],
    /// How the outcome in question begins.
    outcome: &'static str,
    /// The models (sequentially consistent, TSO, weak) that allow it.
    allowed: fn(&[Form]) -> [bool; 3],
}

const SB: Test = Test {
    name: "SB",
    lanes: &[&[Write(X, 1), Read(Y)], &[Write(Y, 1), Read(X)]],
    outcome: "[[0], [0]]",
    allowed: |lanes| {
        let [drained, full] =
            [Form::drains, Form::is_full].map(|kept| lanes.iter().all(|&l| kept(l)));
        [false, !drained, !full]
    },
};

const MP: Test = Test {
    name: "MP",
    lanes: &[&[Write(X, 1), Write(Y, 1)], &[Read(Y), Read(X)]],
    outcome: "[[], [1, 0]]",
    allowed: synchronised,
};

const LB: Test = Test {
    name: "LB",
    lanes: &[&[Read(X), Write(Y, 1)], &[Read(Y), Write(X, 1)]],
    outcome: "[[1], [1]]",
    // RC11 forbids what hardware could only do by speculation.
    allowed: |_| NEVER,
};

const IRIW: Test = Test {
    name: "IRIW",
    lanes: &[&[Write(X, 1)], &[Write(Y, 1)], &[Read(X), Read(Y)], &[Read(Y), Read(X)]],
    outcome: "[[], [], [1, 0], [1, 0]]",
    // The readers must agree on an order; accesses do it only if the writers' are in it, too.
    allowed: |lanes| {
        let readers = lanes[2..].iter();
        let fenced = readers.clone().all(|reader| reader.gap == Gap::Mb);
        let accesses = readers.clone().all(|reader| reader.is_full());
        let writers = lanes[..2].iter().all(|writer| writer.first == SC);
        [false, false, !(fenced || accesses && writers)]
    },
};

const WRITES: Test = Test {
    name: "2+2W",
    lanes: &[&[Write(X, 1), Write(Y, 2)], &[Write(Y, 1), Write(X, 2)]],
    outcome: "[[], []] [1, 1]",
    // Release and acquire order no two stores of different lanes.
    allowed: |lanes| [false, false, !lanes.iter().all(|lane| lane.is_full())],
};

const CORR: Test = Test {
    name: "CoRR",
    lanes: &[&[Write(X, 1)], &[Read(X), Read(X)]],
    outcome: "[[], [1, 0]]",
    allowed: |_| NEVER,
};

const CORR_TWICE: Test = Test {
    name: "CoRR of two",
    lanes: &[&[Write(X, 1)], &[Write(X, 2)], &[Read(X), Read(X)], &[Read(X), Read(X)]],
    outcome: "[[], [], [1, 2], [2, 1]]",
    allowed: |_| NEVER,
};

const R: Test = Test {
    name: "R",
    lanes: &[&[Write(X, 1), Write(Y, 1)], &[Write(Y, 2), Read(X)]],
    outcome: "[[], [0]] [1, 2]",
    allowed: |lanes| {
        let full = lanes.iter().all(|lane| lane.is_full());
        [false, !lanes[1].drains(), !full]
    },
};

const S: Test = Test {
    name: "S",
    lanes: &[&[Write(X, 2), Write(Y, 1)], &[Read(Y), Write(X, 1)]],
    outcome: "[[], [1]] [2, 1]",
    allowed: synchronised,
};

/// The rule of the tests in which one lane hands on to the other.
fn synchronised(lanes: &[Form]) -> [bool; 3] {
    [false, false, !(lanes[0].releases() && lanes[1].acquires())]
}

/// Which of the ways to order a lane are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ways {
    Fences,
    Accesses,
    Both,
}

impl Ways {
    /// The ways to order a lane.
    fn forms(self, lane: &[Access]) -> Vec<Form> {
        let orders = |access: Option<&Access>| match (self, access) {
            (Self::Fences, _) | (_, None) => vec![RLX],
            (_, Some(Read(_))) => vec![RLX, ACQ, SC],
            (_, Some(Write(..))) => vec![RLX, REL, SC],
        };
        let gaps = match (self, lane.len()) {
            (Self::Accesses, _) | (_, 1) => &Gap::ALL[..1],
            _ => &Gap::ALL,
        };
        let mut forms = Vec::new();
        for first in orders(lane.first()) {
            for &gap in gaps {
                forms.extend(orders(lane.get(1)).into_iter().map(|second| Form {
                    first,
                    gap,
                    second,
                }));
            }
        }
        forms
    }
}

impl Test {
    fn program(&self, forms: &[Form]) -> Program {
        let instruction = |access: &Access, order| match *access {
            Read(var) => Ins::Load(var, order),
            Write(var, value) => Ins::Store(var, value, order),
        };
        let lane = |(lane, form): (&&[Access], &Form)| {
            let mut code = vec![instruction(&lane[0], form.first)];
            code.extend(form.gap.fence());
            code.extend(lane.get(1).map(|access| instruction(access, form.second)));
            code
        };
        Program { vars: 2, lanes: self.lanes.iter().zip(forms).map(lane).collect() }
    }

    fn judge(&self, forms: &[Form]) -> [bool; 3] {
        let program = self.program(forms);
        let models = [Model::Sc, Model::Tso, Model::Weak];
        let expected = models.map(|model| judged(&program, model, usize::MAX).outcomes);
        let found = models.map(|model| outcomes(&program, model));
        assert_eq!(found, expected, "{} {forms:?}", self.name);
        let seen = found.map(|found| found.iter().any(|seen| seen.starts_with(self.outcome)));
        assert_eq!(seen, (self.allowed)(forms), "{} {forms:?}", self.name);
        seen
    }

    /// Judges every placement. Returns how many there are.
    fn check(&self, ways: Ways) -> usize {
        let choices: Vec<_> = self.lanes.iter().map(|lane| ways.forms(lane)).collect();
        let placements: usize = choices.iter().map(Vec::len).product();
        let mut allowed = [0; 3];
        for mut number in 0..placements {
            let pick = |forms: &Vec<Form>| {
                let form = forms[number % forms.len()];
                number /= forms.len();
                form
            };
            let forms: Vec<Form> = choices.iter().map(pick).collect();
            let seen = self.judge(&forms);
            allowed.iter_mut().zip(seen).for_each(|(count, seen)| *count += usize::from(seen));
        }
        let [_, tso, weak] = allowed;
        println!(
            "{:<12} {ways:?}: {placements} placements, allowed {tso} by TSO, {weak} by the weak model",
            self.name
        );
        placements
    }
}

const CLASSIC: [&Test; 8] = [&SB, &MP, &LB, &IRIW, &WRITES, &CORR, &R, &S];

#[test]
fn every_fence_in_every_gap() {
    let tests = CLASSIC.iter().chain([&&CORR_TWICE]);
    let placements: usize = tests.map(|test| test.check(Ways::Fences)).sum();
    println!("{placements} placements of fences");
    // Two gaps of five in each test; in the smaller of the coherence tests one.
    assert_eq!(placements, 8 * 25 + 5);
}

#[test]
fn every_ordering_of_every_access() {
    let placements: usize = CLASSIC.iter().map(|test| test.check(Ways::Accesses)).sum();
    println!("{placements} orderings of accesses");
    assert_eq!(placements, 6 * 81 + 729 + 27);
}

/// Fences and orderings together, in the tests of two lanes: there the rules are known for
/// mixtures.
#[test]
fn every_fence_with_every_ordering() {
    let tests = [&SB, &MP, &LB, &WRITES, &R, &S];
    let placements: usize = tests.iter().map(|test| test.check(Ways::Both)).sum();
    println!("{placements} placements of fences with orderings");
    assert_eq!(placements, 6 * 2025);
}
