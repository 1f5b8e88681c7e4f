//! Of what size an area's pages are, and which huge ones of the pool are promised to it.
//!
//! Protocol: a mapping of huge pages is promised each of its pages when it is made, and has a bit
//! for each. The first touch of a page takes the bit, while the lock of the page's upper table lets
//! no other fault in ([`crate::hugetlb`]); an unmap takes those that are left, when nothing else
//! uses the area. Parts of an area that is cut have the bits in common; a child's area has them,
//! too, but they are its parent's.
//!
//! INV-PROMISE-1: the pool counts as many promises as mappings have bits.

use alloc::vec::Vec;

use crate::addr::{SpaceId, VirtRange, Vpn};
use crate::error::NoMemory;
use crate::sync::{AtomicU64, Shared};

/// Of what size an area's pages are.
#[derive(Clone)]
pub(crate) enum PageSize {
    /// Pages, and folios of them: whatever a fault takes.
    Base,
    /// Huge pages of the pool alone, mapped whole; what was promised to the mapping, of which a
    /// child's area is one, too.
    Huge(Shared<Promises>),
}

impl PageSize {
    /// What was promised to the mapping, if it is `space` that made it.
    pub(crate) fn promised_to(&self, space: SpaceId) -> Option<&Promises> {
        match self {
            Self::Base => None,
            Self::Huge(promises) => Some(&**promises).filter(|promises| promises.owner == space),
        }
    }

    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Base, Self::Base) => true,
            (Self::Huge(a), Self::Huge(b)) => a.same(b),
            _ => false,
        }
    }
}

/// Which pages of a mapping are promised to the address space that made it: a bit for each.
pub(crate) struct Promises {
    owner: SpaceId,
    first: Vpn,
    /// log2 of the pages that one is as large as.
    order: u32,
    words: Vec<AtomicU64>,
}

const BITS: u64 = u64::BITS as u64;

impl Promises {
    /// All pages of `range`, each as large as `1 << order`, are promised to `owner`.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn all(
        owner: SpaceId,
        range: VirtRange,
        order: u32,
    ) -> Result<Shared<Self>, NoMemory> {
        let pages = range.pages() >> order;
        let mut words = Vec::new();
        let count = usize::try_from(pages.div_ceil(BITS)).map_err(|_| NoMemory)?;
        words.try_reserve_exact(count).map_err(|_| NoMemory)?;
        words.extend((0..count as u64).map(|word| {
            let left = pages - word * BITS;
            AtomicU64::new(if left >= BITS { u64::MAX } else { (1 << left) - 1 })
        }));
        Shared::try_new(Self { owner, first: range.first_page(), order, words })
    }

    /// Whether the page was promised; from now on it is not.
    pub(crate) fn take(&self, page: Vpn) -> bool {
        let at = (page - self.first) >> self.order;
        let bit = 1 << (at % BITS);
        self.words[(at / BITS) as usize].fetch_and(!bit) & bit != 0
    }

    /// Takes back all that are left in `range`; how many.
    pub(crate) fn take_all(&self, range: VirtRange) -> u64 {
        let firsts = (range.first_page().0..range.end_page().0).step_by(1 << self.order);
        firsts.filter(|page| self.take(Vpn(*page))).count() as u64
    }
}
