//! Steps through interfaces that a release lacks.

use super::*;
use crate::scenario::Code;

/// What stands around a step: memory of each kind, and a userfaultfd where the step wants one.
fn around(registered: &str, step: &str) -> String {
    format!(
        "
scenario one-step
machine
  nodes 2
  cpu cpu0 node 0
  cpu cpu1 node 0
  file M 1 memory
setup
  process P on cpu0
  P: map A 2 private rw
  P: map S 1 shared rw
  P: map V 1 private rw of M
  P: write A[0] \"a\"
{registered}
lane one: P on cpu0
  {step}
lane other: P on cpu1
  read A[0]
outcome done otherwise
"
    )
}

/// The message of a refusal; none if it was searched.
fn refusal(text: &str, set: &str) -> Option<String> {
    let report = checked(text, set);
    assert_eq!(report.is_absent(), report.verdict == Verdict::Skip, "{set}: {report:?}");
    if !report.is_absent() {
        assert_ne!(report.verdict, Verdict::Error, "{set}: {:?}", report.broken);
        assert!(report.search.executions > 0, "{set}");
        return None;
    }
    assert_eq!((report.search.executions, report.exit_code()), (0, 4), "{set}");
    let broken = report.broken.expect("it says why");
    assert_eq!((broken.code, broken.oracle), (Some(Code::Absent), Oracle::Scenario));
    let [what] = broken.what.as_slice() else { panic!("{:?}", broken.what) };
    Some(what.clone())
}

#[test]
fn a_step_is_refused_before_its_interface_came_and_not_since() {
    for (registered, step, before, since, what) in [
        ("", "pin A write as h0", "5.5", "5.6", "pin: pin_user_pages"),
        ("", "numa-scan", "3.7", "3.8", "numa-scan: NUMA balancing"),
        ("", "populate A read", "5.13", "5.14", "populate: MADV_POPULATE_*"),
        ("", "advise A wipeonfork", "4.13", "4.14", "advise: MADV_WIPEONFORK"),
        ("", "advise A keeponfork", "4.13", "4.14", "advise: MADV_WIPEONFORK"),
        ("", "uffd-register A missing", "4.2", "4.3", "uffd-register: userfaultfd"),
        ("", "uffd-unregister A", "4.2", "4.3", "uffd-unregister: userfaultfd"),
        (
            "",
            "uffd-register S missing",
            "4.10",
            "4.11",
            "uffd-register: userfaultfd for shared memory",
        ),
        (
            "",
            "uffd-register V missing",
            "4.10",
            "4.11",
            "uffd-register: userfaultfd for shared memory",
        ),
        (
            "",
            "uffd-register A missing event-fork",
            "4.10",
            "4.11",
            "uffd-register: UFFD_FEATURE_EVENT_*",
        ),
        ("", "uffd-register A wp", "5.6", "5.7", "uffd-register: UFFDIO_WRITEPROTECT"),
        (
            "  P: uffd-register A missing",
            "uffd-copy A[1] \"w\"",
            "4.2",
            "4.3",
            "uffd-register: userfaultfd",
        ),
        (
            "  P: uffd-register A missing",
            "uffd-copy A[1] \"w\" wp",
            "5.6",
            "5.7",
            "uffd-copy: UFFDIO_WRITEPROTECT",
        ),
        (
            "  P: uffd-register A missing wp",
            "uffd-protect A",
            "5.6",
            "5.7",
            "uffd-register: UFFDIO_WRITEPROTECT",
        ),
    ] {
        let text = around(registered, step);
        let exists = if what.contains(" and ") { "exist" } else { "exists" };
        let expected = format!("{what} {exists} since {since}, and not under linux-{before}");
        assert_eq!(refusal(&text, before), Some(expected), "{step}");
        assert_eq!(refusal(&text, since), None, "{step}");
        assert_eq!(refusal(&text, "pinfold"), None, "{step}");
    }
}

#[test]
fn what_every_release_has_is_never_refused() {
    for step in [
        "get A write as h0",
        "get A read force slow-only as h0",
        "follow A as h0",
        "migrate A to node 1",
        "compact A to node 1",
        "advise A dontneed",
        "advise A dontfork",
        "mlock A",
        "protect A ro",
        "fork C",
        "unmap A[1]",
        "punch M",
    ] {
        for set in ["3.1", "3.2", "4.4"] {
            assert_eq!(refusal(&around("", step), set), None, "{step} under {set}");
        }
    }
}

/// Wherever the step stands, and whatever is said of its end.
#[test]
fn no_place_and_no_expected_failure_excuses_a_step() {
    let text = around("", "read A[1]");
    let expected = "pin: pin_user_pages exists since 5.6, and not under linux-4.8";
    let pin = "pin A[1] read as h0";
    for text in [
        around(&format!("  P: {pin}"), "read A[1]"),
        around("", &format!("{pin} fails no-access")),
        around("", &format!("{pin} may fail no-access")),
        text.replace("outcome", &format!("after\n  P: {pin}\noutcome")),
    ] {
        assert_eq!(refusal(&text, "4.8").as_deref(), Some(expected), "{text}");
    }
    assert_eq!(refusal(&text, "4.8"), None);
}

/// The switch decides, not the base: either may be asked for with the other.
#[test]
fn an_override_brings_an_interface_or_takes_it() {
    let pin = around("", "pin A write as h0");
    assert_eq!(refusal(&pin, "4.8,interfaces=pin-user-pages"), None);
    let expected = "pin: pin_user_pages exists since 5.6, and not under linux-6.1,interfaces=basic";
    assert_eq!(refusal(&pin, "6.1,interfaces=basic").as_deref(), Some(expected));
}

/// One execution and a replay say the same, and the error points at the step.
#[test]
fn a_run_is_refused_as_a_search_is_and_points_at_the_step() {
    let text = around("", "pin A write as h0");
    let scenario = parse(&text).expect("a scenario");
    let report = run(&scenario, "test.pf", &rules("4.8"), Order::AsWritten);
    assert!(report.is_absent() && report.verdict == Verdict::Skip);
    let Err(error) = Prepared::new(&scenario, "test.pf", &rules("4.8")) else {
        panic!("it was prepared")
    };
    assert_eq!(error.code, Code::Absent);
    assert_eq!(&text[error.span.range()], "pin A write as h0");
    assert_eq!(error.label, "not before 5.6");
    let help = "ask under 5.6 or later, or add `interfaces=pin-user-pages` to the rules";
    assert_eq!(error.help.as_deref(), Some(help));
}
