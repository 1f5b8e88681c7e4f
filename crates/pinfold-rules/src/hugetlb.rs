//! Huge pages from a pool that was set aside for them (hugetlb): a write fault on one that is
//! write-protected keeps it or copies it, and fork shares it or copies it for the child (facts 1.3,
//! 1.5, 2.5, 2.6). They are mapped whole or not at all, so nothing is split.
//!
//! Protocol: under the lock of the table that holds the entry, found to be still the one that
//! faulted. The folio's lock is not needed: while the entry is locked, nobody adds a mapping to one
//! that has a single mapping. On reuse set the exclusive mark, of the folio's first page.
//!
//! References do not count, of any kind and under any rule: a copy needs another page of the pool,
//! and where that has none a process would have to end (facts 9.24).

use super::fork::{ForkVerdict, PinHistory, fork_page};
use super::pmd::HugeState;
use super::{
    Answer, Counter, Exclusive, ForkPin, HugetlbCow, HugetlbFork, PageKind, PageState, Relation,
    Why,
};

/// What a write fault does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum HugetlbVerdict {
    /// Keep the page.
    Reuse(Why),
    /// Copy it, to a page of the pool that is promised to nobody.
    Copy(Why),
}

/// The verdict about a page that an entry maps without write permission.
pub fn hugetlb_cow(rule: HugetlbCow, page: &HugeState) -> HugetlbVerdict {
    let looks = match rule {
        HugetlbCow::MapCount => false,
        HugetlbCow::Exclusive => true,
    };
    if looks && page.kind == PageKind::Anon(Exclusive::Marked) {
        return HugetlbVerdict::Reuse(Why::Page(page.kind));
    }
    let others = Answer::compare(Counter::FolioMaps, page.maps, Relation::Above, 1);
    match if looks { others.without_mark() } else { others } {
        Answer::Yes(why) => HugetlbVerdict::Copy(why),
        Answer::No(why) => HugetlbVerdict::Reuse(why),
    }
}

/// What fork does with such a page; `pin` says how it finds out that one may be pinned.
pub fn fork_hugetlb(
    rule: HugetlbFork,
    pin: ForkPin,
    has_pinned: PinHistory,
    page: &PageState,
) -> ForkVerdict {
    match rule {
        HugetlbFork::Share => ForkVerdict::Share(Why::Rule),
        HugetlbFork::Copy | HugetlbFork::CopyGuarded => fork_page(pin, has_pinned, page),
    }
}

/// Whether fork's copying of such an area counts for the sequence count, as that of others does by
/// the rule `fork-race`.
pub const fn guards_fork(rule: HugetlbFork) -> bool {
    match rule {
        HugetlbFork::Share | HugetlbFork::Copy => false,
        HugetlbFork::CopyGuarded => true,
    }
}
