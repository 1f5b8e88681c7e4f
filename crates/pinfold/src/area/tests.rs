use std::string::ToString;

use super::*;

#[test]
fn a_protection_reads_back_as_it_is_displayed() {
    for bits in 0..8 {
        let prot = Prot::from_bits_truncate(bits);
        assert_eq!(prot.to_string().parse(), Ok(prot), "{prot}");
    }
    assert_eq!(Prot::READ_WRITE.to_string(), "rw-");
    for text in ["", "rw", "rw-p", "wr-", "RW-", "r x"] {
        assert_eq!(text.parse::<Prot>(), Err(ParseProtError), "{text}");
    }
}
