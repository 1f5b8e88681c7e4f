//! Steps that failed by what a release cannot do, or by what their own program did before.

use pinfold::rules::Switch;
use pinfold::rules::uffd::{protects_shared, protects_unpopulated, watches_minor};

use super::{Step, Teller};
use crate::journal::What;
use crate::scenario::{Action, Pages, UffdWord};

impl Teller<'_> {
    /// A registration with a userfaultfd of what the rules do not watch.
    pub(super) fn unwatched(&mut self, step: &Step) {
        let Action::UffdRegister { pages, modes } = &*step.action else { return };
        let rule = self.rules.uffd;
        let lacking = modes.iter().find_map(|mode| match mode.value {
            UffdWord::Minor if !watches_minor(rule) => {
                Some("accesses to pages that are there and not mapped")
            }
            UffdWord::Unpopulated if !protects_unpopulated(rule) => {
                Some("writes to pages that nobody has touched yet")
            }
            UffdWord::Wp if !protects_shared(rule) && self.is_shared(pages) => {
                Some("writes to shared memory")
            }
            UffdWord::Missing
            | UffdWord::Wp
            | UffdWord::Minor
            | UffdWord::Unpopulated
            | UffdWord::EventFork
            | UffdWord::EventRemap => None,
        });
        if let Some(what) = lacking {
            let (cite, tag) = (step.cite(), self.tag(Switch::Uffd));
            self.say(
                step.ends,
                format!("{cite} was refused: no userfaultfd watches {what} ({tag})."),
            );
        }
    }

    /// A device that goes on by a handle that was given back before.
    pub(super) fn given_back(&mut self, step: &Step) {
        let handle = match &*step.action {
            Action::DeviceRead { from: place, .. } | Action::DeviceWrite { to: place, .. } => {
                &place.name.value
            }
            _ => return,
        };
        let lines = self.ledger.lines();
        let gave =
            |line: &usize| matches!(&lines[*line].what, What::Releases(name) if name == handle);
        if let Some(at) = (0..step.ends).rev().find(gave) {
            let (by, cite) = (self.at(at), step.cite());
            self.say(at, format!("{by} gave {handle} back."));
            let what = "has no reference of its own: the page may be anybody's by then";
            self.say(step.ends, format!("{cite} {what}."));
        }
    }

    /// Whether these pages were mapped as shared memory.
    fn is_shared(&self, pages: &Pages) -> bool {
        self.ledger.steps.iter().any(|step| match &*step.action {
            Action::Map { area, sharing, .. } => !sharing.value.is_private() && *area == pages.area,
            _ => false,
        })
    }
}
