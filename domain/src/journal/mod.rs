//! A member's diary: entries in the member's own words, with how the day was rated, slept and worked.
//!
//! An **entry** is one stream with its own key, so that one entry can be erased by itself. What is
//! **derived** from its words (length, sentiment, patterns) is computed once, when they are written, and
//! kept in the event with the versions of what computed it. **Support** is not: whether a text names
//! self-harm is found out for the reply alone and stored nowhere.

pub mod entry;
mod lexicon;
pub mod patterns;
pub mod support;
