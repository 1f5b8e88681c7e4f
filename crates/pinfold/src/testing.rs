//! Test support: a machine that refuses bugs and keeps its events, a software MMU, and the oracle
//! that adds up every count.
//!
//! It uses the public interface only, so that the property tests in `tests/` include the same file.

#[path = "testing/audit.rs"]
mod audit;
#[path = "testing/device.rs"]
mod device;
#[path = "testing/disk.rs"]
mod disk;
#[path = "testing/mmu.rs"]
mod mmu;
#[path = "testing/outside.rs"]
mod outside;

use std::boxed::Box;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::vec::Vec;

use pinfold::mock::Host;
use pinfold::platform::{FlushScope, Park};
use pinfold::sync::{AtomicU64, Shared};
use pinfold::{
    AddressSpace, Bug, Cause, Event, EventKind, FaultError, Format, FrameSetup, Invalidation,
    Limits, Memory, NodeId, NodeSpan, PAGE_SIZE, Pfn, Place, Platform, Prot, Pte, RetiredTables,
    Rules, Sharing, SpaceId, Tuning, VirtAddr, VirtRange, Words,
};

pub(crate) use audit::Audit;
#[allow(unused_imports, reason = "not every test has devices")]
pub(crate) use device::{follow, followed};
#[allow(unused_imports, reason = "not every test has files")]
pub(crate) use disk::{Disk, map_file};
pub(crate) use mmu::{Hardware, Marks, Mmu};
#[allow(unused_imports, reason = "not every test has frames of others")]
pub(crate) use outside::Outside;

use device::Devices;

/// The mock host, which records what is reported to it.
pub(crate) struct Rig<F: Format> {
    pub(crate) host: Host<F>,
    mmu: Mmu,
    marks: Marks,
    /// What all CPUs have cached; `None` if they cache nothing.
    tlb: Mutex<Option<Tlb>>,
    recording: AtomicBool,
    events: Mutex<Vec<EventKind>>,
    hook: Mutex<Option<Hook>>,
    after_walk: Mutex<Option<Once>>,
    before_alloc: Mutex<Option<Once>>,
    before_flush: Mutex<Option<Once>>,
    bugs: Mutex<Vec<Bug>>,
    /// Tables that wait for the end of a grace period, if the platform takes them.
    deferred: Mutex<Option<Vec<RetiredTables>>>,
    /// Devices that follow the address spaces.
    pub(crate) devices: Devices,
    /// Entries of tables that the manager has looked up so far.
    looks: AtomicU32,
    /// How often sleepers were woken so far, if there were any.
    unparks: AtomicU32,
    alive: Arc<()>,
}

/// Translations that CPUs have cached: the entry of each page as the walk left it, and how many
/// levels above the last it was, by the address space and the page's number.
type Tlb = BTreeMap<(SpaceId, u64), (u64, u32)>;

/// Called once, at a moment between two steps of an operation.
type Once = Box<dyn FnOnce() + Send>;

/// Called with every event while it is set, in the middle of the operation that reports it.
type Hook = Box<dyn FnMut(EventKind) + Send>;

impl<F: Format> Rig<F> {
    /// A value that is dropped with the machine.
    pub(crate) fn life(&self) -> Arc<()> {
        self.alive.clone()
    }

    /// Records the events while `run` runs.
    pub(crate) fn record<T>(&self, run: impl FnOnce() -> T) -> (T, Vec<EventKind>) {
        self.recording.store(true, Ordering::Relaxed);
        let result = run();
        self.recording.store(false, Ordering::Relaxed);
        (result, core::mem::take(&mut self.events.lock().unwrap()))
    }

    /// Lets `hook` see every event while `run` runs. Events that it causes itself are not shown to
    /// it.
    pub(crate) fn interrupt<T>(
        &self,
        hook: impl FnMut(EventKind) + Send + 'static,
        run: impl FnOnce() -> T,
    ) -> T {
        *self.hook.lock().unwrap() = Some(Box::new(hook));
        let result = run();
        *self.hook.lock().unwrap() = None;
        result
    }

    /// Runs `run` as soon as the next walk section has ended.
    pub(crate) fn after_walk(&self, run: impl FnOnce() + Send + 'static) {
        *self.after_walk.lock().unwrap() = Some(Box::new(run));
    }

    /// Runs `run` when the next page near the calling CPU is about to be taken.
    pub(crate) fn before_alloc(&self, run: impl FnOnce() + Send + 'static) {
        *self.before_alloc.lock().unwrap() = Some(Box::new(run));
    }

    /// Runs `run` when the next flush of all CPUs is about to begin.
    #[allow(dead_code, reason = "only the crate's own tests need it")]
    pub(crate) fn before_flush(&self, run: impl FnOnce() + Send + 'static) {
        *self.before_flush.lock().unwrap() = Some(Box::new(run));
    }

    /// Lets the CPUs cache nothing: for tests whose threads use translations that another thread
    /// has already flushed, which no CPU does.
    #[allow(dead_code, reason = "only tests outside the crate need it")]
    pub(crate) fn cache_nothing(&self) {
        *self.tlb.lock().unwrap() = None;
    }

    /// Makes the CPUs forget the translations of pages of `space`.
    fn forget(&self, space: SpaceId, pages: impl Fn(u64) -> bool) {
        if let Some(tlb) = &mut *self.tlb.lock().unwrap() {
            tlb.retain(|(of, page), _| *of != space || !pages(*page));
        }
    }

    /// Takes page tables from now on, to be freed when a test asks for them.
    #[allow(dead_code, reason = "only the crate's own tests need it")]
    pub(crate) fn take_tables(&self) {
        self.deferred.lock().unwrap().get_or_insert_default();
    }

    /// The tables that were taken.
    #[allow(dead_code, reason = "only the crate's own tests need it")]
    pub(crate) fn taken_tables(&self) -> Vec<RetiredTables> {
        self.deferred.lock().unwrap().as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// How many entries of tables the manager looked up while `run` ran.
    #[allow(dead_code, reason = "only the crate's own tests need it")]
    pub(crate) fn looks(&self, run: impl FnOnce()) -> u32 {
        let before = self.looks.load(Ordering::Relaxed);
        run();
        self.looks.load(Ordering::Relaxed) - before
    }

    /// How often sleepers were woken while `run` ran: they look by themselves here, which no
    /// platform promises.
    #[allow(dead_code, reason = "only the crate's own tests need it")]
    pub(crate) fn wakes(&self, run: impl FnOnce()) -> u32 {
        let before = self.unparks.load(Ordering::Relaxed);
        run();
        self.unparks.load(Ordering::Relaxed) - before
    }

    pub(crate) fn bugs(&self) -> Vec<Bug> {
        self.bugs.lock().unwrap().clone()
    }

    /// The bugs until now, which the test has looked for.
    pub(crate) fn take_bugs(&self) -> Vec<Bug> {
        core::mem::take(&mut self.bugs.lock().unwrap())
    }
}

impl<F: Format> Park for Rig<F> {
    fn park(&self, word: &AtomicU32, seen: u32) {
        // Tests have more threads than the machine has CPUs.
        while word.load(Ordering::Acquire) == seen {
            std::thread::yield_now();
        }
    }

    fn unpark(&self, _word: &AtomicU32) {
        self.unparks.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: the host does everything that the contract asks for.
unsafe impl<F: Format> Platform for Rig<F> {
    type Format = F;

    fn table(&self, frame: Pfn) -> NonNull<AtomicU64> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.host.table(frame)
    }

    fn zero_frame(&self, frame: Pfn) {
        self.host.zero_frame(frame);
    }

    fn is_zero_frame(&self, frame: Pfn) -> bool {
        self.host.is_zero_frame(frame)
    }

    fn copy_frame(&self, from: Pfn, to: Pfn) {
        self.host.copy_frame(from, to);
    }

    fn node(&self) -> NodeId {
        let run = self.before_alloc.lock().unwrap().take();
        if let Some(run) = run {
            run();
        }
        self.host.node()
    }

    fn task(&self) -> u32 {
        self.host.task()
    }

    /// Each thread is a CPU.
    fn cpu(&self) -> usize {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        std::thread_local! {
            static CPU: usize = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        CPU.with(|cpu| *cpu)
    }

    fn cpus(&self) -> usize {
        2
    }

    fn flush(&self, space: SpaceId, scope: FlushScope) {
        let run = self.before_flush.lock().unwrap().take();
        if let Some(run) = run {
            run();
        }
        self.host.flush(space, scope);
        self.forget(space, |page| match scope {
            FlushScope::All => true,
            FlushScope::Range(range) => range.contains(VirtAddr::of_page(page)),
        });
    }

    fn flush_local(&self, space: SpaceId, page: VirtRange) {
        self.host.flush_local(space, page);
        self.forget(space, |at| page.contains(VirtAddr::of_page(at)));
    }

    fn prepare_root(&self, space: SpaceId, _root: Pfn) {
        self.devices.attach(space);
    }

    fn retire_root(&self, space: SpaceId, _root: Pfn) {
        self.devices.detach(space);
    }

    fn invalidate_start(&self, what: Invalidation) {
        self.devices.invalidate_start(what);
    }

    fn invalidate_end(&self, what: Invalidation) {
        self.devices.invalidate_end(what);
    }

    fn walk_begin(&self) {
        self.host.walk_begin();
    }

    fn walk_end(&self) {
        self.host.walk_end();
        let run = self.after_walk.lock().unwrap().take();
        if let Some(run) = run {
            run();
        }
    }

    fn wait_for_walkers(&self) {
        self.host.wait_for_walkers();
    }

    fn defer(&self, tables: RetiredTables) -> Result<(), RetiredTables> {
        match &mut *self.deferred.lock().unwrap() {
            Some(taken) => {
                taken.push(tables);
                Ok(())
            }
            None => Err(tables),
        }
    }

    fn event(&self, event: Event) {
        if self.recording.load(Ordering::Relaxed) {
            self.events.lock().unwrap().push(event.kind);
        }
        let hook = self.hook.lock().unwrap().take();
        if let Some(mut hook) = hook {
            hook(event.kind);
            *self.hook.lock().unwrap() = Some(hook);
        }
    }

    fn bug(&self, bug: Bug) {
        self.bugs.lock().unwrap().push(bug);
    }
}

impl<F: Format> Words for Rig<F> {
    fn words(&self) -> usize {
        self.host.words()
    }

    fn word(&self, frame: Pfn, at: usize) -> u64 {
        Words::word(&self.host, frame, at)
    }
}

pub(crate) type Mem<F> = Shared<Memory<Rig<F>>>;
pub(crate) type Space<F> = AddressSpace<Rig<F>>;

/// A machine whose node `n` has `nodes[n]` frames, numbered contiguously.
pub(crate) fn machine<F: Hardware>(rules: Rules, nodes: &[u64], tuning: Tuning) -> Mem<F> {
    machine_of(Marks::Hardware, FrameSetup::new(&spans(nodes)), rules, tuning)
}

/// The spans of such a machine.
pub(crate) fn spans(nodes: &[u64]) -> Vec<NodeSpan> {
    let mut first = 0;
    (0..)
        .zip(nodes)
        .map(|(node, frames)| {
            let span = NodeSpan { node: NodeId(node), first: Pfn(first), frames: *frames };
            first += frames;
            span
        })
        .collect()
}

/// A machine of one node that has so many frames, and behind them some that are set apart for what
/// can move; and a space with 32 pages from number 16 on.
pub(crate) fn set_apart<F: Hardware>(
    (fixed, movable): (u64, u64),
    text: &str,
    tuning: Tuning,
) -> (Mem<F>, Space<F>) {
    let span = |first, frames| NodeSpan { node: NodeId(0), first: Pfn(first), frames };
    let (fixed, movable) = ([span(0, fixed)], [span(fixed, movable)]);
    let setup = FrameSetup::new(&fixed).movable(&movable);
    let mem = machine_of(Marks::Hardware, setup, rules(text), tuning);
    let space = space(&mem);
    map(&space, 16, 32, Prot::READ_WRITE);
    (mem, space)
}

/// A machine with these frames; `marks` says who sets accessed and dirty.
pub(crate) fn machine_of<F: Hardware>(
    marks: Marks,
    setup: FrameSetup<'_>,
    rules: Rules,
    tuning: Tuning,
) -> Mem<F> {
    let frames = setup.build().unwrap();
    let first = frames.all().next().unwrap_or(Pfn(0));
    let rig = Rig {
        host: Host::starting_at(first, frames.all().count()),
        mmu: F::MMU,
        marks,
        tlb: Mutex::new(Some(Tlb::new())),
        recording: AtomicBool::new(false),
        events: Mutex::new(Vec::new()),
        hook: Mutex::new(None),
        after_walk: Mutex::new(None),
        before_alloc: Mutex::new(None),
        before_flush: Mutex::new(None),
        bugs: Mutex::new(Vec::new()),
        deferred: Mutex::new(None),
        devices: Devices::default(),
        looks: AtomicU32::new(0),
        unparks: AtomicU32::new(0),
        alive: Arc::new(()),
    };
    // SAFETY: the host was made for these frames, and nobody else uses it.
    unsafe { Memory::over(rig, frames, rules, tuning) }.unwrap()
}

/// A rule set by its text.
pub(crate) fn rules(text: &str) -> Rules {
    Rules::parse(text).unwrap()
}

/// An empty address space.
pub(crate) fn space<F: Format>(mem: &Mem<F>) -> Space<F> {
    AddressSpace::new(mem, Limits::of_format::<F>()).unwrap()
}

/// Maps private memory at page number `first`.
pub(crate) fn map<F: Format>(space: &Space<F>, first: u64, pages: u64, prot: Prot) -> VirtRange {
    space.map(Place::At(VirtAddr::of_page(first)), pages, prot, Sharing::Private).unwrap()
}

/// What another CPU finds in the tables for `page` when the next flush of all CPUs begins, which
/// `run` leads to.
#[allow(dead_code, reason = "only the crate's own tests need it")]
pub(crate) fn entry_at_flush<F: Format>(
    space: &Arc<Space<F>>,
    page: u64,
    run: impl FnOnce(),
) -> Pte<F> {
    let (tell, told) = std::sync::mpsc::channel();
    let other = space.clone();
    let look = move || tell.send(other.walk(VirtAddr::of_page(page))).unwrap();
    space.memory().platform().before_flush(look);
    run();
    told.try_recv().expect("there was a flush")
}

/// Maps shared memory at page number `first`.
pub(crate) fn map_shared<F: Format>(space: &Space<F>, first: u64, pages: u64) -> VirtRange {
    let place = Place::At(VirtAddr::of_page(first));
    space.map(place, pages, Prot::READ_WRITE, Sharing::Shared).unwrap()
}

/// The words of a page that loads and stores use: the first and the last, so that a half-made copy
/// is detected.
const WORDS: [usize; 2] = [0, PAGE_SIZE as usize / 8 - 1];

/// What a device that holds the frame reads.
pub(crate) fn device_read<F: Format>(mem: &Mem<F>, pfn: Pfn) -> u64 {
    word(mem.platform(), pfn)
}

fn word<F: Format>(rig: &Rig<F>, pfn: Pfn) -> u64 {
    let [first, last] = WORDS.map(|at| rig.host.word(pfn, at).load(Ordering::Relaxed));
    assert_eq!(first, last, "{pfn} was copied or cleared by halves");
    first
}

/// What a device that holds the frame writes.
pub(crate) fn device_write<F: Format>(mem: &Mem<F>, pfn: Pfn, value: u64) {
    write_word(mem.platform(), pfn, value);
}

fn write_word<F: Format>(rig: &Rig<F>, pfn: Pfn, value: u64) {
    for word in WORDS {
        rig.host.word(pfn, word).store(value, Ordering::Relaxed);
    }
}

/// The entry of `page` as the hardware finds it, if there is one: of the last level, or a huge one.
pub(crate) fn hardware_entry<F: Format>(
    space: &Space<F>,
    page: u64,
) -> Option<&std::sync::atomic::AtomicU64> {
    hardware_slot(space, page).map(|(slot, _)| slot)
}

/// The same, and how many levels above the last it is.
fn hardware_slot<F: Format>(
    space: &Space<F>,
    page: u64,
) -> Option<(&std::sync::atomic::AtomicU64, u32)> {
    let Rig { host, mmu, .. } = space.memory().platform();
    let mut table = space.root();
    for level in (0..F::LEVELS).rev() {
        let index = (page >> (level * F::INDEX_BITS)) as usize & (F::ENTRIES - 1);
        let slot = host.word(table, index);
        if level == 0 {
            return Some((slot, 0));
        }
        match (mmu.table)(slot.load(Ordering::Acquire)) {
            Some(next) => table = next,
            None if level == 1 => return Some((slot, 1)),
            None => return None,
        }
    }
    None
}

/// What a CPU makes of an entry that lies so many levels above the last, for an access to `page`:
/// the frame, and the entry as it leaves it.
fn through<F: Format>(
    mmu: Mmu,
    (bits, level): (u64, u32),
    page: u64,
    (cause, marks): (Cause, Marks),
) -> Option<(Pfn, u64)> {
    if level == 0 {
        return (mmu.page)(bits, cause, marks);
    }
    let (first, left) = (mmu.huge)(bits, cause, marks)?;
    let pages = F::ENTRIES as u64;
    assert_eq!(first.0 % pages, 0, "a huge entry of {first}");
    Some((Pfn(first.0 + page % pages), left))
}

/// One access as a CPU makes it: by its cached translation, however stale, if that allows the
/// access; otherwise walk, check, set accessed and dirty if it can, and cache. A translation that
/// does not allow the access is dropped with the fault.
pub(crate) fn translate<F: Format>(space: &Space<F>, page: u64, cause: Cause) -> Option<Pfn> {
    let Rig { mmu, marks, tlb, .. } = space.memory().platform();
    let (key, how) = ((space.id(), page), (cause, *marks));
    let cached = tlb.lock().unwrap().as_ref().and_then(|tlb| tlb.get(&key).copied());
    if let Some((bits, level)) = cached {
        match through::<F>(*mmu, (bits, level), page, how) {
            Some((pfn, left)) if left == bits => return Some(pfn),
            Some(_) => {}
            None => {
                tlb.lock().unwrap().as_mut()?.remove(&key);
                return None;
            }
        }
    }
    let (slot, level) = hardware_slot(space, page)?;
    let mut seen = slot.load(Ordering::Acquire);
    loop {
        let (pfn, left) = through::<F>(*mmu, (seen, level), page, how)?;
        match slot.compare_exchange(seen, left, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                if let Some(tlb) = &mut *tlb.lock().unwrap() {
                    tlb.insert(key, (left, level));
                }
                return Some(pfn);
            }
            Err(now) => seen = now,
        }
    }
}

/// The frame that an access at `page` reaches, with all faults on the way.
pub(crate) fn reach<F: Format>(
    space: &Space<F>,
    page: u64,
    cause: Cause,
) -> Result<Pfn, FaultError> {
    for _ in 0..8 {
        match translate(space, page, cause) {
            Some(pfn) => return Ok(pfn),
            None => space.fault(VirtAddr::of_page(page), cause).map(drop)?,
        }
    }
    panic!("page {page} faults for ever on {cause:?}");
}

pub(crate) fn store<F: Format>(space: &Space<F>, page: u64, value: u64) -> Result<Pfn, FaultError> {
    let pfn = reach(space, page, Cause::Store)?;
    device_write(space.memory(), pfn, value);
    Ok(pfn)
}

pub(crate) fn load<F: Format>(space: &Space<F>, page: u64) -> Result<u64, FaultError> {
    reach(space, page, Cause::Load).map(|pfn| device_read(space.memory(), pfn))
}

/// The range of `pages` pages from number `first`.
pub(crate) fn pages(first: u64, pages: u64) -> VirtRange {
    VirtRange::new(VirtAddr::of_page(first), pages).unwrap()
}
