//! The macro that turns the table of switches into code, so that each name, release and text is
//! written once.
//!
//! For each switch it makes the enum, and for all of them the struct [`Rules`](crate::Rules), the
//! static descriptions and the preset of a release: for each switch, the variant adopted last, at
//! or before that release.

use super::{Release, SwitchInfo};

/// A description, and how to reach the field of a rule set that it describes.
#[derive(Debug)]
pub(super) struct Entry<Set> {
    pub(super) info: SwitchInfo,
    /// The index of the variant in force.
    pub(super) get: fn(&Set) -> usize,
    /// Puts the variant of that index in force; an index past the last is ignored.
    pub(super) set: fn(&mut Set, usize),
}

/// The variant in force at `release`: the one with the latest start at or before it. `starts` lists
/// the starts of each variant. For a release before all of them it is the first variant, as the
/// subject does not exist yet.
pub(super) fn variant_at(starts: &[&[Release]], release: Release) -> usize {
    let mut best = (Release::EARLIEST, 0);
    for (variant, starts) in starts.iter().enumerate() {
        for &start in starts.iter().filter(|&&start| start <= release) {
            best = best.max((start, variant));
        }
    }
    best.1
}

/// One start of a variant, as a release.
macro_rules! start {
    (always) => {
        $crate::Release::EARLIEST
    };
    ($release:literal) => {
        const { $crate::Release::literal($release) }
    };
}

/// All starts of a variant.
macro_rules! starts {
    (never) => {
        &[]
    };
    ($($when:tt),+) => {
        &[$(start!($when)),+]
    };
}

/// The starts of a variant in words.
macro_rules! since {
    (never) => { "never" };
    (always) => { "the beginning" };
    ($release:literal) => { $release };
    ($first:tt, $($again:literal),+) => { concat!(since!($first) $(, " and again ", $again)+) };
}

/// Whether any release had the variant.
macro_rules! status {
    (never) => {
        $crate::Status::NeverReleased
    };
    ($($when:tt),+) => {
        $crate::Status::Released
    };
}

/// The last line of a variant's documentation.
macro_rules! era {
    (never) => { "No release ever shipped it." };
    ($($when:tt),+) => { concat!("In Linux since ", since!($($when),+), ".") };
}

/// Defines the switches. For each, in historic order: documentation, `field: Enum = "name"`, and
/// its variants, each with documentation, `Variant = "name"` and, in brackets, the releases that
/// adopted it, or `always`, or `never`.
macro_rules! switches {
    ($(
        $(#[doc = $doc:literal])+
        $field:ident: $Enum:ident = $name:literal {
            $(
                $(#[doc = $text:literal])+
                $Variant:ident = $word:literal [$($when:tt),+],
            )+
        }
    )+) => {
        $(
            $(#[doc = $doc])+
            #[doc = ""]
            #[doc = "Listed in historic order. Not comparable: what a variant means is"]
            #[doc = "up to the decision functions, which match every variant, so that a new one"]
            #[doc = "does not compile until each of them handles it."]
            #[derive(Clone, Copy, Debug)]
            #[cfg_attr(test, derive(PartialEq, Eq))]
            pub enum $Enum {
                $(
                    $(#[doc = $text])+
                    #[doc = ""]
                    #[doc = concat!("Written `", $word, "`. ", era!($($when),+))]
                    $Variant,
                )+
            }

            impl $Enum {
                /// Every variant, in historic order.
                pub const ALL: &'static [Self] = &[$(Self::$Variant),+];

                /// Their descriptions, in the same order.
                pub const VARIANTS: &'static [VariantInfo] = &[
                    $(VariantInfo {
                        name: $word,
                        since: since!($($when),+),
                        status: status!($($when),+),
                        doc: concat!($($text),+).trim_ascii_start(),
                    }),+
                ];

                /// The variant as it is written in a rule set.
                pub const fn name(self) -> &'static str {
                    match self {
                        $(Self::$Variant => $word),+
                    }
                }

                fn at(release: Release) -> Self {
                    Self::ALL[variant_at(&[$(starts!($($when),+)),+], release)]
                }
            }

            impl Ruled for $Enum {
                const SWITCH: Switch = Switch::$Enum;

                fn of(rules: &Rules) -> Self {
                    rules.$field
                }
            }

            impl fmt::Display for $Enum {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(self.name())
                }
            }
        )+

        /// A switch by name, without a variant.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Switch {
            $(
                $(#[doc = $doc])+
                #[doc = ""]
                #[doc = concat!("Written `", $name, "`.")]
                $Enum,
            )+
        }

        impl Switch {
            /// Every switch, in historic order.
            pub const ALL: &'static [Self] = &[$(Self::$Enum),+];

            /// The switch as it is written in a rule set.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$Enum => $name),+
                }
            }
        }

        impl fmt::Display for Switch {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        /// A rule set: one variant for each switch. All combinations are allowed, released or not.
        #[derive(Clone, Copy, Debug)]
        pub struct Rules {
            /// The preset that the set started from: it gives the set its name and has no effect of
            /// its own.
            pub base: Base,
            $(
                $(#[doc = $doc])+
                pub $field: $Enum,
            )+
        }

        impl Rules {
            /// The preset of a release: each switch as it was at that date.
            pub(super) fn at(release: Release) -> Self {
                Self { base: Base::Linux(release), $($field: $Enum::at(release)),+ }
            }
        }

        impl PartialEq for Rules {
            fn eq(&self, other: &Self) -> bool {
                let same = |entry: &Entry<Self>| (entry.get)(self) == (entry.get)(other);
                self.base == other.base && TABLE.iter().all(same)
            }
        }

        impl Eq for Rules {}

        impl core::hash::Hash for Rules {
            fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
                self.base.hash(state);
                TABLE.iter().for_each(|entry| (entry.get)(self).hash(state));
            }
        }

        /// Every switch, in historic order.
        pub(super) static TABLE: &[Entry<Rules>] = &[
            $(Entry {
                info: SwitchInfo {
                    name: $name,
                    doc: concat!($($doc),+).trim_ascii_start(),
                    variants: $Enum::VARIANTS,
                },
                get: |rules| rules.$field as usize,
                set: |rules, variant| {
                    if let Some(&variant) = $Enum::ALL.get(variant) {
                        rules.$field = variant;
                    }
                },
            }),+
        ];
    };
}

pub(super) use {era, since, start, starts, status, switches};
