//! What each release's preset answers to the questions that do not depend on a page.

use super::super::Rules;
use super::super::charge::{Counting, Unseen, counting, locks_charge, unseen};
use super::super::collapse::{brings_back, waits_for_walkers};
use super::super::fork::{SeqCountUse, WriteProtect, race_guard};
use super::super::migrate::{brings_barriers, carries_accessed_dirty, remembers_mark};
use super::super::numa::{HintedMove, HintedWrite, hinted_huge, hinted_page, hinted_write};
use super::super::pin::{
    Access, Force, Hold, Request, Term, Unshares, WriteFault, counts_zero_page, direct_io,
    drops_write, grows_stack, keeps_unmoved, leaves_cma, leaves_movable, process_vm,
    rechecks_entry, rechecks_table, refuses_tracked, takes_hinting_fault, unshares,
};
use super::super::protect::ClearsUnder;
use super::super::swap::{FreesCache, SwapInFor, frees_cache, grants_write};
use super::super::swap::{keeps_pinned, keeps_pinned_unmapped};
use super::super::uffd::{
    continues_dirty, flushes_before_copy, protects_shared, protects_unpopulated, watches_minor,
};
use super::super::zap::needs_mapping;
use super::super::{ForceWrite, Interface, Interfaces, NumaWrite, PRESETS, Permission};

const LONG_WRITE: Request = Request { hold: Hold::Pin, access: Access::Write, term: Term::Long };

/// The first release of [`Release`](super::super::Release)s that answers `yes`; every later one
/// does as well.
fn since(yes: impl Fn(&Rules) -> bool) -> &'static str {
    const RELEASES: [&str; 31] = [
        "3.1", "3.2", "3.7", "3.8", "3.11", "4.2", "4.3", "4.5", "4.10", "4.11", "4.13", "4.14",
        "5.1", "5.6", "5.7", "5.8", "5.9", "5.10", "5.11", "5.12", "5.14", "5.16", "5.18", "5.19",
        "6.0", "6.1", "6.2", "6.4", "6.5", "6.12", "7.3",
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
    assert_eq!(since(|rules| process_vm(rules.process_vm) == Hold::Pin), "5.6");
    assert_eq!(since(|rules| leaves_cma(rules.longterm_zone)), "5.1");
    assert_eq!(since(|rules| leaves_movable(rules.longterm_zone)), "5.14");
    assert_eq!(since(|rules| !keeps_unmoved(rules.longterm_zone)), "5.14");
    assert_eq!(since(|rules| refuses_tracked(rules.file_pin, LONG_WRITE)), "6.5");
    assert_eq!(since(|rules| counting(rules.memcg_lock) == Counting::Unlocked), "6.2");
    assert_eq!(since(|rules| unseen(rules.memcg_lock) == Unseen::Unmapped), "6.2");
    assert_eq!(since(|rules| locks_charge(rules.memcg_lock)), "3.1");
    assert_eq!(since(|rules| watches_minor(rules.uffd)), "5.14");
    assert_eq!(since(|rules| protects_shared(rules.uffd)), "5.19");
    assert_eq!(since(|rules| protects_unpopulated(rules.uffd)), "6.4");
    assert_eq!(since(|rules| flushes_before_copy(rules.uffd_wp_flush)), "5.12");
    assert_eq!(since(|rules| continues_dirty(rules.uffd_continue)), "5.16");
    assert_eq!(since(|rules| needs_mapping(rules.break_hole)), "6.1");
    assert_eq!(since(|rules| hinted_write(rules.numa_write) == HintedWrite::Recomputed), "6.2");
    assert_eq!(since(|rules| hinted_huge(rules.thp_numa) == HintedMove::Common), "5.14");
    assert_eq!(since(|rules| hinted_page(rules.thp_numa) == HintedMove::Common), "6.12");
    assert_eq!(since(|rules| remembers_mark(rules.migration_kind)), "5.19");
    assert_eq!(since(|rules| carries_accessed_dirty(rules.migration_ad)), "6.1");
    assert_eq!(since(|rules| brings_barriers(rules.share_order)), "6.1");
    assert_eq!(since(|rules| super::super::swap::batches_flushes(rules.swap_flush)), "4.3");
    assert_eq!(since(|rules| keeps_pinned(rules.swap_pinned)), "5.11");
    let counts = super::super::swap::counts_references;
    assert_eq!(since(|rules| counts(rules.lazy_free)), "5.18");
    let spared = super::super::protect::spares_pinned;
    assert_eq!(since(|rules| spared(rules.clear_refs_pinned)), "5.11");
    let under = super::super::protect::clears_under;
    assert_eq!(since(|rules| under(rules.clear_refs_pinned) == ClearsUnder::WriteLock), "5.11");
    assert_eq!(since(|rules| keeps_pinned_unmapped(rules.swap_pinned)), "6.4");
    assert_eq!(since(|rules| super::super::swap::remembers_mark(rules.swap_in_reuse)), "5.19");
    let frees = |rules: &Rules| frees_cache(rules.swap_in_reuse);
    assert_eq!(since(|rules| frees(rules) != FreesCache::OnReuse), "5.18");
    assert_eq!(since(|rules| frees(rules) == FreesCache::AfterMapping), "7.3");
    assert_eq!(since(|rules| grants_write(rules.swap_in_write, SwapInFor::Read)), "6.12");
    assert_eq!(since(|rules| grants_write(rules.swap_in_write, SwapInFor::Write)), "3.1");
    assert_eq!(since(|rules| super::super::swap::marks_zeros(rules.swap_zero)), "6.12");
    assert_eq!(since(|rules| rechecks_entry(rules.fast_recheck)), "3.1");
    assert_eq!(since(|rules| rechecks_table(rules.fast_recheck)), "6.0");
    assert_eq!(since(|rules| waits_for_walkers(rules.collapse_sync)), "6.1");
    assert_eq!(since(|rules| brings_back(rules.collapse_swapped)), "4.10");
}

#[test]
fn fork_guards_against_pins_as_its_release_did() {
    let guard = |release: &str| {
        let guard = race_guard(Rules::linux(release).unwrap().fork_race);
        (guard.protect, guard.seqcount)
    };
    assert_eq!(guard("3.1"), (WriteProtect::AfterCheck, SeqCountUse::Unused));
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

#[test]
fn write_permission_waits_in_the_entry_up_to_6_1() {
    for (rule, expected) in NumaWrite::ALL.iter().zip([
        HintedWrite::InEntry,
        HintedWrite::Dropped,
        HintedWrite::InEntry,
        HintedWrite::Recomputed,
    ]) {
        assert_eq!(hinted_write(*rule), expected, "{rule}");
    }
}

#[test]
fn an_interface_exists_from_its_release_on() {
    let dates = [
        (Interface::ProcessVm, "3.2"),
        (Interface::NumaBalancing, "3.8"),
        (Interface::SoftDirty, "3.11"),
        (Interface::Userfaultfd, "4.3"),
        (Interface::MadvFree, "4.5"),
        (Interface::UserfaultfdShared, "4.11"),
        (Interface::UserfaultfdEvents, "4.11"),
        (Interface::UserfaultfdWp, "5.7"),
        (Interface::WipeOnFork, "4.14"),
        (Interface::OverflowRefused, "5.1"),
        (Interface::PinUserPages, "5.6"),
        (Interface::Populate, "5.14"),
    ];
    assert_eq!(dates.map(|(interface, _)| interface), Interface::ALL);
    for (interface, date) in dates {
        assert_eq!(since(|rules| interface.exists(rules)), date, "{interface}");
        assert_eq!(interface.variant().since, date, "{interface}");
        assert_eq!(interface.variant().name, interface.brought_by().name(), "{interface}");
    }
    let there = |preset: &str| {
        let rules = Rules::linux(preset).unwrap();
        Interface::ALL.iter().filter(|interface| interface.exists(&rules)).count()
    };
    let counts = PRESETS.iter().map(|preset| there(preset));
    assert!(
        counts.eq([0, 1, 4, 5, 5, 11, 11, 11, 11, 11, 11, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12])
    );
}

/// Every variant but the first brings something.
#[test]
fn each_step_of_the_interfaces_brings_one() {
    for step in &Interfaces::ALL[1..] {
        let brings = Interface::ALL.iter().any(|interface| interface.brought_by() == *step);
        assert!(brings, "{step}");
    }
}

/// An override goes either way: the base has no effect of its own.
#[test]
fn an_interface_is_asked_of_the_switch_and_not_of_the_base() {
    let old = Rules::parse("4.8,interfaces=pin-user-pages").unwrap();
    assert!(Interface::PinUserPages.exists(&old));
    assert!(Interface::WipeOnFork.exists(&old) && !Interface::UserfaultfdWp.exists(&old));
    let new = Rules::parse("latest,interfaces=basic").unwrap();
    assert!(Interface::ALL.iter().all(|interface| !interface.exists(&new)));
}
