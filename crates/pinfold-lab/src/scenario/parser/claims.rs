//! `always`, `outcome` and `reach`.

use super::super::ast::{Atom, Bound, Claim, ClaimMode, Fact, Outcome, Polarity, Reach, View};
use super::super::error::{Code, Parsed, ScenarioError};
use super::super::lexer::TokenKind;
use super::super::span::Spanned;
use super::super::suggest::nearest;
use super::super::words::Spent;
use super::cursor::Cursor;
use super::known::Known;

/// `[never] FACT and FACT ...`
pub(super) fn claim(cursor: &mut Cursor<'_>, known: &Known) -> Parsed<Claim> {
    let start = cursor.here();
    let mode = match cursor.accept("never") {
        Some(_) => ClaimMode::Never,
        None => ClaimMode::Holds,
    };
    let facts = facts(cursor, known)?;
    Ok(Claim { mode, facts, span: cursor.since(start) })
}

/// What follows the word `outcome`.
pub(super) fn outcome(cursor: &mut Cursor<'_>, known: &Known) -> Parsed<Outcome> {
    let name = cursor.new_name("a name for the outcome")?;
    if cursor.accept("otherwise").is_some() {
        cursor.end()?;
        return Ok(Outcome { name, when: Vec::new() });
    }
    if cursor.accept("when").is_none() {
        return Err(cursor.unexpected("`when` or `otherwise`"));
    }
    Ok(Outcome { name, when: facts(cursor, known)? })
}

/// What follows the word `reach`.
pub(super) fn reach(cursor: &mut Cursor<'_>) -> Parsed<Reach> {
    let event = cursor.name("a kind of event")?;
    let during = match cursor.accept("during") {
        Some(_) => Some(cursor.one_of("a step or a part of one")?),
        None => None,
    };
    cursor.end()?;
    Ok(Reach { event, during })
}

fn facts(cursor: &mut Cursor<'_>, known: &Known) -> Parsed<Vec<Fact>> {
    let mut facts = vec![fact(cursor, known)?];
    while cursor.accept("and").is_some() {
        facts.push(fact(cursor, known)?);
    }
    cursor.end()?;
    Ok(facts)
}

fn fact(cursor: &mut Cursor<'_>, known: &Known) -> Parsed<Fact> {
    let start = cursor.here();
    if let Some((atom, polarity)) = of_machine(cursor)? {
        return Ok(Fact { atom, polarity, span: cursor.since(start) });
    }
    let view = view(cursor, known)?;
    let mut polarity = Polarity::Affirmed;
    let atom = if cursor.accept("is").is_some() {
        if cursor.accept("not").is_some() {
            polarity = Polarity::Denied;
        }
        if cursor.accept("dirty").is_some() {
            Atom::Dirty { view }
        } else if cursor.accept("large").is_some() {
            Atom::Large { view }
        } else if cursor.accept("merged").is_some() {
            Atom::Merged { view }
        } else if cursor.accept("on").is_some() {
            cursor.keyword("node")?;
            Atom::OnNode { view, node: cursor.number("the number of a node")? }
        } else if let Some(kind) = OfProcess::next(cursor) {
            kind.read(cursor, view)?
        } else {
            Atom::Is { left: view, right: self::view(cursor, known)? }
        }
    } else if cursor.accept("never").is_some() {
        polarity = Polarity::Denied;
        match cursor.peek_word() {
            Some("stores") => stores(cursor, view)?,
            Some("holds") => holds(cursor, view)?,
            _ => {
                cursor.keyword("sees")?;
                Atom::Sees { view, word: cursor.text("the word seen")? }
            }
        }
    } else if cursor.peek_word() == Some("stores") {
        stores(cursor, view)?
    } else if cursor.peek_word() == Some("holds") {
        holds(cursor, view)?
    } else if cursor.accept("sees").is_some() {
        Atom::Sees { view, word: cursor.text("the word seen")? }
    } else if cursor.peek().is_some_and(|token| matches!(token.kind, TokenKind::Text(_))) {
        register(cursor, view)?
    } else {
        let error = cursor.unexpected("`sees`, `never sees`, `is`, `is not` or a quoted word");
        let near = cursor
            .peek_word()
            .and_then(|word| nearest(word, ["sees", "stores", "holds", "never", "is"]));
        return Err(Box::new(error.maybe_help(near.map(|near| format!("did you mean `{near}`?")))));
    };
    Ok(Fact { atom, polarity, span: cursor.since(start) })
}

/// `node N holds K` or `cost K copies`, which are about no page: a handle or a register of these
/// names is followed by something else.
fn of_machine(cursor: &mut Cursor<'_>) -> Parsed<Option<(Atom, Polarity)>> {
    if cursor.at_number_after("node") {
        cursor.keyword("node")?;
        let node = cursor.number("the number of a node")?;
        let polarity = match cursor.accept("never") {
            Some(_) => Polarity::Denied,
            None => Polarity::Affirmed,
        };
        cursor.keyword("holds")?;
        let pages = cursor.number("a number of pages")?;
        return Ok(Some((Atom::NodeHolds { node, pages }, polarity)));
    }
    if cursor.at_number_after("cost") || cursor.at_words("cost", "at") {
        cursor.keyword("cost")?;
        return cost(cursor).map(|atom| Some((atom, Polarity::Affirmed)));
    }
    Ok(None)
}

/// What follows the word `cost`.
fn cost(cursor: &mut Cursor<'_>) -> Parsed<Atom> {
    let bound = match cursor.accept("at") {
        None => Bound::Exactly,
        Some(_) if cursor.accept("most").is_some() => Bound::AtMost,
        Some(_) if cursor.accept("least").is_some() => Bound::AtLeast,
        Some(_) => return Err(cursor.unexpected("`most` or `least`")),
    };
    let count = cursor.number("how many")?;
    let one = Spent::ALL.iter().find(|of| cursor.peek_word() == Some(of.one()));
    let of = match one {
        Some(of) => Spanned::new(*of, cursor.keyword(of.one())?),
        None => cursor.one_of("what is counted")?,
    };
    Ok(Atom::Cost { bound, count, of })
}

/// `stores "word"`, which only a file does.
fn stores(cursor: &mut Cursor<'_>, view: View) -> Parsed<Atom> {
    let at = cursor.keyword("stores")?;
    match view {
        View::File(place) => Ok(Atom::Stores { place, word: cursor.text("the word stored")? }),
        View::Handle(place) | View::Process { place, .. } => Err(Box::new(
            ScenarioError::new(
                Code::UnknownFile,
                place.name.span,
                format!("`{}` is no file, and only what is behind a file stores", place.name),
                "not a file",
            )
            .related(at, "said here")
            .help("write `sees` for what is in memory, or name a file of `machine`"),
        )),
    }
}

/// `holds N`, which only a group does.
fn holds(cursor: &mut Cursor<'_>, view: View) -> Parsed<Atom> {
    let at = cursor.keyword("holds")?;
    match view {
        View::Handle(place) if place.page.is_none() && place.word.is_none() => {
            Ok(Atom::Holds { group: place.name, pages: cursor.number("a number of pages")? })
        }
        View::Handle(place) | View::Process { place, .. } | View::File(place) => Err(Box::new(
            ScenarioError::new(
                Code::UnknownGroup,
                place.name.span,
                format!("`{}` is no group, and only a group holds pages", place.name),
                "not a group",
            )
            .related(at, "said here")
            .help("name a group of `machine`"),
        )),
    }
}

/// What only a page of a process is.
enum OfProcess {
    Huge,
    SoftDirty,
    Resident,
}

impl OfProcess {
    /// The one whose word comes next.
    fn next(cursor: &Cursor<'_>) -> Option<Self> {
        let word = cursor.peek_word()?;
        [Self::Huge, Self::SoftDirty, Self::Resident].into_iter().find(|kind| kind.word() == word)
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Huge => "huge",
            Self::SoftDirty => "soft-dirty",
            Self::Resident => "resident",
        }
    }

    fn read(self, cursor: &mut Cursor<'_>, view: View) -> Parsed<Atom> {
        let at = cursor.keyword(self.word())?;
        match view {
            View::Process { process, place } => Ok(match self {
                Self::Huge => Atom::Huge { process, place },
                Self::SoftDirty => Atom::SoftDirty { process, place },
                Self::Resident => Atom::Resident { process, place },
            }),
            View::Handle(place) | View::File(place) => Err(Box::new(
                ScenarioError::new(
                    Code::Unexpected,
                    place.span.0,
                    format!("only what maps a page for a process is {}", self.word()),
                    "no page of a process",
                )
                .related(at, "said here")
                .help(self.help()),
            )),
        }
    }

    const fn help(&self) -> &'static str {
        match self {
            Self::Huge => {
                "name the page as `PROCESS:PAGE`; whether its folio has several pages is `large`"
            }
            Self::SoftDirty => {
                "name the page as `PROCESS:PAGE`; whether a write is on record is `dirty`"
            }
            Self::Resident => "name the page as `PROCESS:PAGE`",
        }
    }
}

fn register(cursor: &mut Cursor<'_>, view: View) -> Parsed<Atom> {
    match view {
        View::Handle(place) if place.page.is_none() && place.word.is_none() => {
            Ok(Atom::Register { register: place.name, word: cursor.text("the word read")? })
        }
        View::Handle(place) | View::Process { place, .. } | View::File(place) => Err(Box::new(
            ScenarioError::new(
                Code::Unexpected,
                place.span.0,
                "only a register is followed by its word at once",
                "a page, not a register",
            )
            .help("write `sees` between the page and the word"),
        )),
    }
}

fn view(cursor: &mut Cursor<'_>, known: &Known) -> Parsed<View> {
    if !cursor.at_prefix() {
        let place = cursor.place("a handle, a register, a file or `PROCESS:PAGE`")?;
        return Ok(match known.is_file(&place.name) {
            true => View::File(place),
            false => View::Handle(place),
        });
    }
    let process = cursor.name("a process")?;
    cursor.colon()?;
    Ok(View::Process { process, place: cursor.place("a page")? })
}
