use super::*;

fn names(list: &str) -> Vec<String> {
    several(&[list.to_owned()]).unwrap().into_iter().map(|set| set.name).collect()
}

#[test]
fn an_override_joins_the_set_before_it() {
    assert_eq!(
        names("5.9, 5.10,numa-skip=never ,fork-pin=share,latest"),
        ["5.9", "5.10,numa-skip=never,fork-pin=share", "latest"]
    );
}

#[test]
fn an_override_may_stand_alone() {
    assert_eq!(names("numa-skip=never"), ["numa-skip=never"]);
}

#[test]
fn all_is_every_preset_once() {
    assert_eq!(names("all"), PRESETS);
    assert_eq!(names("5.9,all").len(), PRESETS.len());
}

#[test]
fn an_override_behind_all_joins_every_preset() {
    let names = names("all,numa-skip=never");
    assert_eq!(names.len(), PRESETS.len());
    assert!(names.iter().all(|name| name.ends_with(",numa-skip=never")), "{names:?}");
}

#[test]
fn a_set_that_is_not_understood_is_named() {
    let failure = several(&["5.9,5.10,numa-skip=maybe".to_owned()]).unwrap_err();
    assert!(failure.to_string().contains("`5.10,numa-skip=maybe`"), "{failure}");
}

#[test]
fn nothing_between_commas_is_refused() {
    assert!(several(&["5.9,,5.10".to_owned()]).is_err());
}
