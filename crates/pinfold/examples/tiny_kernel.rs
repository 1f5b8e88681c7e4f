//! A kernel in a hundred lines: what an embedder writes to get address spaces, and what a pin is
//! worth after fork.
//!
//! `cargo run -p pinfold --example tiny_kernel`

use std::error::Error;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use pinfold::platform::{FlushScope, Park};
use pinfold::sync::AtomicU64;
use pinfold::{
    Access, AddressSpace, Cause, FaultError, Limits, Memory, NodeId, NodeSpan, Pfn, Place,
    Platform, Prot, Pte, Rules, Sharing, SpaceId, Term, Tuning, VirtAddr, X86_64,
};

const FRAMES: u64 = 64;
/// The frame of the table that maps the kernel, in every address space. It is the kernel's own, not
/// the manager's.
const KERNEL: Pfn = Pfn(0);
/// Its place in a root table: the last one of the upper half.
const KERNEL_SLOT: usize = 511;

/// The machine: some frames of 512 words, and one CPU that looks every address up anew.
struct Board {
    frames: Vec<[AtomicU64; 512]>,
    walkers: AtomicU32,
}

impl Board {
    fn frame(&self, frame: Pfn) -> &[AtomicU64; 512] {
        &self.frames[frame.0 as usize]
    }
}

impl Park for Board {
    fn park(&self, word: &AtomicU32, seen: u32) {
        while word.load(Ordering::Acquire) == seen {
            std::thread::yield_now();
        }
    }

    fn unpark(&self, _: &AtomicU32) {}
}

// SAFETY: frames never move and hold 512 words; the CPU caches no translation, so every flush is
// done at once; walkers are counted, with a full barrier behind the count.
unsafe impl Platform for Board {
    type Format = X86_64;

    fn table(&self, frame: Pfn) -> NonNull<AtomicU64> {
        NonNull::from(self.frame(frame)).cast()
    }

    fn zero_frame(&self, frame: Pfn) {
        self.frame(frame).iter().for_each(|word| word.write_once(0));
    }

    fn copy_frame(&self, from: Pfn, to: Pfn) {
        let words = self.frame(from).iter().zip(self.frame(to));
        words.for_each(|(from, to)| to.write_once(from.read_once()));
    }

    fn flush(&self, _: SpaceId, _: FlushScope) {}

    fn prepare_root(&self, _: SpaceId, root: Pfn) {
        self.frame(root)[KERNEL_SLOT].write_once(Pte::<X86_64>::table(KERNEL).bits());
    }

    fn walk_begin(&self) {
        self.walkers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    fn walk_end(&self) {
        self.walkers.fetch_sub(1, Ordering::Release);
    }

    fn wait_for_walkers(&self) {
        while self.walkers.load(Ordering::Acquire) != 0 {
            std::thread::yield_now();
        }
    }
}

/// The first word of the page at `at`, as the CPU reaches it: look the address up, and fault until
/// the entry allows the store.
fn store(process: &AddressSpace<Board>, at: VirtAddr, value: u64) -> Result<Pfn, FaultError> {
    while !process.entry(at).is_writable() {
        process.fault(at, Cause::Store)?;
    }
    let frame = process.entry(at).pfn();
    process.memory().platform().frame(frame)[0].write_once(value);
    Ok(frame)
}

fn main() -> Result<(), Box<dyn Error>> {
    let all = NodeSpan { node: NodeId(0), first: Pfn(1), frames: FRAMES - 1 };
    let frames = (0..FRAMES).map(|_| [const { AtomicU64::new(0) }; 512]).collect();
    let board = Board { frames, walkers: AtomicU32::new(0) };
    // SAFETY: the board is ours alone, has these frames, and keeps the kernel's own out of them.
    let memory = unsafe { Memory::new(board, &[all], Rules::default(), Tuning::default()) }?;
    let at_start = memory.frames().total_free();

    let parent = AddressSpace::new(&memory, Limits::of_format::<X86_64>())?;
    let buffer = parent.map(Place::Anywhere, 1, Prot::READ_WRITE, Sharing::Private)?;
    println!("touched: {} is {}", buffer.start(), store(&parent, buffer.start(), 1)?);
    let elder = parent.fork()?;

    // The page is shared with the first child, so the pin gets the parent a page of its own before
    // the device learns its frame.
    let pins = parent.pin(buffer, Access::Write, Term::Long)?;
    let device = pins.pages()[0];
    println!("pinned:  the device writes to {device}");

    // The second child finds a pinned page and gets a copy at once; the parent keeps the right to
    // write.
    let younger = parent.fork()?;
    let owner = store(&parent, buffer.start(), 2)?;
    let seen = memory.platform().frame(device)[0].read_once();
    println!("forked:  the owner writes to {owner}, the device reads {seen}");
    assert_eq!((owner, seen), (device, 2), "the device and the owner name one frame");

    for (name, child) in [("elder", &elder), ("younger", &younger)] {
        let frame = child.entry(buffer.start()).pfn();
        println!("{name}: has {frame} with {}", memory.platform().frame(frame)[0].read_once());
        assert_ne!(frame, device, "no child reads what the device writes");
    }

    for process in [&parent, &elder, &younger] {
        process.unmap(buffer)?;
        let linked = memory.platform().frame(process.root())[KERNEL_SLOT].read_once();
        assert_eq!(Pte::<X86_64>::from_bits(linked).pfn(), KERNEL);
    }
    println!("unmapped: the kernel is still in all three");

    pins.unpin_dirty();
    drop((parent, elder, younger));
    assert_eq!(memory.frames().total_free(), at_start, "nothing leaked");
    println!("gone:    {at_start} frames are free as at the start");
    Ok(())
}
