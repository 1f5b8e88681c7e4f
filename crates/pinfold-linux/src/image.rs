//! A kernel that a virtual machine can start: from a file, or from a Debian package.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};

/// The largest kernel that is read.
const MOST: u64 = 256 << 20;
/// How an archive of Debian begins.
const PACKAGE: &[u8] = b"!<arch>\n";
/// Where the header of a kernel for x86-64 has its mark, and the mark.
const MARK: (usize, &[u8]) = (0x202, b"HdrS");
/// The size of a block of a tar archive.
const BLOCK: usize = 512;

/// Why there is no kernel.
#[derive(Debug)]
pub enum ImageError {
    /// A file cannot be read.
    Unreadable(io::Error),
    /// It is neither a kernel nor a package.
    Neither,
    /// The package cannot be opened here.
    NoOpener(io::Error),
    /// The package has no kernel.
    NoKernel,
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "it cannot be read: {why}"),
            Self::Neither => f.write_str(
                "it is neither a kernel for x86-64 (bzImage, vmlinuz) nor a Debian package",
            ),
            Self::NoOpener(why) => write!(
                f,
                "a Debian package is opened with dpkg-deb, which does not start ({why}); \
                 take its boot/vmlinuz-* out by hand"
            ),
            Self::NoKernel => f.write_str("the package has no boot/vmlinuz-*"),
        }
    }
}

impl std::error::Error for ImageError {}

/// The kernel in a file.
///
/// # Errors
/// When there is none.
pub(crate) fn kernel(path: &Path) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    let mut file = File::open(path).map_err(ImageError::Unreadable)?;
    let head = (&mut file).take(PACKAGE.len() as u64).read_to_end(&mut bytes);
    head.map_err(ImageError::Unreadable)?;
    if bytes == PACKAGE {
        return of_package(path);
    }
    file.take(MOST).read_to_end(&mut bytes).map_err(ImageError::Unreadable)?;
    checked(bytes).ok_or(ImageError::Neither)
}

/// The bytes, if they are a kernel.
fn checked(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let (at, mark) = MARK;
    (bytes.get(at..at + mark.len()) == Some(mark)).then_some(bytes)
}

fn of_package(path: &Path) -> Result<Vec<u8>, ImageError> {
    let mut opener = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(ImageError::NoOpener)?;
    let found = match opener.stdout.take() {
        Some(archive) => of_archive(archive),
        None => Ok(None),
    };
    // What is left of the archive is not needed.
    let _ = opener.kill();
    let _ = opener.wait();
    let found = found.map_err(ImageError::Unreadable)?;
    found.and_then(checked).ok_or(ImageError::NoKernel)
}

/// The first file of a tar archive that is called as kernels are.
fn of_archive(mut archive: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; BLOCK];
    loop {
        match archive.read_exact(&mut head) {
            Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let name = text(&head[..100]);
        let size = u64::from_str_radix(text(&head[124..136]).trim(), 8).unwrap_or(0);
        let padded = size.div_ceil(BLOCK as u64) * BLOCK as u64;
        let file = name.rsplit('/').next().unwrap_or_default();
        if file.starts_with("vmlinuz") && size > 0 {
            let mut bytes = Vec::new();
            archive.take(size.min(MOST)).read_to_end(&mut bytes)?;
            return Ok(Some(bytes));
        }
        io::copy(&mut (&mut archive).take(padded), &mut io::sink())?;
    }
}

/// The text of a field, which ends with its first zero.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, ImageError, checked, kernel, of_archive};

    /// A tar archive of one file.
    fn archive(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut all = vec![0; BLOCK];
        all[..name.len()].copy_from_slice(name.as_bytes());
        all[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        all.extend(bytes);
        all.resize(all.len().next_multiple_of(BLOCK), 0);
        all
    }

    #[test]
    fn a_kernel_is_found_behind_other_files() {
        let mut all = archive("./boot/config-6", &[7; 700]);
        all.extend(archive("./boot/vmlinuz-6", b"kernel"));
        all.extend([0; 2 * BLOCK]);
        assert_eq!(of_archive(&all[..]).expect("an archive"), Some(b"kernel".to_vec()));
        let none = archive("./boot/config-6", b"vmlinuz");
        assert_eq!(of_archive(&none[..]).expect("an archive"), None);
        assert!(of_archive(&archive("x", &[7; 700])[..BLOCK + 5]).is_ok_and(|it| it.is_none()));
    }

    #[test]
    fn only_what_has_the_mark_is_a_kernel() {
        let mut bytes = vec![0; 0x300];
        assert!(checked(bytes.clone()).is_none());
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        assert!(checked(bytes).is_some());
        let neither =
            kernel(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml").as_path());
        assert!(matches!(neither, Err(ImageError::Neither)));
        assert!(matches!(kernel("/".as_ref()), Err(ImageError::Unreadable(_))));
    }
}
