//! Long-term pins move pages out of memory that is set apart for what can move (facts 3.10).

use super::{Protocol, common};
use pinfold_lab::Model;

fn protocol(name: &'static str, lanes: &str) -> Protocol {
    let machine = "machine\nnodes 2\nframes 8\nmovable 2\nmigrate-passes 1\ncpu cpu0 node 0\n\
                   cpu cpu1 node 0\nsetup\nprocess P on cpu0\nP: map A 1 private rw\n\
                   P: write A \"v1\"\n";
    Protocol { name, text: format!("scenario {name}\n{machine}{lanes}") }
}

#[test]
fn a_long_term_pin_that_moves_its_page_against_a_fork() {
    let protocol = protocol(
        "settle-fork",
        "lane driver: P on cpu0\n  pin A write longterm as h0 may fail busy\n\
         lane forker: P on cpu1\n  fork C\nafter\n  P: write A \"v2\"\nalways\n  h0 sees \"v2\"\n  \
         C:A sees \"v1\"\nreach migrated\nreach fork during pin\n",
    );
    protocol.holds_across(&["5.13", "5.18", "6.14", "latest", "pinfold"], &[Model::Weak]);
}

/// The rules that have long-term pins leave such memory, each with another loop.
const RULES: [&str; 4] = ["5.13", "5.18", "6.14", "pinfold"];

/// Each way by itself: the lock-free one stops at such a page, and the other moves it.
fn beside(name: &'static str, lane: &str, rest: &str) -> Protocol {
    let driver = "lane driver: P on cpu0\n  pin A write longterm slow-only as h0 may fail busy\n";
    protocol(name, &format!("{driver}lane other: P on cpu1\n{lane}{rest}reach migrated\n"))
}

#[test]
fn a_long_term_pin_that_moves_its_page_against_its_drop() {
    let lane = "  advise A dontneed\nafter\n  P: read A expect \"0\"\n";
    let rest = "always\n  P:A sees \"0\"\nreach migration-entry during advise\n";
    beside("settle-drop", lane, rest).holds_across(&RULES, &[Model::Weak]);
}

#[test]
fn a_long_term_pin_against_a_move_to_another_node() {
    let lane = "  migrate A to node 1\n";
    let rest = "always\n  P:A sees \"v1\"\nreach migrate during pin\n";
    beside("settle-move", lane, rest).holds_across(&RULES, &[Model::Weak]);
}

fn two_pins() -> Protocol {
    let lane = "  pin A write longterm slow-only as h1 may fail busy\n";
    let rest = "always\n  P:A sees \"v1\"\noutcome pinned when h0 is P:A and h1 is P:A\n\
                outcome one when h0 is P:A\noutcome one when h1 is P:A\noutcome none otherwise\n";
    beside("settle-two", lane, rest)
}

/// Each may refuse the other, and neither waits for ever.
#[test]
fn two_long_term_pins_that_would_both_move_the_page() {
    let protocol = two_pins();
    for rules in RULES {
        let text = std::iter::once((protocol.name.to_owned(), protocol.text.clone()));
        common::searched_some(text, rules, Model::Weak, 3_000);
    }
}

#[test]
#[ignore = "two million executions; run before touching what long-term pins wait for"]
fn two_long_term_pins_to_the_end() {
    two_pins().holds_across(&RULES, &[Model::Weak]);
}
