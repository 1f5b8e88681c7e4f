//! Each protocol of the memory manager, searched to exhaustion under the weak memory model, and its
//! broken twins, which must be found.
//!
//! A pass here is a proof within the scenario: no bound, no limit, every class of executions, and
//! each window that a protocol is about was open in one of them at least. `--nocapture` prints what
//! each proof took.
//!
//! A twin is the same scenario under rules that take something from the protocol. Where no switch
//! takes away what it rests on (mostly the lock of a page table or of an address space), there is
//! no twin, and the test says so.

mod balancing;
mod collapse;
#[path = "../common/mod.rs"]
mod common;
mod delegations;
mod drops;
mod families;
mod faults;
mod files;
mod filters;
mod followers;
mod lazyfree;
mod listed;
mod locks;
mod merging;
mod monitors;
mod moves;
mod pins;
mod reclaimed;
mod remaps;
mod shared_out;
mod sizes;
mod soft_dirty;
mod swapping;
mod tables;
mod zones;

use common::shipped;
use pinfold_lab::Model;
use pinfold_lab::report::Report;

/// Fewer executions than this are no race.
const HANDFUL: u64 = 10;

/// A scenario that is searched under many rules.
struct Protocol {
    name: &'static str,
    text: String,
}

impl Protocol {
    /// With two nodes, a CPU on each, and one pass for each migration: what one pass cannot do, ten
    /// only do more often.
    fn new(name: &'static str, body: &str) -> Self {
        Self { name, text: common::on_two_nodes(name, body) }
    }

    fn shipped(name: &'static str) -> Self {
        Self { name, text: shipped(name) }
    }

    /// The same, where these windows must be open, too.
    fn reaching(&self, windows: &[&str]) -> Self {
        let lines = windows.iter().map(|window| format!("reach {window}\n"));
        Self { name: self.name, text: self.text.clone() + &lines.collect::<String>() }
    }

    /// The proof.
    #[track_caller]
    fn holds_in(&self, rules: &str, model: Model) -> Report {
        let report = common::holds(self.name, &self.text, rules, model);
        let search = &report.search;
        let reached = report.reached.iter().map(|goal| format!("{} {}", goal.count, goal.what));
        println!(
            "{:<20} {rules:<38} {model:<5?} {:>6} executions {:>4} blocked {:>5.2} s; {}",
            self.name,
            search.executions,
            search.blocked,
            search.seconds,
            reached.collect::<Vec<_>>().join(", ")
        );
        assert!(search.executions > HANDFUL, "{} under {rules}: {search:?}", self.name);
        assert!(!report.reached.is_empty(), "{} names no window", self.name);
        report
    }

    /// The proof under all of these, on each of these models.
    #[track_caller]
    fn holds_across(&self, all: &[&str], models: &[Model]) {
        for rules in all {
            for model in models {
                self.holds_in(rules, *model);
            }
        }
    }

    #[track_caller]
    fn holds(&self, rules: &str) -> Report {
        self.holds_in(rules, Model::Weak)
    }

    #[track_caller]
    fn breaks_in(&self, rules: &str, model: Model, oracle: &str) -> Report {
        let report = common::breaks(self.name, &self.text, rules, model, oracle);
        let broken = report.broken.as_ref().map_or(0, |broken| broken.switches);
        println!("{:<20} {rules:<38} {model:<5?} broken, {broken} switches", self.name);
        report
    }

    #[track_caller]
    fn breaks(&self, rules: &str, oracle: &str) -> Report {
        self.breaks_in(rules, Model::Weak, oracle)
    }
}

/// The outcomes that were seen.
fn outcomes(report: &Report) -> Vec<&str> {
    report.outcomes.iter().map(|outcome| outcome.label.as_str()).collect()
}

#[test]
fn a_window_that_only_opens_while_nothing_else_runs_is_not_open() {
    let text = Protocol::new(
        "alone",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
lane reader: P on cpu0
  read A
after
  P: write A "new"
always
  P:A sees "new"
"#,
    );
    for event in ["first-touch", "write"] {
        let protocol = text.reaching(&[event]);
        protocol.breaks("pinfold", "vacuous");
    }
    common::holds(text.name, &text.reaching(&["read"]).text, "pinfold", Model::Weak);
}
