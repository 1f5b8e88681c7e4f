//! What lanes do, on what, and what must hold at the end of every execution.
//!
//! - A load sees what its process, or who shares the memory with it, has put there; a store that
//!   succeeded is there at the end, unless its owner gave the page up. Nobody sees what was stored
//!   behind its fork.
//! - The entry of a page that its process has stored to is dirty, whoever marks it, by the rules of
//!   today: a move once left the mark to the page alone.
//! - A pin and its owner go on naming one frame, by the rules of today.
//! - An operation is refused only for what another lane does.
//! - All references and mappings have a reason ([`super::audit`]).
//!
//! Use of freed frames, broken invariants, data races and hangs end the execution that meets them.

use std::cell::RefCell;
use std::rc::Rc;

use pinfold::lab;
use pinfold::pin::{Ask, Path};
use pinfold::sync::{AtomicU64, Shared};
use pinfold::{
    Access, AddressSpace, Advice, Entry, FileSharing, Format, Limits, Memory, NodeId, NodeSpan,
    Pfn, Pins, Place, Prot, Pte, Refs, Rules, Sharing, Term, Tuning, VirtAddr, VirtRange,
};

use super::files::OnDisk;
use super::platform::{Bare, FRAMES, Form};
use super::seen::{Seen, seen};
use super::{Tables, audit};

/// The page that loads and stores go to: the last one of its table, so that the next page has
/// another.
const PAGE: u64 = Tables::ENTRIES as u64 - 1;
/// What was stored before the lanes.
const OLD: u64 = 1;
/// What is stored after them.
const LAST: u64 = 999;

/// Whose memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    Owner,
    /// The child that was forked before the lanes.
    Child,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    Load,
    Store,
    /// A debugger's look at the entry, without a lock.
    Walk,
    PinWrite,
    PinRead,
    /// Without a lock or not at all.
    PinFast,
    Get,
    /// Gives the pin back that was taken before the lanes.
    Unpin,
    /// The device to which that pin belongs stores.
    DeviceWrite,
    Unmap,
    /// Unmaps the last page only.
    UnmapPart,
    ReadOnly,
    Writable,
    DontNeed,
    /// Populates for writing.
    Populate,
    /// Locks in memory.
    Lock,
    Unlock,
    Fork,
    Scan,
    Migrate,
    /// Takes the first frame of the page out of the machine, if it can be, and brings it back.
    Offline,
    Exit,
    /// Reads the file.
    FileRead,
    /// Writes the file.
    FileWrite,
    /// Writes the file back.
    Sync,
    /// Makes the file empty.
    Cut,
    /// Makes a hole of the file's page.
    Punch,
    /// Takes the file's page out of memory, if it can go.
    Invalidate,
}

pub(crate) type Act = (Who, What);

/// What there is before the lanes: one page of private memory, if nothing else is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Setup {
    Untouched,
    /// The zero page is mapped.
    Read,
    /// Written once: mapped and exclusive.
    Touched,
    /// Written, then forked.
    Forked,
    /// Written and pinned for writing.
    Pinned,
    /// Written, and made inaccessible by a scan; lanes run on the other node.
    Hinted,
    /// Shared memory, written, then forked.
    Object,
    /// Two pages in two tables, written.
    Wide,
    /// A shared mapping of a file, written, then forked.
    File,
    /// A private mapping of a file with contents, mapped.
    Copied,
}

impl Setup {
    pub(crate) const ALL: [Self; 10] = [
        Self::Untouched,
        Self::Read,
        Self::Touched,
        Self::Forked,
        Self::Pinned,
        Self::Hinted,
        Self::Object,
        Self::Wide,
        Self::File,
        Self::Copied,
    ];

    pub(crate) fn has_child(self) -> bool {
        matches!(self, Self::Forked | Self::Object | Self::File)
    }

    /// Whether stores reach others who have the same memory.
    fn is_shared(self) -> bool {
        matches!(self, Self::Object | Self::File)
    }

    fn has_file(self) -> bool {
        matches!(self, Self::File | Self::Copied)
    }

    fn is_written(self) -> bool {
        !matches!(self, Self::Untouched | Self::Read)
    }
}

/// Everything of one execution.
pub(crate) struct World {
    setup: Setup,
    lanes: Vec<Vec<Act>>,
    pub(crate) memory: Shared<Memory<Bare>>,
    range: VirtRange,
    /// The owner's space and the child's, until they exit.
    spaces: RefCell<[Option<Rc<AddressSpace<Bare>>>; 2]>,
    forked: RefCell<Vec<(Who, AddressSpace<Bare>)>>,
    /// The pin that was taken before the lanes, and its frame.
    first_pin: RefCell<Option<Pins<Bare>>>,
    device: Option<Pfn>,
    /// The frame of the page before the lanes.
    at_first: Option<Pfn>,
    pins: RefCell<Vec<(Who, Pins<Bare>)>>,
    refs: RefCell<Vec<Refs<Bare>>>,
    file: RefCell<Option<OnDisk>>,
    log: RefCell<Vec<Vec<Seen>>>,
    free: u64,
}

/// The value that a store of step `step` of a lane brings.
fn stamp(who: Who, lane: usize, step: usize) -> u64 {
    100 * (who as u64 + 1) + 10 * lane as u64 + step as u64
}

impl World {
    /// The world before the lanes.
    pub(crate) fn new(setup: Setup, lanes: &[Vec<Act>], rules: Rules, form: Form) -> Self {
        let runs = |lane: &&Vec<Act>| {
            lane.iter().any(|(_, what)| matches!(what, What::Load | What::Store))
        };
        let cpus = (0..).zip(lanes).filter(|(_, lane)| runs(lane)).map(|(lane, _)| lane);
        let span = |node: u8| NodeSpan {
            node: NodeId(node),
            first: Pfn(u64::from(node) * FRAMES),
            frames: FRAMES,
        };
        let machine = Bare::new(lanes.len(), cpus, form);
        let tuning = Tuning { migrate_passes: 1, hint_passes: 1, ..Tuning::default() };
        // SAFETY: the machine was made for this world and has these frames.
        let memory =
            unsafe { Memory::new(machine, &[span(0), span(1)], rules, tuning) }.expect("frames");
        let free = memory.frames().total_free();
        let owner = AddressSpace::new(&memory, Limits::of_format::<Tables>()).expect("a root");
        let machine = memory.platform();
        let file = setup.has_file().then(|| OnDisk::new(&memory));
        let at = Place::At(VirtAddr::of_page(PAGE));
        let map = |pages, sharing| owner.map(at, pages, Prot::READ_WRITE, sharing).expect("room");
        let show = |sharing| {
            let file = &file.as_ref().expect("it has one").file;
            owner.map_file(at, Prot::READ_WRITE, file.run(0..1), sharing).expect("room")
        };
        let range = match setup {
            Setup::Wide => map(2, Sharing::Private),
            Setup::Object => map(1, Sharing::Shared),
            Setup::File => show(FileSharing::Shared),
            Setup::Copied => show(FileSharing::Private),
            _ => map(1, Sharing::Private),
        };
        if setup == Setup::Copied {
            file.as_ref().expect("it has one").write(machine, OLD);
            machine.access(&owner, PAGE, None).expect("mapped");
        } else if setup.is_written() {
            for page in range.iter() {
                machine.access(&owner, page.0, Some(OLD)).expect("mapped");
            }
        }
        if setup == Setup::Read {
            machine.access(&owner, PAGE, None).expect("mapped");
        }
        if setup == Setup::Hinted {
            owner.numa_scan(range);
        }
        let at_first = owner.entry(VirtAddr::of_page(PAGE));
        let at_first = at_first.is_mapped().then(|| at_first.pfn());
        let child = setup.has_child().then(|| Rc::new(owner.fork().expect("frames")));
        let first_pin = (setup == Setup::Pinned)
            .then(|| owner.pin(range, Access::Write, Term::Long).expect("mapped"));
        Self {
            setup,
            lanes: lanes.to_vec(),
            range,
            spaces: RefCell::new([Some(Rc::new(owner)), child]),
            forked: RefCell::default(),
            device: first_pin.as_ref().map(|pins| pins.pages()[0]),
            first_pin: RefCell::new(first_pin),
            at_first,
            pins: RefCell::default(),
            refs: RefCell::default(),
            file: RefCell::new(file),
            log: RefCell::new(vec![Vec::new(); lanes.len()]),
            free,
            memory,
        }
    }

    fn machine(&self) -> &Bare {
        self.memory.platform()
    }

    fn space(&self, who: Who) -> Rc<AddressSpace<Bare>> {
        self.spaces.borrow()[who as usize].clone().expect("nobody uses what exits")
    }

    /// Runs one lane.
    pub(crate) fn run(&self, lane: usize) {
        for (step, act) in self.lanes[lane].iter().enumerate() {
            let seen = self.act(*act, stamp(act.0, lane, step));
            self.log.borrow_mut()[lane].push(seen);
        }
    }

    fn act(&self, (who, what): Act, value: u64) -> Seen {
        let (machine, range) = (self.machine(), self.range);
        match what {
            What::Unpin => {
                let pins = self.first_pin.borrow_mut().take();
                drop(pins);
                return Seen::Done;
            }
            What::DeviceWrite => {
                machine.data(self.device.expect("it is pinned")).write_once(value);
                return Seen::Done;
            }
            What::Exit => {
                let space = self.spaces.borrow_mut()[who as usize].take();
                drop(space);
                return Seen::Done;
            }
            _ => {}
        }
        if let Some(seen) = self.act_on_file(what, value) {
            return seen;
        }
        let space = self.space(who);
        let pin = |ask: Ask| {
            seen(space.pin_with(range, ask), |pins| {
                self.pins.borrow_mut().push((who, pins));
                Seen::Done
            })
        };
        let done = |()| Seen::Done;
        match what {
            What::Load => seen(machine.access(&space, PAGE, None), Seen::Value),
            What::Store => seen(machine.access(&space, PAGE, Some(value)), Seen::Value),
            What::Walk => Seen::Entry(space.walk(VirtAddr::of_page(PAGE)).decode()),
            What::PinWrite => pin(Ask::new(Access::Write, Term::Long)),
            What::PinRead => pin(Ask::new(Access::Read, Term::Long)),
            What::PinFast => pin(Ask::new(Access::Write, Term::Short).path(Path::FastOnly)),
            What::Get => seen(space.get(range, Access::Read), |refs| {
                self.refs.borrow_mut().push(refs);
                Seen::Done
            }),
            What::Unmap => seen(space.unmap(range), done),
            What::UnmapPart => {
                let last = range.end_page() - 1;
                let part = VirtRange::new(last.start(), 1).expect("a page");
                seen(space.unmap(part), done)
            }
            What::ReadOnly => seen(space.protect(range, Prot::READ), done),
            What::Writable => seen(space.protect(range, Prot::READ_WRITE), done),
            What::DontNeed => seen(space.advise(range, Advice::DontNeed), done),
            What::Populate => seen(space.populate(range, Access::Write), done),
            What::Lock => seen(space.mlock(range), done),
            What::Unlock => seen(space.munlock(range), done),
            What::Fork => seen(space.fork(), |child| {
                self.forked.borrow_mut().push((who, child));
                Seen::Done
            }),
            What::Scan => {
                space.numa_scan(range);
                Seen::Done
            }
            What::Migrate => {
                space.migrate(range, NodeId(1));
                Seen::Done
            }
            What::Offline => {
                self.take_out_and_back();
                Seen::Done
            }
            What::Unpin
            | What::DeviceWrite
            | What::Exit
            | What::FileRead
            | What::FileWrite
            | What::Sync
            | What::Cut
            | What::Punch
            | What::Invalidate => unreachable!("done above"),
        }
    }

    /// Takes the frame that the page had before the lanes out of the machine, if it goes, and
    /// brings it back: nobody has it in between.
    fn take_out_and_back(&self) {
        let first = self.at_first.expect("it is touched");
        let span = NodeSpan { node: self.memory.frames().node(first), first, frames: 1 };
        if Memory::offline(&self.memory, &span, |_, _| ()).is_err() {
            return;
        }
        let counts = self.memory.frames().counts(first);
        assert_eq!(counts.refs(), 0, "{first} is out, and somebody has it");
        // SAFETY: it is out, and nobody has used it meanwhile.
        unsafe { self.memory.online(&span) }.expect("it is out");
    }

    /// What the file itself is asked for.
    fn act_on_file(&self, what: What, value: u64) -> Option<Seen> {
        let (file, machine) = (self.file.borrow(), self.machine());
        let file = file.as_ref()?;
        match what {
            What::FileRead => return Some(file.read(machine)),
            What::FileWrite => return Some(file.write(machine, value)),
            What::Sync => return Some(file.sync()),
            What::Cut => file.file.truncate(0).expect("it is shorter"),
            What::Punch => file.file.punch(0..1),
            // What is used stays.
            What::Invalidate => drop(file.file.invalidate(0..1)),
            _ => return None,
        }
        Some(Seen::Done)
    }

    fn acts(&self) -> impl Iterator<Item = (usize, usize, Act)> {
        let steps = |(lane, acts): (usize, &Vec<Act>)| {
            let acts = acts.clone().into_iter().enumerate();
            acts.map(move |(step, act)| (lane, step, act))
        };
        self.lanes.iter().enumerate().flat_map(steps)
    }

    fn does(&self, who: Who, some: &[What]) -> bool {
        self.acts().any(|(.., (by, what))| by == who && some.contains(&what))
    }

    fn any_does(&self, some: &[What]) -> bool {
        self.acts().any(|(.., (_, what))| some.contains(&what))
    }

    /// Whether the page may be another, or none, at the end.
    fn gives_up(&self, who: Who) -> bool {
        // A hole leaves private copies.
        let gone: &[What] = match self.setup {
            Setup::File => &[What::Cut, What::Punch],
            _ => &[What::Cut],
        };
        self.does(who, &[What::Unmap, What::DontNeed, What::Exit]) || self.any_does(gone)
    }

    /// The values that stores of `who`, and devices with its pins, have put there for certain.
    fn stored(&self, who: Who) -> Vec<(What, u64)> {
        let shared = self.setup.is_shared();
        let log = self.log.borrow();
        let counts = |(lane, step, (by, what)): (usize, usize, Act)| {
            let mine = shared || by == who;
            let stores = match what {
                What::Store => matches!(log[lane][step], Seen::Value(_)),
                What::DeviceWrite => true,
                What::FileWrite => shared && log[lane][step] == Seen::Done,
                _ => false,
            };
            (mine && stores).then(|| (what, stamp(by, lane, step)))
        };
        self.acts().filter_map(counts).collect()
    }

    fn may_see(&self, who: Who, value: u64) -> bool {
        let private = !self.setup.has_file() && !self.setup.is_shared();
        let cut = self.any_does(&[What::Cut, What::Punch]);
        // What a private mapping shows of its file.
        let shown = |(lane, step, (by, what)): (usize, usize, Act)| {
            what == What::FileWrite && stamp(by, lane, step) == value
        };
        match value {
            0 => !self.setup.is_written() || cut || (private && self.does(who, &[What::DontNeed])),
            OLD => self.setup.is_written(),
            _ if self.setup.has_file() && self.acts().any(shown) => true,
            _ => self.stored(who).iter().any(|(_, stored)| *stored == value),
        }
    }

    /// What the tables of `space` name, while nothing runs.
    fn view(&self, space: &AddressSpace<Bare>) -> Result<Option<(Pte<Tables>, u64)>, String> {
        let Some(slot) = self.machine().entry(space.root(), PAGE, AtomicU64::peek) else {
            return Ok(None);
        };
        let pte = slot.peek();
        match pte.decode() {
            Entry::None => Ok(None),
            Entry::Mapped(pfn) => Ok(Some((pte, self.machine().data(pfn).peek()))),
            other => Err(format!("{other:?} is left")),
        }
    }

    /// Judges a finished execution: its outcome. Takes the world down.
    pub(crate) fn judge(&self, today: bool) -> Result<String, String> {
        self.refusals()?;
        for who in [Who::Owner, Who::Child] {
            if let Some(space) = &self.spaces.borrow()[who as usize] {
                self.contents(who, space, today)?;
            }
        }
        for (from, child) in self.forked.borrow().iter() {
            if let Some((_, value)) = self.view(child)?
                && !self.may_see(*from, value)
            {
                return Err(format!("a new child of the {from:?} sees {value}"));
            }
        }
        self.audit()?;
        if let Some(file) = &*self.file.borrow() {
            let writes = [What::Store, What::FileWrite, What::DeviceWrite];
            let taken = self.any_does(&[What::Cut, What::Punch]);
            file.judge(&self.memory, taken && !self.any_does(&writes))?;
        }
        self.store_once_more(today)?;
        self.audit()?;
        let outcome = format!("{:?}", self.log.borrow());
        self.take_down()?;
        Ok(outcome)
    }

    /// Whether a page may have had this entry. Where nobody takes an entry out it is there; that of
    /// a page on the move is a migration's doing, or a hinting fault's. A frame is one of the
    /// machine's.
    fn may_be(&self, entry: Entry) -> bool {
        const LEAVE_IT: [What; 6] =
            [What::Load, What::Walk, What::PinFast, What::Fork, What::Unpin, What::DeviceWrite];
        let stays = self.acts().all(|(.., (_, what))| LEAVE_IT.contains(&what));
        let there = self.setup != Setup::Untouched && self.setup != Setup::Hinted;
        match entry {
            Entry::None | Entry::Marker => !(stays && there),
            Entry::Mapped(pfn) => self.memory.frames().all().any(|known| known == pfn),
            Entry::Migration(_) => {
                let moves = self.any_does(&[What::Migrate, What::Offline]);
                moves || self.setup == Setup::Hinted
            }
            Entry::Swap(_) => false,
        }
    }

    fn refusals(&self) -> Result<(), String> {
        for (lane, step, (who, what)) in self.acts() {
            let seen = &self.log.borrow()[lane][step];
            let excused = match seen {
                Seen::Done | Seen::WouldBlock => true,
                Seen::Entry(entry) => self.may_be(*entry),
                Seen::Value(value) => what == What::Store || self.may_see(who, *value),
                Seen::NotMapped => self.does(who, &[What::Unmap, What::UnmapPart]),
                Seen::Denied if self.setup == Setup::File && what == What::PinWrite => true,
                Seen::Denied => self.does(who, &[What::ReadOnly]),
                Seen::PastEnd => self.any_does(&[What::Cut]),
                Seen::Locked => what == What::DontNeed && self.does(who, &[What::Lock]),
                Seen::Wrong(_) => false,
            };
            if !excused {
                return Err(format!("{what:?} by the {who:?} came to {seen:?}"));
            }
        }
        Ok(())
    }

    fn contents(&self, who: Who, space: &AddressSpace<Bare>, today: bool) -> Result<(), String> {
        let view = self.view(space)?;
        if let Some((_, value)) = view
            && !self.may_see(who, value)
        {
            return Err(format!("the {who:?} sees {value}"));
        }
        if self.gives_up(who) {
            return Ok(());
        }
        let stored = self.stored(who);
        let through = |(lane, step, act): (usize, usize, Act)| {
            act == (who, What::Store) && matches!(self.log.borrow()[lane][step], Seen::Value(_))
        };
        let marked = self.acts().any(through);
        let own = stored.iter().any(|(what, _)| *what == What::Store);
        // A child maps shared memory by its own faults, and what shows a file may go at any time.
        let private = !self.setup.has_file() && !self.setup.is_shared();
        let stays = private || self.setup == Setup::Copied && own;
        let cleaned = self.any_does(&[What::Sync]);
        match view {
            None if stays && (self.setup.is_written() || own) => {
                Err(format!("the {who:?} has lost the page"))
            }
            Some((_, value)) if own && !stored.iter().any(|(_, stored)| *stored == value) => {
                Err(format!("the {who:?} sees {value}, not what was stored"))
            }
            Some((pte, _)) if today && marked && !cleaned && !pte.is_dirty() => {
                Err(format!("the {who:?} has stored to a page that is clean"))
            }
            _ => Ok(()),
        }
    }

    fn audit(&self) -> Result<(), String> {
        let spaces = self.spaces.borrow();
        let forked = self.forked.borrow();
        let living = spaces.iter().flatten().map(|space| &**space);
        let living: Vec<_> = living.chain(forked.iter().map(|(_, space)| space)).collect();
        let (pins, first) = (self.pins.borrow(), self.first_pin.borrow());
        let pinned = pins.iter().map(|(_, pins)| pins).chain(first.iter());
        let pinned: Vec<_> = pinned.flat_map(|pins| pins.pages()).copied().collect();
        let refs = self.refs.borrow();
        let held: Vec<_> = refs.iter().flat_map(|refs| refs.pages()).copied().collect();
        let file = self.file.borrow();
        let files: Vec<_> = file.iter().map(|file| &file.file).collect();
        audit::check(&self.memory, &living, &files, &pinned, &held)
    }

    /// The owner stores after the lanes: its pins have it, its children have not.
    fn store_once_more(&self, today: bool) -> Result<(), String> {
        let Some(owner) = self.spaces.borrow()[0].clone() else { return Ok(()) };
        let gone = self.does(Who::Owner, &[What::Unmap]) || self.any_does(&[What::Cut]);
        if self.setup.is_shared() || gone {
            return Ok(());
        }
        let others = || -> Result<Vec<_>, String> {
            let (spaces, forked) = (self.spaces.borrow(), self.forked.borrow());
            let child = spaces[1].iter().map(|space| &**space);
            let all = child.chain(forked.iter().map(|(_, space)| space));
            all.map(|space| Ok(self.view(space)?.map(|(_, value)| value))).collect()
        };
        let before = others()?;
        let page = VirtRange::new(VirtAddr::of_page(PAGE), 1).map_err(|error| error.to_string())?;
        owner.protect(page, Prot::READ_WRITE).map_err(|error| error.to_string())?;
        let stored = self.machine().access(&owner, PAGE, Some(LAST));
        stored.map_err(|error| error.to_string())?;
        if others()? != before {
            return Err("a child sees what its parent stored after the fork".to_owned());
        }
        if !today || self.gives_up(Who::Owner) {
            return Ok(());
        }
        let (pins, first) = (self.pins.borrow(), self.first_pin.borrow());
        let mine = pins.iter().filter(|(who, _)| *who == Who::Owner).map(|(_, pins)| pins);
        for pfn in mine.chain(first.iter()).filter_map(|pins| pins.pages().first()) {
            let device = self.machine().data(*pfn).peek();
            if device != LAST {
                return Err(format!("the owner stores, and the device reads {device} in {pfn}"));
            }
        }
        Ok(())
    }

    fn let_go(&self) {
        drop(self.pins.take());
        drop(self.first_pin.take());
        drop(self.refs.take());
    }

    fn take_down(&self) -> Result<(), String> {
        self.let_go();
        drop(self.forked.take());
        drop(self.spaces.take());
        drop(self.file.take());
        let (free, bugs) = (self.memory.frames().total_free(), self.machine().bugs());
        let stats = self.memory.stats();
        let pins = (stats.nr_foll_pin_acquired, stats.nr_foll_pin_released);
        if free != self.free {
            return Err(format!("{free} frames are free at the end, not {}", self.free));
        }
        if pins.0 != pins.1 {
            return Err(format!("{} pins acquired, {} released", pins.0, pins.1));
        }
        if bugs.is_empty() { Ok(()) } else { Err(format!("{bugs:?}")) }
    }
}

impl Drop for World {
    /// Throws the machine away in whatever state it is. Nothing is left to do after a judgement
    /// that ended well.
    fn drop(&mut self) {
        self.let_go();
        let forked = self.forked.take().into_iter().map(|(_, space)| space);
        let spaces = self.spaces.take().into_iter().flatten().filter_map(Rc::into_inner);
        // SAFETY: all of the machine is thrown away here; the holds went just before.
        forked.chain(spaces).for_each(|space| unsafe { lab::abandon(space) });
        if let Some(file) = self.file.take() {
            // SAFETY: as above.
            unsafe { lab::abandon_file(file.file) };
        }
    }
}
