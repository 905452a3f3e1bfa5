//! One exam from start to history.

use axum::http::StatusCode;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{CALMLY, asked, counting, finish, later, start};
use crate::support::app::{Member, Reply, on_each_engine};
use crate::support::engines::Outcome;
use crate::support::rebuild::rebuilt_equals_live;

#[tokio::test(flavor = "multi_thread")]
async fn an_exam_is_started_answered_reflected_on_completed_and_looked_back_at() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let started = start(&asha, json!({"question_count": 10})).await?;
        let id = started.text("/id");
        assert_eq!(started.header("location"), format!("/api/v1/exams/{id}"));
        assert_ne!(started.header("soulsense-position"), "");
        assert_eq!(started.at("/instrument"), "eq");
        assert_eq!(started.at("/bank_version"), 1);
        assert_eq!(started.at("/language"), "en");
        assert_eq!(started.at("/status"), "in_progress");
        let ids = asked(&started);
        assert_eq!(ids.len(), 10);
        assert_eq!(started.at("/questions/0/response"), Value::Null);
        assert_eq!(started.at("/questions/0/scale/min"), 1);
        assert_eq!(started.at("/questions/0/scale/max"), 5);
        assert_eq!(started.at("/questions/0/scale/labels/4"), "Always");

        app.later(CALMLY);
        let responses = format!("/exams/{id}/responses");
        let all = counting(&started, 4)?;
        let first = all["responses"][0].clone();
        let saved = asha.post(&responses, first.clone()).await?;
        assert_eq!(saved.body, json!({"answered": 1, "total": 10}));
        let saved = asha.post(&responses, all.clone()).await?;
        assert_eq!(saved.body, json!({"answered": 10, "total": 10}));
        let before = app.settled_head().await?;
        let again = asha.post(&responses, all).await?;
        assert_eq!(again.body, json!({"answered": 10, "total": 10}));
        assert_eq!(
            app.settled_head().await?,
            before,
            "the same answers change nothing"
        );

        let reflection = json!({"reflection": "I am wonderfully happy with how calm I stayed."});
        let written = asha
            .request("PUT", &format!("/exams/{id}/reflection"))
            .json(reflection)
            .send()
            .await?;
        written.is(StatusCode::NO_CONTENT)?;
        let exam = asha.get(&format!("/exams/{id}")).await?;
        exam.is(StatusCode::OK)?;
        assert_eq!(exam.at("/questions/0/response"), first["value"]);
        assert_eq!(
            exam.at("/reflection"),
            "I am wonderfully happy with how calm I stayed."
        );
        assert_eq!(asked(&exam), ids);
        assert_eq!(asha.get("/exams/current").await?.body, exam.body);
        asha.get(&format!("/exams/{id}/results"))
            .await?
            .is_problem(StatusCode::CONFLICT, "exams.not_completed")?;

        let completed = asha
            .post(&format!("/exams/{id}/complete"), json!({}))
            .await?;
        completed.is(StatusCode::OK)?;
        assert_eq!(completed.at("/exam_id"), id.as_str());
        assert_eq!(
            completed.at("/overall"),
            json!({"percentage": 75.0, "band": "proficient"})
        );
        let categories = completed.at("/categories");
        assert_eq!(categories.as_array().map(Vec::len), Some(4));
        for category in categories.as_array().into_iter().flatten() {
            assert_eq!(category["percentage"], 75.0);
            let score = category["min"].as_i64().map(|weights| weights * 4);
            assert_eq!(category["score"].as_i64(), score);
        }
        assert_eq!(completed.at("/recommendations/0/priority"), "medium");
        assert_ne!(completed.text("/recommendations/0/message"), "");
        assert_eq!(completed.at("/flags/rushed"), false);
        assert_eq!(completed.at("/sentiment/label"), "positive");
        assert_eq!(completed.at("/percentile"), Value::Null);

        looked_back_at(&asha, &started, &completed).await
    })
    .await
}

/// What is read of an exam that was completed.
async fn looked_back_at(asha: &Member<'_>, started: &Reply, completed: &Reply) -> Outcome {
    let id = started.text("/id");
    let again = asha
        .post(&format!("/exams/{id}/complete"), json!({}))
        .await?;
    assert_eq!(again.body, completed.body);
    let results = asha.get(&format!("/exams/{id}/results")).await?;
    assert_eq!(results.body, completed.body);
    let exam = asha.get(&format!("/exams/{id}")).await?;
    assert_eq!(exam.at("/status"), "completed");
    assert_eq!(exam.at("/expires_at"), Value::Null);
    assert_eq!(exam.at("/completed_at"), completed.at("/completed_at"));
    asha.get("/exams/current")
        .await?
        .is_problem(StatusCode::NOT_FOUND, "exams.not_found")?;

    let history = asha.get("/exams/history").await?;
    history.is(StatusCode::OK)?;
    assert_eq!(
        history.body,
        json!({"items": [{
                "id": id,
                "instrument": "eq",
                "bank_version": 1,
                "language": "en",
                "status": "completed",
                "answered": 10,
                "total": 10,
                "overall": {"percentage": 75.0, "band": "proficient"},
                "started_at": started.at("/started_at"),
                "completed_at": completed.at("/completed_at"),
            }], "next": null})
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_paged_from_the_newest_and_can_be_filtered() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let mut ids = Vec::new();
        for _ in 0..5 {
            let exam = start(&asha, json!({"question_count": 5})).await?;
            let id = exam.text("/id");
            let given_up = asha
                .request("POST", &format!("/exams/{id}/abandon"))
                .send()
                .await?;
            given_up.is(StatusCode::NO_CONTENT)?;
            let again = asha
                .request("POST", &format!("/exams/{id}/abandon"))
                .send()
                .await?;
            again.is(StatusCode::NO_CONTENT)?;
            ids.insert(0, id);
            // two of them begin in the same moment
            if ids.len() != 2 {
                app.later(TimeDelta::seconds(1));
            }
        }
        let exam = start(&asha, json!({"question_count": 5})).await?;
        ids.insert(0, exam.text("/id"));

        let mut seen = Vec::new();
        let mut path = "/exams/history?limit=2".to_owned();
        loop {
            let page = asha.get(&path).await?;
            page.is(StatusCode::OK)?;
            for item in page.at("/items").as_array().into_iter().flatten() {
                seen.push(item["id"].as_str().unwrap_or_default().to_owned());
            }
            match page.at("/next") {
                Value::String(next) => path = format!("/exams/history?limit=2&cursor={next}"),
                _ => break,
            }
        }
        assert_eq!(seen, ids);

        let abandoned = asha.get("/exams/history?status=abandoned").await?;
        assert_eq!(abandoned.at("/items").as_array().map(Vec::len), Some(5));
        let under_way = asha
            .get("/exams/history?status=in_progress&instrument=eq")
            .await?;
        assert_eq!(under_way.at("/items/0/id"), ids[0].as_str());
        let others = asha.get("/exams/history?instrument=tarot").await?;
        assert_eq!(others.at("/items"), json!([]));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_of_exams_rebuilt_are_those_that_were_live() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let finished = start(&asha, json!({"language": "hi", "question_count": 50})).await?;
        finish(&asha, &finished, 3, json!({"reflection": "आज मैं शांत था।"})).await?;
        let ravi = app.member("ravi").await?;
        let abandoned = start(&ravi, json!({})).await?;
        let abandoned = abandoned.text("/id");
        ravi.request("POST", &format!("/exams/{abandoned}/abandon"))
            .send()
            .await?
            .is(StatusCode::NO_CONTENT)?;
        let left_alone = start(&ravi, json!({"question_count": 5})).await?;
        let ravi = later(app, &ravi, TimeDelta::minutes(61)).await?;
        let under_way = start(&ravi, json!({"language": "es"})).await?;
        assert_ne!(left_alone.text("/id"), under_way.text("/id"));
        let first = &asked(&under_way)[0];
        ravi.post(
            &format!("/exams/{}/responses", under_way.text("/id")),
            json!({"question_id": first, "value": 2}),
        )
        .await?
        .is(StatusCode::OK)?;
        ravi.request(
            "PUT",
            &format!("/exams/{}/reflection", under_way.text("/id")),
        )
        .json(json!({"reflection": "Estoy cansado."}))
        .send()
        .await?
        .is(StatusCode::NO_CONTENT)?;

        let paths = [
            "/exams/current".to_owned(),
            format!("/exams/{}", left_alone.text("/id")),
            "/exams/history".to_owned(),
            "/questions/banks/eq/1".to_owned(),
        ];
        let mut before = Vec::new();
        for path in &paths {
            before.push(ravi.get(path).await?.body);
        }
        rebuilt_equals_live(app).await?;
        for (path, before) in paths.iter().zip(before) {
            assert_eq!(ravi.get(path).await?.body, before, "{path}");
        }
        Ok(())
    })
    .await
}
