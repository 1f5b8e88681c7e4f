//! `pinfold calls`: which system call takes what on a process's pages, and the words for it.

use super::Answer;
use crate::args::CallsArgs;
use crate::calls::Call;
use crate::console::Console;
use crate::failure::Failure;
use crate::render::calls as render;
use pinfold_lab::report::Verdict;

/// Lists them, or shows one.
///
/// # Errors
/// When there is no such call, or the result cannot be written.
pub(crate) fn calls(args: &CallsArgs, console: &mut Console) -> Answer {
    let look = console.look();
    let text = match &args.name {
        Some(name) => {
            let known = Call::named(name).ok_or_else(|| Failure::NoCall(name.clone()))?;
            render::one(known, look)
        }
        None => render::list(look),
    };
    console.print(&text)?;
    Ok(Verdict::Pass.exit_code())
}
