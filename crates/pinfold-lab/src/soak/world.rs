//! The machine, its processes and devices, and what all threads share.

use super::buffer::{Numbers, Place, Process, Wrong, shown};
use super::cpus::Cpus;
use super::harm::Harm;
use super::log::Logs;
use super::plan::{
    Activity, BUFFER_PAGES, BUFFERS, DATA_PAGES, OtherHarms, PRIVATE_BUFFERS, SoakError, SoakPlan,
};
use super::report::{Corruption, Mapped, Moves};
use super::story::{chain, held, outcome, told};
use crate::pressure::board::{Board, Space, locked, sit_at};
use crate::pressure::crew::Stop;
use crate::pressure::desk::Trouble;
use crate::pressure::drive::{Drive, Gauge, Medium};
use pinfold::stores::MemoryStore;
use pinfold::sync::Shared;
use pinfold::{
    AddressSpace, Advice, Balancer, Cause, HintFilter, Limits, Memory, NodeId, NodeSpan, PAGE_SIZE,
    Pfn, Prot, ScanPace, Sharing, SwapId, SwapWrites, Tuning, VirtAddr, VirtRange, X86_64,
};
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Pages that gather in a CPU's batch before they are on a list, as in Linux for long.
const LRU_BATCH: u32 = 15;

/// Findings of one kind that are kept to be shown.
const KEPT: usize = 16;

/// How long a device waits for work before it looks whether all is over.
const NAP: Duration = Duration::from_millis(20);

/// Where areas lie: the private buffers at the end of theirs, the shared ones at the beginning of
/// the next.
const SHARED_AT: VirtAddr = VirtAddr(1 << 30);
const DATA_AT: VirtAddr = VirtAddr(2 << 30);

/// The pages of an area, most of which nobody touches: NUMA balancing passed over smaller areas up
/// to 3.12 (rule `numa-areas`).
const AREA: u64 = 512;

/// When processes are scanned, in microseconds: a thousand times as often as in Linux, whose
/// processes have that much more memory, and are not found to fail within a minute.
const PACE: ScanPace = ScanPace { delay: 1000, period_min: 500, period_max: 4000, size: 65_536 };

/// A buffer that a device is to read.
pub(super) struct Job {
    pub(super) process: usize,
    pub(super) buffer: u64,
    /// The frames that were pinned for it.
    pub(super) frames: Vec<Pfn>,
    /// Which write each page has.
    pub(super) numbers: Numbers,
}

/// What a device has to do.
#[derive(Default)]
pub(super) struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    more: Condvar,
}

impl Queue {
    pub(super) fn put(&self, job: Job) {
        locked(&self.jobs).push_back(job);
        self.more.notify_one();
    }

    /// The next one, if there is one in time.
    pub(super) fn take(&self) -> Option<Job> {
        let jobs = locked(&self.jobs);
        let none = |jobs: &mut VecDeque<Job>| jobs.is_empty();
        let waited = self.more.wait_timeout_while(jobs, NAP, none);
        waited.unwrap_or_else(PoisonError::into_inner).0.pop_front()
    }
}

/// What was found and must not be.
#[derive(Default)]
struct Findings {
    corruptions: u64,
    first: Option<Corruption>,
    unexpected: Vec<String>,
}

/// See the module.
pub(super) struct World {
    pub(super) memory: Shared<Memory<Board>>,
    pub(super) plan: SoakPlan,
    /// What would strike, and is kept from buffers, or is not.
    pub(super) harms: Vec<Harm>,
    began: Instant,
    pub(super) cpus: Cpus,
    /// That of who begins and who looks last.
    last_cpu: usize,
    pub(super) queues: Box<[Queue]>,
    pub(super) free_at_start: u64,
    pub(super) swap: Option<SwapId>,
    pub(super) stop: Stop,
    /// Pages that were merged.
    merged: AtomicU64,
    findings: Mutex<Findings>,
}

fn refused(why: impl fmt::Display) -> SoakError {
    SoakError::Machine(why.to_string())
}

impl World {
    /// A machine without processes.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new(plan: &SoakPlan) -> Result<Self, SoakError> {
        let cpus = Cpus::new(plan);
        // Behind those of the processes: one for each other thread; the last one looks last.
        let last_cpu = cpus.count() + plan.devices as usize + Activity::ALL.len();
        sit_at(last_cpu);
        let board = Board::new(plan.frames as usize, last_cpu + 1, plan.nodes);
        let each = plan.frames / u64::from(plan.nodes);
        let spans: Vec<_> = (0..plan.nodes)
            .map(|node| {
                let first = u64::from(node) * each;
                let last = node + 1 == plan.nodes;
                let frames = if last { plan.frames - first } else { each };
                NodeSpan { node: NodeId(node), first: Pfn(first), frames }
            })
            .collect();
        let hint_filter = HintFilter::On;
        let tuning = Tuning { lru_batch: LRU_BATCH, hint_filter, ..Tuning::default() };
        // SAFETY: the board was made with these frames, and nobody else uses it.
        let memory = unsafe { Memory::new(board, &spans, plan.rules, tuning) }.map_err(refused)?;
        let swap = match plan.goes_on(Activity::Swap) {
            true => {
                let medium = MemoryStore::new(plan.slots()).map(Medium::Memory).map_err(refused)?;
                let drive = Box::new(Drive::new(medium, None, Gauge::default()));
                let on = memory.swap_on(drive, plan.slots(), SwapWrites::Any);
                Some(on.map_err(refused)?)
            }
            false => None,
        };
        Ok(Self {
            free_at_start: memory.frames().total_free(),
            memory,
            plan: plan.clone(),
            harms: Harm::all(plan),
            began: Instant::now(),
            cpus,
            last_cpu,
            queues: (0..plan.devices).map(|_| Queue::default()).collect(),
            swap,
            stop: Stop::default(),
            merged: AtomicU64::new(0),
            findings: Mutex::default(),
        })
    }

    /// The processes, none of whose pages was touched, and the logs of their buffers. Whoever has
    /// the last owner of them lets them exit.
    ///
    /// # Errors
    /// When their tables have no frames.
    pub(super) fn settle(&self) -> Result<(Arc<[Process]>, Arc<Logs>), SoakError> {
        let began = (0..self.plan.processes).map(|_| self.begin());
        let processes = began.collect::<Result<Vec<_>, _>>();
        let processes = processes.map_err(|why| refused(format!("no process can begin: {why}")))?;
        let spaces = processes.iter().map(|new| (new.space.id(), new.buffers.first_page()));
        let logs = Logs::new(spaces.collect(), BUFFERS * BUFFER_PAGES, self.plan.frames);
        let logs = Arc::new(logs);
        let ear = logs.clone();
        self.board().listen(Box::new(move |node, event| ear.file(node, &event)));
        Ok((processes.into(), logs))
    }

    fn begin(&self) -> Result<Process, Trouble> {
        let space: Space = AddressSpace::new(&self.memory, Limits::of_format::<X86_64>())?;
        let map = |at, sharing| space.map(pinfold::Place::At(at), AREA, Prot::READ_WRITE, sharing);
        let pages = PRIVATE_BUFFERS * BUFFER_PAGES;
        let before = |pages| VirtAddr(SHARED_AT.0 - pages * PAGE_SIZE);
        let own = map(before(AREA), Sharing::Private)?;
        map(SHARED_AT, Sharing::Shared)?;
        let data = map(DATA_AT, Sharing::Private)?;
        if self.plan.goes_on(Activity::Merging) {
            space.advise(data, Advice::Merge)?;
            if !self.keeps_apart(Harm::Merge) {
                space.advise(own, Advice::Merge)?;
            }
        }
        if !self.leaves_buffers() {
            space.advise(own, Advice::DontFork)?;
        }
        let range = |at, pages| VirtRange::new(at, pages).expect("it is part of an area");
        let buffers = range(before(pages), BUFFERS * BUFFER_PAGES);
        let balancer = match self.plan.goes_on(Activity::Balancing) {
            true => Some(Balancer::new(&space, PACE).map_err(|_| Trouble::Frames)?),
            false => None,
        };
        Ok(Process::new((space, balancer), buffers, range(DATA_AT, DATA_PAGES)))
    }

    /// Whether this must not come to buffers.
    pub(super) fn keeps_apart(&self, harm: Harm) -> bool {
        self.plan.others == OtherHarms::KeptApart && self.harms.contains(&harm)
    }

    /// Whether something must not go on while a buffer is being pinned.
    pub(super) fn pins_alone(&self) -> bool {
        self.harms.iter().any(|harm| harm.is_beside_pin() && self.keeps_apart(*harm))
    }

    /// Whether children of a fork have the private buffers, too.
    pub(super) fn leaves_buffers(&self) -> bool {
        !self.harms.iter().any(|harm| harm.is_of_forks() && self.keeps_apart(*harm))
    }

    /// The time by which processes are scanned.
    pub(super) fn now(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    /// The CPU of who looks last.
    pub(super) fn last_cpu(&self) -> usize {
        self.last_cpu
    }

    pub(super) fn board(&self) -> &Board {
        self.memory.platform()
    }

    /// The device of a process.
    pub(super) fn device(&self, process: usize) -> usize {
        process % self.queues.len()
    }

    /// One instruction of the calling thread's CPU on a page.
    pub(super) fn access<T>(
        &self,
        space: &Space,
        at: (VirtAddr, Cause),
        act: impl Fn(Pfn) -> T,
    ) -> Result<T, Trouble> {
        Ok(self.board().access(space, at, act)?)
    }

    /// A page of a buffer is not as the process wrote it, as seen by whom: a device through the
    /// frame that it has, or the process itself. Everything ends.
    pub(super) fn corrupted(
        &self,
        (process, logs): (&Process, &Logs),
        (by, place, number): (&str, Place, u32),
        frame: Option<Pfn>,
        wrong: Wrong,
    ) {
        let page = (place.process, place.index());
        let log = logs.story(page);
        let (device, at) = (self.device(place.process), process.at(place));
        // What the process itself finds there now.
        let owner = self.access(&process.space, (at, Cause::Load), |own| own).ok();
        let node = |frame| self.memory.frames().node(frame).0;
        let pinner = frame.zip(logs.pinner(page));
        let writable = Cause::Store.is_allowed_by(process.space.walk(at));
        let mut findings = locked(&self.findings);
        findings.corruptions += 1;
        if findings.first.is_none() {
            let events = chain(&log).into_iter().map(|noted| told(noted, &self.plan.rules));
            findings.first = Some(Corruption {
                found_by: by.to_owned(),
                process: place.process,
                buffer: place.buffer,
                page: place.page,
                write: number,
                found: shown(wrong.found),
                wanted: shown(wrong.wanted),
                at: at.to_string(),
                device,
                device_frame: frame.map(|frame| frame.0),
                pinned: pinner.map(|(frame, (by, at))| held(node(frame), (&by, at))),
                owner_frame: owner.map(|owner| owner.0),
                mapped: owner.map(|owner| Mapped { node: node(owner), writable }),
                events: events.collect(),
                outcome: frame.map(|frame| outcome((device, frame), (place.process, owner))),
            });
        }
        drop(findings);
        self.stop.halt();
    }

    /// Something has failed that must not.
    pub(super) fn unexpected(&self, what: String) {
        let mut findings = locked(&self.findings);
        if findings.unexpected.len() < KEPT {
            findings.unexpected.push(what);
        }
        drop(findings);
        self.stop.halt();
    }

    /// How many corruptions were found, the first one, and what else has failed.
    pub(super) fn findings(&self) -> (u64, Option<Corruption>, Vec<String>) {
        let findings = locked(&self.findings);
        (findings.corruptions, findings.first.clone(), findings.unexpected.clone())
    }

    /// Pages were merged.
    pub(super) fn merged(&self, pages: u64) {
        self.merged.fetch_add(pages, Ordering::Relaxed);
    }

    /// What was counted until now.
    pub(super) fn moves(&self) -> Moves {
        Moves::of(&self.memory.stats(), self.merged.load(Ordering::Relaxed))
    }
}
