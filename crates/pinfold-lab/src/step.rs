//! Carries out one step of a scenario on the real memory manager.

mod asked;
mod balance;
mod direct;
mod fault;
mod files;
mod holds;
mod living;
mod mapping;
mod merge;
mod monitor;
mod moves;
mod plugged;
mod remote;
mod swap;
mod transfer;

use std::rc::Rc;

use pinfold::{FaultError, Group, Moved, NodeId, Reclaimer, SpaceId, VirtAddr, VirtRange};

use pinfold_explore::hook::{self, Mode};

use crate::carried::Spot;
use crate::counted::counted;
use crate::cpu::{Operation, Target};
use crate::journal::{Touch, What};
use crate::machine::Machine;
use crate::scenario::{self, Access, Action, Batches, Failure, Pages, Step, UffdWp};
use crate::spaces::{Area, Home, Inhabited};
use crate::waits::Awaited;
use crate::world::{Hold, Process, State, Store, World};

pub(crate) use fault::Fault;

use asked::{Extent, Shows, access_of, advice_of, prot};

/// What a step that succeeded reports.
pub(crate) type Done = Result<Option<String>, Fault>;

impl World {
    /// Carries a step out for `process`, and compares the result with what the step expects.
    pub(crate) fn step(&self, step: &Step, process: Option<&str>) -> Done {
        self.step_with(step, process, || {})
    }

    /// As [`World::step`]; `before_end` is what still belongs to the step when its action is over.
    pub(crate) fn step_with(
        &self,
        step: &Step,
        process: Option<&str>,
        before_end: impl FnOnce(),
    ) -> Done {
        self.machine().step_starts();
        let lane = self.machine().lane();
        let missing = self.missing(&step.action);
        let told = || What::Step {
            action: Box::new(step.action.clone()),
            text: describe(step, process, lane.is_none()),
            process: process.map(str::to_owned),
        };
        {
            let mut record = self.machine().record();
            match missing {
                // It does nothing that could be reached.
                Some(_) => record.note(lane, told),
                None => record.step_begins(lane, step.action.verb(), told),
            }
        }
        let judged = match missing {
            Some(handle) => {
                if let Some(made) = step.action.makes_handle() {
                    self.not_made(&made.value);
                }
                Ok(self.tell(|| format!("left out: {handle} was not made")))
            }
            None => self.judged(step, process.unwrap_or_default()),
        };
        before_end();
        let mut record = self.machine().record();
        record.step_ends(lane, || match &judged {
            Ok(told) => told.clone(),
            Err(fault) => Some(format!("fails: {}", fault.message)),
        });
        judged
    }

    /// Carries a step out, and compares the result with what it expects.
    fn judged(&self, step: &Step, process: &str) -> Done {
        let done = self.alive(&step.action, process);
        let may_fail = step.may_fail.map(|failure| failure.value);
        match (done, step.fails) {
            (Err(fault), None) if may_fail.is_some() && fault.failure == may_fail => {
                if let Some(handle) = step.action.makes_handle() {
                    self.not_made(&handle.value);
                }
                Ok(Some(format!("fails: {}", fault.message)))
            }
            (Ok(told), None) => Ok(told),
            (Ok(_), Some(failure)) => {
                let mut what = format!("worked, where it should fail: {failure}");
                if failure.value == Failure::TooManyReferences {
                    what += &format!(", which it does where there are {} (facts 3.3)", i32::MAX);
                }
                Err(Fault::other(what))
            }
            (Err(fault), Some(failure)) if fault.failure == Some(failure.value) => {
                Ok(Some(fault.message))
            }
            (Err(fault), _) => Err(fault),
        }
    }

    /// The handle that a step needs, if a step that was allowed to fail has failed to make it: such
    /// a step is left out. Waits until one or the other is known.
    fn missing<'a>(&self, action: &'a Action) -> Option<&'a str> {
        let handle = action.uses_handle().filter(|handle| self.is_doubtful(handle))?;
        self.await_handle(handle);
        let made = self.state.borrow().handles.get(handle).is_some();
        hook::saw(u64::from(made));
        (!made).then_some(handle.value.as_str())
    }

    /// A handle was not made: who waits for it goes on without it.
    fn not_made(&self, handle: &str) {
        self.waits.happen(&Awaited::Handle(handle.to_owned()));
    }

    /// Carries an action out, unless its process ends before it begins.
    fn alive(&self, action: &Action, process: &str) -> Done {
        let _lock = match action {
            // They take the lock exclusively.
            Action::Exit | Action::Exec => None,
            _ if action.needs_process() => self.exit_locks.take(process, Mode::Shared),
            _ => None,
        };
        self.act(action, process)
    }

    fn act(&self, action: &Action, process: &str) -> Done {
        match action {
            Action::Map { area, pages, sharing, protection, of, up_to, at, occupied } => self.map(
                process,
                &area.value,
                (Shows { sharing: sharing.value, of: of.as_ref() }, protection.value),
                Extent { pages: pages.value, room: up_to.unwrap_or(*pages).value },
                (at.map(|at| at.value), *occupied),
            ),
            Action::Unmap { pages } => {
                let (space, range) = self.range(process, pages)?;
                space.unmap(range)?;
                self.machine().record().unwatch(self.machine().lane(), space.id(), Some(range));
                Ok(None)
            }
            Action::Remap { area, at } => self.remap(process, &area.value, at.value),
            Action::Break { area, pages } => self.move_break(process, &area.value, pages.value),
            Action::Protect { pages, protection } => {
                let (space, range) = self.range(process, pages)?;
                space.protect(range, prot(protection.value))?;
                Ok(None)
            }
            Action::Advise { pages, advice } => {
                let (space, range) = self.range(process, pages)?;
                space.advise(range, advice_of(advice.value))?;
                Ok(None)
            }
            Action::Write { to, word } => self.write(process, to, &word.value),
            Action::Read { from, expect, register } => {
                let (space, target, _) = self.target(process, from)?;
                let value = self.until_resolved(&space, || {
                    Ok(self.machine().access(&space, target, Operation::Load)?)
                })?;
                self.seen(value, expect.as_ref(), register.as_ref())
            }
            Action::DeviceWrite { to, word } => {
                let value = self.words.value(&word.value);
                let (frame, value) = self.device(to, Operation::Store(value))?;
                self.put_through(to);
                self.machine().touched(through(to, frame, value), What::Stores);
                Ok(None)
            }
            Action::DeviceRead { from, expect, register } => {
                let (frame, value) = self.device(from, Operation::Load)?;
                self.machine().touched(through(from, frame, value), What::Loads);
                self.seen(value, expect.as_ref(), register.as_ref())
            }
            Action::Pin { grab, duration, times } => self.pin(process, grab, *duration, *times),
            Action::Get { grab, times } => self.get(process, grab, *times),
            Action::Unpin { handle, dirty } => self.unpin(&handle.value, *dirty),
            Action::Put { handle } | Action::Unfollow { handle } => {
                drop(self.release(&handle.value)?);
                Ok(None)
            }
            Action::Follow { pages, handle } => {
                let (space, range) = self.range(process, pages)?;
                self.keep(
                    process,
                    &handle.value,
                    Hold::Follows,
                    (space.id(), range),
                    (Access::Write, None),
                )
            }
            Action::SplitFolio { at } => {
                let (space, target, _) = self.target(process, at)?;
                self.split_folio(&space, VirtAddr::of_page(target.page))
            }
            Action::Collapse { at } => {
                let (space, target, _) = self.target(process, at)?;
                self.collapse(&space, VirtAddr::of_page(target.page))
            }
            Action::SplitDeferred => {
                let splits = self.memory.split_partly_mapped(u64::MAX);
                Ok(self.tell(|| format!("{} split, {} failed", splits.split, splits.failed)))
            }
            Action::Note { pages, handle } => self.note(process, pages, &handle.value),
            Action::TryGet { frame, handle } => self.try_get(frame, &handle.value),
            Action::GetPage { held, handle } => self.get_page(held, &handle.value),
            Action::Fork { child } => self.fork(process, &child.value),
            Action::Exit => self.exit(process),
            Action::NumaScan { pages } => {
                let space = self.live(process)?;
                let ranges = match pages {
                    Some(pages) => vec![self.range(process, pages)?.1],
                    None => self.at_home(process, |home| {
                        home.areas.values().map(|area| area.range).collect()
                    })?,
                };
                let users = self.users(process);
                let scan = |range| space.numa_scan_of(range, users);
                let changed: u64 = ranges.into_iter().map(scan).sum();
                Ok(self.tell(|| format!("{changed} made protnone")))
            }
            Action::NumaTick { now, expect } => {
                self.tick(process, now.value, expect.map(|expect| expect.value))
            }
            Action::Migrate { pages, node, waits } => {
                self.migrate((process, pages), NodeId(node.value as u8), *waits)
            }
            Action::MovePages { pages, node, whose, expect, register } => self.move_pages(
                (process, pages),
                (NodeId(node.value as u8), *whose),
                (expect, register.as_ref()),
            ),
            Action::Mbind { pages, node, whose, strict } => {
                self.mbind((process, pages), NodeId(node.value as u8), (*whose, *strict))
            }
            Action::Offline { node, what } => self.offline(NodeId(node.value as u8), *what),
            Action::Online { node, what } => self.online(NodeId(node.value as u8), *what),
            Action::Compact { pages, node, waits } => {
                self.compact((process, pages), NodeId(node.value as u8), *waits)
            }
            Action::ClearRefs => {
                self.live(process)?.clear_soft_dirty()?;
                Ok(None)
            }
            Action::Pageout { pages } => {
                let (space, range) = self.range(process, pages)?;
                Ok(self.paged_out(space.page_out(range, Reclaimer::Advice)))
            }
            Action::Swapoff => self.swap_off(),
            Action::Reclaim { node, goal } => {
                let node = NodeId(node.value as u8);
                Ok(self.paged_out(self.memory.reclaim(node, u64::from(goal.value))))
            }
            Action::LruDrain { of } => {
                match of {
                    Batches::Here => self.memory.lru_add_drain(),
                    Batches::All => self.memory.lru_add_drain_all(),
                }
                Ok(None)
            }
            Action::Ksm { pages } => self.merge(pages.map(|pages| pages.value)),
            Action::Writeback { pages } => {
                let (space, range) = self.range(process, pages)?;
                let written = space.sync(range)?;
                Ok(self.written(written))
            }
            Action::Populate { pages, access } => {
                let (space, range) = self.range(process, pages)?;
                self.until_resolved(&space, || {
                    let done = space.populate(range, access_of(access.value));
                    done.map_err(|stopped| match stopped.error {
                        FaultError::NotMapped(_) => Fault::of(Failure::NotMapped, stopped),
                        error => error.into(),
                    })
                })?;
                Ok(None)
            }
            Action::Mlock { pages } => {
                let (space, range) = self.range(process, pages)?;
                self.until_resolved(&space, || Ok(space.mlock(range)?))?;
                Ok(None)
            }
            Action::Munlock { pages } => {
                let (space, range) = self.range(process, pages)?;
                space.munlock(range)?;
                Ok(None)
            }
            Action::Signal { signal } => {
                self.waits.happen(&Awaited::Signal(signal.value.clone()));
                Ok(None)
            }
            Action::Await { signal } => {
                self.waits.until(&Awaited::Signal(signal.value.clone()));
                Ok(None)
            }
            Action::UffdRegister { pages, modes } => self.uffd_register(process, pages, modes),
            Action::UffdUnregister { pages } => {
                let (space, range) = self.range(process, pages)?;
                space.uffd_unregister(range)?;
                Ok(None)
            }
            Action::UffdProtect { pages } => self.uffd_write_protect(process, pages, true),
            Action::UffdUnprotect { pages } => self.uffd_write_protect(process, pages, false),
            Action::UffdCopy { to, word, wp } => self.uffd_copy(process, to, &word.value, *wp),
            Action::UffdZero { at } => {
                self.uffd_resolve(process, at, |space, at| space.uffd_zero(at))
            }
            Action::UffdContinue { at, wp } => self
                .uffd_resolve(process, at, |space, at| space.uffd_continue(at, *wp == UffdWp::On)),
            Action::UffdWait { at, reason } => self.uffd_wait(process, at, reason.value),
            Action::Clone { child } | Action::Vfork { child } => self.clone(process, &child.value),
            Action::Exec => self.exec(process),
            Action::FileWrite { to, word } => self.write_file(process, to, &word.value),
            Action::FileRead { from, expect, register } => {
                let value = self.read_file(process, from)?;
                self.seen(value, expect.as_ref(), register.as_ref())
            }
            Action::Truncate { file, pages, words } => {
                let words = words.map_or(0, |words| words.value);
                self.truncate(process, file, (pages.value, words))
            }
            Action::Punch { pages } => self.punch(process, pages),
            Action::Sync { file } => self.sync(process, file),
            Action::DirectRead { to, from } => self.direct_read(process, to, from),
            Action::DirectWrite { from, to } => self.direct_write(process, from, to),
            Action::VmRead { peek } => self.vm_read(peek),
            Action::VmWrite { poke } => self.vm_write(poke),
            Action::PtraceRead { peek } => self.ptrace_read(peek),
            Action::PtraceWrite { poke } => self.ptrace_write(poke),
            Action::Join { group } => {
                let space = self.live(process)?;
                self.group(group, |group| (**space).join(group))?;
                Ok(None)
            }
            Action::MoveCharge { pages, from, to } => {
                let (space, range) = self.range(process, pages)?;
                let moved = self.group(from, |from| {
                    self.group(to, |to| space.move_charge(range, from, to))
                })??;
                let moved = moved?;
                Ok(self.tell(|| {
                    format!(
                        "{} moved, {} stayed",
                        counted(moved.moved, "page", "pages"),
                        moved.stayed
                    )
                }))
            }
        }
    }

    fn group<R>(
        &self,
        name: &scenario::Name,
        act: impl FnOnce(&Group<Machine>) -> R,
    ) -> Result<R, Fault> {
        let done = self.with_group(&name.value, act);
        done.ok_or_else(|| Fault::other(format!("the machine has no group {name}")))
    }

    /// How many pages were written back.
    fn written(&self, pages: u64) -> Option<String> {
        self.tell(|| format!("{} written", counted(pages, "page", "pages")))
    }

    /// What became of pages that were to move.
    fn moved(&self, moved: Moved) -> Option<String> {
        self.tell(|| format!("{} moved, {} failed", moved.moved, moved.failed))
    }

    /// What a step reports, if anything reads it.
    fn tell(&self, text: impl FnOnce() -> String) -> Option<String> {
        let kept = self.machine().record().keeps_journal();
        kept.then(text)
    }

    fn with<R>(&self, process: &str, act: impl FnOnce(&mut Process) -> R) -> Result<R, Fault> {
        let mut state = self.state.borrow_mut();
        let found = state.processes.get_mut(process);
        hook::saw(u64::from(found.is_some()));
        found.map(act).ok_or_else(|| Fault::other(format!("process {process} does not exist yet")))
    }

    /// What is known of the address space of a process.
    fn at_home<R>(&self, process: &str, act: impl FnOnce(&mut Home) -> R) -> Result<R, Fault> {
        let id = self.with(process, |found| found.home)?;
        let mut state = self.state.borrow_mut();
        let home = state.homes.get_mut(&id);
        home.map(act).ok_or_else(|| Fault::other(format!("process {process} is nowhere")))
    }

    fn live(&self, process: &str) -> Result<Rc<Inhabited>, Fault> {
        let space = self.with(process, |found| found.space.clone())?;
        hook::saw(u64::from(space.is_some()));
        space.ok_or_else(|| gone(process))
    }

    fn area(&self, process: &str, area: &str) -> Result<Area, Fault> {
        let area_there = self.at_home(process, |home| home.areas.get(area).cloned())?;
        let range = area_there.as_ref().map(|area| area.range);
        hook::saw(range.map_or(0, |range| range.first_page().0 + 1));
        hook::saw(range.map_or(0, |range| range.pages()));
        area_there.ok_or_else(|| Fault::other(format!("process {process} has no area {area}")))
    }

    fn range(&self, process: &str, pages: &Pages) -> Result<(Rc<Inhabited>, VirtRange), Fault> {
        let area = self.area(process, &pages.area.value)?.range;
        let (first, count) = pages.extent.resolve(area.pages() as u32);
        let start = (area.first_page() + u64::from(first)).start();
        let range = VirtRange::new(start, u64::from(count))
            .map_err(|error| Fault::of(Failure::Invalid, error))?;
        Ok((self.live(process)?, range))
    }

    pub(crate) fn target(
        &self,
        process: &str,
        place: &scenario::Place,
    ) -> Result<(Rc<Inhabited>, Target, u64), Fault> {
        let area = self.area(process, &place.name.value)?.range;
        let page = area.first_page().0 + u64::from(place.page());
        Ok((self.live(process)?, Target { page, word: place.word() as usize }, page))
    }

    fn write(&self, process: &str, to: &scenario::Place, word: &str) -> Done {
        let value = self.words.value(word);
        let (space, target, _) = self.target(process, to)?;
        let area = self.area(process, &to.name.value)?;
        self.storing((&space, &area, target.page), value, || {
            self.until_resolved(&space, || {
                Ok(self.machine().access(&space, target, Operation::Store(value))?)
            })
        })?;
        let at = Spot { space: space.id(), page: target.page, word: target.word };
        self.state.borrow_mut().carried.put(at, self.machine().lane());
        Ok(None)
    }

    /// Runs `store`, which stores a word in an area, and notes who has stored it where.
    fn storing<R>(
        &self,
        (space, area, page): (&Inhabited, &Area, u64),
        value: u64,
        store: impl FnOnce() -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        self.state.borrow_mut().notes(space.id(), page, value);
        let stored = area.sharing.is_private().then(|| {
            let mut state = self.state.borrow_mut();
            let at = state.forks();
            let store = Store { space: space.id(), value, at };
            state.stores.push(store.clone());
            store
        });
        let done = store();
        if done.is_err() {
            let mut state = self.state.borrow_mut();
            let at = state.stores.iter().rposition(|store| Some(store) == stored.as_ref());
            if let Some(at) = at {
                state.stores.remove(at);
            }
        }
        done
    }

    fn seen(
        &self,
        value: u64,
        expect: Option<&scenario::Text>,
        register: Option<&scenario::Name>,
    ) -> Done {
        if let Some(register) = register {
            self.fill(register, value);
        }
        let text = || self.words.text(value);
        match expect {
            Some(wanted) if self.words.value(&wanted.value) != value => {
                Err(Fault::other(format!("found \"{}\", expected \"{}\"", text(), wanted.value)))
            }
            _ => Ok(self.tell(|| format!("= \"{}\"", text()))),
        }
    }

    /// Keeps what a step found in its register.
    fn fill(&self, register: &scenario::Name, value: u64) {
        let mut state = self.state.borrow_mut();
        state.registers.insert(&register.value, value);
        // Whose value stays depends on the order.
        let writes = state.register_writes.get(&register.value).map_or(1, |writes| writes + 1);
        state.register_writes.insert(&register.value, writes);
        hook::saw(writes);
    }

    /// A step that needs another lane's handle waits until the handle is made.
    fn await_handle(&self, name: &str) {
        self.waits.until(&Awaited::Handle(name.to_owned()));
    }
}

impl State {
    /// Pages have moved: what devices hold is looked for in the new place. A
    /// device that follows goes by addresses, and finds nothing there.
    fn moved(&mut self, space: SpaceId, from: VirtRange, to: VirtRange) {
        let within = |pages: VirtRange| {
            from.first_page() <= pages.first_page() && pages.end_page() <= from.end_page()
        };
        self.carried.moved(space, from, to);
        for handle in self.handles.values_mut().filter(|handle| handle.space == space) {
            if !handle.follows() && within(handle.pages) {
                let first = to.first_page() + (handle.pages.first_page() - from.first_page());
                let pages = VirtRange::new(first.start(), handle.pages.pages());
                handle.pages = pages.unwrap_or(handle.pages);
            }
        }
    }

    /// Notes that a word is stored at a page: in private memory, or where others find it.
    fn notes(&mut self, space: SpaceId, page: u64, value: u64) {
        let home = self.homes.get(&space);
        if home.is_some_and(|home| home.is_private(VirtAddr::of_page(page))) {
            self.kept.insert((space, page, value));
        } else {
            self.open.insert(value);
        }
    }

    /// Notes that a device stores a word there. What it may only read is anybody's.
    fn notes_through(&mut self, to: &scenario::Place, value: u64) {
        let held = self.handles.get(&to.name.value);
        let page = held.map(|handle| (handle.space, handle.page(to.page()), handle.access));
        match page {
            Some((space, page, Access::Write)) => self.notes(space, page, value),
            Some((.., Access::Read)) | None => {
                self.open.insert(value);
            }
        }
    }

    /// How many forks have ended.
    fn forks(&self) -> u64 {
        hook::saw(self.clock);
        self.clock
    }
}

/// A step of a process that has ended.
fn gone(process: &str) -> Fault {
    Fault::of(Failure::Exited, format!("process {process} has exited"))
}

/// A word that a device touches through a handle.
fn through(place: &scenario::Place, frame: pinfold::Pfn, value: u64) -> Touch {
    let handle = Some(place.name.value.clone());
    Touch { frame, word: place.word() as usize, value, handle }
}

/// The step as a trace shows it: without the process if the lane shows it already.
fn describe(step: &Step, process: Option<&str>, alone: bool) -> String {
    match process {
        Some(process) if alone && step.process.is_none() => format!("{process}: {step}"),
        _ => step.to_string(),
    }
}
