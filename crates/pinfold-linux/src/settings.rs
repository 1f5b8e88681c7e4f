//! The settings of the system that scans of NUMA balancing need: changed only on a machine that its
//! owner has given for it, and put back.

use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};

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

/// Settings that were changed, and are put back when this is dropped.
#[derive(Debug)]
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
