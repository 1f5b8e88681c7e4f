//! The agent's requests and answers, and what it finds on its machine.

use std::fs;
use std::io::{self, BufRead, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use pinfold_lab::scenario::{Occupied, Protection, Sharing, SwapKind};

use super::pagemap::{self, Entry};
use super::ring::Ring;
use super::stage::Stage;
use super::sys::limits::Program;
use super::{scan, swap, sys};

use crate::job::{Ask, Features, PROTOCOL, Say};
use crate::settings::Given;

/// Answers the requests on `input` until it ends; see [`job`](crate::job). For a process that does
/// nothing else: it takes its signals and children over. `patience` is the longest that a step may
/// take.
///
/// # Errors
/// When input or output cannot be used.
pub fn serve(
    input: impl BufRead,
    mut output: impl Write,
    given: Given,
    patience: Duration,
) -> io::Result<()> {
    sys::become_agent();
    let mut say = |what: &Say| -> io::Result<()> {
        let line = serde_json::to_string(what)?;
        writeln!(output, "{line}")?;
        output.flush()
    };
    let caught = sys::catch_faults();
    let features = features(caught.err().map(|why| why.to_string()), given);
    say(&Say::Ready(Box::new(features.clone())))?;
    let mut stage: Option<Stage> = None;
    for line in input.lines() {
        let answer = match serde_json::from_str::<Ask>(&line?) {
            Err(why) => Say::Trouble(format!("not understood: {why}")),
            Ok(Ask::Plan(plan)) => {
                let cpus = places(&plan.cpus);
                // What the trials of the last plan shared is given back first.
                stage = None;
                match Stage::new(*plan, cpus, patience) {
                    Ok(new) => {
                        stage = Some(new);
                        Say::Understood
                    }
                    Err(why) => Say::Trouble(why),
                }
            }
            Ok(Ask::Counters) => Say::Counters(crate::kernel::counters()),
            Ok(Ask::Trial(conduct)) => match &mut stage {
                None => Say::Trouble("there is no plan yet".to_owned()),
                Some(stage) => match stage.trial(&conduct) {
                    Ok(seen) => Say::Seen(seen),
                    Err(why) => Say::Trouble(why),
                },
            },
        };
        say(&answer)?;
    }
    Ok(())
}

/// What can be done here.
fn features(unable: Option<String>, given: Given) -> Features {
    let no_pins = Ring::new().err().map(|why| format!("no io_uring: {why}"));
    let counted = given.scans.and_then(|()| {
        let told = |_| "the kernel does not count scans (/proc/PID/sched)".to_owned();
        scan::passes().map(drop).map_err(told)
    });
    let (release, version) = crate::kernel::own();
    let probe = sys::own_page(std::ptr::from_ref(&PROTOCOL).addr() as u64);
    let [no_process_vm, no_ptrace] = sys::remote::unable(sys::STAGE).map(|why| {
        let told = |why| format!("no access to other processes: {why}");
        why.map(|why| told(std::io::Error::from_raw_os_error(why)))
    });
    let no_swap = given.swap.and_then(|()| swap::probe(SwapKind::Solid)).err();
    Features {
        protocol: PROTOCOL,
        unable,
        release: crate::kernel::full(&release, &version),
        version,
        no_pins,
        no_scans: counted.err(),
        no_folios: crate::settings::folios_given().err(),
        no_huge: crate::settings::huge_given().err(),
        no_pool: given.pool.err(),
        no_merging: given.merging.err(),
        no_ksm: crate::settings::merging_known().err(),
        // Without any there is none of that kind either, and nothing is tried.
        no_synchronous_swap: no_swap
            .is_none()
            .then(|| swap::probe(SwapKind::Synchronous).err())
            .flatten()
            .map(|why| {
                format!(
                    "a swap device that answers at once, or needs pages unchanged, is one of zram, \
                     which cannot be had: {why}"
                )
            }),
        no_swap,
        no_move_all: sys::nodes::can_move_all().err().map(|why| {
            let why = std::io::Error::from_raw_os_error(why);
            format!("pages that others map cannot be moved without CAP_SYS_NICE: {why}")
        }),
        other_swap: swap::other(),
        no_collapse: (!sys::huge::can_collapse())
            .then(|| "this kernel has no MADV_COLLAPSE: it came with 6.1".to_owned()),
        no_huge_looks: huge_looks().err(),
        no_soft_dirty: soft_dirty().err(),
        no_populate: (!sys::can_populate())
            .then(|| "this kernel has no MADV_POPULATE_WRITE: it came with 5.14".to_owned()),
        no_files: sys::file::unnamed(sys::PAGE).err().map(|why| {
            format!(
                "no file without a name can be made: {}",
                std::io::Error::from_raw_os_error(why)
            )
        }),
        no_punch: punch().err().map(|why| {
            format!("no hole can be made in a file: {}", std::io::Error::from_raw_os_error(why))
        }),
        no_direct: (direct(None), direct(Some(1))),
        no_file_pins: pin_of_file().err().map(|why| {
            let why = std::io::Error::from_raw_os_error(why);
            format!("io_uring takes no page of a file, as before 6.5: {why}")
        }),
        no_process_vm,
        no_ptrace,
        no_uffd: uffd().err(),
        no_fork_events: sys::uffd::open(sys::uffd::EVENT_FORK).err().map(|why| {
            let why = std::io::Error::from_raw_os_error(why);
            format!("no monitor hears of forks here: {why}")
        }),
        no_break: (!Program::own().is_some_and(|own| own.can_place_break()))
            .then(|| "this kernel does not let the program break be placed".to_owned()),
        frames_visible: probe.is_ok_and(|entry| Entry(entry).frame().is_some()),
        pipe_pages: pipe_pages(),
        nodes: nodes().len() as u32,
        cpus: sys::cpus::own_cpus().len(),
    }
}

/// Whether it can be seen which pages were stored to.
fn soft_dirty() -> Result<(), String> {
    match pagemap::tells_soft_dirty() {
        Ok(true) => Ok(()),
        Ok(false) => Err("this kernel does not tell which pages were stored to: it was built \
                          without CONFIG_MEM_SOFT_DIRTY"
            .to_owned()),
        Err(why) => Err(format!("pagemap: {}", std::io::Error::from_raw_os_error(why))),
    }
}

/// Whether it can be seen which pages a huge entry maps.
fn huge_looks() -> Result<(), String> {
    let map = fs::File::open("/proc/self/pagemap").map_err(|why| format!("pagemap: {why}"))?;
    let looked = sys::huge::is_huge(&map, sys::STAGE).map(drop);
    looked.map_err(|_| "PAGEMAP_SCAN tells which entry maps a page since 6.7".to_owned())
}

/// Why there is no userfaultfd that the agent could use, if so.
fn uffd() -> Result<(), String> {
    let told = |what: &str, why| format!("{what}: {}", std::io::Error::from_raw_os_error(why));
    let there = sys::uffd::available().map_err(|why| match why {
        // Without it only what a process accesses itself would wait, and no pin.
        libc::EPERM => "userfaultfd(2) is not allowed here: see vm.unprivileged_userfaultfd".into(),
        why => told("no userfaultfd(2)", why),
    })?;
    if there & sys::uffd::THREAD_ID == 0 {
        return Err("userfaultfd(2) does not tell which thread waits: it does since 4.14".into());
    }
    let made = sys::uffd::open(sys::uffd::THREAD_ID).map_err(|why| told("userfaultfd(2)", why))?;
    let fetched = sys::uffd::fetch(sys::own_id(), made.as_raw_fd());
    fetched.map(drop).map_err(|why| told("no pidfd_getfd(2), as before 5.6", why))
}

/// Whether holes can be made in files; so if there are none.
fn punch() -> Result<(), sys::Errno> {
    sys::file::unnamed(sys::PAGE).map_or(Ok(()), |file| sys::file::punch(&file, 0, sys::PAGE))
}

/// Why a page of a file, or the sector of a word, cannot be written past memory, if so.
fn direct(word: Option<u32>) -> Option<String> {
    let write = || {
        let file = sys::file::unnamed(sys::PAGE)?;
        let direct = sys::file::open_direct(&file)?;
        let range = sys::Range::new(sys::STAGE + sys::PAGE, 1)?;
        let sectors = sys::file::Sectors::new(range, word)?;
        sys::map(range, Protection::ReadWrite, (Sharing::Private, None), Occupied::Refuse)?;
        let written = sys::file::write_direct(&direct, sectors, 0);
        sys::unmap(range)?;
        written
    };
    let why = write().err()?;
    let what = word.map_or("pages", |_| "single sectors");
    let why = std::io::Error::from_raw_os_error(why);
    Some(format!("no direct I/O of {what} of a file in /var/tmp, /tmp or /: {why}"))
}

/// Whether a device takes a private page of a file, to which no rule for pins of files applies; so
/// if there are no files or no devices.
fn pin_of_file() -> Result<(), sys::Errno> {
    let (Ok(file), Ok(ring)) = (sys::file::unnamed(sys::PAGE), Ring::new()) else { return Ok(()) };
    let range = sys::Range::new(sys::STAGE + sys::PAGE, 1)?;
    let kind = (Sharing::Private, Some((&file, 0)));
    sys::map(range, Protection::ReadWrite, kind, Occupied::Refuse)?;
    let pinned = ring.pin(range, 1);
    let _ = ring.unpin();
    sys::unmap(range)?;
    pinned
}

/// The most pages that a pipe may have, of those that are worth a question.
fn pipe_pages() -> usize {
    let allowed =
        |pages: &usize| sys::pipe().is_ok_and(|pipe| sys::widen(pipe.1.as_fd(), *pages).is_ok());
    [16_384, 4_096, 1_024, 256, 16].into_iter().find(allowed).unwrap_or(0)
}

/// The memory nodes that have CPUs, each with its CPUs.
fn nodes() -> Vec<Vec<usize>> {
    let own = sys::cpus::own_cpus();
    let listed = (0..64).filter_map(|node| {
        let path = format!("/sys/devices/system/node/node{node}/cpulist");
        Some(crate::kernel::listed(fs::read_to_string(path).ok()?.trim()))
    });
    let mut nodes: Vec<Vec<usize>> =
        listed.map(|cpus| cpus.into_iter().filter(|cpu| own.contains(cpu)).collect()).collect();
    if nodes.is_empty() {
        nodes.push(own);
    }
    nodes
}

/// A CPU of this machine for each of the scenario's, given by its node: different ones as long as
/// there are.
fn places(wanted: &[u32]) -> Vec<usize> {
    let nodes = nodes();
    let mut taken = vec![0; nodes.len()];
    let place = |node: &u32| {
        let node = (*node as usize).min(nodes.len() - 1);
        let cpus = if nodes[node].is_empty() { &nodes[0] } else { &nodes[node] };
        taken[node] += 1;
        cpus.get((taken[node] - 1) % cpus.len().max(1)).copied().unwrap_or(0)
    };
    wanted.iter().map(place).collect()
}
