//! Reclaim of a node: which of all private pages, and of those of files, leave memory when frames
//! are short, who has them leave, and what an operation does that finds no frame.
//!
//! Protocol: pages come from the lists of `frame/lru.rs`, if the machine has such
//! ([`Tuning::lru_batch`]): those of files, and private ones if there is a swap device. How much
//! each kind gives is in `pressure/balance.rs`. Of either the last ones of the list of those not in
//! use are isolated, and their entries asked for what the hardware has noted
//! (`pressure/used.rs`): a page used by one entry stays, at the front, and one that was used so
//! before, or by several, goes to the list of those in use; so does a page of a file that was used
//! by an entry that may execute it. The others leave as [`crate::reclaim`] says. When that list is
//! the shorter one, the last of those in use come to it, whether used or not, and what the hardware
//! has noted of them is forgotten. So a page leaves only if it was not used while it went through
//! the list once; but of those in use a page of a file that was used by an entry that may execute
//! it stays among them. (What only [`crate::File::read`] and write use is told by them:
//! [`Memory::mark_accessed`].) The last of those in use come, too, when a page has come back as in
//! use since the last reclaim of the node ([`crate::workingset`]), when a look at all of the others
//! has found none of the zones that are short, and at last when nothing has left. And one that
//! comes back soon may begin as in use ([`crate::workingset`]). One that is locked in memory is on
//! no list ([`crate::mlock`]). (Kernels since 5.9, where new pages begin as not in use.)
//!
//! Reclaim serves faults, forks, new address spaces, remaps, accesses to files and what a monitor
//! resolves or protects, before they begin and when they find no frame, and populating, copies for
//! a monitor, the slow path of pins and a debugger's accesses, when they find none. A collapse does
//! so once: it wants a run of frames, which reclaim makes by chance. Nothing else reclaims: other
//! changes of areas, migration, splits and the lock-free pin fail, or go on without.
//!
//! Reclaim takes locks of pages by trying, families' locks for reading, tables' locks in turn, and
//! calls swap devices, which sleep: whoever asks for it holds no lock, in particular none of an
//! address space. An operation that found no frame, or fewer than [`Watermarks::min`] when it
//! began, is over, with nothing changed or with a beginning done, before it reclaims ([`relieved`])
//! and is tried again or goes on. Of those one reclaims at a time, in its *turn*, a sleeping lock
//! outside all others; who has waited for it tries his operation first.
//!
//! Who is short of memory of one kind has pages leave that lie there and no others: the lists are
//! the node's, and others are passed over (facts 7.17). So [`Memory::take_run`] for a device that
//! reaches no further than 4 GiB takes nothing from above; and the background brings each zone of a
//! node up to its share of the marks ([`crate::frame`]'s `zones`).
//!
//! Invariants:
//! - INV-PRESSURE-1: nobody holds an address space's lock while he reclaims.
//! - INV-PRESSURE-2: an operation is tried again only after a turn, its own or another's, has freed
//!   a frame, and not more than [`RETRIES`] times without having come further: where nothing can be
//!   freed, it fails as without reclaim.
//!
//! [`Tuning::lru_batch`]: crate::Tuning::lru_batch
//! [`Watermarks::min`]: crate::Watermarks::min
//! [`relieved`]: Memory::relieved

use crate::addr::{NodeId, Pfn};
use crate::error::Shortage;
use crate::frame::{Kind, List, Looked, Watermarks, Zone, ZoneKind, Zones};
use crate::memory::Memory;
use crate::migrate::Isolated;
use crate::platform::Platform;
use crate::reclaim::{BATCH, Reclaimed};

mod balance;
pub(crate) mod run;
mod used;

use balance::{Scan, Share};
use used::Fate;

/// How often an operation is tried again that comes no further. Linux: 16.
const RETRIES: u32 = 16;

/// How often what an operation wants freed is doubled from one try to the next.
const MOST_DOUBLED: u32 = 6;
/// Where reclaim looks for frames that page tables can have, too.
const ALL_ZONES: &[Zone] = &[Zone::Any, Zone::Movable];

/// The most pages of a list that are looked at under one hold of its lock.
const MOST_LOOKED_AT: u64 = 4 * BATCH as u64;

/// The first round looks at one page of so many of a list (a power of two), but at least at a
/// batch, the next at twice as many, and the last at all. Linux: 12.
const PRIORITIES: u32 = 12;

/// How many folios the lists of a node have: large ones count as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ListSizes {
    /// In use (`nr_active_anon`).
    pub active: u64,
    /// Not in use, or new (`nr_inactive_anon`).
    pub inactive: u64,
    /// Pages of files in use (`nr_active_file`).
    pub active_file: u64,
    /// Pages of files that are not in use, or new, and private ones whose contents may go
    /// (`nr_inactive_file`).
    pub inactive_file: u64,
    /// On no list, as they are locked in memory (`nr_unevictable`).
    pub unevictable: u64,
}

/// Who reclaims.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    /// Somebody who wants memory.
    Direct,
    /// Somebody in the background.
    Background,
}

/// Which nodes somebody who wants memory may take it from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    /// One.
    Near,
    /// Another as well, if nothing can leave there.
    Any,
}

/// Where he looks for pages that can leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Search {
    /// Here first.
    node: NodeId,
    reach: Reach,
}

/// What has come of a wait for free frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Relief {
    /// Nothing can leave.
    None,
    /// The turn of him who waited has freed some.
    Own,
    /// Another's has, and he had none.
    Anothers,
}

/// How many free frames there are, and are to be.
#[derive(Clone, Copy, Default)]
struct Missing {
    low: u64,
    high: u64,
    free: u64,
}

/// Where pages are to be taken from, and by whom.
struct Aim {
    node: NodeId,
    zones: Zones,
    who: Who,
}

/// What a pass over the lists of a kind has done, or over those of all.
#[derive(Clone, Copy, Default)]
struct Pass {
    freed: u64,
    kept: u64,
    /// Pages of which another may find something else.
    changed: u64,
    /// Whether it is to be followed by another like it, as those in use are next.
    again: bool,
    /// Whether some were not looked at.
    partly: bool,
}

impl core::ops::AddAssign for Pass {
    fn add_assign(&mut self, more: Self) {
        self.freed += more.freed;
        self.kept += more.kept;
        self.changed += more.changed;
        self.again |= more.again;
        self.partly |= more.partly;
    }
}

/// What a round has done.
#[derive(Default)]
struct Round {
    done: Reclaimed,
    /// Pages that another round may find otherwise: that were used, or came to the list.
    changed: u64,
    /// Pages of the zones that are wanted which it has looked at.
    looked_at: u64,
    /// Those of others.
    passed: u64,
}

impl<P: Platform> Memory<P> {
    /// Takes so many pages of private and shared memory and of files that lie on `node` out of
    /// memory, which are not in use as far as can be told, as [`crate::AddressSpace::page_out`]
    /// does with those of a range: those of files if they are clean, others to the swap devices.
    /// None only where none can leave, fewer where no more can as far as can be told; more where a
    /// large folio is split.
    ///
    /// What is dirty is for [`crate::File::sync`]: [`crate::Stats::nr_vmscan_immediate_reclaim`]
    /// counts how often reclaim has met such a page.
    ///
    /// Nothing leaves where there are no lists ([`Tuning::lru_batch`]).
    ///
    /// [`Tuning::lru_batch`]: crate::Tuning::lru_batch
    pub fn reclaim(&self, node: NodeId, goal: u64) -> Reclaimed {
        self.reclaim_zone(node, Zone::Movable, goal)
    }

    /// As [`Memory::reclaim`], only pages whose frames serve requests for `zone`.
    pub fn reclaim_zone(&self, node: NodeId, zone: Zone, goal: u64) -> Reclaimed {
        self.shrink(&Aim { node, zones: ZoneKind::serving(zone), who: Who::Direct }, goal)
    }

    /// What an embedder's task in the background (Linux: kswapd) does for `node`, when it is time
    /// or when [`Memory::is_low`]: of each zone of which that is so, takes pages out of memory
    /// until it has its share of [`Watermarks::high`] free, or no more can leave.
    pub fn balance(&self, node: NodeId) -> Reclaimed {
        let mut done = Reclaimed::default();
        if self.frames().has_outside_owner() {
            let missing = || {
                let Watermarks { low, high, .. } = self.tuning().watermarks;
                Missing { low, high, free: self.frames().free_frames(node) }
            };
            return self.balance_zones((node, ZoneKind::serving(Zone::Movable)), missing);
        }
        for zone in ZoneKind::ALL {
            let missing = || {
                let info = self.frames().zone_info(node, zone);
                info.map_or(Missing::default(), |info| Missing {
                    low: info.low,
                    high: info.high,
                    free: info.free,
                })
            };
            done += self.balance_zones((node, zone.alone()), missing);
        }
        done
    }

    /// Brings zones whose free frames are counted together from below `low` up to `high`.
    fn balance_zones(
        &self,
        (node, zones): (NodeId, Zones),
        missing: impl Fn() -> Missing,
    ) -> Reclaimed {
        let mut done = Reclaimed::default();
        let Missing { low, free, .. } = missing();
        if free >= low {
            return done;
        }
        let aim = Aim { node, zones, who: Who::Background };
        loop {
            let Missing { low, high, free } = missing();
            let round = self.shrink(&aim, high.max(low).saturating_sub(free));
            done += round;
            if round.freed == 0 {
                return done;
            }
        }
    }

    /// Whether a zone of a node has fewer free frames than its share of [`Watermarks::low`]; the
    /// node, where an outside owner has the frames.
    pub fn is_low(&self, node: NodeId) -> bool {
        if self.frames().has_outside_owner() {
            return self.frames().free_frames(node) < self.tuning().watermarks.low;
        }
        self.frames().zones(node).any(|zone| zone.free < zone.low)
    }

    /// How many folios the lists of a node have; pages in CPUs' batches are on none yet.
    pub fn list_sizes(&self, node: NodeId) -> ListSizes {
        let of = |list| self.frames().listed(node, list);
        let unevictable = self.frames().apart(node);
        ListSizes {
            active: of((Kind::Anon, List::Active)),
            inactive: of((Kind::Anon, List::Inactive)),
            active_file: of((Kind::File, List::Active)),
            inactive_file: of((Kind::File, List::Inactive)),
            unevictable,
        }
    }

    /// Does an operation that takes and drops what locks it needs; if it finds no frame, takes
    /// pages out of memory and tries it again: INV-PRESSURE-2.
    ///
    /// # Errors
    /// The operation's.
    #[inline]
    pub(crate) fn relieved<T, E: Shortage>(
        &self,
        mut operation: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        if self.frames().has_lists() {
            self.keep_min();
        }
        let mut tries = Tries::default();
        loop {
            // In one place, so that the operation's code is here.
            match operation() {
                Err(error) if error.is_of_frames() && tries.relieve(self) => {}
                result => return result,
            }
        }
    }

    /// Takes pages out of memory if the CPU's node has too few frames left: no others' while one of
    /// those can still give some, and so none where the CPU's node has no memory.
    #[cold]
    #[inline(never)]
    fn keep_min(&self) {
        let (min, near) = (self.tuning().watermarks.min, self.platform().node());
        let frames = self.frames();
        if min == 0 || self.has_min(near) {
            return;
        }
        let mut others = frames.listed_nodes().filter(|node| *node != near);
        if !others.any(|node| self.has_min(node)) {
            self.stall(self.wanted(0), Search { node: near, reach: Reach::Any });
        } else if frames.listed_nodes().any(|node| node == near) {
            self.stall(self.wanted(0), Search { node: near, reach: Reach::Near });
        }
    }

    /// Whether a node has its share of [`Watermarks::min`] in a zone that serves processes.
    fn has_min(&self, node: NodeId) -> bool {
        match self.frames().has_outside_owner() {
            true => self.frames().free_frames(node) >= self.tuning().watermarks.min,
            false => self.frames().has_min(node, Zone::Movable),
        }
    }

    /// How many pages one wants to leave who has tried so often.
    fn goal(&self, tries: u32) -> u64 {
        u64::from(self.tuning().reclaim_batch.max(1)) << tries.min(MOST_DOUBLED)
    }

    /// How many pages are to leave for an operation that found no frame, and from where: each
    /// further try wants more, and memory that page tables can have, too.
    fn wanted(&self, tries: u32) -> (u64, &'static [Zone]) {
        (self.goal(tries), if tries == 0 { &[Zone::Movable] } else { ALL_ZONES })
    }

    /// Reclaims for somebody who waits for it, or waits for another who does.
    fn stall(&self, (goal, zones): (u64, &[Zone]), search: Search) -> Relief {
        let turns = self.frames().turns();
        let before = turns.ended();
        let _turn = turns.take(self.platform());
        if turns.ended() != before {
            return Relief::Anothers;
        }
        self.count_stall(zones);
        let free = self.frames().total_free();
        self.lru_add_drain_all();
        if self.frames().total_free() > free {
            // Nobody but a batch had them.
            turns.end();
            return Relief::Own;
        }
        if !zones.iter().any(|zone| self.reclaim_near(*zone, goal, search)) {
            return Relief::None;
        }
        turns.end();
        Relief::Own
    }

    /// Takes pages out of memory for an operation that wants so many frames at once, and holds no
    /// lock; whether it is to be tried once more.
    pub(crate) fn make_room(&self, pages: u64) -> bool {
        let wanted = (pages, ALL_ZONES);
        self.frames().has_lists() && self.stall(wanted, self.everywhere()) != Relief::None
    }

    /// From the CPU's node on.
    fn everywhere(&self) -> Search {
        Search { node: self.platform().node(), reach: Reach::Any }
    }

    fn count_stall(&self, zones: &[Zone]) {
        let counters = self.counters();
        counters.allocstall.add(1);
        // By the highest of them: facts 7.17.
        let by_zone = match zones {
            _ if zones.contains(&Zone::Movable) => &counters.allocstall_movable,
            _ if zones.contains(&Zone::Any) => &counters.allocstall_normal,
            _ => &counters.allocstall_dma32,
        };
        by_zone.add(1);
    }

    /// Reclaims from a node, or from another within reach if nothing can leave there; whether
    /// something has left.
    fn reclaim_near(&self, zone: Zone, goal: u64, search: Search) -> bool {
        let Search { node: near, reach } = search;
        let others =
            self.frames().listed_nodes().filter(|node| *node != near && reach == Reach::Any);
        let mut nodes = core::iter::once(near).chain(others);
        nodes.any(|node| self.reclaim_zone(node, zone, goal).freed > 0)
    }

    fn shrink(&self, aim: &Aim, goal: u64) -> Reclaimed {
        let mut done = Reclaimed::default();
        if !self.frames().listed_nodes().any(|node| node == aim.node) {
            return done;
        }
        self.lru_add_drain();
        let mut scans = self.scans(aim.node);
        let mut priority = PRIORITIES;
        let mut files_alone = true;
        while done.freed < goal {
            let shares = self.shares(aim.node, &scans, (priority, files_alone));
            let mut pass = Pass::default();
            // The kind that is to give more comes first: a small goal may be all its own.
            let first = usize::from(shares[1].of(1 << 16) > shares[0].of(1 << 16));
            for at in [first, 1 - first] {
                let (scan, share) = (&mut scans[at], shares[at]);
                let wanted = share.of(goal.saturating_sub(done.freed + pass.freed));
                pass += match wanted {
                    0 => Pass { partly: share.leaves_out(), ..Pass::default() },
                    _ => self.shrink_kind(aim, scan, (wanted, priority), share),
                };
            }
            done += Reclaimed { freed: pass.freed, kept: pass.kept };
            files_alone &= pass.freed > 0;
            if pass.again {
                continue;
            }
            let (stuck, last) = (pass.changed == 0 && !pass.partly, priority == 0);
            if stuck || last && pass.freed == 0 {
                if done.freed > 0 || !self.force(aim.node, &mut scans) {
                    break;
                }
            } else if pass.freed == 0 {
                priority -= 1;
            }
        }
        self.frames().see_activated(aim.node);
        done
    }

    /// Goes once through the lists of a kind.
    fn shrink_kind(
        &self,
        aim: &Aim,
        scan: &mut Scan,
        (goal, priority): (u64, u32),
        share: Share,
    ) -> Pass {
        let of = |list| self.frames().listed(aim.node, (scan.kind, list));
        let (active, mut inactive) = (of(List::Active), of(List::Inactive));
        let most = |len: u64| share.of((len >> priority).max(BATCH as u64));
        let mut changed = 0;
        let asked = scan.activated || scan.starved || scan.forced;
        if inactive < active || asked && active > 0 {
            changed += self.shrink_active(aim, scan.kind, most(active).min(active));
            inactive = of(List::Inactive);
        }
        let look_at = most(inactive).min(inactive);
        let round = self.shrink_inactive(aim, scan.kind, (goal, look_at));
        let was_starved = scan.starved;
        scan.starved = round.looked_at == 0 && round.passed >= inactive;
        let Reclaimed { freed, kept } = round.done;
        Pass {
            freed,
            kept,
            changed: changed + round.changed + freed,
            // Those in use are next, before this ends.
            again: scan.starved && !was_starved && active > 0,
            partly: most(inactive) < inactive || most(active) < active,
        }
    }

    /// Has the last pages of those in use come to the other list. How many another look may find
    /// otherwise: those, and the ones that stay, as what was noted of them is forgotten.
    fn shrink_active(&self, aim: &Aim, kind: Kind, most: u64) -> u64 {
        let (mut left, mut changed) = (most, 0);
        while left > 0 {
            let chosen = self.choose(aim, (kind, List::Active), (left, BATCH));
            let looked = chosen.looked;
            left = left.saturating_sub(looked.all());
            let mut pages = 0;
            for page in chosen.pages() {
                if self.take_use(&page).executes && page.is_of_file() {
                    self.frames().add_cost(aim.node, kind, 1);
                    page.put_back_to(List::Active);
                    changed += 1;
                    continue;
                }
                pages += page.pages();
                self.frames().mark_used(page.head());
                page.put_back_to(List::Inactive);
            }
            self.counters().pgrefill.add(looked.at);
            self.count_passed(&looked);
            self.counters().pgdeactivate.add(pages);
            changed += pages;
            if looked.all() == 0 {
                break;
            }
        }
        changed
    }

    /// Takes pages out of memory, at most so many, after a look at no more than the other number.
    fn shrink_inactive(&self, aim: &Aim, kind: Kind, (goal, most): (u64, u64)) -> Round {
        let (mut round, mut left) = (Round::default(), most);
        while left > 0 && round.done.freed < goal {
            let room = usize::try_from(goal - round.done.freed).unwrap_or(BATCH).min(BATCH);
            let chosen = self.choose(aim, (kind, List::Inactive), (left, room));
            let looked = chosen.looked;
            left = left.saturating_sub(looked.all());
            round.looked_at += looked.at;
            round.passed += looked.all() - looked.at;
            let mut activated = 0;
            let idle = chosen.pages().filter_map(|page| match self.fate(&page) {
                Fate::Leaves => Some(page),
                Fate::Stays => {
                    round.changed += 1;
                    page.put_back_to(List::Inactive);
                    None
                }
                Fate::InUse => {
                    round.changed += 1;
                    activated += page.pages();
                    self.age_by_use(page.head());
                    page.put_back_to(List::Active);
                    None
                }
            });
            let done = self.swap_out(idle);
            round.done += done;
            self.count(aim.who, looked.at, done.freed);
            let in_vain = looked.at.saturating_sub(done.freed);
            if in_vain > 0 {
                self.frames().add_cost(aim.node, kind, in_vain);
            }
            self.count_passed(&looked);
            self.counters().pgactivate.add(activated);
            if looked.all() == 0 {
                break;
            }
        }
        round
    }

    fn count(&self, who: Who, scanned: u64, freed: u64) {
        let counters = self.counters();
        match who {
            Who::Direct => {
                counters.pgscan_direct.add(scanned);
                counters.pgsteal_direct.add(freed);
            }
            Who::Background => {
                counters.pgscan_kswapd.add(scanned);
                counters.pgsteal_kswapd.add(freed);
            }
        }
    }

    fn count_passed(&self, looked: &Looked) {
        let [low, normal, movable] = looked.passed;
        let counters = self.counters();
        counters.pgskip_dma32.add(low);
        counters.pgskip_normal.add(normal);
        counters.pgskip_movable.add(movable);
    }

    /// Isolates the last pages of a list, no more than there is room for.
    fn choose(
        &self,
        aim: &Aim,
        (kind, list): (Kind, List),
        (most, room): (u64, usize),
    ) -> Chosen<'_, P> {
        let (pages, looked) = ([Pfn(0); BATCH], Looked::default());
        let mut chosen = Chosen { mem: self, list, pages, used: 0, looked };
        let take = |pfn| {
            chosen.pages[chosen.used] = pfn;
            chosen.used += 1;
        };
        chosen.looked = self.frames().isolate_last(
            (aim.node, (kind, list)),
            (aim.zones, most.min(MOST_LOOKED_AT), room.min(BATCH)),
            take,
        );
        chosen
    }
}

/// Pages off a list, with the references that keep them.
struct Chosen<'m, P: Platform> {
    mem: &'m Memory<P>,
    list: List,
    pages: [Pfn; BATCH],
    used: usize,
    looked: Looked,
}

impl<'m, P: Platform> Chosen<'m, P> {
    fn pages(&self) -> impl Iterator<Item = Isolated<'m, P>> + use<'_, 'm, P> {
        self.pages[..self.used].iter().filter_map(|pfn| self.mem.adopt_listed(*pfn, self.list))
    }
}

/// How often an operation has been tried since it last came further.
#[derive(Default)]
pub(crate) struct Tries(u32);

impl Tries {
    /// Takes pages out of memory for an operation that has found no frame and holds no lock;
    /// whether it is to be tried again.
    pub(crate) fn relieve<P: Platform>(&mut self, mem: &Memory<P>) -> bool {
        let tries = self.0;
        self.0 += 1;
        mem.frames().has_lists()
            && tries < RETRIES
            && mem.stall(mem.wanted(tries), mem.everywhere()) != Relief::None
    }
}

#[cfg(test)]
mod tests;
