//! What the hardware fixes about a page table: its geometry and the place of each bit.

use core::fmt::Debug;

/// A page-table format. Every constant is a mask over a 64-bit entry unless it says otherwise.
///
/// The constants from [`Format::HINT`] on are bits that the hardware ignores, or fields of entries that it takes for absent.
pub trait Format: Copy + Eq + Debug + Send + Sync + 'static {
    /// Levels of tables, the last one included.
    const LEVELS: u32;
    /// log2 of the entries in a table.
    const INDEX_BITS: u32;
    /// Entries in a table.
    const ENTRIES: usize = 1 << Self::INDEX_BITS;
    /// Pages that the format can address, as a count.
    const PAGES: u64 = 1 << (Self::LEVELS * Self::INDEX_BITS);

    /// The hardware may use the entry.
    const PRESENT: u64;
    /// Stores are allowed.
    const WRITE: u64;
    /// User mode may use it.
    const USER: u64;
    /// The hardware has used it.
    const ACCESSED: u64;
    /// The hardware has stored through it.
    const DIRTY: u64;
    /// Instruction fetch is forbidden.
    const NO_EXEC: u64;
    /// Where the frame number lies; its lowest bit is the unit.
    const FRAME: u64;

    /// Maps a frame but is absent for the hardware: PROT_NONE.
    const PROT_NONE: u64;
    /// With [`Format::PROT_NONE`]: NUMA balancing made it so, not the owner.
    const HINT: u64;
    /// Maps a frame that has no counts: the zero page.
    const SPECIAL: u64;
}

/// The x86-64 layout with `LEVELS` levels of `1 << BITS` entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct X86<const LEVELS: u32, const BITS: u32>;

/// Four-level paging as x86-64 has it: 48-bit addresses.
pub type X86_64 = X86<4, 9>;

/// The same entries in two levels of four: sixteen pages, for exploration.
pub type Small = X86<2, 2>;

impl<const LEVELS: u32, const BITS: u32> Format for X86<LEVELS, BITS> {
    const LEVELS: u32 = LEVELS;
    const INDEX_BITS: u32 = BITS;
    const PRESENT: u64 = 1 << 0;
    const WRITE: u64 = 1 << 1;
    const USER: u64 = 1 << 2;
    const ACCESSED: u64 = 1 << 5;
    const DIRTY: u64 = 1 << 6;
    const NO_EXEC: u64 = 1 << 63;
    const FRAME: u64 = 0x000f_ffff_ffff_f000;
    const PROT_NONE: u64 = 1 << 8;
    const HINT: u64 = 1 << 9;
    const SPECIAL: u64 = 1 << 10;
}
