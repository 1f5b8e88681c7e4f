//! The agent: the process that carries scenarios out on this kernel.
//!
//! It is a process of its own, with one thread, so that everything it forks is as it expects.

mod act;
mod board;
mod guest;
mod merging;
mod pagemap;
mod pool;
mod ring;
mod scale;
mod scan;
mod serve;
mod stage;
mod swap;
mod sys;
mod wanted;

pub use guest::serve_guest;
pub use serve::serve;
