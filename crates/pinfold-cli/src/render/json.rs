//! Results as JSON: a report as it is, or several in one document; and what kept the command from
//! a result.

use crate::failure::{Failure, ToldError};
use pinfold_lab::pressure::PressureReport;
use pinfold_lab::report::{FORMAT, Verdict};
use pinfold_lab::soak::SoakReport;
use serde::Serialize;

#[derive(Serialize)]
struct Several<'a, R> {
    pinfold: u32,
    /// How many reports there would be if nothing had ended the command before.
    asked: usize,
    reports: &'a [R],
}

#[derive(Serialize)]
struct Pressed<'a> {
    pinfold: u32,
    #[serde(flatten)]
    report: &'a PressureReport,
}

#[derive(Serialize)]
struct Soaked<'a> {
    pinfold: u32,
    #[serde(flatten)]
    report: &'a SoakReport,
}

#[derive(Serialize)]
struct Unanswered<'a> {
    pinfold: u32,
    verdict: Verdict,
    error: Told<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    /// The errors of a scenario.
    #[serde(skip_serializing_if = "<[ToldError]>::is_empty")]
    errors: &'a [ToldError],
    /// How many errors of the scenario are not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<usize>,
}

/// One JSON document for the reports of as many searches as were asked for: a single one on its
/// own, several in a list, which is shorter if the command was interrupted.
///
/// # Errors
/// When the serializer refuses.
pub(crate) fn reports(reports: &[impl Serialize], asked: usize) -> Result<String, Failure> {
    match reports {
        [report] if asked == 1 => document(report),
        reports => document(&Several { pinfold: FORMAT, asked, reports }),
    }
}

/// One JSON document for why there is no answer.
///
/// # Errors
/// When the serializer refuses.
pub(crate) fn failure(failure: &Failure) -> Result<String, Failure> {
    let (errors, more) = match failure {
        Failure::Scenario { told, more, .. } => (told.as_slice(), *more),
        _ => (&[][..], 0),
    };
    let text = told(failure);
    let (message, help) = match text.split_once("\nhelp: ") {
        Some((message, help)) => (message, Some(help)),
        None => (text.as_str(), errors.first().and_then(|first| first.help.as_deref())),
    };
    let more = (more > 0).then_some(more);
    let error = Told { message, help, errors, more };
    document(&Unanswered { pinfold: FORMAT, verdict: Verdict::Error, error })
}

/// Why there is no answer, in words: of a scenario its first error.
pub(crate) fn told(failure: &Failure) -> String {
    match failure {
        Failure::Scenario { told, .. } => told.first().map(|first| first.message.clone()),
        _ => None,
    }
    .unwrap_or_else(|| failure.to_string())
}

/// One JSON document for what pressure has come to.
///
/// # Errors
/// When the serializer refuses.
pub(crate) fn pressure(report: &PressureReport) -> Result<String, Failure> {
    document(&Pressed { pinfold: FORMAT, report })
}

/// One JSON document for what a soak has come to.
///
/// # Errors
/// When the serializer refuses.
pub(crate) fn soak(report: &SoakReport) -> Result<String, Failure> {
    document(&Soaked { pinfold: FORMAT, report })
}

/// Any document, with a line break at its end.
///
/// # Errors
/// When the serializer refuses.
pub(crate) fn document(document: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(document).map(|text| text + "\n").map_err(Failure::Json)
}
