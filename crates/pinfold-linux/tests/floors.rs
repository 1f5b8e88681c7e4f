//! The floors that the root of the crate publishes are those that its imports keep to.

#[path = "../../../tests/floors.rs"]
mod floors;

#[test]
fn no_arrow_leads_upwards() {
    println!("{}", floors::check(env!("CARGO_MANIFEST_DIR")));
}
