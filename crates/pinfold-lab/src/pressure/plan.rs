//! What is asked for, and whether it can be done.

use super::board::NODES;
use super::stamp::{MOST_PAGES, MOST_THREADS};
use pinfold::Rules;
use std::fmt;
use std::fs::File;
use std::io;
use std::time::Duration;

/// How many times the machine's memory all processes have together.
pub(super) const OVER: u64 = 3;

/// The least frames: below that a table more or less decides.
const LEAST_FRAMES: u64 = 256;

/// The most frames: 4 GiB.
const MOST_FRAMES: u64 = 1 << 20;

const _: () = assert!((OVER + 2) * MOST_FRAMES < MOST_PAGES, "stamps can name all pages");

/// The least frames below 4 GiB, if there are any apart.
const LEAST_LOW: u64 = 64;

/// The most processes.
const MOST_PROCESSES: u32 = 256;

/// Of the frames, this part may be page tables: they are not swapped out.
const TABLES: u64 = 4;

/// Children that a thread has at a time.
pub(super) const CHILDREN: usize = 2;

/// Where the swap device keeps its pages.
#[derive(Debug)]
pub enum SwapMedium {
    /// On the heap.
    Memory,
    /// In a file that is open for reading and writing, and that nobody else uses.
    File(File),
}

/// What is asked for.
#[derive(Debug)]
pub struct Plan {
    /// The rules in force.
    pub rules: Rules,
    /// How long the threads work; what they wrote is looked at once more afterwards.
    pub time: Duration,
    /// Threads that work, beside one that reclaims.
    pub threads: u32,
    /// Processes, which have three times the machine's memory together.
    pub processes: u32,
    /// The frames of the machine, on two nodes.
    pub frames: u64,
    /// Of these, so many lie below 4 GiB, all of them on the first node, and threads take runs
    /// there and give them back. Zero: all lie there, and nobody asks for that.
    pub low: u64,
    /// What the threads do follows from it, but for how they are scheduled.
    pub seed: u64,
    /// Of so many transfers of the swap device the last one fails; none, if nothing is given.
    pub fail_every: Option<u64>,
    /// Where the swap device keeps its pages.
    pub medium: SwapMedium,
    /// An operation that takes longer hangs.
    pub patience: Duration,
}

/// Why the machine cannot be put under pressure.
#[derive(Debug)]
#[non_exhaustive]
pub enum PressureError {
    /// The frames are too few or too many.
    Frames {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// More memory is to lie below 4 GiB than may.
    Low {
        /// The least, if any is to lie there.
        least: u64,
        /// The most.
        most: u64,
    },
    /// None, or too many.
    Threads {
        /// The most.
        most: u32,
    },
    /// None, or too many.
    Processes {
        /// The most.
        most: u32,
    },
    /// The tables of all processes and children would fill too much of the machine.
    Tables {
        /// The frames that tables may need.
        tables: u64,
        /// Frames that would be enough, if a machine may have as many.
        enough: Option<u64>,
    },
    /// A device that fails each time gives no page back.
    FailsAlways,
    /// No time is given.
    NoTime,
    /// This host has no store on files.
    NoFiles,
    /// The system allows no more threads.
    System(io::Error),
    /// The machine could not be made: what the manager says.
    Machine(String),
}

impl fmt::Display for PressureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames { least, most } => {
                write!(f, "a machine has {least} to {most} frames here: choose from these")
            }
            Self::Low { least, most } => write!(
                f,
                "of these frames {least} to {most} may lie below 4 GiB, or none apart: choose from \
                 these"
            ),
            Self::Threads { most } => write!(f, "1 to {most} threads work: choose from these"),
            Self::Processes { most } => {
                write!(f, "there are 1 to {most} processes: choose from these")
            }
            Self::Tables { tables, enough } => {
                write!(f, "page tables, which stay in memory, may need {tables} frames: take ")?;
                match enough {
                    Some(enough) => write!(f, "{enough} frames, or fewer processes or threads"),
                    None => f.write_str("fewer processes or threads"),
                }
            }
            Self::FailsAlways => f.write_str(
                "a device whose every transfer fails gives no page back: let each second one \
                 fail, or a later one",
            ),
            Self::NoTime => f.write_str("no time is given: name some seconds"),
            Self::NoFiles => {
                f.write_str("there is no store on files on this system: swap to memory instead")
            }
            Self::System(why) => {
                write!(f, "a thread cannot be started: {why}: ask for fewer threads")
            }
            Self::Machine(why) => {
                write!(f, "the machine cannot be made: {why}: take fewer frames")
            }
        }
    }
}

impl std::error::Error for PressureError {}

impl Plan {
    /// The pages of each process.
    pub fn pages(&self) -> u64 {
        self.pages_on(self.frames)
    }

    /// The same on a machine with so many frames.
    fn pages_on(&self, frames: u64) -> u64 {
        (OVER * frames).div_ceil(u64::from(self.processes.max(1)))
    }

    /// The pages of the file that all processes have mapped, and of the shared memory: of each half
    /// as many as a process has, but no more than half of the machine's frames.
    pub fn file_pages(&self) -> u64 {
        Self::half_of(self.pages(), self.frames)
    }

    fn half_of(pages: u64, frames: u64) -> u64 {
        (pages.min(frames) / 2).max(1)
    }

    /// The slots of the swap device: for all processes, and as many for what children change; and
    /// for the shared memory.
    pub fn slots(&self) -> u64 {
        2 * self.pages() * u64::from(self.processes) + self.file_pages()
    }

    /// Whether it can be done.
    ///
    /// # Errors
    /// When not: what to ask for instead.
    pub fn check(&self) -> Result<(), PressureError> {
        if !(LEAST_FRAMES..=MOST_FRAMES).contains(&self.frames) {
            return Err(PressureError::Frames { least: LEAST_FRAMES, most: MOST_FRAMES });
        }
        let (least, most) = (LEAST_LOW, self.frames / 4);
        if self.low > 0 && !(least..=most).contains(&self.low) {
            return Err(PressureError::Low { least, most });
        }
        let most = MOST_THREADS as u32;
        if !(1..=most).contains(&self.threads) {
            return Err(PressureError::Threads { most });
        }
        if !(1..=MOST_PROCESSES).contains(&self.processes) {
            return Err(PressureError::Processes { most: MOST_PROCESSES });
        }
        if self.time.is_zero() {
            return Err(PressureError::NoTime);
        }
        if self.fail_every.is_some_and(|every| every < 2) {
            return Err(PressureError::FailsAlways);
        }
        let suffice = |frames: &u64| self.tables_on(*frames) * TABLES <= *frames;
        if !suffice(&self.frames) {
            let more = (1..).map(|doublings| self.frames << doublings);
            let enough = more.take_while(|frames| *frames <= MOST_FRAMES).find(suffice);
            return Err(PressureError::Tables { tables: self.tables_on(self.frames), enough });
        }
        Ok(())
    }

    /// The frames that tables may need: those above the last level, and the last ones, of every
    /// process, of every child, and of one more for each thread that forks or begins a process.
    fn tables_on(&self, frames: u64) -> u64 {
        const ABOVE: u64 = 4;
        const PAGES: u64 = 512;
        let pages = self.pages_on(frames);
        let mapped = pages + 2 * Self::half_of(pages, frames);
        let each = ABOVE + mapped.div_ceil(PAGES) + 1;
        let spare = u64::from(self.threads) * (CHILDREN as u64 + 1);
        (u64::from(self.processes) + spare) * each
    }

    /// The frames of each node.
    pub(super) fn node_frames(&self) -> [u64; NODES as usize] {
        let half = self.frames / 2;
        [self.frames - half, half]
    }
}
