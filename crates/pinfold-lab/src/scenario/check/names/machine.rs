//! What the machine of a scenario declares: files and groups of memory.

use super::super::super::ast::{Name, Scenario};
use super::super::super::error::ScenarioError;
use super::{File, Names, duplicate, sorted};

impl<'a> Names<'a> {
    /// The files of the machine, which no step may give another meaning to: `read X` and `X sees`
    /// must have a single one.
    pub(super) fn declare_files(
        &mut self,
        scenario: &'a Scenario,
        errors: &mut Vec<ScenarioError>,
    ) {
        for file in &scenario.machine.files {
            let name = file.name.as_str();
            if let Some(first) = self.files.get(name) {
                errors.push(duplicate("file", &file.name, first.span));
                continue;
            }
            let pages = scenario.file_pages(name);
            let span = file.name.span;
            self.files.insert(name, File { span, pages, behind: file.behind });
            let areas = self.areas.iter().filter(|area| area.name == name);
            let areas = areas.map(|area| ("area", area.span));
            let handle = self.handles.get(name).map(|handle| ("handle", handle.span));
            let register = self.registers.get(name).map(|span| ("register", *span));
            for (what, second) in areas.chain(handle).chain(register) {
                let second = Name::new(name.to_owned(), second);
                errors.push(duplicate(what, &second, span));
            }
        }
    }

    /// The groups of the machine. `G holds` stands where a handle, a register or a file could.
    pub(super) fn declare_groups(
        &mut self,
        scenario: &'a Scenario,
        errors: &mut Vec<ScenarioError>,
    ) {
        for group in &scenario.machine.groups {
            let name = group.name.as_str();
            let file = self.files.get(name).map(|file| file.span);
            if let Some(first) = self.groups.get(name).copied().or(file) {
                errors.push(duplicate("group", &group.name, first));
                continue;
            }
            self.groups.insert(name, group.name.span);
        }
    }

    /// Whether the machine has a group of this name.
    pub(in crate::scenario::check) fn has_group(&self, name: &str) -> bool {
        self.groups.contains_key(name)
    }

    pub(in crate::scenario::check) fn groups(&self) -> impl Iterator<Item = &'a str> {
        self.groups.keys().copied()
    }

    pub(in crate::scenario::check) fn file(&self, name: &str) -> Option<&File> {
        self.files.get(name)
    }

    pub(in crate::scenario::check) fn files(&self) -> Vec<&'a str> {
        sorted(self.files.keys().copied())
    }
}
