//! Direct I/O that goes on after its call: io_submit, and what tells of its end.
//!
//! A request takes its pages before io_submit returns, so that is a call of who submits. What moves
//! the bytes is the device, until a call tells that all requests of the context are over. Where who
//! submitted them does nothing else that is kept until it is told so itself, they are calls of its
//! own, as read and write are: all that others did meanwhile races with both.
//!
//! INV-REQUEST-1: a seed that is submitted has a device, which nothing waits for but its release.

use super::super::files::Object;
use super::super::gap::Gap;
use super::super::log::{Op, Taker, What};
use super::super::pending::Requests;
use super::super::value::Value;
use super::buffers::{Buffer, vector};
use super::{Call, Tracker};

/// The most contexts with requests under way that are followed.
const MOST_CONTEXTS: usize = 64;

/// What a request asks for.
enum Asked {
    Read,
    Write,
    /// A flush, or a wait for a descriptor: it moves no memory.
    Nothing,
}

fn asked(request: &Value) -> Option<Asked> {
    Some(match request.field("aio_lio_opcode")? {
        Value::Word(word) if word.contains("PREAD") => Asked::Read,
        Value::Word(word) if word.contains("PWRITE") => Asked::Write,
        Value::Number(0 | 7, _) => Asked::Read,
        Value::Number(1 | 8, _) => Asked::Write,
        _ => Asked::Nothing,
    })
}

impl Tracker {
    /// io_submit: each request of direct I/O holds its memory until it is told to be over.
    pub(super) fn submit(&mut self, thread: usize, call: &Call<'_>) {
        let table = self.living[&thread].files;
        let requests = call.arg(2).map(Value::items).unwrap_or_default();
        let count = usize::try_from(call.result).unwrap_or(usize::MAX);
        let mut missing = requests.len() < count;
        let followed = self.requests(thread, call);
        for request in requests.iter().take(count) {
            let part = |name| request.field(name).and_then(Value::number);
            let (Some(asked), Some(fd)) = (asked(request), part("aio_fildes")) else {
                missing = true;
                continue;
            };
            let buffers = match request.field("aio_buf") {
                Some(parts @ Value::List(_)) => vector(Some(parts)),
                given => {
                    let address = given.and_then(Value::number);
                    vec![Buffer { address, bytes: part("aio_nbytes").unwrap_or(0) }]
                }
            };
            let direct = self.files.what(table, fd) == Some(Object::File { direct: true });
            match (asked, direct) {
                (Asked::Nothing, _) => {}
                (Asked::Read, true) => {
                    self.request(thread, call, Taker::DirectRead, &buffers, followed);
                }
                (Asked::Write, true) => {
                    self.request(thread, call, Taker::DirectWrite, &buffers, followed);
                }
                (Asked::Read, false) => self.store(thread, call.line, &buffers),
                (Asked::Write, false) => self.source(thread, call.line, &buffers),
            }
        }
        if missing {
            self.leave("requests of io_submit that strace does not show", Gap::Dropped);
        }
    }

    /// Counts the requests of a call as under way, and returns by what; nothing if there is no room
    /// to follow them, and the answer is about a part.
    fn requests(&mut self, thread: usize, call: &Call<'_>) -> Option<(usize, u64)> {
        let context = call.number(0).map(|context| (self.living[&thread].space, context))?;
        if !self.under_way.contains_key(&context) && self.under_way.len() >= MOST_CONTEXTS {
            self.leave("io_submit: requests beyond those that are followed", Gap::Dropped);
            return None;
        }
        let begins = self.log.ops.len();
        let fresh = || Requests { under_way: 0, seeds: Vec::new(), begins };
        let known = self.under_way.entry(context).or_insert_with(fresh);
        known.under_way = known.under_way.saturating_add(call.result);
        Some(context)
    }

    /// One request of direct I/O.
    fn request(
        &mut self,
        thread: usize,
        call: &Call<'_>,
        taker: Taker,
        buffers: &[Buffer],
        followed: Option<(usize, u64)>,
    ) {
        let Some(seed) = self.take_of((thread, followed.is_some()), thread, call, taker, buffers)
        else {
            return;
        };
        if let Some(known) = followed.and_then(|context| self.under_way.get_mut(&context)) {
            known.seeds.push(seed);
        }
    }

    /// io_getevents tells of the end of so many requests, io_destroy waits for all of them.
    pub(super) fn reap(&mut self, thread: usize, call: &Call<'_>) {
        let living = self.living[&thread].clone();
        let Some(context) = call.number(0).map(|context| (living.space, context)) else { return };
        let Some(known) = self.under_way.get_mut(&context) else { return };
        let over = if call.name == "io_destroy" { u64::MAX } else { call.result };
        known.under_way = known.under_way.saturating_sub(over);
        if known.under_way > 0 {
            return;
        }
        let Some(known) = self.under_way.remove(&context) else { return };
        if self.fold(thread, &known) {
            return;
        }
        for seed in known.seeds {
            self.op(call.line, thread, living.root, What::Release(seed));
        }
    }

    /// Makes requests calls of who submitted them, if that one is told of their end itself and did
    /// nothing else that is kept since the first; whether it was so.
    fn fold(&mut self, thread: usize, of: &Requests) -> bool {
        let mine = |op: &Op| matches!(op.what, What::Take(it) if of.seeds.contains(&it));
        let uses = |op: &Op| matches!(op.what, What::Take(_) | What::Store(_) | What::Again(_));
        let since = &self.log.ops[of.begins..];
        let submitted = since.iter().filter(|op| mine(op)).all(|op| op.thread == thread);
        if !submitted || !since.iter().filter(|op| op.thread == thread).all(uses) {
            return false;
        }
        for seed in &of.seeds {
            self.log.seeds[*seed].submitted = false;
        }
        // Where nothing came between at all each may be like one before.
        let first = self.log.seeds.len().saturating_sub(of.seeds.len());
        if since.len() == of.seeds.len() && of.seeds.first().is_none_or(|seed| *seed == first) {
            let ops = self.log.ops.split_off(of.begins);
            let seeds = self.log.seeds.split_off(first);
            for (op, seed) in ops.into_iter().zip(seeds) {
                if let Some(number) = self.seed(thread, seed) {
                    self.op(op.line, thread, op.root, What::Take(number));
                }
            }
        }
        true
    }
}
