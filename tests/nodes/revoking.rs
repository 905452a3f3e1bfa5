//! A token that ended on one node has ended on all.

use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;

use super::cluster::{Cluster, Person};
use crate::support::app::PASSWORD;
use crate::support::binary::Server;
use crate::support::engines::Outcome;
use crate::support::story::within;

/// What the issue promises.
const EVERYWHERE: Duration = Duration::from_secs(1);

/// Does something on one node, and fails unless the other refuses the token within a second.
async fn ends(person: &Person, elsewhere: &Server, how: RequestBuilder) -> Outcome {
    let me = person.get(elsewhere, "/users/me").send().await?;
    assert_eq!(me.status(), StatusCode::OK);
    let reply = how.send().await?;
    assert!(reply.status().is_success(), "{}", reply.text().await?);
    refused(person, elsewhere).await
}

async fn refused(person: &Person, elsewhere: &Server) -> Outcome {
    within(EVERYWHERE, "the token is refused elsewhere", async || {
        let me = person.get(elsewhere, "/users/me").send().await?;
        Ok(me.status() == StatusCode::UNAUTHORIZED)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ended_on_one_node_is_refused_on_every_node_within_a_second() -> Outcome {
    Cluster::tell(async |cluster| {
        let (one, other) = (cluster.serve().await?, cluster.serve().await?);
        let asha = Person::register(&one, "asha").await?;
        let how = asha.post(&one, "/auth/logout/all", &json!({}));
        ends(&asha, &other, how).await?;

        let asha = Person::log_in(&other, "asha").await?;
        assert_eq!(
            asha.get(&one, "/users/me").send().await?.status(),
            StatusCode::OK
        );
        // a third process
        let granted = cluster
            .machine
            .run_with(
                &["accounts", "grant", "moderator", "asha"],
                &[("SOULSENSE_MASTER_KEY", super::cluster::MASTER_KEY)],
            )
            .await?;
        granted.done()?;
        refused(&asha, &one).await?;
        refused(&asha, &other).await?;

        let bela = Person::register(&other, "bela").await?;
        let how = bela.post(&other, "/users/me/deletion", &json!({"password": PASSWORD}));
        ends(&bela, &one, how).await?;
        one.terminate().await?;
        other.terminate().await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_see_the_log_lets_nobody_in() -> Outcome {
    Cluster::tell(async |cluster| {
        let (blind, hole) = cluster.serve_through().await?;
        let other = cluster.serve().await?;
        let asha = Person::register(&other, "asha").await?;
        assert_eq!(
            asha.get(&blind, "/users/me").send().await?.status(),
            StatusCode::OK
        );
        hole.swallow();
        let how = asha.post(&other, "/auth/logout/all", &json!({}));
        assert!(how.send().await?.status().is_success());
        tokio::time::sleep(Duration::from_millis(5_500)).await;
        let asked = Instant::now();
        let me = asha.get(&blind, "/users/me").send().await?;
        assert_eq!(me.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(me.headers().contains_key("retry-after"));
        // without asking a database that does not answer
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{:?}",
            asked.elapsed()
        );
        hole.heal();
        within(Duration::from_secs(5), "it sees again", async || {
            let me = asha.get(&blind, "/users/me").send().await?;
            assert_ne!(me.status(), StatusCode::OK, "the token has ended");
            Ok(me.status() == StatusCode::UNAUTHORIZED)
        })
        .await?;
        Ok(())
    })
    .await
}
