//! Words of another process of the trial: by process_vm_readv(2) and process_vm_writev(2), and as a
//! debugger reaches them, by /proc/PID/mem, which needs no stopped process.
//!
//! INV-SYS-1 holds for the other process, too: its stage lies where this one's does.

use std::ffi::{CStr, c_int, c_long, c_void};
use std::io::Write as _;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use super::{Errno, checked, word_at};

/// The size of a word.
const WORD: usize = 8;

/// How a word of another process was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::inside) enum Unreached {
    /// The process has exited.
    Exited,
    /// The process may not do this there, or a debugger may not, or nothing is there.
    NoAccess,
    /// Something else.
    Error(Errno),
}

/// One element of a vector.
fn element(at: *mut c_void) -> libc::iovec {
    libc::iovec { iov_base: at, iov_len: WORD }
}

/// The same of another process: an address that means nothing here.
fn elsewhere(address: u64) -> Result<libc::iovec, Unreached> {
    word_at(address).map_err(|_| Unreached::Error(libc::EINVAL))?;
    Ok(element(ptr::without_provenance_mut(address as usize)))
}

/// What a call on one word of another process did.
fn moved(bytes: isize) -> Result<(), Unreached> {
    match checked(bytes as c_long) {
        Ok(bytes) if bytes as usize == WORD => Ok(()),
        Ok(_) => Err(Unreached::NoAccess),
        Err(libc::ESRCH) => Err(Unreached::Exited),
        Err(libc::EFAULT) => Err(Unreached::NoAccess),
        Err(number) => Err(Unreached::Error(number)),
    }
}

/// process_vm_readv of a word.
pub(in crate::inside) fn vm_read(process: i32, address: u64) -> Result<u64, Unreached> {
    let (mut word, there) = (0u64, elsewhere(address)?);
    let here = element((&raw mut word).cast());
    // SAFETY: one word of this process is written, which is there.
    moved(unsafe { libc::process_vm_readv(process, &raw const here, 1, &raw const there, 1, 0) })?;
    Ok(word)
}

/// process_vm_writev of a word.
pub(in crate::inside) fn vm_write(process: i32, address: u64, word: u64) -> Result<(), Unreached> {
    let (mut word, there) = (word, elsewhere(address)?);
    let here = element((&raw mut word).cast());
    // SAFETY: INV-SYS-1 of the other process; the word of this one is only read.
    moved(unsafe { libc::process_vm_writev(process, &raw const here, 1, &raw const there, 1, 0) })
}

/// The memory of a process, as a file.
fn memory_of(process: i32, way: c_int) -> Result<OwnedFd, Unreached> {
    // INV-SYS-2: the path is written into an array, which leaves room for a number and a zero.
    let mut path = [0; 32];
    let invalid = Unreached::Error(libc::EINVAL);
    write!(&mut path[..31], "/proc/{process}/mem").map_err(|_| invalid)?;
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| invalid)?;
    // SAFETY: a path that ends in a zero; the number is owned by nobody else.
    let file = unsafe {
        checked(libc::open(path.as_ptr(), way | libc::O_CLOEXEC))
            .map(|number| OwnedFd::from_raw_fd(number as c_int))
    };
    file.map_err(|number| match number {
        libc::ENOENT | libc::ESRCH => Unreached::Exited,
        number => Unreached::Error(number),
    })
}

/// What a call on a word of such a file did: no bytes come from a process that has exited.
fn accessed(bytes: isize) -> Result<(), Unreached> {
    match checked(bytes as c_long) {
        Ok(0) => Err(Unreached::Exited),
        Err(libc::EIO) => Err(Unreached::NoAccess),
        _ => moved(bytes),
    }
}

/// Where a word of a process lies in such a file.
fn offset(address: u64) -> Result<libc::off_t, Unreached> {
    let there = elsewhere(address)?;
    Ok(there.iov_base.addr() as libc::off_t)
}

/// A debugger's load.
pub(in crate::inside) fn peek(process: i32, address: u64) -> Result<u64, Unreached> {
    let (file, at, mut word) = (memory_of(process, libc::O_RDONLY)?, offset(address)?, 0u64);
    // SAFETY: one word of this process is written, which is there.
    accessed(unsafe { libc::pread(file.as_raw_fd(), (&raw mut word).cast(), WORD, at) })?;
    Ok(word)
}

/// A debugger's store.
pub(in crate::inside) fn poke(process: i32, address: u64, word: u64) -> Result<(), Unreached> {
    let (file, at) = (memory_of(process, libc::O_WRONLY)?, offset(address)?);
    // SAFETY: INV-SYS-1 of the other process; the word of this one is only read.
    accessed(unsafe { libc::pwrite(file.as_raw_fd(), (&raw const word).cast(), WORD, at) })
}

/// Why a process's words cannot be reached by process_vm_readv, and by its file, if so: tried with
/// a word of this one, which has nothing mapped on its stage.
pub(in crate::inside) fn unable(address: u64) -> [Option<Errno>; 2] {
    let own = super::own_id();
    [vm_read(own, address), peek(own, address)].map(|tried| match tried {
        Ok(_) | Err(Unreached::NoAccess | Unreached::Exited) => None,
        Err(Unreached::Error(number)) => Some(number),
    })
}
