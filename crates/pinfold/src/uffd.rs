//! The words of userfaultfd: what a monitor is told of, and why (facts 7.14).

use core::fmt;

bitflags::bitflags! {
    /// What the owner of a userfaultfd wants to be told of (UFFDIO_REGISTER_MODE_\*), and in which
    /// way (UFFD_FEATURE_\*).
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct UffdMode: u8 {
        /// Accesses where there is no page: in shared memory, and where private memory shows it,
        /// none that others have made either.
        const MISSING = 1;
        /// Writes where [`crate::AddressSpace::uffd_write_protect`] has been.
        const WP = 1 << 1;
        /// Accesses to pages of shared memory that are there, and not mapped here.
        const MINOR = 1 << 2;
        /// With [`UffdMode::WP`]: protection reaches pages of private memory that nobody has
        /// touched. Without it they are passed over; shared memory is protected in any case.
        const WP_UNPOPULATED = 1 << 3;
        /// A child's areas are registered as well, and the monitor hears of the fork
        /// ([`crate::EventKind::UffdForked`]). Without it they are not.
        const EVENT_FORK = 1 << 4;
        /// An area that is moved stays registered, and the monitor hears of it
        /// ([`crate::EventKind::UffdMoved`]). Without it the area is not any more.
        const EVENT_REMAP = 1 << 5;
    }
}

impl UffdMode {
    /// Those that say what a monitor is told of, of which a registration needs one.
    pub(crate) const WATCHES: Self = Self::MISSING.union(Self::WP).union(Self::MINOR);
}

/// A userfaultfd, by the number that its owner has chosen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct UffdId(pub u32);

impl fmt::Display for UffdId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "userfaultfd {}", self.0)
    }
}

/// Why a monitor is told of an access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UffdReason {
    /// There is no page.
    Missing,
    /// The page is protected from writes.
    Wp,
    /// The page is there, and not mapped.
    Minor,
}

impl fmt::Display for UffdReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the page is missing",
            Self::Wp => "the page is protected from writes",
            Self::Minor => "the page is there and not mapped",
        })
    }
}

/// How an area is registered: not at all where the mode is empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Registration {
    pub(crate) id: UffdId,
    pub(crate) mode: UffdMode,
}

impl Registration {
    /// Whether nobody is told of anything.
    #[inline]
    pub(crate) fn is_none(self) -> bool {
        self.mode.is_empty()
    }

    /// Whether somebody is told of this.
    #[inline]
    pub(crate) fn has(self, mode: UffdMode) -> bool {
        self.mode.contains(mode)
    }

    /// What is left of it where an event goes untold, unless it was asked for.
    pub(crate) fn after(self, event: UffdMode) -> Self {
        if self.has(event) { self } else { Self::default() }
    }
}
