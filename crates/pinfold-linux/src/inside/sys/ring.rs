//! The system calls of io_uring.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::{Errno, MOST_VECTORS, Range, checked};

/// The queues of a ring, shared with the kernel. They are never unmapped.
fn cells<T>(ring: BorrowedFd<'_>, offset: i64, count: usize) -> io::Result<&'static [T]> {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
    let bytes = count * size_of::<T>();
    // SAFETY: a fresh mapping where the kernel likes, which stays for ever; callers ask for atomic
    // cells, of which all bit patterns are valid, and the kernel maps as much as it announced.
    unsafe {
        let at = libc::mmap(ptr::null_mut(), bytes, rights, flags, ring.as_raw_fd(), offset);
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(std::slice::from_raw_parts(at.cast::<T>(), count))
    }
}

/// Where the queues of a ring are: what `io_uring_setup` fills in, as numbers.
pub(in crate::inside) type Params = [u32; 30];

/// A new ring of so many entries.
pub(in crate::inside) fn setup(entries: u32) -> io::Result<(OwnedFd, Params)> {
    let mut params: Params = [0; 30];
    // SAFETY: the structure has 120 bytes.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, params.as_mut_ptr()) };
    let ring = checked(ring).map_err(io::Error::from_raw_os_error)?;
    // SAFETY: a new descriptor, which nobody else knows.
    Ok((unsafe { OwnedFd::from_raw_fd(ring as c_int) }, params))
}

/// The two queues of a ring.
pub(in crate::inside) fn queues(
    ring: BorrowedFd<'_>,
    count: usize,
) -> io::Result<&'static [AtomicU32]> {
    cells(ring, 0, count)
}

/// The entries for submission, of eight cells each.
pub(in crate::inside) fn entries(
    ring: BorrowedFd<'_>,
    count: usize,
) -> io::Result<&'static [AtomicU64]> {
    cells(ring, 0x1000_0000, count * 8)
}

/// Submits one entry and waits until it is done.
pub(in crate::inside) fn enter(ring: BorrowedFd<'_>) -> Result<(), Errno> {
    const GET_EVENTS: u32 = 1;
    let no_mask = ptr::null::<c_void>();
    loop {
        // SAFETY: reads and writes the queues only, and what the entry says; see `Ring`.
        let entered = unsafe {
            libc::syscall(libc::SYS_io_uring_enter, ring.as_raw_fd(), 1, 1, GET_EVENTS, no_mask, 0)
        };
        match checked(entered) {
            Err(libc::EINTR) => {}
            entered => return entered.map(drop),
        }
    }
}

/// Pins the range for writing, for long, `times` times on each page: as buffers of the ring.
pub(in crate::inside) fn pin(
    ring: BorrowedFd<'_>,
    range: Range,
    times: usize,
) -> Result<(), Errno> {
    const REGISTER_BUFFERS: u32 = 0;
    let buffer = libc::iovec { iov_base: range.pointer(), iov_len: range.bytes() };
    let mut buffers = [buffer; MOST_VECTORS];
    let buffers = buffers.get_mut(..times).ok_or(libc::EINVAL)?;
    // SAFETY: INV-SYS-1: the kernel will write only to pages of the stage.
    let pinned = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            REGISTER_BUFFERS,
            buffers.as_ptr(),
            buffers.len(),
        )
    };
    checked(pinned).map(drop)
}

/// Ends the pins of a ring.
pub(in crate::inside) fn unpin(ring: BorrowedFd<'_>) -> Result<(), Errno> {
    const UNREGISTER_BUFFERS: u32 = 1;
    let (ring, nothing) = (ring.as_raw_fd(), ptr::null::<c_void>());
    // SAFETY: gives references back.
    let done =
        unsafe { libc::syscall(libc::SYS_io_uring_register, ring, UNREGISTER_BUFFERS, nothing, 0) };
    checked(done).map(drop)
}
