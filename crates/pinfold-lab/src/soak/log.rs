//! What happened to the pages of command buffers, and by whom: the last events of each, so that the
//! story of the first corruption can be told.
//!
//! Protocol: an event is filed by the thread that it happens to, which may hold spinning locks of
//! the manager: a log's lock is taken last, and for a moment. A pin says which frame the device
//! has, and an unpin begins the log anew. The event by which the process's entry leaves that frame
//! has the log so far kept: later events do not push it out.
//!
//! Invariants:
//! - INV-LOG-1: of two events of a page, the one filed first happened first: both happened under
//!   the table's lock or the page's, or to a page that nobody else can find.

use crate::pressure::board::locked;
use pinfold::{Event, EventKind, NodeId, Pfn, SpaceId, Vpn, Weight};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Events of a page that are kept.
const KEPT: usize = 128;

/// An event, and who was there.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub(super) at: Duration,
    pub(super) thread: Thread,
    pub(super) node: NodeId,
    pub(super) kind: EventKind,
}

/// The log of a page.
#[derive(Default)]
struct Log {
    /// What the device has, and who had it pinned, when.
    pinned: Option<(Pfn, Thread, Duration)>,
    last: VecDeque<Noted>,
    /// The events up to the one that parted the two.
    parted: Option<Vec<Noted>>,
}

impl Log {
    fn file(&mut self, noted: Noted) {
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        let kind = noted.kind;
        self.last.push_back(noted);
        let pinned = self.pinned.as_ref().map(|(frame, ..)| *frame);
        if self.parted.is_none() && pinned.is_some() && left(&kind) == pinned {
            self.parted = Some(self.last.iter().cloned().collect());
        }
    }
}

/// The frame that an entry has left for another one.
fn left(kind: &EventKind) -> Option<Pfn> {
    match kind {
        EventKind::Copied { from, .. }
        | EventKind::Migrated { from, .. }
        | EventKind::KsmMerged { from, .. } => Some(*from),
        _ => None,
    }
}

/// The frame of an event that is told of no entry.
fn of_frame(kind: &EventKind) -> Option<Pfn> {
    match kind {
        EventKind::MigrationBusy { pfn, .. }
        | EventKind::SwapBusy { pfn, .. }
        | EventKind::SwapCacheEntered(pfn)
        | EventKind::SwapCacheLeft(pfn)
        | EventKind::SwapPinned(pfn)
        | EventKind::KsmStable(pfn)
        | EventKind::KsmKept(pfn) => Some(*pfn),
        EventKind::Migrated { from, .. } => Some(*from),
        _ => None,
    }
}

/// Whether an event says something of how two frames came to be where there was one.
fn tells(kind: &EventKind) -> bool {
    let idle = matches!(kind, EventKind::NumaSkipped { .. } | EventKind::NumaLocal(_));
    kind.weight() == Weight::Line && !idle
}

/// The logs of all buffers.
pub(super) struct Logs {
    began: Instant,
    /// The address space of each process, and where its buffers begin.
    spaces: Box<[(SpaceId, Vpn)]>,
    /// The pages of each process's buffers.
    pages: u64,
    logs: Box<[Mutex<Log>]>,
    /// Of each frame, the log of the page that is pinned there, and one; 0, if none is.
    pinned: Box<[AtomicU32]>,
}

impl Logs {
    /// Logs for so many pages, from the given ones on, of each of these.
    pub(super) fn new(spaces: Box<[(SpaceId, Vpn)]>, pages: u64, frames: u64) -> Self {
        let logs = (0..spaces.len() as u64 * pages).map(|_| Mutex::default()).collect();
        let pinned = (0..frames).map(|_| AtomicU32::new(0)).collect();
        Self { began: Instant::now(), spaces, pages, logs, pinned }
    }

    fn place(&self, event: &Event) -> Option<usize> {
        if let Some(pfn) = of_frame(&event.kind) {
            let log = self.pinned.get(pfn.0 as usize)?.load(Ordering::Relaxed);
            return (log as usize).checked_sub(1);
        }
        let known = |(space, _): &(SpaceId, Vpn)| *space == event.space;
        let process = self.spaces.iter().position(known)?;
        let page = event.at.page().0.checked_sub(self.spaces[process].1.0)?;
        (page < self.pages).then(|| self.log_of(process, page))
    }

    fn log_of(&self, process: usize, page: u64) -> usize {
        process * self.pages as usize + page as usize
    }

    /// Files an event of a thread on this node.
    pub(super) fn file(&self, node: NodeId, event: &Event) {
        if !tells(&event.kind) {
            return;
        }
        if let Some(log) = self.place(event) {
            let (at, thread) = (self.began.elapsed(), thread::current());
            locked(&self.logs[log]).file(Noted { at, thread, node, kind: event.kind });
        }
    }

    /// A device has this frame from now on, for a page of a process's buffers.
    pub(super) fn pins(&self, (process, page): (usize, u64), frame: Pfn) {
        let at = self.log_of(process, page);
        self.pinned[frame.0 as usize].store(at as u32 + 1, Ordering::Relaxed);
        let mut log = locked(&self.logs[at]);
        log.pinned = Some((frame, thread::current(), self.began.elapsed()));
        log.parted = None;
    }

    /// It has it no more.
    pub(super) fn unpins(&self, (process, page): (usize, u64), frame: Pfn) {
        self.pinned[frame.0 as usize].store(0, Ordering::Relaxed);
        *locked(&self.logs[self.log_of(process, page)]) = Log::default();
    }

    /// Who had a page pinned for its device, and when, if it is pinned.
    pub(super) fn pinner(&self, (process, page): (usize, u64)) -> Option<(Thread, Duration)> {
        let log = locked(&self.logs[self.log_of(process, page)]);
        log.pinned.as_ref().map(|(_, thread, at)| (thread.clone(), *at))
    }

    /// The events of a page up to the one that parted the device from the process, or else to now.
    pub(super) fn story(&self, (process, page): (usize, u64)) -> Vec<Noted> {
        let log = locked(&self.logs[self.log_of(process, page)]);
        log.parted.clone().unwrap_or_else(|| log.last.iter().cloned().collect())
    }
}
