//! The memory that a call names.

use super::super::value::Value;
use super::Call;

/// Memory that a call names: where it is, if the recording shows that, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Buffer {
    pub(super) address: Option<u64>,
    pub(super) bytes: u64,
}

/// The buffer of read(2) and its kin.
pub(super) fn plain(call: &Call<'_>) -> Buffer {
    let address = call.number(1);
    let bytes = call.number(2).unwrap_or(0);
    Buffer { address, bytes }
}

/// The buffers of a vector.
pub(super) fn vector(value: Option<&Value>) -> Vec<Buffer> {
    let parts = value.map(Value::items).unwrap_or_default();
    parts.iter().filter_map(part).filter(|buffer| buffer.bytes > 0).collect()
}

fn part(part: &Value) -> Option<Buffer> {
    let bytes = part.field("iov_len")?.number()?;
    Some(Buffer { address: part.field("iov_base")?.number(), bytes })
}

/// Whether strace shows all of a vector: it cuts long ones, and shows none of a raw call's.
pub(super) fn is_shown(value: Option<&Value>) -> bool {
    match value {
        Some(Value::List(parts)) => parts.iter().all(|one| part(one).is_some()),
        Some(nothing) => nothing.number() == Some(0),
        None => false,
    }
}

/// What a call that moved so many bytes has used of its buffers.
pub(super) fn clip(buffers: &[Buffer], mut bytes: u64) -> Vec<Buffer> {
    let mut used = Vec::new();
    for buffer in buffers {
        let part = buffer.bytes.min(bytes);
        bytes -= part;
        if part > 0 {
            used.push(Buffer { address: buffer.address, bytes: part });
        }
    }
    used
}
