//! The rules without which the reduced search would miss something, by name.
//!
//! Each has its place in `touch`, `dependence` or `dpor`, where it asks whether it [`Rule::holds`].
//! Outside this crate's tests it always does, at no cost; `mutants` leaves each out in turn, and
//! random programs must notice.

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// A write races with the reads after it.
    WriteThenRead,
    /// A read races with the writes after it.
    ReadThenWrite,
    /// Two writes race.
    WriteThenWrite,
    /// Two takings of a lock that exclude each other race.
    TakingThenTaking,
    /// A taking races with an attempt that fails after it.
    TakingThenFailed,
    /// An attempt that failed races with a taking after it.
    FailedThenTaking,
    /// A giving back races with an attempt that succeeds after it.
    UnlockThenTook,
    /// A giving back races with an attempt that fails after it.
    UnlockThenFailed,
    /// An attempt that failed races with a giving back after it.
    FailedThenUnlock,
    /// A taking is ordered after the giving back that made it possible.
    UnlockThenLock,
    /// Who waits until nobody has a lock alone races with takings.
    SeeUnlocked,
    /// They race with the giving back, too: they may see an older state.
    UnlockThenSee,
    /// A failed attempt hides nothing that came before it.
    FailedHidesNothing,
    /// A taking that waits looks at every taking of those who share the lock that its lane knows
    /// nothing of.
    TakingsOneByOne,
    /// A taking that comes before another still comes after what does not depend on that other.
    TakingsApart,
    /// Lanes that wait for a value have their races looked for when they block.
    BlockedWaits,
    /// They have them looked for when the value changes, too.
    ChangedWaits,
    /// A lane may be born waiting.
    BornWaiting,
    /// Lanes that are locked out at the end have their races looked for.
    LockedOut,
    /// A sleeping lane wakes when it is disturbed.
    Wake,
    /// A sleeping lane is disturbed by what its step touched with any option.
    WakeForAnyOption,
    /// Who comes first in a reversal depends on nothing else in it.
    InitialsFirst,
    /// What depends on the first step of a race is no part of its reversal.
    InitialsIndependent,
    /// Where the lane of the later step cannot go, another that comes first does.
    AnotherInitial,
    /// All options are tried.
    Options,
    /// Options behind a change that is settled are offered.
    Behind,
    /// Who can only see an older value goes last.
    StaleLast,
    /// A step that starts a lane comes before all that the lane does.
    StartedAfter,
}

impl Rule {
    /// Whether the rule is kept.
    #[cfg(not(test))]
    #[inline(always)]
    pub(super) const fn holds(self) -> bool {
        true
    }
}

#[cfg(test)]
pub(super) mod leave_out {
    //! One rule at a time, for the thread.

    use super::Rule;
    use std::cell::Cell;

    thread_local! {
        static LEFT_OUT: Cell<Option<Rule>> = const { Cell::new(None) };
    }

    impl Rule {
        /// Whether the rule is kept.
        pub(in crate::search) fn holds(self) -> bool {
            LEFT_OUT.get() != Some(self)
        }
    }

    /// Runs something without a rule.
    pub(in crate::search) fn without<R>(rule: Rule, run: impl FnOnce() -> R) -> R {
        LEFT_OUT.set(Some(rule));
        let result = run();
        LEFT_OUT.set(None);
        result
    }
}
