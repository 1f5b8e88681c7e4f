//! Page-table entries as values: what an entry says ([`Pte`]), and which bits the hardware expects
//! for that ([`Format`]). Nothing here knows where an entry lies; that is the tables' part.

mod aarch64;
mod entry;
mod format;
mod riscv64;
mod x86;

pub use aarch64::{Aarch64, Armv8, SmallAarch64};
pub use entry::{Entry, Migration, MigrationKind, Pte, Swap};
pub use format::{BitChange, Format, Match, Reach};
pub use riscv64::{Riscv64, SmallRiscv64, SmallRiscv64Rsw, Sv39, Sv39Rsw, Sv48, Sv48Rsw};
pub use x86::{Small, X86, X86_64, X86_64La57};

#[cfg(test)]
mod tests;
