//! Question banks, as everybody may read them.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::shipped_items;
use crate::support::app::on_each_engine;
use crate::support::engines::Outcome;

/// Members that would tell how an answer is scored.
const SECRETS: [&str; 3] = ["reverse_keyed", "weight", "pair"];

fn tells_a_secret(value: &Value) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| SECRETS.contains(&name.as_str()) || tells_a_secret(value)),
        Value::Array(items) => items.iter().any(tells_a_secret),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_read_without_a_token_page_by_page_and_never_tell_how_they_count() -> Outcome
{
    on_each_engine(async |app| {
        let items = shipped_items()?;
        let mut seen = 0;
        let mut path = "/questions?limit=30&language=es".to_owned();
        loop {
            let page = app.get(&path).await?;
            page.is(StatusCode::OK)?;
            assert!(!tells_a_secret(&page.body));
            for question in page.at("/items").as_array().into_iter().flatten() {
                let item = &items[question["id"].as_str().unwrap_or_default()];
                assert_eq!(question["text"], item.text.es.as_str());
                assert_eq!(question["category"], item.category.as_str());
                assert_eq!(question["scale"]["labels"][0], "Nunca");
                seen += 1;
            }
            match page.at("/next") {
                Value::String(next) => {
                    path = format!("/questions?limit=30&language=es&cursor={next}");
                }
                _ => break,
            }
        }
        assert_eq!(seen, items.len());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_found_by_category_age_and_version() -> Outcome {
    on_each_engine(async |app| {
        let items = shipped_items()?;
        let of = async |query: &str| -> Result<usize, Box<dyn std::error::Error>> {
            let page = app.get(&format!("/questions?limit=100&{query}")).await?;
            page.is(StatusCode::OK)?;
            Ok(page.at("/items").as_array().map_or(0, Vec::len))
        };
        let category = |name: &str| items.values().filter(|item| item.category == name).count();
        assert_eq!(
            of("category=self_awareness").await?,
            category("self_awareness")
        );
        assert_eq!(of("category=charm").await?, 0);
        assert_eq!(of("instrument=eq&version=1").await?, items.len());
        for age in [5, 13, 34, 120] {
            let fit = items.values().filter(|item| item.is_fit_for(age)).count();
            assert_eq!(of(&format!("age={age}")).await?, fit, "{age} years");
        }
        for query in ["instrument=tarot", "version=2"] {
            app.get(&format!("/questions?{query}"))
                .await?
                .is_problem(StatusCode::NOT_FOUND, "exams.bank_not_found")?;
        }
        for query in [
            "age=300",
            "age=old",
            "version=-1",
            "language=fr",
            "limit=0",
            "cursor=x",
        ] {
            app.get(&format!("/questions?{query}"))
                .await?
                .is_problem(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid")?;
        }
        app.get("/questions?colour=red")
            .await?
            .is_problem(StatusCode::BAD_REQUEST, "request.unknown_field")
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn banks_are_listed_and_read_whole_or_by_the_question() -> Outcome {
    on_each_engine(async |app| {
        let items = shipped_items()?;
        let banks = app.get("/questions/banks").await?;
        banks.is(StatusCode::OK)?;
        assert_eq!(banks.at("/items/0/instrument"), "eq");
        assert_eq!(banks.at("/items/0/version"), 1);
        assert_eq!(banks.at("/items/0/question_count"), items.len());
        assert_eq!(banks.at("/items/0/retired_at"), Value::Null);
        assert_eq!(banks.at("/next"), Value::Null);

        let bank = app.get("/questions/banks/eq/1?language=hi").await?;
        bank.is(StatusCode::OK)?;
        assert!(!tells_a_secret(&bank.body));
        assert_eq!(
            bank.at("/questions").as_array().map(Vec::len),
            Some(items.len())
        );
        assert_eq!(bank.at("/categories/0/name"), "आत्म-जागरूकता");
        assert_eq!(bank.at("/scale/labels/0"), "कभी नहीं");

        let categories = app.get("/questions/categories?language=es").await?;
        categories.is(StatusCode::OK)?;
        assert_eq!(categories.at("/items/0/id"), "self_awareness");
        assert_eq!(categories.at("/items/0/name"), "Autoconciencia");

        let first = bank.text("/questions/0/id");
        let question = app
            .get(&format!("/questions/banks/eq/1/items/{first}?language=hi"))
            .await?;
        assert_eq!(question.body, bank.at("/questions/0"));
        for (path, code) in [
            ("/questions/banks/eq/9", "exams.bank_not_found"),
            ("/questions/banks/tarot/1", "exams.bank_not_found"),
            ("/questions/banks/eq/first", "request.not_found"),
            ("/questions/banks/eq/1/items/zz_99", "request.not_found"),
            ("/questions/banks/eq/2/items/sa_01", "exams.bank_not_found"),
        ] {
            app.get(path)
                .await?
                .is_problem(StatusCode::NOT_FOUND, code)?;
        }
        assert_eq!(
            app.get("/questions/banks?limit=1").await?.at("/next"),
            json!(null)
        );
        Ok(())
    })
    .await
}
