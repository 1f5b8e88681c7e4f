use alloc::collections::BTreeMap;
use alloc::format;

use super::*;

/// Ranges are drawn from this many pages, few enough that neighbours often touch.
const PAGES: u64 = 1500;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Area {
    start: u64,
    end: u64,
    tag: u64,
}

impl Span for Area {
    fn start(&self) -> u64 {
        self.start
    }

    fn end(&self) -> u64 {
        self.end
    }
}

fn area(start: u64, end: u64) -> Area {
    Area { start, end, tag: start }
}

fn tree(ranges: &[(u64, u64)]) -> AreaTree<Area> {
    let mut tree = AreaTree::new();
    for &(start, end) in ranges {
        tree.insert(area(start, end)).expect("a free range");
    }
    check(&tree);
    tree
}

/// Marsaglia's xorshift: good enough to pick operations.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// The same map, by exhaustive search.
#[derive(Default)]
struct Oracle(BTreeMap<u64, Area>);

impl Oracle {
    fn at_or_after(&self, page: u64) -> Option<&Area> {
        self.0.values().find(|area| area.end > page)
    }

    fn before(&self, page: u64) -> Option<&Area> {
        self.0.values().rev().find(|area| area.end <= page)
    }

    fn overlaps(&self, start: u64, end: u64) -> bool {
        self.0.values().any(|area| area.start.max(start) < area.end.min(end))
    }

    /// The free ranges within `low..high`, ascending.
    fn gaps(&self, low: u64, high: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut from = low;
        for area in self.0.values() {
            gaps.push((from, area.start.min(high)));
            from = from.max(area.end);
        }
        gaps.push((from, high));
        gaps
    }

    fn lowest_gap(&self, pages: u64, low: u64, high: u64) -> Option<u64> {
        let fits = |gap: &&(u64, u64)| gap.1.saturating_sub(gap.0) >= pages;
        self.gaps(low, high).iter().find(fits).map(|gap| gap.0)
    }

    fn highest_gap(&self, pages: u64, low: u64, high: u64) -> Option<u64> {
        let fits = |gap: &&(u64, u64)| gap.1.saturating_sub(gap.0) >= pages;
        self.gaps(low, high).iter().rev().find(fits).map(|gap| gap.1 - pages)
    }
}

/// INV-TREE-1 to INV-TREE-5, each derived again from the ranges and kids alone.
fn check<T: Span>(tree: &AreaTree<T>) {
    let spans = &tree.spans;
    assert_eq!(spans.nodes.len(), tree.values.len(), "INV-TREE-4");
    let mut order = Vec::new();
    if let Some(root) = spans.root {
        assert_eq!(spans.node(root).parent, None, "INV-TREE-5");
        check_subtree(tree, root, &mut order);
    }
    assert_eq!(order.len(), spans.nodes.len(), "INV-TREE-5");
    assert!(order.is_sorted_by(|below, above| below.1 <= above.0), "INV-TREE-1");
}

fn check_subtree<T: Span>(tree: &AreaTree<T>, slot: Slot, order: &mut Vec<(u64, u64)>) -> u8 {
    let node = tree.spans.node(slot);
    let own = (node.own[Side::Low], node.own[Side::High]);
    assert!(own.0 < own.1, "INV-TREE-1");
    let value = tree.value(slot);
    assert_eq!(own, (value.start(), value.end()), "INV-TREE-4");

    let first = order.len();
    let below = |side, order: &mut _| {
        node.kids[side].map_or(0, |kid| {
            assert_eq!(tree.spans.node(kid).parent, Some(slot), "INV-TREE-5");
            check_subtree(tree, kid, order)
        })
    };
    let low = below(Side::Low, order);
    order.push(own);
    let high = below(Side::High, order);
    assert!(low.abs_diff(high) <= 1, "INV-TREE-2");

    let subtree = &order[first..];
    let gap = subtree.windows(2).map(|pair| pair[1].0 - pair[0].1).max().unwrap_or(0);
    let reach = (subtree[0].0, subtree[subtree.len() - 1].1);
    let height = low.max(high) + 1;
    assert_eq!((node.reach[Side::Low], node.reach[Side::High]), reach, "INV-TREE-3");
    assert_eq!((node.gap, node.height), (gap, height), "INV-TREE-3");
    height
}

fn compare_lookups(tree: &AreaTree<Area>, oracle: &Oracle, random: &mut Random) {
    let page = random.below(PAGES + 20);
    let other = random.below(PAGES + 20);
    let containing = oracle.at_or_after(page).filter(|area| area.start <= page);
    assert_eq!(tree.find(page), containing);
    assert_eq!(tree.at_or_after(page), oracle.at_or_after(page));
    assert_eq!(tree.before(page), oracle.before(page));
    assert_eq!(tree.overlaps(page, other), oracle.overlaps(page, other));
    let from = oracle.at_or_after(page).map_or(u64::MAX, |area| area.start);
    assert!(tree.iter_from(page).eq(oracle.0.range(from..).map(|(_, area)| area)));
    for pages in [1, 2, 1 + random.below(12), 1 + random.below(PAGES)] {
        for (low, high) in [(0, PAGES), (page, other), (page, u64::MAX), (0, other)] {
            let found = (tree.lowest_gap(pages, low, high), tree.highest_gap(pages, low, high));
            let lowest = oracle.lowest_gap(pages, low, high);
            assert_eq!(found, (lowest, oracle.highest_gap(pages, low, high)));
        }
    }
}

fn insert_both(tree: &mut AreaTree<Area>, oracle: &mut Oracle, area: Area) {
    if oracle.overlaps(area.start, area.end) {
        assert_eq!(tree.insert(area), Err(InsertError::Overlap(area)));
    } else {
        assert_eq!(tree.insert(area), Ok(()));
        oracle.0.insert(area.start, area);
    }
}

/// Moves both ends of a random area as far as its neighbours allow, at most a few pages.
fn resize_both(tree: &mut AreaTree<Area>, oracle: &mut Oracle, page: u64, random: &mut Random) {
    let Some(&old) = oracle.at_or_after(page) else {
        assert!(!tree.resize(page, |_| unreachable!("no such area")));
        return;
    };
    let floor =
        oracle.before(old.start).map_or(0, |area| area.end).max(old.start.saturating_sub(4));
    let ceiling = oracle.at_or_after(old.end).map_or(PAGES, |area| area.start).min(old.end + 4);
    let start = floor + random.below(old.end - floor);
    let end = start + 1 + random.below(ceiling - start);
    assert!(tree.resize(old.start, |area| (area.start, area.end) = (start, end)));
    oracle.0.remove(&old.start);
    oracle.0.insert(start, Area { start, end, ..old });
}

fn random_run(seed: u64, operations: u64, longest: u64) {
    let mut random = Random(seed);
    let (mut tree, mut oracle) = (AreaTree::new(), Oracle::default());
    for tag in 0..operations {
        let page = random.below(PAGES);
        // Phases of growth and of decay, so that large and small trees are both met.
        let growing = tag / 500 % 2 == 0;
        match random.below(10) {
            0..2 => resize_both(&mut tree, &mut oracle, page, &mut random),
            2 => {
                if let Some(area) = tree.find_mut(page) {
                    area.tag = tag;
                    let start = area.start;
                    oracle.0.entry(start).and_modify(|area| area.tag = tag);
                }
            }
            choice if (choice < 9) == growing => {
                let end = (page + 1 + random.below(longest)).min(PAGES);
                insert_both(&mut tree, &mut oracle, Area { start: page, end, tag });
            }
            _ => {
                let start = oracle.at_or_after(page).map_or(page, |area| area.start);
                assert_eq!(tree.remove(start), oracle.0.remove(&start));
            }
        }
        assert_eq!(tree.len(), oracle.0.len());
        check(&tree);
        compare_lookups(&tree, &oracle, &mut random);
    }
}

#[test]
fn random_operations_agree_with_an_ordered_map() {
    random_run(0x9e37_79b9_7f4a_7c15, 6000, 6);
}

#[test]
fn random_operations_on_crowded_pages_agree_with_an_ordered_map() {
    random_run(0x2545_f491_4f6c_dd1d, 6000, 2);
}

#[test]
fn random_operations_on_long_ranges_agree_with_an_ordered_map() {
    random_run(0xd1b5_4a32_d192_ed03, 6000, 120);
}

/// Calls `run` with each order of `items`.
fn permutations(items: &mut [u64], fixed: usize, run: &mut impl FnMut(&[u64])) {
    if fixed == items.len() {
        return run(items);
    }
    for at in fixed..items.len() {
        items.swap(fixed, at);
        permutations(items, fixed + 1, run);
        items.swap(fixed, at);
    }
}

#[test]
fn every_order_of_six_inserts_survives_the_removal_of_any() {
    // Gaps of 1, 2, 4, ... pages, so that each position has a summary of its own.
    let start = |nth: u64| nth + (1 << nth);
    permutations(&mut [0, 1, 2, 3, 4, 5], 0, &mut |order| {
        for victim in 0..6 {
            let mut tree = AreaTree::new();
            for &nth in order {
                tree.insert(area(start(nth), start(nth) + 1)).unwrap();
            }
            check(&tree);
            assert_eq!(tree.remove(start(victim)).map(|area| area.tag), Some(start(victim)));
            check(&tree);
            let left = tree.iter_from(0).map(|area| area.start);
            assert!(left.eq((0..6).filter(|nth| *nth != victim).map(start)));
        }
    });
}

#[test]
fn ascending_and_descending_inserts_stay_shallow() {
    let (mut up, mut down) = (AreaTree::new(), AreaTree::new());
    for nth in 0..4096 {
        up.insert(area(2 * nth, 2 * nth + 1)).unwrap();
        down.insert(area(2 * (4095 - nth), 2 * (4095 - nth) + 1)).unwrap();
    }
    for tree in [&up, &down] {
        check(tree);
        let height = tree.spans.root.map(|root| tree.spans.node(root).height);
        assert_eq!(height, Some(13));
    }
}

#[test]
fn reserved_inserts_take_no_memory() {
    let mut tree = tree(&[(0, 1), (2, 3), (4, 5)]);
    tree.reserve(100).unwrap();
    let room = |tree: &AreaTree<Area>| (tree.spans.nodes.capacity(), tree.values.capacity());
    let before = room(&tree);
    tree.remove(2).unwrap();
    for nth in 0..101 {
        tree.insert(area(10 + nth, 11 + nth)).unwrap();
        assert_eq!(room(&tree), before);
    }
    check(&tree);
}

#[test]
fn a_reserve_that_cannot_be_met_changes_nothing() {
    let mut tree = tree(&[(3, 5)]);
    for additional in [usize::MAX, usize::MAX / 64, u32::MAX as usize] {
        assert_eq!(tree.reserve(additional), Err(NoMemory));
    }
    check(&tree);
    assert_eq!(tree.find(4), Some(&area(3, 5)));
}

/// Never made: as few as 2^19 of them exceed what a vector may hold.
#[cfg(target_pointer_width = "64")]
struct Vast([u64; 1 << 41]);

#[cfg(target_pointer_width = "64")]
impl Span for Vast {
    fn start(&self) -> u64 {
        self.0[0]
    }

    fn end(&self) -> u64 {
        self.0[1]
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn reserve_needs_room_for_the_values_too() {
    let mut tree = AreaTree::<Vast>::new();
    assert_eq!(tree.reserve(1 << 19), Err(NoMemory));
    assert!(tree.len() == 0);
}

#[test]
fn an_empty_tree_has_nothing_but_gap() {
    let mut tree = AreaTree::<Area>::new();
    assert!(tree.len() == 0);
    assert_eq!(tree.len(), 0);
    assert_eq!((tree.find(0), tree.at_or_after(0), tree.before(u64::MAX)), (None, None, None));
    assert_eq!(tree.remove(0), None);
    assert!(!tree.overlaps(0, u64::MAX));
    assert_eq!(tree.iter_from(0).count(), 0);
    assert_eq!(tree.lowest_gap(u64::MAX, 0, u64::MAX), Some(0));
    assert_eq!(tree.highest_gap(5, 3, 10), Some(5));
    assert_eq!((tree.lowest_gap(8, 3, 10), tree.highest_gap(8, 3, 10)), (None, None));
}

#[test]
fn searches_for_no_pages_or_between_crossed_limits_find_nothing() {
    let tree = tree(&[(10, 20)]);
    for (pages, low, high) in [(0, 0, 100), (1, 30, 30), (1, 30, 5), (1, 12, 18), (1, 0, 0)] {
        assert_eq!(tree.lowest_gap(pages, low, high), None);
        assert_eq!(tree.highest_gap(pages, low, high), None);
    }
    assert!(!tree.overlaps(15, 15) && !tree.overlaps(18, 12));
}

#[test]
fn the_last_page_numbers_do_not_overflow() {
    let tree = tree(&[(0, 1), (u64::MAX - 2, u64::MAX)]);
    assert_eq!(tree.at_or_after(u64::MAX), None);
    assert_eq!(tree.before(u64::MAX).map(|area| area.end), Some(u64::MAX));
    let between = u64::MAX - 3;
    assert_eq!(tree.lowest_gap(between, 0, u64::MAX), Some(1));
    assert_eq!(tree.highest_gap(between, 0, u64::MAX), Some(1));
    assert_eq!(tree.highest_gap(2, 0, u64::MAX), Some(u64::MAX - 4));
    assert_eq!(tree.lowest_gap(between + 1, 0, u64::MAX), None);
    assert_eq!(tree.highest_gap(u64::MAX, 0, u64::MAX), None);
}

#[test]
fn touching_areas_are_neighbours_without_a_gap() {
    let tree = tree(&[(4, 8), (8, 9), (2, 4)]);
    assert_eq!(tree.before(8).map(|area| area.start), Some(4));
    assert_eq!(tree.before(7).map(|area| area.start), Some(2));
    assert_eq!(tree.find(8).map(|area| area.start), Some(8));
    assert_eq!((tree.lowest_gap(1, 2, 9), tree.highest_gap(1, 2, 9)), (None, None));
    assert_eq!((tree.lowest_gap(1, 2, 10), tree.highest_gap(1, 1, 9)), (Some(9), Some(1)));
}

#[test]
fn remove_wants_the_exact_start() {
    let mut tree = tree(&[(4, 8)]);
    assert_eq!((tree.remove(3), tree.remove(5), tree.remove(8)), (None, None, None));
    assert_eq!(tree.remove(4), Some(area(4, 8)));
    check(&tree);
}

#[test]
fn resize_moves_the_gaps() {
    let mut tree = tree(&[(0, 10), (20, 30), (40, 50)]);
    assert_eq!(tree.lowest_gap(15, 0, 50), None);
    assert!(!tree.resize(25, |_| unreachable!("25 is inside, not the start")));
    assert!(tree.resize(20, |area| area.start = 28));
    check(&tree);
    assert_eq!(tree.lowest_gap(15, 0, 50), Some(10));
    assert!(tree.resize(28, |area| (area.start, area.end) = (10, 40)));
    check(&tree);
    assert_eq!(tree.lowest_gap(1, 0, 50), None);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "an area resized into its neighbour")]
fn debug_builds_catch_a_resize_into_a_neighbour() {
    tree(&[(0, 10), (20, 30)]).resize(0, |area| area.end = 21);
}

#[test]
fn errors_name_the_pages_and_the_remedy() {
    let mut tree = tree(&[(0x10, 0x20)]);
    let error = tree.insert(area(0x1f, 0x30)).unwrap_err();
    let said = format!("{error}");
    assert_eq!(said, "pages 0x1f..0x30 overlap an area: unmap it first, or choose a gap");
    let error = InsertError::NoMemory(area(1, 2));
    let said = format!("{error}");
    assert_eq!(said, format!("pages 0x1..0x2: {NoMemory}"));
}
