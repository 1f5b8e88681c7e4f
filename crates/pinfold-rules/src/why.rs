//! The reason of a decision, with its numbers, small enough to travel in an event.
//!
//! - INV-WHY-1: a comparison is printed only if it holds: a refcount of 1 never gives `refcount 2
//!   != 1`.

use core::fmt;

use super::PageKind;

/// A count that a rule compares.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Counter {
    /// References of all kinds.
    Refs,
    /// Entries that map the page.
    Maps,
    /// Entries that map the page, and swap entries that name it.
    MapsAndSwaps,
    /// Pins, counted exactly.
    Pins,
    /// Entries that map any page of a large folio.
    FolioMaps,
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refs => "refcount",
            Self::Maps => "mapcount",
            Self::MapsAndSwaps => "mapcount + swap count",
            Self::Pins => "pincount",
            Self::FolioMaps => "folio mapcount",
        })
    }
}

/// How two numbers compare.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Relation {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `>`
    Above,
}

impl Relation {
    #[inline]
    const fn holds(self, left: u32, right: u32) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Below => left < right,
            Self::AtMost => left <= right,
            Self::AtLeast => left >= right,
            Self::Above => left > right,
        }
    }

    #[inline]
    const fn negated(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Below => Self::AtLeast,
            Self::AtMost => Self::Above,
            Self::AtLeast => Self::Below,
            Self::Above => Self::AtMost,
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
            Self::Above => ">",
        })
    }
}

/// The test that decided.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Why {
    /// A count.
    Count {
        /// Which count.
        counter: Counter,
        /// Its value.
        value: u32,
        /// How it compares.
        relation: Relation,
        /// What it is compared with.
        limit: u32,
    },
    /// The same, by a rule that looks at the exclusive mark first: there was none.
    Unmarked {
        /// Which count.
        counter: Counter,
        /// Its value.
        value: u32,
        /// How it compares.
        relation: Relation,
        /// What it is compared with.
        limit: u32,
    },
    /// What kind of page it is.
    Page(PageKind),
    /// The rule in force answers the same for every page.
    Rule,
    /// The page lock is contended, and the rule does not wait.
    Locked,
    /// The page is part of a large folio, which no write fault keeps.
    LargeFolio,
    /// Several address spaces may map the folio.
    MaybeShared,
    /// The page is in the swap cache.
    InSwapCache,
    /// The page is being written to a device that needs it unchanged.
    StableWriteback,
    /// The page comes back for a read: nobody asks whose it is.
    NotWritten,
    /// The swap entry remembers that the page was exclusive.
    EntryExclusive,
    /// The swap entry does not remember that.
    EntryShared,
    /// The page was read past the swap cache: nobody else can have found it.
    NeverCached,
    /// No page of this address space was ever pinned.
    NeverPinned,
    /// The request is not a read-only pin.
    NotReadPin,
    /// The request is not long-term.
    NotLongterm,
    /// The writes of the mapping are not private.
    SharedMapping,
    /// A long-term pin takes no page-cache or zero page from a mapping that is, or may be, private.
    ReadPinOfUnowned,
    /// The request is not forced.
    NotForced,
    /// The area allows writing, so an ordinary write fault is due.
    AreaWritable,
    /// The area does not allow writing.
    AreaReadOnly,
    /// No write fault has run for this request yet.
    NoFaultYet,
    /// A write fault has run for this request.
    AfterFault,
    /// The entry is dirty.
    EntryDirty,
    /// The entry is clean.
    EntryClean,
    /// The entry allows no access.
    EntryProtnone,
    /// Soft-dirty tracking or userfaultfd wants to see the write.
    Tracked,
}

impl Why {
    /// The count that decided, and its value, if one did.
    pub const fn count(self) -> Option<(Counter, u32)> {
        match self {
            Self::Count { counter, value, .. } | Self::Unmarked { counter, value, .. } => {
                Some((counter, value))
            }
            _ => None,
        }
    }

    /// The reason of a rule that compares counts only where it has found no exclusive mark.
    #[inline]
    pub(super) const fn without_mark(self) -> Self {
        match self {
            Self::Count { counter, value, relation, limit } => {
                Self::Unmarked { counter, value, relation, limit }
            }
            other => other,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count { counter, value, relation, limit } => {
                return write!(f, "{counter} {value} {relation} {limit}");
            }
            Self::Unmarked { counter, value, relation, limit } => {
                return write!(f, "not marked exclusive, and {counter} {value} {relation} {limit}");
            }
            Self::Page(kind) => return kind.fmt(f),
            Self::Rule => "the rule is the same for every page",
            Self::Locked => "the page lock is taken",
            Self::LargeFolio => "part of a large folio",
            Self::MaybeShared => "the folio may be mapped by several address spaces",
            Self::InSwapCache => "in the swap cache",
            Self::StableWriteback => "under writeback to a device that needs stable pages",
            Self::NotWritten => "it comes back for a read",
            Self::EntryExclusive => "the swap entry says exclusive",
            Self::EntryShared => "the swap entry does not say exclusive",
            Self::NeverCached => "it was never in the swap cache",
            Self::NeverPinned => "this address space never pinned a page",
            Self::NotReadPin => "not a read-only pin",
            Self::NotLongterm => "not a long-term pin",
            Self::SharedMapping => "not a private mapping",
            Self::ReadPinOfUnowned => "a long-term pin of a page that the next write would replace",
            Self::NotForced => "not a forced access",
            Self::AreaWritable => "the area is writable",
            Self::AreaReadOnly => "the area is read-only",
            Self::NoFaultYet => "no write fault has run yet",
            Self::AfterFault => "a write fault has run",
            Self::EntryDirty => "the entry is dirty",
            Self::EntryClean => "the entry is clean",
            Self::EntryProtnone => "the entry allows no access",
            Self::Tracked => "soft-dirty tracking or userfaultfd wants the write fault",
        })
    }
}

/// Yes or no, and why.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum Answer {
    /// Yes.
    Yes(Why),
    /// No.
    No(Why),
}

impl Answer {
    /// Whether the answer is yes.
    #[inline]
    pub const fn is_yes(self) -> bool {
        matches!(self, Self::Yes(_))
    }

    /// The test that decided.
    pub const fn why(self) -> Why {
        match self {
            Self::Yes(why) | Self::No(why) => why,
        }
    }

    /// The answer of a rule that compares counts only where it has found no exclusive mark.
    #[inline]
    pub(super) const fn without_mark(self) -> Self {
        match self {
            Self::Yes(why) => Self::Yes(why.without_mark()),
            Self::No(why) => Self::No(why.without_mark()),
        }
    }

    /// Whether the comparison holds. Either way the reason states what is true.
    #[inline]
    pub(super) const fn compare(
        counter: Counter,
        value: u32,
        relation: Relation,
        limit: u32,
    ) -> Self {
        if relation.holds(value, limit) {
            Self::Yes(Why::Count { counter, value, relation, limit })
        } else {
            Self::No(Why::Count { counter, value, relation: relation.negated(), limit })
        }
    }
}
