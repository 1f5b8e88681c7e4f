//! The text form.

use super::*;

#[test]
fn text_round_trips() {
    let text = "1,1,2,2.1,12.3";
    let schedule: Schedule = text.parse().expect("valid");
    assert_eq!(schedule.to_string(), text);
    assert_eq!(schedule.switches(), 2);
    assert_eq!(schedule.steps()[3], Choice { lane: 1, choice: 1 });
    assert_eq!("".parse::<Schedule>(), Ok(Schedule::default()));
}

#[test]
fn errors_name_the_entry() {
    for (text, entry) in [("1,x", 2), ("0", 1), ("1,,2", 2), ("1,2.", 2), ("1.-1", 1)] {
        let error = text.parse::<Schedule>().expect_err(text);
        assert_eq!(error.entry, entry, "{text}");
    }
}
