//! The emulated machine: memory, and a translation cache for each CPU.
//!
//! Protocol: a CPU holds the lock of its own cache during each access, from the look-up to the last
//! word. A flush takes the lock of every CPU in turn and discards there what it is about.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use pinfold::mock::Host;
use pinfold::platform::{FlushScope, Park};
use pinfold::sync::{AtomicU64, Shared};
use pinfold::{
    AddressSpace, Bug, Cause, FaultError, Format, Limits, Memory, NodeId, NodeSpan, Pfn, Platform,
    Rules, SpaceId, Tuning, VirtAddr, VirtRange, Vpn,
};

pub(crate) type Process<F> = AddressSpace<Machine<F>>;

/// What a CPU has cached of a page: its frame, and the accesses that need no second look.
#[derive(Clone, Copy, Debug)]
struct Translation {
    frame: Pfn,
    allowed: [bool; 3],
}

const CAUSES: [Cause; 3] = [Cause::Load, Cause::Store, Cause::Fetch];

type Tlb = BTreeMap<(SpaceId, Vpn), Translation>;

/// Called by flushes, in the middle of the operation that flushes.
type Look = Box<dyn FnMut() + Send>;

pub(crate) struct Machine<F: Format> {
    host: Host<F>,
    cpus: Vec<Mutex<Tlb>>,
    /// Nobody may wait for a lock: whoever would, fails.
    hurried: AtomicBool,
    debugger: Mutex<Option<Look>>,
    bugs: Mutex<Vec<Bug>>,
}

/// A machine with two nodes of `frames` frames.
pub(crate) fn machine<F: Format>(cpus: usize, frames: u64) -> Shared<Memory<Machine<F>>> {
    let machine = Machine {
        host: Host::new(2 * frames as usize),
        cpus: (0..cpus).map(|_| Mutex::default()).collect(),
        hurried: AtomicBool::new(false),
        debugger: Mutex::default(),
        bugs: Mutex::default(),
    };
    let span =
        |node: u8| NodeSpan { node: NodeId(node), first: Pfn(u64::from(node) * frames), frames };
    // SAFETY: the machine has these frames, and nobody else uses it.
    unsafe { Memory::new(machine, &[span(0), span(1)], Rules::default(), Tuning::default()) }
        .expect("two nodes of frames")
}

pub(crate) fn process<F: Format>(memory: &Shared<Memory<Machine<F>>>) -> Process<F> {
    AddressSpace::new(memory, Limits::of_format::<F>()).expect("a root")
}

impl<F: Format> Machine<F> {
    fn tlb(&self, cpu: usize) -> MutexGuard<'_, Tlb> {
        self.cpus[cpu].lock().expect("no access panics")
    }

    /// One access of eight bytes by a CPU; `value` is stored, or the word is loaded. `None` is a
    /// fault.
    fn attempt(
        &self,
        cpu: usize,
        process: &Process<F>,
        (at, cause): (VirtAddr, Cause),
        value: u64,
    ) -> Option<u64> {
        let mut tlb = self.tlb(cpu);
        let key = (process.id(), at.page());
        let cached = tlb.get(&key).filter(|cached| cached.allowed[cause as usize]).copied();
        let translation = match cached {
            Some(translation) => translation,
            None => {
                let entry = process.walk(at);
                if !cause.is_allowed_by(entry) {
                    return None;
                }
                let allowed = CAUSES.map(|cause| cause.is_allowed_by(entry));
                *tlb.entry(key).insert_entry(Translation { frame: entry.pfn(), allowed }).get()
            }
        };
        let word = self.word(translation.frame, at);
        match cause {
            Cause::Load | Cause::Fetch => Some(word.load(Ordering::Relaxed)),
            Cause::Store => {
                word.store(value, Ordering::Relaxed);
                Some(value)
            }
        }
    }

    /// The access with the faults that it takes.
    pub(crate) fn access(
        &self,
        cpu: usize,
        process: &Process<F>,
        access: (VirtAddr, Cause),
        value: u64,
    ) -> Result<u64, FaultError> {
        loop {
            match self.attempt(cpu, process, access, value) {
                Some(value) => return Ok(value),
                None => process.fault(access.0, access.1).map(drop)?,
            }
        }
    }

    /// The word of a frame that has this place in its page.
    pub(crate) fn word(&self, frame: Pfn, at: VirtAddr) -> &std::sync::atomic::AtomicU64 {
        self.host.word(frame, at.page_offset() as usize / 8)
    }

    /// The translations that a CPU has cached.
    pub(crate) fn cached(&self, cpu: usize) -> usize {
        self.tlb(cpu).len()
    }

    /// Lets `look` look at each flush while `run` runs, during which nobody may wait.
    pub(crate) fn looked_at<T>(
        &self,
        look: impl FnMut() + Send + 'static,
        run: impl FnOnce() -> T,
    ) -> T {
        *self.debugger.lock().expect("no look panics") = Some(Box::new(look));
        self.hurried.store(true, Ordering::Relaxed);
        let result = run();
        self.hurried.store(false, Ordering::Relaxed);
        *self.debugger.lock().expect("no look panics") = None;
        result
    }

    pub(crate) fn bugs(&self) -> Vec<Bug> {
        self.bugs.lock().expect("nothing panics").clone()
    }
}

impl<F: Format> Park for Machine<F> {
    fn park(&self, word: &AtomicU32, seen: u32) {
        assert!(!self.hurried.load(Ordering::Relaxed), "somebody waits who must not");
        while word.load(Ordering::Acquire) == seen {
            std::thread::yield_now();
        }
    }

    fn unpark(&self, _: &AtomicU32) {}
}

// SAFETY: the host keeps all of the contract but for the flush. No CPU uses a translation without
// its lock, and what is looked up under it is used or cached under it: a flush that has had every
// lock has discarded all that was looked up before, and who looks up later sees what was done
// before the flush.
unsafe impl<F: Format> Platform for Machine<F> {
    type Format = F;

    fn table(&self, frame: Pfn) -> NonNull<AtomicU64> {
        self.host.table(frame)
    }

    fn zero_frame(&self, frame: Pfn) {
        self.host.zero_frame(frame);
    }

    fn copy_frame(&self, from: Pfn, to: Pfn) {
        self.host.copy_frame(from, to);
    }

    fn cpu(&self) -> usize {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static CPU: usize = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        CPU.with(|cpu| *cpu)
    }

    fn cpus(&self) -> usize {
        self.cpus.len()
    }

    fn flush(&self, space: SpaceId, scope: FlushScope) {
        if let Some(look) = &mut *self.debugger.lock().expect("no look panics") {
            look();
        }
        let concerns = |page: Vpn| match scope {
            FlushScope::All => true,
            FlushScope::Range(range) => range.contains(page.start()),
        };
        for cpu in 0..self.cpus.len() {
            self.tlb(cpu).retain(|(of, page), _| *of != space || !concerns(*page));
        }
    }

    fn flush_local(&self, space: SpaceId, page: VirtRange) {
        self.flush(space, FlushScope::Range(page));
    }

    fn walk_begin(&self) {
        self.host.walk_begin();
    }

    fn walk_end(&self) {
        self.host.walk_end();
    }

    fn wait_for_walkers(&self) {
        self.host.wait_for_walkers();
    }

    fn bug(&self, bug: Bug) {
        self.bugs.lock().expect("nothing panics").push(bug);
    }
}
