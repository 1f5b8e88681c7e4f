//! The machine at a moment: what CPUs remember, entries, frames and devices, with lines for what
//! leads where; as the page of an execution draws it (`html/page.js`).

use super::super::Look;
use super::super::html::text;
use super::super::text::{clean, fold};
use super::grid::{LINE, across};
use pinfold_lab::report::{FrameScene, HandleScene, PageScene, Scene, TranslationScene};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

/// Where a column of boxes is, and how many letters fit a box.
struct Column {
    head: &'static str,
    x: usize,
    letters: usize,
}

const CPUS: Column = Column { head: "TLBs", x: 0, letters: 20 };
const PAGES: Column = Column { head: "page tables", x: 205, letters: 24 };
const FRAMES: Column = Column { head: "frames", x: 455, letters: 26 };
const HANDLES: Column = Column { head: "devices", x: 765, letters: 14 };
/// Between two boxes of a column.
const GAP: usize = 8;

/// A state of the machine, and one before it with which it is compared.
pub(super) struct Moment<'a> {
    pub(super) scene: &'a Scene,
    pub(super) before: Option<&'a Scene>,
}

impl Moment<'_> {
    /// Whether there is nothing to draw.
    pub(super) fn is_empty(&self) -> bool {
        let Scene { pages, frames, handles, translations } = self.scene;
        pages.is_empty() && frames.is_empty() && handles.is_empty() && translations.is_empty()
    }

    /// Whether something is new, or not as it was.
    fn changed<T: PartialEq>(&self, one: &T, of: impl Fn(&Scene) -> &Vec<T>) -> bool {
        self.before.is_some_and(|before| !of(before).contains(one))
    }
}

/// The left and the right end of a box, at half its height.
#[derive(Clone, Copy)]
struct Ends {
    left: usize,
    right: usize,
    y: usize,
}

/// A column that is being filled.
struct Boxes<'a> {
    column: Column,
    x: usize,
    top: usize,
    y: usize,
    look: &'a Look,
    out: &'a mut String,
}

impl<'a> Boxes<'a> {
    fn new(column: Column, (x, y): (usize, usize), look: &'a Look, out: &'a mut String) -> Self {
        let x = x + column.x;
        Self { column, x, top: y, y, look, out }
    }

    /// A box, below the head of the column; lines that are empty are left out.
    fn put(&mut self, lines: &[String], class: &str) -> Ends {
        if self.y == self.top {
            // A string takes whatever is written to it, here and below.
            let (x, y, head) = (self.x, self.y + 12, self.column.head);
            let _ = writeln!(self.out, "<text x=\"{x}\" y=\"{y}\" class=\"faint\">{head}</text>");
            self.y += LINE + 6;
        }
        let clean = |line: &String| clean(line, self.look);
        let lines = lines.iter().filter(|line| !line.is_empty());
        let folded = lines.enumerate().flat_map(|(at, line)| {
            let class = if at > 0 { " class=\"faint\"" } else { "" };
            fold(&clean(line), self.column.letters, 1).into_iter().map(move |line| (line, class))
        });
        let folded: Vec<(String, &str)> = folded.collect();
        let (wide, tall) = (across(self.column.letters) + 14, folded.len() * LINE + 8);
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let _ = writeln!(
            self.out,
            "<g{class}><rect x=\"{}\" y=\"{}\" width=\"{wide}\" height=\"{tall}\" rx=\"5\"/>",
            self.x, self.y,
        );
        for (at, (line, class)) in folded.iter().enumerate() {
            let (x, y) = (self.x + 7, self.y + 16 + at * LINE);
            let _ = writeln!(self.out, "<text x=\"{x}\" y=\"{y}\"{class}>{}</text>", text(line));
        }
        self.out.push_str("</g>\n");
        let ends = Ends { left: self.x, right: self.x + wide, y: self.y + tall / 2 };
        self.y += tall + GAP;
        ends
    }
}

/// Draws a moment with its upper left corner there; the height at which it ends.
pub(super) fn draw(
    moment: &Moment,
    corner: (usize, usize),
    look: &Look,
    out: &mut String,
) -> usize {
    let scene = moment.scene;
    // Lines are below boxes.
    let (mut boxes, mut lines) = (String::new(), String::new());
    let mut bottom = corner.1;

    let mut column = Boxes::new(FRAMES, corner, look, &mut boxes);
    let mut places: HashMap<&str, Ends> = HashMap::new();
    for frame in shown(scene) {
        let changed = moment.changed(frame, |scene| &scene.frames);
        places.insert(
            &frame.name,
            column.put(&frame_lines(frame), &class(changed, is_free(frame), "free")),
        );
    }
    bottom = bottom.max(column.y);

    let mut column = Boxes::new(PAGES, corner, look, &mut boxes);
    for page in &scene.pages {
        let PageScene { name, entry, frame, readable, writable, .. } = page;
        let changed = moment.changed(page, |scene| &scene.pages);
        let ends = column.put(&[name.clone(), entry.clone()], &class(changed, false, ""));
        let kind = match (writable, readable) {
            (true, _) => "write",
            (false, true) => "",
            (false, false) => "shut",
        };
        lead(ends, frame.as_deref().and_then(|frame| places.get(frame)), kind, &mut lines);
    }
    bottom = bottom.max(column.y);

    let mut column = Boxes::new(HANDLES, corner, look, &mut boxes);
    for handle in &scene.handles {
        let HandleScene { name, pin, frames } = handle;
        let changed = moment.changed(handle, |scene| &scene.handles);
        let kind = if *pin { "pin" } else { "reference" };
        let ends = column.put(&[name.clone(), kind.to_owned()], &class(changed, false, ""));
        for frame in frames {
            if let Some(from) = places.get(frame.as_str()) {
                lead(*from, Some(&ends), "device", &mut lines);
            }
        }
    }
    bottom = bottom.max(column.y);

    let mut column = Boxes::new(CPUS, corner, look, &mut boxes);
    for one in &scene.translations {
        let TranslationScene { cpu, page, frame, writable, stale } = one;
        let changed = moment.changed(one, |scene| &scene.translations);
        let rights = if *writable { "rw" } else { "ro" };
        let said = if *stale { "STALE" } else { "" };
        let words = [format!("cpu{cpu}  {page}"), format!("{frame} {rights}"), said.to_owned()];
        let ends = column.put(&words, &class(changed, *stale, "stale"));
        let kind = if *stale { "stale" } else { "cpu" };
        lead(ends, places.get(frame.as_str()), kind, &mut lines);
    }
    bottom = bottom.max(column.y);
    out.push_str(&lines);
    out.push_str(&boxes);
    bottom
}

fn class(changed: bool, other: bool, name: &str) -> String {
    [("changed", changed), (name, other)]
        .into_iter()
        .filter_map(|(name, wanted)| wanted.then_some(name))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A line from the right end of one box to the left end of another.
fn lead(from: Ends, to: Option<&Ends>, class: &str, out: &mut String) {
    let Some(to) = to else { return };
    let (x0, y0, x1, y1) = (from.right, from.y, to.left, to.y);
    let middle = x0.midpoint(x1);
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = writeln!(out, "<path{class} d=\"M{x0} {y0}C{middle} {y0} {middle} {y1} {x1} {y1}\"/>");
}

/// The frames that are worth a box: those in use, and free ones to which something still leads.
fn shown(scene: &Scene) -> impl Iterator<Item = &FrameScene> {
    let pages = scene.pages.iter().filter_map(|page| page.frame.as_deref());
    let handles = scene.handles.iter().flat_map(|handle| &handle.frames).map(String::as_str);
    let cpus = scene.translations.iter().map(|one| one.frame.as_str());
    let led: HashSet<&str> = pages.chain(handles).chain(cpus).collect();
    scene.frames.iter().filter(move |one| !is_free(one) || led.contains(one.name.as_str()))
}

fn is_free(frame: &FrameScene) -> bool {
    frame.refs == 0 && frame.maps == 0
}

/// What a frame holds, what it counts, and where it is.
fn frame_lines(frame: &FrameScene) -> [String; 3] {
    let FrameScene { name, node, refs, tail, maps, exclusive, folio, words } = frame;
    let free = is_free(frame);
    let held: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let first = if free { name.clone() } else { format!("{name}  {}", held.join(" ")) };
    // Of a large folio the first page has the counts, which are of all.
    let counts = match folio.as_deref() {
        _ if free => "free".to_owned(),
        Some(folio) if folio.split('+').next() != Some(name) => format!("of {folio}"),
        _ => format!("ref {refs} map {maps}"),
    };
    let own = if *tail > 0 { format!(", own ref {tail}") } else { String::new() };
    let mark = if *exclusive { ", exclusive" } else { "" };
    [first, counts + &own, format!("node {node}{mark}")]
}
