//! Clean pages of files that reclaim takes out of memory, against who pins, shows, stores to, takes
//! out, reads, writes and moves them (facts 7.2). INV-CACHED-1 to INV-CACHED-4.
//!
//! What these rest on, the locks and the references that are taken away in one step, no switch
//! takes away: there are no twins. Left out by hand: the step that takes the references away is
//! missed by the lock-free pin, the look at the mark behind it by the device, both looks by stores,
//! writeback and writes, too, the flush by six of them, and that the file's list forgets the page
//! by the fault and the hole. The mark that an entry carries to the page is not: the page has it
//! from before the entry has (INV-BACK-3).

use super::Protocol;
use pinfold_lab::Model;

const MODELS: [Model; 2] = [Model::Tso, Model::Weak];

/// A page of a file that its store has as "old", mapped and clean, which leaves beside another
/// lane; `rest` is what follows that lane's steps.
fn leaving(name: &'static str, more_setup: &str, lane: &str, rest: &str) -> Protocol {
    leaving_from("", (name, more_setup), lane, rest)
}

/// The same on a machine with lists: what leaves has its shadow in its place.
fn listed(name: &'static str, more_setup: &str, lane: &str, rest: &str) -> Protocol {
    leaving_from("lru 1\n", (name, more_setup), lane, rest)
}

fn leaving_from(
    lists: &str,
    (name, more_setup): (&'static str, &str),
    lane: &str,
    rest: &str,
) -> Protocol {
    let cpus = "cpu cpu0 node 0\ncpu cpu1 node 0";
    let machine = format!("machine\nnodes 2\nframes 12\nmigrate-passes 1\n{lists}{cpus}");
    let text = format!(
        r#"scenario {name}
{machine}
file F 1
setup
  process P on cpu0
  P: map A 1 shared rw of F
  P: write A "old"
  P: sync F
  {more_setup}
lane reclaim: P on cpu1
  pageout A
lane {lane}
{rest}"#
    );
    Protocol { name, text }
}

/// Today's rules under both models, and those that flush each entry and ask otherwise for pins
/// under the weaker one, whose executions are those of the other, too.
fn holds(protocol: &Protocol) {
    protocol.holds_across(&["pinfold"], &MODELS);
    for rules in ["5.8", "6.1"] {
        protocol.holds(rules);
    }
}

#[test]
fn a_lock_free_pin_has_the_page_of_the_file_or_none() {
    holds(&leaving(
        "cached-pin",
        "P: write A \"old\"\n  P: sync F\n  P: read A",
        "pinner: P on cpu0",
        r#"  pin A read fast-only as h0 may fail busy
after
  P: write A "new"
always
  h0 is P:A
  h0 sees "new"
  F sees "new"
reach cache-reclaimed
reach cache-busy
"#,
    ));
}

#[test]
fn a_fault_shows_the_page_that_the_file_has() {
    holds(&leaving(
        "cached-fault",
        "P: fork C",
        "toucher: C on cpu0",
        r#"  read A as r0
after
  P: write A "new"
always
  r0 "old"
  C:A sees "new"
  F sees "new"
reach cache-reclaimed
reach cache-busy
"#,
    ));
}

#[test]
fn what_is_stored_through_a_shared_mapping_is_in_the_file() {
    let stored = leaving(
        "cached-store",
        "",
        "writer: P on cpu0",
        r#"  write A "new"
after
  P: sync F
always
  P:A sees "new"
  F sees "new"
  F stores "new"
reach cache-reclaimed
reach cache-dirty
"#,
    );
    // Its executions are those of the other model, too.
    stored.holds("pinfold");
}

#[test]
fn a_hole_and_an_end_take_the_page_or_find_it_gone() {
    for (name, step, back) in [
        ("cached-hole", "punch F", ""),
        ("cached-end", "truncate F 0", "after\n  P: truncate F 1\n"),
    ] {
        let rest = format!(
            r#"  {step}
{back}always
  P:A sees "0"
  F sees "0"
  F stores "0"
reach cache-reclaimed
reach cache-removed
"#
        );
        holds(&leaving(name, "", "cutter: P on cpu0", &rest));
    }
}

#[test]
fn who_reads_and_writes_the_file_has_its_page() {
    holds(&listed(
        "cached-file-read",
        "",
        "reader: P on cpu0",
        r#"  read F as r0
  read F as r1
always
  r0 "old"
  r1 "old"
  P:A sees "old"
reach cache-reclaimed
"#,
    ));
    holds(&listed(
        "cached-file-write",
        "",
        "writer: P on cpu0",
        r#"  write F "new"
after
  P: sync F
always
  P:A sees "new"
  F stores "new"
reach cache-reclaimed
reach cache-dirty
"#,
    ));
}

/// INV-CACHED-2: the device stores, marks and lets go, and reclaim asks in the other order.
#[test]
fn what_a_device_has_written_is_not_lost() {
    for (name, rules, kept) in
        [("cached-device", "pinfold", "swap-pinned"), ("cached-pinned", "5.8", "cache-busy")]
    {
        let rest = format!(
            r#"  write h0 "dev"
  unpin h0 dirty
after
  P: sync F
always
  P:A sees "dev"
  F stores "dev"
reach {kept}
reach cache-dirty
"#
        );
        let before = "P: pin A write as h0\n  P: sync F";
        let device = leaving(name, before, "owner: P on cpu0", &rest);
        device.holds_across(&[rules], &MODELS);
    }
}

#[test]
fn what_is_written_back_meanwhile_is_all_that_was_stored() {
    let rest = r#"  sync F
after
  P: sync F
always
  P:A sees "new"
  F stores "new"
reach cache-reclaimed
reach written-back
"#;
    let dirty = "P: write A \"new\"";
    holds(&leaving("cached-sync", dirty, "cleaner: P on cpu0", rest));
}

#[test]
fn a_page_that_moves_leaves_before_or_after_or_not() {
    let rest = r#"  migrate A to node 1
after
  P: write A "new"
always
  P:A sees "new"
  F sees "new"
reach cache-reclaimed
reach migrated
"#;
    holds(&listed("cached-move", "", "mover: P on cpu0", rest));
}

#[test]
fn a_child_shows_the_file_as_its_parent_does() {
    let text = r#"scenario cached-fork
machine
frames 14
cpu cpu0 node 0
cpu cpu1 node 0
file F 2
setup
  process P on cpu0
  P: map A 2 private rw of F
  P: read A[0]
  P: write A[1] "own"
lane reclaim: P on cpu1
  pageout A[0]
lane forker: P on cpu0
  fork C
after
  P: write A[0] "new"
always
  P:A[0] sees "new"
  C:A[0] sees "0"
  C:A[1] sees "own"
reach cache-unmapped during fork
reach cache-reclaimed
"#;
    holds(&Protocol { name: "cached-fork", text: text.to_owned() });
}

/// From its list, where a batch may have had a reference, a page that two processes map.
#[test]
fn a_page_on_its_list_leaves_for_all_who_map_it() {
    let text = r#"scenario cached-list
machine
frames 14
lru 1
cpu cpu0 node 0
cpu cpu1 node 0
file F 1
setup
  process P on cpu0
  P: map A 1 shared ro of F
  P: read A
  P: fork C
  C: read A
  P: advise A cold
lane reclaim: P on cpu1
  reclaim node 0 goal 1
lane other: C on cpu0
  advise A dontneed
always
  P:A sees "0"
  C:A sees "0"
reach cache-reclaimed
reach cache-unmapped during advise
"#;
    let listed = Protocol { name: "cached-list", text: text.to_owned() };
    listed.holds_across(&["pinfold"], &MODELS);
}
