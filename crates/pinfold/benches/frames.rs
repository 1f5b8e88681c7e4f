//! Taking and freeing frames, against a stack of free frames that is the least that could do it.
//!
//! The goals say how far a table is from that which keeps nothing but such a stack itself, without
//! zones and orders: 4.8 and 3.0.

use std::sync::atomic::{AtomicU64, Ordering};

use pinfold::{Frames, NodeId, NodeSpan, Pfn, Placement, Zone};

use crate::pairs::{Goal, Pairs, timed};

const FRAMES: u64 = 1 << 15;
const PAIRS: usize = 15;
const HERE: Placement = Placement::Only(NodeId(0));

/// The limit: counts and links, 32 bytes a frame, and one word as the lock of the stack.
struct Stack {
    frames: Vec<Bare>,
    lock: AtomicU64,
    top: AtomicU64,
}

#[repr(C, align(32))]
struct Bare {
    counts: AtomicU64,
    next: AtomicU64,
}

impl Stack {
    fn new() -> Self {
        let bare = |next| Bare { counts: AtomicU64::new(0), next: AtomicU64::new(next) };
        let frames = (1..=FRAMES).map(bare).collect();
        Self { frames, lock: AtomicU64::new(0), top: AtomicU64::new(0) }
    }

    fn locked<R>(&self, run: impl FnOnce() -> R) -> R {
        while self.lock.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {}
        let result = run();
        self.lock.store(0, Ordering::Release);
        result
    }

    fn take(&self) -> Option<u64> {
        let at = self.locked(|| {
            let at = self.top.load(Ordering::Relaxed);
            let frame = self.frames.get(at as usize)?;
            self.top.store(frame.next.load(Ordering::Relaxed), Ordering::Relaxed);
            Some(at)
        })?;
        self.frames[at as usize].counts.store(1, Ordering::Relaxed);
        Some(at)
    }

    fn free(&self, at: u64) {
        let frame = &self.frames[at as usize];
        if frame.counts.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.locked(|| {
                frame.next.store(self.top.load(Ordering::Relaxed), Ordering::Relaxed);
                self.top.store(at, Ordering::Relaxed);
            });
        }
    }
}

fn table() -> Frames {
    let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: FRAMES };
    Frames::new(&[span]).expect("the heap holds the frame table")
}

pub(crate) fn run() {
    singles("frame never used, taken", true, Goal { must: 7.5, stretch: 4.8 });
    singles("frame freed before, taken and freed", false, Goal { must: 3.5, stretch: 3.0 });
    runs(9);
}

fn singles(name: &'static str, fresh: bool, goal: Goal) {
    let mut pairs = Pairs::new(name, FRAMES, goal);
    let (mut frames, mut stack) = (table(), Stack::new());
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS + usize::from(!fresh) {
        if fresh {
            (frames, stack) = (table(), Stack::new());
        }
        let mut held = Vec::with_capacity(FRAMES as usize);
        let ((), a) = timed(|| {
            held.extend(std::iter::from_fn(|| frames.take(HERE).ok()));
            if !fresh {
                held.drain(..).for_each(drop);
            }
        });
        drop(held);
        let mut held = Vec::with_capacity(FRAMES as usize);
        let ((), b) = timed(|| {
            held.extend(std::iter::from_fn(|| stack.take()));
            if !fresh {
                held.drain(..).for_each(|at| stack.free(at));
            }
        });
        // The first round over unused memory is the other measurement.
        if fresh || pair > 0 {
            ours.push(a);
            limit.push(b);
        }
    }
    ours.into_iter().zip(limit).for_each(|(a, b)| pairs.add(a, b));
    pairs.report();
}

/// What a run costs when blocks are there, and when every frame was freed alone before.
fn runs(order: u32) {
    let frames = table();
    let count = FRAMES >> order;
    let take_all = || -> Vec<_> {
        (0..count).map(|_| frames.take_run(order, HERE, Zone::Any).expect("free")).collect()
    };
    let (held, whole) = timed(take_all);
    drop(held);
    let singles: Vec<_> = std::iter::from_fn(|| frames.take(HERE).ok()).collect();
    drop(singles);
    let (held, merged) = timed(take_all);
    let per_frame = |time: std::time::Duration| time.as_secs_f64() * 1e9 / FRAMES as f64;
    println!(
        "run of {} frames: {:.1} ns a frame from blocks, {:.1} ns from frames that were freed alone",
        1 << order,
        per_frame(whole),
        per_frame(merged)
    );
    drop(held);
}
