//! A whole life of two address spaces, with every request for heap and every frame denied in turn,
//! under the rules of every release.
//!
//! What must hold: a denied step fails with the error that says so, or succeeds without; every
//! reference and mapping has a reason after each step; nothing is left at the end. A dry heap
//! forbids nothing that gives memory back.

#[path = "exhaustion/folios.rs"]
mod folios;
#[path = "../src/testing/heap.rs"]
mod heap;
#[path = "exhaustion/hugetlb.rs"]
mod hugetlb;
#[path = "exhaustion/lists.rs"]
mod lists;
#[path = "exhaustion/movable.rs"]
mod movable;
#[path = "exhaustion/plan.rs"]
mod plan;
#[path = "exhaustion/swap.rs"]
mod swap;
#[path = "../src/testing.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod testing;

use std::ops::Range;

use heap::{Deny, granted, with_heap};
use pinfold::pin::Ask;
use pinfold::{
    Access, Advice, FaultError, File, FileError, FileSharing, FrameMeta, FrameSetup, HintFilter,
    HugeZero, LockError, LowmemReserve, NodeId, Pfn, PinError, Pins, Place, Placement, Platform,
    PmdMapping, Prot, Refs, Rules, Sharing, Small, SpaceError, Store, StoreError, SwapId, Term,
    Tuning, UffdError, UffdId, UffdMode, VirtAddr, Watermarks, X86_64, ZeroPages, Zone,
};
use plan::Plan;
use testing::{Audit, Mem, Rig, Space, load, machine, pages, space, spans, store};

/// Why a step could not be made.
#[derive(Debug, PartialEq, Eq)]
enum Why {
    /// For want of frames or heap.
    Want,
    /// An earlier step was not made.
    Missing,
}

impl From<SpaceError> for Why {
    fn from(error: SpaceError) -> Self {
        match error {
            SpaceError::NoMemory | SpaceError::OutOfFrames | SpaceError::NoHugePage => Self::Want,
            SpaceError::NotMapped(_)
            | SpaceError::WrongKind(_)
            | SpaceError::Locked(_)
            | SpaceError::NotRegistered(_) => Self::Missing,
            other => panic!("{other}"),
        }
    }
}

impl From<LockError> for Why {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Refused(error) => error.into(),
            LockError::Unpopulated(stopped) => stopped.error.into(),
        }
    }
}

impl From<FaultError> for Why {
    fn from(error: FaultError) -> Self {
        match error {
            FaultError::NoMemory | FaultError::OutOfFrames | FaultError::NoHugePage => Self::Want,
            FaultError::NotMapped(_) | FaultError::Denied(_) => Self::Missing,
            other => panic!("{other}"),
        }
    }
}

impl From<UffdError> for Why {
    fn from(error: UffdError) -> Self {
        match error {
            UffdError::Fault(fault) => fault.into(),
            UffdError::NotRegistered(_) => Self::Missing,
            other => panic!("{other}"),
        }
    }
}

impl From<FileError> for Why {
    fn from(error: FileError) -> Self {
        match error {
            FileError::NoMemory | FileError::OutOfFrames => Self::Want,
            other => panic!("{other}"),
        }
    }
}

impl From<PinError> for Why {
    fn from(error: PinError) -> Self {
        match error {
            PinError::NoMemory => Self::Want,
            PinError::Fault(fault) => fault.into(),
            other => panic!("{other}"),
        }
    }
}

/// Two processes and what they hold.
struct Life {
    mem: Mem<Small>,
    parent: Space<Small>,
    child: Option<Space<Small>>,
    grandchild: Option<Space<Small>>,
    pins: Vec<Pins<Rig<Small>>>,
    refs: Option<Refs<Rig<Small>>>,
    file: Option<File<Rig<Small>>>,
    swap: Option<SwapId>,
}

type Step = fn(&mut Life) -> Result<(), Why>;

fn at(page: u64) -> Place {
    Place::At(VirtAddr::of_page(page))
}

/// The frames of each node.
const NODES: [u64; 2] = [48, 16];
const TUNING: Tuning = Tuning {
    migrate_passes: 2,
    hint_passes: 2,
    gather_pages: 12,
    stock_batch: 2,
    fault_around: 4,
    folios_always: 0,
    folios_advised: 0,
    pmd_mapping: PmdMapping::On,
    huge_zero: HugeZero::Off,
    lru_batch: 0,
    watermarks: Watermarks { min: 0, low: 0, high: 0 },
    lowmem_reserve: LowmemReserve { dma32: 0, normal: 0 },
    reclaim_batch: 32,
    swappiness: 60,
    swap_readahead: 0,
    max_ptes_swap: u64::MAX,
    use_zero_pages: ZeroPages::Off,
    hint_filter: HintFilter::Off,
};

/// A store that takes no heap, and keeps nothing.
struct Blank;

impl Store<Rig<Small>> for Blank {
    fn read(&self, rig: &Rig<Small>, _: u64, frame: Pfn) -> Result<(), StoreError> {
        rig.zero_frame(frame);
        Ok(())
    }

    fn write(&self, _: &Rig<Small>, _: u64, _: Pfn) -> Result<(), StoreError> {
        Ok(())
    }

    fn discard(&self, _: &Rig<Small>, _: Range<u64>) {}
}

impl Life {
    fn of(mem: Mem<Small>) -> Self {
        // A cache of translations would take heap of its own.
        mem.platform().cache_nothing();
        let parent = space(&mem);
        let pins = Vec::with_capacity(8);
        let (child, grandchild, refs, file, swap) = (None, None, None, None, None);
        Self { mem, parent, child, grandchild, pins, refs, file, swap }
    }

    fn file(&self) -> Result<&File<Rig<Small>>, Why> {
        self.file.as_ref().ok_or(Why::Missing)
    }

    fn show(&self, page: u64, sharing: FileSharing) -> Result<(), Why> {
        let run = self.file()?.run(1..2);
        Ok(self.parent.map_file(at(page), RW, run, sharing).map(drop)?)
    }

    fn child(&self) -> Result<&Space<Small>, Why> {
        self.child.as_ref().ok_or(Why::Missing)
    }

    fn pin(&mut self, first: u64, access: Access, forced: bool) -> Result<(), Why> {
        let ask = Ask::new(access, Term::Long);
        let pins =
            self.parent.pin_with(pages(first, 2), if forced { ask.forced() } else { ask })?;
        let whole = pins.pages().len() == 2;
        self.pins.push(pins);
        if whole { Ok(()) } else { Err(Why::Want) }
    }

    fn audit(&self) {
        let mut audit = Audit::of(&self.mem).space(&self.parent);
        for space in self.child.iter().chain(&self.grandchild) {
            audit = audit.space(space);
        }
        for pins in &self.pins {
            audit = audit.pins(pins.pages());
        }
        if let Some(file) = &self.file {
            audit = audit.file(file);
        }
        if let Some(refs) = &self.refs {
            audit = audit.gets(refs.pages());
        }
        audit.check();
    }
}

const RW: Prot = Prot::READ_WRITE;
const UFFD: UffdId = UffdId(1);

/// All that a life does, in order. The last ones give back.
const STEPS: [(&str, Step); 52] = [
    ("map", |l| l.parent.map(at(1), 10, RW, Sharing::Private).map_err(Why::from).map(drop)),
    ("map shared", |l| l.parent.map(at(12), 3, RW, Sharing::Shared).map_err(Why::from).map(drop)),
    ("store", |l| store(&l.parent, 1, 1).map_err(Why::from).map(drop)),
    ("load", |l| load(&l.parent, 2).map_err(Why::from).map(drop)),
    ("store in another table", |l| store(&l.parent, 4, 1).map_err(Why::from).map(drop)),
    ("store shared", |l| store(&l.parent, 12, 1).map_err(Why::from).map(drop)),
    ("make a file", |l| {
        l.file = Some(File::new(&l.mem, 3, Box::new(Blank))?);
        Ok(())
    }),
    ("map it privately", |l| l.show(11, FileSharing::Private)),
    ("map it shared", |l| l.show(15, FileSharing::Shared)),
    ("read it", |l| Ok(l.file()?.read(2, |_| ())?)),
    ("store in a copy", |l| store(&l.parent, 11, 1).map_err(Why::from).map(drop)),
    ("store in the file", |l| store(&l.parent, 15, 1).map_err(Why::from).map(drop)),
    ("write back", |l| {
        l.file()?.sync().unwrap();
        Ok(())
    }),
    ("pin", |l| l.pin(4, Access::Write, false)),
    ("fork", |l| l.parent.fork().map_err(Why::from).map(|child| l.child = Some(child))),
    ("copy", |l| store(&l.parent, 1, 2).map_err(Why::from).map(drop)),
    ("copy in the child", |l| store(l.child()?, 4, 2).map_err(Why::from).map(drop)),
    ("pin to read", |l| l.pin(1, Access::Read, false)),
    ("get", |l| {
        let refs = l.parent.get(pages(6, 2), Access::Write);
        refs.map_err(Why::from).map(|refs| l.refs = Some(refs))
    }),
    ("protect a part", |l| Ok(l.parent.protect(pages(8, 2), Prot::READ)?)),
    ("forced pin", |l| l.pin(8, Access::Write, true)),
    ("fork again", |l| {
        let child = l.child()?.fork();
        child.map_err(Why::from).map(|child| l.grandchild = Some(child))
    }),
    ("store in the grandchild", |l| {
        let grandchild = l.grandchild.as_ref().ok_or(Why::Missing)?;
        store(grandchild, 5, 3).map_err(Why::from).map(drop)
    }),
    ("populate", |l| {
        let done = l.parent.populate(pages(1, 7), Access::Write);
        done.map_err(|stopped| stopped.error.into())
    }),
    ("watch a part", |l| {
        Ok(l.parent.uffd_register(pages(9, 2), UFFD, UffdMode::MISSING | UffdMode::WP)?)
    }),
    ("watch shared memory", |l| {
        Ok(l.parent.uffd_register(pages(13, 1), UFFD, UffdMode::MISSING)?)
    }),
    ("give a page", |l| Ok(l.parent.uffd_copy(VirtAddr::of_page(10), false, |_| ())?)),
    ("give a shared page", |l| Ok(l.parent.uffd_copy(VirtAddr::of_page(13), false, |_| ())?)),
    ("protect from writes", |l| Ok(l.parent.uffd_write_protect(pages(9, 2), true)?)),
    ("take that back", |l| Ok(l.parent.uffd_write_protect(pages(9, 2), false)?)),
    ("watch no more", |l| {
        l.parent.uffd_unregister(pages(13, 1))?;
        Ok(l.parent.uffd_unregister(pages(9, 2))?)
    }),
    ("lock a part", |l| Ok(l.parent.mlock(pages(2, 6))?)),
    ("unlock a part of that", |l| Ok(l.parent.munlock(pages(3, 2))?)),
    ("lock in the child", |l| Ok(l.child()?.mlock(pages(4, 3))?)),
    ("scan", |l| {
        l.parent.numa_scan(pages(1, 10));
        Ok(())
    }),
    ("hinting fault", |l| load(&l.parent, 1).map_err(Why::from).map(drop)),
    ("migrate", |l| {
        l.parent.migrate(pages(1, 10), NodeId(1));
        Ok(())
    }),
    ("store on the other node", |l| store(&l.parent, 6, 4).map_err(Why::from).map(drop)),
    ("unlock", |l| Ok(l.parent.munlock(pages(2, 6))?)),
    ("leave out", |l| Ok(l.parent.advise(pages(3, 1), Advice::DontFork)?)),
    ("wipe", |l| Ok(l.child()?.advise(pages(5, 1), Advice::WipeOnFork)?)),
    ("do not need", |l| Ok(l.parent.advise(pages(6, 2), Advice::DontNeed)?)),
    ("copy the copy", |l| store(l.child()?, 11, 2).map_err(Why::from).map(drop)),
    ("punch a hole", |l| {
        l.file()?.punch(1..3);
        Ok(())
    }),
    ("cut the file short", |l| {
        l.file()?.truncate(1).unwrap();
        Ok(())
    }),
    ("unmap a part", |l| Ok(l.parent.unmap(pages(4, 1))?)),
    ("replace a part", |l| {
        let place = Place::Replace(VirtAddr::of_page(9));
        let was = l.parent.is_mapped(VirtAddr::of_page(9));
        let made = l.parent.map(place, 1, RW, Sharing::Shared);
        assert_eq!(l.parent.is_mapped(VirtAddr::of_page(9)), was || made.is_ok());
        made.map_err(Why::from).map(drop)
    }),
    ("protect back", |l| Ok(l.parent.protect(pages(5, 6), RW)?)),
    ("unmap what is shared", |l| Ok(l.parent.unmap(pages(12, 3))?)),
    ("child exits", |l| {
        l.child = None;
        Ok(())
    }),
    ("unmap all", |l| Ok(l.parent.unmap(pages(1, 15))?)),
    ("give back", |l| {
        l.pins.clear();
        l.refs = None;
        l.grandchild = None;
        l.file = None;
        Ok(())
    }),
];

/// What gives memory back and splits nothing: no heap is needed for it.
const GIVES_BACK: [&str; 7] = [
    "do not need",
    "unmap what is shared",
    "child exits",
    "unmap all",
    "give back",
    "punch a hole",
    "cut the file short",
];

const PLAN: Plan = Plan { steps: &STEPS, gives_back: &GIVES_BACK, tuning: TUNING, movable: &[] };

#[test]
fn nothing_is_lost_whichever_request_for_heap_is_denied() {
    let tally = PLAN.by_every_preset(|plan, rules, tally| {
        plan.goes_well(rules);
        plan.deny_heap(rules, Deny::After, tally);
        plan.deny_heap(rules, Deny::From, tally);
    });
    tally.refused_enough("denied heap");
}

#[test]
fn nothing_is_lost_whichever_frames_are_denied() {
    let tally = PLAN.by_every_preset(Plan::deny_frames);
    tally.refused_enough("denied frames");
}

#[test]
fn nothing_is_lost_whichever_request_to_an_outside_owner_is_refused() {
    let tally = PLAN.by_every_preset(Plan::deny_outside);
    tally.refused_enough("over frames of an outside owner");
}

#[test]
fn a_table_in_given_memory_asks_for_no_heap() {
    let spans = spans(&NODES);
    let len = FrameSetup::new(&spans).metadata_len().unwrap();
    let region = Box::leak(Box::<[FrameMeta]>::new_uninit_slice(len));
    let (pfns, denied) = with_heap(Deny::From(0), || {
        let frames = FrameSetup::new(&spans).metadata(region).build().unwrap();
        let near = Placement::Prefer(NodeId(0));
        let heap = frames.take_run(4, near, Zone::Any).unwrap();
        (heap.first(), frames.take(near).unwrap().pfn(), frames.total_free())
    });
    assert_eq!((pfns, denied), ((Pfn(32), Pfn(0), 47), 0));
}

#[test]
fn with_a_dry_heap_whole_areas_are_still_protected_and_unmapped() {
    let mem = machine::<Small>(Rules::default(), &[48], Tuning::default());
    mem.platform().cache_nothing();
    let space = space(&mem);
    // No two are alike, so each is an area of its own; the tree's memory is exactly full or not.
    for page in 1..12 {
        let prot = if page % 2 == 0 { RW } else { Prot::READ };
        space.map(at(page), 1, prot, Sharing::Private).unwrap();
        load(&space, page).unwrap();
        let ((), denied) = with_heap(Deny::From(0), || {
            space.protect(pages(page, 1), Prot::empty()).unwrap();
            space.protect(pages(page, 1), prot).unwrap();
            space.advise(pages(1, page), Advice::DontNeed).unwrap();
            space.unmap(pages(page, 1)).unwrap();
        });
        assert_eq!(denied, 0, "no heap was asked for");
        space.map(at(page), 1, prot, Sharing::Private).unwrap();
    }
    Audit::of(&mem).space(&space).check();
}

type Change = fn(&Space<X86_64>) -> Result<(), SpaceError>;

/// What may need memory for the tree of areas: each area has three pages, and a free one follows.
const CHANGES: [(&str, Change); 7] = [
    ("map", |s| s.map(at(4 * 9 + 3), 1, RW, Sharing::Shared).map(drop)),
    ("map anywhere", |s| s.map(Place::Anywhere, 9, RW, Sharing::Private).map(drop)),
    ("split", |s| s.protect(pages(4 * 7 + 1, 1), Prot::READ)),
    ("cut a hole", |s| s.unmap(pages(4 * 5 + 1, 1))),
    ("replace parts of two", |s| {
        let place = Place::Replace(VirtAddr::of_page(4 * 8 + 2));
        s.map(place, 4, Prot::READ, Sharing::Private).map(drop)
    }),
    ("replace the middle of one", |s| {
        let place = Place::Replace(VirtAddr::of_page(4 * 8 + 1));
        s.map(place, 1, Prot::READ, Sharing::Private).map(drop)
    }),
    ("fork", |s| s.fork().map(drop)),
];

#[test]
fn a_crowd_of_areas_is_as_it_was_when_any_request_for_heap_is_denied() {
    let mut refused = 0;
    // Where the last node, the last chunk of nodes, or that of areas, is full or is not.
    for areas in [12_u64, 13, 14, 15, 16, 62, 63, 64, 65, 118, 119, 120, 225, 226] {
        let mem = machine::<X86_64>(Rules::default(), &[64], Tuning::default());
        mem.platform().cache_nothing();
        for (name, change) in CHANGES {
            for all in [false, true] {
                for granted in 0.. {
                    let space = space(&mem);
                    for area in 0..areas {
                        space.map(at(4 * area + 4), 3, RW, Sharing::Private).unwrap();
                    }
                    let free = mem.frames().total_free();
                    let seen = || {
                        let pages = (0..4 * areas + 4).map(VirtAddr::of_page);
                        (space.areas(), pages.filter(|page| space.is_mapped(*page)).count())
                    };
                    let before = seen();
                    let deny = if all { Deny::From(granted) } else { Deny::After(granted) };
                    let (made, denied) = with_heap(deny, || change(&space));
                    if let Err(error) = made {
                        assert_eq!(error, SpaceError::NoMemory, "{name}");
                        assert_eq!(seen(), before, "{name} beside {areas} areas");
                        assert_eq!(mem.frames().total_free(), free, "{name}");
                        refused += 1;
                        change(&space).unwrap();
                    }
                    drop(space);
                    if denied == 0 {
                        break;
                    }
                }
            }
        }
    }
    println!("{refused} changes refused");
    assert!(refused > 50, "{refused}");
}

#[test]
fn what_a_shared_mapping_costs_does_not_grow_with_pages_that_nobody_touches() {
    let mem = machine::<X86_64>(Rules::default(), &[48], Tuning::default());
    let space = space(&mem);
    let mut costs = [8, 1 << 34].map(|pages| {
        let before = granted();
        let range = space.map(Place::Anywhere, pages, RW, Sharing::Shared).unwrap();
        for page in [range.first_page(), range.end_page() - 1] {
            store(&space, page.0, 1).unwrap();
        }
        granted() - before
    });
    costs.sort_unstable();
    assert!(costs[1] < 32 << 10, "{costs:?} bytes");
    Audit::of(&mem).space(&space).check();
}
