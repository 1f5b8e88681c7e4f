//! Advice about a range: what fork does with it, and that its contents are not needed (facts 2.1,
//! 7.7).

use crate::addr::VirtRange;
use crate::area::OnFork;
use crate::error::SpaceError;
use crate::platform::Platform;
use crate::space::{Advice, Space};

impl<P: Platform> Space<P> {
    pub(crate) fn advise(&self, range: VirtRange, advice: Advice) -> Result<(), SpaceError> {
        let range = self.allowed(range)?;
        let change: fn(OnFork) -> OnFork = match advice {
            Advice::DontNeed => return self.dont_need(range),
            Advice::DontFork => |now| now | OnFork::LEAVE,
            Advice::DoFork => |now| now - OnFork::LEAVE,
            Advice::WipeOnFork => |now| now | OnFork::WIPE,
            Advice::KeepOnFork => |now| now - OnFork::WIPE,
        };
        let mut map = self.write_map();
        map.all_mapped(range)?;
        if advice == Advice::WipeOnFork
            && let Some(area) = map.overlapping(range).find(|area| !area.is_cow())
        {
            return Err(SpaceError::WrongKind(area.range.start()));
        }
        self.isolate(&mut map, range)?;
        let mut page = range.first_page();
        while page < range.end_page() {
            let Some(area) = map.find_mut(page) else { break };
            let area = self.recalled(area);
            area.on_fork = change(area.on_fork);
            page = area.range.end_page();
        }
        self.merge_within(&mut map, range);
        Ok(())
    }
}
