//! What this process knows of itself, and asks for those that it starts.
#![allow(unsafe_code)]

use std::path::PathBuf;
use std::process::Command;

/// The shared libraries of this process, as its loader found them.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn libraries() -> Vec<PathBuf> {
    use std::ffi::{CStr, OsStr, c_int, c_void};
    use std::os::unix::ffi::OsStrExt;

    unsafe extern "C" fn note(
        found: *mut libc::dl_phdr_info,
        _: libc::size_t,
        all: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader passes a description with a name that ends, and the list below.
        unsafe {
            let name = CStr::from_ptr((*found).dlpi_name);
            let path = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
            // The program itself has no name, and what the kernel maps has no file.
            if path.is_absolute() {
                (*all.cast::<Vec<PathBuf>>()).push(path);
            }
        }
        0
    }
    let mut all: Vec<PathBuf> = Vec::new();
    // SAFETY: the list outlives the call, and nobody else knows it.
    unsafe {
        libc::dl_iterate_phdr(Some(note), (&raw mut all).cast());
    }
    all
}

/// Has the program killed when the thread that starts it ends.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    let ask = || {
        // SAFETY: a call that concerns the child only and takes no lock.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec it makes one system call.
    unsafe {
        command.pre_exec(ask);
    }
}

/// The shared libraries, which only a system that has the agent can tell.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn libraries() -> Vec<PathBuf> {
    Vec::new()
}

/// Nothing, on a system that cannot be asked for that.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn die_with_parent(_: &mut Command) {}
