//! `always`, `outcome` and `reach`.

use super::super::ast::{Atom, Claim, ClaimMode, Fact, Outcome, Polarity, Reach, View};
use super::super::error::{Code, Parsed, ScenarioError};
use super::super::lexer::TokenKind;
use super::super::suggest::nearest;
use super::cursor::Cursor;

/// `[never] FACT and FACT ...`
pub(super) fn claim(cursor: &mut Cursor<'_>) -> Parsed<Claim> {
    let start = cursor.here();
    let mode = match cursor.accept("never") {
        Some(_) => ClaimMode::Never,
        None => ClaimMode::Holds,
    };
    let facts = facts(cursor)?;
    Ok(Claim { mode, facts, span: cursor.since(start) })
}

/// What follows the word `outcome`.
pub(super) fn outcome(cursor: &mut Cursor<'_>) -> Parsed<Outcome> {
    let name = cursor.new_name("a name for the outcome")?;
    if cursor.accept("otherwise").is_some() {
        cursor.end()?;
        return Ok(Outcome { name, when: Vec::new() });
    }
    if cursor.accept("when").is_none() {
        return Err(cursor.unexpected("`when` or `otherwise`"));
    }
    Ok(Outcome { name, when: facts(cursor)? })
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

fn facts(cursor: &mut Cursor<'_>) -> Parsed<Vec<Fact>> {
    let mut facts = vec![fact(cursor)?];
    while cursor.accept("and").is_some() {
        facts.push(fact(cursor)?);
    }
    cursor.end()?;
    Ok(facts)
}

fn fact(cursor: &mut Cursor<'_>) -> Parsed<Fact> {
    let start = cursor.here();
    let view = view(cursor)?;
    let mut polarity = Polarity::Affirmed;
    let atom = if cursor.accept("is").is_some() {
        if cursor.accept("not").is_some() {
            polarity = Polarity::Denied;
        }
        match cursor.accept("dirty") {
            Some(_) => Atom::Dirty { view },
            None => Atom::Is { left: view, right: self::view(cursor)? },
        }
    } else if cursor.accept("never").is_some() {
        polarity = Polarity::Denied;
        cursor.keyword("sees")?;
        Atom::Sees { view, word: cursor.text("the word seen")? }
    } else if cursor.accept("sees").is_some() {
        Atom::Sees { view, word: cursor.text("the word seen")? }
    } else if cursor.peek().is_some_and(|token| matches!(token.kind, TokenKind::Text(_))) {
        register(cursor, view)?
    } else {
        let error = cursor.unexpected("`sees`, `never sees`, `is`, `is not` or a quoted word");
        let near = cursor.peek_word().and_then(|word| nearest(word, ["sees", "never", "is"]));
        return Err(Box::new(error.maybe_help(near.map(|near| format!("did you mean `{near}`?")))));
    };
    Ok(Fact { atom, polarity, span: cursor.since(start) })
}

fn register(cursor: &mut Cursor<'_>, view: View) -> Parsed<Atom> {
    match view {
        View::Handle(place) if place.page.is_none() && place.word.is_none() => {
            Ok(Atom::Register { register: place.name, word: cursor.text("the word read")? })
        }
        View::Handle(place) | View::Process { place, .. } => Err(Box::new(
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

fn view(cursor: &mut Cursor<'_>) -> Parsed<View> {
    if !cursor.at_prefix() {
        return Ok(View::Handle(cursor.place("a handle, a register or `PROCESS:PAGE`")?));
    }
    let process = cursor.name("a process")?;
    cursor.colon()?;
    Ok(View::Process { process, place: cursor.place("a page")? })
}
