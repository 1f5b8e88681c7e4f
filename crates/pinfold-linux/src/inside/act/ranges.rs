//! Ranges of the stage, and what calls on them tell.

use pinfold_lab::scenario::{Access, Failure};

use crate::inside::sys::{self, Errno, PAGE, Range, Refused, STAGE, STAGE_PAGES};
use crate::job::Did;

/// The pages from an address on.
pub(super) fn place(start: Option<u64>, pages: u32) -> Result<Range, Errno> {
    let range = Range::new(start.ok_or(libc::EINVAL)?, u64::from(pages))?;
    // The first page is not for use.
    if range.start() == STAGE { Err(libc::EINVAL) } else { Ok(range) }
}

/// Maps as high as there is room, as the machine of the language does.
pub(super) fn map_anywhere(
    pages: u32,
    map: impl Fn(Range) -> Result<(), Errno>,
) -> Result<Range, Errno> {
    for first in (1..STAGE_PAGES).rev() {
        let Ok(range) = Range::new(STAGE + first * PAGE, u64::from(pages)) else { continue };
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

/// A refused access in the words of the language.
pub(super) fn failure(how: Refused) -> Failure {
    match how {
        Refused::NoAccess => Failure::NoAccess,
        Refused::PastEnd => Failure::PastEnd,
    }
}

/// Why a call was refused that accesses so many pages one after another, and has one number for
/// every reason: each is accessed as it did, up to the one at which it ended.
pub(super) fn refusal(start: u64, pages: u32, access: Access) -> Failure {
    let refused = (0..u64::from(pages)).find_map(|page| {
        let at = start + page * PAGE;
        match access {
            Access::Read => sys::load(at).err(),
            Access::Write => sys::touch(at).err(),
        }
    });
    refused.map_or(Failure::NoAccess, failure)
}
