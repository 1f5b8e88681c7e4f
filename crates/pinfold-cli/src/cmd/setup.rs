//! The commands that help to begin: a scenario to start from, completions, manual pages.

use super::Answer;
use crate::args::{Cli, CompletionsArgs, ManArgs, NewArgs};
use crate::console::Console;
use crate::failure::Failure;
use crate::files::Output;
use crate::show;
use clap::CommandFactory;
use pinfold_lab::report::Verdict;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// The scenario that `pinfold new` writes; `NAME` stands for its name.
const TEMPLATE: &str = include_str!("setup/template.pf");
/// The name where a file's own is no name of a scenario.
const UNNAMED: &str = "mine";
/// The section of the manual for commands.
const SECTION: &str = "1";

/// Writes a scenario to start from. A file that is there already is left as it is.
///
/// # Errors
/// When there is something of that name, or it cannot be written.
pub(crate) fn new(args: &NewArgs, console: &mut Console) -> Answer {
    let path = &args.file;
    if fs::symlink_metadata(path).is_ok() {
        let why = io::Error::from(ErrorKind::AlreadyExists);
        return Err(Failure::Unwritable { path: show::path(path), why });
    }
    Output::open(path)?.put(&TEMPLATE.replace("NAME", &name(path)))?;
    let shown = show::path(path);
    let argument = show::quoted(&shown);
    console.print(&format!(
        "{shown}\npinfold check {argument} --rules all  searches it under every preset\n"
    ))?;
    Ok(Verdict::Pass.exit_code())
}

/// The name of a scenario in this file.
fn name(path: &Path) -> String {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(UNNAMED);
    let fits = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    if fits(stem) { stem.to_owned() } else { UNNAMED.to_owned() }
}

/// Prints what a shell needs to complete commands and options.
///
/// # Errors
/// When the result cannot be written.
pub(crate) fn completions(args: &CompletionsArgs, console: &mut Console) -> Answer {
    let mut command = Cli::command();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "pinfold", &mut script);
    console.print(&String::from_utf8_lossy(&script))?;
    Ok(Verdict::Pass.exit_code())
}

/// Writes a manual page for each command into a directory, or prints that of `pinfold`.
///
/// # Errors
/// When the directory cannot be made, or a page cannot be written.
pub(crate) fn man(args: &ManArgs, console: &mut Console) -> Answer {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(directory) = &args.directory else {
        console.print(&page(command, "pinfold")?)?;
        return Ok(Verdict::Pass.exit_code());
    };
    fs::create_dir_all(directory)
        .map_err(|why| Failure::Unwritable { path: show::path(directory), why })?;
    for (name, command) in pages("pinfold", command) {
        let path = directory.join(format!("{name}.{SECTION}"));
        Output::open(&path)?.put(&page(command, &name)?)?;
        console.print(&format!("{}\n", show::path(&path)))?;
    }
    Ok(Verdict::Pass.exit_code())
}

/// A command and those below it, each with the name of its page.
fn pages(name: &str, command: clap::Command) -> Vec<(String, clap::Command)> {
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let below: Vec<_> =
        shown.flat_map(|sub| pages(&format!("{name}-{}", sub.get_name()), sub.clone())).collect();
    [vec![(name.to_owned(), command)], below].concat()
}

/// The manual page of a command.
fn page(command: clap::Command, name: &str) -> Result<String, Failure> {
    let mut page = Vec::new();
    let title = name.to_uppercase();
    clap_mangen::Man::new(command)
        .title(title)
        .section(SECTION)
        .render(&mut page)
        .map_err(|why| Failure::Unwritable { path: format!("{name}.{SECTION}"), why })?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
