//! The command `pinfold`: run, check and compare scenarios of Linux's private-memory machinery.
//!
//! Results go to standard output, progress and errors to standard error. The exit status is that of
//! the worst verdict (0 pass, 1 fail, 2 error, 3 partial, 4 skip); anything that keeps the command
//! from asking its question at all is an error. A reader that closes the pipe early does not affect
//! the status and is not reported.
//!
//! # The floors
//! A module uses its own floor and those below, and no file leads back to itself; `tests/floors.rs`
//! reads the imports against this table.
//!
//! | floor | rooms | what lives there |
//! | --- | --- | --- |
//! | 0 | `failure`, `args` | what goes wrong; what was asked for |
//! | 1 | `find`, `rulesets` | scenarios and rule sets, from names |
//! | 2 | `saved` | where failing executions are |
//! | 3 | `render` | reports as text, pictures and JSON |
//! | 4 | `console`, `progress` | the terminal |
//! | 5 | `cmd` | one file for each command |

mod args;
mod cmd;
mod console;
mod failure;
mod find;
mod progress;
mod render;
mod rulesets;
mod saved;

use args::{Cli, Command};
use clap::Parser;
use console::Console;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Cli { command, look } = Cli::parse();
    let mut console = Console::new(&look);
    let answer = match command {
        Command::Run(args) => cmd::run::run(&args, &mut console),
        Command::Check(args) => cmd::check::check(&args, &mut console),
        Command::Merge(args) => cmd::campaign::merge(&args, &mut console),
        Command::Replay(args) => cmd::replay::replay(&args, &mut console),
        Command::Matrix(args) => cmd::matrix::matrix(&args, &mut console),
        Command::Rules(args) => cmd::rules::rules(&args, &mut console),
        Command::Fmt(args) => cmd::fmt::fmt(&args, &mut console),
    };
    match answer {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            console.complain(&failure);
            ExitCode::from(failure::EXIT)
        }
    }
}
