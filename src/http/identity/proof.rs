//! Proofs: a password that is somebody's, a code that is theirs, and counting the ones that are not.

use domain::id::AccountId;
use domain::identity::account::{
    Account, AccountCommand, AccountError, Password, PasswordHash, RecoveryCodeHash, TotpSecret,
};
use domain::rejection::Violation;
use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::commands::{CommandError, Request};
use crate::hashing::Verdict;
use crate::http::Problem;
use crate::http::command::query_failed;
use crate::node::Node;
use crate::state::ladder::Climber;
use crate::totp::{SecondFactor, matched_recovery_code};

/// Who the second factor is for, as authenticators show it.
const ISSUER: &str = "SoulSense";

/// Whether the password is the account's, in the same time whether or not there is one. A hash with
/// outgrown parameters is made anew on the way.
pub(super) async fn knows_password(
    node: &Node,
    id: AccountId,
    account: &Account,
    password: &Password,
    request: &Request,
) -> Result<bool, Problem> {
    let text = Zeroizing::new(password.as_str().to_owned());
    let Some(stored) = account.password_hash() else {
        node.hasher.verify_nothing(text).await?;
        return Ok(false);
    };
    match node.hasher.verify(text.clone(), stored.to_owned()).await? {
        Verdict::Differs => Ok(false),
        Verdict::Matches {
            needs_rehash: false,
        } => Ok(true),
        Verdict::Matches { needs_rehash: true } => {
            let command = AccountCommand::RecordPasswordRehash {
                replaces: PasswordHash::new(stored),
                password_hash: PasswordHash::new(node.hasher.hash(text).await?),
                now: node.clock.now(),
            };
            node.accounts
                .execute(&id.to_string(), &command, request)
                .await?;
            Ok(true)
        }
    }
}

/// The generator with this secret, as the member's authenticator has it.
pub(super) fn generator(secret: &TotpSecret, account: &Account) -> Result<SecondFactor, Problem> {
    let name = account.username().map_or("", |name| name.as_str());
    SecondFactor::from_base32(secret.as_str(), ISSUER, name).map_err(Problem::internal)
}

/// Uses up a code of the generator of the moment; false when it is wrong or was used before.
pub(super) async fn spend_generated(
    node: &Node,
    id: AccountId,
    generator: &SecondFactor,
    code: &str,
) -> Result<bool, Problem> {
    let now = node.clock.now();
    match generator.matched_step(code, now) {
        Some(step) => node
            .totp_steps
            .spend(id, step, now)
            .await
            .map_err(query_failed),
        None => Ok(false),
    }
}

/// Uses up a code of the account's second factor, or one of its recovery codes; false when it is neither.
pub(super) async fn spend_code(
    node: &Node,
    id: AccountId,
    account: &Account,
    code: &str,
    request: &Request,
) -> Result<bool, Problem> {
    let Some(secret) = account.two_factor_secret() else {
        return Ok(false);
    };
    if spend_generated(node, id, &generator(secret, account)?, code).await? {
        return Ok(true);
    }
    let left: Vec<String> = account
        .recovery_codes()
        .iter()
        .map(|hash| hash.as_str().to_owned())
        .collect();
    let Some(place) = matched_recovery_code(code, &left) else {
        return Ok(false);
    };
    let command = AccountCommand::UseRecoveryCode {
        code: RecoveryCodeHash::new(left[place].as_str()),
        now: node.clock.now(),
    };
    match node
        .accounts
        .execute(&id.to_string(), &command, request)
        .await
    {
        Ok(done) => Ok(done.position.is_some()),
        Err(CommandError::Rejected(AccountError::CodeRefused)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Asks a signed-in member for all factors again; failures count on the account's own ladder.
pub(super) async fn prove_again(
    node: &Node,
    id: AccountId,
    account: &Account,
    password: &Password,
    code: Option<&str>,
    request: &Request,
) -> Result<(), Problem> {
    let code = match (account.two_factor_is_on(), code) {
        (true, None) => {
            let missing = Violation::new("missing", "The second factor is on: a code is needed.");
            return Err(Problem::invalid(vec![missing.at("/code")]));
        }
        (true, code) => code,
        (false, _) => None,
    };
    let attempt = node
        .ladder
        .attempt(Climber::Account(id), node.clock.now())
        .await?;
    let refusal = if !knows_password(node, id, account, password, request).await? {
        Some(Refusal::Credentials)
    } else if let Some(code) = code
        && !spend_code(node, id, account, code, request).await?
    {
        Some(Refusal::Code)
    } else {
        None
    };
    match refusal {
        None => attempt.succeeded().await.map_err(query_failed),
        Some(refusal) => {
            attempt
                .failed(node.clock.now())
                .await
                .map_err(query_failed)?;
            Err(refusal.into())
        }
    }
}
