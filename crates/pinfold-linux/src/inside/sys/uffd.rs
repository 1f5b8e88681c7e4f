//! userfaultfd(2): what a monitor asks of it and hears from it.
//!
//! The layout is that of `linux/userfaultfd.h` (uapi), whose names stand beside the values; the
//! numbers of the requests follow from it by `asm-generic/ioctl.h`.

use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use pinfold_lab::scenario::UffdReason;

use super::{Errno, PAGE, Range, checked, watch};

/// `UFFD_API`.
const API: u64 = 0xaa;
/// `UFFDIO_API`, of [`Hello`].
const HELLO: u64 = 0xc018_aa3f;
/// `UFFDIO_REGISTER`, of [`Answered`].
const REGISTER: u64 = 0xc020_aa00;
/// `UFFDIO_UNREGISTER`, of [`Span`].
const UNREGISTER: u64 = 0x8010_aa01;
/// `UFFDIO_WAKE`, of [`Span`].
const WAKE: u64 = 0x8010_aa02;
/// `UFFDIO_COPY`, of [`Copy`].
const COPY: u64 = 0xc028_aa03;
/// `UFFDIO_ZEROPAGE`, of [`Answered`].
const ZEROPAGE: u64 = 0xc020_aa04;
/// `UFFDIO_WRITEPROTECT`, of [`Protect`].
const WRITEPROTECT: u64 = 0xc018_aa06;
/// `UFFDIO_CONTINUE`, of [`Answered`].
const CONTINUE: u64 = 0xc020_aa07;

/// `UFFD_FEATURE_PAGEFAULT_FLAG_WP`, since 5.7.
pub(in crate::inside) const PAGEFAULT_FLAG_WP: u64 = 1;
/// `UFFD_FEATURE_EVENT_FORK`, since 4.11.
pub(in crate::inside) const EVENT_FORK: u64 = 1 << 1;
/// `UFFD_FEATURE_EVENT_REMAP`, since 4.11.
pub(in crate::inside) const EVENT_REMAP: u64 = 1 << 2;
/// `UFFD_FEATURE_MISSING_SHMEM`, since 4.11.
pub(in crate::inside) const MISSING_SHMEM: u64 = 1 << 5;
/// `UFFD_FEATURE_THREAD_ID`, since 4.14.
pub(in crate::inside) const THREAD_ID: u64 = 1 << 8;
/// `UFFD_FEATURE_MINOR_SHMEM`, since 5.14.
pub(in crate::inside) const MINOR_SHMEM: u64 = 1 << 10;
/// `UFFD_FEATURE_WP_HUGETLBFS_SHMEM`, since 5.19.
pub(in crate::inside) const WP_SHMEM: u64 = 1 << 12;
/// `UFFD_FEATURE_WP_UNPOPULATED`, since 6.4.
pub(in crate::inside) const WP_UNPOPULATED: u64 = 1 << 13;

/// `UFFDIO_REGISTER_MODE_MISSING`.
pub(in crate::inside) const MODE_MISSING: u64 = 1;
/// `UFFDIO_REGISTER_MODE_WP`.
pub(in crate::inside) const MODE_WP: u64 = 1 << 1;
/// `UFFDIO_REGISTER_MODE_MINOR`.
pub(in crate::inside) const MODE_MINOR: u64 = 1 << 2;

/// `UFFDIO_COPY_MODE_WP` and `UFFDIO_CONTINUE_MODE_WP`.
const ALSO_PROTECT: u64 = 1 << 1;
/// `UFFDIO_WRITEPROTECT_MODE_WP`.
const PROTECT: u64 = 1;

/// `UFFD_EVENT_PAGEFAULT`.
const TOLD: u8 = 0x12;
/// `UFFD_EVENT_FORK`.
const FORKED: u8 = 0x13;
/// `UFFD_PAGEFAULT_FLAG_WP`.
const OF_PROTECTION: u64 = 1 << 1;
/// `UFFD_PAGEFAULT_FLAG_MINOR`.
const OF_MINOR: u64 = 1 << 2;

/// `struct uffdio_api`.
#[repr(C)]
struct Hello {
    api: u64,
    features: u64,
    requests: u64,
}

/// `struct uffdio_range`.
#[repr(C)]
struct Span {
    start: u64,
    bytes: u64,
}

/// `struct uffdio_register`, `struct uffdio_zeropage` and `struct uffdio_continue`, which have one
/// layout: a range, a mode, and what the kernel answers.
#[repr(C)]
struct Answered {
    span: Span,
    mode: u64,
    answer: i64,
}

/// `struct uffdio_copy`.
#[repr(C)]
struct Copy {
    to: u64,
    from: u64,
    bytes: u64,
    mode: u64,
    copied: i64,
}

/// `struct uffdio_writeprotect`.
#[repr(C)]
struct Protect {
    span: Span,
    mode: u64,
}

/// `struct uffd_msg`: an event, seven bytes that are not used, and up to three numbers.
#[repr(C)]
#[derive(Default)]
struct Message {
    event: u8,
    unused: [u8; 7],
    numbers: [u64; 3],
}

const _: () = assert!(
    size_of::<Hello>() == 24
        && size_of::<Span>() == 16
        && size_of::<Answered>() == 32
        && size_of::<Copy>() == 40
        && size_of::<Protect>() == 24
        && size_of::<Message>() == 32
);

/// What a monitor hears.
pub(in crate::inside) enum Heard {
    /// The thread of this number waits for the page at this address.
    Fault { address: u64, reason: UffdReason, thread: i32 },
    /// A child was forked; this is its own.
    Fork(OwnedFd),
    /// Something else, for which nobody has to do anything but hear of it.
    Other,
}

impl Span {
    fn of(range: Range) -> Self {
        Self { start: range.start(), bytes: range.bytes() as u64 }
    }
}

/// Makes one for this address space, with these features; `EINVAL` if the kernel lacks one.
pub(in crate::inside) fn open(features: u64) -> Result<OwnedFd, Errno> {
    let (made, mut hello) = (create()?, Hello { api: API, features, requests: 0 });
    request(made.as_fd(), HELLO, &mut hello).map(|()| made)
}

/// The features that the kernel has.
pub(in crate::inside) fn available() -> Result<u64, Errno> {
    let (made, mut hello) = (create()?, Hello { api: API, features: 0, requests: 0 });
    request(made.as_fd(), HELLO, &mut hello).map(|()| hello.features)
}

/// One of which nothing was asked yet.
fn create() -> Result<OwnedFd, Errno> {
    // SAFETY: a new descriptor, which nobody else knows.
    unsafe {
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        let made = checked(libc::syscall(libc::SYS_userfaultfd, flags))?;
        Ok(OwnedFd::from_raw_fd(made as c_int))
    }
}

/// The one with this number, which this process keeps as long as it lives.
pub(in crate::inside) fn kept(number: i32) -> BorrowedFd<'static> {
    // SAFETY: the process has put it on the board when it began, and closes it nowhere.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// One of another process, by its number there, as a descriptor of this one.
pub(in crate::inside) fn fetch(process: i32, number: i32) -> Result<OwnedFd, Errno> {
    let process = watch(process)?;
    // SAFETY: a new descriptor, which nobody else knows.
    unsafe {
        let call = libc::SYS_pidfd_getfd;
        let made = checked(libc::syscall(call, process.as_raw_fd(), number, 0))?;
        Ok(OwnedFd::from_raw_fd(made as c_int))
    }
}

/// One request, of the structure that belongs to it.
fn request<T>(uffd: BorrowedFd<'_>, code: u64, about: &mut T) -> Result<(), Errno> {
    let about: *mut c_void = std::ptr::from_mut(about).cast();
    // SAFETY: the structure is the one of the request, and exclusively ours. The kernel changes
    // memory of the address space to which the descriptor belongs at the given addresses only, and
    // these come from a `Range`: INV-SYS-1.
    checked(unsafe { libc::ioctl(uffd.as_raw_fd(), code as libc::Ioctl, about) }).map(drop)
}

/// Registers what is mapped there.
pub(in crate::inside) fn register(
    uffd: BorrowedFd<'_>,
    range: Range,
    mode: u64,
) -> Result<(), Errno> {
    request(uffd, REGISTER, &mut Answered { span: Span::of(range), mode, answer: 0 })
}

/// Ends that, and lets those go on who wait there. The kernel wakes them, but a fault that comes,
/// or comes again, while the range is unregistered may wait for ever (seen on 6.18), so that they
/// are woken once more when nothing is registered any more.
pub(in crate::inside) fn unregister(uffd: BorrowedFd<'_>, range: Range) -> Result<(), Errno> {
    request(uffd, UNREGISTER, &mut Span::of(range))?;
    wake(uffd, range)
}

/// Lets those go on who wait there; they fault again.
pub(in crate::inside) fn wake(uffd: BorrowedFd<'_>, range: Range) -> Result<(), Errno> {
    request(uffd, WAKE, &mut Span::of(range))
}

/// Gives a page with a word at this byte of it, zeros elsewhere, and lets those go on who wait for
/// it.
pub(in crate::inside) fn copy(
    uffd: BorrowedFd<'_>,
    page: Range,
    (at, word): (u64, u64),
    protect: bool,
) -> Result<(), Errno> {
    let mut contents = [0_u64; (PAGE / 8) as usize];
    *contents.get_mut((at / 8) as usize).ok_or(libc::EINVAL)? = word;
    let from = contents.as_ptr().addr() as u64;
    let mode = if protect { ALSO_PROTECT } else { 0 };
    request(uffd, COPY, &mut Copy { to: page.start(), from, bytes: PAGE, mode, copied: 0 })
}

/// Gives a page of zeros, likewise.
pub(in crate::inside) fn zero(uffd: BorrowedFd<'_>, page: Range) -> Result<(), Errno> {
    request(uffd, ZEROPAGE, &mut Answered { span: Span::of(page), mode: 0, answer: 0 })
}

/// Maps the page that is there, likewise.
pub(in crate::inside) fn go_on(
    uffd: BorrowedFd<'_>,
    page: Range,
    protect: bool,
) -> Result<(), Errno> {
    let mode = if protect { ALSO_PROTECT } else { 0 };
    request(uffd, CONTINUE, &mut Answered { span: Span::of(page), mode, answer: 0 })
}

/// Protects pages from writes, or takes that back and lets those go on who wait there.
pub(in crate::inside) fn protect(
    uffd: BorrowedFd<'_>,
    range: Range,
    protect: bool,
) -> Result<(), Errno> {
    let mode = if protect { PROTECT } else { 0 };
    request(uffd, WRITEPROTECT, &mut Protect { span: Span::of(range), mode })
}

/// What there is to hear, if there is anything.
pub(in crate::inside) fn hear(uffd: BorrowedFd<'_>) -> Result<Option<Heard>, Errno> {
    let (mut message, bytes) = (Message::default(), size_of::<Message>());
    // SAFETY: the structure is as long as we say, and any bytes are valid in it.
    let got = unsafe { libc::read(uffd.as_raw_fd(), (&raw mut message).cast(), bytes) };
    match checked(got as libc::c_long) {
        Err(libc::EAGAIN) => return Ok(None),
        Err(why) => return Err(why),
        Ok(got) if got as usize != bytes => return Err(libc::EIO),
        Ok(_) => {}
    }
    let [first, second, third] = message.numbers;
    Ok(Some(match message.event {
        TOLD => {
            let reason = match (first & OF_PROTECTION, first & OF_MINOR) {
                (0, 0) => UffdReason::Missing,
                (0, _) => UffdReason::Minor,
                (_, _) => UffdReason::Wp,
            };
            Heard::Fault { address: second - second % PAGE, reason, thread: third as u32 as i32 }
        }
        // SAFETY: a new descriptor, which the kernel has made for us while we read.
        FORKED => Heard::Fork(unsafe { OwnedFd::from_raw_fd(first as u32 as c_int) }),
        _ => Heard::Other,
    }))
}
