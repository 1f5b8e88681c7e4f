//! Files: a page cache over a store, and memory that is shared by name (memfd, tmpfs).

use alloc::boxed::Box;
use core::fmt;
use core::ops::Range;

use crate::addr::Pfn;
use crate::error::{FileError, NoMemory, OverLimit};
use crate::group::Group;
use crate::memory::Memory;
use crate::object::{Behind, Closed, Object, PageError, Shown};
use crate::platform::Platform;
use crate::store::Store;
use crate::swap::SwapId;
use crate::sync::Shared;
use crate::writeback::Unwritten;
use crate::zap::Which;

/// The highest number of pages: what a signed number of bytes can say, as on Linux.
pub(crate) const MOST_PAGES: u64 = 1 << 51;

/// A file, or memory with a name. Its pages are in memory from the first access until they are
/// taken out, or, if a store keeps them and they are clean, until memory is short
/// ([`Memory::reclaim`]): what is dirty stays until [`File::sync`]. Pages that no store keeps go to
/// a swap device then, if there is one ([`Memory::swap_on`]). Address spaces show them by
/// [`crate::AddressSpace::map_file`].
///
/// Clones name the same file. It lives as long as one of them or a mapping does. Then its pages go,
/// and what is dirty among them is lost: call [`File::sync`] before.
///
/// Lengths count pages. What a file holds of its last page is the embedder's to know: see
/// [`File::truncate_within`].
pub struct File<P: Platform> {
    object: Shared<Object<P>>,
    payer: Option<Group<P>>,
}

/// With the same payer.
impl<P: Platform> Clone for File<P> {
    fn clone(&self) -> Self {
        Self { object: self.object.clone(), payer: self.payer.clone() }
    }
}

impl<P: Platform> File<P> {
    /// A file of `pages` pages that `store` keeps. Writes are tracked: a page that is dirty is
    /// known to be, and reaches the store by [`File::sync`] or [`crate::AddressSpace::sync`].
    ///
    /// # Errors
    /// When there are more pages than a file can have, or the heap is exhausted.
    pub fn new(
        memory: &Shared<Memory<P>>,
        pages: u64,
        store: Box<dyn Store<P>>,
    ) -> Result<Self, FileError> {
        Self::of(memory, pages, Behind::Store(store))
    }

    /// Memory of `pages` pages with nothing behind it, zeros at first (memfd_create, tmpfs). Costs
    /// the same for any number.
    ///
    /// # Errors
    /// As [`File::new`].
    pub fn in_memory(memory: &Shared<Memory<P>>, pages: u64) -> Result<Self, FileError> {
        Self::of(memory, pages, Behind::Nothing)
    }

    fn of(memory: &Shared<Memory<P>>, pages: u64, behind: Behind<P>) -> Result<Self, FileError> {
        within(pages)?;
        Ok(Self { object: Object::new(memory.clone(), pages, behind)?, payer: None })
    }

    /// The same file, of which the pages that [`File::read`] and [`File::write`] by this handle
    /// bring in are charged to a group: to nobody's otherwise. Who maps the file is charged as his
    /// address space says.
    pub fn paid_by(&self, group: &Group<P>) -> Self {
        Self { object: self.object.clone(), payer: Some(group.clone()) }
    }

    fn show(&self, index: u64) -> Result<Shown<'_, P>, FileError> {
        let payer = self.payer.as_ref().map(Group::id);
        let show = || self.object.show::<false>(index, payer).map_err(|error| error.of(index));
        self.object.mem().relieved(show)
    }

    pub(crate) fn object(&self) -> &Shared<Object<P>> {
        &self.object
    }

    /// How many pages it has.
    pub fn pages(&self) -> u64 {
        self.object.count()
    }

    /// Whether both are the same file.
    pub fn same(&self, other: &Self) -> bool {
        self.object.same(&other.object)
    }

    /// Shows page `index` to `look`, as read(2) does: its frame stays the page's meanwhile, and
    /// others may write to it. `look` may not call the manager.
    ///
    /// # Errors
    /// When the page lies past the end, the store fails, frames or heap are exhausted, or the payer
    /// is at its limit.
    pub fn read<R>(&self, index: u64, look: impl FnOnce(Pfn) -> R) -> Result<R, FileError> {
        let shown = self.show(index)?;
        let seen = look(shown.pfn);
        self.object.mem().mark_accessed(shown.pfn);
        Ok(seen)
    }

    /// Lets `change` change page `index`, as write(2) does: under the page's lock, so that
    /// writeback comes before or after. Whoever has the page mapped or pinned sees the change, and
    /// a private mapping does until it has a copy. `change` may not call the manager.
    ///
    /// # Errors
    /// When the page lies past the end, the store fails or has no room, frames or heap are
    /// exhausted, or the payer is at its limit: nothing has changed.
    pub fn write<R>(&self, index: u64, change: impl FnOnce(Pfn) -> R) -> Result<R, FileError> {
        let mem = self.object.mem();
        loop {
            let shown = self.show(index)?;
            let pfn = shown.pfn;
            if let Some(_locked) = mem.try_lock_page(pfn) {
                if let Some(store) = self.object.store() {
                    store
                        .reserve(mem.platform(), index)
                        .map_err(|error| PageError::Store(error).of(index))?;
                }
                let changed = change(pfn);
                mem.mark_dirty(pfn);
                mem.mark_accessed(pfn);
                return Ok(changed);
            }
            mem.wait_page_without(pfn, shown);
        }
    }

    /// Brings the pages back that are on a swap device, which only those of memory without a store
    /// can be: what swapoff does with them, mapped or not, before [`Memory::swap_off`]. The payer
    /// of this handle is charged, whoever was before. How many came back.
    ///
    /// # Errors
    /// With the first page that does not come: when frames or heap are exhausted, the payer is at
    /// its limit, or the device fails. What came back before stays in memory.
    pub fn swap_in(&self, device: SwapId) -> Result<u64, FileError> {
        let payer = self.payer.as_ref().map(Group::id);
        self.object.swap_in(device, payer).map_err(|(index, error)| error.of(index))
    }

    /// Writes all dirty pages back (fsync). Returns how many there were.
    ///
    /// # Errors
    /// At the first page that the store does not take. It stays dirty, as do those after it.
    pub fn sync(&self) -> Result<u64, Unwritten> {
        self.sync_pages(0..MOST_PAGES)
    }

    /// As [`File::sync`], for some pages.
    ///
    /// # Errors
    /// As [`File::sync`].
    pub fn sync_pages(&self, pages: Range<u64>) -> Result<u64, Unwritten> {
        self.object.write_back(pages)
    }

    /// Makes it `pages` pages long (ftruncate). Pages past the new end go, wherever they are
    /// mapped, private copies included; accesses fail there from now on, with
    /// [`crate::FaultError::PastEnd`]. Holds keep their frames, which are nobody's any more: a
    /// device that has pinned one goes on with memory that no process sees (facts 7.8).
    ///
    /// # Errors
    /// When a file cannot have so many pages.
    pub fn truncate(&self, pages: u64) -> Result<(), FileError> {
        within(pages)?;
        self.object.close().truncate(pages);
        Ok(())
    }

    /// As [`File::truncate`], to an end that lies within the last page: `cut` is called with its
    /// frame, if the page is in memory or on a swap device, which it is brought back from, and
    /// zeros what lies past the end. The page's lock is held; `cut` may not call the manager. In
    /// the store the same is the embedder's to do.
    ///
    /// # Errors
    /// As [`File::truncate`]; and, with the last page, when that cannot be brought back: nothing
    /// has changed then.
    pub fn truncate_within(&self, pages: u64, cut: impl FnOnce(Pfn)) -> Result<(), FileError> {
        self.layout().truncate_within(pages, cut)
    }

    /// Makes a hole (fallocate with FALLOC_FL_PUNCH_HOLE): the pages are zeros from now on, in all
    /// shared mappings and where a private one still shows the file. Private copies stay.
    pub fn punch(&self, pages: Range<u64>) {
        self.layout().punch(pages);
    }

    /// Takes pages out of memory, so that the next access asks the store: what direct I/O does
    /// before it goes past the page cache. Call [`File::sync_pages`] before it.
    ///
    /// # Errors
    /// With the first page that stays, as it is dirty or held. The others are gone. Of memory
    /// without a store all stay, also those on a swap device.
    pub fn invalidate(&self, pages: Range<u64>) -> Result<(), FileError> {
        let stayed = self.object.close().invalidate(pages);
        stayed.map_or(Ok(()), |page| Err(FileError::Busy { page }))
    }

    /// Keeps everybody away from the pages: accesses that need one wait. For the owner of storage
    /// that is mapped directly (DAX), who must not give a block away that a device still writes.
    ///
    /// So do moves that can wait: the thread that has it does not call
    /// [`crate::AddressSpace::migrate`], `move_pages`, `move_range` or `Memory::offline` for pages
    /// of the file, nor takes a long-term pin of them; it would wait for itself.
    ///
    /// ```
    /// # use pinfold::{mock::Host, *};
    /// # let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: 16 };
    /// # // SAFETY: the host has these frames, and nobody else uses it.
    /// # let memory = unsafe {
    /// #     Memory::new(Host::<X86_64>::new(16), &[span], Rules::default(), Tuning::default())?
    /// # };
    /// # let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>())?;
    /// let file = File::in_memory(&memory, 2)?;
    /// let range = space.map_file(
    ///     Place::Anywhere,
    ///     Prot::READ_WRITE,
    ///     file.run(0..2),
    ///     FileSharing::Shared,
    /// )?;
    /// let pins = space.pin(range, Access::Write, Term::Short)?;
    /// assert_eq!(file.layout().busy(0..2), Some(0), "the device has it");
    /// drop(pins);
    /// let layout = file.layout();
    /// assert_eq!(layout.busy(0..2), None);
    /// layout.punch(0..2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn layout(&self) -> Layout<'_, P> {
        Layout { closed: self.object.close() }
    }

    /// Some of its pages, to be mapped.
    pub fn run(&self, pages: Range<u64>) -> FileRun<'_, P> {
        FileRun { file: self, pages }
    }
}

impl<P: Platform> fmt::Debug for File<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("tracked", &self.object.is_tracked()).finish_non_exhaustive()
    }
}

/// Pages of a file; they may lie past its end, where accesses fail as long as they do.
pub struct FileRun<'f, P: Platform> {
    pub(crate) file: &'f File<P>,
    pub(crate) pages: Range<u64>,
}

impl<P: Platform> fmt::Debug for FileRun<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRun").field("pages", &self.pages).finish_non_exhaustive()
    }
}

/// A file whose pages nobody can reach but by holds and entries that are there already: see
/// [`File::layout`]. Other accesses wait until it is dropped.
pub struct Layout<'f, P: Platform> {
    closed: Closed<'f, P>,
}

impl<P: Platform> fmt::Debug for Layout<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layout").finish_non_exhaustive()
    }
}

impl<P: Platform> Layout<'_, P> {
    /// Takes the pages out of all mappings, and says which is the first that somebody still holds:
    /// by a pin, or a reference of any kind. Without one nobody uses them, and nobody will as long
    /// as this lives.
    pub fn busy(&self, pages: Range<u64>) -> Option<u64> {
        self.closed.busy(pages)
    }

    /// As [`File::truncate_within`].
    ///
    /// # Errors
    /// As [`File::truncate_within`].
    pub fn truncate_within(mut self, pages: u64, cut: impl FnOnce(Pfn)) -> Result<(), FileError> {
        within(pages)?;
        let done = self.closed.truncate_within(pages, cut);
        done.map_err(|(index, error)| error.of(index))
    }

    /// As [`File::punch`].
    pub fn punch(mut self, pages: Range<u64>) {
        self.closed.punch(pages);
    }

    /// Takes the pages out of all mappings; private copies stay.
    pub fn unmap(&self, pages: Range<u64>) {
        self.closed.unmap(pages, Which::Cached);
    }
}

/// Whether a file can have so many pages.
fn within(pages: u64) -> Result<(), FileError> {
    if pages > MOST_PAGES { Err(FileError::TooLong { most: MOST_PAGES }) } else { Ok(()) }
}

impl PageError {
    /// The error of an operation on that page of a file.
    fn of(self, page: u64) -> FileError {
        match self {
            Self::PastEnd => FileError::PastEnd { page },
            Self::Store(error) => FileError::Store { page, error },
            Self::OutOfFrames => FileError::OutOfFrames,
            Self::OverLimit(OverLimit { limit }) => FileError::OverLimit { limit },
            Self::NoMemory => FileError::NoMemory,
        }
    }
}

impl From<NoMemory> for FileError {
    fn from(NoMemory: NoMemory) -> Self {
        Self::NoMemory
    }
}

#[cfg(test)]
mod tests;
