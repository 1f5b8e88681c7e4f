//! The floors of the crate, as its root publishes them.

#[path = "../../../tests/floors.rs"]
mod floors;

#[test]
fn no_arrow_leads_upwards() {
    println!("{}", floors::check(env!("CARGO_MANIFEST_DIR")));
}
