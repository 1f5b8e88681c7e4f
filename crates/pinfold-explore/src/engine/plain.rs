//! What lanes do besides their steps: accesses to plain memory, lifetimes of cells, changes of
//! owner.

use super::Engine;
use crate::{
    memory::{Actor, Life, Plain, Race, Reach},
    object::Object,
    op::Op,
    report::FailureKind,
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
    }

    /// The cells, the locks and the plain memory in `[addr, addr + len)` end, or begin a new
    /// lifetime.
    pub(crate) fn renew(&mut self, addr: usize, len: usize, life: Life) {
        let reach = Reach::Life(life);
        let by = self.actor();
        let objects: Vec<Object> = self.objects.within(addr, len).collect();
        for object in objects {
            let race = self.memory.reach(by, object, reach);
            let race = race.or_else(|| self.announced(object, reach));
            self.check(race, |engine| engine.place(object));
            match life {
                Life::End => self.objects.end(object),
                Life::Renew => self.memory.forget(object),
            }
        }
        let race = match life {
            Life::End => self.memory.end(by, (addr, len)),
            Life::Renew => self.memory.renew(by, (addr, len)),
        };
        self.check(race, |engine| engine.plain_place(addr));
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
