//! `pinfold pressure` from outside: its report through a pipe, its exit status, and what it says to
//! arguments that cannot be.

use snapbox::cmd::{Command, cargo_bin};
use snapbox::str;
use std::fs;
use std::path::Path;

fn pressure(arguments: &[&str]) -> Command {
    Command::new(cargo_bin!("pinfold")).arg("pressure").args(arguments)
}

/// A second of work on the smallest machine.
const SHORT: [&str; 6] = ["--seconds", "1", "--frames", "256", "--threads", "2"];

#[test]
fn the_report_is_one_table_and_its_accounts() {
    let told = str![[r#"
PASS        pressure under pinfold, seed 0: [..] s, 2 threads
machine     4 processes of 192 pages each on 256 frames
swap        1,632 slots in memory, at most [..] in use

operation                              done  each second      refused       failed      longest
load [..]
...
last look at a page [..]
load of a file [..]
...

words       [..] words held against what their writer wrote, 0 wrong
pages       [..]
...
device      0 reads and 0 writes failed on purpose, 0 by themselves
frames      255 free at the start, 255 at the end; slots in use at the end: 0
zones       node 0 DMA32: 128 frames, marks 2, 8 and 16, [..]
...

"#]];
    pressure(&SHORT).assert().success().stdout_eq(told);
}

#[test]
fn a_swap_file_is_gone_and_the_document_says_what_failed() {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pressure.swap");
    let _ = fs::remove_file(&place);
    let file = place.to_str().expect("the path is UTF-8");
    let more = ["--fail-every", "20", "--swap-file", file, "--format", "json"];
    let ran = pressure(&SHORT).args(more).assert().success();
    let document: serde_json::Value =
        serde_json::from_slice(&ran.get_output().stdout).expect("one document");
    assert_eq!(document["verdict"], "pass");
    assert_eq!(document["swap"]["medium"], "file");
    assert_eq!(document["frames"]["free_at_start"], document["frames"]["free_at_end"]);
    assert!(document["swap"]["transfers"]["reads_failed"].as_u64() > Some(0), "{document}");
    assert!(!place.exists());
}

#[test]
fn a_word_that_is_lost_is_a_failure() {
    let told = str![[r#"
FAIL        pressure under linux-5.8, seed 0: [..] s, 2 threads
machine     4 processes of 192 pages each on 256 frames
swap        1,632 slots in memory, at most [..] in use
but         [..] words are not what their writer wrote
wrong       page [..]
...
"#]];
    pressure(&SHORT).args(["--rules", "5.8"]).assert().code(1).stdout_eq(told);
}

#[test]
fn what_cannot_be_is_refused_with_the_remedy() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for (arguments, said) in [
        (&["--frames", "100"][..], "256..=1048576"),
        (&["--threads", "0"], "1..=32"),
        (&["--processes", "0"], "1..=256"),
        (&["--fail-every", "1"], "--fail-every"),
        (&["--seconds", "0"], "a positive number of seconds"),
        (&["--minutes", "1", "--seconds", "1"], "cannot be used with"),
        (&["--rules", "5.99"], "5.99"),
        (&["--frames", "256", "--processes", "64"], "fewer processes or threads"),
        (&["--swap-file", file], "names a file that there is not yet"),
        (&["--swap-file", "/nowhere/there"], "in a directory that can be written"),
    ] {
        let ran = pressure(arguments).assert().code(2);
        let told = String::from_utf8_lossy(&ran.get_output().stderr).into_owned();
        assert!(told.contains(said), "{arguments:?}: {told}");
    }
    assert!(Path::new(file).exists(), "a file that is there stays");
}
