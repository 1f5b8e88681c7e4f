//! Moves of pages of files, against who shows, writes, pins, takes out and writes them back
//! (facts 4.5). INV-MIG-8.

use super::{Protocol, common};
use pinfold_lab::Model;

fn on_file(name: &'static str, pages: u32, body: &str) -> Protocol {
    let machine = "machine\nnodes 2\nframes 12\nmigrate-passes 1\ncpu cpu0 node 0\ncpu cpu1 node 1";
    Protocol { name, text: format!("scenario {name}\n{machine}\nfile F {pages}\n{body}\n") }
}

/// A page of shared memory moves beside another lane; `rest` is what follows that lane's steps.
fn beside(name: &'static str, more_setup: &str, lane: &str, rest: &str) -> Protocol {
    let body = format!(
        r#"
setup
  process P on cpu0
  P: map A 1 shared rw of F
  P: write A "old"
  {more_setup}
lane mover: P on cpu1
  migrate A to node 1
lane {lane}
{rest}"#
    );
    on_file(name, 1, &body)
}

/// Under weak, whose executions are those of the other models, too.
fn holds_by_all(protocol: &Protocol) {
    for rules in ["5.8", "5.19", "pinfold"] {
        protocol.holds(rules);
    }
}

#[test]
fn a_store_of_another_process_is_not_lost() {
    holds_by_all(&beside(
        "listed-store",
        "P: fork C",
        "writer: C on cpu0",
        r#"  write A "new"
always
  P:A sees "new"
  F sees "new"
reach migration-entry during write
reach migrated
"#,
    ));
}

#[test]
fn what_is_written_back_is_what_was_stored() {
    holds_by_all(&beside(
        "listed-sync",
        "",
        "cleaner: P on cpu0",
        r#"  sync F
after
  P: write A "new"
  P: sync F
always
  F stores "new"
reach migrated
reach written-back during migrate
"#,
    ));
}

#[test]
fn a_hole_takes_the_page_on_the_move() {
    holds_by_all(&beside(
        "listed-hole",
        "",
        "puncher: P on cpu0",
        r#"  punch F
  read A as r0
always
  r0 "0"
  F sees "0"
reach migration-entry during punch
reach migrated
"#,
    ));
}

#[test]
fn a_pin_keeps_the_page_or_finds_the_new_one() {
    holds_by_all(&beside(
        "listed-pin",
        "",
        "pinner: P on cpu0",
        r#"  pin A write as h0
  write h0 "dev"
  unpin h0 dirty
always
  P:A sees "dev"
  F sees "dev"
reach migrated
reach migration-busy
"#,
    ));
}

#[test]
fn a_private_mapping_and_its_child_go_on_to_show_the_file() {
    holds_by_all(&on_file(
        "listed-fork",
        2,
        r#"
setup
  process P on cpu0
  P: map A 2 private rw of F
  P: read A[0]
  P: write A[1] "own"
lane mover: P on cpu1
  migrate A[0] to node 1
lane forker: P on cpu0
  fork C
after
  P: write A[0] "new"
always
  P:A[0] sees "new"
  C:A[0] sees "0"
  C:A[1] sees "own"
reach migrated
reach migration-entry during fork
"#,
    ));
}

/// What moves a page: without waiting, as a hinting fault; waiting for locks, as compaction; for
/// the end of a writeback, too, as move_pages. Each makes one pass here.
const MOVERS: [(&str, &str, &str); 3] = [
    ("hinted", "P: sync F\nP: numa-scan A", "read A as r1"),
    ("light", "", "compact A to node 1"),
    ("sync", "", "migrate A to node 1"),
];

/// By each of them, beside another lane, which knows nothing of the mover's entry.
fn by_each_mover(name: &str, (more_setup, lane): (&str, &str), rest: &str) {
    for (mode, setup, step) in MOVERS {
        let name: &'static str = format!("listed-{name}-{mode}").leak();
        let body = format!(
            "setup\nprocess P on cpu0\nP: map A 1 shared rw of F\nP: write A \"old\"\n\
             {more_setup}\n{setup}\nlane mover: P on cpu1\n{step}\nlane {lane}\n\
             reach migrated\n{rest}"
        );
        holds_by_all(&on_file(name, 1, &body));
    }
}

#[test]
fn a_read_of_the_file_finds_what_was_stored_before_the_move_and_after_it() {
    let reader = "reader: P on cpu0\nread F[0] as r0\nread F[0] as r2\nalways\nr0 \"old\"\n\
                  r2 \"old\"\nP:A sees \"old\"";
    by_each_mover("pread", ("", reader), "");
}

#[test]
fn a_write_to_the_file_is_not_lost_on_the_way() {
    let writer = "writer: P on cpu0\nwrite F[0] \"new\"\nalways\nP:A sees \"new\"\n\
                  F sees \"new\"";
    by_each_mover("pwrite", ("", writer), "");
}

#[test]
fn another_mapping_that_faults_shows_the_page_that_the_file_has() {
    let child = ("P: fork C", "other: C on cpu0\nread A as r0\nalways\nr0 \"old\"\nC:A is F");
    by_each_mover("fault", child, "");
    let private = (
        "P: fork C\nC: map B 1 private rw of F",
        "other: C on cpu0\nwrite B \"own\"\nalways\nC:B sees \"own\"\nF sees \"old\"",
    );
    by_each_mover("copy", private, "");
}

/// INV-MIG-9: the fourth pass of a light move looks while a writeback begins, and gives up or
/// moves.
#[test]
fn a_light_move_beside_a_writeback_that_begins() {
    let rest = "  sync F\nalways\n  F stores \"old\"\n  P:A sees \"old\"\nreach migrated\n\
                reach written-back during compact\n";
    let mut protocol = beside("listed-light", "", "cleaner: P on cpu0", rest);
    let steps = [("migrate-passes 1", "migrate-passes 4"), ("migrate A", "compact A")];
    for (from, to) in steps {
        protocol.text = protocol.text.replace(from, to);
    }
    for rules in ["5.8", "pinfold"] {
        let text = std::iter::once((protocol.name.to_owned(), protocol.text.clone()));
        common::searched_some(text, rules, Model::Weak, 3_000);
    }
}

/// The fourth pass sleeps for the page that is written, and then has the list first. To the end it
/// is 1,453,480 executions, with a writeback.
#[test]
fn a_pass_that_sleeps_has_the_list_before_the_page() {
    for (name, lane) in [("listed-sleep", "sync F"), ("listed-sleep-punch", "punch F[0..1]")] {
        let kept = if name == "listed-sleep" { "old" } else { "0" };
        let rest = format!("  {lane}\nalways\n  F sees \"{kept}\"\nreach migrated\n");
        let mut protocol = beside(name, "", "other: P on cpu0", &rest);
        protocol.text = protocol.text.replace("migrate-passes 1", "migrate-passes 4");
        let text = std::iter::once((protocol.name.to_owned(), protocol.text));
        common::searched_some(text, "pinfold", Model::Weak, 3_000);
    }
}
