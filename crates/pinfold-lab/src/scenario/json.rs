//! The JSON form: `{"pinfold": 1, "scenario": {...}}`.
//!
//! It says what the text says and no more: it has no spans. A document is therefore read by way of
//! its canonical text, which is checked like any other and which errors point into.

use super::ast::Scenario;
use super::error::{Code, ScenarioError};
use super::format::format;
use super::parse;
use super::span::Span;
use serde::{Deserialize, Serialize};

/// The version that is written, and the only one that is read.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    pinfold: u32,
    scenario: &'a Scenario,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "pinfold")]
    _version: u32,
    scenario: Scenario,
}

/// The version alone, so that a document of another version is refused for that reason.
#[derive(Deserialize)]
struct Version {
    pinfold: u32,
}

/// Errors of a JSON document, with the text that their spans point into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonErrors {
    /// At least one error.
    pub errors: Vec<ScenarioError>,
    /// The document itself, or the canonical text of its contents.
    pub text: String,
}

/// Writes a scenario as a JSON document.
///
/// # Errors
///
/// None, given the types of the tree; the signature is that of the serializer.
pub fn write(scenario: &Scenario) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&Written { pinfold: VERSION, scenario })
}

/// Reads a JSON document, and returns the scenario with its canonical text.
///
/// # Errors
///
/// The document is not JSON, has another version or another shape; or the scenario has errors.
pub fn read(document: &str) -> Result<(Scenario, String), JsonErrors> {
    let refused =
        |error: ScenarioError| JsonErrors { errors: vec![error], text: document.to_owned() };
    let misread = |error: serde_json::Error| {
        let at = offset(document, error.line(), error.column());
        refused(ScenarioError::new(
            Code::BadJson,
            at,
            format!("this is no scenario in JSON: {error}"),
            "not understood here",
        ))
    };
    let Version { pinfold } = serde_json::from_str(document).map_err(misread)?;
    if pinfold != VERSION {
        return Err(refused(
            ScenarioError::new(
                Code::BadJson,
                Span::default(),
                format!("the document has version {pinfold}"),
                format!("expected \"pinfold\": {VERSION}"),
            )
            .help("write it again with a release of the same version"),
        ));
    }
    let Document { scenario: meant, .. } = serde_json::from_str(document).map_err(misread)?;
    let text = format(&meant);
    let scenario = match parse(&text) {
        Ok(scenario) => scenario,
        Err(errors) => return Err(JsonErrors { errors, text }),
    };
    if scenario != meant {
        return Err(refused(
            ScenarioError::new(
                Code::Inexpressible,
                Span::default(),
                "the document says something that a scenario cannot say",
                "read back, its text means something else",
            )
            .help("names are letters, digits, `_` and `-`; comments are single lines"),
        ));
    }
    Ok((scenario, text))
}

/// The byte offset of a line and column counted from 1; columns of serde_json are bytes.
fn offset(text: &str, line: usize, column: usize) -> Span {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let at = text.floor_char_boundary((before + column.saturating_sub(1)).min(text.len()));
    Span::new(at, at)
}
