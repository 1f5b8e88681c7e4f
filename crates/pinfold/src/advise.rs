//! Advice about a range: what fork does with it, how large its folios may be, if its pages may be
//! merged with equal ones, and that its contents are not needed, for a while or ever (facts 2.1,
//! 7.1, 7.7). What is mapped in the range takes it, and
//! an error tells of holes.

use crate::addr::VirtRange;
use crate::area::{Advised, AreaMap};
use crate::error::SpaceError;
use crate::platform::Platform;
use crate::space::{Advice, Space};

impl<P: Platform> Space<P> {
    pub(crate) fn advise(&self, range: VirtRange, advice: Advice) -> Result<(), SpaceError> {
        let range = self.allowed(range)?;
        let change: fn(Advised) -> Advised = match advice {
            Advice::DontNeed => return self.dont_need(range),
            Advice::Free => return self.free_lazily(range),
            Advice::Cold => {
                let whole = self.read_map().all_mapped(range);
                self.cool(range);
                return whole;
            }
            Advice::DontFork => |now| now | Advised::LEAVE,
            Advice::DoFork => |now| now - Advised::LEAVE,
            Advice::WipeOnFork => |now| now | Advised::WIPE,
            Advice::KeepOnFork => |now| now - Advised::WIPE,
            Advice::HugePage => |now| (now | Advised::LARGE) - Advised::SMALL,
            Advice::NoHugePage => |now| (now | Advised::SMALL) - Advised::LARGE,
            Advice::Merge => |now| now | Advised::MERGE,
            Advice::Unmerge => |now| now - Advised::MERGE,
        };
        let mut map = self.write_map();
        let whole = map.all_mapped(range);
        let mut first = range.first_page();
        // Holes are passed over, and told of at the end.
        while first < range.end_page() {
            let left = VirtRange::of_pages(first, range.end_page());
            let Some(area) = map.first_in(left) else { break };
            let from = area.range.first_page().max(first);
            let end = map.first_hole(VirtRange::of_pages(from, range.end_page()));
            self.advise_mapped(&mut map, VirtRange::of_pages(from, end), advice, change)?;
            first = end;
        }
        drop(map);
        if advice == Advice::Unmerge {
            self.unmerge(range)?;
        }
        whole
    }

    /// Advice that is kept, for a range that is mapped.
    fn advise_mapped(
        &self,
        map: &mut AreaMap<P>,
        range: VirtRange,
        advice: Advice,
        change: fn(Advised) -> Advised,
    ) -> Result<(), SpaceError> {
        if advice == Advice::WipeOnFork
            && let Some(area) =
                map.overlapping(range).find(|area| !area.is_anon() || area.is_pooled())
        {
            return Err(SpaceError::WrongKind(area.range.start()));
        }
        self.isolate_where(map, range, |area| area.advised != change(area.advised))?;
        let mut page = range.first_page();
        while page < range.end_page() {
            let Some(area) = map.find_mut(page) else { break };
            let area = self.recalled(area);
            area.advised = change(area.advised);
            page = area.range.end_page();
        }
        self.merge_within(map, range);
        Ok(())
    }
}
