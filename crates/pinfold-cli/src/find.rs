//! Where scenarios come from: files, the directory `./scenarios`, and those built in.
//!
//! A name means the file of that name; else `./scenarios/NAME.pf`; else the built-in scenario of
//! that name. So an edited copy in `./scenarios` always takes precedence over the built-in one.

use crate::failure::{Failure, ToldError};
use crate::files::{self, MOST_TEXT};
use crate::show;
use pinfold::rules::Rules;
use pinfold_lab::Prepared;
use pinfold_lab::scenario::json::{self, JsonErrors};
use pinfold_lab::scenario::{self, Code, MOST_DRAWN, Scenario, ScenarioError, Style};
use pinfold_lab::{SCENARIOS, Shipped, VERDICTS};
use std::fs;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// The directory in which names are looked up.
const DIRECTORY: &str = "scenarios";
/// The ending of scenario files.
const EXTENSION: &str = "pf";
/// What replaces the directory in the path of a built-in scenario.
const BUILT_IN_PREFIX: &str = "built-in:";
/// How similar two names must be for one to be suggested for the other, from 0 to 1.
const ALIKE: f64 = 0.6;

/// The text of a scenario, and where it was found.
#[derive(Debug)]
pub(crate) struct Source {
    /// The text.
    pub(crate) text: String,
    /// Where it was found, as shown to people.
    pub(crate) path: String,
}

/// A scenario ready to run.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The scenario.
    pub(crate) scenario: Scenario,
    /// Where it was found, as shown to people.
    pub(crate) path: String,
    /// Its text, which errors point into; of a JSON scenario the canonical one.
    pub(crate) text: String,
}

/// A scenario that can be executed, or why it cannot be asked about under these rules.
pub(crate) type Ready = Result<Prepared, Box<ScenarioError>>;

impl Loaded {
    /// Makes the scenario ready to be executed under `rules`.
    ///
    /// # Errors
    /// When it cannot be executed: what is wrong, drawn at the word.
    pub(crate) fn prepare(&self, rules: &Rules, style: Style) -> Result<Prepared, Failure> {
        Prepared::new(&self.scenario, &self.path, rules)
            .map_err(|error| wrong(std::slice::from_ref(&*error), &self.text, &self.path, style))
    }

    /// As [`Loaded::prepare`], but that a step needs what `rules` lack is an answer.
    ///
    /// # Errors
    /// When it cannot be executed for any other reason: what is wrong, drawn at the word.
    pub(crate) fn prepare_or_absent(&self, rules: &Rules, style: Style) -> Result<Ready, Failure> {
        match Prepared::new(&self.scenario, &self.path, rules) {
            Err(error) if error.code != Code::Absent => {
                Err(wrong(std::slice::from_ref(&*error), &self.text, &self.path, style))
            }
            ready => Ok(ready),
        }
    }
}

/// Finds and reads one scenario.
///
/// # Errors
/// When there is no scenario of that name, or it cannot be read, or it has errors.
pub(crate) fn load(asked: &Path, style: Style) -> Result<Loaded, Failure> {
    parse(find(asked)?, style)
}

/// Reads every scenario of `./scenarios`, or the built-in ones if there are none.
///
/// # Errors
/// When one cannot be read, or has errors.
pub(crate) fn load_all(style: Style) -> Result<Vec<Loaded>, Failure> {
    let mut paths = files_in(Path::new(DIRECTORY));
    if paths.is_empty() {
        paths = SCENARIOS.iter().map(|file| PathBuf::from(file.name)).collect();
    }
    paths.iter().map(|path| load(path, style)).collect()
}

/// Finds the text of a scenario.
///
/// # Errors
/// When there is no scenario of that name, or it cannot be read.
pub(crate) fn find(asked: &Path) -> Result<Source, Failure> {
    if let Some(path) = file(asked) {
        return read(&path);
    }
    let known = asked.to_str().and_then(|name| Shipped::find(SCENARIOS, name));
    known.map(built_in).ok_or_else(|| missing(asked))
}

/// Finds a table of expected cells: the file of that name, or the built-in table.
///
/// # Errors
/// When neither exists, or the file cannot be read.
pub(crate) fn find_verdicts(asked: &Path) -> Result<Source, Failure> {
    match asked.to_str().and_then(|name| Shipped::find(VERDICTS, name)) {
        Some(table) if !asked.is_file() => Ok(built_in(table)),
        _ => read(asked),
    }
}

/// What is part of the program, as a source.
fn built_in(file: &Shipped) -> Source {
    let path = format!("{BUILT_IN_PREFIX}{}", file.name);
    Source { text: file.text.to_owned(), path }
}

/// The error for a scenario that was not found, with the nearest name.
pub(crate) fn missing(asked: &Path) -> Failure {
    Failure::NoScenario { asked: show::path(asked), nearest: nearest(asked) }
}

/// The file that a name means, if it means one.
///
/// Anything that exists is taken for the file, so that a directory is reported as unreadable and
/// not as missing; but a plain word that is a directory's name may still name a scenario.
pub(crate) fn file(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    if let Some(asked) = path.to_str().filter(|asked| is_name(asked)) {
        let known = Path::new(DIRECTORY).join(format!("{asked}.{EXTENSION}"));
        if known.is_file() {
            return Some(known);
        }
        if is_built_in(asked) {
            return None;
        }
    }
    path.exists().then(|| path.to_owned())
}

/// Whether a scenario of that name is part of the program.
pub(crate) fn is_built_in(name: &str) -> bool {
    Shipped::find(SCENARIOS, name).is_some()
}

/// How to name a scenario on a command line, given its name and where it was found.
pub(crate) fn argument(name: &str, path: &str) -> String {
    let found = Path::new(DIRECTORY).join(format!("{name}.{EXTENSION}"));
    if path.strip_prefix(BUILT_IN_PREFIX) == Some(name) || Path::new(path) == found {
        name.to_owned()
    } else {
        show::quoted(path)
    }
}

/// Reads a scenario's or a table's file.
///
/// # Errors
/// When it cannot be read, is too large, or is not text.
pub(crate) fn read(path: &Path) -> Result<Source, Failure> {
    Ok(Source { text: files::read(path, MOST_TEXT)?, path: show::path(path) })
}

/// Parses a scenario, in its text form or in JSON.
///
/// # Errors
/// Its errors, drawn. Those of a JSON scenario point into its canonical text where it has one.
pub(crate) fn parse(source: Source, style: Style) -> Result<Loaded, Failure> {
    let Source { text, path } = source;
    let read = if is_json(&text) {
        json::read(&text).map_err(|JsonErrors { errors, text }| (errors, text))
    } else {
        match scenario::parse(&text) {
            Ok(scenario) => Ok((scenario, text)),
            Err(errors) => Err((errors, text)),
        }
    };
    match read {
        Ok((scenario, text)) => Ok(Loaded { scenario, path, text }),
        Err((errors, text)) => Err(wrong(&errors, &text, &path, style)),
    }
}

/// Whether a scenario is written in JSON: no line of the text form starts with a brace, so the name
/// of the file does not matter.
pub(crate) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// The failure for the errors of a scenario.
fn wrong(errors: &[ScenarioError], text: &str, path: &str, style: Style) -> Failure {
    let told = errors.iter().take(MOST_DRAWN).map(|error| {
        let (line, column) = error.place(text);
        ToldError {
            code: error.code.as_str(),
            message: error.message.clone(),
            file: path.to_owned(),
            line,
            column,
            help: error.help.clone(),
        }
    });
    Failure::Scenario {
        drawn: scenario::render(errors, text, path, style),
        told: told.collect(),
        more: errors.len().saturating_sub(MOST_DRAWN),
    }
}

/// The scenario files of a directory, sorted; none if it cannot be listed.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == EXTENSION))
        .collect();
    paths.sort();
    paths
}

/// The names of the scenario files of a directory that are text.
fn names_in(directory: &Path) -> Vec<String> {
    let name = |path: &PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    files_in(directory).iter().filter_map(name).collect()
}

fn is_name(asked: &str) -> bool {
    !asked.contains(['/', '\\'])
}

/// What was probably meant: a file next to the missing one, or a known name.
fn nearest(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    let mut candidates: Vec<(String, String)> = Vec::new();
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        for name in names_in(parent) {
            let beside = parent.join(format!("{name}.{EXTENSION}"));
            candidates.push((name, show::path(&beside)));
        }
    }
    let known = names_in(Path::new(DIRECTORY));
    let built_in = SCENARIOS.iter().map(|file| file.name.to_owned());
    candidates.extend(known.into_iter().chain(built_in).map(|name| (name.clone(), name)));
    candidates
        .into_iter()
        .map(|(name, whole)| (strsim::normalized_damerau_levenshtein(stem, &name), whole))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, whole)| whole)
}
