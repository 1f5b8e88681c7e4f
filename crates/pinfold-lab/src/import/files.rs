//! Open files, as far as they matter: those open with O_DIRECT, rings, pipes, sockets and devices.
//!
//! INV-OPEN-1: an object lives as long as a descriptor of some table leads to it.

use super::log::Taker;
use std::collections::{BTreeMap, VecDeque};

/// The most descriptors that are followed at the same time.
const MOST: usize = 100_000;

/// The most messages with descriptors that are on their way through one socket.
const MOST_MESSAGES: usize = 1_000;

/// What a descriptor leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Object {
    /// A file or device; the flag says that it is open with O_DIRECT.
    File { direct: bool },
    /// A ring of io_uring, a guest, or a socket, with what it holds.
    Holder,
    /// A pipe with what is in it.
    Pipe,
    /// A device whose calls do not show what they take.
    Device(Taker),
    /// clear_refs of the process of this thread.
    ClearRefs(usize),
}

#[derive(Clone, Debug)]
struct Open {
    what: Object,
    descriptors: usize,
    /// The seeds that it holds.
    holds: Vec<usize>,
    /// Of a pipe: bytes, and the seed that they belong to.
    queue: VecDeque<(u64, Option<usize>)>,
    /// Of a socket: how many sends with MSG_ZEROCOPY there were, and the seeds of each that is not
    /// told to be over. A close does not end them.
    sends: u32,
    sent: Vec<(u32, usize)>,
    /// Of a socket: the other end, if it is known, and the descriptors that came in with messages,
    /// by what they lead to; of others than are followed nothing.
    peer: Option<usize>,
    rights: VecDeque<Vec<Option<usize>>>,
}

/// All tables of descriptors.
#[derive(Debug, Default)]
pub(super) struct Files {
    tables: Vec<BTreeMap<u64, (usize, bool)>>,
    objects: BTreeMap<usize, Open>,
    made: usize,
    count: usize,
}

impl Files {
    /// A new table, with what another one has.
    pub(super) fn table(&mut self, of: Option<usize>) -> usize {
        let copy = of.map(|of| self.tables[of].clone()).unwrap_or_default();
        for (object, _) in copy.values() {
            if let Some(open) = self.objects.get_mut(object) {
                open.descriptors += 1;
            }
        }
        self.count += copy.len();
        self.tables.push(copy);
        self.tables.len() - 1
    }

    /// A new object under these descriptors.
    pub(super) fn open(&mut self, table: usize, fds: &[u64], what: Object, cloexec: bool) {
        if self.count >= MOST {
            return;
        }
        self.made += 1;
        let open = Open {
            what,
            descriptors: 0,
            holds: Vec::new(),
            queue: VecDeque::new(),
            sends: 0,
            sent: Vec::new(),
            peer: None,
            rights: VecDeque::new(),
        };
        self.objects.insert(self.made, open);
        for fd in fds {
            self.put(table, *fd, self.made, cloexec);
        }
    }

    fn put(&mut self, table: usize, fd: u64, object: usize, cloexec: bool) {
        self.count += 1;
        if let Some(open) = self.objects.get_mut(&object) {
            open.descriptors += 1;
        }
        self.tables[table].insert(fd, (object, cloexec));
    }

    /// A second descriptor; what was there is closed, and given back if that ends it.
    pub(super) fn dup(&mut self, table: usize, fd: u64, to: u64, cloexec: bool) -> Vec<usize> {
        let ended = if fd == to { Vec::new() } else { self.close(table, to) };
        if let Some((object, _)) = self.tables[table].get(&fd).copied()
            && fd != to
        {
            self.put(table, to, object, cloexec);
        }
        ended
    }

    /// Closes a descriptor; gives what was held if it was the last of its object.
    pub(super) fn close(&mut self, table: usize, fd: u64) -> Vec<usize> {
        let Some((object, _)) = self.tables[table].remove(&fd) else { return Vec::new() };
        self.count = self.count.saturating_sub(1);
        self.drop([object])
    }

    /// One descriptor less of each object, on its way or in a table; gives what was held by those
    /// of which it was the last. What is on its way to a socket that ends goes with it.
    fn drop(&mut self, objects: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut ended = Vec::new();
        let mut over: Vec<usize> = objects.into_iter().collect();
        while let Some(object) = over.pop() {
            let Some(open) = self.objects.get_mut(&object) else { continue };
            open.descriptors = open.descriptors.saturating_sub(1);
            if open.descriptors == 0
                && let Some(open) = self.objects.remove(&object)
            {
                ended.extend(open.holds);
                over.extend(open.rights.into_iter().flatten().flatten());
            }
        }
        ended
    }

    /// Closes what an execution, or an end, closes.
    pub(super) fn close_all(&mut self, table: usize, only_cloexec: bool) -> Vec<usize> {
        let goes =
            |(fd, (_, cloexec)): (&u64, &(usize, bool))| (*cloexec || !only_cloexec).then_some(*fd);
        let fds: Vec<u64> = self.tables[table].iter().filter_map(goes).collect();
        fds.into_iter().flat_map(|fd| self.close(table, fd)).collect()
    }

    fn at(&mut self, table: usize, fd: u64) -> Option<&mut Open> {
        let (object, _) = self.tables[table].get(&fd)?;
        self.objects.get_mut(object)
    }

    /// What a descriptor leads to.
    pub(super) fn what(&mut self, table: usize, fd: u64) -> Option<Object> {
        self.at(table, fd).map(|open| open.what)
    }

    /// Switches O_DIRECT.
    pub(super) fn set_direct(&mut self, table: usize, fd: u64, now: bool) {
        match self.at(table, fd) {
            Some(open) => {
                if let Object::File { direct } = &mut open.what {
                    *direct = now;
                }
            }
            None if now => self.open(table, &[fd], Object::File { direct: true }, false),
            None => {}
        }
    }

    /// Has an object hold a seed.
    pub(super) fn hold(&mut self, table: usize, fd: u64, seed: usize) {
        if self.at(table, fd).is_none() {
            self.open(table, &[fd], Object::Holder, false);
        }
        if let Some(open) = self.at(table, fd) {
            open.holds.push(seed);
        }
    }

    /// Two sockets that lead to each other.
    pub(super) fn pair(&mut self, table: usize, (one, other): (u64, u64), cloexec: bool) {
        let mut ends = Vec::new();
        for fd in [one, other] {
            self.open(table, &[fd], Object::Holder, cloexec);
            ends.extend(self.tables[table].get(&fd).map(|(object, _)| *object));
        }
        if let [one, other] = ends[..] {
            for (end, peer) in [(one, other), (other, one)] {
                if let Some(open) = self.objects.get_mut(&end) {
                    open.peer = Some(peer);
                }
            }
        }
    }

    /// What the descriptors of a message lead to goes on to the socket's other end. It is kept from
    /// its end meanwhile.
    pub(super) fn pass(&mut self, table: usize, fd: u64, fds: &[u64]) {
        let Some(peer) = self.at(table, fd).and_then(|open| open.peer) else { return };
        let found = fds.iter().map(|fd| self.tables[table].get(fd).map(|(object, _)| *object));
        let found: Vec<Option<usize>> = found.collect();
        let room = self.objects.get(&peer).is_some_and(|open| open.rights.len() < MOST_MESSAGES);
        if !room {
            return;
        }
        for object in found.iter().flatten() {
            if let Some(open) = self.objects.get_mut(object) {
                open.descriptors += 1;
            }
        }
        if let Some(open) = self.objects.get_mut(&peer) {
            open.rights.push_back(found);
        }
    }

    /// The descriptors of the next message lead where the sender's did; whether that is known, and
    /// what was held by what ends.
    pub(super) fn receive(
        &mut self,
        table: usize,
        fd: u64,
        fds: &[u64],
        cloexec: bool,
    ) -> (bool, Vec<usize>) {
        let came = self.at(table, fd).and_then(|open| open.rights.pop_front()).unwrap_or_default();
        if came.len() != fds.len() {
            return (false, self.drop(came.into_iter().flatten()));
        }
        let mut ended = Vec::new();
        for (fd, object) in fds.iter().zip(came) {
            ended.extend(self.close(table, *fd));
            if let Some(object) = object {
                self.put(table, *fd, object, cloexec);
                ended.extend(self.drop([object]));
            }
        }
        (true, ended)
    }

    /// A message without descriptors came: of those on their way nobody knows which are next.
    /// Whether there were any, and what was held by what ends.
    pub(super) fn forget(&mut self, table: usize, fd: u64) -> (bool, Vec<usize>) {
        let lost = self.at(table, fd).map(|open| std::mem::take(&mut open.rights));
        let lost = lost.unwrap_or_default();
        (!lost.is_empty(), self.drop(lost.into_iter().flatten().flatten()))
    }

    /// The next send of a socket has these seeds: the kernel numbers them by call.
    pub(super) fn sent(&mut self, table: usize, fd: u64, seeds: &[usize]) {
        if self.at(table, fd).is_none() {
            self.open(table, &[fd], Object::Holder, false);
        }
        if let Some(open) = self.at(table, fd) {
            open.sent.extend(seeds.iter().map(|seed| (open.sends, *seed)));
            open.sends = open.sends.wrapping_add(1);
        }
    }

    /// The sends of these numbers are over: gives the seeds that no other send has.
    pub(super) fn arrived(&mut self, table: usize, fd: u64, from: u32, to: u32) -> Vec<usize> {
        let Some(open) = self.at(table, fd) else { return Vec::new() };
        let told = |number: u32| number.wrapping_sub(from) <= to.wrapping_sub(from);
        let over: Vec<usize> =
            open.sent.iter().filter(|(number, _)| told(*number)).map(|(_, seed)| *seed).collect();
        open.sent.retain(|(number, _)| !told(*number));
        let goes = |seed: &usize| !open.sent.iter().any(|(_, other)| other == seed);
        over.into_iter().filter(goes).collect()
    }

    /// Closes descriptors from the first to the last of these, or has an execution close them.
    pub(super) fn close_range(
        &mut self,
        table: usize,
        (first, last): (u64, u64),
        later: bool,
    ) -> Vec<usize> {
        if first > last {
            return Vec::new();
        }
        if later {
            let found = self.tables[table].range_mut(first..=last);
            found.for_each(|(_, (_, cloexec))| *cloexec = true);
            return Vec::new();
        }
        let fds: Vec<u64> = self.tables[table].range(first..=last).map(|(fd, _)| *fd).collect();
        fds.into_iter().flat_map(|fd| self.close(table, fd)).collect()
    }

    /// All that an object holds, which it does no longer.
    pub(super) fn let_go(&mut self, table: usize, fd: u64) -> Vec<usize> {
        self.at(table, fd).map(|open| std::mem::take(&mut open.holds)).unwrap_or_default()
    }

    /// Bytes go into a pipe.
    pub(super) fn fill(&mut self, table: usize, fd: u64, bytes: u64, seed: Option<usize>) {
        if let Some(open) = self.at(table, fd).filter(|open| open.what == Object::Pipe) {
            match (open.queue.back_mut(), seed) {
                (Some((before, None)), None) => *before = before.saturating_add(bytes),
                _ => open.queue.push_back((bytes, seed)),
            }
            open.holds.extend(seed);
        }
    }

    /// Bytes come out of a pipe: gives the seeds of which all have.
    pub(super) fn drain(&mut self, table: usize, fd: u64, mut bytes: u64) -> Vec<usize> {
        let mut done = Vec::new();
        let Some(open) = self.at(table, fd) else { return done };
        while bytes > 0
            && let Some((there, seed)) = open.queue.front_mut()
        {
            let taken = bytes.min(*there);
            (*there, bytes) = (*there - taken, bytes - taken);
            if *there == 0 {
                done.extend(*seed);
                open.queue.pop_front();
            }
        }
        // The same memory may be in the pipe twice.
        for seed in &done {
            if let Some(at) = open.holds.iter().position(|held| held == seed) {
                open.holds.remove(at);
            }
        }
        done
    }
}
