use super::*;
use pinfold::Rules;
use pinfold_lab::scenario::parse;
use pinfold_lab::{Order, SCENARIOS, Shipped, run};

fn as_written(scenario: &str) -> Report {
    let scenario = parse(scenario).expect("it parses");
    run(&scenario, "x.pf", &Rules::default(), Order::AsWritten)
}

fn shipped(name: &str) -> &'static str {
    Shipped::find(SCENARIOS, name).expect("it ships").text
}

/// The texts that are drawn.
fn texts(picture: &str) -> Vec<&str> {
    let drawn = picture.split("</text>").filter_map(|part| part.rsplit_once('>'));
    drawn.map(|(_, text)| text).collect()
}

#[test]
fn lanes_are_over_time_and_the_machine_is_shown_before_and_after() {
    let picture = picture(&as_written(shipped("rdma-fork-get")));
    let texts = texts(&picture);
    for said in [
        "parent",
        "fork C",
        "write A &quot;v2&quot;",
        "The machine before the lanes start",
        "The machine at the end",
        "claim: h0 sees &quot;v2&quot;; found &quot;v1&quot;",
    ] {
        assert!(texts.contains(&said), "{said}: {texts:?}");
    }
    // The device leads to one frame before, and to one that its owner has left after.
    assert_eq!(picture.matches("<path class=\"device\"").count(), 2);
    assert_eq!(texts.iter().filter(|text| **text == "h0").count(), 2);
}

#[test]
fn what_has_a_meaning_in_xml_is_spelled_out() {
    let scenario = shipped("rdma-fork").replace("\"v2\"", "\"<v&2>\"");
    let picture = picture(&as_written(&scenario));
    assert!(picture.contains("write A &quot;&lt;v&amp;2&gt;&quot;"), "{picture}");
    assert!(!picture.contains("<v"), "{picture}");
    let mut report = as_written(shipped("rdma-fork"));
    report.scenario.title = Some("a\u{1}b\u{fffe}<".to_owned());
    let picture = super::picture(&report);
    assert!(picture.contains("a\\u{1}b") && picture.contains("&lt;"), "{picture}");
    assert!(!picture.contains(['\u{1}', '\u{fffe}']));
}

#[test]
fn nothing_is_drawn_beyond_the_edge_however_many_lanes_there_are() {
    let lanes = (0..12).map(|lane| format!("lane with-a-rather-long-name-{lane}: P\n  read A\n\n"));
    let head = "scenario many\n\nsetup\n  process P\n  P: map A 1 private rw\n\n";
    let scenario = format!("{head}{}always\n  P:A sees \"0\"\n", lanes.collect::<String>());
    let picture = picture(&as_written(&scenario));
    let number = |part: &str| part.split('"').next().and_then(|number| number.parse().ok());
    let width: usize = picture.split("width=\"").nth(1).and_then(number).expect("a width");
    for part in picture.split("<text x=\"").skip(1) {
        let x: usize = number(part).expect("a place");
        let said = part.split_once('>').and_then(|(_, rest)| rest.split('<').next());
        let said = said.expect("a text").replace("&quot;", "\"");
        assert!(x + across(super::super::text::width(&said)) <= width, "{said} at {x} of {width}");
    }
    assert!(picture.matches("with-a-rather").count() >= 12);
}

#[test]
fn what_was_never_run_has_a_head_alone() {
    let mut report = as_written(shipped("rdma-fork"));
    report.trace = None;
    let picture = picture(&report);
    assert!(picture.contains("rdma-fork under pinfold") && !picture.contains("The machine"));
}
