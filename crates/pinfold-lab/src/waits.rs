//! What lanes wait for: handles that other lanes make, signals, ends of lanes, children by vfork,
//! and accesses of which a monitor is told.
//!
//! Protocol: each thing that is awaited has a cell, which is set once and never cleared. Setting it
//! is a release and the end of a wait an acquire, so what a lane did before it lies before what
//! follows the wait, under every memory model. The explorer sees both, and a lane whose wait
//! nothing ends is a deadlock.

use std::collections::HashMap;
use std::sync::Arc;

use pinfold::sync::AtomicU64;
use pinfold_explore::hook;

use crate::scenario::{Action, Lane, Scenario, Step};

/// What a lane can wait for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Awaited {
    /// The handle of this name was made, or a step that was allowed to fail has failed to make it.
    Handle(String),
    /// The signal of this name was given.
    Signal(String),
    /// The lane of this name has ended.
    End(String),
    /// The process of this name has left the address space in which it began.
    Left(String),
    /// The monitor of an address space was told of an access for which a lane waits.
    Told(Told),
}

/// Which access a monitor is told of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Told {
    /// The process that was in the address space first.
    pub(crate) first: String,
    /// The area.
    pub(crate) area: String,
    /// The page of the area.
    pub(crate) page: u32,
    /// Why: a word of [`UffdReason`].
    pub(crate) reason: &'static str,
}

impl Awaited {
    /// The cell's name in a trace.
    fn describe(&self) -> String {
        match self {
            Self::Handle(name) => format!("handle {name} made"),
            Self::Signal(name) => format!("signal {name}"),
            Self::End(name) => format!("end of lane {name}"),
            Self::Left(name) => format!("end or exec of process {name}"),
            Self::Told(Told { first, area, page, reason }) => {
                format!("{reason} fault at {first}:{area}[{page}]")
            }
        }
    }
}

/// Everything that some lane of the scenario waits for, in order.
pub(crate) fn awaited(scenario: &Scenario) -> Vec<Awaited> {
    let lanes = || scenario.lanes.iter().enumerate();
    let makes = |(index, lane): (usize, &'_ Lane)| {
        let made = lane.steps.iter().filter_map(|step| step.action.makes_handle());
        made.map(|name| (name.value.clone(), index)).collect::<Vec<_>>()
    };
    // The lane that makes each handle.
    let makers: HashMap<String, usize> = lanes().flat_map(makes).collect();
    let mut awaited: Vec<Awaited> =
        lanes().flat_map(|(index, lane)| awaited_by(scenario, index, lane, &makers)).collect();
    awaited.sort_unstable();
    awaited.dedup();
    awaited
}

/// The process that was first in the address space in which this one begins.
fn first_of<'a>(scenario: &'a Scenario, process: &'a str) -> &'a str {
    let steps = || {
        let lanes = scenario
            .lanes
            .iter()
            .flat_map(|lane| lane.steps.iter().map(move |step| (lane.process(), step)));
        let alone = scenario.setup.steps.iter().chain(&scenario.after);
        lanes.chain(alone.map(|step| (step.process.as_ref().map(|name| name.as_str()), step)))
    };
    let parent = |child: &str| {
        let joins = |step: &Step| {
            step.action.shares_space_with().is_some_and(|name| name.as_str() == child)
        };
        steps().find(|(_, step)| joins(step)).and_then(|(process, _)| process)
    };
    let mut first = process;
    // A family is a tree, so that this ends.
    while let Some(older) = parent(first) {
        first = older;
    }
    first
}

fn awaited_by(
    scenario: &Scenario,
    index: usize,
    lane: &Lane,
    makers: &HashMap<String, usize>,
) -> Vec<Awaited> {
    let awaits = |step: &Step| {
        if let Action::Await { signal } = &step.action {
            return Some(Awaited::Signal(signal.value.clone()));
        }
        if let Action::Vfork { child } = &step.action {
            return Some(Awaited::Left(child.value.clone()));
        }
        if let Action::UffdWait { at, reason } = &step.action {
            let first = first_of(scenario, lane.process()?).to_owned();
            let (area, page) = (at.name.value.clone(), at.page());
            return Some(Awaited::Told(Told { first, area, page, reason: reason.value.as_str() }));
        }
        // A lane's own handle is there when the lane comes to use it.
        let name = step.action.uses_handle()?;
        let maker = makers.get(&name.value).filter(|maker| **maker != index);
        maker.map(|_| Awaited::Handle(name.value.clone()))
    };
    let end = lane.after.as_ref().map(|other| Awaited::End(other.value.clone()));
    end.into_iter().chain(lane.steps.iter().filter_map(awaits)).collect()
}

/// The cells of one execution.
pub(crate) struct Waits {
    awaited: Arc<[Awaited]>,
    cells: Vec<AtomicU64>,
}

impl Waits {
    /// Nothing has happened yet.
    pub(crate) fn new(awaited: &Arc<[Awaited]>) -> Self {
        Self {
            awaited: Arc::clone(awaited),
            cells: awaited.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Names the cells in a trace.
    pub(crate) fn label(&self) {
        let (start, len) = (self.cells.as_ptr() as usize, size_of_val(self.cells.as_slice()));
        let awaited = Arc::clone(&self.awaited);
        hook::label(start, len, move |offset| awaited[offset / size_of::<AtomicU64>()].describe());
    }

    fn cell(&self, what: &Awaited) -> Option<&AtomicU64> {
        self.awaited.binary_search(what).ok().map(|at| &self.cells[at])
    }

    /// It has happened: who waits for it goes on, now or later. Nothing if nobody does.
    pub(crate) fn happen(&self, what: &Awaited) {
        if let Some(cell) = self.cell(what) {
            cell.store_release(1);
        }
    }

    /// Waits until it has happened. Returns at once where no lane runs, and where no lane
    /// has to wait for it.
    pub(crate) fn until(&self, what: &Awaited) {
        let Some(cell) = self.cell(what).filter(|_| hook::active()) else { return };
        let at = core::ptr::from_ref(cell) as usize;
        hook::wait_until(at, cell.peek(), hook::Order::Acquire, &mut |happened| happened != 0);
    }
}
