//! What takes pages, as steps: for the call, longer, or as a request that a device carries out.
//!
//! INV-USE-1: a request takes its pages in the lane of who submits it. Its device is a lane of its
//! own, and who is told of its end waits for that.

use super::super::answer::{Takes, Way};
use super::super::log::{Seed, Taker, What};
use super::Writer;
use std::collections::BTreeSet;

impl Writer<'_> {
    pub(super) fn take(&mut self, thread: usize, number: usize, prefix: &str) {
        let log = self.log;
        let seed = &log.seeds[number];
        let times = if seed.times > 1 {
            format!(", which stands for {} that are alike", seed.times)
        } else {
            String::new()
        };
        let place = match seed.address {
            Some(address) => format!("{} bytes at {address:#x}", seed.bytes),
            None => format!("{} bytes; assumed: in one buffer, as no address is shown", seed.bytes),
        };
        let asked = if seed.submitted { ", submitted" } else { "" };
        let title = seed.taker.title();
        self.comment(&format!("line {}: {title}{asked}, {place}{times}", seed.line));
        let takes = (self.takes)(seed.taker);
        if takes == Takes::Absent {
            self.comment("the release has no such call");
            self.absent.push(seed.taker);
            return;
        }
        let pages = self.seed_pages(seed);
        if seed.taker.stays() {
            self.hold(thread, number, takes, &pages, prefix);
        } else if seed.submitted {
            self.submit(thread, number, takes, &pages, prefix);
        } else {
            self.pass(thread, number, &pages, prefix);
        }
    }

    /// What goes on after the call.
    fn hold(
        &mut self,
        thread: usize,
        number: usize,
        takes: Takes,
        pages: &[(String, bool)],
        prefix: &str,
    ) {
        let taker = self.log.seeds[number].taker;
        let way = if taker.sends() { "read" } else { "write" };
        let hazard = self.hazard(thread, &self.process(thread), pages);
        let mut rest = pages;
        for (run, length) in self.runs_of(pages) {
            let own;
            (own, rest) = rest.split_at(length.min(rest.len()));
            let handle = self.handle();
            self.line(&match takes {
                Takes::Pin(how) => {
                    let how = slow(how);
                    format!("{prefix}pin {run} {way} longterm{how} as {handle}{hazard}")
                }
                Takes::Follow => format!("{prefix}follow {run} as {handle}{hazard}"),
                Takes::Get(how) => {
                    let how = slow(how);
                    format!("{prefix}get {run} {way}{how} as {handle}{hazard}")
                }
                Takes::Absent => return,
            });
            let one = own.len() == 1;
            for (at, (page, _)) in own.iter().enumerate() {
                let of = if one { handle.clone() } else { format!("{handle}[{at}]") };
                if taker.sends() {
                    self.sends(thread, number, &of, page);
                }
                self.held.entry(number).or_default().push((of, page.clone()));
            }
        }
    }

    fn handle(&mut self) -> String {
        let handle = format!("h{}", self.handles);
        self.handles += 1;
        handle
    }

    /// What is sent must be what was there at the call.
    fn sends(&mut self, thread: usize, seed: usize, handle: &str, page: &str) {
        let Some(word) = self.word_at(thread, page) else { return };
        if self.is_released(seed) {
            self.claims.push(format!("r{} \"{word}\"", self.registers));
            self.told.insert(handle.to_owned(), self.registers);
            self.registers += 1;
        } else {
            self.claims.push(format!("{handle} sees \"{word}\""));
        }
    }

    /// Whether the end of a use is a step.
    fn is_released(&self, seed: usize) -> bool {
        let ends = |at: &usize| matches!(self.log.ops[*at].what, What::Release(it) if it == seed);
        self.plan.lanes.values().flatten().any(ends)
    }

    /// Direct I/O that a device carries out while the program goes on: it holds its page, of
    /// several pages one, in the way that a call does.
    fn submit(
        &mut self,
        thread: usize,
        number: usize,
        takes: Takes,
        pages: &[(String, bool)],
        prefix: &str,
    ) {
        let seed = &self.log.seeds[number];
        let Some((page, partial)) = chosen(pages) else { return };
        let owner = self.owner(seed);
        let hazard = self.hazard(thread, &owner, &[(page.clone(), partial)]);
        let way = if seed.taker == Taker::DirectRead { "write" } else { "read" };
        let verb = if matches!(takes, Takes::Pin(_)) { "pin" } else { "get" };
        let handle = self.handle();
        self.line(&format!("{prefix}{verb} {page} {way} as {handle}{hazard}"));
        if seed.taker == Taker::DirectRead {
            self.arrives(thread, (&owner, &page), format!("disk{number}"), hazard);
        }
        self.held.entry(number).or_default().push((handle, page));
    }

    /// The devices of requests, a lane each.
    pub(super) fn devices(&mut self) {
        for (number, held) in self.held.clone() {
            let Seed { submitted, taker, line, .. } = self.log.seeds[number];
            let Some((handle, _)) = held.first().filter(|_| submitted) else { continue };
            self.comment(&format!("the device of line {line}"));
            self.line(&format!("lane device-{number}: device"));
            if taker == Taker::DirectRead {
                self.line(&format!("write {handle}.0 \"disk{number}\""));
            } else {
                self.line(&format!("read {handle}.0 as r{}", self.registers));
                self.registers += 1;
            }
            if self.is_released(number) {
                self.line(&format!("signal done-{number}"));
            }
        }
    }

    /// What is over with the call.
    fn pass(&mut self, thread: usize, number: usize, pages: &[(String, bool)], prefix: &str) {
        let seed = &self.log.seeds[number];
        let Some((page, partial)) = chosen(pages) else { return };
        let owner = self.owner(seed);
        let hazard = self.hazard(thread, &owner, &[(page.clone(), partial)]);
        let word = if partial { ".0" } else { "" };
        let file = self.files.iter().position(|other| *other == number).unwrap_or(0);
        let line = match seed.taker {
            Taker::DirectRead => format!("direct-read {page}{word} from F[{file}]{word}{hazard}"),
            Taker::DirectWrite => format!("direct-write {page}{word} to F[{file}]{word}{hazard}"),
            Taker::VmRead | Taker::PtraceRead => {
                let verb = if seed.taker == Taker::VmRead { "vm-read" } else { "ptrace-read" };
                let register = format!("r{}", self.registers);
                self.registers += 1;
                format!("{verb} {owner}:{page} as {register}{hazard}")
            }
            _ => {
                let verb = if seed.taker == Taker::VmWrite { "vm-write" } else { "ptrace-write" };
                format!("{verb} {owner}:{page}.0 \"sent\"{hazard}")
            }
        };
        self.line(&format!("{prefix}{line}"));
        let arrived = match seed.taker {
            Taker::DirectRead => format!("disk{file}"),
            Taker::VmWrite | Taker::PtraceWrite => "sent".to_owned(),
            _ => return,
        };
        self.arrives(thread, (&owner, &page), arrived, hazard);
    }

    /// A word comes to a page that is still there.
    fn arrives(&mut self, thread: usize, (owner, page): (&str, &str), word: String, hazard: &str) {
        if self.gone.contains_key(&(owner.to_owned(), page.to_owned())) {
            return;
        }
        self.arrived.push(format!("{owner}:{page}.0 sees \"{word}\""));
        let key = (owner.to_owned(), format!("{page}.0"));
        self.settle(key, word, (thread, true), !hazard.is_empty());
    }

    pub(super) fn release(&mut self, number: usize, prefix: &str) {
        let seed = &self.log.seeds[number];
        let takes = (self.takes)(seed.taker);
        let Some(held) = self.held.get(&number).cloned() else { return };
        self.over.insert(number);
        self.comment(match (seed.taker.sends(), seed.submitted) {
            (true, _) => "what was sent has arrived",
            (_, true) => "the request is over",
            _ => "the registration ends",
        });
        if seed.submitted {
            self.line(&format!("{prefix}await done-{number}"));
        }
        let mut handles = BTreeSet::new();
        for (of, _) in &held {
            if let Some(register) = self.told.get(of).copied() {
                self.line(&format!("{prefix}read {of} as r{register}"));
            }
            handles.insert(of.split('[').next().unwrap_or("h0").to_owned());
        }
        let dirty = seed.submitted && seed.taker == Taker::DirectRead;
        for handle in handles {
            let verb = match takes {
                Takes::Pin(_) => "unpin",
                Takes::Follow => "unfollow",
                Takes::Get(_) | Takes::Absent => "put",
            };
            let dirty = if dirty && verb == "unpin" { " dirty" } else { "" };
            self.line(&format!("{prefix}{verb} {handle}{dirty}"));
        }
    }
}

/// The page of direct I/O that is asked about: one that is used in part, where there is one.
fn chosen(pages: &[(String, bool)]) -> Option<(String, bool)> {
    pages.iter().find(|(_, partial)| *partial).or_else(|| pages.first()).cloned()
}

/// The word for calls that never take the lock-free way.
const fn slow(way: Way) -> &'static str {
    match way {
        Way::FastFirst => "",
        Way::Slow => " slow-only",
    }
}
