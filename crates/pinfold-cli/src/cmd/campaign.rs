//! Divided and interrupted searches: threads, shards, checkpoints, and `pinfold merge`.

use super::Answer;
use crate::args::{DivisionArgs, Format, MergeArgs};
use crate::console::Console;
use crate::failure::Failure;
use crate::render::{json, report};
use pinfold_lab::campaign::{self, Campaign, Partial};
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::{CheckOptions, Prepared, Progress};
use std::{fs, io};

/// The result of a search.
pub(super) struct Searched {
    pub(super) report: Report,
    /// The file from which the rest can be done, if there is a rest and a file.
    pub(super) rest: Option<String>,
}

/// Does one search in jobs, and saves what a later one needs.
///
/// # Errors
/// When the search cannot be divided, a file cannot be read or written, or a file belongs to
/// another search.
pub(super) fn search(
    prepared: &Prepared,
    options: &CheckOptions,
    division: &DivisionArgs,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Searched, Failure> {
    let campaign = Campaign::new(prepared, options);
    if division.shares_out() {
        campaign.can_be_shared_out().map_err(|why| Failure::Campaign { path: None, why })?;
    }
    let mut partial = match &division.resume {
        Some(path) => {
            let partial = read(path)?;
            let foreign = |why| Failure::Campaign { path: Some(path.clone()), why };
            campaign.accepts(&partial).map_err(foreign)?;
            partial
        }
        None => campaign.begin(division.shard),
    };
    // Fail now rather than after hours, when the result cannot be written.
    if let Some(path) = division.out.as_ref().or(division.checkpoint.as_ref()) {
        write_beside(path, "").and_then(fs::remove_file).map_err(unwritable(path))?;
    }
    let threads = division.jobs.map_or(1, usize::from);
    let report = campaign.run(&mut partial, threads, progress);
    let unfinished = partial.done() < partial.share();
    let checkpoint = division.checkpoint.as_ref().filter(|_| unfinished);
    let written = division.out.as_ref().or(checkpoint);
    if let Some(path) = written {
        write(path, &partial)?;
    }
    let goes_on = unfinished && report.verdict == Verdict::Partial;
    Ok(Searched { report, rest: written.filter(|_| goes_on).cloned() })
}

/// Joins the results of shards into one report.
///
/// # Errors
/// When a file cannot be read, or the files do not belong together.
pub(crate) fn merge(args: &MergeArgs, console: &mut Console) -> Answer {
    let part = |path: &String| Ok((path.clone(), read(path)?));
    let parts = args.files.iter().map(part).collect::<Result<Vec<_>, Failure>>()?;
    let found = campaign::merge(&parts).map_err(|why| Failure::Campaign { path: None, why })?;
    let text = match args.format {
        Format::Human => report::draw(&found, console.look()),
        Format::Json => json::reports(std::slice::from_ref(&found))?,
    };
    console.print(&text)?;
    let allowed = args.allow_partial && found.verdict == Verdict::Partial;
    Ok(if allowed { Verdict::Pass } else { found.verdict }.exit_code())
}

fn read(path: &str) -> Result<Partial, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|why| Failure::Unreadable { path: path.to_owned(), why })?;
    serde_json::from_str(&text).map_err(|why| Failure::NoPartial { path: path.to_owned(), why })
}

/// Writes to a new file first, so that an existing file stays whole until it is replaced.
fn write(path: &str, partial: &Partial) -> Result<(), Failure> {
    let text = json::document(partial)?;
    write_beside(path, &text).and_then(|beside| fs::rename(beside, path)).map_err(unwritable(path))
}

fn write_beside(path: &str, text: &str) -> io::Result<String> {
    let beside = format!("{path}.new");
    fs::write(&beside, text)?;
    Ok(beside)
}

fn unwritable(path: &str) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |why| Failure::Unwritable { path, why }
}
