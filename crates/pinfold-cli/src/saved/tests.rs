use super::*;

#[test]
fn an_id_is_enough_where_replay_looks_by_itself() {
    let place = |directory: &str| Place { id: "k7m2qxa".to_owned(), directory: directory.into() };
    assert_eq!(place(SAVED).argument(), "k7m2qxa");
    assert_eq!(place("else where").argument(), "'else where/k7m2qxa'");
}
