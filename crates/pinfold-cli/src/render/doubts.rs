//! What a verdict about a kernel depends on that is not known of it: the section DOUBT, and the
//! part of a document.

use super::report::{section_painted, word};
use super::text::{clean, counted, fold};
use super::{Look, Tone};
use crate::show;
use pinfold::rules::{Doubt, Unknown};
use pinfold_lab::report::{Report, Verdict};
use serde::Serialize;

/// The most variants that are named of those whose search did not end.
const NAMED: usize = 6;

/// Columns of the word in front of the section.
const WORD: usize = 6;

/// What is not known of a kernel, and what of that decides a verdict.
#[derive(Serialize)]
pub(crate) struct Doubts {
    /// The kernel as it was named.
    name: String,
    /// The verdict that is in doubt.
    #[serde(skip)]
    verdict: Verdict,
    /// The switches that nobody looked at.
    guesses: usize,
    /// The switches that its series took up at a point that it may have reached or not.
    open: usize,
    /// How many variants were asked about, and how many of the searches were not done.
    #[serde(skip_serializing_if = "none")]
    pub(crate) tried: u64,
    #[serde(skip_serializing_if = "none")]
    pub(crate) undecided: u64,
    /// The variants of those, as `switch=variant`: under a failure each may be what turns it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unended: Vec<String>,
    /// What turns the verdict, alone.
    #[serde(rename = "depends_on", skip_serializing_if = "Vec::is_empty")]
    pub(crate) turns: Vec<Turn>,
    /// Switches that decided and are not known, of which no other variant turns it alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) kept: Vec<&'static str>,
    /// Whether the rest was not asked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) interrupted: bool,
    /// Whether each verdict is that of one order of the steps, and not of a search.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    one_order: bool,
}

/// A switch that is not known and decides.
#[derive(Serialize)]
pub(crate) struct Turn {
    pub(crate) switch: &'static str,
    /// What the kernel is taken to have.
    pub(crate) held: &'static str,
    /// What it may have.
    pub(crate) other: &'static str,
    /// `guess`: nobody looked; `open`: its series has it from some point on.
    pub(crate) standing: &'static str,
    /// The release of mainline, or the point of the series, that has it first.
    pub(crate) from: String,
    /// The commit that brought it.
    pub(crate) commit: Option<&'static str>,
    /// Whether it is believed from memory that newer builds have it.
    pub(crate) believed: bool,
    /// The verdict with it.
    pub(crate) verdict: Verdict,
}

/// A report, and what is not known of its kernel.
#[derive(Serialize)]
pub(crate) struct Doubted<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<&'a Doubts>,
}

impl<'a> Doubted<'a> {
    pub(crate) const fn new(report: &'a Report, kernel: Option<&'a Doubts>) -> Self {
        Self { report, kernel }
    }
}

/// Whether there is nothing to count.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out a reference")]
fn none(count: &u64) -> bool {
    *count == 0
}

impl Doubts {
    /// Those of a kernel, none of which is decided.
    pub(crate) fn new(name: &str, verdict: Verdict, all: &[Doubt]) -> Self {
        let (mut guesses, mut open): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for doubt in all {
            let of = match doubt.why {
                Unknown::Guess { .. } => &mut guesses,
                Unknown::Open(_) => &mut open,
            };
            // Those of one switch follow each other.
            if of.last() != Some(&doubt.switch.name) {
                of.push(doubt.switch.name);
            }
        }
        Self {
            name: name.to_owned(),
            verdict,
            guesses: guesses.len(),
            open: open.len(),
            tried: 0,
            undecided: 0,
            unended: Vec::new(),
            turns: Vec::new(),
            kept: Vec::new(),
            interrupted: false,
            one_order: false,
        }
    }

    /// The same, where each verdict is that of one order of the steps.
    pub(crate) fn of_one_order(self) -> Self {
        Self { one_order: true, ..self }
    }

    /// The line below a table.
    pub(crate) fn note(&self, look: &Look) -> String {
        let text = format!(
            "{}; `pinfold check NAME --rules {}` says on which of them a verdict depends",
            self.count(),
            show::quoted(&self.name)
        );
        let lines = fold(&clean(&text, look), look.width, 2);
        lines.iter().map(|line| look.paint(Tone::Doubt, line) + "\n").collect()
    }

    /// How much is not known, in words.
    fn count(&self) -> String {
        let switches = |number: usize| counted(number as u64, "switch", "switches");
        match (self.guesses, self.open) {
            (guesses, 0) => format!("guessed of {}: {}", self.name, switches(guesses)),
            (0, open) => format!("not known of {}: {}", self.name, switches(open)),
            (guesses, open) => format!(
                "guessed of {}: {}; perhaps taken up, perhaps not: {open} more",
                self.name,
                switches(guesses)
            ),
        }
    }

    /// The sentences.
    fn sentences(&self) -> Vec<String> {
        let mut said: Vec<String> = self.turns.iter().map(|turn| turn.sentence(self)).collect();
        if !self.kept.is_empty() {
            let names = self.kept.join(", ");
            said.push(format!("not known of {}, too, and turns nothing alone: {names}", self.name));
        }
        if said.is_empty() {
            let all = self.undecided == 0 && !self.interrupted;
            let asked = match self.verdict {
                Verdict::Fail if all => "; none of them decided this",
                _ if all => "; none of those that were asked for changes this verdict alone",
                _ if self.tried > self.undecided => {
                    "; none of those whose search ended changes this verdict alone"
                }
                _ => "",
            };
            said.push(format!("{}{asked}", self.count()));
        }
        if !self.unended.is_empty() {
            said.push(self.candidates());
        }
        if self.interrupted {
            said.push("interrupted: not all were asked".to_owned());
        }
        said
    }

    /// The variants whose searches ended at a bound, by name, as far as there is room.
    fn candidates(&self) -> String {
        let named = &self.unended[..self.unended.len().min(NAMED)];
        let more = match self.unended.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let names = format!("{}{more}", named.join(", "));
        let (which, what) = match self.verdict {
            Verdict::Fail => (", alone, may turn this", "broke there"),
            _ => ("", "broke"),
        };
        format!("{names}{which}: a bound ended the search, and nothing {what} before")
    }

    /// The lines of a section of a report.
    pub(crate) fn section(&self, look: &Look) -> Vec<String> {
        let room = look.width.saturating_sub(WORD);
        let lines: Vec<String> = self
            .sentences()
            .iter()
            .flat_map(|sentence| fold(&clean(sentence, look), room, 2))
            .collect();
        section_painted("DOUBT", Tone::Doubt, &lines, look)
    }

    /// The section by itself, with a line break after each line.
    pub(crate) fn draw(&self, look: &Look) -> String {
        self.section(look).iter().flat_map(|line| [line.trim_end(), "\n"]).collect()
    }
}

impl Turn {
    fn sentence(&self, of: &Doubts) -> String {
        let Self { switch, held, other, from, .. } = self;
        let kernel = &of.name;
        let what = match self.standing {
            "open" => format!(
                "{switch}={held}, but the series of {kernel} has {other} from its point {from} on"
            ),
            _ => format!(
                "{switch}={held} is a guess for {kernel}: mainline has had {other} since {from}"
            ),
        };
        let believed = match self.believed {
            true => ", and this kernel has it by now, from memory (facts 0.4)",
            false => "",
        };
        let on = match self.commit {
            Some(commit) => format!("has {commit}"),
            None => format!("has {other}"),
        };
        let with = match of.verdict {
            Verdict::Skip => format!(
                "`--rules {}` asks as if it had ({})",
                show::quoted(&format!("{kernel},{switch}={other}")),
                word(self.verdict).0
            ),
            _ if of.one_order => {
                format!("with that it would be {} in this order", word(self.verdict).0)
            }
            _ => format!("with that it is {}", word(self.verdict).0),
        };
        format!("{what}{believed}; {with}: depends on whether it {on}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Charset, Colour, Detail};
    use super::*;
    use pinfold::rules::Kernel;

    fn of(name: &str, verdict: Verdict) -> Doubts {
        let kernel = Kernel::parse("el9").expect("a kernel");
        Doubts::new(name, verdict, &kernel.doubts().collect::<Vec<_>>())
    }

    #[test]
    fn what_was_not_asked_is_not_said_to_change_nothing() {
        for verdict in [Verdict::Fail, Verdict::Pass] {
            let mut doubts = of("el9", verdict);
            assert!(doubts.sentences()[0].contains("; none of"), "{:?}", doubts.sentences());
            doubts.interrupted = true;
            assert!(!doubts.sentences()[0].contains("none of"), "{:?}", doubts.sentences());
            (doubts.tried, doubts.undecided) = (2, 2);
            assert!(!doubts.sentences()[0].contains("none of"), "{:?}", doubts.sentences());
            doubts.tried = 3;
            assert!(doubts.sentences()[0].contains("none of those whose search ended"));
        }
    }

    /// Whose search did not end is named: it may be the one that turns a failure.
    #[test]
    fn what_did_not_end_is_named() {
        let mut doubts = of("el9", Verdict::Fail);
        let names = (0..8).map(|number| format!("switch-{number}=on"));
        (doubts.tried, doubts.undecided, doubts.unended) = (8, 8, names.collect());
        let said = doubts.sentences();
        let last = said.last().expect("a sentence");
        assert!(last.starts_with("switch-0=on, switch-1=on, "), "{last}");
        assert!(last.contains(" and 2 more, alone, may turn this: a bound ended"), "{last}");
        let mut doubts = of("el9", Verdict::Pass);
        (doubts.undecided, doubts.unended) = (1, vec!["direct-io=pin".to_owned()]);
        let said = doubts.sentences();
        assert!(said.iter().any(|line| line.starts_with("direct-io=pin: a bound ended")));
    }

    #[test]
    fn a_command_reads_its_names_back() {
        let name = "el9, pte-cow=exclusive";
        let look = Look {
            width: 200,
            height: 40,
            charset: Charset::Ascii,
            colour: Colour::Off,
            detail: Detail::Screen,
        };
        assert!(of(name, Verdict::Pass).note(&look).contains(&format!("--rules '{name}'`")));
        let turn = Turn {
            switch: "interfaces",
            held: "none",
            other: "all",
            standing: "guess",
            from: "5.6".to_owned(),
            commit: None,
            believed: false,
            verdict: Verdict::Pass,
        };
        let said = turn.sentence(&of(name, Verdict::Skip));
        assert!(said.contains(&format!("`--rules '{name},interfaces=all'`")), "{said}");
    }
}
