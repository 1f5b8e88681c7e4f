//! What the engine asks of a strategy.
//!
//! A strategy sees what each lane wants to touch, picks a lane, picks among the options of its
//! access, and learns what was touched. It outlives executions; `advance` moves it to the next one.

use super::{ahead::Ahead, touch::Touch};
use crate::{
    lane::LaneSet,
    ledger::{Ledger, Name, Place},
    memory::{Memory, Reach, Source, Spot},
    op::Behind,
    position::Position,
};

/// What a strategy sees when it picks.
pub(crate) struct Moment<'a> {
    /// The lanes that could run.
    pub(crate) enabled: LaneSet,
    /// Those of them that could run with the newest value; the rest wait for a value that only an
    /// older store has. There is at least one.
    pub(crate) fresh: LaneSet,
    /// The lane that made the last step.
    pub(crate) last: Option<usize>,
    /// What each lane wants to touch next; `None` once it has ended.
    pub(crate) pending: &'a [Option<Touch>],
    /// What was done, if the search remembers states.
    pub(crate) past: Option<Past<'a>>,
}

/// What was done in an execution, as far as a search that remembers states must know.
#[derive(Clone, Copy)]
pub(crate) struct Past<'a> {
    pub(crate) ledger: &'a Ledger,
    pub(crate) memory: &'a Memory,
}

/// Where an access to a cell was in modification order, under the weaker models and as far as a
/// search that remembers states must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seat {
    /// Whether the last store was the one that was executed last, before the access.
    pub(crate) is_plain: bool,
    /// Whether the access came after all stores.
    pub(crate) is_last: bool,
}

/// Something that a lane will do to what must not be touched by others at the same time.
pub(crate) struct Foreseen<'a> {
    /// The lane's number.
    pub(crate) lane: usize,
    pub(crate) name: Name,
    pub(crate) reach: Reach,
    /// Lanes whose present is known by then, among them the lane itself if it has started.
    pub(crate) after: LaneSet,
    /// What has handed on by then what it would hand on now.
    pub(crate) learnt: &'a [Source<Name>],
}

impl Past<'_> {
    /// Whether everything that was done so far and must happen before that is ordered before it.
    pub(crate) fn is_ordered(&self, foreseen: &Foreseen<'_>) -> bool {
        let Self { ledger, memory } = *self;
        let &Foreseen { lane, name, reach, after, learnt } = foreseen;
        let spot = match ledger.find(name) {
            Some(Place::Object(object)) => Spot::Object(object),
            Some(Place::Plain(addr)) => Spot::Plain(addr),
            None if name == Ledger::UNMET => Spot::Somewhere,
            None => ledger.address(name).map_or(Spot::New, Spot::Unmet),
        };
        let met = |name| match ledger.find(name) {
            Some(Place::Object(object)) => Some(object),
            Some(Place::Plain(_)) | None => None,
        };
        let source = |&from: &Source<Name>| {
            let from = match from {
                Source::Cell(name) => Source::Cell(met(name)?),
                Source::Exclusive(name) => Source::Exclusive(met(name)?),
                Source::Shared(name) => Source::Shared(met(name)?),
                Source::End(number) => Source::End(number),
            };
            memory.handed_on(from)
        };
        // The lanes are a few bits of a word.
        let lanes = (0..u32::BITS as usize).filter(move |&lane| after.contains(lane));
        let clocks = lanes.map(|lane| memory.known(lane)).chain(learnt.iter().filter_map(source));
        memory.is_ordered(spot, (lane, reach), clocks, |addr| ledger.is_declared(addr))
    }
}

/// What a lane does besides making steps, for the detection of data races in remembered futures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// It touches something.
    Reaches(Name, Reach),
    /// It learns what is handed on there.
    Learns(Source<Name>),
    /// What was handed on there is forgotten.
    Resets(Source<Name>),
    /// It learns without a step at it what is handed on there, or of the end of a lane if the name
    /// is [`Ledger::UNMET`].
    Meets(Name),
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    Lane(usize),
    /// Nothing new can follow.
    Redundant,
    /// The same state was explored elsewhere.
    Remembered,
    /// The execution differs from the earlier one in which the strategy made the same decisions.
    Astray,
}

/// A way to go through the executions: four decisions, and the notifications that a strategy may
/// need for them.
pub(crate) trait Strategy {
    /// An execution begins with this many lanes.
    fn begin(&mut self, lanes: usize);

    /// The lane that runs next, if the search has decided that before and the last execution made
    /// the same steps up to this one and with it. The step then has the option that it had there,
    /// and neither [`Strategy::pick`] nor [`Strategy::option`] is asked.
    fn repeated(&mut self) -> Option<usize> {
        None
    }

    /// Which lane runs next.
    fn pick(&mut self, moment: &Moment<'_>) -> Pick;

    /// Which of several options the access of the picked lane takes; the first is the ordinary one.
    fn option(&mut self, options: &[u32]) -> u32;

    /// Moves on to the next execution.
    fn advance(&mut self) -> Advance;

    /// The last step, or what came before the first, starts a lane with this number, the next free
    /// one. It has a new place, or that of a lane that has ended.
    fn spawned(&mut self, _lane: usize, _number: usize) {}

    /// Whether to offer options by which the next access of `lane` precedes, in the order of
    /// memory, the last change that it could notice, though it comes later in the order of steps.
    fn behind(&self, _lane: usize, _touch: Touch) -> Behind {
        Behind::Offered
    }

    /// Whether the search remembers states, and has use for [`Moment::past`].
    fn remembers(&self) -> bool {
        false
    }

    /// The picked lane has made its step, at an object of this name if there is one and names are
    /// known.
    fn executed(&mut self, _lane: usize, _touch: Touch, _name: Option<Name>, _seat: Seat) {}

    /// A lane did something in the last step or after it. It knows `known` to have happened before
    /// what it does next.
    fn note(&mut self, _lane: usize, _note: Note, _known: &[u32]) {}

    /// The execution was cut off at the limit of steps.
    fn truncated(&mut self) {}

    /// All lanes that the last step started are known, and all remaining lanes have announced what
    /// they want.
    fn stepped(&mut self) {}

    /// The strategy as a search that can be interrupted, if it is one.
    fn resumable(&mut self) -> Option<&mut dyn Resumable> {
        None
    }

    /// The strategy as a search that divides a job, if it is one.
    fn dividing(&self) -> Option<&dyn Dividing> {
        None
    }
}

/// A search whose place between two executions can be saved and resumed from.
pub(crate) trait Resumable {
    /// Where the search is between two executions.
    fn position(&self) -> Position;

    /// The current execution was abandoned half-way and is to be repeated: goes back to where the
    /// search was when it began.
    fn rewind(&mut self);

    /// Whether the execution has reached the point where the search left off. If it ends earlier,
    /// it differs from the interrupted one.
    fn has_caught_up(&self) -> bool;

    /// Whether the execution that just ended repeats one of an earlier bound.
    fn repeats(&self) -> bool;

    /// What the search reports of itself.
    fn outlook(&self) -> Outlook;
}

/// What a search reports of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlook {
    pub(crate) ahead: Ahead,
    /// The preemption bound in force, if there is one.
    pub(crate) bound: Option<u32>,
    /// The steps that changes of priority are spread over, once they are known.
    pub(crate) spread: Option<u32>,
    /// The states that it has remembered.
    pub(crate) states: u64,
}

/// A search that divides a job, asked after each execution.
pub(crate) trait Dividing {
    /// Why the execution that just ended went no further than it did.
    fn frontier(&self) -> Frontier;

    /// The lanes asleep at the last step, before it wakes any, and what their steps touched.
    fn asleep(&self) -> Vec<(usize, Touch)>;
}

/// Where a search that divides a job left an execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Frontier {
    /// It ended by itself.
    #[default]
    Ended,
    /// Only sleeping lanes could run.
    Asleep,
    /// After a step with alternatives; much may follow.
    Open,
}

/// What follows an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Advance {
    /// Another execution.
    Next,
    /// Nothing: all executions were tried.
    Exhausted,
    /// Nothing, though not all were tried.
    Bounded(String),
}
