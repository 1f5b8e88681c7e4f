//! Facts in the words of the language.

use super::{Look, Resolved, Seen, Spot};

impl Resolved {
    /// What a fact states, as the language writes it.
    pub fn told(&self, look: &Look) -> String {
        let seen = |seen: &Seen| self.told_seen(seen);
        let name = |names: &[String], at: usize| names.get(at).cloned().unwrap_or_default();
        match look {
            Look::Sees(at, word) => format!("{} sees \"{}\"", seen(at), self.word(*word)),
            Look::Stores(at, word) => {
                format!("{} stores \"{}\"", seen(&Seen::File(*at)), self.word(*word))
            }
            Look::Holds(group, pages) => format!("{} holds {pages}", name(&self.groups, *group)),
            Look::Is(left, right) => format!("{} is {}", seen(left), seen(right)),
            Look::Dirty(at) => format!("{} is dirty", seen(at)),
            Look::Large(at) => format!("{} is large", seen(at)),
            Look::Merged(at) => format!("{} is merged", seen(at)),
            Look::OnNode(at, node) => format!("{} is on node {node}", seen(at)),
            Look::NodeHolds(node, pages) => format!("node {node} holds {pages}"),
            Look::Cost(bound, count, of) => {
                format!("cost {}{count} {}", bound.before(), of.after(u64::from(*count)))
            }
            Look::Huge(process, at) => format!("{} is huge", seen(&Seen::Process(*process, *at))),
            Look::SoftDirty(process, at) => {
                format!("{} is soft-dirty", seen(&Seen::Process(*process, *at)))
            }
            Look::Resident(process, at) => {
                format!("{} is resident", seen(&Seen::Process(*process, *at)))
            }
            Look::Register(register, word) => {
                format!("{} \"{}\"", name(&self.registers, *register), self.word(*word))
            }
        }
    }

    fn told_seen(&self, seen: &Seen) -> String {
        match *seen {
            Seen::Handle(spot) => {
                let handle = self.handles.get(spot.of);
                let one = handle.is_some_and(|handle| handle.pages == 1);
                let name = handle.map_or("", |handle| handle.name.as_str());
                format!("{name}{}", told_place(spot, one))
            }
            Seen::Process(process, spot) => {
                let process =
                    self.processes.get(process).map_or("", |process| process.name.as_str());
                let area = self.areas.get(spot.of).map_or("", String::as_str);
                format!("{process}:{area}{}", told_place(spot, false))
            }
            Seen::File(spot) => {
                let name = self.files.get(spot.of).map_or("", |file| file.name.as_str());
                format!("{name}{}", told_place(spot, false))
            }
        }
    }
}

/// A word of a page; of the only page without its number.
fn told_place(spot: Spot, only: bool) -> String {
    let page = if only { String::new() } else { format!("[{}]", spot.page) };
    match spot.word {
        0 => page,
        word => format!("{page}.{word}"),
    }
}
