//! Kernels by name: what each is taken for, and what is known of it.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::super::{Evidence, PRESETS};
use super::{Distribution, Kernel, Point, Release, Rules, Series, Standing, Switch, Unknown};

fn kernel(name: &str) -> Kernel {
    Kernel::parse(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn refused(name: &str) -> String {
    match Kernel::parse(name) {
        Ok(kernel) => panic!("{name}: {kernel:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn names_of_every_kind_are_read() {
    let (found, memory) = (Evidence::Found, Evidence::Memory);
    let between = |from, below, evidence| Point::Between { from, below, evidence };
    let table = [
        ("5.15", "5.15", Some("5.15.y"), None, Point::Exact(0)),
        ("5.15.0", "5.15", Some("5.15.y"), None, Point::Exact(0)),
        ("5.15.133", "5.15", Some("5.15.y"), None, Point::Exact(133)),
        ("linux-5.15.133", "5.15", Some("5.15.y"), None, Point::Exact(133)),
        ("5.15.y", "5.15", Some("5.15.y"), None, Point::Newest),
        ("5.13.19", "5.13", None, None, Point::Exact(19)),
        ("5.15.167.4-microsoft-standard-WSL2", "5.15", Some("5.15.y"), None, Point::Exact(167)),
        ("el8", "4.18", Some("el8"), None, Point::Newest),
        ("4.18.0-553.el8_10.x86_64", "4.18", Some("el8"), None, Point::Exact(553)),
        ("5.14.0-427.el9.x86_64", "5.14", Some("el9"), None, Point::Exact(427)),
        ("5.14.0-427.13.1.el9_4.x86_64", "5.14", Some("el9"), None, Point::Exact(427)),
        ("3.10.0-1160.el7.x86_64", "3.10", None, None, Point::Unknown),
        ("bookworm", "6.1", Some("6.1.y"), Some("bookworm"), Point::Newest),
        ("5.10.0-28-amd64", "5.10", Some("5.10.y"), Some("bullseye"), between(209, 223, found)),
        ("6.1.0-18-amd64", "6.1", Some("6.1.y"), Some("bookworm"), between(76, 106, found)),
        ("6.1.0-40-amd64", "6.1", Some("6.1.y"), Some("bookworm"), Point::AtLeast(140, memory)),
        ("v5.15.133", "5.15", Some("5.15.y"), None, Point::Exact(133)),
        ("debian12", "6.1", Some("6.1.y"), Some("bookworm"), Point::Newest),
        ("Ubuntu 22.04", "5.15", Some("5.15.y"), Some("jammy"), Point::Newest),
        ("rhel9", "5.14", Some("el9"), None, Point::Newest),
        ("5.14.21-150500.55.19-default", "5.14", None, None, Point::AtLeast(21, found)),
        ("5.4.17-2136.el8uek", "5.4", Some("5.4.y"), None, Point::AtLeast(17, found)),
        ("6.9.1-1-default", "6.9", None, None, Point::Exact(1)),
        ("6.1.0-22-cloud-arm64", "6.1", Some("6.1.y"), Some("bookworm"), between(76, 106, found)),
        ("6.1.0-3-amd64", "6.1", Some("6.1.y"), Some("bookworm"), between(0, 27, found)),
        ("6.12.43+deb13-amd64", "6.12", Some("6.12.y"), Some("trixie"), Point::Exact(43)),
        ("6.12.95+deb12-cloud-amd64", "6.12", Some("6.12.y"), None, Point::Exact(95)),
        ("5.15.0-91-generic", "5.15", Some("5.15.y"), Some("jammy"), between(131, 148, found)),
        ("5.15.0-1051-aws", "5.15", Some("5.15.y"), Some("jammy"), Point::Unknown),
        ("5.4.0-150-lowlatency", "5.4", Some("5.4.y"), Some("focal"), Point::AtLeast(233, memory)),
        ("6.8.0-31-generic", "6.8", Some("6.8.y"), Some("noble"), between(1, 4, memory)),
        ("6.5.0-14-generic", "6.5", None, None, Point::Unknown),
        ("6.18.0-arch1-1", "6.18", None, None, Point::Unknown),
    ];
    for (name, base, series, distribution, point) in table {
        let kernel = kernel(name);
        assert_eq!(kernel.base.to_string(), base, "{name}");
        assert_eq!(kernel.series.map(|series| series.name), series, "{name}");
        assert_eq!(kernel.distribution.map(|known| known.name), distribution, "{name}");
        assert_eq!(kernel.point, point, "{name}");
        assert_eq!(Rules::parse(name), Ok(kernel.rules()), "{name}");
    }
}

#[test]
fn what_is_no_kernel_says_what_is() {
    let table = [
        ("3.0", "the rules of Linux 3.0 are not modelled: use 3.1 to 7.3, latest or pinfold"),
        ("3.0.101", "the rules of Linux 3.0 are not modelled: use 3.1 to 7.3, latest or pinfold"),
        ("7.9", "the rules of Linux 7.9 are not known, those of 7.3 are the newest: use latest"),
        ("7.9.3", "the rules of Linux 7.9 are not known, those of 7.3 are the newest: use latest"),
        ("5.20.1", "there is no Linux 5.20: use a release from 3.1 to 7.3, latest or pinfold"),
        (
            "5.15.9999",
            "no kernel `5.15.9999` is known: use 5.15.y for the newest of the series, or 5.15",
        ),
        (
            "5.15.99999999",
            "no kernel `5.15.99999999` is known: use 5.15.y for the newest of the series, or 5.15",
        ),
        (
            "6.18.0-rc3",
            "this is no mainline release: use 6.18 and override what differs, or 6.18.y",
        ),
    ];
    for (name, expected) in table {
        assert_eq!(refused(name), expected);
    }
    for name in ["banana", "el10", "5.15.", "5.15.x", "5.15.01", "5.15-foo", "5", "", "5.15.y2"] {
        assert!(refused(name).contains("or a kernel such as 6.1.76"), "{name}");
    }
}

/// INV-KERNEL-1.
#[test]
fn inv_kernel_1_a_mainline_release_has_its_own_rules() {
    for release in Release::all() {
        let kernel = kernel(&release.to_string());
        assert!(kernel.is_mainline());
        assert_eq!(kernel.rules(), Rules::at(release));
    }
}

#[test]
fn a_backport_is_there_from_its_point_on() {
    for (name, rule) in [
        ("5.10.101", "map-count"),
        ("5.10.102", "ref-count"),
        ("5.15.24", "map-count"),
        ("5.15.25", "ref-count"),
        ("5.16.10", "map-count"),
        ("5.16.11", "ref-count"),
    ] {
        assert_eq!(kernel(name).rules().get("numa-skip"), Ok(rule), "{name}");
    }
    for (name, rule) in [
        ("6.1.128", "moves"),
        ("6.1.129", "moves-isolated"),
        ("6.1.154", "moves-isolated"),
        ("6.1.155", "moves"),
        ("6.6.78", "moves"),
        ("6.6.79", "moves-isolated"),
        ("6.6.109", "moves"),
        ("6.12.13", "moves"),
        ("6.12.14", "moves-isolated"),
        ("6.12.36", "moves"),
        ("6.12.y", "moves"),
    ] {
        assert_eq!(kernel(name).rules().get("longterm-zone"), Ok(rule), "{name}");
    }
    for (name, rule) in [("5.4.46", "as-is"), ("5.4.47", "force-write"), ("focal", "force-write")] {
        assert_eq!(kernel(name).rules().get("read-gup"), Ok(rule), "{name}");
    }
    assert_eq!(kernel("6.0.12").rules().get("collapse-sync"), Ok("flush"));
    assert_eq!(kernel("6.0.13").rules().get("collapse-sync"), Ok("interrupt"));
    assert_eq!(kernel("6.10.3").rules().get("numa-fault"), Ok("migrate-first"));
    assert_eq!(kernel("6.10.4").rules().get("numa-fault"), Ok("isolate-under-lock"));
    let rules = kernel("5.10.262").rules().to_string();
    assert_eq!(
        rules,
        "linux-5.10,head-recheck=again,fork-race=seq-count,numa-skip=ref-count,fast-recheck=on,\
         collapse-sync=interrupt,uffd-wp-flush=before-copy,swap-pinned=kept,lazy-free=references,\
         clear-refs-pinned=spared"
    );
}

/// What facts 0.1 says that the sources have which were read.
#[test]
fn the_kernels_that_were_read_have_what_was_read() {
    let table = [
        ("4.4.121", "pte-cow", "map-count-unmerged"),
        ("5.10.262", "fork-race", "seq-count"),
        ("5.10.262", "swap-pinned", "kept"),
        ("5.10.262", "head-recheck", "again"),
        ("5.10.262", "numa-skip", "ref-count"),
        ("6.1.192", "zero-pin", "free"),
        ("6.12.117", "large-cow", "never"),
    ];
    for (name, switch, variant) in table {
        assert_eq!(kernel(name).rules().get(switch), Ok(variant), "{name}");
    }
}

#[test]
fn what_nobody_looked_at_is_a_guess_with_its_date() {
    let noble = kernel("6.8.0-31-generic");
    let Standing::Guess { changed, to } = noble.standing(Switch::NumaSkip) else {
        panic!("{:?}", noble.standing(Switch::NumaSkip));
    };
    assert_eq!((changed.to_string(), to.name), ("6.10".into(), "pinned-or-likely-shared"));
    assert!(matches!(noble.standing(Switch::ForkPin), Standing::Unchanged));
    let early = kernel("5.10.3");
    assert!(
        matches!(early.standing(Switch::ForkRace), Standing::Later(finding) if finding.from == 4)
    );
    assert!(matches!(early.standing(Switch::PteCow), Standing::Kept(_)));
    assert_eq!(kernel("5.15.133").newer_than(), Some(83));
    assert_eq!(kernel("5.15.60").newer_than(), None);
    assert_eq!(kernel("5.13.19").newer_than(), Some(0));
}

/// INV-KERNEL-2, and that a doubt names what can be looked for.
#[test]
fn inv_kernel_2_doubts_are_about_what_is_not_known() {
    for name in [
        "el8",
        "el9",
        "5.15.0-1034-azure",
        "5.10.0-12-amd64",
        "6.8.0-31-generic",
        "6.1.3",
        "6.1.0-3-amd64",
        "6.1.0-1-preview",
    ] {
        let kernel = kernel(name);
        let rules = kernel.rules();
        let mut doubted = BTreeSet::new();
        for doubt in kernel.doubts() {
            let place = format!("{name} {}={}", doubt.switch.name, doubt.other.name);
            assert_eq!(rules.get(doubt.switch.name), Ok(doubt.held.name), "{place}");
            assert_ne!(doubt.held.name, doubt.other.name, "{place}");
            assert!(doubted.insert((doubt.switch.name, doubt.other.name)), "{place} twice");
        }
        for (switch, standing) in kernel.standings() {
            let unknown = matches!(standing, Standing::Guess { .. } | Standing::Open(_));
            let doubted = doubted.iter().any(|(name, _)| *name == switch.name);
            assert_eq!(doubted, unknown, "{name} {}", switch.name);
        }
    }
    assert_eq!(kernel("6.18").doubts().filter(|doubt| doubt.switch.name == "pte-cow").count(), 1);
}

/// What lies between two packages is open, what lies before and behind them is not.
#[test]
fn a_gap_between_packages_leaves_open_what_came_in_it() {
    let of = |name: &str| kernel(name).standing(Switch::NumaSkip);
    assert!(matches!(of("5.10.0-12-amd64"), Standing::Open(cure) if cure.from == 102));
    assert!(matches!(of("5.10.0-13-amd64"), Standing::Taken(_)));
    assert!(matches!(of("5.10.101"), Standing::Later(_)));
    assert!(matches!(of("5.15.0-1034-azure"), Standing::Open(_)));
    let gap = kernel("5.10.0-12-amd64");
    assert!(matches!(gap.standing(Switch::CollapseSync), Standing::Later(_)), "159 is beyond 106");
    let numa = gap.doubts().find(|doubt| doubt.switch.name == "numa-skip").unwrap();
    assert_eq!((numa.held.name, numa.other.name), ("map-count", "ref-count"));
    assert!(matches!(numa.why, Unknown::Open(finding) if finding.from == 102));
    assert_eq!(numa.commit(), Some("80d47f5de5e3"));
}

#[test]
fn a_guess_tells_the_commit_and_what_is_believed() {
    let el9 = kernel("el9");
    let numa = el9.doubts().find(|doubt| doubt.switch.name == "numa-skip").unwrap();
    assert_eq!((numa.other.name, numa.commit()), ("ref-count", Some("80d47f5de5e3")));
    assert!(matches!(numa.why, Unknown::Guess { believed: false, .. }));
    let believed = |name: &str, switch: &str| {
        let kernel = kernel(name);
        let found = kernel.doubts().find(|doubt| {
            doubt.switch.name == switch
                && matches!(doubt.why, Unknown::Guess { believed: true, .. })
        });
        found.map(|doubt| doubt.other.name)
    };
    assert_eq!(believed("el9", "pte-cow"), Some("exclusive"));
    assert_eq!(believed("el8", "interfaces"), Some("pin-user-pages"));
    assert_eq!(believed("el8", "numa-skip"), None);
}

#[test]
fn a_vendor_who_keeps_a_number_is_named() {
    let vendor = |name: &str| kernel(name).vendor;
    assert_eq!(vendor("5.14.21-150500.55.19-default"), Some("SUSE"));
    assert_eq!(vendor("5.4.17-2136.el8uek"), Some("Oracle"));
    assert_eq!(vendor("5.4.17-2136.300.7.el8uek.x86_64"), Some("Oracle"));
    for stable in ["5.15.133", "6.9.1-1-default", "6.12.43+deb13-amd64", "5.10.0-28-amd64"] {
        assert_eq!(vendor(stable), None, "{stable}");
    }
}

#[test]
fn the_newest_mainline_release_leaves_nothing_to_guess() {
    let newest = kernel(&Release::NEWEST.to_string());
    assert!(newest.standings().all(|(_, standing)| matches!(standing, Standing::Unchanged)));
}

/// INV-SERIES-1 and the order of the table; a finding names a section of the fact sheet, and the
/// source that was read is the newest that a finding rests on or newer.
#[test]
fn inv_series_1_findings_are_in_order_and_have_their_sources() {
    let mut names = BTreeSet::new();
    for series in Series::ALL {
        assert!(names.insert(series.name), "{} is there twice", series.name);
        assert!(Release::all().any(|release| release == series.base), "{}", series.name);
        let places: Vec<_> =
            series.findings.iter().map(|finding| (finding.switch, finding.from)).collect();
        assert!(places.is_sorted(), "{}: {places:?}", series.name);
        for finding in series.findings {
            let place = format!("{} {}={}", series.name, finding.switch, finding.variant().name);
            assert!(finding.source.contains("facts "), "{place}");
            assert!(finding.evidence != Evidence::Read || series.read.is_some(), "{place}");
        }
    }
}

/// A finding changes what the series had before it: the base, or the finding above.
#[test]
fn what_was_taken_up_is_what_mainline_has_later() {
    for series in Series::ALL {
        for (at, finding) in series.findings.iter().enumerate() {
            if finding.from == 0 {
                continue;
            }
            let name = finding.switch.name();
            let above = series.findings[..at].iter().rfind(|above| above.switch == finding.switch);
            let base = Rules::at(series.base).get(name).unwrap();
            let before = above.map_or(base, |above| above.variant().name);
            assert_ne!(before, finding.variant().name, "{} {name}", series.name);
            let mut later = Release::all().filter(|release| *release > series.base);
            let there = later.any(|at| Rules::at(at).get(name) == Ok(finding.variant().name));
            assert!(there, "{} {name}", series.name);
        }
    }
}

/// INV-SERIES-2.
#[test]
fn inv_series_2_packages_rise() {
    for known in Distribution::ALL {
        assert!(known.packages.is_sorted_by(|one, next| one.0 < next.0 && one.1 < next.1));
        assert!(Release::all().any(|release| release == known.base), "{}", known.name);
        assert!(Series::stable(known.base).is_some(), "{}", known.name);
    }
}

#[test]
fn no_kernel_is_called_like_a_preset_or_a_switch() {
    let series = Series::ALL.iter().map(|series| series.name);
    for name in Distribution::ALL.iter().map(|known| known.name).chain(series) {
        assert!(!PRESETS.contains(&name), "{name}");
        assert!(Switch::ALL.iter().all(|switch| switch.name() != name), "{name}");
    }
}
