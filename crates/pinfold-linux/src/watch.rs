//! What a plan asks of userfaultfd(2) (facts 7.14).
//!
//! INV-WATCH-1: each address space has one userfaultfd, which is made before its process does
//! anything, with the features of all its registrations; that of a child of which its parent's
//! monitor hears is the one that comes with the event.

use pinfold::UffdMode;
use pinfold_lab::resolved::{Act, Resolved, ResolvedStep, UffdAct};
use pinfold_lab::scenario::{Advice, Occupied};

/// What concerns a userfaultfd as a whole, and not a range.
const FEATURES: UffdMode =
    UffdMode::WP_UNPOPULATED.union(UffdMode::EVENT_FORK).union(UffdMode::EVENT_REMAP);

/// The address space in which a step is carried out.
fn home(plan: &Resolved, step: &ResolvedStep) -> Option<usize> {
    step.process.map(|process| plan.home(process))
}

/// The modes of each registration in an address space.
fn registrations(plan: &Resolved, of: usize) -> impl Iterator<Item = UffdMode> {
    plan.steps().filter_map(move |step| match step.act {
        Act::Uffd(UffdAct::Register(_, bits)) if home(plan, step) == Some(of) => {
            Some(UffdMode::from_bits_truncate(bits))
        }
        _ => None,
    })
}

/// What the userfaultfd of an address space is asked for; none if it needs none of its own.
pub(crate) fn features(plan: &Resolved, of: usize) -> Option<UffdMode> {
    let uses =
        |step: &ResolvedStep| matches!(step.act, Act::Uffd(_)) && home(plan, step) == Some(of);
    let own = !inherits(plan, of) && plan.steps().any(uses);
    own.then(|| registrations(plan, of).collect::<UffdMode>().intersection(FEATURES))
}

/// Whether an address space has the userfaultfd that comes with the event of its fork.
pub(crate) fn inherits(plan: &Resolved, home: usize) -> bool {
    let Some(process) = plan.processes.get(home).filter(|process| !process.shares) else {
        return false;
    };
    process.parent.is_some_and(|parent| tells_of_forks(plan, plan.home(parent)))
}

/// Whether a monitor hears of the children of an address space: so of a child's children, too.
fn tells_of_forks(plan: &Resolved, home: usize) -> bool {
    let asked = registrations(plan, home).any(|modes| modes.contains(UffdMode::EVENT_FORK));
    asked || inherits(plan, home)
}

/// The child that a fork in this address space makes.
pub(crate) fn child(plan: &Resolved, of: usize) -> Option<usize> {
    plan.steps().find_map(|step| match step.act {
        Act::Fork(child) if home(plan, step) == Some(of) => Some(child),
        _ => None,
    })
}

/// Whether there is a userfaultfd at all.
pub(crate) fn is_watched(plan: &Resolved) -> bool {
    plan.steps().any(|step| matches!(step.act, Act::Uffd(_)))
}

/// Whether a plan has a monitor hear of forks.
pub(crate) fn has_fork_events(plan: &Resolved) -> bool {
    (0..plan.processes.len()).any(|process| tells_of_forks(plan, process))
}

/// Why a plan cannot be carried out with one userfaultfd for each address space, if so.
pub(crate) fn unfit(plan: &Resolved) -> Option<String> {
    let homes = || (0..plan.processes.len()).filter(|process| plan.home(*process) == *process);
    let differ = |home: usize| {
        let mut asked = registrations(plan, home).map(|modes| modes.intersection(FEATURES));
        let first = asked.next();
        asked.any(|other| Some(other) != first)
    };
    if homes().any(differ) {
        let why = "one userfaultfd watches all ranges of a process in one way: the registrations \
                   differ in unpopulated, event-fork or event-remap";
        return Some(why.to_owned());
    }
    let is_fork = |step: &ResolvedStep| matches!(step.act, Act::Fork(_));
    let forks = |of: usize| {
        plan.steps().filter(|step| is_fork(step) && home(plan, step) == Some(of)).count()
    };
    let mut told = homes().filter(|home| tells_of_forks(plan, *home));
    let unclear = |of: usize| {
        let own = |step: &&ResolvedStep| home(plan, step) == Some(of);
        let late = plan.lanes.iter().flat_map(|lane| &lane.steps).chain(&plan.after);
        let registers = |step: &ResolvedStep| matches!(step.act, Act::Uffd(UffdAct::Register(..)));
        let twice = inherits(plan, of) && registrations(plan, of).next().is_some();
        let mut forked = plan.setup.iter().filter(own).skip_while(|step| !is_fork(step));
        forks(of) > 1
            || twice
            || forked.any(registers)
            || late.filter(own).any(registers)
            || plan.steps().filter(own).any(ends_watching)
    };
    told.any(unclear).then(|| {
        let why = "event-fork is carried out where `setup` registers before the fork, nothing ends \
                   that, and the process forks once: the event does not tell which child it is about";
        why.to_owned()
    })
}

/// Whether a step may end the registration of a range, or keep it from a child.
fn ends_watching(step: &ResolvedStep) -> bool {
    matches!(
        step.act,
        Act::Uffd(UffdAct::Unregister(_))
            | Act::Unmap(_)
            | Act::Remap(..)
            | Act::Break(..)
            | Act::Exec
            | Act::Map { occupied: Occupied::Replace, .. }
            | Act::Advise(_, Advice::DontFork)
    )
}

#[cfg(test)]
mod tests {
    use pinfold_lab::scenario::parse;

    use super::*;

    fn plan(setup: &str, lanes: &str) -> Resolved {
        let text = format!(
            "scenario s\nsetup\n  process P\n  P: map A 2 private rw\n{setup}{lanes}\
             always\n  P:A[0] sees \"0\"\n"
        );
        Resolved::of(&parse(&text).expect("a scenario")).expect("a plan")
    }

    const FORKED: &str = "lane one: P\n  fork C\nlane two: C\n  uffd-copy A[0] \"x\"\n";

    #[test]
    fn a_userfaultfd_has_the_features_of_all_registrations() {
        let registers =
            plan("  P: uffd-register A[0] wp unpopulated\n", "lane one: P\n  uffd-zero A[0]\n");
        assert_eq!(features(&registers, 0), Some(UffdMode::WP_UNPOPULATED));
        assert_eq!(unfit(&registers), None);
        let only_uses = plan("", FORKED);
        assert_eq!(
            (features(&only_uses, 0), features(&only_uses, 1)),
            (None, Some(UffdMode::empty()))
        );
        let differ = "  P: uffd-register A[0] wp unpopulated\n  P: uffd-register A[1] missing\n";
        let differ = plan(differ, "lane one: P\n  uffd-zero A[0]\n");
        assert!(unfit(&differ).is_some_and(|why| why.contains("the registrations differ")));
    }

    #[test]
    fn a_child_of_which_the_monitor_hears_has_its_own_by_the_event() {
        let told = plan("  P: uffd-register A missing event-fork\n", FORKED);
        assert!(!inherits(&told, 0) && inherits(&told, 1));
        assert_eq!((features(&told, 0), features(&told, 1)), (Some(UffdMode::EVENT_FORK), None));
        assert_eq!((child(&told, 0), child(&told, 1)), (Some(1), None));
        assert!(has_fork_events(&told));
        assert_eq!(unfit(&told), None);
        let untold = plan("  P: uffd-register A missing\n", FORKED);
        assert!(!inherits(&untold, 1) && !has_fork_events(&untold));
        assert_eq!(features(&untold, 1), Some(UffdMode::empty()));
    }

    #[test]
    fn a_fork_of_which_too_little_is_told_is_not_carried_out() {
        let setup = "  P: uffd-register A missing event-fork\n";
        let not = |setup: &str, lanes: &str| {
            unfit(&plan(setup, lanes)).is_some_and(|why| why.contains("which child it is about"))
        };
        assert!(not(setup, "lane one: P\n  fork C\n  fork D\n"), "two children");
        assert!(not(setup, "lane one: P\n  fork C\n  uffd-unregister A\n"));
        assert!(not(setup, "lane one: P\n  advise A dontfork\n  fork C\n"));
        assert!(not("", "lane one: P\n  uffd-register A missing event-fork\n  fork C\n"));
        assert!(not(
            "  P: fork C\n  P: uffd-register A missing event-fork\n",
            "lane one: P\n  read A[0]\n"
        ));
        let own = "lane one: P\n  fork C\nlane two: C\n  uffd-register A missing event-fork\n";
        assert!(not(setup, own));
        assert!(!not(setup, "lane one: P\n  fork C\n  uffd-zero A[0]\n"));
    }
}
