//! What a machine that filters hinting faults remembers of a page, whatever else happens to the
//! page meanwhile: a fault that may not move it gives its contents back, and nobody finds what was
//! remembered of another life of its frame (facts 4.8).
//!
//! There is no twin: nothing rests on what is remembered but where a page lies, so a wrong answer
//! of the filter loses nothing. The first test tells what it is for.

use super::Protocol;
use pinfold_lab::Model;

const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];

/// One of each order of restoring and moving, and of each filter.
const PRESETS: [&str; 5] = ["3.12", "4.4", "5.16", "6.1", "latest"];

/// A page whose last hinting fault was on node 0 waits for one on node 1, beside another lane on
/// node 0.
fn beside(name: &'static str, filter: &str, other: &str, claims: &str) -> Protocol {
    on_two_nodes(name, filter, ("  P: map A 1 private rw", "A"), other, claims)
}

fn on_two_nodes(
    name: &'static str,
    filter: &str,
    (area, used): (&str, &str),
    other: &str,
    claims: &str,
) -> Protocol {
    let text = format!(
        r#"scenario {name}
machine
  nodes 2
  frames 12
  migrate-passes 1
  numa {filter}
  cpu cpu0 node 0
  cpu cpu1 node 1
setup
  process P on cpu0
{area}
  P: write {used} "v1"
  P: numa-scan A
  P: read {used}
  P: numa-scan A
lane user: P on cpu1
  read {used}
lane other: P on cpu0
  {other}
{claims}
"#
    );
    Protocol { name, text }
}

fn filtered(name: &'static str, other: &str, claims: &str) -> Protocol {
    beside(name, "filter", other, claims).reaching(&["numa-filtered"])
}

fn holds_everywhere(protocol: &Protocol) {
    protocol.holds_across(&PRESETS, &[Model::Weak]);
    protocol.holds_across(&["pinfold"], &MODELS);
}

#[test]
fn a_page_that_two_nodes_use_stays_where_the_filter_says_so() {
    let claims = "always\n  P:A sees \"v1\"";
    let stays = filtered("both-fault", "read A\n  numa-scan A", claims);
    holds_everywhere(&stays);
    // Without the filter one of the two moves it.
    let moves =
        beside("both-move", "at-once", "read A\n  numa-scan A", claims).reaching(&["migrated"]);
    holds_everywhere(&moves);
}

#[test]
fn a_page_that_is_moved_meanwhile_keeps_its_contents() {
    let claims = "always\n  P:A sees \"v1\"";
    let moved = filtered("filter-move", "migrate A to node 1", claims);
    holds_everywhere(&moved.reaching(&["migrated"]));
}

#[test]
fn a_page_that_is_written_or_scanned_meanwhile_keeps_what_was_written() {
    let claims = "always\n  P:A sees \"v2\"";
    holds_everywhere(&filtered("filter-write", "write A \"v2\"", claims));
    let claims = "always\n  P:A sees \"v1\"";
    holds_everywhere(&filtered("filter-scan", "numa-scan A", claims));
}

#[test]
fn a_page_that_a_child_comes_to_share_meanwhile_keeps_its_contents() {
    let claims = "always\n  P:A sees \"v2\"\n  C:A sees \"v1\"";
    holds_everywhere(&filtered("filter-fork", "fork C\n  write A \"v2\"", claims));
}

/// The frame's next life knows no fault.
#[test]
fn a_page_that_goes_meanwhile_is_forgotten() {
    let claims = "always\n  P:A sees \"v2\"";
    let gone = "advise A dontneed\n  write A \"v2\"";
    holds_everywhere(&filtered("filter-drop", gone, claims));
}

/// The parts of a folio have what it had, whoever asks first.
#[test]
fn a_folio_that_is_split_meanwhile_stays_in_all_its_parts() {
    let area = ("  P: map A 4 private rw\n  P: advise A hugepage", "A[1]");
    let claims = "always\n  P:A[1] sees \"v1\"";
    let split = on_two_nodes("filter-split", "filter", area, "split-folio A[0]", claims);
    let split = split.reaching(&["numa-filtered", "split"]);
    split.holds_across(&["5.16", "6.12", "latest"], &[Model::Weak]);
    split.holds_in("pinfold", Model::Weak);
}
