//! Descriptors that go from one process to another with a message, and tables of descriptors that a
//! thread stops to share.

use super::super::gap::Gap;
use super::super::value::Value;
use super::{Call, Tracker};

/// The descriptors of a message.
fn rights(head: &Value) -> Vec<u64> {
    let parts = head.field("msg_control").map(Value::items).unwrap_or_default();
    let passes =
        |part: &&Value| part.field("cmsg_type").is_some_and(|kind| kind.is("SCM_RIGHTS", 1));
    let data = parts.iter().filter(passes).filter_map(|part| part.field("cmsg_data"));
    data.flat_map(Value::items).filter_map(Value::number).collect()
}

impl Tracker {
    /// socketpair: what is sent to one end comes out at the other.
    pub(super) fn pair(&mut self, thread: usize, call: &Call<'_>) {
        let ends: Vec<u64> = (call.arg(3).map(Value::items).unwrap_or_default().iter())
            .filter_map(Value::number)
            .collect();
        if let [one, other] = ends[..] {
            let cloexec = call.has(1, "SOCK_CLOEXEC", 0x80000);
            self.files.pair(self.living[&thread].files, (one, other), cloexec);
        }
    }

    /// A message with descriptors goes out.
    pub(super) fn pass(&mut self, thread: usize, fd: u64, head: &Value) {
        let sent = rights(head);
        if !sent.is_empty() {
            self.files.pass(self.living[&thread].files, fd, &sent);
        }
    }

    /// A message comes in, perhaps with descriptors.
    pub(super) fn receive(&mut self, thread: usize, call: &Call<'_>, fd: u64, head: &Value) {
        let came = rights(head);
        let flags = if call.name == "recvmsg" { 2 } else { 3 };
        let cloexec = call.has(flags, "MSG_CMSG_CLOEXEC", 0x4000_0000);
        let table = self.living[&thread].files;
        if came.is_empty() {
            return self.plain_message(thread, call.line, fd);
        }
        let (known, ended) = self.files.receive(table, fd, &came, cloexec);
        self.end(thread, call.line, ended);
        if !known {
            self.leave("descriptors that come with a message from elsewhere", Gap::Untold);
        }
    }

    /// Bytes come in, and no descriptors.
    pub(super) fn plain_message(&mut self, thread: usize, line: u64, fd: u64) {
        let (lost, ended) = self.files.forget(self.living[&thread].files, fd);
        self.end(thread, line, ended);
        if lost {
            self.leave("descriptors of messages that are not seen to arrive", Gap::Untold);
        }
    }

    /// unshare: the thread has a table of descriptors of its own, if it asks for that. Namespaces
    /// of mounts, users and names are of no concern; numbers of processes are.
    pub(super) fn unshare(&mut self, thread: usize, call: &Call<'_>) {
        if call.has(0, "CLONE_NEWPID", 0x2000_0000) {
            self.leave("unshare with CLONE_NEWPID: numbers of processes change", Gap::Dropped);
        }
        let Some(files) = self.living.get(&thread).map(|living| living.files) else { return };
        let shared =
            |(other, living): (&usize, &super::Living)| *other != thread && living.files == files;
        if call.has(0, "CLONE_FILES", 0x400) && self.living.iter().any(shared) {
            let own = self.files.table(Some(files));
            if let Some(living) = self.living.get_mut(&thread) {
                living.files = own;
            }
        }
    }
}
