//! What programs with files are made of: their areas, and the steps that others lack.

use super::{Area, Fitted, Maker, Trouble};
use crate::generate::shape::Aim;
use crate::generate::steps::{Act, FILES, File, FilePage, GROUPS, PLACE, Shows, Step};

/// Pages that a group may be charged for where that is no trouble, and the least where it is.
const ROOM: u32 = 64;
const LEAST: u32 = 4;

impl Maker {
    /// How many pages each group may be charged for.
    pub(in crate::generate) fn limit(&mut self) -> u32 {
        match self.trouble {
            Some(Trouble::Limit) => LEAST + self.below(3) as u32,
            Some(Trouble::Rights | Trouble::Cut | Trouble::Frames) | None => ROOM,
        }
    }

    /// One or two areas, the first of which shows what is kept elsewhere; and sometimes a group.
    pub(super) fn areas_of_files(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.shape.aim == Aim::Oracles && self.below(2) == 0 {
            steps.push(self.step("P", Act::Join(GROUPS[0])));
        }
        let shows = match self.below(6) {
            0 => Shows::Nameless,
            1 | 2 => self.shown(Shows::FileCopied),
            _ => self.shown(Shows::File),
        };
        let first = self.sized("A", shows);
        let copied = matches!(first.shows, Shows::FileCopied(..));
        let readable = self.trouble == Some(Trouble::Rights) && copied && self.below(4) > 0;
        let rights = if readable { "ro" } else { "rw" };
        steps.push(self.area(Area { rights, ..first }, None));
        if self.below(3) > 0 {
            let shows = match self.below(8) {
                0..=2 => Shows::Private,
                3 => Shows::Shared,
                4 | 5 => self.shown(Shows::FileCopied),
                _ => self.shown(Shows::File),
            };
            let second = self.sized("B", shows);
            let places = shows == Shows::Private && self.trouble == Some(Trouble::Rights);
            steps.push(self.area(second, places.then_some(PLACE)));
        }
        self.unmoved.retain(|(area, _)| self.areas.iter().any(|known| known.name == *area));
        if self.placed.is_some() {
            self.unmoved.retain(|(area, _)| *area != "B");
        }
        steps
    }

    /// A file from its beginning, shown in this way; three in four have a store.
    fn shown(&mut self, how: fn(File, u32) -> Shows) -> Shows {
        let [stored, memory] = FILES;
        how(if self.below(4) == 0 { memory } else { stored }, 0)
    }

    /// An area of one or two pages; one page may be any of the file's.
    fn sized(&mut self, name: &'static str, shows: Shows) -> Area {
        let pages = self.between(1, 2) as u32;
        let from =
            |file: File, this: &mut Self| this.below((file.pages - pages + 1) as usize) as u32;
        let shows = match shows {
            Shows::File(file, _) => Shows::File(file, from(file, self)),
            Shows::FileCopied(file, _) => Shows::FileCopied(file, from(file, self)),
            Shows::Private | Shows::Pooled | Shows::Shared | Shows::Nameless => shows,
        };
        Area { name, pages, shows, rights: "rw" }
    }

    /// A step of a program with files: two in five are such as others lack.
    pub(super) fn step_with_files(&mut self, process: &'static str) -> Step {
        if self.below(5) < 2 {
            return self.file_step(process);
        }
        let step = self.any_step(process);
        if self.suits(&step.act) { step } else { self.file_step(process) }
    }

    /// Whether a step fails in no other way than the program's.
    fn suits(&self, act: &Act) -> bool {
        let rights = self.trouble == Some(Trouble::Rights);
        match act {
            Act::Unmap(_) | Act::Replace { .. } | Act::Protect(..) => rights,
            Act::Advise(_, "dontneed") => !self.locks || rights,
            Act::Advise(_, "dontfork" | "dofork") => rights,
            // Of private memory only.
            Act::Advise(..) => false,
            // Where pages may be protected they fail in two ways.
            Act::Populate(..) => !rights,
            Act::Mlock(_) | Act::Munlock(_) => self.locks && !rights,
            // It takes frames, and cannot be left open.
            Act::Exec => self.trouble != Some(Trouble::Frames),
            _ => true,
        }
    }

    fn file_step(&mut self, process: &'static str) -> Step {
        let groups = self.shape.aim == Aim::Oracles;
        match self.below(25) {
            0..=3 => self.write_file(process),
            4..=5 => {
                let page = self.file_page();
                self.step(process, Act::FileRead(page))
            }
            6..=9 => {
                let file = self.file().name;
                self.step(process, Act::Sync(file))
            }
            10 => {
                let page = self.page();
                self.step(process, Act::Writeback(page))
            }
            11..=12 => {
                let page = self.file_page();
                self.step(process, Act::Punch(page))
            }
            13..=15 if self.trouble == Some(Trouble::Cut) => {
                let file = self.file();
                let pages = self.below(file.pages as usize + 1) as u32;
                self.step(process, Act::Truncate(file.name, pages))
            }
            13 if self.trouble == Some(Trouble::Rights) => self.moved(process),
            16 if groups => {
                let group = self.one_of(&GROUPS);
                self.step(process, Act::Join(group))
            }
            17 if groups => {
                let page = self.page();
                let [from, to] = if self.below(2) == 0 { ["G", "K"] } else { ["K", "G"] };
                self.step(process, Act::MoveCharge(page, from, to))
            }
            18..=21 => self.dropped(process),
            _ if groups => self.transfer(process),
            _ => self.write_file(process),
        }
    }

    /// A file that the program shows, or any where it shows none with a name.
    fn file(&mut self) -> File {
        let shown = |file: &File| {
            self.areas.iter().any(|area| match area.shows {
                Shows::File(of, _) | Shows::FileCopied(of, _) => of == *file,
                Shows::Private | Shows::Pooled | Shows::Shared | Shows::Nameless => false,
            })
        };
        let files: Vec<File> = FILES.into_iter().filter(shown).collect();
        let at = self.below(files.len());
        files.get(at).copied().unwrap_or(FILES[0])
    }

    fn file_page(&mut self) -> FilePage {
        let file = self.file();
        FilePage { file: file.name, page: self.below(file.pages as usize) as u32 }
    }

    pub(super) fn write_file(&mut self, process: &'static str) -> Step {
        let page = self.file_page();
        self.words += 1;
        self.step(process, Act::FileWrite(page, self.words))
    }

    /// A device, or a debugger, that brings a word.
    fn transfer(&mut self, process: &'static str) -> Step {
        let (page, handle) = (self.page(), self.handles);
        (self.handles, self.words) = (handle + 1, self.words + 1);
        let area = self.areas.iter().find(|area| area.name == page.area);
        let copied = area.is_some_and(|area| matches!(area.shows, Shows::FileCopied(..)));
        let options = if copied && self.below(4) > 0 { "write force" } else { "write" };
        self.step(process, Act::Transfer { page, options, handle, word: self.words })
    }

    /// The entries of a page go, and the file keeps it; a store where they must not.
    fn dropped(&mut self, process: &'static str) -> Step {
        let page = self.page();
        let act = match self.below(2) {
            0 => Act::Unmap(page),
            _ => Act::Advise(page, "dontneed"),
        };
        if self.suits(&act) { self.step(process, act) } else { self.write(process) }
    }

    /// Moves an area to its place, which nothing else is at; a store if all have been moved.
    fn moved(&mut self, process: &'static str) -> Step {
        match self.unmoved.pop() {
            Some((area, at)) => self.step(process, Act::Remap(area, at)),
            None => self.write(process),
        }
    }

    /// What may be asked of an area's pages: a device that goes on writing to a page of a stored
    /// file, or to one that it asked to read, writes what nobody learns of.
    pub(super) fn fitted(&mut self, shows: Shows, options: &'static str) -> Fitted {
        let asks = options.starts_with("write");
        let options = match shows {
            // Refused since 6.5, and the short one is not.
            Shows::Nameless | Shows::File(File { stored: true, .. }, _) if asks => "write",
            Shows::FileCopied(..)
                if asks && self.shape.aim == Aim::Oracles && self.below(2) == 0 =>
            {
                "write force"
            }
            Shows::Private
            | Shows::Pooled
            | Shows::Shared
            | Shows::Nameless
            | Shows::File(..)
            | Shows::FileCopied(..) => options,
        };
        Fitted { options, writes: asks && !shows.is_stored() }
    }
}
