//! What lanes do besides their steps: accesses to plain memory, lifetimes of cells, changes of
//! owner.

use super::{Engine, roster::Sight};
use crate::{
    ledger::{Ledger, Name},
    memory::{Actor, Life, Plain, Race, Reach, Source},
    object::{Kind, Object},
    op::Op,
    report::FailureKind,
    search::Note,
};

impl Engine {
    /// The running lane as the author of something that it does now.
    pub(super) fn actor(&self) -> Actor {
        Actor { lane: self.current, number: self.number(), step: self.steps() }
    }

    pub(crate) fn hand_over(&mut self, id: usize) {
        let id = self.lock(id);
        self.memory.hand_over(self.current, id);
    }

    pub(crate) fn take_over(&mut self, id: usize) {
        let id = self.lock(id);
        self.memory.take_over(self.current, id);
        self.note_object(id, |name| Note::Learns(Source::Exclusive(name)));
        self.note_object(id, |name| Note::Learns(Source::Shared(name)));
        self.note_object(id, Note::Meets);
    }

    /// Whether the search remembers states.
    pub(crate) fn remembers(&self) -> bool {
        self.ledger.is_some()
    }

    /// The running lane saw something outside the announced accesses.
    pub(crate) fn saw(&mut self, value: u64) {
        if let Some(ledger) = &mut self.ledger {
            ledger.saw(self.current, value);
        }
    }

    /// The running lane has written plain memory, which holds what `value` stands for.
    pub(crate) fn plain_holds(&mut self, addr: usize, value: u64) {
        if let Some(ledger) = &mut self.ledger {
            ledger.settles(self.current, addr, value);
        }
    }

    /// The running lane will look at no more than a class of the result of its next access, and
    /// tell which it was.
    pub(crate) fn looks_at_class(&mut self) {
        self.roster.berths[self.current].sight = Sight::Class;
    }

    /// The objects of `[addr, addr + len)` belong together. `alone` is whether no lane runs.
    pub(crate) fn declare(&mut self, alone: bool, addr: usize, len: usize) {
        if let Some(ledger) = &mut self.ledger {
            ledger.declare((!alone).then_some(self.current), addr, len);
        }
    }

    /// The running lane has the cell at `addr` to itself, which holds `now`, and sets it.
    pub(crate) fn init(&mut self, addr: usize, len: usize, [now, value]: [u64; 2]) {
        // It is met here: numbers must not depend on whether states are remembered.
        let cell = self.cell(addr, now);
        self.renew(addr, len, Life::Renew);
        if let Some(ledger) = &mut self.ledger {
            ledger.holds(cell, value);
        }
    }

    /// The cells, the locks and the plain memory in `[addr, addr + len)` end, or begin a new
    /// lifetime.
    pub(crate) fn renew(&mut self, addr: usize, len: usize, life: Life) {
        let reach = Reach::Life(life);
        let by = self.actor();
        let mut objects = std::mem::take(&mut self.touched);
        objects.extend(self.objects.within(addr, len));
        // A single cell that was met, perhaps with a lock at the same place, is all that there is.
        let here = |&object: &Object| self.objects.place(object) == (Kind::Cell, Some(addr));
        let alone = len <= size_of::<u64>() && objects.iter().any(here);
        for &object in &objects {
            self.note_object(object, |name| Note::Reaches(name, reach));
            let race = self.memory.reach(by, object, reach);
            let race = race.or_else(|| self.announced(object, reach));
            self.check(race, |engine| engine.place(object));
            match life {
                Life::End => self.objects.end(object),
                Life::Renew => self.memory.forget(object),
            }
            self.note_reset(object);
            if let Some(ledger) = &mut self.ledger {
                match (life, self.objects.place(object)) {
                    (Life::End, _) => ledger.ends(object),
                    (Life::Renew, (Kind::Cell, _)) => ledger.renews(self.current, object),
                    (Life::Renew, (Kind::Lock, _)) => {}
                }
            }
        }
        objects.clear();
        self.touched = objects;
        self.note_range((addr, len), alone, life);
        let race = match life {
            Life::End => self.memory.end(by, (addr, len)),
            Life::Renew => self.memory.renew(by, (addr, len)),
        };
        self.check(race, |engine| engine.plain_place(addr));
    }

    /// What the object handed on is forgotten.
    fn note_reset(&mut self, object: Object) {
        let (kind, _) = self.objects.place(object);
        let sources: &[fn(Name) -> Source<Name>] = match kind {
            Kind::Cell => &[Source::Cell],
            Kind::Lock => &[Source::Exclusive, Source::Shared],
        };
        for source in sources {
            self.note_object(object, |name| Note::Resets(source(name)));
        }
    }

    /// Enters the life of a range, beyond that of the objects in it. `alone` is whether it has a
    /// single cell, which was met.
    fn note_range(&mut self, (addr, len): (usize, usize), alone: bool, life: Life) {
        let Some(ledger) = &mut self.ledger else { return };
        let mut notes = Vec::new();
        match life {
            Life::Renew if alone => {}
            Life::Renew => {
                ledger.renews_range(self.current, addr, len);
                notes.push(Note::Reaches(Ledger::UNMET, Reach::Life(life)));
            }
            Life::End => {
                if !alone {
                    notes.push(Note::Reaches(Ledger::UNMET, Reach::Life(life)));
                }
                let ended = ledger.ends_range(addr, len);
                notes.extend(ended.into_iter().map(|name| Note::Reaches(name, Reach::Life(life))));
            }
        }
        notes.into_iter().for_each(|note| self.note(note));
    }

    /// The race with a lane that has announced an access to the object, if there is one: that lane
    /// does nothing before the access that could order it after what the running lane does to the
    /// object.
    fn announced(&self, object: Object, reach: Reach) -> Option<Race> {
        let berths = self.roster.berths.iter().enumerate();
        let accesses = |op: &Op| op.object() == Some(object);
        let mut others = berths.filter(|&(place, berth)| {
            place != self.current && berth.pending.as_ref().is_some_and(accesses)
        });
        let (_, other) = others.next()?;
        Some(Race::with_announced(other.number, self.steps(), reach))
    }

    /// The running lane touches plain memory.
    pub(crate) fn touch_plain(&mut self, addr: usize, access: Plain) {
        if let Some(ledger) = &mut self.ledger {
            let name = ledger.touches_plain(self.current, addr, access);
            self.note(Note::Reaches(name, Reach::Plain(access)));
        }
        let race = self.memory.reach_plain(self.actor(), addr, access);
        self.check(race, |engine| engine.plain_place(addr));
    }

    /// A race ends the execution as soon as the running lane has reached its next access.
    pub(super) fn check(&mut self, race: Option<Race>, place: impl FnOnce(&Self) -> String) {
        if let Some(race) = race {
            let lane = self.roster.name_at(self.current);
            let message = race.tell(lane, self.roster.name(race.other), &place(self));
            self.end_failed(FailureKind::DataRace, message);
        }
    }

    /// The name of plain memory. Without a label there is no name that is the same in every run.
    fn plain_place(&self, addr: usize) -> String {
        let name = self.recorder.as_ref().and_then(|recorder| recorder.name_at(addr));
        name.unwrap_or_else(|| "plain memory".to_owned())
    }
}
