//! Ranges of the stage, and what calls on them tell.

use pinfold_lab::scenario::Failure;

use crate::inside::scale::Scale;
use crate::inside::sys::{Errno, Range, STAGE, STAGE_PAGES};
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
