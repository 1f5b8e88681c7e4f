//! What an explanation adds to the rows of a trace: what each of them means, what a rule decided,
//! and how the machine looks once it has happened.

use serde::{Deserialize, Serialize};

/// A rule's decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Decision {
    /// The rule.
    pub rule: String,
    /// What it decided, and on what grounds.
    pub text: String,
    /// The rule's variant in force, and since when it is.
    pub in_force: String,
    /// Whether the explanation of a failure names the rule.
    pub told: bool,
}

/// What there is to say of a row of [`Trace::rows`](super::Trace::rows).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explained {
    /// What such a row means, in a sentence; empty where its text says all.
    pub meaning: String,
    /// The rule that decided that this happens rather than something else, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// What the counts that it tells are made of: `1025 = 1 mapping (P:A) + 1 pin (h0), which
    /// counts 1024`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<String>,
    /// The handle that the row is to make, if it is a step that makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub makes: Option<HandleHead>,
    /// The machine after the row.
    pub scene: Scene,
}

/// A handle that a step is to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HandleHead {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: HandleKind,
}

/// What a handle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandleKind {
    /// Pins.
    Pin,
    /// Plain references.
    Reference,
    /// A device that follows page tables and holds nothing.
    Follower,
    /// Frames that somebody remembers and does not hold.
    Note,
}

/// The machine at one moment, as far as a scenario is about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scene {
    /// The pages that the scenario names, by process and address.
    pub pages: Vec<PageScene>,
    /// The frames that they, or handles, have led to.
    pub frames: Vec<FrameScene>,
    /// The handles of devices that exist.
    pub handles: Vec<HandleScene>,
    /// What CPUs remember of page tables.
    pub translations: Vec<TranslationScene>,
}

/// The entry of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PageScene {
    /// The page as the scenario names it: `P:A`, `P:A[1]`.
    pub name: String,
    /// The process.
    pub process: String,
    /// The entry in short words, as in the state column.
    pub entry: String,
    /// The frame that it leads to, or that is on the move or in the swap cache.
    pub frame: Option<String>,
    /// Whether a process can read through the entry now.
    pub readable: bool,
    /// Whether it can write.
    pub writable: bool,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FrameScene {
    /// Its name, such as `f3`.
    pub name: String,
    /// The node that its memory is on.
    pub node: u32,
    /// References; of a large folio, those on all its pages. A free frame has none.
    pub refs: u32,
    /// References that a tail of a large folio counts by itself, beside those.
    #[serde(default)]
    pub tail: u32,
    /// Entries that map it, or any page of its large folio.
    pub maps: u32,
    /// Whether it is marked as one process's own, where the rules know such a mark.
    pub exclusive: bool,
    /// The large folio that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folio: Option<String>,
    /// The words in it; `0` is unset memory.
    pub words: Vec<String>,
}

/// A handle, through which a device reaches frames without page tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HandleScene {
    /// Its name.
    pub name: String,
    /// Whether it is a pin, and not a plain reference.
    pub pin: bool,
    /// Its frames, in order.
    pub frames: Vec<String>,
}

/// A translation that a CPU remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TranslationScene {
    /// The CPU's number.
    pub cpu: usize,
    /// The page, as the scenario names it.
    pub page: String,
    /// The frame to which the CPU goes on.
    pub frame: String,
    /// Whether it writes through it.
    pub writable: bool,
    /// Whether the page's entry no longer says so.
    pub stale: bool,
}
