//! What a monitor protects stays as it is, and what it gives arrives once, whatever else happens to
//! the pages (facts 7.14; INV-UFFD-1 to INV-UFFD-5).

use super::{Protocol, common, outcomes};
use pinfold_lab::Model;

const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];

fn on_three_cpus(name: &'static str, body: &str) -> Protocol {
    let machine = "machine\nnodes 2\nwords 2\nframes 12\nmigrate-passes 1\ncpu cpu0 node 0\ncpu cpu1 node 0\n\
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

/// A CPU that has a writable translation of the page from before writes to it when the protection
/// has returned. The monitor must be told, or it waits for ever: a deadlock.
fn told_of_a_write(name: &'static str, (setup, monitor, other): (&str, &str, &str)) -> Protocol {
    on_three_cpus(
        name,
        &format!(
            r#"
setup
  process P on cpu0
{setup}
  P: write A "old"
  P: uffd-register A wp
lane program: P on cpu0
  await armed
  write A "new"
lane monitor: P on cpu1
  uffd-protect A
{monitor}
  uffd-wait A wp
  uffd-unprotect A
lane other: P on cpu2
{other}
always
  P:A never sees "old"
reach uffd-told
"#
        ),
    )
}

const ARMED: &str = "  signal armed";

/// Another thread moves the page meanwhile, hides it, shares it, or takes it for a device.
#[test]
fn no_write_to_a_protected_page_goes_untold_whatever_else_happens_to_it() {
    for other in ["migrate A to node 1", "compact A to node 1", "numa-scan A"] {
        let other = format!("  {other}");
        let private = "  P: map A 1 private rw";
        let protocol = told_of_a_write("told", (private, ARMED, &other));
        holds_everywhere(&protocol, &["5.8", "5.12", "5.19", "6.5"]);
    }
    // From 5.9 to 5.18 the write that comes through copies a pinned page: `uffd-wp-pin`.
    let lanes = ("  P: map A 1 private rw", ARMED, "  pin A read longterm as h0");
    holds_everywhere(&told_of_a_write("told-pin", lanes), &["5.8", "5.19", "6.5"]);
}

/// Two monitors protect the page at the same time: the one that is done later need not change it,
/// and must not return before the other's change has reached every CPU.
#[test]
fn who_finds_a_page_protected_already_waits_for_the_flush() {
    let lanes = ("  P: map A 1 private rw", "", "  uffd-protect A\n  signal armed");
    let protocol = told_of_a_write("twice", lanes);
    holds_everywhere(&protocol, &["5.8", "5.19", "6.5"]);
}

/// In shared memory, whose pages others drop meanwhile: a marker in place of an entry is enough
/// only when every CPU has forgotten the entry.
#[test]
fn no_write_to_protected_shared_memory_goes_untold() {
    for other in ["advise A dontneed", "punch F"] {
        let other = format!("  {other}");
        let shared = "  P: map A 1 shared rw of F";
        let protocol = told_of_a_write("told-shared", (shared, ARMED, &other));
        holds_everywhere(&protocol, &["5.19", "6.5"]);
    }
}

/// Who holds the address space's lock for writing comes before or after the protection: a handful
/// of executions each.
#[test]
fn no_write_goes_untold_beside_those_who_hold_the_lock_alone() {
    for other in ["fork K", "protect A rwx", "mlock A", "unmap B", "remap B at 0xe000"] {
        let other = format!("  {other}");
        for map in ["P: map A 1 private rw", "P: map A 1 shared rw of F"] {
            let map = format!("  {map}\n  P: map B 1 private rw at 0x2000");
            let protocol = told_of_a_write("told-alone", (&map, ARMED, &other));
            for rules in ["5.19", "pinfold"] {
                common::holds(protocol.name, &protocol.text, rules, Model::Weak);
            }
        }
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
reach uffd-told
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
  write A.1 "mine"
lane monitor: P on cpu1
  uffd-continue A
lane other: P on cpu2
  write F "new"
always
  F sees "new"
  F.1 sees "mine"
outcome old when r0 "old"
outcome new when r0 "new"
reach uffd-told
"#,
    );
    for rules in ["5.17", "6.5"] {
        protocol.holds(rules);
    }
    let reports = MODELS.map(|model| protocol.holds_in("pinfold", model));
    assert_eq!(outcomes(&reports[2]), ["new", "old"]);
}
