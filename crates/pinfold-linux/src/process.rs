//! The agent as a process of its own, which is asked by lines.
//!
//! INV-PROCESS-1: every wait for the agent has an end, after which the agent and all that it made
//! is killed. The next request starts another.
//! INV-PROCESS-2: an agent gets the time to put back what it changed, and ends with who asks it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::agent::{Agent, AgentError};
use crate::host;
use crate::job::{Ask, Features, PROTOCOL, Say};

/// The longest line of an answer that a message shows.
const SHOWN: usize = 200;
/// How long an agent may take to end by itself.
const GRACE: Duration = Duration::from_millis(500);

/// What is started, and how long it may take.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file.
    pub path: PathBuf,
    /// Its arguments, with which it calls [`serve`](crate::serve).
    pub arguments: Vec<OsString>,
    /// The longest that it may take to tell what it can do.
    pub start: Duration,
    /// The longest that an answer may take.
    pub answer: Duration,
    /// Whether it does not end with its input, so that it has to be killed.
    pub alone: bool,
}

/// An agent that is another process.
pub struct Process {
    program: Program,
    features: Features,
    /// The plan, for an agent that has to be started anew.
    plan: Option<Ask>,
    running: Option<Running>,
}

struct Running {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Process {
    /// Starts an agent.
    ///
    /// # Errors
    /// When it cannot be started, or is none.
    pub fn start(program: Program) -> Result<Self, AgentError> {
        let features = Features::default();
        let mut process = Self { program, features, plan: None, running: None };
        process.features = process.launch()?;
        Ok(process)
    }

    /// The number of the process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    fn launch(&mut self) -> Result<Features, AgentError> {
        let mut command = Command::new(&self.program.path);
        command.args(&self.program.arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        host::die_with_parent(&mut command);
        let mut child = command.spawn().map_err(|why| AgentError::Start(why.to_string()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(AgentError::Start("it has no input or output".to_owned()));
        };
        let (sender, lines) = channel();
        // Ends with the agent's output.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        self.running = Some(Running { child, input, lines });
        match self.hear(self.program.start)? {
            Say::Ready(features) if features.protocol == PROTOCOL => Ok(*features),
            other => {
                self.end();
                Err(AgentError::Garbled(shown(&format!("{other:?}"))))
            }
        }
    }

    fn hear(&mut self, patience: Duration) -> Result<Say, AgentError> {
        let Some(running) = &self.running else {
            return Err(AgentError::Died("it was ended".to_owned()));
        };
        match running.lines.recv_timeout(patience) {
            Ok(line) => serde_json::from_str(&line).map_err(|_| {
                // What it says next would answer another question.
                self.end();
                AgentError::Garbled(shown(&line))
            }),
            Err(RecvTimeoutError::Timeout) => {
                self.end();
                Err(AgentError::Hangs(patience.as_secs()))
            }
            Err(RecvTimeoutError::Disconnected) => Err(AgentError::Died(self.end())),
        }
    }

    fn tell(&mut self, ask: &Ask) -> Result<Say, AgentError> {
        let line = serde_json::to_string(ask).map_err(|why| AgentError::Start(why.to_string()))?;
        let written = self.running.as_mut().map(|running| writeln!(running.input, "{line}"));
        match written {
            Some(Ok(())) => self.hear(self.program.answer),
            _ => Err(AgentError::Died(self.end())),
        }
    }

    /// Ends the agent, whose own processes end with it: INV-PROCESS-1. Says how it ended.
    fn end(&mut self) -> String {
        let Some(mut running) = self.running.take() else { return "it was ended".to_owned() };
        drop(running.input);
        // An agent that has died is not killed but only reaped.
        let begun = Instant::now();
        let grace = if self.program.alone { Duration::ZERO } else { GRACE };
        loop {
            match running.child.try_wait() {
                Ok(Some(status)) => return status.to_string(),
                Ok(None) if begun.elapsed() < grace => std::thread::sleep(GRACE / 50),
                _ => break,
            }
        }
        let killed = running.child.kill();
        match (killed, running.child.wait()) {
            (Ok(()), Ok(status)) => status.to_string(),
            (Err(why), _) | (_, Err(why)) => why.to_string(),
        }
    }
}

impl Agent for Process {
    fn features(&self) -> &Features {
        &self.features
    }

    fn ask(&mut self, ask: &Ask) -> Result<Say, AgentError> {
        if self.running.is_none() {
            self.launch()?;
            if let Some(plan) = self.plan.clone() {
                self.tell(&plan)?;
            }
        }
        if let Ask::Plan(_) = ask {
            self.plan = Some(ask.clone());
        }
        self.tell(ask)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn shown(line: &str) -> String {
    line.chars().take(SHOWN).collect()
}
