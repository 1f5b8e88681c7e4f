//! A small emulator over the public interface: CPUs with translation caches that the lock-free walk
//! fills, programs that lie in the memory that they run in, and a debugger.

mod cpu;
mod machine;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use cpu::Instruction::{self, Add, Halt, Load, Loop, Set, Store, Sum};
use cpu::{Cpu, Trap};
use machine::{Process, machine, process};
use pinfold::pin::{Ask, Path};
use pinfold::{
    Aarch64, Access, Advice, Cause, FaultError, Format, NodeId, Place, Prot, Pte, Sharing, Sv39,
    Term, VirtAddr, VirtRange, X86_64,
};

/// Where the memory of a program begins.
const DATA: VirtAddr = VirtAddr(0x10_0000);
/// Where the program lies.
const CODE: VirtAddr = VirtAddr(0x20_0000);
const PAGES: u64 = 4;

/// Maps memory for data and a program, and writes the program there as a loader does: by pins.
fn load<F: Format>(process: &Process<F>, program: &[Instruction]) -> VirtRange {
    let all = Prot::READ_WRITE.union(Prot::EXEC);
    let code = process.map(Place::At(CODE), 1, all, Sharing::Private).expect("a free place");
    let mut frames = [pinfold::Pfn(0)];
    let bytes = 8 * program.len() as u64;
    let pins = process.pin_bytes(code.start(), bytes, Access::Write, Term::Short, &mut frames);
    for (index, instruction) in (0..).zip(program) {
        let at = code.at(8 * index).expect("a program of one page");
        let word = process.memory().platform().word(frames[0], at);
        word.store(instruction.encode(), Ordering::Relaxed);
    }
    pins.expect("mapped just now").unpin_dirty();
    process.protect(code, "r-x".parse().expect("a protection")).expect("mapped");
    process.map(Place::At(DATA), PAGES, Prot::READ_WRITE, Sharing::Private).expect("a free place")
}

/// What a debugger reads without waiting for anybody: the entry, then a reference on the page.
fn peek<F: Format>(process: &Process<F>, at: VirtAddr) -> Option<u64> {
    if !process.walk(at).is_present() {
        return None;
    }
    let page = VirtRange::covering(at, 8).ok()?;
    let ask = Ask::new(Access::Read, Term::Short).path(Path::FastOnly);
    let refs = process.get_with(page, ask).ok()?;
    let word = process.memory().platform().word(*refs.pages().first()?, at);
    Some(word.load(Ordering::Relaxed))
}

/// Writes 1 to 8 into every 512th word from the start of the data on, and their sum behind.
const FILL: [Instruction; 12] = [
    Set(1, DATA.0 as i32),
    Set(2, 8),
    Set(3, 0),
    // The loop.
    Store(2, 1, 0),
    Load(0, 1, 0),
    Sum(3, 0),
    Add(1, 2048),
    Add(2, -1),
    Loop(2, -5),
    Store(3, 1, -8),
    Halt,
    Halt,
];

fn runs_a_program<F: Format>() {
    let memory = machine::<F>(1, 64);
    let free = memory.frames().total_free();
    let process = process(&memory);
    let data = load(&process, &FILL);
    let mut cpu = Cpu::at(0, CODE);
    cpu.run(&process).expect("a program without faults");
    assert_eq!(cpu.registers[3], 36);
    for (index, value) in (0..8).zip((1..=8).rev()) {
        assert_eq!(peek(&process, data.at(2048 * index).expect("inside")), Some(value));
    }
    assert_eq!(peek(&process, data.at(data.bytes() - 8).expect("inside")), Some(36));
    let machine = memory.platform();
    assert!(machine.cached(0) > 0);
    process.unmap(data).expect("mapped");
    assert_eq!((process.walk(data.start()), peek(&process, data.start())), (Pte::NONE, None));
    cpu.next = CODE;
    let refused = cpu.run(&process);
    assert_eq!(refused, Err(Trap::Fault(FaultError::NotMapped(DATA))), "no stale translation");
    drop(process);
    assert_eq!((machine.cached(0), memory.frames().total_free()), (0, free));
    assert_eq!(machine.bugs(), []);
}

#[test]
fn a_program_runs_on_every_format() {
    runs_a_program::<X86_64>();
    runs_a_program::<Aarch64>();
    runs_a_program::<Sv39>();
}

#[test]
fn a_program_that_does_what_it_must_not_is_trapped() {
    let memory = machine::<X86_64>(1, 64);
    let process = process(&memory);
    let last = VirtAddr(u64::MAX).align_down();
    let code = CODE.0 as i32;
    let programs: [(&[Instruction], Trap); 5] = [
        (&[Set(1, code), Store(0, 1, 8)], Trap::Fault(FaultError::Denied(VirtAddr(CODE.0 + 8)))),
        (&[Set(1, 16), Load(0, 1, -8)], Trap::Fault(FaultError::NotMapped(VirtAddr(8)))),
        (&[Set(1, -1), Load(0, 1, 8)], Trap::NoAddress),
        (&[Set(1, -4096), Load(0, 1, 0)], Trap::Fault(FaultError::NotMapped(last))),
        (&[Set(1, 1)], Trap::Illegal(VirtAddr(CODE.0 + 8))),
    ];
    for (program, trap) in programs {
        let data = load(&process, program);
        assert_eq!(Cpu::at(0, CODE).run(&process), Err(trap), "{program:?}");
        let code = VirtRange::covering(CODE, 1).expect("a page");
        for range in [data, code] {
            process.unmap(range).expect("mapped");
        }
    }
    // The data may not be executed.
    load(&process, &[Halt]);
    assert_eq!(Cpu::at(0, DATA).run(&process), Err(Trap::Fault(FaultError::Denied(DATA))));
}

/// The debugger looks while a lock is held that it would wait for: at every flush of operations
/// that hold the lock of the address space, for writing in part.
#[test]
fn a_debugger_looks_in_the_middle_of_every_operation() {
    let memory = machine::<X86_64>(1, 128);
    let process = Arc::new(process(&memory));
    let data = load(&process, &FILL);
    type Operation = fn(&Process<X86_64>, VirtRange);
    let operations: [(&str, Operation); 6] = [
        ("fork", |process, _| drop(process.fork().expect("frames"))),
        ("scan", |process, data| assert!(process.numa_scan(data) > 0)),
        ("migrate", |process, data| {
            process.migrate(data, NodeId(1));
        }),
        ("protect", |process, data| process.protect(data, Prot::READ).expect("mapped")),
        ("drop", |process, data| process.advise(data, Advice::DontNeed).expect("mapped")),
        ("unmap", |process, data| process.unmap(data).expect("mapped")),
    ];
    for (name, operation) in operations {
        if name != "drop" && name != "unmap" {
            process.protect(data, Prot::READ_WRITE).expect("mapped");
            Cpu::at(0, CODE).run(&process).expect("a program without faults");
        }
        let looks = Arc::new(Mutex::new(Vec::new()));
        let (debugger, seen) = (process.clone(), looks.clone());
        let look = move || {
            let entries = data.iter().map(|page| debugger.walk(page.start()));
            seen.lock().expect("no look panics").extend(entries);
        };
        memory.platform().looked_at(look, || operation(&process, data));
        let looks = looks.lock().expect("no look panics");
        assert!(looks.len() >= PAGES as usize || name == "drop", "{name} flushes");
        let known = looks.iter().filter(|entry| entry.is_mapped());
        known.for_each(|entry| assert!(memory.frames().contains(entry.pfn()), "{name}: {entry}"));
    }
}

/// Two CPUs of one process, while the kernel forks, scans, migrates and unmaps beside them and a
/// debugger looks on: no store is lost, and nobody waits for ever.
#[test]
fn emulated_cpus_run_beside_the_kernel() {
    const COUNT: i32 = 2_000;
    /// Counts the second register up to [`COUNT`] in memory, at the place that the first one names.
    const COUNTER: [Instruction; 7] = [
        Set(2, COUNT),
        // The loop.
        Load(0, 1, 0),
        Add(0, 1),
        Store(0, 1, 0),
        Add(2, -1),
        Loop(2, -4),
        Halt,
    ];
    let memory = machine::<X86_64>(2, 256);
    let free = memory.frames().total_free();
    let process = process(&memory);
    let data = load(&process, &COUNTER);
    // Beside the data, in tables of its own.
    let far = Place::At(VirtAddr(1 << 40));
    let (running, start) = (AtomicBool::new(true), Barrier::new(4));
    let counters = [0, 1].map(|cpu| data.at(8 * cpu).expect("inside"));
    thread::scope(|scope| {
        let cpus = [0, 1].map(|number| {
            let (process, start, at) = (&process, &start, counters[number]);
            scope.spawn(move || {
                let mut cpu = Cpu::at(number, CODE);
                cpu.registers[1] = at.into();
                start.wait();
                cpu.run(process)
            })
        });
        let debugger = scope.spawn(|| {
            start.wait();
            let mut last = 0;
            while running.load(Ordering::Acquire) {
                process.walk(VirtAddr(1 << 40));
                if let Some(now) = peek(&process, counters[0]) {
                    assert!(last <= now && now <= COUNT as u64, "{last}, then {now}");
                    last = now;
                }
            }
        });
        let kernel = scope.spawn(|| {
            start.wait();
            for round in 1_u64.. {
                let child = process.fork().expect("frames");
                process.numa_scan(data);
                process.migrate(data, NodeId((round % 2) as u8));
                let beside = process.map(far, 1, Prot::READ_WRITE, Sharing::Private);
                let beside = beside.expect("a free place");
                process.fault(beside.start(), Cause::Store).expect("mapped");
                process.unmap(beside).expect("mapped");
                let before = peek(&child, counters[0]);
                assert!(before.is_none_or(|value| value <= COUNT as u64));
                if !running.load(Ordering::Acquire) {
                    break;
                }
            }
        });
        let ended = cpus.map(thread::ScopedJoinHandle::join);
        running.store(false, Ordering::Release);
        debugger.join().expect("the debugger does not panic");
        kernel.join().expect("the kernel does not panic");
        for cpu in ended {
            assert_eq!(cpu.expect("no CPU panics"), Ok(()));
        }
    });
    for at in counters {
        // The last scan may have come after the last store.
        process.fault(at, Cause::Load).expect("mapped");
        assert_eq!(peek(&process, at), Some(COUNT as u64));
    }
    drop(process);
    assert_eq!(memory.frames().total_free(), free);
    assert_eq!(memory.platform().bugs(), []);
}
