//! What a monitor protects stays as it is, and what it gives arrives once, whatever else happens to
//! the pages (facts 7.14; INV-UFFD-1 to INV-UFFD-3).

use super::{Protocol, outcomes};
use pinfold_lab::Model;

const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];

fn on_three_cpus(name: &'static str, body: &str) -> Protocol {
    let machine = "machine\nnodes 2\nframes 12\nmigrate-passes 1\ncpu cpu0 node 0\ncpu cpu1 node 0\n\
                   cpu cpu2 node 1\nfile F 1 memory";
    Protocol { name, text: format!("scenario {name}\n{machine}\n{body}\n") }
}

/// Some presets that could watch it under weak, today's rules under each model.
fn holds_everywhere(protocol: &Protocol, presets: &[&str]) {
    for rules in presets {
        protocol.holds(rules);
    }
    for model in MODELS {
        protocol.holds_in("pinfold", model);
    }
}

/// Between the end of the protection and its end nothing changes, while another thread moves the
/// page, hides it, shares it or takes it for a device that reads.
#[test]
fn a_protected_page_does_not_change_whatever_else_happens_to_it() {
    for other in [
        "migrate A to node 1",
        "compact A to node 1",
        "numa-scan A",
        "fork K",
        "protect A ro\n  protect A rw",
        "pin A read longterm as h0",
        "populate A read",
        "uffd-protect A",
    ] {
        let body = format!(
            r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
  P: uffd-register A wp
lane program: P on cpu0
  write A "new"
lane monitor: P on cpu1
  uffd-protect A
  read A as r0
  read A as r1
  uffd-unprotect A
lane other: P on cpu2
  {other}
after
  P: uffd-unprotect A
always
  never r0 "old" and r1 "new"
reach uffd-told during write
"#
        );
        // A write between the two parts of the change finds the area read-only.
        let body = if other.starts_with("protect") {
            body.replace(r#"write A "new""#, r#"write A "new" may fail no-access"#)
        } else {
            body
        };
        // The second monitor's protection is taken back by the first, or comes after.
        let body = if other.starts_with("uffd") {
            body.replace("  uffd-protect A\nafter", "  uffd-protect A\n  uffd-unprotect A\nafter")
        } else {
            body
        };
        holds_everywhere(&on_three_cpus("protected", &body), &["5.8", "5.12", "5.19", "6.5"]);
    }
}

/// The same in shared memory, whose pages others drop meanwhile: the markers stay.
#[test]
fn protected_shared_memory_does_not_change_by_this_mapping() {
    for other in ["advise A dontneed", "punch F", "fork K"] {
        let body = format!(
            r#"
setup
  process P on cpu0
  P: map A 1 shared rw of F
  P: write A "old"
  P: uffd-register A wp
lane program: P on cpu0
  write A "new"
lane monitor: P on cpu1
  uffd-protect A
  read A as r0
  read A as r1
  uffd-unprotect A
lane other: P on cpu2
  {other}
always
  never r0 "old" and r1 "new"
  never r0 "0" and r1 "new"
reach uffd-told during write
"#
        );
        holds_everywhere(&on_three_cpus("protected-shared", &body), &["5.19", "6.5"]);
    }
}

/// A page that a monitor gives is seen by everybody or not there, beside what else could fill or
/// empty the place.
#[test]
fn a_page_that_is_given_arrives_whole_and_once() {
    for (other, may_be_zero) in [
        ("read A", false),
        ("pin A write longterm as h0", false),
        ("uffd-copy A \"page\" may fail occupied", false),
        ("fork K", false),
        ("uffd-unregister A", true),
    ] {
        let first = if may_be_zero {
            "uffd-copy A \"page\" may fail invalid"
        } else {
            "uffd-copy A \"page\""
        };
        let first = if other.starts_with("uffd-copy") {
            "uffd-copy A \"page\" may fail occupied"
        } else {
            first
        };
        let never_zero = if may_be_zero { "" } else { "  never r0 \"0\"\n" };
        let body = format!(
            r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: uffd-register A missing
lane program: P on cpu0
  read A as r0
  write A "mine"
lane monitor: P on cpu1
  {first}
lane other: P on cpu2
  {other}
always
  P:A sees "mine"
{never_zero}
reach uffd-told during read
"#
        );
        holds_everywhere(&on_three_cpus("given", &body), &["5.8", "5.19", "6.5"]);
    }
}

/// A minor fault is resolved with what the file has at that moment, or with what is written later.
#[test]
fn a_page_that_goes_on_is_the_one_that_the_file_has() {
    let protocol = on_three_cpus(
        "continued",
        r#"
setup
  process P on cpu0
  P: map A 1 shared rw of F
  P: write F "old"
  P: uffd-register A minor
lane program: P on cpu0
  read A as r0
  write A "mine"
lane monitor: P on cpu1
  uffd-wait A minor
  uffd-continue A may fail no-access
  uffd-unregister A
lane other: P on cpu2
  punch F
always
  F never sees "old"
outcome old when r0 "old"
outcome hole when r0 "0"
reach uffd-told during read
"#,
    );
    for rules in ["5.17", "6.5"] {
        protocol.holds(rules);
    }
    let reports = MODELS.map(|model| protocol.holds_in("pinfold", model));
    assert_eq!(outcomes(&reports[2]), ["hole", "old"]);
}
