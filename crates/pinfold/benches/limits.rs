//! How far the hot paths are from their limit, on the reader's machine.
//!
//! `cargo bench -p pinfold` measures everything; a word or two behind `--` choose: `pin`, `fork`,
//! `folio`, `shape`, `fault`, `cold`, `file`, `swap`, `unmap`, `metadata`, `frame`, `family`,
//! `area`, `threads`. Each line names the goal it stands against, if there is one. All figures are
//! bookkeeping only: no exception entry, no real translation cache, no charging. A flush of all
//! CPUs costs what `world.rs` states.
//!
//! `--once <operation>` runs one round without measuring, for `instructions.sh`.

mod areas;
mod bare;
mod cold;
mod families;
mod faults;
mod files;
mod folios;
mod forks;
mod frames;
mod metadata;
mod ops;
mod pairs;
mod pins;
mod shapes;
mod swaps;
mod threads;
mod unmaps;
mod world;

use world::Flush;

/// The groups of rows. In those that compare with a bare loop, or one thread with two, flushes are
/// free: a wait that both sides have would hide what is compared.
const GROUPS: [(&str, Flush, fn()); 14] = [
    ("pin", Flush::Free, pins::run),
    ("fork", Flush::Free, forks::run),
    ("folio", Flush::Free, folios::run),
    ("shape", Flush::Free, shapes::run),
    ("fault", Flush::Free, faults::run),
    ("cold", Flush::Free, cold::run),
    ("file", Flush::Free, files::run),
    ("swap", Flush::Free, swaps::run),
    ("unmap", Flush::Interrupt, unmaps::run),
    ("metadata", Flush::Free, metadata::run),
    ("frame", Flush::Free, frames::run),
    ("family", Flush::Interrupt, families::run),
    ("area", Flush::Free, areas::run),
    ("threads", Flush::Free, threads::run),
];

fn main() {
    if cfg!(feature = "explore") {
        eprintln!(
            "built with the feature `explore`, which a build of the whole workspace turns on: \
             every access asks for an explorer, so no figure means anything; \
             run `cargo bench -p pinfold`"
        );
        std::process::exit(2);
    }
    // cargo adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [flag, operation] = words.as_slice()
        && flag == "--once"
    {
        return once(operation);
    }
    if let Some(word) = words.iter().find(|word| GROUPS.iter().all(|(name, ..)| name != word)) {
        eprintln!(
            "no such group: {word}; there are pin, fork, folio, shape, fault, cold, file, swap, unmap, metadata, frame, family, area and threads"
        );
        std::process::exit(2);
    }
    println!("{}", machine());
    for (name, flush, run) in GROUPS {
        if words.is_empty() || words.iter().any(|word| word == name) {
            world::flushes_are(flush);
            run();
        }
    }
}

/// Runs an operation once and prints how many pages it handled.
fn once(operation: &str) {
    world::flushes_are(Flush::Free);
    let fault = faults::Path::ALL.into_iter().find(|(name, _)| *name == operation);
    let pages = match (operation, fault) {
        (_, Some((_, path))) => faults::once(path),
        ("pin" | "unpin", None) => pins::once(),
        ("pin-one", None) => pins::once_each(),
        ("fork" | "zap", None) => forks::once(),
        ("collapse", None) => shapes::once_collapse(),
        ("folio-split", None) => shapes::once_split(),
        ("populate", None) => faults::once_populate(),
        ("pair", None) => unmaps::once_pair(),
        ("areas", None) => areas::once(),
        ("split", None) => areas::once_split(),
        ("exit-one", None) => unmaps::once_exit(1),
        ("exit", None) => unmaps::once_exit(unmaps::GIB),
        ("migrate", None) => unmaps::once_migrate(),
        ("move-alone", None) => families::once(1),
        ("move-beside", None) => families::once(10_000),
        (file, None) if files::OPERATIONS.contains(&file) => files::once(file),
        (swap, None) if swaps::OPERATIONS.contains(&swap) => swaps::once(swap),
        _ => {
            eprintln!(
                "no such operation: file-read, file-write, file-copy, file-sync, file-truncate, file-clean, file-listed, pin, unpin, pin-one, fork, zap, zero, touch, reuse, copy, collapse, folio-split, populate, pair, areas, split, exit-one, exit, migrate, move-alone, move-beside, swap-out, swap-in, swap-clean"
            );
            std::process::exit(2);
        }
    };
    println!("{pages}");
}

/// What the figures were taken on.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model =
        model.and_then(|line| line.split_once(": ")).map_or("unknown CPU", |(_, name)| name);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cpus} CPUs, {} {}", std::env::consts::OS, std::env::consts::ARCH)
}
