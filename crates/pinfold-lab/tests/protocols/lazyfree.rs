//! Contents that may go, against those who store to the page, by entries or by references
//! (facts 7.2; INV-LAZY-1).

use super::Protocol;
use pinfold_lab::Model;

const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];

fn meets_reclaim(name: &'static str, lane: &str, after: &str) -> Protocol {
    Protocol::new(
        name,
        &format!(
            r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
  P: advise A free
lane owner: P on cpu0
  {lane}
lane reclaim: P on cpu1
  pageout A
{after}
reach lazy-dropped
"#
        ),
    )
}

#[test]
fn direct_io_keeps_the_page_that_it_fills() {
    let incident = Protocol::shipped("lazyfree-direct-io");
    incident.holds_across(&["5.18", "5.19", "6.5", "pinfold"], &MODELS);
    for model in MODELS {
        for rules in ["4.5", "5.10", "5.17", "pinfold,lazy-free=dirty"] {
            incident.breaks_in(rules, model, "claim");
        }
    }
}

/// A store comes before reclaim, which finds the page dirty, or after it, to a new page; by an
/// entry that another CPU has made clean, or by a pin that marks what it wrote.
#[test]
fn no_store_is_lost_to_a_page_whose_contents_may_go() {
    let store = meets_reclaim("stored", "write A \"new\"", "always\n  P:A sees \"new\"");
    store.holds_across(&["4.5", "5.10", "5.18", "6.5"], &[Model::Weak]);
    store.holds_across(&["pinfold"], &MODELS);
    let child = meets_reclaim(
        "shared",
        "fork C",
        "after\n  P: write A \"new\"\nalways\n  P:A sees \"new\"\n  C:A never sees \"new\"",
    );
    child.holds_across(&["4.5", "5.10", "5.18"], &[Model::Weak]);
    child.holds_across(&["pinfold"], &MODELS);
}

/// The advice itself beside a store: what comes after it stays.
#[test]
fn a_store_after_the_advice_stays_wherever_it_comes_from() {
    let advised = Protocol::new(
        "advised",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
lane owner: P on cpu0
  await freed
  write A "new"
lane other: P on cpu1
  advise A free
  signal freed
  pageout A
always
  P:A sees "new"
reach lazy-kept
"#,
    );
    advised.holds_across(&["4.5", "5.10", "5.18", "6.5"], &[Model::Weak]);
    advised.holds_across(&["pinfold"], &MODELS);
}

/// A lock-free pin takes its reference and looks at the entry again; reclaim takes the entry out
/// and looks at the references. One of the two sees the other.
#[test]
fn a_lock_free_pin_and_its_owner_keep_one_page() {
    let pinned = meets_reclaim(
        "pinned",
        "pin A write longterm fast-only as h0 may fail busy",
        "after\n  P: read A\nalways\n  h0 is P:A",
    );
    pinned.holds_across(&["5.18", "6.5"], &[Model::Weak]);
    pinned.holds_across(&["pinfold"], &MODELS);
    pinned.breaks("5.17", "pin-coherence");
}
