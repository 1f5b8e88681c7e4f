//! Last steps of reclaim: what may leave memory, in which order, and that it does.

use super::{Maker, Page};
use crate::generate::shape::{Extent, Files, Swaps};
use crate::generate::steps::{Act, Shows, Step};

impl Maker {
    /// Whether programs of this seed have such steps: of those about areas of memory every fourth,
    /// half of which go to a swap device anyway. What comes before is as it would be without.
    pub(in crate::generate) fn reclaims(&self, seed: u64) -> bool {
        let areas = (self.shape.files, self.shape.extent) == (Files::Left, Extent::Areas);
        areas && matches!(seed % 8, 2 | 3)
    }

    /// One to three steps of this process, or each of any; `locks` says whether pages were locked.
    pub(in crate::generate) fn reclaiming(
        &mut self,
        process: Option<&'static str>,
        locks: bool,
    ) -> Vec<Step> {
        let count = self.between(1, 3);
        let processes = self.processes.clone();
        let mut steps = Vec::new();
        for _ in 0..count {
            let process = process.unwrap_or_else(|| self.one_of(&processes));
            steps.extend(self.reclaiming_step(process, locks));
        }
        steps
    }

    fn reclaiming_step(&mut self, process: &'static str, locks: bool) -> Option<Step> {
        let act = match self.below(10) {
            0..=5 if locks => return None,
            0..=3 => Act::Advise(self.private_page()?, "free"),
            4..=5 => Act::Advise(self.private_page()?, "cold"),
            6..=7 if self.shape.swaps == Swaps::Made => Act::Pageout(self.private_page()?),
            8 => Act::Drain(self.one_of(&["lru-drain", "lru-drain all"])),
            _ => Act::Reclaim {
                node: self.below(self.shape.nodes.max(1) as usize) as u32,
                goal: self.between(1, 2) as u32,
            },
        };
        Some(self.step(process, act))
    }

    /// A page of an area of private memory, if there is one.
    fn private_page(&mut self) -> Option<Page> {
        let private = self.areas.iter().filter(|area| area.shows == Shows::Private);
        let private: Vec<(&'static str, u32)> =
            private.map(|area| (area.name, area.pages)).collect();
        let (area, pages) = *private.get(self.below(private.len()))?;
        Some(Page { area, page: self.below(pages as usize) as u32 })
    }
}
