//! The machine at each row of a trace, for a picture.
//!
//! A journal has what changed with its lines, and what became different outside entries beside
//! them ([`Sight`]). Both are gone through once, in the order in which they happened; a row shows
//! what is so after its last line.

use std::collections::BTreeMap;

use pinfold::rules::Rules;
use pinfold::{EventKind, Pfn, SpaceId};

use super::why::in_force;
use crate::journal::{FolioCounts, FrameView, Held, Journal, Line, PageView, Sight, What};
use crate::report::{
    Decision, Explained, FrameScene, HandleHead, HandleKind, HandleScene, PageScene, Scene,
    TranslationScene,
};
use crate::scenario::Action;
use crate::tlb::Translation;
use crate::words::Words;

#[cfg(test)]
mod tests;

/// Which lines of the journal a row is about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    /// The line that the row tells; none if it tells of something else.
    pub(super) told: Option<usize>,
    /// How many lines there were once it had happened.
    pub(super) until: usize,
}

/// The machine, as far as the journal has been gone through.
pub(super) struct Scenes<'a> {
    journal: &'a Journal,
    words: &'a Words,
    rules: &'a Rules,
    /// The lines that have been gone through.
    lines: usize,
    /// And the sights.
    sights: usize,
    /// By watched page; none before it was looked at.
    pages: Vec<Option<PageView>>,
    frames: BTreeMap<Pfn, &'a FrameView>,
    handles: Vec<&'a Held>,
    translations: BTreeMap<(usize, SpaceId, u64), Translation>,
}

impl<'a> Scenes<'a> {
    pub(super) fn new(journal: &'a Journal, words: &'a Words, rules: &'a Rules) -> Self {
        Self {
            journal,
            words,
            rules,
            lines: 0,
            sights: 0,
            pages: vec![None; journal.watched.len()],
            frames: BTreeMap::new(),
            handles: Vec::new(),
            translations: BTreeMap::new(),
        }
    }

    /// What there is to say of rows, which are in order.
    pub(super) fn explain(mut self, rows: &[Span]) -> Vec<Explained> {
        rows.iter().map(|row| self.row(*row)).collect()
    }

    fn row(&mut self, row: Span) -> Explained {
        self.go_to(row.until);
        let told = row.told.map(|line| &self.journal.lines[line].what);
        let said = Explained { scene: self.scene(), ..Explained::default() };
        match told {
            Some(What::Step { action, .. }) => {
                Explained { meaning: action.verb().doc().to_owned(), makes: made(action), ..said }
            }
            Some(What::Event(event)) => Explained {
                meaning: meaning(event.kind),
                decision: self.decision(event.kind),
                ..said
            },
            _ => said,
        }
    }

    fn decision(&self, kind: EventKind) -> Option<Decision> {
        let decision = kind.decision()?;
        Some(Decision {
            rule: decision.rule.name().to_owned(),
            text: decision.to_string(),
            in_force: in_force(self.rules, decision.rule),
            told: true,
        })
    }

    /// Goes through the journal until so many lines have happened.
    fn go_to(&mut self, until: usize) {
        let until = until.max(self.lines);
        let journal = self.journal;
        for line in &journal.lines[self.lines..until] {
            self.line(line);
        }
        self.lines = until;
        let sights = journal.sights[self.sights..].iter();
        let mut seen = 0;
        for (_, sight) in sights.take_while(|(lines, _)| *lines <= until) {
            self.sight(sight);
            seen += 1;
        }
        self.sights += seen;
    }

    fn line(&mut self, line: &'a Line) {
        for change in &line.changes {
            self.pages[change.page] = Some(change.view);
        }
        match &line.what {
            What::Holds(held) => self.handles.push(held),
            What::Releases(name) => self.handles.retain(|held| held.name != *name),
            _ => {}
        }
    }

    fn sight(&mut self, sight: &'a Sight) {
        match sight {
            Sight::Frame(frame, view) => {
                self.frames.insert(*frame, view);
            }
            Sight::Remembers { cpu, space, translation } => {
                self.translations.insert((*cpu, *space, translation.page), *translation);
            }
            Sight::Forgets { cpu, space, scope } => {
                self.translations.retain(|(at, of, _), known| {
                    (*at, *of) != (*cpu, *space) || !known.is_within(*scope)
                });
            }
        }
    }

    fn scene(&self) -> Scene {
        let watched = self.journal.watched.iter().zip(&self.pages);
        let pages = watched.filter_map(|(page, view)| {
            let view = view.filter(|view| !view.pte.is_none())?;
            Some(PageScene {
                name: page.name.clone(),
                process: page.process.clone(),
                entry: self.entry(view),
                frame: view.frame().map(|frame| frame.to_string()),
                readable: view.pte.is_present(),
                writable: view.pte.is_present() && view.has_write_bit(),
            })
        });
        let handles = self.handles.iter().map(|held| HandleScene {
            name: held.name.clone(),
            pin: held.pin,
            frames: held.frames.iter().map(ToString::to_string).collect(),
        });
        Scene {
            pages: pages.collect(),
            frames: self.frames.iter().map(|(frame, view)| self.frame(*frame, view)).collect(),
            handles: handles.collect(),
            translations: self
                .translations
                .iter()
                .map(|(&(cpu, space, _), known)| self.translation(cpu, space, known))
                .collect(),
        }
    }

    /// The entry without what its frame counts.
    fn entry(&self, view: PageView) -> String {
        if view.is_zero_page() || !view.pte.is_mapped() {
            return view.text(false, FolioCounts::Left);
        }
        view.pte.clean().to_string()
    }

    fn frame(&self, frame: Pfn, view: &FrameView) -> FrameScene {
        let FrameView { node, counts, words } = view;
        FrameScene {
            name: frame.to_string(),
            node: u32::from(node.0),
            refs: counts.refs,
            tail: counts.tail,
            maps: counts.maps,
            exclusive: counts.exclusive && self.rules.knows_exclusive_mark(),
            folio: counts.folio.map(|run| run.to_string()),
            words: words.iter().map(|word| self.words.text(*word)).collect(),
        }
    }

    fn translation(&self, cpu: usize, space: SpaceId, known: &Translation) -> TranslationScene {
        let all = self.journal.watched.iter().zip(&self.pages);
        let mut of = all.filter(|(page, _)| (page.space, page.page) == (space, known.page));
        // A page that is unmapped and mapped again is watched under each of its names, and has been
        // looked at under those that it has had.
        let last = of.rfind(|(_, view)| view.is_some());
        let view = last.and_then(|(_, view)| *view).unwrap_or_default();
        let follows = view.pte.is_present()
            && view.mapped() == Some(known.frame)
            && (!known.writable || view.has_write_bit());
        TranslationScene {
            cpu,
            page: last.map_or_else(|| "a page".to_owned(), |(page, _)| page.name.clone()),
            frame: known.frame.to_string(),
            writable: known.writable,
            stale: !follows,
        }
    }
}

/// The handle that a step is to make, if it makes one.
fn made(action: &Action) -> Option<HandleHead> {
    let name = action.makes_handle()?.value.clone();
    let kind = match action {
        Action::Pin { .. } => HandleKind::Pin,
        Action::Follow { .. } => HandleKind::Follower,
        Action::Note { .. } => HandleKind::Note,
        _ => HandleKind::Reference,
    };
    Some(HandleHead { name, kind })
}

/// What such an event means.
fn meaning(kind: EventKind) -> String {
    let known = EventKind::ALL.iter().find(|info| info.name == kind.name());
    known.map(|info| info.doc.trim().to_owned()).unwrap_or_default()
}
