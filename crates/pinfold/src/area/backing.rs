//! Where an area's pages come from.

use core::ops::Range;

use crate::addr::{Mm, VirtRange, Vpn};
use crate::error::NoMemory;
use crate::object::{Mapper, Object};
use crate::platform::Platform;
use crate::rmap::Seat;
use crate::sync::Shared;

/// Where an area's pages come from: private anonymous memory, an object, or, for a private mapping
/// of a file, an object until they are written.
pub(crate) struct Backing<P: Platform> {
    /// What new pages of the area's own have as their home. The area is counted in the family of
    /// the home, and leaves it when it goes. None if writes go to the object.
    seat: Seat,
    view: Option<Shared<View<P>>>,
}

/// Where an area shows an object.
pub(crate) struct View<P: Platform> {
    pub(crate) object: Shared<Object<P>>,
    /// Virtual page number of the object's page 0 here; wraps.
    origin: Vpn,
}

impl<P: Platform> View<P> {
    /// Shows an object with its page 0 at `origin`, which wraps.
    pub(crate) fn new(object: Shared<Object<P>>, origin: u64) -> Result<Shared<Self>, NoMemory> {
        Shared::try_new(Self { object, origin: Vpn(origin) })
    }

    /// The number in the object of a page that is shown.
    #[inline]
    pub(crate) fn index(&self, page: Vpn) -> u64 {
        page.0.wrapping_sub(self.origin.0)
    }

    /// The numbers in the object of the pages of a range.
    pub(crate) fn indices(&self, range: VirtRange) -> Range<u64> {
        let first = self.index(range.first_page());
        first..first + range.pages()
    }

    /// As whom the object knows an area of this address space.
    pub(crate) fn mapper(&self, mm: Mm) -> Mapper {
        Mapper { mm, origin: self.origin }
    }

    /// The same pages, shown so many pages further up; wraps.
    pub(crate) fn moved(&self, by: u64) -> Result<Shared<Self>, NoMemory> {
        Self::new(self.object.clone(), self.origin.0.wrapping_add(by))
    }

    fn is_like(&self, other: &Self) -> bool {
        self.object.same(&other.object) && self.origin == other.origin
    }
}

impl<P: Platform> Clone for Backing<P> {
    fn clone(&self) -> Self {
        Self { seat: self.seat, view: self.view.clone() }
    }
}

impl<P: Platform> Backing<P> {
    /// Private anonymous memory.
    pub(crate) fn anon(seat: Seat) -> Self {
        Self { seat, view: None }
    }

    /// Pages of an object, shared with everyone who maps it.
    pub(crate) fn shared(view: Shared<View<P>>) -> Self {
        Self { seat: Seat::NONE, view: Some(view) }
    }

    /// Pages of an object, until they are written.
    pub(crate) fn copied(seat: Seat, view: Shared<View<P>>) -> Self {
        Self { seat, view: Some(view) }
    }

    /// Memory with a home, a view, or both.
    pub(crate) fn of(seat: Option<Seat>, view: Option<Shared<View<P>>>) -> Self {
        Self { seat: seat.unwrap_or(Seat::NONE), view }
    }

    /// Where pages of its own are at home, if it has any.
    #[inline]
    pub(crate) fn seat(&self) -> Option<Seat> {
        self.seat.is_some().then_some(self.seat)
    }

    /// Its own pages are at home there from now on.
    pub(crate) fn set_seat(&mut self, home: Seat) {
        self.seat = home;
    }

    /// Which pages of an object it shows, if it does.
    #[inline]
    pub(crate) fn view(&self) -> Option<&View<P>> {
        self.view.as_deref()
    }

    /// Which pages of an object it shares with others, if it does.
    #[inline]
    pub(crate) fn shares(&self) -> Option<&View<P>> {
        self.view().filter(|_| !self.seat.is_some())
    }

    /// Whether two neighbouring areas with these could be one.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.seat.home.same_member(other.seat.home)
            && match (&self.view, &other.view) {
                (None, None) => true,
                (Some(a), Some(b)) => a.is_like(b),
                _ => false,
            }
    }
}
