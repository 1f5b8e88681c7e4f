//! What direct I/O has carried between memory and files, as the oracles ask for it.
//!
//! A direct read fills memory of a process, which must find the words there at the end, unless it
//! gave the memory up, or something else was put in their place. Steps note what they have put
//! where. Of the lane's own steps, and of those that run alone, the later ones put something in
//! place of what a read has brought. Of other lanes' steps each may have, whenever it was: a store
//! may reach memory after what began when its step was over. So a read of a word to which another
//! lane stores promises nothing of it.

use std::collections::BTreeSet;

use pinfold::{SpaceId, VirtRange};

/// Words that were put into memory, and those that were in files and in memory.
#[derive(Default)]
pub(crate) struct Carried {
    /// In the order in which they were noted.
    puts: Vec<Put>,
    /// The words that have gone either way: they are in files, so that anybody may come to have
    /// them.
    words: BTreeSet<u64>,
}

/// A word of an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) space: SpaceId,
    pub(crate) page: u64,
    pub(crate) word: usize,
}

/// Something that was put into a word.
struct Put {
    at: Spot,
    /// The lane whose step it was; none for one that ran alone.
    lane: Option<usize>,
    brought: Option<Brought>,
}

/// A word that a direct read has brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brought {
    pub(crate) value: u64,
    /// How many zaps there had been when the read began.
    pub(crate) zaps: u64,
}

impl Carried {
    /// A step has stored something there.
    pub(crate) fn put(&mut self, at: Spot, lane: Option<usize>) {
        self.puts.push(Put { at, lane, brought: None });
    }

    /// A direct read has brought a word there.
    pub(crate) fn bring(&mut self, at: Spot, lane: Option<usize>, brought: Brought) {
        self.puts.push(Put { at, lane, brought: Some(brought) });
    }

    /// Direct I/O carries a word.
    pub(crate) fn carry(&mut self, value: u64) {
        self.words.insert(value);
    }

    /// Whether direct I/O has carried this word, whoever stored it.
    pub(crate) fn has(&self, value: u64) -> bool {
        self.words.contains(&value)
    }

    /// Pages have moved, with what is in them.
    pub(crate) fn moved(&mut self, space: SpaceId, from: VirtRange, to: VirtRange) {
        let pages = from.first_page().0..from.end_page().0;
        for put in &mut self.puts {
            if put.at.space == space && pages.contains(&put.at.page) {
                put.at.page = put.at.page - pages.start + to.first_page().0;
            }
        }
    }

    /// The words that reads have brought, and that nothing may have taken the place of.
    pub(crate) fn due(&self) -> impl Iterator<Item = (Spot, Brought)> {
        self.puts.iter().enumerate().filter_map(|(index, put)| {
            let brought = put.brought?;
            let in_place = |(other, with): (usize, &Put)| {
                let beside = with.lane.is_some() && put.lane.is_some() && with.lane != put.lane;
                with.at == put.at && (other > index || beside)
            };
            (!self.puts.iter().enumerate().any(in_place)).then_some((put.at, brought))
        })
    }
}
