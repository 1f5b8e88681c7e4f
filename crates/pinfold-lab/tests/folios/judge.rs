//! What must hold at the end of every execution.
//!
//! - Whoever loads a page sees what his address space has put there; a store that succeeded is
//!   there at the end, unless its owner gave the page up. Nobody sees what was stored behind his
//!   fork: by the rules of today not through a reference either.
//! - A pin and its owner go on naming one frame, by the rules of today.
//! - A reference by number is one of private memory.
//! - An operation is refused only for what another lane does.
//! - All counts have a reason ([`super::audit`]), and a folio that nobody holds can be split.
//!
//! Use of freed frames, broken invariants, data races and hangs end the execution that meets them.

use pinfold::lab;
use pinfold::sync::AtomicU64;
use pinfold::{AddressSpace, Entry, Flags, Prot, Pte, SplitError, VirtAddr};

use super::Tables;
use super::audit::{self, Whole};
use super::operations::{ASIDE, Act, FIRST, PAGES, Part, Seen, Setup, TAIL, What, Who};
use super::platform::Bare;
use super::world::{Held, World, old, range, stamp};

/// What is stored after the lanes.
const LAST: u64 = 999;

impl World {
    fn acts(&self) -> impl Iterator<Item = (usize, usize, Act)> {
        let steps = |(lane, acts): (usize, &Vec<Act>)| {
            let acts = acts.clone().into_iter().enumerate();
            acts.map(move |(step, act)| (lane, step, act))
        };
        self.lanes.iter().enumerate().flat_map(steps)
    }

    fn does(&self, who: Who, some: impl Fn(What) -> bool) -> bool {
        self.acts().any(|(.., (by, what))| by == who && some(what))
    }

    /// The values that stores of `who` to a page have brought.
    fn stored(&self, who: Who, page: u64) -> Vec<u64> {
        let log = self.log.borrow();
        let counts = |(lane, step, (by, what)): (usize, usize, Act)| {
            let there = match what {
                What::Store => page == TAIL,
                What::StoreHead => page == FIRST,
                _ => false,
            };
            let done = there && by == who && matches!(log[lane][step], Seen::Value(_));
            done.then(|| stamp(by, lane, step))
        };
        self.acts().filter_map(counts).collect()
    }

    /// Whether a page may be another, or none, at the end.
    fn gives_up(&self, who: Who, page: u64) -> bool {
        let upper = page >= FIRST + PAGES / 2;
        let within = |part| match part {
            Part::All => true,
            Part::Lower => !upper,
            Part::Upper => upper,
            Part::Tails => page != FIRST,
        };
        let before = match self.setup {
            Setup::Partly => who == Who::Owner && upper,
            Setup::Halves => upper == (who == Who::Owner),
            _ => false,
        };
        before
            || self.does(who, |what| match what {
                What::Unmap(part) | What::DontNeed(part) => within(part),
                What::Exit => true,
                _ => false,
            })
    }

    fn may_see(&self, who: Who, page: u64, value: u64) -> bool {
        let written = self.setup.is_written();
        (value == 0 && (!written || self.gives_up(who, page)))
            || (written && value == old(page))
            || self.stored(who, page).contains(&value)
    }

    /// What the tables of `space` name, while nothing runs.
    fn view(
        &self,
        space: &AddressSpace<Bare>,
        page: u64,
    ) -> Result<Option<(Pte<Tables>, u64)>, String> {
        let Some(slot) = self.machine().entry(space.root(), page, AtomicU64::peek) else {
            return Ok(None);
        };
        let pte = slot.peek();
        match pte.decode() {
            Entry::None => Ok(None),
            Entry::Mapped(pfn) => Ok(Some((pte, self.machine().data(pfn).peek()))),
            other => Err(format!("{other:?} is left")),
        }
    }

    /// Where a page of the folio is now, and what is there: it may have moved.
    fn found(
        &self,
        space: &AddressSpace<Bare>,
        page: u64,
    ) -> Result<Option<(u64, Pte<Tables>, u64)>, String> {
        let aside = (page + ASIDE).checked_sub(FIRST + PAGES / 2).filter(|at| *at >= ASIDE);
        for at in [Some(page), aside].into_iter().flatten() {
            if let Some((pte, value)) = self.view(space, at)? {
                return Ok(Some((at, pte, value)));
            }
        }
        Ok(None)
    }

    /// Judges a finished execution: its outcome. Takes the world down.
    pub(crate) fn judge(&self, today: bool) -> Result<String, String> {
        self.refusals()?;
        for who in [Who::Owner, Who::Child] {
            if let Some(space) = &self.spaces.borrow()[who as usize] {
                (FIRST..FIRST + PAGES).try_for_each(|page| self.contents(who, space, page))?;
            }
        }
        for (from, child) in self.forked.borrow().iter() {
            for page in FIRST..FIRST + PAGES {
                if let Some((.., value)) = self.found(child, page)?
                    && !self.may_see(*from, page, value)
                {
                    return Err(format!("a new child of the {from:?} sees {value} at {page}"));
                }
            }
        }
        self.audit()?;
        self.holds(today)?;
        self.store_once_more(today)?;
        self.audit()?;
        let outcome = format!("{:?}", self.log.borrow());
        self.let_go();
        self.split_all()?;
        self.audit()?;
        self.take_down()?;
        Ok(outcome)
    }

    fn refusals(&self) -> Result<(), String> {
        for (lane, step, (who, what)) in self.acts() {
            let seen = &self.log.borrow()[lane][step];
            let gone = |by: What| matches!(by, What::Unmap(_) | What::Move | What::DontNeed(_));
            let excused = match seen {
                Seen::Done | Seen::WouldBlock | Seen::Splits(..) => true,
                Seen::Value(value) if what == What::Load => self.may_see(who, TAIL, *value),
                Seen::Value(_) => true,
                Seen::NotMapped => {
                    let split = self.acts().any(|(at, ..)| at != lane);
                    self.does(who, gone)
                        || self.setup == Setup::Halves
                        || what == What::Split && split
                        || what == What::Collapse && !self.setup.is_written()
                        || !matches!(what, What::Split) && self.does(who, gone)
                }
                Seen::Denied => self.does(who, |what| what == What::ReadOnly),
                Seen::Locked => {
                    matches!(what, What::DontNeed(_)) && self.does(who, |what| what == What::Lock)
                }
                // Areas that differ, or leave a hole, have no folio together.
                Seen::Unsuitable => {
                    let parts = |by: What| {
                        matches!(by, What::Unmap(_) | What::Move | What::ReadOnly | What::Lock)
                    };
                    matches!(self.setup, Setup::Halves | Setup::Moved) || self.does(who, parts)
                }
                Seen::Wrong(_) => false,
            };
            if !excused {
                return Err(format!("{what:?} by the {who:?} came to {seen:?}"));
            }
        }
        Ok(())
    }

    fn contents(&self, who: Who, space: &AddressSpace<Bare>, page: u64) -> Result<(), String> {
        let found = self.found(space, page)?;
        if let Some((.., value)) = found
            && !self.may_see(who, page, value)
        {
            return Err(format!("the {who:?} sees {value} at {page}"));
        }
        if self.gives_up(who, page) {
            return Ok(());
        }
        let stored = self.stored(who, page);
        match found {
            None if self.setup.is_written() || !stored.is_empty() => {
                Err(format!("the {who:?} has lost page {page}"))
            }
            Some((.., value)) if !stored.is_empty() && !stored.contains(&value) => {
                Err(format!("the {who:?} sees {value} at {page}, not what was stored"))
            }
            _ => Ok(()),
        }
    }

    /// What holds show, of pages that are the owner's or that nobody stores to.
    fn holds(&self, today: bool) -> Result<(), String> {
        for (who, held) in self.held.borrow().iter() {
            let value = self.machine().data(held.pages()[0]).peek();
            if today && !self.may_see(*who, TAIL, value) {
                return Err(format!("what the {who:?} holds has {value} in it"));
            }
        }
        for reference in self.references.borrow().iter() {
            let flags = lab::flags(self.memory.frames(), reference.pfn());
            if !flags.contains(Flags::ANON) {
                return Err(format!("{reference:?} is one of {flags:?}"));
            }
        }
        Ok(())
    }

    fn audit(&self) -> Result<(), String> {
        let (spaces, forked) = (self.spaces.borrow(), self.forked.borrow());
        let living = spaces.iter().flatten().map(|space| &**space);
        let living: Vec<_> = living.chain(forked.iter().map(|(_, space)| space)).collect();
        let (held, before) = (self.held.borrow(), self.before.borrow());
        let pinned = held.iter().filter(|(_, held)| matches!(held, Held::Pins(_)));
        let pinned = pinned.flat_map(|(_, held)| held.pages());
        let pinned = pinned.chain(before.iter().flat_map(|pins| pins.pages()));
        let pinned: Vec<_> = pinned.copied().collect();
        let refs = held.iter().filter(|(_, held)| matches!(held, Held::Refs(_)));
        let references = self.references.borrow();
        let held: Vec<_> = refs
            .flat_map(|(_, held)| held.pages().iter().copied())
            .chain(references.iter().map(pinfold::Reference::pfn))
            .collect();
        let forks = self.acts().filter(|(.., (_, what))| *what == What::Fork).count();
        let two = usize::from(self.setup.has_child()) + forks <= 1;
        let kept = self.kept.borrow();
        audit::check(
            &self.memory,
            &Whole { spaces: &living, pinned: &pinned, held: &held, kept: &kept, two },
        )
    }

    /// The owner stores after the lanes: its pins have it, its children have not, and nobody's
    /// reference either.
    fn store_once_more(&self, today: bool) -> Result<(), String> {
        let Some(owner) = self.spaces.borrow()[0].clone() else { return Ok(()) };
        let others = || -> Result<Vec<_>, String> {
            let (spaces, forked) = (self.spaces.borrow(), self.forked.borrow());
            let child = spaces[1].iter().map(|space| &**space);
            let all = child.chain(forked.iter().map(|(_, space)| space));
            let view = |space: &AddressSpace<Bare>| {
                let pages = (FIRST..FIRST + PAGES).map(|page| self.found(space, page));
                pages.map(|found| Ok(found?.map(|(.., value)| value))).collect()
            };
            all.map(view).collect::<Result<Vec<Vec<_>>, String>>()
        };
        let before = others()?;
        for page in [FIRST, TAIL] {
            if !owner.is_mapped(VirtAddr::of_page(page)) {
                continue;
            }
            let one = range(page, 1);
            owner.protect(one, Prot::READ_WRITE).map_err(|error| error.to_string())?;
            let stored = self.machine().access(&owner, page, Some(LAST));
            stored.map_err(|error| error.to_string())?;
        }
        if others()? != before {
            return Err("a child sees what its parent stored after the fork".to_owned());
        }
        if !today || !owner.is_mapped(VirtAddr::of_page(TAIL)) {
            return Ok(());
        }
        let (held, first) = (self.held.borrow(), self.before.borrow());
        for (who, held) in held.iter() {
            let device = self.machine().data(held.pages()[0]).peek();
            if *who == Who::Child && device == LAST {
                return Err("a child's hold shows what its parent stored after the fork".to_owned());
            }
            let pinned = *who == Who::Owner && matches!(held, Held::Pins(_));
            if pinned && !self.gives_up(Who::Owner, TAIL) && device != LAST {
                return Err(format!("the owner stores, and its device reads {device}"));
            }
        }
        let pinned = first.iter().filter(|_| !self.gives_up(Who::Owner, TAIL));
        for pfn in pinned.filter_map(|pins| pins.pages().first()) {
            let device = self.machine().data(*pfn).peek();
            if device != LAST {
                return Err(format!("the owner stores, and its old device reads {device}"));
            }
        }
        Ok(())
    }

    /// Nobody holds anything but entries: every folio can be split, and is gone then.
    fn split_all(&self) -> Result<(), String> {
        let (spaces, forked) = (self.spaces.borrow(), self.forked.borrow());
        let living = spaces.iter().flatten().map(|space| &**space);
        for space in living.chain(forked.iter().map(|(_, space)| space)) {
            for page in (FIRST..FIRST + PAGES).chain(ASIDE..ASIDE + PAGES / 2) {
                match space.split_folio(VirtAddr::of_page(page)) {
                    Ok(()) | Err(SplitError::NotLarge) => {}
                    Err(error) => return Err(format!("a folio is not split at the end: {error}")),
                }
            }
        }
        if self.memory.partly_mapped() > 0 {
            return Err("no folio is left, and one waits".to_owned());
        }
        Ok(())
    }

    fn take_down(&self) -> Result<(), String> {
        drop(self.forked.take());
        drop(self.spaces.take());
        let frames = self.memory.frames();
        let kept: u64 = self.kept.borrow().iter().map(|head| 1 << frames.order(*head)).sum();
        let (free, bugs) = (frames.total_free() + kept, self.machine().bugs());
        let stats = self.memory.stats();
        let pins = (stats.nr_foll_pin_acquired, stats.nr_foll_pin_released);
        if free != self.free {
            return Err(format!("{free} frames are free at the end, not {}", self.free));
        }
        if pins.0 != pins.1 {
            return Err(format!("{} pins acquired, {} released", pins.0, pins.1));
        }
        if bugs.is_empty() { Ok(()) } else { Err(format!("{bugs:?}")) }
    }
}
