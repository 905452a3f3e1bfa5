//! Given what happened, when something is asked, then that follows.

use chrono::{DateTime, Duration, TimeZone, Utc};
use cqrs_es::{Aggregate as _, DomainEvent};
use proptest::prelude::*;

use super::value::{
    Age, DisposableDomains, EmailAddress, Gender, Password, PasswordHash, PersonName, Reason,
    RecoveryCodeHash, Role, StaffRole, TotpSecret, Username,
};
use super::{
    Account, AccountCommand, AccountError, AccountEvent, Actor, PasswordCredentials,
    RecoveryCodeCredentials, Registrant, Status, TwoFactorCredentials, USERNAME_SCOPE,
    UsedRecoveryCode,
};
use crate::id::AccountId;
use crate::{Aggregate, Claim, ClaimChange, Kind, Personal, Rejection, Violation};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn given(events: Vec<AccountEvent>) -> Account {
    let mut account = Account::default();
    for event in events {
        account.apply(event);
    }
    account
}

fn refused(Violation { code, .. }: Violation) -> Box<dyn std::error::Error> {
    format!("refused: {code}").into()
}

fn username(text: &str) -> Result<Username, Box<dyn std::error::Error>> {
    Username::parse(text).map_err(refused)
}

fn me() -> AccountId {
    AccountId(uuid::Uuid::from_u128(7))
}

fn other() -> Actor {
    Actor::Account(AccountId(uuid::Uuid::from_u128(8)))
}

fn at(day: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::days(20_000 + day)
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::new(text)
}

fn codes(texts: &[&str]) -> Vec<RecoveryCodeHash> {
    texts
        .iter()
        .map(|text| RecoveryCodeHash::new(*text))
        .collect()
}

fn because() -> Result<Reason, Box<dyn std::error::Error>> {
    Reason::parse("as agreed").map_err(refused)
}

fn register() -> Result<AccountCommand, Box<dyn std::error::Error>> {
    Ok(AccountCommand::Register {
        account_id: me(),
        username: username("ada_l")?,
        email: EmailAddress::parse("ada@example.org").map_err(refused)?,
        password_hash: hash("first"),
        first_name: PersonName::parse("Ada").map_err(refused)?,
        last_name: None,
        age: Some(Age::try_new(30).map_err(refused)?),
        gender: Some(Gender::Female),
        now: at(0),
    })
}

fn registered() -> Result<AccountEvent, Box<dyn std::error::Error>> {
    Ok(AccountEvent::AccountRegistered {
        account_id: me(),
        registered_at: at(0),
        member: Personal::Known(Registrant {
            username: username("ada_l")?,
            email: EmailAddress::parse("ada@example.org").map_err(refused)?,
            first_name: PersonName::parse("Ada").map_err(refused)?,
            last_name: None,
            birth_year: Some(1994),
            gender: Some(Gender::Female),
        }),
        credentials: password("first"),
    })
}

fn password(text: &str) -> Personal<PasswordCredentials> {
    Personal::Known(PasswordCredentials {
        password_hash: hash(text),
    })
}

fn set_up(secret: &str) -> AccountEvent {
    AccountEvent::TwoFactorSetUp {
        set_up_at: at(1),
        credentials: Personal::Known(TwoFactorCredentials {
            secret: TotpSecret::new(secret),
        }),
    }
}

fn confirmed(recovery_codes: &[&str]) -> AccountEvent {
    AccountEvent::TwoFactorConfirmed {
        confirmed_at: at(1),
        credentials: Personal::Known(RecoveryCodeCredentials {
            recovery_codes: codes(recovery_codes),
        }),
    }
}

fn granted(role: StaffRole) -> Result<AccountEvent, Box<dyn std::error::Error>> {
    Ok(AccountEvent::RoleGranted {
        granted_at: at(1),
        role,
        reason: Personal::Known(because()?),
    })
}

fn suspended() -> Result<AccountEvent, Box<dyn std::error::Error>> {
    Ok(AccountEvent::AccountSuspended {
        suspended_at: at(1),
        reason: Personal::Known(because()?),
    })
}

fn deletion_requested() -> AccountEvent {
    AccountEvent::DeletionRequested {
        requested_at: at(1),
        purge_after: at(31),
    }
}

fn erasure_started() -> AccountEvent {
    AccountEvent::ErasureStarted {
        account_id: me(),
        started_at: at(40),
    }
}

fn account_erased() -> AccountEvent {
    AccountEvent::AccountErased {
        account_id: me(),
        erased_at: at(41),
    }
}

fn request_deletion() -> AccountCommand {
    AccountCommand::RequestDeletion {
        grace: Duration::days(30),
        is_last_admin: false,
        now: at(1),
    }
}

/// One of each, as each would be stored.
fn sample() -> Result<Vec<AccountEvent>, Box<dyn std::error::Error>> {
    Ok(vec![
        registered()?,
        AccountEvent::PasswordRehashed {
            rehashed_at: at(1),
            credentials: password("second"),
        },
        AccountEvent::PasswordChanged {
            changed_at: at(1),
            credentials: password("third"),
        },
        AccountEvent::LoggedOutEverywhere {
            logged_out_at: at(1),
        },
        set_up("SECRET"),
        confirmed(&["one", "two"]),
        AccountEvent::RecoveryCodeUsed {
            used_at: at(1),
            credentials: Personal::Known(UsedRecoveryCode {
                recovery_code: RecoveryCodeHash::new("one"),
            }),
        },
        AccountEvent::RecoveryCodesRegenerated {
            regenerated_at: at(1),
            credentials: Personal::Known(RecoveryCodeCredentials {
                recovery_codes: codes(&["three"]),
            }),
        },
        AccountEvent::TwoFactorDisabled { disabled_at: at(1) },
        granted(StaffRole::Auditor)?,
        AccountEvent::RoleRevoked {
            revoked_at: at(1),
            role: StaffRole::Auditor,
            reason: Personal::Known(because()?),
        },
        suspended()?,
        AccountEvent::AccountReinstated {
            reinstated_at: at(1),
            reason: Personal::Known(because()?),
        },
        deletion_requested(),
        AccountEvent::AccountRestored { restored_at: at(2) },
        erasure_started(),
        account_erased(),
    ])
}

#[test]
fn registering_opens_the_account_and_claims_the_username() -> Outcome {
    let account = Account::default();
    let events = account.decide(&register()?)?;
    assert_eq!(events, vec![registered()?]);
    assert_eq!(
        account.claims(&events[0]),
        vec![ClaimChange::Take(Claim::new(USERNAME_SCOPE, "ada_l"))]
    );
    Ok(())
}

#[test]
fn an_account_is_registered_once() -> Outcome {
    for history in [
        vec![registered()?],
        vec![registered()?, erasure_started(), account_erased()],
    ] {
        assert_eq!(
            given(history).decide(&register()?),
            Err(AccountError::AlreadyRegistered)
        );
    }
    Ok(())
}

#[test]
fn a_username_that_another_account_holds_is_a_clear_conflict() {
    let error = Account::claim_taken(USERNAME_SCOPE, "account/8");
    assert!(
        error.is_some_and(|e| e.code() == "identity.username_taken" && e.kind() == Kind::Conflict)
    );
    assert_eq!(Account::claim_taken("exams.in_progress", "x"), None);
}

#[test]
fn a_fresh_account_is_an_active_member_with_nothing_more() -> Outcome {
    let account = given(vec![registered()?]);
    assert_eq!(account.status(), Status::Active);
    assert_eq!(account.username(), Some(&username("ada_l")?));
    assert_eq!(
        account.email().map(EmailAddress::domain),
        Some("example.org")
    );
    assert_eq!(account.password_hash(), Some("first"));
    assert_eq!(account.registered_at(), Some(at(0)));
    assert_eq!(account.effective_roles(), vec![Role::Member]);
    assert_eq!(account.subject(), Some(me()));
    assert_eq!(
        (account.sequence(), account.epoch(), account.session_floor()),
        (1, 0, 0)
    );
    assert!(!account.two_factor_is_on());
    Ok(())
}

#[test]
fn nothing_can_be_done_to_an_account_that_nobody_registered() -> Outcome {
    let account = Account::default();
    for command in [
        AccountCommand::LogOutEverywhere { now: at(1) },
        AccountCommand::Suspend {
            reason: because()?,
            is_last_admin: false,
            now: at(1),
        },
        request_deletion(),
        AccountCommand::RestoreAccount { now: at(1) },
        AccountCommand::StartErasure {
            is_last_admin: false,
            now: at(1),
        },
        AccountCommand::FinishErasure { now: at(1) },
    ] {
        assert_eq!(account.decide(&command), Err(AccountError::NotFound));
    }
    assert_eq!(account.subject(), None);
    Ok(())
}

#[test]
fn a_rehash_takes_the_place_of_the_hash_it_was_checked_against_only() -> Outcome {
    let account = given(vec![registered()?]);
    let rehash = |replaces: &str| AccountCommand::RecordPasswordRehash {
        replaces: hash(replaces),
        password_hash: hash("second"),
        now: at(1),
    };
    assert_eq!(account.decide(&rehash("stale")), Ok(vec![]));
    let events = account.decide(&rehash("first"))?;
    let [event] = events.as_slice() else {
        return Err("one event".into());
    };
    let mut account = account;
    account.apply(event.clone());
    assert_eq!(account.password_hash(), Some("second"));
    assert_eq!((account.epoch(), account.session_floor()), (0, 0));
    Ok(())
}

#[test]
fn a_changed_password_ends_sessions_and_access_tokens() -> Outcome {
    let mut account = given(vec![registered()?]);
    for event in account.decide(&AccountCommand::ChangePassword {
        password_hash: hash("third"),
        now: at(1),
    })? {
        account.apply(event);
    }
    assert_eq!(account.password_hash(), Some("third"));
    assert_eq!((account.epoch(), account.session_floor()), (2, 2));
    Ok(())
}

#[test]
fn a_role_change_ends_access_tokens_but_no_session() -> Outcome {
    let account = given(vec![registered()?, granted(StaffRole::Admin)?]);
    assert_eq!((account.epoch(), account.session_floor()), (2, 0));
    Ok(())
}

#[test]
fn every_epoch_type_is_an_event_type() {
    let known = |name: &&'static str| AccountEvent::TYPES.iter().any(|(known, _)| known == name);
    assert!(AccountEvent::EPOCH_TYPES.iter().all(known));
    assert!(
        AccountEvent::SESSION_ENDING_TYPES
            .iter()
            .all(|name| AccountEvent::EPOCH_TYPES.contains(name))
    );
}

#[test]
fn logging_out_everywhere_ends_all_sessions() -> Outcome {
    let account = given(vec![
        registered()?,
        AccountEvent::LoggedOutEverywhere {
            logged_out_at: at(1),
        },
    ]);
    assert_eq!((account.epoch(), account.session_floor()), (2, 2));
    Ok(())
}

#[test]
fn a_second_factor_is_on_only_when_its_own_secret_is_confirmed() -> Outcome {
    let account = given(vec![registered()?, set_up("OLD"), set_up("NEW")]);
    let confirm = |secret: &str| AccountCommand::ConfirmTwoFactor {
        secret: TotpSecret::new(secret),
        recovery_codes: codes(&["one", "two"]),
        now: at(1),
    };
    assert!(!account.two_factor_is_on());
    assert_eq!(account.two_factor_secret(), None);
    assert_eq!(
        account.pending_two_factor_secret(),
        Some(&TotpSecret::new("NEW"))
    );
    assert_eq!(
        account.decide(&confirm("OLD")),
        Err(AccountError::TwoFactorNotSetUp)
    );
    assert_eq!(
        account.decide(&confirm("NEW")),
        Ok(vec![confirmed(&["one", "two"])])
    );
    let mut account = account;
    account.apply(confirmed(&["one", "two"]));
    assert!(account.two_factor_is_on());
    assert_eq!(account.two_factor_secret(), Some(&TotpSecret::new("NEW")));
    assert_eq!(account.pending_two_factor_secret(), None);
    assert_eq!(account.recovery_codes(), codes(&["one", "two"]));
    assert_eq!(
        account.decide(&confirm("NEW")),
        Err(AccountError::TwoFactorOn)
    );
    assert_eq!(
        account.decide(&AccountCommand::SetUpTwoFactor {
            secret: TotpSecret::new("THIRD"),
            now: at(1)
        }),
        Err(AccountError::TwoFactorOn)
    );
    Ok(())
}

#[test]
fn a_second_factor_that_was_never_set_up_cannot_be_confirmed() -> Outcome {
    assert_eq!(
        given(vec![registered()?]).decide(&AccountCommand::ConfirmTwoFactor {
            secret: TotpSecret::new("ANY"),
            recovery_codes: vec![],
            now: at(1),
        }),
        Err(AccountError::TwoFactorNotSetUp)
    );
    Ok(())
}

#[test]
fn a_recovery_code_works_once() -> Outcome {
    let mut account = given(vec![registered()?, set_up("S"), confirmed(&["one", "two"])]);
    let command = |code: &str| AccountCommand::UseRecoveryCode {
        code: RecoveryCodeHash::new(code),
        now: at(1),
    };
    for event in account.decide(&command("one"))? {
        account.apply(event);
    }
    assert_eq!(account.recovery_codes(), codes(&["two"]));
    assert_eq!(
        account.decide(&command("one")),
        Err(AccountError::CodeRefused)
    );
    assert_eq!(AccountError::CodeRefused.kind(), Kind::Unauthenticated);
    assert_eq!(
        given(vec![registered()?]).decide(&command("one")),
        Err(AccountError::TwoFactorOff)
    );
    Ok(())
}

#[test]
fn new_recovery_codes_replace_the_old_ones() -> Outcome {
    let regenerate = AccountCommand::RegenerateRecoveryCodes {
        recovery_codes: codes(&["three"]),
        now: at(1),
    };
    let mut account = given(vec![registered()?, set_up("S"), confirmed(&["one", "two"])]);
    for event in account.decide(&regenerate)? {
        account.apply(event);
    }
    assert_eq!(account.recovery_codes(), codes(&["three"]));
    assert_eq!(
        given(vec![registered()?]).decide(&regenerate),
        Err(AccountError::TwoFactorOff)
    );
    Ok(())
}

#[test]
fn a_second_factor_that_is_off_stays_off() -> Outcome {
    let disable = AccountCommand::DisableTwoFactor { now: at(1) };
    assert_eq!(given(vec![registered()?]).decide(&disable), Ok(vec![]));
    let mut account = given(vec![registered()?, set_up("S")]);
    for event in account.decide(&disable)? {
        account.apply(event);
    }
    assert_eq!(account.pending_two_factor_secret(), None);
    Ok(())
}

#[test]
fn staff_roles_work_only_while_the_second_factor_is_on() -> Outcome {
    let mut account = given(vec![registered()?, granted(StaffRole::Admin)?]);
    assert_eq!(account.staff_roles(), vec![StaffRole::Admin]);
    assert_eq!(account.effective_roles(), vec![Role::Member]);
    account.apply(set_up("S"));
    assert_eq!(account.effective_roles(), vec![Role::Member]);
    account.apply(confirmed(&["one"]));
    assert_eq!(account.effective_roles(), vec![Role::Member, Role::Admin]);
    account.apply(AccountEvent::TwoFactorDisabled { disabled_at: at(2) });
    assert_eq!(account.effective_roles(), vec![Role::Member]);
    assert_eq!(account.epoch(), 5);
    Ok(())
}

#[test]
fn a_role_is_granted_once_and_revoked_once() -> Outcome {
    let grant = AccountCommand::GrantRole {
        role: StaffRole::Auditor,
        actor: Actor::Operator,
        reason: because()?,
        now: at(1),
    };
    let revoke = AccountCommand::RevokeRole {
        role: StaffRole::Auditor,
        actor: other(),
        reason: because()?,
        is_last_admin: false,
        now: at(2),
    };
    let mut account = given(vec![registered()?]);
    assert_eq!(account.decide(&revoke), Ok(vec![]));
    assert_eq!(
        account.decide(&grant),
        Ok(vec![granted(StaffRole::Auditor)?])
    );
    account.apply(granted(StaffRole::Auditor)?);
    assert_eq!(account.decide(&grant), Ok(vec![]));
    for event in account.decide(&revoke)? {
        account.apply(event);
    }
    assert_eq!(account.staff_roles(), vec![]);
    Ok(())
}

#[test]
fn nobody_changes_their_own_roles() -> Outcome {
    let account = given(vec![registered()?, granted(StaffRole::Admin)?]);
    let grant = AccountCommand::GrantRole {
        role: StaffRole::Auditor,
        actor: Actor::Account(me()),
        reason: because()?,
        now: at(1),
    };
    let revoke = AccountCommand::RevokeRole {
        role: StaffRole::Admin,
        actor: Actor::Account(me()),
        reason: because()?,
        is_last_admin: false,
        now: at(1),
    };
    assert_eq!(account.decide(&grant), Err(AccountError::OwnRoles));
    assert_eq!(account.decide(&revoke), Err(AccountError::OwnRoles));
    assert_eq!(AccountError::OwnRoles.kind(), Kind::Forbidden);
    Ok(())
}

#[test]
fn the_last_admin_is_neither_demoted_nor_suspended_nor_erased() -> Outcome {
    let account = given(vec![registered()?, granted(StaffRole::Admin)?]);
    for command in [
        AccountCommand::RevokeRole {
            role: StaffRole::Admin,
            actor: Actor::Operator,
            reason: because()?,
            is_last_admin: true,
            now: at(1),
        },
        AccountCommand::Suspend {
            reason: because()?,
            is_last_admin: true,
            now: at(1),
        },
        AccountCommand::RequestDeletion {
            grace: Duration::days(30),
            is_last_admin: true,
            now: at(1),
        },
    ] {
        assert_eq!(account.decide(&command), Err(AccountError::LastAdmin));
    }
    let pending = given(vec![
        registered()?,
        granted(StaffRole::Admin)?,
        deletion_requested(),
    ]);
    assert_eq!(
        pending.decide(&AccountCommand::StartErasure {
            is_last_admin: true,
            now: at(31)
        }),
        Err(AccountError::LastAdmin)
    );
    assert_eq!(AccountError::LastAdmin.code(), "identity.last_admin");
    assert_eq!(AccountError::LastAdmin.kind(), Kind::Conflict);
    Ok(())
}

#[test]
fn the_last_admin_may_lose_another_role_and_others_are_not_held_back() -> Outcome {
    let both = given(vec![
        registered()?,
        granted(StaffRole::Admin)?,
        granted(StaffRole::Auditor)?,
    ]);
    assert!(
        both.decide(&AccountCommand::RevokeRole {
            role: StaffRole::Auditor,
            actor: Actor::Operator,
            reason: because()?,
            is_last_admin: true,
            now: at(1),
        })
        .is_ok_and(|events| events.len() == 1)
    );
    assert!(
        given(vec![registered()?])
            .decide(&AccountCommand::Suspend {
                reason: because()?,
                is_last_admin: true,
                now: at(1),
            })
            .is_ok_and(|events| events.len() == 1)
    );
    Ok(())
}

#[test]
fn a_suspended_member_can_do_nothing_until_reinstated() -> Outcome {
    let mut account = given(vec![
        registered()?,
        granted(StaffRole::Admin)?,
        suspended()?,
    ]);
    assert_eq!(account.status(), Status::Suspended);
    assert_eq!(account.effective_roles(), vec![]);
    assert_eq!((account.epoch(), account.session_floor()), (3, 3));
    assert_eq!(
        account.decide(&AccountCommand::LogOutEverywhere { now: at(2) }),
        Err(AccountError::Suspended)
    );
    assert_eq!(AccountError::Suspended.kind(), Kind::Forbidden);
    assert_eq!(
        account.decide(&AccountCommand::Suspend {
            reason: because()?,
            is_last_admin: false,
            now: at(2)
        }),
        Ok(vec![])
    );
    let reinstate = AccountCommand::Reinstate {
        reason: because()?,
        now: at(2),
    };
    for event in account.decide(&reinstate)? {
        account.apply(event);
    }
    assert_eq!(account.status(), Status::Active);
    assert_eq!(account.decide(&reinstate), Ok(vec![]));
    Ok(())
}

#[test]
fn requesting_deletion_hides_the_account_until_the_grace_is_over() -> Outcome {
    let mut account = given(vec![registered()?]);
    assert_eq!(
        account.decide(&request_deletion()),
        Ok(vec![deletion_requested()])
    );
    account.apply(deletion_requested());
    assert_eq!(account.status(), Status::DeletionRequested);
    assert_eq!(account.purge_after(), Some(at(31)));
    assert_eq!(account.password_hash(), Some("first"));
    assert_eq!((account.epoch(), account.session_floor()), (2, 2));
    let Err(error) = account.decide(&AccountCommand::LogOutEverywhere { now: at(2) }) else {
        return Err("a rejection".into());
    };
    assert_eq!(error.code(), "identity.deletion_pending");
    assert_eq!(error.kind(), Kind::Forbidden);
    assert!(error.extensions().contains_key("purge_after"));
    Ok(())
}

#[test]
fn asking_for_deletion_again_can_only_bring_it_nearer() -> Outcome {
    let account = given(vec![registered()?, deletion_requested()]);
    let request = |grace, now| AccountCommand::RequestDeletion {
        grace: Duration::days(grace),
        is_last_admin: false,
        now: at(now),
    };
    assert_eq!(account.decide(&request(30, 5)), Ok(vec![]));
    assert_eq!(
        account.decide(&request(0, 5)),
        Ok(vec![AccountEvent::DeletionRequested {
            requested_at: at(5),
            purge_after: at(5)
        }])
    );
    Ok(())
}

#[test]
fn a_grace_beyond_the_end_of_time_is_the_end_of_time() -> Outcome {
    let events = given(vec![registered()?]).decide(&AccountCommand::RequestDeletion {
        grace: Duration::MAX,
        is_last_admin: false,
        now: at(1),
    })?;
    assert!(matches!(
        events.as_slice(),
        [AccountEvent::DeletionRequested { purge_after, .. }] if *purge_after == DateTime::<Utc>::MAX_UTC
    ));
    Ok(())
}

#[test]
fn a_restored_account_is_what_it_was() -> Outcome {
    let restore = AccountCommand::RestoreAccount { now: at(20) };
    let mut account = given(vec![registered()?, deletion_requested()]);
    for event in account.decide(&restore)? {
        account.apply(event);
    }
    assert_eq!(account.status(), Status::Active);
    assert_eq!(account.purge_after(), None);
    assert_eq!(
        account.decide(&restore),
        Err(AccountError::DeletionNotRequested)
    );

    let mut account = given(vec![registered()?, deletion_requested(), suspended()?]);
    assert_eq!(account.status(), Status::DeletionRequested);
    for event in account.decide(&restore)? {
        account.apply(event);
    }
    assert_eq!(account.status(), Status::Suspended);
    Ok(())
}

#[test]
fn an_account_is_restored_after_the_grace_as_long_as_erasure_has_not_started() -> Outcome {
    let account = given(vec![registered()?, deletion_requested()]);
    assert!(
        account
            .decide(&AccountCommand::RestoreAccount { now: at(35) })
            .is_ok_and(|events| events.len() == 1)
    );
    Ok(())
}

#[test]
fn erasure_starts_when_the_grace_is_over_and_not_before() -> Outcome {
    let start = |day| AccountCommand::StartErasure {
        is_last_admin: false,
        now: at(day),
    };
    let account = given(vec![registered()?, deletion_requested()]);
    assert_eq!(
        account.decide(&start(30)),
        Err(AccountError::GraceNotOver {
            purge_after: at(31)
        })
    );
    assert_eq!(
        account.decide(&start(31)),
        Ok(vec![AccountEvent::ErasureStarted {
            account_id: me(),
            started_at: at(31)
        }])
    );
    assert_eq!(
        given(vec![registered()?]).decide(&start(40)),
        Err(AccountError::DeletionNotRequested)
    );
    Ok(())
}

#[test]
fn the_start_of_erasure_shuts_the_subject_and_reserves_the_username_for_a_while() -> Outcome {
    let account = given(vec![registered()?, deletion_requested()]);
    assert_eq!(
        account.claims(&erasure_started()),
        vec![
            ClaimChange::Erase(me()),
            ClaimChange::ReleaseAt(Claim::new(USERNAME_SCOPE, "ada_l"), at(130)),
        ]
    );
    Ok(())
}

#[test]
fn there_is_no_way_back_once_erasure_has_started() -> Outcome {
    let restore = AccountCommand::RestoreAccount { now: at(41) };
    let start = AccountCommand::StartErasure {
        is_last_admin: false,
        now: at(41),
    };
    let finish = AccountCommand::FinishErasure { now: at(41) };
    let mut account = given(vec![registered()?, deletion_requested()]);
    assert_eq!(
        account.decide(&finish),
        Err(AccountError::ErasureNotStarted)
    );
    account.apply(erasure_started());
    assert_eq!(account.status(), Status::Erasing);
    assert_eq!(account.username(), None);
    assert_eq!(account.subject(), Some(me()));
    assert_eq!(account.decide(&start), Ok(vec![]));
    assert_eq!(account.decide(&restore), Err(AccountError::ErasureStarted));
    assert_eq!(
        account.decide(&request_deletion()),
        Err(AccountError::ErasureStarted)
    );
    assert_eq!(AccountError::ErasureStarted.kind(), Kind::Conflict);
    assert_eq!(account.decide(&finish), Ok(vec![account_erased()]));
    account.apply(account_erased());
    assert_eq!(account.status(), Status::Erased);
    assert_eq!(account.decide(&start), Ok(vec![]));
    assert_eq!(account.decide(&finish), Ok(vec![]));
    assert_eq!(account.decide(&restore), Err(AccountError::ErasureStarted));
    assert_eq!(
        account.decide(&AccountCommand::LogOutEverywhere { now: at(42) }),
        Err(AccountError::NotFound)
    );
    Ok(())
}

#[test]
fn only_the_events_of_erasure_may_follow_its_start() -> Outcome {
    let erasing = sample()?
        .iter()
        .filter(|event| Account::erases(event))
        .map(DomainEvent::event_type)
        .collect::<Vec<_>>();
    assert_eq!(erasing, ["erasure_started", "account_erased"]);
    Ok(())
}

#[test]
fn an_account_whose_key_is_destroyed_still_folds() {
    let account = given(vec![
        AccountEvent::AccountRegistered {
            account_id: me(),
            registered_at: at(0),
            member: Personal::Erased,
            credentials: Personal::Erased,
        },
        AccountEvent::TwoFactorSetUp {
            set_up_at: at(1),
            credentials: Personal::Erased,
        },
        AccountEvent::TwoFactorConfirmed {
            confirmed_at: at(1),
            credentials: Personal::Erased,
        },
        AccountEvent::RecoveryCodeUsed {
            used_at: at(1),
            credentials: Personal::Erased,
        },
        AccountEvent::PasswordChanged {
            changed_at: at(1),
            credentials: Personal::Erased,
        },
        deletion_requested(),
    ]);
    assert_eq!(account.username(), None);
    assert_eq!(account.password_hash(), None);
    assert_eq!(account.two_factor_secret(), None);
    assert_eq!(account.recovery_codes(), []);
    assert_eq!(
        account.claims(&erasure_started()),
        vec![ClaimChange::Erase(me())]
    );
}

#[test]
fn every_event_reads_back_as_it_was_written() -> Outcome {
    let events = sample()?;
    assert_eq!(events.len(), AccountEvent::TYPES.len());
    for (event, (name, _)) in events.iter().zip(AccountEvent::TYPES) {
        let stored = serde_json::to_value(event)?;
        assert_eq!(stored["type"], *name);
        assert_eq!(event.event_type(), *name);
        assert_eq!(&serde_json::from_value::<AccountEvent>(stored)?, event);
    }
    Ok(())
}

#[test]
fn stored_values_read_back_though_rules_became_stricter() -> Outcome {
    let name: Username = serde_json::from_str(r#""Admin""#)?;
    assert_eq!(name.as_str(), "Admin");
    Ok(())
}

#[test]
fn what_is_clear_in_an_event_says_nothing_about_the_member() -> Outcome {
    for event in sample()? {
        let mut stored = serde_json::to_value(&event)?;
        if let Some(members) = stored.as_object_mut() {
            members.retain(|_, value| value.get("$personal").is_none());
        }
        let clear = stored.to_string();
        for word in [
            "ada", "example", "Ada", "first", "SECRET", "one", "agreed", "1994", "female",
        ] {
            assert!(!clear.contains(word), "{word} in {clear}");
        }
    }
    Ok(())
}

#[test]
fn debug_shows_no_private_word() -> Outcome {
    let account = given(vec![registered()?, set_up("SECRET"), confirmed(&["one"])]);
    let shown = format!("{account:?} {:?} {:?}", sample()?, register()?);
    for word in ["ada_l", "example.org", "Ada", "first\"", "SECRET", "agreed"] {
        assert!(!shown.contains(word), "{word}");
    }
    Ok(())
}

#[test]
fn a_username_is_folded_to_its_canonical_form() -> Outcome {
    for (typed, canonical) in [
        ("ada", "ada"),
        ("  Ada_Lovelace1 ", "ada_lovelace1"),
        ("ＡＤＡ", "ada"),
        ("a23456789012345678_0", "a23456789012345678_0"),
    ] {
        assert_eq!(username(typed)?.as_str(), canonical);
    }
    Ok(())
}

#[test]
fn a_username_out_of_range_is_refused_with_a_code() {
    for (typed, code) in [
        ("", "too_short"),
        ("ab", "too_short"),
        ("  ab  ", "too_short"),
        ("a234567890123456789_1", "too_long"),
        ("1ada", "bad_characters"),
        ("_ada", "bad_characters"),
        ("ada-l", "bad_characters"),
        ("ada l", "bad_characters"),
        ("ädä", "bad_characters"),
        ("аda", "bad_characters"),
        ("ada\u{0}x", "bad_characters"),
        ("Admin", "reserved"),
        ("ROOT", "reserved"),
        ("support", "reserved"),
        ("SoulSense", "reserved"),
        ("system", "reserved"),
        ("ｏｆｆｉｃｉａｌ", "reserved"),
    ] {
        assert!(
            Username::parse(typed).is_err_and(|violation| violation.code == code),
            "{typed}: {code}"
        );
    }
}

#[test]
fn an_address_keeps_its_local_part_and_lowers_its_domain() -> Outcome {
    for (typed, kept) in [
        (" Ada.L+tag@Example.ORG ", "Ada.L+tag@example.org"),
        ("ada@BÜCHER.example", "ada@bücher.example"),
        ("jose\u{301}@example.org", "jos\u{e9}@example.org"),
    ] {
        let address = EmailAddress::parse(typed).map_err(refused)?;
        assert_eq!(address.as_str(), kept);
    }
    Ok(())
}

#[test]
fn an_address_that_nobody_has_is_refused_with_a_code() {
    let long = format!(
        "ada@{}.org",
        "a".repeat(60).as_str().to_owned() + &".b".repeat(100)
    );
    for (typed, code) in [
        ("", "bad_format"),
        ("ada", "bad_format"),
        ("ada@", "bad_format"),
        ("@example.org", "bad_format"),
        ("ada@localhost", "bad_format"),
        ("ada@[127.0.0.1]", "bad_format"),
        ("Ada <ada@example.org>", "bad_format"),
        ("\"a b\"@example.org", "bad_format"),
        ("a b@example.org", "bad_format"),
        ("ada@example.org\r\nBcc: x@example.org", "bad_format"),
        ("ada@exa\u{0}mple.org", "bad_format"),
        (long.as_str(), "too_long"),
        ("ada@mailinator.com", "disposable"),
        ("ada@Mailinator.COM", "disposable"),
        ("ada@any.yopmail.com", "disposable"),
    ] {
        let Err(violation) = EmailAddress::parse(typed) else {
            panic!("accepted: {typed}");
        };
        assert_eq!(violation.code, code, "{typed}");
    }
}

#[test]
fn an_operator_may_keep_their_own_list_of_domains() {
    let own = DisposableDomains::from_lines("# ours\n\n Example.ORG \n");
    assert!(EmailAddress::parse_against("ada@example.org", &own).is_err());
    assert!(EmailAddress::parse_against("ada@mailinator.com", &own).is_ok());
    assert!(!own.contains("notexample.org"));
}

#[test]
fn a_password_is_long_enough_and_hard_to_guess() -> Outcome {
    let own = ["countess", "ada@analytical.example", "Ada", "Lovelace"];
    for accepted in [
        "violet kettle marches sideways",
        "c0balt-Otter.91-plinth",
        "बहुत लंबा और अनोखा वाक्य",
    ] {
        Password::parse(accepted, &own).map_err(refused)?;
    }
    for (typed, code) in [
        ("", "too_short"),
        ("x7#kQ2!", "too_short"),
        ("aaaaaaaaaaaaaaaa", "too_guessable"),
        ("Password123!", "too_common"),
        ("correct horse battery staple", "too_common"),
        ("adalovelace1", "too_guessable"),
        ("AdaLovelace!", "too_guessable"),
        ("Lovelace2024", "too_guessable"),
        ("analytical1", "too_guessable"),
        ("c0untess99", "too_guessable"),
        ("soulsense42", "too_guessable"),
    ] {
        let Err(violation) = Password::parse(typed, &own) else {
            panic!("accepted: {typed}");
        };
        assert_eq!(violation.code, code, "{typed}");
    }
    Ok(())
}

#[test]
fn a_password_has_at_most_256_characters() {
    let phrase = |length: usize| {
        "violet kettle marches sideways "
            .chars()
            .cycle()
            .take(length)
            .collect::<String>()
    };
    assert!(Password::parse(&phrase(256), &[]).is_ok());
    assert!(Password::parse(&phrase(257), &[]).is_err_and(|v| v.code == "too_long"));
    assert!(Password::presented(&phrase(256)).is_ok());
    assert!(Password::presented(&phrase(257)).is_err_and(|v| v.code == "too_long"));
}

#[test]
fn a_password_is_the_same_however_its_characters_are_composed() -> Outcome {
    let composed = Password::presented("\u{e9}clair").map_err(refused)?;
    let apart = Password::presented("e\u{301}clair").map_err(refused)?;
    assert_eq!(composed, apart);
    assert!(!format!("{composed:?}").contains("clair"));
    Ok(())
}

#[test]
fn the_shipped_lists_are_long_and_canonical() {
    let passwords = super::value::common_passwords();
    assert!(passwords.len() >= 500);
    assert!(passwords.iter().all(|password| {
        password.chars().count() >= *Password::LENGTH.start()
            && password.to_lowercase() == **password
    }));
    assert!(DisposableDomains::shipped().len() >= 150);
}

#[test]
fn a_name_has_one_to_a_hundred_characters() {
    assert!(PersonName::parse(" Ada ").is_ok_and(|name| name.as_str() == "Ada"));
    assert!(PersonName::parse(&"é".repeat(100)).is_ok());
    for (typed, code) in [
        (String::new(), "too_short"),
        ("   ".to_owned(), "too_short"),
        ("é".repeat(101), "too_long"),
        ("A\u{0}da".to_owned(), "bad_characters"),
        ("A\nda".to_owned(), "bad_characters"),
    ] {
        assert!(PersonName::parse(&typed).is_err_and(|violation| violation.code == code));
    }
}

#[test]
fn a_reason_has_one_to_five_hundred_characters() {
    assert!(Reason::parse(&"x".repeat(500)).is_ok());
    assert!(Reason::parse(&"x".repeat(501)).is_err_and(|v| v.code == "too_long"));
    assert!(Reason::parse(" ").is_err_and(|v| v.code == "too_short"));
}

#[test]
fn an_age_is_13_to_120_and_is_kept_as_a_year() -> Outcome {
    for years in [13, 120] {
        assert!(Age::try_new(years).is_ok());
    }
    for years in [12, 121, -1, 0, 256 + 30, i64::MAX, i64::MIN] {
        assert!(Age::try_new(years).is_err_and(|violation| violation.code == "out_of_range"));
    }
    let now = Utc
        .with_ymd_and_hms(2026, 7, 1, 0, 0, 0)
        .single()
        .ok_or("a time")?;
    assert_eq!(
        Age::try_new(30).map(|age| age.birth_year(now)).ok(),
        Some(1996)
    );
    Ok(())
}

#[test]
fn a_gender_is_one_of_the_list_in_any_spelling() -> Outcome {
    for name in Gender::NAMES {
        let gender = Gender::parse(name).map_err(refused)?;
        assert_eq!(gender.as_str(), name);
        assert_eq!(serde_json::to_value(gender)?, name);
    }
    assert_eq!(Gender::parse("Non-Binary"), Ok(Gender::NonBinary));
    assert!(Gender::parse("cat").is_err_and(|violation| {
        violation.code == "unknown_value" && !violation.detail.contains("cat")
    }));
    Ok(())
}

#[test]
fn a_staff_role_is_one_of_three() -> Outcome {
    for name in StaffRole::NAMES {
        let role = StaffRole::parse(name).map_err(refused)?;
        assert_eq!(role.as_str(), name);
        assert_eq!(serde_json::to_value(role)?, name);
        assert_eq!(serde_json::to_value(Role::from(role))?, name);
    }
    for name in ["member", "Admin", ""] {
        assert!(StaffRole::parse(name).is_err_and(|violation| violation.code == "unknown_value"));
    }
    Ok(())
}

fn any_command() -> impl Strategy<Value = AccountCommand> {
    let flag = any::<bool>();
    let role = prop::sample::select(vec![
        StaffRole::Moderator,
        StaffRole::Auditor,
        StaffRole::Admin,
    ]);
    (0..16_u8, 0..60_i64, 0..40_i64, flag, role).prop_filter_map(
        "values that parse",
        |(kind, day, grace, is_last_admin, role)| {
            let now = at(day);
            let reason = Reason::parse("as agreed").ok()?;
            Some(match kind {
                0 => AccountCommand::RecordPasswordRehash {
                    replaces: hash("first"),
                    password_hash: hash("second"),
                    now,
                },
                1 => AccountCommand::ChangePassword {
                    password_hash: hash("first"),
                    now,
                },
                2 => AccountCommand::LogOutEverywhere { now },
                3 => AccountCommand::SetUpTwoFactor {
                    secret: TotpSecret::new("S"),
                    now,
                },
                4 => AccountCommand::ConfirmTwoFactor {
                    secret: TotpSecret::new("S"),
                    recovery_codes: codes(&["one", "two"]),
                    now,
                },
                5 => AccountCommand::UseRecoveryCode {
                    code: RecoveryCodeHash::new("one"),
                    now,
                },
                6 => AccountCommand::RegenerateRecoveryCodes {
                    recovery_codes: codes(&["one"]),
                    now,
                },
                7 => AccountCommand::DisableTwoFactor { now },
                8 => AccountCommand::GrantRole {
                    role,
                    actor: Actor::Operator,
                    reason,
                    now,
                },
                9 => AccountCommand::RevokeRole {
                    role,
                    actor: other(),
                    reason,
                    is_last_admin,
                    now,
                },
                10 => AccountCommand::Suspend {
                    reason,
                    is_last_admin,
                    now,
                },
                11 => AccountCommand::Reinstate { reason, now },
                12 => AccountCommand::RequestDeletion {
                    grace: Duration::days(grace),
                    is_last_admin,
                    now,
                },
                13 => AccountCommand::RestoreAccount { now },
                14 => AccountCommand::StartErasure { is_last_admin, now },
                _ => AccountCommand::FinishErasure { now },
            })
        },
    )
}

proptest! {
    #[test]
    fn a_canonical_username_is_its_own_canonical_form(typed in "\\PC{0,24}|[a-zA-Z][a-zA-Z0-9_]{2,19}") {
        if let Ok(name) = Username::parse(&typed) {
            prop_assert_eq!(Username::parse(name.as_str()).ok(), Some(name.clone()));
            prop_assert!(Username::LENGTH.contains(&name.as_str().len()));
        }
    }

    #[test]
    fn a_kept_address_is_its_own_kept_form(typed in "\\PC{0,40}|[a-zA-Z.+]{1,9}@[A-Za-zÄé]{1,9}\\.[a-zA-Z]{2,4}") {
        if let Ok(address) = EmailAddress::parse(&typed) {
            prop_assert_eq!(EmailAddress::parse(address.as_str()).ok(), Some(address));
        }
    }

    #[test]
    fn whatever_is_asked_the_account_stays_sound(commands in prop::collection::vec(any_command(), 0..40)) {
        let Ok(first) = registered() else {
            return Err(TestCaseError::reject("no registration"));
        };
        let mut account = given(vec![first]);
        let mut folded = 1;
        let mut erasing = false;
        for command in commands {
            let before = account.clone();
            let events = account.decide(&command).unwrap_or_default();
            for event in events {
                prop_assert!(!erasing || Account::erases(&event));
                erasing |= matches!(event, AccountEvent::ErasureStarted { .. });
                account.apply(event);
                folded += 1;
            }
            prop_assert_eq!(account.sequence(), folded);
            prop_assert!(before.epoch() <= account.epoch() && account.epoch() <= folded);
            prop_assert!(account.session_floor() <= account.epoch());
            prop_assert_eq!(account.subject(), Some(me()));
            prop_assert_eq!(account.username().is_none(), erasing);
            if account.effective_roles().len() > 1 {
                prop_assert!(account.two_factor_is_on());
            }
            if before.status() == Status::Suspended {
                let reinstated = matches!(command, AccountCommand::Reinstate { .. });
                prop_assert!(account.status() != Status::Active || reinstated);
            }
        }
    }
}
