//! Migration and NUMA hinting against writes and fork (facts 4).

use super::Protocol;

fn move_shared() -> Protocol {
    Protocol::new(
        "move-shared",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
  P: fork C
lane mover: P on cpu1
  migrate A to node 1
lane child: C on cpu0
  write A "child"
always
  P:A sees "old"
  C:A sees "child"
reach migration-entry during write
reach wait-migration
reach migrated
reach migration-busy
"#,
    )
}

#[test]
fn migration_of_a_page_that_two_processes_map_against_their_writes() {
    for rules in ["pinfold", "5.19", "5.16"] {
        move_shared().holds(rules);
    }
}

#[test]
#[ignore = "a third of a million executions; run before a change of migration"]
fn migration_of_a_page_that_two_processes_map_by_counts_of_mappings() {
    move_shared().holds("5.8");
}

/// The device's store comes before the unpin, and the copy behind the comparison that no longer
/// finds the pin.
#[test]
fn what_a_device_has_written_moves_along() {
    let protocol = Protocol::new(
        "move-device",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
lane mover: P on cpu1
  migrate A to node 1
lane pinner: P on cpu0
  pin A write as h0
  write h0 "dev"
  unpin h0 dirty
always
  P:A sees "dev"
reach migrated
reach migration-busy
"#,
    );
    for rules in ["pinfold", "5.16", "5.8"] {
        protocol.holds(rules);
    }
}

#[test]
fn migration_against_fork_leaves_no_entry_behind() {
    let protocol = Protocol::new(
        "move-fork",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
lane mover: P on cpu1
  migrate A to node 1
lane forker: P on cpu0
  fork C
after
  P: write A "new"
always
  P:A sees "new"
  C:A sees "old"
reach migration-entry during fork
reach migrated
reach fork-shared during migrate
"#,
    );
    for rules in ["pinfold", "5.19", "5.16", "5.8"] {
        protocol.holds(rules);
    }
}

#[test]
fn a_hinting_fault_against_a_scan_and_a_write() {
    let protocol = Protocol::new(
        "hint-write",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
lane sibling: P on cpu1
  read A
lane scanner: P on cpu0
  numa-scan
lane writer: P on cpu0
  write A "new"
always
  P:A sees "new"
reach numa-protected
reach hint-fault
reach migrated
reach migration-entry during numa-scan
reach wait-migration
"#,
    );
    for rules in ["pinfold", "6.2", "5.16", "5.9", "5.8"] {
        protocol.holds(rules);
    }
}
