//! Data races: accesses that must be ordered and are not.
//!
//! * Plain memory: of two accesses of different lanes, one of which writes, one must happen before
//!   the other.
//! * A cell: a lane that ends its lifetime or begins a new one (`hook::forget`, `hook::renew`) must
//!   have it to itself. All accesses of the former lifetime must happen before that, and it must
//!   happen before all of the new one. An exploration cannot produce the values of a former
//!   lifetime, so this is checked.
//!
//! Happens-before depends only on reads-from, which is the same in equivalent executions. It is
//! therefore enough to check each execution that a search makes anyway: plain accesses are not
//! steps, and add none.
//!
//! INV-RACE-1: for each place the last write is known, and for each lane its last access since.
//! INV-RACE-2: an access bears the time that its lane gives to what it does next, so that a clock
//! knows that time if and only if it knows the access.

use crate::object::{AddressHasher, Object};
use std::{collections::HashMap, fmt, hash::BuildHasherDefault};

/// An access to plain memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Plain {
    Read,
    Write,
}

/// What a lane that must have a place to itself does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    /// New contents.
    Renew,
    /// The end of the place. What comes to lie there later is unrelated: the allocator orders that.
    End,
}

/// What is done to a place, as far as something else must order it.
///
/// Two of the three are not steps, and so not an [`crate::op::Op`]. Steps are not distinguished
/// here: they are ordered among themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reach {
    Plain(Plain),
    /// A step.
    Atomic,
    Life(Life),
}

impl Reach {
    /// Whether no other lane may be there.
    pub(crate) fn excludes(self) -> bool {
        match self {
            Self::Plain(Plain::Write) | Self::Life(Life::Renew | Life::End) => true,
            Self::Plain(Plain::Read) | Self::Atomic => false,
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(Plain::Read) => "reads",
            Self::Plain(Plain::Write) => "writes",
            Self::Atomic => "accesses",
            Self::Life(Life::Renew) => "reinitialises",
            Self::Life(Life::End) => "frees",
        })
    }
}

/// Which lane does something, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actor {
    /// The place of the lane, which other lanes may have after it.
    pub(crate) lane: usize,
    /// The lane's number.
    pub(crate) number: usize,
    /// How many steps the execution has made.
    pub(crate) step: u64,
}

/// One access, as far as it is remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    by: Actor,
    time: u32,
    reach: Reach,
}

impl Mark {
    /// Whether whoever knows `clock` knows of the access.
    pub(super) fn is_known_to(&self, clock: &[u32]) -> bool {
        // A shorter clock is older than the lane.
        clock.get(self.by.lane).is_some_and(|&known| known >= self.time)
    }
}

/// Two unordered accesses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Race {
    /// The number of the lane of the earlier one, in the order of execution.
    pub(crate) other: usize,
    /// How many steps the execution had made at the earlier one.
    pub(crate) step: u64,
    /// What the earlier one did.
    other_reach: Reach,
    /// What the later one does.
    reach: Reach,
}

impl Race {
    /// The race of two accesses, the earlier first.
    fn of(earlier: Mark, later: Mark) -> Self {
        let Actor { number, step, .. } = earlier.by;
        Self { other: number, step, other_reach: earlier.reach, reach: later.reach }
    }

    /// A race with an access that has been announced and not yet made.
    pub(crate) fn with_announced(other: usize, step: u64, reach: Reach) -> Self {
        Self { other, step, other_reach: Reach::Atomic, reach }
    }

    /// The race in words.
    pub(crate) fn tell(&self, lane: &str, other: &str, place: &str) -> String {
        let Self { step, other_reach, reach, .. } = self;
        format!(
            "{lane} {reach} {place}, which {other} {other_reach} too (after access {step}), and \
             nothing orders the two"
        )
    }
}

/// What was done to one place.
#[derive(Default)]
struct Place {
    write: Option<Mark>,
    /// By lane, at most one each.
    since: Vec<Mark>,
}

impl Place {
    fn touch(&mut self, mark: Mark, clock: &[u32]) -> Option<Race> {
        let unordered =
            |earlier: &&Mark| earlier.by.lane != mark.by.lane && !earlier.is_known_to(clock);
        let excluded = self.since.iter().filter(|_| mark.reach.excludes());
        let rival = self.write.iter().chain(excluded).find(unordered).copied();
        if mark.reach.excludes() {
            self.write = (mark.reach != Reach::Life(Life::End)).then_some(mark);
            self.since.clear();
        } else if let Some(own) = self.since.iter_mut().find(|own| own.by.lane == mark.by.lane) {
            *own = mark;
        } else {
            self.since.push(mark);
        }
        rival.map(|rival| Race::of(rival, mark))
    }
}

impl Place {
    /// What was done here that must be ordered before what `lane` is about to do.
    fn rivals(&self, lane: usize, reach: Reach) -> impl Iterator<Item = &Mark> {
        let excluded = self.since.iter().filter(move |_| reach.excludes());
        self.write.iter().chain(excluded).filter(move |mark| mark.by.lane != lane)
    }
}

/// What was done to all places of one execution.
#[derive(Default)]
pub(super) struct Races {
    /// By object. Those from `used` on belong to former executions.
    cells: Vec<Place>,
    used: usize,
    plain: HashMap<usize, Place, BuildHasherDefault<AddressHasher>>,
    /// The ranges that were reinitialised, in order: the cells there may not have been met yet.
    renewed: Vec<(usize, usize, Mark)>,
}

impl Races {
    /// Forgets everything, for the next execution.
    pub(super) fn clear(&mut self) {
        self.used = 0;
        self.plain.clear();
        self.renewed.clear();
    }

    /// Notes that the cell at `addr` is met for the first time.
    pub(super) fn find(&mut self, cell: Object, addr: usize) {
        let covers = |&&(start, len, _): &&(usize, usize, Mark)| addr.wrapping_sub(start) < len;
        let renewal = self.renewed.iter().rfind(covers).map(|&(.., mark)| mark);
        self.place(cell).write = renewal;
    }

    /// Removes a range that ends from those that were reinitialised.
    fn forget_renewals(&mut self, addr: usize, len: usize) {
        let end = addr.saturating_add(len);
        let overlaps = |start: usize, length: usize| start < end && addr < start + length;
        if !self.renewed.iter().any(|&(start, length, _)| overlaps(start, length)) {
            return;
        }
        let cut = |(start, length, mark): (usize, usize, Mark)| {
            let before = (start, addr.saturating_sub(start).min(length), mark);
            let after = (end.max(start), (start + length).saturating_sub(end.max(start)), mark);
            [before, after]
        };
        let (whole, ended): (Vec<_>, Vec<_>) =
            self.renewed.drain(..).partition(|&(start, length, _)| !overlaps(start, length));
        self.renewed = whole;
        self.renewed.extend(ended.into_iter().flat_map(cut).filter(|&(_, length, _)| length > 0));
    }

    fn place(&mut self, cell: Object) -> &mut Place {
        let index = cell as usize;
        if index >= self.used {
            self.make_room(index + 1);
        }
        &mut self.cells[index]
    }

    /// Makes places for this many cells, with nothing done to the new ones.
    fn make_room(&mut self, cells: usize) {
        if self.cells.len() < cells {
            self.cells.resize_with(cells, Place::default);
        }
        for unused in &mut self.cells[self.used..cells] {
            unused.write = None;
            unused.since.clear();
        }
        self.used = cells;
    }

    /// What was done to a cell that must be ordered before what `lane` is about to do there.
    pub(super) fn rivals_at_cell(
        &self,
        cell: Object,
        lane: usize,
        reach: Reach,
    ) -> impl Iterator<Item = &Mark> {
        let place = (cell as usize) < self.used;
        place.then(|| self.cells[cell as usize].rivals(lane, reach)).into_iter().flatten()
    }

    /// The same for plain memory.
    pub(super) fn rivals_at_plain(
        &self,
        addr: usize,
        lane: usize,
        reach: Reach,
    ) -> impl Iterator<Item = &Mark> {
        self.plain.get(&addr).into_iter().flat_map(move |place| place.rivals(lane, reach))
    }

    /// The reinitialisations by others than `lane` of ranges, given by their start and length, that
    /// may be around a place: one may concern a cell that nobody has met.
    pub(super) fn renewals(
        &self,
        lane: usize,
        around: impl Fn(usize, usize) -> bool,
    ) -> impl Iterator<Item = &Mark> {
        let inside = self.renewed.iter().filter(move |&&(start, len, _)| around(start, len));
        inside.map(|(.., mark)| mark).filter(move |mark| mark.by.lane != lane)
    }

    /// A lane that knows `clock` touches a cell.
    pub(super) fn reach_cell(
        &mut self,
        by: Actor,
        cell: Object,
        reach: Reach,
        clock: &[u32],
    ) -> Option<Race> {
        self.place(cell).touch(mark(by, reach, clock), clock)
    }

    /// A lane that knows `clock` touches plain memory.
    pub(super) fn reach_plain(
        &mut self,
        by: Actor,
        addr: usize,
        access: Plain,
        clock: &[u32],
    ) -> Option<Race> {
        self.plain.entry(addr).or_default().touch(mark(by, Reach::Plain(access), clock), clock)
    }

    /// The cells of a range are reinitialised. Returns the race with an unordered earlier
    /// reinitialisation of a part of it, if there is one.
    pub(super) fn renew(
        &mut self,
        by: Actor,
        (addr, len): (usize, usize),
        clock: &[u32],
    ) -> Option<Race> {
        let mark = mark(by, Reach::Life(Life::Renew), clock);
        let race = self.renewal_race((addr, len), mark, clock);
        self.renewed.push((addr, len, mark));
        race
    }

    /// The race with a lane that reinitialised a part of the range, which may contain cells not met
    /// yet.
    fn renewal_race(&self, (addr, len): (usize, usize), mark: Mark, clock: &[u32]) -> Option<Race> {
        let overlaps = |start: usize, length: usize| start < addr + len && addr < start + length;
        let rival = self.renewed.iter().find(|&&(start, length, renewal)| {
            overlaps(start, length)
                && renewal.by.lane != mark.by.lane
                && !renewal.is_known_to(clock)
        });
        rival.map(|&(.., renewal)| Race::of(renewal, mark))
    }

    /// A lane gives up a range.
    pub(super) fn end(
        &mut self,
        by: Actor,
        (addr, len): (usize, usize),
        clock: &[u32],
    ) -> Option<Race> {
        let end = mark(by, Reach::Life(Life::End), clock);
        let renewal = self.renewal_race((addr, len), end, clock);
        self.forget_renewals(addr, len);
        let inside = self.plain.iter_mut().filter(|(at, _)| at.wrapping_sub(addr) < len);
        let races = inside.filter_map(|(&at, place)| Some((at, place.touch(end, clock)?)));
        // The order of the map must not be observable.
        let plain = races.min_by_key(|&(at, _)| at).map(|(_, race)| race);
        renewal.or(plain)
    }
}

/// INV-RACE-2.
fn mark(by: Actor, reach: Reach, clock: &[u32]) -> Mark {
    Mark { by, time: clock[by.lane] + 1, reach }
}
