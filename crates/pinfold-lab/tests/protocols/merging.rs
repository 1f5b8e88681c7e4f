//! Equal pages are merged, whatever else happens to them meanwhile: nobody loses what he wrote, a
//! device keeps the page of its owner, and what was merged is nobody's to write to (facts 7.1;
//! INV-MERGE-1 to INV-MERGE-3).

use super::Protocol;
use pinfold_lab::Model;

const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];

/// One of each way to decide on a copy, and of each order of taking the mark.
const PRESETS: [&str; 6] = ["5.7", "5.9", "5.18", "5.19", "6.1", "latest"];

/// Two pages of one value that a pass has seen, and the pass that merges them beside another lane.
fn beside(name: &'static str, other: &str, claims: &str) -> Protocol {
    let machine = "machine\nframes 12\nwords 1\ncpu cpu0 node 0\ncpu cpu1 node 0";
    let body = format!(
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: map B 1 private rw
  P: write A "v1"
  P: write B "v1"
  P: advise A merge
  P: advise B merge
  P: ksm
lane ksmd: P on cpu0
  ksm
lane other: P on cpu1
  {other}
{claims}
"#
    );
    Protocol { name, text: format!("scenario {name}\n{machine}\n{body}\n") }
}

fn holds_everywhere(protocol: &Protocol) {
    protocol.holds_across(&PRESETS, &[Model::Weak]);
    protocol.holds_across(&["pinfold"], &MODELS);
}

#[test]
fn a_page_that_is_written_meanwhile_keeps_what_was_written() {
    let claims = "always\n  P:A sees \"v2\"\n  P:B sees \"v1\"\nreach cow-copy during ksm";
    holds_everywhere(&beside("written", "write A \"v2\"", claims));
}

/// The page whose contents are read while the other is written to: more than the weak model can
/// exhaust in a test.
#[test]
fn a_page_that_is_written_while_it_is_compared_stays_its_own() {
    let claims = "always\n  P:A sees \"v1\"\n  P:B sees \"v2\"\nreach ksm-stable during write";
    beside("written-last", "write B \"v2\"", claims).holds_in("latest", Model::Sc);
}

/// The device writes what the owner must see: what is pinned first is not merged, and what is
/// merged first is copied for the pin.
#[test]
fn a_page_that_a_device_has_pinned_for_writing_is_not_merged() {
    let pin = "pin B write longterm fast-only as h0 may fail busy\n  write h0 \"v2\"";
    let claims = "outcome pinned when P:B sees \"v2\" and h0 is P:B\n\
                  outcome refused when P:B sees \"v1\"\noutcome parted otherwise\n\
                  always\n  P:A sees \"v1\"\n  never P:B sees \"v1\" and h0 sees \"v2\"\n\
                  reach ksm-stable";
    let pinned = beside("pinned", pin, claims);
    holds_everywhere(&pinned);
    // Its twin: a pin that does not look at the entry again has a page that was merged meanwhile.
    pinned.breaks("latest,fast-recheck=off", "claim");
}

#[test]
fn a_child_and_its_parent_have_what_was_merged() {
    let claims = "always\n  P:A sees \"v1\"\n  P:B sees \"v1\"\n  C:A sees \"v1\"\n  \
                  C:B sees \"v1\"\nreach ksm-merged";
    holds_everywhere(&beside("forked", "fork C", claims));
}

#[test]
fn a_page_that_goes_meanwhile_is_gone() {
    let claims = "always\n  P:A sees \"v1\"\n  P:B sees \"0\"\nreach ksm-stable during advise";
    holds_everywhere(&beside("dropped", "advise B dontneed", claims));
    let claims = "always\n  P:A sees \"v1\"\nreach ksm-stable";
    holds_everywhere(&beside("unmapped", "unmap B", claims));
}

/// Without the second look at a protected entry one of them would come back.
#[test]
fn pages_that_both_go_meanwhile_are_gone() {
    let claims = "always\n  P:A sees \"0\"\n  P:B sees \"0\"\nreach ksm-merged\n\
                  reach zapped during ksm";
    holds_everywhere(&beside("both", "advise A dontneed\n  advise B dontneed", claims));
}

#[test]
fn what_is_undone_meanwhile_parts() {
    let claims = "always\n  P:A sees \"v1\"\n  P:B sees \"v1\"\n  P:A is not P:B\n\
                  reach copied during ksm";
    holds_everywhere(&beside("undone", "advise B unmerge", claims));
}

/// A page that waits on its way to its list has one more reference: it is drained, or stays.
#[test]
fn two_passes_at_once_merge_once() {
    let claims = "always\n  P:A sees \"v1\"\n  P:B sees \"v1\"\n  P:A is P:B\n\
                  reach ksm-merged";
    holds_everywhere(&beside("twice", "read A\n  ksm", claims));
}

/// The device's store comes before the unpin, and the comparison behind the look at the counts that
/// no longer finds the pin.
#[test]
fn what_a_device_has_written_is_compared() {
    let mut protocol = beside(
        "device",
        "write h0 \"v2\"\n  unpin h0 dirty",
        "always\n  P:A sees \"v1\"\n  P:B sees \"v2\"\nreach ksm-kept",
    );
    protocol.text = protocol.text.replace("  P: ksm\n", "  P: ksm\n  P: pin B write as h0\n");
    holds_everywhere(&protocol);
}
