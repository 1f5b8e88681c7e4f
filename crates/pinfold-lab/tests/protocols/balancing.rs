//! Ticks of NUMA balancing against each other, and against hinting faults (facts 4.7).

use super::Protocol;

fn protocol(name: &'static str, lanes: &str) -> Protocol {
    let setup = "setup\nprocess P on cpu0\nP: map A 1 private rw\nP: write A \"old\"\n\
                 P: numa-tick 0\n";
    Protocol::new(name, &format!("{setup}{lanes}"))
}

/// One of the two scans; who comes later than a period scans, too, after the first.
#[test]
fn two_ticks_at_once() {
    let lanes = "lane one: P on cpu0\nnuma-tick 1000\nlane two: P on cpu1\nnuma-tick 1000\n\
                 numa-tick 2000\nread A\nafter\nP: write A \"new\"\nP: numa-tick 2000\n\
                 always\nP:A sees \"new\"\nreach numa-look during numa-tick\nreach hint-fault\n";
    let protocol = protocol("tick-tick", lanes);
    for rules in ["5.8", "6.5", "pinfold"] {
        protocol.holds(rules);
    }
}

/// Hinting faults tell the balancer of use while it changes its period.
#[test]
fn a_tick_beside_a_hinting_fault_and_a_store() {
    let lanes = "lane scanner: P on cpu0\nnuma-tick 1000\nnuma-tick 2000\n\
                 lane user: P on cpu1\nwrite A \"new\"\n\
                 always\nP:A sees \"new\"\nreach numa-look during write\nreach hint-fault\n";
    let protocol = protocol("tick-fault", lanes);
    for rules in ["5.8", "6.5", "pinfold"] {
        protocol.holds(rules);
    }
}
