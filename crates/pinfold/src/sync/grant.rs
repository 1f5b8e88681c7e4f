//! Who grants a lock, the lock's own code or an explorer, and how it is given back.

/// Whether an explorer implements the locks: then they are its own objects. Otherwise they run
/// their own code, on words that an exploration sees.
#[cfg(feature = "explore")]
#[inline]
pub(super) fn by_explorer() -> bool {
    use pinfold_explore::hook;
    hook::active() && !hook::locks_are_code()
}

/// Whether the caller enters what another holds. A lane of an abandoned execution does so while it
/// unwinds: the holder is suspended for good, so nobody would ever open the lock. The explorer's
/// own locks are not asked then either.
#[cfg(feature = "explore")]
#[inline]
pub(super) fn enters_anyway() -> bool {
    pinfold_explore::hook::unwinds()
}

/// Runs a step that gives a lock back. A lane that an execution's end leaves just before this step
/// never takes it: then `instead` releases the real word, for the teardown of the world.
#[inline(always)]
pub(super) fn giving_back<R>(give: impl FnOnce() -> R, instead: impl FnOnce()) -> R {
    #[cfg(feature = "explore")]
    {
        struct Unwound<F: FnOnce()>(Option<F>);
        impl<F: FnOnce()> Drop for Unwound<F> {
            fn drop(&mut self) {
                if let Some(instead) = self.0.take() {
                    instead();
                }
            }
        }
        let mut unwound = Unwound(Some(instead));
        let result = give();
        unwound.0 = None;
        result
    }
    #[cfg(not(feature = "explore"))]
    {
        let _ = instead;
        give()
    }
}

/// Who granted a lock: a guard gives it back to the same one, even if the exploration has ended in
/// the meantime.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taken {
    Native,
    #[cfg(feature = "explore")]
    Explorer,
    /// Nobody did: a lane that unwinds has entered beside the holder, and gives nothing back.
    #[cfg(feature = "explore")]
    Nobody,
}
