//! The command `pinfold`: run, check and compare scenarios of Linux's private-memory machinery.
//!
//! Results go to standard output, progress and errors to standard error. The exit status is that of
//! the worst verdict (0 pass, 1 fail, 2 error, 3 partial, 4 skip); anything that keeps the command
//! from asking its question at all is an error. A reader that closes the pipe early does not affect
//! the status and is not reported.
//!
//! With `--format json` standard output gets one JSON document whatever happens: an error is one,
//! too, beside what standard error says for people. With `--format ktap` an error is a `Bail out!`,
//! and the exit status is that of a kernel's test: 0 pass, 1 fail, 4 skip.
//!
//! # The floors
//! A module uses its own floor and those below, and no file leads back to itself; `tests/floors.rs`
//! reads the imports against this table.
//!
//! | floor | rooms | what lives there |
//! | --- | --- | --- |
//! | 0 | `show`, `failure`, `args`, `calls` | names made safe to show; what goes wrong; what was asked for; a table |
//! | 1 | `files`, `find`, `rulesets` | files; scenarios and rule sets, from names |
//! | 2 | `saved` | where failing executions are |
//! | 3 | `render` | reports as text, pictures and JSON |
//! | 4 | `console`, `progress` | the terminal |
//! | 5 | `cmd` | one file for each command |

mod args;
mod calls;
mod cmd;
mod console;
mod failure;
mod files;
mod find;
mod progress;
mod render;
mod rulesets;
mod saved;
mod show;

use args::{Cli, Command, LookArgs, TestFormat};
use clap::Parser;
use console::Console;
use failure::Failure;
use render::{json, ktap};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Cli { command, look } = match Cli::try_parse() {
        Ok(asked) => asked,
        Err(answer) => return misread(&answer),
    };
    let mut console = Console::new(&look);
    let format = command.format();
    let answer = match command {
        Command::Run(args) => cmd::run::run(&args, &mut console),
        Command::Check(args) => cmd::check::check(&args, &mut console),
        Command::Merge(args) => cmd::campaign::merge(&args, &mut console),
        Command::Replay(args) => cmd::replay::replay(&args, &mut console),
        Command::Explain(args) => cmd::explain::explain(&args, &mut console),
        Command::Matrix(args) => cmd::matrix::matrix(&args, &mut console),
        Command::When(args) => cmd::history::when(&args, &mut console),
        Command::Cure(args) => cmd::history::cure(&args, &mut console),
        Command::Rules(args) => cmd::rules::rules(&args, &mut console),
        Command::Calls(args) => cmd::calls::calls(&args, &mut console),
        Command::Import(args) => cmd::import::import(&args, &mut console),
        Command::Fmt(args) => cmd::fmt::fmt(&args, &mut console),
        Command::Fuzz(args) => cmd::fuzz::fuzz(&args, &mut console),
        Command::Identify(args) => cmd::identify::identify(&args, &mut console),
        Command::Pressure(args) => cmd::pressure::pressure(&args, &mut console),
        Command::Soak(args) => cmd::soak::soak(&args, &mut console),
        Command::New(args) => cmd::setup::new(&args, &mut console),
        Command::Completions(args) => cmd::setup::completions(&args, &mut console),
        Command::Man(args) => cmd::setup::man(&args, &mut console),
        Command::LinuxAgent(args) => cmd::kernel::agent(&args),
        Command::LinuxGuest => cmd::kernel::guest(),
    };
    match answer {
        Ok(code) => ExitCode::from(code),
        Err(failure) => complain(&failure, format, &mut console),
    }
}

/// Reports why there is no answer; the exit status.
fn complain(failure: &Failure, format: TestFormat, console: &mut Console) -> ExitCode {
    console.complain(failure);
    refuse(failure, format, console)
}

/// Says in the form that was asked for why there is no answer; the exit status.
fn refuse(failure: &Failure, format: TestFormat, console: &mut Console) -> ExitCode {
    let (document, code) = match format {
        TestFormat::Human => return ExitCode::from(failure::EXIT),
        TestFormat::Json => (json::failure(failure), failure::EXIT),
        TestFormat::Ktap => (Ok(ktap::bail_out(&json::told(failure))), ktap::BAILED_OUT),
    };
    if let Ok(document) = document
        && let Err(unprinted) = console.print(&document)
    {
        console.complain(&unprinted);
    }
    ExitCode::from(code)
}

/// Answers a command line that asks for help, or cannot be read.
fn misread(answer: &clap::Error) -> ExitCode {
    let mut console = Console::new(&LookArgs::default());
    if answer.use_stderr() {
        let format = args::asked_for(std::env::args_os());
        // Nobody listens where standard error is closed.
        let _ = answer.print();
        return refuse(&Failure::Usage(answer.to_string()), format, &mut console);
    }
    match console.written(answer.print()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            console.complain(&failure);
            ExitCode::from(failure::EXIT)
        }
    }
}
