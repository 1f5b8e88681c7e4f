use std::boxed::Box;
use std::format;
use std::fs::{self, File as HostFile, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::vec::Vec;

use super::{FileStore, MemoryStore};
use crate::heap::{Deny, with_heap};
use crate::mock::Host;
use crate::{
    File, FileError, Memory, NodeId, NodeSpan, Pfn, Rules, Store, StoreError, Tuning, Unwritten,
    X86_64, sync::Shared,
};

type Mem = Shared<Memory<Host<X86_64>>>;

const WORDS: usize = 512;

fn memory() -> Mem {
    let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: 64 };
    let host = Host::<X86_64>::new(64);
    // SAFETY: the host has these frames, and nobody else uses it.
    unsafe { Memory::new(host, &[span], Rules::default(), Tuning::default()).unwrap() }
}

fn of(memory: &Mem, pages: u64, store: impl Store<Host<X86_64>> + 'static) -> File<Host<X86_64>> {
    File::new(memory, pages, Box::new(store)).unwrap()
}

/// Writes a word at both ends of a page.
fn put(memory: &Mem, file: &File<Host<X86_64>>, page: u64, word: u64) -> Result<(), FileError> {
    file.write(page, |frame| {
        for at in [0, WORDS - 1] {
            memory.platform().word(frame, at).store(word, Ordering::Relaxed);
        }
    })
}

/// The words at the ends of a page and in the middle.
fn ends(memory: &Mem, file: &File<Host<X86_64>>, page: u64) -> [u64; 3] {
    let read = |frame| {
        let word = |at| memory.platform().word(frame, at).load(Ordering::Relaxed);
        [word(0), word(WORDS / 2), word(WORDS - 1)]
    };
    file.read(page, read).unwrap()
}

/// Takes all pages out of memory, so that the next access asks the store.
fn forget(file: &File<Host<X86_64>>) {
    file.sync().unwrap();
    file.invalidate(0..file.pages()).unwrap();
}

#[test]
fn pages_come_back_and_what_was_never_written_is_zeros() {
    let memory = memory();
    let store = MemoryStore::new(4).unwrap();
    let file = of(&memory, 1 << 40, store.clone());
    for page in [0, 63, 1 << 39] {
        put(&memory, &file, page, page + 1).unwrap();
    }
    forget(&file);
    for page in [0, 63, 1 << 39] {
        assert_eq!(ends(&memory, &file, page), [page + 1, 0, page + 1]);
    }
    assert_eq!(ends(&memory, &file, 62), [0; 3]);
    assert_eq!((store.pages(), store.capacity()), (3, 4));
    // Another file of the same store has the same pages.
    drop(file);
    let again = of(&memory, 100, store);
    assert_eq!(ends(&memory, &again, 63), [64, 0, 64]);
}

#[test]
fn a_full_store_refuses_writes_and_loses_none() {
    let memory = memory();
    let store = MemoryStore::new(2).unwrap();
    let file = of(&memory, 8, store.clone());
    put(&memory, &file, 1, 7).unwrap();
    put(&memory, &file, 2, 8).unwrap();
    let full = FileError::Store { page: 3, error: StoreError::NoSpace };
    assert_eq!(put(&memory, &file, 3, 9), Err(full));
    // Its own pages can be written again and again.
    put(&memory, &file, 2, 10).unwrap();
    assert_eq!(file.sync(), Ok(2));
    assert_eq!(ends(&memory, &file, 3), [0; 3], "what was refused was not written");
    file.punch(1..2);
    assert_eq!(store.pages(), 1);
    put(&memory, &file, 3, 9).unwrap();
    forget(&file);
    let words = [0, 1, 2, 3].map(|page| ends(&memory, &file, page)[0]);
    assert_eq!(words, [0, 0, 10, 9]);
    file.truncate(3).unwrap();
    file.truncate(8).unwrap();
    assert_eq!((store.pages(), ends(&memory, &file, 3)), (1, [0; 3]));
}

#[test]
fn a_heap_that_is_exhausted_is_no_space() {
    let memory = memory();
    let store = MemoryStore::new(2).unwrap();
    let file = of(&memory, 8, store.clone());
    // The page is in memory, so that only the store wants heap.
    assert_eq!(ends(&memory, &file, 5), [0; 3]);
    let full = FileError::Store { page: 5, error: StoreError::NoSpace };
    let (done, denied) = with_heap(Deny::From(0), || put(&memory, &file, 5, 1));
    assert_eq!((done, denied > 0), (Err(full), true));
    assert_eq!(store.pages(), 0);
    put(&memory, &file, 5, 1).unwrap();
    assert_eq!(with_heap(Deny::From(0), || file.sync()).0, Ok(1), "room was made before");
}

/// A file of the host that is gone at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        let name = format!("pinfold-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn open(&self) -> HostFile {
        let mut how = OpenOptions::new();
        how.read(true).write(true).create(true).truncate(false).open(&self.0).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.0).unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_file_of_the_host_keeps_pages_across_machines() {
    let place = Temporary::new("kept");
    // It ends within a page.
    place.open().write_all(&[0xab; 5000]).unwrap();
    {
        let memory = memory();
        let store = FileStore::new(place.open());
        let file = of(&memory, 8, store.clone());
        assert_eq!(ends(&memory, &file, 0), [u64::from_ne_bytes([0xab; 8]); 3]);
        assert_eq!(ends(&memory, &file, 1), [u64::from_ne_bytes([0xab; 8]), 0, 0]);
        assert_eq!(ends(&memory, &file, 7), [0; 3], "past the end");
        put(&memory, &file, 3, 4).unwrap();
        put(&memory, &file, 5, 6).unwrap();
        assert_eq!((file.sync(), store.sync()), (Ok(2), Ok(())));
    }
    let bytes = place.bytes();
    assert_eq!((bytes.len(), &bytes[3 * 4096..][..8]), (6 * 4096, &4_u64.to_ne_bytes()[..]));
    let memory = memory();
    let file = of(&memory, 8, FileStore::new(place.open()));
    assert_eq!([3, 4, 5].map(|page| ends(&memory, &file, page)[2]), [4, 0, 6]);
    // A hole in the middle, and then the end.
    file.punch(3..4);
    file.truncate(5).unwrap();
    file.truncate(8).unwrap();
    assert_eq!([3, 5].map(|page| ends(&memory, &file, page)[0]), [0, 0]);
    let bytes = place.bytes();
    assert_eq!((bytes.len(), &bytes[3 * 4096..4 * 4096]), (5 * 4096, &[0; 4096][..]));
}

/// Where the host refuses to write, nothing counts as written, and what is gone stays gone.
#[test]
fn what_the_host_refuses_stays_dirty_and_holes_are_holes() {
    let place = Temporary::new("refused");
    place.open().write_all(&[1; 3 * 4096]).unwrap();
    let readable = OpenOptions::new().read(true).open(&place.0).unwrap();
    let memory = memory();
    let file = of(&memory, 4, FileStore::new(readable));
    put(&memory, &file, 0, 5).unwrap();
    let refused = Err(Unwritten { page: 0, error: StoreError::Io });
    assert_eq!((file.sync(), file.sync()), (refused, refused));
    assert_eq!(ends(&memory, &file, 0)[0], 5);
    file.punch(1..2);
    assert_eq!(ends(&memory, &file, 1), [0; 3]);
    file.truncate(2).unwrap();
    file.truncate(4).unwrap();
    assert_eq!((ends(&memory, &file, 1), ends(&memory, &file, 2)), ([0; 3], [0; 3]));
    assert_eq!(place.bytes(), [1; 3 * 4096]);
}

/// Linux's device that is always full.
#[cfg(target_os = "linux")]
#[test]
fn a_full_medium_of_the_host_is_no_space() {
    let full = OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    let memory = memory();
    let file = of(&memory, 4, FileStore::new(full));
    put(&memory, &file, 2, 5).unwrap();
    let refused = Err(Unwritten { page: 2, error: StoreError::NoSpace });
    assert_eq!(file.sync(), refused);
    assert_eq!(ends(&memory, &file, 2)[0], 5);
}

/// A page that is written after it was discarded in vain is there again.
#[test]
fn a_page_that_could_not_be_discarded_can_be_written() {
    let place = Temporary::new("again");
    place.open().write_all(&[1; 4 * 4096]).unwrap();
    let host = Host::<X86_64>::new(2);
    let store = FileStore::new(place.open());
    let refused = FileStore::new(OpenOptions::new().read(true).open(&place.0).unwrap());
    refused.discard(&host, 0..3);
    for page in 0..4 {
        refused.read(&host, page, Pfn(0)).unwrap();
        let zeros = host.word(Pfn(0), 0).load(Ordering::Relaxed) == 0;
        assert_eq!(zeros, page < 3, "{page}");
    }
    assert_eq!(refused.write(&host, 1, Pfn(0)), Err(StoreError::Io));
    store.discard(&host, 1..2);
    store.read(&host, 3, Pfn(0)).unwrap();
    store.write(&host, 1, Pfn(0)).unwrap();
    store.read(&host, 1, Pfn(1)).unwrap();
    assert_ne!(host.word(Pfn(1), 0).load(Ordering::Relaxed), 0);
}
