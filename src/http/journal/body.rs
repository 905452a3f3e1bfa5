//! What clients send about entries.

use domain::journal::entry::Draft;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::input::ReadOnly;

/// The fields that a member writes, in a struct that may have more.
macro_rules! written {
    ($(#[$about:meta])* $name:ident { $($read_only:ident),* }) => {
        $(#[$about])*
        #[derive(Deserialize, ToSchema)]
        pub(super) struct $name {
            /// At most 200 characters; blank is as good as absent.
            #[schema(example = "A quiet Sunday")]
            title: Option<String>,
            /// 10 to 50,000 characters.
            #[schema(
                value_type = String,
                example = "I slept well and walked by the river. I feel happy and calm."
            )]
            content: Option<String>,
            /// At most 20 different ones of 1 to 50 characters; they are trimmed and lower-cased.
            #[schema(example = json!(["walk", "rest"]))]
            tags: Option<Vec<String>>,
            /// 1 to 10.
            #[schema(example = 8, minimum = 1, maximum = 10)]
            mood_rating: Option<i64>,
            /// 1 to 10.
            #[schema(example = 7, minimum = 1, maximum = 10)]
            energy_level: Option<i64>,
            /// 1 to 10.
            #[schema(example = 2, minimum = 1, maximum = 10)]
            stress_level: Option<i64>,
            /// 1 to 10.
            #[schema(example = 8, minimum = 1, maximum = 10)]
            sleep_quality: Option<i64>,
            /// 0 to 24, rounded to the hundredth.
            #[schema(example = 7.5, minimum = 0, maximum = 24)]
            sleep_hours: Option<f64>,
            /// 0 to 24, rounded to the hundredth.
            #[schema(example = 0.0, minimum = 0, maximum = 24)]
            work_hours: Option<f64>,
            /// 0 to 1440.
            #[schema(example = 90, minimum = 0, maximum = 1440)]
            screen_time_mins: Option<i64>,
            /// At most 500 characters.
            #[schema(example = "None today")]
            stress_triggers: Option<String>,
            /// At most 1,000 characters.
            #[schema(example = "Breakfast, river, books")]
            daily_schedule: Option<String>,
            /// `en` (when absent), `es` or `hi`.
            #[schema(example = "en")]
            language: Option<String>,
            /// The day the entry is about, `YYYY-MM-DD`, not in the future; today when absent.
            #[schema(example = "2026-03-01", format = Date)]
            entry_date: Option<String>,
            $(
                #[serde(default)]
                #[schema(ignore)]
                $read_only: ReadOnly,
            )*
        }

        impl From<$name> for Draft {
            fn from(written: $name) -> Self {
                Self {
                    title: written.title,
                    content: written.content,
                    tags: written.tags.unwrap_or_default(),
                    mood_rating: written.mood_rating,
                    energy_level: written.energy_level,
                    stress_level: written.stress_level,
                    sleep_quality: written.sleep_quality,
                    sleep_hours: written.sleep_hours,
                    work_hours: written.work_hours,
                    screen_time_mins: written.screen_time_mins,
                    stress_triggers: written.stress_triggers,
                    daily_schedule: written.daily_schedule,
                    language: written.language,
                    entry_date: written.entry_date,
                }
            }
        }
    };
}

written! {
    /// What a member writes. Only the content is needed.
    EntryDraft {}
}

written! {
    /// What takes the place of an entry's words: an absent field is cleared or takes its default. The other
    /// members of an entry may stand here as they were read; they are not looked at.
    #[expect(dead_code, reason = "read-only members are accepted and not looked at")]
    EntryReplacement {
        id,
        sentiment,
        patterns,
        word_count,
        reading_time_mins,
        created_at,
        updated_at,
        support
    }
}
