//! An execution in lanes, for people to read.

use pinfold::rules::Switch;

use crate::record::{Line, What};
use crate::report::{Decision, LaneHead, Row, RowKind, Trace};
use crate::scenario::{Runner, Scenario};

/// The rows of an execution. What ran alone has a lane of its own if there is any such step after
/// the lanes; otherwise it has no lane.
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
        if let Some(decision) = kind.decision() {
            let next =
                Decision { rule: decision.rule.name().to_owned(), text: decision.to_string() };
            if decisions.last() != Some(&next) {
                decisions.push(next);
            }
        }
    }
    decisions
}

/// The part that a rule's decision plays in a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// It took a right away or gave a page to two owners, and the harm shows later.
    Cause,
    /// It does harm at once or not at all.
    Last,
}

fn part(rule: Switch) -> Part {
    match rule {
        Switch::MigrationKind | Switch::ForkPin | Switch::FastRecheck => Part::Cause,
        Switch::PteCow
        | Switch::ReadGup
        | Switch::ForkRace
        | Switch::NumaSkip
        | Switch::NumaWrite
        | Switch::NumaFault
        | Switch::MigrationAd
        | Switch::ShareOrder
        | Switch::ZeroPin
        | Switch::ForceWrite
        | Switch::GupNuma
        | Switch::WriteUpgrade
        | Switch::CowPublish
        | Switch::TableFree => Part::Last,
    }
}

/// Why an execution broke, as far as rules decided it: the last decision, preceded by the last one
/// of another rule that took a right away or gave a page to two owners.
pub(crate) fn why(decisions: &[Decision]) -> Vec<String> {
    let Some(last) = decisions.last() else { return Vec::new() };
    let causes = Switch::ALL.iter().filter(|rule| part(**rule) == Part::Cause);
    let causes: Vec<&str> = causes.map(|rule| rule.name()).collect();
    let cause = decisions
        .iter()
        .rev()
        .find(|decision| decision.rule != last.rule && causes.contains(&decision.rule.as_str()));
    let tell = |decision: &Decision| format!("{} (rule {}).", decision.text, decision.rule);
    cause.into_iter().chain([last]).map(tell).collect()
}
