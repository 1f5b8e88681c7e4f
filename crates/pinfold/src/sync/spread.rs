//! A sleeping reader-writer lock whose readers do not meet: each CPU's readers count themselves in
//! a place of their own, so that readers on different CPUs write no common word. (The way is that
//! of BRAVO: Dice and Kogan, USENIX ATC 2019.)
//!
//! Protocol: under it lies a [`RwSem`]. While the *bias* is set, a reader counts itself in its
//! CPU's place and looks at the bias again: if it is still set, the reader shares the value. A
//! writer takes the lock below, takes the bias off, and waits until every place is empty. Without
//! the bias readers take the lock below, too, where they queue behind a waiting writer; after a
//! number of them have had it that way, one sets the bias again. So a writer looks at the places at
//! most once for that many readers, and pays nothing for them otherwise.
//!
//! Invariants:
//! - INV-SPREAD-1: the bias is set only by who shares the lock below, and taken off only by who has
//!   it alone: while a writer has it, the bias is off.
//! - INV-SPREAD-2: there is a full barrier between a reader's count and its second look at the
//!   bias, and one between a writer's taking the bias off and its look at the places: of a reader
//!   and a writer, one sees the other.
//! - INV-SPREAD-3: a writer waits for readers that are in, and never for one that comes: who finds
//!   the bias off leaves its place again, and waits at the lock below. Writers do not starve.
//!
//! In an exploration whose locks are objects, the lock below stands for all of it: what readers of
//! two CPUs can do side by side, two readers of that lock can do, too.

use core::fmt;
use core::ops::Deref;

use super::atomic::{AtomicU32, smp_mb};
use super::grant;
use super::park::Park;
use super::percpu::PerCpu;
use super::rwsem::{ReadGuard, RwSem, WriteGuard};
use crate::error::NoMemory;
use core::sync::atomic::Ordering;

/// The bias is set; any other value is how many readers are still to come before it is.
const SET: u32 = 0;

/// In a place: a writer sleeps until the place is empty. The rest is the number of readers.
const WAITED: u32 = 1 << 31;
/// With this many readers in a place, the next one goes to the lock below. Only forgotten guards
/// can add up to this many.
const MOST_READERS: u32 = 1 << 30;

/// A value protected by a sleeping reader-writer lock whose readers do not meet.
#[derive(Debug)]
pub struct Spread<T> {
    below: RwSem<T>,
    /// [`SET`], or the readers still to come.
    bias: AtomicU32,
    /// Readers, by CPU.
    places: PerCpu<AtomicU32>,
    /// How many readers a writer sends to the lock below.
    rest: u32,
}

impl<T> Spread<T> {
    /// An open lock around `value`, with a place for each of `cpus` CPUs. After `rest` readers have
    /// taken the lock below, at least one, the bias is set.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub fn new(value: T, cpus: usize, rest: u32) -> Result<Self, NoMemory> {
        let rest = rest.max(1);
        let places = PerCpu::new(cpus)?;
        Ok(Self { below: RwSem::new(value), bias: AtomicU32::new(rest), places, rest })
    }

    /// Waits until no writer holds the value, and none waits for it, then shares it. `cpu` is the
    /// number of the caller's CPU, as far as it knows. Must not be called while the caller already
    /// shares the value, as for [`RwSem::read`].
    #[inline]
    pub fn read<'a, W: Park>(&'a self, sleep: &'a W, cpu: usize) -> SpreadGuard<'a, T, W> {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            return SpreadGuard(By::Below(self.below.read(sleep)));
        }
        if self.bias.read_once() == SET {
            let place = self.places.of(cpu);
            if self.enters(place) {
                return SpreadGuard(By::Place { lock: self, place, sleep });
            }
            leave(place, sleep);
        }
        self.read_below(sleep)
    }

    /// Counts a reader in a place; whether it is in (INV-SPREAD-2).
    #[inline]
    fn enters(&self, place: &AtomicU32) -> bool {
        // A full barrier follows an addition that gives the old value.
        place.fetch_add(1) & !WAITED < MOST_READERS && self.bias.load_acquire() == SET
    }

    #[cold]
    fn read_below<'a, W: Park>(&'a self, sleep: &'a W) -> SpreadGuard<'a, T, W> {
        let guard = self.below.read(sleep);
        let left = self.bias.read_once();
        if left != SET {
            // Only one of several readers that see the same number counts. The last one passes on
            // what the last writer did: whoever finds the bias set acquires it.
            let _ = self.bias.cmpxchg(left, left - 1);
        }
        SpreadGuard(By::Below(guard))
    }

    /// Waits until nobody holds the value, then takes it.
    #[inline]
    pub fn write<'a, W: Park>(&'a self, sleep: &'a W) -> WriteGuard<'a, T, W> {
        let guard = self.below.write(sleep);
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            return guard;
        }
        if self.bias.read_once() == SET {
            self.empty_places(sleep);
        }
        guard
    }

    /// Takes the bias off and waits for the readers that are in. The caller has the lock below
    /// alone.
    #[cold]
    fn empty_places<W: Park>(&self, sleep: &W) {
        self.bias.write_once(self.rest);
        smp_mb();
        self.places.iter().for_each(|place| empty(place, sleep));
    }

    /// The words in which readers are counted, for their names.
    pub(crate) fn places(&self) -> impl Iterator<Item = &AtomicU32> {
        self.places.iter()
    }

    /// As [`RwSem::name`]; the bias has the name `bias`, and lies in the lock, too.
    pub(crate) fn name(
        offset: usize,
        (lock, gate): (&'static str, &'static str),
        bias: &'static str,
    ) -> &'static str {
        if offset == core::mem::offset_of!(Self, bias) {
            return bias;
        }
        RwSem::<T>::name(offset.wrapping_sub(core::mem::offset_of!(Self, below)), lock, gate)
    }
}

/// Waits until a place is empty.
fn empty<W: Park>(place: &AtomicU32, sleep: &W) {
    loop {
        let seen = place.load_acquire();
        if seen & !WAITED == 0 {
            return;
        }
        #[cfg(feature = "explore")]
        if grant::enters_anyway() {
            return;
        }
        let marked = seen | WAITED;
        if seen == marked || place.cmpxchg_relaxed(seen, marked).is_ok() {
            sleep.park(place.native(), marked);
        }
    }
}

/// A reader leaves its place; the last one wakes the writer that sleeps for it.
#[inline]
fn leave<W: Park>(place: &AtomicU32, sleep: &W) {
    let left = grant::giving_back(
        || place.fetch_sub_release(1) - 1,
        || {
            let native = place.native();
            native.fetch_sub(1, Ordering::Relaxed);
            let _ = native.compare_exchange(WAITED, 0, Ordering::Relaxed, Ordering::Relaxed);
        },
    );
    if left == WAITED {
        grant::giving_back(|| wake(place, sleep), || place.native().store(0, Ordering::Relaxed));
    }
}

#[cold]
fn wake<W: Park>(place: &AtomicU32, sleep: &W) {
    if place.cmpxchg_relaxed(WAITED, 0).is_ok() {
        // What `Park::unpark` is promised: the open word before the look for sleepers.
        smp_mb();
        sleep.unpark(place.native());
    }
}

/// Shares the value of a [`Spread`].
#[must_use]
pub struct SpreadGuard<'a, T, W: Park>(By<'a, T, W>);

/// Where a reader is counted.
enum By<'a, T, W: Park> {
    /// In a CPU's place.
    Place { lock: &'a Spread<T>, place: &'a AtomicU32, sleep: &'a W },
    /// In the lock below.
    Below(ReadGuard<'a, T, W>),
}

impl<T, W: Park> Deref for SpreadGuard<'_, T, W> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        match &self.0 {
            // SAFETY: counted in a place while the bias was set: a writer waits for that place
            // before it uses the value (INV-SPREAD-2).
            By::Place { lock, .. } => unsafe { lock.below.shared() },
            By::Below(guard) => guard,
        }
    }
}

impl<T: fmt::Debug, W: Park> fmt::Debug for SpreadGuard<'_, T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T, W: Park> Drop for SpreadGuard<'_, T, W> {
    #[inline]
    fn drop(&mut self) {
        if let By::Place { place, sleep, .. } = &self.0 {
            leave(place, *sleep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::park::Awake;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn waits(act: impl FnOnce()) -> bool {
        catch_unwind(AssertUnwindSafe(act)).is_err()
    }

    #[test]
    fn readers_of_a_biased_lock_leave_the_lock_below_alone_and_writers_wait_for_them() {
        let lock = Spread::new((), 2, 2).expect("the heap has room");
        drop(lock.read(&Awake, 0));
        assert_ne!(lock.bias.peek(), SET);
        drop(lock.read(&Awake, 0));
        assert_eq!(lock.bias.peek(), SET, "two readers have had the lock below");
        let [first, second] = [0, 1].map(|cpu| lock.read(&Awake, cpu));
        assert_eq!([0, 1].map(|cpu| lock.places.of(cpu).peek()), [1, 1]);
        assert!(waits(|| drop(lock.write(&Awake))));
        drop((first, second));
        assert_eq!(lock.bias.peek(), 2, "the writer has taken it off");
        drop(lock.write(&Awake));
        drop(lock.read(&Awake, 1));
        assert_eq!(lock.places.of(1).peek() & !WAITED, 0);
    }

    #[test]
    fn readers_that_were_forgotten_never_let_a_writer_in() {
        let lock = Spread::new((), 1, 1).expect("the heap has room");
        drop(lock.read(&Awake, 0));
        lock.places.of(0).init(MOST_READERS - 1);
        core::mem::forget(lock.read(&Awake, 0));
        assert_eq!(lock.places.of(0).peek(), MOST_READERS);
        drop(lock.read(&Awake, 0));
        assert_eq!(lock.places.of(0).peek(), MOST_READERS, "the next one took the lock below");
        assert!(waits(|| drop(lock.write(&Awake))));
    }
}
