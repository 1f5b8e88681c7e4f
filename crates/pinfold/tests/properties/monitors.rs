//! userfaultfd against a model: private memory of two processes, of which each page has a value,
//! is there or not, and is told of what its monitor asked for (facts 7.14; INV-UFFD-1, INV-UFFD-4,
//! INV-FORK-5).

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::soak;
use crate::testing::{
    Audit, Hardware, Mem, Space, device_write, load, machine, map, pages, space, store,
};
use pinfold::{
    Aarch64, Access, Advice, FaultError, NodeId, PinError, Prot, Rules, Small, SpaceError, Term,
    Tuning, UffdError, UffdId, UffdMode, UffdReason, VirtAddr, VirtRange,
};

const PAGES: u64 = 8;
/// The page before the first one used.
const BASE: u64 = 1;
const UFFD: UffdId = UffdId(3);

/// One operation, on the second process if `child` says so and there is one.
#[derive(Clone, Debug)]
struct Op {
    child: bool,
    first: u64,
    count: u64,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Register(u8),
    Unregister,
    Protect(bool),
    Copy(u64, bool),
    Zero,
    Load,
    Store(u64),
    Pin(Access),
    DontNeed,
    Fork,
    Scan,
    Migrate(u8),
    ReadOnlyAndBack,
}

fn op() -> impl Strategy<Value = Op> {
    let what = prop_oneof![
        3 => (1..64_u8).prop_map(What::Register),
        1 => Just(What::Unregister),
        4 => any::<bool>().prop_map(What::Protect),
        3 => (1..100_u64, any::<bool>()).prop_map(|(value, protect)| What::Copy(value, protect)),
        1 => Just(What::Zero),
        3 => Just(What::Load),
        4 => (1..100_u64).prop_map(What::Store),
        1 => Just(What::Pin(Access::Read)),
        1 => Just(What::Pin(Access::Write)),
        2 => Just(What::DontNeed),
        2 => Just(What::Fork),
        1 => Just(What::Scan),
        1 => (0..2_u8).prop_map(What::Migrate),
        1 => Just(What::ReadOnlyAndBack),
    ];
    (any::<bool>(), 0..PAGES, 1..4_u64, what).prop_map(|(child, first, count, what)| {
        let count = count.min(PAGES - first);
        Op { child, first, count, what }
    })
}

/// What is known of a page.
#[derive(Clone, Copy, Debug)]
struct Page {
    value: u64,
    /// Whether an entry maps it.
    is_there: bool,
    mode: UffdMode,
    protected: bool,
}

const UNTOUCHED: Page =
    Page { value: 0, is_there: false, mode: UffdMode::empty(), protected: false };

impl Page {
    fn has(&self, mode: UffdMode) -> bool {
        self.mode.contains(mode)
    }

    /// A load, which finds the value unless the monitor is told.
    fn load(&mut self) -> Result<u64, UffdReason> {
        if !self.is_there && self.has(UffdMode::MISSING) {
            return Err(UffdReason::Missing);
        }
        self.is_there = true;
        Ok(self.value)
    }

    /// A store, or what makes the page ready for one. Where a marker is, the page comes first.
    fn store(&mut self, value: Option<u64>) -> Result<(), UffdReason> {
        self.load()?;
        if self.protected {
            return Err(UffdReason::Wp);
        }
        self.value = value.unwrap_or(self.value);
        Ok(())
    }

    fn drop(&mut self) {
        *self = Self { value: 0, is_there: false, protected: false, ..*self };
    }

    fn register(&mut self, mode: UffdMode) {
        self.mode = mode;
        self.protected &= self.has(UffdMode::WP);
    }

    fn protect(&mut self, protect: bool) {
        let reaches = self.is_there || self.has(UffdMode::WP_UNPOPULATED);
        self.protected = protect && (self.protected || reaches);
    }

    /// The child's page after a fork.
    fn forked(self) -> Self {
        if self.has(UffdMode::EVENT_FORK) {
            return self;
        }
        Self { mode: UffdMode::empty(), protected: false, ..self }
    }
}

type Pages = [Page; PAGES as usize];

struct Process<F: Hardware> {
    space: Space<F>,
    pages: Pages,
}

fn at(page: u64) -> VirtAddr {
    VirtAddr::of_page(BASE + page)
}

fn told(page: u64, reason: UffdReason) -> FaultError {
    FaultError::Userfault { at: at(page), uffd: UFFD, reason }
}

impl<F: Hardware> Process<F> {
    fn step(&mut self, mem: &Mem<F>, op: &Op) {
        let (page, range) = (op.first, pages(BASE + op.first, op.count));
        let of = op.first as usize..(op.first + op.count) as usize;
        match op.what {
            What::Register(bits) => self.register(UffdMode::from_bits_truncate(bits), range, of),
            What::Unregister => {
                self.space.uffd_unregister(range).unwrap();
                self.pages[of].iter_mut().for_each(|page| page.register(UffdMode::empty()));
            }
            What::Protect(protect) => self.protect(protect, range, of),
            What::Copy(value, protect) => {
                let fill = |pfn| device_write(mem, pfn, value);
                let done = self.space.uffd_copy(at(page), protect, fill);
                self.given(page, value, protect, done);
            }
            What::Zero => {
                let done = self.space.uffd_zero(at(page));
                self.given(page, 0, false, done);
            }
            What::Load => {
                let wanted = self.pages[page as usize].load();
                let found = load(&self.space, BASE + page);
                assert_eq!(found, wanted.map_err(|reason| told(page, reason)), "{op:?}");
            }
            What::Store(value) => {
                let wanted = self.pages[page as usize].store(Some(value));
                let done = store(&self.space, BASE + page, value).map(drop);
                assert_eq!(done, wanted.map_err(|reason| told(page, reason)), "{op:?}");
            }
            What::Pin(access) => {
                let of_page = &mut self.pages[page as usize];
                let wanted = match access {
                    Access::Read => of_page.load().map(drop),
                    Access::Write => of_page.store(None),
                };
                let pinned = self.space.pin(pages(BASE + page, 1), access, Term::Long).map(drop);
                let wanted = wanted.map_err(|reason| PinError::Fault(told(page, reason)));
                assert_eq!(pinned, wanted, "{op:?}");
            }
            What::DontNeed => {
                self.space.advise(range, Advice::DontNeed).unwrap();
                self.pages[of].iter_mut().for_each(Page::drop);
            }
            What::Scan => _ = self.space.numa_scan(range),
            What::Migrate(node) => _ = self.space.migrate(range, NodeId(node)),
            What::ReadOnlyAndBack => {
                self.space.protect(range, Prot::READ).unwrap();
                self.space.protect(range, Prot::READ_WRITE).unwrap();
            }
            What::Fork => {}
        }
    }

    fn register(&mut self, mode: UffdMode, range: VirtRange, of: Range<usize>) {
        let watches = UffdMode::MISSING | UffdMode::WP;
        let done = self.space.uffd_register(range, UFFD, mode);
        // Private memory has no minor faults.
        if !mode.intersects(watches) || mode.contains(UffdMode::MINOR) {
            assert!(matches!(done, Err(SpaceError::NoUffd(_))), "{mode:?}: {done:?}");
            return;
        }
        done.unwrap();
        self.pages[of].iter_mut().for_each(|page| page.register(mode));
    }

    fn protect(&mut self, protect: bool, range: VirtRange, of: Range<usize>) {
        let done = self.space.uffd_write_protect(range, protect);
        let pages = &mut self.pages[of];
        if !pages.iter().all(|page| page.has(UffdMode::WP)) {
            assert!(matches!(done, Err(SpaceError::NotRegistered(_))), "{done:?}");
            return;
        }
        done.unwrap();
        pages.iter_mut().for_each(|page| page.protect(protect));
    }

    /// What became of a page that the monitor wanted to give.
    fn given(&mut self, number: u64, value: u64, protect: bool, done: Result<(), UffdError>) {
        let page = &mut self.pages[number as usize];
        let registered = !page.mode.is_empty() && (!protect || page.has(UffdMode::WP));
        let wanted = match (registered, page.is_there) {
            (false, _) => Err(UffdError::NotRegistered(at(number))),
            (true, true) => Err(UffdError::Exists(at(number))),
            (true, false) => {
                *page = Page { value, is_there: true, protected: protect, ..*page };
                Ok(())
            }
        };
        assert_eq!(done, wanted);
    }

    /// What every step ends with.
    fn check(&self) {
        for (number, page) in self.pages.iter().enumerate() {
            let pte = self.space.walk(at(number as u64));
            let told = format!("page {number}: {pte}, {page:?}");
            assert_eq!(
                (pte.is_mapped(), pte.is_uffd_wp()),
                (page.is_there, page.protected),
                "{told}"
            );
            assert!(!pte.is_uffd_wp() || !pte.is_mapped() || !pte.is_writable(), "{told}");
        }
    }
}

fn sequence<F: Hardware>(rules: Rules, ops: &[Op]) {
    let mem = machine::<F>(rules, &[96, 48], Tuning::default());
    let first = space(&mem);
    map(&first, BASE, PAGES, Prot::READ_WRITE);
    // The area has held a page of its own from now on, so that a fork copies its entries.
    store(&first, BASE, 1).unwrap();
    first.advise(pages(BASE, 1), Advice::DontNeed).unwrap();
    let mut parent = Process { space: first, pages: [UNTOUCHED; PAGES as usize] };
    let mut child: Option<Process<F>> = None;
    for op in ops {
        if let What::Fork = op.what {
            let space = parent.space.fork().unwrap();
            child = Some(Process { space, pages: parent.pages.map(Page::forked) });
        }
        match child.as_mut().filter(|_| op.child) {
            Some(child) => child.step(&mem, op),
            None => parent.step(&mem, op),
        }
        parent.check();
        let mut audit = Audit::of(&mem).space(&parent.space);
        if let Some(child) = &child {
            child.check();
            audit = audit.space(&child.space);
        }
        audit.check();
    }
    drop((parent, child));
    Audit::of(&mem).check();
}

fn sequences<F: Hardware>(rules: &str, cases: u32) {
    let cases = cases * soak();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let set = Rules::parse(rules).unwrap();
    let run = TestRunner::new(config).run(&vec(op(), 1..60), |ops| {
        sequence::<F>(set, &ops);
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{rules}: {failure}");
    }
}

#[test]
fn monitors_are_told_of_what_they_asked_for_and_of_nothing_else() {
    sequences::<Small>("pinfold", 400);
    sequences::<Small>("latest", 100);
    sequences::<Small>("6.5", 100);
    sequences::<Small>("5.9,uffd=wp-unpopulated", 200);
    sequences::<Small>("5.18,uffd=wp-unpopulated", 200);
    sequences::<Aarch64>("pinfold", 100);
}
