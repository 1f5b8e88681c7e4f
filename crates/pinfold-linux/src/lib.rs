//! Pinfold's scenarios on a real kernel, compared with what the model allows: that of this machine,
//! or another in a virtual machine.
//!
//! A scenario becomes numbers ([`pinfold_lab::resolved`]); an *agent*, a process of its own,
//! carries it out with real processes, memory, pins and references; what it sees is compared with
//! every end that the model has ([`pinfold_lab::Ends`]). The answer is a word of its own
//! ([`Verdict`]): a kernel never passes, it agrees, stays within, or goes beyond.
//!
//! What is touched: processes that the agent forks, memory that they map, and pipes and rings of
//! io_uring of their own. No setting of the system is changed, unless who owns the machine allows
//! it ([`Settings`]). Every wait has an end, and what is left then is killed.
//!
//! # Floors
//! A file uses what is on its own floor or below; `tests/floors.rs` reads the imports against this
//! table.
//!
//! | floor | rooms | what lives there |
//! | --- | --- | --- |
//! | 0 | `job`, `kernel`, `order`, `settings`, `image`, `initial`, `host`, `watch` | what is asked and answered; a kernel's rules; orders of steps; settings of the system; kernels from files; a machine's first files; this process itself; what is asked of userfaultfd |
//! | 1 | `agent`, `fit`, `judge` | who is asked; what cannot be; what an observation is worth |
//! | 2 | `report` | the result as data |
//! | 3 | `controller`, `process` | many trials; the agent as a process |
//! | 4 | `machine` | the agent in a virtual machine |
//! | 5 | `inside` | the agent itself, and all system calls |
#![deny(unsafe_code)]

mod agent;
mod controller;
mod fit;
mod host;
mod image;
mod initial;
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod inside;
pub mod job;
mod judge;
mod kernel;
mod machine;
mod order;
mod process;
mod report;
mod settings;
mod watch;

pub use agent::{Agent, AgentError};
pub use controller::{Options, Question, compare, observe, skipped};
pub use fit::{Missing, missing};
pub use image::ImageError;
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
pub use inside::{serve, serve_guest};
pub use judge::Outcome;
pub use kernel::{Kernel, nodes, rules_of};
pub use machine::{Machine, MachineError};
pub use order::{Orders, Random, orders};
pub use process::{Process, Program};
pub use report::{Allowed, Beyond, FORMAT, KernelReport, Layer, Row, Verdict};
pub use settings::{Given, Settings};

/// Tells that nothing can run here, and answers no more.
///
/// # Errors
/// When the output cannot be used.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")))]
pub fn serve(
    _: impl std::io::BufRead,
    mut output: impl std::io::Write,
    _: Given,
    _: std::time::Duration,
) -> std::io::Result<()> {
    let unable = Some("the agent is built for Linux on x86-64 with glibc only".to_owned());
    let features = job::Features { protocol: job::PROTOCOL, unable, ..job::Features::default() };
    let line = serde_json::to_string(&job::Say::Ready(Box::new(features)))?;
    writeln!(output, "{line}")?;
    output.flush()
}

/// Tells that this is no guest.
///
/// # Errors
/// Always.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")))]
pub fn serve_guest() -> std::io::Result<()> {
    Err(std::io::Error::from(std::io::ErrorKind::Unsupported))
}
