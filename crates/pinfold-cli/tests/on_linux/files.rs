//! Files, direct I/O and what one process does to another's memory, on this kernel.

use pinfold_linux::job::{Ask, Conduct, Say};
use pinfold_linux::{Agent, Process};

use super::{agent, agree_or_say_why_not, plan};

#[test]
fn incidents_of_files_agree_or_say_why_not() {
    let names = ["shared-file-pin", "private-snapshot", "memfd-registered", "file-pin"];
    agree_or_say_why_not(&names, "5");
}

#[test]
fn incidents_of_direct_io_agree_or_say_why_not() {
    let names = [
        "o-direct-child",
        "o-direct-dontfork",
        "o-direct-fork",
        "o-direct-stale-cache",
        "o-direct-write-fork",
    ];
    agree_or_say_why_not(&names, "5");
}

#[test]
fn incidents_of_remote_access_agree_or_say_why_not() {
    agree_or_say_why_not(&["process-vm-fork", "ptrace-fork", "dirty-cow-shmem"], "5");
}

/// Every step on a file, with every way to find its end; one that does otherwise is trouble, since
/// it stands in `setup`.
const FILES: &str = "scenario files
machine
  words 2
  file F 2
  file M 1 memory
setup
  process P
  P: map A 3 shared rw of F
  P: map B 1 private rw of F from 1
  P: map C 2 shared rw of M
  P: write F[1] \"v\"
  P: read A[1] expect \"v\"
  P: read B expect \"v\"
  P: write B \"own\"
  P: write A[0] \"w\"
  P: read F[0] expect \"w\"
  P: sync F
  P: writeback A
  P: writeback B
  P: read A[2] fails past-end
  P: write A[2] \"x\" fails past-end
  P: read F[2] fails past-end
  P: write F[2] \"x\" fails past-end
  P: mlock A fails past-end
  P: munlock A
  P: get A[2] read as g0 fails past-end
  P: get C write as g1 fails past-end
  P: truncate F 1 words 1
  P: read F[1].0 expect \"v\"
  P: read F[1].1 fails past-end
  P: read B expect \"own\"
  P: truncate F 1
  P: read B fails past-end
  P: truncate F 3
  P: read A[1] expect \"0\"
  P: read B expect \"0\"
  P: punch F[0]
  P: read A[0] expect \"0\"
  P: read F[0] expect \"0\"
  P: write M \"m\"
  P: read C[0] expect \"m\"
  P: punch M
lane one: P
  read C[0] as r0
always
  r0 \"0\"
  M sees \"0\"
  F[2] never sees \"w\"
";

#[test]
fn files_are_what_the_language_says() {
    let mut agent = agent(20);
    let features = agent.features().clone();
    if features.no_files.is_some() || features.no_punch.is_some() {
        return;
    }
    assert_eq!(agent.ask(&plan(FILES)), Ok(Say::Understood));
    // The second trial finds the files as the first one did.
    for _ in 0..2 {
        match agent.ask(&Ask::Trial(Conduct::Whole(vec![0]))) {
            Ok(Say::Seen(seen)) => {
                assert!(seen.failed.is_empty(), "{seen:?}");
                let is: Vec<_> = seen.facts.iter().map(|found| found.is).collect();
                assert_eq!(is, [Some(true), Some(true), Some(false)], "{seen:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Direct I/O with every way to find an end, against what is in memory.
const DIRECT: &str = "scenario direct
machine
  words 2
  file F 2
setup
  process P
  P: map A 2 private rw
  P: map M 2 shared rw of F
  P: write F[0].0 \"a\"
  P: write F[0].1 \"b\"
  P: write F[1].0 \"c\"
  P: direct-read A from F
  P: read A[0].0 expect \"a\"
  P: read A[0].1 expect \"b\"
  P: read A[1].0 expect \"c\"
  P: write A[0].0 \"x\"
  P: direct-write A[0] to F[1]
  P: read F[1].0 expect \"x\"
  P: read M[1].1 expect \"b\"
  P: write M[1].1 \"m\"
  P: write A[0].0 \"y\"
  P: direct-write A[0].0 to F[1].0
  P: read M[1].0 expect \"y\"
  P: read M[1].1 expect \"m\"
  P: direct-read A[1].1 from F[1].0
  P: read A[1].1 expect \"y\"
  P: read A[1].0 expect \"c\"
  P: truncate F 1 words 1
  P: write A[1].1 \"own\"
  P: direct-read A[1].1 from F[1].1 fails past-end
  P: read A[1].1 expect \"own\"
  P: direct-read A from F fails past-end
  P: read A[0].0 expect \"a\"
  P: read A[1].0 expect \"y\"
  P: read A[1].1 expect \"0\"
  P: direct-write A to F fails past-end
  P: direct-write A[0].0 to F[1].0
  P: read F[1].0 expect \"a\"
  P: truncate F 2
  P: read F[1].1 expect \"0\"
  P: protect A[1] ro
  P: write F[0].0 \"new\"
  P: direct-read A from F fails no-access
  P: read A[0].0 expect \"new\"
  P: read A[1].0 expect \"y\"
  P: direct-write A to F
  P: read F[1].0 expect \"y\"
  P: unmap A[0]
  P: direct-read A[0] from F[1] fails no-access
  P: direct-write A[0] to F[1] fails no-access
  P: map Z 1 private ro
  P: direct-write Z to F[1]
  P: read M[1].0 expect \"0\"
  P: get M[0] read as held
  P: map B 1 private rw
  P: write B \"by memory\"
  P: direct-write B to F[0]
  P: put held
lane one: P
  read M[0] as r0
always
  r0 \"by memory\"
  F[0] sees \"by memory\"
";

#[test]
fn direct_io_does_what_the_language_says() {
    let mut agent = agent(20);
    let (no_pages, no_sectors) = agent.features().no_direct.clone();
    if no_pages.is_some() || no_sectors.is_some() {
        return;
    }
    does_what_it_says(&mut agent, DIRECT);
}

/// The memory of another process, by both ways, with every way to be refused.
const REMOTE: &str = "scenario remote
machine
  words 2
  file F 1 memory
setup
  process P
  P: fork Q
  P: fork R
  P: map A 3 private rw
  P: map T 1 private ro of F
  P: write A[0].0 \"a\"
  P: write F \"text\"
  Q: vm-read P:A[0] expect \"a\"
  Q: vm-write P:A[0].1 \"b\"
  P: read A[0].1 expect \"b\"
  P: read A[0].0 expect \"a\"
  Q: ptrace-read P:A[0].1 expect \"b\"
  Q: vm-write P:A[0..2] \"c\"
  P: read A[0].0 expect \"c\"
  P: read A[1].0 expect \"c\"
  Q: vm-read P:A[2] expect \"0\"
  P: fork C
  Q: vm-write P:A[0] \"d\"
  C: read A[0] expect \"c\"
  P: read A[0] expect \"d\"
  C: vm-write P:A[1] \"e\"
  C: vm-read P:A[1] expect \"e\"
  C: read A[1] expect \"c\"
  P: protect A[1] none
  Q: vm-read P:A[1] fails no-access
  Q: vm-write P:A \"f\" fails no-access
  P: read A[0] expect \"f\"
  P: read A[2] expect \"0\"
  Q: ptrace-read P:A[1] expect \"e\"
  Q: ptrace-write P:A \"g\"
  P: read A[2] expect \"g\"
  P: protect A[1] rw
  P: read A[1] expect \"g\"
  Q: vm-write P:T \"x\" fails no-access
  Q: vm-read P:T expect \"text\"
  Q: ptrace-write P:T \"int3\"
  P: read T expect \"int3\"
  P: read F expect \"text\"
  P: unmap A[1]
  Q: vm-write P:A \"h\" fails no-access
  P: read A[0] expect \"h\"
  P: read A[2] expect \"g\"
  Q: vm-read P:A[1] fails no-access
  Q: ptrace-write P:A \"i\" fails no-access
  P: read A[0] expect \"i\"
  Q: ptrace-read P:A[1] fails no-access
  R: map B 1 private rw
  R: exit
  Q: vm-read R:B fails exited
  Q: vm-write R:B \"j\" fails exited
  Q: ptrace-read R:B fails exited
  Q: ptrace-write R:B \"j\" fails exited
lane one: P
  read A[2] as r0
always
  r0 \"g\"
  F sees \"text\"
";

#[test]
fn remote_access_does_what_the_language_says() {
    let mut agent = agent(20);
    let features = agent.features();
    if features.no_process_vm.is_some() || features.no_ptrace.is_some() {
        return;
    }
    does_what_it_says(&mut agent, REMOTE);
}

/// Asserts that no step of a text does otherwise than it says.
fn does_what_it_says(agent: &mut Process, text: &str) {
    assert_eq!(agent.ask(&plan(text)), Ok(Say::Understood));
    for _ in 0..2 {
        match agent.ask(&Ask::Trial(Conduct::Whole(vec![0]))) {
            Ok(Say::Seen(seen)) => {
                assert!(seen.failed.is_empty(), "{seen:?}");
                assert!(seen.facts.iter().all(|found| found.is == Some(true)), "{seen:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}
