//! Programs about one huge page of the pool.
//!
//! Such an area is treated as a whole, as what would part a page is refused. A step may fail in one
//! way alone: where the pool is large enough for every copy, rights are taken away and the area is
//! unmapped; where it has a page or two, steps fail for want of one.

use super::super::steps::{Act, PLACE, Shows, Step};
use super::{Area, Maker};
use crate::generate::{Aim, Extent, Files};

/// The pages of the area: one huge page of the machine.
const PAGES: u32 = 4;
const AREA: Area = Area { name: "A", pages: PAGES, shows: Shows::Pooled, rights: "rw" };
/// Huge pages that no program uses up.
const PLENTY: u32 = 16;

impl Maker {
    /// The area with its page, whose frame is noted.
    pub(super) fn area_of_pool(&mut self) -> Vec<Step> {
        let mut steps = vec![self.area(AREA, Some(PLACE)), self.write("P")];
        let page = self.page();
        self.noted += 1;
        steps.push(self.step("P", Act::Note(page, self.noted - 1)));
        steps
    }

    /// How many huge pages there are; none for a program about other memory.
    pub(in super::super) fn pool(&mut self) -> Option<u32> {
        match (self.shape.files, self.shape.extent, self.shape.frames) {
            (Files::Left, Extent::Pool, None) => Some(PLENTY),
            (Files::Left, Extent::Pool, Some(_)) => Some(self.between(1, 2) as u32),
            _ => None,
        }
    }

    /// How the page is taken: by pins, and for reading under the lock of its table. Who only refers
    /// to it reads what is written there, as write faults go by who maps it (facts 1.5, 9.24); and
    /// a pin without a lock only refers to it until it has looked at the mark.
    pub(super) fn pooled_options(&mut self) -> &'static str {
        match self.shape.aim {
            Aim::Compare => "write longterm",
            Aim::Oracles => self.one_of(&[
                "write longterm",
                "write",
                "write longterm slow-only",
                "read longterm slow-only",
                "read slow-only",
            ]),
        }
    }

    /// A step that decides who keeps the page, or who gets one.
    pub(super) fn step_on_pool(&mut self, process: &'static str) -> Step {
        let plenty = self.shape.frames.is_none();
        match self.below(20) {
            4 => {
                let page = self.page();
                self.step(process, Act::Read(page))
            }
            5..=8 => self.take(process),
            9 | 10 => self.fork(process),
            // It would fail in two ways where rights are taken away.
            11 | 12 if !plenty => {
                let (page, access) = (self.page(), self.one_of(&["read", "write"]));
                self.step(process, Act::Populate(page, access))
            }
            13 => self.step(process, Act::AdviseAll(AREA.name, "dontneed")),
            14 if self.shape.nodes > 1 => {
                let (page, node) = (self.page(), self.below(2) as u32);
                self.step(process, Act::Migrate(page, node))
            }
            15 => self.try_get(process),
            16 if plenty => self.step(process, Act::UnmapAll(AREA.name)),
            17 | 18 if plenty => {
                let rights = self.one_of(&["ro", "rw", "none"]);
                self.step(process, Act::ProtectAll(AREA.name, rights))
            }
            19 if process != "P" && !self.in_lanes => {
                self.processes.retain(|other| *other != process);
                self.step(process, Act::Exit)
            }
            _ => self.write(process),
        }
    }
}
