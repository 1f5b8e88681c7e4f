//! The full record of one execution, from which traces and explanations are made.
//!
//! Protocol: the machine and the steps push a line for everything that happens, in the order in
//! which it happens. After each event, at the end of each step and whenever another lane goes on,
//! the watched pages are looked at. What changed since the last look is the work of the lane that
//! has run, since no other ran in between: it belongs to the last line if that is of this lane, and
//! to a line of its own if the lane has said nothing since another did.
//!
//! - INV-JOURNAL-1: a line stands where what it says takes effect: a store when the word is in
//!   memory, an event when the manager reports it.
//! - INV-JOURNAL-2: [`Line::after`] never decreases, so lines and the explorer's accesses have one
//!   order.
//! - INV-JOURNAL-3: nothing that a lane does depends on the journal, which only some executions
//!   keep.
//! - INV-JOURNAL-4: a change belongs to a line of the lane that made it.
//!
//! For pictures the journal has, beside its lines, what frames hold and what CPUs remember
//! ([`Sight`]): of each frame that a watched page or a handle has led to, whenever it is looked at.

use std::collections::BTreeMap;
use std::sync::Weak;

use pinfold::platform::FlushScope;
use pinfold::{Entry, Event, MigrationKind, NodeId, Pfn, Pte, SpaceId, VirtRange};

use crate::access::Places;
use crate::folios::Counted;
use crate::hardware::{Level, Tables};
use crate::scenario::Action;
use crate::tlb::Translation;

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The lane; none for what runs alone.
    pub(crate) lane: Option<usize>,
    /// What happened.
    pub(crate) what: What,
    /// How many times in a row.
    pub(crate) times: u32,
    /// What had changed by then in the watched pages.
    pub(crate) changes: Vec<Change>,
    /// How many shared accesses the execution had made before.
    pub(crate) after: u64,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A step of the scenario began.
    Step {
        /// What it is to do.
        action: Box<Action>,
        /// As a trace shows it.
        text: String,
        /// The process that it acts for; none for a device.
        process: Option<String>,
    },
    /// The last step that the lane began is over.
    Ends,
    /// The memory manager reported an event.
    Event(Event),
    /// A CPU or device stored a word.
    Stores(Touch),
    /// A CPU or device loaded a word.
    Loads(Touch),
    /// A handle was made.
    Holds(Held),
    /// A handle was given back.
    Releases(String),
    /// The result of a step.
    Result(String),
    /// The lane went on without a word, and changed what is watched.
    GoesOn,
    /// The lanes and what follows them are over: from here on, claims look.
    Judging,
}

/// A word in memory that was touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Touch {
    pub(crate) frame: Pfn,
    pub(crate) word: usize,
    pub(crate) value: u64,
    /// The handle through which a device reached it; none for a CPU.
    pub(crate) handle: Option<String>,
}

/// What a handle was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) name: String,
    pub(crate) frames: Vec<Pfn>,
    pub(crate) process: String,
    pub(crate) space: SpaceId,
    pub(crate) pages: VirtRange,
    /// The references that each page carries for it.
    pub(crate) refs: u32,
    /// Whether it is a pin and not a plain reference.
    pub(crate) pin: bool,
}

/// A watched page looks different now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The page, as an index of [`Journal::watched`].
    pub(crate) page: usize,
    /// How it looks now.
    pub(crate) view: PageView,
}

/// The entry of a page, without its accessed bit, and the counts of the frame that it maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageView {
    /// The entry; empty where there is no table.
    pub(crate) pte: Pte<Tables>,
    /// Which entry that is: of a huge one it is the part of this page.
    pub(crate) level: Level,
    /// None for what has no counts: nothing, the zero page, a page on the move.
    pub(crate) counts: Option<Counted>,
    /// The frame in the swap cache that a swap entry leads to.
    pub(crate) cached: Option<Pfn>,
}

/// Whether what a large folio counts is shown with one of its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FolioCounts {
    Shown,
    Left,
}

impl Default for PageView {
    /// Nothing is mapped.
    fn default() -> Self {
        Self { pte: Pte::NONE, level: Level::Last, counts: None, cached: None }
    }
}

impl PageView {
    /// The frame that the page maps, or that is on the move, or in the swap cache.
    pub(crate) fn frame(self) -> Option<Pfn> {
        match self.pte.decode() {
            Entry::Mapped(pfn) => Some(pfn),
            Entry::Migration(migration) => Some(migration.pfn),
            Entry::Swap(_) => self.cached,
            Entry::None | Entry::Marker => None,
        }
    }

    /// The frame that the page maps.
    pub(crate) fn mapped(self) -> Option<Pfn> {
        self.pte.is_mapped().then(|| self.pte.pfn())
    }

    /// Whether the page maps the zero page.
    pub(crate) fn is_zero_page(self) -> bool {
        self.pte.is_mapped() && self.counts.is_none()
    }

    /// Whether the entry has the write bit, or remembers it.
    pub(crate) fn has_write_bit(self) -> bool {
        match self.pte.decode() {
            Entry::Mapped(_) => self.pte.is_writable(),
            Entry::Migration(migration) => migration.kind == MigrationKind::Write,
            Entry::None | Entry::Marker | Entry::Swap(_) => false,
        }
    }

    /// The view as the state column shows it. The exclusive mark is shown only where `marks` says
    /// that the rules in force know it, and what a large folio counts only with one of its pages.
    /// A tail that counts references shows them with its number.
    pub(crate) fn text(self, marks: bool, counted: FolioCounts) -> String {
        if self.pte.is_none() {
            return "--".to_owned();
        }
        let huge = match self.level {
            Level::Last => "",
            Level::Above => "huge ",
        };
        if !self.pte.is_mapped() {
            let cached = self.cached.map(|pfn| format!(" in {pfn}")).unwrap_or_default();
            return format!("{huge}{}{cached}", self.pte);
        }
        let pte = format!("{huge}{}", self.pte.clean());
        let Some(counts) = self.counts else { return format!("{pte} zero page") };
        let mark = if marks && counts.exclusive { " excl" } else { "" };
        let told = format!("ref {} map {}", counts.refs, counts.maps);
        let tail = match counts.tail {
            0 => String::new(),
            refs => format!(" ref {refs}"),
        };
        match (counts.folio, counted) {
            (None, _) => format!("{pte} {told}{mark}"),
            (Some(run), FolioCounts::Shown) => format!("{pte}{tail}{mark} of {run}: {told}"),
            (Some(run), FolioCounts::Left) => format!("{pte}{tail}{mark} of {run}"),
        }
    }
}

/// A frame as a picture shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrameView {
    pub(crate) node: NodeId,
    pub(crate) counts: Counted,
    /// The words of data in it.
    pub(crate) words: Vec<u64>,
}

/// What became different outside entries, for a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// A frame looks so.
    Frame(Pfn, FrameView),
    /// A CPU remembers a translation.
    Remembers { cpu: usize, space: SpaceId, translation: Translation },
    /// A CPU has forgotten what it remembered of a space.
    Forgets { cpu: usize, space: SpaceId, scope: FlushScope },
}

/// A page whose entry and frame a trace shows.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// As a scenario names it: `P:A`, `P:A[1]`.
    pub(crate) name: String,
    pub(crate) process: String,
    pub(crate) space: SpaceId,
    pub(crate) page: u64,
    /// The root of the tables; none once the page is unmapped or its process has exited.
    root: Option<Pfn>,
    view: PageView,
}

/// Describes memory as it is, which is no step of an exploration.
pub(crate) trait Describe: Send + Sync {
    /// The entry and the frame of a page, given the root of its tables and its number.
    fn page(&self, root: Pfn, page: u64) -> PageView;
    /// A frame.
    fn frame(&self, frame: Pfn) -> FrameView;
}

/// Everything that happened in one execution.
#[derive(Default)]
pub(crate) struct Journal {
    pub(crate) lines: Vec<Line>,
    pub(crate) watched: Vec<Watched>,
    pub(crate) places: Places,
    /// Each with the number of lines that there were.
    pub(crate) sights: Vec<(usize, Sight)>,
    /// The frames that are looked at, as they were last; none before the first look.
    pub(crate) frames: BTreeMap<Pfn, Option<FrameView>>,
    /// Whether CPUs have batches for the LRU lists, which count references.
    pub(crate) batches: bool,
    /// Belongs to the world, which owns the memory that it inspects.
    pub(crate) describe: Option<Weak<dyn Describe>>,
}

impl Journal {
    /// Shows a page from now on.
    pub(crate) fn watch(
        &mut self,
        process: &str,
        name: String,
        (space, root): (SpaceId, Pfn),
        page: u64,
    ) {
        self.places.page(&name, root, page);
        self.watched.push(Watched {
            name,
            process: process.to_owned(),
            space,
            page,
            root: Some(root),
            view: PageView::default(),
        });
    }

    /// Shows the pages of `space` in `pages` no longer, or all of them.
    pub(crate) fn unwatch(
        &mut self,
        lane: Option<usize>,
        space: SpaceId,
        pages: Option<VirtRange>,
        after: u64,
    ) {
        self.look(lane, after);
        let mut gone_views = Vec::new();
        for (at, page) in self.watched.iter_mut().enumerate() {
            let gone = pages.is_none_or(|pages| pages.iter().any(|number| number.0 == page.page));
            if page.space == space && gone {
                page.root = None;
                if page.view != PageView::default() {
                    page.view = PageView::default();
                    gone_views.push(Change { page: at, view: page.view });
                }
            }
        }
        self.changed(lane, gone_views, after);
    }

    /// Adds a line, or counts the last one once more if it says the same.
    pub(crate) fn push(&mut self, lane: Option<usize>, what: What, after: u64) {
        // Outside an execution of the explorer there are no accesses.
        let after = self.lines.last().map_or(after, |last| after.max(last.after));
        if let What::Holds(held) = &what {
            for frame in &held.frames {
                self.frames.entry(*frame).or_default();
            }
        }
        match self.lines.last_mut() {
            Some(last) if last.lane == lane && last.what == what && last.changes.is_empty() => {
                last.times += 1;
            }
            _ => self.lines.push(Line { lane, what, times: 1, changes: Vec::new(), after }),
        }
    }

    /// Notes what `lane` has changed in the watched pages since the last look.
    pub(crate) fn look(&mut self, lane: Option<usize>, after: u64) {
        let Some(describe) = self.describe.as_ref().and_then(Weak::upgrade) else { return };
        let mut changes = Vec::new();
        for (at, page) in self.watched.iter_mut().enumerate() {
            let Some(root) = page.root else { continue };
            let view = describe.page(root, page.page);
            if view != page.view {
                page.view = view;
                changes.push(Change { page: at, view });
                // The zero page has no counts, and holds nothing to look at.
                if let Some(frame) = view.frame().filter(|_| !view.is_zero_page()) {
                    self.frames.entry(frame).or_default();
                }
            }
        }
        self.changed(lane, changes, after);
        self.look_at_frames(&*describe);
    }

    /// Notes which frames look different.
    fn look_at_frames(&mut self, describe: &dyn Describe) {
        for (frame, known) in &mut self.frames {
            let view = describe.frame(*frame);
            if known.as_ref() != Some(&view) {
                self.sights.push((self.lines.len(), Sight::Frame(*frame, view.clone())));
                *known = Some(view);
            }
        }
    }

    /// Notes what a CPU remembers, or has forgotten.
    pub(crate) fn sees(&mut self, sight: Sight) {
        self.sights.push((self.lines.len(), sight));
    }

    /// Gives changes that `lane` has made to its line (INV-JOURNAL-4).
    fn changed(&mut self, lane: Option<usize>, changes: Vec<Change>, after: u64) {
        if changes.is_empty() {
            return;
        }
        if self.lines.last().is_none_or(|line| line.lane != lane) {
            self.push(lane, What::GoesOn, after);
        }
        let Some(line) = self.lines.last_mut() else { return };
        for change in changes {
            line.changes.retain(|known| known.page != change.page);
            line.changes.push(change);
        }
    }
}
