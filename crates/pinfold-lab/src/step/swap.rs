//! Steps that take pages to the swap device and back.

use std::rc::Rc;

use pinfold::{Reclaimed, SwapError};

use super::{Done, Fault};
use crate::scenario::Failure;
use crate::spaces::Inhabited;
use crate::world::World;

impl World {
    /// What became of the pages of a range.
    pub(super) fn paged_out(&self, Reclaimed { freed, kept }: Reclaimed) -> Option<String> {
        self.tell(|| format!("{freed} freed, {kept} kept"))
    }

    /// Brings the pages of all processes back, and takes the device out of use: one after the
    /// other, so that a fork meanwhile may leave something there.
    pub(super) fn swap_off(&self) -> Done {
        let Some(device) = self.swap else {
            return Err(Fault::other("the machine has no `swap`".to_owned()));
        };
        let spaces: Vec<Rc<Inhabited>> =
            self.state.borrow().homes().filter_map(|(.., space)| space.cloned()).collect();
        let mut back = 0;
        for space in spaces {
            back += space.swap_in(device)?;
        }
        match self.memory.swap_off(device) {
            Ok(()) => Ok(self.tell(|| format!("{back} back"))),
            Err(error @ SwapError::InUse { .. }) => {
                self.memory.swap_again(device);
                Err(Fault::of(Failure::Busy, error))
            }
            Err(error) => Err(Fault::other(error.to_string())),
        }
    }
}
