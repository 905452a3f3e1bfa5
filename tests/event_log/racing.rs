//! Many writers at once, of one process and of two, with a reader polling behind them.

use std::collections::HashSet;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_log::append::{AppendError, Verdict};
use event_log::log::{Decided, LogError};
use event_log::reader::Reader;
use event_log::{Metadata, RecordedEvent};
use futures::future::try_join_all;
use rand::RngExt;
use uuid::Uuid;

use super::Process;
use super::toy::{Event, Tally};
use crate::support::engines::{Outcome, each_engine, id, now};

type Failure = Box<dyn Error + Send + Sync>;

const WRITERS: usize = 64;
const COMMANDS_EACH: usize = 12;
const STREAMS: u32 = 24;

/// What the writers tried and what they were told.
#[derive(Default)]
struct Book {
    tried: Mutex<HashSet<Uuid>>,
    acknowledged: Mutex<HashSet<Uuid>>,
}

impl Book {
    fn note(set: &Mutex<HashSet<Uuid>>, ids: &[Uuid]) {
        set.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(ids);
    }

    fn of(set: &Mutex<HashSet<Uuid>>) -> HashSet<Uuid> {
        set.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One command of one or two events for a random stream, decided on a state that others are changing.
async fn command(process: &Process, book: &Book) -> Result<(), LogError> {
    let stream = format!("t{}", rand::rng().random_range(0..STREAMS));
    let before = process.log.load::<Tally>(&stream).await?;
    let count = rand::rng().random_range(1..=2);
    let events: Vec<(Uuid, Event)> = (0..count)
        .map(|_| (id(), Event::Counted { by: 1 }))
        .collect();
    let ids: Vec<Uuid> = events.iter().map(|(id, _)| *id).collect();
    Book::note(&book.tried, &ids);
    let metadata = Metadata::system("test", id());
    let decided = Decided {
        id: &stream,
        before,
        events: &events,
        metadata: &metadata,
        remember: None,
        key_id: id(),
        now: now(),
    };
    match process.log.append(decided).await {
        Ok((Verdict::Appended { .. }, _)) => Book::note(&book.acknowledged, &ids),
        Ok((Verdict::Conflict, _)) | Err(LogError::Append(AppendError::QueueFull)) => {}
        Ok((verdict, _)) => assert_eq!(verdict, Verdict::Conflict),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Works through its commands and gives some of them up half-way.
async fn writer(process: Arc<Process>, book: Arc<Book>) -> Result<(), Failure> {
    for _ in 0..COMMANDS_EACH {
        let (process, book) = (Arc::clone(&process), Arc::clone(&book));
        let work = tokio::spawn(async move { command(&process, &book).await });
        if rand::rng().random_bool(0.2) {
            let pause = rand::rng().random_range(0..8_000);
            tokio::time::sleep(Duration::from_micros(pause)).await;
            work.abort();
        }
        match work.await {
            Ok(done) => done?,
            Err(error) if error.is_cancelled() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What a reader has come by.
struct Seen {
    seen: Vec<RecordedEvent>,
    /// What its process knew of its own commits meanwhile.
    known: Vec<Arc<RecordedEvent>>,
}

/// Reads head-bounded pages until told to stop and everything is read, as a projection would.
async fn follow(reader: Reader, over: Arc<AtomicBool>) -> Result<Seen, Failure> {
    let mut seen: Vec<RecordedEvent> = Vec::new();
    let mut known: Vec<Arc<RecordedEvent>> = Vec::new();
    let mut checkpoint = 0;
    loop {
        let last_round = over.load(Ordering::Acquire);
        let head = reader.head().await?.position;
        known.extend(reader.kept_page(checkpoint, i64::MAX, 50));
        let page = reader.page(checkpoint, head, 50).await?;
        if page.len() < 50 {
            checkpoint = head;
        } else {
            checkpoint = page.last().map_or(checkpoint, |event| event.position);
        }
        seen.extend(page);
        if checkpoint == head {
            if last_round {
                return Ok(Seen { seen, known });
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn race(processes: Vec<Arc<Process>>) -> Result<(), Failure> {
    let book = Arc::new(Book::default());
    let over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = processes
        .iter()
        .map(|process| tokio::spawn(follow(process.log.reader(), Arc::clone(&over))))
        .collect();
    let writers = (0..WRITERS).map(|number| {
        let process = Arc::clone(&processes[number % processes.len()]);
        tokio::spawn(writer(process, Arc::clone(&book)))
    });
    for done in try_join_all(writers).await? {
        done?;
    }
    for process in &processes {
        // what was given up may still be queued
        process.stop().await;
    }
    over.store(true, Ordering::Release);

    let (tried, acknowledged) = (Book::of(&book.tried), Book::of(&book.acknowledged));
    let head = processes[0].log.reader().head().await?.position;
    for reader in readers {
        let Seen { seen, known } = reader.await??;
        let positions: Vec<i64> = seen.iter().map(|event| event.position).collect();
        assert_eq!(positions, (1..=head).collect::<Vec<_>>());
        assert!(!known.is_empty() || processes.len() > 1);
        for event in known {
            let place = usize::try_from(event.position - 1)?;
            assert_eq!(seen.get(place), Some(&*event));
        }
        let ids: HashSet<Uuid> = seen.iter().map(|event| event.event_id).collect();
        assert_eq!(ids.len(), seen.len(), "no event twice");
        assert!(acknowledged.is_subset(&ids), "nothing acknowledged is lost");
        assert!(ids.is_subset(&tried), "nothing is there that nobody wrote");
        assert!(seen.is_sorted_by_key(|event| event.recorded_at));
        assert!(seen.iter().all(RecordedEvent::is_intact));
        for stream in 0..STREAMS {
            let name = format!("t{stream}");
            let sequences: Vec<i64> = seen
                .iter()
                .filter(|event| event.aggregate_id == name)
                .map(|event| event.sequence)
                .collect();
            let last = i64::try_from(sequences.len())?;
            assert_eq!(sequences, (1..=last).collect::<Vec<_>>());
        }
    }
    assert!(
        acknowledged.len() > WRITERS,
        "conflicts leave room for progress"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_behind_64_writers_sees_every_event_once_and_in_order() -> Outcome {
    each_engine(async |installation| {
        let process = Arc::new(Process::of(installation).await?);
        race(vec![process])
            .await
            .map_err(|error| error as Box<dyn Error>)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_log_keep_one_order() -> Outcome {
    each_engine(async |installation| {
        let one = Arc::new(Process::of(installation).await?);
        let other = Arc::new(Process::beside(installation).await?);
        race(vec![one, other])
            .await
            .map_err(|error| error as Box<dyn Error>)
    })
    .await
}
