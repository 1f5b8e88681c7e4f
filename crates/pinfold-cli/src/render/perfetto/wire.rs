//! The few forms of protobuf's wire format that a trace needs: varints, 64-bit words, and bytes
//! with their length.
//!
//! A writer of 60 lines instead of a code generator: a trace has five messages, whose fields'
//! numbers stand in `perfetto.rs`.

/// A message under construction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message(Vec<u8>);

/// How a value is written, in the low bits of its key.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
}

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u32, wire: Wire) {
        self.varint(u64::from(field) << 3 | wire as u64);
    }

    /// A number that is not negative; also an enumeration or a truth value.
    pub(super) fn number(mut self, field: u32, value: u64) -> Self {
        self.key(field, Wire::Varint);
        self.varint(value);
        self
    }

    /// A word of 64 bits.
    pub(super) fn fixed(mut self, field: u32, value: u64) -> Self {
        self.key(field, Wire::Fixed64);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u32, bytes: &[u8]) -> Self {
        self.key(field, Wire::Bytes);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    /// A text.
    pub(super) fn text(self, field: u32, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    /// A message in this one.
    pub(super) fn message(self, field: u32, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }

    /// Adds the fields of `other` behind those that are there.
    pub(super) fn extend(&mut self, other: Message) {
        self.0.extend(other.0);
    }

    /// The message as it stands in a file.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(message: Message) -> Vec<u8> {
        message.into_bytes()
    }

    /// The examples of the format's description (protobuf.dev/programming-guides/encoding).
    #[test]
    fn values_are_written_as_the_format_says() {
        assert_eq!(bytes(Message::default().number(1, 150)), [0x08, 0x96, 0x01]);
        let text = [&[0x12, 0x07][..], b"testing"].concat();
        assert_eq!(bytes(Message::default().text(2, "testing")), text);
        let inner = Message::default().number(1, 150);
        assert_eq!(bytes(Message::default().message(3, &inner)), [0x1a, 0x03, 0x08, 0x96, 0x01]);
    }

    #[test]
    fn edges_of_varints_and_words() {
        assert_eq!(bytes(Message::default().number(1, 0)), [0x08, 0x00]);
        assert_eq!(bytes(Message::default().number(1, 127)), [0x08, 0x7f]);
        assert_eq!(bytes(Message::default().number(1, 128)), [0x08, 0x80, 0x01]);
        let most = [&[0x08][..], &[0xff; 9], &[0x01]].concat();
        assert_eq!(bytes(Message::default().number(1, u64::MAX)), most);
        // A field above 15 takes two bytes of key.
        assert_eq!(bytes(Message::default().fixed(47, 1)), [0xf9, 0x02, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes(Message::default().text(1, "")), [0x0a, 0x00]);
    }
}
