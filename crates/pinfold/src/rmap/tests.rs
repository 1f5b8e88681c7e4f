//! Families: who is listed, whom a walk visits, and what becomes of slots.
//!
//! The model knows of each member its parent, when it was born and whether it lives; who may map a
//! page follows from that, and from who touched it and when.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::vec::Vec;

use core::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::addr::{Pfn, SpaceId};
use crate::rules::RmapCheck;

/// One thread: nobody ever sleeps.
struct Awake;

impl Park for Awake {
    fn park(&self, word: &AtomicU32, seen: u32) {
        assert_ne!(word.load(Ordering::Relaxed), seen, "the only thread sleeps");
    }

    fn unpark(&self, _: &AtomicU32) {}
}

fn mm(id: u64) -> Mm {
    Mm { id: SpaceId(id), root: Pfn(id) }
}

/// A look-up that finds the page mapped.
fn mapped(seat: Seat) -> Lookup<impl Fn() -> bool> {
    Lookup::new(seat.home, RmapCheck::AfterLock, || true)
}

/// Whom a walk for a page with this home visits, in order.
fn visited(families: &AnonRegistry, seat: Seat) -> Vec<u64> {
    let mut seen = Vec::new();
    let members = families.lock(&mapped(seat), &Awake).unwrap().unwrap();
    members.walk(seat.home, |mm, _| {
        seen.push(mm.id.0);
        Walk::On
    });
    seen
}

struct Member {
    parent: Option<usize>,
    /// How many forks there had been, of anybody.
    born: usize,
    areas: u64,
    home: Seat,
}

struct Touched {
    by: usize,
    at: usize,
    home: Seat,
}

struct Model {
    families: AnonRegistry,
    members: Vec<Member>,
    pages: Vec<Touched>,
    most: usize,
}

#[derive(Clone, Debug)]
enum Op {
    Fork(usize),
    Split(usize),
    Leave(usize),
    Touch(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let who = 0..1000_usize;
    prop_oneof![
        4 => who.clone().prop_map(Op::Fork),
        1 => who.clone().prop_map(Op::Split),
        4 => who.clone().prop_map(Op::Leave),
        3 => who.prop_map(Op::Touch),
    ]
}

impl Model {
    fn new() -> Self {
        let families = AnonRegistry::new();
        let home = families.found(mm(0), &Awake, 0).unwrap();
        let first = Member { parent: None, born: 0, areas: 1, home };
        Self { families, members: Vec::from([first]), pages: Vec::new(), most: 1 }
    }

    fn live(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|at| self.members[*at].areas > 0).collect()
    }

    fn step(&mut self, op: &Op) {
        let live = self.live();
        let (Op::Fork(who) | Op::Split(who) | Op::Leave(who) | Op::Touch(who)) = *op;
        let Some(who) = live.get(who % live.len().max(1)).copied() else { return };
        let (born, home) = (self.members.len(), self.members[who].home);
        match op {
            Op::Fork(_) => {
                let child = mm(born as u64);
                let areas = self.members[who].areas;
                for _ in 0..areas {
                    let (child, parent) = self
                        .families
                        .join(home, child, &Awake, &mut self.families.reserve(1))
                        .unwrap();
                    self.members[who].home = parent;
                    if self.members.len() == born {
                        let parent = Some(who);
                        self.members.push(Member { parent, born, areas, home: child });
                    }
                }
            }
            Op::Split(_) => {
                self.families.again(home, &Awake);
                self.members[who].areas += 1;
            }
            Op::Leave(_) => {
                self.families.leave(home, &Awake, 0);
                self.members[who].areas -= 1;
            }
            Op::Touch(_) => self.pages.push(Touched { by: who, at: born, home }),
        }
        self.most = self.most.max(self.live().len());
    }

    /// The members that may map the page: who touched it, and whom it has forked since, with all of
    /// theirs.
    fn may_map(&self, page: &Touched) -> BTreeSet<u64> {
        let inherits = |at: usize| {
            let (mut at, mut below) = (at, None);
            loop {
                if at == page.by {
                    return below.is_none_or(|child: usize| self.members[child].born >= page.at);
                }
                let Some(parent) = self.members[at].parent else { return false };
                (below, at) = (Some(at), parent);
            }
        };
        self.live().into_iter().filter(|at| inherits(*at)).map(|at| at as u64).collect()
    }

    fn check(&self) {
        for page in &self.pages {
            let wanted = self.may_map(page);
            if wanted.is_empty() {
                continue;
            }
            let seen = visited(&self.families, page.home);
            let set: BTreeSet<u64> = seen.iter().copied().collect();
            assert_eq!(set.len(), seen.len(), "nobody is visited twice: {seen:?}");
            assert!(wanted.is_subset(&set), "{wanted:?} may map it, {seen:?} are asked");
            if self.members[page.by].areas > 0 {
                assert_eq!(wanted, set, "while its owner lives nobody else is asked");
            }
            for (at, id) in seen.iter().enumerate() {
                let parent = self.members[*id as usize].parent.map(|parent| parent as u64);
                let later = &seen[at..];
                assert!(parent.is_none_or(|parent| !later.contains(&parent)), "INV-RMAP-2");
            }
        }
        let made = self.families.slots.made() as usize;
        assert!(made <= 2 * self.most + 1, "{made} slots for {} members at most", self.most);
    }
}

#[test]
fn a_walk_visits_all_that_may_map_the_page_and_while_its_owner_lives_nobody_else() {
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&vec(op(), 1..120), |ops| {
            let mut model = Model::new();
            for op in &ops {
                model.step(op);
                model.check();
            }
            for who in model.live() {
                for _ in 0..model.members[who].areas {
                    model.families.leave(model.members[who].home, &Awake, 0);
                }
            }
            let made = model.families.slots.made();
            for id in 0..u64::from(made) {
                model.families.found(mm(id), &Awake, 0).unwrap();
            }
            assert_eq!(model.families.slots.made(), made, "every slot came back");
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_star_a_chain_and_a_zygote_whose_children_die() {
    let families = AnonRegistry::new();
    let first = families.found(mm(0), &Awake, 0).unwrap();
    let mut home = first;
    let mut children = Vec::new();
    for id in 1..=1000 {
        let (child, parent) =
            families.join(home, mm(id), &Awake, &mut families.reserve(1)).unwrap();
        home = parent;
        children.push(child);
    }
    assert_eq!(visited(&families, children[500]), [501], "its siblings have nothing of it");
    assert_eq!(visited(&families, home), [0], "nor have children of what came after them");
    assert_eq!(visited(&families, first).len(), 1001);
    for child in children {
        families.leave(child, &Awake, 0);
    }
    assert_eq!(visited(&families, first), [0]);
    let mut line = Vec::from([home]);
    for id in 2000..12000 {
        let (child, parent) =
            families.join(line[line.len() - 1], mm(id), &Awake, &mut families.reserve(1)).unwrap();
        *line.last_mut().unwrap() = parent;
        line.push(child);
    }
    assert_eq!(visited(&families, first).len(), 10001);
    assert_eq!(visited(&families, line[10000]), [11999]);
    for home in line {
        families.leave(home, &Awake, 0);
    }
}

#[test]
fn a_line_of_processes_that_fork_and_exit_does_not_grow() {
    let families = AnonRegistry::new();
    let mut home = families.found(mm(0), &Awake, 0).unwrap();
    let mut old = Vec::new();
    for id in 1..10_000 {
        let (child, parent) =
            families.join(home, mm(id), &Awake, &mut families.reserve(1)).unwrap();
        old.push(home);
        families.leave(parent, &Awake, 0);
        home = child;
        for home in &old {
            assert_eq!(visited(&families, *home), [id], "it may have what any ancestor had");
        }
        old.truncate(8);
    }
    assert!(families.slots.made() <= 4, "{} slots", families.slots.made());
    families.leave(home, &Awake, 0);
}

#[test]
fn who_asks_again_is_told_nothing_of_a_family_that_has_ended() {
    let families = AnonRegistry::new();
    let home = families.found(mm(1), &Awake, 0).unwrap();
    let left = Cell::new(false);
    let reuse = Cell::new(false);
    // Between the first question and the second the page is unmapped, and its space leaves.
    let unmapped = || {
        if left.replace(true) {
            return false;
        }
        families.leave(home, &Awake, 0);
        if reuse.get() {
            families.found(mm(2), &Awake, 0).unwrap();
        }
        true
    };
    let ask = |check| Lookup::new(home.home, check, &unmapped);
    assert!(matches!(families.lock(&ask(RmapCheck::AfterLock), &Awake), Ok(None)));
    let again = |id| {
        let next = families.found(mm(id), &Awake, 0).unwrap();
        assert!(next.home.same_member(home.home), "the slot is used again");
        left.set(false);
        next
    };
    again(3);
    assert!(matches!(families.hold(&ask(RmapCheck::AfterLock), None), Ok(None)));
    again(4);
    assert!(matches!(families.lock(&ask(RmapCheck::BeforeLock), &Awake), Err(Lost::Freed)));
    again(5);
    assert!(matches!(families.hold(&ask(RmapCheck::BeforeLock), None), Err(Lost::Freed)));
    reuse.set(true);
    again(6);
    assert!(matches!(families.lock(&ask(RmapCheck::BeforeLock), &Awake), Err(Lost::Reused)));
    left.set(false);
    assert!(matches!(families.hold(&ask(RmapCheck::BeforeLock), None), Err(Lost::Reused)));
    left.set(false);
    assert!(matches!(families.lock(&ask(RmapCheck::AfterLock), &Awake), Ok(None)));
}

#[test]
fn a_page_that_stays_mapped_after_its_family_is_noticed_by_every_walker() {
    let families = AnonRegistry::new();
    let home = families.found(mm(1), &Awake, 0).unwrap();
    families.leave(home, &Awake, 0);
    assert!(matches!(families.lock(&mapped(home), &Awake), Err(Lost::Freed)));
    assert!(matches!(families.hold(&mapped(home), None), Err(Lost::Freed)));
    let stranger = families.found(mm(2), &Awake, 0).unwrap();
    assert!(matches!(families.lock(&mapped(home), &Awake), Err(Lost::Reused)));
    assert!(matches!(families.hold(&mapped(home), None), Err(Lost::Reused)));
    assert_eq!(visited(&families, stranger), [2]);
}

#[test]
fn a_page_without_a_home_has_no_family() {
    let families = AnonRegistry::new();
    let none = Home::from_bits(0);
    assert!(matches!(families.lock(&mapped(Seat::new(none)), &Awake), Ok(None)));
    assert!(matches!(families.hold(&mapped(Seat::new(none)), None), Ok(None)));
}

#[test]
fn a_family_that_is_held_is_not_used_again_before_it_is_let_go() {
    let families = AnonRegistry::new();
    let home = families.found(mm(1), &Awake, 0).unwrap();
    let (child, _) = families.join(home, mm(2), &Awake, &mut families.reserve(1)).unwrap();
    let hold = families.hold(&mapped(home), None).unwrap().unwrap();
    families.leave(home, &Awake, 0);
    families.leave(child, &Awake, 0);
    let mut seen = 0;
    hold.lock(&Awake).walk(home.home, |_, _| {
        seen += 1;
        Walk::On
    });
    assert_eq!(seen, 0, "all members have left");
    let others = [3, 4].map(|id| families.found(mm(id), &Awake, 0).unwrap());
    assert!(!others.iter().any(|other| other.home.same_member(home.home)));
    drop(hold);
    assert!(families.found(mm(5), &Awake, 0).unwrap().home.same_member(home.home));
}

#[test]
fn a_count_of_forks_at_its_end_makes_walks_longer_and_loses_nobody() {
    let families = AnonRegistry::new();
    let home = families.found(mm(1), &Awake, 0).unwrap();
    // SAFETY: one thread, and no reference to the links lives.
    unsafe { families.slots.node(home.home.slot()).links.write() }.forks = u32::MAX - 1;
    let mut parent = home;
    for id in 2..6 {
        (_, parent) = families.join(home, mm(id), &Awake, &mut families.reserve(1)).unwrap();
    }
    assert_eq!(parent.home.forks(), u32::MAX);
    let (child, parent) = families.join(parent, mm(6), &Awake, &mut families.reserve(1)).unwrap();
    let seen = visited(&families, parent);
    assert!([1, 6].iter().all(|id| seen.contains(id)), "{seen:?}");
    assert!(!seen.contains(&2), "born before the count was at its end");
    families.leave(child, &Awake, 0);
    // A worn slot serves its family to the end, and nobody after that.
    for id in 7..10 {
        let (child, _) = families.join(parent, mm(id), &Awake, &mut families.reserve(1)).unwrap();
        families.leave(child, &Awake, 0);
    }
    let rest: Vec<u64> = visited(&families, home);
    assert_eq!(rest, [1, 5, 4, 3, 2]);
}

#[test]
fn a_walk_that_is_told_to_stop_does() {
    let families = AnonRegistry::new();
    let home = families.found(mm(1), &Awake, 0).unwrap();
    families.join(home, mm(2), &Awake, &mut families.reserve(1)).unwrap();
    let mut seen = 0;
    families.lock(&mapped(home), &Awake).unwrap().unwrap().walk(home.home, |_, _| {
        seen += 1;
        Walk::Stop
    });
    assert_eq!(seen, 1);
}

#[test]
fn what_a_fork_has_reserved_and_not_used_is_free_again() {
    let families = AnonRegistry::new();
    let home = families.found(mm(1), &Awake, 0).unwrap();
    let mut reserve = families.reserve(100);
    families.join(home, mm(2), &Awake, &mut reserve).unwrap();
    let made = families.slots.made();
    let left = made - 2;
    assert!((1..99).contains(&left), "{left} slots were taken ahead, which is not a batch");
    drop(reserve);
    let mut reserve = families.reserve(1);
    for id in 3..3 + left {
        families.join(home, mm(u64::from(id)), &Awake, &mut reserve).unwrap();
    }
    drop(reserve);
    assert_eq!(families.slots.made(), made, "what is left in a reserve is lost");
    families.join(home, mm(99), &Awake, &mut families.reserve(1)).unwrap();
    assert_eq!(families.slots.made(), made + 1, "one that is going to need one takes one");
}

/// An [`AnonRegistry`] of two CPUs with stocks.
fn stocked() -> AnonRegistry {
    let mut families = AnonRegistry::new();
    families.stock_up(2).expect("the heap has room");
    families
}

#[test]
fn memory_of_families_passes_between_cpus_and_comes_back() {
    let families = stocked();
    for round in 0..50 {
        let (founder, leaver) = (round % 2, round / 2 % 2);
        let found = |id| families.found(mm(id), &Awake, founder).unwrap();
        let seats: Vec<Seat> = (1..=20).map(found).collect();
        let slots: std::collections::BTreeSet<u32> =
            seats.iter().map(|seat| seat.home.slot()).collect();
        assert_eq!(slots.len(), 20, "no slot is in two families");
        seats.into_iter().for_each(|seat| families.leave(seat, &Awake, leaver));
    }
    assert!(families.slots.made() <= 20 + 2 * 16, "two batches of eight for each CPU");
}

#[test]
fn threads_found_families_in_slots_of_their_own() {
    let families = stocked();
    let run = |cpu: usize| {
        for id in 0..300 {
            let seats = [0, 1, 2].map(|n| families.found(mm(3 * id + n), &Awake, cpu).unwrap());
            for (n, seat) in (0..).zip(seats) {
                assert_eq!(visited(&families, seat), [3 * id + n], "nobody else's");
            }
            // What one CPU has founded the other ends, now and then.
            seats.into_iter().for_each(|seat| families.leave(seat, &Awake, (cpu + 1) % 2));
        }
    };
    std::thread::scope(|scope| {
        [0, 1].into_iter().for_each(|cpu| drop(scope.spawn(move || run(cpu))));
    });
    assert!(families.slots.made() <= 6 + 2 * 16);
}
