//! RISC-V: Sv39 and Sv48 of the privileged architecture.
//!
//! The hardware sets accessed and dirty itself (Svadu), or faults where they are clear and the
//! manager sets them (Svade): both are served. An entry without read, write and execute rights
//! names a table; a page always has read, and so never the reserved combination of write without
//! read. Bits 8 and 9 are for software, and with the extension Svrsw60t59b bits 59 and 60; in
//! absent entries all but bit 0 are.

use super::format::{BitChange, Format, Match, Reach};

const VALID: u64 = 1 << 0;
const READ: u64 = 1 << 1;
const WRITE: u64 = 1 << 2;
const EXEC: u64 = 1 << 3;
const USER: u64 = 1 << 4;
/// In absent entries only; in valid ones it would mean global, which user pages are not.
const HINT: u64 = 1 << 5;
const ACCESSED: u64 = 1 << 6;
const DIRTY: u64 = 1 << 7;
const SPECIAL: u64 = 1 << 8;
const LOCKED: u64 = 1 << 9;
/// In absent entries only; in valid ones it is reserved.
const PROT_NONE: u64 = 1 << 54;

/// Svrsw60t59b.
const SOFT_DIRTY: u64 = 1 << 59;
const UFFD_WP: u64 = 1 << 60;

/// The bits of a valid entry that are for software without extensions, as a count.
const BASE: u32 = 2;
/// The same with Svrsw60t59b.
const SVRSW: u32 = 4;

/// What is kept when the access changes.
const KEPT: u64 = ACCESSED | DIRTY | WRITE | SPECIAL | LOCKED | SOFT_DIRTY | UFFD_WP;

/// The RISC-V layout with `LEVELS` levels of `1 << BITS` entries. Real hardware has 3 or 4 levels
/// of 9 bits. `SOFTWARE` bits of a valid entry are for software: 2, or 4 on hardware with the
/// extension Svrsw60t59b, which the marks for userfaultfd's write protection and of soft-dirty
/// pages need.
///
/// The hardware wants all upper bits of an address to be the same, so a user program has the lower
/// half of what the tables of a real machine can address.
///
/// A core that caches absent entries (one without Svvptc) may fault once more after a page was
/// mapped. That fault ends in [`crate::Platform::flush_local`], which on such cores is an
/// SFENCE.VMA of all addresses, as the absent entry may be one of an upper table.
///
/// Memory types (Svpbmt) stay those of the platform, and pages are never combined (Svnapot).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Riscv64<const LEVELS: u32, const BITS: u32, const SOFTWARE: u32 = BASE>;

/// Three levels: 39-bit addresses, the lower 38 bits for user programs.
pub type Sv39 = Riscv64<3, 9>;

/// Four levels: 48-bit addresses, the lower 47 bits for user programs.
pub type Sv48 = Riscv64<4, 9>;

/// The same entries in two levels of four: sixteen pages, for exploration.
pub type SmallRiscv64 = Riscv64<2, 2>;

/// [`Sv39`] on hardware with Svrsw60t59b.
pub type Sv39Rsw = Riscv64<3, 9, SVRSW>;

/// [`Sv48`] on hardware with Svrsw60t59b.
pub type Sv48Rsw = Riscv64<4, 9, SVRSW>;

/// [`SmallRiscv64`] on hardware with Svrsw60t59b.
pub type SmallRiscv64Rsw = Riscv64<2, 2, SVRSW>;

// SAFETY: the bits are those of the manual. Bit 54 is the mark of PROT_NONE, and bit 5 is tested
// only together with it. Bits 59 and 60 are only set where `SOFTWARE` says that they are for
// software.
unsafe impl<const LEVELS: u32, const BITS: u32, const SOFTWARE: u32> Format
    for Riscv64<LEVELS, BITS, SOFTWARE>
{
    const LEVELS: u32 = LEVELS;
    const INDEX_BITS: u32 = BITS;
    const USER_PAGES: u64 = if BITS == 9 { Self::PAGES / 2 } else { Self::PAGES };
    const FRAME: u64 = 0x003f_ffff_ffff_fc00;
    const PRESENT: u64 = VALID;
    const PROT_NONE: u64 = PROT_NONE;
    const HINT: u64 = HINT;
    const ACCESSED: u64 = ACCESSED;
    const DIRTY: u64 = DIRTY;
    const SPECIAL: u64 = SPECIAL;
    const LOCKED: u64 = LOCKED;
    /// No bit is left without the extension.
    const UFFD_WP: u64 = if SOFTWARE == SVRSW { UFFD_WP } else { 0 };
    const SOFT_DIRTY: u64 = if SOFTWARE == SVRSW { SOFT_DIRTY } else { 0 };
    const TABLE: u64 = VALID;
    const LINK: Match = Match { mask: VALID | READ | WRITE | EXEC, set: VALID };
    const WRITABLE: Match = Match { mask: VALID | SPECIAL | WRITE, set: VALID | WRITE };
    const REVOKE_WRITE: BitChange = BitChange::Clear(WRITE);

    /// An entry with rights maps pages on any level.
    #[inline]
    fn huge(bits: u64) -> u64 {
        bits
    }

    #[inline]
    fn small(bits: u64) -> u64 {
        bits
    }

    #[inline]
    fn page(reach: Reach) -> u64 {
        match reach {
            Reach::Data { exec: true } => VALID | READ | USER | EXEC,
            Reach::Data { exec: false } => VALID | READ | USER,
            Reach::None => PROT_NONE,
        }
    }

    #[inline]
    fn with_reach(bits: u64, reach: Reach) -> u64 {
        Self::page(reach) | (bits & KEPT)
    }

    #[inline]
    fn hint(bits: u64) -> u64 {
        PROT_NONE | HINT | (bits & (KEPT | EXEC))
    }

    #[inline]
    fn is_exec(bits: u64) -> bool {
        bits & EXEC != 0
    }

    #[inline]
    fn is_writable(bits: u64) -> bool {
        bits & WRITE != 0
    }

    #[inline]
    fn dirty(bits: u64) -> u64 {
        bits | DIRTY
    }

    #[inline]
    fn clean(bits: u64) -> u64 {
        bits & !DIRTY
    }

    #[inline]
    fn writable(bits: u64) -> u64 {
        bits | WRITE
    }

    #[inline]
    fn read_only(bits: u64) -> u64 {
        bits & !WRITE
    }
}
