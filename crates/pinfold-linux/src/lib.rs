//! Pinfold's scenarios on the kernel of this machine, compared with what the model allows.
//!
//! A scenario becomes numbers ([`pinfold_lab::resolved`]); an *agent*, a process of its own,
//! carries it out with real processes, memory, pins and references; what it sees is compared with
//! every end that the model has ([`pinfold_lab::Ends`]). The answer is a word of its own
//! ([`Verdict`]): a kernel never passes, it agrees, stays within, or goes beyond.
//!
//! What is touched: processes that the agent forks, memory that they map, and pipes and rings of
//! io_uring of their own. No setting of the system is changed. Every wait has an end, and what is
//! left then is killed.
//!
//! # Floors
//! A file uses what is on its own floor or below; `tests/floors.rs` reads the imports against this
//! table.
//!
//! | floor | rooms | what lives there |
//! | --- | --- | --- |
//! | 0 | `job`, `kernel`, `order` | what is asked and answered; this kernel; orders of steps |
//! | 1 | `agent`, `fit`, `judge` | who is asked; what cannot be; what an observation is worth |
//! | 2 | `report` | the result as data |
//! | 3 | `controller`, `process` | many trials; the agent as a process |
//! | 4 | `inside` | the agent itself, and all system calls |
#![deny(unsafe_code)]

mod agent;
mod controller;
mod fit;
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod inside;
pub mod job;
mod judge;
mod kernel;
mod order;
mod process;
mod report;

pub use agent::{Agent, AgentError};
pub use controller::{Options, Question, compare, skipped};
pub use fit::Missing;
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
pub use inside::serve;
pub use judge::Outcome;
pub use kernel::{Kernel, release, rules_of};
pub use order::{Orders, Random, orders};
pub use process::Process;
pub use report::{Allowed, Beyond, FORMAT, KernelReport, Layer, Row, Verdict};

/// Tells that nothing can run here, and answers no more.
///
/// # Errors
/// When the output cannot be used.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")))]
pub fn serve(_: impl std::io::BufRead, mut output: impl std::io::Write) -> std::io::Result<()> {
    let unable = Some("the agent is built for Linux on x86-64 with glibc only".to_owned());
    let features = job::Features { protocol: job::PROTOCOL, unable, ..job::Features::default() };
    let line = serde_json::to_string(&job::Say::Ready(features))?;
    writeln!(output, "{line}")?;
    output.flush()
}
