//! Files: faults on pages that are in the cache, msync of dirty pages, truncation. Beside the
//! running kernel's on a memfd where it has the same; its faults include the exception, and its
//! calls the way into the kernel.

use std::ops::Range;

use pinfold::{
    Cause, Fault, File, FileSharing, Pfn, Place, Prot, Store, StoreError, VirtAddr, VirtRange,
};

use crate::ops;
use crate::pairs::{Goal, Pairs, median, timed};
use crate::world::{Contents, Machine, World};

/// Pages of the file.
const PAGES: u64 = 4096;
const ROUNDS: usize = 21;
/// There is none for files.
const GOAL: Goal = Goal { must: 1.0, stretch: 0.5 };

/// A store that costs nothing.
pub(crate) struct Sink;

impl Store<Machine> for Sink {
    fn read(&self, _: &Machine, _: u64, _: Pfn) -> Result<(), StoreError> {
        Ok(())
    }

    fn write(&self, _: &Machine, _: u64, _: Pfn) -> Result<(), StoreError> {
        Ok(())
    }

    fn discard(&self, _: &Machine, _: Range<u64>) {}
}

/// A process and a file, all of whose pages are in memory.
struct Cached {
    world: World,
    file: File<Machine>,
    range: VirtRange,
}

impl Cached {
    fn new(sharing: FileSharing, contents: Contents) -> Self {
        Self::on(World::new(1, 2 * PAGES, contents), sharing)
    }

    fn on(world: World, sharing: FileSharing) -> Self {
        let file = File::new(&world.memory, PAGES, Box::new(Sink)).expect("heap");
        (0..PAGES).for_each(|page| file.write(page, |_| ()).expect("frames"));
        file.sync().expect("it never fails");
        let at = Place::At(VirtAddr(1 << 41));
        let range = world.space.map_file(at, Prot::READ_WRITE, file.run(0..PAGES), sharing);
        Self { range: range.expect("a free place"), world, file }
    }

    /// As one access to each page does it.
    fn touch(&self, cause: Cause) {
        for page in self.range.iter() {
            if !cause.is_allowed_by(self.world.space.walk(page.start())) {
                self.world.space.fault(page.start(), cause).expect("it is in memory");
            }
        }
    }
}

/// The ways that an instruction counter looks at.
pub(crate) const OPERATIONS: [&str; 7] = [
    "file-read",
    "file-write",
    "file-copy",
    "file-sync",
    "file-truncate",
    "file-clean",
    "file-listed",
];

/// One round of an operation; its pages.
pub(crate) fn once(operation: &str) -> u64 {
    let sharing = if operation == "file-copy" { FileSharing::Private } else { FileSharing::Shared };
    let world = match operation {
        "file-listed" => World::listed(1, 2 * PAGES, Contents::Skipped),
        _ => World::new(1, 2 * PAGES, Contents::Skipped),
    };
    let Cached { world, file, range } = Cached::on(world, sharing);
    let dirty = || {
        let done = ops::fault_all(&world.space, range, Cause::Store, Fault::SharedPage);
        assert_eq!(done, PAGES);
    };
    match operation {
        // A run of 16 is one fault.
        "file-read" => {
            let runs = VirtRange::new(range.start(), PAGES).expect("it is mapped");
            let each = runs.iter().step_by(16);
            assert_eq!(ops::fault_some(&world.space, each, Cause::Load), PAGES / 16);
        }
        "file-write" => dirty(),
        "file-copy" => {
            let done = ops::fault_all(&world.space, range, Cause::Store, Fault::Copied);
            assert_eq!(done, PAGES);
        }
        "file-sync" => {
            dirty();
            assert_eq!(ops::sync(&file), PAGES);
        }
        // Mapped, as MADV_PAGEOUT does it.
        "file-clean" => {
            let each = range.iter().step_by(16);
            assert_eq!(ops::fault_some(&world.space, each, Cause::Load), PAGES / 16);
            assert_eq!(ops::page_out(&world.space, range), PAGES);
        }
        // From their list, mapped nowhere.
        "file-listed" => assert_eq!(ops::reclaim(&world.memory, PAGES), PAGES),
        _ => {
            dirty();
            ops::truncate(&file);
        }
    }
    PAGES
}

pub(crate) fn run() {
    #[cfg(unix)]
    beside_the_kernel();
    for dirty in [1, 64, PAGES] {
        let times = (0..ROUNDS).map(|_| {
            let cached = Cached::new(FileSharing::Shared, Contents::Skipped);
            for page in cached.range.iter().take(dirty as usize) {
                cached.world.space.fault(page.start(), Cause::Store).expect("frames");
            }
            let (written, time) = timed(|| ops::sync(&cached.file));
            assert_eq!(written, dirty);
            time.as_secs_f64() * 1e6
        });
        println!("msync of {dirty} dirty pages of {PAGES} in memory: {:.1} us", median(times));
    }
}

/// Accesses to each page of a mapping, and ftruncate of a file that is mapped, beside those of a
/// memfd.
#[cfg(unix)]
fn beside_the_kernel() {
    let kinds = [
        ("shared file, read, kernel as limit", FileSharing::Shared, Cause::Load),
        ("shared file, write, kernel as limit", FileSharing::Shared, Cause::Store),
        ("private file, copy, kernel as limit", FileSharing::Private, Cause::Store),
    ];
    for (name, sharing, cause) in kinds {
        let mut pairs = Pairs::new(name, PAGES, GOAL);
        for _ in 0..ROUNDS {
            let cached = Cached::new(sharing, Contents::Real);
            let real = real::Mapped::new(PAGES as usize, sharing);
            let ours = timed(|| cached.touch(cause));
            let kernels = timed(|| real.touch(cause));
            pairs.add(ours.1, kernels.1);
        }
        pairs.report();
    }
    let mut pairs = Pairs::new("truncate, mapped, kernel as limit", PAGES, GOAL);
    for _ in 0..ROUNDS {
        let cached = Cached::new(FileSharing::Shared, Contents::Skipped);
        cached.touch(Cause::Store);
        let real = real::Mapped::new(PAGES as usize, FileSharing::Shared);
        real.touch(Cause::Store);
        pairs.add(timed(|| ops::truncate(&cached.file)).1, timed(|| real.truncate()).1);
    }
    pairs.report();
}

#[cfg(unix)]
mod real {
    //! A memfd of the running kernel.

    use std::fs::File;
    use std::os::fd::{AsRawFd, FromRawFd};

    use pinfold::{Cause, FileSharing};

    /// A memfd, all of whose pages are in memory, and a mapping of it that was not touched.
    pub(super) struct Mapped {
        file: File,
        at: *mut u8,
        bytes: usize,
    }

    impl Mapped {
        pub(super) fn new(pages: usize, sharing: FileSharing) -> Self {
            let bytes = pages * 4096;
            // SAFETY: the name is a string that ends.
            let fd = unsafe { libc::memfd_create(c"pinfold".as_ptr(), 0) };
            assert!(fd >= 0, "the kernel has no memfd");
            // SAFETY: a new descriptor, which nobody else has.
            let file = unsafe { File::from_raw_fd(fd) };
            std::io::Write::write_all(&mut &file, &vec![1; bytes]).expect("memory");
            let flags = match sharing {
                FileSharing::Shared => libc::MAP_SHARED,
                FileSharing::Private => libc::MAP_PRIVATE,
            };
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            let anywhere = std::ptr::null_mut();
            // SAFETY: a new mapping, away from all others.
            let at = unsafe { libc::mmap(anywhere, bytes, prot, flags, file.as_raw_fd(), 0) };
            assert_ne!(at, libc::MAP_FAILED, "the kernel has no room");
            Self { file, at: at.cast(), bytes }
        }

        pub(super) fn touch(&self, cause: Cause) {
            for offset in (0..self.bytes).step_by(4096) {
                // SAFETY: within the mapping, which nobody else uses.
                unsafe {
                    let word = self.at.add(offset);
                    match cause {
                        Cause::Store => word.write_volatile(2),
                        Cause::Load | Cause::Fetch => _ = word.read_volatile(),
                    }
                }
            }
        }

        pub(super) fn truncate(&self) {
            self.file.set_len(0).expect("it is ours");
        }
    }

    impl Drop for Mapped {
        fn drop(&mut self) {
            // SAFETY: the mapping is this value's, and nobody uses it.
            unsafe { libc::munmap(self.at.cast(), self.bytes) };
        }
    }
}
