//! When NUMA balancing scans an address space, how far, and which of its areas (Linux:
//! task_numa_work; facts 4.1, 4.7).
//!
//! Protocol: each address space has its balancer, which its tasks call now and then, at a tick of
//! the clock. A word says from when on the next scan may be; the task that finds it passed, and
//! moves it on by a period in one step, scans, and the others go on. A scan has a sleeping lock,
//! above all locks of the manager: two meet there only if one takes longer than a period. It goes
//! through the areas from where the last one has ended, one part at a time, each under the address
//! space's lock for reading; what it finds of an area is in a record ([`crate::hinted`]). Behind
//! the last area a *sequence* has ended, and the next one begins at the first.
//!
//! What a scan does to entries is [`crate::protect`]'s; what a hinting fault does, and what it adds
//! to the counters of the address space, is [`crate::fault`]'s. When a sequence has ended, these
//! counters make the period longer or shorter.
//!
//! Invariants:
//! - INV-BALANCE-1: nothing that an area needs of the heap is taken after it was scanned: where the
//!   heap is exhausted, the scan is to be made again, from where it began.
//! - INV-BALANCE-2: the position is an address: what was unmapped, cut or merged since needs no
//!   look at what was there.

use core::fmt;

use crate::addr::Vpn;
use crate::address_space::AddressSpace;
use crate::area::{Area, Prot};
use crate::error::NoMemory;
use crate::hinted::{AreaRecord, HintFaults, HintTally};
use crate::platform::Platform;
use crate::protect::AreaPart;
use crate::pte::Format;
use crate::rules::numa::{
    AreaSkip, ScanAge, ScanArea, ScanContents, ScanSize, ScanTurn, ScanUser, comes_again, numa_area,
};
use crate::rules::{NumaAreas, Users};
use crate::space::Space;
use crate::sync::{self, AtomicU64, CellName, RwSem, Shared};

/// Into how many parts faults and the period are divided to compare them.
const SLOTS: u64 = 10;
/// From how many of them on most faults are private, or local.
const MOST: u64 = 7;
/// How much further a scan goes over memory where there is nothing to change.
const SPARSE: u64 = 8;
/// Delays in a window of tasks.
const WINDOW: u64 = 4;

/// How often and how far an address space is scanned. Times are in units of the caller's, those of
/// the `now` that he gives to [`Balancer::tick`]; the defaults are Linux's, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScanPace {
    /// How long nothing is scanned of a new process, and, by the rules since 6.4, of a new area.
    /// Linux: `scan_delay_ms`.
    pub delay: u64,
    /// The shortest time between two scans. Linux: `scan_period_min_ms`, divided by how many scans
    /// the memory of the process takes, which is left to the caller here.
    pub period_min: u64,
    /// The longest. Linux: `scan_period_max_ms`, divided likewise.
    pub period_max: u64,
    /// How many pages a scan goes over where there is something to change; eight times as many
    /// otherwise. At least one. Linux: `scan_size_mb`.
    pub size: u64,
}

impl Default for ScanPace {
    fn default() -> Self {
        Self { delay: 1000, period_min: 1000, period_max: 60_000, size: 65_536 }
    }
}

/// What a scan has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HintScan {
    /// Pages that it went over.
    pub pages: u64,
    /// Of these, those whose entries it has made PROT_NONE.
    pub updated: u64,
    /// Sequences that ended: two at most, the first of them before it began.
    pub sequences: u64,
}

/// What a balancer knows. Exact when nothing runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct BalancerStats {
    /// Sequences of scans that have ended. Linux: `numa_scan_seq`.
    pub scans: u32,
    /// The time between two scans. Linux: `numa_scan_period`.
    pub period: u64,
    /// Pages of hinting faults since the period was last changed, where the fault before was the
    /// same task's, or there was none. All, unless pages remember it ([`crate::HintFilter::On`]).
    pub private: u64,
    /// Those where it was another's.
    pub shared: u64,
    /// Pages of hinting faults that lay on the node of the fault.
    pub local: u64,
    /// Those that lay elsewhere.
    pub remote: u64,
    /// Those that could not be moved.
    pub failed: u64,
}

/// Scans an address space for NUMA balancing: makes entries PROT_NONE, so that the next access
/// shows from where a page is used, and the page can move there. It has no thread: the tasks of the
/// process call [`Balancer::tick`].
///
/// Which areas it passes over is the rule `numa-areas`, which entries are `numa-skip` and
/// `numa-skip-pmd`. To keep pages that two nodes use from going to and fro, have the machine filter
/// hinting faults ([`crate::Tuning::hint_filter`]). Who wants to choose by himself what is scanned
/// calls [`AddressSpace::numa_scan`], and needs no balancer.
///
/// Linux has a period for each thread; here the process has one. Linux also groups threads by the
/// memory that they share, places threads and groups near their memory, and has a scanner for tiers
/// of memory: not so here.
///
/// ```
/// # use pinfold::{mock::Host, rules::Users, *};
/// # let spans = [(0, 0), (1, 64)].map(|(node, first)| {
/// #     NodeSpan { node: NodeId(node), first: Pfn(first), frames: 64 }
/// # });
/// # let tuning = Tuning { hint_filter: HintFilter::On, ..Tuning::default() };
/// # // SAFETY: the host has these frames, and nobody else uses it.
/// # let memory = unsafe {
/// #     Memory::new(Host::<X86_64>::new(128), &spans, Rules::default(), tuning)?
/// # };
/// let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>())?;
/// let range = space.map(Place::Anywhere, 1, Prot::READ_WRITE, Sharing::Private)?;
/// space.fault(range.start(), Cause::Store)?;
///
/// let balancer = Balancer::new(&space, ScanPace::default())?;
/// assert_eq!(balancer.tick(0, Users::Several)?, None, "a new process is left alone");
/// let scan = balancer.tick(1000, Users::Several)?.expect("the delay is over");
/// assert_eq!((scan.updated, scan.sequences), (1, 1));
///
/// memory.platform().run_on(NodeId(1));
/// space.fault(range.start(), Cause::Load)?;
/// assert_eq!(memory.frames().node(space.entry(range.start()).pfn()), NodeId(1));
/// assert_eq!(balancer.stats().remote, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Balancer<P: Platform> {
    space: Shared<Space<P>>,
    pace: ScanPace,
    /// From when on the next scan may be; zero before the first tick.
    next: AtomicU64,
    period: AtomicU64,
    work: RwSem<Work>,
}

/// Where scans are.
struct Work {
    /// Where the next one goes on.
    at: Vpn,
    /// How many sequences had ended when the period was last changed.
    adapted: u32,
}

/// A scan in progress.
struct Scan {
    now: u64,
    at: Vpn,
    /// How many pages may still be gone over, where there is something to change and in all.
    left: u64,
    left_in_all: u64,
    /// Whether an area was passed over because the task does not use it.
    unused: bool,
    /// Whether it has come again, for such a one.
    forced: bool,
    done: HintScan,
}

impl<P: Platform> Balancer<P> {
    /// A balancer for this address space, which should have no other one. A child of a fork is to
    /// get one of its own.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub fn new(space: &AddressSpace<P>, pace: ScanPace) -> Result<Self, NoMemory> {
        let space = space.shared();
        space.hint_faults.get_or_make(|| Ok(HintFaults::new()))?;
        Ok(Self {
            space,
            pace,
            next: AtomicU64::new(0),
            period: AtomicU64::new(pace.period_min),
            work: RwSem::new(Work { at: Vpn(0), adapted: 0 }),
        })
    }

    /// Names the balancer's words in an explorer's traces, once it is in its final place.
    pub fn label(&self) {
        let index = self.space.id().0;
        let name = move |cell| move |_| CellName::Object { object: "balancer", index, cell };
        sync::label(&raw const self.next, size_of_val(&self.next), name("next scan"));
        sync::label(&raw const self.period, size_of_val(&self.period), name("period"));
        sync::label(&raw const self.work, size_of_val(&self.work), move |offset| {
            let cell = RwSem::<Work>::name(offset, "lock", "lock's gate");
            CellName::Object { object: "balancer", index, cell }
        });
    }

    /// A task of the process, which is inside no call of the manager, says that it is `now`;
    /// `users` are the tasks that use the address space. Scans if it is time and no other task
    /// does. The clock never goes back.
    ///
    /// # Errors
    /// When the heap is exhausted: what was scanned before is, and the next tick scans again, from
    /// where this one began.
    pub fn tick(&self, now: u64, users: Users) -> Result<Option<HintScan>, NoMemory> {
        let due = self.next.read_once();
        if due == 0 {
            let _ = self.next.cmpxchg(0, now.saturating_add(self.pace.delay).max(1));
            return Ok(None);
        }
        let after = |period: u64| now.saturating_add(period.max(1));
        if now < due || self.next.cmpxchg(due, after(self.period.read_once())).is_err() {
            return Ok(None);
        }
        let mut work = self.work.write(self.space.mem().platform());
        if let Some(period) = self.adapt(&mut work) {
            self.next.write_once(after(period));
        }
        let scan = self.scan(&mut work, now, users);
        if scan.is_err() {
            self.next.write_once(due);
        }
        scan.map(Some)
    }

    /// What it knows now.
    pub fn stats(&self) -> BalancerStats {
        let (period, faults) = (self.period.read_once(), self.faults());
        let HintTally { private, shared, local, remote, failed } = faults.tally();
        BalancerStats { scans: faults.scans(), period, private, shared, local, remote, failed }
    }

    fn faults(&self) -> &HintFaults {
        match self.space.hint_faults.get() {
            Some(faults) => faults,
            None => unreachable!("the balancer was made with them"),
        }
    }

    /// Changes the period if a sequence has ended since it was last changed; the new one, if the
    /// next scan is to wait so long.
    fn adapt(&self, work: &mut Work) -> Option<u64> {
        let scans = self.faults().scans();
        if scans == work.adapted {
            return None;
        }
        work.adapted = scans;
        let (old, tally) = (self.period.read_once(), self.faults().take_tally());
        let (period, waits) = adapted(old, tally);
        let period = period.min(self.pace.period_max).max(self.pace.period_min);
        self.period.write_once(period);
        waits.then_some(period)
    }

    fn scan(&self, work: &mut Work, now: u64, users: Users) -> Result<HintScan, NoMemory> {
        let size = self.pace.size.max(1);
        let mut scan = Scan {
            now,
            at: work.at,
            left: size,
            left_in_all: size.saturating_mul(SPARSE),
            unused: false,
            forced: false,
            done: HintScan::default(),
        };
        while scan.left > 0 && scan.left_in_all > 0 {
            let mut skip = None;
            let part = self.space.numa_scan_next(scan.at, users, |area| {
                skip = self.skip(area, &scan)?;
                let most = scan.left.min(scan.left_in_all);
                Ok(if skip.is_some() { 0 } else { most })
            })?;
            match part {
                Some(part) if part.pages > 0 => {
                    self.count(&mut scan, &part)?;
                    if scan.forced && part.ends_area {
                        break;
                    }
                }
                Some(part) => {
                    scan.unused |= skip == Some(AreaSkip::Unused);
                    scan.at = part.end;
                }
                None if scan.unused && !scan.forced && comes_again(self.space.mem().rule()) => {
                    (scan.forced, scan.at) = (true, work.at);
                }
                None => {
                    self.faults().end_sequence();
                    scan.done.sequences += 1;
                    // The last scan may have ended with the last area.
                    let goes_on = scan.at == work.at && scan.at > Vpn(0);
                    (scan.at, work.at) = (Vpn(0), Vpn(0));
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        work.at = scan.at;
        Ok(scan.done)
    }

    /// A part of an area has been scanned.
    fn count(&self, scan: &mut Scan, part: &AreaPart) -> Result<(), NoMemory> {
        scan.at = part.end;
        scan.done.pages += part.pages;
        scan.done.updated += part.changed;
        scan.left_in_all = scan.left_in_all.saturating_sub(part.pages);
        if part.changed > 0 {
            scan.left = scan.left.saturating_sub(part.pages);
        }
        if part.ends_area {
            let sequence = self.faults().scans();
            self.with_record(part.area, scan.now, |record| record.done = Some(sequence))?;
        }
        Ok(())
    }

    /// The record of the area that begins there.
    fn with_record<T>(
        &self,
        area: Vpn,
        now: u64,
        change: impl FnOnce(&mut AreaRecord) -> T,
    ) -> Result<T, NoMemory> {
        let delays = self.pace.delay.saturating_mul(1 + WINDOW);
        self.faults().with_area(area, (now, now.saturating_add(delays)), change)
    }

    /// Why the area is passed over, if it is.
    fn skip(&self, area: &Area<P>, scan: &Scan) -> Result<Option<AreaSkip>, NoMemory> {
        let (mem, first) = (self.space.mem(), area.range.first_page());
        let (now, scans, task) = (scan.now, self.faults().scans(), mem.platform().task());
        let large = area.range.pages() >= P::Format::ENTRIES as u64;
        let text = area.backing.view().is_some() && !area.prot.contains(Prot::WRITE);
        self.with_record(first, now, |record| {
            if now >= record.window_ends {
                record.tasks = [record.tasks[1], 0];
                let window = self.pace.delay.saturating_mul(WINDOW);
                record.window_ends = record.window_ends.saturating_add(window.max(1));
            }
            let old = now.saturating_sub(record.known) >= self.pace.delay;
            let turn = match record.done {
                Some(sequence) if sequence == scans => ScanTurn::Done,
                _ if scan.forced => ScanTurn::Forced,
                _ if scan.at > first => ScanTurn::Begun,
                _ => ScanTurn::Due,
            };
            let state = ScanArea {
                size: if large { ScanSize::Large } else { ScanSize::Small },
                contents: if text { ScanContents::Text } else { ScanContents::Data },
                age: if old { ScanAge::Old } else { ScanAge::New },
                user: if record.has_seen(task) { ScanUser::Seen } else { ScanUser::Unseen },
                scans,
                since: record.since,
                turn,
            };
            numa_area(mem.rule::<NumaAreas>(), &state)
        })
    }
}

/// What becomes of a period by what hinting faults have told, and whether the next scan waits for
/// it (facts 4.7).
fn adapted(period: u64, tally: HintTally) -> (u64, bool) {
    let HintTally { private, shared, local, remote, failed } = tally;
    if local + shared == 0 || failed > 0 {
        return (period.saturating_mul(2), true);
    }
    let slot = period.div_ceil(SLOTS);
    let share = |part: u64, other: u64| part.saturating_mul(SLOTS) / (part + other).max(1);
    let (private, local) = (share(private, shared), share(local, remote));
    let slower = |share: u64| period.saturating_add(slot.saturating_mul((share - MOST).max(1)));
    let new = if private >= MOST {
        slower(private)
    } else if local >= MOST {
        slower(local)
    } else {
        period.saturating_sub(slot.saturating_mul(MOST - private.max(local)))
    };
    (new, false)
}

/// Takes no lock.
impl<P: Platform> fmt::Debug for Balancer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = self.space.id();
        f.debug_struct("Balancer")
            .field("space", &space)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
