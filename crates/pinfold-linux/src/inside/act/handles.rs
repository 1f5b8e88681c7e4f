//! Steps that take and release what devices hold.

use pinfold_lab::resolved::{Pages, Spot, Take};
use pinfold_lab::scenario::{Access, Failure};

use super::Cast;
use crate::inside::board::Hold;
use crate::inside::pagemap::frame_of;
use crate::inside::ring::Device;
use crate::inside::sys::{self, Errno, STAGE_PAGES};
use crate::job::Did;

impl Cast {
    /// The address that a word behind a pin had in the process that pinned it.
    pub(in crate::inside) fn pinned(&self, spot: Spot) -> Option<u64> {
        let start = self.board.held_at(spot.of)?;
        Some(self.scale.page(start, spot.page) + sys::within_page(spot.word))
    }

    /// Loads a word through a handle.
    pub(in crate::inside) fn device_load(&self, spot: Spot) -> Result<u64, Errno> {
        if self.board.hold(spot.of) != Hold::Held {
            return Err(libc::EBADF);
        }
        let address = self.pinned(spot).ok_or(libc::EBADF)?;
        self.board.alone_with(spot.of, || match &self.devices[spot.of] {
            Device::Ring(ring) => ring.load(address),
            Device::Pipe(pipe) => pipe.load(spot.page, spot.word),
        })
    }

    /// Takes references for a handle.
    pub(super) fn take(&self, process: usize, take: Take) -> Result<Did, Errno> {
        let range = self.range(process, take.pages)?;
        let page = |at: u32| self.scale.page(range.start(), at);
        let mut before = [0; STAGE_PAGES as usize];
        for (at, frame) in (0..take.pages.count).zip(&mut before) {
            *frame = frame_of(page(at));
        }
        let taken = match &self.devices[take.handle] {
            Device::Ring(ring) => ring.pin(range, take.times),
            Device::Pipe(pipe) => {
                // What is going to be written is made writable first, as a `get` for writing does.
                let refused = take.access == Access::Write
                    && !(0..take.pages.count).all(|at| sys::touch(page(at)).is_ok());
                match refused {
                    true => Err(libc::EFAULT),
                    false => pipe.take(range, self.scale, take.times, take.pages.count),
                }
            }
        };
        match taken {
            Ok(()) => {}
            Err(libc::EFAULT) => {
                return Ok(Did::Failed(self.refusal(range.start(), take.pages.count, take.access)));
            }
            Err(number) => return Err(number),
        }
        for (at, before) in (0..take.pages.count).zip(before) {
            let after = frame_of(page(at));
            // While others run, only what did not change is known to be what was taken.
            let known = after == before || !self.board.is_free();
            self.board.set_frame(take.handle, at as usize, if known { after } else { 0 });
        }
        self.board.set_held(take.handle, range.start());
        Ok(Did::Worked(0))
    }

    /// Takes one more reference through a handle whose pages are in a pipe.
    pub(super) fn get_page(&self, spot: Spot, handle: usize) -> Result<Did, Errno> {
        if !self.ready(spot.of)? {
            return Ok(Did::LeftOut);
        }
        let (Device::Pipe(from), Device::Pipe(to)) =
            (&self.devices[spot.of], &self.devices[handle])
        else {
            return Err(libc::EOPNOTSUPP);
        };
        let at = self.pinned(Spot { word: 0, ..spot }).ok_or(libc::EBADF)?;
        self.board.alone_with(spot.of, || match self.board.hold(spot.of) {
            Hold::Held => to.take_again(from, spot.page),
            Hold::No | Hold::Missing | Hold::Released => Err(libc::EBADF),
        })?;
        self.board.set_frame(handle, 0, self.board.frame(spot.of, spot.page).unwrap_or(0));
        self.board.set_held(handle, at);
        Ok(Did::Worked(0))
    }

    /// Remembers the frames that pages have.
    pub(super) fn note(&self, process: usize, pages: Pages, handle: usize) -> Result<Did, Errno> {
        let range = self.range(process, pages)?;
        for at in 0..pages.count {
            match frame_of(self.scale.page(range.start(), at)) {
                0 => return Ok(Did::Failed(Failure::NoAccess)),
                frame => self.board.set_frame(handle, at as usize, frame),
            }
        }
        self.board.set_noted(handle, range.start());
        Ok(Did::Worked(0))
    }

    /// Drops what a handle holds.
    pub(in crate::inside) fn let_go(&self, handle: usize) -> Result<(), Errno> {
        self.board.alone_with(handle, || match &self.devices[handle] {
            Device::Ring(ring) => ring.unpin(),
            Device::Pipe(pipe) => {
                pipe.give_back();
                Ok(())
            }
        })
    }
}
