//! The running kernel's fork of pinned pages: those of a buffer that is registered with io_uring,
//! which pins them for long.
//!
//! A process of its own does that, which has nothing else: a fork of this one would share the
//! frames of the machine that is measured, and have each of them copied at the next store. Its time
//! is the difference of two forks, of which one leaves the buffer out (MADV_DONTFORK). It is CPU
//! time of the thread, with the way into the kernel and the flush.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use crate::pairs::timed;

const PAGE: usize = 4096;

/// What the process answers when it cannot fork as asked.
const NO_TIME: u64 = u64::MAX;

/// Room for what `io_uring_setup` is given, all zeros, and fills in.
const PARAMETERS: usize = 256;

/// `io_uring_register` with a table of buffers.
const REGISTER_BUFFERS: libc::c_uint = 0;

/// A process that forks when it is asked to. It ends when this is dropped.
pub(super) struct Forker {
    ask: Option<File>,
    told: File,
    process: libc::pid_t,
}

impl Forker {
    /// A process with so many pinned pages.
    ///
    /// # Errors
    /// When there is none, or it may not pin: why.
    pub(super) fn start(pages: usize) -> Result<Self, String> {
        let (asked, ask) = pipe()?;
        let (told, tell) = pipe()?;
        // SAFETY: no other thread runs, so that the child may do what the parent might.
        let process = unsafe { libc::fork() };
        match process {
            -1 => Err(format!("a process cannot be made: {}", io::Error::last_os_error())),
            0 => {
                drop((ask, told));
                serve(pages, asked, tell);
                // SAFETY: ends this process; nothing is left to be dropped.
                unsafe { libc::_exit(0) }
            }
            process => {
                let mut forker = Self { ask: Some(ask), told, process };
                match forker.answer()? {
                    0 => Ok(forker),
                    why => Err(format!(
                        "io_uring, which is to pin, refuses: {}",
                        io::Error::from_raw_os_error(why as i32)
                    )),
                }
            }
        }
    }

    /// What a fork takes for the pinned pages.
    ///
    /// # Errors
    /// When the kernel refuses it, or has not copied: why.
    pub(super) fn fork(&mut self) -> Result<Duration, String> {
        let ask = self.ask.as_mut().ok_or("nobody is asked")?;
        ask.write_all(&[1]).map_err(|why| format!("its process is gone: {why}"))?;
        match self.answer()? {
            NO_TIME => Err("the kernel does not fork, or shares pinned pages".to_owned()),
            nanos => Ok(Duration::from_nanos(nanos)),
        }
    }

    fn answer(&mut self) -> Result<u64, String> {
        let mut answer = [0; 8];
        self.told.read_exact(&mut answer).map_err(|why| format!("its process is gone: {why}"))?;
        Ok(u64::from_ne_bytes(answer))
    }
}

impl Drop for Forker {
    fn drop(&mut self) {
        self.ask = None;
        // SAFETY: a child of this process, which ends when nobody asks any more.
        unsafe { libc::waitpid(self.process, ptr::null_mut(), 0) };
    }
}

fn pipe() -> Result<(File, File), String> {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(format!("there is no pipe: {}", io::Error::last_os_error()));
    }
    // SAFETY: two new descriptors, which nobody else has.
    Ok(unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) })
}

/// What the process does: says whether it has pinned, and forks until nobody asks.
fn serve(pages: usize, mut asked: File, mut tell: File) {
    let buffer = Buffer::new(pages);
    let evicted = Buffer::new(2 * pages);
    evicted.inherited(libc::MADV_DONTFORK);
    let ring = buffer.pin();
    let refused = ring.as_ref().err().map_or(0, |why| why.raw_os_error().unwrap_or(libc::EIO));
    if tell.write_all(&u64::from(refused.unsigned_abs()).to_ne_bytes()).is_err() || refused != 0 {
        return;
    }
    let mut byte = [0];
    while matches!(asked.read(&mut byte), Ok(1)) {
        let mut times = [libc::MADV_DONTFORK, libc::MADV_DOFORK].map(|advice| {
            buffer.inherited(advice);
            evicted.write(byte[0]);
            forked(&buffer)
        });
        times.reverse();
        let nanos = match times {
            // A child shares what it has not got by itself: the next stores say so.
            [Some((with, 0)), Some((without, _))] => {
                with.saturating_sub(without).as_nanos().max(1) as u64
            }
            _ => NO_TIME,
        };
        if tell.write_all(&nanos.to_ne_bytes()).is_err() {
            return;
        }
    }
}

/// The time of a fork, and the faults of a store to each page of the buffer while there is the
/// child; nothing, if there can be none.
fn forked(buffer: &Buffer) -> Option<(Duration, u64)> {
    let fork = || {
        // SAFETY: a new process as by fork, without what a library does about it: the child does
        // nothing but wait for its end.
        match unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } {
            // Its clock begins anew: it may not return.
            0 => loop {
                // SAFETY: waits for a signal, and blocks none.
                unsafe { libc::syscall(libc::SYS_rt_sigsuspend, [0_u64; 1].as_ptr(), 8) };
            },
            child => child,
        }
    };
    let (child, time) = timed(fork);
    match child {
        -1 => None,
        child => {
            let before = faults();
            buffer.write(2);
            let faults = faults() - before;
            // SAFETY: a child of this process, which waits for its end.
            unsafe {
                libc::kill(child as libc::pid_t, libc::SIGKILL);
                libc::waitpid(child as libc::pid_t, ptr::null_mut(), 0);
            }
            Some((time, faults / buffer.pages as u64))
        }
    }
}

/// Faults of the calling thread so far.
fn faults() -> u64 {
    // SAFETY: numbers, for which zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid place for the result.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
    usage.ru_minflt.unsigned_abs()
}

/// Small pages of this process, all of them written.
struct Buffer {
    at: *mut u8,
    pages: usize,
}

impl Buffer {
    fn new(pages: usize) -> Self {
        let (prot, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, away from all others.
        let at = unsafe { libc::mmap(ptr::null_mut(), pages * PAGE, prot, flags, -1, 0) };
        assert_ne!(at, libc::MAP_FAILED, "the kernel has no room");
        let buffer = Self { at: at.cast(), pages };
        // Refused where there are no huge pages.
        buffer.inherited(libc::MADV_NOHUGEPAGE);
        buffer.write(1);
        buffer
    }

    /// Says what a fork does with it.
    fn inherited(&self, advice: libc::c_int) {
        // SAFETY: the mapping is this value's.
        unsafe { libc::madvise(self.at.cast(), self.pages * PAGE, advice) };
    }

    /// Writes to each line of each page.
    fn write(&self, value: u8) {
        for at in (0..self.pages * PAGE).step_by(64) {
            // SAFETY: within the mapping, which nobody else uses.
            unsafe { self.at.add(at).write_volatile(value) };
        }
    }

    /// Has it pinned for as long as what is returned is open.
    fn pin(&self) -> io::Result<OwnedFd> {
        let mut parameters = [0_u64; PARAMETERS / 8];
        // SAFETY: room for all that the call fills in, of zeros.
        let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
        if ring < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor, which nobody else has.
        let ring = unsafe { OwnedFd::from_raw_fd(ring as libc::c_int) };
        let table = libc::iovec { iov_base: self.at.cast(), iov_len: self.pages * PAGE };
        // SAFETY: one buffer, which is mapped as long as this process lives.
        let failed = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                ring.as_raw_fd(),
                REGISTER_BUFFERS,
                &raw const table,
                1,
            )
        };
        if failed == 0 { Ok(ring) } else { Err(io::Error::last_os_error()) }
    }
}
