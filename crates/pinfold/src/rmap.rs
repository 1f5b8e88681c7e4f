//! Reverse maps of anonymous pages: which address spaces may map a page.
//!
//! A family consists of all areas that descend by fork from one area. A page knows its family by an
//! id that is never used twice, and its virtual page number, which is the same in every member; a
//! walk asks each member's tables.
//!
//! Protocol: the member list is under a sleeping lock, below the address spaces' locks and the page
//! lock, above the page-table locks. A walk holds it for reading. A member is a value, not an
//! owner: INV-RMAP-3 says what keeps its root table alive.
//!
//! Invariants:
//! - INV-RMAP-1: a mapped anonymous page's family exists and lists every space that maps it (facts
//!   6.5).
//! - INV-RMAP-2: a child is listed after its parent, so a walk that runs during fork finds the
//!   entry in one of the two.
//! - INV-RMAP-3: a listed member's root table is alive. A space leaves the families of all its
//!   areas, each under the write lock of the member list, before exit retires the root, which
//!   happens nowhere else. So a walk, which holds the list for reading, may follow every root that
//!   it finds there; the tables below are protected by the walk section, since an unmap may free
//!   them during the walk.

use alloc::vec::Vec;

use crate::addr::Mm;
use crate::error::NoMemory;
use crate::sync::{self, CellName, Inside, Masks, Park, RwSem, Shared, SpinLock, SpinLocked};

/// Names a family in a frame's mapping word. Zero is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AnonId(pub(crate) u64);

/// The members of a family.
pub(crate) struct Family {
    id: AnonId,
    members: RwSem<Vec<Member>>,
}

struct Member {
    mm: Mm,
    /// How many areas of the space belong to the family. Never zero.
    areas: usize,
}

/// All families of a machine, by id.
pub(crate) struct AnonRegistry {
    slots: SpinLock<Slots>,
}

struct Slots {
    families: Vec<Option<Shared<Family>>>,
    free: Vec<usize>,
    /// The next id's upper half: no two families share an id, even in the same slot.
    generation: u64,
}

const SLOT_BITS: u32 = 32;

impl AnonRegistry {
    pub(crate) fn new() -> Self {
        Self {
            slots: SpinLock::new(Slots { families: Vec::new(), free: Vec::new(), generation: 1 }),
        }
    }

    /// Names the lock for a trace, once it is in its final place.
    pub(crate) fn label(&self) {
        let slots = &self.slots;
        sync::label(slots, size_of_val(slots), |_| CellName::Object {
            object: "families",
            index: 0,
            cell: "",
        });
    }

    /// A family with one area of `mm` as its first member.
    pub(crate) fn found(&self, mm: Mm, park: &impl Park) -> Result<Shared<Family>, NoMemory> {
        let family = self.create()?;
        match family.join(mm, park) {
            Ok(()) => Ok(family),
            Err(error) => {
                self.remove(family.id());
                Err(error)
            }
        }
    }

    fn lock(&self) -> Inside<SpinLocked<'_, Slots>> {
        Inside::lock(Masks::Preemption, || self.slots.lock())
    }

    fn create(&self) -> Result<Shared<Family>, NoMemory> {
        let mut slots = self.lock();
        let slot = match slots.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = slots.families.len();
                slots.families.try_reserve(1).map_err(|_| NoMemory)?;
                let wanted = slot + 1 - slots.free.len();
                slots.free.try_reserve(wanted).map_err(|_| NoMemory)?;
                slots.families.push(None);
                slot
            }
        };
        let id = AnonId((slots.generation << SLOT_BITS) | slot as u64);
        slots.generation += 1;
        match Shared::try_new(Family { id, members: RwSem::new(Vec::new()) }) {
            Ok(family) => {
                let members = &family.members;
                sync::label(members, size_of_val(members), move |offset| CellName::Object {
                    object: "family",
                    index: slot as u64,
                    cell: RwSem::<Vec<Member>>::name(offset, "members", "members' gate"),
                });
                slots.families[slot] = Some(family.clone());
                Ok(family)
            }
            Err(error) => {
                slots.free.push(slot);
                Err(error)
            }
        }
    }

    /// The family with this id, if it still has members.
    pub(crate) fn find(&self, id: AnonId) -> Option<Shared<Family>> {
        let slots = self.lock();
        let slot = (id.0 & ((1 << SLOT_BITS) - 1)) as usize;
        slots.families.get(slot)?.as_ref().filter(|family| family.id == id).cloned()
    }

    fn remove(&self, id: AnonId) {
        let mut slots = self.lock();
        let slot = (id.0 & ((1 << SLOT_BITS) - 1)) as usize;
        let gone = slots.families[slot].take();
        slots.free.push(slot);
        drop(slots);
        drop(gone);
    }
}

impl Family {
    pub(crate) fn id(&self) -> AnonId {
        self.id
    }

    /// One more area of `mm` belongs to the family; INV-RMAP-2 is why a new member is listed last.
    /// Cannot fail for an existing member.
    pub(crate) fn join(&self, mm: Mm, park: &impl Park) -> Result<(), NoMemory> {
        let mut members = self.members.write(park);
        if let Some(member) = members.iter_mut().find(|member| member.mm == mm) {
            member.areas += 1;
            return Ok(());
        }
        members.try_reserve(1).map_err(|_| NoMemory)?;
        members.push(Member { mm, areas: 1 });
        Ok(())
    }

    /// An area of `mm` has left; the last of all areas removes the family from the registry.
    pub(crate) fn leave(&self, mm: Mm, registry: &AnonRegistry, park: &impl Park) {
        let mut members = self.members.write(park);
        let Some(at) = members.iter().position(|member| member.mm == mm) else {
            return;
        };
        members[at].areas -= 1;
        if members[at].areas == 0 {
            members.remove(at);
        }
        let empty = members.is_empty();
        drop(members);
        if empty {
            registry.remove(self.id);
        }
    }

    /// Calls `visit` for each member, parents before children, as long as `visit` says to continue.
    pub(crate) fn walk(&self, park: &impl Park, mut visit: impl FnMut(Mm) -> Walk) {
        let members = self.members.read(park);
        for member in members.iter() {
            if visit(member.mm) == Walk::Stop {
                return;
            }
        }
    }
}

/// Whether a walk continues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Walk {
    On,
    Stop,
}
