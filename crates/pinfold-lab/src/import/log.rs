//! What is kept of a recording: the calls that concern pages that something outside of the
//! process's page tables refers to, and what threads and processes there were.

use super::gap::Left;
use super::space::{By, Kind, Range};
use std::collections::BTreeMap;

/// What takes pages, by the name that the table of system calls has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Taker {
    /// IORING_REGISTER_BUFFERS.
    IoUring,
    /// A memory region of RDMA.
    Rdma,
    /// VFIO_IOMMU_MAP_DMA.
    Vfio,
    /// Memory of the process for a graphics or compute device.
    Gpu,
    /// Memory of a guest of KVM.
    Kvm,
    /// A read with O_DIRECT.
    DirectRead,
    /// A write with O_DIRECT.
    DirectWrite,
    /// vmsplice into a pipe.
    Vmsplice,
    /// A send with MSG_ZEROCOPY.
    Zerocopy,
    /// process_vm_readv.
    VmRead,
    /// process_vm_writev.
    VmWrite,
    /// PTRACE_PEEK.
    PtraceRead,
    /// PTRACE_POKE.
    PtraceWrite,
}

impl Taker {
    /// The row of the table of system calls (`pinfold calls`) that says what it takes.
    pub const fn call(self) -> &'static str {
        match self {
            Self::IoUring => "io-uring-buffers",
            Self::Rdma => "rdma",
            Self::Vfio => "vfio",
            Self::Gpu => "gpu",
            Self::Kvm => "kvm",
            Self::DirectRead | Self::DirectWrite => "o-direct",
            Self::Vmsplice => "vmsplice",
            Self::Zerocopy => "msg-zerocopy",
            Self::VmRead | Self::VmWrite => "process-vm",
            Self::PtraceRead | Self::PtraceWrite => "ptrace",
        }
    }

    /// What it is, for people.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::IoUring => "a buffer registered with io_uring",
            Self::Rdma => "a memory region of RDMA",
            Self::Vfio => "memory mapped for a device by VFIO",
            Self::Gpu => "memory given to a graphics or compute device",
            Self::Kvm => "memory of a guest",
            Self::DirectRead => "a read with O_DIRECT",
            Self::DirectWrite => "a write with O_DIRECT",
            Self::Vmsplice => "pages put into a pipe by vmsplice",
            Self::Zerocopy => "a buffer sent with MSG_ZEROCOPY",
            Self::VmRead => "a read by process_vm_readv",
            Self::VmWrite => "a write by process_vm_writev",
            Self::PtraceRead => "a debugger's read",
            Self::PtraceWrite => "a debugger's write",
        }
    }

    /// Whether it goes on after the call.
    pub(super) const fn stays(self) -> bool {
        matches!(
            self,
            Self::IoUring
                | Self::Rdma
                | Self::Vfio
                | Self::Gpu
                | Self::Kvm
                | Self::Vmsplice
                | Self::Zerocopy
        )
    }

    /// Whether it takes memory to read it.
    pub(super) const fn only_reads(self) -> bool {
        matches!(self, Self::DirectWrite | Self::VmRead | Self::PtraceRead) || self.sends()
    }

    /// Whether it must find the words of the moment when it was called.
    pub(super) const fn sends(self) -> bool {
        matches!(self, Self::Vmsplice | Self::Zerocopy)
    }
}

/// A use of memory by something else than the process's own loads and stores.
#[derive(Clone, Debug)]
pub(super) struct Seed {
    pub(super) taker: Taker,
    /// The memory, one for each mapping that it lies in.
    pub(super) ranges: Vec<Range>,
    /// Pages of which it covers only a part.
    pub(super) partial: Vec<u64>,
    pub(super) kind: Kind,
    /// Children did not share it when it was taken.
    pub(super) apart: bool,
    /// It is a request: a device uses the memory until its end is told.
    pub(super) submitted: bool,
    /// Who has the memory: the program that was executed, and a thread of it.
    pub(super) root: usize,
    pub(super) owner: usize,
    /// The first line, how many calls were alike, and the address.
    pub(super) line: u64,
    pub(super) times: u64,
    pub(super) address: Option<u64>,
    pub(super) bytes: u64,
}

impl Seed {
    /// Whether it goes on after the call.
    pub(super) const fn goes_on(&self) -> bool {
        self.taker.stays() || self.submitted
    }
}

/// Something that a thread did.
#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) line: u64,
    pub(super) thread: usize,
    /// The program that the thread ran then.
    pub(super) root: usize,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// Takes the pages of a seed, for the call or longer.
    Take(usize),
    /// Ends what a seed took.
    Release(usize),
    /// The buffer is used again as a source: it was filled in between.
    Again(usize),
    /// A call stored into these pages.
    Store(Range),
    Fork(usize),
    Vfork(usize),
    /// A process in the same address space.
    Share(usize),
    Thread(usize),
    /// The end of that thread was waited for.
    Wait(usize),
    Exec,
    Exit,
    Unmap(Range),
    /// New memory at the place of what a seed has: the old pages and the new ones.
    Reuse(Range, Range),
    Protect(Range, &'static str),
    Advise(Range, &'static str),
    /// Takes pages to the swap device.
    Pageout(Range),
    /// Forgets which pages the process has stored to.
    ClearRefs,
    Move(Range),
}

/// The thread that a call made.
pub(super) fn makes(op: &Op) -> Option<usize> {
    match op.what {
        What::Fork(child) | What::Vfork(child) | What::Share(child) | What::Thread(child) => {
            Some(child)
        }
        _ => None,
    }
}

/// A thread.
#[derive(Clone, Debug)]
pub(super) struct Thread {
    pub(super) pid: u32,
    /// The thread that made it.
    pub(super) parent: Option<usize>,
    pub(super) process: usize,
    /// It is no thread of the process, but what one of another process does to it.
    pub(super) visits: bool,
}

/// All that is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    pub(super) seeds: Vec<Seed>,
    pub(super) ops: Vec<Op>,
    pub(super) threads: Vec<Thread>,
    /// Who made the mappings that seeds have, as far as a call did.
    pub(super) makers: BTreeMap<u32, By>,
    /// The release, if the program asked for it.
    pub(super) kernel: Option<String>,
    pub(super) lines: u64,
    /// What was left out.
    pub(super) left: Left,
}

impl Log {
    /// Whether the process of a thread has pages of a mapping at a line: it made them, or it came
    /// from one that had. What no call made was always there.
    pub(super) fn has(&self, thread: usize, mapping: u32, line: u64) -> bool {
        let Some((since, by)) = self.makers.get(&mapping).copied() else { return true };
        if self.threads[by].process == self.threads[thread].process {
            return since <= line;
        }
        let home = self.space(self.threads[by].process);
        let (mut process, mut line) = (self.space(self.threads[thread].process), line);
        while process != home {
            let Some((maker, forked)) = self.maker(process) else { return false };
            line = line.min(forked);
            process = self.space(self.threads[maker].process);
        }
        since <= line
    }

    /// The process whose address space a process was made in: its own, or that of who called
    /// vfork.
    fn space(&self, mut process: usize) -> usize {
        let shares = |process: usize| {
            let made = self.ops.iter().find(|op| makes(op) == Some(process))?;
            matches!(made.what, What::Vfork(_) | What::Share(_)).then_some(made.thread)
        };
        while let Some(maker) = shares(process) {
            process = self.threads[maker].process;
        }
        process
    }

    /// Who made a process, and in which line.
    fn maker(&self, process: usize) -> Option<(usize, u64)> {
        let made = self.ops.iter().find(|op| makes(op) == Some(process))?;
        Some((made.thread, made.line))
    }
}
