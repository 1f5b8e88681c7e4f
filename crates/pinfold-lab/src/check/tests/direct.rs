//! Direct I/O: what the steps do, what other lanes do meanwhile, and what the oracles see of it.

use super::*;

/// A scenario whose setup does these steps, and in which these lanes run.
fn scenario(setup: &str, lanes: &str) -> String {
    format!(
        "
scenario direct
machine
  words 2
  frames 24
  cpu cpu0 node 0
  cpu cpu1 node 0
  file F 2
  file G 1
setup
  process P on cpu0
{setup}
{lanes}
"
    )
}

#[track_caller]
fn runs(setup: &str) {
    for set in ["5.8", "6.4", "6.5", "latest", "pinfold"] {
        let report =
            checked(&scenario(setup, "lane rest: P\n  sync F\noutcome done otherwise"), set);
        assert_eq!(report.verdict, Verdict::Pass, "{set}: {:?}", report.broken);
    }
}

/// The oracles that some execution breaks.
#[track_caller]
fn broken(text: &str, set: &str) -> Vec<String> {
    let scenario = parse(text).expect("scenario");
    let prepared = Prepared::new(&scenario, "test.pf", &rules(set)).expect("it fits");
    let model = Model::Tso;
    let ends = prepared.ends(&CheckOptions::of(Config { model, ..Config::default() }));
    assert_eq!(ends.incomplete, None, "{set}");
    let mut names: Vec<_> = ends.findings.iter().map(|it| it.oracle.to_string()).collect();
    names.dedup();
    names
}

#[test]
fn it_goes_past_the_pages_in_memory_and_they_know() {
    runs(
        "  P: map A 2 private rw
  P: write F[0].0 \"a\"
  P: write F[0].1 \"b\"
  P: write F[1].0 \"c\"
  P: direct-read A from F
  P: read A[0].0 expect \"a\"
  P: read A[0].1 expect \"b\"
  P: read A[1].0 expect \"c\"
  P: write A[0].0 \"x\"
  P: read F[1].0 expect \"c\"
  P: direct-write A[0] to F[1]
  P: read F[1].0 expect \"x\"
  P: read F[1].1 expect \"b\"
  P: map M 2 shared rw of F
  P: read M[1].0 expect \"x\"
  P: write M[1].1 \"m\"
  P: write A[0].0 \"y\"
  P: direct-write A[0].0 to F[1].0
  P: read M[1].0 expect \"y\"
  P: read M[1].1 expect \"m\"
  P: direct-read A[1].1 from F[1].0
  P: read A[1].1 expect \"y\"
  P: read A[1].0 expect \"c\"
  P: direct-write A[1].0 to F[0].1
  P: direct-read M[1] from F[0]
  P: read F[1].1 expect \"c\"
  P: read F[1].0 expect \"a\"",
    );
}

#[test]
fn it_does_what_it_can_where_the_file_or_the_memory_ends() {
    runs(
        "  P: map A 2 private rw
  P: write F[0].0 \"a\"
  P: write F[1].0 \"c\"
  P: write F[1].1 \"cut\"
  P: truncate F 1 words 1
  P: write A[1].1 \"own\"
  P: direct-read A[1].1 from F[1].1 fails past-end
  P: read A[1].1 expect \"own\"
  P: direct-read A from F fails past-end
  P: read A[0].0 expect \"a\"
  P: read A[1].0 expect \"c\"
  P: read A[1].1 expect \"0\"
  P: write A[0].0 \"x\"
  P: direct-write A to F fails past-end
  P: read F[0].0 expect \"a\"
  P: direct-write A[0].0 to F[1].0
  P: read F[1].0 expect \"x\"
  P: truncate F 2
  P: read F[1].1 expect \"0\"
  P: protect A[1] ro
  P: write F[0].0 \"new\"
  P: direct-read A from F fails no-access
  P: read A[0].0 expect \"new\"
  P: read A[1].0 expect \"c\"
  P: direct-write A to F
  P: read F[1].0 expect \"c\"
  P: unmap A[0]
  P: direct-read A[0] from F[1] fails no-access
  P: direct-write A[0] to F[1] fails no-access
  P: map Z 1 private ro
  P: direct-write Z to F[1]
  P: read F[1].0 expect \"0\"",
    );
}

#[test]
fn a_page_that_somebody_holds_is_written_by_memory() {
    for set in ["5.8", "6.4", "6.5", "pinfold"] {
        let setup = "  P: map A 1 private rw
  P: map M 1 shared rw of G
  P: get M read as h0
  P: write A.0 \"a\"
  P: write A.1 \"b\"
  P: direct-write A.1 to G.0
  P: read M.0 expect \"b\"
  P: direct-write A to G";
        let lanes = "lane rest: P
  sync F
always
  h0 sees \"a\" and h0.1 sees \"b\" and h0 is G
  G stores \"a\" and G.1 stores \"b\"";
        let report = checked(&scenario(setup, lanes), set);
        assert_eq!(report.verdict, Verdict::Pass, "{set}: {:?}", report.broken);
    }
}

/// A file that is cut and grows has zeros there, however late a device is: a cut waits for direct
/// I/O, and what begins later finds the end.
#[test]
fn no_device_writes_behind_the_end_of_a_file() {
    let setup = "  P: map A 1 private rw
  P: write A \"late\"";
    let lanes = "lane writer: P on cpu0
  direct-write A to F[1] may fail past-end
lane cutter: P on cpu1
  truncate F 1
after
  P: truncate F 2
  P: read F[1] expect \"0\"
always
  F[1] stores \"0\"
outcome done otherwise
reach truncate during direct-write";
    for set in ["6.4", "6.5"] {
        let report = checked(&scenario(setup, lanes), set);
        assert_eq!(report.verdict, Verdict::Pass, "{set}: {:?}", report.broken);
    }
}

/// The lanes that part a reader from its page, as in `o-direct-fork`; what they claim is nothing.
fn parting(more: &str) -> String {
    let setup = "  P: map A 2 private rw
  P: write F[0].0 \"disk\"
  P: write A[0].0 \"old\"";
    let lanes = format!(
        "lane reader: P on cpu0
  direct-read A[0].0 from F[0].0
lane forker: P on cpu1
  fork C
  write A[0].1 \"y\"
{more}
outcome done otherwise"
    );
    scenario(setup, &lanes)
}

#[test]
fn what_a_read_brought_and_nobody_finds_is_lost() {
    assert_eq!(broken(&parting(""), "6.4"), ["lost-read"]);
    assert_eq!(broken(&parting(""), "6.5"), [""; 0]);
    // It is found where the page has moved to.
    assert_eq!(broken(&parting("  remap A at 0x9000"), "6.4"), ["lost-read"]);
    assert_eq!(broken(&parting("  remap A at 0x9000"), "6.5"), [""; 0]);
    // Who gives the page up, or stores there, does not look for it.
    for more in ["  advise A dontneed", "  unmap A[0]", "  write A[0].0 \"z\"", "  exit"] {
        assert_eq!(broken(&parting(more), "6.4"), [""; 0], "{more}");
    }
}

/// A store beside the read may reach memory after it, though its step was over before.
#[test]
fn a_store_beside_the_read_takes_the_place_of_what_it_brings() {
    let setup = "  P: map A 1 private rw
  P: write F[0].0 \"d\"
  P: write F[0].1 \"e\"";
    let lanes = "lane reader: P on cpu0
  direct-read A from F[0]
lane writer: P on cpu1
  write A.1 \"y\"
outcome y when P:A.0 sees \"d\" and P:A.1 sees \"y\"
outcome e when P:A.0 sees \"d\" and P:A.1 sees \"e\"";
    for (set, model) in [("6.4", Model::Tso), ("pinfold", Model::Weak)] {
        assert_eq!(seen_by_both(&scenario(setup, lanes), set, model), ["e", "y"]);
    }
}

/// A word that its owner has put into a file is nobody's own any more.
#[test]
fn what_comes_by_way_of_a_file_is_no_leak() {
    let setup = "  P: map A 1 private rw
  P: map B 1 private rw
  P: fork C";
    let lanes = "lane owner: P on cpu0
  write A \"told\"
  direct-write A to G
  signal written
lane child: C on cpu1
  await written
  direct-read B from G
  read B expect \"told\"
outcome done otherwise";
    for set in ["5.8", "6.5"] {
        assert_eq!(broken(&scenario(setup, lanes), set), [""; 0], "{set}");
    }
}
