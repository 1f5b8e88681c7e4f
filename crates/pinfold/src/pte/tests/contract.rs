//! The contract of a format, for every format, against the hardware of `testing/mmu.rs`.

use super::*;
use crate::addr::Vpn;
use crate::table::Tables;
use crate::testing::{Hardware, Marks, Mem, machine};
use crate::{Cause, Rules, Tuning};
use std::vec::Vec;

const REACHES: [Reach; 3] = [Reach::Data { exec: false }, Reach::Data { exec: true }, Reach::None];
const CAUSES: [Cause; 3] = [Cause::Load, Cause::Store, Cause::Fetch];

/// A change of a mapping, and whether it is wanted.
type Step<F> = (bool, fn(Pte<F>) -> Pte<F>);

/// What a mapping says apart from the frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Says {
    reach: Reach,
    hint: bool,
    accessed: bool,
    dirty: bool,
    writable: bool,
    special: bool,
    locked: bool,
    uffd_wp: bool,
    soft_dirty: bool,
}

impl Says {
    fn every<F: Format>() -> impl Iterator<Item = Self> {
        // The last two are marks that a format may lack.
        let lacks = if F::UFFD_WP == 0 { 64 } else { 0 } | if F::SOFT_DIRTY == 0 { 128 } else { 0 };
        REACHES.into_iter().flat_map(move |reach| {
            let never = lacks | if reach == Reach::None { 1 } else { 0 };
            (0..256).filter(move |bits| bits & never == 0).map(move |bits| Self {
                reach,
                hint: bits & 1 != 0,
                accessed: bits & 2 != 0,
                dirty: bits & 4 != 0,
                writable: bits & 8 != 0,
                special: bits & 16 != 0,
                locked: bits & 32 != 0,
                uffd_wp: bits & 64 != 0,
                soft_dirty: bits & 128 != 0,
            })
        })
    }

    /// The entry with these attributes, made in the order of `turn`: the marks come in any order,
    /// before or after the hint.
    fn entry<F: Format>(self, pfn: Pfn, turn: usize) -> Pte<F> {
        let start = Pte::from_bits(match self.reach {
            Reach::Data { .. } => Pte::<F>::mapping(pfn, self.reach).old().bits(),
            Reach::None => Pte::<F>::mapping(pfn, Reach::None).bits(),
        });
        let steps: [Step<F>; 8] = [
            (self.hint, Pte::hint),
            (self.accessed, Pte::young),
            (self.dirty, Pte::dirty),
            (self.writable, Pte::writable),
            (self.special, Pte::special),
            (self.locked, Pte::locked),
            // Alone: the manager takes write permission with it.
            (self.uffd_wp, |pte| Pte::from_bits(pte.bits() | F::UFFD_WP)),
            (self.soft_dirty, |pte| pte.with_soft_dirty(true)),
        ];
        (0..8)
            .map(|step| steps[(step + turn) % 8])
            .fold(start, |pte, (wanted, make)| if wanted { make(pte) } else { pte })
    }

    fn of<F: Format>(pte: Pte<F>) -> Self {
        Self {
            reach: pte.reach(),
            hint: pte.is_hint(),
            accessed: pte.is_accessed(),
            dirty: pte.is_dirty(),
            writable: pte.is_writable(),
            special: pte.is_special(),
            locked: pte.is_locked(),
            uffd_wp: pte.is_uffd_wp(),
            soft_dirty: pte.is_soft_dirty(),
        }
    }

    fn is_present(self) -> bool {
        self.reach != Reach::None && !self.hint
    }
}

/// Numbers at the ends, and some between.
fn numbers<F: Format>() -> Vec<u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let random = core::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state & F::MAX_PFN
    });
    [0, 1, F::MAX_PFN / 2, F::MAX_PFN].into_iter().chain(random.take(12)).collect()
}

fn geometry<F: Hardware>() {
    assert!(F::ENTRIES * size_of::<u64>() <= crate::PAGE_SIZE as usize && F::LEVELS >= 2);
    assert!(F::USER_PAGES <= F::PAGES && F::PAGES <= 1 << (64 - crate::PAGE_SHIFT));
    assert_eq!((F::LOCKED & (F::FRAME | 0xff), F::LOCKED.count_ones()), (0, 1));
    assert_eq!(F::UFFD_WP & (F::FRAME | 0xff | F::LOCKED), 0);
    assert_eq!(F::SOFT_DIRTY & (F::FRAME | 0xff | F::LOCKED | F::UFFD_WP), 0);
    assert!(F::UFFD_WP.count_ones() < 2 && F::SOFT_DIRTY.count_ones() < 2);
    assert_eq!(F::FRAME & 0xff, 0, "swap and migration entries need these bits");
}

fn mapping<F: Hardware>(pfn: Pfn, says: Says, turn: usize) {
    let pte: Pte<F> = says.entry(pfn, turn);
    assert_eq!(Says::of(pte), says);
    assert_eq!((pte.decode(), pte.pfn()), (Entry::Mapped(pfn), pfn));
    let present = says.is_present();
    assert_eq!((pte.is_present(), pte.is_protnone(), pte.is_mapped()), (present, !present, true));
    let counted = present && !says.special;
    assert_eq!((pte.fits(F::READABLE), pte.fits(F::WRITABLE)), (counted, counted && says.writable));

    let bare = pte.old().clean().read_only();
    let nothing = Says { accessed: false, dirty: false, writable: false, ..says };
    assert_eq!((Says::of(bare), bare.pfn()), (nothing, pfn));
    let free = pte.unlocked();
    assert_eq!((Says::of(free), free.pfn()), (Says { locked: false, ..says }, pfn));
    let unseen = pte.without_uffd_wp();
    assert_eq!((Says::of(unseen), unseen.pfn()), (Says { uffd_wp: false, ..says }, pfn));
    let stored = pte.stored();
    let soft_dirty = says.soft_dirty || F::SOFT_DIRTY != 0;
    assert_eq!(Says::of(stored), Says { dirty: true, soft_dirty, ..says });
    let forgotten = pte.with_soft_dirty(false);
    assert_eq!(Says::of(forgotten), Says { soft_dirty: false, ..says });
    assert_eq!(F::REVOKE_WRITE.of(pte.bits()), pte.read_only().bits());
    for reach in REACHES {
        let other = pte.with_reach(reach);
        assert_eq!((Says::of(other), other.pfn()), (Says { reach, hint: false, ..says }, pfn));
    }
    if !present {
        absent(pte);
    }
    huge(pte);
    hardware(pte, says);
    hardware(pte.old(), Says { accessed: false, ..says });
    hardware(pte.clean(), Says { dirty: false, ..says });
    hardware(pte.read_only(), Says { writable: false, ..says });
}

/// What the hardware may do with a mapping, and what it must.
/// The same one level above, for as many pages as a table has.
fn huge<F: Hardware>(pte: Pte<F>) {
    let aligned = pte.of(Pfn(pte.pfn().0 & !(F::ENTRIES as u64 - 1)));
    let (bits, small) = (aligned.to_huge(), aligned);
    assert_eq!(Pte::<F>::from_huge(bits), small);
    assert!(!Pte::<F>::from_bits(bits).is_table() && bits != 0);
    assert_eq!((F::MMU.table)(bits), None);
    for by in [Marks::Hardware, Marks::Manager] {
        for cause in [Cause::Load, Cause::Store, Cause::Fetch] {
            let reached = (F::MMU.huge)(bits, cause, by);
            let left = reached.map(|(pfn, left)| (pfn, Pte::<F>::from_huge(left).bits()));
            assert_eq!(left, (F::MMU.page)(small.bits(), cause, by), "{bits:#x} {cause:?}");
        }
    }
    let third = small.further(3);
    assert_eq!((Says::of(third), third.pfn()), (Says::of(small), Pfn(small.pfn().0 + 3)));
    let (grown, less) = (Pte::<F>::from_huge(F::REVOKE_WRITE.of(bits)), small.read_only());
    assert_eq!(grown, less, "write permission goes in place");
}

fn hardware<F: Hardware>(pte: Pte<F>, says: Says) {
    for (cause, by) in
        CAUSES.into_iter().flat_map(|cause| [(cause, Marks::Hardware), (cause, Marks::Manager)])
    {
        let allowed = match cause {
            Cause::Load => true,
            Cause::Store => says.writable,
            Cause::Fetch => says.reach == Reach::Data { exec: true },
        };
        let used = if cause == Cause::Store { pte.young().dirty() } else { pte.young() };
        match (F::MMU.page)(pte.bits(), cause, by) {
            Some(reached) => {
                assert!(says.is_present() && allowed, "{cause:?} through {says:?}");
                assert_eq!(reached, (pte.pfn(), used.bits()));
                // INV-FORMAT-6.
                assert!(!(says.accessed && says.dirty) || reached.1 == pte.bits());
            }
            None => assert!(
                !says.is_present() || !allowed || pte != used,
                "{cause:?} through {says:?} faults for ever"
            ),
        }
    }
}

/// What holds for every entry that is neither none nor present.
fn absent<F: Hardware>(pte: Pte<F>) {
    assert!(!pte.is_none() && !pte.is_present());
    assert_eq!((F::MMU.table)(pte.bits()), None);
    for cause in CAUSES {
        assert_eq!((F::MMU.page)(pte.bits(), cause, Marks::Hardware), None);
    }
    if F::INVERT_ABSENT {
        assert!(F::unpack(pte.bits()) > F::MAX_PFN, "{:#x} holds a frame number", pte.bits());
    }
}

fn migration<F: Hardware>(pfn: Pfn) {
    for kind in [MigrationKind::Read, MigrationKind::ReadExclusive, MigrationKind::Write] {
        for (reach, marks) in REACHES.into_iter().flat_map(|reach| (0..32).map(move |m| (reach, m)))
        {
            let (young, dirty) = (marks & 1 != 0, marks & 2 != 0);
            let locked = marks & 4 != 0;
            let uffd_wp = marks & 8 != 0 && F::UFFD_WP != 0;
            let soft_dirty = marks & 16 != 0 && F::SOFT_DIRTY != 0;
            let entry = Migration { pfn, kind, young, dirty, reach, locked, uffd_wp, soft_dirty };
            let pte = Pte::<F>::migration(entry);
            absent(pte);
            assert!(!pte.is_mapped() && !pte.is_protnone() && !pte.is_hint());
            assert_eq!((pte.decode(), pte.pfn()), (Entry::Migration(entry), pfn));
        }
    }
}

fn swap<F: Hardware>(slot: u64) {
    for device in 0..32 {
        for exclusive in [false, true] {
            let uffd_wp = exclusive && F::UFFD_WP != 0;
            let soft_dirty = !exclusive && F::SOFT_DIRTY != 0;
            let entry = Swap { device, slot, exclusive, uffd_wp, soft_dirty };
            let pte = Pte::<F>::swap(entry);
            absent(pte);
            assert!(!pte.is_mapped() && !pte.is_protnone() && !pte.is_hint());
            assert_eq!(pte.decode(), Entry::Swap(entry));
        }
    }
}

/// The mark of a page that is not there, of a format that has the bit for it.
fn marker<F: Hardware>() {
    let marker = Pte::<F>::marker();
    if F::UFFD_WP == 0 {
        assert!(marker.is_none());
        return;
    }
    absent(marker);
    assert!(marker.is_uffd_wp() && marker.is_vacant() && Pte::<F>::NONE.is_vacant());
    assert!(!marker.is_mapped() && !marker.is_protnone() && !marker.is_hint());
    assert_eq!((marker.decode(), marker.without_uffd_wp()), (Entry::Marker, Pte::NONE));
    let pte = Pte::<F>::mapping(Pfn(1), Reach::Data { exec: false }).writable();
    assert_eq!(pte.over(Pte::NONE), pte);
    assert!(pte.over(marker).is_uffd_wp() && !pte.over(marker).is_writable());
}

fn contract<F: Hardware>() {
    geometry::<F>();
    marker::<F>();
    assert_eq!((F::MMU.table)(Pte::<F>::NONE.bits()), None);
    for number in numbers::<F>() {
        let pfn = Pfn(number);
        for (turn, says) in (0..6).flat_map(|turn| Says::every::<F>().map(move |says| (turn, says)))
        {
            mapping::<F>(pfn, says, turn);
        }
        migration::<F>(pfn);
        swap::<F>(number);
        let table = Pte::<F>::table(pfn);
        assert!(table.is_present() && table.pfn() == pfn);
        assert_eq!((F::MMU.table)(table.bits()), Some(pfn));
        assert!(table.is_table() && !Pte::<F>::NONE.is_table());
        assert_eq!((F::MMU.huge)(table.bits(), Cause::Load, Marks::Hardware), None);
    }
}

#[test]
fn every_format_keeps_the_contract() {
    contract::<Small>();
    contract::<X86_64>();
    contract::<X86_64La57>();
    contract::<SmallAarch64>();
    contract::<Aarch64>();
    contract::<SmallRiscv64>();
    contract::<Sv39>();
    contract::<Sv48>();
    contract::<Sv39Rsw>();
}

/// A change in place, with the accessed bit set by the hardware between the look and the change.
fn changes_in_place<F: Hardware>() {
    let mem: Mem<F> = machine(Rules::default(), &[16], Tuning::default());
    let space = crate::testing::space(&mem);
    let leaf = Tables::new(&mem, space.space().mm()).leaf_or_make(Vpn(1)).unwrap();
    let host = &mem.platform().host;
    let slot = host.word(leaf.table, 1);
    let cursor = leaf.lock();
    let old = Pte::<F>::mapping(Pfn(9), Reach::Data { exec: false }).old();
    for (before, more) in [
        (old, old.dirty()),
        (old, old.writable().dirty()),
        (old.writable(), old.writable().dirty()),
        (old.dirty(), old.dirty().writable()),
    ] {
        cursor.set(Vpn(1), before);
        slot.store(before.young().bits(), core::sync::atomic::Ordering::Relaxed);
        cursor.grant(Vpn(1), before, more);
        assert_eq!(cursor.get(Vpn(1)), more.young());
        assert_eq!(cursor.revoke_write(Vpn(1)), more.young());
        assert_eq!(cursor.get(Vpn(1)), more.young().read_only());
    }
    // By one who has read it before: an entry that the hardware still changes, and one that it does
    // not.
    for (before, now) in [
        (old.writable(), old.writable().young()),
        (old.writable().dirty(), old.writable().dirty().young()),
        (old.writable().young().dirty(), old.writable().young().dirty()),
    ] {
        slot.store(now.bits(), core::sync::atomic::Ordering::Relaxed);
        cursor.slots(Vpn(1)..Vpn(2)).for_each(|slot| slot.revoke_write_seen(before));
        assert_eq!(cursor.get(Vpn(1)), now.read_only());
    }
    cursor.set(Vpn(1), Pte::NONE);
}

#[test]
fn a_mark_that_the_hardware_sets_meanwhile_survives_a_change_in_place() {
    changes_in_place::<X86_64>();
    changes_in_place::<Aarch64>();
    changes_in_place::<Sv39>();
}
