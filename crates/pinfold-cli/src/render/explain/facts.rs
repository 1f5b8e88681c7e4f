//! A scene as sentences, and what is different in the next one.

use pinfold_lab::report::{FrameScene, HandleScene, PageScene, Scene, TranslationScene};
use std::collections::BTreeMap;

/// What is known of the machine: each thing by a name for it, in the order of kinds.
#[derive(Default)]
pub(super) struct Known(BTreeMap<Thing, String>);

/// What a sentence is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Page(String),
    Frame(u64, String),
    Handle(String),
    Translation(usize, String),
}

/// Whether what frames hold and count is told now: within a step it is of a moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    /// Now.
    Told,
    /// Later; it stays as it was known.
    Wait,
}

impl Known {
    /// Takes a scene over: the sentences about what is different in it.
    pub(super) fn changes(&mut self, scene: &Scene, counts: Counts) -> Vec<String> {
        let mut now = things(scene);
        if counts == Counts::Wait {
            now.retain(|thing, _| !thing.is_frame());
            let frames = self.0.iter().filter(|(thing, _)| thing.is_frame());
            now.extend(frames.map(|(thing, text)| (thing.clone(), text.clone())));
        }
        let mut changes = Vec::new();
        for (thing, text) in &now {
            let is_news = match self.0.get(thing) {
                Some(known) => known != text,
                None => !is_unused(thing, text),
            };
            if is_news {
                changes.push(text.clone());
            }
        }
        let gone = self.0.keys().filter(|thing| !now.contains_key(thing));
        changes.extend(gone.map(parting));
        self.0 = now;
        changes
    }
}

impl Thing {
    fn is_frame(&self) -> bool {
        matches!(self, Self::Frame(..))
    }
}

/// A frame that nobody has used yet is no news.
fn is_unused(thing: &Thing, text: &str) -> bool {
    thing.is_frame() && text.ends_with(FREE)
}

const FREE: &str = "is free";

fn things(scene: &Scene) -> BTreeMap<Thing, String> {
    let pages = scene.pages.iter().map(|page| (Thing::Page(page.name.clone()), self::page(page)));
    let frames = scene.frames.iter().map(|frame| {
        let number = frame.name.trim_start_matches('f').parse().unwrap_or(u64::MAX);
        (Thing::Frame(number, frame.name.clone()), self::frame(frame))
    });
    let handles =
        scene.handles.iter().map(|one| (Thing::Handle(one.name.clone()), self::handle(one)));
    let translations = scene
        .translations
        .iter()
        .map(|one| (Thing::Translation(one.cpu, one.page.clone()), translation(one)));
    pages.chain(frames).chain(handles).chain(translations).collect()
}

pub(super) fn page(page: &PageScene) -> String {
    format!("{} has the entry {}", page.name, page.entry)
}

/// Of a large folio the first page has the counts, which are of all.
pub(super) fn frame(frame: &FrameScene) -> String {
    let FrameScene { name, node, refs, tail, maps, exclusive, folio, words } = frame;
    if *refs == 0 && *maps == 0 {
        return format!("{name} {FREE}");
    }
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let holds = words.join(" ");
    let head = folio.as_ref().is_none_or(|run| run.split('+').next() == Some(name));
    let folio = folio.as_ref().map(|run| format!(" of folio {run}")).unwrap_or_default();
    let mut text = format!("{name}{folio} on node {node} holds {holds}");
    if head {
        text += &format!(": ref {refs} map {maps}");
    }
    if *tail > 0 {
        text += &format!(", of its own ref {tail}");
    }
    if *exclusive {
        text += ", exclusive";
    }
    text
}

pub(super) fn handle(handle: &HandleScene) -> String {
    let verb = if handle.pin { "pins" } else { "holds" };
    format!("{} {verb} {}", handle.name, handle.frames.join(" "))
}

pub(super) fn translation(one: &TranslationScene) -> String {
    let TranslationScene { cpu, page, frame, writable, stale } = one;
    let how = if *writable { "to read and write" } else { "to read" };
    let stale = if *stale { ", which the entry no longer says" } else { "" };
    format!("the TLB of cpu{cpu} has {frame} for {page}, {how}{stale}")
}

fn parting(thing: &Thing) -> String {
    match thing {
        Thing::Page(name) => format!("{name} has no entry"),
        Thing::Frame(_, name) => format!("{name} is no longer looked at"),
        Thing::Handle(name) => format!("{name} is given back"),
        Thing::Translation(cpu, page) => format!("the TLB of cpu{cpu} has forgotten {page}"),
    }
}
