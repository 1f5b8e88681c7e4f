//! Which system call takes what on a process's pages, release by release: the table from which
//! `pinfold calls` and docs/system-calls.md are made.
//!
//! - INV-CALLS-1: what the table says of a call that a rule decides is what the rule's presets say.
//! - INV-CALLS-2: the words of a call are steps of the scenario language.
//! - INV-CALLS-3: the scenarios of a call ship.
//!
//! Tests beside the table hold it to all three. The marks are those of facts 0.1.

#[cfg(test)]
mod tests;

/// What is taken on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// An ordinary reference, FOLL_GET.
    Get,
    /// A pin, FOLL_PIN.
    Pin,
    /// Nothing: it follows the address space by a notifier.
    Follow,
    /// Nothing: the caller's own address space is used.
    Borrow,
}

impl Hold {
    /// In words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Pin => "pin",
            Self::Follow => "notifier",
            Self::Borrow => "nothing",
        }
    }
}

/// What a call takes from one release on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Era {
    /// The first release.
    pub(crate) from: &'static str,
    /// What is taken.
    pub(crate) hold: Hold,
    /// For how long, by which way, and for reading or writing.
    pub(crate) how: &'static str,
    /// The mark: what the row rests on.
    pub(crate) mark: &'static str,
}

impl Era {
    /// Whether pages are found with the address space's lock alone, which keeps forks out.
    pub(crate) fn is_slow(&self) -> bool {
        self.how.contains("slow") && !self.how.contains("fast")
    }
}

/// A system call, or a use of some.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// Its name here, as `pinfold calls NAME` takes it.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) title: &'static str,
    /// Other names for it.
    pub(crate) also: &'static [&'static str],
    /// What it takes, oldest first.
    pub(crate) eras: &'static [Era],
    /// Steps of the scenario language that stand for it: one for each line.
    pub(crate) words: &'static [&'static str],
    /// What makes it safe with fork.
    pub(crate) fork: &'static str,
    /// Scenarios that show it.
    pub(crate) scenarios: &'static [&'static str],
    /// The sections of the fact sheet.
    pub(crate) facts: &'static str,
}

impl Call {
    /// Every call, in the order of the page.
    pub(crate) const ALL: &'static [Self] = CALLS;

    /// The call of that name, whatever the case, and whether with `-`, `_` or a blank.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        let name = folded(name);
        CALLS.iter().find(|call| call.names().any(|known| folded(known) == name))
    }

    /// The name that is most like one that is unknown, if one is near enough to be meant.
    pub(crate) fn meant(name: &str) -> Option<&'static str> {
        let name = folded(name);
        let all = CALLS.iter().flat_map(Self::names);
        let alike = all.map(|known| {
            let known_folded = folded(known);
            let part = name.len() > 2 && known_folded.contains(&name);
            let near = strsim::normalized_damerau_levenshtein(&name, &known_folded);
            (if part { near.max(ALIKE) } else { near }, known)
        });
        let near = alike.filter(|(likeness, _)| *likeness >= ALIKE);
        near.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, known)| known)
    }

    fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.also.iter().copied())
    }
}

/// How similar a name must be to be suggested, from 0 to 1.
const ALIKE: f64 = 0.6;

/// A name as it is compared.
fn folded(name: &str) -> String {
    name.trim().to_lowercase().replace(['_', ' '], "-")
}

/// A row of a call's history.
const fn era(from: &'static str, hold: Hold, how: &'static str, mark: &'static str) -> Era {
    Era { from, hold, how, mark }
}

use Hold::{Borrow, Follow, Get, Pin};

/// What is safe for whoever holds a long-term pin.
const LONG_PIN: &str = "With 5.9 or later the pin does it: fork leaves the page to its owner. \
                        Before, and where a get is taken: madvise(MADV_DONTFORK) on whole pages, \
                        before the registration.";

const CALLS: &[Call] = &[
    Call {
        name: "io-uring-buffers",
        title: "io_uring: fixed buffers, IORING_REGISTER_BUFFERS",
        also: &["io-uring", "io-uring-register", "uring", "IORING_REGISTER_BUFFERS"],
        eras: &[
            era("5.1", Get, "long, slow, for writing", "M"),
            era("5.6", Pin, "long, slow, for writing", "M"),
            era("6.10", Pin, "long, fast then slow, for writing", "M; seen in 6.18; start M"),
        ],
        words: &["pin A write longterm as h0", "get A write as h0", "unpin h0"],
        fork: LONG_PIN,
        scenarios: &["rdma-fork", "rdma-fork-get", "dontfork-first", "unregister-in-flight"],
        facts: "3.10, 3.12",
    },
    Call {
        name: "rdma",
        title: "RDMA: ibv_reg_mr, a memory region that is pinned",
        also: &["ibv_reg_mr", "infiniband", "verbs", "mlx5", "gdr"],
        eras: &[
            era("3.1", Get, "long, slow, for writing, or forced where the region is read", "M"),
            era("5.6", Pin, "long, fast then slow, for writing, or forced where it is read", "M"),
            era("6.2", Pin, "long, fast then slow, as the region's rights say", "S7.3; start M"),
        ],
        words: &[
            "advise A dontfork",
            "pin A write longterm as h0",
            "pin A read longterm as h0",
            "get A write as h0",
            "unpin h0 dirty",
        ],
        fork: "As io-uring-buffers, but that in 5.10 its lock-free pin can be missed by a fork that \
               it meets. ibv_fork_init has the library keep regions out of children \
               (MADV_DONTFORK), with whatever else lies on their pages; from 5.9 on it is not \
               needed.",
        scenarios: &["rdma-fork", "dontfork-first", "dontfork-late", "registration-stale"],
        facts: "3.7, 3.12, 2.1",
    },
    Call {
        name: "rdma-odp",
        title: "RDMA: on-demand paging, a memory region that is not pinned",
        also: &["odp"],
        eras: &[era("3.19", Follow, "faults pages in as the device asks for them", "M")],
        words: &["follow A as h0", "unfollow h0"],
        fork: "Nothing is needed: whatever takes a page away tells the device first.",
        scenarios: &["odp-notifier"],
        facts: "7.10",
    },
    Call {
        name: "vfio",
        title: "VFIO: VFIO_IOMMU_MAP_DMA of type 1, device assignment and DPDK",
        also: &["vfio-pci", "dpdk"],
        eras: &[
            era("3.6", Get, "long, slow or fast, for writing if the device may write", "M"),
            era("5.6", Pin, "long, slow, for writing if the device may write", "M"),
        ],
        words: &["pin A write longterm slow-only as h0", "unpin h0"],
        fork: LONG_PIN,
        scenarios: &["rdma-fork", "rdma-fork-get", "read-pin-zero-page"],
        facts: "3.12, 3.13",
    },
    Call {
        name: "gpu",
        title: "GPU drivers: memory of the process for the device (userptr, SVM)",
        also: &["userptr", "svm", "hmm", "amdgpu", "i915", "nouveau", "xe", "drm"],
        eras: &[
            era("3.16", Get, "while a job runs, with a notifier that takes it back", "M"),
            era("5.4", Follow, "amdgpu and nouveau: hmm_range_fault, no reference", "M"),
        ],
        words: &["follow A as h0", "get A write as h0", "pin A write longterm as h0"],
        fork: "What follows by a notifier needs nothing. Drivers that hold pages for a job (i915, \
               from 5.9 by pins: W) are as rdma for as long as the job runs; bug 215616 was seen \
               on one that pins for long (Gaudi).",
        scenarios: &["odp-notifier", "bug-215616"],
        facts: "4.6, 7.10, 11",
    },
    Call {
        name: "o-direct",
        title: "O_DIRECT: read(2), write(2), libaio and io_uring without fixed buffers",
        also: &["odirect", "aio", "libaio", "direct-io", "dio", "io_submit"],
        eras: &[
            era("3.1", Get, "short, fast then slow; for writing where the file is read", "T"),
            era("6.5", Pin, "short, fast then slow; the same (block layer, iomap)", "T"),
        ],
        words: &["direct-read A from F", "direct-write A to F"],
        fork: "With 6.5 or later the pin does it. Before: no fork while a read runs into private \
               memory that the parent goes on writing, or MADV_DONTFORK on the buffer; vfork and \
               posix_spawn are safe. NFS, CIFS, 9p and ceph take pages on their own: not known.",
        scenarios: &["o-direct-fork", "o-direct-dontfork", "o-direct-write-fork", "o-direct-child"],
        facts: "12.9",
    },
    Call {
        name: "vmsplice",
        title: "vmsplice(2) of private memory into a pipe",
        also: &["splice"],
        eras: &[era("3.1", Get, "for as long as the pipe holds it, fast then slow, read", "M")],
        words: &["get A read as h0", "put h0"],
        fork: "For the parent: its writes copy from 5.9 on (5.19: where a child shares the page), \
               so a child's pipe does not see them; up to 5.7 it does (CVE-2020-29374), and to \
               this day with huge pages of the pool. The pipe sees what is written to the page \
               later: do not write until it is read.",
        scenarios: &["vmsplice-leak", "vmsplice-leak-thp", "vmsplice-leak-hugetlb"],
        facts: "1.1, 1.3, 9.24",
    },
    Call {
        name: "msg-zerocopy",
        title: "MSG_ZEROCOPY: send(2) without a copy",
        also: &["zerocopy", "SO_ZEROCOPY"],
        eras: &[era("4.14", Get, "until the completion is told, fast then slow, read", "M")],
        words: &["get A read as h0", "put h0"],
        fork: "The device only reads, so nothing of the process is lost. What is written before \
               the completion may or may not be sent; a fork in between can leave the page to the \
               child, and then the old words are sent.",
        scenarios: &["rdma-fork-get"],
        facts: "1.3",
    },
    Call {
        name: "process-vm",
        title: "process_vm_readv(2), process_vm_writev(2)",
        also: &["process_vm_readv", "process_vm_writev"],
        eras: &[
            era("3.2", Get, "short, slow, as the call reads or writes, never forced", "M"),
            era("5.6", Pin, "short, slow, as the call reads or writes, never forced", "C; start M"),
        ],
        words: &["vm-read P:A as r0", "vm-write P:A \"v\""],
        fork: "With 5.9 or later the pin does it. Before, a write may arrive in the child alone, \
               if the owner forks and writes to the page meanwhile: stop the owner first.",
        scenarios: &["process-vm-fork"],
        facts: "3.14",
    },
    Call {
        name: "ptrace",
        title: "ptrace(2) PEEK and POKE, /proc/PID/mem",
        also: &["/proc/pid/mem", "debugger"],
        eras: &[era(
            "3.1",
            Get,
            "short, slow and forced, under the lock of the address space",
            "M",
        )],
        words: &["ptrace-read P:A as r0", "ptrace-write P:A \"v\""],
        fork: "Safe in every release: a fork waits for the lock. Forced writes had holes of their \
               own (Dirty COW, up to 4.8; CVE-2022-2590, 5.16 to 5.19).",
        scenarios: &["ptrace-fork", "dirty-cow", "breakpoint"],
        facts: "3.4, 3.14",
    },
    Call {
        name: "kvm",
        title: "KVM: memory of a guest, KVM_SET_USER_MEMORY_REGION",
        also: &["qemu", "guest-memory"],
        eras: &[era("3.1", Follow, "short gets, fast then slow, while it sets up an entry", "M")],
        words: &["follow A as vm", "unfollow vm"],
        fork: "Nothing is needed for the guest's own accesses. Devices that are assigned to the \
               guest pin its memory: vfio.",
        scenarios: &["odp-notifier"],
        facts: "7.10",
    },
    Call {
        name: "vfork",
        title: "vfork(2), and clone(2) with CLONE_VM and CLONE_VFORK",
        also: &["clone-vfork"],
        eras: &[era("3.1", Borrow, "the child runs in its parent's address space until exec", "M")],
        words: &["vfork C", "exec"],
        fork: "It copies, shares and protects nothing, so gets and pins stay in step in every \
               release. The child must only exec or _exit.",
        scenarios: &["vfork-exec", "fork-exec", "fork-exec-get"],
        facts: "2.1",
    },
    Call {
        name: "posix-spawn",
        title: "posix_spawn(3), system(3) and popen(3) of the C library",
        also: &["system", "popen", "spawn"],
        eras: &[era("3.1", Borrow, "vfork by clone: glibc from 2.24, musl; before: fork", "M")],
        words: &["vfork C", "exec"],
        fork: "As vfork where the library does it so; system and popen of glibc from 2.30 (M). An \
               older library forks.",
        scenarios: &["vfork-exec", "fork-exec", "fork-exec-get"],
        facts: "2.1",
    },
];
