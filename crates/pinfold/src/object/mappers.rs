//! Who maps an object: the reverse map of its pages.
//!
//! Protocol: the tree is under a sleeping lock, in the place of a family's member list in the order
//! of locks. A walk holds it for reading. A mapper is a value, not an owner: as in a family
//! (INV-RMAP-3), an address space is off all lists before its root is retired.
//!
//! Invariants:
//! - INV-MAPPERS-1: every area of an object is known with its address space, place and pages, from
//!   before its first page is mapped until after its last entry is withdrawn. Areas that are cut or
//!   merged change nothing about which pages are known.

use core::ops::Range;

use crate::addr::{Mm, Vpn};
use crate::error::NoMemory;
use crate::rmap::Walk;
use crate::sync::{self, CellName, Park, RwSem};

use super::intervals::Intervals;

/// Who shows pages of an object, and where page 0 would be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Mapper {
    pub(crate) mm: Mm,
    /// Virtual page number of the object's page 0; wraps.
    pub(crate) origin: Vpn,
}

impl Mapper {
    /// Where a page of the object is shown.
    pub(crate) fn page(self, index: u64) -> Vpn {
        Vpn(self.origin.0.wrapping_add(index))
    }
}

/// All who map an object.
pub(crate) struct Mappers {
    runs: RwSem<Intervals<Mapper>>,
}

impl Mappers {
    /// Nobody yet.
    pub(crate) fn new() -> Self {
        Self { runs: RwSem::new(Intervals::new()) }
    }

    /// Names its cells in traces: those of the object with this number.
    pub(crate) fn label(&self, number: u64) {
        let runs = &self.runs;
        sync::label(&raw const *runs, size_of_val(runs), move |offset| CellName::Object {
            object: "file",
            index: number,
            cell: RwSem::<Intervals<Mapper>>::name(offset, "mappers", "mappers' gate"),
        });
    }

    /// An area shows these pages of the object.
    pub(crate) fn join(
        &self,
        who: Mapper,
        pages: Range<u64>,
        park: &impl Park,
    ) -> Result<(), NoMemory> {
        self.runs.write(park).insert(pages, who)
    }

    /// An area that shows these pages is gone.
    pub(crate) fn leave(&self, who: Mapper, pages: Range<u64>, park: &impl Park) {
        self.runs.write(park).remove(pages, who);
    }

    /// An area that shows these pages is going to be two, of which the second begins with page
    /// `at`.
    pub(crate) fn cut(
        &self,
        who: Mapper,
        pages: Range<u64>,
        at: u64,
        park: &impl Park,
    ) -> Result<(), NoMemory> {
        let mut runs = self.runs.write(park);
        runs.insert(at..pages.end, who)?;
        runs.change(pages.clone(), pages.start..at, who);
        Ok(())
    }

    /// The area that shows the first part of these pages takes in the one that shows the rest, from
    /// `at` on.
    pub(crate) fn mend(&self, who: Mapper, pages: Range<u64>, at: u64, park: &impl Park) {
        let mut runs = self.runs.write(park);
        if runs.remove(at..pages.end, who) {
            runs.change(pages.start..at, pages.clone(), who);
        }
    }

    /// The area that shows these pages shows those up to `end`.
    pub(crate) fn lengthen(&self, who: Mapper, pages: Range<u64>, end: u64, park: &impl Park) {
        self.runs.write(park).change(pages.clone(), pages.start..end, who);
    }

    /// Runs `change` while nobody walks the list.
    pub(crate) fn alone<R>(&self, park: &impl Park, change: impl FnOnce() -> R) -> R {
        let _runs = self.runs.write(park);
        change()
    }

    /// Calls `visit` with everybody who shows some of `pages`, and which of them, as long as
    /// `visit` says to continue.
    pub(crate) fn walk(
        &self,
        pages: Range<u64>,
        park: &impl Park,
        mut visit: impl FnMut(Mapper, Range<u64>) -> Walk,
    ) {
        let runs = self.runs.read(park);
        runs.overlapping(pages.clone(), &mut |run, who| {
            let shown = run.start.max(pages.start)..run.end.min(pages.end);
            visit(who, shown) == Walk::On
        });
    }
}
