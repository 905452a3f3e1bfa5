//! One order for all events: what goes in comes out, once, in place, whoever else is writing.

use std::sync::Arc;

use cqrs_es::persist::PersistedEventRepository;
use domain::Personal;
use event_log::RecordedEvent;
use event_log::append::Verdict;
use event_log::database::Database;
use event_log::log::Loaded;
use futures::future::join_all;
use postgres_es::PostgresEventRepository;
use serde_json::Value;
use sqlite_es::SqliteEventRepository;

use super::toy::{Card, Diary, Event, Tally, Words};
use super::{Process, appended};
use crate::support::engines::{Outcome, each_engine, id};

fn noted(number: i64, text: &str) -> Event {
    let text = text.to_owned();
    Event::Noted {
        number,
        words: Personal::Known(Words {
            text,
            mood: Some(4),
        }),
    }
}

async fn everything(process: &Process) -> Result<Vec<RecordedEvent>, sqlx::Error> {
    let reader = process.log.reader();
    let head = reader.head().await?.position;
    reader.page(0, head, i64::MAX).await
}

#[tokio::test]
async fn what_is_appended_loads_again() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let owner = process.member().await?;
        let name = Personal::Known("Zoë".to_owned());
        let verdict = process
            .say::<Card>("c", [Event::Opened { owner, name }, noted(1, "one")])
            .await?;
        assert_eq!(
            verdict,
            Verdict::Appended {
                position: 2,
                sequence: 2
            }
        );
        process.say::<Card>("c", [noted(2, "two")]).await?;
        let loaded: Loaded<Card> = process.log.load("c").await?;
        assert_eq!(loaded.sequence, 3);
        assert_eq!(loaded.state.owner, Some(owner));
        let texts: Vec<_> = loaded
            .state
            .notes
            .iter()
            .filter_map(|words| words.known().map(|words| words.text.as_str()))
            .collect();
        assert_eq!(texts, ["one", "two"]);
        let other: Loaded<Card> = process.log.load("d").await?;
        assert_eq!(other.sequence, 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_process_knows_what_it_has_committed_as_it_stands_in_the_log() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let owner = process.member().await?;
        let name = Personal::Known("Zoë".to_owned());
        let opened = Event::Opened { owner, name };
        let before = process.log.reader().head().await?.position;
        let together = [
            ("c", vec![opened, noted(1, "one \u{1f980}")]),
            ("d", vec![Event::Counted { by: 1 }]),
            (
                "e",
                vec![Event::Counted { by: 2 }, Event::Counted { by: 3 }],
            ),
        ];
        let commands = together
            .into_iter()
            .map(|(stream, events)| process.say::<Card>(stream, events));
        for verdict in join_all(commands).await {
            verdict?;
        }
        let reader = process.log.reader();
        let kept = reader.kept_page(before, i64::MAX, 100);
        let kept: Vec<RecordedEvent> = kept.into_iter().map(Arc::unwrap_or_clone).collect();
        assert_eq!(kept.len(), 5);
        assert_eq!(reader.page(before, i64::MAX, 100).await?, kept);

        // what another process has committed is not known, nor is what follows it taken for the next
        let other = Process::beside(installation).await?;
        other.say::<Card>("d", [Event::Counted { by: 1 }]).await?;
        process.say::<Card>("f", [Event::Counted { by: 1 }]).await?;
        assert!(reader.kept_page(before + 5, i64::MAX, 100).is_empty());
        assert_eq!(
            reader
                .kept_page(before + 6, i64::MAX, 100)
                .first()
                .map(|event| event.position),
            Some(before + 7)
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_libraries_own_repositories_read_the_seven_columns() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let owner = process.member().await?;
        let name = Personal::Known("Zoë".to_owned());
        process
            .say::<Diary>(
                "d",
                [Event::Opened { owner, name }, Event::Counted { by: 3 }],
            )
            .await?;
        let read = match &installation.homes.log {
            Database::Postgres(pool) => {
                PostgresEventRepository::new(pool.current())
                    .with_tables("log.events", "log.snapshots")
                    .get_events::<Diary>("d")
                    .await?
            }
            Database::Sqlite(pool) => {
                SqliteEventRepository::new(pool.clone())
                    .get_events::<Diary>("d")
                    .await?
            }
        };
        let stored = process.log.reader().stream("diary", "d").await?;
        assert_eq!(read.len(), stored.len());
        for (read, stored) in read.iter().zip(&stored) {
            assert_eq!(read.aggregate_type, stored.aggregate_type);
            assert_eq!(read.aggregate_id, stored.aggregate_id);
            assert_eq!(i64::try_from(read.sequence)?, stored.sequence);
            assert_eq!(read.event_type, stored.event_type);
            assert_eq!(read.event_version, stored.event_version);
            assert_eq!(
                read.payload,
                serde_json::from_str::<Value>(&stored.payload)?
            );
            assert_eq!(
                read.metadata,
                serde_json::from_str::<Value>(&stored.metadata)?
            );
        }
        assert_eq!(
            read.iter()
                .map(|event| event.event_type.as_str())
                .collect::<Vec<_>>(),
            ["opened", "counted"]
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn positions_have_no_gaps_and_time_never_runs_backwards() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        for stream in ["a", "b", "c", "a", "b", "a"] {
            process
                .say::<Tally>(stream, [Event::Counted { by: 1 }, Event::Counted { by: 2 }])
                .await?;
        }
        let events = everything(&process).await?;
        let positions: Vec<i64> = events.iter().map(|event| event.position).collect();
        assert_eq!(positions, (1..=12).collect::<Vec<_>>());
        assert!(events.is_sorted_by_key(|event| event.recorded_at));
        for stream in ["a", "b", "c"] {
            let sequences: Vec<i64> = events
                .iter()
                .filter(|event| event.aggregate_id == stream)
                .map(|event| event.sequence)
                .collect();
            let last = i64::try_from(sequences.len())?;
            assert_eq!(sequences, (1..=last).collect::<Vec<_>>());
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_changed_byte_of_an_event_is_noticed() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let owner = process.member().await?;
        let name = Personal::Known("Zoë".to_owned());
        process
            .say::<Card>("c", [Event::Opened { owner, name }])
            .await?;
        let events = everything(&process).await?;
        let [event] = events.as_slice() else {
            panic!("one event was appended")
        };
        assert!(event.is_intact());
        let changes: [fn(&mut RecordedEvent); 10] = [
            |event| event.aggregate_type.push('x'),
            |event| event.aggregate_id.push('x'),
            |event| event.sequence += 1,
            |event| event.event_type.push('x'),
            |event| event.event_version.push('0'),
            |event| event.payload.push(' '),
            |event| event.metadata.push(' '),
            |event| event.event_id = id(),
            |event| event.actor_id.push('x'),
            |event| event.subject_id = None,
        ];
        for change in changes {
            let mut copy = event.clone();
            change(&mut copy);
            assert!(!copy.is_intact());
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_did_it_and_whom_it_is_about_stand_beside_the_event() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let owner = process.member().await?;
        let name = Personal::Known("Zoë".to_owned());
        process
            .say::<Card>("c", [Event::Opened { owner, name }])
            .await?;
        let events = everything(&process).await?;
        assert_eq!(events.len(), 1);
        assert!(events.iter().all(|event| {
            event.actor_id == "test"
                && event.actor_role().as_deref() == Some("system")
                && event.subject_id == Some(owner.0)
                && event.causation_id.is_none()
        }));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn of_two_decisions_on_one_state_the_second_conflicts() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let before: Loaded<Tally> = process.log.load("t").await?;
        let one = process
            .say_after(&before, "t", [Event::Counted { by: 1 }], None)
            .await?;
        let other = process
            .say_after(&before, "t", [Event::Counted { by: 2 }], None)
            .await?;
        assert!(appended(&one));
        assert_eq!(other, Verdict::Conflict);
        assert_eq!(process.log.load::<Tally>("t").await?.state.count, 1);
        Ok(())
    })
    .await
}
