//! Words and barriers.

use core::sync::atomic::{self as native, Ordering, compiler_fence, fence};

use pinfold::sync::{AtomicU32, AtomicU64, smp_mb, smp_mb_after_atomic, smp_rmb, smp_wmb};

macro_rules! word {
    ($word:ident, $ours:ident) => {
        const _: () = {
            use native::$ours as Native;
            use $ours as Ours;

            assert!(size_of::<Ours>() == size_of::<Native>());
            assert!(align_of::<Ours>() == align_of::<Native>());
            #[cfg(not(feature = "control"))]
            assert!(!core::mem::needs_drop::<Ours>());
        };

        word!(@pair $word, $ours, "read_once", () -> $word,
            |cell| cell.read_once(),
            |cell| cell.load(Ordering::Relaxed));
        word!(@pair $word, $ours, "write_once", (value: $word),
            |cell| cell.write_once(value),
            |cell| cell.store(value, Ordering::Relaxed));
        word!(@pair $word, $ours, "load_acquire", () -> $word,
            |cell| cell.load_acquire(),
            |cell| cell.load(Ordering::Acquire));
        word!(@pair $word, $ours, "store_release", (value: $word),
            |cell| cell.store_release(value),
            |cell| cell.store(value, Ordering::Release));
        word!(@pair $word, $ours, "init", (value: $word),
            |cell| cell.init(value),
            |cell| cell.store(value, Ordering::Relaxed));
        word!(@pair $word, $ours, "xchg", (value: $word) -> $word,
            |cell| cell.xchg(value),
            |cell| cell.swap(value, Ordering::SeqCst));
        word!(@pair $word, $ours, "cmpxchg", (old: $word, new: $word) -> Result<$word, $word>,
            |cell| cell.cmpxchg(old, new),
            |cell| cell.compare_exchange(old, new, Ordering::SeqCst, Ordering::Relaxed));
        word!(@pair $word, $ours, "try_update", () -> Result<$word, $word>,
            |cell| cell.try_update(|old| old.checked_sub(1)),
            |cell| cell.fetch_update(Ordering::SeqCst, Ordering::Relaxed, |old| old.checked_sub(1)));
        word!(@pair $word, $ours, "fetch_add", (value: $word) -> $word,
            |cell| cell.fetch_add(value),
            |cell| cell.fetch_add(value, Ordering::SeqCst));
        word!(@pair $word, $ours, "fetch_sub", (value: $word) -> $word,
            |cell| cell.fetch_sub(value),
            |cell| cell.fetch_sub(value, Ordering::SeqCst));
        word!(@pair $word, $ours, "fetch_or", (bits: $word) -> $word,
            |cell| cell.fetch_or(bits),
            |cell| cell.fetch_or(bits, Ordering::SeqCst));
        word!(@pair $word, $ours, "fetch_and", (mask: $word) -> $word,
            |cell| cell.fetch_and(mask),
            |cell| cell.fetch_and(mask, Ordering::SeqCst));
        word!(@pair $word, $ours, "fetch_or_relaxed", (bits: $word) -> $word,
            |cell| cell.fetch_or_relaxed(bits),
            |cell| cell.fetch_or(bits, Ordering::Relaxed));
        word!(@pair $word, $ours, "fetch_and_relaxed", (mask: $word) -> $word,
            |cell| cell.fetch_and_relaxed(mask),
            |cell| cell.fetch_and(mask, Ordering::Relaxed));
        // The old value is not wanted: one locked instruction, not a loop.
        word!(@pair $word, $ours, "set_bits", (bits: $word),
            |cell| _ = cell.fetch_or(bits),
            |cell| _ = cell.fetch_or(bits, Ordering::SeqCst));
    };
    (@pair $word:ident, $ours:ident, $name:literal, $args:tt $(-> $result:ty)?,
     |$cell:ident| $our_body:expr, |$native:ident| $twin_body:expr) => {
        pair!(concat!($name, "_", stringify!($word)), $args $(-> $result)?,
            |$cell: &$ours| $our_body, |$native: &native::$ours| $twin_body);
    };
}

word!(u32, AtomicU32);
word!(u64, AtomicU64);

/// Two words on which a barrier is tried.
type Two = [AtomicU64; 2];
type NativeTwo = [native::AtomicU64; 2];

pair! { "smp_mb", (value: u64) -> u64,
    |cells: &Two| {
        cells[0].write_once(value);
        smp_mb();
        cells[1].read_once()
    },
    |cells: &NativeTwo| {
        cells[0].store(value, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        cells[1].load(Ordering::Relaxed)
    },
}
pair! { "smp_mb_after_atomic", (value: u64) -> u64,
    |cells: &Two| {
        cells[0].fetch_add(value);
        smp_mb_after_atomic();
        cells[1].read_once()
    },
    |cells: &NativeTwo| {
        cells[0].fetch_add(value, Ordering::SeqCst);
        compiler_fence(Ordering::SeqCst);
        cells[1].load(Ordering::Relaxed)
    },
}
pair! { "smp_rmb", () -> (u64, u64),
    |cells: &Two| {
        let first = cells[0].read_once();
        smp_rmb();
        (first, cells[1].read_once())
    },
    |cells: &NativeTwo| {
        let first = cells[0].load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        (first, cells[1].load(Ordering::Relaxed))
    },
}
pair! { "smp_wmb", (value: u64),
    |cells: &Two| {
        cells[0].write_once(value);
        smp_wmb();
        cells[1].write_once(value);
    },
    |cells: &NativeTwo| {
        cells[0].store(value, Ordering::Relaxed);
        fence(Ordering::Release);
        cells[1].store(value, Ordering::Relaxed);
    },
}

// The control: a release store is a plain store on x86-64, a sequentially consistent one is not.
pair! { "differs", (value: u64),
    |cell: &AtomicU64| cell.store_release(value),
    |cell: &native::AtomicU64| cell.store(value, Ordering::SeqCst),
}
