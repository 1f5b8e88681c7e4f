//! The rules in a program without a heap: no crate of the standard library but `core`, and no
//! allocator.
//!
//! A program that has the crate `alloc` anywhere needs an allocator, or it does not compile. If the
//! rules, or what they depend on, came to need a heap, this would not compile. That is the proof,
//! and it needs no target but the host's.
#![no_std]

#[cfg(feature = "control")]
extern crate alloc;

use core::hint::spin_loop;
use core::panic::PanicInfo;

use pinfold_rules::Rules;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        spin_loop();
    }
}

/// Reads a rule set; whether it is one.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_no_heap(text: &'static [u8; 8]) -> bool {
    str::from_utf8(text).is_ok_and(|text| Rules::parse(text).is_ok())
}
