//! Reading one line from left to right.

use super::super::ast::{Extent, Name, Pages, Part, Place, Text};
use super::super::error::{Code, Parsed, ScenarioError};
use super::super::lexer::{Line, Token, TokenKind};
use super::super::span::{Position, Span, Spanned};
use super::super::suggest::{did_you_mean, nearest};
use super::super::words::{RESERVED, SECTIONS, Vocabulary};

/// Words that may follow where a statement could end.
const LINKS: [&str; 14] = [
    "fails", "may", "as", "expect", "dirty", "at", "on", "and", "during", "up", "of", "from",
    "words", "memory",
];

/// The words that may follow an action. Both are reserved, so that neither is taken for a name that
/// the action leaves out.
pub(super) const ENDINGS: [&str; 2] = ["fails", "may"];

/// A position in a line of tokens. Each method either consumes what it names or reports what it
/// found instead.
pub(super) struct Cursor<'a> {
    source: &'a str,
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(source: &'a str, line: &'a Line) -> Self {
        Self { source, tokens: &line.tokens, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn peek_word(&self) -> Option<&'a str> {
        match self.peek() {
            Some(Token { kind: TokenKind::Word(word), .. }) => Some(word),
            _ => None,
        }
    }

    /// Whether the line continues with `NAME :`.
    pub(super) fn at_prefix(&self) -> bool {
        self.peek_word().is_some()
            && self.tokens.get(self.at + 1).is_some_and(|token| token.kind == TokenKind::Colon)
    }

    /// Whether the line continues with this word and a number.
    pub(super) fn at_number_after(&self, word: &str) -> bool {
        let next = self.tokens.get(self.at + 1).map(|token| &token.kind);
        self.peek_word() == Some(word) && matches!(next, Some(TokenKind::Number(_)))
    }

    /// Whether the line continues with these words.
    pub(super) fn at_words(&self, first: &str, second: &str) -> bool {
        let next = self.tokens.get(self.at + 1).map(|token| &token.kind);
        let second = matches!(next, Some(TokenKind::Word(word)) if word == second);
        self.peek_word() == Some(first) && second
    }

    /// The position of the next token, or the end of the line.
    pub(super) fn here(&self) -> Span {
        match (self.peek(), self.tokens.last()) {
            (Some(token), _) => token.span,
            (None, Some(last)) => Span::new(last.span.end, last.span.end),
            (None, None) => Span::default(),
        }
    }

    /// From `start` to the last token consumed.
    pub(super) fn since(&self, start: Span) -> Position {
        let end = self.at.checked_sub(1).and_then(|last| self.tokens.get(last));
        Position(end.map_or(start, |last| start.to(last.span)))
    }

    /// The error for a next token other than `wanted`.
    pub(super) fn unexpected(&self, wanted: &str) -> Box<ScenarioError> {
        let span = self.here();
        Box::new(match self.peek() {
            Some(_) => ScenarioError::new(
                Code::Unexpected,
                span,
                format!("expected {wanted}, found `{}`", &self.source[span.range()]),
                format!("expected {wanted}"),
            ),
            None => ScenarioError::new(
                Code::Incomplete,
                span,
                format!("the line ends where {wanted} should stand"),
                format!("expected {wanted}"),
            ),
        })
    }

    /// Consumes a token of one kind.
    fn symbol(&mut self, kind: &TokenKind, wanted: &str) -> Parsed<Span> {
        match self.peek() {
            Some(token) if token.kind == *kind => {
                self.at += 1;
                Ok(token.span)
            }
            _ => Err(self.unexpected(wanted)),
        }
    }

    pub(super) fn colon(&mut self) -> Parsed<Span> {
        self.symbol(&TokenKind::Colon, "`:`")
    }

    /// Consumes this keyword if it is next.
    pub(super) fn accept(&mut self, keyword: &str) -> Option<Span> {
        let span = self.here();
        (self.peek_word() == Some(keyword)).then(|| {
            self.at += 1;
            span
        })
    }

    /// Consumes this keyword.
    pub(super) fn keyword(&mut self, keyword: &str) -> Parsed<Span> {
        let wanted = format!("`{keyword}`");
        self.accept(keyword).ok_or_else(|| self.unexpected(&wanted))
    }

    /// Consumes one of a list of words.
    pub(super) fn one_of<T: Vocabulary>(&mut self, wanted: &str) -> Parsed<Spanned<T>> {
        let span = self.here();
        let Some(word) = self.peek_word() else {
            let help = did_you_mean("", "possible", T::spellings());
            return Err(Box::new(self.unexpected(wanted).maybe_help(help)));
        };
        match T::spelled(word) {
            Some(value) => {
                self.at += 1;
                Ok(Spanned::new(value, span))
            }
            None => {
                let help = did_you_mean(word, "possible", T::spellings());
                Err(Box::new(self.unexpected(wanted).maybe_help(help)))
            }
        }
    }

    /// Consumes a name that was declared elsewhere.
    pub(super) fn name(&mut self, wanted: &str) -> Parsed<Name> {
        let span = self.here();
        match self.peek_word() {
            Some(word) => {
                self.at += 1;
                Ok(Spanned::new(word.to_owned(), span))
            }
            None => Err(self.unexpected(wanted)),
        }
    }

    /// Consumes a name that is declared here.
    pub(super) fn new_name(&mut self, wanted: &str) -> Parsed<Name> {
        let name = self.name(wanted)?;
        if SECTIONS.iter().chain(&RESERVED).any(|word| *word == name.as_str()) {
            return Err(Box::new(
                ScenarioError::new(
                    Code::ReservedName,
                    name.span,
                    format!("`{name}` is a word of the language and cannot be a name"),
                    format!("expected {wanted}"),
                )
                .help("choose another name"),
            ));
        }
        Ok(name)
    }

    /// Consumes a quoted text.
    pub(super) fn text(&mut self, wanted: &str) -> Parsed<Text> {
        match self.peek() {
            Some(Token { kind: TokenKind::Text(text), span }) => {
                self.at += 1;
                Ok(Spanned::new(text.clone(), *span))
            }
            Some(Token { kind: TokenKind::Word(_) | TokenKind::Number(_), span }) => {
                let written = &self.source[span.range()];
                Err(Box::new(
                    ScenarioError::new(
                        Code::UnquotedValue,
                        *span,
                        format!("{wanted} stands in quotes"),
                        "not quoted",
                    )
                    .help(format!("write `\"{written}\"`")),
                ))
            }
            _ => Err(self.unexpected(wanted)),
        }
    }

    /// Consumes a number of at most 64 bits.
    pub(super) fn wide_number(&mut self, wanted: &str) -> Parsed<Spanned<u64>> {
        match self.peek() {
            Some(Token { kind: TokenKind::Number(value), span }) => {
                self.at += 1;
                Ok(Spanned::new(*value, *span))
            }
            _ => Err(self.unexpected(wanted)),
        }
    }

    /// Consumes a number of at most 32 bits.
    pub(super) fn number(&mut self, wanted: &str) -> Parsed<Spanned<u32>> {
        let wide = self.wide_number(wanted)?;
        match u32::try_from(wide.value) {
            Ok(value) => Ok(Spanned::new(value, wide.span)),
            Err(_) => Err(Box::new(
                ScenarioError::new(
                    Code::BadNumber,
                    wide.span,
                    format!("{} is too large for {wanted}", wide.value),
                    "too large",
                )
                .help(format!("the largest number here is {}", u32::MAX)),
            )),
        }
    }

    /// Consumes `AREA`, `AREA[N]` or `AREA[N..M]`.
    pub(super) fn pages(&mut self) -> Parsed<Pages> {
        self.pages_of("an area")
    }

    /// The same of something else that has pages.
    pub(super) fn pages_of(&mut self, wanted: &str) -> Parsed<Pages> {
        let pages = self.pages_before_dot(wanted)?;
        if let Some(Token { kind: TokenKind::Dot, span }) = self.peek() {
            return Err(Box::new(
                ScenarioError::new(
                    Code::Unexpected,
                    *span,
                    "this step works on whole pages, not on a word of one",
                    "expected the end of the page reference",
                )
                .help("leave the word number out"),
            ));
        }
        Ok(pages)
    }

    /// Consumes the same, whatever comes behind it.
    fn pages_before_dot(&mut self, wanted: &str) -> Parsed<Pages> {
        let area = self.name(wanted)?;
        let mut extent = Extent::All;
        if self.symbol(&TokenKind::Open, "`[`").is_ok() {
            let start = self.number("a page number")?;
            extent = if self.symbol(&TokenKind::DotDot, "`..`").is_ok() {
                Extent::Range { start, end: self.number("the end of the page range")? }
            } else {
                Extent::One(start)
            };
            self.symbol(&TokenKind::Close, "`]`")?;
        }
        let span = self.since(area.span);
        Ok(Pages { area, extent, span })
    }

    /// Consumes the same, or one word of one page.
    pub(super) fn part(&mut self, wanted: &str) -> Parsed<Part> {
        let Pages { area: name, extent, span } = self.pages_before_dot(wanted)?;
        if !matches!(self.peek(), Some(Token { kind: TokenKind::Dot, .. })) {
            return Ok(Part::Pages(Pages { area: name, extent, span }));
        }
        let page = match extent {
            Extent::All => None,
            Extent::One(page) => Some(page),
            Extent::Range { start, end } => {
                return Err(Box::new(
                    ScenarioError::new(
                        Code::AmbiguousPage,
                        start.span.to(end.span),
                        "a word is one of a page, not of a range of them",
                        "a range",
                    )
                    .help(format!("write one page, as in `{name}[0].1`, or leave the word out")),
                ));
            }
        };
        self.symbol(&TokenKind::Dot, "`.`")?;
        let word = Some(self.number("a word number")?);
        let span = self.since(name.span);
        Ok(Part::Word(Place { name, page, word, span }))
    }

    /// Consumes `NAME`, `NAME[N]`, `NAME.W` or `NAME[N].W`.
    pub(super) fn place(&mut self, wanted: &str) -> Parsed<Place> {
        let name = self.name(wanted)?;
        let mut page = None;
        let mut word = None;
        if self.symbol(&TokenKind::Open, "`[`").is_ok() {
            page = Some(self.number("a page number")?);
            if let Some(Token { kind: TokenKind::DotDot, span }) = self.peek() {
                return Err(Box::new(
                    ScenarioError::new(
                        Code::AmbiguousPage,
                        *span,
                        "one page is meant here, not a range of them",
                        "a range",
                    )
                    .help(format!("write one page, as in `{name}[0]`")),
                ));
            }
            self.symbol(&TokenKind::Close, "`]`")?;
        }
        if self.symbol(&TokenKind::Dot, "`.`").is_ok() {
            word = Some(self.number("a word number")?);
        }
        let span = self.since(name.span);
        Ok(Place { name, page, word, span })
    }

    /// Requires the line to end here.
    pub(super) fn end(&self) -> Parsed<()> {
        match self.peek() {
            None => Ok(()),
            Some(first) => {
                let last = self.tokens.last().unwrap_or(first);
                let span = first.span.to(last.span);
                let help = match self.peek_word().and_then(|word| nearest(word, LINKS)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "one statement stands on one line; a comment starts with `#`".into(),
                };
                Err(Box::new(
                    ScenarioError::new(
                        Code::Trailing,
                        span,
                        format!("`{}` is too much on this line", &self.source[span.range()]),
                        "the statement has ended before this",
                    )
                    .help(help),
                ))
            }
        }
    }
}
