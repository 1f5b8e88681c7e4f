//! Clocks keep their components while they grow.

use super::*;

#[test]
fn what_is_wider_still_holds_what_it_held() {
    let mut clocks = Clocks::default();
    clocks.widen(2);
    clocks.reset(2);
    clocks.row_mut(0).copy_from_slice(&[1, 2]);
    clocks.push(&[3, 4]);
    clocks.widen(3);
    assert_eq!(
        (clocks.row(0), clocks.row(1), clocks.row(2)),
        (&[1, 2, 0][..], &[0; 3][..], &[3, 4, 0][..])
    );
    clocks.widen(1);
    clocks.join_within(1, 2);
    clocks.grow(4);
    assert_eq!((clocks.rows(), clocks.width(), clocks.row(1)), (4, 3, &[3, 4, 0][..]));
    clocks.truncate(1);
    assert_eq!(clocks.rows(), 1);
}
