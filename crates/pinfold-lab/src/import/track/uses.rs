//! Calls that have something else than the process use its memory, and those on the descriptors
//! that this goes through.

use super::super::files::Object;
use super::super::log::{Seed, Taker, What};
use super::super::space::{Kind, PAGE, Piece, Range, pages};
use super::super::value::Value;
use super::{Call, MOST_SEEDS, Tracker};

/// The most parts of a vector, and pieces of memory, that one use has.
const MOST_PARTS: usize = 8;

/// Memory that a call names: where it is, if the recording shows that, and how long.
#[derive(Clone, Copy)]
struct Buffer {
    address: Option<u64>,
    bytes: u64,
}

/// What drivers are told by ioctl: the name as strace prints it, the parts of its argument with the
/// address and the length, and who takes the memory.
const DRIVERS: &[(&str, &str, &str, Taker)] = &[
    ("VFIO_IOMMU_MAP_DMA", "vaddr", "size", Taker::Vfio),
    ("KVM_SET_USER_MEMORY_REGION", "userspace_addr", "memory_size", Taker::Kvm),
    ("KVM_SET_USER_MEMORY_REGION2", "userspace_addr", "memory_size", Taker::Kvm),
    ("DRM_IOCTL_AMDGPU_GEM_USERPTR", "addr", "size", Taker::Gpu),
    ("DRM_IOCTL_I915_GEM_USERPTR", "user_ptr", "user_size", Taker::Gpu),
    ("DRM_IOCTL_RADEON_GEM_USERPTR", "addr", "size", Taker::Gpu),
];

/// Devices whose calls do not show what memory they take, by the start of their names.
const DEVICES: &[(&str, Taker)] = &[
    ("/dev/infiniband/uverbs", Taker::Rdma),
    ("/dev/nvidia", Taker::Gpu),
    ("/dev/habanalabs", Taker::Gpu),
    ("/dev/hl", Taker::Gpu),
    ("/dev/accel/", Taker::Gpu),
    ("/dev/kfd", Taker::Gpu),
];

impl Tracker {
    pub(super) fn used(&mut self, thread: usize, call: &Call<'_>) {
        let table = self.living[&thread].files;
        let fd = call.number(0).unwrap_or(u64::MAX);
        match call.name {
            "open" => self.open(table, call, 0, 1),
            "openat" => self.open(table, call, 1, 2),
            "openat2" => self.open_how(table, call),
            "close" => {
                let ended = self.files.close(table, fd);
                self.end(thread, call.line, ended);
            }
            "dup" => {
                let ended = self.files.dup(table, fd, call.result, false);
                self.end(thread, call.line, ended);
            }
            "dup2" | "dup3" => {
                let cloexec = call.has(2, "O_CLOEXEC", 0x80000);
                let ended = self.files.dup(table, fd, call.result, cloexec);
                self.end(thread, call.line, ended);
            }
            "fcntl" | "fcntl64" => self.control(thread, call),
            "pipe" | "pipe2" => {
                let ends: Vec<u64> = call
                    .arg(0)
                    .map(Value::items)
                    .unwrap_or_default()
                    .iter()
                    .filter_map(Value::number)
                    .collect();
                let cloexec = call.has(1, "O_CLOEXEC", 0x80000);
                self.files.open(table, &ends, Object::Pipe, cloexec);
            }
            "io_uring_setup" => self.files.open(table, &[call.result], Object::Holder, true),
            "io_uring_register" => self.register(thread, call),
            "io_uring_enter" => self.leave(
                "io_uring_enter: what rings are asked for is in memory, and no recording shows it",
            ),
            "ioctl" => self.driver(thread, call),
            "vmsplice" => {
                for buffer in vector(call.arg(1)) {
                    let seed = self.take(thread, call, Taker::Vmsplice, &[buffer]);
                    self.files.fill(table, fd, buffer.bytes, seed);
                }
            }
            "splice" => {
                self.leave("splice: where pages of a pipe go on to is not followed");
                if let Some(out) = call.number(2) {
                    self.files.fill(table, out, call.result, None);
                }
            }
            "tee" => self.leave("tee: a second pipe with the same pages is not followed"),
            "process_vm_readv" | "process_vm_writev" => self.remote(thread, call),
            "ptrace" => self.debugger(thread, call),
            "sendto" | "sendmsg" => self.send(thread, call),
            "recvmsg" | "recvmmsg" => {
                let flags = if call.name == "recvmsg" { 2 } else { 3 };
                if call.has(flags, "MSG_ERRQUEUE", 0x2000) {
                    let ended = self.files.let_go(table, fd);
                    self.end(thread, call.line, ended);
                }
            }
            _ => self.transfer(thread, call),
        }
    }

    fn end(&mut self, thread: usize, line: u64, ended: Vec<usize>) {
        let root = self.living[&thread].root;
        self.release(line, thread, root, ended);
    }

    fn open(&mut self, table: usize, call: &Call<'_>, path: usize, flags: usize) {
        let direct = call.has(flags, "O_DIRECT", 0x4000);
        let cloexec = call.has(flags, "O_CLOEXEC", 0x80000);
        self.opened(table, call, path, direct, cloexec);
    }

    fn open_how(&mut self, table: usize, call: &Call<'_>) {
        let flags = call.arg(2).and_then(|how| how.field("flags"));
        let has = |name, bit| flags.is_some_and(|flags| flags.has(name, bit));
        self.opened(table, call, 1, has("O_DIRECT", 0x4000), has("O_CLOEXEC", 0x80000));
    }

    fn opened(&mut self, table: usize, call: &Call<'_>, at: usize, direct: bool, cloexec: bool) {
        let Some(Value::Text(path, _)) = call.arg(at) else { return };
        let device = DEVICES.iter().find(|(start, _)| path.starts_with(start.as_bytes()));
        let what = match device {
            Some((_, taker)) => Object::Device(*taker),
            None if direct => Object::File { direct },
            None => return,
        };
        self.files.open(table, &[call.result], what, cloexec);
    }

    fn control(&mut self, thread: usize, call: &Call<'_>) {
        let table = self.living[&thread].files;
        let (Some(fd), Some(what)) = (call.number(0), call.arg(1)) else { return };
        if what.is("F_DUPFD", 0) || what.is("F_DUPFD_CLOEXEC", 1030) {
            let cloexec = what.is("F_DUPFD_CLOEXEC", 1030);
            let ended = self.files.dup(table, fd, call.result, cloexec);
            self.end(thread, call.line, ended);
        } else if what.is("F_SETFL", 4) {
            self.files.set_direct(table, fd, call.has(2, "O_DIRECT", 0x4000));
        }
    }

    fn register(&mut self, thread: usize, call: &Call<'_>) {
        let table = self.living[&thread].files;
        let (Some(ring), Some(what)) = (call.number(0), call.arg(1)) else { return };
        if what.is("IORING_REGISTER_BUFFERS", 0) {
            for buffer in vector(call.arg(2)) {
                if let Some(seed) = self.take(thread, call, Taker::IoUring, &[buffer]) {
                    self.files.hold(table, ring, seed);
                }
            }
        } else if what.is("IORING_UNREGISTER_BUFFERS", 1) {
            let ended = self.files.let_go(table, ring);
            self.end(thread, call.line, ended);
        } else if what.is("IORING_REGISTER_BUFFERS2", 15) {
            self.leave("IORING_REGISTER_BUFFERS2: strace does not show its buffers");
        }
    }

    fn driver(&mut self, thread: usize, call: &Call<'_>) {
        let table = self.living[&thread].files;
        let (Some(fd), Some(Value::Word(name))) = (call.number(0), call.arg(1)) else { return };
        // Several names may share a number: strace writes all of them.
        let known = DRIVERS.iter().find(|(ioctl, ..)| name.split(" or ").any(|one| one == *ioctl));
        if let Some((_, address, length, taker)) = known {
            let field = |name| call.arg(2).and_then(|given| given.field(name)?.number());
            let bytes = field(length).unwrap_or(PAGE);
            let buffer = Buffer { address: field(address), bytes };
            // A length of nothing takes a guest's memory away.
            if bytes > 0
                && let Some(seed) = self.take(thread, call, *taker, &[buffer])
            {
                self.files.hold(table, fd, seed);
            }
            return;
        }
        let path = call.arg(0).and_then(Value::path).unwrap_or("");
        let by_path = DEVICES.iter().find(|(start, _)| path.starts_with(start));
        let device = match self.files.what(table, fd) {
            Some(Object::Device(taker)) => Some(taker),
            _ => by_path.map(|(_, taker)| *taker),
        };
        if let Some(taker) = device {
            self.leave(&format!(
                "calls of a driver ({}): which memory they take is not in a recording",
                taker.call()
            ));
        }
    }

    fn send(&mut self, thread: usize, call: &Call<'_>) {
        let table = self.living[&thread].files;
        let Some(fd) = call.number(0) else { return };
        let flags = if call.name == "sendto" { 3 } else { 2 };
        let buffers = match call.name {
            "sendto" => vec![plain(call)],
            _ => vector(call.arg(1).and_then(|message| message.field("msg_iov"))),
        };
        if call.has(flags, "MSG_ZEROCOPY", 0x400_0000) {
            for buffer in buffers {
                if let Some(seed) = self.take(thread, call, Taker::Zerocopy, &[buffer]) {
                    self.files.hold(table, fd, seed);
                }
            }
        } else {
            self.source(thread, call.line, &buffers);
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
        let with_path = call.arg(0).and_then(Value::path).unwrap_or("");
        match self.files.what(table, fd) {
            Some(Object::File { direct: true }) => {
                let taker = if reads { Taker::DirectRead } else { Taker::DirectWrite };
                self.take(thread, call, taker, &buffers);
            }
            Some(Object::Device(taker)) => self.leave(&format!(
                "calls of a driver ({}): which memory they take is not in a recording",
                taker.call()
            )),
            Some(Object::Pipe) if reads => {
                let done = self.files.drain(table, fd, call.result);
                self.end(thread, call.line, done);
                self.store(thread, call.line, &buffers);
            }
            Some(Object::Pipe) => {
                self.files.fill(table, fd, call.result, None);
                self.source(thread, call.line, &buffers);
            }
            _ if with_path.starts_with("/dev/infiniband/uverbs") => {
                self.leave("calls of a driver (rdma): which memory they take is not in a recording")
            }
            _ if reads => self.store(thread, call.line, &buffers),
            _ => self.source(thread, call.line, &buffers),
        }
    }

    /// The kernel stores what was read into memory that a seed has.
    fn store(&mut self, thread: usize, line: u64, buffers: &[Buffer]) {
        let root = self.living[&thread].root;
        for range in self.known(thread, buffers) {
            if self.touches(&range) {
                self.op(line, thread, root, What::Store(range));
            }
        }
    }

    /// A buffer that something still sends from is a source again.
    fn source(&mut self, thread: usize, line: u64, buffers: &[Buffer]) {
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
            self.op(line, thread, root, What::Again(seed));
        }
    }

    /// The memory of buffers that is known to be mapped.
    fn known(&mut self, thread: usize, buffers: &[Buffer]) -> Vec<Range> {
        let space = self.living[&thread].space;
        let Some(space) = self.spaces.get_mut(&space) else { return Vec::new() };
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
                self.take_of(thread, target, call, taker, buffers);
            }
            None => self.leave("uses of the memory of a process that was not recorded"),
        }
    }

    fn take(
        &mut self,
        thread: usize,
        call: &Call<'_>,
        taker: Taker,
        buffers: &[Buffer],
    ) -> Option<usize> {
        self.take_of(thread, thread, call, taker, buffers)
    }

    /// Something takes memory of the thread `owner`.
    fn take_of(
        &mut self,
        thread: usize,
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
            root: living.root,
            owner,
            line: call.line,
            times: 1,
            address: buffers.first().and_then(|buffer| buffer.address),
            bytes: buffers.iter().fold(0, |sum, buffer| sum.saturating_add(buffer.bytes)),
        };
        if buffers.len() > MOST_PARTS {
            self.leave("parts of vectors beyond the first eight");
        }
        let mut advice = Vec::new();
        for buffer in buffers.iter().take(MOST_PARTS) {
            self.part(&living, buffer, &mut seed, &mut advice);
        }
        if seed.ranges.is_empty() {
            self.leave("uses of no memory");
            return None;
        }
        if taker.sends() {
            let ranges = seed.ranges.clone();
            self.again(thread, call.line, &ranges);
        }
        let caller = self.living[&thread].root;
        let number = self.seed(thread, seed)?;
        for (line, by, range) in advice {
            self.op(line, by, living.root, What::Advise(range, "dontfork"));
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
        advice: &mut Vec<(u64, usize, Range)>,
    ) {
        let Some(space) = self.spaces.get_mut(&living.space) else { return };
        let area = match buffer.address {
            Some(address) => pages(address, buffer.bytes),
            None => space.only(buffer.bytes.div_ceil(PAGE)),
        };
        let Some(area) = area else {
            if buffer.address.is_none() && buffer.bytes > 0 {
                seed.ranges.push(self.unseen(living.root, buffer.bytes));
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
                break;
            }
            seed.kind = if at == 0 { piece.kind } else { seed.kind };
            if !start.is_multiple_of(PAGE) && at == 0 {
                seed.partial.push(range.from);
            }
            if !end.is_multiple_of(PAGE) && range.to - range.from + start / PAGE >= area.1 {
                seed.partial.push(range.to - 1);
            }
            if let Some((line, by)) = piece.dontfork
                && !self.log.seeds.iter().any(|old| old.ranges.iter().any(|old| old.meets(&range)))
            {
                advice.push((line, by, range));
            }
            seed.ranges.push(range);
        }
    }

    /// A buffer of which the recording does not say where it is.
    fn unseen(&mut self, root: usize, bytes: u64) -> Range {
        let next = self.mappings.saturating_add(1);
        let pages = bytes.div_ceil(PAGE);
        let known = self.unseen.entry((root, bytes));
        let range = *known.or_insert(Range { mapping: next, from: 0, to: pages });
        if range.mapping == next {
            self.mappings = next;
        }
        range
    }

    /// Keeps a seed, or counts it with one that is alike: the same pages, by the same thread, and
    /// over with the call.
    fn seed(&mut self, thread: usize, seed: Seed) -> Option<usize> {
        let alike = self.log.ops.iter().rev().find_map(|op| match op.what {
            What::Take(old) if op.thread == thread => {
                let before = &self.log.seeds[old];
                let same = before.taker == seed.taker && before.ranges == seed.ranges;
                (same && !seed.taker.stays()).then_some(old)
            }
            _ => None,
        });
        if let Some(old) = alike {
            self.log.seeds[old].times += 1;
            return None;
        }
        if self.log.seeds.len() >= MOST_SEEDS {
            self.leave("uses of memory beyond the first 64");
            return None;
        }
        self.log.seeds.push(seed);
        Some(self.log.seeds.len() - 1)
    }
}

/// The buffer of read(2) and its kin.
fn plain(call: &Call<'_>) -> Buffer {
    let address = call.number(1);
    let bytes = call.number(2).unwrap_or(0);
    Buffer { address, bytes }
}

/// The buffers of a vector.
fn vector(value: Option<&Value>) -> Vec<Buffer> {
    let parts = value.map(Value::items).unwrap_or_default();
    let buffer = |part: &Value| {
        let bytes = part.field("iov_len")?.number()?;
        Some(Buffer { address: part.field("iov_base")?.number(), bytes })
    };
    parts.iter().filter_map(buffer).filter(|buffer| buffer.bytes > 0).collect()
}
