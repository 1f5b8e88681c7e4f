//! Saved executions: `DIR/ID/replay.json`.
//!
//! A file appears whole or not at all, even when two checks save the same execution at once.

use crate::args::SAVED;
use crate::failure::Failure;
use crate::files::Output;
use crate::show;
use pinfold_lab::saved::ReplayFile;
use std::fs;
use std::path::{Path, PathBuf};

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
        show::path(self.directory.join(&self.id))
    }

    /// How to name it to `pinfold replay`.
    pub(crate) fn argument(&self) -> String {
        if self.directory == Path::new(SAVED) {
            self.id.clone()
        } else {
            show::quoted(&self.shown())
        }
    }
}

/// Saves an execution under `directory`.
///
/// # Errors
/// When the system does not allow it.
pub(crate) fn write(file: &ReplayFile, directory: &Path) -> Result<Place, Failure> {
    let place = Place { id: file.id.clone(), directory: directory.to_owned() };
    let text = serde_json::to_string_pretty(file).map_err(Failure::Json)? + "\n";
    let directory = directory.join(&place.id);
    let unsaved = |why| Failure::Unsaved { path: place.shown(), why };
    fs::create_dir_all(&directory).map_err(unsaved)?;
    let put = Output::open(&directory.join(FILE)).and_then(|output| output.put(&text));
    match put {
        Err(Failure::Unwritable { why, .. }) => Err(unsaved(why)),
        Err(other) => Err(other),
        Ok(()) => Ok(place),
    }
}

/// The file that is meant: a file, a directory with one in it, or an id in `directory`; the latest
/// in `directory` if none is given.
///
/// # Errors
/// When there is no such file.
pub(crate) fn find(asked: Option<&Path>, directory: &Path) -> Result<PathBuf, Failure> {
    let found = match asked {
        None => latest(directory),
        Some(path) => {
            let candidates = [path.to_owned(), path.join(FILE), directory.join(path).join(FILE)];
            candidates.into_iter().find(|candidate| candidate.is_file())
        }
    };
    found.ok_or_else(|| Failure::NoReplay {
        asked: asked.map(show::path),
        directory: show::path(directory),
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
