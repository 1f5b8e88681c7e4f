//! Checks of steps on handles: that there is one, of the right kind, with such a page, and not
//! released before.

use super::super::ast::{Name, Place, Step};
use super::super::error::{Code, ScenarioError};
use super::super::suggest::did_you_mean;
use super::Checker;
use super::names::{Kind, Point};

impl<'a> Checker<'a> {
    pub(super) fn handle_place(&mut self, at: Point, place: &'a Place) {
        if let Some(pages) = self.live_handle(at, &place.name) {
            self.one_page(place, pages, "handle");
        }
    }

    /// The frame of `try-get`: a page of a handle of `note`.
    pub(super) fn noted(&mut self, at: Point, frame: &'a Place) {
        self.handle_place(at, frame);
        self.whole_page(frame, "`try-get`");
        if let Some(handle) = self.names.handle(&frame.name)
            && handle.kind != Kind::Note
        {
            let kind = handle.kind.taken_by();
            self.errors.push(
                ScenarioError::new(
                    Code::UnknownHandle,
                    frame.name.span,
                    format!(
                        "`{}` was taken by `{kind}`, and so has references already",
                        frame.name
                    ),
                    "no handle of `note`",
                )
                .related(handle.span, "taken here")
                .help("`note PAGES as n0` remembers the frames that pages have"),
            );
        }
    }

    /// What `get-page` takes one more reference through: a page of a handle that has an ordinary
    /// one.
    pub(super) fn referred_to(&mut self, at: Point, held: &'a Place) {
        self.handle_place(at, held);
        self.whole_page(held, "`get-page`");
        let Some(handle) = self.names.handle(&held.name) else { return };
        let (why, help) = match handle.kind {
            Kind::Get => return,
            Kind::Pin => (
                "a pin is counted apart, and more of it is another `pin`",
                "take an ordinary reference first: `get PAGES read as h0`".to_owned(),
            ),
            Kind::Follow => (
                "its device follows, and holds no page",
                "take a reference first: `get PAGES read as h0`".to_owned(),
            ),
            Kind::Note => (
                "it remembers frames and holds none of them",
                format!("take a reference first: `try-get {} as h0`", held.name),
            ),
        };
        let kind = handle.kind.taken_by();
        self.errors.push(
            ScenarioError::new(
                Code::UnknownHandle,
                held.name.span,
                format!(
                    "`{}` was taken by `{kind}`: there is no reference to go through",
                    held.name
                ),
                why,
            )
            .related(handle.span, "taken here")
            .help(help),
        );
    }

    /// What is read or written goes through a handle that holds its pages.
    pub(super) fn holds_pages(&mut self, place: &'a Place) {
        if let Some(handle) = self.names.handle(&place.name)
            && handle.kind == Kind::Note
        {
            self.errors.push(
                ScenarioError::new(
                    Code::UnknownHandle,
                    place.name.span,
                    format!("`{}` remembers frames and holds none of them", place.name),
                    "what is in them may be anybody's",
                )
                .related(handle.span, "made by `note`")
                .help(format!("take a reference first: `try-get {} as h0`", place.name)),
            );
        }
    }

    /// The number of pages of a handle that is in use at this point, or an error.
    fn live_handle(&mut self, at: Point, name: &'a Name) -> Option<u32> {
        if self.names.handle(name).is_some() && self.names.is_area(name) {
            // Using one name for two things is a separate error.
            return None;
        }
        let Some(handle) = self.names.handle(name).filter(|handle| handle.made.may_precede(at))
        else {
            self.unknown_handle(at, name);
            return None;
        };
        if let Some((released, span)) = handle.released
            && released.precedes(at)
        {
            self.errors.push(
                ScenarioError::new(
                    Code::UsedAfterRelease,
                    name.span,
                    format!("the handle `{name}` is used after its end"),
                    "no longer a handle",
                )
                .related(span, "released here"),
            );
            return None;
        }
        let pages = handle.pages;
        self.sure_handle(at, name);
        pages
    }

    /// A step outside the lanes of a process that may not exist cannot use a handle that one of its
    /// steps makes; a claim about it at the end can. One that is left out if the handle was not
    /// made is no reason for doubt.
    fn sure_handle(&mut self, at: Point, name: &Name) {
        if let Some(unsure) = self.names.unsure_maker(name)
            && at != Point::END
        {
            self.errors.push(
                ScenarioError::new(
                    Code::UnknownHandle,
                    name.span,
                    format!("the process that makes the handle `{name}` may not be there"),
                    "needs a process that there is for sure",
                )
                .related(unsure, "may fail, and then it is not made")
                .help("leave the handle to the end, and say in `always` what must hold of it"),
            );
        }
    }

    fn unknown_handle(&mut self, at: Point, name: &Name) {
        let mut error = ScenarioError::new(
            Code::UnknownHandle,
            name.span,
            format!("there is no handle `{name}` here"),
            "unknown handle",
        );
        error = match self.names.handle(name) {
            Some(later) => error.related(later.span, "made only here"),
            None => {
                let help = did_you_mean(name, "handles", self.names.handles(at));
                error.maybe_help(help.or_else(|| {
                    Some(
                        "handles are made by `pin PAGES write as h0`, by `get`, `follow`, `note`, \
                         `try-get` and `get-page`"
                            .to_owned(),
                    )
                }))
            }
        };
        self.errors.push(error);
    }

    pub(super) fn release(&mut self, at: Point, step: &Step, name: &'a Name, kind: Kind) {
        let Some(handle) = self.names.handle(name).filter(|handle| handle.made.may_precede(at))
        else {
            return self.unknown_handle(at, name);
        };
        if step.fails.is_some() {
            return;
        }
        self.sure_handle(at, name);
        if handle.kind != kind {
            let verb = step.action.verb();
            let help = match handle.kind.released_by() {
                Some(other) => format!("write `{other} {name}`"),
                None => "it holds nothing that could be released: leave this out".to_owned(),
            };
            self.errors.push(
                ScenarioError::new(
                    Code::WrongRelease,
                    name.span,
                    format!("`{name}` was taken by `{}`", handle.kind.taken_by()),
                    format!("not a handle for `{verb}`"),
                )
                .related(handle.span, "taken here")
                .help(help),
            );
        }
        // Every step runs once in every execution, so two releases anywhere are one too many.
        if let Some((_, first)) = handle.released
            && first != name.span
        {
            self.errors.push(
                ScenarioError::new(
                    Code::ReleasedTwice,
                    name.span,
                    format!("the handle `{name}` is released twice"),
                    "released again",
                )
                .related(first, "released first")
                .help("remove one of the two, or pin twice under two names"),
            );
        }
    }
}
