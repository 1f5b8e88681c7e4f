//! What the processes of a trial share: numbers in memory that all of them map.
//!
//! INV-BOARD-1: a mailbox has one who asks, the director, and one who answers. The answer is
//! complete when its count equals that of the question.
//! INV-BOARD-2: everything is a number in an atomic cell, so a process that is killed at any moment
//! leaves nothing that others cannot read.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use pinfold_lab::resolved::Resolved;
use pinfold_lab::scenario::{Failure, UffdReason};

use super::sys::birth;
use super::sys::{self, STAGE_PAGES};
use crate::job::Did;

/// A question to one who carries out steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Carry out the step with this number.
    Step(usize),
    /// Carry out all steps of your lane, after so many turns.
    Run(u64),
    /// The same, and again until the other lanes end if the lane is one that may be repeated.
    Amplify(u64),
    /// Load the word at this address.
    Look(u64),
    /// Say whether the page at this address is in memory.
    Resident(u64),
}

impl Question {
    fn code(self) -> (u64, u64) {
        match self {
            Self::Step(step) => (1, step as u64),
            Self::Run(turns) => (2, turns),
            Self::Look(address) => (3, address),
            Self::Amplify(turns) => (4, turns),
            Self::Resident(address) => (5, address),
        }
    }

    fn of(code: u64, argument: u64) -> Option<Self> {
        match code {
            1 => Some(Self::Step(argument as usize)),
            2 => Some(Self::Run(argument)),
            3 => Some(Self::Look(argument)),
            4 => Some(Self::Amplify(argument)),
            5 => Some(Self::Resident(argument)),
            _ => None,
        }
    }
}

/// What a step did, as two numbers.
fn told(did: Did) -> (u64, u64) {
    match did {
        Did::Worked(found) => (1, found),
        Did::Failed(how) => {
            (2, Failure::ALL.iter().position(|known| *known == how).unwrap_or(0) as u64)
        }
        Did::Error(number) => (3, number as u64),
        Did::LeftOut => (4, 0),
    }
}

fn did(code: u64, value: u64) -> Option<Did> {
    match code {
        1 => Some(Did::Worked(value)),
        2 => Failure::ALL.get(value as usize).copied().map(Did::Failed),
        3 => Some(Did::Error(value as i32)),
        4 => Some(Did::LeftOut),
        _ => None,
    }
}

/// The cells of each mailbox: three of the question, three of the answer, and the thread.
const MAIL: usize = 7;
/// The cells of each process: its number, how many of its threads have begun, and where its
/// userfaultfd is.
const PROCESS: usize = 3;
/// The cells of each handle: its state, its lock, where its pages lay when it was made, and the
/// frame of each page.
const HANDLE: usize = FRAMES + STAGE_PAGES as usize;
/// The first cell of a handle that has a frame.
const FRAMES: usize = 3;

/// Where the userfaultfd of an address space is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uffd {
    /// The processes in it have it under this number.
    Own(i32),
    /// The agent has it under this number.
    Agents(i32),
}

/// What became of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It was not made yet.
    No,
    /// The step that makes it has failed, as it may.
    Missing,
    /// It holds its pages.
    Held,
    /// It has let go.
    Released,
}

/// The bit for a page and a reason, among those of an area.
fn told_bit(page: u32, reason: UffdReason) -> u64 {
    let reason = match reason {
        UffdReason::Missing => 0,
        UffdReason::Wp => 1,
        UffdReason::Minor => 2,
    };
    1 << (page.min(STAGE_PAGES as u32 - 1) * 3 + reason)
}

/// Waits until something is so; whether it was in time.
fn until(most: Duration, is: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !is() {
        if begun.elapsed() > most {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// The board.
#[derive(Clone, Copy)]
pub(super) struct Board {
    cells: &'static [AtomicU64],
    processes: usize,
    executors: usize,
    areas: usize,
    handles: usize,
    registers: usize,
    steps: usize,
    flags: usize,
    files: usize,
}

impl Board {
    /// A board for the trials of a plan: whoever carries out steps has a mailbox, first the
    /// processes outside lanes, then the lanes.
    pub(super) fn new(plan: &Resolved) -> io::Result<Self> {
        let mut board = Self {
            cells: &[],
            processes: plan.processes.len(),
            executors: plan.processes.len() + plan.lanes.len(),
            areas: plan.areas.len(),
            handles: plan.handles.len(),
            registers: plan.registers.len(),
            steps: plan.steps().count(),
            flags: plan.signals.len() + plan.lanes.len(),
            files: plan.files.len(),
        };
        board.cells = sys::shared_cells(board.end())?;
        Ok(board)
    }

    fn mail(&self, executor: usize) -> usize {
        1 + executor * MAIL
    }

    fn process_at(&self, process: usize) -> usize {
        self.mail(self.executors) + process * PROCESS
    }

    fn area_at(&self, process: usize, area: usize) -> usize {
        self.process_at(self.processes) + process * self.areas + area
    }

    fn handle_at(&self, handle: usize) -> usize {
        self.area_at(self.processes, 0) + handle * HANDLE
    }

    fn register_at(&self, register: usize) -> usize {
        self.handle_at(self.handles) + register * 2
    }

    fn step_at(&self, step: usize) -> usize {
        self.register_at(self.registers) + step * 2
    }

    fn flag_at(&self, flag: usize) -> usize {
        self.step_at(self.steps) + flag
    }

    fn file_at(&self, file: usize) -> usize {
        self.flag_at(self.flags) + file
    }

    fn told_at(&self, home: usize, area: usize) -> usize {
        self.file_at(self.files) + home * self.areas + area
    }

    fn end(&self) -> usize {
        self.told_at(self.processes, 0)
    }

    /// Raises a flag: first come the signals, then the ends of the lanes.
    pub(super) fn raise(&self, flag: usize) {
        self.cells[self.flag_at(flag)].store(1, Release);
    }

    /// Whether a flag is raised.
    pub(super) fn is_raised(&self, flag: usize) -> bool {
        self.cells[self.flag_at(flag)].load(Acquire) != 0
    }

    /// Waits until a flag is raised; whether it was in time.
    pub(super) fn await_flag(&self, flag: usize, most: Duration) -> bool {
        until(most, || self.is_raised(flag))
    }

    /// As new, for the next trial. Nobody else may be left.
    pub(super) fn clear(&self) {
        for cell in self.cells {
            cell.store(0, Relaxed);
        }
    }

    /// Lets all lanes that wait start.
    pub(super) fn go(&self) {
        self.cells[0].store(1, Release);
    }

    /// Whether lanes run at the same time, so that a look tells nothing of the next moment.
    pub(super) fn is_free(&self) -> bool {
        self.cells[0].load(Acquire) != 0
    }

    /// Asks; returns the count of the question.
    pub(super) fn ask(&self, executor: usize, question: Question) -> u64 {
        let at = self.mail(executor);
        let (code, argument) = question.code();
        self.cells[at + 1].store(code, Relaxed);
        self.cells[at + 2].store(argument, Relaxed);
        let count = self.cells[at].load(Relaxed) + 1;
        self.cells[at].store(count, Release);
        sys::wake(&self.cells[at]);
        count
    }

    /// The next question after the one with this count, and its count. Waits for it as long as the
    /// process lives that asks.
    pub(super) fn question(
        &self,
        executor: usize,
        answered: u64,
        agent: i32,
    ) -> (u64, Option<Question>) {
        let at = self.mail(executor);
        loop {
            let count = self.cells[at].load(Acquire);
            if count != answered {
                let (code, argument) = (&self.cells[at + 1], &self.cells[at + 2]);
                return (count, Question::of(code.load(Relaxed), argument.load(Relaxed)));
            }
            sys::wait(&self.cells[at], answered, 500);
            if !sys::is_alive(agent) {
                birth::exit_now();
            }
        }
    }

    /// Answers the question with this count.
    pub(super) fn answer(&self, executor: usize, count: u64, done: Did) {
        let at = self.mail(executor);
        let (code, value) = told(done);
        self.cells[at + 4].store(code, Relaxed);
        self.cells[at + 5].store(value, Relaxed);
        self.cells[at + 3].store(count, Release);
        sys::wake(&self.cells[at + 3]);
    }

    /// The answer to the question with this count, if it comes within so many milliseconds.
    pub(super) fn answered(&self, executor: usize, count: u64, milliseconds: u32) -> Option<Did> {
        let at = self.mail(executor);
        for look in 0..2 {
            let seen = self.cells[at + 3].load(Acquire);
            if seen == count {
                return did(self.cells[at + 4].load(Relaxed), self.cells[at + 5].load(Relaxed));
            }
            if look == 0 {
                sys::wait(&self.cells[at + 3], seen, milliseconds);
            }
        }
        None
    }

    /// Notes the number of a process that runs.
    pub(super) fn set_process(&self, process: usize, id: i32) {
        self.cells[self.process_at(process)].store(id as u64, Release);
    }

    /// The number of a process, once it was forked.
    pub(super) fn process(&self, process: usize) -> Option<i32> {
        let id = self.cells[self.process_at(process)].load(Acquire);
        (id != 0).then_some(id as i32)
    }

    /// Says that a thread of a process has begun.
    pub(super) fn begin(&self, process: usize) {
        self.cells[self.process_at(process) + 1].fetch_add(1, Release);
    }

    /// Whether so many threads of a process have begun.
    pub(super) fn have_begun(&self, process: usize, threads: usize) -> bool {
        self.cells[self.process_at(process) + 1].load(Acquire) >= threads as u64
    }

    /// Waits until so many threads of a process have begun; whether it was in time.
    pub(super) fn await_begun(&self, process: usize, threads: usize, most: Duration) -> bool {
        until(most, || self.have_begun(process, threads))
    }

    /// Notes which thread answers.
    pub(super) fn set_thread(&self, executor: usize, thread: i32) {
        self.cells[self.mail(executor) + 6].store(thread as u64, Release);
    }

    /// The thread that answers, once there is one.
    pub(super) fn thread(&self, executor: usize) -> Option<i32> {
        let thread = self.cells[self.mail(executor) + 6].load(Acquire);
        (thread != 0).then_some(thread as i32)
    }

    /// Notes where the userfaultfd of an address space is.
    pub(super) fn set_uffd(&self, home: usize, uffd: Uffd) {
        // The number is not negative, and the cell is 0 as long as there is none.
        let code = match uffd {
            Uffd::Own(number) => number as u64 * 2 + 2,
            Uffd::Agents(number) => number as u64 * 2 + 3,
        };
        self.cells[self.process_at(home) + 2].store(code, Release);
    }

    /// Where the userfaultfd of an address space is, once it was made.
    pub(super) fn uffd(&self, home: usize) -> Option<Uffd> {
        let code = self.cells[self.process_at(home) + 2].load(Acquire).checked_sub(2)?;
        let number = (code / 2) as i32;
        Some(if code.is_multiple_of(2) { Uffd::Own(number) } else { Uffd::Agents(number) })
    }

    /// Waits for the userfaultfd of an address space, which comes with its fork.
    pub(super) fn await_uffd(&self, home: usize, most: Duration) -> Option<Uffd> {
        until(most, || self.uffd(home).is_some());
        self.uffd(home)
    }

    /// Notes that a monitor was told of an access.
    pub(super) fn tell(&self, home: usize, area: usize, page: u32, reason: UffdReason) {
        self.cells[self.told_at(home, area)].fetch_or(told_bit(page, reason), Release);
    }

    /// Whether a monitor was told of such an access.
    pub(super) fn is_told(&self, home: usize, area: usize, page: u32, reason: UffdReason) -> bool {
        let bits = self.cells[self.told_at(home, area)].load(Acquire);
        bits & told_bit(page, reason) != 0
    }

    /// Waits until a monitor was told of such an access; whether it was in time.
    pub(super) fn await_told(
        &self,
        home: usize,
        (area, page): (usize, u32),
        reason: UffdReason,
        most: Duration,
    ) -> bool {
        until(most, || self.is_told(home, area, page, reason))
    }

    /// Notes where a process has an area.
    pub(super) fn set_area(&self, process: usize, area: usize, start: u64) {
        self.cells[self.area_at(process, area)].store(start, Release);
    }

    /// Where a process has an area, once it was mapped.
    pub(super) fn area(&self, process: usize, area: usize) -> Option<u64> {
        let start = self.cells[self.area_at(process, area)].load(Acquire);
        (start != 0).then_some(start)
    }

    /// A child has its parent's areas.
    pub(super) fn inherit(&self, parent: usize, child: usize) {
        for area in 0..self.areas {
            let start = self.cells[self.area_at(parent, area)].load(Acquire);
            self.set_area(child, area, start);
        }
    }

    /// What became of a handle.
    pub(super) fn hold(&self, handle: usize) -> Hold {
        match self.cells[self.handle_at(handle)].load(Acquire) {
            0 => Hold::No,
            1 => Hold::Held,
            2 => Hold::Released,
            _ => Hold::Missing,
        }
    }

    /// Notes that a handle will not be made.
    pub(super) fn set_missing(&self, handle: usize) {
        self.cells[self.handle_at(handle)].store(3, Release);
    }

    /// Whether a handle was made.
    pub(super) fn was_made(&self, handle: usize) -> bool {
        matches!(self.hold(handle), Hold::Held | Hold::Released)
    }

    /// Notes that a handle holds its pages now, and where they lie: a device knows them by these
    /// addresses, wherever the process moves them.
    pub(super) fn set_held(&self, handle: usize, start: u64) {
        self.cells[self.handle_at(handle) + 2].store(start, Relaxed);
        self.cells[self.handle_at(handle)].store(1, Release);
    }

    /// Notes that a handle remembers its frames, and holds nothing.
    pub(super) fn set_noted(&self, handle: usize, start: u64) {
        self.cells[self.handle_at(handle) + 2].store(start, Relaxed);
        self.cells[self.handle_at(handle)].store(2, Release);
    }

    /// Where the pages lay that a handle holds or held.
    pub(super) fn held_at(&self, handle: usize) -> Option<u64> {
        self.was_made(handle).then(|| self.cells[self.handle_at(handle) + 2].load(Relaxed))
    }

    /// Lets go of a handle; whether it was held.
    pub(super) fn release(&self, handle: usize) -> bool {
        self.cells[self.handle_at(handle)].compare_exchange(1, 2, Acquire, Relaxed).is_ok()
    }

    /// Waits until a handle is made or has failed to be, as lanes do that need it; whether it was
    /// in time.
    pub(super) fn await_handle(&self, handle: usize, most: Duration) -> bool {
        until(most, || self.hold(handle) != Hold::No)
    }

    /// Does something with a handle's ring or pipe that nobody else may do at the same time. A lock
    /// that a killed process has kept is taken over after a while.
    pub(super) fn alone_with<R>(&self, handle: usize, act: impl FnOnce() -> R) -> R {
        self.locked(self.handle_at(handle) + 1, act)
    }

    /// The same with a file.
    pub(super) fn alone_with_file<R>(&self, file: usize, act: impl FnOnce() -> R) -> R {
        self.locked(self.file_at(file), act)
    }

    fn locked<R>(&self, cell: usize, act: impl FnOnce() -> R) -> R {
        let lock = &self.cells[cell];
        let begun = Instant::now();
        while lock.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            if begun.elapsed() > Duration::from_secs(2) {
                break;
            }
            std::thread::yield_now();
        }
        let result = act();
        lock.store(0, Release);
        result
    }

    /// Notes the frame of a page that a handle holds; 0 if that is not known.
    pub(super) fn set_frame(&self, handle: usize, page: usize, frame: u64) {
        if let Some(page) = (page < STAGE_PAGES as usize).then_some(page) {
            self.cells[self.handle_at(handle) + FRAMES + page].store(frame, Relaxed);
        }
    }

    /// The frame of a page that a handle holds, if it is known.
    pub(super) fn frame(&self, handle: usize, page: u32) -> Option<u64> {
        let page = (page as usize).min(STAGE_PAGES as usize - 1);
        let frame = self.cells[self.handle_at(handle) + FRAMES + page].load(Relaxed);
        (frame != 0).then_some(frame)
    }

    /// Fills a register.
    pub(super) fn set_register(&self, register: usize, word: u64) {
        let at = self.register_at(register);
        self.cells[at + 1].store(word, Relaxed);
        self.cells[at].store(1, Release);
    }

    /// The word in a register, once it was filled.
    pub(super) fn register(&self, register: usize) -> Option<u64> {
        let at = self.register_at(register);
        (self.cells[at].load(Acquire) != 0).then(|| self.cells[at + 1].load(Relaxed))
    }

    /// Notes what a step did.
    pub(super) fn set_step(&self, step: usize, done: Did) {
        let at = self.step_at(step);
        let (code, value) = told(done);
        self.cells[at + 1].store(value, Relaxed);
        self.cells[at].store(code, Release);
    }

    /// What a step did, if it was carried out.
    pub(super) fn step(&self, step: usize) -> Option<Did> {
        let at = self.step_at(step);
        did(self.cells[at].load(Acquire), self.cells[at + 1].load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use pinfold_lab::scenario::parse;

    use super::*;

    const TWO: &str = "scenario two\nsetup\n  process P\n  P: map A 1 private rw\n  P: fork C\n\
                       lane one: P\n  read A\nlane two: P\n  read A\nlane child: C\n  read A\n\
                       always\n  P:A sees \"0\"\n";

    fn board() -> Board {
        let scenario = parse(TWO).expect("a scenario");
        let plan = Resolved::of(&scenario).expect("a plan");
        Board::new(&plan).expect("a board")
    }

    #[test]
    fn the_threads_of_a_process_have_begun_when_each_one_has() {
        let board = board();
        assert!(board.have_begun(0, 0) && !board.have_begun(0, 1));
        board.begin(0);
        board.begin(1);
        assert!(!board.have_begun(0, 2), "one of its threads and one of another process");
        assert!(!board.await_begun(0, 2, Duration::ZERO));
        board.begin(0);
        assert!(board.have_begun(0, 2) && !board.have_begun(1, 2));
        assert_eq!((board.process(0), board.process(1)), (None, None), "these are no numbers");
        board.clear();
        assert!(!board.have_begun(0, 1));
    }

    #[test]
    fn no_two_cells_are_one() {
        let board = board();
        board.set_process(0, 10);
        board.set_process(1, 11);
        board.begin(1);
        board.set_area(0, 0, 20);
        board.set_area(1, 0, 21);
        board.raise(0);
        board.set_thread(1, 30);
        board.set_uffd(0, Uffd::Own(0));
        board.set_uffd(1, Uffd::Agents(7));
        board.tell(1, 0, 15, UffdReason::Minor);
        assert_eq!((board.uffd(0), board.uffd(1)), (Some(Uffd::Own(0)), Some(Uffd::Agents(7))));
        assert_eq!((board.thread(0), board.thread(1)), (None, Some(30)));
        assert!(board.is_told(1, 0, 15, UffdReason::Minor));
        assert!(!board.is_told(0, 0, 15, UffdReason::Minor));
        assert!(
            !board.is_told(1, 0, 15, UffdReason::Wp) && !board.is_told(1, 0, 0, UffdReason::Minor)
        );
        assert_eq!((board.process(0), board.process(1)), (Some(10), Some(11)));
        assert!(board.have_begun(1, 1) && !board.have_begun(1, 2) && !board.have_begun(0, 1));
        assert_eq!((board.area(0, 0), board.area(1, 0)), (Some(20), Some(21)));
        assert!(board.is_raised(0) && !board.is_raised(1));
    }
}
