//! Saved executions: `DIR/ID/replay.json`.
//!
//! A file appears whole or not at all, even when two checks save the same execution at once: it is
//! written under another name and then renamed.

use crate::args::SAVED;
use crate::failure::Failure;
use crate::find::quoted;
use pinfold_lab::saved::ReplayFile;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

#[cfg(test)]
mod tests;

/// The name of the file in its directory.
pub(crate) const FILE: &str = "replay.json";

/// Where an execution was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The id, which names the directory.
    pub(crate) id: String,
    /// The directory of all of them.
    pub(crate) directory: PathBuf,
}

impl Place {
    /// The directory of the execution, as shown to people.
    pub(crate) fn shown(&self) -> String {
        self.directory.join(&self.id).display().to_string()
    }

    /// How to name it to `pinfold replay`.
    pub(crate) fn argument(&self) -> String {
        if self.directory == Path::new(SAVED) { self.id.clone() } else { quoted(&self.shown()) }
    }
}

/// Saves an execution under `directory`.
///
/// # Errors
/// When the system does not allow it.
pub(crate) fn write(file: &ReplayFile, directory: &Path) -> Result<Place, Failure> {
    let place = Place { id: file.id.clone(), directory: directory.to_owned() };
    let text = serde_json::to_string_pretty(file).map_err(Failure::Json)? + "\n";
    put(&directory.join(&place.id), &text)
        .map_err(|why| Failure::Unsaved { path: place.shown(), why })?;
    Ok(place)
}

fn put(directory: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let unfinished = directory.join(format!("{FILE}.{}", process::id()));
    let put =
        fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, directory.join(FILE)));
    if put.is_err() {
        // Report the first failure.
        let _ = fs::remove_file(&unfinished);
    }
    put
}

/// The file that is meant: a file, a directory with one in it, or an id in `directory`; the latest
/// in `directory` if none is given.
///
/// # Errors
/// When there is no such file.
pub(crate) fn find(asked: Option<&str>, directory: &Path) -> Result<PathBuf, Failure> {
    let found = match asked {
        None => latest(directory),
        Some(asked) => {
            let path = Path::new(asked);
            let candidates = [path.to_owned(), path.join(FILE), directory.join(path).join(FILE)];
            candidates.into_iter().find(|candidate| candidate.is_file())
        }
    };
    found.ok_or_else(|| Failure::NoReplay {
        asked: asked.map(str::to_owned),
        directory: directory.display().to_string(),
    })
}

/// The file that was written last.
fn latest(directory: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?;
    let files = entries.filter_map(|entry| {
        let path = entry.ok()?.path().join(FILE);
        let written = fs::metadata(&path).ok()?.modified().ok()?;
        Some((written, path))
    });
    files.max().map(|(_, path)| path)
}
