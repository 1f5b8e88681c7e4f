//! Ranges of the stage, and what calls on them tell.

use pinfold_lab::scenario::{Access, Failure};

use super::Cast;
use crate::fit;
use crate::inside::scale::Scale;
use crate::inside::sys::{self, Errno, Range, Refused, STAGE, STAGE_PAGES};
use crate::job::Did;

/// The pages from an address of the language on.
pub(super) fn place(scale: Scale, at: u64, pages: u32) -> Result<Range, Errno> {
    let range = scale.range(scale.place(at).ok_or(libc::EINVAL)?, pages)?;
    // The first page is not for use.
    if range.start() == STAGE { Err(libc::EINVAL) } else { Ok(range) }
}

/// Maps as high as there is room, as the machine of the language does.
pub(super) fn map_anywhere(
    scale: Scale,
    pages: u32,
    map: impl Fn(Range) -> Result<(), Errno>,
) -> Result<Range, Errno> {
    for first in (1..STAGE_PAGES as u32).rev() {
        let Ok(range) = scale.range(scale.page(STAGE, first), pages) else { continue };
        match map(range) {
            Ok(()) => return Ok(range),
            Err(libc::EEXIST) => {}
            Err(number) => return Err(number),
        }
    }
    Err(libc::ENOMEM)
}

/// What a call on a range did: a hole is told by its error.
pub(super) fn ranged(done: Result<(), Errno>) -> Did {
    match done {
        Ok(()) => Did::Worked(0),
        Err(libc::ENOMEM) => Did::Failed(Failure::NotMapped),
        Err(libc::EINVAL) => Did::Failed(Failure::Invalid),
        Err(number) => Did::Error(number),
    }
}

impl Cast {
    /// A refused access in the words of the language. SIGBUS is for a page that a file does not
    /// have, or the pool of huge pages: no plan that runs here has both.
    pub(super) fn failure(&self, how: Refused) -> Failure {
        match how {
            Refused::NoAccess => Failure::NoAccess,
            Refused::PastEnd if fit::has_pool(&self.plan) => Failure::NoHugePage,
            Refused::PastEnd => Failure::PastEnd,
        }
    }

    /// Why a call was refused that accesses so many pages one after another, and has one number for
    /// every reason: each is accessed as it did, up to the one at which it ended.
    pub(super) fn refusal(&self, start: u64, pages: u32, access: Access) -> Failure {
        let refused = (0..pages).find_map(|page| {
            let at = self.scale.page(start, page);
            match access {
                Access::Read => sys::load(at).err(),
                Access::Write => sys::touch(at).err(),
            }
        });
        refused.map_or(Failure::NoAccess, |how| self.failure(how))
    }
}
