//! Steps of the monitor of a userfaultfd, and how accesses wait for it.
//!
//! An access that a monitor is told of waits until the monitor has resolved some fault of the
//! address space, and is then repeated, as in the kernel. Who runs alone, in `setup` or at the end,
//! cannot wait: the step fails.

use pinfold::{Platform, UffdError, UffdId, UffdReason, VirtAddr};
use pinfold_explore::hook;

use super::{Done, Fault};
use crate::journal::{Touch, What};
use crate::resolved::uffd_mode;
use crate::scenario::{self, Pages, Place, Spanned, UffdWord, UffdWp};
use crate::spaces::Inhabited;
use crate::waits::{Awaited, Told};
use crate::world::World;

/// The word for a reason.
fn word(reason: UffdReason) -> scenario::UffdReason {
    match reason {
        UffdReason::Missing => scenario::UffdReason::Missing,
        UffdReason::Wp => scenario::UffdReason::Wp,
        UffdReason::Minor => scenario::UffdReason::Minor,
    }
}

impl World {
    /// Runs `act` until no monitor has to resolve a fault for it any more.
    pub(super) fn until_resolved<R>(
        &self,
        space: &Inhabited,
        mut act: impl FnMut() -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        // The count is read only when it is needed, and then the access is made once more.
        let mut seen = None;
        loop {
            let fault = match act() {
                Err(fault) => fault,
                done => return done,
            };
            let Some((at, reason)) = fault.told else { return Err(fault) };
            if !hook::active() {
                return Err(Fault::other(format!("{}, and nothing else runs", fault.message)));
            }
            match seen.take() {
                None => seen = Some(space.uffd_resolved()),
                Some(seen) => {
                    self.told(space, at, reason);
                    space.uffd_wait(seen);
                }
            }
        }
    }

    /// A monitor is told of an access: who waits for that goes on.
    fn told(&self, space: &Inhabited, at: VirtAddr, reason: UffdReason) {
        let told = {
            let state = self.state.borrow();
            let home = state.homes.get(&space.id());
            home.and_then(|home| {
                let there = |range: pinfold::VirtRange| {
                    range.first_page() <= at.page() && at.page() < range.end_page()
                };
                let mut areas = home.areas.iter();
                let (area, found) = areas.find(|(_, area)| there(area.range))?;
                let page = (at.page() - found.range.first_page()) as u32;
                let (first, area) = (home.name.clone(), area.to_owned());
                Some(Told { first, area, page, reason: word(reason).as_str() })
            })
        };
        if let Some(told) = told {
            self.waits.happen(&Awaited::Told(told));
        }
    }

    pub(super) fn uffd_wait(
        &self,
        process: &str,
        at: &Place,
        reason: scenario::UffdReason,
    ) -> Done {
        let first = self.at_home(process, |home| home.name.clone())?;
        let (area, page) = (at.name.value.clone(), at.page());
        self.waits.until(&Awaited::Told(Told { first, area, page, reason: reason.as_str() }));
        Ok(None)
    }

    pub(super) fn uffd_register(
        &self,
        process: &str,
        pages: &Pages,
        modes: &[Spanned<UffdWord>],
    ) -> Done {
        let (space, range) = self.range(process, pages)?;
        let mode = uffd_mode(modes.iter().map(|mode| mode.value));
        // Each address space has one userfaultfd of its own.
        space.uffd_register(range, UffdId(space.id().0 as u32), mode)?;
        Ok(None)
    }

    pub(super) fn uffd_write_protect(&self, process: &str, pages: &Pages, protect: bool) -> Done {
        let (space, range) = self.range(process, pages)?;
        space.uffd_write_protect(range, protect)?;
        Ok(None)
    }

    pub(super) fn uffd_copy(&self, process: &str, to: &Place, text: &str, wp: UffdWp) -> Done {
        let value = self.words.value(text);
        let area = self.area(process, &to.name.value)?;
        let (space, target, _) = self.target(process, to)?;
        let fill = |frame| {
            let machine = self.machine();
            machine.zero_frame(frame);
            machine.word(frame, target.word).store_release(value);
            let touch = Touch { frame, word: target.word, value, handle: None };
            machine.touched(touch, What::Stores);
        };
        let at = VirtAddr::of_page(target.page);
        self.storing(&space, &area, value, || Ok(space.uffd_copy(at, wp == UffdWp::On, fill)?))?;
        Ok(None)
    }

    pub(super) fn uffd_resolve(
        &self,
        process: &str,
        at: &Place,
        resolve: impl FnOnce(&Inhabited, VirtAddr) -> Result<(), UffdError>,
    ) -> Done {
        let (space, target, _) = self.target(process, at)?;
        resolve(&space, VirtAddr::of_page(target.page))?;
        Ok(None)
    }
}
