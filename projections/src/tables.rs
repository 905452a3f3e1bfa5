//! Which physical tables a marker means, per generation; and the pinned set a request reads from.
//!
//! Another generation is another text and so another plan: no view, rename or search path is involved.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use event_log::database::{Database, Engine, Statement, render};
use event_log::keys::Keys;
use event_log::together::{Together, unshared};
use uuid::Uuid;

use crate::projection::Projection;
use crate::together::{ById, Row};

/// Physical names of tables by marker, and the statements rendered with them so far.
#[derive(Debug)]
pub struct Tables {
    engine: Engine,
    /// marker → name without schema
    names: HashMap<&'static str, String>,
    rendered: Mutex<HashMap<usize, Arc<str>>>,
    /// Of each statement that asks for ids, who asks at present.
    together: Mutex<HashMap<usize, Arc<dyn Any + Send + Sync>>>,
}

impl Tables {
    /// The tables of the given generations together.
    pub fn of<'p>(
        engine: Engine,
        generations: impl IntoIterator<Item = (&'p dyn Projection, i64)>,
    ) -> Self {
        let mut names = HashMap::new();
        for (projection, generation) in generations {
            for marker in markers(projection.schema()) {
                names.insert(marker, format!("{marker}_g{generation}"));
            }
        }
        Self {
            engine,
            names,
            rendered: Mutex::default(),
            together: Mutex::default(),
        }
    }

    /// The text of a statement with these tables; the same allocation every time.
    pub fn sql(&self, statement: &'static Statement) -> Arc<str> {
        let place = std::ptr::from_ref(statement).addr();
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            rendered
                .entry(place)
                .or_insert_with(|| self.render(statement.text()).into()),
        )
    }

    fn together<R: Row>(&self, statement: &'static Statement) -> Arc<Together<ById<R>>> {
        let place = std::ptr::from_ref(statement).addr();
        let mut together = self.together.lock().unwrap_or_else(PoisonError::into_inner);
        let known = together
            .entry(place)
            .or_insert_with(|| Arc::<Together<ById<R>>>::default());
        // a statement has one kind of row; a second one would merely ask by itself
        Arc::clone(known).downcast().unwrap_or_default()
    }

    /// Renders any text: `{marker}` is the table, `{#marker}` its bare name for index names.
    pub fn render(&self, text: &str) -> String {
        render(text, self.engine, |marker| {
            if let Some(bare) = marker.strip_prefix('#') {
                return self
                    .names
                    .get(bare)
                    .map(|name| Cow::Borrowed(name.as_str()));
            }
            let name = self.names.get(marker)?;
            Some(match self.engine {
                Engine::Postgres => Cow::Owned(format!("read.{name}")),
                Engine::Sqlite => Cow::Borrowed(name.as_str()),
            })
        })
    }

    /// Physical names as they stand in statements, for dropping.
    pub fn physical(&self) -> Vec<String> {
        self.names
            .keys()
            .map(|marker| self.render(&format!("{{{marker}}}")))
            .collect()
    }
}

/// The markers of the tables a schema makes.
pub fn markers(schema: &'static str) -> Vec<&'static str> {
    schema
        .split("CREATE TABLE {")
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(marker, _)| marker))
        .collect()
}

/// The live generations a request reads from, pinned once for its wait and all its queries.
#[derive(Debug, Clone)]
pub struct Pinned {
    /// The read home.
    pub database: Database,
    /// Opens sealed columns.
    pub keys: Arc<Keys>,
    tables: Arc<Tables>,
}

impl Pinned {
    /// A statement's text for the pinned generations.
    pub fn sql(&self, statement: &'static Statement) -> Arc<str> {
        self.tables.sql(statement)
    }

    /// The rows that a statement `IN ($1, …, $32)` has for one id. Who asks at the same time shares the
    /// statement.
    pub async fn rows_of<R: Row>(
        &self,
        statement: &'static Statement,
        id: Uuid,
    ) -> Result<Vec<R>, sqlx::Error> {
        let together = self.tables.together::<R>(statement);
        together
            .answer(&self.database, &ById::new(self.sql(statement)), id)
            .await
            .map_err(unshared)
    }

    /// Which engine the read home is.
    pub fn engine(&self) -> Engine {
        self.database.engine()
    }
}

/// Which generation of each projection is live, and their tables.
type Live = (Vec<(&'static str, i64)>, Arc<Tables>);

/// What queries read: the live generation of every projection, as this node knows it.
#[derive(Debug)]
pub struct ReadModels {
    database: Database,
    keys: Arc<Keys>,
    live: RwLock<Live>,
}

impl ReadModels {
    /// Nothing is live yet.
    pub fn new(database: Database, keys: Arc<Keys>) -> Self {
        let none = Arc::new(Tables::of(database.engine(), []));
        Self {
            database,
            keys,
            live: RwLock::new((Vec::new(), none)),
        }
    }

    /// The generations that are live now.
    pub fn pin(&self) -> Pinned {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        Pinned {
            database: self.database.clone(),
            keys: Arc::clone(&self.keys),
            tables: Arc::clone(&live.1),
        }
    }

    /// Notes which generations are live; requests that are under way keep theirs.
    pub(crate) fn set_live(&self, generations: &[(Arc<dyn Projection>, i64)]) {
        let named: Vec<(&'static str, i64)> = generations
            .iter()
            .map(|(projection, generation)| (projection.name(), *generation))
            .collect();
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        if live.0 != named {
            let tables = Tables::of(
                self.database.engine(),
                generations
                    .iter()
                    .map(|(projection, generation)| (projection.as_ref(), *generation)),
            );
            *live = (named, Arc::new(tables));
        }
    }
}
