//! The oracles: who can notice that something is wrong, each written once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Defines the oracles: what each demands, its variant and its name.
macro_rules! oracles {
    ($($(#[doc = $doc:literal])+ $Variant:ident = $name:literal,)+) => {
        /// Who noticed that something is wrong; each names what it demands.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[non_exhaustive]
        pub enum Oracle {
            $(
                $(#[doc = $doc])+
                #[serde(rename = $name)]
                $Variant,
            )+
        }

        impl Oracle {
            /// Every oracle. Those that examine the end of an execution do so in this order.
            pub const ALL: &'static [Self] = &[$(Self::$Variant),+];

            /// The oracle as a report names it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$Variant => $name),+
                }
            }

            /// What it demands.
            pub const fn doc(self) -> &'static str {
                match self {
                    $(Self::$Variant => concat!($($doc),+).trim_ascii_start()),+
                }
            }
        }
    };
}

oracles! {
    /// A long-term pin and its owner's entry name one frame, unless the owner gave the page up.
    PinCoherence = "pin-coherence",
    /// A process and its handles see no word that another stored in private memory after the fork,
    /// and files none that was stored in private memory.
    Isolation = "isolation",
    /// The references, mappings and locked mappings of every frame are those of entries, pins,
    /// gets, objects, tables and locked areas.
    Counts = "counts",
    /// The pins acquired and not yet released are those that are held.
    Statistics = "statistics",
    /// A group of memory counts what the pages that are charged to it add up to.
    Charges = "charges",
    /// A page of a file without the dirty mark holds what was last written back.
    LostWrite = "lost-write",
    /// A process finds what a direct read brought to its private memory, unless it gave the page up
    /// or something else was stored there.
    LostRead = "lost-read",
    /// What leads to a page of a file leads to the one that the file has now, and no CPU goes on
    /// with a translation that the tables do not give.
    Stale = "stale",
    /// All frames are free when all processes and handles are gone.
    Leak = "leak",
    /// Every line of the scenario's `always` holds.
    Claim = "claim",
    /// A step succeeds, or fails as it says.
    Step = "step",
    /// A page stays as it is while a swap device writes it that needs that.
    StableWrites = "stable-writes",
    /// No frame is used after it was freed.
    UseAfterFree = "use-after-free",
    /// The memory manager finds none of its own invariants broken.
    Invariant = "invariant",
    /// An access is over after a few faults, and an execution ends.
    Progress = "progress",
    /// What must be had alone is reached by no other lane with nothing to order the two.
    DataRace = "data-race",
    /// Some lane can always go on until all have ended.
    Deadlock = "deadlock",
    /// Nothing panics.
    Panic = "panic",
    /// One schedule leads to one behaviour.
    Nondeterminism = "nondeterminism",
    /// Some execution reaches every event that `reach` names.
    Vacuous = "vacuous",
    /// The scenario can be executed: its events exist and its setup works.
    Scenario = "scenario",
    /// A replay does what the saved execution did.
    Divergence = "divergence",
    /// The explorer can explore it.
    Unsupported = "unsupported",
}

impl fmt::Display for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no oracle has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownOracle;

impl fmt::Display for UnknownOracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no oracle has this name")
    }
}

impl std::error::Error for UnknownOracle {}

impl FromStr for Oracle {
    type Err = UnknownOracle;

    fn from_str(name: &str) -> Result<Self, UnknownOracle> {
        Self::ALL.iter().copied().find(|oracle| oracle.name() == name).ok_or(UnknownOracle)
    }
}

/// What an oracle noticed in an execution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// The oracle.
    pub oracle: Oracle,
    /// What it noticed.
    pub what: String,
}
