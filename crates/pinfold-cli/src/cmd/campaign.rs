//! Divided and interrupted searches: threads, shards, checkpoints, and `pinfold merge`.

use super::Answer;
use crate::args::{DivisionArgs, Format, MergeArgs};
use crate::console::Console;
use crate::failure::Failure;
use crate::files::{self, MOST_PART, Output};
use crate::render::{json, report};
use crate::show;
use pinfold_lab::campaign::{self, Campaign, Partial};
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::{CheckOptions, Prepared, Progress};
use std::path::{Path, PathBuf};

/// The result of a search.
pub(super) struct Searched {
    pub(super) report: Report,
    /// The file from which the rest can be done, as shown to people, if there is a rest and a file.
    pub(super) rest: Option<String>,
    /// Why what was done could not be kept.
    pub(super) unkept: Option<Failure>,
}

impl Searched {
    /// A search that keeps nothing.
    pub(super) fn of(report: Report) -> Self {
        Self { report, rest: None, unkept: None }
    }
}

/// The files of a divided search, ready.
#[derive(Default)]
pub(super) struct Files {
    /// What was done before, and the file that says so.
    done: Option<(String, Partial)>,
    /// Where what is done will be kept.
    kept: Option<Output>,
}

/// Reads and opens the files of a divided search: now rather than after hours, and before
/// interrupts are caught, so that one ends the wait for a pipe.
///
/// # Errors
/// When a file cannot be read, is no part, or cannot be written.
pub(super) fn files(division: &DivisionArgs) -> Result<Files, Failure> {
    let done = match &division.resume {
        Some(path) => Some((show::path(path), read(path)?)),
        None => None,
    };
    let kept = division.out.as_ref().or(division.checkpoint.as_ref());
    Ok(Files { done, kept: kept.map(|path| Output::open(path)).transpose()? })
}

/// Does one search in jobs, and saves what a later one needs.
///
/// # Errors
/// When the search cannot be divided, or what was done before belongs to another search.
pub(super) fn search(
    prepared: &Prepared,
    options: &CheckOptions,
    division: &DivisionArgs,
    files: Files,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Searched, Failure> {
    let wrong = |why| Failure::Campaign { path: None, why };
    let threads = division.jobs.map_or(1, usize::from);
    if division.file().is_none() {
        return campaign::share_out(prepared, options, threads, progress)
            .map(Searched::of)
            .map_err(wrong);
    }
    if division.shares_out() {
        campaign::can_be_shared_out(options).map_err(wrong)?;
    }
    let campaign = match Campaign::new(prepared, options) {
        Ok(campaign) => campaign,
        // What was done before, if anything, is still in its file.
        Err(report) => return Ok(Searched::of(*report)),
    };
    let mut partial = match files.done {
        Some((path, partial)) => {
            let foreign = |why| Failure::Campaign { path: Some(path), why };
            campaign.accepts(&partial).map_err(foreign)?;
            partial
        }
        None => campaign.begin(division.shard),
    };
    let report = campaign.run(&mut partial, threads, progress).map_err(wrong)?;
    let unfinished = partial.done() < partial.share();
    // A checkpoint is for what is left; one that is there already must not say that more is.
    let wanted = |kept: &Output| unfinished || division.out.is_some() || kept.replaces();
    let kept = files.kept.filter(wanted);
    let written = kept
        .map(|output| partial.write().map_err(Failure::Json).and_then(|text| output.put(&text)));
    let goes_on = unfinished && report.verdict == Verdict::Partial;
    let file = division.out.as_ref().or(division.checkpoint.as_ref());
    let rest = file.filter(|_| goes_on && matches!(written, Some(Ok(())))).map(show::path);
    Ok(Searched { report, rest, unkept: written.and_then(Result::err) })
}

/// Joins the results of shards into one report.
///
/// # Errors
/// When a file cannot be read, or the files do not belong together.
pub(crate) fn merge(args: &MergeArgs, console: &mut Console) -> Answer {
    let part = |path: &PathBuf| Ok((show::path(path), read(path)?));
    let parts = args.files.iter().map(part).collect::<Result<Vec<_>, Failure>>()?;
    let found = campaign::merge(&parts).map_err(|why| Failure::Campaign { path: None, why })?;
    let text = match args.format {
        Format::Human => report::draw(&found, console.look()),
        Format::Json => json::reports(std::slice::from_ref(&found), 1)?,
    };
    console.print(&text)?;
    let allowed = args.allow_partial && found.verdict == Verdict::Partial;
    Ok(if allowed { Verdict::Pass } else { found.verdict }.exit_code())
}

fn read(path: &Path) -> Result<Partial, Failure> {
    let text = files::read(path, MOST_PART)?;
    Partial::read(&text).map_err(|why| Failure::Campaign { path: Some(show::path(path)), why })
}
