//! The step that moves pages and tells what became of each.

use pinfold_lab::resolved::{Pages, Statuses};
use pinfold_lab::scenario::{Status, Whose};

use super::Cast;
use crate::inside::sys::{self, Errno};
use crate::job::Did;

impl Cast {
    /// `move-pages`: one page after the other, as one call leaves the statuses of all pages as they
    /// were where one of them stays.
    pub(super) fn move_pages(
        &self,
        process: usize,
        (pages, node): (Pages, u32),
        whose: Whose,
        register: Option<usize>,
    ) -> Result<Did, Errno> {
        let start = self.range(process, pages)?.start();
        let mut each = [Status::Busy; sys::STAGE_PAGES as usize];
        let each = each.get_mut(..pages.count as usize).ok_or(libc::EINVAL)?;
        for (page, status) in (0..).zip(each.iter_mut()) {
            *status = sys::nodes::move_page(self.scale.page(start, page), node, whose)?;
        }
        if let (Some(register), Some(one)) = (register, each.first()) {
            let word = self.plan.words.iter().position(|word| word == one.as_str());
            self.board.set_register(register, word.ok_or(libc::EINVAL)? as u64);
        }
        Ok(Did::Worked(Statuses::of(each.iter().copied()).number()))
    }
}
