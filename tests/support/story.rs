//! The bound of stories that wait for other processes: one that hangs fails, and says what it waited for.

use std::cell::Cell;
use std::error::Error;
use std::time::{Duration, Instant};

use super::engines::Outcome;

/// Many times what any story takes on a busy machine.
const LONGEST: Duration = Duration::from_mins(3);

tokio::task_local! {
    static AWAITED: Cell<&'static str>;
}

/// Tells a story, though not without end.
pub async fn told(story: impl AsyncFnOnce() -> Outcome) -> Outcome {
    told_within(LONGEST, story).await
}

async fn told_within(longest: Duration, story: impl AsyncFnOnce() -> Outcome) -> Outcome {
    let bounded = async {
        let told = tokio::time::timeout(longest, Box::pin(story())).await;
        told.unwrap_or_else(|_| {
            let what = AWAITED.get().get();
            Err(format!("no end within {longest:?}; awaited last: {what}").into())
        })
    };
    AWAITED
        .scope(Cell::new("nothing with a name"), bounded)
        .await
}

/// Notes what the story waits for from here on.
pub fn awaits(what: &'static str) {
    // what runs beside a story, or without one, is bounded by whoever waits for it
    let _noted = AWAITED.try_with(|awaited| awaited.set(what));
}

/// Waits for something, for so long at most.
pub async fn in_time<T>(
    time: Duration,
    what: &'static str,
    future: impl Future<Output = T>,
) -> Result<T, String> {
    awaits(what);
    let done = tokio::time::timeout(time, future).await;
    done.map_err(|_| format!("not within {time:?}: {what}"))
}

/// Asks again and again until it is so.
pub async fn within(
    time: Duration,
    what: &'static str,
    is_so: impl AsyncFn() -> Result<bool, Box<dyn Error>>,
) -> Outcome {
    awaits(what);
    let began = Instant::now();
    while !is_so().await? {
        if began.elapsed() > time {
            return Err(format!("not within {time:?}: {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

mod tests {
    use super::*;

    #[tokio::test]
    async fn a_story_that_hangs_fails_and_says_what_it_waited_for() {
        let hanging = async || {
            awaits("a word from Godot");
            std::future::pending().await
        };
        let ended = told_within(Duration::from_millis(10), hanging).await;
        assert!(ended.is_err_and(|error| error.to_string().ends_with("last: a word from Godot")));
    }

    #[tokio::test]
    async fn a_story_that_ends_is_left_alone() -> Outcome {
        told(async || Ok(())).await?;
        let failed = told(async || Err("as it says".into())).await;
        assert!(failed.is_err_and(|error| error.to_string() == "as it says"));
        Ok(())
    }
}
