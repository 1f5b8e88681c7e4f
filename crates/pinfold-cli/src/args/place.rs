//! Where things are: failing executions, and the kernel to run on.

use std::path::PathBuf;

/// Where failing executions are saved, relative to the current directory.
pub(crate) const SAVED: &str = "target/pinfold";

/// On which kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// That of this machine.
    Here,
    /// One that is started in a virtual machine.
    Image(PathBuf),
}

impl std::str::FromStr for Where {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "linux" => Ok(Self::Here),
            Some(("linux", image)) if !image.is_empty() => Ok(Self::Image(image.into())),
            _ => Err("`linux` is needed, or `linux:IMAGE`".to_owned()),
        }
    }
}
