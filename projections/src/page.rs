//! Keyset cursors: an opaque place in a paged list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Most items of a page.
pub const MOST: i64 = 100;
/// Items of a page when nobody says how many.
pub const DEFAULT: i64 = 20;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// The items, at most as many as were asked for.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page from one row more than was asked for, which tells whether there is a next page.
    /// `place` is the sort key of an item, including its id.
    pub fn of<K: Serialize>(mut items: Vec<T>, limit: i64, place: impl Fn(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or_default();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more {
            items.last().map(|last| cursor(&place(last)))
        } else {
            None
        };
        Self { items, next }
    }

    /// The same page with other items.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(change).collect(),
            next: self.next,
        }
    }
}

/// The cursor after an item with this sort key.
pub fn cursor<K: Serialize>(place: &K) -> String {
    // a sort key is numbers, times and ids: it always serialises
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

/// The sort key in a cursor; `None` when nobody here made it.
pub fn place<K: DeserializeOwned>(cursor: &str) -> Option<K> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_has_a_cursor_that_leads_to_the_item_it_ended_with() {
        let page = Page::of(vec![3, 2, 1], 2, |item| *item);
        assert_eq!(page.items, [3, 2]);
        assert_eq!(page.next.as_deref().and_then(place::<i32>), Some(2));
    }

    #[test]
    fn the_last_page_has_none() {
        assert_eq!(Page::of(vec![3, 2], 2, |item| *item).next, None);
    }

    #[test]
    fn a_made_up_cursor_is_nobodys() {
        assert_eq!(place::<i64>("%%%"), None);
        assert_eq!(place::<i64>("AAAA"), None);
    }
}
