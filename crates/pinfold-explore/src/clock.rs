//! Tables of vector clocks of equal width.
//!
//! A clock has a component for each lane. Lanes may start lanes, so the width grows while an
//! execution runs; it never shrinks, so that later executions of the same subject need not grow it
//! again.

/// Rows of clocks. A component that was never set is zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clocks {
    width: usize,
    cells: Vec<u32>,
}

impl Clocks {
    /// Resets to `rows` clocks, all zero.
    pub(crate) fn reset(&mut self, rows: usize) {
        self.cells.clear();
        self.cells.resize(rows * self.width, 0);
    }

    /// The components of a clock.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Makes room for this many lanes.
    pub(crate) fn widen(&mut self, lanes: usize) {
        if lanes <= self.width {
            return;
        }
        let rows = self.rows();
        let mut cells = vec![0; rows * lanes];
        for row in 0..rows {
            cells[row * lanes..][..self.width].copy_from_slice(self.row(row));
        }
        (self.width, self.cells) = (lanes, cells);
    }

    pub(crate) fn rows(&self) -> usize {
        self.cells.len().checked_div(self.width).unwrap_or(0)
    }

    pub(crate) fn row(&self, row: usize) -> &[u32] {
        &self.cells[row * self.width..][..self.width]
    }

    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [u32] {
        &mut self.cells[row * self.width..][..self.width]
    }

    /// Appends a clock of the same width.
    pub(crate) fn push(&mut self, clock: &[u32]) {
        debug_assert_eq!(clock.len(), self.width);
        self.cells.extend_from_slice(clock);
    }

    /// Appends zero clocks until there are this many.
    pub(crate) fn grow(&mut self, rows: usize) {
        if self.rows() < rows {
            self.cells.resize(rows * self.width, 0);
        }
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.cells.truncate(rows * self.width);
    }

    /// Joins one clock of this table into another.
    pub(crate) fn join_within(&mut self, into: usize, from: usize) {
        for at in 0..self.width {
            let theirs = self.cells[from * self.width + at];
            let mine = &mut self.cells[into * self.width + at];
            *mine = (*mine).max(theirs);
        }
    }
}

/// Makes `clock` the least one above both.
pub(crate) fn join(clock: &mut [u32], other: &[u32]) {
    for (mine, theirs) in clock.iter_mut().zip(other) {
        *mine = (*mine).max(*theirs);
    }
}

#[cfg(test)]
mod tests;
