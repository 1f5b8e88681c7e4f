//! Errors for people to read: file, line, caret, help.

use super::error::ScenarioError;
use super::span::Span;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::ops::Range;

/// Columns that an error may use.
const WIDTH: usize = 100;

/// Whether a rendering may use terminal colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Text only.
    #[default]
    Plain,
    /// ANSI colours; they carry nothing that the text does not say.
    Coloured,
}

/// The most errors that are drawn. Who has mended these sees the next.
pub const MOST_DRAWN: usize = 20;
/// The most characters of a word in a message.
const MOST_WORD: usize = 60;
/// The most characters of a message.
const MOST_MESSAGE: usize = 1_000;
/// The most bytes that are underlined.
const MOST_MARKED: usize = 80;

/// Draws errors of the text `source`, which came from `file`, with a blank line between them: the
/// first [`MOST_DRAWN`], and how many there are besides.
pub fn render(errors: &[ScenarioError], source: &str, file: &str, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    }
    .term_width(WIDTH);
    let most = errors.len().min(MOST_DRAWN);
    let mut drawn: Vec<String> =
        errors[..most].iter().map(|error| draw(&renderer, error, source, file)).collect();
    if errors.len() > most {
        drawn.push(format!("and {} more errors", errors.len() - most));
    }
    drawn.join("\n\n")
}

fn draw(renderer: &Renderer, error: &ScenarioError, source: &str, file: &str) -> String {
    let main = within(error.span, source);
    let related = error.related.as_ref().map(|(span, label)| (within(*span, source), label));
    let spans = || related.iter().map(|(span, _)| span).chain([&main]);
    // Only the lines from the first place to the last: scanning a long text for each of many
    // errors takes long.
    let first = spans().map(|span| span.start).min().unwrap_or(0);
    let last = spans().map(|span| span.end).max().unwrap_or(0);
    let start = source[..first].rfind('\n').map_or(0, |at| at + 1);
    let end = source[last..].find('\n').map_or(source.len(), |at| last + at);
    let line = source.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count() + 1;
    let moved = |span: &Range<usize>| span.start - start..span.end - start;
    let label = clipped(&error.label);
    let mut snippet = Snippet::source(&source[start..end])
        .line_start(line)
        .path(file)
        .annotation(AnnotationKind::Primary.span(moved(&main)).label(label.as_str()));
    let also = related.as_ref().map(|(span, label)| (moved(span), clipped(label)));
    if let Some((span, label)) = &also {
        snippet =
            snippet.annotation(AnnotationKind::Context.span(span.clone()).label(label.as_str()));
    }
    let (message, help) = (clipped(&error.message), error.help.as_deref().map(clipped));
    let title = Level::ERROR.primary_title(message.as_str()).id(error.code.as_str());
    let mut group = title.element(snippet);
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// A message without the control characters of the words that it quotes, and with long words and
/// long messages cut.
fn clipped(message: &str) -> String {
    let (mut shown, mut word) = (String::new(), 0);
    for (at, c) in message.chars().enumerate() {
        if at == MOST_MESSAGE {
            shown.push_str("...");
            break;
        }
        word = if c.is_whitespace() || c == '`' { 0 } else { word + 1 };
        match word {
            0..MOST_WORD if c.is_control() && c != '\n' => shown.extend(c.escape_default()),
            0..MOST_WORD => shown.push(c),
            MOST_WORD => shown.push_str("..."),
            _ => {}
        }
    }
    shown
}

/// The range, moved to character boundaries of this text: a caller may pass the wrong text, and an
/// error message is no place to panic.
fn within(span: Span, source: &str) -> Range<usize> {
    let start = source.floor_char_boundary(span.start);
    let end = source.ceil_char_boundary(span.end.min(start + MOST_MARKED)).max(start);
    start..end
}
