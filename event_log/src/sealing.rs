//! Sealing: how personal values leave events and read models in the clear form and come back.
//!
//! In an event every `{"$personal": value}` is taken out, all of them are encrypted together, and
//! `{"$sealed": n}` stays in its place; `payload.$sealed` holds key id, nonce and ciphertext. A sealed
//! column of a read model is the bytes: form, key id, nonce, ciphertext.

use std::collections::{HashMap, HashSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::personal::{ERASED, KNOWN};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::keys::{DataKey, KeyError, Keys};

/// The member that holds the envelope at the top of a payload, and the place marks inside it.
pub const SEALED: &str = "$sealed";
/// First byte of a sealed column.
const COLUMN_FORM: u8 = 1;

/// Why a payload or a column does not open.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// The key is the trouble.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The envelope is not of a form this version knows.
    #[error("a sealed value has an unknown form")]
    Form,
}

/// Where a sealed payload belongs; bound into it as AAD, so that it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Kind of stream.
    pub aggregate_type: &'a str,
    /// Which stream.
    pub aggregate_id: &'a str,
    /// Place in the stream.
    pub sequence: i64,
    /// Kind of event.
    pub event_type: &'a str,
    /// Version of its shape.
    pub event_version: &'a str,
}

impl Place<'_> {
    fn aad(&self, key_id: Uuid) -> Vec<u8> {
        let Self {
            aggregate_type,
            aggregate_id,
            sequence,
            event_type,
            event_version,
        } = self;
        format!("{aggregate_type}|{aggregate_id}|{sequence}|{event_type}|{event_version}|{key_id}")
            .into_bytes()
    }
}

/// True when the payload holds a personal value that is still in the clear.
pub fn has_personal(payload: &Value) -> bool {
    match payload {
        Value::Object(map) => map.contains_key(KNOWN) || map.values().any(has_personal),
        Value::Array(items) => items.iter().any(has_personal),
        _ => false,
    }
}

/// Seals every personal value of `payload` in place; without any it stays as it is.
pub fn seal(payload: &mut Value, key: &DataKey, place: Place<'_>) -> Result<(), SealingError> {
    // the envelope needs an object of its own around the personal values
    if payload.get(KNOWN).is_some() {
        return Err(SealingError::Form);
    }
    let mut taken = Vec::new();
    take_out(payload, &mut taken);
    if taken.is_empty() {
        return Ok(());
    }
    let plain = zeroize::Zeroizing::new(Value::Array(taken).to_string());
    let sealed = key.seal(plain.as_bytes(), &place.aad(key.id))?;
    let (nonce, ciphertext) = sealed.split_at_checked(12).ok_or(SealingError::Form)?;
    let envelope = json!({
        "kid": key.id,
        "nonce": STANDARD.encode(nonce),
        "ciphertext": STANDARD.encode(ciphertext),
    });
    payload
        .as_object_mut()
        .ok_or(SealingError::Form)?
        .insert(SEALED.to_owned(), envelope);
    Ok(())
}

fn take_out(value: &mut Value, taken: &mut Vec<Value>) {
    match value {
        Value::Object(map) => {
            if let Some(personal) = map.remove(KNOWN) {
                map.clear();
                map.insert(SEALED.to_owned(), taken.len().into());
                taken.push(personal);
            } else {
                map.values_mut().for_each(|value| take_out(value, taken));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|value| take_out(value, taken)),
        _ => {}
    }
}

/// The id of the key that seals this payload, where it is sealed.
#[must_use]
pub fn key_id(payload: &Value) -> Option<Uuid> {
    payload.get(SEALED)?.get("kid")?.as_str()?.parse().ok()
}

/// Opens a payload in place. With a destroyed key every personal value becomes `{"$erased": true}`.
pub fn open(payload: &mut Value, key: &DataKey, place: Place<'_>) -> Result<(), SealingError> {
    let envelope = payload
        .as_object_mut()
        .and_then(|map| map.remove(SEALED))
        .ok_or(SealingError::Form)?;
    let part = |name: &str| {
        let text = envelope
            .get(name)
            .and_then(Value::as_str)
            .ok_or(SealingError::Form)?;
        STANDARD.decode(text).map_err(|_| SealingError::Form)
    };
    let sealed = [part("nonce")?, part("ciphertext")?].concat();
    let mut values = match key.open(&sealed, &place.aad(key.id))? {
        Some(plain) => {
            Some(serde_json::from_slice::<Vec<Value>>(&plain).map_err(|_| SealingError::Form)?)
        }
        None => None,
    };
    put_back(payload, values.as_deref_mut())
}

fn put_back(value: &mut Value, mut values: Option<&mut [Value]>) -> Result<(), SealingError> {
    match value {
        Value::Object(map) => {
            if let Some(mark) = map.remove(SEALED) {
                let Some(values) = values else {
                    map.insert(ERASED.to_owned(), true.into());
                    return Ok(());
                };
                let known = mark
                    .as_u64()
                    .and_then(|at| values.get_mut(usize::try_from(at).ok()?))
                    .ok_or(SealingError::Form)?;
                map.insert(KNOWN.to_owned(), known.take());
                return Ok(());
            }
            map.values_mut()
                .try_for_each(|value| put_back(value, values.as_deref_mut()))
        }
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|value| put_back(value, values.as_deref_mut())),
        _ => Ok(()),
    }
}

/// Replaces every sealed place by `null` and names it (as JSON Pointers), for those who may not open it.
pub fn redact(payload: &mut Value) -> Vec<String> {
    let mut named = Vec::new();
    if let Some(map) = payload.as_object_mut() {
        map.remove(SEALED);
    }
    redact_at(payload, "", &mut named);
    named
}

fn redact_at(value: &mut Value, pointer: &str, named: &mut Vec<String>) {
    match value {
        Value::Object(map) if map.contains_key(SEALED) => {
            named.push(pointer.to_owned());
            *value = Value::Null;
        }
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                let name = name.replace('~', "~0").replace('/', "~1");
                redact_at(value, &format!("{pointer}/{name}"), named);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter_mut().enumerate() {
                redact_at(value, &format!("{pointer}/{at}"), named);
            }
        }
        _ => {}
    }
}

/// Which cell of a read model a sealed column belongs to; the generation is left out on purpose.
#[derive(Clone, Copy)]
pub struct Cell<'a> {
    /// Marker of the table.
    pub table: &'static str,
    /// Name of the column.
    pub column: &'static str,
    /// What identifies the row.
    pub row: &'a dyn fmt::Display,
}

impl Cell<'_> {
    fn aad(&self) -> Vec<u8> {
        format!("{}|{}|{}", self.table, self.column, self.row).into_bytes()
    }
}

/// The stored bytes of a personal string in a read model.
pub fn seal_column(key: &DataKey, cell: Cell<'_>, plain: &str) -> Result<Vec<u8>, SealingError> {
    let sealed = key.seal(plain.as_bytes(), &cell.aad())?;
    Ok([&[COLUMN_FORM], key.id.as_bytes().as_slice(), &sealed].concat())
}

/// The key id in the stored bytes of a sealed column.
pub fn column_key_id(stored: &[u8]) -> Result<Uuid, SealingError> {
    match stored {
        [COLUMN_FORM, rest @ ..] => rest
            .first_chunk::<16>()
            .map(|id| Uuid::from_bytes(*id))
            .ok_or(SealingError::Form),
        _ => Err(SealingError::Form),
    }
}

/// Keys for a page of sealed columns, fetched together.
#[derive(Debug)]
pub struct Opener {
    keys: HashMap<Uuid, DataKey>,
}

impl Opener {
    /// Fetches every key that the given columns need.
    pub async fn fetch<'a>(
        keys: &Keys,
        columns: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, SealingError> {
        let ids: HashSet<Uuid> = columns
            .into_iter()
            .map(column_key_id)
            .collect::<Result<_, _>>()?;
        let ids: Vec<Uuid> = ids.into_iter().collect();
        Ok(Self {
            keys: keys.by_id(&ids).await?,
        })
    }

    /// The plain string; `None` when its key is destroyed.
    pub fn open(&self, stored: &[u8], cell: Cell<'_>) -> Result<Option<String>, SealingError> {
        let key = self
            .keys
            .get(&column_key_id(stored)?)
            .ok_or(KeyError::Missing)?;
        let sealed = stored.get(17..).ok_or(SealingError::Form)?;
        let Some(plain) = key.open(sealed, &cell.aad())? else {
            return Ok(None);
        };
        String::from_utf8(plain.to_vec())
            .map(Some)
            .map_err(|_| SealingError::Form)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::Secret;

    const PLACE: Place<'static> = Place {
        aggregate_type: "entry",
        aggregate_id: "a",
        sequence: 1,
        event_type: "entry_written",
        event_version: "1",
    };

    fn key() -> DataKey {
        DataKey::of(Uuid::max(), Some(&Secret::new([7; 32])))
    }

    /// Any JSON, with personal values anywhere below the top when `personal` is set.
    fn json(personal: bool) -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("JSON has no other", |number| number.is_finite())
                .prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            let known = inner.clone().prop_map(|value| json!({KNOWN: value}));
            let name = any::<String>().prop_filter("a mark", |name| !name.starts_with('$'));
            let members = prop::collection::btree_map(name, inner.clone(), 0..4);
            let object = members.prop_map(|members| Value::Object(members.into_iter().collect()));
            let list = prop::collection::vec(inner, 0..4).prop_map(Value::from);
            if personal {
                prop_oneof![object, list, known].boxed()
            } else {
                prop_oneof![object, list].boxed()
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_as_it_was(value in json(true), other in json(true)) {
            let plain = json!({"type": "entry_written", "value": value, "other": other});
            let mut stored = plain.clone();
            seal(&mut stored, &key(), PLACE)?;
            prop_assert!(!has_personal(&stored));
            prop_assert_eq!(stored.get(SEALED).is_some(), has_personal(&plain));
            // through the stored bytes, as the log keeps them
            let mut stored: Value = serde_json::from_str(&stored.to_string())?;
            if key_id(&stored).is_some() {
                open(&mut stored, &key(), PLACE)?;
            }
            prop_assert_eq!(stored, plain);
        }

        #[test]
        fn nothing_personal_is_left_in_the_clear(word in "[a-z]{12}", beside in json(false)) {
            let mut stored = json!({
                "type": "entry_written",
                "beside": beside,
                "in": [{"a": {KNOWN: {"text": word}}}, {KNOWN: [word]}],
            });
            seal(&mut stored, &key(), PLACE)?;
            prop_assert!(!stored.to_string().contains(&word));
            let mut redacted = stored.clone();
            prop_assert_eq!(redact(&mut redacted), vec!["/in/0/a".to_owned(), "/in/1".to_owned()]);
            let gone = DataKey::of(Uuid::max(), None);
            open(&mut stored, &gone, PLACE)?;
            prop_assert_eq!(&stored["in"], &json!([{"a": {ERASED: true}}, {ERASED: true}]));
            prop_assert_eq!(&stored["beside"], &beside);
        }

        #[test]
        fn a_changed_envelope_does_not_open(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut stored = json!({"type": "entry_written", "in": {KNOWN: "word"}});
            seal(&mut stored, &key(), PLACE)?;
            let text = stored[SEALED]["ciphertext"].as_str().unwrap_or_default();
            let mut bytes = STANDARD.decode(text).unwrap_or_default();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            stored[SEALED]["ciphertext"] = STANDARD.encode(bytes).into();
            prop_assert!(matches!(
                open(&mut stored, &key(), PLACE),
                Err(SealingError::Key(KeyError::Unopenable))
            ));
        }
    }

    #[test]
    fn the_same_words_are_sealed_differently_each_time() -> Result<(), SealingError> {
        let mut one = json!({"in": {KNOWN: "word"}});
        let mut other = one.clone();
        seal(&mut one, &key(), PLACE)?;
        seal(&mut other, &key(), PLACE)?;
        assert_ne!(one, other);
        Ok(())
    }

    #[test]
    fn a_payload_that_is_personal_as_a_whole_is_refused() {
        let sealed = seal(&mut json!({KNOWN: "word"}), &key(), PLACE);
        assert!(matches!(sealed, Err(SealingError::Form)));
    }

    #[test]
    fn a_hidden_place_is_named_by_a_json_pointer() -> Result<(), SealingError> {
        let mut payload = json!({"a/b": {"c~d": {KNOWN: 1}}});
        seal(&mut payload, &key(), PLACE)?;
        assert_eq!(redact(&mut payload), ["/a~1b/c~0d"]);
        Ok(())
    }

    #[test]
    fn broken_envelopes_are_errors() {
        for broken in [
            json!({}),
            json!([]),
            json!({SEALED: 1}),
            json!({SEALED: {"kid": Uuid::max(), "nonce": "!", "ciphertext": ""}}),
        ] {
            assert!(open(&mut broken.clone(), &key(), PLACE).is_err());
        }
        for broken in [&[][..], &[1], &[2; 17], &[1; 16]] {
            assert!(column_key_id(broken).is_err());
        }
    }
}
