//! Scans of NUMA balancing (facts 4.1): no system call makes one, but a process that computes while
//! balancing is on is scanned every few milliseconds, and the kernel counts the passes over it.
//!
//! INV-SCAN-1: balancing is on only inside a step that scans. A pass is complete when the count has
//! risen twice since the step began: the first may have begun before it.

use std::time::{Duration, Instant};

use super::sys::{self, Errno};
use crate::settings::BALANCING;

/// After how long balancing is switched on anew.
const AGAIN: Duration = Duration::from_millis(10);
/// The turns between two looks at the count.
const TURNS: u32 = 20_000;
/// How the count is called.
const COUNT: &[u8] = b"mm->numa_scan_seq";

/// Scans this process once, whole, in at most so much time.
pub(super) fn whole(most: Duration) -> Result<(), Errno> {
    let first = passes()?;
    set(true)?;
    let begun = Instant::now();
    let mut asked = begun;
    let done = loop {
        for _ in 0..TURNS {
            std::hint::spin_loop();
        }
        match passes() {
            Ok(now) if now >= first + 2 => break Ok(()),
            Ok(_) if begun.elapsed() > most => break Err(libc::ETIMEDOUT),
            Ok(_) if asked.elapsed() > AGAIN => {
                // Another lane may have switched it off at the end of its own scan.
                asked = Instant::now();
                if let Err(why) = set(true) {
                    break Err(why);
                }
            }
            Ok(_) => {}
            Err(why) => break Err(why),
        }
    };
    let off = set(false);
    done.and(off)
}

/// Switches balancing on or off, for the whole system.
pub(super) fn set(on: bool) -> Result<(), Errno> {
    sys::guest::write_setting(BALANCING, if on { b"1" } else { b"0" })
}

/// How many passes over this process there were, as the kernel tells it.
pub(super) fn passes() -> Result<u64, Errno> {
    let mut text = [0; 8192];
    let text = sys::guest::read_file(c"/proc/thread-self/sched", &mut text)?;
    let at = text.windows(COUNT.len()).position(|part| part == COUNT).ok_or(libc::ENODATA)?;
    let digits = text[at + COUNT.len()..].iter().skip_while(|byte| !byte.is_ascii_digit());
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    Ok(digits.fold(0, |sum: u64, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))))
}
