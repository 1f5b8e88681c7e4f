//! The terminal at the two ends: standard output for results, standard error for complaints.

use crate::args::LookArgs;
use crate::failure::Failure;
use crate::render::{Charset, Colour, Detail, Look, SCREEN, Tone};
use anstream::{AutoStream, ColorChoice};
use pinfold_lab::scenario::Style;
use std::io::{self, ErrorKind, IsTerminal, Stdout, Write};

/// The width of output that does not go to a terminal, so that it is the same everywhere.
const PIPED_WIDTH: usize = 100;
/// Wider lines are hard to read, and narrower ones cannot hold a step.
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=140;
/// Fewer lines hold no story, and more are not read at a glance.
const HEIGHTS: std::ops::RangeInclusive<usize> = 24..=80;

/// Where the command writes, and how its output is to look.
#[derive(Debug)]
pub(crate) struct Console {
    out: AutoStream<Stdout>,
    err_choice: ColorChoice,
    look: Look,
}

impl Console {
    /// A console set up from the options, the environment and the terminal.
    pub(crate) fn new(args: &LookArgs) -> Self {
        let asked = match args.color {
            clap::ColorChoice::Auto => ColorChoice::Auto,
            clap::ColorChoice::Always => ColorChoice::Always,
            clap::ColorChoice::Never => ColorChoice::Never,
        };
        let resolve = |found: ColorChoice| if asked == ColorChoice::Auto { found } else { asked };
        let out_choice = resolve(AutoStream::choice(&io::stdout()));
        let err_choice = resolve(AutoStream::choice(&io::stderr()));
        let look = Look {
            width: width(),
            height: height(),
            charset: if args.ascii { Charset::Ascii } else { Charset::Unicode },
            colour: colour(out_choice),
            detail: if args.verbose { Detail::All } else { Detail::Screen },
        };
        Self { out: AutoStream::new(io::stdout(), out_choice), err_choice, look }
    }

    /// How results are to look.
    pub(crate) fn look(&self) -> &Look {
        &self.look
    }

    /// How errors in scenarios are to be drawn.
    pub(crate) fn error_style(&self) -> Style {
        match colour(self.err_choice) {
            Colour::On => Style::Coloured,
            Colour::Off => Style::Plain,
        }
    }

    /// Writes a result. A reader that has closed the pipe is not a failure: it has seen what it
    /// wanted.
    ///
    /// # Errors
    /// When standard output cannot be written for any other reason.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Failure> {
        let written = self.out.write_all(text.as_bytes());
        self.written(written)
    }

    /// What became of something that was written to standard output.
    ///
    /// # Errors
    /// As for [`Console::print`].
    pub(crate) fn written(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        match written.and_then(|()| self.out.flush()) {
            Err(why) if why.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(why)),
            _ => Ok(()),
        }
    }

    /// Reports a failure on standard error, which may itself be closed: then nobody is listening.
    pub(crate) fn complain(&self, failure: &Failure) {
        match failure {
            Failure::Scenario { drawn, .. } => self.tell("", drawn),
            other => self.tell(&self.head(Tone::Bad, "error: "), &other.to_string()),
        }
    }

    /// Warns on standard error of something that does not prevent an answer.
    pub(crate) fn warn(&self, what: &str) {
        self.tell(&self.head(Tone::Doubt, "warning: "), what);
    }

    /// Notes on standard error something worth knowing besides the result.
    pub(crate) fn note(&self, what: &str) {
        self.tell(&self.head(Tone::Faint, "note: "), what);
    }

    fn head(&self, tone: Tone, word: &str) -> String {
        Look { colour: colour(self.err_choice), ..self.look.clone() }.paint(tone, word)
    }

    fn tell(&self, head: &str, text: &str) {
        let _ = writeln!(AutoStream::new(io::stderr(), self.err_choice), "{head}{text}");
    }
}

fn colour(choice: ColorChoice) -> Colour {
    if choice == ColorChoice::Never { Colour::Off } else { Colour::On }
}

fn width() -> usize {
    if !io::stdout().is_terminal() {
        return PIPED_WIDTH;
    }
    let found = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    found.unwrap_or(PIPED_WIDTH).clamp(*WIDTHS.start(), *WIDTHS.end())
}

fn height() -> usize {
    if !io::stdout().is_terminal() {
        return SCREEN;
    }
    // The last line is where the prompt will be.
    let found =
        terminal_size::terminal_size().map(|(_, height)| usize::from(height.0).saturating_sub(1));
    found.unwrap_or(SCREEN).clamp(*HEIGHTS.start(), *HEIGHTS.end())
}
