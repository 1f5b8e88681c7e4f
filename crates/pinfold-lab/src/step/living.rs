//! Steps that make processes and end them.

use std::rc::Rc;

use pinfold_explore::hook::{self, Mode};

use super::{Done, gone};
use crate::spaces::{Home, Inhabited};
use crate::waits::Awaited;
use crate::world::{Process, State, World};

impl World {
    /// A child with a copy of the address space.
    pub(super) fn fork(&self, parent: &str, child: &str) -> Done {
        let space = self.live(parent)?;
        let forked = self.inhabited(space.fork()?)?;
        let born = self.state.borrow_mut().fork();
        let mut home = self.at_home(parent, |home| home.clone())?;
        home =
            Home { name: child.to_owned(), born, parent: Some(space.id()), shared: false, ..home };
        for (name, area) in home.areas.iter() {
            self.watch(child, name, &forked, area.range);
        }
        let cpu = self.with(parent, |process| process.cpu)?;
        let mut state = self.state.borrow_mut();
        state.homes.insert(forked.id(), home);
        let process = Process { home: forked.id(), space: Some(forked), cpu };
        state.processes.insert(child, process);
        Ok(None)
    }

    /// A child in the same address space: clone(2) with CLONE_VM, and vfork(2), whose lane waits
    /// afterwards. Nothing in the address space changes (facts 2.1).
    pub(super) fn clone(&self, parent: &str, child: &str) -> Done {
        let space = self.live(parent)?.join();
        self.at_home(parent, |home| home.shared = true)?;
        let cpu = self.with(parent, |process| process.cpu)?;
        let process = Process { home: space.id(), space: Some(space), cpu };
        self.state.borrow_mut().processes.insert(child, process);
        Ok(None)
    }

    /// Ends a process. Its address space goes when no process is in it any more.
    pub(super) fn exit(&self, process: &str) -> Done {
        let alone = self.exit_locks.take(process, Mode::Exclusive);
        let space = self.with(process, |process| process.space.take())?;
        // Who uses it last takes it down.
        hook::saw(space.as_ref().map_or(0, Rc::strong_count) as u64);
        drop(alone);
        self.left(process, space.ok_or_else(|| gone(process))?)
    }

    /// Gives a process an address space of its own with nothing in it. As in execve(2), the new one
    /// is made first: if that fails, the old one is still there.
    pub(super) fn exec(&self, process: &str) -> Done {
        let old = self.live(process)?;
        let space = self.new_space()?;
        space.join_as(&old);
        drop(old);
        let id = space.id();
        self.state.borrow_mut().homes.insert(id, Home::empty(process));
        let space = Some(self.inhabited(space)?);
        let alone = self.exit_locks.take(process, Mode::Exclusive);
        let old = self.with(process, |process| {
            process.home = id;
            std::mem::replace(&mut process.space, space)
        })?;
        hook::saw(old.as_ref().map_or(0, Rc::strong_count) as u64);
        drop(alone);
        self.left(process, old.ok_or_else(|| gone(process))?)
    }

    /// A process has left an address space. Who waits for that in it, as vfork's parent does, goes
    /// on before it is taken down, as in Linux.
    fn left(&self, process: &str, space: Rc<Inhabited>) -> Done {
        self.waits.happen(&Awaited::Left(process.to_owned()));
        let (shared, inhabited) = {
            let state = self.state.borrow();
            let home = state.homes.get(&space.id());
            (home.is_some_and(|home| home.shared), state.space(space.id()).is_some())
        };
        if !inhabited {
            self.machine().record().unwatch(self.machine().lane(), space.id(), None);
        }
        space.leave(shared);
        Ok(None)
    }
}

impl State {
    /// A fork ends. Returns its number.
    fn fork(&mut self) -> u64 {
        self.clock += 1;
        self.forks()
    }
}
