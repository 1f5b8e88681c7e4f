//! The first files of a virtual machine (initramfs, in the form `newc` of cpio): this program as
//! `/init`, with the libraries that it needs, and places to mount on.
//!
//! A program that is not statically linked brings its loader and its libraries, as they are on this
//! machine. Of the program only the parts that are loaded are taken, not what is for debuggers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where libraries are.
pub(crate) const LIBRARIES: &str = "/lib";
/// Directories that are mounted on.
const PLACES: [&str; 3] = ["proc", "sys", "dev"];
/// The kinds and rights of what is packed.
const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// An archive under way.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, contents: &[u8]) {
        self.entries += 1;
        let number = |value: usize| format!("{value:08X}");
        // Number, mode, owner, group, links, time, size, four numbers of devices, length of the
        // name, and a sum that this form does not use.
        let fields = [
            self.entries as usize,
            mode as usize,
            0,
            0,
            1,
            0,
            contents.len(),
            0,
            0,
            0,
            0,
            name.len() + 1,
            0,
        ];
        self.bytes.extend(b"070701");
        self.bytes.extend(fields.into_iter().flat_map(|field| number(field).into_bytes()));
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// A file with the directories above it.
    fn add_below(&mut self, made: &mut Vec<String>, path: &str, contents: &[u8]) {
        let path = path.trim_start_matches('/');
        for (at, _) in path.match_indices('/') {
            let directory = path[..at].to_owned();
            if !made.contains(&directory) {
                self.add(&directory, DIRECTORY, &[]);
                made.push(directory);
            }
        }
        self.add(path, PROGRAM, contents);
    }
}

/// The first files, with this program and these libraries.
///
/// # Errors
/// When a file cannot be read, or the program is not one of this machine.
pub(crate) fn files(program: &Path, libraries: &[PathBuf]) -> io::Result<Vec<u8>> {
    let bytes = fs::read(program)?;
    let parts = parts(&bytes)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no ELF program of 64 bits"))?;
    let mut archive = Archive::default();
    let mut made = Vec::new();
    for place in PLACES {
        archive.add(place, DIRECTORY, &[]);
    }
    archive.add("init", PROGRAM, &bytes[..parts.end]);
    if let Some(loader) = parts.loader {
        archive.add_below(&mut made, &loader, &fs::read(&loader)?);
        for library in libraries {
            let Some(name) = library.file_name().and_then(|name| name.to_str()) else { continue };
            let place = format!("{LIBRARIES}/{name}");
            if place != loader {
                archive.add_below(&mut made, &place, &fs::read(library)?);
            }
        }
    }
    archive.add("TRAILER!!!", 0, &[]);
    Ok(archive.bytes)
}

/// What of a program is loaded.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    /// Where the last part ends.
    end: usize,
    /// The loader that it asks for; none if it needs none.
    loader: Option<String>,
}

/// Reads the table of parts of an ELF file of 64 bits, least byte first.
fn parts(file: &[u8]) -> Option<Parts> {
    const LOADER: u64 = 3;
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let field = file.get(at..at.checked_add(bytes)?)?;
        Some(field.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(number(32, 8)?).ok()?;
    let (size, count) = (number(54, 2)? as usize, number(56, 2)? as usize);
    let mut parts = Parts { end: table.checked_add(size * count)?, loader: None };
    for part in 0..count {
        let at = table + part * size;
        let start = usize::try_from(number(at + 8, 8)?).ok()?;
        let end = start.checked_add(usize::try_from(number(at + 32, 8)?).ok()?)?;
        parts.end = parts.end.max(end);
        if number(at, 4)? == LOADER {
            let name = file.get(start..end)?.split(|byte| *byte == 0).next()?;
            parts.loader = Some(String::from_utf8(name.to_vec()).ok()?);
        }
    }
    (parts.end <= file.len()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::{Archive, files, parts};

    #[test]
    fn an_entry_is_written_as_the_form_says() {
        let mut archive = Archive::default();
        archive.add_below(&mut Vec::new(), "/lib/a", b"xyz");
        let text = String::from_utf8(archive.bytes).expect("text");
        assert_eq!(text.len() % 4, 0);
        assert!(text.starts_with("07070100000001000041ED"), "{text}");
        let second = text.rfind("070701").expect("the file");
        let size = &text[second + 6 + 6 * 8..][..8];
        assert_eq!((size, text.ends_with("lib/a\0xyz\0")), ("00000003", true), "{text}");
    }

    #[test]
    fn only_programs_are_packed() {
        assert_eq!(parts(b"#!/bin/sh\n"), None);
        assert_eq!(parts(&[0; 100]), None);
        assert_eq!(parts(b"\x7fELF\x02\x01"), None);
        let mut lying = vec![0; 64];
        lying[..6].copy_from_slice(b"\x7fELF\x02\x01");
        lying[32..40].fill(0xff);
        assert_eq!(parts(&lying), None);
        assert!(files("/nowhere".as_ref(), &[]).is_err());
    }

    #[test]
    fn the_parts_of_this_program_are_found() {
        let own = std::env::current_exe().and_then(std::fs::read).expect("this program");
        if own.starts_with(b"\x7fELF\x02\x01") {
            let parts = parts(&own).expect("its parts");
            assert!(parts.end > 4096 && parts.end <= own.len(), "{parts:?}");
        }
    }
}
