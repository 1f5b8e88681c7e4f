//! Groups of memory, as an embedder sees them: a flat form of the kernel's memory cgroups.

use core::fmt;

use crate::charge::{GroupId, Stat, Table};
use crate::error::NoMemory;
use crate::memory::Memory;
use crate::platform::Platform;
use crate::sync::Shared;

/// A group of memory: the address spaces that belong to it are charged for the pages that they
/// make, up to a limit.
///
/// A page is charged to the group of the address space that makes it: by the first touch or a copy
/// of private memory, by fork for the child, and for a page of a file or of shared memory by who
/// has it brought in. It stays charged there until it is freed, whoever uses it meanwhile, also
/// when its address space joins another group: only [`crate::AddressSpace::move_charge`] moves it.
/// A page that nobody's group is charged for stays so. Page tables are not charged.
///
/// What would exceed the limit fails as a shortage of frames does, with an error of its own, for
/// example [`crate::FaultError::OverLimit`]. Migration never does: its new page takes the charge of
/// the old one over.
///
/// [`crate::Limits::locked`] is another limit, of an address space: the pages that its pins and its
/// locked areas may have, whoever is charged for them.
///
/// Clones name the same group. It lives as long as one of them, an address space that belongs to
/// it, or a page that is charged to it.
///
/// ```
/// # use pinfold::{mock::Host, *};
/// # let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: 64 };
/// # // SAFETY: the host has these frames, and nobody else uses it.
/// # let memory = unsafe {
/// #     Memory::new(Host::<X86_64>::new(64), &[span], Rules::default(), Tuning::default())?
/// # };
/// let group = Group::new(&memory, 2)?;
/// let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>())?;
/// space.join(&group);
/// let range = space.map(Place::Anywhere, 3, Prot::READ_WRITE, Sharing::Private)?;
/// let short = space.populate(range, Access::Write).unwrap_err();
/// assert_eq!(short.error, FaultError::OverLimit { limit: 2 });
/// assert_eq!((group.charged(), group.stats().nr_anon_pages), (2, 2));
/// drop(space);
/// assert_eq!(group.charged(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Group<P: Platform> {
    mem: Shared<Memory<P>>,
    id: GroupId,
}

/// What a group counts of the pages that are charged to it, with the names of /proc/vmstat: exact
/// when nothing runs, under every rule that was released.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct GroupStats {
    /// Anonymous pages that an entry maps.
    pub nr_anon_pages: i64,
    /// Pages of files and of shared memory.
    pub nr_file_pages: i64,
    /// Those among them that have no store.
    pub nr_shmem: i64,
    /// Pages of files and of shared memory that an entry maps.
    pub nr_mapped: i64,
    /// Pages of files that are newer than the store.
    pub nr_dirty: i64,
    /// Pages that an entry of a locked area maps.
    pub nr_mlock: i64,
}

impl GroupStats {
    /// Names and values, in /proc/vmstat's spelling.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, i64)> + use<> {
        [
            ("nr_anon_pages", self.nr_anon_pages),
            ("nr_file_pages", self.nr_file_pages),
            ("nr_shmem", self.nr_shmem),
            ("nr_mapped", self.nr_mapped),
            ("nr_dirty", self.nr_dirty),
            ("nr_mlock", self.nr_mlock),
        ]
        .into_iter()
    }

    /// Each value, as `of` says.
    pub(crate) fn by(of: impl Fn(Stat) -> i64) -> Self {
        Self {
            nr_anon_pages: of(Stat::AnonPages),
            nr_file_pages: of(Stat::FilePages),
            nr_shmem: of(Stat::Shmem),
            nr_mapped: of(Stat::Mapped),
            nr_dirty: of(Stat::Dirty),
            nr_mlock: of(Stat::Mlock),
        }
    }
}

impl<P: Platform> Group<P> {
    /// A group to which at most `limit` pages may be charged; [`u64::MAX`] for no limit. The first
    /// one takes eight bytes of the heap for each frame of the machine. Each one looks at all
    /// groups that there have been at a time.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub fn new(memory: &Shared<Memory<P>>, limit: u64) -> Result<Self, NoMemory> {
        let id = memory.frames().found_group(limit)?;
        Ok(Self { mem: memory.clone(), id })
    }

    pub(crate) fn id(&self) -> GroupId {
        self.id
    }

    /// Whether it is a group of this machine.
    pub(crate) fn is_of(&self, memory: &Shared<Memory<P>>) -> bool {
        self.mem.same(memory)
    }

    fn with<R>(&self, look: impl FnOnce(&Table) -> R) -> Option<R> {
        self.mem.charges().map(look)
    }

    /// Whether both are the same group.
    pub fn same(&self, other: &Self) -> bool {
        self.mem.same(&other.mem) && self.id == other.id
    }

    /// The most pages that may be charged to it.
    pub fn limit(&self) -> u64 {
        self.with(|charges| charges.limit(self.id)).unwrap_or_default()
    }

    /// How many pages are charged to it.
    pub fn charged(&self) -> u64 {
        self.with(|charges| charges.charged(self.id)).unwrap_or_default()
    }

    /// What it counts of them.
    pub fn stats(&self) -> GroupStats {
        let stats = |charges: &Table| GroupStats::by(|stat| charges.stat(self.id, stat));
        self.with(stats).unwrap_or_default()
    }
}

impl<P: Platform> Clone for Group<P> {
    fn clone(&self) -> Self {
        let _ = self.with(|charges| charges.join(self.id));
        Self { mem: self.mem.clone(), id: self.id }
    }
}

impl<P: Platform> Drop for Group<P> {
    fn drop(&mut self) {
        let _ = self.with(|charges| charges.leave(self.id));
    }
}

/// Takes no lock.
impl<P: Platform> fmt::Debug for Group<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut group = f.debug_struct("Group");
        group
            .field("limit", &self.limit())
            .field("charged", &self.charged())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
