//! Passes of same-page merging (facts 7.1): no system call makes one, but the kernel's thread makes
//! one when it is told to run, counts it, and then sleeps for as long as
//! [`crate::settings`] has it, which is longer than any step.
//!
//! INV-PASS-1: the thread runs only inside a step that merges, and one step at a time: who merges
//! has the lock of the file that tells the thread to run. A step is one pass: at its end the thread
//! is told to stop, and then woken, so that it waits to be told to run again.

use std::ffi::CStr;
use std::fs::File;
use std::time::{Duration, Instant};

use super::sys::{self, Errno};

const RUN: &CStr = c"/sys/kernel/mm/ksm/run";
const COUNT: &CStr = c"/sys/kernel/mm/ksm/full_scans";
/// A new value wakes the thread: one of two in turns, which are equally long.
const SLEEP: &CStr = c"/sys/kernel/mm/ksm/sleep_millisecs";
const SLEEPS: [&[u8]; 2] = [b"60000", b"60001"];
/// Between two looks at the count.
const TURN: Duration = Duration::from_millis(1);
/// A thread that has not ended a pass by then has nothing to look at, and makes none.
const IDLE: Duration = Duration::from_secs(2);

/// Has a pass made over all that may be merged, in at most so much time.
pub(super) fn whole(most: Duration) -> Result<(), Errno> {
    let file = File::open("/sys/kernel/mm/ksm/run").map_err(told)?;
    file.lock().map_err(told)?;
    let first = passes()?;
    sys::guest::write_setting(RUN, b"1")?;
    let begun = Instant::now();
    let done = loop {
        match passes() {
            Ok(now) if now != first => break Ok(()),
            Ok(_) if begun.elapsed() > most.min(IDLE) => break Ok(()),
            Ok(_) => std::thread::sleep(TURN),
            Err(why) => break Err(why),
        }
    };
    done.and(sys::guest::write_setting(RUN, b"0")).and_then(|()| wake())
}

/// Wakes the thread.
fn wake() -> Result<(), Errno> {
    let mut text = [0; 32];
    let now = sys::guest::read_file(SLEEP, &mut text)?;
    let other = if now.trim_ascii_end() == SLEEPS[0] { SLEEPS[1] } else { SLEEPS[0] };
    sys::guest::write_setting(SLEEP, other)
}

fn told(why: std::io::Error) -> Errno {
    why.raw_os_error().unwrap_or(libc::EIO)
}

/// How many passes there were.
fn passes() -> Result<u64, Errno> {
    let mut text = [0; 32];
    let text = sys::guest::read_file(COUNT, &mut text)?;
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    Ok(digits.fold(0, |sum: u64, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))))
}
