//! Accesses that a weakly ordered machine makes differently: a load that finds an older store, a
//! store that lands before one that was there already.

use std::collections::BTreeMap;

use pinfold_explore::{Access, AccessKind};

use crate::access::Places;
use crate::report::AccessRow;
use crate::scenario::Scenario;
use crate::words::Words;

/// One such access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stale {
    /// How many accesses the execution had made before it.
    pub(super) after: u64,
    /// The lane of the scenario.
    pub(super) lane: usize,
    /// What it reaches: `f3 counts`, `pte P:A`.
    pub(super) cell: String,
    /// How many stores behind the newest.
    pub(super) behind: u32,
    /// Whether it is a store.
    pub(super) stores: bool,
    /// The value that it found, or stored.
    pub(super) value: String,
    /// The newest value at that time.
    pub(super) newest: String,
    /// The last store that it missed: its lane, and how many accesses were made before it.
    pub(super) missed: (usize, u64),
}

impl Stale {
    /// The access as a line of a trace.
    pub(super) fn tell(&self) -> String {
        let Self { cell, value, newest, .. } = self;
        if self.stores {
            format!("stores {cell} late: {value} lands before {newest}")
        } else {
            format!("reads {cell} as it was {}: {value}, not {newest}", self.ago())
        }
    }

    /// How far behind it is, in words.
    pub(super) fn ago(&self) -> String {
        match self.behind {
            1 => "one store before".to_owned(),
            many => format!("{many} stores before"),
        }
    }
}

/// The accesses that were not up to date.
pub(super) fn find(
    scenario: &Scenario,
    (accesses, lanes): (&[Access], &[String]),
    places: &Places,
    words: &Words,
) -> Vec<Stale> {
    let named = |name: &str| scenario.lanes.iter().position(|lane| lane.name.value == name);
    let scenario_lane = |lane: usize| lanes.get(lane).and_then(|name| named(name)).unwrap_or(0);
    let names: Vec<&str> = lanes.iter().map(String::as_str).collect();
    let rows = places.clone().list(accesses, &names, words);
    // The stores to each cell in the order in which they lie.
    let mut stores: BTreeMap<&str, Vec<Stored>> = BTreeMap::new();
    let mut found = Vec::new();
    for (access, row) in accesses.iter().zip(&rows) {
        let order = stores.entry(access.label.as_str()).or_default();
        let at = order.len().saturating_sub(access.behind as usize);
        if access.behind > 0 && access.kind != AccessKind::Choose {
            found.extend(stale(access, row, scenario_lane(access.lane), order.last()));
        }
        if let (AccessKind::Store(_) | AccessKind::Rmw(_), Some(after)) = (access.kind, &row.after)
        {
            let lane = scenario_lane(access.lane);
            order.insert(at, Stored { lane, after: access.step, value: after.clone() });
        }
    }
    found
}

/// A store to a cell.
struct Stored {
    lane: usize,
    after: u64,
    value: String,
}

fn stale(access: &Access, row: &AccessRow, lane: usize, newest: Option<&Stored>) -> Option<Stale> {
    let newest = newest?;
    let stores = matches!(access.kind, AccessKind::Store(_));
    let value = if stores { row.after.clone() } else { row.before.clone() };
    Some(Stale {
        after: access.step,
        lane,
        cell: row.cell.clone(),
        behind: access.behind,
        stores,
        value: value?,
        newest: newest.value.clone(),
        missed: (newest.lane, newest.after),
    })
}
