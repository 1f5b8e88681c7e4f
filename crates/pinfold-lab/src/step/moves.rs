//! Steps that move pages between nodes: by their frames, or by request, with a status for each page
//! or for a range.

use pinfold::{MigrateMode, MoveScope, NodeId, NotMoved, PageStatus, Strict, VirtAddr};

use super::{Done, Fault};
use crate::scenario::{Failure, Name, Pages, Spanned, Status, Strictness, Waits, Whose};
use crate::world::World;

/// How long a mover waits, who unless told otherwise waits like `default`.
fn mode(waits: Option<Spanned<Waits>>, default: MigrateMode) -> MigrateMode {
    match waits.map(|waits| waits.value) {
        None => default,
        Some(Waits::Async) => MigrateMode::Async,
        Some(Waits::Light) => MigrateMode::SyncLight,
        Some(Waits::Sync) => MigrateMode::Sync,
    }
}

fn scope(whose: Whose) -> MoveScope {
    match whose {
        Whose::Own => MoveScope::Own,
        Whose::All => MoveScope::All,
    }
}

/// The word for what became of a page that was to be on a node.
fn status(found: PageStatus, wanted: NodeId) -> Status {
    match found {
        PageStatus::On(node) if node == wanted => Status::There,
        PageStatus::NotMapped => Status::NotMapped,
        PageStatus::Absent => Status::Absent,
        PageStatus::Shared => Status::Shared,
        PageStatus::NoFrame => Status::NoFrame,
        PageStatus::Fixed => Status::Fixed,
        // The checks let no node through that there is not.
        PageStatus::On(_) | PageStatus::NoNode | PageStatus::Busy => Status::Busy,
    }
}

impl World {
    /// `migrate`
    pub(super) fn migrate(
        &self,
        (process, pages): (&str, &Pages),
        node: NodeId,
        waits: Option<Spanned<Waits>>,
    ) -> Done {
        let (space, range) = self.range(process, pages)?;
        Ok(self.moved(space.migrate_as(range, node, mode(waits, MigrateMode::Sync))))
    }

    /// `compact`
    pub(super) fn compact(
        &self,
        (process, pages): (&str, &Pages),
        node: NodeId,
        waits: Option<Spanned<Waits>>,
    ) -> Done {
        let (space, range) = self.range(process, pages)?;
        Ok(self.moved(space.compact_as(range, node, mode(waits, MigrateMode::SyncLight))))
    }

    /// `move-pages`: what became of each page, compared with what must.
    pub(super) fn move_pages(
        &self,
        (process, pages): (&str, &Pages),
        (node, whose): (NodeId, Whose),
        (expect, register): (&[Spanned<Status>], Option<&Name>),
    ) -> Done {
        let (space, range) = self.range(process, pages)?;
        let first = range.first_page();
        let asked: Vec<(VirtAddr, NodeId)> =
            (0..range.pages()).map(|page| ((first + page).start(), node)).collect();
        let mut found: Vec<Status> = Vec::with_capacity(asked.len());
        space.move_pages(&asked, scope(whose), |told| found.push(status(told, node)));
        if let (Some(register), Some(one)) = (register, found.first()) {
            self.fill(register, self.words.value(one.as_str()));
        }
        let said = || found.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(" ");
        let wanted =
            |page: usize| expect.get(page).or(expect.first().filter(|_| expect.len() == 1));
        let other = (0..found.len())
            .find(|page| wanted(*page).is_some_and(|wanted| wanted.value != found[*page]));
        match other {
            Some(page) => Err(Fault::other(format!("page {page} of these is: {}", said()))),
            None => Ok(self.tell(|| format!("status {}", said()))),
        }
    }

    /// `mbind`: of a range whose pages are all to be on a node.
    pub(super) fn mbind(
        &self,
        (process, pages): (&str, &Pages),
        node: NodeId,
        (whose, strict): (Whose, Strictness),
    ) -> Done {
        let (space, range) = self.range(process, pages)?;
        let strict = match strict {
            Strictness::No => Strict::No,
            Strictness::Strict => Strict::Strict,
        };
        match space.move_range(range, node, scope(whose), strict) {
            Ok(moved) => Ok(self.moved(moved)),
            Err(error @ NotMoved::Stays(_)) => Err(Fault::of(Failure::Busy, error)),
            Err(error @ NotMoved::NotMapped(_)) => Err(Fault::of(Failure::NotMapped, error)),
            Err(error) => Err(Fault::other(error.to_string())),
        }
    }
}
