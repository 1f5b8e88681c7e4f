//! References on pages of a large folio against its split, by each rule of `tail-refs`, searched to
//! exhaustion under each memory model on a machine that is exactly as weak as its contract.
//!
//! The rules of 3.1 and of the first posting of 3.2's are found wrong where they are (facts 5.1,
//! 5.2), and that of 4.5 where a reference comes between its comparison and its distribution (facts
//! 5.3); the others hold.
//!
//! `cargo test -p pinfold-lab --release --test tails -- --nocapture` prints a line for each search.

#[path = "common/futex.rs"]
mod futex;
#[path = "../../pinfold/src/testing/mmu.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod mmu;
#[path = "pairs/platform.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod platform;
#[path = "tails/world.rs"]
mod world;

use pinfold::Small;
use pinfold_explore::{Completeness, Model, Report};

use world::Act::{self, Again, DontNeed, Drop, Fast, Fork, Put, Slow, Split, Walk};
use world::{Case, HEAD, TAIL};

type Tables = Small;

const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];

/// The rules: those of today, and with one of older releases in place of `tail-refs`. References
/// through entries are looked at again, and tables are kept while they are walked, by each of them.
const AND_HEAD: &str = "5.8,read-gup=as-is,tail-refs=tail-and-head";
const FIRST: &str = "5.8,read-gup=as-is,tail-refs=tail-mapcount-first";
const MAPCOUNT: &str = "5.8,read-gup=as-is,tail-refs=tail-mapcount";
const COMPARED: &str = "5.8,read-gup=as-is,tail-refs=head-compared";
const COMPARED_AGAIN: &str = "5.14,tail-refs=head-compared";
const FROZEN: &str = "5.14";
const TODAY: &str = "pinfold";
const ALL: [&str; 6] = [AND_HEAD, FIRST, MAPCOUNT, COMPARED, FROZEN, TODAY];

fn searched(what: &str, case: &mut Case, model: Model) -> Report {
    let report = case.search(model, 400_000);
    let found = report.failure.as_ref().map_or("holds".to_owned(), ToString::to_string);
    println!(
        "{what:<34} {:<46} {model:<5?} {:>6} executions {:>4} blocked: {}",
        case.rules.to_string(),
        report.executions,
        report.blocked,
        found.split(" (").next().unwrap_or_default(),
    );
    report
}

/// Every order of the lanes' steps, and every value that a load may return.
#[track_caller]
fn holds(what: &str, held: &[u64], lanes: &[&[Act]], rules: &[&str]) {
    for rules in rules {
        for model in MODELS {
            held_to_the_end(what, Case::new(held, lanes, rules), model);
        }
    }
}

/// The same under the weakest model alone, which does all that the others do.
#[track_caller]
fn holds_weakly(what: &str, held: &[u64], lanes: &[&[Act]], rules: &[&str]) {
    for rules in rules {
        held_to_the_end(what, Case::new(held, lanes, rules), Model::Weak);
    }
}

#[track_caller]
fn held_to_the_end(what: &str, mut case: Case, model: Model) {
    let report = searched(what, &mut case, model);
    let told = (what, case.rules, model, &report.failure);
    assert!(report.failure.is_none(), "{told:?}");
    assert_eq!(report.complete, Completeness::Exhausted, "{told:?}");
    assert!(report.executions > 2, "they do not meet: {told:?}");
}

/// Found under each model, and said so.
#[track_caller]
fn breaks(what: &str, mut case: Case, says: &[&str]) {
    for model in MODELS {
        let report = searched(what, &mut case, model);
        let failure = report.failure.expect("it is found").to_string();
        assert!(says.iter().any(|says| failure.contains(says)), "{what} {model:?}: {failure}");
    }
}

const SHORT: &str = "is missing";
const UNDERFLOW: &str = "was given back once more than it counts references";
const FREED: &str = "was freed while still mapped";
const AMISS: &str = "are accounted for";

/// Hazard H-I: the walker counts on the tail alone, and the split takes that off the head.
#[test]
fn a_reference_by_number_on_a_tail_that_is_got_against_a_split() {
    for lane in [&[Walk(TAIL)][..], &[Walk(TAIL), Drop]] {
        let lanes: &[&[Act]] = &[lane, &[Split]];
        breaks("walk a got tail", Case::new(&[TAIL], lanes, AND_HEAD), &[SHORT]);
        holds("walk a got tail", &[TAIL], lanes, &[FIRST, MAPCOUNT, COMPARED, FROZEN, TODAY]);
    }
}

/// What nobody has is not found by the rules that count on tails, and found on the head by those
/// that do not. By the rule of 4.5 a reference that comes behind the comparison stays there, while
/// its page becomes another; to look at the head again does not help, as it is still the head. When
/// it goes, the page that is mapped goes with it.
#[test]
fn a_reference_by_number_on_a_tail_against_a_split() {
    let lanes: &[&[Act]] = &[&[Walk(TAIL)], &[Split]];
    holds("walk a tail", &[], lanes, &[AND_HEAD, FIRST, MAPCOUNT, FROZEN, TODAY]);
    for rules in [COMPARED, COMPARED_AGAIN] {
        breaks("walk a tail", Case::new(&[], lanes, rules), &[AMISS]);
        let given_back: &[&[Act]] = &[&[Walk(TAIL), Drop], &[Split]];
        breaks("walk a tail, drop", Case::new(&[], given_back, rules), &[FREED, UNDERFLOW]);
    }
}

/// A reference on the head stays on the head.
#[test]
fn a_reference_by_number_on_the_head_against_a_split() {
    holds("walk the head", &[], &[&[Walk(HEAD)], &[Split]], &ALL);
    holds_weakly("walk the head, drop", &[], &[&[Walk(HEAD), Drop], &[Split]], &ALL);
    holds_weakly("walk the got head", &[HEAD], &[&[Walk(HEAD), Drop], &[Split]], &ALL);
}

/// Hazard H-J: the two counts are not one step against the split.
#[test]
fn one_more_reference_on_a_got_tail_against_a_split() {
    for lane in [&[Again][..], &[Again, Drop]] {
        let lanes: &[&[Act]] = &[lane, &[Split]];
        breaks("get again", Case::new(&[TAIL], lanes, AND_HEAD), &[SHORT]);
    }
    let lanes: &[&[Act]] = &[&[Again], &[Split]];
    holds("get again", &[TAIL], lanes, &[FIRST, MAPCOUNT, COMPARED, FROZEN, TODAY]);
    let lanes: &[&[Act]] = &[&[Again, Drop], &[Split]];
    holds_weakly("get again, drop", &[TAIL], lanes, &[MAPCOUNT, COMPARED, FROZEN, TODAY]);
}

/// The first posting takes the lock of whatever the head has become: here of a free frame, as
/// nothing maps the head's page when it is split off.
#[test]
fn one_more_reference_on_a_got_tail_against_a_split_that_frees_the_head() {
    let lanes: &[&[Act]] = &[&[Again], &[Split]];
    let says = "the lock of a folio was taken in";
    breaks("get again, head goes", Case::new(&[TAIL], lanes, FIRST).without(HEAD), &[says]);
    for rules in [MAPCOUNT, COMPARED, FROZEN, TODAY] {
        for model in MODELS {
            let case = Case::new(&[TAIL], lanes, rules).without(HEAD);
            held_to_the_end("get again, head goes", case, model);
        }
    }
}

/// Under the lock of the table: right by every rule.
#[test]
fn a_reference_through_the_entry_under_its_lock_against_a_split() {
    for page in [TAIL, HEAD] {
        holds_weakly("slow get", &[], &[&[Slow(page)], &[Split]], &ALL);
    }
}

/// Those that let a reference through the entry be taken without a lock.
const WITHOUT_A_LOCK: [&str; 5] = [AND_HEAD, FIRST, MAPCOUNT, FROZEN, TODAY];

/// In a walk section that the split waits for, or under which the head is frozen and looked at
/// again.
#[test]
fn a_reference_through_the_entry_without_a_lock_against_a_split() {
    holds("fast get", &[], &[&[Fast(TAIL)], &[Split]], &WITHOUT_A_LOCK);
}

#[test]
fn a_reference_on_the_head_or_for_a_while_without_a_lock_against_a_split() {
    holds_weakly("fast get of the head", &[], &[&[Fast(HEAD)], &[Split]], &ALL);
    holds_weakly("fast get, drop", &[], &[&[Fast(TAIL), Drop], &[Split]], &WITHOUT_A_LOCK);
}

/// By the rule of 4.5 it is a reference behind the comparison like any other: on a machine whose
/// flush does not wait for walkers. By the rules up to 5.13 a frozen head does not help either, as
/// it may be another's by then (hazard H-E).
#[test]
fn a_reference_through_the_entry_without_a_lock_behind_the_comparison() {
    let lanes: &[&[Act]] = &[&[Fast(TAIL)], &[Split]];
    for rules in [COMPARED, COMPARED_AGAIN, "5.13"] {
        breaks("fast get", Case::new(&[], lanes, rules), &[AMISS, FREED, UNDERFLOW]);
    }
}

/// What the wait rests on, where references are counted on tails: the split sees the section, or
/// the section the migration entries. Where the head is compared or frozen nothing rests on it.
#[test]
fn without_a_barrier_behind_the_opening_of_a_section_references_on_tails_are_lost() {
    let lanes: &[&[Act]] = &[&[Fast(TAIL)], &[Split]];
    for rules in [AND_HEAD, FIRST, MAPCOUNT] {
        let mut case = Case::new(&[], lanes, rules).unfenced();
        let report = searched("fast get, unfenced", &mut case, Model::Weak);
        let failure = report.failure.expect("it is found").to_string();
        let says = [AMISS, FREED, SHORT, UNDERFLOW].iter().any(|says| failure.contains(says));
        assert!(says, "{rules}: {failure}");
    }
    for rules in [FROZEN, TODAY] {
        held_to_the_end("fast get, unfenced", Case::new(&[], lanes, rules).unfenced(), Model::Weak);
    }
}

#[test]
fn references_that_go_against_a_split() {
    let lanes: &[&[Act]] = &[&[Put], &[Split]];
    holds("put", &[TAIL], lanes, &ALL);
    holds_weakly("put the head's", &[HEAD], lanes, &ALL);
    holds_weakly("put both", &[HEAD, TAIL], lanes, &[MAPCOUNT, FROZEN, TODAY]);
    for rules in ALL {
        for gone in [HEAD, TAIL] {
            let case = Case::new(&[TAIL], lanes, rules).without(gone);
            held_to_the_end("put, and no entry", case, Model::Weak);
        }
    }
}

/// The entry's reference becomes the page's, and goes.
#[test]
fn entries_that_go_or_are_copied_against_a_split() {
    holds_weakly("zap", &[], &[&[DontNeed(TAIL)], &[Split]], &ALL);
    holds_weakly("zap a got page", &[TAIL], &[&[DontNeed(TAIL)], &[Split]], &ALL);
    holds_weakly("zap the head", &[], &[&[DontNeed(HEAD)], &[Split]], &ALL);
    holds_weakly("fork", &[], &[&[Fork], &[Split]], &ALL);
}

#[test]
fn two_splits_at_once() {
    holds_weakly("two splits", &[TAIL], &[&[Split], &[Split]], &ALL);
}
