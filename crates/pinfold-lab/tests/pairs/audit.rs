//! Every reference and mapping of every frame has a reason, and every frame without one is free.

use std::collections::BTreeSet;

use pinfold::lab::{self, Holder};
use pinfold::rules::pin::counts_zero_page;
use pinfold::sync::Shared;
use pinfold::{AddressSpace, File, Flags, Memory, PIN_BIAS, Pfn};

use super::platform::Bare;

/// Adds up what the living spaces, pins and references hold, and compares it with what the frames
/// say.
pub(crate) fn check(
    memory: &Shared<Memory<Bare>>,
    spaces: &[&AddressSpace<Bare>],
    files: &[&File<Bare>],
    pinned: &[Pfn],
    held: &[Pfn],
) -> Result<(), String> {
    let frames = memory.frames();
    // References and mappings by frame.
    let mut wanted = vec![(0, 0, 0); frames.all().count()];
    let mut objects = BTreeSet::new();
    for file in files {
        lab::account_file(file, |pfn, holder| {
            if let Holder::Object(object) = holder {
                wanted[pfn.0 as usize].0 += u32::from(objects.insert((object, pfn)));
            }
        });
    }
    for space in spaces {
        lab::account(space, |pfn, holder| {
            let (refs, maps, locks) = &mut wanted[pfn.0 as usize];
            match holder {
                Holder::Table => *refs += 1,
                Holder::Object(object) => *refs += u32::from(objects.insert((object, pfn))),
                Holder::Mapping => (*refs, *maps) = (*refs + 1, *maps + 1),
                Holder::LockedMapping => {
                    (*refs, *maps, *locks) = (*refs + 1, *maps + 1, *locks + 1);
                }
            }
        });
    }
    let zero = memory.zero_page();
    let free_zero = !counts_zero_page(memory.rule());
    wanted[zero.0 as usize].0 += 1;
    for pfn in pinned.iter().filter(|pfn| !free_zero || **pfn != zero) {
        wanted[pfn.0 as usize].0 += PIN_BIAS;
    }
    for pfn in held {
        wanted[pfn.0 as usize].0 += 1;
    }
    let mut free = 0;
    for pfn in frames.all() {
        let (counts, flags) = (lab::counts(frames, pfn), lab::flags(frames, pfn));
        let (refs, maps, locks) = wanted[pfn.0 as usize];
        if (counts.refs(), counts.maps()) != (refs, maps) {
            return Err(format!("{pfn} has {counts}; {refs} and {maps} are accounted for"));
        }
        let locked = lab::locked_mappings(frames, pfn);
        if locked != locks {
            return Err(format!("{pfn} counts {locked} locked mappings; {locks} there are"));
        }
        if flags.intersects(Flags::LOCKED | Flags::WAITERS | Flags::ISOLATED) {
            return Err(format!("{pfn} is left with {flags:?}"));
        }
        if refs == 0 {
            free += 1;
            if !flags.is_empty() || counts.is_exclusive() {
                return Err(format!("{pfn} is free and has {flags:?}, {counts}"));
            }
        } else if flags.contains(Flags::ANON) && counts.is_exclusive() && maps > 1 {
            return Err(format!("{pfn} is exclusive and mapped {maps} times"));
        }
    }
    if frames.total_free() != free {
        return Err(format!("{} frames are free, {free} unused", frames.total_free()));
    }
    Ok(())
}
