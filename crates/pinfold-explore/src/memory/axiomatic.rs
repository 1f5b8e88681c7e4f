//! The weaker models: what each access adds to the graph of events, and which of its options the
//! axioms allow.
//!
//! * Under TSO every store releases and every load acquires. That adds nothing to the axioms of TSO
//!   themselves, and determines which plain accesses are ordered.
//! * `Full` is a sequentially consistent fence, the relaxed access, and another such fence.
//! * Locks are words of their own ([`locks`]); starts and ends of lanes, and under the weak model
//!   all fences, are events too: the order between accesses may pass through them.

mod locks;

use super::{
    graph::{Act, Graph, Handed, LONG, Location},
    picture::{Located, Made, Picture},
    tso,
    views::{Rules, Views},
    weak,
    words::Words,
};
use crate::{
    ledger::Name,
    object::Object,
    op::{Behind, CellOp, Done, Miss},
    order::{Mode, Order},
    watch::Watch,
};

/// The consistency required beyond coherence and atomicity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axioms {
    Tso,
    Weak,
}

/// What an ordering means for an access.
#[derive(Clone, Copy)]
struct Shape {
    fenced_before: bool,
    acquires: bool,
    releases: bool,
    sc: bool,
    fenced_after: bool,
}

impl Shape {
    fn new(axioms: Axioms, act: Act, order: Order) -> Self {
        let weak = axioms == Axioms::Weak;
        let full = order == Order::Full;
        let sc = order == Order::SeqCst;
        Self {
            fenced_before: full,
            acquires: !weak || matches!(order, Order::Acquire | Order::AcqRel | Order::SeqCst),
            releases: !weak || matches!(order, Order::Release | Order::AcqRel | Order::SeqCst),
            sc: weak && sc,
            // x86 compiles a sequentially consistent store to an exchange.
            fenced_after: full || (!weak && sc && act == Act::Write),
        }
    }

    fn handed(self) -> Handed {
        if self.releases { Handed::Present } else { Handed::Fence }
    }
}

/// See the module.
pub(super) struct Axiomatic {
    axioms: Axioms,
    graph: Graph,
    /// Kept for a search that remembers states.
    views: Option<Views>,
    tso: tso::Checker,
    weak: weak::Checker,
    /// The current lifetime of each cell.
    current: Vec<Location>,
    /// By lock.
    locks: Vec<Words>,
    /// Looked at where the execution is long.
    pub(super) watch: Watch,
}

impl Axiomatic {
    pub(super) fn new(axioms: Axioms, keeps_views: bool) -> Self {
        Self {
            axioms,
            graph: Graph::default(),
            views: keeps_views.then(|| {
                Views::new(match axioms {
                    Axioms::Tso => Rules::Tso,
                    Axioms::Weak => Rules::Weak,
                })
            }),
            tso: tso::Checker::default(),
            weak: weak::Checker::default(),
            current: Vec::new(),
            locks: Vec::new(),
            watch: Watch::default(),
        }
    }

    /// Begins an execution with this many lanes.
    pub(super) fn begin(&mut self, lanes: usize) {
        self.graph.begin(lanes);
        if let Some(views) = &mut self.views {
            views.begin(lanes);
        }
        self.current.clear();
        self.locks.iter_mut().for_each(Words::clear);
    }

    /// A new lifetime of the cell begins with the value `now`.
    pub(super) fn meet(&mut self, cell: Object, now: u64) {
        let location = self.graph.add_location(now);
        if let Some(views) = &mut self.views {
            views.add_location(location);
        }
        let cell = cell as usize;
        if self.current.len() <= cell {
            self.current.resize(cell + 1, usize::MAX);
        }
        self.current[cell] = location;
    }

    /// Puts the options of an access into `options`, the ordinary one first.
    pub(super) fn options(
        &mut self,
        lane: usize,
        cell: Object,
        access: &CellOp,
        behind: impl FnOnce() -> Behind,
        options: &mut Vec<u32>,
    ) {
        let location = self.current[cell as usize];
        let last = self.graph.last(location);
        if access.accepts(self.graph.value(location, last)) {
            options.push(0);
        }
        if last == 0 {
            return;
        }
        let mut lowest = self.graph.floor(lane, location);
        // A search that remembers states has to know what an option that is withheld depends on.
        let newest = self.graph.newest(location);
        let may_withhold = self.views.is_none() || newest == last;
        if lowest < last && may_withhold && behind() == Behind::Withheld {
            lowest = lowest.max(newest);
        }
        for position in (lowest..last).rev() {
            if access.accepts(self.graph.value(location, position))
                && self.is_atomic(access, location, position)
                && self.is_consistent(lane, access, location, position)
            {
                options.push((last - position) as u32);
            }
        }
    }

    /// The act and the ordering of the access if it reads the store at `position` or is placed
    /// right after it.
    fn outcome(&self, access: &CellOp, location: Location, position: usize) -> (Act, Order) {
        match access {
            CellOp::Store { order, .. } => (Act::Write, *order),
            CellOp::Rmw { success, failure, miss, update } => {
                match update.call(self.graph.value(location, position)) {
                    Some(_) => (Act::Update, *success),
                    // A locked instruction is a fence whether it writes or not.
                    None if (self.axioms, *miss) == (Axioms::Tso, Miss::Locked) => {
                        (Act::Read, Order::Full)
                    }
                    None => (Act::Read, *failure),
                }
            }
            CellOp::Load(order) | CellOp::Wait { order, .. } => (Act::Read, *order),
        }
    }

    /// INV-GRAPH-2, for a place that is not the last.
    fn is_atomic(&self, access: &CellOp, location: Location, position: usize) -> bool {
        self.graph.made_by(location, position + 1) != Act::Update
            || self.outcome(access, location, position).0 == Act::Read
    }

    /// Whether the axioms allow the access at a position that is not the last.
    fn is_consistent(
        &mut self,
        lane: usize,
        access: &CellOp,
        location: Location,
        position: usize,
    ) -> bool {
        let (act, order) = self.outcome(access, location, position);
        self.admits(lane, act, Shape::new(self.axioms, act, order), location, position)
    }

    /// Whether the axioms allow an event of the lane at a position of its location. No when the
    /// watch ends the execution.
    fn admits(
        &mut self,
        lane: usize,
        act: Act,
        shape: Shape,
        location: Location,
        position: usize,
    ) -> bool {
        if self.is_over() {
            return false;
        }
        let store = self.graph.store(location, position);
        let acquired = shape.acquires.then_some(store);
        let bound = self
            .views
            .as_ref()
            .map(|views| views.bound(lane, act, location, acquired, shape.fenced_before));
        let mark = self.graph.mark(lane);
        if shape.fenced_before {
            self.fence_graph(lane, Order::SeqCst);
        }
        let coherent = position >= self.graph.floor(lane, location);
        if act != Act::Write && shape.acquires {
            self.graph.join_handed_on(lane, self.graph.store(location, position));
        }
        let candidate = self.graph.candidate(lane, act, shape.sc, location, position);
        let consistent = coherent
            && match self.axioms {
                Axioms::Weak => self.weak.allows(&self.graph, candidate, &self.watch),
                Axioms::Tso => self.tso.allows(&self.graph, candidate, &self.watch),
            };
        self.graph.take_back(mark);
        debug_assert!(
            bound.is_none_or(|bound| consistent == (position >= bound))
                || shape.sc
                || self.has_sc_accesses()
                || self.is_over(),
            "the views say {bound:?} of {act:?} at {position}, and the axioms {consistent}"
        );
        consistent
    }

    /// Whether an access was sequentially consistent by itself: views do not describe those.
    fn has_sc_accesses(&self) -> bool {
        self.graph.sc_events.iter().any(|&event| self.graph.events[event].act != Act::Fence)
    }

    /// Whether the watch has ended a long execution, so that checks say no.
    fn is_over(&self) -> bool {
        self.graph.events.len() >= LONG && self.watch.is_over()
    }

    /// Executes an access with one of its options.
    pub(super) fn execute(
        &mut self,
        lane: usize,
        cell: Object,
        access: &CellOp,
        option: u32,
    ) -> Done {
        let location = self.current[cell as usize];
        let last = self.graph.last(location);
        let position = last.saturating_sub(option as usize);
        let (act, order) = self.outcome(access, location, position);
        let shape = Shape::new(self.axioms, act, order);
        if shape.fenced_before {
            self.fence(lane, Order::SeqCst);
        }
        let mut old = self.graph.value(location, position);
        let mut new = old;
        let base = self.graph.store(location, position);
        if act != Act::Write {
            if shape.acquires {
                self.graph.join_handed_on(lane, base);
                if let Some(views) = &mut self.views {
                    views.acquire_store(lane, base);
                }
            } else {
                self.graph.may_acquire(lane, base);
                if let Some(views) = &mut self.views {
                    views.may_acquire(lane, base);
                }
            }
        }
        match access {
            CellOp::Store { value, .. } => {
                old = self.graph.value(location, last);
                new = *value;
            }
            CellOp::Rmw { update, .. } => new = update.call(old).unwrap_or(old),
            CellOp::Load(_) | CellOp::Wait { .. } => {}
        }
        let store = if act == Act::Read { base } else { self.graph.next_store() };
        self.graph.access(lane, act, shape.sc, location, store);
        if act == Act::Read {
            if let Some(views) = &mut self.views {
                views.read(lane, location, (position, last), base);
            }
        } else {
            self.write(lane, location, position + 1, (act, new), shape.handed());
        }
        if shape.fenced_after {
            self.fence(lane, Order::SeqCst);
        }
        let latest = self.graph.value(location, self.graph.last(location));
        Done { old, new, done: act != Act::Read, latest }
    }

    /// Puts a store of the lane, which is an event already, into modification order.
    fn write(
        &mut self,
        lane: usize,
        location: Location,
        position: usize,
        (act, value): (Act, u64),
        handed: Handed,
    ) {
        let base = self.graph.store(location, position - 1);
        let store = self.graph.next_store();
        let last = self.graph.last(location);
        self.graph.insert(lane, location, position, (act, value), handed);
        if let Some(views) = &mut self.views {
            views.write(lane, act, location, (position, last), base);
            views.hand_on(lane, handed == Handed::Present);
        }
        if act == Act::Update {
            self.graph.continue_release(store, base);
            if let Some(views) = &mut self.views {
                views.continue_release(store, base);
            }
        }
    }

    /// A fence of the lane.
    pub(super) fn fence(&mut self, lane: usize, order: Order) {
        self.fence_graph(lane, order);
        let sc = matches!(order, Order::SeqCst | Order::Full);
        if self.axioms == Axioms::Tso {
            if sc && let Some(views) = &mut self.views {
                views.fence(lane);
            }
            return;
        }
        if (sc || matches!(order, Order::Acquire | Order::AcqRel))
            && let Some(views) = &mut self.views
        {
            views.acquire(lane);
        }
        if sc && let Some(views) = &mut self.views {
            views.fence(lane);
        }
        if (sc || matches!(order, Order::Release | Order::AcqRel))
            && let Some(views) = &mut self.views
        {
            views.release(lane);
        }
    }

    fn fence_graph(&mut self, lane: usize, order: Order) {
        let sc = matches!(order, Order::SeqCst | Order::Full);
        if self.axioms == Axioms::Tso {
            if sc {
                self.graph.order(lane, Act::Fence, false);
            }
            return;
        }
        if sc || matches!(order, Order::Acquire | Order::AcqRel) {
            self.graph.acquire(lane);
        }
        let act = if sc { Act::Fence } else { Act::Point };
        self.graph.order(lane, act, sc);
        if sc || matches!(order, Order::Release | Order::AcqRel) {
            self.graph.release(lane);
        }
    }

    /// The lane learns of what was handed over under the number of a lock.
    pub(super) fn take_over(&mut self, lane: usize, lock: Object) {
        self.graph.known.acquire(lane, lock, Mode::Exclusive);
        if let Some(views) = &mut self.views {
            views.acquire_lock(lane, lock, Mode::Exclusive);
        }
        self.meets_another(lane);
    }

    /// The lane hands over what it did under the number of a lock.
    pub(super) fn hand_over(&mut self, lane: usize, lock: Object) {
        self.point(lane);
        self.graph.known.release(lane, lock, Mode::Exclusive);
        if let Some(views) = &mut self.views {
            views.release_lock(lane, lock, Mode::Exclusive);
        }
    }

    /// The locations of a cell or lock, each with a tag.
    fn locations(&self, object: Object) -> impl Iterator<Item = (u64, Location)> + '_ {
        let words = self.locks.get(object as usize).into_iter().flat_map(Words::all);
        let cell = self.current.get(object as usize).copied().filter(|&at| at != usize::MAX);
        words.chain(cell.map(|location| (0, location)))
    }

    pub(super) fn is_lock(&self, object: Object) -> bool {
        self.locks.get(object as usize).is_some_and(|words| words.all().next().is_some())
    }

    /// Whether a read by this access acquires; `done` is whether it wrote.
    pub(super) fn acquires(&self, access: &CellOp, done: bool) -> bool {
        let order = match access {
            CellOp::Store { .. } => return false,
            CellOp::Rmw { success, .. } if done => *success,
            CellOp::Rmw { failure, .. } => *failure,
            CellOp::Load(order) | CellOp::Wait { order, .. } => *order,
        };
        self.axioms == Axioms::Tso
            || matches!(order, Order::Acquire | Order::AcqRel | Order::SeqCst | Order::Full)
    }

    /// Whether the access may be sequentially consistent by itself.
    pub(super) fn is_sc_access(&self, access: &CellOp) -> bool {
        let orders = match access {
            CellOp::Store { order, .. } | CellOp::Load(order) | CellOp::Wait { order, .. } => {
                [*order; 2]
            }
            CellOp::Rmw { success, failure, .. } => [*success, *failure],
        };
        self.axioms == Axioms::Weak && orders.contains(&Order::SeqCst)
    }

    /// The location that the cell has now, if it has one.
    fn located(&self, cell: Object) -> Option<Location> {
        self.current.get(cell as usize).copied().filter(|&at| at != usize::MAX)
    }

    /// Whether the last store to the cell was executed last.
    pub(super) fn ends_with_newest(&self, cell: Object) -> bool {
        self.located(cell).is_none_or(|at| self.graph.newest(at) == self.graph.last(at))
    }

    /// Whether the lane can read no store to the cell but the last.
    pub(super) fn sees_last(&self, lane: usize, cell: Object) -> bool {
        let sees = |views: &Views, at| {
            lane < views.lanes.len() && views.least(lane, at) as usize == self.graph.last(at)
        };
        self.located(cell).is_none_or(|at| {
            self.graph.last(at) == 0 || self.views.as_ref().is_some_and(|views| sees(views, at))
        })
    }

    /// The lanes that have accessed a cell or lock.
    pub(super) fn touched(&self, object: Object) -> u32 {
        let Some(views) = &self.views else { return 0 };
        self.locations(object).fold(0, |lanes, (_, at)| lanes | views.touched[at])
    }

    /// What decides what may follow as far as these objects go, if views are kept.
    pub(super) fn picture(
        &self,
        objects: &[(Name, Object)],
        apart: Vec<Name>,
        living: u32,
    ) -> Option<Picture> {
        let views = self.views.as_ref()?;
        let mut places: Vec<Located> = Vec::new();
        for &(name, object) in objects {
            let is_lock = self.is_lock(object);
            for (tag, location) in self.locations(object) {
                let last = self.graph.last(location) as u32;
                places.push(Located { name, tag, object, location, is_lock, last });
            }
        }
        places.sort_unstable_by_key(|place| (place.name, place.tag));
        let made = |location, position: u32| {
            let position = position as usize;
            let update = self.graph.made_by(location, position) == Act::Update;
            let store = self.graph.store(location, position);
            Made { value: self.graph.value(location, position), update, store }
        };
        Some(Picture::take(views, &places, apart, living, made))
    }

    /// What the last store to a cell hands on.
    pub(super) fn handed_on(&self, cell: Object) -> Option<&[u32]> {
        let &location = self.current.get(cell as usize)?;
        if location == usize::MAX {
            return None;
        }
        Some(self.graph.handed_on(self.graph.store(location, self.graph.last(location))))
    }

    /// What locks and lanes that have ended hand on.
    pub(super) fn all_known(&self) -> &super::known::Known {
        &self.graph.known
    }

    /// What happens before the next event of the lane.
    pub(super) fn known(&self, lane: usize) -> &[u32] {
        self.graph.known.to(lane)
    }

    /// Whether everything done at a place, by a lane that ended, happens before the next access of
    /// the lane.
    pub(super) fn knows_end(&self, lane: usize, place: usize) -> bool {
        self.graph.known.knows_end(lane, place)
    }

    /// `parent` starts a lane.
    pub(super) fn spawn(&mut self, parent: usize, lane: usize) {
        self.graph.widen(lane + 1);
        self.point(parent);
        self.graph.spawn(parent, lane);
        if let Some(views) = &mut self.views {
            views.spawn(parent, lane);
        }
        self.meets_another(lane);
    }

    /// The lane with this number, at this place, has ended.
    pub(super) fn end(&mut self, lane: usize, number: usize) {
        self.point(lane);
        self.graph.known.end(lane, number);
        if let Some(views) = &mut self.views {
            views.end(lane, number);
        }
    }

    /// The lane has seen that the lane with this number ended.
    pub(super) fn join(&mut self, lane: usize, number: usize) {
        self.graph.known.join(lane, number);
        if let Some(views) = &mut self.views {
            views.join_lane(lane, number);
        }
        self.meets_another(lane);
    }

    /// What the lane did until now may happen before what others do.
    fn point(&mut self, lane: usize) {
        if self.axioms == Axioms::Weak {
            self.graph.order(lane, Act::Point, false);
        }
    }

    /// The lane has learnt of another lane by something other than one of its stores. Under TSO it
    /// waits until all stores that it learns of have left their buffers.
    fn meets_another(&mut self, lane: usize) {
        let act = match self.axioms {
            Axioms::Tso => Act::Fence,
            Axioms::Weak => Act::Point,
        };
        if act == Act::Fence
            && let Some(views) = &mut self.views
        {
            views.fence(lane);
        }
        self.graph.order(lane, act, false);
    }
}
