//! What each release's preset answers to the questions that do not depend on a page.

use super::super::Rules;
use super::super::charge::{Counting, Unseen, counting, locks_charge, unseen};
use super::super::fork::{SeqCountUse, WriteProtect, race_guard};
use super::super::migrate::{brings_barriers, carries_accessed_dirty, remembers_mark};
use super::super::numa::recomputes_write;
use super::super::pin::{
    Access, Force, Hold, Request, Term, Unshares, WriteFault, counts_zero_page, direct_io,
    drops_write, grows_stack, rechecks_entry, refuses_tracked, takes_hinting_fault, unshares,
};
use super::super::uffd::{
    flushes_before_copy, protects_shared, protects_unpopulated, watches_minor,
};
use super::super::zap::needs_mapping;
use super::super::{ForceWrite, Permission};

const LONG_WRITE: Request = Request { hold: Hold::Pin, access: Access::Write, term: Term::Long };

/// The first release of [`Release`](super::super::Release)s that answers `yes`; every later one
/// does as well.
fn since(yes: impl Fn(&Rules) -> bool) -> &'static str {
    const RELEASES: [&str; 15] = [
        "5.8", "5.9", "5.10", "5.11", "5.12", "5.14", "5.18", "5.19", "6.0", "6.1", "6.2", "6.4",
        "6.5", "6.12", "7.3",
    ];
    let answers = RELEASES.map(|release| yes(&Rules::linux(release).unwrap()));
    let first = answers.iter().position(|yes| *yes).expect("some release says yes");
    assert!(answers[first..].iter().all(|yes| *yes), "{answers:?}");
    RELEASES[first]
}

#[test]
fn each_answer_changes_in_its_release() {
    assert_eq!(since(|rules| unshares(rules.read_gup) != Unshares::Nothing), "5.19");
    assert_eq!(since(|rules| unshares(rules.read_gup) == Unshares::AllPrivate), "6.2");
    assert_eq!(since(|rules| !counts_zero_page(rules.zero_pin)), "6.5");
    assert_eq!(since(|rules| !takes_hinting_fault(rules.gup_numa)), "6.5");
    assert_eq!(since(|rules| !grows_stack(rules.gup_stack)), "6.5");
    assert_eq!(since(|rules| direct_io(rules.direct_io) == Hold::Pin), "6.5");
    assert_eq!(since(|rules| refuses_tracked(rules.file_pin, LONG_WRITE)), "6.5");
    assert_eq!(since(|rules| counting(rules.memcg_lock) == Counting::Unlocked), "6.2");
    assert_eq!(since(|rules| unseen(rules.memcg_lock) == Unseen::Unmapped), "6.2");
    assert_eq!(since(|rules| locks_charge(rules.memcg_lock)), "5.8");
    assert_eq!(since(|rules| watches_minor(rules.uffd)), "5.14");
    assert_eq!(since(|rules| protects_shared(rules.uffd)), "5.19");
    assert_eq!(since(|rules| protects_unpopulated(rules.uffd)), "6.4");
    assert_eq!(since(|rules| flushes_before_copy(rules.uffd_wp_flush)), "5.12");
    assert_eq!(since(|rules| needs_mapping(rules.break_hole)), "6.1");
    assert_eq!(since(|rules| recomputes_write(rules.numa_write)), "6.2");
    assert_eq!(since(|rules| remembers_mark(rules.migration_kind)), "5.19");
    assert_eq!(since(|rules| carries_accessed_dirty(rules.migration_ad)), "6.1");
    assert_eq!(since(|rules| brings_barriers(rules.share_order)), "6.1");
    assert_eq!(since(|rules| rechecks_entry(rules.fast_recheck)), "5.8");
}

#[test]
fn fork_guards_against_pins_as_its_release_did() {
    let guard = |release: &str| {
        let guard = race_guard(Rules::linux(release).unwrap().fork_race);
        (guard.protect, guard.seqcount)
    };
    assert_eq!(guard("5.8"), (WriteProtect::AfterCheck, SeqCountUse::Unused));
    assert_eq!(guard("5.9"), (WriteProtect::BeforeCheck, SeqCountUse::Unused));
    assert_eq!(guard("5.10"), (WriteProtect::AfterCheck, SeqCountUse::Unused));
    assert_eq!(guard("5.11"), (WriteProtect::AfterCheck, SeqCountUse::WriteBarrier));
    assert_eq!(guard("latest"), (WriteProtect::AfterCheck, SeqCountUse::WriteBarrier));
    assert_eq!(guard("pinfold"), (WriteProtect::AfterCheck, SeqCountUse::FullBarrier));
}

#[test]
fn only_a_forced_write_without_permission_is_dropped_and_only_before_4_9() {
    let read_only = Permission::ReadOnly;
    let (forced, taken) = (Force::Forced, WriteFault::Taken);
    for &rule in ForceWrite::ALL {
        let dropped = drops_write(rule, forced, taken, read_only);
        assert_eq!(dropped, rule == ForceWrite::DropWrite, "{rule}");
        assert!(!drops_write(rule, Force::Ordinary, taken, read_only));
        assert!(!drops_write(rule, forced, WriteFault::NotTaken, read_only));
        assert!(!drops_write(rule, forced, taken, Permission::Write));
    }
}
