//! The one way in which the command reads files, and the one way in which it writes them.
//!
//! INV-FILES-1: no more of a file is read than the most that it may have; a recording, which may
//! have any length, is read as a stream.
//! INV-FILES-2: a regular file is never seen half-written: the new content is written to a file
//! beside it, is on the disk, and then takes its name; mode and, where that is allowed, owner stay.
//! A disk that is full leaves the old content.
//! INV-FILES-3: a link is followed, and what it leads to is written. What is no regular file, such
//! as a pipe or a terminal, is written through and stays what it is; so is a file that is already
//! this process's standard output or standard error.
//! INV-FILES-4: a file counts as written only when the system has taken all of it.
//! INV-FILES-5: a file that is needed only for a while is a new one, and takes nothing's place.

use crate::failure::Failure;
use crate::show;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process;

#[cfg(test)]
mod tests;

/// The most bytes of a scenario or of a table of expected cells; the longest that ship have a few
/// thousand.
pub(crate) const MOST_TEXT: u64 = 1 << 20;
/// The most bytes of a saved execution.
pub(crate) const MOST_SAVED: u64 = 1 << 26;
/// The most bytes of a part or checkpoint, which holds the positions of hundreds of jobs.
pub(crate) const MOST_PART: u64 = 1 << 28;
/// The most links from one name to another.
const MOST_LINKS: usize = 40;
/// The most names that are tried for the file beside.
const MOST_NAMES: u32 = 1_000;

/// Reads a text of at most `most` bytes.
///
/// # Errors
/// When the file cannot be read, is larger, or is not UTF-8.
pub(crate) fn read(path: &Path, most: u64) -> Result<String, Failure> {
    let unreadable = |why| Failure::Unreadable { path: show::path(path), why };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(Failure::TooLarge { path: show::path(path), most });
    }
    String::from_utf8(bytes).map_err(|why| {
        let at = why.utf8_error().valid_up_to();
        let why = io::Error::new(ErrorKind::InvalidData, format!("byte {at} is not UTF-8"));
        unreadable(why)
    })
}

/// Opens a text that may be of any length, to be read line by line.
///
/// # Errors
/// When the file cannot be opened.
pub(crate) fn stream(path: &Path) -> Result<BufReader<File>, Failure> {
    let unreadable = |why| Failure::Unreadable { path: show::path(path), why };
    File::open(path).map(BufReader::new).map_err(unreadable)
}

/// A file for the time that this process runs: a new one, which has lost its name again, so that
/// nothing is left of it however the process ends.
///
/// # Errors
/// When there is one of that name, or none can be made there.
pub(crate) fn scratch(path: &Path) -> Result<File, Failure> {
    let made = OpenOptions::new().read(true).write(true).create_new(true).open(path);
    let named = made.and_then(|file| fs::remove_file(path).map(|()| file));
    named.map_err(|why| Failure::SwapFile { path: show::path(path), why })
}

/// A file to be written.
#[derive(Debug)]
pub(crate) struct Output {
    /// Its name as shown to people.
    shown: String,
    to: To,
}

#[derive(Debug)]
enum To {
    /// A regular file, or none yet, by its name without links; and what to keep of it.
    Replace { target: PathBuf, old: Option<Metadata> },
    /// Anything else, open.
    Through(File),
}

impl Output {
    /// Checks that `path` can be written, before anything is done for what is to be written there.
    /// A pipe is opened, which waits for its reader.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let shown = show::path(path);
        match To::open(path) {
            Ok(to) => Ok(Self { shown, to }),
            Err(why) => Err(Failure::Unwritable { path: shown, why }),
        }
    }

    /// Whether a regular file is there already, which is to be replaced.
    pub(crate) fn replaces(&self) -> bool {
        matches!(self.to, To::Replace { old: Some(_), .. })
    }

    /// Writes all of it, a text or bytes.
    ///
    /// # Errors
    /// When the system does not take all of it. A regular file has its old content then.
    pub(crate) fn put(self, content: &(impl AsRef<[u8]> + ?Sized)) -> Result<(), Failure> {
        let Self { shown, to } = self;
        to.put(content.as_ref()).map_err(|why| Failure::Unwritable { path: shown, why })
    }
}

impl To {
    fn open(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(io::Error::from(ErrorKind::IsADirectory)),
            Ok(found) if is_disk(&found) => {
                Err(io::Error::new(ErrorKind::InvalidInput, "it is a block device"))
            }
            Ok(found) if !found.is_file() || is_ours(&found) => {
                OpenOptions::new().append(true).open(path).map(Self::Through)
            }
            Ok(found) => {
                // Who may not write the file may not replace it either.
                OpenOptions::new().append(true).open(path)?;
                Self::replacing(fs::canonicalize(path)?, Some(found))
            }
            Err(why) if why.kind() == ErrorKind::NotFound => Self::replacing(followed(path)?, None),
            Err(why) => Err(why),
        }
    }

    /// Makes sure that there can be a file beside it.
    fn replacing(target: PathBuf, old: Option<Metadata>) -> io::Result<Self> {
        let (_, beside) = beside(&target)?;
        fs::remove_file(beside)?;
        Ok(Self::Replace { target, old })
    }

    fn put(self, content: &[u8]) -> io::Result<()> {
        match self {
            Self::Through(mut file) => file.write_all(content).and_then(|()| file.flush()),
            Self::Replace { target, old } => {
                let (file, beside) = beside(&target)?;
                let put = fill(file, content, old.as_ref())
                    .and_then(|()| fs::rename(&beside, &target))
                    .and_then(|()| keep_name(&target));
                if put.is_err() {
                    // Report the first failure.
                    let _ = fs::remove_file(&beside);
                }
                put
            }
        }
    }
}

/// Writes a new file until it is on the disk.
fn fill(mut file: File, content: &[u8], old: Option<&Metadata>) -> io::Result<()> {
    if let Some(old) = old {
        keep_owner(&file, old);
        let mode: Permissions = old.permissions();
        file.set_permissions(mode)?;
    }
    file.write_all(content)?;
    file.sync_all()
}

/// A new file in the same directory, and its name.
fn beside(target: &Path) -> io::Result<(File, PathBuf)> {
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    for number in 0..MOST_NAMES {
        let name = directory.join(format!(".pinfold-{}-{number}.new", process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&name) {
            Err(why) if why.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|file| (file, name)),
        }
    }
    Err(io::Error::from(ErrorKind::AlreadyExists))
}

/// Where a name leads that leads to no file yet.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                let to = fs::read_link(&path)?;
                path = path.parent().map_or_else(|| to.clone(), |parent| parent.join(&to));
            }
            Ok(_) => return Ok(path),
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(path),
            Err(why) => return Err(why),
        }
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "it is a link to itself"))
}

#[cfg(unix)]
fn is_disk(found: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    found.file_type().is_block_device()
}

/// Whether it is what this process writes its results or complaints to: `/dev/stdout` leads there.
#[cfg(unix)]
fn is_ours(found: &Metadata) -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    let same = |file: io::Result<File>| {
        let other = file.and_then(|file| file.metadata());
        other.is_ok_and(|other| (other.dev(), other.ino()) == (found.dev(), found.ino()))
    };
    let (out, err) = (io::stdout(), io::stderr());
    same(out.as_fd().try_clone_to_owned().map(File::from))
        || same(err.as_fd().try_clone_to_owned().map(File::from))
}

/// Gives a new file the owner of the old one, where the system allows that.
#[cfg(unix)]
fn keep_owner(file: &File, old: &Metadata) {
    use std::os::unix::fs::{MetadataExt, fchown};
    let _ = fchown(file, Some(old.uid()), Some(old.gid()));
}

/// Has the directory's new entry on the disk, too. Some file systems cannot.
#[cfg(unix)]
fn keep_name(target: &Path) -> io::Result<()> {
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Ok(directory) = File::open(directory.unwrap_or(Path::new("."))) {
        let _ = directory.sync_all();
    }
    Ok(())
}

#[cfg(not(unix))]
fn is_disk(_found: &Metadata) -> bool {
    false
}

#[cfg(not(unix))]
fn is_ours(_found: &Metadata) -> bool {
    false
}

#[cfg(not(unix))]
fn keep_owner(_file: &File, _old: &Metadata) {}

#[cfg(not(unix))]
fn keep_name(_target: &Path) -> io::Result<()> {
    Ok(())
}
