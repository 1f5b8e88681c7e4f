//! Pins and references as steps take them: several at a time, by one path alone, too many.

use super::*;

/// One lane writes while another takes a page and releases nothing.
fn raced(take: &str) -> String {
    format!(
        "scenario raced\nmachine\n  cpu cpu0 node 0\n  cpu cpu1 node 0\n\
         setup\n  process P on cpu0\n  P: map A 1 private rw\n\
         lane writer: P on cpu0\n  write A \"w\"\n\
         lane taker: P on cpu1\n  {take}\n"
    )
}

#[test]
fn references_that_are_taken_together_are_on_one_frame_whatever_becomes_of_the_page() {
    for (take, times) in [
        ("get A read times 2 as h", 2),
        ("get A read times 1024 as h", 1024),
        ("pin A read times 3 as h", 3),
        ("pin A read slow-only times 3 as h", 3),
    ] {
        let text = raced(take) + "outcome same when h is P:A\noutcome parted otherwise\n";
        for model in [Model::Sc, Model::Tso, Model::Weak] {
            for set in ["5.8", "5.9", "pinfold"] {
                let scenario = parse(&text).expect("scenario");
                let options = CheckOptions::of(Config { model, ..Config::default() });
                let report = check(&scenario, "test.pf", &rules(set), &options, &mut |_| {});
                assert_eq!(
                    report.verdict,
                    Verdict::Pass,
                    "{take} {times} {set}: {:?}",
                    report.broken
                );
            }
        }
    }
}

#[test]
fn several_references_cost_the_search_no_more_than_one() {
    let one = checked(&(raced("get A read as h") + "outcome all otherwise\n"), "pinfold");
    let many =
        checked(&(raced("get A read times 1024 as h") + "outcome all otherwise\n"), "pinfold");
    assert_eq!(one.search.executions, many.search.executions);
    assert_eq!(one.search.steps_max, many.search.steps_max);
}

/// Takes `first` and then `second`, which is to fail, and drops both.
fn filled(first: &str, second: &str) -> String {
    format!(
        "scenario filled\nsetup\n  process P\n  P: map A 1 private rw\n  P: write A \"v1\"\n  \
         P: {first} as h0\nlane owner: P\n  {second} as h1 fails too-many-references\n  \
         write A \"v2\"\nlane other: P\n  read A\nalways\n  P:A sees \"v2\"\n"
    )
}

#[test]
fn a_reference_too_many_is_refused_and_the_page_lives_on() {
    for (first, second) in [
        // One reference is that of the entry, and the last one taken may be the first too many.
        ("get A read times 2147483647", "get A read"),
        ("get A read times 2147483647", "pin A write"),
        ("get A read times 2147483647", "get A read slow-only"),
        ("pin A write times 2097152", "pin A write"),
        ("pin A write times 2097152", "get A read"),
        ("pin A write times 2097151", "pin A write times 2"),
        ("pin A write", "pin A write times 2097152"),
        ("get A read", "get A read times 2147483647"),
    ] {
        for set in ["5.8", "5.9", "5.19", "pinfold"] {
            let report = checked(&filled(first, second), set);
            assert_eq!(report.verdict, Verdict::Pass, "{first}, {second}: {:?}", report.broken);
        }
    }
    for (first, second) in [
        ("get A read times 2147483646", "get A read"),
        ("pin A write times 2097151", "pin A write"),
        ("pin A write times 1048576", "pin A write times 1048576"),
    ] {
        let report = checked(&filled(first, second), "pinfold");
        assert_eq!(report.broken.expect("it fits").oracle, Oracle::Step, "{first}, {second}");
    }
}

#[test]
fn the_paths_that_a_step_rules_out_are_not_taken() {
    for (path, taken, other) in
        [("fast-only", "fast-taken", "slow-taken"), ("slow-only", "slow-taken", "fast-taken")]
    {
        for verb in ["pin", "get"] {
            let text = format!(
                "scenario path\nsetup\n  process P\n  P: map A 1 private rw\n  P: write A \"v\"\n\
                 lane one: P\n  {verb} A write {path} as h0\nalways\n  h0 is P:A\n"
            );
            let met = checked(&format!("{text}reach {taken}\n"), "pinfold");
            assert_eq!(met.verdict, Verdict::Pass, "{verb} {path}: {:?}", met.broken);
            for event in [other, if path == "slow-only" { "fast-stop" } else { other }] {
                let missed = checked(&format!("{text}reach {event}\n"), "pinfold");
                assert_eq!(missed.broken.expect("not reached").oracle, Oracle::Vacuous, "{event}");
            }
        }
    }
}

#[test]
fn a_slow_pin_does_not_meet_the_race_of_fork_with_the_lock_free_walk() {
    let text = "
scenario slow
machine
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A \"v1\"
lane forker: P on cpu0
  fork C
lane pinner: P on cpu1
  pin A write longterm as h0
after
  P: write A \"v2\"
always
  h0 is P:A
";
    assert_eq!(checked(text, "5.10").broken.expect("the race").oracle, Oracle::PinCoherence);
    let slow = checked(&text.replace("longterm as", "longterm slow-only as"), "5.10");
    assert_eq!(slow.verdict, Verdict::Pass, "{:?}", slow.broken);
}

/// An owner who pins a page, does something, and moves it: over another page of his at 0x9000.
fn moved(sharing: &str, then: &str, (to, after): (&str, &str)) -> String {
    format!(
        "scenario moved\nmachine\n  frames 12\n  cpu cpu0 node 0\n  cpu cpu1 node 0\n  file F 1\n\
         setup\n  process P on cpu0\n  P: map A 1 {sharing}\n  P: write A \"v1\"\n  \
         P: map B 1 private rw at 0x9000\n  P: write B \"b\"\n\
         lane owner: P on cpu0\n  pin A read longterm as h0\n{then}  remap A at {to}\n{after}\
         outcome done otherwise\n"
    )
}

#[test]
fn a_page_that_was_given_up_is_not_looked_for_where_the_mapping_moves() {
    for (sharing, then, after) in [
        ("private rw", "  advise A dontneed\n  write A \"v2\"\n", ""),
        ("private rw", "  advise A dontneed\n", "  write A \"v2\"\n"),
        ("private rw", "", "  advise A dontneed\n  write A \"v2\"\n"),
        ("shared rw of F", "  punch F[0]\n  write A \"v2\"\n", ""),
        ("shared rw of F", "  punch F[0]\n", "  write A \"v2\"\n"),
    ] {
        let report = checked(&moved(sharing, then, ("0xa000", after)), "pinfold");
        assert_eq!(report.verdict, Verdict::Pass, "{then}{after}: {:?}", report.broken);
    }
}

/// What lay in the new place was zapped for it, which gives nothing up of the page that moves.
#[test]
fn a_page_that_is_lost_is_missed_where_the_mapping_moves() {
    let parts = "  fork C\n  write A \"v2\"\n";
    for (then, after) in [(parts, ""), ("", parts)] {
        let report = checked(&moved("private rw", then, ("0x9000", after)), "5.8");
        let found = report.broken.map(|broken| broken.oracle);
        assert_eq!(found, Some(Oracle::PinCoherence), "{then}{after}");
    }
}

/// In a random search a pin without a lock may read the entry as it was before a zap that has
/// begun: then the pin was first, and the page is given up under it.
#[test]
fn a_pin_that_reads_an_entry_as_it_was_is_older_than_the_zap() {
    for (machine, maps) in [
        ("hugetlb 16", "P: map A 4 hugetlb rw\n"),
        ("thp pmd", "P: map A 4 private rw\n  P: advise A hugepage\n"),
    ] {
        let text = format!(
            "scenario older\nmachine\n  frames 128\n  {machine}\n  cpu cpu0 node 0\n  \
             cpu cpu1 node 0\nsetup\n  process P on cpu0\n  {maps}  P: write A[1] \"w1\"\n\
             lane toucher: P on cpu0\n  write A[1] \"w2\"\n  pin A[1] read as h0\n\
             lane driver: P on cpu1\n  pin A[1] write longterm as h1\n\
             lane dropper: P on cpu0\n  advise A dontneed\noutcome done otherwise\n"
        );
        let search = Strategy::Pct { depth: 2, seed: 0, runs: 2_000 };
        let options = CheckOptions::of(Config { model: Model::Tso, search, ..Config::default() });
        let scenario = parse(&text).expect("scenario");
        let report = check(&scenario, "test.pf", &rules("pinfold"), &options, &mut |_| {});
        assert!(report.broken.is_none(), "{machine}: {:?}", report.broken);
    }
}

/// A page that is given up before the pin excuses nothing, though the frame is the same again.
#[test]
fn what_was_given_up_before_the_pin_excuses_no_parting() {
    let text = "scenario parted\nsetup\n  process P\n  P: map A 1 private rw\n  \
                P: write A \"v0\"\n  P: note A as n0\n  P: advise A dontneed\n  P: write A \"v1\"\n  \
                P: pin A write longterm as h0\n  P: protect A ro\n  P: protect A rw\n\
                lane owner: P\n  write A \"v2\"\nalways\n  n0 is h0\n";
    let found = |set| checked(text, set).broken.map(|broken| broken.oracle);
    assert_eq!(found("5.9"), Some(Oracle::PinCoherence));
    assert_eq!(found("pinfold"), None);
}
