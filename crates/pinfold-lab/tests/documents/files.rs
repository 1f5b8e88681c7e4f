//! The files of the repository, as text.

use std::fs;
use std::path::{Path, PathBuf};

/// One file.
pub(crate) struct TextFile {
    /// Its path from the root of the repository.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl TextFile {
    /// Whether it belongs to tests, which cite what they hold instead of defining it.
    pub(crate) fn is_test(&self) -> bool {
        self.name.contains("/tests/") || self.name.ends_with("/tests.rs")
    }
}

/// Where `name` is, given from the root of the repository.
pub(crate) fn in_repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// The text of `name`.
#[track_caller]
pub(crate) fn read(name: &str) -> String {
    fs::read_to_string(in_repository(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Whether `name` is a file, given from the root of the repository or from the `src` of a crate.
pub(crate) fn is_source(name: &str) -> bool {
    let crates = fs::read_dir(in_repository("crates")).expect("the crates");
    let in_a_crate = |entry: fs::DirEntry| entry.path().join("src").join(name).is_file();
    in_repository(name).is_file() || crates.flatten().any(in_a_crate)
}

/// Every file of crates, scenarios, docs, tests and of the root itself that has one of these
/// extensions. A symbolic link to a directory is not followed, so that nothing is read twice.
pub(crate) fn files(extensions: &[&str]) -> Vec<TextFile> {
    let mut found = Vec::new();
    let wanted = |path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| extensions.contains(&extension))
    };
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(in_repository(&directory)).expect("a directory") {
            let entry = entry.expect("an entry of a directory");
            let last = entry.file_name().into_string().expect("a name in UTF-8");
            let name = if directory.is_empty() { last } else { format!("{directory}/{last}") };
            let kind = entry.file_type().expect("the type of a file");
            let of_interest = !directory.is_empty()
                || ["crates", "scenarios", "docs", "tests"].contains(&name.as_str());
            let skipped = name.ends_with("/target") || entry.path().is_symlink();
            if kind.is_dir() && of_interest && !skipped {
                directories.push(name);
            } else if kind.is_file() && wanted(Path::new(&name)) {
                found.push(TextFile { text: read(&name), name });
            }
        }
    }
    found
}

/// The lines outside code blocks and tables, with their numbers.
pub(crate) fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().zip(1..).filter_map(move |(line, number)| {
        let start = line.trim_start();
        if start.starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced && !start.starts_with('|')).then_some((number, line))
    })
}
