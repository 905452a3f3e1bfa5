//! Keys that are made at the same time share a commit, and each is as durable and as readable as one alone.

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use event_log::database::{Database, Transaction};
use event_log::keys::{DataKey, KeyError, Keys};
use event_log::{execute, fetch_one};
use futures::future::{join_all, try_join_all};
use uuid::Uuid;

use super::master;
use crate::support::engines::{Installation, Outcome, each_engine, id, now};

const AAD: &[u8] = b"place";

/// Keys as a process has them that has just started.
fn fresh(installation: &Installation) -> Keys {
    Keys::new(installation.homes.keys.clone(), &master())
}

/// A new subject.
async fn subject(keys: &Keys) -> Result<Uuid, KeyError> {
    let subject = id();
    keys.create_subject(subject, id(), now()).await?;
    keys.subject(subject).await?;
    Ok(subject)
}

/// The key of a stream that is new, as far as its maker knows.
async fn made(keys: &Keys, subject: Uuid, stream: &str) -> Result<DataKey, KeyError> {
    keys.stream("diary", stream, true, subject, id(), now())
        .await
}

/// The key of a stream that is there.
async fn found(keys: &Keys, subject: Uuid, stream: &str) -> Result<DataKey, KeyError> {
    keys.stream("diary", stream, false, subject, id(), now())
        .await
}

fn streams(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("stream {number}"))
        .collect()
}

/// Fails unless another process opens with its key what was sealed with this one.
async fn is_shared(keys: &Keys, subject: Uuid, stream: &str, made: &DataKey) -> Outcome {
    let found = found(keys, subject, stream).await?;
    assert_eq!(found.id, made.id);
    let opened = found.open(&made.seal(stream.as_bytes(), AAD)?, AAD)?;
    assert_eq!(
        opened.as_deref().map(Vec::as_slice),
        Some(stream.as_bytes())
    );
    Ok(())
}

/// Holds up whoever would insert a key, until it is dropped.
async fn held_up(installation: &Installation) -> Result<Transaction, Box<dyn Error>> {
    let other = installation.reopened().await?;
    let mut transaction = other.keys.begin().await?;
    if let Transaction::Postgres(_) = &transaction {
        execute!(in transaction, "LOCK TABLE keys.data_keys IN SHARE MODE")?;
    }
    Ok(transaction)
}

/// How many commits have written keys of streams.
async fn commits(installation: &Installation) -> Result<i64, Box<dyn Error>> {
    if let Database::Postgres(_) = &installation.homes.keys {
        let text = "SELECT count(DISTINCT xmin::text) FROM keys.data_keys WHERE scope = 'stream'";
        let (commits,): (i64,) = fetch_one!(installation.homes.keys, (i64,), text)?;
        return Ok(commits);
    }
    let directory = installation.directory().ok_or("no directory")?;
    let log = tokio::fs::read(directory.join("keys.db-wal")).await?;
    // a header of 32 bytes, then pages, each after 24 bytes; the last one of a commit says how long the file is
    let size = log.get(8..12).ok_or("no header")?.try_into()?;
    let frames = log[32..].chunks_exact(usize::try_from(u32::from_be_bytes(size))? + 24);
    let salts = &log[16..24];
    let commits = frames.filter(|frame| frame[8..16] == *salts && frame[4..8] != [0; 4]);
    Ok(i64::try_from(commits.count())?)
}

#[tokio::test]
async fn keys_made_at_the_same_time_are_each_readable_by_another_process() -> Outcome {
    each_engine(async |installation| {
        let keys = fresh(installation);
        let (subject, streams) = (subject(&keys).await?, streams(200));
        let making = streams.iter().map(|stream| made(&keys, subject, stream));
        let made = try_join_all(making).await?;
        let ids: HashSet<Uuid> = made.iter().map(|key| key.id).collect();
        assert_eq!(ids.len(), 200);
        let other = fresh(installation);
        for (stream, made) in streams.iter().zip(&made) {
            is_shared(&other, subject, stream, made).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn keys_made_while_another_is_being_committed_share_the_next_commit() -> Outcome {
    each_engine(async |installation| {
        let keys = fresh(installation);
        let (subject, streams) = (subject(&keys).await?, streams(61));
        let before = commits(installation).await?;
        let held_up = held_up(installation).await?;
        let first = made(&keys, subject, &streams[0]);
        let others = async {
            // the first one is at it by now
            tokio::time::sleep(Duration::from_millis(100)).await;
            try_join_all(
                streams[1..]
                    .iter()
                    .map(|stream| made(&keys, subject, stream)),
            )
            .await
        };
        let letting_go = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(held_up);
        };
        let (first, others, ()) = futures::join!(first, others, letting_go);
        assert_eq!(commits(installation).await? - before, 2);
        let other = fresh(installation);
        is_shared(&other, subject, &streams[0], &first?).await?;
        for (stream, made) in streams[1..].iter().zip(&others?) {
            is_shared(&other, subject, stream, made).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_gives_up_in_the_middle_takes_nothing_from_the_others() -> Outcome {
    each_engine(async |installation| {
        let keys = fresh(installation);
        let (subject, streams) = (subject(&keys).await?, streams(40));
        let held_up = held_up(installation).await?;
        // the first half asks for itself or for others when it goes away
        let making = streams.iter().enumerate().map(|(number, stream)| {
            let patience = Duration::from_millis(if number < 20 { 100 } else { 10_000 });
            tokio::time::timeout(patience, made(&keys, subject, stream))
        });
        let letting_go = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(held_up);
        };
        let (outcomes, ()) = futures::join!(join_all(making), letting_go);
        assert!(outcomes[..20].iter().all(Result::is_err));
        let other = fresh(installation);
        for (stream, made) in streams.iter().zip(outcomes).skip(20) {
            is_shared(&other, subject, stream, &made??).await?;
        }
        // whether theirs were made or not, they have one when they come back
        for stream in &streams[..20] {
            let again = made(&keys, subject, stream).await?;
            is_shared(&other, subject, stream, &again).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_make_keys_for_the_same_streams_end_with_the_same_keys() -> Outcome {
    each_engine(async |installation| {
        let (keys, other) = (fresh(installation), {
            let homes = installation.reopened().await?;
            Keys::new(homes.keys, &master())
        });
        let subject = subject(&keys).await?;
        for round in 0..20 {
            let names = streams(60).into_iter();
            let streams: Vec<String> = names
                .map(|name| format!("{name} of round {round}"))
                .collect();
            let here = try_join_all(streams.iter().map(|stream| made(&keys, subject, stream)));
            // in another order, and each twice
            let there = streams.iter().rev().flat_map(|stream| [stream; 2]);
            let there = try_join_all(there.map(|stream| made(&other, subject, stream)));
            let (here, there) = futures::try_join!(here, there)?;
            let there: Vec<Uuid> = there.iter().rev().map(|key| key.id).collect();
            for (here, there) in here.iter().zip(there.chunks(2)) {
                assert_eq!(there, [here.id, here.id]);
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_tombstone_among_new_keys_stays_one() -> Outcome {
    each_engine(async |installation| {
        let (keys, other) = (fresh(installation), fresh(installation));
        let (subject, streams) = (subject(&keys).await?, streams(20));
        made(&other, subject, &streams[7]).await?;
        other.destroy_stream("diary", &streams[7], now()).await?;
        let making = streams.iter().map(|stream| made(&keys, subject, stream));
        for (number, made) in try_join_all(making).await?.iter().enumerate() {
            assert_eq!(made.exists(), number != 7);
            let sealed = made.seal(b"words", AAD);
            assert_eq!(matches!(sealed, Err(KeyError::Destroyed)), number == 7);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_that_the_database_refuses_fails_alone() -> Outcome {
    each_engine(async |installation| {
        let keys = fresh(installation);
        let (subject, mut streams) = (subject(&keys).await?, streams(20));
        // no text on Postgres
        streams[7].push('\0');
        let making = streams.iter().map(|stream| made(&keys, subject, stream));
        let made = join_all(making).await;
        let postgres = matches!(installation.homes.keys, Database::Postgres(_));
        for (number, made) in made.iter().enumerate() {
            assert_eq!(made.is_err(), postgres && number == 7, "{number}");
        }
        Ok(())
    })
    .await
}
