//! Texts that are scenarios, and what they mean.

use super::super::*;
use super::{accepted, around};

#[test]
fn every_step_is_read() {
    let scenario = accepted(&around(
        "  P: map B 1 file ro at 0x5_000
           P: write A[1].1 \"a \\\"quoted\\\" word\"
           P: pin A[0..2] write force longterm fast-only as h0
           P: get A read times 1024 as h1
           P: pin A[0] read times 2 slow-only as h2
           P: get A[0] read slow-only as h3
           P: fork C
           C: read A[0] expect \"0\" as r0
           write h0[1] \"v\"
           unpin h0 dirty",
        "  protect A[1] none
           advise A wipeonfork
           numa-scan
           numa-scan A[0]
           numa-scan fails busy
           numa-scan may fail busy
           numa-scan A[0] may fail busy
           numa-tick 0
           numa-tick 1000 expect scan
           numa-tick 0x5dc expect rest
           migrate A to node 1 fails busy
           migrate A to node 1 async
           migrate A to node 1 light may fail busy
           compact A[0] to node 1 sync
           move-pages A to node 1
           move-pages A to node 1 all expect there busy
           move-pages A[0] to node 1 expect absent as s0
           move-pages A[0] to node 1 as s1 fails busy
           mbind A to node 1
           mbind A to node 1 all strict fails busy
           offline node 1
           online node 1 may fail invalid
           writeback A[0] fails invalid
           put h1
           fork D fails out-of-frames
           fork E may fail out-of-frames
           clone F
           vfork G fails exited
           signal go
           await go
           write A[0] \"x\" may fail no-access
           read A[0] may fail exited
           unmap A
           map F 1 private rw at 0x3000 replace
           populate F write
           populate A[0] read fails not-mapped
           mlock F
           munlock F[0] fails not-mapped
           map S 1 stack rw
           map T 2 stack rw up to 8 at 0x2000 replace
           write T[0] \"low\"
           map U 4 hugetlb rw at 0x8000 replace
           write U[3] \"x\" may fail no-huge-page
           break H 4
           break H 0x2 may fail occupied
           write H[3] \"x\" fails no-access
           protect F[0] ro fails too-many-areas
           advise F hugepage
           advise F nohugepage fails invalid
           advise F merge
           advise F unmerge fails out-of-frames
           ksm
           ksm 4
           ksm may fail out-of-frames
           split-folio F[0]
           split-folio A[0] may fail busy
           split-deferred
           clear-refs
           pageout A
           swapoff may fail busy
           reclaim node 0 goal 2
           lru-drain
           lru-drain all
           advise A cold
           collapse A[1] may fail busy
           vm-read P:A[0] expect \"0\"
           vm-read P:A[1] as r1
           vm-write P:A \"v\" fails no-access
           vm-write P:A[0].0 \"w\" may fail exited
           ptrace-read P:A[0] expect \"0\" as r2
           ptrace-write P:A[0..2] \"w\"
           note A as n0
           try-get n0[1] as h4 may fail busy
           get-page h4 as h5
           put h4
           exit",
    ));
    let written: Vec<String> = scenario
        .setup
        .steps
        .iter()
        .chain(&scenario.lanes[0].steps)
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        written,
        [
            "P: map A 2 private rw",
            "P: map B 1 file ro at 0x5000",
            "P: write A[1].1 \"a \\\"quoted\\\" word\"",
            "P: pin A[0..2] write force longterm fast-only as h0",
            "P: get A read times 1024 as h1",
            "P: pin A[0] read slow-only times 2 as h2",
            "P: get A[0] read slow-only as h3",
            "P: fork C",
            "C: read A[0] expect \"0\" as r0",
            "write h0[1] \"v\"",
            "unpin h0 dirty",
            "protect A[1] none",
            "advise A wipeonfork",
            "numa-scan",
            "numa-scan A[0]",
            "numa-scan fails busy",
            "numa-scan may fail busy",
            "numa-scan A[0] may fail busy",
            "numa-tick 0",
            "numa-tick 1000 expect scan",
            "numa-tick 1500 expect rest",
            "migrate A to node 1 fails busy",
            "migrate A to node 1 async",
            "migrate A to node 1 light may fail busy",
            "compact A[0] to node 1 sync",
            "move-pages A to node 1",
            "move-pages A to node 1 all expect there busy",
            "move-pages A[0] to node 1 expect absent as s0",
            "move-pages A[0] to node 1 as s1 fails busy",
            "mbind A to node 1",
            "mbind A to node 1 all strict fails busy",
            "offline node 1",
            "online node 1 may fail invalid",
            "writeback A[0] fails invalid",
            "put h1",
            "fork D fails out-of-frames",
            "fork E may fail out-of-frames",
            "clone F",
            "vfork G fails exited",
            "signal go",
            "await go",
            "write A[0] \"x\" may fail no-access",
            "read A[0] may fail exited",
            "unmap A",
            "map F 1 private rw at 0x3000 replace",
            "populate F write",
            "populate A[0] read fails not-mapped",
            "mlock F",
            "munlock F[0] fails not-mapped",
            "map S 1 stack rw",
            "map T 2 stack rw up to 8 at 0x2000 replace",
            "write T[0] \"low\"",
            "map U 4 hugetlb rw at 0x8000 replace",
            "write U[3] \"x\" may fail no-huge-page",
            "break H 4",
            "break H 2 may fail occupied",
            "write H[3] \"x\" fails no-access",
            "protect F[0] ro fails too-many-areas",
            "advise F hugepage",
            "advise F nohugepage fails invalid",
            "advise F merge",
            "advise F unmerge fails out-of-frames",
            "ksm",
            "ksm 4",
            "ksm may fail out-of-frames",
            "split-folio F[0]",
            "split-folio A[0] may fail busy",
            "split-deferred",
            "clear-refs",
            "pageout A",
            "swapoff may fail busy",
            "reclaim node 0 goal 2",
            "lru-drain",
            "lru-drain all",
            "advise A cold",
            "collapse A[1] may fail busy",
            "vm-read P:A[0] expect \"0\"",
            "vm-read P:A[1] as r1",
            "vm-write P:A \"v\" fails no-access",
            "vm-write P:A[0].0 \"w\" may fail exited",
            "ptrace-read P:A[0] expect \"0\" as r2",
            "ptrace-write P:A[0..2] \"w\"",
            "note A as n0",
            "try-get n0[1] as h4 may fail busy",
            "get-page h4 as h5",
            "put h4",
            "exit",
        ]
    );
    for step in scenario.setup.steps.iter().chain(&scenario.lanes[0].steps) {
        let makes = step.action.makes_handle().is_some();
        assert_eq!(step.action.verb().makes_handle(), makes, "{step}");
    }
}

#[test]
fn a_name_that_a_pin_makes_is_read_through_the_handle() {
    let scenario = accepted(
        "scenario s
         setup
           process P
           P: map A 1 private rw
         lane early: device
           read h0
         lane owner: P
           pin A write as h0
           read h0
           read A
         always
           h0 sees \"0\"",
    );
    assert!(matches!(scenario.lanes[0].steps[0].action, Action::DeviceRead { .. }));
    assert!(matches!(scenario.lanes[1].steps[1].action, Action::DeviceRead { .. }));
    assert!(matches!(scenario.lanes[1].steps[2].action, Action::Read { .. }));
}

#[test]
fn lanes_wait_for_lanes_and_for_signals() {
    let scenario = accepted(
        "scenario s
         setup
           process P
           P: map A 1 private rw
           P: pin A write as h0
         lane last: P on cpu0 after dma
           read A
         lane dma: device after first
           await go
           write h0 \"v\"
           signal done
         lane first: P
           signal go
         lane other: P
           await done
         always
           h0 is P:A",
    );
    let after: Vec<Option<&str>> =
        scenario.lanes.iter().map(|lane| lane.after.as_ref().map(|name| name.as_str())).collect();
    assert_eq!(after, [Some("dma"), Some("first"), None, None]);
    let text = format(&scenario);
    assert!(text.contains("lane last: P on cpu0 after dma\n"), "{text}");
    assert!(text.contains("lane dma: device after first\n  await go\n"), "{text}");
    assert_eq!(accepted(&text), scenario);
    let (read, _) = json::read(&json::write(&scenario).expect("a document")).expect("a scenario");
    assert_eq!(read, scenario);
}

#[test]
fn what_is_not_written_has_a_default() {
    let scenario = accepted(super::shipped_text("rdma-fork"));
    let machine = &scenario.machine;
    assert_eq!(
        (machine.nodes(), machine.frames(), machine.words(), machine.migrate_passes()),
        (1, 12, 1, 10)
    );
    assert_eq!(scenario.cpus(), [("cpu0", 0)]);
    assert_eq!(scenario.cpu_index(None), Some(0));
}

#[test]
fn claims_outcomes_and_reach_are_read() {
    let scenario = accepted(
        "scenario s
         setup
           process P
           P: map A 1 private rw
           P: pin A write as h0
         lane one: P
           read A as r0
           read A as r1
         always
           never r0 \"v2\" and r1 \"v1\"
           h0 never sees \"x\"
           h0 is not P:A
           P:A is not dirty and h0 is dirty
         outcome same when h0 is P:A and r0 \"0\"
         outcome same when r0 \"1\"
         outcome other otherwise
         reach fork during fast-pin
         reach numa-scan during read",
    );
    assert_eq!(scenario.always[0].mode, ClaimMode::Never);
    assert_eq!(scenario.always[0].facts.len(), 2);
    assert_eq!(scenario.always[1].mode, ClaimMode::Holds);
    assert_eq!(scenario.always[1].facts[0].polarity, Polarity::Denied);
    assert!(matches!(scenario.always[2].facts[0].atom, Atom::Is { .. }));
    let [entry, page] = &scenario.always[3].facts[..] else { panic!("two facts") };
    assert_eq!((entry.polarity, page.polarity), (Polarity::Denied, Polarity::Affirmed));
    assert!(matches!(entry.atom, Atom::Dirty { view: View::Process { .. } }));
    assert!(matches!(page.atom, Atom::Dirty { view: View::Handle(_) }));
    assert_eq!(scenario.outcomes[0].when.len(), 2);
    assert!(scenario.outcomes[2].when.is_empty());
    assert_eq!(scenario.reach[0].during.map(|d| d.value), Some(Activity::FastPin));
}

#[test]
fn every_node_points_at_its_word() {
    let source = around("  P: pin A[1] read as h0", "  write A[1] \"v\" fails no-access");
    let scenario = accepted(&source);
    let at = |span: Span| &source[span.range()];
    let Action::Pin { grab, .. } = &scenario.setup.steps[1].action else { panic!("a pin") };
    assert_eq!(at(grab.pages.span.0), "A[1]");
    assert_eq!(at(grab.handle.span), "h0");
    let step = &scenario.lanes[0].steps[0];
    assert_eq!(at(step.span.0), "write A[1] \"v\" fails no-access");
    assert_eq!(step.fails.map(|failure| at(failure.span)), Some("no-access"));
    assert_eq!(at(scenario.always[0].facts[0].span.0), "P:A[0] sees \"0\"");
}

#[test]
fn layout_does_not_matter() {
    let text = super::shipped_text("rdma-fork");
    let other = text.replace("\n  ", "\n\t \t").replace('\n', " \r\n\n");
    assert_eq!(accepted(text), accepted(&other));
}
