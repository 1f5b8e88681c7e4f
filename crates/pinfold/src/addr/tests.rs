use std::format;
use std::string::ToString;

use super::*;

/// The last address.
const LAST: VirtAddr = VirtAddr(u64::MAX);
/// The number of the last page.
const LAST_PAGE: u64 = u64::MAX >> PAGE_SHIFT;

#[test]
fn a_range_is_aligned_and_never_empty_and_never_wraps() {
    assert!(matches!(VirtRange::new(VirtAddr(1), 1), Err(RangeError::Unaligned(_))));
    assert!(matches!(VirtRange::new(VirtAddr(0), 0), Err(RangeError::Empty(_))));
    assert!(matches!(VirtRange::new(VirtAddr(4096), u64::MAX), Err(RangeError::Wraps(_))));
    assert!(matches!(VirtRange::new(VirtAddr(0), 1 << 52), Err(RangeError::Wraps(_))));
}

#[test]
fn intersections_keep_only_common_pages() {
    let pages = |first, end| VirtRange::of_pages(Vpn(first), Vpn(end));
    assert_eq!(pages(2, 6).intersection(pages(4, 9)), Some(pages(4, 6)));
    assert_eq!(pages(2, 6).intersection(pages(6, 9)), None);
}

#[test]
fn addresses_move_within_what_there_is() {
    let at = VirtAddr(0x1234);
    assert_eq!((at.page_offset(), at.align_down()), (0x234, VirtAddr(0x1000)));
    assert_eq!(at.checked_align_up(), Some(VirtAddr(0x2000)));
    assert_eq!(at.align_down().checked_align_up(), Some(VirtAddr(0x1000)));
    assert_eq!(at.checked_add(0xdcc), Some(VirtAddr(0x2000)));
    assert_eq!(at.checked_sub(0x234), Some(VirtAddr(0x1000)));
    assert_eq!(at.checked_offset(-0x234), Some(VirtAddr(0x1000)));
    assert_eq!(at.checked_offset_from(VirtAddr(0x1000)), Some(0x234));
    assert_eq!((u64::from(at), VirtAddr::from(0x1234)), (0x1234, at));
    let nowhere = [
        LAST.checked_add(1),
        LAST.checked_align_up(),
        LAST.checked_offset(1),
        VirtAddr(0).checked_sub(1),
        VirtAddr(0).checked_offset(i64::MIN),
    ];
    assert_eq!(nowhere, [None; 5]);
    assert_eq!(VirtAddr(0x1000).checked_offset_from(at), None);
    assert_eq!((LAST.align_down().page(), LAST.page_offset()), (Vpn(LAST_PAGE), PAGE_SIZE - 1));
}

#[test]
fn numbers_that_no_page_or_frame_has_are_refused() {
    assert_eq!(Vpn(LAST_PAGE).checked_start(), Some(LAST.align_down()));
    assert_eq!(Vpn(LAST_PAGE + 1).checked_start(), None);
    assert_eq!((Vpn(2).checked_add(3), Vpn(u64::MAX).checked_add(1)), (Some(Vpn(5)), None));
    assert_eq!((Vpn(2).checked_sub(2), Vpn(2).checked_sub(3)), (Some(Vpn(0)), None));
    assert_eq!((Pfn(2).address(), Pfn::of_address(0x2fff)), (0x2000, Pfn(2)));
    assert_eq!(Pfn(LAST_PAGE).checked_address(), Some(LAST.align_down().0));
    assert_eq!(Pfn(LAST_PAGE + 1).checked_address(), None);
    assert_eq!((Pfn(2).checked_add(3), Pfn(u64::MAX).checked_add(1)), (Some(Pfn(5)), None));
    assert_eq!((Pfn(2).checked_sub(2), Pfn(2).checked_sub(3)), (Some(Pfn(0)), None));
}

#[test]
fn a_range_covers_the_pages_of_bytes_and_knows_its_places() {
    let range = VirtRange::covering(VirtAddr(0x1fff), 2).unwrap();
    assert_eq!((range.start(), range.pages(), range.bytes()), (VirtAddr(0x1000), 2, 0x2000));
    assert_eq!(VirtRange::covering(VirtAddr(0x1000), PAGE_SIZE).map(VirtRange::pages), Ok(1));
    assert_eq!(VirtRange::covering(VirtAddr(5), 0), Err(RangeError::Empty(VirtAddr(5))));
    assert_eq!(VirtRange::covering(VirtAddr(5), u64::MAX), Err(RangeError::Wraps(VirtAddr(5))));
    assert!(VirtRange::covering(LAST, 1).is_err(), "its end would be past the last address");
    assert_eq!((range.at(0x1fff), range.at(0x2000)), (Some(VirtAddr(0x2fff)), None));
    assert_eq!(range.offset_of(VirtAddr(0x2fff)), Some(0x1fff));
    assert_eq!(range.offset_of(VirtAddr(0x3000)), None);
    assert_eq!(range.page(1).map(VirtRange::start), Some(VirtAddr(0x2000)));
    assert_eq!((range.page(2), range.page(u64::MAX)), (None, None));
}

#[test]
fn an_address_reads_back_as_it_is_displayed() {
    for at in [VirtAddr(0), VirtAddr(0x7f00), LAST] {
        assert_eq!(at.to_string().parse(), Ok(at));
        assert_eq!(at.0.to_string().parse(), Ok(at));
    }
    assert_eq!(format!("{0:x} {0:#X}", VirtAddr(0xbeef)), "beef 0xBEEF");
    for text in ["", "0x", "+1", "0x+1", "-1", "0x10000000000000000", "7f00", " 1"] {
        assert_eq!(text.parse::<VirtAddr>(), Err(ParseAddrError), "{text}");
    }
}
