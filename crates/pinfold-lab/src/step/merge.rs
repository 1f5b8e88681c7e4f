//! The step that merges equal pages.

use std::rc::Rc;

use pinfold::{Merger, Scanned};

use super::{Done, Fault};
use crate::counted::counted;
use crate::machine::Machine;
use crate::spaces::Inhabited;
use crate::world::World;

impl World {
    /// Looks at so many pages, or at those up to the end of a pass, of all processes.
    pub(super) fn merge(&self, pages: Option<u32>) -> Done {
        let merger = self.merger();
        let spaces: Vec<Rc<Inhabited>> =
            self.state.borrow().homes().filter_map(|(.., space)| space.cloned()).collect();
        for space in spaces {
            merger.add(&space).map_err(|error| Fault::other(error.to_string()))?;
        }
        let most = pages.map_or(u64::MAX, u64::from);
        let scanned = merger.scan(most).map_err(|error| Fault::other(error.to_string()))?;
        Ok(self.tell(|| {
            let Scanned { pages, merged, .. } = scanned;
            format!("{} looked at, {merged} merged", counted(pages, "page", "pages"))
        }))
    }

    /// The machine's merger, which is there before the lanes start if a step needs it: what a lane
    /// made would lie elsewhere in each execution.
    pub(crate) fn merger(&self) -> Rc<Merger<Machine>> {
        let mut state = self.state.borrow_mut();
        let new = || {
            let merger = Rc::new(Merger::new(&self.memory));
            merger.label();
            merger
        };
        state.merger.get_or_insert_with(new).clone()
    }
}
