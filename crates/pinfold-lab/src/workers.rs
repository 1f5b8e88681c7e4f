//! Threads that share numbered tasks: each takes the next one when it is done with its own, and
//! tells the calling thread what comes of it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// One of the threads.
pub struct Worker<N> {
    number: usize,
    send: Sender<N>,
}

impl<N> Worker<N> {
    /// Which thread it is, counted from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Tells the calling thread something.
    pub fn tell(&self, news: N) {
        // The calling thread listens until the last worker is gone.
        let _ = self.send.send(news);
    }
}

/// Does the tasks `0..tasks` on at most `threads` threads, and returns when all of these are done.
/// `work` does one task; after a break its thread takes no other. The calling thread runs `heard`
/// for each thing that it is told, and with nothing after each `beat` of silence.
///
/// # Panics
/// When `work` does.
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
            let worker = Worker { number, send: send.clone() };
            let (next, work) = (&next, &work);
            scope.spawn(move || {
                loop {
                    let task = next.fetch_add(1, Ordering::Relaxed);
                    if task >= tasks || work(&worker, task).is_break() {
                        return;
                    }
                }
            });
        }
        // The threads hold the other ends; when the last of them is gone, so is the channel.
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
}
