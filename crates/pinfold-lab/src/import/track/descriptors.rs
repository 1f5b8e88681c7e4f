//! Calls that open, double and close descriptors.

use super::super::files::Object;
use super::super::gap::Gap;
use super::super::log::Taker;
use super::super::value::Value;
use super::{Call, Tracker};

/// Devices whose calls do not show what memory they take, by the start of their names.
pub(super) const DEVICES: &[(&str, Taker)] = &[
    ("/dev/infiniband/uverbs", Taker::Rdma),
    ("/dev/nvidia", Taker::Gpu),
    ("/dev/habanalabs", Taker::Gpu),
    ("/dev/hl", Taker::Gpu),
    ("/dev/accel/", Taker::Gpu),
    ("/dev/kfd", Taker::Gpu),
];

impl Tracker {
    pub(super) fn descriptors(&mut self, thread: usize, call: &Call<'_>) {
        let table = self.living[&thread].files;
        let fd = call.number(0).unwrap_or(u64::MAX);
        match call.name {
            "open" => self.open(thread, call, 0, 1),
            "openat" => self.open(thread, call, 1, 2),
            "openat2" => self.open_how(thread, call),
            "close" => {
                let ended = self.files.close(table, fd);
                self.end(thread, call.line, ended);
            }
            "close_range" => self.close_range(thread, call),
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
            "socketpair" => self.pair(thread, call),
            _ => {
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
        }
    }

    /// Gives back what descriptors held that were closed.
    pub(super) fn end(&mut self, thread: usize, line: u64, ended: Vec<usize>) {
        let root = self.living[&thread].root;
        self.release(line, thread, root, ended);
    }

    fn open(&mut self, thread: usize, call: &Call<'_>, path: usize, flags: usize) {
        let direct = call.has(flags, "O_DIRECT", 0x4000);
        let cloexec = call.has(flags, "O_CLOEXEC", 0x80000);
        self.opened(thread, call, path, direct, cloexec);
    }

    fn open_how(&mut self, thread: usize, call: &Call<'_>) {
        let flags = call.arg(2).and_then(|how| how.field("flags"));
        let has = |name, bit| flags.is_some_and(|flags| flags.has(name, bit));
        self.opened(thread, call, 1, has("O_DIRECT", 0x4000), has("O_CLOEXEC", 0x80000));
    }

    fn opened(&mut self, thread: usize, call: &Call<'_>, at: usize, direct: bool, cloexec: bool) {
        let path = match call.arg(at) {
            Some(Value::Text(path, _)) => path.as_slice(),
            _ => &[],
        };
        let device = DEVICES.iter().find(|(start, _)| path.starts_with(start.as_bytes()));
        let what = match (device, self.clear_refs_of(thread, path)) {
            (Some((_, taker)), _) => Object::Device(*taker),
            (_, Some(of)) => Object::ClearRefs(of),
            _ if direct => Object::File { direct },
            _ => return,
        };
        self.files.open(self.living[&thread].files, &[call.result], what, cloexec);
    }

    /// The thread whose process this file is clear_refs of.
    fn clear_refs_of(&mut self, thread: usize, path: &[u8]) -> Option<usize> {
        let path = std::str::from_utf8(path).ok()?.strip_suffix("/clear_refs")?;
        let of = match path.rsplit('/').next()? {
            "self" | "thread-self" => Some(thread),
            number => number.parse().ok().and_then(|pid| self.pids.get(&pid).copied()),
        };
        if of.is_none() {
            self.leave("clear_refs of a process that was not recorded", Gap::Untold);
        }
        of
    }

    fn close_range(&mut self, thread: usize, call: &Call<'_>) {
        let (Some(first), Some(last)) = (call.number(0), call.number(1)) else { return };
        if call.has(2, "CLOSE_RANGE_UNSHARE", 2) {
            self.leave("close_range with CLOSE_RANGE_UNSHARE is not followed", Gap::Dropped);
            return;
        }
        let later = call.has(2, "CLOSE_RANGE_CLOEXEC", 4);
        let ended = self.files.close_range(self.living[&thread].files, (first, last), later);
        self.end(thread, call.line, ended);
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
}
