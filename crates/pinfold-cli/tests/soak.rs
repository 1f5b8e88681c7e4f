//! `pinfold soak` from outside: that it finds bug 215616 where it was and nothing where it was not,
//! its report, and what it says to arguments that cannot be.

use snapbox::cmd::{Command, cargo_bin};
use snapbox::str;

fn soak(arguments: &[&str]) -> Command {
    Command::new(cargo_bin!("pinfold")).arg("soak").args(arguments)
}

/// It ends with the first corruption.
#[test]
fn the_corruption_of_5_9_is_found_and_its_story_told() {
    let told = str![[r#"
FAIL        soak under linux-5.9, seed 0: [..] s
machine     8 processes of 2 threads each, roaming, and 8 devices on 2 nodes with [..] frames
apart       [..]
...
but         [..] not what the process wrote

WHAT        device [..]: process [..], buffer [..], page [..]
...
WHERE       device [..]
...
WHY         [..] ms, process [..]
...

operation                              done  each second      refused       failed      longest
long pin [..]
...
frames      [..] free at the start, [..] at the end; slots in use at the end: 0

"#]];
    let ran = soak(&["--rules", "5.9", "--seconds", "60"]).assert().code(1).stdout_eq(told);
    let text = String::from_utf8_lossy(&ran.get_output().stdout).into_owned();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "pte-cow=ref-count, since 5.9",
        "and the entry of process",
        "So device",
        ", pinned at ",
        "pageout leaves private buffers alone that are pinned",
        "numa_pte_updates ",
        "numa_huge_pte_updates 0",
        "pgmigrate_fail ",
        "no pgpromote_*",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

/// The report's three remedies, each by itself, and the releases that have the cure.
#[test]
fn where_the_bug_is_not_nothing_is_found() {
    for arguments in [
        &["--rules", "5.9", "--without", "balancing"][..],
        &["--rules", "5.9", "--affinity"],
        &["--rules", "5.9,pte-cow=map-count"],
        &["--rules", "5.17"],
        &[],
    ] {
        let ran = soak(arguments).args(["--seconds", "2"]).assert().code(0);
        let text = String::from_utf8_lossy(&ran.get_output().stdout).into_owned();
        assert!(text.starts_with("PASS") && text.contains(" 0 wrong"), "{arguments:?}: {text}");
    }
}

/// What other harms do is kept from buffers by the rules, and strikes where it is asked for.
#[test]
fn other_harms_are_kept_apart_or_strike() {
    let quiet = ["--rules", "5.8", "--without", "balancing,merging,compaction,swap"];
    let ran = soak(&quiet).args(["--seconds", "1"]).assert().code(0);
    let text = String::from_utf8_lossy(&ran.get_output().stdout).into_owned();
    let apart = "apart       children of a fork get no private buffers (DONTFORK)";
    assert!(text.contains(apart) && text.contains("fork-pin=share"), "{text}");
    let ran = soak(&quiet).args(["--seconds", "60", "--other-harms"]).assert().code(1);
    let text = String::from_utf8_lossy(&ran.get_output().stdout).into_owned();
    assert!(!text.contains("apart ") && text.contains("fork: "), "{text}");
    let ran = soak(&["--seconds", "1"]).assert().code(0);
    let text = String::from_utf8_lossy(&ran.get_output().stdout).into_owned();
    assert!(!text.contains("apart "), "the default keeps nothing apart: {text}");
}

#[test]
fn the_document_has_all_that_the_report_says() {
    let arguments = "--rules 5.16 --seconds 60 --format json --processes 4 --devices 2";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let ran = soak(&arguments).assert().code(1);
    let document: serde_json::Value =
        serde_json::from_slice(&ran.get_output().stdout).expect("one document");
    assert_eq!(document["verdict"], "fail");
    assert_eq!((&document["processes"], &document["devices"]), (&4.into(), &2.into()));
    assert_eq!(document["frames"]["free_at_start"], document["frames"]["free_at_end"]);
    assert_eq!(document["slots_at_end"], 0);
    let first = &document["first"];
    assert!(first["device_frame"].is_u64() && first["owner_frame"].is_u64(), "{first}");
    assert_ne!(first["device_frame"], first["owner_frame"]);
    assert!(first["pinned"]["by"].as_str().is_some_and(|by| by.starts_with("process")), "{first}");
    assert!(first["mapped"]["writable"].is_boolean(), "{first}");
    assert_eq!(document["apart"][0]["scenario"], "fork-meets-migration");
    let events = first["events"].as_array().expect("a list");
    let blamed = events.iter().filter_map(|event| event["rule"].as_str());
    assert!(blamed.into_iter().any(|rule| rule.starts_with("pte-cow=ref-count")), "{first}");
    let counted = &document["counted"];
    assert!(counted["numa_hint_faults"].as_u64() > Some(0), "{counted}");

    let quiet = ["--format", "json", "--seconds", "1", "--without", "swap,merging,forks"];
    let ran = soak(&quiet).assert().code(0);
    let document: serde_json::Value =
        serde_json::from_slice(&ran.get_output().stdout).expect("one document");
    assert_eq!(document["first"], serde_json::Value::Null);
    assert_eq!(document["without"], serde_json::json!(["swap", "merging", "forks"]));
    assert_eq!(document["counted"]["merged"], 0);
}

#[test]
fn what_cannot_be_is_refused_with_the_remedy() {
    for (arguments, said) in [
        (&["--processes", "0"][..], "1..=64"),
        (&["--devices", "0"], "1..=64"),
        (&["--devices", "9"], "no more than processes"),
        (&["--nodes", "0"], "1..=8"),
        (&["--frames", "100"], "take fewer processes"),
        (&["--seconds", "0"], "a positive number of seconds"),
        (&["--minutes", "1", "--seconds", "1"], "cannot be used with"),
        (&["--rules", "5.99"], "5.99"),
        (&["--without", "balance"], "balancing, swap, merging, compaction, forks"),
    ] {
        let ran = soak(arguments).assert().code(2);
        let told = String::from_utf8_lossy(&ran.get_output().stderr).into_owned();
        assert!(told.contains(said), "{arguments:?}: {told}");
    }
    // In the form that was asked for.
    let ran = soak(&["--format", "json", "--devices", "9"]).assert().code(2);
    let document: serde_json::Value =
        serde_json::from_slice(&ran.get_output().stdout).expect("one document");
    assert_eq!(document["verdict"], "error");
}

/// What finds no frame is refused, and nothing is lost.
#[test]
fn a_machine_without_frames_goes_on() {
    let ran = soak(&["--frames", "1000", "--seconds", "2", "--format", "json"]).assert();
    let code = ran.get_output().status.code();
    let document: serde_json::Value =
        serde_json::from_slice(&ran.get_output().stdout).expect("one document");
    assert!(matches!(code, Some(0 | 3)), "{document}");
    assert_eq!(document["frames"]["free_at_start"], document["frames"]["free_at_end"]);
}
