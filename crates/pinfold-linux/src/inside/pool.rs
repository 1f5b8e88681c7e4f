//! The pool of huge pages, which is a setting of the whole machine: see
//! [`Settings`](crate::Settings), which puts it back.
//!
//! INV-POOL-1: a trial begins when all pages of the pool are free, and nobody is promised one.

use std::fs;
use std::time::{Duration, Instant};

use crate::settings::{POOL, pool_number};

/// Gives the pool so many pages.
pub(super) fn set(pages: u32) -> Result<(), String> {
    let path = format!("{POOL}/nr_hugepages");
    fs::write(&path, pages.to_string()).map_err(|why| format!("{path}: {why}"))?;
    match pool_number("nr_hugepages")? {
        got if got == pages => Ok(()),
        got => Err(format!("this machine has memory for {got} huge pages of {pages}")),
    }
}

/// Waits until the pool is as it was set: INV-POOL-1.
pub(super) fn settle(pages: u32, most: Duration) -> Result<(), String> {
    let begun = Instant::now();
    while (pool_number("free_hugepages")?, pool_number("resv_hugepages")?) != (pages, 0) {
        if begun.elapsed() > most {
            return Err(format!("the pool has not all of its {pages} huge pages free again"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
