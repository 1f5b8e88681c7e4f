//! Data races: accesses that nothing orders though they must be.
//!
//! * Plain memory: of two accesses of different lanes, one of which writes, one happens before the
//!   other.
//! * A cell: whoever ends its life or begins a new one (`hook::forget`, `hook::renew`) has it alone.
//!   All accesses of the former life happen before that, and it happens before all of the new one.
//!   The values of a former life are out of reach in an exploration, so this is checked.
//!
//! What happens before what depends only on what reads from what, which is the same in equivalent
//! executions. So it is enough to look at each execution that a search makes anyway: plain accesses
//! are no steps, and add none.
//!
//! INV-RACE-1: of each place the last write is known, and for each lane its last access since.
//! INV-RACE-2: an access bears the time that its lane gives to what it does next, so that a clock
//! knows that time exactly if it knows the access.

use crate::object::{AddressHasher, Object};
use std::{collections::HashMap, fmt, hash::BuildHasherDefault};

/// What is done to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// A plain read.
    Read,
    /// A plain write.
    Write,
    /// An atomic access.
    Atomic,
    /// New contents, by one who has the place alone.
    Renew,
    /// The end of the place. What comes to lie there later has nothing to do with it: whoever hands
    /// out memory orders that.
    End,
}

impl Touch {
    /// Whether nobody else may be there.
    fn excludes(self) -> bool {
        matches!(self, Self::Write | Self::Renew | Self::End)
    }
}

impl fmt::Display for Touch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "reads",
            Self::Write => "writes",
            Self::Atomic => "accesses",
            Self::Renew => "sets anew",
            Self::End => "frees",
        })
    }
}

/// One access, as far as it is remembered.
#[derive(Clone, Copy, Debug)]
struct Mark {
    lane: usize,
    time: u32,
    step: u64,
    touch: Touch,
}

impl Mark {
    fn is_known_to(&self, clock: &[u32]) -> bool {
        // A clock that is shorter is older than the lane.
        clock.get(self.lane).is_some_and(|&known| known >= self.time)
    }
}

/// Two accesses that nothing orders.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Race {
    /// The lane of the earlier one, in the order of execution.
    pub(crate) other: usize,
    /// How many steps the execution had made at the earlier one.
    pub(crate) step: u64,
    /// What the earlier one did.
    other_touch: Touch,
    /// What the later one does.
    touch: Touch,
}

impl Race {
    /// A race with an access that has been announced and not made.
    pub(crate) fn with_announced(other: usize, step: u64, touch: Touch) -> Self {
        Self { other, step, other_touch: Touch::Atomic, touch }
    }

    /// The race in words.
    pub(crate) fn tell(&self, lane: &str, other: &str, place: &str) -> String {
        let Self { step, other_touch, touch, .. } = self;
        format!(
            "{lane} {touch} {place}, which {other} {other_touch} too (after access {step}), and \
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
        let unordered = |earlier: &&Mark| earlier.lane != mark.lane && !earlier.is_known_to(clock);
        let excluded = self.since.iter().filter(|_| mark.touch.excludes());
        let rival = self.write.iter().chain(excluded).find(unordered).copied();
        if mark.touch.excludes() {
            self.write = (mark.touch != Touch::End).then_some(mark);
            self.since.clear();
        } else if let Some(own) = self.since.iter_mut().find(|own| own.lane == mark.lane) {
            *own = mark;
        } else {
            self.since.push(mark);
        }
        rival.map(|Mark { lane, step, touch, .. }| Race {
            other: lane,
            step,
            other_touch: touch,
            touch: mark.touch,
        })
    }
}

/// What was done to all places of one execution.
#[derive(Default)]
pub(super) struct Races {
    /// By object. Those behind `used` belong to former executions.
    cells: Vec<Place>,
    used: usize,
    plain: HashMap<usize, Place, BuildHasherDefault<AddressHasher>>,
    /// What was set anew, in order: the cells there may not have been met.
    renewed: Vec<(usize, usize, Mark)>,
}

impl Races {
    /// Forgets everything, for the next execution.
    pub(super) fn clear(&mut self) {
        self.used = 0;
        self.plain.clear();
        self.renewed.clear();
    }

    /// The cell at `addr` is met for the first time.
    pub(super) fn find(&mut self, cell: Object, addr: usize) {
        let covers = |&&(start, len, _): &&(usize, usize, Mark)| addr.wrapping_sub(start) < len;
        let renewal = self.renewed.iter().rfind(covers).map(|&(.., mark)| mark);
        self.place(cell).write = renewal;
    }

    /// Cuts what ends out of what was set anew.
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
        if self.cells.len() <= index {
            self.cells.resize_with(index + 1, Place::default);
        }
        for unused in self.used..=index {
            self.cells[unused].write = None;
            self.cells[unused].since.clear();
        }
        self.used = self.used.max(index + 1);
        &mut self.cells[index]
    }

    /// `lane`, to which `clock` is known, touches a cell.
    pub(super) fn touch_cell(
        &mut self,
        lane: usize,
        cell: Object,
        touch: Touch,
        step: u64,
        clock: &[u32],
    ) -> Option<Race> {
        self.place(cell).touch(mark(lane, touch, step, clock), clock)
    }

    /// `lane`, to which `clock` is known, touches plain memory.
    pub(super) fn touch_plain(
        &mut self,
        lane: usize,
        addr: usize,
        touch: Touch,
        step: u64,
        clock: &[u32],
    ) -> Option<Race> {
        self.plain.entry(addr).or_default().touch(mark(lane, touch, step, clock), clock)
    }

    /// `lane` sets the cells of a range anew.
    pub(super) fn renew(
        &mut self,
        lane: usize,
        (addr, len): (usize, usize),
        step: u64,
        clock: &[u32],
    ) {
        self.renewed.push((addr, len, mark(lane, Touch::Renew, step, clock)));
    }

    /// `lane` gives a range up.
    pub(super) fn end(
        &mut self,
        lane: usize,
        (addr, len): (usize, usize),
        step: u64,
        clock: &[u32],
    ) -> Option<Race> {
        self.forget_renewals(addr, len);
        let end = mark(lane, Touch::End, step, clock);
        let inside = self.plain.iter_mut().filter(|(at, _)| at.wrapping_sub(addr) < len);
        let races = inside.filter_map(|(&at, place)| Some((at, place.touch(end, clock)?)));
        // The order of the map must not show.
        races.min_by_key(|&(at, _)| at).map(|(_, race)| race)
    }
}

/// INV-RACE-2.
fn mark(lane: usize, touch: Touch, step: u64, clock: &[u32]) -> Mark {
    Mark { lane, time: clock[lane] + 1, step, touch }
}
