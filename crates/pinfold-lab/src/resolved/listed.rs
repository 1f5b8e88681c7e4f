//! What the text of a scenario lists, without the meaning of its names.

use super::{Action, Atom, ResolvedFile, Scenario, Step, View, scenario};
use crate::scenario::Name;

/// A step outside lanes, with its process.
pub(super) fn alone(step: &Step) -> (Option<&str>, &Step) {
    (step.process.as_ref().map(|name| name.value.as_str()), step)
}

/// Every step with the process that carries it out, in the order of the text.
pub(super) fn steps(scenario: &Scenario) -> impl Iterator<Item = (Option<&str>, &Step)> {
    let lanes = scenario
        .lanes
        .iter()
        .flat_map(|lane| lane.steps.iter().map(move |step| (lane.process(), step)));
    scenario.setup.steps.iter().map(alone).chain(lanes).chain(scenario.after.iter().map(alone))
}

/// Whether looking at it is an access by a process.
pub(super) fn reads(atom: &Atom) -> bool {
    matches!(atom, Atom::Sees { view: View::Process { .. }, .. })
}

/// As many pages of each file as have names.
pub(super) fn lengths_of_files(scenario: &Scenario) -> Vec<u32> {
    scenario.machine.files.iter().map(|file| scenario.file_pages(&file.name)).collect()
}

pub(super) fn file(file: &scenario::File) -> ResolvedFile {
    let name = file.name.value.clone();
    ResolvedFile { name, pages: file.pages.value, behind: file.behind }
}

/// A line of `reach` without its first word.
pub(super) fn reached(reach: &scenario::Reach) -> String {
    match reach.during {
        Some(during) => format!("{} during {}", reach.event.value, during.value.as_str()),
        None => reach.event.value.clone(),
    }
}

/// The handle that a step makes from another one, behind that.
pub(super) fn taken<'a>((_, step): (Option<&str>, &'a Step)) -> Option<(&'a Name, &'a Name)> {
    match &step.action {
        Action::TryGet { frame: of, handle } | Action::GetPage { held: of, handle } => {
            Some((&of.name, handle))
        }
        _ => None,
    }
}
