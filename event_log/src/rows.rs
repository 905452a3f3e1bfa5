//! Many rows in one statement: how [`execute_rows!`](crate::execute_rows!) and
//! [`fetch_rows!`](crate::fetch_rows!) hand them over on each engine.
//!
//! Postgres gets one array a column and one text for any number of rows, so that it parses and plans once;
//! many new rows without a condition go by `COPY`, which is about twice as fast again. SQLite has neither:
//! there a `VALUES` list of always the same length is prepared once and used again and again.

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgHasArrayType, PgRow, PgTypeInfo};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, Executor, FromRow, PgConnection, Postgres, Sqlite, Type};
use uuid::Uuid;

use crate::database::Database;
use crate::patience::bounded;
use crate::pool;

/// From this many rows on: `COPY` on Postgres, and the length of the prepared list on SQLite.
const MANY: usize = 64;
/// Most values that SQLite binds in one statement.
const MOST_VALUES: usize = 32_000;
/// What a binary `COPY` begins with: signature, no flags, no extension.
const COPY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What a binary `COPY` ends with.
const COPY_END: [u8; 2] = (-1_i16).to_be_bytes();

/// A statement's text before and after `{rows}`.
#[must_use]
pub fn around_rows(text: &str) -> (&str, &str) {
    text.split_once("{rows}").unwrap_or((text, ""))
}

/// A length or a count as Postgres writes it.
fn int4(size: usize) -> Result<[u8; 4], BoxDynError> {
    Ok(i32::try_from(size)?.to_be_bytes())
}

/// Rows for Postgres. Bind every row's values, then end it with [`end_row`](Self::end_row).
pub struct PostgresRows<'t> {
    head: &'t str,
    tail: &'t str,
    rows: usize,
    /// Place in the row being bound.
    at: usize,
    failed: Option<BoxDynError>,
    into: Into,
}

/// Where values are collected, each with its length before it: arrays and `COPY` have that in common.
enum Into {
    Columns(Vec<Column>),
    Copy {
        /// `table (columns)`
        target: String,
        data: PgArgumentBuffer,
        /// Where the row's count of values stands.
        row: usize,
    },
}

#[derive(Default)]
struct Column {
    kind: Option<(PgTypeInfo, PgTypeInfo)>,
    values: PgArgumentBuffer,
}

impl<'t> PostgresRows<'t> {
    /// For about so many rows.
    #[must_use]
    pub fn new(text: &'t str, expected: usize) -> Self {
        let (head, tail) = around_rows(text);
        let target = head
            .strip_prefix("INSERT INTO ")
            .filter(|_| expected >= MANY && tail.trim().is_empty());
        let into = match target {
            Some(target) => {
                let mut data = PgArgumentBuffer::default();
                data.extend_from_slice(COPY_HEAD);
                Into::Copy {
                    target: target.to_owned(),
                    row: data.len(),
                    data,
                }
            }
            None => Into::Columns(Vec::new()),
        };
        Self {
            head,
            tail,
            rows: 0,
            at: 0,
            failed: None,
            into,
        }
    }

    /// Binds the next value of the row.
    pub fn push_bind<'q, T>(&mut self, value: T) -> &mut Self
    where
        T: Encode<'q, Postgres> + Type<Postgres> + PgHasArrayType,
    {
        if let Err(error) = self.try_bind(&value) {
            self.failed = Some(error);
        }
        self.at += 1;
        self
    }

    fn try_bind<'q, T>(&mut self, value: &T) -> Result<(), BoxDynError>
    where
        T: Encode<'q, Postgres> + Type<Postgres> + PgHasArrayType,
    {
        let buffer = match &mut self.into {
            Into::Columns(columns) => {
                if columns.len() <= self.at {
                    columns.resize_with(self.at + 1, Column::default);
                }
                let column = &mut columns[self.at];
                if column.kind.is_none() {
                    column.kind = Some((T::type_info(), T::array_type_info()));
                }
                &mut column.values
            }
            Into::Copy { data, row, .. } => {
                if self.at == 0 {
                    *row = data.len();
                    data.extend_from_slice(&[0; 2]);
                }
                data
            }
        };
        let start = buffer.len();
        buffer.extend_from_slice(&[0; 4]);
        let length = match value.encode_by_ref(buffer)? {
            IsNull::Yes => (-1_i32).to_be_bytes(),
            IsNull::No => int4(buffer.len() - start - 4)?,
        };
        buffer[start..start + 4].copy_from_slice(&length);
        Ok(())
    }

    /// Ends the row.
    pub fn end_row(&mut self) {
        if let Into::Copy { data, row, .. } = &mut self.into {
            match i16::try_from(self.at) {
                Ok(values) => data[*row..*row + 2].copy_from_slice(&values.to_be_bytes()),
                Err(error) => self.failed = Some(error.into()),
            }
        }
        self.rows += 1;
        self.at = 0;
    }

    /// Runs the statement over all rows and gives how many it touched.
    pub async fn execute(self, on: &mut pool::Transaction) -> Result<u64, sqlx::Error> {
        if let Some(error) = self.failed {
            return Err(sqlx::Error::Encode(error));
        }
        if self.rows == 0 {
            return Ok(0);
        }
        match self.into {
            Into::Copy {
                target, mut data, ..
            } => {
                data.extend_from_slice(&COPY_END);
                let text = format!("COPY {target} FROM STDIN (FORMAT binary)");
                on.copy(&text, &data).await
            }
            Into::Columns(columns) => {
                let (text, arguments) = over(self.head, columns, self.rows, self.tail)?;
                let connection: &mut PgConnection = on;
                let done = connection
                    .execute(sqlx::query_with(&text, arguments))
                    .await?;
                Ok(done.rows_affected())
            }
        }
    }

    /// Runs the statement over all rows and gives the rows it answers with.
    pub async fn fetch<R>(self, on: &mut PgConnection) -> Result<Vec<R>, sqlx::Error>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        if let Some(error) = self.failed {
            return Err(sqlx::Error::Encode(error));
        }
        match self.into {
            Into::Columns(columns) if self.rows > 0 => {
                let (text, arguments) = over(self.head, columns, self.rows, self.tail)?;
                sqlx::query_as_with(&text, arguments).fetch_all(on).await
            }
            // what answers is no plain INSERT, and so no COPY
            Into::Columns(_) | Into::Copy { .. } => Ok(Vec::new()),
        }
    }
}

/// The statement over all rows, one array a column.
fn over(
    head: &str,
    columns: Vec<Column>,
    rows: usize,
    tail: &str,
) -> Result<(String, PgArguments), sqlx::Error> {
    let places: Vec<String> = (1..=columns.len()).map(|at| format!("${at}")).collect();
    let text = format!("{head}SELECT * FROM unnest({}){tail}", places.join(", "));
    let mut arguments = PgArguments::default();
    for column in columns {
        let array = Array::of(column, rows).map_err(sqlx::Error::Encode)?;
        arguments.add(array).map_err(sqlx::Error::Encode)?;
    }
    Ok((text, arguments))
}

/// One column of all rows as Postgres receives an array.
struct Array {
    kind: PgTypeInfo,
    head: [u8; 20],
    values: PgArgumentBuffer,
}

impl Array {
    fn of(column: Column, rows: usize) -> Result<Self, BoxDynError> {
        let (element, kind) = column.kind.ok_or("a column without a type")?;
        let element = element.oid().ok_or("a type without a number")?.0;
        let mut head = [0; 20];
        // one dimension, no flags, what it holds, how many, counted from one
        head[..4].copy_from_slice(&int4(1)?);
        head[8..12].copy_from_slice(&element.to_be_bytes());
        head[12..16].copy_from_slice(&int4(rows)?);
        head[16..].copy_from_slice(&int4(1)?);
        Ok(Self {
            kind,
            head,
            values: column.values,
        })
    }
}

impl Type<Postgres> for Array {
    fn type_info() -> PgTypeInfo {
        // never asked for: `produces` knows better
        <Vec<i64> as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Array {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.head);
        buffer.extend_from_slice(&self.values);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.kind.clone())
    }
}

/// Rows for SQLite, handed over piece by piece: when [`end_row`](Self::end_row) says so,
/// [`execute`](Self::execute) comes before the next row.
pub struct SqliteRows<'t, 'q> {
    head: &'t str,
    tail: &'t str,
    /// Rows that are still to come, those of the present piece included.
    left: usize,
    columns: usize,
    rows: usize,
    failed: Option<BoxDynError>,
    arguments: SqliteArguments<'q>,
    /// The text for so many rows.
    text: (usize, String),
}

impl<'t, 'q> SqliteRows<'t, 'q> {
    /// For exactly so many rows.
    #[must_use]
    pub fn new(text: &'t str, rows: usize) -> Self {
        let (head, tail) = around_rows(text);
        Self {
            head,
            tail,
            left: rows,
            columns: 0,
            rows: 0,
            failed: None,
            arguments: SqliteArguments::default(),
            text: (0, String::new()),
        }
    }

    /// Binds the next value of the row.
    pub fn push_bind<T: Encode<'q, Sqlite> + Type<Sqlite> + 'q>(&mut self, value: T) -> &mut Self {
        if let Err(error) = self.arguments.add(value) {
            self.failed = Some(error);
        }
        self
    }

    /// Ends the row; true when the piece is full.
    pub fn end_row(&mut self) -> bool {
        self.rows += 1;
        self.columns = self.arguments.len() / self.rows;
        self.rows == self.left.min(self.piece())
    }

    /// Rows of a full piece.
    fn piece(&self) -> usize {
        (MOST_VALUES / self.columns.max(1)).clamp(1, MANY)
    }

    /// Runs the statement over the rows of the piece and gives how many it touched.
    pub async fn execute(&mut self, on: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
        match self.piece_over()? {
            Some((text, arguments, persistent)) => {
                let query = sqlx::query_with(text, arguments).persistent(persistent);
                Ok(on.execute(query).await?.rows_affected())
            }
            None => Ok(0),
        }
    }

    /// Runs the statement over the rows of the piece and gives the rows it answers with.
    pub async fn fetch<R>(&mut self, on: &mut SqliteConnection) -> Result<Vec<R>, sqlx::Error>
    where
        R: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        match self.piece_over()? {
            Some((text, arguments, persistent)) => {
                let query = sqlx::query_as_with(text, arguments).persistent(persistent);
                query.fetch_all(on).await
            }
            None => Ok(Vec::new()),
        }
    }

    /// The statement over the rows of the piece, and whether it is worth being kept prepared.
    fn piece_over(&mut self) -> Result<Option<(&str, SqliteArguments<'q>, bool)>, sqlx::Error> {
        if let Some(error) = self.failed.take() {
            return Err(sqlx::Error::Encode(error));
        }
        let rows = self.rows;
        if rows == 0 {
            return Ok(None);
        }
        // a length that is met by chance would only crowd out others
        let persistent = rows == 1 || rows == self.piece();
        if self.text.0 != rows {
            let row = format!("({})", vec!["?"; self.columns].join(","));
            let list = vec![row; rows].join(",");
            self.text = (rows, format!("{}VALUES {list}{}", self.head, self.tail));
        }
        self.left -= rows;
        self.rows = 0;
        let arguments = std::mem::take(&mut self.arguments);
        Ok(Some((&self.text.1, arguments, persistent)))
    }
}

/// The rows of a query whose `{rows}` are ids, in any order: one statement on Postgres, few on SQLite.
pub async fn fetch_by_id<R>(
    database: &Database,
    text: &str,
    ids: &[Uuid],
) -> Result<Vec<R>, sqlx::Error>
where
    R: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
{
    let (head, tail) = around_rows(text);
    let mut found = Vec::new();
    match database {
        _ if ids.is_empty() => {}
        Database::Postgres(on) => {
            let text = format!("{head}SELECT * FROM unnest($1){tail}");
            found = bounded(sqlx::query_as(&text).bind(ids).fetch_all(on)).await?;
        }
        Database::Sqlite(on) => {
            for piece in ids.chunks(MANY) {
                // two lengths only, so that both stay prepared; nothing is NULL
                let length = if piece.len() == 1 { 1 } else { MANY };
                let list = vec!["(?)"; length].join(",");
                let text = format!("{head}VALUES {list}{tail}");
                let mut query = sqlx::query_as(&text);
                for place in 0..length {
                    query = query.bind(piece.get(place).copied());
                }
                found.extend(query.fetch_all(on).await?);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_where_the_statement_says() {
        let text = "INSERT INTO t (a, b) {rows} ON CONFLICT DO NOTHING";
        assert_eq!(
            around_rows(text),
            ("INSERT INTO t (a, b) ", " ON CONFLICT DO NOTHING")
        );
    }

    #[test]
    fn a_wide_row_makes_a_short_piece() {
        let mut rows = SqliteRows::new("INSERT INTO t {rows}", 1_000);
        for _ in 0..2_000 {
            rows.push_bind(1_i64);
        }
        assert!(!rows.end_row());
        assert_eq!(rows.piece(), 16);
    }
}
