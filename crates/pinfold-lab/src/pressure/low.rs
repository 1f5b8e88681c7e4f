//! Runs of frames below 4 GiB that a thread's device has for itself: taken while memory is short,
//! so that pages which lie there have to leave, and given back.

use super::board::{Board, LOW_END};
use super::desk::Trouble;
use super::worker::{LowRun, Worker};
use super::world::World;
use pinfold::{NewFrames, NodeId, Pfn, Placement, Zone};

/// Orders of the runs: below this.
const ORDERS: u64 = 3;

/// Words of a frame that the device writes: at both ends.
const WRITTEN: [usize; 2] = [0, 511];

impl LowRun {
    fn pfns(&self) -> impl Iterator<Item = Pfn> + use<> {
        (self.first.0..self.first.0 + self.frames).map(Pfn)
    }

    fn write(&self, board: &Board) {
        for pfn in self.pfns() {
            WRITTEN.iter().for_each(|word| board.store_word(pfn, *word, self.stamp ^ pfn.0));
        }
    }

    /// Whether what was written there is still there.
    fn is_whole(&self, board: &Board) -> bool {
        let has = |pfn: Pfn, word: &usize| board.load_word(pfn, *word) == self.stamp ^ pfn.0;
        self.pfns().all(|pfn| WRITTEN.iter().all(|word| has(pfn, word)))
    }
}

impl Worker {
    /// Takes a run, as a driver does that can wait, if the thread has few enough.
    ///
    /// # Errors
    /// When nothing below 4 GiB can leave, as by a kernel without an OOM killer.
    pub(super) fn take_low(&mut self) -> Result<(), Trouble> {
        let held: u64 = self.low.iter().map(|run| run.frames).sum();
        if held >= self.world.most_low {
            return Err(Trouble::Nothing);
        }
        let order = self.dice.roll(ORDERS) as u32;
        let world = self.world.clone();
        let near = Placement::Only(NodeId(0));
        let taken = world.memory.take_run(order, near, Zone::Low32).map_err(|_| Trouble::Frames)?;
        self.taken = self.taken.wrapping_add(1);
        let stamp = (self.number as u64 + 1) << 48 | self.taken;
        let run = LowRun { first: taken.first(), frames: 1 << order, stamp };
        if run.pfns().any(|pfn| pfn.0 >= LOW_END) {
            return Err(Trouble::Other(format!("a run from {} is not low", run.first)));
        }
        run.write(world.board());
        taken.keep();
        self.low.push(run);
        Ok(())
    }

    /// Gives one back.
    ///
    /// # Errors
    /// When there is none, or another has written there.
    pub(super) fn give_low(&mut self) -> Result<(), Trouble> {
        if self.low.is_empty() {
            return Err(Trouble::Nothing);
        }
        let at = self.dice.roll(self.low.len() as u64) as usize;
        let run = self.low.swap_remove(at);
        give_back(&self.world, &run)
    }

    /// Gives the last one back, at the end.
    pub(super) fn give_last_low(&mut self) -> Result<(), Trouble> {
        self.low.pop().map_or(Err(Trouble::Nothing), |run| give_back(&self.world, &run))
    }
}

fn give_back(world: &World, run: &LowRun) -> Result<(), Trouble> {
    let whole = run.is_whole(world.board());
    // SAFETY: `take_low` took and kept it, and whoever has the run gives it back once.
    drop(unsafe { NewFrames::kept(world.memory.frames(), run.first) });
    match whole {
        true => Ok(()),
        false => Err(Trouble::Other(format!("others wrote to a device's run from {}", run.first))),
    }
}
