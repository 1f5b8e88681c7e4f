//! The system's heap for a test binary, which denies requests where a test says so.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's heap, which denies what a thread says.
struct Heap;

/// What is denied.
#[derive(Clone, Copy)]
pub(crate) enum Deny {
    Nothing,
    /// One request, when so many have been granted.
    After(u64),
    /// All requests, from then on.
    From(u64),
}

std::thread_local! {
    static DENY: Cell<Deny> = const { Cell::new(Deny::Nothing) };
    static DENIED: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

fn denied() -> bool {
    let deny = DENY.get();
    let denied = match deny {
        Deny::Nothing => false,
        Deny::After(0) | Deny::From(0) => true,
        Deny::After(_) | Deny::From(_) => false,
    };
    DENY.set(match deny {
        Deny::After(0) => Deny::Nothing,
        Deny::After(left) => Deny::After(left - 1),
        Deny::From(left) => Deny::From(left.saturating_sub(1)),
        Deny::Nothing => Deny::Nothing,
    });
    DENIED.set(DENIED.get() + u64::from(denied));
    denied
}

// SAFETY: all memory is the system's; null is an answer that an allocator may give.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if denied() {
            return core::ptr::null_mut();
        }
        BYTES.set(BYTES.get() + layout.size());
        // SAFETY: the caller's promise is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above; all memory that goes back came from the system.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if denied() {
            return core::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static HEAP: Heap = Heap;

/// Runs `step` with requests for heap denied; how many were.
pub(crate) fn with_heap<T>(deny: Deny, step: impl FnOnce() -> T) -> (T, u64) {
    DENIED.set(0);
    DENY.set(deny);
    let result = step();
    DENY.set(Deny::Nothing);
    (result, DENIED.get())
}

/// The bytes that this thread has ever been given by new requests.
pub(crate) fn granted() -> usize {
    BYTES.get()
}
