//! Why a device and a process do not see the same page: the chain of events that parted them, from
//! the page's log.
//!
//! The chain is followed back in time, as in [`crate::story`]: from the copy to what took the write
//! bit, from there to what put the entry in that state.

use super::log::Noted;
use crate::story::in_force;
use pinfold::rules::Rules;
use pinfold::{EventKind, Pfn};
use serde::Serialize;
use std::thread::Thread;
use std::time::Duration;

/// One event of the chain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// When, in milliseconds since the first thread began.
    pub at_ms: f64,
    /// Whose thread it was.
    pub thread: String,
    /// The node that this ran on.
    pub node: u8,
    /// What happened.
    pub what: String,
    /// The rule that decided it, and its variant with the release that took it up, if one did.
    pub rule: Option<String>,
}

/// How a device came by a frame.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Held {
    /// The node of the frame.
    pub node: u8,
    /// When it was pinned, in milliseconds since the first thread began.
    pub at_ms: f64,
    /// By whose thread.
    pub by: String,
}

/// Whether an event is a link of the chain.
type Link = fn(&EventKind) -> bool;

/// Links of the chain, the last one first: each is the latest event of its kind before those that
/// were found already. Of those that stand together each may have come first.
const LINKS: [&[Link]; 8] = [
    &[|kind| {
        matches!(
            kind,
            EventKind::Copied { .. } | EventKind::Migrated { .. } | EventKind::KsmMerged { .. }
        )
    }],
    &[|kind| matches!(kind, EventKind::CowCopy { .. })],
    &[|kind| {
        matches!(
            kind,
            EventKind::MigrationRestored { writable: false, .. }
                | EventKind::HintRestored { writable: false, .. }
                | EventKind::Protected { writable: false, .. }
                | EventKind::SwapShared { .. }
                | EventKind::ForkProtected(_)
                | EventKind::ForkShared { .. }
        )
    }],
    &[
        |kind| matches!(kind, EventKind::MigrationDowngraded { .. }),
        |kind| {
            matches!(
                kind,
                EventKind::MigrationBusy { .. }
                    | EventKind::SwapEntry { .. }
                    | EventKind::SwapBusy { .. }
            )
        },
    ],
    &[|kind| matches!(kind, EventKind::MigrationEntry { .. } | EventKind::SwapCacheEntered(_))],
    &[|kind| matches!(kind, EventKind::HintFault(_))],
    &[|kind| matches!(kind, EventKind::NumaProtected(_))],
    &[|kind| matches!(kind, EventKind::FastTaken(_) | EventKind::SlowTaken(_))],
];

/// The chain in a page's log, in the order in which it happened.
pub(super) fn chain(log: &[Noted]) -> Vec<&Noted> {
    let mut found: Vec<usize> = Vec::new();
    let mut end = log.len();
    for together in LINKS {
        let latest = |link: &Link| log[..end].iter().rposition(|noted| link(&noted.kind));
        found.extend(together.iter().filter_map(latest));
        end = found.iter().copied().min().unwrap_or(end);
    }
    found.extend(protected_before(log, &found));
    found.sort_unstable();
    found.into_iter().map(|at| &log[at]).collect()
}

/// Where a hinting fault has brought the entry back without write permission: what had taken that,
/// if the page was pinned by then.
fn protected_before(log: &[Noted], found: &[usize]) -> Option<usize> {
    let restored =
        |at: &&usize| matches!(log[**at].kind, EventKind::HintRestored { writable: false, .. });
    let end = *found.iter().find(restored)?;
    let protects = |noted: &Noted| {
        matches!(
            noted.kind,
            EventKind::ForkProtected(_) | EventKind::MigrationRestored { writable: false, .. }
        )
    };
    let at = log[..end].iter().rposition(protects)?;
    let pinned =
        |noted: &Noted| matches!(noted.kind, EventKind::FastTaken(_) | EventKind::SlowTaken(_));
    (!log[at..end].iter().any(pinned)).then_some(at)
}

/// An event in words.
pub(super) fn told(noted: &Noted, rules: &Rules) -> Told {
    let decision = noted.kind.decision();
    let what = match &decision {
        Some(decision) => decision.to_string(),
        None => noted.kind.to_string(),
    };
    Told {
        at_ms: millis(noted.at),
        thread: named(&noted.thread),
        node: noted.node.0,
        what,
        rule: decision.map(|decision| in_force(rules, decision.rule)),
    }
}

/// How a device came by a frame of this node.
pub(super) fn held(node: u8, (by, at): (&Thread, Duration)) -> Held {
    Held { node, at_ms: millis(at), by: named(by) }
}

fn millis(at: Duration) -> f64 {
    at.as_secs_f64() * 1e3
}

fn named(thread: &Thread) -> String {
    thread.name().unwrap_or("somebody").to_owned()
}

/// What it comes to.
pub(super) fn outcome(
    (device, frame): (usize, Pfn),
    (process, owner): (usize, Option<Pfn>),
) -> String {
    let leads = format!("So device {device} leads to {frame}");
    match owner {
        Some(owner) if owner != frame => {
            format!("{leads}, and the entry of process {process} to {owner}.")
        }
        Some(_) => format!("{leads}, and so does the entry of process {process}."),
        None => format!("{leads}; where process {process} leads is not known."),
    }
}
