//! Interfaces that came after the oldest release: is there one under a rule set? (facts 7.15)
//!
//! One switch, [`Interfaces`], says up to which of them; its variants follow each other in history,
//! and each has all that those before it have. A release without an interface has no rule for what
//! would go through it, so nothing is modelled there: who is asked for a step on it refuses.

use core::fmt;

use super::{Interfaces, Rules, VariantInfo};

/// Something that programs or drivers ask a kernel for, and that some releases do not have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Interface {
    /// process_vm_readv(2) and process_vm_writev(2).
    ProcessVm,
    /// Automatic NUMA balancing: the scanner and its hinting faults.
    NumaBalancing,
    /// The value 4 of /proc/PID/clear_refs, and bit 55 of /proc/PID/pagemap.
    SoftDirty,
    /// userfaultfd(2): accesses to missing pages of private memory.
    Userfaultfd,
    /// MADV_FREE.
    MadvFree,
    /// userfaultfd(2) for shared memory.
    UserfaultfdShared,
    /// UFFD_FEATURE_EVENT_FORK and UFFD_FEATURE_EVENT_REMAP.
    UserfaultfdEvents,
    /// UFFDIO_WRITEPROTECT and its mode.
    UserfaultfdWp,
    /// MADV_WIPEONFORK and MADV_KEEPONFORK.
    WipeOnFork,
    /// The refusal of a reference that a page's counter cannot hold.
    OverflowRefused,
    /// pin_user_pages() and its kin: references that say that they are pins.
    PinUserPages,
    /// MADV_POPULATE_READ and MADV_POPULATE_WRITE.
    Populate,
}

impl Interface {
    /// Every interface that some release lacks.
    pub const ALL: &'static [Self] = &[
        Self::ProcessVm,
        Self::NumaBalancing,
        Self::SoftDirty,
        Self::Userfaultfd,
        Self::MadvFree,
        Self::UserfaultfdShared,
        Self::UserfaultfdEvents,
        Self::UserfaultfdWp,
        Self::WipeOnFork,
        Self::OverflowRefused,
        Self::PinUserPages,
        Self::Populate,
    ];

    /// What Linux calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProcessVm => "process_vm_readv and process_vm_writev",
            Self::NumaBalancing => "NUMA balancing",
            Self::SoftDirty => "soft-dirty marks",
            Self::Userfaultfd => "userfaultfd",
            Self::MadvFree => "MADV_FREE",
            Self::UserfaultfdShared => "userfaultfd for shared memory",
            Self::UserfaultfdEvents => "UFFD_FEATURE_EVENT_*",
            Self::UserfaultfdWp => "UFFDIO_WRITEPROTECT",
            Self::WipeOnFork => "MADV_WIPEONFORK",
            Self::OverflowRefused => "the refusal of references that a counter cannot hold",
            Self::PinUserPages => "pin_user_pages",
            Self::Populate => "MADV_POPULATE_*",
        }
    }

    /// The variant of [`Interfaces`] that brings it: the table.
    pub const fn brought_by(self) -> Interfaces {
        match self {
            Self::ProcessVm => Interfaces::ProcessVm,
            Self::NumaBalancing => Interfaces::NumaBalancing,
            Self::SoftDirty => Interfaces::SoftDirty,
            Self::Userfaultfd => Interfaces::Userfaultfd,
            Self::MadvFree => Interfaces::MadvFree,
            Self::UserfaultfdShared | Self::UserfaultfdEvents => Interfaces::UserfaultfdEvents,
            Self::UserfaultfdWp => Interfaces::UserfaultfdWp,
            Self::WipeOnFork => Interfaces::WipeOnFork,
            Self::OverflowRefused => Interfaces::OverflowRefused,
            Self::PinUserPages => Interfaces::PinUserPages,
            Self::Populate => Interfaces::Populate,
        }
    }

    /// The variant that brings it, with the release that it came in.
    pub const fn variant(self) -> &'static VariantInfo {
        &Interfaces::VARIANTS[self.brought_by() as usize]
    }

    /// Whether there is such an interface under `rules`.
    pub const fn exists(self, rules: &Rules) -> bool {
        rules.interfaces as usize >= self.brought_by() as usize
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
