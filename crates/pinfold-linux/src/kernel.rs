//! What a kernel says about itself, and the rules that follow from that.

use std::collections::BTreeMap;
use std::fs;

use pinfold::Rules;
use pinfold::rules::{Kernel as Named, Standing};
use serde::{Deserialize, Serialize};

/// Where the kernel tells its release and its version.
const RELEASE: &str = "/proc/sys/kernel/osrelease";
const VERSION: &str = "/proc/sys/kernel/version";
/// What stands in front of the release in the version of Debian's kernels, whose own release is the
/// name of their package and leaves the patch level out.
const PACKAGER: &str = "Debian ";
/// Where it counts.
const COUNTERS: &str = "/proc/vmstat";
/// The counters that tell whether a run met what it is about.
const TOLD: [&str; 13] = [
    "pgfault",
    "pgreuse",
    "pgmigrate_success",
    "pgmigrate_fail",
    "numa_pte_updates",
    "numa_hint_faults",
    "pswpin",
    "pswpout",
    "thp_collapse_alloc",
    "thp_fault_alloc",
    "thp_fault_fallback",
    "thp_split_pmd",
    "thp_zero_page_alloc",
];

/// A kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kernel {
    /// Its release, as it tells it.
    pub release: String,
    /// The rules that it is compared with.
    pub rules: String,
    /// Where the rules come from, in words.
    pub chosen: String,
}

/// The release and version of the running kernel; empty where it does not tell them.
pub(crate) fn own() -> (String, String) {
    let read = |path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    (read(RELEASE), read(VERSION))
}

/// The release with its patch level.
pub(crate) fn full(release: &str, version: &str) -> String {
    let packaged = version.split_once(PACKAGER).map(|(_, rest)| rest);
    let numbers = packaged.and_then(|rest| rest.split([' ', '-', '~', '+']).next());
    match numbers.filter(|numbers| numbers.starts_with(|first: char| first.is_ascii_digit())) {
        Some(numbers) => format!("{numbers} (Debian {release})"),
        None => release.to_owned(),
    }
}

/// The rules of a release, as text, with where they come from.
///
/// # Errors
/// When no rules are known for it.
pub fn rules_of(release: &str) -> Result<(Rules, String), String> {
    let mut numbers = release.split(|other: char| !other.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Err(format!("the release \"{release}\" does not begin with two numbers"));
    };
    // A package's number, as in 5.10.0-28-amd64, is no patch level.
    let name = match numbers.next() {
        Some(Ok(patch)) => format!("{major}.{minor}.{patch}"),
        _ => format!("{major}.{minor}"),
    };
    // As a whole it tells a package, and with that more than its numbers do.
    let whole = release.split_whitespace().next().unwrap_or_default();
    match Named::parse(whole).or_else(|_| Named::parse(&name)) {
        Ok(kernel) if kernel.standings().any(|(_, standing)| took_up(standing)) => {
            Ok((kernel.rules(), format!("those of the stable series {major}.{minor}")))
        }
        Ok(kernel) => Ok((kernel.rules(), format!("those of release {major}.{minor}"))),
        Err(_) if is_newer(major, minor) => {
            let rules = Rules::parse("latest").map_err(|why| why.to_string())?;
            Ok((rules, format!("the newest known, as {major}.{minor} is newer")))
        }
        Err(why) => Err(format!("no rules are known for release {major}.{minor}: {why}")),
    }
}

/// Whether it is known that a kernel has something that its base has not.
fn took_up(standing: Standing) -> bool {
    match standing {
        Standing::Taken(_) => true,
        Standing::Kept(_)
        | Standing::Later(_)
        | Standing::Open(_)
        | Standing::Without(_)
        | Standing::Unchanged
        | Standing::Guess { .. } => false,
    }
}

/// Whether a release is newer than the newest whose rules are known.
fn is_newer(major: u32, minor: u32) -> bool {
    let name = Rules::parse("latest").map(|rules| rules.to_string()).unwrap_or_default();
    let mut numbers = name
        .split(|other: char| !other.is_ascii_digit())
        .filter_map(|number| number.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(known), Some(of)) => (major, minor) > (known, of),
        _ => major >= 7,
    }
}

/// The kernel's counters that tell something about a run; empty where there are none.
pub(crate) fn counters() -> BTreeMap<String, u64> {
    let text = fs::read_to_string(COUNTERS).unwrap_or_default();
    let read = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        TOLD.contains(&name).then_some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(read).collect()
}

/// How many memory nodes this machine has; 1 where that is not told.
pub fn nodes() -> usize {
    let online = fs::read_to_string("/sys/devices/system/node/online").unwrap_or_default();
    listed(online.trim()).len().max(1)
}

/// The numbers of a list such as `0-2,5`.
pub(crate) fn listed(text: &str) -> Vec<usize> {
    let range = |part: &str| -> Option<std::ops::RangeInclusive<usize>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.split(',').filter_map(range).flatten().take(4096).collect()
}

#[cfg(test)]
mod tests {
    use super::{full, listed, rules_of};

    #[test]
    fn rules_follow_from_the_release() {
        let rules = |release| rules_of(release).map(|(rules, _)| rules.to_string());
        assert_eq!(rules("6.18.44-fc-v669").as_deref(), Ok("linux-6.18"));
        assert_eq!(rules("5.11.14").as_deref(), Ok("linux-5.11"));
        let stable = rules("5.10.262").expect("a series that is known");
        assert!(stable.contains("numa-skip=ref-count"), "{stable}");
        assert_eq!(rules("5.10.3").as_deref(), Ok("linux-5.10"));
        let taken_up = "linux-6.1,zero-pin=free,gup-stack=refuse,swap-in-cache=skipped-alone";
        assert_eq!(rules("6.1.192").as_deref(), Ok(taken_up));
        assert_eq!(rules("4.19.1").as_deref(), Ok("linux-4.19"));
        assert!(rules("2.6.39").is_err_and(|why| why.contains("2.6")));
        assert!(rules("rolling").is_err());
        let (_, newest) = rules_of("99.1").expect("the newest rules");
        assert!(newest.contains("99.1 is newer"), "{newest}");
    }

    #[test]
    fn the_patch_level_of_a_package_is_in_its_version() {
        let version = "#1 SMP Debian 5.10.262-1 (2026-10-01)";
        let release = full("5.10.0-46-cloud-amd64", version);
        assert_eq!(release, "5.10.262 (Debian 5.10.0-46-cloud-amd64)");
        let (_, chosen) = rules_of(&release).expect("rules");
        assert!(chosen.contains("stable series 5.10"), "{chosen}");
        let backport = full("6.12.95+deb12-cloud-amd64", "#1 SMP Debian 6.12.95-1~bpo12+1 (2026)");
        assert!(backport.starts_with("6.12.95 "), "{backport}");
        assert_eq!(full("6.18.44-fc-v669", "#1 SMP PREEMPT_DYNAMIC @0"), "6.18.44-fc-v669");
        assert_eq!(full("7.0", "Debian people"), "7.0");
    }

    #[test]
    fn a_list_of_cpus_is_read() {
        assert_eq!(listed("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(listed(""), [0; 0]);
    }
}
