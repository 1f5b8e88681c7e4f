//! What a thread does: loads and stores of its processes and children, and what is done to these.
//!
//! A failing device may refuse any operation that needs a page from it: then nothing was done, and
//! what the thread knows holds on.

use super::board::{Space, locked};
use super::desk::{Desk, Kind, Trouble};
use super::dice::Dice;
use super::files::Which;
use super::plan::CHILDREN;
use super::stamp::{By, Known, Lane};
use super::worker::{Child, Worker};
use super::world::{Process, World, at, part};
use pinfold::{Advice, NodeId, VirtRange};
use std::mem;
use std::sync::{Arc, PoisonError};

/// How often each operation comes, of a hundred thousand. A process lives long enough to have
/// written all its pages. The last ones only where some memory lies below 4 GiB.
const WEIGHTS: [(Kind, u64); 26] = [
    (Kind::Load, 32_300),
    (Kind::Store, 34_000),
    (Kind::ChildLoad, 6_000),
    (Kind::ChildStore, 6_000),
    (Kind::ShortPin, 6_000),
    (Kind::LongPin, 1_000),
    (Kind::Unpin, 900),
    (Kind::Fork, 800),
    (Kind::ChildExit, 500),
    (Kind::HandOver, 40),
    (Kind::Exit, 4),
    (Kind::DontNeed, 100),
    (Kind::Migrate, 1_800),
    (Kind::Scan, 1_056),
    (Kind::FileLoad, 2_500),
    (Kind::FileStore, 1_000),
    (Kind::FileRead, 1_500),
    (Kind::FileWrite, 800),
    (Kind::Sync, 200),
    (Kind::SharedLoad, 1_200),
    (Kind::SharedStore, 1_200),
    (Kind::SharedRead, 300),
    (Kind::SharedWrite, 300),
    (Kind::SharedPin, 500),
    (Kind::TakeLow, 2_000),
    (Kind::GiveLow, 1_900),
];

/// How many of these always come.
const USUAL: usize = 24;

/// Pages of a child that are looked at once more before it exits, all of them at the end.
const LAST_LOOKS: u64 = 16;

/// How often a page is asked for at the end that the device does not give.
const INSISTENCE: u32 = 100;

/// An operation, as often as its weight says.
fn pick(dice: &mut Dice, weights: &[(Kind, u64)]) -> Kind {
    let mut left = dice.roll(weights.iter().map(|(_, weight)| weight).sum());
    for (kind, weight) in weights {
        match left.checked_sub(*weight) {
            Some(rest) => left = rest,
            None => return *kind,
        }
    }
    Kind::Load
}

impl Worker {
    /// Works until all stop; then its children are looked at, and it leaves nothing behind.
    pub(super) fn work(mut self) {
        let weights = if self.world.most_low > 0 { &WEIGHTS[..] } else { &WEIGHTS[..USUAL] };
        while !self.world.stop.is_over() {
            let kind = pick(&mut self.dice, weights);
            let desk = Arc::clone(&self.desk);
            if let Err(Trouble::Other(why)) = desk.carry_out(kind, || self.step(kind)) {
                self.world.unexpected(format!("{}: {why}", kind.name()));
            }
        }
        for held in mem::take(&mut self.held) {
            self.finish(Kind::Unpin, |worker| worker.release(held));
        }
        while !self.low.is_empty() {
            self.finish(Kind::GiveLow, Self::give_last_low);
        }
        for child in mem::take(&mut self.children) {
            let looks = Looks { world: &self.world, desk: &self.desk };
            for page in 0..self.world.pages {
                looks.last(self.number, (&child.space, child.area), &child.known, page);
            }
            self.finish(Kind::ChildExit, |_| {
                drop(child);
                Ok(())
            });
        }
    }

    /// What is left to do at the end.
    fn finish(&mut self, kind: Kind, run: impl FnOnce(&mut Self) -> Result<(), Trouble>) {
        let desk = Arc::clone(&self.desk);
        if let Err(Trouble::Other(why)) = desk.carry_out(kind, || run(self)) {
            self.world.unexpected(format!("{}: {why}", kind.name()));
        }
    }

    pub(super) fn step(&mut self, kind: Kind) -> Result<(), Trouble> {
        match kind {
            Kind::Load => self.load(),
            Kind::Store => self.store(),
            Kind::ChildLoad => self.child_load(),
            Kind::ChildStore => self.child_store(),
            Kind::ShortPin => self.transfer(),
            Kind::LongPin => self.hold(),
            Kind::Unpin => match self.held.is_empty() {
                true => Err(Trouble::Nothing),
                false => {
                    let held = self.dice.roll(self.held.len() as u64) as usize;
                    let held = self.held.swap_remove(held);
                    self.release(held)
                }
            },
            Kind::Fork => self.fork(),
            Kind::ChildExit => self.end_child(),
            Kind::HandOver => self.hand_over(),
            Kind::Exit => self.exit(),
            Kind::DontNeed => self.drop_pages(),
            Kind::Migrate => {
                let node = NodeId(self.dice.roll(2) as u8);
                let pages = self.run_of(16);
                let moved =
                    self.process(|process| process.space.migrate(pages(process.area), node));
                something(moved.moved)
            }
            Kind::Scan => {
                let pages = self.run_of(64);
                let changed = self.process(|process| process.space.numa_scan(pages(process.area)));
                something(changed)
            }
            Kind::FileLoad | Kind::FileRead => self.look_at(Which::File, kind),
            Kind::FileStore | Kind::FileWrite => self.change(Which::File, kind),
            Kind::SharedLoad | Kind::SharedRead => self.look_at(Which::Shared, kind),
            Kind::SharedStore | Kind::SharedWrite => self.change(Which::Shared, kind),
            Kind::SharedPin => self.transfer_shared(),
            Kind::Sync => self.sync(),
            Kind::TakeLow => self.take_low(),
            Kind::GiveLow => self.give_low(),
            // Others do these.
            Kind::Reclaim
            | Kind::Verify
            | Kind::Commands
            | Kind::DeviceRead
            | Kind::Data
            | Kind::ScanAll
            | Kind::Compact
            | Kind::MoveBuffer
            | Kind::PageOut
            | Kind::Merge => Err(Trouble::Nothing),
        }
    }

    /// So many pages from one on, or as many as follow it.
    fn run_of(&mut self, pages: u64) -> impl Fn(VirtRange) -> VirtRange + use<> {
        let first = self.page();
        let count = pages.min(self.world.pages - first);
        move |area| part(area, first, count)
    }

    fn process<T>(&mut self, run: impl FnOnce(&Process) -> T) -> T {
        let seat = self.seat();
        run(&self.seats[seat].read())
    }

    fn load(&mut self) -> Result<(), Trouble> {
        let (seat, page) = (self.seat(), self.page());
        let by = if self.dice.roll(4) == 0 { By::Device } else { By::Cpu };
        let process = self.seats[seat].read();
        let found = self.world.load(&process.space, process.at(page), self.lane(by))?;
        let wanted = locked(&process.known[self.number]).of(page, by);
        self.compare((Kind::Load, page), by, found, wanted);
        // What another thread has just stored is its own affair, but it belongs there.
        let other = Lane { thread: (self.number + 1) % self.world.threads, by };
        let found = self.world.load(&process.space, process.at(page), other)?;
        for word in found.into_iter().filter(|word| !other.may_hold(page, *word)) {
            self.world.compare((&self.desk, Kind::Load), (other, page), [word; 2], 0);
        }
        Ok(())
    }

    fn store(&mut self) -> Result<(), Trouble> {
        let (seat, page) = (self.seat(), self.page());
        let (lane, stamp) = (self.lane(By::Cpu), self.next_stamp(By::Cpu, page));
        let process = self.seats[seat].read();
        self.world.store(&process.space, process.at(page), lane, stamp)?;
        locked(&process.known[self.number]).set(page, By::Cpu, stamp);
        Ok(())
    }

    /// One of the children, if there are any.
    fn child(&mut self) -> Result<usize, Trouble> {
        match self.children.len() as u64 {
            0 => Err(Trouble::Nothing),
            children => Ok(self.dice.roll(children) as usize),
        }
    }

    fn child_load(&mut self) -> Result<(), Trouble> {
        let page = self.page();
        let by = if self.dice.roll(4) == 0 { By::Device } else { By::Cpu };
        let child = self.child()?;
        let child = &self.children[child];
        let found = self.world.load(&child.space, at(child.area, page), self.lane(by))?;
        self.compare((Kind::ChildLoad, page), by, found, child.known.of(page, by));
        Ok(())
    }

    fn child_store(&mut self) -> Result<(), Trouble> {
        let page = self.page();
        let child = self.child()?;
        let (lane, stamp) = (self.lane(By::Cpu), self.next_stamp(By::Cpu, page));
        let child = &mut self.children[child];
        self.world.store(&child.space, at(child.area, page), lane, stamp)?;
        child.known.set(page, By::Cpu, stamp);
        Ok(())
    }

    /// A child that this thread alone knows: it has what the thread knew when it forked.
    fn fork(&mut self) -> Result<(), Trouble> {
        if self.children.len() == CHILDREN {
            self.end_child()?;
        }
        let seat = self.seat();
        let process = self.seats[seat].read();
        let space = process.space.fork()?;
        let known = locked(&process.known[self.number]).clone();
        let area = process.area;
        drop(process);
        self.children.push(Child { space, area, known });
        Ok(())
    }

    /// Looks at some of the pages of the oldest child, which exits; not if the device refuses one:
    /// a child that was not looked at stays.
    fn end_child(&mut self) -> Result<(), Trouble> {
        for _ in 0..LAST_LOOKS {
            let page = self.page();
            let child = self.children.first().ok_or(Trouble::Nothing)?;
            let found = self.world.load(&child.space, at(child.area, page), self.lane(By::Cpu))?;
            self.compare((Kind::ChildExit, page), By::Cpu, found, child.known.of(page, By::Cpu));
        }
        drop(self.children.remove(0));
        Ok(())
    }

    /// The child has all that any thread knows of its parent, which exits.
    fn hand_over(&mut self) -> Result<(), Trouble> {
        let seat = self.seat();
        let mut process = self.seats[seat].write();
        let child = process.space.fork()?;
        let parent = mem::replace(&mut process.space, child);
        process.generation = self.world.next_generation();
        drop(process);
        drop(parent);
        Ok(())
    }

    fn exit(&mut self) -> Result<(), Trouble> {
        let seat = self.seat();
        let fresh = self.world.begin()?;
        let old = mem::replace(&mut *self.seats[seat].write(), fresh);
        drop(old);
        Ok(())
    }

    fn drop_pages(&mut self) -> Result<(), Trouble> {
        let (seat, first) = (self.seat(), self.page());
        let count = 16.min(self.world.pages - first);
        let mut process = self.seats[seat].write();
        process.space.advise(part(process.area, first, count), Advice::DontNeed)?;
        process.generation = self.world.next_generation();
        for known in &mut process.known {
            let known = known.get_mut().unwrap_or_else(PoisonError::into_inner);
            known.forget(first..first + count);
        }
        Ok(())
    }
}

/// Whether something came of it.
fn something(count: u64) -> Result<(), Trouble> {
    (count > 0).then_some(()).ok_or(Trouble::Nothing)
}

/// A last look at something, however often a device refuses it.
pub(super) fn insisting<T>(
    desk: &Desk,
    look: impl Fn() -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let mut looked = desk.carry_out(Kind::Verify, &look);
    for _ in 0..INSISTENCE {
        if looked.is_ok() {
            break;
        }
        looked = desk.carry_out(Kind::Verify, &look);
    }
    looked
}

/// The last look at pages, by whoever has a CPU.
pub(super) struct Looks<'w> {
    pub(super) world: &'w World,
    pub(super) desk: &'w Desk,
}

impl Looks<'_> {
    /// Both lanes of a thread in a page, however often the device refuses it.
    pub(super) fn last(
        &self,
        thread: usize,
        (space, area): (&Space, VirtRange),
        known: &Known,
        page: u64,
    ) {
        for by in [By::Cpu, By::Device] {
            let lane = Lane { thread, by };
            let load = || self.world.load(space, at(area, page), lane);
            match insisting(self.desk, load) {
                Ok(found) => {
                    let found_by = (self.desk, Kind::Verify);
                    self.world.compare(found_by, (lane, page), found, known.of(page, by));
                }
                Err(why) => self.world.unexpected(format!("page {page} is lost: {why}")),
            }
        }
    }
}
