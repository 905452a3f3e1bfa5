//! Opening an account.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use domain::id::AccountId;
use domain::identity::account::{
    AccountCommand, AccountError, Age, EmailAddress, Gender, Password, PasswordHash, PersonName,
    USERNAME_SCOPE, Username,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

use super::fields::Fields;
use super::log_failed;
use crate::http::Problem;
use crate::http::command::{Intent, Position};
use crate::http::extract::{Json, Query, Throttle};
use crate::http::problem::ProblemDocument;
use crate::node::Node;

/// Who wants an account.
#[derive(Deserialize, ToSchema)]
pub(super) struct Registration {
    /// 3 to 20 of `a-z`, `0-9` and `_`, starting with a letter; taken without regard to case.
    #[schema(example = "asha_r")]
    username: String,
    /// 8 to 256 characters, neither common nor easy to guess.
    #[schema(example = "correct-horse-7-battery-staple", format = Password)]
    password: String,
    /// An e-mail address that is not of a throw-away domain.
    #[schema(example = "asha@people.example.org")]
    email: String,
    /// 1 to 100 characters.
    #[schema(example = "Asha")]
    first_name: String,
    /// 1 to 100 characters.
    #[schema(example = "Rao")]
    last_name: Option<String>,
    /// 13 to 120 years.
    #[schema(example = 34)]
    age: Option<i64>,
    /// `female`, `male`, `non_binary`, `other` or `undisclosed`.
    #[schema(example = "female")]
    gender: Option<String>,
}

/// An account that was opened.
#[derive(Serialize, ToSchema)]
pub(super) struct Registered {
    /// The account's id.
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27", value_type = uuid::Uuid)]
    id: AccountId,
    /// The name as it is kept.
    #[schema(example = "asha_r")]
    username: String,
    /// When.
    #[schema(example = "2025-10-11T09:30:00Z")]
    created_at: DateTime<Utc>,
}

/// What is left of a registration once every field is right.
struct Checked {
    username: Username,
    password: Zeroizing<String>,
    email: EmailAddress,
    first_name: PersonName,
    last_name: Option<PersonName>,
    age: Option<Age>,
    gender: Option<Gender>,
}

impl Registration {
    /// Everything that is wrong with it, or its values. Takes milliseconds: the password's guesses are
    /// estimated.
    fn check(self) -> Result<Checked, Problem> {
        let mut fields = Fields::default();
        let own_words: Vec<&str> = [&self.username, &self.email, &self.first_name]
            .into_iter()
            .chain(&self.last_name)
            .map(String::as_str)
            .collect();
        let password = fields.check("/password", Password::parse(&self.password, &own_words));
        let username = fields.check("/username", Username::parse(&self.username));
        let email = fields.check("/email", EmailAddress::parse(&self.email));
        let first_name = fields.check("/first_name", PersonName::parse(&self.first_name));
        let last_name =
            fields.check_given("/last_name", self.last_name.as_deref(), PersonName::parse);
        let age = fields.check_given("/age", self.age, Age::try_new);
        let gender = fields.check_given("/gender", self.gender.as_deref(), Gender::parse);
        let (Some(password), Some(username), Some(email), Some(first_name)) =
            (password, username, email, first_name)
        else {
            return Err(fields.refuse());
        };
        fields.finish()?;
        Ok(Checked {
            username,
            password: Zeroizing::new(password.as_str().to_owned()),
            email,
            first_name,
            last_name,
            age,
            gender,
        })
    }
}

/// Open an account
///
/// The username logs in at once. The e-mail address is not proven yet and serves for nothing until it is.
#[utoipa::path(
    post,
    path = "/auth/register",
    tag = "auth",
    request_body = Registration,
    responses(
        (status = 201, description = "The account exists", body = Registered,
            headers(("Location" = String), ("Soulsense-Position" = i64))),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`identity.username_taken`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "`request.too_many`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn register(
    _: Throttle,
    State(node): State<Arc<Node>>,
    intent: Intent,
    Json(registration): Json<Registration>,
) -> Result<impl IntoResponse, Problem> {
    let checked = node.hasher.estimate(|| registration.check()).await??;
    let now = node.clock.now();
    let holder = node
        .log
        .claim_holder(USERNAME_SCOPE, checked.username.as_str(), now);
    if holder.await.map_err(log_failed)?.is_some() {
        return Err(Problem::from_rejection(&AccountError::UsernameTaken));
    }
    let password_hash = PasswordHash::new(node.hasher.hash(checked.password).await?);
    let id = AccountId(node.ids.next());
    // committed before anything is sealed with it; losing the race for the name leaves it unused
    node.log
        .keys()
        .create_subject(id.0, node.ids.next(), now)
        .await
        .map_err(log_failed)?;
    let username = checked.username.as_str().to_owned();
    let command = AccountCommand::Register {
        account_id: id,
        username: checked.username,
        email: checked.email,
        password_hash,
        first_name: checked.first_name,
        last_name: checked.last_name,
        age: checked.age,
        gender: checked.gender,
        now,
    };
    let request = intent.unproven(id.to_string());
    let done = node
        .accounts
        .begin(&id.to_string(), &command, &request)
        .await?;
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, "/api/v1/users/me")],
        Position(done.position),
        Json(Registered {
            id,
            username,
            created_at: now,
        }),
    ))
}

/// A name to look at.
#[derive(Deserialize, IntoParams)]
pub(super) struct UsernameQuery {
    #[param(example = "asha_r")]
    username: String,
}

/// Whether a name can be had.
#[derive(Serialize, ToSchema)]
pub(super) struct Availability {
    /// The name as it would be kept.
    #[schema(example = "asha_r")]
    username: String,
    /// Nobody has it, and nobody had it until lately.
    #[schema(example = true)]
    available: bool,
}

/// Whether a username can be had
#[utoipa::path(
    get,
    path = "/auth/check-username",
    tag = "auth",
    params(UsernameQuery),
    responses(
        (status = 200, description = "Whether it can be had", body = Availability),
        (status = 422, description = "`request.invalid`: no name of this form can be had", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn check_username(
    State(node): State<Arc<Node>>,
    Query(query): Query<UsernameQuery>,
) -> Result<impl IntoResponse, Problem> {
    let mut fields = Fields::default();
    let username = fields.check("/username", Username::parse(&query.username));
    let Some(username) = username else {
        return Err(fields.refuse());
    };
    let holder = node
        .log
        .claim_holder(USERNAME_SCOPE, username.as_str(), node.clock.now())
        .await
        .map_err(log_failed)?;
    Ok(Json(Availability {
        username: username.as_str().to_owned(),
        available: holder.is_none(),
    }))
}
