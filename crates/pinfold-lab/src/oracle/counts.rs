//! Whether the frames count what refers to them.
//!
//! A large folio counts for all of its pages together: references, mappings, pins and locked
//! mappings must add up to what its pages have; by the rules `tail-refs` up to 4.4 its tails count
//! the references of handles, too, and pins are such references. What it knows beyond that must not
//! be untrue: that one address space alone maps it, that a page is one process's own, and, if some
//! of its pages have no mapping while others do, that it waits to be split.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use pinfold::lab::{self, FolioView, Holder};
use pinfold::rules::large::{Tally, counted_maps, counts_each_page, counts_owners, tally};
use pinfold::rules::pin::counts_zero_page;
use pinfold::{Flags, PIN_BIAS, Pfn, SpaceId};

use super::Found;
use crate::about::{About, Breach};
use crate::counted::counted;
use crate::world::{Hold, World};

/// What a frame is to count.
#[derive(Clone, Copy, Default)]
struct Owed {
    refs: u32,
    maps: u32,
    /// Mappings in locked areas.
    locks: u32,
    /// Pins, if it is part of a large folio: they are counted by themselves there.
    pins: u32,
    /// Which of the references are of handles: by some rules those are counted on its tails, too.
    taken: u32,
}

impl AddAssign for Owed {
    fn add_assign(&mut self, other: Self) {
        self.refs += other.refs;
        self.maps += other.maps;
        self.locks += other.locks;
        self.pins += other.pins;
        self.taken += other.taken;
    }
}

/// Everything that is accounted for.
#[derive(Default)]
struct Accounts {
    owed: BTreeMap<Pfn, Owed>,
    /// The address spaces that map each frame.
    spaces: BTreeSet<(Pfn, SpaceId)>,
    objects: BTreeSet<(usize, Pfn)>,
}

impl Accounts {
    fn owe(&mut self, pfn: Pfn, more: Owed) {
        *self.owed.entry(pfn).or_default() += more;
    }

    fn of(&self, pfn: Pfn) -> Owed {
        self.owed.get(&pfn).copied().unwrap_or_default()
    }

    fn held(&mut self, pfn: Pfn, holder: Holder, space: Option<SpaceId>) {
        let reference = Owed { refs: 1, ..Owed::default() };
        match holder {
            Holder::Object(object) => {
                if self.objects.insert((object, pfn)) {
                    self.owe(pfn, reference);
                }
            }
            Holder::Table => self.owe(pfn, reference),
            Holder::Mapping | Holder::LockedMapping => {
                let locks = u32::from(holder == Holder::LockedMapping);
                self.owe(pfn, Owed { maps: 1, locks, ..reference });
                self.spaces.extend(space.map(|space| (pfn, space)));
            }
        }
    }
}

impl World {
    pub(super) fn counts(&self) -> Found {
        let accounts = self.accounts();
        self.counts_slots()?;
        if let Some((pfn, wrong)) = lab::wrong_with_lists(&self.memory) {
            return Err(Breach { what: format!("{pfn} {wrong}"), about: Some(About::Frame(pfn)) });
        }
        let frames = self.memory.frames();
        for pfn in frames.all() {
            if lab::flags(frames, pfn).contains(Flags::RESERVED) {
                continue;
            }
            match lab::large_folio(frames, pfn) {
                Some(folio) => self.counts_large(&accounts, &folio, pfn),
                None => {
                    let counts = lab::counts(frames, pfn);
                    let locked = lab::locked_mappings(frames, pfn);
                    compare(&pfn, (counts.refs(), counts.maps(), locked), accounts.of(pfn))
                }
            }
            .map_err(|what| Breach { what, about: Some(About::Frame(pfn)) })?;
        }
        Ok(())
    }

    /// Whether as many swap entries and pages of shared memory name each slot as it counts, and
    /// none holds it.
    fn counts_slots(&self) -> Found {
        let mut entries: BTreeMap<(u8, u64), u64> = BTreeMap::new();
        let mut listed = BTreeSet::new();
        let state = self.state.borrow();
        for space in state.homes().filter_map(|(.., space)| space) {
            lab::swapped(space, |_, entry| {
                *entries.entry((entry.device, entry.slot)).or_default() += 1;
            });
            lab::listed_slots(space, |slot| {
                listed.insert(slot);
            });
        }
        for named in &*state.files {
            lab::file_slots(&named.file, |slot| {
                listed.insert(slot);
            });
        }
        for slot in listed {
            *entries.entry((slot.device, slot.slot)).or_default() += 1;
        }
        let mut wrong = None;
        lab::swap_slots(&self.memory, |slot| {
            let named = entries.remove(&(slot.device, slot.slot)).unwrap_or(0);
            if (slot.users, slot.holds) != (named, 0) {
                wrong =
                    Some(format!("{slot:?} is named by {}", counted(named, "entry", "entries")));
            }
        });
        let free = entries.keys().next().map(|slot| format!("something names free slot {slot:?}"));
        wrong.or(free).map_or(Ok(()), |what| Err(what.into()))
    }

    fn accounts(&self) -> Accounts {
        let mut accounts = Accounts::default();
        lab::swap_slots(&self.memory, |slot| {
            slot.page
                .into_iter()
                .for_each(|pfn| accounts.owe(pfn, Owed { refs: 1, ..Owed::default() }));
        });
        lab::batched(&self.memory, |pfn| accounts.owe(pfn, Owed { refs: 1, ..Owed::default() }));
        let state = self.state.borrow();
        for space in state.homes().filter_map(|(.., space)| space) {
            let id = space.id();
            lab::account(space, |pfn, holder| accounts.held(pfn, holder, Some(id)));
        }
        for named in &*state.files {
            lab::account_file(&named.file, |pfn, holder| accounts.held(pfn, holder, None));
        }
        let zero = self.memory.zero_page();
        let free_zero_pin = !counts_zero_page(self.memory.rule());
        let tally = tally(self.memory.rule());
        let huge_zero = self.memory.huge_zero_page();
        for kept in huge_zero.into_iter().chain([zero]) {
            accounts.owe(kept, Owed { refs: 1, ..Owed::default() });
        }
        for hold in state.handles.values().filter_map(|handle| handle.hold.as_ref()) {
            for &pfn in hold.pages() {
                let zeros = self.memory.is_huge_zero(pfn);
                let large = zeros || lab::large_folio(self.memory.frames(), pfn).is_some();
                let each = match hold {
                    Hold::Pins(_) if pfn == zero && free_zero_pin => Owed::default(),
                    Hold::Pins(_) if large && tally == Tally::Head => {
                        Owed { refs: 1, pins: 1, ..Owed::default() }
                    }
                    Hold::Pins(_) => Owed { refs: PIN_BIAS, ..Owed::default() },
                    Hold::Refs(_) | Hold::Again(..) | Hold::Number(..) => {
                        Owed { refs: 1, ..Owed::default() }
                    }
                    Hold::Follows => Owed::default(),
                };
                let times = hold.times();
                let (refs, pins) = (each.refs * times, each.pins * times);
                // Its first page counts for all of the huge zero page.
                let of = huge_zero.filter(|_| zeros).unwrap_or(pfn);
                accounts.owe(of, Owed { refs, pins, taken: refs, ..each });
            }
        }
        accounts
    }

    /// Compares with what a page of a large folio says, and its folio, if the page is the first.
    fn counts_large(&self, accounts: &Accounts, folio: &FolioView, pfn: Pfn) -> Result<(), String> {
        let (frames, tails) = (self.memory.frames(), self.memory.rule());
        let rule = counted_maps(self.memory.rule(), tails);
        let each = counts_each_page(rule);
        let (counts, maps) = (lab::counts(frames, pfn), accounts.of(pfn).maps);
        let place = (pfn.0 - folio.head.0) as usize;
        let own = folio.page_maps.get(place).copied().unwrap_or_default();
        if each && own != maps {
            let own = counted(own, "mapping", "mappings");
            return Err(format!("{pfn} has {own} by itself; {maps} are accounted for"));
        }
        if counts.is_exclusive() && maps > 1 {
            return Err(format!("{pfn} is marked as one process's own and mapped {maps} times"));
        }
        if pfn != folio.head {
            let taken = accounts.of(pfn).taken;
            let (found, due) = match tally(tails) {
                Tally::Head => (counts.refs(), 0),
                Tally::HeadAndTail => (counts.refs(), taken),
                Tally::HeadAndMapcount => (counts.refs() + own, taken),
            };
            if found == due {
                return Ok(());
            }
            let (refs, head) = (counted(found, "reference", "references"), folio.head);
            return Err(match due {
                0 => format!("{pfn} has {refs} of its own within the folio at {head}"),
                _ => format!("{pfn} counts {refs} within the folio at {head}; {due} there are"),
            });
        }
        let all = || (folio.head.0..folio.head.0 + folio.pages).map(Pfn);
        let mut owed = Owed::default();
        all().for_each(|pfn| owed += accounts.of(pfn));
        let name = format!("the folio of {} pages at {}", folio.pages, folio.head);
        let locked = lab::locked_mappings(frames, pfn);
        compare(&name, (counts.refs(), counts.maps(), locked), owed)?;
        if folio.pins != owed.pins {
            let pins = counted(folio.pins, "pin", "pins");
            return Err(format!("{name} counts {pins}; {} are accounted for", owed.pins));
        }
        let mapped_by = accounts.spaces.iter().filter(|(pfn, _)| all().any(|of| of == *pfn));
        let spaces: BTreeSet<SpaceId> = mapped_by.map(|(_, space)| *space).collect();
        if counts_owners(rule) && spaces.len() > 1 && !folio.may_be_shared {
            let spaces = spaces.len();
            return Err(format!("{name} counts as one process's own, and {spaces} map it"));
        }
        let unmapped = match each {
            true => all().any(|pfn| accounts.of(pfn).maps == 0),
            false => u64::from(owed.maps) < folio.pages,
        };
        if owed.maps > 0 && unmapped && !folio.queued {
            return Err(format!("{name} is mapped in part and does not wait to be split"));
        }
        Ok(())
    }
}

/// Compares what something counts of references, mappings and locked mappings with what it owes.
fn compare(
    what: &dyn std::fmt::Display,
    (refs, maps, locked): (u32, u32, u32),
    owed: Owed,
) -> Result<(), String> {
    // Pins of a large folio are counted in the word that has a small page's locked mappings.
    let below = locked.cast_signed();
    if below < 0 {
        let few = below.unsigned_abs();
        return Err(format!(
            "{} counted off {what}, which is a page of its own by now",
            counted(few, "pin of a large folio was", "pins of a large folio were"),
        ));
    }
    if owed.locks != locked {
        return Err(format!(
            "{what} counts {}; {} accounted for",
            counted(locked, "locked mapping", "locked mappings"),
            counted(owed.locks, "is", "are"),
        ));
    }
    if (owed.refs, owed.maps) != (refs, maps) {
        return Err(format!(
            "{what} has {} and {}; {} and {} are accounted for",
            counted(refs, "reference", "references"),
            counted(maps, "mapping", "mappings"),
            owed.refs,
            owed.maps
        ));
    }
    Ok(())
}
