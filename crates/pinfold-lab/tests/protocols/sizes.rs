//! Areas that change their size on a fault or by the program break, against what uses them
//! meanwhile (facts 3.13, 7.13).

use super::{Protocol, outcomes};

const RULES: [&str; 3] = ["pinfold", "5.8", "6.4"];

/// Two threads make one stack grow, by different lengths, while a child is forked: the fault lets
/// the lock go before it takes it for writing, and looks again.
#[test]
fn a_stack_that_two_faults_make_grow_while_it_is_copied() {
    let protocol = Protocol::new(
        "stack-two-faults",
        r#"
setup
  process P on cpu0
  P: map S 1 stack rw up to 4
  P: write S[3] "top"
lane far: P on cpu0
  write S[0] "far"
lane near: P on cpu1
  write S[2] "near"
  fork C
always
  P:S[0] sees "far"
  P:S[2] sees "near"
  C:S[2] sees "near"
  C:S[3] sees "top"
outcome long when C:S[0] sees "far"
outcome short otherwise
reach first-touch during write
reach first-touch during fork
"#,
    );
    for rules in RULES {
        assert_eq!(outcomes(&protocol.holds(rules)), ["long", "short"], "{rules}");
    }
}

/// Memory that can be accessed comes below a stack, and the stack does not grow any more.
#[test]
fn a_stack_that_grows_against_a_mapping_below_it() {
    let protocol = Protocol::new(
        "stack-mapping-below",
        r#"
setup
  process P on cpu0
  P: map S 1 stack rw up to 3 at 0x4000
lane writer: P on cpu0
  write S[1] "v" may fail no-access
  write S[2] "top"
lane mapper: P on cpu1
  map A 1 private rw at 0x2000
  write A "a"
  protect A ro
always
  P:A sees "a"
  P:S[2] sees "top"
outcome grown when P:S[1] sees "v"
outcome stopped otherwise
reach write during protect
reach first-touch during write
"#,
    );
    for rules in RULES {
        assert_eq!(outcomes(&protocol.holds(rules)), ["grown", "stopped"], "{rules}");
    }
}

/// The break takes the page from a lock-free pin, which holds it or finds nothing.
#[test]
fn the_break_that_moves_down_against_a_pin() {
    let protocol = Protocol::new(
        "break-pin",
        r#"
setup
  process P on cpu0
  P: break H 2
  P: write H[1] "old"
lane mover: P on cpu0
  break H 1
  break H 2
lane pinner: P on cpu1
  pin H[1] write longterm as h0 may fail no-access
after
  P: write H[1] "new"
always
  P:H[1] sees "new"
outcome held when h0 sees "old"
outcome fresh when h0 sees "new"
outcome refused otherwise
reach fast-taken during break
reach zapped during fast-pin
"#,
    );
    for rules in RULES {
        assert_eq!(outcomes(&protocol.holds(rules)), ["fresh", "held", "refused"], "{rules}");
    }
}

/// Advice and rights over a hole, beside a fault in what lies behind it.
#[test]
fn advice_over_a_hole_against_a_fault_behind_it() {
    let protocol = Protocol::new(
        "advice-hole",
        r#"
setup
  process P on cpu0
  P: map A 3 private rw
  P: write A[0] "a"
  P: write A[2] "c"
  P: unmap A[1]
lane adviser: P on cpu0
  advise A dontneed fails not-mapped
  protect A ro fails not-mapped
lane writer: P on cpu1
  write A[2] "new"
  read A[0] as r0
always
  P:A[0] sees "0"
outcome kept when P:A[2] sees "new"
outcome dropped when P:A[2] sees "0"
reach write during advise
reach zapped during read
"#,
    );
    for rules in RULES {
        assert_eq!(outcomes(&protocol.holds(rules)), ["dropped", "kept"], "{rules}");
    }
}
