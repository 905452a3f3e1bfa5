//! The appender's queue: bounded by count and by bytes, drained when it closes, and one bad command in it
//! fails alone.

use std::error::Error;
use std::time::{Duration, Instant};

use event_log::append::{Append, AppendError, Appender, Bounds, CommandId, Committed, Verdict};
use event_log::database::{Database, Engine, Statement, Transaction};
use event_log::execute;
use event_log::reader::Reader;
use futures::future::join_all;

use crate::support::engines::{Installation, Outcome, each_engine};
use crate::support::raw;

/// A command for a new stream with the given bytes as payload.
pub fn command(stream: &str, payload: &str) -> Append {
    raw::decided("tally", stream, 0, "counted", [payload.to_owned()])
}

/// Keeps every appender waiting until the transaction is dropped.
pub async fn blocked(installation: &Installation) -> Result<Transaction, sqlx::Error> {
    let mut transaction = installation.homes.log.begin().await?;
    if let Transaction::Postgres(on) = &mut transaction {
        sqlx::query("SELECT pg_advisory_xact_lock(x'536f756c4c6f67'::bigint)")
            .execute(&mut **on)
            .await?;
    }
    Ok(transaction)
}

async fn positions(database: &Database) -> Result<Vec<i64>, sqlx::Error> {
    let page = Reader::new(database.clone())
        .page(0, i64::MAX, 10_000)
        .await?;
    Ok(page.iter().map(|event| event.position).collect())
}

async fn start(installation: &Installation, bounds: Bounds) -> Result<Appender, Box<dyn Error>> {
    Ok(Appender::start(installation.target(), bounds).await?.0)
}

#[tokio::test]
async fn a_full_queue_says_so_at_once() -> Outcome {
    each_engine(async |installation| {
        let bounds = Bounds {
            commands: 8,
            batch: 4,
            ..Bounds::default()
        };
        let appender = start(installation, bounds).await?;
        let block = blocked(installation).await?;
        let waiting: Vec<_> = (0..40)
            .map(|number| {
                let appender = appender.clone();
                tokio::spawn(async move {
                    let began = Instant::now();
                    let verdict = appender.append(command(&format!("t{number}"), "{}")).await;
                    (verdict, began.elapsed())
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(block);
        let mut full = 0;
        for (verdict, took) in join_all(waiting).await.into_iter().flatten() {
            if matches!(verdict, Err(AppendError::QueueFull)) {
                full += 1;
                assert!(took < Duration::from_secs(1), "{took:?}");
            } else {
                assert!(
                    matches!(verdict, Ok(Verdict::Appended { .. })),
                    "{verdict:?}"
                );
            }
        }
        assert!((20..=32).contains(&full), "{full} were refused");
        let last = i64::from(40 - full);
        assert_eq!(
            positions(&installation.homes.log).await?,
            (1..=last).collect::<Vec<_>>()
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_queue_is_bounded_by_bytes_too() -> Outcome {
    each_engine(async |installation| {
        let bounds = Bounds {
            bytes: 100 << 10,
            ..Bounds::default()
        };
        let appender = start(installation, bounds).await?;
        let block = blocked(installation).await?;
        let large = format!("\"{}\"", "x".repeat(30 << 10));
        let waiting: Vec<_> = (0..6)
            .map(|number| {
                let (appender, large) = (appender.clone(), large.clone());
                tokio::spawn(async move {
                    appender
                        .append(command(&format!("t{number}"), &large))
                        .await
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let refused = appender.append(command("more", &large)).await;
        assert!(
            matches!(refused, Err(AppendError::QueueFull)),
            "{refused:?}"
        );
        drop(block);
        let passed = join_all(waiting)
            .await
            .into_iter()
            .filter(|verdict| matches!(verdict, Ok(Ok(Verdict::Appended { .. }))))
            .count();
        assert_eq!(passed, 3);
        // one that is larger than the whole budget still passes when it is alone
        let huge = format!("\"{}\"", "x".repeat(200 << 10));
        let verdict = appender.append(command("huge", &huge)).await?;
        assert_eq!(
            verdict,
            Verdict::Appended {
                position: 4,
                sequence: 1
            }
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn closing_takes_nothing_new_and_drains_what_waits() -> Outcome {
    each_engine(async |installation| {
        let (appender, task) = Appender::start(installation.target(), Bounds::default()).await?;
        let block = blocked(installation).await?;
        let waiting: Vec<_> = (0..300)
            .map(|number| {
                let appender = appender.clone();
                tokio::spawn(
                    async move { appender.append(command(&format!("t{number}"), "{}")).await },
                )
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        appender.close();
        let late = appender.append(command("late", "{}")).await;
        assert!(matches!(late, Err(AppendError::Closed)), "{late:?}");
        drop(block);
        task.finished().await;
        for verdict in join_all(waiting).await {
            assert!(matches!(verdict?, Ok(Verdict::Appended { .. })));
        }
        assert_eq!(
            positions(&installation.homes.log).await?,
            (1..=300).collect::<Vec<_>>()
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_command_with_bad_data_fails_alone() -> Outcome {
    each_engine(async |installation| {
        let appender = start(installation, Bounds::default()).await?;
        // the first is being written while the others gather into one batch
        let block = blocked(installation).await?;
        let bad = [3, 11, 12, 40];
        let waiting: Vec<_> = (0..50)
            .map(|number| {
                let appender = appender.clone();
                let payload = if bad.contains(&number) {
                    "{not json"
                } else {
                    "{}"
                };
                tokio::spawn(async move {
                    appender
                        .append(command(&format!("t{number}"), payload))
                        .await
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(block);
        for (number, verdict) in join_all(waiting).await.into_iter().enumerate() {
            let verdict = verdict?;
            if bad.contains(&number) {
                assert!(
                    matches!(verdict, Err(AppendError::Refused(_))),
                    "{verdict:?}"
                );
            } else {
                assert!(
                    matches!(verdict, Ok(Verdict::Appended { .. })),
                    "{verdict:?}"
                );
            }
        }
        assert_eq!(
            positions(&installation.homes.log).await?,
            (1..=46).collect::<Vec<_>>()
        );
        let after = appender.append(command("after", "{}")).await?;
        assert_eq!(
            after,
            Verdict::Appended {
                position: 47,
                sequence: 1
            }
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn text_that_one_engine_cannot_hold_is_refused_or_kept_whole() -> Outcome {
    each_engine(async |installation| {
        let appender = start(installation, Bounds::default()).await?;
        let mut nul = command("nul", "{}");
        nul.actor_id = "a\u{0}b".to_owned();
        let verdict = appender.append(nul).await;
        match verdict {
            Ok(_) => {
                let stored = Reader::new(installation.homes.log.clone())
                    .stream("tally", "nul")
                    .await?;
                assert!(stored.iter().all(|event| event.actor_id == "a\u{0}b"));
            }
            Err(AppendError::Refused(_)) => {}
            Err(other) => return Err(other.into()),
        }
        let after = appender.append(command("after", "{}")).await?;
        assert!(matches!(after, Verdict::Appended { .. }));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_refused_command_leaves_no_claim_and_no_command_id() -> Outcome {
    each_engine(async |installation| {
        let appender = start(installation, Bounds::default()).await?;
        let key = CommandId {
            key: vec![1],
            request: vec![2],
            outcome: "{}".to_owned(),
            expires_at: None,
        };
        let mut bad = command("bad", "{not json");
        bad.command = Some(key.clone());
        assert!(matches!(
            appender.append(bad).await,
            Err(AppendError::Refused(_))
        ));
        let mut good = command("good", "{}");
        good.command = Some(key);
        assert!(matches!(
            appender.append(good).await,
            Ok(Verdict::Appended { .. })
        ));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn committed_positions_are_told_to_whoever_follows() -> Outcome {
    each_engine(async |installation| {
        let appender = start(installation, Bounds::default()).await?;
        let mut committed = appender.committed();
        assert_eq!(*committed.borrow_and_update(), Committed::default());
        appender.append(command("a", "{}")).await?;
        appender.append(command("b", "{}")).await?;
        committed.changed().await?;
        let (position, calls) = (2, 0);
        assert_eq!(
            *committed.borrow_and_update(),
            Committed { position, calls }
        );
        appender.append(command("b", "{}")).await?;
        assert!(!committed.has_changed()?, "a conflict commits nothing");
        // who misses neither a call nor a commit when both come at once
        appender.append(command("c", "{}")).await?;
        appender.wake();
        let (position, calls) = (3, 1);
        assert_eq!(
            *committed.borrow_and_update(),
            Committed { position, calls }
        );
        Ok(())
    })
    .await
}

/// The first event once more, as another stream's at the second position.
static FOREIGN: Statement = Statement::new(
    "foreign event",
    "INSERT INTO {log.events} SELECT aggregate_type, 'foreign', sequence, event_type, event_version, payload, metadata,
        2, event_id, recorded_at, correlation_id, causation_id, actor_id, subject_id, content_hash
        FROM {log.events} WHERE position = 1",
);
const REPEATABLE_READ: &str = "DO $$ BEGIN EXECUTE format(
    'ALTER DATABASE %I SET default_transaction_isolation = ''repeatable read''', current_database()); END $$";

#[tokio::test]
async fn who_has_waited_for_the_turn_sees_what_was_committed_whatever_isolation_is_the_default()
-> Outcome {
    each_engine(async |installation| {
        let log = &installation.homes.log;
        if log.engine() == Engine::Postgres {
            execute!(log, REPEATABLE_READ)?;
        }
        let appender = start(installation, Bounds::default()).await?;
        appender.append(command("a", "{}")).await?;
        let mut before = blocked(installation).await?;
        let waiting = tokio::spawn(async move { appender.append(command("b", "{}")).await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        execute!(in before, FOREIGN.on(log.engine()))?;
        assert!(!waiting.is_finished());
        before.commit().await?;
        let verdict = waiting.await??;
        let (position, sequence) = (3, 1);
        assert_eq!(verdict, Verdict::Appended { position, sequence });
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_command_without_events_is_refused_and_leaves_no_command_id() -> Outcome {
    each_engine(async |installation| {
        let appender = start(installation, Bounds::default()).await?;
        let mut nothing = command("nothing", "{}");
        nothing.events.clear();
        nothing.command = Some(CommandId {
            key: vec![1],
            request: vec![2],
            outcome: "{}".to_owned(),
            expires_at: None,
        });
        let mut something = command("something", "{}");
        something.command.clone_from(&nothing.command);
        let (refused, beside) =
            futures::join!(appender.append(nothing), appender.append(something));
        assert!(
            matches!(refused, Err(AppendError::Refused(_))),
            "{refused:?}"
        );
        assert!(
            matches!(beside, Ok(Verdict::Appended { position: 1, .. })),
            "{beside:?}"
        );
        Ok(())
    })
    .await
}
