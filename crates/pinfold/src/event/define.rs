//! The macro that turns the table of events into code, so that the name of an event, its text and
//! the rule that decided it are written once, beside its variant.

/// The pattern of a variant with its fields bound, whatever its shape.
macro_rules! bound {
    ($Variant:ident) => { Self::$Variant };
    ($Variant:ident ($field:ident)) => { Self::$Variant($field) };
    ($Variant:ident { $($field:ident)+ }) => { Self::$Variant { $($field),+ } };
}

/// The rule that decided an event, if one did.
macro_rules! rule {
    () => {
        None
    };
    ($Rule:ident) => {
        Some(Switch::$Rule)
    };
}

/// Under which rules an event can occur.
macro_rules! under {
    (always) => {
        |_| true
    };
    ($($condition:tt)+) => {
        $($condition)+
    };
}

/// Defines the events. For each: documentation; the variant, with one field in parentheses, several
/// in braces, or none; its name in scenarios; its [`Weight`](super::Weight) with its text, as
/// `write!` takes it; `under` which rules it can occur, `always` or a condition on them; and, where
/// a rule decided it, `decided by`, that switch, and what it decided.
macro_rules! events {
    ($(
        $(#[doc = $doc:literal])+
        $Variant:ident
            $(($one:ident: $One:ty))?
            $({ $($(#[doc = $part:literal])+ $field:ident: $Field:ty,)+ })?
            = $name:literal: $Weight:ident($($text:tt)+), under($($under:tt)+)
            $(, decided by $Rule:ident($($decision:tt)+))?;
    )+) => {
        /// The kinds of events. Names in a scenario are [`EventKind::name`].
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[non_exhaustive]
        pub enum EventKind {
            $(
                $(#[doc = $doc])+
                #[doc = ""]
                #[doc = concat!("Named `", $name, "`.")]
                $Variant $(($One))? $({ $($(#[doc = $part])+ $field: $Field,)+ })?,
            )+
        }

        impl EventKind {
            /// Every kind, in the order of this page.
            pub const ALL: &'static [EventInfo] = &[$(EventInfo {
                name: $name,
                doc: concat!($($doc),+),
                weight: Weight::$Weight,
                rule: rule!($($Rule)?),
                occurs: under!($($under)+),
            }),+];

            /// Every name that [`EventKind::name`] gives.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The event's name in scenarios and traces.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$Variant { .. } => $name,)+
                }
            }

            /// Whether the event deserves a line of a trace.
            pub const fn weight(&self) -> Weight {
                match self {
                    $(Self::$Variant { .. } => Weight::$Weight,)+
                }
            }

            /// The switch that decided that this happens rather than something else, if one did.
            /// [`EventKind::decision`] says what it decided.
            pub const fn rule(&self) -> Option<Switch> {
                match self {
                    $(Self::$Variant { .. } => rule!($($Rule)?),)+
                }
            }

            /// Writes what the rule decided; nothing if no rule did.
            #[allow(unused_variables, reason = "a decision names some of the fields")]
            fn write_decision(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(bound!($Variant $(($one))? $({ $($field)+ })?) => {
                        $(write!(f, $($decision)+)?;)?
                    })+
                }
                Ok(())
            }
        }

        impl fmt::Display for EventKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(bound!($Variant $(($one))? $({ $($field)+ })?) => write!(f, $($text)+),)+
                }
            }
        }
    };
}

pub(super) use {bound, events, rule, under};
