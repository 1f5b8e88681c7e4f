//! Direct I/O that goes on after its call: io_submit, and what tells of its end.
//!
//! The requests of a context are what a thread of their own does, which the first of them makes and
//! whose end is waited for by the call that tells of the last one. Those that are submitted after
//! another thread did something have a new one: they come after that. Where nothing else that is
//! kept happened in between, they are calls of the thread that submitted them, as read and write
//! are.
//!
//! INV-REQUEST-1: such a thread is in the log alone: no call of the recording is its own.

use super::super::files::Object;
use super::super::gap::Gap;
use super::super::log::{Taker, Thread, What};
use super::super::pending::{Requests, Stand};
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
    /// io_submit: each request of direct I/O takes its memory until it is told to be over.
    pub(super) fn submit(&mut self, thread: usize, call: &Call<'_>) {
        let table = self.living[&thread].files;
        let requests = call.arg(2).map(Value::items).unwrap_or_default();
        let count = usize::try_from(call.result).unwrap_or(usize::MAX);
        let mut missing = requests.len() < count;
        let by = self.requests(thread, call);
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
                    self.take_of(by, thread, call, Taker::DirectRead, &buffers);
                }
                (Asked::Write, true) => {
                    self.take_of(by, thread, call, Taker::DirectWrite, &buffers);
                }
                (Asked::Read, false) => self.store(thread, call.line, &buffers),
                (Asked::Write, false) => self.source(thread, call.line, &buffers),
            }
        }
        if missing {
            self.leave("requests of io_submit that strace does not show", Gap::Dropped);
        }
    }

    /// The thread that stands for the requests of a call: the submitter itself, and the answer is
    /// about a part, where there is no room for one.
    fn requests(&mut self, thread: usize, call: &Call<'_>) -> usize {
        let living = self.living[&thread].clone();
        let Some(context) = call.number(0).map(|context| (living.space, context)) else {
            return thread;
        };
        if let Some(known) = self.under_way.get_mut(&context) {
            known.under_way = known.under_way.saturating_add(call.result);
            if let Some(last) = known.stands.last() {
                let since = self.log.ops.iter().skip(last.begins);
                let mut since = since.filter(|op| op.line > last.line);
                if since.all(|op| op.thread == last.thread) {
                    return last.thread;
                }
            }
        }
        let known = self.under_way.contains_key(&context);
        if !self.has_room() || !known && self.under_way.len() >= MOST_CONTEXTS {
            self.leave("io_submit: requests beyond those that are followed", Gap::Dropped);
            return thread;
        }
        let number = self.log.threads.len();
        let Thread { pid, process, .. } = self.log.threads[thread];
        self.log.threads.push(Thread { pid, parent: Some(thread), process, visits: false });
        let begins = self.log.ops.len();
        self.op(call.line, thread, living.root, What::Thread(number));
        let stand = Stand { thread: number, by: thread, line: call.line, begins };
        match self.under_way.get_mut(&context) {
            Some(known) => known.stands.push(stand),
            None => {
                let requests = Requests { under_way: call.result, stands: vec![stand] };
                self.under_way.insert(context, requests);
            }
        }
        number
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
        if let [only] = known.stands[..]
            && self.fold(only, living.root)
        {
            return;
        }
        for stand in known.stands {
            self.op(call.line, thread, living.root, What::Wait(stand.thread));
        }
    }

    /// Makes requests calls of who submitted them, if nothing else was kept since the first;
    /// whether it was so.
    fn fold(&mut self, of: Stand, root: usize) -> bool {
        let made = |what: &What| matches!(what, What::Thread(thread) if *thread == of.thread);
        let first = self.log.ops.get(of.begins).is_some_and(|op| made(&op.what));
        let alone = first && self.log.ops[of.begins + 1..].iter().all(|op| op.thread == of.thread);
        if !alone || self.log.threads.len() != of.thread + 1 {
            return false;
        }
        let ops = self.log.ops.split_off(of.begins);
        self.log.threads.pop();
        self.turns = self.turns.saturating_sub(1);
        let taken = ops.len() - 1;
        let seeds = self.log.seeds.split_off(self.log.seeds.len().saturating_sub(taken));
        for (op, seed) in ops.into_iter().skip(1).zip(seeds) {
            if let Some(number) = self.seed(of.by, seed) {
                self.op(op.line, of.by, root, What::Take(number));
            }
        }
        true
    }
}
