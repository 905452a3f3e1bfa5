//! Work that is done even if whoever began it goes away.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tokio::runtime::Handle;

/// Does the work in the caller's task as long as the caller waits, and in one of its own when it does not.
pub(super) fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> {
    Work(Some(Box::pin(work)))
}

/// Gone when it is done.
struct Work<T: Send + 'static>(Option<BoxFuture<'static, T>>);

impl<T: Send + 'static> Future for Work<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // taken out meanwhile: what panics is not done again
        let Some(mut work) = self.0.take() else {
            return Poll::Pending;
        };
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.0 = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Work<T> {
    fn drop(&mut self) {
        if let Some(work) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn what_is_begun_ends_though_nobody_waits_for_it()
    -> Result<(), Box<dyn std::error::Error>> {
        let (go, going) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        let work = to_its_end(async move {
            let _gone = going.await;
            done.send(7)
        });
        assert!(timeout(Duration::from_millis(10), work).await.is_err());
        go.send(()).map_err(|()| "it was given up")?;
        assert_eq!(timeout(Duration::from_secs(5), is_done).await??, 7);
        assert_eq!(to_its_end(async { 8 }).await, 8);
        Ok(())
    }
}
