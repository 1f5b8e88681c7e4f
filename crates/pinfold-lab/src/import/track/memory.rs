//! Calls that change what is mapped.

use super::super::gap::Gap;
use super::super::log::{Thread, What};
use super::super::space::{By, Kind, PAGE, Piece, Range, Said, pages, writable};
use super::super::value::Value;
use super::{Call, Tracker};

/// The least bytes above a break that another one is likely to be in.
const MOST_BREAK: u64 = 1 << 40;

impl Tracker {
    pub(super) fn memory(&mut self, thread: usize, call: &Call<'_>) {
        let area = (call.number(0)).zip(call.number(1)).and_then(|(at, bytes)| pages(at, bytes));
        match call.name {
            "mmap" | "mmap2" => self.map(thread, call),
            "mremap" => self.remap(thread, call),
            "brk" => self.move_break(thread, call),
            "munmap" => {
                let Some(area) = area else { return };
                self.unmap(thread, call.line, area);
            }
            "mprotect" | "pkey_mprotect" => {
                let Some(area) = area else { return };
                let to = protection(call);
                self.say(thread, area, &|said| said.protection = barred(to, call.line, thread));
                self.changes(thread, call.line, area, &|range| What::Protect(range, to));
            }
            _ => self.advise(thread, call, area),
        }
    }

    fn map(&mut self, thread: usize, call: &Call<'_>) {
        let Some(area) = call.number(1).and_then(|bytes| pages(call.result, bytes)) else { return };
        let shared = call.has(3, "MAP_SHARED", 1) || call.has(3, "MAP_SHARED_VALIDATE", 3);
        let kind = match (shared, call.has(3, "MAP_HUGETLB", 0x40000)) {
            (true, _) => Kind::Shared,
            (_, true) => Kind::Huge,
            _ if call.has(3, "MAP_ANONYMOUS", 0x20) || call.has(3, "MAP_ANON", 0x20) => {
                Kind::Private
            }
            _ => Kind::PrivateFile,
        };
        self.mappings = self.mappings.saturating_add(1);
        let mut piece = Piece::new(self.mappings, kind).by(call.line, thread);
        piece.said.protection = barred(protection(call), call.line, thread);
        self.mapped(thread, call.line, area, (piece, self.mappings));
    }

    /// Pages of a mapping lie there now, in place of what did.
    pub(super) fn mapped(
        &mut self,
        thread: usize,
        line: u64,
        area: (u64, u64),
        (piece, mapping): (Piece, u32),
    ) {
        self.unmap(thread, line, area);
        if let Some(space) = self.spaces.get_mut(&self.living[&thread].space) {
            space.insert(area, piece);
        }
        self.reuse(thread, line, area, mapping);
    }

    /// What lies there is gone.
    pub(super) fn unmap(&mut self, thread: usize, line: u64, area: (u64, u64)) {
        let space = self.living[&thread].space;
        let gone = self.spaces.get_mut(&space).map(|space| space.remove(area));
        self.lose(thread, line, area, gone.unwrap_or_default());
    }

    /// Pages are gone from these addresses: remembers where a seed had them.
    fn lose(&mut self, thread: usize, line: u64, area: (u64, u64), gone: Vec<Range>) {
        let living = self.living[&thread].clone();
        for range in gone.into_iter().filter(|range| self.touches(range)).collect::<Vec<_>>() {
            self.op(line, thread, living.root, What::Unmap(range));
            if !self.holds(&range) {
                continue;
            }
            if self.lost.len() >= super::MOST_OPS {
                self.leave("lost pages beyond the number that is kept", Gap::Dropped);
                continue;
            }
            self.lost.push((living.space, area, range));
        }
    }

    /// New memory may lie where a seed had its pages.
    fn reuse(&mut self, thread: usize, line: u64, area: (u64, u64), mapping: u32) {
        let living = self.living[&thread].clone();
        let overlaps = |lost: &(u64, u64)| lost.0 < area.1 && area.0 < lost.1;
        let mut found = Vec::new();
        self.lost.retain(|(space, lost, range)| {
            let again = *space == living.space && overlaps(lost);
            if again {
                found.push(*range);
            }
            !again
        });
        for old in found {
            let new = Range { mapping, from: area.0, to: area.1 };
            if self.holds(&old) {
                self.op(line, thread, living.root, What::Reuse(old, new));
            }
        }
    }

    fn remap(&mut self, thread: usize, call: &Call<'_>) {
        let (Some(from), Some(old), Some(new)) = (call.number(0), call.number(1), call.number(2))
        else {
            return;
        };
        let living = self.living[&thread].clone();
        if old == 0 {
            return self.double(thread, call.line, (from, call.result, new));
        }
        let (Some(area), Some(target)) = (pages(from, old), pages(call.result, new)) else {
            return;
        };
        let keeps = (area.1 - area.0).min(target.1 - target.0);
        let Some(space) = self.spaces.get_mut(&living.space) else { return };
        let mut gone = Vec::new();
        if area.0 + keeps < area.1 {
            gone.extend(space.remove((area.0 + keeps, area.1)));
        }
        let kept = (area.0, area.0 + keeps);
        let moved: Vec<Range> = space.find(kept).into_iter().map(|(range, _)| range).collect();
        if area.0 != target.0 {
            gone.extend(space.relocate(kept, target.0));
        }
        self.lose(thread, call.line, area, gone);
        if keeps < target.1 - target.0 {
            self.mappings = self.mappings.saturating_add(1);
            let piece = Piece::new(self.mappings, Kind::Private).by(call.line, thread);
            if let Some(space) = self.spaces.get_mut(&living.space) {
                space.insert((target.0 + keeps, target.1), piece);
            }
        }
        for range in moved {
            if area.0 != target.0 && self.touches(&range) {
                self.op(call.line, thread, living.root, What::Move(range));
            }
        }
    }

    /// mremap with an old size of nothing: shared memory is mapped a second time; of private
    /// memory, as kernels before 4.14 took it, there is a new mapping.
    fn double(&mut self, thread: usize, line: u64, (from, to, bytes): (u64, u64, u64)) {
        let (Some(area), Some(target)) = (pages(from, bytes), pages(to, bytes)) else { return };
        let space = self.living[&thread].space;
        let Some(space) = self.spaces.get_mut(&space) else { return };
        if space.find(area).iter().all(|(_, piece)| piece.kind == Kind::Shared) {
            let gone = space.double(area, target.0);
            self.lose(thread, line, target, gone);
        } else {
            self.mappings = self.mappings.saturating_add(1);
            let piece = Piece::new(self.mappings, Kind::Private).by(line, thread);
            self.mapped(thread, line, target, (piece, self.mappings));
        }
    }

    fn move_break(&mut self, thread: usize, call: &Call<'_>) {
        let id = self.living[&thread].space;
        let now = call.result.div_ceil(PAGE);
        let Some(space) = self.spaces.get_mut(&id) else { return };
        let Some((start, end, mapping)) = space.brk else {
            self.mappings = self.mappings.saturating_add(1);
            space.brk = Some((now, now, self.mappings));
            return;
        };
        if now < start || now - start > MOST_BREAK / PAGE {
            return;
        }
        let grown = now > end && std::mem::take(&mut space.parted);
        self.mappings = self.mappings.saturating_add(u32::from(grown));
        let mapping = if grown { self.mappings } else { mapping };
        space.brk = Some((start, now, mapping));
        if now > end {
            space.insert((end, now), Piece::new(mapping, Kind::Private).by(call.line, thread));
        } else if now < end {
            let gone = space.remove((now, end));
            self.lose(thread, call.line, (now, end), gone);
        }
    }

    fn advise(&mut self, thread: usize, call: &Call<'_>, area: Option<(u64, u64)>) {
        let (Some(area), Some(advice)) = (area, call.arg(2)) else { return };
        let by = Some((call.line, thread));
        let known = ADVICE.iter().find(|(name, number, _)| advice.is(name, *number));
        let Some((.., word)) = known else {
            let dropped = UNFOLLOWED.iter().find(|(name, number)| advice.is(name, *number));
            if let Some((name, _)) = dropped {
                self.leave(&format!("madvise({name}): what it does is not followed"), Gap::Dropped);
            }
            return;
        };
        match *word {
            "dontfork" => self.say(thread, area, &|said| said.dontfork = by),
            "dofork" => self.say(thread, area, &|said| said.dontfork = None),
            "wipeonfork" => self.say(thread, area, &|said| said.wipeonfork = by),
            "keeponfork" => self.say(thread, area, &|said| said.wipeonfork = None),
            "hugepage" => return self.huge(thread, area, by),
            "nohugepage" => return self.huge(thread, area, None),
            _ => {}
        }
        self.changes(thread, call.line, area, &|range| match *word {
            "pageout" => What::Pageout(range),
            word => What::Advise(range, word),
        });
    }

    /// Advice about huge pages, which no scenario of a recording has: left out, where a seed has
    /// or gets the memory.
    fn huge(&mut self, thread: usize, area: (u64, u64), by: Option<By>) {
        self.say(thread, area, &|said| said.hugepage = by);
        let Some(space) = self.spaces.get(&self.living[&thread].space) else { return };
        if by.is_some() && space.find(area).iter().any(|(range, _)| self.touches(range)) {
            self.leave(HUGE, Gap::Untold);
        }
    }

    fn say(&mut self, thread: usize, area: (u64, u64), say: &dyn Fn(&mut Said)) {
        if let Some(space) = self.spaces.get_mut(&self.living[&thread].space) {
            space.say(area, say);
        }
    }

    /// A write to clear_refs of the process of thread `of`. Only the value 4 matters to later
    /// stores; a value that strace does not show is taken for it.
    pub(super) fn clear_refs(&mut self, thread: usize, call: &Call<'_>, of: usize) {
        match call.arg(1) {
            Some(Value::Text(value, _)) if value.trim_ascii() != b"4" => return,
            Some(Value::Text(..)) => {}
            _ => self.leave("what was written to clear_refs: taken for 4", Gap::Untold),
        }
        let Some(root) = self.living.get(&of).map(|living| living.root) else { return };
        let own = self.log.threads[of].process == self.log.threads[thread].process;
        let by = if own { Some(thread) } else { self.visit(thread, of) };
        if let Some(by) = by {
            self.op(call.line, by, root, What::ClearRefs);
        }
    }

    /// What a thread does to another process is in a lane of that process, which races with it.
    fn visit(&mut self, thread: usize, of: usize) -> Option<usize> {
        if let Some(known) = self.visits.get(&(thread, of)) {
            return Some(*known);
        }
        if !self.has_room() {
            return None;
        }
        let number = self.log.threads.len();
        let (pid, process) = (self.log.threads[thread].pid, self.log.threads[of].process);
        self.log.threads.push(Thread { pid, parent: None, process, visits: true });
        self.visits.insert((thread, of), number);
        Some(number)
    }

    /// A change of pages that stay where they are: kept for those that a seed has.
    fn changes(
        &mut self,
        thread: usize,
        line: u64,
        area: (u64, u64),
        what: &dyn Fn(Range) -> What,
    ) {
        let living = self.living[&thread].clone();
        let Some(space) = self.spaces.get(&living.space) else { return };
        for (range, _) in space.find(area) {
            if self.touches(&range) {
                self.op(line, thread, living.root, what(range));
            }
        }
    }
}

/// Advice that is followed, with its number and what it is here: a piece of advice of the language,
/// but for `pageout`, which is a step, and what [`Tracker::huge`] says.
pub(in super::super) const ADVICE: &[(&str, u64, &str)] = &[
    ("MADV_DONTNEED", 4, "dontneed"),
    ("MADV_FREE", 8, "free"),
    ("MADV_DONTFORK", 10, "dontfork"),
    ("MADV_DOFORK", 11, "dofork"),
    ("MADV_HUGEPAGE", 14, "hugepage"),
    ("MADV_NOHUGEPAGE", 15, "nohugepage"),
    ("MADV_WIPEONFORK", 18, "wipeonfork"),
    ("MADV_KEEPONFORK", 19, "keeponfork"),
    ("MADV_COLD", 20, "cold"),
    ("MADV_PAGEOUT", 21, "pageout"),
];

/// That it was given where it matters.
pub(super) const HUGE: &str = "madvise(MADV_HUGEPAGE) of a buffer: taken as small pages";

/// Advice that takes, shares or drops pages in a way that no scenario has.
const UNFOLLOWED: &[(&str, u64)] = &[
    ("MADV_REMOVE", 9),
    ("MADV_MERGEABLE", 12),
    ("MADV_DONTNEED_LOCKED", 24),
    ("MADV_COLLAPSE", 25),
    ("MADV_HWPOISON", 100),
    ("MADV_SOFT_OFFLINE", 101),
    ("MADV_GUARD_INSTALL", 102),
];

/// The word of the language for the protection that mmap and mprotect name.
fn protection(call: &Call<'_>) -> &'static str {
    let has = |name, bit| call.has(2, name, bit);
    match (has("PROT_READ", 1), has("PROT_WRITE", 2), has("PROT_EXEC", 4)) {
        (_, true, false) => "rw",
        (_, true, true) => "rwx",
        (true, false, false) => "ro",
        (_, false, true) => "rx",
        (false, false, false) => "none",
    }
}

/// What is to be said of pages with this protection.
fn barred(to: &'static str, line: u64, thread: usize) -> Option<(&'static str, By)> {
    (!writable(to)).then_some((to, (line, thread)))
}
