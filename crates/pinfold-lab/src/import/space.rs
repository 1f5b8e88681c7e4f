//! What an address space has mapped, as far as the calls of a recording tell.
//!
//! INV-LAYOUT-1: pieces are disjoint and not empty.
//! INV-LAYOUT-2: a page of a mapping keeps its number through a move and in children: it is named
//! by its mapping and its [`Range`], not by its address.

use std::collections::BTreeMap;

/// The bytes of a page.
pub(super) const PAGE: u64 = 4096;
/// As many pieces as Linux allows a process, and no more.
const MOST_PIECES: usize = 65_530;
/// The pages of the widest address space.
const MOST_PAGES: u64 = 1 << 52;

/// Pages of one mapping, `to` not included. The number of a page is that of its address when the
/// mapping was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Range {
    pub(super) mapping: u32,
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Range {
    /// Whether the two have a page in common.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.mapping == other.mapping && self.from < other.to && other.from < self.to
    }

    /// The parts that have no page in common with the other.
    pub(super) fn without(&self, other: &Self) -> Vec<Self> {
        if !self.meets(other) {
            return vec![*self];
        }
        let parts = [(self.from, other.from), (other.to, self.to)];
        let parts = parts.into_iter().filter(|(from, to)| from < to);
        parts.map(|(from, to)| Self { from, to, ..*self }).collect()
    }
}

/// What kind of memory a mapping has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Private,
    /// Private memory of a file.
    PrivateFile,
    Shared,
    /// Private memory of huge pages.
    Huge,
    /// Memory of which the recording does not say where it comes from: static data or a stack.
    Unseen,
}

/// Who said something of pages: the line and the thread.
pub(super) type By = (u64, usize);

/// What was said of pages and holds until it is taken back, whoever uses them when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Children do not get them.
    pub(super) dontfork: Option<By>,
    /// Children find them zeroed.
    pub(super) wipeonfork: Option<By>,
    /// First touches may take huge pages.
    pub(super) hugepage: Option<By>,
    /// What the process may do with them, where it may not write.
    pub(super) protection: Option<(&'static str, By)>,
}

impl Said {
    /// Whether a child shares none of what these pages hold.
    pub(super) fn is_apart(&self) -> bool {
        self.dontfork.is_some() || self.wipeonfork.is_some()
    }
}

/// Whether a protection, by the language's word, lets the process write.
pub(super) fn writable(to: &str) -> bool {
    to.starts_with("rw")
}

/// A part of a mapping, all alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) mapping: u32,
    pub(super) kind: Kind,
    pub(super) said: Said,
    /// Who made it, if a call did.
    pub(super) made: Option<By>,
    /// How far it lies from where it was made.
    shift: i64,
    pub(super) end: u64,
}

impl Piece {
    pub(super) fn new(mapping: u32, kind: Kind) -> Self {
        Self { mapping, kind, said: Said::default(), made: None, shift: 0, end: 0 }
    }

    /// The same, made by a call.
    pub(super) fn by(self, line: u64, thread: usize) -> Self {
        Self { made: Some((line, thread)), ..self }
    }

    /// The same pages at another place than where they have their numbers from.
    pub(super) fn moved(self, from: u64, to: u64) -> Self {
        Self { shift: to.wrapping_sub(from).cast_signed(), ..self }
    }
}

/// An address space.
#[derive(Clone, Debug, Default)]
pub(super) struct Space {
    pieces: BTreeMap<u64, Piece>,
    /// The program break, once it was asked for.
    pub(super) brk: Option<(u64, u64, u32)>,
    /// It was forked, or is a child's, since the break was moved up: what it gets from then on is
    /// another mapping than what parent and child share.
    pub(super) parted: bool,
    /// A piece had no room, so that what is known is not all.
    pub(super) full: bool,
}

/// The pages that `length` bytes at `address` touch.
pub(super) fn pages(address: u64, length: u64) -> Option<(u64, u64)> {
    let end = address.checked_add(length)?.checked_add(PAGE - 1)? / PAGE;
    let from = address / PAGE;
    (from < end && end < MOST_PAGES).then_some((from, end))
}

impl Space {
    /// What a child gets.
    pub(super) fn child(&self) -> Self {
        let mut child = Self { parted: true, ..self.clone() };
        child.pieces.retain(|_, piece| piece.said.dontfork.is_none());
        child
    }

    /// Has a piece begin at `page`, if one lies around it.
    fn cut(&mut self, page: u64) {
        let around = self.pieces.range(..page).next_back().map(|(from, piece)| (*from, *piece));
        if let Some((from, piece)) = around
            && piece.end > page
        {
            if self.pieces.len() >= MOST_PIECES {
                self.full = true;
                return;
            }
            self.pieces.insert(page, piece);
            self.pieces.insert(from, Piece { end: page, ..piece });
        }
    }

    fn starts(&self, from: u64, to: u64) -> Vec<u64> {
        self.pieces.range(from..to).map(|(start, _)| *start).collect()
    }

    /// Maps pages, in place of what is there, if there is room for another piece.
    pub(super) fn insert(&mut self, (from, to): (u64, u64), piece: Piece) {
        self.remove((from, to));
        if self.pieces.len() < MOST_PIECES {
            self.pieces.insert(from, Piece { end: to, ..piece });
        } else {
            self.full = true;
        }
    }

    /// Takes pages out; gives what they were.
    pub(super) fn remove(&mut self, (from, to): (u64, u64)) -> Vec<Range> {
        self.cut(from);
        self.cut(to);
        let starts = self.starts(from, to);
        let gone = starts.iter().filter_map(|start| {
            let piece = self.pieces.remove(start)?;
            Some(named(*start, &piece))
        });
        gone.collect()
    }

    /// What is mapped there: pieces that reach beyond are clipped, and stay whole.
    pub(super) fn find(&self, (from, to): (u64, u64)) -> Vec<(Range, Piece)> {
        let before = self.pieces.range(..from).next_back().filter(|(_, piece)| piece.end > from);
        let clipped = |(start, piece): (&u64, &Piece)| {
            let piece = Piece { end: piece.end.min(to), ..*piece };
            (named((*start).max(from), &piece), piece)
        };
        before.into_iter().chain(self.pieces.range(from..to)).map(clipped).collect()
    }

    /// The parts of a range where nothing is known to be mapped.
    pub(super) fn holes(&self, (from, to): (u64, u64)) -> Vec<(u64, u64)> {
        let mut at = from;
        let mut holes = Vec::new();
        let before = self.pieces.range(..from).next_back().map(|(_, piece)| piece.end);
        at = at.max(before.unwrap_or(0).min(to));
        for (start, piece) in self.pieces.range(from..to) {
            if at < *start {
                holes.push((at, *start));
            }
            at = piece.end;
        }
        if at < to {
            holes.push((at, to));
        }
        holes
    }

    /// Says something of pages. Pieces that differ in nothing are one again.
    pub(super) fn say(&mut self, (from, to): (u64, u64), say: &dyn Fn(&mut Said)) {
        self.cut(from);
        self.cut(to);
        self.pieces.range_mut(from..to).for_each(|(_, piece)| say(&mut piece.said));
        for start in self.starts(from, to.saturating_add(1)) {
            self.join(start);
        }
    }

    /// Makes one piece of the one that starts there and the one that ends there.
    fn join(&mut self, start: u64) {
        let Some(piece) = self.pieces.get(&start).copied() else { return };
        let before = self.pieces.range_mut(..start).next_back();
        if let Some((_, before)) = before
            && before.end == start
            && (before.mapping, before.kind, before.said, before.shift)
                == (piece.mapping, piece.kind, piece.said, piece.shift)
        {
            before.end = piece.end;
            self.pieces.remove(&start);
        }
    }

    /// Moves pages; what lies where they go is gone and given.
    pub(super) fn relocate(&mut self, (from, to): (u64, u64), target: u64) -> Vec<Range> {
        self.cut(from);
        self.cut(to);
        let mut moved = Vec::new();
        for start in self.starts(from, to) {
            moved.extend(self.pieces.remove(&start).map(|piece| (start, piece)));
        }
        let gone = self.remove((target, target.saturating_add(to - from)));
        let by = target.wrapping_sub(from);
        for (start, piece) in moved {
            let (start, end) = (start.wrapping_add(by), piece.end.wrapping_add(by));
            let shift = piece.shift.wrapping_add(by.cast_signed());
            self.pieces.insert(start, Piece { end, shift, ..piece });
        }
        gone
    }

    /// Maps the pages that lie there a second time, at `target`; what lies there is gone and given.
    pub(super) fn double(&mut self, (from, to): (u64, u64), target: u64) -> Vec<Range> {
        let by = target.wrapping_sub(from);
        let found = self.find((from, to));
        let gone = self.remove((target, target.saturating_add(to - from)));
        for (range, piece) in found {
            let start = range.from.wrapping_add(piece.shift.cast_unsigned());
            let shift = piece.shift.wrapping_add(by.cast_signed());
            let end = piece.end.wrapping_add(by);
            self.insert((start.wrapping_add(by), end), Piece { shift, ..piece });
        }
        gone
    }

    /// The only private mapping of so many pages that may be written, the heap apart, if there is
    /// just one.
    pub(super) fn only(&self, pages: u64) -> Option<(u64, u64)> {
        let fits = |(start, piece): &(&u64, &Piece)| {
            let heap = self.brk.is_some_and(|(from, to, _)| (from..to).contains(*start));
            let private = piece.kind == Kind::Private && !heap;
            piece.end - **start == pages && private && piece.said.protection.is_none()
        };
        let mut fitting = self.pieces.iter().filter(fits);
        let (start, piece) = fitting.next()?;
        fitting.next().is_none().then_some((*start, piece.end))
    }
}

fn named(start: u64, piece: &Piece) -> Range {
    let at = |page: u64| page.wrapping_sub(piece.shift.cast_unsigned());
    Range { mapping: piece.mapping, from: at(start), to: at(piece.end) }
}
