//! Steps that map memory, and those on files.

use pinfold_lab::resolved::{Act, Part, Spot};
use pinfold_lab::scenario::{Access, Failure, Occupied, Sharing};

use super::Cast;
use super::ranges::{map_anywhere, place};
use crate::fit::HUGE;
use crate::inside::sys::{self, Errno, PAGE, SECTOR, file};
use crate::job::Did;

/// The size of a word.
const WORD: u64 = 8;

/// Where a word lies in a file.
fn offset(spot: Spot) -> u64 {
    u64::from(spot.page) * PAGE + sys::within_page(spot.word)
}

impl Cast {
    /// Gives each file the length and the contents with which a trial begins. Nobody else may be
    /// left.
    pub(in crate::inside) fn reset_files(&self) -> Result<(), Errno> {
        for (file, made) in self.files.iter().zip(&self.plan.files) {
            file::set_length(file, 0)?;
            file::set_length(file, u64::from(made.pages) * PAGE)?;
        }
        Ok(())
    }

    /// `map`
    pub(super) fn map(&self, process: usize, act: Act) -> Result<Did, Errno> {
        let Act::Map { area, pages, room, sharing, protection, of, at, occupied } = act else {
            return Err(libc::EINVAL);
        };
        // The pages of a stack that have names begin where it has not grown to yet.
        let below = u64::from(room.saturating_sub(pages)) * PAGE;
        let at = match sharing {
            Sharing::Stack => Some(at.unwrap_or(PAGE).saturating_add(below)),
            Sharing::Private | Sharing::Shared | Sharing::File | Sharing::Hugetlb => at,
        };
        // The kernel would make it longer.
        if sharing == Sharing::Hugetlb && !pages.is_multiple_of(HUGE) {
            return Ok(Did::Failed(Failure::Invalid));
        }
        let own = match sharing {
            Sharing::File => Some(file::unnamed(u64::from(pages) * PAGE)?),
            Sharing::Private | Sharing::Shared | Sharing::Stack | Sharing::Hugetlb => None,
        };
        let named = match of {
            Some(shown) => {
                let file = self.files.get(shown.file).ok_or(libc::EBADF)?;
                Some((file, u64::from(shown.from) * PAGE))
            }
            None => None,
        };
        let kind = (sharing, own.as_ref().map(|file| (file, 0)).or(named));
        let mapped = match at {
            Some(at) => place(self.scale, at, pages)
                .and_then(|at| sys::map(at, protection, kind, occupied).map(|()| at)),
            None => map_anywhere(self.scale, pages, |at| {
                sys::map(at, protection, kind, Occupied::Refuse)
            }),
        };
        Ok(match mapped {
            Ok(range) => {
                let start = range.start() - below;
                self.board.set_area(self.plan.home(process), area, start);
                Did::Worked(0)
            }
            Err(libc::EEXIST) => Did::Failed(Failure::Occupied),
            Err(libc::EINVAL) => Did::Failed(Failure::Invalid),
            // The pool has not as many that are promised to nobody.
            Err(libc::ENOMEM) if sharing == Sharing::Hugetlb => Did::Failed(Failure::NoHugePage),
            Err(number) => Did::Error(number),
        })
    }

    /// A step on a file. No length changes between the look at it and the write, so that a write
    /// makes no file longer.
    pub(super) fn act_on_file(&self, act: Act) -> Result<Did, Errno> {
        match act {
            Act::FileStore(spot, word) => {
                let file = self.files.get(spot.of).ok_or(libc::EBADF)?;
                self.board.alone_with_file(spot.of, || {
                    match offset(spot) + WORD <= file::length(file)? {
                        true => file::write_at(file, offset(spot), word).map(|()| Did::Worked(0)),
                        false => Ok(Did::Failed(Failure::PastEnd)),
                    }
                })
            }
            Act::FileLoad { from, register, .. } => Ok(match self.file_word(from)? {
                Some(found) => self.found(Ok(found), register),
                None => Did::Failed(Failure::PastEnd),
            }),
            Act::Truncate { file, pages, words } => {
                let made = self.files.get(file).ok_or(libc::EBADF)?;
                let length = u64::from(pages) * PAGE + u64::from(words) * SECTOR;
                self.board.alone_with_file(file, || file::set_length(made, length))?;
                Ok(Did::Worked(0))
            }
            Act::Punch(pages) => {
                let file = self.files.get(pages.area).ok_or(libc::EBADF)?;
                let (first, count) = (u64::from(pages.first), u64::from(pages.count));
                file::punch(file, first * PAGE, count * PAGE).map(|()| Did::Worked(0))
            }
            Act::Sync(file) => {
                file::sync(self.files.get(file).ok_or(libc::EBADF)?).map(|()| Did::Worked(0))
            }
            _ => Err(libc::EINVAL),
        }
    }

    /// Direct I/O, by one call; `access` is the device's, to the memory. As for other writes, none
    /// makes a file longer.
    pub(super) fn direct(
        &self,
        process: usize,
        (memory, part): (Part, Part),
        access: Access,
    ) -> Result<Did, Errno> {
        let range = self.range(process, memory.pages)?;
        let sectors = file::Sectors::new(range, memory.word)?;
        let of = part.pages.area;
        let file = self.files.get(of).zip(self.files.direct(of));
        let (file, direct) = file.ok_or(libc::EBADF)?;
        let from = u64::from(part.pages.first) * PAGE + part.word.map_or(0, sys::within_page);
        let is_whole = || Ok::<_, Errno>(from + sectors.bytes() <= file::length(file)?);
        let moved = match access {
            Access::Write => file::read_direct(direct, sectors, from),
            Access::Read => self.board.alone_with_file(of, || match is_whole()? {
                true => file::write_direct(direct, sectors, from),
                false => Ok(0),
            }),
        };
        match moved {
            Ok(moved) if moved == sectors.bytes() => Ok(Did::Worked(0)),
            Ok(_) if !is_whole()? => Ok(Did::Failed(Failure::PastEnd)),
            Ok(_) | Err(libc::EFAULT) => {
                Ok(Did::Failed(self.refusal(range.start(), memory.pages.count, access)))
            }
            Err(number) => Err(number),
        }
    }

    /// The word at a place of a file; none past its end.
    pub(in crate::inside) fn file_word(&self, spot: Spot) -> Result<Option<u64>, Errno> {
        file::read_at(self.files.get(spot.of).ok_or(libc::EBADF)?, offset(spot))
    }
}
