//! `pinfold fmt`: scenario files in their canonical form.

use super::Answer;
use crate::args::FmtArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::files::Output;
use crate::{find, show};
use pinfold_lab::report::Verdict;
use pinfold_lab::scenario;
use std::path::{Path, PathBuf};

/// Rewrites files that are not in canonical form, or names them. All files are read before the
/// first is written, and a name is told only once its file is written.
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
            Output::open(path)?.put(text)?;
        }
        console.print(&format!("{}\n", show::path(path)))?;
    }
    let unformatted = args.check && !changes.is_empty();
    Ok(if unformatted { Verdict::Fail } else { Verdict::Pass }.exit_code())
}

fn missing(file: &Path) -> Failure {
    if let Some(name) = file.to_str().filter(|name| find::is_built_in(name)) {
        return Failure::BuiltIn(name.to_owned());
    }
    find::missing(file)
}
