//! Calls that have something else than the process use its memory, or end that.

use super::super::files::Object;
use super::super::gap::Gap;
use super::super::log::{Op, Seed, Taker, What};
use super::super::space::{By, Kind, PAGE, Piece, Range, Said, pages};
use super::super::value::Value;
use super::buffers::{Buffer, clip, is_shown, plain, vector};
use super::descriptors::DEVICES;
use super::memory::HUGE;
use super::{Call, MOST_OPS, MOST_SEEDS, Tracker};

/// The most parts of a vector, and pieces of memory, that one use has.
const MOST_PARTS: usize = 8;

/// The most uses of one buffer by one thread that are told apart.
const MOST_AGAIN: usize = 8;

/// MSG_ZEROCOPY, and the bit of io_uring_register for a ring that is named by its index.
const ZEROCOPY: u64 = 0x400_0000;
const BY_INDEX: u64 = 1 << 31;

/// What a guest's memory is told by, with an argument that strace shows.
const GUESTS: &[&str] = &["KVM_SET_USER_MEMORY_REGION", "KVM_SET_USER_MEMORY_REGION2"];

/// What drivers are told memory by, as strace prints it: it never shows the argument.
const DRIVERS: &[(&str, Taker)] = &[
    ("VFIO_IOMMU_MAP_DMA", Taker::Vfio),
    ("DRM_IOCTL_AMDGPU_GEM_USERPTR", Taker::Gpu),
    ("DRM_IOCTL_I915_GEM_USERPTR", Taker::Gpu),
    ("DRM_IOCTL_RADEON_GEM_USERPTR", Taker::Gpu),
];

impl Tracker {
    pub(super) fn used(&mut self, thread: usize, call: &Call<'_>) {
        let table = self.living[&thread].files;
        let fd = call.number(0).unwrap_or(u64::MAX);
        match call.name {
            "io_uring_setup" => self.files.open(table, &[call.result], Object::Holder, true),
            "io_uring_register" => self.register(thread, call),
            "io_uring_enter" => self.leave(
                "io_uring_enter: what rings are asked for is in memory, and no recording shows it",
                Gap::Dropped,
            ),
            "ioctl" => self.driver(thread, call),
            "vmsplice" => {
                if !is_shown(call.arg(1)) {
                    self.leave("parts of vectors that strace does not show", Gap::Dropped);
                }
                for buffer in clip(&vector(call.arg(1)), call.result) {
                    let seed = self.take(thread, call, Taker::Vmsplice, &[buffer]);
                    self.files.fill(table, fd, buffer.bytes, seed);
                }
            }
            "splice" => {
                self.leave("splice: where pages of a pipe go on to is not followed", Gap::Dropped);
                if let Some(out) = call.number(2) {
                    self.files.fill(table, out, call.result, None);
                }
            }
            "tee" => {
                self.leave("tee: a second pipe with the same pages is not followed", Gap::Dropped);
            }
            "process_vm_readv" | "process_vm_writev" => self.remote(thread, call),
            "ptrace" => self.debugger(thread, call),
            "sendto" | "sendmsg" => self.send(thread, call),
            "sendmmsg" => self.send_several(thread, call),
            "recvmsg" | "recvmmsg" => self.told(thread, call),
            "read" | "readv" | "pread64" | "preadv" | "preadv2" | "recvfrom" | "write"
            | "writev" | "pwrite64" | "pwritev" | "pwritev2" => self.transfer(thread, call),
            _ => self.descriptors(thread, call),
        }
    }

    fn register(&mut self, thread: usize, call: &Call<'_>) {
        let table = self.living[&thread].files;
        let (Some(fd), Some(what)) = (call.number(0), call.arg(1)) else { return };
        // The index of a registered ring is no descriptor.
        let indexed = what.has("IORING_REGISTER_USE_REGISTERED_RING", BY_INDEX);
        let ring = if indexed { fd.saturating_add(1 << 40) } else { fd };
        let is = |name, number| match what {
            Value::Number(found, _) => found & !BY_INDEX == number,
            what => what.has(name, 0),
        };
        if is("IORING_REGISTER_BUFFERS", 0) {
            self.registered(thread, call, ring, call.arg(2), call.number(3));
        } else if is("IORING_UNREGISTER_BUFFERS", 1) {
            let ended = self.files.let_go(table, ring);
            self.end(thread, call.line, ended);
        } else if is("IORING_REGISTER_BUFFERS2", 15) || is("IORING_REGISTER_BUFFERS_UPDATE", 16) {
            let part = |name| call.arg(2).and_then(|given| given.field(name));
            let sparse =
                part("flags").is_some_and(|flags| flags.has("IORING_RSRC_REGISTER_SPARSE", 1));
            if !sparse {
                self.registered(
                    thread,
                    call,
                    ring,
                    part("data"),
                    part("nr").and_then(Value::number),
                );
            }
        } else if is("IORING_REGISTER_CLONE_BUFFERS", 30) {
            self.leave("buffers that a ring takes from another one", Gap::Dropped);
        }
    }

    fn registered(
        &mut self,
        thread: usize,
        call: &Call<'_>,
        ring: u64,
        parts: Option<&Value>,
        count: Option<u64>,
    ) {
        let shown = parts.map_or(0, |parts| parts.items().len());
        if !is_shown(parts) || count.is_some_and(|count| count != shown as u64) {
            self.leave("buffers registered with io_uring that strace does not show", Gap::Dropped);
        }
        for buffer in vector(parts) {
            if let Some(seed) = self.take(thread, call, Taker::IoUring, &[buffer]) {
                self.files.hold(self.living[&thread].files, ring, seed);
            }
        }
    }

    fn driver(&mut self, thread: usize, call: &Call<'_>) {
        let table = self.living[&thread].files;
        let (Some(fd), Some(Value::Word(name))) = (call.number(0), call.arg(1)) else { return };
        // Several names may share a number: strace writes all of them.
        let is = |ioctl: &str| name.split(" or ").any(|one| one == ioctl);
        if GUESTS.iter().any(|ioctl| is(ioctl)) {
            let field = |name| call.arg(2).and_then(|given| given.field(name)?.number());
            match (field("userspace_addr"), field("memory_size")) {
                // A length of nothing takes a guest's memory away.
                (_, Some(0)) => {}
                (Some(address), Some(bytes)) => {
                    let buffer = Buffer { address: Some(address), bytes };
                    if let Some(seed) = self.take(thread, call, Taker::Kvm, &[buffer]) {
                        self.files.hold(table, fd, seed);
                    }
                }
                _ => self.undriven(Taker::Kvm),
            }
            return;
        }
        let path = call.arg(0).and_then(Value::path).unwrap_or("");
        let by_path = DEVICES.iter().find(|(start, _)| path.starts_with(start));
        let by_name = DRIVERS.iter().find(|(ioctl, _)| is(ioctl));
        let device = match self.files.what(table, fd) {
            Some(Object::Device(taker)) => Some(taker),
            _ => by_path.or(by_name).map(|(_, taker)| *taker),
        };
        if let Some(taker) = device {
            self.undriven(taker);
        }
    }

    fn undriven(&mut self, taker: Taker) {
        let of = taker.call();
        let why = format!("calls of a driver ({of}): which memory they take is not in a recording");
        self.leave(&why, Gap::Dropped);
    }

    fn send(&mut self, thread: usize, call: &Call<'_>) {
        let (parts, flags) = match call.name {
            "sendto" => (None, 3),
            _ => (call.arg(1).and_then(|message| message.field("msg_iov")), 2),
        };
        let buffers = if call.name == "sendto" { vec![plain(call)] } else { vector(parts) };
        let zero = call.has(flags, "MSG_ZEROCOPY", ZEROCOPY);
        if zero && call.name == "sendmsg" && !is_shown(parts) {
            self.leave("parts of vectors that strace does not show", Gap::Dropped);
        }
        if let (Some(fd), Some(head)) = (call.number(0), call.arg(1)) {
            self.pass(thread, fd, head);
        }
        self.sent(thread, call, &buffers, call.result, zero);
    }

    /// sendmmsg: each message is a send of its own.
    fn send_several(&mut self, thread: usize, call: &Call<'_>) {
        let zero = call.has(3, "MSG_ZEROCOPY", ZEROCOPY);
        let messages = call.arg(1).map(Value::items).unwrap_or_default();
        let count = usize::try_from(call.result).unwrap_or(usize::MAX);
        let mut seen = 0;
        for message in messages.iter().take(count) {
            if let (Some(fd), Some(head)) = (call.number(0), message.field("msg_hdr")) {
                self.pass(thread, fd, head);
            }
            let parts = message.field("msg_hdr").and_then(|head| head.field("msg_iov"));
            let Some(bytes) = message.field("msg_len").and_then(Value::number) else { break };
            if zero && !is_shown(parts) {
                break;
            }
            seen += 1;
            self.sent(thread, call, &vector(parts), bytes, zero);
        }
        if zero && seen < count {
            self.leave("messages of sendmmsg that strace does not show", Gap::Dropped);
        }
    }

    /// So many bytes were sent from these buffers, by reference or as a copy.
    fn sent(&mut self, thread: usize, call: &Call<'_>, buffers: &[Buffer], bytes: u64, zero: bool) {
        let buffers = clip(buffers, bytes);
        if !zero {
            return self.source(thread, call.line, &buffers);
        }
        let take = |buffer| self.take(thread, call, Taker::Zerocopy, &[buffer]);
        let seeds: Vec<usize> = buffers.into_iter().filter_map(take).collect();
        if bytes > 0
            && let Some(fd) = call.number(0)
        {
            self.files.sent(self.living[&thread].files, fd, &seeds);
        }
    }

    /// What comes with a message: what the queue of errors tells of sends, which are over, and
    /// descriptors.
    fn told(&mut self, thread: usize, call: &Call<'_>) {
        let table = self.living[&thread].files;
        let Some(fd) = call.number(0) else { return };
        let heads: Vec<&Value> = match call.name {
            "recvmsg" => call.arg(1).into_iter().collect(),
            _ => {
                let messages = call.arg(1).map(Value::items).unwrap_or_default();
                messages.iter().filter_map(|message| message.field("msg_hdr")).collect()
            }
        };
        for head in &heads {
            self.receive(thread, call, fd, head);
        }
        let parts = heads.into_iter().filter_map(|head| head.field("msg_control"));
        for part in parts.flat_map(Value::items) {
            let told = |name| {
                let number = part.field("cmsg_data")?.field(name)?.number()?;
                u32::try_from(number).ok()
            };
            let of_sends = part.field("cmsg_data").and_then(|data| data.field("ee_origin"));
            let of_sends = of_sends.is_some_and(|origin| origin.is("SO_EE_ORIGIN_ZEROCOPY", 5));
            if let (true, Some(from), Some(to)) = (of_sends, told("ee_info"), told("ee_data")) {
                let ended = self.files.arrived(table, fd, from, to);
                self.end(thread, call.line, ended);
            }
        }
    }

    /// read, write and their kin.
    fn transfer(&mut self, thread: usize, call: &Call<'_>) {
        let table = self.living[&thread].files;
        let Some(fd) = call.number(0) else { return };
        let reads = call.name.contains("read") || call.name.starts_with("recv");
        let buffers = match call.name {
            "readv" | "writev" | "preadv" | "pwritev" | "preadv2" | "pwritev2" => {
                vector(call.arg(1))
            }
            _ => vec![plain(call)],
        };
        let used = clip(&buffers, call.result);
        if reads {
            self.plain_message(thread, call.line, fd);
        }
        let with_path = call.arg(0).and_then(Value::path).unwrap_or("");
        match self.files.what(table, fd) {
            Some(Object::File { direct: true }) => {
                let taker = if reads { Taker::DirectRead } else { Taker::DirectWrite };
                if call.name.ends_with(['v', '2']) && !is_shown(call.arg(1)) {
                    self.leave("parts of vectors that strace does not show", Gap::Dropped);
                }
                self.take(thread, call, taker, &buffers);
            }
            Some(Object::Device(taker)) => self.undriven(taker),
            Some(Object::ClearRefs(of)) if !reads => self.clear_refs(thread, call, of),
            Some(Object::Pipe) if reads => {
                let done = self.files.drain(table, fd, call.result);
                self.end(thread, call.line, done);
                self.store(thread, call.line, &used);
            }
            Some(Object::Pipe) => {
                self.files.fill(table, fd, call.result, None);
                self.source(thread, call.line, &used);
            }
            _ if with_path.starts_with("/dev/infiniband/uverbs") => self.undriven(Taker::Rdma),
            _ if reads => self.store(thread, call.line, &used),
            _ => self.source(thread, call.line, &used),
        }
    }

    /// The kernel stores what was read into memory that a seed has.
    pub(super) fn store(&mut self, thread: usize, line: u64, buffers: &[Buffer]) {
        let root = self.living[&thread].root;
        for range in self.known(thread, buffers) {
            let meets = |at: &usize| self.log.seeds[*at].ranges.iter().any(|own| own.meets(&range));
            let mut met: Vec<usize> = (0..self.log.seeds.len()).filter(meets).collect();
            met.retain(|seed| self.stored.insert((thread, *seed, false)));
            if !met.is_empty() {
                self.op(line, thread, root, What::Store(range));
            }
        }
    }

    /// A buffer that something still sends from is a source again.
    pub(super) fn source(&mut self, thread: usize, line: u64, buffers: &[Buffer]) {
        let ranges = self.known(thread, buffers);
        self.again(thread, line, &ranges);
    }

    fn again(&mut self, thread: usize, line: u64, ranges: &[Range]) {
        let root = self.living[&thread].root;
        let sends = |seed: &usize| {
            let seed = &self.log.seeds[*seed];
            seed.taker.sends()
                && seed.ranges.iter().any(|part| ranges.iter().any(|range| range.meets(part)))
        };
        let seeds: Vec<usize> = self.held.iter().copied().filter(sends).collect();
        for seed in seeds {
            if self.stored.insert((thread, seed, true)) {
                self.op(line, thread, root, What::Again(seed));
            }
        }
    }

    /// The memory of buffers that is known to be mapped.
    fn known(&mut self, thread: usize, buffers: &[Buffer]) -> Vec<Range> {
        let space = self.living[&thread].space;
        let Some(space) = self.spaces.get(&space) else { return Vec::new() };
        let areas = buffers.iter().filter_map(|buffer| pages(buffer.address?, buffer.bytes));
        areas.flat_map(|area| space.find(area)).map(|(range, _)| range).collect()
    }

    fn remote(&mut self, thread: usize, call: &Call<'_>) {
        let reads = call.name == "process_vm_readv";
        let taker = if reads { Taker::VmRead } else { Taker::VmWrite };
        let there = vector(call.arg(3));
        self.elsewhere(thread, call, call.number(0), taker, &there);
    }

    fn debugger(&mut self, thread: usize, call: &Call<'_>) {
        self.traces = true;
        let Some(request) = call.arg(0) else { return };
        let reads = request.is("PTRACE_PEEKDATA", 2) || request.is("PTRACE_PEEKTEXT", 1);
        let writes = request.is("PTRACE_POKEDATA", 5) || request.is("PTRACE_POKETEXT", 4);
        if !reads && !writes {
            return;
        }
        let taker = if reads { Taker::PtraceRead } else { Taker::PtraceWrite };
        let there = Buffer { address: call.number(2), bytes: 8 };
        self.elsewhere(thread, call, call.number(1), taker, &[there]);
    }

    /// A use of the memory of another process.
    fn elsewhere(
        &mut self,
        thread: usize,
        call: &Call<'_>,
        pid: Option<u64>,
        taker: Taker,
        buffers: &[Buffer],
    ) {
        let pid = pid.and_then(|pid| u32::try_from(pid).ok());
        let target = pid.and_then(|pid| self.pids.get(&pid).copied());
        match target.filter(|target| self.living.contains_key(target)) {
            Some(target) => {
                self.take_of((thread, false), target, call, taker, buffers);
            }
            None => {
                self.leave("uses of the memory of a process that was not recorded", Gap::Untold);
            }
        }
    }

    fn take(
        &mut self,
        thread: usize,
        call: &Call<'_>,
        taker: Taker,
        buffers: &[Buffer],
    ) -> Option<usize> {
        self.take_of((thread, false), thread, call, taker, buffers)
    }

    /// Something takes memory of the thread `owner`, asked for by another one or by that itself:
    /// for the call, or as a request that goes on.
    pub(super) fn take_of(
        &mut self,
        (thread, submitted): (usize, bool),
        owner: usize,
        call: &Call<'_>,
        taker: Taker,
        buffers: &[Buffer],
    ) -> Option<usize> {
        let living = self.living[&owner].clone();
        let mut seed = Seed {
            taker,
            ranges: Vec::new(),
            partial: Vec::new(),
            kind: Kind::Unseen,
            apart: false,
            submitted,
            root: living.root,
            owner,
            line: call.line,
            times: 1,
            address: buffers.first().and_then(|buffer| buffer.address),
            bytes: buffers.iter().fold(0, |sum, buffer| sum.saturating_add(buffer.bytes)),
        };
        if buffers.len() > MOST_PARTS {
            self.leave("parts of vectors beyond the first eight", Gap::Dropped);
        }
        let mut said = Vec::new();
        for buffer in buffers.iter().take(MOST_PARTS) {
            self.part(&living, buffer, &mut seed, &mut said);
        }
        if seed.ranges.is_empty() {
            if seed.bytes > 0 {
                self.leave("uses of memory that cannot be", Gap::Dropped);
            }
            return None;
        }
        if taker.sends() {
            let ranges = seed.ranges.clone();
            self.again(thread, call.line, &ranges);
        }
        let caller = self.living.get(&thread).map_or(living.root, |living| living.root);
        let number = self.seed(thread, seed)?;
        self.check_room(owner);
        for ((line, by), what) in said {
            self.op(line, by, living.root, what);
        }
        self.op(call.line, thread, caller, What::Take(number));
        if taker.stays() {
            self.held.push(number);
        }
        Some(number)
    }

    /// Adds the memory of one buffer to a seed.
    fn part(
        &mut self,
        living: &super::Living,
        buffer: &Buffer,
        seed: &mut Seed,
        said: &mut Vec<(By, What)>,
    ) {
        let Some(space) = self.spaces.get_mut(&living.space) else { return };
        let area = match buffer.address {
            Some(address) => pages(address, buffer.bytes),
            None => space.only(buffer.bytes.div_ceil(PAGE)),
        };
        if buffer.address.is_none() && buffer.bytes > 0 {
            self.log.left.add("where buffers are that strace shows no address of", 1, Gap::Untold);
        }
        let Some(area) = area else {
            if buffer.address.is_none() && buffer.bytes > 0 {
                let Some(range) = self.unseen(living.root, buffer.bytes) else { return };
                seed.ranges.push(range);
                if !buffer.bytes.is_multiple_of(PAGE) {
                    seed.partial.push(buffer.bytes / PAGE);
                }
            }
            return;
        };
        for hole in space.holes(area) {
            self.mappings = self.mappings.saturating_add(1);
            space.insert(hole, Piece::new(self.mappings, Kind::Unseen));
        }
        let start = buffer.address.unwrap_or(area.0 * PAGE);
        let end = start.saturating_add(buffer.bytes);
        for (at, (range, piece)) in space.find(area).into_iter().enumerate() {
            if seed.ranges.len() >= MOST_PARTS {
                self.leave("pieces of a buffer beyond the first eight", Gap::Dropped);
                break;
            }
            if let Some(by) = piece.made {
                self.log.makers.entry(range.mapping).or_insert(by);
            }
            seed.kind = if seed.ranges.is_empty() { piece.kind } else { seed.kind };
            seed.apart |= piece.said.is_apart();
            if !start.is_multiple_of(PAGE) && at == 0 {
                seed.partial.push(range.from);
            }
            if !end.is_multiple_of(PAGE) && piece.end == area.1 {
                seed.partial.push(range.to - 1);
            }
            if piece.said.hugepage.is_some() {
                self.log.left.add(HUGE, 1, Gap::Untold);
            }
            // What was said of pages that a seed had is kept already.
            for (by, what) in before(&piece.said, seed.taker) {
                for part in untold(&self.log.ops, said, by, range) {
                    said.push((by, what(part)));
                }
            }
            seed.ranges.push(range);
        }
    }

    /// A buffer of which the recording does not say where it is.
    fn unseen(&mut self, root: usize, bytes: u64) -> Option<Range> {
        let next = self.mappings.saturating_add(1);
        let pages = bytes.div_ceil(PAGE);
        if self.unseen.len() >= MOST_OPS && !self.unseen.contains_key(&(root, bytes)) {
            return None;
        }
        let known = self.unseen.entry((root, bytes));
        let range = *known.or_insert(Range { mapping: next, from: 0, to: pages });
        if range.mapping == next {
            self.mappings = next;
        }
        Some(range)
    }

    /// Keeps a seed, or counts it with one that is alike: the same pages, by the same thread, and
    /// over with the call. Between the two the thread did nothing that is kept, but for other uses:
    /// what is before the one and what is after it is so for the other one, and all else races with
    /// both (INV-ORDER-1).
    pub(super) fn seed(&mut self, thread: usize, seed: Seed) -> Option<usize> {
        let own = || self.log.ops.iter().rev().filter(|op| op.thread == thread);
        let uses = |op: &&Op| matches!(op.what, What::Take(_) | What::Store(_) | What::Again(_));
        let same = |op: &Op| match op.what {
            What::Take(old) => {
                let before = &self.log.seeds[old];
                let same = before.taker == seed.taker && before.ranges == seed.ranges;
                (same && !seed.goes_on() && !before.goes_on()).then_some(old)
            }
            _ => None,
        };
        if let Some(old) = own().take_while(uses).find_map(same) {
            self.log.seeds[old].times += 1;
            return None;
        }
        let before: Vec<usize> = own().filter_map(same).take(MOST_AGAIN).collect();
        if let [last, .., _] = before[..]
            && before.len() == MOST_AGAIN
        {
            self.log.seeds[last].times += 1;
            if !self.is_alone(thread) {
                self.leave("uses of a buffer beyond eight with calls between them", Gap::Dropped);
            }
            return None;
        }
        if self.log.seeds.len() >= MOST_SEEDS {
            self.leave("uses of memory beyond the first 64", Gap::Dropped);
            return None;
        }
        self.log.seeds.push(seed);
        Some(self.log.seeds.len() - 1)
    }

    /// Whether nobody else uses the address space of a thread now: nothing races with its calls.
    fn is_alone(&self, thread: usize) -> bool {
        let space = self.living.get(&thread).map(|living| living.space);
        let shares = |(other, living): (&usize, &super::Living)| {
            *other != thread && Some(living.space) == space
        };
        !self.living.iter().any(shares)
    }
}

/// Makes a call of the pages that it is about.
type Says = Box<dyn Fn(Range) -> What>;

/// What was said of pages before something takes them, as calls. That the process may not write
/// them matters to stores: what is going to write them itself has said already that it may.
fn before(said: &Said, taker: Taker) -> Vec<(By, Says)> {
    let advice = |by: Option<By>, word| {
        by.map(|by| (by, Box::new(move |range| What::Advise(range, word)) as Says))
    };
    let protected = said.protection.filter(|_| taker.only_reads());
    let protected =
        protected.map(|(to, by)| (by, Box::new(move |range| What::Protect(range, to)) as Says));
    let parts =
        [advice(said.dontfork, "dontfork"), advice(said.wipeonfork, "wipeonfork"), protected];
    parts.into_iter().flatten().collect()
}

/// The parts of a range of which neither a call that is kept nor one that will be says what this
/// one said.
fn untold(ops: &[Op], said: &[(By, What)], by: By, range: Range) -> Vec<Range> {
    let kept = ops.iter().map(|op| ((op.line, op.thread), &op.what));
    let mut parts = vec![range];
    for (of, what) in kept.chain(said.iter().map(|(of, what)| (*of, what))) {
        if let (true, What::Advise(told, _) | What::Protect(told, _)) = (of == by, what) {
            parts = parts.iter().flat_map(|part| part.without(told)).collect();
        }
    }
    parts
}
