//! Results as KTAP, the form in which the kernel's tests report (Documentation/dev-tools/ktap.rst),
//! for its runners and for a CI that reads them.
//!
//! - INV-KTAP-1: every level has a version line, a plan, and as many results as it plans, numbered
//!   from 1; a level below is indented by two blanks and stands before its own result.
//! - INV-KTAP-2: a level fails if one of its parts does, and is skipped if all of them are.
//! - INV-KTAP-3: nothing of a scenario begins a line or a directive: line breaks become notes, and
//!   a `#` in a name becomes `-`.

use super::summary::story;
use super::text::clean;
use super::{Charset, Look};
use pinfold_lab::report::{Report, Verdict};

/// What a runner takes an exit status for, as in the kernel's `kselftest.h`.
mod status {
    pub(super) const PASS: u8 = 0;
    pub(super) const FAIL: u8 = 1;
    pub(super) const SKIP: u8 = 4;
}

/// The exit status of what never came to a result.
pub(crate) const BAILED_OUT: u8 = status::FAIL;

/// What became of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is as it should be.
    Passed,
    /// It is not.
    Failed,
    /// It breaks, and that is what was expected.
    Expected(String),
    /// It cannot be asked here, for this reason.
    Skipped(String),
    /// A bound ended it before there was an answer.
    Stopped(String),
    /// The scenario or the tool is at fault.
    Wrong(String),
}

impl Outcome {
    fn is_ok(&self) -> bool {
        match self {
            Self::Passed | Self::Expected(_) | Self::Skipped(_) => true,
            Self::Failed | Self::Stopped(_) | Self::Wrong(_) => false,
        }
    }

    /// The directive behind the name, with its reason.
    fn directive(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Passed | Self::Failed => None,
            Self::Expected(why) => Some(("XFAIL", why)),
            Self::Skipped(why) => Some(("SKIP", why)),
            Self::Stopped(why) => Some(("TIMEOUT", why)),
            Self::Wrong(why) => Some(("ERROR", why)),
        }
    }
}

/// A test with its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    name: String,
    outcome: Outcome,
    /// What there is to say before its result.
    notes: Vec<String>,
    parts: Vec<Test>,
}

impl Test {
    /// A test without parts.
    pub(crate) fn new(name: &str, outcome: Outcome, notes: Vec<String>) -> Self {
        Self { name: name.to_owned(), outcome, notes, parts: Vec::new() }
    }

    /// A test that is the sum of its parts.
    pub(crate) fn of_parts(name: &str, parts: Vec<Test>) -> Self {
        let skipped = |part: &Test| matches!(part.outcome, Outcome::Skipped(_));
        let outcome = if parts.iter().any(|part| !part.outcome.is_ok()) {
            Outcome::Failed
        } else if !parts.is_empty() && parts.iter().all(skipped) {
            Outcome::Skipped("all of its parts are".to_owned())
        } else {
            Outcome::Passed
        };
        Self { name: name.to_owned(), outcome, notes: Vec::new(), parts }
    }

    /// The test that a report is; `allow_partial` takes one that a bound ended for one that passed.
    pub(crate) fn of_report(name: &str, report: &Report, allow_partial: bool) -> Self {
        let mut notes = Vec::new();
        let outcome = match report.verdict {
            Verdict::Pass => Outcome::Passed,
            Verdict::Fail => Outcome::Failed,
            Verdict::Skip => Outcome::Skipped(reason(report)),
            Verdict::Partial if allow_partial => Outcome::Passed,
            Verdict::Partial => {
                let why = report.search.incomplete.clone();
                Outcome::Stopped(why.unwrap_or_else(|| "a bound ended the search".to_owned()))
            }
            Verdict::Error => Outcome::Wrong(reason(report)),
        };
        if let Some(broken) = &report.broken
            && report.verdict == Verdict::Fail
        {
            notes.push(format!("{}: {}", broken.title(), broken.what.join("; ")));
            notes.extend(broken.why.iter().cloned());
            notes.push(format!("id {}", report.id));
        } else {
            notes.push(story(report));
        }
        Self::new(name, outcome, notes)
    }

    /// The lines of the test, which is the one with this number on its level.
    fn lines(&self, number: usize, depth: usize, out: &mut String) {
        if !self.parts.is_empty() {
            line(depth + 1, "KTAP version 1", out);
            line(depth + 1, &format!("# Subtest: {}", name(&self.name)), out);
            line(depth + 1, &format!("1..{}", self.parts.len()), out);
            for (part, number) in self.parts.iter().zip(1..) {
                part.lines(number, depth + 1, out);
            }
        }
        for note in self.notes.iter().flat_map(|note| note.lines()) {
            line(depth, &format!("# {}", plain(note)), out);
        }
        let ok = if self.outcome.is_ok() { "ok" } else { "not ok" };
        let directive = self.outcome.directive().map(|(word, why)| {
            format!(" # {word} {}", plain(&why.lines().collect::<Vec<_>>().join("; ")))
        });
        let (name, directive) = (name(&self.name), directive.unwrap_or_default());
        line(depth, &format!("{ok} {number} {name}{directive}"), out);
    }
}

/// Why there was nothing to search.
fn reason(report: &Report) -> String {
    let what = report.broken.as_ref().and_then(|broken| broken.what.first().cloned());
    what.or_else(|| report.search.incomplete.clone()).unwrap_or_default()
}

fn line(depth: usize, text: &str, out: &mut String) {
    out.push_str(&format!("{:1$}{2}\n", "", 2 * depth, text.trim_end()));
}

/// Text that stays on its line, whatever a terminal makes of it.
fn plain(text: &str) -> String {
    let look = Look {
        width: usize::MAX,
        height: usize::MAX,
        charset: Charset::Ascii,
        colour: super::Colour::Off,
        detail: super::Detail::All,
    };
    clean(text, &look)
}

fn name(text: &str) -> String {
    plain(text).replace('#', "-")
}

/// A document that is written test by test.
#[derive(Debug, Default)]
pub(crate) struct Document {
    tests: Vec<Outcome>,
}

impl Document {
    /// The head of a document with so many tests.
    pub(crate) fn head(&self, tests: usize) -> String {
        format!("KTAP version 1\n1..{tests}\n")
    }

    /// The next test.
    pub(crate) fn test(&mut self, test: &Test) -> String {
        let mut out = String::new();
        self.tests.push(test.outcome.clone());
        test.lines(self.tests.len(), 0, &mut out);
        out
    }

    /// The last line, in the words of `kselftest.h`.
    pub(crate) fn totals(&self) -> String {
        let count =
            |is: fn(&Outcome) -> bool| self.tests.iter().filter(|outcome| is(outcome)).count();
        format!(
            "# Totals: pass:{} fail:{} xfail:{} xpass:0 skip:{} error:{}\n",
            count(|one| *one == Outcome::Passed),
            count(|one| matches!(one, Outcome::Failed | Outcome::Stopped(_))),
            count(|one| matches!(one, Outcome::Expected(_))),
            count(|one| matches!(one, Outcome::Skipped(_))),
            count(|one| matches!(one, Outcome::Wrong(_))),
        )
    }

    /// The exit status of the whole.
    pub(crate) fn exit_code(&self) -> u8 {
        let skipped = |one: &Outcome| matches!(one, Outcome::Skipped(_));
        if self.tests.iter().any(|one| !one.is_ok()) {
            status::FAIL
        } else if !self.tests.is_empty() && self.tests.iter().all(skipped) {
            status::SKIP
        } else {
            status::PASS
        }
    }
}

/// What tells a runner that there will be no more results.
pub(crate) fn bail_out(why: &str) -> String {
    format!("Bail out! {}\n", plain(&why.lines().collect::<Vec<_>>().join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str, outcome: Outcome) -> Test {
        Test::new(name, outcome, vec!["seen\nnot ok 7 hidden".to_owned()])
    }

    #[test]
    fn levels_are_planned_numbered_and_indented() {
        let parts = vec![
            test("linux-5.8", Outcome::Passed),
            test("linux-5.9", Outcome::Skipped("no uffd\nok 9".to_owned())),
        ];
        let mut document = Document::default();
        let mut text = document.head(2);
        text += &document.test(&Test::of_parts("a # TODO b", parts));
        text += &document.test(&test("c", Outcome::Stopped("100 executions".to_owned())));
        text += &document.totals();
        let expected = "\
KTAP version 1
1..2
  KTAP version 1
  # Subtest: a - TODO b
  1..2
  # seen
  # not ok 7 hidden
  ok 1 linux-5.8
  # seen
  # not ok 7 hidden
  ok 2 linux-5.9 # SKIP no uffd; ok 9
ok 1 a - TODO b
# seen
# not ok 7 hidden
not ok 2 c # TIMEOUT 100 executions
# Totals: pass:1 fail:1 xfail:0 xpass:0 skip:0 error:0
";
        assert_eq!(text, expected);
        assert_eq!(document.exit_code(), status::FAIL);
    }

    #[test]
    fn the_status_is_that_of_kselftest() {
        let status = |outcomes: &[Outcome]| {
            let mut document = Document::default();
            for outcome in outcomes {
                document.test(&test("t", outcome.clone()));
            }
            document.exit_code()
        };
        let why = String::new;
        assert_eq!(status(&[Outcome::Passed, Outcome::Skipped(why())]), status::PASS);
        assert_eq!(status(&[Outcome::Skipped(why()), Outcome::Skipped(why())]), status::SKIP);
        assert_eq!(status(&[Outcome::Expected(why())]), status::PASS);
        for bad in [Outcome::Failed, Outcome::Stopped(why()), Outcome::Wrong(why())] {
            assert_eq!(status(&[Outcome::Passed, bad]), status::FAIL);
        }
        let all = vec![test("p", Outcome::Skipped(why())), test("q", Outcome::Skipped(why()))];
        assert!(matches!(Test::of_parts("t", all).outcome, Outcome::Skipped(_)));
    }
}
