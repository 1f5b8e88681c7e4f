//! Access to the memory of another process, by references or pins and as a debugger does.

use super::{Access, world};
use crate::pin::{RemoteError, Transfer};
use crate::testing::{
    Audit, Mem, Space, device_read, device_write, load, machine, map, pages, rules, space, store,
};
use crate::{FaultError, Prot, Tuning, VirtAddr, X86_64};
use std::vec::Vec;

/// T2 and facts 3.14: the page is the owner's while the other process copies, once forks know of
/// pins.
#[test]
fn facts_3_14_a_fork_meets_process_vm() {
    for (text, pins, reaches) in
        [("5.5", false, false), ("5.8", true, false), ("5.9", true, true), ("6.5", true, true)]
    {
        let (mem, space) = world(text);
        store(&space, 16, 1).unwrap();
        let transfer = space.process_vm(pages(16, 1), Access::Write).unwrap();
        assert_eq!(matches!(transfer, Transfer::Pins(_)), pins, "{text}");
        let child = space.fork().unwrap();
        store(&space, 16, 2).unwrap();
        device_write(&mem, transfer.pages()[0], 3);
        transfer.end_dirty();
        let seen = (load(&space, 16).unwrap(), load(&child, 16).unwrap());
        assert_eq!(seen, if reaches { (3, 1) } else { (2, 3) }, "{text}");
        Audit::of(&mem).space(&space).space(&child).check();
    }
}

/// What the owner may not do is refused, and what lies before it is there to be copied.
#[test]
fn facts_3_14_process_vm_respects_the_owners_rights_and_ends_where_they_do() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        for page in 16..20 {
            store(&space, page, page).unwrap();
        }
        space.protect(pages(18, 1), Prot::READ).unwrap();
        let denied = FaultError::Denied(VirtAddr::of_page(18)).into();
        let part = space.process_vm(pages(16, 4), Access::Write).unwrap();
        assert_eq!((part.pages().len(), part.shortfall()), (2, Some(denied)), "{text}");
        drop(part);
        assert_eq!(space.process_vm(pages(18, 2), Access::Write).unwrap_err(), denied, "{text}");
        let whole = space.process_vm(pages(16, 4), Access::Read).unwrap();
        let words: Vec<u64> = whole.pages().iter().map(|pfn| device_read(&mem, *pfn)).collect();
        assert_eq!((words, whole.shortfall()), ([16, 17, 18, 19].into(), None), "{text}");
        drop(whole);
        let absent = FaultError::NotMapped(VirtAddr::of_page(24)).into();
        assert_eq!(space.process_vm(pages(24, 1), Access::Read).unwrap_err(), absent, "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

fn poke(
    mem: &Mem<X86_64>,
    space: &Space<X86_64>,
    (page, count): (u64, u64),
) -> Result<(), RemoteError> {
    space.access_remote(pages(page, count), Access::Write, |page, pfn| {
        assert!(mem.frames().counts(pfn).refs() > 1, "{page:?} is held while it is copied");
        device_write(mem, pfn, 0xcc);
    })
}

#[test]
fn facts_3_14_a_debugger_overrides_rights_and_leaves_the_text_to_the_others() {
    for text in crate::rules::PRESETS {
        let (mem, parent) = world(text);
        for page in 16..20 {
            store(&parent, page, 1).unwrap();
        }
        parent.protect(pages(16, 2), Prot::READ).unwrap();
        let child = parent.fork().unwrap();
        child.protect(pages(17, 1), Prot::empty()).unwrap();
        poke(&mem, &child, (16, 4)).unwrap();
        for page in [16, 18, 19] {
            assert_eq!((load(&parent, page), load(&child, page)), (Ok(1), Ok(0xcc)), "{text}");
        }
        let mut found = Vec::new();
        let read = |_, pfn| found.push(device_read(&mem, pfn));
        child.access_remote(pages(17, 1), Access::Read, read).unwrap();
        assert_eq!((found, load(&parent, 17)), ([0xcc].into(), Ok(1)), "{text}");
        assert!(!child.entry(VirtAddr::of_page(16)).is_writable(), "{text}");
        child.unmap(pages(18, 1)).unwrap();
        let error = FaultError::NotMapped(VirtAddr::of_page(18)).into();
        assert_eq!(poke(&mem, &child, (17, 3)), Err(RemoteError { done: 1, error }), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

/// Who panics while it copies holds nothing afterwards (INV-PIN-4), nor the lock.
#[test]
fn a_copy_that_panics_lets_go() {
    let (mem, space) = world("pinfold");
    store(&space, 16, 1).unwrap();
    let copy =
        || space.access_remote(pages(16, 1), Access::Read, |_, _| panic!("as it is meant to"));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(copy));
    assert!(caught.is_err());
    space.unmap(pages(16, 8)).unwrap();
    Audit::of(&mem).space(&space).check();
}

/// A frame is missing for the copy: an ordinary error, which leaves nothing behind.
#[test]
fn a_debugger_meets_exhaustion_at_every_frame() {
    let mut worked = 0;
    for frames in 6..20 {
        let mem = machine::<X86_64>(rules("latest"), &[frames], Tuning::default());
        let space = space(&mem);
        map(&space, 16, 4, Prot::READ);
        let mut done = 0;
        let accessed = space.access_remote(pages(16, 4), Access::Write, |_, pfn| {
            device_write(&mem, pfn, 7);
            done += 1;
        });
        match accessed {
            Ok(()) => worked += 1,
            Err(stopped) => {
                let error = FaultError::OutOfFrames.into();
                assert_eq!(stopped, RemoteError { done, error }, "{frames}");
                assert_eq!(worked, 0, "{frames} frames, and fewer did");
            }
        }
        Audit::of(&mem).space(&space).check();
    }
    assert!((1..14).contains(&worked), "{worked}");
}
