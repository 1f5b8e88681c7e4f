//! The steps that move pages between nodes.

use super::super::ast::{Action, Memory, Pages, Strictness, Whose};
use super::super::error::Parsed;
use super::super::span::Spanned;
use super::super::words::{Status, Waits};
use super::cursor::{Cursor, ENDINGS};

/// `PAGES to node N`
fn destination(cursor: &mut Cursor<'_>) -> Parsed<(Pages, Spanned<u32>)> {
    let pages = cursor.pages()?;
    cursor.keyword("to")?;
    cursor.keyword("node")?;
    Ok((pages, cursor.number("a node number")?))
}

/// `[async|light|sync]`
fn waits(cursor: &mut Cursor<'_>) -> Parsed<Option<Spanned<Waits>>> {
    match cursor.peek_word() {
        Some(word) if !ENDINGS.contains(&word) => {
            cursor.one_of("`async`, `light` or `sync`").map(Some)
        }
        _ => Ok(None),
    }
}

/// `[all]`
fn whose(cursor: &mut Cursor<'_>) -> Whose {
    match cursor.accept("all") {
        Some(_) => Whose::All,
        None => Whose::Own,
    }
}

pub(super) fn migrate(cursor: &mut Cursor<'_>) -> Parsed<Action> {
    let (pages, node) = destination(cursor)?;
    Ok(Action::Migrate { pages, node, waits: waits(cursor)? })
}

pub(super) fn compact(cursor: &mut Cursor<'_>) -> Parsed<Action> {
    let (pages, node) = destination(cursor)?;
    Ok(Action::Compact { pages, node, waits: waits(cursor)? })
}

/// `node N [movable|cma]`
pub(super) fn memory(cursor: &mut Cursor<'_>) -> Parsed<(Spanned<u32>, Memory)> {
    cursor.keyword("node")?;
    let node = cursor.number("a node number")?;
    let what = if cursor.accept("movable").is_some() {
        Memory::Movable
    } else if cursor.accept("cma").is_some() {
        Memory::Cma
    } else {
        Memory::All
    };
    Ok((node, what))
}

/// `PAGES to node N [all] [strict]`
pub(super) fn mbind(cursor: &mut Cursor<'_>) -> Parsed<Action> {
    let (pages, node) = destination(cursor)?;
    let whose = whose(cursor);
    let strict = match cursor.accept("strict") {
        Some(_) => Strictness::Strict,
        None => Strictness::No,
    };
    Ok(Action::Mbind { pages, node, whose, strict })
}

/// `PAGES to node N [all] [expect STATUS ...] [as REGISTER]`
pub(super) fn move_pages(cursor: &mut Cursor<'_>) -> Parsed<Action> {
    let (pages, node) = destination(cursor)?;
    let whose = whose(cursor);
    let mut expect: Vec<Spanned<Status>> = Vec::new();
    if cursor.accept("expect").is_some() {
        expect.push(cursor.one_of("what becomes of the page")?);
        let more = |word: &str| word != "as" && !ENDINGS.contains(&word);
        while cursor.peek_word().is_some_and(more) {
            expect.push(cursor.one_of("what becomes of the next page")?);
        }
    }
    let register = match cursor.accept("as") {
        Some(_) => Some(cursor.new_name("a name for the register")?),
        None => None,
    };
    Ok(Action::MovePages { pages, node, whose, expect, register })
}
