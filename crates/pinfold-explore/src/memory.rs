//! What a load may return.
//!
//! An access has *options*: numbers `k` that say how many stores back from the latest (in
//! modification order) a load reads, or before how many stores a store is placed. Option 0 is the
//! sequentially consistent one, is always allowed, and is the only one under [`Model::Sc`].
//!
//! The weaker models are [`axiomatic`]: [`graph`] keeps the execution as a graph of events, and an
//! option is allowed if the graph with it is consistent. Consistency of both models is closed under
//! prefixes of (program order and reads-from), and option 0 always keeps it; that is all that the
//! search relies on.
//!
//! All models keep the happens-before order, so that [`race`] can detect unordered accesses.

mod axiomatic;
mod graph;
mod known;
mod picture;
mod race;
mod sequential;
mod tso;
mod views;
mod weak;
mod words;

use crate::{
    ledger::Name,
    model::Model,
    object::Object,
    op::{Behind, CellOp, Done},
    order::{Mode, Order},
    watch::Watch,
};
use axiomatic::{Axiomatic, Axioms};
pub(crate) use picture::{Picture, Toucher};
pub(crate) use race::{Actor, Life, Plain, Race, Reach};
use race::{Mark, Races};
use sequential::Sequential;

/// What hands on what happened before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source<T> {
    /// The latest store to a cell.
    Cell(T),
    /// The lanes that held a lock alone.
    Exclusive(T),
    /// The lanes that shared a lock.
    Shared(T),
    /// The end of the lane with this number.
    End(usize),
}

/// Where a lane will do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    Object(Object),
    Plain(usize),
    /// At something here that nobody has met yet.
    Unmet(usize),
    /// At something that nobody has met yet, in no region that was declared.
    New,
    /// Anywhere.
    Somewhere,
}

/// The state that a model keeps of an execution.
enum Kept {
    Sequential(Sequential),
    Axiomatic(Box<Axiomatic>),
}

/// The memory of one execution.
pub(crate) struct Memory {
    /// The value that is latest in modification order, by object. `None` for locks and for cells
    /// that were forgotten.
    latest: Vec<Option<u64>>,
    kept: Kept,
    races: Races,
}

impl Memory {
    /// `remembers` is whether the search remembers states.
    pub(crate) fn new(model: Model, remembers: bool) -> Self {
        let kept = match model {
            Model::Sc => Kept::Sequential(Sequential::default()),
            Model::Tso => Kept::Axiomatic(Box::new(Axiomatic::new(Axioms::Tso, remembers))),
            Model::Weak => Kept::Axiomatic(Box::new(Axiomatic::new(Axioms::Weak, remembers))),
        };
        Self { latest: Vec::new(), kept, races: Races::default() }
    }

    /// What interrupts the check of an access.
    pub(crate) fn set_watch(&mut self, watch: &Watch) {
        if let Kept::Axiomatic(kept) = &mut self.kept {
            kept.watch = watch.clone();
        }
    }

    /// Forgets everything, for the next execution.
    pub(crate) fn begin(&mut self) {
        self.latest.clear();
        self.races.clear();
    }

    /// The execution begins with this many lanes.
    pub(crate) fn lanes(&mut self, lanes: usize) {
        match &mut self.kept {
            Kept::Sequential(kept) => kept.begin(lanes),
            Kept::Axiomatic(kept) => kept.begin(lanes),
        }
    }

    /// The cell is about to be accessed and holds `now`: its initial value, if the cell is new.
    /// Returns whether it is.
    pub(crate) fn meet(&mut self, cell: Object, now: u64) -> bool {
        let index = cell as usize;
        if self.latest.len() <= index {
            self.latest.resize(index + 1, None);
        }
        if self.latest[index].is_some() {
            return false;
        }
        self.latest[index] = Some(now);
        match &mut self.kept {
            Kept::Sequential(kept) => kept.meet(cell),
            Kept::Axiomatic(kept) => kept.meet(cell, now),
        }
        true
    }

    /// The next access to the cell starts from what the cell then holds; the lock hands nothing
    /// over.
    pub(crate) fn forget(&mut self, object: Object) {
        if let Some(latest) = self.latest.get_mut(object as usize) {
            *latest = None;
        }
        match &mut self.kept {
            Kept::Sequential(kept) => kept.known.forget(object),
            Kept::Axiomatic(kept) => kept.forget(object),
        }
    }

    /// The lane is about to touch the cell. Returns the race with an unordered access, if there is
    /// one.
    pub(crate) fn reach(&mut self, by: Actor, cell: Object, reach: Reach) -> Option<Race> {
        self.races.reach_cell(by, cell, reach, self.kept.known(by.lane))
    }

    /// The lane touches plain memory. Returns the race with an unordered access, if there is one.
    pub(crate) fn reach_plain(&mut self, by: Actor, addr: usize, access: Plain) -> Option<Race> {
        self.races.reach_plain(by, addr, access, self.kept.known(by.lane))
    }

    /// The lane gives up the memory in `range`, a start and a length. Returns the race with an
    /// unordered access to plain memory there, if there is one.
    pub(crate) fn end(&mut self, by: Actor, range: (usize, usize)) -> Option<Race> {
        self.races.end(by, range, self.kept.known(by.lane))
    }

    /// The lane reinitialises the cells in `range`, including those not met yet. Returns the race
    /// with an unordered earlier reinitialisation of a part of it, if there is one.
    pub(crate) fn renew(&mut self, by: Actor, range: (usize, usize)) -> Option<Race> {
        self.races.renew(by, range, self.kept.known(by.lane))
    }

    /// What the lane knows to have happened before its next access.
    pub(crate) fn known(&self, lane: usize) -> &[u32] {
        self.kept.known(lane)
    }

    /// Whether everything that must happen before what `lane` will do at `spot` is known to one of
    /// `clocks`. What begins in a declared region lies in it as a whole.
    pub(crate) fn is_ordered<'a>(
        &self,
        spot: Spot,
        (lane, reach): (usize, Reach),
        clocks: impl Iterator<Item = &'a [u32]> + Clone,
        is_declared: impl Fn(usize) -> bool,
    ) -> bool {
        let known = |mark: &Mark| clocks.clone().any(|clock| mark.is_known_to(clock));
        match spot {
            Spot::Object(object) => self.races.rivals_at_cell(object, lane, reach).all(known),
            Spot::Plain(addr) => self.races.rivals_at_plain(addr, lane, reach).all(known),
            Spot::Unmet(addr) => {
                let around = |start, len| addr.wrapping_sub(start) < len;
                self.races.renewals(lane, around).all(known)
            }
            Spot::New => {
                let mut renewals = self.races.renewals(lane, |start, _| !is_declared(start));
                renewals.all(known)
            }
            Spot::Somewhere => self.races.renewals(lane, |_, _| true).all(known),
        }
    }

    /// What is handed on there now.
    pub(crate) fn handed_on(&self, from: Source<Object>) -> Option<&[u32]> {
        let known = match &self.kept {
            Kept::Sequential(kept) => &kept.known,
            Kept::Axiomatic(kept) => kept.all_known(),
        };
        match from {
            Source::Cell(cell) => match &self.kept {
                Kept::Sequential(kept) => kept.handed_on(cell),
                Kept::Axiomatic(kept) => kept.handed_on(cell),
            },
            Source::Exclusive(lock) => known.exclusive(lock),
            Source::Shared(lock) => known.shared(lock),
            Source::End(number) => known.ended(number),
        }
    }

    /// Whether the store to the cell that is last in modification order is the one that was
    /// executed last. No under sequential consistency, where nobody asks.
    pub(crate) fn ends_with_newest(&self, cell: Object) -> bool {
        match &self.kept {
            Kept::Sequential(_) => false,
            Kept::Axiomatic(kept) => kept.ends_with_newest(cell),
        }
    }

    /// Whether the lane can read no store to the cell but the last, under the weaker models.
    pub(crate) fn sees_last(&self, lane: usize, cell: Object) -> bool {
        match &self.kept {
            Kept::Sequential(_) => true,
            Kept::Axiomatic(kept) => kept.sees_last(lane, cell),
        }
    }

    /// Whether it is sequentially consistent.
    pub(crate) fn is_sequential(&self) -> bool {
        matches!(self.kept, Kept::Sequential(_))
    }

    /// The lanes that have accessed what lies there now, under the weaker models.
    pub(crate) fn touched(&self, object: Object) -> u32 {
        match &self.kept {
            Kept::Sequential(_) => 0,
            Kept::Axiomatic(kept) => {
                let ended = self.latest.get(object as usize).is_some_and(Option::is_none);
                if ended && !kept.is_lock(object) { 0 } else { kept.touched(object) }
            }
        }
    }

    /// What decides what may follow as far as these objects go, under the weaker models; `living`
    /// are the lanes that have not ended.
    pub(crate) fn picture(
        &self,
        objects: &[(Name, Object)],
        apart: Vec<Name>,
        living: u32,
    ) -> Option<Picture> {
        match &self.kept {
            Kept::Sequential(_) => None,
            Kept::Axiomatic(kept) => kept.picture(objects, apart, living),
        }
    }

    /// Whether the lane learns, by this access with this option, what the last store hands on.
    pub(crate) fn learns(&self, access: &CellOp, option: u32, done: bool) -> bool {
        match &self.kept {
            Kept::Sequential(_) => true,
            Kept::Axiomatic(kept) => option == 0 && kept.acquires(access, done),
        }
    }

    /// Whether the access is sequentially consistent by itself, under the weak model.
    pub(crate) fn is_sc_access(&self, access: &CellOp) -> bool {
        match &self.kept {
            Kept::Sequential(_) => false,
            Kept::Axiomatic(kept) => kept.is_sc_access(access),
        }
    }

    /// The cell at `addr` is met for the first time.
    pub(crate) fn find(&mut self, cell: Object, addr: usize) {
        self.races.find(cell, addr);
    }

    fn latest(&self, cell: Object) -> u64 {
        self.latest.get(cell as usize).copied().flatten().unwrap_or(0)
    }

    /// Puts the options of an access into `options`, the ordinary one first. None when the lane has
    /// to wait.
    pub(crate) fn options(
        &mut self,
        lane: usize,
        cell: Object,
        access: &CellOp,
        behind: impl FnOnce() -> Behind,
        options: &mut Vec<u32>,
    ) {
        options.clear();
        if let Kept::Axiomatic(kept) = &mut self.kept {
            return kept.options(lane, cell, access, behind, options);
        }
        if access.accepts(self.latest(cell)) {
            options.push(0);
        }
    }

    /// Puts the options of an attempt at a lock into `options`, the ordinary one first.
    pub(crate) fn attempts(
        &mut self,
        lane: usize,
        lock: Object,
        mode: Mode,
        behind: impl FnOnce() -> Behind,
        options: &mut Vec<u32>,
    ) {
        match &mut self.kept {
            Kept::Sequential(_) => {
                options.clear();
                options.push(0);
            }
            Kept::Axiomatic(kept) => kept.attempts(lane, lock, mode, behind, options),
        }
    }

    /// Executes an access to a cell with one of its options.
    pub(crate) fn execute(
        &mut self,
        lane: usize,
        cell: Object,
        access: &CellOp,
        option: u32,
    ) -> Done {
        let before = self.latest(cell);
        let done = match &mut self.kept {
            Kept::Axiomatic(kept) => kept.execute(lane, cell, access, option),
            Kept::Sequential(kept) => {
                let new = access.writes(before);
                match access {
                    CellOp::Store { .. } => {}
                    CellOp::Load(_) | CellOp::Rmw { .. } | CellOp::Wait { .. } => {
                        kept.load(lane, cell);
                    }
                }
                if new.is_some() {
                    kept.store(lane, cell);
                }
                let latest = new.unwrap_or(before);
                Done { old: before, new: latest, done: new.is_some(), latest }
            }
        };
        if let Some(latest) = self.latest.get_mut(cell as usize) {
            *latest = Some(done.latest);
        }
        done
    }

    /// A fence.
    pub(crate) fn fence(&mut self, lane: usize, order: Order) {
        if let Kept::Axiomatic(kept) = &mut self.kept {
            kept.fence(lane, order);
        }
    }

    /// The lane has taken a lock.
    pub(crate) fn take(&mut self, lane: usize, lock: Object, mode: Mode) {
        match &mut self.kept {
            Kept::Sequential(kept) => kept.known.acquire(lane, lock, mode),
            Kept::Axiomatic(kept) => kept.take(lane, lock, mode),
        }
    }

    /// The lane releases a lock.
    pub(crate) fn give_back(&mut self, lane: usize, lock: Object, mode: Mode) {
        match &mut self.kept {
            Kept::Sequential(kept) => kept.known.release(lane, lock, mode),
            Kept::Axiomatic(kept) => kept.give_back(lane, lock, mode),
        }
    }

    /// The lane's attempt at a lock failed, with one of its options.
    pub(crate) fn fail(&mut self, lane: usize, lock: Object, mode: Mode, option: u32) {
        if let Kept::Axiomatic(kept) = &mut self.kept {
            kept.fail(lane, lock, mode, option);
        }
    }

    /// Puts the options of a lane that waits until no lane holds the lock exclusively into
    /// `options`, the ordinary one first. None when it has to wait. `free` is whether no lane holds
    /// it so now.
    pub(crate) fn unlocked(
        &mut self,
        lane: usize,
        lock: Object,
        free: bool,
        behind: impl FnOnce() -> Behind,
        options: &mut Vec<u32>,
    ) {
        options.clear();
        match &mut self.kept {
            Kept::Sequential(_) if free => options.push(0),
            Kept::Sequential(_) => {}
            Kept::Axiomatic(kept) => kept.unlocked(lane, lock, behind, options),
        }
    }

    /// The lane sees that no lane holds the lock exclusively, with one of its options.
    pub(crate) fn see_unlocked(&mut self, lane: usize, lock: Object, option: u32) {
        match &mut self.kept {
            Kept::Sequential(kept) => kept.known.acquire(lane, lock, Mode::Shared),
            Kept::Axiomatic(kept) => kept.see_unlocked(lane, lock, option),
        }
    }

    /// The lane asked for a lock that it holds: the result is known, and concerns no other lane.
    pub(crate) fn ask_again(&mut self, lane: usize) {
        if let Kept::Axiomatic(kept) = &mut self.kept {
            kept.drain(lane);
        }
    }

    /// The lane hands over what it did until now, under the number of a lock.
    pub(crate) fn hand_over(&mut self, lane: usize, lock: Object) {
        match &mut self.kept {
            Kept::Sequential(kept) => kept.known.release(lane, lock, Mode::Exclusive),
            Kept::Axiomatic(kept) => kept.hand_over(lane, lock),
        }
    }

    /// The lane learns of what was handed over.
    pub(crate) fn take_over(&mut self, lane: usize, lock: Object) {
        match &mut self.kept {
            Kept::Sequential(kept) => kept.known.acquire(lane, lock, Mode::Exclusive),
            Kept::Axiomatic(kept) => kept.take_over(lane, lock),
        }
    }

    /// `parent` starts a lane.
    pub(crate) fn spawn(&mut self, parent: usize, lane: usize) {
        match &mut self.kept {
            Kept::Sequential(kept) => kept.spawn(parent, lane),
            Kept::Axiomatic(kept) => kept.spawn(parent, lane),
        }
    }

    /// The lane with this number, at this place, has ended.
    pub(crate) fn end_lane(&mut self, lane: usize, number: usize) {
        match &mut self.kept {
            Kept::Sequential(kept) => kept.known.end(lane, number),
            Kept::Axiomatic(kept) => kept.end(lane, number),
        }
    }

    /// The lane has seen that the lane with this number ended.
    pub(crate) fn join(&mut self, lane: usize, number: usize) {
        match &mut self.kept {
            Kept::Sequential(kept) => kept.known.join(lane, number),
            Kept::Axiomatic(kept) => kept.join(lane, number),
        }
    }

    /// Whether everything done at a place, by a lane that ended, happens before the next access of
    /// the lane.
    pub(crate) fn knows_end(&self, lane: usize, place: usize) -> bool {
        match &self.kept {
            Kept::Sequential(kept) => kept.known.knows_end(lane, place),
            Kept::Axiomatic(kept) => kept.knows_end(lane, place),
        }
    }
}

impl Kept {
    /// What happens before the next access of the lane.
    fn known(&self, lane: usize) -> &[u32] {
        match self {
            Self::Sequential(kept) => kept.known.to(lane),
            Self::Axiomatic(kept) => kept.known(lane),
        }
    }
}
