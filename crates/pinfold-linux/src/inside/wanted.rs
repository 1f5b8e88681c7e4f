//! What the userfaultfds of a plan are made with (facts 7.14).

use pinfold::UffdMode;
use pinfold_lab::resolved::Resolved;

use super::sys::{Errno, uffd};
use crate::watch;

/// What an address space asks of its userfaultfd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// What is asked for and is there.
    pub(super) features: u64,
    /// Whether something is not there: then nothing can be registered.
    pub(super) lacks: bool,
}

/// What is asked for where it is there: it only adds to what a registration may ask.
const WHERE_KNOWN: u64 =
    uffd::PAGEFAULT_FLAG_WP | uffd::MISSING_SHMEM | uffd::MINOR_SHMEM | uffd::WP_SHMEM;

/// What each process of a plan asks of a userfaultfd of its own: INV-WATCH-1.
///
/// # Errors
/// Where there is no userfaultfd.
pub(super) fn wanted(plan: &Resolved) -> Result<Vec<Option<Wanted>>, Errno> {
    if !watch::is_watched(plan) {
        return Ok(plan.processes.iter().map(|_| None).collect());
    }
    let there = uffd::available()?;
    let of = |process: usize| {
        let own = plan.home(process) == process;
        let asked = own.then(|| watch::features(plan, process)).flatten()?;
        let bit = |mode, feature| if asked.contains(mode) { feature } else { 0 };
        let features = uffd::THREAD_ID
            | bit(UffdMode::WP_UNPOPULATED, uffd::WP_UNPOPULATED)
            | bit(UffdMode::EVENT_FORK, uffd::EVENT_FORK)
            | bit(UffdMode::EVENT_REMAP, uffd::EVENT_REMAP);
        Some(Wanted { features: (features | WHERE_KNOWN) & there, lacks: features & !there != 0 })
    };
    Ok((0..plan.processes.len()).map(of).collect())
}
