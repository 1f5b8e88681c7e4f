//! Steps that map memory and change where it lies.

use pinfold::{
    AddressSpace, File, FileSharing, Remap, Sharing as SpaceSharing, VirtAddr, VirtRange,
};

use super::asked::{Extent, Shows, place, prot};
use super::{Done, Fault};
use crate::files::{self, Disk};
use crate::machine::Machine;
use crate::scenario::{Failure, Occupied, Protection, Sharing};
use crate::spaces::Area;
use crate::world::World;

impl World {
    pub(super) fn map(
        &self,
        process: &str,
        area: &str,
        (shows, protection): (Shows<'_>, Protection),
        extent: Extent,
        (at, occupied): (Option<u64>, Occupied),
    ) -> Done {
        let space = self.live(process)?;
        let at = match shows.sharing {
            Sharing::Stack => Some(extent.start(at)),
            Sharing::Private | Sharing::Shared | Sharing::File | Sharing::Hugetlb => at,
        };
        let (place, prot) = (place(at, occupied), prot(protection));
        let pages = u64::from(extent.pages);
        let files = self.files();
        let named = shows.of.map(|shown| {
            let file = files.iter().find(|file| file.name == shown.file.value);
            (file.map(|named| &named.file), u64::from(shown.from()))
        });
        let (mapped, disk) = match (shows.sharing, named) {
            (Sharing::File, _) => {
                let disk = Disk::new(&format!("{process}:{area}"), self.machine().words());
                let file = File::new(&self.memory, pages, files::store(&disk))?;
                let run = file.run(0..pages);
                (space.map_file(place, prot, run, FileSharing::Shared)?, Some(disk))
            }
            (sharing, Some((file, from))) => {
                let file = file.ok_or_else(|| Fault::other("there is no such file"))?;
                let sharing = match sharing.is_private() {
                    true => FileSharing::Private,
                    false => FileSharing::Shared,
                };
                (space.map_file(place, prot, file.run(from..from + pages), sharing)?, None)
            }
            (Sharing::Private, None) => {
                (space.map(place, pages, prot, SpaceSharing::Private)?, None)
            }
            (Sharing::Shared, None) => (space.map(place, pages, prot, SpaceSharing::Shared)?, None),
            (Sharing::Hugetlb, None) => (space.map_hugetlb(place, pages, prot)?, None),
            (Sharing::Stack, None) => (space.map(place, pages, prot, SpaceSharing::Stack)?, None),
        };
        let range = extent.around(mapped).map_err(|error| Fault::of(Failure::Invalid, error))?;
        self.machine().record().unwatch(self.machine().lane(), space.id(), Some(range));
        let area_there = Area { range, sharing: shows.sharing, disk };
        self.at_home(process, |home| home.areas.insert(area, area_there))?;
        self.watch(process, area, &space, range);
        Ok(None)
    }

    pub(super) fn remap(&self, process: &str, area: &str, at: u64) -> Done {
        let old = self.area(process, area)?;
        let space = self.live(process)?;
        let range = space.remap(old.range, old.range.pages(), Remap::To(VirtAddr(at)))?;
        self.machine().record().unwatch(self.machine().lane(), space.id(), Some(old.range));
        self.machine().record().moved(space.id(), old.range, range);
        self.at_home(process, |home| home.areas.insert(area, Area { range, ..old }))?;
        self.state.borrow_mut().moved(space.id(), old.range, range);
        self.watch(process, area, &space, range);
        Ok(None)
    }

    /// Moves the program break so that the area below it has so many pages.
    pub(super) fn move_break(&self, process: &str, area: &str, pages: u32) -> Done {
        let space = self.live(process)?;
        let range = self.below_break().map_err(|error| Fault::of(Failure::Invalid, error))?;
        let known = Area { range, sharing: Sharing::Private, disk: None };
        self.at_home(process, |home| home.areas.insert(area, known))?;
        let end = VirtAddr::of_page(range.first_page().0 + u64::from(pages));
        space.move_break(end)?;
        self.machine().record().unwatch(self.machine().lane(), space.id(), Some(range));
        self.watch(process, area, &space, range);
        Ok(None)
    }

    /// Shows the pages of an area in the state column of a trace.
    pub(super) fn watch(
        &self,
        process: &str,
        area: &str,
        space: &AddressSpace<Machine>,
        range: VirtRange,
    ) {
        let mut record = self.machine().record();
        if !record.keeps_journal() {
            return;
        }
        for page in range.iter() {
            let name = if range.pages() == 1 {
                format!("{process}:{area}")
            } else {
                format!("{process}:{area}[{}]", page - range.first_page())
            };
            record.watch(process, name, (space.id(), space.root()), page.0);
        }
    }
}
