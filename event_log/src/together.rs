//! Questions of one kind that come at the same time are asked in one statement.
//!
//! While a statement is under way, whoever asks waits; the first of those who waited then asks for all of
//! them, over the same connection. No timer: who comes alone asks at once and alone. What is asked may also be
//! that rows be written: then those who come at the same time share a commit.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::database::{Database, Held, is_unavailable};

/// A kind of question.
pub trait Kind: Sync {
    /// One question.
    type Question: Clone + Send + Sync;
    /// What comes back for it.
    type Answer: Send;
    /// How many questions a statement asks at most.
    const MOST: usize;

    /// Asks all of them in one statement; the answers stand in the order of the questions.
    ///
    /// It may be asked again for the same question when somebody went away or one of several questions was
    /// refused.
    fn ask(
        &self,
        on: &mut Held,
        questions: &[Self::Question],
    ) -> impl Future<Output = Result<Vec<Self::Answer>, sqlx::Error>> + Send;
}

/// Those who ask questions of one kind. An error is shared where the database is away, which all who wait hear
/// at once.
pub struct Together<K: Kind>(Mutex<Waiting<K>>);

struct Waiting<K: Kind> {
    /// Somebody asks just now.
    asking: bool,
    others: Vec<Other<K>>,
}

/// Somebody's question, and where the answer goes.
type Other<K> = (<K as Kind>::Question, oneshot::Sender<Turn<K>>);

enum Turn<K: Kind> {
    /// Somebody asked for us.
    Answer(K::Answer),
    /// Somebody asked for us and the database is away.
    Away(Arc<sqlx::Error>),
    /// Somebody asked for several and was refused, perhaps for another one's question.
    Alone,
    /// It is on us to ask.
    Ask(Asking<K>),
}

/// The right to ask, which goes to the next who waits when it is dropped, with the connection.
struct Asking<K: Kind> {
    together: Option<Arc<Together<K>>>,
    /// Absent before the first statement, during a statement, and after one that failed.
    held: Option<Held>,
}

impl<K: Kind> std::fmt::Debug for Together<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Together")
    }
}

impl<K: Kind> Default for Together<K> {
    fn default() -> Self {
        Self(Mutex::new(Waiting {
            asking: false,
            others: Vec::new(),
        }))
    }
}

impl<K: Kind> Together<K> {
    /// The answer, by a statement that begins after this was called.
    pub async fn answer(
        self: &Arc<Self>,
        database: &Database,
        kind: &K,
        question: K::Question,
    ) -> Result<K::Answer, Arc<sqlx::Error>> {
        let mut asking = loop {
            match self.begin(&question) {
                Ok(asking) => break asking,
                Err(turn) => match turn.await {
                    Ok(Turn::Answer(answer)) => return Ok(answer),
                    Ok(Turn::Away(error)) => return Err(error),
                    Ok(Turn::Alone) => break Asking::beside(),
                    Ok(Turn::Ask(asking)) => break asking,
                    // who asked for us went away
                    Err(_) => {}
                },
            }
        };
        let others = asking.others().await;
        let mut questions = vec![question];
        questions.extend(others.iter().map(|(question, _)| question.clone()));
        let mut answers = match asking.ask(database, kind, &questions).await {
            Ok(answers) => answers.into_iter(),
            Err(error) if is_unavailable(&error) => return Err(self.away(error, others)),
            Err(error) if others.is_empty() => return Err(Arc::new(error)),
            Err(_) => {
                for (_, reply) in others {
                    let _gone = reply.send(Turn::Alone);
                }
                let own = asking.ask(database, kind, &questions[..1]).await?;
                return own.into_iter().next().ok_or_else(|| Arc::new(short()));
            }
        };
        let own = answers.next().ok_or_else(short)?;
        for ((_, reply), answer) in others.into_iter().zip(answers) {
            let _gone = reply.send(Turn::Answer(answer));
        }
        Ok(own)
    }

    /// Tells everybody who waits, so that nobody waits for the database once more.
    fn away(&self, error: sqlx::Error, mut others: Vec<Other<K>>) -> Arc<sqlx::Error> {
        let error = Arc::new(error);
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        others.append(&mut waiting.others);
        drop(waiting);
        for (_, reply) in others {
            let _gone = reply.send(Turn::Away(Arc::clone(&error)));
        }
        error
    }

    /// The right to ask, or a place among those who wait.
    fn begin(
        self: &Arc<Self>,
        question: &K::Question,
    ) -> Result<Asking<K>, oneshot::Receiver<Turn<K>>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.asking {
            let (reply, turn) = oneshot::channel();
            waiting.others.push((question.clone(), reply));
            return Err(turn);
        }
        waiting.asking = true;
        Ok(Asking {
            together: Some(Arc::clone(self)),
            held: None,
        })
    }
}

impl<K: Kind> Asking<K> {
    /// For who asks alone, whoever has the right.
    fn beside() -> Self {
        Self {
            together: None,
            held: None,
        }
    }

    /// Those who have waited longest, as many as fit beside the one who asks.
    async fn others(&self) -> Vec<Other<K>> {
        let Some(together) = &self.together else {
            return Vec::new();
        };
        // whoever is about to ask as well gets to it
        tokio::task::yield_now().await;
        let mut waiting = together.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = waiting.others.len().min(K::MOST - 1);
        waiting.others.drain(..most).collect()
    }

    async fn ask(
        &mut self,
        database: &Database,
        kind: &K,
        questions: &[K::Question],
    ) -> Result<Vec<K::Answer>, sqlx::Error> {
        let mut held = match self.held.take().filter(|held| !held.is_given_up()) {
            Some(held) => held,
            None => database.hold().await?,
        };
        let answers = kind.ask(&mut held, questions).await?;
        self.held = Some(held);
        if answers.len() == questions.len() {
            return Ok(answers);
        }
        Err(short())
    }
}

impl<K: Kind> Drop for Asking<K> {
    fn drop(&mut self) {
        let Some(together) = self.together.take() else {
            return;
        };
        let mut waiting = together.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !waiting.others.is_empty() {
            let (_, reply) = waiting.others.remove(0);
            let next = Self {
                together: Some(Arc::clone(&together)),
                held: self.held.take(),
            };
            match reply.send(Turn::Ask(next)) {
                Ok(()) => return,
                Err(Turn::Ask(mut refused)) => {
                    refused.together = None;
                    self.held = refused.held.take();
                }
                Err(Turn::Answer(_) | Turn::Away(_) | Turn::Alone) => {}
            }
        }
        waiting.asking = false;
        drop(waiting);
        if let Some(held) = self.held.take() {
            held.keep_warm();
        }
    }
}

fn short() -> sqlx::Error {
    sqlx::Error::Protocol("a statement has not answered all its questions".into())
}

/// The error itself; where others have it as well, one that says the same of the database.
#[must_use]
pub fn unshared(error: Arc<sqlx::Error>) -> sqlx::Error {
    Arc::try_unwrap(error).unwrap_or_else(|shared| sqlx::Error::Io(io::Error::other(shared)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use sqlx::SqlitePool;
    use sqlx::sqlite::SqlitePoolOptions;

    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    /// Writes numbers down and says what they are twice; 13 is refused.
    #[derive(Default)]
    struct Doubles {
        /// How many numbers each statement had.
        sizes: Mutex<Vec<usize>>,
    }

    impl Doubles {
        fn sizes(&self) -> Vec<usize> {
            self.sizes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        }
    }

    impl Kind for Doubles {
        type Question = i64;
        type Answer = i64;
        const MOST: usize = 32;

        async fn ask(&self, on: &mut Held, numbers: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
            self.sizes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(numbers.len());
            let text = "INSERT INTO numbers {rows} RETURNING number * 2";
            let doubled: Vec<(i64,)> =
                crate::fetch_rows!(on, (i64,), text, numbers, |row, number| {
                    row.push_bind(*number);
                })?;
            Ok(doubled.into_iter().map(|(number,)| number).collect())
        }
    }

    /// One connection, so that a statement waits while it is held.
    fn options() -> SqlitePoolOptions {
        SqlitePoolOptions::new().max_connections(1)
    }

    async fn numbers(options: SqlitePoolOptions) -> Result<SqlitePool, sqlx::Error> {
        let pool = options.connect("sqlite::memory:").await?;
        let mut setup = pool.acquire().await?;
        for table in [
            "numbers (number INTEGER CHECK (number <> 13))",
            "returns (number INTEGER)",
        ] {
            sqlx::query(&format!("CREATE TABLE {table}"))
                .execute(&mut *setup)
                .await?;
        }
        drop(setup);
        Ok(pool)
    }

    async fn count(pool: &SqlitePool, table: &str) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar(&format!("SELECT count(*) FROM {table}"))
            .fetch_one(pool)
            .await
    }

    async fn doubled(
        together: &Arc<Together<Doubles>>,
        doubles: &Doubles,
        pool: &SqlitePool,
        number: i64,
    ) -> Option<i64> {
        let database = Database::Sqlite(pool.clone());
        together.answer(&database, doubles, number).await.ok()
    }

    #[tokio::test]
    async fn those_who_come_while_somebody_asks_are_asked_for_together() -> Outcome {
        let (together, doubles) = (Arc::default(), Doubles::default());
        let pool = numbers(options()).await?;
        let asking = (100..200).map(|number| doubled(&together, &doubles, &pool, number));
        let answers = join_all(asking).await;
        let expected: Vec<_> = (100..200).map(|number| Some(number * 2)).collect();
        assert_eq!(answers, expected);
        assert_eq!(doubles.sizes(), [32, 32, 32, 4]);
        assert_eq!(count(&pool, "numbers").await?, 100);
        Ok(())
    }

    #[tokio::test]
    async fn those_who_ask_after_each_other_share_a_connection_and_then_give_it_back() -> Outcome {
        let options = options().after_release(|connection, _| {
            Box::pin(async move {
                let returned = sqlx::query("INSERT INTO returns DEFAULT VALUES");
                returned.execute(connection).await.map(|_| true)
            })
        });
        let (together, doubles) = (Arc::default(), Doubles::default());
        let pool = numbers(options).await?;
        let asking = (100..500).map(|number| doubled(&together, &doubles, &pool, number));
        assert!(join_all(asking).await.iter().all(Option::is_some));
        assert!(doubles.sizes().len() > 10);
        let returns = count(&pool, "returns").await?;
        assert_eq!(returns, 2, "after the tables were made, and at the end");
        Ok(())
    }

    #[tokio::test]
    async fn who_asks_for_others_and_goes_away_leaves_them_together() -> Outcome {
        let (together, doubles) = (Arc::default(), Doubles::default());
        let pool = numbers(options()).await?;
        let held = pool.acquire().await?;
        let first = doubled(&together, &doubles, &pool, 1);
        let first = tokio::time::timeout(Duration::from_millis(50), first);
        let others = join_all((20..38).map(|number| doubled(&together, &doubles, &pool, number)));
        let letting_go = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(held);
        };
        let (first, others, ()) = futures::join!(first, others, letting_go);
        assert!(first.is_err());
        assert!(others.iter().all(Option::is_some));
        assert_eq!(doubles.sizes(), [18]);
        assert_eq!(doubled(&together, &doubles, &pool, 1).await, Some(2));
        Ok(())
    }

    #[tokio::test]
    async fn a_question_that_is_refused_fails_alone() -> Outcome {
        let (together, doubles) = (Arc::default(), Doubles::default());
        let pool = numbers(options()).await?;
        let asking = (0..40).map(|number| doubled(&together, &doubles, &pool, number));
        let answers = join_all(asking).await;
        for (number, answer) in (0..).zip(answers) {
            assert_eq!(answer, (number != 13).then_some(number * 2));
        }
        assert_eq!(count(&pool, "numbers").await?, 39);
        Ok(())
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_waited_for_once_by_all() -> Outcome {
        let (together, doubles) = (Arc::default(), Doubles::default());
        let pool = numbers(options().acquire_timeout(Duration::from_millis(500))).await?;
        let _held = pool.acquire().await?;
        let asking = (100..200).map(|number| doubled(&together, &doubles, &pool, number));
        let answers = tokio::time::timeout(Duration::from_millis(900), join_all(asking));
        assert!(answers.await?.iter().all(Option::is_none));
        Ok(())
    }
}
