//! Page-table entries as values.
//!
//! Four kinds: none; mapped (present, or PROT_NONE by the owner or by NUMA balancing); migration; swap. The last two are absent for the
//! hardware: bits 1-2 hold a migration kind (never zero), or bit 7 marks a swap entry.

use core::fmt;
use core::marker::PhantomData;

use super::format::Format;
use crate::addr::Pfn;

const FRAME_SHIFT: u32 = 12;
const KIND_SHIFT: u32 = 1;
const KIND_MASK: u64 = 0b11 << KIND_SHIFT;
const YOUNG: u64 = 1 << 3;
const STALE_DIRTY: u64 = 1 << 4;
const REACH_NONE: u64 = 1 << 5;
const SEALED_EXEC: u64 = 1 << 6;
const SWAP: u64 = 1 << 7;
const SWAP_EXCLUSIVE: u64 = 1 << 6;
const SWAP_TYPE_SHIFT: u32 = 1;
const SWAP_TYPE_MASK: u64 = 0b1_1111 << SWAP_TYPE_SHIFT;

/// Whether the owner may access a page at all, as the area said when the entry was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Data access is allowed; `exec` tells of instruction fetch.
    Data {
        /// Instruction fetch is allowed.
        exec: bool,
    },
    /// PROT_NONE.
    None,
}

/// What a migration entry remembers of the entry that it stands for (facts 4.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MigrationKind {
    /// Was not writable, and not known to be exclusive.
    Read,
    /// Was not writable, but the page is exclusive (since 5.19).
    ReadExclusive,
    /// Was writable.
    Write,
}

/// A migration entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Migration {
    /// The frame that is being moved.
    pub pfn: Pfn,
    /// What to restore.
    pub kind: MigrationKind,
    /// The accessed bit (since 6.1).
    pub young: bool,
    /// The dirty bit (since 6.1).
    pub dirty: bool,
    /// The area's access, kept up to date by mprotect. NUMA balancing's PROT_NONE is not remembered (facts 9.13).
    pub reach: Reach,
}

/// A swap entry: written by the swap room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Swap {
    /// Which device, 0 to 31.
    pub device: u8,
    /// The slot on it.
    pub slot: u64,
    /// The page was exclusive when it left (since 5.19).
    pub exclusive: bool,
}

/// An entry, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// Nothing there.
    None,
    /// A frame is mapped: ask the [`Pte`] for the bits.
    Mapped(Pfn),
    /// A page on the move.
    Migration(Migration),
    /// A page on a swap device.
    Swap(Swap),
}

/// A page-table entry in format `F`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pte<F: Format>(u64, PhantomData<F>);

impl<F: Format> Pte<F> {
    /// The empty entry.
    pub const NONE: Self = Self(0, PhantomData);

    /// The entry with these bits.
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits, PhantomData)
    }

    /// The bits.
    #[inline]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// A read-only, clean entry that maps `pfn` with the area's `reach`; young, as a fault has just asked for it.
    #[inline]
    pub const fn mapping(pfn: Pfn, reach: Reach) -> Self {
        let frame = (pfn.0 << FRAME_SHIFT) & F::FRAME;
        let bits = match reach {
            Reach::Data { exec } => {
                F::PRESENT | F::USER | F::ACCESSED | if exec { 0 } else { F::NO_EXEC }
            }
            Reach::None => F::PROT_NONE | F::NO_EXEC,
        };
        Self(frame | bits, PhantomData)
    }

    /// A table entry of an upper level.
    #[inline]
    pub const fn table(pfn: Pfn) -> Self {
        Self(
            ((pfn.0 << FRAME_SHIFT) & F::FRAME) | F::PRESENT | F::WRITE | F::USER | F::ACCESSED,
            PhantomData,
        )
    }

    /// Whether nothing is there.
    #[inline]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether the hardware may use it.
    #[inline]
    pub const fn is_present(self) -> bool {
        self.0 & F::PRESENT != 0
    }

    /// Whether it maps a frame: present or PROT_NONE.
    #[inline]
    pub const fn is_mapped(self) -> bool {
        self.0 & (F::PRESENT | F::PROT_NONE) != 0
    }

    /// Whether it maps a frame that the hardware may not reach.
    #[inline]
    pub const fn is_protnone(self) -> bool {
        self.0 & (F::PRESENT | F::PROT_NONE) == F::PROT_NONE
    }

    /// Whether NUMA balancing made it PROT_NONE.
    #[inline]
    pub const fn is_hint(self) -> bool {
        self.is_protnone() && self.0 & F::HINT != 0
    }

    /// Whether the write bit is set.
    #[inline]
    pub const fn is_writable(self) -> bool {
        self.0 & F::WRITE != 0
    }

    /// Whether the dirty bit is set.
    #[inline]
    pub const fn is_dirty(self) -> bool {
        self.0 & F::DIRTY != 0
    }

    /// Whether the accessed bit is set.
    #[inline]
    pub const fn is_accessed(self) -> bool {
        self.0 & F::ACCESSED != 0
    }

    /// Whether the frame has no counts.
    #[inline]
    pub const fn is_special(self) -> bool {
        self.0 & F::SPECIAL != 0
    }

    /// Whether the bits of `mask` are exactly those of `set`.
    #[inline]
    pub(crate) const fn matches(self, mask: u64, set: u64) -> bool {
        self.0 & mask == set
    }

    /// The frame of a mapping or of a table entry.
    #[inline]
    pub const fn pfn(self) -> Pfn {
        Pfn((self.0 & F::FRAME) >> FRAME_SHIFT)
    }

    /// Sets the bits of `mask`.
    #[inline]
    pub const fn with(self, mask: u64) -> Self {
        Self(self.0 | mask, PhantomData)
    }

    /// Clears the bits of `mask`.
    #[inline]
    pub const fn without(self, mask: u64) -> Self {
        Self(self.0 & !mask, PhantomData)
    }

    /// Keeps accessed, dirty and write of a mapping, and gives it another `reach`.
    #[inline]
    pub(crate) fn with_reach(self, reach: Reach) -> Self {
        let kept = self.0 & (F::ACCESSED | F::DIRTY | F::WRITE | F::SPECIAL);
        Self::mapping(self.pfn(), reach).without(F::ACCESSED).with(kept)
    }

    /// The area's access that a mapping stands for; a hinting entry stands for data access.
    #[inline]
    pub(crate) const fn reach(self) -> Reach {
        if self.is_protnone() && !self.is_hint() {
            Reach::None
        } else {
            Reach::Data { exec: self.0 & F::NO_EXEC == 0 }
        }
    }

    /// Takes the entry apart.
    #[inline]
    pub fn decode(self) -> Entry {
        if self.is_none() {
            Entry::None
        } else if self.is_mapped() {
            Entry::Mapped(self.pfn())
        } else if self.0 & SWAP != 0 {
            Entry::Swap(Swap {
                device: ((self.0 & SWAP_TYPE_MASK) >> SWAP_TYPE_SHIFT) as u8,
                slot: (self.0 & F::FRAME) >> FRAME_SHIFT,
                exclusive: self.0 & SWAP_EXCLUSIVE != 0,
            })
        } else {
            Entry::Migration(Migration {
                pfn: self.pfn(),
                kind: match (self.0 & KIND_MASK) >> KIND_SHIFT {
                    3 => MigrationKind::Write,
                    2 => MigrationKind::ReadExclusive,
                    _ => MigrationKind::Read,
                },
                young: self.0 & YOUNG != 0,
                dirty: self.0 & STALE_DIRTY != 0,
                reach: if self.0 & REACH_NONE != 0 {
                    Reach::None
                } else {
                    Reach::Data { exec: self.0 & SEALED_EXEC == 0 }
                },
            })
        }
    }

    /// The migration entry with these contents.
    pub fn migration(m: Migration) -> Self {
        let kind: u64 = match m.kind {
            MigrationKind::Read => 1,
            MigrationKind::ReadExclusive => 2,
            MigrationKind::Write => 3,
        };
        let reach = match m.reach {
            Reach::None => REACH_NONE,
            Reach::Data { exec: true } => 0,
            Reach::Data { exec: false } => SEALED_EXEC,
        };
        let young = if m.young { YOUNG } else { 0 };
        let dirty = if m.dirty { STALE_DIRTY } else { 0 };
        let frame = (m.pfn.0 << FRAME_SHIFT) & F::FRAME;
        Self(frame | (kind << KIND_SHIFT) | reach | young | dirty, PhantomData)
    }

    /// The swap entry with these contents.
    pub fn swap(s: Swap) -> Self {
        let kind = (u64::from(s.device) << SWAP_TYPE_SHIFT) & SWAP_TYPE_MASK;
        let exclusive = if s.exclusive { SWAP_EXCLUSIVE } else { 0 };
        Self(((s.slot << FRAME_SHIFT) & F::FRAME) | SWAP | kind | exclusive, PhantomData)
    }
}

impl<F: Format> fmt::Display for Pte<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decode() {
            Entry::None => f.write_str("none"),
            Entry::Mapped(pfn) => {
                let access = match (self.is_present(), self.is_hint(), self.is_writable()) {
                    (true, _, true) => "rw",
                    (true, _, false) => "ro",
                    (false, true, true) => "hint+w",
                    (false, true, false) => "hint",
                    (false, false, _) => "protnone",
                };
                write!(f, "{access} {pfn}")?;
                if self.is_dirty() { f.write_str(" dirty") } else { Ok(()) }
            }
            Entry::Migration(m) => {
                let kind = match m.kind {
                    MigrationKind::Read => "r",
                    MigrationKind::ReadExclusive => "rx",
                    MigrationKind::Write => "w",
                };
                write!(f, "migration-{kind} {}", m.pfn)
            }
            Entry::Swap(s) => write!(f, "swap {}:{}", s.device, s.slot),
        }
    }
}

impl<F: Format> fmt::Debug for Pte<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
