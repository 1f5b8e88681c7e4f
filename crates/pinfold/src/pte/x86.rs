//! x86-64: Intel's and AMD's manuals, 4 KiB pages in tables of 4 or 5 levels.
//!
//! Each attribute is a separate bit. The hardware sets accessed and dirty by locked operations.
//! Bits 9 to 11 and 52 to 58 are ignored in present entries; bit 8 (global) is clear in them, so it
//! tells PROT_NONE where bit 0 is clear.

use super::format::{BitChange, Format, Match, Reach};

const PRESENT: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
/// PS, of an upper table's entry: it maps pages.
const PAGES: u64 = 1 << 7;
const PROT_NONE: u64 = 1 << 8;
const HINT: u64 = 1 << 9;
const SPECIAL: u64 = 1 << 10;
const LOCKED: u64 = 1 << 11;
const UFFD_WP: u64 = 1 << 52;
const SOFT_DIRTY: u64 = 1 << 53;
const NO_EXEC: u64 = 1 << 63;

/// What is kept when the access changes.
const KEPT: u64 = ACCESSED | DIRTY | WRITE | SPECIAL | LOCKED | UFFD_WP | SOFT_DIRTY;

/// The x86-64 layout with `LEVELS` levels of `1 << BITS` entries. Real hardware has 4 or 5 levels
/// of 9 bits.
///
/// The hardware wants bits 47 (or 56) to 63 of an address to be the same, so a user program has the
/// lower half of what the tables of a real machine can address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct X86<const LEVELS: u32, const BITS: u32>;

/// Four-level paging as x86-64 has it: 48-bit addresses, the lower 47 bits for user programs.
pub type X86_64 = X86<4, 9>;

/// Five-level paging: 57-bit addresses, the lower 56 bits for user programs.
pub type X86_64La57 = X86<5, 9>;

/// The same entries in two levels of four: sixteen pages, for exploration.
pub type Small = X86<2, 2>;

// SAFETY: the bits are those of the manuals; NX needs EFER.NXE, as every 64-bit kernel sets it. Bit
// 8 is the mark of PROT_NONE. MAX_PFN leaves the field's highest bit clear, which is set in every
// inverted number.
unsafe impl<const LEVELS: u32, const BITS: u32> Format for X86<LEVELS, BITS> {
    const LEVELS: u32 = LEVELS;
    const INDEX_BITS: u32 = BITS;
    /// The lower half without its last page: after a system call in the last bytes of that, Intel's
    /// SYSRET would fault in the kernel on an address that is not canonical.
    const USER_PAGES: u64 =
        if LEVELS >= 4 && BITS == 9 { Self::PAGES / 2 - 1 } else { Self::PAGES };
    const FRAME: u64 = 0x000f_ffff_ffff_f000;
    const INVERT_ABSENT: bool = true;
    const PRESENT: u64 = PRESENT;
    const PROT_NONE: u64 = PROT_NONE;
    const HINT: u64 = HINT;
    const ACCESSED: u64 = ACCESSED;
    const DIRTY: u64 = DIRTY;
    const SPECIAL: u64 = SPECIAL;
    const LOCKED: u64 = LOCKED;
    const UFFD_WP: u64 = UFFD_WP;
    const SOFT_DIRTY: u64 = SOFT_DIRTY;
    const TABLE: u64 = PRESENT | WRITE | USER | ACCESSED;
    const LINK: Match = Match { mask: PRESENT | PAGES, set: PRESENT };
    const WRITABLE: Match = Match { mask: PRESENT | SPECIAL | WRITE, set: PRESENT | WRITE };
    const REVOKE_WRITE: BitChange = BitChange::Clear(WRITE);

    #[inline]
    fn huge(bits: u64) -> u64 {
        bits | PAGES
    }

    #[inline]
    fn small(bits: u64) -> u64 {
        bits & !PAGES
    }

    #[inline]
    fn page(reach: Reach) -> u64 {
        match reach {
            Reach::Data { exec: true } => PRESENT | USER,
            Reach::Data { exec: false } => PRESENT | USER | NO_EXEC,
            Reach::None => PROT_NONE | NO_EXEC,
        }
    }

    #[inline]
    fn with_reach(bits: u64, reach: Reach) -> u64 {
        Self::page(reach) | (bits & KEPT)
    }

    #[inline]
    fn hint(bits: u64) -> u64 {
        PROT_NONE | HINT | (bits & (KEPT | NO_EXEC))
    }

    #[inline]
    fn is_exec(bits: u64) -> bool {
        bits & NO_EXEC == 0
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
