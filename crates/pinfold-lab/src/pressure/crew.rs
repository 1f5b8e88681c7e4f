//! The threads of a run, for who watches them from outside.
//!
//! Protocol: each has a desk, and says there what it does. Who watches waits for none of them: one
//! that hangs cannot be ended, and is left behind.

use super::desk::{Desk, Hung, Tally};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The time between two looks at the threads.
const BEAT: Duration = Duration::from_millis(20);

/// Threads, and what they do.
#[derive(Default)]
pub(crate) struct Crew {
    desks: Vec<Arc<Desk>>,
    threads: Vec<JoinHandle<()>>,
}

/// Whether all threads of a run are to end.
#[derive(Default)]
pub(crate) struct Stop(AtomicBool);

impl Stop {
    pub(crate) fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Has all threads end.
    pub(crate) fn halt(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// For each thread, as long as it runs.
    pub(crate) fn stops_all(&self) -> StopsAll<'_> {
        StopsAll(self)
    }
}

/// Has all threads stop when its own panics: the others may wait for what it had.
pub(crate) struct StopsAll<'s>(&'s Stop);

impl Drop for StopsAll<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.halt();
        }
    }
}

/// What watching them has come to.
pub(crate) enum Watched {
    /// All have ended.
    Ended,
    /// These have not.
    Hung(Vec<Hung>),
}

impl Crew {
    /// One more thread.
    ///
    /// # Errors
    /// When the system allows none.
    pub(crate) fn start(
        &mut self,
        desk: Arc<Desk>,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let builder = thread::Builder::new().name(desk.name().to_owned());
        self.threads.push(builder.spawn(run)?);
        self.desks.push(desk);
        Ok(())
    }

    pub(crate) fn tally(&self) -> Tally {
        let mut all = Tally::default();
        self.desks.iter().for_each(|desk| all.add(&desk.tally()));
        all
    }

    /// Looks at the threads until all have ended, or one hangs. What one does that has ended is no
    /// matter. `beat` must wait for none of them.
    pub(crate) fn watch(&self, patience: Duration, mut beat: impl FnMut()) -> Watched {
        while !self.threads.iter().all(JoinHandle::is_finished) {
            let work = self.threads.iter().zip(&self.desks);
            let working = work.filter(|(thread, _)| !thread.is_finished());
            let hung: Vec<_> = working.filter_map(|(_, desk)| desk.hung(patience)).collect();
            if !hung.is_empty() {
                return Watched::Hung(hung);
            }
            beat();
            thread::sleep(BEAT);
        }
        Watched::Ended
    }

    /// What those that have ended have to say: the panics of those that did. The others are left.
    pub(crate) fn join(&mut self) -> Vec<String> {
        let work = self.threads.drain(..).zip(self.desks.iter().map(|desk| desk.name()));
        let told = |(thread, name): (JoinHandle<()>, &str)| {
            let panic = thread.join().err()?;
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Some(format!("{name} panicked: {}", text.unwrap_or("without a text")))
        };
        let ended = work.filter(|(thread, _)| thread.is_finished());
        ended.filter_map(told).collect()
    }
}
