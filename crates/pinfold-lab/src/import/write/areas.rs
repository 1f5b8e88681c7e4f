//! Where the mappings of a scenario are made: before all lanes, or by who made them.
//!
//! INV-AREA-LANE-1: memory that a process made when others had come from it is mapped in a lane of
//! that process, behind what that had done before: its parent never has it, and children made
//! earlier do not share it. Another lane that uses it, and does not come after, waits for that.
//! INV-AREA-LANE-2: such a wait ends: in the order of the recording each wait is over at once.

use super::super::log::{What, makes};
use super::super::plan::Area;
use super::super::space::Kind;
use super::Writer;

impl Writer<'_> {
    /// The lane that maps an area; none for what is there from the start.
    pub(super) fn home(&self, area: &Area) -> Option<usize> {
        let (log, lanes) = (self.log, &self.plan.lanes);
        let (line, by) = log.makers.get(&area.mapping).copied()?;
        if area.later || matches!(area.kind, Kind::Shared | Kind::Unseen) {
            return None;
        }
        let process = log.threads[by].process;
        let is_of = |thread: usize| log.threads[thread].process == process;
        let forked =
            || {
                lanes.values().flatten().map(|at| &log.ops[*at]).any(|op| {
                    matches!(op.what, What::Fork(_)) && is_of(op.thread) && op.line < line
                })
            };
        if is_of(self.plan.first) && !forked() {
            return None;
        }
        // Of threads without a lane the first of their process stands for them.
        match lanes.contains_key(&by) {
            true => Some(by),
            false => lanes.keys().copied().find(|thread| is_of(*thread)),
        }
    }

    /// The areas that a lane maps, with the lines of their calls.
    pub(super) fn own_areas(&self, thread: usize) -> Vec<(u64, Area)> {
        let own = self.plan.areas.iter().filter(|area| self.home(area) == Some(thread));
        let line = |area: &Area| self.log.makers.get(&area.mapping).map_or(0, |(line, _)| *line);
        own.map(|area| (line(area), area.clone())).collect()
    }

    /// Whether a thread's process has a page at a line.
    pub(super) fn has(&self, thread: usize, page: &str, line: u64) -> bool {
        self.area_of(page).is_none_or(|area| self.log.has(thread, area.mapping, line))
    }

    /// Whether a thread may use a page from its first call on.
    pub(super) fn has_at_once(&self, thread: usize, page: &str) -> bool {
        let Some(area) = self.area_of(page) else { return true };
        let home = self.home(area);
        home.is_none_or(|home| {
            home == thread
                || !self.plan.lanes.contains_key(&thread)
                || self.comes_after(thread, home, area)
        })
    }

    fn area_of(&self, page: &str) -> Option<&Area> {
        let name = page.split('[').next().unwrap_or(page);
        self.plan.areas.iter().find(|area| self.area_name(area) == name)
    }

    /// Whether a thread was made, by its own maker or one before that, when its home had the area.
    fn comes_after(&self, thread: usize, home: usize, area: &Area) -> bool {
        let log = self.log;
        let line = log.makers.get(&area.mapping).map_or(0, |(line, _)| *line);
        let mut at = thread;
        while let Some(made) = log.ops.iter().find(|op| makes(op) == Some(at)) {
            if made.thread == home {
                return made.line > line;
            }
            at = made.thread;
        }
        false
    }

    /// Has the lane wait until pages are mapped, if that is not certain.
    pub(super) fn ensure(&mut self, thread: usize, pages: &[(String, bool)], prefix: &str) {
        let unsure = |page: &str| {
            let area = self.area_of(page)?;
            let home = self.home(area)?;
            let sure = home == thread || self.comes_after(thread, home, area);
            (!sure).then(|| self.area_name(area))
        };
        let names: Vec<&'static str> = pages.iter().filter_map(|(page, _)| unsure(page)).collect();
        for name in names {
            if self.awaited.insert((thread, name)) {
                self.line(&format!("{prefix}await mapped-{name}"));
            }
        }
    }

    /// Maps an area, in a process, and fills it.
    pub(super) fn map(&mut self, area: &Area, process: &str, prefix: &str) {
        let name = self.area_name(area);
        let count = area.pages.len();
        let (mut what, kind) = match area.kind {
            Kind::Private => ("private memory".to_owned(), "private"),
            Kind::PrivateFile => {
                ("private memory of a file, taken as anonymous".to_owned(), "private")
            }
            Kind::Shared => ("shared memory".to_owned(), "shared"),
            Kind::Huge => {
                ("private memory of huge pages, taken as small ones".to_owned(), "private")
            }
            Kind::Unseen => (
                "memory that no call of the recording made, taken as private".to_owned(),
                "private",
            ),
        };
        for (at, page) in area.pages.iter().enumerate() {
            let pages = page.range.to - page.range.from;
            let part = if page.partial { ", used in part" } else { "" };
            what.push_str(&match pages {
                1 => format!("; {name}[{at}] is a page{part}"),
                many => format!("; {name}[{at}] is {many} pages that all calls treat alike"),
            });
        }
        self.comment(&format!("{name}: {what}"));
        self.line(&format!("{prefix}map {name} {count} {kind} rw"));
        self.comment("assumed: it was written before it is used");
        for at in 0..count {
            self.line(&format!("{prefix}write {name}[{at}] \"v1\""));
            self.found(process, &format!("{name}[{at}]"), "v1");
        }
    }

    /// The maps of a lane that come before a line: all that were made by then.
    pub(super) fn due(&mut self, thread: usize, areas: &mut Vec<(u64, Area)>, line: u64) {
        let (now, later) = areas.drain(..).partition(|(made, _)| *made < line);
        *areas = later;
        let process = self.process(thread);
        let now: Vec<(u64, Area)> = now;
        for (_, area) in now {
            self.map(&area, &process, "");
            let name = self.area_name(&area);
            if self.is_awaited(thread, &area) {
                self.line(&format!("signal mapped-{name}"));
            }
        }
    }

    /// Whether another lane may wait until an area is mapped.
    fn is_awaited(&self, home: usize, area: &Area) -> bool {
        let other = self.other().into_iter();
        let others = self.plan.lanes.keys().copied().chain(other).filter(|other| *other != home);
        let mut unsure = others.filter(|other| !self.comes_after(*other, home, area));
        unsure.any(|other| self.log.has(other, area.mapping, u64::MAX) || self.visits(other, area))
    }

    /// Whether a thread of another process uses an area.
    fn visits(&self, thread: usize, area: &Area) -> bool {
        let log = self.log;
        let steps = self.plan.lanes.get(&thread).into_iter().flatten();
        let takes = |at: &usize| match log.ops[*at].what {
            What::Take(seed) => {
                log.seeds[seed].ranges.iter().any(|range| range.mapping == area.mapping)
            }
            _ => false,
        };
        steps.into_iter().any(takes)
    }
}
