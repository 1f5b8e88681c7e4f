//! An execution as a page for a browser: one file that needs no other and no network; and a table
//! of scenarios by rules as another ([`history`]).
//!
//! The lanes are a table that is there without a script. The picture, its slider and what is said
//! of a row are drawn by the script from the report, which the page holds as JSON.

use super::mended::{Decided, Mend, Saved, decided_by, none_saves};
use crate::failure::Failure;
use pinfold_lab::report::{LaneHead, Report, Row, RowKind, Trace};
use std::fmt::Write as _;

pub(crate) mod history;
mod pool;

/// What a page looks like: the picture in it as the one that stands alone, then all else.
const STYLE: &str = concat!(include_str!("picture.css"), include_str!("html/page.css"));
const SCRIPT: &str = include_str!("html/page.js");
const START: &str = include_str!("html/explain.js");
const PICTURE: &str = include_str!("html/picture.html");

/// The page of a report.
///
/// # Errors
/// When the serializer refuses.
pub(crate) fn page(report: &Report, mends: &[Mend]) -> Result<String, Failure> {
    let data = embedded(&serde_json::to_string(report).map_err(Failure::Json)?);
    let title = text(&format!("{} under {}", report.scenario.name, report.rules));
    let body = body(report, mends);
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}\
         <script type=\"application/json\" id=\"report\">{data}</script>\n\
         <script>\n{SCRIPT}{START}</script>\n</body>\n</html>\n"
    ))
}

/// JSON as it may stand in a script element, which ends at the first `</script`.
fn embedded(json: &str) -> String {
    json.replace('<', "\\u003c")
}

fn body(report: &Report, mends: &[Mend]) -> String {
    let mut out = head(report);
    if let Some(trace) = &report.trace {
        out += "<div class=\"both\">\n";
        out += PICTURE;
        out += &lanes(trace);
        out += "</div>\n";
    }
    out += &rules(report, mends);
    out
}

/// The text with what has a meaning in HTML and in XML, or no place there, spelled out.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                out.extend(c.escape_unicode())
            }
            c => out.push(c),
        }
    }
    out
}

fn head(report: &Report) -> String {
    let (verdict, _) = super::report::word(report.verdict);
    let title = report.scenario.title.as_deref().unwrap_or_default();
    let mut out = format!(
        "<header>\n<h1><span class=\"verdict {}\">{verdict}</span> {}</h1>\n<p>{}</p>\n\
         <p class=\"faint\">rules {}, model {}, id {}</p>\n</header>\n",
        verdict.to_lowercase(),
        text(&report.scenario.name),
        text(title),
        text(&report.rules),
        text(&report.search.model.to_string()),
        text(&report.id),
    );
    for paragraph in &report.about {
        let _ = writeln!(out, "<p>{}</p>", text(paragraph));
    }
    if let Some(broken) = &report.broken {
        out += "<section aria-labelledby=\"what\">\n<h2 id=\"what\">What broke</h2>\n";
        let _ = writeln!(out, "<p>{}</p>", text(&broken.title()));
        for line in &broken.what {
            let _ = writeln!(out, "<p>{}</p>", text(line));
        }
        for other in &broken.also {
            let _ = writeln!(out, "<p>also {}: {}</p>", other.oracle, text(&other.what));
        }
        out += "</section>\n<section aria-labelledby=\"why\">\n<h2 id=\"why\">Why</h2>\n<ol>\n";
        for sentence in &broken.why {
            let _ = writeln!(out, "<li>{}</li>", text(sentence));
        }
        out += "</ol>\n</section>\n";
    }
    out
}

/// The lanes as a table, a row for each row of the trace.
fn lanes(trace: &Trace) -> String {
    let mut out = String::from(
        "<section class=\"lanes\" aria-labelledby=\"lanes\">\n<h2 id=\"lanes\">Step by step</h2>\n\
         <table>\n<thead><tr><th scope=\"col\">step</th>",
    );
    for LaneHead { name, place } in &trace.lanes {
        let (name, place) = (text(name), text(place));
        let _ = write!(out, "<th scope=\"col\">{name}<span class=\"faint\"> {place}</span></th>");
    }
    out += "<th scope=\"col\">state</th></tr></thead>\n<tbody>\n";
    for (at, row) in trace.rows.iter().enumerate() {
        out += &cells(at, row, &trace.lanes);
    }
    out + "</tbody>\n</table>\n</section>\n"
}

fn cells(at: usize, row: &Row, lanes: &[LaneHead]) -> String {
    let kind = match row.kind {
        RowKind::Step => "step",
        RowKind::Note => "note",
        RowKind::Switch => "switch",
        RowKind::Claims => "claims",
    };
    let cited = if row.cited { " cited" } else { "" };
    let step = row.step.map(|step| step.to_string()).unwrap_or_default();
    let mut out =
        format!("<tr id=\"row{at}\" class=\"{kind}{cited}\"><th scope=\"row\">{step}</th>");
    let own = row.lane.filter(|lane| *lane < lanes.len() && row.kind != RowKind::Switch);
    match own {
        None => {
            let _ = write!(out, "<td colspan=\"{}\">{}</td>", lanes.len(), text(&row.text));
        }
        Some(own) => {
            for (column, LaneHead { name, .. }) in lanes.iter().enumerate() {
                out += &match column == own {
                    true => format!("<td data-lane=\"{}\">{}</td>", text(name), text(&row.text)),
                    false => "<td></td>".to_owned(),
                };
            }
        }
    }
    let state = text(row.state.as_deref().unwrap_or_default());
    let _ = writeln!(out, "<td class=\"state\">{state}</td></tr>");
    out
}

/// The switches that decided, and what later variants do alone, as the text of an explanation says
/// it.
fn rules(report: &Report, mends: &[Mend]) -> String {
    let decided = decided_by(report, mends);
    if decided.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<section aria-labelledby=\"rules\">\n<h2 id=\"rules\">The rules that decided</h2>\n<dl>\n",
    );
    for Decided { switch, variant, in_force, saved, others } in &decided {
        let (name, doc) = (text(switch.name), text(switch.doc));
        let _ = writeln!(out, "<dt>{name}={}</dt>\n<dd>{doc}</dd>", text(variant.name));
        let _ = writeln!(out, "<dd>In force: {}</dd>", text(in_force));
        if let Some(Saved { by, then }) = saved {
            let _ = writeln!(out, "<dd>Saved by {}</dd>", text(by));
            for sentence in then {
                let _ = writeln!(out, "<dd>{}</dd>", text(sentence));
            }
        }
        if !others.is_empty() {
            out += "<dd>Each alone:\n<ul>\n";
            for other in others {
                let _ = writeln!(out, "<li>{}</li>", text(other));
            }
            out += "</ul>\n</dd>\n";
        }
    }
    out += "</dl>\n";
    if none_saves(mends) {
        out += "<p>None of these alone saves it.</p>\n";
    }
    out + "</section>\n"
}
