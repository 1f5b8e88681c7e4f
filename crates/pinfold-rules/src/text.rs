//! Rule sets as text: `linux-5.9,numa-skip=ref-count`.
//!
//! - INV-RULES-1: what [`Rules`] displays, [`Rules::parse`] reads back as the same value. So does
//!   `FromStr` for whatever in a rule set has a name: sets, bases, releases, switches, variants.

use core::fmt;
use core::str::FromStr;

use super::define::Entry;
use super::switches::{self, Switch, TABLE};
use super::{Base, Kernel, Release, RuleError, Rules};

/// Reads `pinfold`, `default`, `latest`, `5.9` or `linux-5.9`.
pub(super) fn base(text: &str) -> Result<Base, RuleError> {
    match text {
        "pinfold" | "default" => return Ok(Base::Pinfold),
        "latest" => return Ok(Base::Linux(Release::NEWEST)),
        _ => {}
    }
    let number = text.strip_prefix("linux-").unwrap_or(text);
    match Release::split(number.as_bytes()) {
        Some((release, [])) => release.checked().map(Base::Linux),
        Some((release, [b'.' | b'-', ..])) => {
            release.checked().and_then(|release| Err(RuleError::NotMainline(release)))
        }
        _ => Err(RuleError::unknown_base(text)),
    }
}

/// The rules that a base stands for: that of [`base`], or a kernel.
pub(super) fn named(text: &str) -> Result<Rules, RuleError> {
    match base(text) {
        Ok(Base::Pinfold) => Ok(Rules::default()),
        Ok(Base::Linux(release)) => Ok(Rules::at(release)),
        Err(_) => Kernel::parse(text).map(|kernel| kernel.rules()),
    }
}

/// The switch of that name.
pub(super) fn find(switch: &str) -> Result<&'static Entry<Rules>, RuleError> {
    TABLE
        .iter()
        .find(|entry| entry.info.name == switch)
        .ok_or_else(|| RuleError::unknown_switch(switch))
}

/// Puts one variant in force.
pub(super) fn set(
    rules: &mut Rules,
    entry: &'static Entry<Rules>,
    variant: &str,
) -> Result<(), RuleError> {
    let index = entry.info.variants.iter().position(|known| known.name == variant);
    let index = index.ok_or_else(|| RuleError::unknown_variant(&entry.info, variant))?;
    (entry.set)(rules, index);
    Ok(())
}

/// Reads a base, if any, and overrides.
pub(super) fn parse(text: &str) -> Result<Rules, RuleError> {
    let mut rules = Rules::default();
    for (position, item) in text.split(',').map(str::trim).enumerate() {
        if item.is_empty() {
            return Err(RuleError::Empty);
        }
        let Some((switch, variant)) = item.split_once('=') else {
            if let Ok(entry) = find(item) {
                return Err(RuleError::NoVariant(&entry.info));
            }
            if position > 0 {
                return Err(RuleError::BaseNotFirst(item.into()));
            }
            rules = Rules::linux(item)?;
            continue;
        };
        let entry = find(switch.trim_end())?;
        if names_switch(text, position, entry.info.name) {
            return Err(RuleError::Twice(&entry.info));
        }
        set(&mut rules, entry, variant.trim_start())?;
    }
    Ok(rules)
}

/// Whether any of the first `items` items of `text` sets `switch`.
fn names_switch(text: &str, items: usize, switch: &str) -> bool {
    let mut items = text.split(',').take(items);
    items.any(|item| item.split_once('=').is_some_and(|(name, _)| name.trim() == switch))
}

impl fmt::Display for Rules {
    /// The base, then each switch that differs from it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = match self.base {
            Base::Pinfold => Self::default(),
            Base::Linux(release) => Self::at(release),
        };
        write!(f, "{}", self.base)?;
        for difference in base.diff(self) {
            write!(f, ",{}={}", difference.switch.name, difference.right.name)?;
        }
        Ok(())
    }
}

impl FromStr for Rules {
    type Err = RuleError;

    /// As [`Rules::parse`].
    fn from_str(text: &str) -> Result<Self, RuleError> {
        parse(text)
    }
}

impl FromStr for Base {
    type Err = RuleError;

    /// Reads `pinfold`, `default`, `latest`, `5.9` or `linux-5.9`; releases whose rules are
    /// modelled only.
    fn from_str(text: &str) -> Result<Self, RuleError> {
        base(text)
    }
}

impl FromStr for Release {
    type Err = RuleError;

    /// Reads `5.9` or `linux-5.9`; releases whose rules are modelled only.
    fn from_str(text: &str) -> Result<Self, RuleError> {
        match base(text)? {
            Base::Linux(release) => Ok(release),
            Base::Pinfold => Err(RuleError::unknown_base(text)),
        }
    }
}

impl FromStr for Switch {
    type Err = RuleError;

    /// Reads the switch as it is written in a rule set.
    fn from_str(text: &str) -> Result<Self, RuleError> {
        let known = Self::ALL.iter().find(|switch| switch.name() == text);
        known.copied().ok_or_else(|| RuleError::unknown_switch(text))
    }
}

/// Lets the variants of each switch be read by their names.
macro_rules! read_variants {
    ($($Enum:ident),+ $(,)?) => {
        $(
            impl FromStr for switches::$Enum {
                type Err = RuleError;

                /// Reads the variant as it is written in a rule set.
                fn from_str(text: &str) -> Result<Self, RuleError> {
                    let info = &find(Switch::$Enum.name())?.info;
                    let known = Self::ALL.iter().find(|variant| variant.name() == text);
                    known.copied().ok_or_else(|| RuleError::unknown_variant(info, text))
                }
            }
        )+
    };
}

read_variants! {
    PteCow, PmdCow, HugeZeroWrite, HugetlbCow, LargeCow, LargeMaps, HeadRecheck, TailRefs, ReadGup, ForkPin, HugetlbFork, ForkRace, ForkSnapshot, NumaSkip, NumaSkipPmd, NumaAreas, NumaFilter, NumaWrite, NumaFault, ThpNuma, MigrationKind, MigrationAd,
    ShareOrder, ZeroPin, ForceWrite, GupNuma, GupStack, FilePin, LongtermZone, DirectIo, ProcessVm, WriteUpgrade, FastRecheck, CowPublish, TableFree, CollapseSync, CollapseSwapped, FaultLock, TableReclaim,
    RmapCheck, ZapRmap, ZapMunlock, MemcgLock, Uffd, UffdWpFlush, UffdContinue, MigrateFlush, SwapFlush, SwapPinned, SwapInCache, SwapInReuse, SwapInWrite, SwapStable, SwapZero, LazyFree, ClearRefsPinned, FlushReach, RemapFlush, Notify, BreakHole, Interfaces,
}
