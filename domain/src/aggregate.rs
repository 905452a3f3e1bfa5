//! What every aggregate answers beside the cqrs-es traits.

use crate::claim::ClaimChange;
use crate::id::AccountId;
use crate::rejection::Rejection;

/// Whose key seals the personal fields of an aggregate's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyScope {
    /// The events hold nothing personal.
    Clear,
    /// The data subject's own key.
    Subject,
    /// A key of this stream alone, wrapped by the subject's, so that one stream can be erased by itself.
    Stream,
}

/// A consistency boundary: decides commands over the state folded from its own events.
///
/// Implement [`cqrs_es::Aggregate`] through [`aggregate!`](crate::aggregate!) so that `handle` is the
/// same four lines everywhere.
pub trait Aggregate: cqrs_es::Aggregate<Services = (), Error: Rejection> + Clone + 'static {
    /// Whose key seals this aggregate's events.
    const KEY_SCOPE: KeyScope;

    /// All rules of the aggregate: the events that follow from `command`, none when it changes nothing.
    fn decide(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// The data subject of this stream, known from its first event on. `None` for streams about nobody.
    fn subject(&self) -> Option<AccountId>;

    /// Claims that `event` takes or releases; `self` is the state before the event.
    fn claims(&self, _event: &Self::Event) -> Vec<ClaimChange> {
        Vec::new()
    }

    /// The rejection for a claim that another stream, `holder`, holds already.
    ///
    /// `None` when this aggregate takes no claim of that scope.
    #[must_use]
    fn claim_taken(_scope: &str, _holder: &str) -> Option<Self::Error> {
        None
    }

    /// True for the unsealed events that may still be appended for a subject whose erasure has started.
    fn erases(_event: &Self::Event) -> bool {
        false
    }
}

/// Implements [`cqrs_es::Aggregate`] for a type that implements [`Aggregate`] and has an inherent
/// `fn fold(&mut self, event: Event)`.
#[macro_export]
macro_rules! aggregate {
    ($aggregate:ty, $kind:literal, $command:ty, $event:ty, $error:ty) => {
        impl ::cqrs_es::Aggregate for $aggregate {
            const TYPE: &'static str = $kind;
            type Command = $command;
            type Event = $event;
            type Error = $error;
            type Services = ();

            async fn handle(
                &mut self,
                command: Self::Command,
                _services: &Self::Services,
                sink: &::cqrs_es::event_sink::EventSink<Self>,
            ) -> Result<(), Self::Error> {
                for event in $crate::Aggregate::decide(self, &command)? {
                    sink.write(event, self).await;
                }
                Ok(())
            }

            fn apply(&mut self, event: Self::Event) {
                self.fold(event);
            }
        }
    };
}

/// Implements [`cqrs_es::DomainEvent`] and `TYPES` for an event enum tagged in `snake_case`:
/// `event_types!(EntryEvent { EntryWritten: "entry_written" 1, … })`, the number being the event version.
#[macro_export]
macro_rules! event_types {
    ($event:ident { $($variant:ident : $tag:literal $version:literal),+ $(,)? }) => {
        impl $event {
            /// Every event type of this aggregate, with its current version.
            pub const TYPES: &'static [(&'static str, u16)] = &[$(($tag, $version)),+];
        }

        impl ::cqrs_es::DomainEvent for $event {
            fn event_type(&self) -> String {
                match self { $(Self::$variant { .. } => $tag.to_owned()),+ }
            }

            fn event_version(&self) -> String {
                match self { $(Self::$variant { .. } => stringify!($version).to_owned()),+ }
            }
        }
    };
}
