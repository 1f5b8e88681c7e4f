//! Which lane runs next: the strategies.

mod ahead;
mod choose;
mod dependence;
mod dpor;
mod future;
mod naive;
mod random;
mod rule;
mod script;
mod states;
mod strategy;
mod touch;

pub use ahead::Ahead;
pub(crate) use choose::strategy;
pub(crate) use dpor::Dpor;
pub(crate) use naive::Naive;
pub(crate) use rule::Rule;
pub(crate) use script::Script;
pub use states::States;
pub(crate) use strategy::{
    Advance, Dividing, Foreseen, Frontier, Moment, Note, Outlook, Past, Pick, Resumable, Seat,
    Strategy,
};
pub(crate) use touch::Touch;

#[cfg(test)]
pub(crate) mod mutants;
