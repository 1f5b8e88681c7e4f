//! The floors of the crate as its root publishes them, and the checker itself on small crates.

#[path = "../../../tests/floors.rs"]
mod floors;

use std::path::Path;

#[test]
fn no_arrow_leads_upwards() {
    println!("{}", floors::check(env!("CARGO_MANIFEST_DIR")));
}

/// The faults of a crate with two floors: `cellar` below, `attic` and `stairs` above.
fn faults(files: &[(&str, &str)]) -> Vec<String> {
    const TABLE: &str = "//! | floor | rooms | what |\n//! | --- | --- | --- |\n\
        //! | 0 | `cellar` | - |\n//! | 1 | `attic`, `stairs` | - |\n\
        mod attic; mod cellar; mod stairs;\n";
    let read = |path: &Path| {
        let name = path.strip_prefix("src").ok()?.to_str()?;
        let given = files.iter().find(|(given, _)| *given == name).map(|(_, text)| *text);
        match name {
            "lib.rs" => Some(format!("{TABLE}{}", given.unwrap_or_default())),
            "attic.rs" | "cellar.rs" | "stairs.rs" => Some(given.unwrap_or_default().to_owned()),
            _ => given.map(str::to_owned),
        }
    };
    floors::House::read(Path::new("src/lib.rs"), &read).counted().faults
}

#[track_caller]
fn assert_one(files: &[(&str, &str)], part: &str) {
    let faults = faults(files);
    assert!(matches!(&faults[..], [fault] if fault.contains(part)), "{faults:#?}");
}

#[track_caller]
fn assert_none(files: &[(&str, &str)]) {
    let faults = faults(files);
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn an_arrow_upwards_is_found_however_it_is_written() {
    const FOUND: &str = "cellar.rs on floor 0 uses";
    for text in [
        "use crate::attic::Box;",
        "pub(crate) use super::{attic::{Box, Lid as Cover}};",
        "fn open() -> crate::attic::Box { todo!() }",
        "use crate::attic; fn open() -> attic::Box { todo!() }",
        "mod shelf { use super::super::attic::Box; }",
        "macro_rules! new { () => { $crate::attic::Box } }",
        "fn quiet() { let _ = '\"'; crate::attic::Box; let _ = '\"'; }",
        "fn quiet<'a>(_: &'a str) { let _ = r#\"\"\"#; crate::attic::Box; }",
    ] {
        assert_one(&[("attic.rs", "pub struct Box;"), ("cellar.rs", text)], FOUND);
    }
}

#[test]
fn what_is_no_import_is_no_arrow() {
    for text in [
        "//! [`crate::attic::Box`]",
        "/* crate::attic::Box /* and */ crate::attic::Box */",
        "const TEXT: &str = \"crate::attic::Box\";",
        "const TEXT: &str = r#\"crate::attic::\"Box\"#;",
        "#[cfg(test)] mod tests { use crate::attic::Box; }",
        "#[cfg(test)] use crate::attic::Box;",
        "struct Shelf { #[cfg(test)] content: crate::attic::Box, size: usize }",
        "pub(in crate::attic) struct Lid;",
        "use std::attic::Box;",
        "fn open() { let attic = 1; attic.cellar(); }",
    ] {
        assert_none(&[("attic.rs", "pub struct Box;"), ("cellar.rs", text)]);
    }
}

#[test]
fn a_reexport_leads_to_where_the_item_lives() {
    let attic = ("attic.rs", "pub use crate::cellar::Wine; pub struct Box;");
    let door = ("lib.rs", "pub use attic::Box; pub use cellar::*;");
    assert_none(&[
        attic,
        door,
        ("cellar.rs", "pub struct Wine;"),
        ("stairs.rs", "use crate::Wine;"),
    ]);
    let attic = ("attic.rs", "pub struct Box;");
    assert_one(&[attic, door, ("cellar.rs", "use crate::Box;")], "attic.rs on floor 1");
    assert_one(&[("lib.rs", "pub struct Roof;"), ("attic.rs", "use crate::Roof;")], "of the root");
}

#[test]
fn a_circle_on_one_floor_is_found() {
    let stairs = ("stairs.rs", "pub struct Step; use crate::attic::Box;");
    assert_none(&[stairs, ("attic.rs", "pub struct Box;")]);
    assert_one(
        &[stairs, ("attic.rs", "pub struct Box(crate::stairs::Step);")],
        "a circle of 2 files",
    );
    let parts = ("attic/shelf.rs", "use super::Box;");
    assert_none(&[("attic.rs", "mod shelf; pub struct Box;"), parts]);
}

#[test]
fn every_file_has_a_room_and_every_room_a_file() {
    assert_one(&[("lib.rs", "mod garden;"), ("garden.rs", "")], "garden.rs belongs to no room");
    assert_one(&[("lib.rs", "//! | 2 | `tower` | - |")], "the table has a room `tower`");
    let below = [("cellar.rs", "mod vault;"), ("cellar/vault.rs", "use crate::attic::Box;")];
    assert_one(&[("attic.rs", "pub struct Box;"), below[0], below[1]], "vault.rs on floor 0");
}
