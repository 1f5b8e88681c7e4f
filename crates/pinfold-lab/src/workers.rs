//! Threads that share numbered tasks: each takes the next task when it is done with its own, and
//! reports the results to the calling thread.

use std::cell::Cell;
use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// One of the threads.
pub struct Worker<N> {
    number: usize,
    send: Sender<N>,
    /// The calling thread was gone when it was last told something.
    alone: Cell<bool>,
}

impl<N> Worker<N> {
    /// Which thread it is, counted from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Tells the calling thread something. If that no longer listens, which only its panic can
    /// bring about, the worker takes no other task.
    pub fn tell(&self, news: N) {
        self.alone.set(self.send.send(news).is_err());
    }
}

/// What the calling thread hears.
#[derive(Debug)]
pub enum Heard<N> {
    /// A worker sent this.
    News(N),
    /// Nobody sent anything for a while.
    Silence,
    /// The system did not allow all threads that were wanted. The work goes on with those there
    /// are. Heard at most once, before anything else.
    Fewer {
        /// How many threads there are, at least one.
        started: usize,
        /// How many were wanted.
        wanted: usize,
    },
}

/// Does the tasks `0..tasks` on at most `threads` threads, and returns when all of these are done.
/// `work` does one task; after a break, its thread takes no other. The calling thread runs `heard`
/// for each thing that a worker sends, and for each `beat` of silence.
///
/// # Errors
/// When no thread could be started: what the system says. Nothing was done then.
///
/// # Panics
/// When `work` does, or `heard`. After `heard` did, a thread that finds nobody to tell takes no
/// other task.
pub fn share<N: Send>(
    threads: usize,
    tasks: usize,
    beat: Duration,
    work: impl Fn(&Worker<N>, usize) -> ControlFlow<()> + Sync,
    heard: impl FnMut(Heard<N>),
) -> io::Result<()> {
    share_if(|_| Ok(()), threads, tasks, beat, work, heard)
}

/// The same, where `may_start` can refuse a thread as the system does.
fn share_if<N: Send>(
    mut may_start: impl FnMut(usize) -> io::Result<()>,
    threads: usize,
    tasks: usize,
    beat: Duration,
    work: impl Fn(&Worker<N>, usize) -> ControlFlow<()> + Sync,
    mut heard: impl FnMut(Heard<N>),
) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let wanted = threads.max(1).min(tasks);
    thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        let mut start = |number: usize| {
            may_start(number)?;
            let worker = Worker { number, send: send.clone(), alone: Cell::new(false) };
            let (next, work) = (&next, &work);
            thread::Builder::new().spawn_scoped(scope, move || worker.take(next, tasks, work))
        };
        let mut started = 0;
        while started < wanted {
            match start(started) {
                Ok(_) => started += 1,
                Err(why) if started == 0 => return Err(why),
                Err(_) => {
                    heard(Heard::Fewer { started, wanted });
                    break;
                }
            }
        }
        // The threads hold the other ends; the channel closes when the last thread ends.
        drop(send);
        loop {
            match receive.recv_timeout(beat) {
                Ok(news) => heard(Heard::News(news)),
                Err(RecvTimeoutError::Timeout) => heard(Heard::Silence),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    })
}

impl<N> Worker<N> {
    /// Does one task after another, until there is none left, or one breaks off, or nobody listens.
    fn take(
        &self,
        next: &AtomicUsize,
        tasks: usize,
        work: &impl Fn(&Self, usize) -> ControlFlow<()>,
    ) {
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks || work(self, task).is_break() || self.alone.get() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_millis(1);

    /// What was sent, of everything that was heard.
    fn news<N>(heard: Heard<N>) -> Option<N> {
        match heard {
            Heard::News(news) => Some(news),
            Heard::Silence | Heard::Fewer { .. } => None,
        }
    }

    #[test]
    fn each_task_is_done_once() {
        for threads in [0, 1, 3, 20] {
            let mut done = Vec::new();
            let work = |worker: &Worker<usize>, task| {
                assert!(worker.number() < threads.max(1));
                worker.tell(task);
                ControlFlow::Continue(())
            };
            share(threads, 10, BEAT, work, |heard| done.extend(news(heard))).expect("a thread");
            done.sort_unstable();
            assert_eq!(done, (0..10).collect::<Vec<_>>(), "{threads} threads");
        }
    }

    #[test]
    fn the_threads_that_start_do_the_work_of_those_that_do_not() {
        for most in 0..4 {
            let (mut done, mut fewer) = (Vec::new(), Vec::new());
            let may_start = |number| match number < most {
                true => Ok(()),
                false => Err(io::Error::from(io::ErrorKind::WouldBlock)),
            };
            let work = |worker: &Worker<usize>, task| {
                worker.tell(task);
                ControlFlow::Continue(())
            };
            let shared = share_if(may_start, 3, 10, BEAT, work, |heard| match heard {
                Heard::Fewer { started, wanted } => fewer.push((started, wanted)),
                other => done.extend(news(other)),
            });
            done.sort_unstable();
            let all: Vec<usize> = if most > 0 { (0..10).collect() } else { Vec::new() };
            assert_eq!((shared.is_ok(), done), (most > 0, all), "{most} threads");
            let told = if (1..3).contains(&most) { vec![(most, 3)] } else { Vec::new() };
            assert_eq!(fewer, told, "{most} threads");
        }
    }

    #[test]
    fn a_thread_that_breaks_off_takes_no_other_task() {
        let mut done = Vec::new();
        let work = |worker: &Worker<usize>, task| {
            worker.tell(task);
            if task == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        share(1, 10, BEAT, work, |heard| done.extend(news(heard))).expect("a thread");
        assert_eq!(done, [0, 1, 2, 3]);
    }

    #[test]
    fn no_task_is_taken_where_nobody_listens() {
        let (send, receive) = mpsc::channel();
        drop(receive);
        let worker = Worker { number: 0, send, alone: Cell::new(false) };
        let (next, done) = (AtomicUsize::new(0), Cell::new(0));
        worker.take(&next, 5_000, &|worker: &Worker<usize>, task| {
            done.set(done.get() + 1);
            worker.tell(task);
            ControlFlow::Continue(())
        });
        assert_eq!(done.get(), 1);
    }

    #[test]
    fn the_panic_of_the_caller_is_the_caller_s() {
        let work = |worker: &Worker<usize>, task| {
            worker.tell(task);
            ControlFlow::Continue(())
        };
        let caller = || share(1, 3, BEAT, work, |_| panic!("the caller has had enough"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(caller)).is_err());
    }
}
