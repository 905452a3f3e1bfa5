//! Stories of exams.
