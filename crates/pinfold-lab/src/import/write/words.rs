//! Which word each page has at the end, as far as that is certain, and what is claimed of it.
//!
//! INV-WORD-1: a word is claimed only if no other store to its place races with the last one, by
//! the order that the scenario's own lanes keep.

use super::super::log::What;
use super::super::order::follows;
use super::{Stored, Writer};
use std::collections::BTreeSet;

impl Writer<'_> {
    /// Whether the call at `at` comes after that at `first` in every execution.
    fn after(&self, first: Option<usize>, at: Option<usize>) -> bool {
        let (Some(first), Some(at)) = (first, at) else { return false };
        let written = |call: usize| self.plan.lanes.values().flatten().any(|step| *step == call);
        follows(self.log, first, at, &written)
    }

    /// What is there before lanes begin.
    pub(super) fn found(&mut self, process: &str, page: &str, word: &str) {
        let key = (process.to_owned(), format!("{page}.0"));
        let word = word.to_owned();
        self.last.entry(key).or_insert(Stored {
            word,
            by: None,
            at: None,
            several: false,
            dropped: false,
        });
    }

    /// Something stored to a word of a page: for a thread, by its call that is written, or at any
    /// time. A store that may fail is not certain.
    pub(super) fn settle(
        &mut self,
        key: (String, String),
        word: String,
        (thread, timed): (usize, bool),
        fails: bool,
    ) {
        let at = timed.then_some(self.now);
        let mut several = fails;
        if let Some(prior) = self.last.get(&key) {
            several |= prior.several;
            if prior.by.is_some_and(|by| by != thread) && !self.after(prior.at, at) {
                if self.after(at, prior.at) {
                    return;
                }
                several = true;
            }
        }
        self.last.insert(key, Stored { word, by: Some(thread), at, several, dropped: false });
    }

    /// What a process had stored to pages is gone and reads as zeros, or may go some time.
    pub(super) fn drop_words(&mut self, thread: usize, pages: &[(String, bool)], advice: &str) {
        let process = self.process(thread);
        let dropped = |key: &(String, String)| {
            let whole = key.1.split('.').next().unwrap_or(&key.1);
            key.0 == process && pages.iter().any(|(page, _)| page == whole)
        };
        let keys: Vec<_> = self.last.keys().filter(|key| dropped(key)).cloned().collect();
        for key in keys {
            let Some(stored) = self.last.get(&key) else { continue };
            let before =
                stored.by.is_none_or(|by| by == thread) || self.after(stored.at, Some(self.now));
            let Some(stored) = self.last.get_mut(&key) else { continue };
            let several = stored.several || !before;
            let word = if advice == "dontneed" { "0" } else { "" }.to_owned();
            *stored = Stored { word, by: Some(thread), at: Some(self.now), several, dropped: true };
        }
    }

    /// The word that a thread finds at its call, if that is certain.
    pub(super) fn word_at(&self, thread: usize, page: &str) -> Option<String> {
        let key = (self.process(thread), format!("{page}.0"));
        let inherited = ("P".to_owned(), key.1.clone());
        let stored = self.last.get(&key).or_else(|| self.last.get(&inherited))?;
        let known =
            stored.by.is_none_or(|by| by == thread) || self.after(stored.at, Some(self.now));
        (known && !stored.several && !stored.word.is_empty()).then(|| stored.word.clone())
    }

    /// A child finds what its parent had stored, but for what it gets no more than zeros of.
    pub(super) fn inherit(&mut self, thread: usize, child: &str, verb: &str) {
        let parent = self.process(thread);
        let own = self.last.iter().filter(|((process, _), _)| *process == parent);
        let shares = verb != "fork";
        let copies: Vec<_> = own
            .map(|((_, page), stored)| {
                let key = (child.to_owned(), page.clone());
                let whole = page.split('.').next().unwrap_or(page);
                let zeroed = !shares && self.wiped.contains(&(parent.clone(), whole.to_owned()));
                let known = stored.by.is_none_or(|by| by == thread)
                    || self.after(stored.at, Some(self.now));
                let several = stored.several || shares || zeroed || !known;
                (key, Stored { by: None, at: None, several, ..stored.clone() })
            })
            .collect();
        for (key, stored) in copies {
            self.last.entry(key).or_insert(stored);
        }
        let wiped: Vec<String> = self
            .wiped
            .iter()
            .filter(|(of, _)| *of == parent)
            .map(|(_, page)| page.clone())
            .collect();
        self.wiped.extend(wiped.into_iter().map(|page| (child.to_owned(), page)));
    }

    /// What is certain at the end, and where pages of a buffer must be.
    pub(super) fn claims(&mut self) {
        let mut claims = std::mem::take(&mut self.claims);
        for (number, held) in &self.held {
            let seed = &self.log.seeds[*number];
            if self.over.contains(number) || seed.taker.sends() || seed.submitted {
                continue;
            }
            let owner = self.owner(seed);
            for (handle, page) in held {
                match self.gone.get(&(owner.clone(), page.clone())) {
                    Some(None) => {}
                    Some(Some(other)) => claims.push(format!("{handle} is {owner}:{other}")),
                    None => claims.push(format!("{handle} is {owner}:{page}")),
                }
            }
        }
        let mortal: BTreeSet<String> = (self.plan.lanes.iter())
            .filter(|(_, steps)| {
                steps.iter().any(|at| matches!(self.log.ops[*at].what, What::Exit | What::Exec))
            })
            .map(|(thread, _)| self.process(*thread))
            .collect();
        for ((process, page), Stored { word, by, several, dropped, .. }) in &self.last {
            let whole = page.split('.').next().unwrap_or(page);
            let gone =
                self.gone.get(&(process.clone(), whole.to_owned())).is_some_and(Option::is_none);
            if !several && !dropped && by.is_some() && !gone && !mortal.contains(process) {
                claims.push(format!("{process}:{page} sees \"{word}\""));
            }
        }
        claims.retain(|claim| {
            let of = claim.split(':').next().unwrap_or_default();
            !mortal.contains(of.rsplit(' ').next().unwrap_or(of))
        });
        self.claims = claims;
    }
}
