//! Locks of an execution that are no part of the memory manager, by names.

use std::sync::Arc;

use pinfold_explore::hook::{self, Mode};

/// A lock for each name. The address of its place is the lock's own name.
pub(crate) struct Locks {
    /// What the locks are, for a trace.
    what: &'static str,
    /// In order, each once.
    names: Arc<[String]>,
    places: Box<[u64]>,
}

/// A lock that is held, released on drop.
#[must_use = "dropping it releases the lock"]
pub(crate) struct Held<'a> {
    lock: usize,
    mode: Mode,
    _of: &'a Locks,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        hook::unlock(self.lock, self.mode);
    }
}

impl Locks {
    /// Nobody holds one. `names` are in order, each once.
    pub(crate) fn new(what: &'static str, names: &Arc<[String]>) -> Self {
        Self { what, names: Arc::clone(names), places: vec![0; names.len()].into() }
    }

    /// Names the locks in a trace.
    pub(crate) fn label(&self) {
        let (start, len) = (self.places.as_ptr() as usize, size_of_val(&*self.places));
        let (what, names) = (self.what, Arc::clone(&self.names));
        hook::label(start, len, move |offset| {
            format!("{what} of {}", names[offset / size_of::<u64>()])
        });
    }

    /// Takes the lock of a name; none if it has no lock.
    pub(crate) fn take(&self, name: &str, mode: Mode) -> Option<Held<'_>> {
        let at = self.names.binary_search_by(|known| known.as_str().cmp(name)).ok()?;
        let lock = &raw const self.places[at] as usize;
        hook::lock(lock, mode);
        Some(Held { lock, mode, _of: self })
    }
}
