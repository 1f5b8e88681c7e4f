//! The catalogue of facts 8, as far as one thread, or one thread and an interruption, can play it:
//! which release breaks and which does not.

use super::{Ask, Path, RW, world};
use crate::testing::{Audit, device_read, load, machine, map, pages, rules, space, store};
use crate::{Access, EventKind, NodeId, Prot, Rules, Term, Tuning, X86_64};
use std::sync::{Arc, Mutex};

/// Plays `play` under each release: it says whether device and owner stayed together.
fn expect(play: impl Fn(&str) -> bool, in_step: &[(&str, bool)]) {
    for (text, expected) in in_step {
        assert_eq!(play(text), *expected, "{text}");
    }
}

#[test]
fn t1_a_pinned_buffer_and_fork() {
    let play = |text: &str| {
        let (mem, parent) = world(text);
        store(&parent, 16, 1).unwrap();
        let pins = parent.pin(pages(16, 1), Access::Write, Term::Long).unwrap();
        let child = parent.fork().unwrap();
        store(&parent, 16, 2).unwrap();
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
        device_read(&mem, pins.pages()[0]) == 2
    };
    expect(
        play,
        &[
            ("5.8", false),
            ("5.9", true),
            ("5.10", true),
            ("5.11", true),
            ("5.19", true),
            ("pinfold", true),
        ],
    );
}

#[test]
fn t2_a_plain_reference_and_fork_was_never_reliable() {
    let play = |text: &str| {
        let (mem, parent) = world(text);
        store(&parent, 16, 1).unwrap();
        let gets = parent.get(pages(16, 1), Access::Write).unwrap();
        let _child = parent.fork().unwrap();
        store(&parent, 16, 2).unwrap();
        device_read(&mem, gets.pages()[0]) == 2
    };
    for text in crate::rules::PRESETS {
        assert!(!play(text), "{text}");
    }
}

#[test]
fn t3_what_the_child_still_reads_after_it_unmapped() {
    let isolated = |text: &str| {
        let (mem, parent) = world(text);
        store(&parent, 16, 1).unwrap();
        let child = parent.fork().unwrap();
        let gets = child.get(pages(16, 1), Access::Read).unwrap();
        child.unmap(pages(16, 1)).unwrap();
        store(&parent, 16, 2).unwrap();
        device_read(&mem, gets.pages()[0]) == 1
    };
    expect(isolated, &[("5.8,read-gup=as-is", false)]);
    // Mappings alone were counted up to 5.8, and 5.8 itself broke copy-on-write for the reader.
    let leaks = ["3.1", "3.2", "4.4", "4.5", "4.8", "5.7"];
    for text in crate::rules::PRESETS {
        assert_eq!(isolated(text), !leaks.contains(text), "{text}");
    }
}

#[test]
fn t6_a_lock_free_pin_between_forks_check_and_its_write_protection() {
    let play = |text: &str| {
        let (mem, parent) = world(text);
        store(&parent, 16, 1).unwrap();
        // So that fork has a reason to check at all.
        drop(parent.pin(pages(17, 1), Access::Write, Term::Short).unwrap());
        let parent = Arc::new(parent);
        let (pinner, early) = (parent.clone(), Arc::new(Mutex::new(None)));
        let taken = early.clone();
        let child = mem.platform().interrupt(
            move |event| {
                if matches!(event, EventKind::ForkShared { .. }) && taken.lock().unwrap().is_none()
                {
                    let fast = Ask::new(Access::Write, Term::Long).path(Path::FastOnly);
                    *taken.lock().unwrap() = pinner.pin_with(pages(16, 1), fast).ok();
                }
            },
            || parent.fork().unwrap(),
        );
        // The pin that was turned away comes back by the slow path, after fork.
        let pins = early.lock().unwrap().take();
        let pins =
            pins.unwrap_or_else(|| parent.pin(pages(16, 1), Access::Write, Term::Long).unwrap());
        store(&parent, 16, 2).unwrap();
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
        device_read(&mem, pins.pages()[0]) == 2
    };
    expect(play, &[("5.8", false), ("5.9", true), ("5.10", false)]);
    expect(play, &[("5.11", true), ("5.18", true), ("5.19", true), ("pinfold", true)]);
}

#[test]
fn t10_a_pinned_buffer_and_mprotect_to_and_fro() {
    let play = |text: &str| {
        let (mem, space) = world(text);
        store(&space, 16, 1).unwrap();
        let pins = space.pin(pages(16, 1), Access::Write, Term::Long).unwrap();
        space.protect(pages(16, 1), Prot::READ).unwrap();
        space.protect(pages(16, 1), RW).unwrap();
        store(&space, 16, 2).unwrap();
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
        device_read(&mem, pins.pages()[0]) == 2
    };
    expect(
        play,
        &[("5.8", true), ("5.9", false), ("5.11", false), ("5.17", false), ("5.18", false)],
    );
    expect(
        play,
        &[("5.19", true), ("6.1", true), ("6.2", true), ("6.12", true), ("pinfold", true)],
    );
}

#[test]
fn t11_a_read_pin_of_a_page_that_fork_has_shared() {
    let play = |text: &str| {
        let (mem, parent) = world(text);
        store(&parent, 16, 1).unwrap();
        let child = parent.fork().unwrap();
        let pins = parent.pin(pages(16, 1), Access::Read, Term::Long).unwrap();
        store(&parent, 16, 2).unwrap();
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
        assert_eq!(load(&child, 16), Ok(1), "{text}");
        device_read(&mem, pins.pages()[0]) == 2
    };
    expect(play, &[("5.8,read-gup=as-is", false), ("5.8", true), ("5.9", false), ("5.18", false)]);
    expect(play, &[("5.19", true), ("6.2", true), ("pinfold", true)]);
}

/// A pinned page whose migration fails, with a scan between its attempt and its restoration; then
/// the owner writes.
fn scan_during_migration(rules: Rules, migrate: fn(&crate::testing::Space<X86_64>)) -> bool {
    let mem = machine::<X86_64>(rules, &[32, 8], Tuning::default());
    let owner = Arc::new(space(&mem));
    map(&owner, 16, 1, RW);
    store(&owner, 16, 1).unwrap();
    let pins = owner.pin(pages(16, 1), Access::Write, Term::Long).unwrap();
    owner.numa_scan(pages(16, 1));
    mem.platform().host.run_on(NodeId(1));
    let scanner = owner.clone();
    mem.platform().interrupt(
        move |event| {
            if matches!(event, EventKind::MigrationBusy { .. }) {
                scanner.numa_scan(pages(16, 1));
            }
        },
        || migrate(&owner),
    );
    store(&owner, 16, 2).unwrap();
    Audit::of(&mem).space(&owner).pins(pins.pages()).check();
    device_read(&mem, pins.pages()[0]) == 2
}

#[test]
fn t4_bug_215616_a_scan_in_the_middle_of_a_failing_hinting_migration() {
    let play =
        |text: &str| scan_during_migration(rules(text), |space| assert_eq!(load(space, 16), Ok(1)));
    expect(
        play,
        &[("5.8", true), ("5.9", false), ("5.10", false), ("5.11", false), ("5.16", false)],
    );
    expect(
        play,
        &[("5.17", true), ("5.18", true), ("5.19", true), ("6.2", true), ("pinfold", true)],
    );
    expect(play, &[("5.11,numa-skip=ref-count", true), ("5.11,migration-kind=exclusive", true)]);
}

#[test]
fn t5_the_same_with_move_pages_instead_of_the_hinting_fault() {
    let play = |text: &str| {
        scan_during_migration(rules(text), |space| {
            assert_eq!(space.migrate(pages(16, 1), NodeId(1)).moved, 0);
        })
    };
    expect(
        play,
        &[("5.8", true), ("5.9", false), ("5.11", false), ("5.17", false), ("5.18", false)],
    );
    expect(play, &[("5.19", true), ("6.2", true), ("6.12", true), ("pinfold", true)]);
}
