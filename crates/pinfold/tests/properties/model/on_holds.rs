//! Pins and references of processes, and the devices that have them.

use super::{Guard, Held, World, for_want_of_frames};
use crate::ops::Run;
use crate::testing::device_write;
use pinfold::pin::{Ask, Path};
use pinfold::rules::pin::{Hold, Request, grows_stack, refuses_tracked};
use pinfold::{Access, Flags, Format, PinnedPage, lab};

impl<F: Format> World<F> {
    pub(super) fn pin(&mut self, who: usize, run: Run, ask: Ask, forced: bool) {
        let range = self.range(run);
        let (zero, checks) = (self.mem.zero_page(), self.checks);
        let grows = grows_stack(self.mem.rule()) && ask.path != Path::FastOnly;
        let request = Request { hold: Hold::Pin, access: ask.access, term: ask.term };
        let refuses = refuses_tracked(self.mem.rule(), request);
        let Some(process) = self.pick(who) else { return };
        let granted = process.would_grant(run, grows, |slot| {
            slot.grants(ask.access, forced) && !(refuses && slot.is_tracked())
        });
        let id = process.id;
        let done = process.space.pin_with(range, ask);
        if grows {
            process.grow_for(run, done.as_ref().map_or(0, |pins| pins.pages().len()));
        }
        let at = self.processes.iter().position(|other| other.id == id).unwrap();
        let (guard, owner) = match done {
            Ok(pins) => (pins, id),
            Err(error) => {
                assert!(granted == 0 || for_want_of_frames(error), "{granted}: {error}");
                return;
            }
        };
        let short = guard.shortfall().is_some_and(for_want_of_frames);
        assert!(guard.pages().len() <= granted, "{} of {granted}", guard.pages().len());
        assert!(short || guard.pages().len() == granted, "{:?}", guard.shortfall());
        let frames = self.mem.frames();
        let in_step = (run.first..)
            .zip(guard.pages())
            // A short read pin of the zero page, or of a file's through a private mapping, does not
            // break copy-on-write (facts 3.6).
            .map(|(page, pfn)| {
                let private = self.processes[at].slots[&page].is_private();
                let files = private && !lab::flags(frames, *pfn).contains(Flags::ANON);
                (checks.pins_in_step && *pfn != zero && !files).then_some(page)
            })
            .collect();
        self.holds.push(Held { guard: Guard::Pins(guard), owner, access: ask.access, in_step });
    }

    pub(super) fn get(&mut self, who: usize, run: Run, access: Access) {
        let range = self.range(run);
        let grows = grows_stack(self.mem.rule());
        let Some(process) = self.pick(who) else { return };
        let done = process.space.get(range, access);
        if grows {
            process.grow_for(run, done.as_ref().map_or(0, |refs| refs.pages().len()));
        }
        if let Ok(refs) = done {
            let (owner, in_step) = (process.id, vec![None; refs.pages().len()]);
            self.holds.push(Held { guard: Guard::Refs(refs), owner, access, in_step });
        }
    }

    pub(super) fn release(&mut self, which: usize) {
        if self.holds.is_empty() {
            return;
        }
        let held = self.holds.swap_remove(which % self.holds.len());
        match held.guard {
            Guard::Pins(pins) if held.access == Access::Write => pins.unpin_dirty(),
            Guard::Pins(pins) => drop(pins),
            Guard::Refs(refs) => drop(refs),
            Guard::Parted(parted) if held.access == Access::Write => {
                parted.into_iter().for_each(PinnedPage::unpin_dirty);
            }
            Guard::Parted(parted) => drop(parted),
        }
    }

    /// Parts a guard into one for each page.
    pub(super) fn hand_over(&mut self, which: usize) {
        if self.holds.is_empty() {
            return;
        }
        let held = self.holds.swap_remove(which % self.holds.len());
        let guard = match held.guard {
            Guard::Pins(pins) => Guard::Parted(pins.into_pages().collect()),
            other => other,
        };
        self.holds.push(Held { guard, ..held });
    }

    pub(super) fn device_write(&mut self, which: usize) {
        let value = self.fresh_value();
        let count = self.holds.len().max(1);
        let Some(held) = self.holds.get(which % count) else { return };
        let owner = self.processes.iter_mut().find(|process| process.id == held.owner);
        let Some(owner) = owner.filter(|_| held.access == Access::Write) else { return };
        for (pfn, page) in held.frames().iter().zip(&held.in_step) {
            if let Some(page) = page {
                device_write(&self.mem, *pfn, value);
                owner.slots.get_mut(page).unwrap().set(value);
            }
        }
    }
}
