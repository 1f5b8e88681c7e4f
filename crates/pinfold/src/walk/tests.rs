use std::sync::Arc;
use std::vec::Vec;

use crate::testing::{
    Audit, Hardware, Marks, hardware_entry, load, machine, machine_of, map, pages, space, spans,
    store,
};
use crate::{
    Aarch64, AddressSpace, Cause, EventKind, Format, FrameSetup, Limits, PAGE_SIZE, Pfn, Place,
    Prot, Pte, Reach, Rules, Sharing, Sv39, Tuning, VirtAddr, Vpn, X86_64,
};

const CAUSES: [Cause; 3] = [Cause::Load, Cause::Store, Cause::Fetch];

#[test]
fn the_walk_finds_what_the_hardware_finds() {
    let mem = machine::<X86_64>(Rules::default(), &[64], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 3, Prot::READ_WRITE);
    let walk = |page| space.walk(VirtAddr::of_page(page));
    assert_eq!(walk(16), Pte::NONE, "mapped, not touched: there is not even a table");
    store(&space, 16, 1).unwrap();
    load(&space, 17).unwrap();
    for page in [16, 17, 18, 99] {
        let raw = hardware_entry(&space, page)
            .map_or(0, |entry| entry.load(std::sync::atomic::Ordering::Relaxed));
        assert_eq!(walk(page).bits(), raw, "page {page}");
        assert_eq!(walk(page), space.entry(VirtAddr::of_page(page)));
    }
    let inside = VirtAddr(16 * PAGE_SIZE + 1234);
    assert_eq!(space.walk(inside), walk(16), "any address of the page will do");
    space.unmap(pages(16, 3)).unwrap();
    assert_eq!(walk(16), Pte::NONE);
    Audit::of(&mem).space(&space).check();
}

/// INV-WALK-3: what a walk would find at such an address is the kernel's, or a lower page's.
#[test]
fn there_is_nothing_past_the_limit() {
    let mem = machine::<X86_64>(Rules::default(), &[64], Tuning::default());
    let limits = Limits { end_page: Vpn(17), ..Limits::of_format::<X86_64>() };
    let space = AddressSpace::new(&mem, limits).unwrap();
    let at = Place::At(VirtAddr::of_page(16));
    space.map(at, 1, Prot::READ_WRITE, Sharing::Private).unwrap();
    store(&space, 16, 1).unwrap();
    // In the manager's own tables, as if a kernel had linked it.
    let beyond = hardware_entry(&space, 17).unwrap();
    let foreign = Pte::<X86_64>::mapping(Pfn(3), Reach::Data { exec: true });
    beyond.store(foreign.bits(), std::sync::atomic::Ordering::Relaxed);
    let wraps = X86_64::PAGES + 16;
    for page in [17, X86_64::USER_PAGES, wraps, u64::MAX / PAGE_SIZE] {
        let at = VirtAddr(page.wrapping_mul(PAGE_SIZE));
        assert_eq!(space.walk(at), Pte::NONE, "{at}");
    }
    assert_eq!(space.walk(VirtAddr(u64::MAX)), Pte::NONE);
    assert!(space.walk(VirtAddr::of_page(16)).is_writable());
    beyond.store(0, std::sync::atomic::Ordering::Relaxed);
}

/// Fork has the lock of the address space for writing and those of two page tables: whoever waited
/// for one of them here would wait for ever.
#[test]
fn the_walk_waits_for_no_lock() {
    let mem = machine::<X86_64>(Rules::default(), &[64], Tuning::default());
    let space = Arc::new(space(&mem));
    map(&space, 16, 1, Prot::READ_WRITE);
    let frame = store(&space, 16, 1).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let debugger = space.clone();
    let child = mem.platform().interrupt(
        move |event| {
            if matches!(event, EventKind::ForkCheck(_)) {
                sender.send(debugger.walk(VirtAddr::of_page(16))).unwrap();
            }
        },
        || space.fork().unwrap(),
    );
    let seen: Vec<_> = receiver.try_iter().map(Pte::pfn).collect();
    assert_eq!(seen, [frame]);
    Audit::of(&mem).space(&space).space(&child).check();
}

#[test]
fn a_walk_counts_and_marks_nothing() {
    let mem = machine::<X86_64>(Rules::default(), &[64], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 1, Prot::READ_WRITE);
    let frame = store(&space, 16, 1).unwrap();
    let entry = hardware_entry(&space, 16).unwrap();
    let old = Pte::<X86_64>::from_bits(entry.load(std::sync::atomic::Ordering::Relaxed)).old();
    entry.store(old.bits(), std::sync::atomic::Ordering::Relaxed);
    let counts = crate::lab::counts(mem.frames(), frame);
    let (seen, events) = mem.platform().record(|| space.walk(VirtAddr::of_page(16)));
    assert_eq!((seen, events), (old, Vec::new()));
    assert_eq!(crate::lab::counts(mem.frames(), frame), counts);
}

/// Every mapped entry that the manager makes, by the hardware's own reading of its bits.
fn allowed_as_by_the_hardware<F: Hardware>() {
    let reaches = [Reach::None, Reach::Data { exec: false }, Reach::Data { exec: true }];
    let (mut passed, mut refused) = (0, 0);
    for (reach, marks) in reaches.into_iter().flat_map(|reach| (0..8).map(move |m| (reach, m))) {
        let has = |bit: u32| marks >> bit & 1 != 0;
        let mut pte = Pte::<F>::mapping(Pfn(5), reach);
        pte = if has(0) { pte.young() } else { pte.old() };
        pte = if has(1) { pte.dirty() } else { pte.clean() };
        pte = if has(2) { pte.writable() } else { pte.read_only() };
        for cause in CAUSES {
            let passes = (F::MMU.page)(pte.bits(), cause, Marks::Manager).is_some();
            assert_eq!(cause.is_allowed_by(pte), passes, "{cause:?} through {pte}");
            if passes { passed += 1 } else { refused += 1 }
        }
    }
    assert!(passed > 10 && refused > 10, "{passed} and {refused}");
    assert!(CAUSES.iter().all(|cause| !cause.is_allowed_by(Pte::<F>::NONE)));
}

#[test]
fn an_access_passes_where_it_passes_the_hardware() {
    allowed_as_by_the_hardware::<X86_64>();
    allowed_as_by_the_hardware::<Aarch64>();
    allowed_as_by_the_hardware::<Sv39>();
}

fn faults_until_allowed<F: Hardware>() {
    let spans = spans(&[64]);
    let setup = FrameSetup::new(&spans);
    let mem = machine_of::<F>(Marks::Manager, setup, Rules::default(), Tuning::default());
    let space = space(&mem);
    let all = Prot::READ_WRITE.union(Prot::EXEC);
    for (cause, first) in CAUSES.into_iter().zip([16, 20, 24]) {
        map(&space, first, 2, all);
        let mut faults = 0;
        for page in [first, first + 1] {
            let at = VirtAddr::of_page(page);
            while !cause.is_allowed_by(space.walk(at)) {
                space.fault(at, cause).unwrap();
                faults += 1;
                assert!(faults <= 4, "{cause:?} makes progress");
            }
        }
        let child = space.fork().unwrap();
        let at = VirtAddr::of_page(first);
        while !cause.is_allowed_by(child.walk(at)) {
            child.fault(at, cause).unwrap();
            faults += 1;
            assert!(faults <= 8, "{cause:?} makes progress in the child");
        }
    }
}

#[test]
fn a_fault_leads_to_an_entry_that_allows_the_access() {
    faults_until_allowed::<X86_64>();
    faults_until_allowed::<Aarch64>();
    faults_until_allowed::<Sv39>();
}
