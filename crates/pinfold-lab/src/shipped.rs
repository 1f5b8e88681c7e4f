//! The incidents that ship with the laboratory, as data: the contents of `scenarios/` in this
//! package.
//!
//! A file is added by one line in the table below; a test compares the table with the directory.

#[cfg(test)]
mod tests;

/// A file that ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// The file's name without its extension: the scenario's name, if the file is a scenario.
    pub name: &'static str,
    /// Its contents.
    pub text: &'static str,
}

impl Shipped {
    /// The file of this name among `files`, which are [`SCENARIOS`] or [`VERDICTS`].
    pub fn find(files: &'static [Self], name: &str) -> Option<&'static Self> {
        files.iter().find(|file| file.name == name)
    }
}

macro_rules! files {
    ($ending:literal: $($name:literal),+ $(,)?) => {
        &[$(Shipped {
            name: $name,
            text: include_str!(concat!("../scenarios/", $name, ".", $ending)),
        }),+]
    };
}

/// The scenarios, by name. Their `about` lines say what each is about.
pub const SCENARIOS: &[Shipped] = files!["pf":
    "areas-limit",
    "async-move-gives-up",
    "break-shrinks",
    "breakpoint",
    "breakpoint-file",
    "bug-215616",
    "bug-215616-compaction",
    "bug-215616-merging",
    "bug-215616-move-pages",
    "bug-215616-thp",
    "bug-215616-thp-pmd",
    "cma-get",
    "cma-longterm",
    "collapse-races-pin",
    "collapse-swapped",
    "counter-overflow",
    "cow-published-early",
    "delay-all-rmap",
    "delay-all-rmap-reuse",
    "dirty-cow",
    "dirty-cow-file",
    "dirty-cow-shmem",
    "dontfork-first",
    "dontfork-late",
    "dontfork-neighbour",
    "dontfork-undone",
    "exit-races-pin",
    "fast-pin-races-pmd-split",
    "fast-pin-races-split",
    "fast-pin-reused-frame",
    "file-pin",
    "forgotten-subpages",
    "fork-exec",
    "fork-exec-get",
    "fork-exec-races-pin",
    "fork-meets-migration",
    "fork-races-fast-pin",
    "fork-races-fast-pin-pmd",
    "huge-fault-races-dontneed",
    "hugetlb-child",
    "ksm-pin",
    "lazyfree-direct-io",
    "local-flush-copy",
    "local-flush-protect",
    "local-flush-unmap",
    "longterm-meets-isolation",
    "longterm-two-pinners",
    "lru-batch",
    "lru-batch-elsewhere",
    "many-references",
    "map-replace",
    "mbind-pin",
    "memcg-move",
    "memcg-move-elsewhere",
    "memfd-registered",
    "move-races-cow",
    "mprotect-flip",
    "mprotect-pin-fork",
    "munlock-delayed",
    "numa-backoff",
    "numa-scan-races-pin",
    "o-direct-child",
    "o-direct-dontfork",
    "o-direct-fork",
    "o-direct-stale-cache",
    "o-direct-swap",
    "o-direct-write-fork",
    "odp-notifier",
    "offline-pin",
    "pin-below-stack",
    "pmd-split-races-write",
    "private-snapshot",
    "process-vm-fork",
    "ptrace-fork",
    "rdma-dontfork",
    "rdma-fork",
    "rdma-fork-get",
    "read-pin-file-page",
    "read-pin-then-write",
    "read-pin-zero-page",
    "registration-stale",
    "remap-stale-translation",
    "shared-file-pin",
    "shared-space-outlives",
    "soft-dirty-pin",
    "stack-grows",
    "swap-device-fails",
    "swap-out-races-pin",
    "swap-stable-writes",
    "swapin-skips-cache",
    "thp-pin-fork",
    "thp-pin-fork-pmd",
    "thp-reuse-after-exit",
    "thp-tail-get",
    "thp-tail-get-first",
    "thp-tail-speculative",
    "torn-fork",
    "truncate-pinned",
    "uffd-fork",
    "uffd-fork-event",
    "uffd-minor",
    "uffd-postcopy",
    "uffd-remap",
    "uffd-remap-event",
    "uffd-wp-absent",
    "uffd-wp-device",
    "uffd-wp-pin",
    "uffd-wp-populated",
    "uffd-wp-unpopulated",
    "unmap-races-pin",
    "unmap-then-map",
    "unregister-in-flight",
    "unregister-too-early",
    "vfork-exec",
    "vmsplice-leak",
    "vmsplice-leak-folio",
    "vmsplice-leak-hugetlb",
    "vmsplice-leak-thp",
    "wrprotect-restore-loses-dirty",
    "zap-before-flush",
    "zero-page-overflow",
];

/// What [`SCENARIOS`] must do under each release's rules, as tables that `pinfold matrix --expect`
/// reads: `verdicts` for a strongly ordered machine, `verdicts-weak` where a weak one differs.
pub const VERDICTS: &[Shipped] = files!["txt": "verdicts", "verdicts-weak"];
