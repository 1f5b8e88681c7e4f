//! What a swap device does that fails once, as a machine says of it (INV-DRIVE-1, INV-DRIVE-2).

use super::*;

/// Two pages of a process, and steps of its only lane.
fn two(machine: &str, steps: &str, claims: &str) -> String {
    format!(
        "
scenario device
machine
  swap 3
  {machine}
  cpu cpu0 node 0
setup
  process P on cpu0
  P: map A 2 private rw
  P: write A[0] \"a\"
  P: write A[1] \"b\"
lane one: P on cpu0
  {steps}
always
  P:A[0] sees \"a\" and P:A[1] sees \"b\"
{claims}
"
    )
}

#[track_caller]
fn passes(text: &str) {
    for rules in ["3.1", "5.9", "5.19", "latest", "pinfold"] {
        let report = checked(text, rules);
        assert_eq!(report.verdict, Verdict::Pass, "{rules}: {:?}", report.broken);
    }
}

#[test]
fn the_read_that_was_named_fails_once() {
    let out = "pageout A";
    let first = "read A[0] fails io-error\n  read A[0] expect \"a\"\n  read A[1] expect \"b\"";
    passes(&two("swap-read-fails 1", &format!("{out}\n  {first}"), ""));
    let second = "read A[0] expect \"a\"\n  read A[1] fails io-error\n  read A[1] expect \"b\"";
    passes(&two("swap-read-fails 2", &format!("{out}\n  {second}"), ""));
    // A store needs what was there, too, and fails with nothing changed.
    let store = "write A[0] \"c\" fails io-error";
    passes(&two("swap-read-fails 1", &format!("{out}\n  {store}"), ""));
}

#[test]
fn the_write_that_was_named_fails_once_and_its_page_stays() {
    for (fails, stays, gone) in [(1, "A[0]", "A[1]"), (2, "A[1]", "A[0]")] {
        let machine = format!("swap-write-fails {fails}");
        // One page after the other, so that it is known which is written when.
        let steps = "pageout A[0]\n  pageout A[1]";
        let stayed = format!("  P:{stays} is resident and P:{gone} is not resident");
        let stayed = format!("{stayed}\n  cost 1 swap-out");
        passes(&two(&machine, steps, &stayed));
        let again = format!("{steps}\n  pageout {stays}");
        let out = format!("  P:{stays} is not resident\n  cost 2 swap-outs");
        passes(&two(&machine, &again, &out));
    }
}
