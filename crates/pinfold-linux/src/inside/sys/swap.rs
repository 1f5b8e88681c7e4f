//! Swap devices, and pages that go there and are on their way.

use std::ffi::{CStr, c_ulong};
use std::os::fd::{AsRawFd, BorrowedFd};

use super::birth::{self, Forked};
use super::{Errno, Range, checked};

/// Takes a swap device into use, for the whole machine.
pub(in crate::inside) fn on(path: &CStr) -> Result<(), Errno> {
    // SAFETY: a text that ends. What lies there was made for this.
    checked(unsafe { libc::swapon(path.as_ptr(), 0) }).map(drop)
}

/// Brings every page back from a swap device, and takes it out of use.
pub(in crate::inside) fn off(path: &CStr) -> Result<(), Errno> {
    loop {
        // SAFETY: a text that ends. Pages keep their contents.
        match checked(unsafe { libc::swapoff(path.as_ptr()) }) {
            Err(libc::EINTR) => {}
            done => return done.map(drop),
        }
    }
}

/// Has pages go to swap: MADV_PAGEOUT.
pub(in crate::inside) fn page_out(range: Range) -> Result<(), Errno> {
    // SAFETY: INV-SYS-1.
    checked(unsafe { libc::madvise(range.pointer(), range.bytes(), libc::MADV_PAGEOUT) }).map(drop)
}

/// Removes the name of a file.
pub(in crate::inside) fn remove(path: &CStr) -> Result<(), Errno> {
    // SAFETY: a text that ends.
    checked(unsafe { libc::unlink(path.as_ptr()) }).map(drop)
}

/// Makes a child that no signal ends but SIGKILL, from its first instant on, and that keeps nobody
/// waiting for the end of its output. The parent takes its signals as before.
pub(in crate::inside) fn fork_keeper() -> Result<Forked, Errno> {
    // Those too that glibc keeps for itself and would leave out.
    let before = mask(u64::MAX)?;
    let forked = birth::fork();
    match forked {
        // SAFETY: concerns the child only, which uses neither of the two descriptors.
        Ok(Forked::Child) => unsafe {
            libc::setsid();
            libc::close(0);
            libc::close(1);
        },
        _ => mask(before).map(drop)?,
    }
    forked
}

/// Has these signals of this thread wait, a bit for each, and no others; returns which did before.
fn mask(signals: u64) -> Result<u64, Errno> {
    let mut before = 0_u64;
    let size = size_of::<u64>();
    // SAFETY: two sets of the size that the kernel has for them; concerns this thread only.
    let done = unsafe {
        let (new, old) = (&raw const signals, &raw mut before);
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, old, size)
    };
    checked(done).map(|_| before)
}

/// Ends the watched process at once.
pub(in crate::inside) fn kill(process: BorrowedFd<'_>) {
    const NONE: c_ulong = 0;
    // SAFETY: a process that the agent has made; no further information goes with the signal.
    unsafe {
        let process = process.as_raw_fd();
        libc::syscall(libc::SYS_pidfd_send_signal, process, libc::SIGKILL, NONE, NONE);
    }
}
