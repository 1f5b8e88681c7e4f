//! What letters and lines take in a picture.

/// What a letter takes at most, in tenths.
const LETTER: usize = 73;
/// From one line to the next.
pub(super) const LINE: usize = 16;

/// Pixels of so many columns.
pub(super) fn across(columns: usize) -> usize {
    (columns * LETTER).div_ceil(10)
}
