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

/// Draws errors of the text `source`, which came from `file`, with a blank line between them.
pub fn render(errors: &[ScenarioError], source: &str, file: &str, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    }
    .term_width(WIDTH);
    let drawn: Vec<String> =
        errors.iter().map(|error| draw(&renderer, error, source, file)).collect();
    drawn.join("\n\n")
}

fn draw(renderer: &Renderer, error: &ScenarioError, source: &str, file: &str) -> String {
    let mut snippet = Snippet::source(source).path(file).annotation(
        AnnotationKind::Primary.span(within(error.span, source)).label(error.label.as_str()),
    );
    if let Some((span, label)) = &error.related {
        snippet = snippet
            .annotation(AnnotationKind::Context.span(within(*span, source)).label(label.as_str()));
    }
    let title = Level::ERROR.primary_title(error.message.as_str()).id(error.code.as_str());
    let mut group = title.element(snippet);
    if let Some(help) = &error.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// The range, moved to character boundaries of this text: a caller may pass the wrong text, and an
/// error message is no place to panic.
fn within(span: Span, source: &str) -> Range<usize> {
    let start = source.floor_char_boundary(span.start);
    let end = source.ceil_char_boundary(span.end).max(start);
    start..end
}
