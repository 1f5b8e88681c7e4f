//! What is asked for, and whether it can be done.

use pinfold::Rules;
use pinfold::rules::Interface;
use std::fmt;
use std::io;
use std::time::Duration;

/// Threads of each process.
pub(super) const THREADS: u32 = 2;

/// Command buffers of each process, and the pages of each.
pub(super) const BUFFERS: u64 = 8;
pub(super) const BUFFER_PAGES: u64 = 4;

/// The pages of each process's data.
pub(super) const DATA_PAGES: u64 = 64;

/// So many buffers of each process, the first ones, are private memory, the others shared.
pub(super) const PRIVATE_BUFFERS: u64 = BUFFERS / 2;

/// The most processes and devices.
const MOST: u32 = 64;

/// The most nodes.
const MOST_NODES: u8 = 8;

/// The most frames: 4 GiB.
pub(super) const MOST_FRAMES: u64 = 1 << 20;

/// Frames that each process takes with a child and their tables, and that the machine has for
/// itself.
const EACH: u64 = 2 * (BUFFERS * BUFFER_PAGES + DATA_PAGES) + 16;
const OWN: u64 = 64;

/// What goes on beside the processes and their devices, and can be left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activity {
    /// NUMA balancing scans the processes.
    Balancing,
    /// Pages are taken to a swap device.
    Swap,
    /// Equal pages are merged.
    Merging,
    /// Pages are moved, as compaction does.
    Compaction,
    /// Processes fork, and the children exit.
    Forks,
}

impl Activity {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Balancing, Self::Swap, Self::Merging, Self::Compaction, Self::Forks];

    /// As people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Balancing => "balancing",
            Self::Swap => "swap",
            Self::Merging => "merging",
            Self::Compaction => "compaction",
            Self::Forks => "forks",
        }
    }
}

/// On which CPUs the threads of a process run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Affinity {
    /// On all, in turns.
    Roams,
    /// On those of the node where the process's memory is.
    Bound,
}

/// What becomes of loads that would lose a buffer without NUMA balancing, by a harm of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OtherHarms {
    /// They are kept from buffers, and the report says so.
    KeptApart,
    /// They strike.
    Strike,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct SoakPlan {
    /// The rules in force.
    pub rules: Rules,
    /// How long it goes on, unless a corruption ends it.
    pub time: Duration,
    /// What the threads do follows from it, but for how they are scheduled.
    pub seed: u64,
    /// Processes.
    pub processes: u32,
    /// Devices, which the processes share out among them.
    pub devices: u32,
    /// Nodes of memory, each with CPUs.
    pub nodes: u8,
    /// The frames of the machine, divided among the nodes.
    pub frames: u64,
    /// On which CPUs the threads run.
    pub affinity: Affinity,
    /// What is left out.
    pub without: Vec<Activity>,
    /// What becomes of loads with a harm of their own.
    pub others: OtherHarms,
    /// An operation that takes longer hangs.
    pub patience: Duration,
}

/// Why it cannot be done.
#[derive(Debug)]
#[non_exhaustive]
pub enum SoakError {
    /// No processes, or too many.
    Processes {
        /// The most.
        most: u32,
    },
    /// No devices, or more than processes.
    Devices {
        /// The most.
        most: u32,
    },
    /// No nodes, or too many.
    Nodes {
        /// The most.
        most: u8,
    },
    /// Too few frames for the processes, or too many.
    Frames {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// No time is given.
    NoTime,
    /// The system allows no more threads.
    System(io::Error),
    /// The machine could not be made: what the manager says.
    Machine(String),
}

impl fmt::Display for SoakError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Processes { most } => {
                write!(f, "there are 1 to {most} processes: choose from these")
            }
            Self::Devices { most } => write!(
                f,
                "there are 1 to {most} devices, no more than processes, each of which opens one: \
                 choose from these"
            ),
            Self::Nodes { most } => write!(f, "there are 1 to {most} nodes: choose from these"),
            Self::Frames { least, most } => write!(
                f,
                "so many processes take {least} to {most} frames: choose from these, or take \
                 fewer processes"
            ),
            Self::NoTime => f.write_str("no time is given: name some seconds"),
            Self::System(why) => {
                write!(f, "a thread cannot be started: {why}: ask for fewer processes or devices")
            }
            Self::Machine(why) => {
                write!(f, "the machine cannot be made: {why}: take fewer frames")
            }
        }
    }
}

impl std::error::Error for SoakError {}

impl SoakPlan {
    /// The frames of a machine that is short of none, for so many processes: all that they need,
    /// on any one of the nodes.
    pub fn enough(processes: u32, nodes: u8) -> u64 {
        (u64::from(processes) * EACH + OWN) * u64::from(nodes)
    }

    /// Whether it can be done.
    ///
    /// # Errors
    /// When not: what to ask for instead.
    pub fn check(&self) -> Result<(), SoakError> {
        if !(1..=MOST).contains(&self.processes) {
            return Err(SoakError::Processes { most: MOST });
        }
        if !(1..=self.processes).contains(&self.devices) {
            return Err(SoakError::Devices { most: self.processes });
        }
        if !(1..=MOST_NODES).contains(&self.nodes) {
            return Err(SoakError::Nodes { most: MOST_NODES });
        }
        // Tables stay, and buffers that are pinned: with less, nothing would ever be done.
        let least = (u64::from(self.processes) * EACH / 2 + OWN).max(u64::from(self.nodes) * OWN);
        if !(least..=MOST_FRAMES).contains(&self.frames) {
            return Err(SoakError::Frames { least, most: MOST_FRAMES });
        }
        if self.time.is_zero() {
            return Err(SoakError::NoTime);
        }
        Ok(())
    }

    /// Whether it goes on: it is not left out, and kernels with these rules have it.
    pub(super) fn goes_on(&self, activity: Activity) -> bool {
        let exists = match activity {
            Activity::Balancing => Interface::NumaBalancing.exists(&self.rules),
            Activity::Swap | Activity::Merging | Activity::Compaction | Activity::Forks => true,
        };
        exists && !self.without.contains(&activity)
    }

    /// What does not, by name.
    pub(super) fn left_out(&self) -> Vec<&'static str> {
        let out = Activity::ALL.into_iter().filter(|each| !self.goes_on(*each));
        out.map(Activity::name).collect()
    }

    /// The slots of the swap device: for all processes, and as many for what children change.
    pub(super) fn slots(&self) -> u64 {
        2 * u64::from(self.processes) * (BUFFERS * BUFFER_PAGES + DATA_PAGES)
    }
}
