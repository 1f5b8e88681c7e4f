//! Page-table entries as values.
//!
//! Five kinds: none; mapped (present, or PROT_NONE by the owner or by NUMA balancing); migration;
//! swap; marker. The last three are absent for the hardware: bits 1-2 hold a migration kind (never
//! zero), or bit 7 marks a swap entry, or all of these are zero and [`Format::UFFD_WP`] is set. The
//! format says what a mapped entry's bits mean; the frame number is put in and taken out here, for
//! all kinds.

use core::fmt;
use core::hint::cold_path;
use core::marker::PhantomData;

use super::format::{Format, Match, Reach};
use crate::addr::Pfn;

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

/// What a migration entry remembers of the entry that it replaces (facts 4.5).
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
    /// The area's access, kept up to date by mprotect. NUMA balancing's PROT_NONE is not remembered
    /// (facts 9.13).
    pub reach: Reach,
    /// The area was locked, or is: the page does not count that now, and whoever puts a mapping in
    /// this entry's place does.
    pub locked: bool,
    /// A monitor wants to hear of the next write.
    pub uffd_wp: bool,
    /// The page was stored to since that was last forgotten.
    pub soft_dirty: bool,
}

/// A swap entry: written by swap-out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Swap {
    /// Which device, 0 to 31.
    pub device: u8,
    /// The slot on it.
    pub slot: u64,
    /// The page was exclusive when it left (since 5.19).
    pub exclusive: bool,
    /// A monitor wants to hear of the next write.
    pub uffd_wp: bool,
    /// The page was stored to since that was last forgotten.
    pub soft_dirty: bool,
}

impl fmt::Display for Swap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "swap {}:{}", self.device, self.slot)?;
        if self.exclusive { f.write_str(" excl") } else { Ok(()) }
    }
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
    /// Nothing there, and a monitor wants to hear of the next write (facts 7.14).
    Marker,
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

    /// A present entry for `pfn`, from bits whose frame field is empty.
    #[inline]
    fn present(bits: u64, pfn: Pfn) -> Self {
        Self::from_bits(bits | F::pack(pfn.0))
    }

    /// An absent entry for frame or slot `number`, from bits whose frame field is empty.
    #[inline]
    fn absent(bits: u64, number: u64) -> Self {
        let inverted = if F::INVERT_ABSENT { F::FRAME } else { 0 };
        Self::from_bits(bits | (F::pack(number) ^ inverted))
    }

    /// The number in the field.
    #[inline]
    fn number(self) -> u64 {
        if F::INVERT_ABSENT && !self.is_present() {
            // The lock-free walk, fork and unmapping meet present entries: for them this is a
            // branch not taken.
            cold_path();
            return F::unpack(self.0 ^ F::FRAME);
        }
        F::unpack(self.0)
    }

    /// A read-only, clean entry that maps `pfn` with the area's `reach`; young if access is
    /// allowed, as a fault has just asked for it. Only the lower bits of a number past
    /// [`Format::MAX_PFN`] are kept.
    #[inline]
    pub fn mapping(pfn: Pfn, reach: Reach) -> Self {
        let bits = F::page(reach);
        match reach {
            Reach::Data { .. } => Self::present(F::young(bits), pfn),
            Reach::None => Self::absent(bits, pfn.0),
        }
    }

    /// A table entry of an upper level.
    #[inline]
    pub fn table(pfn: Pfn) -> Self {
        Self::present(F::TABLE, pfn)
    }

    /// Whether an entry of an upper level names a table.
    #[inline]
    pub fn is_table(self) -> bool {
        F::LINK.holds(self.0)
    }

    /// What an entry of the level above the last says that names no table: as one of the last
    /// level, that maps the first of its pages, or none of them.
    #[inline]
    pub fn from_huge(bits: u64) -> Self {
        Self::from_bits(if F::is_present(bits) { F::small(bits) } else { bits })
    }

    /// This entry, which maps the first page of a run that a table of the last level would map, as
    /// one of the level above, that maps all of them: what [`Pte::from_huge`] takes.
    #[inline]
    pub fn to_huge(self) -> u64 {
        if self.is_present() { F::huge(self.0) } else { self.0 }
    }

    /// This mapping, of another frame.
    pub(crate) fn of(self, pfn: Pfn) -> Self {
        let bits = self.0 & !F::FRAME;
        if self.is_present() { Self::present(bits, pfn) } else { Self::absent(bits, pfn.0) }
    }

    /// This mapping or migration entry, for the frame that is so many further: of a huge entry, as
    /// [`Pte::from_huge`] gives it, the part that maps the page so far from its first.
    pub fn further(self, frames: u64) -> Self {
        self.of(Pfn(self.number() + frames))
    }

    /// Whether the entry is empty.
    #[inline]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether the hardware may use it.
    #[inline]
    pub fn is_present(self) -> bool {
        F::is_present(self.0)
    }

    /// Whether it maps a frame: present or PROT_NONE.
    #[inline]
    pub fn is_mapped(self) -> bool {
        F::is_mapped(self.0)
    }

    /// Whether it maps a frame that the hardware may not reach.
    #[inline]
    pub fn is_protnone(self) -> bool {
        F::is_protnone(self.0)
    }

    /// Whether NUMA balancing made it PROT_NONE.
    #[inline]
    pub fn is_hint(self) -> bool {
        F::is_hint(self.0)
    }

    /// Whether a mapping allows stores. Hardware that leaves the dirty bit to the manager faults on
    /// the first one nevertheless.
    #[inline]
    pub fn is_writable(self) -> bool {
        F::is_writable(self.0)
    }

    /// Whether a mapping allows instruction fetch.
    #[inline]
    pub fn is_exec(self) -> bool {
        F::is_exec(self.0)
    }

    /// Whether a mapping is marked as stored through.
    #[inline]
    pub fn is_dirty(self) -> bool {
        F::is_dirty(self.0)
    }

    /// Whether a mapping is marked as used.
    #[inline]
    pub fn is_accessed(self) -> bool {
        F::is_accessed(self.0)
    }

    /// Whether a mapping is counted as one of a locked area.
    #[inline]
    pub fn is_locked(self) -> bool {
        F::is_locked(self.0)
    }

    /// Whether a monitor wants to hear of the next write: of any entry.
    #[inline]
    pub fn is_uffd_wp(self) -> bool {
        F::is_uffd_wp(self.0)
    }

    /// Whether the page was stored to since that was last forgotten: of any entry but none.
    #[inline]
    pub fn is_soft_dirty(self) -> bool {
        F::is_soft_dirty(self.0)
    }

    /// Whether nothing is there: neither a page nor the promise of one. A marker may be.
    #[inline]
    pub(crate) fn is_vacant(self) -> bool {
        self.is_none() || self == Self::marker()
    }

    /// Whether a mapping's frame has no counts.
    #[inline]
    pub fn is_special(self) -> bool {
        F::is_special(self.0)
    }

    /// The frame that it maps, if that has counts.
    #[inline]
    pub(crate) fn counted(self) -> Option<Pfn> {
        (self.is_mapped() && !self.is_special()).then(|| self.pfn())
    }

    /// Whether it maps this frame, which has counts.
    #[inline]
    pub(crate) fn maps_counted(self, pfn: Pfn) -> bool {
        self.maps_as(F::READABLE, pfn)
            || self.is_protnone() && !self.is_special() && self.pfn() == pfn
    }

    /// Whether `wish`, which no absent entry fits, holds, and the entry maps this frame.
    #[inline]
    pub(crate) fn maps_as(self, wish: Match, pfn: Pfn) -> bool {
        self.0 & (F::FRAME | wish.mask) == F::pack(pfn.0) | wish.set
    }

    /// Whether `wish` holds.
    #[inline]
    pub(crate) fn fits(self, wish: Match) -> bool {
        wish.holds(self.0)
    }

    /// The frame of a mapping, of a migration entry or of a table entry.
    #[inline]
    pub fn pfn(self) -> Pfn {
        Pfn(self.number())
    }

    /// As [`Pte::pfn`], of an entry that is known to be present.
    #[inline]
    pub(crate) fn present_pfn(self) -> Pfn {
        debug_assert!(self.is_present());
        Pfn(F::unpack(self.0))
    }

    /// A mapping, marked as used.
    #[inline]
    pub fn young(self) -> Self {
        Self::from_bits(F::young(self.0))
    }

    /// A mapping, not marked as used.
    #[inline]
    pub fn old(self) -> Self {
        Self::from_bits(F::old(self.0))
    }

    /// A mapping, marked as stored through.
    #[inline]
    pub fn dirty(self) -> Self {
        Self::from_bits(F::dirty(self.0))
    }

    /// A mapping through which a store goes: marked as stored through, for the hardware and for
    /// those who ask what was stored to since they asked last.
    #[inline]
    pub(crate) fn stored(self) -> Self {
        self.dirty().with_soft_dirty(true)
    }

    /// A mapping, soft-dirty or not.
    #[inline]
    pub(crate) fn with_soft_dirty(self, soft_dirty: bool) -> Self {
        let bit = if soft_dirty { F::SOFT_DIRTY } else { 0 };
        Self::from_bits(self.0 & !F::SOFT_DIRTY | bit)
    }

    /// A mapping, not marked as stored through.
    #[inline]
    pub fn clean(self) -> Self {
        Self::from_bits(F::clean(self.0))
    }

    /// A mapping that allows stores.
    #[inline]
    pub fn writable(self) -> Self {
        Self::from_bits(F::writable(self.0))
    }

    /// A mapping that allows no stores.
    #[inline]
    pub fn read_only(self) -> Self {
        Self::from_bits(F::read_only(self.0))
    }

    /// A mapping of a frame without counts.
    #[inline]
    pub fn special(self) -> Self {
        Self::from_bits(F::special(self.0))
    }

    /// A mapping that is counted as one of a locked area.
    #[inline]
    pub(crate) fn locked(self) -> Self {
        Self::from_bits(self.0 | F::LOCKED)
    }

    /// A mapping that is not counted so.
    #[inline]
    pub(crate) fn unlocked(self) -> Self {
        Self::from_bits(self.0 & !F::LOCKED)
    }

    /// A mapping whose next write a monitor wants to hear of, and so not writable.
    #[inline]
    pub(crate) fn uffd_wp(self) -> Self {
        Self::from_bits(F::read_only(self.0) | F::UFFD_WP)
    }

    /// An entry that no monitor wants to hear of; of a marker nothing is left.
    #[inline]
    pub(crate) fn without_uffd_wp(self) -> Self {
        if self == Self::marker() { Self::NONE } else { Self::from_bits(self.0 & !F::UFFD_WP) }
    }

    /// This mapping, in place of what was vacant: it keeps a marker's wish.
    #[inline]
    pub(crate) fn over(self, vacant: Self) -> Self {
        if vacant.is_none() { self } else { self.uffd_wp() }
    }

    /// Keeps accessed, dirty, write, locked and what else is marked of a mapping, and gives it
    /// another `reach`.
    #[inline]
    pub(crate) fn with_reach(self, reach: Reach) -> Self {
        let bits = F::with_reach(self.0 & !F::FRAME, reach);
        match reach {
            Reach::Data { .. } => Self::present(bits, self.pfn()),
            Reach::None => Self::absent(bits, self.number()),
        }
    }

    /// A mapping as NUMA balancing's scan leaves it: absent, all else unchanged.
    #[inline]
    pub(crate) fn hint(self) -> Self {
        Self::absent(F::hint(self.0 & !F::FRAME), self.number())
    }

    /// The area's access that a mapping stands for; a hinting entry stands for data access.
    #[inline]
    pub(crate) fn reach(self) -> Reach {
        if self.is_protnone() && !self.is_hint() {
            Reach::None
        } else {
            Reach::Data { exec: self.is_exec() }
        }
    }

    /// Takes the entry apart.
    #[inline]
    pub fn decode(self) -> Entry {
        if self.is_none() {
            Entry::None
        } else if self.is_present() {
            Entry::Mapped(self.present_pfn())
        } else if self.is_protnone() {
            Entry::Mapped(self.pfn())
        } else if self.0 & SWAP != 0 {
            Entry::Swap(Swap {
                device: ((self.0 & SWAP_TYPE_MASK) >> SWAP_TYPE_SHIFT) as u8,
                slot: self.number(),
                exclusive: self.0 & SWAP_EXCLUSIVE != 0,
                uffd_wp: self.is_uffd_wp(),
                soft_dirty: self.is_soft_dirty(),
            })
        } else if self.0 & KIND_MASK == 0 {
            Entry::Marker
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
                locked: self.is_locked(),
                uffd_wp: self.is_uffd_wp(),
                soft_dirty: self.is_soft_dirty(),
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
        let locked = if m.locked { F::LOCKED } else { 0 };
        let uffd_wp = if m.uffd_wp { F::UFFD_WP } else { 0 };
        let soft = if m.soft_dirty { F::SOFT_DIRTY } else { 0 };
        Self::absent(
            (kind << KIND_SHIFT) | reach | young | dirty | locked | uffd_wp | soft,
            m.pfn.0,
        )
    }

    /// The marker: nothing is there, and a monitor wants to hear of the next write. The empty entry
    /// where the format has no bit for that.
    #[inline]
    pub fn marker() -> Self {
        if F::UFFD_WP == 0 { Self::NONE } else { Self::absent(F::UFFD_WP, 0) }
    }

    /// In place of a huge entry: its page was taken, and is not to be found again.
    pub(crate) fn lost() -> Self {
        let (exclusive, uffd_wp, soft_dirty) = (false, false, false);
        Self::swap(Swap { device: u8::MAX, slot: 0, exclusive, uffd_wp, soft_dirty })
    }

    /// Whether that is there.
    pub(crate) fn is_lost(self) -> bool {
        self == Self::lost()
    }

    /// The swap entry with these contents. Only the lower bits of a slot past [`Format::MAX_PFN`]
    /// are kept.
    pub fn swap(s: Swap) -> Self {
        let kind = (u64::from(s.device) << SWAP_TYPE_SHIFT) & SWAP_TYPE_MASK;
        let exclusive = if s.exclusive { SWAP_EXCLUSIVE } else { 0 };
        let uffd_wp = if s.uffd_wp { F::UFFD_WP } else { 0 };
        let soft = if s.soft_dirty { F::SOFT_DIRTY } else { 0 };
        Self::absent(SWAP | kind | exclusive | uffd_wp | soft, s.slot)
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
                if self.is_uffd_wp() {
                    f.write_str(" uffd-wp")?;
                }
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
            Entry::Marker => f.write_str("marker"),
            Entry::Swap(swap) => swap.fmt(f),
        }
    }
}

impl<F: Format> fmt::Debug for Pte<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
