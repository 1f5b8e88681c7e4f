use super::*;

#[test]
fn the_first_step_with_an_alternative_is_told() {
    let ahead = |steps: &[usize]| match open(steps.iter().copied()) {
        Ahead::Alternatives { open, from, depth } => (open, from, depth),
        other => panic!("{other:?}"),
    };
    assert_eq!(ahead(&[]), (0, 0, 0));
    assert_eq!(ahead(&[0, 0, 0]), (0, 3, 3));
    assert_eq!(ahead(&[0, 2, 0, 1]), (3, 2, 4));
}
