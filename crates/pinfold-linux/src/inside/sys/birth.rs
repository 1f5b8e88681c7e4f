//! Processes that begin, end, and become others.

use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use super::{Errno, checked, errno, memory_file};

/// On which side of a fork we are.
pub(in super::super) enum Forked {
    /// The parent, with the child's number.
    Parent(i32),
    /// The child.
    Child,
}

/// Makes a child with a copy of this thread alone.
pub(in super::super) fn fork() -> Result<Forked, Errno> {
    // SAFETY: the child goes on in code that needs no other thread (INV-SYS-2), and starts threads
    // of its own, for which glibc keeps its heap usable in a child. It ends by `exit_now`.
    match checked(unsafe { libc::fork() })? {
        0 => Ok(Forked::Child),
        child => Ok(Forked::Parent(child as i32)),
    }
}

/// Bytes of the stack of a process in its parent's address space.
const STACK: usize = 256 * 1024;

/// Makes a child in the address space of this process, which carries out `life` and ends. Sleeps
/// until the child has ended or executed another program: vfork(2), on a stack of its own.
pub(in super::super) fn borrow(life: &mut dyn FnMut()) -> Result<(), Errno> {
    extern "C" fn begin(life: *mut c_void) -> c_int {
        // SAFETY: what `borrow` passes; its thread sleeps meanwhile.
        let life = unsafe { &mut *life.cast::<&mut dyn FnMut()>() };
        life();
        exit_now()
    }
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
    let mut life = life;
    // SAFETY: the stack is a fresh mapping, and is unmapped when nobody runs on it. The child has
    // what a thread has for itself of this thread, which sleeps as long as the child is here
    // (CLONE_VFORK), so that the two never use it at the same time.
    unsafe {
        let stack = libc::mmap(ptr::null_mut(), STACK, rights, kind, -1, 0);
        if stack == libc::MAP_FAILED {
            return Err(errno());
        }
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let top = stack.byte_add(STACK);
        let made = checked(libc::clone(begin, top, flags, (&raw mut life).cast()));
        libc::munmap(stack, STACK);
        made.map(drop)
    }
}

/// The smallest program: it ends at once.
const PROGRAM: [u8; 129] = {
    let mut program = [0; 129];
    let words: [(usize, u64); 12] = [
        // ELF, 64 bits, little endian, version 1.
        (0, 0x0001_0102_464c_457f),
        // An executable for x86-64, version 1.
        (16, 0x0000_0001_003e_0002),
        // Where it begins, and where its program header is.
        (24, 0x40_0078),
        (32, 64),
        // The sizes of the two headers, and that there is one of the latter.
        (48, 0x0038_0040_0000_0000),
        (56, 1),
        // To be loaded, readable and executable: the whole file, at this address.
        (64, 0x0000_0005_0000_0001),
        (80, 0x40_0000),
        (88, 0x40_0000),
        (96, 129),
        (104, 129),
        (112, 0x1000),
    ];
    let mut at = 0;
    while at < words.len() {
        let (start, bytes) = (words[at].0, words[at].1.to_le_bytes());
        let mut byte = 0;
        while byte < 8 {
            program[start + byte] = bytes[byte];
            byte += 1;
        }
        at += 1;
    }
    // mov eax, 60; xor edi, edi; syscall: exit(0).
    let code = [0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05];
    let mut byte = 0;
    while byte < code.len() {
        program[120 + byte] = code[byte];
        byte += 1;
    }
    program
};

/// Has this process execute a program that ends at once. Returns only why it could not.
pub(in super::super) fn execute() -> Errno {
    let file = match memory_file() {
        Ok(file) => file,
        Err(why) => return why.raw_os_error().unwrap_or(libc::EIO),
    };
    let descriptor = file.as_fd().as_raw_fd();
    let arguments = [c"pinfold".as_ptr(), ptr::null()];
    let nothing = [ptr::null::<libc::c_char>()];
    // SAFETY: the buffer is as long as said; the lists end as execveat wants, which only reads them
    // and, if it succeeds, leaves nothing of this program in this process.
    unsafe {
        let put = libc::write(descriptor, PROGRAM.as_ptr().cast(), PROGRAM.len());
        if put != PROGRAM.len() as isize {
            return if put < 0 { errno() } else { libc::EIO };
        }
        libc::syscall(
            libc::SYS_execveat,
            descriptor,
            c"".as_ptr(),
            arguments.as_ptr(),
            nothing.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    errno()
}

/// Ends this process with all its threads, at once.
pub(in super::super) fn exit_now() -> ! {
    // SAFETY: runs nothing of this program any more.
    unsafe { libc::_exit(0) }
}
