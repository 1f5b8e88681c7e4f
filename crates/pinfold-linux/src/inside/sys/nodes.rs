//! The system call that moves pages between memory nodes, and tells on which they are.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::AtomicU64;

use super::{Errno, PAGE, Range, STAGE_PAGES, checked};

/// Moves pages of the range to a node, those of other processes' too where that is allowed: the
/// first of every so many, with the folio that it is part of.
pub(in crate::inside) fn migrate(range: Range, every: u64, node: u32) -> Result<(), Errno> {
    let pages: [u64; STAGE_PAGES as usize] =
        std::array::from_fn(|at| range.start + at as u64 * every * PAGE);
    let count = range.pages.div_ceil(every) as usize;
    let pages = pages.get(..count).ok_or(libc::EINVAL)?;
    match move_pages(pages, node, MOVE_ALL) {
        Err(libc::EPERM) => move_pages(pages, node, MOVE),
        other => other,
    }
}

/// Moves pages that only this process maps (`MPOL_MF_MOVE`).
const MOVE: c_int = 2;
/// Moves pages whoever maps them (`MPOL_MF_MOVE_ALL`).
const MOVE_ALL: c_int = 4;

fn move_pages(pages: &[u64], node: u32, flags: c_int) -> Result<(), Errno> {
    let nodes = [node as c_int; STAGE_PAGES as usize];
    let mut status = [0 as c_int; STAGE_PAGES as usize];
    let count = pages.len().min(nodes.len());
    // SAFETY: the three arrays have `count` elements, and moving a page changes no contents.
    let moved = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            0,
            count,
            pages.as_ptr(),
            nodes.as_ptr(),
            status.as_mut_ptr(),
            flags,
        )
    };
    checked(moved).map(drop)
}

/// The node of a page of a process; none where it has no page.
pub(in crate::inside) fn node_of(process: libc::pid_t, address: u64) -> Result<Option<u32>, Errno> {
    let mut status: c_int = 0;
    // SAFETY: both arrays have one element, and without nodes nothing is moved.
    let asked = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            process,
            1,
            &raw const address,
            ptr::null::<c_int>(),
            &raw mut status,
            0,
        )
    };
    checked(asked)?;
    Ok(u32::try_from(status).ok())
}

/// Has every CPU give back the pages that it keeps in batches: moving a page begins with that.
/// Nothing happens where the kernel moves no pages.
pub(in crate::inside) fn drain() {
    let own = AtomicU64::new(0);
    let _ = move_pages(&[ptr::from_ref(&own).addr() as u64], 0, MOVE);
}
