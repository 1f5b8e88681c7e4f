//! What a lock hands over: the clocks of those who gave it back.

use crate::{
    clock::{Clocks, join},
    hook::Mode,
    lock::excludes,
    object::Object,
};

/// The clocks of all locks of an execution, by object.
#[derive(Default)]
pub(super) struct Handovers {
    exclusive: Clocks,
    shared: Clocks,
}

impl Handovers {
    /// Forgets everything, for the next execution.
    pub(super) fn clear(&mut self) {
        self.exclusive.reset(0);
        self.shared.reset(0);
    }

    /// Makes room for so many lanes.
    pub(super) fn widen(&mut self, lanes: usize) {
        self.exclusive.widen(lanes);
        self.shared.widen(lanes);
    }

    /// The lock was taken: joins into `clock` what its former holders did. Those who shared it mean
    /// nothing to one who shares it too.
    pub(super) fn acquire(&self, lock: Object, mode: Mode, clock: &mut [u32]) {
        let lock = lock as usize;
        for (held, clocks) in [(Mode::Exclusive, &self.exclusive), (Mode::Shared, &self.shared)] {
            if excludes(held, mode) && lock < clocks.rows() {
                join(clock, clocks.row(lock));
            }
        }
    }

    /// The lock is given back by a lane with this clock.
    pub(super) fn release(&mut self, lock: Object, mode: Mode, clock: &[u32]) {
        let clocks = match mode {
            Mode::Exclusive => &mut self.exclusive,
            Mode::Shared => &mut self.shared,
        };
        clocks.grow(lock as usize + 1);
        join(clocks.row_mut(lock as usize), clock);
    }
}
