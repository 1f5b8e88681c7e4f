//! Passes of same-page merging (facts 7.1): no system call makes one, but the kernel's thread makes
//! them while it is told to run, and counts them.
//!
//! INV-PASS-1: the thread runs only inside a step that merges. A pass is complete when the count
//! has risen twice since the step began: the first may have begun before it.

use std::ffi::CStr;
use std::time::{Duration, Instant};

use super::sys::{self, Errno};

const RUN: &CStr = c"/sys/kernel/mm/ksm/run";
const COUNT: &CStr = c"/sys/kernel/mm/ksm/full_scans";
/// Between two looks at the count.
const TURN: Duration = Duration::from_millis(1);

/// Has a pass made over all that may be merged, in at most so much time.
pub(super) fn whole(most: Duration) -> Result<(), Errno> {
    let first = passes()?;
    sys::guest::write_setting(RUN, b"1")?;
    let begun = Instant::now();
    let done = loop {
        match passes() {
            Ok(now) if now >= first + 2 => break Ok(()),
            Ok(_) if begun.elapsed() > most => break Err(libc::ETIMEDOUT),
            Ok(_) => std::thread::sleep(TURN),
            Err(why) => break Err(why),
        }
    };
    done.and(sys::guest::write_setting(RUN, b"0"))
}

/// How many passes there were.
fn passes() -> Result<u64, Errno> {
    let mut text = [0; 32];
    let text = sys::guest::read_file(COUNT, &mut text)?;
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    Ok(digits.fold(0, |sum: u64, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))))
}
