//! Which calls of a recording become a scenario: the uses of memory that have most to fear, the
//! forks and changes of mappings that can meet them, and the threads that did all that.
//!
//! INV-PLAN-1: at most [`MOST_USES`] uses, [`MOST_LANES`] lanes and [`MOST_STEPS`] calls of a lane
//! are taken, so that the scenario can be searched; what is left out is said.
//! INV-PLAN-2: a lane of a child comes with its fork, and so on up to the first thread.

use super::answer::ImportError;
use super::beside::{Beside, beside};
use super::gap::{Gap, Left};
use super::log::{Log, Op, Taker, What, makes};
use super::order::races;
use super::space::{Kind, Range};
use std::collections::{BTreeMap, BTreeSet};

/// The most uses of memory in a scenario.
const MOST_USES: usize = 2;
/// The most lanes.
const MOST_LANES: usize = 4;
/// The most calls of a thread.
const MOST_STEPS: usize = 8;
/// The most areas.
const MOST_AREAS: usize = 3;
/// The most pages of an area.
const MOST_PAGES: usize = 4;

/// Pages of a mapping that all calls treat alike: one page of the scenario.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alike {
    pub(super) range: Range,
    /// A use covers only a part of the page.
    pub(super) partial: bool,
}

/// A mapping.
#[derive(Clone, Debug)]
pub(super) struct Area {
    pub(super) mapping: u32,
    pub(super) kind: Kind,
    pub(super) pages: Vec<Alike>,
    /// It takes the place of another one while lanes run.
    pub(super) later: bool,
}

/// What becomes a scenario.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) seeds: Vec<usize>,
    pub(super) areas: Vec<Area>,
    /// The first thread of the program, or of it the only one.
    pub(super) first: usize,
    /// For each thread that has a lane, its calls by their numbers.
    pub(super) lanes: BTreeMap<usize, Vec<usize>>,
    /// Who may store in the middle of their calls.
    pub(super) beside: Beside,
    /// Threads of other programs.
    pub(super) outside: BTreeSet<usize>,
    pub(super) left: Left,
}

/// Chooses.
///
/// # Errors
/// When nothing takes pages.
pub(super) fn plan(log: &Log) -> Result<Plan, ImportError> {
    let mut left = log.left.clone();
    let seeds = chosen(log, &mut left);
    let Some(root) = seeds.first().map(|seed| log.seeds[*seed].root) else {
        return Err(ImportError::Nothing { left: left.told() });
    };
    let mut kept = kept(log, root, &seeds, &mut left);
    let outside: BTreeSet<usize> = (kept.iter())
        .filter(|at| log.ops[**at].root != root)
        .map(|at| log.ops[*at].thread)
        .collect();
    let first = first(log, root, &seeds);
    close(log, root, first, &mut kept);
    let mut lanes = lanes(log, &kept);
    limit(log, first, &seeds, &mut lanes, &mut left);
    order(log, root, &mut lanes);
    replace_once(log, &seeds, &mut lanes, &mut left);
    let areas = areas(log, &seeds, &lanes, &mut left);
    if areas.iter().any(|area| area.kind == Kind::Huge) {
        left.add("huge pages: taken as small ones", 1, Gap::Untold);
    }
    let mut beside = beside(log, &lanes);
    let devices = devices(log, &seeds);
    if let Some((thread, _)) = beside.other.take_if(|_| lanes.len() + devices >= MOST_LANES) {
        let pid = log.threads[thread].pid;
        let why = format!("what thread {pid} stores meanwhile: there are four lanes without it");
        left.add(&why, 1, Gap::Untold);
    }
    for thread in &beside.untold {
        let pid = log.threads[*thread].pid;
        let why = format!("what thread {pid} stores meanwhile: one such thread has a lane");
        left.add(&why, 1, Gap::Untold);
    }
    Ok(Plan { seeds, areas, first, lanes, beside, outside, left })
}

/// The thread from which the others of the program come.
fn first(log: &Log, root: usize, seeds: &[usize]) -> usize {
    let owner = log.seeds[seeds[0]].owner;
    let mut at = owner;
    while let Some(parent) = log.threads[at].parent {
        // Up to the one that executed the program, whose children belong to it.
        let made = log.ops.iter().find(|op| makes(op) == Some(at));
        if made.is_none_or(|op| op.root != root) {
            break;
        }
        at = parent;
    }
    at
}

/// Where a seed was taken, and where it was released.
fn span(log: &Log, seed: usize) -> (usize, usize) {
    let taken = log.ops.iter().position(|op| matches!(op.what, What::Take(it) if it == seed));
    let ended = log.ops.iter().position(|op| matches!(op.what, What::Release(it) if it == seed));
    (taken.unwrap_or(usize::MAX), ended.unwrap_or(usize::MAX))
}

/// What can happen to a use of memory: the kinds of calls, by the threads that make them.
type Hazards = BTreeSet<(Hazard, usize)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hazard {
    Fork,
    Vfork,
    Unmap,
    Move,
    Reuse,
    Protect(&'static str),
    Advise(&'static str),
    Pageout,
    ClearRefs,
    Again,
    Store,
}

/// Whether the process forgets what it stored to memory of this seed, too.
fn clears(log: &Log, op: &Op, seed: usize) -> bool {
    log.threads[op.thread].process == log.threads[log.seeds[seed].owner].process
}

/// What can happen to a use of memory, and how much it has to fear.
#[derive(Clone, Debug, Default)]
struct Exposure {
    hazards: Hazards,
    /// How many calls meet it, up to three.
    met: u32,
    rank: u32,
    /// Private memory that children get: what forks are dangerous to.
    plain: bool,
}

fn exposure(log: &Log, seed: usize) -> Exposure {
    let of = &log.seeds[seed];
    let (taken, ended) = span(log, seed);
    let Some(by) = log.ops.get(taken).map(|op| op.thread) else { return Exposure::default() };
    // Who only looks changes nothing for the owner.
    if matches!(of.taker, Taker::VmRead | Taker::PtraceRead) {
        return Exposure::default();
    }
    let stays = of.goes_on();
    let races = (!stays).then(|| races(log, taken));
    let meets = |range: &Range| of.ranges.iter().any(|own| own.meets(range));
    // What others do while a call lasts is told by what is certain, not by the times.
    let had = |op: &Op| of.ranges.iter().any(|own| log.has(op.thread, own.mapping, op.line));
    let during = |at: usize| match &races {
        Some(races) if log.ops[at].thread != by => races[at],
        _ => at > taken && at < ended,
    };
    let hazard = |at: usize, op: &Op| {
        let forks = || match op.thread == by {
            true => stays && during(at),
            false => op.root == of.root && (stays || during(at)) && had(op),
        };
        match &op.what {
            What::Fork(_) if forks() => Some(Hazard::Fork),
            What::Vfork(_) if forks() => Some(Hazard::Vfork),
            What::Unmap(range) if during(at) && meets(range) => Some(Hazard::Unmap),
            What::Move(range) if during(at) && meets(range) => Some(Hazard::Move),
            What::Reuse(range, _) if during(at) && meets(range) => Some(Hazard::Reuse),
            What::Advise(range, to) if during(at) && meets(range) => Some(Hazard::Advise(to)),
            What::Pageout(range) if during(at) && meets(range) => Some(Hazard::Pageout),
            What::ClearRefs if during(at) && clears(log, op, seed) => Some(Hazard::ClearRefs),
            What::Protect(range, to) if meets(range) => Some(Hazard::Protect(to)),
            What::Store(range) if meets(range) => Some(Hazard::Store),
            What::Again(it) if *it == seed => Some(Hazard::Again),
            _ => None,
        }
    };
    let counts = |found: &Hazard| !matches!(found, Hazard::Protect(_) | Hazard::Store);
    let all = log.ops.iter().enumerate();
    let all: Vec<(Hazard, usize)> =
        all.filter_map(|(at, op)| Some((hazard(at, op)?, op.thread))).collect();
    let met = all.iter().filter(|(found, _)| counts(found)).take(3).count();
    let met = u32::try_from(met).unwrap_or(3);
    let child = u32::from(log.threads[of.owner].parent.is_some());
    let rank = met * 4 + child + u32::from(!of.partial.is_empty()) * 2;
    let plain = of.kind != Kind::Shared && !of.apart;
    Exposure { hazards: all.into_iter().collect(), met, rank, plain }
}

/// The uses of memory that are taken, the most exposed first; what meets private memory that
/// children get before all else.
fn chosen(log: &Log, left: &mut Left) -> Vec<usize> {
    let mut all: Vec<(usize, Exposure)> = (0..log.seeds.len())
        .filter(|at| span(log, *at).0 != usize::MAX)
        .map(|at| (at, exposure(log, at)))
        .collect();
    all.sort_by_key(|(seed, of)| {
        (std::cmp::Reverse(of.met > 0 && of.plain), std::cmp::Reverse(of.rank), *seed)
    });
    let Some(root) = all.first().map(|(seed, _)| log.seeds[*seed].root) else { return Vec::new() };
    let mut shapes = BTreeSet::new();
    let mut found: Vec<(usize, Hazards)> = Vec::new();
    let (mut alike, mut harmless, mut beyond, mut elsewhere) = (0, 0, 0, 0);
    for (seed, Exposure { hazards, met, rank, .. }) in all {
        let of = &log.seeds[seed];
        let by = log.ops[span(log, seed).0].thread;
        let kind = (of.kind == Kind::Shared, of.apart);
        if of.root != root {
            elsewhere += 1;
        } else if found.iter().any(|other| covers(log, other, (seed, &hazards)))
            || !shapes.insert((of.taker, by, of.partial.is_empty(), kind, hazards.clone(), rank))
        {
            alike += 1;
        } else if found.len() < MOST_USES && (found.is_empty() || rank > 0) {
            found.push((seed, hazards));
        } else if met == 0 {
            harmless += 1;
        } else {
            beyond += 1;
        }
    }
    left.add("uses of memory that are like one that is there", alike, Gap::None);
    left.add("uses of memory that nothing happens to", harmless, Gap::None);
    left.add("uses of memory beyond the two that most can happen to", beyond, Gap::Dropped);
    left.add("uses of memory by another program of the recording", elsewhere, Gap::Dropped);
    found.into_iter().map(|(seed, _)| seed).collect()
}

/// Whether all that can happen to a use that is over with its call can happen to one that is
/// there, of the same pages by the same thread.
fn covers(
    log: &Log,
    (there, theirs): &(usize, Hazards),
    (seed, hazards): (usize, &Hazards),
) -> bool {
    let by = |seed: usize| log.ops[span(log, seed).0].thread;
    let (other, of) = (&log.seeds[*there], &log.seeds[seed]);
    let same = other.taker == of.taker && other.ranges == of.ranges && by(*there) == by(seed);
    same && !of.goes_on() && hazards.is_subset(theirs)
}

/// The calls that concern the chosen uses.
fn kept(log: &Log, root: usize, seeds: &[usize], left: &mut Left) -> BTreeSet<usize> {
    let meets = |range: &Range| {
        seeds.iter().any(|seed| log.seeds[*seed].ranges.iter().any(|own| own.meets(range)))
    };
    // Another program: it never was a part of this one.
    let stranger = |thread: usize| !log.ops.iter().any(|op| op.thread == thread && op.root == root);
    let mut kept: BTreeSet<usize> = BTreeSet::new();
    let mut again = BTreeSet::new();
    let mut forked: BTreeMap<(usize, bool), usize> = BTreeMap::new();
    let (mut again_forked, mut more_forked, mut again_cleared) = (0, 0, 0);
    let start =
        |thread: usize| log.ops.iter().position(|op| makes(op) == Some(thread)).unwrap_or(0);
    // Whether it may find what the seed took.
    let finds = |seed: usize, at: usize, op: &Op, own: bool| {
        let (taken, ended) = span(log, seed);
        let by = log.ops[taken].thread;
        let met = if by == op.thread { at > taken && at < ended } else { at > start(by) };
        let mut ranges = log.seeds[seed].ranges.iter();
        let had = ranges.any(|range| log.has(op.thread, range.mapping, op.line));
        met && had && (!own || clears(log, op, seed))
    };
    for (at, op) in log.ops.iter().enumerate() {
        let keep = match &op.what {
            What::Take(seed) => seeds.contains(seed) && (op.root == root || stranger(op.thread)),
            _ if op.root != root => false,
            What::Release(seed) => seeds.contains(seed),
            What::Again(seed) => seeds.contains(seed) && again.insert(*seed),
            What::Unmap(range)
            | What::Reuse(range, _)
            | What::Protect(range, _)
            | What::Advise(range, _)
            | What::Pageout(range)
            | What::Move(range)
            | What::Store(range) => meets(range),
            What::ClearRefs if !seeds.iter().any(|seed| finds(*seed, at, op, true)) => false,
            What::ClearRefs => {
                let before = kept.iter().rev().find(|at| log.ops[**at].thread == op.thread);
                let again = before.is_some_and(|at| matches!(log.ops[*at].what, What::ClearRefs));
                again_cleared += u64::from(again);
                !again
            }
            What::Fork(_) | What::Vfork(_) | What::Share(_) => {
                let meets = seeds.iter().any(|seed| finds(*seed, at, op, false));
                // One that forks and one that borrows: the one says nothing about the other.
                let kind = (op.thread, matches!(op.what, What::Fork(_)));
                match forked.get(&kind).copied() {
                    _ if !meets => false,
                    None => {
                        forked.insert(kind, at);
                        true
                    }
                    Some(before) => {
                        let between =
                            (before + 1..at).any(|one| changes(log, seeds, &kept, op.thread, one));
                        let count = if between { &mut more_forked } else { &mut again_forked };
                        *count += 1;
                        false
                    }
                }
            }
            _ => false,
        };
        if keep {
            kept.insert(at);
        }
    }
    left.add("forks that find what one before them found", again_forked, Gap::None);
    left.add("forks of a thread beyond its first", more_forked, Gap::Dropped);
    left.add("clear_refs that finds what one before it found", again_cleared, Gap::None);
    kept
}

/// Whether a later fork of the thread finds something else than one before this call: the thread
/// did something in between, or somebody who takes pages came. What others do races with both.
fn changes(log: &Log, seeds: &[usize], kept: &BTreeSet<usize>, thread: usize, at: usize) -> bool {
    let op = &log.ops[at];
    let forks = matches!(op.what, What::Fork(_) | What::Vfork(_) | What::Share(_));
    let takes = |child: usize| {
        seeds.iter().any(|seed| log.ops.get(span(log, *seed).0).map(|op| op.thread) == Some(child))
    };
    op.thread == thread && kept.contains(&at) && !forks || makes(op).is_some_and(takes)
}

/// Adds what the lanes need: the calls that made their threads, and what a child by vfork ends
/// with.
fn close(log: &Log, root: usize, first: usize, kept: &mut BTreeSet<usize>) {
    loop {
        let threads: BTreeSet<usize> = kept.iter().map(|at| log.ops[*at].thread).collect();
        let borrowed: BTreeSet<usize> = (kept.iter())
            .filter_map(|at| match log.ops[*at].what {
                What::Vfork(child) => Some(child),
                _ => None,
            })
            .collect();
        let needed = |op: &Op| {
            let made = makes(op).filter(|child| *child != first);
            made.is_some_and(|child| threads.contains(&child))
                || matches!(op.what, What::Exec | What::Exit)
                    && (borrowed.contains(&op.thread)
                        || op.thread != first
                            && threads.contains(&op.thread)
                            && alone(log, op.thread))
        };
        let more: Vec<usize> = (log.ops.iter().enumerate())
            .filter(|(at, op)| op.root == root && needed(op) && !kept.contains(at))
            .map(|(at, _)| at)
            .collect();
        if more.is_empty() {
            return;
        }
        kept.extend(more);
    }
}

/// Whether a thread is the only one of its process.
fn alone(log: &Log, thread: usize) -> bool {
    let process = log.threads[thread].process;
    log.threads.iter().filter(|other| other.process == process && !other.visits).count() == 1
}

fn lanes(log: &Log, kept: &BTreeSet<usize>) -> BTreeMap<usize, Vec<usize>> {
    let mut lanes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for at in kept {
        lanes.entry(log.ops[*at].thread).or_default().push(*at);
    }
    // A process does nothing after it has executed another program or is gone.
    for steps in lanes.values_mut() {
        let end = steps.iter().position(|at| matches!(log.ops[*at].what, What::Exec | What::Exit));
        if let Some(end) = end {
            steps.truncate(end + 1);
        }
    }
    lanes
}

/// How many lanes of devices there are: one for each request.
fn devices(log: &Log, seeds: &[usize]) -> usize {
    seeds.iter().filter(|seed| log.seeds[**seed].submitted).count()
}

/// Keeps lanes few and short.
fn limit(
    log: &Log,
    first: usize,
    seeds: &[usize],
    lanes: &mut BTreeMap<usize, Vec<usize>>,
    left: &mut Left,
) {
    let owners: BTreeSet<usize> = (seeds.iter())
        .flat_map(|seed| [log.seeds[*seed].owner, log.ops[span(log, *seed).0].thread])
        .collect();
    let mut cut = 0;
    for (thread, steps) in lanes.iter_mut() {
        // The end of the program itself is the end of the scenario.
        // So is that of a child which holds nothing: it lives on, which is no better for others.
        let holds = steps.iter().any(|at| match log.ops[*at].what {
            What::Take(seed) => log.seeds[seed].goes_on(),
            What::Unmap(_) => true,
            _ => false,
        });
        let borrows = log.ops.iter().any(|op| matches!(op.what, What::Vfork(it) if it == *thread));
        if *thread == first || !alone(log, *thread) || !holds && !borrows {
            steps.retain(|at| !matches!(log.ops[*at].what, What::Exec | What::Exit));
        }
        // A registration that ends last ends with the program.
        let ends = |at: &usize| match log.ops[*at].what {
            What::Release(seed) => !log.seeds[seed].taker.sends(),
            _ => false,
        };
        while steps.last().is_some_and(ends) {
            steps.pop();
        }
        while steps.len() > MOST_STEPS {
            let Some(at) = steps.iter().rposition(|at| {
                !matches!(log.ops[*at].what, What::Take(_)) && makes(&log.ops[*at]).is_none()
            }) else {
                break;
            };
            steps.remove(at);
            cut += 1;
        }
    }
    lanes.retain(|thread, steps| *thread == first || !steps.is_empty());
    left.add("calls beyond the eight of a lane", cut, Gap::Dropped);
    let devices = devices(log, seeds);
    while lanes.len() + devices > MOST_LANES {
        let spare = lanes.keys().rev().copied().find(|thread| {
            *thread != first
                && !owners.contains(thread)
                && !lanes[thread].iter().any(|at| makes(&log.ops[*at]).is_some())
        });
        let Some(spare) = spare else { break };
        let gone = lanes.remove(&spare).unwrap_or_default();
        let pid = log.threads[spare].pid;
        let lines: Vec<String> = gone.iter().map(|at| log.ops[*at].line.to_string()).collect();
        let lines = lines.join(", ");
        let why = format!("thread {pid} (line {lines}): there are four lanes without it");
        left.add(&why, 1, Gap::Dropped);
        for steps in lanes.values_mut() {
            steps.retain(|at| !matches!(log.ops[*at].what, What::Vfork(child) if child == spare));
        }
    }
}

/// Adds the calls that order lanes: that made a thread, and that waited for one.
fn order(log: &Log, root: usize, lanes: &mut BTreeMap<usize, Vec<usize>>) {
    let known: BTreeSet<usize> = lanes.keys().copied().collect();
    for (thread, steps) in lanes.iter_mut() {
        let last = steps.last().copied().unwrap_or(0);
        let orders = |(at, op): &(usize, &Op)| {
            let what = match op.what {
                What::Thread(child) => known.contains(&child),
                What::Wait(child) => known.contains(&child) && *at < last,
                _ => false,
            };
            op.thread == *thread && op.root == root && what && !steps.contains(at)
        };
        let more: Vec<usize> =
            log.ops.iter().enumerate().filter(orders).map(|(at, _)| at).collect();
        steps.extend(more);
        steps.sort_unstable();
    }
}

/// Leaves one call for each mapping that takes the place of a buffer, and none for one that is a
/// buffer itself: an area is mapped once.
fn replace_once(
    log: &Log,
    seeds: &[usize],
    lanes: &mut BTreeMap<usize, Vec<usize>>,
    left: &mut Left,
) {
    let ranges = seeds.iter().flat_map(|seed| &log.seeds[*seed].ranges);
    let mut there: BTreeSet<u32> = ranges.map(|range| range.mapping).collect();
    for steps in lanes.values_mut() {
        let before = steps.len();
        steps.retain(|at| match &log.ops[*at].what {
            What::Reuse(_, new) => there.insert(new.mapping),
            _ => true,
        });
        let gone = (before - steps.len()) as u64;
        left.add("memory that takes the place of more than one buffer", gone, Gap::Dropped);
    }
}

/// The mappings of the scenario, cut where a call treats pages differently.
fn areas(
    log: &Log,
    seeds: &[usize],
    lanes: &BTreeMap<usize, Vec<usize>>,
    left: &mut Left,
) -> Vec<Area> {
    let mut areas: Vec<Area> = Vec::new();
    let mut cuts: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    let mut covered: Vec<Range> = Vec::new();
    let mut partial: BTreeSet<(u32, u64)> = BTreeSet::new();
    for seed in seeds.iter().map(|seed| &log.seeds[*seed]) {
        for range in &seed.ranges {
            covered.push(*range);
            let own = cuts.entry(range.mapping).or_default();
            own.extend([range.from, range.to]);
            for page in seed.partial.iter().filter(|page| (range.from..range.to).contains(page)) {
                own.extend([*page, page + 1]);
                partial.insert((range.mapping, *page));
            }
            if !areas.iter().any(|area| area.mapping == range.mapping) {
                let (mapping, kind) = (range.mapping, seed.kind);
                areas.push(Area { mapping, kind, pages: Vec::new(), later: false });
            }
        }
    }
    for op in lanes.values().flatten().map(|at| &log.ops[*at]) {
        let range = match &op.what {
            What::Unmap(range)
            | What::Protect(range, _)
            | What::Advise(range, _)
            | What::Pageout(range)
            | What::Move(range)
            | What::Store(range)
            | What::Reuse(range, _) => range,
            _ => continue,
        };
        if let Some(own) = cuts.get_mut(&range.mapping) {
            own.extend([range.from, range.to]);
        }
    }
    for area in &mut areas {
        let own: Vec<u64> = cuts.remove(&area.mapping).unwrap_or_default().into_iter().collect();
        for two in own.windows(2) {
            let range = Range { mapping: area.mapping, from: two[0], to: two[1] };
            if covered.iter().any(|seed| seed.meets(&range)) {
                let partial = partial.contains(&(area.mapping, two[0]));
                area.pages.push(Alike { range, partial });
            }
        }
        if area.pages.len() > MOST_PAGES {
            let gone = area.pages.len() - MOST_PAGES;
            let why = "groups of pages of a mapping beyond the first four";
            left.add(why, gone as u64, Gap::Dropped);
            area.pages.truncate(MOST_PAGES);
        }
    }
    areas.extend(later(log, lanes, &areas));
    if areas.len() > MOST_AREAS {
        left.add("mappings beyond three", (areas.len() - MOST_AREAS) as u64, Gap::Dropped);
        areas.truncate(MOST_AREAS);
    }
    areas
}

/// New memory at the place of a buffer: as many pages as it replaces.
fn later(log: &Log, lanes: &BTreeMap<usize, Vec<usize>>, areas: &[Area]) -> Vec<Area> {
    let mut found: Vec<Area> = Vec::new();
    for op in lanes.values().flatten().map(|at| &log.ops[*at]) {
        if let What::Reuse(old, new) = &op.what
            && !found.iter().any(|area| area.mapping == new.mapping)
        {
            let replaced = areas.iter().flat_map(|area| &area.pages);
            let replaced = replaced.filter(|page| page.range.meets(old));
            let pages = replaced.map(|_| Alike { range: *new, partial: false }).collect();
            found.push(Area { mapping: new.mapping, kind: Kind::Private, pages, later: true });
        }
    }
    found
}
