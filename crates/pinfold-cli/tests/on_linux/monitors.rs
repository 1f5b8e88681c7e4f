//! Monitors of userfaultfds on a real kernel: they do what the language says, whoever sleeps for
//! one is known, and nothing is left of who sleeps for ever.

use std::time::{Duration, Instant};

use pinfold_linux::Agent;
use pinfold_linux::job::{Ask, Conduct, Features, Say};

use super::{PLAIN, agent, agree_or_say_why_not, are_gone, plan};

#[test]
fn incidents_of_monitors_agree_or_say_why_not() {
    let names = [
        "uffd-postcopy",
        "uffd-minor",
        "uffd-fork",
        "uffd-fork-event",
        "uffd-remap",
        "uffd-remap-event",
        "uffd-wp-absent",
        "uffd-wp-device",
        "uffd-wp-pin",
        "uffd-wp-populated",
        "uffd-wp-unpopulated",
    ];
    agree_or_say_why_not(&names, "10");
}

/// Every step of a monitor with every way to find its end; one that does otherwise is trouble.
const MONITOR: &str = "scenario monitor
machine
  words 2
  file F 1 memory
  file G 1
setup
  process P
  P: map A 3 private rw
  P: map S 1 shared rw of F
  P: map B 1 shared rw of G
  P: uffd-copy A[0] \"x\" fails invalid
  P: uffd-register A[0..2] missing
  P: uffd-protect A[0] fails invalid
  P: uffd-register A[0] minor fails invalid
  P: uffd-register B missing fails invalid
  P: uffd-copy A[0].1 \"x\"
  P: read A[0].1 expect \"x\"
  P: read A[0].0 expect \"0\"
  P: uffd-copy A[0] \"x\" fails occupied
  P: uffd-zero A[0] fails occupied
  P: uffd-zero A[1]
  P: read A[1] expect \"0\"
  P: uffd-continue A[1] fails invalid
  P: uffd-copy A[0] \"x\" wp fails invalid
  P: uffd-register S missing wp minor
  P: uffd-continue S fails no-access
  P: uffd-zero S
  P: uffd-zero S fails occupied
  P: read F expect \"0\"
  P: uffd-protect S
  P: read S expect \"0\"
  P: uffd-unprotect S
  P: write S \"s\"
  P: unmap A[1]
  P: uffd-copy A[1] \"x\" fails invalid
  P: uffd-register A[1] missing fails not-mapped
  P: uffd-unregister S
  P: uffd-continue S fails invalid
  P: uffd-register A[2] missing
lane one: P
  read A[0].1 as r0
always
  r0 \"x\"
  F sees \"s\"
  P:A[2] sees \"0\"
";

#[test]
fn monitors_do_what_the_language_says() {
    let mut agent = agent(20);
    let features = agent.features();
    // WP of files came with 5.19, after all the rest.
    if features.no_uffd.is_some() || features.no_files.is_some() || is_before(features, (5, 19)) {
        return;
    }
    assert_eq!(agent.ask(&plan(MONITOR)), Ok(Say::Understood));
    match agent.ask(&Ask::Trial(Conduct::Whole(vec![0]))) {
        Ok(Say::Seen(seen)) => {
            assert!(seen.failed.is_empty(), "{seen:?}");
            // Nobody gives the last page any more, so nobody finds it.
            let is: Vec<_> = seen.facts.iter().map(|found| found.is).collect();
            assert_eq!(is, [Some(true), Some(true), Some(false)], "{seen:?}");
        }
        other => panic!("{other:?}"),
    }
}

fn is_before(features: &Features, release: (u32, u32)) -> bool {
    let mut numbers = features.release.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < release
}

/// Nobody may give what is read, and a look at the end of all that is the only thing left.
const ASLEEP: &str = "scenario asleep
setup
  process P
  P: map A 2 private rw
  P: uffd-register A missing
lane one: P
  read A[0] as r0
  read A[0] as r1
lane two: P
  read A[1] as r2
lane three: P
  uffd-wait A[0] missing
  uffd-copy A[0] \"x\"
after
  P: read A[1]
always
  r0 \"x\"
  r1 \"x\"
";

#[test]
fn a_step_that_waits_for_ever_is_told_and_nothing_is_left() {
    let mut agent = agent(5);
    if agent.features().no_uffd.is_some() {
        return;
    }
    assert_eq!(agent.ask(&plan(ASLEEP)), Ok(Say::Understood));
    let mut failed = |order: &[usize]| match agent.ask(&Ask::Trial(Conduct::Whole(order.into()))) {
        Ok(Say::Seen(seen)) => {
            let failed = seen.failed.into_iter();
            failed.map(|failed| format!("{}: {}", failed.step, failed.what)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    // The monitor's steps come when they can, and lane one goes on.
    assert_eq!(failed(&[2, 2, 1, 0, 0]), ["read A[1] as r2: it waits for ever"]);
    let both = ["read A[0] as r0: it waits for ever", "read A[1] as r2: it waits for ever"];
    assert_eq!(failed(&[1, 0, 0]), both);
    let alone = "P: read A[1]: it waits for a monitor, and nothing else runs";
    assert_eq!(failed(&[2, 0, 2, 0]), [alone]);
    assert_eq!(failed(&[2]), ["uffd-wait A[0] missing: it waits for ever"]);
    let begun = Instant::now();
    let answer = agent.ask(&Ask::Trial(Conduct::Free { seed: 3 }));
    assert!(matches!(&answer, Ok(Say::Trouble(why)) if why.contains("hangs")), "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert_eq!(agent.ask(&plan(PLAIN)), Ok(Say::Understood));
    assert!(matches!(agent.ask(&Ask::Trial(Conduct::Whole(vec![0, 0]))), Ok(Say::Seen(_))));
    assert!(are_gone(agent.id().expect("its number")));
}

/// A fault that begins just when its range is unregistered.
const UNREGISTERS: &str = "scenario unregisters
machine
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P
  P: map A 1 private rw
  P: uffd-register A missing
lane one: P on cpu0
  read A as r0
lane two: P on cpu1
  uffd-unregister A
always
  r0 \"0\"
";

#[test]
fn nobody_sleeps_where_nothing_is_registered() {
    let mut agent = agent(5);
    if agent.features().no_uffd.is_some() {
        return;
    }
    assert_eq!(agent.ask(&plan(UNREGISTERS)), Ok(Say::Understood));
    for seed in 0..200 {
        match agent.ask(&Ask::Trial(Conduct::Free { seed })) {
            Ok(Say::Seen(seen)) => assert!(seen.failed.is_empty(), "{seen:?}"),
            other => panic!("{other:?}"),
        }
    }
}
