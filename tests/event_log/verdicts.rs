//! What a batch is told is what its commands are told one by one, and it leaves the same rows.

use std::collections::HashMap;
use std::error::Error;

use chrono::{DateTime, Duration, Utc};
use event_log::append::{
    Append, AppendError, Appender, Bounds, ClaimAction, ClaimEntry, CommandId, Verdict,
};
use event_log::database::{Engine, Statement};
use event_log::reader::Reader;
use event_log::{RecordedEvent, fetch_all};
use futures::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use crate::support::engines::{Installation, Outcome, id};
use crate::support::raw;

static CLAIMS: Statement = Statement::new(
    "claims",
    "SELECT scope, value, aggregate_type, aggregate_id, until FROM {log.claims} ORDER BY scope, value",
);
static COMMAND_IDS: Statement = Statement::new(
    "command ids",
    "SELECT key, request, outcome, sequence, position, expires_at FROM {log.command_ids} ORDER BY key",
);

/// One command, as chance describes it.
#[derive(Debug, Clone)]
enum Step {
    New(New),
    /// A command that was handed in before, byte for byte: its answer had been lost.
    Again(prop::sample::Index),
}

#[derive(Debug, Clone, Default)]
struct New {
    stream: u8,
    /// How far from the stream's last sequence the decision stands.
    aside: i64,
    events: usize,
    claims: Vec<(u8, ClaimAction)>,
    /// Key, request and when it may be forgotten.
    command: Option<(u8, u8, Option<DateTime<Utc>>)>,
    subject: Option<u8>,
    erasing: bool,
}

impl New {
    /// The command with which a subject's erasure begins, for a stream of its own.
    fn erasure(subject: u8) -> Self {
        Self {
            stream: FIRST_ERASED + subject,
            events: 1,
            subject: Some(subject),
            erasing: true,
            ..Self::default()
        }
    }
}

/// Streams from here on are those of erasures.
const FIRST_ERASED: u8 = 100;

/// Commands that are handed in at once.
#[derive(Debug, Clone)]
struct Round {
    /// The subject whose erasure the first command begins.
    erased: Option<u8>,
    steps: Vec<Step>,
}

fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    // long past or far away, so that both logs see the same
    let hours = prop_oneof![Just(-1_000_i64), Just(1_000_000)];
    hours.prop_map(|hours| DateTime::UNIX_EPOCH + Duration::days(20_000) + Duration::hours(hours))
}

fn change() -> impl Strategy<Value = ClaimAction> {
    prop_oneof![
        3 => Just(ClaimAction::Take),
        2 => Just(ClaimAction::Release),
        1 => moment().prop_map(ClaimAction::ReleaseAt),
    ]
}

/// Mostly what passes, since one doubtful command makes the whole batch doubtful.
fn step() -> impl Strategy<Value = Step> {
    let new = (
        0..12_u8,
        prop_oneof![20 => Just(0_i64), 1 => -2..=-1_i64, 1 => 1..=2_i64],
        1..=3_usize,
        prop_oneof![
            4 => Just(Vec::new()),
            1 => prop::collection::btree_map(0..6_u8, change(), 1..=2)
                .prop_map(|claims| claims.into_iter().collect()),
        ],
        prop::option::weighted(0.2, (0..8_u8, 0..2_u8, prop::option::of(moment()))),
        prop::option::weighted(0.3, 0..3_u8),
        prop::bool::weighted(0.1),
    );
    let new = new.prop_map(
        |(stream, aside, events, claims, command, subject, erasing)| {
            Step::New(New {
                stream,
                aside,
                events,
                claims,
                command,
                subject,
                erasing,
            })
        },
    );
    prop_oneof![15 => new, 1 => any::<prop::sample::Index>().prop_map(Step::Again)]
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let round = (
        prop::option::weighted(0.1, 0..3_u8),
        prop::collection::vec(step(), 0..7),
    );
    let round = round.prop_map(|(erased, steps)| Round { erased, steps });
    prop::collection::vec(round, 1..6)
}

/// The names of one case: no other case meets them.
struct Names(Uuid);

impl Names {
    fn name(&self, kind: &str, number: u8) -> Vec<u8> {
        format!("{kind} {number} of {}", self.0).into_bytes()
    }

    fn stream(&self, number: u8) -> String {
        format!("{number} of {}", self.0)
    }

    fn subject(&self, number: u8) -> Uuid {
        Uuid::from_u128(self.0.as_u128() ^ (u128::from(number) + 1))
    }

    /// The command for a stream that is at the given sequence.
    fn command(&self, new: New, last: i64) -> Append {
        let mut append = self.append(new.stream, (last + new.aside).max(0), new.events);
        let claims = new.claims.into_iter().map(|(claim, change)| ClaimEntry {
            scope: "toy.name",
            value: self.name("claim", claim),
            change,
        });
        append.claims.extend(claims);
        let erased = new.subject.filter(|_| new.stream >= FIRST_ERASED);
        append.claims.extend(erased.map(|subject| ClaimEntry {
            scope: "erased",
            value: self.subject(subject).as_bytes().to_vec(),
            change: ClaimAction::Erase,
        }));
        append.command = new.command.map(|(key, request, expires_at)| CommandId {
            key: self.name("key", key),
            request: vec![request],
            outcome: format!("{{\"aggregate_id\":\"{}\"}}", append.aggregate_id),
            expires_at,
        });
        append.subject_id = new.subject.map(|subject| self.subject(subject));
        append.erasing = new.erasing;
        append
    }

    /// Events without anything that is judged beside the sequence.
    fn append(&self, stream: u8, expected: i64, events: usize) -> Append {
        let payloads = std::iter::repeat_n(format!(r#"{{"stream":{stream}}}"#), events);
        raw::decided("tally", &self.stream(stream), expected, "counted", payloads)
    }
}

/// Two logs: one gets every command by itself, on SQLite; the other all of a round at once.
struct Pair {
    one_by_one: Side,
    batched: Side,
    /// Rounds in which every command was appended, and rounds in which some were not.
    clean: usize,
    doubtful: usize,
}

/// A log, and the appenders of two processes that write to it in turn.
struct Side {
    installation: Installation,
    appenders: [Appender; 2],
}

impl Side {
    async fn open(engine: Engine, batch: usize) -> Result<Self, Box<dyn Error>> {
        let installation = Installation::on(engine).await?;
        let bounds = Bounds {
            batch,
            ..Bounds::default()
        };
        let appenders = [
            Appender::start(installation.target(), bounds).await?.0,
            Appender::start(installation.target(), bounds).await?.0,
        ];
        Ok(Self {
            installation,
            appenders,
        })
    }

    async fn events(&self, after: i64) -> Result<Vec<RecordedEvent>, sqlx::Error> {
        Reader::new(self.installation.homes.log.clone())
            .page(after, i64::MAX, 100_000)
            .await
    }

    async fn head(&self) -> Result<i64, sqlx::Error> {
        let reader = Reader::new(self.installation.homes.log.clone());
        Ok(reader.head().await?.position)
    }
}

type Claim = (String, Vec<u8>, String, String, Option<DateTime<Utc>>);
type Known = (Vec<u8>, Vec<u8>, String, i64, i64, Option<DateTime<Utc>>);
type Verdicts = Vec<Result<Verdict, AppendError>>;

/// What must be the same in both logs. Of a batch that names a stream, a claim or a command id twice the second
/// command comes after the others, so that an event stands in for its position.
#[derive(Debug, PartialEq)]
struct Seen {
    verdicts: Vec<(String, Option<Uuid>)>,
    events: Vec<RecordedEvent>,
    claims: Vec<Claim>,
    command_ids: Vec<(Known, Option<Uuid>)>,
}

impl Seen {
    async fn of(
        side: &Side,
        names: &Names,
        start: i64,
        verdicts: &Verdicts,
    ) -> Result<Self, Box<dyn Error>> {
        let mut events = side.events(start).await?;
        let positions: Vec<i64> = events.iter().map(|event| event.position).collect();
        let last = side.head().await?;
        assert_eq!(positions, (start + 1..=last).collect::<Vec<_>>());
        assert!(events.is_sorted_by_key(|event| event.recorded_at));
        let at: HashMap<i64, (Uuid, i64)> = events
            .iter()
            .map(|event| (event.position, (event.event_id, event.sequence)))
            .collect();
        let event_at = |position: i64, sequence: i64| {
            let (event, there) = at.get(&position)?;
            (*there == sequence).then_some(*event)
        };
        let verdicts = verdicts.iter().map(|verdict| match verdict {
            Ok(Verdict::Appended { position, sequence }) => {
                let event = event_at(*position, *sequence);
                assert!(event.is_some(), "no event {sequence} at {position}");
                (format!("appended {sequence}"), event)
            }
            Ok(Verdict::Repeated {
                position,
                sequence,
                outcome,
            }) => {
                let event = event_at(*position, *sequence);
                assert!(event.is_some(), "no event {sequence} at {position}");
                (format!("repeated {sequence} {outcome}"), event)
            }
            other => (format!("{other:?}"), None),
        });
        let verdicts = verdicts.collect();
        let database = &side.installation.homes.log;
        let case = names.0.to_string();
        let mut claims: Vec<Claim> = fetch_all!(database, Claim, CLAIMS.on(database.engine()))?;
        claims.retain(|(_, _, _, holder, _)| holder.ends_with(&case));
        let mut known: Vec<Known> = fetch_all!(database, Known, COMMAND_IDS.on(database.engine()))?;
        known.retain(|(_, _, outcome, ..)| outcome.contains(&case));
        let command_ids = known.into_iter().map(|mut known| {
            let event = event_at(known.4, known.3);
            known.4 = 0;
            (known, event)
        });
        let command_ids = command_ids.collect();
        events.sort_by_key(|event| (event.aggregate_id.clone(), event.sequence));
        for event in &mut events {
            event.position = 0;
            event.recorded_at = DateTime::UNIX_EPOCH;
        }
        Ok(Self {
            verdicts,
            events,
            claims,
            command_ids,
        })
    }
}

impl Pair {
    async fn open(engine: Engine) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            one_by_one: Side::open(Engine::Sqlite, 1).await?,
            batched: Side::open(engine, 256).await?,
            clean: 0,
            doubtful: 0,
        })
    }

    async fn compare(&mut self, rounds: Vec<Round>) -> Result<(Seen, Seen), Box<dyn Error>> {
        let names = Names(id());
        let start = [self.one_by_one.head().await?, self.batched.head().await?];
        let mut last: HashMap<u8, i64> = HashMap::new();
        let mut handed_in: Vec<Append> = Vec::new();
        let (mut verdicts, mut of_batches) = (Verdicts::new(), Verdicts::new());
        for (round, Round { erased, steps }) in rounds.into_iter().enumerate() {
            let from = handed_in.len();
            let erasure = erased.map(|subject| Step::New(New::erasure(subject)));
            for step in erasure.into_iter().chain(steps) {
                let (stream, append) = match step {
                    Step::Again(_) if handed_in.is_empty() => continue,
                    Step::Again(which) => (None, which.get(&handed_in).clone()),
                    Step::New(new) => {
                        let seen = last.get(&new.stream).copied().unwrap_or_default();
                        (Some(new.stream), names.command(new, seen))
                    }
                };
                let appender = &self.one_by_one.appenders[round % 2];
                let verdict = appender.append(append.clone()).await;
                if let (Some(stream), Ok(Verdict::Appended { sequence, .. })) = (stream, &verdict) {
                    last.insert(stream, *sequence);
                }
                verdicts.push(verdict);
                handed_in.push(append);
            }
            let at_once = handed_in[from..].iter().cloned();
            let appender = &self.batched.appenders[round % 2];
            of_batches.extend(join_all(at_once.map(|append| appender.append(append))).await);
            let passed = |verdict: &Result<_, _>| matches!(verdict, Ok(Verdict::Appended { .. }));
            if verdicts[from..].iter().all(passed) {
                self.clean += 1;
            } else {
                self.doubtful += 1;
            }
        }
        Ok((
            Seen::of(&self.one_by_one, &names, start[0], &verdicts).await?,
            Seen::of(&self.batched, &names, start[1], &of_batches).await?,
        ))
    }
}

/// Of a runtime with one thread: what is handed in at once is queued before the appender runs.
fn on(engine: Engine) -> Outcome {
    let runtime: Runtime = Builder::new_current_thread().enable_all().build()?;
    let pair = std::cell::RefCell::new(runtime.block_on(Pair::open(engine))?);
    let mut runner = TestRunner::new(Config {
        cases: 60,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..Config::default()
    });
    runner.run(&rounds(), |rounds| {
        let (one_by_one, batched) = runtime
            .block_on(pair.borrow_mut().compare(rounds))
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(one_by_one, batched);
        Ok(())
    })?;
    let pair = pair.into_inner();
    assert!(pair.clean > 20, "{} rounds without a doubt", pair.clean);
    assert!(pair.doubtful > 20, "{} rounds with one", pair.doubtful);
    let batches = pair.batched.appenders.map(|one| one.batches());
    assert!(batches.iter().all(|batches| batches.mean() > 1.5));
    let alone = pair.one_by_one.appenders.map(|one| one.batches());
    assert!(alone.iter().all(|batches| batches.quantile(1.0) == 1));
    Ok(())
}

#[test]
fn a_batch_is_judged_on_sqlite_as_its_commands_are_one_by_one() -> Outcome {
    on(Engine::Sqlite)
}

#[test]
fn a_batch_is_judged_on_postgres_as_its_commands_are_one_by_one() -> Outcome {
    on(Engine::Postgres)
}
