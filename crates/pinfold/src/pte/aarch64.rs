//! AArch64: stage 1 of the Arm architecture's VMSAv8-64, EL1&0, 4 KiB granule, 48-bit addresses of
//! both kinds.
//!
//! The machine that is modelled: the access flag is set by hardware (FEAT_HAFDBS with TCR_EL1.HA)
//! or by the manager when the hardware faults; the dirty state is the manager's alone. Bit 51 (DBM)
//! stays clear, so TCR_EL1.HD changes nothing.
//!
//! So the hardware may store through an entry only if it is writable *and* dirty; the first store
//! through a clean one faults, and the fault makes it dirty. AP[2] (read-only) is therefore the
//! conjunction, and two bits that software may use hold the parts:
//!
//! | writable | dirty | bit 56, not writable | bit 55, dirty | bit 7, AP[2] |
//! | --- | --- | --- | --- | --- |
//! | no | no | 1 | 0 | 1 |
//! | no | yes | 1 | 1 | 1 |
//! | yes | no | 0 | 0 | 1 |
//! | yes | yes | 0 | 1 | 0 |
//!
//! Write permission is stored inverted for the sake of one operation: removing it sets bits 7 and
//! 56 in all rows and clears none, so it is a single atomic OR, which cannot race with the
//! hardware's access flag.

use super::format::{BitChange, Format, Match, Reach};

const VALID: u64 = 1 << 0;
/// A table on the upper levels, a page on the last; without it a block, or on the last level
/// nothing.
const TABLE_OR_PAGE: u64 = 1 << 1;
/// AP[1]: EL0 may access it.
const USER: u64 = 1 << 6;
/// AP[2]: no stores.
const HARD_READ_ONLY: u64 = 1 << 7;
/// SH[1:0]: all CPUs of the inner domain see it coherently.
const INNER_SHAREABLE: u64 = 0b11 << 8;
/// AF: without it an access faults, or the hardware sets it.
const ACCESSED: u64 = 1 << 10;
/// nG: the translation belongs to one ASID.
const NOT_GLOBAL: u64 = 1 << 11;
/// PXN: EL1 may not fetch instructions.
const NO_KERNEL_EXEC: u64 = 1 << 53;
/// UXN: EL0 may not fetch instructions.
const NO_EXEC: u64 = 1 << 54;
// Bits 55 to 58 are reserved for software in valid entries; in others all but bit 0 are.
const DIRTY: u64 = 1 << 55;
const READ_ONLY: u64 = 1 << 56;
const SPECIAL: u64 = 1 << 57;
const LOCKED: u64 = 1 << 58;
// Bit 63 is ignored in the entries of EL1&0.
const UFFD_WP: u64 = 1 << 63;
// Ignored in valid entries, too, as long as the hardware is not told to use it: see below.
const SOFT_DIRTY: u64 = 1 << 62;
// In absent entries only: in valid ones the hardware may use bits 59 to 61.
const HINT: u64 = 1 << 59;
const PROT_NONE: u64 = 1 << 60;

const KEPT: u64 =
    ACCESSED | DIRTY | READ_ONLY | HARD_READ_ONLY | SPECIAL | LOCKED | UFFD_WP | SOFT_DIRTY;

/// The AArch64 layout with `LEVELS` levels of `1 << BITS` entries. Real hardware has 4 levels of 9
/// bits.
///
/// User programs can use all that TTBR0's tables can address: the kernel's half of the addresses
/// has tables of its own.
///
/// Entries use the memory type of index 0 (AttrIndx): set MAIR_EL1.Attr0 to normal write-back
/// memory. User pages can never be executed by EL1.
///
/// Bit 62 of an entry is the manager's: leave TCR_EL1.HWU062 (page-based hardware attributes) and
/// TCR2_EL1.E0POE (permission overlays) clear, as they are after a reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Armv8<const LEVELS: u32, const BITS: u32>;

/// A granule of 4 KiB and four levels: user programs in TTBR0's whole 48 bits (TCR_EL1.T0SZ = 16).
pub type Aarch64 = Armv8<4, 9>;

/// The same entries in two levels of four: sixteen pages, for exploration.
pub type SmallAarch64 = Armv8<2, 2>;

// SAFETY: the bits are those of the manual. Bit 60 is the mark of PROT_NONE. AP[2] is clear only
// where bit 56 is clear and bit 55 set, which every function below keeps; the hardware never clears
// it, as DBM is never set.
unsafe impl<const LEVELS: u32, const BITS: u32> Format for Armv8<LEVELS, BITS> {
    const LEVELS: u32 = LEVELS;
    const INDEX_BITS: u32 = BITS;
    const USER_PAGES: u64 = Self::PAGES;
    const FRAME: u64 = 0x0000_ffff_ffff_f000;
    const PRESENT: u64 = VALID;
    const PROT_NONE: u64 = PROT_NONE;
    const HINT: u64 = HINT;
    const ACCESSED: u64 = ACCESSED;
    const DIRTY: u64 = DIRTY;
    const SPECIAL: u64 = SPECIAL;
    const LOCKED: u64 = LOCKED;
    const UFFD_WP: u64 = UFFD_WP;
    const SOFT_DIRTY: u64 = SOFT_DIRTY;
    const TABLE: u64 = VALID | TABLE_OR_PAGE;
    const LINK: Match = Match { mask: Self::TABLE, set: Self::TABLE };
    const WRITABLE: Match = Match { mask: VALID | SPECIAL | READ_ONLY, set: VALID };
    const REVOKE_WRITE: BitChange = BitChange::Set(HARD_READ_ONLY | READ_ONLY);

    #[inline]
    fn huge(bits: u64) -> u64 {
        bits & !TABLE_OR_PAGE
    }

    #[inline]
    fn small(bits: u64) -> u64 {
        bits | TABLE_OR_PAGE
    }

    #[inline]
    fn page(reach: Reach) -> u64 {
        let page = VALID | TABLE_OR_PAGE | USER | INNER_SHAREABLE | NOT_GLOBAL | NO_KERNEL_EXEC;
        let read_only = HARD_READ_ONLY | READ_ONLY;
        match reach {
            Reach::Data { exec: true } => page | read_only,
            Reach::Data { exec: false } => page | read_only | NO_EXEC,
            Reach::None => PROT_NONE | read_only | NO_EXEC,
        }
    }

    #[inline]
    fn with_reach(bits: u64, reach: Reach) -> u64 {
        (Self::page(reach) & !KEPT) | (bits & KEPT)
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
        bits & READ_ONLY == 0
    }

    #[inline]
    fn dirty(bits: u64) -> u64 {
        let hard = if Self::is_writable(bits) { HARD_READ_ONLY } else { 0 };
        (bits | DIRTY) & !hard
    }

    #[inline]
    fn clean(bits: u64) -> u64 {
        (bits & !DIRTY) | HARD_READ_ONLY
    }

    #[inline]
    fn writable(bits: u64) -> u64 {
        let hard = if Self::is_dirty(bits) { HARD_READ_ONLY } else { 0 };
        bits & !(READ_ONLY | hard)
    }

    #[inline]
    fn read_only(bits: u64) -> u64 {
        Self::REVOKE_WRITE.of(bits)
    }
}
