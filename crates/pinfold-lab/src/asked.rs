//! Which switches of the rules were asked for.
//!
//! The memory manager tells its platform of each rule that it asks for, before the answer decides
//! anything (`pinfold::platform::Platform::asked`). What it does under a rule set, it therefore
//! does under each other that has the same answers to all that was asked.

use std::sync::atomic::{AtomicU64, Ordering};

use pinfold::rules::{Rules, Switch};

const _: () = assert!(Switch::ALL.len() <= u64::BITS as usize);

/// The switches that were asked for, in any execution and any thread.
#[derive(Debug, Default)]
pub(crate) struct Asked(AtomicU64);

impl Asked {
    /// A switch is asked for.
    pub(crate) fn note(&self, switch: Switch) {
        let bit = 1 << switch as u32;
        // Nearly always it has been asked for before: threads then share what they only read.
        if self.0.load(Ordering::Relaxed) & bit == 0 {
            self.0.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// The switches that were asked for until now.
    pub(crate) fn switches(&self) -> Vec<Switch> {
        let noted = self.0.load(Ordering::Relaxed);
        Switch::ALL.iter().copied().filter(|&switch| noted & (1 << switch as u32) != 0).collect()
    }
}

/// Whether two rule sets have the same variants of these switches.
pub(crate) fn agree(one: &Rules, other: &Rules, switches: &[Switch]) -> bool {
    let asked = |name: &str| switches.iter().any(|switch| switch.name() == name);
    !one.diff(other).any(|difference| asked(difference.switch.name))
}
