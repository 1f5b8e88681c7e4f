//! Steps that take pages to the swap device and back.

use std::rc::Rc;

use pinfold::{Reclaimed, SwapError};

use super::{Done, Fault};
use crate::scenario::Failure;
use crate::spaces::Inhabited;
use crate::world::World;

/// How often swapoff goes through the processes.
const ROUNDS: u32 = 4;

impl World {
    /// What became of the pages of a range.
    pub(super) fn paged_out(&self, Reclaimed { freed, kept }: Reclaimed) -> Option<String> {
        self.tell(|| format!("{freed} freed, {kept} kept"))
    }

    /// Brings the pages of all processes and files back, one after the other, and takes the device
    /// out of use; once more, if a fork or a swap-out meanwhile has left something there, which
    /// nothing does any more once that was tried.
    pub(super) fn swap_off(&self) -> Done {
        let Some(device) = self.swap else {
            return Err(Fault::other("the machine has no `swap`".to_owned()));
        };
        let (mut back, mut round) = (0, 0);
        loop {
            let spaces: Vec<Rc<Inhabited>> =
                self.state.borrow().homes().filter_map(|(.., space)| space.cloned()).collect();
            for space in spaces {
                back += space.swap_in(device).inspect_err(|_| self.memory.swap_again(device))?;
            }
            let files: Vec<_> =
                self.state.borrow().files.iter().map(|named| named.file.clone()).collect();
            for file in files {
                back += file.swap_in(device).inspect_err(|_| self.memory.swap_again(device))?;
            }
            round += 1;
            match self.memory.swap_off(device) {
                Ok(()) => return Ok(self.tell(|| format!("{back} back"))),
                Err(SwapError::InUse { .. } | SwapError::Leaving) if round < ROUNDS => {}
                Err(error @ (SwapError::InUse { .. } | SwapError::Leaving)) => {
                    self.memory.swap_again(device);
                    return Err(Fault::of(Failure::Busy, error));
                }
                Err(error) => return Err(Fault::other(error.to_string())),
            }
        }
    }
}
