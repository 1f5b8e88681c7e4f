//! Numbers with their nouns in messages.

use core::fmt;

/// A number and its noun: `1 frame`, `2 frames`. What follows may be part of it: `1 frame stays`.
pub(crate) struct Counted {
    number: u64,
    one: &'static str,
    many: &'static str,
}

impl Counted {
    pub(crate) const fn new(number: u64, one: &'static str, many: &'static str) -> Self {
        Self { number, one, many }
    }

    /// Pages.
    pub(crate) const fn pages(number: u64) -> Self {
        Self::new(number, "page", "pages")
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.number == 1 { self.one } else { self.many };
        write!(f, "{} {noun}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn one_is_singular_and_none_is_not() {
        assert_eq!(Counted::pages(1).to_string(), "1 page");
        assert_eq!(Counted::pages(0).to_string(), "0 pages");
        let stay = |number| Counted::new(number, "frame stays", "frames stay").to_string();
        assert_eq!([stay(1), stay(2)], ["1 frame stays", "2 frames stay"]);
    }
}
