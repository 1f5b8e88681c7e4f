//! An execution as lanes: what a person reads.

use pinfold::EventKind;

use crate::record::{Line, What};
use crate::report::{Decision, LaneHead, Row, RowKind, Trace};
use crate::scenario::{Runner, Scenario};

/// The rows of an execution. What ran alone stands in a lane of its own if there is any such step after the lanes, else without one.
pub(crate) fn lanes(scenario: &Scenario, lines: &[Line]) -> Trace {
    let cpus = scenario.cpus();
    let mut lanes: Vec<LaneHead> = scenario
        .lanes
        .iter()
        .map(|lane| LaneHead {
            name: lane.name.value.clone(),
            place: match &lane.runner {
                Runner::Device => "device".to_owned(),
                Runner::Process { name, cpu } => {
                    let (cpu, node) = cpus[scenario.cpu_index(cpu.as_ref()).unwrap_or(0)];
                    format!("{} {cpu} node{node}", name.value)
                }
            },
        })
        .collect();
    let alone = lanes.len();
    lanes.push(LaneHead { name: "alone".to_owned(), place: "setup, after".to_owned() });
    let mut rows: Vec<Row> = Vec::new();
    let mut step = 0;
    let mut before = None;
    for line in lines {
        let lane = line.lane.unwrap_or(alone);
        if before.is_some_and(|before| before != lane && before != alone && lane != alone) {
            rows.push(Row {
                step: None,
                lane: Some(before.unwrap_or(alone)),
                kind: RowKind::Switch,
                text: "~ switch ~".to_owned(),
                state: None,
                decisive: false,
            });
        }
        before = Some(lane);
        let (kind, text) = match &line.what {
            What::Step(text) => (RowKind::Step, text.clone()),
            What::Event(kind) => (RowKind::Note, kind.to_string()),
            What::Result(text) => (RowKind::Note, text.clone()),
        };
        let text = if line.times > 1 { format!("{text} ({} times)", line.times) } else { text };
        if kind == RowKind::Step {
            step += 1;
        }
        rows.push(Row {
            step: (kind == RowKind::Step).then_some(step),
            lane: Some(lane),
            kind,
            text,
            state: line.state.clone(),
            decisive: false,
        });
    }
    Trace { lanes, rows }
}

/// The decisions of rules, in order, without repeating one.
pub(crate) fn decisions(lines: &[Line]) -> Vec<Decision> {
    let mut decisions: Vec<Decision> = Vec::new();
    for line in lines {
        let What::Event(kind) = &line.what else { continue };
        if let Some((rule, text)) = decision(kind) {
            let next = Decision { rule: rule.to_owned(), text };
            if decisions.last() != Some(&next) {
                decisions.push(next);
            }
        }
    }
    decisions
}

/// Why an execution broke, as far as rules decided it: the last decision, and before it the last one of another rule that took a right away or gave a
/// page to two owners.
pub(crate) fn why(decisions: &[Decision]) -> Vec<String> {
    let Some(last) = decisions.last() else { return Vec::new() };
    let causes = ["migration-kind", "fork-pin", "fast-recheck"];
    let cause = decisions
        .iter()
        .rev()
        .find(|decision| decision.rule != last.rule && causes.contains(&decision.rule.as_str()));
    let tell = |decision: &Decision| format!("{} (rule {}).", decision.text, decision.rule);
    cause.into_iter().chain([last]).map(tell).collect()
}

/// The rule behind an event and what it decided.
fn decision(kind: &EventKind) -> Option<(&'static str, String)> {
    Some(match kind {
        EventKind::CowCopy { pfn, why } => ("pte-cow", format!("{pfn} was copied, as {why}")),
        EventKind::CowReuse { pfn, why } => ("pte-cow", format!("{pfn} was reused, as {why}")),
        EventKind::UnshareWanted(pfn) => {
            ("read-gup", format!("{pfn} may be shared, so it is unshared first"))
        }
        EventKind::ForkShared { pfn, why } => ("fork-pin", format!("{pfn} was shared, as {why}")),
        EventKind::ForkCopied { from, why, .. } => {
            ("fork-pin", format!("{from} was copied for the child, as {why}"))
        }
        EventKind::NumaSkipped { pfn, why } => {
            ("numa-skip", format!("{pfn} was skipped, as {why}"))
        }
        EventKind::NumaProtected(pfn) => ("numa-skip", format!("{pfn} was not skipped")),
        EventKind::HintRestored { pfn, writable } => (
            "numa-write",
            format!("{pfn} came back {} the write bit", if *writable { "with" } else { "without" }),
        ),
        EventKind::MigrationDowngraded { pfn, to } => (
            "migration-kind",
            format!(
                "the migration entry of {pfn} lost its write bit to a scan or protection change: {to:?}"
            ),
        ),
        EventKind::MigrationPinned(pfn) => {
            ("migration-kind", format!("{pfn} is pinned, so its entry was put back"))
        }
        EventKind::FastStop(why) => {
            ("fast-recheck", format!("the lock-free walk stopped: {why:?}"))
        }
        _ => return None,
    })
}
