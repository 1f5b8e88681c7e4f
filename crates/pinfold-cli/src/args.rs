//! What can be written on the command line.

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};
use pinfold_lab::campaign::Shard;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Runs, checks and compares scenarios of Linux's private-memory machinery.
#[derive(Debug, Parser)]
#[command(name = "pinfold", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a scenario once, in the order written
    Run(RunArgs),
    /// Search the executions of scenarios for one that breaks a claim
    Check(CheckArgs),
    /// Join the results of the shards of a check
    Merge(MergeArgs),
    /// Repeat a failing execution that `check` saved, or one that a schedule describes
    Replay(ReplayArgs),
    /// Explain an execution: every decision, step by step
    ///
    /// Of a saved execution, or with --rules of a scenario: what its words mean, what happens in
    /// each step, how entries, frames, devices and translations look afterwards, and what the rules
    /// that decided have been since when. --html makes a page of it.
    Explain(ExplainArgs),
    /// Compare scenarios under several rule sets, in a table
    ///
    /// A cell ends after 100000 executions unless --max-executions, --time or another way to search
    /// is given, so that the table does not depend on the load of the machine. `part#` is a cell
    /// that the number of executions ended, `part@` one that the time did.
    Matrix(MatrixArgs),
    /// Say which releases break a scenario, and which change of a rule made or mended that
    ///
    /// Every release from 3.1 on has an answer of its own, by a search that ends after 100000
    /// executions unless --max-executions, --time or another way to search is given.
    When(WhenArgs),
    /// Find the smallest sets of switches that save a scenario under some rules
    ///
    /// Sets of one switch are searched, and if none is enough those of two, and so on. Exit status
    /// 1 says that none saves it.
    Cure(CureArgs),
    /// List rule sets and switches, show one or a kernel by its name, or compare two
    Rules(RulesArgs),
    /// Say which system call takes what on a process's pages, by release, and how fork is met
    Calls(CallsArgs),
    /// Make a scenario of a recording of a program, and ask if the program is safe
    Import(ImportArgs),
    /// Write scenario files in their canonical form
    Fmt(FmtArgs),
    /// Make random programs, and hold them against the oracles or against a real kernel
    ///
    /// Without --on, programs of two to four lanes are searched under each rule set. With --on,
    /// programs of one step after another and of two lanes are carried out on the kernel, and what
    /// is seen is compared with what the model allows. What is found is cut to the fewest steps
    /// and saved as a scenario.
    Fuzz(FuzzArgs),
    /// Name the rules that a real kernel keeps, as far as random programs tell
    ///
    /// Carries out programs of one step after another and compares with each rule set. Then shows
    /// programs that tell the nearest from its neighbours, cut to the fewest steps.
    Identify(IdentifyArgs),
    /// Put real threads under memory pressure, and hold every word against what its writer wrote
    ///
    /// Processes that have three times the machine's memory load, store, fork and exit, and their
    /// pages are pinned, moved and reclaimed, on threads of this system: nothing is explored. The
    /// exit status is 1 if a word is wrong, an operation hangs or a thread panics, or a frame or
    /// swap slot is missing at the end, and 3 if all is well but the run was too short, or too
    /// quiet, to show it.
    Pressure(PressureArgs),
    /// Run the demo of bug 215616 on real threads, and explain the first corruption
    ///
    /// The threads of several processes roam over the nodes, have command buffers pinned and write
    /// into them again and again, while devices read them through their pins, and NUMA balancing,
    /// swap, same-page merging, compaction and forks work on the same memory: nothing is explored.
    /// The exit status is 1 if a device reads other commands than the process wrote, an operation
    /// hangs or a thread panics, or a frame or swap slot is missing at the end, and 3 if all is
    /// well but nothing was read, or nothing was balanced. Under 5.9 it fails within seconds.
    Soak(SoakArgs),
    /// Write a scenario to start from, with comments that say what can be changed
    New(NewArgs),
    /// Print what a shell needs to complete commands and options
    Completions(CompletionsArgs),
    /// Write manual pages, one for each command
    Man(ManArgs),
    /// Carry out scenarios for `check --on linux`, which starts this
    #[command(hide = true)]
    LinuxAgent(AgentArgs),
    /// The same as the first process of a virtual machine
    #[command(hide = true)]
    LinuxGuest,
}

impl Command {
    /// For whom its result is written.
    pub(crate) fn format(&self) -> TestFormat {
        match self {
            Self::Run(args) => args.format,
            Self::Check(args) => args.format,
            Self::Merge(args) => args.format.into(),
            Self::Replay(args) => args.format.into(),
            Self::Explain(args) => args.format.into(),
            Self::Matrix(args) => args.format,
            Self::When(args) => args.format.into(),
            Self::Cure(args) => args.format.into(),
            Self::Pressure(args) => args.format.into(),
            Self::Soak(args) => args.format.into(),
            Self::Import(args) => args.format().into(),
            Self::Rules(args) => args.format.into(),
            Self::Calls(args) => args.format.into(),
            Self::Fuzz(_)
            | Self::Identify(_)
            | Self::Fmt(_)
            | Self::New(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::LinuxAgent(_)
            | Self::LinuxGuest => TestFormat::Human,
        }
    }
}

/// For whom the answer to a command line is written that cannot be read as a whole.
pub(crate) fn asked_for(words: impl Iterator<Item = OsString>) -> TestFormat {
    let mut before = OsString::new();
    for word in words {
        for (format, name) in [(TestFormat::Json, "json"), (TestFormat::Ktap, "ktap")] {
            if word == *format!("--format={name}") || (before == "--format" && word == name) {
                return format;
            }
        }
        before = word;
    }
    TestFormat::Human
}

/// How output looks, for every command.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LookArgs {
    /// Draw with ASCII characters only
    #[arg(long, global = true)]
    pub(crate) ascii: bool,
    /// When to use colours; they carry no meaning of their own
    #[arg(long, global = true, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(crate) color: ColorChoice,
    /// Show everything, not just one screen
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// `pinfold run`
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A scenario: a file, or a name from ./scenarios or from those built in
    pub(crate) file: PathBuf,
    /// The rules in force: a release, `latest` (the newest), or `pinfold` (its own), and overrides
    /// such as 5.9,numa-skip=ref-count
    #[arg(long, value_name = "RULES", default_value = "pinfold")]
    pub(crate) rules: String,
    /// Interleave the lanes at random from this seed instead of as written
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Write the execution as a trace for Perfetto to this file, too: lanes, handles, rules'
    /// decisions, and what frames count
    #[arg(long, value_name = "FILE")]
    pub(crate) perfetto: Option<PathBuf>,
    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: TestFormat,
}

/// `pinfold check`
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Scenarios: files, or names from ./scenarios or from those built in
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Rule sets separated by commas (an override joins the set before it), or `all` presets
    /// [default: pinfold; with --on those of the kernel's release]
    #[arg(long, value_name = "RULES")]
    pub(crate) rules: Vec<String>,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
    #[command(flatten)]
    pub(crate) division: DivisionArgs,
    #[command(flatten)]
    pub(crate) kernel: KernelArgs,
    /// Go on after a failure, so that the table of outcomes has all of them
    #[arg(long, conflicts_with_all = ["jobs", "shard", "checkpoint", "resume", "on"])]
    pub(crate) all_outcomes: bool,
    /// Where a single check saves its failing execution, in a directory named by its id
    #[arg(long, value_name = "DIR", default_value = SAVED)]
    pub(crate) save: PathBuf,
    /// Save nothing
    #[arg(long, conflicts_with = "save")]
    pub(crate) no_save: bool,
    /// Exit with 0 when nothing broke although a bound ended the search
    #[arg(long)]
    pub(crate) allow_partial: bool,
    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: TestFormat,
}

/// A check on a real kernel.
#[derive(Debug, Args)]
pub(crate) struct KernelArgs {
    /// Carry the scenarios out on a kernel and compare with the model under its rules: on this
    /// one (`linux`), or on one in a virtual machine (`linux:IMAGE`, a vmlinuz or a Debian package)
    ///
    /// Forks processes of its own, maps a few pages in each, and makes pipes and io_uring rings;
    /// all of it is gone afterwards. Changes no setting of the system and needs no privilege; only
    /// root can compare frames that are not pinned. What cannot be done here is skipped with the
    /// reason. A virtual machine needs qemu-system-x86_64; it has two nodes and is given to the
    /// scenarios, so that scans and moves work in it, too.
    #[arg(long, value_name = "WHERE", help_heading = "On a real kernel", group = "seeded",
          conflicts_with_all = ["jobs", "shard", "checkpoint", "resume"])]
    pub(crate) on: Option<Where>,
    /// With --on, how often the lanes run at the same time
    #[arg(long, value_name = "N", requires = "on", default_value_t = 200,
          help_heading = "On a real kernel", value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub(crate) trials: u32,
    /// With --on linux, allow scans of NUMA balancing, folios, huge pages and swap on this machine
    ///
    /// Switches numa_balancing on while a step scans, for every process of this machine, and sets
    /// the periods of its scans (on a machine of two memory nodes); gives folios of 16K and huge
    /// pages where they are advised; takes the pool of huge pages over if nobody uses it; and makes
    /// a swap device of a few pages if there is none. All is put back at the end. Needs root.
    #[arg(long, requires = "on", help_heading = "On a real kernel")]
    pub(crate) i_own_this_machine: bool,
    /// With --on, what is tried: whole steps in every order, lanes at the same time, or both
    #[arg(
        long,
        value_enum,
        value_name = "KIND",
        requires = "on",
        default_value_t,
        help_heading = "On a real kernel"
    )]
    pub(crate) orders: OrdersArg,
}

/// `pinfold linux-agent`
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// Scans of NUMA balancing are made: the settings are prepared
    #[arg(long)]
    pub(crate) scans: bool,
    /// The pool of huge pages is for the scenarios
    #[arg(long)]
    pub(crate) pool: bool,
    /// A swap device may be made for the scenarios
    #[arg(long)]
    pub(crate) swap: bool,
    /// Same-page merging is for the scenarios: the settings are prepared
    #[arg(long)]
    pub(crate) merging: bool,
    /// The longest that a step may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 25,
          value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) patience: u32,
}

/// What is tried on a real kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OrdersArg {
    /// Whole steps, in every order
    Whole,
    /// The lanes at the same time
    Free,
    /// Both
    #[default]
    All,
}

/// How a check is divided, among threads and machines and in time.
#[derive(Debug, Args)]
pub(crate) struct DivisionArgs {
    /// Divide each search among this many threads [default: 1]; not with --preemptions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// Do one of N equal parts, for `pinfold merge`; not with --preemptions
    #[arg(long, value_name = "K/N", requires = "out")]
    pub(crate) shard: Option<Shard>,
    /// Where to write the result of the part
    #[arg(long, value_name = "FILE", requires = "shard")]
    pub(crate) out: Option<PathBuf>,
    /// Where to write how far the search came, if it is ended before it is done: by --time,
    /// --max-executions, Ctrl-C or SIGTERM
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Go on where a checkpoint, or the result of an unfinished part, was written
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    pub(crate) resume: Option<PathBuf>,
}

impl DivisionArgs {
    /// Whether the search is to be divided at all.
    pub(crate) fn divides(&self) -> bool {
        self.jobs.is_some_and(|jobs| jobs > 1) || self.file().is_some()
    }

    /// Whether more than one thread or process is to do it.
    pub(crate) fn shares_out(&self) -> bool {
        self.jobs.is_some_and(|jobs| jobs > 1) || self.shard.is_some_and(|shard| shard.of > 1)
    }

    /// A file that holds the state of one search, and so allows only one search.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.out.as_deref().or(self.checkpoint.as_deref()).or(self.resume.as_deref())
    }
}

/// `pinfold merge`
#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// What `check --shard K/N --out FILE` wrote
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Exit with 0 when nothing broke although shards are missing
    #[arg(long)]
    pub(crate) allow_partial: bool,
    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// `pinfold replay`
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// A saved execution: its file or its id [default: the latest]; with --schedule, a scenario
    #[arg(value_name = "WHAT")]
    pub(crate) what: Option<PathBuf>,
    /// The directory in which `check` saved it
    #[arg(long, value_name = "DIR", default_value = SAVED)]
    pub(crate) saved: PathBuf,
    /// Run a saved execution although another version of the engine found it
    #[arg(long, conflicts_with = "schedule")]
    pub(crate) any_version: bool,
    /// The schedule, as `check --no-save -v` and the JSON form give it
    #[arg(long, value_name = "TEXT", requires = "what")]
    pub(crate) schedule: Option<String>,
    /// The rules in force, for --schedule [default: pinfold]
    #[arg(long, value_name = "RULES", requires = "schedule")]
    pub(crate) rules: Option<String>,
    /// The memory model under which the schedule was found, for --schedule [default: weak]
    #[arg(long, value_enum, value_name = "MODEL", requires = "schedule")]
    pub(crate) model: Option<ModelArg>,
    /// What locks were when the schedule was found, for --schedule [default: object]
    #[arg(long, value_enum, value_name = "FORM", requires = "schedule")]
    pub(crate) locks: Option<LocksArg>,
    /// List every access to what the lanes share
    #[arg(long)]
    pub(crate) accesses: bool,
    /// Write the execution as a trace for Perfetto to this file, too: lanes, handles, rules'
    /// decisions, and what frames count
    #[arg(long, value_name = "FILE")]
    pub(crate) perfetto: Option<PathBuf>,
    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// `pinfold matrix`
#[derive(Debug, Args)]
pub(crate) struct MatrixArgs {
    /// Scenarios: files, or names from ./scenarios or from those built in; all of them if none is
    /// given
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Rule sets separated by commas (an override joins the set before it), or `all` presets
    #[arg(long, value_name = "RULES", default_value = "all")]
    pub(crate) rules: Vec<String>,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
    /// Cells searched at the same time [default: one for each available core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// Compare with a table of expected cells, a file or the built-in `verdicts` or
    /// `verdicts-weak` (of a weakly ordered machine); exit with 1 where they differ
    #[arg(long, value_name = "FILE")]
    pub(crate) expect: Option<PathBuf>,
    /// Write a page for a browser to this file, too: the table, in which each cell that breaks
    /// opens its execution as `explain --html` shows it
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: TestFormat,
}

/// `pinfold rules`
#[derive(Debug, Args)]
pub(crate) struct RulesArgs {
    /// A rule set, a kernel (5.15.133, el9, bookworm, what `uname -r` prints) or a switch to show;
    /// two rule sets to compare
    #[arg(value_name = "SET", num_args = 0..=2)]
    pub(crate) sets: Vec<String>,
    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// `pinfold calls`
#[derive(Debug, Args)]
pub(crate) struct CallsArgs {
    /// The call to show: a name of the list, or what it is called in programs
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// `pinfold fmt`
#[derive(Debug, Args)]
pub(crate) struct FmtArgs {
    /// Scenario files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Write nothing; name the files that are not in canonical form and exit with 1
    #[arg(long)]
    pub(crate) check: bool,
}

mod common;
mod explain;
mod history;
mod import;
mod model;
mod place;
mod pressure;
mod random;
mod search;
mod setup;
mod soak;
#[cfg(test)]
mod tests;

pub(crate) use common::{Format, TestFormat};
pub(crate) use explain::ExplainArgs;
pub(crate) use history::{CureArgs, WhenArgs};
pub(crate) use import::{ImportArgs, Recorder, StraceArgs};
pub(crate) use model::ModelArg;
pub(crate) use place::{SAVED, Where};
pub(crate) use pressure::PressureArgs;
pub(crate) use random::{FuzzArgs, IdentifyArgs};
pub(crate) use search::{CELL_EXECUTIONS, LocksArg, SearchArgs};
pub(crate) use setup::{CompletionsArgs, ManArgs, NewArgs};
pub(crate) use soak::SoakArgs;
