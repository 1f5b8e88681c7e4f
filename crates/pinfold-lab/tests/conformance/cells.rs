//! The cells of the kernel's `cow` self-test: operations O1 to O14, regions R1 to R11, and the
//! scenario that each pair of them is.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

/// How a region is made, and its pages.
pub struct Region {
    pub name: &'static str,
    /// What makes the area.
    pub maps: &'static str,
    /// How many of its pages are written first.
    pub filled: u32,
    /// What becomes of them then.
    pub setup: &'static str,
    pub pages: std::ops::Range<u32>,
    pub folio: Folio,
}

/// What a region is made of, and how that is mapped at first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Folio {
    None,
    Entries,
    Pmd,
    /// A huge page of the pool.
    Pool,
}

pub const AREA: &str = "P: map A 4 private rw\n";
pub const ADVISED: &str = "P: map A 4 private rw\nP: advise A hugepage\n";
/// One area for the kernel, with a name for each half, which so can be moved.
pub const HALVES: &str = "P: map A 2 private rw at 0x4000\nP: map B 2 private rw at 0x6000\n\
                      P: advise A hugepage\nP: advise B hugepage\n";
pub const POOL: &str = "P: map A 4 hugetlb rw\n";

pub const SPLIT: &str = "P: protect A[1] ro\nP: protect A[1] rw";
pub const PARTLY: &str = "P: advise A[1..4] dontneed";
pub const MOVED: &str = "P: remap B at 0xa000";
pub const FORKED: &str = "P: advise A[1..4] dontfork\nP: fork K\nK: exit\nP: advise A[1..4] dofork";
pub const COLLAPSED: &str = "P: advise A hugepage\nP: collapse A[0]";

impl Region {
    /// Whether it is swapped out.
    pub fn is_out(&self) -> bool {
        self.setup.ends_with(OUT)
    }
}

pub const fn region(
    name: &'static str,
    (maps, filled): (&'static str, u32),
    setup: &'static str,
    pages: std::ops::Range<u32>,
    folio: Folio,
) -> Region {
    Region { name, maps, filled, setup, pages, folio }
}

pub const OUT: &str = "P: pageout A";
pub const SPLIT_OUT: &str = "P: protect A[1] ro\nP: protect A[1] rw\nP: pageout A";
pub const PARTLY_OUT: &str = "P: advise A[1..4] dontneed\nP: pageout A";

pub const REGIONS: [Region; 13] = [
    region("r1", (AREA, 4), "", 0..4, Folio::None),
    region("folio", (ADVISED, 4), "", 0..4, Folio::Entries),
    region("r5", (ADVISED, 4), SPLIT, 0..4, Folio::Entries),
    region("r7", (ADVISED, 4), PARTLY, 0..1, Folio::Entries),
    region("r9", (HALVES, 2), MOVED, 0..2, Folio::Entries),
    region("r10", (ADVISED, 4), FORKED, 0..4, Folio::Entries),
    region("r3", (ADVISED, 4), "", 0..4, Folio::Pmd),
    region("r5-pmd", (ADVISED, 4), SPLIT, 0..4, Folio::Pmd),
    region("r7-pmd", (ADVISED, 4), PARTLY, 0..1, Folio::Pmd),
    region("r9-pmd", (HALVES, 2), MOVED, 0..2, Folio::Pmd),
    region("r10-pmd", (ADVISED, 4), FORKED, 0..4, Folio::Pmd),
    region("collapsed", (AREA, 4), COLLAPSED, 0..4, Folio::Pmd),
    region("r11", (POOL, 4), "", 0..4, Folio::Pool),
];

/// Those that are swapped out.
pub const SWAPPED: [Region; 6] = [
    region("r2", (AREA, 4), OUT, 0..4, Folio::None),
    region("r4", (ADVISED, 4), OUT, 0..4, Folio::Pmd),
    region("r6", (ADVISED, 4), SPLIT_OUT, 0..4, Folio::Entries),
    region("r8", (ADVISED, 4), PARTLY_OUT, 0..1, Folio::Entries),
    region("r6-pmd", (ADVISED, 4), SPLIT_OUT, 0..4, Folio::Pmd),
    region("r8-pmd", (ADVISED, 4), PARTLY_OUT, 0..1, Folio::Pmd),
];

/// Each of them with the region that it would be in memory.
pub const TWINS: [(&str, &str); 6] = [
    ("r2", "r1"),
    ("r4", "r3"),
    ("r6", "r5"),
    ("r8", "r7"),
    ("r6-pmd", "r5-pmd"),
    ("r8-pmd", "r7-pmd"),
];

/// How many cells an operation has: the first and the last page of each region.
pub const CELLS: usize = 34;

impl Region {
    /// Whether one entry maps it when it has been set up.
    pub fn is_huge(&self) -> bool {
        let split = matches!(self.setup, SPLIT | PARTLY | MOVED | FORKED) || self.is_out();
        self.folio == Folio::Pool || self.folio == Folio::Pmd && !split
    }

    /// The lines up to those of an operation, for a machine of two CPUs.
    pub fn made(&self, name: &str) -> String {
        let machine = match self.folio {
            Folio::None | Folio::Entries => "",
            Folio::Pmd => "thp pmd\n",
            Folio::Pool => "hugetlb 2\n",
        };
        let swap = if self.is_out() { "swap 16\n" } else { "" };
        let fill: String =
            (0..self.filled).map(|page| format!("P: write A[{page}] \"old\"\n")).collect();
        format!(
            "scenario {name}\nmachine\nnodes 2\nframes 32\n{machine}{swap}cpu cpu0 node 0\n\
             cpu cpu1 node 0\nsetup\nprocess P\n{}{fill}{}\n",
            self.maps, self.setup
        )
    }

    /// What a process writes to each of its pages.
    pub fn written(&self) -> String {
        self.pages.clone().map(|page| format!("  write A[{page}] \"new\"\n")).collect()
    }
}

/// An operation on a page `@`: what comes before the write, who writes, what must hold of it then,
/// and a release under which it does not, with the oracle that says so.
pub struct Operation {
    pub name: &'static str,
    pub before: &'static str,
    pub writes: &'static str,
    pub holds: &'static str,
    pub broken: Option<(&'static str, &'static str)>,
}

impl Operation {
    /// Whether it lets a process that has parted from the other hold a page for reading.
    pub fn leaves_a_reader(&self) -> bool {
        matches!(self.name, "o3" | "o4" | "o5" | "o6")
    }

    /// Where it does not hold in a region. Write faults on huge pages of the pool went by mappings
    /// alone to 5.18, so that only who shares them can lose them, and fork knows of their pins
    /// since 5.12 (facts 2.5). A folio of which half lies elsewhere is shared by who has that half:
    /// by mappings, the page decides for all that is mapped most often (facts 1.1).
    pub fn broken_in(&self, region: &Region) -> Option<(&'static str, &'static str)> {
        match (region.folio, self.name) {
            (Folio::Pool, "o7" | "o11" | "o12" | "o13" | "o14") => None,
            (Folio::Pool, "o8") => Some(("5.11", "pin-coherence")),
            _ if region.setup == MOVED && self.leaves_a_reader() => None,
            _ => self.broken,
        }
    }
}

pub const FLIP: &str = "P: protect A ro\nP: protect A rw\n";

const fn op(
    name: &'static str,
    before: &'static str,
    writes: &'static str,
    holds: &'static str,
    broken: Option<(&'static str, &'static str)>,
) -> Operation {
    Operation { name, before, writes, holds, broken }
}

pub const CHILD_KEEPS: &str = "C:A@ sees \"old\"";
pub const HELD_KEEPS: &str = "h0 never sees \"new\"";
pub const IN_STEP: &str = "h0 sees \"new\"\nh0 is P:A@";

pub const OPERATIONS: [Operation; 14] = [
    op("o1", "P: fork C", "P", CHILD_KEEPS, None),
    op("o2", "P: fork C\nFLIP", "P", CHILD_KEEPS, None),
    op(
        "o3",
        "P: fork C\nC: get A@ read as h0\nC: unmap A",
        "P",
        HELD_KEEPS,
        Some(("5.7", "isolation")),
    ),
    op(
        "o4",
        "P: fork C\nC: get A@ read as h0\nC: unmap A\nFLIP",
        "P",
        HELD_KEEPS,
        Some(("5.7", "isolation")),
    ),
    op(
        "o5",
        "P: get A@ read as h0\nP: fork C\nP: unmap A",
        "C",
        HELD_KEEPS,
        Some(("5.7", "isolation")),
    ),
    op(
        "o6",
        "P: fork C\nP: get A@ read as h0\nP: unmap A",
        "C",
        HELD_KEEPS,
        Some(("5.7", "isolation")),
    ),
    op("o7", "P: pin A@ write longterm as h0\nFLIP", "P", IN_STEP, Some(("5.18", "pin-coherence"))),
    op(
        "o8",
        "P: pin A@ write longterm as h0\nP: fork C",
        "P",
        IN_STEP,
        Some(("5.8", "pin-coherence")),
    ),
    op(
        "o9",
        "P: fork C\nP: pin A@ read longterm slow-only as h0",
        "P",
        IN_STEP,
        Some(("5.18", "pin-coherence")),
    ),
    op(
        "o10",
        "P: fork C\nP: pin A@ read longterm as h0",
        "P",
        IN_STEP,
        Some(("5.18", "pin-coherence")),
    ),
    op(
        "o11",
        "P: fork C\nC: exit\nP: pin A@ read longterm slow-only as h0",
        "P",
        IN_STEP,
        Some(("5.18", "pin-coherence")),
    ),
    op(
        "o12",
        "P: fork C\nC: exit\nP: pin A@ read longterm as h0",
        "P",
        IN_STEP,
        Some(("5.18", "pin-coherence")),
    ),
    op(
        "o13",
        "FLIPP: pin A@ read longterm slow-only as h0",
        "P",
        IN_STEP,
        Some(("5.18", "pin-coherence")),
    ),
    op("o14", "FLIPP: pin A@ read longterm as h0", "P", IN_STEP, Some(("5.18", "pin-coherence"))),
];

/// The scenario of a cell, for one page of the region.
pub fn cell(operation: &Operation, region: &Region, page: u32) -> (String, String) {
    let name = format!("{}-{}-{page}", operation.name, region.name);
    let before = operation.before.replace("FLIP", FLIP).replace('@', &format!("[{page}]"));
    let holds = operation.holds.replace('@', &format!("[{page}]"));
    let text = format!(
        "{}{before}\nlane writer: {}\n{}always\n{holds}\n",
        region.made(&name),
        operation.writes,
        region.written(),
    );
    (name, text)
}

pub fn each_cell(mut visit: impl FnMut(&Operation, &Region, &str, &str)) -> usize {
    let mut cells = 0;
    for operation in &OPERATIONS {
        for region in REGIONS.iter().chain(&SWAPPED) {
            let ends = [region.pages.start, region.pages.end - 1];
            for page in ends.into_iter().take(region.pages.len().min(2)) {
                let (name, text) = cell(operation, region, page);
                visit(operation, region, &name, &text);
                cells += 1;
            }
        }
    }
    cells
}
