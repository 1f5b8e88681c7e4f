//! Carries out one step, in the process to which it belongs.
//!
//! INV-ACT-1: nothing here allocates, but for the threads of a new process: it also runs in
//! children that were forked while other threads ran.
//! INV-ACT-2: a process carries out its first step when each of its threads has begun. A thread
//! holds locks of the standard library while it begins, and a child that is forked meanwhile would
//! have them locked for ever: its own threads could not begin.
//! INV-ACT-3: a process of one lane or none has one thread: Linux treats such a process in a way of
//! its own (facts 4.1). Of several lanes each has a thread beside the first one, which does the
//! steps of `setup` and `after`.
//! INV-ACT-4: a process in its parent's address space uses what a thread has for itself of a thread
//! of the parent that sleeps as long as the child is there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pinfold_lab::resolved::{Act, Pages, Resolved, ResolvedStep, Spot};
use pinfold_lab::scenario::{Access, Failure};

use super::board::{Board, Hold, Question};
use super::ring::Device;
use super::scale::Scale;
use super::swap::Swap;
use super::sys::birth;
use super::sys::limits::{Moved, Program};
use super::sys::{self, Errno, PAGE, Range, Refused, STAGE};
use super::wanted::Wanted;
use super::{merging, scan};
use crate::fit;
use crate::job::{Did, is_amplifier, is_as_wanted};
use made::Files;
use ranges::{place, ranged};

mod files;
mod handles;
mod huge;
pub(super) mod made;
mod monitor;
mod moves;
mod ranges;
mod refused;
mod remote;
mod swap;

/// The longest that a process of a trial lives, in seconds: no trial takes nearly as long.
const LIFE: u32 = 600;

/// Everything that the processes of a trial inherit.
pub(super) struct Cast {
    /// The scenario.
    pub(super) plan: Resolved,
    /// How many pages stand for one of it.
    pub(super) scale: Scale,
    /// What they share.
    pub(super) board: Board,
    /// What each handle needs.
    pub(super) devices: Vec<Device>,
    /// The files of the plan.
    pub(super) files: Files,
    /// The swap device, if the plan has one.
    pub(super) swap: Option<Swap>,
    /// The CPU of this machine for each CPU of the scenario.
    pub(super) cpus: Vec<usize>,
    /// Where the parts of this program lie, if a process of the plan moves its program break.
    pub(super) program: Option<Program>,
    /// What each process asks of a userfaultfd of its own, if it needs one.
    pub(super) wanted: Vec<Option<Wanted>>,
    /// The number of the agent's process.
    pub(super) agent: i32,
    /// The longest that one step may take. A lane waits half as long for another and for a scan, so
    /// that it can still say so.
    pub(super) patience: Duration,
}

/// How often a lane that only moves pages or scans does so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Once, as any lane.
    Once,
    /// Again until the other lanes have ended.
    UntilOthersEnd,
}

/// Whose step it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A process outside lanes.
    Process(usize),
    /// A lane.
    Lane(usize),
}

impl Cast {
    /// The mailbox of a role.
    pub(super) fn executor(&self, role: Role) -> usize {
        match role {
            Role::Process(process) => process,
            Role::Lane(lane) => {
                let process = self.plan.lanes[lane].process;
                let only = process.filter(|process| self.only_lane(*process) == Some(lane));
                only.unwrap_or(self.plan.processes.len() + lane)
            }
        }
    }

    /// The lane of a process that has no other: INV-ACT-3.
    fn only_lane(&self, process: usize) -> Option<usize> {
        let lanes = self.plan.lanes.iter().enumerate();
        let mut own = lanes.filter(|(_, lane)| lane.process == Some(process));
        let (lane, _) = own.next()?;
        own.next().is_none().then_some(lane)
    }

    /// The lane whose steps one with this role carries out.
    fn lane_of(&self, role: Role) -> Option<usize> {
        match role {
            Role::Lane(lane) => Some(lane),
            Role::Process(process) => self.only_lane(process),
        }
    }

    /// The CPU of the scenario on which one with this role answers a question.
    fn cpu_for(&self, role: Role, question: Option<Question>) -> usize {
        let of_lane = |lane: &usize| match question {
            Some(Question::Run(_) | Question::Amplify(_)) => true,
            Some(Question::Step(step)) => {
                let first = self.first_step(*lane);
                (first..first + self.plan.lanes[*lane].steps.len()).contains(&step)
            }
            Some(Question::Look(_) | Question::Resident(_)) | None => false,
        };
        match (self.lane_of(role).filter(of_lane), role) {
            (Some(lane), _) | (None, Role::Lane(lane)) => self.plan.lanes[lane].cpu,
            (None, Role::Process(process)) => self.plan.processes[process].cpu,
        }
    }

    /// The step with this number: `setup`, the lanes, `after`, in order.
    pub(super) fn step(&self, number: usize) -> Option<&ResolvedStep> {
        self.plan.steps().nth(number)
    }

    /// The number of the first step of a lane.
    pub(super) fn first_step(&self, lane: usize) -> usize {
        let before = self.plan.lanes.iter().take(lane).map(|lane| lane.steps.len());
        self.plan.setup.len() + before.sum::<usize>()
    }

    /// The number of the first step of `after`.
    pub(super) fn first_after(&self) -> usize {
        self.first_step(self.plan.lanes.len())
    }

    /// What a process that was forked just now does, until it is killed: its lanes are threads of
    /// their own.
    pub(super) fn live(self: &Arc<Self>, process: usize) -> ! {
        sys::die_in_time(LIFE, (process == 0).then_some(self.agent));
        if process == 0 && self.limit().is_err() {
            birth::exit_now();
        }
        if self.open_uffd(process).is_err() {
            birth::exit_now();
        }
        sys::allow_remote();
        self.board.set_process(process, sys::own_id());
        let own = self.threads_of_lanes(process);
        for (index, lane) in self.plan.lanes.iter().enumerate() {
            if own > 0 && lane.process == Some(process) {
                let cast = Arc::clone(self);
                let begin = move || {
                    cast.board.begin(process);
                    cast.serve_with_all(process, Role::Lane(index))
                };
                let spawned = std::thread::Builder::new().stack_size(256 * 1024).spawn(begin);
                if spawned.is_err() {
                    birth::exit_now();
                }
            }
        }
        self.serve_with_all(process, Role::Process(process))
    }

    /// Gives the first process, from which the others have it, what the scenario asks of limits.
    fn limit(&self) -> Result<(), Errno> {
        if let Some(pages) = self.plan.stack {
            sys::limits::limit_stacks(pages)?;
        }
        match &self.program {
            Some(program) => program.place_break(),
            None => Ok(()),
        }
    }

    /// How many threads a process has for lanes, beside its first one: INV-ACT-3.
    fn threads_of_lanes(&self, process: usize) -> usize {
        match self.only_lane(process) {
            Some(_) => 0,
            None => self.plan.lanes.iter().filter(|lane| lane.process == Some(process)).count(),
        }
    }

    /// Answers questions for ever, once each thread of the process has begun: INV-ACT-2.
    fn serve_with_all(self: &Arc<Self>, process: usize, role: Role) -> ! {
        let own = self.threads_of_lanes(process);
        if !self.board.await_begun(process, own, self.patience / 2) {
            birth::exit_now();
        }
        self.serve(role)
    }

    /// What the process of a device does, until it is killed.
    pub(super) fn live_as_device(self: &Arc<Self>, lane: usize) -> ! {
        sys::die_in_time(LIFE, Some(self.agent));
        self.serve(Role::Lane(lane))
    }

    /// Answers questions for ever.
    fn serve(self: &Arc<Self>, role: Role) -> ! {
        let mut on = None;
        self.go_to(self.cpu_for(role, None), &mut on);
        let executor = self.executor(role);
        self.board.set_thread(executor, sys::own_thread());
        let mut answered = 0;
        loop {
            let (count, question) = self.board.question(executor, answered, self.agent);
            answered = count;
            self.go_to(self.cpu_for(role, question), &mut on);
            let done = match question {
                Some(Question::Step(step)) => self.carry_out(step),
                Some(Question::Run(turns)) => self.run(role, turns, Repeat::Once),
                Some(Question::Amplify(turns)) => self.run(role, turns, Repeat::UntilOthersEnd),
                Some(Question::Look(address)) => match sys::load(address) {
                    Ok(found) => Did::Worked(found),
                    Err(how) => Did::Failed(self.failure(how)),
                },
                Some(Question::Resident(address)) => match sys::is_resident(address) {
                    Ok(is) => Did::Worked(u64::from(is)),
                    Err(number) => Did::Error(number),
                },
                None => Did::Error(libc::EINVAL),
            };
            self.board.answer(executor, count, done);
        }
    }

    /// Keeps this thread on the CPU that stands for one of the scenario; `on` is where it was kept.
    fn go_to(&self, cpu: usize, on: &mut Option<usize>) {
        let cpu = self.cpus.get(cpu).copied();
        if let Some(cpu) = cpu.filter(|_| cpu != *on) {
            sys::cpus::stay_on(cpu);
            *on = Some(cpu);
        }
    }

    /// All steps of a lane, one after another, until one does not do what it should.
    fn run(self: &Arc<Self>, role: Role, turns: u64, repeat: Repeat) -> Did {
        let Some(lane) = self.lane_of(role) else { return Did::Error(libc::EINVAL) };
        while !self.board.is_free() {
            std::hint::spin_loop();
        }
        for _ in 0..turns {
            std::hint::spin_loop();
        }
        if let Some(other) = self.plan.lanes[lane].after
            && !self.board.await_flag(self.end_of(other), self.patience / 2)
        {
            return Did::Error(libc::ETIMEDOUT);
        }
        let mut done = self.run_steps(lane);
        self.board.raise(self.end_of(lane));
        let begun = Instant::now();
        let again = repeat == Repeat::UntilOthersEnd && is_amplifier(&self.plan.lanes[lane]);
        while again && done == Did::Worked(1) && self.others_run(lane) {
            if begun.elapsed() > self.patience / 2 {
                return Did::Error(libc::ETIMEDOUT);
            }
            done = self.run_steps(lane);
        }
        done
    }

    /// Whether another lane has not ended, or not done its steps once.
    fn others_run(&self, lane: usize) -> bool {
        let lanes = self.plan.lanes.iter().enumerate();
        let mut others = lanes.filter(|(other, of)| *other != lane && !of.late);
        others.any(|(other, _)| !self.board.is_raised(self.end_of(other)))
    }

    /// The flag for the end of a lane.
    fn end_of(&self, lane: usize) -> usize {
        self.plan.signals.len() + lane
    }

    fn run_steps(self: &Arc<Self>, lane: usize) -> Did {
        let first = self.first_step(lane);
        for (at, step) in self.plan.lanes[lane].steps.iter().enumerate() {
            let done = self.carry_out(first + at);
            if !is_as_wanted(step, done) {
                return Did::Worked(0);
            }
        }
        Did::Worked(1)
    }

    /// Carries out the step with this number, and notes what it did.
    pub(super) fn carry_out(self: &Arc<Self>, number: usize) -> Did {
        let Some(step) = self.step(number) else { return Did::Error(libc::EINVAL) };
        if matches!(step.act, Act::Exit | Act::Exec) {
            // Nobody will be here to say that it worked.
            self.board.set_step(number, Did::Worked(0));
        }
        let done = match self.act(step) {
            Ok(done) => done,
            Err(number) => Did::Error(number),
        };
        self.note_missing(step, done);
        self.board.set_step(number, done);
        done
    }

    fn act(self: &Arc<Self>, step: &ResolvedStep) -> Result<Did, Errno> {
        let process = step.process.unwrap_or(0);
        match step.act {
            Act::Map { .. } => self.map(process, step.act),
            Act::Unmap(pages) => Ok(ranged(sys::unmap(self.range(process, pages)?))),
            Act::Remap(pages, at) => {
                let to = place(self.scale, at, pages.count)?;
                let from = self.range(process, pages)?;
                let done = match sys::remap(from, to) {
                    // The same number for a hole and for several mappings.
                    Err(libc::EFAULT) if sys::is_mapped(from) => Did::Failed(Failure::Invalid),
                    Err(libc::EFAULT) => Did::Failed(Failure::NotMapped),
                    done => ranged(done),
                };
                if done == Did::Worked(0) {
                    self.board.set_area(self.plan.home(process), pages.area, to.start());
                }
                Ok(done)
            }
            Act::Break(pages, count) => {
                self.board.set_area(self.plan.home(process), pages.area, STAGE + PAGE);
                Ok(match sys::limits::move_break(count)? {
                    Moved::There => Did::Worked(0),
                    Moved::NotUp => Did::Failed(Failure::Occupied),
                    Moved::NotDown => Did::Failed(Failure::NotMapped),
                })
            }
            // `fit` lets no plan through that has these.
            Act::Compact(..)
            | Act::Plug(_)
            | Act::Follow(..)
            | Act::Unfollow(_)
            | Act::Join(_)
            | Act::MoveCharge { .. }
            | Act::SplitFolio(_)
            | Act::SplitDeferred
            | Act::NumaTick
            | Act::Reclaim(..)
            | Act::LruDrain(_)
            | Act::Ksm(Some(_))
            | Act::TryGet(..) => Err(libc::EOPNOTSUPP),
            Act::Pageout(pages) => self.page_out(process, pages),
            Act::Swapoff => self.swap_off(),
            Act::ClearRefs => sys::clear_soft_dirty().map(|()| Did::Worked(0)),
            Act::Collapse(spot) => self.collapse(process, spot),
            Act::Note(pages, handle) => self.note(process, pages, handle),
            Act::Uffd(act) => self.monitor(process, act),
            Act::Writeback(pages) => Ok(ranged(sys::file::write_back(self.range(process, pages)?))),
            Act::Protect(pages, protection) => {
                Ok(ranged(sys::protect(self.range(process, pages)?, protection)))
            }
            Act::Advise(pages, advice) => {
                Ok(ranged(sys::advise(self.range(process, pages)?, advice)))
            }
            Act::Store(spot, word) => Ok(match sys::store(self.address(process, spot)?, word) {
                Ok(()) => Did::Worked(0),
                Err(how) => Did::Failed(self.failure(how)),
            }),
            Act::Load { from, register, .. } => {
                Ok(self.found(sys::load(self.address(process, from)?), register))
            }
            Act::DeviceStore(spot, word) => {
                if !self.ready(spot.of)? {
                    return Ok(Did::LeftOut);
                }
                let address = self.pinned(spot).ok_or(libc::EBADF)?;
                match &self.devices[spot.of] {
                    Device::Ring(ring) => {
                        self.board.alone_with(spot.of, || ring.store(address, word))?;
                        Ok(Did::Worked(0))
                    }
                    Device::Pipe(_) => Err(libc::EOPNOTSUPP),
                }
            }
            Act::DeviceLoad { from, register, .. } => {
                if !self.ready(from.of)? {
                    return Ok(Did::LeftOut);
                }
                let found = self.device_load(from);
                Ok(self.found(Ok(found?), register))
            }
            Act::Pin(take, _) => self.take(process, take),
            Act::Get(take) => self.take(process, take),
            Act::GetPage(spot, handle) => self.get_page(spot, handle),
            Act::Unpin(handle, _) | Act::Put(handle) => {
                if !self.ready(handle)? {
                    return Ok(Did::LeftOut);
                }
                match self.board.release(handle) {
                    true => self.let_go(handle).map(|()| Did::Worked(0)),
                    false => Err(libc::EBADF),
                }
            }
            Act::Fork(child) => {
                self.board.inherit(self.plan.home(process), child);
                match birth::fork() {
                    Ok(birth::Forked::Child) => self.live(child),
                    Ok(birth::Forked::Parent(id)) => {
                        self.board.set_process(child, id);
                        Ok(Did::Worked(0))
                    }
                    // A pinned page of the pool is copied for the child.
                    Err(libc::ENOMEM) if fit::has_pool(&self.plan) => {
                        Ok(Did::Failed(Failure::NoHugePage))
                    }
                    Err(number) => Err(number),
                }
            }
            Act::Exit => birth::exit_now(),
            Act::Ksm(None) => merging::whole(self.patience / 2).map(|()| Did::Worked(0)),
            Act::NumaScan(None) => scan::whole(self.patience / 2).map(|()| Did::Worked(0)),
            Act::NumaScan(Some(_)) => Err(libc::EOPNOTSUPP),
            Act::MovePages { pages, node, whose, register, .. } => {
                self.move_pages(process, (pages, node), whose, register)
            }
            Act::Mbind(pages, node, whose, strict) => {
                let range = self.range(process, pages)?;
                match sys::nodes::mbind(range, node, (whose, strict)) {
                    Ok(()) => Ok(Did::Worked(0)),
                    Err(libc::EIO) => Ok(Did::Failed(Failure::Busy)),
                    Err(libc::EFAULT) => Ok(Did::Failed(Failure::NotMapped)),
                    // What the machine lacks says nothing of the scenario.
                    Err(number) => Err(number),
                }
            }
            Act::Migrate(pages, node, _) => {
                // Pages that cannot be moved stay, which is no failure.
                let every = self.scale.pages();
                let moved = sys::nodes::migrate(self.range(process, pages)?, every, node);
                moved.map(|()| Did::Worked(0))
            }
            Act::Populate(pages, access) => {
                let done = sys::populate(self.range(process, pages)?, access);
                Ok(match done {
                    // The rights of an area are all that can be wrong here.
                    Err(libc::EINVAL) => Did::Failed(Failure::NoAccess),
                    // An access would be answered by SIGBUS.
                    Err(libc::EFAULT) => Did::Failed(self.failure(Refused::PastEnd)),
                    done => ranged(done),
                })
            }
            Act::Mlock(pages) => {
                let range = self.range(process, pages)?;
                Ok(match sys::mlock(range) {
                    // The same number for a hole and for what cannot be accessed.
                    Err(libc::ENOMEM) if sys::is_mapped(range) => {
                        Did::Failed(self.refusal(range.start(), pages.count, Access::Read))
                    }
                    done => ranged(done),
                })
            }
            Act::Munlock(pages) => Ok(ranged(sys::munlock(self.range(process, pages)?))),
            Act::Signal(signal) => {
                self.board.raise(signal);
                Ok(Did::Worked(0))
            }
            Act::Await(signal) => match self.board.await_flag(signal, self.patience / 2) {
                true => Ok(Did::Worked(0)),
                false => Err(libc::ETIMEDOUT),
            },
            Act::Clone(child) => self.clone_within(child).map(|()| Did::Worked(0)),
            Act::Vfork(child) => self.borrow_to(child).map(|()| Did::Worked(0)),
            Act::Exec => Err(birth::execute()),
            Act::DirectRead(memory, file) => self.direct(process, (memory, file), Access::Write),
            Act::DirectWrite(memory, file) => self.direct(process, (memory, file), Access::Read),
            Act::RemoteLoad { by, process, from, register, .. } => {
                self.remote_load((by, process), from, register)
            }
            Act::RemoteStore(by, process, to, word) => self.remote_store((by, process), to, word),
            Act::FileStore(..)
            | Act::FileLoad { .. }
            | Act::Truncate { .. }
            | Act::Punch(_)
            | Act::Sync(_) => self.act_on_file(step.act),
        }
    }

    /// Makes a process in the address space of this one, and sleeps as long as it is there:
    /// INV-ACT-2.
    fn borrow_to(self: &Arc<Self>, child: usize) -> Result<(), Errno> {
        birth::borrow(&mut || self.live(child))
    }

    /// Makes a process in the address space of this one and goes on: another thread sleeps.
    fn clone_within(self: &Arc<Self>, child: usize) -> Result<(), Errno> {
        let cast = Arc::clone(self);
        let sleeper = std::thread::Builder::new()
            .stack_size(64 * 1024)
            .spawn(move || cast.borrow_to(child))
            .map_err(|why| why.raw_os_error().unwrap_or(libc::EAGAIN))?;
        let begun = Instant::now();
        while self.board.process(child).is_none() {
            if sleeper.is_finished() {
                return sleeper.join().unwrap_or(Err(libc::EAGAIN));
            }
            if begun.elapsed() > self.patience / 2 {
                return Err(libc::ETIMEDOUT);
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// What a load found, which goes to its register.
    fn found(&self, found: Result<u64, Refused>, register: Option<usize>) -> Did {
        match found {
            Ok(word) => {
                if let Some(register) = register {
                    self.board.set_register(register, word);
                }
                Did::Worked(word)
            }
            Err(how) => Did::Failed(self.failure(how)),
        }
    }

    /// Waits for a handle that another lane makes; whether it was made, or has failed to be.
    fn ready(&self, handle: usize) -> Result<bool, Errno> {
        match self.board.await_handle(handle, self.patience / 2) {
            true => Ok(self.board.hold(handle) != Hold::Missing),
            false => Err(libc::ETIMEDOUT),
        }
    }

    /// After a step that was allowed to fail, or was left out: nobody waits for a handle that it
    /// has not made.
    pub(super) fn note_missing(&self, step: &ResolvedStep, done: Did) {
        let Some(handle) = step.act.makes_handle() else { return };
        let missing = match done {
            Did::Failed(how) => step.may_fail == Some(how),
            Did::LeftOut => true,
            Did::Worked(_) | Did::Error(_) => false,
        };
        if missing {
            self.board.set_missing(handle);
        }
    }

    /// The pages of an area of a process.
    fn range(&self, process: usize, pages: Pages) -> Result<Range, Errno> {
        let start = self.board.area(self.plan.home(process), pages.area).ok_or(libc::ENXIO)?;
        self.scale.range(self.scale.page(start, pages.first), pages.count)
    }

    /// The address of a word of a process.
    pub(super) fn address(&self, process: usize, spot: Spot) -> Result<u64, Errno> {
        let start = self.board.area(self.plan.home(process), spot.of).ok_or(libc::ENXIO)?;
        Ok(self.scale.page(start, spot.page) + sys::within_page(spot.word))
    }
}
