//! The sequence count and the locks, beside the same written by hand.

use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use pinfold::lab::locks::{Begin, RawSpinLock, RwSem, SeqCount, SpinLock};
use pinfold::platform::Park;

const _: () = {
    assert!(size_of::<SeqCount>() == size_of::<AtomicU32>());
    assert!(size_of::<RawSpinLock>() == size_of::<AtomicU32>());
    // With the hooks a lock also knows how an exploration hashes its value.
    #[cfg(not(feature = "control"))]
    assert!(size_of::<SpinLock<u64>>() == size_of::<Spin>());
    assert!(size_of::<RwSem<u64>>() == size_of::<Sem>());
};

pair! { "seqcount_read", () -> Option<u32>,
    |count: &SeqCount| count.read(),
    |count: &AtomicU32| {
        let seen = count.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        seen.is_multiple_of(2).then_some(seen)
    },
}
pair! { "seqcount_changed_since", (seen: u32) -> bool,
    |count: &SeqCount| count.changed_since(seen),
    |count: &AtomicU32| {
        fence(Ordering::Acquire);
        count.load(Ordering::Relaxed) != seen
    },
}
pair! { "seqcount_write", (),
    |count: &SeqCount| {
        count.write_begin(Begin::FullBarrier);
        count.write_end();
    },
    |count: &AtomicU32| {
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::SeqCst);
        fence(Ordering::Release);
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    },
}

/// A value behind a spin lock.
pub struct Spin {
    word: AtomicU32,
    value: UnsafeCell<u64>,
}

fn spin(word: &AtomicU32) {
    while word.compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
        while word.load(Ordering::Relaxed) != 0 {
            spin_loop();
        }
    }
}

pair! { "raw_spin_lock", (),
    |lock: &RawSpinLock| drop(lock.lock()),
    |word: &AtomicU32| {
        spin(word);
        word.store(0, Ordering::Release);
    },
}
pair! { "spin_lock", (value: u64) -> u64,
    |lock: &SpinLock<u64>| core::mem::replace(&mut *lock.lock(), value),
    |spin_lock: &Spin| {
        spin(&spin_lock.word);
        // SAFETY: the lock is held.
        let old = unsafe { spin_lock.value.get().replace(value) };
        spin_lock.word.store(0, Ordering::Release);
        old
    },
}

const WRITER: u32 = 1 << 31;
const WAITERS: u32 = 1 << 30;

/// Waits by spinning.
struct Spinning;

impl Park for Spinning {
    fn park(&self, word: &AtomicU32, seen: u32) {
        while word.load(Ordering::Acquire) == seen {
            spin_loop();
        }
    }

    fn unpark(&self, _: &AtomicU32) {}
}

/// Waits a little, unless that was long enough.
#[inline]
fn waits(pauses: &mut u32) -> bool {
    if *pauses > 512 {
        return false;
    }
    (0..*pauses).for_each(|_| spin_loop());
    *pauses *= 2;
    true
}

/// A value behind a reader-writer lock.
pub struct Sem {
    word: AtomicU32,
    value: UnsafeCell<u64>,
}

impl Sem {
    #[inline]
    fn acquire(&self, take: impl Fn(u32) -> Option<u32>) {
        let seen = self.word.load(Ordering::Relaxed);
        match take(seen).map(|new| self.swap_weak(seen, new)) {
            Some(Ok(_)) => {}
            Some(Err(now)) => self.contend(now, take),
            None => self.contend(seen, take),
        }
    }

    #[cold]
    fn contend(&self, mut seen: u32, take: impl Fn(u32) -> Option<u32>) {
        let mut pauses: u32 = 128;
        loop {
            if let Some(new) = take(seen) {
                match self.swap_weak(seen, new) {
                    Ok(_) => return,
                    Err(now) => seen = now,
                }
                continue;
            }
            seen = if waits(&mut pauses) {
                self.word.load(Ordering::Relaxed)
            } else {
                self.sleep(seen)
            };
        }
    }

    #[inline]
    fn swap_weak(&self, old: u32, new: u32) -> Result<u32, u32> {
        self.word.compare_exchange_weak(old, new, Ordering::Acquire, Ordering::Relaxed)
    }

    #[cold]
    fn sleep(&self, seen: u32) -> u32 {
        let marked = seen | WAITERS;
        if seen == marked || self.swap(seen, marked) {
            Spinning.park(&self.word, marked);
        }
        self.word.load(Ordering::Relaxed)
    }

    #[inline]
    fn release(&self, held: u32) {
        if self.word.fetch_sub(held, Ordering::Release) - held == WAITERS {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        if self.swap(WAITERS, 0) {
            fence(Ordering::SeqCst);
            Spinning.unpark(&self.word);
        }
    }

    fn swap(&self, old: u32, new: u32) -> bool {
        self.word.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

pair! { "rw_sem_read", () -> u64,
    |sem: &RwSem<u64>| *sem.read(&Spinning),
    |sem: &Sem| {
        sem.acquire(|word| (word < WAITERS - 1).then(|| word + 1));
        // SAFETY: the lock is held for reading.
        let value = unsafe { sem.value.get().read() };
        sem.release(1);
        value
    },
}
pair! { "rw_sem_write", (value: u64) -> u64,
    |sem: &RwSem<u64>| core::mem::replace(&mut *sem.write(&Spinning), value),
    |sem: &Sem| {
        sem.acquire(|word| (word & !WAITERS == 0).then_some(word | WRITER));
        // SAFETY: the lock is held for writing.
        let old = unsafe { sem.value.get().replace(value) };
        sem.release(WRITER);
        old
    },
}
