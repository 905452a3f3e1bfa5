//! Given what happened, when something is asked, then that follows.

use chrono::{DateTime, Duration, Utc};
use cqrs_es::{Aggregate as _, DomainEvent};
use proptest::prelude::*;

use super::value::{DeviceLabel, RefreshHash, UserAgent};
use super::{
    Device, FAMILY_DAYS, IDLE_DAYS, RefreshCredentials, Revocation, Session, SessionCommand,
    SessionError, SessionEvent, SessionStatus,
};
use crate::id::{AccountId, SessionId};
use crate::{Aggregate, Kind, Personal, Rejection};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn given(events: Vec<SessionEvent>) -> Session {
    let mut session = Session::default();
    for event in events {
        session.apply(event);
    }
    session
}

fn id() -> SessionId {
    SessionId(uuid::Uuid::from_u128(3))
}

fn me() -> AccountId {
    AccountId(uuid::Uuid::from_u128(7))
}

fn someone_else() -> AccountId {
    AccountId(uuid::Uuid::from_u128(8))
}

fn day(days: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::days(20_000 + days)
}

fn after(seconds: i64) -> DateTime<Utc> {
    day(0) + Duration::seconds(seconds)
}

fn device() -> Device {
    Device {
        label: DeviceLabel::parse("Ada's phone").ok(),
        ip: "192.0.2.7".parse().ok(),
        user_agent: Some(UserAgent::clip("Firefox")),
    }
}

fn secret(hash: &str) -> Personal<RefreshCredentials> {
    Personal::Known(RefreshCredentials {
        secret_hash: RefreshHash::new(hash),
    })
}

fn start() -> SessionCommand {
    SessionCommand::Start {
        session_id: id(),
        account_id: me(),
        account_sequence: 4,
        secret_hash: RefreshHash::new("s0"),
        device: device(),
        now: day(0),
    }
}

fn started() -> SessionEvent {
    SessionEvent::SessionStarted {
        session_id: id(),
        account_id: me(),
        account_sequence: 4,
        started_at: day(0),
        expires_at: day(IDLE_DAYS),
        family_expires_at: day(FAMILY_DAYS),
        device: Personal::Known(device()),
        credentials: secret("s0"),
    }
}

fn refreshed(hash: &str, now: DateTime<Utc>) -> SessionEvent {
    SessionEvent::SessionRefreshed {
        refreshed_at: now,
        expires_at: (now + Duration::days(IDLE_DAYS)).min(day(FAMILY_DAYS)),
        credentials: secret(hash),
    }
}

fn revoked(reason: Revocation, now: DateTime<Utc>) -> SessionEvent {
    SessionEvent::SessionRevoked {
        revoked_at: now,
        reason,
    }
}

fn erased() -> SessionEvent {
    SessionEvent::SessionErased {
        session_id: id(),
        account_id: me(),
        erased_at: day(40),
    }
}

fn refresh(presented: &str, successor: &str, now: DateTime<Utc>) -> SessionCommand {
    SessionCommand::Refresh {
        presented_hash: RefreshHash::new(presented),
        successor_hash: RefreshHash::new(successor),
        session_floor: 4,
        now,
    }
}

fn log_out(presented: &str) -> SessionCommand {
    SessionCommand::LogOut {
        presented_hash: RefreshHash::new(presented),
        now: after(9),
    }
}

fn revoke(account_id: AccountId, reason: Revocation) -> SessionCommand {
    SessionCommand::Revoke {
        account_id,
        reason,
        now: after(9),
    }
}

/// One of each, as each would be stored.
fn sample() -> Vec<SessionEvent> {
    vec![
        started(),
        refreshed("s1", after(5)),
        revoked(Revocation::RevokedByOwner, after(9)),
        erased(),
    ]
}

#[test]
fn a_session_starts_once_and_its_secret_is_good_for_a_week() {
    assert_eq!(Session::default().decide(&start()), Ok(vec![started()]));
    let session = given(vec![started()]);
    assert_eq!(session.decide(&start()), Err(SessionError::AlreadyStarted));
    assert_eq!(session.status(day(0)), SessionStatus::Live);
    assert_eq!(session.status(day(7)), SessionStatus::Expired);
    assert_eq!(session.session_id(), Some(id()));
    assert_eq!(session.subject(), Some(me()));
    assert_eq!(session.current_hash(), Some(&RefreshHash::new("s0")));
    assert_eq!(session.expires_at(), Some(day(7)));
}

#[test]
fn a_refresh_puts_the_successor_in_place() {
    let mut session = given(vec![started()]);
    assert_eq!(
        session.decide(&refresh("s0", "s1", after(5))),
        Ok(vec![refreshed("s1", after(5))])
    );
    session.apply(refreshed("s1", after(5)));
    assert_eq!(session.current_hash(), Some(&RefreshHash::new("s1")));
    assert_eq!(
        session.expires_at(),
        Some(after(5) + Duration::days(IDLE_DAYS))
    );
}

#[test]
fn a_spent_secret_yields_the_same_successor_for_a_minute() {
    let session = given(vec![started(), refreshed("s1", after(0))]);
    for seconds in [0, 1, 60] {
        assert_eq!(
            session.decide(&refresh("s0", "s1", after(seconds))),
            Ok(vec![])
        );
    }
}

#[test]
fn a_clock_that_lags_behind_makes_no_replay() {
    let session = given(vec![started(), refreshed("s1", after(100))]);
    assert_eq!(session.decide(&refresh("s0", "s1", after(95))), Ok(vec![]));
}

#[test]
fn a_spent_secret_after_a_minute_revokes_the_family() {
    let session = given(vec![started(), refreshed("s1", after(0))]);
    assert_eq!(
        session.decide(&refresh("s0", "s1", after(61))),
        Ok(vec![revoked(Revocation::Replayed, after(61))])
    );
}

#[test]
fn a_spent_secret_whose_successor_was_used_revokes_the_family_at_once() {
    let session = given(vec![
        started(),
        refreshed("s1", after(0)),
        refreshed("s2", after(1)),
    ]);
    assert_eq!(
        session.decide(&refresh("s0", "s1", after(2))),
        Ok(vec![revoked(Revocation::Replayed, after(2))])
    );
}

#[test]
fn a_spent_secret_is_known_however_old_it_is() {
    let mut events = vec![started()];
    for number in 1..=200 {
        events.push(refreshed(&format!("s{number}"), after(number * 900)));
    }
    assert_eq!(
        given(events).decide(&refresh("s0", "s1", after(200_000))),
        Ok(vec![revoked(Revocation::Replayed, after(200_000))])
    );
}

#[test]
fn a_secret_that_was_never_issued_is_refused_and_revokes_nothing() {
    for history in [
        vec![],
        vec![started()],
        vec![started(), refreshed("s1", after(0))],
    ] {
        let session = given(history);
        assert_eq!(
            session.decide(&refresh("guess", "x", after(5))),
            Err(SessionError::RefreshRefused)
        );
        assert_eq!(
            session.decide(&log_out("guess")),
            Err(SessionError::RefreshRefused)
        );
    }
    assert_eq!(SessionError::RefreshRefused.kind(), Kind::Unauthenticated);
}

#[test]
fn a_lost_reply_whose_successor_cannot_be_derived_again_is_refused_and_revokes_nothing() {
    let session = given(vec![started(), refreshed("s1", after(0))]);
    assert_eq!(
        session.decide(&refresh("s0", "from another key", after(5))),
        Err(SessionError::RefreshRefused)
    );
}

#[test]
fn an_unused_secret_is_refused_after_a_week() {
    let session = given(vec![started()]);
    let last = day(IDLE_DAYS) - Duration::seconds(1);
    assert!(
        session
            .decide(&refresh("s0", "s1", last))
            .is_ok_and(|events| events.len() == 1)
    );
    assert_eq!(
        session.decide(&refresh("s0", "s1", day(IDLE_DAYS))),
        Err(SessionError::RefreshRefused)
    );
}

#[test]
fn a_family_ends_after_ninety_days_however_often_it_is_refreshed() {
    let mut session = given(vec![started()]);
    for number in 1..=14 {
        let events = session
            .decide(&refresh(
                &format!("s{}", number - 1),
                &format!("s{number}"),
                day(number * 6),
            ))
            .unwrap_or_default();
        assert_eq!(events.len(), 1);
        for event in events {
            session.apply(event);
        }
    }
    assert_eq!(session.expires_at(), Some(day(FAMILY_DAYS)));
    assert_eq!(
        session.decide(&refresh("s14", "s15", day(FAMILY_DAYS))),
        Err(SessionError::RefreshRefused)
    );
}

#[test]
fn a_session_older_than_what_ended_all_sessions_is_refused() {
    let session = given(vec![started()]);
    let with_floor = |session_floor| SessionCommand::Refresh {
        presented_hash: RefreshHash::new("s0"),
        successor_hash: RefreshHash::new("s1"),
        session_floor,
        now: after(5),
    };
    assert_eq!(
        session.decide(&with_floor(5)),
        Err(SessionError::RefreshRefused)
    );
    assert!(session.decide(&with_floor(4)).is_ok());
}

#[test]
fn a_revoked_session_gives_nothing_any_more() {
    let session = given(vec![started(), revoked(Revocation::Logout, after(9))]);
    assert_eq!(
        session.status(after(10)),
        SessionStatus::Revoked(Revocation::Logout)
    );
    assert_eq!(session.current_hash(), None);
    assert_eq!(session.account_id(), Some(me()));
    assert_eq!(
        session.decide(&refresh("s0", "s1", after(10))),
        Err(SessionError::RefreshRefused)
    );
    assert_eq!(
        session.decide(&log_out("s0")),
        Err(SessionError::RefreshRefused)
    );
}

#[test]
fn any_secret_of_the_family_logs_out() {
    let session = given(vec![
        started(),
        refreshed("s1", after(1)),
        refreshed("s2", after(2)),
    ]);
    for hash in ["s0", "s1", "s2"] {
        assert_eq!(
            session.decide(&log_out(hash)),
            Ok(vec![revoked(Revocation::Logout, after(9))])
        );
    }
}

#[test]
fn its_owner_ends_a_session_once() {
    let mut session = given(vec![started()]);
    let command = revoke(me(), Revocation::RevokedByOwner);
    assert_eq!(
        session.decide(&command),
        Ok(vec![revoked(Revocation::RevokedByOwner, after(9))])
    );
    session.apply(revoked(Revocation::RevokedByOwner, after(9)));
    assert_eq!(session.decide(&command), Ok(vec![]));
}

#[test]
fn another_members_session_is_not_there() {
    for history in [
        vec![],
        vec![started()],
        vec![started(), revoked(Revocation::Logout, after(1))],
        vec![started(), erased()],
    ] {
        assert_eq!(
            given(history).decide(&revoke(someone_else(), Revocation::RevokedByOwner)),
            Err(SessionError::NotFound)
        );
    }
    assert_eq!(SessionError::NotFound.kind(), Kind::NotFound);
}

#[test]
fn erasure_leaves_a_tombstone_once() {
    let erase = SessionCommand::Erase { now: day(40) };
    assert_eq!(
        Session::default().decide(&erase),
        Err(SessionError::NotFound)
    );
    for history in [
        vec![started()],
        vec![started(), revoked(Revocation::Deletion, after(1))],
    ] {
        let mut session = given(history);
        assert_eq!(session.decide(&erase), Ok(vec![erased()]));
        session.apply(erased());
        assert_eq!(session.decide(&erase), Ok(vec![]));
        assert_eq!(session.status(day(41)), SessionStatus::Erased);
        assert_eq!(session.subject(), Some(me()));
    }
    let erasing = sample()
        .iter()
        .filter(|event| Session::erases(event))
        .map(DomainEvent::event_type)
        .collect::<Vec<_>>();
    assert_eq!(erasing, ["session_erased"]);
}

#[test]
fn a_session_whose_key_is_destroyed_still_folds_and_accepts_nothing() {
    let session = given(vec![
        SessionEvent::SessionStarted {
            session_id: id(),
            account_id: me(),
            account_sequence: 4,
            started_at: day(0),
            expires_at: day(7),
            family_expires_at: day(90),
            device: Personal::Erased,
            credentials: Personal::Erased,
        },
        SessionEvent::SessionRefreshed {
            refreshed_at: after(5),
            expires_at: day(7),
            credentials: Personal::Erased,
        },
    ]);
    assert_eq!(session.current_hash(), None);
    assert_eq!(
        session.decide(&refresh("s0", "s1", after(6))),
        Err(SessionError::RefreshRefused)
    );
}

#[test]
fn every_event_reads_back_as_it_was_written() -> Outcome {
    let events = sample();
    assert_eq!(events.len(), SessionEvent::TYPES.len());
    for (event, (name, _)) in events.iter().zip(SessionEvent::TYPES) {
        let stored = serde_json::to_value(event)?;
        assert_eq!(stored["type"], *name);
        assert_eq!(event.event_type(), *name);
        assert_eq!(&serde_json::from_value::<SessionEvent>(stored)?, event);
    }
    Ok(())
}

#[test]
fn debug_shows_neither_device_nor_secret() {
    let session = given(vec![started()]);
    let shown = format!("{session:?} {:?} {:?} {:?}", sample(), start(), device());
    for word in ["phone", "192.0.2.7", "Firefox", "s0"] {
        assert!(!shown.contains(word), "{word}");
    }
}

#[test]
fn a_label_has_one_to_a_hundred_characters() {
    assert!(DeviceLabel::parse(" phone ").is_ok_and(|label| label.as_str() == "phone"));
    assert!(DeviceLabel::parse(&"é".repeat(100)).is_ok());
    for (typed, code) in [
        (" ".to_owned(), "too_short"),
        ("é".repeat(101), "too_long"),
        ("a\u{0}b".to_owned(), "bad_characters"),
    ] {
        assert!(DeviceLabel::parse(&typed).is_err_and(|violation| violation.code == code));
    }
}

#[test]
fn a_user_agent_is_clipped() {
    let clipped = UserAgent::clip(&format!("a\tb\u{0}{}", "x".repeat(1000)));
    assert_eq!(clipped.as_str().chars().count(), UserAgent::MAX_LENGTH);
    assert!(clipped.as_str().starts_with("abx"));
}

proptest! {
    #[test]
    fn whatever_is_presented_a_family_has_one_secret_and_never_comes_back(
        steps in prop::collection::vec((0..12_usize, 0..90_i64), 0..60)
    ) {
        let mut session = given(vec![started()]);
        let mut issued = vec!["s0".to_owned()];
        let mut now = after(0);
        let mut over = false;
        for (back, seconds) in steps {
            now += Duration::seconds(seconds);
            let presented = issued.len().checked_sub(1 + back).map_or("never", |place| &issued[place]);
            let successor = presented.strip_prefix('s').and_then(|n| n.parse::<u32>().ok()).map_or_else(
                || "x".to_owned(),
                |number| format!("s{}", number + 1),
            );
            let known = presented != "never";
            match session.decide(&refresh(presented, &successor, now)) {
                Err(error) => {
                    prop_assert_eq!(error, SessionError::RefreshRefused);
                    prop_assert!(over || !known);
                }
                Ok(events) => {
                    prop_assert!(!over && known && events.len() <= 1);
                    for event in events {
                        match &event {
                            SessionEvent::SessionRefreshed { .. } => {
                                prop_assert_eq!(back, 0);
                                issued.push(successor.clone());
                            }
                            other => {
                                prop_assert!(back >= 1);
                                prop_assert_eq!(other, &revoked(Revocation::Replayed, now));
                                over = true;
                            }
                        }
                        session.apply(event);
                    }
                }
            }
            let current = session.current_hash().map(RefreshHash::as_str);
            prop_assert_eq!(current, (!over).then(|| issued[issued.len() - 1].as_str()));
        }
    }
}
