//! Huge pages on this kernel: the incidents, and single steps against what the model says of them.

use std::fs;
use std::path::Path;

use super::{agree_or_say_why_not, pinfold, text};

#[test]
fn incidents_of_huge_pages_agree_or_say_why_not() {
    let names = [
        "collapse-races-pin",
        "huge-fault-races-dontneed",
        "hugetlb-child",
        "pmd-split-races-write",
        "thp-pin-fork-pmd",
        "vmsplice-leak-thp",
    ];
    agree_or_say_why_not(&names, "5");
}

/// Steps on huge pages, each with its only outcome.
const HUGE: &[(&str, &str)] = &[
    ("write A[1] \"v\"", "P:A[0] is huge and P:A[3] is large and P:A[1] sees \"v\""),
    ("read A[1]", "P:A[0] is huge and P:A[3] is large and P:A[1] sees \"0\""),
    ("read A[1]\n  write A[0] \"v\"", "P:A[3] is huge and P:A[0] sees \"v\""),
    ("get A[1] read as h0\n  write A[1] \"v\"", "P:A[1] is huge and h0 sees \"0\""),
    ("write A[0] \"v\"\n  advise A[3] dontneed", "P:A[0] is not huge and P:A[0] is large"),
    ("write A[0] \"v\"\n  advise A[3] dontfork", "P:A[3] is not huge and P:A[3] is large"),
    ("write A[0] \"v\"\n  protect A ro", "P:A[0] is huge and P:A[0] sees \"v\""),
    ("write A[0] \"v\"\n  protect A[1] ro", "P:A[0] is not huge and P:A[1] is large"),
    (
        "advise A nohugepage\n  write A[0] \"v\"\n  advise A hugepage\n  collapse A[2]",
        "P:A[0] is huge and P:A[0] sees \"v\" and P:A[3] is large",
    ),
    (
        "advise A nohugepage\n  write A[0] \"v\"\n  collapse A[0] fails invalid",
        "P:A[0] is not large and P:A[0] sees \"v\"",
    ),
    ("collapse A[0] fails no-access", "P:A[0] is not huge"),
    (
        "advise A nohugepage\n  write A[0] \"v\"\n  advise A hugepage\n  get A[0] read as h0\n  \
         collapse A[0] fails busy",
        "h0 is P:A[0] and P:A[0] is not large",
    ),
];

#[test]
fn huge_pages_do_what_the_language_says() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("huge");
    fs::create_dir_all(&folder).expect("a directory");
    let mut files = Vec::new();
    for (at, (steps, outcome)) in HUGE.iter().enumerate() {
        let file = folder.join(format!("huge-{at}.pf"));
        let text = format!(
            "scenario huge-{at}\nmachine\n  frames 60\n  thp pmd\nsetup\n  process P\n  \
             P: map A 4 private rw\n  P: advise A hugepage\nlane l: P\n  {steps}\n\
             outcome as-said when {outcome}\noutcome other otherwise\n"
        );
        fs::write(&file, text).expect("a file");
        files.push(file);
    }
    let rest = ["--on", "linux", "--trials", "3", "--no-save"];
    let mut command = vec!["check"];
    command.extend(files.iter().map(|file| file.to_str().expect("a path in UTF-8")));
    let ran = pinfold(&[&command[..], &rest[..]].concat());
    let told = text(&ran.stdout);
    for at in 0..HUGE.len() {
        let name = format!("huge-{at}");
        let line = told.lines().find(|line| line.split_whitespace().nth(1) == Some(&name));
        let line = line.unwrap_or_else(|| panic!("{name}: {told}{}", text(&ran.stderr)));
        let agrees = line.starts_with("AGREE") && line.contains("as-said");
        assert!(agrees || line.starts_with("SKIP") || line.starts_with("WITHIN"), "{told}");
    }
}
