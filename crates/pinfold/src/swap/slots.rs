//! The slots of one device, as values under its lock.

use alloc::vec::Vec;

use crate::addr::Pfn;
use crate::error::NoMemory;
use crate::rules::swap::SwapDevice;
use crate::swap::shadow::Shadow;

/// Whether a page may change while a device writes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SwapWrites {
    /// It may: what is written may then be torn, and is written again before it is needed.
    Any,
    /// It may not: the device computes a checksum, say (Linux: SWP_STABLE_WRITES).
    Stable,
}

/// How much of a swap device is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SwapUsage {
    /// Its slots.
    pub slots: u64,
    /// Those that are free.
    pub free: u64,
    /// Those whose page is in memory.
    pub cached: u64,
}

/// The end of the list of free slots.
const END: u64 = u64::MAX;

/// What the word of a slot that is in use says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Says {
    /// Nothing.
    Nothing,
    /// Which page in memory the slot has.
    Page,
    /// What is known of the page that left memory for it ([`Shadow`]).
    Shadow,
}

/// What keeps the contents of a slot's page, as they were when it was on its way out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Keeper {
    /// The device.
    Device,
    /// Nothing: it was all zeros.
    Zeros,
}

/// Who has had the page of a slot come to memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Asked {
    /// Who wants it, or nobody: it is on its way out.
    Fault,
    /// A fault on another page. Nobody has asked for this one yet.
    Ahead,
}

/// One slot.
#[derive(Clone, Copy, Hash, Debug)]
struct One {
    /// Swap entries that name it, or the place of shared memory that does.
    users: u64,
    /// Operations that need it to stay.
    holds: u32,
    /// Whether one of them reads its page for itself, past the swap cache.
    claimed: bool,
    /// What keeps the contents of its page; of a free slot, the device.
    keeper: Keeper,
    /// Who has had its page come; without one, [`Asked::Fault`].
    asked: Asked,
    /// What `word` says; of a free slot, [`Says::Nothing`].
    says: Says,
    /// That; of a free slot, the next free one.
    word: u64,
}

/// The slots of a device.
#[derive(Hash, Debug)]
pub(crate) struct Slots {
    all: Vec<One>,
    first_free: u64,
    free: u64,
    /// Those that have users.
    named: u64,
    cached: u64,
    /// Whether a call is under way that takes the device out of use.
    leaving: bool,
    stable: bool,
    device: SwapDevice,
    /// Whether pages may still go there.
    open: bool,
}

/// What giving up a share of a slot has left, if that was the last one.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Idle {
    /// Others use the slot, or entries map its page.
    No,
    /// The slot is free, and had no page in memory.
    Free,
    /// The slot is free, and this page, which it had, is not in the swap cache any more: the
    /// cache's reference is the caller's.
    Page(Pfn),
}

/// What a search for unused slots has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unused {
    /// This one.
    Slot(u64),
    /// None before this one.
    GoOn(u64),
    /// None.
    None,
}

impl One {
    fn page(&self) -> Option<Pfn> {
        (self.says == Says::Page).then_some(Pfn(self.word))
    }

    fn shadow(&self) -> Option<Shadow> {
        (self.says == Says::Shadow).then_some(Shadow::from_bits(self.word))
    }
}

impl Slots {
    /// Of no device.
    pub(crate) const fn none() -> Self {
        Self {
            all: Vec::new(),
            first_free: END,
            free: 0,
            named: 0,
            cached: 0,
            leaving: false,
            stable: false,
            device: SwapDevice::Solid,
            open: false,
        }
    }

    /// So many, all free.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn new(
        slots: u64,
        writes: SwapWrites,
        device: SwapDevice,
    ) -> Result<Self, NoMemory> {
        let count = usize::try_from(slots).map_err(|_| NoMemory)?;
        let mut all = Vec::new();
        all.try_reserve_exact(count).map_err(|_| NoMemory)?;
        all.extend((1..=slots).map(|next| One {
            users: 0,
            holds: 0,
            claimed: false,
            keeper: Keeper::Device,
            asked: Asked::Fault,
            says: Says::Nothing,
            word: if next == slots { END } else { next },
        }));
        let stable = match writes {
            SwapWrites::Any => false,
            SwapWrites::Stable => true,
        };
        Ok(Self { all, first_free: 0, free: slots, stable, device, open: true, ..Self::none() })
    }

    /// Whether this is no device.
    pub(crate) fn is_off(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn usage(&self) -> SwapUsage {
        SwapUsage { slots: self.all.len() as u64, free: self.free, cached: self.cached }
    }

    /// Whether pages of the device must not change while they are written.
    pub(crate) fn is_stable(&self) -> bool {
        self.stable
    }

    /// What the device is like.
    pub(crate) fn device(&self) -> SwapDevice {
        self.device
    }

    /// Whether more than half of the slots are in use (Linux: `vm_swap_full`).
    pub(crate) fn is_short(&self) -> bool {
        self.free * 2 < self.all.len() as u64
    }

    /// No page goes there from now on; or it does again.
    pub(crate) fn set_open(&mut self, open: bool) {
        self.open = open;
    }

    /// Whether swap entries, or places of shared memory, name any slot.
    pub(crate) fn is_named(&self) -> bool {
        self.named > 0
    }

    /// The caller takes the device out of use, unless another is about that; whether he does. He
    /// alone replaces these slots, and waits for holds to end.
    pub(crate) fn begin_leaving(&mut self) -> bool {
        !core::mem::replace(&mut self.leaving, true)
    }

    /// He has given it up.
    pub(crate) fn end_leaving(&mut self) {
        self.leaving = false;
    }

    /// Whether somebody is about it.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving
    }

    fn one(&mut self, slot: u64) -> &mut One {
        &mut self.all[slot as usize]
    }

    /// Whether a page may go there that has no slot yet.
    pub(crate) fn has_room(&self) -> bool {
        self.open && self.first_free != END
    }

    /// Takes a free slot for a page, with a hold.
    pub(crate) fn take(&mut self) -> Option<u64> {
        if !self.has_room() {
            return None;
        }
        let slot = self.first_free;
        let one = self.one(slot);
        one.holds = 1;
        let next = one.word;
        self.first_free = next;
        self.free -= 1;
        Some(slot)
    }

    /// What keeps the contents of a slot.
    pub(crate) fn keeper(&self, slot: u64) -> Keeper {
        self.all[slot as usize].keeper
    }

    /// This does from now on.
    pub(crate) fn set_keeper(&mut self, slot: u64, keeper: Keeper) {
        self.one(slot).keeper = keeper;
    }

    /// The page of a slot was read for this one's sake.
    #[inline]
    pub(crate) fn set_asked(&mut self, slot: u64, asked: Asked) {
        self.one(slot).asked = asked;
    }

    /// Somebody asks for the page of a slot: who had it come.
    #[inline]
    pub(crate) fn ask(&mut self, slot: u64) -> Asked {
        core::mem::replace(&mut self.one(slot).asked, Asked::Fault)
    }

    /// How many swap entries name a slot; none, if the device has no such slot (any more).
    pub(crate) fn users(&self, slot: u64) -> u64 {
        self.all.get(slot as usize).map_or(0, |one| one.users)
    }

    /// The page of a slot that is in memory.
    pub(crate) fn page(&self, slot: u64) -> Option<Pfn> {
        let one = self.all.get(slot as usize)?;
        one.page()
    }

    /// Calls `visit` for each slot that is in use, with its users and holds, and its page.
    pub(crate) fn in_use(&self, mut visit: impl FnMut(u64, (u64, u32), Option<Pfn>)) {
        for (one, slot) in self.all.iter().zip(0..) {
            let page = one.page();
            if one.users > 0 || one.holds > 0 || page.is_some() {
                visit(slot, (one.users, one.holds), page);
            }
        }
    }

    /// The first slot from this one on that nothing needs but the page that it has; or where to go
    /// on looking, after so many that a lock can be held for; or nothing, at the end.
    pub(crate) fn next_unused(&self, from: u64) -> Unused {
        const MOST: usize = 1024;
        let rest = self.all.get(from as usize..).unwrap_or_default();
        let unused = |one: &One| one.says == Says::Page && one.users == 0 && one.holds == 0;
        match rest.iter().take(MOST).position(unused) {
            Some(at) => Unused::Slot(from + at as u64),
            None if rest.len() > MOST => Unused::GoOn(from + MOST as u64),
            None => Unused::None,
        }
    }

    /// Puts a page into the swap cache for a slot that has none. What the slot remembers of the
    /// page that left memory for it.
    pub(crate) fn enter(&mut self, slot: u64, pfn: Pfn) -> Option<Shadow> {
        let one = self.one(slot);
        debug_assert!(one.says != Says::Page, "a slot has one page");
        let shadow = one.shadow();
        (one.says, one.word) = (Says::Page, pfn.0);
        self.cached += 1;
        shadow
    }

    /// Another page is in the swap cache in place of a slot's page.
    pub(crate) fn replace(&mut self, slot: u64, pfn: Pfn) {
        let one = self.one(slot);
        debug_assert!(one.says == Says::Page, "what is replaced is there");
        one.word = pfn.0;
    }

    /// One more swap entry names the slot, which has a user or a hold.
    pub(crate) fn add_user(&mut self, slot: u64) {
        let one = self.one(slot);
        one.users += 1;
        let first = one.users == 1;
        self.named += u64::from(first);
    }

    /// A place of shared memory names the slot, which the caller holds, whose page is not in the
    /// swap cache: the slot remembers this of it.
    pub(crate) fn keep_for_list(&mut self, slot: u64, shadow: Option<Shadow>) {
        self.add_user(slot);
        if let Some(shadow) = shadow {
            let one = self.one(slot);
            (one.says, one.word) = (Says::Shadow, shadow.bits());
        }
    }

    /// The slot stays, for an operation.
    pub(crate) fn hold(&mut self, slot: u64) {
        self.one(slot).holds += 1;
    }

    /// Somebody reads the page of a slot for himself: he has the only hold from now on, unless
    /// there is one; whether he does (INV-PAST-1).
    pub(crate) fn claim(&mut self, slot: u64) -> bool {
        let one = self.one(slot);
        let may = one.holds == 0;
        if may {
            (one.holds, one.claimed) = (1, true);
        }
        may
    }

    /// He has read it.
    pub(crate) fn end_claim(&mut self, slot: u64) {
        let one = self.one(slot);
        debug_assert!(one.claimed && one.holds == 1, "a claim is the only hold");
        one.holds -= 1;
        one.claimed = false;
    }

    /// Whether somebody reads the page of a slot for himself.
    pub(crate) fn is_claimed(&self, slot: u64) -> bool {
        self.all[slot as usize].claimed
    }

    /// What a slot remembers of the page that left memory for it.
    pub(crate) fn shadow(&self, slot: u64) -> Option<Shadow> {
        self.all[slot as usize].shadow()
    }

    /// A swap entry less.
    pub(crate) fn drop_user(&mut self, slot: u64) {
        let one = self.one(slot);
        debug_assert!(one.users > 0, "a slot has lost more users than it had");
        one.users -= 1;
        let last = one.users == 0;
        self.named -= u64::from(last);
    }

    /// An operation is over.
    pub(crate) fn drop_hold(&mut self, slot: u64) {
        self.one(slot).holds -= 1;
    }

    /// Whether nothing but its page, or one that is to lose the slot, keeps the slot in use.
    pub(crate) fn is_unused(&self, slot: u64) -> bool {
        let one = &self.all[slot as usize];
        one.users == 0 && one.holds == 0
    }

    /// Whether one swap entry is all that needs the slot, but for its page.
    pub(crate) fn is_sole_user(&self, slot: u64) -> bool {
        let one = &self.all[slot as usize];
        one.users == 1 && one.holds == 0
    }

    /// A slot that is unused is free from now on.
    pub(crate) fn free(&mut self, slot: u64) -> Idle {
        debug_assert!(self.is_unused(slot));
        let idle = match self.leave(slot, None) {
            Some(pfn) => Idle::Page(pfn),
            None => Idle::Free,
        };
        let next = self.first_free;
        let one = self.one(slot);
        (one.says, one.word, one.keeper) = (Says::Nothing, next, Keeper::Device);
        self.first_free = slot;
        self.free += 1;
        idle
    }

    /// The page of a slot is not in the swap cache any more. The slot remembers this of it, for as
    /// long as it is in use, and until a page enters.
    pub(crate) fn leave(&mut self, slot: u64, shadow: Option<Shadow>) -> Option<Pfn> {
        let pfn = self.page(slot)?;
        let one = self.one(slot);
        match shadow {
            Some(shadow) => (one.says, one.word) = (Says::Shadow, shadow.bits()),
            None => one.says = Says::Nothing,
        }
        one.asked = Asked::Fault;
        self.cached -= 1;
        Some(pfn)
    }
}
