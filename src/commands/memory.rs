//! States that were used last, so that a command need not read its stream.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_log::log::Loaded;
use lru::LruCache;

/// States of one kind of aggregate that are kept.
const STATES: NonZeroUsize = NonZeroUsize::new(2_048).unwrap();
/// Longest stream whose state is kept.
const LONGEST: i64 = 10_000;

/// The states of one kind of aggregate by id, as of the last event that this process knows of.
#[derive(Debug)]
pub(super) struct Memory<A>(Mutex<LruCache<String, Arc<Loaded<A>>>>);

impl<A> Default for Memory<A> {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(STATES)))
    }
}

impl<A> Memory<A> {
    fn states(&self) -> MutexGuard<'_, LruCache<String, Arc<Loaded<A>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Loaded<A>>> {
        self.states().get(id).cloned()
    }

    /// Keeps a state, unless a later one is kept already.
    pub(super) fn keep(&self, id: &str, loaded: &Arc<Loaded<A>>) {
        if !(1..=LONGEST).contains(&loaded.sequence) {
            return;
        }
        let mut states = self.states();
        let known = states.peek(id).map_or(0, |kept| kept.sequence);
        if known < loaded.sequence {
            states.put(id.to_owned(), Arc::clone(loaded));
        }
    }

    pub(super) fn forget(&self, id: &str) {
        self.states().pop(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_state_does_not_take_the_place_of_a_later_one() {
        let memory = Memory::default();
        for (state, sequence) in [("first", 1), ("third", 3), ("second", 2), ("none", 0)] {
            memory.keep("a", &Arc::new(Loaded { state, sequence }));
        }
        assert_eq!(memory.get("a").map(|kept| kept.state), Some("third"));
        memory.forget("a");
        assert!(memory.get("a").is_none());
    }
}
