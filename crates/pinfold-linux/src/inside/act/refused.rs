//! Why an access or a call was refused, in the words of the language.

use pinfold_lab::scenario::{Access, Failure};

use super::Cast;
use crate::fit;
use crate::inside::sys::{self, Refused};

impl Cast {
    /// A refused access in the words of the language. SIGBUS is for a page that a file does not
    /// have, or the pool of huge pages: no plan that runs here has both.
    pub(super) fn failure(&self, how: Refused) -> Failure {
        match how {
            Refused::NoAccess => Failure::NoAccess,
            Refused::PastEnd if fit::has_pool(&self.plan) => Failure::NoHugePage,
            Refused::PastEnd => Failure::PastEnd,
        }
    }

    /// Why a call was refused that accesses so many pages one after another, and has one number for
    /// every reason: each is accessed as it did, up to the one at which it ended.
    pub(super) fn refusal(&self, start: u64, pages: u32, access: Access) -> Failure {
        let refused = (0..pages).find_map(|page| {
            let at = self.scale.page(start, page);
            match access {
                Access::Read => sys::load(at).err(),
                Access::Write => sys::touch(at).err(),
            }
        });
        refused.map_or(Failure::NoAccess, |how| self.failure(how))
    }
}
