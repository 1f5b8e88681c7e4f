//! Mainline releases, and the preset that a rule set starts from.
//!
//! Only mainline counts here: a stable series carries backports of its own, so its rules are those
//! of the mainline release plus what `series` knows of it.

use core::fmt;

/// A mainline release of Linux.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Release {
    /// The 5 of 5.9.
    major: u8,
    /// The 9 of 5.9.
    minor: u8,
}

impl Release {
    /// The oldest release whose rules are modelled.
    pub const OLDEST: Self = Self { major: 3, minor: 1 };
    /// The newest release whose rules are modelled.
    pub const NEWEST: Self = Self { major: 7, minor: 3 };
    /// Earlier than every release: the start of variants that have always been there.
    pub(super) const EARLIEST: Self = Self { major: 0, minor: 0 };

    /// The highest minor number of any release.
    const MINORS: u8 = 20;

    /// A release written in the table of switches. Fails to compile when malformed.
    pub(super) const fn literal(text: &str) -> Self {
        match Self::split(text.as_bytes()) {
            Some((release, [])) => release,
            _ => panic!("a release in the table of switches is not of the form 5.9"),
        }
    }

    /// The release at the start of `text`, and what follows it.
    pub(super) const fn split(text: &[u8]) -> Option<(Self, &[u8])> {
        let Some((major, [b'.', rest @ ..])) = number(text) else { return None };
        let Some((minor, rest)) = number(rest) else { return None };
        Some((Self { major, minor }, rest))
    }

    /// The last release with the same major number, as far as is known.
    const fn last_minor(self) -> Option<u8> {
        match self.major {
            3 | 5 | 6 => Some(19),
            4 => Some(20),
            _ => None,
        }
    }

    /// Every release whose rules are modelled, oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        let with = |major| (0..=Self::MINORS).map(move |minor| Self { major, minor });
        let modelled = |release: &Self| (Self::OLDEST..=Self::NEWEST).contains(release);
        let releases = (Self::OLDEST.major..=Self::NEWEST.major).flat_map(with);
        releases.filter(move |release| modelled(release) && release.existed())
    }

    /// Whether there was such a release, as far as is known.
    pub(super) fn existed(self) -> bool {
        self.last_minor().is_none_or(|last| self.minor <= last)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The decimal number at the start of `text`, without leading zeros, and what follows it.
const fn number(text: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = text;
    let mut value: u8 = 0;
    while let [digit @ b'0'..=b'9', tail @ ..] = rest {
        let leading_zero = value == 0 && rest.len() < text.len();
        let Some(tens) = value.checked_mul(10) else { return None };
        let Some(sum) = tens.checked_add(*digit - b'0') else { return None };
        if leading_zero {
            return None;
        }
        value = sum;
        rest = tail;
    }
    if rest.len() == text.len() { None } else { Some((value, rest)) }
}

/// The preset that a rule set started from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Base {
    /// This project's own: the newest release, made safe on weakly ordered machines:
    /// [`Rules::default`](crate::Rules::default).
    Pinfold,
    /// A mainline release, unchanged.
    Linux(Release),
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinfold => f.write_str("pinfold"),
            Self::Linux(release) => write!(f, "linux-{release}"),
        }
    }
}
