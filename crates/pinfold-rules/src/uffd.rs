//! userfaultfd: what can be watched, and when write protection is flushed.
//!
//! Protocol: the first three questions are asked when a range is registered, or protected, under
//! the address space's lock; the next one by a write fault that is going to copy, under the lock of
//! the entry's table; the last one when a monitor maps a page.

use super::{Uffd, UffdContinue, UffdWpFlush};

/// Whether accesses to pages that are in memory, and not mapped yet, can be watched.
#[inline]
pub const fn watches_minor(rule: Uffd) -> bool {
    match rule {
        Uffd::WpAnon => false,
        Uffd::Minor | Uffd::WpShared | Uffd::WpUnpopulated => true,
    }
}

/// Whether writes to shared memory can be watched. Where they can, pages that are not mapped are
/// protected, too.
#[inline]
pub const fn protects_shared(rule: Uffd) -> bool {
    match rule {
        Uffd::WpAnon | Uffd::Minor => false,
        Uffd::WpShared | Uffd::WpUnpopulated => true,
    }
}

/// Whether private memory that nobody has touched can be protected, where that is asked for.
#[inline]
pub const fn protects_unpopulated(rule: Uffd) -> bool {
    match rule {
        Uffd::WpAnon | Uffd::Minor | Uffd::WpShared => false,
        Uffd::WpUnpopulated => true,
    }
}

/// Whether a write fault flushes the page before it copies it, while entries of the address space
/// have lost write permission that some CPU may still use.
#[inline]
pub const fn flushes_before_copy(rule: UffdWpFlush) -> bool {
    match rule {
        UffdWpFlush::Late => false,
        UffdWpFlush::BeforeCopy => true,
    }
}

/// Whether a page of shared memory that a monitor maps in a private mapping has a dirty entry.
#[inline]
pub const fn continues_dirty(rule: UffdContinue) -> bool {
    match rule {
        UffdContinue::Clean => false,
        UffdContinue::Dirty => true,
    }
}
