//! What the model knows of a process: the value of each page, and what may be done with it.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::files::Contents;
use crate::ops::{PAGES, Run, Way};
use crate::testing::Space;
use pinfold::{Access, FileSharing, Format, Prot, Sharing};

/// A mapped page of a process.
#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) prot: Prot,
    pub(crate) left_out: bool,
    pub(crate) wiped: bool,
    /// Whether it is a stack's.
    pub(crate) grows: bool,
    /// Whether it is locked in memory.
    pub(crate) locked: bool,
    value: Value,
}

#[derive(Clone)]
enum Value {
    Private(u64),
    File(Shown),
}

/// A page of a file, or of shared memory.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) of: Rc<Contents>,
    pub(crate) page: u64,
    pub(crate) sharing: FileSharing,
    /// What the process's own copy holds, once it has one.
    pub(crate) own: Option<u64>,
}

impl Slot {
    pub(crate) fn is_private(&self) -> bool {
        match &self.value {
            Value::Private(_) => true,
            Value::File(shown) => shown.sharing == FileSharing::Private,
        }
    }

    /// Whether it is private and shows no file.
    pub(crate) fn is_anon(&self) -> bool {
        matches!(self.value, Value::Private(_))
    }

    pub(crate) fn shown(&self) -> Option<&Shown> {
        match &self.value {
            Value::File(shown) => Some(shown),
            Value::Private(_) => None,
        }
    }

    pub(crate) fn shown_mut(&mut self) -> Option<&mut Shown> {
        match &mut self.value {
            Value::File(shown) => Some(shown),
            Value::Private(_) => None,
        }
    }

    /// Whether there is a page to be had: none past the end of a file.
    pub(crate) fn exists(&self) -> bool {
        self.shown().is_none_or(|shown| shown.of.has(shown.page))
    }

    /// Whether it shows a page of a file, and not a copy of it.
    pub(crate) fn is_files(&self) -> bool {
        self.shown().is_some_and(|shown| shown.own.is_none())
    }

    /// Whether it is shared, of a file whose writes are tracked.
    pub(crate) fn is_tracked(&self) -> bool {
        let tracked = |shown: &Shown| shown.sharing == FileSharing::Shared && shown.of.tracked;
        self.shown().is_some_and(tracked)
    }

    pub(crate) fn get(&self) -> u64 {
        match &self.value {
            Value::Private(value) => *value,
            Value::File(shown) => shown.own.unwrap_or_else(|| shown.of.get(shown.page)),
        }
    }

    pub(crate) fn set(&mut self, new: u64) {
        match &mut self.value {
            Value::Private(value) => *value = new,
            Value::File(shown) => match shown.sharing {
                FileSharing::Private => shown.own = Some(new),
                FileSharing::Shared => shown.of.set(shown.page, new),
            },
        }
    }

    /// Its page goes, and what is behind it shows again.
    pub(crate) fn empty(&mut self) {
        match &mut self.value {
            Value::Private(value) => *value = 0,
            Value::File(shown) => shown.own = None,
        }
    }

    /// Whether pin or get may have the page.
    pub(crate) fn grants(&self, access: Access, forced: bool) -> bool {
        let exists = self.exists();
        exists
            && match access {
                Access::Read => forced || self.prot.contains(Prot::READ),
                Access::Write => self.prot.contains(Prot::WRITE) || forced && self.is_private(),
            }
    }

    /// The same without its page, so many pages further on in what it shows.
    pub(crate) fn emptied_at(&self, further: u64) -> Self {
        let mut empty = self.clone();
        empty.empty();
        match &mut empty.value {
            Value::Private(_) => {}
            Value::File(shown) => shown.page += further,
        }
        empty
    }

    /// The same without its page: what is behind it shows again.
    pub(crate) fn emptied(&self) -> Self {
        self.emptied_at(0)
    }

    /// What a child gets of it.
    pub(crate) fn inherited(&self) -> Option<Self> {
        let mut child = Self { locked: false, ..self.clone() };
        if self.wiped {
            child.empty();
        }
        (!self.left_out).then_some(child)
    }
}

pub(crate) struct Process<F: Format> {
    /// Never used twice.
    pub(crate) id: u64,
    pub(crate) space: Space<F>,
    /// The page at which its break is.
    pub(crate) end: u64,
    pub(crate) slots: BTreeMap<u64, Slot>,
}

impl<F: Format> Process<F> {
    pub(crate) fn slots_in(&self, run: Run) -> impl Iterator<Item = Option<&Slot>> {
        (run.first..run.first + run.pages).map(|page| self.slots.get(&page))
    }

    pub(crate) fn is_mapped(&self, run: Run) -> bool {
        self.slots_in(run).all(|slot| slot.is_some())
    }
}

impl<F: Format> Process<F> {
    /// A fault at a page where nothing is mapped grows the stack above, unless what can be accessed
    /// below is too near, as everything is here.
    pub(crate) fn grow(&mut self, page: u64) {
        let Some((first, stack)) = self.slots.range(page..).next() else { return };
        let near = self.slots.range(..page).next_back();
        let near = near.is_some_and(|(_, below)| !below.grows && !below.prot.is_empty());
        // What a remap has moved away lies further above than any limit allows.
        let far = first - page > PAGES;
        if *first == page || !stack.grows || near || far {
            return;
        }
        let (first, new) = (*first, stack.emptied());
        self.slots.extend((page..first).map(|page| (page, new.clone())));
    }

    /// A request for pages makes the stack grow at each page that it comes to: those that it took,
    /// and the one at which it ended.
    pub(crate) fn grow_for(&mut self, run: Run, taken: usize) {
        for page in (run.first..run.first + run.pages).take(taken + 1) {
            self.grow(page);
        }
    }

    /// How many pages a request is granted that makes the stack grow, or does not.
    pub(crate) fn would_grant(
        &mut self,
        run: Run,
        grows: bool,
        grants: impl Fn(&Slot) -> bool,
    ) -> usize {
        let before = self.slots.clone();
        let pages = run.first..run.first + run.pages;
        let granted = pages.take_while(|page| {
            if grows {
                self.grow(*page);
            }
            self.slots.get(page).is_some_and(&grants)
        });
        let granted = granted.count();
        self.slots = before;
        granted
    }

    /// Whether the program break may move to the start of a page.
    pub(crate) fn may_break_at(&self, page: u64) -> bool {
        let above = self.slots.range(self.end..).next();
        page <= self.end || above.is_none_or(|(first, slot)| !slot.grows && *first > page)
    }

    /// Whether nothing is mapped between a page below the break and the break.
    pub(crate) fn nothing_down_to(&self, page: u64) -> bool {
        page < self.end && self.slots.range(page..self.end).next().is_none()
    }

    /// New pages, in place of what is there.
    pub(crate) fn map(&mut self, run: Run, prot: Prot, sharing: Sharing) {
        let grows = sharing == Sharing::Stack;
        let memory = Rc::new(Contents::memory(run.pages));
        for page in run.first..run.first + run.pages {
            let value = match sharing {
                Sharing::Private | Sharing::Stack => Value::Private(0),
                Sharing::Shared => {
                    let (of, sharing) = (memory.clone(), FileSharing::Shared);
                    Value::File(Shown { of, page: page - run.first, sharing, own: None })
                }
            };
            let slot = Slot { prot, left_out: false, wiped: false, grows, locked: false, value };
            self.slots.insert(page, slot);
        }
    }

    /// Pages of a file, in place of what is there.
    pub(crate) fn map_file(&mut self, run: Run, prot: Prot, first: &Shown) {
        for at in 0..run.pages {
            let value = Value::File(Shown { page: first.page + at, ..first.clone() });
            let (left_out, wiped, grows, locked) = (false, false, false, false);
            self.slots.insert(run.first + at, Slot { prot, left_out, wiped, grows, locked, value });
        }
    }

    /// What lies before the first page that is not mapped.
    pub(crate) fn before_hole(&self, run: Run) -> Run {
        let pages = self.slots_in(run).take_while(|slot| slot.is_some()).count() as u64;
        Run { pages, ..run }
    }

    /// The parts of a run that lie between holes.
    pub(crate) fn stretches(&self, run: Run) -> Vec<Run> {
        let mut parts: Vec<Run> = Vec::new();
        let pages = run.first..run.first + run.pages;
        for page in pages.filter(|page| self.slots.contains_key(page)) {
            match parts.last_mut() {
                Some(part) if part.first + part.pages == page => part.pages += 1,
                _ => parts.push(Run { first: page, pages: 1 }),
            }
        }
        parts
    }

    /// What lies before the first page that is locked.
    pub(crate) fn before_locked(&self, run: Run) -> Run {
        let free = |slot: &Option<&Slot>| slot.is_none_or(|slot| !slot.locked);
        let pages = self.slots_in(run).take_while(free).count() as u64;
        Run { pages, ..run }
    }

    /// Whether the pages of a run, which are mapped, stay in memory from now on.
    pub(crate) fn set_locked(&mut self, run: Run, locked: bool) {
        for (_, slot) in self.slots.range_mut(run.first..run.first + run.pages) {
            slot.locked = locked;
        }
    }

    pub(crate) fn forget(&mut self, run: Run) {
        self.slots.retain(|page, _| !run.holds(*page));
    }

    /// What a remap does. Returns the pages that moved, or stayed in place, by their old numbers.
    pub(crate) fn remap(&mut self, run: Run, to: Run, way: Way) -> Vec<u64> {
        let old: Vec<Slot> =
            (run.first..run.first + run.pages).map(|page| self.slots[&page].clone()).collect();
        let kept = matches!(way, Way::Keep);
        self.forget(run);
        self.forget(to);
        if kept {
            for (page, slot) in (run.first..).zip(&old) {
                self.slots.insert(page, Slot { locked: false, ..slot.emptied() });
            }
        }
        for at in 0..to.pages {
            let slot = match old.get(at as usize) {
                Some(slot) => slot.clone(),
                None => old[0].emptied_at(at),
            };
            self.slots.insert(to.first + at, slot);
        }
        (run.first..run.first + run.pages.min(to.pages)).collect()
    }
}
