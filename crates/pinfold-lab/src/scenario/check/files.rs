//! Checks of steps and claims about files and groups of memory.

use super::super::ast::{Behind, Extent, Name, Pages, Part, Place, Step};
use super::super::error::{Code, ScenarioError};
use super::super::span::{Span, Spanned};
use super::super::suggest::did_you_mean;
use super::super::words::Failure;
use super::Checker;
use super::names::Point;
use crate::counted::counted;

impl<'a> Checker<'a> {
    /// How many pages of a file have names, or an error.
    pub(super) fn file(&mut self, name: &'a Name) -> Option<u32> {
        if let Some(file) = self.names.file(name) {
            return Some(file.pages);
        }
        let known = self.names.files();
        let help = did_you_mean(name, "files", known.iter().copied());
        self.errors.push(
            ScenarioError::new(
                Code::UnknownFile,
                name.span,
                format!("the machine has no file `{name}`"),
                "unknown file",
            )
            .maybe_help(help.or_else(|| Some(format!("write `file {name} 1` in `machine`")))),
        );
        None
    }

    /// A group of memory.
    pub(super) fn group(&mut self, name: &'a Name) {
        if self.names.has_group(name) {
            return;
        }
        let help = did_you_mean(name, "groups", self.names.groups());
        self.errors.push(
            ScenarioError::new(
                Code::UnknownGroup,
                name.span,
                format!("the machine has no group `{name}`"),
                "unknown group",
            )
            .maybe_help(
                help.or_else(|| Some(format!("write `group {name} limit 8` in `machine`"))),
            ),
        );
    }

    /// One page of a file; none that the file never has, unless the step may fail for that.
    pub(super) fn file_place(&mut self, place: &'a Place, step: Option<&'a Step>) {
        let Some(pages) = self.file(&place.name) else { return };
        let expected = step.and_then(|step| step.fails.or(step.may_fail));
        let past_end = expected.is_some_and(|failure| failure.value == Failure::PastEnd);
        match place.page {
            Some(page) if page.value >= pages && !past_end => {
                self.past_end(&place.name, page.span, &format!("page {page}"), pages);
            }
            None if pages == 0 && !past_end => {
                self.past_end(&place.name, place.name.span, "page 0", pages);
            }
            // The length of the page's own name is enough where it lies past the end.
            _ => {
                let within =
                    place.page.map_or(pages, |page| pages.max(page.value.saturating_add(1)));
                self.one_page(place, within, "file");
            }
        }
    }

    /// `FILE stores`, where something is behind the file.
    pub(super) fn stores(&mut self, place: &'a Place) {
        self.file_place(place, None);
        if self.names.file(&place.name).is_some_and(|file| file.behind == Behind::Memory) {
            self.errors.push(
                nothing_behind(&place.name)
                    .help("leave `memory` out where the file is made, or write `sees`"),
            );
        }
    }

    /// A length of so many words more than whole pages.
    pub(super) fn truncate(&mut self, file: &'a Name, words: Option<Spanned<u32>>) {
        self.file(file);
        let most = self.scenario.machine.words();
        let Some(words) = words.filter(|words| words.value == 0 || words.value >= most) else {
            return;
        };
        let parts = counted(most, "word", "words");
        let label = match most {
            1 => "no part of a page has words".to_owned(),
            _ => format!("must be 1 to {}", most - 1),
        };
        self.errors.push(
            ScenarioError::new(
                Code::BadNumber,
                words.span,
                format!("{words} is no part of a page, which has {parts}"),
                label,
            )
            .help("leave `words` out for whole pages; `words N` in `machine` gives pages more"),
        );
    }

    pub(super) fn punch(&mut self, pages: &'a Pages) {
        let Some(length) = self.file(&pages.area) else { return };
        match pages.extent {
            Extent::Range { start, end } if start.value >= end.value => {
                self.errors.push(super::empty_range(start.span.to(end.span)));
            }
            Extent::Range { end, .. } if end.value > length => {
                self.past_end(&pages.area, end.span, &format!("a range up to {end}"), length);
            }
            Extent::One(page) if page.value >= length => {
                self.past_end(&pages.area, page.span, &format!("page {page}"), length);
            }
            Extent::All | Extent::One(_) | Extent::Range { .. } => {}
        }
    }

    /// Memory and as much of a file, between whose store and the memory direct I/O moves.
    pub(super) fn direct(
        &mut self,
        at: Point,
        process: Option<&'a Name>,
        (memory, file): (&'a Part, &'a Part),
    ) {
        let before = self.errors.len();
        self.part(at, process, memory);
        match file {
            Part::Pages(pages) => self.punch(pages),
            Part::Word(place) => self.file_place(place, None),
        }
        let name = file.name();
        let Some(of) = self.names.file(name) else { return };
        if of.behind == Behind::Memory {
            self.errors.push(nothing_behind(name).help(
                "direct I/O goes past memory to what is behind a file: leave `memory` out where \
                 the file is made",
            ));
        }
        if self.errors.len() > before {
            return;
        }
        let area = process.and_then(|process| self.names.area(process, memory.name(), at));
        let Some(length) = area.map(|area| area.pages) else { return };
        let size = |part: &Part, length| match part {
            Part::Pages(_) => counted(part.resolve(length).1, "page", "pages"),
            Part::Word(_) => "1 word".to_owned(),
        };
        let (own, its) = (size(memory, length), size(file, of.pages));
        if own != its {
            self.errors.push(
                ScenarioError::new(
                    Code::UnequalParts,
                    file.span().0,
                    format!("`{memory}` is {own}, and `{file}` is {its}"),
                    "another size",
                )
                .related(memory.span().0, "the memory")
                .help("say what is meant, as in `A[0..2]` and `F[1..3]`, or `A.1` and `F[0].1`"),
            );
        }
    }

    /// Pages of an area of a process, or a word of one.
    pub(super) fn part(&mut self, at: Point, process: Option<&'a Name>, part: &'a Part) {
        match part {
            Part::Pages(pages) => self.pages(at, process, pages),
            Part::Word(place) => self.area_place(at, process, place),
        }
    }

    fn past_end(&mut self, name: &Name, span: Span, reference: &str, length: u32) {
        let pages = counted(length, "page", "pages");
        self.errors.push(
            ScenarioError::new(
                Code::OutsideArea,
                span,
                format!("{reference} lies past the end of the file `{name}`"),
                format!("`{name}` never has more than {pages}"),
            )
            .help(
                "pages are counted from 0; `truncate` makes a file longer, and an access past \
                   its end `fails past-end`",
            ),
        );
    }
}

/// The error for a file that is in memory only, where something must be behind it.
fn nothing_behind(file: &Name) -> ScenarioError {
    ScenarioError::new(
        Code::NothingBehind,
        file.span,
        format!("nothing is behind the file `{file}`"),
        "only in memory",
    )
}
