//! The rules without which the reduced search would miss something, by name.
//!
//! Each has its place in `touch`, `dependence`, `dpor`, `future`, `states` or
//! `memory::picture`, where the code asks whether it [`Rule::holds`]. Outside this crate's tests it
//! always does, at no cost; `mutants` leaves each out in turn, and random programs must notice.

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A write races with the reads after it.
    WriteThenRead,
    /// A read races with the writes after it.
    ReadThenWrite,
    /// Two writes race.
    WriteThenWrite,
    /// Two lock acquisitions that exclude each other race.
    TakingThenTaking,
    /// An acquisition races with an attempt that fails after it.
    TakingThenFailed,
    /// An attempt that failed races with an acquisition after it.
    FailedThenTaking,
    /// An unlock races with an attempt that succeeds after it.
    UnlockThenTook,
    /// An unlock races with an attempt that fails after it.
    UnlockThenFailed,
    /// An attempt that failed races with an unlock after it.
    FailedThenUnlock,
    /// An acquisition is ordered after the unlock that made it possible.
    UnlockThenLock,
    /// A wait until no lane holds a lock exclusively races with acquisitions.
    SeeUnlocked,
    /// It races with the unlock, too: it may see an older state.
    UnlockThenSee,
    /// A failed attempt hides nothing that came before it from the backward scan.
    FailedHidesNothing,
    /// An acquisition that waits considers every shared acquisition that its lane does not know of.
    TakingsOneByOne,
    /// An acquisition moved before another still comes after everything that does not depend on
    /// that other.
    TakingsApart,
    /// The races of lanes that wait for a value are looked for when they block.
    BlockedWaits,
    /// They are looked for when the value changes, too.
    ChangedWaits,
    /// A lane may be born waiting.
    BornWaiting,
    /// The races of lanes that are locked out at the end are looked for.
    LockedOut,
    /// A sleeping lane wakes when it is disturbed.
    Wake,
    /// A sleeping lane is disturbed by what its step touched with any option.
    WakeForAnyOption,
    /// The step that comes first in a reversal depends on nothing else in it.
    InitialsFirst,
    /// What depends on the first step of a race is not part of its reversal.
    InitialsIndependent,
    /// Where the lane of the later step cannot run, another lane that can come first does.
    AnotherInitial,
    /// All options are tried.
    Options,
    /// Options that go back past a settled change are offered.
    Behind,
    /// Lanes that can only see a stale value run last.
    StaleLast,
    /// A step that starts a lane comes before everything that the lane does.
    StartedAfter,
    /// A state was explored only if no lane that is awake now slept there.
    ExploredAwake,
    /// The races of a remembered future with the present past are looked for.
    RememberedRaces,
    /// Lanes that may have to come before a step of a remembered future are tried.
    RememberedOthers,
    /// A lane that waits for a lock in a remembered future has no more before it than its own past.
    RememberedTakings,
    /// What lanes have seen is a part of a state, as far as it decides what may follow.
    Pictures,
    /// A place is closed only if every lane can access the last store alone.
    ClosedToAll,
    /// An update may come between stores, unless all of them are updates.
    UpdatesSealed,
    /// A lane that has not started may know as little as any that has.
    UnbornKnowLittle,
    /// Where another lane turns out to touch what was left out, nothing is remembered.
    LeftOutForGood,
    /// What a lane knows of a cell matters until it has met the last store.
    MattersUntilLast,
    /// What comes after the end of a lane that is seen depends on what is known.
    WithheldBeforeJoins,
    /// What a remembered future withheld must be withheld here, too.
    WithheldAgain,
    /// What may come before a look there, and comes after what was done here, orders that.
    WithheldAfterDeeds,
    /// So do later steps of the lanes that may come before it.
    WithheldAfterLanes,
    /// Older stores are withheld only where the last was executed last.
    WithheldAtPlainEnds,
    /// A look that was withheld on one way depends on what is known where it is not.
    WithheldOrKnown,
}

impl Rule {
    /// Whether the rule is kept.
    #[cfg(not(test))]
    #[inline(always)]
    pub(crate) const fn holds(self) -> bool {
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
        pub(crate) fn holds(self) -> bool {
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
