//! Long-term pins move pages out of memory that is set apart for what can move (facts 3.10).

use super::Protocol;
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
