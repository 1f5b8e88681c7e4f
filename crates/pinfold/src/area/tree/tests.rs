use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use super::node::{FAN, LEAST};
use super::*;

use crate::heap::{Deny, with_heap};

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

impl Area {
    /// As an area map does: the tags tell where the parts come from.
    fn cut(&mut self, page: u64) -> Self {
        let rest = Self { start: page, ..*self };
        self.end = page;
        rest
    }

    fn alike(&self, next: &Self) -> bool {
        self.tag % 2 == next.tag % 2
    }

    fn take_in(&mut self, next: &Self) {
        self.end = next.end;
    }
}

/// Takes out the area that starts at `start` exactly.
fn remove(tree: &mut AreaTree<Area>, start: u64) -> Option<Area> {
    tree.find(start).filter(|area| area.start == start)?;
    let (area, _) = tree.remove_first(start, start + 1)?;
    Some(area)
}

fn merge(tree: &mut AreaTree<Area>, page: u64) -> Option<Area> {
    tree.merge(page, Area::alike, Area::take_in)
}

/// All areas, in order.
fn all(tree: &AreaTree<Area>) -> Vec<Area> {
    tree.iter_from(0).copied().collect()
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

/// INV-TREE-1 to INV-TREE-6, each derived again from the entries of the last level alone.
fn check<T: Span>(tree: &AreaTree<T>) {
    let (mut order, mut nodes) = (Vec::new(), 0);
    if let Some(below) = tree.spans.levels.checked_sub(1) {
        check_subtree(tree, tree.spans.root, below, &mut nodes, &mut order);
        let few = tree.spans.node(tree.spans.root).len();
        assert!(few >= if below > 0 { 2 } else { 1 }, "INV-TREE-2");
    }
    assert_eq!((nodes, order.len()), (tree.spans.nodes.used(), tree.values.used()), "INV-TREE-5");
    assert_eq!(order.len(), tree.len());
    assert!(order.is_sorted_by(|below, above| below.1 <= above.0), "INV-TREE-1");
}

fn check_subtree<T: Span>(
    tree: &AreaTree<T>,
    id: u32,
    below: u32,
    nodes: &mut usize,
    order: &mut Vec<(u64, u64)>,
) {
    *nodes += 1;
    tree.spans.check_node(id, id != tree.spans.root);
    let node = tree.spans.node(id);
    for at in 0..node.len() {
        let Entry { first, end, gap, link } = node.entry(at);
        let from = order.len();
        if below > 0 {
            check_subtree(tree, link, below - 1, nodes, order);
        } else {
            let value = tree.value(link).expect("INV-TREE-5");
            assert_eq!((first, end), (value.start(), value.end()), "INV-TREE-4");
            order.push((first, end));
        }
        let subtree = &order[from..];
        let widest = subtree.windows(2).map(|pair| pair[1].0 - pair[0].1).max().unwrap_or(0);
        let reach = (subtree[0].0, subtree[subtree.len() - 1].1);
        assert_eq!((first, end, gap), (reach.0, reach.1, widest), "INV-TREE-3");
    }
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

fn split_both(tree: &mut AreaTree<Area>, oracle: &mut Oracle, page: u64) {
    tree.reserve(1).unwrap();
    let rest = tree.split(page, |area| area.cut(page)).copied();
    let cut = oracle.0.range_mut(..page).next_back().filter(|(_, area)| page < area.end);
    let wanted = cut.map(|(_, area)| area.cut(page));
    assert_eq!(rest, wanted);
    oracle.0.extend(wanted.map(|area| (page, area)));
}

fn merge_both(tree: &mut AreaTree<Area>, oracle: &mut Oracle, page: u64) {
    let gone = merge(tree, page);
    let before = oracle.before(page).filter(|before| before.end == page).copied();
    let next = oracle.0.get(&page).copied();
    let wanted = before.zip(next).filter(|(before, next)| before.alike(next));
    assert_eq!(gone, wanted.map(|(_, next)| next));
    if let Some((before, next)) = wanted {
        oracle.0.remove(&page);
        oracle.0.insert(before.start, Area { end: next.end, ..before });
    }
}

fn remove_both(tree: &mut AreaTree<Area>, oracle: &mut Oracle, start: u64, end: u64) {
    let wanted = oracle.at_or_after(start).filter(|area| area.start < end).copied();
    let hole = wanted.map(|area| {
        let below = oracle.before(area.start).map(|area| area.end);
        let above = oracle.at_or_after(area.end).map(|area| area.start);
        (area, Hole { below, above })
    });
    assert_eq!(tree.remove_first(start, end), hole);
    if let Some(area) = wanted {
        oracle.0.remove(&area.start);
    }
}

/// A copy of every area with an even tag has them all and is a tree like any other; an area that
/// was changed on the way is changed in the tree.
fn copy_both(tree: &mut AreaTree<Area>, oracle: &mut Oracle) {
    let mut copy = AreaTree::new();
    let mut filling = copy.copy(tree.len()).unwrap();
    let mut path = tree.path_before(0);
    while let Some(area) = tree.next_mut(&mut path) {
        area.tag += 2;
        if area.tag % 2 == 0 {
            let shown = filling.push(*area).copied();
            assert_eq!(shown, Some(*area));
        }
    }
    drop(filling);
    oracle.0.values_mut().for_each(|area| area.tag += 2);
    check(&copy);
    assert!(copy.iter_from(0).eq(oracle.0.values().filter(|area| area.tag % 2 == 0)));
    while let Some((area, _)) = copy.remove_first(PAGES / 3, PAGES) {
        assert_eq!(oracle.0.get(&area.start), Some(&area));
    }
    check(&copy);
}

fn random_run(seed: u64, operations: u64, longest: u64) {
    let mut random = Random(seed);
    let (mut tree, mut oracle) = (AreaTree::new(), Oracle::default());
    let mut deepest = 0;
    for tag in 0..operations {
        let page = random.below(PAGES);
        // Phases of growth and of decay, so that large and small trees are both met.
        let growing = tag / 1000 % 2 == 0;
        match random.below(16) {
            0..2 => resize_both(&mut tree, &mut oracle, page, &mut random),
            2 => {
                if let Some(area) = tree.find_mut(page) {
                    area.tag = tag;
                    let start = area.start;
                    oracle.0.entry(start).and_modify(|area| area.tag = tag);
                }
            }
            3 => split_both(&mut tree, &mut oracle, page),
            4 => {
                let start = oracle.at_or_after(page).map_or(page, |area| area.start);
                merge_both(&mut tree, &mut oracle, start);
            }
            5 if tag % 8 == 0 => copy_both(&mut tree, &mut oracle),
            choice if (choice < 15) == growing => {
                let end = (page + 1 + random.below(longest)).min(PAGES);
                insert_both(&mut tree, &mut oracle, Area { start: page, end, tag });
            }
            _ => remove_both(&mut tree, &mut oracle, page, page + 1 + random.below(40)),
        }
        check(&tree);
        compare_lookups(&tree, &oracle, &mut random);
        deepest = deepest.max(tree.spans.levels);
    }
    assert!(deepest >= 2, "a search that met one node only");
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

/// `count` areas of one page with a free one behind each.
fn spaced(count: u64) -> AreaTree<Area> {
    let mut tree = AreaTree::new();
    for nth in 0..count {
        tree.insert(area(2 * nth, 2 * nth + 1)).unwrap();
    }
    tree
}

#[test]
fn ascending_and_descending_inserts_stay_shallow_and_fill_their_nodes() {
    let up = spaced(4096);
    let mut down = AreaTree::new();
    for nth in (0..4096).rev() {
        down.insert(area(2 * nth, 2 * nth + 1)).unwrap();
    }
    for tree in [&up, &down] {
        check(tree);
        assert_eq!(tree.spans.levels, 4);
        assert!(tree.spans.nodes.used() * FAN * 3 < 4096 * 5, "{}", tree.spans.nodes.used());
    }
}

#[test]
fn a_copy_of_any_number_of_areas_is_a_tree_with_full_nodes() {
    for count in (0..40).chain([225, 226, 232, 240, 3374, 3375, 3376, 3400]) {
        let (mut tree, mut from) = (AreaTree::new(), spaced(count));
        let mut filling = tree.copy(from.len()).unwrap();
        let ((), denied) = with_heap(Deny::From(0), || {
            let mut path = from.path_before(0);
            while let Some(area) = from.next_mut(&mut path) {
                assert!(filling.push(*area).is_some());
            }
            drop(filling);
        });
        let room = tree.spans.nodes.spare();
        assert_eq!((room, denied), (0, 0), "{count} areas take what was reserved for them");
        check(&tree);
        assert_eq!(all(&tree), all(&from));
    }
}

#[test]
fn every_node_gives_and_takes_at_every_place() {
    // Each place of three full nodes, and of three nodes with as few as may be.
    for count in [FAN as u64 * 3, LEAST as u64 * 3 + 1] {
        for at in 0..count {
            let mut tree = spaced(count);
            insert_at_every_level(&mut tree, 2 * at + 1);
            let mut tree = spaced(count);
            for _ in 0..count - 2 {
                let start = 2 * at;
                let Some(area) = tree.at_or_after(start).or(tree.before(start)).copied() else {
                    break;
                };
                assert_eq!(remove(&mut tree, area.start), Some(area));
                check(&tree);
            }
            assert_eq!(tree.len(), 2);
        }
    }
}

fn insert_at_every_level(tree: &mut AreaTree<Area>, page: u64) {
    let mut wanted = all(tree);
    tree.insert(area(page, page + 1)).unwrap();
    check(tree);
    wanted.push(area(page, page + 1));
    wanted.sort_by_key(|area| area.start);
    assert_eq!(all(tree), wanted);
}

#[test]
fn reserved_inserts_and_splits_take_no_memory_whatever_is_taken_out_between() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for count in [0, 1, 14, 15, 40, 225, 400] {
        for reserved in [1, 2, 3, 20, 300] {
            let mut tree = AreaTree::new();
            for nth in 0..count {
                tree.insert(area(10 * nth, 10 * nth + 8)).unwrap();
            }
            tree.reserve(reserved).unwrap();
            let ((), denied) = with_heap(Deny::From(0), || {
                for _ in 0..reserved {
                    let page = 10 * random.below(count + 1);
                    if random.below(2) == 0 {
                        tree.remove_first(page + 20, page + 60);
                    }
                    if tree.split(page + 4, |area| area.cut(page + 4)).is_none()
                        && !tree.overlaps(page + 8, page + 9)
                    {
                        tree.insert(area(page + 8, page + 9)).unwrap();
                    }
                }
            });
            assert_eq!(denied, 0, "{count} areas, {reserved} reserved");
            check(&tree);
        }
    }
}

#[test]
fn a_request_that_is_denied_changes_nothing_whichever_it_is() {
    let mut refused = 0;
    for count in [0, 14, 15, 64, 225] {
        for granted in 0..6 {
            let mut tree = spaced(count);
            let wanted = all(&tree);
            let new = area(2 * count + 1, 2 * count + 2);
            for nth in 0..3 {
                let (made, _) = with_heap(Deny::From(granted), || tree.reserve(40 << nth));
                check(&tree);
                assert_eq!(all(&tree), wanted);
                refused += u64::from(made.is_err());
            }
            let (made, denied) = with_heap(Deny::From(0), || tree.insert(new));
            check(&tree);
            match made {
                Ok(()) => assert_eq!(denied, 0),
                Err(InsertError::NoMemory(back)) => {
                    assert_eq!(back, new);
                    assert_eq!(all(&tree), wanted);
                    tree.insert(new).unwrap();
                }
                Err(overlap) => panic!("{overlap}"),
            }
            let mut copy = AreaTree::<Area>::new();
            let (made, denied) = with_heap(Deny::From(granted), || copy.copy(40).is_ok());
            assert_eq!(made, denied == 0);
            check(&copy);
        }
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn a_dry_heap_forbids_no_removal_no_merge_and_no_change_of_size() {
    let mut tree = AreaTree::new();
    for nth in 0..300 {
        tree.insert(Area { start: nth, end: nth + 1, tag: 0 }).unwrap();
    }
    let ((), denied) = with_heap(Deny::From(0), || {
        for page in 1..100 {
            assert!(merge(&mut tree, page).is_some());
        }
        assert!(tree.resize(0, |area| area.end = 50));
        while tree.remove_first(60, 290).is_some() {}
    });
    assert_eq!(denied, 0);
    check(&tree);
    let left: Vec<_> = all(&tree).iter().map(|area| (area.start, area.end)).collect();
    assert_eq!(left[..2], [(0, 50), (290, 291)]);
    assert_eq!(left.len(), 11);
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

#[test]
fn memory_grows_in_chunks_and_with_the_areas() {
    let few = spaced(10);
    assert!(few.spans.nodes.bytes() + few.values.bytes() < 2 << 10);
    let many = spaced(10_000);
    let bytes = many.spans.nodes.bytes() + many.values.bytes();
    // Three words each of the values here, and a word for whether they are there.
    assert!(bytes / 10_000 < 32 + 56, "{}", bytes / 10_000);
}

#[test]
fn an_empty_tree_has_nothing_but_gap() {
    let mut tree = AreaTree::<Area>::new();
    assert_eq!(tree.len(), 0);
    assert_eq!((tree.find(0), tree.at_or_after(0), tree.before(u64::MAX)), (None, None, None));
    assert_eq!(tree.remove_first(0, u64::MAX), None);
    assert_eq!(merge(&mut tree, 5), None);
    assert!(tree.split(5, |_| unreachable!("no area")).is_none());
    assert!(!tree.overlaps(0, u64::MAX));
    assert_eq!(tree.iter_from(0).count(), 0);
    assert!(tree.next_mut(&mut tree.path_before(0)).is_none());
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
    assert_eq!(tree.find(u64::MAX), None);
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
fn a_merge_wants_the_exact_start_and_an_area_that_ends_there() {
    let mut tree = tree(&[(4, 8), (8, 10), (12, 14)]);
    assert_eq!(
        (merge(&mut tree, 7), merge(&mut tree, 9), merge(&mut tree, 12)),
        (None, None, None)
    );
    assert_eq!(merge(&mut tree, 8), Some(area(8, 10)));
    check(&tree);
    assert_eq!(tree.find(9), Some(&Area { start: 4, end: 10, tag: 4 }));
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
#[cfg(debug_assertions)]
#[should_panic(expected = "an area resized into its neighbour")]
fn debug_builds_catch_a_resize_into_a_neighbour_in_another_node() {
    let mut tree = spaced(100);
    let last = tree.spans.node(tree.spans.node(tree.spans.root).link(0)).len() as u64 - 1;
    tree.resize(2 * last, |area| area.end += 2);
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
