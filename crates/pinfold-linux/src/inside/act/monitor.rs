//! Steps of the monitor of a userfaultfd (facts 7.14).
//!
//! Who is told of an access, and of events, is the director, which alone reads: a step that waits
//! for that looks at the board.

use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};
use std::time::{Duration, Instant};

use pinfold::UffdMode;
use pinfold_lab::resolved::{Pages, Spot, UffdAct};
use pinfold_lab::scenario::{Failure, UffdWp};

use super::Cast;
use crate::inside::board::Uffd;
use crate::inside::sys::{self, Errno, Range, uffd};
use crate::job::Did;
use crate::watch;

impl Cast {
    /// Makes the userfaultfd of a process, which keeps it as long as it lives.
    pub(super) fn open_uffd(&self, process: usize) -> Result<(), Errno> {
        if let Some(wanted) = self.wanted[process] {
            let made = uffd::open(wanted.features)?;
            self.board.set_uffd(process, Uffd::Own(made.into_raw_fd()));
        }
        Ok(())
    }

    /// Does something with the userfaultfd of the address space of a process.
    fn with_uffd<R>(
        &self,
        process: usize,
        act: impl FnOnce(BorrowedFd<'_>) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let home = self.plan.home(process);
        let uffd = match self.board.uffd(home) {
            None if watch::inherits(&self.plan, home) => {
                self.board.await_uffd(home, self.patience / 2)
            }
            known => known,
        };
        match uffd {
            Some(Uffd::Own(number)) => act(uffd::kept(number)),
            Some(Uffd::Agents(number)) => act(uffd::fetch(self.agent, number)?.as_fd()),
            None => Err(libc::ETIMEDOUT),
        }
    }

    /// A step of a monitor.
    pub(super) fn monitor(&self, process: usize, act: UffdAct) -> Result<Did, Errno> {
        match act {
            UffdAct::Register(pages, bits) => {
                if self.wanted[self.plan.home(process)].is_some_and(|wanted| wanted.lacks) {
                    return Ok(Did::Failed(Failure::Invalid));
                }
                let range = self.range(process, pages)?;
                let mode = mode(UffdMode::from_bits_truncate(bits));
                let done = self.with_uffd(process, |uffd| uffd::register(uffd, range, mode));
                Ok(registered(done, range))
            }
            UffdAct::Unregister(pages) => {
                let range = self.range(process, pages)?;
                let done = self.with_uffd(process, |uffd| uffd::unregister(uffd, range));
                Ok(registered(done, range))
            }
            UffdAct::Protect(pages) => self.protect(process, pages, true),
            UffdAct::Unprotect(pages) => self.protect(process, pages, false),
            UffdAct::Copy(to, word, wp) => self.resolve(process, to, |uffd, page| {
                uffd::copy(uffd, page, (sys::within_page(to.word), word), wp == UffdWp::On)
            }),
            UffdAct::Zero(at) => self.resolve(process, at, uffd::zero),
            UffdAct::Continue(at, wp) => {
                self.resolve(process, at, |uffd, page| uffd::go_on(uffd, page, wp == UffdWp::On))
            }
            UffdAct::Wait(at, reason) => {
                let (home, page) = (self.plan.home(process), (at.of, at.page));
                match self.board.await_told(home, page, reason, self.patience / 2) {
                    true => Ok(Did::Worked(0)),
                    false => Err(libc::ETIMEDOUT),
                }
            }
        }
    }

    fn protect(&self, process: usize, pages: Pages, protect: bool) -> Result<Did, Errno> {
        let range = self.range(process, pages)?;
        let done = self.with_uffd(process, |uffd| {
            retried(self.patience / 2, || uffd::protect(uffd, range, protect))
        });
        Ok(match done {
            // The same number for a hole and for what is not registered.
            Err(libc::ENOENT) if !sys::is_mapped(range) => Did::Failed(Failure::NotMapped),
            done => resolved(done),
        })
    }

    /// Resolves the fault of a page.
    fn resolve(
        &self,
        process: usize,
        at: Spot,
        act: impl Fn(BorrowedFd<'_>, Range) -> Result<(), Errno>,
    ) -> Result<Did, Errno> {
        let page = self.range(process, Pages { area: at.of, first: at.page, count: 1 })?;
        let done = self.with_uffd(process, |uffd| retried(self.patience / 2, || act(uffd, page)));
        Ok(resolved(done))
    }

    /// The pages at which those who wait go on when a step has worked, and in which address space.
    pub(in crate::inside) fn wakes(&self, process: usize, act: UffdAct) -> Option<(usize, Range)> {
        let pages = match act {
            UffdAct::Unregister(pages) | UffdAct::Unprotect(pages) => pages,
            UffdAct::Copy(at, ..) | UffdAct::Zero(at) | UffdAct::Continue(at, _) => {
                Pages { area: at.of, first: at.page, count: 1 }
            }
            UffdAct::Register(..) | UffdAct::Protect(_) | UffdAct::Wait(..) => return None,
        };
        self.range(process, pages).ok().map(|range| (self.plan.home(process), range))
    }
}

/// The modes of a registration as the kernel numbers them.
fn mode(asked: UffdMode) -> u64 {
    let bit = |mode, bit| if asked.contains(mode) { bit } else { 0 };
    bit(UffdMode::MISSING, uffd::MODE_MISSING)
        | bit(UffdMode::WP, uffd::MODE_WP)
        | bit(UffdMode::MINOR, uffd::MODE_MINOR)
}

/// Does something again as long as the kernel says that a fork or a move is not over (`EAGAIN`).
fn retried(most: Duration, act: impl Fn() -> Result<(), Errno>) -> Result<(), Errno> {
    let begun = Instant::now();
    loop {
        match act() {
            Err(libc::EAGAIN) if begun.elapsed() > most => return Err(libc::ETIMEDOUT),
            Err(libc::EAGAIN) => std::thread::yield_now(),
            done => return done,
        }
    }
}

/// What a registration did, or its end.
fn registered(done: Result<(), Errno>, range: Range) -> Did {
    match done {
        Ok(()) => Did::Worked(0),
        Err(libc::EBUSY) => Did::Failed(Failure::Busy),
        Err(libc::EINVAL) if !sys::is_mapped(range) => Did::Failed(Failure::NotMapped),
        Err(libc::EINVAL) => Did::Failed(Failure::Invalid),
        Err(number) => Did::Error(number),
    }
}

/// What a resolution did.
fn resolved(done: Result<(), Errno>) -> Did {
    match done {
        Ok(()) => Did::Worked(0),
        Err(libc::EEXIST) => Did::Failed(Failure::Occupied),
        Err(libc::EFAULT) => Did::Failed(Failure::NoAccess),
        Err(libc::ENOENT | libc::EINVAL) => Did::Failed(Failure::Invalid),
        Err(number) => Did::Error(number),
    }
}
