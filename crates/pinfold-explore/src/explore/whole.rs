//! One more judge: a search through all states under sequential consistency, without reduction.
//!
//! Every lane that can run is tried at every state, and a state that was met before is not entered
//! again, whatever led to it. So it rests on what makes two states the same ([`crate::ledger`]) and
//! on nothing else: neither on which steps depend on each other nor on who sleeps. It is compared
//! with a machine that shares nothing with the explorer.

use crate::{
    FailureKind, LockForm, Model,
    current::{self, Installed},
    engine::Engine,
    lane::LaneSet,
    ledger::Digest,
    search::{
        Advance, Moment, Pick, Strategy,
        mutants::common::{
            judge::judged,
            machine::Known,
            program::Program,
            random::{
                Kind, counting, dense, exchanges, mixed, ordered, pausing, starting, tiny, waiting,
            },
        },
    },
    session::Session,
    subject::Judgement,
};
use std::collections::HashSet;

/// A choice on the way to the current state.
enum Fork {
    Lane { lane: usize, rest: LaneSet },
    Option { of: Vec<u32>, at: usize },
}

/// See the module.
#[derive(Default)]
struct Whole {
    stack: Vec<Fork>,
    depth: usize,
    met: HashSet<Digest>,
}

impl Strategy for Whole {
    fn begin(&mut self, _lanes: usize) {
        self.depth = 0;
    }

    fn remembers(&self) -> bool {
        true
    }

    fn pick(&mut self, moment: &Moment<'_>) -> Pick {
        if self.depth == self.stack.len() {
            let key = moment.past.and_then(|past| past.ledger.key());
            if key.is_some_and(|key| !self.met.insert(key)) {
                return Pick::Remembered;
            }
            let mut rest = moment.enabled;
            let Some(lane) = rest.first() else { return Pick::Redundant };
            rest.remove(lane);
            self.stack.push(Fork::Lane { lane, rest });
        }
        self.depth += 1;
        match self.stack[self.depth - 1] {
            Fork::Lane { lane, .. } => Pick::Lane(lane),
            Fork::Option { .. } => Pick::Astray,
        }
    }

    fn option(&mut self, options: &[u32]) -> u32 {
        if self.depth == self.stack.len() {
            self.stack.push(Fork::Option { of: options.to_vec(), at: 0 });
        }
        self.depth += 1;
        match &self.stack[self.depth - 1] {
            Fork::Option { of, at } => of[*at],
            Fork::Lane { .. } => panic!("the program went another way"),
        }
    }

    fn advance(&mut self) -> Advance {
        while let Some(fork) = self.stack.last_mut() {
            match fork {
                Fork::Lane { lane, rest } => {
                    if let Some(next) = rest.first() {
                        rest.remove(next);
                        *lane = next;
                        return Advance::Next;
                    }
                }
                Fork::Option { of, at } => {
                    *at += 1;
                    if *at < of.len() {
                        return Advance::Next;
                    }
                }
            }
            self.stack.pop();
        }
        Advance::Exhausted
    }
}

/// Everything that the program does, if that takes no more than `most` executions.
fn all(program: &Program, most: u64) -> Known {
    let mut engine = Engine::new(Box::<Whole>::default(), Model::Sc, LockForm::Object, 10_000);
    let installed = Installed::new(&mut engine);
    let mut program = program.clone();
    let mut session = Session::new(&mut program);
    let mut known = Known { cut: true, ..Known::default() };
    for _ in 0..most {
        let ran = session.run();
        match ran.failure().map(|failure| failure.kind) {
            Some(FailureKind::Deadlock) => known.hangs = true,
            Some(FailureKind::DataRace) => known.races = true,
            Some(kind) => panic!("{kind}"),
            None => match ran.judgement {
                Some(Judgement::Pass { outcome }) => {
                    known.outcomes.insert(outcome);
                }
                Some(Judgement::Fail { message, .. }) => panic!("{message}"),
                None => {}
            },
        }
        if current::with(|engine| engine.strategy.advance()) == Some(Advance::Exhausted) {
            known.cut = false;
            break;
        }
    }
    drop(installed);
    known
}

#[test]
fn all_states_have_the_outcomes_that_the_reference_knows() {
    type Make = (&'static str, fn(u64) -> Program);
    let kinds: [Make; 11] = [
        ("locks", |seed| dense(seed, Kind::Atomic)),
        ("locks and waits", |seed| dense(seed, Kind::Waiting)),
        ("locks and plain memory", |seed| dense(seed, Kind::Plain)),
        ("tiny", tiny),
        ("exchanges", exchanges),
        ("orders", ordered),
        ("mixed", mixed),
        ("waiting", waiting),
        ("started lanes", starting),
        ("counts", counting),
        ("counts and waits", pausing),
    ];
    let many = std::env::var("PINFOLD_WHOLE_PROGRAMS").ok().and_then(|n| n.parse().ok());
    let mut compared = 0;
    for (kind, make) in kinds {
        for seed in 0..many.unwrap_or(100) {
            let program = make(seed);
            let (found, known) = (all(&program, 20_000), judged(&program, Model::Sc, 20_000));
            if found.cut || known.cut {
                continue;
            }
            compared += 1;
            // What has a race may do anything else.
            assert_eq!(found.races, known.races, "{kind} {seed}: {program:?}");
            if !known.races {
                assert_eq!(found, known, "{kind} {seed}: {program:?}");
            }
        }
    }
    println!("{compared} programs");
    assert!(compared > 1_000, "{compared} were small enough");
}
