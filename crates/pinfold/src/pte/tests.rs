mod contract;

use super::*;
use crate::addr::{NodeId, Pfn};
use crate::mock::Host;
use crate::{Memory, MemoryError, NodeSpan, Rules, Tuning};

type P = Pte<X86_64>;

#[test]
fn a_mapping_has_the_bits_of_the_x86_manual() {
    let pte = P::mapping(Pfn(0x1234), Reach::Data { exec: false });
    assert_eq!(pte.bits(), (1 << 63) | (0x1234 << 12) | 0b10_0101);
    let exec = P::mapping(Pfn(1), Reach::Data { exec: true }).writable().dirty();
    assert_eq!(exec.bits(), (1 << 12) | 0b110_0111);
}

#[test]
fn protnone_maps_a_frame_that_the_hardware_cannot_use() {
    let pte = P::mapping(Pfn(7), Reach::None);
    assert!(pte.is_mapped() && pte.is_protnone() && !pte.is_present() && !pte.is_hint());
    assert_eq!(pte.decode(), Entry::Mapped(Pfn(7)));
    assert_eq!(pte.reach(), Reach::None);
}

#[test]
fn migration_entries_keep_all_they_are_given() {
    for kind in [MigrationKind::Read, MigrationKind::ReadExclusive, MigrationKind::Write] {
        for bits in 0..128 {
            let entry = Migration {
                pfn: Pfn(0xf_ffff),
                kind,
                young: bits & 1 != 0,
                dirty: bits & 2 != 0,
                reach: if bits & 4 != 0 {
                    Reach::None
                } else {
                    Reach::Data { exec: bits & 8 != 0 }
                },
                locked: bits & 16 != 0,
                uffd_wp: bits & 32 != 0,
                soft_dirty: bits & 64 != 0,
            };
            let pte = P::migration(entry);
            assert!(!pte.is_mapped() && !pte.is_present());
            assert_eq!(pte.decode(), Entry::Migration(entry));
        }
    }
}

#[test]
fn swap_entries_keep_all_they_are_given() {
    for device in [0, 1, 31] {
        for exclusive in [false, true] {
            let entry = Swap {
                device,
                slot: 0x1_2345,
                exclusive,
                uffd_wp: exclusive && P::marker() != P::NONE,
                soft_dirty: !exclusive,
            };
            let pte = P::swap(entry);
            assert!(!pte.is_mapped());
            assert_eq!(pte.decode(), Entry::Swap(entry));
        }
    }
}

#[test]
fn another_reach_keeps_accessed_dirty_and_write() {
    let pte = P::mapping(Pfn(9), Reach::Data { exec: false }).writable().dirty();
    let away = pte.with_reach(Reach::None);
    assert!(away.is_protnone() && away.is_writable() && away.is_dirty() && away.is_accessed());
    assert_eq!(away.with_reach(Reach::Data { exec: false }), pte);
}

#[test]
fn a_mapping_has_the_bits_of_the_arm_manual() {
    let pte = Pte::<Aarch64>::mapping(Pfn(0x1234), Reach::Data { exec: false });
    let (table_or_page, user, coherent, young, private) =
        (0b11, 1 << 6, 0b11 << 8, 1 << 10, 1 << 11);
    let common = table_or_page | user | coherent | young | private | 1 << 53 | 0x1234 << 12;
    assert_eq!(pte.bits(), common | 1 << 7 | 1 << 54 | 1 << 56);
    assert_eq!(pte.writable().bits(), common | 1 << 7 | 1 << 54);
    assert_eq!(pte.writable().dirty().bits(), common | 1 << 54 | 1 << 55);
    assert_eq!(Pte::<Aarch64>::table(Pfn(0x1234)).bits(), 0x1234 << 12 | 0b11);
}

#[test]
fn a_mapping_has_the_bits_of_the_riscv_manual() {
    let pte = Pte::<Sv39>::mapping(Pfn(0x1234), Reach::Data { exec: false });
    assert_eq!(pte.bits(), 0x1234 << 10 | 0b0101_0011);
    let exec = Pte::<Sv48>::mapping(Pfn(1), Reach::Data { exec: true }).writable().dirty();
    assert_eq!(exec.bits(), 1 << 10 | 0b1101_1111);
    assert_eq!(Pte::<Sv39>::table(Pfn(0x1234)).bits(), 0x1234 << 10 | 1);
}

#[test]
fn absent_entries_of_x86_64_hold_the_frame_number_inverted() {
    let inverted = 0x000f_ffff_ffff_f000 ^ (0x1234 << 12);
    let none = P::mapping(Pfn(0x1234), Reach::None);
    assert_eq!(none.bits(), inverted | 1 << 63 | 1 << 8);
    let hint = P::mapping(Pfn(0x1234), Reach::Data { exec: true }).hint();
    assert_eq!(hint.bits(), inverted | 1 << 9 | 1 << 8 | 1 << 5);
    let (exclusive, uffd_wp, soft_dirty) = (false, false, false);
    let swap = P::swap(Swap { device: 0, slot: 0x1234, exclusive, uffd_wp, soft_dirty });
    assert_eq!(swap.bits(), inverted | 1 << 7);
}

#[test]
fn entries_hold_the_frame_numbers_that_the_manuals_allow() {
    // Half of 52 bits of address, 48 bits, 56 bits.
    assert_eq!((X86_64::MAX_PFN, X86_64La57::MAX_PFN), ((1 << 39) - 1, (1 << 39) - 1));
    assert_eq!((Aarch64::MAX_PFN, Sv39::MAX_PFN), ((1 << 36) - 1, (1 << 44) - 1));
}

#[test]
fn frames_that_no_entry_can_name_are_refused() {
    fn refusal<F: Format>(span: NodeSpan) -> Option<MemoryError> {
        // SAFETY: all of it is refused.
        unsafe { Memory::new(Host::<F>::new(0), &[span], Rules::default(), Tuning::default()) }
            .err()
    }
    let last = Pfn(Aarch64::MAX_PFN);
    let span = NodeSpan { node: NodeId(0), first: last, frames: 2 };
    let refused = refusal::<Aarch64>(span).unwrap();
    assert_eq!(refused, MemoryError::PastFormat { span, last });
    assert_eq!(
        std::format!("{refused}"),
        "2 frames from f68719476735 on node 0 run past f68719476735, the last one that a page-table entry can name: leave out those past it"
    );
    let far = NodeSpan { frames: u64::MAX, ..span };
    assert_eq!(
        refusal::<Sv39>(far),
        Some(MemoryError::PastFormat { span: far, last: Pfn(Sv39::MAX_PFN) })
    );
}

#[test]
fn user_programs_have_the_addresses_that_the_hardware_leaves_them() {
    assert_eq!((X86_64::USER_PAGES, X86_64La57::USER_PAGES), ((1 << 35) - 1, (1 << 44) - 1));
    assert_eq!((Sv39::USER_PAGES, Sv48::USER_PAGES), (1 << 26, 1 << 35));
    assert_eq!(Aarch64::USER_PAGES, 1 << 36);
}

#[test]
fn the_small_formats_address_sixteen_pages_all_for_user_programs() {
    fn small<F: Format>() {
        assert_eq!((F::PAGES, F::USER_PAGES, F::ENTRIES), (16, 16, 4));
    }
    small::<Small>();
    small::<SmallAarch64>();
    small::<SmallRiscv64>();
    assert_eq!(X86_64::PAGES, 1 << 36);
}
