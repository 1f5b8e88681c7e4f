//! The rules: everything that Linux has done in more than one way, as switches, and the decisions
//! that follow from them.
//!
//! [`Rules`] holds one documented variant for each switch. [`Rules::linux`] gives a release as it
//! was, [`Rules::default`] what an embedder should use, [`Rules::parse`] reads both with overrides.
//! The decisions are pure functions over a snapshot ([`PageState`], [`EntryState`], [`AreaState`]),
//! one module for each subject; every answer carries a [`Why`] that prints the test that decided
//! with its numbers. They take no lock and order nothing: whoever calls them holds what the
//! subject's protocol asks for, and takes the snapshot under it.
//!
//! Invariants:
//! - INV-RULES-1: what [`Rules`] displays, [`Rules::parse`] reads back as the same value.
//! - INV-RULES-2: each switch changes at its own date; a preset is the sum of those dates, never a
//!   list beside them.
//! - INV-RULES-3: a rule from before the exclusive mark answers the same with and without it.
//!
//! `facts n.m` in comments names a section of the fact sheet on Linux's history.
#![no_std]

#[cfg(test)]
extern crate alloc;

pub mod cow;
mod define;
mod error;
pub mod fork;
mod given;
pub mod numa;
pub mod pin;
pub mod protect;
mod release;
mod snapshot;
mod switches;
#[cfg(test)]
mod tests;
mod text;
mod why;

pub use error::{Named, RuleError};
pub use given::Given;
pub use release::{Base, Release};
pub use snapshot::{
    AreaState, Dirty, EntryState, Exclusive, Lru, Mapping, PageKind, PageState, Permission,
    Protnone, SwapCache, Tracking, Writeback,
};
pub use switches::{
    CowPublish, FastRecheck, ForceWrite, ForkPin, ForkRace, GupNuma, MigrationAd, MigrationKind,
    NumaFault, NumaSkip, NumaWrite, PteCow, ReadGup, Rules, ShareOrder, TableFree, WriteUpgrade,
    ZeroPin,
};
pub use why::{Answer, Counter, Relation, Why};

use switches::TABLE;

/// The presets that are worth comparing side by side: each differs from the one before in something
/// visible.
pub const PRESETS: &[&str] =
    &["5.8", "5.9", "5.10", "5.11", "5.17", "5.18", "5.19", "6.1", "6.2", "6.5", "6.12", "latest"];

/// Whether some release of Linux worked like this.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    /// Some release did.
    Released,
    /// None did: a hazard to find, or a repair to compare with.
    NeverReleased,
}

/// What there is to say about one variant of a switch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VariantInfo {
    /// The name, as written in a rule set.
    pub name: &'static str,
    /// The releases that took it up: "5.9", "the beginning and again 5.10", "never".
    pub since: &'static str,
    /// Whether any release had it.
    pub status: Status,
    /// The rule, its commit and its hazard.
    pub doc: &'static str,
}

/// What there is to say about one switch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SwitchInfo {
    /// The name, as written in a rule set.
    pub name: &'static str,
    /// What it decides.
    pub doc: &'static str,
    /// Its variants, in historic order.
    pub variants: &'static [VariantInfo],
}

/// A switch on which two rule sets differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The switch.
    pub switch: &'static SwitchInfo,
    /// What the first rule set has.
    pub left: &'static VariantInfo,
    /// What the second one has.
    pub right: &'static VariantInfo,
}

impl Rules {
    /// The rules of a mainline release, such as `5.9`; `linux-5.9`, `latest` and `default` are
    /// understood too.
    ///
    /// Every release from [`Release::OLDEST`] to [`Release::NEWEST`] has its preset.
    ///
    /// # Errors
    /// When there is no such release, or its rules are not modelled.
    pub fn linux(release: &str) -> Result<Self, RuleError> {
        Ok(match Base::parse(release)? {
            Base::Latest => Self::default(),
            Base::Linux(release) => Self::at(release),
        })
    }

    /// Reads a base and overrides, separated by commas: `linux-5.9,numa-skip=ref-count`. Without a
    /// base it starts from [`Rules::default`].
    ///
    /// # Errors
    /// At the first item that is not understood, with what to write instead.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        text::parse(text)
    }

    /// Puts a variant of a switch in force, both named as in a rule set.
    ///
    /// # Errors
    /// When there is no such switch or variant; the rules are as they were.
    pub fn set(&mut self, switch: &str, variant: &str) -> Result<(), RuleError> {
        text::set(self, text::find(switch)?, variant)
    }

    /// The name of the variant in force.
    ///
    /// # Errors
    /// When there is no such switch.
    pub fn get(&self, switch: &str) -> Result<&'static str, RuleError> {
        let entry = text::find(switch)?;
        Ok(entry.info.variants[(entry.get)(self)].name)
    }

    /// Every switch, in historic order.
    pub fn switches() -> impl ExactSizeIterator<Item = &'static SwitchInfo> {
        TABLE.iter().map(|entry| &entry.info)
    }

    /// The switches on which `self` and `other` differ. The base does not count.
    pub fn diff(&self, other: &Self) -> impl Iterator<Item = Difference> {
        TABLE.iter().filter_map(move |entry| {
            let (left, right) = ((entry.get)(self), (entry.get)(other));
            let variants = entry.info.variants;
            (left != right).then(|| Difference {
                switch: &entry.info,
                left: &variants[left],
                right: &variants[right],
            })
        })
    }
}

impl Default for Rules {
    /// The newest release, with the full barrier in fork's sequence count
    /// ([`ForkRace::SeqCountFull`]).
    fn default() -> Self {
        Self { base: Base::Latest, fork_race: ForkRace::SeqCountFull, ..Self::at(Release::NEWEST) }
    }
}
