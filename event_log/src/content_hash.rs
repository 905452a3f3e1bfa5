//! `content_hash`: SHA-256 over everything of an event that must not change, except where and when the
//! log put it. Sealed payloads are hashed as ciphertext, so erasure never breaks verification.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// First bytes of every hashed form; a change of the form changes this.
const DOMAIN: &[u8] = b"soulsense event v1";

/// The parts of an event that are hashed, as stored.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// Kind of stream.
    pub aggregate_type: &'a str,
    /// Which stream.
    pub aggregate_id: &'a str,
    /// Place in the stream, from 1.
    pub sequence: i64,
    /// Kind of event.
    pub event_type: &'a str,
    /// Version of the event's shape.
    pub event_version: &'a str,
    /// The stored bytes of the payload.
    pub payload: &'a str,
    /// The stored bytes of the metadata.
    pub metadata: &'a str,
    /// Id of the event.
    pub event_id: Uuid,
    /// See [`crate::Metadata`].
    pub correlation_id: Uuid,
    /// See [`crate::Metadata`].
    pub causation_id: Option<Uuid>,
    /// See [`crate::Metadata`].
    pub actor_id: &'a str,
    /// The data subject.
    pub subject_id: Option<Uuid>,
}

impl Content<'_> {
    /// SHA-256 over the length-prefixed (64-bit big-endian) parts in the order of the fields.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(DOMAIN);
        part(self.aggregate_type.as_bytes());
        part(self.aggregate_id.as_bytes());
        part(&self.sequence.to_be_bytes());
        part(self.event_type.as_bytes());
        part(self.event_version.as_bytes());
        part(self.payload.as_bytes());
        part(self.metadata.as_bytes());
        part(self.event_id.as_bytes());
        part(self.correlation_id.as_bytes());
        part(
            self.causation_id
                .as_ref()
                .map_or(&[][..], |id| id.as_bytes()),
        );
        part(self.actor_id.as_bytes());
        part(self.subject_id.as_ref().map_or(&[][..], |id| id.as_bytes()));
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content<'static> {
        Content {
            aggregate_type: "entry",
            aggregate_id: "a",
            sequence: 1,
            event_type: "entry_written",
            event_version: "1",
            payload: "{}",
            metadata: "{}",
            event_id: Uuid::nil(),
            correlation_id: Uuid::nil(),
            causation_id: None,
            actor_id: "x",
            subject_id: None,
        }
    }

    #[test]
    fn moving_a_byte_between_neighbouring_fields_changes_the_hash() {
        let one = Content {
            aggregate_type: "ab",
            aggregate_id: "c",
            ..content()
        };
        let other = Content {
            aggregate_type: "a",
            aggregate_id: "bc",
            ..content()
        };
        assert_ne!(one.hash(), other.hash());
    }

    #[test]
    fn every_field_counts() {
        let base = content().hash();
        for changed in [
            Content {
                sequence: 2,
                ..content()
            },
            Content {
                event_type: "entry_revised",
                ..content()
            },
            Content {
                event_version: "2",
                ..content()
            },
            Content {
                payload: "{} ",
                ..content()
            },
            Content {
                metadata: "{} ",
                ..content()
            },
            Content {
                event_id: Uuid::max(),
                ..content()
            },
            Content {
                correlation_id: Uuid::max(),
                ..content()
            },
            Content {
                causation_id: Some(Uuid::nil()),
                ..content()
            },
            Content {
                actor_id: "y",
                ..content()
            },
            Content {
                subject_id: Some(Uuid::nil()),
                ..content()
            },
        ] {
            assert_ne!(base, changed.hash());
        }
    }
}
