use std::sync::{Arc, Mutex};
use std::vec::Vec;

use crate::testing::{
    Mem, Space, follow, followed, load, machine, map, pages, rules, space, store,
};
use crate::{
    Advice, Cause, EventKind, FaultError, Invalidate, Invalidation, Mirror, NoMemory, NodeId, Pfn,
    Prot, Rules, SecondStage, Small, Tuning, VirtAddr, VirtRange, Vpn,
};

fn with_devices(nodes: &[u64], rules: Rules) -> Mem<Small> {
    let mem = machine(rules, nodes, Tuning::default());
    mem.platform().devices.plug_in();
    mem
}

fn small(text: &str) -> Mem<Small> {
    with_devices(&[40, 40], rules(text))
}

/// A space whose page 1 a device follows for writing.
fn followed_page(mem: &Mem<Small>) -> Space<Small> {
    let space = space(mem);
    map(&space, 1, 2, Prot::READ_WRITE);
    follow(&space, 1, Some(7)).unwrap();
    assert_eq!(load(&space, 1), Ok(7), "the device wrote the process's page");
    assert_eq!(followed(&space).len(), 1);
    space
}

/// What the device has filed whenever the manager reports something during `change`.
fn seen_during(space: Space<Small>, change: impl FnOnce(&Space<Small>)) -> Vec<usize> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (mem, space) = (space.memory().clone(), Arc::new(space));
    let (watched, log) = (space.clone(), seen.clone());
    mem.platform().interrupt(
        move |event| {
            if !matches!(event, EventKind::NumaLook(_) | EventKind::ForkCheck(_)) {
                log.lock().unwrap().push(followed(&watched).len());
            }
        },
        || change(&space),
    );
    let seen = seen.lock().unwrap();
    assert!(!seen.is_empty(), "the change reported something");
    seen.clone()
}

type Changes = [(&'static str, fn(&Space<Small>)); 6];

const CHANGES: Changes = [
    ("unmap", |space| space.unmap(pages(1, 1)).unwrap()),
    ("dontneed", |space| space.advise(pages(1, 1), Advice::DontNeed).unwrap()),
    ("protect", |space| space.protect(pages(1, 2), Prot::READ).unwrap()),
    ("scan", |space| assert_eq!(space.numa_scan(pages(1, 1)), 1)),
    ("migrate", |space| assert_eq!(space.migrate(pages(1, 1), NodeId(1)).moved, 1)),
    ("fork", |space| drop(space.fork().unwrap())),
];

#[test]
fn inv_mirror_1_nothing_is_followed_while_it_changes() {
    for (name, change) in CHANGES {
        let mem = small("latest");
        let space = followed_page(&mem);
        let seen = seen_during(space, change);
        assert_eq!(seen.iter().sum::<usize>(), 0, "{name}: {seen:?}");
        assert_eq!(mem.platform().devices.under_way(), 0, "{name}");
    }
}

#[test]
fn told_afterwards_a_device_follows_what_is_gone() {
    for (name, change) in CHANGES {
        let space = followed_page(&small("latest,notify=afterwards"));
        let seen = seen_during(space, change);
        assert!(seen[0] == 1, "{name}: the control shows that the test can fail: {seen:?}");
    }
}

#[test]
fn a_copy_takes_the_old_page_from_the_device() {
    let mem = small("latest");
    let parent = followed_page(&mem);
    let child = parent.fork().unwrap();
    assert_eq!(follow(&parent, 1, None), Ok(7), "read-only until somebody writes");
    let [(_, shared, false)] = followed(&parent)[..] else { panic!("one page, read-only") };
    store(&parent, 1, 8).unwrap();
    assert_eq!(followed(&parent), [], "the copy's notifier took it");
    assert_eq!(follow(&parent, 1, None), Ok(8));
    assert_eq!(load(&child, 1), Ok(7));
    let [(_, copied, _)] = followed(&parent)[..] else { panic!("one page") };
    assert_ne!(shared, copied);
}

#[test]
fn a_device_has_the_rights_of_the_process() {
    let space = followed_page(&small("latest"));
    let at = VirtAddr::of_page(1);
    assert_eq!(follow(&space, 3, None), Err(FaultError::NotMapped(VirtAddr::of_page(3))));
    space.protect(pages(1, 1), Prot::READ).unwrap();
    assert_eq!(follow(&space, 1, Some(9)), Err(FaultError::Denied(at)));
    assert_eq!(follow(&space, 1, None), Ok(7));
}

#[test]
fn a_translation_found_before_a_change_is_not_set_after_it() {
    let mem = small("latest");
    let space = followed_page(&mem);
    let mirror = Mirror::new(space.id(), Slots::default());
    let (at, one) = (VirtAddr::of_page(1), pages(1, 1));
    let what = Invalidation { space: space.id(), range: one, kind: Invalidate::Clear };
    let (since, entry) = (mirror.quiet(), space.walk(at));
    mirror.invalidate_start(what);
    assert_eq!(mirror.set(since, at.page(), entry), Ok(super::Set::Stale), "under way");
    mirror.invalidate_end(what);
    assert_eq!(mirror.set(since, at.page(), entry), Ok(super::Set::Stale), "over");
    assert_eq!(mirror.set(mirror.quiet(), at.page(), entry), Ok(super::Set::Done));
    let other = Invalidation { space: crate::SpaceId(999), ..what };
    mirror.invalidate_start(other);
    assert_eq!(mirror.with(|slots| slots.0.len()), 1, "another space's change");
}

/// A table with room for one translation.
#[derive(Default)]
struct Slots(Vec<(Vpn, Pfn)>);

impl SecondStage for Slots {
    fn set(&mut self, page: Vpn, frame: Pfn, _writable: bool) -> Result<(), NoMemory> {
        if self.0.is_empty() {
            self.0.push((page, frame));
            return Ok(());
        }
        Err(NoMemory)
    }

    fn clear(&mut self, range: VirtRange) {
        self.0.retain(|(page, _)| !range.contains(page.start()));
    }
}

#[test]
fn a_full_table_is_an_error() {
    let space = followed_page(&small("latest"));
    let mirror = Mirror::new(space.id(), Slots::default());
    assert_eq!(mirror.establish(&space, VirtAddr::of_page(1), Cause::Load), Ok(()));
    let second = mirror.establish(&space, VirtAddr::of_page(2), Cause::Load);
    assert_eq!(second, Err(FaultError::NoMemory));
    assert_eq!(mirror.with(|slots| slots.0.len()), 1);
}

#[test]
fn inv_notify_2_a_fork_that_fails_ends_its_change() {
    let mem = with_devices(&[10], Rules::default());
    let parent = followed_page(&mem);
    let mut held = Vec::new();
    while let Ok(frame) = mem.frames().take(crate::Placement::Prefer(NodeId(0))) {
        held.push(frame);
    }
    assert!(parent.fork().is_err());
    assert_eq!(mem.platform().devices.under_way(), 0);
    assert_eq!(follow(&parent, 1, Some(8)), Ok(8));
}
