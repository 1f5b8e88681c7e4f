//! What is not known of a kernel, and what it may have instead: the questions that can be asked
//! both ways.

use super::super::{Finding, Release, Rules, SwitchInfo, VariantInfo};

/// How many digits name a commit.
const ID: usize = 12;

/// Why it is not known what a kernel has.
#[derive(Clone, Copy, Debug)]
pub enum Unknown {
    /// Mainline changed the switch after the base, and nobody looked.
    Guess {
        /// The release in which mainline came to have it.
        since: Release,
        /// It is believed from memory that newer builds have it: no preset rests on that.
        believed: bool,
    },
    /// The series took it up at a point that the kernel may have reached or not.
    Open(&'static Finding),
}

/// A switch of which it is not known what a kernel has, and one variant that it may have.
#[derive(Clone, Copy, Debug)]
pub struct Doubt {
    /// The switch.
    pub switch: &'static SwitchInfo,
    /// What the kernel is taken to have.
    pub held: &'static VariantInfo,
    /// What it may have instead.
    pub other: &'static VariantInfo,
    /// Why that is not known.
    pub why: Unknown,
}

impl Doubt {
    /// The rules of a kernel that has the other variant, if it has `rules` otherwise: that variant,
    /// and what no kernel has it without. Switches that `fixed` names stay as they are.
    pub fn under(&self, rules: &Rules, fixed: impl Fn(&str) -> bool) -> Rules {
        let mut under = self.without(rules, fixed);
        // It comes from the table of switches.
        let _known = under.set(self.switch.name, self.other.name);
        under
    }

    /// The same without the other variant itself: what comes with it, or what it rests on.
    pub fn without(&self, rules: &Rules, fixed: impl Fn(&str) -> bool) -> Rules {
        let mut rest = *rules;
        let lacking = rules.lacks_for(self.switch.name, self.other.name);
        for (switch, variant) in lacking.filter(|(switch, _)| !fixed(switch.name)) {
            // Both come from the table of switches.
            let _known = rest.set(switch.name, variant.name);
        }
        rest
    }

    /// The commit that brought the other variant, in twelve digits: if the kernel has it, it has
    /// that variant. None where the texts name none.
    pub fn commit(&self) -> Option<&'static str> {
        match self.why {
            Unknown::Guess { .. } => commit(self.other.doc),
            Unknown::Open(finding) => commit(finding.source),
        }
    }
}

/// The first commit that a text names.
pub(super) fn commit(text: &'static str) -> Option<&'static str> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let words = text.split(|other: char| !other.is_ascii_alphanumeric());
    let mut ids = words.filter(|word| word.len() == ID && word.bytes().all(hex));
    ids.next()
}
