//! The swap device of the trials (facts 7.2): a zram device, from which pages are gone when they
//! are written, or else a file. The whole machine swaps there meanwhile, so it is made only for who
//! owns that, has as many slots as the scenario says, and is gone with the agent.
//!
//! INV-KEEPER-1: while the device is there, a process of its own is, too: the *keeper*, which no
//! signal but SIGKILL ends, and which takes it away when the agent has ended, however that came. It
//! goes on trying until the device is gone; an agent that has taken it away itself kills it.
//! What was left since a keeper was killed as well is taken away by the next agent, which knows it
//! by its name and by the numbers of both in its first page. A zram device that nobody had come to
//! label, since both were killed before that, stays.
//! INV-KEEPER-2: there is no other swap device: what is free, and who uses it, is known.
//! INV-KEEPER-3: a trial begins when the device is in use, and none of its slots is.

use std::ffi::{CStr, CString};
use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use pinfold_lab::scenario::SwapKind;

use super::sys::birth::{self, Forked};
use super::sys::{self, PAGE, swap as calls};

/// What swap devices there are.
const DEVICES: &str = "/proc/swaps";
/// Where such a file may be made, in this order.
const PLACES: [&str; 3] = ["/var/tmp", "/tmp", ""];
/// How such a file is called, and a device is labelled; the number of its agent follows.
const NAME: &str = "pinfold-";
/// How the name of such a file ends.
const SUFFIX: &str = ".swap";
/// Where the identifier of a swap device stands, in which is here the number of its keeper, and
/// where its label.
const IDENTIFIER: usize = 1036;
const LABEL: usize = 1052;
/// How long each of them may be.
const LENGTH: usize = 16;
/// How zram devices are called; their numbers follow.
const ZRAM: &str = "/dev/zram";
/// Makes zram devices, and takes them away.
const CONTROL: &str = "/sys/class/zram-control";
const REMOVE: &CStr = c"/sys/class/zram-control/hot_remove";
/// The longest that another agent's device, or a program that looks at a new one, is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

/// A swap device in use, which is taken away when this is dropped.
pub(super) struct Swap {
    away: Away,
    slots: u32,
    keeper: OwnedFd,
}

/// How a device is taken away.
struct Away {
    path: CString,
    /// The number of a zram device; none of a file.
    number: Option<String>,
}

impl Away {
    fn of(path: &str) -> Result<Self, String> {
        let number = path.strip_prefix(ZRAM).map(str::to_owned);
        let path = CString::new(path).map_err(|_| format!("{path:?} has a zero in it"))?;
        Ok(Self { path, number })
    }

    /// Takes it away, if it is not gone already. Allocates nothing.
    fn take(&self) -> Result<(), sys::Errno> {
        match calls::off(&self.path) {
            // It may be out of use already, by a step, or never have been in use: then this process
            // may be one that may end no use, and the kernel one without swap.
            Ok(()) | Err(libc::EINVAL | libc::ENOENT | libc::EPERM | libc::ENOSYS) => {}
            Err(why) => return Err(why),
        }
        let begun = Instant::now();
        loop {
            let done = match &self.number {
                Some(number) => sys::guest::write_setting(REMOVE, number.as_bytes()),
                None => calls::remove(&self.path),
            };
            match done {
                Ok(()) | Err(libc::ENOENT | libc::ENODEV) => return Ok(()),
                // Whoever looks at new devices may have it open for a moment.
                Err(libc::EBUSY) if begun.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                Err(why) => return Err(why),
            }
        }
    }
}

/// Where a file may be made that stands for a device of this kind where there is no zram.
fn places(kind: SwapKind) -> &'static [&'static str] {
    match kind {
        SwapKind::Solid => &PLACES,
        SwapKind::Synchronous => &[],
    }
}

impl Swap {
    /// Makes a device of this kind and of so many slots and takes it into use. Where a page must be
    /// there at once a file does not stand for one of zram.
    ///
    /// # Errors
    /// Why there can be none, in words.
    pub(super) fn new(slots: u32, kind: SwapKind) -> Result<Self, String> {
        await_none()?;
        Self::of_zram(slots).or_else(|zram| {
            let mut whys = vec![zram];
            for place in places(kind) {
                match Self::of_file(place, slots) {
                    Ok(device) => return Ok(device),
                    Err(why) => whys.push(why),
                }
            }
            Err(whys.join("; "))
        })
    }

    fn of_zram(slots: u32) -> Result<Self, String> {
        let number = fs::read_to_string(format!("{CONTROL}/hot_add"))
            .map_err(|why| format!("no zram device: {why}"))?;
        let number = number.trim();
        let path = format!("{ZRAM}{number}");
        let size = format!("/sys/block/zram{number}/disksize");
        Self::guarded(Away::of(&path)?, slots, |header| {
            fs::write(&size, bytes(slots).to_string()).map_err(|why| format!("{size}: {why}"))?;
            let mut device = fs::File::options()
                .write(true)
                .open(&path)
                .map_err(|why| format!("{path}: {why}"))?;
            let written = device.write_all(&header).and_then(|()| device.sync_all());
            written.map_err(|why| format!("{path}: {why}"))
        })
    }

    fn of_file(place: &str, slots: u32) -> Result<Self, String> {
        let path = file_of(place, sys::own_id());
        let away = Away::of(&path)?;
        // What lies there already is somebody else's, and stays: nothing is armed before.
        let mut file = fs::File::options()
            .write(true)
            .create_new(true)
            .custom_flags(libc::O_NOFOLLOW)
            .mode(0o600)
            .open(&path)
            .map_err(|why| format!("{path}: {why}"))?;
        Self::guarded(away, slots, |header| {
            // Every page is written: there may be no holes.
            let mut contents = header;
            contents.resize(bytes(slots) as usize, 0);
            let written = file.write_all(&contents).and_then(|()| file.sync_all());
            written.map_err(|why| format!("{path}: {why}"))
        })
    }

    /// Makes a device of what this agent has just created, which is taken away whatever happens
    /// from now on: INV-KEEPER-1.
    fn guarded(
        away: Away,
        slots: u32,
        make: impl FnOnce(Vec<u8>) -> Result<(), String>,
    ) -> Result<Self, String> {
        let (number, keeper) = match keeper(&away) {
            Ok(keeper) => keeper,
            Err(why) => {
                let mut why = told("a keeper of the swap device", why);
                if let Err(left) = away.take() {
                    why += &told("; what was made is still there", left);
                }
                return Err(why);
            }
        };
        let device = Self { away, slots, keeper };
        make(header(slots, Owners { agent: sys::own_id(), keeper: number }))?;
        device.on()?;
        Ok(device)
    }

    /// What swapon and swapoff call it.
    pub(super) fn path(&self) -> &CStr {
        &self.away.path
    }

    fn on(&self) -> Result<(), String> {
        calls::on(self.path()).map_err(|why| told(&format!("swapon {}", self.name()), why))
    }

    fn name(&self) -> String {
        self.path().to_string_lossy().into_owned()
    }

    /// Waits until the device is as at its beginning: INV-KEEPER-3.
    pub(super) fn settle(&self) -> Result<(), String> {
        let (own, others): (Vec<Used>, Vec<Used>) =
            devices()?.into_iter().partition(|used| used.path == self.name());
        if let Some(other) = others.first() {
            return Err(format!("this machine swaps to {} meanwhile", other.path));
        }
        match own.first() {
            Some(used) if used.kilobytes == 0 => return self.right_size(used),
            // A page that is in use by nobody may be in the swap cache.
            Some(_) => calls::off(self.path()).map_err(|why| told("swapoff", why))?,
            // A step has taken it out of use.
            None => {}
        }
        self.on()
    }

    fn right_size(&self, used: &Used) -> Result<(), String> {
        match used.size == u64::from(self.slots) * PAGE / 1024 {
            true => Ok(()),
            false => Err(format!("{} has {} KiB of {} slots", used.path, used.size, self.slots)),
        }
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        match self.away.take() {
            Ok(()) => calls::kill(self.keeper.as_fd()),
            Err(why) => eprintln!(
                "pinfold: {}; its keeper goes on trying when this agent has ended",
                told(&format!("the swap device {} is still there", self.name()), why)
            ),
        }
    }
}

/// Starts a keeper, with its number: INV-KEEPER-1.
fn keeper(away: &Away) -> Result<(i32, OwnedFd), sys::Errno> {
    let agent = sys::watch(sys::own_id())?;
    match calls::fork_keeper()? {
        Forked::Parent(keeper) => Ok((keeper, sys::watch(keeper)?)),
        Forked::Child => {
            while !sys::ends_within(agent.as_fd(), -1) {}
            while away.take().is_err() {
                std::thread::sleep(PAUSE);
            }
            birth::exit_now()
        }
    }
}

/// Why this machine has no swap device of this kind for trials, if so: one is made and taken away.
pub(super) fn probe(kind: SwapKind) -> Result<(), String> {
    Swap::new(1, kind).map(drop)
}

/// A swap device that is in use.
struct Used {
    path: String,
    /// In KiB.
    size: u64,
    /// The same, of the slots that are in use.
    kilobytes: u64,
}

/// The swap devices that are in use; none on a kernel without swap.
fn devices() -> Result<Vec<Used>, String> {
    let all = match fs::read_to_string(DEVICES) {
        Ok(all) => all,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(format!("{DEVICES}: {why}")),
    };
    let device = |line: &str| {
        let mut words = line.split_whitespace();
        let path = words.next()?.to_owned();
        let mut numbers = words.skip(1).map(str::parse);
        Some(Used { path, size: numbers.next()?.ok()?, kilobytes: numbers.next()?.ok()? })
    };
    let parsed = all
        .lines()
        .skip(1)
        .map(|line| device(line).ok_or_else(|| format!("{DEVICES} says {line:?}")));
    parsed.collect()
}

/// The swap device that somebody else uses, if there is one.
pub(super) fn other() -> Option<String> {
    match devices() {
        Ok(devices) => devices.into_iter().next().map(|used| used.path),
        Err(why) => Some(why),
    }
}

/// Waits until there is no swap device, and takes away what an agent has left that is no more, as
/// is its keeper, which would have done so: INV-KEEPER-2.
fn await_none() -> Result<(), String> {
    let begun = Instant::now();
    let mut failed = String::new();
    loop {
        let devices = devices()?;
        let Some(first) = devices.first() else { break };
        if begun.elapsed() > PATIENCE {
            return Err(format!("this machine swaps to {}{failed}", first.path));
        }
        for left in devices.iter().filter(|used| is_left(&used.path)) {
            if let Err(why) = Away::of(&left.path)?.take() {
                failed = told(", which an agent has left and which stays", why);
            }
        }
        std::thread::sleep(PAUSE);
    }
    PLACES.iter().for_each(|place| sweep(place));
    Ok(())
}

/// Removes the files there that were left when they were not in use.
fn sweep(place: &str) {
    for entry in fs::read_dir(format!("{place}/")).into_iter().flatten().flatten() {
        let agent = entry
            .file_name()
            .to_str()
            .and_then(|name| name.strip_prefix(NAME)?.strip_suffix(SUFFIX)?.parse::<i32>().ok());
        let Some(agent) = agent else { continue };
        let path = file_of(place, agent);
        let left = match Owners::of(&path) {
            Some(owners) => owners.agent == agent && owners.have_ended(),
            // Its agent had not come to write it: a keeper would do nothing but what is done here.
            None => has_ended(agent),
        };
        if left && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            // One that stays does no harm to the trials, and the kernel keeps what is in use.
            let _ = fs::remove_file(path);
        }
    }
}

/// How the file of an agent is called there.
fn file_of(place: &str, agent: i32) -> String {
    format!("{place}/{NAME}{agent}{SUFFIX}")
}

/// Whether it is the device of an agent that is no more, and neither is its keeper. What is called
/// in another way is not taken for one, whatever its label.
fn is_left(path: &str) -> bool {
    Owners::of(path).is_some_and(|owners| {
        let number = path.strip_prefix(ZRAM).unwrap_or_default();
        let zram = number.parse::<u32>().is_ok_and(|parsed| parsed.to_string() == number);
        let file = PLACES.iter().any(|place| file_of(place, owners.agent) == path);
        (zram || file) && owners.have_ended()
    })
}

/// Whether a process has ended, even if nobody has asked for its status yet.
fn has_ended(process: i32) -> bool {
    match sys::watch(process) {
        Ok(process) => sys::ends_within(process.as_fd(), 0),
        Err(why) => why == libc::ESRCH,
    }
}

/// The processes of a device, by their numbers.
struct Owners {
    agent: i32,
    keeper: i32,
}

impl Owners {
    /// Those that the first page of a device tells of.
    fn of(path: &str) -> Option<Self> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let device = fs::File::options().read(true).custom_flags(flags).open(path).ok()?;
        let number = |at: usize, prefix: &str| {
            let mut text = [0; LENGTH];
            device.read_exact_at(&mut text, at as u64).ok()?;
            let text = text.split(|byte| *byte == 0).next()?;
            str::from_utf8(text).ok()?.strip_prefix(prefix)?.parse().ok()
        };
        Some(Self { agent: number(LABEL, NAME)?, keeper: number(IDENTIFIER, "")? })
    }

    fn have_ended(&self) -> bool {
        has_ended(self.agent) && has_ended(self.keeper)
    }
}

/// What stands in the first page of a swap device: the version, the number of its last page, that
/// no page is bad, whose it is, and what it is.
fn header(slots: u32, owners: Owners) -> Vec<u8> {
    const MARK: &[u8] = b"SWAPSPACE2";
    let mut header = vec![0; PAGE as usize];
    for (at, number) in [(1024, 1), (1028, slots), (1032, 0)] {
        header[at..at + 4].copy_from_slice(&u32::to_ne_bytes(number));
    }
    let (agent, keeper) = (format!("{NAME}{}", owners.agent), owners.keeper.to_string());
    for (at, text) in [(LABEL, agent), (IDENTIFIER, keeper)] {
        header[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    let end = header.len();
    header[end - MARK.len()..].copy_from_slice(MARK);
    header
}

fn bytes(slots: u32) -> u64 {
    (u64::from(slots) + 1) * PAGE
}

fn told(what: &str, number: sys::Errno) -> String {
    format!("{what}: {}", std::io::Error::from_raw_os_error(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty directory of a test's own, which is gone with this.
    struct Folder(String);

    impl Folder {
        fn new(test: &str) -> Self {
            let name = format!("pinfold-swap-{test}-{}", sys::own_id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).expect("a new directory");
            Self(path.to_str().expect("a path in UTF-8").to_owned())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Which signals wait, of a thread or process.
    fn blocked(whose: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{whose}/status")).expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        u64::from_str_radix(line.expect("a line").trim(), 16).expect("a set of signals")
    }

    #[test]
    fn a_keeper_takes_no_signal_and_its_parent_those_as_before() {
        let before = blocked("thread-self");
        let parent = sys::watch(sys::own_id()).expect("a descriptor");
        let keeper = match calls::fork_keeper().expect("a child") {
            Forked::Parent(keeper) => keeper,
            Forked::Child => {
                while !sys::ends_within(parent.as_fd(), -1) {}
                birth::exit_now()
            }
        };
        let watched = sys::watch(keeper).expect("a descriptor");
        let all = blocked(&keeper.to_string());
        calls::kill(watched.as_fd());
        let (kill, stop) = (1 << (libc::SIGKILL - 1), 1 << (libc::SIGSTOP - 1));
        assert_eq!(all, !(kill | stop));
        assert_eq!(blocked("thread-self"), before);
        assert!(sys::ends_within(watched.as_fd(), 10_000), "SIGKILL ends it");
    }

    #[test]
    fn what_cannot_be_taken_away_is_told_and_what_is_gone_is_not() {
        let folder = Folder::new("take");
        let path = format!("{}/file", folder.0);
        let away = Away::of(&path).expect("a path");
        // What is not there is gone.
        assert_eq!(away.take(), Ok(()));
        fs::write(&path, "no swap").expect("a file");
        assert_eq!(away.take(), Ok(()));
        assert!(fs::metadata(&path).is_err(), "it is gone");
        // A directory is no file whose name could be removed.
        fs::create_dir(&path).expect("a directory");
        assert!(matches!(away.take(), Err(libc::EISDIR | libc::EPERM)));
        assert!(fs::metadata(&path).is_ok());
    }

    /// The number of no process: the kernel gives none from 2^22 on.
    const NOBODY: i32 = 9_999_999;

    #[test]
    fn only_files_of_agents_and_keepers_that_are_no_more_are_swept() {
        let folder = Folder::new("sweep");
        let own = sys::own_id();
        let write = |name: String, contents: &[u8]| {
            let path = format!("{}/{name}", folder.0);
            fs::write(&path, contents).expect("a file");
            path
        };
        let named = |agent: i32| format!("{NAME}{agent}{SUFFIX}");
        let owned = |agent, keeper| header(1, Owners { agent, keeper });
        let left =
            [write(named(NOBODY), &owned(NOBODY, NOBODY)), write(named(NOBODY - 1), b"cut short")];
        let kept = [
            write(named(own), &owned(own, own)),
            write(named(NOBODY - 2), &owned(NOBODY - 2, own)),
            write(named(NOBODY - 3), &owned(NOBODY, NOBODY)),
            write(format!("{NAME}x{SUFFIX}"), &owned(NOBODY, NOBODY)),
            write(format!("{NAME}+{NOBODY}{SUFFIX}"), &owned(NOBODY, NOBODY)),
            write("else".to_owned(), &owned(NOBODY, NOBODY)),
        ];
        let directory = format!("{}/{}", folder.0, named(NOBODY - 4));
        fs::create_dir(&directory).expect("a directory");
        sweep(&folder.0);
        let is_there = |path: &String| fs::metadata(path).is_ok();
        assert!(!left.iter().any(is_there), "{left:?}");
        let gone: Vec<_> = kept.iter().chain([&directory]).filter(|path| !is_there(path)).collect();
        assert_eq!(gone, Vec::<&String>::new());
    }

    #[test]
    fn what_merely_bears_the_label_is_not_left_by_an_agent() {
        let path = file_of(PLACES[1], NOBODY);
        let write = |path: &str, keeper| {
            fs::write(path, header(1, Owners { agent: NOBODY, keeper })).expect("a file");
        };
        write(&path, sys::own_id());
        let kept = is_left(&path);
        write(&path, NOBODY);
        let left = is_left(&path);
        fs::remove_file(&path).expect("the file");
        assert!(left && !kept, "a keeper is waited for");
        let folder = Folder::new("label");
        let other = file_of(&folder.0, NOBODY);
        write(&other, NOBODY);
        assert!(!is_left(&other), "it lies elsewhere");
    }

    /// `cargo test -p pinfold-linux --lib inside::swap -- --ignored`, as root.
    #[test]
    #[ignore = "makes a swap device: for who owns the machine"]
    fn a_file_is_in_use_until_it_is_dropped() {
        assert_eq!(other(), None);
        let device = Swap::of_file(PLACES[0], 4).expect("a device");
        let path = file_of(PLACES[0], sys::own_id());
        assert_eq!(other().as_deref(), Some(&*path));
        device.settle().expect("none of its slots in use");
        // An agent that lives, and so does its keeper.
        assert!(!is_left(&path));
        drop(device);
        assert_eq!(other(), None);
        assert!(fs::metadata(&path).is_err());
    }

    #[test]
    fn no_file_stands_for_a_device_that_answers_at_once() {
        assert!(places(SwapKind::Synchronous).is_empty());
        assert!(!places(SwapKind::Solid).is_empty());
    }

    #[test]
    fn a_file_of_somebody_else_stays() {
        let folder = Folder::new("else");
        let path = format!("{}/{NAME}{}.swap", folder.0, sys::own_id());
        fs::write(&path, "theirs").expect("a file");
        let why = Swap::of_file(&folder.0, 1).err().expect("no device");
        assert!(why.contains("exists"), "{why}");
        assert_eq!(fs::read(&path).expect("the same file"), b"theirs");
        // Nor is written to what a link leads to.
        let (target, link) = (format!("{}/target", folder.0), &path);
        fs::remove_file(link).expect("no file");
        std::os::unix::fs::symlink(&target, link).expect("a link");
        assert!(Swap::of_file(&folder.0, 1).is_err());
        assert!(fs::symlink_metadata(link).is_ok() && fs::metadata(&target).is_err());
    }
}
