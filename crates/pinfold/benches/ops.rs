//! The operations that are measured, one function each, so that an instruction counter can name
//! them.

use std::hint::black_box;

use pinfold::{
    Access, AddressSpace, Advice, Cause, Fault, File, Memory, Moved, NodeId, Pins, Place, Platform,
    Prot, Reclaimer, Sharing, Term, VirtAddr, VirtRange, Vpn,
};

use crate::world::Machine;

#[inline(never)]
pub(crate) fn pin(space: &AddressSpace<Machine>, range: VirtRange) -> Pins<Machine> {
    space.pin(range, Access::Write, Term::Short).expect("all pages are mapped writable")
}

#[inline(never)]
pub(crate) fn unpin(pins: Pins<Machine>) {
    drop(black_box(pins));
}

#[inline(never)]
pub(crate) fn fork(space: &AddressSpace<Machine>) -> AddressSpace<Machine> {
    space.fork().expect("there are frames for the child's tables")
}

/// As [`fork`], of a space with a page or two.
#[inline(never)]
pub(crate) fn fork_small<P: Platform>(space: &AddressSpace<P>) -> AddressSpace<P> {
    space.fork().expect("there are frames for the child's tables")
}

#[inline(never)]
pub(crate) fn migrate<P: Platform>(
    space: &AddressSpace<P>,
    range: VirtRange,
    node: NodeId,
) -> Moved {
    space.migrate(range, node)
}

#[inline(never)]
pub(crate) fn zap(space: &AddressSpace<Machine>, range: VirtRange) {
    space.advise(range, Advice::DontNeed).expect("the range is mapped");
}

/// Makes one folio of the pages of each run of a table's, in a range; how many.
#[inline(never)]
pub(crate) fn collapse(space: &AddressSpace<Machine>, range: VirtRange) -> u64 {
    space.collapse(range).expect("nobody else refers to the pages, and there are frames")
}

/// Splits the folios of so many pages each that are mapped in a range.
#[inline(never)]
pub(crate) fn split_folios(space: &AddressSpace<Machine>, range: VirtRange, pages: u64) {
    for page in range.iter().step_by(pages as usize) {
        space.split_folio(page.start()).expect("nobody refers to it");
    }
}

/// One fault for each page of the range; how many of them ended as `wanted`.
#[inline(never)]
pub(crate) fn fault_all(
    space: &AddressSpace<Machine>,
    range: VirtRange,
    cause: Cause,
    wanted: Fault,
) -> u64 {
    range.iter().map(|page| u64::from(space.fault(page.start(), cause) == Ok(wanted))).sum()
}

/// As [`fault_all`], for some pages; how many of them were resolved.
#[inline(never)]
pub(crate) fn fault_some(
    space: &AddressSpace<Machine>,
    pages: impl Iterator<Item = Vpn>,
    cause: Cause,
) -> u64 {
    pages.map(|page| u64::from(space.fault(page.start(), cause).is_ok())).sum()
}

/// Writes all dirty pages of a file back; how many.
#[inline(never)]
pub(crate) fn sync(file: &File<Machine>) -> u64 {
    file.sync().expect("the store never fails")
}

/// Takes all pages of a file.
#[inline(never)]
pub(crate) fn truncate(file: &File<Machine>) {
    file.truncate(0).expect("it is shorter");
}

/// Takes the pages of the range to the swap devices; how many are not in memory any more.
#[inline(never)]
pub(crate) fn page_out(space: &AddressSpace<Machine>, range: VirtRange) -> u64 {
    space.page_out(range, Reclaimer::Pressure).freed
}

/// Takes so many pages out of memory, as a node that is short of it does; how many have left.
#[inline(never)]
pub(crate) fn reclaim(memory: &Memory<Machine>, pages: u64) -> u64 {
    memory.reclaim(NodeId(0), pages).freed
}

/// All pages of the range, in one call.
#[inline(never)]
pub(crate) fn populate(space: &AddressSpace<Machine>, range: VirtRange) {
    space.populate(range, Access::Write).expect("there are frames for all");
}

/// Maps untouched memory where there is a gap, and unmaps it again.
#[inline(never)]
pub(crate) fn pair<P: Platform>(space: &AddressSpace<P>, pages: u64) {
    let range = space
        .map(Place::Anywhere, pages, Prot::READ, Sharing::Private)
        .expect("the address space has a gap");
    space.unmap(range).expect("the range is within the limits");
}

/// Takes the rights of writing from a page, which splits its area, and gives them back, which
/// merges the parts.
#[inline(never)]
pub(crate) fn split<P: Platform>(space: &AddressSpace<P>, page: VirtRange) {
    for prot in [Prot::READ, Prot::READ_WRITE] {
        space.protect(page, prot).expect("the page is mapped");
    }
}

/// How many of the addresses are mapped.
#[inline(never)]
pub(crate) fn look_up<P: Platform>(space: &AddressSpace<P>, at: &[VirtAddr]) -> u64 {
    at.iter().map(|at| u64::from(space.is_mapped(*at))).sum()
}

/// The process ends.
#[inline(never)]
pub(crate) fn exit(space: AddressSpace<Machine>) {
    drop(black_box(space));
}
