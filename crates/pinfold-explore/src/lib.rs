//! Runs closures on coroutines and tries every meaningful order of their shared accesses.
//!
//! A *subject* builds a fresh world and a few *lanes* (closures that share it) for every execution.
//! Instrumented code announces each shared access through [`hook`]; the explorer decides which lane
//! runs next and, under a weak memory model, which store a load returns. After the lanes have ended
//! the subject judges what they left behind.
//!
//! ```
//! use pinfold_explore::{Config, Completeness, Ending, Judgement, Lanes, Subject, explore, hook};
//! use std::{cell::Cell, rc::Rc};
//!
//! /// Two lanes that each add one to a counter, in two steps.
//! struct LostUpdate;
//!
//! impl Subject for LostUpdate {
//!     type World = Rc<Cell<u64>>;
//!
//!     fn build(&mut self, lanes: &mut Lanes<'_>) -> Self::World {
//!         let counter = Rc::new(Cell::new(0));
//!         for name in ["left", "right"] {
//!             let counter = Rc::clone(&counter);
//!             lanes.lane(name, move || {
//!                 let addr = counter.as_ptr() as usize;
//!                 let seen = hook::load(addr, counter.get(), hook::Order::Relaxed);
//!                 counter.set(hook::store(addr, counter.get(), seen + 1, hook::Order::Relaxed));
//!             });
//!         }
//!         counter
//!     }
//!
//!     fn judge(&mut self, counter: Self::World, _: Ending<'_>) -> Judgement {
//!         Judgement::Pass { outcome: counter.get().to_string() }
//!     }
//! }
//!
//! let report = explore(&mut LostUpdate, &Config::default(), &mut |_| {});
//! assert_eq!(report.complete, Completeness::Exhausted);
//! assert!(report.outcomes.contains_key("1") && report.outcomes.contains_key("2"));
//! ```
//!
//! # How it works
//! * [`hook`]: what instrumented code calls; each call is one step of a lane.
//! * `runner`: coroutines on pooled stacks. One operating-system thread for one exploration;
//!   nothing is shared with others.
//! * `engine`: one execution. A lane announces an access (`op`) before it executes it, so that the
//!   choice of the next lane runs inline and continuing with the same lane costs no switch.
//! * `memory`: what a load may return, under [`Model::Sc`], [`Model::Tso`] or [`Model::Weak`]; the
//!   happens-before order (`clock`), and which accesses are unordered.
//! * `search`: which lane runs next: depth-first with reduction, with a preemption bound, at
//!   random, or by PCT.
//! * `ledger`, [`States`]: what makes two states the same, and the memory of those that were
//!   explored.
//! * `explore`, `shrink`, `replay`: the loop around it, cutting a failure down to few switches, and
//!   replaying it for a trace.
//! * `job`, `split`: dividing a search into parts that other threads, processes or machines can
//!   search; `budget` is the number of executions that they may make together.
//! * `position`: where a search was interrupted, and how it is resumed elsewhere.
//!
//! # The floors
//! A room is a module together with every submodule that has no row of its own. It uses only its
//! own floor and those below, and no file depends on itself through others; `tests/floors.rs` reads
//! the imports and checks both.
//!
//! | floor | rooms | what lives there |
//! | --- | --- | --- |
//! | 0 | `budget`, `clock`, `lane`, `model`, `object`, `order`, `rng`, `schedule`, `stable`, `time` | values independent of each other |
//! | 1 | `op`, `lock`, `watch`, `search::touch`, `search::rule`, `search::ahead` | what an access is to its lane, to a lock and to a search; what interrupts an execution |
//! | 2 | `memory`, `ledger`, `record`, `job`, `position` | what a load may return; what makes two states the same; a trace; parts of a search as text |
//! | 3 | `config`, `report`, `search::future`, `search::states` | what is asked and what was found; the states that were explored |
//! | 4 | `search`, `subject` | which lane runs next; what is explored |
//! | 5 | `engine` | one execution |
//! | 6 | `current` | the engine of this thread |
//! | 7 | [`hook`], `runner` | where lanes call it, and where it resumes them |
//! | 8 | `session` | executions one after another |
//! | 9 | `replay`, `shrink`, `split` | what is done with a few of them |
//! | 10 | `explore` | the loop over all of them |
//!
//! # What a clean, exhausted report means
//! Within the instrumented accesses, no execution that the model allows fails. State that lanes
//! share must be protected by announced locks or by happens-before: announce accesses to it with
//! [`hook::read_plain`] and [`hook::write_plain`], and a data race is a failure. State that lanes
//! share without announcing it is outside this guarantee, and so are the numbers of started lanes
//! and which of several owners is the last ([`hook::hand_over`]).

// The tests' programs and references use the crate's name, and are compiled in here as well.
#[cfg(test)]
extern crate self as pinfold_explore;

mod budget;
mod clock;
mod config;
mod current;
mod engine;
mod explore;
pub mod hook;
mod job;
mod lane;
mod ledger;
mod lock;
mod memory;
mod model;
mod object;
mod op;
mod order;
mod position;
mod record;
mod replay;
mod report;
mod rng;
mod runner;
mod schedule;
mod search;
mod session;
mod shrink;
mod split;
mod stable;
mod subject;
mod time;
mod watch;

pub use budget::Budget;
pub use config::{Config, LockForm, ParseLockFormError, Search};
pub use explore::explore;
pub use job::{Job, ParseJobError};
pub use lane::{Lanes, MAX_LANES};
pub use model::{Model, ParseModelError};
pub use position::{ParsePositionError, Position};
pub use record::{Access, AccessKind};
pub use replay::{Replay, replay};
pub use report::{Completeness, Failure, FailureKind, Length, Progress, Report};
pub use schedule::{Choice, ParseScheduleError, Schedule};
pub use search::{Ahead, States};
pub use split::jobs;
pub use stable::StableHasher;
pub use subject::{Ending, Judgement, Subject};
pub use time::TimeSource;
