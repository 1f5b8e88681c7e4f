extern crate std;

use std::collections::BTreeSet;
use std::string::ToString;

use super::*;

const PAGE: Pfn = Pfn(3);

#[test]
fn no_two_events_have_one_name() {
    let distinct: BTreeSet<_> = EventKind::NAMES.iter().collect();
    assert_eq!(distinct.len(), EventKind::NAMES.len());
}

#[test]
fn an_event_is_told_with_its_fields_and_its_rule() {
    let restored = EventKind::HintRestored { pfn: PAGE, writable: false };
    assert_eq!(restored.name(), "hint-restored");
    assert_eq!(restored.to_string(), "hint fault: f3 ro");
    let decision = restored.decision().expect("a rule decides on the write bit");
    assert_eq!(decision.rule, Switch::NumaWrite);
    assert_eq!(decision.to_string(), "f3 came back without the write bit");
    assert_eq!(EventKind::Freed(PAGE).decision(), None);
    assert_eq!(EventKind::Spurious.weight(), Weight::Passing);
}
