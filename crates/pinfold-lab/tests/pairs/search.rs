//! The search of some lanes, of every two operations in every setup, and what a number of searches
//! comes to.

use std::rc::Rc;
use std::time::{Duration, Instant};

use pinfold::Rules;
use pinfold_explore::{
    Completeness, Config, Ending, Judgement, Lanes, LockForm, Model, Report, Subject, explore,
};

use super::mmu::Marks;
use super::operations::{Act, Setup, What, Who, World};
use super::platform::{Form, Lookup, Walkers};

/// Some lanes in a world.
pub(crate) struct Case {
    pub(crate) setup: Setup,
    pub(crate) lanes: Vec<Vec<Act>>,
    pub(crate) rules: Rules,
    pub(crate) form: Form,
    /// By the rules of today pins go on naming their owner's frames, and entries keep the mark of a
    /// store.
    pub(crate) today: bool,
}

impl Case {
    pub(crate) fn new(setup: Setup, lanes: &[&[Act]], rules: &str) -> Self {
        Self {
            setup,
            lanes: lanes.iter().map(|lane| lane.to_vec()).collect(),
            rules: Rules::parse(rules).expect("the rules exist"),
            form: Form { walkers: Walkers::Each, marks: super::MARKS, lookup: Lookup::Hardware },
            today: rules.starts_with("pinfold"),
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
        let world = Rc::new(World::new(self.setup, &self.lanes, self.rules, self.form));
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
    Cut, DeviceWrite, DontNeed, Exit, FileRead, FileWrite, Fork, Get, Invalidate, Load, Lock,
    Migrate, PinFast, PinRead, PinWrite, Populate, Punch, ReadOnly, Scan, Store, Sync, Unlock,
    Unmap, UnmapPart, Unpin, Walk, Writable,
};
use Who::{Child, Owner};

const OWNER: [What; 15] = [
    Load, Store, Walk, PinWrite, PinRead, PinFast, Get, Unmap, ReadOnly, Writable, DontNeed, Fork,
    Scan, Migrate, Exit,
];
const CHILD: [What; 8] = [Load, Store, PinWrite, Unmap, DontNeed, Fork, Migrate, Exit];

/// All that can be done in a setup.
pub(crate) fn acts(setup: Setup) -> Vec<Act> {
    // Locking and populating where they find something of their own to do.
    let more: &[What] = match setup {
        Setup::Untouched | Setup::Read | Setup::Forked => &[Populate, Lock],
        Setup::Touched => &[Lock, Unlock],
        Setup::Hinted | Setup::Object => &[Lock],
        Setup::Pinned => &[Unpin, DeviceWrite, Lock],
        Setup::Wide => &[UnmapPart, Populate, Lock, Unlock],
        Setup::File | Setup::Copied => &[Lock, FileRead, FileWrite, Sync, Cut, Punch, Invalidate],
    };
    let child: &[What] = if setup.has_child() { &CHILD } else { &[] };
    let owner = OWNER.iter().chain(more).map(|what| (Owner, *what));
    owner.chain(child.iter().map(|what| (Child, *what))).collect()
}

/// Whether lanes may do both at a time: a space exits when nobody uses it any more, and a device
/// stores while it has the pin.
pub(crate) fn fit((who, what): Act, (other, beside): Act) -> bool {
    let by_handle = |what| matches!(what, Unpin | DeviceWrite);
    let ends = |what, beside| what == Exit && !by_handle(beside);
    let same_space = who == other && (ends(what, beside) || ends(beside, what));
    let same_pin =
        by_handle(what) && by_handle(beside) && (what, beside) != (DeviceWrite, DeviceWrite);
    !same_space && !same_pin
}

/// All unordered pairs of `acts` that fit.
pub(crate) fn pairs(acts: &[Act]) -> Vec<Vec<Act>> {
    let with = |first: usize| {
        let others = acts[first..].iter().filter(move |other| fit(acts[first], **other));
        others.map(move |other| vec![acts[first], *other])
    };
    (0..acts.len()).flat_map(with).collect()
}

/// What a number of searches came to.
#[derive(Default)]
pub(crate) struct Tally {
    cases: u64,
    exhausted: u64,
    executions: u64,
    elapsed: Duration,
    failures: Vec<String>,
}

impl Tally {
    /// Searches a case of one act a lane.
    pub(crate) fn search(
        &mut self,
        setup: Setup,
        acts: &[Act],
        rules: &str,
        marks: Marks,
        most: u64,
    ) {
        let lanes: Vec<&[Act]> = acts.iter().map(std::slice::from_ref).collect();
        let started = Instant::now();
        let mut case = Case::new(setup, &lanes, rules);
        case.form.marks = marks;
        let report = case.search(Model::Weak, LockForm::Object, most);
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
    pub(crate) fn done(self, what: &str) {
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
pub(crate) fn all_pairs(rules: &str, marks: Marks, most: u64) {
    for setup in Setup::ALL {
        let mut tally = Tally::default();
        for pair in pairs(&acts(setup)) {
            tally.search(setup, &pair, rules, marks, most);
        }
        tally.done(&format!("{rules:<7} {setup:?}"));
    }
}
