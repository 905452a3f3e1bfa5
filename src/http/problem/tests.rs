//! From a rejection to a reply.

use super::*;

#[derive(Debug, thiserror::Error)]
#[error("no")]
struct No(Kind);

impl Rejection for No {
    fn code(&self) -> &'static str {
        "toys.no"
    }

    fn kind(&self) -> Kind {
        self.0
    }

    fn violations(&self) -> Vec<Violation> {
        vec![
            Violation::new("too_short", "Too short.")
                .with("min", 3)
                .at("/name"),
        ]
    }

    fn extensions(&self) -> Map<String, Value> {
        Map::from_iter([("purge_after".to_owned(), Value::from("tomorrow"))])
    }

    fn retry_after(&self) -> Option<u64> {
        (self.0 == Kind::TooMany).then_some(7)
    }
}

#[test]
fn every_kind_has_its_status() {
    for (kind, status) in [
        (Kind::Invalid, 422),
        (Kind::Unauthenticated, 401),
        (Kind::Forbidden, 403),
        (Kind::NotFound, 404),
        (Kind::Conflict, 409),
        (Kind::Stale, 412),
        (Kind::TooMany, 429),
    ] {
        let response = Problem::from_rejection(&No(kind)).into_response();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        assert_eq!(
            response.headers().contains_key(header::WWW_AUTHENTICATE),
            status == 401
        );
        let retry_after = response.headers().get(header::RETRY_AFTER);
        assert_eq!(
            retry_after.is_some_and(|seconds| seconds == "7"),
            status == 429
        );
    }
}

#[tokio::test]
async fn a_rejection_keeps_its_code_its_fields_and_its_members() -> Result<(), Box<dyn Error>> {
    let problem = Problem::from(AggregateError::UserError(No(Kind::Invalid)));
    let body = problem.body(Some("/api/v1/toys"), Some("id-1"));
    let body: Value = serde_json::from_slice(&axum::body::to_bytes(body, usize::MAX).await?)?;
    assert_eq!(
        body,
        serde_json::json!({
            "type": "urn:soulsense:problem:toys.no",
            "title": "Unprocessable Entity",
            "status": 422,
            "detail": "no",
            "code": "toys.no",
            "errors": [{"pointer": "/name", "code": "too_short", "params": {"min": 3}, "detail": "Too short."}],
            "instance": "/api/v1/toys",
            "request_id": "id-1",
            "purge_after": "tomorrow",
        })
    );
    Ok(())
}

#[tokio::test]
async fn a_cause_is_for_the_log_alone() -> Result<(), Box<dyn Error>> {
    let problem = Problem::from(AggregateError::<No>::UnexpectedError("disk on fire".into()));
    assert_eq!(problem.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(problem.causes().as_deref(), Some("disk on fire"));
    let body = axum::body::to_bytes(problem.body(None, None), usize::MAX).await?;
    assert!(!String::from_utf8_lossy(&body).contains("fire"));
    Ok(())
}

#[test]
fn a_database_out_of_reach_says_when_to_ask_again() {
    let problem = Problem::from(AggregateError::<No>::DatabaseConnectionError("gone".into()));
    let response = problem.into_response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(header::RETRY_AFTER));
}
