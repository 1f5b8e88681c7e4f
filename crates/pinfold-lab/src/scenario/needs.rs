//! Which interface of a kernel each step goes through, where some release does not have it.
//!
//! The one place that a new step or word has to fill in: no arm stands for "all others". What is
//! not named here every release has, from [`Release::OLDEST`](pinfold::rules::Release::OLDEST) on.
//! The dates are in [`Interface`], and in facts 7.15.

use pinfold::rules::{Interface, Rules};

use super::ast::{Action, Behind, Pages, Scenario, Step, UffdWp};
use super::error::{Code, ScenarioError};
use super::words::{Advice, Sharing, UffdReason, UffdWord};

/// The interfaces that the steps go through and that `rules` do not have, each once, in the order
/// of the text.
pub(crate) fn absent_interfaces(scenario: &Scenario, rules: &Rules) -> Vec<Interface> {
    let mut absent = Vec::new();
    for interface in scenario.steps().flat_map(|step| needed(scenario, &step.action)) {
        if !interface.exists(rules) && !absent.contains(&interface) {
            absent.push(interface);
        }
    }
    absent
}

/// The first step, in the order of the text, that goes through an interface that `rules` do not
/// have: such a scenario cannot be asked about under these rules. A step that must fail is no
/// exception, since no kernel without the interface says how.
pub(crate) fn check_interfaces(scenario: &Scenario, rules: &Rules) -> Option<ScenarioError> {
    scenario.steps().find_map(|step| {
        let absent = needed(scenario, &step.action)
            .into_iter()
            .find(|interface| !interface.exists(rules))?;
        Some(refusal(step, absent, rules))
    })
}

fn refusal(step: &Step, absent: Interface, rules: &Rules) -> ScenarioError {
    let variant = absent.variant();
    let (verb, since) = (step.action.verb(), variant.since);
    // Some names are of several calls.
    let exists = if absent.name().contains(" and ") { "exist" } else { "exists" };
    ScenarioError::new(
        Code::Absent,
        step.span.0,
        format!("{verb}: {absent} {exists} since {since}, and not under {rules}"),
        format!("not before {since}"),
    )
    .help(format!("ask under {since} or later, or add `interfaces={}` to the rules", variant.name))
}

/// What a step needs beside what every release has; each of its words may need something.
fn needed(scenario: &Scenario, action: &Action) -> Vec<Interface> {
    match action {
        Action::Advise { advice, .. } => match advice.value {
            Advice::WipeOnFork | Advice::KeepOnFork => vec![Interface::WipeOnFork],
            Advice::Free => vec![Interface::MadvFree],
            // DONTFORK and DOFORK came with 2.6.16, MERGEABLE and UNMERGEABLE with 2.6.32, HUGEPAGE
            // and NOHUGEPAGE with 2.6.38.
            // COLD came with 5.4; before, it stands for pages that were not used for long.
            Advice::Cold
            | Advice::DontNeed
            | Advice::DontFork
            | Advice::DoFork
            | Advice::HugePage
            | Advice::NoHugePage
            | Advice::Merge
            | Advice::Unmerge => Vec::new(),
        },
        Action::Pin { .. } | Action::Unpin { .. } => vec![Interface::PinUserPages],
        Action::NumaScan { .. } | Action::NumaTick { .. } => vec![Interface::NumaBalancing],
        Action::ClearRefs => vec![Interface::SoftDirty],
        Action::Populate { .. } => vec![Interface::Populate],
        Action::UffdRegister { pages, modes } => {
            let mut all = vec![Interface::Userfaultfd];
            all.extend(is_shared(scenario, pages).then_some(Interface::UserfaultfdShared));
            all.extend(modes.iter().filter_map(|mode| of_mode(mode.value)));
            all
        }
        Action::UffdUnregister { .. } | Action::UffdZero { .. } => vec![Interface::Userfaultfd],
        Action::UffdCopy { wp, .. } | Action::UffdContinue { wp, .. } => match wp {
            UffdWp::Off => vec![Interface::Userfaultfd],
            UffdWp::On => vec![Interface::UserfaultfdWp],
        },
        Action::UffdProtect { .. } | Action::UffdUnprotect { .. } => {
            vec![Interface::UserfaultfdWp]
        }
        Action::UffdWait { reason, .. } => match reason.value {
            UffdReason::Missing | UffdReason::Minor => vec![Interface::Userfaultfd],
            UffdReason::Wp => vec![Interface::UserfaultfdWp],
        },
        // An address is a hint before MAP_FIXED_NOREPLACE (4.17): where something is mapped, the
        // program finds itself elsewhere and gives up. A file in memory is one of tmpfs before
        // memfd_create (3.17). Charges move since 2.6.34. Kernels split huge pages as long as there
        // are any, whoever asks for it. Before MADV_PAGEOUT (5.4) no program asked for pages to go,
        // but they went when memory was short.
        Action::Map { .. }
        | Action::Unmap { .. }
        | Action::Remap { .. }
        | Action::Break { .. }
        | Action::Protect { .. }
        | Action::Write { .. }
        | Action::Read { .. }
        | Action::DeviceWrite { .. }
        | Action::DeviceRead { .. }
        | Action::Get { .. }
        | Action::Put { .. }
        | Action::Follow { .. }
        | Action::Unfollow { .. }
        | Action::Fork { .. }
        | Action::Exit
        | Action::Migrate { .. }
        | Action::MovePages { .. }
        | Action::Mbind { .. }
        | Action::Offline { .. }
        | Action::Online { .. }
        | Action::Compact { .. }
        | Action::Pageout { .. }
        | Action::Swapoff
        | Action::Reclaim { .. }
        | Action::LruDrain { .. }
        | Action::Ksm { .. }
        | Action::Writeback { .. }
        | Action::Signal { .. }
        | Action::Await { .. }
        | Action::Clone { .. }
        | Action::Vfork { .. }
        | Action::Exec
        | Action::Mlock { .. }
        | Action::Munlock { .. }
        | Action::FileWrite { .. }
        | Action::FileRead { .. }
        | Action::Truncate { .. }
        | Action::Punch { .. }
        | Action::Sync { .. }
        | Action::Join { .. }
        | Action::MoveCharge { .. }
        | Action::SplitFolio { .. }
        | Action::SplitDeferred
        | Action::Collapse { .. }
        | Action::Note { .. }
        | Action::TryGet { .. }
        | Action::GetPage { .. }
        | Action::DirectRead { .. }
        | Action::DirectWrite { .. }
        | Action::PtraceRead { .. }
        | Action::PtraceWrite { .. } => Vec::new(),
        Action::VmRead { .. } | Action::VmWrite { .. } => vec![Interface::ProcessVm],
    }
}

/// What a word of `uffd-register` needs beside a userfaultfd. Modes and features that later
/// releases added one by one, and that a kernel refuses by itself, are the switch `uffd`.
fn of_mode(mode: UffdWord) -> Option<Interface> {
    match mode {
        UffdWord::Wp => Some(Interface::UserfaultfdWp),
        UffdWord::EventFork | UffdWord::EventRemap => Some(Interface::UserfaultfdEvents),
        UffdWord::Missing | UffdWord::Minor | UffdWord::Unpopulated => None,
    }
}

/// Whether some area of that name is of shared memory: anonymous, or of a file in memory.
fn is_shared(scenario: &Scenario, pages: &Pages) -> bool {
    scenario.steps().any(|step| match &step.action {
        Action::Map { area, sharing, of, .. } if area == &pages.area => {
            let file = of.as_ref().and_then(|shown| {
                scenario.machine.files.iter().find(|file| file.name == shown.file)
            });
            match sharing.value {
                Sharing::Private | Sharing::Stack | Sharing::Hugetlb => {
                    file.is_some_and(|file| file.behind == Behind::Memory)
                }
                Sharing::Shared | Sharing::File => true,
            }
        }
        _ => false,
    })
}
