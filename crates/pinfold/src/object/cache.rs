//! The pages that an object has, and who maps them: what outlives the object for those who move a
//! page of it.
//!
//! Protocol: the object owns its cache. A page names the cache that has it, by a word in its frame,
//! from before the flag `CACHED` is set until that goes, which it does under the page's lock. So
//! who holds the page's lock and sees the flag finds a cache that has an owner, and becomes one
//! more for as long as he needs it ([`Memory::listed_at`]). The object's end takes each page out
//! under its lock like anybody else; what is left for later owners is an empty list.

use crate::addr::Pfn;
use crate::error::NoMemory;
use crate::memory::Memory;
use crate::platform::Platform;
use crate::sync::{self, CellName, RwSem, Shared};

use super::mappers::Mappers;
use super::pages::Pages;

/// The list of pages, and the length.
pub(crate) struct List {
    pub(super) pages: Pages<Pfn>,
    /// How many pages there may be.
    pub(super) count: u64,
}

impl List {
    /// Another page takes the place of the one with this index, which is there.
    pub(crate) fn replace(&mut self, index: u64, to: Pfn) {
        // The place is there, so no memory is needed.
        if let Ok(slot) = self.pages.slot(index) {
            *slot = Some(to);
        }
    }
}

/// See the module.
pub(crate) struct Cache {
    pub(crate) list: RwSem<List>,
    pub(crate) mappers: Mappers,
}

/// Where a page of an object is listed, which keeps the list, but not the page in it.
pub(crate) struct Listed {
    pub(crate) cache: Shared<Cache>,
    pub(crate) index: u64,
}

impl Cache {
    /// Of an object with this number and so many pages, none of which exists yet.
    pub(super) fn new(number: u64, count: u64) -> Result<Shared<Self>, NoMemory> {
        let list = RwSem::new(List { pages: Pages::new(), count });
        let this = Shared::try_new(Self { list, mappers: Mappers::new() })?;
        let list = &this.list;
        sync::label(&raw const *list, size_of_val(list), move |offset| CellName::Object {
            object: "file",
            index: number,
            cell: RwSem::<List>::name(offset, "page list", "page list's gate"),
        });
        this.mappers.label(number);
        Ok(this)
    }
}

impl<P: Platform> Memory<P> {
    /// Where a page is listed, whose lock the caller holds; nowhere, if it is no page of an object
    /// or has left it.
    pub(crate) fn listed_at(&self, pfn: Pfn) -> Option<Listed> {
        if !self.frames().flags(pfn).is_cached() {
            return None;
        }
        let (word, index) = self.frames().owner(pfn);
        // SAFETY: `Object::add_as` set the word of its cache before the flag, which is still there
        // (INV-OBJECT-1). Under the page's lock it stays, and with it the object, which owns the
        // cache.
        let cache = unsafe { Shared::<Cache>::of_word(word) };
        Some(Listed { cache, index })
    }
}
