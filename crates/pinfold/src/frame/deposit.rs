//! Tables that are kept with a table above the last level, one for each huge entry in it, until the
//! entry is split or goes (the kernel's `pgtable_trans_huge_deposit`).
//!
//! Protocol: a list, last in first out, under the lock of the table that keeps it. Its first number
//! lies in the upper half of that table's counts, which tables do not use otherwise; a deposited
//! table's index word holds the number of the next. Numbers are counted from the frame table's
//! first frame, from one on. References of the table change without the lock, so the half is
//! changed in one step with them.

use super::counts::{Counts, EXCLUSIVE, MAP};
use super::frames::Frames;
use crate::addr::Pfn;

impl Frames {
    fn deposit_number(&self, table: Pfn) -> Option<u32> {
        let number = u32::try_from(self.metadata().link(table)).ok();
        number.filter(|number| u64::from(*number) < EXCLUSIVE / MAP)
    }

    fn deposited_at(&self, number: u32) -> Option<Pfn> {
        self.metadata().linked(u64::from(number))
    }

    fn set_first_deposited(&self, upper: Pfn, number: u32) {
        let counts = &self.frame(upper).counts;
        let _ = counts.try_update(|word| Some((word % MAP) + u64::from(number) * MAP));
    }

    /// Whether a table's number fits the list.
    pub(crate) fn may_deposit(&self, table: Pfn) -> bool {
        self.deposit_number(table).is_some()
    }

    /// Keeps a table that may be deposited, with its reference. The lock of `upper` is held.
    pub(crate) fn deposit(&self, upper: Pfn, table: Pfn) {
        let Some(number) = self.deposit_number(table) else { return };
        let next = Counts(self.frame(upper).counts.read_once()).maps();
        self.frame(table).index.write_once(u64::from(next));
        self.set_first_deposited(upper, number);
    }

    /// Takes the table that was deposited last, with its reference. The lock of `upper` is held.
    pub(crate) fn take_deposited(&self, upper: Pfn) -> Option<Pfn> {
        let first = Counts(self.frame(upper).counts.read_once()).maps();
        let table = self.deposited_at(first)?;
        self.set_first_deposited(upper, self.frame(table).index.read_once() as u32);
        Some(table)
    }

    /// Calls `visit` for each table that is kept with `upper`, while nothing else runs: not a step
    /// of an exploration.
    pub(crate) fn each_deposited(&self, upper: Pfn, visit: &mut impl FnMut(Pfn)) {
        let mut number = Counts(self.frame(upper).counts.peek()).maps();
        while let Some(table) = self.deposited_at(number) {
            visit(table);
            number = self.frame(table).index.peek() as u32;
        }
    }
}
