use super::*;
use crate::addr::Pfn;

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
        for bits in 0..16 {
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
            let entry = Swap { device, slot: 0x1_2345, exclusive };
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
fn the_small_format_addresses_sixteen_pages() {
    assert_eq!((Small::PAGES, Small::ENTRIES), (16, 4));
    assert_eq!(X86_64::PAGES, 1 << 36);
}
