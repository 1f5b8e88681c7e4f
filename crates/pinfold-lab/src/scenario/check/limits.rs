//! Bounds on numbers: what can be asked of a machine that is explored exhaustively.

use super::super::ast::{Action, Machine, Scenario};
use super::super::error::{Code, ScenarioError};
use super::super::span::{Span, Spanned};
use super::super::words::{Sharing, Thp};
use super::names;
use std::ops::RangeInclusive;

/// Bytes of a page.
const PAGE_SIZE: u64 = 4096;
/// One past the last address of a process.
const ADDRESS_END: u64 = 16 * PAGE_SIZE;

/// Memory nodes.
const NODES: RangeInclusive<u32> = 1..=8;
/// Frames of a node.
const FRAMES: RangeInclusive<u32> = 1..=4096;
/// Words of a page.
const WORDS: RangeInclusive<u32> = 1..=8;
/// Passes of a migration attempt.
const PASSES: RangeInclusive<u32> = 1..=100;
/// Pages of an area: one page table.
const PAGES: RangeInclusive<u32> = 1..=15;
/// Pages of a file: as many as there are places for.
const FILE_PAGES: RangeInclusive<u32> = 0..=15;
/// Pages of a huge page: as many as a page table maps.
const HUGE: u32 = 4;
/// Huge pages that are set aside.
const HUGE_PAGES: RangeInclusive<u32> = 1..=64;
/// Slots of the swap device: no more than its disk has pages.
const SLOTS: RangeInclusive<u32> = 1..=16;
/// Which write or read of the swap device fails.
const FAILING: RangeInclusive<u32> = 1..=64;
/// Powers of two of the pages that are read together: as many as a page table maps.
const READAHEAD: RangeInclusive<u32> = 1..=2;
/// Pages that a collapse brings back: of those of a page table.
const COLLAPSED: RangeInclusive<u32> = 0..=HUGE;
/// Pages of a batch for the LRU lists: as many as it has room for.
const BATCH: RangeInclusive<u32> = 1..=pinfold::MOST_BATCHED;
/// Frames of a node that are set apart for what can move, or for contiguous requests.
const MOVABLE: RangeInclusive<u32> = 1..=64;
/// Areas of a process.
const AREAS: RangeInclusive<u32> = 1..=64;
/// Pins or references that one step takes on a page: as many references as a counter holds.
const TIMES: RangeInclusive<u32> = 1..=i32::MAX as u32;

/// Checks every number whose bounds do not depend on a name.
pub(super) fn check(scenario: &Scenario, errors: &mut Vec<ScenarioError>) {
    let machine = &scenario.machine;
    for (what, number, bounds) in [
        ("number of nodes", machine.nodes, NODES),
        ("number of frames", machine.frames, FRAMES),
        ("number of words", machine.words, WORDS),
        ("number of passes", machine.migrate_passes, PASSES),
        ("number of areas", machine.areas, AREAS),
        ("number of pages of a stack", machine.stack, PAGES),
        ("number of huge pages", machine.hugetlb, HUGE_PAGES),
        ("number of slots", machine.swap, SLOTS),
        ("number of a write", machine.swap_write_fails, FAILING),
        ("number of a read", machine.swap_read_fails, FAILING),
        ("power of two of pages", machine.readahead, READAHEAD),
        ("number of pages that a collapse brings back", machine.max_ptes_swap, COLLAPSED),
        ("number of pages of a batch", machine.lru, BATCH),
        ("number of frames for what can move", machine.movable, MOVABLE),
        ("number of frames for contiguous requests", machine.cma, MOVABLE),
    ] {
        errors.extend(number.and_then(|number| outside(what, number, &bounds)));
    }
    errors.extend(without_use(machine));
    for file in &machine.files {
        errors.extend(outside("number of pages of a file", file.pages, &FILE_PAGES));
    }
    for group in &machine.groups {
        errors.extend(outside("number of pages of a group", group.limit, &FRAMES));
    }
    for (_, _, step) in names::steps(scenario) {
        match &step.action {
            Action::Map { area, pages, sharing, of, up_to, at, .. } => {
                if sharing.value == Sharing::Hugetlb {
                    errors.extend(of_huge_pages(*pages, *at));
                }
                let from = of.as_ref().and_then(|shown| shown.from);
                errors.extend(from.and_then(|page| outside("page of a file", page, &FILE_PAGES)));
                if pages.value == 0 {
                    errors.push(
                        ScenarioError::new(
                            Code::EmptyRange,
                            pages.span,
                            format!("the area `{area}` would have no pages"),
                            "zero pages",
                        )
                        .help("an area has at least one page"),
                    );
                } else {
                    errors.extend(outside("number of pages", *pages, &PAGES));
                }
                let room = up_to.filter(|most| most.value >= pages.value);
                match (up_to, room) {
                    (Some(most), None) => errors.push(too_short(*pages, *most)),
                    _ => errors
                        .extend(room.and_then(|most| outside("number of pages", most, &PAGES))),
                }
                let room = room.map_or(pages.value, |most| most.value);
                errors.extend(at.and_then(|at| address(at, room)));
            }
            Action::Break { area, pages } => {
                errors.extend(outside("number of pages", *pages, &(0..=*PAGES.end())));
                if scenario.break_pages() == 0 && step.fails.is_none() {
                    errors.push(
                        ScenarioError::new(
                            Code::EmptyRange,
                            pages.span,
                            format!("the area `{area}` would never have a page"),
                            "zero pages, and no other break",
                        )
                        .help("give it pages first: `break A 4`"),
                    );
                }
            }
            Action::Pin { times, .. } | Action::Get { times, .. } => {
                errors.extend(times.and_then(|n| outside("number of references", n, &TIMES)));
            }
            Action::Unmap { .. }
            | Action::Remap { .. }
            | Action::Protect { .. }
            | Action::Advise { .. }
            | Action::Write { .. }
            | Action::Read { .. }
            | Action::DeviceWrite { .. }
            | Action::DeviceRead { .. }
            | Action::Unpin { .. }
            | Action::Put { .. }
            | Action::Follow { .. }
            | Action::Unfollow { .. }
            | Action::Fork { .. }
            | Action::Exit
            | Action::NumaScan { .. }
            | Action::NumaTick { .. }
            | Action::Migrate { .. }
            | Action::MovePages { .. }
            | Action::Mbind { .. }
            | Action::Offline { .. }
            | Action::Online { .. }
            | Action::Compact { .. }
            | Action::ClearRefs
            | Action::Pageout { .. }
            | Action::Swapoff
            | Action::Reclaim { .. }
            | Action::LruDrain { .. }
            | Action::Ksm { .. }
            | Action::Writeback { .. }
            | Action::Signal { .. }
            | Action::Await { .. }
            | Action::Populate { .. }
            | Action::Mlock { .. }
            | Action::Munlock { .. }
            | Action::FileWrite { .. }
            | Action::FileRead { .. }
            | Action::Punch { .. }
            | Action::Sync { .. }
            | Action::Join { .. }
            | Action::UffdRegister { .. }
            | Action::UffdUnregister { .. }
            | Action::UffdCopy { .. }
            | Action::UffdZero { .. }
            | Action::UffdContinue { .. }
            | Action::UffdProtect { .. }
            | Action::UffdUnprotect { .. }
            | Action::UffdWait { .. }
            | Action::SplitFolio { .. }
            | Action::SplitDeferred
            | Action::Collapse { .. }
            | Action::Note { .. }
            | Action::TryGet { .. }
            | Action::GetPage { .. }
            | Action::MoveCharge { .. }
            | Action::DirectRead { .. }
            | Action::DirectWrite { .. }
            | Action::VmRead { .. }
            | Action::VmWrite { .. }
            | Action::PtraceRead { .. }
            | Action::PtraceWrite { .. } => {}
            Action::Truncate { pages, words, .. } => {
                let most = FILE_PAGES.end() - u32::from(words.is_some());
                errors.extend(outside("number of pages of a file", *pages, &(0..=most)));
            }
            Action::Clone { .. } | Action::Vfork { .. } | Action::Exec => {}
        }
    }
}

/// The errors for what a machine's swap device or a collapse is like, where there is none.
fn without_use(machine: &Machine) -> Vec<ScenarioError> {
    let like = [
        machine.swap_device.map(|device| (device.span, "swap-device")),
        machine.swap_writes.map(|writes| (writes.span, "swap-writes")),
        machine.swap_write_fails.map(|nth| (nth.span, "swap-write-fails")),
        machine.swap_read_fails.map(|nth| (nth.span, "swap-read-fails")),
    ];
    let most = machine.max_ptes_swap.map(|most| (most.span, "max-ptes-swap"));
    let mut errors = Vec::new();
    let mut error = |(at, what): (Span, &str), lacks: &str, help: &str| {
        let said = format!("`{what}` has no effect: the machine has {lacks}");
        errors.push(ScenarioError::new(Code::Missing, at, said, lacks).help(help));
    };
    if machine.swap.is_none() {
        let lacks = |property| error(property, "no swap device", "add `swap 4`, or leave this out");
        like.into_iter().chain([most]).flatten().for_each(lacks);
    } else if machine.thp() == Thp::Entries {
        let lacks = |property| error(property, "no `thp pmd`", "add `thp pmd`, or leave this out");
        most.into_iter().for_each(lacks);
    }
    errors
}

/// The errors for an area of huge pages that does not begin and end where such pages do.
fn of_huge_pages(pages: Spanned<u32>, at: Option<Spanned<u64>>) -> Vec<ScenarioError> {
    let (bytes, mut errors) = (u64::from(HUGE) * PAGE_SIZE, Vec::new());
    let help = format!("a huge page has {HUGE} pages, and begins at a multiple of {bytes:#x}");
    let mut error = |at, said: String| {
        errors.push(ScenarioError::new(Code::BadNumber, at, said, "not of huge pages").help(&help));
    };
    if !pages.value.is_multiple_of(HUGE) {
        error(pages.span, format!("{pages} pages are no number of huge pages"));
    }
    if let Some(at) = at.filter(|at| !at.value.is_multiple_of(bytes)) {
        error(at.span, format!("no huge page begins at {:#x}", at.value));
    }
    errors
}

/// The error for a stack that has more pages than it may come to have.
fn too_short(pages: Spanned<u32>, most: Spanned<u32>) -> ScenarioError {
    ScenarioError::new(
        Code::BadNumber,
        most.span,
        format!("a stack of {pages} pages is larger than {most}"),
        format!("must be {pages} to {}", PAGES.end()),
    )
}

fn outside(
    what: &str,
    number: Spanned<u32>,
    bounds: &RangeInclusive<u32>,
) -> Option<ScenarioError> {
    (!bounds.contains(&number.value)).then(|| {
        ScenarioError::new(
            Code::BadNumber,
            number.span,
            format!("{number} is out of bounds for a {what}"),
            format!("must be {} to {}", bounds.start(), bounds.end()),
        )
    })
}

pub(super) fn address(at: Spanned<u64>, pages: u32) -> Option<ScenarioError> {
    let inside = at.value % PAGE_SIZE;
    if inside != 0 {
        let below = at.value - inside;
        return Some(
            ScenarioError::new(
                Code::Unaligned,
                at.span,
                format!("{:#x} lies inside a page", at.value),
                "not the start of a page",
            )
            .help(format!("the page starts at {below:#x}")),
        );
    }
    let end = at.value.checked_add(u64::from(pages) * PAGE_SIZE);
    (at.value == 0 || end.is_none_or(|end| end > ADDRESS_END)).then(|| {
        ScenarioError::new(
            Code::BadNumber,
            at.span,
            format!("{:#x} is no place for an area", at.value),
            "outside the address space",
        )
        .help(format!("areas lie between {PAGE_SIZE:#x} and {ADDRESS_END:#x}"))
    })
}
