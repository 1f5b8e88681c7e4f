//! The name of a kernel, as `uname -r` or people give it, and what is known of its rules.
//!
//! A name leads to a base, a series of [`Series::ALL`] if something is known of it, and a *point*:
//! how far the kernel has come in the series. The rules are those of the base with every finding
//! that the point has reached; a point that a name does not tell has reached none but those that
//! the series began with. What is neither found nor unchanged in mainline is a guess, and said to
//! be one ([`Standing::Guess`]); what the name leaves open is said to be that ([`Standing::Open`]).
//! [`Kernel::doubts`] lists both with what the kernel may have instead, for who can ask both ways.
//!
//! What one commit moved is known together: what rests on a commit that the kernel is known not to
//! have, it has not ([`Standing::Without`]), and a doubt brings with it what it needs
//! ([`Doubt::under`]).
//!
//! - INV-KERNEL-1: every name of a mainline release is a kernel at point 0 with the rules of the
//!   release, so that nothing changes for who names one.
//! - INV-KERNEL-2: a doubt is about what the kernel is not taken to have, and there is none about a
//!   switch of which its standing is known.
//! - INV-KERNEL-3: what a doubt is asked under no kernel is known not to have: of what one commit
//!   moved, all or nothing.
//!
//! facts 0.4

use super::error::RuleError;
use super::series::{Distribution, Evidence, Finding, Maker, Series};
use super::switches::{Switch, TABLE};
use super::{Release, Rules, SwitchInfo, VariantInfo};

mod doubt;
mod together;

pub use doubt::{Doubt, Unknown};

/// More point releases than any series has had.
const MOST_POINTS: u16 = 511;
/// From here on a package number is one of Ubuntu's kernels for clouds, which count for themselves.
const CLOUD_PACKAGES: u16 = 1000;

/// How far a kernel has come in its series.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Point {
    /// The newest of which something is known.
    Newest,
    /// This point release, or this build of a distribution; 0 is the mainline release.
    Exact(u16),
    /// At least this point release, and nobody says how much more: the name has a package number
    /// beyond the last that is known, or is that of a vendor who keeps the number.
    AtLeast(u16, Evidence),
    /// The name has a package number that lies between two that are known, or before the first.
    Between {
        /// What the lower package holds, or 0: the kernel has this at least.
        from: u16,
        /// What the higher one holds: the kernel has less.
        below: u16,
        /// What the lower number rests on.
        evidence: Evidence,
    },
    /// The name does not tell.
    Unknown,
}

/// A kernel, from its name.
///
/// ```
/// use pinfold_rules::{Kernel, Point, Standing, Switch};
/// let kernel = Kernel::parse("5.15.133")?;
/// assert_eq!((kernel.base.to_string(), kernel.point), ("5.15".into(), Point::Exact(133)));
/// assert_eq!(kernel.rules().get("numa-skip")?, "ref-count");
/// assert!(matches!(kernel.standing(Switch::NumaSkip), Standing::Taken(_)));
/// assert!(matches!(kernel.standing(Switch::GupStack), Standing::Guess { .. }));
/// # Ok::<(), pinfold_rules::RuleError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// The mainline release that it started from.
    pub base: Release,
    /// The series, if something is known of it.
    pub series: Option<&'static Series>,
    /// The distribution, if the name tells.
    pub distribution: Option<&'static Distribution>,
    /// How far it has come.
    pub point: Point,
    /// Who made it of a stable release and keeps that number, if the name tells and nobody looked
    /// at what else it has: `SUSE`.
    pub vendor: Option<&'static str>,
}

/// What is known of one switch in one kernel.
#[derive(Clone, Copy, Debug)]
pub enum Standing {
    /// It has taken up what its base has not.
    Taken(&'static Finding),
    /// It is known to have kept what its base has.
    Kept(&'static Finding),
    /// The series takes it up at a point that this kernel has not reached; it has what the base
    /// has.
    Later(&'static Finding),
    /// The series takes it up at a point that this kernel may have reached or not: the name does
    /// not tell. It is taken to have what it has for certain.
    Open(&'static Finding),
    /// Mainline changed it after the base only together with another switch, or by what rests on
    /// another one, of which this is known: the kernel does not have that.
    Without(&'static Finding),
    /// Mainline has not changed it since the base, so there is nothing to take up.
    Unchanged,
    /// Mainline changed it after the base, and nobody looked whether this kernel took that up: that
    /// it has what the base has is a guess.
    Guess {
        /// The release in which mainline changed it first.
        changed: Release,
        /// What mainline has had since.
        to: &'static VariantInfo,
    },
}

impl Kernel {
    /// Reads a release (`5.15`), a point release (`5.15.133`), the newest of a series (`5.15.y`), a
    /// series or release of a distribution (`el9`, `bookworm`), or a name as `uname -r` prints it
    /// (`6.1.0-18-amd64`, `5.14.0-427.el9.x86_64`). A `v` may stand before a number, and `debian12`
    /// and `ubuntu22.04` for their names.
    ///
    /// # Errors
    /// When it is none of these, or there are no rules for its release, or no such point release.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if let Some(known) = Distribution::named(text) {
            let series = Series::stable(known.base);
            return Ok(Self {
                base: known.base,
                series,
                distribution: Some(known),
                point: Point::Newest,
                vendor: None,
            });
        }
        if let Some(series) = Series::named(text) {
            return Ok(Self::of(series, Point::Newest));
        }
        let number = text.strip_prefix("linux-").unwrap_or(text);
        let number = number.strip_prefix('v').unwrap_or(number);
        let Some((release, rest)) = Release::split(number.as_bytes()) else {
            return Err(RuleError::unknown_base(text));
        };
        release.checked()?;
        let series = Series::stable(release);
        let at = |point| Self { base: release, series, distribution: None, point, vendor: None };
        let kernel = match rest {
            [] => at(Point::Exact(0)),
            b".y" => at(Point::Newest),
            [b'-', b'r', b'c', ..] => return Err(not_mainline(release)),
            [b'.', rest @ ..] => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let (digits, tail) = rest.split_at(digits);
                match (digits, tail) {
                    ([], _) | ([b'0', _, ..], _) => return Err(RuleError::unknown_base(text)),
                    (b"0", [b'-', b'r', b'c', ..]) => return Err(not_mainline(release)),
                    (b"0", [b'-', tail @ ..]) => at(Point::Unknown).package(tail),
                    (_, [] | [b'-' | b'+' | b'.', ..]) => {
                        at(Point::Exact(point(digits, text, release)?)).flavoured(tail)
                    }
                    _ => return Err(RuleError::unknown_base(text)),
                }
            }
            _ => return Err(RuleError::unknown_base(text)),
        };
        Ok(kernel)
    }

    /// A kernel of a series.
    const fn of(series: &'static Series, point: Point) -> Self {
        Self { base: series.base, series: Some(series), distribution: None, point, vendor: None }
    }

    /// The kernel of a package, from what follows `x.y.0-` in its name.
    fn package(self, tail: &[u8]) -> Self {
        let digits = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, flavour) = tail.split_at(digits);
        let Some(number) = decimal(digits) else { return self };
        for series in Series::ALL.iter().filter(|series| series.base == self.base) {
            if marks(flavour, series.name.as_bytes()) {
                return Self::of(series, Point::Exact(number));
            }
        }
        let [b'-', flavour @ ..] = flavour else { return self };
        let maker = maker(flavour);
        let ours = |known: &&Distribution| known.base == self.base && known.maker == maker;
        let Some(known) = Distribution::ALL.iter().find(ours) else { return self };
        let ours = number < CLOUD_PACKAGES;
        let point = match (known.point(number), known.next(number)) {
            (Some((point, evidence)), None) if ours => Point::AtLeast(point, evidence),
            (Some((from, evidence)), Some(below)) if ours => {
                Point::Between { from, below, evidence }
            }
            // Before the first package that is known: no less than the release.
            (None, Some(below)) if ours => {
                Point::Between { from: 0, below, evidence: Evidence::Found }
            }
            _ => Point::Unknown,
        };
        Self { distribution: Some(known), point, ..self }
    }

    /// The kernel of a point release, with the distribution that its name ends with, or the vendor.
    fn flavoured(self, tail: &[u8]) -> Self {
        if let (Some(vendor), Point::Exact(point)) = (vendor(tail), self.point) {
            let point = Point::AtLeast(point, Evidence::Found);
            return Self { vendor: Some(vendor), point, ..self };
        }
        let Some(tail) = tail.strip_prefix(b"+deb") else { return self };
        // A backport to an older release names that one, and is of no distribution here.
        let ours = |known: &&Distribution| {
            let number = known.title.strip_prefix("Debian ").unwrap_or_default();
            known.base == self.base && !number.is_empty() && tail.starts_with(number.as_bytes())
        };
        Self { distribution: Distribution::ALL.iter().find(ours), ..self }
    }

    /// Whether it is a mainline release, with nothing taken up.
    pub fn is_mainline(&self) -> bool {
        self.point == Point::Exact(0)
    }

    /// The last point release that anything known of the series rests on, where this kernel is
    /// newer: what came after that is not known.
    pub fn newer_than(&self) -> Option<u16> {
        let newest = self.series.map_or(0, Series::newest);
        match self.point {
            Point::Exact(point) | Point::AtLeast(point, _) => (point > newest).then_some(newest),
            Point::Newest | Point::Between { .. } | Point::Unknown => None,
        }
    }

    /// The point up to which findings hold.
    const fn reached(&self) -> u16 {
        match self.point {
            Point::Newest => u16::MAX,
            Point::Exact(point) | Point::AtLeast(point, _) | Point::Between { from: point, .. } => {
                point
            }
            Point::Unknown => 0,
        }
    }

    /// Whether the name leaves open if it has come to a point that lies beyond what it has reached.
    fn may_have_reached(&self, point: u16) -> bool {
        let limit = match self.point {
            Point::Newest | Point::Exact(_) => return false,
            Point::Between { below, .. } => below,
            Point::AtLeast(..) | Point::Unknown => u16::MAX,
        };
        point > self.reached() && point < limit
    }

    fn findings(&self) -> &'static [Finding] {
        self.series.map_or(&[], |series| series.findings)
    }

    /// Its rules: those of the base, and what it has taken up.
    pub fn rules(&self) -> Rules {
        let mut rules = Rules::at(self.base);
        for finding in self.findings().iter().filter(|finding| finding.from <= self.reached()) {
            (TABLE[finding.switch as usize].set)(&mut rules, finding.variant);
        }
        rules
    }

    /// What is known of a switch.
    pub fn standing(&self, switch: Switch) -> Standing {
        if let Some(found) = self.found(switch) {
            return found;
        }
        let entry = &TABLE[switch as usize];
        let base = (entry.get)(&Rules::at(self.base));
        let mut without = None;
        for changed in Release::all().filter(|release| *release > self.base) {
            let variant = (entry.get)(&Rules::at(changed));
            if variant == base {
                continue;
            }
            let Some(absent) = self.known_absent(switch, variant) else {
                return Standing::Guess { changed, to: &entry.info.variants[variant] };
            };
            without.get_or_insert(absent);
        }
        without.map_or(Standing::Unchanged, Standing::Without)
    }

    /// What the findings about a switch say, if there are any.
    fn found(&self, switch: Switch) -> Option<Standing> {
        let mut about = self.findings().iter().filter(|finding| finding.switch == switch);
        if let Some(open) = about.clone().find(|finding| self.may_have_reached(finding.from)) {
            return Some(Standing::Open(open));
        }
        if let Some(reached) = about.clone().rfind(|finding| finding.from <= self.reached()) {
            let base = (TABLE[switch as usize].get)(&Rules::at(self.base));
            let kept = reached.variant == base;
            return Some(if kept { Standing::Kept(reached) } else { Standing::Taken(reached) });
        }
        about.next().map(Standing::Later)
    }

    /// The finding by which the kernel does not have what brought this variant: one about another
    /// switch that the same commit moved, and that has not moved.
    fn known_absent(&self, switch: Switch, variant: usize) -> Option<&'static Finding> {
        let rules = self.rules();
        let brought = together::changes((switch, variant)).flat_map(|change| change.brings);
        brought.filter(|(other, _)| *other != switch).find_map(|&(other, first)| {
            let finding = match self.found(other)? {
                Standing::Kept(finding) | Standing::Taken(finding) | Standing::Later(finding) => {
                    finding
                }
                Standing::Open(_)
                | Standing::Without(_)
                | Standing::Unchanged
                | Standing::Guess { .. } => return None,
            };
            ((TABLE[other as usize].get)(&rules) < first).then_some(finding)
        })
    }

    /// What is known of every switch, in historic order.
    pub fn standings(&self) -> impl Iterator<Item = (&'static SwitchInfo, Standing)> + '_ {
        let switches = Switch::ALL.iter().zip(TABLE);
        switches.map(|(&switch, entry)| (&entry.info, self.standing(switch)))
    }
}

impl Kernel {
    /// What is not known of its switches, in historic order; of each, the variants that it may have
    /// instead, oldest first.
    pub fn doubts(&self) -> impl Iterator<Item = Doubt> + '_ {
        Switch::ALL.iter().flat_map(move |&switch| {
            let guess = matches!(self.standing(switch), Standing::Guess { .. });
            let later = Release::all().filter(move |release| guess && *release > self.base);
            let findings = self.findings().iter().filter(move |finding| {
                finding.switch == switch && self.may_have_reached(finding.from)
            });
            // A series may come back to what it had.
            let mut seen = 1_u32 << (TABLE[switch as usize].get)(&self.rules());
            let open = findings.filter_map(move |finding| {
                let new = seen & (1 << finding.variant) == 0;
                seen |= 1 << finding.variant;
                new.then(|| self.doubt(switch, finding.variant, Unknown::Open(finding)))
            });
            self.guesses(switch, later).chain(open)
        })
    }

    /// What mainline has had of a switch in these releases, each variant as it comes.
    fn guesses(
        &self,
        switch: Switch,
        releases: impl Iterator<Item = Release>,
    ) -> impl Iterator<Item = Doubt> {
        let entry = &TABLE[switch as usize];
        let held = (entry.get)(&self.rules());
        let believed = self.believed(switch);
        let mut seen = 1_u32 << held;
        releases.filter_map(move |since| {
            let variant = (entry.get)(&Rules::at(since));
            let new = seen & (1 << variant) == 0 && self.known_absent(switch, variant).is_none();
            seen |= 1 << variant;
            let believed = believed == Some(variant);
            new.then(|| self.doubt(switch, variant, Unknown::Guess { since, believed }))
        })
    }

    fn doubt(&self, switch: Switch, variant: usize, why: Unknown) -> Doubt {
        let entry = &TABLE[switch as usize];
        let variants = entry.info.variants;
        let held = &variants[(entry.get)(&self.rules())];
        Doubt { switch: &entry.info, held, other: &variants[variant], why }
    }

    /// The variant that its series is believed to have by now, from memory alone.
    fn believed(&self, switch: Switch) -> Option<usize> {
        let series = self.series.map_or(&[][..], Series::believed);
        series.iter().find(|finding| finding.switch == switch).map(|finding| finding.variant)
    }
}

/// The refusal of what is near a mainline release, and has no rules of its own.
const fn not_mainline(release: Release) -> RuleError {
    RuleError::NotMainline(release)
}

/// A point release that may exist.
fn point(digits: &[u8], text: &str, release: Release) -> Result<u16, RuleError> {
    let point = decimal(digits).filter(|point| *point <= MOST_POINTS);
    point.ok_or_else(|| match release.checked() {
        Ok(_) => RuleError::NoSuchPoint { name: text.into(), release },
        Err(error) => error,
    })
}

/// A decimal number, unless it is too large.
fn decimal(digits: &[u8]) -> Option<u16> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether the rest of a package's name has `.NAME`, and not as the start of a longer word.
fn marks(rest: &[u8], name: &[u8]) -> bool {
    rest.windows(name.len() + 1).enumerate().any(|(at, word)| {
        let next = rest.get(at + word.len());
        word[0] == b'.' && &word[1..] == name && !next.is_some_and(u8::is_ascii_alphanumeric)
    })
}

/// Who keeps the number of a stable release for a kernel with more in it: from what follows that
/// number. SUSE's packages have a number with dots before the flavour, Oracle's an `uek`.
fn vendor(tail: &[u8]) -> Option<&'static str> {
    let package = tail.strip_prefix(b"-")?;
    let numbers = package.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let (numbers, flavour) = package.split_at(numbers);
    if package.windows(3).any(|word| word == b"uek") {
        return Some("Oracle");
    }
    const FLAVOURS: &[&[u8]] =
        &[b"-default", b"-azure", b"-rt", b"-preempt", b"-64kb", b"-kvmsmall"];
    let suse = numbers.contains(&b'.') && FLAVOURS.iter().any(|name| flavour.starts_with(name));
    suse.then_some("SUSE")
}

/// Who makes a kernel of this flavour: Debian's are named for the architecture.
fn maker(flavour: &[u8]) -> Maker {
    const ARCHITECTURES: &[&[u8]] = &[
        b"amd64",
        b"arm64",
        b"686",
        b"686-pae",
        b"armmp",
        b"armmp-lpae",
        b"powerpc64le",
        b"s390x",
        b"riscv64",
    ];
    let ends = |name: &&[u8]| flavour.ends_with(name);
    if ARCHITECTURES.iter().any(ends) { Maker::Debian } else { Maker::Ubuntu }
}

#[cfg(test)]
mod tests;
