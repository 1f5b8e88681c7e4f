//! Transfers, as an embedder asks for them: by devices, and by other processes.

use crate::addr::{Pfn, VirtRange, Vpn};
use crate::address_space::AddressSpace;
use crate::error::PinError;
use crate::pin::{self, Access, RemoteError, Transfer};
use crate::platform::Platform;

impl<P: Platform> AddressSpace<P> {
    /// Takes the pages of `range` for one transfer by a device, as direct I/O (O_DIRECT) does: by
    /// references or by short pins, as the rule `direct-io` says. `access` is what the device does
    /// to the memory: a read(2) of a file writes it.
    ///
    /// # Errors
    /// As [`AddressSpace::pin`].
    pub fn direct_io(&self, range: VirtRange, access: Access) -> Result<Transfer<P>, PinError> {
        pin::direct(&self.inner, range, access)
    }

    /// Takes the pages of `range` for another process that copies from or to them, as
    /// process_vm_readv(2) and process_vm_writev(2) do for a part of one element of their vector:
    /// by references or by short pins, as the rule `process-vm` says. `access` is what is done to
    /// this memory. The caller copies, and ends a write by [`Transfer::end_dirty`]; no lock is
    /// held meanwhile.
    ///
    /// Where part cannot be had, [`Transfer::shortfall`] says why: the caller copies what there is,
    /// and reports how much, or the error if it was nothing.
    ///
    /// # Errors
    /// As [`AddressSpace::pin`].
    pub fn process_vm(&self, range: VirtRange, access: Access) -> Result<Transfer<P>, PinError> {
        pin::remote(&self.inner, range, access)
    }

    /// Has `copy` access each page of `range` in turn for another process, as ptrace(2) and
    /// /proc/PID/mem do: whatever the area permits (FOLL_FORCE), so that a write to private memory
    /// gives this address space a page of its own. It is told the page and the frame, and must not
    /// call this address space: its lock is held for reading.
    ///
    /// A caller that is to be refused what only a debugger may do asks for its rights before.
    ///
    /// # Errors
    /// When a page cannot be accessed, as [`AddressSpace::pin`] says it; pages before it were.
    pub fn access_remote(
        &self,
        range: VirtRange,
        access: Access,
        copy: impl FnMut(Vpn, Pfn),
    ) -> Result<(), RemoteError> {
        pin::access_remote(&self.inner, range, access, copy)
    }
}
