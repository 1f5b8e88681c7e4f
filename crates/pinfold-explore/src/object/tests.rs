//! Numbering.

use super::*;

#[test]
fn numbers_follow_the_order_of_announcement() {
    let mut objects = Objects::default();
    assert_eq!(objects.number(Kind::Cell, 0x100), 0);
    assert_eq!(objects.number(Kind::Lock, 0x100), 1);
    assert_eq!(objects.number(Kind::Cell, 0x108), 2);
    assert_eq!(objects.number(Kind::Cell, 0x100), 0);
    assert_eq!(objects.place(1), (Kind::Lock, Some(0x100)));
    objects.clear();
    assert_eq!(objects.number(Kind::Cell, 0x108), 0);
}

#[test]
fn a_range_holds_what_lies_in_it() {
    let mut objects = Objects::default();
    for addr in [0x100, 0x104, 0x108, 0xfc] {
        objects.number(Kind::Cell, addr);
    }
    objects.number(Kind::Lock, 0x104);
    assert_eq!(objects.within(0x100, 8).collect::<Vec<_>>(), [0, 1, 4]);
    assert_eq!(objects.within(0x100, 0).count(), 0);
}

#[test]
fn what_lies_where_another_ended_has_a_number_of_its_own() {
    let mut objects = Objects::default();
    assert_eq!(objects.number(Kind::Cell, 0x100), 0);
    assert_eq!(objects.number(Kind::Lock, 0x100), 1);
    objects.end(0);
    assert_eq!(objects.place(0), (Kind::Cell, None));
    assert_eq!(objects.within(0x100, 8).collect::<Vec<_>>(), [1]);
    assert_eq!(objects.number(Kind::Cell, 0x100), 2);
    assert_eq!(objects.number(Kind::Lock, 0x100), 1);
}
