//! Whoever carries trials out, as the controller sees them.

use std::fmt;

use crate::job::{Ask, Features, Say};

/// Carries trials out.
pub trait Agent {
    /// What it can do.
    fn features(&self) -> &Features;

    /// Its answer to a request.
    ///
    /// # Errors
    /// When there is none: it hangs, or has died. It may be asked again, and is as new then.
    fn ask(&mut self, ask: &Ask) -> Result<Say, AgentError>;
}

/// Why an agent does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentError {
    /// It could not be started.
    Start(String),
    /// It did not answer in time, in seconds, and was ended.
    Hangs(u64),
    /// It ended.
    Died(String),
    /// It answered what nobody understands.
    Garbled(String),
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(why) => write!(f, "the agent cannot be started: {why}"),
            Self::Hangs(seconds) => write!(f, "the agent did not answer within {seconds} s"),
            Self::Died(how) => write!(f, "the agent died: {how}"),
            Self::Garbled(line) => write!(f, "the agent's answer is not understood: {line}"),
        }
    }
}

impl std::error::Error for AgentError {}
