//! The charges of pages (`pinfold::Group`), searched to exhaustion: who moves a charge against
//! everybody who changes what a group counts, under both released places of the lock (rule
//! `memcg-lock`, facts 6.6), under every memory model and at every place where that makes a
//! difference, and the variants that no release had, which must be found.
//!
//! The oracle is a recount: when nothing runs, each group counts what the pages that are charged to
//! it add up to (INV-CHARGE-1 and 2), and nothing when they are gone. `cargo test -p pinfold-lab
//! --release --test charges -- --nocapture` prints a line for each search.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use pinfold::mock::Host;
use pinfold::sync::Shared;
use pinfold::{
    AddressSpace, Advice, Cause, FaultError, File, FileSharing, Group, Limits, Memory, NodeId,
    NodeSpan, Pfn, Place, Prot, Rules, Sharing, Small, Store, StoreError, Tuning, VirtAddr,
    VirtRange, lab,
};
use pinfold_explore::{
    Completeness, Config, Ending, Judgement, Lanes, Model, Report, Subject, explore,
};

const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];
/// What releases had, and the default.
const PLACES: [&str; 3] = ["in-rmap", "mover", "mover-waits"];

type M = Host<Small>;

/// Whose address space: the first one belongs to the first group, the second one, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    P,
    Q,
}

/// Where a page lies, the same in both address spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Private memory.
    Own,
    /// A shared mapping of a file with a store.
    Filed,
    /// A shared mapping of a file in memory.
    Shmem,
}

use At::{Filed, Own, Shmem};
use Who::{P, Q};

impl At {
    fn page(self) -> VirtRange {
        let number = match self {
            Own => 1,
            Filed => 3,
            Shmem => 5,
        };
        VirtRange::new(VirtAddr::of_page(number), 1).expect("a page is a range")
    }
}

/// What a lane or the setup does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Load(Who, At),
    Store(Who, At),
    /// MADV_DONTNEED: takes the entry out.
    Drop(Who, At),
    Unmap(Who, At),
    /// Moves the page's charge from the first group to the second.
    Move(Who, At),
    /// And back.
    Back(Who, At),
    Mlock(Who, At),
    Munlock(Who, At),
    /// Moves the page to the other node.
    Migrate(Who, At),
    /// Makes a child, and keeps it.
    Fork(Who),
    /// Writes the file with a store back.
    Sync,
    /// Makes that file empty.
    Truncate,
    /// Reads the file in memory, for the first group, by a system call.
    Read,
    /// Goes on as one of the second group.
    Join(Who),
}

use Act::{
    Back, Drop, Fork, Join, Load, Migrate, Mlock, Move, Munlock, Read, Store as Write, Sync,
    Truncate, Unmap,
};

/// A store that takes everything.
struct Bottomless;

impl Store<M> for Bottomless {
    fn read(&self, host: &M, _: u64, frame: Pfn) -> Result<(), StoreError> {
        pinfold::Platform::zero_frame(host, frame);
        Ok(())
    }

    fn write(&self, _: &M, _: u64, _: Pfn) -> Result<(), StoreError> {
        Ok(())
    }

    fn reserve(&self, _: &M, _: u64) -> Result<(), StoreError> {
        Ok(())
    }

    fn discard(&self, _: &M, _: Range<u64>) {}
}

struct World {
    memory: Shared<Memory<M>>,
    groups: [Group<M>; 2],
    spaces: [AddressSpace<M>; 2],
    children: RefCell<Vec<AddressSpace<M>>>,
    filed: File<M>,
    shmem: File<M>,
    refused: RefCell<Vec<usize>>,
}

impl World {
    fn new(shape: &Shape<'_>) -> Self {
        let spans = [0, 1].map(|node| NodeSpan {
            node: NodeId(node),
            first: Pfn(24 * u64::from(node)),
            frames: 24,
        });
        let rules = format!("pinfold,memcg-lock={}", shape.place);
        let rules = Rules::parse(&rules).expect("the rules exist");
        // One pass shows what ten do, and no stock hides who frees a frame too early.
        let tuning =
            Tuning { migrate_passes: 1, hint_passes: 1, stock_batch: 0, ..Tuning::default() };
        // SAFETY: the host has these frames, and nobody else uses it.
        let memory = unsafe { Memory::new(Host::new(48), &spans, rules, tuning) };
        let memory = memory.expect("there are frames");
        let groups =
            [shape.limit, u64::MAX].map(|most| Group::new(&memory, most).expect("the heap"));
        let space = || AddressSpace::new(&memory, Limits::of_format::<Small>()).expect("frames");
        let (filed, shmem) =
            (File::new(&memory, 1, Box::new(Bottomless)), File::in_memory(&memory, 1));
        let world = Self {
            spaces: [space(), space()],
            filed: filed.expect("the heap"),
            shmem: shmem.expect("the heap"),
            groups,
            memory: memory.clone(),
            children: RefCell::default(),
            refused: RefCell::default(),
        };
        for space in &world.spaces {
            space.join(&world.groups[0]);
            let place = |at: At| Place::At(at.page().start());
            space.map(place(Own), 1, Prot::READ_WRITE, Sharing::Private).expect("room");
            for (at, file) in [(Filed, &world.filed), (Shmem, &world.shmem)] {
                let (run, sharing) = (file.run(0..1), FileSharing::Shared);
                space.map_file(place(at), Prot::READ_WRITE, run, sharing).expect("room");
            }
        }
        for act in shape.setup {
            world.act(usize::MAX, *act);
        }
        world
    }

    fn space(&self, who: Who) -> &AddressSpace<M> {
        &self.spaces[who as usize]
    }

    fn access(&self, lane: usize, (who, at): (Who, At), cause: Cause) {
        let space = self.space(who);
        while !cause.is_allowed_by(space.walk(at.page().start())) {
            match space.fault(at.page().start(), cause) {
                Ok(_) => {}
                Err(FaultError::OverLimit { .. } | FaultError::PastEnd(_)) => {
                    return self.refused.borrow_mut().push(lane);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn act(&self, lane: usize, act: Act) {
        let [first, second] = &self.groups;
        match act {
            Load(who, at) => self.access(lane, (who, at), Cause::Load),
            Write(who, at) => self.access(lane, (who, at), Cause::Store),
            Drop(who, at) => {
                self.space(who).advise(at.page(), Advice::DontNeed).expect("it is mapped");
            }
            Unmap(who, at) => self.space(who).unmap(at.page()).expect("it is mapped"),
            Move(who, at) => {
                self.space(who).move_charge(at.page(), first, second).expect("there is room");
            }
            Back(who, at) => {
                self.space(who).move_charge(at.page(), second, first).expect("there is room");
            }
            Mlock(who, at) => self.space(who).mlock(at.page()).expect("it is mapped"),
            Munlock(who, at) => self.space(who).munlock(at.page()).expect("it is mapped"),
            Migrate(who, at) => drop(self.space(who).migrate(at.page(), NodeId(1))),
            Fork(who) => {
                let child = self.space(who).fork().expect("there are frames");
                self.children.borrow_mut().push(child);
            }
            Sync => drop(self.filed.sync().expect("the store takes it")),
            Truncate => self.filed.truncate(0).expect("it can be empty"),
            Read => self.shmem.paid_by(first).read(0, |_| ()).expect("there is room"),
            Join(who) => self.space(who).join(second),
        }
    }

    /// What is wrong with the counts, if anything is; and who is charged for how much.
    fn judged(&self) -> Result<String, String> {
        for (group, name) in self.groups.iter().zip(["first", "second"]) {
            let counted = (group.charged(), group.stats());
            let due = lab::recount(&self.memory, group);
            if counted != due {
                return Err(format!("the {name} group counts {counted:?}, its pages {due:?}"));
            }
        }
        Ok(format!("{:?} {:?}", self.groups.each_ref().map(Group::charged), self.refused.borrow()))
    }
}

struct Shape<'a> {
    place: &'a str,
    limit: u64,
    setup: &'a [Act],
    lanes: &'a [&'a [Act]],
}

impl Subject for Shape<'_> {
    type World = Rc<World>;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Rc<World> {
        let world = Rc::new(World::new(self));
        for (lane, acts) in self.lanes.iter().enumerate() {
            let (world, acts) = (world.clone(), acts.to_vec());
            lanes.lane(format!("lane {lane}"), move || {
                acts.into_iter().for_each(|act| world.act(lane, act));
            });
        }
        world
    }

    fn judge(&mut self, world: Rc<World>, ending: Ending<'_>) -> Judgement {
        let fail = |message| Judgement::Fail { outcome: "counts".to_owned(), message };
        let outcome = match (ending, world.judged()) {
            (Ending::Finished, Ok(outcome)) => outcome,
            (_, Err(message)) => return fail(message),
            (ending, _) => return fail(format!("{ending:?}")),
        };
        let Ok(World { groups, spaces, children, filed, shmem, .. }) = Rc::try_unwrap(world) else {
            return fail("a lane is left".to_owned());
        };
        drop((spaces, children, filed, shmem));
        match groups.iter().all(|group| group.charged() == 0 && group.stats() == Default::default())
        {
            true => Judgement::Pass { outcome },
            false => fail(format!("{groups:?} count what is gone")),
        }
    }
}

fn searched(shape: &mut Shape<'_>, model: Model) -> Report {
    let config = Config { model, shrink_runs: 0, ..Config::default() };
    let report = explore(shape, &config, &mut |_| {});
    let Shape { place, lanes, .. } = shape;
    let broken = if report.failure.is_some() { "broken" } else { "ok" };
    println!("{place:<13} {model:<5?} {:>7} executions {broken} {lanes:?}", report.executions);
    report
}

/// Exhausted without a wrong count under each memory model; these outcomes occur, and no others.
#[track_caller]
fn holds(place: &str, limit: u64, setup: &[Act], lanes: &[&[Act]], outcomes: &[&str]) {
    for model in MODELS {
        let report = searched(&mut Shape { place, limit, setup, lanes }, model);
        assert_eq!(report.failure, None, "{lanes:?} under {place}, {model:?}");
        assert_eq!(report.complete, Completeness::Exhausted);
        assert!(report.executions > 1, "{lanes:?} is no race");
        let seen: Vec<&str> = report.outcomes.keys().map(String::as_str).collect();
        assert_eq!(seen, outcomes, "{lanes:?} under {place}, {model:?}");
    }
}

/// A wrong count is found under each memory model.
#[track_caller]
fn breaks(place: &str, setup: &[Act], lanes: &[&[Act]]) {
    for model in MODELS {
        let report = searched(&mut Shape { place, limit: 10, setup, lanes }, model);
        let failure = report.failure.unwrap_or_else(|| panic!("{lanes:?} holds under {place}"));
        assert!(failure.message.contains("group counts"), "{}", failure.message);
    }
}

/// The last mapping of a private page goes, and with it the page, while its charge moves: the
/// incident `memcg-move`.
#[test]
fn the_last_mapping_of_a_private_page_goes_while_it_moves() {
    let setup = [Write(P, Own)];
    let lanes: [&[Act]; 2] = [&[Drop(P, Own)], &[Move(P, Own)]];
    for place in PLACES {
        holds(place, 10, &setup, &lanes, &["[0, 0] []"]);
    }
    breaks("none", &setup, &lanes);
    // The mover has the table's lock: that the lock of the charge comes late does no harm.
    holds("around-counts", 10, &setup, &lanes, &["[0, 0] []"]);
}

#[test]
fn the_last_mapping_of_a_shared_page_goes_while_it_moves() {
    let setup = [Write(P, Shmem)];
    let lanes: [&[Act]; 2] = [&[Drop(P, Shmem)], &[Move(P, Shmem)]];
    for place in PLACES {
        holds(place, 10, &setup, &lanes, &["[0, 1] []"]);
    }
    breaks("none", &setup, &lanes);
    // He has had the table's lock when he finds the page in the list.
    holds("around-counts", 10, &setup, &lanes, &["[0, 1] []"]);
}

/// A page that the mover's address space does not map: up to 6.1 it moves, and the lock of the
/// charge is all that holds its counts together; since 6.2 it stays while it is mapped.
#[test]
fn the_last_mapping_goes_elsewhere_while_the_page_moves() {
    let setup = [Write(Q, Shmem)];
    let lanes: [&[Act]; 2] = [&[Drop(Q, Shmem)], &[Move(P, Shmem)]];
    holds("in-rmap", 10, &setup, &lanes, &["[0, 1] []"]);
    holds("mover-waits", 10, &setup, &lanes, &["[0, 1] []", "[1, 0] []"]);
    // It is mapped nowhere when the mover asks, and not counted off yet.
    breaks("mover", &setup, &lanes);
    breaks("none", &setup, &lanes);
    breaks("around-counts", &setup, &lanes);
}

#[test]
fn the_first_mapping_comes_elsewhere_while_the_page_moves() {
    let lanes: [&[Act]; 2] = [&[Load(Q, Shmem)], &[Move(P, Shmem)]];
    holds("in-rmap", 10, &[Read], &lanes, &["[0, 1] []"]);
    for place in ["mover", "mover-waits"] {
        holds(place, 10, &[Read], &lanes, &["[0, 1] []", "[1, 0] []"]);
    }
    breaks("none", &[Read], &lanes);
    breaks("around-counts", &[Read], &lanes);
}

/// The mapping in the mover's table keeps the map count from zero, whatever others do.
#[test]
fn another_mapping_goes_while_the_page_moves() {
    let setup = [Write(P, Shmem), Load(Q, Shmem)];
    for lanes in [
        [&[Drop(Q, Shmem)] as &[Act], &[Move(P, Shmem)]],
        [&[Drop(Q, Shmem), Load(Q, Shmem)], &[Move(P, Shmem)]],
    ] {
        for place in PLACES {
            holds(place, 10, &setup, &lanes, &["[0, 1] []"]);
        }
    }
}

#[test]
fn both_mappings_go_while_the_page_moves() {
    let setup = [Write(P, Shmem), Load(Q, Shmem)];
    let lanes: [&[Act]; 3] = [&[Drop(P, Shmem)], &[Drop(Q, Shmem)], &[Move(P, Shmem)]];
    holds("in-rmap", 10, &setup, &lanes, &["[0, 1] []"]);
    holds("mover-waits", 10, &setup, &lanes, &["[0, 1] []", "[1, 0] []"]);
    breaks("mover", &setup, &lanes);
    breaks("none", &setup, &lanes);
}

#[test]
fn a_page_is_marked_and_cleaned_while_it_moves() {
    for lanes in [
        [&[Sync] as &[Act], &[Move(P, Filed)]],
        [&[Drop(P, Filed)], &[Move(P, Filed)]],
        [&[Write(Q, Filed)], &[Move(P, Filed)]],
    ] {
        for place in PLACES {
            holds(place, 10, &[Write(P, Filed)], &lanes, &["[0, 1] []"]);
        }
        if lanes[0] != [Write(Q, Filed)] {
            breaks("none", &[Write(P, Filed)], &lanes);
        }
    }
    let clean = [Write(P, Filed), Sync];
    let lanes: [&[Act]; 2] = [&[Write(P, Filed)], &[Move(P, Filed)]];
    for place in PLACES {
        holds(place, 10, &clean, &lanes, &["[0, 1] []"]);
    }
    breaks("none", &clean, &lanes);
}

#[test]
fn a_page_is_locked_and_unlocked_while_it_moves() {
    let setup = [Write(P, Shmem), Load(Q, Shmem)];
    for place in PLACES {
        holds(place, 10, &setup, &[&[Mlock(Q, Shmem)], &[Move(P, Shmem)]], &["[0, 1] []"]);
        let locked = [Write(P, Shmem), Mlock(Q, Shmem)];
        holds(place, 10, &locked, &[&[Munlock(Q, Shmem)], &[Move(P, Shmem)]], &["[0, 1] []"]);
    }
    breaks("none", &setup, &[&[Mlock(Q, Shmem)], &[Move(P, Shmem)]]);
}

#[test]
fn a_file_becomes_shorter_while_its_page_moves() {
    let lanes: [&[Act]; 2] = [&[Truncate], &[Move(P, Filed)]];
    for place in PLACES {
        holds(place, 10, &[Write(P, Filed)], &lanes, &["[0, 0] []"]);
    }
    breaks("none", &[Write(P, Filed)], &lanes);
}

#[test]
fn a_page_migrates_while_its_charge_moves() {
    let lanes: [&[Act]; 2] = [&[Migrate(P, Own)], &[Move(P, Own)]];
    for place in PLACES {
        holds(place, 10, &[Write(P, Own)], &lanes, &["[0, 1] []", "[1, 0] []"]);
    }
}

#[test]
fn a_page_is_copied_by_a_child_while_its_charge_moves() {
    for place in PLACES {
        let lanes: [&[Act]; 2] = [&[Fork(P), Write(P, Own)], &[Move(P, Own)]];
        // Either the page moves or its copy, which is charged to the first group.
        holds(place, 10, &[Write(P, Own)], &lanes, &["[1, 1] []"]);
    }
}

#[test]
fn two_move_the_same_page() {
    let setup = [Write(P, Shmem), Load(Q, Shmem)];
    for place in PLACES {
        holds(place, 10, &setup, &[&[Move(P, Shmem)], &[Move(Q, Shmem)]], &["[0, 1] []"]);
        let to_and_fro: [&[Act]; 2] = [&[Move(P, Shmem)], &[Back(Q, Shmem)]];
        holds(place, 10, &setup, &to_and_fro, &["[0, 1] []", "[1, 0] []"]);
    }
    breaks("none", &setup, &[&[Move(P, Shmem)], &[Move(Q, Shmem)]]);
}

/// INV-CHARGE-1: of two who want the last page of a group one is refused, and never both.
#[test]
fn one_page_is_left_and_two_want_it() {
    let lanes: [&[Act]; 2] = [&[Write(P, Own)], &[Write(Q, Own)]];
    holds("mover-waits", 1, &[], &lanes, &["[1, 0] [0]", "[1, 0] [1]"]);
    // One who gives it back lets the other in, if he is in time.
    let lanes: [&[Act]; 2] = [&[Drop(P, Own)], &[Write(Q, Own)]];
    holds("mover-waits", 1, &[Write(P, Own)], &lanes, &["[0, 0] [1]", "[1, 0] []"]);
}

/// Two who bring the same page in are charged for one.
#[test]
fn two_bring_one_page_in() {
    let lanes: [&[Act]; 2] = [&[Load(P, Shmem)], &[Load(Q, Shmem)]];
    holds("mover-waits", 10, &[], &lanes, &["[1, 0] []"]);
}

#[test]
fn an_address_space_changes_its_group_while_it_makes_pages() {
    for lanes in [[&[Write(P, Own)] as &[Act], &[Join(P)]], [&[Load(P, Shmem)], &[Join(P)]]] {
        holds("mover-waits", 10, &[], &lanes, &["[0, 1] []", "[1, 0] []"]);
    }
    holds("mover-waits", 10, &[Write(P, Own)], &[&[Unmap(P, Own)], &[Join(P)]], &["[0, 0] []"]);
}
