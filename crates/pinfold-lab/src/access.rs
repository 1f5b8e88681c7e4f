//! Shared accesses in readable form: `pte P:A: rw f7 -> ro f7` in place of addresses and bits.
//!
//! The explorer's trace names a cell by the label that its owner gave it. What a table's entry
//! means depends on where the table is linked, so [`Places`] starts from the tables as they are
//! before the lanes start and follows each link that the trace itself makes or cuts.
//!
//! - INV-ACCESS-1: a table that is linked from no known root is named by its frame alone.
//! - INV-ACCESS-2: no address appears in a listing, so an execution has the same listing
//!   everywhere.

use std::collections::BTreeMap;

use pinfold::lab::{CellName, FrameWord};
use pinfold::{Counts, Flags, Format, Pfn, Pte};
use pinfold_explore::{Access, AccessKind};

use crate::hardware::{DataWord, STEP_STARTS, Tables};
use crate::report::AccessRow;
use crate::words::Words;

#[cfg(test)]
mod tests;

// A root's entries are links or map as many pages as a table, and all others map single pages: more
// levels would need a walk.
const _: () = assert!(Tables::LEVELS == 2);

/// What the frames of an execution's page tables are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// The process of each root.
    roots: BTreeMap<Pfn, String>,
    /// Where each table is linked: the root and the entry in it.
    hangs: BTreeMap<Pfn, (Pfn, usize)>,
    /// The scenario's names for pages.
    pages: BTreeMap<(Pfn, u64), String>,
    /// Whether the exclusive mark is one that the rules know, and so worth showing.
    marks: bool,
}

/// What an access goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Entry { table: Pfn, entry: usize },
    Frame { frame: Pfn, word: FrameWord },
    Data(DataWord),
    Other,
}

fn is_lock(kind: AccessKind) -> bool {
    matches!(
        kind,
        AccessKind::Lock(_)
            | AccessKind::TryLock(_)
            | AccessKind::TryLockNot(_)
            | AccessKind::Unlock(_)
            | AccessKind::SeeUnlocked
    )
}

impl Cell {
    /// Reads a label of the core, or one of the machine (`f5 word 0`).
    fn read(label: &str) -> Self {
        match CellName::parse(label) {
            Some(CellName::Entry { table, entry }) => Self::Entry { table, entry },
            Some(CellName::Frame { frame, word }) => Self::Frame { frame, word },
            Some(CellName::Object { .. }) | None => {
                DataWord::parse(label).map_or(Self::Other, Self::Data)
            }
        }
    }
}

impl Places {
    /// No places yet; `marks` says whether the exclusive mark is shown.
    pub(crate) fn new(marks: bool) -> Self {
        Self { marks, ..Self::default() }
    }

    /// A page of the scenario, called `process:area`.
    pub(crate) fn page(&mut self, name: &str, root: Pfn, page: u64) {
        let process = name.split(':').next().unwrap_or(name);
        self.roots.insert(root, process.to_owned());
        self.pages.insert((root, page), name.to_owned());
    }

    /// Notes which tables are linked from the roots known so far.
    pub(crate) fn survey(&mut self, read: impl Fn(Pfn, usize) -> u64) {
        let roots: Vec<Pfn> = self.roots.keys().copied().collect();
        for root in roots {
            for entry in 0..Tables::ENTRIES {
                self.link(root, entry, read(root, entry));
            }
        }
    }

    /// Entry `entry` of `root` is now `raw`.
    fn link(&mut self, root: Pfn, entry: usize, raw: u64) {
        self.hangs.retain(|_, place| *place != (root, entry));
        let pte = Pte::<Tables>::from_bits(raw);
        if pte.is_table() {
            self.hangs.insert(pte.pfn(), (root, entry));
        }
    }

    /// The process of a frame that is a root now: a root's frame may have become a lower table.
    fn root(&self, table: Pfn) -> Option<&str> {
        if self.hangs.contains_key(&table) {
            return None;
        }
        self.roots.get(&table).map(String::as_str)
    }

    /// The accesses of a trace in words.
    pub(crate) fn list(
        mut self,
        trace: &[Access],
        lanes: &[&str],
        words: &Words,
    ) -> Vec<AccessRow> {
        trace.iter().map(|access| self.row(access, lanes, words)).collect()
    }

    fn row(&mut self, access: &Access, lanes: &[&str], words: &Words) -> AccessRow {
        let cell = Cell::read(&access.label);
        let value = |bits| self.value(cell, bits, words);
        let (before, after) = match access.kind {
            // The cell exists for this read alone.
            AccessKind::Load(_) if access.label == STEP_STARTS => (None, None),
            AccessKind::Load(_) | AccessKind::RmwNot(_) | AccessKind::Wait(_) => {
                (Some(value(access.old)), None)
            }
            AccessKind::Store(_) | AccessKind::Rmw(_) => {
                (Some(value(access.old)), Some(value(access.new)))
            }
            AccessKind::Choose => (Some(access.old.to_string()), None),
            AccessKind::Join
            | AccessKind::Fence(_)
            | AccessKind::Lock(_)
            | AccessKind::TryLock(_)
            | AccessKind::TryLockNot(_)
            | AccessKind::Unlock(_)
            | AccessKind::SeeUnlocked => (None, None),
        };
        let row = AccessRow {
            step: access.step + 1,
            lane: lanes.get(access.lane).map_or_else(String::new, |&lane| lane.to_owned()),
            kind: access.kind.to_string(),
            cell: self.name(cell, access),
            before,
            after,
            behind: access.behind,
        };
        if let (Cell::Entry { table, entry }, true) = (cell, row.after.is_some())
            && self.root(table).is_some()
        {
            self.link(table, entry, access.new);
        }
        row
    }

    fn name(&self, cell: Cell, access: &Access) -> String {
        match cell {
            Cell::Entry { table, entry } => self.entry_name(table, entry),
            Cell::Frame { frame, word } if is_lock(access.kind) => match word {
                // The word that counts a large folio's pins is the lock of a table.
                FrameWord::Pins => format!("lock of {}", self.table_name(frame)),
                _ => format!("page lock of {frame}"),
            },
            Cell::Frame { frame, word } => format!("{frame} {}", word.as_str()),
            Cell::Data(word) => word.to_string(),
            Cell::Other => access.label.clone(),
        }
    }

    fn entry_name(&self, table: Pfn, entry: usize) -> String {
        let Some(&(root, above)) = self.hangs.get(&table) else {
            return format!("{} entry {entry}", self.table_name(table));
        };
        let page = (above * Tables::ENTRIES + entry) as u64;
        match (self.pages.get(&(root, page)), self.roots.get(&root)) {
            (Some(name), _) => format!("pte {name}"),
            (None, Some(process)) => format!("pte {process} page {page}"),
            (None, None) => format!("table {table} entry {entry}"),
        }
    }

    fn table_name(&self, table: Pfn) -> String {
        let process = |root: &Pfn| self.roots.get(root).map_or("", String::as_str);
        match (self.hangs.get(&table), self.root(table)) {
            (Some((root, above)), _) => format!("table {} {above}", process(root)),
            (None, Some(process)) => format!("root {process}"),
            (None, None) => format!("table {table}"),
        }
    }

    fn value(&self, cell: Cell, bits: u64, words: &Words) -> String {
        match cell {
            Cell::Entry { table, .. } if self.root(table).is_some() => match bits {
                0 => "none".to_owned(),
                _ if Pte::<Tables>::from_bits(bits).is_table() => {
                    format!("table {}", Pte::<Tables>::from_bits(bits).pfn())
                }
                _ => format!("huge {}", entry(Pte::from_huge(bits))),
            },
            Cell::Entry { .. } => entry(Pte::from_bits(bits)),
            Cell::Data(_) => format!("\"{}\"", words.text(bits)),
            Cell::Frame { word: FrameWord::Counts, .. } => {
                counts(Counts::from_bits(bits), self.marks)
            }
            Cell::Frame { word: FrameWord::Flags, .. } => flags(bits),
            // A mapping is the address of the object that maps the frame.
            Cell::Frame { word: FrameWord::Mapping, .. } if bits == 0 => "none".to_owned(),
            Cell::Frame { word: FrameWord::Mapping, .. } => "some".to_owned(),
            Cell::Frame { .. } | Cell::Other => bits.to_string(),
        }
    }
}

/// An entry with its accessed bit, which a walk changes and which the short form leaves out.
fn entry(pte: Pte<Tables>) -> String {
    let young = if pte.is_mapped() && pte.is_accessed() { " young" } else { "" };
    format!("{pte}{young}")
}

/// The counts as the state column of a trace shows them.
fn counts(counts: Counts, marks: bool) -> String {
    let mark = if marks && counts.is_exclusive() { " excl" } else { "" };
    format!("ref {} map {}{mark}", counts.refs(), counts.maps())
}

/// The names of the flags; the node number is left out because it never changes.
fn flags(bits: u64) -> String {
    let names: Vec<String> = Flags::from_bits_truncate(bits as u32)
        .iter_names()
        .map(|(name, _)| name.to_lowercase())
        .collect();
    if names.is_empty() { "none".to_owned() } else { names.join("+") }
}
