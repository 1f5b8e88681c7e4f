//! What a scenario needs that a machine does not have.
//!
//! A scenario is skipped as a whole when one of its steps cannot be carried out: what is left would
//! be another scenario. What only cannot be *seen* does not keep it from running.

use pinfold_lab::resolved::{
    Act, Look, Remote, Resolved, ResolvedFile, ResolvedLane, ResolvedStep, Seen, Statuses, Take,
};
use pinfold_lab::scenario::{
    Access, Advice, Behind, Duration, Failure, Force, Path, Sharing, Status, SwapChanges, SwapKind,
    Thp, Waits, Whose,
};
use serde::{Deserialize, Serialize};

use crate::job::Features;
use crate::watch;

/// A step that cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Missing {
    /// The step as it is written; empty if it is the machine.
    pub step: String,
    /// Why not.
    pub why: String,
}

/// The most pins of one step on each page, which is what one system call takes.
const MOST_PINS: u32 = 1024;
/// The size of a page of that machine.
const PAGE: u64 = 4096;
/// The room of the machine of the language, in pages, the first of which is not for use.
const ROOM: u32 = 15;

/// The pages of a huge page of that machine.
pub(crate) const HUGE: u32 = 4;

/// Whether a scenario has huge pages: of first touches and collapse, or of the pool.
pub(crate) fn has_huge_pages(plan: &Resolved) -> bool {
    plan.thp == Thp::Pmd || has_pool(plan)
}

/// Whether a scenario has a pool of huge pages, or an area of such.
pub(crate) fn has_pool(plan: &Resolved) -> bool {
    let pooled =
        |step: &ResolvedStep| matches!(step.act, Act::Map { sharing: Sharing::Hugetlb, .. });
    plan.hugetlb > 0 || plan.steps().any(pooled)
}

/// What keeps a scenario with huge pages from being carried out.
fn unfit_for_huge(plan: &Resolved, features: &Features) -> Option<String> {
    if !has_huge_pages(plan) {
        return None;
    }
    let small = |step: &ResolvedStep| match step.act {
        Act::Map { sharing: Sharing::File | Sharing::Shared | Sharing::Stack, .. } => true,
        act => matches!(act, Act::Uffd(_) | Act::Break(..)),
    };
    if !plan.files.is_empty() || plan.steps().any(small) {
        let why = "beside huge pages there are no files, shared memory, stacks, breaks and monitors \
                   here: a page stands for 128 of this machine's there";
        return Some(why.to_owned());
    }
    let pool = if has_pool(plan) { features.no_pool.clone() } else { None };
    pool.or_else(|| features.no_huge.clone().filter(|_| plan.thp == Thp::Pmd))
}

/// What keeps a scenario whose pages go to swap from being carried out.
fn unfit_for_swap(plan: &Resolved, features: &Features) -> Option<String> {
    let goes = |step: &ResolvedStep| matches!(step.act, Act::Pageout(_) | Act::Swapoff);
    if plan.swap == 0 && !plan.steps().any(goes) {
        return None;
    }
    if has_huge_pages(plan) {
        let why = "beside huge pages nothing goes to swap here: they have 128 pages for one there";
        return Some(why.to_owned());
    }
    match plan.swap {
        0 => features.other_swap.as_ref().map(|path| format!("this machine swaps to {path}")),
        _ => features.no_swap.clone().or_else(|| unfit_for_device(plan, features)),
    }
}

/// What keeps a swap device from being had that is like the plan's.
fn unfit_for_device(plan: &Resolved, features: &Features) -> Option<String> {
    if plan.swap_write_fails.is_some() || plan.swap_read_fails.is_some() {
        return Some("no swap device here fails when it is told to".to_owned());
    }
    match swap_kind(plan) {
        SwapKind::Solid => None,
        SwapKind::Synchronous => features.no_synchronous_swap.clone(),
    }
}

/// The kind of swap device that stands for the plan's: one that needs pages unchanged is of zram,
/// as one is that answers at once.
pub(crate) fn swap_kind(plan: &Resolved) -> SwapKind {
    match (plan.swap_device, plan.swap_writes) {
        (SwapKind::Solid, SwapChanges::Any) => SwapKind::Solid,
        (SwapKind::Synchronous, _) | (SwapKind::Solid, SwapChanges::Stable) => {
            SwapKind::Synchronous
        }
    }
}

/// Everything that keeps the scenario from being carried out on a machine with these features;
/// empty if nothing does.
pub fn missing(plan: &Resolved, features: &Features) -> Vec<Missing> {
    let whole = |why: &str| Missing { step: String::new(), why: why.to_owned() };
    if let Some(why) = &features.unable {
        return vec![whole(why)];
    }
    let mut missing = Vec::new();
    let moves = plan.steps().any(|step| {
        let act = step.act;
        matches!(act, Act::Migrate(..) | Act::MovePages { .. } | Act::Mbind(..) | Act::NumaScan(_))
    });
    let looks = plan.facts.iter().any(|look| matches!(look, Look::OnNode(..)));
    if (moves || looks) && plan.nodes > features.nodes {
        let why =
            format!("{} memory nodes are needed, and there are {}", plan.nodes, features.nodes);
        missing.push(whole(&why));
    }
    if plan.most_areas.is_some() {
        missing.push(whole("the limit on areas is a setting of the whole machine"));
    }
    if plan.stack.is_some() && plan.steps().any(|step| matches!(step.act, Act::Exec)) {
        missing.push(whole("a program that is executed needs more of a stack"));
    }
    missing.extend(unfit_for_swap(plan, features).map(|why| whole(&why)));
    if plan.readahead > 0 {
        missing.push(whole("what is read ahead is a setting of the whole machine"));
    }
    if plan.max_ptes_swap.is_some() {
        missing.push(whole("what a collapse brings back is a setting of the whole machine"));
    }
    if plan.lru > 0 {
        missing.push(whole("what waits in a CPU's batch with a page, only the kernel knows"));
    }
    if plan.movable + plan.cma > 0 {
        missing.push(whole("which memory is set apart for what can move, its boot line says"));
    }
    missing.extend(unfit_for_huge(plan, features).map(|why| whole(&why)));
    if leaves_room_below(plan) {
        let why = "the kernel's place for an area may be below a stack: give the area a place";
        missing.push(whole(why));
    }
    let stored = plan.files.iter().any(|file| file.behind == Behind::Store);
    if let (true, Some(why)) = (stored, &features.no_files) {
        missing.push(whole(why));
    }
    if features.no_uffd.is_none() && watch::is_watched(plan) {
        let events = watch::has_fork_events(plan).then(|| features.no_fork_events.clone());
        let why = watch::unfit(plan).or(events.flatten());
        missing.extend(why.map(|why| whole(&why)));
    }
    for step in plan.steps() {
        if let Some(why) = lacks(plan, step, features) {
            missing.push(Missing { step: step.text.clone(), why });
        }
    }
    missing
}

/// Whether a stack has room below it, where the machine of the language places no area and this one
/// might.
fn leaves_room_below(plan: &Resolved) -> bool {
    let has_room = |step: &ResolvedStep| matches!(step.act, Act::Map { sharing: Sharing::Stack, at: Some(at), .. } if at > PAGE);
    let placed = |step: &ResolvedStep| match step.act {
        Act::Map { sharing, at, .. } => at.is_none() && sharing != Sharing::Stack,
        _ => false,
    };
    plan.steps().any(has_room) && plan.steps().any(placed)
}

/// Whether it is about an area that may be of this kind.
fn is_of(plan: &Resolved, area: usize, kind: Sharing) -> bool {
    plan.steps().any(|step| match step.act {
        Act::Map { area: mapped, sharing, .. } => mapped == area && sharing == kind,
        _ => false,
    })
}

fn is_stored(file: &ResolvedFile) -> bool {
    file.behind == Behind::Store
}

/// Whether the pages that a step takes may be those of a file that has a store.
fn shows_stored(plan: &Resolved, step: &ResolvedStep, take: Take) -> bool {
    let map = step.process.and_then(|process| plan.map_of(process, take.pages.area));
    match map.map(|map| map.act) {
        Some(Act::Map { of: Some(shown), .. }) => plan.files.get(shown.file).is_some_and(is_stored),
        Some(Act::Map { sharing, .. }) => sharing == Sharing::File,
        _ => false,
    }
}

/// Why a step cannot be carried out, if so.
fn lacks(plan: &Resolved, step: &ResolvedStep, features: &Features) -> Option<String> {
    let told = |why: &str| Some(why.to_owned());
    if step.fails == Some(Failure::OutOfFrames) {
        return told("a real machine does not run out of frames when it is told to");
    }
    match step.act {
        Act::Pin(take, duration) => match (take.access, duration) {
            (Access::Read, _) => {
                told("no system call pins for reading and keeps the pin: io_uring pins for writing")
            }
            (Access::Write, Duration::Short) => {
                told("no system call keeps a short pin: io_uring pins for long")
            }
            (Access::Write, Duration::LongTerm) => way(take)
                .or_else(|| features.no_pins.clone())
                .or_else(|| {
                    features.no_file_pins.clone().filter(|_| shows_stored(plan, step, take))
                })
                .or_else(|| (take.times > MOST_PINS).then(|| "too many pins at once".to_owned())),
        },
        Act::Get(take)
            if take.access == Access::Write && is_of(plan, take.pages.area, Sharing::Stack) =>
        {
            // Pages of it may not be there yet.
            told("the store that stands for writing would make a stack grow")
        }
        Act::Get(take) => way(take).or_else(|| {
            let pages = take.times as usize * take.pages.count as usize;
            let most = features.pipe_pages;
            (pages > most).then(|| format!("{pages} references: a pipe here holds at most {most}"))
        }),
        Act::DeviceStore(spot, _) => in_pipe(plan, spot.of)
            .then(|| "no system call writes through an ordinary reference kept".to_owned()),
        Act::Populate(..) => features.no_populate.clone(),
        Act::Advise(_, Advice::Merge | Advice::Unmerge) => features.no_ksm.clone(),
        Act::Advise(_, Advice::HugePage) if plan.thp == Thp::Entries => features.no_folios.clone(),
        Act::Break(..) => features.no_break.clone(),
        Act::NumaScan(None) => features.no_scans.clone(),
        Act::NumaScan(Some(_)) => told("balancing scans a whole process, not some of its pages"),
        Act::NumaTick => told("a kernel has a clock of its own, and tells nobody what is due"),
        Act::Map { pages, .. } if pages > ROOM => told("more pages than the stage has"),
        Act::Map { sharing: Sharing::File, .. } => features.no_files.clone(),
        Act::Punch(pages) if plan.files.get(pages.area).is_some_and(is_stored) => {
            features.no_punch.clone()
        }
        Act::DirectRead(memory, _) | Act::DirectWrite(memory, _) => {
            let (no_pages, no_sectors) = &features.no_direct;
            memory.word.map_or(no_pages, |_| no_sectors).clone()
        }
        Act::RemoteLoad { by, .. } | Act::RemoteStore(by, ..) => match by {
            Remote::ProcessVm => features.no_process_vm.clone(),
            Remote::Ptrace => features.no_ptrace.clone(),
        },
        Act::Migrate(_, _, Waits::Async | Waits::Light) => {
            told("a system call that moves pages waits for what is in its way")
        }
        Act::Plug(_) => told(
            "memory goes by blocks of many pages, with whatever else of the machine lies there",
        ),
        Act::Compact(..) => {
            told("compaction is of the whole machine: no system call asks it for some pages")
        }
        Act::Follow(..) | Act::Unfollow(_) => told(
            "no system call makes a device that follows: that takes RDMA, or a virtual machine",
        ),
        Act::Pageout(_) => None,
        Act::Swapoff => (plan.swap == 0).then(|| "the machine has no `swap`".to_owned()),
        Act::Reclaim(..) => told("a node is reclaimed for everybody, by a kernel that is short"),
        Act::LruDrain(_) => told("no system call drains the CPUs' batches, and does nothing else"),
        Act::Ksm(None) => features.no_merging.clone(),
        Act::Ksm(Some(_)) => told("the kernel's thread cannot be stopped after some pages"),
        Act::SplitFolio(_) | Act::SplitDeferred => {
            told("no system call splits a folio: a file for debugging does, and tells no result")
        }
        Act::Collapse(_) => features.no_collapse.clone(),
        Act::ClearRefs => features.no_soft_dirty.clone(),
        Act::TryGet(..) => told("no system call takes a reference by the number of a frame"),
        Act::GetPage(spot, _) if in_pipe(plan, spot.of) => {
            let (ahead, most) = (spot.page as usize + 1, features.pipe_pages);
            (ahead > most).then(|| format!("tee takes the pages before it: at most {most} here"))
        }
        Act::GetPage(..) => told(
            "no system call takes one more reference through this handle: tee does, on pages in a \
             pipe, where `get` puts them",
        ),
        Act::Note(..) if !features.frames_visible => told("only root may see the frames of pages"),
        Act::Uffd(_) => features.no_uffd.clone(),
        Act::Join(_) | Act::MoveCharge { .. } => told(
            "groups are of a whole machine, and charges move in the first version of them only",
        ),
        Act::MovePages { expect, whose, .. } => {
            let short = expect.into_iter().flat_map(|each| Statuses::of_number(each.number()));
            match short.into_iter().any(|status| status == Status::NoFrame) {
                true => told("a real machine does not run out of frames when it is told to"),
                false => unfit_to_move(plan, whose, features),
            }
        }
        Act::Mbind(_, _, whose, _) => unfit_to_move(plan, whose, features),
        Act::Map { .. }
        | Act::Unmap(_)
        | Act::Writeback(_)
        | Act::Remap(..)
        | Act::Protect(..)
        | Act::Advise(..)
        | Act::Note(..)
        | Act::Store(..)
        | Act::Load { .. }
        | Act::DeviceLoad { .. }
        | Act::Unpin(..)
        | Act::Put(_)
        | Act::Fork(_)
        | Act::Exit
        | Act::Migrate(_, _, Waits::Sync)
        | Act::Signal(_)
        | Act::Await(_)
        | Act::Clone(_)
        | Act::Vfork(_)
        | Act::Mlock(_)
        | Act::Munlock(_)
        | Act::FileStore(..)
        | Act::FileLoad { .. }
        | Act::Truncate { .. }
        | Act::Punch(_)
        | Act::Sync(_) => None,
        Act::Exec => acts_after_exec(plan, step)
            .then(|| "the program that is executed here ends at once".to_owned()),
    }
}

/// What keeps pages from being moved by their entries as here: Linux moves merged pages and those
/// of the pool, too.
fn unfit_to_move(plan: &Resolved, whose: Whose, features: &Features) -> Option<String> {
    let merges = plan.steps().any(|step| matches!(step.act, Act::Ksm(_)));
    if merges || has_pool(plan) {
        return Some("Linux moves merged pages and those of the pool, too".to_owned());
    }
    features.no_move_all.clone().filter(|_| whose == Whose::All)
}

/// Whether the pages of a handle are in a pipe: those of `get`, and of `get-page` through such.
fn in_pipe(plan: &Resolved, handle: usize) -> bool {
    let made = plan.steps().find(|step| step.act.makes_handle() == Some(handle));
    match made.map(|step| step.act) {
        Some(Act::Get(_)) => true,
        // The handle that it goes through has a lower number, but in a plan from elsewhere.
        Some(Act::GetPage(spot, _)) => spot.of < handle && in_pipe(plan, spot.of),
        _ => false,
    }
}

/// Whether the process of a step that executes a program does anything later. Its only lane may,
/// and it itself in `setup` and `after`.
fn acts_after_exec(plan: &Resolved, exec: &ResolvedStep) -> bool {
    let later = plan.steps().skip_while(|step| !std::ptr::eq(*step, exec)).skip(1);
    let own = |step: &&ResolvedStep| step.process == exec.process && step.act.needs_process();
    let in_setup = plan.setup.iter().any(|step| std::ptr::eq(step, exec));
    let lane = |lane: &ResolvedLane| in_setup && lane.process == exec.process;
    later.into_iter().any(|step| own(&step)) || plan.lanes.iter().any(lane)
}

/// Why references cannot be taken in this way, if so.
fn way(take: Take) -> Option<String> {
    match (take.force, take.path) {
        (Force::Override, _) => {
            Some("no system call keeps a reference that a debugger takes".to_owned())
        }
        (Force::Respect, Path::FastOnly | Path::SlowOnly) => {
            Some("the way to the pages cannot be chosen from outside".to_owned())
        }
        (Force::Respect, Path::FastThenSlow) => None,
    }
}

/// Why lanes must not run freely, although whole steps are exact: then only these are tried.
pub(crate) fn only_whole(plan: &Resolved) -> Option<String> {
    let writes =
        |step: &ResolvedStep| matches!(step.act, Act::Get(Take { access: Access::Write, .. }));
    let mut steps = plan.lanes.iter().flat_map(|lane| &lane.steps);
    if let Some(step) = steps.find(|step| writes(step)) {
        let why = "is a store and then a reference, not one step";
        return Some(format!("no free runs: {} {why}", step.text));
    }
    let ends = |(at, lane): &(usize, &ResolvedLane)| {
        let ends = |step: &ResolvedStep| matches!(step.act, Act::Exit | Act::Exec);
        let exit = lane.steps.iter().position(ends);
        exit.is_some_and(|exit| {
            let more = exit + 1 < lane.steps.len();
            let others =
                plan.lanes.iter().filter(|other| other.process == lane.process).count() > 1;
            more || others || plan.lanes.iter().any(|other| other.after == Some(*at))
        })
    };
    plan.lanes.iter().enumerate().find(ends).map(|(_, lane)| {
        format!(
            "no free runs: lane {} ends its process while a lane may be inside a step",
            lane.name
        )
    })
}

/// What is never compared, in words.
pub(crate) fn not_compared(plan: &Resolved, features: &Features) -> Vec<String> {
    let mut told = Vec::new();
    if !plan.reach.is_empty() {
        told.push(format!("reach {}: a kernel tells no events", plan.reach.join(", ")));
    }
    if plan.facts.iter().any(|look| matches!(look, Look::Dirty(_))) {
        told.push("dirty: the dirty bit is not visible".to_owned());
    }
    if !features.frames_visible && plan.facts.iter().any(|look| matches!(look, Look::Large(_))) {
        told.push("large: only root may see the flags of frames".to_owned());
    }
    let huge = plan.facts.iter().any(|look| matches!(look, Look::Huge(..)));
    if let Some(why) = features.no_huge_looks.clone().filter(|_| huge) {
        told.push(format!("huge: {why}"));
    }
    let soft_dirty = plan.facts.iter().any(|look| matches!(look, Look::SoftDirty(..)));
    if let Some(why) = features.no_soft_dirty.clone().filter(|_| soft_dirty) {
        told.push(format!("soft-dirty: {why}"));
    }
    if plan.facts.iter().any(|look| matches!(look, Look::Stores(..))) {
        told.push("stores: what is behind a file is not visible".to_owned());
    }
    if plan.facts.iter().any(|look| matches!(look, Look::Holds(..))) {
        told.push("holds: what is charged to a group is not asked".to_owned());
    }
    if plan.facts.iter().any(|look| matches!(look, Look::NodeHolds(..))) {
        told.push("node holds: a node's memory is everybody's".to_owned());
    }
    if plan.facts.iter().any(|look| matches!(look, Look::Cost(..))) {
        told.push("cost: what a kernel counts is not the trial's alone".to_owned());
    }
    let on_node = |look: &Look| matches!(look, Look::OnNode(Seen::Handle(_) | Seen::File(_), _));
    if features.nodes > 1 && plan.facts.iter().any(on_node) {
        told.push("on node, of handles and files: only a process's pages are told".to_owned());
    }
    if !features.frames_visible && plan.facts.iter().any(|look| matches!(look, Look::Merged(_))) {
        told.push("merged: only root may see the flags of frames".to_owned());
    }
    let needs_frames = |look: &Look| match look {
        Look::Is(left, right) => !is_pin(plan, left) && !is_pin(plan, right),
        Look::Sees(..)
        | Look::Stores(..)
        | Look::Holds(..)
        | Look::Dirty(_)
        | Look::Large(_)
        | Look::Merged(_)
        | Look::OnNode(..)
        | Look::NodeHolds(..)
        | Look::Cost(..)
        | Look::Huge(..)
        | Look::SoftDirty(..)
        | Look::Resident(..)
        | Look::Register(..) => false,
    };
    if !features.frames_visible && plan.facts.iter().any(needs_frames) {
        told.push("frames of processes and of gets: only root may see them".to_owned());
    }
    told
}

/// Whether it is looked at through a pin, which tells frames apart without seeing them.
fn is_pin(plan: &Resolved, seen: &Seen) -> bool {
    let Seen::Handle(spot) = seen else { return false };
    plan.steps().any(|step| matches!(step.act, Act::Pin(take, _) if take.handle == spot.of))
}
