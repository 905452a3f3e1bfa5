//! Personal values are stored sealed, open only in their place and with their key, and are gone with it.

use std::error::Error;
use std::sync::Arc;

use domain::id::AccountId;
use domain::{Aggregate, Personal};
use event_log::append::Bounds;
use event_log::database::{Database, Engine};
use event_log::keys::{KeyError, Keys, Secret};
use event_log::log::{Loaded, LogError, OpenError};
use event_log::reader::{OpenedEvent, ReadError, open_page};
use event_log::sealing::{Cell, Opener, SealingError, redact, seal_column};
use event_log::{EventLog, RecordedEvent, execute, fetch_all};
use serde_json::{Value, json};

use super::toy::{Card, Diary, Event, Words};
use super::{Process, master};
use crate::support::engines::{Installation, Outcome, each_engine, id, now};

const WORD: &str = "Heliotrope";

fn words() -> Personal<Words> {
    Personal::Known(Words {
        text: format!("I like {WORD}."),
        mood: Some(7),
    })
}

fn story(owner: AccountId) -> [Event; 2] {
    let name = Personal::Known(WORD.to_owned());
    [
        Event::Opened { owner, name },
        Event::Noted {
            number: 1,
            words: words(),
        },
    ]
}

/// A member with a card and two diaries, `one` and `two`.
async fn lived_in(process: &Process) -> Result<AccountId, Box<dyn Error>> {
    let owner = process.member().await?;
    process.say::<Card>("card", story(owner)).await?;
    process.say::<Diary>("one", story(owner)).await?;
    process.say::<Diary>("two", story(owner)).await?;
    Ok(owner)
}

async fn page(process: &Process) -> Result<Vec<RecordedEvent>, sqlx::Error> {
    process.log.reader().page(0, i64::MAX, 100).await
}

/// Keys as a process that has just started has them: nothing in its cache.
fn fresh_keys(installation: &Installation) -> Keys {
    Keys::new(installation.homes.keys.clone(), &master())
}

fn sealing_error(opened: &OpenedEvent) -> Option<&SealingError> {
    match opened.payload.as_ref().err()?.as_ref() {
        ReadError::Sealing(error) => Some(error),
        _ => None,
    }
}

fn load_error<A: Aggregate>(loaded: Result<Loaded<A>, LogError>) -> String {
    let Err(error) = loaded else {
        return "it loaded".to_owned();
    };
    let mut text = String::new();
    let mut cause: Option<&dyn Error> = Some(&error);
    while let Some(error) = cause {
        text = format!("{text}{error}; ");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn no_personal_word_is_in_the_stored_bytes() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        lived_in(&process).await?;
        match &installation.homes.log {
            Database::Sqlite(_) => {
                let directory = installation.directory().ok_or("no directory")?;
                let mut entries = tokio::fs::read_dir(directory).await?;
                let mut files = 0;
                while let Some(entry) = entries.next_entry().await? {
                    let bytes = tokio::fs::read(entry.path()).await?;
                    let found = bytes
                        .windows(WORD.len())
                        .any(|part| part == WORD.as_bytes());
                    assert!(!found, "{}", entry.path().display());
                    files += 1;
                }
                assert!(files >= 4, "the four homes are files");
            }
            Database::Postgres(pool) => {
                for table in [
                    "log.events",
                    "log.claims",
                    "log.command_ids",
                    "keys.data_keys",
                ] {
                    let rows: Vec<String> =
                        sqlx::query_scalar(&format!("SELECT t::text FROM {table} t"))
                            .fetch_all(pool)
                            .await?;
                    assert!(rows.iter().all(|row| !row.contains(WORD)), "{table}");
                }
            }
        }
        let stored = page(&process).await?;
        assert!(stored.iter().all(|event| event.payload.contains("$sealed")));
        let clear: Value = serde_json::from_str(&stored[1].payload)?;
        assert_eq!(clear["type"], "noted");
        assert_eq!(clear["number"], 1, "what is not personal stays readable");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn every_reader_opens_what_was_sealed() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        lived_in(&process).await?;
        let other = Process::beside(installation).await?;
        let diary: Loaded<Diary> = other.log.load("two").await?;
        assert_eq!(diary.state.notes, [words()]);
        let opened = open_page(&fresh_keys(installation), page(&process).await?, |_| true).await?;
        assert_eq!(opened.len(), 6);
        for event in &opened {
            let payload = event.payload.as_ref().map_err(ToString::to_string)?;
            let event: Event = serde_json::from_value(payload.clone())?;
            match event {
                Event::Opened { name, .. } => assert_eq!(name, Personal::Known(WORD.to_owned())),
                Event::Noted { words: stored, .. } => assert_eq!(stored, words()),
                other => panic!("{other:?}"),
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_sealed_payload_opens_only_in_its_own_place() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        lived_in(&process).await?;
        let stored = page(&process).await?;
        let changes: [fn(&mut RecordedEvent); 5] = [
            |event| event.aggregate_id = "two".to_owned(),
            |event| event.aggregate_type = "card".to_owned(),
            |event| event.sequence += 1,
            |event| event.event_type = "counted".to_owned(),
            |event| event.event_version = "2".to_owned(),
        ];
        for change in changes {
            let mut moved = stored[2].clone();
            change(&mut moved);
            let opened =
                open_page(process.log.keys(), vec![moved, stored[3].clone()], |_| true).await?;
            assert!(matches!(
                sealing_error(&opened[0]),
                Some(SealingError::Key(KeyError::Unopenable))
            ));
            assert!(opened[1].payload.is_ok(), "its neighbour still opens");
        }
        // another key's id on the same ciphertext
        let mut swapped = stored[2].clone();
        let (mut payload, other): (Value, Value) = (
            serde_json::from_str(&stored[2].payload)?,
            serde_json::from_str(&stored[4].payload)?,
        );
        payload["$sealed"]["kid"] = other["$sealed"]["kid"].clone();
        swapped.payload = payload.to_string();
        let opened = open_page(process.log.keys(), vec![swapped], |_| true).await?;
        assert!(sealing_error(&opened[0]).is_some());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn with_the_subjects_key_everything_of_theirs_is_erased() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let owner = lived_in(&process).await?;
        let other = process.member().await?;
        process.say::<Card>("other", story(other)).await?;
        process.log.keys().destroy_subject(owner.0, now()).await?;
        process.log.keys().destroy_subject(owner.0, now()).await?;
        for process in [&process, &Process::beside(installation).await?] {
            let card: Loaded<Card> = process.log.load("card").await?;
            assert_eq!(card.state.notes, [Personal::Erased]);
            assert_eq!(card.state.name, Some(Personal::Erased));
            assert_eq!(card.state.owner, Some(owner), "what is not personal stays");
            let diary: Loaded<Diary> = process.log.load("one").await?;
            assert_eq!(diary.state.notes, [Personal::Erased]);
            let others: Loaded<Card> = process.log.load("other").await?;
            assert_eq!(others.state.notes, [words()]);
        }
        let opened = open_page(&fresh_keys(installation), page(&process).await?, |_| true).await?;
        let erased = opened
            .iter()
            .filter(|event| {
                event
                    .payload
                    .as_ref()
                    .is_ok_and(|it| it.to_string().contains("$erased"))
            })
            .count();
        assert_eq!(erased, 6);
        assert!(opened.iter().all(|event| event.recorded.is_intact()));
        for refused in [
            process
                .say::<Card>(
                    "card",
                    [Event::Noted {
                        number: 2,
                        words: words(),
                    }],
                )
                .await,
            process
                .say::<Diary>(
                    "one",
                    [Event::Noted {
                        number: 2,
                        words: words(),
                    }],
                )
                .await,
            process.say::<Diary>("new", story(owner)).await,
        ] {
            assert!(matches!(
                refused,
                Err(LogError::Sealing(SealingError::Key(KeyError::Destroyed)))
            ));
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn one_stream_is_erased_by_itself() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        lived_in(&process).await?;
        process
            .log
            .keys()
            .destroy_stream("diary", "one", now())
            .await?;
        for process in [&process, &Process::beside(installation).await?] {
            let one: Loaded<Diary> = process.log.load("one").await?;
            assert_eq!(one.state.notes, [Personal::Erased]);
            let two: Loaded<Diary> = process.log.load("two").await?;
            assert_eq!(two.state.notes, [words()]);
            let card: Loaded<Card> = process.log.load("card").await?;
            assert_eq!(card.state.notes, [words()]);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_missing_key_is_an_error_and_no_erasure() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let owner = lived_in(&process).await?;
        let table = match installation.engine() {
            Engine::Postgres => "keys.data_keys",
            Engine::Sqlite => "data_keys",
        };
        for (which, stream) in [("scope = 'stream'", "diary"), ("scope = 'subject'", "card")] {
            let text = format!("DELETE FROM {table} WHERE subject_id = $1 AND {which}");
            execute!(installation.homes.keys, &text, owner.0)?;
            let beside = Process::beside(installation).await?;
            let error = match stream {
                "diary" => load_error(beside.log.load::<Diary>("one").await),
                _ => load_error(beside.log.load::<Card>("card").await),
            };
            assert!(error.contains("a key is missing"), "{error}");
        }
        let opened = open_page(&fresh_keys(installation), page(&process).await?, |_| true).await?;
        assert!(opened.iter().all(|event| matches!(
            sealing_error(event),
            Some(SealingError::Key(KeyError::Missing))
        )));
        let stranger = AccountId(id());
        let refused = process.say::<Card>("new", story(stranger)).await;
        assert!(matches!(
            refused,
            Err(LogError::Sealing(SealingError::Key(KeyError::Missing)))
        ));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn keys_that_cannot_be_reached_are_an_error_and_no_erasure() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        lived_in(&process).await?;
        let homes = installation.reopened().await?;
        let keys = Keys::new(homes.keys.clone(), &master());
        homes.keys.close().await;
        let opened = open_page(&keys, page(&process).await?, |_| true).await;
        assert!(matches!(
            opened,
            Err(ReadError::Sealing(SealingError::Key(KeyError::Database(_))))
        ));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn another_master_key_opens_nothing() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let owner = lived_in(&process).await?;
        let wrong = Arc::new(Keys::new(
            installation.homes.keys.clone(),
            &Secret::new([8; 32]),
        ));
        let opened = EventLog::open(
            installation.homes.clone(),
            Arc::clone(&wrong),
            Vec::new(),
            Bounds::default(),
            now(),
        )
        .await;
        assert!(matches!(opened, Err(OpenError::Keys(KeyError::Unopenable))));
        assert!(matches!(
            wrong.subject(owner.0).await,
            Err(KeyError::Unopenable)
        ));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn whether_any_key_was_ever_wrapped_is_known() -> Outcome {
    each_engine(async |installation| {
        assert!(!Keys::any_wrapped(&installation.homes.keys).await?);
        Process::of(installation).await?;
        assert!(Keys::any_wrapped(&installation.homes.keys).await?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_of_the_installation_is_the_same_on_every_node() -> Outcome {
    each_engine(async |installation| {
        let (one, other) = (fresh_keys(installation), fresh_keys(installation));
        let (here, there) = futures::join!(one.instance("a", now()), other.instance("a", now()));
        let here = here?;
        assert_eq!(here.bytes(), there?.bytes());
        assert_ne!(here.bytes(), one.instance("b", now()).await?.bytes());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn more_keys_than_one_statement_asks_for_are_all_found() -> Outcome {
    each_engine(async |installation| {
        let keys = fresh_keys(installation);
        let mut ids = Vec::new();
        for _ in 0..70 {
            let key_id = id();
            keys.create_subject(id(), key_id, now()).await?;
            ids.push(key_id);
        }
        let stranger = id();
        ids.push(stranger);
        let found = keys.by_id(&ids).await?;
        assert_eq!(found.len(), 70);
        assert!(!found.contains_key(&stranger));
        assert_eq!(keys.by_id(&ids).await?.len(), 70);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_column_of_a_read_model_opens_in_its_own_cell_only() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let (one, other) = (process.member().await?, process.member().await?);
        let keys = process.log.keys();
        let row = id();
        let cell = Cell {
            table: "journal_entries",
            column: "title",
            row: &row,
        };
        let own = seal_column(&keys.subject(one.0).await?, cell, WORD)?;
        let others = seal_column(&keys.subject(other.0).await?, cell, "")?;
        assert!(!own.windows(WORD.len()).any(|part| part == WORD.as_bytes()));
        let opener = Opener::fetch(&fresh_keys(installation), [&own[..], &others[..]]).await?;
        assert_eq!(opener.open(&own, cell)?.as_deref(), Some(WORD));
        assert_eq!(opener.open(&others, cell)?.as_deref(), Some(""));
        let another = id();
        for wrong in [
            Cell {
                table: "entries",
                ..cell
            },
            Cell {
                column: "text",
                ..cell
            },
            Cell {
                row: &another,
                ..cell
            },
        ] {
            assert!(matches!(
                opener.open(&own, wrong),
                Err(SealingError::Key(KeyError::Unopenable))
            ));
        }
        keys.destroy_subject(one.0, now()).await?;
        let opener = Opener::fetch(keys, [&own[..], &others[..]]).await?;
        assert_eq!(opener.open(&own, cell)?, None);
        assert_eq!(opener.open(&others, cell)?.as_deref(), Some(""));
        let nothing = Opener::fetch(keys, []).await?;
        assert!(matches!(
            nothing.open(&others, cell),
            Err(SealingError::Key(KeyError::Missing))
        ));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn redaction_names_what_it_hides() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        lived_in(&process).await?;
        let mut payload: Value = serde_json::from_str(&page(&process).await?[1].payload)?;
        assert_eq!(redact(&mut payload), ["/words"]);
        assert_eq!(
            payload,
            json!({"type": "noted", "number": 1, "words": null})
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn wrapped_keys_hold_no_key_in_the_clear() -> Outcome {
    each_engine(async |installation| {
        let keys = fresh_keys(installation);
        let secret = keys.instance("a", now()).await?;
        let text = match installation.engine() {
            Engine::Postgres => "SELECT wrapped FROM keys.instance_keys",
            Engine::Sqlite => "SELECT wrapped FROM instance_keys",
        };
        let wrapped: Vec<(Vec<u8>,)> = fetch_all!(installation.homes.keys, (Vec<u8>,), text)?;
        assert_eq!(wrapped.len(), 1);
        for (wrapped,) in wrapped {
            assert!(!wrapped.windows(32).any(|part| part == secret.bytes()));
        }
        assert!(!format!("{secret:?} {keys:?}").contains('['));
        Ok(())
    })
    .await
}
