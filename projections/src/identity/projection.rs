//! Folds accounts and sessions into rows. An account's row stays until its erasure is finished, so that
//! an erasure that was interrupted is found again.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::identity::account::{Account, AccountEvent, Registrant, StaffRole};
use domain::identity::session::{Device, DeviceLabel, Session, SessionEvent, UserAgent};
use domain::personal::Personal;
use event_log::database::Statement;
use event_log::keys::KeyError;
use event_log::sealing::{Cell, SealingError, seal_column};
use event_log::{execute_rows, statement};
use uuid::Uuid;

use crate::fact::{Event, Fact};
use crate::projection::{Projection, ProjectionError, Writer};

pub(super) const NAME: &str = "accounts";

static REGISTER: Statement = statement!("../../sql/identity/register.sql");
static CHANGE_ACCOUNTS: Statement = statement!("../../sql/identity/change_accounts.sql");
static ERASE_ACCOUNTS: Statement = statement!("../../sql/identity/erase_accounts.sql");
static START_SESSIONS: Statement = statement!("../../sql/identity/start_sessions.sql");
static REFRESH_SESSIONS: Statement = statement!("../../sql/identity/refresh_sessions.sql");
static END_SESSIONS: Statement = statement!("../../sql/identity/end_sessions.sql");
static END_SESSIONS_BELOW: Statement = statement!("../../sql/identity/end_sessions_below.sql");

/// Events of an account that change nothing in its row.
const LEAVES_NO_ROW: &[&str] = &[
    "password_rehashed",
    "two_factor_set_up",
    "recovery_code_used",
    "recovery_codes_regenerated",
];

/// A cell of the table of accounts.
pub(super) fn account_cell<'a>(column: &'static str, id: &'a Uuid) -> Cell<'a> {
    Cell {
        table: "accounts",
        column,
        row: id,
    }
}

/// A cell of the table of sessions.
pub(super) fn session_cell<'a>(column: &'static str, id: &'a Uuid) -> Cell<'a> {
    Cell {
        table: "sessions",
        column,
        row: id,
    }
}

/// The projection of accounts and their sessions.
#[derive(Debug)]
pub struct Accounts;

#[async_trait]
impl Projection for Accounts {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i64 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("../../sql/identity/schema.sql")
    }

    fn indexes(&self) -> &'static str {
        include_str!("../../sql/identity/indexes.sql")
    }

    fn handles(&self, aggregate_type: &str, event_type: &str) -> bool {
        match aggregate_type {
            Account::TYPE => !LEAVES_NO_ROW.contains(&event_type),
            Session::TYPE => true,
            _ => false,
        }
    }

    async fn project(
        &self,
        page: &[&Fact],
        writer: &mut Writer<'_>,
    ) -> Result<(), ProjectionError> {
        let mut folded = Folded::default();
        for fact in page {
            folded.fold(fact)?;
        }
        folded.write(writer).await
    }
}

/// The first row of an account.
struct NewAccount {
    username: Option<Vec<u8>>,
    email: Option<Vec<u8>>,
    registered_at: DateTime<Utc>,
}

/// What a page says last about a request for deletion.
#[derive(Clone, Copy)]
enum Deletion {
    Pending(DateTime<Utc>),
    TakenBack,
}

impl Deletion {
    fn purge_after(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Pending(purge_after) => Some(purge_after),
            Self::TakenBack => None,
        }
    }
}

/// What a page changes about an account; `None` leaves a column as it is.
#[derive(Default)]
struct AccountChange {
    registered: Option<NewAccount>,
    suspended: Option<bool>,
    deletion: Option<Deletion>,
    erasing: Option<bool>,
    two_factor: Option<bool>,
    moderator: Option<bool>,
    auditor: Option<bool>,
    admin: Option<bool>,
    session_floor: Option<i64>,
}

impl AccountChange {
    fn role(&mut self, role: StaffRole, held: bool) {
        let column = match role {
            StaffRole::Moderator => &mut self.moderator,
            StaffRole::Auditor => &mut self.auditor,
            StaffRole::Admin => &mut self.admin,
        };
        *column = Some(held);
    }
}

/// A row of a session that the page starts.
struct NewSession {
    account_id: Uuid,
    account_sequence: i64,
    started_at: DateTime<Utc>,
    refreshed_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    label: Option<Vec<u8>>,
    ip: Option<Vec<u8>>,
    user_agent: Option<Vec<u8>>,
}

/// What a page of events comes to.
#[derive(Default)]
struct Folded {
    accounts: BTreeMap<Uuid, AccountChange>,
    erased: BTreeSet<Uuid>,
    /// Sessions of an account that began below the sequence are over.
    floors: BTreeMap<Uuid, i64>,
    started: BTreeMap<Uuid, NewSession>,
    /// Of sessions that earlier pages started: when they were refreshed and until when they are good.
    refreshed: BTreeMap<Uuid, (DateTime<Utc>, DateTime<Utc>)>,
    ended: BTreeSet<Uuid>,
}

impl Folded {
    fn fold(&mut self, fact: &Fact) -> Result<(), ProjectionError> {
        let Ok(id) = Uuid::parse_str(&fact.recorded.aggregate_id) else {
            return Ok(());
        };
        match &fact.event {
            Ok(Event::Account(event)) => self.fold_account(id, event, fact),
            Ok(Event::Session(event)) => self.fold_session(id, event, fact),
            _ => Ok(()),
        }
    }

    fn fold_account(
        &mut self,
        id: Uuid,
        event: &AccountEvent,
        fact: &Fact,
    ) -> Result<(), ProjectionError> {
        if event.ends_sessions() {
            let floor = fact.recorded.sequence;
            self.end_sessions(id, floor);
            self.accounts.entry(id).or_default().session_floor = Some(floor);
        }
        if matches!(event, AccountEvent::AccountErased { .. }) {
            self.accounts.remove(&id);
            self.erased.insert(id);
            self.end_sessions(id, i64::MAX);
            return Ok(());
        }
        let change = self.accounts.entry(id).or_default();
        match event {
            AccountEvent::AccountRegistered {
                registered_at,
                member,
                ..
            } => change.registered = Some(registered(id, *registered_at, member, fact)?),
            AccountEvent::TwoFactorConfirmed { .. } => change.two_factor = Some(true),
            AccountEvent::TwoFactorDisabled { .. } => change.two_factor = Some(false),
            AccountEvent::RoleGranted { role, .. } => change.role(*role, true),
            AccountEvent::RoleRevoked { role, .. } => change.role(*role, false),
            AccountEvent::AccountSuspended { .. } => change.suspended = Some(true),
            AccountEvent::AccountReinstated { .. } => change.suspended = Some(false),
            AccountEvent::DeletionRequested { purge_after, .. } => {
                change.deletion = Some(Deletion::Pending(*purge_after));
            }
            AccountEvent::AccountRestored { .. } => change.deletion = Some(Deletion::TakenBack),
            AccountEvent::ErasureStarted { .. } => change.erasing = Some(true),
            AccountEvent::PasswordRehashed { .. }
            | AccountEvent::PasswordChanged { .. }
            | AccountEvent::LoggedOutEverywhere { .. }
            | AccountEvent::TwoFactorSetUp { .. }
            | AccountEvent::RecoveryCodeUsed { .. }
            | AccountEvent::RecoveryCodesRegenerated { .. }
            | AccountEvent::AccountErased { .. } => {}
        }
        Ok(())
    }

    fn fold_session(
        &mut self,
        id: Uuid,
        event: &SessionEvent,
        fact: &Fact,
    ) -> Result<(), ProjectionError> {
        match event {
            SessionEvent::SessionStarted {
                account_id,
                account_sequence,
                started_at,
                expires_at,
                device: Personal::Known(device),
                ..
            } => {
                let started = NewSession {
                    account_id: account_id.0,
                    account_sequence: i64::try_from(*account_sequence).unwrap_or(i64::MAX),
                    started_at: *started_at,
                    refreshed_at: *started_at,
                    expires_at: *expires_at,
                    label: sealed_label(id, device, fact)?,
                    ip: sealed_ip(id, device, fact)?,
                    user_agent: sealed_user_agent(id, device, fact)?,
                };
                self.started.insert(id, started);
            }
            // the key is destroyed, and with it whatever could be shown
            SessionEvent::SessionStarted {
                device: Personal::Erased,
                ..
            } => {}
            SessionEvent::SessionRefreshed {
                refreshed_at,
                expires_at,
                ..
            } => match self.started.get_mut(&id) {
                Some(started) => {
                    started.refreshed_at = *refreshed_at;
                    started.expires_at = *expires_at;
                }
                None => {
                    self.refreshed.insert(id, (*refreshed_at, *expires_at));
                }
            },
            SessionEvent::SessionRevoked { .. } | SessionEvent::SessionErased { .. } => {
                self.started.remove(&id);
                self.refreshed.remove(&id);
                self.ended.insert(id);
            }
        }
        Ok(())
    }

    fn end_sessions(&mut self, account_id: Uuid, floor: i64) {
        self.floors.insert(account_id, floor);
        self.started.retain(|_, session| {
            session.account_id != account_id || session.account_sequence >= floor
        });
    }

    async fn write(self, writer: &mut Writer<'_>) -> Result<(), ProjectionError> {
        self.write_accounts(writer).await?;
        self.write_sessions(writer).await
    }

    async fn write_accounts(&self, writer: &mut Writer<'_>) -> Result<(), ProjectionError> {
        let (register, change) = (writer.sql(&REGISTER), writer.sql(&CHANGE_ACCOUNTS));
        let erase = writer.sql(&ERASE_ACCOUNTS);
        let new: Vec<_> = self
            .accounts
            .iter()
            .filter_map(|(id, change)| Some((id, change, change.registered.as_ref()?)))
            .collect();
        let changed: Vec<_> = self
            .accounts
            .iter()
            .filter(|(_, change)| change.registered.is_none())
            .collect();
        let erased: Vec<_> = self.erased.iter().collect();
        let transaction = writer.transaction().await?;
        execute_rows!(in *transaction, &register, new, |row, (id, change, registered)| {
            row.push_bind(**id);
            row.push_bind(registered.username.as_ref());
            row.push_bind(registered.email.as_ref());
            row.push_bind(registered.registered_at);
            row.push_bind(change.suspended.unwrap_or(false));
            row.push_bind(change.deletion.and_then(Deletion::purge_after));
            row.push_bind(change.erasing.unwrap_or(false));
            row.push_bind(change.two_factor.unwrap_or(false));
            row.push_bind(change.moderator.unwrap_or(false));
            row.push_bind(change.auditor.unwrap_or(false));
            row.push_bind(change.admin.unwrap_or(false));
            row.push_bind(change.session_floor.unwrap_or(0));
        })?;
        execute_rows!(in *transaction, &change, changed, |row, (id, to)| {
            row.push_bind(**id);
            row.push_bind(to.suspended);
            row.push_bind(to.deletion.is_some());
            row.push_bind(to.deletion.and_then(Deletion::purge_after));
            row.push_bind(to.erasing);
            row.push_bind(to.two_factor);
            row.push_bind(to.moderator);
            row.push_bind(to.auditor);
            row.push_bind(to.admin);
            row.push_bind(to.session_floor);
        })?;
        execute_rows!(in *transaction, &erase, erased, |row, id| {
            row.push_bind(**id);
        })?;
        Ok(())
    }

    async fn write_sessions(&self, writer: &mut Writer<'_>) -> Result<(), ProjectionError> {
        let (start, refresh) = (writer.sql(&START_SESSIONS), writer.sql(&REFRESH_SESSIONS));
        let (end, end_below) = (writer.sql(&END_SESSIONS), writer.sql(&END_SESSIONS_BELOW));
        let started: Vec<_> = self.started.iter().collect();
        let refreshed: Vec<_> = self.refreshed.iter().collect();
        let floors: Vec<_> = self.floors.iter().collect();
        let ended: Vec<_> = self.ended.iter().collect();
        let transaction = writer.transaction().await?;
        execute_rows!(in *transaction, &end_below, floors, |row, (account_id, floor)| {
            row.push_bind(**account_id);
            row.push_bind(**floor);
        })?;
        execute_rows!(in *transaction, &start, started, |row, (id, session)| {
            row.push_bind(**id);
            row.push_bind(session.account_id);
            row.push_bind(session.account_sequence);
            row.push_bind(session.started_at);
            row.push_bind(session.refreshed_at);
            row.push_bind(session.expires_at);
            row.push_bind(session.label.as_ref());
            row.push_bind(session.ip.as_ref());
            row.push_bind(session.user_agent.as_ref());
        })?;
        execute_rows!(in *transaction, &refresh, refreshed, |row, (id, (refreshed_at, expires_at))| {
            row.push_bind(**id);
            row.push_bind(*refreshed_at);
            row.push_bind(*expires_at);
        })?;
        execute_rows!(in *transaction, &end, ended, |row, id| {
            row.push_bind(**id);
        })?;
        Ok(())
    }
}

fn registered(
    id: Uuid,
    registered_at: DateTime<Utc>,
    member: &Personal<Registrant>,
    fact: &Fact,
) -> Result<NewAccount, ProjectionError> {
    let member = member.known();
    let username = member.map(|member| member.username.as_str());
    let email = member.map(|member| member.email.as_str());
    Ok(NewAccount {
        username: sealed(fact, account_cell("username", &id), username)?,
        email: sealed(fact, account_cell("email", &id), email)?,
        registered_at,
    })
}

fn sealed_label(id: Uuid, device: &Device, fact: &Fact) -> Result<Option<Vec<u8>>, SealingError> {
    let label = device.label.as_ref().map(DeviceLabel::as_str);
    sealed(fact, session_cell("label", &id), label)
}

fn sealed_ip(id: Uuid, device: &Device, fact: &Fact) -> Result<Option<Vec<u8>>, SealingError> {
    let ip = device.ip.map(|ip| ip.to_string());
    sealed(fact, session_cell("ip", &id), ip.as_deref())
}

fn sealed_user_agent(
    id: Uuid,
    device: &Device,
    fact: &Fact,
) -> Result<Option<Vec<u8>>, SealingError> {
    let user_agent = device.user_agent.as_ref().map(UserAgent::as_str);
    sealed(fact, session_cell("user_agent", &id), user_agent)
}

fn sealed(
    fact: &Fact,
    cell: Cell<'_>,
    text: Option<&str>,
) -> Result<Option<Vec<u8>>, SealingError> {
    let Some(text) = text else {
        return Ok(None);
    };
    let key = fact.key.as_ref().ok_or(KeyError::Missing)?;
    seal_column(key, cell, text).map(Some)
}
