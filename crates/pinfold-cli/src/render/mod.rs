//! Drawing: what the laboratory found, as text for people or as JSON.
//!
//! Rules for every drawing: the verdict comes first; lines stay within [`Look::width`]; it fits on
//! one screen unless everything was requested, with a note of what was left out; colour only
//! repeats what the text says.

mod accesses;
pub(crate) mod calls;
mod choose;
pub(crate) mod doubts;
mod evidence;
pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod kernel;
pub(crate) mod kernels;
pub(crate) mod ktap;
mod lanes;
mod legend;
pub(crate) mod matrix;
pub(crate) mod mended;
pub(crate) mod perfetto;
pub(crate) mod pressure;
pub(crate) mod report;
pub(crate) mod rules;
pub(crate) mod soak;
pub(crate) mod summary;
pub(crate) mod svg;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use anstyle::{AnsiColor, Style};

/// Lines of a drawing that is to fit on a screen whose height is not known.
pub(crate) const SCREEN: usize = 40;

/// How a drawing is to look.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// Columns that a line may take.
    pub(crate) width: usize,
    /// Lines that a drawing may take unless everything was requested.
    pub(crate) height: usize,
    /// The characters to draw with.
    pub(crate) charset: Charset,
    /// Whether colours are wanted.
    pub(crate) colour: Colour,
    /// How much is shown.
    pub(crate) detail: Detail,
}

/// The characters to draw with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    /// ASCII only; other characters of a scenario are shown by their numbers.
    Ascii,
    /// Box-drawing characters for tables.
    Unicode,
}

/// Whether colours are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// As ANSI sequences.
    On,
    /// Plain text.
    Off,
}

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What fits on a screen.
    Screen,
    /// Everything.
    All,
}

/// What a colour means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Broken.
    Bad,
    /// Not finished, or not as expected.
    Doubt,
    /// The head of a section.
    Head,
    /// Of less interest.
    Faint,
}

impl Look {
    /// The text in the colour of a tone. Apply it last: escape sequences must not be counted as
    /// width.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        if self.colour == Colour::Off || text.is_empty() {
            return text.to_owned();
        }
        let style = match tone {
            Tone::Good => AnsiColor::Green.on_default().bold(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Doubt => AnsiColor::Yellow.on_default().bold(),
            Tone::Head => Style::new().bold(),
            Tone::Faint => Style::new().dimmed(),
        };
        format!("{style}{text}{style:#}")
    }

    /// The line between two columns.
    fn vertical(&self) -> &'static str {
        match self.charset {
            Charset::Ascii => "|",
            Charset::Unicode => "\u{2502}",
        }
    }

    /// The line under a head.
    fn horizontal(&self) -> &'static str {
        match self.charset {
            Charset::Ascii => "-",
            Charset::Unicode => "\u{2500}",
        }
    }

    /// Where the two meet.
    fn crossing(&self) -> &'static str {
        match self.charset {
            Charset::Ascii => "+",
            Charset::Unicode => "\u{253c}",
        }
    }
}
