//! Content hashes for report ids.
//!
//! The value must be the same on every machine and in every release, so the function is spelled
//! out here rather than borrowed from a hasher that promises no stability. It is FNV-1a over 64
//! bits followed by an avalanche step; ids guard against confusion, not against an adversary.

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;
const LETTERS: usize = 7;

/// Lower-case base32 without the letters that are easily misread (i, l, o, u).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The id of `parts`: seven base32 letters of a stable hash.
///
/// Where one part ends and the next begins counts, so moving text from one to the other
/// changes the id.
pub fn id(parts: &[&str]) -> String {
    let mut hash = OFFSET;
    for part in parts {
        let length = (part.len() as u64).to_le_bytes();
        for &byte in length.iter().chain(part.as_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        }
    }
    let mut bits = avalanche(hash);
    let mut letters = String::with_capacity(LETTERS);
    for _ in 0..LETTERS {
        // The mask keeps the index below the alphabet's 32 letters.
        letters.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
    letters
}

/// Spreads every input bit over the low bits, which FNV alone mixes weakly.
fn avalanche(mut bits: u64) -> u64 {
    bits ^= bits >> 32;
    bits = bits.wrapping_mul(0xd6e8_feb8_6659_fd93);
    bits ^= bits >> 32;
    bits = bits.wrapping_mul(0xd6e8_feb8_6659_fd93);
    bits ^ (bits >> 32)
}
