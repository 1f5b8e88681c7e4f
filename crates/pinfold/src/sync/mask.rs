//! What a kernel does around the manager's spin locks: disable preemption or interrupts.
//!
//! Protocol: an embedder installs its hooks once, before the first address space. Each spin lock is
//! taken inside a section, which ends after the lock is released. Nothing is called if no hooks are
//! installed; without the feature `spin-hooks` there are none, and sections compile to nothing.
//!
//! Invariants:
//! - INV-MASK-1: a section ends on the CPU that began it and by the same hooks, sections end in the
//!   reverse order, and nothing sleeps inside one.
//! - INV-MASK-2: interrupts are off in no section in which a flush waits for other CPUs: page
//!   tables' locks switch off preemption only.
//! - INV-MASK-3: releasing a hold takes no lock but those that switch interrupts off, so that an
//!   interrupt handler may do it.

use core::ops::{Deref, DerefMut};

/// What a section switches off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Masks {
    /// Preemption: the holder of a page table's lock keeps running while others spin for it.
    Preemption,
    /// Preemption and interrupts: the frame allocator's locks, which an interrupt handler may want.
    Interrupts,
}

/// A lock's guard inside a section. Dropped in the order of the fields: INV-MASK-1.
#[must_use]
pub(crate) struct Inside<G> {
    guard: G,
    _masked: Masked,
}

impl<G> Inside<G> {
    /// Begins a section and takes the lock in it.
    #[inline]
    pub(crate) fn lock(masks: Masks, lock: impl FnOnce() -> G) -> Self {
        let masked = Masked::begin(masks);
        Self { guard: lock(), _masked: masked }
    }
}

impl<G: Deref> Deref for Inside<G> {
    type Target = G::Target;
    #[inline]
    fn deref(&self) -> &G::Target {
        &self.guard
    }
}

impl<G: DerefMut> DerefMut for Inside<G> {
    #[inline]
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.guard
    }
}

#[cfg(feature = "spin-hooks")]
pub use hooked::{SpinHooks, install};

#[cfg(feature = "spin-hooks")]
use hooked::Masked;

#[cfg(feature = "spin-hooks")]
mod hooked {
    use core::marker::PhantomData;
    use core::ptr;
    use core::sync::atomic::{AtomicPtr, Ordering};

    use super::Masks;

    /// The functions of a kernel that begin and end a section.
    #[derive(Debug)]
    pub struct SpinHooks {
        /// Switches off, and returns what `exit` needs: the previous interrupt flag, for instance.
        /// Sections nest.
        pub enter: fn(Masks) -> usize,
        /// Restores the state from before the section.
        pub exit: fn(Masks, usize),
    }

    static HOOKS: AtomicPtr<SpinHooks> = AtomicPtr::new(ptr::null_mut());

    /// Lets `hooks` surround every spin lock from now on, of all machines in the program. Sections
    /// that are open at the call end without them.
    pub fn install(hooks: &'static SpinHooks) {
        HOOKS.store(ptr::from_ref(hooks).cast_mut(), Ordering::Release);
    }

    /// A section; ends on drop. Bound to its CPU, so it cannot be sent.
    #[must_use]
    pub(super) struct Masked {
        begun: Option<(&'static SpinHooks, usize)>,
        masks: Masks,
        here: PhantomData<*const ()>,
    }

    impl Masked {
        /// Begins a section.
        #[inline]
        pub(super) fn begin(masks: Masks) -> Self {
            // SAFETY: only `install` writes the pointer, from a reference that lives for ever.
            let hooks = unsafe { HOOKS.load(Ordering::Acquire).as_ref() };
            let begun = hooks.map(|hooks| (hooks, (hooks.enter)(masks)));
            Self { begun, masks, here: PhantomData }
        }
    }

    impl Drop for Masked {
        #[inline]
        fn drop(&mut self) {
            if let Some((hooks, state)) = self.begun {
                (hooks.exit)(self.masks, state);
            }
        }
    }
}

/// A section that switches nothing off.
#[cfg(not(feature = "spin-hooks"))]
#[must_use]
struct Masked;

#[cfg(not(feature = "spin-hooks"))]
impl Masked {
    #[inline]
    fn begin(_: Masks) -> Self {
        Self
    }
}
