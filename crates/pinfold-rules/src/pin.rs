//! Get and pin meet a present entry: may they take the page as it is? (facts 3)
//!
//! Protocol: the slow path asks under the page-table lock; the lock-free path asks after it has
//! taken its reference and read the entry again, with a read barrier before it looks at the
//! exclusive mark (facts 3.5). [`maybe_dma_pinned`] orders nothing: a reliable no needs the
//! page-table lock and fork's sequence count, or a cleared entry and a full barrier.

use super::{
    Answer, AreaState, Counter, DirectIo, Dirty, EntryState, Exclusive, FastRecheck, FilePin,
    ForceWrite, GupNuma, GupStack, LongtermZone, ProcessVm,
};
use super::{Mapping, PageKind, PageState, Permission, ReadGup, Relation, Tracking, Why, ZeroPin};

/// What one pin of a small page adds to its refcount.
pub const PIN_BIAS: u32 = 1024;

/// What is taken on the page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Hold {
    /// An ordinary reference, which keeps the page from being freed.
    Get,
    /// A pin, which also keeps it with its owner.
    Pin,
}

/// What it is taken for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// Only reading.
    Read,
    /// Writing as well.
    Write,
}

/// For how long.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Term {
    /// For one transfer.
    Short,
    /// For as long as user space likes.
    Long,
}

/// A request for the pages of a range.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Request {
    /// Reference or pin.
    pub hold: Hold,
    /// For reading or for writing.
    pub access: Access,
    /// For how long.
    pub term: Term,
}

/// Which path walks the tables, and so what is known of the area.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Walk {
    /// The slow path, which has found the area.
    Slow(Mapping),
    /// The lock-free path, which sees no areas and leaves what it cannot decide to the slow path.
    Fast,
    /// The lock-free path without a fallback to the slow path.
    FastOnly,
}

/// Whether the page may be pinned by anyone. A no is certain; for a small page a yes may also come
/// from [`PIN_BIAS`] ordinary references. The refcount is taken as unsigned, so that an overflow
/// does not hide pins (facts 3.3).
#[inline]
pub fn maybe_dma_pinned(page: &PageState) -> Answer {
    match page.large.map(|large| large.pins) {
        Some(pins) => Answer::compare(Counter::Pins, pins, Relation::Above, 0),
        None => Answer::compare(Counter::Refs, page.refs, Relation::AtLeast, PIN_BIAS),
    }
}

/// The access that an entry must allow for the request, where reads may count as writes
/// (facts 1.2).
#[inline]
pub const fn entry_access(rule: ReadGup, asked: Access, walk: Walk) -> Access {
    match (rule, walk) {
        (ReadGup::ForceWrite, Walk::Slow(Mapping::Cow) | Walk::Fast) => Access::Write,
        (ReadGup::ForceWrite, Walk::Slow(Mapping::Shared) | Walk::FastOnly) => asked,
        (ReadGup::AsIs | ReadGup::UnshareAnon | ReadGup::UnshareAll, _) => asked,
    }
}

/// Which pages a read-only pin unshares (facts 3.6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unshares {
    /// None: it takes the page that is mapped.
    Nothing,
    /// Anonymous pages that are not exclusive.
    Anon,
    /// Those, and for long-term pins also page-cache and zero pages of private mappings.
    AllPrivate,
}

/// Which pages a read-only pin unshares under the rule. An unshare fault on any other page leaves
/// it alone (facts 3.9).
#[inline]
pub const fn unshares(rule: ReadGup) -> Unshares {
    match rule {
        ReadGup::AsIs | ReadGup::ForceWrite => Unshares::Nothing,
        ReadGup::UnshareAnon => Unshares::Anon,
        ReadGup::UnshareAll => Unshares::AllPrivate,
    }
}

/// Whether a pin of the zero page changes its refcount (facts 3.3). A get always does.
#[inline]
pub const fn counts_zero_page(rule: ZeroPin) -> bool {
    match rule {
        ZeroPin::Counted => true,
        ZeroPin::Free => false,
    }
}

/// Whether the slow path takes the hinting fault of an entry that waits for one, unless the request
/// is forced (facts 3.8).
#[inline]
pub const fn takes_hinting_fault(rule: GupNuma) -> bool {
    match rule {
        GupNuma::Honor => true,
        GupNuma::Follow => false,
    }
}

/// Whether the slow path makes a stack grow that lies above a page where nothing is mapped (facts
/// 3.13).
#[inline]
pub const fn grows_stack(rule: GupStack) -> bool {
    match rule {
        GupStack::Grow => true,
        GupStack::Refuse => false,
    }
}

/// Whether a request for a page of a file whose writes are tracked is refused, where writes to the
/// mapping reach the file (facts 3.11).
#[inline]
pub fn refuses_tracked(rule: FilePin, request: Request) -> bool {
    match rule {
        FilePin::Allowed => false,
        FilePin::Refused => {
            let Request { hold, access, term } = request;
            (hold, access, term) == (Hold::Pin, Access::Write, Term::Long)
        }
    }
}

/// Whether a long-term pin moves pages out of memory that contiguous requests take back (facts
/// 3.10).
#[inline]
pub const fn leaves_cma(rule: LongtermZone) -> bool {
    match rule {
        LongtermZone::Stays => false,
        LongtermZone::Cma | LongtermZone::Moves | LongtermZone::MovesIsolated => true,
    }
}

/// Whether a long-term pin keeps pages where they lie that were to be moved and did not move (facts
/// 3.10).
#[inline]
pub const fn keeps_unmoved(rule: LongtermZone) -> bool {
    match rule {
        LongtermZone::Stays | LongtermZone::Cma => true,
        LongtermZone::Moves | LongtermZone::MovesIsolated => false,
    }
}

/// Whether a long-term pin moves pages out of all memory that is set apart for what can move (facts
/// 3.10).
#[inline]
pub const fn leaves_movable(rule: LongtermZone) -> bool {
    match rule {
        LongtermZone::Stays | LongtermZone::Cma => false,
        LongtermZone::Moves | LongtermZone::MovesIsolated => true,
    }
}

/// Whether a long-term pin keeps pages there of which none can be isolated, since others have them
/// (facts 3.10).
#[inline]
pub const fn keeps_unisolated(rule: LongtermZone) -> bool {
    match rule {
        LongtermZone::Stays | LongtermZone::Cma | LongtermZone::MovesIsolated => true,
        LongtermZone::Moves => false,
    }
}

/// What direct I/O takes on its pages (facts 12.9).
#[inline]
pub const fn direct_io(rule: DirectIo) -> Hold {
    match rule {
        DirectIo::Get => Hold::Get,
        DirectIo::Pin => Hold::Pin,
    }
}

/// What process_vm_readv and process_vm_writev take on the pages that they copy (facts 3.14).
#[inline]
pub const fn process_vm(rule: ProcessVm) -> Hold {
    match rule {
        ProcessVm::Get => Hold::Get,
        ProcessVm::Pin => Hold::Pin,
    }
}

/// Whether the lock-free walker reads the entry again once it holds its reference (facts 3.5).
#[inline]
pub const fn rechecks_entry(rule: FastRecheck) -> bool {
    match rule {
        FastRecheck::Entry | FastRecheck::On => true,
        FastRecheck::Off => false,
    }
}

/// Whether it then reads the entry above again, too, by which it has found the table (facts 3.5).
#[inline]
pub const fn rechecks_table(rule: FastRecheck) -> bool {
    match rule {
        FastRecheck::On => true,
        FastRecheck::Entry | FastRecheck::Off => false,
    }
}

/// Whether an entry without write permission must be unshared before the request may have its page
/// (facts 3.6).
///
/// The slow path then takes an unshare fault; the lock-free path stops.
#[inline]
pub fn must_unshare(rule: ReadGup, request: Request, walk: Walk, page: &PageState) -> Answer {
    let unshares = unshares(rule);
    if unshares == Unshares::Nothing {
        return Answer::No(Why::Rule);
    }
    if request.hold == Hold::Get || request.access == Access::Write {
        return Answer::No(Why::NotReadPin);
    }
    match page.kind {
        PageKind::Anon(Exclusive::Marked) => Answer::No(Why::Page(page.kind)),
        PageKind::Anon(Exclusive::Unmarked) | PageKind::Ksm => Answer::Yes(Why::Page(page.kind)),
        PageKind::File | PageKind::Zero if unshares == Unshares::Anon => {
            Answer::No(Why::Page(page.kind))
        }
        PageKind::File | PageKind::Zero => match (request.term, walk) {
            (Term::Short, _) => Answer::No(Why::NotLongterm),
            (Term::Long, Walk::Slow(Mapping::Shared)) => Answer::No(Why::SharedMapping),
            (Term::Long, _) => Answer::Yes(Why::ReadPinOfUnowned),
        },
    }
}

/// Whether the request overrides missing permissions of the area (FOLL_FORCE).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Force {
    /// It does.
    Forced,
    /// It does not.
    Ordinary,
}

/// Whether this request already took a write fault at this address, without an error.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WriteFault {
    /// It did: at that time the entry mapped a private copy.
    Taken,
    /// It did not.
    NotTaken,
}

/// Whether a request for writing continues as one for reading: before 4.9, once the fault of a
/// forced write in an area without write permission has made a page. Everything that follows,
/// further faults included, then no longer asks for write permission: Dirty COW (facts 3.4, 12.7c).
#[inline]
pub fn drops_write(
    rule: ForceWrite,
    force: Force,
    fault: WriteFault,
    permission: Permission,
) -> bool {
    let forced = force == Force::Forced && permission == Permission::ReadOnly;
    match rule {
        ForceWrite::DropWrite => forced && fault == WriteFault::Taken,
        ForceWrite::DirtyCow | ForceWrite::Exclusive => false,
    }
}

/// Whether a request for writing may use an entry without write permission (facts 3.4). If not, it
/// takes a write fault.
#[inline]
pub fn can_follow_write(
    rule: ForceWrite,
    force: Force,
    fault: WriteFault,
    area: AreaState,
    entry: EntryState,
    page: &PageState,
) -> Answer {
    if area.permission == Permission::Write {
        return Answer::No(Why::AreaWritable);
    }
    if force == Force::Ordinary {
        return Answer::No(Why::NotForced);
    }
    match rule {
        ForceWrite::DropWrite | ForceWrite::DirtyCow if fault == WriteFault::NotTaken => {
            Answer::No(Why::NoFaultYet)
        }
        ForceWrite::DropWrite => Answer::Yes(Why::AfterFault),
        ForceWrite::DirtyCow => match entry.dirty {
            Dirty::Dirty => Answer::Yes(Why::EntryDirty),
            Dirty::Clean => Answer::No(Why::EntryClean),
        },
        ForceWrite::Exclusive => {
            if area.mapping == Mapping::Shared {
                Answer::No(Why::SharedMapping)
            } else if page.kind != PageKind::Anon(Exclusive::Marked) {
                Answer::No(Why::Page(page.kind))
            } else if entry.tracking == Tracking::WantsFault {
                Answer::No(Why::Tracked)
            } else {
                Answer::Yes(Why::Page(page.kind))
            }
        }
    }
}
