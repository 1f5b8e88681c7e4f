//! What other variants of the rules that decided do alone, in words: for the text of an explanation
//! and for its page.
//!
//! - INV-MENDED-1: what a count is made of is said where it is told first, and not again.

use super::rules::since;
use super::text::counted;
use pinfold::rules::{Status, SwitchInfo, VariantInfo};
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::{Contrast, Deed, Parting};
use serde::{Serialize, Serializer};

/// What becomes of the scenario if one switch alone is as in a later release.
#[derive(Serialize)]
pub(crate) struct Mend {
    /// The switch.
    pub(crate) switch: &'static str,
    /// Its variant.
    #[serde(serialize_with = "named")]
    pub(crate) variant: &'static VariantInfo,
    /// Whether it saves the scenario: every execution was tried, and none breaks.
    pub(crate) saves: bool,
    /// What a search found.
    pub(crate) verdict: Verdict,
    /// Whether it failed only as it never met what a `reach` of the scenario names.
    pub(crate) vacuous: bool,
    /// The executions that it took.
    pub(crate) executions: u64,
    /// What broke, if it was found by another oracle than what is explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) otherwise: Option<String>,
    /// What an execution with it decides in another way, if one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) contrast: Option<Apart>,
}

/// What an execution under other rules does that the one that is explained does not.
#[derive(Serialize)]
pub(crate) struct Apart {
    /// In which order it goes.
    pub(crate) order: Order,
    /// Where they part; nothing if nothing is decided in another way.
    pub(crate) contrast: Option<Contrast>,
}

/// The order of an execution under other rules.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// That of the execution that is explained, for as long as it can be followed.
    Same,
    /// That in which it breaks.
    Another,
}

/// A variant by its name, as `--rules` takes it.
fn named<S: Serializer>(variant: &&'static VariantInfo, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(variant.name)
}

/// A switch that decided, and what is said of its variants.
pub(crate) struct Decided {
    /// The switch.
    pub(crate) switch: &'static SwitchInfo,
    /// Its variant in force.
    pub(crate) variant: &'static VariantInfo,
    /// The variant in force with its era, and what it is.
    pub(crate) in_force: String,
    /// The first that saves the scenario in full, if one does: of those that some release has had,
    /// if there are such.
    pub(crate) saved: Option<Saved>,
    /// What each of the others that came later does alone.
    pub(crate) others: Vec<String>,
}

/// What is said of a variant that saves a scenario.
pub(crate) struct Saved {
    /// Its name with its era, and what it is.
    pub(crate) by: String,
    /// Sentences about it.
    pub(crate) then: Vec<String>,
}

/// The switches that decided.
pub(crate) fn decided_by(report: &Report, mends: &[Mend]) -> Vec<Decided> {
    let mut teller = Teller { summed: Vec::new() };
    let deciding = report.deciding().into_iter();
    deciding.map(|(switch, variant)| teller.decided((switch, variant), mends)).collect()
}

/// Whether there are variants that came later, and none of them alone saves the scenario.
pub(crate) fn none_saves(mends: &[Mend]) -> bool {
    !mends.is_empty() && mends.iter().all(|mend| mend.verdict == Verdict::Fail)
}

/// Tells of variants one after another.
struct Teller {
    /// The sums that have been told.
    summed: Vec<String>,
}

impl Teller {
    fn decided(
        &mut self,
        (switch, variant): (&'static SwitchInfo, &'static VariantInfo),
        mends: &[Mend],
    ) -> Decided {
        let own = || mends.iter().filter(|mend| mend.switch == switch.name);
        let saves = |mend: &&Mend| mend.verdict == Verdict::Pass;
        let released = |mend: &&Mend| mend.variant.status == Status::Released;
        // What a kernel can have comes before what none has.
        let first = own().filter(saves).find(released).or_else(|| own().find(saves));
        let first = first.map(|mend| mend.variant.name);
        let saved = own().find(|mend| first == Some(mend.variant.name));
        let saved = saved.map(|mend| self.saved_by(switch, mend));
        // What came later still is for who asks `pinfold rules`.
        let others = own().filter(|mend| first != Some(mend.variant.name));
        let others = others.map(|mend| self.other(switch, mend)).collect();
        Decided { switch, variant, in_force: told(switch, variant), saved, others }
    }

    /// The variant that saves the scenario, what it is, and what it decides in another way.
    fn saved_by(&mut self, switch: &SwitchInfo, mend: &Mend) -> Saved {
        let later = mend.variant;
        let mut then = Vec::new();
        if let Some(same) = same_as(switch, later) {
            then.push(format!("The same as {}", told(switch, same)));
        }
        let searched = counted(mend.executions, "execution", "executions");
        then.push(format!("With it alone nothing breaks: the search ends after {searched}."));
        if let Some(Apart { contrast, .. }) = &mend.contrast {
            then.push(match contrast {
                None => format!("{NO_DECISION}."),
                Some(contrast @ Contrast { first, last, .. }) => {
                    let order = in_order(contrast);
                    let first = self.both(first);
                    let last = last.as_ref().map(|last| format!(" Then, {}.", self.both(last)));
                    format!("In {order}, {first}.{}", last.unwrap_or_default())
                }
            });
        }
        Saved { by: told(switch, later), then }
    }

    /// Another variant: what it is, what becomes of the scenario with it, and what it decides in
    /// another way.
    fn other(&mut self, switch: &SwitchInfo, mend: &Mend) -> String {
        let variant = mend.variant;
        let what = clause(switch, variant);
        let apart = self.apart(mend);
        format!("{} ({}): {what}. It {apart}.", variant.name, since(variant))
    }

    /// What becomes of the scenario with a variant alone, and what that decides in another way.
    fn apart(&mut self, mend: &Mend) -> String {
        let searched = counted(mend.executions, "execution", "executions");
        let what = match (mend.verdict, &mend.otherwise) {
            (Verdict::Pass, _) => "saves it, too".to_owned(),
            (Verdict::Fail, _) if mend.vacuous => "has no such window".to_owned(),
            (Verdict::Fail, None) => "breaks".to_owned(),
            (Verdict::Fail, Some(what)) => format!("breaks in another way ({what})"),
            (Verdict::Partial, _) => format!("was not searched to the end ({searched})"),
            (Verdict::Skip | Verdict::Error, _) => return "was not searched".to_owned(),
        };
        let Some(Apart { order, contrast }) = &mend.contrast else { return what };
        match (contrast, order) {
            (None, Order::Same) => format!("{what}: in the same order no decision differs"),
            (None, Order::Another) => {
                format!("{what}, in another order, where no decision differs")
            }
            (Some(Contrast { first, same_order: true, .. }), Order::Same) => {
                format!("{what}: {}", self.there(first))
            }
            (Some(contrast), Order::Same) => {
                let there = self.there(&contrast.first);
                format!("{what}, in {}: {there}", in_order(contrast))
            }
            (Some(Contrast { first, .. }), Order::Another) => {
                format!("{what}, in another order: {}", self.there(first))
            }
        }
    }

    /// What the other execution does in a step.
    fn there(&mut self, parting: &Parting) -> String {
        format!("step {} ({}): {}", parting.step, parting.text, self.deed(&parting.there))
    }

    /// The same, and what the execution that is explained does.
    fn both(&mut self, parting: &Parting) -> String {
        let there = self.there(parting);
        format!("{there}; here: {}", self.deed(&parting.here))
    }

    /// What was done, with what its counts are made of if that was not told before.
    fn deed(&mut self, deed: &Option<Deed>) -> String {
        let Some(Deed { text, sum }) = deed else { return "nothing of the kind".to_owned() };
        match sum.as_ref().filter(|sum| !self.summed.contains(sum)) {
            None => text.clone(),
            Some(sum) => {
                self.summed.push(sum.clone());
                format!("{text} ({sum})")
            }
        }
    }
}

/// The order in which the other execution comes to the first difference.
fn in_order(contrast: &Contrast) -> &'static str {
    if contrast.same_order { "the same order" } else { "the order nearest to it" }
}

/// What is said where two executions have the same to tell.
const NO_DECISION: &str = "In the same order no decision differs: the rule changes what runs \
                           between them";

/// The variant of which the text of another one says only what is different: the one before it.
fn same_as(switch: &SwitchInfo, variant: &VariantInfo) -> Option<&'static VariantInfo> {
    let at = switch.variants.iter().position(|one| one.name == variant.name)?;
    let before = switch.variants.get(at.checked_sub(1)?)?;
    variant.doc.starts_with(THE_SAME).then_some(before)
}

/// How the text of a variant begins that says only what is different from the one before it.
const THE_SAME: &str = "The same";

/// What a variant is, in the words of its first sentence.
fn clause(switch: &SwitchInfo, variant: &VariantInfo) -> String {
    let first = variant.doc.split_once(". ").map_or(variant.doc, |(first, _)| first);
    let first = first.trim_end_matches('.');
    if let (Some(before), Some(rest)) = (same_as(switch, variant), first.strip_prefix(THE_SAME)) {
        return format!("the same as {}{rest}", before.name);
    }
    let mut letters = first.chars();
    match (letters.next(), letters.next()) {
        // Not a word in capitals.
        (Some(one), Some(two)) if !two.is_uppercase() => {
            let rest = &first[one.len_utf8()..];
            format!("{}{rest}", one.to_lowercase())
        }
        _ => first.to_owned(),
    }
}

fn told(switch: &SwitchInfo, variant: &VariantInfo) -> String {
    format!("{} ({}). {}", variant.name, switch.era(variant).concat(), variant.doc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinfold::Rules;

    /// Whoever meets a variant in a list is told what it is.
    #[test]
    fn every_variant_has_a_clause_of_its_own() {
        for switch in Rules::switches() {
            let mut clauses: Vec<String> = Vec::new();
            for variant in switch.variants {
                let clause = clause(switch, variant);
                assert!(!clause.is_empty() && !clause.ends_with('.'), "{clause}");
                assert!(!clause.starts_with("the same,"), "{}: {clause}", variant.name);
                assert!(!clauses.contains(&clause), "{}: {clause}", variant.name);
                clauses.push(clause);
            }
        }
    }

    #[test]
    fn what_a_count_is_made_of_is_said_once() {
        let mut teller = Teller { summed: Vec::new() };
        let deed = Some(Deed { text: "copied".to_owned(), sum: Some("2 = 1 + 1".to_owned()) });
        assert_eq!(teller.deed(&deed), "copied (2 = 1 + 1)");
        assert_eq!(teller.deed(&deed), "copied");
        assert_eq!(teller.deed(&None), "nothing of the kind");
    }
}
