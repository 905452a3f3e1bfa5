//! Starting an exam: again, twice at once, too soon, after it was left alone, in other languages.

use axum::http::StatusCode;
use chrono::TimeDelta;
use domain::exams::question_bank::QuestionBankCommand;
use event_log::Metadata;
use serde_json::{Value, json};
use soulsense::commands::Request;

use super::{asked, counting, finish, later, shipped_items, start};
use crate::support::app::on_each_engine;
use crate::support::engines::Outcome;

#[tokio::test(flavor = "multi_thread")]
async fn starting_again_gives_the_exam_under_way() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let exam = start(&asha, json!({})).await?;
        assert_eq!(asked(&exam).len(), 20, "20 questions when nobody says");
        let again = asha
            .post(
                "/exams/start",
                json!({"question_count": 5, "language": "es"}),
            )
            .await?;
        again.is(StatusCode::OK)?;
        assert_eq!(again.body, exam.body);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_starts_one_makes_an_exam_and_all_get_it() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let starts = (0..8).map(|_| asha.post("/exams/start", json!({})));
        let replies = futures::future::try_join_all(starts).await?;
        let created = |status| {
            replies
                .iter()
                .filter(|reply| reply.status == status)
                .count()
        };
        assert_eq!(created(StatusCode::CREATED), 1);
        assert_eq!(created(StatusCode::OK), 7);
        let id = replies[0].text("/id");
        assert!(replies.iter().all(|reply| reply.text("/id") == id));
        let history = asha.get("/exams/history").await?;
        assert_eq!(history.at("/items").as_array().map(Vec::len), Some(1));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_exam_can_start_when_the_cooldown_is_over() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let exam = start(&asha, json!({"question_count": 5})).await?;
        let completed = finish(&asha, &exam, 4, json!({})).await?;
        let completed_at: chrono::DateTime<chrono::Utc> =
            completed.text("/completed_at").parse()?;
        let available_at = completed_at + TimeDelta::hours(24);

        let too_soon = asha.post("/exams/start", json!({})).await?;
        too_soon.is_problem(StatusCode::CONFLICT, "exams.cooldown")?;
        let told: chrono::DateTime<chrono::Utc> = too_soon.text("/available_at").parse()?;
        assert_eq!(told, available_at);

        let nearly = TimeDelta::hours(24) - TimeDelta::microseconds(1);
        let asha = later(app, &asha, nearly).await?;
        asha.post("/exams/start", json!({}))
            .await?
            .is_problem(StatusCode::CONFLICT, "exams.cooldown")?;
        app.later(TimeDelta::microseconds(1));
        start(&asha, json!({})).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exam_left_alone_for_an_hour_expires_and_makes_room_for_the_next() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let exam = start(&asha, json!({"question_count": 5})).await?;
        let id = exam.text("/id");
        let started_at: chrono::DateTime<chrono::Utc> = exam.text("/started_at").parse()?;
        let expires_at: chrono::DateTime<chrono::Utc> = exam.text("/expires_at").parse()?;
        assert_eq!(expires_at, started_at + TimeDelta::minutes(60));

        // an answer puts it off
        let asha = later(app, &asha, TimeDelta::minutes(59)).await?;
        let one = counting(&exam, 4)?["responses"][0].clone();
        let responses = format!("/exams/{id}/responses");
        asha.post(&responses, one.clone())
            .await?
            .is(StatusCode::OK)?;
        let put_off = asha.get("/exams/current").await?;
        let expires_at: chrono::DateTime<chrono::Utc> = put_off.text("/expires_at").parse()?;
        assert_eq!(expires_at, started_at + TimeDelta::minutes(119));

        let asha = later(app, &asha, TimeDelta::minutes(60)).await?;
        let path = format!("/exams/{id}");
        let left = asha.get(&path).await?;
        assert_eq!(left.at("/status"), "expired");
        assert_eq!(left.at("/expires_at"), Value::Null);
        let history = asha.get("/exams/history?status=expired").await?;
        assert_eq!(history.at("/items/0/id"), id.as_str());
        asha.get("/exams/current")
            .await?
            .is(StatusCode::NOT_FOUND)?;
        for (method, path, body) in [
            ("POST", responses.clone(), one),
            (
                "PUT",
                format!("{path}/reflection"),
                json!({"reflection": "Late."}),
            ),
            ("POST", format!("{path}/complete"), json!({})),
        ] {
            asha.request(method, &path)
                .json(body)
                .send()
                .await?
                .is_problem(StatusCode::CONFLICT, "exams.expired")?;
        }

        let next = start(&asha, json!({})).await?;
        assert_ne!(next.text("/id"), id);
        assert_eq!(asha.get(&path).await?.at("/status"), "expired");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exam_is_asked_and_judged_in_its_language() -> Outcome {
    on_each_engine(async |app| {
        let items = shipped_items()?;
        for (name, language, label, words) in [
            (
                "lucia",
                "es",
                "Siempre",
                "Me siento muy feliz, ¡qué alegría!",
            ),
            ("ravi", "hi", "हमेशा", "आज मैं बहुत खुश हूँ।"),
        ] {
            let member = app.member(name).await?;
            let exam = start(&member, json!({"language": language})).await?;
            assert_eq!(exam.at("/language"), language);
            assert_eq!(exam.at("/questions/0/scale/labels/4"), label);
            for question in exam.at("/questions").as_array().into_iter().flatten() {
                let item = &items[question["id"].as_str().unwrap_or_default()];
                let text = if language == "es" {
                    &item.text.es
                } else {
                    &item.text.hi
                };
                assert_eq!(question["text"], text.as_str());
            }
            let completed = finish(&member, &exam, 2, json!({"reflection": words})).await?;
            assert_eq!(
                completed.at("/sentiment"),
                Value::Null,
                "only English is judged"
            );
            assert_eq!(completed.at("/recommendations/0/priority"), "high");
            let message = completed.text("/recommendations/0/message");
            assert!(!message.is_ascii(), "{message}");
            let read = member.get(&format!("/exams/{}", exam.text("/id"))).await?;
            assert_eq!(read.at("/reflection"), words);
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_start_under_one_idempotency_key_gives_its_first_outcome() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let keyed = |body: Value| {
            asha.request("POST", "/exams/start")
                .header("idempotency-key", "first-exam")
                .json(body)
        };
        let exam = keyed(json!({"question_count": 5})).send().await?;
        exam.is(StatusCode::CREATED)?;
        let again = keyed(json!({"question_count": 5})).send().await?;
        again.is(StatusCode::CREATED)?;
        assert_eq!(again.body, exam.body);
        keyed(json!({"question_count": 6}))
            .send()
            .await?
            .is_problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "request.idempotency_key_reused",
            )?;

        finish(&asha, &exam, 4, json!({})).await?;
        let again = keyed(json!({"question_count": 5})).send().await?;
        again.is(StatusCode::CREATED)?;
        assert_eq!(again.at("/id"), exam.at("/id"));
        assert_eq!(again.at("/status"), "completed", "the body is as of now");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_answers_under_one_idempotency_key_count_once() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let exam = start(&asha, json!({"question_count": 5})).await?;
        let path = format!("/exams/{}/responses", exam.text("/id"));
        let question = &asked(&exam)[0];
        let answer = |value: i64| json!({"question_id": question, "value": value});
        let keyed = |value: i64| {
            asha.request("POST", &path)
                .header("idempotency-key", "an-answer")
                .json(answer(value))
        };
        keyed(2).send().await?.is(StatusCode::OK)?;
        asha.post(&path, answer(3)).await?.is(StatusCode::OK)?;
        let again = keyed(2).send().await?;
        again.is(StatusCode::OK)?;
        assert_eq!(again.body, json!({"answered": 1, "total": 5}));
        let now = asha.get("/exams/current").await?;
        assert_eq!(
            now.at("/questions/0/response"),
            3,
            "the later answer stands"
        );
        keyed(4).send().await?.is_problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "request.idempotency_key_reused",
        )
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_exam_starts_from_a_retired_bank_and_one_under_way_is_finished() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let exam = start(&asha, json!({})).await?;
        let retire = QuestionBankCommand::Retire {
            now: app.node.clock.now(),
        };
        let mut request = Request::system(Metadata::system("job:test", app.node.ids.next()));
        request.respond_async = false;
        app.node.banks.execute("eq-1", &retire, &request).await?;

        let bank = app.get("/questions/banks/eq/1").await?;
        assert_ne!(bank.at("/retired_at"), Value::Null);
        app.get("/questions")
            .await?
            .is_problem(StatusCode::NOT_FOUND, "exams.bank_not_found")?;
        finish(&asha, &exam, 4, json!({})).await?;
        let ravi = app.member("ravi").await?;
        let refused = ravi.post("/exams/start", json!({})).await?;
        refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid")?;
        assert_eq!(refused.at("/errors/0/pointer"), "/instrument");
        Ok(())
    })
    .await
}
