//! The laboratory around `pinfold`: a simulated machine, scenarios, oracles, and searches through
//! what a scenario can do.
//!
//! The path of a scenario through the modules:
//!
//! 1. [`scenario`]: its text becomes a tree, or errors that point at the word.
//! 2. `world`: the tree and a rule set become a plan; every execution builds a world from it, a
//!    [`pinfold::Memory`] on a simulated `machine` with its `cpu`s.
//! 3. `step`: each step calls the production memory manager.
//! 4. `oracle` and `claim`: the end of an execution is judged.
//! 5. [`check()`] and [`run()`]: many executions through the explorer, or one; `story` turns one
//!    into lanes and says why it broke.
//! 6. [`campaign`]: a search divided among threads, processes and machines, and in time.
//! 7. [`report`]: the result as data, from which every output derives; `access` puts the shared
//!    accesses of a replay into words.
//! 8. [`saved`]: a failing execution as a file that any machine runs again.
//!
//! [`resolved`] gives a scenario in numbers to those who execute it elsewhere, and
//! [`Prepared::ends`] every end that it can have, to compare with.
//!
//! [`generate`] makes random scenarios, and [`import`] makes them of recordings of programs.
//!
//! [`pressure`] and [`soak`] need none: they have real threads short of memory, and devices at work
//! while pages move.
//!
//! [`SCENARIOS`] are the incidents that ship with the crate, and [`VERDICTS`] is what each release
//! does with them.
//!
//! # Floors
//! A file uses what is on its own floor or below; `tests/floors.rs` reads the imports against this
//! table.
//!
//! | floor | rooms | what lives there |
//! | --- | --- | --- |
//! | 0 | `scenario`, `report`, `hardware`, `folios`, `named`, `workers`, `counted`, `shipped`, `generate` | what is asked and answered, and what needs nothing |
//! | 1 | `import`, `pressure`, `words`, `tlb`, `access`, `about`, `asked`, `waits`, `locks`, `exits`, `carried`, `follower`, `meter`, `contrast` | recordings as scenarios; parts of an execution |
//! | 2 | `journal`, `resolved` | everything that happened in it; a scenario in numbers |
//! | 3 | `record`, `story` | what is always kept of it; what is told of it |
//! | 4 | `machine`, `soak` | the platform under the memory manager; a demo on real threads |
//! | 5 | `cpu`, `files`, `spaces` | loads, stores and faults; files and their disks; address spaces and who is in them |
//! | 6 | `drive` | the swap device |
//! | 7 | `world` | everything of one execution |
//! | 8 | `oracle`, `claim`, `step` | what moves a world and what judges it |
//! | 9 | `check` | many executions, or one |
//! | 10 | `answers`, `campaign`, `saved` | searches shared and divided, and executions kept |
//! | 11 | `history` | what turned a verdict, and what would |

mod about;
mod access;
mod answers;
mod asked;
pub mod campaign;
mod carried;
mod check;
mod claim;
mod contrast;
mod counted;
mod cpu;
mod drive;
mod exits;
mod files;
mod folios;
mod follower;
pub mod generate;
mod hardware;
pub mod history;
pub mod import;
mod journal;
mod locks;
mod machine;
mod meter;
mod named;
mod oracle;
pub mod pressure;
mod record;
pub mod report;
pub mod resolved;
pub mod saved;
pub mod scenario;
mod shipped;
pub mod soak;
mod spaces;
mod step;
mod story;
mod tlb;
mod waits;
mod words;
pub mod workers;
mod world;

pub use answers::Answers;
pub use check::{
    CheckOptions, Detail, Ended, Ends, FAILED, JobProgress, Met, Order, Prepared, Progress, check,
    replay_schedule, run,
};
pub use contrast::{Contrast, Deed, Parting};
pub use pinfold_explore::{
    Ahead, Config, LockForm, Model, Progress as SearchProgress, Search as Strategy,
};
pub use shipped::{SCENARIOS, Shipped, VERDICTS};

// The example of the README is compiled and run with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
