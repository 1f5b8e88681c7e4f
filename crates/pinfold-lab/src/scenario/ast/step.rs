//! Steps: what processes and devices do, one a line.

use super::super::span::{Name, Position, Spanned, Text};
use super::super::words::{
    Access, Advice, Failure, Protection, Sharing, Status, Ticked, UffdReason, UffdWord, Waits,
};
use super::parts::{
    Batches, Dirty, Duration, Grab, Memory, Occupied, Pages, Part, Peek, Place, Poke, Shown,
    Strictness, UffdWp, Whose,
};
use serde::{Deserialize, Serialize};

/// One line of `setup`, a lane or `after`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The process before the colon. Always absent in a lane; in `setup` and `after` absent only
    /// where no process is needed (see [`Action::needs_process`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Name>,
    /// What is done.
    #[serde(rename = "do")]
    pub action: Action,
    /// How it must fail; absent when it must succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails: Option<Spanned<Failure>>,
    /// How it may fail, or succeed: which of the two depends on what other lanes do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_fail: Option<Spanned<Failure>>,
    /// The whole step.
    #[serde(skip)]
    pub span: Position,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "verb",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Action {
    /// `map AREA N private|shared|file|stack PROTECTION [of FILE [from K]] [up to M]
    /// [at ADDRESS [replace]]`
    Map {
        /// The new area.
        area: Name,
        /// Its length in pages, at least 1; of a stack, its length until it grows.
        pages: Spanned<u32>,
        /// Whether writes stay with the process.
        sharing: Spanned<Sharing>,
        /// What the process is allowed to do.
        protection: Spanned<Protection>,
        /// The file that it shows; nobody else's memory unless written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<Shown>,
        /// The pages of a stack that have names, of which the last are mapped from the beginning;
        /// as many as those unless written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        up_to: Option<Spanned<u32>>,
        /// Where page 0 must lie, a multiple of the page size; anywhere unless written, and a stack
        /// at the lowest address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Spanned<u64>>,
        /// What becomes of pages that are mapped at the address.
        #[serde(default, skip_serializing_if = "Occupied::is_default")]
        occupied: Occupied,
    },
    /// `unmap PAGES`
    Unmap {
        /// What is removed.
        pages: Pages,
    },
    /// `remap AREA at ADDRESS`: moves an area with its pages.
    Remap {
        /// What moves.
        area: Name,
        /// Where it starts from then on, a multiple of the page size.
        at: Spanned<u64>,
    },
    /// `break AREA N`: moves the program break.
    Break {
        /// The memory between the lowest address and the break.
        area: Name,
        /// How many pages it has from then on.
        pages: Spanned<u32>,
    },
    /// `protect PAGES PROTECTION`
    Protect {
        /// What is changed.
        pages: Pages,
        /// What the process is allowed to do from now on.
        protection: Spanned<Protection>,
    },
    /// `advise PAGES ADVICE`
    Advise {
        /// What the advice is about.
        pages: Pages,
        /// The advice.
        advice: Spanned<Advice>,
    },
    /// `write PAGE "word"`: a store of the process.
    Write {
        /// Where, in the address space of the process.
        to: Place,
        /// What is stored.
        word: Text,
    },
    /// `read PAGE [expect "word"] [as REGISTER]`: a load of the process.
    Read {
        /// Where, in the address space of the process.
        from: Place,
        /// What the load must find.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<Text>,
        /// The register that keeps what was found.
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        register: Option<Name>,
    },
    /// `write HANDLE "word"`: a store through a handle, past all page tables.
    DeviceWrite {
        /// Where; the name is a handle.
        to: Place,
        /// What is stored.
        word: Text,
    },
    /// `read HANDLE [expect "word"] [as REGISTER]`: a load through a handle.
    DeviceRead {
        /// Where; the name is a handle.
        from: Place,
        /// What the load must find.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<Text>,
        /// The register that keeps what was found.
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        register: Option<Name>,
    },
    /// `pin PAGES read|write [force] [longterm] [fast-only|slow-only] [times N] as HANDLE`
    Pin {
        /// What is pinned and how.
        grab: Grab,
        /// For how long.
        duration: Duration,
        /// How many pins are taken on each page, in one step; one unless written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<Spanned<u32>>,
    },
    /// `get PAGES read|write [force] [fast-only|slow-only] [times N] as HANDLE`
    Get {
        /// What is referenced and how.
        grab: Grab,
        /// How many references are taken on each page, in one step; one unless written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<Spanned<u32>>,
    },
    /// `unpin HANDLE [dirty]`
    Unpin {
        /// The handle of a `pin`.
        handle: Name,
        /// Whether the device wrote.
        dirty: Dirty,
    },
    /// `put HANDLE`: drops every reference that the `get` took.
    Put {
        /// The handle of a `get`.
        handle: Name,
    },
    /// `follow PAGES as HANDLE`: a device sets up translations of its own when it needs them.
    Follow {
        /// Which pages.
        pages: Pages,
        /// The name of the result.
        #[serde(rename = "as")]
        handle: Name,
    },
    /// `unfollow HANDLE`
    Unfollow {
        /// The handle of a `follow`.
        handle: Name,
    },
    /// `fork CHILD`
    Fork {
        /// The new process.
        child: Name,
    },
    /// `exit`
    Exit,
    /// `numa-scan [PAGES]`: every area of the process unless pages are written.
    NumaScan {
        /// What is scanned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pages: Option<Pages>,
    },
    /// `numa-tick N [expect scan|rest]`: the balancer of the address space is told the time.
    NumaTick {
        /// The time, in milliseconds.
        now: Spanned<u32>,
        /// What comes of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<Spanned<Ticked>>,
    },
    /// `migrate PAGES to node N [async|light|sync]`
    Migrate {
        /// What is moved.
        pages: Pages,
        /// Where to.
        node: Spanned<u32>,
        /// How long that waits; `sync` unless written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waits: Option<Spanned<Waits>>,
    },
    /// `move-pages PAGES to node N [all] [expect STATUS ...] [as REGISTER]`
    MovePages {
        /// What is moved.
        pages: Pages,
        /// Where to.
        node: Spanned<u32>,
        /// Whose pages move.
        whose: Whose,
        /// What must become of the pages: one status for each of them, or one for all; anything
        /// unless written.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        expect: Vec<Spanned<Status>>,
        /// The register that keeps the status of the one page.
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        register: Option<Name>,
    },
    /// `mbind PAGES to node N [all] [strict]`
    Mbind {
        /// What is moved.
        pages: Pages,
        /// Where to.
        node: Spanned<u32>,
        /// Whose pages move.
        whose: Whose,
        /// Whether a page that stays elsewhere is a failure.
        strict: Strictness,
    },
    /// `writeback PAGES`: for pages of a file.
    Writeback {
        /// What is written back.
        pages: Pages,
    },
    /// `compact PAGES to node N [async|light|sync]`: as `migrate`, but pages that are in use
    /// otherwise are passed over.
    Compact {
        /// What is moved.
        pages: Pages,
        /// Where to.
        node: Spanned<u32>,
        /// How long that waits; `light` unless written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waits: Option<Spanned<Waits>>,
    },
    /// `offline node N [movable|cma]`
    Offline {
        /// Whose memory goes.
        node: Spanned<u32>,
        /// Which part of it.
        what: Memory,
    },
    /// `online node N [movable|cma]`
    Online {
        /// Whose memory comes back.
        node: Spanned<u32>,
        /// Which part of it.
        what: Memory,
    },
    /// `clear-refs`: no page of the process is soft-dirty any more.
    ClearRefs,
    /// `pageout PAGES`
    Pageout {
        /// What goes to the swap device.
        pages: Pages,
    },
    /// `swapoff`: all processes' pages come back from the swap device, which is gone then.
    Swapoff,
    /// `reclaim node N goal K`
    Reclaim {
        /// Where.
        node: Spanned<u32>,
        /// How many pages are to leave.
        goal: Spanned<u32>,
    },
    /// `lru-drain` and `lru-drain all`
    LruDrain {
        /// Whose batches.
        of: Batches,
    },
    /// `ksm [N]`: a pass over the pages of all processes that may be merged, or so many of them.
    Ksm {
        /// How many pages at most; to the end of the pass unless written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pages: Option<Spanned<u32>>,
    },
    /// `signal NAME`: whoever awaits it goes on, now or later.
    Signal {
        /// The signal.
        signal: Name,
    },
    /// `await NAME`: waits until some lane has given the signal.
    Await {
        /// The signal.
        signal: Name,
    },
    /// `populate PAGES read|write`
    Populate {
        /// What is made accessible.
        pages: Pages,
        /// For which access.
        access: Spanned<Access>,
    },
    /// `clone CHILD`: a process in the same address space.
    Clone {
        /// The new process.
        child: Name,
    },
    /// `vfork CHILD`: as `clone`; the lane goes on when the child has executed or ended.
    Vfork {
        /// The new process.
        child: Name,
    },
    /// `exec`: the process goes on in a new, empty address space.
    Exec,
    /// `mlock PAGES`
    Mlock {
        /// What stays in memory.
        pages: Pages,
    },
    /// `munlock PAGES`
    Munlock {
        /// What need not stay there.
        pages: Pages,
    },
    /// `write FILE[N] "word"`: write(2).
    FileWrite {
        /// Where; the name is a file.
        to: Place,
        /// What is stored.
        word: Text,
    },
    /// `read FILE[N] [expect "word"] [as REGISTER]`: read(2).
    FileRead {
        /// Where; the name is a file.
        from: Place,
        /// What must be found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<Text>,
        /// The register that keeps what was found.
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        register: Option<Name>,
    },
    /// `truncate FILE N [words W]`: gives a file another length.
    Truncate {
        /// The file.
        file: Name,
        /// Its whole pages from then on.
        pages: Spanned<u32>,
        /// How many words of the page after those it has, too; none unless written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<Spanned<u32>>,
    },
    /// `punch FILE[I..J]`: the pages are zeros from then on, and the file keeps its length.
    Punch {
        /// Which pages of the file.
        pages: Pages,
    },
    /// `sync FILE`: writes its dirty pages back.
    Sync {
        /// The file.
        file: Name,
    },
    /// `join GROUP`: what the process makes is charged to the group from then on.
    Join {
        /// The group.
        group: Name,
    },
    /// `move-charge PAGES from GROUP to GROUP`
    MoveCharge {
        /// Whose charges move.
        pages: Pages,
        /// The group that they are charged to.
        from: Name,
        /// The group that they are charged to from then on.
        to: Name,
    },
    /// `direct-read PART from PART`: read(2) of a file that is open with O_DIRECT.
    DirectRead {
        /// The memory that is filled.
        to: Part,
        /// As much of a file.
        from: Part,
    },
    /// `direct-write PART to PART`: write(2) of a file that is open with O_DIRECT.
    DirectWrite {
        /// The memory that is read.
        from: Part,
        /// As much of a file.
        to: Part,
    },
    /// `vm-read PROCESS:PAGE [expect "word"] [as REGISTER]`: process_vm_readv(2).
    VmRead {
        /// What is read.
        peek: Peek,
    },
    /// `vm-write PROCESS:PART "word"`: process_vm_writev(2).
    VmWrite {
        /// What is written.
        poke: Poke,
    },
    /// `ptrace-read PROCESS:PAGE [expect "word"] [as REGISTER]`: PTRACE_PEEKDATA.
    PtraceRead {
        /// What is read.
        peek: Peek,
    },
    /// `ptrace-write PROCESS:PART "word"`: PTRACE_POKEDATA.
    PtraceWrite {
        /// What is written.
        poke: Poke,
    },
    /// `uffd-register PAGES missing|wp|minor|unpopulated|event-fork|event-remap ...`
    UffdRegister {
        /// What is watched.
        pages: Pages,
        /// What the monitor is told of, and how; at least one.
        modes: Vec<Spanned<UffdWord>>,
    },
    /// `uffd-unregister PAGES`
    UffdUnregister {
        /// What is not watched any more.
        pages: Pages,
    },
    /// `uffd-copy PAGE "word" [wp]`: gives a missing page, with zeros in all other words.
    UffdCopy {
        /// Where, in the address space of the process.
        to: Place,
        /// What the page holds there.
        word: Text,
        /// Whether it is protected from writes.
        #[serde(default, skip_serializing_if = "UffdWp::is_default")]
        wp: UffdWp,
    },
    /// `uffd-zero PAGE`: gives a page of zeros.
    UffdZero {
        /// Where, in the address space of the process.
        at: Place,
    },
    /// `uffd-continue PAGE [wp]`: maps the page that is there.
    UffdContinue {
        /// Where, in the address space of the process.
        at: Place,
        /// Whether it is protected from writes.
        #[serde(default, skip_serializing_if = "UffdWp::is_default")]
        wp: UffdWp,
    },
    /// `uffd-protect PAGES`: the monitor is told of writes from then on.
    UffdProtect {
        /// What is protected.
        pages: Pages,
    },
    /// `uffd-unprotect PAGES`
    UffdUnprotect {
        /// What is not protected any more.
        pages: Pages,
    },
    /// `uffd-wait PAGE missing|wp|minor`: waits until the monitor was told of such an access there.
    UffdWait {
        /// Where, in the address space of the process.
        at: Place,
        /// Why it is told.
        reason: Spanned<UffdReason>,
    },
    /// `split-folio PAGE`: splits the large folio that the page is part of.
    SplitFolio {
        /// The page, in the address space of the process.
        at: Place,
    },
    /// `split-deferred`: splits all large folios that are mapped in part.
    SplitDeferred,
    /// `collapse PAGE`: makes one large folio, by one entry, of the pages that the page's table
    /// maps.
    Collapse {
        /// The page, in the address space of the process.
        at: Place,
    },
    /// `note PAGES as HANDLE`: remembers the frames that the pages have, and holds nothing.
    Note {
        /// Which pages.
        pages: Pages,
        /// The name of what is remembered.
        #[serde(rename = "as")]
        handle: Name,
    },
    /// `try-get HANDLE as HANDLE`: takes a reference by a frame's number alone.
    TryGet {
        /// A page of a handle of `note`.
        frame: Place,
        /// The name of the result.
        #[serde(rename = "as")]
        handle: Name,
    },
    /// `get-page HANDLE as HANDLE`: takes one more reference on a page through a handle that has
    /// one.
    GetPage {
        /// A page of a handle of `get`, `try-get` or `get-page`.
        held: Place,
        /// The name of the result.
        #[serde(rename = "as")]
        handle: Name,
    },
}
