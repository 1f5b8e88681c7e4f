//! What the steps in numbers are about: pages, words of pages, and what a monitor does.

use pinfold::UffdMode;
use serde::{Deserialize, Serialize};

use crate::scenario::{Access, Force, Path, Status, UffdReason, UffdWord, UffdWp};

/// Pages of an area or of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pages {
    /// The area or the file.
    pub area: usize,
    /// The first page, counted from the start of the area or file.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// What direct I/O moves at one of its ends, or what a process writes of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Part {
    /// Pages of an area or of a file.
    pub pages: Pages,
    /// The word of the only page, if it is no more than that; of another process, word 0 of each
    /// page unless it is one.
    #[serde(default)]
    pub word: Option<u32>,
}

/// How a process reaches the memory of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remote {
    /// process_vm_readv and process_vm_writev.
    ProcessVm,
    /// As a debugger.
    Ptrace,
}

/// One word of one page of an area, a handle or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Spot {
    /// The area, the handle or the file.
    pub of: usize,
    /// The page of it.
    pub page: u32,
    /// The word in the page.
    pub word: u32,
}

/// Which pages of a file an area shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Shown {
    /// The file.
    pub file: usize,
    /// The page of the file that is page 0 of the area.
    pub from: u32,
}

/// What `pin` and `get` have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Take {
    /// Which pages.
    pub pages: Pages,
    /// What their holder is going to do.
    pub access: Access,
    /// Whether missing rights of the process are overridden.
    pub force: Force,
    /// Which paths are tried.
    pub path: Path,
    /// How many references are taken on each page.
    pub times: u32,
    /// The handle that results.
    pub handle: usize,
}

/// What became of pages that were to move, or must: the number of each one's status, four bits for
/// a page. An area has fewer pages than there is room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Statuses(u64);

impl Statuses {
    const BITS: u32 = 4;

    /// Of pages in their order.
    pub fn of(each: impl IntoIterator<Item = Status>) -> Self {
        let number = |status| Status::ALL.iter().position(|known| *known == status).unwrap_or(0);
        let places = (0..u64::BITS).step_by(Self::BITS as usize);
        Self(places.zip(each).map(|(at, status)| (number(status) as u64 + 1) << at).sum())
    }

    /// What so many pages must have become, of which either each has its status, or all have one.
    pub(super) fn expected(each: &[Status], pages: u32) -> Option<Self> {
        match each {
            [] => None,
            [one] => Some(Self::of(std::iter::repeat_n(*one, pages as usize))),
            each => Some(Self::of(each.iter().copied())),
        }
    }

    /// As a number that is another for other statuses.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Those that such a number stands for.
    pub fn of_number(number: u64) -> impl Iterator<Item = Status> {
        let places = (0..u64::BITS).step_by(Self::BITS as usize);
        places.map_while(move |at| {
            let index = (number >> at & 0xf).checked_sub(1)?;
            Status::ALL.get(index as usize).copied()
        })
    }
}

/// What a step does with a userfaultfd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UffdAct {
    /// `uffd-register`: the pages, and the bits of [`pinfold::UffdMode`].
    Register(Pages, u8),
    /// `uffd-unregister`
    Unregister(Pages),
    /// `uffd-copy`: the word at the spot.
    Copy(Spot, u64, UffdWp),
    /// `uffd-zero`
    Zero(Spot),
    /// `uffd-continue`
    Continue(Spot, UffdWp),
    /// `uffd-protect`
    Protect(Pages),
    /// `uffd-unprotect`
    Unprotect(Pages),
    /// `uffd-wait`
    Wait(Spot, UffdReason),
}

/// The bits that these words stand for.
pub(crate) fn uffd_mode(words: impl Iterator<Item = UffdWord>) -> UffdMode {
    let bit = |word| match word {
        UffdWord::Missing => UffdMode::MISSING,
        UffdWord::Wp => UffdMode::WP,
        UffdWord::Minor => UffdMode::MINOR,
        UffdWord::Unpopulated => UffdMode::WP_UNPOPULATED,
        UffdWord::EventFork => UffdMode::EVENT_FORK,
        UffdWord::EventRemap => UffdMode::EVENT_REMAP,
    };
    words.map(bit).collect()
}
