//! Stories of gamification.
