//! The system calls of a first process in a virtual machine, and files read and written without a
//! heap.

use std::ffi::{CStr, c_int};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::{Errno, checked};

/// Mounts a file system that needs no device.
pub(in crate::inside) fn mount(kind: &CStr, place: &CStr) -> Result<(), Errno> {
    // SAFETY: three texts that end; the last argument may be absent.
    checked(unsafe { libc::mount(kind.as_ptr(), place.as_ptr(), kind.as_ptr(), 0, ptr::null()) })
        .map(drop)
}

/// A terminal that passes every byte on as it is, and echoes none.
pub(in crate::inside) fn make_raw(terminal: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: all zeroes are a valid value, which the first call fills in.
    unsafe {
        let mut settings: libc::termios = std::mem::zeroed();
        checked(libc::tcgetattr(terminal.as_raw_fd(), &raw mut settings))?;
        libc::cfmakeraw(&raw mut settings);
        checked(libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, &raw const settings)).map(drop)
    }
}

/// Ends the machine. Only its first process calls this; on any other machine it does nothing.
pub(in crate::inside) fn end_machine() {
    if super::own_id() == 1 {
        // SAFETY: the machine is ours, and nothing in it is worth saving.
        unsafe {
            libc::reboot(libc::RB_AUTOBOOT);
        }
    }
}

/// Reads a file from its start, as far as there is room, without allocating.
pub(in crate::inside) fn read_file<'a>(path: &CStr, into: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    // SAFETY: a text that ends; the descriptor is closed here.
    let file = unsafe {
        let opened = checked(libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC))?;
        <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(opened as c_int)
    };
    let mut filled = 0;
    while filled < into.len() {
        match super::read(std::os::fd::AsFd::as_fd(&file), &mut into[filled..])? {
            0 => break,
            got => filled += got,
        }
    }
    Ok(&into[..filled])
}

/// Writes a setting of the system, without allocating.
pub(in crate::inside) fn write_setting(path: &CStr, text: &[u8]) -> Result<(), Errno> {
    // SAFETY: a text that ends; bytes that are as many as we say; the descriptor is closed here.
    unsafe {
        let opened = checked(libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC))? as c_int;
        let written =
            checked(libc::write(opened, text.as_ptr().cast(), text.len()) as libc::c_long);
        libc::close(opened);
        written.map(drop)
    }
}
