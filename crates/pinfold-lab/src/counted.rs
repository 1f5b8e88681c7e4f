//! Counted nouns in sentences.

use std::fmt::Display;

/// A number and its noun: `1 entry`, `2 entries`.
pub(crate) fn counted<N: Display + PartialEq + From<u8>>(
    number: N,
    singular: &str,
    plural: &str,
) -> String {
    let noun = if number == N::from(1) { singular } else { plural };
    format!("{number} {noun}")
}
