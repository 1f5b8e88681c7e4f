//! The step that tells the balancer of a process the time.
//!
//! Protocol: each address space of a scenario that has such a step has a balancer, made with it,
//! and so the lanes do not make it at different places. The clock is the scenario's: lanes whose
//! order nothing decides may say times in any order, as tasks do that were delayed.

use pinfold::HintScan;

use super::{Done, Fault};
use crate::counted::counted;
use crate::scenario::Ticked;
use crate::world::World;

impl World {
    /// A tick of the process's balancer.
    pub(super) fn tick(&self, process: &str, now: u32, expect: Option<Ticked>) -> Done {
        let (space, users) = (self.live(process)?, self.users(process));
        let Some(balancer) = space.balancer() else {
            return Err(Fault::other("the address space has no balancer".to_owned()));
        };
        let scan = balancer.tick(u64::from(now), users);
        let scan = scan.map_err(|error| Fault::other(error.to_string()))?;
        let came = if scan.is_some() { Ticked::Scan } else { Ticked::Rest };
        if let Some(expected) = expect.filter(|expected| *expected != came) {
            let period = balancer.stats().period;
            return Err(Fault::other(format!(
                "what came of the tick is `{came}`, and not `{expected}`: the period is {period}"
            )));
        }
        Ok(self.tell(|| match scan {
            Some(HintScan { pages, updated, .. }) => {
                let (pages, period) = (counted(pages, "page", "pages"), balancer.stats().period);
                format!("scanned {pages}, {updated} made protnone, period {period}")
            }
            None => "no scan".to_owned(),
        }))
    }
}
