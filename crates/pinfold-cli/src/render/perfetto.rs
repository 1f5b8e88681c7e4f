//! An execution as a trace for Perfetto (ui.perfetto.dev, `trace_processor`): lanes, devices'
//! handles and frames as tracks.
//!
//! - INV-TRACE-1: time is order alone: a row of the picture takes [`ROW`], whatever happens in it.
//! - INV-TRACE-2: a lane has a slice for each of its steps, from the row of the step to its last; a
//!   step that another lane interrupts goes on through the rows of that lane.
//! - INV-TRACE-3: a handle has a slice from the row at which it is made to that at which it is
//!   released. An arrow goes to it from the step that makes it, and on to every step that names it.
//! - INV-TRACE-4: counts are those of the scenes that the report has for each row, told where they
//!   change.

use pinfold_lab::report::{Explained, Report, Row, RowKind, Scene, Trace};
use std::collections::BTreeMap;
use wire::Message;

mod wire;

/// What a row takes: a microsecond.
const ROW: u64 = 1_000;
/// The one sequence of packets.
const SEQUENCE: u64 = 1;

/// The fields' numbers in Perfetto's messages (protos/perfetto/trace in its repository), which may
/// never change.
mod field {
    /// `Trace`
    pub(super) const PACKET: u32 = 1;

    /// `TracePacket`
    pub(super) mod packet {
        pub(in super::super) const TIMESTAMP: u32 = 8;
        pub(in super::super) const SEQUENCE: u32 = 10;
        pub(in super::super) const EVENT: u32 = 11;
        pub(in super::super) const FLAGS: u32 = 13;
        pub(in super::super) const TRACK: u32 = 60;
    }

    /// `TrackDescriptor`
    pub(super) mod track {
        pub(in super::super) const UUID: u32 = 1;
        pub(in super::super) const NAME: u32 = 2;
        pub(in super::super) const PARENT: u32 = 5;
        pub(in super::super) const COUNTER: u32 = 8;
        pub(in super::super) const ORDERING: u32 = 11;
        pub(in super::super) const RANK: u32 = 12;
        /// `ChildTracksOrdering.EXPLICIT`
        pub(in super::super) const EXPLICIT: u64 = 3;
    }

    /// `TrackEvent`
    pub(super) mod event {
        pub(in super::super) const NOTES: u32 = 4;
        pub(in super::super) const KIND: u32 = 9;
        pub(in super::super) const TRACK: u32 = 11;
        pub(in super::super) const CATEGORY: u32 = 22;
        pub(in super::super) const NAME: u32 = 23;
        pub(in super::super) const COUNT: u32 = 30;
        pub(in super::super) const FLOW: u32 = 47;
    }

    /// `DebugAnnotation`
    pub(super) mod note {
        pub(in super::super) const TEXT: u32 = 6;
        pub(in super::super) const NAME: u32 = 10;
    }
}

/// `TrackEvent.Type`
#[derive(Clone, Copy)]
enum Kind {
    Begin = 1,
    End = 2,
    Instant = 3,
    Count = 4,
}

/// `SEQ_INCREMENTAL_STATE_CLEARED`: nothing before this packet is needed.
const CLEARED: u64 = 1;

/// The trace of a report's execution, if it has one.
pub(crate) fn trace(report: &Report) -> Option<Vec<u8>> {
    let trace = report.trace.as_ref().filter(|trace| !trace.rows.is_empty())?;
    let mut file = File::default();
    let title = format!("{} under {}", report.scenario.name, report.rules);
    let all = file.track(None, &title, Shape::Group);
    let steps = steps(trace);
    let handles = handles(&report.explained);
    lanes(&mut file, all, report, trace, &steps, &handles);
    if !handles.is_empty() {
        lifetimes(&mut file, all, &handles, trace.rows.len());
    }
    counts(&mut file, all, &report.explained);
    Some(file.finish())
}

/// A step: its rows, from the one that names it to its last.
struct Step {
    lane: usize,
    first: usize,
    last: usize,
}

fn steps(trace: &Trace) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (at, row) in trace.rows.iter().enumerate() {
        let Some(lane) = row.lane.filter(|lane| *lane < trace.lanes.len()) else { continue };
        match row.kind {
            RowKind::Step => steps.push(Step { lane, first: at, last: at }),
            RowKind::Note => {
                if let Some(step) = steps.iter_mut().rev().find(|step| step.lane == lane) {
                    step.last = at;
                }
            }
            RowKind::Switch | RowKind::Claims => {}
        }
    }
    steps
}

/// A handle from the row at which it is there to the first at which it is not.
struct Handle {
    name: String,
    told: String,
    first: usize,
    end: Option<usize>,
}

fn handles(explained: &[Explained]) -> Vec<Handle> {
    let mut handles: Vec<Handle> = Vec::new();
    for (at, row) in explained.iter().enumerate() {
        for handle in handles.iter_mut().filter(|handle| handle.end.is_none()) {
            if !row.scene.handles.iter().any(|one| one.name == handle.name) {
                handle.end = Some(at);
            }
        }
        for one in &row.scene.handles {
            let open = |handle: &Handle| handle.name == one.name && handle.end.is_none();
            if !handles.iter().any(open) {
                let kind = if one.pin { "pins" } else { "holds" };
                let told = format!("{} {kind} {}", one.name, one.frames.join(" "));
                handles.push(Handle { name: one.name.clone(), told, first: at, end: None });
            }
        }
    }
    handles
}

/// Whether a step's text names a handle, also with a place in it: `h0`, `h0[1]`, `h0.1`.
fn names(text: &str, handle: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '_' || c == '"';
    text.split_whitespace()
        .any(|word| word.strip_prefix(handle).is_some_and(|rest| !rest.starts_with(is_part)))
}

/// The flows of a step: the handles that it makes or names while they are there.
fn flows(step: &Step, row: &Row, handles: &[Handle]) -> Vec<u64> {
    let of = |handle: &Handle| {
        let makes = (step.first..=step.last).contains(&handle.first);
        let lives = handle.first <= step.last && handle.end.is_none_or(|end| step.first <= end);
        (makes || lives) && names(&row.text, &handle.name)
    };
    let all = handles.iter().zip(1..);
    all.filter(|(handle, _)| of(handle)).map(|(_, flow)| flow).collect()
}

/// A track for each lane: slices for steps, instants for what they bring about.
fn lanes(
    file: &mut File,
    all: u64,
    report: &Report,
    trace: &Trace,
    steps: &[Step],
    handles: &[Handle],
) {
    let tracks: Vec<u64> = trace
        .lanes
        .iter()
        .map(|lane| {
            file.track(Some(all), &format!("{} ({})", lane.name, lane.place), Shape::Slices)
        })
        .collect();
    for step in steps {
        let row = &trace.rows[step.first];
        let number = row.step.map(|number| format!("{number} ")).unwrap_or_default();
        let mut begin = event(Kind::Begin, tracks[step.lane])
            .text(field::event::NAME, &format!("{number}{}", row.text))
            .text(field::event::CATEGORY, category(row, "step"));
        begin.extend(told(row, report.explained.get(step.first)));
        for flow in flows(step, row, handles) {
            begin = begin.fixed(field::event::FLOW, flow);
        }
        file.event(step.first, Place::Begins, begin);
        file.event(step.last + 1, Place::Ends, event(Kind::End, tracks[step.lane]));
    }
    for (at, row) in trace.rows.iter().enumerate() {
        let track = row.lane.and_then(|lane| tracks.get(lane)).copied().unwrap_or(all);
        let category = match row.kind {
            RowKind::Note if !row.text.is_empty() => match report.explained.get(at) {
                Some(Explained { decision: Some(_), .. }) => "decision",
                _ => "event",
            },
            RowKind::Claims => "claims",
            RowKind::Note | RowKind::Step | RowKind::Switch => continue,
        };
        let mut instant = event(Kind::Instant, track)
            .text(field::event::NAME, &row.text)
            .text(field::event::CATEGORY, self::category(row, category));
        instant.extend(told(row, report.explained.get(at)));
        file.event(at, Place::Within, instant);
    }
}

/// What WHY is about has a category of its own.
fn category<'a>(row: &Row, other: &'a str) -> &'a str {
    if row.cited { "why" } else { other }
}

/// What there is to say of a row, as notes of its event.
fn told(row: &Row, explained: Option<&Explained>) -> Message {
    let mut notes = Message::default();
    let mut note = |name: &str, text: &str| {
        if !text.is_empty() {
            let one = Message::default().text(field::note::NAME, name);
            let one = one.text(field::note::TEXT, text);
            notes.extend(Message::default().message(field::event::NOTES, &one));
        }
    };
    note("state", row.state.as_deref().unwrap_or_default());
    if let Some(Explained { meaning, decision, .. }) = explained {
        note("meaning", meaning);
        if let Some(decision) = decision {
            note("rule", &decision.rule);
            note("in force", &decision.in_force);
            note("decided", &decision.text);
        }
    }
    notes
}

/// A track for each handle.
fn lifetimes(file: &mut File, all: u64, handles: &[Handle], rows: usize) {
    let group = file.track(Some(all), "handles", Shape::Group);
    for (handle, flow) in handles.iter().zip(1..) {
        let track = file.track(Some(group), &handle.name, Shape::Slices);
        let begin = event(Kind::Begin, track)
            .text(field::event::NAME, &handle.told)
            .text(field::event::CATEGORY, "handle")
            .fixed(field::event::FLOW, flow);
        file.event(handle.first, Place::Within, begin);
        let end = handle.end.unwrap_or(rows);
        file.event(end, Place::Ends, event(Kind::End, track));
    }
}

/// Tracks of what each frame counts: references, mappings, and the handles that pin it.
fn counts(file: &mut File, all: u64, explained: &[Explained]) {
    let mut known: BTreeMap<String, [(u64, Option<u64>); 3]> = BTreeMap::new();
    let mut group = None;
    for (at, row) in explained.iter().enumerate() {
        for (name, numbers) in numbers(&row.scene) {
            if !known.contains_key(&name) {
                if numbers == [0; 3] {
                    continue;
                }
                let group =
                    *group.get_or_insert_with(|| file.track(Some(all), "frames", Shape::Group));
                let frame = file.track(Some(group), &name, Shape::Group);
                let tracks = ["ref", "map", "pin"].map(|what| {
                    (file.track(Some(frame), &format!("{name} {what}"), Shape::Counter), None)
                });
                known.insert(name.clone(), tracks);
            }
            let Some(tracks) = known.get_mut(&name) else { continue };
            for ((track, last), number) in tracks.iter_mut().zip(numbers) {
                if last.replace(number) != Some(number) {
                    let count = event(Kind::Count, *track).number(field::event::COUNT, number);
                    file.event(at, Place::Within, count);
                }
            }
        }
    }
}

/// What the frames of a scene count.
fn numbers(scene: &Scene) -> Vec<(String, [u64; 3])> {
    let pins = |name: &String| {
        let pinned = scene.handles.iter().filter(|handle| handle.pin);
        pinned.flat_map(|handle| &handle.frames).filter(|frame| *frame == name).count() as u64
    };
    let frames = scene.frames.iter();
    frames
        .map(|frame| {
            let refs = u64::from(frame.refs) + u64::from(frame.tail);
            (frame.name.clone(), [refs, u64::from(frame.maps), pins(&frame.name)])
        })
        .collect()
}

fn event(kind: Kind, track: u64) -> Message {
    let kind = Message::default().number(field::event::KIND, kind as u64);
    kind.number(field::event::TRACK, track)
}

/// What a track has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Group,
    Slices,
    Counter,
}

/// Where an event is among those of one moment: what ends there makes room for what begins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Ends,
    Begins,
    Within,
}

/// A file under construction.
#[derive(Default)]
struct File {
    tracks: Vec<Message>,
    events: Vec<(usize, Place, Message)>,
}

impl File {
    /// A track below another; its number. Tracks are shown in the order in which they are made.
    fn track(&mut self, parent: Option<u64>, name: &str, shape: Shape) -> u64 {
        let uuid = self.tracks.len() as u64 + 1;
        let mut track = Message::default()
            .number(field::track::UUID, uuid)
            .text(field::track::NAME, name)
            .number(field::track::ORDERING, field::track::EXPLICIT)
            .number(field::track::RANK, uuid);
        if let Some(parent) = parent {
            track = track.number(field::track::PARENT, parent);
        }
        if shape == Shape::Counter {
            track = track.message(field::track::COUNTER, &Message::default());
        }
        self.tracks.push(track);
        uuid
    }

    fn event(&mut self, row: usize, place: Place, event: Message) {
        self.events.push((row, place, event));
    }

    fn finish(mut self) -> Vec<u8> {
        self.events.sort_by_key(|(row, place, _)| (*row, *place));
        let mut file = Message::default();
        let mut packet = |content: Message| {
            let packet = Message::default().number(field::packet::SEQUENCE, SEQUENCE);
            let mut packet = packet;
            packet.extend(content);
            file.extend(Message::default().message(field::PACKET, &packet));
        };
        for (at, track) in self.tracks.iter().enumerate() {
            let flags = if at == 0 { CLEARED } else { 0 };
            let content = Message::default().message(field::packet::TRACK, track);
            packet(match flags {
                0 => content,
                flags => content.number(field::packet::FLAGS, flags),
            });
        }
        for (row, _, event) in &self.events {
            let time = Message::default().number(field::packet::TIMESTAMP, *row as u64 * ROW);
            packet(time.message(field::packet::EVENT, event));
        }
        file.into_bytes()
    }
}
