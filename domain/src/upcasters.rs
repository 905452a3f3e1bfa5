//! Upcasters: old event shapes to the present one, applied on read by every reader. None is needed yet;
//! CONTRIBUTING says how to add one.

use cqrs_es::persist::EventUpcaster;

/// All upcasters, oldest first.
pub fn all() -> Vec<Box<dyn EventUpcaster>> {
    Vec::new()
}
