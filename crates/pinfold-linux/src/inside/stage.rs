//! The director of trials: makes the processes, has the steps carried out, looks at the end, and
//! leaves nothing behind.
//!
//! INV-STAGE-1: when a trial is over, whatever became of it, none of its processes is left and no
//! handle holds a page.
//! INV-STAGE-2: every wait has an end.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pinfold_lab::resolved::{Act, Look, Resolved, ResolvedStep, Seen, Spot};
use pinfold_lab::scenario::Failure;

use super::act::made::Files;
use super::act::{Cast, Repeat, Role};
use super::board::{Board, Hold, Question};
use super::pagemap::Entry;
use super::ring::{Device, Pipe, Ring};
use super::scan;
use super::sys::birth;
use super::sys::limits::Program;
use super::sys::{self, PAGE};
use crate::job::{Conduct, Did, Failed, Found, Observation, fault};
use crate::order::Random;

/// The longest that a killed process takes to end.
const LAST: Duration = Duration::from_secs(10);
/// The most turns that a lane of a free run waits at the start.
const MOST_TURNS: u64 = 4_000;
/// The word of a page that no scenario uses: see [`Stage::is_same_through`].
const SPARE: u32 = 511;

/// Everything for the trials of one plan.
pub(super) struct Stage {
    cast: Arc<Cast>,
    /// Each process that is alive, watched.
    watched: Vec<Option<OwnedFd>>,
    /// The devices' processes.
    devices: Vec<(i32, OwnedFd)>,
    /// Marks that were written, so that each is new.
    marks: u64,
}

/// The frame to which a view leads, as far as that can be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    None,
    Known(u64),
    Unknown,
}

/// What became of a step that was begun.
enum Begun {
    /// It is done.
    Done(Did),
    /// Its lane sleeps; the answer to the question with this count comes later.
    Sleeps(u64),
}

impl Stage {
    /// Makes everything that the trials share.
    ///
    /// # Errors
    /// What the system did not give.
    pub(super) fn new(
        plan: Resolved,
        cpus: Vec<usize>,
        patience: Duration,
    ) -> Result<Self, String> {
        let told = |why: std::io::Error| why.to_string();
        let mut devices = Vec::new();
        for handle in 0..plan.handles.len() {
            let made = plan.steps().find(|step| step.act.makes_handle() == Some(handle));
            devices.push(match made.map(|step| step.act) {
                Some(Act::Get(take)) => {
                    let pages = take.times as usize * take.pages.count as usize;
                    Device::Pipe(Pipe::new(pages.max(16)).map_err(told)?)
                }
                _ => Device::Ring(Ring::new().map_err(told)?),
            });
        }
        let board = Board::new(&plan).map_err(told)?;
        let watched = plan.processes.iter().map(|_| None).collect();
        let agent = sys::own_id();
        let moves_break = plan.steps().any(|step| matches!(step.act, Act::Break(..)));
        let program = moves_break.then(Program::own).flatten();
        let files =
            Files::of(&plan).map_err(|number| told(std::io::Error::from_raw_os_error(number)))?;
        let cast = Arc::new(Cast { plan, board, devices, files, cpus, program, agent, patience });
        Ok(Self { cast, watched, devices: Vec::new(), marks: 0 })
    }

    /// One trial.
    ///
    /// # Errors
    /// What kept it from being carried out.
    pub(super) fn trial(&mut self, conduct: &Conduct) -> Result<Observation, String> {
        self.cast.board.clear();
        self.cast.reset_files().map_err(|why| told("a file", why))?;
        if self.cast.plan.steps().any(|step| matches!(step.act, Act::NumaScan(_))) {
            // A lane that was killed while it scanned has left balancing on.
            scan::set(false).map_err(|why| told("numa_balancing", why))?;
        }
        let seen = self.begin().and_then(|()| self.carry_out(conduct));
        let left = self.end();
        let seen = seen?;
        left.map(|()| seen)
    }

    fn begin(&mut self) -> Result<(), String> {
        let cast = Arc::clone(&self.cast);
        let first = match birth::fork() {
            Err(number) => return Err(told("fork", number)),
            Ok(birth::Forked::Child) => cast.live(0),
            Ok(birth::Forked::Parent(first)) => first,
        };
        self.cast.board.set_process(0, first);
        self.watched[0] = Some(sys::watch(first).map_err(|why| told("pidfd_open", why))?);
        for lane in 0..self.cast.plan.lanes.len() {
            if self.cast.plan.lanes[lane].process.is_some() {
                continue;
            }
            let device = match birth::fork() {
                Err(number) => return Err(told("fork", number)),
                Ok(birth::Forked::Child) => cast.live_as_device(lane),
                Ok(birth::Forked::Parent(device)) => device,
            };
            let watched = sys::watch(device).map_err(|why| told("pidfd_open", why))?;
            self.devices.push((device, watched));
        }
        Ok(())
    }

    fn carry_out(&mut self, conduct: &Conduct) -> Result<Observation, String> {
        let cast = Arc::clone(&self.cast);
        let plan = &cast.plan;
        for (number, step) in plan.setup.iter().enumerate() {
            if let Some(what) = self.alone(number, step)? {
                return Err(format!("setup: {}: {what}", step.text));
            }
        }
        sys::drain();
        let mut failed = match conduct {
            Conduct::Whole(order) => self.whole(order)?,
            Conduct::Free { seed } => self.free(*seed, Repeat::Once)?,
            Conduct::Amplified { seed } => self.free(*seed, Repeat::UntilOthersEnd)?,
        };
        for (at, step) in plan.after.iter().enumerate() {
            if !failed.is_empty() {
                break;
            }
            if let Some(what) = self.alone(cast.first_after() + at, step)? {
                failed.push(Failed { step: step.text.clone(), what });
            }
        }
        let facts = match failed.is_empty() {
            true => plan.facts.iter().map(|look| self.look(look)).collect::<Result<_, _>>()?,
            false => Vec::new(),
        };
        Ok(Observation { failed, facts })
    }

    /// A step outside lanes; what is wrong with what it did, if anything is.
    fn alone(&mut self, number: usize, step: &ResolvedStep) -> Result<Option<String>, String> {
        let done = match step.process {
            Some(process) => self.ask(Role::Process(process), Question::Step(number))?,
            // What needs no process is done by a handle, which is ours as well.
            None => self.cast.carry_out(number),
        };
        self.meet(step)?;
        fault(&self.cast.plan, step, done)
    }

    /// Whole steps in this order.
    fn whole(&mut self, order: &[usize]) -> Result<Vec<Failed>, String> {
        let cast = Arc::clone(&self.cast);
        let mut failed = Vec::new();
        let mut next: Vec<usize> = vec![0; cast.plan.lanes.len()];
        let mut stopped: Vec<bool> = vec![false; cast.plan.lanes.len()];
        let mut sleeping: Vec<Option<u64>> = vec![None; cast.plan.lanes.len()];
        for &lane in order {
            let Some(planned) = cast.plan.lanes.get(lane) else {
                return Err(format!("there is no lane {lane}"));
            };
            let Some(step) = planned.steps.get(next[lane]) else { continue };
            let born = planned.process.is_none_or(|process| cast.board.process(process).is_some());
            if stopped[lane] || !born {
                continue;
            }
            let number = cast.first_step(lane) + next[lane];
            if let Some(count) = sleeping[lane].take() {
                // Its child has left: `order` lets nothing of the lane come before.
                let done = self.wait(cast.executor(Role::Lane(lane)), count, planned.process)?;
                self.told(number - 1, done, &mut failed)?;
            }
            next[lane] += 1;
            sys::drain();
            let gone = planned.process.is_some_and(|process| self.is_gone(process));
            let done = match (gone, step.act.needs_process()) {
                (true, true) => {
                    cast.note_missing(step, Did::Failed(Failure::Exited));
                    Did::Failed(Failure::Exited)
                }
                // What needs no process goes on without it, and the agent can do it as well.
                (true, false) => cast.carry_out(number),
                (false, _) => match self.begin_step(lane, number)? {
                    Begun::Done(done) => done,
                    Begun::Sleeps(count) => {
                        sleeping[lane] = Some(count);
                        self.meet(step)?;
                        continue;
                    }
                },
            };
            self.meet(step)?;
            stopped[lane] = self.told(number, done, &mut failed)?;
        }
        for (lane, count) in sleeping.into_iter().enumerate() {
            let Some(count) = count else { continue };
            let process = cast.plan.lanes[lane].process;
            let done = self.wait(cast.executor(Role::Lane(lane)), count, process)?;
            self.told(cast.first_step(lane) + next[lane] - 1, done, &mut failed)?;
        }
        Ok(failed)
    }

    /// Notes what a step did; whether it is not what it should have done.
    fn told(&self, number: usize, done: Did, failed: &mut Vec<Failed>) -> Result<bool, String> {
        let Some(step) = self.cast.step(number) else { return Ok(false) };
        let what = fault(&self.cast.plan, step, done)?;
        let wrong = what.is_some();
        failed.extend(what.map(|what| Failed { step: step.text.clone(), what }));
        Ok(wrong)
    }

    /// Has a lane carry out a step, and waits until it is done or the lane sleeps: until the child
    /// of a vfork has left.
    fn begin_step(&mut self, lane: usize, number: usize) -> Result<Begun, String> {
        let cast = Arc::clone(&self.cast);
        let Some(Act::Vfork(child)) = cast.step(number).map(|step| step.act) else {
            return self.ask(Role::Lane(lane), Question::Step(number)).map(Begun::Done);
        };
        let executor = cast.executor(Role::Lane(lane));
        let count = cast.board.ask(executor, Question::Step(number));
        let begun = Instant::now();
        loop {
            if cast.board.process(child).is_some() {
                return Ok(Begun::Sleeps(count));
            }
            if let Some(done) = cast.board.answered(executor, count, 1) {
                return Ok(Begun::Done(done));
            }
            if begun.elapsed() > cast.patience {
                return Err("vfork makes no process".to_owned());
            }
        }
    }

    /// All lanes at once.
    fn free(&mut self, seed: u64, repeat: Repeat) -> Result<Vec<Failed>, String> {
        let cast = Arc::clone(&self.cast);
        let mut random = Random::new(seed);
        let lanes = 0..cast.plan.lanes.len();
        let asked: Vec<(usize, u64)> = lanes
            .clone()
            .map(|lane| {
                let turns = random.below(MOST_TURNS);
                let question = match repeat {
                    Repeat::Once => Question::Run(turns),
                    Repeat::UntilOthersEnd => Question::Amplify(turns),
                };
                let executor = cast.executor(Role::Lane(lane));
                (executor, cast.board.ask(executor, question))
            })
            .collect();
        cast.board.go();
        // Those that start late come last: whether they start at all is known by then.
        let (early, late): (Vec<usize>, Vec<usize>) =
            lanes.clone().partition(|lane| !cast.plan.lanes[*lane].late);
        for lane in early.into_iter().chain(late) {
            let planned = &cast.plan.lanes[lane];
            let process = planned.process;
            if process.is_some_and(|process| cast.board.process(process).is_none()) {
                continue;
            }
            let (executor, count) = asked[lane];
            self.wait(executor, count, process)?;
        }
        for step in cast.plan.lanes.iter().flat_map(|lane| &lane.steps) {
            self.meet(step)?;
        }
        let mut failed = Vec::new();
        for lane in lanes {
            for (at, step) in cast.plan.lanes[lane].steps.iter().enumerate() {
                let Some(done) = cast.board.step(cast.first_step(lane) + at) else { break };
                if let Some(what) = fault(&cast.plan, step, done)? {
                    failed.push(Failed { step: step.text.clone(), what });
                }
            }
        }
        Ok(failed)
    }

    /// Asks and waits for the answer.
    fn ask(&mut self, role: Role, question: Question) -> Result<Did, String> {
        let executor = self.cast.executor(role);
        let process = match role {
            Role::Process(process) => Some(process),
            Role::Lane(lane) => self.cast.plan.lanes[lane].process,
        };
        let count = self.cast.board.ask(executor, question);
        self.wait(executor, count, process)
    }

    /// Waits for an answer. A process that ended without one has exited, if that was its step.
    fn wait(&mut self, executor: usize, count: u64, process: Option<usize>) -> Result<Did, String> {
        let begun = Instant::now();
        loop {
            if let Some(done) = self.cast.board.answered(executor, count, 20) {
                return Ok(done);
            }
            if let Some(process) = process
                && self.is_gone(process)
            {
                // It may have answered just before.
                return match self.cast.board.answered(executor, count, 0) {
                    Some(done) => Ok(done),
                    None if self.may_exit(process) => Ok(Did::Worked(0)),
                    None => {
                        let name = &self.cast.plan.processes[process].name;
                        Err(format!("process {name} died"))
                    }
                };
            }
            if begun.elapsed() > self.cast.patience {
                let patience = self.cast.patience.as_secs_f64();
                let process = process.and_then(|process| self.cast.board.process(process));
                let threads = process.map(whereabouts).unwrap_or_default();
                return Err(format!("nothing for {patience} s: a step hangs{threads}"));
            }
        }
    }

    /// Whether the process has a step with which it ends: the program that it executes does, too.
    fn may_exit(&self, process: usize) -> bool {
        let exits = |step: &ResolvedStep| {
            matches!(step.act, Act::Exit | Act::Exec) && step.process == Some(process)
        };
        self.cast.plan.steps().any(exits)
    }

    /// After a step that makes a process or ends one: watches it, or sees its end.
    fn meet(&mut self, step: &ResolvedStep) -> Result<(), String> {
        match (step.act, step.process) {
            (Act::Fork(child) | Act::Clone(child) | Act::Vfork(child), _) => {
                if let (Some(id), None) = (self.cast.board.process(child), &self.watched[child]) {
                    self.watched[child] = sys::watch(id).ok();
                }
                Ok(())
            }
            (Act::Exit | Act::Exec, Some(process)) => {
                let Some(watched) = &self.watched[process] else { return Ok(()) };
                match sys::ends_within(watched.as_fd(), self.cast.patience.as_millis() as i32) {
                    true => Ok(()),
                    false => Err("a process does not end".to_owned()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Whether a process that was forked has ended.
    fn is_gone(&self, process: usize) -> bool {
        match (&self.watched[process], self.cast.board.process(process)) {
            (Some(watched), _) => sys::ends_within(watched.as_fd(), 0),
            // It was gone before it could be watched, or is watched when its parent's step ends.
            (None, Some(id)) => sys::watch(id).is_err(),
            (None, None) => false,
        }
    }

    /// INV-STAGE-1.
    fn end(&mut self) -> Result<(), String> {
        if let Some(first) = self.cast.board.process(0) {
            sys::kill_group(first);
        }
        for (device, _) in &self.devices {
            sys::kill_group(*device);
        }
        let mut left = 0;
        let watched = self.watched.iter_mut().filter_map(Option::take);
        let devices = self.devices.drain(..).map(|(_, watched)| watched);
        for process in watched.chain(devices) {
            let most = LAST.as_millis() as i32;
            left += usize::from(!sys::ends_within(process.as_fd(), most));
        }
        for handle in 0..self.cast.devices.len() {
            // A pin that was never made cannot be ended, which does not matter here.
            let _ = self.cast.let_go(handle);
        }
        match left {
            0 => Ok(()),
            left => Err(format!("{left} processes of a trial could not be ended")),
        }
    }

    fn look(&mut self, look: &Look) -> Result<Found, String> {
        let cast = Arc::clone(&self.cast);
        let made = |seen: &Seen| match seen {
            Seen::Handle(spot) => cast.board.was_made(spot.of),
            Seen::Process(process, _) => cast.board.process(*process).is_some(),
            Seen::File(_) => true,
        };
        let unknown = |what: &str| (None, what.to_owned());
        let (made, (is, what)) = match look {
            Look::Dirty(seen) => (made(seen), unknown("not visible")),
            Look::Stores(..) | Look::Holds(..) => (true, unknown("not visible")),
            Look::Register(register, word) => {
                let found = cast.board.register(*register);
                (found.is_some(), self.says(found, *word, "unset"))
            }
            Look::Sees(seen, word) => (made(seen), self.sees(seen, *word)?),
            Look::Is(left, right) if made(left) && made(right) => {
                let is = self.is_same(left, right)?;
                let what = match is {
                    Some(true) => "one frame",
                    Some(false) => "two frames, or none",
                    None => "not visible",
                };
                (true, (is, what.to_owned()))
            }
            Look::Is(..) => (false, unknown("not made")),
        };
        Ok(Found { made, is, what })
    }

    fn says(&self, found: Option<u64>, wanted: u64, none: &str) -> (Option<bool>, String) {
        let what = found.map(|found| format!("\"{}\"", self.cast.plan.word(found)));
        (Some(found == Some(wanted)), what.unwrap_or_else(|| none.to_owned()))
    }

    fn sees(&mut self, seen: &Seen, word: u64) -> Result<(Option<bool>, String), String> {
        match *seen {
            Seen::Handle(spot) => match self.cast.board.hold(spot.of) {
                Hold::No | Hold::Missing => Ok((Some(false), "nothing".to_owned())),
                // What became of the page after that is nobody's to see.
                Hold::Released => Ok((None, "not visible".to_owned())),
                Hold::Held => {
                    let found = self.cast.device_load(spot);
                    let found = found.map_err(|why| told("reading through a handle", why))?;
                    Ok(self.says(Some(found), word, "nothing"))
                }
            },
            Seen::Process(process, spot) => {
                let found = self.load(process, spot)?;
                Ok(self.says(found, word, "nothing"))
            }
            Seen::File(spot) => {
                let found = self.cast.file_word(spot).map_err(|why| told("reading a file", why))?;
                Ok(self.says(found, word, "nothing"))
            }
        }
    }

    /// What a process finds there; none if it has ended, has no such area, or is refused.
    fn load(&mut self, process: usize, spot: Spot) -> Result<Option<u64>, String> {
        let Ok(address) = self.cast.address(process, spot) else { return Ok(None) };
        if self.cast.board.process(process).is_none() || self.is_gone(process) {
            return Ok(None);
        }
        match self.ask(Role::Process(process), Question::Look(address))? {
            Did::Worked(found) => Ok(Some(found)),
            Did::Failed(_) | Did::Error(_) | Did::LeftOut => Ok(None),
        }
    }

    fn is_same(&mut self, left: &Seen, right: &Seen) -> Result<Option<bool>, String> {
        match (*left, *right) {
            (Seen::Handle(pin), other) | (other, Seen::Handle(pin)) if self.holds_pin(pin) => {
                self.is_same_through(pin, &other)
            }
            _ => Ok(compared(self.frame(left), self.frame(right))),
        }
    }

    fn holds_pin(&self, spot: Spot) -> bool {
        let pin = matches!(self.cast.devices[spot.of], Device::Ring(_));
        pin && self.cast.board.hold(spot.of) == Hold::Held
    }

    /// Whether what a pin holds is what the other view leads to: the device leaves a mark in a word
    /// of the page that no scenario uses, and the other side finds it or does not. That needs no
    /// frame to be visible. A page that is absent is not touched to find out, since that would map
    /// one.
    fn is_same_through(&mut self, pin: Spot, other: &Seen) -> Result<Option<bool>, String> {
        if self.frame(other) == Frame::None {
            return Ok(Some(false));
        }
        self.marks += 1;
        let mark = 0x7069_6e00_0000_0000 | self.marks;
        let place = Spot { word: SPARE, ..pin };
        let (Some(address), Device::Ring(ring)) =
            (self.cast.pinned(place), &self.cast.devices[pin.of])
        else {
            return Ok(None);
        };
        ring.store(address, mark).map_err(|why| told("writing through a handle", why))?;
        let found = match *other {
            Seen::Process(process, spot) => self.load(process, Spot { word: SPARE, ..spot })?,
            Seen::Handle(spot) => self.cast.device_load(Spot { word: SPARE, ..spot }).ok(),
            // Of a last page that ends before that word nothing can be read there.
            Seen::File(spot) => self.cast.file_word(Spot { word: SPARE, ..spot }).ok().flatten(),
        };
        match found {
            Some(found) => Ok(Some(found == mark)),
            // The process may not read it, but the frames may be visible.
            None => Ok(compared(self.frame(&Seen::Handle(pin)), self.frame(other))),
        }
    }

    /// The frame to which a view leads, without touching anything.
    fn frame(&self, seen: &Seen) -> Frame {
        match *seen {
            Seen::Handle(spot) => match self.cast.board.frame(spot.of, spot.page) {
                Some(frame) => Frame::Known(frame),
                None => Frame::Unknown,
            },
            Seen::Process(process, spot) => {
                let Ok(address) = self.cast.address(process, spot) else { return Frame::None };
                let Some(id) = self.cast.board.process(process) else { return Frame::None };
                if self.is_gone(process) {
                    return Frame::None;
                }
                let mut entry = [0; 8];
                let path = format!("/proc/{id}/pagemap");
                let read = File::open(path)
                    .and_then(|map| map.read_exact_at(&mut entry, address / PAGE * 8));
                let entry = Entry(u64::from_ne_bytes(entry));
                match (read, entry.frame()) {
                    (Err(_), _) => Frame::Unknown,
                    (Ok(()), Some(frame)) => Frame::Known(frame),
                    (Ok(()), None) if entry.is_present() || entry.is_away() => Frame::Unknown,
                    // Shared memory has its page whether this process has touched it or not, and a
                    // page of a file may be shown before that, too.
                    (Ok(()), None) if self.shows_more(process, spot.of) => Frame::Unknown,
                    (Ok(()), None) => Frame::None,
                }
            }
            Seen::File(spot) => {
                let Some(file) = self.cast.files.get(spot.of) else { return Frame::None };
                match sys::file::page(file, u64::from(spot.page) * PAGE) {
                    Ok(Some(entry)) => Entry(entry).frame().map_or(Frame::Unknown, Frame::Known),
                    Ok(None) => Frame::None,
                    Err(_) => Frame::Unknown,
                }
            }
        }
    }

    /// Whether an area of a process has pages that no entry of its own shows.
    fn shows_more(&self, process: usize, area: usize) -> bool {
        match self.cast.plan.map_of(process, area).map(|step| step.act) {
            Some(Act::Map { of, sharing, .. }) => of.is_some() || !sharing.is_private(),
            _ => false,
        }
    }
}

/// Whether two frames are one, if that is known.
fn compared(left: Frame, right: Frame) -> Option<bool> {
    match (left, right) {
        (Frame::None, _) | (_, Frame::None) => Some(false),
        (Frame::Known(left), Frame::Known(right)) => Some(left == right),
        (Frame::Unknown, _) | (_, Frame::Unknown) => None,
    }
}

/// In which function of the kernel each thread of a process waits; nothing where that is not told.
fn whereabouts(process: i32) -> String {
    let place = |task: std::fs::DirEntry| {
        // A line of a stack is an address and `function+offset/length`; only root sees it.
        let stack = std::fs::read_to_string(task.path().join("stack")).ok();
        let frame =
            |text: &String| Some(text.lines().next()?.split_whitespace().last()?.to_owned());
        let name = || std::fs::read_to_string(task.path().join("wchan"));
        let found = stack.as_ref().and_then(frame).or_else(|| name().ok())?;
        let function = found.split('+').next().unwrap_or_default();
        (!function.is_empty()).then(|| format!("{} in {function}", task.file_name().display()))
    };
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let threads: Vec<String> = tasks.filter_map(place).collect();
    if threads.is_empty() { String::new() } else { format!("; threads: {}", threads.join(", ")) }
}

fn told(what: &str, number: i32) -> String {
    format!("{what}: {}", std::io::Error::from_raw_os_error(number))
}
