//! Results as JSON: a report as it is, or several in one document.

use crate::failure::Failure;
use pinfold_lab::report::{FORMAT, Report};
use serde::Serialize;

#[derive(Serialize)]
struct Several<'a> {
    pinfold: u32,
    reports: &'a [Report],
}

/// One JSON document for the reports: a single report on its own, several in a list.
///
/// # Errors
/// When the serializer refuses.
pub(crate) fn reports(reports: &[Report]) -> Result<String, Failure> {
    match reports {
        [report] => document(report),
        reports => document(&Several { pinfold: FORMAT, reports }),
    }
}

/// Any document, with a line break at its end.
///
/// # Errors
/// When the serializer refuses.
pub(crate) fn document(document: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(document).map(|text| text + "\n").map_err(Failure::Json)
}
