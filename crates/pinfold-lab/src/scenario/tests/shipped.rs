//! The shipped files.

use super::super::*;
use super::accepted;
use crate::{SCENARIOS, Shipped};

#[test]
fn the_files_are_in_canonical_form() {
    for Shipped { name, text } in SCENARIOS {
        assert_eq!(format(&accepted(text)), *text, "{name}");
    }
}

#[test]
fn no_file_names_a_rule_set() {
    for Shipped { name, text } in SCENARIOS {
        // An address of a source may have the word.
        let mut told = text.lines().filter(|line| !line.starts_with("source "));
        assert!(!told.any(|line| line.contains("linux-")), "{name}");
    }
}
