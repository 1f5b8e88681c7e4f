//! Descriptions of a switch and its variants.

/// The presets that are worth comparing side by side: each differs from the one before in something
/// visible. `latest` is the newest Linux, and `pinfold` is
/// [`Rules::default`](crate::Rules::default).
pub const PRESETS: &[&str] = &[
    "3.1", "3.2", "4.4", "4.5", "4.8", "5.7", "5.8", "5.9", "5.10", "5.11", "5.13", "5.14", "5.17",
    "5.18", "5.19", "6.1", "6.2", "6.5", "6.12", "latest", "pinfold",
];

/// Whether any release of Linux worked like this.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    /// At least one release did.
    Released,
    /// None did: a hazard to find, or a fix to compare with.
    NeverReleased,
}

/// The description of one variant of a switch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VariantInfo {
    /// The name, as written in a rule set.
    pub name: &'static str,
    /// The releases that adopted it: "5.9", "the beginning and again 5.10", "never".
    pub since: &'static str,
    /// Whether any release had it.
    pub status: Status,
    /// The rule, its commit and its hazard.
    pub doc: &'static str,
}

/// The description of one switch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SwitchInfo {
    /// The name, as written in a rule set.
    pub name: &'static str,
    /// What it decides.
    pub doc: &'static str,
    /// Its variants, in historic order.
    pub variants: &'static [VariantInfo],
}

impl SwitchInfo {
    /// When releases have one of its variants, in two parts of a phrase: `since ` and `5.9`,
    /// `in every release before ` and `5.19`.
    ///
    /// ```
    /// let mut all = pinfold_rules::Rules::switches();
    /// let fork = all.find(|switch| switch.name == "fork-pin").unwrap();
    /// assert_eq!(fork.era(&fork.variants[0]).concat(), "in every release before 5.9");
    /// assert_eq!(fork.era(&fork.variants[1]).concat(), "since 5.9");
    /// ```
    pub fn era(&self, variant: &VariantInfo) -> [&'static str; 2] {
        let released = self.variants.iter().filter(|known| known.status == Status::Released);
        let next = released.map(|known| known.since).find(|since| *since != "the beginning");
        let release = next.and_then(|since| since.split(' ').next());
        match (variant.status, variant.since, release) {
            (Status::NeverReleased, _, _) => ["never released", ""],
            (Status::Released, "the beginning", Some(release)) => {
                ["in every release before ", release]
            }
            (Status::Released, "the beginning", None) => ["in every release so far", ""],
            (Status::Released, since, _) => ["since ", since],
        }
    }
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
