//! The system calls that move pages between memory nodes, and tell on which they are.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::AtomicU64;

use pinfold_lab::scenario::{Status, Strictness, Whose};

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

const fn flag_of(whose: Whose) -> c_int {
    match whose {
        Whose::Own => MOVE,
        Whose::All => MOVE_ALL,
    }
}

/// Whether pages may be moved that other processes map, too.
pub(in crate::inside) fn can_move_all() -> Result<(), Errno> {
    move_pages(&[], 0, MOVE_ALL)
}

/// Moves a page to a node, and says what has become of it.
pub(in crate::inside) fn move_page(address: u64, node: u32, whose: Whose) -> Result<Status, Errno> {
    let wanted = c_int::try_from(node).map_err(|_| libc::EINVAL)?;
    // What the call leaves there of a page that was isolated and stays.
    let mut status = -libc::EBUSY;
    // SAFETY: the three arrays have one element, and moving a page changes no contents.
    let moved = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            0,
            1,
            &raw const address,
            &raw const wanted,
            &raw mut status,
            flag_of(whose),
        )
    };
    checked(moved)?;
    Ok(match -status {
        libc::ENOENT => Status::Absent,
        libc::EFAULT => Status::NotMapped,
        libc::EACCES => Status::Shared,
        // The machine is short of memory, and not the scenario's.
        libc::ENOMEM => return Err(libc::ENOMEM),
        _ if status == wanted => Status::There,
        _ => Status::Busy,
    })
}

/// The policies of `mbind`: as the process has it, and of these nodes alone.
const MPOL_DEFAULT: c_int = 0;
const MPOL_BIND: c_int = 2;
/// A page that stays elsewhere is an error (`MPOL_MF_STRICT`).
const STRICT: c_int = 1;

/// Moves pages of the range to a node by mbind, and takes the policy back that this leaves for what
/// comes later.
pub(in crate::inside) fn mbind(
    range: Range,
    node: u32,
    (whose, strict): (Whose, Strictness),
) -> Result<(), Errno> {
    let nodes = 1_u64.checked_shl(node).ok_or(libc::EINVAL)?;
    let strict = if strict == Strictness::Strict { STRICT } else { 0 };
    let flags = flag_of(whose) | strict;
    let done = policy(range, MPOL_BIND, Some(&nodes), flags);
    policy(range, MPOL_DEFAULT, None, 0)?;
    done
}

fn policy(range: Range, mode: c_int, nodes: Option<&u64>, flags: c_int) -> Result<(), Errno> {
    let bits = nodes.map_or(0, |_| u64::from(u64::BITS));
    let mask = nodes.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the set has as many bits as are named, and neither policies nor moves change what the
    // memory holds.
    let done = unsafe {
        libc::syscall(libc::SYS_mbind, range.start, range.bytes(), mode, mask, bits, flags)
    };
    checked(done).map(drop)
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
