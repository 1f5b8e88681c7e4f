//! The settings of the system that scans of NUMA balancing, large folios and same-page merging
//! need: changed only on a machine that its owner has given for it, and put back.

use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The switch of NUMA balancing.
pub(crate) const BALANCING: &CStr = c"/proc/sys/kernel/numa_balancing";

/// How often and how far balancing scans, and where that is set: since 5.13 among the scheduler's
/// files for debugging. Short periods; little at a time, as the shortest period follows from it.
const SETTINGS: [(&str, &str, &str); 4] = [
    ("numa_balancing_scan_delay_ms", "scan_delay_ms", "1"),
    ("numa_balancing_scan_size_mb", "scan_size_mb", "16"),
    ("numa_balancing_scan_period_min_ms", "scan_period_min_ms", "10"),
    ("numa_balancing_scan_period_max_ms", "scan_period_max_ms", "20"),
];
const EARLIER: &str = "/proc/sys/kernel";
const LATER: &str = "/sys/kernel/debug/sched/numa_balancing";

/// Whether first touches of private memory take folios of four pages: never, where that is advised,
/// or always; or as for all sizes.
const FOLIOS: &str = "/sys/kernel/mm/transparent_hugepage/hugepages-16kB/enabled";
const ALL_SIZES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// Same-page merging: whether its thread runs, what it has merged, and how it goes on: a whole
/// pass, over all pages, zeros as any others, and then it sleeps for longer than any step takes.
const MERGING: &str = "/sys/kernel/mm/ksm";
const MERGES: [(&str, &str); 4] = [
    ("sleep_millisecs", "60000"),
    ("pages_to_scan", "100000000"),
    ("use_zero_pages", "0"),
    // Since 6.7: pages that were not merged for long are passed over.
    ("smart_scan", "0"),
];

/// Looks at the number of passes, and the time between two of them.
const TURNS: u32 = 200;
const TURN: Duration = Duration::from_millis(10);

/// The same for huge pages; before 6.8 there is only the setting for all sizes.
const HUGE: &str = "/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/enabled";
/// The pool of huge pages.
pub(crate) const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

/// The word of several that is in force: that in brackets.
fn chosen(path: &str) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|why| format!("{path}: {why}"))?;
    let word = text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    word.map(str::to_owned).ok_or_else(|| format!("{path} says {text:?}"))
}

/// Whether one of the numbers of same-page merging is nought.
fn idle(place: &Path, name: &str) -> Result<(), String> {
    let path = place.join(name);
    let now = fs::read_to_string(&path)
        .map_err(|why| format!("no same-page merging: {}: {why}", path.display()))?;
    let now = now.trim();
    match now {
        "0" => Ok(()),
        _ => Err(format!("same-page merging is in use ({}: {now})", path.display())),
    }
}

/// Lets the thread go on until it has come by everybody once, or has nobody to come by.
fn pass(place: &Path) -> Result<(), String> {
    let told = |why: std::io::Error| format!("{}: {why}", place.display());
    let passes = || fs::read_to_string(place.join("full_scans"));
    let before = passes().map_err(told)?;
    fs::write(place.join("run"), "1").map_err(told)?;
    for _ in 0..TURNS {
        if passes().map_err(told)? != before {
            break;
        }
        thread::sleep(TURN);
    }
    fs::write(place.join("run"), "0").map_err(told)
}

/// Whether pages can be merged where that is advised.
///
/// # Errors
/// Why not, in words.
pub(crate) fn merging_known() -> Result<(), String> {
    let known = Path::new(MERGING).exists();
    known.then_some(()).ok_or_else(|| "this kernel has no same-page merging".to_owned())
}

/// Whether first touches take folios of four pages where that is advised.
///
/// # Errors
/// Why not, in words.
pub(crate) fn folios_given() -> Result<(), String> {
    let missing = |why| format!("no folios of four pages, which came with 6.8: {why}");
    let word = match chosen(FOLIOS).map_err(missing)?.as_str() {
        "inherit" => chosen(ALL_SIZES)?,
        word => word.to_owned(),
    };
    match word.as_str() {
        "madvise" | "always" => Ok(()),
        _ => Err(format!(
            "folios of four pages are switched off ({FOLIOS}), which --i-own-this-machine changes"
        )),
    }
}

/// Whether first touches take huge pages where that is advised, and nowhere else.
///
/// # Errors
/// Why not, in words.
pub(crate) fn huge_given() -> Result<(), String> {
    let word = match chosen(HUGE) {
        Ok(word) if word != "inherit" => word,
        _ => chosen(ALL_SIZES).map_err(|why| format!("no huge pages: {why}"))?,
    };
    match word.as_str() {
        "madvise" => Ok(()),
        word => Err(format!(
            "huge pages are for all memory or none ({ALL_SIZES}: {word}), \
             which --i-own-this-machine changes"
        )),
    }
}

/// A number of the pool of huge pages.
///
/// # Errors
/// Why there is none, in words.
pub(crate) fn pool_number(name: &str) -> Result<u32, String> {
    let path = format!("{POOL}/{name}");
    let text = fs::read_to_string(&path).map_err(|why| format!("no huge pages: {path}: {why}"))?;
    text.trim().parse().map_err(|_| format!("{path} says {text:?}"))
}

/// Whether the kernel has a pool of huge pages of which nobody uses one.
fn pool_idle() -> Result<(), String> {
    let all = pool_number("nr_hugepages")?;
    let idle = pool_number("free_hugepages")? == all && pool_number("resv_hugepages")? == 0;
    match idle && pool_number("nr_overcommit_hugepages")? == 0 {
        true => Ok(()),
        false => Err(format!("the pool of huge pages ({POOL}) is in use, or may grow")),
    }
}

/// What may be changed of a machine: each with the reason why not, or prepared by [`Settings`].
#[derive(Clone, Debug)]
pub struct Given {
    /// Scans of NUMA balancing, as [`Settings::change`] prepares them.
    pub scans: Result<(), String>,
    /// The pool of huge pages, as [`Settings::give_pool`] takes it over.
    pub pool: Result<(), String>,
    /// A swap device, which the agent makes.
    pub swap: Result<(), String>,
    /// Passes of same-page merging, as [`Settings::give_merging`] prepares them.
    pub merging: Result<(), String>,
}

/// Settings that were changed, and are put back when this is dropped.
#[derive(Debug, Default)]
pub struct Settings {
    before: Vec<(PathBuf, String)>,
}

impl Settings {
    /// Makes scans frequent, and switches them off until a step wants one.
    ///
    /// # Errors
    /// Which setting is not there or cannot be changed, in words. Nothing is changed then.
    pub fn change() -> Result<Self, String> {
        let mut settings = Self { before: Vec::new() };
        let switch = Path::new("/proc/sys/kernel/numa_balancing");
        settings.set(switch, "0")?;
        let earlier = Path::new(EARLIER).join(SETTINGS[0].0).exists();
        for (old, new, value) in SETTINGS {
            let path = match earlier {
                true => Path::new(EARLIER).join(old),
                false => Path::new(LATER).join(new),
            };
            settings.set(&path, value)?;
        }
        Ok(settings)
    }

    /// Gives folios of four pages where they are advised, if the kernel has them and gives none.
    ///
    /// # Errors
    /// Why the setting cannot be changed, in words.
    pub fn give_folios(self) -> Result<Self, String> {
        match (chosen(FOLIOS), folios_given()) {
            (Ok(_), Err(_)) => self.choose(FOLIOS, "madvise"),
            _ => Ok(self),
        }
    }

    /// Gives huge pages where they are advised and only there, if the kernel has them.
    ///
    /// # Errors
    /// Why the setting cannot be changed, in words.
    pub fn give_huge(self) -> Result<Self, String> {
        if huge_given().is_ok() {
            return Ok(self);
        }
        match [HUGE, ALL_SIZES].into_iter().find(|path| chosen(path).is_ok()) {
            Some(path) => self.choose(path, "madvise"),
            None => Ok(self),
        }
    }

    /// Takes the pool of huge pages over, which each scenario gets as large as it says.
    ///
    /// # Errors
    /// Why that cannot be done, in words: there is none, or somebody uses it. It is as before then.
    pub fn give_pool(&mut self) -> Result<(), String> {
        pool_idle()?;
        self.set(&Path::new(POOL).join("nr_hugepages"), "0")
    }

    /// Prepares passes of same-page merging, which steps make.
    ///
    /// # Errors
    /// Why there can be none, in words: the kernel has none, or somebody uses them.
    pub fn give_merging(&mut self) -> Result<(), String> {
        let place = Path::new(MERGING);
        idle(place, "run")?;
        // What processes that have exited had merged is counted until the thread comes by.
        if idle(place, "pages_shared").is_err() {
            pass(place)?;
            idle(place, "pages_shared")?;
        }
        // Also if a step was cut short.
        self.set(&place.join("run"), "0")?;
        MERGES
            .iter()
            .filter(|(name, _)| place.join(name).exists())
            .try_for_each(|(name, value)| self.set(&place.join(name), value))
    }

    /// Chooses one of the words of a setting.
    fn choose(mut self, path: &str, word: &str) -> Result<Self, String> {
        let before = chosen(path)?;
        self.set(Path::new(path), word)?;
        // What is read there are all words, and what is written is one.
        if let Some((_, text)) = self.before.last_mut() {
            *text = before;
        }
        Ok(self)
    }

    fn set(&mut self, path: &Path, value: &str) -> Result<(), String> {
        let told = |why: std::io::Error| format!("{}: {why}", path.display());
        let before = fs::read_to_string(path).map_err(told)?.trim().to_owned();
        fs::write(path, value).map_err(told)?;
        self.before.push((path.to_owned(), before));
        Ok(())
    }

    /// Leaves the settings as they are now, on a machine that ends with this process.
    pub fn keep(mut self) {
        self.before.clear();
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        for (path, before) in self.before.drain(..).rev() {
            // There is nobody to tell, and the others are to be put back all the same.
            let _ = fs::write(path, before);
        }
    }
}
