//! Who runs what: one node at a time, another within five seconds when it is gone, and its own writes for
//! every reader on any node.

use std::time::{Duration, Instant};

use reqwest::StatusCode;

use super::cluster::{Cluster, Person, is};
use crate::support::engines::Outcome;
use crate::support::story::within;

/// What the issue promises.
const REPLACED: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_wrote_every_other_shows_at_once() -> Outcome {
    Cluster::tell(async |cluster| {
        // the first one runs the projections of all
        let (one, other) = cluster
            .owner_and_survivor(async || cluster.serve().await)
            .await?;
        let asha = Person::register(&one, "asha").await?;
        for (writes, reads) in [(&one, &other), (&other, &one), (&other, &other)] {
            for _ in 0..5 {
                let entry = asha.write(writes).await?;
                let began = Instant::now();
                is(asha.read(reads, &entry).await?, StatusCode::OK).await?;
                assert!(began.elapsed() < Duration::from_secs(1), "not at once");
            }
        }
        // five entries a day earn something
        asha.earns(&one, 250).await?;
        asha.earns(&other, 250).await?;
        assert!(one.terminate().await?.success());
        assert!(other.terminate().await?.success());
        cluster.is_sound().await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_owner_is_replaced_within_five_seconds() -> Outcome {
    Cluster::tell(async |cluster| {
        let (owner, survivor) = cluster
            .owner_and_survivor(async || cluster.serve().await)
            .await?;
        let asha = Person::register(&owner, "asha").await?;
        let entry = asha.write(&owner).await?;
        asha.sees(&survivor, &entry).await?;
        asha.earns(&survivor, 50).await?;

        owner.kill().await?;
        let killed = Instant::now();
        let entry = asha.write(&survivor).await?;
        asha.sees(&survivor, &entry).await?;
        let seen = killed.elapsed();
        asha.earns(&survivor, 100).await?;
        let earned = killed.elapsed();
        assert!(seen < REPLACED, "read models after {seen:?}");
        assert!(earned < REPLACED, "policies after {earned:?}");

        assert!(survivor.terminate().await?.success());
        cluster.is_sound().await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_cut_off_in_a_transaction_is_replaced_and_writes_nothing_later() -> Outcome
{
    Cluster::tell(async |cluster| {
        let ((owner, hole), (survivor, _open)) = cluster
            .owner_and_survivor(async || cluster.serve_through().await)
            .await?;
        let asha = Person::register(&survivor, "asha").await?;
        let entry = asha.write(&survivor).await?;
        asha.sees(&survivor, &entry).await?;
        asha.earns(&survivor, 50).await?;
        let epochs = "SELECT sum(epoch)::bigint FROM read.generations";
        let before = cluster.number(epochs).await?;

        // rows are written and locked, and nobody says that it is over
        hole.swallow_at(b"COMMIT");
        let entry = asha.write(&survivor).await?;
        hole.silence().await;
        let cut = Instant::now();
        let open = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        assert!(cluster.number(open).await? >= 1, "no transaction is open");
        asha.sees(&survivor, &entry).await?;
        let seen = cut.elapsed();
        asha.earns(&survivor, 100).await?;
        let earned = cut.elapsed();
        assert!(seen < REPLACED, "read models after {seen:?}");
        assert!(earned < REPLACED, "policies after {earned:?}");
        let after = cluster.number(epochs).await?;
        assert!(after > before, "the leases have changed hands");

        // what it had sent arrives now
        hole.heal();
        let entry = asha.write(&survivor).await?;
        asha.sees(&survivor, &entry).await?;
        asha.sees(&owner, &entry).await?;
        asha.earns(&owner, 150).await?;
        assert_eq!(
            cluster.number(epochs).await?,
            after,
            "nothing was taken back"
        );
        let entry = asha.write(&owner).await?;
        asha.sees(&owner, &entry).await?;

        assert!(survivor.terminate().await?.success());
        let entry = asha.write(&owner).await?;
        within(
            Duration::from_secs(2),
            "leases that were given up are taken",
            async || Ok(asha.read(&owner, &entry).await?.status() == StatusCode::OK),
        )
        .await?;
        assert!(owner.terminate().await?.success());
        cluster.is_sound().await?;
        Ok(())
    })
    .await
}
