//! The machine and its processes, and what all threads share.
//!
//! Protocol: a process has a seat with a lock, readers and a writer. Who works with the process
//! holds it for reading; who replaces the process, or drops pages of it, holds it for writing, so
//! that no thread's knowledge is in doubt. Under it come the locks of what each thread knows, which
//! that thread alone takes meanwhile. All locks of the manager are below.

use super::board::{Board, LOW_END, NODES, Space, locked, sit_at};
use super::crew::Stop;
use super::desk::{Desk, Kind, Trouble};
use super::drive::{Drive, Gauge, Medium};
use super::ended::{slots_in_use, zones};
use super::files::{Filed, Which};
use super::plan::{Plan, PressureError, SwapMedium};
use super::stamp::{By, Known, Lane};
use pinfold::stores::MemoryStore;
use pinfold::sync::Shared;
use pinfold::{
    AddressSpace, Cause, FaultError, Limits, LowmemReserve, Memory, NodeId, NodeSpan, Pfn,
    PinError, Place, Prot, Sharing, SpaceError, SwapId, SwapWrites, Tuning, VirtAddr, VirtRange,
    Watermarks, X86_64, ZoneInfo,
};
use serde::Serialize;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Pages that gather in a CPU's batch before they are on a list, as in Linux for long.
const LRU_BATCH: u32 = 15;

/// So many pages are read from swap together: two to this power.
const READAHEAD: u32 = 3;

/// What memory below 4 GiB, and above, keeps from pages of processes: more than on a large machine.
const RESERVE: LowmemReserve = LowmemReserve { dma32: 16, normal: 16 };

/// Findings that are kept to be shown; all are counted.
const KEPT: usize = 16;

/// A word that is not what its writer wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Whose word it is.
    pub writer: String,
    /// Who found it, in which operation.
    pub operation: &'static str,
    /// The page of the process.
    pub page: u64,
    /// What was found: the first of the two words that hold a stamp, and the last.
    pub found: [String; 2],
    /// What was written.
    pub wanted: String,
}

/// What was found and must not be.
#[derive(Default)]
struct Findings {
    wrong: Vec<Wrong>,
    wrongs: u64,
    unexpected: Vec<String>,
}

/// A process.
pub(super) struct Process {
    pub(super) space: Space,
    pub(super) area: VirtRange,
    /// Where the file is.
    pub(super) filed: VirtRange,
    /// Where the shared memory is.
    pub(super) shared: VirtRange,
    /// Changes when the process is another one, or has lost pages.
    pub(super) generation: u64,
    /// What each thread knows of it.
    pub(super) known: Box<[Mutex<Known>]>,
}

impl Process {
    pub(super) fn at(&self, page: u64) -> VirtAddr {
        at(self.area, page)
    }

    /// Where one of the two is.
    pub(super) fn shows(&self, which: Which) -> VirtRange {
        match which {
            Which::File => self.filed,
            Which::Shared => self.shared,
        }
    }
}

/// The address of a page of an area.
pub(super) fn at(area: VirtRange, page: u64) -> VirtAddr {
    (area.first_page() + page).start()
}

/// Pages of an area.
pub(super) fn part(area: VirtRange, first: u64, count: u64) -> VirtRange {
    VirtRange::new(at(area, first), count).expect("the pages are those of an area")
}

/// Where a process is.
pub(super) struct Seat(RwLock<Process>);

impl Seat {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Process> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Process> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every private page may be reclaimed, by whoever finds no frame, and before that in the
/// background, which has a part of each node free.
fn tuning(plan: &Plan) -> Tuning {
    let least = plan.node_frames().into_iter().min().unwrap_or(0);
    let watermarks = Watermarks { min: least / 64, low: least / 16, high: least / 8 };
    let (swap_readahead, lru_batch) = (READAHEAD, LRU_BATCH);
    let lowmem_reserve = if plan.low > 0 { RESERVE } else { LowmemReserve::default() };
    Tuning { lru_batch, swap_readahead, watermarks, lowmem_reserve, ..Tuning::default() }
}

fn refused(why: impl fmt::Display) -> PressureError {
    PressureError::Machine(why.to_string())
}

/// See the module.
pub(super) struct World {
    pub(super) memory: Shared<Memory<Board>>,
    pub(super) stop: Stop,
    /// The pages of each process.
    pub(super) pages: u64,
    pub(super) threads: usize,
    /// The most pages that a thread has pinned for long.
    pub(super) most_pinned: u64,
    /// The most frames below 4 GiB that a thread's device has; none, if no memory lies there apart.
    pub(super) most_low: u64,
    pub(super) free_at_start: u64,
    /// All zones, when nothing had begun.
    pub(super) zones_at_start: Vec<ZoneInfo>,
    pub(super) swap: SwapId,
    pub(super) filed: Filed,
    pub(super) shared: Filed,
    /// The most slots that were seen in use.
    most_slots: AtomicU64,
    generations: AtomicU64,
    findings: Mutex<Findings>,
}

impl World {
    /// A machine without processes.
    ///
    /// # Errors
    /// When the machine cannot be made.
    pub(super) fn new(plan: &Plan, medium: Medium, gauge: Gauge) -> Result<Self, PressureError> {
        let threads = plan.threads as usize;
        // The last one is that of who reclaims, and of who looks at the end.
        sit_at(threads);
        let mut first = if plan.low > 0 { Pfn(LOW_END - plan.low) } else { Pfn(0) };
        let board = Board::starting_at(first, plan.frames as usize, threads + 1, NODES);
        let nodes = (0..).map(NodeId).zip(plan.node_frames());
        let spans: Vec<_> = nodes
            .map(|(node, frames)| {
                let span = NodeSpan { node, first, frames };
                first = Pfn(first.0 + frames);
                span
            })
            .collect();
        // SAFETY: the board was made with these frames, and nobody else uses it.
        let memory =
            unsafe { Memory::new(board, &spans, plan.rules, tuning(plan)) }.map_err(refused)?;
        let drive = Box::new(Drive::new(medium, plan.fail_every, gauge));
        let swap = memory.swap_on(drive, plan.slots(), SwapWrites::Any);
        let swap = swap.map_err(refused)?;
        let filed = Filed::new(Which::File, plan, &memory)?;
        let shared = Filed::new(Which::Shared, plan, &memory)?;
        Ok(Self {
            filed,
            shared,
            free_at_start: memory.frames().total_free(),
            zones_at_start: zones(&memory),
            most_low: plan.low / 2 / u64::from(plan.threads),
            memory,
            stop: Stop::default(),
            pages: plan.pages(),
            threads,
            most_pinned: plan.frames / 8 / u64::from(plan.threads),
            swap,
            most_slots: AtomicU64::new(0),
            generations: AtomicU64::new(0),
            findings: Mutex::default(),
        })
    }

    /// The processes, none of whose pages was touched. Whoever has the last owner of them lets them
    /// exit.
    ///
    /// # Errors
    /// When their tables have no frames.
    pub(super) fn settle(&self, processes: u32) -> Result<Arc<[Seat]>, PressureError> {
        let seats = (0..processes).map(|_| self.begin().map(|new| Seat(RwLock::new(new))));
        let seats = seats.collect::<Result<Vec<_>, _>>();
        let seats = seats.map_err(|why| refused(format!("a process cannot begin: {why}")))?;
        Ok(seats.into())
    }

    /// A store for as many slots as the plan has.
    ///
    /// # Errors
    /// When there is none here, or the heap is exhausted.
    pub(super) fn medium(plan: &mut Plan) -> Result<Medium, PressureError> {
        match std::mem::replace(&mut plan.medium, SwapMedium::Memory) {
            SwapMedium::Memory => {
                let store = MemoryStore::new(plan.slots());
                store.map(Medium::Memory).map_err(refused)
            }
            #[cfg(unix)]
            SwapMedium::File(file) => Ok(Medium::File(pinfold::stores::FileStore::new(file))),
            #[cfg(not(unix))]
            SwapMedium::File(_) => Err(PressureError::NoFiles),
        }
    }

    /// One of the two.
    pub(super) fn filed_as(&self, which: Which) -> &Filed {
        match which {
            Which::File => &self.filed,
            Which::Shared => &self.shared,
        }
    }

    pub(super) fn board(&self) -> &Board {
        self.memory.platform()
    }

    pub(super) fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed)
    }

    /// A new process.
    pub(super) fn begin(&self) -> Result<Process, Trouble> {
        let space = AddressSpace::new(&self.memory, Limits::of_format::<X86_64>())?;
        let place = Place::At(VirtAddr(1 << 30));
        let area = space.map(place, self.pages, Prot::READ_WRITE, Sharing::Private)?;
        let nothing = || Mutex::new(Known::nothing(self.pages));
        let known = (0..self.threads).map(|_| nothing()).collect();
        let filed = self.filed.map(&space, at(area, area.pages()))?;
        let shared = self.shared.map(&space, at(filed, filed.pages()))?;
        Ok(Process { space, area, filed, shared, generation: self.next_generation(), known })
    }

    /// What is in a lane of a page, by a load of the calling thread's CPU.
    pub(super) fn load(
        &self,
        space: &Space,
        at: VirtAddr,
        lane: Lane,
    ) -> Result<[u64; 2], Trouble> {
        let board = self.board();
        let read = |frame| lane.read(board, frame);
        Ok(board.access(space, (at, Cause::Load), read)?)
    }

    /// Stores a stamp there.
    pub(super) fn store(
        &self,
        space: &Space,
        at: VirtAddr,
        lane: Lane,
        stamp: u64,
    ) -> Result<(), Trouble> {
        let board = self.board();
        let write = |frame| lane.write(board, frame, stamp);
        Ok(board.access(space, (at, Cause::Store), write)?)
    }

    /// Holds what was found against what was written.
    pub(super) fn compare(
        &self,
        (desk, kind): (&Desk, Kind),
        (lane, page): (Lane, u64),
        found: [u64; 2],
        wanted: u64,
    ) {
        desk.checked(2);
        if found == [wanted; 2] {
            return;
        }
        let shown = |stamp: u64| format!("{stamp:#018x}");
        let by = match lane.by {
            By::Cpu => "CPU",
            By::Device => "device",
        };
        let wrong = Wrong {
            writer: format!("{by} of thread {}", lane.thread),
            operation: kind.name(),
            page,
            found: found.map(shown),
            wanted: shown(wanted),
        };
        let mut findings = locked(&self.findings);
        findings.wrongs += 1;
        if findings.wrong.len() < KEPT {
            findings.wrong.push(wrong);
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

    /// The words that are wrong, those that were found first, and how many there are; and what
    /// else has failed.
    pub(super) fn findings(&self) -> (Vec<Wrong>, u64, Vec<String>) {
        let findings = locked(&self.findings);
        (findings.wrong.clone(), findings.wrongs, findings.unexpected.clone())
    }

    /// Looks how many slots are in use now. That takes a lock of the manager, so whoever watches
    /// for hangs asks for [`Self::most_slots`] instead.
    pub(super) fn note_slots(&self) {
        let slots = slots_in_use(&self.memory, Some(self.swap));
        self.most_slots.fetch_max(slots, Ordering::Relaxed);
    }

    /// The most slots that were seen in use.
    pub(super) fn most_slots(&self) -> u64 {
        self.most_slots.load(Ordering::Relaxed)
    }
}

impl From<FaultError> for Trouble {
    fn from(error: FaultError) -> Self {
        match error {
            FaultError::OutOfFrames => Self::Frames,
            FaultError::Store(..) => Self::Device,
            other => Self::Other(format!("a fault: {other}")),
        }
    }
}

impl From<SpaceError> for Trouble {
    fn from(error: SpaceError) -> Self {
        match error {
            SpaceError::OutOfFrames => Self::Frames,
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<PinError> for Trouble {
    fn from(error: PinError) -> Self {
        match error {
            PinError::Fault(error) => error.into(),
            other => Self::Other(format!("a pin: {other}")),
        }
    }
}
