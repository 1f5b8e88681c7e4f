//! The search of some lanes, of every two operations in every setup, and what a number of searches
//! comes to.

use std::rc::Rc;
use std::time::{Duration, Instant};

use pinfold::{PmdMapping, Rules};
use pinfold_explore::{
    Completeness, Config, Ending, Judgement, Lanes, LockForm, Model, Report, Subject, explore,
};

use super::operations::{Act, Part, Setup, What, Who};
use super::world::World;

/// Some lanes in a world.
pub(crate) struct Case {
    pub(crate) setup: Setup,
    pub(crate) by: PmdMapping,
    pub(crate) lanes: Vec<Vec<Act>>,
    pub(crate) rules: Rules,
    /// By the rules of today pins and references name memory of their owners alone.
    pub(crate) today: bool,
}

impl Case {
    pub(crate) fn new((setup, by): (Setup, PmdMapping), lanes: &[&[Act]], rules: &str) -> Self {
        Self {
            setup,
            by,
            lanes: lanes.iter().map(|lane| lane.to_vec()).collect(),
            rules: Rules::parse(rules).expect("the rules exist"),
            today: rules.starts_with("pinfold") || rules.starts_with("latest"),
        }
    }

    pub(crate) fn search(&mut self, model: Model, locks: LockForm, most: u64) -> Report {
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
        let world = Rc::new(World::new((self.setup, self.by), &self.lanes, self.rules));
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
        match world.judge(self.today) {
            Ok(outcome) => Judgement::Pass { outcome },
            Err(message) => Judgement::Fail { outcome: String::new(), message },
        }
    }
}

use What::{
    Collapse, DontNeed, Exit, Fork, Get, LetGo, Load, Lock, Migrate, Move, PinFast, PinRead,
    PinWrite, ReadOnly, Reference, ReferenceHead, Scan, Split, SplitQueued, Store, StoreHead,
    Unlock, Unmap, Writable,
};
use Who::{Child, Owner};

const OWNER: [What; 22] = [
    Load,
    Store,
    StoreHead,
    PinWrite,
    PinRead,
    PinFast,
    Get,
    Reference,
    ReferenceHead,
    Split,
    SplitQueued,
    Unmap(Part::All),
    Unmap(Part::Lower),
    DontNeed(Part::Upper),
    Move,
    ReadOnly,
    Writable,
    Lock,
    Unlock,
    Fork,
    Scan,
    Migrate,
];
const CHILD: [What; 8] =
    [Store, PinWrite, Get, Split, Unmap(Part::All), Unmap(Part::Upper), Fork, Exit];

/// All that can be done in a setup, where folios are mapped in this way.
fn acts(setup: Setup, by: PmdMapping) -> Vec<Act> {
    let more: &[What] = if setup.is_pinned() { &[LetGo, Exit] } else { &[Exit] };
    let huge: &[What] = match by {
        PmdMapping::On => &[Collapse],
        PmdMapping::Off => &[],
    };
    let child = if setup.has_child() { [&CHILD, huge].concat() } else { Vec::new() };
    let owner = OWNER.iter().chain(more).chain(huge).map(|what| (Owner, *what));
    // What has moved away does so once.
    let owner = owner.filter(|(_, what)| setup != Setup::Moved || *what != Move);
    owner.chain(child.into_iter().map(|what| (Child, what))).collect()
}

/// Whether lanes may do both at a time: a space exits when nobody uses it any more.
fn fit((who, what): Act, (other, beside): Act) -> bool {
    let by_handle = |what| matches!(what, LetGo | Reference | ReferenceHead | SplitQueued);
    let ends = |what, beside| what == Exit && !by_handle(beside);
    let same_space = who == other && (ends(what, beside) || ends(beside, what));
    !same_space && (what, beside) != (LetGo, LetGo)
}

/// All unordered pairs of acts that fit.
fn pairs(acts: &[Act]) -> Vec<[Act; 2]> {
    let with = |first: usize| {
        let others = acts[first..].iter().filter(move |other| fit(acts[first], **other));
        others.map(move |other| [acts[first], *other])
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
    fn search(
        &mut self,
        (setup, by): (Setup, PmdMapping),
        acts: &[Act],
        rules: &str,
        (model, most): (Model, u64),
    ) {
        let lanes: Vec<&[Act]> = acts.iter().map(std::slice::from_ref).collect();
        let started = Instant::now();
        let report = Case::new((setup, by), &lanes, rules).search(model, LockForm::Object, most);
        self.elapsed += started.elapsed();
        self.cases += 1;
        self.executions += report.executions + report.blocked;
        if let Some(failure) = report.failure {
            let at = report.executions;
            self.failures.push(format!(
                "{setup:?} {by:?} {acts:?} under {rules}, execution {at}: {failure}"
            ));
        } else if report.complete == Completeness::Exhausted {
            self.exhausted += 1;
        }
    }

    /// Prints a line; what failed.
    fn done(self, what: &str) -> Vec<String> {
        let Self { cases, exhausted, executions, elapsed, failures } = self;
        let (cut, seconds) = (cases - exhausted - failures.len() as u64, elapsed.as_secs_f64());
        println!(
            "{what}: {cases} cases, {exhausted} exhausted, {cut} cut, {} failing, {executions} \
             executions, {seconds:.1} s",
            failures.len()
        );
        failures
    }
}

/// Every pair of every setup; a line for each setup. With one huge entry, where the lanes do not
/// begin with it, those with a collapse, which makes one: the others have no huge entry.
pub(crate) fn all_pairs(rules: &str, by: PmdMapping, model: Model, most: u64) {
    let mut failed = Vec::new();
    let more = if by == PmdMapping::On { Setup::COLLAPSED.as_slice() } else { &[] };
    for setup in Setup::MANY.iter().chain(more).copied() {
        let mut tally = Tally::default();
        let collapses = |pair: &[Act; 2]| pair.iter().any(|(_, what)| *what == Collapse);
        let differs = by == PmdMapping::Off || setup.may_be_huge();
        let all = pairs(&acts(setup, by)).into_iter();
        for pair in all.filter(|pair| differs || collapses(pair)) {
            tally.search((setup, by), &pair, rules, (model, most));
        }
        failed.extend(tally.done(&format!("{rules:<7} {setup:?}, one entry {by:?}")));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
