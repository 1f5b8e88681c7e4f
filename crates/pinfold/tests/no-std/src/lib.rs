//! The core in a program without std: its own panic handler and allocator, a board of its own, and
//! calls that make the compiler emit the whole face of an address space.
//!
//! A program has one panic handler. If the core, or what it depends on, pulled std in, there would
//! be two, and this would not compile. That is the proof, and it needs no target but the host's.
#![no_std]

#[cfg(feature = "control")]
extern crate std;

use core::alloc::{GlobalAlloc, Layout};
use core::hint::{black_box, spin_loop};
use core::panic::PanicInfo;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicU32, Ordering};

use pinfold::platform::{FlushScope, Park};
use pinfold::sync::AtomicU64;
use pinfold::{
    Access, AddressSpace, Advice, Cause, Limits, Memory, NodeId, NodeSpan, Pfn, Place, Platform,
    Prot, Rules, Sharing, SpaceId, Term, Tuning, X86_64,
};

const FRAMES: usize = 32;
const WORDS: usize = 512;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        spin_loop();
    }
}

/// A heap that is always exhausted: enough to link.
struct NoHeap;

// SAFETY: it never hands out memory, which an allocator may.
unsafe impl GlobalAlloc for NoHeap {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static HEAP: NoHeap = NoHeap;

static RAM: [[AtomicU64; WORDS]; FRAMES] = [const { [const { AtomicU64::new(0) }; WORDS] }; FRAMES];

/// One CPU that looks every address up again.
struct Board;

impl Park for Board {
    fn park(&self, word: &AtomicU32, seen: u32) {
        while word.load(Ordering::Acquire) == seen {
            spin_loop();
        }
    }

    fn unpark(&self, _: &AtomicU32) {}
}

// SAFETY: frames never move and hold 512 words; the one CPU caches no translation, and nothing
// comes between the ends of a walk section, so whoever waits finds none open.
unsafe impl Platform for Board {
    type Format = X86_64;

    fn table(&self, frame: Pfn) -> NonNull<AtomicU64> {
        NonNull::from(&RAM[frame.0 as usize]).cast()
    }

    fn zero_frame(&self, frame: Pfn) {
        RAM[frame.0 as usize].iter().for_each(|word| word.write_once(0));
    }

    fn copy_frame(&self, from: Pfn, to: Pfn) {
        let words = RAM[from.0 as usize].iter().zip(&RAM[to.0 as usize]);
        words.for_each(|(from, to)| to.write_once(from.read_once()));
    }

    fn flush(&self, _: SpaceId, _: FlushScope) {}

    fn walk_begin(&self) {}

    fn walk_end(&self) {}

    fn wait_for_walkers(&self) {}
}

/// Reaches every operation of an address space; whether all went well.
#[unsafe(no_mangle)]
pub extern "C" fn pinfold_no_std() -> bool {
    all().is_some()
}

fn all() -> Option<()> {
    let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: FRAMES as u64 };
    // SAFETY: the board has these frames, and nobody else uses them.
    let memory = unsafe { Memory::new(Board, &[span], Rules::default(), Tuning::default()) }.ok()?;
    let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>()).ok()?;
    let range = space.map(Place::Anywhere, 2, Prot::READ_WRITE, Sharing::Private).ok()?;
    space.fault(range.start(), Cause::Store).ok()?;
    let pins = space.pin(range, Access::Write, Term::Long).ok()?;
    let refs = space.get(range, Access::Read).ok()?;
    let child = space.fork().ok()?;
    black_box((space.numa_scan(range), space.migrate(range, NodeId(0))));
    child.protect(range, Prot::READ).ok()?;
    child.advise(range, Advice::DontNeed).ok()?;
    drop((pins, refs));
    space.unmap(range).ok()
}
