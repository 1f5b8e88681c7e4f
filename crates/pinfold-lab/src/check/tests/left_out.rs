//! Steps through a handle that a step was allowed to fail to make.

use super::*;

/// A pin that another lane may forbid, a device that uses it, and a third lane that ends it.
fn used_elsewhere(claims: &str) -> String {
    format!(
        "
scenario used-elsewhere
machine
  frames 8
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A \"v1\"
lane pinner: P on cpu0
  pin A write longterm as h0 may fail no-access
  signal tried
lane dma: device
  read h0 as r0
  write h0 \"v2\"
lane guard: P on cpu1
  protect A none
lane end: device after dma
  await tried
after
  unpin h0 dirty
  P: protect A rw
{claims}"
    )
}

const CASES: &str = "outcome pinned when r0 \"v1\"\noutcome refused otherwise\n";

#[test]
fn what_needs_a_handle_that_was_not_made_is_left_out_and_nobody_waits_for_it() {
    let text = used_elsewhere(&format!("always\n  r0 \"v1\"\n  never r0 \"0\"\n{CASES}"));
    for model in [Model::Tso, Model::Weak] {
        assert_eq!(seen_by_both(&text, "latest", model), ["pinned", "refused"]);
    }
}

#[test]
fn a_write_that_is_left_out_changes_nothing() {
    let text = used_elsewhere(
        "outcome pinned when r0 \"v1\" and P:A sees \"v2\"\n\
         outcome refused when P:A sees \"v1\"\noutcome torn otherwise\n",
    );
    assert_eq!(seen_by_both(&text, "latest", Model::Tso), ["pinned", "refused"]);
}

#[test]
fn a_step_that_is_left_out_does_not_fail_either() {
    let text = used_elsewhere(CASES).replace("read h0 as r0", "read h0 expect \"other\" as r0");
    let broken = checked(&text, "latest").broken.expect("the device reads in some execution");
    assert_eq!(broken.oracle, Oracle::Step);
    let never = text.replace("\"v1\"\nlane", "\"v1\"\n  P: protect A none\nlane");
    assert_eq!(seen_by_both(&never, "latest", Model::Tso), ["refused"]);
    let fails = never.replace("write h0 \"v2\"", "write h0 \"v2\" fails busy");
    assert_eq!(seen_by_both(&fails, "latest", Model::Tso), ["refused"]);
}

#[test]
fn a_handle_that_setup_fails_to_make_is_missing_everywhere() {
    let text = "
scenario missing
setup
  process P
  P: map A 1 private ro
  P: pin A write longterm as h0 may fail no-access
  P: get A read as h1 may fail no-access
lane dma: device
  write h0 \"v\"
  read h1 as r1
after
  unpin h0
  put h1
always
  r1 \"0\"
  P:A sees \"0\"
";
    let report = checked(text, "latest");
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.broken);
    let made = checked(&text.replace("private ro", "private rw"), "latest");
    assert_eq!(made.broken.expect("there is a handle then").oracle, Oracle::Claim);
}

#[test]
fn a_trace_says_which_steps_were_left_out() {
    let never = used_elsewhere("always\n  P:A sees \"v2\"\n");
    let never = never.replace("\"v1\"\nlane", "\"v1\"\n  P: protect A none\nlane");
    let report = checked(&never, "latest");
    assert_eq!(report.broken.as_ref().expect("no write").oracle, Oracle::Claim);
    let told = format!("{:?}", report.trace);
    assert_eq!(told.matches("left out: h0 was not made").count(), 3, "{told}");
}

#[test]
fn a_step_that_is_left_out_is_not_reached() {
    let text = used_elsewhere(CASES) + "reach write\n";
    assert_eq!(checked(&text, "latest").verdict, Verdict::Pass);
    let never = text.replace("\"v1\"\nlane", "\"v1\"\n  P: protect A none\nlane");
    let report = checked(&never, "latest");
    assert_eq!(report.broken.expect("nothing was written").oracle, Oracle::Vacuous);
}
