//! When a scenario broke, when it was mended, and by what: the releases whose rules differ, and the
//! smallest sets of switches that turn one verdict into another.
//!
//! Every answer is that of a search ([`Answers`]): nothing is told from the names of the rules.
//!
//! - INV-HISTORY-1: the releases of an era have the same verdict, each by a search of its own or by
//!   one of a release that agrees with it in all that was asked for; and where they break, each
//!   breaks for the same reason (INV-REASON-1) as the one before it.
//! - INV-HISTORY-2: no smaller set of switches does what one does that was found.
//! - INV-HISTORY-3: what there is decides no verdict: an era that begins with a call that the
//!   scenario needs says so, and which switches beside it turned the verdict, if any did.
//! - INV-HISTORY-4: where nothing breaks, an era ends with the switches that made it so: where one
//!   of them moves on, and what it has now is not enough, the next era has those that are.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use pinfold::rules::{
    Difference, Interface, Release, Rules, Status, Switch, SwitchInfo, VariantInfo,
};

use crate::answers::Answers;
use crate::report::{Report, Verdict};

pub use reason::{Decided, Reason};

mod reason;
#[cfg(test)]
mod tests;

/// Releases that follow each other and have the same verdict: for the same reason if they break,
/// and by the same switches if they were mended.
#[derive(Clone, Debug)]
pub struct Era {
    /// The first of them.
    pub first: Release,
    /// The last of them.
    pub last: Release,
    /// The report of the first; if it breaks, of an execution that is easy to follow.
    pub report: Report,
    /// Why it breaks, if it does.
    pub reason: Option<Reason>,
    /// The fewest switches whose change between the release before and `first` makes the verdict
    /// what it is, or the reason if both break; none in the oldest era, and none if the scenario
    /// could not be asked about before and nothing else had a part. Where the era before holds as
    /// well, against the last release that does not (INV-HISTORY-4).
    pub turn: Vec<Difference>,
    /// What the scenario needs and the release before did not have.
    pub came: Vec<Interface>,
}

/// Changes of switches that make a scenario hold.
#[derive(Clone, Debug)]
pub struct Cure {
    /// What changes: `left` is in force, `right` takes its place.
    pub changes: Vec<Difference>,
}

/// What a search for cures found.
#[derive(Clone, Debug, Default)]
pub struct Cures {
    /// The sets of changes under which every execution was searched and none breaks.
    pub found: Vec<Cure>,
    /// Those under which nothing broke before a bound ended the search.
    pub undecided: Vec<Cure>,
    /// How many sets were looked at.
    pub tried: u64,
    /// How many changes the largest sets that were all looked at have.
    pub size: usize,
    /// Whether the caller ended it early.
    pub ended: bool,
}

/// The history of a scenario by release, oldest first. `progress` is asked before and after each
/// search, with the release that it is about, and can end the whole: a search after which it did so
/// may have been stopped, and makes no era.
pub fn eras(
    answers: &Answers<'_>,
    mut progress: impl FnMut(Release) -> ControlFlow<()>,
) -> Vec<Era> {
    let mut eras: Vec<Era> = Vec::new();
    let mut before: Option<Rules> = None;
    let mut mended: Option<Mended> = None;
    for release in Release::all() {
        let Ok(rules) = Rules::linux(&release.to_string()) else { continue };
        if progress(release).is_break() {
            break;
        }
        let report = answers.under(&rules, &mut |_| {});
        let told = told(answers, &rules, &report);
        if progress(release).is_break() {
            break;
        }
        let (report, reason) = match told {
            Some((told, reason)) => (Report { broken: told.broken, ..report }, Some(reason)),
            None => (report, None),
        };
        let now = (&report, reason.as_ref());
        match (eras.last_mut(), before) {
            (Some(era), _) if goes_on_as((&era.report, era.reason.as_ref()), now) => {
                let goes_on = &mut || progress(release);
                let moved = mended.as_ref().map(|mended| mended.moves(answers, &rules, goes_on));
                let Some(moved) = moved.unwrap_or(Some(Vec::new())) else { break };
                if moved.is_empty() {
                    era.last = release;
                } else {
                    mended = mended.map(|mended| Mended { by: moved.clone(), ..mended });
                    let (turn, came) = (shown(moved), Vec::new());
                    eras.push(Era { first: release, last: release, report, reason, turn, came });
                }
            }
            (Some(era), Some(old)) => {
                let goes_on = &mut || progress(release);
                // Where the verdict turned, what it turned to is not asked for its reason.
                let reason_turned = alike(&era.report, &report);
                let wanted = (&report, reason.as_ref().filter(|_| reason_turned));
                let Some(by) = turn(answers, (&old, &rules), wanted, goes_on) else { break };
                let holds = report.verdict == Verdict::Pass;
                mended = holds.then(|| Mended { broken: old, by: by.clone() });
                let turn = shown(by);
                let mut came = answers.absent(&old);
                came.retain(|interface| interface.exists(&rules));
                eras.push(Era { first: release, last: release, report, reason, turn, came });
            }
            _ => {
                let (turn, came) = (Vec::new(), Vec::new());
                eras.push(Era { first: release, last: release, report, reason, turn, came });
            }
        }
        before = Some(rules);
    }
    eras
}

/// The changes without what there is, which decides no verdict (INV-HISTORY-3).
fn shown(mut changes: Vec<Difference>) -> Vec<Difference> {
    changes.retain(|change| change.switch.name != Switch::Interfaces.name());
    changes
}

/// What made a scenario hold.
struct Mended {
    /// The rules of the last release that it did not hold under.
    broken: Rules,
    /// The changes from there that are enough.
    by: Vec<Difference>,
}

impl Mended {
    /// The changes that make it hold under `rules`, where it does, if those that did so are not
    /// enough any more as their switches have moved; empty if they are. Nothing, if `goes_on` ended
    /// the search for them.
    fn moves(
        &self,
        answers: &Answers<'_>,
        rules: &Rules,
        goes_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Option<Vec<Difference>> {
        let all: Vec<Difference> = self.broken.diff(rules).collect();
        let of =
            |change: &&Difference| self.by.iter().any(|by| by.switch.name == change.switch.name);
        let now: Vec<Difference> = all.iter().filter(of).copied().collect();
        let same = |change: &Difference| {
            self.by.iter().any(|by| {
                by.switch.name == change.switch.name && by.right.name == change.right.name
            })
        };
        if now.len() == self.by.len() && now.iter().all(same) {
            return Some(Vec::new());
        }
        // What its switches have now may need what came with it.
        let mut moved = with(&self.broken, &now);
        for change in &now {
            let needs: Vec<_> = moved.lacks_for(change.switch.name, change.right.name).collect();
            for (switch, variant) in needs {
                let _known = moved.set(switch.name, variant.name);
            }
        }
        let holds = answers.under(&moved, &mut |_| {});
        if goes_on().is_break() {
            return None;
        }
        if holds.verdict == Verdict::Pass {
            return Some(Vec::new());
        }
        let report = answers.under(rules, &mut |_| {});
        turn(answers, (&self.broken, rules), (&report, None), goes_on)
    }
}

/// A report, and why it breaks, if that is told.
type Answer<'r> = (&'r Report, Option<&'r Reason>);

/// The failure that `report` has found, in an execution that is easy to follow, and its reason.
fn told(answers: &Answers<'_>, rules: &Rules, report: &Report) -> Option<(Report, Reason)> {
    let told = answers.told(rules, report)?;
    let reason = Reason::of(&told)?;
    Some((told, reason))
}

/// Whether two reports count as the same verdict: failures do if the same oracle noticed them.
fn alike(one: &Report, other: &Report) -> bool {
    let verdict = |report: &Report| {
        let oracle = report.broken.as_ref().map(|broken| broken.oracle);
        (report.verdict, report.is_absent(), oracle)
    };
    verdict(one) == verdict(other)
}

/// INV-HISTORY-1: the same verdict, and the same reason, or none that is told of either.
fn goes_on_as((one, why): Answer<'_>, (other, why_other): Answer<'_>) -> bool {
    let reasons = match (why, why_other) {
        (Some(why), Some(why_other)) => why.is_like(why_other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    alike(one, other) && reasons
}

/// The fewest of the switches in which two releases differ that give the old one the verdict of the
/// new one, and its reason if one is wanted; nothing, if `goes_on` ended the search for them.
fn turn(
    answers: &Answers<'_>,
    (old, new): (&Rules, &Rules),
    wanted: Answer<'_>,
    goes_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> Option<Vec<Difference>> {
    let all: Vec<Difference> = old.diff(new).collect();
    for size in 1..all.len() {
        let mut found = None;
        let ended = subsets(&all, size, &mut |set| {
            let rules = with(old, set);
            let report = answers.under(&rules, &mut |_| {});
            let told = wanted.1.and_then(|_| told(answers, &rules, &report));
            goes_on()?;
            if goes_on_as((&report, told.as_ref().map(|(_, reason)| reason)), wanted) {
                found = Some(set.to_vec());
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        if found.is_some() || ended.is_break() {
            return found;
        }
    }
    Some(all)
}

/// The smallest sets of changes under which a scenario holds that breaks under `rules`: of one
/// switch, or if none is enough of two, and so on up to `most`; none, if it does not break there.
/// `progress` is asked after each set, with how many were looked at and found before it, and can
/// end the search: then that set counts as not looked at.
///
/// No set changes what there is ([`Switch::Interfaces`]): a step that cannot be asked for is no
/// cure. A set of which one change is of a switch that the search with the others never asks for
/// has their verdict, and is not searched.
pub fn cures(
    answers: &Answers<'_>,
    rules: &Rules,
    most: usize,
    mut progress: impl FnMut(u64, usize) -> ControlFlow<()>,
) -> Cures {
    let mut cures = Cures::default();
    if answers.under(rules, &mut |_| {}).verdict != Verdict::Fail {
        return cures;
    }
    let changes: Vec<Difference> = Rules::switches()
        .filter(|switch| switch.name != Switch::Interfaces.name())
        .flat_map(|switch| others(switch, rules))
        .collect();
    let mut relevance = Relevance { answers, rules, changes: &changes, asked: BTreeMap::new() };
    let places: Vec<usize> = (0..changes.len()).collect();
    for size in 1..=most {
        let ended = subsets(&places, size, &mut |places| {
            let set: Vec<Difference> = places.iter().map(|place| changes[*place]).collect();
            if repeats(&set) || !relevance.matters(places) {
                return ControlFlow::Continue(());
            }
            let report = answers.under(&with(rules, &set), &mut |_| {});
            progress(cures.tried, cures.found.len())?;
            cures.tried += 1;
            match report.verdict {
                Verdict::Pass => cures.found.push(Cure { changes: set }),
                Verdict::Partial => cures.undecided.push(Cure { changes: set }),
                Verdict::Fail | Verdict::Skip | Verdict::Error => {}
            }
            ControlFlow::Continue(())
        });
        if ended.is_break() {
            cures.ended = true;
            return cures;
        }
        cures.size = size;
        if !cures.found.is_empty() {
            break;
        }
    }
    cures
}

/// Which changes can matter beside others.
struct Relevance<'r, 'a> {
    answers: &'r Answers<'a>,
    rules: &'r Rules,
    changes: &'r [Difference],
    /// What the search with a set of changes, by their places, asks for; none where that is not
    /// known.
    asked: BTreeMap<Vec<usize>, Option<Vec<Switch>>>,
}

impl Relevance<'_, '_> {
    /// Whether each of the changes at these places is of a switch that is asked for when the others
    /// are made.
    fn matters(&mut self, places: &[usize]) -> bool {
        places.iter().all(|place| {
            let rest: Vec<usize> = places.iter().copied().filter(|other| other != place).collect();
            let set: Vec<Difference> = rest.iter().map(|place| self.changes[*place]).collect();
            let asked = self
                .asked
                .entry(rest)
                .or_insert_with(|| self.answers.asked(&with(self.rules, &set)));
            let switch = self.changes[*place].switch.name;
            asked.as_ref().is_none_or(|asked| asked.iter().any(|one| one.name() == switch))
        })
    }
}

impl Cure {
    /// Whether every part of it was released.
    pub fn is_released(&self) -> bool {
        self.changes.iter().all(|change| change.right.status == Status::Released)
    }
}

/// What a switch could be in place of what it is.
fn others(switch: &'static SwitchInfo, rules: &Rules) -> Vec<Difference> {
    let now = rules.get(switch.name).ok();
    let named = |name| switch.variants.iter().find(move |variant| variant.name == name);
    let Some(left) = now.and_then(named) else { return Vec::new() };
    let rest = switch.variants.iter().filter(|variant| variant.name != left.name);
    rest.map(|right: &'static VariantInfo| Difference { switch, left, right }).collect()
}

/// The rules with a set of changes.
fn with(rules: &Rules, set: &[Difference]) -> Rules {
    let mut changed = *rules;
    for change in set {
        // Both come from the table of switches.
        let _known = changed.set(change.switch.name, change.right.name);
    }
    changed
}

/// Whether a set changes a switch twice. Those of one switch stand next to each other.
fn repeats(set: &[Difference]) -> bool {
    set.windows(2).any(|two| two[0].switch.name == two[1].switch.name)
}

/// Shows every subset of so many items, in order.
fn subsets<T: Copy>(
    items: &[T],
    size: usize,
    show: &mut dyn FnMut(&[T]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut chosen: Vec<T> = Vec::with_capacity(size);
    grow(items, size, &mut chosen, show)
}

fn grow<T: Copy>(
    items: &[T],
    size: usize,
    chosen: &mut Vec<T>,
    show: &mut dyn FnMut(&[T]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if chosen.len() == size {
        return show(chosen);
    }
    for (at, item) in items.iter().enumerate() {
        chosen.push(*item);
        let shown = grow(&items[at + 1..], size, chosen, show);
        chosen.pop();
        shown?;
    }
    ControlFlow::Continue(())
}
