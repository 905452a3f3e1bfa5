//! Durable subscriptions: one node at a time runs a policy, and its checkpoint only moves forward.

use event_log::database::Engine;
use event_log::execute;
use event_log::subscriptions::{Lease, Subscription, Subscriptions};

use crate::support::engines::{Installation, Outcome, each_engine, id};

fn nodes(installation: &Installation) -> [Subscriptions; 2] {
    [(); 2].map(|()| Subscriptions::new(installation.homes.log.clone(), id()))
}

/// As if the owner had given no sign of life for longer than its lease.
async fn expire(installation: &Installation) -> Result<u64, sqlx::Error> {
    let text = match installation.engine() {
        Engine::Postgres => "UPDATE log.policy_checkpoints SET lease_until = lease_until - 3001",
        Engine::Sqlite => "UPDATE policy_checkpoints SET lease_until = lease_until - 3001",
    };
    execute!(installation.homes.log, text)
}

#[tokio::test]
async fn a_policy_is_run_by_one_node_at_a_time() -> Outcome {
    each_engine(async |installation| {
        let [one, other] = nodes(installation);
        assert_eq!(one.take("award").await?, None, "nobody subscribed yet");
        one.add("award", 7).await?;
        let lease = Lease {
            position: 7,
            epoch: 1,
        };
        assert_eq!(one.take("award").await?, Some(lease));
        assert_eq!(other.take("award").await?, None);
        assert_eq!(one.take("award").await?, Some(lease), "renewed");
        one.release("award").await?;
        let taken = other.take("award").await?;
        assert_eq!(
            taken,
            Some(Lease {
                position: 7,
                epoch: 2
            })
        );
        assert_eq!(one.take("award").await?, None);
        one.release("award").await?;
        assert_eq!(one.take("award").await?, None, "only the owner releases");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_silent_nodes_lease_runs_out_and_its_checkpoint_is_fenced() -> Outcome {
    each_engine(async |installation| {
        let [one, other] = nodes(installation);
        one.add("award", 0).await?;
        let old = one.take("award").await?.ok_or("free")?;
        assert!(one.advance("award", old, 5).await?);
        expire(installation).await?;
        assert!(
            one.advance("award", old, 6).await?,
            "late, but nobody took it"
        );
        assert_eq!(
            other.take("award").await?,
            None,
            "the advance renewed the lease"
        );
        expire(installation).await?;
        let new = other.take("award").await?.ok_or("run out")?;
        assert_eq!(
            new,
            Lease {
                position: 6,
                epoch: 2
            }
        );
        assert!(!one.advance("award", old, 9).await?);
        one.fail("award", old, "late").await?;
        assert!(other.advance("award", new, 8).await?);
        assert!(!other.advance("award", new, 7).await?, "never backwards");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn failures_are_counted_until_the_checkpoint_moves() -> Outcome {
    each_engine(async |installation| {
        let [one, _] = nodes(installation);
        one.add("streaks", 0).await?;
        one.add("award", 3).await?;
        one.add("award", 99).await?;
        let lease = one.take("award").await?.ok_or("free")?;
        one.fail("award", lease, "no answer").await?;
        one.fail("award", lease, "still no answer").await?;
        let failed = one.list().await?;
        let [
            Subscription {
                policy,
                position: 3,
                attempts: 2,
                error,
                owner: Some(_),
            },
            idle,
        ] = failed.as_slice()
        else {
            panic!("{failed:?}")
        };
        assert_eq!(
            (policy.as_str(), error.as_deref()),
            ("award", Some("still no answer"))
        );
        assert_eq!((idle.policy.as_str(), idle.owner), ("streaks", None));
        one.advance("award", lease, 4).await?;
        let moved = one.list().await?;
        assert_eq!(
            (moved[0].position, moved[0].attempts, &moved[0].error),
            (4, 0, &None)
        );
        Ok(())
    })
    .await
}
