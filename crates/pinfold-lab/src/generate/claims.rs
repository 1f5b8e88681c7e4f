//! What can be looked at after a program.

use std::collections::BTreeSet;

use super::steps::{Act, FILES, FilePage, HEAP, Page, STACK, Step};

/// Every line that can be stated after these steps and is of interest: each word that a process or
/// a handle may find, and who leads to one frame with whom.
pub(super) fn claims(steps: &[&Step]) -> Vec<String> {
    let mut words = vec!["0".to_owned()];
    let mut processes = vec!["P"];
    let mut pages = Vec::new();
    let mut handles = Vec::new();
    let mut dropped = Vec::new();
    let mut files = BTreeSet::new();
    // The most pages below the program break.
    let mut highest = 0;
    // These have none of the areas any more.
    let mut executed = Vec::new();
    for step in steps {
        match &step.act {
            Act::Map { area, pages: count, .. } => {
                pages.extend((0..*count).map(|page| Page { area, page }));
                files.extend(step.file());
            }
            Act::Stack(most) => pages.extend((0..*most).map(|page| Page { area: STACK.0, page })),
            Act::Break(count) => highest = highest.max(*count),
            Act::Write(_, word)
            | Act::DeviceWrite(_, word)
            | Act::Transfer { word, .. }
            | Act::FileWrite(_, word) => words.push(format!("w{word}")),
            Act::Remote { word, .. } => words.extend(word.map(|word| format!("w{word}"))),
            Act::Fork(child) | Act::Clone(child) => processes.push(child),
            Act::Exec => executed.push(step.process),
            Act::Take { page, handle, .. } => handles.push((*handle, *page, step.process)),
            Act::Drop { handle, .. } => dropped.push(*handle),
            Act::Unmap(_)
            | Act::UnmapAll(_)
            | Act::Protect(..)
            | Act::ProtectAll(..)
            | Act::Advise(..)
            | Act::AdviseAll(..)
            | Act::Split(_)
            | Act::SplitDeferred
            | Act::ClearRefs
            | Act::Pageout(_)
            | Act::Swapoff
            | Act::Drain(_)
            | Act::Reclaim { .. }
            | Act::Collapse(_)
            | Act::Note(..)
            | Act::TryGet(..)
            | Act::Again { .. }
            | Act::Read(_)
            | Act::Exit
            | Act::Scan
            | Act::Replace { .. }
            | Act::Populate(..)
            | Act::Mlock(_)
            | Act::Munlock(_)
            | Act::Vfork(_)
            | Act::Migrate(..)
            | Act::Remap(..)
            | Act::Writeback(_)
            | Act::FileRead(_)
            | Act::Truncate(..)
            | Act::Punch(_)
            | Act::Sync(_)
            | Act::Join(_)
            | Act::MoveCharge(..) => {}
        }
    }
    pages.extend((0..highest).map(|page| Page { area: HEAP.0, page }));
    processes.retain(|process| !executed.contains(process));
    handles.retain(|(.., process)| !executed.contains(process));
    handles.retain(|(handle, ..)| !dropped.contains(handle));
    let mut claims = Vec::new();
    for file in FILES.iter().filter(|file| files.contains(file.name)) {
        for page in (0..file.pages).map(|page| FilePage { file: file.name, page }) {
            claims.extend(words.iter().map(|word| format!("{page} sees \"{word}\"")));
        }
    }
    for (handle, page, process) in &handles {
        claims.push(format!("h{handle} is {process}:{page}"));
    }
    for page in &pages {
        for pair in processes.windows(2) {
            claims.push(format!("{}:{page} is {}:{page}", pair[0], pair[1]));
        }
    }
    for word in &words {
        claims.extend(handles.iter().map(|(handle, ..)| format!("h{handle} sees \"{word}\"")));
    }
    for page in &pages {
        for process in &processes {
            claims.extend(words.iter().map(|word| format!("{process}:{page} sees \"{word}\"")));
        }
    }
    claims
}
