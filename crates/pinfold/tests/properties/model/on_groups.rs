//! Groups of memory: who belongs to which, and what must hold of their counts after each step.
//!
//! A page is charged to the group of the process that makes it, and moves by `move-charge` alone.
//! What each group counts is added up anew over all frames ([`crate::testing::Audit`]).

use super::World;
use crate::ops::{GROUPS, Run};
use crate::testing::{Mem, Rig};
use pinfold::{Format, Group, SpaceError};

/// The limits of the groups: one that is never reached, and one that soon is.
const LIMITS: [u64; GROUPS] = [1 << 20, 9];

pub(super) fn groups<F: Format>(mem: &Mem<F>) -> Vec<Group<Rig<F>>> {
    LIMITS.into_iter().map(|limit| Group::new(mem, limit).unwrap()).collect()
}

impl<F: Format> World<F> {
    pub(super) fn join(&mut self, who: usize, group: usize) {
        let count = self.processes.len().max(1);
        if let Some(process) = self.processes.get(who % count) {
            process.space.join(&self.groups[group]);
        }
    }

    /// As many pages leave one group as the other gets; all or none.
    pub(super) fn move_charge(&mut self, who: usize, run: Run, from: usize) {
        let range = self.range(run);
        let (from, to) = (&self.groups[from], &self.groups[(from + 1) % GROUPS]);
        let count = self.processes.len().max(1);
        let Some(process) = self.processes.get(who % count) else { return };
        let before = (from.charged(), to.charged());
        let moved = match process.space.move_charge(range, from, to) {
            Ok(done) => done.moved,
            Err(SpaceError::OverLimit { limit }) => {
                assert_eq!(limit, to.limit());
                0
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!((from.charged(), to.charged()), (before.0 - moved, before.1 + moved));
    }

    pub(super) fn check_limits(&self) {
        assert!(self.groups.iter().all(|group| group.charged() <= group.limit()));
    }

    /// Nothing is left that anybody pays for.
    pub(super) fn check_nothing_charged(&self) {
        for group in &self.groups {
            let counts: i64 = group.stats().iter().map(|(_, count)| count).sum();
            assert_eq!((group.charged(), counts), (0, 0));
        }
    }
}
