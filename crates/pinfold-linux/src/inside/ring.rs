//! Devices: what holds references to pages apart from page tables.
//!
//! A long-term pin is a registered buffer of a ring of io_uring: the kernel pins the pages for
//! writing, for as long as the buffer is registered, and reads and writes them without a page table
//! (`WRITE_FIXED` and `READ_FIXED`, which read and write memory from and to a file). An ordinary
//! reference is a page in a pipe (`vmsplice`), which is looked at through a copy of the pipe
//! (`tee`). One more reference on such a page is a copy that stays: `tee` takes it by `get_page`.
//!
//! Everything is made before the first process of a trial is forked, so all of them share it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::scale::Scale;
use super::sys::{self, Errno, PAGE, Range};

/// What one handle of the scenario needs.
pub(super) enum Device {
    /// A pin.
    Ring(Ring),
    /// A `get`, or a `get-page` through one.
    Pipe(Pipe),
}

/// A ring with one registered buffer, or as many as `times` says.
pub(super) struct Ring {
    ring: OwnedFd,
    queues: &'static [AtomicU32],
    entries: &'static [AtomicU64],
    at: Places,
    file: OwnedFd,
}

/// Where in the queues the numbers are, in cells of four bytes.
#[derive(Clone, Copy)]
struct Places {
    tail: usize,
    mask: usize,
    array: usize,
    done_head: usize,
    done_tail: usize,
    done_mask: usize,
    done: usize,
}

const WRITE_FIXED: u64 = 5;
const READ_FIXED: u64 = 4;

impl Ring {
    /// A ring.
    ///
    /// # Errors
    /// Where the system has none or does not allow it.
    pub(super) fn new() -> io::Result<Self> {
        const ENTRIES: u32 = 2;
        const SINGLE_MAP: u32 = 1;
        let (ring, params) = sys::ring::setup(ENTRIES)?;
        if params[5] & SINGLE_MAP == 0 {
            return Err(io::Error::from(io::ErrorKind::Unsupported));
        }
        let cell = |param: usize| params[param] as usize / 4;
        let at = Places {
            tail: cell(11),
            mask: cell(12),
            array: cell(16),
            done_head: cell(20),
            done_tail: cell(21),
            done_mask: cell(22),
            done: cell(25),
        };
        let (asked, done) = (params[0] as usize, params[1] as usize);
        let queues = sys::ring::queues(ring.as_fd(), (at.array + asked).max(at.done + done * 4))?;
        let entries = sys::ring::entries(ring.as_fd(), asked)?;
        Ok(Self { file: sys::memory_file()?, ring, queues, entries, at })
    }

    /// Pins the pages.
    pub(super) fn pin(&self, range: Range, times: u32) -> Result<(), Errno> {
        sys::ring::pin(self.ring.as_fd(), range, times as usize)
    }

    /// Ends the pins, if there are any.
    pub(super) fn unpin(&self) -> Result<(), Errno> {
        sys::ring::unpin(self.ring.as_fd())
    }

    /// Loads the word of the pinned page that was at `address` when it was pinned.
    pub(super) fn load(&self, address: u64) -> Result<u64, Errno> {
        self.transfer(WRITE_FIXED, address)?;
        sys::read_at(self.file.as_fd(), 0)
    }

    /// Stores a word likewise.
    pub(super) fn store(&self, address: u64, word: u64) -> Result<(), Errno> {
        sys::write_at(self.file.as_fd(), 0, word)?;
        self.transfer(READ_FIXED, address)
    }

    /// One word between the pinned page and the start of the file.
    fn transfer(&self, opcode: u64, address: u64) -> Result<(), Errno> {
        use std::os::fd::AsRawFd;
        const WORD: u64 = 8;
        let cell = |at: usize| &self.queues[at];
        let tail = cell(self.at.tail).load(Relaxed);
        let slot = (tail & cell(self.at.mask).load(Relaxed)) as usize;
        let entry = &self.entries[slot * 8..slot * 8 + 8];
        let file = (self.file.as_raw_fd() as u64) << 32;
        // Operation and file; offset; address; length; data; the first buffer.
        for (at, value) in entry.iter().zip([opcode | file, 0, address, WORD, 0, 0, 0, 0]) {
            at.store(value, Relaxed);
        }
        cell(self.at.array + slot).store(slot as u32, Relaxed);
        cell(self.at.tail).store(tail.wrapping_add(1), Release);
        sys::ring::enter(self.ring.as_fd())?;
        let head = cell(self.at.done_head).load(Relaxed);
        if cell(self.at.done_tail).load(Acquire) == head {
            return Err(libc::EIO);
        }
        let place = self.at.done + (head & cell(self.at.done_mask).load(Relaxed)) as usize * 4;
        let result = cell(place + 2).load(Relaxed) as i32;
        cell(self.at.done_head).store(head.wrapping_add(1), Release);
        match result {
            result if result < 0 => Err(-result),
            8 => Ok(()),
            _ => Err(libc::EIO),
        }
    }
}

/// A pipe that holds pages, and one for looking at them.
pub(super) struct Pipe {
    pages: (OwnedFd, OwnedFd),
    look: (OwnedFd, OwnedFd),
}

impl Pipe {
    /// A pipe with room for so many pages.
    ///
    /// # Errors
    /// Where that is not allowed.
    pub(super) fn new(pages: usize) -> io::Result<Self> {
        let pipe = Self { pages: sys::pipe()?, look: sys::pipe()? };
        sys::widen(pipe.pages.1.as_fd(), pages).map_err(io::Error::from_raw_os_error)?;
        Ok(pipe)
    }

    /// Takes references on the first of those pages that stand for each of `pages`.
    pub(super) fn take(
        &self,
        range: Range,
        scale: Scale,
        times: u32,
        pages: u32,
    ) -> Result<(), Errno> {
        let to = self.pages.1.as_fd();
        let taken = sys::splice_pages(to, range, scale.pages(), times as usize)?;
        match taken as u64 == u64::from(pages) * PAGE * u64::from(times) {
            true => Ok(()),
            false => {
                self.give_back();
                Err(libc::EFAULT)
            }
        }
    }

    /// Takes one more reference on the page at this index of another pipe. Those before it are held
    /// for a moment, too: `tee` begins with the first.
    pub(super) fn take_again(&self, from: &Self, page: u32) -> Result<(), Errno> {
        let before = page as usize * PAGE as usize;
        let length = before + PAGE as usize;
        let taken = sys::tee(from.pages.0.as_fd(), self.pages.1.as_fd(), length);
        let done = taken.and_then(|taken| match taken == length {
            true => self.skip(before),
            false => Err(libc::EIO),
        });
        if done.is_err() {
            self.give_back();
        }
        done
    }

    /// Drops so many bytes, whole pages.
    fn skip(&self, bytes: usize) -> Result<(), Errno> {
        let mut scratch = [0; PAGE as usize];
        let mut left = bytes;
        while left > 0 {
            let most = left.min(scratch.len());
            match sys::read(self.pages.0.as_fd(), &mut scratch[..most])? {
                0 => return Err(libc::EIO),
                got => left -= got,
            }
        }
        Ok(())
    }

    /// Drops them all.
    pub(super) fn give_back(&self) {
        let mut scratch = [0; PAGE as usize];
        while sys::read(self.pages.0.as_fd(), &mut scratch).is_ok_and(|got| got > 0) {}
    }

    /// Loads a word of the page at this index.
    pub(super) fn load(&self, page: u32, word: u32) -> Result<u64, Errno> {
        let length = (page as usize + 1) * PAGE as usize;
        let mut left = sys::tee(self.pages.0.as_fd(), self.look.1.as_fd(), length)?;
        let mut found = Err(libc::EIO);
        let mut scratch = [0; PAGE as usize];
        let mut at = 0;
        while left > 0 {
            let got = sys::read(self.look.0.as_fd(), &mut scratch)?;
            if got == 0 {
                return Err(libc::EIO);
            }
            let wanted = (length - PAGE as usize + sys::within_page(word) as usize).checked_sub(at);
            let bytes = wanted.and_then(|wanted| scratch[..got].get(wanted..wanted + 8));
            if let Some(Ok(bytes)) = bytes.map(<[u8; 8]>::try_from) {
                found = Ok(u64::from_ne_bytes(bytes));
            }
            at += got;
            left = left.saturating_sub(got);
        }
        found
    }
}
