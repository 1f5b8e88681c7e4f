use super::*;
use crate::scenario::{Style, parse, render};
use std::fs;
use std::path::Path;

/// The names of the shipped files with this ending, in order.
fn names_of_files(ending: &str) -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn names(files: &[Shipped]) -> Vec<&str> {
    files.iter().map(|file| file.name).collect()
}

#[test]
fn every_file_of_the_directory_is_in_the_table() {
    assert_eq!(names(SCENARIOS), names_of_files("pf"));
    assert_eq!(names(VERDICTS), names_of_files("txt"));
}

#[test]
fn every_incident_is_named_after_its_file_and_says_what_it_is_about() {
    for Shipped { name, text } in SCENARIOS {
        let scenario = parse(text)
            .unwrap_or_else(|errors| panic!("{}", render(&errors, text, name, Style::Plain)));
        assert_eq!(scenario.name.value, *name);
        assert!(scenario.title.is_some() && !scenario.about.is_empty(), "{name}");
    }
}

#[test]
fn every_incident_has_its_verdicts() {
    let table = Shipped::find(VERDICTS, "verdicts").unwrap().text;
    let cells = table.lines().skip_while(|line| !line.starts_with("scenario ")).skip(1);
    let rows: Vec<&str> = cells.filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(rows, names(SCENARIOS));
}
