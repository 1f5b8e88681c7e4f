//! A last step, of one process on the memory of another.

use super::Maker;
use crate::generate::shape::{Extent, Files};
use crate::generate::steps::{Act, Step};

impl Maker {
    /// Whether programs of this seed have such a step, if they have two processes: not where more
    /// than its rights could keep a process from a page, and few of them, as each makes a search
    /// longer.
    pub(in crate::generate) fn reaches_across(&self, seed: u64) -> bool {
        let plain = self.shape.files == Files::Left && self.shape.frames.is_none();
        let small = matches!(self.shape.extent, Extent::Areas | Extent::Page);
        plain && small && seed % 8 == 6
    }

    /// A step of this process on the memory of another one that is there.
    pub(in crate::generate) fn remote(&mut self, process: &'static str) -> Option<Step> {
        let others: Vec<&'static str> =
            self.processes.iter().copied().filter(|other| *other != process).collect();
        if others.is_empty() {
            return None;
        }
        let (of, page) = (self.one_of(&others), self.page());
        let verb = self.one_of(&["vm-write", "vm-read", "ptrace-write", "ptrace-read"]);
        let word = verb.ends_with("write").then(|| {
            self.words += 1;
            self.words
        });
        let act = Act::Remote { verb, of, page, word };
        Some(Step { process, act, may_fail: Some("no-access") })
    }

    /// The same of any process.
    pub(in crate::generate) fn remote_of_any(&mut self) -> Option<Step> {
        let processes = self.processes.clone();
        let process = self.one_of(&processes);
        self.remote(process)
    }
}
