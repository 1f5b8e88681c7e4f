//! The controller against an agent that only pretends: what it makes of observations, whatever the
//! machine.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

use pinfold_lab::resolved::Resolved;
use pinfold_lab::scenario::parse;
use pinfold_lab::{CheckOptions, Config, Ends, Model, Prepared};
use pinfold_linux::job::{Ask, Failed, Features, Found, Observation, PROTOCOL, Say};
use pinfold_linux::{
    Agent, AgentError, Kernel, KernelReport, Options, Question, Verdict, compare, observe, orders,
};

/// Answers trials with what it is told to, and at last with the last of it.
struct Fake {
    features: Features,
    trials: VecDeque<Result<Say, AgentError>>,
}

impl Fake {
    fn new(trials: Vec<Say>) -> Self {
        let features = Features {
            protocol: PROTOCOL,
            no_scans: Some("none here".to_owned()),
            no_break: Some("not placed here".to_owned()),
            frames_visible: true,
            pipe_pages: 16,
            nodes: 1,
            cpus: 2,
            ..Features::default()
        };
        Self { features, trials: trials.into_iter().map(Ok).collect() }
    }
}

impl Agent for Fake {
    fn features(&self) -> &Features {
        &self.features
    }

    fn ask(&mut self, ask: &Ask) -> Result<Say, AgentError> {
        match (ask, self.trials.len()) {
            (Ask::Plan(_), _) => Ok(Say::Understood),
            (Ask::Counters, _) => Ok(Say::Counters(BTreeMap::new())),
            (Ask::Trial(_), 1) => self.trials[0].clone(),
            (Ask::Trial(_), _) => self.trials.pop_front().expect("a trial that was foreseen"),
        }
    }
}

/// Two writers: either may be last.
const RACE: &str = "scenario race\nsetup\n  process P\n  P: map A 1 private rw\n\
                    lane one: P\n  write A \"1\"\nlane two: P\n  write A \"2\"\n\
                    always\n  P:A never sees \"0\"\n\
                    outcome one when P:A sees \"1\"\noutcome two when P:A sees \"2\"\n\
                    outcome other otherwise\n";

fn found(is: Option<bool>) -> Found {
    Found { made: true, is, what: "something".to_owned() }
}

/// What was found for: sees "0", sees "1", sees "2".
fn seen(facts: [Option<bool>; 3]) -> Say {
    let facts = facts.into_iter().map(found).collect();
    Say::Seen(Observation { failed: Vec::new(), facts })
}

const ONE: [Option<bool>; 3] = [Some(false), Some(true), Some(false)];
const TWO: [Option<bool>; 3] = [Some(false), Some(false), Some(true)];

fn searched(text: &str) -> (Resolved, Ends) {
    let scenario = parse(text).expect("a scenario");
    let plan = Resolved::of(&scenario).expect("names that mean something");
    let rules = pinfold::Rules::parse("latest").expect("rules");
    let prepared = Prepared::new(&scenario, "fake.pf", &rules).expect("a scenario that fits");
    let config = Config { model: Model::Tso, ..Config::default() };
    (plan, prepared.ends(&CheckOptions::of(config)))
}

fn compared(text: &str, agent: &mut Fake) -> KernelReport {
    let (plan, ends) = searched(text);
    let kernel = Kernel {
        release: "0.0".to_owned(),
        rules: "latest".to_owned(),
        chosen: "for a test".to_owned(),
    };
    let repeated = || ends.clone();
    let question = Question {
        plan: &plan,
        path: "fake.pf",
        ends: &ends,
        repeated: &repeated,
        kernel: &kernel,
    };
    compare(&question, &Options { free: 4, ..Options::default() }, agent)
}

#[test]
fn all_that_is_allowed_and_nothing_else_agrees() {
    let report = compared(RACE, &mut Fake::new(vec![seen(ONE), seen(TWO)]));
    assert_eq!(report.verdict, Verdict::Agree);
    assert_eq!(report.rows.len(), 2);
    assert_eq!(report.trials(), 2 * 3 + 4);
    let counted: u64 = report.rows.iter().flat_map(|row| &row.seen).sum();
    assert_eq!(counted, report.trials());
}

#[test]
fn less_than_what_is_allowed_is_within() {
    assert_eq!(compared(RACE, &mut Fake::new(vec![seen(ONE)])).verdict, Verdict::Within);
}

#[test]
fn what_the_model_forbids_is_beyond_and_kept_with_its_order() {
    let forbidden = seen([Some(true), Some(false), Some(false)]);
    let report = compared(RACE, &mut Fake::new(vec![seen(ONE), forbidden, seen(TWO)]));
    assert_eq!(report.verdict, Verdict::Beyond);
    assert_eq!(report.verdict.exit_code(), 1);
    let beyond = report.beyond.expect("the trial");
    assert_eq!(beyond.outcome.label.as_deref(), Some("other"));
    assert_eq!(beyond.outcome.broken, [Some(true)]);
    assert_eq!(beyond.plan.scenario, "race");
}

#[test]
fn what_is_unknown_is_never_otherwise() {
    let unknown = seen([Some(false), None, Some(false)]);
    let report = compared(RACE, &mut Fake::new(vec![unknown, seen(ONE)]));
    assert_eq!(report.verdict, Verdict::Within);
    assert!(report.rows.iter().any(|row| row.outcome.contains("unknown") && row.model.is_none()));
    let nothing = compared(RACE, &mut Fake::new(vec![seen([None; 3])]));
    assert_eq!(nothing.verdict, Verdict::Skip);
}

#[test]
fn a_step_that_fails_is_compared_as_well() {
    let failed = Failed { step: "write A \"1\"".to_owned(), what: "it failed".to_owned() };
    let failed = Say::Seen(Observation { failed: vec![failed], facts: Vec::new() });
    assert_eq!(compared(RACE, &mut Fake::new(vec![failed])).verdict, Verdict::Beyond);
}

#[test]
fn an_agent_without_an_answer_is_an_error() {
    let trouble = Say::Trouble("a step hangs".to_owned());
    let report = compared(RACE, &mut Fake::new(vec![seen(ONE), trouble]));
    assert_eq!(report.verdict, Verdict::Error);
    assert!(report.missing[0].why.contains("a step hangs"), "{:?}", report.missing);
    let mut dead = Fake::new(vec![seen(ONE)]);
    dead.trials = VecDeque::from([Err(AgentError::Hangs(45))]);
    assert_eq!(compared(RACE, &mut dead).verdict, Verdict::Error);
    let short = Say::Seen(Observation::default());
    assert_eq!(compared(RACE, &mut Fake::new(vec![short])).verdict, Verdict::Error);
}

#[test]
fn what_is_forbidden_is_told_before_what_went_wrong() {
    let forbidden = seen([Some(true), Some(false), Some(false)]);
    let trouble = Say::Trouble("a step hangs".to_owned());
    let report = compared(RACE, &mut Fake::new(vec![forbidden, trouble]));
    assert_eq!(report.verdict, Verdict::Beyond);
}

#[test]
fn what_cannot_be_carried_out_is_skipped_with_its_step() {
    let text = "scenario s\nsetup\n  process P\n  P: map A 1 private rw\n\
                lane l: P\n  pin A read longterm as h0\n  numa-scan\noutcome o otherwise\n";
    let report = compared(text, &mut Fake::new(vec![seen(ONE)]));
    assert_eq!(report.verdict, Verdict::Skip);
    let steps: Vec<&str> = report.missing.iter().map(|missing| &*missing.step).collect();
    assert_eq!(steps, ["pin A read longterm as h0", "numa-scan"]);
    assert_eq!(report.trials(), 0);
}

#[test]
fn one_more_reference_is_taken_only_on_what_is_in_a_pipe() {
    let text = "scenario s\nsetup\n  process P\n  P: map A 2 private rw\n  P: write A[0] \"1\"\n  \
                P: note A[0] as n0\n  P: get A[0..2] read as h0\nlane l: P\n  \
                get-page h0[1] as h1\n  get-page h1 as h2\n  write h2 \"2\"\n  try-get n0 as h3\n  \
                get-page h3 as h4\noutcome o otherwise\n";
    let told = |pipe_pages: usize| {
        let mut agent = Fake::new(vec![seen(ONE)]);
        agent.features.pipe_pages = pipe_pages;
        agent.features.frames_visible = true;
        let missing = compared(text, &mut agent).missing;
        missing.into_iter().map(|missing| (missing.step, missing.why)).collect::<Vec<_>>()
    };
    let steps = |told: &[(String, String)]| {
        told.iter().map(|(step, _)| step.clone()).collect::<Vec<_>>().join(", ")
    };
    let enough = told(16);
    assert_eq!(steps(&enough), "write h2 \"2\", try-get n0 as h3, get-page h3 as h4");
    assert!(enough[2].1.contains("tee does, on pages in a pipe"), "{enough:?}");
    let short = told(1);
    assert!(
        short.iter().any(|(step, why)| step.starts_with("get-page h0[1]") && why.contains("tee"))
    );
}

#[test]
fn what_is_a_setting_of_the_machine_and_what_would_lie_below_a_stack_are_skipped() {
    let skipped = |machine: &str, steps: &str| {
        let text = format!(
            "scenario s\nmachine\n  words 1\n{machine}setup\n  process P\n{steps}\
             lane l: P\n  fork C\noutcome o otherwise\n"
        );
        let report = compared(&text, &mut Fake::new(vec![seen(ONE)]));
        let why = report.missing.iter().map(|missing| missing.why.clone());
        why.collect::<Vec<_>>().join("; ")
    };
    let stack = "  P: map S 1 stack rw up to 4\n";
    assert!(skipped("  areas 4\n", stack).contains("limit on areas"));
    assert!(skipped("", "  P: break H 1\n").contains("not placed here"));
    assert!(skipped("  stack 2\n", &format!("{stack}  P: exec\n")).contains("more of a stack"));
    let get = format!("{stack}  P: get S[3] write as h0\n");
    assert!(skipped("", &get).contains("would make a stack grow"));
    let above = "  P: map S 1 stack rw at 0x5000\n  P: map A 1 private rw\n";
    assert!(skipped("", above).contains("below a stack"));
    let runs = format!("{stack}  P: map A 1 private rw\n  P: map T 1 stack rw at 0x9000\n");
    assert!(skipped("", &runs).contains("below a stack"));
    let fits = format!("{stack}  P: map A 1 private rw\n");
    assert!(!skipped("  stack 2\n", &fits).contains("stack"));
}

/// What becomes of a program on such a machine, which swaps, without such a device of zram; and
/// why.
fn with_swap(machine: &str, no_zram: Option<&str>) -> (Verdict, String) {
    let text = format!(
        "scenario s\nmachine\n{machine}setup\n  process P\n  P: map A 1 private rw\nlane l: P\n  \
         pageout A\noutcome o otherwise\n"
    );
    let mut agent = Fake::new(vec![Say::Seen(Observation::default())]);
    agent.features.no_synchronous_swap = no_zram.map(str::to_owned);
    let report = compared(&text, &mut agent);
    (report.verdict, report.missing.into_iter().map(|it| it.why).collect::<Vec<_>>().join("; "))
}

#[test]
fn swap_needs_a_device_of_its_own_and_no_huge_pages() {
    let reason = |machine: &str, steps: &str, other: Option<&str>| {
        let text = format!(
            "scenario s\nmachine\n  frames 60\n{machine}setup\n  process P\n  \
             P: map A 4 private rw\n  P: map S 1 shared rw\nlane l: P\n{steps}\
             outcome o otherwise\n"
        );
        let mut agent = Fake::new(vec![Say::Seen(Observation::default())]);
        agent.features.no_swap = Some("lacks it".to_owned());
        agent.features.other_swap = other.map(str::to_owned);
        let report = compared(&text, &mut agent);
        (report.verdict, report.missing.into_iter().map(|it| it.why).collect::<Vec<_>>().join("; "))
    };
    let lacks = |why: &str| (Verdict::Skip, why.to_owned());
    assert_eq!(reason("  swap 4\n", "  pageout A\n", None), lacks("lacks it"));
    assert_ne!(reason("", "  pageout A\n", None).0, Verdict::Skip);
    for fails in ["swap-write-fails 1", "swap-read-fails 2"] {
        let told = with_swap(&format!("  swap 4\n  {fails}\n"), None);
        assert!(told.1.contains("fails when it is told to"), "{told:?}");
    }
    let zram = Some("no zram");
    assert_ne!(with_swap("  swap 4\n", zram).0, Verdict::Skip);
    for like in ["swap-writes stable", "swap-device synchronous"] {
        let told = with_swap(&format!("  swap 4\n  {like}\n"), zram);
        assert_eq!(told, (Verdict::Skip, "no zram".to_owned()), "{like}");
        assert_ne!(with_swap(&format!("  swap 4\n  {like}\n"), None).0, Verdict::Skip);
    }
    let swaps = reason("", "  pageout A\n", Some("/dev/elsewhere"));
    assert_eq!(swaps, lacks("this machine swaps to /dev/elsewhere"));
    assert_ne!(reason("", "  read A[0]\n", Some("/dev/elsewhere")).0, Verdict::Skip);
    assert_ne!(reason("", "  pageout S\n", None).0, Verdict::Skip);
    let shared = reason("", "  pageout S\n", Some("/dev/elsewhere"));
    assert_eq!(shared, lacks("this machine swaps to /dev/elsewhere"));
    let huge = reason("  thp pmd\n", "  pageout A\n", None);
    assert!(huge.1.contains("nothing goes to swap here"), "{huge:?}");
}

/// What a monitor needs of the machine, and what one userfaultfd cannot be for.
#[test]
fn huge_pages_are_by_themselves_and_need_what_gives_them() {
    type Lack = fn(&mut Features);
    let reason = |machine: &str, setup: &str, lack: Lack| {
        let text = format!(
            "scenario s\nmachine\n  frames 60\n{machine}setup\n  process P\n{setup}lane l: P\n  \
             read A[0]\noutcome o otherwise\n"
        );
        let mut agent = Fake::new(vec![Say::Seen(Observation::default())]);
        lack(&mut agent.features);
        let report = compared(&text, &mut agent);
        (report.verdict, report.missing.into_iter().map(|it| it.why).collect::<Vec<_>>().join("; "))
    };
    let advised = "  P: map A 4 private rw\n  P: advise A hugepage\n";
    let collapse = format!("{advised}  P: write A[0] \"v\"\n  P: collapse A[0]\n");
    let pooled = "  P: map A 4 hugetlb rw\n";
    let nothing: Lack = |_| {};
    for (machine, setup) in
        [("  thp pmd\n", advised), ("  thp pmd\n", &collapse), ("  hugetlb 1\n", pooled)]
    {
        assert_ne!(reason(machine, setup, nothing).0, Verdict::Skip, "{setup}");
    }
    let beside = format!("{advised}  P: map S 1 shared rw\n");
    let (verdict, why) = reason("  thp pmd\n", &beside, nothing);
    assert_eq!(verdict, Verdict::Skip);
    assert!(why.starts_with("beside huge pages there are no files, shared memory"), "{why}");
    let cases: [(&str, &str, Lack); 3] = [
        ("  thp pmd\n", advised, |it| it.no_huge = Some("lacks it".to_owned())),
        ("  thp pmd\n", &collapse, |it| it.no_collapse = Some("lacks it".to_owned())),
        ("  hugetlb 1\n", pooled, |it| it.no_pool = Some("lacks it".to_owned())),
    ];
    for (machine, setup, lack) in cases {
        assert_eq!(reason(machine, setup, lack), (Verdict::Skip, "lacks it".to_owned()));
    }
    // Folios of four pages are another setting.
    let folios: Lack = |it| it.no_folios = Some("off".to_owned());
    assert_ne!(reason("  thp pmd\n", advised, folios).0, Verdict::Skip);
    assert_eq!(reason("", advised, folios), (Verdict::Skip, "off".to_owned()));
}

#[test]
fn what_a_monitor_lacks_is_told() {
    let watched = |modes: &str| {
        format!(
            "scenario watched\nsetup\n  process P\n  P: map A 1 private rw\n  P: uffd-register A \
             {modes}\nlane one: P\n  fork C\n  uffd-zero A\nlane two: P\n  read A\nalways\n  P:A \
             sees \"0\"\n"
        )
    };
    let why = |modes: &str, features: Features| {
        let agent = Fake { features, trials: VecDeque::new() };
        let (plan, _) = searched(&watched(modes));
        observe(&plan, &mut { agent }).err()
    };
    let features = Fake::new(vec![]).features;
    let none = Features { no_uffd: Some("none here".to_owned()), ..features.clone() };
    assert_eq!(
        why("missing", none).as_deref(),
        Some("P: uffd-register A missing: none here"),
        "a step that cannot be carried out"
    );
    let untold = Features { no_fork_events: Some("nobody hears".to_owned()), ..features };
    assert_eq!(why("missing event-fork", untold).as_deref(), Some(": nobody hears"));
}

#[test]
fn a_kernel_that_does_not_tell_of_stores_is_not_asked_about_them() {
    let text = "scenario s\nsetup\n  process P\n  P: map A 1 private rw\nlane l: P\n  clear-refs\n\
                always\n  P:A is not soft-dirty\n";
    let mut agent = Fake::new(vec![Say::Seen(Observation::default())]);
    assert_ne!(compared(text, &mut agent).verdict, Verdict::Skip);
    agent.features.no_soft_dirty = Some("built without it".to_owned());
    let report = compared(text, &mut agent);
    assert_eq!(report.verdict, Verdict::Skip);
    let told: Vec<_> = report.missing.iter().map(|it| (&*it.step, &*it.why)).collect();
    assert_eq!(told, [("clear-refs", "built without it")]);
}

#[test]
fn who_executes_does_nothing_more_there() {
    let text = "scenario s\nsetup\n  process P\n  P: map A 1 private rw\n  P: fork C\n\
                lane l: C\n  exec\n  map B 1 private rw\noutcome o otherwise\n";
    let report = compared(text, &mut Fake::new(vec![seen(ONE)]));
    assert_eq!(report.verdict, Verdict::Skip);
    let steps: Vec<&str> = report.missing.iter().map(|missing| &*missing.step).collect();
    assert_eq!(steps, ["exec"]);
}

#[test]
fn orders_let_a_parent_sleep_until_its_child_by_vfork_has_left() {
    let text = "scenario s\nsetup\n  process P\n  P: map A 1 private rw\n\
                lane a: P\n  vfork C\n  read A\nlane b: C\n  read A\n  exec\n\
                lane c: P\n  write A \"c\"\noutcome o otherwise\n";
    let plan = Resolved::of(&parse(text).expect("a scenario")).expect("a plan");
    let all = orders(&plan, 100, 0);
    // The other lane of the parent comes anywhere.
    assert_eq!(all.orders.len(), 5);
    let order = |order: &Vec<usize>| order.iter().filter(|lane| **lane != 2).copied().collect();
    assert!(all.orders.iter().map(order).all(|order: Vec<usize>| order == [0, 1, 1, 0]));
}

#[test]
fn orders_keep_to_forks_handles_signals_and_lanes_that_follow() {
    let text = "scenario s\nsetup\n  process P\n  P: map A 1 private rw\n\
                lane a: P\n  fork C\n  signal go\nlane b: C\n  await go\n  write A \"b\"\n\
                lane c: P after a\n  write A \"c\"\noutcome o otherwise\n";
    let plan = Resolved::of(&parse(text).expect("a scenario")).expect("a plan");
    let all = orders(&plan, 100, 0);
    assert_eq!(all.orders, [[0, 0, 1, 1, 2], [0, 0, 1, 2, 1], [0, 0, 2, 1, 1]]);
    assert!(!all.sampled);
    let some = orders(&plan, 2, 7);
    assert_eq!((some.orders.len(), some.sampled), (2, true));
    assert!(some.orders.iter().all(|order| all.orders.contains(order)));
}

/// A lane that moves beside one that writes.
const MOVES: &str = "scenario moves\nmachine\n  nodes 2\nsetup\n  process P\n  \
                     P: map A 1 private rw\nlane mover: P\n  migrate A to node 1\nlane two: P\n  \
                     write A \"1\"\noutcome one when P:A sees \"1\"\noutcome other otherwise\n";

/// What comes of `MOVES` when only trials that repeat the move show the other outcome, and the
/// model of repeated lanes allows what `repeated` says. Also how often that model was asked.
fn amplified(repeated: &Ends) -> (KernelReport, u32) {
    let (plan, ends) = searched(MOVES);
    let kernel =
        Kernel { release: "0.0".to_owned(), rules: "latest".to_owned(), chosen: String::new() };
    let asked = Cell::new(0);
    let more = || {
        asked.set(asked.get() + 1);
        repeated.clone()
    };
    let question =
        Question { plan: &plan, path: "fake.pf", ends: &ends, repeated: &more, kernel: &kernel };
    let one = || seen_of(Some(true));
    let mut trials = vec![one(); 2 * 3 + 4];
    trials.push(seen_of(Some(false)));
    let mut agent = Fake::new(trials);
    agent.features.nodes = 2;
    let options = Options { free: 4, amplified: 3, ..Options::default() };
    (compare(&question, &options, &mut agent), asked.get())
}

fn seen_of(fact: Option<bool>) -> Say {
    Say::Seen(Observation { failed: Vec::new(), facts: vec![found(fact)] })
}

#[test]
fn what_only_repeated_lanes_show_is_compared_with_a_model_that_repeats_them() {
    let (_, ends) = searched(MOVES);
    let (report, asked) = amplified(&ends);
    assert_eq!((report.verdict, asked), (Verdict::Beyond, 1));
    assert_eq!(report.layers.iter().map(|layer| layer.trials).collect::<Vec<_>>(), [6, 4, 3]);
    let mut more = ends.clone();
    let other = pinfold_lab::Ended { outcome: "other".to_owned(), ..Default::default() };
    more.met.insert(other, pinfold_lab::Met { executions: 1, found: 0 });
    let (report, asked) = amplified(&more);
    assert_eq!((report.verdict, asked), (Verdict::Agree, 1));
    assert!(report.rows.iter().any(|row| row.outcome == "other (of repeated lanes)"));
    // A model that did not finish forbids nothing.
    let cut = Ends { incomplete: Some("cut".to_owned()), ..ends };
    assert_ne!(amplified(&cut).0.verdict, Verdict::Beyond);
}

#[test]
fn one_trial_is_judged_by_itself() {
    let (plan, ends) = searched(RACE);
    let one = observe(&plan, &mut Fake::new(vec![seen(ONE)])).expect("an outcome");
    assert!(ends.met.keys().any(|ended| one.agrees(ended)));
    assert!(observe(&plan, &mut Fake::new(vec![seen([None; 3])])).is_err());
    assert!(observe(&plan, &mut Fake::new(vec![Say::Trouble("no".to_owned())])).is_err());
}
