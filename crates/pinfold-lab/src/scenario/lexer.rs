//! Lines of tokens.
//!
//! A statement never spans lines, so an error in one line leaves the others readable. A line that
//! cannot be lexed is reported and cut off at the error: its first word may still open a section.

use super::error::{Code, ScenarioError};
use super::span::Span;

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A keyword or a name.
    Word(String),
    /// A number, decimal or hexadecimal.
    Number(u64),
    /// A quoted text, escapes resolved.
    Text(String),
    /// `:`
    Colon,
    /// `.`
    Dot,
    /// `..`
    DotDot,
    /// `[`
    Open,
    /// `]`
    Close,
}

/// One line that has a statement, a comment, or both.
#[derive(Debug)]
pub(super) struct Line {
    /// The statement; empty for a comment line.
    pub(super) tokens: Vec<Token>,
    /// The comment's text without `#` and outer blanks.
    pub(super) comment: Option<String>,
    /// The line in the text, without its end.
    pub(super) span: Span,
    /// Whether the tokens are complete.
    pub(super) state: LineState,
}

/// How much of a line was understood as tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineState {
    /// The whole line.
    Whole,
    /// The line up to an error, which is reported.
    Cut,
}

impl Line {
    /// The text of the first token, if that is a word.
    pub(super) fn first_word(&self) -> Option<&str> {
        match self.tokens.first() {
            Some(Token { kind: TokenKind::Word(word), .. }) => Some(word),
            _ => None,
        }
    }
}

/// Whether a word may start with `c`.
pub(super) fn starts_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// Whether `c` may continue a word.
pub(super) fn continues_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// Splits a text into lines of tokens.
pub(super) fn lex(source: &str, errors: &mut Vec<ScenarioError>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    for piece in source.split_inclusive('\n') {
        let text = piece.trim_end();
        let mut scanner = Scanner { source, at: start, end: start + text.len() };
        let line = scanner.line(errors);
        if !line.tokens.is_empty() || line.comment.is_some() {
            lines.push(line);
        }
        start += piece.len();
    }
    lines
}

/// A position in one line.
struct Scanner<'a> {
    source: &'a str,
    at: usize,
    end: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.source[self.at..self.end].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
    }

    fn line(&mut self, errors: &mut Vec<ScenarioError>) -> Line {
        let start = self.at;
        let mut tokens = Vec::new();
        let mut comment = None;
        let mut state = LineState::Whole;
        loop {
            self.skip_while(char::is_whitespace);
            let Some(c) = self.peek() else { break };
            if c == '#' {
                let text = &self.source[self.at..self.end];
                comment = Some(text.trim_start_matches('#').trim().to_owned());
                break;
            }
            match self.token(c) {
                Ok(token) => tokens.push(token),
                Err(error) => {
                    errors.push(*error);
                    state = LineState::Cut;
                    break;
                }
            }
        }
        Line { tokens, comment, span: Span::new(start, self.end), state }
    }

    fn token(&mut self, first: char) -> Result<Token, Box<ScenarioError>> {
        let start = self.at;
        let kind = match first {
            '"' => self.text()?,
            c if starts_word(c) => {
                self.skip_while(continues_word);
                TokenKind::Word(self.source[start..self.at].to_owned())
            }
            c if c.is_ascii_digit() => self.number()?,
            c => {
                self.bump();
                match c {
                    ':' => TokenKind::Colon,
                    '[' => TokenKind::Open,
                    ']' => TokenKind::Close,
                    '.' if self.peek() == Some('.') => {
                        self.bump();
                        TokenKind::DotDot
                    }
                    '.' => TokenKind::Dot,
                    c => {
                        return Err(Box::new(ScenarioError::new(
                            Code::StrayCharacter,
                            Span::new(start, self.at),
                            format!("the language does not use {c:?}"),
                            "not part of any word",
                        )));
                    }
                }
            }
        };
        Ok(Token { kind, span: Span::new(start, self.at) })
    }

    fn number(&mut self) -> Result<TokenKind, Box<ScenarioError>> {
        let start = self.at;
        self.skip_while(continues_word);
        let written = &self.source[start..self.at];
        let digits = written.replace('_', "");
        let value = match digits.strip_prefix("0x") {
            Some(hex) if hex.starts_with(|c: char| c.is_ascii_hexdigit()) => {
                u64::from_str_radix(hex, 16)
            }
            _ => digits.parse(),
        };
        value.map(TokenKind::Number).map_err(|_| {
            Box::new(
                ScenarioError::new(
                    Code::BadNumber,
                    Span::new(start, self.at),
                    format!("`{written}` is not a number"),
                    "neither a number nor a name",
                )
                .help("numbers are decimal, or hexadecimal after `0x`; names start with a letter"),
            )
        })
    }

    fn text(&mut self) -> Result<TokenKind, Box<ScenarioError>> {
        let start = self.at;
        self.bump();
        let mut text = String::new();
        loop {
            let here = self.at;
            match self.bump() {
                Some('"') => return Ok(TokenKind::Text(text)),
                Some('\\') => match self.bump() {
                    Some(c @ ('"' | '\\')) => text.push(c),
                    _ => {
                        return Err(Box::new(
                            ScenarioError::new(
                                Code::BadText,
                                Span::new(here, self.at),
                                "this escape is not known",
                                "unknown escape",
                            )
                            .help("only `\\\"` and `\\\\` are escapes"),
                        ));
                    }
                },
                Some(c) if c.is_control() => {
                    return Err(Box::new(ScenarioError::new(
                        Code::BadText,
                        Span::new(here, self.at),
                        format!("the text contains the control character {c:?}"),
                        "not allowed in a text",
                    )));
                }
                Some(c) => text.push(c),
                None => {
                    return Err(Box::new(
                        ScenarioError::new(
                            Code::BadText,
                            Span::new(start, self.at),
                            "the text does not end on its line",
                            "starts here",
                        )
                        .help("add the closing quote"),
                    ));
                }
            }
        }
    }
}
