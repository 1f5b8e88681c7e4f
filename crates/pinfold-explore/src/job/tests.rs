//! The text form.

use super::*;

#[test]
fn text_round_trips() {
    for text in
        ["", "1,1,2.1", "1,2;1+r4", "1,1,2.1;1+w4,1+r4,3+k2x", "runs 0+1", "runs 300+100/41"]
    {
        let job: Job = text.parse().expect("valid");
        assert_eq!(job.to_string(), text);
    }
    assert_eq!("".parse(), Ok(Job::default()));
}

#[test]
fn errors_name_the_entry() {
    for (text, entry) in [
        ("1;0+l", "0+l"),
        ("1;2+l,x", "x"),
        ("1;2+7", "2+7"),
        ("1;99+l", "99+l"),
        ("1;2+k7", "2+k7"),
        ("1;2", "2"),
    ] {
        assert_eq!(text.parse::<Job>(), Err(ParseJobError::Sleeper(entry.to_owned())), "{text}");
    }
    for text in ["", "1", "1+0", "x+1", "1+2/", "1+2/0", "18446744073709551615+1"] {
        let error = ParseJobError::Runs(text.to_owned());
        assert_eq!(format!("runs {text}").parse::<Job>(), Err(error), "{text}");
    }
    assert!(matches!("0;1".parse::<Job>(), Err(ParseJobError::Prefix(_))));
}
