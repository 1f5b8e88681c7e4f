//! The first process of a virtual machine: mounts what the agent looks at, and serves the second
//! serial line until the machine is ended.
//!
//! INV-GUEST-1: nothing here runs but as process 1: on any other machine it only says so.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::os::fd::AsFd;
use std::time::Duration;

use super::serve::serve;
use super::sys;
use crate::settings::{Given, Settings};

/// The file systems, each with its place in the initial files.
const MOUNTS: [(&CStr, &CStr); 4] = [
    (c"proc", c"/proc"),
    (c"sysfs", c"/sys"),
    (c"devtmpfs", c"/dev"),
    (c"debugfs", c"/sys/kernel/debug"),
];
/// Where requests come from; the first line is the kernel's own.
const LINE: &str = "/dev/ttyS1";
/// The longest that a step may take: the machine is emulated, and its computer may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// Serves as the first process of a virtual machine, and ends the machine with its input.
///
/// # Errors
/// When this is not process 1, or the serial line cannot be used.
pub fn serve_guest() -> io::Result<()> {
    if sys::own_id() != 1 {
        let why = "this is the first process of a virtual machine, and nothing else";
        return Err(io::Error::new(ErrorKind::Unsupported, why));
    }
    let served = served();
    if let Err(why) = &served {
        eprintln!("pinfold: {why}");
    }
    sys::guest::end_machine();
    served
}

fn served() -> io::Result<()> {
    for (kind, place) in MOUNTS {
        // The last is only needed for scans, which say what they lack.
        if let Err(number) = sys::guest::mount(kind, place)
            && kind != c"debugfs"
        {
            return Err(io::Error::from_raw_os_error(number));
        }
    }
    let line = File::options().read(true).write(true).open(LINE)?;
    sys::guest::make_raw(line.as_fd()).map_err(io::Error::from_raw_os_error)?;
    let scans = Settings::change().map(Settings::keep);
    // Where the kernel has none, scenarios with folios or huge pages say so.
    let _ = Settings::default().give_folios().map(Settings::keep);
    let _ = Settings::default().give_huge().map(Settings::keep);
    let mut settings = Settings::default();
    let pool = settings.give_pool();
    let merging = settings.give_merging();
    settings.keep();
    let given = Given { scans, pool, swap: Ok(()), merging };
    serve(BufReader::new(line.try_clone()?), line, given, PATIENCE)
}
