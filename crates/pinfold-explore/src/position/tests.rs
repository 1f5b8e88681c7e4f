//! The text form.

use super::*;

/// The text with the hash that it needs.
fn sealed(text: &str) -> String {
    format!("{text} #{:x}", Trail::of_text(text))
}

#[test]
fn text_round_trips() {
    for text in [
        "exhaustive 0",
        "exhaustive 1f 1:3:1:0:0:::0: 2:3:3:1:1:1+r7,1+k8x:0,1,4:2:w7,g9s,f9x,u9x,t3s,a2,s4,j1,l",
        "preemptions 0 0 0",
        "preemptions 7 2 5 1:3:2 0,1:1",
        "random 18446744073709551615 5",
        "pct 3 7 0",
        "pct 3 7 5 41",
    ] {
        let position: Position = sealed(text).parse().expect(text);
        assert_eq!(position.to_string(), sealed(text));
    }
}

#[test]
fn changed_text_is_refused() {
    let text = sealed(
        "exhaustive 1f 1:3:1:0:0:::0: 2:3:3:1:1:1+r7,1+k8x:0,1,4:2:w7,g9s,f9x,u9x,t3s,a2,s4,j1,l",
    );
    for at in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
        let changed = String::from_utf8(changed).expect("ASCII");
        assert_eq!(changed.parse::<Position>(), Err(ParsePositionError::Damaged), "{changed}");
        assert_eq!(text[..at].parse::<Position>(), Err(ParsePositionError::Damaged));
    }
}

#[test]
fn errors_name_the_entry() {
    for (text, entry, wrong) in [
        ("exhaustive", 1, ""),
        ("exhaustive x", 1, "x"),
        ("exhaustive 0 1:3:1:0:0:::0: 3:3:3:0:0:::0:", 3, "3:3:3:0:0:::0:"),
        ("exhaustive 0 1:1:1:0:0::0,1:2:", 2, "1:1:1:0:0::0,1:2:"),
        ("exhaustive 0 99:1:1:0:0:::0:", 2, "99:1:1:0:0:::0:"),
        ("exhaustive 0 1:1ffffffff:1:0:0:::0:", 2, "1:1ffffffff:1:0:0:::0:"),
        ("exhaustive 0 1:1:1:0:0:1+k8::0:", 2, "1:1:1:0:0:1+k8::0:"),
        ("preemptions 0 1 maybe", 3, "maybe"),
        ("preemptions 0 1 3 0,1:2", 4, "0,1:2"),
        ("preemptions 0 1 3 :0", 4, ":0"),
        ("random 1", 2, ""),
        ("random 1 2 3", 3, "3"),
        ("pct 2 1 5 0", 4, "0"),
    ] {
        let error = ParsePositionError::Entry { entry, text: wrong.to_owned() };
        assert_eq!(sealed(text).parse::<Position>(), Err(error), "{text}");
    }
    let unknown = ParsePositionError::Search("loom".to_owned());
    assert_eq!(sealed("loom 1").parse::<Position>(), Err(unknown));
}
