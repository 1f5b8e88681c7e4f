//! Steps on the memory of another process, in numbers.

use super::Names;
use crate::resolved::{Act, Remote, Unresolved};
use crate::scenario::{Peek, Poke};

impl Names {
    /// `vm-read` and `ptrace-read`.
    pub(super) fn remote_load(&self, by: Remote, peek: &Peek) -> Result<Act, Unresolved> {
        let process = self.process(&peek.process.value)?;
        let (expect, register) = (peek.expect.as_ref(), peek.register.as_ref());
        Ok(Act::RemoteLoad {
            by,
            process,
            from: self.spot(process, &peek.from)?,
            expect: expect.map(|word| self.word(&word.value)).transpose()?,
            register: register.map(|name| self.register(name)).transpose()?,
        })
    }

    /// `vm-write` and `ptrace-write`.
    pub(super) fn remote_store(&self, by: Remote, poke: &Poke) -> Result<Act, Unresolved> {
        let process = self.process(&poke.process.value)?;
        let (to, word) = (self.in_memory(process, &poke.to)?, self.word(&poke.word.value)?);
        Ok(Act::RemoteStore(by, process, to, word))
    }
}
