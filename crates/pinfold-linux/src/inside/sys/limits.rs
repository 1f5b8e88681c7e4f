//! Where the program break is, and how far stacks grow.
//!
//! INV-LIMITS-1: the break is moved to the stage in processes of a trial only, and what it left
//! stays mapped. The allocator asks for more by moving the break: a process whose break is on the
//! stage has enough before, and gives nothing back.

use std::cmp::Ordering;

use super::{Errno, PAGE, STAGE, STAGE_PAGES, checked};

/// The lowest address of the stage that is for use.
const BREAK: u64 = STAGE + PAGE;
/// The most of its own stack that a process needs after it was forked.
const OWN_STACK: usize = 128 * 1024;
/// More than the threads of a process and of its children take of the heap when they begin.
const OWN_HEAP: usize = 96 * 1024;

/// `struct prctl_mm_map`: where the parts of a program lie.
#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::inside) struct Program {
    code: [u64; 2],
    data: [u64; 2],
    start_break: u64,
    end_break: u64,
    stack: u64,
    arguments: [u64; 2],
    environment: [u64; 2],
    auxiliary: u64,
    auxiliary_bytes: u32,
    file: u32,
}

impl Program {
    /// This one, as `/proc/self/stat` tells; none where that says less.
    pub(in crate::inside) fn own() -> Option<Self> {
        let text = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is a name in parentheses, which may hold anything.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            code: [field(26)?, field(27)?],
            data: [field(45)?, field(46)?],
            start_break: field(47)?,
            end_break: current(),
            stack: field(28)?,
            arguments: [field(48)?, field(49)?],
            environment: [field(50)?, field(51)?],
            auxiliary: 0,
            auxiliary_bytes: 0,
            // No other file than the one that is executed.
            file: u32::MAX,
        })
    }

    /// Makes it so for this process.
    fn set(&self) -> Result<(), Errno> {
        let none: libc::c_ulong = 0;
        // SAFETY: only what the kernel takes for these places changes: INV-LIMITS-1.
        let set = unsafe {
            let what = libc::c_ulong::from(libc::PR_SET_MM_MAP.unsigned_abs());
            let bytes = size_of::<Self>() as libc::c_ulong;
            libc::prctl(libc::PR_SET_MM, what, std::ptr::from_ref(self), bytes, none)
        };
        checked(set).map(drop)
    }

    /// Whether [`Program::place_break`] would work; nothing changes.
    pub(in crate::inside) fn can_place_break(&self) -> bool {
        self.set().is_ok()
    }

    /// Puts the program break of this process at the lowest address of the stage.
    pub(in crate::inside) fn place_break(&self) -> Result<(), Errno> {
        // SAFETY: how the allocator works, not what it promises.
        unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX) };
        std::hint::black_box(Vec::<u8>::with_capacity(OWN_HEAP));
        Self { start_break: BREAK, end_break: BREAK, ..*self }.set()
    }
}

/// Where the break is.
fn current() -> u64 {
    // SAFETY: address 0 is never a place for the break, and asks where it is.
    unsafe { libc::syscall(libc::SYS_brk, 0) as u64 }
}

/// What became of a break that was to move.
pub(in crate::inside) enum Moved {
    /// It is where it should be.
    There,
    /// It did not move up.
    NotUp,
    /// It did not move down.
    NotDown,
}

/// Moves the break so that it has so many pages of the stage below it.
pub(in crate::inside) fn move_break(pages: u32) -> Result<Moved, Errno> {
    let to = BREAK + u64::from(pages) * PAGE;
    if to > STAGE + STAGE_PAGES * PAGE {
        return Err(libc::EINVAL);
    }
    // SAFETY: the break is on the stage, and so is all that comes or goes: INV-SYS-1.
    let now = unsafe { libc::syscall(libc::SYS_brk, to) as u64 };
    // One that does not move says where it is.
    Ok(match now.cmp(&to) {
        Ordering::Equal => Moved::There,
        Ordering::Less => Moved::NotUp,
        Ordering::Greater => Moved::NotDown,
    })
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
