//! Fills a log with what members do over some weeks. Every event is decided by its aggregate, sealed and
//! appended as in the server; only the passwords are not hashed. Many members are under way at the same
//! time, so that their streams lie in each other as in a real log.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use domain::Aggregate;
use domain::exams::exam::{Exam, ExamCommand, QuestionCount, Reflection, Response, Start};
use domain::exams::question_bank::{Bank, QuestionBank, QuestionBankCommand, SHIPPED};
use domain::gamification::policy::{on_entry_written, on_exam_completed};
use domain::gamification::progress::Progress;
use domain::id::{AccountId, EntryId, ExamId, SessionId};
use domain::identity::account::{
    Account, AccountCommand, EmailAddress, PasswordHash, PersonName, Username,
};
use domain::identity::session::{Device, RefreshHash, Session, SessionCommand, UserAgent};
use domain::journal::entry::{Change, Draft, Entry, EntryBody, EntryCommand};
use domain::language::Language;
use event_log::Metadata;
use event_log::append::Verdict;
use event_log::log::{Decided, Loaded};
use futures::StreamExt;
use soulsense::node::Node;
use uuid::Uuid;

/// Members under way at the same time.
const MEMBERS: usize = 256;
/// Days that a member stays.
const DAYS: i64 = 20;
/// Days on which a member sits an exam.
const EXAM_DAYS: [i64; 2] = [3, 14];

const WORDS: [&str; 4] = [
    "Today I listened before I answered, and the talk with my sister went better than I had feared. I \
     noticed how my shoulders sank when she laughed.",
    "A walk by the river made me calm. I left the telephone at home and came back with two ideas for work.",
    "I was anxious before the meeting and angry after it, and only in the evening did I see that nobody had \
     meant harm. I will ask first the next time, and I wrote down what I would have liked to say instead of \
     what I said. Cooking helped, as it always does.",
    "Slept badly, worked too long, and yet the hour with the children was the best of the week.",
];

/// Lets members come and go until the log holds enough.
pub async fn fill(node: &Arc<Node>, events: i64) -> anyhow::Result<()> {
    let bank = Bank::parse(SHIPPED[0]).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let publish = QuestionBankCommand::Publish {
        bank: Box::new(bank.clone()),
        now: node.clock.now(),
    };
    let mut stream = Stream::<QuestionBank>::new(bank.stream_id());
    let system = Metadata::system("job:shipped-banks", node.ids.next());
    stream.ask(node, &[publish], &system).await?;
    let (bank, written) = (Arc::new(bank), AtomicI64::new(1));
    let mut members = futures::stream::iter(0..)
        .take_while(|_| std::future::ready(written.load(Ordering::Relaxed) < events))
        .map(|number| member(node, Arc::clone(&bank), number, &written, events))
        .buffer_unordered(MEMBERS);
    while let Some(done) = members.next().await {
        done?;
    }
    Ok(())
}

/// A stream as this program alone writes it.
struct Stream<A> {
    id: String,
    loaded: Loaded<A>,
}

impl<A: Aggregate> Stream<A> {
    fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            loaded: Loaded::default(),
        }
    }

    /// Decides commands one after the other and appends what follows at once; gives the events' ids.
    async fn ask(
        &mut self,
        node: &Node,
        commands: &[A::Command],
        metadata: &Metadata,
    ) -> anyhow::Result<Vec<Uuid>> {
        let mut state = self.loaded.state.clone();
        let mut events = Vec::new();
        for command in commands {
            let decided = state
                .decide(command)
                .map_err(|rejection| anyhow::anyhow!("{rejection}"))?;
            for event in decided {
                state.apply(event.clone());
                events.push((node.ids.next(), event));
            }
        }
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let decided = Decided {
            id: &self.id,
            before: self.loaded.clone(),
            events: &events,
            metadata,
            remember: None,
            key_id: node.ids.next(),
            now: node.clock.now(),
        };
        let (verdict, state) = node.log.append(decided).await?;
        ensure!(matches!(verdict, Verdict::Appended { .. }), "{verdict:?}");
        self.loaded.state = state;
        self.loaded.sequence += i64::try_from(events.len())?;
        Ok(events.into_iter().map(|(id, _)| id).collect())
    }
}

/// A member's streams.
struct Member<'n> {
    node: &'n Node,
    account_id: AccountId,
    number: i64,
    progress: Stream<Progress>,
    written: &'n AtomicI64,
}

async fn member(
    node: &Arc<Node>,
    bank: Arc<Bank>,
    number: i64,
    written: &AtomicI64,
    events: i64,
) -> anyhow::Result<()> {
    let account_id = AccountId(node.ids.next());
    let mut member = Member {
        node,
        account_id,
        number,
        progress: Stream::new(account_id.to_string()),
        written,
    };
    let first = node.clock.now() - TimeDelta::days(DAYS + 1);
    let (account, mut session) = member.register(first).await?;
    let mut entries: Vec<Stream<Entry>> = Vec::new();
    for day in 0..DAYS {
        if written.load(Ordering::Relaxed) >= events {
            break;
        }
        let now = first + TimeDelta::days(day) + TimeDelta::minutes(number % 600);
        if day % 7 == 6 {
            session = member.sign_in(&account, now).await?;
        } else {
            member.refresh(&mut session, day, now).await?;
        }
        entries.push(member.write(day, now).await?);
        if day % 3 == 2 {
            member.revise(&mut entries, day, now).await?;
        }
        if EXAM_DAYS.contains(&day) {
            member.sit_exam(Arc::clone(&bank), now).await?;
        }
    }
    Ok(())
}

impl Member<'_> {
    fn metadata(&self) -> Metadata {
        Metadata {
            correlation_id: self.node.ids.next(),
            causation_id: None,
            actor_id: self.account_id.to_string(),
            actor_role: "member",
        }
    }

    async fn ask<A: Aggregate>(
        &self,
        stream: &mut Stream<A>,
        commands: &[A::Command],
    ) -> anyhow::Result<Vec<Uuid>> {
        let metadata = self.metadata();
        let ids = stream.ask(self.node, commands, &metadata).await?;
        self.counted(&ids)?;
        Ok(ids)
    }

    fn counted(&self, ids: &[Uuid]) -> anyhow::Result<()> {
        self.written
            .fetch_add(i64::try_from(ids.len())?, Ordering::Relaxed);
        Ok(())
    }

    async fn register(
        &self,
        now: DateTime<Utc>,
    ) -> anyhow::Result<(Stream<Account>, Stream<Session>)> {
        self.node
            .log
            .keys()
            .create_subject(self.account_id.0, self.node.ids.next(), now)
            .await?;
        let faulty = |fault| anyhow::anyhow!("{fault:?}");
        let register = AccountCommand::Register {
            account_id: self.account_id,
            username: Username::parse(&format!("member_{}", self.number)).map_err(faulty)?,
            email: EmailAddress::parse(&format!("member.{}@example.org", self.number))
                .map_err(faulty)?,
            password_hash: PasswordHash::new(
                "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0$2bQ1m3sXhF8yqYyQyqkG5Wm0mE3rXl8x",
            ),
            first_name: PersonName::parse("Asha").map_err(faulty)?,
            last_name: Some(PersonName::parse("Rao").map_err(faulty)?),
            age: None,
            gender: None,
            now,
        };
        let mut account = Stream::new(self.account_id.to_string());
        self.ask(&mut account, &[register]).await?;
        let session = self.sign_in(&account, now).await?;
        Ok((account, session))
    }

    async fn sign_in(
        &self,
        account: &Stream<Account>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Stream<Session>> {
        let session_id = SessionId(self.node.ids.next());
        let start = SessionCommand::Start {
            session_id,
            account_id: self.account_id,
            account_sequence: u64::try_from(account.loaded.sequence)?,
            secret_hash: RefreshHash::new(format!("{session_id}-0")),
            device: Device {
                label: None,
                ip: Some(std::net::Ipv4Addr::new(192, 0, 2, 7).into()),
                user_agent: Some(UserAgent::clip(
                    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                )),
            },
            now,
        };
        let mut session = Stream::new(session_id.to_string());
        self.ask(&mut session, &[start]).await?;
        Ok(session)
    }

    async fn refresh(
        &self,
        session: &mut Stream<Session>,
        day: i64,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let hash = |number: i64| RefreshHash::new(format!("{}-{number}", session.id));
        let refresh = SessionCommand::Refresh {
            presented_hash: hash(session.loaded.sequence - 1),
            successor_hash: hash(session.loaded.sequence),
            session_floor: 0,
            now: now - TimeDelta::minutes(5),
        };
        let ids = self.ask(session, &[refresh]).await?;
        ensure!(ids.len() == 1, "day {day}: nothing was refreshed");
        Ok(())
    }

    /// An entry, and what the policy makes of it.
    async fn write(&mut self, day: i64, now: DateTime<Utc>) -> anyhow::Result<Stream<Entry>> {
        let entry_id = EntryId(self.node.ids.next());
        let write = EntryCommand::Write {
            entry_id,
            account_id: self.account_id,
            body: Box::new(self.body(day, now)?),
            now,
        };
        let mut entry = Stream::new(entry_id.to_string());
        let ids = self.ask(&mut entry, &[write]).await?;
        let cause = *ids.first().context("no entry was written")?;
        let record = on_entry_written(self.account_id, cause, now, Tz::UTC);
        self.progress(cause, record).await?;
        Ok(entry)
    }

    fn body(&self, day: i64, now: DateTime<Utc>) -> anyhow::Result<EntryBody> {
        let place = usize::try_from((self.number + day) % 4)?;
        let draft = Draft {
            title: (day % 2 == 0).then(|| format!("Day {day}")),
            content: Some(WORDS[place].to_owned()),
            tags: vec!["work".to_owned(), "family".to_owned()],
            mood_rating: Some(1 + (self.number + day) % 10),
            stress_level: Some(1 + day % 10),
            sleep_hours: Some(7.25),
            stress_triggers: (day % 5 == 0).then(|| "deadlines".to_owned()),
            ..Draft::default()
        };
        EntryBody::try_new(draft, now.date_naive()).map_err(|faults| anyhow::anyhow!("{faults:?}"))
    }

    /// Changes an entry of some days ago; now and then deletes another, and takes that back.
    async fn revise(
        &self,
        entries: &mut [Stream<Entry>],
        day: i64,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let account_id = self.account_id;
        let place = usize::try_from(day / 2)?;
        let revise = EntryCommand::Revise {
            account_id,
            expected: None,
            change: Change::Replace(Box::new(self.body(day + 1, now)?)),
            today: now.date_naive(),
            now,
        };
        self.ask(&mut entries[place], &[revise]).await?;
        if day % 2 == 0 {
            let delete = EntryCommand::Delete {
                account_id,
                expected: None,
                now,
            };
            let restore = EntryCommand::Restore { account_id, now };
            let undone = [delete, restore];
            let commands = if day % 4 == 0 {
                &undone[..]
            } else {
                &undone[..1]
            };
            self.ask(&mut entries[place - 1], commands).await?;
        }
        Ok(())
    }

    /// An exam, one answer after the other, and what the policy makes of it.
    async fn sit_exam(&mut self, bank: Arc<Bank>, now: DateTime<Utc>) -> anyhow::Result<()> {
        let (account_id, exam_id) = (self.account_id, ExamId(self.node.ids.next()));
        let start = ExamCommand::Start(Start {
            exam_id,
            account_id,
            bank,
            question_count: QuestionCount::try_new(20)
                .map_err(|fault| anyhow::anyhow!("{fault:?}"))?,
            age: None,
            language: Language::En,
            idle_timeout: TimeDelta::hours(1),
            last_completed_at: None,
            cooldown: TimeDelta::zero(),
            now,
        });
        let mut exam = Stream::<Exam>::new(exam_id.to_string());
        self.ask(&mut exam, &[start]).await?;
        let attempt = exam
            .loaded
            .state
            .attempt_of(account_id)
            .map_err(|rejection| anyhow::anyhow!("{rejection}"))?;
        let asked: Vec<String> = attempt
            .questions()
            .map(|(item, _)| item.id.clone())
            .collect();
        for (number, question_id) in (0..).zip(asked) {
            let save = ExamCommand::SaveResponses {
                account_id,
                responses: vec![Response {
                    question_id,
                    value: 1 + (self.number + number * number) % 5,
                }],
                now: now + TimeDelta::seconds(9 * (number + 1)),
            };
            self.ask(&mut exam, &[save]).await?;
        }
        let words = Reflection::parse("I was more patient with others than with myself.")
            .map_err(|fault| anyhow::anyhow!("{fault:?}"))?;
        let now = now + TimeDelta::minutes(5);
        let complete = ExamCommand::Complete {
            account_id,
            reflection: Some(words),
            now,
        };
        let ids = self.ask(&mut exam, &[complete]).await?;
        let cause = *ids.last().context("no exam was completed")?;
        let record = on_exam_completed(account_id, cause, now, Tz::UTC, false, Some(false));
        self.progress(cause, record.context("nothing to tell")?)
            .await
    }

    async fn progress(
        &mut self,
        cause: Uuid,
        record: <Progress as cqrs_es::Aggregate>::Command,
    ) -> anyhow::Result<()> {
        let metadata = Metadata {
            correlation_id: self.node.ids.next(),
            causation_id: Some(cause),
            actor_id: "policy:award-progress".to_owned(),
            actor_role: "system",
        };
        let ids = self.progress.ask(self.node, &[record], &metadata).await?;
        self.counted(&ids)
    }
}
