//! Stories of journal.
