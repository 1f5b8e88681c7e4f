//! The strategy that a configuration asks for.

use super::{
    Dpor, Naive, Strategy,
    random::{Pct, Random},
};
use crate::{
    config::{Config, Search},
    job::Range,
    position::Stand,
};

/// A strategy at the start of its search or job, or where it left off.
pub(crate) fn strategy(config: &Config) -> Box<dyn Strategy> {
    let stand = config.resume.as_ref().map(|position| &position.0);
    match config.search {
        Search::Exhaustive { preemptions: None } => {
            let mut search = config.job.as_ref().map_or_else(Dpor::default, Dpor::within);
            if let Some(Stand::Reduced { trail, branches }) = stand {
                search.resume(*trail, branches);
            }
            if let Some(states) = config.states.as_ref() {
                search.remember(states);
            }
            Box::new(search)
        }
        Search::Exhaustive { preemptions: Some(bound) } => {
            let mut search = Naive::new(bound);
            if let Some(Stand::Bounded(stand)) = stand {
                search.resume(stand);
            }
            Box::new(search)
        }
        Search::Random { seed, runs } => {
            let Range { first, count, .. } = config.runs(runs);
            let mut search = Random::new(seed, first, count);
            if let Some(Stand::Random { run, .. }) = stand {
                search.resume(*run);
            }
            Box::new(search)
        }
        Search::Pct { depth, seed, runs } => {
            let Range { first, count, length } = config.runs(runs);
            let mut search = Pct::new(depth, seed, first, count, length);
            if let Some(Stand::Pct { run, length, .. }) = stand {
                search.resume(*run, *length);
            }
            Box::new(search)
        }
    }
}
