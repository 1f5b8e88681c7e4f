//! The simulated machine: frames with words in them, CPUs with translation caches, nodes.
//!
//! It is the platform under the production memory manager. Its shared state is accessed through the
//! manager's own sync types or through the explorer's hooks, so an exploration interleaves the
//! hardware as it does the code.
//!
//! Protocol:
//! - A memory instruction of a CPU runs under the lock of that CPU's cache for the space; a flush
//!   takes the lock of each CPU's cache for its space in turn. So a flush waits for an instruction
//!   in progress in that space, as an interrupt does, and an instruction never straddles a flush of
//!   its space.
//! - State that is only for explanation (the record, the set of events reached) is protected by
//!   plain mutexes that are never held across a hook.
//!
//! Invariants:
//! - INV-MACHINE-1: after a flush, no CPU holds a translation of the flushed scope that it had
//!   before.
//! - INV-MACHINE-2: a store through a clean translation first sets the dirty bit in the entry that
//!   is there now, or faults (facts 6.7).

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32 as NativeU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pinfold::platform::{FlushScope, Park, Platform};
use pinfold::rules::Switch;
use pinfold::sync::AtomicU64;
use pinfold::{
    Bug, Event, EventKind, Format, Invalidation, NodeId, Pfn, SpaceId, VirtRange, Words,
};
use pinfold_explore::hook;

use crate::about::About;
use crate::asked::Asked;
use crate::follower::Followers;
use crate::hardware::{DataWord, Hardware, STEP_STARTS, Tables};
use crate::journal::{Sight, Touch, What};
use crate::record::Record;
use crate::report::Oracle;
use crate::tlb::Tlbs;

/// The machine. One operating-system thread runs all its CPUs.
pub(crate) struct Machine {
    pub(crate) tlbs: Tlbs,
    /// Devices that follow address spaces, if the scenario has some.
    followers: Option<Followers>,
    nodes: Vec<NodeId>,
    /// The words of all frames, one frame after another: data, or the entries of a table.
    cells: Box<[AtomicU64]>,
    /// The number of words in a frame.
    stride: usize,
    /// The number of those words that are data when the frame is a page.
    words: usize,
    /// The CPU of each lane of the scenario.
    lane_cpus: Vec<usize>,
    /// The scenario's lanes in the order in which they started, which is how the explorer numbers
    /// them.
    started: Mutex<Vec<usize>>,
    /// A separate cell for each lane: reading it lets a step begin where the search puts it.
    starts: Vec<AtomicU64>,
    /// The CPU that runs what runs alone.
    alone_cpu: AtomicUsize,
    /// What happened, for oracles, coverage and traces.
    record: Mutex<Record>,
    /// The rules that this execution and others have asked for.
    asked: Arc<Asked>,
}

impl Machine {
    pub(crate) fn new(
        hardware: &Hardware,
        lane_cpus: Vec<usize>,
        (record, asked): (Record, Arc<Asked>),
    ) -> Self {
        let stride = hardware.words.max(Tables::ENTRIES);
        let machine = Self {
            tlbs: Tlbs::new(hardware.cpus.len()),
            followers: hardware.followers.then(Followers::default),
            nodes: hardware.cpus.clone(),
            cells: (0..hardware.frames * stride).map(|_| AtomicU64::new(0)).collect(),
            stride,
            words: hardware.words,
            starts: lane_cpus.iter().map(|_| AtomicU64::new(0)).collect(),
            started: Mutex::new(Vec::with_capacity(lane_cpus.len())),
            lane_cpus,
            alone_cpu: AtomicUsize::new(0),
            record: Mutex::new(record),
            asked,
        };
        for frame in 0..hardware.frames {
            machine.label_data(Pfn(frame as u64));
        }
        label_items(&machine.starts, |_| STEP_STARTS.to_owned());
        label_items(&machine.lane_cpus, |lane| format!("walk section of lane {}", lane + 1));
        machine
    }

    /// Names the words of a frame for a trace: a frame that was a table now holds data.
    pub(crate) fn label_data(&self, frame: Pfn) {
        label_items(self.frame(frame.0 as usize), move |word| DataWord { frame, word }.to_string());
    }

    fn frame(&self, frame: usize) -> &[AtomicU64] {
        &self.cells[frame * self.stride..][..self.stride]
    }

    /// What happened so far. Never held across a hook.
    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        open(&self.record)
    }

    /// The devices that follow address spaces.
    pub(crate) fn followers(&self) -> Option<&Followers> {
        self.followers.as_ref()
    }

    /// Lets `cpu` run what runs alone.
    pub(crate) fn alone_on(&self, cpu: usize) {
        self.alone_cpu.store(cpu, Ordering::Relaxed);
    }

    /// The CPU that runs the caller.
    pub(crate) fn cpu(&self) -> usize {
        match self.lane() {
            Some(lane) => self.lane_cpus[lane],
            None => self.alone_cpu.load(Ordering::Relaxed),
        }
    }

    /// The lane of the scenario that runs the caller; none for what runs alone.
    pub(crate) fn lane(&self) -> Option<usize> {
        hook::active().then(|| self.scenario_lane(hook::lane())).flatten()
    }

    /// The lane of the scenario that the explorer counts as this one.
    pub(crate) fn scenario_lane(&self, number: usize) -> Option<usize> {
        open(&self.started).get(number).copied()
    }

    /// Notes which lane of the scenario starts next.
    pub(crate) fn lane_starts(&self, lane: usize) {
        open(&self.started).push(lane);
    }

    /// The first thing that a step does. Without it, a step would seem to begin where the previous
    /// one ended, no matter which lane ran in between.
    pub(crate) fn step_starts(&self) {
        if let Some(lane) = self.lane() {
            self.starts[lane].read_once();
        }
    }

    /// A word of a frame, as hardware reaches it.
    pub(crate) fn word(&self, frame: Pfn, word: usize) -> &AtomicU64 {
        &self.frame(frame.0 as usize)[word]
    }

    /// How many words of data a page has.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// Notes that the caller has loaded or stored a word.
    pub(crate) fn touched(&self, touch: Touch, what: impl FnOnce(Touch) -> What) {
        let lane = self.lane();
        self.record().note(lane, || what(touch));
    }

    /// Makes a CPU forget translations.
    fn forget(&self, cpu: usize, space: SpaceId, scope: FlushScope) {
        if self.tlbs.flush(cpu, space, scope) {
            self.record().sees(|| Sight::Forgets { cpu, space, scope });
        }
    }

    /// Ends the execution as a failure of `oracle`, unless the search is to go on after failures;
    /// when running alone, remembers it for the judge.
    pub(crate) fn broken(&self, oracle: Oracle, message: String) {
        let goes_on = {
            let mut record = self.record();
            record.broke(oracle, message.clone());
            record.goes_on()
        };
        if hook::active() && !goes_on {
            hook::fail(message);
        }
    }

    /// The lock that represents a lane's interrupts being off.
    fn section(&self, lane: usize) -> usize {
        &raw const self.lane_cpus[lane] as usize
    }
}

/// Locks state that is only for explanation. A panic while it was held ends the execution, which is
/// then judged by what is there.
fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names the cells and locks of each item for a trace, given its index.
fn label_items<T>(items: &[T], name: impl Fn(usize) -> String + 'static) {
    let describe = move |offset: usize| name(offset / size_of::<T>());
    hook::label(items.as_ptr() as usize, size_of_val(items), describe);
}

impl Park for Machine {
    fn park(&self, word: &NativeU32, seen: u32) {
        if hook::active() {
            let mut changed = |now| now != u64::from(seen);
            let now = u64::from(word.load(Ordering::Relaxed));
            hook::wait_until(&raw const *word as usize, now, hook::Order::Relaxed, &mut changed);
            return;
        }
        // What runs alone has nothing to wait for: a lock that is taken now stays taken.
        self.broken(Oracle::Deadlock, "something that runs alone waits for a lock".to_owned());
        panic!("nobody can open this lock");
    }

    fn unpark(&self, _word: &NativeU32) {}
}

// SAFETY: frames are slices of at least `ENTRIES` words in a box that lives as long as the machine;
// a flush takes the lock of each CPU's cache for the space, under which all
// accesses through it run; sections are the
// explorer's locks, which `wait_for_walkers` takes in turn.
unsafe impl Platform for Machine {
    type Format = Tables;

    fn table(&self, frame: Pfn) -> NonNull<AtomicU64> {
        NonNull::from(self.frame(frame.0 as usize)).cast()
    }

    fn zero_frame(&self, frame: Pfn) {
        self.label_data(frame);
        for word in 0..self.words {
            self.word(frame, word).write_once(0);
        }
    }

    fn is_zero_frame(&self, frame: Pfn) -> bool {
        (0..self.words).all(|word| self.word(frame, word).read_once() == 0)
    }

    fn copy_frame(&self, from: Pfn, to: Pfn) {
        self.label_data(to);
        for word in 0..self.words {
            self.word(to, word).write_once(self.word(from, word).read_once());
        }
    }

    fn node(&self) -> NodeId {
        self.nodes[self.cpu()]
    }

    fn cpu(&self) -> usize {
        self.cpu()
    }

    fn cpus(&self) -> usize {
        self.tlbs.cpus()
    }

    fn flush(&self, space: SpaceId, scope: FlushScope) {
        (0..self.tlbs.cpus()).for_each(|cpu| self.forget(cpu, space, scope));
    }

    fn flush_local(&self, space: SpaceId, page: VirtRange) {
        self.forget(self.cpu(), space, FlushScope::Range(page));
    }

    fn prepare_root(&self, space: SpaceId, _root: Pfn) {
        if let Some(followers) = &self.followers {
            followers.attach(space);
        }
    }

    fn invalidate_start(&self, what: Invalidation) {
        if let Some(followers) = &self.followers {
            followers.invalidate_start(what);
        }
    }

    fn invalidate_end(&self, what: Invalidation) {
        if let Some(followers) = &self.followers {
            followers.invalidate_end(what);
        }
    }

    fn walk_begin(&self) {
        if let Some(lane) = self.lane() {
            hook::lock(self.section(lane), hook::Mode::Exclusive);
            self.record().fast_begins(lane);
        }
    }

    fn walk_end(&self) {
        if let Some(lane) = self.lane() {
            self.record().fast_ends(lane);
            hook::unlock(self.section(lane), hook::Mode::Exclusive);
        }
    }

    fn wait_for_walkers(&self) {
        let Some(me) = self.lane() else { return };
        for lane in (0..self.lane_cpus.len()).filter(|lane| *lane != me) {
            hook::lock(self.section(lane), hook::Mode::Exclusive);
            hook::unlock(self.section(lane), hook::Mode::Exclusive);
        }
    }

    fn asked(&self, switch: Switch) {
        self.asked.note(switch);
    }

    fn event(&self, event: Event) {
        let lane = self.lane();
        let mut record = self.record();
        record.event(lane, event);
        if let EventKind::Freed(_) = event.kind {
            return;
        }
        record.look(lane);
    }

    fn bug(&self, bug: Bug) {
        if let Bug::FamilyFreed(frame) | Bug::FamilyReused(frame) = bug {
            let lane = self.lane();
            self.record().about.get_or_insert(About::Family { frame, lane });
        }
        if let Bug::RefUnderflow(frame)
        | Bug::SplitShort { head: frame, .. }
        | Bug::FreedWhileMapped(frame)
        | Bug::LockOfFreed(frame) = bug
        {
            self.record().about.get_or_insert(About::Frame(frame));
        }
        if let Bug::FreedWhileLocked(frame) = bug {
            self.record().about.get_or_insert(About::Locked(frame));
        }
        self.broken(Oracle::Invariant, bug.to_string());
    }
}

impl Words for Machine {
    fn words(&self) -> usize {
        self.words
    }

    fn word(&self, frame: Pfn, at: usize) -> u64 {
        self.word(frame, at).read_once()
    }
}
