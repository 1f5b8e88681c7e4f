//! Why a rule set could not be read, and what to write instead.

use core::fmt;

use super::series::{Distribution, Series};
use super::switches::TABLE;
use super::{Given, PRESETS, Release, SwitchInfo, VariantInfo};

/// What an unknown name was supposed to name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// The preset that a rule set starts from.
    Base,
    /// A switch.
    Switch,
    /// A variant of this switch.
    Variant(&'static SwitchInfo),
}

/// Why a rule set, a switch or a variant was refused. Needs no heap: at most [`Given::KEPT`] bytes
/// of the given text are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RuleError {
    /// The release is older than any whose rules are modelled.
    TooOld(Release),
    /// The release is newer than any whose rules are modelled.
    TooNew(Release),
    /// There never was such a release.
    NoSuchRelease(Release),
    /// A release candidate, or a kernel with backports where only a mainline release can be named.
    /// Holds the mainline release that it belongs to.
    NotMainline(Release),
    /// No series has had so many point releases.
    NoSuchPoint {
        /// The kernel as given.
        name: Given,
        /// The mainline release that it would belong to.
        release: Release,
    },
    /// No base, switch or variant has that name.
    Unknown {
        /// What it was supposed to name.
        what: Named,
        /// The name as given.
        name: Given,
    },
    /// A switch is named without a variant.
    NoVariant(&'static SwitchInfo),
    /// The same switch is set twice.
    Twice(&'static SwitchInfo),
    /// A base follows another item.
    BaseNotFirst(Given),
    /// There is nothing between two commas, or the text is empty.
    Empty,
}

impl RuleError {
    /// An unknown base.
    pub(super) fn unknown_base(name: &str) -> Self {
        Self::Unknown { what: Named::Base, name: name.into() }
    }

    /// An unknown switch.
    pub(super) fn unknown_switch(name: &str) -> Self {
        Self::Unknown { what: Named::Switch, name: name.into() }
    }

    /// An unknown variant of `switch`.
    pub(super) fn unknown_variant(switch: &'static SwitchInfo, name: &str) -> Self {
        Self::Unknown { what: Named::Variant(switch), name: name.into() }
    }

    /// The names that an unknown one may be a misspelling of: a suggestion is chosen from these.
    /// Empty for other errors.
    pub fn candidates(&self) -> impl Iterator<Item = &'static str> {
        let what = match self {
            Self::Unknown { what, .. } => Some(*what),
            _ => None,
        };
        let bases = matches!(what, Some(Named::Base)).then_some(PRESETS);
        let series = matches!(what, Some(Named::Base)).then_some(Series::ALL);
        let distributions = matches!(what, Some(Named::Base)).then_some(Distribution::ALL);
        let variants = match what {
            Some(Named::Variant(switch)) => Some(switch.variants),
            _ => None,
        };
        let switches =
            matches!(what, Some(Named::Switch)).then(|| TABLE.iter().map(|entry| entry.info.name));
        let bases = bases.into_iter().flatten().copied();
        let series = series.into_iter().flatten().map(|series| series.name);
        let distributions = distributions.into_iter().flatten().map(|known| known.name);
        let bases = bases.chain(series).chain(distributions);
        let variants = variants.into_iter().flatten().map(|variant| variant.name);
        bases.chain(switches.into_iter().flatten()).chain(variants)
    }

    /// The error with a suggestion after the unknown name, if there is one: `did you mean ...`.
    pub fn suggesting<'a>(&'a self, name: Option<&'a str>) -> impl fmt::Display + 'a {
        Suggesting { error: self, name }
    }
}

/// An error and the name that was probably meant.
struct Suggesting<'a> {
    error: &'a RuleError,
    name: Option<&'a str>,
}

/// Names, separated by commas.
fn list(f: &mut fmt::Formatter<'_>, names: impl Iterator<Item = &'static str>) -> fmt::Result {
    for (position, name) in names.enumerate() {
        let separator = if position == 0 { "" } else { ", " };
        write!(f, "{separator}{name}")?;
    }
    Ok(())
}

/// The names of `variants`, separated by commas.
fn list_variants(f: &mut fmt::Formatter<'_>, variants: &'static [VariantInfo]) -> fmt::Result {
    list(f, variants.iter().map(|variant| variant.name))
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Suggesting { error: self, name: None }.fmt(f)
    }
}

impl fmt::Display for Suggesting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (oldest, newest) = (Release::OLDEST, Release::NEWEST);
        match self.error {
            RuleError::TooOld(release) => write!(
                f,
                "the rules of Linux {release} are not modelled: use {oldest} to {newest}, latest or pinfold"
            ),
            RuleError::TooNew(release) => write!(
                f,
                "the rules of Linux {release} are not known, those of {newest} are the newest: \
                 use latest"
            ),
            RuleError::NoSuchRelease(release) => write!(
                f,
                "there is no Linux {release}: use a release from {oldest} to {newest}, latest or pinfold"
            ),
            RuleError::NotMainline(release) => write!(
                f,
                "this is no mainline release: use {release} and override what differs, or \
                 {release}.y"
            ),
            RuleError::NoSuchPoint { name, release } => write!(
                f,
                "no kernel `{name}` is known: use {release}.y for the newest of the series, or \
                 {release}"
            ),
            RuleError::Unknown { what, name } => {
                match what {
                    Named::Base => write!(f, "no rules are called `{name}`")?,
                    Named::Switch => write!(f, "no switch is called `{name}`")?,
                    Named::Variant(switch) => write!(f, "{} has no variant `{name}`", switch.name)?,
                }
                if let Some(nearest) = self.name {
                    write!(f, " (did you mean `{nearest}`?)")?;
                }
                match what {
                    Named::Base => write!(
                        f,
                        ": use {oldest} to {newest}, latest, pinfold, or a kernel such as 6.1.76, \
                         el9, bookworm or what `uname -r` prints"
                    ),
                    Named::Switch => {
                        f.write_str(": use one of ")?;
                        list(f, TABLE.iter().map(|entry| entry.info.name))
                    }
                    Named::Variant(switch) => {
                        f.write_str(": use one of ")?;
                        list_variants(f, switch.variants)
                    }
                }
            }
            RuleError::NoVariant(switch) => {
                write!(f, "{0} needs a variant: write {0}= and one of ", switch.name)?;
                list_variants(f, switch.variants)
            }
            RuleError::Twice(switch) => {
                write!(f, "{} is set twice: keep one of the two", switch.name)
            }
            RuleError::BaseNotFirst(base) => write!(
                f,
                "`{base}` is not of the form switch=variant: if it is a base, put it first"
            ),
            RuleError::Empty => f.write_str(
                "a rule is missing: write a base like 5.9 or pinfold, then \
                 ,switch=variant for each change",
            ),
        }
    }
}

impl core::error::Error for RuleError {}

impl Release {
    /// The release, if it exists and its rules are modelled.
    ///
    /// # Errors
    /// When it is too old or too new, or there never was such a release.
    pub(super) fn checked(self) -> Result<Self, RuleError> {
        if self < Self::OLDEST {
            Err(RuleError::TooOld(self))
        } else if self > Self::NEWEST {
            Err(RuleError::TooNew(self))
        } else if self.existed() {
            Ok(self)
        } else {
            Err(RuleError::NoSuchRelease(self))
        }
    }
}
