//! What may be asked: the published question banks, as everybody may see them.

use chrono::{DateTime, Utc};
use domain::exams::question_bank::{QuestionBankError, Scale};
use domain::language::{Language, Translated};
use projections::exams::question_banks::{self, BankSummary, CategorySummary, Question, Wanted};
use projections::tables::Pinned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::Problem;
use crate::http::command::Models;
use crate::http::extract::{Json, Path, Query};
use crate::http::paging::{self, Listed};
use crate::http::problem::ProblemDocument;

/// The instrument that is meant when none is named.
pub(super) const MAIN_INSTRUMENT: &str = "eq";

/// How a question is answered.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct ScaleBody {
    /// The lowest answer.
    #[schema(example = 1)]
    min: u8,
    /// The highest answer.
    #[schema(example = 5)]
    max: u8,
    /// What each answer is called, from lowest to highest.
    #[schema(example = json!(["Never", "Rarely", "Sometimes", "Often", "Always"]))]
    labels: Vec<String>,
}

impl ScaleBody {
    pub(super) fn new(scale: &Scale, language: Language) -> Self {
        Self {
            min: scale.min,
            max: scale.max,
            labels: scale.labels.get(language).clone(),
        }
    }
}

/// A question of a bank.
#[derive(Serialize, ToSchema)]
pub(super) struct QuestionBody {
    #[schema(example = "sa_01")]
    id: String,
    /// The statement, in the language asked for.
    #[schema(example = "When my mood changes, I can name the feeling.")]
    text: String,
    /// An explanation, if there is one.
    tooltip: Option<String>,
    /// The slug of its category.
    #[schema(example = "self_awareness")]
    category: String,
    scale: ScaleBody,
}

impl QuestionBody {
    fn new(question: Question, scale: &ScaleBody, language: Language) -> Self {
        Self {
            text: in_language(&question.text, language),
            tooltip: question
                .tooltip
                .map(|tooltip| in_language(&tooltip, language)),
            id: question.id,
            category: question.category,
            scale: scale.clone(),
        }
    }
}

pub(super) fn in_language(text: &Translated, language: Language) -> String {
    text.get(language).clone()
}

/// A category of a bank.
#[derive(Serialize, ToSchema)]
pub(super) struct CategoryBody {
    #[schema(example = "self_awareness")]
    id: String,
    #[schema(example = "Self-awareness")]
    name: String,
    /// How many questions the bank has in it.
    #[schema(example = 16)]
    questions: i64,
}

impl CategoryBody {
    fn new(category: CategorySummary, language: Language) -> Self {
        Self {
            name: in_language(&category.name, language),
            id: category.id,
            questions: category.questions,
        }
    }
}

/// One published version of an instrument.
#[derive(Serialize, ToSchema)]
pub(super) struct BankBody {
    #[schema(example = "eq")]
    instrument: String,
    #[schema(example = 1)]
    version: u32,
    #[schema(example = "SoulSense Everyday Emotions Questionnaire")]
    title: String,
    #[schema(example = "How you notice, handle and share emotions in everyday life.")]
    description: String,
    /// How many questions it has.
    #[schema(example = 64)]
    question_count: i64,
    #[schema(example = "2025-10-11T09:30:00Z")]
    published_at: DateTime<Utc>,
    /// Since when no exam starts from it.
    retired_at: Option<DateTime<Utc>>,
}

impl BankBody {
    fn new(bank: BankSummary, language: Language) -> Self {
        Self {
            title: in_language(&bank.title, language),
            description: in_language(&bank.description, language),
            instrument: bank.instrument,
            version: bank.version,
            question_count: bank.questions,
            published_at: bank.published_at,
            retired_at: bank.retired_at,
        }
    }
}

/// A bank with all it asks.
#[derive(Serialize, ToSchema)]
pub(super) struct WholeBankBody {
    #[schema(example = "eq")]
    instrument: String,
    #[schema(example = 1)]
    version: u32,
    #[schema(example = "SoulSense Everyday Emotions Questionnaire")]
    title: String,
    #[schema(example = "How you notice, handle and share emotions in everyday life.")]
    description: String,
    scale: ScaleBody,
    categories: Vec<CategoryBody>,
    questions: Vec<QuestionBody>,
    #[schema(example = "2025-10-11T09:30:00Z")]
    published_at: DateTime<Utc>,
    /// Since when no exam starts from it.
    retired_at: Option<DateTime<Utc>>,
}

/// Which questions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct QuestionsQuery {
    /// The instrument; `eq` when left out.
    instrument: Option<String>,
    /// The version of its bank; the one that exams start from when left out.
    version: Option<u32>,
    /// Of this category only.
    category: Option<String>,
    /// Fit for this age in years only.
    #[param(example = 34)]
    age: Option<u8>,
    /// `en`, `es` or `hi`; `en` when left out.
    #[param(value_type = Option<String>)]
    language: Option<Language>,
    /// Items of a page, 1 to 100; 20 when left out.
    limit: Option<i64>,
    /// Where to read on: `next` of the page before.
    cursor: Option<String>,
}

/// Whose categories.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CategoriesQuery {
    /// The instrument; `eq` when left out.
    instrument: Option<String>,
    /// The version of its bank; the one that exams start from when left out.
    version: Option<u32>,
    /// `en`, `es` or `hi`; `en` when left out.
    #[param(value_type = Option<String>)]
    language: Option<Language>,
}

/// Which banks.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct BanksQuery {
    /// `en`, `es` or `hi`; `en` when left out.
    #[param(value_type = Option<String>)]
    language: Option<Language>,
    /// Items of a page, 1 to 100; 20 when left out.
    limit: Option<i64>,
    /// Where to read on: `next` of the page before.
    cursor: Option<String>,
}

/// In which language.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LanguageQuery {
    /// `en`, `es` or `hi`; `en` when left out.
    #[param(value_type = Option<String>)]
    language: Option<Language>,
}

/// Questions
///
/// The questions of one bank in its order.
#[utoipa::path(
    get,
    path = "/questions",
    tag = "questions",
    params(QuestionsQuery),
    responses(
        (status = 200, description = "A page of questions", body = Listed<QuestionBody>),
        (status = 400, description = "`request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`exams.bank_not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    Models(models): Models,
    Query(query): Query<QuestionsQuery>,
) -> Result<Json<Listed<QuestionBody>>, Problem> {
    let language = query.language.unwrap_or_default();
    let (limit, after) = paging::asked(query.limit, query.cursor.as_deref())?;
    let wanted = Wanted {
        limit,
        after: after.unwrap_or_default(),
        category: query.category,
        age: query.age,
    };
    let bank = find(&models, query.instrument.as_deref(), query.version).await?;
    let page = question_banks::questions(&models, &bank.instrument, bank.version, &wanted).await?;
    let scale = ScaleBody::new(&bank.scale, language);
    let page = page.map(|question| QuestionBody::new(question, &scale, language));
    Ok(Json(page.into()))
}

/// Categories
#[utoipa::path(
    get,
    path = "/questions/categories",
    tag = "questions",
    params(CategoriesQuery),
    responses(
        (status = 200, description = "The categories of one bank", body = Listed<CategoryBody>),
        (status = 400, description = "`request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`exams.bank_not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn categories(
    Models(models): Models,
    Query(query): Query<CategoriesQuery>,
) -> Result<Json<Listed<CategoryBody>>, Problem> {
    let language = query.language.unwrap_or_default();
    let bank = find(&models, query.instrument.as_deref(), query.version).await?;
    let categories = question_banks::categories(&models, &bank.instrument, bank.version).await?;
    let items = categories
        .into_iter()
        .map(|category| CategoryBody::new(category, language))
        .collect();
    Ok(Json(Listed { items, next: None }))
}

/// Question banks
#[utoipa::path(
    get,
    path = "/questions/banks",
    tag = "questions",
    params(BanksQuery),
    responses(
        (status = 200, description = "A page of published banks, retired ones too", body = Listed<BankBody>),
        (status = 400, description = "`request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn banks(
    Models(models): Models,
    Query(query): Query<BanksQuery>,
) -> Result<Json<Listed<BankBody>>, Problem> {
    let language = query.language.unwrap_or_default();
    let (limit, after) = paging::asked(query.limit, query.cursor.as_deref())?;
    let page = question_banks::banks(&models, after, limit).await?;
    let page = page.map(|bank| BankBody::new(bank, language));
    Ok(Json(page.into()))
}

/// A question bank
#[utoipa::path(
    get,
    path = "/questions/banks/{instrument}/{version}",
    tag = "questions",
    params(
        ("instrument" = String, Path, description = "The instrument", example = "eq"),
        ("version" = u32, Path, description = "The version of its bank", example = 1),
        LanguageQuery,
    ),
    responses(
        (status = 200, description = "The bank with all its questions", body = WholeBankBody),
        (status = 400, description = "`request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`exams.bank_not_found`, `request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn bank(
    Path((instrument, version)): Path<(String, u32)>,
    Models(models): Models,
    Query(query): Query<LanguageQuery>,
) -> Result<Json<WholeBankBody>, Problem> {
    let language = query.language.unwrap_or_default();
    let bank = find(&models, Some(&instrument), Some(version)).await?;
    let categories = question_banks::categories(&models, &instrument, version).await?;
    let questions = question_banks::questions_of(&models, &instrument, version).await?;
    let scale = ScaleBody::new(&bank.scale, language);
    Ok(Json(WholeBankBody {
        title: in_language(&bank.title, language),
        description: in_language(&bank.description, language),
        categories: categories
            .into_iter()
            .map(|category| CategoryBody::new(category, language))
            .collect(),
        questions: questions
            .into_iter()
            .map(|question| QuestionBody::new(question, &scale, language))
            .collect(),
        scale,
        instrument: bank.instrument,
        version: bank.version,
        published_at: bank.published_at,
        retired_at: bank.retired_at,
    }))
}

/// One question of a bank
#[utoipa::path(
    get,
    path = "/questions/banks/{instrument}/{version}/items/{id}",
    tag = "questions",
    params(
        ("instrument" = String, Path, description = "The instrument", example = "eq"),
        ("version" = u32, Path, description = "The version of its bank", example = 1),
        ("id" = String, Path, description = "The question", example = "sa_01"),
        LanguageQuery,
    ),
    responses(
        (status = 200, description = "The question", body = QuestionBody),
        (status = 400, description = "`request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`exams.bank_not_found`, `request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn item(
    Path((instrument, version, id)): Path<(String, u32, String)>,
    Models(models): Models,
    Query(query): Query<LanguageQuery>,
) -> Result<Json<QuestionBody>, Problem> {
    let language = query.language.unwrap_or_default();
    let bank = find(&models, Some(&instrument), Some(version)).await?;
    let question = question_banks::question(&models, &instrument, version, &id)
        .await?
        .ok_or_else(Problem::not_found)?;
    let scale = ScaleBody::new(&bank.scale, language);
    Ok(Json(QuestionBody::new(question, &scale, language)))
}

/// One version of an instrument, or the one that exams start from.
async fn find(
    models: &Pinned,
    instrument: Option<&str>,
    version: Option<u32>,
) -> Result<BankSummary, Problem> {
    let instrument = instrument.unwrap_or(MAIN_INSTRUMENT);
    let bank = match version {
        Some(version) => question_banks::bank(models, instrument, version).await?,
        None => question_banks::current_bank(models, instrument).await?,
    };
    bank.ok_or_else(|| Problem::from_rejection(&QuestionBankError::NotFound))
}
