use super::*;

#[test]
fn ids_are_stable_and_seven_letters() {
    // A fixed value: if this changes, ids in old bug reports stop matching.
    assert_eq!(id(&["scenario", "linux-5.16", "1", "0.0.1"]), "tgncjvn");
    assert_eq!(id(&[]).len(), 7);
}

#[test]
fn ids_tell_where_parts_end() {
    assert_ne!(id(&["ab", "c"]), id(&["a", "bc"]));
    assert_ne!(id(&["ab"]), id(&["ab", ""]));
}

#[test]
fn every_verdict_has_its_own_exit_code() {
    use Verdict::*;
    let codes: Vec<u8> = [Pass, Fail, Error, Partial, Skip].map(Verdict::exit_code).to_vec();
    assert_eq!(codes, [0, 1, 2, 3, 4]);
}

#[test]
fn names_in_json_are_kebab_case() {
    let row = Row {
        step: Some(3),
        lane: Some(0),
        kind: RowKind::Switch,
        text: String::new(),
        state: None,
        cited: true,
    };
    let text = serde_json::to_string(&row).unwrap();
    assert!(text.contains(r#""kind":"switch""#), "{text}");
    assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), row);
}
