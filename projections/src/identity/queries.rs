//! What can be asked of accounts and sessions.

use chrono::{DateTime, Utc};
use domain::identity::account::{Role, StaffRole, Status};
use event_log::database::Statement;
use event_log::sealing::Opener;
use event_log::{fetch_all, fetch_one, statement};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;

use super::projection::{account_cell, session_cell};
use crate::page::Page;
use crate::projection::ProjectionError;
use crate::tables::Pinned;
use crate::together;

static ACCOUNT: Statement = statement!("../../sql/identity/account.sql");
static ACCOUNTS: Statement = statement!("../../sql/identity/accounts.sql");
static DUE: Statement = statement!("../../sql/identity/due.sql");
static OTHER_ADMINS: Statement = statement!("../../sql/identity/other_admins.sql");
static SESSIONS: Statement = statement!("../../sql/identity/sessions.sql");

/// An account as it stands, opened.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountView {
    /// Its id.
    pub id: Uuid,
    /// The public name; `None` once the key is destroyed.
    pub username: Option<String>,
    /// The address; `None` once the key is destroyed.
    pub email: Option<String>,
    /// When it was registered.
    pub registered_at: DateTime<Utc>,
    /// Where it stands.
    pub status: Status,
    /// While deletion is pending: from when on it may be erased.
    pub purge_after: Option<DateTime<Utc>>,
    /// Whether a login takes a second factor.
    pub two_factor: bool,
    /// Staff roles it has been given, whether or not they work at present.
    pub staff_roles: Vec<StaffRole>,
}

impl AccountView {
    /// What the account may do at present.
    #[must_use]
    pub fn effective_roles(&self) -> Vec<Role> {
        if self.status != Status::Active {
            return Vec::new();
        }
        let staff = self.staff_roles.iter().copied().filter(|_| self.two_factor);
        std::iter::once(Role::Member)
            .chain(staff.map(Role::from))
            .collect()
    }
}

/// A signed-in device.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Its id.
    pub id: Uuid,
    /// When it signed in.
    pub started_at: DateTime<Utc>,
    /// When it last refreshed its tokens.
    pub refreshed_at: DateTime<Utc>,
    /// It is over then unless it refreshes.
    pub expires_at: DateTime<Utc>,
    /// What its owner calls it.
    pub label: Option<String>,
    /// Where it signed in from.
    pub ip: Option<String>,
    /// What it says it is.
    pub user_agent: Option<String>,
}

/// The place of a row in a list: when it began, and its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// When it began.
    pub at: DateTime<Utc>,
    /// Its id.
    pub id: Uuid,
}

/// One account.
pub async fn account(models: &Pinned, id: Uuid) -> Result<Option<AccountView>, ProjectionError> {
    let rows = models.rows_of(&ACCOUNT, id).await?;
    Ok(open_accounts(models, rows).await?.pop())
}

/// All accounts after a place, in the order of registration.
pub async fn accounts(
    models: &Pinned,
    after: Option<Place>,
    limit: i64,
) -> Result<Page<AccountView>, ProjectionError> {
    let after = after.unwrap_or(Place {
        at: DateTime::UNIX_EPOCH,
        id: Uuid::nil(),
    });
    let sql = models.sql(&ACCOUNTS);
    let rows = fetch_all!(
        models.database,
        AccountRow,
        &sql,
        after.at,
        after.id,
        limit + 1
    )?;
    let page = Page::of(rows, limit, |row| Place {
        at: row.registered_at,
        id: row.id,
    });
    Ok(Page {
        items: open_accounts(models, page.items).await?,
        next: page.next,
    })
}

/// An account whose grace is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Due {
    /// Its id.
    pub id: Uuid,
    /// Since when it may be erased.
    pub purge_after: DateTime<Utc>,
    /// The erasure has begun.
    pub erasing: bool,
}

/// Accounts whose grace is over and whose erasure is not finished, the longest waiting first. No key is
/// needed to tell them.
pub async fn due(models: &Pinned, now: DateTime<Utc>) -> Result<Vec<Due>, sqlx::Error> {
    let sql = models.sql(&DUE);
    fetch_all!(models.database, Due, &sql, now)
}

/// How many accounts in good standing, other than this one, hold the admin role.
pub async fn other_admins(models: &Pinned, id: Uuid) -> Result<i64, ProjectionError> {
    let sql = models.sql(&OTHER_ADMINS);
    let (count,) = fetch_one!(models.database, (i64,), &sql, id)?;
    Ok(count)
}

/// The devices signed in to an account after a place, the latest first.
pub async fn sessions(
    models: &Pinned,
    account_id: Uuid,
    now: DateTime<Utc>,
    after: Option<Place>,
    limit: i64,
) -> Result<Page<SessionView>, ProjectionError> {
    let after = after.unwrap_or(Place {
        at: now + chrono::TimeDelta::days(36_500),
        id: Uuid::max(),
    });
    let sql = models.sql(&SESSIONS);
    let rows = fetch_all!(
        models.database,
        SessionRow,
        &sql,
        account_id,
        now,
        after.at,
        after.id,
        limit + 1
    )?;
    let page = Page::of(rows, limit, |row| Place {
        at: row.started_at,
        id: row.id,
    });
    let sealed: Vec<&[u8]> = page.items.iter().flat_map(SessionRow::sealed).collect();
    let opener = Opener::fetch(&models.keys, sealed).await?;
    let items = page.items.into_iter().map(|row| row.open(&opener));
    Ok(Page {
        items: items.collect::<Result<_, _>>()?,
        next: page.next,
    })
}

#[derive(Clone, FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "one a column")]
struct AccountRow {
    id: Uuid,
    username: Option<Vec<u8>>,
    email: Option<Vec<u8>>,
    registered_at: DateTime<Utc>,
    suspended: bool,
    purge_after: Option<DateTime<Utc>>,
    erasing: bool,
    two_factor: bool,
    moderator: bool,
    auditor: bool,
    admin: bool,
}

impl together::Row for AccountRow {
    fn id(&self) -> Uuid {
        self.id
    }
}

impl AccountRow {
    fn status(&self) -> Status {
        match (self.erasing, self.purge_after, self.suspended) {
            (true, ..) => Status::Erasing,
            (false, Some(_), _) => Status::DeletionRequested,
            (false, None, true) => Status::Suspended,
            (false, None, false) => Status::Active,
        }
    }

    fn staff_roles(&self) -> Vec<StaffRole> {
        [
            (StaffRole::Moderator, self.moderator),
            (StaffRole::Auditor, self.auditor),
            (StaffRole::Admin, self.admin),
        ]
        .into_iter()
        .filter_map(|(role, held)| held.then_some(role))
        .collect()
    }

    fn open(self, opener: &Opener) -> Result<AccountView, ProjectionError> {
        let open = |column, stored: &Option<Vec<u8>>| match stored {
            None => Ok(None),
            Some(stored) => opener.open(stored, account_cell(column, &self.id)),
        };
        Ok(AccountView {
            id: self.id,
            username: open("username", &self.username)?,
            email: open("email", &self.email)?,
            registered_at: self.registered_at,
            status: self.status(),
            purge_after: self.purge_after,
            two_factor: self.two_factor,
            staff_roles: self.staff_roles(),
        })
    }
}

async fn open_accounts(
    models: &Pinned,
    rows: Vec<AccountRow>,
) -> Result<Vec<AccountView>, ProjectionError> {
    let sealed: Vec<&[u8]> = rows
        .iter()
        .flat_map(|row| [row.username.as_deref(), row.email.as_deref()])
        .flatten()
        .collect();
    let opener = Opener::fetch(&models.keys, sealed).await?;
    rows.into_iter().map(|row| row.open(&opener)).collect()
}

#[derive(FromRow)]
struct SessionRow {
    id: Uuid,
    started_at: DateTime<Utc>,
    refreshed_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    label: Option<Vec<u8>>,
    ip: Option<Vec<u8>>,
    user_agent: Option<Vec<u8>>,
}

impl SessionRow {
    fn sealed(&self) -> impl Iterator<Item = &[u8]> {
        [&self.label, &self.ip, &self.user_agent]
            .into_iter()
            .filter_map(Option::as_deref)
    }

    fn open(self, opener: &Opener) -> Result<SessionView, ProjectionError> {
        let open = |column, stored: &Option<Vec<u8>>| match stored {
            None => Ok(None),
            Some(stored) => opener.open(stored, session_cell(column, &self.id)),
        };
        Ok(SessionView {
            id: self.id,
            started_at: self.started_at,
            refreshed_at: self.refreshed_at,
            expires_at: self.expires_at,
            label: open("label", &self.label)?,
            ip: open("ip", &self.ip)?,
            user_agent: open("user_agent", &self.user_agent)?,
        })
    }
}
