//! Where the program break is, and how far stacks grow.
//!
//! INV-LIMITS-1: the break is moved to the stage only where the program's own heap lies above the
//! stage: what the allocator asks of the break from then on is refused, and it maps memory instead.
//! Nothing of the program is lost, since what lay below the old break stays mapped.

use super::{Errno, PAGE, STAGE, STAGE_PAGES, checked};

/// The lowest address of the stage that is for use.
const BREAK: u64 = STAGE + PAGE;
/// The most of its own stack that a process needs after it was forked.
const OWN_STACK: usize = 128 * 1024;

/// Where the break is.
fn current() -> u64 {
    // SAFETY: address 0 is never a place for the break, and asks where it is.
    unsafe { libc::syscall(libc::SYS_brk, 0) as u64 }
}

fn set(what: i32, address: u64) -> Result<(), Errno> {
    let none: libc::c_ulong = 0;
    // SAFETY: only what the kernel takes for the break changes: INV-LIMITS-1.
    let set = unsafe { libc::prctl(libc::PR_SET_MM, what as libc::c_ulong, address, none, none) };
    checked(set).map(drop)
}

/// Whether [`place_break`] would work; nothing changes.
pub(in crate::inside) fn can_place_break() -> bool {
    let now = current();
    now > STAGE + STAGE_PAGES * PAGE && set(libc::PR_SET_MM_BRK, now).is_ok()
}

/// Puts the program break of this process at the lowest address of the stage.
pub(in crate::inside) fn place_break() -> Result<(), Errno> {
    set(libc::PR_SET_MM_START_BRK, BREAK)?;
    set(libc::PR_SET_MM_BRK, BREAK)
}

/// Moves the break so that it has so many pages of the stage below it; whether that was done.
pub(in crate::inside) fn move_break(pages: u32) -> Result<bool, Errno> {
    let to = BREAK + u64::from(pages) * PAGE;
    if to > STAGE + STAGE_PAGES * PAGE {
        return Err(libc::EINVAL);
    }
    // SAFETY: the break is on the stage, and so is all that comes or goes: INV-SYS-1.
    let now = unsafe { libc::syscall(libc::SYS_brk, to) as u64 };
    Ok(now == to)
}

/// Lets no stack of this process and its children grow over so many pages. The stack of the caller,
/// which is one of them, has grown before to what it may need.
pub(in crate::inside) fn limit_stacks(pages: u32) -> Result<(), Errno> {
    grow_own_stack();
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: fills the structure in, and then concerns this process only.
    unsafe {
        checked(libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit))?;
        limit.rlim_cur = u64::from(pages) * PAGE;
        checked(libc::setrlimit(libc::RLIMIT_STACK, &raw const limit)).map(drop)
    }
}

#[inline(never)]
fn grow_own_stack() {
    let mut room = [0_u8; OWN_STACK];
    std::hint::black_box(&mut room);
}
