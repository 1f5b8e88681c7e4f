//! The files of a plan, as they are open here.

use std::os::fd::OwnedFd;

use pinfold_lab::resolved::{Act, Resolved, ResolvedFile};
use pinfold_lab::scenario::Behind;

use crate::inside::sys::{self, Errno, file};

/// The files of a plan.
pub(in crate::inside) struct Files {
    made: Vec<OwnedFd>,
    /// Those on which a step does direct I/O, once more, open for it.
    direct: Vec<Option<OwnedFd>>,
}

impl Files {
    /// The files, empty.
    ///
    /// # Errors
    /// Where one cannot be made or opened.
    pub(in crate::inside) fn of(plan: &Resolved) -> Result<Self, Errno> {
        let make = |file: &ResolvedFile| match file.behind {
            Behind::Store => file::unnamed(0),
            Behind::Memory => {
                sys::memory_file().map_err(|why| why.raw_os_error().unwrap_or(libc::EIO))
            }
        };
        let made = plan.files.iter().map(make).collect::<Result<Vec<_>, _>>()?;
        let is_direct = |file: usize| {
            plan.steps().any(|step| match step.act {
                Act::DirectRead(_, part) | Act::DirectWrite(_, part) => part.pages.area == file,
                _ => false,
            })
        };
        let open = |(at, file)| is_direct(at).then(|| file::open_direct(file)).transpose();
        let direct = made.iter().enumerate().map(open).collect::<Result<_, _>>()?;
        Ok(Self { made, direct })
    }

    /// A file by its number.
    pub(in crate::inside) fn get(&self, file: usize) -> Option<&OwnedFd> {
        self.made.get(file)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &OwnedFd> {
        self.made.iter()
    }

    /// A file on which a step does direct I/O, open for it.
    pub(super) fn direct(&self, file: usize) -> Option<&OwnedFd> {
        self.direct.get(file)?.as_ref()
    }
}
