//! What the hardware fixes about a page table: its geometry, and what each bit of an entry means.
//!
//! Protocol:
//! - A format says everything about an entry except which frame it names: [`crate::Pte`] puts the
//!   frame number into the field that the format gives, inverts it if the format requires that, and
//!   takes it out again.
//! - The functions that make one entry of another are for entries that the hardware does not change
//!   meanwhile: new ones, ones that were taken out, and ones that are accessed and dirty. Any other
//!   entry in place is changed in one step, of which two kinds are needed: it loses write
//!   permission ([`Format::REVOKE_WRITE`]), or it is marked as used and gains permissions, in which
//!   case the change is computed from what the entry holds.
//! - Swap and migration entries have one encoding for all formats, in bits 1 to 7 and the field.
//!
//! Invariants, checked for every format by this module's tests:
//! - INV-FORMAT-1: every mapped, migration and swap entry differs from 0, and each kind differs
//!   from the others.
//! - INV-FORMAT-2: an entry that is not present is absent for the hardware, whatever else it holds.
//! - INV-FORMAT-3: a change of one attribute leaves all others and the frame number unchanged.
//! - INV-FORMAT-4: hardware stores through an entry without a fault only if it is present and
//!   writable, and dirty afterwards.
//! - INV-FORMAT-5: with [`Format::INVERT_ABSENT`] hardware that treats an absent entry as present
//!   finds no frame of the machine in it.
//! - INV-FORMAT-6: hardware leaves an entry that is accessed and dirty as it is.

use core::fmt::Debug;

/// Whether the owner may access a page at all, as the area said when the entry was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Data access is allowed; `exec` says whether instruction fetch is, too.
    Data {
        /// Instruction fetch is allowed.
        exec: bool,
    },
    /// PROT_NONE.
    None,
}

/// A condition on the bits of an entry that costs one comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Match {
    /// The bits that matter.
    pub mask: u64,
    /// Those of them that must be set.
    pub set: u64,
}

impl Match {
    /// Whether the condition holds for an entry with these bits.
    #[inline]
    pub const fn holds(self, bits: u64) -> bool {
        bits & self.mask == self.set
    }
}

/// A change of an entry in place that is one atomic operation whatever the entry holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BitChange {
    /// Sets these bits.
    Set(u64),
    /// Clears these bits.
    Clear(u64),
}

impl BitChange {
    /// What it makes of an entry with these bits.
    #[inline]
    pub const fn of(self, bits: u64) -> u64 {
        match self {
            Self::Set(mask) => bits | mask,
            Self::Clear(mask) => bits & !mask,
        }
    }
}

/// A page-table format: 64-bit entries in tables that fit one frame of 4 KiB.
///
/// The functions that take `bits` expect those of a mapped entry, present or absent, unless they
/// say otherwise. They leave the frame's field alone, and what they return for other entries means
/// nothing.
///
/// # Safety
/// The manager follows the frame numbers that it finds in entries, and the hardware follows the
/// bits, so soundness rests on this:
/// - Tables of [`Format::ENTRIES`] entries fit a frame, there are at least two levels of them, and
///   [`Format::PAGES`] fits 64 bits.
/// - [`Format::pack`] puts any number up to [`Format::MAX_PFN`] into [`Format::FRAME`] and touches
///   no other bit, and [`Format::unpack`] finds it there. The field has no bit below 8.
/// - [`Format::page`] for [`Reach::None`], and [`Format::hint`], are absent for the hardware; they
///   have a bit outside the field and above bit 7 that is clear in entries with nothing but bits 1
///   to 7 and the field, by which [`Format::is_protnone`] recognises them. No absent entry is
///   present.
/// - [`Format::LOCKED`] is one bit, outside the field and above bit 7, that the hardware ignores in
///   every entry that maps a frame, and by which no other mark is recognised.
/// - [`Format::UFFD_WP`] and [`Format::SOFT_DIRTY`] are two more such bits, or 0.
/// - [`Format::TABLE`] is present, and the hardware continues to the table that it names; what
///   [`Format::page`] makes for [`Reach::Data`] is present, and the hardware continues to the page,
///   and nowhere else. Of such an entry [`Format::huge`] makes one that does the same in a table
///   one level above the last, for as many pages as the last has entries, and that
///   [`Format::LINK`] tells from one of a table; [`Format::small`] undoes it.
/// - The hardware stores through an entry only if [`Format::is_present`] and
///   [`Format::is_writable`] say so, never makes an entry writable, and changes no bits but those
///   that [`Format::is_accessed`] and [`Format::is_dirty`] read, which it only sets: an entry of
///   which both are true it leaves as it is.
/// - Each attribute reads as it was last set, whatever was done to the others;
///   [`Format::REVOKE_WRITE`] does what [`Format::read_only`] does.
pub unsafe trait Format: Copy + Eq + Debug + Send + Sync + 'static {
    /// Levels of tables, the last one included.
    const LEVELS: u32;
    /// log2 of the entries in a table.
    const INDEX_BITS: u32;
    /// Entries in a table.
    const ENTRIES: usize = 1 << Self::INDEX_BITS;
    /// Pages that the tables can address, as a count.
    const PAGES: u64 = 1 << (Self::LEVELS * Self::INDEX_BITS);
    /// Pages from address 0 on that a user program may use, as a count: what the hardware does not
    /// keep for the kernel, or refuse.
    const USER_PAGES: u64;

    /// The bits of an entry that name the frame. One run, unless [`Format::pack`],
    /// [`Format::unpack`] and [`Format::MAX_PFN`] say otherwise.
    const FRAME: u64;
    /// Absent entries hold the frame number inverted.
    ///
    /// Processors with the L1 terminal fault look up data by the frame number of an absent entry,
    /// speculatively and without further checks. The inverted number of any frame up to
    /// [`Format::MAX_PFN`] is past it, where there is no memory. Where a processor's caches take
    /// fewer bits of an address, the memory has to lie below half of what those bits reach, as for
    /// any kernel that inverts.
    const INVERT_ABSENT: bool = false;
    /// The greatest frame number that an entry can hold: half the field's range where absent
    /// entries are inverted.
    const MAX_PFN: u64 =
        (Self::FRAME >> Self::FRAME.trailing_zeros()) >> (Self::INVERT_ABSENT as u32);

    /// The hardware may use the entry.
    const PRESENT: u64;
    /// With [`Format::PRESENT`] clear: maps a frame all the same, PROT_NONE.
    const PROT_NONE: u64;
    /// With [`Format::PROT_NONE`]: NUMA balancing made it so, not the owner.
    const HINT: u64;
    /// The page was used.
    const ACCESSED: u64;
    /// The page was stored to.
    const DIRTY: u64;
    /// The frame has no counts: the zero page.
    const SPECIAL: u64;

    /// The entry is counted among those of locked areas that map the frame. In migration entries,
    /// too: whoever puts a mapping in their place counts it again.
    const LOCKED: u64;

    /// A monitor wants to hear of the next write (facts 7.14): such an entry is never writable. In
    /// migration entries, too. A bit as [`Format::LOCKED`], or 0 where the format has none left:
    /// then no range can be registered for write protection.
    const UFFD_WP: u64;

    /// The page was stored to since that was last forgotten (facts 7.6). In migration and swap
    /// entries, too. The hardware does not set it: whoever lets a store through does. A bit as
    /// [`Format::LOCKED`], or 0 where the format has none left: then nothing is forgotten.
    const SOFT_DIRTY: u64;

    /// A table entry of an upper level, but for the frame.
    const TABLE: u64;
    /// What an entry of an upper table fulfils that names a table, and no other.
    const LINK: Match;
    /// Present, and its frame is counted: what the lock-free walk wants for reading.
    const READABLE: Match = Match { mask: Self::PRESENT | Self::SPECIAL, set: Self::PRESENT };
    /// As [`Format::READABLE`], and writable.
    const WRITABLE: Match;
    /// Removes write permission from a mapped entry, present or absent, in place: in one atomic
    /// operation, as the type allows nothing else.
    const REVOKE_WRITE: BitChange;

    /// The number `pfn`, in its place in an entry.
    #[inline]
    fn pack(pfn: u64) -> u64 {
        (pfn << Self::FRAME.trailing_zeros()) & Self::FRAME
    }

    /// The number in the place that [`Format::pack`] puts it.
    #[inline]
    fn unpack(bits: u64) -> u64 {
        (bits & Self::FRAME) >> Self::FRAME.trailing_zeros()
    }

    /// A present entry that maps a page, as one of a table above the last level that maps as many
    /// pages as the last has entries. Their first frame's number is a multiple of that.
    fn huge(bits: u64) -> u64;
    /// What [`Format::huge`] was given.
    fn small(bits: u64) -> u64;

    /// An entry that maps a page with this `reach`, but for the frame: read-only, clean, old, not
    /// special. [`Reach::None`] makes it absent.
    fn page(reach: Reach) -> u64;
    /// As [`Format::page`] with this `reach`, but accessed, dirty, writable, special, locked,
    /// write-protected by a monitor and soft-dirty as in `bits`.
    fn with_reach(bits: u64, reach: Reach) -> u64;
    /// Absent like [`Reach::None`], but for NUMA balancing's sake: remembers whether instructions
    /// may be fetched.
    fn hint(bits: u64) -> u64;

    /// Whether the hardware may use it. For any entry.
    #[inline]
    fn is_present(bits: u64) -> bool {
        bits & Self::PRESENT != 0
    }
    /// Whether it maps a frame: present or PROT_NONE. For any entry.
    #[inline]
    fn is_mapped(bits: u64) -> bool {
        bits & (Self::PRESENT | Self::PROT_NONE) != 0
    }
    /// Whether it maps a frame and is absent: PROT_NONE, by the owner or by NUMA balancing. For any
    /// entry.
    #[inline]
    fn is_protnone(bits: u64) -> bool {
        bits & (Self::PRESENT | Self::PROT_NONE) == Self::PROT_NONE
    }
    /// Whether NUMA balancing made it PROT_NONE. For any entry.
    #[inline]
    fn is_hint(bits: u64) -> bool {
        bits & (Self::PRESENT | Self::PROT_NONE | Self::HINT) == Self::PROT_NONE | Self::HINT
    }
    /// Whether instructions may be fetched.
    fn is_exec(bits: u64) -> bool;
    /// Whether the page may be written. Hardware without a dirty bit may still fault on the first
    /// store.
    fn is_writable(bits: u64) -> bool;
    /// Whether it was used.
    #[inline]
    fn is_accessed(bits: u64) -> bool {
        bits & Self::ACCESSED != 0
    }
    /// Whether it was stored through.
    #[inline]
    fn is_dirty(bits: u64) -> bool {
        bits & Self::DIRTY != 0
    }
    /// Whether it is counted as one of a locked area. For any entry but those of swap.
    #[inline]
    fn is_locked(bits: u64) -> bool {
        bits & Self::LOCKED != 0
    }
    /// Whether a monitor wants to hear of the next write. For any entry.
    #[inline]
    fn is_uffd_wp(bits: u64) -> bool {
        bits & Self::UFFD_WP != 0
    }
    /// Whether it was stored to since that was last forgotten. For any entry but none.
    #[inline]
    fn is_soft_dirty(bits: u64) -> bool {
        bits & Self::SOFT_DIRTY != 0
    }
    /// Whether its frame has no counts: the zero page.
    #[inline]
    fn is_special(bits: u64) -> bool {
        bits & Self::SPECIAL != 0
    }

    /// Accessed.
    #[inline]
    fn young(bits: u64) -> u64 {
        bits | Self::ACCESSED
    }
    /// Not accessed.
    #[inline]
    fn old(bits: u64) -> u64 {
        bits & !Self::ACCESSED
    }
    /// Dirty.
    fn dirty(bits: u64) -> u64;
    /// Not dirty.
    fn clean(bits: u64) -> u64;
    /// Writable.
    fn writable(bits: u64) -> u64;
    /// Not writable.
    fn read_only(bits: u64) -> u64;
    /// Special.
    #[inline]
    fn special(bits: u64) -> u64 {
        bits | Self::SPECIAL
    }
}
