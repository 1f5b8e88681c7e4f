//! The locks of one execution: who holds them.
//!
//! INV-LOCK-1: a lock is held by one lane exclusively, or by any number of lanes shared, or by nobody.

use crate::{hook::Mode, object::Object};

#[derive(Clone, Copy, Debug, Default)]
struct Holders {
    exclusive: bool,
    shared: u32,
}

/// The state of all locks, indexed by object.
#[derive(Default)]
pub(crate) struct Locks {
    held: Vec<Holders>,
}

impl Locks {
    /// Releases everything, for the next execution.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
    }

    /// Whether the lock could be taken now.
    pub(crate) fn is_free(&self, lock: Object, mode: Mode) -> bool {
        let Some(held) = self.held.get(lock as usize) else { return true };
        match mode {
            Mode::Exclusive => !held.exclusive && held.shared == 0,
            Mode::Shared => !held.exclusive,
        }
    }

    /// Takes the lock, which must be free for `mode`.
    pub(crate) fn take(&mut self, lock: Object, mode: Mode) {
        let index = lock as usize;
        if self.held.len() <= index {
            self.held.resize(index + 1, Holders::default());
        }
        let held = &mut self.held[index];
        match mode {
            Mode::Exclusive => held.exclusive = true,
            Mode::Shared => held.shared += 1,
        }
    }

    /// Gives the lock back. Giving back a lock that is not held changes nothing.
    pub(crate) fn release(&mut self, lock: Object, mode: Mode) {
        if let Some(held) = self.held.get_mut(lock as usize) {
            match mode {
                Mode::Exclusive => held.exclusive = false,
                Mode::Shared => held.shared = held.shared.saturating_sub(1),
            }
        }
    }
}
