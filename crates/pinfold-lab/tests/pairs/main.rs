//! Every two operations of the memory manager against each other, on a machine that is exactly as weak as its contract, under the weak memory
//! model: each pair searched to exhaustion where that does not take too long, and every count audited at the end of every execution.
//!
//! `cargo test -p pinfold-lab --release --test pairs -- --nocapture` prints a line for each rule set; with `--ignored`, all releases, longer
//! searches and three lanes.

mod audit;
#[path = "../common/futex.rs"]
mod futex;
mod operations;
mod platform;
mod protocols;
mod seen;

use std::rc::Rc;
use std::time::{Duration, Instant};

use operations::{Act, Setup, What, Who, World};
use pinfold::Rules;
use pinfold::rules::PRESETS;
use pinfold_explore::{
    Completeness, Config, Ending, Judgement, Lanes, LockForm, Model, Report, Subject, explore,
};
use platform::Walkers;

/// Some lanes in a world.
struct Case {
    setup: Setup,
    lanes: Vec<Vec<Act>>,
    rules: Rules,
    walkers: Walkers,
    /// Whether pins must go on naming their owner's frames.
    coherent: bool,
}

impl Case {
    fn new(setup: Setup, lanes: &[&[Act]], rules: &str) -> Self {
        Self {
            setup,
            lanes: lanes.iter().map(|lane| lane.to_vec()).collect(),
            rules: Rules::parse(rules).expect("the rules exist"),
            walkers: Walkers::Each,
            coherent: rules.starts_with("latest"),
        }
    }

    fn search(&mut self, model: Model, locks: LockForm, most: u64) -> Report {
        let config = Config {
            model,
            locks,
            max_executions: Some(most),
            shrink_runs: 0,
            ..Config::default()
        };
        explore(self, &config, &mut |_| {})
    }
}

impl Subject for Case {
    type World = Rc<World>;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Rc<World> {
        let world = Rc::new(World::new(self.setup, &self.lanes, self.rules, self.walkers));
        for lane in 0..self.lanes.len() {
            let world = Rc::clone(&world);
            lanes.lane(format!("lane {lane}"), move || world.run(lane));
        }
        world
    }

    fn judge(&mut self, world: Rc<World>, ending: Ending<'_>) -> Judgement {
        if ending != Ending::Finished {
            return Judgement::Pass { outcome: String::new() };
        }
        match world.judge(self.coherent) {
            Ok(outcome) => Judgement::Pass { outcome },
            Err(message) => Judgement::Fail { outcome: String::new(), message },
        }
    }
}

use What::{
    DeviceWrite, DontNeed, Exit, Fork, Get, Load, Migrate, PinFast, PinRead, PinWrite, ReadOnly,
    Scan, Store, Unmap, UnmapPart, Unpin, Writable,
};
use Who::{Child, Owner};

const OWNER: [What; 14] = [
    Load, Store, PinWrite, PinRead, PinFast, Get, Unmap, ReadOnly, Writable, DontNeed, Fork, Scan,
    Migrate, Exit,
];
const CHILD: [What; 8] = [Load, Store, PinWrite, Unmap, DontNeed, Fork, Migrate, Exit];

/// All that can be done in a setup.
fn acts(setup: Setup) -> Vec<Act> {
    let more: &[What] = match setup {
        Setup::Pinned => &[Unpin, DeviceWrite],
        Setup::Wide => &[UnmapPart],
        _ => &[],
    };
    let child: &[What] = if setup.has_child() { &CHILD } else { &[] };
    let owner = OWNER.iter().chain(more).map(|what| (Owner, *what));
    owner.chain(child.iter().map(|what| (Child, *what))).collect()
}

/// Whether lanes may do both at a time: a space exits when nobody uses it any more, and a device stores while it has the pin.
fn fit((who, what): Act, (other, beside): Act) -> bool {
    let by_handle = |what| matches!(what, Unpin | DeviceWrite);
    let ends = |what, beside| what == Exit && !by_handle(beside);
    let same_space = who == other && (ends(what, beside) || ends(beside, what));
    let same_pin =
        by_handle(what) && by_handle(beside) && (what, beside) != (DeviceWrite, DeviceWrite);
    !same_space && !same_pin
}

/// All unordered pairs of `acts` that fit.
fn pairs(acts: &[Act]) -> Vec<Vec<Act>> {
    let with = |first: usize| {
        let others = acts[first..].iter().filter(move |other| fit(acts[first], **other));
        others.map(move |other| vec![acts[first], *other])
    };
    (0..acts.len()).flat_map(with).collect()
}

/// What a number of searches came to.
#[derive(Default)]
struct Tally {
    cases: u64,
    exhausted: u64,
    executions: u64,
    elapsed: Duration,
    failures: Vec<String>,
}

impl Tally {
    /// Searches a case of one act a lane.
    fn search(&mut self, setup: Setup, acts: &[Act], rules: &str, most: u64) {
        let lanes: Vec<&[Act]> = acts.iter().map(std::slice::from_ref).collect();
        let started = Instant::now();
        let report = Case::new(setup, &lanes, rules).search(Model::Weak, LockForm::Object, most);
        self.elapsed += started.elapsed();
        self.cases += 1;
        self.executions += report.executions + report.blocked;
        if let Some(failure) = report.failure {
            let at = report.executions;
            self.failures
                .push(format!("{setup:?} {acts:?} under {rules}, execution {at}: {failure}"));
        } else if report.complete == Completeness::Exhausted {
            self.exhausted += 1;
        }
    }

    /// Prints a line, and refuses failures.
    fn done(self, what: &str) {
        let Self { cases, exhausted, executions, elapsed, failures } = self;
        let (cut, seconds) = (cases - exhausted - failures.len() as u64, elapsed.as_secs_f64());
        println!(
            "{what}: {cases} cases, {exhausted} exhausted, {cut} cut, {} failing, {executions} \
             executions, {seconds:.1} s",
            failures.len()
        );
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

/// Every pair of every setup; a line for each setup.
fn all_pairs(rules: &str, most: u64) {
    for setup in Setup::ALL {
        let mut tally = Tally::default();
        for pair in pairs(&acts(setup)) {
            tally.search(setup, &pair, rules, most);
        }
        tally.done(&format!("{rules:<7} {setup:?}"));
    }
}

#[test]
fn every_two_operations_by_the_rules_of_today() {
    all_pairs("latest", 3_000);
}

/// What these rules made of a page on the move, before migration kept it locked, shows only after 2,000 executions.
#[test]
fn every_two_operations_by_the_oldest_rules() {
    all_pairs("5.8", 3_000);
}

#[test]
fn every_two_operations_by_the_rules_of_each_era() {
    for rules in ["5.9", "5.11", "5.19", "6.1"] {
        all_pairs(rules, 300);
    }
}

#[test]
#[ignore = "half an hour; run before a change of a protocol"]
fn every_two_operations_by_the_rules_of_every_release() {
    PRESETS.iter().for_each(|rules| all_pairs(rules, 100_000));
}

#[test]
#[ignore = "some minutes; run before a change of a protocol"]
fn three_operations_at_a_time() {
    /// Of all triples one in so many is searched: a prime, so that all operations have their turn.
    const STRIDE: usize = 7;
    for rules in ["latest", "5.9"] {
        for setup in Setup::ALL {
            let acts = acts(setup);
            let with = |pair: &Vec<Act>| {
                let pair = pair.clone();
                let fits = |third: &&Act| pair.iter().all(|act| fit(*act, **third));
                let thirds = acts.iter().skip_while(|act| **act != pair[1]).filter(fits);
                thirds.map(|third| [&pair[..], &[*third]].concat()).collect::<Vec<_>>()
            };
            let triples = pairs(&acts).iter().flat_map(with).collect::<Vec<_>>();
            let mut tally = Tally::default();
            for triple in triples.iter().step_by(STRIDE) {
                tally.search(setup, triple, rules, 3_000);
            }
            tally.done(&format!("triples, {rules:<7} {setup:?}"));
        }
    }
}
