//! What must hold at the end of every execution, whatever the scenario claims.
//!
//! [`Oracle`] says what each oracle demands; [`judge`] says who judges it and when. All broken
//! oracles are reported. Use of freed frames, broken invariants and endless faults are found while
//! the execution runs ([`crate::machine`]), and what only the explorer sees is found by the
//! explorer.

mod counts;
mod files;

use std::rc::Rc;

use pinfold::{Flags, NodeId, Pfn, SpaceId, lab};

use crate::about::{About, Breach, Seen, Spot};
use crate::carried::Brought;
use crate::counted::counted;
use crate::folios::large;
use crate::report::{Finding, Oracle};
use crate::spaces::Home;
use crate::world::{Handle, Hold, State, Store, World};

/// Whether a store was made in the address space itself, or in one of which it is a copy before
/// the fork that led to it.
fn inherits(state: &State, space: SpaceId, store: &Store) -> bool {
    let (mut space, mut until) = (space, u64::MAX);
    loop {
        if store.space == space {
            return store.at < until;
        }
        let Some(home) = state.homes.get(&space) else { return false };
        let Some(parent) = home.parent else { return false };
        (space, until) = (parent, until.min(home.born));
    }
}

/// Whether a word was stored in private memory, and neither in the address space nor in one of
/// which it is a copy before the fork that led to it. What direct I/O has carried can be anybody's.
pub(crate) fn foreign(state: &State, space: SpaceId, value: u64) -> bool {
    let mut of = state.stores.iter().filter(|store| store.value == value).peekable();
    of.peek().is_some()
        && !state.carried.has(value)
        && !of.any(|store| inherits(state, space, store))
}

/// What an oracle that judges the end found wrong.
type Found = Result<(), Breach>;

/// When an oracle is judged, and by what.
enum Judge {
    /// At the end, while everything is still held.
    End(fn(&World) -> Found),
    /// When everything has been given back.
    TakenDown(fn(&World) -> Found),
    /// Elsewhere: while the execution runs, by the scenario's own claims, or about a whole search.
    Elsewhere,
}

fn judge(oracle: Oracle) -> Judge {
    match oracle {
        Oracle::PinCoherence => Judge::End(World::coherence),
        Oracle::Isolation => Judge::End(World::isolation),
        Oracle::Counts => Judge::End(World::counts),
        Oracle::Statistics => Judge::End(World::statistics),
        Oracle::Charges => Judge::End(World::charges),
        Oracle::LostWrite => Judge::End(World::stored),
        Oracle::LostRead => Judge::End(World::brought),
        Oracle::Stale => Judge::End(World::stale),
        Oracle::Leak => Judge::TakenDown(World::leaks),
        Oracle::Claim
        | Oracle::Step
        | Oracle::StableWrites
        | Oracle::UseAfterFree
        | Oracle::Invariant
        | Oracle::Progress
        | Oracle::DataRace
        | Oracle::Deadlock
        | Oracle::Panic
        | Oracle::Nondeterminism
        | Oracle::Vacuous
        | Oracle::Scenario
        | Oracle::Divergence
        | Oracle::Unsupported => Judge::Elsewhere,
    }
}

impl World {
    /// The oracles that are broken now, in the order in which they broke. Runs alone. If a machine
    /// broke before its end, what is left of it is not examined.
    pub(crate) fn examine(&self) -> Vec<Seen> {
        let broken = self.machine().record().broken.clone();
        if !broken.is_empty() {
            return broken.into_iter().map(|finding| Seen { finding, about: Vec::new() }).collect();
        }
        let mut seen = Vec::new();
        for &oracle in Oracle::ALL {
            if let Judge::End(examine) = judge(oracle)
                && let Err(Breach { what, about }) = examine(self)
            {
                let about = about.into_iter().collect();
                seen.push(Seen { finding: Finding { oracle, what }, about });
            }
        }
        seen
    }

    /// The oracles that are broken when nothing should be left. Call it after [`World::take_down`].
    pub(crate) fn examine_ruins(&self) -> Vec<Finding> {
        let findings = Oracle::ALL.iter().filter_map(|&oracle| match judge(oracle) {
            Judge::TakenDown(examine) => {
                examine(self).err().map(|breach| Finding { oracle, what: breach.what })
            }
            Judge::End(_) | Judge::Elsewhere => None,
        });
        findings.collect()
    }

    /// Whether everything is free again.
    fn leaks(&self) -> Found {
        // What waits in a CPU's batch is kept by nothing else.
        self.memory.lru_add_drain_all();
        let pool = self.memory.hugetlb();
        if pool.free < pool.total || pool.reserved > 0 {
            return Err(format!("the pool of huge pages is not free at the end: {pool:?}").into());
        }
        let mut slot = None;
        lab::swap_slots(&self.memory, |left| slot = slot.or(Some(left)));
        if let Some(slot) = slot {
            return Err(
                format!("a slot of the swap device is not free at the end: {slot:?}").into()
            );
        }
        let mut free = self.memory.frames().total_free();
        if free < self.free_at_start {
            self.plug_in();
            free = self.memory.frames().total_free();
        }
        if free == self.free_at_start {
            return Ok(());
        }
        Err(match self.free_at_start.checked_sub(free) {
            Some(lost) => {
                format!("{} not free at the end", counted(lost, "frame is", "frames are"))
            }
            None => {
                let free = counted(free, "frame is", "frames are");
                format!("{free} free at the end, of {}", self.free_at_start)
            }
        }
        .into())
    }

    /// The frame that `page` maps in the tables at `root`, including hinting entries.
    pub(crate) fn mapped(&self, root: Pfn, page: u64) -> Option<Pfn> {
        let (pte, _) = self.machine().look(root, page);
        pte.is_mapped().then(|| pte.pfn())
    }

    fn coherence(&self) -> Found {
        let state = self.state.borrow();
        for (name, handle) in state.handles.iter() {
            let (Some(_), Some(since)) = (&handle.hold, handle.coherent) else { continue };
            for (index, frame) in handle.frames.iter().enumerate() {
                if let Some(seen) = self.parted(&state, handle, since, index as u64) {
                    let page = handle.pages.first_page().0 + index as u64;
                    let page = (handle.space, page);
                    let about = About::Parted { handle: name.to_owned(), frame: *frame, page };
                    let what = format!("{name} names {frame}, {} names {seen}", handle.process);
                    return Err(Breach { what, about: Some(about) });
                }
            }
        }
        Ok(())
    }

    /// The frame that the owner sees instead of the one that it pinned, unless it gave the page up:
    /// after the first `since` zaps, or before a pin that did not see it.
    fn parted(&self, state: &State, handle: &Handle, since: u64, index: u64) -> Option<Pfn> {
        let frame = handle.frames[index as usize];
        let page = handle.pages.first_page().0 + index;
        let space = state.space(handle.space)?;
        let record = self.machine().record();
        let head = large(self.memory.frames(), frame).map_or(frame, |folio| folio.head);
        let at = (handle.space, page);
        if record.gave_up(at, since) || record.gave_up_frame(at, frame, head) {
            return None;
        }
        self.mapped(space.root(), page).filter(|seen| *seen != frame)
    }

    fn charges(&self) -> Found {
        let groups = Rc::clone(&self.state.borrow().groups);
        for (name, group) in groups.iter() {
            let (charged, due) = lab::recount(&self.memory, group);
            if group.charged() != charged {
                let pages = counted(group.charged(), "page", "pages");
                return Err(format!("{name} is charged for {pages}, and {charged} name it").into());
            }
            let mut counts = group.stats().iter().zip(due.iter());
            if let Some(((what, counts), (_, due))) = counts.find(|(counts, due)| counts != due) {
                let what = format!("{name} counts {what} {counts}, its pages are {due}");
                return Err(Breach { what, about: Some(About::Group) });
            }
        }
        Ok(())
    }

    fn isolation(&self) -> Found {
        let state = self.state.borrow();
        for (id, home, space) in state.homes() {
            let name = &home.name;
            let own = self
                .private_frames(home, space.map(|space| space.root()))
                .map(|(page, frame)| (Spot::Page((id, page), Some(frame)), frame));
            let held = state
                .handles
                .iter()
                .filter(|(_, handle)| handle.space == id && handle.shows())
                .flat_map(|(name, handle)| handle.frames.iter().map(move |frame| (name, *frame)))
                .map(|(name, frame)| (Spot::Handle(name.to_owned(), frame), frame));
            for (spot, frame) in own.chain(held) {
                let flags = pinfold::lab::flags(self.memory.frames(), frame);
                // A page of a file or of shared memory may have the word from an open store.
                let open = |value| !flags.contains(Flags::ANON) && state.open.contains(&value);
                for word in 0..self.machine().words() {
                    let value = self.machine().word(frame, word).peek();
                    if foreign(&state, id, value) && !open(value) {
                        let text = self.words.text(value);
                        let what = format!(
                            "{name} sees \"{text}\" in {frame}, stored elsewhere after the fork"
                        );
                        let spot = spot.clone();
                        let about = About::Word { spot, word, wanted: None, found: Some(value) };
                        return Err(Breach { what, about: Some(about) });
                    }
                }
            }
        }
        self.kept_private()
    }

    /// The pages of private areas that map a frame, with that frame. What lies below a stack, or
    /// above the program break, may be somebody else's.
    fn private_frames(&self, home: &Home, root: Option<Pfn>) -> impl Iterator<Item = (u64, Pfn)> {
        let private = home.areas.values().filter(|area| area.sharing.is_private());
        let shared = |page: &pinfold::Vpn| {
            let mut areas = home.areas.values().filter(|area| !area.sharing.is_private());
            areas.any(|area| area.range.contains(page.start()))
        };
        private
            .flat_map(|area| area.range.iter())
            .filter(move |page| !shared(page))
            .filter_map(move |page| Some((page.0, self.mapped(root?, page.0)?)))
    }

    /// Whether processes find what direct reads have brought them.
    fn brought(&self) -> Found {
        let state = self.state.borrow();
        for (at, Brought { value, zaps }) in state.carried.due() {
            let page = (at.space, at.page);
            let Some(space) = state.space(at.space) else { continue };
            if self.machine().record().gave_up(page, zaps) {
                continue;
            }
            let Some(frame) = self.mapped(space.root(), at.page) else { continue };
            let found = self.machine().word(frame, at.word).peek();
            if found != value {
                let name = state.homes.get(&at.space).map_or("a process", |home| &home.name);
                let (text, wanted) = (self.words.text(found), self.words.text(value));
                let what = format!(
                    "{name} finds \"{text}\" in {frame}, where a direct read brought \"{wanted}\""
                );
                let spot = Spot::Page(page, Some(frame));
                let (wanted, found) = (Some(value), Some(found));
                let about = About::Word { spot, word: at.word, wanted, found };
                return Err(Breach { what, about: Some(about) });
            }
        }
        Ok(())
    }

    fn statistics(&self) -> Found {
        let state = self.state.borrow();
        let holds = state.handles.values().filter_map(|handle| handle.hold.as_ref());
        let held: u64 = holds
            .filter(|hold| matches!(hold, Hold::Pins(_)))
            .map(|hold| hold.pages().len() as u64 * u64::from(hold.times()))
            .sum();
        let stats = self.memory.stats();
        let (acquired, released) = (stats.nr_foll_pin_acquired, stats.nr_foll_pin_released);
        if acquired != released + held {
            let told = format!(
                "{} acquired, {released} released, {held} held",
                counted(acquired, "pin", "pins")
            );
            return Err(told.into());
        }
        let free: u64 = self.nodes().map(|node| self.memory.frames().free_frames(node)).sum();
        if free != self.memory.frames().total_free() {
            return Err("the nodes' free frames do not sum".into());
        }
        Ok(())
    }

    fn nodes(&self) -> impl Iterator<Item = NodeId> {
        let all = self.memory.frames().all();
        let last = all.map(|pfn| self.memory.frames().node(pfn).0).max();
        (0..=last.unwrap_or(0)).map(NodeId)
    }
}
