//! What names mean, as far as one line needs to know of the others to be read.

use super::super::lexer::{Line, TokenKind};
use super::super::words::Verb;
use std::collections::HashSet;

/// The names that some line of the text makes handles or files: `read X` is an access of a device
/// if X is a handle, and one of the file if X is a file.
pub(super) struct Known {
    handles: HashSet<String>,
    files: HashSet<String>,
}

impl Known {
    /// What the tokens of the lines show.
    pub(super) fn of(lines: &[Line]) -> Self {
        Self {
            handles: lines.iter().filter_map(handle_of).collect(),
            files: lines.iter().filter_map(file_of).collect(),
        }
    }

    /// Whether some line makes a handle of this name.
    pub(super) fn is_handle(&self, name: &str) -> bool {
        self.handles.contains(name)
    }

    /// Whether some line makes a file of this name.
    pub(super) fn is_file(&self, name: &str) -> bool {
        self.files.contains(name)
    }
}

fn word(line: &Line, at: usize) -> Option<&str> {
    match &line.tokens.get(at)?.kind {
        TokenKind::Word(word) => Some(word.as_str()),
        _ => None,
    }
}

/// The handle that a line makes, as far as its tokens show.
fn handle_of(line: &Line) -> Option<String> {
    let verb = match line.tokens.get(1) {
        Some(token) if token.kind == TokenKind::Colon => word(line, 2)?,
        _ => word(line, 0)?,
    };
    if !Verb::from_word(verb).is_some_and(Verb::makes_handle) {
        return None;
    }
    let at = (0..line.tokens.len()).rev().find(|at| word(line, *at) == Some("as"))?;
    word(line, at + 1).map(str::to_owned)
}

/// The file that a line makes, as far as its tokens show.
fn file_of(line: &Line) -> Option<String> {
    let name = word(line, 1).filter(|_| word(line, 0) == Some("file"))?;
    Some(name.to_owned())
}
