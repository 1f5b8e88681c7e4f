//! P10: what a frame costs, counted at the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use pinfold::{Frames, NodeId, NodeSpan, Pfn};

use crate::pairs::Goal;

static TAKEN: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, which counts the bytes it is asked for.
struct Counting;

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: passed through.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: passed through.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const FRAMES: u64 = 1 << 16;
const BYTES: Goal = Goal { must: 40.0, stretch: 32.0 };

pub(crate) fn run() {
    let before = TAKEN.load(Ordering::Relaxed);
    let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: FRAMES };
    let frames = Frames::new(&[span]).expect("the heap holds the frame table");
    let bytes = TAKEN.load(Ordering::Relaxed) - before;
    assert_eq!(frames.total_free(), FRAMES);
    let each = (bytes / FRAMES) as f64;
    println!("P10 metadata a frame of 4 KiB: {each} bytes; {}; Linux 64", BYTES.verdict(each));
}
