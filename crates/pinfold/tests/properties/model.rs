//! The model, and the comparison with the real thing after every step.
//!
//! What must hold:
//! - a load returns the last value stored by this process, or by its parent before the fork;
//! - an operation is refused exactly when the model refuses it, except for want of frames;
//! - under today's rules a pinned frame is its owner's page until the owner unmaps or drops it, and
//!   both see each other's writes;
//! - every count of every frame has its reason, and at the end nothing is left.

#[path = "model/on_files.rs"]
mod on_files;
#[path = "model/on_folios.rs"]
mod on_folios;
#[path = "model/on_groups.rs"]
mod on_groups;
#[path = "model/on_holds.rs"]
mod on_holds;
#[path = "model/on_moves.rs"]
mod on_moves;
#[path = "model/on_swap.rs"]
mod on_swap;

use std::collections::BTreeMap;

pub(crate) use on_folios::Folios;

use crate::files::Modelled;
use crate::ops::{FILE_PAGES, FILES, Op, PAGES, Run, Way};
use crate::process::{Process, Slot};
use crate::testing::{
    Audit, Hardware, Marks, Mem, Outside, Rig, Space, device_read, follow, load, machine_of, pages,
    space, spans, store,
};
use pinfold::pin::Ask;
use pinfold::rules::zap::needs_mapping;
use pinfold::{
    Access, Advice, FaultError, Format, FrameSetup, Group, HugeZero, LockError, NodeId, Pfn,
    PinError, PinnedPage, Pins, Place, Prot, Reference, Refs, Remap, Rules, Sharing, SpaceError,
    Stats, StoreError, Tuning, VirtAddr, VirtRange,
};

/// What the machine leaves to the manager, and what is checked beyond isolation and conservation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checks {
    /// Owner and device see the same page.
    pub(crate) pins_in_step: bool,
    /// Who sets accessed and dirty.
    pub(crate) marks: Marks,
    /// The orders of folios that first touches take, as bits.
    pub(crate) folios: Folios,
    /// Pages of a CPU's batch for the lists that reclaim chooses from; none, if it is zero.
    pub(crate) listed: u32,
}

enum Guard<F: Format> {
    Pins(Pins<Rig<F>>),
    Parted(Vec<PinnedPage<Rig<F>>>),
    Refs(Refs<Rig<F>>),
}

struct Held<F: Format> {
    guard: Guard<F>,
    owner: u64,
    access: Access,
    /// For each page of the guard: the owner's page that it must be.
    in_step: Vec<Option<u64>>,
}

impl<F: Format> Held<F> {
    fn frames(&self) -> Vec<Pfn> {
        match &self.guard {
            Guard::Pins(pins) => pins.pages().to_vec(),
            Guard::Parted(parted) => parted.iter().map(PinnedPage::pfn).collect(),
            Guard::Refs(refs) => refs.pages().to_vec(),
        }
    }
}

/// Frames may run out, a group may be at its limit, and a store may fail: then, and only then, a
/// refusal that the model did not foresee is right.
fn is_misfortune(error: FaultError) -> bool {
    use FaultError::{OutOfFrames, OverLimit, Store};
    matches!(error, OutOfFrames | OverLimit { .. } | Store(_, StoreError::Io))
}

/// The same of a request for pages.
fn for_want_of_frames(error: PinError) -> bool {
    matches!(error, PinError::Fault(error) if is_misfortune(error))
}

pub(crate) struct World<F: Format> {
    mem: Mem<F>,
    base: u64,
    checks: Checks,
    born: u64,
    written: u64,
    processes: Vec<Process<F>>,
    holds: Vec<Held<F>>,
    files: Vec<Modelled<F>>,
    swap: on_swap::Swap,
    /// Whether the store of the first file, and of the swap device, fails.
    fails: bool,
    groups: Vec<Group<Rig<F>>>,
    /// Taken by frame number.
    references: Vec<Reference<Rig<F>>>,
}

impl<F: Format> World<F> {
    /// A machine whose node `n` has `nodes[n]` frames, the manager's own or `outside`'s.
    pub(crate) fn new(
        rules: Rules,
        nodes: &[u64],
        outside: Option<&'static Outside>,
        base: u64,
        checks: Checks,
    ) -> Self
    where
        F: Hardware,
    {
        let Folios { always, advised, by: pmd_mapping } = checks.folios;
        let (folios_always, folios_advised) = (always, advised);
        // Where there are no large folios a fault on a page on swap reads others beside it.
        let swap_readahead = if advised == 0 { 2 } else { 0 };
        let few = Tuning {
            gather_pages: 3,
            stock_batch: 2,
            swap_readahead,
            max_ptes_swap: 3,
            lru_batch: checks.listed,
            watermarks: on_swap::marks(checks.listed),
            ..Tuning::default()
        };
        let small = F::ENTRIES <= 16;
        let huge_zero = if always != 0 && small { HugeZero::On } else { HugeZero::Off };
        let tuning = Tuning { folios_always, folios_advised, pmd_mapping, huge_zero, ..few };
        let spans = spans(nodes);
        let own = FrameSetup::new(&spans);
        let setup = match outside {
            Some(outside) => own.source(outside),
            None => own,
        };
        let mem = machine_of(checks.marks, setup, rules, tuning);
        mem.platform().devices.plug_in();
        let first = Process { id: 0, space: space(&mem), end: 1, slots: BTreeMap::new() };
        first.space.place_break(VirtAddr::of_page(base + 1)).unwrap();
        let files = (0..FILES).map(|number| Modelled::new(&mem, number)).collect();
        let (processes, holds, groups) = (vec![first], Vec::new(), on_groups::groups(&mem));
        let (born, written, fails, references) = (1, 0, false, Vec::new());
        let swap = on_swap::Swap::new(&mem);
        Self {
            mem,
            base,
            checks,
            born,
            written,
            processes,
            holds,
            files,
            swap,
            fails,
            groups,
            references,
        }
    }

    fn range(&self, run: Run) -> VirtRange {
        pages(self.base + run.first, run.pages)
    }

    fn fresh_value(&mut self) -> u64 {
        self.written += 1;
        self.written
    }

    pub(crate) fn step(&mut self, op: &Op) {
        match *op {
            Op::Map { who, run, prot, sharing } => self.map(who, run, prot, sharing),
            Op::Unmap { who, run } => self.unmap(who, run),
            Op::Protect { who, run, prot } => self.protect(who, run, prot),
            Op::Advise { who, run, advice } => self.advise(who, run, advice),
            Op::Store { who, page } => {
                self.store(who, page, |space, at, new| store(space, at, new).map(drop));
            }
            Op::Load { who, page } => self.load(who, page, load),
            Op::Fork { who } => self.fork(who),
            Op::Exit { who } => self.exit(who),
            Op::Pin { who, run, access, term, forced, path } => {
                let ask = Ask::new(access, term).path(path);
                self.pin(who, run, if forced { ask.forced() } else { ask }, forced);
            }
            Op::Get { who, run, access } => self.get(who, run, access),
            Op::Release { which } => self.release(which),
            Op::Handover { which } => self.hand_over(which),
            Op::DeviceWrite { which } => self.device_write(which),
            Op::Follow { who, page, access: Access::Read } => {
                self.load(who, page, |space, at| follow(space, at, None));
            }
            Op::Follow { who, page, access: Access::Write } => {
                self.store(who, page, |space, at, new| follow(space, at, Some(new)).map(drop));
            }
            Op::Remap { who, run, pages, how } => self.remap(who, run, pages, how),
            Op::Scan { who, run, users } => {
                let range = self.range(run);
                if let Some(process) = self.pick(who) {
                    process.space.numa_scan_of(range, users);
                }
            }
            Op::ClearRefs { who } => {
                let lacks = F::SOFT_DIRTY == 0;
                if let Some(process) = self.pick(who) {
                    assert_eq!(process.space.clear_soft_dirty().is_err(), lacks);
                }
            }
            Op::Migrate { who, run, node, how } => self.migrate(who, run, (NodeId(node), how)),
            Op::Offline { first, frames } => self.take_out_and_back(first, frames),
            Op::WriteBack { who, run } => self.write_back(who, run),
            Op::RunOn { node } => self.mem.platform().host.run_on(NodeId(node)),
            Op::Populate { who, run, access } => self.populate(who, run, access),
            Op::Break { who, page } => self.move_break(who, page),
            Op::Replace { who, run, prot, sharing } => self.replace(who, run, prot, sharing),
            Op::Mlock { who, run } => self.mlock(who, run),
            Op::Munlock { who, run } => self.munlock(who, run),
            Op::MapFile { who, run, prot, file, from, sharing } => {
                self.map_file(who, run, prot, (file, from, sharing));
            }
            Op::FileRead { file, page } => self.file_read(file, page),
            Op::FileWrite { file, page } => self.file_write(file, page),
            Op::Truncate { file, pages } => self.truncate(file, pages),
            Op::Punch { file, from, pages } => self.punch(file, from..from + pages),
            Op::SyncFile { file } => self.sync_file(file),
            Op::Invalidate { file } => drop(self.files[file].file.invalidate(0..FILE_PAGES)),
            Op::Disk { fails } => self.fail(fails),
            Op::Folio(ref op) => self.on_folio(op),
            Op::Swap(ref op) => self.on_swap(op),
            Op::Join { who, group } => self.join(who, group),
            Op::MoveCharge { who, run, from } => self.move_charge(who, run, from),
        }
        self.note_copies();
        self.check();
    }

    fn pick(&mut self, who: usize) -> Option<&mut Process<F>> {
        let count = self.processes.len();
        self.processes.get_mut(who % count.max(1))
    }

    fn map(&mut self, who: usize, run: Run, prot: Prot, sharing: Sharing) {
        let range = self.range(run);
        let Some(process) = self.pick(who) else { return };
        let mapped = process.space.map(Place::At(range.start()), run.pages, prot, sharing);
        let free = process.slots_in(run).all(|slot| slot.is_none());
        assert_eq!(mapped.is_ok(), free, "{mapped:?}");
        if free {
            process.map(run, prot, sharing);
        }
    }

    /// Whatever is there goes, in the same step.
    fn replace(&mut self, who: usize, run: Run, prot: Prot, sharing: Sharing) {
        let range = self.range(run);
        let Some(process) = self.pick(who) else { return };
        let place = Place::Replace(range.start());
        assert_eq!(process.space.map(place, run.pages, prot, sharing), Ok(range));
        process.map(run, prot, sharing);
        let owner = process.id;
        self.part(owner, run, |_| true);
    }

    /// Pages come and go at the program break.
    fn move_break(&mut self, who: usize, page: u64) {
        let to = VirtAddr::of_page(self.base + page);
        let needs = needs_mapping(self.mem.rule());
        let Some(process) = self.pick(who) else { return };
        let done = process.space.move_break(to);
        let may = process.may_break_at(page) && !(needs && process.nothing_down_to(page));
        assert_eq!(done.is_ok(), may, "to {page}: {done:?}");
        if done.is_err() {
            return;
        }
        let (owner, was) = (process.id, std::mem::replace(&mut process.end, page));
        if was < page {
            process.map(Run { first: was, pages: page - was }, Prot::READ_WRITE, Sharing::Private);
        } else {
            let gone = Run { first: page, pages: was - page };
            process.forget(gone);
            self.part(owner, gone, |_| true);
        }
    }

    /// Nothing is seen of it, but that it ends at the first page that may not be accessed.
    fn populate(&mut self, who: usize, run: Run, access: Access) {
        let range = self.range(run);
        let Some(process) = self.pick(who) else { return };
        let granted = process
            .slots_in(run)
            .take_while(|slot| slot.is_some_and(|slot| slot.grants(access, false)))
            .count() as u64;
        match process.space.populate(range, access) {
            Ok(()) => assert_eq!(granted, run.pages),
            Err(stopped) if is_misfortune(stopped.error) => {}
            Err(stopped) => assert_eq!(stopped.at.page(), range.first_page() + granted),
        }
    }

    /// Every page of the run is locked, and those up to the first that cannot be accessed are
    /// there.
    fn mlock(&mut self, who: usize, run: Run) {
        let range = self.range(run);
        let Some(process) = self.pick(who) else { return };
        let done = process.space.mlock(range);
        let whole = process.is_mapped(run);
        assert_eq!(matches!(done, Err(LockError::Refused(SpaceError::NotMapped(_)))), !whole);
        process.set_locked(process.before_hole(run), true);
        if !whole {
            return;
        }
        let reached = process
            .slots_in(run)
            .flatten()
            .take_while(|slot| !slot.prot.is_empty() && slot.exists());
        let reached = reached.count() as u64;
        match done {
            Ok(()) => assert_eq!(reached, run.pages),
            Err(LockError::Unpopulated(stop)) if is_misfortune(stop.error) => {}
            Err(LockError::Unpopulated(stop)) => {
                assert_eq!(stop.at.page(), range.first_page() + reached);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn munlock(&mut self, who: usize, run: Run) {
        let range = self.range(run);
        let Some(process) = self.pick(who) else { return };
        let done = process.space.munlock(range);
        assert_eq!(done.is_ok(), process.is_mapped(run), "{done:?}");
        process.set_locked(process.before_hole(run), false);
    }

    fn unmap(&mut self, who: usize, run: Run) {
        let range = self.range(run);
        let Some(process) = self.pick(who) else { return };
        process.space.unmap(range).unwrap();
        process.slots.retain(|page, _| !(run.first..run.first + run.pages).contains(page));
        let owner = process.id;
        self.part(owner, run, |_| true);
    }

    /// Ends the step of the owner's pins over `run`, where `ends` says so.
    fn part(&mut self, owner: u64, run: Run, ends: impl Fn(u64) -> bool) {
        for held in self.holds.iter_mut().filter(|held| held.owner == owner) {
            for step in &mut held.in_step {
                if step.is_some_and(|page| {
                    (run.first..run.first + run.pages).contains(&page) && ends(page)
                }) {
                    *step = None;
                }
            }
        }
    }

    fn protect(&mut self, who: usize, run: Run, prot: Prot) {
        let range = self.range(run);
        let Some(process) = self.pick(who) else { return };
        let done = process.space.protect(range, prot);
        assert_eq!(done.is_ok(), process.is_mapped(run), "{done:?}");
        let run = process.before_hole(run);
        for page in run.first..run.first + run.pages {
            process.slots.get_mut(&page).unwrap().prot = prot;
        }
    }

    fn advise(&mut self, who: usize, run: Run, advice: Advice) {
        let range = self.range(run);
        let Some(process) = self.pick(who) else { return };
        let done = process.space.advise(range, advice);
        let fits = |process: &Process<F>, run| {
            advice != Advice::WipeOnFork
                || process.slots_in(run).flatten().all(|slot| slot.is_anon())
        };
        let kept =
            advice == Advice::DontNeed && process.slots_in(run).flatten().any(|slot| slot.locked);
        let works = process.is_mapped(run) && fits(process, run) && !kept;
        assert_eq!(done.is_ok(), works, "{done:?}");
        let run = if kept { process.before_locked(run) } else { run };
        let whole = process.stretches(run);
        let taken: Vec<Run> = whole.into_iter().take_while(|part| fits(process, *part)).collect();
        for page in taken.into_iter().flat_map(|part| part.first..part.first + part.pages) {
            let slot = process.slots.get_mut(&page).unwrap();
            match advice {
                Advice::DontNeed => slot.empty(),
                Advice::DontFork => slot.left_out = true,
                Advice::DoFork => slot.left_out = false,
                Advice::WipeOnFork => slot.wiped = true,
                Advice::KeepOnFork => slot.wiped = false,
                Advice::Free => unreachable!("not drawn: whether contents go is reclaim's to say"),
                // No page of a process is seen to be part of a folio, or on a list.
                Advice::Cold
                | Advice::HugePage
                | Advice::NoHugePage
                | Advice::Merge
                | Advice::Unmerge => {}
            }
        }
        if advice == Advice::DontNeed {
            let (owner, slots) = (process.id, process.slots.clone());
            let ends = |page| slots.get(&page).is_some_and(|slot| slot.is_private());
            self.part(owner, run, ends);
        }
    }

    /// A store by a CPU of the process, or by the device that follows it.
    fn remap(&mut self, who: usize, run: Run, pages: u64, way: Way) {
        let (range, base) = (self.range(run), self.base);
        let Some(process) = self.pick(who) else { return };
        let how = match way {
            Way::InPlace => Remap::InPlace,
            Way::MayMove => Remap::MayMove,
            Way::To(page) => Remap::To(VirtAddr::of_page(base + page)),
            Way::Keep => Remap::Keep,
        };
        let owner = process.id;
        let done = process.space.remap(range, pages, how);
        let whole = process.is_mapped(run);
        match done {
            Ok(now) => {
                assert!(whole, "a hole was moved");
                let to = Run { first: now.first_page().0 - base, pages };
                let moved = process.remap(run, to, way);
                self.part_but(owner, run, to, &moved);
            }
            Err(SpaceError::NotMapped(_)) => assert!(!whole),
            // What was in the place may be gone.
            Err(SpaceError::OutOfFrames) => {
                if let Way::To(first) = way
                    && !process.space.is_mapped(VirtAddr::of_page(base + first))
                {
                    let to = Run { first, pages };
                    process.forget(to);
                    self.part(owner, to, |_| true);
                }
            }
            Err(error) => {
                let hopeless = !matches!(error, SpaceError::NoMemory | SpaceError::Range(_));
                assert!(hopeless, "{error}");
            }
        }
    }

    /// Pins stay in step with the pages that moved from `run` to `to`, and not with what went.
    fn part_but(&mut self, owner: u64, run: Run, to: Run, moved: &[u64]) {
        for held in self.holds.iter_mut().filter(|held| held.owner == owner) {
            for step in &mut held.in_step {
                let Some(page) = *step else { continue };
                if moved.contains(&page) {
                    *step = Some(page - run.first + to.first);
                } else if to.holds(page) || run.holds(page) {
                    *step = None;
                }
            }
        }
    }

    fn store(
        &mut self,
        who: usize,
        page: u64,
        by: impl Fn(&Space<F>, u64, u64) -> Result<(), FaultError>,
    ) {
        let (value, at) = (self.fresh_value(), self.base + page);
        let Some(process) = self.pick(who) else { return };
        process.grow(page);
        let may = |slot: &Slot| slot.prot.contains(Prot::WRITE) && slot.exists();
        let allowed = process.slots.get(&page).is_some_and(may);
        match by(&process.space, at, value) {
            Ok(_) => {
                assert!(allowed, "page {page} must not be written");
                process.slots.get_mut(&page).unwrap().set(value);
                let told = process.space.is_soft_dirty(VirtAddr::of_page(at));
                assert_eq!(told, Ok(true), "page {page} was stored to");
            }
            Err(error) => assert!(!allowed || is_misfortune(error), "{error}"),
        }
    }

    /// A load by a CPU of the process, or by the device that follows it.
    fn load(
        &mut self,
        who: usize,
        page: u64,
        by: impl Fn(&Space<F>, u64) -> Result<u64, FaultError>,
    ) {
        let at = self.base + page;
        let Some(process) = self.pick(who) else { return };
        process.grow(page);
        let may = |slot: &&Slot| slot.prot.contains(Prot::READ) && slot.exists();
        let slot = process.slots.get(&page).filter(may);
        match (by(&process.space, at), slot) {
            (Ok(value), Some(slot)) => assert_eq!(value, slot.get(), "page {page}"),
            (Ok(_), None) => panic!("page {page} must not be read"),
            (Err(error), slot) => {
                assert!(slot.is_none() || is_misfortune(error), "{error}");
            }
        }
    }

    fn fork(&mut self, who: usize) {
        if self.processes.len() == 3 {
            return;
        }
        let id = self.born;
        let Some(process) = self.pick(who) else { return };
        match process.space.fork() {
            Ok(space) => {
                let slots = process
                    .slots
                    .iter()
                    .filter_map(|(page, slot)| Some((*page, slot.inherited()?)))
                    .collect();
                let end = process.end;
                self.processes.push(Process { id, space, end, slots });
                self.born += 1;
            }
            Err(SpaceError::OutOfFrames | SpaceError::OverLimit { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn exit(&mut self, who: usize) {
        // One stays, so that sequences have something to do.
        if self.processes.len() < 2 {
            return;
        }
        let gone = self.processes.swap_remove(who % self.processes.len());
        self.part(gone.id, Run { first: 0, pages: PAGES + 1 }, |_| true);
    }

    fn check(&self) {
        let mut audit = Audit::of(&self.mem);
        for process in &self.processes {
            let locked = process.slots.values().filter(|slot| slot.locked).count() as u64;
            assert_eq!(process.space.mlocked_pages(), locked);
            audit = audit.space(&process.space);
        }
        for file in &self.files {
            audit = audit.file(&file.file);
            file.check_end();
            self.check_mappers(file);
        }
        for held in &self.holds {
            audit = match held.guard {
                Guard::Refs(_) => audit.gets(&held.frames()),
                Guard::Pins(_) | Guard::Parted(_) => audit.pins(&held.frames()),
            };
        }
        for group in &self.groups {
            audit = audit.group(group);
        }
        let referred: Vec<Pfn> = self.references.iter().map(Reference::pfn).collect();
        audit.gets(&referred).check();
        self.check_owners();
        self.check_limits();
        self.check_steps();
    }

    fn check_steps(&self) {
        for held in &self.holds {
            let Some(owner) = self.processes.iter().find(|process| process.id == held.owner) else {
                continue;
            };
            for (pfn, page) in held.frames().iter().zip(&held.in_step) {
                let Some(page) = page else { continue };
                let (slot, at) = (&owner.slots[page], VirtAddr::of_page(self.base + page));
                assert_eq!(device_read(&self.mem, *pfn), slot.get(), "page {page} and its pin");
                let entry = owner.space.entry(at);
                assert!(
                    entry.pfn() == *pfn || entry.is_none() && !slot.is_private(),
                    "page {page}"
                );
            }
        }
    }

    /// Compares every page of every process, ends them all, and looks for leaks. What was counted.
    pub(crate) fn finish(mut self) -> Stats {
        for who in 0..self.processes.len() {
            (1..=PAGES).for_each(|page| self.load(who, page, load));
        }
        self.check();
        self.processes.clear();
        self.check();
        while !self.holds.is_empty() {
            self.release(0);
        }
        self.references.clear();
        self.check();
        self.fail(false);
        for file in &self.files {
            file.file.sync().unwrap();
            file.check_store();
        }
        self.files.clear();
        self.mem.lru_add_drain_all();
        self.check_nothing_charged();
        let total = self.mem.frames().all().count() as u64;
        let zeros = 1 + self.mem.huge_zero_page().map_or(0, |_| F::ENTRIES as u64);
        assert_eq!(
            self.mem.frames().total_free(),
            total - zeros,
            "all but the zero pages are free"
        );
        let stats = self.mem.stats();
        assert_eq!(stats.nr_foll_pin_acquired, stats.nr_foll_pin_released);
        stats
    }
}
