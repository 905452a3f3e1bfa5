//! Nodes of different versions of the program beside each other: each keeps to its own copy.

use std::sync::Arc;

use async_trait::async_trait;
use projections::audit::Audit;
use projections::fact::Fact;
use projections::projection::{Projection, ProjectionError, Writer};
use projections::projector::{Parts, Projector};

use super::{House, Tallies, until};
use crate::support::engines::{Outcome, each_engine, id};

/// The tallies of a later program, which counts everything twice.
#[derive(Debug)]
struct Twice(Arc<Tallies>);

#[async_trait]
impl Projection for Twice {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn version(&self) -> i64 {
        self.0.version() + 1
    }

    fn schema(&self) -> &'static str {
        self.0.schema()
    }

    fn handles(&self, aggregate_type: &str, event_type: &str) -> bool {
        self.0.handles(aggregate_type, event_type)
    }

    async fn project(
        &self,
        page: &[&Fact],
        writer: &mut Writer<'_>,
    ) -> Result<(), ProjectionError> {
        self.0.project(page, writer).await?;
        self.0.project(page, writer).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_never_write_one_generation_and_the_older_follows_while_it_runs() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let homes = installation.reopened().await?;
        let older = house.run(&house.homes).await?;
        house.known(10).await?;
        older.caught_up(10).await?;
        let new_id = id();
        let twice = Arc::new(Twice(Arc::clone(&house.tallies)));
        let projector = Projector::new(Parts {
            node: new_id,
            ..house.parts(&homes, vec![Arc::new(Audit), twice])
        });
        projector.prepare().await?;
        assert!(!projector.is_live(), "ready before its own version is");
        let newer = house.run_projector(projector).await?;
        for round in 1..=10 {
            house.known(5).await?;
            let head = house.head().await?;
            assert_eq!(head, 10 + 5 * round);
            older.caught_up(head).await?;
            assert_eq!(
                house.counted(&older.projector).await?,
                head,
                "the older one"
            );
        }
        until("the newer one is live", async || {
            Ok(newer.projector.is_live())
        })
        .await?;
        newer.caught_up(60).await?;
        assert_eq!(house.counted(&newer.projector).await?, 120, "the newer one");
        assert_eq!(house.counted(&older.projector).await?, 60);
        let rows = older.projector.generations().list().await?;
        let tallies: Vec<_> = rows
            .iter()
            .filter(|row| row.projection == "tallies")
            .collect();
        assert_eq!(tallies.len(), 2, "{tallies:?}");
        for row in tallies {
            assert_eq!(row.owner == Some(new_id), row.version == 2, "{row:?}");
        }

        // whoever else there is no more, the other goes on with its own and leaves the rest alone
        newer.end().await?;
        house.known(3).await?;
        older.caught_up(63).await?;
        assert_eq!(house.counted(&older.projector).await?, 63);
        let rows = older.projector.generations().list().await?;
        let abandoned = rows
            .iter()
            .find(|row| row.projection == "tallies" && row.version == 2)
            .ok_or("dropped")?;
        assert_eq!((abandoned.owner, abandoned.position), (None, 60));
        older.end().await?;
        homes.close().await;
        house.stop().await;
        Ok(())
    })
    .await
}
