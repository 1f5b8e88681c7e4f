//! `pinfold fmt`: scenario files in their canonical form.

use super::Answer;
use crate::args::FmtArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::find;
use pinfold_lab::report::Verdict;
use pinfold_lab::scenario;
use std::fs;
use std::path::{Path, PathBuf};

/// Rewrites files that are not in canonical form, or names them. All files are read before the
/// first is written.
///
/// # Errors
/// When a file cannot be read or written, or is not a scenario.
pub(crate) fn fmt(args: &FmtArgs, console: &mut Console) -> Answer {
    let mut changes: Vec<(PathBuf, String)> = Vec::new();
    for file in &args.files {
        let path = find::file(file).ok_or_else(|| missing(file))?;
        let source = find::read(&path)?;
        let before = source.text.clone();
        let parsed = find::parse(source, console.error_style())?.scenario;
        let after = if find::is_json(&before) {
            scenario::json::write(&parsed).map_err(Failure::Json)? + "\n"
        } else {
            scenario::format(&parsed)
        };
        if after != before {
            changes.push((path, after));
        }
    }
    for (path, text) in &changes {
        if !args.check {
            write(path, text)?;
        }
        console.print(&format!("{}\n", path.display()))?;
    }
    let unformatted = args.check && !changes.is_empty();
    Ok(if unformatted { Verdict::Fail } else { Verdict::Pass }.exit_code())
}

fn missing(file: &str) -> Failure {
    if find::is_built_in(file) {
        return Failure::BuiltIn(file.to_owned());
    }
    find::missing(file)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let unwritable = |why| Failure::Unwritable { path: path.display().to_string(), why };
    fs::write(path, text).map_err(unwritable)
}
