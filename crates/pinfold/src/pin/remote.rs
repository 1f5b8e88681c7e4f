//! A debugger's access to another process: ptrace(2), and reads and writes of /proc/PID/mem (facts
//! 3.14).
//!
//! Protocol: the address space's lock is held for reading from the lookup of a page to the end of
//! its copy. So nothing that takes it for writing (fork, unmapping, a change of protection) comes
//! between the two; faults of other threads, DONTNEED and scans may. Each page is taken by an
//! ordinary reference, whatever the area permits (FOLL_FORCE), copied, marked dirty if it was
//! written, and let go of, before the next one is looked up. Only for reclaim, when there is no
//! frame for a page, is the lock let go of between two of them.

use core::fmt;

use super::ask::{Ask, Path};
use super::guard::{Held, Refs};
use crate::addr::{Pfn, VirtRange, Vpn};
use crate::error::{FaultError, PinError, Shortage};
use crate::event::EventKind;
use crate::frame::Holds;
use crate::platform::Platform;
use crate::plural::Counted;
use crate::pressure::Tries;
use crate::rules::pin::{Access, Hold, Term, grows_stack};
use crate::space::Space;
use crate::sync::Shared;

/// Why a debugger's access ended early. The pages before were accessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RemoteError {
    /// How many pages were.
    pub done: u64,
    /// What is wrong with the next one.
    pub error: PinError,
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, after {}", self.error, Counted::pages(self.done))
    }
}

impl core::error::Error for RemoteError {}

/// Has `copy` access each page of `range` in turn.
pub(crate) fn access_remote<P: Platform>(
    space: &Shared<Space<P>>,
    range: VirtRange,
    access: Access,
    mut copy: impl FnMut(Vpn, Pfn),
) -> Result<(), RemoteError> {
    let first = range.first_page();
    let ask = Ask::new(access, Term::Short).forced().path(Path::SlowOnly);
    let holds = Holds::of(Hold::Get, ask.times.get());
    let (mut page, end) = (first, range.end_page());
    let (mut short, mut tries) = (first, Tries::default());
    let mut map = space.read_map();
    while page < end {
        let stopped = |error: PinError| RemoteError { done: page - first, error };
        if map.find(page).is_none() {
            // At the first page it is the access itself that makes a stack grow, not the rule's
            // walk.
            let may = || page == first || grows_stack(space.mem().rule());
            map = space.grown(map, page, may).map_err(|error| stopped(error.into()))?;
        }
        let area = map.find(page);
        let area = area.ok_or_else(|| stopped(FaultError::NotMapped(page.start()).into()))?;
        let taken = space.hold_page(&map, area, page..page + 1, ask, holds);
        let pfn = match taken {
            Err(error) if error.is_of_frames() => {
                drop(map);
                if short < page {
                    (short, tries) = (page, Tries::default());
                }
                if !tries.relieve(space.mem()) {
                    return Err(stopped(error));
                }
                map = space.read_map();
                continue;
            }
            taken => taken.map_err(stopped)?,
        };
        let refs = Refs::of(Held::new(space, holds, 0, Some(pfn)));
        space.mem().tell(space.id(), page, EventKind::SlowTaken(pfn));
        copy(page, pfn);
        match access {
            Access::Read => drop(refs),
            Access::Write => refs.put_dirty(),
        }
        page = page + 1;
    }
    Ok(())
}
