//! The group that a page is charged to: who may move it, and how others count it meanwhile
//! (facts 6.6).
//!
//! Protocol: the first question is asked by whoever adds or removes a mapping, under the lock of
//! the table with the entry; the others by whoever moves a charge, before the first page.

use super::MemcgLock;

/// Where the lock of a page's charge is held by who changes the page's map count.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Counting {
    /// From before the change until the group has counted it.
    Throughout,
    /// While the group counts it.
    AroundCounts,
    /// Nowhere.
    Unlocked,
}

/// How a change of a page's map count is counted in its group.
#[inline]
pub const fn counting(rule: MemcgLock) -> Counting {
    match rule {
        MemcgLock::InRmap => Counting::Throughout,
        MemcgLock::AroundCounts => Counting::AroundCounts,
        MemcgLock::Mover | MemcgLock::MoverWaits | MemcgLock::None => Counting::Unlocked,
    }
}

/// Whether anything that moves with a page is protected: by the lock of the page's charge, which
/// whoever marks it dirty or locked takes under every released rule.
#[inline]
pub const fn locks_charge(rule: MemcgLock) -> bool {
    match rule {
        MemcgLock::InRmap | MemcgLock::Mover | MemcgLock::MoverWaits | MemcgLock::AroundCounts => {
            true
        }
        MemcgLock::None => false,
    }
}

/// When a page of a file or of shared memory is moved that the mover finds in no entry of his.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unseen {
    /// In any case.
    Always,
    /// Where nothing maps it.
    Unmapped,
    /// Where nothing maps it, and after each table that could has been locked once.
    AfterTables,
}

/// When a page of a file or of shared memory is moved that the mover finds in no entry of his.
#[inline]
pub const fn unseen(rule: MemcgLock) -> Unseen {
    match rule {
        MemcgLock::InRmap | MemcgLock::AroundCounts | MemcgLock::None => Unseen::Always,
        MemcgLock::Mover => Unseen::Unmapped,
        MemcgLock::MoverWaits => Unseen::AfterTables,
    }
}
