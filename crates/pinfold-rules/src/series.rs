//! Series of kernels that carry backports: the stable series, and those of distributions.
//!
//! A series has the rules of a mainline release, its *base*, but for what it took up later. What is
//! known of that is a *finding*: a variant, the point release from which it is there, and what the
//! claim rests on. A finding may say that a series keeps the variant of its base although mainline
//! left it. Where mainline changed a switch after the base and there is no finding, nobody looked:
//! the variant of the base is a guess then, and [`Kernel`](crate::Kernel) says so.
//!
//! - INV-SERIES-1: the findings of a series about one switch are in the order of their points.
//! - INV-SERIES-2: package numbers of a distribution rise, and so do the points that they hold.
//!
//! facts 0.4

use core::fmt;

use super::switches::{
    ClearRefsPinned, CollapseSync, CowPublish, FastRecheck, FaultLock, ForceWrite, ForkPin,
    ForkRace, GupNuma, GupStack, HeadRecheck, HugetlbCow, Interfaces, LargeCow, LazyFree,
    LongtermZone, MemcgLock, MigrationKind, NumaFault, NumaSkip, NumaSkipPmd, NumaWrite, PmdCow,
    PteCow, ReadGup, RemapFlush, SwapInCache, SwapInReuse, SwapInWrite, SwapPinned, Switch,
    TailRefs, ThpNuma, UffdContinue, UffdWpFlush, WriteUpgrade, ZapRmap, ZeroPin,
};
use super::{Release, VariantInfo};

/// What a claim about a kernel rests on, by the marks of facts 0.1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Evidence {
    /// The source of the series was read.
    Read,
    /// It was found in a published text: a record of a vulnerability, a list of commits, a mail.
    Found,
    /// From memory: a hint, not verified.
    Memory,
}

impl Evidence {
    /// The mark of facts 0.1.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Read => "S",
            Self::Found => "W",
            Self::Memory => "M",
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mark())
    }
}

/// What is known of one switch in one series.
#[derive(Clone, Copy, Debug)]
pub struct Finding {
    /// The switch.
    pub switch: Switch,
    /// The index of the variant among those of the switch.
    pub(super) variant: usize,
    /// The first point release, or package of a distribution, that is known to have it; 0 if the
    /// series has had it from its beginning.
    pub from: u16,
    /// What the claim rests on.
    pub evidence: Evidence,
    /// The commit or the record, and the section of the fact sheet.
    pub source: &'static str,
}

impl Finding {
    /// The variant that the series has.
    pub fn variant(&self) -> &'static VariantInfo {
        &super::switches::TABLE[self.switch as usize].info.variants[self.variant]
    }
}

/// Kernels of one origin with a common base.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// What it is called: `5.10.y`, `el8`.
    pub name: &'static str,
    /// The mainline release that it started from.
    pub base: Release,
    /// The point release whose source was read, if one was.
    pub read: Option<u16>,
    /// What is known, in historic order of the switches.
    pub findings: &'static [Finding],
}

impl Series {
    /// Every series of which something is known.
    pub const ALL: &'static [Self] = SERIES;

    /// The stable series of a release, if something is known of it.
    pub fn stable(base: Release) -> Option<&'static Self> {
        SERIES.iter().find(|series| series.base == base && series.name.ends_with(".y"))
    }

    /// The series of that name; `rhel9` is el9.
    pub fn named(name: &str) -> Option<&'static Self> {
        let number = name.strip_prefix("rhel").unwrap_or_default();
        let same = |series: &&Self| {
            series.name == name || series.name.strip_prefix("el").is_some_and(|el| el == number)
        };
        SERIES.iter().find(same)
    }

    /// What its newer builds are believed to have, from memory and without a build: no preset rests
    /// on it, but who asks about one is told.
    pub fn believed(&self) -> &'static [Finding] {
        let of = BELIEVED.iter().find(|(name, _)| *name == self.name);
        of.map_or(&[], |(_, findings)| findings)
    }

    /// The last point release that anything here rests on: 0 if nothing has a number.
    pub fn newest(&self) -> u16 {
        let last = self.findings.iter().map(|finding| finding.from).max();
        self.read.unwrap_or(0).max(last.unwrap_or(0))
    }
}

/// A release of a distribution, whose kernels belong to a series.
#[derive(Clone, Copy, Debug)]
pub struct Distribution {
    /// Its name: `bookworm`.
    pub name: &'static str,
    /// What it is: `Debian 12`.
    pub title: &'static str,
    /// The mainline release in the names of its kernels.
    pub base: Release,
    /// Package numbers, the N of `6.1.0-N-amd64`, and the point release that each holds. Those
    /// between two of them hold at least what the lower one does, and less than the higher one.
    pub packages: &'static [(u16, u16, Evidence)],
    /// Who makes it.
    pub(super) maker: Maker,
}

/// Who makes a distribution, as the name of a kernel tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Maker {
    /// Debian: the flavour names an architecture.
    Debian,
    /// Ubuntu: any other flavour.
    Ubuntu,
}

impl Distribution {
    /// Every release that is known by name.
    pub const ALL: &'static [Self] = DISTRIBUTIONS;

    /// The release of that name, or title: `bookworm`, `Debian 12`, `debian12`.
    pub fn named(name: &str) -> Option<&'static Self> {
        let letters = |text: &'static str| text.bytes().filter(|byte| *byte != b' ');
        let given = || name.bytes().filter(|byte| !matches!(byte, b' ' | b'-'));
        let titled = |known: &&Self| {
            let title = letters(known.title).map(|byte| byte.to_ascii_lowercase());
            title.eq(given().map(|byte| byte.to_ascii_lowercase()))
        };
        DISTRIBUTIONS.iter().find(|known| known.name == name || titled(known))
    }

    /// The point release that a package holds at least, and what that rests on. Nothing for a
    /// number before the first that is known.
    pub fn point(&self, package: u16) -> Option<(u16, Evidence)> {
        let held = self.packages.iter().rev().find(|(first, ..)| *first <= package);
        held.map(|&(_, point, evidence)| (point, evidence))
    }

    /// The point release of the first known package after this one: what this one holds is older.
    pub(super) fn next(&self, package: u16) -> Option<u16> {
        let next = self.packages.iter().find(|(first, ..)| *first > package);
        next.map(|&(_, point, _)| point)
    }
}

/// Findings, one a line: variant, point, mark, source.
macro_rules! findings {
    ($($Enum:ident::$Variant:ident $from:literal $evidence:ident $source:literal;)*) => {
        &[$(Finding {
            switch: Switch::$Enum,
            variant: $Enum::$Variant as usize,
            from: $from,
            evidence: Evidence::$evidence,
            source: $source,
        }),*]
    };
}

const fn release(text: &str) -> Release {
    Release::literal(text)
}

const SERIES: &[Series] = &[
    Series {
        name: "4.4.y",
        base: release("4.4"),
        read: Some(121),
        findings: findings! {
            PteCow::MapCountUnmerged 0 Read "facts 1.1";
            TailRefs::TailMapcount 0 Read "facts 5.2";
            NumaSkip::Never 0 Read "facts 4.2";
            NumaFault::RestoreFirst 0 Read "facts 4.4";
            ForceWrite::DirtyCow 26 Memory "19be0eaffa3a, CVE-2016-5195, facts 3.4";
        },
    },
    Series {
        name: "4.8.y",
        base: release("4.8"),
        read: None,
        findings: findings! {
            ForceWrite::DirtyCow 3 Memory "19be0eaffa3a, CVE-2016-5195, facts 3.4";
        },
    },
    Series {
        name: "4.14.y",
        base: release("4.14"),
        read: None,
        findings: findings! {
            PteCow::MapCountUnmerged 0 Memory "no exclusive mark, facts 0.4";
            ReadGup::ForceWrite 232 Found "17839856fd58, queued April 2021, facts 1.2; its point: M";
            CollapseSync::Interrupt 302 Found "2ba99c5e0812, queued after 4.14.301, facts 0.4, 7.4";
            RemapFlush::UnderLock 78 Memory "eb66ae030829, CVE-2018-18281, facts 7.12";
        },
    },
    Series {
        name: "4.18.y",
        base: release("4.18"),
        read: None,
        findings: findings! {
            PteCow::MapCountUnmerged 0 Memory "no exclusive mark, facts 0.4";
            RemapFlush::UnderLock 16 Memory "eb66ae030829, CVE-2018-18281, facts 7.12";
        },
    },
    Series {
        name: "4.19.y",
        base: release("4.19"),
        read: None,
        findings: findings! {
            PteCow::MapCountUnmerged 0 Memory "no exclusive mark, facts 0.4";
            ReadGup::ForceWrite 189 Found "17839856fd58, queued April 2021, facts 1.2; its point: M";
            CollapseSync::Interrupt 269 Memory "2ba99c5e0812, facts 7.4";
            LazyFree::References 238 Found "6c8e2a256915, announcement of 4.19.238, facts 0.4, 7.2";
        },
    },
    Series {
        name: "5.4.y",
        base: release("5.4"),
        read: None,
        findings: findings! {
            PteCow::MapCount 0 Memory "no exclusive mark, facts 0.4";
            HeadRecheck::Again 133 Memory "c24d37322548, Cc: stable, facts 3.3";
            ReadGup::ForceWrite 47 Found "17839856fd58, a repair for 5.4, facts 1.2; its point: M";
            FastRecheck::On 218 Memory "70cbc3cc78a9, facts 3.5";
            CollapseSync::Interrupt 227 Memory "2ba99c5e0812, facts 7.4";
            LazyFree::References 189 Memory "6c8e2a256915, in April 2022, facts 7.2";
        },
    },
    Series {
        name: "5.10.y",
        base: release("5.10"),
        read: Some(262),
        findings: findings! {
            PteCow::RefCount 0 Read "facts 1.3";
            PmdCow::MapCount 0 Read "facts 1.3";
            HugetlbCow::MapCount 0 Read "facts 1.3";
            HeadRecheck::Again 50 Read "c24d37322548, facts 0.1; its point: M";
            ForkPin::Copy 0 Read "facts 2.3";
            ForkRace::SeqCount 4 Read "57efa1fe5957, facts 2.5; its point: M";
            NumaSkip::RefCount 102 Found "80d47f5de5e3, CVE-2022-48797, facts 4.2";
            NumaFault::RestoreFirst 0 Read "facts 4.4";
            ThpNuma::Alone 0 Read "facts 4.4";
            MigrationKind::ReadWrite 0 Read "facts 4.2";
            ForceWrite::DirtyCow 0 Read "facts 3.4";
            FastRecheck::On 148 Memory "70cbc3cc78a9, queued October 2022, facts 3.5";
            CowPublish::AfterFlush 0 Read "facts 1.7";
            CollapseSync::Interrupt 159 Memory "2ba99c5e0812, queued December 2022, facts 7.4";
            UffdWpFlush::BeforeCopy 24 Memory "6ce64428d620, Cc: stable, facts 7.14";
            UffdContinue::Clean 0 Found "CVE-2022-50014 begins at 5.16, facts 3.4";
            SwapPinned::Kept 10 Read "feb889fb40fa, facts 7.2; its point: M";
            SwapInReuse::MapCount 0 Read "facts 1.8";
            LazyFree::References 111 Memory "6c8e2a256915, posted April 2022, facts 7.2";
            ClearRefsPinned::Spared 10 Found "9348b73c2e1b, listed, facts 7.6; its point: M";
        },
    },
    Series {
        name: "5.15.y",
        base: release("5.15"),
        read: None,
        findings: findings! {
            PteCow::RefCount 0 Memory "no exclusive mark, facts 0.4";
            NumaSkip::RefCount 25 Found "80d47f5de5e3, CVE-2022-48797, facts 4.2";
            FastRecheck::On 73 Memory "70cbc3cc78a9, queued October 2022, facts 3.5";
            CollapseSync::Interrupt 83 Memory "2ba99c5e0812, queued December 2022, facts 7.4";
            UffdContinue::Clean 0 Found "CVE-2022-50014 begins at 5.16, facts 3.4";
            LazyFree::References 34 Memory "6c8e2a256915, in April 2022, facts 7.2";
        },
    },
    Series {
        name: "5.16.y",
        base: release("5.16"),
        read: None,
        findings: findings! {
            PteCow::RefCount 0 Memory "no exclusive mark, facts 0.4";
            NumaSkip::RefCount 11 Found "80d47f5de5e3, CVE-2022-48797, facts 4.2";
            LazyFree::References 20 Memory "6c8e2a256915, in April 2022, facts 7.2";
        },
    },
    Series {
        name: "5.17.y",
        base: release("5.17"),
        read: None,
        findings: findings! {
            PteCow::RefCount 0 Memory "no exclusive mark, facts 0.4";
            LazyFree::References 3 Memory "6c8e2a256915, in April 2022, facts 7.2";
        },
    },
    Series {
        name: "5.19.y",
        base: release("5.19"),
        read: None,
        findings: findings! {
            ForceWrite::Exclusive 6 Found "5535be309971, CVE-2022-50014, facts 3.4";
        },
    },
    Series {
        name: "6.0.y",
        base: release("6.0"),
        read: None,
        findings: findings! {
            CollapseSync::Interrupt 13 Found "2ba99c5e0812, reviewed, facts 0.4, 7.4; its point: M";
        },
    },
    Series {
        name: "6.1.y",
        base: release("6.1"),
        read: Some(192),
        findings: findings! {
            PmdCow::Exclusive 0 Read "facts 1.6";
            ForkPin::CopyIfExclusive 0 Read "facts 2.6";
            NumaSkip::RefCount 0 Read "facts 4.2";
            NumaWrite::Saved 0 Read "facts 4.3";
            MigrationKind::Exclusive 0 Read "facts 4.2";
            ZeroPin::Free 130 Found "c8070b787519, wrong at first, read in 192, facts 0.1, 0.4";
            ForceWrite::Exclusive 0 Read "facts 3.4";
            GupNuma::Honor 0 Read "facts 3.8";
            GupStack::Refuse 37 Found "8d7071af8907, seen in 192, facts 3.13; its point: M";
            LongtermZone::MovesIsolated 129 Found "1aaf8c122918, announced, facts 0.4, 3.10";
            LongtermZone::Moves 155 Found "517f496e1e61 took it back, announced, facts 0.4, 3.10";
            WriteUpgrade::ExclusiveDirty 0 Read "facts 7.5";
            FastRecheck::On 0 Read "70cbc3cc78a9, facts 3.5";
            ZapRmap::WithEntry 0 Read "facts 6.2";
            MemcgLock::InRmap 0 Read "facts 6.6";
            SwapInCache::SkippedAlone 80 Read "13ddaf26be32, facts 0.4, 7.2; its point: M";
            SwapInReuse::ExclusiveOrRefCount 0 Read "facts 1.8";
            SwapInWrite::WriteFault 0 Read "facts 1.8";
        },
    },
    Series {
        name: "6.3.y",
        base: release("6.3"),
        read: None,
        findings: findings! {
            GupStack::Refuse 11 Memory "8d7071af8907, CVE-2023-3269, facts 3.13";
        },
    },
    Series {
        name: "6.4.y",
        base: release("6.4"),
        read: None,
        findings: findings! {
            GupStack::Refuse 1 Memory "8d7071af8907, CVE-2023-3269, facts 3.13";
        },
    },
    Series {
        name: "6.6.y",
        base: release("6.6"),
        read: None,
        findings: findings! {
            LongtermZone::MovesIsolated 79 Found "1aaf8c122918, named so by its revert, facts 0.4";
            LongtermZone::Moves 109 Found "517f496e1e61, reviewed, facts 0.4; its point: by date";
            SwapInCache::SkippedAlone 19 Found "13ddaf26be32, reviewed on 27 February 2024, facts 0.4; its point: M";
        },
    },
    Series { name: "6.8.y", base: release("6.8"), read: None, findings: &[] },
    Series {
        name: "6.10.y",
        base: release("6.10"),
        read: None,
        findings: findings! {
            NumaFault::IsolateUnderLock 4 Found "ee86814b0562, reviewed, facts 0.4; its point: M";
        },
    },
    Series {
        name: "6.12.y",
        base: release("6.12"),
        read: Some(117),
        findings: findings! {
            LargeCow::Never 0 Read "facts 1.6";
            NumaSkip::PinnedOrLikelyShared 0 Read "facts 4.2";
            NumaSkipPmd::ZeroPage 0 Read "facts 4.2";
            LongtermZone::MovesIsolated 14 Found "1aaf8c122918, reviewed, facts 0.4; its point: M";
            LongtermZone::Moves 36 Found "517f496e1e61, in the list of 36-rc1, facts 0.4";
            FaultLock::Area 0 Read "facts 7.11";
            MemcgLock::Mover 0 Read "facts 6.6";
            SwapInReuse::ExclusiveOrRefCount 0 Read "facts 1.8";
            SwapInWrite::IfAllowed 0 Read "facts 1.8";
        },
    },
    Series {
        name: "el8",
        base: release("4.18"),
        read: None,
        findings: findings! {
            RemapFlush::UnderLock 80 Memory "eb66ae030829, CVE-2018-18281, facts 7.12";
        },
    },
    Series { name: "el9", base: release("5.14"), read: None, findings: &[] },
];

/// What series are believed to have by now (facts 0.4).
const BELIEVED: &[(&str, &[Finding])] = &[
    ("el8", findings! { Interfaces::PinUserPages 0 Memory "eddb1c228f79, facts 0.4"; }),
    ("el9", findings! { PteCow::Exclusive 0 Memory "6c287605fd56, facts 0.4"; }),
];

use Evidence::{Found, Memory};

const DISTRIBUTIONS: &[Distribution] = &[
    Distribution {
        name: "bullseye",
        title: "Debian 11",
        base: release("5.10"),
        packages: &[
            (8, 46, Memory),
            (13, 106, Memory),
            (20, 158, Memory),
            (21, 162, Memory),
            (26, 197, Memory),
            (28, 209, Found),
            (32, 223, Memory),
            (46, 262, Found),
        ],
        maker: Maker::Debian,
    },
    Distribution {
        name: "bookworm",
        title: "Debian 12",
        base: release("6.1"),
        packages: &[
            (9, 27, Memory),
            (13, 55, Memory),
            (18, 76, Found),
            (25, 106, Memory),
            (32, 129, Memory),
            (33, 133, Memory),
            (37, 140, Memory),
        ],
        maker: Maker::Debian,
    },
    Distribution {
        name: "trixie",
        title: "Debian 13",
        base: release("6.12"),
        packages: &[],
        maker: Maker::Debian,
    },
    Distribution {
        name: "focal",
        title: "Ubuntu 20.04",
        base: release("5.4"),
        packages: &[
            (26, 30, Memory),
            (52, 65, Memory),
            (80, 124, Memory),
            (100, 166, Memory),
            (122, 192, Memory),
            (135, 218, Memory),
            (150, 233, Memory),
        ],
        maker: Maker::Ubuntu,
    },
    Distribution {
        name: "jammy",
        title: "Ubuntu 22.04",
        base: release("5.15"),
        packages: &[
            (25, 30, Memory),
            (52, 60, Memory),
            (60, 78, Memory),
            (72, 98, Memory),
            (91, 131, Found),
            (105, 148, Memory),
        ],
        maker: Maker::Ubuntu,
    },
    Distribution {
        name: "noble",
        title: "Ubuntu 24.04",
        base: release("6.8"),
        packages: &[(31, 1, Memory), (35, 4, Memory), (38, 8, Memory)],
        maker: Maker::Ubuntu,
    },
];
