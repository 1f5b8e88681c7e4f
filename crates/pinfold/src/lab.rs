//! What only a laboratory needs: views of a machine in which nothing runs, and a way to discard one
//! in any state.
//!
//! Protocol: the caller is alone. Nothing here is a step of an exploration.

use core::convert::Infallible;

use crate::addr::{Pfn, SpaceId, VirtAddr, Vpn, each_page};
use crate::address_space::AddressSpace;
use crate::area::Locked;
use crate::charge::Table;
use crate::file::File;
use crate::frame::{Counts, Flags, Frames};
use crate::group::{Group, GroupStats};
use crate::memory::Memory;
use crate::object::Object;
use crate::platform::Platform;
use crate::pte::{Entry, Swap};
use crate::rmap::Walk;
use crate::space::Space;
use crate::table::{Next, Part};

pub use crate::frame::FolioView;
pub use crate::sync::{CellName, FrameWord};

/// The manager's locks: for a machine whose own state an exploration must see, and for tests that
/// explore the locks' code or compare it with the native form.
pub mod locks {
    pub use crate::sync::bit::{BitGuard, BitLock};
    pub use crate::sync::delegated::{Delegated, DelegatedGuard, Word};
    pub use crate::sync::rwsem::{ReadGuard, RwSem, WriteGuard};
    pub use crate::sync::seqcount::{Begin, SeqCount};
    pub use crate::sync::spin::{RawSpinLock, SpinGuard, SpinLock};
    pub use crate::sync::spread::{Spread, SpreadGuard};
}

/// The counts of owners and leases: for tests that explore them by themselves.
pub mod leases {
    pub use crate::sync::lease::{Count, Counts};
}

/// The CPUs' stocks of free frames, which a machine gets from [`crate::Tuning::stock_batch`]: for
/// tests that explore them by themselves.
pub mod stocks {
    use crate::addr::NodeId;
    use crate::error::{NoMemory, OutOfFrames};
    use crate::frame::{Flags, Frames, NewFrame, Put, Start};

    /// The table, whose frames come and go in batches of so many through stocks of `cpus` CPUs.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub fn with(mut frames: Frames, cpus: usize, batch: u32) -> Result<Frames, NoMemory> {
        frames.stock_up(cpus, batch).map(|()| frames)
    }

    /// Takes a frame as the CPU with this number, on a node, does for an anonymous page.
    ///
    /// # Errors
    /// When no frame is free.
    pub fn take(
        frames: &Frames,
        (cpu, node): (usize, NodeId),
    ) -> Result<NewFrame<'_>, OutOfFrames> {
        frames.alloc_near((cpu, node), Flags::ANON, Start::Held)
    }

    /// Frees a frame as that CPU does.
    ///
    /// # Panics
    /// When the frame has another reference.
    pub fn free(frames: &Frames, cpu: usize, frame: NewFrame<'_>) {
        let pfn = frame.keep();
        assert!(frames.folio(pfn).put(1) == Put::Last, "{pfn} has another owner");
        frames.release_at(cpu, pfn);
    }
}

/// The memory of reverse maps, and the CPUs' stocks of it: for tests that explore them by
/// themselves.
pub mod families {
    use crate::addr::{Mm, Pfn, SpaceId};
    use crate::error::NoMemory;
    use crate::rmap::{AnonRegistry, Seat};
    use crate::sync::Park;

    /// All families of a machine.
    pub struct Families(AnonRegistry);

    /// A member of a family, of one area: an address space of its own.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Member(Seat);

    impl Member {
        /// The number of the slot that it has.
        pub fn slot(self) -> u32 {
            self.0.home.bits() as u32
        }
    }

    const fn mm(id: u64) -> Mm {
        Mm { id: SpaceId(id), root: Pfn(id) }
    }

    impl Families {
        /// None, with a stock of their memory for each of `cpus` CPUs.
        ///
        /// # Errors
        /// When the heap is exhausted.
        pub fn new(cpus: usize) -> Result<Self, NoMemory> {
            let mut families = AnonRegistry::new();
            families.stock_up(cpus)?;
            Ok(Self(families))
        }

        /// A family of the address space with this number, as a mapping on that CPU makes it.
        ///
        /// # Errors
        /// When neither the CPU's stock nor the list has a free slot, and the heap is exhausted.
        pub fn found(&self, id: u64, park: &impl Park, cpu: usize) -> Result<Member, NoMemory> {
            self.0.found(mm(id), park, cpu).map(Member)
        }

        /// A child of the member, as a fork makes it that has reserved memory for so many areas.
        ///
        /// # Errors
        /// When the list has no free slot, and the heap is exhausted.
        pub fn fork(
            &self,
            parent: Member,
            id: u64,
            park: &impl Park,
            areas: usize,
        ) -> Result<Member, NoMemory> {
            let mut reserve = self.0.reserve(areas);
            self.0.join(parent.0, mm(id), park, &mut reserve).map(|(child, _)| Member(child))
        }

        /// The member has left, as an unmapping on that CPU does it.
        pub fn leave(&self, member: Member, park: &impl Park, cpu: usize) {
            self.0.leave(member.0, park, cpu);
        }
    }

    impl core::fmt::Debug for Families {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            f.debug_struct("Families").finish_non_exhaustive()
        }
    }
}

/// Why an address space keeps a frame alive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// It is a page table.
    Table,
    /// An entry maps it, with one reference and one mapping.
    Mapping,
    /// As [`Holder::Mapping`], in an area that is locked in memory: the frame counts that, too.
    LockedMapping,
    /// A shared object holds it. Reported once for each area that maps the object.
    Object(usize),
}

/// The counts of a frame.
///
/// # Panics
/// When there is no such frame.
pub fn counts(frames: &Frames, pfn: Pfn) -> Counts {
    frames.peek_counts(pfn)
}

/// The flags of a frame.
///
/// # Panics
/// When there is no such frame.
pub fn flags(frames: &Frames, pfn: Pfn) -> Flags {
    frames.peek_flags(pfn)
}

/// Whether a frame with these flags is a merged page.
pub fn is_merged(flags: Flags) -> bool {
    flags.contains(Flags::MERGED)
}

/// What the large folio of private memory that a frame is part of says of itself, if it is part of
/// one.
///
/// # Panics
/// When there is no such frame.
pub fn large_folio(frames: &Frames, pfn: Pfn) -> Option<FolioView> {
    frames.peek_large(pfn)
}

/// A slot of a swap device that is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SwapSlot {
    /// The device's number, as swap entries name it.
    pub device: u8,
    /// The slot's.
    pub slot: u64,
    /// How many swap entries name it.
    pub users: u64,
    /// How many operations need it.
    pub holds: u32,
    /// The page in the swap cache that it has, with one reference.
    pub page: Option<Pfn>,
}

/// Calls `visit` for every slot of the swap devices that is in use. Each device's lock is held
/// during the calls for its slots.
pub fn swap_slots<P: Platform>(memory: &Memory<P>, mut visit: impl FnMut(SwapSlot)) {
    let Some(table) = memory.swaps().table() else { return };
    for id in table.ids() {
        table.slots(id).in_use(|slot, (users, holds), page| {
            visit(SwapSlot { device: id.number(), slot, users, holds, page });
        });
    }
}

/// Calls `visit` for every page in a CPU's batch, which has one reference of it
/// ([`crate::Tuning::lru_batch`]).
pub fn batched<P: Platform>(memory: &Memory<P>, visit: impl FnMut(Pfn)) {
    memory.frames().each_batched(visit);
}

/// What is wrong with the lists that reclaim chooses from, or with what is remembered of hinting
/// faults, if anything is: a page, and what it does that it should not.
pub fn wrong_with_lists<P: Platform>(memory: &Memory<P>) -> Option<(Pfn, &'static str)> {
    let frames = memory.frames();
    frames.wrong_with_lists().or_else(|| frames.wrong_with_last_faults())
}

/// The page of the slot that a swap entry names, if it is in memory.
pub fn swap_cached<P: Platform>(memory: &Memory<P>, entry: Swap) -> Option<Pfn> {
    let (table, frames) = (memory.swaps().table()?, memory.frames());
    frames.all().find(|pfn| {
        let there = frames.peek_flags(*pfn).contains(Flags::SWAP_CACHE);
        let slot = table.peek_slot_of(*pfn);
        there && (slot.device.number(), slot.number) == (entry.device, entry.slot)
    })
}

/// Calls `visit` for every swap entry of the address space, whose lock is held for reading during
/// the call.
pub fn swapped<P: Platform>(space: &AddressSpace<P>, mut visit: impl FnMut(VirtAddr, Swap)) {
    let space = space.space();
    let _map = space.read_map();
    let walked: Result<(), Infallible> =
        space.tables().for_each_part(Vpn(0)..space.end_page(), |part, pages| {
            if let Part::Table(leaf) = part {
                for page in each_page(pages) {
                    if let Entry::Swap(entry) = leaf.read(page).decode() {
                        visit(page.start(), entry);
                    }
                }
            }
            Ok(Next::On)
        });
    let Ok(()) = walked;
}

/// How many entries of locked areas a frame's folio counts.
///
/// # Panics
/// When there is no such frame.
pub fn locked_mappings(frames: &Frames, pfn: Pfn) -> u32 {
    frames.peek_locks(pfn)
}

/// Calls `visit` for every frame that the address space keeps alive, with the reason: for oracles
/// that add up the counts. The address space's lock is held for reading during the call.
pub fn account<P: Platform>(space: &AddressSpace<P>, mut visit: impl FnMut(Pfn, Holder)) {
    space.space().account(&mut visit);
}

/// The frame of the shared memory that lies at `at`, whether an entry of this address space maps it
/// yet or not; none if no shared memory lies there, or nobody has touched that page of it. The
/// address space's lock is held for reading during the call.
pub fn shared_page<P: Platform>(space: &AddressSpace<P>, at: VirtAddr) -> Option<Pfn> {
    let map = space.space().read_map();
    let view = map.find(at.page())?.backing.shares()?;
    view.object.find(view.index(at.page()))
}

/// What the file or the shared memory that an area shows at `at` has for that page, whether an
/// entry maps it or not: its frame, or nothing yet. None if the area shows no such thing. The
/// address space's lock is held for reading during the call.
pub fn shown<P: Platform>(space: &AddressSpace<P>, at: VirtAddr) -> Option<Option<Pfn>> {
    let map = space.space().read_map();
    let view = map.find(at.page())?.backing.view()?;
    Some(view.object.find(view.index(at.page())))
}

/// How many pages are charged to a group, and what it has to count of them, added up over all
/// frames of the machine.
pub fn recount<P: Platform>(memory: &Memory<P>, group: &Group<P>) -> (u64, GroupStats) {
    let frames = memory.frames();
    let tallies = || {
        let charges = memory.charges().into_iter();
        let of = |charges: &'_ Table, pfn| charges.peek_group(pfn) == Some(group.id());
        charges.flat_map(move |charges| frames.all().filter(move |pfn| of(charges, *pfn)))
    };
    let count = |stat| {
        let counted = tallies().filter(|pfn| frames.peek_tally(*pfn).stats().any(|of| of == stat));
        i64::try_from(counted.count()).unwrap_or(i64::MAX)
    };
    (tallies().count() as u64, GroupStats::by(count))
}

/// Calls `visit` for every frame that a file keeps alive, whether anybody maps it or not. The
/// object is the same that [`account`] names. The file's page list is held during the call.
pub fn account_file<P: Platform>(file: &File<P>, mut visit: impl FnMut(Pfn, Holder)) {
    let object = file.object();
    let id = core::ptr::from_ref(&**object) as usize;
    object.each_page(|pfn| visit(pfn, Holder::Object(id)));
}

/// A slot of a swap device that a page of shared memory has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ListedSlot {
    /// The object, as [`account`] names it.
    pub object: usize,
    /// The number of the page in it.
    pub index: u64,
    /// The device's number, as swap entries name it.
    pub device: u8,
    /// The slot's.
    pub slot: u64,
}

/// Calls `visit` for every page on a swap device of the shared memory that the address space maps:
/// once for each area. Its lock and the objects' page lists are held for reading during the call.
pub fn listed_slots<P: Platform>(space: &AddressSpace<P>, mut visit: impl FnMut(ListedSlot)) {
    let map = space.space().read_map();
    for view in map.iter().filter_map(|area| area.backing.view()) {
        object_slots(&view.object, &mut visit);
    }
}

/// Calls `visit` for every page of a file that is on a swap device. The file's page list is held
/// during the call.
pub fn file_slots<P: Platform>(file: &File<P>, mut visit: impl FnMut(ListedSlot)) {
    object_slots(file.object(), &mut visit);
}

fn object_slots<P: Platform>(object: &Object<P>, visit: &mut impl FnMut(ListedSlot)) {
    let id = core::ptr::from_ref(object) as usize;
    object.each_swapped(|index, slot| {
        let (device, slot) = (slot.device.number(), slot.number);
        visit(ListedSlot { object: id, index, device, slot });
    });
}

/// The frame of page `index` of a file, if it is in memory. The file's page list is held during the
/// call.
pub fn file_page<P: Platform>(file: &File<P>, index: u64) -> Option<Pfn> {
    file.object().find(index)
}

/// Calls `visit` for every address space of which a walk would ask about page `index` of the file,
/// with the page that would show it there. The list of those who map the file is held during the
/// call.
pub fn file_mappers<P: Platform>(
    file: &File<P>,
    index: u64,
    mut visit: impl FnMut(SpaceId, VirtAddr),
) {
    let object = file.object();
    object.mappers().walk(index..index + 1, object.mem().platform(), |who, _| {
        visit(who.mm.id, who.page(index).start());
        Walk::On
    });
}

/// Drops a file without touching its frames.
///
/// # Safety
/// As for [`abandon`].
pub unsafe fn abandon_file<P: Platform>(file: File<P>) {
    file.object().abandon();
}

/// Calls `visit` for every address space that a walk of the frame's reverse map asks: those that
/// may map it. Nobody, if the frame is not mapped or is no anonymous page. The lock of the page's
/// family is held for reading during the call.
///
/// # Panics
/// When there is no such frame.
pub fn may_map<P: Platform>(memory: &Memory<P>, pfn: Pfn, visit: impl FnMut(SpaceId)) {
    memory.each_that_may_map(pfn, visit);
}

/// Drops the address space without touching its frames.
///
/// # Safety
/// The whole machine is discarded: from now on its address spaces are not used, except to be
/// abandoned, and no hold is released.
pub unsafe fn abandon<P: Platform>(space: AddressSpace<P>) {
    let inner = space.into_inner();
    inner.abandon();
}

impl<P: Platform> Space<P> {
    fn account(&self, visit: &mut impl FnMut(Pfn, Holder)) {
        let map = self.read_map();
        for area in map.iter() {
            if let Some(view) = area.backing.view() {
                let id = core::ptr::from_ref(&*view.object) as usize;
                view.object.each_page(|pfn| visit(pfn, Holder::Object(id)));
            }
        }
        visit(self.root(), Holder::Table);
        self.tables().each_table(self.end_page(), &mut |table| visit(table, Holder::Table));
        let walked: Result<(), Infallible> =
            self.tables().for_each_part(Vpn(0)..self.end_page(), |part, pages| {
                for (page, pte) in each_page(pages).map(|page| (page, part.read(page))) {
                    if let Some(pfn) = pte.counted() {
                        let locked = map.find(page).is_some_and(|area| area.locked == Locked::Yes);
                        let how = if locked { Holder::LockedMapping } else { Holder::Mapping };
                        visit(pfn, how);
                    }
                }
                Ok(Next::On)
            });
        let Ok(()) = walked;
    }

    fn abandon(&self) {
        for area in self.read_map().iter() {
            if let Some(view) = area.backing.view() {
                view.object.abandon();
            }
        }
    }
}
