//! An agent in a virtual machine: QEMU starts the kernel with this program as its first process.
//!
//! The machine has two nodes with a CPU each, no disk and no network. Its first serial line is the
//! kernel's; requests and answers go over the second, so that no message of the kernel mixes with
//! them. CPUs are emulated: no privilege is needed, and a machine may itself be a virtual one. The
//! emulated CPU has no `cmpxchg16b`: version 7.2 of QEMU carries it out wrongly, and kernels from
//! 6.12 on use it where it is announced.
//!
//! INV-MACHINE-VM-1: what is made on this machine is a directory for temporary files, which is
//! removed, and one process, which ends with this one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::agent::{Agent, AgentError};
use crate::host;
use crate::image::{self, ImageError};
use crate::initial::{self, LIBRARIES};
use crate::job::{Ask, Features, Say};
use crate::process::{Process, Program};

/// The emulator.
const QEMU: &str = "qemu-system-x86_64";
/// The longest that a machine takes to start. Emulated and on a busy computer it needs many times
/// the few seconds that it takes otherwise.
const BOOT: Duration = Duration::from_secs(180);
/// The longest that it takes for an answer.
const ANSWER: Duration = Duration::from_secs(300);
/// The lines of the kernel's last messages that an error shows.
const SHOWN: usize = 6;

/// Why no machine runs.
#[derive(Debug)]
pub enum MachineError {
    /// The kernel cannot be had from its file.
    Image(ImageError),
    /// There is no emulator, or no place for temporary files.
    Unavailable(String),
    /// The machine does not answer.
    Agent(AgentError),
}

impl std::fmt::Display for MachineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Image(why) => why.fmt(f),
            Self::Unavailable(why) => f.write_str(why),
            Self::Agent(why) => write!(f, "in the virtual machine: {why}"),
        }
    }
}

impl std::error::Error for MachineError {}

/// A directory that is removed with everything in it.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is the system's to remove, as everything temporary is.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Scratch {
    fn new() -> io::Result<Self> {
        let own = std::process::id();
        for attempt in 0..1000 {
            let path = std::env::temp_dir().join(format!("pinfold-{own}-{attempt}"));
            match fs::create_dir(&path) {
                Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self(path)),
            }
        }
        Err(io::Error::from(io::ErrorKind::AlreadyExists))
    }
}

/// An agent in a virtual machine.
pub struct Machine {
    process: Process,
    console: PathBuf,
    // Dropped after the process that uses it.
    _scratch: Scratch,
}

impl Machine {
    /// Starts the kernel in `image` with a program that calls
    /// [`serve_guest`](crate::serve_guest) when it gets the argument `role`.
    ///
    /// # Errors
    /// See [`MachineError`].
    pub fn boot(image: &Path, program: &Path, role: &str) -> Result<Self, MachineError> {
        let kernel = image::kernel(image).map_err(MachineError::Image)?;
        is_there()?;
        let unable =
            |what: &str, why: io::Error| MachineError::Unavailable(format!("{what}: {why}"));
        let files = initial::files(program, &host::libraries())
            .map_err(|why| unable("the first files of the machine", why))?;
        let scratch = Scratch::new().map_err(|why| unable("temporary files", why))?;
        let [image, first, console] = ["kernel", "files", "console"].map(|it| scratch.0.join(it));
        fs::write(&image, kernel)
            .and_then(|()| fs::write(&first, files))
            .map_err(|why| unable("temporary files", why))?;
        let arguments = arguments(&image, &first, &console, role);
        let program =
            Program { path: QEMU.into(), arguments, start: BOOT, answer: ANSWER, alone: true };
        match Process::start(program) {
            Ok(process) => Ok(Self { process, console, _scratch: scratch }),
            Err(why) => Err(MachineError::Agent(with_console(why, &console))),
        }
    }
}

/// Whether the emulator can be started.
fn is_there() -> Result<(), MachineError> {
    let asked = Command::new(QEMU).arg("--version").output();
    match asked {
        Ok(answer) if answer.status.success() => Ok(()),
        Ok(answer) => Err(MachineError::Unavailable(format!("{QEMU}: {}", answer.status))),
        Err(why) => Err(MachineError::Unavailable(format!(
            "{QEMU} does not start ({why}); Debian has it in the package qemu-system-x86"
        ))),
    }
}

fn arguments(kernel: &Path, first: &Path, console: &Path, role: &str) -> Vec<std::ffi::OsString> {
    // A kernel that has found a fault of its own ends the machine: what it does then is no answer.
    // Nor is it a fault of its timer when a busy computer does not let it tick in time.
    let line = format!(
        "console=ttyS0 panic=-1 oops=panic mitigations=off no_timer_check \
         LD_LIBRARY_PATH={LIBRARIES} -- {role}"
    );
    let mut all: Vec<std::ffi::OsString> = [
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        "qemu64,-cx16",
        "-smp",
        "2,sockets=2",
        "-m",
        "512",
        "-object",
        "memory-backend-ram,size=256M,id=m0",
        "-numa",
        "node,nodeid=0,cpus=0,memdev=m0",
        "-object",
        "memory-backend-ram,size=256M,id=m1",
        "-numa",
        "node,nodeid=1,cpus=1,memdev=m1",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-chardev",
        "stdio,id=agent,signal=off",
    ]
    .map(Into::into)
    .into();
    let mut file = std::ffi::OsString::from("file,id=console,path=");
    file.push(console);
    all.extend(["-chardev".into(), file]);
    all.extend(["-serial", "chardev:console", "-serial", "chardev:agent"].map(Into::into));
    all.extend(["-kernel".into(), kernel.into(), "-initrd".into(), first.into()]);
    all.extend(["-append".into(), line.into()]);
    all
}

/// An error with the last messages of the kernel.
fn with_console(error: AgentError, console: &Path) -> AgentError {
    let text = fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let fault = lines.iter().position(|line| FAULTS.iter().any(|fault| line.contains(fault)));
    let from = fault.unwrap_or_else(|| lines.len().saturating_sub(SHOWN));
    let told = lines[from..].iter().take(SHOWN).copied().collect::<Vec<_>>().join(" | ");
    match error {
        AgentError::Died(how) if !told.is_empty() => AgentError::Died(format!("{how}; {told}")),
        AgentError::Hangs(seconds) if !told.is_empty() => {
            AgentError::Died(format!("no answer within {seconds} s; {told}"))
        }
        other => other,
    }
}

/// How messages of a kernel about its own faults begin.
const FAULTS: [&str; 4] = ["BUG: ", "Oops", "general protection fault", "Kernel panic"];

impl Agent for Machine {
    fn features(&self) -> &Features {
        self.process.features()
    }

    fn ask(&mut self, ask: &Ask) -> Result<Say, AgentError> {
        self.process.ask(ask).map_err(|why| with_console(why, &self.console))
    }
}

#[cfg(test)]
mod tests {
    use super::{Scratch, arguments, with_console};
    use crate::agent::AgentError;

    #[test]
    fn an_error_shows_what_the_kernel_said_of_itself() {
        let scratch = Scratch::new().expect("a directory");
        let console = scratch.0.join("console");
        let noise = "noise\n".repeat(20);
        std::fs::write(&console, format!("{noise}BUG: bad page\nmore\n{noise}")).expect("a file");
        let told = with_console(AgentError::Died("exit".to_owned()), &console).to_string();
        assert!(told.contains("exit; BUG: bad page | more | noise"), "{told}");
        let path = scratch.0.clone();
        drop(scratch);
        assert!(!path.exists());
        let silent = with_console(AgentError::Died("exit".to_owned()), &console);
        assert_eq!(silent, AgentError::Died("exit".to_owned()));
    }

    #[test]
    fn the_first_process_is_told_its_role() {
        let all = arguments("k".as_ref(), "f".as_ref(), "c".as_ref(), "guest");
        let line = all.last().and_then(|line| line.to_str()).expect("a line");
        assert!(line.ends_with("-- guest"), "{line}");
        assert!(all.iter().all(|word| word != "-nic" && word != "-drive"));
    }
}
