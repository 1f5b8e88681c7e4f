//! The CPUs on which a thread runs.

/// Keeps this thread on a CPU; nothing happens where that is not allowed.
pub(in crate::inside) fn stay_on(cpu: usize) {
    // SAFETY: concerns this thread only; all zeroes are a valid set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu % libc::CPU_SETSIZE as usize, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// The CPUs that this thread may use.
pub(in crate::inside) fn own_cpus() -> Vec<usize> {
    // SAFETY: fills the set in.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set);
        set
    };
    // SAFETY: the numbers are those that the set has.
    let has = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &set) };
    (0..libc::CPU_SETSIZE as usize).filter(has).collect()
}
