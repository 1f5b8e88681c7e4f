//! Dropping pages against their use (facts 1.7, 6).

use super::{Protocol, outcomes};

#[test]
fn dropping_a_page_against_a_write_on_another_cpu() {
    let protocol = Protocol::new(
        "drop-write",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
lane dropper: P on cpu0
  advise A dontneed
lane writer: P on cpu1
  read A
  write A "new"
  read A as r0
always
  P:A never sees "old"
  never r0 "old"
outcome kept when P:A sees "new"
outcome dropped otherwise
reach zapped during write
reach first-touch
"#,
    );
    for rules in ["pinfold", "5.8"] {
        assert_eq!(outcomes(&protocol.holds(rules)), ["dropped", "kept"], "{rules}");
    }
}

#[test]
fn two_threads_drop_one_page_and_each_is_told_so_only_after_a_flush() {
    let protocol = Protocol::new(
        "drop-drop",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
lane one: P on cpu0
  advise A dontneed
lane two: P on cpu1
  read A
  advise A dontneed
  read A as r0
always
  never r0 "old"
reach zapped during advise
"#,
    );
    for rules in ["pinfold", "5.8"] {
        protocol.holds(rules);
    }
}
