//! What is refused, and that nothing of it is stored.

use axum::http::StatusCode;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{asked, counting, finish, later, start};
use crate::support::app::{Reply, on_each_engine};
use crate::support::engines::Outcome;

const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

/// Fails unless the reply says that this field is wrong in this way.
fn names(reply: &Reply, code: &str, pointer: &str, violation: &str) -> Outcome {
    reply.is_problem(UNPROCESSABLE, code)?;
    let found = reply.at("/errors");
    let found = found.as_array().into_iter().flatten();
    let mut found = found.map(|error| (&error["pointer"], &error["code"]));
    if found.any(|error| error == (&json!(pointer), &json!(violation))) {
        return Ok(());
    }
    Err(format!("no {violation} at {pointer}: {}", reply.body).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_wrong_fields_is_refused_and_nothing_is_stored() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let before = app.settled_head().await?;
        for (body, pointer, violation) in [
            (
                json!({"question_count": 4}),
                "/question_count",
                "out_of_range",
            ),
            (
                json!({"question_count": 51}),
                "/question_count",
                "out_of_range",
            ),
            (
                json!({"question_count": -1}),
                "/question_count",
                "out_of_range",
            ),
            (
                json!({"question_count": 7.5}),
                "/question_count",
                "wrong_type",
            ),
            (
                json!({"question_count": "7"}),
                "/question_count",
                "wrong_type",
            ),
            (json!({"language": "fr"}), "/language", "not_one_of"),
            (json!({"language": 1}), "/language", "wrong_type"),
            (
                json!({"instrument": "tarot"}),
                "/instrument",
                "unknown_instrument",
            ),
            (
                json!({"instrument": ""}),
                "/instrument",
                "unknown_instrument",
            ),
            (
                json!({"instrument": null, "question_count": 99}),
                "/question_count",
                "out_of_range",
            ),
        ] {
            let reply = asha.post("/exams/start", body.clone()).await?;
            names(&reply, "request.invalid", pointer, violation)
                .map_err(|error| format!("{body}: {error}"))?;
        }
        let both = json!({"instrument": "tarot", "question_count": 0});
        let both = asha.post("/exams/start", both).await?;
        assert_eq!(both.at("/errors").as_array().map(Vec::len), Some(2));
        asha.post("/exams/start", json!({"colour": "red"}))
            .await?
            .is_problem(StatusCode::BAD_REQUEST, "request.unknown_field")?;
        asha.post("/exams/start", json!({"instrument": "e\u{0}q"}))
            .await?
            .is_problem(StatusCode::BAD_REQUEST, "request.nul_character")?;
        asha.request("POST", "/exams/start")
            .bytes("application/json", b"{\"language\": \"e")
            .send()
            .await?
            .is_problem(StatusCode::BAD_REQUEST, "request.malformed_json")?;
        asha.request("POST", "/exams/start")
            .bytes("text/plain", b"{}")
            .send()
            .await?
            .is_problem(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "request.unsupported_media_type",
            )?;
        app.post("/exams/start", json!({}))
            .await?
            .is_problem(StatusCode::UNAUTHORIZED, "auth.token_missing")?;
        assert_eq!(app.settled_head().await?, before);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answers_are_refused_all_together_and_nothing_is_stored() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let exam = start(&asha, json!({"question_count": 5})).await?;
        let path = format!("/exams/{}/responses", exam.text("/id"));
        let ids = asked(&exam);
        let (one, two) = (ids[0].as_str(), ids[1].as_str());
        let invalid = "request.invalid";
        let responses = "exams.invalid_responses";
        let many = vec![json!({"question_id": one, "value": 3}); 51];
        let before = app.settled_head().await?;
        for (body, code, pointer, violation) in [
            (json!({"question_id": one, "value": 0}), responses, "/value", "out_of_range"),
            (json!({"question_id": one, "value": 6}), responses, "/value", "out_of_range"),
            (json!({"question_id": one, "value": -3}), responses, "/value", "out_of_range"),
            (json!({"question_id": one, "value": 3.5}), invalid, "/value", "wrong_type"),
            (json!({"question_id": one, "value": "3"}), invalid, "/value", "wrong_type"),
            (json!({"question_id": one, "value": u64::MAX}), invalid, "/value", "wrong_value"),
            (json!({"question_id": one}), invalid, "/value", "missing"),
            (json!({"value": 3}), invalid, "/question_id", "missing"),
            (json!({}), invalid, "/question_id", "missing"),
            (json!({"question_id": 7, "value": 3}), invalid, "/question_id", "wrong_type"),
            (json!({"question_id": "zz_99", "value": 3}), responses, "/question_id", "unknown_item"),
            (json!({"responses": []}), responses, "/responses", "too_short"),
            (json!({"responses": many}), invalid, "/responses", "too_long"),
            (json!({"responses": {}}), invalid, "/responses", "wrong_type"),
            (json!({"responses": [{"question_id": one}]}), invalid, "/responses/0/value", "missing"),
            (
                json!({"responses": [{"question_id": one, "value": 3}, {"question_id": two, "value": 6}]}),
                responses,
                "/responses/1/value",
                "out_of_range",
            ),
            (
                json!({"responses": [{"question_id": one, "value": 3}, {"question_id": one, "value": 4}]}),
                responses,
                "/responses/1/question_id",
                "duplicate",
            ),
            (
                json!({"question_id": one, "responses": [{"question_id": two, "value": 3}]}),
                invalid,
                "/question_id",
                "ambiguous",
            ),
        ] {
            let reply = asha.post(&path, body.clone()).await?;
            names(&reply, code, pointer, violation).map_err(|error| format!("{body}: {error}"))?;
        }
        for body in [
            json!({"question_id": one, "value": 3, "score": 9}),
            json!({"responses": [{"question_id": one, "value": 3, "score": 9}]}),
        ] {
            asha.post(&path, body)
                .await?
                .is_problem(StatusCode::BAD_REQUEST, "request.unknown_field")?;
        }
        assert_eq!(app.settled_head().await?, before);
        let exam = asha.get("/exams/current").await?;
        for question in exam.at("/questions").as_array().into_iter().flatten() {
            assert_eq!(question["response"], Value::Null);
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reflection_has_at_most_5000_characters() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let exam = start(&asha, json!({"question_count": 5})).await?;
        let path = format!("/exams/{}", exam.text("/id"));
        asha.post(&format!("{path}/responses"), counting(&exam, 4)?)
            .await?
            .is(StatusCode::OK)?;
        let before = app.settled_head().await?;
        let put = |body: Value| {
            asha.request("PUT", &format!("{path}/reflection"))
                .json(body)
        };
        let too_long = json!({"reflection": "ñ".repeat(5_001)});
        for reply in [
            put(too_long.clone()).send().await?,
            asha.post(&format!("{path}/complete"), too_long).await?,
        ] {
            names(&reply, "request.invalid", "/reflection", "too_long")?;
        }
        let missing = put(json!({})).send().await?;
        names(&missing, "request.invalid", "/reflection", "missing")?;
        let number = asha
            .post(&format!("{path}/complete"), json!({"reflection": 7}))
            .await?;
        names(&number, "request.invalid", "/reflection", "wrong_type")?;
        assert_eq!(app.settled_head().await?, before);

        let longest = "ñ".repeat(5_000);
        put(json!({"reflection": longest}))
            .send()
            .await?
            .is(StatusCode::NO_CONTENT)?;
        assert_eq!(asha.get(&path).await?.at("/reflection"), longest.as_str());
        put(json!({"reflection": " "}))
            .send()
            .await?
            .is(StatusCode::NO_CONTENT)?;
        assert_eq!(asha.get(&path).await?.at("/reflection"), Value::Null);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn completing_names_what_is_not_answered_yet() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let exam = start(&asha, json!({"question_count": 5})).await?;
        let path = format!("/exams/{}", exam.text("/id"));
        let ids = asked(&exam);
        let answer = json!({"question_id": ids[1], "value": 3});
        asha.post(&format!("{path}/responses"), answer)
            .await?
            .is(StatusCode::OK)?;
        let before = app.settled_head().await?;
        let refused = asha
            .post(
                &format!("{path}/complete"),
                json!({"reflection": "Not yet."}),
            )
            .await?;
        refused.is_problem(UNPROCESSABLE, "exams.incomplete")?;
        assert_eq!(
            refused.at("/missing"),
            json!([ids[0], ids[2], ids[3], ids[4]])
        );
        assert_eq!(
            app.settled_head().await?,
            before,
            "the reflection is not kept either"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_exam_takes_nothing_more() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let completed = start(&asha, json!({"question_count": 5})).await?;
        finish(&asha, &completed, 4, json!({})).await?;
        let asha = later(app, &asha, TimeDelta::days(1)).await?;
        let abandoned = start(&asha, json!({"question_count": 5})).await?;
        asha.request("POST", &format!("/exams/{}/abandon", abandoned.text("/id")))
            .send()
            .await?
            .is(StatusCode::NO_CONTENT)?;
        let before = app.settled_head().await?;
        for (exam, code) in [
            (&completed, "exams.already_completed"),
            (&abandoned, "exams.abandoned"),
        ] {
            let path = format!("/exams/{}", exam.text("/id"));
            asha.post(&format!("{path}/responses"), counting(exam, 2)?)
                .await?
                .is_problem(StatusCode::CONFLICT, code)?;
            asha.request("PUT", &format!("{path}/reflection"))
                .json(json!({"reflection": "More."}))
                .send()
                .await?
                .is_problem(StatusCode::CONFLICT, code)?;
        }
        asha.request("POST", &format!("/exams/{}/abandon", completed.text("/id")))
            .send()
            .await?
            .is_problem(StatusCode::CONFLICT, "exams.already_completed")?;
        let path = format!("/exams/{}", abandoned.text("/id"));
        asha.post(&format!("{path}/complete"), json!({}))
            .await?
            .is_problem(StatusCode::CONFLICT, "exams.abandoned")?;
        asha.get(&format!("{path}/results"))
            .await?
            .is_problem(StatusCode::CONFLICT, "exams.not_completed")?;
        assert_eq!(app.settled_head().await?, before);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_members_exam_is_not_there() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let exam = start(&asha, json!({"question_count": 5})).await?;
        let done = finish(&asha, &exam, 4, json!({})).await?.text("/exam_id");
        let asha = later(app, &asha, TimeDelta::days(1)).await?;
        let open = start(&asha, json!({"question_count": 5}))
            .await?
            .text("/id");
        let mallory = app.member("mallory").await?;
        let before = app.settled_head().await?;
        let nobodys = app.node.ids.next().to_string();
        for id in [&done, &open, &nobodys] {
            for (method, path, body) in [
                ("GET", format!("/exams/{id}"), None),
                ("GET", format!("/exams/{id}/results"), None),
                (
                    "POST",
                    format!("/exams/{id}/responses"),
                    Some(counting(&exam, 1)?),
                ),
                (
                    "PUT",
                    format!("/exams/{id}/reflection"),
                    Some(json!({"reflection": "Mine."})),
                ),
                ("POST", format!("/exams/{id}/complete"), Some(json!({}))),
                ("POST", format!("/exams/{id}/abandon"), None),
            ] {
                let call = mallory.request(method, &path);
                let call = match body {
                    Some(body) => call.json(body),
                    None => call,
                };
                call.send()
                    .await?
                    .is_problem(StatusCode::NOT_FOUND, "exams.not_found")
                    .map_err(|error| format!("{method} {path}: {error}"))?;
            }
        }
        mallory
            .get("/exams/not-an-id")
            .await?
            .is_problem(StatusCode::NOT_FOUND, "request.not_found")?;
        mallory
            .get("/exams/current")
            .await?
            .is_problem(StatusCode::NOT_FOUND, "exams.not_found")?;
        let history = mallory.get("/exams/history").await?;
        assert_eq!(history.at("/items"), json!([]));
        assert_eq!(app.settled_head().await?, before);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_with_a_wrong_query_is_refused() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        for (query, pointer) in [
            ("limit=0", "/limit"),
            ("limit=101", "/limit"),
            ("limit=many", "/limit"),
            ("cursor=nonsense", "/cursor"),
            ("status=lost", "/status"),
        ] {
            let reply = asha.get(&format!("/exams/history?{query}")).await?;
            reply.is_problem(UNPROCESSABLE, "request.invalid")?;
            assert_eq!(reply.at("/errors/0/pointer"), pointer, "{query}");
        }
        asha.get("/exams/history?colour=red")
            .await?
            .is_problem(StatusCode::BAD_REQUEST, "request.unknown_field")?;
        app.get("/exams/history")
            .await?
            .is_problem(StatusCode::UNAUTHORIZED, "auth.token_missing")
    })
    .await
}
