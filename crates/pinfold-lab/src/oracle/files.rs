//! What the ends of executions say of files: of the pages in memory, of what is stored, and of the
//! translations that lead there.

use std::collections::BTreeSet;

use pinfold::sync::AtomicU64;
use pinfold::{Flags, Pfn, SpaceId, VirtAddr, lab};

use super::Found;
use crate::about::{About, Breach, Spot};
use crate::files::Disk;
use crate::spaces::Area;
use crate::world::World;

impl World {
    /// Whether what is stored for each file is what its clean pages hold.
    pub(super) fn stored(&self) -> Found {
        for named in &*self.files() {
            let Some(disk) = &named.disk else { continue };
            for page in 0..named.file.pages() {
                if let Some(frame) = named.frame(page) {
                    let spot = Spot::File(frame);
                    let words = (0..self.machine().words()).filter(|word| named.has(page, *word));
                    self.in_step(&named.name, spot, frame, (disk, page), words)?;
                }
            }
        }
        let state = self.state.borrow();
        for (_, home, space) in state.homes() {
            let Some(space) = space else { continue };
            for area in home.areas.values() {
                let Some(disk) = &area.disk else { continue };
                for (index, at) in area.range.iter().enumerate() {
                    // Where something else was mapped over it, what is there is not this file's.
                    let there = |area: &&Area| area.range.contains(at.start());
                    if home.areas.values().filter(there).count() > 1 {
                        continue;
                    }
                    if let Some(frame) = lab::shared_page(space, at.start()) {
                        let spot = Spot::Page((space.id(), at.0), Some(frame));
                        let words = 0..self.machine().words();
                        self.in_step(&home.name, spot, frame, (disk, index as u64), words)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a page of a file is marked, or holds these words as they are on its disk.
    fn in_step(
        &self,
        of: &str,
        spot: Spot,
        frame: Pfn,
        (disk, page): (&Disk, u64),
        words: impl Iterator<Item = usize>,
    ) -> Found {
        // Who writes back looks for marked pages and at no entry (INV-BACK-3 of the manager).
        if lab::flags(self.memory.frames(), frame).contains(Flags::DIRTY) {
            return Ok(());
        }
        for word in words {
            let held = self.machine().word(frame, word).peek();
            let stored = disk.word(page, word).map_or(0, AtomicU64::peek);
            if held != stored {
                let (held_text, stored_text) = (self.words.text(held), self.words.text(stored));
                let what = format!(
                    "{frame} of {of} is clean and holds \"{held_text}\", \"{stored_text}\" is stored"
                );
                let (wanted, found) = (Some(stored), Some(held));
                return Err(Breach {
                    what,
                    about: Some(About::Word { spot, word, wanted, found }),
                });
            }
        }
        Ok(())
    }

    /// Whether files are without the words that were stored in private memory only.
    pub(super) fn kept_private(&self) -> Found {
        let state = self.state.borrow();
        // A page that something shared lies over by now may have been that when it was written.
        let private = |space: SpaceId, page: u64| {
            let home = state.homes.get(&space);
            home.is_some_and(|home| home.is_private(VirtAddr::of_page(page)))
        };
        let kept = state.kept.iter().filter(|(space, page, _)| private(*space, *page));
        let kept: BTreeSet<u64> = kept.map(|(.., value)| *value).collect();
        // What direct I/O has carried may be anybody's.
        let astray = |value: u64| {
            let elsewhere = state.open.contains(&value) || state.carried.has(value);
            value != 0 && kept.contains(&value) && !elsewhere
        };
        for named in &*self.files() {
            let words = (0..self.machine().words()).filter(|_| !kept.is_empty());
            for (page, word) in
                (0..named.file.pages()).flat_map(|page| words.clone().map(move |word| (page, word)))
            {
                let place = (page, word);
                let held = named.word(self.machine(), place);
                let stored = named.stored(place);
                if let Some(value) = [held, stored].into_iter().flatten().find(|it| astray(*it)) {
                    let text = self.words.text(value);
                    let name = &named.name;
                    let what = format!(
                        "{name}[{page}] has \"{text}\", which was stored in private memory"
                    );
                    let spot = named.frame(page).map(Spot::File);
                    let about = |spot| About::Word { spot, word, wanted: None, found: Some(value) };
                    return Err(Breach { what, about: spot.map(about) });
                }
            }
        }
        Ok(())
    }

    /// Whether all that leads to a page leads to the right one: entries to the page that the file
    /// has now, and what CPUs remember to what the entries say.
    pub(super) fn stale(&self) -> Found {
        let state = self.state.borrow();
        for (id, home, space) in state.homes() {
            let Some(space) = space else { continue };
            let pages: BTreeSet<_> =
                home.areas.values().flat_map(|area| area.range.iter()).collect();
            for page in pages {
                let (entry, _) = self.machine().look(space.root(), page.0);
                let entry = Some(entry).filter(|entry| entry.is_mapped());
                let found = entry.map(|entry| entry.pfn());
                let about = |frame| {
                    let spot = Spot::Page((id, page.0), Some(frame));
                    About::Word { spot, word: 0, wanted: None, found: None }
                };
                if let (Some(frame), Some(shown)) = (found, lab::shown(space, page.start()))
                    && !lab::flags(self.memory.frames(), frame).contains(Flags::ANON)
                    && shown != Some(frame)
                {
                    let now = shown.map_or("no page".to_owned(), |pfn| pfn.to_string());
                    let name = &home.name;
                    let what = format!("{name} maps {frame} where its file has {now}");
                    return Err(Breach { what, about: Some(about(frame)) });
                }
                for cpu in 0..self.machine().tlbs.cpus() {
                    let cached = self.machine().tlbs.of(cpu, id).lock().find(page.0);
                    let Some(cached) = cached else { continue };
                    let writable = entry.is_some_and(|entry| entry.is_writable());
                    if found != Some(cached.frame) || cached.writable && !writable {
                        let what = format!(
                            "CPU {cpu} goes on with {}{} of {}, where {} is mapped",
                            cached.frame,
                            if cached.writable { " for writing" } else { "" },
                            home.name,
                            match found {
                                Some(frame) if writable => format!("{frame}"),
                                Some(frame) => format!("{frame} for reading"),
                                None => "nothing".to_owned(),
                            },
                        );
                        return Err(Breach { what, about: Some(about(cached.frame)) });
                    }
                }
            }
        }
        Ok(())
    }
}
