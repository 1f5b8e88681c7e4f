//! Calls that make threads and processes, and that wait for their end.
//!
//! Clone's flags are read where strace puts them: in the struct of clone3, behind `flags=` of
//! clone, or as the first argument of a raw call. Where they are not shown the child is taken for a
//! fork, and the answer is about a part.

use super::super::gap::Gap;
use super::super::log::What;
use super::super::value::Value;
use super::{Call, Living, Tracker};

impl Tracker {
    pub(super) fn fork(&mut self, thread: usize, call: &Call<'_>) {
        let Ok(pid) = u32::try_from(call.result) else { return };
        let Some(parent) = self.living.get(&thread).cloned().filter(|_| pid != 0) else { return };
        if !self.has_room() {
            return;
        }
        let flags = flags(call);
        if flags.is_none() && call.name.starts_with("clone") {
            self.leave("clone without its flags: taken for fork", Gap::Dropped);
        }
        let has = |name, bit| flags.is_some_and(|flags| flags.has(name, bit));
        let vfork = call.name == "vfork" || has("CLONE_VFORK", 0x4000);
        let shares = call.name == "vfork" || has("CLONE_VM", 0x100);
        let is_thread = has("CLONE_THREAD", 0x10000);
        let space = match shares {
            true => parent.space,
            false => {
                let own = self.spaces.get_mut(&parent.space);
                let copy = own.map(|own| {
                    own.parted = true;
                    own.child()
                });
                self.space(copy.unwrap_or_default())
            }
        };
        let files = if has("CLONE_FILES", 0x400) {
            parent.files
        } else {
            self.files.table(Some(parent.files))
        };
        let living = Living { space, files, root: parent.root };
        let child = self.thread(pid, Some((thread, is_thread)), living);
        if has("CLONE_CHILD_CLEARTID", 0x20_0000)
            && let Some(at) = told_at(call)
        {
            self.ends.insert((space, at), child);
        }
        let what = match (is_thread, vfork, shares) {
            (true, ..) => What::Thread(child),
            (_, true, true) => What::Vfork(child),
            (_, _, true) => What::Share(child),
            _ => What::Fork(child),
        };
        self.op(call.line, thread, parent.root, what);
    }

    /// A wait that returned is the end of a child only where the call says so: it may have stopped
    /// or gone on, and nobody may have been there (WNOHANG).
    pub(super) fn wait(&mut self, thread: usize, call: &Call<'_>) {
        let (pid, ended) = match call.name {
            "waitid" => {
                let told = |name| call.arg(2).and_then(|info| info.field(name));
                let over = [("CLD_EXITED", 1), ("CLD_KILLED", 2), ("CLD_DUMPED", 3)];
                let ended = told("si_code")
                    .is_some_and(|code| over.iter().any(|(name, bit)| code.is(name, *bit)));
                (told("si_pid").and_then(Value::number), ended)
            }
            _ => (Some(call.result), self.reaped(call)),
        };
        let pid = pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0 && ended);
        let child = pid.and_then(|pid| self.pids.get(&pid).copied());
        // Nobody waits for himself, whatever a recording says.
        if let Some(child) = child.filter(|child| *child != thread) {
            let root = self.living[&thread].root;
            self.op(call.line, thread, root, What::Wait(child));
        }
    }

    /// Whether wait4 or waitpid tells of an end. Without a status it does, if it waits for nothing
    /// else and nobody traces.
    fn reaped(&self, call: &Call<'_>) -> bool {
        let Some(status) = call.arg(1) else { return false };
        if status.number() == Some(0) {
            let more = call.has(2, "WUNTRACED", 2)
                || call.has(2, "WSTOPPED", 2)
                || call.has(2, "WCONTINUED", 8);
            return !more && !self.traces;
        }
        let says = |part: &Value| match part {
            Value::Word(word) => word.starts_with("WIFEXITED") || word.starts_with("WIFSIGNALED"),
            _ => false,
        };
        status.items().iter().any(|part| match part {
            Value::Struct(parts) => parts.iter().any(|(_, part)| says(part)),
            part => says(part),
        })
    }

    /// A wait for the word that the kernel clears when a thread is gone, as pthread_join makes it.
    pub(super) fn join(&mut self, thread: usize, call: &Call<'_>) {
        let waits = call.arg(1).is_some_and(|op| match op {
            Value::Word(word) => word.contains("FUTEX_WAIT"),
            _ => false,
        });
        let (space, root) = (self.living[&thread].space, self.living[&thread].root);
        let child = call.number(0).and_then(|at| self.ends.get(&(space, at)).copied());
        if let (true, Some(child)) = (waits, child.filter(|child| *child != thread)) {
            self.op(call.line, thread, root, What::Wait(child));
        }
    }
}

/// The part of this name, in whichever argument it is.
fn named<'a>(call: &Call<'a>, name: &str) -> Option<&'a Value> {
    call.args.iter().find_map(|given| given.field(name))
}

/// What clone and clone3 were told.
fn flags<'a>(call: &Call<'a>) -> Option<&'a Value> {
    let raw = call.args.first().filter(|first| call.name == "clone" && first.number().is_some());
    named(call, "flags").or(raw)
}

/// Where the kernel writes when the thread of clone or clone3 is gone.
fn told_at(call: &Call<'_>) -> Option<u64> {
    let told = named(call, "child_tid").or_else(|| named(call, "child_tidptr"));
    // A raw call has it where x86 takes it.
    told.and_then(Value::number).or_else(|| call.number(3))
}
