//! What the append judges beside the sequence: claims, command ids, subjects that are being erased.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use domain::Personal;
use event_log::append::Verdict;
use event_log::command_ids::{Outcome as Remembered, Remember};
use event_log::log::{Known, Loaded};
use futures::future::try_join_all;

use super::toy::{Card, Diary, Event, Tally};
use super::{Process, appended};
use crate::support::engines::{Outcome, each_engine, now};

fn took(name: &str) -> Event {
    Event::Took {
        name: name.to_owned(),
    }
}

fn gave(name: &str) -> Event {
    Event::Gave {
        name: name.to_owned(),
    }
}

fn gave_at(name: &str, at: DateTime<Utc>) -> Event {
    Event::GaveAt {
        name: name.to_owned(),
        at,
    }
}

fn taken_by(holder: &str) -> Verdict {
    Verdict::ClaimTaken {
        scope: "toy.name".to_owned(),
        holder: holder.to_owned(),
    }
}

fn remember(key: &str, request: &str, expires_at: Option<DateTime<Utc>>) -> Remember {
    Remember {
        scope: "test".to_owned(),
        key: key.to_owned(),
        request: request.as_bytes().to_vec(),
        outcome: Remembered {
            status: 201,
            aggregate_id: "t".to_owned(),
        },
        expires_at,
        cause: None,
    }
}

async fn events(process: &Process) -> Result<i64, sqlx::Error> {
    Ok(process.log.reader().head().await?.position)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_racing_registrations_of_one_name_give_count() -> Outcome {
    each_engine(async |installation| {
        let processes = [
            Process::of(installation).await?,
            Process::beside(installation).await?,
        ];
        let verdicts = try_join_all((0..100).map(|number| {
            let process = &processes[number % 2];
            async move {
                process
                    .say::<Tally>(&format!("t{number}"), [took("zoe")])
                    .await
            }
        }))
        .await?;
        let winners: Vec<usize> = (0..100).filter(|at| appended(&verdicts[*at])).collect();
        let [winner] = winners.as_slice() else {
            panic!("{} won", winners.len())
        };
        let holder = format!("t{winner}");
        for (at, verdict) in verdicts.iter().enumerate() {
            assert!(
                at == *winner || *verdict == taken_by(&holder),
                "{verdict:?}"
            );
        }
        assert_eq!(events(&processes[0]).await?, 1);
        let held = processes[1]
            .log
            .claim_holder("toy.name", "zoe", now())
            .await?;
        assert_eq!(held, Some(holder));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn losers_do_not_hurt_winners_of_the_same_batch() -> Outcome {
    each_engine(async |installation| {
        let process = Arc::new(Process::of(installation).await?);
        process.say::<Tally>("holder", [took("zoe")]).await?;
        process
            .say::<Tally>("moved", [Event::Counted { by: 1 }])
            .await?;
        let once = remember("k", "r", None);
        process
            .say_once::<Tally>("known", [Event::Counted { by: 1 }], Some(&once))
            .await?;
        let other = remember("k", "another", None);
        let nothing = Loaded::<Tally>::default();
        let count = || [Event::Counted { by: 1 }];
        // handed in before the appender's task runs again, so that they are one batch
        let (winners, taken, moved, known) = futures::join!(
            try_join_all(["a", "c", "f"].map(|id| process.say_after(&nothing, id, count(), None))),
            process.say_after(&nothing, "b", [took("zoe")], None),
            process.say_after(&nothing, "moved", count(), None),
            process.say_after(&nothing, "e", count(), Some(&other)),
        );
        for winner in winners? {
            assert!(appended(&winner), "{winner:?}");
        }
        assert_eq!(taken?, taken_by("holder"));
        assert_eq!(moved?, Verdict::Conflict);
        assert_eq!(known?, Verdict::OtherRequest);
        let stored = process.log.reader().page(0, 100, 100).await?;
        assert_eq!(
            stored
                .iter()
                .map(|event| event.position)
                .collect::<Vec<_>>(),
            (1..=6).collect::<Vec<_>>()
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn each_of_hundreds_in_one_batch_gets_its_own_verdict() -> Outcome {
    each_engine(async |installation| {
        let process = Arc::new(Process::of(installation).await?);
        let streams: Vec<String> = (0..200).map(|number| format!("t{number}")).collect();
        let count = || [Event::Counted { by: 1 }];
        for moved in streams.iter().step_by(7) {
            process.say::<Tally>(moved, count()).await?;
        }
        let before = events(&process).await?;
        let ids: Vec<_> = (0..200)
            .map(|number| remember(&format!("k{number}"), "r", None))
            .collect();
        let nothing = Loaded::<Tally>::default();
        // handed in before the appender's task runs again, so that they are one batch
        let said = |again| {
            let told = streams.iter().zip(&ids).enumerate();
            try_join_all(told.map(|(number, (stream, id))| {
                let id = (again || number % 3 == 0).then_some(id);
                process.say_after(&nothing, stream, count(), id)
            }))
        };
        let mut position = before;
        for (number, verdict) in said(false).await?.into_iter().enumerate() {
            let expected = if number % 7 == 0 {
                Verdict::Conflict
            } else {
                position += 1;
                Verdict::Appended {
                    position,
                    sequence: 1,
                }
            };
            assert_eq!(verdict, expected, "t{number}");
        }
        for (number, verdict) in said(true).await?.into_iter().enumerate() {
            let known = number % 3 == 0 && number % 7 != 0;
            assert_eq!(
                matches!(verdict, Verdict::Repeated { sequence: 1, .. }),
                known,
                "t{number}: {verdict:?}"
            );
            assert!(known || verdict == Verdict::Conflict, "t{number}");
        }
        assert_eq!(events(&process).await?, position);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn of_a_batch_that_names_one_claim_twice_the_first_wins_and_the_second_hears_of_it() -> Outcome
{
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let nothing = Loaded::<Tally>::default();
        let (first, second, same) = futures::join!(
            process.say_after(&nothing, "a", [took("zoe")], None),
            process.say_after(&nothing, "b", [took("zoe")], None),
            process.say_after(&nothing, "a", [Event::Counted { by: 1 }], None),
        );
        assert!(appended(&first?));
        assert_eq!(second?, taken_by("a"));
        assert_eq!(same?, Verdict::Conflict);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_holder_is_read_with_its_stream_as_when_it_is_loaded() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let owner = process.member().await?;
        let name = Personal::Known("Zoë".to_owned());
        let opened = Event::Opened { owner, name };
        let counted = || Event::Counted { by: 3 };
        let log = &process.log;
        for (id, name) in [("d", "zoe"), ("e", "ida")] {
            let said = [opened.clone(), counted(), took(name), counted()];
            assert!(appended(&process.say::<Diary>(id, said).await?));
            // the same id, but another kind of stream
            process.say::<Tally>(id, [counted()]).await?;
        }
        let other = Process::beside(installation).await?;
        for (id, name) in [("d", "zoe"), ("e", "ida")] {
            let loaded = log.load::<Diary>(id).await?;
            for log in [log, &other.log] {
                let held = log.load_holder::<Diary>("toy.name", name, now()).await?;
                let Some((holder, held)) = held else {
                    return Err(format!("nobody holds {name}").into());
                };
                assert_eq!(holder, id);
                assert_eq!(held.sequence, 4);
                assert_eq!(held.sequence, loaded.sequence);
                assert!(held.state == loaded.state, "another state");
            }
        }
        process.say::<Diary>("d", [gave("zoe")]).await?;
        for free in ["zoe", "nobody"] {
            let held = log.load_holder::<Diary>("toy.name", free, now()).await?;
            assert!(held.is_none(), "{free}");
        }
        let another = log.load_holder::<Tally>("toy.name", "ida", now()).await?;
        assert!(another.is_none(), "another kind of stream holds it");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_released_claim_is_free_at_once() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        process.say::<Tally>("a", [took("zoe")]).await?;
        assert!(appended(&process.say::<Tally>("a", [took("zoe")]).await?));
        assert_eq!(
            process.say::<Tally>("b", [took("zoe")]).await?,
            taken_by("a")
        );
        process.say::<Tally>("a", [gave("zoe")]).await?;
        assert_eq!(
            process.log.claim_holder("toy.name", "zoe", now()).await?,
            None
        );
        assert!(appended(&process.say::<Tally>("b", [took("zoe")]).await?));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_claim_released_at_a_time_is_free_after_it() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let hour = Duration::hours(1);
        process
            .say::<Tally>("a", [took("zoe"), took("ida")])
            .await?;
        process
            .say::<Tally>(
                "a",
                [gave_at("zoe", now() + hour), gave_at("ida", now() - hour)],
            )
            .await?;
        assert_eq!(
            process.say::<Tally>("b", [took("zoe")]).await?,
            taken_by("a")
        );
        assert!(appended(&process.say::<Tally>("b", [took("ida")]).await?));
        let held = process
            .log
            .claim_holder("toy.name", "zoe", now() + hour * 2)
            .await?;
        assert_eq!(held, None);
        assert!(appended(&process.say::<Tally>("a", [took("zoe")]).await?));
        let held = process
            .log
            .claim_holder("toy.name", "zoe", now() + hour * 2)
            .await?;
        assert_eq!(held, Some("a".to_owned()), "taken again, it is kept");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nobody_releases_what_another_holds() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        process.say::<Tally>("a", [took("zoe")]).await?;
        process.say::<Tally>("b", [gave("zoe")]).await?;
        process
            .say::<Tally>("c", [gave_at("zoe", now() - Duration::hours(1))])
            .await?;
        // the same id, but another kind of stream
        process.say::<Card>("a", [gave("zoe")]).await?;
        assert_eq!(
            process.say::<Tally>("d", [took("zoe")]).await?,
            taken_by("a")
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_one_command_takes_and_gives_up_again_stays_free() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        process
            .say::<Tally>("a", [took("zoe"), gave("zoe")])
            .await?;
        assert_eq!(
            process.log.claim_holder("toy.name", "zoe", now()).await?,
            None
        );
        process
            .say::<Tally>("b", [took("zoe"), gave("zoe"), took("zoe")])
            .await?;
        let held = process.log.claim_holder("toy.name", "zoe", now()).await?;
        assert_eq!(held, Some("b".to_owned()));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_log_does_not_hold_the_claimed_value() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        process.say::<Tally>("a", [took("zoe")]).await?;
        let values: Vec<(Vec<u8>,)> = event_log::fetch_all!(
            installation.homes.log,
            (Vec<u8>,),
            match installation.engine() {
                event_log::database::Engine::Postgres => "SELECT value FROM log.claims",
                event_log::database::Engine::Sqlite => "SELECT value FROM claims",
            }
        )?;
        let [(value,)] = values.as_slice() else {
            panic!("one claim was taken")
        };
        assert_eq!(value.len(), 32);
        assert!(!value.windows(3).any(|window| window == b"zoe"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_repeated_command_id_gives_the_first_outcome() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let once = remember("k", "r", Some(now() + Duration::hours(24)));
        assert_eq!(process.log.known(&once, now()).await?, None);
        let count = || [Event::Counted { by: 1 }];
        process.say_once::<Tally>("t", count(), Some(&once)).await?;
        process.say::<Tally>("t", count()).await?;
        let again = process.say_once::<Tally>("t", count(), Some(&once)).await?;
        let Verdict::Repeated {
            position,
            sequence,
            outcome,
        } = again
        else {
            panic!("{again:?}")
        };
        assert_eq!((position, sequence), (1, 1));
        assert_eq!(serde_json::from_str::<Remembered>(&outcome)?, once.outcome);
        assert_eq!(
            process.log.known(&once, now()).await?,
            Some(Known::Same {
                outcome: once.outcome.clone(),
                sequence: 1,
                position: 1
            })
        );
        // even for a command that would conflict, and for another stream
        let nothing = Loaded::<Tally>::default();
        for stream in ["t", "u"] {
            let again = process
                .say_after(&nothing, stream, count(), Some(&once))
                .await?;
            assert!(
                matches!(again, Verdict::Repeated { position: 1, .. }),
                "{again:?}"
            );
        }
        assert_eq!(events(&process).await?, 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn one_command_id_for_two_requests_is_refused() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let count = || [Event::Counted { by: 1 }];
        process
            .say_once::<Tally>("t", count(), Some(&remember("k", "r", None)))
            .await?;
        let other = remember("k", "other", None);
        assert_eq!(process.log.known(&other, now()).await?, Some(Known::Other));
        let verdict = process
            .say_once::<Tally>("t", count(), Some(&other))
            .await?;
        assert_eq!(verdict, Verdict::OtherRequest);
        let elsewhere = Remember {
            scope: "elsewhere".to_owned(),
            ..other
        };
        let verdict = process
            .say_once::<Tally>("t", count(), Some(&elsewhere))
            .await?;
        assert!(appended(&verdict), "the scope belongs to the key");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_expired_command_id_is_free_again() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let count = || [Event::Counted { by: 1 }];
        let past = remember("k", "r", Some(now() - Duration::seconds(1)));
        process.say_once::<Tally>("t", count(), Some(&past)).await?;
        assert_eq!(process.log.known(&past, now()).await?, None);
        let later = remember("k", "other", Some(now() + Duration::hours(24)));
        let verdict = process
            .say_once::<Tally>("t", count(), Some(&later))
            .await?;
        assert!(appended(&verdict));
        let known = process.log.known(&later, now()).await?;
        assert!(matches!(known, Some(Known::Same { position: 2, .. })));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn command_ids_are_forgotten_after_their_time_and_policies_never() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let hour = Duration::hours(1);
        let count = || [Event::Counted { by: 1 }];
        let policy = Remember::policy("award", uuid::Uuid::max(), "t");
        let ids = [
            remember("old", "r", Some(now() - hour)),
            remember("young", "r", Some(now() + hour)),
            policy.clone(),
        ];
        for id in &ids {
            process.say_once::<Tally>("t", count(), Some(id)).await?;
        }
        assert_eq!(process.log.forget_commands(now()).await?, 1);
        assert_eq!(
            process
                .log
                .forget_commands(now() + hour * 1_000_000)
                .await?,
            1
        );
        let verdict = process
            .say_once::<Tally>("t", count(), Some(&policy))
            .await?;
        assert!(matches!(verdict, Verdict::Repeated { position: 3, .. }));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_id_raced_on_two_nodes_is_committed_once() -> Outcome {
    each_engine(async |installation| {
        let processes = [
            Process::of(installation).await?,
            Process::beside(installation).await?,
        ];
        let once = remember("k", "r", None);
        let verdicts = try_join_all((0..40).map(|number: usize| {
            let (process, once) = (&processes[number % 2], &once);
            async move {
                process
                    .say_once::<Tally>(
                        &format!("t{number}"),
                        [Event::Counted { by: 1 }],
                        Some(once),
                    )
                    .await
            }
        }))
        .await?;
        assert_eq!(
            verdicts.iter().filter(|verdict| appended(verdict)).count(),
            1
        );
        assert!(
            verdicts.iter().all(|verdict| appended(verdict)
                || matches!(verdict, Verdict::Repeated { position: 1, .. }))
        );
        assert_eq!(events(&processes[0]).await?, 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn once_an_erasure_has_begun_only_erasing_events_pass() -> Outcome {
    each_engine(async |installation| {
        let process = Process::of(installation).await?;
        let owner = process.member().await?;
        let name = || Personal::Known("Zoë".to_owned());
        process
            .say::<Card>(
                "c",
                [Event::Opened {
                    owner,
                    name: name(),
                }],
            )
            .await?;
        process
            .say::<Diary>(
                "d",
                [Event::Opened {
                    owner,
                    name: name(),
                }],
            )
            .await?;
        // handed in together: the erasure counts for what comes after it
        let card = process.log.load::<Card>("c").await?;
        let diary = process.log.load::<Diary>("d").await?;
        let (erasure, late) = futures::join!(
            process.say_after(&card, "c", [Event::ErasureStarted { owner }], None),
            process.say_after(&diary, "d", [Event::Counted { by: 1 }], None),
        );
        assert!(appended(&erasure?));
        assert_eq!(late?, Verdict::SubjectErased);
        let count = || [Event::Counted { by: 1 }];
        assert_eq!(
            process.say::<Card>("c", count()).await?,
            Verdict::SubjectErased
        );
        assert_eq!(
            process
                .say::<Diary>("d", [Event::Erased {}, Event::Counted { by: 1 }])
                .await?,
            Verdict::SubjectErased
        );
        assert_eq!(
            process
                .say::<Diary>(
                    "new",
                    [Event::Opened {
                        owner,
                        name: name()
                    }]
                )
                .await?,
            Verdict::SubjectErased
        );
        assert!(appended(
            &process.say::<Diary>("d", [Event::Erased {}]).await?
        ));
        assert!(appended(
            &process
                .say::<Card>("c", [Event::ErasureStarted { owner }])
                .await?
        ));
        let another = process.member().await?;
        let opened = Event::Opened {
            owner: another,
            name: name(),
        };
        assert!(appended(&process.say::<Card>("other", [opened]).await?));
        Ok(())
    })
    .await
}
