//! Stores that are ready to use: memory of the heap, and a file of the host.
//!
//! ```
//! use pinfold::stores::MemoryStore;
//! use pinfold::{File, FileError, Memory, NodeId, NodeSpan, Pfn, Rules, StoreError, Tuning};
//! use pinfold::{X86_64, mock::Host};
//!
//! let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: 64 };
//! // SAFETY: the host has these frames, and nobody else uses it.
//! let memory = unsafe {
//!     Memory::new(Host::<X86_64>::new(64), &[span], Rules::default(), Tuning::default())?
//! };
//! // A file of a thousand pages, on a medium that has room for two.
//! let store = MemoryStore::new(2)?;
//! let file = File::new(&memory, 1000, Box::new(store.clone()))?;
//! let write = |page| file.write(page, |_frame| {});
//! write(7)?;
//! write(800)?;
//! let full = FileError::Store { page: 9, error: StoreError::NoSpace };
//! assert_eq!(write(9), Err(full));
//! file.punch(7..8);
//! write(9)?;
//! assert_eq!((file.sync()?, store.pages()), (2, 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod memory;
#[cfg(all(unix, any(test, feature = "std")))]
mod on_file;
#[cfg(test)]
mod tests;

pub use memory::MemoryStore;
#[cfg(all(unix, any(test, feature = "std")))]
#[cfg_attr(docsrs, doc(cfg(feature = "std")))]
pub use on_file::FileStore;
