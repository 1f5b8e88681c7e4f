//! The system calls: the only unsafe code of this crate.
//!
//! INV-SYS-1: memory is mapped, unmapped, protected, read and written only inside the *stage*, a
//! range of addresses in which nothing of this program lives. Every function checks that, so none
//! of them can harm the program that calls it.
//! INV-SYS-2: nothing here allocates or takes a lock: a child that was forked while other threads
//! ran may call all of it.
#![allow(unsafe_code)]

use std::arch::global_asm;
use std::ffi::{c_int, c_long, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::AtomicU64;

use pinfold_lab::scenario::{Access, Advice, Occupied, Protection, Sharing};

pub(super) mod birth;
pub(super) mod cpus;
pub(super) mod file;
pub(super) mod guest;
pub(super) mod huge;
pub(super) mod limits;
pub(super) mod nodes;
pub(super) mod remote;
pub(super) mod ring;
pub(super) mod swap;
pub(super) mod uffd;

/// The size of a page.
pub(super) const PAGE: u64 = 4096;
/// The size of a sector: the least that direct I/O moves. A page has one for each word that the
/// language can give it, which lies at its start.
pub(super) const SECTOR: u64 = 512;
/// Where the stage starts: far from what a loader, a heap or a kernel's choice of place uses.
pub(super) const STAGE: u64 = 0x1000_0000_0000;
/// How many pages of the language it has, as the machine of the language.
pub(super) const STAGE_PAGES: u64 = 16;
/// The most pages that stand for one of the language: see [`Scale`](super::scale::Scale).
pub(super) const MOST_SCALE: u64 = 128;
/// How many pages it has at most.
const MOST_PAGES: u64 = STAGE_PAGES * MOST_SCALE;

/// The number of an error.
pub(super) type Errno = i32;

/// Where a word lies in its page. A number that no page has in the language lies behind word 0.
pub(super) const fn within_page(word: u32) -> u64 {
    let word = word as u64;
    match word.checked_sub(PAGE / SECTOR) {
        None => word * SECTOR,
        Some(spare) => (spare + 1) * 8,
    }
}

/// A range of whole pages of the stage: INV-SYS-1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    start: u64,
    pages: u64,
}

impl Range {
    /// A range of the stage.
    ///
    /// # Errors
    /// `EINVAL` when it is empty, does not lie in the stage, or starts inside a page.
    pub(super) fn new(start: u64, pages: u64) -> Result<Self, Errno> {
        let end = pages.checked_mul(PAGE).and_then(|length| start.checked_add(length));
        let inside = start >= STAGE && end.is_some_and(|end| end <= STAGE + MOST_PAGES * PAGE);
        match inside && pages > 0 && start.is_multiple_of(PAGE) {
            true => Ok(Self { start, pages }),
            false => Err(libc::EINVAL),
        }
    }

    /// Its first address.
    pub(super) fn start(self) -> u64 {
        self.start
    }

    /// Whether an address lies in it.
    pub(super) fn contains(self, address: u64) -> bool {
        (self.start..self.start + self.pages * PAGE).contains(&address)
    }

    /// Its length in bytes.
    fn bytes(self) -> usize {
        (self.pages * PAGE) as usize
    }

    fn pointer(self) -> *mut c_void {
        ptr::without_provenance_mut(self.start as usize)
    }
}

/// The number of the last error of this thread.
fn errno() -> Errno {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// What a call returned, which is negative for an error.
fn checked(result: impl Into<c_long>) -> Result<c_long, Errno> {
    let result = result.into();
    if result < 0 { Err(errno()) } else { Ok(result) }
}

fn rights(protection: Protection) -> c_int {
    match protection {
        Protection::None => libc::PROT_NONE,
        Protection::ReadOnly => libc::PROT_READ,
        Protection::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        Protection::ReadExecute => libc::PROT_READ | libc::PROT_EXEC,
        Protection::ReadWriteExecute => libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
    }
}

/// `MADV_POPULATE_READ`, as `linux/mman.h` numbers it.
const POPULATE_READ: c_int = 22;
/// `MADV_POPULATE_WRITE`.
const POPULATE_WRITE: c_int = 23;

/// Maps fresh memory there, or that file from a place on; `EEXIST` when something is mapped there
/// already and shall stay.
pub(super) fn map(
    range: Range,
    protection: Protection,
    (sharing, file): (Sharing, Option<(&OwnedFd, u64)>),
    occupied: Occupied,
) -> Result<(), Errno> {
    let kind = match sharing {
        Sharing::Private => libc::MAP_PRIVATE,
        Sharing::Hugetlb => libc::MAP_PRIVATE | libc::MAP_HUGETLB,
        Sharing::Stack => libc::MAP_PRIVATE | libc::MAP_GROWSDOWN | libc::MAP_STACK,
        Sharing::Shared | Sharing::File => libc::MAP_SHARED,
    };
    let place = match occupied {
        Occupied::Refuse => libc::MAP_FIXED_NOREPLACE,
        Occupied::Replace => libc::MAP_FIXED,
    };
    let (backing, number, offset) = match file {
        Some((file, offset)) => (0, file.as_raw_fd(), offset),
        None => (libc::MAP_ANONYMOUS, -1, 0),
    };
    let (flags, rights) = (kind | backing | place, rights(protection));
    let offset = libc::off_t::try_from(offset).map_err(|_| libc::EOVERFLOW)?;
    // SAFETY: INV-SYS-1: what may be replaced is the scenario's own.
    let at = unsafe { libc::mmap(range.pointer(), range.bytes(), rights, flags, number, offset) };
    if at == libc::MAP_FAILED {
        return Err(errno());
    }
    if file.is_some() {
        // A fault maps what else of the file is in memory, which shall not be what nobody read.
        // SAFETY: INV-SYS-1.
        checked(unsafe { libc::madvise(range.pointer(), range.bytes(), libc::MADV_RANDOM) })?;
    }
    Ok(())
}

/// Whether the kernel knows MADV_POPULATE_READ and MADV_POPULATE_WRITE, as since 5.14.
pub(super) fn can_populate() -> bool {
    // SAFETY: a range of no bytes: only the advice is looked at.
    unsafe { libc::madvise(STAGE as *mut c_void, 0, POPULATE_WRITE) == 0 }
}

/// Makes every page there accessible, as if each were accessed.
pub(super) fn populate(range: Range, access: Access) -> Result<(), Errno> {
    let advice = match access {
        Access::Read => POPULATE_READ,
        Access::Write => POPULATE_WRITE,
    };
    // SAFETY: INV-SYS-1.
    checked(unsafe { libc::madvise(range.pointer(), range.bytes(), advice) }).map(drop)
}

/// Keeps what is mapped there in memory; `ENOMEM` for a hole, and when a page cannot be accessed.
pub(super) fn mlock(range: Range) -> Result<(), Errno> {
    // SAFETY: INV-SYS-1.
    checked(unsafe { libc::mlock(range.pointer(), range.bytes()) }).map(drop)
}

/// Ends that.
pub(super) fn munlock(range: Range) -> Result<(), Errno> {
    // SAFETY: INV-SYS-1.
    checked(unsafe { libc::munlock(range.pointer(), range.bytes()) }).map(drop)
}

/// Whether something is mapped at every page there.
pub(super) fn is_mapped(range: Range) -> bool {
    let mut resident = [0; MOST_PAGES as usize];
    // SAFETY: INV-SYS-1, and there is a byte for each page of the stage.
    let done = unsafe { libc::mincore(range.pointer(), range.bytes(), resident.as_mut_ptr()) };
    done == 0
}

/// Removes what is mapped there.
pub(super) fn unmap(range: Range) -> Result<(), Errno> {
    // SAFETY: INV-SYS-1.
    checked(unsafe { libc::munmap(range.pointer(), range.bytes()) }).map(drop)
}

/// Moves what is mapped in one range to another of the same size, in place of what is there.
pub(super) fn remap(from: Range, to: Range) -> Result<(), Errno> {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: INV-SYS-1, of both ranges.
    let at = unsafe { libc::mremap(from.pointer(), from.bytes(), to.bytes(), flags, to.pointer()) };
    if at == libc::MAP_FAILED { Err(errno()) } else { Ok(()) }
}

/// Changes what this process may do there.
pub(super) fn protect(range: Range, protection: Protection) -> Result<(), Errno> {
    // SAFETY: INV-SYS-1.
    checked(unsafe { libc::mprotect(range.pointer(), range.bytes(), rights(protection)) }).map(drop)
}

/// Gives advice.
pub(super) fn advise(range: Range, advice: Advice) -> Result<(), Errno> {
    let advice = match advice {
        Advice::DontNeed => libc::MADV_DONTNEED,
        Advice::Free => libc::MADV_FREE,
        Advice::Cold => libc::MADV_COLD,
        Advice::DontFork => libc::MADV_DONTFORK,
        Advice::DoFork => libc::MADV_DOFORK,
        Advice::WipeOnFork => libc::MADV_WIPEONFORK,
        Advice::KeepOnFork => libc::MADV_KEEPONFORK,
        Advice::HugePage => libc::MADV_HUGEPAGE,
        Advice::NoHugePage => libc::MADV_NOHUGEPAGE,
        Advice::Merge => libc::MADV_MERGEABLE,
        Advice::Unmerge => libc::MADV_UNMERGEABLE,
    };
    // SAFETY: INV-SYS-1.
    checked(unsafe { libc::madvise(range.pointer(), range.bytes(), advice) }).map(drop)
}

global_asm!(
    ".globl pinfold_load, pinfold_load_at, pinfold_store, pinfold_store_at",
    ".globl pinfold_touch, pinfold_touch_at, pinfold_refused, pinfold_past_end",
    // Load the word at rdi into the place at rsi; 0 if that was done.
    "pinfold_load:",
    "pinfold_load_at: mov rax, [rdi]",
    "mov [rsi], rax",
    "xor eax, eax",
    "ret",
    // Store rsi at rdi; 0 if that was done.
    "pinfold_store:",
    "pinfold_store_at: mov [rdi], rsi",
    "xor eax, eax",
    "ret",
    // Add nothing to the word at rdi, which writes and changes nothing; 0 if that was done.
    "pinfold_touch:",
    "pinfold_touch_at: lock add qword ptr [rdi], 0",
    "xor eax, eax",
    "ret",
    // Where the signal handler leads when one of them was refused.
    "pinfold_refused: mov eax, 1",
    "ret",
    "pinfold_past_end: mov eax, 2",
    "ret",
);

unsafe extern "C" {
    fn pinfold_load(from: u64, into: *mut u64) -> c_int;
    fn pinfold_store(to: u64, word: u64) -> c_int;
    fn pinfold_touch(at: u64) -> c_int;
    fn pinfold_load_at();
    fn pinfold_store_at();
    fn pinfold_touch_at();
    fn pinfold_refused();
    fn pinfold_past_end();
}

/// How the kernel refuses an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not allowed, or nothing is mapped there (SIGSEGV).
    NoAccess,
    /// The file that is mapped there ends before (SIGBUS).
    PastEnd,
}

/// What the code of an access returned.
fn allowed(code: c_int) -> Result<(), Refused> {
    match code {
        0 => Ok(()),
        2 => Err(Refused::PastEnd),
        _ => Err(Refused::NoAccess),
    }
}

/// Leads an access of the stage that the kernel refused on to its end; lets any other die.
extern "C" fn refused(signal: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let accesses = [pinfold_load_at, pinfold_store_at, pinfold_touch_at];
    // SAFETY: the kernel passes the context of the thread that it interrupted.
    let at = unsafe {
        &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize]
    };
    match accesses.iter().any(|access| *access as usize == *at as usize) {
        true if signal == libc::SIGBUS => *at = pinfold_past_end as *const () as i64,
        true => *at = pinfold_refused as *const () as i64,
        // SAFETY: back to what happens without a handler: the access is repeated and kills.
        false => unsafe {
            libc::signal(signal, libc::SIG_DFL);
        },
    }
}

/// From now on an access of the stage that is refused is an answer.
pub(super) fn catch_faults() -> io::Result<()> {
    // SAFETY: all zeroes are a valid value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = refused;
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO;
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the handler changes only where the interrupted thread goes on.
        let set = unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
        checked(set).map_err(io::Error::from_raw_os_error)?;
    }
    Ok(())
}

fn word_at(address: u64) -> Result<u64, Refused> {
    let page = Range::new(address - address % PAGE, 1).map_err(|_| Refused::NoAccess)?;
    let inside = page.start() <= address && address.is_multiple_of(8);
    if inside { Ok(address) } else { Err(Refused::NoAccess) }
}

/// A load.
pub(super) fn load(address: u64) -> Result<u64, Refused> {
    let (address, mut found) = (word_at(address)?, 0);
    // SAFETY: INV-SYS-1; a load that is refused comes back by way of `refused`.
    allowed(unsafe { pinfold_load(address, &raw mut found) }).map(|()| found)
}

/// A store.
pub(super) fn store(address: u64, word: u64) -> Result<(), Refused> {
    // SAFETY: as for `load`.
    allowed(unsafe { pinfold_store(word_at(address)?, word) })
}

/// A store that changes nothing.
pub(super) fn touch(address: u64) -> Result<(), Refused> {
    // SAFETY: as for `load`.
    allowed(unsafe { pinfold_touch(word_at(address)?) })
}

/// Zeroed cells that this process and those it forks share. They are never unmapped.
pub(super) fn shared_cells(count: usize) -> io::Result<&'static [AtomicU64]> {
    let bytes = count.max(1) * size_of::<AtomicU64>();
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh mapping where the kernel likes, which stays for ever; zeroes are valid.
    unsafe {
        let at = libc::mmap(ptr::null_mut(), bytes, rights, flags, -1, 0);
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(std::slice::from_raw_parts(at.cast::<AtomicU64>(), count))
    }
}

/// The most vectors of one call.
const MOST_VECTORS: usize = 1024;

/// Puts references to pages of the range into a pipe, the range `times` times, without copying: the
/// first of every so many pages. Returns how many bytes the pipe took.
pub(super) fn splice_pages(
    pipe: BorrowedFd<'_>,
    range: Range,
    every: u64,
    times: usize,
) -> Result<usize, Errno> {
    let of_range = range.pages.div_ceil(every) as usize;
    let buffers: [libc::iovec; MOST_VECTORS] = std::array::from_fn(|at| {
        let offset = (at % of_range) as u64 * every * PAGE;
        let start = ptr::without_provenance_mut((range.start + offset) as usize);
        libc::iovec { iov_base: start, iov_len: PAGE as usize }
    });
    // Whole ranges, so that each call begins with the first page.
    let most = MOST_VECTORS - MOST_VECTORS % of_range;
    let (mut left, mut taken) = (times * of_range, 0);
    while left > 0 {
        let count = left.min(most);
        let flags = libc::SPLICE_F_NONBLOCK;
        // SAFETY: INV-SYS-1; the kernel only reads the pages.
        let got = unsafe { libc::vmsplice(pipe.as_raw_fd(), buffers.as_ptr(), count, flags) };
        let got = match checked(got as c_long) {
            Err(why) if taken == 0 => return Err(why),
            Err(_) => return Ok(taken),
            Ok(got) => got as usize,
        };
        taken += got;
        if got < count * PAGE as usize {
            return Ok(taken);
        }
        left -= count;
    }
    Ok(taken)
}

/// Copies the head of one pipe to another, of which the first keeps all.
pub(super) fn tee(from: BorrowedFd<'_>, to: BorrowedFd<'_>, bytes: usize) -> Result<usize, Errno> {
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    // SAFETY: concerns the two pipes only.
    let got = unsafe { libc::tee(from, to, bytes, libc::SPLICE_F_NONBLOCK) };
    checked(got as c_long).map(|got| got as usize)
}

/// A pipe whose ends do not wait: what is read, and what is written.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: two new descriptors, which nobody else knows.
    unsafe {
        let made = libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK);
        checked(made).map_err(io::Error::from_raw_os_error)?;
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// Gives a pipe room for so many pages.
pub(super) fn widen(pipe: BorrowedFd<'_>, pages: usize) -> Result<(), Errno> {
    let bytes = c_int::try_from(pages * PAGE as usize).map_err(|_| libc::EINVAL)?;
    // SAFETY: concerns the pipe only.
    checked(unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) }).map(drop)
}

/// A file that is only in memory.
pub(super) fn memory_file() -> io::Result<OwnedFd> {
    // SAFETY: a new descriptor, which nobody else knows.
    unsafe {
        let made = libc::memfd_create(c"pinfold".as_ptr(), libc::MFD_CLOEXEC);
        checked(made).map_err(io::Error::from_raw_os_error)?;
        Ok(OwnedFd::from_raw_fd(made))
    }
}

/// Reads what is there, up to the length of `into`.
pub(super) fn read(file: BorrowedFd<'_>, into: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the buffer is exclusively ours and as long as we say.
    let got = unsafe { libc::read(file.as_raw_fd(), into.as_mut_ptr().cast(), into.len()) };
    checked(got as c_long).map(|got| got as usize)
}

/// Reads a number at a place of a file.
pub(super) fn read_at(file: BorrowedFd<'_>, offset: u64) -> Result<u64, Errno> {
    let mut bytes = [0; 8];
    let at = libc::off_t::try_from(offset).map_err(|_| libc::EINVAL)?;
    // SAFETY: the buffer has eight bytes.
    let got = unsafe { libc::pread(file.as_raw_fd(), bytes.as_mut_ptr().cast(), 8, at) };
    match checked(got as c_long)? {
        8 => Ok(u64::from_ne_bytes(bytes)),
        _ => Err(libc::EIO),
    }
}

/// Writes a number at a place of a file.
pub(super) fn write_at(file: BorrowedFd<'_>, offset: u64, word: u64) -> Result<(), Errno> {
    let bytes = word.to_ne_bytes();
    let at = libc::off_t::try_from(offset).map_err(|_| libc::EINVAL)?;
    // SAFETY: the buffer has eight bytes.
    let put = unsafe { libc::pwrite(file.as_raw_fd(), bytes.as_ptr().cast(), 8, at) };
    checked(put as c_long).map(drop)
}

/// Forgets which pages of this process were stored to.
pub(super) fn clear_soft_dirty() -> Result<(), Errno> {
    // SAFETY: opens a file, and closes it when it is dropped.
    let file = unsafe {
        let flags = libc::O_WRONLY | libc::O_CLOEXEC;
        let opened = libc::open(c"/proc/self/clear_refs".as_ptr(), flags);
        checked(opened)?;
        OwnedFd::from_raw_fd(opened)
    };
    // SAFETY: the buffer has one byte.
    let put = unsafe { libc::write(file.as_raw_fd(), c"4".as_ptr().cast(), 1) };
    checked(put as c_long).map(drop)
}

/// Whether the page at an address is in memory; `ENOMEM` where nothing is mapped.
pub(super) fn is_resident(address: u64) -> Result<bool, Errno> {
    let mut told = 0_u8;
    let page = ptr::without_provenance_mut(address as usize);
    // SAFETY: the kernel writes one byte for the one page.
    checked(unsafe { libc::mincore(page, PAGE as usize, &raw mut told) })?;
    Ok(told & 1 == 1)
}

/// What the kernel tells about an own page: see `pagemap` in its documentation.
pub(super) fn own_page(address: u64) -> Result<u64, Errno> {
    // SAFETY: opens a file, and closes it when it is dropped.
    let map = unsafe {
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        let opened = libc::open(c"/proc/self/pagemap".as_ptr(), flags);
        checked(opened)?;
        OwnedFd::from_raw_fd(opened)
    };
    read_at(std::os::fd::AsFd::as_fd(&map), address / PAGE * 8)
}

/// Waits until the low half of a cell is no longer `seen`, at most so many milliseconds.
pub(super) fn wait(cell: &AtomicU64, seen: u64, milliseconds: u32) {
    let time = libc::timespec {
        tv_sec: libc::time_t::from(milliseconds / 1000),
        tv_nsec: c_long::from(milliseconds % 1000) * 1_000_000,
    };
    // SAFETY: the cell is the kernel's to compare only; x86-64 has the low half first.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            ptr::from_ref(cell),
            libc::FUTEX_WAIT,
            seen as u32,
            &raw const time,
        );
    }
}

/// Wakes all that wait for a cell.
pub(super) fn wake(cell: &AtomicU64) {
    // SAFETY: the address is only compared.
    unsafe {
        libc::syscall(libc::SYS_futex, ptr::from_ref(cell), libc::FUTEX_WAKE, c_int::MAX);
    }
}

/// What a process of a trial begins with: it ends when the agent ends if it is the agent's own
/// child, and in any case after so many seconds.
pub(super) fn die_in_time(seconds: u32, agent: Option<i32>) {
    // SAFETY: concerns this process only.
    unsafe {
        libc::alarm(seconds);
        if let Some(agent) = agent {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong);
            if libc::getppid() != agent {
                libc::_exit(0);
            }
            libc::setpgid(0, 0);
        }
    }
}

/// Lets every process that has the rights to it reach for this one's memory, where only ancestors
/// may otherwise (Yama); elsewhere the kernel knows no such request.
pub(super) fn allow_remote() {
    // SAFETY: concerns this process only.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY) };
}

/// What the agent begins with: children are reaped by the kernel, orphans become its own, and no
/// core files.
pub(super) fn become_agent() {
    const YES: libc::c_ulong = 1;
    const NO: libc::c_ulong = 0;
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: concerns this process and its children only.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, YES, NO, NO, NO);
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
    }
}

/// Keeps this process and the children that it makes from now on from large folios, or no longer.
pub(super) fn keep_small(small: bool) {
    const NO: libc::c_ulong = 0;
    // SAFETY: concerns this process and its children only.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, libc::c_ulong::from(small), NO, NO, NO);
    }
}

/// The number of this process.
pub(super) fn own_id() -> i32 {
    // SAFETY: cannot fail.
    unsafe { libc::getpid() }
}

/// The number of this thread.
pub(super) fn own_thread() -> i32 {
    // SAFETY: cannot fail.
    unsafe { libc::gettid() }
}

/// Whether there is a process of this number, whosever it is.
pub(super) fn is_alive(process: i32) -> bool {
    // SAFETY: sends nothing.
    unsafe { libc::kill(process, 0) == 0 || errno() != libc::ESRCH }
}

/// Kills the process group that a trial's first process leads.
pub(super) fn kill_group(leader: i32) {
    if leader > 1 {
        // SAFETY: the group is one that the agent's own child made for itself.
        unsafe {
            libc::kill(-leader, libc::SIGKILL);
        }
    }
}

/// A descriptor that becomes readable when the process ends.
pub(super) fn watch(process: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: a new descriptor, which nobody else knows.
    unsafe {
        let made = checked(libc::syscall(libc::SYS_pidfd_open, process, 0))?;
        Ok(OwnedFd::from_raw_fd(made as c_int))
    }
}

/// Whether the watched process ends within so many milliseconds.
pub(super) fn ends_within(process: BorrowedFd<'_>, milliseconds: i32) -> bool {
    let mut asked = libc::pollfd { fd: process.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure.
    unsafe { libc::poll(&raw mut asked, 1, milliseconds) == 1 }
}
