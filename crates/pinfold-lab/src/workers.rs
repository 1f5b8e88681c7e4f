//! Threads that share numbered tasks: each takes the next task when it is done with its own, and
//! reports the results to the calling thread.

use std::cell::Cell;
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

/// Does the tasks `0..tasks` on at most `threads` threads, and returns when all of these are done.
/// `work` does one task; after a break, its thread takes no other. The calling thread runs `heard`
/// for each thing that a worker sends, and with nothing after each `beat` of silence.
///
/// # Panics
/// When `work` does, or `heard`. After `heard` did, a thread that finds nobody to tell takes no
/// other task.
pub fn share<N: Send>(
    threads: usize,
    tasks: usize,
    beat: Duration,
    work: impl Fn(&Worker<N>, usize) -> ControlFlow<()> + Sync,
    mut heard: impl FnMut(Option<N>),
) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        for number in 0..threads.max(1).min(tasks) {
            let worker = Worker { number, send: send.clone(), alone: Cell::new(false) };
            let (next, work) = (&next, &work);
            scope.spawn(move || {
                loop {
                    let task = next.fetch_add(1, Ordering::Relaxed);
                    if task >= tasks || work(&worker, task).is_break() || worker.alone.get() {
                        return;
                    }
                }
            });
        }
        // The threads hold the other ends; the channel closes when the last thread ends.
        drop(send);
        loop {
            match receive.recv_timeout(beat) {
                Ok(news) => heard(Some(news)),
                Err(RecvTimeoutError::Timeout) => heard(None),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_millis(1);

    #[test]
    fn each_task_is_done_once() {
        for threads in [0, 1, 3, 20] {
            let mut done = Vec::new();
            let work = |worker: &Worker<usize>, task| {
                assert!(worker.number() < threads.max(1));
                worker.tell(task);
                ControlFlow::Continue(())
            };
            share(threads, 10, BEAT, work, |news| done.extend(news));
            done.sort_unstable();
            assert_eq!(done, (0..10).collect::<Vec<_>>(), "{threads} threads");
        }
    }

    #[test]
    fn a_thread_that_breaks_off_takes_no_other_task() {
        let mut done = Vec::new();
        let work = |worker: &Worker<usize>, task| {
            worker.tell(task);
            if task == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        share(1, 10, BEAT, work, |news| done.extend(news));
        assert_eq!(done, [0, 1, 2, 3]);
    }

    #[test]
    fn no_task_is_taken_for_a_caller_that_panicked() {
        const TASKS: usize = 5_000;
        let done = AtomicUsize::new(0);
        let work = |worker: &Worker<usize>, task| {
            thread::sleep(BEAT);
            done.fetch_add(1, Ordering::Relaxed);
            worker.tell(task);
            ControlFlow::Continue(())
        };
        let caller = || share(1, TASKS, BEAT, work, |_| panic!("the caller has had enough"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(caller)).is_err());
        assert!(done.into_inner() < TASKS);
    }
}
