//! Each operation of `pinfold::sync` beside the same thing in `core::sync::atomic`: `check.sh`
//! compares what they are compiled to.
//!
//! - A pair is two functions, `ours_<name>` and `twin_<name>`, with the same arguments. They must
//!   become the same instructions.
//! - A barrier is compiled between two accesses: by itself it may be nothing, and nothing is like
//!   anything.
//! - The pair `differs` must not be the same. If the comparison cannot tell it apart, it cannot
//!   tell anything.
//!
//! [`whole`] makes the compiler emit the memory manager too, in which there must be no trace of the
//! explorer.

/// Two functions that must be compiled to the same.
macro_rules! pair {
    (
        $name:expr, ($($arg:ident: $type:ty),*) $(-> $result:ty)?,
        |$cell:ident: &$ours:ty| $our_body:expr,
        |$native:ident: &$twin:ty| $twin_body:expr $(,)?
    ) => {
        const _: () = {
            #[unsafe(export_name = concat!("ours_", $name))]
            pub fn ours($cell: &$ours $(, $arg: $type)*) $(-> $result)? {
                $our_body
            }
            #[unsafe(export_name = concat!("twin_", $name))]
            pub fn twin($native: &$twin $(, $arg: $type)*) $(-> $result)? {
                $twin_body
            }
        };
    };
}

mod locks;
mod words;

use pinfold::mock::Host;
use pinfold::{
    Access, AddressSpace, Advice, Cause, Limits, Memory, NodeId, NodeSpan, Pfn, Place, Prot, Rules,
    Sharing, Term, Tuning, X86_64,
};

/// Reaches every operation of an address space; whether all went well.
#[unsafe(no_mangle)]
pub fn whole() -> bool {
    all().is_some()
}

fn all() -> Option<()> {
    let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: 64 };
    let host = Host::<X86_64>::new(64);
    // SAFETY: the host was made for this span.
    let memory = unsafe { Memory::new(host, &[span], Rules::default(), Tuning::default()) }.ok()?;
    let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>()).ok()?;
    let range = space.map(Place::Anywhere, 2, Prot::READ_WRITE, Sharing::Private).ok()?;
    space.fault(range.start(), Cause::Store).ok()?;
    let pins = space.pin(range, Access::Write, Term::Long).ok()?;
    let refs = space.get(range, Access::Read).ok()?;
    let child = space.fork().ok()?;
    space.numa_scan(range);
    space.migrate(range, NodeId(0));
    child.protect(range, Prot::READ).ok()?;
    child.advise(range, Advice::DontNeed).ok()?;
    drop((pins, refs));
    space.unmap(range).ok()
}
