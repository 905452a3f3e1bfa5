//! A PostgreSQL database of its own for each test, on the server that `tests/run` starts.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

/// The variable that names the server: the URL of a role that may create databases.
const SERVER: &str = "TEST_POSTGRES_URL";

/// An empty database that nobody else uses. It goes with [`FreshDatabase::close`], or when it is dropped.
#[derive(Debug)]
pub struct FreshDatabase {
    server: PgConnectOptions,
    /// `None` once the database is gone.
    name: Option<String>,
    url: String,
}

/// Makes an empty database on the server of `TEST_POSTGRES_URL`.
///
/// A test that needs PostgreSQL fails without one: it is never skipped in silence.
///
/// # Errors
///
/// [`sqlx::Error::Configuration`] when the variable is absent or is no URL, else what the server said.
pub async fn fresh_database() -> Result<FreshDatabase, sqlx::Error> {
    fresh_database_on(std::env::var(SERVER).ok().as_deref()).await
}

async fn fresh_database_on(server: Option<&str>) -> Result<FreshDatabase, sqlx::Error> {
    let server = server.filter(|url| !url.is_empty()).ok_or_else(|| {
        sqlx::Error::Configuration(
            format!("{SERVER} is not set: run `tests/run`, which starts a private PostgreSQL for the tests").into(),
        )
    })?;
    let server = PgConnectOptions::from_str(server)?;
    let mut connection = server.connect().await?;
    let name: String =
        sqlx::query_scalar("SELECT 'soulsense_test_' || replace(gen_random_uuid()::text, '-', '')")
            .fetch_one(&mut connection)
            .await?;
    sqlx::query(&format!("CREATE DATABASE {name} TEMPLATE template0"))
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    let url = server.clone().database(&name).to_url_lossy().to_string();
    Ok(FreshDatabase {
        server,
        name: Some(name),
        url,
    })
}

impl FreshDatabase {
    /// The database's URL, as `DATABASE_URL` takes it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Drops the database now, and ends whoever is still connected to it.
    ///
    /// # Errors
    ///
    /// What the server said.
    pub async fn close(mut self) -> Result<(), sqlx::Error> {
        match self.name.take() {
            Some(name) => drop_database(&self.server, &name).await,
            None => Ok(()),
        }
    }
}

impl Drop for FreshDatabase {
    fn drop(&mut self) {
        let Some(name) = self.name.take() else { return };
        let server = self.server.clone();
        // A thread with a runtime of its own: the test's runtime may be the one that is just ending.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.is_ok_and(|runtime| runtime.block_on(drop_database(&server, &name)).is_ok())
        });
        // Best effort: what stays goes with the throw-away cluster.
        let _ = dropped.join();
    }
}

async fn drop_database(server: &PgConnectOptions, name: &str) -> Result<(), sqlx::Error> {
    let mut connection: PgConnection = server.connect().await?;
    sqlx::query(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        .execute(&mut connection)
        .await?;
    connection.close().await
}

mod tests {
    use super::*;

    type Outcome = Result<(), sqlx::Error>;

    async fn database_of(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
        sqlx::query_scalar("SELECT current_database()")
            .fetch_one(connection)
            .await
    }

    async fn is_gone(url: &str) -> bool {
        PgConnection::connect(url).await.is_err()
    }

    #[tokio::test]
    async fn every_test_gets_a_database_of_its_own() -> Outcome {
        let (one, other) = (fresh_database().await?, fresh_database().await?);
        let mut to_one = PgConnection::connect(one.url()).await?;
        let mut to_other = PgConnection::connect(other.url()).await?;
        assert_ne!(
            database_of(&mut to_one).await?,
            database_of(&mut to_other).await?
        );
        Ok(())
    }

    #[tokio::test]
    async fn a_closed_database_is_gone_though_somebody_is_connected() -> Outcome {
        let database = fresh_database().await?;
        let url = database.url().to_owned();
        let _connected = PgConnection::connect(&url).await?;
        database.close().await?;
        assert!(is_gone(&url).await);
        Ok(())
    }

    #[tokio::test]
    async fn a_dropped_database_is_gone() -> Outcome {
        let database = fresh_database().await?;
        let url = database.url().to_owned();
        drop(database);
        assert!(is_gone(&url).await);
        Ok(())
    }

    #[tokio::test]
    async fn without_a_server_the_sentence_says_what_to_run() {
        for absent in [None, Some("")] {
            let error = fresh_database_on(absent).await.err();
            assert!(error.is_some_and(|error| error.to_string().contains("run `tests/run`")));
        }
    }
}
