//! Which events projections leave out, as the log has it.

use std::collections::{BTreeMap, BTreeSet};

use cqrs_es::Aggregate;
use cqrs_es::persist::EventUpcaster;
use domain::operations::skips::Skips;
use event_log::keys::Keys;
use event_log::reader::{ReadError, Reader};
use serde::de::Error;

use crate::fact::{Event, read_page};

/// Positions of skipped events by the name of the projection that leaves them out.
pub type Skipped = BTreeMap<String, BTreeSet<i64>>;

/// All skips that were ever recorded.
pub async fn read(
    reader: &Reader,
    keys: &Keys,
    upcasters: &[Box<dyn EventUpcaster>],
) -> Result<Skipped, ReadError> {
    let recorded = reader.streams(Skips::TYPE).await?;
    let mut streams: BTreeMap<String, Skips> = BTreeMap::new();
    for fact in read_page(keys, upcasters, recorded, |_| true).await? {
        // to go on without knowing what is left out would make other rows than before
        let event = fact.event.map_err(serde_json::Error::custom)?;
        if let Event::Skips(event) = event {
            streams
                .entry(fact.recorded.aggregate_id.clone())
                .or_default()
                .apply(event);
        }
    }
    Ok(streams
        .into_iter()
        .map(|(projection, skips)| (projection, skips.positions()))
        .collect())
}
