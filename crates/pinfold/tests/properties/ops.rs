//! The operations of a random sequence, with small numbers that mean pages, processes and holds by
//! position.

use pinfold::pin::Path;
use pinfold::rules::Users;
use pinfold::{
    Access, Advice, FileSharing, MigrateMode, MoveScope, Prot, Reclaimer, Sharing, Term, Zone,
};
use proptest::prelude::*;
use proptest::sample::select;

/// How many pages a sequence works on: all that the small format has, but page 0.
pub(crate) const PAGES: u64 = 15;

/// A run of pages: the first, from 1, and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) first: u64,
    pub(crate) pages: u64,
}

impl Run {
    pub(crate) fn holds(self, page: u64) -> bool {
        (self.first..self.first + self.pages).contains(&page)
    }
}

/// How a range is remapped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    InPlace,
    MayMove,
    To(u64),
    Keep,
}

/// How pages are moved.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Move {
    Range(MigrateMode),
    Strict(MoveScope),
    Pages(MoveScope),
    Compact,
}

/// One step. `who` picks one of the living processes, `which` one of the live holds.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Map {
        who: usize,
        run: Run,
        prot: Prot,
        sharing: Sharing,
    },
    Unmap {
        who: usize,
        run: Run,
    },
    Protect {
        who: usize,
        run: Run,
        prot: Prot,
    },
    Advise {
        who: usize,
        run: Run,
        advice: Advice,
    },
    Store {
        who: usize,
        page: u64,
    },
    Load {
        who: usize,
        page: u64,
    },
    Fork {
        who: usize,
    },
    Exit {
        who: usize,
    },
    Pin {
        who: usize,
        run: Run,
        access: Access,
        term: Term,
        forced: bool,
        path: Path,
    },
    Get {
        who: usize,
        run: Run,
        access: Access,
    },
    Release {
        which: usize,
    },
    Handover {
        which: usize,
    },
    DeviceWrite {
        which: usize,
    },
    Follow {
        who: usize,
        page: u64,
        access: Access,
    },
    Remap {
        who: usize,
        run: Run,
        pages: u64,
        how: Way,
    },
    /// Forgets which pages were stored to.
    ClearRefs {
        who: usize,
    },
    Scan {
        who: usize,
        run: Run,
        users: Users,
    },
    Migrate {
        who: usize,
        run: Run,
        node: u8,
        how: Move,
    },
    /// Takes frames out of the machine, if they go, and brings them back.
    Offline {
        first: u64,
        frames: u64,
    },
    WriteBack {
        who: usize,
        run: Run,
    },
    RunOn {
        node: u8,
    },
    Break {
        who: usize,
        page: u64,
    },
    Populate {
        who: usize,
        run: Run,
        access: Access,
    },
    Replace {
        who: usize,
        run: Run,
        prot: Prot,
        sharing: Sharing,
    },
    Mlock {
        who: usize,
        run: Run,
    },
    Munlock {
        who: usize,
        run: Run,
    },
    /// Pages of file `file` from `from` on.
    MapFile {
        who: usize,
        run: Run,
        prot: Prot,
        file: usize,
        from: u64,
        sharing: FileSharing,
    },
    FileRead {
        file: usize,
        page: u64,
    },
    FileWrite {
        file: usize,
        page: u64,
    },
    Truncate {
        file: usize,
        pages: u64,
    },
    Punch {
        file: usize,
        from: u64,
        pages: u64,
    },
    SyncFile {
        file: usize,
    },
    Invalidate {
        file: usize,
    },
    /// What the process makes is charged to the group from now on.
    Join {
        who: usize,
        group: usize,
    },
    /// Charges of the run's pages move from this group to the other.
    MoveCharge {
        who: usize,
        run: Run,
        from: usize,
    },
    /// The store of the first file begins to fail, or ends to.
    Disk {
        fails: bool,
    },
    Folio(FolioOp),
    Swap(SwapOp),
}

/// One step on swap.
#[derive(Clone, Debug)]
pub(crate) enum SwapOp {
    PageOut {
        who: usize,
        run: Run,
        by: Reclaimer,
    },
    /// New memory, of which each page is written, and all are taken out.
    Fill {
        who: usize,
        run: Run,
    },
    /// Brings everything back, and takes the device out of use.
    Off,
    /// Of a node's pages those leave that are not in use.
    Reclaim {
        node: u8,
        goal: u64,
        zone: Zone,
    },
    /// What the background does for a node.
    Balance {
        node: u8,
    },
}

/// One step on large folios.
#[derive(Clone, Debug)]
pub(crate) enum FolioOp {
    /// New memory, aligned for folios, and the first touch of one of its pages.
    Make {
        who: usize,
        run: Run,
        touched: u64,
    },
    Split {
        who: usize,
        page: u64,
    },
    SplitQueued {
        most: u64,
    },
    /// Of the pages of the table that maps the page.
    Collapse {
        who: usize,
        page: u64,
    },
    /// A reference by a frame's number, of those that there are.
    Refer {
        frame: u64,
    },
    /// Gives one of these back.
    Forget {
        which: usize,
    },
}

/// How many files there are: one with a store, one in memory.
pub(crate) const FILES: usize = 2;
/// How many groups of memory there are.
pub(crate) const GROUPS: usize = 2;
/// The most pages that a file has.
pub(crate) const FILE_PAGES: u64 = 8;

fn run() -> impl Strategy<Value = Run> {
    (1..=PAGES, 1..=6u64)
        .prop_map(|(first, pages)| Run { first, pages: pages.min(PAGES + 1 - first) })
}

fn prot() -> impl Strategy<Value = Prot> {
    let exec = Prot::READ | Prot::EXEC;
    prop_oneof![
        4 => Just(Prot::READ_WRITE),
        2 => Just(Prot::READ),
        1 => Just(Prot::empty()),
        1 => Just(exec),
        1 => Just(exec | Prot::WRITE),
    ]
}

fn advice() -> impl Strategy<Value = Advice> {
    let fork = [Advice::DontFork, Advice::DoFork, Advice::WipeOnFork, Advice::KeepOnFork];
    prop_oneof![1 => Just(Advice::DontNeed), 2 => select(fork.to_vec())]
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![
        1 => Just(Way::InPlace),
        1 => Just(Way::MayMove),
        4 => (1..=PAGES).prop_map(Way::To),
        1 => Just(Way::Keep),
    ]
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let who = || 0..3usize;
    let which = || 0..8usize;
    let page = || 1..=PAGES;
    let users = || select(vec![Users::One, Users::Several]);
    let access = || select(vec![Access::Read, Access::Write]);
    let term = || select(vec![Term::Short, Term::Long]);
    let path = || prop_oneof![4 => Just(Path::Any), 1 => Just(Path::SlowOnly)];
    let sharing = || prop_oneof![6 => Just(Sharing::Private), 1 => Just(Sharing::Shared), 2 => Just(Sharing::Stack)];
    let file = || 0..FILES;
    let of_file = || 0..FILE_PAGES;
    let files = || select(vec![FileSharing::Private, FileSharing::Shared]);
    let how = || {
        let of = [MoveScope::Own, MoveScope::All];
        let ways = of.into_iter().flat_map(|scope| [Move::Strict(scope), Move::Pages(scope)]);
        let modes =
            [MigrateMode::Async, MigrateMode::SyncLight, MigrateMode::Sync].map(Move::Range);
        select(ways.chain(modes).chain([Move::Compact]).collect::<Vec<_>>())
    };
    let by = || select(vec![Reclaimer::Advice, Reclaimer::Pressure]);
    let zone = select(vec![Zone::Any, Zone::Low32, Zone::Movable]);
    let reclaim = prop_oneof![
        3 => (0..3u8, 1..8u64, zone)
            .prop_map(|(node, goal, zone)| SwapOp::Reclaim { node, goal, zone }),
        1 => (0..2u8).prop_map(|node| SwapOp::Balance { node }),
    ];
    prop_oneof![
        4 => (who(), run(), prot(), sharing())
            .prop_map(|(who, run, prot, sharing)| Op::Map { who, run, prot, sharing }),
        2 => (who(), run()).prop_map(|(who, run)| Op::Unmap { who, run }),
        3 => (who(), run(), prot()).prop_map(|(who, run, prot)| Op::Protect { who, run, prot }),
        2 => (who(), run(), advice()).prop_map(|(who, run, advice)| Op::Advise { who, run, advice }),
        8 => (who(), page()).prop_map(|(who, page)| Op::Store { who, page }),
        4 => (who(), page()).prop_map(|(who, page)| Op::Load { who, page }),
        3 => who().prop_map(|who| Op::Fork { who }),
        1 => who().prop_map(|who| Op::Exit { who }),
        5 => (who(), run(), access(), term(), any::<bool>(), path()).prop_map(
            |(who, run, access, term, forced, path)| Op::Pin { who, run, access, term, forced, path }
        ),
        2 => (who(), run(), access()).prop_map(|(who, run, access)| Op::Get { who, run, access }),
        3 => which().prop_map(|which| Op::Release { which }),
        1 => which().prop_map(|which| Op::Handover { which }),
        3 => which().prop_map(|which| Op::DeviceWrite { which }),
        4 => (who(), page(), access())
            .prop_map(|(who, page, access)| Op::Follow { who, page, access }),
        3 => (who(), run(), users()).prop_map(|(who, run, users)| Op::Scan { who, run, users }),
        3 => (who(), run(), 0..3u8, how())
            .prop_map(|(who, run, node, how)| Op::Migrate { who, run, node, how }),
        1 => (0..80u64, 1..=16u64).prop_map(|(first, frames)| Op::Offline { first, frames }),
        4 => (who(), run(), 0..=3u64, way()).prop_map(|(who, run, more, how)| {
            // As often as not the size stays.
            let pages = if more == 3 { run.pages } else { (run.pages + more).max(2) - 1 };
            Op::Remap { who, run, pages, how }
        }),
        2 => (who(), run()).prop_map(|(who, run)| Op::WriteBack { who, run }),
        5 => (who(), run(), by())
            .prop_map(|(who, run, by)| Op::Swap(SwapOp::PageOut { who, run, by })),
        2 => (who(), run()).prop_map(|(who, run)| Op::Swap(SwapOp::Fill { who, run })),
        1 => Just(Op::Swap(SwapOp::Off)),
        8 => reclaim.prop_map(Op::Swap),
        1 => (0..2u8).prop_map(|node| Op::RunOn { node }),
        2 => (who(), page()).prop_map(|(who, page)| Op::Break { who, page }),
        3 => (who(), run(), access())
            .prop_map(|(who, run, access)| Op::Populate { who, run, access }),
        3 => (who(), run(), prot(), sharing())
            .prop_map(|(who, run, prot, sharing)| Op::Replace { who, run, prot, sharing }),
        2 => (who(), run()).prop_map(|(who, run)| Op::Mlock { who, run }),
        1 => (who(), run()).prop_map(|(who, run)| Op::Munlock { who, run }),
        4 => (who(), run(), prot(), file(), of_file(), files()).prop_map(
            |(who, run, prot, file, from, sharing)| Op::MapFile { who, run, prot, file, from, sharing }
        ),
        2 => (file(), of_file()).prop_map(|(file, page)| Op::FileRead { file, page }),
        3 => (file(), of_file()).prop_map(|(file, page)| Op::FileWrite { file, page }),
        2 => (file(), 0..=FILE_PAGES).prop_map(|(file, pages)| Op::Truncate { file, pages }),
        1 => (file(), of_file(), 1..4u64)
            .prop_map(|(file, from, pages)| Op::Punch { file, from, pages }),
        2 => file().prop_map(|file| Op::SyncFile { file }),
        1 => file().prop_map(|file| Op::Invalidate { file }),
        2 => (who(), 0..GROUPS).prop_map(|(who, group)| Op::Join { who, group }),
        2 => (who(), run(), 0..GROUPS)
            .prop_map(|(who, run, from)| Op::MoveCharge { who, run, from }),
        1 => prop_oneof![1 => Just(true), 3 => Just(false)].prop_map(|fails| Op::Disk { fails }),
        2 => who().prop_map(|who| Op::ClearRefs { who }),
    ]
}

/// As [`op`], where there are large folios.
pub(crate) fn op_on_folios() -> impl Strategy<Value = Op> {
    let who = || 0..3usize;
    let advice = prop_oneof![3 => Just(Advice::HugePage), 1 => Just(Advice::NoHugePage)];
    let make = (who(), prop_oneof![3 => Just(4), 1 => Just(8)], 1..4u64, 0..4u64).prop_map(
        |(who, pages, block, touched)| {
            let first = if pages == 8 { 8 } else { 4 * block };
            FolioOp::Make { who, run: Run { first, pages }, touched: first + touched }
        },
    );
    let of_folio = prop_oneof![
        6 => make,
        3 => (who(), 1..=PAGES).prop_map(|(who, page)| FolioOp::Split { who, page }),
        1 => (0..3u64).prop_map(|most| FolioOp::SplitQueued { most }),
        3 => (who(), 1..=PAGES).prop_map(|(who, page)| FolioOp::Collapse { who, page }),
        1 => (0..144u64).prop_map(|frame| FolioOp::Refer { frame }),
        1 => (0..4usize).prop_map(|which| FolioOp::Forget { which }),
    ];
    prop_oneof![
        10 => op(),
        1 => (who(), run(), advice)
            .prop_map(|(who, run, advice)| Op::Advise { who, run, advice }),
        5 => of_folio.prop_map(Op::Folio),
    ]
}
