//! The director of trials: makes the processes, has the steps carried out, looks at the end, and
//! leaves nothing behind.
//!
//! INV-STAGE-1: when a trial is over, whatever became of it, none of its processes is left and no
//! handle holds a page.
//! INV-STAGE-2: every wait has an end.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pinfold_lab::resolved::{Act, Resolved, ResolvedStep};
use pinfold_lab::scenario::Advice;

use super::act::made::Files;
use super::act::{Cast, Repeat, Role};
use super::board::{Board, Question};
use super::ring::{Device, Pipe, Ring};
use super::scale::Scale;
use super::sys;
use super::sys::birth;
use super::sys::limits::Program;
use super::wanted;
use super::{pool, scan, swap::Swap};
use crate::fit;
use crate::job::{Conduct, Did, Failed, Observation, fault};
use crate::order::Random;
use crate::watch;
use ears::{Access, Ears};

mod ears;
mod look;
mod whole;

/// The longest that a killed process takes to end.
const LAST: Duration = Duration::from_secs(10);
/// The most turns that a lane of a free run waits at the start.
const MOST_TURNS: u64 = 4_000;
/// How many milliseconds pass between two looks at whether a process is there.
const PAUSE: u32 = 20;
/// The same where a monitor may be told of something.
const SHORT_PAUSE: u32 = 1;
/// How often a trial is tried for which there may be too few free huge pages.
const TRIES: u32 = 5;
/// A mark since which nobody is heard of.
const NOBODY: usize = usize::MAX;

/// Everything for the trials of one plan.
pub(super) struct Stage {
    cast: Arc<Cast>,
    /// Each process that is alive, watched.
    watched: Vec<Option<OwnedFd>>,
    /// The devices' processes.
    devices: Vec<(i32, OwnedFd)>,
    /// Marks that were written, so that each is new.
    marks: u64,
    /// What is heard of userfaultfds.
    ears: Ears,
}

/// What became of a question.
enum Answer {
    /// It is answered.
    Done(Did),
    /// Who answers waits for a monitor; the answer to the question with this count comes later.
    Waits { count: u64, access: Access },
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
        let advised = |act: Act| matches!(act, Act::Advise(_, Advice::HugePage) | Act::Collapse(_));
        sys::keep_small(!plan.steps().any(|step| advised(step.act)));
        if fit::has_pool(&plan) {
            pool::set(plan.hugetlb)?;
        }
        let swap =
            (plan.swap > 0).then(|| Swap::new(plan.swap, fit::swap_kind(&plan))).transpose()?;
        let mut devices = Vec::new();
        for handle in 0..plan.handles.len() {
            let made = plan.steps().find(|step| step.act.makes_handle() == Some(handle));
            devices.push(match made.map(|step| step.act) {
                Some(Act::Get(take)) => {
                    let pages = take.times as usize * take.pages.count as usize;
                    Device::Pipe(Pipe::new(pages.max(16)).map_err(told)?)
                }
                Some(Act::GetPage(spot, _)) => {
                    // Those before the page are in it for a moment.
                    Device::Pipe(Pipe::new((spot.page as usize + 1).max(16)).map_err(told)?)
                }
                Some(Act::Note(..)) => Device::Pipe(Pipe::new(1).map_err(told)?),
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
        let wanted = wanted::wanted(&plan)
            .map_err(|number| told(std::io::Error::from_raw_os_error(number)))?;
        let scale = Scale::of(&plan);
        let cast = Cast {
            plan,
            scale,
            board,
            devices,
            files,
            swap,
            cpus,
            program,
            wanted,
            agent,
            patience,
        };
        let (cast, ears) = (Arc::new(cast), Ears::default());
        Ok(Self { cast, watched, devices: Vec::new(), marks: 0, ears })
    }

    /// One trial. One in which a first touch found no free huge page is another scenario, and is
    /// carried out once more.
    ///
    /// # Errors
    /// What kept it from being carried out.
    pub(super) fn trial(&mut self, conduct: &Conduct) -> Result<Observation, String> {
        if !fit::has_huge_pages(&self.cast.plan) {
            return self.once(conduct);
        }
        for _ in 0..TRIES {
            let before = fallbacks();
            let seen = self.once(conduct)?;
            if fallbacks() == before {
                return Ok(seen);
            }
        }
        Err("no free huge page can be had: memory is short, or in small parts".to_owned())
    }

    fn once(&mut self, conduct: &Conduct) -> Result<Observation, String> {
        self.cast.board.clear();
        self.ears.begin(self.cast.plan.processes.len());
        self.cast.reset_files().map_err(|why| told("a file", why))?;
        if fit::has_pool(&self.cast.plan) {
            pool::settle(self.cast.plan.hugetlb, LAST)?;
        }
        if let Some(swap) = &self.cast.swap {
            swap.settle()?;
        }
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
        sys::nodes::drain();
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
            Some(process) => match self.ask(Role::Process(process), Question::Step(number))? {
                Answer::Done(done) => done,
                Answer::Waits { .. } => {
                    return Ok(Some("it waits for a monitor, and nothing else runs".to_owned()));
                }
            },
            // What needs no process is done by a handle, which is ours as well.
            None => self.cast.carry_out(number),
        };
        self.meet(step)?;
        fault(&self.cast.plan, step, done)
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

    /// Asks, and waits for the answer or until a monitor is told of who should give it.
    fn ask(&mut self, role: Role, question: Question) -> Result<Answer, String> {
        let executor = self.cast.executor(role);
        let process = match role {
            Role::Process(process) => Some(process),
            Role::Lane(lane) => self.cast.plan.lanes[lane].process,
        };
        let mark = self.ears.mark();
        let count = self.cast.board.ask(executor, question);
        self.wait_or_hear(executor, count, process, mark)
    }

    /// Waits for an answer, whatever a monitor is told of meanwhile.
    fn wait(&mut self, executor: usize, count: u64, process: Option<usize>) -> Result<Did, String> {
        loop {
            if let Answer::Done(done) = self.wait_or_hear(executor, count, process, NOBODY)? {
                return Ok(done);
            }
        }
    }

    /// Waits for an answer, or until who should give it is heard of since the mark. A process that
    /// ended without one has exited, if that was its step.
    fn wait_or_hear(
        &mut self,
        executor: usize,
        count: u64,
        process: Option<usize>,
        mark: usize,
    ) -> Result<Answer, String> {
        let cast = Arc::clone(&self.cast);
        let watched = watch::is_watched(&cast.plan);
        let pause = if watched { SHORT_PAUSE } else { PAUSE };
        let begun = Instant::now();
        loop {
            if let Some(done) = cast.board.answered(executor, count, pause) {
                return Ok(Answer::Done(done));
            }
            if watched {
                self.ears.hear(&cast).map_err(|(what, why)| told(what, why))?;
                if mark == NOBODY {
                    self.ears.wake_late(&cast).map_err(|(what, why)| told(what, why))?;
                }
                if let Some(access) = self.ears.since(mark, cast.board.thread(executor)) {
                    return Ok(Answer::Waits { count, access });
                }
            }
            if let Some(process) = process
                && self.is_gone(process)
            {
                // It may have answered just before.
                return match cast.board.answered(executor, count, 0) {
                    Some(done) => Ok(Answer::Done(done)),
                    None if self.may_exit(process) => Ok(Answer::Done(Did::Worked(0))),
                    None => Err(format!("process {} died", cast.plan.processes[process].name)),
                };
            }
            if begun.elapsed() > cast.patience {
                let patience = cast.patience.as_secs_f64();
                let process = process.and_then(|process| cast.board.process(process));
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
        self.ears.begin(0);
        for handle in 0..self.cast.devices.len() {
            // A pin that was never made cannot be ended, which does not matter here.
            let _ = self.cast.let_go(handle);
        }
        match left {
            0 => Ok(()),
            left => Err(format!("{left} processes of a trial could not be ended")),
        }
    }
}

/// How often a first touch anywhere has found no free huge page.
fn fallbacks() -> Option<u64> {
    crate::kernel::counters().get("thp_fault_fallback").copied()
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
