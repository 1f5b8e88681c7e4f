//! Files without a name, whose pages the kernel writes back, and what can be done with files.

use std::ffi::{CStr, c_long, c_void};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use pinfold_lab::scenario::{Occupied, Protection, Sharing};

use super::{Errno, PAGE, Range, SECTOR, checked};

/// Where such a file may be made, in this order. A file system in memory serves, too, if there is
/// no other: it has nothing to write its pages back to.
const PLACES: [&CStr; 3] = [c"/var/tmp", c"/tmp", c"/"];

/// A file of so many bytes, full of zeros, that is gone when nobody maps it any more.
pub(in crate::inside) fn unnamed(bytes: u64) -> Result<OwnedFd, Errno> {
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
                set_length(&file, bytes)?;
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

/// Gives a file another length in bytes.
pub(in crate::inside) fn set_length(file: &OwnedFd, bytes: u64) -> Result<(), Errno> {
    let length = libc::off_t::try_from(bytes).map_err(|_| libc::EFBIG)?;
    // SAFETY: only the file changes; what the stage maps of it may be refused from now on.
    checked(unsafe { libc::ftruncate(file.as_raw_fd(), length) }).map(drop)
}

/// The length of a file in bytes.
pub(in crate::inside) fn length(file: &OwnedFd) -> Result<u64, Errno> {
    // SAFETY: all zeroes are a valid value, which the call fills in.
    let told = unsafe {
        let mut told: libc::stat = std::mem::zeroed();
        checked(libc::fstat(file.as_raw_fd(), &raw mut told))?;
        told
    };
    u64::try_from(told.st_size).map_err(|_| libc::EIO)
}

/// Makes a hole in a file, which keeps its length.
pub(in crate::inside) fn punch(file: &OwnedFd, from: u64, bytes: u64) -> Result<(), Errno> {
    let at = |bytes: u64| libc::off_t::try_from(bytes).map_err(|_| libc::EFBIG);
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: only the file changes.
    checked(unsafe { libc::fallocate(file.as_raw_fd(), mode, at(from)?, at(bytes)?) }).map(drop)
}

/// Writes the dirty pages of a file back, and waits until they are.
pub(in crate::inside) fn sync(file: &OwnedFd) -> Result<(), Errno> {
    // SAFETY: no memory changes.
    checked(unsafe { libc::fsync(file.as_raw_fd()) }).map(drop)
}

/// Reads a word at a place of a file; none if the file ends before.
pub(in crate::inside) fn read_at(file: &OwnedFd, offset: u64) -> Result<Option<u64>, Errno> {
    match super::read_at(file.as_fd(), offset) {
        Ok(word) => Ok(Some(word)),
        // Fewer bytes than asked for.
        Err(libc::EIO) if offset + 8 > length(file)? => Ok(None),
        Err(number) => Err(number),
    }
}

/// Writes a word at a place of a file.
pub(in crate::inside) fn write_at(file: &OwnedFd, offset: u64, word: u64) -> Result<(), Errno> {
    super::write_at(file.as_fd(), offset, word)
}

/// The page at this place of a file, as `pagemap` tells it of this process; none if it is not in
/// memory. The stage of this process must be empty.
pub(in crate::inside) fn page(file: &OwnedFd, offset: u64) -> Result<Option<u64>, Errno> {
    let range = Range::new(super::STAGE + super::PAGE, 1)?;
    let (kind, rights) = ((Sharing::Shared, Some((file, offset))), Protection::ReadOnly);
    super::map(range, rights, kind, Occupied::Refuse)?;
    let mut resident = [0];
    // SAFETY: INV-SYS-1, and there is a byte for the page.
    let told =
        checked(unsafe { libc::mincore(range.pointer(), range.bytes(), resident.as_mut_ptr()) });
    let entry = match told {
        Ok(_) if resident[0] & 1 == 1 && super::load(range.start()).is_ok() => {
            super::own_page(range.start()).map(Some)
        }
        Ok(_) => Ok(None),
        Err(number) => Err(number),
    };
    super::unmap(range)?;
    entry
}

/// What direct I/O moves: all of a range, or one sector of its first page.
#[derive(Clone, Copy, Debug)]
pub(in crate::inside) struct Sectors {
    range: Range,
    word: Option<u32>,
}

impl Sectors {
    /// Those of a range that hold its words, or this one.
    ///
    /// # Errors
    /// `EINVAL` for a word that a page does not have.
    pub(in crate::inside) fn new(range: Range, word: Option<u32>) -> Result<Self, Errno> {
        match word.is_none_or(|word| u64::from(word) < PAGE / SECTOR) {
            true => Ok(Self { range, word }),
            false => Err(libc::EINVAL),
        }
    }

    /// How many bytes they are.
    pub(in crate::inside) fn bytes(self) -> u64 {
        self.word.map_or(self.range.pages * PAGE, |_| SECTOR)
    }

    fn pointer(self) -> *mut c_void {
        let start = self.range.start + self.word.map_or(0, super::within_page);
        ptr::without_provenance_mut(start as usize)
    }
}

/// Kinds of file systems that are in memory only, where the kernel copies what direct I/O moves.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// The same file, open with O_DIRECT.
///
/// # Errors
/// `EINVAL` where the file system has no direct I/O.
pub(in crate::inside) fn open_direct(file: &OwnedFd) -> Result<OwnedFd, Errno> {
    // SAFETY: all zeroes are a valid value, which the call fills in.
    let kind = unsafe {
        let mut told: libc::statfs = std::mem::zeroed();
        checked(libc::fstatfs(file.as_raw_fd(), &raw mut told))?;
        told.f_type as u64
    };
    if IN_MEMORY.contains(&kind) {
        return Err(libc::EINVAL);
    }
    // INV-SYS-2: the path is written into an array, which leaves room for a number and a zero.
    let mut path = [0; 32];
    write!(&mut path[..31], "/proc/self/fd/{}", file.as_raw_fd()).map_err(|_| libc::EINVAL)?;
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| libc::EINVAL)?;
    let flags = libc::O_RDWR | libc::O_DIRECT | libc::O_CLOEXEC;
    // SAFETY: a path that ends in a zero; the number is owned by nobody else.
    unsafe {
        checked(libc::open(path.as_ptr(), flags)).map(|number| OwnedFd::from_raw_fd(number as i32))
    }
}

/// Lets a device fill memory with what lies there in a file that [`open_direct`] has opened.
/// Returns how many bytes it was.
pub(in crate::inside) fn read_direct(
    file: &OwnedFd,
    memory: Sectors,
    offset: u64,
) -> Result<u64, Errno> {
    let at = libc::off_t::try_from(offset).map_err(|_| libc::EFBIG)?;
    let bytes = memory.bytes() as usize;
    // SAFETY: INV-SYS-1; where nothing is mapped the call says so.
    let moved = unsafe { libc::pread(file.as_raw_fd(), memory.pointer(), bytes, at) };
    checked(moved as c_long).map(|moved| moved as u64)
}

/// Lets a device write memory to such a file.
pub(in crate::inside) fn write_direct(
    file: &OwnedFd,
    memory: Sectors,
    offset: u64,
) -> Result<u64, Errno> {
    let at = libc::off_t::try_from(offset).map_err(|_| libc::EFBIG)?;
    let bytes = memory.bytes() as usize;
    // SAFETY: as for reading; the memory does not change.
    let moved = unsafe { libc::pwrite(file.as_raw_fd(), memory.pointer(), bytes, at) };
    checked(moved as c_long).map(|moved| moved as u64)
}
