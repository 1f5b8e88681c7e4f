//! Rule sets as text: reading, printing, and what is refused.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::str::FromStr;

use super::super::{
    Base, BreakHole, ClearRefsPinned, CollapseSwapped, CollapseSync, CowPublish, DirectIo,
    FastRecheck, FaultLock, FilePin, FlushReach, ForceWrite, ForkPin, ForkRace, ForkSnapshot,
    Given, GupNuma, GupStack, HeadRecheck, HugeZeroWrite, HugetlbCow, HugetlbFork, Interfaces,
    LargeCow, LargeMaps, LazyFree, LongtermZone, MemcgLock, MigrateFlush, MigrationAd,
    MigrationKind, Named, Notify, NumaAreas, NumaFault, NumaFilter, NumaSkip, NumaSkipPmd,
    NumaWrite, PRESETS, PmdCow, ProcessVm, PteCow, ReadGup, Release, RemapFlush, RmapCheck,
    RuleError, Rules, ShareOrder, SwapFlush, SwapInCache, SwapInReuse, SwapInWrite, SwapPinned,
    SwapStable, SwapZero, Switch, TableFree, TableReclaim, TailRefs, ThpNuma, Uffd, UffdContinue,
    UffdWpFlush, WriteUpgrade, ZapMunlock, ZapRmap, ZeroPin,
};

fn refused(text: &str) -> String {
    match Rules::parse(text) {
        Ok(rules) => panic!("{text} was read as {rules}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_base_is_read_in_every_spelling() {
    for text in ["5.9", "linux-5.9", " 5.9 "] {
        assert_eq!(Rules::parse(text), Rules::linux("5.9"), "{text}");
    }
    for text in ["pinfold", "default"] {
        assert_eq!(Rules::parse(text), Ok(Rules::default()), "{text}");
    }
}

#[test]
fn overrides_follow_the_base_or_stand_alone() {
    let rules = Rules::parse("linux-5.9, numa-skip = ref-count").unwrap();
    assert_eq!(rules, Rules { numa_skip: NumaSkip::RefCount, ..Rules::linux("5.9").unwrap() });
    let rules = Rules::parse("pte-cow=map-count,fork-race=open").unwrap();
    let expected =
        Rules { pte_cow: PteCow::MapCount, fork_race: ForkRace::Open, ..Rules::default() };
    assert_eq!(rules, expected);
}

#[test]
fn a_release_between_presets_keeps_its_own_name() {
    assert_eq!(Rules::linux("5.16").unwrap().to_string(), "linux-5.16");
    assert_eq!(Rules::parse("6.3").unwrap().to_string(), "linux-6.3");
    for last in ["3.19", "4.20", "5.19", "6.19"] {
        assert_eq!(Rules::parse(last).unwrap().to_string(), ["linux-", last].concat());
    }
}

#[test]
fn only_what_differs_from_the_base_is_printed() {
    let mut rules = Rules::linux("5.9").unwrap();
    rules.set("numa-skip", "ref-count").unwrap();
    rules.set("fork-race", "write-protect-first").unwrap();
    assert_eq!(rules.to_string(), "linux-5.9,numa-skip=ref-count");
    rules.set("numa-skip", "map-count").unwrap();
    assert_eq!(rules.to_string(), "linux-5.9");
}

#[test]
fn inv_rules_1_every_single_override_of_every_preset_reads_back() {
    for &preset in PRESETS {
        for switch in Rules::switches() {
            for variant in switch.variants {
                let mut rules = Rules::linux(preset).unwrap();
                rules.set(switch.name, variant.name).unwrap();
                assert_eq!(rules.get(switch.name), Ok(variant.name));
                assert_eq!(Rules::parse(&rules.to_string()), Ok(rules));
            }
        }
    }
}

#[test]
fn a_difference_names_both_sides() {
    let (old, new) = (Rules::linux("5.16").unwrap(), Rules::linux("5.17").unwrap());
    let differences: Vec<_> = old.diff(&new).collect();
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0].switch.name, "numa-skip");
    assert_eq!((differences[0].left.name, differences[0].right.name), ("map-count", "ref-count"));
    assert_eq!(old.diff(&old).count(), 0);
}

#[test]
fn releases_that_cannot_be_had_say_what_can() {
    let remedies = [
        ("3.0", "the rules of Linux 3.0 are not modelled: use 3.1 to 7.3, latest or pinfold"),
        ("2.6", "the rules of Linux 2.6 are not modelled: use 3.1 to 7.3, latest or pinfold"),
        ("3.20", "there is no Linux 3.20: use a release from 3.1 to 7.3, latest or pinfold"),
        ("4.21", "there is no Linux 4.21: use a release from 3.1 to 7.3, latest or pinfold"),
        ("7.4", "the rules of Linux 7.4 are not known, those of 7.3 are the newest: use latest"),
        ("5.20", "there is no Linux 5.20: use a release from 3.1 to 7.3, latest or pinfold"),
        ("6.20", "there is no Linux 6.20: use a release from 3.1 to 7.3, latest or pinfold"),
        (
            "linux-5.9-rc7",
            "this is no mainline release: use 5.9 and override what differs, or 5.9.y",
        ),
    ];
    for (text, expected) in remedies {
        assert_eq!(refused(text), expected);
    }
}

#[test]
fn malformed_releases_are_unknown_bases() {
    for text in [
        "5", "5.", ".9", "5.09", "05.9", "+5.9", "5.9x", "5,9", "256.1", "5.256", "-", "linux-",
        "–5.9",
    ] {
        let error = Rules::parse(text);
        assert!(
            matches!(
                error,
                Err(RuleError::Unknown { what: Named::Base, .. } | RuleError::BaseNotFirst(_))
            ),
            "{text}: {error:?}"
        );
    }
}

/// The refusal of `text` with a suggestion, which has to be one of its candidates.
fn corrected(text: &str, suggestion: &str) -> String {
    let error = Rules::parse(text).expect_err("no rule set");
    assert!(error.candidates().any(|name| name == suggestion), "{text}: {suggestion}");
    error.suggesting(Some(suggestion)).to_string()
}

#[test]
fn an_unknown_base_has_the_presets_as_candidates() {
    let remedy = "use 3.1 to 7.3, latest, pinfold, or a kernel such as 6.1.76, el9, bookworm or \
                  what `uname -r` prints";
    assert_eq!(refused("lates"), ["no rules are called `lates`: ", remedy].concat());
    assert_eq!(
        corrected("lates", "latest"),
        ["no rules are called `lates` (did you mean `latest`?): ", remedy].concat()
    );
    assert!(corrected("bookwurm", "bookworm").contains("did you mean `bookworm`?"));
    assert!(corrected("w5.19", "5.19").contains("`w5.19` (did you mean `5.19`?)"));
}

#[test]
fn an_unknown_switch_has_all_switches_as_candidates() {
    assert_eq!(
        corrected("5.9,numa-skp=ref-count", "numa-skip"),
        "no switch is called `numa-skp` (did you mean `numa-skip`?): use one of pte-cow, pmd-cow, huge-zero-write, hugetlb-cow, large-cow, large-maps, head-recheck, tail-refs, \
         read-gup, fork-pin, hugetlb-fork, fork-race, fork-snapshot, numa-skip, numa-skip-pmd, numa-areas, numa-filter, numa-write, numa-fault, thp-numa, migration-kind, \
         migration-ad, share-order, zero-pin, force-write, gup-numa, gup-stack, file-pin, longterm-zone, direct-io, process-vm, write-upgrade, fast-recheck, \
         cow-publish, table-free, collapse-sync, collapse-swapped, fault-lock, table-reclaim, rmap-check, zap-rmap, zap-munlock, memcg-lock, uffd, uffd-wp-flush, uffd-continue, migrate-flush, \
         swap-flush, swap-pinned, swap-in-cache, swap-in-reuse, swap-in-write, swap-stable, swap-zero, lazy-free, clear-refs-pinned, flush-reach, remap-flush, notify, break-hole, interfaces"
    );
    assert!(corrected("swap-in-resue=x", "swap-in-reuse").contains("did you mean"));
}

#[test]
fn only_an_unknown_name_has_candidates() {
    for text in ["5.9,5.9", "3.0", "pte-cow", ""] {
        let error = Rules::parse(text).expect_err("no rule set");
        assert_eq!(error.candidates().count(), 0, "{text}: {error}");
    }
}

#[test]
fn an_unknown_variant_has_the_others_as_candidates() {
    assert_eq!(
        corrected("pte-cow=refcount", "ref-count"),
        "pte-cow has no variant `refcount` (did you mean `ref-count`?): use one of map-count-unmerged, \
         map-count, ref-count, ref-count-precise, exclusive, exclusive-tight"
    );
    assert_eq!(
        refused("zero-pin=whatever"),
        "zero-pin has no variant `whatever`: use one of counted, free"
    );
}

#[test]
fn a_switch_without_a_variant_lists_the_variants() {
    assert_eq!(
        refused("5.9,zero-pin"),
        "zero-pin needs a variant: write zero-pin= and one of counted, free"
    );
    assert_eq!(refused("zero-pin"), refused("5.9,zero-pin"));
    assert!(refused("zero-pin=").starts_with("zero-pin has no variant ``"));
}

#[test]
fn items_in_the_wrong_place_are_refused() {
    assert!(refused("numa-skip=never,5.9").starts_with("`5.9` is not of the form switch=variant"));
    assert_eq!(
        refused("zero-pin=free,zero-pin=free"),
        "zero-pin is set twice: keep one of the two"
    );
    for text in ["", " ", "5.9,", ",5.9", "5.9,,zero-pin=free"] {
        assert_eq!(Rules::parse(text), Err(RuleError::Empty), "{text:?}");
    }
}

#[test]
fn a_switch_that_is_set_twice_is_found_however_it_is_spaced() {
    assert_eq!(
        refused("5.9, pte-cow = exclusive ,zero-pin=free,pte-cow= map-count"),
        "pte-cow is set twice: keep one of the two"
    );
}

#[test]
fn an_error_keeps_the_start_of_what_was_given() {
    let fits = "x".repeat(Given::KEPT);
    assert_eq!((Given::from(fits.as_str()).as_str(), Given::from("").as_str()), (&*fits, ""));
    assert!(refused(&fits).starts_with(&format!("no rules are called `{fits}`: use")));
    let longer = fits.clone() + "yz";
    assert!(Given::from(longer.as_str()).is_cut());
    assert!(refused(&longer).starts_with(&format!("no rules are called `{fits}…`: use")));
    assert!(
        refused(&format!("5.9,{longer}")).starts_with(&format!("`{fits}…` is not of the form"))
    );
    assert_eq!(format!("{:?}", Given::from(longer.as_str())), format!("{fits:?}…"));
}

#[test]
fn an_error_has_room_for_twice_the_longest_name() {
    for switch in Rules::switches() {
        for name in switch.variants.iter().map(|variant| variant.name).chain([switch.name]) {
            assert!(2 * name.len() <= Given::KEPT, "{name}");
        }
    }
}

#[test]
fn what_was_given_is_cut_between_letters() {
    let given = Given::from(&*("x".repeat(Given::KEPT - 1) + "é"));
    assert_eq!((given.as_str(), given.is_cut()), (&*"x".repeat(Given::KEPT - 1), true));
}

#[test]
fn a_refused_override_changes_nothing() {
    let mut rules = Rules::default();
    assert!(rules.set("pte-cow", "nonsense").is_err());
    assert!(rules.set("nonsense", "free").is_err());
    assert_eq!(rules, Rules::default());
}

/// The variants of a switch, each read by its name. The compiler asks for new switches here.
fn variants_read_back(switch: Switch) -> bool {
    fn all<V: Copy + PartialEq + FromStr<Err = RuleError>>(
        all: &[V],
        name: fn(V) -> &'static str,
    ) -> bool {
        let unknown = |error| matches!(error, RuleError::Unknown { what: Named::Variant(_), .. });
        let read = all.iter().all(|variant| name(*variant).parse() == Ok(*variant));
        read && "no-such-variant".parse::<V>().is_err_and(unknown)
    }
    macro_rules! each {
        ($($Enum:ident),+ $(,)?) => {
            match switch { $(Switch::$Enum => all($Enum::ALL, $Enum::name),)+ }
        };
    }
    each! {
        PteCow, PmdCow, HugeZeroWrite, HugetlbCow, LargeCow, LargeMaps, HeadRecheck, TailRefs, ReadGup, ForkPin, HugetlbFork, ForkRace, ForkSnapshot, NumaSkip, NumaSkipPmd, NumaAreas, NumaFilter, NumaWrite, NumaFault, ThpNuma, MigrationKind,
        MigrationAd, ShareOrder, ZeroPin, ForceWrite, GupNuma, GupStack, FilePin, LongtermZone, DirectIo, ProcessVm, WriteUpgrade, FastRecheck,
        CowPublish, TableFree, CollapseSync, CollapseSwapped, FaultLock, TableReclaim, RmapCheck, ZapRmap, ZapMunlock, MemcgLock, Uffd, UffdWpFlush, UffdContinue, MigrateFlush, SwapFlush, SwapPinned, SwapInCache, SwapInReuse, SwapInWrite, SwapStable, SwapZero, LazyFree, ClearRefsPinned, FlushReach, RemapFlush, Notify, BreakHole, Interfaces,
    }
}

#[test]
fn inv_rules_1_whatever_has_a_name_reads_back() {
    for &switch in Switch::ALL {
        assert_eq!(switch.name().parse(), Ok(switch));
        assert!(variants_read_back(switch), "{switch}");
    }
    for &preset in PRESETS {
        let rules: Rules = preset.parse().unwrap();
        assert_eq!(Ok(rules), Rules::parse(preset));
        assert_eq!(rules.base.to_string().parse(), Ok(rules.base));
        if let Base::Linux(release) = rules.base {
            assert_eq!(release.to_string().parse(), Ok(release));
        }
    }
    assert_eq!("linux-5.9".parse::<Release>(), "5.9".parse());
    assert_eq!("latest".parse(), Ok(Release::NEWEST));
    assert!("pinfold".parse::<Release>().is_err());
    assert_eq!("3.0".parse::<Base>().map_err(|error| error.to_string()), Err(refused("3.0")));
    assert!("pte-cows".parse::<Switch>().is_err());
}
