//! Page walks of real hardware, by the bits of the manuals: independent of the crate's formats, so
//! that they can be checked against this.

use pinfold::{Armv8, Cause, Format, Pfn, Riscv64, X86};

/// Who sets accessed and dirty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Marks {
    /// The hardware, where it can.
    Hardware,
    /// The manager: the hardware faults where they are clear.
    Manager,
}

/// What an architecture's walker makes of raw entries.
#[derive(Clone, Copy)]
pub(crate) struct Mmu {
    /// The table that an upper entry names.
    pub(crate) table: fn(u64) -> Option<Pfn>,
    /// The frame that a user program's access through a last-level entry reaches, and the entry as
    /// the hardware leaves it; `None` is a fault.
    pub(crate) page: fn(u64, Cause, Marks) -> Option<(Pfn, u64)>,
    /// The same of an entry of the level above that maps as many pages as a table: the first one's.
    pub(crate) huge: fn(u64, Cause, Marks) -> Option<(Pfn, u64)>,
}

/// A format with its hardware.
pub(crate) trait Hardware: Format {
    const MMU: Mmu;
}

impl<const LEVELS: u32, const BITS: u32> Hardware for X86<LEVELS, BITS> {
    const MMU: Mmu = Mmu { table: x86_table, page: x86_page, huge: x86_huge };
}

impl<const LEVELS: u32, const BITS: u32> Hardware for Armv8<LEVELS, BITS> {
    const MMU: Mmu = Mmu { table: aarch64_table, page: aarch64_page, huge: aarch64_huge };
}

impl<const LEVELS: u32, const BITS: u32, const SOFTWARE: u32> Hardware
    for Riscv64<LEVELS, BITS, SOFTWARE>
{
    const MMU: Mmu = Mmu {
        table: riscv64_table,
        page: riscv64_page::<SOFTWARE>,
        huge: riscv64_page::<SOFTWARE>,
    };
}

fn has(bits: u64, bit: u32) -> bool {
    bits >> bit & 1 != 0
}

/// Bits `low` to `high`, both included.
fn field(bits: u64, low: u32, high: u32) -> u64 {
    bits << (63 - high) >> (63 - high + low)
}

/// The entry with these marks, if it has them or the hardware sets them.
fn marked(bits: u64, marks: u64, by: Marks) -> Option<u64> {
    (by == Marks::Hardware || bits & marks == marks).then_some(bits | marks)
}

fn x86_table(bits: u64) -> Option<Pfn> {
    let usable = has(bits, 0) && has(bits, 1) && has(bits, 2) && !has(bits, 7) && !has(bits, 63);
    usable.then(|| Pfn(field(bits, 12, 51)))
}

fn x86_page(bits: u64, cause: Cause, by: Marks) -> Option<(Pfn, u64)> {
    let allowed = match cause {
        Cause::Load => true,
        Cause::Store => has(bits, 1),
        Cause::Fetch => !has(bits, 63),
    };
    let used = if cause == Cause::Store { 0b11 << 5 } else { 1 << 5 };
    let left = marked(bits, used, by)?;
    (has(bits, 0) && has(bits, 2) && allowed).then(|| (Pfn(field(bits, 12, 51)), left))
}

fn x86_huge(bits: u64, cause: Cause, by: Marks) -> Option<(Pfn, u64)> {
    let page_size = 1 << 7;
    if has(bits, 0) && bits & page_size == 0 {
        return None;
    }
    // Bit 12 is PAT here: a frame number that is no multiple of two would set it.
    assert!(!has(bits, 0) || !has(bits, 12), "memory type");
    let (pfn, left) = x86_page(bits & !page_size, cause, by)?;
    Some((pfn, left | page_size))
}

fn aarch64_table(bits: u64) -> Option<Pfn> {
    (field(bits, 0, 1) == 0b11).then(|| Pfn(field(bits, 12, 47)))
}

fn aarch64_page(bits: u64, cause: Cause, by: Marks) -> Option<(Pfn, u64)> {
    if field(bits, 0, 1) != 0b11 {
        return None;
    }
    assert_eq!(
        field(bits, 48, 51),
        0,
        "bits 48 to 50 are reserved, and dirty is not for the hardware"
    );
    assert_eq!((field(bits, 2, 4), field(bits, 8, 9)), (0, 0b11), "memory type and shareability");
    assert!(
        has(bits, 11) && has(bits, 53),
        "of one process, and nothing for the kernel to execute"
    );
    let allowed = match cause {
        Cause::Load => true,
        Cause::Store => !has(bits, 7),
        Cause::Fetch => !has(bits, 54),
    };
    let left = marked(bits, 1 << 10, by)?;
    (has(bits, 6) && allowed).then(|| (Pfn(field(bits, 12, 47)), left))
}

fn aarch64_huge(bits: u64, cause: Cause, by: Marks) -> Option<(Pfn, u64)> {
    if field(bits, 0, 1) != 0b01 {
        return None;
    }
    let (pfn, left) = aarch64_page(bits | 0b10, cause, by)?;
    Some((pfn, left & !0b10))
}

fn riscv64_table(bits: u64) -> Option<Pfn> {
    // Neither rights nor user, global, accessed and dirty in an entry that names a table.
    (field(bits, 0, 7) == 1 && field(bits, 54, 63) == 0).then(|| Pfn(field(bits, 10, 53)))
}

fn riscv64_page<const SOFTWARE: u32>(bits: u64, cause: Cause, by: Marks) -> Option<(Pfn, u64)> {
    let rights = field(bits, 1, 3);
    if !has(bits, 0) || rights == 0 {
        return None;
    }
    assert_ne!(rights & 0b11, 0b10, "write without read is reserved");
    // Svrsw60t59b.
    let (reserved, software) = (field(bits, 54, 58) | field(bits, 61, 63), field(bits, 59, 60));
    assert!(reserved == 0 && (software == 0 || SOFTWARE == 4), "reserved, and other memory types");
    assert!(!has(bits, 5), "user pages are not global");
    let right = match cause {
        Cause::Load => 1,
        Cause::Store => 2,
        Cause::Fetch => 3,
    };
    let used = if cause == Cause::Store { 0b11 << 6 } else { 1 << 6 };
    let left = marked(bits, used, by)?;
    (has(bits, 4) && has(bits, right)).then(|| (Pfn(field(bits, 10, 53)), left))
}
