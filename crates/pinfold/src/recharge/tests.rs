//! Moves of charges: which pages move, which stay, and that every count goes with its page.

use crate::testing::{
    Audit, Disk, Mem, Rig, Space, load, machine, map, map_file, map_shared, pages, rules, space,
    store,
};
use crate::{
    Access, FileSharing, Group, Prot, Recharged, Small, SpaceError, Term, Tuning, VirtAddr,
};

const RW: Prot = Prot::READ_WRITE;

/// Both released places of the lock, and the variants that no release had: one after the other
/// these are right, too.
const PLACES: [&str; 5] = ["in-rmap", "mover", "mover-waits", "around-counts", "none"];

struct World {
    mem: Mem<Small>,
    from: Group<Rig<Small>>,
    to: Group<Rig<Small>>,
    space: Space<Small>,
}

fn world(place: &str, limit: u64) -> World {
    let rules = rules(&std::format!("pinfold,memcg-lock={place}"));
    let mem = machine::<Small>(rules, &[64], Tuning::default());
    let from = Group::new(&mem, u64::MAX).unwrap();
    let to = Group::new(&mem, limit).unwrap();
    let space = space(&mem);
    space.join(&from);
    World { mem, from, to, space }
}

impl World {
    fn check(&self, others: &[&Space<Small>]) {
        let audit = Audit::of(&self.mem).space(&self.space).group(&self.from).group(&self.to);
        others.iter().fold(audit, |audit, space| audit.space(space)).check();
    }
}

fn moved(moved: u64) -> Result<Recharged, SpaceError> {
    Ok(Recharged { moved, stayed: 0 })
}

#[test]
fn the_pages_of_the_range_move_with_all_that_is_counted_of_them() {
    for place in PLACES {
        let world = world(place, 10);
        let World { mem, from, to, space } = &world;
        let file = Disk::default().file(mem, 2);
        map(space, 1, 3, RW);
        map_file(space, 8, file.run(0..2), FileSharing::Shared);
        for page in [1, 2, 3, 8, 9] {
            store(space, page, page).unwrap();
        }
        file.sync_pages(1..2).unwrap();
        space.mlock(pages(2, 1)).unwrap();
        assert_eq!(space.move_charge(pages(2, 8), from, to), moved(4), "{place}");
        assert_eq!((from.charged(), to.charged()), (1, 4));
        let stats = to.stats();
        assert_eq!((stats.nr_anon_pages, stats.nr_mlock, stats.nr_file_pages), (2, 1, 2));
        assert_eq!((stats.nr_mapped, stats.nr_dirty, stats.nr_shmem), (2, 1, 0));
        world.check(&[]);
        assert_eq!(space.move_charge(pages(2, 8), from, to), moved(0), "they are there");
        // What comes is charged as before.
        space.unmap(pages(2, 1)).unwrap();
        map(space, 2, 1, RW);
        store(space, 2, 5).unwrap();
        assert_eq!((from.charged(), to.charged()), (2, 3));
        world.check(&[]);
    }
}

#[test]
fn pages_of_third_groups_or_of_none_stay() {
    for place in PLACES {
        let world = world(place, 10);
        let World { mem, from, to, space } = &world;
        let third = Group::new(mem, 10).unwrap();
        map(space, 1, 3, RW);
        store(space, 1, 1).unwrap();
        space.leave_group();
        store(space, 2, 2).unwrap();
        space.join(&third);
        store(space, 3, 3).unwrap();
        assert_eq!(space.move_charge(pages(1, 3), from, to), moved(1), "{place}");
        assert_eq!((from.charged(), to.charged(), third.charged()), (0, 1, 1));
        assert_eq!(space.move_charge(pages(1, 3), to, to), moved(0));
        world.check(&[]);
        Audit::of(mem).space(space).group(&third).check();
    }
}

#[test]
fn past_the_limit_nothing_moves() {
    for place in PLACES {
        let world = world(place, 2);
        let World { from, to, space, .. } = &world;
        map(space, 1, 2, RW);
        map_shared(space, 8, 1);
        for page in [1, 2, 8] {
            store(space, page, 1).unwrap();
        }
        let over = space.move_charge(pages(1, 8), from, to);
        assert_eq!(over, Err(SpaceError::OverLimit { limit: 2 }), "{place}");
        assert_eq!((from.charged(), to.charged()), (3, 0));
        assert_eq!(space.move_charge(pages(2, 8), from, to), moved(2), "{place}");
        assert_eq!((from.charged(), to.charged()), (1, 2));
        world.check(&[]);
        let outside = space.move_charge(pages(0, 1), from, to);
        assert!(matches!(outside, Err(SpaceError::OutsideLimits(_))), "{outside:?}");
    }
}

#[test]
fn a_page_that_is_in_memory_and_not_mapped_here_moves_unless_it_is_mapped_elsewhere_since_6_2() {
    for (place, stays) in
        [("in-rmap", 0), ("mover", 1), ("mover-waits", 1), ("around-counts", 0), ("none", 0)]
    {
        let world = world(place, 10);
        let World { mem, from, to, space } = &world;
        let second = crate::testing::space(mem);
        second.join(from);
        let file = Disk::default().file(mem, 3).paid_by(from);
        map_file(space, 1, file.run(0..3), FileSharing::Shared);
        map_file(&second, 1, file.run(0..3), FileSharing::Shared);
        store(&second, 2, 1).unwrap();
        store(space, 3, 1).unwrap();
        load(&second, 3).unwrap();
        space.unmap(pages(2, 1)).unwrap();
        map_file(space, 2, file.run(1..2), FileSharing::Private);
        // After all faults, which would show it around.
        file.read(0, |_| ()).unwrap();
        let result = space.move_charge(pages(1, 3), from, to);
        assert_eq!(result, Ok(Recharged { moved: 3 - stays, stayed: stays }), "{place}");
        assert_eq!((from.charged(), to.charged()), (stays, 3 - stays));
        Audit::of(mem).space(space).space(&second).file(&file).group(from).group(to).check();
    }
}

#[test]
fn a_shared_private_page_moves_for_all_and_a_pinned_one_like_any() {
    for place in PLACES {
        let world = world(place, 10);
        let World { from, to, space, .. } = &world;
        map(space, 1, 2, RW);
        store(space, 1, 1).unwrap();
        store(space, 2, 1).unwrap();
        let child = space.fork().unwrap();
        let pins = space.pin(pages(2, 1), Access::Write, Term::Long).unwrap();
        assert_eq!(child.move_charge(pages(1, 1), from, to), moved(1), "{place}");
        assert_eq!(space.move_charge(pages(2, 1), from, to), moved(1), "{place}");
        assert_eq!((from.charged(), to.charged()), (1, 2), "the child has the page of before");
        drop(pins);
        world.check(&[&child]);
        drop(child);
        world.check(&[]);
    }
}

#[test]
fn a_copy_in_a_private_file_mapping_moves_and_counts_as_anonymous() {
    for place in PLACES {
        let world = world(place, 10);
        let World { mem, from, to, space } = &world;
        let file = Disk::default().file(mem, 2);
        map_file(space, 1, file.run(0..2), FileSharing::Private);
        store(space, 1, 1).unwrap();
        load(space, 2).unwrap();
        assert_eq!((from.charged(), from.stats().nr_anon_pages), (3, 1));
        assert_eq!(space.move_charge(pages(1, 2), from, to), moved(3), "{place}");
        let stats = to.stats();
        assert_eq!((stats.nr_anon_pages, stats.nr_file_pages, stats.nr_mapped), (1, 2, 1));
        Audit::of(mem).space(space).file(&file).group(from).group(to).check();
    }
}

#[test]
fn a_page_whose_lock_is_taken_is_waited_for() {
    let world = world("mover-waits", 10);
    let World { mem, from, to, space } = &world;
    map(space, 1, 2, RW);
    store(space, 1, 1).unwrap();
    let pfn = store(space, 2, 2).unwrap();
    let lock = mem.try_lock_page(pfn).unwrap();
    std::thread::scope(|scope| {
        let mover = scope.spawn(|| space.move_charge(pages(1, 2), from, to));
        while to.stats().nr_anon_pages == 0 {
            std::thread::yield_now();
        }
        // The table is not locked meanwhile.
        assert_eq!(load(space, 2), Ok(2));
        assert_eq!(space.walk(VirtAddr::of_page(2)).pfn(), pfn);
        assert!(!mover.is_finished());
        drop(lock);
        assert_eq!(mover.join().unwrap(), moved(2));
    });
    world.check(&[]);
}

/// Many threads on one shared page, and one that moves its charge to and fro.
#[test]
fn counts_stay_exact_while_charges_move_under_everybodys_feet() {
    for place in ["in-rmap", "mover-waits"] {
        let world = world(place, 64);
        let World { mem, from, to, space } = &world;
        let file = Disk::default().file(mem, 2);
        map(space, 1, 2, RW);
        map_file(space, 8, file.run(0..2), FileSharing::Shared);
        mem.platform().cache_nothing();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..300 {
                    let (from, to) = if round % 2 == 0 { (from, to) } else { (to, from) };
                    space.move_charge(pages(1, 9), from, to).unwrap();
                }
            });
            scope.spawn(|| {
                for round in 0..300 {
                    let page = 8 + round % 2;
                    space.fault(VirtAddr::of_page(page), crate::Cause::Store).unwrap();
                    space.fault(VirtAddr::of_page(1), crate::Cause::Store).unwrap();
                    space.advise(pages(page, 1), crate::Advice::DontNeed).unwrap();
                    space.advise(pages(1, 1), crate::Advice::DontNeed).unwrap();
                }
            });
            scope.spawn(|| {
                for _ in 0..300 {
                    file.sync().unwrap();
                    let _ = space.mlock(pages(2, 1));
                    space.munlock(pages(2, 1)).unwrap();
                }
            });
        });
        Audit::of(mem).space(space).file(&file).group(from).group(to).check();
    }
}
