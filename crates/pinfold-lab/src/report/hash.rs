//! Content hashes for report ids.
//!
//! The value must be the same on every machine and in every release, so it is a [`StableHasher`]'s,
//! followed by an avalanche step; ids guard against confusion, not against an adversary.

use std::hash::Hasher;

use pinfold_explore::StableHasher;

const LETTERS: usize = 7;

/// Lower-case base32 without the letters that are easily misread (i, l, o, u).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The id of `parts`: seven base32 letters of a stable hash.
///
/// Where one part ends and the next begins matters, so moving text from one part to another changes
/// the id.
pub fn id(parts: &[&str]) -> String {
    let mut hash = StableHasher::default();
    for part in parts {
        hash.write_u64(part.len() as u64);
        hash.write(part.as_bytes());
    }
    let mut bits = avalanche(hash.finish());
    let mut letters = String::with_capacity(LETTERS);
    for _ in 0..LETTERS {
        // The mask keeps the index below the alphabet's 32 letters.
        letters.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
    letters
}

/// The content hash of a text: 16 hexadecimal digits of a [`StableHasher`] over its bytes.
///
/// Texts of equal length that differ in one byte never have the same hash: every step of the hash
/// is a bijection of its state. Other differences escape it with a probability of 2^-64. Who
/// changes a text on purpose can change its hash, too.
pub fn content_hash(text: &str) -> String {
    let mut hash = StableHasher::default();
    hash.write(text.as_bytes());
    format!("{:016x}", hash.finish())
}

/// Spreads every input bit over the low bits, which FNV alone mixes weakly.
fn avalanche(mut bits: u64) -> u64 {
    bits ^= bits >> 32;
    bits = bits.wrapping_mul(0xd6e8_feb8_6659_fd93);
    bits ^= bits >> 32;
    bits = bits.wrapping_mul(0xd6e8_feb8_6659_fd93);
    bits ^ (bits >> 32)
}
