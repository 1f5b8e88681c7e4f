//! Steps on the memory of another process.

use pinfold_lab::resolved::{Part, Remote, Spot};
use pinfold_lab::scenario::Failure;

use super::Cast;
use crate::inside::sys::Errno;
use crate::inside::sys::remote::{Unreached, peek, poke, vm_read, vm_write};
use crate::job::Did;

impl Cast {
    /// `vm-read` and `ptrace-read`
    pub(super) fn remote_load(
        &self,
        (by, process): (Remote, usize),
        from: Spot,
        register: Option<usize>,
    ) -> Result<Did, Errno> {
        let (id, address) = (self.there(process)?, self.address(process, from)?);
        let found = match by {
            Remote::ProcessVm => vm_read(id, address),
            Remote::Ptrace => peek(id, address),
        };
        match found {
            Ok(word) => Ok(self.found(Ok(word), register)),
            Err(why) => told(why),
        }
    }

    /// `vm-write` and `ptrace-write`: a word of each page, up to one that fails.
    pub(super) fn remote_store(
        &self,
        (by, process): (Remote, usize),
        to: Part,
        word: u64,
    ) -> Result<Did, Errno> {
        let id = self.there(process)?;
        let (of, own) = (to.pages.area, to.word.unwrap_or(0));
        for page in to.pages.first..to.pages.first + to.pages.count {
            let address = self.address(process, Spot { of, page, word: own })?;
            let done = match by {
                Remote::ProcessVm => vm_write(id, address, word),
                Remote::Ptrace => poke(id, address, word),
            };
            if let Err(why) = done {
                return told(why);
            }
        }
        Ok(Did::Worked(0))
    }

    /// The number of a process that was forked.
    fn there(&self, process: usize) -> Result<i32, Errno> {
        self.board.process(process).ok_or(libc::ESRCH)
    }
}

fn told(why: Unreached) -> Result<Did, Errno> {
    match why {
        Unreached::Exited => Ok(Did::Failed(Failure::Exited)),
        Unreached::NoAccess => Ok(Did::Failed(Failure::NoAccess)),
        Unreached::Error(number) => Err(number),
    }
}
