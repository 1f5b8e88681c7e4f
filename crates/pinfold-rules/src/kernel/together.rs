//! Variants that no kernel has one without the other: those that one commit brought, and those that
//! rest on what one brought.
//!
//! Switches are independent, since each moved at a date of its own; but where one commit moved
//! several, a kernel has all of that or nothing, and what is known of one of them is known of all.
//!
//! - INV-TOGETHER-1: two variants whose texts name the same commit first were brought together, but
//!   for fork-pin=copy and fork-race=write-protect-first: the second was taken back alone, in 5.10.
//! - INV-TOGETHER-2: no release has a variant without what it came with.
//!
//! facts 0.4, 1.5

use super::super::switches::{
    ForceWrite, ForkPin, HugetlbCow, MigrationKind, NumaSkip, NumaSkipPmd, NumaWrite, PmdCow,
    PteCow, ReadGup, ShareOrder, SwapInReuse, Switch, TABLE, ThpNuma, WriteUpgrade,
};
use super::super::{Rules, SwitchInfo, VariantInfo};

/// A switch, and the index of one of its variants.
type Place = (Switch, usize);

/// A commit that moved several switches, or on which later ones rest.
pub(super) struct Change {
    /// The variants that it brought.
    pub(super) brings: &'static [Place],
    /// What cannot be had without it: of each switch this variant and those that came after it.
    pub(super) rests: &'static [Place],
}

/// All of them, oldest first.
pub(super) const CHANGES: &[Change] = &[
    // 6c287605fd56, the exclusive mark: whoever tests, keeps or clears it needs that there is one.
    Change {
        brings: &[
            (Switch::PteCow, PteCow::Exclusive as usize),
            (Switch::PmdCow, PmdCow::Exclusive as usize),
            (Switch::HugetlbCow, HugetlbCow::Exclusive as usize),
            (Switch::ForkPin, ForkPin::CopyIfExclusive as usize),
            (Switch::MigrationKind, MigrationKind::Exclusive as usize),
        ],
        rests: &[
            (Switch::PteCow, PteCow::Exclusive as usize),
            (Switch::ReadGup, ReadGup::UnshareAnon as usize),
            (Switch::NumaWrite, NumaWrite::Recomputed as usize),
            (Switch::ShareOrder, ShareOrder::Barriers as usize),
            (Switch::ForceWrite, ForceWrite::Exclusive as usize),
            (Switch::WriteUpgrade, WriteUpgrade::ExclusiveDirty as usize),
            (Switch::SwapInReuse, SwapInReuse::ExclusiveOrRefCount as usize),
        ],
    },
    // d2136d749d76
    Change {
        brings: &[
            (Switch::NumaSkip, NumaSkip::PinnedOrLikelyShared as usize),
            (Switch::ThpNuma, ThpNuma::Folio as usize),
        ],
        rests: &[],
    },
    // f18d964cd6a0
    Change {
        brings: &[
            (Switch::NumaSkip, NumaSkip::PinnedAnywhere as usize),
            (Switch::NumaSkipPmd, NumaSkipPmd::AsPage as usize),
        ],
        rests: &[],
    },
];

impl Change {
    /// Whether a kernel with this variant has the change.
    fn is_in(&self, place: Place) -> bool {
        let rests = |(switch, first): &Place| *switch == place.0 && *first <= place.1;
        self.brings.contains(&place) || self.rests.iter().any(rests)
    }
}

/// The changes that a kernel with this variant has.
pub(super) fn changes((switch, variant): Place) -> impl Iterator<Item = &'static Change> {
    CHANGES.iter().filter(move |change| change.is_in((switch, variant)))
}

/// What `rules` lack of what came with a variant: the switches and their variants.
pub(super) fn lacking(
    place: Place,
    rules: &Rules,
) -> impl Iterator<Item = (&'static SwitchInfo, &'static VariantInfo)> + '_ {
    let brought = changes(place).flat_map(|change| change.brings);
    brought.filter_map(move |&(switch, variant)| {
        let entry = &TABLE[switch as usize];
        let lacks = switch != place.0 && (entry.get)(rules) < variant;
        lacks.then(|| (&entry.info, &entry.info.variants[variant]))
    })
}

impl Rules {
    /// What no kernel has this variant without and these rules lack: the other switches that the
    /// same commit moved, or on which it rests, each with the variant that came. Empty for names
    /// that are unknown.
    ///
    /// ```
    /// use pinfold_rules::Rules;
    /// let rules = Rules::parse("5.10")?;
    /// let mut lacks = rules.lacks_for("migration-kind", "exclusive");
    /// let (switch, variant) = lacks.next().expect("the exclusive mark");
    /// assert_eq!((switch.name, variant.name), ("pte-cow", "exclusive"));
    /// # Ok::<(), pinfold_rules::RuleError>(())
    /// ```
    pub fn lacks_for(
        &self,
        switch: &str,
        variant: &str,
    ) -> impl Iterator<Item = (&'static SwitchInfo, &'static VariantInfo)> + '_ {
        let entry = Switch::ALL.iter().zip(TABLE).find(|(_, entry)| entry.info.name == switch);
        let place = entry.and_then(|(switch, entry)| {
            let at = entry.info.variants.iter().position(|known| known.name == variant)?;
            Some((*switch, at))
        });
        place.into_iter().flat_map(|place| lacking(place, self))
    }
}
