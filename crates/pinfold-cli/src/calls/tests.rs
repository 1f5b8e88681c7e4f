//! The table against the rules, the language, what ships, and the page.

use super::{Call, Hold};
use crate::render::calls::releases;
use pinfold::Rules;
use pinfold::rules::{Interface, Release};
use pinfold_lab::scenario::parse;
use pinfold_lab::{SCENARIOS, Shipped};
use snapbox::{assert_data_eq, file};

const HEAD: &str = "\
# System calls and pages

Which system call, or use of one, takes what on the pages of a process, release by release; the
words of the [scenario language](scenario-language.md) that stand for it; and what makes it safe
with fork. `pinfold calls` lists them, `pinfold calls o-direct` shows one. This page is written from
the table in `crates/pinfold-cli/src/calls.rs`.

*get* is an ordinary reference (FOLL_GET), *pin* one that says that it is a pin (FOLL_PIN, since
5.6; forks look for it since 5.9), *notifier* no reference at all: what changes the address space
tells the follower first. *long* is FOLL_LONGTERM or what came before it, *short* ends with the call
or the transfer; *fast* is the way without locks, *slow* the one with them. *writing* is about the
memory: a read of a file writes to memory. The marks are those of the
[fact sheet](facts-linux.md#01-evidence); M is from memory and not verified.
";

/// A file in which each word of the table can stand.
fn around(word: &str) -> String {
    let held = if word.starts_with("put ") { "get A write as h0" } else { "pin A write as h0" };
    let (before, child) = match word.split(' ').next() {
        Some("unpin" | "put") => (format!("  P: {held}\n"), ""),
        Some("unfollow") => ("  P: follow A as h0\n  P: follow A as vm\n".to_owned(), ""),
        Some("vfork") => (String::new(), "lane child: C\n  exec\n"),
        _ => (String::new(), ""),
    };
    format!(
        "scenario s\nmachine\n  file F 1\nsetup\n  process P\n  P: fork Q\n  P: map A 1 private rw\n\
         {before}lane one: P\n  {word}\n{child}outcome all otherwise\n"
    )
}

/// INV-CALLS-2.
#[test]
fn inv_calls_2_every_word_is_a_step_of_the_language() {
    for call in Call::ALL {
        for word in call.words {
            let text = around(word);
            assert!(parse(&text).is_ok(), "{}: `{word}` in\n{text}", call.name);
        }
    }
    assert!(parse(&around("pinn A write as h0")).is_err());
}

/// INV-CALLS-1.
#[test]
fn inv_calls_1_the_table_says_what_the_rules_say() {
    for (name, switch) in [("o-direct", "direct-io"), ("process-vm", "process-vm")] {
        let call = Call::named(name).expect("a call");
        for release in Release::all() {
            let rules = Rules::linux(&release.to_string()).expect("a release");
            let begun = |from: &str| from.parse::<Release>().is_ok_and(|from| from <= release);
            let Some(era) = call.eras.iter().rev().find(|era| begun(era.from)) else { continue };
            assert_eq!(rules.get(switch), Ok(era.hold.name()), "{name} in {release}");
        }
    }
    for call in Call::ALL {
        for era in call.eras.iter().filter(|era| era.hold == Hold::Pin) {
            let rules = Rules::linux(era.from).expect("a release");
            assert!(Interface::PinUserPages.exists(&rules), "{}: {}", call.name, era.from);
        }
    }
}

#[test]
fn a_call_is_found_however_it_is_written() {
    let named = |name: &str| Call::named(name).map(|call| call.name);
    for (written, name) in [
        ("RDMA", "rdma"),
        ("o_direct", "o-direct"),
        ("O_DIRECT", "o-direct"),
        ("libaio", "o-direct"),
        ("amdgpu", "gpu"),
        ("i915", "gpu"),
        ("io_uring", "io-uring-buffers"),
        ("process_vm_readv", "process-vm"),
    ] {
        assert_eq!(named(written), Some(name), "{written}");
    }
    assert_eq!(named("read"), None);
    assert_eq!(Call::meant("vmsplic"), Some("vmsplice"));
    assert_eq!(Call::meant("rmda"), Some("rdma"));
    assert_eq!(Call::meant("quite-another"), None);
}

#[test]
fn histories_are_in_order_and_names_are_unique() {
    let mut names: Vec<&str> = Vec::new();
    for call in Call::ALL {
        names.push(call.name);
        names.extend(call.also);
        let from: Vec<Release> =
            call.eras.iter().map(|era| era.from.parse().expect("a release")).collect();
        assert!(!from.is_empty() && from.is_sorted_by(|a, b| a < b), "{}", call.name);
    }
    let mut names: Vec<String> = names.into_iter().map(super::folded).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// INV-CALLS-3.
#[test]
fn inv_calls_3_every_scenario_ships() {
    for call in Call::ALL {
        assert!(!call.scenarios.is_empty(), "{}", call.name);
        for name in call.scenarios {
            assert!(Shipped::find(SCENARIOS, name).is_some(), "{}: {name}", call.name);
        }
    }
}

/// Prose at one width.
fn folded(text: &str) -> String {
    crate::render::text::fold(text, 100, 0).join("\n")
}

#[test]
fn the_page_is_written_from_the_table() {
    let mut page = HEAD.to_owned();
    for call in Call::ALL {
        page += &format!("\n## {}\n\n{}.\n\n", call.name, folded(call.title));
        page += "| releases | takes | how | evidence |\n| --- | --- | --- | --- |\n";
        for (at, era) in call.eras.iter().enumerate() {
            let releases = releases(call.eras, at);
            page += &format!("| {releases} | {} | {} | {} |\n", era.hold.name(), era.how, era.mark);
        }
        page += &format!("\n```text\n{}\n```\n\n", call.words.join("\n"));
        page += &format!("{}\n\n", folded(&format!("With fork: {}", call.fork)));
        let link = |name: &&str| format!("[`{name}`](../scenarios/{name}.pf)");
        let links: Vec<String> = call.scenarios.iter().map(link).collect();
        let shown = format!("Shown by {}; facts {}.", links.join(", "), call.facts);
        page += &format!("{}\n", folded(&shown));
    }
    assert_data_eq!(page, file!["../../../../docs/system-calls.md"].raw());
}
