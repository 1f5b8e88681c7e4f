//! What is done to the lists that reclaim chooses from, and to the batches before them: the
//! protocol of `lru`.

use super::flags::{Flags, HOME_MASK, node_of, zone_of};
use super::frames::Frames;
use super::lru::{
    ACTIVE, APART, Batched, Drained, Entered, FILE, Kind, List, Lru, ON, REFERENCED, Refaults,
    Settled, Turns, USED, Used,
};
use super::zones::{ZONES, Zones};
use crate::addr::{NodeId, Pfn};
use crate::error::NoMemory;
use crate::sync::AtomicU64;

/// What a look at the end of a list has met.
#[derive(Clone, Copy, Default)]
pub(crate) struct Looked {
    /// Pages of the zones that were wanted.
    pub(crate) at: u64,
    /// Those of the others, by zone, the lowest first.
    pub(crate) passed: [u64; ZONES],
}

impl Looked {
    /// All of them.
    pub(crate) fn all(&self) -> u64 {
        self.at + self.passed.iter().sum::<u64>()
    }
}

impl Frames {
    /// Has lists of pages, with batches of so many for `cpus` CPUs; none, if that is zero.
    ///
    /// # Errors
    /// When the heap is exhausted, or the machine has more frames than links can name.
    pub(crate) fn list_up(&mut self, cpus: usize, batch: u32) -> Result<(), NoMemory> {
        let (base, frames) = (self.metadata().base(), self.metadata().all().len());
        self.lru = match batch {
            0 => None,
            1.. => Some(Lru::new((base, frames), self.store.nodes().len(), cpus, batch)?),
        };
        self.forgets |= self.lru.is_some();
        Ok(())
    }

    /// Names their words, and others that lie beside the frames, for a trace, once they have their
    /// place.
    pub(crate) fn label_lists(&self) {
        if let Some(lru) = &self.lru {
            lru.label();
        }
        if let Some(last) = &self.last_faults {
            last.label();
        }
    }

    /// Whether there are lists.
    #[inline]
    pub(crate) fn has_lists(&self) -> bool {
        self.lru.is_some()
    }

    /// The lists, for one who has found that there are some.
    fn lists(&self) -> &Lru {
        match &self.lru {
            Some(lru) => lru,
            None => unreachable!("the caller has found that there are lists"),
        }
    }

    /// The turns of those who reclaim, for one who has found that there are lists.
    pub(crate) fn turns(&self) -> &Turns {
        &self.lists().turns
    }

    /// Whether a page is on a list, of which the caller knows that there are some.
    pub(crate) fn is_listed(&self, head: Pfn) -> bool {
        self.lists().marks(head).read_once() & ON != 0
    }

    /// Puts a page into the batch of a CPU, which has the caller's reference then.
    pub(crate) fn add_to_batch(&self, cpu: usize, pfn: Pfn) -> Batched {
        let lru = self.lists();
        let mut batch = lru.batch(cpu);
        let used = batch.used;
        if used == lru.full {
            return Batched::Full;
        }
        batch.pages[used] = pfn.0;
        batch.used = used + 1;
        if used + 1 == lru.full { Batched::Last } else { Batched::Waits }
    }

    /// Puts the pages of a CPU's batch on their lists. Their references are the caller's.
    pub(crate) fn drain_batch(&self, cpu: usize) -> Drained {
        let lru = self.lists();
        let mut drained = Drained::of(core::mem::take(&mut *lru.batch(cpu)));
        for node in (0..lru.nodes.len()).map(|node| NodeId(node as u8)) {
            let mut locked = None;
            for at in 0..drained.len() {
                let pfn = drained.page(at);
                if self.node(pfn) == node {
                    let lens = locked.get_or_insert_with(|| lru.lock(node));
                    let entered = lru.enter_marked(lens, node, pfn);
                    drained.note(entered);
                }
            }
        }
        drained
    }

    /// How many CPUs have batches.
    pub(crate) fn batches(&self) -> usize {
        self.lru.as_ref().map_or(0, |lru| lru.batches.iter().count())
    }

    /// Puts a page, which the caller has and is on no list, on one; or apart.
    pub(crate) fn list(&self, head: Pfn, list: List) -> Entered {
        let (lru, node) = (self.lists(), self.node(head));
        lru.enter(&mut lru.lock(node), (node, list), head)
    }

    /// As [`Frames::list`], where it leaves next.
    pub(crate) fn list_last(&self, head: Pfn, list: List) -> Entered {
        let (lru, node) = (self.lists(), self.node(head));
        lru.enter_last(&mut lru.lock(node), (node, list), head)
    }

    /// A page, of which the caller has a reference, counts its first locked entry, or none any
    /// more: INV-LRU-4.
    pub(crate) fn settle_locks(&self, head: Pfn) -> Settled {
        self.lists().settle(self.node(head), head, || self.locks(head).read_once() != 0)
    }

    /// The list that a page is on, or was before the caller isolated it.
    pub(crate) fn list_of(&self, head: Pfn) -> List {
        List::of(self.lists().marks(head).read_once())
    }

    /// Isolates a page, of which the caller has a reference; whether it was where it could.
    pub(crate) fn unlist(&self, head: Pfn) -> bool {
        let lru = self.lists();
        let was_on = lru.marks(head).fetch_and(!ON) & ON != 0;
        if was_on {
            lru.leave(&mut lru.lock(self.node(head)), head);
        }
        was_on
    }

    /// Isolates pages from the end of a list, at most as many as there is room for, after a look at
    /// no more than `most`: each gets a reference, which is the caller's, as the page is. Those of
    /// other zones are passed over: they go to the list's other end (facts 7.17).
    pub(crate) fn isolate_last(
        &self,
        (node, (kind, list)): (NodeId, (Kind, List)),
        (zones, most, mut room): (Zones, u64, usize),
        mut take: impl FnMut(Pfn),
    ) -> Looked {
        let lru = self.lists();
        let mut lens = lru.lock(node);
        let own = lru.own(node, (kind, list));
        let most = most.min(lens.on[kind as usize][list as usize]);
        let mut looked = Looked::default();
        while looked.all() < most && room > 0 {
            let place = lru.links(own).before;
            let pfn = lru.pfn(place);
            let zone = zone_of(self.frame(pfn).flags.fixed(HOME_MASK));
            let helps = zones.0 >> zone & 1 != 0;
            match helps {
                true => looked.at += 1,
                false => looked.passed[zone as usize] += 1,
            }
            if !helps || self.frame(pfn).try_gain(1, i32::MAX as u32).is_err() {
                // Another zone's, or about to be freed.
                lru.cut(place);
                lru.push(own, place);
            } else if lru.marks(pfn).fetch_and(!ON) & ON == 0 {
                // Who has isolated it waits for the lock, so this is not its last reference.
                let _ = self.frame(pfn).put(1);
                lru.cut(place);
                lru.push(own, place);
            } else {
                lru.leave(&mut lens, pfn);
                room -= 1;
                take(pfn);
            }
        }
        looked
    }

    /// The nodes that have lists.
    pub(crate) fn listed_nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        let nodes = self.lru.as_ref().map_or(0, |lru| lru.nodes.len());
        (0..nodes).map(|node| NodeId(node as u8))
    }

    /// How many pages a list of a node has; none, if there are no lists.
    pub(crate) fn listed(&self, node: NodeId, (kind, list): (Kind, List)) -> u64 {
        match &self.lru {
            Some(lru) if usize::from(node.0) < lru.nodes.len() => {
                lru.lock(node).on[kind as usize][list as usize]
            }
            _ => 0,
        }
    }

    /// How many pages of a node are apart; none, if there are no lists.
    pub(crate) fn apart(&self, node: NodeId) -> u64 {
        match &self.lru {
            Some(lru) if usize::from(node.0) < lru.nodes.len() => lru.lock(node).apart,
            _ => 0,
        }
    }

    /// Marks a page as in use; whether it was marked.
    pub(crate) fn mark_referenced(&self, head: Pfn) -> bool {
        self.lists().marks(head).fetch_or(REFERENCED) & REFERENCED != 0
    }

    /// As [`Frames::mark_referenced`], of a page that is accessed by its file; whether it was
    /// marked and is on the list of those not in use, so that it goes to the other.
    pub(crate) fn mark_accessed(&self, head: Pfn) -> bool {
        let marks = self.lists().marks(head);
        if marks.read_once() & (ON | ACTIVE | APART | REFERENCED) == ON | REFERENCED {
            return true;
        }
        marks.fetch_or(REFERENCED);
        false
    }

    /// Takes that mark off.
    pub(crate) fn clear_referenced(&self, head: Pfn) {
        self.lists().marks(head).fetch_and(!REFERENCED);
    }

    /// A page that was in use goes to the list of the others.
    pub(crate) fn mark_used(&self, head: Pfn) {
        self.lists().marks(head).fetch_or(USED);
    }

    /// Whether a page has been in use ([`Frames::mark_used`]).
    pub(crate) fn used(&self, head: Pfn) -> Used {
        Used::of(self.lists().marks(head).read_once())
    }

    /// A page that is on no list yet is to come to that of those in use.
    pub(crate) fn begin_in_use(&self, pfn: Pfn, used: Used) {
        self.lists().marks(pfn).fetch_or(ACTIVE | used.mark());
    }

    /// A page that is on no list, and that the caller has, is of a file.
    pub(crate) fn begin_as_file(&self, pfn: Pfn) {
        self.lists().marks(pfn).fetch_or(FILE);
    }

    /// A private page that is on a list, and whose contents may go, is among those of files.
    pub(crate) fn turn_to_file(&self, pfn: Pfn) {
        self.lists().turn_to_file(self.node(pfn), pfn);
    }

    /// A private page that the caller has isolated keeps its contents: it is one of the others.
    pub(crate) fn turn_to_anon(&self, pfn: Pfn) {
        self.lists().marks(pfn).fetch_and(!FILE);
    }

    /// A page that takes the place of one that the caller has isolated is to come to that one's
    /// list.
    pub(crate) fn inherit_list(&self, from: Pfn, to: Pfn) {
        let lru = self.lists();
        let marks = lru.marks(from).read_once() & (ACTIVE | USED | APART);
        if marks != 0 {
            lru.marks(to).fetch_or(marks);
        }
    }

    /// A node's age, which grows by so much: as it was before.
    pub(crate) fn grow_old(&self, node: NodeId, by: u64) -> u64 {
        self.lists().ages[usize::from(node.0)].fetch_add(by)
    }

    fn refaults(&self, node: NodeId, kind: Kind) -> &Refaults {
        &self.lists().refaults[usize::from(node.0)][kind as usize]
    }

    /// A page of a node has come back as in use.
    pub(crate) fn count_activated(&self, node: NodeId, kind: Kind) {
        self.refaults(node, kind).activated.fetch_add(1);
    }

    /// Whether a page of a node has come back as in use since reclaim of the node ended last.
    pub(crate) fn has_activated(&self, node: NodeId, kind: Kind) -> bool {
        let refaults = self.refaults(node, kind);
        refaults.activated.read_once() != refaults.seen.read_once()
    }

    /// Reclaim of a node ends.
    pub(crate) fn see_activated(&self, node: NodeId) {
        for kind in Kind::ALL {
            let refaults = self.refaults(node, kind);
            refaults.seen.write_once(refaults.activated.read_once());
        }
    }

    /// Reclaim of a kind has cost so much more.
    pub(crate) fn add_cost(&self, node: NodeId, kind: Kind, cost: u64) {
        self.refaults(node, kind).cost.fetch_add(cost);
    }

    /// What reclaim of each kind has cost lately: of both half as much, as often as it takes until
    /// they are together no more than `most`.
    pub(crate) fn costs(&self, node: NodeId, most: u64) -> [u64; 2] {
        let costs = Kind::ALL.map(|kind| &self.refaults(node, kind).cost);
        let now = costs.map(AtomicU64::read_once);
        let mut halved = now;
        while halved[0] + halved[1] > most {
            halved = halved.map(|cost| cost / 2);
        }
        if halved != now {
            costs.into_iter().zip(halved).for_each(|(cost, halved)| cost.write_once(halved));
        }
        halved
    }

    /// A node's age.
    pub(crate) fn age(&self, node: NodeId) -> u64 {
        self.lists().ages[usize::from(node.0)].read_once()
    }

    /// Calls `visit` for every page in a batch, which has a reference of it, while nothing else
    /// runs: not a step of an exploration, but for the locks.
    pub(crate) fn each_batched(&self, mut visit: impl FnMut(Pfn)) {
        let Some(lru) = &self.lru else { return };
        for batch in lru.batches.iter() {
            let batch = batch.alone();
            batch.pages[..batch.used].iter().for_each(|pfn| visit(Pfn(*pfn)));
        }
    }

    /// What is wrong with the lists while nothing else runs, if anything is: INV-LRU-1, and
    /// INV-LRU-3 to INV-LRU-5.
    pub(crate) fn wrong_with_lists(&self) -> Option<(Pfn, &'static str)> {
        let lru = self.lru.as_ref()?;
        let (mut on, mut apart) = (0, 0);
        for (node, lens) in (0..).map(NodeId).zip(&lru.nodes) {
            let lens = lens.lock();
            for (kind, list) in Kind::ALL.into_iter().flat_map(List::each_of) {
                let own = lru.own(node, (kind, list));
                let (mut at, mut len) = (own, 0);
                loop {
                    let next = lru.links(at).after;
                    if lru.links(next).before != at {
                        return Some((
                            lru.pfn(next),
                            "has another neighbour than its neighbour says",
                        ));
                    }
                    if next == own {
                        break;
                    }
                    let (pfn, marks) = (lru.pfn(next), lru.marks(lru.pfn(next)).peek());
                    let home = node_of(self.frame(pfn).flags.peek());
                    let its_own = (Kind::of(marks), List::of(marks)) == (kind, list);
                    let here = marks & (ON | APART) == ON && its_own;
                    if !here || home != node {
                        return Some((pfn, "is on a list that is not its own"));
                    }
                    (at, len) = (next, len + 1);
                    if len > lens.on[kind as usize][list as usize] {
                        return Some((pfn, "is on a list that has more pages than it counts"));
                    }
                }
                if len != lens.on[kind as usize][list as usize] {
                    return Some((lru.pfn(0), "is of a node one of whose lists counts wrongly"));
                }
                on += len;
            }
            apart += lens.apart;
        }
        let marked = || self.all().filter(|pfn| lru.marks(*pfn).peek() & ON != 0);
        let is_apart = |pfn: &Pfn| lru.marks(*pfn).peek() & APART != 0;
        let mut wrong = marked().filter(|pfn| (self.peek_locks(*pfn) != 0) != is_apart(pfn));
        if let Some(pfn) = wrong.next() {
            return Some((pfn, "is apart without being locked, or locked and not apart"));
        }
        if marked().filter(is_apart).count() as u64 != apart {
            return Some((lru.pfn(0), "is of a machine that counts wrongly what is apart"));
        }
        if marked().count() as u64 != on + apart {
            return marked()
                .last()
                .map(|pfn| (pfn, "may be marked as on a list that it is not on"));
        }
        let freed = |pfn: &Pfn| self.peek_counts(*pfn).refs() == 0;
        let mut kept = self.all().filter(|pfn| lru.marks(*pfn).peek() != 0);
        if let Some(pfn) = kept.find(freed) {
            return Some((pfn, "is free and has marks of a page"));
        }
        // One whose contents may go has the other flag.
        let own = (Flags::FILE | Flags::LAZY_FREE).bits();
        let is_private = |pfn: &Pfn| self.frame(*pfn).flags.peek() & own == 0;
        let mut of_files = self.all().filter(|pfn| lru.marks(*pfn).peek() & FILE != 0);
        of_files.find(is_private).map(|pfn| (pfn, "is private and is among pages of files"))
    }
}
