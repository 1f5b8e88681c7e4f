//! What a pin is worth while threads fork, scan and migrate: under the rules of today the device
//! and the owner name one page throughout; under those of Linux 5.8 they part in the first round,
//! since fork shares a pinned page and the owner's next write copies it (facts 1.1, 2.2).
//!
//! The owner runs on an emulated CPU that looks every address up by [`AddressSpace::walk`], under a
//! lock that the flush takes. In each round all threads race first; then the owner writes, then the
//! device reads and writes, then the owner reads, with a barrier between one and the next. So what
//! is seen does not depend on how the threads are scheduled.
//!
//! `cargo run -p pinfold --example threaded_pins`

use std::error::Error;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;

use pinfold::mock::Host;
use pinfold::platform::{FlushScope, Park};
use pinfold::sync::AtomicU64;
use pinfold::{
    Access, AddressSpace, Cause, FaultError, Limits, Memory, NodeId, NodeSpan, Pfn, Place,
    Platform, Prot, Rules, Sharing, SpaceError, SpaceId, Term, Tuning, VirtAddr, VirtRange, X86_64,
};

/// Frames of each of the two nodes.
const FRAMES: u64 = 128;
const ROUNDS: u64 = 200;
/// The word that the owner writes and the device reads, and the one for the other direction.
const TO_DEVICE: usize = 0;
const TO_OWNER: usize = 1;

/// The machine: the frames of the mock host, and one CPU that runs a program.
struct Board {
    host: Host<X86_64>,
    /// Held during each instruction, so that a flush can wait for the one in progress.
    cpu: Mutex<()>,
}

impl Board {
    /// A load, or a store of `value`, as the CPU makes it.
    fn access(
        &self,
        space: &AddressSpace<Self>,
        (at, word): (VirtAddr, usize),
        value: Option<u64>,
    ) -> Result<u64, FaultError> {
        let cause = if value.is_some() { Cause::Store } else { Cause::Load };
        loop {
            let instruction = self.cpu.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = space.walk(at);
            if cause.is_allowed_by(entry) {
                let word = self.host.word(entry.pfn(), word);
                let Some(value) = value else { return Ok(word.load(Ordering::Relaxed)) };
                word.store(value, Ordering::Relaxed);
                return Ok(value);
            }
            // A fault may flush, and a flush waits for the instruction.
            drop(instruction);
            space.fault(at, cause)?;
        }
    }
}

impl Park for Board {
    fn park(&self, word: &AtomicU32, seen: u32) {
        while word.load(Ordering::Acquire) == seen {
            thread::yield_now();
        }
    }

    fn unpark(&self, _: &AtomicU32) {}
}

// SAFETY: the host keeps all of the contract but for the flush, as it has no CPU. The CPU here uses
// a translation only while it holds its lock, and looks it up under the same: taking the lock once
// waits for all that are older than the flush.
unsafe impl Platform for Board {
    type Format = X86_64;

    fn table(&self, frame: Pfn) -> NonNull<AtomicU64> {
        self.host.table(frame)
    }

    fn zero_frame(&self, frame: Pfn) {
        self.host.zero_frame(frame);
    }

    fn copy_frame(&self, from: Pfn, to: Pfn) {
        self.host.copy_frame(from, to);
    }

    fn flush(&self, _: SpaceId, _: FlushScope) {
        drop(self.cpu.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn walk_begin(&self) {
        self.host.walk_begin();
    }

    fn walk_end(&self) {
        self.host.walk_end();
    }

    fn wait_for_walkers(&self) {
        self.host.wait_for_walkers();
    }
}

type Space = AddressSpace<Board>;

/// The owner's part; gives the first round in which it did not read what the device wrote.
fn own(space: &Space, at: VirtAddr, meet: &Barrier) -> Result<Option<u64>, FaultError> {
    let board = space.memory().platform();
    let (mut parted, mut outcome) = (None, Ok(()));
    for round in 1..=ROUNDS {
        // Whatever fails is reported at the end: the others wait at the barriers.
        let mut attempt = |word, value| match board.access(space, (at, word), value) {
            Ok(seen) => seen,
            Err(error) => {
                outcome = Err(error);
                0
            }
        };
        meet.wait();
        attempt(TO_DEVICE, Some(round));
        meet.wait();
        attempt(TO_DEVICE, Some(2 * round));
        meet.wait();
        meet.wait();
        if attempt(TO_OWNER, None) != 3 * round {
            parted = parted.or(Some(round));
        }
    }
    outcome.map(|()| parted)
}

/// The device's part, which knows nothing but the frame; gives the first round in which it did not
/// read what the owner wrote.
fn device(board: &Board, frame: Pfn, meet: &Barrier) -> Option<u64> {
    let mut parted = None;
    for round in 1..=ROUNDS {
        meet.wait();
        meet.wait();
        meet.wait();
        if board.host.word(frame, TO_DEVICE).load(Ordering::Relaxed) != 2 * round {
            parted = parted.or(Some(round));
        }
        board.host.word(frame, TO_OWNER).store(3 * round, Ordering::Relaxed);
        meet.wait();
    }
    parted
}

/// Forks in each round, beside the owner's first store. The child lives until the next round.
fn fork(space: &Space, meet: &Barrier) -> Result<(), SpaceError> {
    let mut outcome = Ok(());
    let mut child = None;
    for _ in 1..=ROUNDS {
        drop(child.take());
        meet.wait();
        match space.fork() {
            Ok(fresh) => child = Some(fresh),
            Err(error) => outcome = Err(error),
        }
        meet.wait();
        meet.wait();
        meet.wait();
    }
    outcome
}

/// Balances beside both of the owner's stores: makes the page fault, and tries to move it.
fn balance(space: &Space, buffer: VirtRange, meet: &Barrier) {
    for round in 1..=ROUNDS {
        meet.wait();
        space.numa_scan(buffer);
        space.migrate(buffer, NodeId((round % 2) as u8));
        meet.wait();
        space.numa_scan(buffer);
        meet.wait();
        meet.wait();
    }
}

/// The first round in which the owner and the device named two pages, if there was one.
fn first_parting(rules: Rules) -> Result<Option<u64>, Box<dyn Error>> {
    let board = Board { host: Host::new(2 * FRAMES as usize), cpu: Mutex::new(()) };
    let span = |node: u8| NodeSpan {
        node: NodeId(node),
        first: Pfn(u64::from(node) * FRAMES),
        frames: FRAMES,
    };
    // SAFETY: the board has these frames, and nobody else uses it.
    let memory = unsafe { Memory::new(board, &[span(0), span(1)], rules, Tuning::default()) }?;
    let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>())?;
    let buffer = space.map(Place::Anywhere, 1, Prot::READ_WRITE, Sharing::Private)?;
    let pins = space.pin(buffer, Access::Write, Term::Long)?;
    let frame = pins.pages()[0];

    let meet = &Barrier::new(4);
    let (owner, device, forker) = thread::scope(|scope| {
        let owner = scope.spawn(|| own(&space, buffer.start(), meet));
        let device = scope.spawn(|| device(memory.platform(), frame, meet));
        let forker = scope.spawn(|| fork(&space, meet));
        balance(&space, buffer, meet);
        (owner.join(), device.join(), forker.join())
    });
    let joined = "no thread of this program panics";
    forker.expect(joined)?;
    let (owner, device) = (owner.expect(joined)?, device.expect(joined));
    Ok(owner.into_iter().chain(device).min())
}

fn main() -> Result<(), Box<dyn Error>> {
    for (rules, expected) in [("pinfold", None), ("5.8", Some(1))] {
        let rules: Rules = rules.parse()?;
        let parted = first_parting(rules)?;
        match parted {
            None => println!("{rules}: one page for the owner and the device, {ROUNDS} rounds"),
            Some(round) => println!("{rules}: two pages from round {round} on"),
        }
        assert_eq!(parted, expected, "under {rules}");
    }
    Ok(())
}

/// The example is a test, too.
#[test]
fn a_pinned_page_stays_with_its_owner_today_and_did_not_in_5_8() -> Result<(), Box<dyn Error>> {
    main()
}
