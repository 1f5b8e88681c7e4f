use super::*;

/// A directory of a test's own.
fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("pinfold-files-{}-{name}", process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn put(path: &Path, text: &str) {
    Output::open(path).unwrap().put(text).unwrap();
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_made_or_replaced_and_nothing_is_left_beside_it() {
    let directory = directory("made");
    let file = directory.join("a.json");
    for text in ["first", "second"] {
        put(&file, text);
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
    drop(Output::open(&directory.join("b.json")).unwrap());
    assert_eq!(names(&directory), ["a.json"]);
    assert!(Output::open(&directory).is_err(), "a directory");
    assert!(Output::open(&directory.join("missing/a.json")).is_err());
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn no_more_is_read_than_allowed() {
    let directory = directory("large");
    let file = directory.join("a.pf");
    fs::write(&file, "0123456789").unwrap();
    assert_eq!(read(&file, 10).unwrap(), "0123456789");
    assert!(matches!(read(&file, 9), Err(Failure::TooLarge { most: 9, .. })));
    fs::write(&file, b"ab\xff").unwrap();
    let why = read(&file, 10).unwrap_err().to_string();
    assert!(why.contains("byte 2 is not UTF-8"), "{why}");
    fs::remove_dir_all(directory).unwrap();
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    use std::process::Command;

    #[test]
    fn links_are_followed_and_stay_links() {
        let directory = directory("links");
        let (real, link, chain) =
            (directory.join("real"), directory.join("link"), directory.join("chain"));
        fs::write(&real, "old").unwrap();
        symlink("real", &link).unwrap();
        symlink("link", &chain).unwrap();
        put(&chain, "new");
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        fs::remove_file(&real).unwrap();
        put(&chain, "again");
        assert_eq!(fs::read_to_string(&real).unwrap(), "again");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::symlink_metadata(&chain).unwrap().is_symlink());
        symlink("round", directory.join("round")).unwrap();
        assert!(Output::open(&directory.join("round")).is_err());
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_mode_is_kept() {
        let directory = directory("mode");
        let file = directory.join("a");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o604)).unwrap();
        put(&file, "new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o604);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_pipe_is_written_through_and_stays_a_pipe() {
        let directory = directory("pipe");
        let pipe = directory.join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = Command::new("cat").arg(&pipe).stdout(process::Stdio::piped()).spawn();
        put(&pipe, "through");
        assert_eq!(reader.unwrap().wait_with_output().unwrap().stdout, b"through");
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(names(&directory), ["pipe"]);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_device_is_written_through_and_stays_a_device() {
        put(Path::new("/dev/null"), "nothing");
        assert!(fs::symlink_metadata("/dev/null").unwrap().file_type().is_char_device());
    }
}
