//! What is asked of an agent, and what it answers: lines of JSON.
//!
//! An agent first tells its [`Features`]. It then gets [`Ask::Plan`] once for each scenario, and
//! [`Ask::Trial`] as often as wanted; it answers each ask with one line. It ends when its input
//! does. An agent only observes; what an observation is worth is decided by who asked.

use std::collections::BTreeMap;
use std::fmt;

use pinfold_lab::resolved::{Act, Resolved, ResolvedLane, ResolvedStep, Statuses};
use pinfold_lab::scenario::{Failure, Strictness};
use serde::{Deserialize, Serialize};

/// The version of this form.
pub const PROTOCOL: u32 = 3;

/// How the lanes of a trial take turns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conduct {
    /// One whole step after another: each entry is the lane whose next step is taken.
    Whole(Vec<usize>),
    /// All lanes at once, each after a delay that the seed gives.
    Free {
        /// The seed.
        seed: u64,
    },
    /// As `Free`, where lanes that only move pages or scan begin anew until the others end.
    Amplified {
        /// The seed.
        seed: u64,
    },
}

impl fmt::Display for Conduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(order) => write!(f, "whole steps in the order of lanes {order:?}"),
            Self::Free { seed } => write!(f, "free run, seed {seed}"),
            Self::Amplified { seed } => write!(f, "amplified run, seed {seed}"),
        }
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// From now on trials are of this scenario.
    Plan(Box<Resolved>),
    /// Carry the scenario out once.
    Trial(Conduct),
    /// Tell the counters of the whole system that say whether a run met what it is about.
    Counters,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Say {
    /// What the agent can do; the first line.
    Ready(Box<Features>),
    /// The plan is understood.
    Understood,
    /// A trial is over.
    Seen(Observation),
    /// The counters, by their names.
    Counters(BTreeMap<String, u64>),
    /// The request could not be carried out, and why.
    Trouble(String),
}

/// What an agent found on its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Features {
    /// See [`PROTOCOL`].
    pub protocol: u32,
    /// The release of the kernel and its version, as it tells them; empty where it does not.
    pub release: String,
    /// See [`release`](Self::release).
    pub version: String,
    /// Why nothing can run here at all, if so.
    pub unable: Option<String>,
    /// Why there are no long-term pins, if so.
    pub no_pins: Option<String>,
    /// Why there are no scans of NUMA balancing, if so.
    pub no_scans: Option<String>,
    /// Why no passes of same-page merging can be made, if so.
    #[serde(default)]
    pub no_merging: Option<String>,
    /// Why no page can be merged at all, if so.
    #[serde(default)]
    pub no_ksm: Option<String>,
    /// Why first touches take no folios of four pages where that is advised; none if they do.
    #[serde(default)]
    pub no_folios: Option<String>,
    /// Why first touches take no huge pages where that is advised, and only there; none if they do.
    #[serde(default)]
    pub no_huge: Option<String>,
    /// Why there is no pool of huge pages for trials, if so.
    #[serde(default)]
    pub no_pool: Option<String>,
    /// Why there is no swap device for trials, if so.
    #[serde(default)]
    pub no_swap: Option<String>,
    /// Why that device does not answer at once, nor needs pages unchanged while it writes them, if
    /// so: only one of zram is known to do both.
    #[serde(default)]
    pub no_synchronous_swap: Option<String>,
    /// Why no pages can be moved that other processes map, too, if so.
    #[serde(default)]
    pub no_move_all: Option<String>,
    /// The swap device that is in use by others, if there is one.
    #[serde(default)]
    pub other_swap: Option<String>,
    /// Why pages cannot be collapsed into a huge one, if so.
    #[serde(default)]
    pub no_collapse: Option<String>,
    /// Why it cannot be seen which pages a huge entry maps, if so.
    #[serde(default)]
    pub no_huge_looks: Option<String>,
    /// Why nobody is told which pages were stored to, if so.
    #[serde(default)]
    pub no_soft_dirty: Option<String>,
    /// Why ranges cannot be populated; none if they can.
    #[serde(default)]
    pub no_populate: Option<String>,
    /// Why there are no files without a name, if so.
    #[serde(default)]
    pub no_files: Option<String>,
    /// Why no hole can be made in such a file, if so.
    #[serde(default)]
    pub no_punch: Option<String>,
    /// Why such a file cannot be read and written past memory, if so: pages of it, and sectors.
    #[serde(default)]
    pub no_direct: (Option<String>, Option<String>),
    /// Why pages of such a file cannot be pinned whatever the rules for pins, if so.
    #[serde(default)]
    pub no_file_pins: Option<String>,
    /// Why no words of other processes are reached by process_vm_readv and process_vm_writev, if
    /// so.
    #[serde(default)]
    pub no_process_vm: Option<String>,
    /// Why none are reached as a debugger does, if so.
    #[serde(default)]
    pub no_ptrace: Option<String>,
    /// Why there is no userfaultfd, if so.
    #[serde(default)]
    pub no_uffd: Option<String>,
    /// Why no userfaultfd tells of forks, if so.
    #[serde(default)]
    pub no_fork_events: Option<String>,
    /// Why the program break cannot be placed, if so.
    #[serde(default)]
    pub no_break: Option<String>,
    /// Whether frames can be told apart: `pagemap` shows their numbers to who may see them.
    pub frames_visible: bool,
    /// The most pages that one pipe takes, which bounds the references of one `get`.
    pub pipe_pages: usize,
    /// Memory nodes.
    pub nodes: u32,
    /// CPUs that may be used.
    pub cpus: usize,
}

/// What one trial showed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Observation {
    /// The steps of lanes and of `after` that did not do what they should.
    pub failed: Vec<Failed>,
    /// For each of [`Resolved::facts`] what was found; empty if a step failed.
    pub facts: Vec<Found>,
}

/// A step that did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failed {
    /// The step as it is written.
    pub step: String,
    /// What it did.
    pub what: String,
}

/// What was found where a fact looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Found {
    /// Whether everything that it is about was made.
    pub made: bool,
    /// Whether it is true; none if that cannot be found out here.
    pub is: Option<bool>,
    /// What was found, in words.
    pub what: String,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// It worked; of a load, the word that was found, and of `move-pages` the number of
    /// [`Statuses`].
    Worked(u64),
    /// It failed as the language names it.
    Failed(Failure),
    /// It failed with another error, by its number.
    Error(i32),
    /// Nothing: the handle that it needs was not made, as it may happen.
    LeftOut,
}

/// The word that a load must find, or the statuses of pages that were to move, if they must be so.
fn expected(step: &ResolvedStep) -> Option<u64> {
    match step.act {
        Act::Load { expect, .. }
        | Act::DeviceLoad { expect, .. }
        | Act::FileLoad { expect, .. } => expect,
        Act::MovePages { expect, .. } => expect.map(Statuses::number),
        _ => None,
    }
}

/// Whether a step did what it should. Allocates nothing.
pub fn is_as_wanted(step: &ResolvedStep, did: Did) -> bool {
    match did {
        Did::Worked(found) => {
            step.fails.is_none() && expected(step).is_none_or(|wanted| wanted == found)
        }
        Did::Failed(how) => step.fails.or(step.may_fail) == Some(how),
        Did::Error(_) => false,
        Did::LeftOut => true,
    }
}

/// What is wrong with what a step did, in words; none if it did what it should.
///
/// # Errors
/// When the step could not be carried out: it failed in a way that the language has no word for,
/// such as a shortage of the machine, so that nothing is known of what it would have done.
pub fn fault(plan: &Resolved, step: &ResolvedStep, did: Did) -> Result<Option<String>, String> {
    if is_as_wanted(step, did) {
        return Ok(None);
    }
    match did {
        Did::Worked(found) if matches!(step.act, Act::MovePages { .. }) && step.fails.is_none() => {
            let each = Statuses::of_number(found).map(|status| status.as_str());
            Ok(Some(format!("the pages are: {}", each.collect::<Vec<_>>().join(" "))))
        }
        Did::Worked(found) if step.fails.is_none() => {
            Ok(Some(format!("it found \"{}\"", plan.word(found))))
        }
        Did::Worked(_) => Ok(Some("it worked".to_owned())),
        Did::Failed(how) => Ok(Some(format!("it failed: {how}"))),
        // That is as wanted.
        Did::LeftOut => Ok(None),
        Did::Error(number) => {
            let why = std::io::Error::from_raw_os_error(number);
            Err(format!("{}: {why}", step.text))
        }
    }
}

/// Whether a lane only does what changes nothing that a process sees, and may be done any number of
/// times: such lanes are repeated by [`Conduct::Amplified`].
pub fn is_amplifier(lane: &ResolvedLane) -> bool {
    let repeats = |step: &ResolvedStep| {
        matches!(
            step.act,
            Act::Migrate(..)
                | Act::MovePages { expect: None, register: None, .. }
                | Act::Mbind(.., Strictness::No)
                | Act::NumaScan(_)
                | Act::Pageout(_)
        )
    };
    !lane.steps.is_empty() && lane.steps.iter().all(repeats)
}
