//! Address spaces and who is in them.
//!
//! Protocol: a process is in one address space, in which other processes may be, too (`clone`,
//! `vfork`). It leaves by `exit`, or by `exec` for a new one. Who leaves last takes the address
//! space down: that is decided by a count of its own, which the explorer sees, so that two
//! processes which leave at the same time do so in either order. What is known of an address space
//! for oracles is kept when it is gone.

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use pinfold::sync::AtomicU64;
use pinfold::{AddressSpace, Balancer, NoMemory, ScanPace, SpaceId, VirtAddr, VirtRange};
use pinfold_explore::hook;

use crate::files::Disk;
use crate::machine::Machine;
use crate::named::Named;
use crate::scenario::Sharing;

/// Whether a step of the scenario tells balancers the time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ticks {
    /// One does.
    Told,
    /// None does.
    Untold,
}

/// An address space with the processes that are in it.
pub(crate) struct Inhabited {
    space: AddressSpace<Machine>,
    /// What scans it for NUMA balancing, if a step tells it the time.
    balancer: Option<Balancer<Machine>>,
    /// How many processes are in it; counted from the first that joins on.
    users: AtomicU64,
}

impl Inhabited {
    /// With one process in it.
    ///
    /// # Errors
    /// When the heap has no room for a balancer.
    pub(crate) fn new(space: AddressSpace<Machine>, ticks: Ticks) -> Result<Rc<Self>, NoMemory> {
        let balancer = match ticks {
            Ticks::Told => Some(Balancer::new(&space, ScanPace::default())?),
            Ticks::Untold => None,
        };
        let this = Rc::new(Self { space, balancer, users: AtomicU64::new(1) });
        this.balancer.iter().for_each(Balancer::label);
        Ok(this)
    }

    /// What scans it for NUMA balancing, if a step tells it the time.
    pub(crate) fn balancer(&self) -> Option<&Balancer<Machine>> {
        self.balancer.as_ref()
    }

    /// One more process is in it.
    pub(crate) fn join(self: &Rc<Self>) -> Rc<Self> {
        let (at, number) = (&raw const self.users as usize, self.space.id().0);
        hook::label(at, size_of_val(&self.users), move |_| format!("users of space {number}"));
        self.users.fetch_add(1);
        Rc::clone(self)
    }

    /// A process is no longer in it. The last one takes it down, unless a device or a step of
    /// another process is inside it at this moment: then that does.
    pub(crate) fn leave(self: Rc<Self>, ever_shared: bool) {
        if ever_shared {
            self.users.fetch_sub(1);
        }
        drop(self);
    }

    /// The address space, if nobody else is in it.
    pub(crate) fn into_sole(self: Rc<Self>) -> Option<AddressSpace<Machine>> {
        Rc::try_unwrap(self).ok().map(|alone| alone.space)
    }
}

impl Deref for Inhabited {
    type Target = AddressSpace<Machine>;

    fn deref(&self) -> &AddressSpace<Machine> {
        &self.space
    }
}

/// An area as it was mapped.
#[derive(Clone)]
pub(crate) struct Area {
    pub(crate) range: VirtRange,
    /// Whether it keeps writes to the process.
    pub(crate) sharing: Sharing,
    /// What is behind the file without a name that it shows from page 0 on, if it shows one.
    pub(crate) disk: Option<Arc<Disk>>,
}

/// What is known of an address space, whether it still exists or not.
#[derive(Clone)]
pub(crate) struct Home {
    /// The process that was in it first.
    pub(crate) name: String,
    pub(crate) areas: Named<Area>,
    /// The number of the fork that made it, in the order in which forks end.
    pub(crate) born: u64,
    /// The address space that it is a copy of.
    pub(crate) parent: Option<SpaceId>,
    /// Whether a second process has ever been in it.
    pub(crate) shared: bool,
}

impl Home {
    /// One that is no copy, and in which nothing is mapped yet.
    pub(crate) fn empty(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            areas: Named::default(),
            born: 0,
            parent: None,
            shared: false,
        }
    }

    /// Whether only private areas lie, or lay, at this address.
    pub(crate) fn is_private(&self, at: VirtAddr) -> bool {
        let mut there = self.areas.values().filter(|area| area.range.contains(at)).peekable();
        there.peek().is_some() && there.all(|area| area.sharing.is_private())
    }
}
