//! `pinfold when` and `pinfold cure`: what turned a scenario's verdict, and what would.

use super::{Answer, doubts, load};
use crate::args::{CELL_EXECUTIONS, CureArgs, Format, ModelArg, SearchArgs, WhenArgs};
use crate::console::Console;
use crate::failure::Failure;
use crate::find::Loaded;
use crate::progress::{Meter, stop_flag};
use crate::render::doubts::Doubts;
use crate::render::history::{Asked, cured, history};
use crate::render::json;
use crate::rulesets;
use pinfold::rules::Difference;
use pinfold_lab::history::{Cure, Cures, Decided, Era, cures, eras};
use pinfold_lab::report::{Broken, FORMAT, Report, Verdict};
use pinfold_lab::{Answers, CheckOptions, Detail, Strategy};
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Which releases break a scenario, and what made them and mended them. Nothing is compared, so
/// only what cannot be answered counts against it; a history that was interrupted, or in which a
/// bound ended a search before anything broke, is partial.
///
/// # Errors
/// When the scenario cannot be found or read, or the result cannot be written.
pub(crate) fn when(args: &WhenArgs, console: &mut Console) -> Answer {
    let question = Question::read(&args.file, &args.search, console)?;
    let (answers, mut meter) = (question.answers(), Meter::new());
    let found = eras(&answers, |release| {
        meter.show(|| format!("{} at {release}", question.name()));
        question.goes_on()
    });
    drop(meter);
    let text = match args.format {
        Format::Human => history(&question.asked(None), &found, console.look()),
        Format::Json => json::document(&When::of(&question, &found))?,
    };
    console.print(&text)?;
    let any = |verdict| found.iter().any(|era| era.report.verdict == verdict);
    let verdict = if any(Verdict::Error) {
        Verdict::Error
    } else if question.goes_on().is_break() || any(Verdict::Partial) {
        Verdict::Partial
    } else {
        Verdict::Pass
    };
    Ok(verdict.exit_code())
}

/// The smallest sets of switches under which a scenario holds that breaks under these rules. Exit
/// status 1 says that none was found, 3 that none was found and not all were searched to the end.
/// Where nothing breaks that could be cured, it is that of the scenario under these rules.
///
/// # Errors
/// When the scenario or the rule set cannot be found or read, or the result cannot be written.
pub(crate) fn cure(args: &CureArgs, console: &mut Console) -> Answer {
    let set = rulesets::one(&args.rules)?;
    let question = Question::read(&args.file, &args.search, console)?;
    let (answers, mut meter) = (question.answers(), Meter::new());
    let base = answers.under(&set.rules, &mut |_| {});
    let found = cures(&answers, &set.rules, usize::from(args.switches), |tried, found| {
        meter.show(|| format!("{}: {tried} sets, {found} cures", question.name()));
        question.goes_on()
    });
    drop(meter);
    let about = (&question.loaded.scenario, question.loaded.path.as_str());
    let how = (&question.options.config, &question.stop);
    let unknown = doubts::doubts(&set, about, &base, how, &mut |_, _| {});
    let text = match args.format {
        Format::Human => {
            let doubt = unknown.as_ref().map(|unknown| unknown.draw(console.look()));
            cured(&question.asked(Some(&base)), &found, console.look()) + &doubt.unwrap_or_default()
        }
        Format::Json => json::document(&Cured::of(&question, &base, &found, unknown.as_ref()))?,
    };
    console.print(&text)?;
    let verdict = match (base.verdict, found.found.is_empty()) {
        (Verdict::Fail, true) if found.ended || !found.undecided.is_empty() => Verdict::Partial,
        (Verdict::Fail, true) => Verdict::Fail,
        (Verdict::Fail, false) => Verdict::Pass,
        (other, _) => other,
    };
    Ok(verdict.exit_code())
}

/// A scenario and how it is searched, under many rule sets.
struct Question {
    loaded: Loaded,
    options: CheckOptions,
    stop: Arc<AtomicBool>,
    started: Instant,
}

impl Question {
    fn read(file: &Path, search: &SearchArgs, console: &Console) -> Result<Self, Failure> {
        let started = Instant::now();
        let mut loaded = load(&[file.to_owned()], console)?;
        // One was asked for, so there is one.
        let loaded = loaded.swap_remove(0);
        // The reports on which the scenarios are based come from x86.
        let mut options = search.options(search.model.unwrap_or(ModelArg::Tso))?;
        let exhaustive = options.config.search == Strategy::Exhaustive { preemptions: None };
        if exhaustive && options.config.deadline.is_none() {
            options.config.max_executions.get_or_insert(CELL_EXECUTIONS);
        }
        options.detail = Detail::Verdict;
        let stop = stop_flag()?;
        options.config.stop = Some(stop.clone());
        Ok(Self { loaded, options, stop, started })
    }

    fn answers(&self) -> Answers<'_> {
        Answers::new(&self.loaded.scenario, &self.loaded.path, &self.options)
    }

    fn name(&self) -> &str {
        self.loaded.scenario.name.as_str()
    }

    /// Ends the work after an interrupt.
    fn goes_on(&self) -> ControlFlow<()> {
        match self.stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn asked<'a>(&'a self, base: Option<&'a Report>) -> Asked<'a> {
        Asked {
            name: self.name(),
            title: self.loaded.scenario.title.as_ref().map_or("", |title| title.as_str()),
            path: &self.loaded.path,
            model: self.options.config.model,
            seconds: self.started.elapsed().as_secs_f64(),
            base,
            ended: self.goes_on().is_break(),
        }
    }
}

#[derive(Serialize)]
struct Change {
    switch: &'static str,
    from: &'static str,
    to: &'static str,
    since: &'static str,
    doc: &'static str,
}

impl From<&Difference> for Change {
    fn from(of: &Difference) -> Self {
        Self {
            switch: of.switch.name,
            from: of.left.name,
            to: of.right.name,
            since: of.right.since,
            doc: of.right.doc,
        }
    }
}

fn changes(of: &[Difference]) -> Vec<Change> {
    of.iter().map(Change::from).collect()
}

#[derive(Serialize)]
struct When<'a> {
    pinfold: u32,
    scenario: &'a str,
    model: String,
    eras: Vec<WhenEra<'a>>,
    ended: bool,
}

#[derive(Serialize)]
struct WhenEra<'a> {
    first: String,
    last: String,
    verdict: Verdict,
    absent: bool,
    /// What broke, or what there is not.
    broken: Option<&'a Broken>,
    /// The rules that decided a failure.
    reason: Vec<Grounds<'a>>,
    /// What the scenario needs that came with the first release of the era.
    came: Vec<&'static str>,
    turn: Vec<Change>,
}

/// A rule that decided, and its decision, if that was told.
#[derive(Serialize)]
struct Grounds<'a> {
    switch: &'static str,
    variant: &'static str,
    decided: Option<&'a str>,
}

impl<'a> Grounds<'a> {
    fn of(decided: &'a Decided) -> Self {
        let Decided { switch, variant, text } = decided;
        Self { switch, variant, decided: text.as_deref() }
    }
}

impl<'a> When<'a> {
    fn of(question: &'a Question, eras: &'a [Era]) -> Self {
        let era = |era: &'a Era| WhenEra {
            first: era.first.to_string(),
            last: era.last.to_string(),
            verdict: era.report.verdict,
            absent: era.report.is_absent(),
            broken: era.report.broken.as_ref(),
            reason: era.reason.iter().flat_map(|reason| &reason.rules).map(Grounds::of).collect(),
            came: era.came.iter().map(|interface| interface.name()).collect(),
            turn: changes(&era.turn),
        };
        Self {
            pinfold: FORMAT,
            scenario: question.name(),
            model: question.options.config.model.to_string(),
            eras: eras.iter().map(era).collect(),
            ended: question.goes_on().is_break(),
        }
    }
}

#[derive(Serialize)]
struct Cured<'a> {
    pinfold: u32,
    scenario: &'a str,
    model: String,
    rules: &'a str,
    verdict: Verdict,
    /// What broke under these rules, or what there is not.
    broken: Option<&'a Broken>,
    found: Vec<CuredBy>,
    undecided: Vec<CuredBy>,
    tried: u64,
    size: usize,
    ended: bool,
    /// What is not known of the kernel, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<&'a Doubts>,
}

#[derive(Serialize)]
struct CuredBy {
    released: bool,
    changes: Vec<Change>,
}

impl<'a> Cured<'a> {
    fn of(
        question: &'a Question,
        base: &'a Report,
        cures: &Cures,
        kernel: Option<&'a Doubts>,
    ) -> Self {
        let by =
            |cure: &Cure| CuredBy { released: cure.is_released(), changes: changes(&cure.changes) };
        Self {
            pinfold: FORMAT,
            scenario: question.name(),
            model: question.options.config.model.to_string(),
            rules: &base.rules,
            verdict: base.verdict,
            broken: base.broken.as_ref(),
            found: cures.found.iter().map(by).collect(),
            undecided: cures.undecided.iter().map(by).collect(),
            tried: cures.tried,
            size: cures.size,
            ended: cures.ended,
            kernel,
        }
    }
}
