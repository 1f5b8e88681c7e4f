//! The words of the field, for readers who know fork and page tables and not the rest. Each is
//! explained where an execution uses it, or where the explanation of another word does.

/// A word, the texts of which any says that it is used, and what it means.
struct Term {
    name: &'static str,
    used: &'static [&'static str],
    meaning: &'static str,
}

/// The words, in an order in which each needs only those before it.
const TERMS: [Term; 40] = [
    Term {
        name: "lane",
        used: &["lane", "~"],
        meaning: "a thread of a process, or a device, with its steps. Lanes run at the same time; \
                  between any two accesses another may go on",
    },
    Term {
        name: "P:A, A[1], A.1",
        used: &["P:A"],
        meaning: "the page that process P has mapped as A; of several pages the second; of its \
                  words the second",
    },
    Term {
        name: "frame",
        used: &["f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9"],
        meaning: "a page of physical memory: f3 is the one with number 3",
    },
    Term {
        name: "anonymous",
        used: &["nonymous"],
        meaning: "of a page: what a process has stored there is in memory alone, and in no file",
    },
    Term {
        name: "entry",
        used: &["entry", " rw ", " ro "],
        meaning: "what a page table says of an address: the frame, and whether it may be written \
                  (rw) or only read (ro)",
    },
    Term {
        name: "fault",
        used: &["fault"],
        meaning: "an access that the entry does not allow: the kernel is asked, changes the \
                  entry, and the access is made again",
    },
    Term {
        name: "ref, refcount",
        used: &["ref ", "refs ", "refcount", "references"],
        meaning: "how many references keep the frame from being freed: one for each entry that \
                  maps it, and those of everybody else who uses it for a while",
    },
    Term {
        name: "pin",
        used: &[" pin ", " pins ", "pinned", "fork-pin"],
        meaning: "a reference by which a device reads and writes a frame for as long as it likes \
                  (pin_user_pages). It counts 1024 references, so that it can be told from others. \
                  Owner and device must stay on one frame: that is what pins are for",
    },
    Term {
        name: "get",
        used: &[" get ", "plain reference", "ordinary reference"],
        meaning: "an ordinary reference to a frame (get_user_pages): it keeps the frame from being \
                  freed, and promises no more",
    },
    Term {
        name: "map, mapcount",
        used: &["map ", "mapcount"],
        meaning: "how many entries map the frame: never more than its references",
    },
    Term {
        name: "copy-on-write",
        used: &["wp fault", "copy-on-write", "cow", "fork"],
        meaning: "after a fork parent and child map the same frames, read-only; who writes first \
                  gets a copy, and who is left alone may keep the frame. A write to a read-only \
                  entry of memory that may be written (a wp fault) has to decide between copying \
                  and keeping, whatever made the entry read-only",
    },
    Term {
        name: "reuse",
        used: &["reuse"],
        meaning: "of a write fault: it keeps the frame, and allows writing to it again, without a \
                  copy",
    },
    Term {
        name: "torn",
        used: &["torn"],
        meaning: "of a copy: part of it from before a write, part from after a later one",
    },
    Term {
        name: "fast walk",
        used: &["fast walk", "lock-free"],
        meaning: "of who takes a reference: he reads the page tables without any lock, and looks \
                  again once he has it; where that does not do, the slow path takes the locks",
    },
    Term {
        name: "unshare",
        used: &["unshare", "Unsharing"],
        meaning: "before a read pin is given a frame that may be shared, its process gets a copy \
                  of its own",
    },
    Term {
        name: "protnone, PROT_NONE",
        used: &["protnone", "PROT_NONE", "hint"],
        meaning: "the entry still names its frame, but nobody may use it before a fault",
    },
    Term {
        name: "node",
        used: &["node", "numa", "NUMA"],
        meaning: "memory and the CPUs that are near it",
    },
    Term {
        name: "NUMA balancing",
        used: &["numa", "NUMA", "hint"],
        meaning: "it finds out which node uses a page by taking access away now and then (a scan): \
                  the next access faults (a hinting fault), and may move the page",
    },
    Term {
        name: "folio",
        used: &["folio", "huge page", "huge entry", "tail"],
        meaning: "pages in a row that are managed as one: the first is the head, the others are \
                  tails, and references count on the head",
    },
    Term {
        name: "migration",
        used: &["migration", "migrate", "Migration"],
        meaning: "moving a page to another frame. While it lasts a migration entry stands in the \
                  page's place and remembers whether it could be written. It must find no \
                  references but those it knows, or it puts everything back",
    },
    Term {
        name: "split",
        used: &["split"],
        meaning: "a folio becomes single pages, each with the references that are its own. \
                  Meanwhile migration entries stand in their places. Who asks for it, its caller, \
                  has a reference by which it has found the page",
    },
    Term {
        name: "tail",
        used: &["a tail", "tail-refs"],
        meaning: "up to 4.4 a tail could count references by itself, beside the head, which counts \
                  them, too. A split gives them to the page that it makes of the tail, and takes \
                  them off the head; on each page it has one of its own meanwhile",
    },
    Term {
        name: "TLB",
        used: &["\n"],
        meaning: "what a CPU remembers of page tables. It goes on using that until a flush makes \
                  it forget, of one page or of several at once, even if the entry has changed: then \
                  it is stale",
    },
    Term {
        name: "zap",
        used: &["zap"],
        meaning: "taking an entry out, by unmap, MADV_DONTNEED or exit",
    },
    Term {
        name: "zero page",
        used: &["zero page"],
        meaning: "one frame of zeroes that all untouched memory is read from; it is never written",
    },
    Term {
        name: "pool",
        used: &["the pool"],
        meaning: "huge pages that are set apart in advance (hugetlb), for those who ask for them",
    },
    Term {
        name: "swap",
        used: &["swap ", "swap-", "swapped"],
        meaning: "a page is written to a device and its frame freed; a swap entry stands in its \
                  place. While it is on its way the swap cache has it, which is a reference",
    },
    Term {
        name: "LRU batch",
        used: &["batch", "lru"],
        meaning: "frames on their way to the lists from which reclaim takes: each CPU collects \
                  some, and has a reference on each until it hands them over",
    },
    Term {
        name: "file, page cache",
        used: &["writeback", "page cache", "page-cache", "file's page", "truncate"],
        meaning: "the pages of a file in memory, which processes that map it share; writeback \
                  stores those that were written",
    },
    Term {
        name: "direct I/O",
        used: &["irect I/O", "direct-io", "O_DIRECT"],
        meaning: "a file is read or written past the page cache (O_DIRECT): the device works on \
                  the process's own pages, and has references to them meanwhile",
    },
    Term {
        name: "group, charge",
        used: &["charge", "memcg"],
        meaning: "a page is charged to a memory control group, which counts what its pages are \
                  used for",
    },
    Term {
        name: "userfaultfd",
        used: &["uffd", "monitor"],
        meaning: "a monitor, another thread, is told of faults and resolves them",
    },
    Term {
        name: "exclusive",
        used: &["excl"],
        meaning: "a mark on a frame: it belongs to one process alone, so a write fault may keep \
                  it, whatever its references (PageAnonExclusive, since 5.19). Where there is no \
                  mark, references are counted as before",
    },
    Term {
        name: "longterm",
        used: &["longterm"],
        meaning: "of a pin: it may last for as long as the device likes (FOLL_LONGTERM), so its \
                  page should not be in memory from which pages must be able to move",
    },
    Term {
        name: "rule",
        used: &["rule "],
        meaning: "what releases of Linux do in different ways: its name, the way that is in force \
                  here, and the release that this came with",
    },
    Term {
        name: "never released",
        used: &["never released"],
        meaning: "of a rule's variant: no release of Linux has it. It was posted and not taken, or \
                  came and went between two releases, or is what would close a hole",
    },
    Term {
        name: "facts 4.2",
        used: &["facts "],
        meaning: "section 4.2 of docs/facts-linux.md: what Linux does, release by release, and \
                  how that is known. T and a number is a row of the table in its section 8, H and \
                  a letter a hazard that it names",
    },
    Term {
        name: "may fail",
        used: &["may fail"],
        meaning: "of a step: the scenario lets it fail in that way (busy: somebody uses the page)",
    },
    Term {
        name: "execution, run",
        used: &["execution"],
        meaning: "the scenario, done once in one order of its lanes' accesses. A search ends when \
                  it has tried every order that can make a difference",
    },
    Term {
        name: "replay, events",
        used: &["replay"],
        meaning: "a run in an order that was recorded. Events are what is told of it, and were \
                  found to be the recorded ones",
    },
];

/// The words that a text uses, with what they mean, and those that their meanings use.
pub(super) fn used(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<&Term> = Vec::new();
    for term in TERMS.iter().rev() {
        let uses = |text: &str| term.used.iter().any(|word| text.contains(word));
        if uses(text) || found.iter().any(|later| uses(later.meaning)) {
            found.push(term);
        }
    }
    found.iter().rev().map(|term| (term.name.to_owned(), term.meaning.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_used_is_explained() {
        let names =
            |text| -> Vec<String> { used(text).into_iter().map(|(name, _)| name).collect() };
        assert!(names("nothing of that").is_empty());
        assert_eq!(names("torn"), ["torn"]);
        assert_eq!(names("facts 4.2"), ["facts 4.2"]);
        // A meaning may use words, too.
        assert_eq!(names("mapcount"), ["entry", "ref, refcount", "map, mapcount"]);
    }

    /// What a reader meets has been explained before.
    #[test]
    fn no_meaning_uses_a_word_that_comes_later() {
        for (at, term) in TERMS.iter().enumerate() {
            for later in &TERMS[at + 1..] {
                let early = later.used.iter().find(|word| term.meaning.contains(**word));
                assert_eq!(early, None, "{} uses {}", term.name, later.name);
            }
        }
    }
}
