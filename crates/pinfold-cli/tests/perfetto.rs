//! `--perfetto FILE`: the trace, read by a reader of protobuf's wire format that knows nothing of
//! the writer, and by `protoc` where there is one.

use snapbox::cmd::{Command, cargo_bin};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A field of a message: its number and what it has.
#[derive(Clone, Debug)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().expect("a varint goes on");
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return value;
        }
    }
    panic!("a varint is too long");
}

/// The fields of a message, in order.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Value)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = match key & 7 {
            0 => Value::Number(varint(&mut bytes)),
            1 => {
                let (word, rest) = bytes.split_at(8);
                bytes = rest;
                Value::Number(u64::from_le_bytes(word.try_into().unwrap()))
            }
            2 => {
                let length = varint(&mut bytes) as usize;
                let (inside, rest) = bytes.split_at(length);
                bytes = rest;
                Value::Bytes(inside.to_vec())
            }
            wire => panic!("wire type {wire}"),
        };
        found.push((key >> 3, value));
    }
    found
}

/// A message as the tests ask it.
struct Message(Vec<(u64, Value)>);

impl Message {
    fn numbers(&self, field: u64) -> Vec<u64> {
        let of = self.0.iter().filter(|(number, _)| *number == field);
        of.map(|(_, value)| match value {
            Value::Number(number) => *number,
            Value::Bytes(_) => panic!("field {field} is a number"),
        })
        .collect()
    }

    fn number(&self, field: u64) -> Option<u64> {
        self.numbers(field).first().copied()
    }

    fn messages(&self, field: u64) -> Vec<Message> {
        let of = self.0.iter().filter(|(number, _)| *number == field);
        of.map(|(_, value)| match value {
            Value::Bytes(bytes) => Message(fields(bytes)),
            Value::Number(_) => panic!("field {field} is a message"),
        })
        .collect()
    }

    fn text(&self, field: u64) -> Option<String> {
        self.0.iter().find(|(number, _)| *number == field).map(|(_, value)| match value {
            Value::Bytes(bytes) => String::from_utf8(bytes.clone()).expect("UTF-8"),
            Value::Number(_) => panic!("field {field} is a text"),
        })
    }
}

/// An event: when, on which track, what, and with what.
#[derive(Debug)]
struct Event {
    time: u64,
    track: String,
    kind: u64,
    name: String,
    category: String,
    notes: BTreeMap<String, String>,
    count: Option<u64>,
    flows: Vec<u64>,
}

const BEGIN: u64 = 1;
const END: u64 = 2;
const INSTANT: u64 = 3;
const COUNT: u64 = 4;

/// Reads a trace, and holds it against what every trace must be.
fn read(bytes: &[u8]) -> Vec<Event> {
    let packets = Message(fields(bytes)).messages(1);
    let mut tracks: BTreeMap<u64, (String, bool)> = BTreeMap::new();
    let mut events = Vec::new();
    for (at, packet) in packets.iter().enumerate() {
        assert_eq!(packet.numbers(10), [1], "every packet is of the one sequence");
        assert_eq!(packet.number(13), (at == 0).then_some(1), "the first needs nothing before it");
        if let Some(track) = packet.messages(60).first() {
            assert!(events.is_empty(), "tracks come before their events");
            let uuid = track.number(1).expect("a track has a number");
            assert_ne!(uuid, 0, "0 is the track of all");
            let parent = track.number(5);
            assert!(parent.is_none_or(|parent| tracks.contains_key(&parent)), "parents come first");
            let is_counter = !track.messages(8).is_empty();
            let name = track.text(2).expect("a track has a name");
            assert!(tracks.insert(uuid, (name, is_counter)).is_none(), "track {uuid} stands twice");
            continue;
        }
        let [event] = &packet.messages(11)[..] else { panic!("packet {at} is neither") };
        let kind = event.number(9).expect("an event has a type");
        let (track, is_counter) = &tracks[&event.number(11).expect("an event has a track")];
        assert_eq!(*is_counter, kind == COUNT, "{track}");
        assert_eq!(event.number(30).is_some(), kind == COUNT);
        let note = |note: &Message| (note.text(10).expect("a name"), note.text(6).expect("a text"));
        events.push(Event {
            time: packet.number(8).expect("an event has a time"),
            track: track.clone(),
            kind,
            name: event.text(23).unwrap_or_default(),
            category: event.text(22).unwrap_or_default(),
            notes: event.messages(4).iter().map(note).collect(),
            count: event.number(30),
            flows: event.numbers(47),
        });
    }
    assert!(events.is_sorted_by_key(|event| event.time));
    let mut open: BTreeMap<&str, i32> = BTreeMap::new();
    for event in &events {
        let depth = open.entry(&event.track).or_default();
        match event.kind {
            BEGIN => *depth += 1,
            END => *depth -= 1,
            _ => {}
        }
        assert!((0..=1).contains(depth), "slices of {} overlap at {}", event.track, event.time);
    }
    assert!(open.values().all(|depth| *depth == 0), "every slice ends: {open:?}");
    events
}

fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("perfetto").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// Runs the command, which writes `t.pftrace`.
fn traced(here: &Path, line: &str, code: i32) -> Vec<u8> {
    let run = Command::new(cargo_bin!("pinfold")).current_dir(here).args(line.split(' '));
    run.args(["--perfetto", "t.pftrace"]).assert().code(code);
    fs::read(here.join("t.pftrace")).unwrap()
}

#[test]
fn lanes_steps_decisions_counts_and_handles_of_bug_215616() {
    let here = directory("bug");
    let events = read(&traced(&here, "explain bug-215616 --rules 5.16", 1));
    let slices = |track: &str| -> Vec<&str> {
        let on = events.iter().filter(|one| one.track.starts_with(track) && one.kind == BEGIN);
        on.map(|one| one.name.as_str()).collect()
    };
    assert_eq!(slices("numad"), ["4 numa-scan", "5 numa-scan"]);
    assert_eq!(slices("sibling"), ["6 read A"]);
    assert_eq!(slices("h0"), ["h0 pins f3"]);
    // Step 6 runs inside step 5, which goes on in it.
    let span = |name: &str| {
        let begin = events.iter().position(|one| one.name == name).expect(name);
        let ends = |one: &&Event| one.kind == END && one.track == events[begin].track;
        let end = events[begin..].iter().find(ends).expect("it ends");
        (events[begin].time, end.time)
    };
    let (outer, inner) = (span("5 numa-scan"), span("6 read A"));
    assert!(outer.0 < inner.0 && inner.0 < outer.1 && outer.1 < inner.1, "{outer:?} {inner:?}");

    let decided = events.iter().filter(|one| one.notes.contains_key("rule"));
    let rules: Vec<&str> = decided.clone().map(|one| one.notes["rule"].as_str()).collect();
    assert_eq!(rules, ["numa-skip", "migration-kind", "pte-cow"]);
    for one in decided {
        assert_eq!((one.kind, one.category.as_str()), (INSTANT, "why"), "{one:?}");
        assert!(one.notes["in force"].contains(&one.notes["rule"]), "{one:?}");
    }
    let counts = |track: &str| -> Vec<u64> {
        let on = events.iter().filter(|one| one.track == track);
        on.filter_map(|one| one.count).collect()
    };
    assert_eq!(counts("f3 pin"), [0, 1]);
    assert_eq!(counts("f3 ref").last(), Some(&1024));
    assert_eq!((counts("f3 map").first(), counts("f3 map").last()), (Some(&1), Some(&0)));
    let flow: Vec<&str> =
        events.iter().filter(|one| one.flows == [1]).map(|one| one.name.as_str()).collect();
    assert_eq!(flow, ["3 P: pin A write longterm as h0", "h0 pins f3"], "an arrow to the handle");
}

#[test]
fn an_arrow_goes_on_to_every_step_that_names_the_handle() {
    let here = directory("arrows");
    let text = "scenario s\n\nsetup\n  process P\n  P: map A 1 private rw\n  P: write A \"v1\"\n\n\
                lane l: P\n  pin A write longterm as h0\n  pin A write longterm as h00\n  \
                unpin h0\n  unpin h00\n\nalways\n  P:A sees \"v1\"\n";
    fs::write(here.join("s.pf"), text).unwrap();
    let events = read(&traced(&here, "run s.pf", 0));
    let with = |flow: u64| -> Vec<&str> {
        let of = events.iter().filter(|one| one.flows.contains(&flow));
        of.map(|one| one.name.as_str()).collect()
    };
    let first = with(1);
    assert_eq!((first.first(), first.len()), (Some(&"3 pin A write longterm as h0"), 3));
    assert!(first[2].ends_with("unpin h0"), "{first:?}");
    assert_eq!(with(2).len(), 3, "h00 is another: {:?}", with(2));
    let handle = events.iter().filter(|one| one.track == "h0").collect::<Vec<_>>();
    let [begin, end] = handle[..] else { panic!("{handle:?}") };
    let released = events.iter().find(|one| one.name.ends_with("unpin h0")).expect("a step");
    assert!(begin.time < end.time && released.time <= end.time, "it ends where it is released");
}

#[test]
fn every_scenario_has_a_sound_trace() {
    let here = directory("every");
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pinfold-lab/scenarios");
    let mut names = BTreeSet::new();
    for file in fs::read_dir(scenarios).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "pf") {
            names.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    let mut seen = 0;
    for name in &names {
        let file = here.join(format!("{name}.pftrace"));
        let run = Command::new(cargo_bin!("pinfold")).current_dir(&here).args(["run", name]);
        let run = run.arg("--perfetto").arg(&file).assert();
        match run.get_output().status.code() {
            Some(0 | 1) => assert!(!read(&fs::read(file).unwrap()).is_empty(), "{name}"),
            code => assert!(code == Some(4) && !file.exists(), "{name}: {code:?}"),
        }
        seen += 1;
    }
    assert!(seen > 50, "{seen} scenarios");
}

#[test]
fn a_saved_execution_has_a_trace_and_what_has_none_says_so() {
    let here = directory("saved");
    Command::new(cargo_bin!("pinfold"))
        .current_dir(&here)
        .args(["check", "rdma-fork", "--rules", "5.8"])
        .assert()
        .code(1);
    let replayed = traced(&here, "replay", 1);
    assert_eq!(replayed, traced(&here, "explain", 1), "the same execution");
    fs::remove_file(here.join("t.pftrace")).unwrap();
    let run = Command::new(cargo_bin!("pinfold")).current_dir(&here);
    let run = run.args(["run", "bug-215616", "--rules", "4.8", "--perfetto", "t.pftrace"]);
    let output = run.output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8(output.stderr).unwrap().contains("there is no execution"));
    assert!(!here.join("t.pftrace").exists());
    let refused = ["run", "rdma-fork", "--perfetto", "no/such/t.pftrace"];
    Command::new(cargo_bin!("pinfold")).current_dir(&here).args(refused).assert().code(2);
}

/// What the fields of a trace are, for `protoc`.
const PROTO: &str = "syntax = \"proto2\";
message Counter {}
message Track { optional uint64 uuid = 1; optional string name = 2; optional uint64 parent_uuid = 5;
  optional Counter counter = 8; optional int32 child_ordering = 11; optional int32 rank = 12; }
message Note { optional string string_value = 6; optional string name = 10; }
message Event { repeated Note debug_annotations = 4; optional int32 type = 9;
  optional uint64 track_uuid = 11; repeated string categories = 22; optional string name = 23;
  optional int64 counter_value = 30; repeated fixed64 flow_ids = 47; }
message Packet { optional uint64 timestamp = 8; optional uint32 sequence = 10;
  optional Event event = 11; optional uint32 flags = 13; optional Track track = 60; }
message Trace { repeated Packet packet = 1; }
";

#[test]
fn protoc_reads_it_where_there_is_one() {
    let here = directory("protoc");
    let bytes = traced(&here, "explain bug-215616 --rules 5.16", 1);
    fs::write(here.join("trace.proto"), PROTO).unwrap();
    let started = std::process::Command::new("protoc")
        .args(["--decode=Trace", "trace.proto"])
        .current_dir(&here)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut protoc) = started else { return };
    protoc.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = protoc.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("packet {").count(), Message(fields(&bytes)).messages(1).len());
    assert!(text.contains("name: \"7 P: write A \\\"v2\\\"\""), "{text}");
    // What it does not know it writes as a number.
    let unknown =
        text.lines().find(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    assert_eq!(unknown, None, "every field is one of Perfetto's");
}

/// What the reader must be able to refuse.
#[test]
fn the_reader_refuses_what_is_no_trace() {
    let here = directory("refused");
    let bytes = traced(&here, "run rdma-fork", 0);
    for cut in [1, bytes.len() / 2, bytes.len() - 1] {
        let cut = bytes[..cut].to_vec();
        assert!(std::panic::catch_unwind(|| read(&cut)).is_err());
    }
}
