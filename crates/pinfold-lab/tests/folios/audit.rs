//! Every reference, mapping and pin of every frame and folio has a reason, every frame without one
//! is free, and a folio knows who maps it.

use std::collections::BTreeSet;

use pinfold::lab::{self, FolioView, Holder};
use pinfold::rules::large::{counts_each_page, counts_owners};
use pinfold::rules::{LargeMaps, cow, pin};
use pinfold::sync::Shared;
use pinfold::{AddressSpace, Flags, Memory, PIN_BIAS, Pfn, SpaceId};

use super::platform::Bare;

/// What a frame is wanted for.
#[derive(Clone, Default, Debug)]
struct Wanted {
    refs: u32,
    maps: u32,
    locks: u32,
    pins: u32,
    spaces: BTreeSet<SpaceId>,
}

/// What there is.
pub(crate) struct Whole<'a> {
    pub(crate) spaces: &'a [&'a AddressSpace<Bare>],
    pub(crate) pinned: &'a [Pfn],
    pub(crate) held: &'a [Pfn],
    /// The first frames of runs that the embedder has.
    pub(crate) kept: &'a [Pfn],
    /// Whether no more than two address spaces have mapped any folio, so that its word is exact.
    pub(crate) two: bool,
}

/// Adds up what the living spaces, pins and references hold, and compares it with what the frames
/// say.
pub(crate) fn check(memory: &Shared<Memory<Bare>>, whole: &Whole<'_>) -> Result<(), String> {
    let frames = memory.frames();
    let mut wanted = vec![Wanted::default(); frames.all().count()];
    for space in whole.spaces {
        lab::account(space, |pfn, holder| {
            let wanted = &mut wanted[pfn.0 as usize];
            wanted.refs += 1;
            if matches!(holder, Holder::Mapping | Holder::LockedMapping) {
                wanted.maps += 1;
                wanted.spaces.insert(space.id());
            }
            wanted.locks += u32::from(holder == Holder::LockedMapping);
        });
    }
    let zero = memory.zero_page();
    let free_zero = !pin::counts_zero_page(memory.rule());
    wanted[zero.0 as usize].refs += 1;
    for pfn in whole.pinned.iter().filter(|pfn| !free_zero || **pfn != zero) {
        let wanted = &mut wanted[pfn.0 as usize];
        if lab::large_folio(frames, *pfn).is_some() {
            (wanted.refs, wanted.pins) = (wanted.refs + 1, wanted.pins + 1);
        } else {
            wanted.refs += PIN_BIAS;
        }
    }
    whole.held.iter().chain(whole.kept).for_each(|pfn| wanted[pfn.0 as usize].refs += 1);
    let (mut free, mut queued) = (0, 0);
    for pfn in frames.all() {
        if let Some(folio) = lab::large_folio(frames, pfn) {
            large(memory, (&folio, pfn), &wanted, whole.two)?;
            queued += u64::from(folio.queued && folio.head == pfn);
            continue;
        }
        // Of a run there is nothing more to say.
        let kept = whole.kept.iter().any(|head| {
            let run = head.0..head.0 + (1 << frames.order(*head));
            run.contains(&pfn.0)
        });
        if kept {
            continue;
        }
        small(memory, pfn, &wanted[pfn.0 as usize])?;
        free += u64::from(wanted[pfn.0 as usize].refs == 0);
    }
    if frames.total_free() != free {
        return Err(format!("{} frames are free, {free} unused", frames.total_free()));
    }
    if memory.partly_mapped() != queued {
        return Err(format!("{} folios wait, {queued} say so", memory.partly_mapped()));
    }
    Ok(())
}

fn small(memory: &Memory<Bare>, pfn: Pfn, wanted: &Wanted) -> Result<(), String> {
    let frames = memory.frames();
    let (counts, flags) = (lab::counts(frames, pfn), lab::flags(frames, pfn));
    let locked = lab::locked_mappings(frames, pfn);
    if (counts.refs(), counts.maps(), locked) != (wanted.refs, wanted.maps, wanted.locks) {
        return Err(format!("{pfn} has {counts}, {locked} locked; accounted for are {wanted:?}"));
    }
    if flags.intersects(Flags::LOCKED | Flags::WAITERS | Flags::ISOLATED) {
        return Err(format!("{pfn} is left with {flags:?}"));
    }
    if wanted.refs == 0 && (!flags.is_empty() || counts.is_exclusive()) {
        return Err(format!("{pfn} is free and has {flags:?}, {counts}"));
    }
    if flags.contains(Flags::ANON) && counts.is_exclusive() && wanted.maps > 1 {
        return Err(format!("{pfn} is exclusive and mapped {} times", wanted.maps));
    }
    Ok(())
}

fn large(
    memory: &Memory<Bare>,
    (folio, pfn): (&FolioView, Pfn),
    wanted: &[Wanted],
    two: bool,
) -> Result<(), String> {
    let (frames, rule) = (memory.frames(), memory.rule::<LargeMaps>());
    let each = counts_each_page(rule);
    let parts = &wanted[folio.head.0 as usize..][..folio.pages as usize];
    let (counts, flags) = (lab::counts(frames, pfn), lab::flags(frames, pfn));
    let own = &wanted[pfn.0 as usize];
    if counts.is_exclusive() && own.maps > 1 && cow::sets_exclusive(memory.rule()) {
        return Err(format!("{pfn} is exclusive and mapped {} times", own.maps));
    }
    let by_itself = folio.page_maps[(pfn.0 - folio.head.0) as usize];
    if by_itself != if each { own.maps } else { 0 } {
        return Err(format!("{pfn} says it is mapped {by_itself} times, not {}", own.maps));
    }
    if flags.intersects(Flags::LOCKED | Flags::WAITERS | Flags::ISOLATED) {
        return Err(format!("{pfn} is left with {flags:?}"));
    }
    if pfn != folio.head {
        let tail = counts.refs() == 0 && flags.contains(Flags::TAIL);
        return if tail { Ok(()) } else { Err(format!("{pfn} is no tail: {counts}, {flags:?}")) };
    }
    let sum = |of: fn(&Wanted) -> u32| parts.iter().map(of).sum::<u32>();
    let found = (counts.refs(), counts.maps(), folio.pins, lab::locked_mappings(frames, pfn));
    let right = (sum(|w| w.refs), sum(|w| w.maps), sum(|w| w.pins), sum(|w| w.locks));
    if found != right {
        return Err(format!("refs, maps, pins, locks of {pfn} are {found:?}, not {right:?}"));
    }
    if folio.owners_locked {
        return Err(format!("the owners of {pfn} are left locked"));
    }
    let spaces: BTreeSet<_> = parts.iter().flat_map(|part| &part.spaces).collect();
    let shared = folio.may_be_shared;
    if counts_owners(rule) && (!shared && spaces.len() > 1 || two && shared && spaces.len() < 2) {
        return Err(format!("{pfn} is mapped by {spaces:?}; shared, it says, is {shared}"));
    }
    let partly =
        if each { parts.iter().any(|part| part.maps == 0) } else { u64::from(right.1) < PARTS };
    if right.1 > 0 && partly && !folio.queued {
        return Err(format!("{pfn} is mapped in part and does not wait"));
    }
    Ok(())
}

/// Pages of a folio here.
const PARTS: u64 = super::operations::PAGES;
