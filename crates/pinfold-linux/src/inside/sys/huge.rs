//! Huge pages: which entry maps a page, and the request to make one.

use std::fs::File;
use std::os::fd::AsRawFd;

use super::{Errno, PAGE, Range, checked};

/// How many pages a huge page has.
pub(in crate::inside) const PAGES: u64 = 512;
/// `MADV_COLLAPSE`, as `linux/mman.h` numbers it.
const COLLAPSE: libc::c_int = 25;
/// `PAGEMAP_SCAN`, of [`Scan`].
const SCAN: u64 = 0xc060_6610;
/// `PAGE_IS_HUGE`: of the pages of [`Scan`], those that an entry of the table above maps.
const IS_HUGE: u64 = 1 << 6;

/// `struct pm_scan_arg`.
#[repr(C)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    found: u64,
    room: u64,
    most_pages: u64,
    inverted: u64,
    all_of: u64,
    any_of: u64,
    told: u64,
}

/// Whether the kernel knows MADV_COLLAPSE, as since 6.1.
pub(in crate::inside) fn can_collapse() -> bool {
    // SAFETY: a range of no bytes: only the advice is looked at.
    unsafe { libc::madvise(super::STAGE as *mut libc::c_void, 0, COLLAPSE) == 0 }
}

/// The range of the huge page that an address would be part of.
pub(in crate::inside) fn around(address: u64) -> Result<Range, Errno> {
    Range::new(address - address % (PAGES * PAGE), PAGES)
}

/// Makes one huge page of what is mapped there.
pub(in crate::inside) fn collapse(range: Range) -> Result<(), Errno> {
    // SAFETY: INV-SYS-1.
    checked(unsafe { libc::madvise(range.pointer(), range.bytes(), COLLAPSE) }).map(drop)
}

/// Whether the process whose `pagemap` that is has the page at an address by a huge entry. `ENOTTY`
/// before 6.7.
pub(in crate::inside) fn is_huge(pagemap: &File, address: u64) -> Result<bool, Errno> {
    let mut found = [0_u64; 3];
    let mut scan = Scan {
        size: size_of::<Scan>() as u64,
        flags: 0,
        start: address,
        end: address + PAGE,
        walk_end: 0,
        found: found.as_mut_ptr().expose_provenance() as u64,
        room: 1,
        most_pages: 0,
        inverted: 0,
        all_of: IS_HUGE,
        any_of: 0,
        told: IS_HUGE,
    };
    // SAFETY: the kernel writes one region of three numbers at most, which there is room for, and
    // `walk_end`.
    let regions = unsafe { libc::ioctl(pagemap.as_raw_fd(), SCAN, &raw mut scan) };
    checked(regions).map(|regions| regions > 0)
}
