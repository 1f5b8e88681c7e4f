//! What the director hears of userfaultfds (facts 7.14): it alone reads them, whoever the monitor
//! of the scenario is, notes on the board what a monitor was told of, and so knows which threads
//! wait.
//!
//! INV-EARS-1: an access that waits is told once, by its thread, each time that it begins to wait.
//! So a thread that goes on after a resolution either answers, or is heard of again.
//! INV-EARS-2: a fork and a move of which the monitor wants to hear end only when they were heard:
//! the director listens as long as it waits for anything.
//! INV-EARS-3: who is told of after the step that lets it go on is woken all the same. A kernel may
//! find a fault protected, then miss the end of the protection and the waking that comes with it:
//! what it asks before it sleeps is whether the entry is writable, and one of the zero page is not
//! (seen on 6.18). A monitor that reads what it is told answers that.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use pinfold_lab::resolved::Act;
use pinfold_lab::scenario::UffdReason;

use crate::inside::act::Cast;
use crate::inside::board::Uffd;
use crate::inside::sys::uffd::{self, Heard};
use crate::inside::sys::{Errno, PAGE, Range};
use crate::job::Did;
use crate::watch;

/// An access of which a monitor was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    /// The thread that waits.
    thread: i32,
    /// The address space.
    pub(super) home: usize,
    /// The page.
    pub(super) address: u64,
}

/// What was heard in a trial.
#[derive(Default)]
pub(super) struct Ears {
    /// The userfaultfd of each address space, once it is known.
    uffds: Vec<Option<OwnedFd>>,
    heard: Vec<Access>,
    /// Who was woken after which step, so that it is once.
    woken: Vec<(Access, usize)>,
    /// Pages that were found to be watched when all was over.
    hidden: Vec<(usize, u64)>,
}

impl Ears {
    /// For a trial with so many processes, which begins.
    pub(super) fn begin(&mut self, processes: usize) {
        *self = Self::default();
        self.uffds.resize_with(processes, || None);
    }

    /// Hears whatever there is.
    ///
    /// # Errors
    /// The call that failed, and its number.
    pub(super) fn hear(&mut self, cast: &Cast) -> Result<(), (&'static str, Errno)> {
        for home in 0..self.uffds.len() {
            if self.uffds[home].is_none() {
                self.uffds[home] = fetched(cast, home)?;
            }
            while let Some(uffd) = &self.uffds[home] {
                match uffd::hear(uffd.as_fd()).map_err(|why| ("userfaultfd", why))? {
                    None => break,
                    Some(Heard::Fault { address, reason, thread }) => {
                        note(cast, home, address, reason);
                        self.heard.push(Access { thread, home, address });
                    }
                    Some(Heard::Fork(uffd)) => {
                        let child = watch::child(&cast.plan, home);
                        if let Some(child) = child.filter(|child| self.uffds[*child].is_none()) {
                            cast.board.set_uffd(child, Uffd::Agents(uffd.as_raw_fd()));
                            self.uffds[child] = Some(uffd);
                        }
                    }
                    Some(Heard::Other) => {}
                }
            }
        }
        Ok(())
    }

    /// Wakes who was heard of and may sleep behind a step that has let it go on: INV-EARS-3. Who
    /// sleeps for a good reason is told of again.
    ///
    /// # Errors
    /// The call that failed, and its number.
    pub(super) fn wake_late(&mut self, cast: &Cast) -> Result<(), (&'static str, Errno)> {
        for (number, step) in cast.plan.steps().enumerate() {
            let (Act::Uffd(act), Some(process)) = (step.act, step.process) else { continue };
            if !matches!(cast.board.step(number), Some(Did::Worked(_))) {
                continue;
            }
            let Some((home, range)) = cast.wakes(process, act) else { continue };
            let at = |access: &&Access| access.home == home && range.contains(access.address);
            for access in self.heard.iter().filter(at) {
                if let Some(uffd) = &self.uffds[home]
                    && !self.woken.contains(&(*access, number))
                {
                    self.woken.push((*access, number));
                    uffd::wake(uffd.as_fd(), range).map_err(|why| ("UFFDIO_WAKE", why))?;
                }
            }
        }
        Ok(())
    }

    /// How much was heard so far.
    pub(super) fn mark(&self) -> usize {
        self.heard.len()
    }

    /// The access for which a thread waits, if that was heard since the mark.
    pub(super) fn since(&self, mark: usize, thread: Option<i32>) -> Option<Access> {
        let new = self.heard.get(mark..)?;
        new.iter().rev().find(|access| Some(access.thread) == thread).copied()
    }

    /// Ends the watch over a page for which somebody waits who only looks, and does so no more.
    pub(super) fn hide(&mut self, access: Access) -> Result<(), Errno> {
        self.hidden.push((access.home, access.address));
        let uffd = self.uffds[access.home].as_ref().ok_or(libc::EBADF)?;
        uffd::unregister(uffd.as_fd(), Range::new(access.address, 1)?)
    }

    /// Whether a page cannot be looked at.
    pub(super) fn is_hidden(&self, home: usize, address: u64) -> bool {
        self.hidden.contains(&(home, address - address % PAGE))
    }
}

/// The userfaultfd of an address space, if its process has made one and is there.
fn fetched(cast: &Cast, home: usize) -> Result<Option<OwnedFd>, (&'static str, Errno)> {
    let (Some(Uffd::Own(number)), Some(process)) =
        (cast.board.uffd(home), cast.board.process(home))
    else {
        return Ok(None);
    };
    match uffd::fetch(process, number) {
        Ok(uffd) => Ok(Some(uffd)),
        // The process has ended.
        Err(libc::ESRCH | libc::EBADF) => Ok(None),
        Err(why) => Err(("pidfd_getfd", why)),
    }
}

/// Notes on the board of which page of which area the monitor was told. Of areas one over another
/// it is the one that begins last.
fn note(cast: &Cast, home: usize, address: u64, reason: UffdReason) {
    let of = |area: usize| {
        let start = cast.board.area(home, area)?;
        let page = address.checked_sub(start)? / PAGE;
        let pages = match cast.plan.map_of(home, area).map(|step| step.act) {
            Some(Act::Map { pages, room, .. }) => u64::from(pages.max(room)),
            _ => u64::MAX,
        };
        (page < pages).then_some((start, area, page as u32))
    };
    if let Some((_, area, page)) = (0..cast.plan.areas.len()).filter_map(of).max() {
        cast.board.tell(home, area, page, reason);
    }
}
