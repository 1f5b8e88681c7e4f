//! Looks at a cell in a future that were given no older store to read, because the last change
//! there was not ordered before them: what may be seen before that change is seen where the look
//! comes before it.
//!
//! INV-WITHHELD-1: what lanes know at a state decides nothing about such a look, as long as the
//! last change there is not ordered before it either. What may come before the look is therefore
//! kept: at least what does so in any execution of the future.
//! INV-WITHHELD-2: looks are about a change before the state. One after it is the same whatever
//! the past, as all that lies between the two is a part of the future.

use super::sets::{Bound, Marks, raise};
use crate::search::Rule;

/// A look of a lane; several of the same event are one.
#[derive(Clone, Debug)]
pub(in crate::search) struct Withheld {
    /// The number of the event.
    pub(in crate::search) event: u32,
    /// The number of the cell.
    pub(in crate::search) place: u32,
    /// The number that it is marked with if what is known at the state decides about it after all.
    pub(in crate::search) mark: usize,
    /// At most how many steps of each lane it comes after.
    pub(in crate::search) most: Bound,
    /// The numbers of all that may have been done somewhere before it, after the state.
    pub(in crate::search) may: Marks,
}

/// Looks by number of the event.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks(Vec<Withheld>);

impl Looks {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Withheld> {
        self.0.iter()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn add(&mut self, new: Withheld) {
        match self.0.binary_search_by_key(&new.event, |known| known.event) {
            Ok(at) => {
                raise(&mut self.0[at].most, &new.most);
                self.0[at].may.join(&new.may);
            }
            Err(at) => self.0.insert(at, new),
        }
    }

    pub(super) fn join(&mut self, other: Self) {
        if self.0.is_empty() {
            self.0 = other.0;
        } else {
            other.0.into_iter().for_each(|new| self.add(new));
        }
    }

    /// The place is changed first.
    pub(super) fn begin_with_change(&mut self, place: u32) {
        self.0.retain(|look| look.place != place);
    }

    /// A lane does something somewhere first, in a step with this number among its own.
    pub(super) fn begin_with(&mut self, lane: usize, step: u16, deed: usize) {
        for look in self.0.iter_mut().filter(|look| look.most[lane] >= step) {
            look.may.insert(deed);
        }
    }

    /// A lane sees the end of another first, in a step with this number among its own. What that
    /// ended lane did is not kept: what is known at the state decides about what may come later.
    pub(super) fn begin_with_join(&mut self, lane: usize, step: u16, touches: &mut Marks) {
        self.0.retain(|look| {
            let is_later = look.most[lane] >= step && Rule::WithheldBeforeJoins.holds();
            if is_later {
                touches.insert(look.mark);
            }
            !is_later
        });
    }
}
