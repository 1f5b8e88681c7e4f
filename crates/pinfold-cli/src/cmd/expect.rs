//! Tables of expected cells: `scenarios/verdicts.txt` and its like.
//!
//! Words in columns, separated by blanks; `#` starts a comment. `model NAME` gives the memory model
//! under which the cells hold, the line `scenario SET...` names the rule sets, and each line after
//! it gives a scenario and one cell for each set: `ok`, `BAD`, `part`, `skip`, `n/a`, an outcome's
//! name, or `-` where nothing is expected, and the search is a short one. `ok` is any pass,
//! whatever its outcome. `otherwise TABLE` says that a scenario without a line here is expected to
//! do what the table of that name, beside this one, has for it.

use crate::args::ModelArg;
use crate::failure::Failure;
use crate::find;
use crate::render::matrix::Cell;
use crate::rulesets;
use crate::show;
use clap::ValueEnum;
use pinfold::Rules;
use pinfold_lab::report::Verdict;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

const HEAD: &str = "scenario";
const MODEL: &str = "model";
const OTHERWISE: &str = "otherwise";
const ANYTHING: &str = "-";
const COMMENT: char = '#';

/// A table of expected cells.
#[derive(Debug)]
pub(super) struct Expected {
    model: Option<ModelArg>,
    sets: Vec<Rules>,
    rows: Vec<(String, Vec<String>)>,
    /// The table that `otherwise` names, and the line that does.
    otherwise: Option<(usize, String)>,
    /// That table, once it is read.
    others: Option<Box<Expected>>,
}

impl Expected {
    /// Reads a table; `asked` is the model under which the cells are to hold, if one was requested.
    ///
    /// # Errors
    /// When it cannot be read or understood, or is meant for a model other than `asked`.
    pub(super) fn read(path: &Path, asked: Option<ModelArg>) -> Result<Self, Failure> {
        let mut table = Self::read_one(path, asked)?;
        if let Some((line, name)) = &table.otherwise {
            let wrong = |why| Failure::Expectation { path: show::path(path), line: *line, why };
            // Its cells are said of another model; what they are of is this table's.
            let others = Self::read_one(&beside(path, name), None)
                .map_err(|why| wrong(format!("`{OTHERWISE} {name}`: {why}")))?;
            if others.otherwise.is_some() {
                let why = format!("{name} has an `{OTHERWISE}` of its own: name the last table");
                return Err(wrong(why));
            }
            let known = |row: &&(String, _)| others.rows.iter().all(|(name, _)| *name != row.0);
            if let Some((row, _)) = table.rows.iter().find(known) {
                let why = format!("{row}, below, has no line in {name}: is it misspelled?");
                return Err(wrong(why));
            }
            table.others = Some(Box::new(others));
        }
        Ok(table)
    }

    /// Reads one table, without the one that it names.
    fn read_one(path: &Path, asked: Option<ModelArg>) -> Result<Self, Failure> {
        let source = find::find_verdicts(path)?;
        Self::parse(&source.text, asked).map_err(|(line, why)| Failure::Expectation {
            path: source.path,
            line,
            why,
        })
    }

    fn parse(text: &str, asked: Option<ModelArg>) -> Result<Self, (usize, String)> {
        let mut model = None;
        let mut sets: Option<Vec<Rules>> = None;
        let mut rows: Vec<(String, Vec<String>)> = Vec::new();
        let mut otherwise = None;
        for (line, words) in lines(text) {
            let wrong = |why: String| (line, why);
            match (words.as_slice(), &sets) {
                ([MODEL, name], None) => model = Some(meant_for(name, asked).map_err(wrong)?),
                ([OTHERWISE, name], None) if otherwise.is_none() => {
                    otherwise = Some((line, (*name).to_owned()));
                }
                ([OTHERWISE, ..], None) => {
                    return Err(wrong(format!("name one table, once: `{OTHERWISE} TABLE`")));
                }
                ([HEAD, names @ ..], None) => sets = Some(rule_sets(names).map_err(wrong)?),
                (_, None) => {
                    return Err(wrong(format!("write the line `{HEAD} SET...` first")));
                }
                ([name, cells @ ..], Some(sets)) => {
                    if cells.len() != sets.len() {
                        let (have, need) = (cells.len(), sets.len());
                        return Err(wrong(format!(
                            "{name} has {have} cells, and the table has {need} rule sets: write \
                             `{ANYTHING}` where nothing is expected"
                        )));
                    }
                    if rows.iter().any(|(known, _)| known == name) {
                        return Err(wrong(format!("{name} stands twice: keep one of the two")));
                    }
                    let cells = cells.iter().map(|&cell| cell.to_owned()).collect();
                    rows.push(((*name).to_owned(), cells));
                }
                ([], Some(_)) => {}
            }
        }
        let empty = || (1, format!("the table is empty: write the line `{HEAD} SET...`"));
        let sets = sets.ok_or_else(empty)?;
        Ok(Self { model, sets, rows, otherwise, others: None })
    }

    /// The model that it is meant for, if it names one.
    pub(super) fn model(&self) -> Option<ModelArg> {
        self.model
    }

    /// What a scenario is expected to do under a rule set, if anything.
    pub(super) fn cell(&self, scenario: &str, rules: &Rules) -> Option<&str> {
        let Some((_, cells)) = self.rows.iter().find(|(name, _)| name == scenario) else {
            return self.others.as_ref()?.cell(scenario, rules);
        };
        let column = self.sets.iter().position(|set| set == rules)?;
        let cell = cells.get(column).map(String::as_str);
        cell.filter(|&cell| cell != ANYTHING)
    }
}

/// Where the table of that name is that stands beside another: a file of the same kind, or one that
/// is built in, as the other is.
fn beside(path: &Path, name: &str) -> PathBuf {
    match path.extension().and_then(OsStr::to_str) {
        Some(kind) => path.with_file_name(format!("{name}.{kind}")),
        None => path.with_file_name(name),
    }
}

/// Whether a cell is what the table expects.
pub(super) fn agrees(cell: &Cell, wanted: &str) -> bool {
    cell.word() == wanted || (cell.verdict == Verdict::Pass && wanted == "ok")
}

/// The lines that are not empty, as words, each with its number counted from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    text.lines().zip(1..).filter_map(|(line, number)| {
        let said = line.split_once(COMMENT).map_or(line, |(said, _)| said);
        let words: Vec<&str> = said.split_whitespace().collect();
        (!words.is_empty()).then_some((number, words))
    })
}

fn meant_for(name: &str, asked: Option<ModelArg>) -> Result<ModelArg, String> {
    let all = ModelArg::value_variants();
    let Some(&model) = all.iter().find(|model| model.name() == name) else {
        let names: Vec<&str> = all.iter().map(|model| model.name()).collect();
        return Err(format!("no model is called `{name}`: use one of {}", names.join(", ")));
    };
    match asked {
        Some(asked) if asked != model => {
            let asked = asked.name();
            Err(format!("the table is for model {name}, not for {asked}: use --model {name}"))
        }
        _ => Ok(model),
    }
}

fn rule_sets(names: &[&str]) -> Result<Vec<Rules>, String> {
    let one = |name: &&str| rulesets::one(name).map(|set| set.rules).map_err(|why| why.to_string());
    names.iter().map(one).collect()
}
