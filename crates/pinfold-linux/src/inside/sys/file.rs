//! Files without a name, whose pages the kernel writes back.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::{Errno, Range, checked};

/// Where such a file may be made, in this order. A file system in memory serves, too, if there is
/// no other: it has nothing to write its pages back to.
const PLACES: [&CStr; 3] = [c"/var/tmp", c"/tmp", c"/"];

/// A file of so many bytes, full of zeros, that is gone when nobody maps it any more.
pub(in crate::inside) fn unnamed(bytes: u64) -> Result<OwnedFd, Errno> {
    let length = libc::off_t::try_from(bytes).map_err(|_| libc::EFBIG)?;
    let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
    let mut refused = libc::ENOENT;
    for place in PLACES {
        // SAFETY: a path that ends in a zero; the number is owned by nobody else.
        let file = unsafe {
            checked(libc::open(place.as_ptr(), flags, 0o600))
                .map(|number| OwnedFd::from_raw_fd(number as i32))
        };
        match file {
            Ok(file) => {
                // SAFETY: only the file changes, which is empty.
                checked(unsafe { libc::ftruncate(file.as_raw_fd(), length) })?;
                return Ok(file);
            }
            Err(why) => refused = why,
        }
    }
    Err(refused)
}

/// Writes the dirty pages of the files that are mapped there back, and waits until they are.
pub(in crate::inside) fn write_back(range: Range) -> Result<(), Errno> {
    // SAFETY: no memory changes: INV-SYS-1.
    checked(unsafe { libc::msync(range.pointer(), range.bytes(), libc::MS_SYNC) }).map(drop)
}
