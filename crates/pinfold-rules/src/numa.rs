//! The NUMA scanner meets a present entry: leave it alone because the page is shared or pinned, or
//! because it lies where it is used? (facts 4.1, 4.2) Before that: does it look at the area at all?
//! (facts 4.7) And the hinting fault: may the page follow its user? (facts 4.8)
//!
//! Protocol: under the page-table lock, the first question under the space's. Every answer is racy,
//! and no rule relies on it for correctness: a lock-free pin may land until the entry is cleared,
//! and a thread may begin. Tiering and the dirty page cache are separate tests, not made here.

use super::pin::maybe_dma_pinned;
use super::{
    Answer, Counter, Locality, Mapping, NumaAreas, NumaFilter, NumaSkip, NumaWrite, Owners,
    PageKind, PageState, Relation, ThpNuma, Users, Why,
};

/// What becomes of write permission while an entry waits for its hinting fault (facts 4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HintedWrite {
    /// The entry keeps it, and the fault leaves it as it is.
    InEntry,
    /// The entry drops it, and the fault does not grant it.
    Dropped,
    /// The entry drops it, and the fault works it out as mprotect does.
    Recomputed,
}

/// What the scanner does with the write bit of an entry that it makes inaccessible, and what the
/// hinting fault does (facts 4.3).
#[inline]
pub const fn hinted_write(rule: NumaWrite) -> HintedWrite {
    match rule {
        NumaWrite::Kept | NumaWrite::Saved => HintedWrite::InEntry,
        NumaWrite::Lost => HintedWrite::Dropped,
        NumaWrite::Recomputed => HintedWrite::Recomputed,
    }
}

/// How a hinting fault moves what its entry maps (facts 4.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HintedMove {
    /// Without migration entries, and only if nothing but this entry refers to the folio.
    Alone,
    /// As every other migration.
    Common,
    /// Not at all: the entry is made accessible.
    Stays,
}

/// How a hinting fault on an entry that maps as many pages as a table does (a PMD) moves the folio
/// (facts 4.4).
#[inline]
pub const fn hinted_huge(rule: ThpNuma) -> HintedMove {
    match rule {
        ThpNuma::Alone => HintedMove::Alone,
        ThpNuma::Huge | ThpNuma::Folio => HintedMove::Common,
    }
}

/// How one on an entry that maps a page of a large folio moves the folio. Where it does, all
/// hinting entries of the folio in the table and the area become accessible with that one (facts
/// 4.4).
#[inline]
pub const fn hinted_page(rule: ThpNuma) -> HintedMove {
    match rule {
        ThpNuma::Alone | ThpNuma::Huge => HintedMove::Stays,
        ThpNuma::Folio => HintedMove::Common,
    }
}

/// Which pages that several entries map stay where they are at a hinting fault.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SharedStays {
    /// All: what the scan looks at, that is mapped once, may be shared by a fork since.
    All,
    /// Those of a file of which an executable mapping takes the fault: others execute them, too.
    Code,
}

/// Which pages of several stay (facts 4.4). The test moved from the scanner to the fault, and there
/// to code alone, with one commit, so it is the scanner's rule that tells.
#[inline]
pub const fn shared_stays(rule: NumaSkip) -> SharedStays {
    match rule {
        NumaSkip::MapCountAnywhere => SharedStays::All,
        NumaSkip::Never
        | NumaSkip::MapCount
        | NumaSkip::RefCount
        | NumaSkip::PinnedOrLikelyShared
        | NumaSkip::PinnedOrMaybeShared
        | NumaSkip::PinnedAnywhere => SharedStays::Code,
    }
}

/// Whether so many entries that map a page are several.
#[inline]
pub const fn is_of_several(maps: u32) -> bool {
    maps > 1
}

/// Why the scanner leaves the entry accessible, if it does.
#[inline]
pub fn numa_skip(rule: NumaSkip, mapping: Mapping, page: &PageState) -> Option<Why> {
    if matches!(page.kind, PageKind::Ksm | PageKind::Zero) {
        return Some(Why::Page(page.kind));
    }
    let private = mapping == Mapping::Cow;
    let answer = match rule {
        NumaSkip::Never => return None,
        NumaSkip::MapCountAnywhere => maps(page, Relation::NotEqual),
        NumaSkip::MapCount if private => maps(page, Relation::NotEqual),
        NumaSkip::RefCount if private => {
            Answer::compare(Counter::Refs, page.refs, Relation::NotEqual, 1)
        }
        NumaSkip::PinnedOrLikelyShared if private => {
            either(maybe_dma_pinned(page), likely_shared(page))
        }
        NumaSkip::PinnedOrMaybeShared if private => {
            either(maybe_dma_pinned(page), maybe_shared(page))
        }
        NumaSkip::PinnedAnywhere if private => either(maybe_shared(page), maybe_dma_pinned(page)),
        NumaSkip::PinnedAnywhere => maybe_dma_pinned(page),
        NumaSkip::MapCount
        | NumaSkip::RefCount
        | NumaSkip::PinnedOrLikelyShared
        | NumaSkip::PinnedOrMaybeShared => return None,
    };
    match answer {
        Answer::Yes(why) => Some(why),
        Answer::No(_) => None,
    }
}

/// Whether the scanner leaves the entry accessible because a hinting fault could tell nothing: the
/// only thread of the address space runs on the page's node, and the memory is its own. The same in
/// all releases, in the older ones by inference (facts 4.1, 12.12). `users` and `locality` are
/// those of the thread that scans.
#[inline]
pub const fn is_settled(mapping: Mapping, users: Users, locality: Locality) -> bool {
    match (mapping, users, locality) {
        (Mapping::Cow, Users::One, Locality::Local) => true,
        (Mapping::Shared, _, _) | (_, Users::Several, _) | (_, _, Locality::Remote) => false,
    }
}

/// How many sequences of scans of a process, or of an area, pass before it matters who uses the
/// area.
const UNASKED_SCANS: u32 = 2;
/// How many a process has had at most that is early in its life.
const EARLY_SCANS: u32 = 4;

/// An area, as the scanner of a process comes to it (facts 4.7).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ScanArea {
    /// Whether the area is as large as what an entry above the last level maps.
    pub size: ScanSize,
    /// Whether it maps a file, or other memory that is not its own, for reading alone.
    pub contents: ScanContents,
    /// How long the scanner has known it.
    pub age: ScanAge,
    /// Whether the task that scans has taken hinting faults in it lately.
    pub user: ScanUser,
    /// How many sequences of scans of the process have ended.
    pub scans: u32,
    /// How many had when the scanner first came to the area.
    pub since: u32,
    /// What this sequence has done with it.
    pub turn: ScanTurn,
}

/// The size of an area.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ScanSize {
    /// Less than what an entry above the last level maps.
    Small,
    /// As much, or more.
    Large,
}

/// What an area shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ScanContents {
    /// A file that can be read and not written: a library's text.
    Text,
    /// Anything else.
    Data,
}

/// How long the scanner has known an area.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ScanAge {
    /// Less than the delay of scanning.
    New,
    /// The delay or longer.
    Old,
}

/// Whether a task uses an area.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ScanUser {
    /// It has taken hinting faults there lately.
    Seen,
    /// It has not.
    Unseen,
}

/// What a sequence of scans has done with an area.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ScanTurn {
    /// Nothing yet.
    Due,
    /// It has looked at the first part.
    Begun,
    /// It has looked at all of it.
    Done,
    /// Nothing yet, and the scanner has come again for what it had passed over as unused: it takes
    /// the first of that, whoever uses it.
    Forced,
}

/// Why the scanner passes an area over (facts 4.7).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AreaSkip {
    /// It is small.
    Small,
    /// It is a library's.
    Text,
    /// It is new.
    New,
    /// The task does not use it. By some rules the scanner comes again ([`comes_again`]).
    Unused,
    /// It was looked at in this sequence.
    Done,
}

/// Why the scanner passes an area over, if it does (facts 4.7). What it may never look at, since
/// pages could not move or nobody could fault there, it does not ask about.
#[inline]
pub const fn numa_area(rule: NumaAreas, area: &ScanArea) -> Option<AreaSkip> {
    let known = match rule {
        NumaAreas::Large => {
            return match area.size {
                ScanSize::Small => Some(AreaSkip::Small),
                ScanSize::Large => None,
            };
        }
        NumaAreas::Writable => None,
        NumaAreas::Accessed => Some(area.scans),
        NumaAreas::AccessedInTurn => Some(area.scans.wrapping_sub(area.since)),
    };
    match (area.contents, known) {
        (ScanContents::Text, _) => Some(AreaSkip::Text),
        (ScanContents::Data, None) => None,
        (ScanContents::Data, Some(known)) => unused_area(rule, area, known),
    }
}

/// As [`numa_area`], by the rules that know areas, of one that was known for so many sequences.
const fn unused_area(rule: NumaAreas, area: &ScanArea, known: u32) -> Option<AreaSkip> {
    if let (ScanAge::New, 1..) = (area.age, area.scans) {
        return Some(AreaSkip::New);
    }
    let turn = match rule {
        NumaAreas::Large | NumaAreas::Writable | NumaAreas::Accessed => ScanTurn::Due,
        NumaAreas::AccessedInTurn => area.turn,
    };
    match (turn, area.user) {
        (ScanTurn::Done, _) => Some(AreaSkip::Done),
        (ScanTurn::Begun | ScanTurn::Forced, _) | (_, ScanUser::Seen) => None,
        (ScanTurn::Due, ScanUser::Unseen) if known < UNASKED_SCANS => None,
        (ScanTurn::Due, ScanUser::Unseen) => Some(AreaSkip::Unused),
    }
}

/// Whether a scan that has come to the end of the process, and has passed over areas as unused,
/// goes through its part again for one of them (facts 4.7).
#[inline]
pub const fn comes_again(rule: NumaAreas) -> bool {
    match rule {
        NumaAreas::Large | NumaAreas::Writable | NumaAreas::Accessed => false,
        NumaAreas::AccessedInTurn => true,
    }
}

/// The hinting fault on a page before this one, seen from this one (facts 4.8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LastFault {
    /// Whether it was on the node of this one.
    pub node: Locality,
    /// Whose it was.
    pub task: LastTask,
}

/// Whose a hinting fault was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LastTask {
    /// That of the task that faults now, as far as can be told.
    This,
    /// Another's.
    Another,
}

/// Whether a hinting fault may move a page to its node, by what is known of the one before; `scans`
/// sequences of scans of the process have ended (facts 4.8).
#[inline]
pub const fn may_follow(rule: NumaFilter, last: Option<LastFault>, scans: u32) -> bool {
    let follows_task = match rule {
        NumaFilter::SameNode | NumaFilter::FirstOrSameNode => false,
        NumaFilter::Early => scans <= EARLY_SCANS,
    };
    let follows_first = match rule {
        NumaFilter::SameNode => false,
        NumaFilter::FirstOrSameNode | NumaFilter::Early => true,
    };
    match last {
        None => follows_first,
        Some(LastFault { node: Locality::Local, .. }) => true,
        Some(LastFault { task: LastTask::This, .. }) => follows_task,
        Some(LastFault { task: LastTask::Another, .. }) => false,
    }
}

/// Whether a hinting fault counts as one on memory of the task's own: the first, and one that
/// follows one of the same task (facts 4.8).
#[inline]
pub const fn is_private(last: Option<LastFault>) -> bool {
    match last {
        None | Some(LastFault { task: LastTask::This, .. }) => true,
        Some(LastFault { task: LastTask::Another, .. }) => false,
    }
}

fn maps(page: &PageState, relation: Relation) -> Answer {
    Answer::compare(Counter::Maps, page.maps, relation, 1)
}

/// Whether several address spaces map the page: of a large folio, a guess from the number of its
/// mappings and those of its first page.
fn likely_shared(page: &PageState) -> Answer {
    let Some(folio) = page.large else { return maps(page, Relation::Above) };
    let one = Answer::compare(Counter::FolioMaps, folio.maps, Relation::AtMost, 1);
    if let Answer::Yes(why) = one {
        return Answer::No(why);
    }
    either(
        Answer::compare(Counter::FolioMaps, folio.maps, Relation::Above, folio.pages),
        Answer::compare(Counter::Maps, folio.first, Relation::Above, 1),
    )
}

/// Whether several address spaces may map the page.
fn maybe_shared(page: &PageState) -> Answer {
    let Some(folio) = page.large else { return maps(page, Relation::Above) };
    match (Answer::compare(Counter::FolioMaps, folio.maps, Relation::AtMost, 1), folio.owners) {
        (Answer::Yes(why), _) => Answer::No(why),
        (Answer::No(_), Owners::Several) => Answer::Yes(Why::MaybeShared),
        (Answer::No(why), Owners::One) => Answer::No(why),
        (Answer::No(_), Owners::Uncounted) => likely_shared(page),
    }
}

/// The first of the two answers that is yes.
fn either(first: Answer, second: Answer) -> Answer {
    if first.is_yes() { first } else { second }
}
